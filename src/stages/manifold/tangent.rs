//! Matrix to vector: the tangent space at a reference.
//!
//! In: a symmetric positive definite matrix C, n x n. Out: n(n+1)/2 numbers, the upper triangle, row
//! by row, of log(M^-1/2 C M^-1/2) with the entries off the diagonal times sqrt(2). The reference M
//! is the mean of the training matrices, weighted where they have weights ([`crate::math::spd`]). Under
//! other metrics than the affine-invariant one, mean and map are theirs, as in pyRiemann's
//! `TangentSpace(metric=..)` ([`crate::math::spd::Metric`]). No delay.
//!
//! Before a linear decoder that alone sees the vector, it sends the decoder's products instead, which
//! come cheaper than the vector ([`Stage::absorb`], [`LinearForms`]); under the affine-invariant metric
//! only.
//!
//! Reference: Barachant et al., Neurocomputing 112 (2013).

use super::{check_size, mean_of, not_fitted};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::math::spd::{Geometry, LinearForms, Metric, NotSpd, Tangent as Space, tangent_len};
use crate::stages::{Emit, Examples, Fault, Fitted, Part, Stage, Tensor, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tangent space: unrolls covariance matrices around their mean into plain feature vectors, which
/// linear decoders can use. Learns the mean from a recording (`saltatory fit`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The metric of mean and tangent space; all but `logdet`, which has no tangent space.
    #[serde(default)]
    pub metric: Metric,
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "metric = \"riemann\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if !self.metric.has_tangent() {
            return Err(Error::setting(
                "metric",
                "the metric `logdet` has no tangent space; expected `riemann`, `logeuclid`, `euclid`, \
                 `logchol` or `wasserstein`",
            ));
        }
        Ok(Box::new(Tangent {
            metric: self.metric,
            reference: Vec::new(),
            n: 0,
            ready: None,
            out: Spec::markers().frame(),
        }))
    }
}

struct Tangent {
    metric: Metric,
    /// Empty until something was learned.
    reference: Vec<f64>,
    n: usize,
    /// Once it is prepared.
    ready: Option<(Geometry, Task)>,
    out: Frame,
}

/// What is computed.
enum Task {
    Vector(Space),
    Products(LinearForms),
}

impl Task {
    fn run(
        &self,
        geometry: &mut Geometry,
        c: &[f64],
        out: &mut [f64],
    ) -> std::result::Result<(), NotSpd> {
        match self {
            Self::Vector(space) => geometry.tangent(space, c, out),
            Self::Products(forms) => geometry.spd().linear(forms, c, out),
        }
    }

    /// How many numbers come out.
    fn len(&self, n: usize) -> usize {
        match self {
            Self::Vector(_) => tangent_len(n),
            Self::Products(forms) => forms.count(),
        }
    }
}

impl Stage for Tangent {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = single(inputs, &[Payload::Matrix])?;
        if self.reference.is_empty() {
            return Err(not_fitted());
        }
        check_size(input, self.n)?;
        let mut geometry = Geometry::new(self.metric, self.n);
        let space = geometry.tangent_at(&self.reference)?;
        self.ready = Some((geometry, Task::Vector(space)));
        let spec = Spec {
            payload: Payload::Vector,
            rows: 1,
            cols: tangent_len(self.n),
            rate_hz: input.rate_hz,
            ..Spec::markers()
        };
        self.out = spec.frame();
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let (geometry, task) = self.ready.as_mut().ok_or(Fault("nothing has been learned yet"))?;
        let len = task.len(self.n);
        self.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            self.out.resize(0, len);
        } else if frame.data.len() == self.reference.len() {
            self.out.resize(1, len);
            task.run(geometry, &frame.data, &mut self.out.data)?;
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

    fn absorb(&mut self, weights: &[f64]) -> bool {
        let Some((geometry, task)) = &mut self.ready else { return false };
        let rows = weights.len() / tangent_len(self.n);
        let fits = rows > 0 && rows * tangent_len(self.n) == weights.len();
        if !fits || self.metric != Metric::Riemann {
            return false;
        }
        let forms = geometry.spd().linear_forms(&self.reference, weights);
        forms.map(|forms| *task = Task::Products(forms)).is_ok()
    }
}

impl Fitted for Tangent {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        self.reference = mean_of(self.metric, examples, |_| true)?;
        self.n = self.reference.len().isqrt();
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
