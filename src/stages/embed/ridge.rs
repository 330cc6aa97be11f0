//! Windows or features to embeddings: ridge regression, the linear decoder of the papers.
//!
//! In: windows, vectors, features of nodes or matrices, whose numbers are taken as they lie. Out: vectors in the space of the gallery.
//! Learns, from examples whose class is the label of an item of the gallery, one row of weights for each number of the
//! embedding, with a penalty of its own ([`crate::math::ridge`]); each number of a frame is brought to mean 0 and standard
//! deviation 1 before. `time = "resolved"` learns each sample of the windows by itself, from its channels, and takes the mean of their
//! predictions. No delay.

use super::linear_map::{Embed, Learn, LinearMap, numbers_of, shape_of, targets_of};
use crate::error::{Error, Result};
use crate::math::affine::Affine;
use crate::math::ridge::Ridge;
use crate::stages::{Examples, Stage};
use faer::Mat;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::PathBuf;

/// Less than this share of the largest deviation is none.
const LEAST_SHARE: f64 = 1e-12;

/// The linear map to the embeddings of what was shown: for retrieval and reconstruction without a deep network. Learns from a
/// recording (`saltatory fit`) whose markers are labels of the gallery.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The embeddings of what was shown, with labels (docs/retrieval.md).
    pub gallery: PathBuf,
    /// The penalties that are tried; each number of the embedding gets its best.
    #[serde(default = "alphas")]
    pub alphas: Vec<f64>,
    /// "flattened" takes a window as one vector; "resolved" learns each of its samples by itself.
    #[serde(default)]
    pub time: Time,
}

/// How the samples of a window are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Time {
    /// All together.
    #[default]
    Flattened,
    /// Each by itself.
    Resolved,
}

fn alphas() -> Vec<f64> {
    (-1..=8).map(|power| 10_f64.powi(power)).collect()
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str =
        "gallery = \"models/galleries/left_right.safetensors\"\ntime = \"flattened\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if self.alphas.is_empty() || self.alphas.iter().any(|a| !(*a > 0.0 && a.is_finite())) {
            return Err(Error::setting("alphas", "expected one or more numbers above 0"));
        }
        Ok(Box::new(Embed::new(self)))
    }
}

impl Learn for Settings {
    fn learn(&self, examples: &Examples<'_>) -> Result<LinearMap> {
        let shape = shape_of(examples)?;
        let targets = targets_of(examples, &self.gallery).map_err(|e| e.blaming("gallery"))?;
        let (numbers, outputs) = (shape.0 * shape.1, targets.ncols());
        let parts: Vec<Range<usize>> = match self.time {
            Time::Flattened => std::iter::once(0..numbers).collect(),
            Time::Resolved => (0..shape.0).map(|r| r * shape.1..(r + 1) * shape.1).collect(),
        };
        let share = 1.0 / parts.len() as f64;
        let (weights, intercept) = (vec![0.0; outputs * numbers], vec![0.0; outputs]);
        let mut map = Affine { weights, intercept };
        for part in parts {
            let one = self.part(numbers_of(examples, part.clone()), targets.clone(), examples)?;
            for (t, row) in one.weights.chunks_exact(part.len()).enumerate() {
                let to = map.weights[t * numbers + part.start..][..part.len()].iter_mut();
                to.zip(row).for_each(|(to, w)| *to = share * w);
                map.intercept[t] += share * one.intercept[t];
            }
        }
        Ok(LinearMap { shape, map })
    }
}

impl Settings {
    /// The map of numbers as they come, learned from numbers of standard deviation 1.
    fn part(&self, mut x: Mat<f64>, y: Mat<f64>, examples: &Examples<'_>) -> Result<Affine> {
        let counts = (!examples.weights.is_empty()).then_some(examples.weights);
        let scales = standardise(&mut x);
        let mut map = Ridge::fit(x, y, counts, &self.alphas)?.map;
        for row in map.weights.chunks_exact_mut(scales.len()) {
            row.iter_mut().zip(&scales).for_each(|(w, scale)| *w *= scale);
        }
        Ok(map)
    }
}

/// Brings each column to standard deviation 1, and returns what it was multiplied by; 0 where nothing varies. The means
/// stay.
fn standardise(x: &mut Mat<f64>) -> Vec<f64> {
    let n = x.nrows() as f64;
    let deviation = |column: usize, x: &Mat<f64>| {
        let mean = x.col(column).iter().sum::<f64>() / n;
        (x.col(column).iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
    };
    let deviations: Vec<f64> = (0..x.ncols()).map(|column| deviation(column, x)).collect();
    let least = LEAST_SHARE * deviations.iter().copied().fold(0.0, f64::max);
    let scale = |d: &f64| if *d > least { 1.0 / d } else { 0.0 };
    let scales: Vec<f64> = deviations.iter().map(scale).collect();
    for (column, scale) in scales.iter().enumerate() {
        x.col_mut(column).iter_mut().for_each(|v| *v *= scale);
    }
    scales
}
