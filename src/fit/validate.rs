//! Cross-validation.

use super::tail::Way;
use super::tune::{self, Choice, Memory};
use super::{Epochs, Phase, Plan};
use crate::config::Tune;
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
    /// The stages that learn, or the name under `[[compare]]`.
    pub pipeline: String,
    /// How filters were applied.
    pub filter: Phase,
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
    /// The tested epochs, fold after fold.
    pub trials: Vec<Trial>,
}

/// The score of one fold.
#[derive(Debug, Clone, Serialize)]
pub struct Fold {
    /// Number of tested epochs.
    pub n: usize,
    /// How many were decided rightly.
    pub correct: usize,
    /// What was chosen on the training data, where the pipeline is tuned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
}

/// One tested epoch.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    /// Its number among all epochs.
    pub epoch: usize,
    /// Its class.
    pub truth: usize,
    /// The class that was decided.
    pub decided: usize,
    /// The scores of all classes.
    pub scores: Vec<f64>,
}

/// Evaluates each of the plans on the epochs of the recordings, which must be cut by one that has the
/// same windows. `progress` is told after every fold.
pub fn evaluate(
    plans: &[Plan],
    recordings: Vec<Epochs>,
    protocol: Protocol,
    progress: &(dyn Fn() + Sync),
) -> Result<Vec<Evaluation>> {
    let names: Vec<String> = recordings.iter().map(|r| r.name.clone()).collect();
    let pooled = Epochs::pool(recordings)?;
    let mut all = Vec::new();
    match protocol {
        Protocol::Within => {
            pooled.check_counts(2)?;
            let folds = FOLDS.min(pooled.counts().into_iter().min().unwrap_or(0));
            let fold_of = stratified(&pooled.labels, folds);
            for plan in plans {
                let bench = Bench::new(plan, &pooled, &fold_of, progress)?;
                all.push(bench.test(0..folds, pooled.name.clone())?);
            }
        }
        Protocol::Cross => {
            if names.len() < 2 {
                let text = "the protocol `cross` leaves one recording out, so it needs two or more";
                return Err(Error::config(text));
            }
            for plan in plans {
                let bench = Bench::new(plan, &pooled, &pooled.groups, progress)?;
                for (i, name) in names.iter().enumerate() {
                    all.push(bench.test(i..i + 1, name.clone())?);
                }
            }
        }
    }
    Ok(all)
}

/// One pipeline and the data that it is tested on.
struct Bench<'a> {
    plan: &'a Plan,
    name: String,
    epochs: &'a Epochs,
    /// The fold in which each epoch is tested.
    fold_of: &'a [usize],
    way: Ahead,
    progress: &'a (dyn Fn() + Sync),
}

/// What is done before the stages that learn.
enum Ahead {
    /// Nothing is searched for, and this is what the stages that do not learn make of all epochs.
    Features(Box<Way>),
    /// First the settings are searched for, on the training data of each fold.
    Tune(Tune),
}

impl<'a> Bench<'a> {
    fn new(
        plan: &'a Plan,
        epochs: &'a Epochs,
        fold_of: &'a [usize],
        progress: &'a (dyn Fn() + Sync),
    ) -> Result<Self> {
        let way = match plan.tune()? {
            Some(tune) => Ahead::Tune(tune),
            None => Ahead::Features(Box::new(features(plan, epochs)?)),
        };
        Ok(Self { plan, name: plan.pipeline()?, epochs, fold_of, way, progress })
    }

    /// Tests the given folds, each with a model trained on everything outside it.
    fn test(&self, folds: std::ops::Range<usize>, recording: String) -> Result<Evaluation> {
        let k = self.epochs.classes.len();
        let (mut tested, mut trials, mut aucs) = (Vec::new(), Vec::new(), Vec::new());
        for fold in folds {
            let (choice, seen) = self.fold(fold)?;
            let correct = seen.iter().filter(|t| t.decided == t.truth).count();
            tested.push(Fold { n: seen.len(), correct, choice });
            let scores: Vec<&[f64]> = seen.iter().map(|t| t.scores.as_slice()).collect();
            let truth: Vec<usize> = seen.iter().map(|t| t.truth).collect();
            aucs.push(auc(&scores, &truth, k));
            trials.extend(seen);
            (self.progress)();
        }
        let mut confusion = vec![vec![0; k]; k];
        // What is rejected is decided for no class.
        let decided = trials.iter().filter(|t| t.decided < k);
        decided.for_each(|t| confusion[t.truth][t.decided] += 1);
        let n = trials.len();
        let correct = tested.iter().map(|f| f.correct).sum();
        let known: Option<Vec<f64>> = aucs.into_iter().collect();
        Ok(Evaluation {
            pipeline: self.name.clone(),
            filter: self.plan.phase(),
            recording,
            n,
            correct,
            accuracy: if n > 0 { correct as f64 / n as f64 } else { 0.0 },
            auc: known.filter(|a| !a.is_empty()).map(|a| a.iter().sum::<f64>() / a.len() as f64),
            folds: tested,
            confusion,
            classes: self.epochs.classes.clone(),
            trials,
        })
    }

    /// Trains on everything outside the fold, tuned on that alone, and tests the fold.
    fn fold(&self, fold: usize) -> Result<(Option<Choice>, Vec<Trial>)> {
        let (train, test): (Vec<usize>, Vec<usize>) =
            (0..self.epochs.frames.len()).partition(|i| self.fold_of[*i] != fold);
        match &self.way {
            Ahead::Features(way) => {
                Ok((None, test_on(self.plan, self.epochs, way, &train, &test)?))
            }
            Ahead::Tune(tune) => {
                let learned = self.epochs.some(&train);
                let choice =
                    tune::choose(self.plan, tune, &learned, &mut Memory::default(), &|| {})?;
                let plan = self.plan.with(&choice.sets);
                let way = features(&plan, self.epochs)?;
                let trials = test_on(&plan, self.epochs, &way, &train, &test)?;
                Ok((Some(choice), trials))
            }
        }
    }
}

/// What the stages of the plan that come before the first that learns make of the epochs.
pub(super) fn features(plan: &Plan, epochs: &Epochs) -> Result<Way> {
    let mut tail = plan.tail()?;
    let plain = tail.plain();
    let way = Way { spec: epochs.spec.clone(), train: epochs.frames.clone(), test: Vec::new() };
    tail.advance(plain, way, &epochs.examples())
}

/// Trains on some of the features `way` of all epochs, tests others.
fn test_on(
    plan: &Plan,
    epochs: &Epochs,
    way: &Way,
    train: &[usize],
    test: &[usize],
) -> Result<Vec<Trial>> {
    let features = &way.train;
    let of = |all: &[usize]| train.iter().map(|i| all[*i]).collect::<Vec<_>>();
    let (labels, groups) = (of(&epochs.labels), of(&epochs.groups));
    let frames: Vec<_> = train.iter().map(|i| features[*i].clone()).collect();
    let mut tail = plan.tail()?;
    let plain = tail.plain();
    tail.skip(plain);
    let classes = &epochs.classes;
    let examples =
        Examples { frames: &frames, labels: &labels, classes, groups: &groups, weights: &[] };
    tail.fit(&way.spec, &examples)?;
    test.iter()
        .map(|i| {
            let scores = tail.scores(&features[*i])?;
            Ok(Trial { epoch: *i, truth: epochs.labels[*i], decided: argmax(&scores), scores })
        })
        .collect()
}

fn argmax(scores: &[f64]) -> usize {
    (0..scores.len()).reduce(|best, i| if scores[i] > scores[best] { i } else { best }).unwrap_or(0)
}

/// Area under the ROC curve: the chance that an example of a class scores higher for it than one of
/// another class (ties count half), averaged over the classes. For two classes that is the usual
/// AUC. `None` where a class is missing.
pub(super) fn auc(scores: &[&[f64]], truth: &[usize], classes: usize) -> Option<f64> {
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
        let of = |p: &[f64], truth: &[usize]| {
            let scores: Vec<Vec<f64>> = p.iter().map(|p| vec![1.0 - p, *p]).collect();
            let scores: Vec<&[f64]> = scores.iter().map(Vec::as_slice).collect();
            auc(&scores, truth, 2)
        };
        // By hand: of the pairs (0.35, 0.1) (0.35, 0.4) (0.8, 0.1) (0.8, 0.4) three are won.
        let got = of(&[0.1, 0.4, 0.35, 0.8], &[0, 0, 1, 1]);
        assert!((got.unwrap() - 0.75).abs() < 1e-12);
        assert_eq!(of(&[0.5, 0.5], &[0, 1]), Some(0.5));
        assert_eq!(of(&[0.5, 0.5], &[1, 1]), None);
    }
}
