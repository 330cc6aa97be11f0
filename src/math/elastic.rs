//! Multinomial logistic regression with the elastic net: a penalty that leaves most weights zero.
//!
//! In and out: as [`super::logistic`], but at the least
//! c * sum_i loss_i + (1 - r) |w|^2 / 2 + r sum |w|, with r from 0 to 1 the share of the absolute values. That is
//! scikit-learn's `LogisticRegression(penalty="elasticnet", solver="saga", l1_ratio=r, C=c)`.
//!
//! Fit: Newton's method with the penalty left as it is. Each step minimises the second-order model of the
//! losses plus the penalty by coordinate descent, first over all weights, then over those that are not
//! zero until these come to rest, and so on; then a line search (Yuan, Ho and Lin, J. Mach. Learn. Res. 13,
//! 2012). Nothing is random.

use super::logistic::{Logistic, check, check_c, softmax};
use crate::error::{Error, Result};

/// The optimum is reached when a Newton step changes no logit by more than this, relative to the largest one
/// but at least to one.
const TOLERANCE: f64 = 1e-10;
/// The most Newton steps; ten are usual.
const MAX_STEPS: usize = 100;
/// The most sweeps of coordinate descent in a step.
const MAX_SWEEPS: usize = 20_000;
/// A step is solved when a sweep moves no coordinate by more than this share of the last step's change,
/// in units of the logits.
const SHARE: f64 = 1e-3;
/// The share of the expected descent that a step has to bring.
const DESCENT: f64 = 1e-3;

/// Fits the model to examples `x` with class indices `y` below `classes`; `c` is the inverse
/// regularisation strength, `l1_ratio` the share of the absolute values in the penalty.
pub fn fit(x: &[&[f64]], y: &[usize], classes: usize, c: f64, l1_ratio: f64) -> Result<Logistic> {
    let p = check(x, y, classes)?;
    check_c(c)?;
    if !(0.0..=1.0).contains(&l1_ratio) {
        return Err(Error::config(format!("l1_ratio is {l1_ratio}, expected 0 to 1")));
    }
    let rows = if classes == 2 { 1 } else { classes };
    // The column of ones belongs to the intercept.
    let mut columns: Vec<Vec<f64>> = (0..p).map(|j| x.iter().map(|x| x[j]).collect()).collect();
    columns.push(vec![1.0; x.len()]);
    let problem = Problem { columns, y, rows, c, l1_ratio };
    let weights = problem.minimise()?;
    let row = |k: usize| weights[k * (p + 1)..k * (p + 1) + p].iter().copied();
    Ok(Logistic {
        coef: (0..rows).flat_map(row).collect(),
        intercept: (0..rows).map(|k| weights[k * (p + 1) + p]).collect(),
    })
}

struct Problem<'a> {
    /// One column of n numbers per feature, and one of ones.
    columns: Vec<Vec<f64>>,
    y: &'a [usize],
    rows: usize,
    c: f64,
    l1_ratio: f64,
}

impl Problem<'_> {
    /// The weights, row by row, each row with its intercept last.
    fn minimise(&self) -> Result<Vec<f64>> {
        let width = self.columns.len();
        let mut weights = vec![0.0; self.rows * width];
        let mut logits = vec![0.0; self.y.len() * self.rows];
        let mut change = 1.0;
        for _ in 0..MAX_STEPS {
            let mut model = Model::new(self, &weights, &logits);
            model.minimise(SHARE * f64::min(change, 1.0));
            let step: Vec<f64> = model.weights.iter().zip(&weights).map(|(a, b)| a - b).collect();
            let moved = self.logits(&step);
            change = moved.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            if !change.is_finite() {
                return Err(failed("the numbers are too large"));
            }
            let length = self.length(&weights, &logits, &step, &moved, &model.slope);
            weights.iter_mut().zip(&step).for_each(|(w, s)| *w += length * s);
            logits.iter_mut().zip(&moved).for_each(|(u, m)| *u += length * m);
            let largest = logits.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
            if change <= TOLERANCE * largest {
                return Ok(weights);
            }
        }
        Err(failed("the steps do not get shorter"))
    }

    /// How much of `step`, which changes the logits by `moved`, is gone: halved until the objective falls
    /// by its due.
    fn length(
        &self,
        weights: &[f64],
        logits: &[f64],
        step: &[f64],
        moved: &[f64],
        slope: &[f64],
    ) -> f64 {
        let at = |t: f64| -> f64 {
            let weights: Vec<f64> = weights.iter().zip(step).map(|(w, s)| w + t * s).collect();
            let logits: Vec<f64> = logits.iter().zip(moved).map(|(u, m)| u + t * m).collect();
            self.c * self.loss(&logits) + self.penalty(&weights)
        };
        let ends: Vec<f64> = weights.iter().zip(step).map(|(w, s)| w + s).collect();
        let along: f64 = slope.iter().zip(moved).map(|(g, m)| self.c * g * m).sum();
        let due = along + self.penalty(&ends) - self.penalty(weights);
        let start = at(0.0);
        let mut length = 1.0;
        // What is less than rounding cannot be told.
        while length > 1e-6 && at(length) > start + DESCENT * length * due + 1e-14 * start.abs() {
            length /= 2.0;
        }
        length
    }

    /// The sum of the losses: ln(1 + sum exp(u - u_own)) over the logits u of the other classes, which
    /// stays exact where the own class is nearly certain.
    fn loss(&self, logits: &[f64]) -> f64 {
        let examples = logits.chunks_exact(self.rows).zip(self.y);
        let one = |(logits, y): (&[f64], &usize)| {
            let own = match self.rows {
                1 if *y == 1 => return ln_1p_exp(&[-logits[0]], None),
                1 => return ln_1p_exp(logits, None),
                _ => logits[*y],
            };
            ln_1p_exp(&logits.iter().map(|u| u - own).collect::<Vec<f64>>(), Some(*y))
        };
        examples.map(one).sum()
    }

    fn penalty(&self, weights: &[f64]) -> f64 {
        let width = self.columns.len();
        let one = |w: &f64| (1.0 - self.l1_ratio) * w * w / 2.0 + self.l1_ratio * w.abs();
        weights.chunks_exact(width).flat_map(|row| &row[..width - 1]).map(one).sum()
    }

    /// The logits of each example for `weights`.
    fn logits(&self, weights: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.y.len() * self.rows];
        for (k, row) in weights.chunks_exact(self.columns.len()).enumerate() {
            for (w, column) in row.iter().zip(&self.columns).filter(|(w, _)| **w != 0.0) {
                let own = out.iter_mut().skip(k).step_by(self.rows);
                own.zip(column).for_each(|(u, x)| *u += w * x);
            }
        }
        out
    }

    /// The probability that belongs to each logit, and what is left to one.
    fn probabilities(&self, logits: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (mut p, mut rest) = (logits.to_vec(), logits.to_vec());
        if self.rows == 1 {
            p.iter_mut().for_each(|u| *u = 1.0 / (1.0 + (-*u).exp()));
            rest.iter_mut().for_each(|u| *u = 1.0 / (1.0 + u.exp()));
            return (p, rest);
        }
        for (p, rest) in p.chunks_exact_mut(self.rows).zip(rest.chunks_exact_mut(self.rows)) {
            softmax(p);
            for (k, rest) in rest.iter_mut().enumerate() {
                // Exact where 1 - p would cancel.
                *rest = p.iter().enumerate().filter(|(l, _)| *l != k).map(|(_, q)| q).sum();
            }
        }
        (p, rest)
    }
}

/// The second-order model of the losses around some weights, and the weights that are to minimise it.
struct Model<'a> {
    problem: &'a Problem<'a>,
    weights: Vec<f64>,
    /// The probabilities around which it is made, n x rows, and what is left to one.
    p: Vec<f64>,
    rest: Vec<f64>,
    /// The slope of the losses by the logits there.
    slope: Vec<f64>,
    /// The same at the weights as they are now, by the model.
    now: Vec<f64>,
    /// The curvature of each coordinate.
    curvature: Vec<f64>,
}

impl<'a> Model<'a> {
    fn new(problem: &'a Problem<'a>, weights: &[f64], logits: &[f64]) -> Self {
        let (rows, width) = (problem.rows, problem.columns.len());
        let (p, rest) = problem.probabilities(logits);
        let class = |row: usize| if rows == 1 { 1 } else { row };
        let slope: Vec<f64> = (0..p.len())
            .map(|e| if problem.y[e / rows] == class(e % rows) { -rest[e] } else { p[e] })
            .collect();
        let curvature = |k: usize, column: &Vec<f64>| -> f64 {
            let own = (k..p.len()).step_by(rows).zip(column);
            problem.c * own.map(|(e, x)| p[e] * rest[e] * x * x).sum::<f64>()
        };
        let curvature =
            (0..rows * width).map(|e| curvature(e / width, &problem.columns[e % width])).collect();
        Self { problem, weights: weights.to_vec(), now: slope.clone(), p, rest, slope, curvature }
    }

    /// Coordinate descent until nothing moves by more than `target`.
    fn minimise(&mut self, target: f64) {
        let mut sweeps = 0;
        while sweeps < MAX_SWEEPS {
            sweeps += 1;
            if self.sweep(false) <= target {
                break;
            }
            while sweeps < MAX_SWEEPS && self.sweep(true) > target {
                sweeps += 1;
            }
        }
    }

    /// Moves each coordinate to where it is best, or only those that are not zero; gives the largest move in
    /// units of the logits.
    fn sweep(&mut self, only_active: bool) -> f64 {
        let width = self.problem.columns.len();
        let mut largest = 0.0_f64;
        for e in 0..self.weights.len() {
            let (k, j) = (e / width, e % width);
            if !only_active || self.weights[e] != 0.0 || j == width - 1 {
                largest = largest.max(self.move_one(k, j, e));
            }
        }
        largest
    }

    fn move_one(&mut self, k: usize, j: usize, e: usize) -> f64 {
        let Problem { columns, rows, c, l1_ratio, .. } = self.problem;
        let (rows, penalised) = (*rows, j + 1 < columns.len());
        let column = &columns[j];
        let (l1, l2) = if penalised { (*l1_ratio, 1.0 - l1_ratio) } else { (0.0, 0.0) };
        let own = self.now.iter().skip(k).step_by(rows);
        let slope = c * own.zip(column).map(|(g, x)| g * x).sum::<f64>();
        let (weight, curvature) = (self.weights[e], self.curvature[e] + l2);
        if curvature <= 0.0 {
            return 0.0;
        }
        let goal = curvature * weight - slope - l2 * weight;
        let next = (goal.abs() - l1).max(0.0).copysign(goal) / curvature;
        let step = next - weight;
        if step == 0.0 {
            return 0.0;
        }
        self.weights[e] = next;
        let examples = self.now.chunks_exact_mut(rows).zip(self.p.chunks_exact(rows)).zip(column);
        let mut largest = 0.0_f64;
        for (i, ((now, p), x)) in examples.enumerate() {
            let moved = step * x;
            largest = largest.max(moved.abs());
            for (l, (g, q)) in now.iter_mut().zip(p).enumerate() {
                *g += q * moved * if l == k { self.rest[i * rows + k] } else { -p[k] };
            }
        }
        largest
    }
}

/// ln(1 + sum exp(v)) over the `v` but number `without`, without overflow.
fn ln_1p_exp(v: &[f64], without: Option<usize>) -> f64 {
    let others = || v.iter().enumerate().filter(|(l, _)| Some(*l) != without).map(|(_, v)| *v);
    let top = others().fold(0.0, f64::max);
    if top > 0.0 {
        return top + ((-top).exp() + others().map(|v| (v - top).exp()).sum::<f64>()).ln();
    }
    others().map(f64::exp).sum::<f64>().ln_1p()
}

fn failed(why: &str) -> Error {
    Error::run(format!(
        "logistic regression did not converge ({why}); scale the features or lower c"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(classes: usize) -> (Vec<Vec<f64>>, Vec<usize>) {
        let numbers = crate::math::testing::numbers(60 * 8, 11);
        let y: Vec<usize> = (0..60).map(|i| i % classes).collect();
        let rows = numbers.chunks_exact(8).zip(&y);
        let x =
            rows.map(|(r, y)| r.iter().enumerate().map(|(j, v)| v + f64::from(j == *y)).collect());
        (x.collect(), y)
    }

    /// Without absolute values it is the other solver's problem.
    #[test]
    fn the_ridge_is_a_special_case() {
        for classes in [2, 3] {
            let (x, y) = data(classes);
            let x: Vec<&[f64]> = x.iter().map(Vec::as_slice).collect();
            let (a, b) = (fit(&x, &y, classes, 2.0, 0.0), Logistic::fit(&x, &y, classes, 2.0));
            let (a, b) = (a.unwrap(), b.unwrap());
            let near = a.coef.iter().zip(&b.coef).all(|(a, b)| (a - b).abs() < 1e-8);
            assert!(near, "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_strong_penalty_leaves_nothing_and_a_weaker_one_little() {
        let (x, y) = data(3);
        let x: Vec<&[f64]> = x.iter().map(Vec::as_slice).collect();
        let count = |c| fit(&x, &y, 3, c, 0.9).unwrap().coef.iter().filter(|w| **w != 0.0).count();
        assert_eq!(count(1e-3), 0);
        assert!((1..24).contains(&count(0.3)));
    }

    #[test]
    fn losses_are_exact_from_certain_to_hopeless() {
        let problem = |rows| Problem { columns: Vec::new(), y: &[1], rows, c: 1.0, l1_ratio: 0.5 };
        for (u, want) in [(40.0, (-40.0_f64).exp()), (0.0, 2.0_f64.ln()), (-900.0, 900.0)] {
            for loss in [problem(1).loss(&[u]), problem(2).loss(&[0.0, u])] {
                assert!((loss - want).abs() <= 1e-15 * want, "{u}: {loss} {want}");
            }
        }
        assert!((problem(3).loss(&[0.0, 0.0, 0.0]) - 3.0_f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn degenerate_examples_give_an_answer_or_an_error() {
        let mut out = [0.0; 2];
        for ratio in [0.0, 0.5, 1.0] {
            let (a, b): (&[f64], &[f64]) = (&[0.0, 1.0], &[0.0, 3.0]);
            for x in [vec![a, b], vec![a, a], vec![b, a]] {
                let model = fit(&x, &[0, 1], 2, 1.0, ratio).unwrap();
                model.probabilities(x[1], &mut out);
                assert!(out.iter().all(|p| p.is_finite()) && out[1] >= 0.5 - 1e-9, "{out:?}");
            }
            // A border between points on a wild scale.
            let model = fit(&[&[-1e6], &[1e6], &[2e6]], &[0, 1, 1], 2, 1e6, ratio).unwrap();
            model.probabilities(&[1e6], &mut out);
            assert!(out[1] > 0.9, "{out:?}");
        }
        assert!(fit(&[&[0.0], &[1.0]], &[0, 1], 2, 1.0, 1.5).is_err());
        assert!(fit(&[&[0.0], &[1.0]], &[0, 1], 2, 0.0, 0.5).is_err());
    }
}
