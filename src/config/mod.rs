//! A config file: which sources, stages and sinks there are and how they hang together.
//!
//! In: TOML text and `--set` overrides. Out: units, made and connected, or every error with its
//! place. `parse` reads the file, `overrides` the command line, `graph` prepares the units and
//! finds what does not fit.

mod contract;
mod graph;
mod overrides;
mod parse;
mod tune;

pub use contract::{Deadline, Placement, Realtime, Wait};
pub use graph::{spec_of, within};
pub use parse::{load, parse, parse_compared, text};
pub use tune::{Method, Tune};

use crate::error::Error;
use crate::sinks::Sink;
use crate::sources::Source;
use crate::stages::Stage;
use crate::stages::window::classes::Classes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A whole config: every unit built, nothing opened or prepared yet.
pub struct Config {
    /// The file it came from.
    pub path: PathBuf,
    /// The model that fitted stages load, relative to the working directory.
    pub model: Option<PathBuf>,
    /// What happens to the memory of stages when samples are missing.
    pub on_gap: OnGap,
    /// What is promised.
    pub deadline: Deadline,
    /// What the lane asks of the machine.
    pub realtime: Realtime,
    /// How epochs are cut for calibration.
    pub fit: Option<Fit>,
    /// What is searched for when it is tuned.
    pub tune: Option<Tune>,
    /// Names of the pipelines to evaluate beside it.
    pub compare: Vec<String>,
    /// The sources, in the order of the file.
    pub sources: Vec<Unit<dyn Source>>,
    /// The stages, in the order of the file.
    pub stages: Vec<Unit<dyn Stage>>,
    /// The sinks, in the order of the file.
    pub sinks: Vec<Unit<dyn Sink>>,
}

/// What happens to the memory of the stages when samples are missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnGap {
    /// Filters and windows start anew, so that no decision mixes samples from both sides.
    #[default]
    Reset,
    /// They go on as if nothing were missing.
    Bridge,
}

/// One source, stage or sink in its place.
pub struct Unit<T: ?Sized> {
    /// Its name in this config.
    pub id: String,
    /// Its kind, which is its name in the lists.
    pub kind: &'static str,
    /// Where its input comes from; empty for sources.
    pub from: Vec<Node>,
    /// On which lane it runs, where the config says so.
    pub lane: Option<Placement>,
    /// Every setting with defaults filled in.
    pub settings: serde_json::Value,
    /// Where it stands: file, line and column.
    pub place: String,
    /// Where each of its keys stands, and the value that was seen there.
    pub keys: Vec<Key>,
    /// The unit.
    pub unit: Box<T>,
}

/// A key of a unit in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// File, line and column of its value.
    pub place: String,
    /// Its value as written, shortened to one line.
    pub seen: String,
}

/// A place in the graph that frames come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// Source number i.
    Source(usize),
    /// Stage number i.
    Stage(usize),
}

/// The `[fit]` table: how `fit` and `evaluate` cut labelled epochs where the running pipeline has
/// sliding windows. Not needed when the pipeline has an `event` stage.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// Class names and the marker texts that stand for them, such as `left = "T1"`.
    pub classes: Classes,
    /// Start of the epoch relative to its marker, in seconds.
    #[serde(default)]
    pub start_s: f64,
    /// Length of the epoch in seconds; the length of the window stage when left out.
    #[serde(default)]
    pub length_s: Option<f64>,
    /// The class that stands for doing nothing, where `evaluate --protocol pseudo-online` counts false
    /// activations.
    #[serde(default)]
    pub idle: Option<String>,
}

impl<T: ?Sized> Unit<T> {
    /// Adds to `error` where it happened: at the key that it names, else at the unit.
    pub fn blame(&self, error: Error) -> Error {
        let key = error.key().and_then(|name| self.keys.iter().find(|k| k.name == name));
        match (key, error.key().map(str::to_owned)) {
            (Some(key), _) => error.at(key),
            (None, Some(name)) => error.at(format_args!("{}: key `{name}`", self.place)),
            (None, None) => error.at(&self.place),
        }
    }
}

impl Unit<dyn Stage> {
    /// Whether it is too slow for the real-time lane, as the config says or else the stage itself.
    pub fn is_slow(&self) -> bool {
        match self.lane {
            Some(placement) => placement == Placement::Worker,
            None => !self.unit.realtime(),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: key `{}` = {}", self.place, self.name, self.seen)
    }
}

impl Config {
    /// The id of a node.
    pub fn id(&self, node: Node) -> &str {
        match node {
            Node::Source(i) => &self.sources[i].id,
            Node::Stage(i) => &self.stages[i].id,
        }
    }

    /// The classes that the pipeline decides between, with their marker texts, if they are named.
    pub fn classes(&self) -> Option<Classes> {
        let event = self.stages.iter().find(|s| s.kind == "event");
        let from_stage = event.and_then(|s| s.settings.get("classes").cloned());
        from_stage
            .and_then(|value| serde_json::from_value(value).ok())
            .or_else(|| self.fit.as_ref().map(|f| f.classes.clone()))
    }
}
