//! Networks in a run: one that hangs holds up nobody, one that is swapped loses no window, and none takes more and
//! more memory.
//!
//! ONNX Runtime is needed (`scripts/setup onnx`); without it nothing is tried, unless SALTATORY_REQUIRE_PYTHON is set.
#![allow(clippy::unwrap_used)]

#[path = "support/doubles.rs"]
mod doubles;
#[path = "support/lab.rs"]
#[allow(dead_code)]
mod lab;
mod support;

use doubles::{Bench, decide, load, page, samples};
use saltatory::config::Config;
use saltatory::frame::{Frame, Payload, Spec};
use saltatory::ledger::Cause;
use saltatory::stages::{Emit, decode};
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

/// Bytes of memory that this process has in use.
fn memory() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

struct Nowhere;

impl Emit for Nowhere {
    fn emit(&mut self, _frame: &mut Frame) {}

    fn count(&mut self, cause: Cause, _n: u64) {
        panic!("{cause:?}");
    }
}

#[test]
fn memory_does_not_grow_over_a_hundred_thousand_windows() {
    if !cfg!(target_os = "linux") || !support::has_onnx_runtime() {
        return;
    }
    let labels: Vec<String> =
        ["Fz", "FC1", "FC2", "C3", "Cz", "C4", "Pz", "Oz"].map(str::to_owned).into();
    let channels = labels.into_iter().map(saltatory::frame::Channel::named).collect();
    let spec = Spec { payload: Payload::Window, ..Spec::samples(channels, 160.0, 320) };
    let kind = decode::KINDS.iter().find(|k| k.name == "onnx").unwrap();
    for (more, windows) in [("", 100_000), ("budget_ms = 60000.0\nfallback = \"previous\"", 20_000)]
    {
        let model = support::root().join("models/eegnet.onnx");
        let mut stage = kind.from_toml(&format!("model = {model:?}\n{more}")).unwrap().unit;
        stage.prepare(std::slice::from_ref(&spec)).unwrap();
        let mut frame = spec.frame();
        frame.resize(spec.rows, spec.cols);
        let mut run = |n: usize| {
            for i in 0..n {
                frame
                    .data
                    .iter_mut()
                    .enumerate()
                    .for_each(|(j, v)| *v = ((i * 7 + j * 13) % 29) as f64);
                stage.process(&mut frame, &mut Nowhere).unwrap();
            }
            memory()
        };
        let early = run(windows / 10);
        let late = run(windows - windows / 10);
        // The library keeps an arena, which has its size after the first windows. A leak of one window's numbers
        // (10 KiB) each would be a gigabyte.
        assert!(late < early + (8 << 20), "{early} bytes grew to {late}");
    }
}
