//! The clock, and how late a sleeping thread wakes up.

use crate::config::Realtime;
use crate::engine::rights;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::time::{Duration, Instant};

/// From one wake-up to the next.
const PERIOD: Duration = Duration::from_millis(1);
/// Looks at the clock.
const LOOKS: u32 = 100_000;

/// The clock that everything is timed with.
#[derive(Debug, Serialize)]
pub struct Timer {
    /// Its resolution as the system states it; null where it does not.
    pub resolution_ns: Option<u64>,
    /// The smallest step that was seen.
    pub step_ns: u64,
    /// How long a look takes.
    pub look_ns: f64,
}

/// How late wake-ups are.
#[derive(Debug, Clone, Serialize)]
pub struct Jitter {
    /// How many there were.
    pub n: u64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub p9999_us: f64,
    pub max_us: f64,
}

impl Timer {
    pub fn measure() -> Self {
        let since = Instant::now();
        let (mut before, mut step_ns) = (since, u64::MAX);
        for _ in 0..LOOKS {
            let now = Instant::now();
            let step = (now - before).as_nanos() as u64;
            if step > 0 {
                step_ns = step_ns.min(step);
            }
            before = now;
        }
        let look_ns = since.elapsed().as_nanos() as f64 / f64::from(LOOKS);
        Self { resolution_ns: resolution_ns(), step_ns, look_ns }
    }
}

#[cfg(unix)]
fn resolution_ns() -> Option<u64> {
    let step = rustix::time::clock_getres(rustix::time::ClockId::Monotonic);
    Some(step.tv_sec as u64 * 1_000_000_000 + step.tv_nsec as u64)
}

#[cfg(not(unix))]
fn resolution_ns() -> Option<u64> {
    None
}

/// Sleeps again and again until the next millisecond, for `seconds`, on a thread of its own, which asks
/// for a real-time `priority` if there is one.
pub fn jitter(seconds: f64, priority: Option<u8>) -> Jitter {
    let watch = move || {
        if let Some(priority) = priority {
            // It was granted when it was tried.
            rights::for_lane(&Realtime { priority, ..Realtime::default() });
        }
        lateness(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    };
    let histogram = std::thread::spawn(watch).join().unwrap_or_else(|_| empty());
    let us = |q: f64| histogram.value_at_quantile(q) as f64 / 1e3;
    Jitter {
        n: histogram.len(),
        p50_us: us(0.5),
        p99_us: us(0.99),
        p999_us: us(0.999),
        p9999_us: us(0.9999),
        max_us: histogram.max() as f64 / 1e3,
    }
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are valid")
}

fn lateness(watched: Duration) -> Histogram<u64> {
    let mut histogram = empty();
    let start = Instant::now();
    let mut due = PERIOD;
    while due <= watched {
        sleep_until(start, due);
        let late = start.elapsed().saturating_sub(due);
        histogram.saturating_record((late.as_nanos() as u64).max(1));
        // One that comes late for several is late once.
        while due <= start.elapsed() {
            due += PERIOD;
        }
    }
    histogram
}

/// Sleeps until `due` after `start`: until a time, not for a time, where the system can.
#[cfg(target_os = "linux")]
fn sleep_until(start: Instant, due: Duration) {
    use rustix::thread::clock_nanosleep_absolute;
    use rustix::time::{ClockId, Timespec, clock_gettime};
    // Both read the same clock; only the system's call knows its zero.
    let (now, passed) = (clock_gettime(ClockId::Monotonic), start.elapsed());
    let left = due.saturating_sub(passed);
    let ns = now.tv_nsec + i64::from(left.subsec_nanos());
    let until = Timespec {
        tv_sec: now.tv_sec + left.as_secs() as i64 + ns / 1_000_000_000,
        tv_nsec: ns % 1_000_000_000,
    };
    // A signal may wake it early; the lateness is then 0.
    let _ = clock_nanosleep_absolute(ClockId::Monotonic, &until);
}

#[cfg(not(target_os = "linux"))]
fn sleep_until(start: Instant, due: Duration) {
    std::thread::sleep(due.saturating_sub(start.elapsed()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_moves_and_wake_ups_are_counted() {
        let timer = Timer::measure();
        assert!(timer.step_ns > 0 && timer.step_ns < u64::MAX && timer.look_ns > 0.0);
        let jitter = jitter(0.02, None);
        assert!((1..=20).contains(&jitter.n), "{jitter:?}");
        assert!(jitter.p50_us <= jitter.p99_us && jitter.p99_us <= jitter.max_us, "{jitter:?}");
    }

    #[test]
    fn it_sleeps_until_a_time() {
        let start = Instant::now();
        sleep_until(start, Duration::from_millis(3));
        assert!(start.elapsed() >= Duration::from_micros(2900));
        sleep_until(start, Duration::ZERO);
    }
}
