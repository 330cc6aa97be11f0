//! Multinomial logistic regression with an L2 penalty.
//!
//! In: n examples of p numbers, each with a class. Out: weights w and intercepts b at the least
//! c * sum_i loss_i + |w|^2 / 2, where loss_i = -ln(probability of the class of example i) and the
//! intercepts are not penalised. Two classes: one row of weights, probability of the second class
//! 1 / (1 + exp(-(w x + b))). More: one row per class, softmax over w_k x + b_k. These are the
//! objective and the shapes of scikit-learn's `LogisticRegression(C=c)`.
//!
//! Fit: with fewer examples than numbers, the best weights lie in the span of the examples, so the
//! problem is rotated there by a QR decomposition (at most n dimensions, penalty unchanged). There
//! Newton's method runs. Its equations are solved by conjugate gradients, preconditioned by the
//! curvature that the problem would have if every probability were one half. A step d that goes
//! beyond the lowest point on its way is halved, down to ln(1 + s)/s * d, s the largest change that d
//! makes to a difference of two logits: along d the curvature grows at most as exp(s t), so that
//! this length cannot go too far. After Sun and Tran-Dinh, Mathematical Programming 178 (2019), on
//! generalised self-concordant functions.

use crate::error::{Error, Result};
use argmin::core::{Executor, Operator};
use argmin::solver::conjugategradient::ConjugateGradient;
use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::{
    solve_lower_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};

/// The optimum is reached when a Newton step changes no logit by more than this.
const TOLERANCE: f64 = 1e-10;
/// The most Newton steps; a few tens are usual.
const MAX_STEPS: usize = 200;
/// Bounds of the residual, relative to the gradient, at which the Newton equations count as solved:
/// loosely far from the optimum, tightly near it.
const RESIDUAL: (f64, f64) = (1e-6, 1e-1);

/// The share of the descent at the start of a step by which the objective may rise at its end.
const OVERSHOOT: f64 = 0.1;

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub struct Logistic {
    /// Weights, one row of p numbers per class; one row in all for two classes.
    pub coef: Vec<f64>,
    /// One intercept per row of weights.
    pub intercept: Vec<f64>,
}

impl Logistic {
    /// Fits the model to examples `x` with class indices `y` below `classes`; `c` is the inverse
    /// regularisation strength.
    pub fn fit(x: &[&[f64]], y: &[usize], classes: usize, c: f64) -> Result<Self> {
        let p = check(x, y, classes)?;
        check_c(c)?;
        let n = x.len();
        let rows = if classes == 2 { 1 } else { classes };
        let (basis, features) = if n < p {
            let qr = Mat::from_fn(p, n, |i, j| x[j][i]).qr();
            (Some(qr.compute_thin_Q()), Mat::from_fn(n, n, |i, j| qr.R()[(j, i)]))
        } else {
            (None, Mat::from_fn(n, p, |i, j| x[i][j]))
        };
        let theta = Problem::new(features, y, rows, c)?.minimise()?;
        let dims = theta.len() / rows - 1;
        let mut coef = vec![0.0; rows * p];
        for (row, theta) in coef.chunks_exact_mut(p).zip(theta.chunks_exact(dims + 1)) {
            match &basis {
                Some(q) => product(
                    MatMut::from_column_major_slice_mut(row, p, 1),
                    q.as_ref(),
                    MatRef::from_column_major_slice(&theta[..dims], dims, 1),
                ),
                None => row.copy_from_slice(&theta[..dims]),
            }
        }
        let intercept = theta.chunks_exact(dims + 1).map(|row| row[dims]).collect();
        Ok(Self { coef, intercept })
    }

    /// The probability of each class for the features `x`. Allocates nothing.
    pub fn probabilities(&self, x: &[f64], out: &mut [f64]) {
        // The products are put where the probabilities will be; there are as many or fewer.
        for (row, o) in self.coef.chunks_exact(x.len()).zip(out.iter_mut()) {
            *o = dot(row, x);
        }
        self.link(out);
    }

    /// The same for features of which the products with the rows of `coef` are known.
    pub fn probabilities_of_products(&self, products: &[f64], out: &mut [f64]) {
        for (o, product) in out.iter_mut().zip(products) {
            *o = *product;
        }
        self.link(out);
    }

    /// Turns products into probabilities.
    fn link(&self, out: &mut [f64]) {
        for (o, b) in out.iter_mut().zip(&self.intercept) {
            *o += b;
        }
        match self.intercept.len() {
            1 => binary(out[0], out),
            _ => softmax(out),
        }
    }
}

/// Turns logits into probabilities that sum to one, without overflow.
pub fn softmax(v: &mut [f64]) {
    let top = v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for x in v.iter_mut() {
        *x = (*x - top).exp();
        sum += *x;
    }
    for x in v.iter_mut() {
        *x /= sum;
    }
}

/// The probabilities of the two classes for the logit `z` of the second, without overflow.
fn binary(z: f64, out: &mut [f64]) {
    let e = (-z.abs()).exp();
    let (more, less) = (1.0 / (1.0 + e), e / (1.0 + e));
    (out[0], out[1]) = if z >= 0.0 { (less, more) } else { (more, less) };
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn product(out: MatMut<'_, f64>, a: MatRef<'_, f64>, b: MatRef<'_, f64>) {
    matmul(out, Accum::Replace, a, b, 1.0, Par::Seq);
}

/// Checks the inverse regularisation strength.
pub(super) fn check_c(c: f64) -> Result<()> {
    if c > 0.0 && c.is_finite() {
        return Ok(());
    }
    Err(Error::config(format!("c is {c}, expected a positive number")))
}

/// Checks the examples and returns how many numbers each has.
pub(super) fn check(x: &[&[f64]], y: &[usize], classes: usize) -> Result<usize> {
    let p = x.first().ok_or_else(|| Error::missing("there are no examples to learn from"))?.len();
    if x.len() != y.len() || y.iter().any(|k| *k >= classes) {
        return Err(Error::mismatch("every example needs one class"));
    }
    if classes < 2 {
        return Err(Error::missing("there is one class only, at least two are needed"));
    }
    if let Some(k) = (0..classes).find(|k| !y.contains(k)) {
        return Err(Error::missing(format!("class {} of {classes} has no example", k + 1)));
    }
    for (i, row) in x.iter().enumerate() {
        if row.len() != p || p == 0 {
            return Err(Error::mismatch(format!(
                "example {} has {} numbers, expected {p}",
                i + 1,
                row.len()
            )));
        }
        if row.iter().any(|v| !v.is_finite()) {
            return Err(Error::mismatch(format!(
                "example {} holds numbers that are not finite",
                i + 1
            )));
        }
    }
    Ok(p)
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::run(format!(
        "logistic regression did not converge ({why}); scale the features or lower c"
    ))
}

/// The problem to minimise. The unknowns are one stretch per row of weights: its weights, then its
/// intercept; matrices with one column per row of weights.
struct Problem<'a> {
    /// n x (dims + 1): the examples, and a column of ones for the intercept.
    z: Mat<f64>,
    /// (dims + 1) x (dims + 1): the lower factor L of the preconditioner L L^T.
    factor: Mat<f64>,
    y: &'a [usize],
    rows: usize,
    c: f64,
}

impl<'a> Problem<'a> {
    fn new(features: Mat<f64>, y: &'a [usize], rows: usize, c: f64) -> Result<Self> {
        let (n, dims) = (features.nrows(), features.ncols());
        let z = Mat::from_fn(n, dims + 1, |i, j| if j < dims { features[(i, j)] } else { 1.0 });
        let mut curvature = Mat::from_fn(dims + 1, dims + 1, |i, j| f64::from(i == j && i < dims));
        matmul(&mut curvature, Accum::Add, z.transpose(), &z, c / 4.0, Par::Seq);
        let factor =
            curvature.llt(Side::Lower).map_err(|_| failed("the features are too large"))?;
        Ok(Self { z, factor: factor.L().to_owned(), y, rows, c })
    }

    /// Damped Newton steps until they change no logit any more.
    fn minimise(&self) -> Result<Vec<f64>> {
        let unknowns = self.rows * self.z.ncols();
        let mut theta = vec![0.0; unknowns];
        let mut change = f64::MAX;
        let (mut p, mut gradient) = self.slope(&theta);
        for _ in 0..MAX_STEPS {
            let residual = (0.01 * change).clamp(RESIDUAL.0, RESIDUAL.1);
            let Some(step) = self.newton_step(&p, &gradient, residual)? else {
                return Ok(theta);
            };
            change = self.largest_change(&step);
            if !change.is_finite() {
                return Err(failed("the numbers are too large"));
            }
            let safe = if change > 0.0 { change.ln_1p() / change } else { 1.0 };
            let descent = dot(&gradient, &step);
            let start = theta.clone();
            let mut length = 1.0;
            loop {
                for ((t, s), d) in theta.iter_mut().zip(&start).zip(&step) {
                    *t = s - length * d;
                }
                (p, gradient) = self.slope(&theta);
                if length <= safe || dot(&gradient, &step) >= -OVERSHOOT * descent {
                    break;
                }
                length = safe.max(length / 2.0);
            }
            if change <= TOLERANCE {
                return Ok(theta);
            }
        }
        Err(failed(format!("after {MAX_STEPS} steps")))
    }

    /// The step of Newton's method, to be subtracted; none where the gradient is zero.
    fn newton_step(
        &self,
        p: &Mat<f64>,
        gradient: &[f64],
        residual: f64,
    ) -> Result<Option<Vec<f64>>> {
        let mut gradient = gradient.to_vec();
        self.solve_lower(&mut gradient);
        let target = residual * norm(&gradient);
        if target == 0.0 {
            return Ok(None);
        }
        let start = vec![0.0; gradient.len()];
        let most = 10 * gradient.len() as u64;
        let solver = ConjugateGradient::new(gradient);
        let solved = Executor::new(Curvature { problem: self, p }, solver)
            // The solver's cost is the square of the residual.
            .configure(|state| state.param(start).target_cost(target * target).max_iters(most))
            .run()
            .map_err(failed)?;
        let mut step =
            solved.state.param.ok_or_else(|| failed("the equations have no solution"))?;
        self.solve_upper(&mut step);
        Ok(Some(step))
    }

    /// Probabilities and gradient at `theta`.
    fn slope(&self, theta: &[f64]) -> (Mat<f64>, Vec<f64>) {
        let p = self.probabilities(theta);
        let gradient = self.gradient(&p, theta);
        (p, gradient)
    }

    /// n x rows: the logits, or their change, for unknowns `theta`.
    fn logits(&self, theta: &[f64]) -> Mat<f64> {
        let mut out = Mat::zeros(self.z.nrows(), self.rows);
        let theta = MatRef::from_column_major_slice(theta, self.z.ncols(), self.rows);
        product(out.as_mut(), self.z.as_ref(), theta);
        out
    }

    /// n x classes: the probabilities.
    fn probabilities(&self, theta: &[f64]) -> Mat<f64> {
        let logits = self.logits(theta);
        let mut example = vec![0.0; self.rows.max(2)];
        let mut p = Mat::zeros(logits.nrows(), example.len());
        for i in 0..p.nrows() {
            if self.rows == 1 {
                binary(logits[(i, 0)], &mut example);
            } else {
                for (k, e) in example.iter_mut().enumerate() {
                    *e = logits[(i, k)];
                }
                softmax(&mut example);
            }
            for (k, e) in example.iter().enumerate() {
                p[(i, k)] = *e;
            }
        }
        p
    }

    /// c Z^T r, plus the penalty's share for unknowns `theta`. Softmax does not notice when all
    /// intercepts move together; a penalty on their sum, zero at the optimum, holds them in place.
    fn pull_back(&self, r: &Mat<f64>, theta: &[f64]) -> Vec<f64> {
        let cols = self.z.ncols();
        let mut out = vec![0.0; theta.len()];
        matmul(
            MatMut::from_column_major_slice_mut(&mut out, cols, self.rows),
            Accum::Replace,
            self.z.transpose(),
            r.as_ref(),
            self.c,
            Par::Seq,
        );
        for (o, t) in out.chunks_exact_mut(cols).zip(theta.chunks_exact(cols)) {
            for (o, t) in o[..cols - 1].iter_mut().zip(t) {
                *o += t;
            }
        }
        if self.rows > 1 {
            let sum: f64 = theta.chunks_exact(cols).map(|row| row[cols - 1]).sum();
            let pull = self.c * self.y.len() as f64 / (4 * self.rows) as f64 * sum;
            for o in out.chunks_exact_mut(cols) {
                o[cols - 1] += pull;
            }
        }
        out
    }

    /// v := L^-1 v.
    fn solve_lower(&self, v: &mut [f64]) {
        let v = MatMut::from_column_major_slice_mut(v, self.z.ncols(), self.rows);
        solve_lower_triangular_in_place(self.factor.as_ref(), v, Par::Seq);
    }

    /// v := L^-T v.
    fn solve_upper(&self, v: &mut [f64]) {
        let v = MatMut::from_column_major_slice_mut(v, self.z.ncols(), self.rows);
        solve_upper_triangular_in_place(self.factor.transpose(), v, Par::Seq);
    }

    fn gradient(&self, p: &Mat<f64>, theta: &[f64]) -> Vec<f64> {
        let classes = p.ncols();
        let residual = Mat::from_fn(p.nrows(), self.rows, |i, row| {
            let k = if self.rows == 1 { 1 } else { row };
            if self.y[i] == k {
                // Exact where 1 - p would cancel.
                -(0..classes).filter(|l| *l != k).map(|l| p[(i, l)]).sum::<f64>()
            } else {
                p[(i, k)]
            }
        });
        self.pull_back(&residual, theta)
    }

    /// The largest change that `step` makes to a difference of two logits of one example (the
    /// logit of the other class is 0 if there is one row).
    fn largest_change(&self, step: &[f64]) -> f64 {
        let change = self.logits(step);
        let mut largest = 0.0_f64;
        for i in 0..change.nrows() {
            let other = if self.rows == 1 { 0.0 } else { change[(i, 0)] };
            let (mut low, mut high) = (other, other);
            for k in 0..self.rows {
                low = low.min(change[(i, k)]);
                high = high.max(change[(i, k)]);
            }
            largest = largest.max(high - low);
        }
        largest
    }
}

/// L^-1 H L^-T, with H the second derivative at probabilities `p`, as a function of a vector.
struct Curvature<'a> {
    problem: &'a Problem<'a>,
    p: &'a Mat<f64>,
}

impl Operator for Curvature<'_> {
    type Param = Vec<f64>;
    type Output = Vec<f64>;

    fn apply(&self, v: &Vec<f64>) -> std::result::Result<Vec<f64>, argmin::core::Error> {
        let (p, rows) = (self.p, self.problem.rows);
        let mut v = v.clone();
        self.problem.solve_upper(&mut v);
        let mut u = self.problem.logits(&v);
        for i in 0..u.nrows() {
            if rows == 1 {
                u[(i, 0)] *= p[(i, 0)] * p[(i, 1)];
            } else {
                let mean: f64 = (0..rows).map(|k| p[(i, k)] * u[(i, k)]).sum();
                for k in 0..rows {
                    u[(i, k)] = p[(i, k)] * (u[(i, k)] - mean);
                }
            }
        }
        let mut out = self.problem.pull_back(&u, &v);
        self.problem.solve_lower(&mut out);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balanced_line_by_hand() {
        // Points -1 and 1: b = 0 and w = c * 2 / (1 + exp(w)).
        let model = Logistic::fit(&[&[-1.0], &[1.0]], &[0, 1], 2, 1.0).unwrap();
        let w = model.coef[0];
        assert!((w - 2.0 / (1.0 + w.exp())).abs() < 1e-12);
        assert!(model.intercept[0].abs() < 1e-12);
        let mut out = [0.0; 2];
        model.probabilities(&[1e6], &mut out);
        assert_eq!(out, [0.0, 1.0]);
    }

    #[test]
    fn constant_features_give_the_shares_of_the_classes() {
        let x: Vec<&[f64]> = vec![&[0.0, 0.0, 0.0, 0.0, 0.0]; 4];
        let model = Logistic::fit(&x, &[0, 1, 2, 2], 3, 1.0).unwrap();
        let mut out = [0.0; 3];
        model.probabilities(x[0], &mut out);
        for (got, want) in out.iter().zip([0.25, 0.25, 0.5]) {
            assert!((got - want).abs() < 1e-9, "{out:?}");
        }
    }

    #[test]
    fn separable_features_on_wild_scales_converge() {
        let x: Vec<[f64; 3]> =
            (0..40).map(|i| [f64::from(i) * 1e6, f64::from(i % 7) * 1e-6, 1.0]).collect();
        let x: Vec<&[f64]> = x.iter().map(|r| r.as_slice()).collect();
        let y: Vec<usize> = (0..40).map(|i| i / 20).collect();
        for c in [1e-3, 1.0, 1e6] {
            let model = Logistic::fit(&x, &y, 2, c).unwrap_or_else(|e| panic!("{c}: {e}"));
            let mut out = [0.0; 2];
            model.probabilities(x[0], &mut out);
            assert!(out[0] > 0.9, "{c}: {out:?}");
        }
    }

    #[test]
    fn bad_examples_are_errors() {
        let (a, b): (&[f64], &[f64]) = (&[0.0], &[f64::NAN]);
        assert!(Logistic::fit(&[], &[], 2, 1.0).is_err());
        assert!(Logistic::fit(&[a, a], &[0, 0], 1, 1.0).is_err());
        assert!(Logistic::fit(&[a, a], &[0, 0], 2, 1.0).is_err());
        assert!(Logistic::fit(&[a, a], &[0, 2], 2, 1.0).is_err());
        assert!(Logistic::fit(&[a, b], &[0, 1], 2, 1.0).is_err());
        assert!(Logistic::fit(&[a, &[]], &[0, 1], 2, 1.0).is_err());
        assert!(Logistic::fit(&[a, a], &[0, 1], 2, 0.0).is_err());
    }
}
