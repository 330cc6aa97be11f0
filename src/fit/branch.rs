//! A pipeline that runs while it is calibrated: labelled epochs are cut beside its windows.
//!
//! In: a plan. Out: a config that runs from its sources on, with a stage (unless the pipeline has it anyway)
//! that cuts epochs out of the same filtered samples as the windows, by the same rule as out of a
//! recording. As long as nothing is learned, the stages that learn keep silent; what is put in their
//! place later by a swap has the same shape.

use super::Plan;
use super::epochs::epoch_settings;
use super::plan::{learning_chain, makes_windows, no_classes, stand_ins, windowing};
use crate::config::{Config, Node, Unit};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::kind::Settings as _;
use crate::stages::window::classes::Classes;
use crate::stages::{Emit, Fault, Stage, decode};

/// The id of the stage that cuts epochs where the config has none; taken ones get a line behind.
const EPOCHS: &str = "epochs";
/// How many seconds after its time a marker may still come.
const HISTORY_S: f64 = 5.0;

/// A config with a place where epochs come out.
pub struct Branch {
    /// The config, ready to run.
    pub config: Config,
    /// The stage that sends epochs.
    pub epochs: Node,
    /// The source of the markers.
    pub markers: Node,
    /// The classes and their markers.
    pub classes: Classes,
}

impl Plan {
    /// The config with a stage that cuts epochs. Its model is that of the config: none is learned yet.
    pub fn branch(&self) -> Result<Branch> {
        let mut config = self.config()?;
        let sources = stand_ins(&config);
        let chain = learning_chain(&mut config, &sources)?;
        let behind = windowing(&config, &chain)?;
        let classes = config.classes().ok_or_else(no_classes)?;
        // The stage that makes windows, or that takes them out of a stream itself.
        let cuts = behind.checked_sub(1).map(|at| chain[at]);
        let cuts = cuts.filter(|i| makes_windows(config.stages[*i].kind)).unwrap_or(chain[behind]);
        let is_markers = |node: &&Node| matches!(node, Node::Source(i) if sources[*i].payload == Payload::Markers);
        if config.stages[cuts].kind == "event" {
            let markers = config.stages[cuts].from.iter().find(is_markers).copied();
            let markers = markers.ok_or_else(no_markers)?;
            return Ok(Branch { config, epochs: Node::Stage(cuts), markers, classes });
        }
        let all: Vec<Node> = (0..sources.len()).map(Node::Source).collect();
        let markers = all.iter().find(is_markers).copied().ok_or_else(no_markers)?;
        let samples = config.samples_from(cuts, &sources).unwrap_or(Node::Source(0));
        let window = &config.stages[cuts].settings;
        let settings = epoch_settings(config.fit.as_ref(), &classes, window, HISTORY_S)?;
        let said = serde_json::to_value(&settings).unwrap_or_default();
        let unit = Unit {
            id: free(&config, EPOCHS),
            kind: "event",
            from: vec![samples, markers],
            lane: None,
            settings: said,
            place: config.path.display().to_string(),
            keys: Vec::new(),
            unit: settings.build().map_err(|e| e.at("[fit]"))?,
        };
        config.stages.push(unit);
        let epochs = Node::Stage(config.stages.len() - 1);
        Ok(Branch { config, epochs, markers, classes })
    }
}

impl Branch {
    /// Leaves out everything that the epochs do not need: nothing is decided.
    #[must_use]
    pub fn alone(mut self) -> Self {
        let mut needed = vec![false; self.config.stages.len()];
        if let Node::Stage(last) = self.epochs {
            needed[last] = true;
        }
        // A stage reads from earlier ones only.
        for i in (0..needed.len()).rev().filter(|i| needed[*i]).collect::<Vec<_>>() {
            mark_needed(&self.config, i, &mut needed);
        }
        let place = |node: Node| match node {
            Node::Stage(i) => Node::Stage(needed[..i].iter().filter(|n| **n).count()),
            source => source,
        };
        self.epochs = place(self.epochs);
        self.config.stages = keep(std::mem::take(&mut self.config.stages), &needed);
        for stage in &mut self.config.stages {
            stage.from.iter_mut().for_each(|node| *node = place(*node));
        }
        self.config.sinks.clear();
        self.config.deadline = Default::default();
        self.config.model = None;
        self
    }

    /// Lets everything that has to learn first keep silent.
    #[must_use]
    pub fn silent(mut self) -> Self {
        let config = &mut self.config;
        config.model = None;
        let mut silent = vec![false; config.stages.len()];
        for i in 0..silent.len() {
            let decides = |j: usize| decode::KINDS.iter().any(|k| k.name == config.stages[j].kind);
            let waits = |node: &Node| matches!(node, Node::Stage(j) if silent[*j] && !decides(*j));
            let waits = config.stages[i].from.iter().any(waits);
            let answers = decides(i);
            let stage = &mut config.stages[i];
            if !waits && stage.unit.fitted().is_none() {
                continue;
            }
            silent[i] = true;
            let promise = answers.then(|| (stage.settings.clone(), self.classes.names()));
            let realtime = stage.unit.realtime();
            stage.unit = Box::new(Silent { promise, realtime });
            // It does not go on when the stage itself comes.
            stage.settings = serde_json::Value::Null;
        }
        self
    }
}

/// Marks what stage `i` reads from, and what that does.
fn mark_needed(config: &Config, i: usize, needed: &mut [bool]) {
    for node in &config.stages[i].from {
        if let Node::Stage(before) = node
            && !std::mem::replace(&mut needed[*before], true)
        {
            mark_needed(config, *before, needed);
        }
    }
}

fn keep<T>(all: Vec<T>, which: &[bool]) -> Vec<T> {
    all.into_iter().zip(which).filter(|(_, kept)| **kept).map(|(item, _)| item).collect()
}

/// `name`, or `name` with as many lines behind as it takes to be the only one.
pub(crate) fn free(config: &Config, name: &str) -> String {
    let sources = config.sources.iter().map(|u| &u.id);
    let stages = config.stages.iter().map(|u| &u.id);
    let taken: Vec<&String> =
        sources.chain(stages).chain(config.sinks.iter().map(|u| &u.id)).collect();
    let mut id = name.to_owned();
    while taken.contains(&&id) {
        id.push('_');
    }
    id
}

fn no_markers() -> Error {
    Error::config(
        "live calibration needs the participant's cues, but the config has no source of markers: add\n\
         [[source]]\nkind = \"lsl\"\nid = \"markers\"\ntype = \"Markers\"",
    )
}

/// Stands where a stage will be once something is learned: takes its frames, says nothing.
struct Silent {
    /// Of a decoder, its settings and the classes.
    promise: Option<(serde_json::Value, Vec<String>)>,
    realtime: bool,
}

impl Stage for Silent {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = inputs.first().cloned().unwrap_or_else(Spec::markers);
        Ok(match &self.promise {
            Some((settings, classes)) => decode::promised(settings, input.rate_hz, classes.clone()),
            None => input,
        })
    }

    fn process(&mut self, _frame: &mut Frame, _emit: &mut dyn Emit) -> Result<(), Fault> {
        Ok(())
    }

    fn reset(&mut self) {}

    fn realtime(&self) -> bool {
        self.realtime
    }
}
