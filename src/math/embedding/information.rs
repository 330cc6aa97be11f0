//! How much a series says about itself some samples later, in bits.
//!
//! In: a series of T samples. Out: its mutual information with its own copy at each lag 1..L.
//!
//! ```text
//! I(lag) = sum over bins a, b of (g / n) log2(n g / (n_a n_b))          n = T - L
//! g   of the first n samples, how many are in bin a and, lag samples later, in bin b
//! n_a of the first n samples, how many are in bin a
//! ```
//!
//! The bins are the same for both axes and all lags: the sorted first n samples are cut into halves
//! again and again until the values in a part are spread evenly, by a chi-square test at p = 0.1 over four
//! ranges of equal width (two where there are fewer than 20 values; fewer than 10 are not cut). The counts
//! of the later copy are taken to be those of the samples themselves, as the authors' library does, so
//! that near-periodic series may get values slightly below zero.
//!
//! References: Fraser, Swinney, Phys. Rev. A 33, 1134 (1986); DelayEmbeddings.jl `selfmutualinfo`,
//! which carries out these sums.

use super::{check, first_minimum, too_short};
use crate::error::Result;

/// Fewer samples than this at the largest lag do not say anything.
const FEWEST: usize = 20;
/// Up to which lag a minimum is looked for.
pub const LAGS: usize = 100;

/// The mutual information of a series with itself 1, 2, .. `lags` samples later, in bits.
pub fn self_information(series: &[f64], lags: usize) -> Result<Vec<f64>> {
    check(series)?;
    let Some(n) = series.len().checked_sub(lags).filter(|n| *n >= FEWEST) else {
        let what_for = format!("for the mutual information up to lag {lags}");
        return Err(too_short(series.len(), lags + FEWEST, &what_for));
    };
    let bins = Bins::new(series, n);
    let mut joint = vec![0_u32; bins.count() * bins.count()];
    Ok((1..=lags).map(|lag| bins.information(lag, &mut joint)).collect())
}

/// The first lag at which the mutual information of a series with itself is no larger than at the
/// next; [`LAGS`] if it falls all the way.
pub fn first_minimum_lag(series: &[f64]) -> Result<usize> {
    Ok(first_minimum(&self_information(series, LAGS)?) + 1)
}

/// A series in bins.
struct Bins {
    /// How many of the first n samples are in each.
    sizes: Vec<usize>,
    /// The bin of each of the first n samples.
    own: Vec<usize>,
    /// The bin of each sample as the later one of a pair.
    later: Vec<usize>,
    /// The logarithm (base 2) of every count there can be.
    log2: Vec<f64>,
}

impl Bins {
    fn new(series: &[f64], n: usize) -> Self {
        let mut ranked: Vec<usize> = (0..n).collect();
        ranked.sort_by(|a, b| {
            series[*a].partial_cmp(&series[*b]).unwrap_or(std::cmp::Ordering::Equal)
        });
        let sorted: Vec<f64> = ranked.iter().map(|i| series[*i]).collect();
        let mut sizes = Vec::new();
        bisect(&sorted, &mut sizes);

        let (mut own, mut upper, mut first) = (vec![0; n], Vec::new(), 0);
        for (bin, size) in sizes.iter().enumerate() {
            ranked[first..first + size].iter().for_each(|i| own[*i] = bin);
            first += size;
            upper.push(sorted[first - 1]);
        }
        // Of the largest values, those beyond the last bin belong to it too.
        upper.pop();
        let later = series.iter().map(|x| upper.partition_point(|bound| bound < x)).collect();
        let log2 = (0..=n).map(|count| (count as f64).log2()).collect();
        Self { sizes, own, later, log2 }
    }

    fn count(&self) -> usize {
        self.sizes.len()
    }

    /// The information at one lag; `joint` is scratch for the counts of pairs of bins.
    fn information(&self, lag: usize, joint: &mut [u32]) -> f64 {
        joint.fill(0);
        for (a, b) in self.own.iter().zip(&self.later[lag..]) {
            joint[a * self.count() + b] += 1;
        }
        let mut bits = 0.0;
        for (row, own) in joint.chunks_exact(self.count()).zip(&self.sizes) {
            for (pairs, later) in row.iter().zip(&self.sizes).filter(|(pairs, _)| **pairs > 0) {
                let [pairs_log, own, later] = [*pairs as usize, *own, *later].map(|i| self.log2[i]);
                bits += f64::from(*pairs) * (pairs_log - own - later + self.log2[self.own.len()]);
            }
        }
        bits / self.own.len() as f64
    }
}

/// Cuts sorted values into halves until they are spread evenly, and appends how many are in each part.
fn bisect(sorted: &[f64], sizes: &mut Vec<usize>) {
    if is_uniform(sorted) {
        sizes.push(sorted.len());
    } else {
        let (low, high) = sorted.split_at(sorted.len() / 2);
        bisect(low, sizes);
        bisect(high, sizes);
    }
}

/// Whether sorted values are spread evenly, as far as a chi-square test at p = 0.1 can tell.
fn is_uniform(sorted: &[f64]) -> bool {
    let n = sorted.len();
    // One and three degrees of freedom.
    let (ranges, critical) = match n {
        0..10 => return true,
        10..20 => (2, 2.706),
        _ => (4, 6.251),
    };
    let width = (sorted[n - 1] - sorted[0]) / f64::from(ranges);
    let expected = (n as f64 / f64::from(ranges)).round_ties_even();
    let (mut statistic, mut first) = (0.0, 0);
    for i in 1..=ranges {
        let end = sorted.partition_point(|x| *x <= sorted[0] + f64::from(i) * width);
        statistic += ((end - first) as f64 - expected).powi(2) / expected;
        if end == n {
            break;
        }
        first = end;
    }
    statistic < critical
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::numbers;

    #[test]
    fn even_values_are_not_cut_and_others_are() {
        let even: Vec<f64> = (0..100).map(f64::from).collect();
        assert!(is_uniform(&even) && is_uniform(&even[..9]));
        let squares: Vec<f64> = even.iter().map(|x| x.powi(4)).collect();
        assert!(!is_uniform(&squares));
        let mut sizes = Vec::new();
        bisect(&squares, &mut sizes);
        assert!(sizes.len() > 2 && sizes.iter().sum::<usize>() == 100);
    }

    #[test]
    fn noise_says_little_and_a_sine_much() {
        let noise = self_information(&numbers(1000, 1), 20).unwrap();
        assert!(noise.iter().all(|bits| *bits < 0.5), "{noise:?}");
        let sine: Vec<f64> = (0..1000).map(|i| (f64::from(i) * 0.13).sin()).collect();
        let bits = self_information(&sine, 20).unwrap();
        assert!(bits.iter().all(|bits| *bits > 0.8), "{bits:?}");
        assert!(first_minimum_lag(&sine).unwrap() < 20);
    }

    #[test]
    fn few_distinct_values_and_short_series() {
        let steps: Vec<f64> = (0..300).map(|i| f64::from(i / 7 % 2)).collect();
        assert!(self_information(&steps, LAGS).unwrap().iter().all(|bits| bits.is_finite()));
        let text = self_information(&steps[..119], LAGS).unwrap_err().to_string();
        assert!(text.contains("has 119 samples, expected 120 or more"), "{text}");
        assert!(self_information(&steps[..120], LAGS).is_ok());
    }
}
