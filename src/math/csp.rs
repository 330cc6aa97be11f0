//! Common spatial patterns: weighted sums of channels whose power differs most between classes.
//!
//! In: the mean covariance C_k of each class, n x n. Out: filters w, best first, and the pattern of each:
//! how its source appears in the channels, a column of the inverse of the matrix of all filters.
//!
//! - Two classes: C_2 w = v (C_1 + C_2) w, so that v is the share of the second class in the
//!   power of w; the best are farthest from one half. Scale: w (C_1 + C_2) w = 1.
//! - More: the filters that come nearest to making all C_k diagonal at once (Pham, SIAM J. Matrix Anal.
//!   Appl. 22, 2001), scaled to w C w = 1 with C the mean of the C_k. The best are those whose power tells most
//!   about the class: with q_k = w C_k w and p_k the share of class k in the examples, the information is
//!   about -sum p_k ln sqrt(q_k) - 3/16 (sum p_k (q_k^2 - 1))^2 (Grosse-Wentrup and Buss, IEEE Trans.
//!   Biomed. Eng. 55, 2008).
//!
//! Reference: pyRiemann's `CSP(metric="euclid")`, whose stopping rule of the joint diagonalisation is kept.

use super::linalg::{self, NotSpd, Symmetric};
use super::padded::Padded;
use super::simd::Cpu;
use super::triangular;
use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, MatRef};

/// The joint diagonalisation ends when a sweep gains less than this per pair of rows.
const TOLERANCE: f64 = 1e-6;
/// The most sweeps.
const MAX_SWEEPS: usize = 20;

/// Filters and their patterns, n numbers each, best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Csp {
    /// The filters.
    pub filters: Vec<f64>,
    /// The patterns.
    pub patterns: Vec<f64>,
}

impl Csp {
    /// All n filters for classes with these mean covariances and shares of the examples.
    pub fn fit(means: &[Vec<f64>], shares: &[f64], n: usize) -> Result<Self, NotSpd> {
        let (rows, worth) = match means {
            [first, second] => two_classes(first, second, n)?,
            _ => more_classes(means, shares, n)?,
        };
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|a, b| worth[*b].total_cmp(&worth[*a]));
        let filters = Mat::from_fn(n, n, |i, j| rows[order[i] * n + j]);
        let inverse = filters.partial_piv_lu().inverse();
        let flat =
            |at: &dyn Fn(usize, usize) -> f64| (0..n * n).map(|e| at(e / n, e % n)).collect();
        let csp = Self {
            filters: flat(&|i, j| filters[(i, j)]),
            patterns: flat(&|i, j| inverse[(j, i)]),
        };
        let all = csp.filters.iter().chain(&csp.patterns);
        if all.clone().all(|v| v.is_finite()) { Ok(csp) } else { Err(NotSpd::NotPositive) }
    }
}

/// Filters, one row each, and what they are worth.
type Rows = (Vec<f64>, Vec<f64>);

fn two_classes(first: &[f64], second: &[f64], n: usize) -> Result<Rows, NotSpd> {
    let sum: Vec<f64> = first.iter().zip(second).map(|(a, b)| a + b).collect();
    let mut factor = Padded::new(n);
    triangular::cholesky(Cpu::best(), &sum, &mut factor)?;
    let whitener = linalg::invert_lower(&factor).to_columns();
    let w = MatRef::from_column_major_slice(&whitener, n, n);
    let white = w * MatRef::from_column_major_slice(second, n, n) * w.transpose();
    let flat: Vec<f64> =
        (0..n * n).map(|e| white[((e / n).max(e % n), (e / n).min(e % n))]).collect();
    let mut work = Symmetric::new(n);
    work.eigen(&flat)?;
    let filters = w.transpose() * MatRef::from_column_major_slice(work.vectors(), n, n);
    let rows = (0..n * n).map(|e| filters[(e % n, e / n)]).collect();
    Ok((rows, work.values().iter().map(|v| (v - 0.5).abs()).collect()))
}

fn more_classes(means: &[Vec<f64>], shares: &[f64], n: usize) -> Result<Rows, NotSpd> {
    for mean in means {
        triangular::cholesky(Cpu::best(), mean, &mut Padded::new(n))?;
    }
    let mut rows = joint_diagonaliser(means, n);
    let worth = rows.chunks_exact_mut(n).map(|w| {
        let powers: Vec<f64> = means.iter().map(|c| power(w, c)).collect();
        let scale = powers.iter().sum::<f64>() / means.len() as f64;
        w.iter_mut().for_each(|v| *v /= scale.sqrt());
        let (mut logs, mut squares) = (0.0, 0.0);
        for (q, share) in powers.iter().map(|q| q / scale).zip(shares) {
            logs += share * q.sqrt().ln();
            squares += share * (q * q - 1.0);
        }
        -(logs + 3.0 / 16.0 * squares * squares)
    });
    let worth = worth.collect();
    Ok((rows, worth))
}

/// w C w for a symmetric n x n matrix C. Allocates nothing.
pub fn power(w: &[f64], c: &[f64]) -> f64 {
    let dot = |a: &[f64]| a.iter().zip(w).map(|(a, w)| a * w).sum::<f64>();
    w.iter().zip(c.chunks_exact(w.len())).map(|(w, row)| w * dot(row)).sum()
}

/// The rows of a V such that all V C_k V^T are nearly diagonal. Two rows at a time are replaced by
/// combinations of each other, sweep after sweep over all pairs.
fn joint_diagonaliser(matrices: &[Vec<f64>], n: usize) -> Vec<f64> {
    let mut v: Vec<f64> = (0..n * n).map(|e| f64::from(e / n == e % n)).collect();
    let mut matrices = matrices.to_vec();
    for _ in 0..MAX_SWEEPS {
        let mut gain = 0.0;
        for i in 1..n {
            for j in 0..i {
                let turn = Turn::of(&matrices, i, j, n);
                gain += turn.gain;
                for c in &mut matrices {
                    turn.rows(c, i, j, n);
                    turn.columns(c, i, j, n);
                }
                turn.rows(&mut v, i, j, n);
            }
        }
        if gain < TOLERANCE * (n * (n - 1)) as f64 {
            break;
        }
    }
    v
}

/// Row i becomes row i + `from_j` row j, and row j becomes row j + `from_i` row i.
struct Turn {
    from_j: f64,
    from_i: f64,
    gain: f64,
}

impl Turn {
    /// The step of Pham's algorithm for rows i and j.
    fn of(matrices: &[Vec<f64>], i: usize, j: usize, n: usize) -> Self {
        let count = matrices.len() as f64;
        let mean = |of: &dyn Fn(f64, f64, f64) -> f64| {
            let at = |c: &Vec<f64>| of(c[i * n + j], c[i * n + i], c[j * n + j]);
            matrices.iter().map(at).sum::<f64>() / count
        };
        let (g_i, g_j) = (mean(&|c, ii, _| c / ii), mean(&|c, _, jj| c / jj));
        let (i_by_j, j_by_i) = (mean(&|_, ii, jj| ii / jj), mean(&|_, ii, jj| jj / ii));
        let (omega, ratio) = ((i_by_j * j_by_i).sqrt(), (i_by_j / j_by_i).sqrt());
        let sum = (ratio * g_i + g_j) / (omega + 1.0);
        let difference = (ratio * g_i - g_j) / (omega - 1.0).max(1e-9);
        let (h_i, h_j) = (sum + difference, (sum - difference) / ratio);
        let length = 1.0 + (1.0 - h_i * h_j).max(0.0).sqrt();
        Self {
            from_j: -h_i / length,
            from_i: -h_j / length,
            gain: count * (g_i * h_i + g_j * h_j) / 2.0,
        }
    }

    fn rows(&self, c: &mut [f64], i: usize, j: usize, n: usize) {
        for k in 0..n {
            self.apply(c, i * n + k, j * n + k);
        }
    }

    fn columns(&self, c: &mut [f64], i: usize, j: usize, n: usize) {
        for k in 0..n {
            self.apply(c, k * n + i, k * n + j);
        }
    }

    fn apply(&self, c: &mut [f64], i: usize, j: usize) {
        let (a, b) = (c[i], c[j]);
        (c[i], c[j]) = (a + self.from_j * b, b + self.from_i * a);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three covariances that one matrix makes diagonal, with powers 1 to 6.
    fn mixed() -> (Vec<f64>, Vec<Vec<f64>>) {
        let mixing = [1.0, 0.4, -0.2, 0.3, 1.0, 0.5, -0.6, 0.2, 1.0];
        let of = |powers: [f64; 3]| {
            let entry = |e: usize| {
                (0..3).map(|k| mixing[e / 3 * 3 + k] * powers[k] * mixing[e % 3 * 3 + k]).sum()
            };
            (0..9).map(entry).collect()
        };
        (mixing.to_vec(), [[1.0, 4.0, 2.0], [2.0, 1.0, 3.0], [6.0, 1.5, 1.0]].map(of).to_vec())
    }

    #[test]
    fn sources_are_found_again() {
        let (mixing, means) = mixed();
        for count in [2, 3] {
            let csp = Csp::fit(&means[..count], &[1.0 / 3.0; 3][..count], 3).unwrap();
            // Each pattern is a column of the mixing, up to its length.
            for pattern in csp.patterns.chunks_exact(3) {
                let along = |k: usize| {
                    let column = [mixing[k], mixing[3 + k], mixing[6 + k]];
                    let dot =
                        |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                    dot(pattern, &column).abs()
                        / (dot(pattern, pattern) * dot(&column, &column)).sqrt()
                };
                let best = (0..3).map(along).fold(0.0, f64::max);
                // The joint diagonalisation stops a little short of the end.
                assert!(best > 1.0 - 1e-6, "{count}: {best}");
            }
        }
    }

    #[test]
    fn a_singular_sum_is_refused() {
        let flat = vec![1.0; 4];
        assert!(Csp::fit(&[flat.clone(), flat.clone()], &[0.5; 2], 2).is_err());
        assert!(Csp::fit(&[flat.clone(), flat.clone(), flat], &[1.0 / 3.0; 3], 2).is_err());
    }
}
