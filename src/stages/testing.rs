//! What the tests of several stages share.

use super::Emit;
use crate::frame::{Channel, Flags, Frame, Span, Spec};
use crate::ledger::Cause;

/// Keeps what a stage emits and counts, and scribbles over the frame it was handed.
#[derive(Default)]
pub struct Seen {
    pub frames: Vec<Frame>,
    pub counts: Vec<(Cause, u64)>,
}

impl Emit for Seen {
    fn emit(&mut self, frame: &mut Frame) {
        self.frames.push(frame.clone());
        frame.data.fill(f64::NAN);
    }

    fn count(&mut self, cause: Cause, n: u64) {
        self.counts.push((cause, n));
    }
}

/// Samples with these labels, at most 64 in a frame.
pub fn samples(labels: &[&str], rate_hz: f64) -> Spec {
    Spec::samples(labels.iter().copied().map(Channel::named).collect(), rate_hz, 64)
}

/// The samples `first..first + rows` of a stream that starts at 100 s: channel c of sample i is
/// `10 i + c`. They arrive 0.5 s after they were taken.
pub fn block(spec: &Spec, first: u64, rows: usize) -> Frame {
    let mut frame = spec.frame();
    frame.resize(rows, spec.cols);
    for (i, x) in frame.data.iter_mut().enumerate() {
        *x = 10.0 * (first as f64 + (i / spec.cols) as f64) + (i % spec.cols) as f64;
    }
    let last = first + rows.saturating_sub(1) as u64;
    let time = |index: u64| 100.0 + index as f64 / spec.rate_hz;
    frame.span =
        Span { first, last, first_s: time(first), last_s: time(last), arrived_s: time(last) + 0.5 };
    frame
}

/// Frames with `data` row by row and nothing else.
pub fn numbers(cols: usize, data: &[f64]) -> Frame {
    Frame {
        input: 0,
        span: Span::default(),
        flags: Flags::NONE,
        rows: data.len() / cols,
        cols,
        data: data.to_vec(),
        text: String::new(),
        model: 0,
    }
}
