//! Class means that move: a decoder that learns from its own decisions.
//!
//! After a decision that is sure enough, the mean of the decided class takes a step towards the window
//! ([`crate::stages::manifold::moving`]), unless the window is flagged BAD or unusually far from that
//! mean. Nobody tells it when it is wrong, so it can run away: see docs/adaptation.md.

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::math::spd::{Geometry, Reference};
use crate::stages::live::LiveWriter;
use crate::stages::manifold::moving::{Moving, Rule};

/// The class means of a decoder, on the move.
pub(super) struct Adapting {
    /// The least probability of a decision that is learned from.
    confidence: f64,
    means: Vec<Moving>,
    /// All means, one after the other.
    all: Vec<f64>,
    /// What was decided last, and how probable it is.
    decided: (usize, f64),
    moved: bool,
    pub watched: Option<LiveWriter>,
}

/// Checks `confidence`.
pub(super) fn check_confidence(confidence: f64) -> Result<()> {
    if (0.5..=1.0).contains(&confidence) {
        return Ok(());
    }
    let text = format!("is {confidence}, expected a probability from 0.5 to 1");
    Err(Error::setting("confidence", text))
}

impl Adapting {
    /// Means that start at `means`, one n x n matrix after the other. Allocates.
    pub fn new(rule: Rule, confidence: f64, rate_hz: f64, n: usize, means: &[f64]) -> Self {
        // What was learned from labels counts for ever so much: no window is worth as much as the start.
        let seen_s = f64::INFINITY;
        let moving = |mean: &[f64]| Moving::new(rule, rate_hz, n, mean.to_vec(), seen_s);
        Self {
            confidence,
            means: means.chunks_exact(n * n).map(moving).collect(),
            all: means.to_vec(),
            decided: (0, 0.0),
            moved: false,
            watched: None,
        }
    }

    /// **Data.** Remembers that class `k` was decided for.
    pub fn decided(&mut self, k: usize, probability: f64) {
        self.decided = (k, probability);
    }

    /// **Data.** Learns from the window that was decided on last. Says whether it did; `None` if the
    /// decision was not sure enough.
    pub fn learn(
        &mut self,
        window: &Frame,
        geometry: &mut Geometry,
        references: &mut [Reference],
    ) -> Option<bool> {
        let (k, probability) = self.decided;
        let (mean, reference) = (self.means.get_mut(k)?, references.get_mut(k)?);
        if probability < self.confidence {
            return None;
        }
        let moved = mean.learn(window).unwrap_or(false);
        if moved && geometry.follow(reference, mean.matrix()).is_ok() {
            let len = mean.matrix().len();
            self.all[k * len..(k + 1) * len].copy_from_slice(mean.matrix());
            self.moved = true;
            if let Some(watched) = &mut self.watched {
                watched.send(&[&self.all]);
            }
        }
        Some(moved)
    }

    /// **Data.** Back to the start.
    pub fn reset(&mut self, geometry: &mut Geometry, references: &mut [Reference]) {
        let places = self.all.chunks_exact_mut(self.means[0].matrix().len());
        for ((mean, reference), to) in self.means.iter_mut().zip(references).zip(places) {
            mean.reset();
            to.copy_from_slice(mean.matrix());
            // It was positive definite when it was prepared.
            let _ = geometry.follow(reference, mean.matrix());
        }
        self.moved = false;
    }

    /// All means, one after the other, if they have moved.
    pub fn moved(&self) -> Option<&[f64]> {
        self.moved.then_some(&self.all)
    }
}
