//! Augmented covariance to vector: the tangent space of block Toeplitz matrices.
//!
//! In: an augmented covariance of d x d blocks, each C x C. Out: C(C+1)/2 + (d-1) C^2 numbers, whose
//! Euclidean norm is the distance to the reference ([`crate::math::toeplitz::Toeplitz::tangent`]), the mean of
//! the training matrices, weighted where they have weights. No delay. Reference: Carrara et al., arXiv
//! 2406.16909.

use super::toeplitz::{block_size, load, save};
use super::{check_size, chosen, not_fitted};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::math::toeplitz::{Centre, Coordinates, Toeplitz};
use crate::stages::{Emit, Examples, Fault, Fitted, Part, Stage, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tangent space for augmented covariances, which it takes as the covariances of a stationary signal: a
/// vector about d times as short as that of `tangent`. Learns the mean from a recording (`saltatory fit`).
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
        Ok(Box::new(BtTangent {
            order: self.order,
            reference: None,
            ready: None,
            out: Spec::markers().frame(),
        }))
    }
}

struct BtTangent {
    order: usize,
    /// What was learned, and the size of a block.
    reference: Option<(Coordinates, usize)>,
    /// Once it is prepared.
    ready: Option<(Toeplitz, Centre)>,
    out: Frame,
}

impl BtTangent {
    fn learned(&self) -> Result<&(Coordinates, usize)> {
        self.reference.as_ref().ok_or_else(not_fitted)
    }
}

impl Stage for BtTangent {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = single(inputs, &[Payload::Matrix])?;
        let (reference, cols) = self.learned()?;
        check_size(input, self.order * cols)?;
        let mut toeplitz = Toeplitz::new(self.order, *cols);
        let centre = toeplitz.tangent_at(reference);
        let centre = centre.map_err(|e| Error::mismatch(format!("the reference matrix {e}")))?;
        let spec = Spec {
            payload: Payload::Vector,
            rows: 1,
            cols: toeplitz.tangent_len(),
            rate_hz: input.rate_hz,
            ..Spec::markers()
        };
        self.ready = Some((toeplitz, centre));
        self.out = spec.frame();
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let (toeplitz, centre) =
            self.ready.as_mut().ok_or(Fault("nothing has been learned yet"))?;
        self.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            self.out.resize(0, toeplitz.tangent_len());
        } else if frame.data.len() == toeplitz.matrix_len() {
            self.out.resize(1, toeplitz.tangent_len());
            toeplitz.tangent(centre, &frame.data, &mut self.out.data)?;
        } else {
            return Err(Fault("the frame has another shape than was promised"));
        }
        emit.emit(&mut self.out);
        Ok(())
    }

    fn reset(&mut self) {}

    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        Some(self)
    }
}

impl Fitted for BtTangent {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        let cols = block_size(examples, self.order)?;
        let (frames, weights) = chosen(examples, |_| true)?;
        let data: Vec<&[f64]> = frames.iter().map(|x| x.data.as_slice()).collect();
        let mean = Toeplitz::new(self.order, cols).mean(&data, weights.as_deref())?;
        self.reference = Some((mean, cols));
        Ok(())
    }

    fn save(&self) -> Result<Part> {
        let (reference, cols) = self.learned()?;
        Ok(save(std::slice::from_ref(reference), self.order, *cols, Vec::new()))
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        let (mut points, cols) = load(part, self.order)?;
        self.reference = points.pop().map(|reference| (reference, cols));
        Ok(())
    }
}
