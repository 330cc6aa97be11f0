//! Robust covariances: M-estimators, which give less weight to samples that lie far out.
//!
//! In: a window of n samples x p channels, n > p. Out: the p x p matrix C at which
//!
//! ```text
//! C = 1/n sum over the samples of u(d) x x'      x: a sample less the mean per channel
//!                                                d = x' C^-1 x
//! hub  u(d) = min(1, c / d) / b                  c = half the 0.9-quantile of chi-squared(p),
//!                                                b = P(2 c; p + 1) + 0.1 c / p
//! tyl  u(d) = p / d                              C is scaled to the trace p
//! ```
//!
//! The fixed point is looked for as pyRiemann's `covariance_mest` does with its defaults, so that the two
//! agree to rounding: from the sample covariance on, until a step changes C by no more than 0.01 of its
//! norm, 50 steps at most. Each step is a Cholesky factor of C and 2 n p^2 multiplications; a few are
//! usual. A sample that is equal to the mean has no direction, and does not count for Tyler's.
//!
//! References: Ollila, Tyler, Koivunen, Poor, IEEE Trans. Signal Process. 60 (2012), section V; Tyler,
//! Ann. Statist. 15 (1987).

use super::chi_squared;
use super::linalg::{self, NotSpd};
use super::padded::Padded;
use super::simd::Cpu;
use super::triangular;

/// It has arrived when a step changes the matrix by no more than this share of its norm.
const TOLERANCE: f64 = 0.01;
/// The most steps.
const MAX_STEPS: usize = 50;
/// The share of samples that Huber's takes for clean.
const CLEAN: f64 = 0.9;

/// How much a sample counts.
#[derive(Debug, Clone, Copy)]
pub enum Weighting {
    /// Huber's: all of it within a distance, less and less beyond.
    Huber,
    /// Tyler's: its direction only.
    Tyler,
}

/// An M-estimator with the memory it needs for windows of one shape.
#[derive(Debug, Clone)]
pub struct MEstimate {
    weighting: Weighting,
    cols: usize,
    /// Huber's bound c and factor 1 / b.
    bound: f64,
    factor: f64,
    /// The window less its mean, sample by sample.
    centred: Vec<f64>,
    /// The same, whitened; then weighted.
    changed: Vec<f64>,
    lower: Padded,
    next: Vec<f64>,
}

impl MEstimate {
    /// For windows of `rows` samples x `cols` channels.
    pub fn new(weighting: Weighting, rows: usize, cols: usize) -> Self {
        let p = cols.max(1);
        let bound = chi_squared::quantile(CLEAN, p) / 2.0;
        let b = chi_squared::cdf(2.0 * bound, p + 1) + bound * (1.0 - CLEAN) / p as f64;
        Self {
            weighting,
            cols,
            bound,
            factor: 1.0 / b,
            centred: vec![0.0; rows * cols],
            changed: vec![0.0; rows * cols],
            lower: Padded::new(cols),
            next: vec![0.0; cols * cols],
        }
    }

    /// Puts the estimate for `window`, row by row, into `out`. Takes no memory after the first call.
    pub fn estimate(
        &mut self,
        window: &[f64],
        mean: &[f64],
        out: &mut [f64],
    ) -> Result<(), NotSpd> {
        let p = self.cols;
        for (to, from) in self.centred.chunks_exact_mut(p).zip(window.chunks_exact(p)) {
            to.iter_mut().zip(from).zip(mean).for_each(|((to, x), m)| *to = x - m);
        }
        linalg::scatter(&self.centred, p, out);
        for _ in 0..MAX_STEPS {
            self.reweight(out)?;
            linalg::scatter(&self.changed, p, &mut self.next);
            let norm = linalg::norm(out);
            let change = linalg::distance(&self.next, out);
            out.copy_from_slice(&self.next);
            if change <= TOLERANCE * norm {
                break;
            }
        }
        if matches!(self.weighting, Weighting::Tyler) {
            let scale = p as f64 / out.iter().step_by(p + 1).sum::<f64>();
            out.iter_mut().for_each(|v| *v *= scale);
        }
        Ok(())
    }

    /// Puts the samples into `changed`, each times the root of its weight at the matrix `c`.
    fn reweight(&mut self, c: &[f64]) -> Result<(), NotSpd> {
        triangular::cholesky(Cpu::best(), c, &mut self.lower)?;
        self.changed.copy_from_slice(&self.centred);
        linalg::solve_lower(&self.lower, &mut self.changed);
        let p = self.cols;
        for (x, from) in self.changed.chunks_exact_mut(p).zip(self.centred.chunks_exact(p)) {
            let d: f64 = x.iter().map(|v| v * v).sum();
            let u = match self.weighting {
                Weighting::Huber => (self.bound / d).min(1.0) * self.factor,
                Weighting::Tyler if d > 0.0 => p as f64 / d,
                Weighting::Tyler => 0.0,
            };
            let root = u.sqrt();
            x.iter_mut().zip(from).for_each(|(x, from)| *x = root * from);
        }
        Ok(())
    }
}
