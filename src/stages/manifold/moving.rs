//! A reference that moves with what is seen: how far each window moves it, and which do not.
//!
//! In: windows as matrices, in order of time. The reference M takes the step M #_t C towards each
//! ([`Geodesic`]); in plain arithmetic M + t (C - M) under [`Method::Euclid`]. t is 1/(k+1) at the k-th
//! window, so that M is at first the mean of where it started and all that was seen, and later
//! 1 - exp(-s/tau), s the seconds of new data in the window: what is older than tau counts less and less.
//! Overlapping windows count by the samples that were in none before.
//!
//! A window whose distance to M is unusual does not move it: where the logarithm of the distance lies
//! more than so many robust standard deviations (1.4826 times the median absolute deviation) above the
//! median of the last 64. Windows that were refused are among those 64, so a lasting change is
//! learned once it makes up half of them.
//!
//! References: Zanini et al., IEEE Trans. Biomed. Eng. 65 (2018), for the recentring; Barachant, Andreev,
//! Congedo, TOBI Workshop (2013), for the distance as a measure of artefacts.

use crate::error::{Error, Result};
use crate::frame::{Flags, Frame, Span};
use crate::math::spd::{Geodesic, NotSpd};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many distances the usual one is taken from ...
const HISTORY: usize = 64;
/// ... and how many there must be before one is called unusual.
const ENOUGH: usize = 8;
/// From a median absolute deviation to a standard deviation, for normal numbers.
const SIGMAS_PER_MAD: f64 = 1.4826;
/// Windows that hardly differ are not told apart by less than this, on the logarithm of their distance.
const LEAST_SIGMA: f64 = 0.02;

/// Which mean a reference is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The affine-invariant mean, which does not care how loud single windows are.
    #[default]
    Riemann,
    /// The arithmetic mean: Euclidean alignment.
    Euclid,
}

/// What moves a reference how far.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Which mean it is.
    pub method: Method,
    /// The time constant of forgetting, in seconds.
    pub tau_s: f64,
    /// The most robust standard deviations.
    pub outlier: f64,
}

/// A reference that moves.
pub struct Moving {
    rule: Rule,
    rate_hz: f64,
    start: (Vec<f64>, f64),
    /// M.
    matrix: Vec<f64>,
    /// Seconds of data that it rests on, beside where it started.
    seen_s: f64,
    /// The newest sample that it has seen.
    newest: Option<u64>,
    usual: Usual,
    way: Geodesic,
}

impl Rule {
    /// Checks the settings of the same names.
    pub fn check(self) -> Result<Self> {
        let positive = |key: &str, value: f64| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(Error::setting(key, format!("is {value}, expected a positive number"))),
        };
        positive("tau_s", self.tau_s)?;
        positive("outlier", self.outlier)?;
        Ok(self)
    }
}

impl Moving {
    /// A reference that starts at `start`, n x n, which rests on `seen_s` seconds of data of the session
    /// (0 if it is of another one); windows come from a stream of `rate_hz`.
    pub fn new(rule: Rule, rate_hz: f64, n: usize, start: Vec<f64>, seen_s: f64) -> Self {
        Self {
            rule,
            rate_hz,
            matrix: start.clone(),
            start: (start, seen_s),
            seen_s,
            newest: None,
            usual: Usual::default(),
            way: Geodesic::new(n),
        }
    }

    /// M.
    pub fn matrix(&self) -> &[f64] {
        &self.matrix
    }

    /// Seconds of data that it rests on.
    pub fn seen_s(&self) -> f64 {
        self.seen_s
    }

    /// **Data.** Back to the start.
    pub fn reset(&mut self) {
        self.matrix.copy_from_slice(&self.start.0);
        self.seen_s = self.start.1;
        self.newest = None;
        self.usual = Usual::default();
    }

    /// **Data.** Moves with `window`, unless that is flagged BAD or unusual. Says whether it did.
    pub fn learn(&mut self, window: &Frame) -> Result<bool, NotSpd> {
        if window.flags.has(Flags::BAD) {
            return Ok(false);
        }
        let Self { rule, matrix, usual, way, .. } = self;
        let pace = Pace::of(&window.span, self.newest, self.rate_hz, self.seen_s);
        let mut share = 0.0;
        let euclid = rule.method == Method::Euclid;
        way.step(matrix, &window.data, |distance| {
            if usual.admits(distance, rule.outlier) {
                share = pace.share(rule.tau_s);
            }
            if euclid { 0.0 } else { share }
        })?;
        if share <= 0.0 {
            return Ok(false);
        }
        if euclid {
            matrix.iter_mut().zip(&window.data).for_each(|(m, c)| *m += share * (c - *m));
        }
        self.seen_s += pace.new_s;
        self.newest = Some(window.span.last);
        Ok(true)
    }
}

/// What a window brings.
struct Pace {
    /// Its length, in seconds.
    window_s: f64,
    /// How much of it is new.
    new_s: f64,
    /// How much was seen before.
    seen_s: f64,
}

impl Pace {
    fn of(span: &Span, newest: Option<u64>, rate_hz: f64, seen_s: f64) -> Self {
        let samples = span.last.saturating_sub(span.first) + 1;
        let new = newest.map_or(samples, |newest| span.last.saturating_sub(newest).min(samples));
        Self { window_s: samples as f64 / rate_hz, new_s: new as f64 / rate_hz, seen_s }
    }

    /// The share of the way.
    fn share(&self, tau_s: f64) -> f64 {
        let first = self.new_s / (self.window_s + self.seen_s + self.new_s);
        let later = 1.0 - (-self.new_s / tau_s).exp();
        first.max(later)
    }
}

/// Which distances are usual.
struct Usual {
    logs: [f64; HISTORY],
    sorted: [f64; HISTORY],
    count: usize,
}

impl Default for Usual {
    fn default() -> Self {
        Self { logs: [0.0; HISTORY], sorted: [0.0; HISTORY], count: 0 }
    }
}

impl Usual {
    /// Whether `distance` is not unusually large beside those before; remembers it.
    fn admits(&mut self, distance: f64, most: f64) -> bool {
        let log = distance.max(f64::MIN_POSITIVE).ln();
        let usual = self.count < ENOUGH || {
            let median = self.median_of(|log| log);
            let mad = self.median_of(|log| (log - median).abs());
            log - median <= most * (SIGMAS_PER_MAD * mad).max(LEAST_SIGMA)
        };
        self.logs[self.count % HISTORY] = log;
        self.count += 1;
        usual
    }

    fn median_of(&mut self, f: impl Fn(f64) -> f64) -> f64 {
        let n = self.count.min(HISTORY);
        let sorted = &mut self.sorted[..n];
        sorted.iter_mut().zip(&self.logs).for_each(|(to, log)| *to = f(*log));
        sorted.sort_unstable_by(f64::total_cmp);
        0.5 * (sorted[(n - 1) / 2] + sorted[n / 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Spec;

    fn window(first: u64, rows: u64, value: f64) -> Frame {
        let mut frame = Spec::markers().frame();
        frame.resize(1, 1);
        frame.data[0] = value;
        frame.span = Span { first, last: first + rows - 1, ..Span::default() };
        frame
    }

    fn moving(method: Method, tau_s: f64) -> Moving {
        Moving::new(Rule { method, tau_s, outlier: 3.0 }, 100.0, 1, vec![1.0], 0.0)
    }

    /// Windows that do not overlap: the geometric (arithmetic) mean of the start and all of them.
    #[test]
    fn at_first_all_count_alike() {
        let values = [4.0, 2.0, 8.0];
        let mut m = moving(Method::Riemann, 1e9);
        for (k, v) in values.iter().enumerate() {
            assert!(m.learn(&window(200 * k as u64, 200, *v)).unwrap());
        }
        assert!((m.matrix()[0] - 64.0_f64.powf(0.25)).abs() < 1e-12, "{:?}", m.matrix());
        let mut m = moving(Method::Euclid, 1e9);
        for (k, v) in values.iter().enumerate() {
            assert!(m.learn(&window(200 * k as u64, 200, *v)).unwrap());
        }
        assert!((m.matrix()[0] - 15.0 / 4.0).abs() < 1e-12, "{:?}", m.matrix());
        assert!((m.seen_s() - 6.0).abs() < 1e-12);
        m.reset();
        assert_eq!((m.matrix(), m.seen_s()), (&[1.0][..], 0.0));
    }

    /// 60 s of windows that overlap by 9 tenths, of a value that never changes: less than 5 % is left
    /// of the start, as the time constant of 30 s says.
    #[test]
    fn what_is_old_is_forgotten() {
        let mut m = moving(Method::Riemann, 30.0);
        for k in 0..581 {
            m.learn(&window(10 * k, 200, std::f64::consts::E)).unwrap();
        }
        assert!((m.seen_s() - 60.0).abs() < 1e-9, "{}", m.seen_s());
        let left = 1.0 - m.matrix()[0].ln();
        // 2 s of 32 s after the warm-up of 30 s, and a time constant after that.
        let want = 2.0 / 32.0 * (-1.0_f64).exp();
        assert!((left - want).abs() < 0.1 * want, "{left} is left, expected {want}");
    }

    #[test]
    fn bad_and_unusual_windows_do_not_move_it() {
        let mut m = moving(Method::Riemann, 30.0);
        let usual = |k: u64| window(200 * k, 200, 3.0 + 0.2 * (k as f64 * 2.4).sin());
        (0..20).for_each(|k| assert!(m.learn(&usual(k)).unwrap(), "window {k}"));
        let before = m.matrix().to_vec();
        assert!(!m.learn(&window(4000, 200, 1000.0)).unwrap());
        let mut bad = usual(21);
        bad.flags = Flags::BAD;
        assert!(!m.learn(&bad).unwrap());
        assert_eq!(m.learn(&window(4400, 200, -1.0)), Err(NotSpd::NotPositive));
        assert_eq!(m.matrix(), before);
        // A change that lasts is learned in the end.
        let learned = (23..200).filter(|k| m.learn(&window(200 * k, 200, 40.0)).unwrap()).count();
        assert!(learned > 100 && m.matrix()[0] > 30.0, "{learned}, {:?}", m.matrix());
    }
}
