//! Manifold stages: a matrix to a matrix or a vector.

use super::{Examples, Fault, Stage};
use crate::error::{Error, Result};
use crate::frame::{Frame, Spec};
use crate::kind::{Kind, kind};
use crate::math::spd::{Geometry, Mean, Metric, NotSpd, Spd};

pub mod align;
pub mod bt_tangent;
mod chart;
pub mod csp;
pub mod embedding;
pub mod moving;
pub mod rdm;
pub mod recentre;
mod session;
pub mod tangent;
pub(super) mod toeplitz;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[
    kind::<_, recentre::Settings>("recentre"),
    kind::<_, align::Settings>("align"),
    kind::<_, bt_tangent::Settings>("bt_tangent"),
    kind::<_, tangent::Settings>("tangent"),
    kind::<_, csp::Settings>("csp"),
    kind::<_, rdm::Settings>("rdm"),
    kind::<_, embedding::Settings>("embedding"),
];

impl From<NotSpd> for Fault {
    fn from(error: NotSpd) -> Self {
        Fault(match error {
            NotSpd::NotFinite => "covariance holds numbers that are not finite",
            NotSpd::NotPositive => {
                "covariance is not positive definite: too short a window or dependent channels; \
                 use an estimator with shrinkage"
            }
        })
    }
}

/// The mean, under `metric`, of those of the examples that are `wanted` and count for something.
pub(super) fn mean_of(
    metric: Metric,
    examples: &Examples<'_>,
    wanted: impl Fn(usize) -> bool,
) -> Result<Vec<f64>> {
    let (frames, weights) = chosen(examples, wanted)?;
    let data: Vec<&[f64]> = frames.iter().map(|x| x.data.as_slice()).collect();
    let mean = Geometry::new(metric, frames[0].rows).mean(&data, weights.as_deref())?;
    Ok(checked(mean, frames.len()))
}

/// The affine-invariant mean of matrices of the size of `spd`.
pub(super) fn converged_mean(spd: &mut Spd, matrices: &[&[f64]]) -> Result<Vec<f64>> {
    Ok(checked(spd.mean(matrices, None)?, matrices.len()))
}

/// The matrix of a mean of `count`, with a warning where it is not exact.
fn checked(mean: Mean, count: usize) -> Vec<f64> {
    if !mean.converged {
        let gradient = mean.gradient;
        tracing::warn!(gradient, "the mean of {count} matrices has not fully converged");
    }
    mean.matrix
}

/// The examples that are `wanted` and count for something, one or more square matrices of one size, and
/// their weights if they differ.
pub(super) fn chosen<'a>(
    examples: &Examples<'a>,
    wanted: impl Fn(usize) -> bool,
) -> Result<(Vec<&'a Frame>, Option<Vec<f64>>)> {
    let Examples { frames, weights, .. } = *examples;
    if !weights.is_empty() && weights.len() != frames.len() {
        let text = format!("{} examples come with {} weights", frames.len(), weights.len());
        return Err(Error::mismatch(text));
    }
    let counts = |i: &usize| wanted(*i) && weights.get(*i) != Some(&0.0);
    let places: Vec<usize> = (0..frames.len()).filter(counts).collect();
    let frames: Vec<&Frame> = places.iter().map(|i| &frames[*i]).collect();
    let n = frames.first().map_or(0, |x| x.rows);
    if n == 0 || frames.iter().any(|x| (x.rows, x.cols) != (n, n)) {
        return Err(Error::mismatch("expected one or more square matrices of one size"));
    }
    let weights = places.iter().map(|i| weights.get(*i).copied()).collect();
    Ok((frames, weights))
}

/// Checks that what comes in is of the size that was learned, `n` x `n`.
pub(super) fn check_size(input: &Spec, n: usize) -> Result<()> {
    if (input.rows, input.cols) == (n, n) {
        return Ok(());
    }
    Err(Error::mismatch(format!(
        "was fitted to matrices of {n} x {n}, but is given {} x {}",
        input.rows, input.cols
    )))
}

/// The error of a stage that is used before it has learned anything.
pub(super) fn not_fitted() -> Error {
    Error::missing("nothing has been learned yet; run `saltatory fit` and use the model it writes")
}
