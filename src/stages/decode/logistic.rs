//! Vector to scores: multinomial logistic regression.
//!
//! In: one row of p numbers. Out: one probability per class. Formulas and references:
//! [`crate::math::logistic`] for the L2 penalty, [`crate::math::elastic`] for the elastic net. No delay.

use super::DecoderStage;
use super::linear::{Learn, LinearDecoder};
use crate::error::{Error, Result};
use crate::math::elastic;
use crate::math::logistic::Logistic;
use crate::stages::Stage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Logistic regression: a linear decoder of feature vectors that gives calibrated probabilities.
/// Learns from a recording (`saltatory fit`).
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Inverse strength of the regularisation: smaller keeps the weights smaller, which suits few
    /// examples or many features.
    pub c: f64,
    /// What keeps the weights small.
    pub penalty: Penalty,
    /// For `elastic`: the share of the penalty that falls on the sum of the absolute weights, 0 to 1. The
    /// larger, the more weights are exactly zero.
    pub l1_ratio: f64,
    /// When set, what lies farther from every class than this is answered by one more class, `none`:
    /// standard deviations of the logarithm of the distance of the class's examples to its centre. 2
    /// or 3 is usual.
    pub reject: Option<f64>,
}

/// What keeps the weights small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Penalty {
    /// Their squares.
    L2,
    /// Their squares and their absolute values, which leaves most of them zero.
    Elastic,
}

impl Default for Settings {
    fn default() -> Self {
        Self { c: 1.0, penalty: Penalty::L2, l1_ratio: 0.5, reject: None }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "c = 1.0\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if !(self.c > 0.0 && self.c.is_finite()) {
            return Err(Error::setting("c", format!("is {}, expected a positive number", self.c)));
        }
        if !(0.0..=1.0).contains(&self.l1_ratio) {
            return Err(Error::setting(
                "l1_ratio",
                format!("is {}, expected 0 to 1", self.l1_ratio),
            ));
        }
        Ok(Box::new(DecoderStage::new(LinearDecoder::new(self)).rejecting(self.reject)?))
    }
}

impl Learn for Settings {
    fn learn(&self, x: &[&[f64]], y: &[usize], classes: usize) -> Result<Logistic> {
        match self.penalty {
            Penalty::L2 => Logistic::fit(x, y, classes, self.c),
            Penalty::Elastic => elastic::fit(x, y, classes, self.c, self.l1_ratio),
        }
    }
}
