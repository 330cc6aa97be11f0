//! A cheaper branch that answers for a late window learns beside the main one, from the same epochs,
//! and is in the same model.
#![allow(clippy::unwrap_used)]

use saltatory::config;
use saltatory::control::fit;
use saltatory::control::run::{Options, run};
use saltatory::control::stop::Stop;
use saltatory::model::Model;
use saltatory::sources::Speed;
use std::path::Path;

const CONFIG: &str = r#"
deadline_ms = 1000.0
late = "degrade"
degrade = "quick"

[[source]]
kind = "synthetic"
id = "eeg"
duration_s = 12.0

[[stage]]
kind = "bandpass"
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
kind = "mdm"
id = "quick"
from = "covariance"

[fit]
classes = { left = "T1", right = "T2" }
start_s = 0.5
"#;

/// A fit without anything special.
fn asked<'a>(config: &'a Path, recordings: &'a [String], out: &'a Path) -> fit::Fit<'a> {
    fit::Fit {
        config,
        sets: &[],
        recordings,
        weights: &[],
        out,
        tune: None,
        report: None,
        json: true,
    }
}

#[test]
fn both_branches_are_fitted_and_run() {
    let folder = tempfile::tempdir().unwrap();
    let (path, model) = (folder.path().join("both.toml"), folder.path().join("both.safetensors"));
    std::fs::write(&path, CONFIG).unwrap();
    let recordings = ["synthetic:1".to_owned(), "synthetic:2".to_owned()];
    fit::fit(&asked(&path, &recordings, &model)).unwrap();
    let parts = Model::load(&model).unwrap().parts;
    assert_eq!(
        parts.keys().map(String::as_str).collect::<Vec<_>>(),
        ["logistic", "quick", "tangent"]
    );

    let sets = [format!("model={}", model.display())];
    let options = Options { speed: Some(Speed::Max), keep_decisions: true, ..Options::default() };
    let report = run(config::load(&path, &sets).unwrap(), &options, &Stop::default()).unwrap();
    // A recording waits, so every window has time for the main branch.
    assert_eq!(report.decisions.len(), 101);
    assert!(report.decisions.iter().all(|d| !d.degraded && !d.late));
}

#[test]
fn a_branch_that_cannot_learn_from_the_epochs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("apart.toml");
    let apart = CONFIG.replace("from = \"covariance\"", "from = \"other\"").replace(
        "[[stage]]\nkind = \"mdm\"",
        "[[stage]]\nkind = \"window\"\nid = \"short\"\nfrom = \"bandpass\"\nlength_s = 1.0\nstep_s = 0.1\n\n\
         [[stage]]\nkind = \"covariance\"\nid = \"other\"\n\n[[stage]]\nkind = \"mdm\"",
    );
    std::fs::write(&path, apart).unwrap();
    let model = folder.path().join("apart.safetensors");
    let error = fit::fit(&asked(&path, &["synthetic:1".to_owned()], &model)).unwrap_err();
    assert!(error.to_string().contains("must branch off behind"), "{error}");
}
