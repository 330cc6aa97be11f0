//! Number, means and products of a stretch of samples, with as many lags as wanted.
//!
//! For samples s of the stretch, their own mean m_0 and the mean m_k of the samples k lag later:
//!
//! ```text
//! P_k = sum over s of (x(s + k lag) - m_k) (x(s) - m_0)'        k = 0 .. order - 1
//! ```
//!
//! Two stretches a, b are joined without loss, whatever their means (Chan, Golub, LeVeque 1979):
//!
//! ```text
//! P_k = P_k,a + P_k,b + (n_a n_b / n) (m_k,b - m_k,a) (m_0,b - m_0,a)'
//! ```

use super::product::{Part, product};
use super::queue::Join;
use faer::{Accum, MatMut};

/// Number, means and products.
#[derive(Debug, Clone)]
pub struct Moments {
    cols: usize,
    n: f64,
    /// m_0, m_1, ...
    means: Vec<f64>,
    /// P_0, P_1, ..., column by column; of P_0, which is symmetric, the lower triangle.
    products: Vec<f64>,
}

impl Moments {
    /// Room for samples of `cols` channels with `order` lags, the lag zero included.
    pub fn new(cols: usize, order: usize) -> Self {
        Self {
            cols,
            n: 0.0,
            means: vec![0.0; order * cols],
            products: vec![0.0; order * cols * cols],
        }
    }

    /// The mean of the samples themselves.
    pub fn mean(&self) -> &[f64] {
        &self.means[..self.cols]
    }

    /// P_k.
    pub fn product_mut(&mut self, k: usize) -> &mut [f64] {
        let size = self.cols * self.cols;
        &mut self.products[k * size..(k + 1) * size]
    }

    /// Takes the moments of the first `n` rows of `centred`, which are samples less `mean`, their
    /// own mean, and are followed by what the lags reach for.
    pub fn take(&mut self, n: usize, lag: usize, mean: &[f64], centred: &[f64]) {
        let cols = self.cols;
        self.n = n as f64;
        let own = &centred[..n * cols];
        let means = self.means.chunks_exact_mut(cols);
        let products = self.products.chunks_exact_mut(cols * cols);
        for (k, (m, p)) in means.zip(products).enumerate() {
            let later = &centred[k * lag * cols..][..n * cols];
            m.copy_from_slice(mean);
            if k > 0 {
                add_mean(later, m);
            }
            // The rows' own mean is zero, so that it does not matter that those of `later` have
            // another one.
            let p = MatMut::from_column_major_slice_mut(p, cols, cols);
            product(later, own, cols, Part::of(k), Accum::Replace, p);
        }
    }
}

/// Adds the mean of `rows` to `to`.
fn add_mean(rows: &[f64], to: &mut [f64]) {
    let share = to.len() as f64 / rows.len() as f64;
    for row in rows.chunks_exact(to.len()) {
        to.iter_mut().zip(row).for_each(|(to, x)| *to += x * share);
    }
}

impl Join for Moments {
    fn join(&mut self, newer: &Self) {
        let (cols, n) = (self.cols, self.n + newer.n);
        let (weight, share) = (self.n * newer.n / n, self.n / n);
        self.means.iter_mut().zip(&newer.means).for_each(|(m, b)| *m = b - *m);
        let ours = self.products.chunks_exact_mut(cols * cols);
        let theirs = newer.products.chunks_exact(cols * cols);
        let own = &self.means[..cols];
        for (k, (p, b)) in ours.zip(theirs).enumerate() {
            let later = &self.means[k * cols..(k + 1) * cols];
            for (q, column) in Part::of(k).columns(cols).enumerate() {
                let factor = weight * own[q];
                let later = &later[cols - column.len()..];
                let (p, b) = (&mut p[column.clone()], &b[column]);
                for ((p, b), m) in p.iter_mut().zip(b).zip(later) {
                    *p = (*p + b) + factor * m;
                }
            }
        }
        // The means were their differences so far.
        self.means.iter_mut().zip(&newer.means).for_each(|(m, b)| *m = b - *m * share);
        self.n = n;
    }

    fn copy_from(&mut self, other: &Self) {
        self.n = other.n;
        self.means.copy_from_slice(&other.means);
        let size = self.cols * self.cols;
        let ours = self.products.chunks_exact_mut(size);
        for (k, (p, b)) in ours.zip(other.products.chunks_exact(size)).enumerate() {
            for column in Part::of(k).columns(self.cols) {
                p[column.clone()].copy_from_slice(&b[column]);
            }
        }
    }
}
