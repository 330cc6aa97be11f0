//! Decimation: the same signal at a lower sampling rate.
//!
//! In: samples of a regular stream. Out: every q-th of them, after a low-pass that removes what the
//! lower rate cannot carry: Chebyshev, order 8, ripple 0.05 dB up to 0.8 times half the new rate; what
//! would fold into that band is weakened by 40 dB or more. Delay: the group delay for slow signals.
//! Reference: `scipy.signal.decimate(zero_phase=False)`.
//!
//! The samples kept are those whose index is a multiple of q, and sample `i` becomes sample `i / q` of
//! the new stream. So an index is never used again and tells the place in the stream before and
//! after a gap alike. Each sample keeps its time. Marks are never lost with the samples that are left
//! out: the next one that is kept carries them.

use crate::error::{Error, Result};
use crate::frame::{Flags, Frame, Payload, Span, Spec};
use crate::kind;
use crate::math::filter_design::{chebyshev, group_delay};
use crate::math::sos::Cascade;
use crate::stages::{Emit, Fault, Stage, regular};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

const ORDER: usize = 8;
const RIPPLE_DB: f64 = 0.05;
/// Where the low-pass ends, in parts of half the new rate.
const EDGE: f64 = 0.8;
/// By how much the rate may miss the one that was asked for.
const TOLERANCE: f64 = 0.01;
/// Beyond this the low-pass loses accuracy; two stages in a row do better.
const MAX_FACTOR: f64 = 1000.0;

/// Lowers the sampling rate, after removing what the lower rate cannot carry.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The new sampling rate in Hz. The old one is divided by a whole number, so the nearest rate
    /// that can be had is taken, if it is within 1 %.
    pub rate_hz: f64,
}

impl kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "rate_hz = 40.0\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if !(self.rate_hz > 0.0 && self.rate_hz.is_finite()) {
            return Err(wrong(format!("rate_hz is {}, expected more than 0", self.rate_hz)));
        }
        Ok(Box::new(Decimate {
            settings: self,
            factor: 1,
            cascade: Cascade::default(),
            delay_s: 0.0,
            pending: Flags::NONE,
            out: Spec::markers().frame(),
        }))
    }
}

fn wrong(message: String) -> Error {
    Error::setting("rate_hz", message)
}

impl Settings {
    /// By what a rate of `old_hz` is divided.
    fn factor(&self, old_hz: f64) -> Result<u64> {
        let factor = (old_hz / self.rate_hz).round();
        let (rate_hz, old) = (self.rate_hz, format!("the sampling rate, {old_hz}"));
        if factor < 2.0 {
            return Err(wrong(format!("rate_hz is {rate_hz}, expected at most half of {old}")));
        }
        if factor > MAX_FACTOR {
            return Err(wrong(format!(
                "rate_hz is {rate_hz}, expected at least a thousandth of {old}; use two stages"
            )));
        }
        let nearest_hz = old_hz / factor;
        if (nearest_hz - rate_hz).abs() > TOLERANCE * rate_hz {
            return Err(wrong(format!(
                "rate_hz is {rate_hz}, which does not divide {old}; {nearest_hz} would"
            )));
        }
        Ok(factor as u64)
    }
}

struct Decimate {
    settings: Settings,
    factor: u64,
    cascade: Cascade,
    delay_s: f64,
    /// Marks of samples that were left out since the last one kept.
    pending: Flags,
    out: Frame,
}

impl Stage for Decimate {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let spec = regular(inputs, &[Payload::Samples])?;
        self.factor = self.settings.factor(spec.rate_hz)?;
        let rate_hz = spec.rate_hz / self.factor as f64;
        let sections = chebyshev(ORDER, RIPPLE_DB, EDGE * rate_hz / 2.0, spec.rate_hz)?;
        self.delay_s = group_delay(&sections, 0.0, spec.rate_hz) / spec.rate_hz;
        self.cascade = Cascade::new(sections, spec.cols);
        self.pending = Flags::NONE;
        let rows = spec.rows.div_ceil(self.factor as usize);
        let out = Spec { rows, rate_hz, ..spec.clone() };
        self.out = out.frame();
        Ok(out)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        self.cascade.process(&mut frame.data);
        if !self.cascade.is_finite() {
            return Err(Fault("the decimation was given numbers that are not finite"));
        }
        let kept = self.kept(frame);
        let marks = frame.flags.without(Flags::END);
        if kept.is_empty() {
            self.pending |= marks;
            return Ok(());
        }
        let mut indices = kept.clone();
        let pending = std::mem::replace(&mut self.pending, Flags::NONE);
        if pending.has(Flags::BAD) && !marks.has(Flags::BAD) {
            // Only the first of these samples is not to be trusted.
            indices.start += 1;
            self.send(frame, kept.start..indices.start, marks | pending, emit);
            self.send(frame, indices, marks.without(Flags::GAP | Flags::BRIDGE), emit);
        } else {
            self.send(frame, indices, marks | pending, emit);
        }
        if (kept.end - 1) * self.factor < frame.span.last {
            self.pending = marks.without(Flags::GAP | Flags::BRIDGE);
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.cascade.reset();
        self.pending = Flags::NONE;
    }

    fn delay_s(&self) -> f64 {
        self.delay_s
    }
}

impl Decimate {
    /// The new indices of those samples of `frame` that are kept.
    fn kept(&self, frame: &Frame) -> Range<u64> {
        let first = frame.span.first.div_ceil(self.factor);
        let end = (frame.span.first + frame.rows as u64).div_ceil(self.factor);
        first..end
    }

    /// Passes on the samples of `frame` that get the new `indices`.
    fn send(&mut self, frame: &Frame, indices: Range<u64>, flags: Flags, emit: &mut dyn Emit) {
        if indices.is_empty() {
            return;
        }
        let row = |index: u64| (index * self.factor - frame.span.first) as usize;
        let (first, last) = (indices.start, indices.end - 1);
        self.out.copy_head(frame);
        self.out.flags = flags;
        self.out.resize(indices.clone().count(), frame.cols);
        for (index, out) in indices.zip(self.out.data.chunks_exact_mut(frame.cols)) {
            out.copy_from_slice(frame.row(row(index)));
        }
        self.out.span = Span {
            first,
            last,
            first_s: frame.time_of(row(first)),
            last_s: frame.time_of(row(last)),
            arrived_s: frame.span.arrived_s,
        };
        emit.emit(&mut self.out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::testing::{Seen, block, samples};
    use std::f64::consts::TAU;

    /// From 100 to 25 Hz.
    fn stage() -> (Box<dyn Stage>, Spec, Spec) {
        let mut stage = Settings { rate_hz: 25.0 }.build_stage();
        let spec = samples(&["C3", "C4"], 100.0);
        let out = stage.prepare(std::slice::from_ref(&spec)).unwrap();
        (stage, spec, out)
    }

    impl Settings {
        fn build_stage(self) -> Box<dyn Stage> {
            kind::Settings::<dyn Stage>::build(self).unwrap()
        }
    }

    fn sent(blocks: &[(u64, usize, Flags)]) -> Vec<Frame> {
        let (mut stage, spec, _) = stage();
        let mut seen = Seen::default();
        for &(first, rows, flags) in blocks {
            let mut frame = block(&spec, first, rows);
            frame.flags = flags;
            stage.process(&mut frame, &mut seen).unwrap();
        }
        seen.frames
    }

    const NONE: Flags = Flags::NONE;

    #[test]
    fn every_fourth_sample_is_kept_with_its_time() {
        let (_, _, out) = stage();
        assert_eq!((out.payload, out.rate_hz, out.rows), (Payload::Samples, 25.0, 16));
        let got = sent(&[(6, 5, NONE), (11, 1, NONE), (12, 9, NONE)]);
        let spans: Vec<_> = got.iter().map(|f| (f.span.first, f.span.last, f.rows)).collect();
        assert_eq!(spans, [(2, 2, 1), (3, 5, 3)]);
        assert!((got[0].span.first_s - 100.08).abs() < 1e-9);
        assert!((got[1].span.first_s - 100.12).abs() < 1e-9);
        assert!((got[1].span.last_s - 100.20).abs() < 1e-9);
        assert!((got[0].span.arrived_s - 100.60).abs() < 1e-9, "its block ends with sample 10");
    }

    #[test]
    fn marks_outlive_the_samples_that_are_left_out() {
        let gap = Flags::GAP;
        let got = sent(&[(0, 3, NONE), (9, 2, gap), (11, 1, NONE), (12, 8, NONE), (21, 3, gap)]);
        let flags: Vec<_> = got.iter().map(|f| (f.span.first, f.flags)).collect();
        assert_eq!(flags, [(0, NONE), (3, gap)]);
        let got = sent(&[(0, 5, NONE), (5, 2, Flags::BAD), (7, 10, NONE), (17, 4, Flags::BAD)]);
        let flags: Vec<_> = got.iter().map(|f| (f.span.first, f.span.last, f.flags)).collect();
        let bad = Flags::BAD;
        assert_eq!(flags, [(0, 1, NONE), (2, 2, bad), (3, 4, NONE), (5, 5, bad)]);
    }

    #[test]
    fn windows_behind_it_start_anew_after_a_gap() {
        let (mut stage, spec, out) = stage();
        let kind = crate::stages::kinds().find(|k| k.name == "window").unwrap();
        let mut window = kind.from_toml("length_s = 0.2\nstep_s = 0.04").unwrap().unit;
        window.prepare(&[out]).unwrap();
        struct Behind<'a>(&'a mut dyn Stage, Seen);
        impl Emit for Behind<'_> {
            fn emit(&mut self, frame: &mut Frame) {
                self.0.process(frame, &mut self.1).unwrap();
            }
            fn count(&mut self, _: crate::ledger::Cause, _: u64) {}
        }
        let mut behind = Behind(window.as_mut(), Seen::default());
        for (first, flags) in [(0, NONE), (30, Flags::GAP), (50, NONE)] {
            let mut frame = block(&spec, first, 20);
            frame.flags = flags;
            stage.process(&mut frame, &mut behind).unwrap();
        }
        let spans: Vec<_> =
            behind.1.frames.iter().map(|w| (w.span.first, w.span.last, w.flags)).collect();
        // 0 to 19, then 32 to 68, of the samples before
        let want = [(0, 4), (8, 12), (9, 13), (10, 14), (11, 15), (12, 16), (13, 17)];
        assert_eq!(spans.iter().map(|(a, b, _)| (*a, *b)).collect::<Vec<_>>(), want);
        assert!(spans.iter().all(|(first, _, flags)| flags.has(Flags::GAP) == (*first == 8)));
    }

    #[test]
    fn what_the_lower_rate_cannot_carry_is_removed() {
        let power = |freq_hz: f64| {
            let mut stage = Settings { rate_hz: 100.0 }.build_stage();
            let spec = Spec { rows: 40_000, ..samples(&["C3"], 1000.0) };
            stage.prepare(std::slice::from_ref(&spec)).unwrap();
            let mut frame = block(&spec, 0, 40_000);
            for (i, x) in frame.data.iter_mut().enumerate() {
                *x = (TAU * freq_hz * i as f64 / 1000.0).sin();
            }
            let mut seen = Seen::default();
            stage.process(&mut frame, &mut seen).unwrap();
            let settled = &seen.frames[0].data[2000..];
            2.0 * settled.iter().map(|v| v * v).sum::<f64>() / settled.len() as f64
        };
        for passed in [1.0, 17.0, 39.0] {
            assert!((power(passed) - 1.0).abs() < 0.012, "{passed}: {}", power(passed));
        }
        for folded in [61.0, 90.0, 99.0, 161.0, 490.0] {
            assert!(power(folded) < 1e-4, "{folded}: {}", power(folded));
        }
    }

    #[test]
    fn rates_that_cannot_be_had_are_refused() {
        let factor = |rate_hz: f64, old_hz: f64| {
            Settings { rate_hz }.factor(old_hz).map_err(|e| e.to_string())
        };
        assert_eq!(factor(1000.0, 30_000.0), Ok(30));
        assert_eq!(factor(1017.25, 24414.0625), Ok(24));
        assert!(factor(1000.0, 24414.0625).unwrap_err().contains("1017.2"));
        assert!(factor(300.0, 500.0).unwrap_err().contains("does not divide"));
        assert!(factor(500.0, 500.0).unwrap_err().contains("at most half"));
        assert!(factor(1.0, 30_000.0).unwrap_err().contains("two stages"));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(kind::Settings::<dyn Stage>::build(Settings { rate_hz: bad }).is_err());
        }
    }
}
