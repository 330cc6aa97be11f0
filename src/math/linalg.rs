//! Dense linear algebra over slices for symmetric matrices of one size, on `faer`.
//!
//! In and out: n x n matrices as slices of n*n numbers. A symmetric matrix reads the same by rows
//! and by columns; factors and eigenvectors are stored column by column, as said beside each.
//! Everything runs on the calling thread. After the first call on a thread, which makes `faer`'s
//! packing buffers, nothing allocates.

use super::padded::Padded;
use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{self, ComputeEigenvectors};
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
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

/// Scratch for the eigendecompositions of n x n symmetric matrices.
pub struct Symmetric {
    n: usize,
    values: Vec<f64>,
    vectors: Vec<f64>,
    product: Vec<f64>,
    scratch: MemBuffer,
}

impl Symmetric {
    /// Room for matrices of `n` x `n`, `n` at least 1.
    pub fn new(n: usize) -> Self {
        let scratch = evd::self_adjoint_evd_scratch::<f64>(
            n,
            ComputeEigenvectors::Yes,
            Par::Seq,
            Spec::default(),
        );
        Self {
            n,
            values: vec![0.0; n],
            vectors: vec![0.0; n * n],
            product: vec![0.0; n * n],
            scratch: MemBuffer::new(scratch),
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

    /// The eigenvectors found last: vector j is at `j*n .. (j+1)*n`.
    pub fn vectors(&self) -> &[f64] {
        &self.vectors
    }

    /// Multiplies each eigenvector by a function of its eigenvalue. What is found next is as if this
    /// had not been; what was found last is used up.
    pub fn scale_vectors(&mut self, f: impl Fn(f64) -> f64) {
        for (vector, value) in self.vectors.chunks_exact_mut(self.n).zip(&self.values) {
            let scale = f(*value);
            vector.iter_mut().for_each(|v| *v *= scale);
        }
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

    /// V diag(f(values)) V^T of the decomposition found last. Symmetric.
    pub fn rebuild(&mut self, f: impl Fn(f64) -> f64, out: &mut [f64]) {
        let n = self.n;
        for (j, &value) in self.values.iter().enumerate() {
            let scale = f(value);
            let column = j * n..(j + 1) * n;
            for (p, v) in self.product[column.clone()].iter_mut().zip(&self.vectors[column]) {
                *p = scale * v;
            }
        }
        outer(&self.product, &self.vectors, out, n);
    }
}

/// Refuses NaN, infinities and numbers whose squares might overflow: on what comes of them the
/// iterations would run very long.
pub(super) fn finite(a: &[f64]) -> Result<(), NotSpd> {
    // Eight at a time without leaving early, which vector instructions can do.
    let mut chunks = a.chunks_exact(8);
    let good = |v: &[f64]| v.iter().fold(true, |all, v| all & (v.abs() < LARGEST));
    if chunks.all(good) && good(chunks.remainder()) { Ok(()) } else { Err(NotSpd::NotFinite) }
}

/// What rounding alone makes of a zero in n x n matrices, relative to the largest number involved.
pub(super) fn rounding(n: usize) -> f64 {
    n as f64 * f64::EPSILON
}

/// A B.
pub fn product(a: &[f64], b: &[f64], out: &mut [f64], n: usize) {
    let (a, b) = (square(a, n), square(b, n));
    faer::linalg::matmul::matmul(square_mut(out, n), Accum::Replace, a, b, 1.0, Par::Seq);
}

/// A^T B.
pub fn product_of_transposed(a: &[f64], b: &[f64], out: &mut [f64], n: usize) {
    let (a, b) = (square(a, n).transpose(), square(b, n));
    faer::linalg::matmul::matmul(square_mut(out, n), Accum::Replace, a, b, 1.0, Par::Seq);
}

/// A B^T.
pub fn product_with_transposed(a: &[f64], b: &[f64], out: &mut [f64], n: usize) {
    let (a, b) = (square(a, n), square(b, n).transpose());
    faer::linalg::matmul::matmul(square_mut(out, n), Accum::Replace, a, b, 1.0, Par::Seq);
}

/// A^T.
pub fn transpose(a: &[f64], out: &mut [f64], n: usize) {
    for (j, row) in out.chunks_exact_mut(n).enumerate() {
        row.iter_mut().zip(a[j..].iter().step_by(n)).for_each(|(to, from)| *to = *from);
    }
}

/// A B^T + B A^T. Symmetric.
pub fn outer_twice(a: &[f64], b: &[f64], out: &mut [f64], n: usize) {
    for (accumulate, a, b) in [(Accum::Replace, a, b), (Accum::Add, b, a)] {
        triangular::matmul(
            square_mut(out, n),
            BlockStructure::TriangularLower,
            accumulate,
            square(a, n),
            BlockStructure::Rectangular,
            square(b, n).transpose(),
            BlockStructure::Rectangular,
            1.0,
            Par::Seq,
        );
    }
    mirror(out, n);
}

/// A B^T, known to be symmetric: one half is computed, the other copied.
pub fn outer(a: &[f64], b: &[f64], out: &mut [f64], n: usize) {
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

/// Copies the part below the diagonal, column by column, to the part above.
fn mirror(a: &mut [f64], n: usize) {
    for j in 0..n {
        for i in j + 1..n {
            a[i * n + j] = a[j * n + i];
        }
    }
}

/// The inverse of the lower triangular `l`. Allocates.
pub fn invert_lower(l: &Padded) -> Padded {
    let mut inverse = Padded::new(l.n());
    invert_lower_into(l, &mut inverse);
    inverse
}

/// Puts the inverse of the lower triangular `l` into `inverse`, of the same size and zero above the
/// diagonal.
pub fn invert_lower_into(l: &Padded, inverse: &mut Padded) {
    let (n, stride) = (l.n(), l.stride());
    invert_lower_triangular(
        MatMut::from_column_major_slice_with_stride_mut(inverse.data_mut(), n, n, stride),
        view(l),
        Par::Seq,
    );
}

/// L^-1 X in place of X, n rows x any number of columns, column by column.
pub fn solve_lower(l: &Padded, x: &mut [f64]) {
    let columns = x.len() / l.n();
    solve_lower_triangular_in_place(
        view(l),
        MatMut::from_column_major_slice_mut(x, l.n(), columns),
        Par::Seq,
    );
}

/// L^-1 A L^-T for a symmetric `a` and a lower triangular `l`, column by column. `half` is room for as
/// many numbers.
pub fn whiten(l: &[f64], a: &[f64], half: &mut [f64], out: &mut [f64], n: usize) {
    half.copy_from_slice(a);
    solve_lower_triangular_in_place(square(l, n), square_mut(half, n), Par::Seq);
    transpose(half, out, n);
    solve_lower_triangular_in_place(square(l, n), square_mut(out, n), Par::Seq);
}

/// The mean of x x^T over the columns x of n numbers. Symmetric.
pub fn scatter(x: &[f64], n: usize, out: &mut [f64]) {
    let count = x.len() / n;
    let x = MatRef::from_column_major_slice(x, n, count);
    triangular::matmul(
        square_mut(out, n),
        BlockStructure::TriangularLower,
        Accum::Replace,
        x,
        BlockStructure::Rectangular,
        x.transpose(),
        BlockStructure::Rectangular,
        1.0 / count as f64,
        Par::Seq,
    );
    mirror(out, n);
}

/// W A W^T for a symmetric `a` of n x n and `w` of any number of rows x n, row by row. `half` is room
/// for as many numbers as `w` has. Symmetric.
pub fn congruence(w: &[f64], a: &[f64], n: usize, half: &mut [f64], out: &mut [f64]) {
    let rows = w.len() / n;
    let w = MatRef::from_row_major_slice(w, rows, n);
    let product = MatMut::from_column_major_slice_mut(&mut *half, rows, n);
    faer::linalg::matmul::matmul(product, Accum::Replace, w, square(a, n), 1.0, Par::Seq);
    triangular::matmul(
        square_mut(out, rows),
        BlockStructure::TriangularLower,
        Accum::Replace,
        MatRef::from_column_major_slice(half, rows, n),
        BlockStructure::Rectangular,
        w.transpose(),
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
    mirror(out, rows);
}

/// The Frobenius norm.
pub fn norm(a: &[f64]) -> f64 {
    a.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// The Frobenius norm of the difference.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

/// The orthogonal factor U V^T of `a` = U S V^T, the rotation nearest to it, column by column.
pub fn rotation(a: &Padded) -> Result<Vec<f64>, NotSpd> {
    let n = a.n();
    let svd = view(a).thin_svd().map_err(|_| NotSpd::NotFinite)?;
    let mut out = vec![0.0; n * n];
    let (u, vt) = (svd.U(), svd.V().transpose());
    faer::linalg::matmul::matmul(square_mut(&mut out, n), Accum::Replace, u, vt, 1.0, Par::Seq);
    Ok(out)
}

/// U^T A U for a symmetric `a`.
pub fn rotated(u: &[f64], a: &[f64], n: usize) -> Vec<f64> {
    let u = square(u, n);
    let rotated = u.transpose() * square(a, n) * u;
    (0..n * n).map(|e| rotated[(e % n, e / n)]).collect()
}

fn view(a: &Padded) -> MatRef<'_, f64> {
    MatRef::from_column_major_slice_with_stride(a.data(), a.n(), a.n(), a.stride())
}

pub(super) fn square(a: &[f64], n: usize) -> MatRef<'_, f64> {
    MatRef::from_column_major_slice(a, n, n)
}

pub(super) fn square_mut(a: &mut [f64], n: usize) -> MatMut<'_, f64> {
    MatMut::from_column_major_slice_mut(a, n, n)
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
        assert!(work.values().is_sorted());
        let mut out = [0.0; 9];
        work.rebuild(|v| v, &mut out);
        close(&out, &A);
    }

    #[test]
    fn one_by_one() {
        let mut work = Symmetric::new(1);
        let mut out = [0.0];
        work.eigen(&[4.0]).unwrap();
        work.rebuild(f64::sqrt, &mut out);
        close(&out, &[2.0]);
    }

    #[test]
    fn products_by_hand() {
        let (a, mut out) = ([0.0, 2.0, 2.0, 0.0], [0.0; 4]);
        product(&a, &[1.0, 5.0, 5.0, 3.0], &mut out, 2);
        close(&out, &[10.0, 2.0, 6.0, 10.0]);
        outer(&a, &a, &mut out, 2);
        close(&out, &[4.0, 0.0, 0.0, 4.0]);
        let l = Padded::from_columns(2, &[2.0, 1.0, 0.0, 4.0]);
        let inverse = invert_lower(&l);
        close(&inverse.column(0)[..2], &[0.5, -0.125]);
        close(&inverse.column(1)[..2], &[0.0, 0.25]);
    }

    #[test]
    fn a_rotation_times_a_stretch_is_taken_apart() {
        let (c, s) = (0.6, 0.8);
        let stretched = Padded::from_columns(2, &[c * 3.0, s * 3.0, -s * 0.1, c * 0.1]);
        let u = rotation(&stretched).unwrap();
        close(&u, &[c, s, -s, c]);
        close(&rotated(&u, &[1.0, 0.0, 0.0, 1.0], 2), &[1.0, 0.0, 0.0, 1.0]);
        close(&rotated(&u, &[1.0, 0.0, 0.0, 0.0], 2), &[c * c, -c * s, -c * s, s * s]);
    }

    #[test]
    fn bad_matrices_are_refused() {
        let mut work = Symmetric::new(2);
        assert_eq!(work.eigen(&[f64::INFINITY; 4]), Err(NotSpd::NotFinite));
        assert_eq!(work.eigen(&[f64::NAN; 4]), Err(NotSpd::NotFinite));
        assert_eq!(work.eigen(&[1e300; 4]), Err(NotSpd::NotFinite));
    }
}
