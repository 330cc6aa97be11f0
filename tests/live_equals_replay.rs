//! A recording played live through LSL and the same recording replayed as fast as possible give
//! the same decisions, bit for bit: sliding windows and epochs, 60 s of each.
#![allow(clippy::unwrap_used)]

#[path = "support/lab.rs"]
mod lab;

use lab::{Lab, Verdict, root};

/// What is compared, in seconds and in samples at 160 Hz.
const COMPARED_S: f64 = 60.0;
const COMPARED: u64 = 9600;

const WINDOWS: &str = r#"
[[stage]]
kind = "bandpass"
from = "eeg"
low_hz = 8.0
high_hz = 30.0

[[stage]]
kind = "window"
length_s = 2.5
step_s = 0.1

[[stage]]
kind = "covariance"
estimator = "oas"

[[stage]]
kind = "tangent"

[[stage]]
kind = "logistic"

[[stage]]
kind = "vote"
windows = 5

[fit]
classes = { left = "T1", right = "T2" }
start_s = 0.5
"#;

const EPOCHS: &str = r#"
[[stage]]
kind = "notch"
from = "eeg"
freq_hz = 60.0

[[stage]]
kind = "bandpass"
low_hz = 8.0
high_hz = 30.0

[[stage]]
kind = "event"
from = ["bandpass", "markers"]
classes = { left = "T1", right = "T2" }
start_s = 0.5
length_s = 2.5

[[stage]]
kind = "covariance"
estimator = "lwf"

[[stage]]
kind = "mdm"
"#;

#[test]
fn live_and_replayed_decisions_are_the_same() {
    let folder = root().join("../shared/data/physionet-eegmmidb");
    let file = |run: &str| folder.join(run).to_str().unwrap().to_owned();
    let [played, learned] = match folder.join("S007R12.edf").is_file() {
        true => [file("S007R12.edf"), file("S007R08.edf")],
        false => ["synthetic:7", "synthetic:8"].map(String::from),
    };
    let lab = &Lab::new();
    let played = played.as_str();
    let trials = [("windows", WINDOWS), ("epochs", EPOCHS)];
    let mut live = Vec::new();
    for (name, stages) in trials {
        let model = lab.arg(&format!("{name}.safetensors"));
        let source = |id: &str, kind: &str, rest: String| {
            format!("[[source]]\nid = \"{id}\"\nkind = \"{kind}\"\n{rest}\n")
        };
        let offline = ["samples", "markers"].map(|stream| {
            let id = if stream == "samples" { "eeg" } else { stream };
            source(id, "replay", format!("path = {played:?}\nstream = \"{stream}\""))
        });
        let online = ["", "-markers"].map(|suffix| {
            let id = if suffix.is_empty() { "eeg" } else { "markers" };
            source(id, "lsl", format!("name = \"{name}{suffix}\"\nwait_s = 60.0"))
        });
        for (kind, sources) in [("replay", offline), ("live", online)] {
            let text = format!("model = {model:?}\n{}{stages}", sources.concat());
            lab.write(&format!("{name}-{kind}.toml"), text);
        }
        let config = lab.arg(&format!("{name}-replay.toml"));
        lab.saltatory(&["fit", &config, &learned, "--out", &model]).succeeds();
    }
    for (name, _) in trials {
        let play = lab.saltatory(&["play", played, "--name", name, "--wait"]);
        let run = lab.run(&format!("{name}-live"), &["--for", &format!("{}", COMPARED_S + 1.0)]);
        live.push((play, run));
    }
    for (name, _) in trials {
        lab.run(&format!("{name}-replay"), &["--speed", "max"]).succeeds();
    }
    for (play, run) in live {
        run.succeeds();
        play.kill();
    }
    for (name, _) in trials {
        let verdicts = |kind: &str| -> Vec<Verdict> {
            let report = lab.report(&format!("{name}-{kind}"));
            assert!(report.is_clean(), "{name}-{kind}: {:?}", report.ledger);
            let compared = report.verdicts.into_iter().filter(|v| v.last < COMPARED);
            // Only the clock differs.
            compared.map(|v| Verdict { time_s: 0.0, ..v }).collect()
        };
        let (live, replayed) = (verdicts("live"), verdicts("replay"));
        let expected = if name == "windows" { (COMPARED as usize - 400) / 16 + 1 } else { 5 };
        assert!(replayed.len() >= expected, "{name}: only {} decisions", replayed.len());
        assert_eq!(live.len(), replayed.len(), "{name}: number of decisions");
        for (live, replayed) in live.iter().zip(&replayed) {
            assert_eq!(live, replayed, "{name}");
        }
    }
}
