//! Canonical correlations: directions in two sets of vectors along which they go together the most.
//!
//! In: n pairs of vectors, X (n x p) and Y (n x t). With `S11 = X^T X / n + r m1 I`, m1 the mean of its diagonal, S22 likewise, and
//! `S12 = X^T Y / n`, all centred: `S11^-1/2 S12 S22^-1/2 = U diag(rho) V^T`. Out: the k largest correlations rho, and the prediction
//! of y by them, `y = mean + S22^1/2 V_k diag(rho_k) U_k^T S11^-1/2 (x - mean)`; with all k and r = 0 that is least squares.
//! Reference: Hotelling, Biometrika 28 (1936) 321-377; the ridge r as in MTAM (methods: Qiu et al. 2023).

use super::affine::{Affine, centre};
use crate::error::{Error, Result};
use faer::{Mat, Side};

/// The linear map that the correlations make.
#[derive(Debug, Clone, PartialEq)]
pub struct Cca {
    /// The correlations, the largest first.
    pub correlations: Vec<f64>,
    /// From p numbers to t.
    pub map: Affine,
}

impl Cca {
    /// Learns `components` correlations from `x` and `y`; `ridge` is the share of the mean variance that is added to each.
    pub fn fit(mut x: Mat<f64>, mut y: Mat<f64>, components: usize, ridge: f64) -> Result<Self> {
        let (n, p, targets) = (x.nrows(), x.ncols(), y.ncols());
        let most = p.min(targets);
        if components == 0 || components > most || n < 2 || y.nrows() != n {
            let text = format!(
                "cannot find {components} correlations between {p} and {targets} numbers of {n} examples"
            );
            return Err(Error::mismatch(text));
        }
        let share = |_| 1.0 / n as f64;
        let (mean_x, mean_y) = (centre(&mut x, &share), centre(&mut y, &share));
        if !mean_x.iter().chain(&mean_y).all(|v| v.is_finite()) {
            return Err(Error::mismatch("the examples hold numbers that are not finite"));
        }
        let (whiten, _) = roots(&covariance(&x), ridge)?;
        let (whiten_y, colour_y) = roots(&covariance(&y), ridge)?;
        let cross = x.transpose() * &y * faer::Scale(1.0 / n as f64);
        let both = &whiten * cross * &whiten_y;
        let svd =
            both.thin_svd().map_err(|_| Error::mismatch("the examples have no singular values"))?;
        let rho: Vec<f64> = svd.S().column_vector().iter().take(components).copied().collect();
        let half = Mat::from_fn(targets, components, |i, k| svd.V()[(i, k)] * rho[k]);
        let map = colour_y * half * svd.U().subcols(0, components).transpose() * whiten;
        let weights: Vec<f64> = (0..targets * p).map(|i| map[(i / p, i % p)]).collect();
        Ok(Self { correlations: rho, map: Affine::between(weights, &mean_x, &mean_y) })
    }
}

fn covariance(x: &Mat<f64>) -> Mat<f64> {
    x.transpose() * x * faer::Scale(1.0 / x.nrows() as f64)
}

/// The inverse of the root, and the root, of a covariance with its ridge.
fn roots(covariance: &Mat<f64>, ridge: f64) -> Result<(Mat<f64>, Mat<f64>)> {
    let n = covariance.nrows();
    let mean = (0..n).map(|i| covariance[(i, i)]).sum::<f64>() / n as f64;
    let mut sum = covariance.clone();
    (0..n).for_each(|i| sum[(i, i)] += ridge * mean);
    let eigen = sum.self_adjoint_eigen(Side::Lower).map_err(|_| {
        Error::mismatch("the examples have no eigendecomposition: are some numbers huge?")
    })?;
    let values: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
    if values.iter().any(|v| *v <= 1e-14 * mean) {
        return Err(Error::mismatch(
            "the numbers of the examples depend on each other: raise `ridge`",
        ));
    }
    let with = |f: &dyn Fn(f64) -> f64| {
        let scaled = Mat::from_fn(n, n, |i, k| eigen.U()[(i, k)] * f(values[k]));
        scaled * eigen.U().transpose()
    };
    Ok((with(&|v| 1.0 / v.sqrt()), with(&f64::sqrt)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::ridge::Ridge;
    use crate::math::testing::numbers;

    fn matrix(n: usize, p: usize, seed: u64) -> Mat<f64> {
        let values = numbers(n * p, seed);
        Mat::from_fn(n, p, |i, j| values[i * p + j])
    }

    #[test]
    fn all_correlations_are_least_squares() {
        let (x, y) = (matrix(40, 6, 1), matrix(40, 3, 2));
        let cca = Cca::fit(x.clone(), y.clone(), 3, 0.0).unwrap();
        // Of a penalty so small nothing is left but rounding, which it amplifies to some 1e-10.
        let ridge = Ridge::fit(x, y, None, &[1e-6]).unwrap();
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        let (a, b) = (&cca.map, &ridge.map);
        assert!(near(&a.weights, &b.weights) && near(&a.intercept, &b.intercept));
        assert!(cca.correlations.windows(2).all(|w| w[0] >= w[1]) && cca.correlations[0] <= 1.0);
    }

    #[test]
    fn what_depends_on_itself_needs_a_ridge() {
        let x = matrix(30, 2, 1);
        let twice = Mat::from_fn(30, 4, |i, j| x[(i, j % 2)]);
        let text = Cca::fit(twice.clone(), matrix(30, 2, 2), 2, 0.0).unwrap_err().to_string();
        assert!(text.contains("ridge"), "{text}");
        assert!(Cca::fit(twice, matrix(30, 2, 2), 2, 1e-3).is_ok());
        assert!(Cca::fit(matrix(30, 2, 1), matrix(30, 2, 2), 3, 0.0).is_err());
    }
}
