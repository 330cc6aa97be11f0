//! Whether more trials of calibration would still help.
//!
//! The rule, on the cross-validated decisions of n trials (see `docs/calibration.md`):
//!
//! 1. every class has at least [`LEAST_TRIALS`] trials;
//! 2. the accuracy is known as well as was asked: half the width of its Wilson interval of 95 % is at most
//!    the precision;
//! 3. the last third of the learning curve is flat: a model that learned from the first two thirds of the
//!    same training trials, tested on the same trials, is worse by less than [`FLAT`], and the 95 %
//!    interval of that paired difference contains 0.

use super::report::CONFIDENCE;
use super::stats::{Interval, paired_difference};
use super::validate::{features, test_on, within};
use super::{Epochs, Evaluation, Plan};
use crate::error::Result;
use serde::Serialize;

/// Before every class has so many trials nothing is said.
pub const LEAST_TRIALS: usize = 10;
/// A curve that rises by less than this over its last third is flat.
pub const FLAT: f64 = 0.02;

/// What the last third of the trials brought.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gain {
    /// How much accuracy, with its interval of 95 %.
    pub accuracy: Interval,
    /// How many trials it was tested on.
    pub n: usize,
}

/// Compares `evaluation`, which is that of `plan` within `epochs`, with models that learn from the first two
/// thirds of each class in the same folds.
pub fn gain(plan: &Plan, epochs: &Epochs, evaluation: &Evaluation) -> Result<Gain> {
    let (folds, fold_of) = within(epochs);
    let way = features(plan, epochs)?;
    let mut right = vec![false; epochs.frames.len()];
    evaluation.trials.iter().for_each(|t| right[t.epoch] = t.decided == t.truth);
    let (mut gained, mut lost, mut n) = (0, 0, 0);
    for fold in 0..folds {
        let (train, test): (Vec<usize>, Vec<usize>) =
            (0..fold_of.len()).partition(|i| fold_of[*i] != fold);
        let fewer = two_thirds(&train, &epochs.labels, epochs.classes.len());
        for trial in test_on(plan, epochs, &way, &fewer, &test)? {
            let with_fewer = trial.decided == trial.truth;
            gained += usize::from(right[trial.epoch] && !with_fewer);
            lost += usize::from(!right[trial.epoch] && with_fewer);
            n += 1;
        }
    }
    Ok(Gain { accuracy: paired_difference(gained, lost, n, CONFIDENCE), n })
}

/// The first two thirds of every class among `which`.
fn two_thirds(which: &[usize], labels: &[usize], classes: usize) -> Vec<usize> {
    let count = |c: usize| which.iter().filter(|i| labels[**i] == c).count();
    let most: Vec<usize> = (0..classes).map(|c| (2 * count(c)).div_ceil(3)).collect();
    let mut taken = vec![0; classes];
    let mut wanted = |i: &&usize| {
        taken[labels[**i]] += 1;
        taken[labels[**i]] <= most[labels[**i]]
    };
    which.iter().filter(|i| wanted(i)).copied().collect()
}

/// Whether more trials than those of `evaluation` are of no use to somebody who wants to know the accuracy
/// to within `precision`.
pub fn enough(counts: &[usize], evaluation: &Evaluation, gain: &Gain, precision: f64) -> bool {
    let Some([low, high]) = evaluation.interval else { return false };
    let least = counts.iter().copied().min().unwrap_or_default();
    let Interval { value, low: worst, high: best } = gain.accuracy;
    least >= LEAST_TRIALS
        && (high - low) / 2.0 <= precision
        && value < FLAT
        && (worst..=best).contains(&0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_thirds_are_the_first_of_each_class() {
        let labels = [0, 0, 1, 0, 1, 1, 0, 0, 0];
        assert_eq!(two_thirds(&[0, 1, 2, 3, 4, 5, 6], &labels, 2), [0, 1, 2, 3, 4]);
        assert_eq!(two_thirds(&[8, 2], &labels, 2), [8, 2]);
    }
}
