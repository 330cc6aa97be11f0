//! Ridge regression from vectors to vectors, with the penalty chosen for each target by leaving one example out.
//!
//! In: n examples of p numbers (X), what is wanted for each (Y, n x t), and penalties to try. Out: for each target the
//! weights w and intercept b that make `sum_i s_i (y_i - w x_i - b)^2 + alpha |w|^2` smallest, with the alpha
//! whose predictions of examples left out are the best; s are the weights of the examples, if any.
//!
//! The error of leaving out each example in turn comes from one eigendecomposition: with the examples centred,
//! `c = (K + alpha I)^-1 y`, K = X X^T, the error of example i is `c_i / ((K + alpha I)^-1)_ii`, where the direction of the
//! intercept is not penalised (Rifkin and Lippert, MIT-CSAIL-TR-2007-025). Where p < n it is found from the p x p matrix
//! X^T X. Same as scikit-learn's `RidgeCV(alpha_per_target=True)`.

use super::affine::{Affine, centre};
use crate::error::{Error, Result};
use faer::{Mat, MatRef, Side};

/// Eigenvalues that are a smaller share of the largest are rounding.
const LEAST_SHARE: f64 = 1e-13;

/// A linear map with what was found on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    /// From p numbers to t.
    pub map: Affine,
    /// The penalty of each target.
    pub alphas: Vec<f64>,
    /// The mean squared error of each target on examples that were left out.
    pub errors: Vec<f64>,
}

/// `(K + alpha I)^-1` for any alpha.
struct Inverse {
    /// Eigenvectors, one a column, and their eigenvalues.
    vectors: Mat<f64>,
    values: Vec<f64>,
    /// Where only eigenvectors of eigenvalues above 0 are there, all other directions have the eigenvalue 0.
    is_whole: bool,
    /// The direction of the intercept.
    constant: Vec<f64>,
}

impl Ridge {
    /// Learns from `x` (n x p) and `y` (n x t); `counts` says how much each example counts, if not all count alike.
    pub fn fit(
        mut x: Mat<f64>,
        mut y: Mat<f64>,
        counts: Option<&[f64]>,
        alphas: &[f64],
    ) -> Result<Self> {
        let (n, p, targets) = (x.nrows(), x.ncols(), y.ncols());
        if n < 2 || p == 0 || y.nrows() != n || alphas.is_empty() {
            return Err(Error::mismatch("needs two examples or more, and a penalty to try"));
        }
        let total = counts.map_or(n as f64, |counts| counts.iter().sum());
        let share = |i: usize| counts.map_or(1.0, |counts| counts[i]) / total;
        let (mean_x, mean_y) = (centre(&mut x, &share), centre(&mut y, &share));
        if !mean_x.iter().chain(&mean_y).all(|v| v.is_finite()) {
            return Err(Error::mismatch("the examples hold numbers that are not finite"));
        }
        let roots: Vec<f64> = (0..n).map(|i| (share(i) * total).sqrt()).collect();
        if counts.is_some() {
            scale_rows(&mut x, &roots);
            scale_rows(&mut y, &roots);
        }
        let constant = roots.iter().map(|r| r / total.sqrt()).collect();
        let inverse = Inverse::new(x.as_ref(), constant)?;
        let projected = inverse.vectors.transpose() * &y;
        let mut best = Best::new(n, targets);
        for alpha in alphas {
            let (c, diagonal) = inverse.solve(*alpha, &y, &projected);
            best.look_at(*alpha, &c, &diagonal, &roots, total);
        }
        let weights = best.dual.transpose() * &x;
        let weights: Vec<f64> =
            (0..targets).flat_map(|t| weights.row(t).iter().copied().collect::<Vec<_>>()).collect();
        Ok(Self {
            map: Affine::between(weights, &mean_x, &mean_y),
            alphas: best.alphas,
            errors: best.errors,
        })
    }
}

impl Inverse {
    fn new(x: MatRef<'_, f64>, constant: Vec<f64>) -> Result<Self> {
        let failed =
            |_| Error::mismatch("the examples have no eigendecomposition: are some numbers huge?");
        let (n, p) = (x.nrows(), x.ncols());
        if n <= p {
            let mut products = x * x.transpose();
            // A direction of its own for the intercept: all others are at a right angle to it.
            let largest = (0..n).map(|i| products[(i, i)]).fold(0.0, f64::max).max(1.0);
            for j in 0..n {
                for i in 0..n {
                    products[(i, j)] += largest * constant[i] * constant[j];
                }
            }
            let eigen = products.self_adjoint_eigen(Side::Lower).map_err(failed)?;
            let mut values: Vec<f64> =
                eigen.S().column_vector().iter().map(|v| v.max(0.0)).collect();
            let vectors = eigen.U().to_owned();
            let at = along(&vectors, &constant);
            values[at] = f64::INFINITY;
            return Ok(Self { vectors, values, is_whole: true, constant });
        }
        let eigen = (x.transpose() * x).self_adjoint_eigen(Side::Lower).map_err(failed)?;
        let all: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
        let least = LEAST_SHARE * all.iter().copied().fold(0.0, f64::max);
        let kept: Vec<usize> = (0..p).filter(|k| all[*k] > least).collect();
        let product = x * eigen.U();
        let vectors =
            Mat::from_fn(n, kept.len(), |i, k| product[(i, kept[k])] / all[kept[k]].sqrt());
        let values = kept.iter().map(|k| all[*k]).collect();
        Ok(Self { vectors, values, is_whole: false, constant })
    }

    /// `(K + alpha I)^-1 y`, with nothing along the intercept, and the diagonal of that inverse; `projected` is y along
    /// the eigenvectors.
    fn solve(&self, alpha: f64, y: &Mat<f64>, projected: &Mat<f64>) -> (Mat<f64>, Vec<f64>) {
        let rest = if self.is_whole { 0.0 } else { 1.0 / alpha };
        let gains: Vec<f64> = self.values.iter().map(|v| 1.0 / (v + alpha) - rest).collect();
        let scaled = Mat::from_fn(gains.len(), y.ncols(), |k, t| gains[k] * projected[(k, t)]);
        let mut c = &self.vectors * scaled;
        let mut diagonal = vec![rest; y.nrows()];
        for (k, gain) in gains.iter().enumerate() {
            let column = self.vectors.col(k);
            diagonal.iter_mut().zip(column.iter()).for_each(|(d, v)| *d += gain * v * v);
        }
        if !self.is_whole {
            for t in 0..y.ncols() {
                c.col_mut(t).iter_mut().zip(y.col(t).iter()).for_each(|(c, y)| *c += rest * y);
            }
            diagonal.iter_mut().zip(&self.constant).for_each(|(d, v)| *d -= rest * v * v);
        }
        (c, diagonal)
    }
}

/// The best penalty so far, target by target.
struct Best {
    alphas: Vec<f64>,
    errors: Vec<f64>,
    dual: Mat<f64>,
}

impl Best {
    fn new(n: usize, targets: usize) -> Self {
        let errors = vec![f64::INFINITY; targets];
        Self { alphas: vec![0.0; targets], errors, dual: Mat::zeros(n, targets) }
    }

    fn look_at(&mut self, alpha: f64, c: &Mat<f64>, diagonal: &[f64], roots: &[f64], total: f64) {
        for t in 0..c.ncols() {
            let column = c.col(t);
            let errors = column.iter().zip(diagonal).zip(roots);
            // A row was scaled by the root of its weight, and so was its error.
            let squares =
                errors.filter(|(_, root)| **root > 0.0).map(|((c, d), _)| (c / d).powi(2));
            let error = squares.sum::<f64>() / total;
            if error < self.errors[t] {
                (self.alphas[t], self.errors[t]) = (alpha, error);
                self.dual.col_mut(t).copy_from(column);
            }
        }
    }
}

fn scale_rows(x: &mut Mat<f64>, by: &[f64]) {
    for column in 0..x.ncols() {
        x.col_mut(column).iter_mut().zip(by).for_each(|(v, by)| *v *= by);
    }
}

/// The column of `vectors` that points along `direction`.
fn along(vectors: &Mat<f64>, direction: &[f64]) -> usize {
    let product =
        |k: usize| vectors.col(k).iter().zip(direction).map(|(a, b)| a * b).sum::<f64>().abs();
    (0..vectors.ncols())
        .map(|k| (k, product(k)))
        .fold((0, 0.0), |best, one| if one.1 > best.1 { one } else { best })
        .0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::numbers;

    fn matrix(n: usize, p: usize, seed: u64) -> Mat<f64> {
        let values = numbers(n * p, seed);
        Mat::from_fn(n, p, |i, j| values[i * p + j])
    }

    #[test]
    fn errors_are_those_of_leaving_each_example_out() {
        for (n, p) in [(12, 5), (8, 20)] {
            let (x, y) = (matrix(n, p, 1), matrix(n, 2, 2));
            let whole = Ridge::fit(x.clone(), y.clone(), None, &[0.7]).unwrap();
            let mut squares = [0.0; 2];
            for left_out in 0..n {
                let others: Vec<usize> = (0..n).filter(|i| *i != left_out).collect();
                let pick = |m: &Mat<f64>| Mat::from_fn(n - 1, m.ncols(), |i, j| m[(others[i], j)]);
                let part = Ridge::fit(pick(&x), pick(&y), None, &[0.7]).unwrap();
                let row: Vec<f64> = (0..p).map(|j| x[(left_out, j)]).collect();
                let mut out = [0.0; 2];
                part.map.apply(&row, &mut out);
                (0..2).for_each(|t| squares[t] += (out[t] - y[(left_out, t)]).powi(2));
            }
            for (error, squares) in whole.errors.iter().zip(squares) {
                assert!((error - squares / n as f64).abs() < 1e-9, "{n} {p}");
            }
        }
    }

    #[test]
    fn an_example_that_counts_twice_is_as_good_as_two() {
        for p in [3, 30] {
            let (x, y) = (matrix(9, p, 3), matrix(9, 1, 4));
            let counts = [1.0, 2.0, 1.0, 0.0, 1.0, 1.0, 3.0, 1.0, 1.0];
            let rows: Vec<usize> = (0..9).flat_map(|i| vec![i; counts[i] as usize]).collect();
            let many = |m: &Mat<f64>| Mat::from_fn(rows.len(), m.ncols(), |i, j| m[(rows[i], j)]);
            let a = Ridge::fit(x.clone(), y.clone(), Some(&counts), &[2.0]).unwrap();
            let b = Ridge::fit(many(&x), many(&y), None, &[2.0]).unwrap();
            assert!(a.map.weights.iter().zip(&b.map.weights).all(|(a, b)| (a - b).abs() < 1e-9));
        }
    }

    #[test]
    fn examples_that_say_nothing_give_the_mean() {
        let x = Mat::from_fn(6, 4, |_, _| 1.0);
        let y = matrix(6, 1, 5);
        let ridge = Ridge::fit(x, y.clone(), None, &[1.0, 10.0]).unwrap();
        let mean = y.col(0).iter().sum::<f64>() / 6.0;
        assert!(
            ridge.map.weights.iter().all(|w| w.abs() < 1e-12)
                && (ridge.map.intercept[0] - mean).abs() < 1e-12
        );
        assert!(Ridge::fit(matrix(1, 3, 1), matrix(1, 1, 1), None, &[1.0]).is_err());
        let mut bad = matrix(5, 2, 1);
        bad[(1, 1)] = f64::NAN;
        assert!(Ridge::fit(bad, matrix(5, 1, 1), None, &[1.0]).is_err());
    }
}
