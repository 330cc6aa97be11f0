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

use super::linalg::{self, NotSpd, Symmetric};
use super::siegel::{self, Siegel};
use super::spd::{Spd, Whitener, positive_eigen, tangent_len};
use crate::error::{Error, Result};

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

/// Puts the averages of the blocks of `c` along each diagonal, each column by column, into `out`.
fn average(c: &[f64], order: usize, cols: usize, out: &mut [f64]) {
    let size = order * cols;
    for (k, block) in out.chunks_exact_mut(cols * cols).enumerate() {
        let share = 1.0 / (order - k) as f64;
        block.fill(0.0);
        for first in (0..order - k).map(|i| i * cols) {
            for (q, column) in block.chunks_exact_mut(cols).enumerate() {
                // Symmetric, so a column may be read as a row.
                let from = &c[(first + k * cols + q) * size + first..][..cols];
                column.iter_mut().zip(from).for_each(|(to, from)| *to += share * from);
            }
        }
    }
}

/// Whittle's recursion with its memory. All blocks are column by column.
struct Recursion {
    order: usize,
    cols: usize,
    work: Symmetric,
    /// r_0 .. r_(d-1).
    averages: Vec<f64>,
    /// What predicts the first sample from those that follow, and the last from those before: block j is
    /// the factor of sample j + 1.
    forward: Vec<f64>,
    backward: Vec<f64>,
    before: Vec<f64>,
    /// F and G.
    first: Vec<f64>,
    last: Vec<f64>,
    common: Vec<f64>,
    first_root: Vec<f64>,
    last_root: Vec<f64>,
    /// D G^-1/2 and F^-1/2 D.
    from_last: Vec<f64>,
    from_first: Vec<f64>,
    /// D G^-1 and D' F^-1.
    by_last: Vec<f64>,
    by_first: Vec<f64>,
    product: Vec<f64>,
}

impl Recursion {
    fn new(order: usize, cols: usize) -> Self {
        let blocks = || vec![0.0; order * cols * cols];
        let block = || vec![0.0; cols * cols];
        Self {
            order,
            cols,
            work: Symmetric::new(cols),
            averages: blocks(),
            forward: blocks(),
            backward: blocks(),
            before: blocks(),
            first: block(),
            last: block(),
            common: block(),
            first_root: block(),
            last_root: block(),
            from_last: block(),
            from_first: block(),
            by_last: block(),
            by_first: block(),
            product: block(),
        }
    }

    /// Finds the coordinates of `c`.
    fn run(&mut self, c: &[f64], out: &mut Coordinates) -> Result<(), NotSpd> {
        let (n, block) = (self.cols, self.cols * self.cols);
        average(c, self.order, n, &mut self.averages);
        let power = &self.averages[..block];
        out.power.copy_from_slice(power);
        self.first.copy_from_slice(power);
        self.last.copy_from_slice(power);
        for (l, omega) in out.omegas.chunks_exact_mut(block).enumerate() {
            self.find_common(l);
            self.find_roots()?;
            linalg::product(&self.common, &self.last_root, &mut self.from_last, n);
            linalg::product(&self.first_root, &self.common, &mut self.from_first, n);
            linalg::product(&self.first_root, &self.from_last, omega, n);
            self.extend(l);
            self.reduce();
        }
        // The Toeplitz matrix is positive if this is, and all that were before.
        positive_eigen(&mut self.work, &self.first)
    }

    /// D = r_(l+1) - sum over j = 1..l of A_j r_(l+1-j), A the forward factors.
    fn find_common(&mut self, l: usize) {
        let (n, block) = (self.cols, self.cols * self.cols);
        let r = |k: usize| k * block..(k + 1) * block;
        self.common.copy_from_slice(&self.averages[r(l + 1)]);
        for j in 1..=l {
            let factor = &self.forward[r(j - 1)];
            linalg::product(factor, &self.averages[r(l + 1 - j)], &mut self.product, n);
            subtract(&mut self.common, &self.product);
        }
    }

    /// F^-1/2 and G^-1/2.
    fn find_roots(&mut self) -> Result<(), NotSpd> {
        for (a, root) in [(&self.first, &mut self.first_root), (&self.last, &mut self.last_root)] {
            positive_eigen(&mut self.work, a)?;
            self.work.rebuild(|v| v.sqrt().recip(), root);
        }
        Ok(())
    }

    /// From the factors of l samples to those of l + 1:
    /// A'_j = A_j - D G^-1 B_j, A'_(l+1) = D G^-1; B'_1 = D' F^-1, B'_(j+1) = B_j - D' F^-1 A_j.
    fn extend(&mut self, l: usize) {
        let (n, block) = (self.cols, self.cols * self.cols);
        let r = |k: usize| k * block..(k + 1) * block;
        linalg::product(&self.from_last, &self.last_root, &mut self.by_last, n);
        linalg::product_of_transposed(&self.from_first, &self.first_root, &mut self.by_first, n);
        self.before[..l * block].copy_from_slice(&self.forward[..l * block]);
        for j in 0..l {
            linalg::product(&self.by_last, &self.backward[r(j)], &mut self.product, n);
            subtract(&mut self.forward[r(j)], &self.product);
        }
        self.forward[r(l)].copy_from_slice(&self.by_last);
        self.backward.copy_within(..l * block, block);
        for j in 0..l {
            linalg::product(&self.by_first, &self.before[r(j)], &mut self.product, n);
            subtract(&mut self.backward[r(j + 1)], &self.product);
        }
        self.backward[r(0)].copy_from_slice(&self.by_first);
    }

    /// F - D G^-1 D' and G - D' F^-1 D.
    fn reduce(&mut self) {
        let n = self.cols;
        linalg::outer(&self.from_last, &self.from_last, &mut self.product, n);
        subtract(&mut self.first, &self.product);
        linalg::transpose(&self.from_first, &mut self.common, n);
        linalg::outer(&self.common, &self.common, &mut self.product, n);
        subtract(&mut self.last, &self.product);
    }
}

fn subtract(a: &mut [f64], b: &[f64]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a -= b);
}
