//! Models from and for others: pipelines fitted with pyRiemann and scikit-learn decide in our program as they do
//! in Python, and exported ones do so in ONNX Runtime, on epochs of a real recording that a model has not
//! seen (simulated ones where there is none).
//!
//! Tolerance 1e-6 for probabilities: both compute in 64 bits, and what differs is the order of sums and how
//! logarithms of matrices are found. Classes stand in another order in the config than in Python on purpose.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use saltatory::fit::{Epochs, Plan};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TOLERANCE: f64 = 1e-6;

/// Two classes and three, with rest.
const SETS: [(&str, &str); 2] = [
    ("set2", "right = \"T2\", left = \"T1\""),
    ("set3", "rest = \"T0\", right = \"T2\", left = \"T1\""),
];

/// The pipelines of tests/interop/models.py.
const PIPELINES: [(&str, &str); 10] = [
    ("ts-lr", "covariance estimator=\"oas\"; tangent; logistic c=0.5"),
    ("ts-lda", "covariance estimator=\"oas\"; tangent; lda"),
    ("ts-svc", "covariance estimator=\"lwf\"; tangent; svm c=0.7"),
    ("ts-rbf", "covariance estimator=\"oas\"; tangent; svm kernel=\"rbf\""),
    ("ts-plain", "covariance estimator=\"oas\"; tangent; svm calibrate=false"),
    ("mdm", "covariance estimator=\"scm\"; mdm"),
    ("csp-lda", "covariance estimator=\"cov\"; csp filters=6; lda shrinkage=\"none\""),
    ("csp-lr", "covariance estimator=\"oas\"; csp filters=4; logistic"),
    ("csp-skew", "covariance estimator=\"scm\"; csp filters=6; svm"),
    ("csp-svc", "covariance estimator=\"lwf\"; csp filters=6; svm"),
];

/// What cannot be exported, and what the refusal says.
const REFUSED: [(&str, &str); 2] = [("mdm", "logarithms of matrices"), ("ts-rbf", "curved kernel")];

/// The Python that has pyRiemann and ONNX Runtime.
fn python() -> Option<PathBuf> {
    let set = std::env::var_os("SALTATORY_PYTHON").map(PathBuf::from);
    let path = set.unwrap_or_else(|| support::root().join(".venv/bin/python"));
    path.is_file().then_some(path)
}

/// The filter of the pipelines that others fit.
const BANDPASS: &str = "bandpass low_hz=8.0\nhigh_hz=30.0";

/// A pipeline that only we fit: a filter bank, of whose features some are left out.
const BANK: [&str; 2] = [
    "filter_bank bands_hz=[[8, 12], [12, 24]]",
    "covariance estimator=\"oas\"; csp bands=2\nfilters=4\nkeep=5; logistic",
];

/// A config that decides at the cues of `recording`.
fn config(recording: &str, classes: &str, filter: &str, stages: &str) -> String {
    let event = "event start_s=0.5\nlength_s=2.5\nfrom=[\"filter\", \"markers\"]";
    let stage = |text: &str| {
        let (kind, settings) = text.split_once(' ').unwrap_or((text, ""));
        format!("[[stage]]\nkind = \"{kind}\"\n{settings}\n")
    };
    let source =
        |more: &str| format!("[[source]]\nkind = \"replay\"\npath = {recording:?}\n{more}\n");
    [
        source("id = \"eeg\""),
        source("id = \"markers\"\nstream = \"markers\""),
        stage("pick from=\"eeg\"\nchannels=[\"FC*\", \"C?\", \"CP*\"]"),
        stage(&format!("{filter}\nid=\"filter\"")),
        stage(&format!("{event}\nclasses={{ {classes} }}")),
        stages.split("; ").map(stage).collect(),
    ]
    .concat()
}

/// Recordings to learn from, and one to decide on.
fn recordings() -> ([String; 2], String) {
    let folder = support::root().join("../shared/data/physionet-eegmmidb");
    let file = |run: &str| folder.join(format!("S007{run}.edf")).to_str().unwrap().to_owned();
    match Path::new(&file("R12")).is_file() {
        true => ([file("R04"), file("R08")], file("R12")),
        false => (["synthetic:1".into(), "synthetic:2".into()], "synthetic:3".into()),
    }
}

/// Writes the numbers of epochs; returns their shape and classes.
fn write(epochs: &Epochs, path: &Path) -> Value {
    let numbers = epochs.frames.iter().flat_map(|frame| &frame.data);
    let bytes: Vec<u8> = numbers.flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(path, bytes).unwrap();
    json!({
        "shape": [epochs.frames.len(), epochs.spec.rows, epochs.spec.cols],
        "labels": epochs.labels,
    })
}

fn saltatory(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_saltatory")).args(arguments).output().unwrap()
}

fn succeed(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn models_travel_both_ways() {
    let required = std::env::var("SALTATORY_REQUIRE_PYTHON").is_ok_and(|v| v == "1");
    let Some(python) = python() else {
        assert!(!required, "no Python at .venv/bin/python nor in SALTATORY_PYTHON");
        println!("skipped: no Python; `make test` makes one and runs this");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    let script = |name: &str| {
        let mut command = Command::new(&python);
        command.arg(support::root().join("tests/interop").join(name)).arg(folder);
        command
    };
    succeed(&script("models.py").arg(env!("CARGO_BIN_EXE_saltatory")).output().unwrap());
    for (set, _) in SETS {
        for (pipeline, _) in PIPELINES {
            let name = format!("{set}-{pipeline}");
            decides_as_in_python(folder, &name);
            exports_or_refuses(folder, &name, pipeline);
        }
    }
    let (config, model) = (folder.join("bank-csp.toml"), folder.join("bank-csp.safetensors"));
    let ([first, second], _) = recordings();
    let names = [config.to_str().unwrap(), &first, &second, "--out", model.to_str().unwrap()];
    succeed(&saltatory(&[&["fit"], &names[..]].concat()));
    run(folder, "bank-csp");
    exports_or_refuses(folder, "bank-csp", "csp");
    succeed(&script("onnx_models.py").output().unwrap());
}

/// Writes epochs and configs.
fn prepare(folder: &Path) {
    let (_, decided) = recordings();
    for (set, classes) in SETS {
        for (pipeline, stages) in PIPELINES {
            let text = config(&decided, classes, BANDPASS, stages);
            std::fs::write(folder.join(format!("{set}-{pipeline}.toml")), text).unwrap();
        }
        write_epochs(folder, set, "mdm");
    }
    let text = config(&decided, SETS[0].1, BANK[0], BANK[1]);
    std::fs::write(folder.join("bank-csp.toml"), text).unwrap();
    write_epochs(folder, "bank", "csp");
}

/// Writes the epochs that the config SET-PIPELINE cuts.
fn write_epochs(folder: &Path, set: &str, pipeline: &str) {
    let (learned, decided) = recordings();
    let plan = Plan::new(&folder.join(format!("{set}-{pipeline}.toml")), &[]).unwrap();
    let train = learned.iter().map(|name| plan.epochs(name).unwrap()).collect();
    let (train, test) = (Epochs::pool(train).unwrap(), plan.epochs(&decided).unwrap());
    let facts = json!({
        "classes": train.classes,
        "recording": learned[0],
        "train": write(&train, &folder.join(format!("{set}.train"))),
        "test": write(&test, &folder.join(format!("{set}.test"))),
    });
    std::fs::write(folder.join(format!("{set}.json")), facts.to_string()).unwrap();
}

/// Runs the model over the recording that is decided on; returns the report.
fn run(folder: &Path, name: &str) -> Value {
    let file = |end: &str| folder.join(format!("{name}{end}")).to_str().unwrap().to_owned();
    let model = format!("model={}", file(".safetensors"));
    let report = file(".report.json");
    let run = ["run", &file(".toml"), "--set", &model, "--speed", "max", "--report", &report];
    succeed(&saltatory(&run));
    read(Path::new(&report))
}

/// Runs the imported model, and compares.
fn decides_as_in_python(folder: &Path, name: &str) {
    let (want, got) = (read(&folder.join(format!("{name}.json"))), run(folder, name));
    let decisions = got["decisions"].as_array().unwrap();
    assert_eq!(decisions.len(), want["decided"].as_array().unwrap().len(), "{name}");
    let (mut worst, mut moved) = (0.0_f64, 0);
    for (i, decision) in decisions.iter().enumerate() {
        let (scores, decided) = (&want["probabilities"][i], &want["decided"][i]);
        assert_eq!(decision["label"], *decided, "{name}, epoch {i}");
        let scores = scores.as_object().unwrap();
        let top =
            scores.iter().max_by(|a, b| a.1.as_f64().unwrap().total_cmp(&b.1.as_f64().unwrap()));
        // Where the calibrated probabilities of an SVC are against its decision, ours side with the decision.
        if top.unwrap().0 != decided.as_str().unwrap() {
            moved += 1;
            continue;
        }
        for (class, p) in scores {
            let ours = decision["scores"][class].as_f64().unwrap();
            worst = worst.max((ours - p.as_f64().unwrap()).abs());
        }
    }
    println!("{name}: largest difference {worst:.1e}, {moved} of {} sided", decisions.len());
    assert!(worst < TOLERANCE, "{name}: {worst}");
    // These are there to be against the decision, the others to be compared.
    match name.ends_with("skew") {
        true => assert!(moved > 0, "{name}: no probabilities are against the decision"),
        false => assert!(2 * moved < decisions.len(), "{name}: too few epochs to compare"),
    }
}

/// Exports the model, or is told why that cannot be.
fn exports_or_refuses(folder: &Path, name: &str, pipeline: &str) {
    let file = |end: &str| folder.join(format!("{name}{end}")).to_str().unwrap().to_owned();
    let output = saltatory(&["export", &file(".safetensors"), "--out", &file(".onnx")]);
    match REFUSED.iter().find(|(refused, _)| *refused == pipeline) {
        None => succeed(&output),
        Some((_, why)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.code() == Some(2) && said.contains(why), "{name}: {said}");
        }
    }
}
