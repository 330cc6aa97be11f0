//! Distances between all pairs of nodes.
//!
//! | | rows of features | a covariance matrix of channels |
//! |---|---|---|
//! | `euclidean` | \|a - b\| | the root mean square of the difference of two channels, sqrt(c_ii + c_jj - 2 c_ij) |
//! | `correlation` | 1 - r, r Pearson's correlation | sqrt(2 (1 - \|r\|)) |
//!
//! The last one is the distance of two channels scaled to unit power, the sign of one of them turned
//! where that brings them nearer: what reference a recording has decides on signs, and should not
//! decide on who is near. It is a metric, unlike 1 - r.
//!
//! A pair of which no distance can be told (numbers that are not finite, a channel that has no
//! correlation as it does not vary) is infinitely far apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far nodes are from each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// The length of the difference.
    #[default]
    Euclidean,
    /// How far the correlation is from one.
    Correlation,
}

/// Sums that run side by side.
const LANES: usize = 8;

impl Distance {
    /// The distances between the rows of `x`, n rows of equal length, into `out`, n x n. `room` holds as
    /// many numbers as `x`.
    pub fn of_rows(self, x: &[f64], n: usize, room: &mut [f64], out: &mut [f64]) {
        let cols = x.len() / n;
        let row = |i: usize| i * cols..(i + 1) * cols;
        match self {
            Self::Euclidean => fill(n, out, |i, j| square(&x[row(i)], &x[row(j)]).sqrt()),
            Self::Correlation => {
                room.copy_from_slice(x);
                room.chunks_exact_mut(cols).for_each(standardise);
                // |a - b|^2 / 2 = 1 - ab for vectors of length one, and nothing cancels.
                fill(n, out, |i, j| 0.5 * square(&room[row(i)], &room[row(j)]));
            }
        }
    }

    /// The distances between n channels with the covariance matrix `c`, into `out`, n x n.
    pub fn of_covariance(self, c: &[f64], n: usize, out: &mut [f64]) {
        let power = |i: usize| c[i * n + i];
        match self {
            Self::Euclidean => fill(n, out, |i, j| {
                let square = power(i) + power(j) - 2.0 * c[i * n + j];
                cleared(square, power(i) + power(j)).sqrt()
            }),
            Self::Correlation => fill(n, out, |i, j| {
                let r = c[i * n + j] / (power(i).sqrt() * power(j).sqrt());
                (2.0 * cleared(1.0 - r.abs(), 1.0)).sqrt()
            }),
        }
    }
}

/// Writes the symmetric matrix of what is `between` any two of `n` nodes.
fn fill(n: usize, out: &mut [f64], between: impl Fn(usize, usize) -> f64) {
    for i in 0..n {
        out[i * n + i] = 0.0;
        for j in 0..i {
            let d = between(i, j);
            let d = if d.is_finite() { d } else { f64::INFINITY };
            (out[i * n + j], out[j * n + i]) = (d, d);
        }
    }
}

/// The square of the length of a - b.
pub fn square(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for l in 0..LANES {
            sums[l] += (a[l] - b[l]) * (a[l] - b[l]);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

/// Removes the mean and scales to length one. A row that does not vary becomes NaN.
fn standardise(row: &mut [f64]) {
    let mean = row.iter().sum::<f64>() / row.len() as f64;
    let largest = row.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    row.iter_mut().for_each(|v| *v -= mean);
    let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
    // What rounding of the mean leaves of equal numbers is no variation.
    let varies = length > 1e-14 * largest * (row.len() as f64).sqrt();
    let factor = if varies { length.recip() } else { f64::NAN };
    row.iter_mut().for_each(|v| *v *= factor);
}

/// Zero for what is no more than the rounding of numbers of the size of `scale`. What is less than zero by
/// more than that has no root: such a matrix is no covariance.
fn cleared(difference: f64, scale: f64) -> f64 {
    if difference.abs() <= 8.0 * f64::EPSILON * scale { 0.0 } else { difference }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [f64; 12] = [1.0, 2.0, 3.0, 2.0, 4.0, 6.0, 3.0, 2.0, 1.0, 5.0, 5.0, 5.0];

    fn of_rows(kind: Distance, x: &[f64], n: usize) -> Vec<f64> {
        let (mut room, mut out) = (vec![0.0; x.len()], vec![7.0; n * n]);
        kind.of_rows(x, n, &mut room, &mut out);
        out
    }

    #[test]
    fn rows_by_hand() {
        let d = of_rows(Distance::Euclidean, &ROWS, 4);
        assert_eq!((d[0], d[1], d[4], d[2]), (0.0, 14f64.sqrt(), 14f64.sqrt(), 8f64.sqrt()));
        let d = of_rows(Distance::Correlation, &ROWS, 4);
        assert!(d[1].abs() < 1e-15 && (d[2] - 2.0).abs() < 1e-15, "{d:?}");
        assert!(d[3].is_infinite() && d[12].is_infinite() && d[15] == 0.0, "a flat row: {d:?}");
    }

    #[test]
    fn longer_rows_are_summed_to_the_end() {
        let x: Vec<f64> = (0..38).map(f64::from).collect();
        assert!((of_rows(Distance::Euclidean, &x, 2)[1] - 19.0 * 19f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn covariances_by_hand() {
        let c = [4.0, -2.0, 0.0, -2.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        let mut d = [0.0; 9];
        Distance::Euclidean.of_covariance(&c, 3, &mut d);
        assert_eq!(d, [0.0, 3.0, 2.0, 3.0, 0.0, 1.0, 2.0, 1.0, 0.0]);
        Distance::Correlation.of_covariance(&c, 3, &mut d);
        assert_eq!((d[1], d[2]), (0.0, f64::INFINITY));
        Distance::Correlation.of_covariance(&[1.0, 0.5, 0.5, 1.0], 2, &mut d[..4]);
        assert!((d[1] - 1.0).abs() < 1e-15);
    }

    #[test]
    fn what_is_not_finite_is_far() {
        let d = of_rows(Distance::Euclidean, &[0.0, f64::NAN, 1e300], 3);
        assert!(d[1].is_infinite() && d[2].is_infinite() && d[4] == 0.0);
    }
}
