//! Matrices that kernels are tried on.

use super::simd::Cpu;
use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// Around the widths of registers and tiles, and the sizes of decoders.
pub const SIZES: [usize; 14] = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 22, 33, 64, 88];

/// Numbers between -1 and 1.
pub fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let rng = &mut Pcg64::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// A symmetric matrix with these eigenvalues and random eigenvectors.
pub fn with_eigenvalues(values: &[f64], seed: u64) -> Vec<f64> {
    let n = values.len();
    let random = numbers(n * n, seed);
    let q = Mat::from_fn(n, n, |i, j| random[i * n + j]).qr().compute_Q();
    let entry = |i: usize, j: usize| (0..n).map(|k| q[(i, k)] * values[k] * q[(j, k)]).sum::<f64>();
    (0..n * n).map(|e| entry((e / n).max(e % n), (e / n).min(e % n))).collect()
}

/// Positive matrices of size `n`, ordinary and degenerate, with what they are and their condition.
pub fn positive(n: usize) -> Vec<(&'static str, f64, Vec<f64>)> {
    let spread = |condition: f64| -> Vec<f64> {
        (0..n).map(|i| condition.powf(-(i as f64) / (n.max(2) - 1) as f64)).collect()
    };
    let random = |values: &[f64]| with_eigenvalues(values, n as u64);
    let clusters = |i: usize| [1.0, 1.0 + 1e-12, 3.0, 0.01][i % 4];
    let diagonal = |of: &dyn Fn(usize) -> f64| {
        (0..n * n).map(|e| if e / n == e % n { of(e / n) } else { 0.0 }).collect()
    };
    vec![
        ("well", 5.0, random(&spread(5.0))),
        ("usual", 1e3, random(&spread(1e3))),
        ("ill", 1e6, random(&spread(1e6))),
        ("nearly singular", 1e10, random(&spread(1e10))),
        ("clusters", 300.0, random(&(0..n).map(clusters).collect::<Vec<_>>())),
        ("near one", 1.0, random(&(0..n).map(|i| 1.0 + 1e-9 * i as f64).collect::<Vec<_>>())),
        ("tiny", 1e3, random(&spread(1e3).iter().map(|v| 1e-20 * v).collect::<Vec<_>>())),
        ("huge", 1e3, random(&spread(1e3).iter().map(|v| 1e20 * v).collect::<Vec<_>>())),
        ("one", 1.0, diagonal(&|_| 1.0)),
        ("a multiple of one", 1.0, diagonal(&|_| 7.3)),
        ("diagonal", 100.0, diagonal(&|i| 1.0 + (99 * (i * 7 % n)) as f64 / n as f64)),
    ]
}

/// The largest difference relative to the largest number wanted, but at least to `least`.
pub fn difference(got: &[f64], want: &[f64], least: f64) -> f64 {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(least, |m, v| m.max(v.abs()));
    got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale
}

/// Tries `work` with every instruction set of this machine.
pub fn on_every_cpu(mut work: impl FnMut(Cpu)) {
    Cpu::all().for_each(|cpu| work(cpu));
}
