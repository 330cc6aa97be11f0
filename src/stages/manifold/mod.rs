//! Manifold stages: a matrix to a matrix or a vector.

use super::{Fault, Stage};
use crate::error::{Error, Result};
use crate::frame::{Frame, Spec};
use crate::kind::{Kind, kind};
use crate::math::spd::{NotSpd, Spd};

pub mod align;
pub mod moving;
pub mod recentre;
mod session;
pub mod tangent;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[
    kind::<_, recentre::Settings>("recentre"),
    kind::<_, align::Settings>("align"),
    kind::<_, tangent::Settings>("tangent"),
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

/// The affine-invariant mean of training matrices.
pub(super) fn mean_of(matrices: &[&Frame]) -> Result<Vec<f64>> {
    let n = matrices.first().map_or(0, |x| x.rows);
    let data: Vec<&[f64]> = matrices.iter().map(|x| x.data.as_slice()).collect();
    if n == 0 || matrices.iter().any(|x| (x.rows, x.cols) != (n, n)) {
        return Err(Error::mismatch("expected one or more square matrices of one size"));
    }
    let mean = Spd::new(n).mean(&data, None)?;
    if !mean.converged {
        tracing::warn!(
            gradient = mean.gradient,
            "the mean of {} matrices has not fully converged",
            matrices.len()
        );
    }
    Ok(mean.matrix)
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
