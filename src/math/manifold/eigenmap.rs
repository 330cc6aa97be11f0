//! Coordinates of the nodes of a graph: the Laplacian eigenmap.
//!
//! In: weights W, n x n, symmetric, 0 where there is no edge; the diagonal is the weight of a node to
//! itself. Out: the m smallest eigenvalues, but for that of the constant vector, and the eigenvectors, of
//!
//! ```text
//! (D - W) y = lambda D y,   D = diag(W 1),   y^T D y = 1
//! ```
//!
//! the entry of largest magnitude of each positive (the first of equals). They are D^-1/2 u for the eigenvectors u of the
//! symmetric 1 - D^-1/2 W D^-1/2. That of the constant vector, D^1/2 1, is known: it is moved to the
//! other end of the spectrum, so that it does not mix with others whose eigenvalue is 0, which a graph
//! in several parts has.
//!
//! With a diagonal of 0 this is `scipy.linalg.eigh(D - W, D)` and scikit-learn's `SpectralEmbedding`.
//! Reference: Belkin and Niyogi, Neural Comput. 15 (2003).

use crate::math::linalg::Symmetric;

/// A node whose degree is a smaller share of the largest hangs together with others by weights that
/// rounding hides; it is taken to have this one.
const LEAST_DEGREE: f64 = 1e-12;

/// Where the eigenvalue of the constant vector is moved; those of the others are between 0 and 2.
const BEYOND: f64 = 3.0;

/// Entries that differ by less are equals when a sign is chosen, so that rounding does not choose it.
const EQUAL: f64 = 1.0 - 1e-9;

/// Room for the eigenmaps of graphs of one size.
pub struct Eigenmap {
    dimensions: usize,
    degrees: Vec<f64>,
    /// D^-1/2.
    scales: Vec<f64>,
    matrix: Vec<f64>,
    work: Symmetric,
    coordinates: Vec<f64>,
}

impl Eigenmap {
    /// Room for graphs of `n` nodes, of which `dimensions` coordinates are wanted, 1 to n - 1. Allocates.
    pub fn new(n: usize, dimensions: usize) -> Self {
        Self {
            dimensions,
            degrees: vec![0.0; n],
            scales: vec![0.0; n],
            matrix: vec![0.0; n * n],
            work: Symmetric::new(n),
            coordinates: vec![0.0; n * dimensions],
        }
    }

    /// Finds the coordinates of a graph with these `weights`, finite and not negative. False where some
    /// node has hardly any weight: it is then put near 0, and so is every node if none has any.
    pub fn find(&mut self, weights: &[f64]) -> bool {
        let n = self.degrees.len();
        for (degree, row) in self.degrees.iter_mut().zip(weights.chunks_exact(n)) {
            *degree = row.iter().sum();
        }
        let least = LEAST_DEGREE * self.degrees.iter().fold(0.0_f64, |m, d| m.max(*d));
        self.coordinates.fill(0.0);
        if least < f64::MIN_POSITIVE || !least.is_finite() {
            return false;
        }
        for (scale, degree) in self.scales.iter_mut().zip(&self.degrees) {
            *scale = degree.max(least).sqrt().recip();
        }
        self.fill_matrix(weights);
        if self.work.eigen(&self.matrix).is_err() {
            return false;
        }
        self.write_coordinates();
        self.degrees.iter().all(|d| *d >= least)
    }

    /// The eigenvalues found last, ascending.
    pub fn values(&self) -> &[f64] {
        &self.work.values()[..self.dimensions]
    }

    /// The coordinates found last, node by node.
    pub fn coordinates(&self) -> &[f64] {
        &self.coordinates
    }

    /// The diagonal of D for the graph seen last.
    pub fn degrees(&self) -> &[f64] {
        &self.degrees
    }

    /// 1 - D^-1/2 W D^-1/2 + 3 v v^T, where v is the direction of D^1/2 1.
    fn fill_matrix(&mut self, weights: &[f64]) {
        let n = self.degrees.len();
        let beyond = BEYOND / self.degrees.iter().sum::<f64>();
        for i in 0..n {
            let (s, root) = (self.scales[i], self.degrees[i].sqrt());
            let row = &mut self.matrix[i * n..(i + 1) * n];
            for (j, (m, w)) in row.iter_mut().zip(&weights[i * n..]).enumerate() {
                *m = beyond * root * self.degrees[j].sqrt() - s * w * self.scales[j];
            }
            row[i] += 1.0;
        }
    }

    fn write_coordinates(&mut self) {
        let (n, m) = (self.degrees.len(), self.dimensions);
        for (k, vector) in self.work.vectors().chunks_exact(n).take(m).enumerate() {
            let of = |i: usize| vector[i] * self.scales[i];
            let most = (0..n).fold(0.0_f64, |m, i| m.max(of(i).abs()));
            let leads = |i: &usize| of(*i).abs() >= EQUAL * most;
            let sign = (0..n).find(leads).map_or(1.0, |i| of(i).signum());
            for i in 0..n {
                self.coordinates[i * m + k] = sign * of(i);
            }
        }
    }
}

/// Moves and scales each of `m` coordinates so that they reach from -1 to 1, as pyRiemann's
/// `SpectralEmbedding` does.
pub fn rescale(coordinates: &mut [f64], m: usize) {
    for k in 0..m {
        let values = || coordinates.iter().skip(k).step_by(m);
        let low = values().fold(f64::INFINITY, |a, b| a.min(*b));
        let high = values().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
        let factor = if high > low { 2.0 / (high - low) } else { 0.0 };
        for v in coordinates.iter_mut().skip(k).step_by(m) {
            *v = if factor > 0.0 { factor * (*v - low) - 1.0 } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    /// A path of n nodes has the eigenvalues 1 - cos(pi k / (n - 1)) and cosines for eigenvectors.
    #[test]
    fn a_path_is_a_cosine() {
        for n in [3, 8, 65] {
            let weight = |e: usize| f64::from(u8::from((e / n).abs_diff(e % n) == 1));
            let weights: Vec<f64> = (0..n * n).map(weight).collect();
            let mut map = Eigenmap::new(n, 2);
            assert!(map.find(&weights));
            for k in 0..2 {
                let angle = PI * (k + 1) as f64 / (n - 1) as f64;
                assert!((map.values()[k] - (1.0 - angle.cos())).abs() < 1e-14);
                let y: Vec<f64> = map.coordinates().iter().skip(k).step_by(2).copied().collect();
                let first = y[0];
                for (i, y) in y.iter().enumerate() {
                    assert!((y - first * (angle * i as f64).cos()).abs() < 1e-12, "{n} {k} {i}");
                }
                assert!(first > 0.0);
                let norm: f64 = y.iter().zip(map.degrees()).map(|(y, d)| d * y * y).sum();
                assert!((norm - 1.0).abs() < 1e-13, "{norm}");
            }
        }
    }

    #[test]
    fn parts_are_told_apart() {
        // Two pairs, and a node alone.
        let mut w = vec![0.0; 25];
        for (i, j) in [(0, 1), (2, 3)] {
            (w[i * 5 + j], w[j * 5 + i]) = (1.0, 1.0);
        }
        let mut map = Eigenmap::new(5, 1);
        assert!(!map.find(&w));
        let y = map.coordinates();
        assert!((y[0] - 0.5).abs() < 1e-12 && (y[1] - 0.5).abs() < 1e-12, "{y:?}");
        assert!((y[2] + 0.5).abs() < 1e-12 && (y[3] + 0.5).abs() < 1e-12 && y[4].abs() < 1e-9);
    }

    #[test]
    fn hardly_any_weight() {
        for weak in [0.0, f64::MIN_POSITIVE, 1e-100, 1e-13] {
            let mut w = vec![1.0; 16];
            for i in 0..3 {
                (w[i * 4 + 3], w[12 + i]) = (weak, weak);
            }
            w[15] = 0.0;
            let mut map = Eigenmap::new(4, 3);
            assert!(!map.find(&w), "{weak}");
            assert!(map.coordinates().iter().all(|y| y.abs() < 1e7), "{:?}", map.coordinates());
        }
        let mut map = Eigenmap::new(2, 1);
        assert!(!map.find(&[0.0; 4]) && map.coordinates() == [0.0; 2]);
    }

    #[test]
    fn rescaled_to_one() {
        let mut y = [1.0, 4.0, 3.0, 4.0, 2.0, 4.0];
        rescale(&mut y, 2);
        assert_eq!(y, [-1.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    }
}
