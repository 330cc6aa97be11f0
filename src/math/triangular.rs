//! Factors and products of triangular matrices.
//!
//! faer's kernels are as quick as the processor allows for full matrices and for large ones; at the
//! sizes of decoders (tens of channels) these, which leave out what is zero tile by tile, take a third
//! of the time. A tile of four columns stays in registers while the terms of its sums go by.

use super::linalg::NotSpd;
use super::padded::{Padded, Strip, WIDTH, scale, strips, subtract};
use super::simd::{Cpu, Simd, Work};
use std::ops::Range;

/// Columns of a tile.
const COLUMNS: usize = 4;

/// What is known about a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Nothing.
    Full,
    /// It is zero above the diagonal.
    Lower,
}

/// The lower triangular L with L L^T = `a`, n x n numbers.
///
/// A pivot divided by its diagonal entry is the share of a row that the rows before it do not explain,
/// whatever their scales. Where that share is no more than rounding, n * epsilon, the rows are linearly
/// dependent and the matrix is refused.
pub fn cholesky(cpu: Cpu, a: &[f64], l: &mut Padded) -> Result<(), NotSpd> {
    super::linalg::finite(a)?;
    l.fill_from(a);
    let rounding = l.n() as f64 * f64::EPSILON;
    if cpu.run(Factorise { a, l, rounding }) { Ok(()) } else { Err(NotSpd::NotPositive) }
}

/// W L, for a lower triangular `l`. `out` becomes zero above the diagonal if `w` is.
pub fn product(cpu: Cpu, w: &Padded, shape: Shape, l: &Padded, out: &mut Padded) {
    cpu.run(Product { w, shape, l, out });
}

/// P P^T, on and below the diagonal; the rest is arbitrary.
pub fn square(cpu: Cpu, p: &Padded, shape: Shape, out: &mut Padded) {
    cpu.run(Square { p, shape, out });
}

/// How many registers high a tile is.
const fn height<S: Simd>() -> usize {
    if S::REGISTERS >= 32 { 4 } else { 2 }
}

/// The sums over `terms` of the columns of `a` times `b(term, column)`, for the rows from `row` on.
#[inline(always)]
fn sums<S: Simd, const R: usize>(
    simd: S,
    a: &Padded,
    row: usize,
    terms: Range<usize>,
    b: impl Fn(usize, usize) -> f64,
) -> [[S::Vector; R]; COLUMNS] {
    let mut sums = [[simd.splat(0.0); R]; COLUMNS];
    for k in terms {
        let column = &a.data()[k * a.stride() + row..][..R * S::LANES];
        for (c, sums) in sums.iter_mut().enumerate() {
            let factor = simd.splat(b(k, c));
            for r in 0..R {
                sums[r] = simd.mul_add(simd.load(&column[r * S::LANES..]), factor, sums[r]);
            }
        }
    }
    sums
}

struct Factorise<'a> {
    a: &'a [f64],
    l: &'a mut Padded,
    rounding: f64,
}

impl Work for Factorise<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let (n, stride, l) = (self.l.n(), self.l.stride(), self.l);
        for first in (0..n).step_by(COLUMNS) {
            let top = first / WIDTH * WIDTH;
            strips(
                simd,
                top..n.next_multiple_of(WIDTH),
                height::<S>(),
                &mut Explained { l, first },
            );
            for j in first..n.min(first + COLUMNS) {
                let (before, column) = l.data_mut()[..(j + 1) * stride].split_at_mut(j * stride);
                for other in before[first * stride..].chunks_exact(stride) {
                    subtract(simd, &mut column[top..], &other[top..], other[j]);
                }
                let pivot = column[j];
                if pivot.is_nan() || pivot <= self.rounding * self.a[j * n + j] {
                    return false;
                }
                scale(simd, &mut column[top..], pivot.sqrt().recip());
                column[..j].fill(0.0);
            }
        }
        true
    }
}

/// Takes away from a few columns what the columns before them explain.
struct Explained<'a> {
    l: &'a mut Padded,
    first: usize,
}

impl Strip for Explained<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize>(&mut self, simd: S, row: usize) {
        let (stride, first) = (self.l.stride(), self.first);
        let data = self.l.data();
        let sums = sums::<S, R>(simd, self.l, row, 0..first, |k, c| data[k * stride + first + c]);
        for (c, sums) in sums.iter().enumerate() {
            let to = &mut self.l.data_mut()[(first + c) * stride + row..][..R * S::LANES];
            for r in 0..R {
                let to = &mut to[r * S::LANES..];
                simd.store(simd.sub(simd.load(to), sums[r]), to);
            }
        }
    }
}

struct Product<'a> {
    w: &'a Padded,
    shape: Shape,
    l: &'a Padded,
    out: &'a mut Padded,
}

impl Work for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { w, shape, l, out } = self;
        let n = l.n();
        for first in (0..n).step_by(COLUMNS) {
            let top = match shape {
                Shape::Full => 0,
                Shape::Lower => first / WIDTH * WIDTH,
            };
            let mut tiles = ProductTiles { w, shape, l, out, first };
            strips(simd, top..n.next_multiple_of(WIDTH), height::<S>(), &mut tiles);
            for column in out.data_mut().chunks_exact_mut(l.stride()).skip(first).take(COLUMNS) {
                column[..top].fill(0.0);
            }
        }
    }
}

struct ProductTiles<'a> {
    w: &'a Padded,
    shape: Shape,
    l: &'a Padded,
    out: &'a mut Padded,
    first: usize,
}

impl Strip for ProductTiles<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize>(&mut self, simd: S, row: usize) {
        let (n, stride, first, l) = (self.l.n(), self.l.stride(), self.first, self.l.data());
        let end = match self.shape {
            Shape::Full => n,
            Shape::Lower => n.min(row + R * S::LANES),
        };
        let sums = sums::<S, R>(simd, self.w, row, first..end, |k, c| l[(first + c) * stride + k]);
        put(simd, &sums, self.out, row, first);
    }
}

struct Square<'a> {
    p: &'a Padded,
    shape: Shape,
    out: &'a mut Padded,
}

impl Work for Square<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { p, shape, out } = self;
        let n = p.n();
        for first in (0..n).step_by(COLUMNS) {
            let top = first / WIDTH * WIDTH;
            let end = match shape {
                Shape::Full => n,
                Shape::Lower => n.min(first + COLUMNS),
            };
            let mut tiles = SquareTiles { p, out, first, end };
            strips(simd, top..n.next_multiple_of(WIDTH), height::<S>(), &mut tiles);
        }
    }
}

struct SquareTiles<'a> {
    p: &'a Padded,
    out: &'a mut Padded,
    first: usize,
    /// The columns of P from here on are zero in these rows.
    end: usize,
}

impl Strip for SquareTiles<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize>(&mut self, simd: S, row: usize) {
        let (stride, first, p) = (self.p.stride(), self.first, self.p.data());
        let sums = sums::<S, R>(simd, self.p, row, 0..self.end, |k, c| p[k * stride + first + c]);
        put(simd, &sums, self.out, row, first);
    }
}

#[inline(always)]
fn put<S: Simd, const R: usize>(
    simd: S,
    sums: &[[S::Vector; R]; COLUMNS],
    out: &mut Padded,
    row: usize,
    first: usize,
) {
    let stride = out.stride();
    for (c, sums) in sums.iter().enumerate() {
        let to = &mut out.data_mut()[(first + c) * stride + row..][..R * S::LANES];
        for r in 0..R {
            simd.store(sums[r], &mut to[r * S::LANES..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::{SIZES, difference, numbers, on_every_cpu, positive};

    /// A B, column by column.
    fn plain_product(n: usize, a: &[f64], b: &[f64]) -> Vec<f64> {
        let entry = |e: usize| (0..n).map(|k| a[k * n + e % n] * b[e / n * n + k]).sum();
        (0..n * n).map(entry).collect()
    }

    fn transposed(n: usize, a: &[f64]) -> Vec<f64> {
        (0..n * n).map(|e| a[e % n * n + e / n]).collect()
    }

    /// The part on and below the diagonal, zero above.
    fn lower(n: usize, a: &[f64]) -> Vec<f64> {
        (0..n * n).map(|e| if e % n >= e / n { a[e] } else { 0.0 }).collect()
    }

    /// Tolerance: n roundings, and n again for what differs in the order.
    #[test]
    fn products_are_those_of_plain_loops() {
        for n in SIZES {
            let full = numbers(n * n, 1);
            let (l, w) = (lower(n, &numbers(n * n, 2)), lower(n, &full));
            let l_padded = Padded::from_columns(n, &l);
            on_every_cpu(|cpu| {
                for (shape, w) in [(Shape::Full, &full), (Shape::Lower, &w)] {
                    let padded = Padded::from_columns(n, w);
                    let mut out = Padded::from_columns(n, &numbers(n * n, 3));
                    product(cpu, &padded, shape, &l_padded, &mut out);
                    let p = plain_product(n, w, &l);
                    let error = difference(&out.to_columns(), &p, 1.0);
                    assert!(error < n as f64 * 1e-15, "{cpu:?} {n} {shape:?}: W L {error:e}");
                    square(cpu, &Padded::from_columns(n, &p), shape, &mut out);
                    let want = plain_product(n, &p, &transposed(n, &p));
                    let got = lower(n, &out.to_columns());
                    let error = difference(&got, &lower(n, &want), 1.0);
                    assert!(error < n as f64 * 1e-15, "{cpu:?} {n} {shape:?}: P P^T {error:e}");
                }
            });
        }
    }

    /// Tolerance: the known bound of the backward error of Cholesky's method, n epsilon.
    #[test]
    fn factors_give_the_matrix_back() {
        for n in SIZES {
            for (name, _, a) in positive(n) {
                on_every_cpu(|cpu| {
                    let mut l = Padded::from_columns(n, &numbers(n * n, 4));
                    cholesky(cpu, &a, &mut l).unwrap();
                    let l = l.to_columns();
                    assert_eq!(l, lower(n, &l), "{name} {n}: not triangular");
                    let got = plain_product(n, &l, &transposed(n, &l));
                    let error = difference(&got, &a, 0.0);
                    let tolerance = (n + 2) as f64 * f64::EPSILON;
                    assert!(error < tolerance, "{cpu:?} {name} {n}: {error:e}");
                });
            }
        }
    }

    #[test]
    fn bad_matrices_are_refused() {
        on_every_cpu(|cpu| {
            let mut l = Padded::new(2);
            for (a, why) in [
                ([1.0, 0.0, 0.0, f64::NAN], NotSpd::NotFinite),
                ([1e200, 0.0, 0.0, 1.0], NotSpd::NotFinite),
                ([1.0, 0.0, 0.0, -1.0], NotSpd::NotPositive),
                ([0.0; 4], NotSpd::NotPositive),
                ([1.0, 1.0, 1.0, 1.0], NotSpd::NotPositive),
                ([1.0, 1.0 - 1e-16, 1.0 - 1e-16, 1.0], NotSpd::NotPositive),
            ] {
                assert_eq!(cholesky(cpu, &a, &mut l), Err(why), "{a:?}");
            }
            assert_eq!(cholesky(cpu, &[1e-12, 0.0, 0.0, 1e12], &mut l), Ok(()));
        });
    }
}
