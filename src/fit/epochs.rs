//! Labelled epochs out of recordings, through the stages of the config.
//!
//! In: a config and a recording. Out: one window per marker of a class, as the first stage behind the
//! windowing gets it. Where the running pipeline has sliding windows, the `[fit]` table says how
//! epochs are cut instead. Each recording starts with fresh filters.

use super::plan::{feeds_markers, learning_chain, makes_windows, no_classes, windowing};
use super::portrait::first_of_each;
use super::zero_phase;
use super::{Phase, Plan};
use crate::config::{self, Config};
use crate::engine::guard::Guard as Deadline;
use crate::engine::intake::Guard;
use crate::engine::pipeline::{Branch, Edge, Node as Placed, Pipeline, Route};
use crate::error::{Error, Result};
use crate::formats::Stream;
use crate::frame::{Frame, Spec};
use crate::kind::Settings as _;
use crate::ledger::Counters;
use crate::model::{self, Input, Provenance};
use crate::sources::recording::{self, Player};
use crate::stages::window::{classes::Classes, event};
use crate::stages::{Emit, Examples, Fault, Stage};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// How much each epoch counts; empty where all count alike.
    pub weights: Vec<f64>,
    /// What was lost on the way, in words.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Cuts the epochs of the recording `name`.
    pub fn epochs(&self, name: &str) -> Result<Epochs> {
        let recording = recording::load(name)?;
        let sha256 = match std::fs::read(name) {
            Ok(bytes) if !recording::is_simulated(name) => model::sha256(&bytes),
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
        let mut players = self.players(&mut config, streams)?;
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
            weights: Vec::new(),
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

impl Plan {
    /// The samples and the markers of a recording, ready to be sent through the stages of `config`.
    /// Filters without delay have already been applied to them, and are gone from the config.
    pub(super) fn players(&self, config: &mut Config, streams: &[Stream]) -> Result<[Player; 2]> {
        let samples_at = streams.iter().find(|s| !recording::is_markers(s));
        let samples = samples_at.ok_or_else(|| Error::input("holds no stream of samples"))?;
        let markers = streams
            .iter()
            .find(|s| recording::is_markers(s))
            .ok_or_else(|| Error::input("holds no markers, so there are no labelled epochs"))?;
        let mut samples = samples.clone();
        if self.phase() == Phase::ZeroPhase {
            zero_phase::apply(config, &mut samples)?;
        }
        Ok([Player::new(samples)?, Player::new(markers.clone())?])
    }
}

/// The settings of the stage that cuts epochs where the running pipeline has sliding windows of the settings
/// `window`; a marker may come `history_s` after its time.
pub(super) fn epoch_settings(
    fit: Option<&config::Fit>,
    classes: &Classes,
    window: &serde_json::Value,
    history_s: f64,
) -> Result<event::Settings> {
    let fit = fit.ok_or_else(no_classes)?;
    let seconds = |key: &str| window.get(key).and_then(serde_json::Value::as_f64);
    // Where the length can be left out it is the step.
    let window_s = seconds("length_s").or_else(|| seconds("step_s"));
    let length_s = fit.length_s.or(window_s).unwrap_or_default();
    let (classes, start_s) = (classes.clone(), fit.start_s);
    Ok(event::Settings { classes, start_s, length_s, history_s })
}

/// The stage that cuts epochs out of a recording. That is read in order of time, so no marker comes late.
pub(super) fn epoch_stage(
    fit: Option<&config::Fit>,
    classes: &Classes,
    window: &serde_json::Value,
) -> Result<Box<dyn Stage>> {
    epoch_settings(fit, classes, window, 1.0)?.build().map_err(|e| e.at("[fit]"))
}

/// Runs both streams of a recording through `head` and collects what comes out.
fn run(
    head: Vec<Box<dyn Stage>>,
    players: &mut [Player; 2],
    on_gap: crate::config::OnGap,
) -> Result<(Spec, Vec<Frame>, Vec<String>)> {
    let specs = [players[0].spec().clone(), players[1].spec().clone()];
    let counters: Vec<_> = (0..=head.len()).map(|i| Counters::new(format!("stage {i}"))).collect();
    let collected = Collector::default();
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
    let end = Box::new(collected.clone());
    let route = Route::new(&spec, Vec::new());
    nodes.push(Placed::new(end, nodes.len(), route, counters[nodes.len()].clone()));
    let sources = vec![Route::new(&specs[0], vec![to(0, 0)]), Route::new(&specs[1], marker_edges)];
    let stages = nodes.len();
    let mut pipeline = Pipeline::new(sources, nodes, stages, on_gap, Deadline::none());
    let intake = Counters::new("recording");
    feed(&mut pipeline, players, &specs, &intake);
    drop(pipeline);
    let frames = collected.take();
    let pages = std::iter::once(&intake).chain(&counters).map(|c| c.page());
    let lost = pages.flat_map(|p| p.counts).map(|(cause, n)| format!("{cause}: {n}")).collect();
    Ok((spec, frames, lost))
}

/// Gives the blocks of both streams to the pipeline in order of time.
pub(super) fn feed(
    pipeline: &mut Pipeline,
    players: &mut [Player; 2],
    specs: &[Spec; 2],
    ledger: &Counters,
) {
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
#[derive(Clone, Default)]
pub(super) struct Collector(Arc<Mutex<Vec<Frame>>>);

impl Collector {
    /// What it has got so far.
    pub(super) fn take(&self) -> Vec<Frame> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

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
        Some(stem) if !recording::is_simulated(name) => stem.to_string_lossy().into_owned(),
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
            pooled.weights.extend(next.weights);
            pooled.name = format!("{}+{}", pooled.name, next.name);
        }
        Ok(pooled)
    }

    /// Some of the epochs.
    pub fn some(&self, which: &[usize]) -> Self {
        let frames = which.iter().map(|i| self.frames[*i].clone()).collect();
        let of = |all: &[usize]| which.iter().map(|i| all[*i]).collect();
        let (labels, groups) = (of(&self.labels), of(&self.groups));
        let weights = which.iter().filter_map(|i| self.weights.get(*i).copied()).collect();
        Self { frames, labels, groups, weights, ..self.head() }
    }

    /// The first `most` epochs of each class.
    pub fn first_of_each(&self, most: usize) -> Self {
        let all: Vec<usize> = (0..self.labels.len()).collect();
        self.some(&first_of_each(&all, &self.labels, most))
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
            weights: Vec::new(),
            warnings: self.warnings.clone(),
        }
    }

    /// The epochs as examples to learn from.
    pub fn examples(&self) -> Examples<'_> {
        let Self { frames, labels, classes, groups, weights, .. } = self;
        Examples { frames, labels, classes, groups, weights }
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
