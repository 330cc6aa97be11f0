//! Matrix to vector: the power of common spatial patterns.
//!
//! In: a symmetric positive definite matrix C, n x n. Out: ln(w C w) for each of the best filters w, found
//! from the mean matrices of the classes ([`crate::math::csp`]). Behind a filter bank, whose b bands lie in the
//! matrix one behind the other, each block on the diagonal has filters of its own, and the features
//! follow band after band. No delay.
//! References: pyRiemann's `CSP(metric="euclid")`; filter banks: Ang et al., IJCNN 2008, whose selection by
//! mutual information ([`crate::math::information`]) is `keep`; filters are not kept in pairs here, as
//! these are not sorted in pairs.

use super::{check_size, not_fitted};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::math::csp::{Csp as Filters, power};
use crate::math::information::mutual_information;
use crate::stages::{Emit, Examples, Fault, Fitted, Part, Stage, Tensor, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Common spatial patterns: finds weighted sums of channels whose power differs most between the
/// classes, and sends the logarithms of these powers. Learns from a recording (`saltatory fit`).
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How many sums of channels are used, of each band; at most as many as there are channels.
    pub filters: usize,
    /// How many bands the channels hold, one behind the other, as `filter_bank` sends them.
    pub bands: usize,
    /// How many of all features are kept: those that tell most about the class. All of them when
    /// left out.
    pub keep: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { filters: 6, bands: 1, keep: None }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "filters = 6\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        let counts =
            [("filters", self.filters), ("bands", self.bands), ("keep", self.keep.unwrap_or(1))];
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::setting(*key, "is 0, expected 1 or more"));
        }
        Ok(Box::new(Csp { settings: self, learned: None, out: Spec::markers().frame() }))
    }
}

struct Csp {
    settings: Settings,
    learned: Option<Learned>,
    out: Frame,
}

/// What was learned.
struct Learned {
    /// Channels of a band.
    channels: usize,
    /// The filters of all bands, band after band, one row of `channels` numbers each.
    filters: Vec<f64>,
    /// How the source of each filter appears in the channels.
    patterns: Vec<f64>,
    /// Which features are sent, in order.
    kept: Vec<usize>,
    /// Room for one block of the matrix.
    block: Vec<f64>,
}

impl Learned {
    fn new(channels: usize, filters: Vec<f64>, patterns: Vec<f64>, kept: Vec<usize>) -> Self {
        Self { channels, filters, patterns, kept, block: vec![0.0; channels * channels] }
    }

    fn per_band(&self, bands: usize) -> usize {
        self.filters.len() / (self.channels * bands).max(1)
    }

    /// Writes the features that are kept for the matrix `c` of so many `bands`.
    fn features(&mut self, c: &[f64], bands: usize, out: &mut [f64]) {
        let (n, per_band) = (self.channels, self.per_band(bands));
        let mut band = usize::MAX;
        for (o, feature) in out.iter_mut().zip(&self.kept) {
            if band != feature / per_band {
                band = feature / per_band;
                copy_block(c, n * bands, band, &mut self.block);
            }
            *o = power(&self.filters[feature * n..(feature + 1) * n], &self.block).ln();
        }
    }
}

/// Copies block number `band` on the diagonal of the `size` x `size` matrix `c`.
fn copy_block(c: &[f64], size: usize, band: usize, block: &mut [f64]) {
    let n = block.len().isqrt();
    for (row, to) in block.chunks_exact_mut(n).enumerate() {
        to.copy_from_slice(&c[(band * n + row) * size + band * n..][..n]);
    }
}

impl Stage for Csp {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = single(inputs, &[Payload::Matrix])?;
        let learned = self.learned.as_ref().ok_or_else(not_fitted)?;
        check_size(input, learned.channels * self.settings.bands)?;
        let spec = Spec {
            payload: Payload::Vector,
            rows: 1,
            cols: learned.kept.len(),
            rate_hz: input.rate_hz,
            ..Spec::markers()
        };
        self.out = spec.frame();
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let learned = self.learned.as_mut().ok_or(Fault("nothing has been learned yet"))?;
        let (bands, count) = (self.settings.bands, learned.kept.len());
        self.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            self.out.resize(0, count);
        } else if frame.data.len() == learned.block.len() * bands * bands {
            self.out.resize(1, count);
            learned.features(&frame.data, bands, &mut self.out.data);
            if self.out.data.iter().any(|v| !v.is_finite()) {
                return Err(Fault(
                    "a spatial filter finds no power, or numbers that are not finite",
                ));
            }
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

impl Fitted for Csp {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        crate::stages::decode::check_labels(examples)?;
        crate::stages::decode::check_alike(examples)?;
        let Examples { frames, labels: y, classes, .. } = *examples;
        let Settings { filters, bands, keep } = self.settings;
        let size = frames[0].cols;
        if frames.iter().any(|x| (x.rows, x.cols) != (size, size)) || size % bands != 0 || size == 0
        {
            return Err(Error::mismatch(format!(
                "expected square matrices of one size, a multiple of {bands} bands, but is given {size}"
            )));
        }
        let n = size / bands;
        let count = filters.min(n);
        let (mut all, mut patterns, mut block) = (Vec::new(), Vec::new(), vec![0.0; n * n]);
        let share = |k: usize| y.iter().filter(|l| **l == k).count() as f64 / y.len() as f64;
        let shares: Vec<f64> = (0..classes.len()).map(share).collect();
        for band in 0..bands {
            let mut means = vec![vec![0.0; n * n]; classes.len()];
            for (x, k) in frames.iter().zip(y) {
                copy_block(&x.data, size, band, &mut block);
                let weight = 1.0 / (shares[*k] * y.len() as f64);
                means[*k].iter_mut().zip(&block).for_each(|(m, v)| *m += weight * v);
            }
            let csp = Filters::fit(&means, &shares, n).map_err(|e| {
                Error::mismatch(format!("the mean covariance of band {} {e}", band + 1))
                    .behind("; use an estimator with shrinkage")
            })?;
            all.extend_from_slice(&csp.filters[..count * n]);
            patterns.extend_from_slice(&csp.patterns[..count * n]);
        }
        let mut learned = Learned::new(n, all, patterns, (0..bands * count).collect());
        if let Some(keep) = keep {
            learned.kept = most_telling(&mut learned, examples, bands, keep)?;
        }
        self.learned = Some(learned);
        Ok(())
    }

    fn save(&self) -> Result<Part> {
        let learned = self.learned.as_ref().ok_or_else(not_fitted)?;
        let bands = self.settings.bands;
        let shape = vec![bands, learned.per_band(bands), learned.channels];
        let filters = Tensor { shape: shape.clone(), data: learned.filters.clone() };
        let patterns = Tensor { shape, data: learned.patterns.clone() };
        let kept = learned.kept.iter().map(|i| *i as f64).collect();
        let kept = Tensor { shape: vec![learned.kept.len()], data: kept };
        let tensors = [("filters", filters), ("patterns", patterns), ("kept", kept)];
        Ok(Part {
            tensors: tensors.map(|(name, tensor)| (name.to_string(), tensor)).into(),
            classes: Vec::new(),
        })
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        let (filters, patterns) = (part.tensor("filters", 3)?, part.tensor("patterns", 3)?);
        let (kept, shape) = (part.tensor("kept", 1)?, &filters.shape);
        let count = shape[0] * shape[1];
        let fits = |i: &f64| *i >= 0.0 && i.fract() == 0.0 && *i < count as f64;
        if shape[0] != self.settings.bands
            || filters.data.is_empty()
            || patterns.shape != *shape
            || kept.data.is_empty()
            || !kept.data.iter().all(fits)
        {
            return Err(Error::mismatch(format!(
                "the model has filters of shape {shape:?}, patterns of shape {:?} and keeps {} of them, \
                 which do not fit {} bands",
                patterns.shape,
                kept.data.len(),
                self.settings.bands
            )));
        }
        let kept = kept.data.iter().map(|i| *i as usize).collect();
        self.learned =
            Some(Learned::new(shape[2], filters.data.clone(), patterns.data.clone(), kept));
        Ok(())
    }
}

/// The features, all of which are still kept, that tell most about the class, in their old order.
fn most_telling(
    learned: &mut Learned,
    examples: &Examples<'_>,
    bands: usize,
    keep: usize,
) -> Result<Vec<usize>> {
    let count = learned.kept.len();
    let mut features = vec![0.0; examples.frames.len() * count];
    for (x, out) in examples.frames.iter().zip(features.chunks_exact_mut(count)) {
        learned.features(&x.data, bands, out);
    }
    if features.iter().any(|v| !v.is_finite()) {
        return Err(Error::mismatch("a spatial filter finds no power in one of the matrices"));
    }
    let worth = |i: usize| {
        let values: Vec<f64> = features.iter().skip(i).step_by(count).copied().collect();
        mutual_information(&values, examples.labels, examples.classes.len())
    };
    let worth: Vec<f64> = (0..count).map(worth).collect();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| worth[*b].total_cmp(&worth[*a]));
    order.truncate(keep);
    order.sort_unstable();
    Ok(order)
}
