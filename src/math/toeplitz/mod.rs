//! Augmented covariances as what they are up to chance: block Toeplitz matrices.
//!
//! In: an augmented covariance of d x d blocks, each C x C. Its blocks are averaged along each block
//! diagonal,
//!
//! ```text
//! r_k = mean over i of block (i, i + k),   k = 0..d-1
//! ```
//!
//! and the block Toeplitz matrix of r_0..r_(d-1) is written as P = r_0 and the d - 1 partial correlations
//! (Verblunsky coefficients) of samples l lags apart, given those between them,
//!
//! ```text
//! Omega_1     = P^-1/2 r_1 P^-1/2
//! Omega_(l+1) = F^-1/2 D G^-1/2    F, G  what is left of the first and the last of l + 2 samples when
//!                                        those between them are known
//!                                  D     what these two have in common
//! ```
//!
//! by the recursion of Whittle (Biometrika 50, 1963), which needs no matrix larger than C x C. P is
//! positive, the Omegas have singular values below one if and only if the Toeplitz matrix is positive,
//! which an average of blocks need not be: then there is an error. The metric is that of the product,
//!
//! ```text
//! distance^2 = d distance(P, P~)^2 + sum over l = 1..d-1 of (d - l) distance(Omega_l, Omega~_l)^2
//! ```
//!
//! affine-invariant for P ([`super::spd`]), the Siegel disk's for the Omegas ([`super::siegel`]). Means are
//! the means of the parts. Reference: Carrara et al., arXiv 2406.16909; its code adds the first distance
//! without squaring it, which is no metric of a product, and is not followed here.

mod recursion;

use super::linalg::NotSpd;
use super::siegel::{self, Siegel};
use super::spd::{Spd, Whitener, tangent_len};
use crate::error::{Error, Result};
use recursion::Recursion;

/// What a block Toeplitz matrix is written as.
#[derive(Debug, Clone, PartialEq)]
pub struct Coordinates {
    /// P, C x C.
    pub power: Vec<f64>,
    /// The Omegas, d - 1 times C x C, each column by column.
    pub omegas: Vec<f64>,
}

/// A point, prepared for distances and tangent vectors.
#[derive(Debug, Clone)]
pub struct Centre {
    whitener: Whitener,
    omegas: Vec<siegel::Centre>,
}

/// Scratch for matrices of d x d blocks of C x C. What says so allocates; nothing else does after the
/// first call.
pub struct Toeplitz {
    order: usize,
    cols: usize,
    spd: Spd,
    siegel: Siegel,
    recursion: Recursion,
    here: Coordinates,
}

impl Toeplitz {
    /// For `order` x `order` blocks of `cols` x `cols`, both at least 1. Allocates.
    pub fn new(order: usize, cols: usize) -> Self {
        let block = cols * cols;
        Self {
            order,
            cols,
            spd: Spd::new(cols),
            siegel: Siegel::new(cols),
            recursion: Recursion::new(order, cols),
            here: Coordinates { power: vec![0.0; block], omegas: vec![0.0; (order - 1) * block] },
        }
    }

    /// Length of the tangent vector.
    pub fn tangent_len(&self) -> usize {
        tangent_len(self.cols) + (self.order - 1) * self.cols * self.cols
    }

    /// How many numbers a covariance has.
    pub fn matrix_len(&self) -> usize {
        (self.order * self.cols).pow(2)
    }

    /// The coordinates of the covariance `c`. Allocates.
    pub fn coordinates(&mut self, c: &[f64]) -> Result<Coordinates, NotSpd> {
        self.recursion.run(c, &mut self.here)?;
        Ok(self.here.clone())
    }

    /// Prepares distances to `point`. Allocates.
    pub fn centre(&mut self, point: &Coordinates) -> Result<Centre, NotSpd> {
        let whitener = self.spd.lower_whitener(&point.power)?;
        Ok(Centre { whitener, omegas: self.disks(point)? })
    }

    /// Prepares tangent vectors at `point`. Allocates.
    pub fn tangent_at(&mut self, point: &Coordinates) -> Result<Centre, NotSpd> {
        let whitener = self.spd.whitener(&point.power)?;
        Ok(Centre { whitener, omegas: self.disks(point)? })
    }

    fn disks(&mut self, point: &Coordinates) -> Result<Vec<siegel::Centre>, NotSpd> {
        point.omegas.chunks_exact(self.cols * self.cols).map(|o| self.siegel.centre(o)).collect()
    }

    /// The squares of the distances of the covariance `c` to `centres`.
    pub fn distances_squared(
        &mut self,
        c: &[f64],
        centres: &[Centre],
        out: &mut [f64],
    ) -> Result<(), NotSpd> {
        self.recursion.run(c, &mut self.here)?;
        let (order, block) = (self.order, self.cols * self.cols);
        for (centre, out) in centres.iter().zip(out) {
            let mut distance = [0.0];
            let whitener = std::slice::from_ref(&centre.whitener);
            self.spd.distances(&self.here.power, whitener, &mut distance)?;
            *out = order as f64 * distance[0] * distance[0];
            let omegas = self.here.omegas.chunks_exact(block).zip(&centre.omegas);
            for (l, (omega, disk)) in omegas.enumerate() {
                let share = (order - 1 - l) as f64;
                *out += share * self.siegel.distance_squared(disk, omega)?;
            }
        }
        Ok(())
    }

    /// The tangent vector of the covariance `c` at `centre`: that of P times sqrt(d), then for each l the
    /// numbers of the logarithm of Omega_l, column by column, times sqrt(d - l). As long as the distance.
    pub fn tangent(&mut self, centre: &Centre, c: &[f64], out: &mut [f64]) -> Result<(), NotSpd> {
        self.recursion.run(c, &mut self.here)?;
        let (order, block) = (self.order, self.cols * self.cols);
        let (first, rest) = out.split_at_mut(tangent_len(self.cols));
        self.spd.tangent(&centre.whitener, &self.here.power, first)?;
        scale(first, (order as f64).sqrt());
        let omegas = self.here.omegas.chunks_exact(block).zip(&centre.omegas);
        for (l, ((omega, disk), out)) in omegas.zip(rest.chunks_exact_mut(block)).enumerate() {
            self.siegel.log(disk, omega, out)?;
            scale(out, ((order - 1 - l) as f64).sqrt());
        }
        Ok(())
    }

    /// The mean of the covariances, weighted if `weights` (positive, any scale) are given. Allocates.
    pub fn mean(&mut self, matrices: &[&[f64]], weights: Option<&[f64]>) -> Result<Coordinates> {
        let count = matrices.len();
        let at = |(i, c): (usize, &&[f64])| {
            let coordinates = self.coordinates(c);
            coordinates.map_err(|e| {
                Error::mismatch(format!("matrix {} of {count}, its blocks averaged, {e}", i + 1))
            })
        };
        let points: Vec<Coordinates> =
            matrices.iter().enumerate().map(at).collect::<Result<_>>()?;
        let powers: Vec<&[f64]> = points.iter().map(|p| &p.power[..]).collect();
        let power = self.spd.mean(&powers, weights)?.matrix;
        let shares = shares(weights, count);
        let block = self.cols * self.cols;
        let mut omegas = Vec::new();
        for l in 0..self.order - 1 {
            let part: Vec<&[f64]> =
                points.iter().map(|p| &p.omegas[l * block..(l + 1) * block]).collect();
            omegas.extend(self.siegel.mean(&part, &shares)?);
        }
        Ok(Coordinates { power, omegas })
    }
}

/// Weights that sum to one.
fn shares(weights: Option<&[f64]>, count: usize) -> Vec<f64> {
    match weights {
        Some(weights) => {
            let sum: f64 = weights.iter().sum();
            weights.iter().map(|w| w / sum).collect()
        }
        None => vec![1.0 / count as f64; count],
    }
}

fn scale(v: &mut [f64], by: f64) {
    v.iter_mut().for_each(|v| *v *= by);
}

#[cfg(test)]
mod tests {
    use super::recursion::average;
    use super::*;
    use crate::math::linalg::{self, Symmetric};
    use crate::math::testing::{numbers, with_eigenvalues};

    const SHAPES: [(usize, usize); 6] = [(1, 3), (2, 1), (2, 4), (4, 3), (3, 8), (6, 2)];

    /// The augmented covariance of a signal in which samples depend on those before.
    fn augmented(order: usize, cols: usize, seed: u64) -> Vec<f64> {
        let rows = 40 * order * cols;
        let mut x = numbers(rows * cols, seed);
        for t in cols..x.len() {
            x[t] += 0.6 * x[t - cols] - 0.3 * x[t - 1];
        }
        let terms = rows - order + 1;
        let window: Vec<f64> =
            (0..terms).flat_map(|t| x[t * cols..(t + order) * cols].to_vec()).collect();
        let mut out = vec![0.0; (order * cols).pow(2)];
        linalg::scatter(&window, order * cols, &mut out);
        out
    }

    fn log_det(n: usize, a: &[f64]) -> f64 {
        let mut work = Symmetric::new(n);
        work.eigen(a).unwrap();
        work.values().iter().map(|v| v.ln()).sum()
    }

    /// ln det of the Toeplitz matrix = d ln det P + sum over l of (d - l) ln det(1 - Omega_l Omega_l').
    /// Tolerance: rounding in some hundred numbers.
    #[test]
    fn determinants_agree() {
        for (order, cols) in SHAPES {
            let c = augmented(order, cols, 5);
            let block = cols * cols;
            let mut r = vec![0.0; order * block];
            average(&c, order, cols, &mut r);
            let size = order * cols;
            let entry = |e: usize| {
                let ((i, p), (j, q)) =
                    ((e / size / cols, e / size % cols), (e % size / cols, e % cols));
                if j >= i {
                    r[(j - i) * block + q * cols + p]
                } else {
                    r[(i - j) * block + p * cols + q]
                }
            };
            let whole: Vec<f64> = (0..size * size).map(entry).collect();
            let want = log_det(size, &whole);

            let at = Toeplitz::new(order, cols).coordinates(&c).unwrap();
            let mut got = order as f64 * log_det(cols, &at.power);
            for (l, omega) in at.omegas.chunks_exact(block).enumerate() {
                let mut rest = vec![0.0; block];
                linalg::outer(omega, omega, &mut rest, cols);
                rest.iter_mut().for_each(|v| *v = -*v);
                rest.iter_mut().step_by(cols + 1).for_each(|v| *v += 1.0);
                got += (order - 1 - l) as f64 * log_det(cols, &rest);
            }
            assert!((got - want).abs() < 1e-10, "{order} x {cols}: {got} {want}");
        }
    }

    /// When the channels are rotated, distances stay, and so do they in the other direction.
    #[test]
    fn distances_are_symmetric_and_blind_to_rotations() {
        for (order, cols) in SHAPES {
            let mut toeplitz = Toeplitz::new(order, cols);
            let mut distance = |a: &[f64], b: &[f64]| {
                let at = toeplitz.coordinates(a).unwrap();
                let centre = toeplitz.centre(&at).unwrap();
                let mut d = [0.0];
                toeplitz.distances_squared(b, &[centre], &mut d).unwrap();
                d[0]
            };
            let (a, b) = (augmented(order, cols, 6), augmented(order, cols, 7));
            let want = distance(&a, &b);
            assert!(want > 0.0 && (distance(&b, &a) / want - 1.0).abs() < 1e-10);

            // The eigenvectors of any symmetric matrix, for each copy of the channels.
            let mut work = Symmetric::new(cols);
            let values: Vec<f64> = (0..cols).map(|i| i as f64).collect();
            work.eigen(&with_eigenvalues(&values, 8)).unwrap();
            let size = order * cols;
            let mut w = vec![0.0; size * size];
            for (i, j) in (0..size).flat_map(|i| (0..size).map(move |j| (i, j))) {
                if i / cols == j / cols {
                    w[i * size + j] = work.vectors()[(i % cols) * cols + j % cols];
                }
            }
            let (mut half, mut turned) = (w.clone(), [a.clone(), b.clone()]);
            linalg::congruence(&w, &a, size, &mut half, &mut turned[0]);
            linalg::congruence(&w, &b, size, &mut half, &mut turned[1]);
            let got = distance(&turned[0], &turned[1]);
            assert!((got / want - 1.0).abs() < 1e-10, "{order} x {cols}: {got} {want}");
        }
    }
}
