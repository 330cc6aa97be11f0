//! Stages: what is done to frames on their way.
//!
//! The families are folders, named after what goes in and what comes out:
//! `filter` samples to samples per channel, `spatial` samples to samples (or windows to windows) across channels,
//! `window` samples to windows, and vectors back to samples, `feature` window to matrix, vector, features of nodes or
//! a richer window, or samples to vectors,
//! `manifold` matrix to matrix or vector, `graph` features of nodes to graphs and what is made of
//! them, `embed` windows or vectors to embeddings, `retrieve` those to the items of a gallery that are like them,
//! `decode` any of these to scores.

use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::kind::Kind;
use crate::ledger::{Cause, Counters};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub mod decode;
pub mod embed;
pub mod feature;
pub mod filter;
pub mod graph;
pub mod live;
pub mod manifold;
pub mod retrieve;
pub mod spatial;
#[cfg(test)]
mod testing;
pub mod window;

/// One step of a pipeline. Each method says on which plane it runs.
pub trait Stage: Send {
    /// **Control.** Learns what comes in (one spec per `from`), allocates everything, says what
    /// goes out. May be called again with other specs; forgets the past.
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec>;

    /// **Data.** Takes one frame and emits none, one or many. No heap, no lock, no I/O, no panic.
    /// What is emitted may be overwritten by the receiver, so history is kept in the stage.
    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault>;

    /// **Data.** Forgets the past: the stage then behaves as newly prepared.
    fn reset(&mut self);

    /// **Data.** The stream is interrupted: samples are missing, or the stage could not process a frame.
    /// It forgets what rests on samples in a row. What it has learned of the session, if it adapts, it
    /// keeps: a lost packet makes the person no other.
    fn interrupt(&mut self) {
        self.reset();
    }

    /// **Control.** How long the stage delays what it passes on, in seconds (group delay at the
    /// centre of its band).
    fn delay_s(&self) -> f64 {
        0.0
    }

    /// **Control.** Gets its page of the ledger, before it runs, for what it wants to write down in words. What
    /// [`Stage::process`] counts goes through [`Emit::count`].
    fn account(&mut self, _page: &Arc<Counters>) {}

    /// **Control.** Whether it is quick enough for the real-time lane.
    fn realtime(&self) -> bool {
        true
    }

    /// **Control.** The files that it is made from, such as a network: when one of them changes, so does the stage.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// **Control.** What the stage sends if it may send its windows a step at a time (see
    /// [`Spec::hop`]); `None` if it cannot. Known after `prepare`.
    fn hops(&self) -> Option<Spec> {
        None
    }

    /// **Control.** Makes a stage with [`Stage::hops`] send its windows so, until it is prepared anew.
    fn send_hops(&mut self) {}

    /// **Control.** Whether the stage can take `windows`, which come a step at a time.
    fn takes_hops(&self, _windows: &Spec) -> Hops {
        Hops::Refused
    }

    /// **Control.** The part of the stage that learns from examples, if it has one. Such a stage is
    /// fitted or loaded before it is prepared.
    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        None
    }

    /// **Control.** The linear map that the stage begins with, if the stage before may take it over.
    fn linear(&mut self) -> Option<&mut dyn Linear> {
        None
    }

    /// **Control.** Sends, until it is prepared again, not its vectors but their products with each of
    /// the rows of `weights`, if that is less work. False if it goes on as before.
    fn absorb(&mut self, _weights: &[f64]) -> bool {
        false
    }
}

/// A stage that begins with products of the incoming vector with rows of weights. Where nothing else
/// sees the vector, the stage before may be able to find the products without it ([`Stage::absorb`]).
/// All on the control plane.
pub trait Linear {
    /// The rows of weights, one after the other.
    fn weights(&self) -> &[f64];

    /// From now on, until the stage is prepared again, the products come in place of the vector.
    fn hand_over(&mut self);
}

/// What a stage does with windows that come a step at a time.
#[derive(Debug, Clone, PartialEq)]
pub enum Hops {
    /// It wants whole windows.
    Refused,
    /// It takes them.
    Taken,
    /// It takes them, and sends on such windows itself; so they have to suit its readers.
    PassedOn(Spec),
}

/// Where a stage puts what it makes.
pub trait Emit {
    /// Passes `frame` on. Its contents are arbitrary afterwards.
    fn emit(&mut self, frame: &mut Frame);

    /// Adds `n` to the stage's entry for `cause` in the ledger.
    fn count(&mut self, cause: Cause, n: u64);
}

/// Why a stage could not process a frame: a fixed text, so that the data plane need not format one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault(pub &'static str);

/// What a stage that learns can do, all on the control plane.
pub trait Fitted {
    /// Learns from labelled frames.
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()>;

    /// What the examples that it has just been fitted on become on their way to the next stage, where
    /// that is not what [`Stage::process`] makes of a new frame.
    fn fitted_examples(&mut self) -> Option<Vec<Frame>> {
        None
    }

    /// Fits anew only what ties the stage to one session, on labelled frames of another one, and leaves
    /// alone what the stages behind rest on. False if there is nothing of that kind. What the frames
    /// become is asked for as after [`Fitted::fit`].
    fn refit(&mut self, _examples: &Examples<'_>) -> Result<bool> {
        Ok(false)
    }

    /// Where what moves while the stage runs can be read, if anything does. Asked for once it is
    /// prepared; the arrays belong into its [`Part`].
    fn live(&mut self) -> Option<live::LiveReader> {
        None
    }

    /// What was learned. An error if nothing was.
    fn save(&self) -> Result<Part>;

    /// Takes over what was learned earlier; checks shapes and finite numbers.
    fn load(&mut self, part: &Part) -> Result<()>;
}

/// Labelled frames to learn from.
#[derive(Debug, Clone, Copy)]
pub struct Examples<'a> {
    /// The frames.
    pub frames: &'a [Frame],
    /// The class of each frame, as an index into `classes`.
    pub labels: &'a [usize],
    /// Class names.
    pub classes: &'a [String],
    /// The recording that each frame comes from, counted from 0; empty where all come from one.
    pub groups: &'a [usize],
    /// How much each frame counts; empty where all count alike.
    pub weights: &'a [f64],
}

impl<'a> Examples<'a> {
    /// Examples of one recording that all count alike.
    pub fn new(frames: &'a [Frame], labels: &'a [usize], classes: &'a [String]) -> Self {
        Self { frames, labels, classes, groups: &[], weights: &[] }
    }

    /// The recording of example `i`.
    pub fn group(&self, i: usize) -> usize {
        self.groups.get(i).copied().unwrap_or_default()
    }
}

/// What one stage learned: a piece of a model file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Part {
    /// Named arrays.
    pub tensors: BTreeMap<String, Tensor>,
    /// Class names, for decoders.
    pub classes: Vec<String>,
}

/// A dense array, last axis fastest.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// The numbers.
    pub data: Vec<f64>,
}

impl Part {
    /// The array `name`, checked to have `rank` axes and only finite numbers.
    pub fn tensor(&self, name: &str, rank: usize) -> Result<&Tensor> {
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| Error::mismatch(format!("the model has no array `{name}`")))?;
        if tensor.shape.len() != rank || tensor.shape.iter().product::<usize>() != tensor.data.len()
        {
            return Err(Error::mismatch(format!(
                "the model's array `{name}` has shape {:?}, expected {rank} axes",
                tensor.shape
            )));
        }
        if tensor.data.iter().any(|v| !v.is_finite()) {
            return Err(Error::mismatch(format!(
                "the model's array `{name}` holds numbers that are not finite"
            )));
        }
        Ok(tensor)
    }
}

/// Every kind of stage, family by family.
pub fn kinds() -> impl Iterator<Item = &'static Kind<dyn Stage>> + Clone {
    [
        filter::KINDS,
        spatial::KINDS,
        window::KINDS,
        feature::KINDS,
        manifold::KINDS,
        graph::KINDS,
        embed::KINDS,
        decode::KINDS,
        retrieve::KINDS,
    ]
    .into_iter()
    .flatten()
}

/// The only input of a stage that takes one, checked to be of one of the `wanted` payloads.
pub fn single<'a>(inputs: &'a [Spec], wanted: &[Payload]) -> Result<&'a Spec> {
    match inputs {
        [spec] if wanted.contains(&spec.payload) => Ok(spec),
        [spec] => Err(Error::mismatch(format!(
            "takes {}, but is given {}",
            names(wanted),
            names(&[spec.payload])
        ))),
        _ => Err(Error::mismatch(format!("takes one input, but is given {}", inputs.len()))),
    }
}

/// Like [`single`], and the stream must have a sampling rate.
pub fn regular<'a>(inputs: &'a [Spec], wanted: &[Payload]) -> Result<&'a Spec> {
    let spec = single(inputs, wanted)?;
    if spec.rate_hz > 0.0 && spec.rate_hz.is_finite() {
        return Ok(spec);
    }
    Err(Error::mismatch("takes a stream with a sampling rate, but is given an irregular one"))
}

fn names(payloads: &[Payload]) -> String {
    let names: Vec<_> = payloads.iter().map(|p| format!("{p:?}").to_lowercase()).collect();
    names.join(" or ")
}
