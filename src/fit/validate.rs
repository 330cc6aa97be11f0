//! Cross-validation.

use super::metrics::{self, Confusion};
use super::pseudo::Felt;
use super::report::{CONFIDENCE, LEVEL};
use super::stats;
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
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// All recordings pooled as one session, stratified 5-fold without shuffling.
    Within,
    /// Each recording is tested by a model trained on the others.
    Cross,
    /// Each whole recording is run through the whole pipeline, with a model trained on the others: every
    /// window counts, and doing nothing is a class.
    PseudoOnline,
    /// Each recording is tested by the model of the config, or by a network that others have trained: nothing is learned.
    HeldOut,
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
    /// Number of tested epochs; pseudo-online, of windows.
    pub n: usize,
    /// How many were decided rightly.
    pub correct: usize,
    /// Their share.
    pub accuracy: f64,
    /// The accuracies that are compatible with that: Wilson's interval of 95 %. Windows that overlap do
    /// not count one by one, so it is null pseudo-online.
    pub interval: Option<[f64; 2]>,
    /// The accuracy from which on guessing is excluded at 5 %; null where it cannot be, or pseudo-online.
    pub better_than_chance: Option<f64>,
    /// Cohen's kappa.
    pub kappa: f64,
    /// Normalised Matthews correlation, (MCC + 1) / 2.
    pub nmcc: f64,
    /// Information transfer rate (Wolpaw) of one decision per epoch, from the cue to the epoch's end;
    /// pseudo-online, of the first class that takes effect after the cue, in the time that it takes.
    pub bits_per_minute: Option<f64>,
    /// Area under the ROC curve, mean over folds; one class against the rest where there are more
    /// than two. Null where a fold lacks a class.
    pub auc: Option<f64>,
    /// The folds.
    pub folds: Vec<Fold>,
    /// Rows: true class, columns: decided class; without what was rejected.
    pub confusion: Vec<Vec<usize>>,
    /// Class names.
    pub classes: Vec<String>,
    /// What a user would have felt, pseudo-online.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<Felt>,
    /// The tested epochs, fold after fold; pseudo-online, the windows.
    pub trials: Vec<Trial>,
    /// Pseudo-online, for every window in a trial the time after the cue, and whether it was right.
    #[serde(skip)]
    pub course: Vec<(f64, bool)>,
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
    /// Its number among all epochs; of a window, the index of its newest sample.
    pub epoch: usize,
    /// Its class.
    pub truth: usize,
    /// The class that was decided; the number of classes where none was.
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
            let (folds, fold_of) = within(&pooled);
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
        Protocol::PseudoOnline => {
            let text = "pseudo-online scores need whole recordings: use `pseudo_online`";
            return Err(Error::config(text));
        }
        Protocol::HeldOut => {
            return Err(Error::config("what was learned before is tested by `held_out`"));
        }
    }
    Ok(all)
}

/// Number of folds within a session, and the fold in which each epoch is tested.
pub(super) fn within(epochs: &Epochs) -> (usize, Vec<usize>) {
    let folds = FOLDS.min(epochs.counts().into_iter().min().unwrap_or(0));
    (folds, stratified(&epochs.labels, folds))
}

impl Evaluation {
    /// The scores of `trials`, each of which was decided `decision_s` after its cue; without the area under the curve.
    pub(super) fn of(
        pipeline: String,
        recording: String,
        classes: Vec<String>,
        folds: Vec<Fold>,
        trials: Vec<Trial>,
        decision_s: f64,
    ) -> Self {
        let k = classes.len();
        // What is rejected is decided for no class, and in no cell.
        let mut confusion = Confusion::new(k);
        trials.iter().for_each(|t| confusion.add(t.truth, t.decided));
        let n = trials.len();
        let correct = folds.iter().map(|f| f.correct).sum();
        let accuracy = if n > 0 { correct as f64 / n as f64 } else { 0.0 };
        let interval = stats::wilson(correct, n, CONFIDENCE);
        let threshold = stats::chance_threshold(n, k, LEVEL);
        Self {
            pipeline,
            filter: Phase::Causal,
            recording,
            n,
            correct,
            accuracy,
            interval: Some([interval.low, interval.high]),
            better_than_chance: threshold.map(|least| least as f64 / n as f64),
            kappa: confusion.kappa(),
            nmcc: confusion.nmcc(),
            bits_per_minute: (n > 0).then(|| metrics::information_rate(k, accuracy, decision_s)),
            auc: None,
            folds,
            confusion: confusion.counts().to_vec(),
            classes,
            online: None,
            trials,
            course: Vec::new(),
        }
    }
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
            let scores: Vec<Vec<f64>> = seen.iter().map(|t| t.scores.clone()).collect();
            let truth: Vec<usize> = seen.iter().map(|t| t.truth).collect();
            aucs.push(metrics::auc(&scores, &truth, k));
            trials.extend(seen);
            (self.progress)();
        }
        let known: Option<Vec<f64>> = aucs.into_iter().collect();
        let auc = known.filter(|a| !a.is_empty()).map(|a| a.iter().sum::<f64>() / a.len() as f64);
        let decision_s = self.plan.decision_s(&self.epochs.spec)?;
        let classes = self.epochs.classes.clone();
        let evaluation =
            Evaluation::of(self.name.clone(), recording, classes, tested, trials, decision_s);
        Ok(Evaluation { auc, filter: self.plan.phase(), ..evaluation })
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
pub(super) fn test_on(
    plan: &Plan,
    epochs: &Epochs,
    way: &Way,
    train: &[usize],
    test: &[usize],
) -> Result<Vec<Trial>> {
    let features = &way.train;
    let of = |all: &[usize]| train.iter().map(|i| all[*i]).collect::<Vec<_>>();
    let (labels, groups) = (of(&epochs.labels), of(&epochs.groups));
    let weights: Vec<f64> = train.iter().filter_map(|i| epochs.weights.get(*i).copied()).collect();
    let frames: Vec<_> = train.iter().map(|i| features[*i].clone()).collect();
    let mut tail = plan.tail()?;
    let plain = tail.plain();
    tail.skip(plain);
    let classes = &epochs.classes;
    let examples =
        Examples { frames: &frames, labels: &labels, classes, groups: &groups, weights: &weights };
    tail.fit(&way.spec, &examples)?;
    let trial = |i: &usize| {
        let (decided, scores) = answer(tail.scores(&features[*i]), classes.len());
        Trial { epoch: *i, truth: epochs.labels[*i], decided, scores }
    };
    Ok(test.iter().map(trial).collect())
}

/// What is decided, and the scores. Where there are none all classes are alike and none is decided for.
pub(super) fn answer(scores: Option<Vec<f64>>, classes: usize) -> (usize, Vec<f64>) {
    match scores {
        Some(scores) => (argmax(&scores), scores),
        None => (classes, vec![1.0 / classes as f64; classes]),
    }
}

pub(super) fn argmax(scores: &[f64]) -> usize {
    (0..scores.len()).reduce(|best, i| if scores[i] > scores[best] { i } else { best }).unwrap_or(0)
}
