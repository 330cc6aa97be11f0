//! Augmented covariance to scores: minimum distance to the class means among block Toeplitz matrices.
//!
//! In: an augmented covariance C of `order` x `order` blocks. Out: one probability per class k,
//! softmax_k(-distance(C, M_k)^2), M_k the mean of the training matrices of class k, weighted where they
//! have weights; mean and distance are those of [`crate::math::toeplitz`]: blocks averaged along the
//! diagonals, affine-invariant metric times Siegel disks. The largest matrix that is decomposed has the
//! size of a block. With `order` 1 it is `mdm`. No delay. Reference: Carrara et al., arXiv 2406.16909.

use super::{Decoder, DecoderStage, check_labels};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::math::logistic::softmax;
use crate::math::toeplitz::{Centre, Coordinates, Toeplitz};
use crate::stages::manifold::toeplitz::{block_size, load, save};
use crate::stages::manifold::{check_size, chosen, not_fitted};
use crate::stages::{Examples, Fault, Fitted, Part, Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Minimum distance to mean for augmented covariances, which it takes as the covariances of a stationary
/// signal: cheaper than `mdm` where there are many copies of many channels, and with less to learn. Learns
/// from a recording (`saltatory fit`).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many copies of the channels there are: the `order` of the stage `augmented`.
    pub order: usize,
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "order = 4\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if self.order == 0 {
            return Err(Error::setting("order", "order is 0, expected 1 or more"));
        }
        let mdm = BtMdm {
            order: self.order,
            classes: Vec::new(),
            means: Vec::new(),
            cols: 0,
            toeplitz: None,
            centres: Vec::new(),
        };
        Ok(Box::new(DecoderStage::new(mdm)))
    }
}

struct BtMdm {
    order: usize,
    classes: Vec<String>,
    /// Empty until something was learned.
    means: Vec<Coordinates>,
    /// The size of a block.
    cols: usize,
    toeplitz: Option<Toeplitz>,
    /// The means as the distances need them.
    centres: Vec<Centre>,
}

impl Decoder for BtMdm {
    fn takes(&self) -> &'static [Payload] {
        &[Payload::Matrix]
    }

    fn prepare(&mut self, input: &Spec) -> Result<()> {
        if self.means.is_empty() {
            return Err(not_fitted());
        }
        check_size(input, self.order * self.cols)?;
        let mut toeplitz = Toeplitz::new(self.order, self.cols);
        let centre = |(mean, class): (&Coordinates, &String)| {
            let failed = |e| Error::mismatch(format!("the mean of class `{class}` {e}"));
            toeplitz.centre(mean).map_err(failed)
        };
        self.centres = self.means.iter().zip(&self.classes).map(centre).collect::<Result<_>>()?;
        self.toeplitz = Some(toeplitz);
        Ok(())
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn scores(&mut self, x: &Frame, out: &mut [f64]) -> Result<(), Fault> {
        let toeplitz = self.toeplitz.as_mut().ok_or(Fault("nothing has been learned yet"))?;
        toeplitz.distances_squared(&x.data, &self.centres, out)?;
        out.iter_mut().for_each(|d| *d = -*d);
        softmax(out);
        Ok(())
    }

    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        Some(self)
    }
}

impl Fitted for BtMdm {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        check_labels(examples)?;
        let cols = block_size(examples, self.order)?;
        let mut toeplitz = Toeplitz::new(self.order, cols);
        let mut mean = |(k, class): (usize, &String)| {
            let (frames, weights) = chosen(examples, |i| examples.labels[i] == k)?;
            let data: Vec<&[f64]> = frames.iter().map(|x| x.data.as_slice()).collect();
            let mean = toeplitz.mean(&data, weights.as_deref());
            mean.map_err(|e| e.at(format!("class `{class}`")))
        };
        self.means = examples.classes.iter().enumerate().map(&mut mean).collect::<Result<_>>()?;
        self.cols = cols;
        self.classes = examples.classes.to_vec();
        Ok(())
    }

    fn save(&self) -> Result<Part> {
        if self.means.is_empty() {
            return Err(not_fitted());
        }
        Ok(save(&self.means, self.order, self.cols, self.classes.clone()))
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        let (means, cols) = load(part, self.order)?;
        if means.len() < 2 || means.len() != part.classes.len() {
            return Err(Error::mismatch(format!(
                "the model has {} classes and {} means, which do not fit",
                part.classes.len(),
                means.len()
            )));
        }
        (self.means, self.cols, self.classes) = (means, cols, part.classes.clone());
        Ok(())
    }
}
