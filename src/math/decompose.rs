//! Decompositions of n x n matrices that need not be symmetric, on `faer`.
//!
//! In and out: matrices as slices of n*n numbers, column by column. After the first call on a thread, which
//! makes `faer`'s packing buffers, nothing allocates.

use super::linalg::{NotSpd, finite, square, square_mut};
use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::lu::partial_pivoting::{factor, solve};
use faer::linalg::matmul::matmul;
use faer::linalg::svd::{self, ComputeSvdVectors};
use faer::{Accum, Par, Spec};

/// Scratch for the singular value decompositions of n x n matrices.
pub struct Singular {
    n: usize,
    values: Vec<f64>,
    left: Vec<f64>,
    right: Vec<f64>,
    scratch: MemBuffer,
}

impl Singular {
    /// Room for matrices of `n` x `n`, `n` at least 1.
    pub fn new(n: usize) -> Self {
        let vectors = ComputeSvdVectors::Thin;
        let scratch = svd::svd_scratch::<f64>(n, n, vectors, vectors, Par::Seq, Spec::default());
        let square = || vec![0.0; n * n];
        let (left, right) = (square(), square());
        Self { n, values: vec![0.0; n], left, right, scratch: MemBuffer::new(scratch) }
    }

    /// Decomposes `a` = U S V^T, column by column.
    pub fn decompose(&mut self, a: &[f64]) -> Result<(), NotSpd> {
        finite(a)?;
        let n = self.n;
        svd::svd(
            square(a, n),
            DiagMut::from_slice_mut(&mut self.values),
            Some(square_mut(&mut self.left, n)),
            Some(square_mut(&mut self.right, n)),
            Par::Seq,
            MemStack::new(&mut self.scratch),
            Spec::default(),
        )
        .map_err(|_| NotSpd::NotFinite)
    }

    /// Finds the singular values of `a` alone.
    pub fn find_values(&mut self, a: &[f64]) -> Result<(), NotSpd> {
        finite(a)?;
        svd::svd(
            square(a, self.n),
            DiagMut::from_slice_mut(&mut self.values),
            None,
            None,
            Par::Seq,
            MemStack::new(&mut self.scratch),
            Spec::default(),
        )
        .map_err(|_| NotSpd::NotFinite)
    }

    /// The singular values found last, in descending order.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// U diag(f(values)) V^T of the decomposition found last, column by column, which is used up.
    pub fn rebuild(&mut self, f: impl Fn(f64) -> f64, out: &mut [f64]) {
        let n = self.n;
        for (column, value) in self.left.chunks_exact_mut(n).zip(&self.values) {
            let scale = f(*value);
            column.iter_mut().for_each(|v| *v *= scale);
        }
        let (u, vt) = (square(&self.left, n), square(&self.right, n).transpose());
        matmul(square_mut(out, n), Accum::Replace, u, vt, 1.0, Par::Seq);
    }
}

/// Scratch for systems of n equations.
pub struct Solver {
    n: usize,
    order: Vec<usize>,
    inverse_order: Vec<usize>,
    scratch: MemBuffer,
}

impl Solver {
    /// Room for matrices of `n` x `n`, `n` at least 1.
    pub fn new(n: usize) -> Self {
        let factor = factor::lu_in_place_scratch::<usize, f64>(n, n, Par::Seq, Spec::default());
        let solve = solve::solve_in_place_scratch::<usize, f64>(n, n, Par::Seq);
        Self {
            n,
            order: vec![0; n],
            inverse_order: vec![0; n],
            scratch: MemBuffer::new(factor.or(solve)),
        }
    }

    /// A^-1 X in place of the n x n `x`, column by column, by LU with partial pivoting. `a` is used up. Where it is
    /// singular, what comes out is not finite.
    pub fn solve(&mut self, a: &mut [f64], x: &mut [f64]) {
        let n = self.n;
        let (_, permutation) = factor::lu_in_place(
            square_mut(a, n),
            &mut self.order,
            &mut self.inverse_order,
            Par::Seq,
            MemStack::new(&mut self.scratch),
            Spec::default(),
        );
        let (lu, x) = (square(a, n), square_mut(x, n));
        solve::solve_in_place(lu, lu, permutation, x, Par::Seq, MemStack::new(&mut self.scratch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::linalg;
    use crate::math::testing::{SIZES, difference, numbers};

    /// Tolerance: a few roundings per column; the condition of random matrices is some hundred here.
    #[test]
    fn put_together_again() {
        for n in SIZES {
            let a = numbers(n * n, 1);
            let mut singular = Singular::new(n);
            let mut out = vec![0.0; n * n];
            singular.decompose(&a).unwrap();
            let values = singular.values().to_vec();
            assert!(values.is_sorted_by(|a, b| a >= b));
            singular.rebuild(|s| s, &mut out);
            assert!(difference(&out, &a, 0.0) < 1e-13, "{n}");
            singular.find_values(&a).unwrap();
            assert!(difference(singular.values(), &values, 0.0) < 1e-13, "{n}");

            let x = numbers(n * n, 2);
            linalg::product(&a, &x, &mut out, n);
            Solver::new(n).solve(&mut a.clone(), &mut out);
            assert!(difference(&out, &x, 0.0) < 1e-9, "{n}");
        }
        let mut out = [1.0; 4];
        Solver::new(2).solve(&mut [1.0, 2.0, 2.0, 4.0], &mut out);
        assert!(out.iter().any(|v| !v.is_finite()), "singular: {out:?}");
        assert!(Singular::new(2).decompose(&[f64::NAN; 4]).is_err());
    }
}
