//! Sliding covariance beside that of whole windows: what one step costs.
//!
//! `hot` comes again and again; `cold` finds the caches filled with other things, as a step that comes
//! every 50 ms does. `cargo bench --bench sliding`; docs/benchmarks.md has the peers' figures.
#![allow(missing_docs)]

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, criterion_group, criterion_main};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use saltatory::math::covariance::{Covariance, Estimator};
use saltatory::math::sliding::{Shape, Sliding};
use std::hint::black_box;

/// What is walked over between two cold calls: 8 MB.
const FLUSH: usize = 1 << 20;

fn plain(rows: usize, cols: usize, step: usize) -> Shape {
    Shape { rows, cols, step, order: 1, lag: 1, unused: 0 }
}

fn augmented(rows: usize, cols: usize, step: usize) -> Shape {
    Shape { order: 4, lag: 8, ..plain(rows, cols, step) }
}

/// The shapes of the peers' figures, and a whole head of MEG.
fn shapes() -> [(&'static str, Shape); 5] {
    [
        ("64 ch x 2000, step 50", plain(2000, 64, 50)),
        ("306 ch x 5000, step 250", plain(5000, 306, 250)),
        ("64 ch x 2000, step 50, order 4 lag 8", augmented(2000, 64, 50)),
        ("22 ch x 500, step 25", plain(500, 22, 25)),
        ("22 ch x 500, step 25, order 4 lag 8", augmented(500, 22, 25)),
    ]
}

fn noise(len: usize) -> Vec<f64> {
    let rng = &mut Pcg64::seed_from_u64(1);
    (0..len).map(|_| StandardNormal.sample(rng)).collect()
}

/// Runs `work` hot and cold.
fn measure(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut work: impl FnMut()) {
    group.bench_function(format!("{name}/hot"), |b| b.iter(&mut work));
    let mut other = vec![0.0_f64; FLUSH];
    let mut flush = || other.iter_mut().step_by(8).for_each(|v| *v = black_box(*v) + 1.0);
    group.bench_function(format!("{name}/cold"), |b| {
        b.iter_batched(&mut flush, |()| work(), BatchSize::PerIteration);
    });
}

fn steps(c: &mut Criterion) {
    for (name, shape) in shapes() {
        let mut group = c.benchmark_group(name);
        let Shape { rows, cols, step, order, lag, .. } = shape;
        let size = order * cols;
        let mut out = vec![0.0; size * size];

        let stream = noise(2 * rows * cols);
        let mut blocks = stream.chunks_exact(step * cols).cycle();
        let mut sliding = Sliding::new(Estimator::Oas, shape);
        assert!(rows.is_multiple_of(step));
        while !sliding.is_ready() {
            assert!(sliding.push(blocks.next().unwrap_or_default()));
        }
        measure(&mut group, "step", || {
            assert!(sliding.push(blocks.next().unwrap_or_default()));
            sliding.estimate(&mut out);
        });

        let terms = rows - (order - 1) * lag;
        let mut whole = Covariance::new(Estimator::Oas, terms, size);
        let mut window = vec![0.0; terms * size];
        measure(&mut group, "whole", || {
            // The window is copied into a frame, and each sample to its copies.
            for (t, row) in window.chunks_exact_mut(size).enumerate() {
                for (k, to) in row.chunks_exact_mut(cols).enumerate() {
                    to.copy_from_slice(&stream[(t + k * lag) * cols..][..cols]);
                }
            }
            whole.estimate(&window, &mut out);
        });
        group.finish();
    }
}

criterion_group! { name = benches; config = Criterion::default().sample_size(50); targets = steps }
criterion_main!(benches);
