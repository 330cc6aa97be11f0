//! A symmetric matrix to tridiagonal form and back, by reflections.
//!
//! A = Q T Q^T with Q = H_0 H_1 ... H_(n-3) and H_k = 1 - tau_k v_k v_k^T, where v_k is zero up to entry
//! k and one at entry k + 1 (Golub and Van Loan, Matrix Computations, 4th ed., section 8.3). Applied from
//! both sides, a reflection is a change of rank two: H A H = A - v w^T - w v^T with
//! w = p - (tau/2)(p v) v and p = tau A v. One pass over the columns applies it and multiplies what comes
//! out by the vector of the next one. That is the work, in both directions: n^3 fused multiply-adds there,
//! 4/3 n^3 back.
//!
//! Both halves of the matrix are kept, though they mirror each other: a product is then a sum of columns
//! that stays in registers, whereas half a matrix needs a sum across registers for each column, which at
//! the sizes of decoders costs more than the other half (three times as quick as faer's at n = 64).

use super::padded::{Aligned, Padded, Strip, WIDTH, dot, scale, strips, subtract};
use super::simd::{Cpu, Simd, Work};

/// Squares whose sum is below this are taken for zero: their root would be too coarse to reflect by.
const NEGLIGIBLE: f64 = f64::MIN_POSITIVE / f64::EPSILON;

/// Room for the reflections of matrices of one size.
pub struct Reflections {
    cpu: Cpu,
    /// What goes in; then v_k in column k.
    matrix: Padded,
    tau: Vec<f64>,
    diagonal: Vec<f64>,
    beside: Vec<f64>,
    w: Aligned,
    product: Aligned,
    none: Aligned,
}

impl Reflections {
    /// Room for `n` x `n`, `n` at least 1.
    pub fn on(cpu: Cpu, n: usize) -> Self {
        let matrix = Padded::new(n);
        let vector = || Aligned::new(matrix.stride());
        let (w, product, none) = (vector(), vector(), vector());
        let of_n = || vec![0.0; n];
        Self { cpu, tau: of_n(), diagonal: of_n(), beside: of_n(), w, product, none, matrix }
    }

    /// The symmetric matrix to be reduced: to be filled with both halves. [`Self::reduce`] uses it up.
    pub fn matrix(&mut self) -> &mut Padded {
        &mut self.matrix
    }

    /// Finds T and the reflections.
    pub fn reduce(&mut self) {
        self.cpu.run(Reduce(self));
    }

    /// The diagonal of T, and the number below each diagonal entry; zero below the last.
    pub fn tridiagonal(&self) -> (&[f64], &[f64]) {
        (&self.diagonal, &self.beside)
    }

    /// Puts Q F Q^T in the place of the symmetric matrix `f`; of both, the part on and below the diagonal
    /// counts.
    pub fn restore(&mut self, f: &mut Padded) {
        self.cpu.run(Restore(self, f));
    }
}

struct Reduce<'a>(&'a mut Reflections);

impl Work for Reduce<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Reflections { matrix, tau, diagonal, beside, w, product, none, .. } = self.0;
        let (n, stride) = (matrix.n(), matrix.stride());
        beside[n - 1] = 0.0;
        w.fill(0.0);
        for k in 0..n {
            let (done, rest) = matrix.data_mut()[..n * stride].split_at_mut(k * stride);
            let (column, rest) = rest.split_at_mut(stride);
            // The reflection before this one has yet to be applied.
            let last = Change { v: done.rchunks_exact(stride).next().unwrap_or(none), w };
            last.apply(simd, column, k);
            diagonal[k] = column[k];
            if k + 2 < n {
                (beside[k], tau[k]) = reflect(simd, column, k + 1);
                let top = floor(k + 1);
                last.apply_and_multiply(simd, rest, k + 1, top, column, product);
                finish(simd, &column[top..], tau[k], &mut product[top..]);
                std::mem::swap(w, product);
            } else if k + 1 < n {
                beside[k] = column[k + 1];
                last.apply(simd, rest, k + 1);
                w.fill(0.0);
            }
        }
    }
}

struct Restore<'a>(&'a mut Reflections, &'a mut Padded);

impl Work for Restore<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Reflections { matrix, tau, w, product, none, .. } = self.0;
        let (n, stride, f) = (matrix.n(), matrix.stride(), self.1);
        if n < 3 {
            return;
        }
        w.fill(0.0);
        from_row(f, n - 1);
        for k in (0..n - 2).rev() {
            let (v, next) = (matrix.column(k), &mut f.data_mut()[(k + 2) * stride..n * stride]);
            let last = Change { v: if k + 3 < n { matrix.column(k + 1) } else { none }, w };
            last.apply_and_multiply(simd, next, k + 2, 0, v, product);
            // A reflection has changed all rows of the columns behind its number, and of the others
            // only what mirrors these: so a column begins as a row when its turn comes.
            from_row(f, k + 1);
            subtract(simd, product, f.column(k + 1), -1.0);
            finish(simd, v, tau[k], product);
            std::mem::swap(w, product);
        }
        let last = Change { v: matrix.column(0), w };
        from_row(f, 0);
        subtract(simd, f.column_mut(0), last.v, w[0]);
        for (j, column) in f.columns_mut().enumerate().skip(1) {
            last.apply(simd, column, j);
        }
    }
}

/// The first row of the strip that `row` lies in.
#[inline(always)]
fn floor(row: usize) -> usize {
    row / WIDTH * WIDTH
}

/// Makes column `j` of its row.
#[inline(always)]
fn from_row(f: &mut Padded, j: usize) {
    let (n, stride, f) = (f.n(), f.stride(), f.data_mut());
    for i in 0..n {
        f[j * stride + i] = f[i * stride + j];
    }
}

/// Finds the reflection that makes zeros of the numbers behind entry `at` and puts its vector in their
/// place. Returns what is left at `at`, and tau.
#[inline(always)]
fn reflect<S: Simd>(simd: S, column: &mut [f64], at: usize) -> (f64, f64) {
    let first = column[at];
    column[..=at].fill(0.0);
    let tail = &mut column[floor(at)..];
    let rest = dot(simd, tail, tail);
    let (left, tau, factor) = if rest < NEGLIGIBLE {
        (first, 0.0, 0.0)
    } else {
        let left = -(first * first + rest).sqrt().copysign(first);
        (left, (left - first) / left, 1.0 / (first - left))
    };
    scale(simd, tail, factor);
    column[at] = 1.0;
    (left, tau)
}

/// Turns A v into w.
#[inline(always)]
fn finish<S: Simd>(simd: S, v: &[f64], tau: f64, product: &mut [f64]) {
    let half = 0.5 * tau * tau * dot(simd, v, product);
    scale(simd, product, tau);
    subtract(simd, product, v, half);
}

/// A change of rank two, - v w^T - w v^T.
#[derive(Clone, Copy)]
struct Change<'a> {
    v: &'a [f64],
    w: &'a [f64],
}

impl Change<'_> {
    /// Applies the change to column `j` from the diagonal down.
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, column: &mut [f64], j: usize) {
        let top = floor(j);
        subtract(simd, &mut column[top..], &self.v[top..], self.w[j]);
        subtract(simd, &mut column[top..], &self.w[top..], self.v[j]);
    }

    /// Applies the change to `columns`, of which the first is number `first` and before which v is zero,
    /// in the rows from `top` on, and puts their product with `x` into `product`.
    #[inline(always)]
    fn apply_and_multiply<S: Simd>(
        self,
        simd: S,
        columns: &mut [f64],
        first: usize,
        top: usize,
        x: &[f64],
        product: &mut [f64],
    ) {
        let most = if S::REGISTERS >= 32 { 8 } else { 4 };
        let (split, end) = (floor(first).max(top), self.v.len());
        let pass = Pass { change: self, columns, first, x, product };
        let mut upper = Rows::<false>(pass);
        strips(simd, top..split, most, &mut upper);
        strips(simd, split..end, most, &mut Rows::<true>(upper.0));
    }
}

struct Pass<'a> {
    change: Change<'a>,
    columns: &'a mut [f64],
    first: usize,
    x: &'a [f64],
    product: &'a mut [f64],
}

/// A pass over rows in which v is not zero, or is.
struct Rows<'a, const V: bool>(Pass<'a>);

impl<const V: bool> Strip for Rows<'_, V> {
    #[inline(always)]
    fn run<S: Simd, const R: usize>(&mut self, simd: S, row: usize) {
        let Pass { change: Change { v, w }, columns, first, x, product } = &mut self.0;
        let (stride, first, rows) = (v.len(), *first, row..row + R * S::LANES);
        let (v_rows, w_rows) = (&v[rows.clone()], &w[rows.clone()]);
        let zero = simd.splat(0.0);
        let (mut v_here, mut w_here, mut sum) = ([zero; R], [zero; R], [zero; R]);
        for r in 0..R {
            v_here[r] = simd.load(&v_rows[r * S::LANES..]);
            w_here[r] = simd.load(&w_rows[r * S::LANES..]);
        }
        let factors = v[first..].iter().zip(&w[first..]).zip(&x[first..]);
        for (column, ((v, w), x)) in columns.chunks_exact_mut(stride).zip(factors) {
            let column = &mut column[rows.clone()];
            let (v, w, x) = (simd.splat(*v), simd.splat(*w), simd.splat(*x));
            for r in 0..R {
                let to = &mut column[r * S::LANES..];
                let mut a = simd.sub_mul(w_here[r], v, simd.load(to));
                if V {
                    a = simd.sub_mul(v_here[r], w, a);
                }
                simd.store(a, to);
                sum[r] = simd.mul_add(a, x, sum[r]);
            }
        }
        let product = &mut product[rows];
        for r in 0..R {
            simd.store(sum[r], &mut product[r * S::LANES..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::linalg::Symmetric;
    use crate::math::testing::{
        SIZES, difference, numbers, on_every_cpu, positive, with_eigenvalues,
    };

    /// Everything symmetric, positive or not.
    fn matrices(n: usize) -> Vec<(&'static str, Vec<f64>)> {
        let mut all: Vec<_> = positive(n).into_iter().map(|(name, _, a)| (name, a)).collect();
        let signs: Vec<f64> = numbers(n, 5);
        let one_only: Vec<f64> = (0..n).map(|i| if i == 0 { 2.0 } else { 0.0 }).collect();
        all.push(("indefinite", with_eigenvalues(&signs, 6)));
        all.push(("of rank one", with_eigenvalues(&one_only, 7)));
        all.push(("zero", vec![0.0; n * n]));
        let nearly = |e: usize| if e / n == e % n { 1.0 } else { 1e-160 };
        all.push(("nearly diagonal", (0..n * n).map(nearly).collect()));
        all
    }

    fn tridiagonal(n: usize, diagonal: &[f64], beside: &[f64]) -> Vec<f64> {
        let entry = |e: usize| match (e / n, e % n) {
            (i, j) if i == j => diagonal[i],
            (i, j) if i.abs_diff(j) == 1 => beside[i.min(j)],
            _ => 0.0,
        };
        (0..n * n).map(entry).collect()
    }

    /// There and back again. Tolerance: a few roundings for each of the reflections, which all keep
    /// lengths.
    #[test]
    fn what_was_reduced_is_restored() {
        for n in SIZES {
            for (name, a) in matrices(n) {
                on_every_cpu(|cpu| {
                    let mut reflections = Reflections::on(cpu, n);
                    for _ in 0..2 {
                        reflections.matrix().fill_from(&a);
                        reflections.reduce();
                    }
                    let (diagonal, beside) = reflections.tridiagonal();
                    let t = tridiagonal(n, diagonal, beside);
                    assert_eq!(beside[n - 1], 0.0);
                    let mut back = Padded::from_columns(n, &t);
                    // Above the diagonal nothing counts.
                    for (j, column) in back.columns_mut().enumerate() {
                        column[..j].fill(9.0);
                    }
                    reflections.restore(&mut back);
                    back.mirror();
                    let error = difference(&back.to_columns(), &a, f64::MIN_POSITIVE);
                    let tolerance = (4 * n) as f64 * f64::EPSILON;
                    assert!(error < tolerance, "{cpu:?} {name} {n}: {error:e}");
                });
            }
        }
    }

    /// Tolerance: the bound of the backward error, relative to the largest eigenvalue.
    #[test]
    fn the_eigenvalues_stay() {
        for n in SIZES {
            let mut work = Symmetric::new(n);
            for (name, a) in matrices(n) {
                work.eigen(&a).unwrap();
                let want = work.values().to_vec();
                on_every_cpu(|cpu| {
                    let mut reflections = Reflections::on(cpu, n);
                    reflections.matrix().fill_from(&a);
                    reflections.reduce();
                    let (diagonal, beside) = reflections.tridiagonal();
                    work.eigen(&tridiagonal(n, diagonal, beside)).unwrap();
                    let error = difference(work.values(), &want, f64::MIN_POSITIVE);
                    let tolerance = (4 * n) as f64 * f64::EPSILON;
                    assert!(error < tolerance, "{cpu:?} {name} {n}: {error:e}");
                });
            }
        }
    }
}
