//! Do two pipelines differ? Tests on the same trials, recordings or subjects, all two-sided.

use super::{interval::probability, midranks};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

/// Up to so many differences all signs are tried, 2^16 of them; beyond it they are drawn.
const ALL_SIGNS: usize = 16;

/// Up to so many differences the signed-rank test is exact; beyond it the normal distribution is as
/// good.
const ALL_RANKS: usize = 50;

/// What [`mcnemar`] found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Trials that only the first pipeline decided rightly.
    pub only_first: usize,
    /// Trials that only the second one decided rightly.
    pub only_second: usize,
    /// The probability of so uneven counts or more uneven ones, were both equally good.
    pub p: f64,
}

/// The exact McNemar test: which of two pipelines is right more often on the same trials. The trials
/// on which just one is right are coin flips if both are equally good.
///
/// `first` and `second` say for each trial whether it was decided rightly.
///
/// Reference: McNemar, Psychometrika 12 (1947) 153-157.
pub fn mcnemar(first: &[bool], second: &[bool]) -> McNemar {
    let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && !**b).count();
    let (only_first, only_second) = (only(first, second), only(second, first));
    let p = Binomial::new(0.5, (only_first + only_second) as u64)
        .map_or(1.0, |flips| 2.0 * flips.cdf(only_first.min(only_second) as u64));
    McNemar { only_first, only_second, p: p.min(1.0) }
}

/// The Wilcoxon signed-rank test of `differences` between two pipelines, one per recording or subject:
/// the probability of rank sums so uneven or more uneven, were either sign equally likely.
///
/// Differences of 0 are left out, equal ones share their ranks. Exact for the ranks at hand up to 50
/// differences (ties and all), beyond it by the normal distribution with the correction for ties.
///
/// Reference: Wilcoxon, Biometrics Bulletin 1 (1945) 80-83.
pub fn signed_rank(differences: &[f64]) -> f64 {
    let told: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let sizes: Vec<f64> = told.iter().map(|d| d.abs()).collect();
    // Twice the ranks are whole numbers.
    let twice: Vec<usize> = midranks(&sizes).iter().map(|r| (2.0 * r) as usize).collect();
    let positive: usize = twice.iter().zip(&told).filter(|(_, d)| **d > 0.0).map(|(r, _)| r).sum();
    if told.len() <= ALL_RANKS { exact(&twice, positive) } else { normal(&twice, positive) }
}

/// Counts the choices of signs by the sum of the positive ranks.
fn exact(ranks: &[usize], positive: usize) -> f64 {
    let total: usize = ranks.iter().sum();
    let mut share = vec![0.0; total + 1];
    share[0] = 1.0;
    for rank in ranks {
        for sum in (0..=total).rev() {
            let with = if sum >= *rank { share[sum - rank] } else { 0.0 };
            share[sum] = (share[sum] + with) / 2.0;
        }
    }
    let low: f64 = share[..=positive].iter().sum();
    let high: f64 = share[positive..].iter().sum();
    (2.0 * low.min(high)).min(1.0)
}

fn normal(ranks: &[usize], positive: usize) -> f64 {
    let mean = ranks.iter().sum::<usize>() as f64 / 2.0;
    let variance = ranks.iter().map(|r| (r * r) as f64).sum::<f64>() / 4.0;
    2.0 * probability(-(positive as f64 - mean).abs() / variance.sqrt())
}

/// The sign-flip permutation test of the mean of `differences`: how often it would be so far from 0
/// or farther, were either sign equally likely. Unlike [`signed_rank`] it weighs differences by size.
///
/// Exact up to 16 differences; beyond it from `draws` random choices of signs, with the data counted
/// among them, so that p is never 0.
///
/// Reference: Nichols and Holmes, Human Brain Mapping 15 (2002) 1-25.
pub fn sign_flip(differences: &[f64], draws: usize, seed: u64) -> f64 {
    let n = differences.len();
    let size: f64 = differences.iter().map(|d| d.abs()).sum();
    // Sums that differ by rounding only are equal.
    let reached = differences.iter().sum::<f64>().abs() - 1e-12 * size;
    let far = |signs: &dyn Fn(usize) -> bool| {
        let signed = |(i, d): (usize, &f64)| if signs(i) { *d } else { -d };
        differences.iter().enumerate().map(signed).sum::<f64>().abs() >= reached
    };
    if n <= ALL_SIGNS {
        let all = 1_usize << n;
        let count = (0..all).filter(|choice| far(&|i| choice >> i & 1 == 1)).count();
        return count as f64 / all as f64;
    }
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut signs = vec![true; n];
    let mut drawn = || {
        signs.fill_with(|| rng.random());
        far(&|i| signs[i])
    };
    let count = (0..draws).filter(|_| drawn()).count();
    (count + 1) as f64 / (draws + 1) as f64
}

/// The p of several tests, raised so that the chance of a single false finding among them stays below
/// the level (Holm): the k-th smallest of m counts m - k + 1 times, and none less than a smaller one.
///
/// Reference: Holm, Scandinavian Journal of Statistics 6 (1979) 65-70.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![1.0; p.len()];
    let mut least = 0.0_f64;
    for (k, i) in order.into_iter().enumerate() {
        least = least.max((p.len() - k) as f64 * p[i]).min(1.0);
        adjusted[i] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcnemar_by_hand() {
        let first = [true, true, true, true, true, false, true];
        let second = [false, false, false, false, false, false, true];
        let got = mcnemar(&first, &second);
        assert_eq!((got.only_first, got.only_second), (5, 0));
        assert!((got.p - 2.0 / 32.0).abs() < 1e-12);
        assert_eq!(mcnemar(&first, &second).p, mcnemar(&second, &first).p);
        assert_eq!(mcnemar(&first, &first).p, 1.0);
        assert_eq!(mcnemar(&[], &[]).p, 1.0);
    }

    #[test]
    fn all_of_one_sign_is_the_rarest() {
        let all = [0.1, 0.2, 0.3, 0.4, 0.5];
        assert_eq!(signed_rank(&all), 2.0 / 32.0);
        assert_eq!(sign_flip(&all, 0, 1), 2.0 / 32.0);
        assert_eq!((signed_rank(&[]), sign_flip(&[], 0, 1)), (1.0, 1.0));
        assert_eq!((signed_rank(&[0.0; 3]), sign_flip(&[0.0; 3], 0, 1)), (1.0, 1.0));
    }

    #[test]
    fn exact_and_approximate_meet() {
        let values: Vec<f64> = (0..50).map(|i| ((i * 37 % 50) as f64 - 19.0) / 50.0).collect();
        let twice: Vec<usize> = midranks(&values.iter().map(|v| v.abs()).collect::<Vec<_>>())
            .iter()
            .map(|r| (2.0 * r) as usize)
            .collect();
        let positive: usize =
            twice.iter().zip(&values).filter(|(_, v)| **v > 0.0).map(|(r, _)| r).sum();
        let (a, b) = (exact(&twice, positive), normal(&twice, positive));
        assert!((a - b).abs() < 0.005, "{a} {b}");
        // Drawn signs find what a normal approximation of the sum says, to within three of their
        // standard errors.
        let drawn = sign_flip(&values, 20_000, 3);
        let size = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        let wanted = 2.0 * probability(-values.iter().sum::<f64>().abs() / size);
        assert!((drawn - wanted).abs() < 3.0 * (0.25_f64 / 20_000.0).sqrt(), "{drawn} {wanted}");
    }

    #[test]
    fn holm_by_hand() {
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-15);
        assert!(close(&holm(&[0.01, 0.04, 0.03]), &[0.03, 0.06, 0.06]));
        assert!(close(&holm(&[0.5, 0.9]), &[1.0, 1.0]));
        assert_eq!(holm(&[]), [0.0; 0]);
    }
}
