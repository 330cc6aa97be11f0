//! The dual problem of a support vector machine of two classes, by sequential minimal optimisation.
//!
//! In: the n x n kernel matrix K of the examples, a sign y = +1 or -1 for each, the bound c. Out: signed
//! multipliers b_i and a bias such that the decision value of x is sum_i b_i k(x_i, x) + bias. They are at
//! the most of sum_i y_i b_i - b K b / 2 under sum_i b_i = 0 and 0 <= y_i b_i <= c, the dual of the
//! C-SVC of libsvm (with b_i = y_i alpha_i).
//!
//! What is left of the margin of example i, r_i = y_i - (K b)_i, is the slope of the objective along
//! b_i. Two multipliers at a time move against each other: i, which may rise and has the largest
//! slope, and j, which may fall, chosen for the greatest gain by the second-order rule (Fan, Chen, Lin,
//! J. Mach. Learn. Res. 6, 2005). The conditions of Karush, Kuhn and Tucker hold when no slope of one that
//! may rise exceeds a slope of one that may fall; by how much one does is the gap.

/// The gap at which it ends: decision values are then right to some more digits than are compared.
const TOLERANCE: f64 = 1e-10;
/// The curvature that stands for one that is not positive, as between two equal examples.
const LEAST_CURVATURE: f64 = 1e-12;
/// The most steps: so many, and so many more per example.
const MAX_STEPS: (usize, usize) = (100_000, 5_000);

/// Where the search ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The signed multipliers; zero for all examples but the support vectors.
    pub multipliers: Vec<f64>,
    /// The bias.
    pub bias: f64,
    /// By how much the optimality conditions are violated, in units of the decision value.
    pub gap: f64,
}

/// Solves the problem for the kernel matrix `k`, row by row, and signs `y`, of which both occur.
pub fn solve(k: &[f64], y: &[f64], c: f64) -> Solution {
    let mut search = Search { k, y, c, multipliers: vec![0.0; y.len()], slopes: y.to_vec() };
    for _ in 0..MAX_STEPS.0 + MAX_STEPS.1 * y.len() {
        let go_on = match search.pair() {
            Some((i, j)) => search.step(i, j),
            None => false,
        };
        if !go_on {
            break;
        }
    }
    search.finish()
}

struct Search<'a> {
    k: &'a [f64],
    y: &'a [f64],
    c: f64,
    multipliers: Vec<f64>,
    slopes: Vec<f64>,
}

impl<'a> Search<'a> {
    fn row(&self, i: usize) -> &'a [f64] {
        &self.k[i * self.y.len()..(i + 1) * self.y.len()]
    }

    /// How far the multiplier of `i` may rise.
    fn room_above(&self, i: usize) -> f64 {
        (if self.y[i] > 0.0 { self.c } else { 0.0 }) - self.multipliers[i]
    }

    /// How far the multiplier of `i` may fall.
    fn room_below(&self, i: usize) -> f64 {
        self.multipliers[i] - (if self.y[i] > 0.0 { 0.0 } else { -self.c })
    }

    /// The multipliers that are to rise and to fall; none where the conditions hold.
    fn pair(&self) -> Option<(usize, usize)> {
        let n = self.y.len();
        let rise = (0..n)
            .filter(|i| self.room_above(*i) > 0.0)
            .reduce(|best, i| if self.slopes[i] > self.slopes[best] { i } else { best })?;
        let (top, row) = (self.slopes[rise], self.row(rise));
        let (mut gap, mut fall, mut most) = (0.0_f64, None, 0.0);
        for j in (0..n).filter(|j| self.room_below(*j) > 0.0) {
            let difference = top - self.slopes[j];
            if difference <= 0.0 {
                continue;
            }
            gap = gap.max(difference);
            let gain = difference * difference / self.curvature(row, rise, j);
            if gain > most {
                (fall, most) = (Some(j), gain);
            }
        }
        if gap > TOLERANCE { fall.map(|j| (rise, j)) } else { None }
    }

    /// The curvature of the objective where `i` rises as `j` falls.
    fn curvature(&self, row: &[f64], i: usize, j: usize) -> f64 {
        let own = |i: usize| self.k[i * self.y.len() + i];
        (own(i) + own(j) - 2.0 * row[j]).max(LEAST_CURVATURE)
    }

    /// Moves `i` up and `j` down as far as pays; false if they do not move any more.
    fn step(&mut self, i: usize, j: usize) -> bool {
        let (of_i, of_j) = (self.row(i), self.row(j));
        let best = (self.slopes[i] - self.slopes[j]) / self.curvature(of_i, i, j);
        let (above, below) = (self.room_above(i), self.room_below(j));
        let length = best.min(above).min(below);
        let before = (self.multipliers[i], self.multipliers[j]);
        // Onto a bound exactly, so that it counts as one.
        self.multipliers[i] = match length == above {
            true if self.y[i] > 0.0 => self.c,
            true => 0.0,
            false => before.0 + length,
        };
        self.multipliers[j] = match length == below {
            true if self.y[j] > 0.0 => 0.0,
            true => -self.c,
            false => before.1 - length,
        };
        for (slope, (a, b)) in self.slopes.iter_mut().zip(of_i.iter().zip(of_j)) {
            *slope -= length * (a - b);
        }
        before != (self.multipliers[i], self.multipliers[j])
    }

    /// The bias is the slope of the multipliers between their bounds, or lies half way between those
    /// of the ones that may rise and of the ones that may fall.
    fn finish(mut self) -> Solution {
        for i in 0..self.y.len() {
            let product: f64 = self.row(i).iter().zip(&self.multipliers).map(|(a, b)| a * b).sum();
            self.slopes[i] = self.y[i] - product;
        }
        let (mut top, mut bottom) = (f64::NEG_INFINITY, f64::INFINITY);
        let (mut free, mut count) = (0.0, 0);
        for (i, slope) in self.slopes.iter().enumerate() {
            let (rises, falls) = (self.room_above(i) > 0.0, self.room_below(i) > 0.0);
            if rises {
                top = top.max(*slope);
            }
            if falls {
                bottom = bottom.min(*slope);
            }
            if rises && falls {
                free += slope;
                count += 1;
            }
        }
        let bias = if count > 0 { free / f64::from(count) } else { (top + bottom) / 2.0 };
        Solution { multipliers: self.multipliers, bias, gap: (top - bottom).max(0.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(x: &[f64]) -> Vec<f64> {
        x.iter().flat_map(|a| x.iter().map(move |b| a * b)).collect()
    }

    #[test]
    fn a_hard_margin_by_hand() {
        // Points -1 and 1 (and two that do not matter): w = 1, no bias, multipliers 1/2.
        let x = [-1.0, 1.0, -3.0, 2.0];
        let s = solve(&linear(&x), &[-1.0, 1.0, -1.0, 1.0], 10.0);
        assert!((s.multipliers[0] + 0.5).abs() < 1e-12 && (s.multipliers[1] - 0.5).abs() < 1e-12);
        assert!(s.multipliers[2..] == [0.0; 2] && s.bias.abs() < 1e-12 && s.gap <= TOLERANCE);
    }

    #[test]
    fn all_at_the_bound() {
        // c too small for any margin: w = c * sum y x = 0.02; the bias lies between 1 - 0.02 and -that.
        let s = solve(&linear(&[-1.0, 1.0]), &[-1.0, 1.0], 0.01);
        assert_eq!(s.multipliers, [-0.01, 0.01]);
        assert!(s.bias.abs() < 1e-15);
    }

    #[test]
    fn equal_examples_of_both_classes_end() {
        let s = solve(&linear(&[1.0; 6]), &[-1.0, 1.0, 1.0, -1.0, 1.0, 1.0], 1.0);
        assert!(s.multipliers.iter().sum::<f64>().abs() < 1e-12);
        // More of the second class, so that it is decided for; any bias from -1 to 1 costs no less.
        assert!((s.bias - 1.0).abs() < 1e-9, "{s:?}");
    }
}
