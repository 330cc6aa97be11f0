//! Fitting beside the run: one thread at a time, on all epochs that there are when it starts.

use crate::error::{Error, Result};
use crate::fit::{Epochs, Evaluation, Gain, Plan, Protocol, enough, evaluate, gain};
use crate::model::{Facts, Model};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Instant;

/// What a refit found: `--json` prints it, with what was lost so far.
#[derive(Debug, Clone, Serialize)]
pub struct Refit {
    /// How many trials it learned from.
    pub trials: usize,
    /// How many of each class.
    pub counts: BTreeMap<String, usize>,
    /// Cross-validated: share of trials that were decided rightly.
    pub accuracy: f64,
    /// Its Wilson interval of 95 %.
    pub interval: Option<[f64; 2]>,
    /// What the last third of the trials brought.
    pub gain: Gain,
    /// Whether more trials stop helping.
    pub enough: bool,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// The model.
    pub model: PathBuf,
    /// The cross-validation in full.
    #[serde(skip)]
    pub evaluation: Evaluation,
}

/// The thread that fits.
pub struct Worker {
    plan: Plan,
    model: PathBuf,
    precision: f64,
    busy: Option<JoinHandle<Result<Refit>>>,
}

impl Worker {
    /// A worker that writes its models to `model`, and to which an accuracy is well known within
    /// `precision`.
    pub fn new(plan: Plan, model: PathBuf, precision: f64) -> Self {
        Self { plan, model, precision, busy: None }
    }

    /// Whether it has something to do.
    pub fn is_busy(&self) -> bool {
        self.busy.is_some()
    }

    /// Starts on `epochs`; it must not be busy.
    pub fn start(&mut self, epochs: Epochs) -> Result<()> {
        let (plan, model, precision) = (self.plan.clone(), self.model.clone(), self.precision);
        let thread = std::thread::Builder::new().name("refit".into());
        let fit = move || refit(&plan, &epochs, &model, precision);
        let started = thread.spawn(fit);
        self.busy = Some(started.map_err(|e| Error::run(format!("no thread to fit on: {e}")))?);
        Ok(())
    }

    /// What came of it, once it is done; `wait` waits for that.
    pub fn result(&mut self, wait: bool) -> Option<Result<Refit>> {
        let thread = self.busy.take_if(|thread| wait || thread.is_finished())?;
        let fault = |_| Err(Error::run("the fit stopped by a fault of ours"));
        Some(thread.join().unwrap_or_else(fault))
    }
}

/// Cross-validates and fits `plan` on `epochs`, and writes the model.
fn refit(plan: &Plan, epochs: &Epochs, path: &Path, precision: f64) -> Result<Refit> {
    let since = Instant::now();
    let plans = std::slice::from_ref(plan);
    let evaluations = evaluate(plans, vec![epochs.clone()], Protocol::Within, &|| ())?;
    let mut tail = plan.tail()?;
    tail.fit(&epochs.spec, &epochs.examples())?;
    let mut facts = Facts::new(epochs.input.clone(), plan.links()?, epochs.classes.clone());
    facts.data = epochs.provenance.clone();
    facts.scores = serde_json::to_value(&evaluations)
        .map_err(|e| Error::run(format!("the scores cannot be written: {e}")))?;
    let evaluation = evaluations.into_iter().next();
    let evaluation = evaluation.ok_or_else(|| Error::run("nothing was evaluated"))?;
    let gain = gain(plan, epochs, &evaluation)?;
    let counts = epochs.counts();
    let enough = enough(&counts, &evaluation, &gain, precision);
    Model { facts, parts: tail.parts()? }.save(path)?;
    Ok(Refit {
        trials: epochs.frames.len(),
        counts: epochs.classes.iter().cloned().zip(counts).collect(),
        accuracy: evaluation.accuracy,
        interval: evaluation.interval,
        gain,
        enough,
        took_s: since.elapsed().as_secs_f64(),
        model: path.to_owned(),
        evaluation,
    })
}
