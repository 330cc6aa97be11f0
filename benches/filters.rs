//! Filters over many channels: instruction sets against each other, and cost per sample.
//!
//! `cargo bench --bench filters`. The shapes of `sosfilt` are those of the peers' benchmark
//! (`benches/rivals`), so the ratio to SciPy can be read off.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use saltatory::math::filter_design::{Band, butterworth, notch};
use saltatory::math::simd::Cpu;
use saltatory::math::sos::{Cascade, Section};
use std::time::Duration;

/// A band-pass of order 4, four sections, or with a notch behind it, five.
fn chain(sections: usize, rate_hz: f64) -> Vec<Section> {
    let mut chain = butterworth(4, Band::Pass(8.0, 30.0), rate_hz).unwrap();
    if sections == 5 {
        chain.push(notch(50.0, 30.0, rate_hz).unwrap());
    }
    chain
}

fn noise(rows: usize, channels: usize) -> Vec<f64> {
    let rng = &mut Pcg64::seed_from_u64(0);
    (0..rows * channels).map(|_| rng.random_range(-100.0..100.0)).collect()
}

/// Filters the same block again and again, as a stream would bring it.
fn bench(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    id: BenchmarkId,
    mut cascade: Cascade,
    [rows, channels]: [usize; 2],
) {
    let (block, mut data) = (noise(rows, channels), noise(rows, channels));
    group.throughput(Throughput::Elements((rows * channels) as u64));
    group.bench_function(id, |b| {
        b.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                data.copy_from_slice(&block);
                let start = std::time::Instant::now();
                cascade.process(&mut data);
                spent += start.elapsed();
            }
            spent
        });
    });
}

/// Every instruction set of this machine, from the widest to one number at a time.
fn sosfilt(c: &mut Criterion) {
    for (channels, rows, rate_hz) in [(64, 50, 1000.0), (306, 250, 5000.0), (1024, 600, 30_000.0)] {
        let mut group = c.benchmark_group(format!("sosfilt {channels} ch x {rows}"));
        for sections in [4, 5] {
            for cpu in Cpu::all() {
                let cascade = Cascade::on(cpu, chain(sections, rate_hz), channels);
                let id = BenchmarkId::new(format!("{sections} sections"), cpu);
                bench(&mut group, id, cascade, [rows, channels]);
            }
        }
    }
}

/// The cost of a sample of a channel does not depend on how many channels there are, nor on the rate,
/// which sets how many rows a block of 20 ms has.
fn linear(c: &mut Criterion) {
    let mut group = c.benchmark_group("linear in channels, 5 sections, 100 rows");
    for channels in [16, 32, 64, 128, 256, 512, 1024] {
        let cascade = Cascade::new(chain(5, 5000.0), channels);
        bench(&mut group, BenchmarkId::from_parameter(channels), cascade, [100, channels]);
    }
    drop(group);
    let mut group = c.benchmark_group("linear in the rate, 5 sections, 306 channels, 20 ms");
    for rows in [5, 20, 100, 600] {
        let rate_hz = rows as f64 * 50.0;
        let cascade = Cascade::new(chain(5, rate_hz), 306);
        bench(&mut group, BenchmarkId::from_parameter(rate_hz), cascade, [rows, 306]);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30);
    targets = sosfilt, linear
}
criterion_main!(benches);
