//! The newest samples of a stream, in memory that is taken once.
//!
//! In: samples, one at a time. Out: any stretch of them that is still held, as a window frame with
//! its span and marks. A gap in the stream ends what is held: no stretch reaches across it, unless
//! the frame behind it is marked BRIDGE.
//!
//! A sample's place here is its index in the stream, less the samples that bridges passed over since
//! the last gap. The span of a window tells the indices.

use crate::error::{Error, Result};
use crate::frame::{Flags, Frame, Span};

/// The newest samples since the last gap.
#[derive(Default)]
pub struct History {
    rows: usize,
    cols: usize,
    /// Sample `i` is in row `i % rows`.
    data: Vec<f64>,
    notes: Vec<Note>,
    /// Index of the first sample since the last gap, and of the one after the newest.
    begin: u64,
    end: u64,
    /// How many samples were passed over by bridges since the last gap.
    bridged: u64,
}

/// What is known of one sample besides its numbers.
#[derive(Clone, Copy, Default)]
struct Note {
    /// Its index in the stream.
    index: u64,
    time_s: f64,
    arrived_s: f64,
    bad: bool,
}

impl History {
    /// Room for the newest `rows` samples of `cols` channels.
    pub fn new(rows: usize, cols: usize) -> Self {
        let (data, notes) = (vec![0.0; rows * cols], vec![Note::default(); rows]);
        Self { rows, cols, data, notes, ..Self::default() }
    }

    /// Forgets all samples.
    pub fn clear(&mut self) {
        self.begin = self.end;
    }

    /// Whether the samples of `frame` follow on those held; true when none are.
    pub fn continues(&self, frame: &Frame) -> bool {
        let follows = frame.span.first == self.end + self.bridged && !frame.flags.has(Flags::GAP);
        self.begin == self.end || follows || frame.flags.has(Flags::BRIDGE)
    }

    /// Adds row `r` of `frame`; the oldest sample makes room.
    pub fn push(&mut self, frame: &Frame, r: usize) {
        let index = frame.span.first + r as u64;
        if self.begin == self.end {
            (self.begin, self.end) = (index, index);
        }
        self.bridged = index.saturating_sub(self.end);
        let slot = self.slot(self.end);
        self.data[slot * self.cols..(slot + 1) * self.cols].copy_from_slice(frame.row(r));
        self.notes[slot] = Note {
            index,
            time_s: frame.time_of(r),
            arrived_s: frame.span.arrived_s,
            bad: frame.flags.has(Flags::BAD),
        };
        self.end += 1;
    }

    /// Index of the first sample since the last gap, held or not.
    pub fn begin(&self) -> u64 {
        self.begin
    }

    /// Index of the sample after the newest.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Index of the oldest sample that is held.
    fn oldest(&self) -> u64 {
        self.begin.max(self.end.saturating_sub(self.rows as u64))
    }

    /// Whether the `rows` samples from `first` on are held.
    pub fn holds(&self, first: u64, rows: usize) -> bool {
        first >= self.oldest() && first + rows as u64 <= self.end
    }

    /// Index of the sample nearest to `time_s`, the later of two that are equally near; beyond the
    /// samples held it counts on at `rate_hz`. None while no sample of that time or later is held, and where
    /// times are not numbers.
    pub fn index_at(&self, time_s: f64, rate_hz: f64) -> Option<i64> {
        // a thousandth of a sample for times that differ by rounding only
        let from_s = time_s - 1e-3 / rate_hz;
        let (mut low, mut high) = (self.oldest(), self.end);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.notes[self.slot(middle)].time_s < from_s {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        if low == self.end {
            return None;
        }
        let samples = (self.notes[self.slot(low)].time_s - time_s) * rate_hz;
        // rounded so that halves go to the later sample, also when the times are a little off
        samples.is_finite().then(|| low as i64 - (samples - 1e-6).round() as i64)
    }

    /// Makes `out` the window of the `rows` samples from `first` on, which must be held.
    pub fn copy(&self, first: u64, rows: usize, out: &mut Frame) {
        out.resize(rows, self.cols);
        out.input = 0;
        out.flags = Flags::NONE;
        out.text.clear();
        let (head, tail) =
            out.data.split_at_mut((self.rows - self.slot(first)).min(rows) * self.cols);
        let start = self.slot(first) * self.cols;
        head.copy_from_slice(&self.data[start..start + head.len()]);
        tail.copy_from_slice(&self.data[..tail.len()]);
        let last = first + rows as u64 - 1;
        if (first..=last).any(|i| self.notes[self.slot(i)].bad) {
            out.flags |= Flags::BAD;
        }
        let (oldest, newest) = (self.notes[self.slot(first)], self.notes[self.slot(last)]);
        out.span = Span {
            first: oldest.index,
            last: newest.index,
            first_s: oldest.time_s,
            last_s: newest.time_s,
            arrived_s: newest.arrived_s,
        };
    }

    fn slot(&self, index: u64) -> usize {
        (index % self.rows as u64) as usize
    }
}

/// The most samples that a length in seconds may come to.
const MAX_SAMPLES: f64 = 1e7;

/// The setting `key`, a length in seconds, as a number of samples: at least one.
pub fn samples(key: &str, seconds: f64, rate_hz: f64) -> Result<usize> {
    let samples = (seconds * rate_hz).round();
    if (1.0..=MAX_SAMPLES).contains(&samples) {
        return Ok(samples as usize);
    }
    Err(Error::setting(
        key,
        format!("{key} is {seconds}, which is {samples} samples, expected 1 to {MAX_SAMPLES}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::testing::{block, samples as spec};

    fn filled(rows: usize, from: u64, to: u64) -> History {
        let spec = spec(&["C3", "C4"], 100.0);
        let mut history = History::new(rows, 2);
        for first in (from..to).step_by(4) {
            let frame = block(&spec, first, 4);
            assert!(history.continues(&frame));
            (0..4).for_each(|r| history.push(&frame, r));
        }
        history
    }

    #[test]
    fn gives_any_stretch_that_is_held() {
        let history = filled(10, 40, 64);
        assert!(history.holds(54, 10) && !history.holds(53, 10) && !history.holds(60, 5));
        let mut out = spec(&["C3", "C4"], 100.0).frame();
        history.copy(57, 5, &mut out);
        let want: Vec<f64> =
            (57..62).flat_map(|i| [10.0 * i as f64, 10.0 * i as f64 + 1.0]).collect();
        assert_eq!(out.data, want);
        assert_eq!((out.span.first, out.span.last), (57, 61));
        assert!((out.span.first_s - 100.57).abs() < 1e-9);
        assert!((out.span.last_s - 100.61).abs() < 1e-9);
        // the block with sample 61 ends with sample 63
        assert!((out.span.arrived_s - 101.13).abs() < 1e-9);
    }

    #[test]
    fn finds_the_nearest_sample() {
        let history = filled(10, 40, 64);
        let at = |sample: f64| history.index_at(100.0 + sample / 100.0, 100.0);
        assert_eq!([at(60.0), at(60.4), at(60.5), at(60.6)].map(Option::unwrap), [60, 60, 61, 61]);
        assert_eq!(at(63.0), Some(63));
        assert_eq!(at(63.4), None);
        assert_eq!(at(41.2), Some(41), "before what is held");
        assert_eq!(at(-3.0), Some(-3));
    }

    #[test]
    fn a_gap_ends_what_is_held() {
        let spec = spec(&["C3", "C4"], 100.0);
        let mut history = filled(10, 40, 64);
        assert!(!history.continues(&block(&spec, 65, 4)));
        let mut flagged = block(&spec, 64, 4);
        flagged.flags = Flags::GAP;
        assert!(!history.continues(&flagged));
        history.clear();
        let frame = block(&spec, 70, 4);
        assert!(history.continues(&frame));
        history.push(&frame, 0);
        assert_eq!((history.begin(), history.end()), (70, 71));
    }

    #[test]
    fn a_bridge_joins_both_sides() {
        let mut history = filled(10, 40, 64);
        let mut frame = block(&spec(&["C3", "C4"], 100.0), 70, 4);
        frame.flags = Flags::BRIDGE;
        assert!(history.continues(&frame));
        (0..4).for_each(|r| history.push(&frame, r));
        assert!(history.continues(&block(&spec(&["C3", "C4"], 100.0), 74, 4)));
        assert!(!history.continues(&block(&spec(&["C3", "C4"], 100.0), 68, 4)));
        let mut out = spec(&["C3", "C4"], 100.0).frame();
        history.copy(history.end() - 6, 6, &mut out);
        assert_eq!((out.span.first, out.span.last), (62, 73));
        assert_eq!(out.row(2), [700.0, 701.0]);
        assert!((out.span.first_s - 100.62).abs() < 1e-9);
        history.clear();
        assert!(history.continues(&frame));
        history.push(&frame, 0);
        assert_eq!((history.begin(), history.end()), (70, 71));
    }

    #[test]
    fn lengths_in_seconds() {
        assert_eq!(samples("length_s", 0.999, 250.0).unwrap(), 250);
        for bad in [0.0, 0.001, -1.0, 1e9, f64::NAN] {
            assert_eq!(samples("length_s", bad, 250.0).unwrap_err().key(), Some("length_s"));
        }
    }
}
