//! From sums of products to a covariance: centred, divided, shrunk and mirrored, in two passes.
//!
//! In: the lower triangle of a p x p matrix, column by column. Out: the whole of the symmetric matrix C
//! of [`covariance`](super::covariance), in the same place.

use super::covariance::Estimator;
use super::simd::{Cpu, Simd, Work};
use std::ops::Range;

/// What is known of the sums beside their values.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// How it is shrunk.
    pub estimator: Estimator,
    /// From how many samples they come.
    pub n: usize,
    /// Sum over the samples of |x|^4, for Ledoit-Wolf.
    pub fourth: f64,
    /// What they are multiplied with.
    pub scale: f64,
    /// By how much the products that follow are off their mean; empty for not at all.
    pub offsets: &'a [f64],
}

impl Raw<'_> {
    /// Makes C of the sums.
    pub fn finish(&self, s: &mut [f64], p: usize) {
        self.finish_on(Cpu::best(), s, p);
    }

    fn finish_on(&self, cpu: Cpu, s: &mut [f64], p: usize) {
        let Sums { trace, squares } = cpu.run(Measure { raw: self, s, p });
        let mu = trace / p as f64;
        let r = if p == 1 { 0.0 } else { self.share(p as f64, mu, squares) };
        let n = self.n as f64;
        let unbiased = if self.estimator.is_unbiased() { n / (n - 1.0) } else { 1.0 };
        cpu.run(Spread { s, p, scale: (1.0 - r) * unbiased, add: r * mu });
    }

    /// The share of the identity, where S has the mean eigenvalue `mu` and the sum of `squares`.
    fn share(&self, p: f64, mu: f64, squares: f64) -> f64 {
        let n = self.n as f64;
        match self.estimator {
            Estimator::Scm | Estimator::Cov | Estimator::Sch => 0.0,
            // These are not made of sums of products.
            Estimator::Hub | Estimator::Tyl => 0.0,
            Estimator::Oas => {
                let a = squares / (p * p);
                let below = (n + 1.0) * (a - mu * mu / p);
                // Below zero by rounding only, where S is a multiple of the identity.
                if below <= 0.0 { 1.0 } else { ((a + mu * mu) / below).min(1.0) }
            }
            Estimator::Lwf => {
                let b = (self.fourth / n - squares) / (n * p);
                let d = (squares - p * mu * mu) / p;
                let b = b.min(d);
                if b <= 0.0 { 0.0 } else { b / d }
            }
        }
    }
}

/// What the shrinkage depends on.
struct Sums {
    trace: f64,
    squares: f64,
}

/// The first pass: makes S of the sums, and sums up over both its halves.
struct Measure<'a> {
    raw: &'a Raw<'a>,
    s: &'a mut [f64],
    p: usize,
}

/// How many sums go side by side: the compiler may not take one apart by itself.
const LANES: usize = 16;

impl Work for Measure<'_> {
    type Output = Sums;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Sums {
        let Raw { scale, offsets, .. } = *self.raw;
        let (mut trace, mut diagonal, mut below) = (0.0, 0.0, [0.0; LANES]);
        for (q, column) in self.s.chunks_exact_mut(self.p).enumerate() {
            let column = &mut column[q..];
            if offsets.is_empty() {
                column.iter_mut().for_each(|v| *v *= scale);
            } else {
                let own = offsets[q];
                for (v, later) in column.iter_mut().zip(&offsets[q..]) {
                    *v = *v * scale - own * later;
                }
            }
            trace += column[0];
            diagonal += column[0] * column[0];
            let (lanes, rest) = column[1..].as_chunks::<LANES>();
            for lane in lanes {
                below.iter_mut().zip(lane).for_each(|(sum, v)| *sum += v * v);
            }
            below.iter_mut().zip(rest).for_each(|(sum, v)| *sum += v * v);
        }
        Sums { trace, squares: diagonal + 2.0 * below.iter().sum::<f64>() }
    }
}

/// The length of the side of the tiles that are turned over at a time.
const TILE: usize = 8;

/// The second pass: multiplies, adds to the diagonal, and copies what is below it to above it. In
/// tiles, because numbers that are neighbours on one side are far apart on the other.
struct Spread<'a> {
    s: &'a mut [f64],
    p: usize,
    scale: f64,
    add: f64,
}

impl Work for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { s, p, scale, add } = self;
        for top in (0..p).step_by(TILE) {
            let rows = top..p.min(top + TILE);
            for left in (0..top).step_by(TILE) {
                match rows.len() {
                    TILE => turn_tile(s, p, top, left, scale),
                    _ => rows.clone().for_each(|i| turn_row(s, p, i, left..left + TILE, scale)),
                }
            }
            for i in rows {
                turn_row(s, p, i, top..i, scale);
                s[i * p + i] = s[i * p + i] * scale + add;
            }
        }
    }
}

/// Turns over the tile with its corner in row `top` of column `left`.
#[inline(always)]
fn turn_tile(s: &mut [f64], p: usize, top: usize, left: usize, scale: f64) {
    let mut tile = [[0.0; TILE]; TILE];
    for (c, column) in tile.iter_mut().enumerate() {
        let from = &mut s[(left + c) * p + top..][..TILE];
        from.iter_mut().for_each(|v| *v *= scale);
        column.copy_from_slice(from);
    }
    for r in 0..TILE {
        let to = &mut s[(top + r) * p + left..][..TILE];
        to.iter_mut().zip(&tile).for_each(|(to, column)| *to = column[r]);
    }
}

/// Turns over the numbers in row i of some columns.
#[inline(always)]
fn turn_row(s: &mut [f64], p: usize, i: usize, columns: Range<usize>, scale: f64) {
    for j in columns {
        s[j * p + i] *= scale;
        s[i * p + j] = s[j * p + i];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entry by entry, on both halves. Tolerance: sums of some thousand squares in another order.
    #[test]
    fn agrees_with_the_formulas_and_is_the_same_on_every_processor() {
        for p in [1, 2, 7, 8, 9, 16, 31, 64, 70] {
            let number = |i: usize| ((i * i * 31 + i * 7) % 97) as f64 - 48.0;
            let offsets: Vec<f64> = (0..p).map(|i| 0.1 * number(i)).collect();
            let sums: Vec<f64> = (0..p * p).map(|i| number(i % p) * number(i / p)).collect();
            for estimator in [Estimator::Scm, Estimator::Cov, Estimator::Oas, Estimator::Lwf] {
                for offsets in [&offsets[..], &[]] {
                    let raw = Raw { estimator, n: 9, fourth: 1e4, scale: 0.25, offsets };
                    let at = |i: usize| offsets.get(i).copied().unwrap_or_default();
                    let mut want: Vec<f64> =
                        (0..p * p).map(|e| 0.25 * sums[e] - at(e % p) * at(e / p)).collect();
                    let mu = want.iter().step_by(p + 1).sum::<f64>() / p as f64;
                    let squares = want.iter().map(|v| v * v).sum();
                    let r = if p == 1 { 0.0 } else { raw.share(p as f64, mu, squares) };
                    let unbiased = if estimator == Estimator::Cov { 9.0 / 8.0 } else { 1.0 };
                    want.iter_mut().for_each(|v| *v *= (1.0 - r) * unbiased);
                    want.iter_mut().step_by(p + 1).for_each(|v| *v += r * mu);
                    let got: Vec<Vec<f64>> = Cpu::all()
                        .map(|cpu| {
                            let mut s = sums.clone();
                            // What is above the diagonal does not count.
                            (0..p).for_each(|q| s[q * p..q * p + q].fill(f64::NAN));
                            raw.finish_on(cpu, &mut s, p);
                            s
                        })
                        .collect();
                    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
                    assert!(got[0].iter().zip(&want).all(near), "{p} {estimator:?}");
                    assert!(got.iter().all(|other| *other == got[0]), "{p} {estimator:?}");
                }
            }
        }
    }
}
