//! Vector or matrix to a few coordinates: where a window lies among those of a recording.
//!
//! In: a vector, or a symmetric positive definite matrix. Out: a vector of m coordinates. The map is learned
//! from a recording and then stays as it is, so that nothing has to be aligned:
//!
//! - `eigenmap`, `diffusion`: from the distances to landmarks, which stand for all windows of the recording
//!   ([`crate::math::manifold::landmarks`], [`crate::math::manifold::map`]). Distances are Euclidean between vectors and
//!   those of `metric` between matrices.
//! - `pca`: principal components ([`crate::math::manifold::pca`]); of matrices, those of their tangent
//!   vectors at the mean.
//!
//! A window that has no place (numbers that are not finite, a matrix that is not positive definite) is put at 0
//! and marked BAD. No delay.
//!
//! References: Belkin and Niyogi, Neural Comput. 15 (2003); Coifman and Lafon, Appl. Comput. Harmon. Anal. 21
//! (2006); for matrices: Barachant et al. (pyRiemann's `SpectralEmbedding`), Rodrigues et al., IEEE
//! EMBC 2018.

use super::chart::{Chart, points};
use super::{check_size, mean_of, not_fitted};
use crate::error::{Error, Result};
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::math::manifold::landmarks::{Choice, Landmarks};
use crate::math::manifold::map::{Map, Recipe};
use crate::math::manifold::pca::Pca;
use crate::math::spd::{Geometry, Metric, tangent_len};
use crate::stages::{Emit, Examples, Fault, Fitted, Part, Stage, Tensor, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Places each window among those of a recording by a few coordinates, in which similar windows lie near each
/// other. Learns the map from a recording (`saltatory fit`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How the map is made.
    pub method: Method,
    /// How many coordinates.
    pub dimensions: usize,
    /// How far covariance matrices are from each other; for `pca` all but `logdet`. Vectors are as far
    /// apart as their difference is long.
    pub metric: Metric,
    /// How many neighbours each landmark has in the graph; all are neighbours when left out.
    pub neighbours: Option<usize>,
    /// The width of the kernel exp(-d^2 / (4 epsilon)). When left out, half the square of the median distance.
    pub epsilon: Option<f64>,
    /// How far it is taken out how densely windows lie: from 0, not at all, to 1, entirely.
    pub density: f64,
    /// For `diffusion`: the steps of the walk; the more, the less fine structure counts.
    pub time: f64,
    /// At most so many windows of the recording are kept as landmarks, each standing for those nearest to
    /// it. Each costs a distance for each window that comes.
    pub landmarks: usize,
    /// How landmarks are chosen.
    pub choose: Choice,
    /// The seed of that choice.
    pub seed: u64,
}

/// How the map is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Laplacian eigenmap: neighbours stay neighbours.
    #[default]
    Eigenmap,
    /// Diffusion map: distances are those of a random walk over the windows.
    Diffusion,
    /// Principal components: a plain projection.
    Pca,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            method: Method::Eigenmap,
            dimensions: 2,
            metric: Metric::Riemann,
            neighbours: None,
            epsilon: None,
            density: 1.0,
            time: 1.0,
            landmarks: 300,
            choose: Choice::Seeded,
            seed: 1,
        }
    }
}

impl Settings {
    fn check(&self) -> Result<()> {
        let counts = [
            ("dimensions", self.dimensions),
            ("landmarks", self.landmarks),
            ("neighbours", self.neighbours.unwrap_or(1)),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::setting(*key, "is 0, expected 1 or more"));
        }
        if self.epsilon.is_some_and(|v| !(v > 0.0 && v.is_finite())) {
            return Err(Error::setting("epsilon", "must be a number above 0"));
        }
        if !(0.0..=1.0).contains(&self.density) {
            return Err(Error::setting("density", "must be between 0 and 1"));
        }
        if !(self.time >= 0.0 && self.time.is_finite()) {
            return Err(Error::setting("time", "must be 0 or more"));
        }
        if self.method == Method::Pca && !self.metric.has_tangent() {
            return Err(Error::setting(
                "metric",
                "the metric `logdet` has no tangent space for `pca`",
            ));
        }
        Ok(())
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            dimensions: self.dimensions,
            neighbours: self.neighbours,
            epsilon: self.epsilon,
            density: self.density,
            time: if self.method == Method::Diffusion { self.time } else { 0.0 },
        }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "method = \"eigenmap\"\ndimensions = 2\nlandmarks = 300\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        self.check()?;
        let out = Spec::markers().frame();
        Ok(Box::new(Embedding { settings: self, learned: None, out }))
    }
}

struct Embedding {
    settings: Settings,
    learned: Option<Learned>,
    out: Frame,
}

/// What was learned.
struct Learned {
    /// Of the frames.
    shape: (usize, usize),
    chart: Chart,
}

impl Stage for Embedding {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = single(inputs, &[Payload::Vector, Payload::Matrix])?;
        let learned = self.learned.as_ref().ok_or_else(not_fitted)?;
        let (rows, cols) = learned.shape;
        match input.payload {
            Payload::Matrix => check_size(input, rows)?,
            _ if rows == 1 && input.cols == cols => {}
            _ => {
                let text =
                    format!("was fitted to {rows} x {cols} numbers, but is given {}", input.cols);
                return Err(Error::mismatch(text));
            }
        }
        let cols = self.settings.dimensions;
        let payload = Payload::Vector;
        let spec = Spec { payload, rows: 1, cols, rate_hz: input.rate_hz, ..Spec::markers() };
        self.out = spec.frame();
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let learned = self.learned.as_mut().ok_or(Fault("nothing has been learned yet"))?;
        let m = self.settings.dimensions;
        self.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            self.out.resize(0, m);
        } else if frame.data.len() == learned.shape.0 * learned.shape.1 {
            self.out.resize(1, m);
            let out = &mut self.out.data;
            let placed = learned.chart.place(&self.settings, &frame.data, out);
            if !placed || out.iter().any(|v| !v.is_finite()) {
                out.fill(0.0);
                self.out.flags |= Flags::BAD;
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

impl Fitted for Embedding {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        let (frames, weights) = used(examples)?;
        let shape = (frames[0].rows, frames[0].cols);
        let chart = match self.settings.method {
            Method::Pca => self.fit_linear(shape, &frames, &weights, examples)?,
            _ => self.fit_kernel(shape, &frames, &weights)?,
        };
        self.learned = Some(Learned { shape, chart });
        Ok(())
    }

    fn save(&self) -> Result<Part> {
        let Learned { shape, chart } = self.learned.as_ref().ok_or_else(not_fitted)?;
        let (m, mut part) = (self.settings.dimensions, Part::default());
        let mut put = |name: &str, shape: &[usize], data: &[f64]| {
            let tensor = Tensor { shape: shape.to_vec(), data: data.to_vec() };
            part.tensors.insert(name.to_string(), tensor);
        };
        match chart {
            Chart::Kernel { landmarks, map, .. } => {
                let count = map.shares.len();
                put("landmarks", &[count, shape.0, shape.1], landmarks);
                put("epsilon", &[1], &[map.epsilon]);
                put("reach", &[map.reach.len()], &map.reach);
                put("shares", &[count], &map.shares);
                put("values", &[m], &map.values);
                put("images", &[count, m], &map.images);
            }
            Chart::Linear { pca, reference, .. } => {
                let rows = if reference.is_empty() { 0 } else { shape.0 };
                put("reference", &[rows, rows], reference);
                put("mean", &[pca.mean.len()], &pca.mean);
                put("directions", &[m, pca.mean.len()], &pca.directions);
                put("variances", &[m], &pca.variances);
            }
        }
        Ok(part)
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        let learned = match self.settings.method {
            Method::Pca => self.load_linear(part)?,
            _ => self.load_kernel(part)?,
        };
        self.learned = Some(learned);
        Ok(())
    }
}

impl Embedding {
    fn fit_kernel(
        &self,
        shape: (usize, usize),
        frames: &[&Frame],
        weights: &[f64],
    ) -> Result<Chart> {
        let Settings { metric, landmarks, choose, seed, .. } = self.settings;
        let unplaced = |e| Error::mismatch(format!("a matrix of the examples {e}"));
        let Landmarks { chosen, masses } = choose.choose(weights, landmarks, seed, |i, out| {
            let mut one = points(shape, metric, std::iter::once(frames[i].data.as_slice()))?;
            for (frame, d) in frames.iter().zip(out) {
                one.distances(&frame.data, std::slice::from_mut(d)).map_err(unplaced)?;
            }
            Ok::<_, Error>(())
        })?;
        let kept = || chosen.iter().map(|i| frames[*i].data.as_slice());
        let mut all = points(shape, metric, kept())?;
        let mut distances = vec![0.0; chosen.len() * chosen.len()];
        for (x, row) in kept().zip(distances.chunks_exact_mut(chosen.len())) {
            all.distances(x, row).map_err(unplaced)?;
        }
        let map = self.settings.recipe().learn(&distances, &masses)?;
        Chart::kernel(shape, metric, kept().flatten().copied().collect(), map)
    }

    fn fit_linear(
        &self,
        shape: (usize, usize),
        frames: &[&Frame],
        weights: &[f64],
        examples: &Examples<'_>,
    ) -> Result<Chart> {
        let Settings { metric, dimensions: m, .. } = self.settings;
        if shape.0 == 1 {
            let copy = |i: usize, out: &mut [f64]| {
                out.copy_from_slice(&frames[i].data);
                Ok(())
            };
            return Chart::linear(1, metric, Vec::new(), Pca::fit(shape.1, m, weights, copy)?);
        }
        let reference = mean_of(metric, examples, |_| true)?;
        let mut geometry = Geometry::new(metric, shape.0);
        let space = geometry.tangent_at(&reference)?;
        let pca = Pca::fit(tangent_len(shape.0), m, weights, |i, out| {
            let found = geometry.tangent(&space, &frames[i].data, out);
            found.map_err(|e| Error::mismatch(format!("a matrix of the examples {e}")))
        })?;
        Chart::linear(shape.0, metric, reference, pca)
    }

    fn load_kernel(&self, part: &Part) -> Result<Learned> {
        let m = self.settings.dimensions;
        let landmarks = part.tensor("landmarks", 3)?;
        let (count, shape) = (landmarks.shape[0], (landmarks.shape[1], landmarks.shape[2]));
        let array = |name: &str, rank: usize| part.tensor(name, rank).map(|t| t.data.clone());
        let map = Map {
            epsilon: array("epsilon", 1)?.first().copied().unwrap_or_default(),
            reach: array("reach", 1)?,
            shares: array("shares", 1)?,
            values: array("values", 1)?,
            images: array("images", 2)?,
        };
        let fits =
            [map.shares.len() == count, map.images.len() == count * m, map.values.len() == m];
        let reaches = map.reach.is_empty() || map.reach.len() == count;
        let square = shape.0 == 1 || shape.0 == shape.1;
        if !(fits.iter().all(|f| *f)
            && reaches
            && square
            && count * shape.1 > 0
            && map.epsilon > 0.0)
        {
            return Err(unfit());
        }
        let chart = Chart::kernel(shape, self.settings.metric, landmarks.data.clone(), map)?;
        Ok(Learned { shape, chart })
    }

    fn load_linear(&self, part: &Part) -> Result<Learned> {
        let m = self.settings.dimensions;
        let reference = part.tensor("reference", 2)?;
        let array = |name: &str, rank: usize| part.tensor(name, rank).map(|t| t.data.clone());
        let (mean, directions) = (array("mean", 1)?, array("directions", 2)?);
        let pca = Pca { mean, directions, variances: array("variances", 1)? };
        let (n, p) = (reference.shape[0], pca.mean.len());
        let shape = if n == 0 { (1, p) } else { (n, n) };
        let wide = if n == 0 { p > 0 } else { p == tangent_len(n) && n == reference.shape[1] };
        if !wide || pca.directions.len() != m * p || pca.variances.len() != m {
            return Err(unfit());
        }
        let chart = Chart::linear(n, self.settings.metric, reference.data.clone(), pca)?;
        Ok(Learned { shape, chart })
    }
}

fn unfit() -> Error {
    Error::mismatch("the model's arrays of the embedding do not fit each other or the settings")
}

/// The examples that count for something, all of one shape and finite, and their weights.
fn used<'a>(examples: &Examples<'a>) -> Result<(Vec<&'a Frame>, Vec<f64>)> {
    let weight = |i: usize| examples.weights.get(i).copied().unwrap_or(1.0);
    let all = examples.frames.iter().enumerate().filter(|(i, _)| weight(*i) > 0.0);
    let (frames, weights): (Vec<&Frame>, Vec<f64>) = all.map(|(i, x)| (x, weight(i))).unzip();
    let first = frames.first().ok_or_else(|| Error::missing("there is no example"))?;
    let alike = |x: &&Frame| (x.rows, x.cols) == (first.rows, first.cols);
    if first.data.is_empty() || !frames.iter().all(alike) {
        return Err(Error::mismatch("expected examples of one shape"));
    }
    if frames.iter().any(|x| x.data.iter().any(|v| !v.is_finite())) {
        return Err(Error::mismatch("an example holds numbers that are not finite"));
    }
    Ok((frames, weights))
}
