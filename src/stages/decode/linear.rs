//! What decoders have in common whose probabilities come from weighted sums of the features.
//!
//! In: one row of p numbers x. Out: with two classes 1 / (1 + exp(-(w x + b))) for the second, with more
//! the softmax of w_k x + b_k. The decoders differ in how weights w and intercepts b are learned. No delay.

use super::{Decoder, check_alike, check_labels, check_width, finite};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::math::logistic::Logistic;
use crate::stages::manifold::not_fitted;
use crate::stages::{Examples, Fault, Fitted, Part, Tensor};

/// How the weights are found.
pub trait Learn: Send {
    /// Finds weights for examples `x` with class indices `y` below `classes`.
    fn learn(&self, x: &[&[f64]], y: &[usize], classes: usize) -> Result<Logistic>;
}

/// A linear decoder.
pub struct LinearDecoder<L> {
    how: L,
    model: Option<Logistic>,
    classes: Vec<String>,
}

impl<L> LinearDecoder<L> {
    /// A decoder that has learned nothing yet.
    pub fn new(how: L) -> Self {
        Self { how, model: None, classes: Vec::new() }
    }
}

impl<L: Learn> Decoder for LinearDecoder<L> {
    fn takes(&self) -> &'static [Payload] {
        &[Payload::Vector]
    }

    fn prepare(&mut self, input: &Spec) -> Result<()> {
        let model = self.model.as_ref().ok_or_else(not_fitted)?;
        check_width(input, model.coef.len() / model.intercept.len())
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn scores(&mut self, x: &Frame, out: &mut [f64]) -> Result<(), Fault> {
        let model = self.model.as_ref().ok_or(Fault("nothing has been learned yet"))?;
        model.probabilities(&x.data, out);
        finite(out)
    }

    fn weights(&self) -> &[f64] {
        self.model.as_ref().map_or(&[], |model| &model.coef)
    }

    fn scores_of_products(&mut self, products: &[f64], out: &mut [f64]) -> Result<(), Fault> {
        let model = self.model.as_ref().ok_or(Fault("nothing has been learned yet"))?;
        model.probabilities_of_products(products, out);
        finite(out)
    }

    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        Some(self)
    }
}

impl<L: Learn> Fitted for LinearDecoder<L> {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        check_labels(examples)?;
        check_alike(examples)?;
        let Examples { frames: x, labels: y, classes, .. } = *examples;
        let rows: Vec<&[f64]> = x.iter().map(|f| f.data.as_slice()).collect();
        self.model = Some(self.how.learn(&rows, y, classes.len())?);
        self.classes = classes.to_vec();
        Ok(())
    }

    fn save(&self) -> Result<Part> {
        let model = self.model.as_ref().ok_or_else(not_fitted)?;
        let rows = model.intercept.len();
        let coef = Tensor { shape: vec![rows, model.coef.len() / rows], data: model.coef.clone() };
        let intercept = Tensor { shape: vec![rows], data: model.intercept.clone() };
        Ok(Part {
            tensors: [("coef".to_string(), coef), ("intercept".to_string(), intercept)].into(),
            classes: self.classes.clone(),
        })
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        let (coef, intercept) = (part.tensor("coef", 2)?, part.tensor("intercept", 1)?);
        let rows = match part.classes.len() {
            2 => 1,
            count => count,
        };
        if part.classes.len() < 2
            || coef.shape[0] != rows
            || coef.shape[1] == 0
            || intercept.data.len() != rows
        {
            return Err(Error::mismatch(format!(
                "the model has {} classes, weights of shape {:?} and {} intercepts, which do not fit",
                part.classes.len(),
                coef.shape,
                intercept.data.len()
            )));
        }
        self.model = Some(Logistic { coef: coef.data.clone(), intercept: intercept.data.clone() });
        self.classes = part.classes.clone();
        Ok(())
    }
}
