//! The clocks of XDF streams: time stamps go onto the clock of the recording computer, and the
//! jitter of regular streams goes.
//!
//! A clock offset is what has to be added to a stream's clock at a time on that clock. Between clock
//! resets the offsets are fitted by a line `a + b t`, robustly (Huber loss), and `a + b t` is added
//! to every time stamp `t`. Stamps of a regular stream are then replaced by a straight line in the
//! row number, from break to break. All thresholds are the defaults of pyxdf.

/// Differences of clock offsets below this, in seconds, are noise to be averaged; above, outliers.
const NOISE_S: f64 = 0.0001;
/// Iterations of the robust fit.
const ITERATIONS: usize = 1000;
/// A reset delays a clock offset by this many seconds, and by [`RESET_TIME_MADS`].
const RESET_TIME_S: f64 = 5.0;
const RESET_TIME_MADS: f64 = 5.0;
/// A reset changes the clock offset by this many seconds, and by [`RESET_VALUE_MADS`].
const RESET_VALUE_S: f64 = 1.0;
const RESET_VALUE_MADS: f64 = 10.0;
/// A pause of more than this many seconds and this many sampling intervals is a break.
const BREAK_S: f64 = 1.0;
const BREAK_SAMPLES: f64 = 500.0;
/// The last offset is wrong when its delay is this many times the usual one, or its value this many
/// standard deviations away.
const STRAY: f64 = 10.0;

/// One measurement of a stream's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offset {
    /// When, on the clock of the stream.
    pub time: f64,
    /// What has to be added to the clock of the stream.
    pub value: f64,
}

/// How many samples at the end of a stream were made up when its outlet closed: those that its
/// footer does not count, provided that the last clock offset is a stray (liblsl issue 246).
pub fn extra_samples(stamps: &[f64], offsets: &[Offset], counted: Option<usize>) -> Option<usize> {
    let extra = stamps.len().checked_sub(counted?).filter(|n| *n > 0)?;
    let (last, usual) = offsets.split_last().filter(|(_, usual)| usual.len() >= 2)?;
    let intervals: Vec<f64> = usual.windows(2).map(|w| w[1].time - w[0].time).collect();
    let interval = median(&intervals);
    let delay = (last.time - usual[usual.len() - 1].time).abs();
    let delays = match interval > 0.0 {
        true => delay / interval,
        false if delay > 0.0 => f64::INFINITY,
        false => 1.0,
    };
    let values: Vec<f64> = usual.iter().map(|o| o.value).collect();
    let middle = median(&values);
    let spread = median(&values.iter().map(|v| (v - middle).abs()).collect::<Vec<_>>());
    let deviations = match spread > f64::EPSILON {
        true => (last.value - middle).abs() / (1.4826 * spread),
        false => 0.0,
    };
    (delays > STRAY || deviations > STRAY).then_some(extra)
}

/// Puts `stamps` on the clock of the recording computer.
pub fn synchronise(stamps: &mut [f64], offsets: &[Offset], name: &str, warnings: &mut Vec<String>) {
    let ranges = between_resets(offsets);
    let mut from = 0;
    for (index, range) in ranges.iter().enumerate() {
        let rest = &mut stamps[from..];
        let here = match ranges.get(index + 1) {
            None => rest.len(),
            // Up to the first stamp that is not closer to the end of this range than to the next.
            Some(next) => {
                let (end, start) = (range[range.len() - 1].time, next[0].time);
                let close = |t: &f64| (t - end).abs() < (t - start).abs();
                rest.iter().position(|t| !close(t)).unwrap_or(rest.len())
            }
        };
        let line = match range {
            [only] => Some((only.value, 0.0)),
            _ => robust_line(range),
        };
        let (a, b) = line.unwrap_or_else(|| {
            warnings.push(format!(
                "stream \"{name}\": {} clock offsets from {} s on fit no line; its time stamps \
                 there were left as they are",
                range.len(),
                range[0].time
            ));
            (0.0, 0.0)
        });
        for stamp in &mut rest[..here] {
            *stamp += a + b * *stamp;
        }
        from += here;
    }
    if ranges.len() > 1 {
        warnings.push(format!("stream \"{name}\": its clock was reset {} times", ranges.len() - 1));
    }
}

/// The offsets from reset to reset. None of the ranges is empty.
fn between_resets(offsets: &[Offset]) -> Vec<&[Offset]> {
    let steps = |of: fn(&Offset) -> f64| -> Vec<f64> {
        offsets.windows(2).map(|w| of(&w[1]) - of(&w[0])).collect()
    };
    let times = steps(|o| o.time);
    let late = outliers(&times, RESET_TIME_MADS, RESET_TIME_S);
    let jumps = outliers(&steps(|o| o.value), RESET_VALUE_MADS, RESET_VALUE_S);
    let mut ranges = Vec::new();
    let mut from = 0;
    for i in 0..times.len() {
        if times[i] < 0.0 || (late[i] && jumps[i]) {
            ranges.push(&offsets[from..=i]);
            from = i + 1;
        }
    }
    if from < offsets.len() {
        ranges.push(&offsets[from..]);
    }
    ranges
}

/// Which numbers are far from the median: by `mads` median deviations, and by `least`.
fn outliers(numbers: &[f64], mads: f64, least: f64) -> Vec<bool> {
    let middle = median(numbers);
    let distances: Vec<f64> = numbers.iter().map(|n| (n - middle).abs()).collect();
    let mad = median(&distances) + f64::EPSILON;
    distances.iter().map(|d| d / mad > mads && *d > least).collect()
}

/// The median; 0 of nothing.
fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[half],
        _ => (sorted[half - 1] + sorted[half]) / 2.0,
    }
}

/// The line `value = a + b time` of least Huber loss, in units of [`NOISE_S`].
///
/// Solved by ADMM with rho = 1, a fixed number of iterations and the first time as origin, as in
/// pyxdf. Each iteration solves the 2 x 2 normal equations by their Cholesky factor.
fn robust_line(offsets: &[Offset]) -> Option<(f64, f64)> {
    let origin = offsets.iter().map(|o| o.time / NOISE_S).fold(f64::INFINITY, f64::min);
    let points: Vec<(f64, f64)> =
        offsets.iter().map(|o| (o.time / NOISE_S - origin, o.value / NOISE_S)).collect();
    let n = points.len() as f64;
    let (sum_t, sum_tt) = points.iter().fold((0.0, 0.0), |(s, q), (t, _)| (s + t, q + t * t));
    let l00 = n.sqrt();
    let l10 = sum_t / l00;
    let l11_squared = sum_tt - l10 * l10;
    if l11_squared.is_nan() || l11_squared <= 0.0 {
        return None;
    }
    let l11 = l11_squared.sqrt();
    let mut z_minus_u = vec![0.0; points.len()];
    let mut u = vec![0.0; points.len()];
    let (mut a, mut b) = (0.0, 0.0);
    for _ in 0..ITERATIONS {
        let (mut r0, mut r1) = (0.0, 0.0);
        for ((t, y), zu) in points.iter().zip(&z_minus_u) {
            r0 += y + zu;
            r1 += t * (y + zu);
        }
        let q0 = r0 / l00;
        let q1 = (r1 - l10 * q0) / l11;
        b = q1 / l11;
        a = (q0 - l10 * b) / l00;
        for (((t, y), zu), u) in points.iter().zip(&mut z_minus_u).zip(&mut u) {
            let d = a + b * t - y + *u;
            let shrink = if d == 0.0 { 1.0 } else { (1.0 - 2.0 / d.abs()).max(0.0) };
            let z = 0.5 * d + 0.5 * shrink * d;
            *u = d - z;
            *zu = z - *u;
        }
    }
    Some(((a - b * origin) * NOISE_S, b))
}

/// Replaces the stamps of a regular stream by straight lines from break to break; returns the row
/// at which each stretch begins.
pub fn remove_jitter(stamps: &mut [f64], rate_hz: f64) -> Vec<usize> {
    let longest = BREAK_S.max(BREAK_SAMPLES / rate_hz);
    let mut starts = vec![0];
    starts.extend(
        stamps
            .windows(2)
            .enumerate()
            .filter(|(_, w)| (w[1] - w[0]).abs() > longest)
            .map(|(i, _)| i + 1),
    );
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([stamps.len()]).collect();
    for (from, to) in starts.iter().zip(ends) {
        straighten(&mut stamps[*from..to]);
    }
    starts
}

/// Replaces `y` by its least-squares line. Sums are taken around the means, so that large stamps
/// lose no digits.
fn straighten(y: &mut [f64]) {
    if y.len() < 2 {
        return;
    }
    let n = y.len() as f64;
    let middle = (n - 1.0) / 2.0;
    let first = y[0];
    let mean = y.iter().map(|v| v - first).sum::<f64>() / n;
    let (mut xy, mut xx) = (0.0, 0.0);
    for (i, v) in y.iter().enumerate() {
        let x = i as f64 - middle;
        xy += x * (v - first - mean);
        xx += x * x;
    }
    let slope = xy / xx;
    for (i, v) in y.iter_mut().enumerate() {
        *v = first + (mean + slope * (i as f64 - middle));
    }
}
