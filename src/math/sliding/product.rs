//! The product of two stretches of samples.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, MatRef, Par};
use std::ops::Range;

/// Which part of a square matrix counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The lower triangle, of a symmetric one.
    Lower,
    /// All of it.
    Full,
}

impl Part {
    /// What counts of a product of samples with samples `k` lags later.
    pub fn of(k: usize) -> Self {
        if k == 0 { Self::Lower } else { Self::Full }
    }

    /// The part of each column, in a `size` x `size` matrix that is stored column by column.
    pub fn columns(self, size: usize) -> impl Iterator<Item = Range<usize>> {
        (0..size).map(move |q| match self {
            Self::Lower => q * size + q..(q + 1) * size,
            Self::Full => q * size..(q + 1) * size,
        })
    }
}

/// Puts the sum over the rows of (row of `a`)' (row of `b`) into a part of `out`, or adds it.
/// Both have the same number of rows, of `cols` each.
pub fn product(a: &[f64], b: &[f64], cols: usize, part: Part, accum: Accum, out: MatMut<'_, f64>) {
    let rows = a.len() / cols;
    // Row by row as rows x cols is column by column as cols x rows.
    let a = MatRef::from_column_major_slice(a, cols, rows);
    let b = MatRef::from_column_major_slice(b, cols, rows).transpose();
    match part {
        Part::Full => matmul(out, accum, a, b, 1.0, Par::Seq),
        Part::Lower => triangular::matmul(
            out,
            BlockStructure::TriangularLower,
            accum,
            a,
            BlockStructure::Rectangular,
            b,
            BlockStructure::Rectangular,
            1.0,
            Par::Seq,
        ),
    }
}
