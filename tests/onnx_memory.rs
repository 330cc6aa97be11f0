//! A network takes no more memory after a hundred thousand windows than after ten thousand. Alone in its process, so that
//! nothing else takes any.
//!
//! ONNX Runtime is needed (`scripts/setup onnx`); without it nothing is tried, unless SALTATORY_REQUIRE_PYTHON is set.
#![allow(clippy::unwrap_used)]

mod support;

use saltatory::frame::{Channel, Frame, Payload, Spec};
use saltatory::ledger::Cause;
use saltatory::stages::{Emit, decode};

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
    let channels = labels.into_iter().map(Channel::named).collect();
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
