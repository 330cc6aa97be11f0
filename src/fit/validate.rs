//! Cross-validation.

use super::{Epochs, Plan};
use crate::error::{Error, Result};
use crate::math::folds::stratified;
use crate::stages::Examples;
use serde::Serialize;

/// Number of folds within a session, unless a class has fewer epochs.
pub const FOLDS: usize = 5;

/// How training and test data are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// All recordings pooled as one session, stratified 5-fold without shuffling.
    Within,
    /// Each recording is tested by a model trained on the others.
    Cross,
}

/// The score of one pipeline on one set of recordings.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// The stages that learn.
    pub pipeline: String,
    /// The recording, or the pooled ones joined by `+`.
    pub recording: String,
    /// Number of tested epochs.
    pub n: usize,
    /// How many were decided rightly.
    pub correct: usize,
    /// Their share.
    pub accuracy: f64,
    /// Area under the ROC curve, mean over folds; one class against the rest where there are more
    /// than two. Null where a fold lacks a class.
    pub auc: Option<f64>,
    /// The folds.
    pub folds: Vec<Fold>,
    /// Rows: true class, columns: decided class; without what was rejected.
    pub confusion: Vec<Vec<usize>>,
    /// Class names.
    pub classes: Vec<String>,
}

/// The score of one fold.
#[derive(Debug, Clone, Serialize)]
pub struct Fold {
    /// Number of tested epochs.
    pub n: usize,
    /// How many were decided rightly.
    pub correct: usize,
}

/// Evaluates the plan on the epochs of each recording. `progress` is told after every fold.
pub fn evaluate(
    plan: &Plan,
    recordings: Vec<Epochs>,
    protocol: Protocol,
    mut progress: impl FnMut(),
) -> Result<Vec<Evaluation>> {
    match protocol {
        Protocol::Within => {
            let pooled = Epochs::pool(recordings)?;
            let folds = FOLDS.min(pooled.counts().into_iter().min().unwrap_or(0));
            pooled.check_counts(2)?;
            let fold_of = stratified(&pooled.labels, folds);
            let name = pooled.name.clone();
            Ok(vec![run(plan, &pooled, &fold_of, 0..folds, name, &mut progress)?])
        }
        Protocol::Cross => {
            if recordings.len() < 2 {
                let text = "the protocol `cross` leaves one recording out, so it needs two or more";
                return Err(Error::config(text));
            }
            let names: Vec<String> = recordings.iter().map(|r| r.name.clone()).collect();
            let from = |(i, r): (usize, &Epochs)| vec![i; r.frames.len()];
            let fold_of: Vec<usize> = recordings.iter().enumerate().flat_map(from).collect();
            let pooled = Epochs::pool(recordings)?;
            let one = |(i, name)| run(plan, &pooled, &fold_of, i..i + 1, name, &mut progress);
            names.into_iter().enumerate().map(one).collect()
        }
    }
}

/// Tests the given folds, each with a model trained on everything outside it.
fn run(
    plan: &Plan,
    epochs: &Epochs,
    fold_of: &[usize],
    tested: std::ops::Range<usize>,
    recording: String,
    progress: &mut impl FnMut(),
) -> Result<Evaluation> {
    let k = epochs.classes.len();
    let mut confusion = vec![vec![0; k]; k];
    let mut folds = Vec::new();
    let mut aucs = Vec::new();
    for fold in tested {
        let (train, test): (Vec<usize>, Vec<usize>) =
            (0..epochs.frames.len()).partition(|i| fold_of[*i] != fold);
        let x: Vec<_> = train.iter().map(|i| epochs.frames[*i].clone()).collect();
        let y: Vec<_> = train.iter().map(|i| epochs.labels[*i]).collect();
        let mut tail = plan.tail()?;
        tail.fit(&epochs.spec, &Examples::new(&x, &y, &epochs.classes))?;
        let scores =
            test.iter().map(|i| tail.scores(&epochs.frames[*i])).collect::<Result<Vec<_>>>()?;
        let truth: Vec<usize> = test.iter().map(|i| epochs.labels[*i]).collect();
        let mut correct = 0;
        for (scores, truth) in scores.iter().zip(&truth) {
            let decided = argmax(scores);
            // What is rejected is decided for no class.
            if decided < k {
                confusion[*truth][decided] += 1;
            }
            correct += usize::from(decided == *truth);
        }
        folds.push(Fold { n: test.len(), correct });
        aucs.push(auc(&scores, &truth, k));
        progress();
    }
    let n = folds.iter().map(|f| f.n).sum();
    let correct = folds.iter().map(|f| f.correct).sum();
    let known: Option<Vec<f64>> = aucs.into_iter().collect();
    Ok(Evaluation {
        pipeline: plan.pipeline()?,
        recording,
        n,
        correct,
        accuracy: if n > 0 { correct as f64 / n as f64 } else { 0.0 },
        auc: known.filter(|a| !a.is_empty()).map(|a| a.iter().sum::<f64>() / a.len() as f64),
        folds,
        confusion,
        classes: epochs.classes.clone(),
    })
}

fn argmax(scores: &[f64]) -> usize {
    (0..scores.len()).reduce(|best, i| if scores[i] > scores[best] { i } else { best }).unwrap_or(0)
}

/// Area under the ROC curve: the chance that an example of a class scores higher for it than one of
/// another class (ties count half), averaged over the classes. For two classes that is the usual
/// AUC. `None` where a class is missing.
fn auc(scores: &[Vec<f64>], truth: &[usize], classes: usize) -> Option<f64> {
    let mut sum = 0.0;
    for class in 0..classes {
        let of = |inside: bool| {
            let pairs = scores.iter().zip(truth).filter(move |(_, t)| (**t == class) == inside);
            pairs.map(|(s, _)| s[class]).collect::<Vec<f64>>()
        };
        let (inside, outside) = (of(true), of(false));
        if inside.is_empty() || outside.is_empty() {
            return None;
        }
        let win = |a: f64, b: f64| {
            if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            }
        };
        let wins: f64 = inside.iter().flat_map(|a| outside.iter().map(move |b| win(*a, *b))).sum();
        sum += wins / (inside.len() * outside.len()) as f64;
    }
    Some(sum / classes as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_is_the_share_of_won_pairs() {
        let scores = |p: &[f64]| p.iter().map(|p| vec![1.0 - p, *p]).collect::<Vec<_>>();
        // By hand: of the pairs (0.35, 0.1) (0.35, 0.4) (0.8, 0.1) (0.8, 0.4) three are won.
        let got = auc(&scores(&[0.1, 0.4, 0.35, 0.8]), &[0, 0, 1, 1], 2);
        assert!((got.unwrap() - 0.75).abs() < 1e-12);
        assert_eq!(auc(&scores(&[0.5, 0.5]), &[0, 1], 2), Some(0.5));
        assert_eq!(auc(&scores(&[0.5, 0.5]), &[1, 1], 2), None);
    }
}
