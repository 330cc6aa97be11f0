//! Labelled epochs out of recordings, through the stages of the config.
//!
//! In: a config and a recording. Out: one window per marker of a class, as the first stage behind the
//! windowing gets it. Where the running pipeline has sliding windows, the `[fit]` table says how
//! epochs are cut instead. Each recording starts with fresh filters.

use super::zero_phase::both_ways;
use super::{Step, Tail};
use crate::config::{self, Config, Method, Node, Tune, Unit};
use crate::engine::guard::Guard as Deadline;
use crate::engine::intake::Guard;
use crate::engine::pipeline::{Branch, Edge, Node as Placed, Pipeline, Route};
use crate::error::{Error, Result};
use crate::formats::Stream;
use crate::frame::{Frame, Spec};
use crate::kind::Settings as _;
use crate::ledger::Counters;
use crate::model::{self, Input, Link, Provenance};
use crate::sources::recording::{self, Player};
use crate::stages::window::{self, classes::Classes, event};
use crate::stages::{Emit, Examples, Fault, Stage};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

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

/// The labelled epochs of one recording.
#[derive(Clone)]
pub struct Epochs {
    /// The recording's short name.
    pub name: String,
    /// The windows, one per epoch.
    pub frames: Vec<Frame>,
    /// The class of each epoch, as an index into `classes`.
    pub labels: Vec<usize>,
    /// Class names.
    pub classes: Vec<String>,
    /// What the frames are.
    pub spec: Spec,
    /// The samples that went into the epochs.
    pub input: Input,
    /// Where the epochs come from, one entry per recording.
    pub provenance: Vec<Provenance>,
    /// The recording of each epoch, as an index into `provenance`.
    pub groups: Vec<usize>,
    /// What was lost on the way, in words.
    pub warnings: Vec<String>,
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
    fn config(&self) -> Result<Config> {
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

    /// The stages behind the windowing, up to the last that learns.
    pub fn learning(&self) -> Result<Vec<Link>> {
        let mut config = self.config()?;
        let sources = stand_ins(&config);
        let chain = learning_chain(&mut config, &sources)?;
        let windows = windowing(&config, &chain)?;
        Ok(config.links(&chain[windows..]))
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

    /// Cuts the epochs of the recording `name`.
    pub fn epochs(&self, name: &str) -> Result<Epochs> {
        let recording = recording::load(name)?;
        let sha256 = match std::fs::read(name) {
            Ok(bytes) if !name.starts_with("synthetic:") => model::sha256(&bytes),
            _ => String::new(),
        };
        let mut warnings = recording.warnings.clone();
        let streams = recording.streams;
        let mut epochs = self.cut(&streams).map_err(|e| e.at(name))?;
        epochs.name = short_name(name);
        let (recording, n) = (name.to_owned(), epochs.frames.len());
        epochs.provenance = vec![Provenance { recording, sha256, epochs: n }];
        warnings.append(&mut epochs.warnings);
        epochs.warnings = warnings;
        Ok(epochs)
    }

    fn cut(&self, streams: &[Stream]) -> Result<Epochs> {
        let mut config = self.config()?;
        let samples_at = streams.iter().find(|s| !recording::is_markers(s));
        let samples = samples_at.ok_or_else(|| Error::input("holds no stream of samples"))?;
        let markers = streams
            .iter()
            .find(|s| recording::is_markers(s))
            .ok_or_else(|| Error::input("holds no markers, so there are no labelled epochs"))?;
        let mut samples = samples.clone();
        if self.phase == Phase::ZeroPhase {
            let filters = config.stages.iter_mut().filter(|s| is_filter(s.kind));
            for filter in filters {
                both_ways(filter.unit.as_mut(), &mut samples).map_err(|e| filter.blame(e))?;
            }
        }
        let mut players = [Player::new(samples)?, Player::new(markers.clone())?];
        let sources: Vec<Spec> = (0..config.sources.len())
            .map(|i| players[usize::from(feeds_markers(&config, i))].spec().clone())
            .collect();
        let chain = learning_chain(&mut config, &sources)?;
        let input = config.input(&chain, &sources)?;
        let classes = config.classes().ok_or_else(no_classes)?;
        let windows = windowing(&config, &chain)?;
        let mut head: Vec<Box<dyn Stage>> = Vec::new();
        let mut windowed = false;
        for (i, stage) in config.stages.drain(..).enumerate() {
            let epochs = || epoch_stage(config.fit.as_ref(), &classes, &stage.settings);
            if self.phase == Phase::ZeroPhase && is_filter(stage.kind) {
                continue;
            }
            if chain[..windows].contains(&i) {
                windowed |= makes_windows(stage.kind);
                head.push(if stage.kind == "window" { epochs()? } else { stage.unit });
            } else if chain.get(windows) == Some(&i) && !windowed {
                // Of a stream it takes windows itself.
                head.push(epochs()?);
            }
        }
        let (spec, frames, lost) = run(head, &mut players, config.on_gap)?;
        let labels = frames.iter().map(|f| classes.index_of(&f.text).unwrap_or_default()).collect();
        Ok(Epochs {
            name: String::new(),
            groups: vec![0; frames.len()],
            frames,
            labels,
            classes: classes.names(),
            spec,
            input,
            provenance: Vec::new(),
            warnings: lost,
        })
    }
}

/// Whether stages of `kind` make windows out of samples.
fn makes_windows(kind: &str) -> bool {
    window::KINDS.iter().any(|k| k.name == kind)
}

/// Whether stages of `kind` filter every channel by itself, so that it does not matter whether that is
/// done before channels are picked or averaged.
fn is_filter(kind: &str) -> bool {
    ["bandpass", "notch"].contains(&kind)
}

/// The chain of the stages that learn; without one there is nothing to fit.
fn learning_chain(config: &mut Config, sources: &[Spec]) -> Result<Vec<usize>> {
    config.chain(sources).ok_or_else(|| {
        Error::config("no stage of this config learns: add a decoder such as mdm or logistic")
    })
}

/// Marks the stages that decide when there is time: all but those of the cheaper branch.
fn main_branch(config: &Config) -> Vec<bool> {
    let mut main = vec![true; config.stages.len()];
    for (i, stage) in config.stages.iter().enumerate() {
        let behind = |node: &Node| matches!(node, Node::Stage(j) if !main[*j]);
        main[i] = config.deadline.degrade != Some(i) && !stage.from.iter().any(behind);
    }
    main
}

/// How many stages of `chain` come before those that work on windows.
fn windowing(config: &Config, chain: &[usize]) -> Result<usize> {
    let kind = |i: &usize| config.stages[*i].kind;
    let windows = chain.iter().position(|i| makes_windows(kind(i))).map(|at| at + 1);
    // Of a stream it takes windows itself.
    windows.or_else(|| chain.iter().position(|i| kind(i) == "band_power")).ok_or_else(|| {
        Error::config(
            "no stage before the first that learns cuts windows: add one of kind window or event",
        )
    })
}

fn no_classes() -> Error {
    Error::config(
        "the config does not say which markers are which class: add a [fit] table such as\n\
         [fit]\nclasses = { left = \"T1\", right = \"T2\" }\nstart_s = 0.5",
    )
}

/// Whether source `i` brings markers: it feeds nothing but the second inputs of stages, and sinks.
fn feeds_markers(config: &Config, i: usize) -> bool {
    let node = Node::Source(i);
    i > 0 && !config.stages.iter().any(|s| s.from.first() == Some(&node))
}

/// Specs that tell samples from markers, for questions that need no more.
fn stand_ins(config: &Config) -> Vec<Spec> {
    (0..config.sources.len())
        .map(|i| match feeds_markers(config, i) {
            true => Spec::markers(),
            false => Spec::samples(Vec::new(), 1.0, 1),
        })
        .collect()
}

/// The stage that cuts epochs where the running pipeline has sliding windows.
fn epoch_stage(
    fit: Option<&config::Fit>,
    classes: &Classes,
    window: &serde_json::Value,
) -> Result<Box<dyn Stage>> {
    let fit = fit.ok_or_else(no_classes)?;
    let seconds = |key: &str| window.get(key).and_then(serde_json::Value::as_f64);
    // Where the length can be left out it is the step.
    let window_s = seconds("length_s").or_else(|| seconds("step_s"));
    let length_s = fit.length_s.or(window_s).unwrap_or_default();
    let (classes, start_s) = (classes.clone(), fit.start_s);
    // A recording is read in order of time, so no marker comes late.
    event::Settings { classes, start_s, length_s, history_s: 1.0 }
        .build()
        .map_err(|e| e.at("[fit]"))
}

/// Runs both streams of a recording through `head` and collects what comes out.
fn run(
    head: Vec<Box<dyn Stage>>,
    players: &mut [Player; 2],
    on_gap: crate::config::OnGap,
) -> Result<(Spec, Vec<Frame>, Vec<String>)> {
    let specs = [players[0].spec().clone(), players[1].spec().clone()];
    let counters: Vec<_> = (0..=head.len()).map(|i| Counters::new(format!("stage {i}"))).collect();
    let collected = Arc::new(Mutex::new(Vec::new()));
    let mut spec = specs[0].clone();
    let to = |node, input| Edge { node, input, branch: Branch::All };
    let mut nodes = Vec::new();
    let mut marker_edges = Vec::new();
    for (i, mut stage) in head.into_iter().enumerate() {
        let edge = to(i + 1, 0);
        spec = match stage.prepare(std::slice::from_ref(&spec)) {
            Ok(spec) => spec,
            // The stage that cuts epochs is the only one with two inputs.
            Err(_) => {
                marker_edges.push(to(i, 1));
                stage.prepare(&[spec, specs[1].clone()])?
            }
        };
        let route = Route::new(&spec, vec![edge]);
        nodes.push(Placed::new(stage, i, route, counters[i].clone()));
    }
    let end = Box::new(Collector(collected.clone()));
    let route = Route::new(&spec, Vec::new());
    nodes.push(Placed::new(end, nodes.len(), route, counters[nodes.len()].clone()));
    let sources = vec![Route::new(&specs[0], vec![to(0, 0)]), Route::new(&specs[1], marker_edges)];
    let stages = nodes.len();
    let mut pipeline = Pipeline::new(sources, nodes, stages, on_gap, Deadline::none());
    let intake = Counters::new("recording");
    feed(&mut pipeline, players, &specs, &intake);
    drop(pipeline);
    let frames = std::mem::take(&mut *collected.lock().unwrap_or_else(PoisonError::into_inner));
    let pages = std::iter::once(&intake).chain(&counters).map(|c| c.page());
    let lost = pages.flat_map(|p| p.counts).map(|(cause, n)| format!("{cause}: {n}")).collect();
    Ok((spec, frames, lost))
}

/// Gives the blocks of both streams to the pipeline in order of time.
fn feed(pipeline: &mut Pipeline, players: &mut [Player; 2], specs: &[Spec; 2], ledger: &Counters) {
    let mut guards = [Guard::new(&specs[0]), Guard::new(&specs[1])];
    let mut blocks = [specs[0].frame(), specs[1].frame()];
    let mut more = [false; 2];
    for i in 0..2 {
        more[i] = players[i].next(&mut blocks[i], ledger);
    }
    while more[0] || more[1] {
        let markers_first = more[1] && blocks[1].span.last_s <= blocks[0].span.last_s;
        let i = usize::from(markers_first || !more[0]);
        guards[i].admit(&mut blocks[i], ledger);
        pipeline.take(i, &mut blocks[i]);
        more[i] = players[i].next(&mut blocks[i], ledger);
    }
}

/// The stage behind the last: keeps what it gets. Lives on the control plane only.
struct Collector(Arc<Mutex<Vec<Frame>>>);

impl Stage for Collector {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        Ok(inputs.first().cloned().unwrap_or_else(Spec::markers))
    }

    fn process(&mut self, frame: &mut Frame, _emit: &mut dyn Emit) -> Result<(), Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(frame.clone());
        Ok(())
    }

    fn reset(&mut self) {}
}

/// The file name without folder and extension.
fn short_name(name: &str) -> String {
    match Path::new(name).file_stem() {
        Some(stem) if !name.starts_with("synthetic:") => stem.to_string_lossy().into_owned(),
        _ => name.to_owned(),
    }
}

impl Epochs {
    /// Puts the epochs of several recordings into one list, in order.
    pub fn pool(all: Vec<Epochs>) -> Result<Epochs> {
        let mut all = all.into_iter();
        let mut pooled = all.next().ok_or_else(|| Error::config("name at least one recording"))?;
        for next in all {
            if next.input != pooled.input {
                return Err(Error::mismatch(format!(
                    "{} has other channels or another rate than {}",
                    next.name, pooled.name
                )));
            }
            let groups = pooled.provenance.len();
            pooled.groups.extend(next.groups.iter().map(|g| g + groups));
            pooled.provenance.extend(next.provenance);
            pooled.frames.extend(next.frames);
            pooled.labels.extend(next.labels);
            pooled.name = format!("{}+{}", pooled.name, next.name);
        }
        Ok(pooled)
    }

    /// Some of the epochs.
    pub fn some(&self, which: &[usize]) -> Self {
        let frames = which.iter().map(|i| self.frames[*i].clone()).collect();
        let of = |all: &[usize]| which.iter().map(|i| all[*i]).collect();
        let (labels, groups) = (of(&self.labels), of(&self.groups));
        Self { frames, labels, groups, ..self.head() }
    }

    /// The first `most` epochs of each class.
    pub fn first_of_each(&self, most: usize) -> Self {
        let mut seen = vec![0; self.classes.len()];
        let mut early = |i: &usize| {
            seen[self.labels[*i]] += 1;
            seen[self.labels[*i]] <= most
        };
        let which: Vec<usize> = (0..self.labels.len()).filter(|i| early(i)).collect();
        self.some(&which)
    }

    /// All but the epochs themselves.
    fn head(&self) -> Self {
        Self {
            name: self.name.clone(),
            frames: Vec::new(),
            labels: Vec::new(),
            classes: self.classes.clone(),
            spec: self.spec.clone(),
            input: self.input.clone(),
            provenance: self.provenance.clone(),
            groups: Vec::new(),
            warnings: self.warnings.clone(),
        }
    }

    /// The epochs as examples to learn from.
    pub fn examples(&self) -> Examples<'_> {
        let Self { frames, labels, classes, groups, .. } = self;
        Examples { frames, labels, classes, groups, weights: &[] }
    }

    /// How many epochs each class has.
    pub fn counts(&self) -> Vec<usize> {
        (0..self.classes.len()).map(|c| self.labels.iter().filter(|l| **l == c).count()).collect()
    }

    /// Refuses a set of epochs in which a class has fewer than `at_least`.
    pub fn check_counts(&self, at_least: usize) -> Result<()> {
        for (class, n) in self.classes.iter().zip(self.counts()) {
            if n < at_least {
                return Err(Error::input(format!(
                    "{}: class `{class}` has {n} epochs, at least {at_least} are needed",
                    self.name
                )));
            }
        }
        Ok(())
    }
}
