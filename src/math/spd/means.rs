//! Means under the other metrics.

use super::mean::{Slope, normalised};
use super::metric::{Geometry, Metric};
use super::{Mean, NotSpd, linalg};
use crate::error::{Error, Result};

/// The Wasserstein mean has converged when a step moves the root by no more than this share of it.
const TOLERANCE: f64 = 1e-13;
/// The most steps towards it.
const MAX_STEPS: usize = 500;
/// Rounding is all that is left when steps have not become smaller for so many.
const PATIENCE: usize = 8;

impl Geometry {
    /// The mean of `matrices` under the metric, weighted if `weights` (positive, any scale) are given.
    /// Allocates.
    pub fn mean(&mut self, matrices: &[&[f64]], weights: Option<&[f64]>) -> Result<Mean> {
        match self.metric {
            Metric::Riemann => self.spd.mean(matrices, weights),
            Metric::LogDet => self.spd.descend(matrices, weights, Slope::LogDet),
            Metric::Wasserstein => self.wasserstein_mean(matrices, weights),
            Metric::LogEuclid | Metric::Euclid | Metric::LogChol => {
                self.flat_mean(matrices, weights)
            }
        }
    }

    fn flat_mean(&mut self, matrices: &[&[f64]], weights: Option<&[f64]>) -> Result<Mean> {
        let weights = normalised(weights, matrices.len())?;
        let mut sum = vec![0.0; self.n() * self.n()];
        for (i, (x, w)) in matrices.iter().zip(&weights).enumerate() {
            self.check_len(i, matrices)?;
            self.chart(x).map_err(|e| broken(i, matrices, e))?;
            sum.iter_mut().zip(&self.chart).for_each(|(sum, x)| *sum += w * x);
        }
        self.chart.copy_from_slice(&sum);
        self.unchart(&mut sum).map_err(|e| Error::run(format!("the mean of the matrices {e}")))?;
        Ok(Mean { matrix: sum, converged: true, gradient: 0.0 })
    }

    /// M = R R^T, where R is moved to the mean of the roots of the matrices that are nearest to it, until it
    /// stays where it is. The fixed point of Alvarez-Esteban et al., J. Math. Anal. Appl. 441 (2016), which
    /// is pyRiemann's step too, without an inverse.
    fn wasserstein_mean(&mut self, matrices: &[&[f64]], weights: Option<&[f64]>) -> Result<Mean> {
        let weights = normalised(weights, matrices.len())?;
        let mut roots = Vec::new();
        let mut start = vec![0.0; self.n() * self.n()];
        for (i, (x, w)) in matrices.iter().zip(&weights).enumerate() {
            self.check_len(i, matrices)?;
            roots.push(self.root(x).map_err(|e| broken(i, matrices, e))?);
            start.iter_mut().zip(*x).for_each(|(m, x)| *m += w * x);
        }
        let failed = |e: NotSpd| Error::run(format!("the mean of the matrices {e}"));
        let mut root = self.root(&start).map_err(failed)?;
        let (mut least, mut since) = (f64::INFINITY, 0);
        let (mut change, mut converged) = (f64::INFINITY, false);
        for _ in 0..MAX_STEPS {
            let mut next = vec![0.0; root.len()];
            for (x, w) in roots.iter().zip(&weights) {
                self.chart.copy_from_slice(x);
                self.align(&root).map_err(failed)?;
                next.iter_mut().zip(&self.moved).for_each(|(n, x)| *n += w * x);
            }
            change = linalg::distance(&next, &root) / linalg::norm(&next);
            root = next;
            since = if change < least { 0 } else { since + 1 };
            least = least.min(change);
            converged = change <= TOLERANCE || (since == PATIENCE && least < 1e-10);
            if converged || since == PATIENCE {
                break;
            }
        }
        let mut matrix = vec![0.0; root.len()];
        linalg::outer(&root, &root, &mut matrix, self.n());
        Ok(Mean { matrix, converged, gradient: change })
    }

    fn check_len(&self, i: usize, matrices: &[&[f64]]) -> Result<()> {
        let (got, want) = (matrices[i].len(), self.n() * self.n());
        if got == want {
            return Ok(());
        }
        let text = format!("{} has {got} numbers, expected {want}", name(i, matrices));
        Err(Error::mismatch(text))
    }
}

fn name(i: usize, matrices: &[&[f64]]) -> String {
    format!("matrix {} of {}", i + 1, matrices.len())
}

fn broken(i: usize, matrices: &[&[f64]], error: NotSpd) -> Error {
    Error::mismatch(format!("{} {error}", name(i, matrices)))
}
