//! Matrix to scores: minimum distance to the class means.
//!
//! In: a symmetric positive definite matrix C, n x n. Out: one probability per class k,
//! softmax_k(-distance(C, M_k)^2), M_k the mean of the training matrices of class k, weighted where they
//! have weights; mean and distance are affine-invariant ([`crate::math::spd`]) or those of another
//! metric ([`crate::math::spd::Metric`]). No delay.
//! Reference: Barachant et al., IEEE Trans. Biomed. Eng. 59 (2012).

use super::adapting::{Adapting, check_confidence};
use super::{Decoder, DecoderStage, argmax, check_labels, nearness};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::math::spd::{Geometry, Metric, Reference};
use crate::stages::live::{LiveReader, live};
use crate::stages::manifold::moving::{Method, Rule};
use crate::stages::manifold::recentre::Start;
use crate::stages::manifold::{check_size, mean_of, not_fitted};
use crate::stages::{Examples, Fault, Fitted, Part, Stage, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Minimum distance to mean: a covariance matrix belongs to the class whose mean covariance is the
/// nearest, on the manifold of such matrices. Needs few examples and has nothing to tune. Learns
/// from a recording (`saltatory fit`).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The metric of means and distances. Only with `riemann`, `logeuclid` and `logdet` do the
    /// probabilities not depend on the unit of the signals.
    pub metric: Metric,
    /// When set, what lies farther from every class than this is answered by one more class, `none`:
    /// standard deviations of the logarithm of the distance of the class's examples to its centre. 2
    /// or 3 is usual.
    pub reject: Option<f64>,
    /// When set, the mean of the decided class moves with every sure decision, with this time constant of
    /// forgetting, in seconds. Nobody tells it when it is wrong: it can run away (docs/adaptation.md).
    pub adapt_s: Option<f64>,
    /// The least probability of a decision that is learned from.
    pub confidence: f64,
    /// Windows whose distance to the mean is larger than usual by so many robust standard deviations are
    /// not learned from.
    pub outlier: f64,
    /// Where the means start: `live`, where an earlier run left them, if the model was kept from one
    /// (`run --keep-learned`); `learned`, where `fit` put them.
    pub start: Start,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            metric: Metric::default(),
            reject: None,
            adapt_s: None,
            confidence: 0.8,
            outlier: 3.0,
            start: Start::Live,
        }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "metric = \"riemann\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        check_confidence(self.confidence)?;
        let Self { metric, reject, adapt_s, confidence, outlier, start } = self;
        if adapt_s.is_some() && metric != Metric::Riemann {
            let text = "means move on their own only with metric = \"riemann\"";
            return Err(Error::setting("adapt_s", text));
        }
        let method = Method::Riemann;
        let rule = Rule { method, tau_s: adapt_s.unwrap_or(1.0), outlier };
        let rule = rule
            .check()
            .map_err(|e| if e.key() == Some("tau_s") { e.blaming("adapt_s") } else { e })?;
        let adapts = adapt_s.map(|_| (rule, confidence));
        let resume = start == Start::Live;
        let mdm = Mdm { metric, adapts, resume, ..Mdm::default() };
        Ok(Box::new(DecoderStage::new(mdm).rejecting(reject)?))
    }
}

#[derive(Default)]
struct Mdm {
    metric: Metric,
    classes: Vec<String>,
    /// One mean after the other; empty until something was learned.
    means: Vec<f64>,
    n: usize,
    /// How the means move, and the least probability that moves them.
    adapts: Option<(Rule, f64)>,
    /// Whether they start where an earlier run left them, ...
    resume: bool,
    /// ... which is here.
    kept: Option<Vec<f64>>,
    adapting: Option<Adapting>,
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
        let start = self.kept.as_ref().filter(|_| self.resume).unwrap_or(&self.means);
        let means = start.chunks_exact(n * n).zip(&self.classes);
        let reference = |(mean, class): (&[f64], &String)| {
            let failed = |e| Error::mismatch(format!("the mean of class `{class}` {e}"));
            geometry.reference(mean).map_err(failed)
        };
        self.references = means.map(reference).collect::<Result<_>>()?;
        self.adapting = match self.adapts {
            Some(_) if input.rate_hz <= 0.0 => {
                let text = "adapts to a stream with a sampling rate, but is given an irregular one";
                return Err(Error::mismatch(text));
            }
            Some((rule, least)) => Some(Adapting::new(rule, least, input.rate_hz, n, start)),
            None => None,
        };
        self.geometry = Some(geometry);
        Ok(())
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn scores(&mut self, x: &Frame, out: &mut [f64]) -> Result<(), Fault> {
        self.measure(x, out)?;
        nearness(out);
        if let Some(adapting) = &mut self.adapting {
            let k = argmax(out);
            adapting.decided(k, out[k]);
        }
        Ok(())
    }

    fn distances(&mut self, x: &Frame, out: &mut [f64]) -> Option<Result<(), Fault>> {
        Some(self.measure(x, out))
    }

    fn adapt(&mut self, x: &Frame) -> Option<bool> {
        let (adapting, geometry) = (self.adapting.as_mut()?, self.geometry.as_mut()?);
        adapting.learn(x, geometry, &mut self.references)
    }

    fn reset(&mut self) {
        if let (Some(adapting), Some(geometry)) = (&mut self.adapting, &mut self.geometry) {
            adapting.reset(geometry, &mut self.references);
        }
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
        (self.kept, self.adapting) = (None, None);
        Ok(())
    }

    fn live(&mut self) -> Option<LiveReader> {
        let adapting = self.adapting.as_mut()?;
        let (writer, reader) = live(vec![("live", vec![self.classes.len(), self.n, self.n])]);
        adapting.watched = Some(writer);
        Some(reader)
    }

    fn save(&self) -> Result<Part> {
        if self.means.is_empty() {
            return Err(not_fitted());
        }
        let shape = vec![self.classes.len(), self.n, self.n];
        let array = |data: &[f64]| Tensor { shape: shape.clone(), data: data.to_vec() };
        let mut tensors: BTreeMap<_, _> = [("means".to_string(), array(&self.means))].into();
        let moved = self.adapting.as_ref().and_then(Adapting::moved);
        if let Some(live) = moved.or(self.kept.as_deref()) {
            tensors.insert("live".to_string(), array(live));
        }
        Ok(Part { tensors, classes: self.classes.clone() })
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
        let kept = match part.tensors.contains_key("live") {
            true => Some(part.tensor("live", 3)?).filter(|live| live.shape == means.shape),
            false => None,
        };
        self.kept = kept.map(|live| live.data.clone());
        self.adapting = None;
        self.n = rows;
        self.means = means.data.clone();
        self.classes = part.classes.clone();
        Ok(())
    }
}
