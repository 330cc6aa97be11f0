//! Scores of a decoder that is always on, over whole recordings.
//!
//! Each recording is run through the whole pipeline ([`super::online`]) with a model trained on the epochs
//! of the others, and every window counts: while a trial lasts its class is meant, else nothing. A decision
//! for the idle class, or for none (where a decoder rejects), is a decision to do nothing. Scores are
//! those of Carrara and Papadopoulo (2023) and what a user would feel ([`super::metrics::activity`]).

use super::metrics::{self, Activity, Confusion, Decision};
use super::online::Online;
use super::tune::{self, Memory};
use super::validate::{Evaluation, Fold, Trial, argmax};
use super::{Choice, Epochs, Plan};
use crate::error::{Error, Result};
use crate::model::{Facts, Model};
use crate::sources::recording;
use serde::Serialize;

/// The name of doing nothing where no class of the config has that part.
const IDLE: &str = "idle";

/// What a user would have felt.
#[derive(Debug, Clone, Serialize)]
pub struct Felt {
    /// How many windows in a row have to agree before a class takes effect.
    pub dwell: usize,
    /// How often a class took effect while nothing was meant, per minute of such time.
    pub false_per_minute: Option<f64>,
    /// For how long nothing was meant, in seconds.
    pub idle_s: f64,
    /// Median time from the cue until the right class took effect, in the trials in which it did.
    pub time_to_decision_s: Option<f64>,
    /// Share of the trials in which it did.
    pub hit_rate: f64,
    /// Number of trials.
    pub trials: usize,
}

/// Runs each of the `names` recordings, whose `epochs` were cut, with models of the others. A class takes
/// effect when `dwell` windows in a row agree. `progress` is told after every recording.
pub fn pseudo_online(
    plans: &[Plan],
    names: &[String],
    epochs: Vec<Epochs>,
    dwell: usize,
    progress: &(dyn Fn() + Sync),
) -> Result<Vec<Evaluation>> {
    if names.len() < 2 {
        let text =
            "the protocol `pseudo-online` trains on the other recordings, so it needs two or more";
        return Err(Error::config(text));
    }
    let short: Vec<String> = epochs.iter().map(|e| e.name.clone()).collect();
    let pooled = Epochs::pool(epochs)?;
    let mut all = Vec::new();
    for plan in plans {
        for (i, name) in names.iter().enumerate() {
            let others: Vec<usize> =
                (0..pooled.groups.len()).filter(|e| pooled.groups[*e] != i).collect();
            let (model, choice, plan) = train(plan, &pooled.some(&others))?;
            let online = plan.online(&recording::load(name)?.streams, &model)?;
            all.push(scored(&plan, &short[i], &online, dwell, choice)?);
            progress();
        }
    }
    Ok(all)
}

/// Trains a pipeline, tuned first if it is to be.
fn train(plan: &Plan, epochs: &Epochs) -> Result<(Model, Option<Choice>, Plan)> {
    let choice = plan
        .tune()?
        .map(|tune| tune::choose(plan, &tune, epochs, &mut Memory::default(), &|| {}))
        .transpose()?;
    let plan = choice.as_ref().map_or_else(|| plan.clone(), |choice| plan.with(&choice.sets));
    let mut tail = plan.tail()?;
    tail.fit(&epochs.spec, &epochs.examples())?;
    let facts = Facts::new(epochs.input.clone(), plan.links()?, epochs.classes.clone());
    Ok((Model { facts, parts: tail.parts()? }, choice, plan))
}

/// The score of the decisions over one recording.
fn scored(
    plan: &Plan,
    recording: &str,
    online: &Online,
    dwell: usize,
    choice: Option<Choice>,
) -> Result<Evaluation> {
    let meant = Meant::new(online);
    let decisions: Vec<Decision> = online.windows.iter().map(|w| meant.decision(w)).collect();
    let trials: Vec<metrics::Trial> = online.trials.iter().map(|t| meant.trial(*t)).collect();
    let confusion = metrics::window_confusion(&decisions, &trials, meant.names.len() - 1);
    let felt = metrics::activity(&decisions, &trials, dwell);
    let tested = meant.windows(online, &decisions, &trials);
    let (n, correct) = (confusion.n(), confusion.correct());
    Ok(Evaluation {
        pipeline: plan.pipeline()?,
        filter: plan.phase(),
        recording: recording.to_owned(),
        n,
        correct,
        accuracy: confusion.accuracy(),
        interval: None,
        better_than_chance: None,
        kappa: confusion.kappa(),
        nmcc: confusion.nmcc(),
        bits_per_minute: rate(&felt, meant.names.len() - 1),
        auc: auc(&tested, &confusion, online.idle.is_some()),
        folds: vec![Fold { n, correct, choice }],
        confusion: confusion.counts().to_vec(),
        classes: meant.names,
        online: Some(Felt {
            dwell,
            false_per_minute: felt.false_per_minute,
            idle_s: felt.idle_s,
            time_to_decision_s: felt.time_to_decision_s,
            hit_rate: felt.hit_rate,
            trials: felt.attempts.len(),
        }),
        course: course(&decisions, &trials),
        trials: tested,
    })
}

/// For every window in a trial the time after the cue, and whether it was right.
fn course(decisions: &[Decision], trials: &[metrics::Trial]) -> Vec<(f64, bool)> {
    let of = |trial: &metrics::Trial| {
        let (start_s, end_s, class) = (trial.start_s, trial.end_s, trial.class);
        let inside = decisions.iter().filter(move |d| start_s <= d.time_s && d.time_s < end_s);
        inside.map(move |d| (d.time_s - start_s, d.class == Some(class)))
    };
    trials.iter().flat_map(of).collect()
}

/// The classes with idle as the last, and where the decoder's are among them.
struct Meant {
    names: Vec<String>,
    /// For each of the decoder's classes its place.
    place: Vec<usize>,
}

impl Meant {
    fn new(online: &Online) -> Self {
        let idle = |i: usize| Some(i) == online.idle;
        let mut names: Vec<String> = Vec::new();
        for (i, name) in online.classes.iter().enumerate() {
            // What a decoder answers when it rejects is no class of the config.
            if !idle(i) && i < online.known {
                names.push(name.clone());
            }
        }
        let last = names.len();
        let mut next = 0..last;
        let place = (0..online.classes.len())
            .map(|i| if idle(i) || i >= online.known { last } else { next.next().unwrap_or(last) })
            .collect();
        let name = online.idle.map_or(IDLE, |i| online.classes[i].as_str());
        names.push(name.to_owned());
        Self { names, place }
    }

    fn decision(&self, window: &super::Window) -> Decision {
        let class = self.place[argmax(&window.scores)];
        Decision { time_s: window.time_s, class: (class + 1 < self.names.len()).then_some(class) }
    }

    fn trial(&self, (start_s, end_s, class): (f64, f64, usize)) -> metrics::Trial {
        metrics::Trial { start_s, end_s, class: self.place[class] }
    }

    /// The windows as tested ones, their scores in the order of the names.
    fn windows(
        &self,
        online: &Online,
        decisions: &[Decision],
        trials: &[metrics::Trial],
    ) -> Vec<Trial> {
        let idle = self.names.len() - 1;
        let of = |(window, decision): (&super::Window, &Decision)| {
            let meant =
                trials.iter().find(|t| t.start_s <= window.time_s && window.time_s < t.end_s);
            let mut scores = vec![0.0; self.names.len()];
            for (place, score) in self.place.iter().zip(&window.scores) {
                scores[*place] += score;
            }
            Trial {
                epoch: window.last_sample as usize,
                truth: meant.map_or(idle, |t| t.class),
                decided: decision.class.unwrap_or(idle),
                scores,
            }
        };
        online.windows.iter().zip(decisions).map(of).collect()
    }
}

/// Area under the ROC curve over the windows; over those in which something was meant where the decoder
/// does not know doing nothing.
fn auc(windows: &[Trial], confusion: &Confusion, knows_idle: bool) -> Option<f64> {
    let idle = confusion.classes() - 1;
    let counted = || windows.iter().filter(|w| knows_idle || w.truth != idle);
    let classes = if knows_idle { idle + 1 } else { idle };
    let scores: Vec<Vec<f64>> = counted().map(|w| w.scores[..classes].to_vec()).collect();
    let truth: Vec<usize> = counted().map(|w| w.truth).collect();
    metrics::auc(&scores, &truth, classes)
}

/// Bits per minute of the first class that takes effect, in the time that the right one takes.
fn rate(felt: &Activity, classes: usize) -> Option<f64> {
    let right = felt.attempts.iter().filter(|a| a.first == Some(a.class)).count();
    let accuracy = right as f64 / felt.attempts.len().max(1) as f64;
    let time_s = felt.time_to_decision_s.filter(|s| *s > 0.0)?;
    Some(metrics::information_rate(classes, accuracy, time_s))
}
