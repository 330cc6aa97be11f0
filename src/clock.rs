//! One time line: seconds on the LSL clock, read without LSL.
//!
//! Every time in the engine is on this line, so an age is a subtraction. [`Timeline`] puts the
//! samples of a stream onto it: it counts them, finds missing ones and removes jitter.

use std::sync::OnceLock;
use std::time::Instant;

static ORIGIN: OnceLock<(Instant, f64)> = OnceLock::new();

/// Ties the time line to the LSL clock, which reads `lsl_now_s` now. The first call wins.
pub fn anchor(lsl_now_s: f64) {
    ORIGIN.get_or_init(|| (Instant::now(), lsl_now_s));
}

/// Seconds on the LSL clock now; starts at zero if nothing tied the line to LSL.
pub fn now_s() -> f64 {
    let (origin, at_s) = ORIGIN.get_or_init(|| (Instant::now(), 0.0));
    at_s + origin.elapsed().as_secs_f64()
}

/// A stamp that runs backwards by more than this is a reset of the sender's clock.
const RESET_S: f64 = 1.0;
/// Over this time the smoothed line follows the stamps.
const FOLLOW_S: f64 = 2.0;
/// The jitter that is assumed before any was seen.
const FIRST_JITTER_S: f64 = 0.01;
/// A stamp this many times later than the usual jitter means lost samples.
const GAP_JITTERS: f64 = 8.0;

/// No gap counts as longer, whatever the stamps say, so that indices never run out.
const MOST_MISSING: u64 = u32::MAX as u64;

/// Numbers the samples of a regular stream and smooths their times.
///
/// The sender's stamps are compared with a line that follows them slowly (a second-order loop:
/// phase with gain a = period / 2 s, period with gain a^2 / 4). A stamp that is later than the line
/// by more than half a period and eight times the usual jitter means that samples were lost; their
/// number is the distance in periods, rounded.
#[derive(Debug, Clone)]
pub struct Timeline {
    nominal_s: f64,
    period_s: f64,
    line_s: f64,
    jitter_s: f64,
    gap_s: Option<f64>,
    smooth: bool,
    last_stamp_s: Option<f64>,
    next_index: u64,
}

/// Where a sample belongs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed {
    /// Its index.
    pub index: u64,
    /// Its time on the sender's clock, jitter removed.
    pub time_s: f64,
    /// What is wrong between it and the sample before.
    pub flaw: Option<Flaw>,
}

/// What can be wrong between two samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// So many samples are missing.
    Gap(u64),
    /// The time of the sample is not after that of the one before.
    NotLater,
    /// The sender's clock was set back.
    ClockReset,
}

impl Timeline {
    /// A line for `rate_hz` samples per second. `gap_s` fixes the lateness that counts as lost
    /// samples; without `smooth` the times stay as stamped.
    pub fn new(rate_hz: f64, gap_s: Option<f64>, smooth: bool) -> Self {
        let nominal_s = 1.0 / rate_hz;
        Self {
            nominal_s,
            period_s: nominal_s,
            line_s: 0.0,
            jitter_s: FIRST_JITTER_S,
            gap_s,
            smooth,
            last_stamp_s: None,
            next_index: 0,
        }
    }

    /// Places the next sample, stamped `stamp_s` on the sender's clock.
    pub fn place(&mut self, stamp_s: f64) -> Placed {
        let Some(last_s) = self.last_stamp_s.replace(stamp_s) else {
            self.line_s = stamp_s;
            return self.placed(stamp_s, None);
        };
        self.line_s += self.period_s;
        let late_s = stamp_s - self.line_s;
        if stamp_s < last_s - RESET_S {
            self.line_s = stamp_s;
            return self.placed(stamp_s, Some(Flaw::ClockReset));
        }
        if late_s > self.gap_threshold_s() {
            let missing = ((late_s / self.nominal_s).round() as u64).clamp(1, MOST_MISSING);
            self.next_index += missing;
            self.line_s = stamp_s;
            return self.placed(stamp_s, Some(Flaw::Gap(missing)));
        }
        let gain = (self.nominal_s / FOLLOW_S).min(0.5);
        self.line_s += gain * late_s;
        // A device is off its nominal rate by far less than a tenth.
        self.period_s = (self.period_s + gain * gain / 4.0 * late_s)
            .clamp(0.9 * self.nominal_s, 1.1 * self.nominal_s);
        self.jitter_s += gain * (late_s.abs() - self.jitter_s);
        self.placed(stamp_s, (stamp_s <= last_s).then_some(Flaw::NotLater))
    }

    /// After a break of connection: leaves room for the `missing_s` seconds in which nothing was
    /// received, and takes the next stamp as it comes. Returns the number of missing samples.
    pub fn resume_after(&mut self, missing_s: f64) -> u64 {
        let missing = ((missing_s / self.nominal_s).round() as u64).min(MOST_MISSING);
        self.next_index += missing;
        self.last_stamp_s = None;
        self.period_s = self.nominal_s;
        missing
    }

    /// Seconds between two samples as the device says.
    pub fn nominal_period_s(&self) -> f64 {
        self.nominal_s
    }

    fn gap_threshold_s(&self) -> f64 {
        self.gap_s.unwrap_or((0.5 * self.nominal_s).max(GAP_JITTERS * self.jitter_s))
    }

    fn placed(&mut self, stamp_s: f64, flaw: Option<Flaw>) -> Placed {
        let index = self.next_index;
        self.next_index += 1;
        Placed { index, time_s: if self.smooth { self.line_s } else { stamp_s }, flaw }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_stamps_pass_through() {
        let mut line = Timeline::new(160.0, None, true);
        for i in 0..10_000_u64 {
            let t = 1000.0 + i as f64 / 160.0;
            let placed = line.place(t);
            assert_eq!((placed.index, placed.flaw), (i, None));
            assert!((placed.time_s - t).abs() < 1e-9);
        }
    }

    #[test]
    fn one_lost_sample_of_a_steady_stream_is_found() {
        let mut line = Timeline::new(250.0, None, true);
        // The assumed jitter has to fade first: 8 * 10 ms is twenty samples at 250 Hz.
        for i in 0..5000 {
            line.place(f64::from(i) / 250.0);
        }
        let placed = line.place(5001.0 / 250.0);
        assert_eq!((placed.index, placed.flaw), (5001, Some(Flaw::Gap(1))));
    }

    #[test]
    fn jitter_is_removed_and_is_not_a_gap() {
        let mut line = Timeline::new(250.0, None, true);
        let mut worst = 0.0_f64;
        for i in 0..20_000_u32 {
            let true_s = f64::from(i) / 250.0 * 1.0001;
            let jitter = 0.004 * (f64::from(i * 7919 % 1009) / 1009.0 - 0.5);
            let placed = line.place(true_s + jitter);
            assert!(!matches!(placed.flaw, Some(Flaw::Gap(_) | Flaw::ClockReset)), "{i}");
            if i > 10_000 {
                worst = worst.max((placed.time_s - true_s).abs());
            }
        }
        assert!(worst < 2.5e-4, "the smoothed time is off by {worst} s");
    }

    #[test]
    fn long_gaps_and_clock_resets_are_told_apart() {
        let mut line = Timeline::new(100.0, None, true);
        for i in 0..100 {
            line.place(50.0 + f64::from(i) * 0.01);
        }
        let placed = line.place(50.99 + 3.01);
        assert_eq!((placed.index, placed.flaw), (400, Some(Flaw::Gap(300))));
        let placed = line.place(1.0);
        assert_eq!((placed.index, placed.flaw), (401, Some(Flaw::ClockReset)));
        assert_eq!(line.place(1.01).flaw, None);
        assert_eq!(line.place(1.01).flaw, Some(Flaw::NotLater));
    }

    #[test]
    fn a_break_leaves_room() {
        let mut line = Timeline::new(100.0, None, true);
        line.place(1.0);
        assert_eq!(line.resume_after(2.0), 200);
        assert_eq!(line.place(77.0).index, 201);
    }
}
