//! Timing of single calls.

use super::Record;
use crate::latency::Summary;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// The most calls that one case is timed for.
const MOST: u64 = 200_000;
/// The fewest, however long they take.
const FEWEST: u64 = 3;
/// Calls before the first one that counts.
const WARM_UP: u64 = 3;
/// Calls once per 50 ms are watched this much longer than those back to back.
const LONGER: f64 = 5.0;
/// The pace of an online loop that decides 20 times a second.
const PERIOD: Duration = Duration::from_millis(50);

/// How calls follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Back to back: code and data are in the caches, the core is awake.
    Hot,
    /// Once per 50 ms, as an online loop calls it.
    Paced,
}

/// Gathers the times of one case.
pub struct Watch {
    times_ns: Histogram<u64>,
}

impl Default for Watch {
    fn default() -> Self {
        let times_ns = Histogram::new_with_bounds(1, 600_000_000_000, 3);
        Self { times_ns: times_ns.expect("the bounds are valid") }
    }
}

impl Watch {
    /// Adds one time in seconds; one below zero, which differences of clocks can be, counts as none.
    pub fn add_s(&mut self, seconds: f64) {
        self.add(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    }

    /// Adds one time.
    pub fn add(&mut self, time: Duration) {
        self.times_ns.saturating_record((time.as_nanos() as u64).max(1));
    }

    /// Calls `work` for about `seconds`, longer if it is paced; before each call, and not timed, `ready`.
    pub fn of(pace: Pace, seconds: f64, mut ready: impl FnMut(), mut work: impl FnMut()) -> Self {
        let mut watch = Self::default();
        let since = Instant::now();
        let seconds = if pace == Pace::Paced { LONGER * seconds } else { seconds };
        let mut calls = 0;
        while calls < FEWEST + WARM_UP || (since.elapsed().as_secs_f64() < seconds && calls < MOST)
        {
            ready();
            if pace == Pace::Paced {
                std::thread::sleep(PERIOD);
            }
            let start = Instant::now();
            work();
            let time = start.elapsed();
            calls += 1;
            if calls > WARM_UP {
                watch.add(time);
            }
        }
        watch
    }

    /// The figures.
    pub fn summary(&self) -> Summary {
        let us = |q: f64| self.times_ns.value_at_quantile(q) as f64 / 1e3;
        Summary {
            n: self.times_ns.len(),
            p50_us: us(0.5),
            p99_us: us(0.99),
            p999_us: us(0.999),
            max_us: self.times_ns.max() as f64 / 1e3,
        }
    }

    /// The figures under a name.
    pub fn record(&self, name: impl Into<String>, shape: impl Into<String>) -> Record {
        Record::of(name, shape, &self.summary())
    }
}
