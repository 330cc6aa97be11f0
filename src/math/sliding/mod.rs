//! Covariance of a sliding window, plain or augmented, at a cost that follows the step.
//!
//! In: the newest samples, a step at a time. Out: what `Covariance::estimate` makes of the whole
//! window, or of the whole augmented window (`stages/feature/augmented.rs`), to rounding.
//!
//! Sample t of an augmented window is z(t) = (x(t), x(t + lag), ..), so block (i, i + k) of its
//! products is a sum over lag k alone, and the blocks of a diagonal differ at both ends only:
//!
//! ```text
//! S(i, i + k) = sum over s = i lag .. i lag + n - 1 of x(s + k lag) x(s)'
//!             = core(k)  +  s = i lag .. a - 1  +  s = b .. b + i lag - 1
//! ```
//!
//! where the core, `a .. b - 1`, is the longest row of whole steps that all blocks share. Its
//! products come from a `Queue` of the `Moments` of single steps; the ends are multiplied anew.
//! Plain covariance is the case of one block: no lags, and no ends where the step divides the
//! window.
//!
//! **Precision.** Nothing is taken out of a sum that was put into it before, so no error builds up,
//! however long the stream: each number is a sum over the products of its own window. Steps are
//! joined by means of their own, so that an offset which is large beside the signal costs as many digits
//! as it has more than the signal, which the samples themselves have lost already, and not twice as
//! many. What is not finite is gone with the last window that holds it. The result depends on the
//! samples since the last reset alone, to the last bit.
//!
//! **Cost** of a step of h samples, with C channels and d copies: multiplications d C^2 h for the step
//! and d C^2 (h + d lag) for the ends at most, or about; a dozen passes over d C^2 numbers; two over the
//! result, which is (d C)^2. Every step costs the same.

mod moments;
pub(super) mod product;
mod queue;
mod rows;

use super::covariance::Estimator;
use super::shrinkage::Raw;
use faer::{Accum, MatMut};
use moments::Moments;
use product::{Part, product};
use queue::Queue;
use rows::Rows;

/// Fewer steps in a window than this do not pay ...
const FEWEST_STEPS: usize = 4;
/// ... and so many that they take more memory than this are not worth it.
const MOST_BYTES: usize = 128 << 20;

/// Which windows there are, and what is made of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Samples in a window.
    pub rows: usize,
    /// Channels.
    pub cols: usize,
    /// From one window to the next, in samples; no more than `rows`.
    pub step: usize,
    /// How many copies of the channels stand beside each other; 1 for plain covariance.
    pub order: usize,
    /// From one copy to the next, in samples.
    pub lag: usize,
    /// How many of the newest samples of each window are not used.
    pub unused: usize,
}

impl Shape {
    /// From a sample to its latest copy.
    fn reach(&self) -> usize {
        (self.order - 1) * self.lag
    }

    /// Samples of the augmented window.
    fn terms(&self) -> usize {
        self.rows.saturating_sub(self.unused + self.reach())
    }

    /// Whole steps in the core.
    fn steps(&self) -> usize {
        self.terms().saturating_sub(self.reach()) / self.step.max(1)
    }

    /// Samples of the augmented window before the core.
    fn before(&self) -> usize {
        self.terms() - self.steps() * self.step
    }

    /// Whether there is anything besides the core.
    fn has_ends(&self) -> bool {
        self.before() > 0
    }

    /// Whether this is better than to start anew with every window.
    pub fn pays(&self) -> bool {
        let bytes = self.steps() * self.order * self.cols.pow(2) * 8;
        self.steps() >= FEWEST_STEPS && bytes <= MOST_BYTES
    }
}

/// The covariance of a sliding window.
#[derive(Debug, Clone)]
pub struct Sliding {
    estimator: Estimator,
    shape: Shape,
    core: Queue<Moments>,
    /// The newest samples, as far as the ends of the window need them.
    rows: Rows,
    /// Samples since the last reset.
    seen: usize,
    mean: Vec<f64>,
    /// Some samples less the mean.
    centred: Vec<f64>,
    sum: Moments,
    /// For each copy the mean of its samples, less `mean`.
    offsets: Vec<f64>,
}

impl Sliding {
    /// For windows of a shape that pays, and an estimator that needs products only
    /// ([`Estimator::needs_products_only`]).
    pub fn new(estimator: Estimator, shape: Shape) -> Self {
        let Shape { rows, cols, step, order, .. } = shape;
        let sum = Moments::new(cols, order);
        let ends = shape.before() + 2 * shape.reach();
        let kept = if shape.has_ends() { rows } else { 0 };
        Self {
            estimator,
            shape,
            core: Queue::new(shape.steps(), &sum),
            rows: Rows::new(kept, cols),
            seen: 0,
            mean: vec![0.0; cols],
            centred: vec![0.0; (step + shape.reach()).max(ends) * cols],
            sum,
            offsets: vec![0.0; order * cols],
        }
    }

    /// Forgets all samples.
    pub fn reset(&mut self) {
        self.core.clear();
        self.rows.clear();
        self.seen = 0;
    }

    /// Adds the newest samples: a whole step of them, or, first after a reset, what windows are
    /// longer than a number of steps. Anything else is refused.
    #[must_use]
    pub fn push(&mut self, rows: &[f64]) -> bool {
        let Shape { rows: length, cols, step, .. } = self.shape;
        let (count, first) = (rows.len() / cols, self.seen == 0);
        let fits = count == step || (first && count == length % step);
        if !rows.len().is_multiple_of(cols) || !fits {
            return false;
        }
        self.seen += count;
        if self.shape.has_ends() {
            self.rows.push(rows);
        }
        if count == step {
            self.add_step(rows);
        }
        true
    }

    /// Adds the newest step whose later copies have all come. `rows` is the newest of all.
    fn add_step(&mut self, rows: &[f64]) {
        let Shape { cols, step, lag, unused, .. } = self.shape;
        let reach = self.shape.reach();
        let Some(first) = self.seen.checked_sub(unused + reach + step) else { return };
        if self.shape.has_ends() {
            find_mean(self.rows.get(first, step), &mut self.mean);
            centre(self.rows.get(first, step + reach), &self.mean, &mut self.centred);
        } else {
            find_mean(rows.chunks_exact(cols), &mut self.mean);
            centre(rows.chunks_exact(cols), &self.mean, &mut self.centred);
        }
        let (mean, centred) = (&self.mean, &self.centred);
        self.core.push(|leaf| leaf.take(step, lag, mean, centred));
    }

    /// The covariance is `size` x `size`.
    pub fn size(&self) -> usize {
        self.shape.order * self.shape.cols
    }

    /// Whether there is a whole window.
    pub fn is_ready(&self) -> bool {
        self.seen >= self.shape.rows && self.core.is_full()
    }

    /// Puts the covariance of the newest window into `out`. There must be a whole window.
    pub fn estimate(&mut self, out: &mut [f64]) {
        let (terms, size) = (self.shape.terms(), self.size());
        debug_assert_eq!(out.len(), size * size);
        self.core.read(&mut self.sum);
        if self.shape.has_ends() {
            self.centre_ends();
        }
        for k in 0..self.shape.order {
            self.fill_diagonal(k, out);
        }
        // What is subtracted for the offsets is at most terms / core times what remains, as the core
        // alone, whose mean is the zero of all this, spreads so much about the mean of the window.
        let offsets = if self.shape.has_ends() { &self.offsets[..] } else { &[] };
        let scale = 1.0 / terms as f64;
        Raw { estimator: self.estimator, n: terms, fourth: 0.0, scale, offsets }.finish(out, size);
    }

    /// Centres the samples before and behind the core on its mean, and finds the mean of each copy.
    fn centre_ends(&mut self) {
        let Shape { rows, cols, lag, unused, .. } = self.shape;
        let (before, reach) = (self.shape.before(), self.shape.reach());
        let mean = self.sum.mean();
        let (old, new) = self.centred.split_at_mut((before + reach) * cols);
        centre(self.rows.get(self.seen - rows, before + reach), mean, old);
        centre(self.rows.get(self.seen - unused - reach, reach), mean, new);
        let share = 1.0 / self.shape.terms() as f64;
        for (i, offset) in self.offsets.chunks_exact_mut(cols).enumerate() {
            offset.fill(0.0);
            let (old, new) = (&old[i * lag * cols..before * cols], &new[..i * lag * cols]);
            for row in old.chunks_exact(cols).chain(new.chunks_exact(cols)) {
                offset.iter_mut().zip(row).for_each(|(o, x)| *o += share * x);
            }
        }
    }

    /// Puts the blocks (i + k, i) of the products into `out`, the last one first: each has all of
    /// the old end that the next one has, and `lag` samples more.
    fn fill_diagonal(&mut self, k: usize, out: &mut [f64]) {
        let Shape { cols, order, lag, .. } = self.shape;
        let (before, reach) = (self.shape.before(), self.shape.reach());
        let (old, new) = self.centred.split_at((before + reach) * cols);
        let (part, size) = (Part::of(k), order * cols);
        let add = |end: &[f64], from: usize, to: usize, out: MatMut<'_, f64>| {
            let rows = |shift: usize| &end[(from + shift) * cols..(to + shift) * cols];
            if from < to {
                product(rows(k * lag), rows(0), cols, part, Accum::Add, out);
            }
        };
        let sum = self.sum.product_mut(k);
        let mut old_until = before;
        for i in (0..order - k).rev() {
            let so_far = MatMut::from_column_major_slice_mut(&mut *sum, cols, cols);
            add(old, i * lag, old_until, so_far);
            old_until = i * lag;
            let first = i * cols * size + (i + k) * cols;
            for (q, column) in part.columns(cols).enumerate() {
                let from = first + q * size + column.start - q * cols;
                out[from..from + column.len()].copy_from_slice(&sum[column]);
            }
            let block = MatMut::from_column_major_slice_mut(&mut *out, size, size).submatrix_mut(
                (i + k) * cols,
                i * cols,
                cols,
                cols,
            );
            add(new, 0, i * lag, block);
        }
    }
}

fn find_mean<'a>(rows: impl Iterator<Item = &'a [f64]>, mean: &mut [f64]) {
    mean.fill(0.0);
    let mut count = 0.0;
    for row in rows {
        mean.iter_mut().zip(row).for_each(|(m, x)| *m += x);
        count += 1.0;
    }
    mean.iter_mut().for_each(|m| *m /= count);
}

fn centre<'a>(rows: impl Iterator<Item = &'a [f64]>, mean: &[f64], out: &mut [f64]) {
    for (row, to) in rows.zip(out.chunks_exact_mut(mean.len())) {
        to.iter_mut().zip(row).zip(mean).for_each(|((to, x), m)| *to = x - m);
    }
}

#[cfg(test)]
mod tests {
    use super::super::covariance::Covariance;
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_distr::{Distribution, StandardNormal};
    use rand_pcg::Pcg64;

    const ALL: [Estimator; 3] = [Estimator::Scm, Estimator::Cov, Estimator::Oas];

    /// Noise that is correlated over channels and over time, `count` samples x `cols`.
    fn noise(seed: u64, count: usize, cols: usize) -> Vec<f64> {
        let rng = &mut Pcg64::seed_from_u64(seed);
        let mut row = vec![0.0; cols];
        let mut data = Vec::new();
        for _ in 0..count {
            let common: f64 = StandardNormal.sample(rng);
            for x in &mut row {
                let own: f64 = StandardNormal.sample(rng);
                *x = 0.8 * *x + own + 0.5 * common;
            }
            data.extend_from_slice(&row);
        }
        data
    }

    /// The plain version: the covariance of the augmented window that ends before sample `end`.
    fn whole(estimator: Estimator, shape: Shape, stream: &[f64], end: usize) -> Vec<f64> {
        let Shape { rows, cols, order, lag, .. } = shape;
        let (terms, size) = (shape.terms(), order * cols);
        let sample = |t: usize| &stream[(end - rows + t) * cols..][..cols];
        let window: Vec<f64> = (0..terms)
            .flat_map(|t| (0..order).flat_map(move |k| sample(t + k * lag)))
            .copied()
            .collect();
        let mut out = vec![0.0; size * size];
        Covariance::new(estimator, terms, size).estimate(&window, &mut out);
        out
    }

    /// Feeds `stream` step by step and hands each window's end and covariance to `look`.
    fn slide(sliding: &mut Sliding, stream: &[f64], mut look: impl FnMut(usize, &[f64])) {
        let Shape { rows, cols, step, order, .. } = sliding.shape;
        let mut out = vec![f64::NAN; (order * cols).pow(2)];
        let (first, steps) = stream.split_at(rows % step * cols);
        let mut end = rows % step;
        if !first.is_empty() {
            assert!(sliding.push(first));
        }
        for step in steps.chunks_exact(step * cols) {
            assert!(sliding.push(step));
            end += step.len() / cols;
            assert_eq!(sliding.is_ready(), end >= rows);
            if sliding.is_ready() {
                sliding.estimate(&mut out);
                look(end, &out);
            }
        }
    }

    /// The largest difference, relative to the largest number.
    fn difference(got: &[f64], want: &[f64]) -> f64 {
        let scale = want.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let worst = got.iter().zip(want).fold(0.0_f64, |m, (a, b)| {
            let d = (a - b).abs();
            if d.is_nan() { f64::INFINITY } else { m.max(d) }
        });
        if worst == 0.0 { 0.0 } else { worst / scale }
    }

    fn random_shape(rng: &mut Pcg64) -> Shape {
        loop {
            let order = if rng.random_bool(0.3) { 1 } else { rng.random_range(2..7) };
            let lag = rng.random_range(1..12);
            let shape = Shape {
                rows: rng.random_range(8..300),
                cols: rng.random_range(1..20),
                step: rng.random_range(1..40),
                order,
                lag,
                unused: if order > 1 && rng.random_bool(0.3) { lag } else { 0 },
            };
            if shape.pays() {
                return shape;
            }
        }
    }

    /// Tolerance: both sum some hundred products, in another order; 4e-15 was the most seen.
    #[test]
    fn agrees_with_the_whole_window_for_any_shape() {
        let rng = &mut Pcg64::seed_from_u64(1);
        for round in 0..300 {
            let shape = random_shape(rng);
            let count = shape.rows + 3 * shape.rows / 2 + 3 * shape.step;
            let stream = noise(round, count, shape.cols);
            let estimator = ALL[round as usize % 3];
            let mut sliding = Sliding::new(estimator, shape);
            for _ in 0..2 {
                slide(&mut sliding, &stream, |end, got| {
                    let want = whole(estimator, shape, &stream, end);
                    let d = difference(got, &want);
                    assert!(d < 1e-13, "{shape:?} {estimator:?} at {end}: {d:e}");
                });
                sliding.reset();
            }
        }
    }

    const PLAIN: Shape = Shape { rows: 40, cols: 5, step: 4, order: 1, lag: 1, unused: 0 };
    const AUGMENTED: Shape = Shape { rows: 60, order: 3, lag: 4, unused: 4, ..PLAIN };

    #[test]
    fn a_long_run_does_not_drift() {
        for (shape, steps) in [(PLAIN, 100_000), (AUGMENTED, 20_000)] {
            let mut sliding = Sliding::new(Estimator::Scm, shape);
            let once = noise(5, 8 * shape.step * 25, shape.cols);
            let mut out = vec![0.0; (shape.order * shape.cols).pow(2)];
            let blocks = once.chunks_exact(shape.step * shape.cols).cycle().take(steps);
            blocks.for_each(|block| assert!(sliding.push(block)));
            sliding.estimate(&mut out);
            let end = once.len() / shape.cols;
            let d = difference(&out, &whole(Estimator::Scm, shape, &once, end));
            assert!(d < 1e-14, "after {steps} steps: {d:e}");
        }
    }

    /// A raw signal: offsets of up to 2e5 that jump by 1e4, under noise of 1. The reference gets it
    /// without the offset, whose removal is exact. Tolerance: a mean near 2e5 is rounded by 3e-11; squaring
    /// the offset would have cost 1e-5.
    #[test]
    fn a_large_offset_costs_few_digits() {
        for shape in [PLAIN, AUGMENTED] {
            let offset = |i: usize| 1e5 * ((i % shape.cols) as f64 - 2.0);
            let mut stream = noise(6, 600, shape.cols);
            for (i, x) in stream.iter_mut().enumerate() {
                *x += offset(i) + 1e4 * (i / shape.cols / 200) as f64;
            }
            let without: Vec<f64> = stream.iter().enumerate().map(|(i, x)| x - offset(i)).collect();
            for estimator in ALL {
                slide(&mut Sliding::new(estimator, shape), &stream, |end, got| {
                    let d = difference(got, &whole(estimator, shape, &without, end));
                    assert!(d < 1e-10, "{shape:?} at {end}: {d:e}");
                });
            }
        }
    }

    #[test]
    fn what_is_not_finite_leaves_with_its_window() {
        for shape in [PLAIN, AUGMENTED] {
            for (at, bad) in [(100, f64::NAN), (101, f64::INFINITY), (203, 1e200)] {
                let mut stream = noise(7, 500, shape.cols);
                stream[at * shape.cols + 2] = bad;
                let mut lost = 0;
                for estimator in ALL {
                    slide(&mut Sliding::new(estimator, shape), &stream, |end, got| {
                        let used = end - shape.rows..end - shape.unused;
                        let finite = got.iter().all(|v| v.is_finite());
                        assert_eq!(finite, !used.contains(&at), "{bad} in {shape:?} at {end}");
                        if finite {
                            let d = difference(got, &whole(estimator, shape, &stream, end));
                            assert!(d < 1e-12, "{shape:?} at {end}: {d:e}");
                        }
                        lost += usize::from(!finite);
                    });
                }
                assert!(lost > 10);
            }
        }
    }

    /// Channels that are constant, equal to another, or nothing.
    #[test]
    fn degenerate_channels() {
        for shape in [PLAIN, AUGMENTED] {
            let mut stream = noise(8, 400, shape.cols);
            for row in stream.chunks_exact_mut(shape.cols) {
                row[1] = 0.1;
                row[3] = row[2];
                row[4] = 0.0;
            }
            for estimator in ALL {
                slide(&mut Sliding::new(estimator, shape), &stream, |end, got| {
                    let d = difference(got, &whole(estimator, shape, &stream, end));
                    assert!(d < 1e-12, "{shape:?} at {end}: {d:e}");
                    let size = shape.order * shape.cols;
                    if estimator == Estimator::Scm {
                        assert_eq!(got[2 * size..][..size], got[3 * size..][..size]);
                        assert!(got[4 * size..][..size].iter().all(|v| *v == 0.0));
                    }
                });
            }
            let flat = vec![0.3; 400 * shape.cols];
            slide(&mut Sliding::new(Estimator::Oas, shape), &flat, |_, got| {
                assert!(got.iter().all(|v| v.abs() < 1e-30), "{got:?}");
            });
        }
    }

    #[test]
    fn a_reset_is_a_new_start() {
        for shape in [PLAIN, AUGMENTED] {
            let stream = noise(9, 400, shape.cols);
            let bits = |sliding: &mut Sliding| {
                let mut all = Vec::new();
                slide(sliding, &stream, |_, got| all.extend(got.iter().map(|v| v.to_bits())));
                all
            };
            let mut sliding = Sliding::new(Estimator::Oas, shape);
            let want = bits(&mut sliding);
            sliding.reset();
            assert!(!sliding.is_ready());
            assert_eq!(bits(&mut sliding), want);
        }
    }

    /// A reader that is reset by itself sees whole steps only, even at first.
    #[test]
    fn the_first_samples_may_be_a_whole_step() {
        let shape = Shape { rows: 43, ..PLAIN };
        let stream = noise(10, 400, shape.cols);
        let mut sliding = Sliding::new(Estimator::Oas, shape);
        let mut out = vec![0.0; shape.cols.pow(2)];
        for (i, step) in stream.chunks_exact(shape.step * shape.cols).enumerate() {
            assert!(sliding.push(step));
            let end = (i + 1) * shape.step;
            assert_eq!(sliding.is_ready(), end >= shape.rows);
            if sliding.is_ready() {
                sliding.estimate(&mut out);
                let d = difference(&out, &whole(Estimator::Oas, shape, &stream, end));
                assert!(d < 1e-12, "at {end}: {d:e}");
            }
        }
    }
}
