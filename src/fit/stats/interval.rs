//! Intervals of confidence.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

/// A value and the range in which it may well lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// What was found.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// A value that is exact, or of which nothing more is known.
    pub fn point(value: f64) -> Self {
        Self { value, low: value, high: value }
    }
}

/// The Wilson interval of a share: the values of p that the score test does not reject.
///
/// It never leaves 0 to 1, and holds for few trials too. Without trials it is all of 0 to 1.
///
/// Reference: Wilson, Journal of the American Statistical Association 22 (1927) 209-212.
pub fn wilson(correct: usize, n: usize, confidence: f64) -> Interval {
    if n == 0 {
        return Interval { value: 0.0, low: 0.0, high: 1.0 };
    }
    let (k, count) = (correct as f64, n as f64);
    let (p, z) = (k / count, -quantile((1.0 - confidence) / 2.0));
    let z2 = z * z / count;
    let centre = (p + z2 / 2.0) / (1.0 + z2);
    let half = z / count.sqrt() * (p * (1.0 - p) + z2 / 4.0).sqrt() / (1.0 + z2);
    // At the ends rounding would leave a trace.
    let low = if correct == 0 { 0.0 } else { centre - half };
    let high = if correct == n { 1.0 } else { centre + half };
    Interval { value: p, low, high }
}

/// By how much one share is above another, where both are of the same `n` trials: `gained` were right by
/// the first only, `lost` by the second only. The value is the plain difference, the interval that of
/// Wald with one trial added to each of the two counts, which holds for few trials too.
///
/// Reference: Bonett & Price, Journal of Educational and Behavioral Statistics 37 (2012) 479-488.
pub fn paired_difference(gained: usize, lost: usize, n: usize, confidence: f64) -> Interval {
    if n == 0 {
        return Interval { value: 0.0, low: -1.0, high: 1.0 };
    }
    let value = (gained as f64 - lost as f64) / n as f64;
    let (up, down) =
        ((gained as f64 + 1.0) / (n as f64 + 2.0), (lost as f64 + 1.0) / (n as f64 + 2.0));
    let z = -quantile((1.0 - confidence) / 2.0);
    let half = z * ((up + down - (up - down).powi(2)) / (n as f64 + 2.0)).sqrt();
    let (low, high) = ((up - down - half).max(-1.0), (up - down + half).min(1.0));
    Interval { value, low, high }
}

/// The bootstrap interval of the mean of `values` (scores of folds, recordings or subjects), by
/// [`bca`] over `resamples` means of as many values drawn with replacement.
///
/// Values that do not differ, or a single one, give a point: the interval is then unknown.
pub fn bootstrap_mean(values: &[f64], confidence: f64, resamples: usize, seed: u64) -> Interval {
    let n = values.len();
    let sum: f64 = values.iter().sum();
    let mean = sum / n.max(1) as f64;
    if n < 2 || resamples == 0 || values.iter().all(|v| *v == values[0]) {
        return Interval::point(mean);
    }
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut drawn_mean = || (0..n).map(|_| values[rng.random_range(0..n)]).sum::<f64>() / n as f64;
    let resampled: Vec<f64> = (0..resamples).map(|_| drawn_mean()).collect();
    let without_one: Vec<f64> = values.iter().map(|v| (sum - v) / (n - 1) as f64).collect();
    bca(&resampled, mean, &without_one, confidence)
}

/// The bias-corrected and accelerated bootstrap interval of a statistic.
///
/// `resampled` are its values on the resamples, `observed` that on the data, `without_one` those
/// without each of the data in turn (jackknife). The interval is between two percentiles of the
/// resamples, moved by the bias z0 of their median and by the acceleration a, by which the spread grows
/// with the value: `Phi(z0 + (z0 + z) / (1 - a (z0 + z)))` for the percentile of z.
///
/// Reference: Efron, Journal of the American Statistical Association 82 (1987) 171-185.
pub fn bca(resampled: &[f64], observed: f64, without_one: &[f64], confidence: f64) -> Interval {
    let mut sorted = resampled.to_vec();
    sorted.sort_by(f64::total_cmp);
    // As good as observed, up to rounding, counts half.
    let rounding = 1e-12 * observed.abs();
    let below = sorted.partition_point(|v| *v < observed - rounding);
    let up_to = sorted.partition_point(|v| *v <= observed + rounding);
    let bias = quantile((below + up_to) as f64 / (2 * sorted.len().max(1)) as f64);
    let acceleration = acceleration(without_one);
    let end = |tail: f64| {
        let z = bias + quantile(tail);
        let moved = probability(bias + z / (1.0 - acceleration * z));
        // Where all resamples lie on one side the bias has no value: plain percentiles then.
        let share = if bias.is_finite() { moved } else { tail };
        percentile(&sorted, share).unwrap_or(observed)
    };
    let tail = (1.0 - confidence) / 2.0;
    Interval { value: observed, low: end(tail), high: end(1.0 - tail) }
}

/// A sixth of the skewness of the jackknife.
fn acceleration(without_one: &[f64]) -> f64 {
    let mean = without_one.iter().sum::<f64>() / without_one.len().max(1) as f64;
    let moment = |power| without_one.iter().map(|v| (mean - v).powi(power)).sum::<f64>();
    let spread = moment(2).powf(1.5);
    if spread > 0.0 { moment(3) / (6.0 * spread) } else { 0.0 }
}

/// The value below which `share` of the sorted values lie, on the straight line between neighbours.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share.clamp(0.0, 1.0) * sorted.len().saturating_sub(1) as f64;
    let (below, part) = (place as usize, place.fract());
    let low = *sorted.get(below)?;
    let high = *sorted.get(below + 1).unwrap_or(&low);
    Some(low + part * (high - low))
}

/// The value below which a standard normal variable lies with probability `p`.
fn quantile(p: f64) -> f64 {
    // Outside 0 to 1 the crate would panic.
    if p.is_nan() { p } else { Normal::standard().inverse_cdf(p.clamp(0.0, 1.0)) }
}

/// The probability that a standard normal variable lies below `z`.
pub(super) fn probability(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_stays_inside_and_narrows() {
        let at = |k, n| wilson(k, n, 0.95);
        assert_eq!((at(0, 10).low, at(10, 10).high), (0.0, 1.0));
        assert_eq!((at(0, 0).low, at(0, 0).high), (0.0, 1.0));
        assert!(at(5, 10).high - at(5, 10).low > at(50, 100).high - at(50, 100).low);
        assert!((at(3, 10).low - (1.0 - at(7, 10).high)).abs() < 1e-15);
    }

    #[test]
    fn paired_difference_is_that_of_bonett_and_price() {
        // By hand, with z = 1.959964: up = 10/42, down = 4/42, half = z sqrt((14/42 - (6/42)^2) / 42).
        let got = paired_difference(9, 3, 40, 0.95);
        assert_eq!(got.value, 0.15);
        assert!((got.low - -0.026_320_8).abs() < 1e-6, "{got:?}");
        assert!((got.high - 0.312_035_1).abs() < 1e-6, "{got:?}");
        // Without a difference it is still not certain that there is none.
        let none = paired_difference(0, 0, 20, 0.95);
        assert!(none.low < -0.1 && none.high == -none.low, "{none:?}");
        let empty = paired_difference(0, 0, 0, 0.95);
        assert_eq!((empty.low, empty.high), (-1.0, 1.0));
    }

    #[test]
    fn bootstrap_is_the_same_for_the_same_seed() {
        let values: Vec<f64> = (0..12).map(|i| 0.5 + (i * i * 7919 % 101) as f64 / 250.0).collect();
        let got = bootstrap_mean(&values, 0.95, 2000, 7);
        assert_eq!(got, bootstrap_mean(&values, 0.95, 2000, 7));
        assert_ne!(got, bootstrap_mean(&values, 0.95, 2000, 8));
        assert!((got.value - values.iter().sum::<f64>() / 12.0).abs() < 1e-15);
        // About as wide as the normal distribution has it: 1.96 standard errors to either side.
        let variance = values.iter().map(|v| (v - got.value).powi(2)).sum::<f64>() / 12.0;
        let wanted = 2.0 * 1.96 * (variance / 12.0).sqrt();
        assert!(((got.high - got.low) / wanted - 1.0).abs() < 0.1, "{got:?} {wanted}");
    }

    #[test]
    fn without_spread_the_interval_is_a_point() {
        assert_eq!(bootstrap_mean(&[0.7; 4], 0.95, 100, 1), Interval::point(0.7));
        assert_eq!(bootstrap_mean(&[0.7], 0.95, 100, 1), Interval::point(0.7));
        assert_eq!(bootstrap_mean(&[], 0.95, 100, 1), Interval::point(0.0));
        assert_eq!(bca(&[], 0.5, &[], 0.95), Interval::point(0.5));
    }

    #[test]
    fn one_sided_resamples_give_plain_percentiles() {
        let got = bca(&[1.0, 2.0, 3.0], 0.0, &[0.0, 1.0], 0.5);
        assert_eq!((got.low, got.high), (1.5, 2.5));
    }
}
