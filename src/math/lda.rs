//! Linear discriminant analysis with a shrunk covariance.
//!
//! In: n examples of p numbers, each with a class. Out: a linear model in the form of [`Logistic`], the log
//! odds of normal distributions with one covariance S and the means m_k of the classes: weights
//! w_k = S^-1 m_k and intercepts ln(share of the class) - m_k w_k / 2; of two classes their difference.
//! S is the mean of the covariances of the classes, weighted by their shares, each shrunk. Reference:
//! scikit-learn's `LinearDiscriminantAnalysis(solver="lsqr")`.
//!
//! Shrinkage r of a covariance C (divisor n): (1 - r) C + r mean(diagonal). "Auto" does so for features
//! divided by their standard deviation, with the r of Ledoit and Wolf, J. Multivariate Anal. 88 (2004),
//! and takes the division back.
//!
//! So S = Z^T Z + D with D diagonal and a row of Z for each example. With fewer examples than
//! numbers it is inverted through n x n matrices (Woodbury's identity). Where D leaves S singular, its
//! pseudo-inverse takes the place of the inverse.

use super::linalg::Symmetric;
use super::logistic::{Logistic, check};
use crate::error::{Error, Result};
use faer::linalg::matmul::matmul;
use faer::linalg::solvers::Solve;
use faer::{Accum, Mat, MatRef, Par, Side};

/// The least share of the variance that D has to hold of each number for S to count as regular.
const REGULAR: f64 = 1e-10;

/// How a covariance is shrunk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shrinkage {
    /// By Ledoit and Wolf's formula.
    Auto,
    /// By a share of 0 (not at all) to 1.
    Share(f64),
}

/// Fits the model to examples `x` with class indices `y` below `classes`.
pub fn fit(x: &[&[f64]], y: &[usize], classes: usize, shrinkage: Shrinkage) -> Result<Logistic> {
    let p = check(x, y, classes)?;
    if let Shrinkage::Share(share) = shrinkage
        && !(0.0..=1.0).contains(&share)
    {
        return Err(Error::config(format!("the shrinkage is {share}, expected 0 to 1")));
    }
    if x.len() <= classes {
        return Err(Error::missing(format!(
            "there are {} examples of {classes} classes, more examples than classes are needed",
            x.len()
        )));
    }
    let of = |k: usize| x.iter().zip(y).filter(move |(_, l)| **l == k).map(|(x, _)| *x);
    let mut scatter = Scatter { z: Vec::new(), d: vec![0.0; p] };
    let mut means = Mat::zeros(p, classes);
    let mut shares = Vec::new();
    for k in 0..classes {
        let class = Class::new(of(k).collect(), p);
        shares.push(class.rows.len() as f64 / x.len() as f64);
        scatter.add(&class, shares[k], shrinkage);
        (0..p).for_each(|j| means[(j, k)] = class.mean[j]);
    }
    let weights = scatter.solve(&means)?;
    if (0..classes).any(|k| (0..p).any(|j| !weights[(j, k)].is_finite())) {
        return Err(Error::run("the features are too large or too small; scale them"));
    }
    let row = |k: usize| (0..p).map(|j| weights[(j, k)]).collect::<Vec<f64>>();
    let intercept = |k: usize| {
        shares[k].ln() - 0.5 * (0..p).map(|j| weights[(j, k)] * means[(j, k)]).sum::<f64>()
    };
    if classes == 2 {
        let coef = row(1).iter().zip(row(0)).map(|(b, a)| b - a).collect();
        return Ok(Logistic { coef, intercept: vec![intercept(1) - intercept(0)] });
    }
    Ok(Logistic {
        coef: (0..classes).flat_map(row).collect(),
        intercept: (0..classes).map(intercept).collect(),
    })
}

/// The examples of one class, less their mean.
struct Class {
    mean: Vec<f64>,
    rows: Vec<Vec<f64>>,
    /// The variance of each number.
    variance: Vec<f64>,
}

impl Class {
    fn new(x: Vec<&[f64]>, p: usize) -> Self {
        let n = x.len() as f64;
        let mean: Vec<f64> = (0..p).map(|j| x.iter().map(|x| x[j]).sum::<f64>() / n).collect();
        let rows: Vec<Vec<f64>> =
            x.iter().map(|x| x.iter().zip(&mean).map(|(x, m)| x - m).collect()).collect();
        let variance = (0..p).map(|j| rows.iter().map(|r| r[j] * r[j]).sum::<f64>() / n).collect();
        Self { mean, rows, variance }
    }

    /// The squares of what each number is divided by: its variance, or 1 where it is constant up to
    /// rounding.
    fn scales(&self) -> Vec<f64> {
        let n = self.rows.len() as f64;
        let constant = |v: f64, m: f64| v <= n * f64::EPSILON * v + (n * m * f64::EPSILON).powi(2);
        let both = self.variance.iter().zip(&self.mean);
        both.map(|(v, m)| if constant(*v, *m) { 1.0 } else { *v }).collect()
    }

    /// The r of Ledoit and Wolf and the mean variance, for numbers divided by the roots of `scales`.
    fn ledoit_wolf(&self, scales: &[f64]) -> (f64, f64) {
        let (n, p) = (self.rows.len(), scales.len());
        let scaled = Mat::from_fn(p, n, |j, i| self.rows[i][j] / scales[j].sqrt());
        let (count, width) = (n as f64, p as f64);
        let squares: Vec<f64> =
            (0..n).map(|i| (0..p).map(|j| scaled[(j, i)].powi(2)).sum::<f64>()).collect();
        let mu = squares.iter().sum::<f64>() / (count * width);
        if p == 1 {
            return (0.0, mu);
        }
        // |X^T X| = |X X^T|, of which the smaller one is computed.
        let size = n.min(p);
        let mut product = Mat::zeros(size, size);
        let (x, xt) = (scaled.as_ref(), scaled.transpose());
        let (a, b) = if n < p { (xt, x) } else { (x, xt) };
        matmul(&mut product, Accum::Replace, a, b, 1.0, Par::Seq);
        let second = product.squared_norm_l2() / (count * count);
        let fourth: f64 = squares.iter().map(|s| s * s).sum();
        let beta = (fourth / count - second) / (width * count);
        let delta = (second - width * mu * mu) / width;
        let beta = beta.min(delta);
        (if beta > 0.0 { beta / delta } else { 0.0 }, mu)
    }
}

/// S = Z^T Z + diag(d).
struct Scatter {
    /// The rows of Z.
    z: Vec<Vec<f64>>,
    d: Vec<f64>,
}

impl Scatter {
    /// Adds the covariance of `class`, shrunk, times `share`.
    fn add(&mut self, class: &Class, share: f64, shrinkage: Shrinkage) {
        let p = self.d.len();
        let (r, spread) = match shrinkage {
            Shrinkage::Auto => {
                let scales = class.scales();
                let (r, mu) = class.ledoit_wolf(&scales);
                (r, scales.iter().map(|s| mu * s).collect())
            }
            Shrinkage::Share(r) => {
                let mu = class.variance.iter().sum::<f64>() / p as f64;
                (r, vec![mu; p])
            }
        };
        self.d.iter_mut().zip(spread).for_each(|(d, s): (_, f64)| *d += share * r * s);
        let scale = (share * (1.0 - r) / class.rows.len() as f64).sqrt();
        self.z.extend(class.rows.iter().map(|row| row.iter().map(|v| scale * v).collect()));
    }

    /// S^-1 B.
    fn solve(&self, b: &Mat<f64>) -> Result<Mat<f64>> {
        let (n, p) = (self.z.len(), self.d.len());
        let regular = (0..p).all(|j| {
            let variance: f64 = self.z.iter().map(|z| z[j] * z[j]).sum();
            self.d[j] > REGULAR * (variance + self.d[j])
        });
        match (regular, n < p) {
            (true, true) => self.solve_small(b),
            (true, false) => {
                let factor = self.matrix().llt(Side::Lower).map_err(|_| singular())?;
                Ok(factor.solve(b))
            }
            (false, _) => self.solve_singular(b),
        }
    }

    /// The matrix S.
    fn matrix(&self) -> Mat<f64> {
        let (n, p) = (self.z.len(), self.d.len());
        let z = Mat::from_fn(p, n, |j, i| self.z[i][j]);
        let mut s = Mat::from_fn(p, p, |i, j| if i == j { self.d[i] } else { 0.0 });
        matmul(&mut s, Accum::Add, &z, z.transpose(), 1.0, Par::Seq);
        s
    }

    /// With U = Z D^-1/2: D^-1/2 (1 - U^T (1 + U U^T)^-1 U) D^-1/2 B.
    fn solve_small(&self, b: &Mat<f64>) -> Result<Mat<f64>> {
        let (n, p) = (self.z.len(), self.d.len());
        let root: Vec<f64> = self.d.iter().map(|d| d.sqrt()).collect();
        let u = Mat::from_fn(p, n, |j, i| self.z[i][j] / root[j]);
        let mut inner = Mat::<f64>::identity(n, n);
        matmul(&mut inner, Accum::Add, u.transpose(), &u, 1.0, Par::Seq);
        let mut out = Mat::from_fn(p, b.ncols(), |j, k| b[(j, k)] / root[j]);
        let factor = inner.llt(Side::Lower).map_err(|_| singular())?;
        let part = factor.solve(u.transpose() * &out);
        matmul(&mut out, Accum::Add, &u, &part, -1.0, Par::Seq);
        (0..b.ncols()).for_each(|k| (0..p).for_each(|j| out[(j, k)] /= root[j]));
        Ok(out)
    }

    /// By the pseudo-inverse: eigenvalues that are rounding alone are left out.
    fn solve_singular(&self, b: &Mat<f64>) -> Result<Mat<f64>> {
        let p = self.d.len();
        let s = self.matrix();
        let flat: Vec<f64> =
            (0..p * p).map(|e| s[((e / p).min(e % p), (e / p).max(e % p))]).collect();
        let mut work = Symmetric::new(p);
        work.eigen(&flat).map_err(|_| singular())?;
        let vectors = MatRef::from_column_major_slice(work.vectors(), p, p);
        let least = work.values().iter().fold(0.0, |m: f64, v| m.max(*v)) * p as f64 * f64::EPSILON;
        let mut parts = vectors.transpose() * b;
        for (j, value) in work.values().iter().enumerate() {
            let factor = if *value > least { value.recip() } else { 0.0 };
            (0..b.ncols()).for_each(|k| parts[(j, k)] *= factor);
        }
        Ok(vectors * parts)
    }
}

fn singular() -> Error {
    Error::run("the covariance of the features cannot be inverted; scale the features")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_round_clouds_by_hand() {
        // Means -2 and 2, variance 1 in each class: log odds 4 x, half of the numbers each.
        let x: Vec<&[f64]> = vec![&[-3.0], &[-1.0], &[1.0], &[3.0]];
        for shrinkage in [Shrinkage::Share(0.0), Shrinkage::Share(0.3), Shrinkage::Auto] {
            let model = fit(&x, &[0, 0, 1, 1], 2, shrinkage).unwrap();
            assert!((model.coef[0] - 4.0).abs() < 1e-12 && model.intercept[0].abs() < 1e-12);
        }
    }

    /// The three ways to invert S agree where each of them may be taken.
    #[test]
    fn all_ways_lead_to_the_same() {
        let numbers = crate::math::testing::numbers(12 * 30, 5);
        let z = numbers.chunks_exact(30).map(<[f64]>::to_vec).collect();
        let scatter = Scatter { z, d: (0..30).map(|j| 0.1 + 0.01 * f64::from(j)).collect() };
        let b = Mat::from_fn(30, 2, |i, j| numbers[7 * i + j]);
        let direct = scatter.matrix().llt(Side::Lower).unwrap().solve(&b);
        for other in [scatter.solve_small(&b).unwrap(), scatter.solve_singular(&b).unwrap()] {
            assert!((&other - &direct).norm_max() < 1e-10);
        }
    }

    #[test]
    fn degenerate_examples_give_an_answer_or_an_error() {
        let (a, b): (&[f64], &[f64]) = (&[1.0, 0.0], &[1.0, 2.0]);
        let mut out = [0.0; 2];
        for shrinkage in [Shrinkage::Share(0.0), Shrinkage::Auto] {
            // Nothing varies within the classes.
            let model = fit(&[a, a, b, b], &[0, 0, 1, 1], 2, shrinkage).unwrap();
            model.probabilities(a, &mut out);
            assert!(out.iter().all(|p| p.is_finite()));
            assert!(fit(&[a, b], &[0, 1], 2, shrinkage).is_err());
            assert!(fit(&[a, b, b], &[0, 0, 0], 2, shrinkage).is_err());
        }
        assert!(fit(&[a, a, b], &[0, 0, 1], 2, Shrinkage::Share(1.5)).is_err());
    }
}
