//! The logarithm of a symmetric positive definite tridiagonal matrix, without its eigenvalues.
//!
//! In: the diagonal and the numbers beside it. Out: a full symmetric matrix.
//!
//! A rational function stands in for the logarithm between two bounds ([`super::poles`]):
//! ln(z) = sum_j g_j (1/(1 + p_j) - 1/(z + p_j)), all p_j and g_j positive. Its terms are inverses
//! G = (T + p)^-1 of tridiagonal matrices, whose entries come without cancellation from the factors
//! T + p = L D L^T: with l_a the number below the a-th diagonal entry of L,
//!
//! ```text
//! G_bb = 1/D_b + l_b^2 G_(b+1)(b+1)          from the last row up
//! G_ab = -l_a G_(a+1)b                       for b > a
//! ```
//!
//! The second line, n^2/2 multiplications and additions per pole, is where the time goes. It runs up a
//! few columns at once, with the inverses of eight poles side by side in registers.
//!
//! The upper bound of the spectrum is Gershgorin's; for the lower one the pivots of T - s tell for the
//! s of all sets at once whether it is below every eigenvalue (Sturm).
//!
//! Error: that of the arithmetic, epsilon times the condition of T, as with eigenvalues; the rational
//! functions are within 1e-15.

use super::poles::{SETS, Set};
use crate::math::padded::{Aligned, Padded};
use crate::math::simd::{Cpu, Simd, Work};

/// How many poles are worked on at once.
const GROUP: usize = 8;
/// How many bounds are tried at once; at least the number of sets.
const TRIALS: usize = 8;
/// What is smaller does not change the logarithm, whose numbers are of order one.
const NOTHING: f64 = 1e-30;

/// Room for the logarithms of `n` x `n` matrices.
pub struct Logarithm {
    n: usize,
    cpu: Cpu,
    sets: Vec<Terms>,
    /// Row by row, a number per pole: -l of every row.
    factors: Aligned,
    /// And the diagonal of G times -g.
    starts: Aligned,
    diagonal: Vec<f64>,
    beside: Vec<f64>,
}

/// A rational function with all of its poles.
struct Terms {
    bound: f64,
    poles: Aligned,
    weights: Aligned,
    constant: f64,
}

impl From<&Set> for Terms {
    fn from(set: &Set) -> Self {
        let half = set.upper.len();
        let (mut poles, mut weights) = (Aligned::new(2 * half), Aligned::new(2 * half));
        for (i, (p, g)) in set.upper.iter().enumerate() {
            (poles[i], weights[i]) = (*p, *g);
            (poles[2 * half - 1 - i], weights[2 * half - 1 - i]) = (1.0 / p, g / p / p);
        }
        let constant = set.upper.iter().map(|(p, g)| g / p).sum();
        Self { bound: set.bound, poles, weights, constant }
    }
}

impl Logarithm {
    /// Room for `n` x `n`.
    pub fn on(cpu: Cpu, n: usize) -> Self {
        let sets: Vec<Terms> = SETS.iter().map(Terms::from).collect();
        let most = sets.iter().map(|s| s.poles.len()).max().unwrap_or_default();
        let room = || Aligned::new(n * most);
        let (factors, starts) = (room(), room());
        Self { n, cpu, sets, factors, starts, diagonal: vec![0.0; n], beside: vec![0.0; n] }
    }

    /// Puts the logarithm into `out`, where the part on and below the diagonal counts. False if the
    /// matrix is not positive definite or its condition is beyond the table.
    pub fn compute(&mut self, diagonal: &[f64], beside: &[f64], out: &mut Padded) -> bool {
        if !diagonal.iter().chain(beside).all(|v| v.is_finite()) {
            return false;
        }
        let upper = gershgorin(diagonal, beside);
        let Some(set) = self.set_for(diagonal, beside, upper) else { return false };
        let terms = &self.sets[set];
        let scale = terms.bound / upper;
        for (to, from) in self.diagonal.iter_mut().zip(diagonal) {
            *to = from * scale;
        }
        for (to, from) in self.beside.iter_mut().zip(beside) {
            *to = from * scale;
        }
        self.cpu.run(Sum {
            n: self.n,
            terms,
            diagonal: &self.diagonal,
            beside: &self.beside,
            factors: &mut self.factors,
            starts: &mut self.starts,
            out,
        });
        let constant = terms.constant - scale.ln();
        for i in 0..self.n {
            out.column_mut(i)[i] += constant;
        }
        true
    }

    /// The first set that reaches from `upper` down to all eigenvalues.
    fn set_for(&self, diagonal: &[f64], beside: &[f64], upper: f64) -> Option<usize> {
        if upper <= 0.0 {
            return None;
        }
        let mut shifts = [0.0; TRIALS];
        for (shift, set) in shifts.iter_mut().zip(&self.sets) {
            *shift = upper / set.bound / set.bound;
        }
        let least = self.cpu.run(LeastPivots { diagonal, beside, shifts });
        least.iter().take(self.sets.len()).position(|pivot| *pivot > 0.0)
    }
}

/// No eigenvalue is larger.
fn gershgorin(diagonal: &[f64], beside: &[f64]) -> f64 {
    let mut before = 0.0;
    let mut largest = f64::NEG_INFINITY;
    for (d, e) in diagonal.iter().zip(beside) {
        largest = largest.max(d + before + e.abs());
        before = e.abs();
    }
    largest
}

/// The least pivot of T - s for each shift s: positive if all eigenvalues are larger.
struct LeastPivots<'a> {
    diagonal: &'a [f64],
    beside: &'a [f64],
    shifts: [f64; TRIALS],
}

impl Work for LeastPivots<'_> {
    type Output = [f64; TRIALS];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [f64; TRIALS] {
        let mut least = [0.0; TRIALS];
        for lane in (0..TRIALS).step_by(S::LANES) {
            let shift = simd.load(&self.shifts[lane..]);
            let mut low = simd.splat(f64::INFINITY);
            let mut carried = simd.splat(0.0);
            for (d, e) in self.diagonal.iter().zip(self.beside) {
                let pivot = simd.sub(simd.sub(simd.splat(*d), shift), carried);
                low = simd.min(pivot, low);
                carried = simd.div(simd.splat(e * e), pivot);
            }
            simd.store(low, &mut least[lane..]);
        }
        least
    }
}

/// Minus the weighted sum of the inverses.
struct Sum<'a> {
    n: usize,
    terms: &'a Terms,
    diagonal: &'a [f64],
    beside: &'a [f64],
    factors: &'a mut [f64],
    starts: &'a mut [f64],
    out: &'a mut Padded,
}

impl Work for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.factorise(simd);
        self.out.data_mut().fill(0.0);
        for block in (0..self.n).step_by(S::LANES) {
            for group in (0..self.terms.poles.len()).step_by(GROUP) {
                self.climb(simd, block, group);
            }
        }
    }
}

impl Sum<'_> {
    /// Finds -l and the weighted diagonals, for all poles at once.
    #[inline(always)]
    fn factorise<S: Simd>(&mut self, simd: S) {
        let (n, count) = (self.n, self.terms.poles.len());
        let (one, minus) = (simd.splat(1.0), simd.splat(-1.0));
        for i in 0..n {
            let (before, here) = self.factors.split_at_mut(i * count);
            let before = if i > 0 { &before[(i - 1) * count..] } else { &[] };
            let coupling = if i > 0 { self.beside[i - 1] } else { 0.0 };
            let (d, e) = (simd.splat(self.diagonal[i]), simd.splat(self.beside[i]));
            let coupling = simd.splat(coupling);
            for j in (0..count).step_by(S::LANES) {
                let mut pivot = simd.add(d, simd.load(&self.terms.poles[j..]));
                if i > 0 {
                    pivot = simd.mul_add(coupling, simd.load(&before[j..]), pivot);
                }
                let inverse = simd.div(one, pivot);
                simd.store(simd.mul(simd.mul(minus, e), inverse), &mut here[j..]);
                let weighted =
                    simd.mul(simd.mul(minus, simd.load(&self.terms.weights[j..])), inverse);
                simd.store(weighted, &mut self.starts[i * count + j..]);
            }
        }
        for i in (0..n.saturating_sub(1)).rev() {
            let (here, after) = self.starts[i * count..].split_at_mut(count);
            let factors = &self.factors[i * count..(i + 1) * count];
            for j in (0..count).step_by(S::LANES) {
                let l = simd.load(&factors[j..]);
                let added = simd.mul(simd.mul(l, l), simd.load(&after[j..]));
                simd.store(simd.add(simd.load(&here[j..]), added), &mut here[j..]);
            }
        }
    }

    /// Adds the inverses of one group of poles, columns from `block` on, from the diagonal up.
    #[inline(always)]
    fn climb<S: Simd>(&mut self, simd: S, block: usize, group: usize) {
        let (count, stride) = (self.terms.poles.len(), self.out.stride());
        let mut g = [simd.splat(0.0); GROUP];
        let last = (block + S::LANES).min(self.n) - 1;
        let mut square = [0.0; TRIALS];
        for a in (0..=last).rev() {
            let at = a * count + group;
            let factors = &self.factors[at..at + GROUP];
            for j in 0..GROUP {
                g[j] = simd.mul(g[j], simd.splat(factors[j]));
            }
            if a >= block {
                let starts = &self.starts[at..at + GROUP];
                let unit = simd.load(&UNITS[a - block]);
                for j in 0..GROUP {
                    g[j] = simd.mul_add(unit, simd.splat(starts[j]), g[j]);
                }
            }
            let (p, q) = (simd.add(g[0], g[1]), simd.add(g[2], g[3]));
            let (r, s) = (simd.add(g[4], g[5]), simd.add(g[6], g[7]));
            let sum = simd.add(simd.add(p, q), simd.add(r, s));
            let to = &mut self.out.data_mut()[a * stride + block..][..S::LANES];
            simd.store(simd.add(sum, simd.load(to)), to);
            if a % 8 == 0 && a < block {
                // All terms have one sign, so that the sum is small only if all of them are.
                simd.store(simd.mul(sum, sum), &mut square);
                if square.iter().all(|s| *s < NOTHING * NOTHING) {
                    break;
                }
            }
        }
    }
}

const UNITS: [[f64; 8]; 8] = {
    let mut units = [[0.0; 8]; 8];
    let mut i = 0;
    while i < 8 {
        units[i][i] = 1.0;
        i += 1;
    }
    units
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::on_every_cpu;
    use std::f64::consts::PI;

    const SIZES: [usize; 12] = [1, 2, 3, 4, 7, 8, 9, 16, 17, 22, 64, 88];

    /// Each rational function against ln, at points of its range. Tolerance: 1e-15 that the table
    /// promises, and the rounding of a sum that begins with `constant`.
    #[test]
    fn the_table_holds_logarithms() {
        for terms in SETS.iter().map(Terms::from) {
            let tolerance = 1e-15 + 8.0 * f64::EPSILON * terms.constant;
            assert!(terms.poles.windows(2).all(|p| p[0] > p[1]), "in order");
            for i in 0..=1000 {
                let z = terms.bound.powf(f64::from(i) / 500.0 - 1.0);
                let parts = terms.poles.iter().zip(&*terms.weights).map(|(p, g)| g / (z + p));
                let error = terms.constant - parts.sum::<f64>() - z.ln();
                assert!(error.abs() < tolerance, "{} poles at {z}: {error:e}", terms.poles.len());
            }
        }
        assert!(SETS.len() <= TRIALS);
    }

    /// a + 2 b cos(angle_k) are the eigenvalues of the matrix with a on and b beside the diagonal, and
    /// its eigenvectors are sines: a reference without decomposition. Tolerance: epsilon times the
    /// condition.
    #[test]
    fn sines_are_the_reference() {
        for n in SIZES {
            for (a, b) in [(1.0, 0.0), (1.0, 1e-9), (4.0, -1.0), (2e5, -1e5), (2.000_001e-9, 1e-9)]
            {
                let angle = |k: usize| PI * (k + 1) as f64 / (n + 1) as f64;
                let values: Vec<f64> = (0..n).map(|k| a + 2.0 * b * angle(k).cos()).collect();
                let entry = |i: usize, j: usize| -> f64 {
                    let term = |k: usize| {
                        let sines =
                            (angle(k) * (i + 1) as f64).sin() * (angle(k) * (j + 1) as f64).sin();
                        values[k].ln() * sines
                    };
                    2.0 / (n + 1) as f64 * (0..n).map(term).sum::<f64>()
                };
                let mut beside = vec![b; n];
                beside[n - 1] = 0.0;
                let most = values.iter().fold(0.0, |m: f64, v| m.max(*v));
                let least = values.iter().fold(most, |m: f64, v| m.min(*v));
                let largest_log = values.iter().fold(1.0, |m: f64, v| m.max(v.ln().abs()));
                let tolerance = (8.0 * most / least + 16.0 * largest_log) * f64::EPSILON;
                on_every_cpu(|cpu| {
                    let mut logarithm = Logarithm::on(cpu, n);
                    let mut out = Padded::from_columns(n, &vec![3.0; n * n]);
                    for _ in 0..2 {
                        assert!(logarithm.compute(&vec![a; n], &beside, &mut out), "{n} {a} {b}");
                    }
                    for j in 0..n {
                        for i in j..n {
                            let error = (out.column(j)[i] - entry(i, j)).abs();
                            assert!(error < tolerance, "{cpu:?} {n} {a} {b} {i} {j}: {error:e}");
                        }
                        assert!(out.column(j)[n..].iter().all(|v| *v == 0.0), "padding");
                    }
                });
            }
        }
    }

    #[test]
    fn what_is_not_positive_or_beyond_the_table_is_left_alone() {
        on_every_cpu(|cpu| {
            let mut out = Padded::new(3);
            let mut logarithm = Logarithm::on(cpu, 3);
            let mut tries =
                |d: [f64; 3], e: [f64; 2]| logarithm.compute(&d, &[e[0], e[1], 0.0], &mut out);
            assert!(tries([1.0, 1e-11, 1.0], [0.0, 0.0]));
            assert!(!tries([1.0, 1e-12, 1.0], [0.0, 0.0]));
            assert!(!tries([1.0, 0.0, 1.0], [0.0, 0.0]));
            assert!(!tries([1.0, -1.0, 1.0], [0.0, 0.0]));
            assert!(!tries([0.0; 3], [0.0; 2]));
            assert!(!tries([-1.0; 3], [0.0; 2]));
            assert!(!tries([1.0; 3], [1.0, 0.0]));
            assert!(!tries([1.0; 3], [0.9, 0.9]));
            assert!(!tries([f64::NAN, 1.0, 1.0], [0.0; 2]));
            assert!(!tries([1.0; 3], [f64::NAN, 0.0]));
            assert!(!tries([1.0, f64::INFINITY, 1.0], [0.0; 2]));
        });
    }
}
