//! Support vector machines for two and more classes over a matrix of kernel values.
//!
//! In: examples of p numbers, each with a class. [`Products`] holds their inner products, of which every
//! kernel here can be made: k(x, z) = x z, or exp(-gamma |x - z|^2). A [`Gram`] matrix of kernel values serves
//! any number of fits, as in a search for c. Out: one machine for each pair of classes ([`Machines`]), trained
//! on the examples of the two ([`super::smo`]); its decision value speaks for the second class of the
//! pair where it is not negative. The class with the most votes is decided for, the first one of several.
//! Order of the pairs: (0, 1), (0, 2), .. (1, 2), ..
//!
//! Objective, votes and the scores of [`Votes`] are those of scikit-learn's `SVC`, whose decision values
//! of pairs have the other sign.

use super::smo;
use crate::error::{Error, Result};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};

/// A gap up to which a fit that ran out of steps is taken: the usual tolerance of others.
const LARGEST_GAP: f64 = 1e-3;

/// How alike two examples are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kernel {
    /// Their inner product.
    Linear,
    /// exp(-gamma |x - z|^2).
    Rbf {
        /// The inverse square of a width.
        gamma: f64,
    },
}

impl Kernel {
    /// The kernel value of x and z by their inner product and squared lengths.
    pub fn value(self, product: f64, xx: f64, zz: f64) -> f64 {
        match self {
            Self::Linear => product,
            Self::Rbf { gamma } => (-gamma * (xx + zz - 2.0 * product).max(0.0)).exp(),
        }
    }
}

/// The inner products of examples with each other.
#[derive(Debug, Clone)]
pub struct Products {
    n: usize,
    p: usize,
    /// n x n.
    matrix: Vec<f64>,
    /// The sum of the numbers of each example.
    sums: Vec<f64>,
}

impl Products {
    /// Those of the examples `x`, which are of one length and finite.
    pub fn new(x: &[&[f64]]) -> Result<Self> {
        let (n, p) = (x.len(), x.first().map_or(0, |x| x.len()));
        if p == 0 || x.iter().any(|row| row.len() != p) {
            return Err(Error::mismatch("expected examples of one length, at least one number"));
        }
        let columns = Mat::from_fn(p, n, |i, j| x[j][i]);
        let mut products = Mat::zeros(n, n);
        matmul(&mut products, Accum::Replace, columns.transpose(), &columns, 1.0, Par::Seq);
        let matrix: Vec<f64> =
            (0..n * n).map(|e| products[((e / n).min(e % n), (e / n).max(e % n))]).collect();
        if matrix.iter().any(|v| !v.is_finite()) {
            return Err(Error::mismatch(
                "the examples hold numbers that are not finite, or too large",
            ));
        }
        Ok(Self { n, p, matrix, sums: x.iter().map(|row| row.iter().sum()).collect() })
    }

    /// How many examples there are.
    pub fn count(&self) -> usize {
        self.n
    }

    /// scikit-learn's `gamma = "scale"`: one over p times the variance of all numbers of the examples
    /// `members`; 1 where that is zero.
    pub fn gamma(&self, members: &[usize]) -> f64 {
        let count = (members.len() * self.p) as f64;
        let mean = members.iter().map(|i| self.sums[*i]).sum::<f64>() / count;
        let square = members.iter().map(|i| self.at(*i, *i)).sum::<f64>() / count;
        let variance = square - mean * mean;
        if variance > 0.0 { 1.0 / (self.p as f64 * variance) } else { 1.0 }
    }

    /// The kernel matrix of the examples `members`.
    pub fn gram(&self, kernel: Kernel, members: &[usize]) -> Gram {
        let row =
            |i: &usize| members.iter().map(|j| self.kernel(kernel, *i, *j)).collect::<Vec<_>>();
        Gram { n: members.len(), values: members.iter().flat_map(row).collect() }
    }

    /// The kernel values of example `i` with each of `members`.
    pub fn row(&self, kernel: Kernel, i: usize, members: &[usize]) -> Vec<f64> {
        members.iter().map(|j| self.kernel(kernel, i, *j)).collect()
    }

    fn kernel(&self, kernel: Kernel, i: usize, j: usize) -> f64 {
        kernel.value(self.at(i, j), self.at(i, i), self.at(j, j))
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.matrix[i * self.n + j]
    }
}

/// A kernel matrix: symmetric, without negative eigenvalues.
#[derive(Debug, Clone)]
pub struct Gram {
    n: usize,
    values: Vec<f64>,
}

impl Gram {
    /// The matrix of n x n `values`, which may come from anywhere.
    pub fn new(n: usize, values: Vec<f64>) -> Result<Self> {
        if values.len() == n * n && values.iter().all(|v| v.is_finite()) {
            return Ok(Self { n, values });
        }
        Err(Error::mismatch(format!(
            "a kernel matrix of {n} examples needs {n} x {n} finite numbers"
        )))
    }

    /// The part of the examples `members`.
    fn part(&self, members: &[usize]) -> Vec<f64> {
        members
            .iter()
            .flat_map(|i| members.iter().map(move |j| self.values[i * self.n + j]))
            .collect()
    }
}

/// One machine for each pair of classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Machines {
    /// One number for each example, pair after pair; zero for all but the support vectors of the pair.
    pub coef: Vec<f64>,
    /// One for each pair.
    pub bias: Vec<f64>,
    /// The largest gap of a pair, see [`smo::Solution`].
    pub gap: f64,
}

impl Machines {
    /// Trains the machines on examples with the kernel matrix `gram` and class indices `y` below `classes`,
    /// each of which occurs; a larger `c` fits the examples closer.
    pub fn fit(gram: &Gram, y: &[usize], classes: usize, c: f64) -> Result<Self> {
        if !(c > 0.0 && c.is_finite()) {
            return Err(Error::config(format!("c is {c}, expected a positive number")));
        }
        if y.len() != gram.n || (0..classes).any(|k| !y.contains(&k)) {
            return Err(Error::mismatch("every example needs a class, and every class an example"));
        }
        let mut machines = Self { coef: Vec::new(), bias: Vec::new(), gap: 0.0 };
        for (first, second) in pairs(classes) {
            let members: Vec<usize> =
                (0..y.len()).filter(|i| y[*i] == first || y[*i] == second).collect();
            let sign = |i: &usize| if y[*i] == second { 1.0 } else { -1.0 };
            let signs: Vec<f64> = members.iter().map(sign).collect();
            let solution = smo::solve(&gram.part(&members), &signs, c);
            if !(solution.gap <= LARGEST_GAP && solution.bias.is_finite()) {
                return Err(Error::run(
                    "the support vector machine did not converge; scale the features or lower c",
                ));
            }
            let mut coef = vec![0.0; y.len()];
            members.iter().zip(solution.multipliers).for_each(|(i, b)| coef[*i] = b);
            machines.coef.extend(coef);
            machines.bias.push(solution.bias);
            machines.gap = machines.gap.max(solution.gap);
        }
        Ok(machines)
    }

    /// The decision value of each pair, given the kernel values with the examples. Allocates nothing.
    pub fn decide(&self, kernel: &[f64], out: &mut [f64]) {
        products(&self.coef, kernel, out);
        out.iter_mut().zip(&self.bias).for_each(|(o, bias)| *o += bias);
    }
}

/// How the decision values of the pairs are found, in as little work as the kernel allows.
#[derive(Debug, Clone, PartialEq)]
pub enum Border {
    /// For a linear kernel: one row of weights for each pair.
    Straight(Vec<f64>),
    /// The machines of the pairs over the support vectors.
    Curved {
        /// Of the kernel.
        gamma: f64,
        /// The support vectors, one row each.
        vectors: Vec<f64>,
        /// Their squared lengths.
        squares: Vec<f64>,
        /// One for each vector, pair after pair.
        coef: Vec<f64>,
        /// Room for the kernel values of the vectors.
        kernel: Vec<f64>,
    },
}

impl Border {
    /// What the `machines` that were trained on `x` come to.
    pub fn new(kernel: Kernel, machines: &Machines, x: &[&[f64]]) -> Self {
        let (n, width) = (x.len(), x[0].len());
        let pairs = machines.coef.chunks_exact(n);
        match kernel {
            Kernel::Linear => {
                let mut weights = vec![0.0; machines.bias.len() * width];
                for (row, coef) in weights.chunks_exact_mut(width).zip(pairs) {
                    for (x, c) in x.iter().zip(coef).filter(|(_, c)| **c != 0.0) {
                        row.iter_mut().zip(*x).for_each(|(w, x)| *w += c * x);
                    }
                }
                Self::Straight(weights)
            }
            Kernel::Rbf { gamma } => {
                let used = |i: &usize| pairs.clone().any(|row| row[*i] != 0.0);
                let support: Vec<usize> = (0..n).filter(used).collect();
                let vectors = support.iter().flat_map(|i| x[*i]).copied().collect();
                let of_pair = |row: &[f64]| support.iter().map(|i| row[*i]).collect::<Vec<f64>>();
                Self::curved(gamma, vectors, pairs.flat_map(of_pair).collect(), width)
            }
        }
    }

    /// The machines over support vectors of `width` numbers.
    pub fn curved(gamma: f64, vectors: Vec<f64>, coef: Vec<f64>, width: usize) -> Self {
        let squares: Vec<f64> = vectors.chunks_exact(width).map(|x| dot(x, x)).collect();
        let kernel = vec![0.0; squares.len()];
        Self::Curved { gamma, vectors, squares, coef, kernel }
    }

    /// How many numbers an example has, for so many pairs.
    pub fn width(&self, pairs: usize) -> usize {
        match self {
            Self::Straight(weights) => weights.len() / pairs.max(1),
            Self::Curved { vectors, squares, .. } => vectors.len() / squares.len().max(1),
        }
    }

    /// The decision values for `x` without their bias. Allocates nothing.
    pub fn products(&mut self, x: &[f64], out: &mut [f64]) {
        match self {
            Self::Straight(weights) => products(weights, x, out),
            Self::Curved { gamma, vectors, squares, coef, kernel } => {
                products(vectors, x, kernel);
                let (own, gamma) = (dot(x, x), *gamma);
                for (k, square) in kernel.iter_mut().zip(squares) {
                    *k = Kernel::Rbf { gamma }.value(*k, own, *square);
                }
                products(coef, kernel, out);
            }
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The product of each row with `x`.
fn products(rows: &[f64], x: &[f64], out: &mut [f64]) {
    for (o, row) in out.iter_mut().zip(rows.chunks_exact(x.len())) {
        *o = dot(row, x);
    }
}

/// The pairs of classes, in order.
pub fn pairs(classes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..classes).flat_map(move |i| (i + 1..classes).map(move |j| (i, j)))
}

/// What the decision values of the pairs come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Votes {
    /// The class that is decided for.
    pub decided: usize,
    /// How clearly: the sum of the decision values that speak for it, less those against it.
    pub margin: f64,
}

impl Votes {
    /// Counts the votes of the pairs and writes a score for each class: its votes, and between those the
    /// decision values for and against it, as x/(3 (|x| + 1)), x their sum. Allocates nothing.
    pub fn count(decisions: &[f64], scores: &mut [f64]) -> Self {
        let classes = scores.len();
        let (votes, sums) =
            (|k| tally(decisions, classes, k).0, |k| tally(decisions, classes, k).1);
        let decided = (0..classes).fold(0, |best, k| if votes(k) > votes(best) { k } else { best });
        for (k, score) in scores.iter_mut().enumerate() {
            *score = f64::from(votes(k)) + sums(k) / (3.0 * (sums(k).abs() + 1.0));
        }
        Self { decided, margin: sums(decided) }
    }
}

/// The votes for class `k`, and the sum of the decision values for it less those against it.
fn tally(decisions: &[f64], classes: usize, k: usize) -> (u32, f64) {
    let (mut votes, mut sum) = (0, 0.0);
    for ((first, second), value) in pairs(classes).zip(decisions) {
        if first == k {
            votes += u32::from(*value < 0.0);
            sum -= value;
        } else if second == k {
            votes += u32::from(*value >= 0.0);
            sum += value;
        }
    }
    (votes, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_classes_on_a_line() {
        let x: Vec<[f64; 1]> = [0.0, 1.0, 4.0, 5.0, 9.0, 10.0].map(|v| [v]).to_vec();
        let x: Vec<&[f64]> = x.iter().map(|r| r.as_slice()).collect();
        let all: Vec<usize> = (0..6).collect();
        let products = Products::new(&x).unwrap();
        let gamma = products.gamma(&all);
        // The variance of the six numbers is 89.0 / 6.
        let mean = 29.0 / 6.0;
        let variance =
            [0.0, 1.0, 4.0, 5.0, 9.0, 10.0_f64].map(|v| (v - mean).powi(2)).iter().sum::<f64>()
                / 6.0;
        assert!((gamma - 1.0 / variance).abs() < 1e-12);
        for kernel in [Kernel::Linear, Kernel::Rbf { gamma }] {
            let gram = products.gram(kernel, &all);
            let machines = Machines::fit(&gram, &[0, 0, 1, 1, 2, 2], 3, 10.0).unwrap();
            let (mut decisions, mut scores) = ([0.0; 3], [0.0; 3]);
            for (i, want) in [0, 0, 1, 1, 2, 2].into_iter().enumerate() {
                machines.decide(&products.row(kernel, i, &all), &mut decisions);
                let votes = Votes::count(&decisions, &mut scores);
                assert_eq!(votes.decided, want, "{kernel:?}");
                assert!(votes.margin > 0.0 && scores[want] > 2.0);
            }
        }
    }

    #[test]
    fn a_margin_by_hand() {
        // Between -1 and 1 with a hard margin: the decision value is x itself.
        let products = Products::new(&[&[-1.0], &[1.0], &[0.25]]).unwrap();
        let gram = products.gram(Kernel::Linear, &[0, 1]);
        let machines = Machines::fit(&gram, &[0, 1], 2, 10.0).unwrap();
        let mut out = [0.0];
        machines.decide(&products.row(Kernel::Linear, 2, &[0, 1]), &mut out);
        assert!((out[0] - 0.25).abs() < 1e-12);
    }

    /// Labels that mean nothing, a large c, few features: nearly all examples are at the bound, and the
    /// matrix has a rank of three.
    #[test]
    fn a_hopeless_problem_is_solved_all_the_same() {
        let numbers = crate::math::testing::numbers(300 * 3, 9);
        let x: Vec<&[f64]> = numbers.chunks_exact(3).collect();
        let y: Vec<usize> = (0..300).map(|i| i % 2).collect();
        let all: Vec<usize> = (0..300).collect();
        let products = Products::new(&x).unwrap();
        for (c, scale) in [(1.0, 1.0), (100.0, 1.0), (1e-4, 1e3)] {
            let values = products.gram(Kernel::Linear, &all).values;
            let gram = Gram::new(300, values.iter().map(|v| v * scale * scale).collect()).unwrap();
            let start = std::time::Instant::now();
            let machines = Machines::fit(&gram, &y, 2, c).unwrap();
            println!("c {c}: gap {:.1e} after {:?}", machines.gap, start.elapsed());
            assert!(machines.gap < 1e-8, "c {c}: {}", machines.gap);
        }
    }

    #[test]
    fn bad_problems_are_errors() {
        assert!(Products::new(&[&[1.0], &[]]).is_err());
        assert!(Products::new(&[&[f64::NAN]]).is_err());
        assert!(Gram::new(2, vec![0.0; 3]).is_err());
        let gram = Gram::new(2, vec![1.0, 0.0, 0.0, 1.0]).unwrap();
        assert!(Machines::fit(&gram, &[0, 0], 2, 1.0).is_err());
        assert!(Machines::fit(&gram, &[0, 1], 2, 0.0).is_err());
        assert!(Machines::fit(&gram, &[0, 1], 2, 1.0).is_ok());
    }
}
