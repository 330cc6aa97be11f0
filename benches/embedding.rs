//! What it costs to choose order and lag of an epoch, and to try all orders at one lag.
//!
//! `cargo bench --bench embedding`. The epochs are band-passed noise, mixed over the channels: 4 s of 22
//! channels and 4.5 s of 3 channels at 250 Hz, as in BNCI 2014-001 and 2014-004.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, criterion_group, criterion_main};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use saltatory::math::augmented::{Crop, Orders, Shape};
use saltatory::math::covariance::{Covariance, Estimator};
use saltatory::math::embedding::{cao, information, mdop, quick};
use std::hint::black_box;

/// Noise with a rhythm of about 12 Hz, which the channels share in part.
fn epoch(samples: usize, channels: usize) -> Vec<f64> {
    let rng = &mut Pcg64::seed_from_u64(1);
    let mut normal = || -> f64 { StandardNormal.sample(rng) };
    let (mut now, mut past) = (vec![0.0; channels + 1], vec![0.0; channels + 1]);
    let mut data = Vec::new();
    for _ in 0..samples {
        for (x, before) in now.iter_mut().zip(&mut past) {
            (*x, *before) = (1.8 * *x - 0.9 * *before + normal(), *x);
        }
        data.extend(now[1..].iter().map(|x| x + 0.5 * now[0]));
    }
    data
}

fn choices(c: &mut Criterion) {
    for (samples, channels) in [(1000, 22), (1125, 3)] {
        let mut group = c.benchmark_group(format!("{channels} ch x {samples}"));
        let x = epoch(samples, channels);
        group.sample_size(10);
        group.bench_function("mdop", |b| b.iter(|| mdop::mdop(black_box(&x), channels).unwrap()));
        let first: Vec<f64> = x.iter().step_by(channels).copied().collect();
        group.bench_function("self information of a channel, 100 lags", |b| {
            b.iter(|| information::self_information(black_box(&first), 100).unwrap())
        });
        group.bench_function("cao, orders to 20", |b| {
            b.iter(|| cao::cao(&[black_box(&x)], channels, 20))
        });
        group.bench_function("quick", |b| {
            b.iter(|| quick::from_epochs(&[black_box(&x)], channels).unwrap())
        });
        group.finish();
    }
}

fn orders(c: &mut Criterion) {
    for (rows, cols) in [(1000, 22), (1125, 3)] {
        let mut group = c.benchmark_group(format!("orders 1 to 10 at lag 5, {cols} ch x {rows}"));
        let shape = Shape { rows, cols, lag: 5, most: 10 };
        let x = epoch(rows, cols);
        let mut out = vec![0.0; (10 * cols).pow(2)];
        let mut orders = Orders::new(Estimator::Cov, Crop::Compat, shape).unwrap();
        group.bench_function("shared products", |b| {
            b.iter(|| {
                orders.take(black_box(&x)).unwrap();
                for order in 1..=shape.most {
                    orders.estimate(order, &mut out[..(order * cols).pow(2)]).unwrap();
                }
            });
        });
        group.bench_function("one by one", |b| {
            b.iter(|| {
                for order in 1..=shape.most {
                    let n = rows - Crop::Compat.lost(order, shape.lag);
                    let row = |t: usize| &x[t * cols..][..cols];
                    let copies = |t: usize| (0..order).flat_map(move |p| row(t + p * shape.lag));
                    let window: Vec<f64> = (0..n).flat_map(copies).copied().collect();
                    let mut plain = Covariance::new(Estimator::Cov, n, order * cols);
                    plain.estimate(black_box(&window), &mut out[..(order * cols).pow(2)]);
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, choices, orders);
criterion_main!(benches);
