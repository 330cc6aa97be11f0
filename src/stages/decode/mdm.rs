//! Matrix to scores: minimum distance to the class means.
//!
//! In: a symmetric positive definite matrix C, n x n. Out: one probability per class k,
//! softmax_k(-distance(C, M_k)^2), M_k the mean of the training matrices of class k, weighted where they
//! have weights; mean and distance are affine-invariant ([`crate::math::spd`]) or those of another
//! metric ([`crate::math::spd::Metric`]). No delay.
//! Reference: Barachant et al., IEEE Trans. Biomed. Eng. 59 (2012).

use super::{Decoder, DecoderStage, check_labels, nearness};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::math::spd::{Geometry, Metric, Reference};
use crate::stages::manifold::{check_size, mean_of, not_fitted};
use crate::stages::{Examples, Fault, Fitted, Part, Stage, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Minimum distance to mean: a covariance matrix belongs to the class whose mean covariance is the
/// nearest, on the manifold of such matrices. Needs few examples and has nothing to tune. Learns
/// from a recording (`saltatory fit`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The metric of means and distances. Only with `riemann`, `logeuclid` and `logdet` do the
    /// probabilities not depend on the unit of the signals.
    #[serde(default)]
    pub metric: Metric,
    /// When set, what lies farther from every class than this is answered by one more class, `none`:
    /// standard deviations of the logarithm of the distance of the class's examples to its centre. 2
    /// or 3 is usual.
    pub reject: Option<f64>,
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "metric = \"riemann\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        let mdm = Mdm { metric: self.metric, ..Mdm::default() };
        Ok(Box::new(DecoderStage::new(mdm).rejecting(self.reject)?))
    }
}

#[derive(Default)]
struct Mdm {
    metric: Metric,
    classes: Vec<String>,
    /// One mean after the other; empty until something was learned.
    means: Vec<f64>,
    n: usize,
    geometry: Option<Geometry>,
    /// The means as the distances need them.
    references: Vec<Reference>,
}

impl Decoder for Mdm {
    fn takes(&self) -> &'static [Payload] {
        &[Payload::Matrix]
    }

    fn prepare(&mut self, input: &Spec) -> Result<()> {
        if self.means.is_empty() {
            return Err(not_fitted());
        }
        let n = self.n;
        check_size(input, n)?;
        let mut geometry = Geometry::new(self.metric, n);
        let means = self.means.chunks_exact(n * n).zip(&self.classes);
        let reference = |(mean, class): (&[f64], &String)| {
            let failed = |e| Error::mismatch(format!("the mean of class `{class}` {e}"));
            geometry.reference(mean).map_err(failed)
        };
        self.references = means.map(reference).collect::<Result<_>>()?;
        self.geometry = Some(geometry);
        Ok(())
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn scores(&mut self, x: &Frame, out: &mut [f64]) -> Result<(), Fault> {
        self.measure(x, out)?;
        nearness(out);
        Ok(())
    }

    fn distances(&mut self, x: &Frame, out: &mut [f64]) -> Option<Result<(), Fault>> {
        Some(self.measure(x, out))
    }

    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        Some(self)
    }
}

impl Mdm {
    /// The distances to the means.
    fn measure(&mut self, x: &Frame, out: &mut [f64]) -> Result<(), Fault> {
        let geometry = self.geometry.as_mut().ok_or(Fault("nothing has been learned yet"))?;
        Ok(geometry.distances(&x.data, &self.references, out)?)
    }
}

impl Fitted for Mdm {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        check_labels(examples)?;
        let Examples { frames: x, labels: y, classes, .. } = *examples;
        let mut means = Vec::new();
        for (k, class) in classes.iter().enumerate() {
            let mean = mean_of(self.metric, examples, |i| y[i] == k);
            means.extend(mean.map_err(|e| e.at(format!("class `{class}`")))?);
        }
        self.n = x[0].rows;
        if means.len() != classes.len() * self.n * self.n {
            return Err(Error::mismatch("the matrices of the classes differ in size"));
        }
        self.means = means;
        self.classes = classes.to_vec();
        Ok(())
    }

    fn save(&self) -> Result<Part> {
        if self.means.is_empty() {
            return Err(not_fitted());
        }
        let shape = vec![self.classes.len(), self.n, self.n];
        let means = Tensor { shape, data: self.means.clone() };
        Ok(Part { tensors: [("means".to_string(), means)].into(), classes: self.classes.clone() })
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        let means = part.tensor("means", 3)?;
        let [k, rows, cols] = [means.shape[0], means.shape[1], means.shape[2]];
        if k < 2 || k != part.classes.len() || rows == 0 || rows != cols {
            return Err(Error::mismatch(format!(
                "the model has {} classes and means of shape {:?}, which do not fit",
                part.classes.len(),
                means.shape
            )));
        }
        self.n = rows;
        self.means = means.data.clone();
        self.classes = part.classes.clone();
        Ok(())
    }
}
