//! The Siegel disk: matrices whose singular values are below one, with the metric that makes of them a
//! symmetric space of no positive curvature.
//!
//! In: real n x n matrices, column by column. A matrix O is taken to the centre, and P with it, by
//!
//! ```text
//! shift(O, P) = (1 - O O')^1/2 (1 - P O')^-1 (P - O) (1 - O' O)^-1/2
//! ```
//!
//! and back by shift(-O, ..). With shift(O, P) = U diag(s) V':
//!
//! ```text
//! distance(O, P)^2 = sum of artanh(s)^2
//! log(O, P)        = U diag(artanh s) V'     as long as the distance
//! exp(O, T)        = shift(-O, U diag(tanh s) V')     for T = U diag(s) V'
//! mean             = the M at which the logs of all matrices sum to zero
//! ```
//!
//! The distance is that of tr artanh^2(C^1/2), C = (P - O)(1 - O' P)^-1 (P' - O')(1 - O P')^-1, whose
//! eigenvalues are s^2; found from s itself, it is exact for matrices that are close. Reference: Cabanes and
//! Nielsen, GSI 2021, for symmetric spaces of block Toeplitz matrices.

use super::decompose::{Singular, Solver};
use super::linalg::{self, NotSpd, Symmetric};
use crate::error::{Error, Result};

/// The mean has converged when the norm of the gradient is below this.
const TOLERANCE: f64 = 1e-12;
/// The most steps towards the mean.
const MAX_STEPS: usize = 200;
/// Rounding is all that is left when the gradient has not become smaller for so many steps.
const PATIENCE: usize = 8;
/// Rounding leaves the gradient below this.
const ROUNDING: f64 = 1e-9;

/// Scratch for the disk of n x n matrices. What says so allocates; nothing else does after the first
/// call.
pub struct Siegel {
    n: usize,
    work: Symmetric,
    singular: Singular,
    solver: Solver,
    product: Vec<f64>,
    shifted: Vec<f64>,
}

/// A matrix O of the disk, prepared to be taken to the centre.
#[derive(Debug, Clone)]
pub struct Centre {
    point: Vec<f64>,
    /// (1 - O O')^1/2.
    left: Vec<f64>,
    /// (1 - O' O)^-1/2.
    right: Vec<f64>,
}

impl Siegel {
    /// Room for matrices of `n` x `n`, `n` at least 1. Allocates.
    pub fn new(n: usize) -> Self {
        let square = || vec![0.0; n * n];
        Self {
            n,
            work: Symmetric::new(n),
            singular: Singular::new(n),
            solver: Solver::new(n),
            product: square(),
            shifted: square(),
        }
    }

    /// Prepares `point`. Allocates. An error if it is not inside the disk.
    pub fn centre(&mut self, point: &[f64]) -> Result<Centre, NotSpd> {
        let n = self.n;
        let (mut left, mut right) = (vec![0.0; n * n], vec![0.0; n * n]);
        let mut turned = vec![0.0; n * n];
        linalg::transpose(point, &mut turned, n);
        for (a, power, out) in [(point, 0.5, &mut left), (&turned, -0.5, &mut right)] {
            linalg::outer(a, a, &mut self.product, n);
            one_minus(&mut self.product, n);
            self.work.eigen(&self.product)?;
            if self.work.values().iter().any(|v| *v <= linalg::rounding(n)) {
                return Err(NotSpd::NotPositive);
            }
            self.work.rebuild(|v| v.powf(power), out);
        }
        Ok(Centre { point: point.to_vec(), left, right })
    }

    /// Puts shift(`sign` O, P) into `self.shifted`.
    fn shift(&mut self, centre: &Centre, sign: f64, p: &[f64]) -> Result<(), NotSpd> {
        linalg::finite(p)?;
        let n = self.n;
        linalg::product_with_transposed(p, &centre.point, &mut self.product, n);
        self.product.iter_mut().for_each(|v| *v *= sign);
        one_minus(&mut self.product, n);
        let moved = self.shifted.iter_mut().zip(p).zip(&centre.point);
        moved.for_each(|((to, p), o)| *to = p - sign * o);
        self.solver.solve(&mut self.product, &mut self.shifted);
        linalg::product(&centre.left, &self.shifted, &mut self.product, n);
        linalg::product(&self.product, &centre.right, &mut self.shifted, n);
        linalg::finite(&self.shifted)
    }

    /// The square of the distance of `p` to `centre`.
    pub fn distance_squared(&mut self, centre: &Centre, p: &[f64]) -> Result<f64, NotSpd> {
        self.shift(centre, 1.0, p)?;
        self.singular.find_values(&self.shifted)?;
        inside(self.singular.values())?;
        Ok(self.singular.values().iter().map(|s| s.atanh().powi(2)).sum())
    }

    /// The logarithm of `p` at `centre`: a matrix whose Frobenius norm is the distance.
    pub fn log(&mut self, centre: &Centre, p: &[f64], out: &mut [f64]) -> Result<(), NotSpd> {
        self.shift(centre, 1.0, p)?;
        self.singular.decompose(&self.shifted)?;
        inside(self.singular.values())?;
        self.singular.rebuild(f64::atanh, out);
        Ok(())
    }

    /// The point of the disk whose logarithm at `centre` is `t`. An error where it lies on the border up
    /// to rounding.
    pub fn exp(&mut self, centre: &Centre, t: &[f64], out: &mut [f64]) -> Result<(), NotSpd> {
        self.singular.decompose(t)?;
        self.singular.rebuild(f64::tanh, out);
        self.shift(centre, -1.0, out)?;
        out.copy_from_slice(&self.shifted);
        Ok(())
    }

    /// The mean of `points`, whose `weights` sum to one, by Karcher's flow from the arithmetic mean on:
    /// M <- exp(M, nu * sum of w log(M, P)), where nu is 1, and half of that each time that the gradient
    /// grows. Allocates.
    pub fn mean(&mut self, points: &[&[f64]], weights: &[f64]) -> Result<Vec<f64>> {
        let failed = |e| match e {
            NotSpd::NotFinite => {
                Error::run("the mean of matrices of the Siegel disk is not finite")
            }
            NotSpd::NotPositive => {
                Error::run("a matrix lies on the border of the Siegel disk: use more shrinkage")
            }
        };
        let mut mean = vec![0.0; self.n * self.n];
        for (p, w) in points.iter().zip(weights) {
            mean.iter_mut().zip(*p).for_each(|(m, p)| *m += w * p);
        }
        let (mut nu, mut last) = (1.0, f64::INFINITY);
        let (mut least, mut since) = (f64::INFINITY, 0);
        let mut gradient = vec![0.0; mean.len()];
        for _ in 0..MAX_STEPS {
            let centre = self.centre(&mean).map_err(failed)?;
            self.gradient(&centre, points, weights, &mut gradient).map_err(failed)?;
            let norm = linalg::norm(&gradient);
            since = if norm < least { 0 } else { since + 1 };
            least = least.min(norm);
            if norm <= TOLERANCE || (since == PATIENCE && least <= ROUNDING) {
                return Ok(mean);
            }
            if norm > last {
                nu *= 0.5;
            }
            last = norm;
            gradient.iter_mut().for_each(|v| *v *= nu);
            self.exp(&centre, &gradient, &mut mean).map_err(failed)?;
        }
        tracing::warn!(gradient = last, "the mean on the Siegel disk has not fully converged");
        Ok(mean)
    }

    /// The weighted sum of the logarithms of `points` at `centre`.
    pub fn gradient(
        &mut self,
        centre: &Centre,
        points: &[&[f64]],
        weights: &[f64],
        out: &mut [f64],
    ) -> Result<(), NotSpd> {
        out.fill(0.0);
        let mut log = vec![0.0; out.len()];
        for (p, w) in points.iter().zip(weights) {
            self.log(centre, p, &mut log)?;
            out.iter_mut().zip(&log).for_each(|(sum, v)| *sum += w * v);
        }
        Ok(())
    }
}

/// 1 - A in place of A.
fn one_minus(a: &mut [f64], n: usize) {
    a.iter_mut().for_each(|v| *v = -*v);
    a.iter_mut().step_by(n + 1).for_each(|v| *v += 1.0);
}

/// Refuses singular values of one or more.
fn inside(values: &[f64]) -> Result<(), NotSpd> {
    if values.iter().all(|s| *s < 1.0) { Ok(()) } else { Err(NotSpd::NotPositive) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::spd::Spd;
    use crate::math::testing::numbers;

    const SIZES: [usize; 5] = [1, 2, 3, 8, 22];

    /// A random matrix whose largest singular value is `most`.
    fn point(n: usize, most: f64, seed: u64) -> Vec<f64> {
        let mut a = numbers(n * n, seed);
        let mut singular = Singular::new(n);
        singular.decompose(&a).unwrap();
        let scale = most / singular.values()[0];
        a.iter_mut().for_each(|v| *v *= scale);
        a
    }

    /// exp of twice [[0, T], [T', 0]], where tanh T = O: the disk lies in the manifold of positive
    /// matrices of twice the size, as a flat-lying part whose distances are sqrt(8) times as long.
    fn positive(n: usize, o: &[f64]) -> Vec<f64> {
        let mut singular = Singular::new(n);
        let mut log = vec![0.0; n * n];
        singular.decompose(o).unwrap();
        singular.rebuild(f64::atanh, &mut log);
        let m = 2 * n;
        let mut doubled = vec![0.0; m * m];
        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let value = 2.0 * log[j * n + i];
            (doubled[i * m + n + j], doubled[(n + j) * m + i]) = (value, value);
        }
        let mut out = vec![0.0; m * m];
        Spd::new(m).exp(&doubled, &mut out).unwrap();
        out
    }

    /// Tolerance: that of the affine-invariant distance of matrices of condition ((1 + s) / (1 - s))^2,
    /// some hundred here.
    #[test]
    fn distances_are_those_of_positive_matrices() {
        for n in SIZES {
            for (seed, most) in [(1, 0.3), (2, 0.8)] {
                let (o, p) = (point(n, most, seed), point(n, 0.7, seed + 10));
                let mut siegel = Siegel::new(n);
                let centre = siegel.centre(&o).unwrap();
                let got = siegel.distance_squared(&centre, &p).unwrap();
                let want = Spd::new(2 * n).distance(&positive(n, &o), &positive(n, &p)).unwrap();
                assert!((got.sqrt() - want / 8.0_f64.sqrt()).abs() < 1e-11, "{n} {most}");
                let centre = siegel.centre(&p).unwrap();
                let back = siegel.distance_squared(&centre, &o).unwrap();
                assert!((got - back).abs() < 1e-12 * got, "{n} {most}: not symmetric");
                assert!(siegel.distance_squared(&centre, &p).unwrap() < 1e-28);
            }
        }
    }

    #[test]
    fn there_and_back_again() {
        for n in SIZES {
            let (o, p) = (point(n, 0.9, 3), point(n, 0.6, 4));
            let mut siegel = Siegel::new(n);
            let centre = siegel.centre(&o).unwrap();
            let (mut log, mut back) = (vec![0.0; n * n], vec![0.0; n * n]);
            siegel.log(&centre, &p, &mut log).unwrap();
            let d = siegel.distance_squared(&centre, &p).unwrap();
            assert!((linalg::norm(&log).powi(2) - d).abs() < 1e-12 * d);
            siegel.exp(&centre, &log, &mut back).unwrap();
            assert!(linalg::distance(&back, &p) < 1e-12, "{n}");
        }
    }

    #[test]
    fn the_gradient_at_the_mean_is_zero() {
        for n in SIZES {
            let points: Vec<_> = (0..7).map(|i| point(n, 0.1 + 0.12 * i as f64, 20 + i)).collect();
            let points: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
            let weights: Vec<f64> = (1..8).map(|w| f64::from(w) / 28.0).collect();
            let mut siegel = Siegel::new(n);
            let mean = siegel.mean(&points, &weights).unwrap();
            let centre = siegel.centre(&mean).unwrap();
            let mut gradient = vec![0.0; n * n];
            siegel.gradient(&centre, &points, &weights, &mut gradient).unwrap();
            assert!(linalg::norm(&gradient) < 1e-11, "{n}: {:e}", linalg::norm(&gradient));
        }
    }

    #[test]
    fn what_is_not_inside_is_refused() {
        let mut siegel = Siegel::new(2);
        assert_eq!(siegel.centre(&[1.0, 0.0, 0.0, 0.5]).unwrap_err(), NotSpd::NotPositive);
        assert!(siegel.centre(&[f64::NAN, 0.0, 0.0, 0.5]).is_err());
        let centre = siegel.centre(&[0.2, 0.0, 0.1, 0.5]).unwrap();
        for bad in [[1.0, 0.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0], [f64::NAN; 4], [1e200; 4]] {
            assert!(siegel.distance_squared(&centre, &bad).is_err(), "{bad:?}");
        }
        assert!(siegel.mean(&[&[1.0, 0.0, 0.0, 0.0]], &[1.0]).is_err());
    }
}
