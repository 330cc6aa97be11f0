//! Pseudo-online evaluation decides window for window as a run over the same recording does, and a run
//! over LSL as one over the recording (`live_equals_replay.rs`).
#![allow(clippy::unwrap_used)]

use saltatory::config;
use saltatory::control::fit;
use saltatory::control::run::{Options, run};
use saltatory::control::stop::Stop;
use saltatory::fit::Plan;
use saltatory::model::Model;
use saltatory::sources::{Speed, recording};

const CONFIG: &str = r#"
[[source]]
kind = "replay"
id = "eeg"
path = "synthetic:3"

[[source]]
kind = "replay"
id = "markers"
path = "synthetic:3"
stream = "markers"

[[stage]]
kind = "bandpass"
from = "eeg"
low_hz = 8.0
high_hz = 30.0

[[stage]]
kind = "window"
length_s = 2.0
step_s = 0.1

[[stage]]
kind = "covariance"

[[stage]]
kind = "tangent"

[[stage]]
kind = "logistic"

[[stage]]
kind = "vote"
windows = 5

[fit]
classes = { left = "T1", right = "T2", rest = "T0" }
start_s = 0.5
idle = "rest"
"#;

#[test]
fn evaluation_decides_as_a_run_does() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("c.toml"), folder.path().join("m.safetensors"));
    std::fs::write(&path, CONFIG).unwrap();
    let recordings = ["synthetic:1".to_owned(), "synthetic:2".to_owned()];
    let asked = fit::Fit {
        config: &path,
        sets: &[],
        recordings: &recordings,
        weights: &[],
        out: &out,
        tune: None,
        report: None,
        json: true,
    };
    fit::fit(&asked).unwrap();

    let streams = recording::load("synthetic:3").unwrap().streams;
    let plan = Plan::new(&path, &[]).unwrap();
    let online = plan.online(&streams, &Model::load(&out).unwrap()).unwrap();

    let sets = [format!("model={}", out.display())];
    let options = Options { speed: Some(Speed::Max), keep_decisions: true, ..Options::default() };
    let report = run(config::load(&path, &sets).unwrap(), &options, &Stop::default()).unwrap();

    assert!(online.windows.len() > 1000, "{}", online.windows.len());
    assert_eq!(online.windows.len(), report.decisions.len());
    for (window, decision) in online.windows.iter().zip(&report.decisions) {
        assert_eq!(window.last_sample, decision.last_sample);
        let scores: Vec<f64> = decision.scores.iter().map(|(_, score)| *score).collect();
        assert_eq!(window.scores, scores, "the window that ends with {}", window.last_sample);
    }
    assert_eq!(online.idle, Some(2));
    assert!(online.trials.len() >= 12, "{:?}", online.trials);
    assert!(online.trials.iter().all(|(from, to, class)| from < to && *class < 2));
}
