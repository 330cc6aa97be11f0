//! Linear functions of tangent vectors, without the vectors.
//!
//! A weight vector w acts on the tangent vector of C as a symmetric matrix does on a logarithm:
//! w t = <S, log(M^-1/2 C M^-1/2)>. With M = L L^T there is a rotation O such that M^-1/2 = O L^-1, and
//! so this is <O^T S O, log(L^-1 C L^-T)>: the weights are rotated once, and the whitener that is left is
//! triangular.

use super::{NotSpd, Spd, Whitener, linalg, tangent_len, triangular};
use crate::math::padded::{Aligned, Padded, WIDTH};
use crate::math::simd::{Simd, Work};
use std::f64::consts::SQRT_2;

/// Columns whose sums run side by side.
const COLUMNS: usize = 4;

/// Linear functions of tangent vectors at one reference.
#[derive(Debug, Clone)]
pub struct LinearForms {
    whitener: Whitener,
    /// One matrix per function, in the order in which [`Apply`] reads it.
    weights: Vec<Aligned>,
}

impl LinearForms {
    /// How many functions there are.
    pub fn count(&self) -> usize {
        self.weights.len()
    }
}

impl Spd {
    /// The functions given by `weights`, one row of [`tangent_len`] numbers after the other, of tangent
    /// vectors at `reference`. Allocates.
    pub fn linear_forms(
        &mut self,
        reference: &[f64],
        weights: &[f64],
    ) -> Result<LinearForms, NotSpd> {
        let n = self.n();
        let whitener = self.lower_whitener(reference)?;
        let rotation = linalg::rotation(&self.factor)?;
        let pack = |row: &[f64]| packed(n, &linalg::rotated(&rotation, &symmetric(n, row), n));
        let weights = weights.chunks_exact(tangent_len(n)).map(pack).collect();
        Ok(LinearForms { whitener, weights })
    }

    /// The values of the functions at the tangent vector of `c`.
    pub fn linear(
        &mut self,
        forms: &LinearForms,
        c: &[f64],
        out: &mut [f64],
    ) -> Result<(), NotSpd> {
        triangular::cholesky(self.cpu, c, &mut self.factor)?;
        self.whitened_log(&forms.whitener)?;
        for (weights, out) in forms.weights.iter().zip(out) {
            *out = self.cpu.run(Apply { weights, log: &self.log });
        }
        Ok(())
    }
}

/// The symmetric matrix with the tangent vector `row`. As weights, it acts on logarithms as `row` does on
/// tangent vectors.
pub fn symmetric(n: usize, row: &[f64]) -> Vec<f64> {
    let mut matrix = vec![0.0; n * n];
    let mut rest = row.iter();
    for i in 0..n {
        for j in i..n {
            let w = rest.next().copied().unwrap_or_default();
            let w = if i == j { w } else { w / SQRT_2 };
            (matrix[i * n + j], matrix[j * n + i]) = (w, w);
        }
    }
    matrix
}

/// The part on and below the diagonal, what is below it twice, a few columns at a time: row after row
/// of registers, side by side.
fn packed(n: usize, matrix: &[f64]) -> Aligned {
    let mut numbers = Vec::new();
    for first in (0..n).step_by(COLUMNS) {
        for row in (first / WIDTH * WIDTH..n).step_by(WIDTH) {
            for j in first..first + COLUMNS {
                numbers.extend((row..row + WIDTH).map(|i| match i.cmp(&j) {
                    _ if i >= n || j >= n => 0.0,
                    std::cmp::Ordering::Less => 0.0,
                    std::cmp::Ordering::Equal => matrix[j * n + i],
                    std::cmp::Ordering::Greater => 2.0 * matrix[j * n + i],
                }));
            }
        }
    }
    let mut packed = Aligned::new(numbers.len());
    packed.copy_from_slice(&numbers);
    packed
}

/// The sum of the products of packed weights and a logarithm.
struct Apply<'a> {
    weights: &'a [f64],
    log: &'a Padded,
}

impl Work for Apply<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let (n, stride, log) = (self.log.n(), self.log.stride(), self.log.data());
        let mut sums = [[0.0; WIDTH]; COLUMNS];
        for lane in (0..WIDTH).step_by(S::LANES) {
            let mut weights = self.weights.chunks_exact(COLUMNS * WIDTH);
            let mut sum = [simd.splat(0.0); COLUMNS];
            for first in (0..n).step_by(COLUMNS) {
                for row in (first / WIDTH * WIDTH..n).step_by(WIDTH) {
                    let Some(weights) = weights.next() else { break };
                    for (c, sum) in sum.iter_mut().enumerate() {
                        let w = simd.load(&weights[c * WIDTH + lane..]);
                        let x = simd.load(&log[(first + c) * stride + row + lane..]);
                        *sum = simd.mul_add(w, x, *sum);
                    }
                }
            }
            for (sum, sums) in sum.iter().zip(&mut sums) {
                simd.store(*sum, &mut sums[lane..]);
            }
        }
        sums.iter().map(|s| s.iter().sum::<f64>()).sum()
    }
}
