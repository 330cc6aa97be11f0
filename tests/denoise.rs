//! The denoiser: what its overlap-add does to a stream, whatever the network.
//!
//! The networks here are made by hand: one gives back what it is given, one half of it, one NaN. ONNX Runtime is
//! needed (`scripts/setup onnx`); without it nothing is tried, unless SALTATORY_REQUIRE_PYTHON is set.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/feed.rs"]
mod feed;
mod support;

use feed::{Feed, RATE_HZ, feeds};
use saltatory::frame::{Flags, Frame, Spec};
use saltatory::ledger::Cause;
use saltatory::stages::{Emit, Stage, filter};

const HOP: usize = 32;
const MARGIN: usize = 16;
const WINDOW: usize = 320;

#[derive(Default)]
struct Kept(Vec<Frame>);

impl Emit for Kept {
    fn emit(&mut self, frame: &mut Frame) {
        self.0.push(frame.clone());
    }

    fn count(&mut self, _: Cause, _: u64) {}
}

/// A denoiser whose network multiplies by `gain`, for the feed of samples; windows of 2 s.
fn denoiser(gain: f32, rate_hz: f64) -> Option<(Box<dyn Stage>, Feed, Spec, tempfile::TempDir)> {
    if !support::has_onnx_runtime() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gain.onnx");
    let length = (2.0 * rate_hz) as usize;
    std::fs::write(&path, support::onnx::line(&vec![gain; length], &vec![0.0; length])).unwrap();
    let snippet =
        format!("model = {path:?}\nmodel_rate_hz = {rate_hz:?}\nhop_s = 0.2\nmargin_s = 0.1");
    let kind = filter::KINDS.iter().find(|k| k.name == "denoise").unwrap();
    let mut stage = kind.from_toml(&snippet).unwrap().unit;
    let feed = feeds().remove(0);
    let out = stage.prepare(&feed.specs).unwrap();
    Some((stage, feed, out, folder))
}

fn run(stage: &mut dyn Stage, frames: &[Frame]) -> Vec<Frame> {
    let mut kept = Kept::default();
    frames.iter().for_each(|f| stage.process(&mut f.clone(), &mut kept).unwrap());
    kept.0
}

/// All of it is smooth, so that nothing is lost where windows end: sines with a whole number of periods.
fn smooth(frames: &mut [Frame]) {
    for frame in frames {
        let first = frame.span.first;
        for (r, row) in frame.data.chunks_exact_mut(8).enumerate() {
            let t = (first + r as u64) as f64 / RATE_HZ;
            for (c, v) in row.iter_mut().enumerate() {
                *v = (c + 1) as f64 * (std::f64::consts::TAU * (3.0 + c as f64) * t).sin();
            }
        }
    }
}

/// Indices, times and numbers are those of the samples, and a sample leaves within the stated delay.
#[test]
fn a_network_that_changes_nothing_gives_the_stream_back() {
    // At the rate of the stream, above and below it.
    for rate_hz in [RATE_HZ, 256.0, 100.0] {
        let Some((mut stage, feed, out, _folder)) = denoiser(1.0, rate_hz) else { return };
        let mut frames = feed.frames(&[7, 16, 64]);
        smooth(&mut frames);
        let got = run(stage.as_mut(), &frames);
        assert!(got.iter().all(|f| f.rows <= out.rows));
        let want: Vec<f64> = frames.iter().flat_map(|f| f.data.clone()).collect();
        let mut next = 0;
        for f in &got {
            assert_eq!(f.span.first, next, "no sample is left out");
            next = f.span.last + 1;
            let from = f.span.first as usize * 8;
            for (i, v) in f.data.iter().enumerate() {
                // The network computes in 32 bits.
                assert!((v - want[from + i]).abs() < 1e-5, "{rate_hz}: {v} {}", want[from + i]);
            }
            let age_s = f.span.arrived_s - f.span.first_s;
            let block_s = 64.0 / RATE_HZ;
            assert!(f.span.first == 0 || age_s <= stage.delay_s() + block_s + 0.02, "{age_s}");
        }
        let sent = feed::SAMPLES as usize;
        let windows = (sent - WINDOW) / HOP;
        assert_eq!(next as usize, WINDOW - MARGIN - HOP + windows * HOP);
    }
}

#[test]
fn neighbours_fade_into_each_other() {
    let Some((mut stage, feed, _, _folder)) = denoiser(0.5, RATE_HZ) else { return };
    let mut frames = feed.frames(&[16]);
    smooth(&mut frames);
    let want: Vec<f64> = frames.iter().flat_map(|f| f.data.clone()).collect();
    for f in run(stage.as_mut(), &frames) {
        for (i, v) in f.data.iter().enumerate() {
            assert!((v - 0.5 * want[f.span.first as usize * 8 + i]).abs() < 1e-5);
        }
    }
}

#[test]
fn a_gap_begins_a_new_window_and_is_passed_on() {
    let Some((mut stage, feed, _, _folder)) = denoiser(1.0, RATE_HZ) else { return };
    let mut frames: Vec<Frame> = [(0, 400), (410, 800)].map(|(a, b)| feed.block(a, b)).into();
    frames[1].flags = Flags::GAP;
    let got = run(stage.as_mut(), &frames);
    let gaps: Vec<_> =
        got.iter().filter(|f| f.flags.has(Flags::GAP)).map(|f| f.span.first).collect();
    assert_eq!(gaps, [410]);
    assert!(got.iter().all(|f| f.span.last < 400 || f.span.first >= 410));
}

#[test]
fn numbers_that_are_not_finite_are_a_fault() {
    let Some((mut stage, feed, _, _folder)) = denoiser(f32::NAN, RATE_HZ) else { return };
    let mut frame = feed.block(0, 400);
    assert!(stage.process(&mut frame, &mut Kept::default()).is_err());
}

#[test]
fn what_does_not_fit_is_refused_before_anything_starts() {
    let Some((_, feed, _, folder)) = denoiser(1.0, RATE_HZ) else { return };
    let kind = filter::KINDS.iter().find(|k| k.name == "denoise").unwrap();
    let refusal = |snippet: &str| {
        let mut stage = kind.from_toml(snippet).unwrap().unit;
        stage.prepare(&feed.specs).unwrap_err()
    };
    let error = refusal("model = \"nowhere.onnx\"");
    assert!(error.key() == Some("model") && error.to_string().contains("nowhere.onnx"), "{error}");
    let path = folder.path().join("gain.onnx");
    let error =
        refusal(&format!("model = {path:?}\nmodel_rate_hz = 160.0\nhop_s = 0.9\nmargin_s = 0.3"));
    assert_eq!(error.key(), Some("hop_s"), "{error}");
}
