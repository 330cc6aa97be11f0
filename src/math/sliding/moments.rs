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
use crate::math::simd::{Cpu, Simd, Work};
use faer::{Accum, MatMut};
use std::ops::Range;

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
        let n = self.n + newer.n;
        let weight = self.n * newer.n / n;
        Cpu::best().run(JoinProducts { ours: self, newer, weight });
        let share = newer.n / n;
        self.means.iter_mut().zip(&newer.means).for_each(|(m, b)| *m += share * (b - *m));
        self.n = n;
    }

    fn unite(&mut self, parts: &[&Self]) {
        let Some(first) = parts.first() else { return };
        self.n = parts.iter().map(|part| part.n).sum();
        self.means.copy_from_slice(&first.means);
        for part in &parts[1..] {
            let share = part.n / self.n;
            let means = first.means.iter().zip(&part.means);
            self.means.iter_mut().zip(means).for_each(|(m, (a, b))| *m += share * (b - a));
        }
        Cpu::best().run(UniteProducts { ours: self, parts });
    }
}

/// Adds to our products those of what follows, before our means take it up.
struct JoinProducts<'a> {
    ours: &'a mut Moments,
    newer: &'a Moments,
    weight: f64,
}

impl Work for JoinProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { ours, newer, weight } = self;
        let Moments { cols, means, products, .. } = ours;
        for_columns(*cols, products.len(), |q, column, later| {
            let factor = weight * (newer.means[q] - means[q]);
            let (from, to) = (&newer.products[column.clone()], &mut products[column]);
            add(to, from, factor, &newer.means[later.clone()], &means[later]);
        });
    }
}

/// Makes our products those of all parts, when our means are those already.
struct UniteProducts<'a> {
    ours: &'a mut Moments,
    parts: &'a [&'a Moments],
}

impl Work for UniteProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Moments { cols, means, products, .. } = self.ours;
        // Column by column over all parts, so that what is summed up stays near.
        for_columns(*cols, products.len(), |q, column, later| {
            let to = &mut products[column.clone()];
            to.fill(0.0);
            for part in self.parts {
                let factor = part.n * (part.means[q] - means[q]);
                let from = &part.products[column.clone()];
                add(to, from, factor, &part.means[later.clone()], &means[later.clone()]);
            }
        });
    }
}

/// Calls `work` for each column of each product with the number of the channel, the place of the
/// column and that of the means of its rows.
#[inline(always)]
fn for_columns(cols: usize, size: usize, mut work: impl FnMut(usize, Range<usize>, Range<usize>)) {
    for k in 0..size / (cols * cols) {
        for (q, column) in Part::of(k).columns(cols).enumerate() {
            let start = k * cols * cols;
            let later = (k + 1) * cols - column.len()..(k + 1) * cols;
            work(q, start + column.start..start + column.end, later);
        }
    }
}

/// `to += from + factor (theirs - ours)`
#[inline(always)]
fn add(to: &mut [f64], from: &[f64], factor: f64, theirs: &[f64], ours: &[f64]) {
    for (((to, from), theirs), ours) in to.iter_mut().zip(from).zip(theirs).zip(ours) {
        *to += from + factor * (theirs - ours);
    }
}
