//! Vector to scores: linear discriminant analysis.
//!
//! In: one row of p numbers. Out: one probability per class. Formula and reference:
//! [`crate::math::lda`]. No delay.

use super::DecoderStage;
use super::linear::{Learn, LinearDecoder};
use crate::error::{Error, Result};
use crate::math::lda;
use crate::math::logistic::Logistic;
use crate::stages::Stage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Linear discriminant analysis: takes each class for a cloud of the same shape around its mean. Needs
/// few examples and has nothing to tune. Learns from a recording (`saltatory fit`).
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How far the shape of the clouds is drawn towards a ball, which suits few examples or many
    /// features: "auto" finds it by the formula of Ledoit and Wolf, "none" leaves it, or a number from 0
    /// to 1.
    pub shrinkage: Shrinkage,
    /// When set, what lies farther from every class than this is answered by one more class, `none`:
    /// standard deviations of the logarithm of the distance of the class's examples to its centre. 2
    /// or 3 is usual.
    pub reject: Option<f64>,
}

/// A share: found from the examples, none, or given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected \"auto\", \"none\" or a number from 0 to 1")]
pub enum Shrinkage {
    /// Found, or none.
    Named(Named),
    /// Given.
    Number(f64),
}

/// The name of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Named {
    /// Found by the formula of Ledoit and Wolf.
    Auto,
    /// Zero.
    None,
}

impl Default for Settings {
    fn default() -> Self {
        Self { shrinkage: Shrinkage::Named(Named::Auto), reject: None }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "shrinkage = \"auto\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if let Shrinkage::Number(share) = self.shrinkage
            && !(0.0..=1.0).contains(&share)
        {
            return Err(Error::setting("shrinkage", format!("is {share}, expected 0 to 1")));
        }
        Ok(Box::new(DecoderStage::new(LinearDecoder::new(self)).rejecting(self.reject)?))
    }
}

impl Learn for Settings {
    fn learn(&self, x: &[&[f64]], y: &[usize], classes: usize) -> Result<Logistic> {
        let shrinkage = match self.shrinkage {
            Shrinkage::Named(Named::Auto) => lda::Shrinkage::Auto,
            Shrinkage::Named(Named::None) => lda::Shrinkage::Share(0.0),
            Shrinkage::Number(share) => lda::Shrinkage::Share(share),
        };
        lda::fit(x, y, classes, shrinkage)
    }
}
