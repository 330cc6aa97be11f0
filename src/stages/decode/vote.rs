//! Scores to scores: a decision smoothed over the last few.
//!
//! In and out: one probability per class. Mean: the mean of the last probabilities. Majority: the
//! share of the last decisions in which the class was the most probable (the first one of several).
//! Until enough decisions have come it uses those it has.

use super::argmax;
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::stages::{Emit, Fault, Stage, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most decisions that can be smoothed over.
const MAX_WINDOWS: usize = 10_000;

/// Steadier decisions: each one is taken from the last few, at the price of following a change later.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How many decisions count, the newest one included: 1 to 10000.
    pub windows: usize,
    /// How they are combined.
    pub mode: Mode,
}

/// How decisions are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The mean of the probabilities.
    Mean,
    /// The share of the decisions for each class.
    Majority,
}

impl Default for Settings {
    fn default() -> Self {
        Self { windows: 5, mode: Mode::Mean }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "windows = 5\nmode = \"mean\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if !(1..=MAX_WINDOWS).contains(&self.windows) {
            return Err(Error::setting(
                "windows",
                format!("is {}, expected 1 to {MAX_WINDOWS}", self.windows),
            ));
        }
        Ok(Box::new(Vote {
            settings: self,
            classes: 0,
            history: Vec::new(),
            next: 0,
            out: Spec::markers().frame(),
        }))
    }
}

struct Vote {
    settings: Settings,
    classes: usize,
    /// The ballots of the last decisions, one row each; a ring once it is full.
    history: Vec<f64>,
    /// Where in the ring the next ballot goes.
    next: usize,
    out: Frame,
}

impl Stage for Vote {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let spec = single(inputs, &[Payload::Scores])?;
        self.classes = spec.cols;
        self.history = Vec::with_capacity(self.settings.windows * spec.cols);
        self.next = 0;
        self.out = spec.frame();
        Ok(spec.clone())
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        self.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            self.out.resize(0, self.classes);
        } else if frame.data.len() == self.classes {
            if frame.data.iter().any(|p| !p.is_finite()) {
                return Err(Fault("the scores hold numbers that are not finite"));
            }
            self.cast(&mut frame.data);
            self.out.resize(1, self.classes);
            self.count();
        } else {
            return Err(Fault("the frame has another shape than was promised"));
        }
        emit.emit(&mut self.out);
        Ok(())
    }

    fn reset(&mut self) {
        self.history.clear();
        self.next = 0;
    }
}

impl Vote {
    /// Makes a ballot of `scores` and puts it in the place of the oldest.
    fn cast(&mut self, scores: &mut [f64]) {
        if self.settings.mode == Mode::Majority {
            let winner = argmax(scores);
            scores.fill(0.0);
            scores[winner] = 1.0;
        }
        if self.history.len() < self.settings.windows * self.classes {
            self.history.extend_from_slice(scores);
        } else {
            let start = self.next * self.classes;
            self.history[start..start + self.classes].copy_from_slice(scores);
            self.next = (self.next + 1) % self.settings.windows;
        }
    }

    /// Writes the mean of the ballots.
    fn count(&mut self) {
        let share = self.classes as f64 / self.history.len() as f64;
        self.out.data.fill(0.0);
        for ballot in self.history.chunks_exact(self.classes) {
            for (o, b) in self.out.data.iter_mut().zip(ballot) {
                *o += share * b;
            }
        }
    }
}
