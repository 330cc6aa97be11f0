//! Covariance of a window, plain or shrunk towards a multiple of the identity.
//!
//! In: a window of n samples x p channels. Out: a symmetric p x p matrix.
//!
//! ```text
//! S  = Xc' Xc / n                        Xc: the window less its mean per channel
//! mu = trace(S) / p
//! C  = (1 - r) S + r mu I
//!
//! scm  r = 0
//! cov  r = 0, and n - 1 in place of n
//! oas  r = min(1, (a + mu^2) / ((n + 1) (a - mu^2 / p)))            a = mean of the squares in S
//! lwf  r = min(b, d) / d    d = (|S|^2 - p mu^2) / p    b = (mean over samples of |x|^4 - |S|^2) / (n p)
//! sch  cov, with what is off the diagonal times 1 - r: see [`schaefer`](super::schaefer)
//! hub, tyl  M-estimators: see [`robust`](super::robust)
//! ```
//!
//! Delay: none. References: scikit-learn `empirical_covariance`, `OAS`, `LedoitWolf` (which carry out
//! exactly these sums); NumPy `cov`; Chen, Wiesel, Eldar, Hero 2010; Ledoit, Wolf 2004.

use super::robust::{MEstimate, Weighting};
use super::schaefer;
use super::shrinkage::Raw;
use crate::error::{Error, Result};
use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, MatMut, MatRef, Par};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a covariance is estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Estimator {
    /// Sample covariance, divided by the number of samples.
    Scm,
    /// Oracle approximating shrinkage: well conditioned even for short windows.
    #[default]
    Oas,
    /// Ledoit-Wolf shrinkage.
    Lwf,
    /// Sample covariance, divided by one less than the number of samples, as NumPy's `cov`.
    Cov,
    /// Schaefer-Strimmer: keeps the variances and shrinks the correlations.
    Sch,
    /// Huber's M-estimator: samples that lie far out count less. Needs more samples than channels, and
    /// takes some times as long.
    Hub,
    /// Tyler's M-estimator: only the direction of each sample counts, so the power of the window is
    /// lost. Needs more samples than channels, and takes some times as long.
    Tyl,
}

impl Estimator {
    /// Whether sums of products of the samples are all that it needs, so that those of a sliding window
    /// can be kept.
    pub fn needs_products_only(self) -> bool {
        matches!(self, Self::Scm | Self::Cov | Self::Oas)
    }

    /// Whether it divides by one less than the number of samples.
    pub(super) fn is_unbiased(self) -> bool {
        matches!(self, Self::Cov | Self::Sch)
    }

    /// Checks that windows of `rows` samples x `cols` channels are long enough for it.
    pub fn check(self, rows: usize, cols: usize) -> Result<()> {
        let least = match self {
            Self::Scm | Self::Oas | Self::Lwf => return Ok(()),
            Self::Cov | Self::Sch => 2,
            Self::Hub | Self::Tyl => cols + 1,
        };
        if rows >= least {
            return Ok(());
        }
        Err(Error::setting(
            "estimator",
            format!(
                "this estimator needs at least {least} samples in a window of {cols} channels, but there \
                 are {rows}: make the windows longer, or use `oas`, which can do with any"
            ),
        ))
    }
}

/// How many bytes of the window are centred and multiplied at a time: few enough to stay in the
/// second-level cache, beside the window that has just been written.
const PART_BYTES: usize = 128 << 10;

/// An estimator with the memory it needs for windows of one shape.
#[derive(Debug, Clone, Default)]
pub struct Covariance {
    estimator: Estimator,
    rows: usize,
    cols: usize,
    mean: Vec<f64>,
    /// Some rows of the window less the mean.
    centred: Vec<f64>,
    /// Sum over the samples of |x|^4, for Ledoit-Wolf.
    fourth: f64,
    /// What does the work for Huber's and Tyler's.
    robust: Option<Box<MEstimate>>,
}

impl Covariance {
    /// An estimator for windows of `rows` samples x `cols` channels.
    pub fn new(estimator: Estimator, rows: usize, cols: usize) -> Self {
        let part = (PART_BYTES / 8 / cols.max(1)).clamp(1, rows.max(1));
        let (mean, centred) = (vec![0.0; cols], vec![0.0; part * cols]);
        let robust = match estimator {
            Estimator::Hub => Some(Weighting::Huber),
            Estimator::Tyl => Some(Weighting::Tyler),
            _ => None,
        };
        let robust = robust.map(|weighting| Box::new(MEstimate::new(weighting, rows, cols)));
        Self { estimator, rows, cols, mean, centred, fourth: 0.0, robust }
    }

    /// Puts the covariance of `window` (rows x cols, row by row) into `out` (cols x cols).
    ///
    /// Takes no memory, but for the product's own scratch at the first call on a thread. What is
    /// not finite in the window makes what comes out not finite, and so do channels that depend on each
    /// other where an M-estimator is asked for. Both slices must have the length that the shape says.
    pub fn estimate(&mut self, window: &[f64], out: &mut [f64]) {
        let (n, p) = (self.rows, self.cols);
        debug_assert_eq!((window.len(), out.len()), (n * p, p * p));
        if n == 0 || p == 0 {
            return;
        }
        self.find_mean(window);
        if let Some(robust) = &mut self.robust {
            if robust.estimate(window, &self.mean, out).is_err() {
                out.fill(f64::NAN);
            }
            return;
        }
        self.sum_products(window, out);
        if self.estimator == Estimator::Sch {
            // The part of the window that was centred last has done its duty.
            let keep = 1.0 - schaefer::share(window, &self.mean, out, &mut self.centred[..p]);
            let beside = out.iter_mut().enumerate().filter(|(e, _)| e / p != e % p);
            beside.for_each(|(_, v)| *v *= keep);
        }
    }

    /// What comes of the sums of products.
    fn sum_products(&mut self, window: &[f64], out: &mut [f64]) {
        let (n, p) = (self.rows, self.cols);
        self.fourth = 0.0;
        let mut accumulate = Accum::Replace;
        for part in window.chunks(self.centred.len()) {
            self.centre(part);
            // Row by row as p x n is column by column as n x p, so `x` is Xc'.
            let x = MatRef::from_column_major_slice(&self.centred[..part.len()], p, part.len() / p);
            matmul(
                MatMut::from_column_major_slice_mut(&mut *out, p, p),
                BlockStructure::TriangularLower,
                accumulate,
                x,
                BlockStructure::Rectangular,
                x.transpose(),
                BlockStructure::Rectangular,
                1.0 / n as f64,
                Par::Seq,
            );
            accumulate = Accum::Add;
        }
        let raw =
            Raw { estimator: self.estimator, n, fourth: self.fourth, scale: 1.0, offsets: &[] };
        raw.finish(out, p);
    }

    fn find_mean(&mut self, window: &[f64]) {
        self.mean.fill(0.0);
        for row in window.chunks_exact(self.cols) {
            self.mean.iter_mut().zip(row).for_each(|(m, x)| *m += x);
        }
        self.mean.iter_mut().for_each(|m| *m /= self.rows as f64);
    }

    /// Centres some rows and adds to what Ledoit-Wolf needs of them.
    fn centre(&mut self, rows: &[f64]) {
        for (to, row) in self.centred.chunks_exact_mut(self.cols).zip(rows.chunks_exact(self.cols))
        {
            for ((to, x), m) in to.iter_mut().zip(row).zip(&self.mean) {
                *to = x - m;
            }
            if self.estimator == Estimator::Lwf {
                self.fourth += to.iter().map(|x| x * x).sum::<f64>().powi(2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that keep the trace of the sample covariance.
    const ALL: [Estimator; 3] = [Estimator::Scm, Estimator::Oas, Estimator::Lwf];

    fn covariance(estimator: Estimator, window: &[f64], cols: usize) -> Vec<f64> {
        let mut out = vec![f64::NAN; cols * cols];
        Covariance::new(estimator, window.len() / cols, cols).estimate(window, &mut out);
        out
    }

    #[test]
    fn by_hand() {
        let window = [1.0, 10.0, 3.0, 10.0, 5.0, 13.0];
        let got = covariance(Estimator::Scm, &window, 2);
        let want = [8.0 / 3.0, 2.0, 2.0, 2.0];
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
    }

    #[test]
    fn shrinkage_keeps_trace_and_symmetry_for_any_shape() {
        for (rows, cols) in [(1, 1), (2, 5), (9, 4), (40, 17), (300, 64)] {
            let window: Vec<f64> =
                (0..rows * cols).map(|i| ((i * i * 31 + i * 7) % 97) as f64 - 48.0).collect();
            let trace = |m: &[f64]| m.iter().step_by(cols + 1).sum::<f64>();
            let plain = trace(&covariance(Estimator::Scm, &window, cols));
            for estimator in ALL {
                let got = covariance(estimator, &window, cols);
                assert!((trace(&got) - plain).abs() <= 1e-9 * plain);
                for i in 0..cols {
                    assert!((0..cols).all(|j| got[i * cols + j] == got[j * cols + i]));
                }
            }
        }
    }

    #[test]
    fn constant_and_broken_windows_do_not_panic() {
        for estimator in ALL {
            assert!(covariance(estimator, &[3.0; 12], 3).iter().all(|v| *v == 0.0));
            let broken = covariance(estimator, &[1.0, f64::NAN, 2.0, 3.0], 2);
            assert!(broken.iter().any(|v| !v.is_finite()));
            assert!(covariance(estimator, &[], 2).iter().all(|v| v.is_nan()));
        }
    }
}
