//! `saltatory evaluate` decides exactly as many epochs rightly as pyRiemann and scikit-learn do with
//! the same filter, windows and folds (`tests/golden/evaluate.py`), fold by fold.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::process::Command;

const RUNS: [&str; 3] = ["R04", "R08", "R12"];

/// The correct epochs of each fold, over all results.
fn evaluate(subject: &str, protocol: &str) -> Vec<(u64, u64)> {
    let folder = support::recordings().unwrap().join("physionet-eegmmidb");
    let output = Command::new(env!("CARGO_BIN_EXE_saltatory"))
        .args(["evaluate", "configs/motor_imagery.toml", "--json", "--protocol", protocol])
        .args(RUNS.map(|run| folder.join(format!("{subject}{run}.edf"))))
        .current_dir(support::root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["protocol"], protocol);
    let results = report["results"].as_array().unwrap();
    for result in results {
        let (n, correct) = (result["n"].as_u64().unwrap(), result["correct"].as_u64().unwrap());
        let folds = folds(&result["folds"]);
        assert_eq!(folds.iter().map(|f| f.0).sum::<u64>(), n);
        assert_eq!(folds.iter().map(|f| f.1).sum::<u64>(), correct);
        let accuracy = result["accuracy"].as_f64().unwrap();
        assert!((accuracy - correct as f64 / n as f64).abs() < 1e-12);
    }
    results.iter().flat_map(|r| folds(&r["folds"])).collect()
}

fn folds(list: &Value) -> Vec<(u64, u64)> {
    let number = |f: &Value, key: &str| f[key].as_u64().unwrap();
    list.as_array().unwrap().iter().map(|f| (number(f, "n"), number(f, "correct"))).collect()
}

#[test]
fn as_many_epochs_are_right_as_with_pyriemann() {
    if support::recordings().is_none() {
        println!("no recordings beside the checkout: nothing to compare");
        return;
    }
    let golden = std::fs::read(support::root().join("tests/golden/evaluate.json")).unwrap();
    let golden: Value = serde_json::from_slice(&golden).unwrap();
    for subject in golden.as_array().unwrap() {
        let name = subject["subject"].as_str().unwrap();
        for protocol in ["within", "cross"] {
            assert_eq!(evaluate(name, protocol), folds(&subject[protocol]), "{name} {protocol}");
        }
    }
}

/// A pipeline without a `window` stage, whose features are made of the stream: epochs are cut at the
/// markers all the same.
#[test]
fn band_power_learns() {
    let config = r#"
        [[source]]
        kind = "lsl"
        type = "EEG"
        [[source]]
        kind = "lsl"
        id = "markers"
        type = "Markers"
        [[stage]]
        kind = "bandpass"
        from = "lsl"
        low_hz = 8.0
        high_hz = 30.0
        [[stage]]
        kind = "band_power"
        step_s = 0.1
        length_s = 2.0
        log = true
        [[stage]]
        kind = "logistic"
        c = 0.1
        [fit]
        classes = { left = "T1", right = "T2" }
        start_s = 0.5
    "#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("power.toml");
    std::fs::write(&path, config).unwrap();
    let plan = saltatory::fit::Plan::new(&path, &[]).unwrap();
    let epochs = (1..=4).map(|seed| plan.epochs(&format!("synthetic:{seed}")).unwrap());
    let epochs: Vec<_> = epochs.collect();
    for e in &epochs {
        assert_eq!((e.spec.rows, e.spec.cols), (320, 64));
        assert!(e.counts().iter().all(|n| *n >= 6), "{:?}", e.counts());
        assert!(e.frames.iter().all(|f| f.span.last - f.span.first == 319), "2 s at 160 Hz");
    }
    let results = saltatory::fit::evaluate(
        std::slice::from_ref(&plan),
        epochs,
        saltatory::fit::Protocol::Cross,
        &|| (),
    )
    .unwrap();
    let (n, correct) = results.iter().fold((0, 0), |(n, c), r| (n + r.n, c + r.correct));
    println!("{correct} of {n} right");
    assert!(correct as f64 > 0.65 * n as f64, "{correct} of {n}");
}

/// Filter-bank common spatial patterns with rejection, from samples to scores: above chance, and what is
/// rejected is decided for no class.
#[test]
fn a_filter_bank_learns_and_rejects() {
    let config = r#"
        [[source]]
        kind = "lsl"
        type = "EEG"
        [[source]]
        kind = "lsl"
        id = "markers"
        type = "Markers"
        [[stage]]
        kind = "pick"
        from = "lsl"
        channels = ["FC*", "C3", "C4", "Cz", "CP*"]
        [[stage]]
        kind = "filter_bank"
        bands_hz = [[8, 12], [12, 20]]
        [[stage]]
        kind = "window"
        length_s = 2.0
        step_s = 0.1
        [[stage]]
        kind = "covariance"
        [[stage]]
        kind = "csp"
        bands = 2
        filters = 4
        keep = 6
        [[stage]]
        kind = "lda"
        [fit]
        classes = { left = "T1", right = "T2" }
        start_s = 0.5
    "#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.toml");
    let score = |config: &str| {
        std::fs::write(&path, config).unwrap();
        let plan = saltatory::fit::Plan::new(&path, &[]).unwrap();
        let epochs = (1..=4).map(|seed| plan.epochs(&format!("synthetic:{seed}")).unwrap());
        let cross = saltatory::fit::Protocol::Cross;
        let results =
            saltatory::fit::evaluate(std::slice::from_ref(&plan), epochs.collect(), cross, &|| ())
                .unwrap();
        let sum = |of: &dyn Fn(&saltatory::fit::Evaluation) -> usize| results.iter().map(of).sum();
        let answered = |r: &saltatory::fit::Evaluation| r.confusion.concat().iter().sum();
        let counts: [usize; 3] = [sum(&|r| r.n), sum(&|r| r.correct), sum(&answered)];
        println!("of {} {} right, {} answered", counts[0], counts[1], counts[2]);
        counts
    };
    let [n, correct, answered] = score(config);
    assert!(correct as f64 > 0.65 * n as f64 && answered == n);
    let rejecting = config.replace("kind = \"lda\"", "kind = \"lda\"\nreject = 0.0");
    let [n, correct, answered] = score(&rejecting);
    assert!(answered < n && answered > 0 && correct <= answered);
}

/// A simulated subject is above chance where the classes differ and at chance where nothing tells
/// them apart: what would decode there is leakage.
#[test]
fn nothing_leaks() {
    let accuracy = |shuffle: bool| {
        let plan =
            saltatory::fit::Plan::new(&support::root().join("configs/motor_imagery.toml"), &[])
                .unwrap();
        let epochs = (1..=4).map(|seed| plan.epochs(&format!("synthetic:{seed}")).unwrap());
        let mut epochs: Vec<_> = epochs.collect();
        if shuffle {
            // Labels that have nothing to do with the data, balanced within each recording.
            for (i, e) in epochs.iter_mut().enumerate() {
                let n = e.labels.len();
                e.labels = (0..n).map(|j| (j * 5 + i * 3) / 2 % 2).collect();
            }
        }
        let results = saltatory::fit::evaluate(
            std::slice::from_ref(&plan),
            epochs,
            saltatory::fit::Protocol::Cross,
            &|| (),
        );
        let results = results.unwrap();
        let n: usize = results.iter().map(|r| r.n).sum();
        let correct: usize = results.iter().map(|r| r.correct).sum();
        (correct as f64 / n as f64, n)
    };
    let (real, _) = accuracy(false);
    assert!(real > 0.8, "accuracy {real}");
    let (shuffled, n) = accuracy(true);
    // Three standard deviations of a fair coin.
    let bound = 0.5 + 3.0 * (0.25 / n as f64).sqrt();
    assert!(shuffled < bound, "accuracy {shuffled} with labels that mean nothing");
}

/// The pipelines under `[[compare]]` that Python has too.
const COMPARED: [&str; 5] = ["MDM", "FgMDM", "TS+LR", "TS+SVM", "CSP+LDA"];

/// Sessions of trials that were cut before.
const GRAZ: [&str; 5] = ["B0403T", "B0404E", "B0405E", "B0803T", "B0804E"];

/// Every classifier decides as many epochs rightly as its counterpart in pyRiemann and scikit-learn
/// (`tests/golden/pipelines.py`), fold by fold, within and across recordings, on every subject.
#[test]
fn every_pipeline_is_right_as_often_as_its_reference() {
    let Some(folder) = support::recordings() else {
        println!("no recordings beside the checkout: nothing to compare");
        return;
    };
    let golden = std::fs::read(support::root().join("tests/golden/pipelines.json")).unwrap();
    let golden: Vec<Value> = serde_json::from_slice(&golden).unwrap();
    let eeg = folder.join("physionet-eegmmidb");
    let sessions = tempfile::tempdir().unwrap();
    let script = support::root().join("docs/interop/graz_epochs.py");
    let mut names = vec!["S001", "S002", "S003", "S007", "S012", "eeg1"];
    if let Some(python) = python() {
        let made = Command::new(python)
            .args([script.as_path(), sessions.path()])
            .args(GRAZ.map(|name| folder.join(format!("bci-competition-iv-2b/{name}.mat"))))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        names.extend(["B04", "B08"]);
    }
    for name in names {
        let (config, recordings, sets): (_, Vec<std::path::PathBuf>, &[&str]) = match name {
            "eeg1" => {
                let runs = [1, 2, 3].map(|i| folder.join(format!("bci2000-samples/eeg1_{i}.dat")));
                let classes = "fit.classes={one = \"TargetCode 1\", two = \"TargetCode 2\"}";
                ("motor_imagery_acm", runs.to_vec(), &["--set", classes])
            }
            "B04" => (
                "motor_imagery_epochs",
                graz(sessions.path(), &["B0403T", "B0404E", "B0405E"]),
                &[],
            ),
            "B08" => ("motor_imagery_epochs", graz(sessions.path(), &["B0803T", "B0804E"]), &[]),
            subject => {
                let runs = RUNS.map(|run| eeg.join(format!("{subject}{run}.edf")));
                ("motor_imagery_acm", runs.to_vec(), &[])
            }
        };
        for protocol in ["within", "cross"] {
            let output = Command::new(env!("CARGO_BIN_EXE_saltatory"))
                .args(["evaluate", &format!("configs/{config}.toml"), "--json"])
                .args(["--only", &COMPARED.join(","), "--protocol", protocol])
                .args(sets)
                .args(&recordings)
                .current_dir(support::root())
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            for pipeline in COMPARED {
                let results = report["results"].as_array().unwrap().iter();
                let own = results.filter(|r| r["pipeline"] == pipeline);
                let got: Vec<_> = own.flat_map(|r| folds(&r["folds"])).collect();
                let want = golden.iter().find(|g| g["data"] == name && g["pipeline"] == pipeline);
                assert_eq!(got, folds(&want.unwrap()[protocol]), "{name} {pipeline} {protocol}");
            }
        }
    }
}

/// The Python that has SciPy, if there is one; there must be where the tests say so.
fn python() -> Option<std::path::PathBuf> {
    let set = std::env::var_os("SALTATORY_PYTHON").map(std::path::PathBuf::from);
    let python = set.unwrap_or_else(|| support::root().join(".venv/bin/python"));
    let required = std::env::var_os("SALTATORY_REQUIRE_PYTHON").is_some();
    assert!(python.is_file() || !required, "no Python at {}", python.display());
    python.is_file().then_some(python)
}

/// Files of epochs of these sessions.
fn graz(folder: &std::path::Path, sessions: &[&str]) -> Vec<std::path::PathBuf> {
    let file = |session: &&str| {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.into_iter().find(|p| p.to_string_lossy().contains(*session)).unwrap()
    };
    sessions.iter().map(file).collect()
}

/// A file of `trials` trials of 100 samples of 2 channels at 250 Hz, classes in turn, whose first
/// sample is `start_s` behind the cue.
fn trials_file(path: &std::path::Path, trials: usize, start_s: f64) {
    use safetensors::tensor::{Dtype, TensorView};
    let rows = 100 * trials;
    let numbers = (0..2 * rows).map(|i| ((i * i) as f64 * 0.37).sin() * (1 + i / 200 % 2) as f64);
    let data: Vec<u8> = numbers.flat_map(f64::to_le_bytes).collect();
    let labels: Vec<u8> = (0..trials as i64).flat_map(|i| (i % 2).to_le_bytes()).collect();
    let about = serde_json::json!({
        "version": 1, "rate_hz": 250.0, "channels": ["C3", "C4"], "unit": "uV",
        "classes": ["left", "right"], "start_s": start_s, "source": "generated",
    });
    let tensors = [
        ("data", TensorView::new(Dtype::F64, vec![trials, 100, 2], &data).unwrap()),
        ("labels", TensorView::new(Dtype::I64, vec![trials], &labels).unwrap()),
    ];
    let metadata = [("saltatory_epochs".to_string(), about.to_string())].into();
    std::fs::write(path, safetensors::serialize(tensors, Some(metadata)).unwrap()).unwrap();
}

/// An epoch with the `start_s` of the file and the length of its trials is exactly a trial, wherever
/// the cue lies: before the trial in the pause, at its start, within it, between two samples.
#[test]
fn trials_are_cut_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (config, trials) = (folder.path().join("c.toml"), folder.path().join("t.safetensors"));
    for start_s in [0.0, 0.5, 0.502, 1.9966, 7.3, -0.004, -0.1, -0.206, -0.396] {
        let text = format!(
            r#"
            [[source]]
            kind = "lsl"
            type = "EEG"
            [[source]]
            kind = "lsl"
            id = "markers"
            type = "Markers"
            [[stage]]
            kind = "window"
            from = "lsl"
            length_s = 0.4
            step_s = 0.1
            [[stage]]
            kind = "covariance"
            [[stage]]
            kind = "mdm"
            [fit]
            classes = {{ left = "left", right = "right" }}
            start_s = {start_s:?}
        "#
        );
        std::fs::write(&config, text).unwrap();
        trials_file(&trials, 20, start_s);
        let plan = saltatory::fit::Plan::new(&config, &[]).unwrap();
        let epochs = plan.epochs(trials.to_str().unwrap()).unwrap();
        let period = 100 + ((1.0 + f64::abs(start_s)) * 250.0).ceil() as u64;
        let spans: Vec<_> = epochs.frames.iter().map(|f| (f.span.first, f.span.last)).collect();
        let want: Vec<_> = (0..20).map(|i| (i * period, i * period + 99)).collect();
        assert_eq!(spans, want, "start_s = {start_s}");
        assert_eq!(epochs.labels, (0..20).map(|i| i % 2).collect::<Vec<_>>());
        assert!(!epochs.warnings.iter().any(|w| w.contains("epoch")), "{:?}", epochs.warnings);

        let output = Command::new(env!("CARGO_BIN_EXE_saltatory"))
            .args(["evaluate", "--json"])
            .args([&config, &trials])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        // The classes differ by a factor of two in amplitude.
        assert_eq!(
            (&report["results"][0]["n"], &report["results"][0]["correct"]),
            (&20.into(), &20.into())
        );
    }
}

/// With a weight next to nothing a recording might as well not be there; what cannot weigh says so.
#[test]
fn recordings_count_by_their_weights() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        std::fs::read_to_string(support::root().join("configs/motor_imagery.toml")).unwrap();
    let path = folder.path().join("mdm.toml");
    let decoder = "[[stage]]\nkind = \"tangent\"\n\n[[stage]]\nkind = \"logistic\"";
    assert!(config.contains(decoder));
    std::fs::write(&path, config.replace(decoder, "[[stage]]\nkind = \"mdm\"")).unwrap();
    type Means = saltatory::error::Result<Vec<f64>>;
    let fit = |config: &std::path::Path, recordings: &[&str], weights: &[f64]| -> Means {
        let recordings: Vec<String> = recordings.iter().map(|r| (*r).to_owned()).collect();
        let out = folder.path().join("m.safetensors");
        let asked = saltatory::control::fit::Fit {
            config,
            sets: &[],
            recordings: &recordings,
            weights,
            out: &out,
            tune: None,
            report: None,
            json: true,
        };
        saltatory::control::fit::fit(&asked)?;
        let model = saltatory::model::Model::load(&out)?;
        Ok(model.parts["mdm"].tensors["means"].data.clone())
    };
    let (one, both) = (["synthetic:1"], ["synthetic:1", "synthetic:2"]);
    let alone = fit(&path, &one, &[]).unwrap();
    let pooled = fit(&path, &both, &[]).unwrap();
    let light = fit(&path, &both, &[1.0, 1e-9]).unwrap();
    assert!(support::relative_error(&light, &alone) < 1e-6);
    assert!(support::relative_error(&pooled, &alone) > 1e-3);
    let even = fit(&path, &both, &[2.0, 2.0]).unwrap();
    assert!(support::relative_error(&even, &pooled) < 1e-8);
    let logistic = support::root().join("configs/motor_imagery.toml");
    let error = fit(&logistic, &both, &[1.0, 0.5]).unwrap_err().to_string();
    assert!(error.contains("count differently"), "{error}");
    assert!(fit(&path, &both, &[1.0]).unwrap_err().to_string().contains("--weight"));
}
