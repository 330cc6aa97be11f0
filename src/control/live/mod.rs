//! `saltatory fit --live`: calibrates while the participant works.
//!
//! `graph` is what runs: the config with a stage that cuts epochs and a sink of ours that brings them here.
//! After each trial `refit` fits on a thread of its own, never two at once; meanwhile trials gather, and the
//! next fit takes all of them. Each model is written, and swapped in where the pipeline decides.
//! `view` shows how it goes, `hint` says so when no cues come.

mod graph;
mod hint;
mod refit;
mod view;

pub use refit::Refit;

use super::fit::{check_report, what_was_done, write_report};
use super::run::{self, Options, Session};
use super::running::Running;
use super::stop::Stop;
use crate::error::{Error, Result};
use crate::fit::{Epochs, Plan, Protocol, summary};
use crate::frame::{Frame, Spec};
use crate::ledger::Ledger;
use crate::model::{Input, Provenance};
use crate::sources::Speed;
use crate::stages::window::classes::Classes;
use graph::{Arrival, Graph};
use hint::Hint;
use refit::Worker;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;
use view::{Shown, View};

/// Trials of each class before the first fit.
const FIRST: usize = 3;
/// Most memory that epochs may take; a calibration that needs more has enough.
const MOST_BYTES: usize = 1 << 30;

/// What `saltatory fit --live` was asked for.
pub struct Live<'a> {
    /// The config.
    pub config: &'a Path,
    /// Settings that replace those of the config.
    pub sets: &'a [String],
    /// Where the model goes, after every refit.
    pub out: &'a Path,
    /// Whether the pipeline decides meanwhile, with the newest model.
    pub run: bool,
    /// Ends after this many seconds.
    pub for_s: Option<f64>,
    /// Speed of recorded and simulated sources.
    pub speed: Option<Speed>,
    /// How many trials of each class are wanted.
    pub trials: Option<usize>,
    /// How well the accuracy is to be known (half the width of its interval) before it is enough.
    pub precision: f64,
    /// Where a report goes.
    pub report: Option<&'a Path>,
    /// Whether each refit is printed as a line of JSON.
    pub json: bool,
}

/// What a calibration leaves behind.
pub struct Outcome {
    /// All epochs.
    pub epochs: Epochs,
    /// The refits, the last of which is of all epochs.
    pub refits: Vec<Refit>,
    /// How often a model was swapped in.
    pub swaps: usize,
    /// How the run went.
    pub report: run::Report,
}

/// The command: calibrates, writes the report, and says how it went.
pub fn live(asked: &Live<'_>, stop: &Stop) -> Result<()> {
    let (outcome, ended) = calibrate(asked, stop)?;
    for fault in crate::engine::balance::faults(&outcome.report.balance) {
        eprintln!("a fault of ours: {fault} are unaccounted for; please report this");
    }
    if let (Some(path), Some(last)) = (asked.report, outcome.refits.last()) {
        let plan = Plan::new(asked.config, asked.sets)?;
        let results = std::slice::from_ref(&last.evaluation);
        let facts = what_was_done(Protocol::Within, &["live".to_owned()], asked.sets);
        let title = format!("Live calibration of {}", asked.config.display());
        let report = summary::report(&title, facts, results);
        write_report(path, &plan, &[], report, results, || Ok(outcome.epochs))?;
    }
    ended
}

/// Calibrates. The outcome is there also where the run failed on its way (second part); an error if no model
/// could be learned at all.
pub fn calibrate(asked: &Live<'_>, stop: &Stop) -> Result<(Outcome, Result<()>)> {
    let plan = Plan::new(asked.config, asked.sets)?;
    if let Some(path) = asked.report {
        check_report(path)?;
    }
    let (to, inbox) = channel();
    let graph = Graph { plan: plan.clone(), model: asked.out.to_owned(), decides: asked.run, to };
    let (config, classes) = graph.first()?;
    let drawn = asked.run && config.sinks.iter().any(|s| s.kind == "terminal");
    let options = Options { for_s: asked.for_s, speed: asked.speed, ..Options::default() };
    let mut session = Session::start(config, &options, stop)?;
    let ledger = session.running.facts().ledger.clone();
    let mut calibration = Calibration {
        worker: Worker::new(plan, asked.out.to_owned(), asked.precision),
        hint: Hint::new(classes.texts()?, Instant::now()),
        view: View::new(asked.for_s, !drawn && !asked.json),
        asked,
        graph,
        inbox,
        classes,
        ledger,
        epochs: None,
        learned: 0,
        full: false,
        refits: Vec::new(),
        swaps: 0,
    };
    let mut failed = Ok(());
    session.running.watch(stop, |running| match calibration.look(running) {
        Ok(goes_on) => goes_on,
        Err(e) => {
            failed = Err(e);
            false
        }
    });
    let (report, ended) = session.finish();
    let outcome = calibration.finish(report)?;
    Ok((outcome, failed.and(ended)))
}

/// A calibration under way.
struct Calibration<'a> {
    asked: &'a Live<'a>,
    graph: Graph,
    inbox: Receiver<Arrival>,
    classes: Classes,
    ledger: Ledger,
    /// What came so far, once it is known what it is.
    epochs: Option<Epochs>,
    /// How many of them the newest fit knows.
    learned: usize,
    /// Whether no more are taken.
    full: bool,
    worker: Worker,
    hint: Hint,
    view: View,
    refits: Vec<Refit>,
    swaps: usize,
}

impl Calibration<'_> {
    /// Called now and then while it runs; says whether it goes on.
    fn look(&mut self, running: &mut Running) -> Result<bool> {
        self.take_in();
        if let Some(result) = self.worker.result(false)
            && self.took_up(result)?
            && self.asked.run
        {
            self.swap(running);
        }
        if !self.worker.is_busy() {
            self.start()?;
        }
        if let Some(hint) = self.hint.due(Instant::now()) {
            self.view.say(&format!("hint: {hint}"));
        }
        self.draw();
        // Where it decides, it goes on deciding.
        Ok(!self.full || self.asked.run)
    }

    /// Takes what our sink has sent.
    fn take_in(&mut self) {
        while let Ok(arrival) = self.inbox.try_recv() {
            match arrival {
                Arrival::Opened(spec) => {
                    self.view.log(&greeting(&spec, &self.classes));
                    self.epochs = Some(none_yet(&spec, &self.classes));
                }
                Arrival::Marker(text) => self.hint.saw(&text, Instant::now()),
                Arrival::Epoch(frame) => self.add(frame),
            }
        }
    }

    fn add(&mut self, frame: Frame) {
        let (Some(epochs), Some(class)) =
            (self.epochs.as_mut(), self.classes.index_of(&frame.text))
        else {
            return;
        };
        if self.full {
            return;
        }
        let bytes = frame.data.len() * size_of::<f64>();
        epochs.frames.push(frame);
        epochs.labels.push(class);
        epochs.groups.push(0);
        let n = epochs.frames.len();
        epochs.provenance[0].epochs = n;
        let counts = epochs.counts();
        let least = counts.iter().copied().min().unwrap_or_default();
        if least < FIRST {
            let name = &epochs.classes[class];
            let text = format!("trial {n}: {name} | the first model comes with {FIRST} of each");
            self.view.log(&text);
        }
        self.full = self.asked.trials.is_some_and(|wanted| least >= wanted);
        if (n + 1) * bytes > MOST_BYTES {
            self.full = true;
            self.view.say("the memory for trials is full; no more are taken");
        }
    }

    /// Starts a fit if there are trials that the newest one does not know, and enough of each class.
    fn start(&mut self) -> Result<()> {
        let Some(epochs) = &self.epochs else { return Ok(()) };
        let n = epochs.frames.len();
        if n == self.learned || epochs.counts().into_iter().any(|count| count < FIRST) {
            return Ok(());
        }
        self.learned = n;
        self.worker.start(epochs.clone())
    }

    /// Takes up what a fit found; says whether there is a new model. One that failed is told, and the model
    /// before stays.
    fn took_up(&mut self, result: Result<Refit>) -> Result<bool> {
        let refit = match result {
            Ok(refit) => refit,
            Err(e) => {
                self.view.say(&format!("this fit failed, the model before stays: {e}"));
                return Ok(false);
            }
        };
        if self.asked.json {
            let lost: serde_json::Map<_, _> =
                self.ledger.totals().iter().map(|(c, n)| ((*c).into(), (*n).into())).collect();
            let mut line = serde_json::to_value(&refit).unwrap_or_default();
            line["lost"] = lost.into();
            super::print(&line.to_string())?;
        } else {
            self.view.log(&view::line(&refit));
        }
        self.refits.push(refit);
        Ok(true)
    }

    /// Puts the newest model in the place of the one before. What does not fit is said.
    fn swap(&mut self, running: &mut Running) {
        match self.graph.next().and_then(|config| running.swap(config)) {
            Ok(_) => self.swaps += 1,
            Err(e) => self.view.say(&format!("the model is not taken up by the run: {e}")),
        }
    }

    fn draw(&mut self) {
        let Some(epochs) = &self.epochs else { return };
        let counts: Vec<_> = epochs.classes.iter().cloned().zip(epochs.counts()).collect();
        let wanted = self.asked.trials.unwrap_or(crate::fit::LEAST_TRIALS);
        let refit = self.refits.last();
        self.view.draw(&Shown { counts: &counts, wanted, refit, ledger: &self.ledger });
    }

    /// After the run: fits once more if the last trials are not yet learned.
    fn finish(mut self, report: run::Report) -> Result<Outcome> {
        self.take_in();
        // The fit under way, and then one of the trials that came since.
        for _ in 0..2 {
            if !self.worker.is_busy() {
                self.start()?;
            }
            if let Some(result) = self.worker.result(true) {
                self.took_up(result)?;
            }
        }
        self.view.clear();
        let epochs = self.epochs.ok_or_else(|| Error::run("the sources did not start"))?;
        let Some(last) = self.refits.last() else {
            return Err(match self.learned {
                0 => too_few(&epochs, &self.ledger),
                _ => Error::run("no fit succeeded, so no model is written"),
            });
        };
        if !self.asked.json {
            eprintln!("{}", view::last_words(last, &self.ledger));
        }
        Ok(Outcome { epochs, refits: self.refits, swaps: self.swaps, report })
    }
}

/// What is waited for.
fn greeting(spec: &Spec, classes: &Classes) -> String {
    let each =
        classes.pairs().into_iter().map(|(name, texts)| format!("{name} ({})", texts.join(", ")));
    let (cols, rate_hz, length_s) = (spec.cols, spec.rate_hz, spec.rows as f64 / spec.rate_hz);
    format!(
        "calibrating on {cols} channels at {rate_hz} Hz, {length_s} s at each cue: {}; Ctrl-C ends it",
        each.collect::<Vec<_>>().join(", ")
    )
}

/// An empty list of epochs of `spec`.
fn none_yet(spec: &Spec, classes: &Classes) -> Epochs {
    Epochs {
        name: "live".into(),
        frames: Vec::new(),
        labels: Vec::new(),
        classes: classes.names(),
        spec: spec.clone(),
        input: Input::of(spec),
        provenance: vec![Provenance { recording: "live".into(), sha256: String::new(), epochs: 0 }],
        groups: Vec::new(),
        weights: Vec::new(),
        warnings: Vec::new(),
    }
}

/// No model can be learned.
fn too_few(epochs: &Epochs, ledger: &Ledger) -> Error {
    let counts = epochs.classes.iter().zip(epochs.counts());
    let counts: Vec<_> = counts.map(|(class, n)| format!("{class} {n}")).collect();
    let lost = view::lost(ledger);
    Error::input(format!(
        "too few trials for a model: {}; each class needs {FIRST} (lost: {lost}); no model is written",
        counts.join(", ")
    ))
}
