//! The geometry of symmetric positive definite (SPD) matrices under the affine-invariant metric.
//!
//! In: n x n matrices as slices. Out: matrices, vectors of n(n+1)/2 numbers, or distances.
//! - distance(A, B) = sqrt(sum_i ln(v_i)^2), v_i the eigenvalues of A^-1 B
//! - mean(X_1..X_m) = the M at the least sum_i w_i distance(M, X_i)^2
//! - tangent(C) at reference M = the upper triangle, row by row, of log(M^-1/2 C M^-1/2), where
//!   entries off the diagonal are multiplied by sqrt(2), so that the vector's length is
//!   distance(M, C)
//!
//! All rests on log(W C W^T), where W whitens a reference: W M W^T = 1. With C = L L^T by Cholesky, the
//! whitened matrix is (W L)(W L)^T, positive by construction; reflections take it to tridiagonal form
//! T ([`super::householder`]), whose logarithm is found without eigenvalues
//! ([`super::tridiagonal::Logarithm`]) and taken back. Distances are the Frobenius norm of log T and need
//! no way back. Only matrices of a condition beyond the table of that logarithm, 3e11, are decomposed
//! into eigenvalues. Other metrics are in [`metric`].
//!
//! References: Moakher, SIAM J. Matrix Anal. Appl. 26 (2005); Barachant et al., IEEE Trans. Biomed.
//! Eng. 59 (2012).

mod geodesic;
mod linear;
mod mean;
mod means;
pub mod metric;
pub mod procrustes;
mod step;
mod tangent;
#[cfg(test)]
mod tests;

use self::geodesic::copy_columns;
use super::householder::Reflections;
pub use super::linalg::NotSpd;
use super::linalg::{self, Symmetric};
use super::padded::{Padded, WIDTH, dot};
use super::simd::{Cpu, Simd, Work};
use super::triangular::{self, Shape};
use super::tridiagonal::{self, Logarithm};
pub use linear::{LinearForms, symmetric};
pub use mean::Mean;
pub use metric::{Geometry, Metric, Reference};
use std::f64::consts::SQRT_2;
pub use step::Geodesic;
pub use tangent::Tangent;

/// A matrix whose numbers are all below this is taken for zero: their squares might underflow.
const SMALLEST: f64 = 1e-130;

/// Scratch for SPD matrices of one size. What says so allocates; nothing else does after the first call.
pub struct Spd {
    cpu: Cpu,
    work: Symmetric,
    /// The Cholesky factor of the matrix at hand.
    factor: Padded,
    reflections: Reflections,
    logarithm: Logarithm,
    /// The logarithm found last, on and below the diagonal.
    log: Padded,
    plain: Vec<f64>,
}

/// A matrix W with W M W^T = 1 for a reference M.
#[derive(Debug, Clone)]
pub struct Whitener {
    matrix: Padded,
    shape: Shape,
}

/// Length of the tangent vector of an `n` x `n` matrix.
pub fn tangent_len(n: usize) -> usize {
    n * (n + 1) / 2
}

impl Spd {
    /// Room for matrices of `n` x `n`, `n` at least 1.
    pub fn new(n: usize) -> Self {
        Self::on(Cpu::best(), n)
    }

    /// The same with the instructions of `cpu`.
    pub fn on(cpu: Cpu, n: usize) -> Self {
        Self {
            cpu,
            work: Symmetric::new(n),
            factor: Padded::new(n),
            reflections: Reflections::on(cpu, n),
            logarithm: Logarithm::on(cpu, n),
            log: Padded::new(n),
            plain: vec![0.0; n * n],
        }
    }

    fn n(&self) -> usize {
        self.work.n()
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
        plausible_matrix(self.n(), c)?;
        self.reflections.matrix().fill_from(c);
        if self.log_by_reflections() {
            self.reflections.restore(&mut self.log);
            self.log.mirror();
            for (to, from) in out.chunks_exact_mut(self.work.n()).zip(self.log.columns()) {
                to.copy_from_slice(&from[..to.len()]);
            }
            return Ok(());
        }
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

    /// The whitener M^-1/2 of the reference `m`, which the tangent space is defined by. Allocates.
    pub fn whitener(&mut self, m: &[f64]) -> Result<Whitener, NotSpd> {
        let mut root = vec![0.0; m.len()];
        self.inverse_sqrt(m, &mut root)?;
        Ok(Whitener { matrix: Padded::from_columns(self.n(), &root), shape: Shape::Full })
    }

    /// The whitener L^-1 of the reference M = L L^T, with which less has to be computed wherever a
    /// rotation does not matter. Allocates.
    pub fn lower_whitener(&mut self, m: &[f64]) -> Result<Whitener, NotSpd> {
        triangular::cholesky(self.cpu, m, &mut self.factor)?;
        Ok(Whitener { matrix: linalg::invert_lower(&self.factor), shape: Shape::Lower })
    }

    /// The distance of `c` to each reference, given by its whitener. The Cholesky factor of `c` serves
    /// all of them.
    pub fn distances(
        &mut self,
        c: &[f64],
        references: &[Whitener],
        out: &mut [f64],
    ) -> Result<(), NotSpd> {
        self.factorise(c)?;
        for (reference, d) in references.iter().zip(out) {
            *d = self.distance_to(reference)?;
        }
        Ok(())
    }

    /// Puts the Cholesky factor of `c` into `self.factor`.
    fn factorise(&mut self, c: &[f64]) -> Result<(), NotSpd> {
        triangular::cholesky(self.cpu, c, &mut self.factor)
    }

    /// The distance of the matrix given by `self.factor` to a reference.
    fn distance_to(&mut self, reference: &Whitener) -> Result<f64, NotSpd> {
        self.whiten(reference)?;
        match self.log_by_reflections() {
            true => Ok(self.cpu.run(Norm(&self.log))),
            false => self.norm_by_eigenvalues(),
        }
    }

    /// The distance between `a` and `b`. For many distances to one matrix prefer
    /// [`Self::distances`]; this one allocates.
    pub fn distance(&mut self, a: &[f64], b: &[f64]) -> Result<f64, NotSpd> {
        let reference = self.lower_whitener(a)?;
        let mut distance = [0.0];
        self.distances(b, &[reference], &mut distance)?;
        Ok(distance[0])
    }

    /// The tangent vector of `c` at a reference, given by its [`Self::whitener`].
    pub fn tangent(
        &mut self,
        reference: &Whitener,
        c: &[f64],
        out: &mut [f64],
    ) -> Result<(), NotSpd> {
        triangular::cholesky(self.cpu, c, &mut self.factor)?;
        self.whitened_log(reference)?;
        let mut rest = out;
        for (j, column) in self.log.columns().enumerate() {
            let (head, tail) = rest.split_at_mut(self.log.n() - j);
            head[0] = column[j];
            for (o, v) in head[1..].iter_mut().zip(&column[j + 1..]) {
                *o = SQRT_2 * v;
            }
            rest = tail;
        }
        Ok(())
    }

    /// Puts log(W C W^T) into `self.log`, for C given by `self.factor`.
    fn whitened_log(&mut self, w: &Whitener) -> Result<(), NotSpd> {
        self.whiten(w)?;
        if self.log_by_reflections() {
            self.reflections.restore(&mut self.log);
            return Ok(());
        }
        self.log_by_eigenvectors(w)
    }

    /// Puts W C W^T into the matrix of the reflections, for C given by `self.factor`.
    fn whiten(&mut self, w: &Whitener) -> Result<(), NotSpd> {
        // The product has done its duty before there is a logarithm, so it may have its room.
        let (product, matrix) = (&mut self.log, self.reflections.matrix());
        triangular::product(self.cpu, &w.matrix, w.shape, &self.factor, product);
        triangular::square(self.cpu, product, w.shape, matrix);
        matrix.mirror();
        plausible(matrix.columns().enumerate().map(|(j, column)| column[j]), matrix.n())
    }

    /// Puts log T into `self.log`, for the T of the matrix in the reflections. False if that is not
    /// positive definite or its condition beyond the table.
    fn log_by_reflections(&mut self) -> bool {
        self.reflections.reduce();
        let (diagonal, beside) = self.reflections.tridiagonal();
        self.logarithm.compute(diagonal, beside, &mut self.log)
    }

    /// Does the work of [`Self::whitened_log`] in the usual way.
    fn log_by_eigenvectors(&mut self, w: &Whitener) -> Result<(), NotSpd> {
        self.function_by_eigenvectors(w, f64::ln)
    }

    /// Puts f(W C W^T) into `self.log`, for C given by `self.factor`.
    fn function_by_eigenvectors(
        &mut self,
        w: &Whitener,
        f: impl Fn(f64) -> f64,
    ) -> Result<(), NotSpd> {
        self.whiten(w)?;
        copy_columns(self.work.n(), self.reflections.matrix(), &mut self.plain);
        positive_eigen(&mut self.work, &self.plain)?;
        self.work.rebuild(f, &mut self.plain);
        self.log.fill_from(&self.plain);
        Ok(())
    }

    /// The Frobenius norm of log T by its eigenvalues.
    fn norm_by_eigenvalues(&mut self) -> Result<f64, NotSpd> {
        let values = self.whitened_values()?;
        Ok(values.iter().map(|v| v.ln().powi(2)).sum::<f64>().sqrt())
    }

    /// The eigenvalues of T, all positive, ascending.
    fn whitened_values(&mut self) -> Result<&[f64], NotSpd> {
        let n = self.n();
        let (diagonal, beside) = self.reflections.tridiagonal();
        let (values, squares) = self.plain[..2 * n - 1].split_at_mut(n);
        values.copy_from_slice(diagonal);
        squares.iter_mut().zip(beside).for_each(|(to, e)| *to = e * e);
        if !tridiagonal::eigenvalues(values, squares) {
            return Err(NotSpd::NotFinite);
        }
        positive(values)?;
        Ok(values)
    }
}

/// The Frobenius norm of a symmetric matrix given by its part on and below the diagonal.
struct Norm<'a>(&'a Padded);

impl Work for Norm<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let mut sum = 0.0;
        for (j, column) in self.0.columns().enumerate() {
            let top = j / WIDTH * WIDTH;
            let below = &column[top..];
            sum += 2.0 * dot(simd, below, below) - column[j] * column[j];
        }
        sum.sqrt()
    }
}

/// Finds eigenvalues and eigenvectors of `a`, all eigenvalues positive beyond rounding.
pub(super) fn positive_eigen(work: &mut Symmetric, a: &[f64]) -> Result<(), NotSpd> {
    plausible_matrix(work.n(), a)?;
    work.eigen(a)?;
    positive(work.values())
}

fn plausible_matrix(n: usize, a: &[f64]) -> Result<(), NotSpd> {
    linalg::finite(a)?;
    plausible(a.iter().step_by(n + 1).copied(), n)
}

/// Refuses by its diagonal, which lies between the extreme eigenvalues, an n x n matrix that
/// [`positive`] would refuse; on such matrices the eigenvalue iteration can run very long. No entry of a
/// positive matrix is larger than the largest on the diagonal.
fn plausible(diagonal: impl Iterator<Item = f64>, n: usize) -> Result<(), NotSpd> {
    let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
    for d in diagonal {
        linalg::finite(&[d])?;
        (least, most) = (least.min(d), most.max(d));
    }
    if least <= linalg::rounding(n) * most || most < SMALLEST {
        return Err(NotSpd::NotPositive);
    }
    Ok(())
}

/// Whether eigenvalues in ascending order are positive beyond rounding.
fn positive(values: &[f64]) -> Result<(), NotSpd> {
    match values {
        [least, .., most] if *least > linalg::rounding(values.len()) * most => Ok(()),
        [only] if *only > 0.0 => Ok(()),
        _ => Err(NotSpd::NotPositive),
    }
}
