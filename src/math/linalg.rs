//! Dense linear algebra over slices for symmetric matrices of one size, on `faer`.
//!
//! In and out: n x n matrices as slices of n*n numbers. A symmetric matrix reads the same by rows
//! and by columns; factors and eigenvectors are stored column by column, as said beside each.
//! Everything runs on the calling thread. After the first call on a thread, which makes `faer`'s
//! packing buffers, nothing allocates.

use super::tridiagonal;
use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::cholesky::llt::factor as llt;
use faer::linalg::evd::{self, ComputeEigenvectors, tridiag};
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::{Accum, MatMut, MatRef, Par, Spec};
use std::fmt;

/// Numbers have to be smaller than this.
const LARGEST: f64 = 1e150;

/// Why a matrix is no use: it has to be symmetric positive definite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSpd {
    /// It holds a NaN or an infinity, or is so large that the arithmetic overflows.
    NotFinite,
    /// It has an eigenvalue that is not positive, up to rounding.
    NotPositive,
}

impl fmt::Display for NotSpd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "holds numbers that are not finite",
            Self::NotPositive => "is not positive definite",
        })
    }
}

impl std::error::Error for NotSpd {}

/// Scratch for the decompositions of n x n symmetric matrices.
pub struct Symmetric {
    n: usize,
    values: Vec<f64>,
    vectors: Vec<f64>,
    product: Vec<f64>,
    householder: Vec<f64>,
    beside: Vec<f64>,
    scratch: MemBuffer,
}

impl Symmetric {
    /// Room for matrices of `n` x `n`, `n` at least 1.
    pub fn new(n: usize) -> Self {
        let eigen = evd::self_adjoint_evd_scratch::<f64>(
            n,
            ComputeEigenvectors::Yes,
            Par::Seq,
            Spec::default(),
        );
        let tridiagonal = tridiag::tridiag_in_place_scratch::<f64>(n, Par::Seq, Spec::default());
        let cholesky = llt::cholesky_in_place_scratch::<f64>(n, Par::Seq, Spec::default());
        Self {
            n,
            values: vec![0.0; n],
            vectors: vec![0.0; n * n],
            product: vec![0.0; n * n],
            householder: vec![0.0; n - 1],
            beside: vec![0.0; n - 1],
            scratch: MemBuffer::new(StackReq::any_of(&[eigen, tridiagonal, cholesky])),
        }
    }

    /// The size n.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The eigenvalues found last, in ascending order.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The eigenvectors found last by [`Self::eigen`]: vector j is at `j*n .. (j+1)*n`.
    pub fn vectors(&self) -> &[f64] {
        &self.vectors
    }

    /// Eigenvalues and eigenvectors of the symmetric matrix `a`.
    pub fn eigen(&mut self, a: &[f64]) -> Result<(), NotSpd> {
        finite(a)?;
        let n = self.n;
        evd::self_adjoint_evd(
            square(a, n),
            DiagMut::from_slice_mut(&mut self.values),
            Some(square_mut(&mut self.vectors, n)),
            Par::Seq,
            MemStack::new(&mut self.scratch),
            Spec::default(),
        )
        .map_err(|_| NotSpd::NotFinite)
    }

    /// Eigenvalues of the symmetric matrix `a`; the vectors found earlier stay.
    pub fn eigenvalues(&mut self, a: &[f64]) -> Result<&[f64], NotSpd> {
        finite(a)?;
        let n = self.n;
        self.product.copy_from_slice(a);
        tridiag::tridiag_in_place(
            square_mut(&mut self.product, n),
            MatMut::from_column_major_slice_mut(&mut self.householder, 1, n - 1),
            Par::Seq,
            MemStack::new(&mut self.scratch),
            Spec::default(),
        );
        for i in 0..n {
            self.values[i] = self.product[i * n + i];
            if i + 1 < n {
                self.beside[i] = self.product[i * n + i + 1].powi(2);
            }
        }
        match tridiagonal::eigenvalues(&mut self.values, &mut self.beside) {
            true => Ok(&self.values),
            false => Err(NotSpd::NotFinite),
        }
    }

    /// V diag(f(values)) V^T of the decomposition found last by [`Self::eigen`]. Symmetric.
    pub fn rebuild(&mut self, f: impl Fn(f64) -> f64, out: &mut [f64]) {
        let n = self.n;
        for (j, &value) in self.values.iter().enumerate() {
            let scale = f(value);
            let column = j * n..(j + 1) * n;
            for (p, v) in self.product[column.clone()].iter_mut().zip(&self.vectors[column]) {
                *p = scale * v;
            }
        }
        lower_product(&self.product, &self.vectors, out, n);
    }

    /// The lower triangular L with L L^T = `a`, stored column by column; above the diagonal `l`
    /// holds no meaning.
    ///
    /// A pivot divided by its diagonal entry is the share of a row that the rows before it do not
    /// explain, whatever their scales. Where that share is no more than rounding, n * epsilon, the
    /// rows are linearly dependent and the matrix is refused.
    pub fn cholesky(&mut self, a: &[f64], l: &mut [f64]) -> Result<(), NotSpd> {
        finite(a)?;
        let n = self.n;
        l.copy_from_slice(a);
        llt::cholesky_in_place(
            square_mut(l, n),
            Default::default(),
            Par::Seq,
            MemStack::new(&mut self.scratch),
            Spec::default(),
        )
        .map_err(|_| NotSpd::NotPositive)?;
        for i in 0..n {
            let (pivot, diagonal) = (l[i * n + i].powi(2), a[i * n + i]);
            if pivot.is_nan() || pivot <= self.rounding() * diagonal {
                return Err(NotSpd::NotPositive);
            }
        }
        Ok(())
    }

    /// The inverse of the lower triangular `l`, both stored column by column; zero above the
    /// diagonal.
    pub fn invert_lower(&self, l: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        invert_lower_triangular(square_mut(out, self.n), square(l, self.n), Par::Seq);
    }

    /// W A W^T for A = L L^T given by its lower factor `l`, with `w` any matrix; both are stored
    /// column by column. Symmetric, and positive semi-definite by construction.
    pub fn congruence(&mut self, w: &[f64], shape: Shape, l: &[f64], out: &mut [f64]) {
        let n = self.n;
        let (w_structure, product_structure) = match shape {
            Shape::Full => (BlockStructure::Rectangular, BlockStructure::Rectangular),
            Shape::Lower => (BlockStructure::TriangularLower, BlockStructure::TriangularLower),
        };
        triangular::matmul(
            square_mut(&mut self.product, n),
            product_structure,
            Accum::Replace,
            square(w, n),
            w_structure,
            square(l, n),
            BlockStructure::TriangularLower,
            1.0,
            Par::Seq,
        );
        triangular::matmul(
            square_mut(out, n),
            BlockStructure::TriangularLower,
            Accum::Replace,
            square(&self.product, n),
            product_structure,
            square(&self.product, n).transpose(),
            product_structure.transpose(),
            1.0,
            Par::Seq,
        );
        mirror(out, n);
    }

    /// A B A for symmetric `a` and `b`.
    pub fn sandwich(&mut self, a: &[f64], b: &[f64], out: &mut [f64]) {
        let n = self.n;
        faer::linalg::matmul::matmul(
            square_mut(&mut self.product, n),
            Accum::Replace,
            square(a, n),
            square(b, n),
            1.0,
            Par::Seq,
        );
        lower_product(&self.product, a, out, n);
    }

    /// What rounding alone makes of a zero, relative to the largest number involved.
    pub fn rounding(&self) -> f64 {
        self.n as f64 * f64::EPSILON
    }
}

/// What is known about a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Nothing.
    Full,
    /// Only the part on and below the diagonal counts.
    Lower,
}

/// Refuses NaN, infinities and numbers whose squares might overflow: on what comes of them the
/// iterations would run very long.
pub(super) fn finite(a: &[f64]) -> Result<(), NotSpd> {
    if a.iter().all(|v| v.abs() < LARGEST) { Ok(()) } else { Err(NotSpd::NotFinite) }
}

fn square(a: &[f64], n: usize) -> MatRef<'_, f64> {
    MatRef::from_column_major_slice(a, n, n)
}

fn square_mut(a: &mut [f64], n: usize) -> MatMut<'_, f64> {
    MatMut::from_column_major_slice_mut(a, n, n)
}

/// A B^T, known to be symmetric: one half is computed, the other copied.
fn lower_product(a: &[f64], b: &[f64], out: &mut [f64], n: usize) {
    triangular::matmul(
        square_mut(out, n),
        BlockStructure::TriangularLower,
        Accum::Replace,
        square(a, n),
        BlockStructure::Rectangular,
        square(b, n).transpose(),
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
    mirror(out, n);
}

/// Copies the part below the diagonal to the part above.
fn mirror(a: &mut [f64], n: usize) {
    for j in 0..n {
        for i in j + 1..n {
            a[i * n + j] = a[j * n + i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [f64; 9] = [4.0, 1.0, 0.5, 1.0, 3.0, -1.0, 0.5, -1.0, 2.0];

    fn close(a: &[f64], b: &[f64]) {
        for (x, y) in a.iter().zip(b) {
            assert!((x - y).abs() < 1e-13, "{a:?} is not {b:?}");
        }
    }

    #[test]
    fn eigen_rebuilds_the_matrix() {
        let mut work = Symmetric::new(3);
        work.eigen(&A).unwrap();
        let values = work.values().to_vec();
        assert!(values.is_sorted());
        let mut out = [0.0; 9];
        work.rebuild(|v| v, &mut out);
        close(&out, &A);
        close(work.eigenvalues(&A).unwrap(), &values);
    }

    #[test]
    fn one_by_one() {
        let mut work = Symmetric::new(1);
        let mut out = [0.0];
        work.eigen(&[4.0]).unwrap();
        work.rebuild(f64::sqrt, &mut out);
        close(&out, &[2.0]);
        work.cholesky(&[9.0], &mut out).unwrap();
        close(&out, &[3.0]);
    }

    #[test]
    fn whitening_by_the_own_factor_gives_the_identity() {
        let mut work = Symmetric::new(3);
        let (mut l, mut g, mut out) = ([0.0; 9], [0.0; 9], [0.0; 9]);
        work.cholesky(&A, &mut l).unwrap();
        work.invert_lower(&l, &mut g);
        for shape in [Shape::Lower, Shape::Full] {
            work.congruence(&g, shape, &l, &mut out);
            close(&out, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        }
    }

    #[test]
    fn sandwich_by_hand() {
        let mut out = [0.0; 4];
        Symmetric::new(2).sandwich(&[0.0, 2.0, 2.0, 0.0], &[1.0, 5.0, 5.0, 3.0], &mut out);
        close(&out, &[12.0, 20.0, 20.0, 4.0]);
    }

    #[test]
    fn bad_matrices_are_refused() {
        let mut work = Symmetric::new(2);
        let mut l = [0.0; 4];
        for (a, why) in [
            ([1.0, 0.0, 0.0, f64::NAN], NotSpd::NotFinite),
            ([1.0, 0.0, 0.0, -1.0], NotSpd::NotPositive),
            ([0.0; 4], NotSpd::NotPositive),
            ([1.0, 1.0, 1.0, 1.0], NotSpd::NotPositive),
            ([1.0, 1.0 - 1e-16, 1.0 - 1e-16, 1.0], NotSpd::NotPositive),
        ] {
            assert_eq!(work.cholesky(&a, &mut l), Err(why), "{a:?}");
        }
        assert_eq!(work.eigen(&[f64::INFINITY; 4]), Err(NotSpd::NotFinite));
        assert_eq!(work.eigenvalues(&[1e300; 4]), Err(NotSpd::NotFinite));
        assert_eq!(work.cholesky(&[1e-12, 0.0, 0.0, 1e12], &mut l), Ok(()));
    }
}
