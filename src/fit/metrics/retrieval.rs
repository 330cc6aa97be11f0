//! How well predicted embeddings find their items: rank of the true one, top-1, top-5, and the choice between it and
//! some others.
//!
//! In: predictions, the true item of each, a gallery ([`Items`]). Out: [`Retrieval`], each figure with an interval and
//! with what guessing gives. The rank of an item is one more than the number of items in front of it, in the order
//! in which the search finds them (of equally similar ones the first in the gallery is in front).
//!
//! **Choice between k.** Papers draw k - 1 other items for every trial and count how often the true one is the most
//! similar. Here that is the mean over all draws, which needs none: with b of the other N - 1 items behind the true
//! one, the share of draws that it wins is C(b, k - 1) / C(N - 1, k - 1).
//!
//! **Intervals.** Trials of the same item are no independent ones: a picture that is like no other is found in all
//! its repetitions. So items are drawn with replacement, each with all of its trials (bootstrap over clusters, BCa;
//! for the median rank bias-corrected percentiles, since a jackknife of a median says nothing).
//!
//! Reference for the resampling of clusters: Field and Welsh, Journal of the Royal Statistical Society B 69 (2007)
//! 369-390.

use super::super::stats::{Interval, bca};
use crate::error::{Error, Result};
use crate::math::retrieval::{Items, Query, exact};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Between how many items the true one is to be chosen.
pub const WAYS: [usize; 3] = [2, 4, 10];

/// A share or a rank, and what guessing gives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What was found.
    pub found: Interval,
    /// What guessing gives.
    pub chance: f64,
}

/// The choice between some items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Between how many.
    pub ways: usize,
    /// How often the true one is chosen.
    pub accuracy: Figure,
}

/// How well items are found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retrieval {
    /// Predictions.
    pub trials: usize,
    /// How many different items they are of.
    pub tried: usize,
    /// Items in the gallery.
    pub items: usize,
    /// How often the true item is the first.
    pub top_1: Figure,
    /// How often it is among the first five.
    pub top_5: Figure,
    /// The median of its rank, from 1 on.
    pub median_rank: Figure,
    /// How often it is chosen among [`WAYS`] items, where the gallery has as many.
    pub choices: Vec<Choice>,
}

/// How intervals are found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampling {
    /// The confidence of intervals.
    pub confidence: f64,
    /// How often items are drawn.
    pub draws: usize,
    /// Seeds the draws.
    pub seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { confidence: 0.95, draws: 2000, seed: 1 }
    }
}

impl Retrieval {
    /// Of `predictions`, one behind the other, each as long as the rows of `items`, and the true item of each.
    pub fn of<R: AsRef<[f32]>>(
        items: &Items<R>,
        predictions: &[f64],
        truth: &[usize],
        resampling: Resampling,
    ) -> Result<Self> {
        Self::of_ranks(&ranks(items, predictions, truth)?, truth, items.count(), resampling)
    }

    /// Of the rank of the true item in each trial, from 1 on, in a gallery of `items`.
    pub fn of_ranks(
        ranks: &[usize],
        truth: &[usize],
        items: usize,
        resampling: Resampling,
    ) -> Result<Self> {
        if ranks.is_empty() || ranks.len() != truth.len() {
            let text = format!("{} ranks come with {} true items", ranks.len(), truth.len());
            return Err(Error::mismatch(text));
        }
        let clusters = Clusters::new(truth);
        let share = |hit: &dyn Fn(usize) -> f64, chance| Figure {
            found: clusters.mean(&ranks.iter().map(|rank| hit(*rank)).collect::<Vec<_>>(), resampling),
            chance,
        };
        let n = items as f64;
        let within = |most: usize| {
            share(&move |rank| f64::from(u8::from(rank <= most)), (most as f64 / n).min(1.0))
        };
        let choice = |ways: usize| Choice {
            ways,
            accuracy: share(&move |rank| wins(rank, items, ways), 1.0 / ways as f64),
        };
        Ok(Self {
            trials: ranks.len(),
            tried: clusters.trials.len(),
            items,
            top_1: within(1),
            top_5: within(5),
            median_rank: Figure { found: clusters.median(ranks, resampling), chance: (n + 1.0) / 2.0 },
            choices: WAYS.into_iter().filter(|ways| *ways <= items).map(choice).collect(),
        })
    }
}

/// The rank of the true item of each prediction, from 1 on.
pub fn ranks<R: AsRef<[f32]>>(
    items: &Items<R>,
    predictions: &[f64],
    truth: &[usize],
) -> Result<Vec<usize>> {
    let wrong = |text: String| Err(Error::mismatch(text));
    if predictions.len() != truth.len() * items.length() {
        return wrong(format!(
            "{} numbers are no {} predictions of {} each",
            predictions.len(),
            truth.len(),
            items.length()
        ));
    }
    if let Some(item) = truth.iter().find(|item| **item >= items.count()) {
        return wrong(format!("there is no item {item} in a gallery of {}", items.count()));
    }
    if !predictions.iter().all(|v| v.is_finite()) {
        return wrong("the predictions hold numbers that are not finite".into());
    }
    let mut query = Query::new(items.length());
    let mut rank = |(prediction, truth): (&[f64], &usize)| {
        query.aim(items, prediction);
        let similarities = exact::similarities(items, &query);
        let own = similarities[*truth];
        let is_before = |(item, s): (usize, &f64)| *s > own || (*s == own && item < *truth);
        1 + similarities.iter().enumerate().filter(|of| is_before(*of)).count()
    };
    Ok(predictions.chunks_exact(items.length()).zip(truth).map(&mut rank).collect())
}

/// The share of all choices of `ways` - 1 others among `items` - 1 that are all behind the one at `rank`.
fn wins(rank: usize, items: usize, ways: usize) -> f64 {
    let behind = items.saturating_sub(rank);
    (0..ways - 1).map(|i| behind.saturating_sub(i) as f64 / (items - 1 - i) as f64).product()
}

/// Trials by their items.
struct Clusters {
    /// The trials of each item.
    trials: Vec<Vec<usize>>,
}

impl Clusters {
    fn new(truth: &[usize]) -> Self {
        let mut by_item = BTreeMap::<usize, Vec<usize>>::new();
        for (trial, item) in truth.iter().enumerate() {
            by_item.entry(*item).or_default().push(trial);
        }
        Self { trials: by_item.into_values().collect() }
    }

    /// The mean of `values`, one for each trial.
    fn mean(&self, values: &[f64], resampling: Resampling) -> Interval {
        let sums: Vec<(f64, f64)> = (self.trials.iter())
            .map(|trials| (trials.iter().map(|t| values[*t]).sum(), trials.len() as f64))
            .collect();
        let (sum, count) = sums.iter().fold((0.0, 0.0), |(s, n), (ds, dn)| (s + ds, n + dn));
        let observed = sum / count;
        // Without differences there is nothing to resample.
        if sums.len() < 2 || values.iter().all(|v| *v == values[0]) {
            return Interval::point(observed);
        }
        let mean_of = |drawn: &[usize]| {
            let (s, n) = drawn.iter().fold((0.0, 0.0), |(s, n), i| (s + sums[*i].0, n + sums[*i].1));
            s / n
        };
        let resampled = self.resampled(resampling, mean_of);
        let without_one: Vec<f64> = sums.iter().map(|(s, n)| (sum - s) / (count - n)).collect();
        bca(&resampled, observed, &without_one, resampling.confidence)
    }

    /// The median of `values`, one for each trial.
    fn median(&self, values: &[usize], resampling: Resampling) -> Interval {
        let mut all = values.to_vec();
        let observed = median(&mut all);
        if self.trials.len() < 2 || values.iter().all(|v| *v == values[0]) {
            return Interval::point(observed);
        }
        let median_of = |drawn: &[usize]| {
            let mut all: Vec<usize> =
                drawn.iter().flat_map(|i| &self.trials[*i]).map(|t| values[*t]).collect();
            median(&mut all)
        };
        let resampled = self.resampled(resampling, median_of);
        bca(&resampled, observed, &[], resampling.confidence)
    }

    /// A statistic of as many items as there are, drawn with replacement, again and again.
    fn resampled(&self, resampling: Resampling, statistic: impl Fn(&[usize]) -> f64) -> Vec<f64> {
        let n = self.trials.len();
        let mut rng = Pcg64::seed_from_u64(resampling.seed);
        let mut drawn = vec![0; n];
        let mut draw = |_| {
            drawn.fill_with(|| rng.random_range(0..n));
            statistic(&drawn)
        };
        (0..resampling.draws).map(&mut draw).collect()
    }
}

/// The median; of an even number of values the mean of the two in the middle. Moves them.
fn median(values: &mut [usize]) -> f64 {
    let is_even = values.len().is_multiple_of(2);
    let (below, middle, _) = values.select_nth_unstable(values.len() / 2);
    match below.iter().max() {
        Some(lower) if is_even => (*lower as f64 + *middle as f64) / 2.0,
        _ => *middle as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_by_hand() {
        assert_eq!(median(&mut [3]), 3.0);
        assert_eq!(median(&mut [3, 1]), 2.0);
        assert_eq!(median(&mut [9, 1, 4]), 4.0);
        assert_eq!(median(&mut [9, 1, 4, 4]), 4.0);
        assert_eq!(median(&mut [9, 1, 4, 6]), 5.0);
    }

    #[test]
    fn wins_by_counting() {
        // One of three others is in front: a pair is won twice out of three times, four are never.
        assert!((wins(2, 4, 2) - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!((wins(2, 4, 4), wins(1, 4, 4), wins(4, 4, 2)), (0.0, 1.0, 0.0));
        // C(6, 3) / C(9, 3).
        assert!((wins(4, 10, 4) - 20.0 / 84.0).abs() < 1e-15);
        // Over all ranks it is chance.
        for ways in WAYS {
            let mean = (1..=50).map(|rank| wins(rank, 50, ways)).sum::<f64>() / 50.0;
            assert!((mean - 1.0 / ways as f64).abs() < 1e-12, "{ways}");
        }
    }

    #[test]
    fn ranks_by_hand() {
        let rows = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0_f32];
        let items = Items::new(rows, 2, false);
        let predictions = [2.0, 0.1, 2.0, 0.1, 0.0, 3.0];
        assert_eq!(ranks(&items, &predictions, &[0, 3, 0]).unwrap(), [1, 2, 3]);
        assert!(ranks(&items, &predictions, &[0, 3]).is_err());
        assert!(ranks(&items, &predictions, &[0, 4, 0]).is_err());
        assert!(ranks(&items, &[f64::NAN; 6], &[0, 1, 2]).is_err());
        let got = Retrieval::of(&items, &predictions, &[0, 3, 0], Resampling::default()).unwrap();
        assert_eq!((got.trials, got.tried, got.items), (3, 2, 4));
        assert!((got.top_1.found.value - 1.0 / 3.0).abs() < 1e-15);
        assert_eq!((got.top_1.chance, got.top_5.chance, got.median_rank.chance), (0.25, 1.0, 2.5));
        assert_eq!((got.top_5.found.value, got.median_rank.found.value), (1.0, 2.0));
        assert_eq!(got.choices.iter().map(|c| c.ways).collect::<Vec<_>>(), [2, 4]);
        assert!(Retrieval::of(&items, &[], &[], Resampling::default()).is_err());
    }

    #[test]
    fn repetitions_of_an_item_do_not_narrow_the_interval() {
        let truth: Vec<usize> = (0..40).collect();
        let ranks: Vec<usize> = (0..40).map(|i| 1 + i * i % 7).collect();
        let at = |times: usize| {
            let again = |v: &[usize]| v.repeat(times);
            Retrieval::of_ranks(&again(&ranks), &again(&truth), 40, Resampling::default()).unwrap()
        };
        let (once, often) = (at(1), at(10));
        assert_eq!(once.top_1, often.top_1);
        assert_eq!(once.median_rank.found.value, often.median_rank.found.value);
        let found = once.top_1.found;
        assert!(found.low < found.value && found.value < found.high && found.high < 0.5, "{found:?}");
        // As wide as that of so many independent trials, more or less.
        let wanted = 2.0 * 1.96 * (found.value * (1.0 - found.value) / 40.0).sqrt();
        assert!(((found.high - found.low) / wanted - 1.0).abs() < 0.3, "{found:?} {wanted}");
    }
}
