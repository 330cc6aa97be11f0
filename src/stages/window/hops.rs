//! Sliding windows a step at a time: see [`Hop`](crate::frame::Hop).
//!
//! What it keeps are the newest samples of the step under way and, of the windows under way, where
//! they begin. Spans and marks are those that the windows would have if they were sent whole.

use crate::frame::{Flags, Frame, Span, Spec};
use crate::stages::Emit;

/// Cuts a stream into steps.
pub struct Hops {
    length: usize,
    step: usize,
    /// Samples since the last break, and how many are lacking in the frame under way.
    seen: usize,
    lacking: usize,
    /// Index in the stream of the sample that follows.
    next: u64,
    /// The first sample of each window under way; that of window i is in place `i % starts.len()`.
    starts: Vec<Start>,
    /// The newest sample that is marked BAD, counted since the last break.
    bad: Option<usize>,
    /// Whether the next window is the first after a gap.
    gap: bool,
    out: Frame,
}

/// The first sample of a window.
#[derive(Clone, Copy, Default)]
struct Start {
    index: u64,
    time_s: f64,
}

impl Hops {
    /// For windows of `length` samples, one every `step`, sent in frames of `spec`.
    pub fn new(length: usize, step: usize, spec: &Spec) -> Self {
        let starts = vec![Start::default(); length / step + 1];
        let (seen, lacking, next, bad, gap) = (0, 0, 0, None, false);
        let mut hops =
            Self { length, step, seen, lacking, next, starts, bad, gap, out: spec.frame() };
        hops.clear();
        hops
    }

    /// Forgets all samples.
    pub fn clear(&mut self) {
        self.seen = 0;
        // Frames end where windows end.
        self.lacking = match self.length % self.step {
            0 => self.step,
            rest => rest,
        };
        self.bad = None;
        self.gap = false;
        self.start_frame();
    }

    fn start_frame(&mut self) {
        self.out.rows = 0;
        self.out.data.clear();
    }

    /// Takes the samples of `frame` and sends on the steps that are complete.
    pub fn process(&mut self, frame: &Frame, emit: &mut dyn Emit) {
        let broken = !self.continues(frame);
        if broken {
            self.clear();
        }
        self.gap |= broken || frame.flags.has(Flags::GAP);
        let mut r = 0;
        while r < frame.rows {
            let count = self.lacking.min(frame.rows - r);
            self.add(frame, r, count);
            r += count;
            if self.lacking == 0 {
                self.send(frame, r - 1, emit);
            }
        }
        self.next = frame.span.first + frame.rows as u64;
    }

    /// Whether the samples of `frame` follow on those before; true when there are none.
    fn continues(&self, frame: &Frame) -> bool {
        let follows = frame.span.first == self.next && !frame.flags.has(Flags::GAP);
        self.seen == 0 || follows || frame.flags.has(Flags::BRIDGE)
    }

    /// Adds the `count` rows of `frame` from `first` on, which do not reach beyond the step.
    fn add(&mut self, frame: &Frame, first: usize, count: usize) {
        let end = self.seen + count;
        for start in (self.seen.next_multiple_of(self.step)..end).step_by(self.step) {
            let r = first + start - self.seen;
            let slot = self.slot(start);
            self.starts[slot] =
                Start { index: frame.span.first + r as u64, time_s: frame.time_of(r) };
        }
        if frame.flags.has(Flags::BAD) {
            self.bad = Some(end - 1);
        }
        self.out.data.extend_from_slice(&frame.data[first * frame.cols..][..count * frame.cols]);
        self.out.rows += count;
        self.seen = end;
        self.lacking -= count;
    }

    /// Sends on the frame under way, whose last sample is row `r` of `frame`.
    fn send(&mut self, frame: &Frame, r: usize, emit: &mut dyn Emit) {
        let (complete, begins) = (self.seen >= self.length, self.seen == self.out.rows);
        let first = self.seen.saturating_sub(self.length);
        let start = self.starts[self.slot(first)];
        self.out.input = 0;
        self.out.cols = frame.cols;
        self.out.text.clear();
        self.out.span = Span {
            first: start.index,
            last: frame.span.first + r as u64,
            first_s: start.time_s,
            last_s: frame.time_of(r),
            arrived_s: frame.span.arrived_s,
        };
        let mark = |when: bool, flag: Flags| if when { flag } else { Flags::NONE };
        self.out.flags = mark(!complete, Flags::PART)
            | mark(self.gap && (begins || complete), Flags::GAP)
            | mark(self.bad.is_some_and(|bad| bad >= first), Flags::BAD);
        self.gap &= !complete;
        emit.emit(&mut self.out);
        self.start_frame();
        self.lacking = self.step;
    }

    /// The place of the window that begins with sample `start`.
    fn slot(&self, start: usize) -> usize {
        start / self.step % self.starts.len()
    }
}
