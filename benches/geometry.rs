//! SPD geometry: tangent space and linear decoder, distances to class means, and the Riemannian mean,
//! each beside its plain version by eigendecompositions, and the bare decomposition that faer makes.
//!
//! `cargo bench --bench geometry`. The matrices are those of the peers' benchmark (`benches/rivals`):
//! covariances of n channels of white noise of different loudness, so the ratio to pyRiemann can be read off. Cold figures
//! are those of code and data that have left the cache, as between two windows of a live stream.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use saltatory::math::linalg::{Symmetric, outer, product};
use saltatory::math::logistic::{Logistic, softmax};
use saltatory::math::spd::{Spd, tangent_len};
use std::hint::black_box;
use std::time::Duration;

const CLASSES: usize = 4;
const SIZES: [usize; 4] = [22, 64, 88, 256];

/// Covariances of n channels over 4 n samples of white noise, each channel as loud as it likes.
fn matrices(count: usize, n: usize) -> Vec<Vec<f64>> {
    let rng = &mut Pcg64::seed_from_u64(n as u64);
    let mut covariance = || {
        let normal = |_| -> f64 { StandardNormal.sample(rng) };
        let mut x: Vec<f64> = (0..n + 4 * n * n).map(normal).collect();
        let gains: Vec<f64> = x.drain(..n).map(|g| (0.3 * g).exp()).collect();
        for row in x.chunks_exact_mut(n) {
            row.iter_mut().zip(&gains).for_each(|(x, g)| *x *= g);
        }
        let mut c = vec![0.0; n * n];
        for row in x.chunks_exact(n) {
            for (i, a) in row.iter().enumerate() {
                for (b, c) in row.iter().zip(&mut c[i * n..]) {
                    *c += a * b / (4 * n) as f64;
                }
            }
        }
        c
    };
    (0..count).map(|_| covariance()).collect()
}

fn slices(matrices: &[Vec<f64>]) -> Vec<&[f64]> {
    matrices.iter().map(Vec::as_slice).collect()
}

fn decoder(n: usize) -> Logistic {
    let rng = &mut Pcg64::seed_from_u64(1);
    let coef = (0..CLASSES * tangent_len(n)).map(|_| StandardNormal.sample(rng)).collect();
    Logistic { coef, intercept: vec![0.1; CLASSES] }
}

/// The plain versions: everything by eigenvectors.
struct Plain {
    work: Symmetric,
    product: Vec<f64>,
    white: Vec<f64>,
}

impl Plain {
    fn new(n: usize) -> Self {
        Self { work: Symmetric::new(n), product: vec![0.0; n * n], white: vec![0.0; n * n] }
    }

    /// log(W C W).
    fn log(&mut self, w: &[f64], c: &[f64]) -> &[f64] {
        let n = self.work.n();
        product(w, c, &mut self.product, n);
        outer(&self.product, w, &mut self.white, n);
        self.work.eigen(&self.white).unwrap();
        self.work.rebuild(f64::ln, &mut self.white);
        &self.white
    }

    fn tangent(&mut self, w: &[f64], c: &[f64], out: &mut [f64]) {
        let n = self.work.n();
        let log = self.log(w, c);
        let mut to = out.iter_mut();
        for i in 0..n {
            for j in i..n {
                let factor = if i == j { 1.0 } else { std::f64::consts::SQRT_2 };
                *to.next().unwrap() = factor * log[i * n + j];
            }
        }
    }

    fn distance(&mut self, w: &[f64], c: &[f64]) -> f64 {
        self.log(w, c);
        self.work.values().iter().map(|v| v.ln().powi(2)).sum::<f64>().sqrt()
    }

    /// The mean in the steps of pyRiemann.
    fn mean(&mut self, matrices: &[&[f64]]) -> Vec<f64> {
        let n = self.work.n();
        let share = 1.0 / matrices.len() as f64;
        let mut mean = vec![0.0; n * n];
        matrices.iter().for_each(|x| mean.iter_mut().zip(*x).for_each(|(m, x)| *m += share * x));
        let (mut root, mut inverse) = (mean.clone(), mean.clone());
        let (mut step, mut half) = (mean.clone(), mean.clone());
        let (mut nu, mut best) = (1.0, f64::MAX);
        for _ in 0..50 {
            self.work.eigen(&mean).unwrap();
            self.work.rebuild(f64::sqrt, &mut root);
            self.work.rebuild(|v| v.sqrt().recip(), &mut inverse);
            let mut gradient = vec![0.0; n * n];
            for x in matrices {
                let log = self.log(&inverse, x);
                gradient.iter_mut().zip(log).for_each(|(g, v)| *g += share * v);
            }
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            self.work.eigen(&gradient).unwrap();
            self.work.rebuild(|v| (nu * v).exp(), &mut step);
            product(&root, &step, &mut half, n);
            outer(&half, &root, &mut mean, n);
            nu *= if nu * norm < best { 0.95 } else { 0.5 };
            best = best.min(nu * norm);
            if norm <= 1e-8 {
                break;
            }
        }
        mean
    }
}

/// The tangent space and a linear decoder of four classes, with and without the vector between them,
/// against the bare eigendecomposition of the whitened matrix.
fn tangent(c: &mut Criterion) {
    let mut group = c.benchmark_group("tangent + logistic, 4 classes");
    for n in SIZES {
        let x = matrices(2, n);
        let (mut spd, mut plain, decoder) = (Spd::new(n), Plain::new(n), decoder(n));
        let whitener = spd.whitener(&x[0]).unwrap();
        let forms = spd.linear_forms(&x[0], &decoder.coef).unwrap();
        let mut root = vec![0.0; n * n];
        spd.inverse_sqrt(&x[0], &mut root).unwrap();
        let (mut vector, mut out) = (vec![0.0; tangent_len(n)], [0.0; CLASSES]);
        let white = plain.log(&root, &x[1]).to_vec();
        spd.exp(&white, &mut plain.white).unwrap();
        let white = plain.white.clone();
        group.bench_function(BenchmarkId::new("bare faer eigendecomposition", n), |b| {
            b.iter(|| plain.work.eigen(black_box(&white)).unwrap());
        });
        group.bench_function(BenchmarkId::new("plain", n), |b| {
            b.iter(|| {
                plain.tangent(&root, black_box(&x[1]), &mut vector);
                decoder.probabilities(&vector, &mut out);
            });
        });
        group.bench_function(BenchmarkId::new("apart", n), |b| {
            b.iter(|| {
                spd.tangent(&whitener, black_box(&x[1]), &mut vector).unwrap();
                decoder.probabilities(&vector, &mut out);
            });
        });
        group.bench_function(BenchmarkId::new("fused", n), |b| {
            let mut products = [0.0; CLASSES];
            b.iter(|| {
                spd.linear(&forms, black_box(&x[1]), &mut products).unwrap();
                decoder.probabilities_of_products(&products, &mut out);
            });
        });
        let mut lines = vec![0_u64; 4 << 20];
        group.bench_function(BenchmarkId::new("fused, cold", n), |b| {
            let mut products = [0.0; CLASSES];
            b.iter_batched(
                || lines.iter_mut().step_by(8).for_each(|v| *v = v.wrapping_add(1)),
                |()| {
                    spd.linear(&forms, black_box(&x[1]), &mut products).unwrap();
                    decoder.probabilities_of_products(&products, &mut out);
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn mdm(c: &mut Criterion) {
    let mut group = c.benchmark_group("distances to 4 class means");
    for n in SIZES {
        let x = matrices(CLASSES + 1, n);
        let (mut spd, mut plain) = (Spd::new(n), Plain::new(n));
        let whiteners: Vec<_> =
            x[..CLASSES].iter().map(|m| spd.lower_whitener(m).unwrap()).collect();
        let roots: Vec<Vec<f64>> = x[..CLASSES]
            .iter()
            .map(|m| {
                let mut root = vec![0.0; n * n];
                spd.inverse_sqrt(m, &mut root).unwrap();
                root
            })
            .collect();
        let mut out = [0.0; CLASSES];
        group.bench_function(BenchmarkId::new("plain", n), |b| {
            b.iter(|| {
                for (d, root) in out.iter_mut().zip(&roots) {
                    *d = -plain.distance(root, black_box(&x[CLASSES])).powi(2);
                }
                softmax(&mut out);
            });
        });
        group.bench_function(BenchmarkId::new("batched", n), |b| {
            b.iter(|| {
                spd.distances(black_box(&x[CLASSES]), &whiteners, &mut out).unwrap();
                out.iter_mut().for_each(|d| *d = -*d * *d);
                softmax(&mut out);
            });
        });
    }
    group.finish();
}

fn mean(c: &mut Criterion) {
    let mut group = c.benchmark_group("mean");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for (count, n) in [(100, 22), (100, 64), (100, 88), (20, 256)] {
        let x = matrices(count, n);
        let x = slices(&x);
        let (mut spd, mut plain) = (Spd::new(n), Plain::new(n));
        group.bench_function(BenchmarkId::new("plain", format!("{count} of {n}")), |b| {
            b.iter(|| plain.mean(&x));
        });
        group.bench_function(BenchmarkId::new("ours", format!("{count} of {n}")), |b| {
            b.iter(|| spd.mean(&x, None).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, tangent, mdm, mean);
criterion_main!(benches);
