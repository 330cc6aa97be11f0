//! A pipeline that is to be fitted or evaluated, taken apart: what comes before its windows, and what works
//! on them.

use super::{Epochs, Step, Tail};
use crate::config::{self, Config, Method, Node, Tune, Unit};
use crate::error::{Error, Result};
use crate::frame::Spec;
use crate::model::{Facts, Link};
use crate::stages::{Stage, decode, window};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A pipeline to be fitted or evaluated: that of a config, or one to compare it with.
#[derive(Clone)]
pub struct Plan {
    path: PathBuf,
    text: Arc<str>,
    sets: Vec<String>,
    /// The `[[compare]]` that it is; `None` for the pipeline of the file.
    compared: Option<String>,
    /// How the pipeline of the file is tuned, if it is.
    tuned: Option<Method>,
    phase: Phase,
}

/// How filters are applied to recordings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// As they run live: only the past counts.
    #[default]
    Causal,
    /// Forward and backward, as most papers do; no live system can.
    ZeroPhase,
}

impl Plan {
    /// A plan for the config at `path` with overrides.
    pub fn new(path: &Path, sets: &[String]) -> Result<Self> {
        let text = config::text(path)?.into();
        let plan = Self {
            path: path.to_owned(),
            text,
            sets: sets.to_vec(),
            compared: None,
            tuned: None,
            phase: Phase::Causal,
        };
        // A config that does not parse is reported before any recording is read.
        plan.config()?;
        Ok(plan)
    }

    /// The pipelines under `[[compare]]`, to be evaluated on the epochs of this one.
    pub fn compared(&self) -> Result<Vec<Self>> {
        let names = self.config()?.compare;
        let plan = |name| Self { compared: Some(name), tuned: None, ..self.clone() };
        Ok(names.into_iter().map(plan).collect())
    }

    /// The same pipeline with more settings, `id.key=value`.
    pub fn with(&self, sets: &[String]) -> Self {
        Self { sets: [&self.sets, sets].concat(), ..self.clone() }
    }

    /// The config, freshly built.
    pub(super) fn config(&self) -> Result<Config> {
        match &self.compared {
            Some(name) => config::parse_compared(&self.path, &self.text, &self.sets, name),
            None => config::parse(&self.path, &self.text, &self.sets),
        }
    }

    /// The same pipeline, tuned on its training data.
    pub fn tuned(&self, method: Method) -> Self {
        Self { tuned: Some(method), ..self.clone() }
    }

    /// The same pipeline with its filters applied as `phase` says.
    pub fn filtered(&self, phase: Phase) -> Self {
        Self { phase, ..self.clone() }
    }

    /// How its filters are applied.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What is searched for before the pipeline is trained, if anything.
    pub fn tune(&self) -> Result<Option<Tune>> {
        let tune = self.config()?.tune;
        Ok(match (&self.compared, self.tuned) {
            (Some(_), _) => tune,
            (None, Some(method)) => Some(Tune { method, ..tune.unwrap_or_default() }),
            (None, None) => None,
        })
    }

    /// The stages up to the last that learns, as a model file records them.
    pub fn links(&self) -> Result<Vec<Link>> {
        let mut config = self.config()?;
        let sources = stand_ins(&config);
        let chain = learning_chain(&mut config, &sources)?;
        Ok(config.links(&chain))
    }

    /// What the model of a fit on `recordings` would say of itself, before anything is learned.
    pub fn facts(&self, recordings: &[String]) -> Result<Facts> {
        let epochs = recordings.iter().map(|name| self.epochs(name)).collect::<Result<_>>()?;
        let epochs = Epochs::pool(epochs)?;
        let mut facts = Facts::new(epochs.input, self.links()?, epochs.classes);
        facts.data = epochs.provenance;
        Ok(facts)
    }

    /// Whether what learns gives scores, which can be cross-validated; else, say, embeddings.
    pub fn scores(&self) -> Result<bool> {
        let decoders = decode::KINDS;
        let is_decoder = |link: &Link| decoders.iter().any(|kind| kind.name == link.kind);
        Ok(self.links()?.iter().any(is_decoder))
    }

    /// The stages behind the windowing, up to the last that learns.
    pub fn learning(&self) -> Result<Vec<Link>> {
        let mut config = self.config()?;
        let sources = stand_ins(&config);
        let chain = learning_chain(&mut config, &sources)?;
        let windows = windowing(&config, &chain)?;
        Ok(config.links(&chain[windows..]))
    }

    /// Where epochs begin after their marker and how long they are, if `[fit]` says so.
    pub(super) fn fit_window(&self) -> Result<Option<(f64, f64)>> {
        let config = self.config()?;
        let window = config.stages.iter().find(|s| s.kind == "window");
        let length = window.and_then(|s| s.settings.get("length_s")).and_then(|v| v.as_f64());
        let fit = config.fit.as_ref().filter(|_| window.is_some());
        Ok(fit.and_then(|fit| Some((fit.start_s, fit.length_s.or(length)?))))
    }

    /// From the cue to the end of epochs that are `windows`, in seconds: when a decision is due.
    pub(super) fn decision_s(&self, windows: &Spec) -> Result<f64> {
        let config = self.config()?;
        let event = config.stages.iter().find(|s| s.kind == "event");
        let start = event.and_then(|s| s.settings.get("start_s")).and_then(|v| v.as_f64());
        let start_s = start.or_else(|| config.fit.as_ref().map(|fit| fit.start_s));
        Ok(start_s.unwrap_or_default().max(0.0) + windows.rows as f64 / windows.rate_hz)
    }

    /// The part of the pipeline behind the windowing, freshly built.
    pub fn tail(&self) -> Result<Tail> {
        let mut config = self.config()?;
        let sources = stand_ins(&config);
        let chain = learning_chain(&mut config, &sources)?;
        let (head, tail) = chain.split_at(windowing(&config, &chain)?);
        let from = |i: usize| match config.samples_from(i, &sources) {
            Some(Node::Stage(before)) if head.last() != Some(&before) => {
                let place = tail.iter().position(|j| *j == before);
                place.map(Some).ok_or_else(|| {
                    config.stages[i].blame(Error::config(format!(
                        "`{}` reads from `{}`: what learns must branch off behind the windowing",
                        config.stages[i].id, config.stages[before].id
                    )))
                })
            }
            _ => Ok(None),
        };
        let from: Vec<Option<usize>> = tail.iter().map(|i| from(*i)).collect::<Result<_>>()?;
        let main = main_branch(&config);
        let decides = tail.iter().rposition(|i| main[*i]).unwrap_or(tail.len() - 1);
        let units = config.stages.into_iter().enumerate().filter(|(i, _)| tail.contains(i));
        let step = |((_, unit), from): ((usize, Unit<dyn Stage>), _)| Step {
            id: unit.id,
            stage: unit.unit,
            from,
        };
        Ok(Tail::new(units.zip(from).map(step).collect(), decides))
    }

    /// The name of the pipeline: that of its `[[compare]]`, or its stages behind the windowing, up to the
    /// last that learns.
    pub fn pipeline(&self) -> Result<String> {
        if let Some(name) = &self.compared {
            return Ok(name.clone());
        }
        let mut config = self.config()?;
        let sources = stand_ins(&config);
        let chain = learning_chain(&mut config, &sources)?;
        let main = main_branch(&config);
        let behind = chain[windowing(&config, &chain)?..].iter().filter(|i| main[**i]);
        let kinds: Vec<&str> = behind.map(|i| config.stages[*i].kind).collect();
        Ok(kinds.join("+"))
    }
}

/// Whether stages of `kind` make windows out of samples.
pub(super) fn makes_windows(kind: &str) -> bool {
    window::KINDS.iter().any(|k| k.name == kind)
}

/// Whether stages of `kind` filter every channel by itself, so that it does not matter whether that is
/// done before channels are picked or averaged.
pub(super) fn is_filter(kind: &str) -> bool {
    ["bandpass", "notch"].contains(&kind)
}

/// The chain of the stages that learn; without one there is nothing to fit.
pub(super) fn learning_chain(config: &mut Config, sources: &[Spec]) -> Result<Vec<usize>> {
    config.chain(sources).ok_or_else(|| {
        Error::config("no stage of this config learns: add a decoder such as mdm or logistic")
    })
}

/// Marks the stages that decide when there is time: all but those of the cheaper branch.
pub(super) fn main_branch(config: &Config) -> Vec<bool> {
    let mut main = vec![true; config.stages.len()];
    for (i, stage) in config.stages.iter().enumerate() {
        let behind = |node: &Node| matches!(node, Node::Stage(j) if !main[*j]);
        main[i] = config.deadline.degrade != Some(i) && !stage.from.iter().any(behind);
    }
    main
}

/// How many stages of `chain` come before those that work on windows.
pub(super) fn windowing(config: &Config, chain: &[usize]) -> Result<usize> {
    let kind = |i: &usize| config.stages[*i].kind;
    let windows = chain.iter().position(|i| makes_windows(kind(i))).map(|at| at + 1);
    // Of a stream it takes windows itself.
    windows.or_else(|| chain.iter().position(|i| kind(i) == "band_power")).ok_or_else(|| {
        Error::config(
            "no stage before the first that learns cuts windows: add one of kind window or event",
        )
    })
}

pub(super) fn no_classes() -> Error {
    Error::config(
        "the config does not say which markers are which class: add a [fit] table such as\n\
         [fit]\nclasses = { left = \"T1\", right = \"T2\" }\nstart_s = 0.5",
    )
}

/// Whether source `i` brings markers: it feeds nothing but the second inputs of stages, and sinks.
pub(super) fn feeds_markers(config: &Config, i: usize) -> bool {
    let node = Node::Source(i);
    i > 0 && !config.stages.iter().any(|s| s.from.first() == Some(&node))
}

/// Specs that tell samples from markers, for questions that need no more.
pub(super) fn stand_ins(config: &Config) -> Vec<Spec> {
    (0..config.sources.len())
        .map(|i| match feeds_markers(config, i) {
            true => Spec::markers(),
            false => Spec::samples(Vec::new(), 1.0, 1),
        })
        .collect()
}
