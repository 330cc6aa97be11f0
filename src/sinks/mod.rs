//! Sinks: where decisions (or any frames) go.
//!
//! A sink runs on a thread of its own and may block; the ring in front of it absorbs the wait and
//! what does not fit is counted.

use crate::deadline::Health;
use crate::error::{Error, Result};
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::kind::{Kind, kind};
use crate::latency::Times;
use crate::ledger::{Counters, Ledger};
use serde::Serialize;
use std::sync::Arc;

pub mod jsonl;
pub mod lsl;
mod messages;
mod picture;
pub mod pictures;
mod scene;
pub mod terminal;
pub mod websocket;

/// Somewhere frames go.
pub trait Sink: Send {
    /// Connects or creates what it writes to. `inputs` holds one spec per `from`.
    fn open(&mut self, inputs: &[Spec], run: &RunFacts) -> Result<()>;

    /// Takes one frame; `delivery.frame.input` says from which of its inputs.
    fn write(&mut self, delivery: &Delivery) -> Result<()>;

    /// Whether each frame is to be written at once. Otherwise the lane does not wake the sink, which
    /// looks for itself every 100 ms or when its ring fills up: no time of the lane, and no thread in
    /// the way of those that are in a hurry.
    fn urgent(&self) -> bool {
        true
    }

    /// Called when nothing came for 100 ms and at least that often: for redrawing and flushing.
    fn idle(&mut self) -> Result<()> {
        Ok(())
    }

    /// Flushes and says goodbye. Called once, also after an error.
    fn close(&mut self) -> Result<()>;
}

/// What a sink may know of the run it belongs to.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// Ids of all stages, in the order of [`Delivery::stage_ns`].
    pub stages: Vec<String>,
    /// The ledger of the run.
    pub ledger: Ledger,
    /// The page of the sink that is told this.
    pub page: Arc<Counters>,
    /// How well the deadline is kept.
    pub health: Arc<Health>,
    /// How long the run will last, when that is known.
    pub for_s: Option<f64>,
    /// The events that are decoded: class name and marker text.
    pub classes: Vec<(String, Vec<String>)>,
}

/// A frame on its way to a sink, with what was measured when it left the pipeline.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The frame.
    pub frame: Frame,
    /// When it left the pipeline, seconds on the LSL clock.
    pub emitted_s: f64,
    /// Nanoseconds in each stage while the newest block was worked on.
    pub stage_ns: Vec<u64>,
    /// Whether samples come at the pace of a clock. When a recording is run as fast as the machine
    /// can, their times are those of the recording, and ages mean nothing.
    pub live: bool,
}

impl Delivery {
    /// An empty delivery with room for the largest frame of `spec`.
    pub fn with_room(spec: &Spec, stages: usize) -> Self {
        Self { frame: spec.frame(), emitted_s: 0.0, stage_ns: vec![0; stages], live: true }
    }

    /// From the arrival of the newest sample in this process to the end of the pipeline.
    pub fn engine_s(&self) -> f64 {
        self.emitted_s - self.frame.span.arrived_s
    }

    /// Age of the newest sample, where samples have an age.
    pub fn age_newest_s(&self) -> Option<f64> {
        self.live.then_some(self.emitted_s - self.frame.span.last_s)
    }

    /// Age of the oldest sample, where samples have an age.
    pub fn age_oldest_s(&self) -> Option<f64> {
        self.live.then_some(self.emitted_s - self.frame.span.first_s)
    }

    /// How long it took.
    pub fn times(&self) -> Times<'_> {
        Times {
            engine_s: self.engine_s(),
            age_newest_s: self.age_newest_s(),
            age_oldest_s: self.age_oldest_s(),
            stage_ns: &self.stage_ns,
        }
    }

    /// The class with the highest score; the first of equals.
    pub fn winner(&self) -> Option<usize> {
        let scores = &self.frame.data;
        (0..scores.len()).reduce(|best, i| if scores[i] > scores[best] { i } else { best })
    }
}

/// A decision in the form that JSON sinks and reports share. The format is documented in
/// `docs/formats.md` and stable.
#[derive(Debug, Clone, Serialize)]
pub struct Decision {
    /// The class with the highest score.
    pub label: String,
    /// Probability of each class.
    #[serde(serialize_with = "as_map")]
    pub scores: Vec<(String, f64)>,
    /// Index of the oldest sample that it rests on.
    pub first_sample: u64,
    /// Index of the newest sample that it rests on.
    pub last_sample: u64,
    /// Time of the newest sample, seconds on the LSL clock.
    pub time_s: f64,
    /// Age of the newest sample at emission, milliseconds; null where samples have no age.
    pub age_newest_ms: Option<f64>,
    /// Age of the oldest sample at emission, milliseconds; null where samples have no age.
    pub age_oldest_ms: Option<f64>,
    /// From arrival of the newest sample in the engine to emission, microseconds.
    pub engine_us: f64,
    /// Time in each stage, microseconds.
    #[serde(serialize_with = "as_map")]
    pub stages_us: Vec<(String, f64)>,
    /// Whether some of the samples were repaired or a stage failed.
    pub bad: bool,
    /// Whether it came after its deadline.
    pub late: bool,
    /// Whether the cheaper branch answered.
    pub degraded: bool,
    /// The first half of the SHA-256 of the network that made it, in hexadecimal; null if none did.
    pub model: Option<String>,
}

fn as_map<S: serde::Serializer>(pairs: &[(String, f64)], s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(pairs.iter().map(|(k, v)| (k, v)))
}

impl Decision {
    /// The decision in `delivery`, whose scores belong to `classes`.
    pub fn new(delivery: &Delivery, classes: &[String], stages: &[String]) -> Self {
        let frame = &delivery.frame;
        let name = |i: usize| classes.get(i).cloned().unwrap_or_default();
        Self {
            label: delivery.winner().map(name).unwrap_or_default(),
            scores: classes.iter().cloned().zip(frame.data.iter().copied()).collect(),
            first_sample: frame.span.first,
            last_sample: frame.span.last,
            time_s: frame.span.last_s,
            age_newest_ms: delivery.age_newest_s().map(|s| s * 1e3),
            age_oldest_ms: delivery.age_oldest_s().map(|s| s * 1e3),
            engine_us: delivery.engine_s() * 1e6,
            stages_us: stages
                .iter()
                .cloned()
                .zip(delivery.stage_ns.iter().map(|ns| *ns as f64 / 1e3))
                .collect(),
            bad: frame.flags.has(Flags::BAD),
            late: frame.flags.has(Flags::LATE),
            degraded: frame.flags.has(Flags::DEGRADED),
            model: (frame.model != 0).then(|| format!("{:032x}", frame.model)),
        }
    }
}

/// Which of a sink's inputs carry decisions, and between which classes. There are several where a
/// cheaper branch answers for a late one.
#[derive(Debug, Clone, Default)]
pub struct Deciding {
    inputs: Vec<bool>,
    /// The class names in the order of the scores.
    pub classes: Vec<String>,
}

impl Deciding {
    /// Finds them among `inputs`; there must be at least one, and all must know the same classes.
    pub fn of(inputs: &[Spec]) -> Result<Self> {
        let deciding = Self::if_any(inputs)?;
        match deciding.inputs.contains(&true) {
            true => Ok(deciding),
            false => {
                Err(Error::mismatch("takes the scores of a decoder, but none of its inputs is one"))
            }
        }
    }

    /// Finds them among `inputs`, if there are any; all must know the same classes.
    pub fn if_any(inputs: &[Spec]) -> Result<Self> {
        let mut scores = inputs.iter().filter(|s| s.payload == Payload::Scores);
        let Some(first) = scores.next() else { return Ok(Self::default()) };
        if let Some(other) = scores.find(|s| s.classes != first.classes) {
            return Err(Error::mismatch(format!(
                "takes decisions between {}, but another input decides between {}",
                first.classes.join(", "),
                other.classes.join(", ")
            )));
        }
        let inputs = inputs.iter().map(|s| s.payload == Payload::Scores).collect();
        Ok(Self { inputs, classes: first.classes.clone() })
    }

    /// Whether `frame` is a decision.
    pub fn has(&self, frame: &Frame) -> bool {
        self.inputs.get(frame.input).copied().unwrap_or_default()
    }
}

/// Every kind of sink.
pub const KINDS: &[Kind<dyn Sink>] = &[
    kind::<dyn Sink, jsonl::Settings>("jsonl"),
    kind::<dyn Sink, lsl::Settings>("lsl"),
    kind::<dyn Sink, pictures::Settings>("pictures"),
    kind::<dyn Sink, terminal::Settings>("terminal"),
    kind::<dyn Sink, websocket::Settings>("websocket"),
];
