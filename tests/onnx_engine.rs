//! Networks in a run: one that hangs holds up nobody, and one that is swapped loses no window.
//!
//! ONNX Runtime is needed (`scripts/setup onnx`); without it nothing is tried, unless SALTATORY_REQUIRE_PYTHON is set.
#![allow(clippy::unwrap_used)]

#[path = "support/doubles.rs"]
mod doubles;
#[path = "support/lab.rs"]
mod lab;
mod support;

use doubles::{Bench, decide, load, page, samples};
use saltatory::config::Config;
use saltatory::ledger::Cause;
use std::path::{Path, PathBuf};

/// Samples from one window to the next.
const HOP: u64 = 16;

fn folder() -> Option<tempfile::TempDir> {
    support::has_onnx_runtime().then(|| tempfile::tempdir().unwrap())
}

fn write(folder: &Path, name: &str, model: &[u8], output: &str) -> PathBuf {
    let manifest = format!("[input]\naxes = [\"channels\", \"samples\"]\n[output]\n{output}\n");
    let path = folder.join(name);
    std::fs::write(path.with_extension("toml"), manifest).unwrap();
    std::fs::write(&path, model).unwrap();
    path
}

/// So many products with a matrix of so many rows and columns: some 40 ms on one core.
const SIDE: usize = 512;

fn slow() -> Vec<u8> {
    const PRODUCTS: usize = 600;
    let mut graph = vec![
        support::onnx::diagonal("w", SIDE, 1.0),
        support::onnx::table(11, "x", SIDE),
        support::onnx::table(12, "y", SIDE),
    ];
    for i in 0..PRODUCTS {
        let from = if i == 0 { "x".into() } else { format!("h{i}") };
        let to = if i + 1 == PRODUCTS { "y".to_owned() } else { format!("h{}", i + 1) };
        graph.push(support::onnx::node("MatMul", [&from, "w"], &to));
    }
    support::onnx::model(&graph)
}

#[test]
fn a_network_that_hangs_makes_no_decision_of_the_main_lane_late() {
    let Some(folder) = folder() else { return };
    let path = write(folder.path(), "slow.onnx", &slow(), "kind = \"embedding\"");
    let mut config = load(&format!(
        "deadline_ms = 1000.0\n[[source]]\nkind = \"synthetic\"\nid = \"eeg\"\n\
         [[stage]]\nkind = \"window\"\nlength_s = 3.2\nstep_s = 0.1\n\
         [[stage]]\nkind = \"vote\"\nid = \"main\"\nfrom = \"window\"\n\
         [[stage]]\nkind = \"onnx\"\nid = \"hangs\"\nfrom = \"window\"\nbudget_ms = 0.5\nmodel = {path:?}\n"
    ));
    config.stages[1].unit = decide(|_| ());
    let mut bench = Bench::start(config, samples(1, 160.0));
    bench.feed(SIDE as u64 - HOP);
    for windows in 1..=50 {
        bench.feed(HOP);
        bench.until("the decision", |b| b.page("main").passed_on == windows);
    }
    let (report, result) = bench.end();
    result.unwrap();
    assert_eq!(report.decisions.len(), 50);
    assert!(report.decisions.iter().all(|d| !d.late));
    assert_eq!(page(&report, "main").count(Cause::Late), 0);
    let hangs = page(&report, "hangs");
    // It answered nothing, and each window that came to it is counted.
    assert_eq!((hangs.passed_on, hangs.count(Cause::Budget)), (0, hangs.taken_in));
    assert!(hangs.taken_in > 0);
}

/// A network that always decides for class number `class` of as many as a window has samples.
fn stubborn(class: usize) -> Vec<u8> {
    let mut bias = vec![0.0; HOP as usize];
    bias[class] = 1e4;
    support::onnx::line(&vec![1.0; HOP as usize], &bias)
}

fn with_model(path: &Path) -> Config {
    load(&format!(
        "[[source]]\nkind = \"synthetic\"\nid = \"eeg\"\n\
         [[stage]]\nkind = \"window\"\nlength_s = 0.1\nstep_s = 0.1\n[[stage]]\nkind = \"onnx\"\nmodel = {path:?}\n"
    ))
}

#[test]
fn a_new_network_takes_over_between_two_windows() {
    const WINDOWS: u64 = 60;
    let Some(folder) = folder() else { return };
    let classes: Vec<String> = (0..HOP).map(|i| format!("\"c{i}\"")).collect();
    let output = format!("kind = \"logits\"\nclasses = [{}]", classes.join(", "));
    let a = write(folder.path(), "a.onnx", &stubborn(0), &output);
    let b = write(folder.path(), "b.onnx", &stubborn(1), &output);
    let mut bench = Bench::start(with_model(&a), samples(1, 160.0));
    for windows in 1..=WINDOWS {
        bench.feed(HOP);
        bench.until("the windows", |b| b.page("onnx").taken_in == windows);
        if windows == 20 {
            bench.session.running.swap(with_model(&b)).unwrap();
        }
        if windows == 40 {
            // Another file, another network, under the name that it had.
            std::fs::write(&b, stubborn(2)).unwrap();
            bench.session.running.swap(with_model(&b)).unwrap();
        }
    }
    let (report, result) = bench.end();
    result.unwrap();
    let lasts: Vec<u64> = report.decisions.iter().map(|d| d.last_sample).collect();
    assert_eq!(lasts, (1..=WINDOWS).map(|i| i * HOP - 1).collect::<Vec<_>>(), "each window once");
    let mut seen: Vec<(String, String)> = Vec::new();
    for decision in &report.decisions {
        let now = (decision.label.clone(), decision.model.clone().unwrap());
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    let labels: Vec<&str> = seen.iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(labels, ["c0", "c1", "c2"]);
    for (i, (_, signature)) in seen.iter().enumerate() {
        let sha256 = saltatory::model::sha256(&stubborn(i));
        assert_eq!(*signature, sha256[..32], "decisions are signed by the network that made them");
    }
}
