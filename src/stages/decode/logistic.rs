//! Vector to scores: multinomial logistic regression with an L2 penalty.
//!
//! In: one row of p numbers. Out: one probability per class. Formula and reference:
//! [`crate::math::logistic`]. No delay.

use super::{Decoder, DecoderStage, check_labels};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::math::logistic::Logistic;
use crate::stages::manifold::not_fitted;
use crate::stages::{Examples, Fault, Fitted, Part, Stage, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Logistic regression: a linear decoder of feature vectors that gives calibrated probabilities.
/// Learns from a recording (`saltatory fit`).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Inverse strength of the regularisation: smaller keeps the weights smaller, which suits few
    /// examples or many features.
    pub c: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { c: 1.0 }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "c = 1.0\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if !(self.c > 0.0 && self.c.is_finite()) {
            return Err(Error::setting("c", format!("is {}, expected a positive number", self.c)));
        }
        let decoder = Regression { c: self.c, model: None, classes: Vec::new() };
        Ok(Box::new(DecoderStage::new(decoder)))
    }
}

struct Regression {
    c: f64,
    model: Option<Logistic>,
    classes: Vec<String>,
}

impl Decoder for Regression {
    fn takes(&self) -> &'static [Payload] {
        &[Payload::Vector]
    }

    fn prepare(&mut self, input: &Spec) -> Result<()> {
        let model = self.model.as_ref().ok_or_else(not_fitted)?;
        let learned = model.coef.len() / model.intercept.len();
        if learned != input.cols {
            return Err(Error::mismatch(format!(
                "was fitted to vectors of {learned} numbers, but is given {}",
                input.cols
            )));
        }
        Ok(())
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

fn finite(probabilities: &[f64]) -> Result<(), Fault> {
    if probabilities.iter().all(|p| p.is_finite()) {
        Ok(())
    } else {
        Err(Fault("the features hold numbers that are not finite"))
    }
}

impl Fitted for Regression {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        check_labels(examples)?;
        let Examples { frames: x, labels: y, classes, .. } = *examples;
        let rows: Vec<&[f64]> = x.iter().map(|f| f.data.as_slice()).collect();
        self.model = Some(Logistic::fit(&rows, y, classes.len(), self.c)?);
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
