//! Networks as decoders: what they are given, what they answer, and what answers when they do not.
//!
//! The networks are made by hand. ONNX Runtime is needed (`scripts/setup onnx`); without it nothing is tried, unless
//! SALTATORY_REQUIRE_PYTHON is set.
#![allow(clippy::unwrap_used)]

mod support;

use saltatory::frame::{Channel, Flags, Frame, Payload, Spec};
use saltatory::stages::{Stage, decode};
use std::path::Path;
use support::seen::Seen;

/// Writes a model with its manifest.
fn write(folder: &Path, model: &[u8], manifest: &str) {
    std::fs::write(folder.join("net.onnx"), model).unwrap();
    std::fs::write(folder.join("net.toml"), manifest).unwrap();
}

/// The stage for the model in `folder`.
fn stage(folder: &Path, more: &str) -> Box<dyn Stage> {
    let kind = decode::KINDS.iter().find(|k| k.name == "onnx").unwrap();
    let snippet = format!("model = {:?}\n{more}", folder.join("net.onnx"));
    kind.from_toml(&snippet).unwrap().unit
}

fn folder() -> Option<tempfile::TempDir> {
    support::has_onnx_runtime().then(|| tempfile::tempdir().unwrap())
}

/// Windows of `rows` samples of `cols` channels.
fn windows(rows: usize, cols: usize) -> Spec {
    let channels = (0..cols).map(|c| Channel::named(format!("E{c}"))).collect();
    Spec { payload: Payload::Window, ..Spec::samples(channels, 100.0, rows) }
}

fn window(spec: &Spec, last: u64, value: f64) -> Frame {
    let mut frame = spec.frame();
    frame.resize(spec.rows, spec.cols);
    frame.data.iter_mut().enumerate().for_each(|(i, v)| *v = value + i as f64);
    frame.span.last = last;
    frame
}

const LOGITS: &str = "[input]\naxes = [\"channels\", \"samples\"]\nchannels = [\"E1\"]\n\
                      [output]\nkind = \"logits\"\nclasses = [\"left\", \"right\"]\n";

#[test]
fn logits_become_probabilities() {
    let Some(folder) = folder() else { return };
    // Two samples of one channel, doubled and shifted: two logits.
    write(folder.path(), &support::onnx::line(&[2.0, 2.0], &[0.0, 1.0]), LOGITS);
    let mut stage = stage(folder.path(), "");
    let spec = windows(2, 3);
    let out = stage.prepare(std::slice::from_ref(&spec)).unwrap();
    assert_eq!((out.payload, out.cols), (Payload::Scores, 2));
    assert_eq!(out.classes, ["left", "right"]);
    let mut seen = Seen::default();
    stage.process(&mut window(&spec, 7, 0.1), &mut seen).unwrap();
    // Channel E1: 1.1 and 4.1, so logits of 2.2 and 9.2.
    let p = 1.0 / (1.0 + 7.0_f64.exp());
    assert!((seen.frames[0].data[0] - p).abs() < 1e-7 && seen.frames[0].span.last == 7);
    assert!((seen.frames[0].data.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    // What is not finite is not decided on.
    assert!(stage.process(&mut window(&spec, 8, f64::NAN), &mut seen).is_err());
}

#[test]
fn what_does_not_fit_is_told_before_anything_runs() {
    let Some(folder) = folder() else { return };
    let refusal = |manifest: &str, spec: &Spec, more: &str| {
        write(folder.path(), &support::onnx::line(&[2.0, 2.0], &[0.0, 1.0]), manifest);
        stage(folder.path(), more).prepare(std::slice::from_ref(spec)).unwrap_err().to_string()
    };
    let spec = windows(2, 3);
    let text = refusal(&LOGITS.replace("\"E1\"", "\"Cz\""), &spec, "");
    assert!(text.contains("net.onnx") && text.contains("`Cz`"), "{text}");
    let text = refusal(LOGITS, &windows(3, 3), "");
    assert!(text.contains("[rows, 2]") && text.contains("[1, 3]"), "{text}");
    let text = refusal(&LOGITS.replace(", \"right\"", ""), &spec, "");
    assert!(text.contains("makes 2 numbers") && text.contains("left"), "{text}");
    let text = refusal("[input]\naxis = 1\n", &spec, "");
    assert!(text.contains("net.toml") && text.contains("axis"), "{text}");
    let text = refusal(LOGITS, &spec, "budget_ms = 5.0\nfallback = \"other\"");
    assert!(text.contains("second input"), "{text}");
    std::fs::remove_file(folder.path().join("net.toml")).unwrap();
    let error = stage(folder.path(), "").prepare(std::slice::from_ref(&spec)).unwrap_err();
    assert!(error.to_string().contains("manifest"), "{error}");
}

/// So many products with a matrix of so many rows and columns: some 40 ms on one core, of a budget of 0.5.
const SIDE: usize = 512;
const PRODUCTS: usize = 600;

fn slow() -> Vec<u8> {
    support::onnx::products(SIDE, PRODUCTS)
}

#[test]
fn a_network_that_is_late_is_not_waited_for() {
    let Some(folder) = folder() else { return };
    let manifest = "[input]\naxes = [\"channels\", \"samples\"]\n[output]\nkind = \"embedding\"\n";
    write(folder.path(), &slow(), manifest);
    let spec = windows(SIDE, 1);
    let mut stage = stage(folder.path(), "budget_ms = 0.5\nfallback = \"none\"");
    stage.prepare(std::slice::from_ref(&spec)).unwrap();
    let mut seen = Seen::default();
    // The first is late, the second finds it busy or is late as well; both are counted, and nobody answers.
    stage.process(&mut window(&spec, 1, 0.0), &mut seen).unwrap();
    stage.process(&mut window(&spec, 2, 0.0), &mut seen).unwrap();
    assert_eq!((seen.frames.len(), seen.over_budget), (0, 2));
}

#[test]
fn the_answer_before_stands_in_and_is_marked() {
    let Some(folder) = folder() else { return };
    let manifest = "[input]\naxes = [\"channels\", \"samples\"]\n[output]\nkind = \"embedding\"\n";
    write(folder.path(), &support::onnx::line(&[3.0], &[0.0]), manifest);
    let spec = windows(1, 1);
    let mut quick = stage(folder.path(), "budget_ms = 60000.0\nfallback = \"previous\"");
    quick.prepare(std::slice::from_ref(&spec)).unwrap();
    let mut seen = Seen::default();
    (0..50).for_each(|i| quick.process(&mut window(&spec, i, i as f64), &mut seen).unwrap());
    let got: Vec<f64> = seen.frames.iter().map(|f| f.data[0]).collect();
    assert_eq!(got, (0..50).map(|i| 3.0 * f64::from(i)).collect::<Vec<_>>());
    assert!(seen.frames.iter().all(|f| !f.flags.has(Flags::DEGRADED)) && seen.over_budget == 0);
}

#[test]
fn another_decoder_answers_for_a_window_it_has_seen() {
    let Some(folder) = folder() else { return };
    let manifest = format!(
        "[input]\naxes = [\"channels\", \"samples\"]\n[output]\nkind = \"scores\"\nclasses = [{}]\n",
        (0..SIDE).map(|i| format!("\"{i}\"")).collect::<Vec<_>>().join(", ")
    );
    write(folder.path(), &slow(), &manifest);
    let spec = windows(SIDE, 1);
    let mut stage = stage(folder.path(), "budget_ms = 0.5\nfallback = \"other\"");
    let classes = (0..SIDE).map(|i| i.to_string()).collect();
    let scores = Spec { payload: Payload::Scores, rows: 1, cols: SIDE, classes, ..Spec::markers() };
    stage.prepare(&[spec.clone(), scores.clone()]).unwrap();
    let mut seen = Seen::default();
    let mut other = window(&scores, 5, 0.0);
    other.input = 1;
    stage.process(&mut other, &mut seen).unwrap();
    stage.process(&mut window(&spec, 5, 0.0), &mut seen).unwrap();
    stage.process(&mut window(&spec, 6, 0.0), &mut seen).unwrap();
    assert_eq!(
        (seen.frames.len(), seen.over_budget),
        (1, 2),
        "only window 5 is known to the other"
    );
    assert!(seen.frames[0].flags.has(Flags::DEGRADED) && seen.frames[0].span.last == 5);
}
