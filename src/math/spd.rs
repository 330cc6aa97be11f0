//! The geometry of symmetric positive definite (SPD) matrices under the affine-invariant metric.
//!
//! In: n x n matrices as slices. Out: matrices, vectors of n(n+1)/2 numbers, or distances.
//! - distance(A, B) = sqrt(sum_i ln(v_i)^2), v_i the eigenvalues of A^-1 B
//! - mean(X_1..X_m) = the M at the least sum_i w_i distance(M, X_i)^2
//! - tangent(C) at reference M = the upper triangle, row by row, of log(M^-1/2 C M^-1/2), where
//!   entries off the diagonal are multiplied by sqrt(2), so that the vector's length is
//!   distance(M, C)
//!
//! References: Moakher, SIAM J. Matrix Anal. Appl. 26 (2005); Barachant et al., IEEE Trans. Biomed.
//! Eng. 59 (2012); the steps of the mean are those of pyRiemann's `mean_riemann`.

pub use super::linalg::NotSpd;
use super::linalg::{Shape, Symmetric, finite};
use crate::error::{Error, Result as ControlResult};
use std::f64::consts::SQRT_2;

/// When the mean has converged: norm of the gradient, and smallest step.
const TOLERANCE: f64 = 1e-8;
/// A matrix whose numbers are all below this is taken for zero: their squares might underflow.
const SMALLEST: f64 = 1e-150;
/// The most steps towards the mean.
const MAX_STEPS: usize = 50;

/// Scratch for SPD matrices of one size. Nothing but the mean allocates after the first call.
pub struct Spd {
    work: Symmetric,
    factor: Vec<f64>,
    white: Vec<f64>,
}

/// An affine-invariant mean.
#[derive(Debug, Clone)]
pub struct Mean {
    /// The mean, n x n.
    pub matrix: Vec<f64>,
    /// Whether the gradient or the step fell below the tolerance within the allowed steps.
    pub converged: bool,
    /// Norm of the gradient at the last step.
    pub gradient: f64,
}

/// Length of the tangent vector of an `n` x `n` matrix.
pub fn tangent_len(n: usize) -> usize {
    n * (n + 1) / 2
}

impl Spd {
    /// Room for matrices of `n` x `n`, `n` at least 1.
    pub fn new(n: usize) -> Self {
        Self { work: Symmetric::new(n), factor: vec![0.0; n * n], white: vec![0.0; n * n] }
    }

    /// The square root of `c`.
    pub fn sqrt(&mut self, c: &[f64], out: &mut [f64]) -> Result<(), NotSpd> {
        self.function(c, f64::sqrt, out)
    }

    /// The inverse square root of `c`.
    pub fn inverse_sqrt(&mut self, c: &[f64], out: &mut [f64]) -> Result<(), NotSpd> {
        self.function(c, |v| v.sqrt().recip(), out)
    }

    /// The logarithm of `c`.
    pub fn log(&mut self, c: &[f64], out: &mut [f64]) -> Result<(), NotSpd> {
        self.function(c, f64::ln, out)
    }

    /// The exponential of the symmetric matrix `s`, which need not be positive.
    pub fn exp(&mut self, s: &[f64], out: &mut [f64]) -> Result<(), NotSpd> {
        self.work.eigen(s)?;
        self.work.rebuild(f64::exp, out);
        if out.iter().all(|v| v.is_finite()) { Ok(()) } else { Err(NotSpd::NotFinite) }
    }

    fn function(
        &mut self,
        c: &[f64],
        f: impl Fn(f64) -> f64,
        out: &mut [f64],
    ) -> Result<(), NotSpd> {
        positive_eigen(&mut self.work, c)?;
        self.work.rebuild(f, out);
        Ok(())
    }

    /// The inverse Cholesky factor of a reference, column by column, for [`Self::distances`].
    pub fn inverse_factor(&mut self, reference: &[f64], out: &mut [f64]) -> Result<(), NotSpd> {
        self.work.cholesky(reference, &mut self.factor)?;
        self.work.invert_lower(&self.factor, out);
        Ok(())
    }

    /// The distance of `c` to each reference; `inverse_factors` holds one inverse Cholesky factor
    /// after the other. With C = L L^T and G the inverse factor, the eigenvalues wanted are those of
    /// (G L)(G L)^T, so that L is found once for all references.
    pub fn distances(
        &mut self,
        c: &[f64],
        inverse_factors: &[f64],
        out: &mut [f64],
    ) -> Result<(), NotSpd> {
        self.work.cholesky(c, &mut self.factor)?;
        for (g, d) in inverse_factors.chunks_exact(c.len()).zip(out) {
            self.work.congruence(g, Shape::Lower, &self.factor, &mut self.white);
            plausible(&self.work, &self.white)?;
            self.work.eigenvalues(&self.white)?;
            positive(&self.work)?;
            *d = self.work.values().iter().map(|v| v.ln().powi(2)).sum::<f64>().sqrt();
        }
        Ok(())
    }

    /// The distance between `a` and `b`. For many distances to one matrix prefer
    /// [`Self::distances`]; this one allocates.
    pub fn distance(&mut self, a: &[f64], b: &[f64]) -> Result<f64, NotSpd> {
        let mut inverse_factor = vec![0.0; a.len()];
        self.inverse_factor(a, &mut inverse_factor)?;
        let mut distance = [0.0];
        self.distances(b, &inverse_factor, &mut distance)?;
        Ok(distance[0])
    }

    /// The tangent vector of `c` at the reference whose inverse square root is `whitener`.
    pub fn tangent(&mut self, whitener: &[f64], c: &[f64], out: &mut [f64]) -> Result<(), NotSpd> {
        self.work.cholesky(c, &mut self.factor)?;
        self.work.congruence(whitener, Shape::Full, &self.factor, &mut self.white);
        positive_eigen(&mut self.work, &self.white)?;
        self.work.rebuild(f64::ln, &mut self.white);
        let n = self.work.n();
        let mut rest = out;
        for (i, row) in self.white.chunks_exact(n).enumerate() {
            let (head, tail) = rest.split_at_mut(n - i);
            head[0] = row[i];
            for (o, v) in head[1..].iter_mut().zip(&row[i + 1..]) {
                *o = SQRT_2 * v;
            }
            rest = tail;
        }
        Ok(())
    }

    /// The mean of `matrices`, weighted if `weights` (positive, any scale) are given. It starts at
    /// the arithmetic mean and repeats: J = sum_i w_i log(M^-1/2 X_i M^-1/2),
    /// M = M^1/2 exp(nu J) M^1/2; nu starts at 1 and is multiplied by 0.95 while nu |J| falls, by
    /// 0.5 otherwise.
    pub fn mean(&mut self, matrices: &[&[f64]], weights: Option<&[f64]>) -> ControlResult<Mean> {
        let size = self.white.len();
        let weights = normalised(weights, matrices.len())?;
        let mut factors = vec![0.0; size * matrices.len()];
        let mut m = vec![0.0; size];
        for (i, (x, l)) in matrices.iter().zip(factors.chunks_exact_mut(size)).enumerate() {
            if x.len() != size {
                return Err(Error::mismatch(format!(
                    "matrix {} of {} has {} numbers, expected {size}",
                    i + 1,
                    matrices.len(),
                    x.len()
                )));
            }
            self.work.cholesky(x, l).map_err(|e| {
                Error::mismatch(format!("matrix {} of {} {e}", i + 1, matrices.len()))
            })?;
            for (m, x) in m.iter_mut().zip(*x) {
                *m += weights[i] * x;
            }
        }
        let broken = |e: NotSpd| Error::run(format!("the mean of the matrices {e}"));
        let (mut root, mut inverse_root) = (vec![0.0; size], vec![0.0; size]);
        let (mut gradient, mut step) = (vec![0.0; size], vec![0.0; size]);
        let (mut nu, mut best, mut norm) = (1.0, f64::MAX, f64::MAX);
        for _ in 0..MAX_STEPS {
            positive_eigen(&mut self.work, &m).map_err(broken)?;
            self.work.rebuild(f64::sqrt, &mut root);
            self.work.rebuild(|v| v.sqrt().recip(), &mut inverse_root);
            gradient.fill(0.0);
            for (l, w) in factors.chunks_exact(size).zip(&weights) {
                self.work.congruence(&inverse_root, Shape::Full, l, &mut self.white);
                positive_eigen(&mut self.work, &self.white).map_err(broken)?;
                self.work.rebuild(f64::ln, &mut self.white);
                for (g, v) in gradient.iter_mut().zip(&self.white) {
                    *g += w * v;
                }
            }
            norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            self.work.eigen(&gradient).map_err(broken)?;
            self.work.rebuild(|v| (nu * v).exp(), &mut step);
            self.work.sandwich(&root, &step, &mut m);
            if nu * norm < best {
                best = nu * norm;
                nu *= 0.95;
            } else {
                nu *= 0.5;
            }
            if norm <= TOLERANCE || nu <= TOLERANCE {
                return Ok(Mean { matrix: m, converged: true, gradient: norm });
            }
        }
        Ok(Mean { matrix: m, converged: false, gradient: norm })
    }
}

/// Finds eigenvalues and eigenvectors of `a`, all eigenvalues positive beyond rounding.
fn positive_eigen(work: &mut Symmetric, a: &[f64]) -> Result<(), NotSpd> {
    plausible(work, a)?;
    work.eigen(a)?;
    positive(work)
}

/// Refuses by its diagonal, which lies between the extreme eigenvalues, a matrix that
/// [`positive`] would refuse; on such matrices the eigenvalue iteration can run very long.
fn plausible(work: &Symmetric, a: &[f64]) -> Result<(), NotSpd> {
    finite(a)?;
    let diagonal = || a.iter().step_by(work.n() + 1);
    let least = diagonal().copied().fold(f64::INFINITY, f64::min);
    let most = diagonal().copied().fold(f64::NEG_INFINITY, f64::max);
    if least <= work.rounding() * most || most < SMALLEST {
        return Err(NotSpd::NotPositive);
    }
    Ok(())
}

/// Whether the eigenvalues found last are positive beyond rounding.
fn positive(work: &Symmetric) -> Result<(), NotSpd> {
    match work.values() {
        [least, .., most] if *least > work.rounding() * most => Ok(()),
        [only] if *only > 0.0 => Ok(()),
        _ => Err(NotSpd::NotPositive),
    }
}

/// Weights that sum to one; equal ones if none are given.
fn normalised(weights: Option<&[f64]>, count: usize) -> ControlResult<Vec<f64>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commuting_matrices_by_hand() {
        let mut spd = Spd::new(2);
        let (a, b) = ([1.0, 0.0, 0.0, 4.0], [9.0, 0.0, 0.0, 1.0]);
        let want = (9.0_f64.ln().powi(2) + 0.25_f64.ln().powi(2)).sqrt();
        assert!((spd.distance(&a, &b).unwrap() - want).abs() < 1e-14);
        let mean = spd.mean(&[&a, &b], None).unwrap();
        assert!(mean.converged);
        for (got, want) in mean.matrix.iter().zip([3.0, 0.0, 0.0, 2.0]) {
            assert!((got - want).abs() < 1e-7, "{mean:?}");
        }
    }

    #[test]
    fn the_length_of_a_tangent_vector_is_the_distance() {
        let mut spd = Spd::new(2);
        let (a, b) = ([2.0, 0.3, 0.3, 1.0], [1.0, -0.2, -0.2, 5.0]);
        let (mut whitener, mut vector) = ([0.0; 4], [0.0; 3]);
        spd.inverse_sqrt(&a, &mut whitener).unwrap();
        spd.tangent(&whitener, &b, &mut vector).unwrap();
        let length = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
        assert!((length - spd.distance(&a, &b).unwrap()).abs() < 1e-13);
    }

    #[test]
    fn bad_input_is_an_error() {
        let mut spd = Spd::new(2);
        let (good, flat) = ([1.0, 0.0, 0.0, 1.0], [1.0, 2.0, 2.0, 4.0]);
        let mut out = [0.0; 4];
        assert_eq!(spd.log(&flat, &mut out), Err(NotSpd::NotPositive));
        assert_eq!(spd.tangent(&good, &flat, &mut out[..3]), Err(NotSpd::NotPositive));
        assert_eq!(spd.distance(&good, &flat), Err(NotSpd::NotPositive));
        assert_eq!(spd.distance(&flat, &good), Err(NotSpd::NotPositive));
        assert_eq!(spd.distance(&good, &[1e-300, 0.0, 0.0, 1e-300]), Err(NotSpd::NotPositive));
        assert_eq!(spd.sqrt(&[f64::NAN; 4], &mut out), Err(NotSpd::NotFinite));
        assert_eq!(spd.exp(&[1e3, 0.0, 0.0, 0.0], &mut out), Err(NotSpd::NotFinite));
        let error = spd.mean(&[&good, &flat], None).unwrap_err();
        assert_eq!(error.to_string(), "matrix 2 of 2 is not positive definite");
        assert!(spd.mean(&[], None).is_err());
        assert!(spd.mean(&[&good], Some(&[0.0])).is_err());
        assert!(spd.mean(&[&good[..1]], None).is_err());
    }
}
