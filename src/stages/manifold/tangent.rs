//! Matrix to vector: the tangent space at a reference.
//!
//! In: a symmetric positive definite matrix C, n x n. Out: n(n+1)/2 numbers, the upper triangle, row
//! by row, of log(M^-1/2 C M^-1/2) with the entries off the diagonal times sqrt(2). The reference M
//! is the affine-invariant mean of the training matrices ([`crate::math::spd`]). No delay.
//! Reference: Barachant et al., Neurocomputing 112 (2013).

use super::{check_size, mean_of, not_fitted};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::math::spd::{Spd, tangent_len};
use crate::stages::{Emit, Fault, Fitted, Part, Stage, Tensor, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tangent space: unrolls covariance matrices around their mean into plain feature vectors, which
/// linear decoders can use. Learns the mean from a recording (`saltatory fit`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "";

    fn build(self) -> Result<Box<dyn Stage>> {
        Ok(Box::new(Tangent {
            reference: Vec::new(),
            n: 0,
            spd: None,
            whitener: Vec::new(),
            out: Spec::markers().frame(),
        }))
    }
}

struct Tangent {
    /// Empty until something was learned.
    reference: Vec<f64>,
    n: usize,
    spd: Option<Spd>,
    /// The inverse square root of the reference.
    whitener: Vec<f64>,
    out: Frame,
}

impl Stage for Tangent {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = single(inputs, &[Payload::Matrix])?;
        if self.reference.is_empty() {
            return Err(not_fitted());
        }
        let n = self.n;
        check_size(input, n)?;
        let mut spd = Spd::new(n);
        self.whitener = vec![0.0; n * n];
        spd.inverse_sqrt(&self.reference, &mut self.whitener)
            .map_err(|e| Error::mismatch(format!("the reference matrix {e}")))?;
        self.spd = Some(spd);
        let spec = Spec {
            payload: Payload::Vector,
            rows: 1,
            cols: tangent_len(n),
            rate_hz: input.rate_hz,
            ..Spec::markers()
        };
        self.out = spec.frame();
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let spd = self.spd.as_mut().ok_or(Fault("nothing has been learned yet"))?;
        self.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            self.out.resize(0, tangent_len(self.n));
        } else if frame.data.len() == self.whitener.len() {
            self.out.resize(1, tangent_len(self.n));
            spd.tangent(&self.whitener, &frame.data, &mut self.out.data)?;
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

impl Fitted for Tangent {
    fn fit(&mut self, x: &[Frame], _y: &[usize], _classes: &[String]) -> Result<()> {
        self.reference = mean_of(&x.iter().collect::<Vec<_>>())?;
        self.n = x[0].rows;
        Ok(())
    }

    fn save(&self) -> Result<Part> {
        if self.reference.is_empty() {
            return Err(not_fitted());
        }
        let reference = Tensor { shape: vec![self.n, self.n], data: self.reference.clone() };
        Ok(Part { tensors: [("reference".to_string(), reference)].into(), classes: Vec::new() })
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        let reference = part.tensor("reference", 2)?;
        if reference.shape[0] == 0 || reference.shape[0] != reference.shape[1] {
            return Err(Error::mismatch(format!(
                "the model's array `reference` has shape {:?}, expected a square matrix",
                reference.shape
            )));
        }
        self.n = reference.shape[0];
        self.reference = reference.data.clone();
        Ok(())
    }
}
