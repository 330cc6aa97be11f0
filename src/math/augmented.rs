//! Covariances of an augmented window, of all orders at one lag, from the same products.
//!
//! In: a window of T samples x C channels. Out: for each order d the covariance, d C x d C, of the
//! augmented window (`stages/feature/augmented.rs`), to rounding. A search over lags and orders is
//! then one [`Orders`] per lag, which takes each window once and is asked for every order.
//!
//! Block (i + k, i) of the products of order d is a sum over lag k alone, in which nothing but both
//! ends depends on i and d. So the window is cut once, at a sample m that all these ranges hold:
//!
//! ```text
//! S(i + k, i) = sum over s = i lag .. T - j lag - 1 of x(s + k lag) x(s)'        j = d - 1 - i + c
//!             = before(k, i) + after(k, j)
//! before(k, i) = before(k, i + 1) + the products of s = i lag .. (i + 1) lag - 1     before(k, m / lag) = 0
//! after(k, j)  = after(k, j + 1) + the products of s = T - (j + 1) lag .. T - j lag - 1
//! ```
//!
//! with c = 1 for `crop = "compat"` at orders above 1, otherwise 0. The means go the same way. Nothing is
//! taken out of a sum, and the samples are less the mean of the whole window beforehand, so that each
//! number is as precise as that of the plain way (1e-12 of the largest, tested). Orders whose
//! window is shorter than its own reach, (d - 1) lag, share no sample m, and go the plain way, as do
//! estimators that are not made of products.
//!
//! **Cost**, all orders up to D together: D C^2 T multiplications for the products, about D^3 C^2 / 3 numbers
//! to put together; the plain way takes D^3 C^2 T / 6.

use super::covariance::{Covariance, Estimator};
use super::shrinkage::Raw;
use super::sliding::product::{Part, product};
use crate::error::{Error, Result};
use faer::{Accum, MatMut};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Which edges of the window are cut off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Crop {
    /// Only what must be; the newest sample is used.
    #[default]
    Tight,
    /// As the authors' code does: the newest `lag` samples are not used, so decisions come later.
    Compat,
}

impl Crop {
    /// How many of the newest samples are not used.
    pub fn unused(self, order: usize, lag: usize) -> usize {
        if self == Self::Compat && order > 1 { lag } else { 0 }
    }

    /// By how many samples an augmented window is shorter.
    pub fn lost(self, order: usize, lag: usize) -> usize {
        (order - 1) * lag + self.unused(order, lag)
    }

    /// The largest order of which at least two samples are left of `rows`.
    pub fn most(self, rows: usize, lag: usize) -> usize {
        let Some(room) = rows.checked_sub(2) else { return 0 };
        let steps = room / lag.max(1);
        match self {
            Self::Tight => steps + 1,
            Self::Compat => steps.max(1),
        }
    }
}

/// The covariance of one augmented window: of `window`, samples x `cols` row by row, at one order and lag.
pub fn augmented_covariance(
    window: &[f64],
    cols: usize,
    (order, lag): (usize, usize),
    crop: Crop,
    estimator: Estimator,
) -> Result<Vec<f64>> {
    let shape = Shape { rows: window.len() / cols.max(1), cols, lag, most: order };
    let mut orders = Orders::new(estimator, crop, shape)?;
    orders.take(window)?;
    let mut out = vec![0.0; (order * cols).pow(2)];
    orders.estimate(order, &mut out)?;
    Ok(out)
}

/// Which windows there are, and which orders are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Samples in a window.
    pub rows: usize,
    /// Channels.
    pub cols: usize,
    /// From one copy to the next, in samples.
    pub lag: usize,
    /// The largest order.
    pub most: usize,
}

/// The covariances of augmented windows of all orders at one lag.
#[derive(Debug, Clone)]
pub struct Orders {
    estimator: Estimator,
    crop: Crop,
    shape: Shape,
    /// Up to which order products are shared.
    shared: usize,
    /// The newest window less its mean.
    centred: Vec<f64>,
    before: Sums,
    after: Sums,
    /// For each copy the mean of its samples.
    offsets: Vec<f64>,
}

impl Orders {
    /// For windows of one shape; refuses what leaves fewer than two samples of the largest order.
    pub fn new(estimator: Estimator, crop: Crop, shape: Shape) -> Result<Self> {
        let Shape { rows, cols, lag, most } = shape;
        if cols == 0 || lag == 0 || most == 0 {
            return Err(Error::config(format!(
                "{cols} channels, lag {lag} and order {most}, expected each to be 1 or more"
            )));
        }
        if crop.lost(most, lag) + 2 > rows {
            return Err(Error::config(format!(
                "order {most} and lag {lag} take {} of the {rows} samples of a window, expected two \
                 or more to be left: order {} is the largest",
                crop.lost(most, lag),
                crop.most(rows, lag)
            )));
        }
        let shares = |order: &usize| (order - 1) * lag + crop.lost(*order, lag) <= rows;
        let of_products =
            matches!(estimator, Estimator::Cov | Estimator::Scm | Estimator::Oas | Estimator::Lwf);
        let most_shared = if of_products { most } else { 0 };
        let shared = (1..=most_shared).take_while(shares).last().unwrap_or_default();
        Ok(Self {
            estimator,
            crop,
            shape,
            shared,
            centred: vec![0.0; rows * cols],
            before: Sums::new(cols, shared, shared),
            after: Sums::new(cols, shared, shared + 1),
            offsets: vec![0.0; most * cols],
        })
    }

    /// Takes in a window, samples x channels row by row.
    pub fn take(&mut self, window: &[f64]) -> Result<()> {
        if window.len() != self.centred.len() {
            return Err(Error::mismatch(format!(
                "a window has {} numbers, expected {} samples of {} channels",
                window.len(),
                self.shape.rows,
                self.shape.cols
            )));
        }
        self.centre(window);
        let Shape { rows, cols, lag, .. } = self.shape;
        let Some(first) = self.shared.checked_sub(1) else { return Ok(()) };
        // The earliest end of all ranges.
        let last = self.crop.lost(self.shared, lag) / lag;
        let (before, after, centred) = (&mut self.before, &mut self.after, &self.centred);
        for k in 0..self.shared {
            let pairs = |range: Range<usize>| {
                let rows = |shift: usize| {
                    &centred[(range.start + shift) * cols..(range.end + shift) * cols]
                };
                (rows(0), rows(k * lag))
            };
            before.clear(k, first);
            for i in (0..first).rev() {
                before.extend(k, i + 1, i, pairs(i * lag..(i + 1) * lag));
            }
            after.clear(k, last);
            after.extend(k, last, last, pairs(first * lag..rows - last * lag));
            for j in (k..last).rev() {
                after.extend(k, j + 1, j, pairs(rows - (j + 1) * lag..rows - j * lag));
            }
        }
        Ok(())
    }

    fn centre(&mut self, window: &[f64]) {
        let cols = self.shape.cols;
        let mut mean = vec![0.0; cols];
        for row in window.chunks_exact(cols) {
            mean.iter_mut().zip(row).for_each(|(m, x)| *m += x);
        }
        mean.iter_mut().for_each(|m| *m /= self.shape.rows as f64);
        for (to, row) in self.centred.chunks_exact_mut(cols).zip(window.chunks_exact(cols)) {
            to.iter_mut().zip(row).zip(&mean).for_each(|((to, x), m)| *to = x - m);
        }
    }

    /// Puts the covariance of the window last taken in, augmented to `order`, into `out`, which has
    /// (order C)^2 numbers.
    pub fn estimate(&mut self, order: usize, out: &mut [f64]) -> Result<()> {
        let size = order * self.shape.cols;
        if !(1..=self.shape.most).contains(&order) || out.len() != size * size {
            return Err(Error::config(format!(
                "order {order} with room for {} numbers, expected an order of 1 to {} with room \
                 for its covariance",
                out.len(),
                self.shape.most
            )));
        }
        match order <= self.shared {
            true => self.put_together(order, out),
            false => self.go_the_plain_way(order, out),
        }
        Ok(())
    }

    fn put_together(&mut self, order: usize, out: &mut [f64]) {
        let Shape { rows, cols, lag, .. } = self.shape;
        let (lost, size) = (self.crop.lost(order, lag), order * cols);
        let n = rows - lost;
        let share = 1.0 / n as f64;
        for i in 0..order {
            let j = lost / lag - i;
            for k in 0..order - i {
                let (before, after) = (self.before.product(k, i), self.after.product(k, j));
                for (q, column) in Part::of(k).columns(cols).enumerate() {
                    let first = (i * cols + q) * size + (i + k) * cols + column.start - q * cols;
                    let to = &mut out[first..first + column.len()];
                    let sums = before[column.clone()].iter().zip(&after[column]);
                    to.iter_mut().zip(sums).for_each(|(to, (a, b))| *to = a + b);
                }
            }
            let sums = self.before.sum(i).iter().zip(self.after.sum(j));
            let offsets = &mut self.offsets[i * cols..(i + 1) * cols];
            offsets.iter_mut().zip(sums).for_each(|(o, (a, b))| *o = share * (a + b));
        }
        let fourth = match self.estimator {
            Estimator::Lwf => self.fourth(order, n),
            _ => 0.0,
        };
        let (scale, offsets) = (share, &self.offsets[..size]);
        Raw { estimator: self.estimator, n, fourth, scale, offsets }.finish(out, size);
    }

    /// The sum of |z - mean|^4 over the samples z of the augmented window.
    fn fourth(&self, order: usize, n: usize) -> f64 {
        let Shape { cols, lag, .. } = self.shape;
        let square = |t: usize, i: usize| -> f64 {
            let row = &self.centred[(t + i * lag) * cols..][..cols];
            row.iter().zip(&self.offsets[i * cols..]).map(|(x, o)| (x - o) * (x - o)).sum()
        };
        (0..n).map(|t| (0..order).map(|i| square(t, i)).sum::<f64>().powi(2)).sum()
    }

    /// The covariance of the augmented window itself.
    fn go_the_plain_way(&self, order: usize, out: &mut [f64]) {
        let Shape { rows, cols, lag, .. } = self.shape;
        let n = rows - self.crop.lost(order, lag);
        let row = |t: usize| &self.centred[t * cols..][..cols];
        let window: Vec<f64> =
            (0..n).flat_map(|t| (0..order).flat_map(move |i| row(t + i * lag))).copied().collect();
        Covariance::new(self.estimator, n, order * cols).estimate(&window, out);
    }
}

/// Sums of products over ranges of samples, for lags 0, 1, .. and for each range.
#[derive(Debug, Clone)]
struct Sums {
    cols: usize,
    ranges: usize,
    /// Column by column; at lag 0, which is symmetric, the lower triangle.
    products: Vec<f64>,
    /// The sums of the samples themselves.
    sums: Vec<f64>,
}

impl Sums {
    fn new(cols: usize, lags: usize, ranges: usize) -> Self {
        let (products, sums) = (vec![0.0; lags * ranges * cols * cols], vec![0.0; ranges * cols]);
        Self { cols, ranges, products, sums }
    }

    fn place(&self, k: usize, range: usize) -> Range<usize> {
        let (size, at) = (self.cols * self.cols, k * self.ranges + range);
        at * size..(at + 1) * size
    }

    fn product(&self, k: usize, range: usize) -> &[f64] {
        &self.products[self.place(k, range)]
    }

    fn sum(&self, range: usize) -> &[f64] {
        &self.sums[range * self.cols..(range + 1) * self.cols]
    }

    /// Makes a range empty.
    fn clear(&mut self, k: usize, range: usize) {
        let place = self.place(k, range);
        self.products[place].fill(0.0);
        if k == 0 {
            self.sums[range * self.cols..(range + 1) * self.cols].fill(0.0);
        }
    }

    /// Makes the range `to` what the range `from` is, and some samples more: themselves, and k lags later.
    fn extend(&mut self, k: usize, from: usize, to: usize, (own, later): (&[f64], &[f64])) {
        let (cols, place) = (self.cols, self.place(k, to));
        let so_far = self.place(k, from);
        self.products.copy_within(so_far, place.start);
        if own.is_empty() {
            return;
        }
        let out = MatMut::from_column_major_slice_mut(&mut self.products[place], cols, cols);
        product(later, own, cols, Part::of(k), Accum::Add, out);
        if k == 0 {
            self.sums.copy_within(from * cols..(from + 1) * cols, to * cols);
            let sum = &mut self.sums[to * cols..(to + 1) * cols];
            for row in own.chunks_exact(cols) {
                sum.iter_mut().zip(row).for_each(|(s, x)| *s += x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{difference, numbers};
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    const ALL: [Estimator; 4] = [Estimator::Cov, Estimator::Scm, Estimator::Oas, Estimator::Lwf];

    /// The covariance of the augmented window, copied sample by sample.
    fn plain(window: &[f64], shape: Shape, order: usize, crop: Crop, est: Estimator) -> Vec<f64> {
        let Shape { rows, cols, lag, .. } = shape;
        let mut copies = Vec::new();
        let n = rows - crop.lost(order, lag);
        for t in 0..n {
            for p in 0..order {
                copies.extend_from_slice(&window[(t + p * lag) * cols..][..cols]);
            }
        }
        let mut out = vec![0.0; (order * cols).pow(2)];
        Covariance::new(est, n, order * cols).estimate(&copies, &mut out);
        out
    }

    /// Tolerance: both sum up some hundred products, in another order; 2e-14 was the most seen,
    /// offsets of a thousand times the signal included.
    #[test]
    fn agrees_with_the_plain_way_for_all_orders() {
        let rng = &mut Pcg64::seed_from_u64(4);
        let (mut worst, mut alone, mut shared) = (0.0_f64, 0, 0);
        for round in 0..120 {
            let crop = if rng.random_bool(0.5) { Crop::Tight } else { Crop::Compat };
            let (rows, lag) = (rng.random_range(12..260), rng.random_range(1..15));
            let most = crop.most(rows, lag).min(rng.random_range(1..11));
            let shape = Shape { rows, cols: rng.random_range(1..9), lag, most };
            let offset = if rng.random_bool(0.3) { 1e3 } else { 0.0 };
            let estimator = ALL[round % 4];
            let mut orders = Orders::new(estimator, crop, shape).unwrap();
            for repeat in 0..2 {
                let seed = (2 * round + repeat) as u64;
                let mut window = numbers(rows * shape.cols, seed);
                window.iter_mut().for_each(|x| *x += offset);
                orders.take(&window).unwrap();
                for order in 1..=most {
                    let mut got = vec![f64::NAN; (order * shape.cols).pow(2)];
                    orders.estimate(order, &mut got).unwrap();
                    let want = plain(&window, shape, order, crop, estimator);
                    let d = difference(&got, &want, f64::MIN_POSITIVE);
                    assert!(d <= 1e-12, "{shape:?} {crop:?} {estimator:?} order {order}: {d:.1e}");
                    worst = worst.max(d);
                    let shares = orders.shared;
                    orders.shared = 0;
                    orders.estimate(order, &mut got).unwrap();
                    assert!(difference(&got, &want, f64::MIN_POSITIVE) <= 1e-12, "the plain way");
                    orders.shared = shares;
                    if order <= orders.shared { shared += 1 } else { alone += 1 }
                }
            }
        }
        println!("worst {worst:.1e} of {shared} shared and {alone} alone");
        assert!(shared > 200 && alone > 20);
    }

    #[test]
    fn one_at_a_time() {
        let window = numbers(100 * 3, 9);
        let shape = Shape { rows: 100, cols: 3, lag: 4, most: 5 };
        for (crop, estimator) in [(Crop::Tight, Estimator::Oas), (Crop::Compat, Estimator::Cov)] {
            let got = augmented_covariance(&window, 3, (5, 4), crop, estimator).unwrap();
            let want = plain(&window, shape, 5, crop, estimator);
            assert!(difference(&got, &want, f64::MIN_POSITIVE) <= 1e-12);
        }
    }

    #[test]
    fn the_largest_order_that_fits() {
        for (crop, rows, lag, want) in [
            (Crop::Tight, 12, 5, 3),
            (Crop::Tight, 11, 5, 2),
            (Crop::Compat, 12, 5, 2),
            (Crop::Compat, 11, 5, 1),
            (Crop::Compat, 3, 5, 1),
            (Crop::Tight, 1, 5, 0),
        ] {
            assert_eq!(crop.most(rows, lag), want);
            let new = |most| Orders::new(Estimator::Cov, crop, Shape { rows, cols: 2, lag, most });
            assert!(want == 0 || new(want).is_ok());
            let text = new(want + 1).unwrap_err().to_string();
            assert!(text.contains("is the largest"), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let shape = Shape { rows: 20, cols: 2, lag: 3, most: 3 };
        for wrong in
            [Shape { cols: 0, ..shape }, Shape { lag: 0, ..shape }, Shape { most: 0, ..shape }]
        {
            assert!(Orders::new(Estimator::Cov, Crop::Tight, wrong).is_err());
        }
        let mut orders = Orders::new(Estimator::Cov, Crop::Tight, shape).unwrap();
        assert!(orders.take(&[0.0; 39]).is_err());
        orders.take(&[1.0; 40]).unwrap();
        assert!(orders.estimate(4, &mut [0.0; 64]).is_err());
        assert!(orders.estimate(0, &mut []).is_err());
        assert!(orders.estimate(2, &mut [0.0; 15]).is_err());
        let mut out = [1.0; 16];
        orders.estimate(2, &mut out).unwrap();
        assert_eq!(out, [0.0; 16]);
    }
}
