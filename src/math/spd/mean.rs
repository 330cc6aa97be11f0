//! The affine-invariant mean, and others that are searched for in the same way.

use super::{NotSpd, Spd, Whitener, linalg, triangular};
use crate::error::{Error, Result};
use crate::math::padded::Padded;
use crate::math::triangular::Shape;

/// The mean has converged when the norm of the gradient is below this.
const TOLERANCE: f64 = 1e-8;
/// The most steps towards the mean.
const MAX_STEPS: usize = 50;
/// Rounding is all that is left when the gradient has not become smaller for so many steps.
const PATIENCE: usize = 8;
/// Bounds of a step: the whole gradient, which is right where the matrices agree, and the share of it
/// that suits matrices whose logarithms differ by forty.
const STEPS: (f64, f64) = (0.1, 1.0);

/// An affine-invariant mean.
#[derive(Debug, Clone)]
pub struct Mean {
    /// The mean, n x n.
    pub matrix: Vec<f64>,
    /// Whether the gradient fell below the tolerance within the allowed steps.
    pub converged: bool,
    /// Norm of the gradient before the last step.
    pub gradient: f64,
}

/// Which mean it is: what the gradient is the mean of, at the whitened matrices Y.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slope {
    /// log Y: affine-invariant.
    Riemann,
    /// 2 (Y - 1) (Y + 1)^-1 = 2 tanh(log(Y) / 2): log-det. It is flat far away, where the logarithm is not, so
    /// that steps may be many times as long as it, but not longer than 4; and more of them are needed.
    LogDet,
}

impl Slope {
    /// The most steps.
    fn max_steps(self) -> usize {
        match self {
            Self::Riemann => MAX_STEPS,
            Self::LogDet => 4 * MAX_STEPS,
        }
    }

    /// A step of `nu` times a gradient of this `norm`, within bounds.
    fn limit(self, nu: f64, norm: f64) -> f64 {
        match self {
            Self::Riemann => nu.clamp(STEPS.0, STEPS.1),
            Self::LogDet => nu.clamp(STEPS.0, 100.0 * STEPS.1).min(4.0 / norm),
        }
    }
}

impl Spd {
    /// The mean of `matrices`, weighted if `weights` (positive, any scale) are given. Allocates.
    ///
    /// It starts at the arithmetic mean M = A A^T and repeats: with W = A^-1,
    /// J = sum_i w_i log(W X_i W^T), then A exp(nu J / 2) takes the place of A. Seen through A, parallel
    /// transport along such a step changes nothing, so that gradients of different steps may be compared
    /// as they are: nu is the step of Barzilai and Borwein (IMA J. Numer. Anal. 8, 1988; for this mean:
    /// Iannazzo and Porcelli, IMA J. Numer. Anal. 38, 2018).
    pub fn mean(&mut self, matrices: &[&[f64]], weights: Option<&[f64]>) -> Result<Mean> {
        self.descend(matrices, weights, Slope::Riemann)
    }

    /// The mean that `slope` leads to.
    pub(super) fn descend(
        &mut self,
        matrices: &[&[f64]],
        weights: Option<&[f64]>,
        slope: Slope,
    ) -> Result<Mean> {
        let weights = normalised(weights, matrices.len())?;
        let mut factors = self.factors(matrices)?;
        let broken = |e: NotSpd| Error::run(format!("the mean of the matrices {e}"));
        let mut at = Place::start(self, matrices, &weights).map_err(broken)?;
        let mut before: Option<(Vec<f64>, f64)> = None;
        let (mut least, mut since) = (f64::INFINITY, 0);
        let (mut norm, mut converged) = (f64::INFINITY, false);
        for _ in 0..slope.max_steps() {
            let gradient = self.gradient(slope, &mut factors, &weights, &at.whitener);
            let gradient = gradient.map_err(broken)?;
            norm = inner(&gradient, &gradient).sqrt();
            let nu = before.as_ref().map_or(1.0, |(j, nu)| step(j, *nu, &gradient));
            let nu = slope.limit(nu, norm);
            at.step(self, &gradient, nu).map_err(broken)?;
            converged = norm <= TOLERANCE;
            since = if norm < least { 0 } else { since + 1 };
            least = least.min(norm);
            if converged || since == PATIENCE {
                break;
            }
            before = Some((gradient, nu));
        }
        let mut matrix = vec![0.0; at.root.len()];
        linalg::outer(&at.root, &at.root, &mut matrix, self.n());
        Ok(Mean { matrix, converged, gradient: norm })
    }

    /// The Cholesky factors.
    fn factors(&self, matrices: &[&[f64]]) -> Result<Vec<Padded>> {
        let (n, count) = (self.n(), matrices.len());
        let factor = |(i, x): (usize, &&[f64])| {
            let name = format!("matrix {} of {count}", i + 1);
            if x.len() != n * n {
                let text = format!("{name} has {} numbers, expected {}", x.len(), n * n);
                return Err(Error::mismatch(text));
            }
            let mut l = Padded::new(n);
            triangular::cholesky(self.cpu, x, &mut l)
                .map_err(|e| Error::mismatch(format!("{name} {e}")))?;
            Ok(l)
        };
        matrices.iter().enumerate().map(factor).collect()
    }

    /// sum_i w_i log(W X_i W^T), or what takes the place of log, all of its numbers.
    fn gradient(
        &mut self,
        slope: Slope,
        factors: &mut [Padded],
        weights: &[f64],
        whitener: &Whitener,
    ) -> std::result::Result<Vec<f64>, NotSpd> {
        let mut sum = Padded::new(self.n());
        for (factor, w) in factors.iter_mut().zip(weights) {
            std::mem::swap(&mut self.factor, factor);
            match slope {
                Slope::Riemann => self.whitened_log(whitener)?,
                Slope::LogDet => {
                    self.function_by_eigenvectors(whitener, |v| 2.0 * (v - 1.0) / (v + 1.0))?
                }
            }
            std::mem::swap(&mut self.factor, factor);
            for (to, from) in sum.data_mut().iter_mut().zip(self.log.data()) {
                *to += w * from;
            }
        }
        sum.mirror();
        Ok(sum.to_columns())
    }
}

/// Where the search for the mean has come to.
struct Place {
    /// A, column by column.
    root: Vec<f64>,
    /// Its inverse.
    whitener: Whitener,
}

impl Place {
    /// The arithmetic mean.
    fn start(
        spd: &mut Spd,
        matrices: &[&[f64]],
        weights: &[f64],
    ) -> std::result::Result<Self, NotSpd> {
        let n = spd.n();
        let mut mean = vec![0.0; n * n];
        for (x, w) in matrices.iter().zip(weights) {
            mean.iter_mut().zip(*x).for_each(|(m, x)| *m += w * x);
        }
        let whitener = spd.lower_whitener(&mean)?;
        Ok(Self { root: spd.factor.to_columns(), whitener })
    }

    /// Goes `nu` times the way of `gradient`.
    fn step(
        &mut self,
        spd: &mut Spd,
        gradient: &[f64],
        nu: f64,
    ) -> std::result::Result<(), NotSpd> {
        let n = spd.n();
        let (mut half, mut moved) = (vec![0.0; n * n], vec![0.0; n * n]);
        spd.work.eigen(gradient)?;
        spd.work.rebuild(|v| (0.5 * nu * v).exp(), &mut half);
        linalg::product(&self.root, &half, &mut moved, n);
        std::mem::swap(&mut self.root, &mut moved);
        spd.work.rebuild(|v| (-0.5 * nu * v).exp(), &mut half);
        linalg::product(&half, &self.whitener.matrix.to_columns(), &mut moved, n);
        self.whitener = Whitener { matrix: Padded::from_columns(n, &moved), shape: Shape::Full };
        Ok(())
    }
}

/// The length of the next step, from what the last one, of `nu` times `before`, did to the gradient; to be
/// kept within bounds.
fn step(before: &[f64], nu: f64, gradient: &[f64]) -> f64 {
    let before_before = inner(before, before);
    let curvature = before_before - inner(before, gradient);
    if curvature > 0.0 { nu * before_before / curvature } else { f64::INFINITY }
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Weights that sum to one; equal ones if none are given.
pub(super) fn normalised(weights: Option<&[f64]>, count: usize) -> Result<Vec<f64>> {
    if count == 0 {
        return Err(Error::missing("there is no matrix to take the mean of"));
    }
    let Some(weights) = weights else {
        return Ok(vec![1.0 / count as f64; count]);
    };
    let sum: f64 = weights.iter().sum();
    if weights.len() != count || !sum.is_finite() || weights.iter().any(|w| *w <= 0.0) {
        return Err(Error::mismatch(format!("expected {count} weights, all positive and finite")));
    }
    Ok(weights.iter().map(|w| w / sum).collect())
}
