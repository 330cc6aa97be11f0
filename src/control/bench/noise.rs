//! Made-up data: noise in the shape of any spec, at any pace, and stages that learned from it.

use crate::clock;
use crate::config::{Config, spec_of};
use crate::error::Result;
use crate::frame::{Frame, Payload, Spec};
use crate::ledger::Counters;
use crate::sources::{Read, Source};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use std::sync::Arc;
use std::time::Duration;

/// Labelled frames that a stage learns from, per class.
const EXAMPLES: usize = 8;

/// `count` frames of noise as `spec` says. Matrices are sample covariances of twice as many samples as
/// they have rows, so that they are well conditioned and all different.
pub fn frames(spec: &Spec, count: usize, seed: u64) -> Vec<Frame> {
    let mut random = Pcg64::seed_from_u64(seed);
    let mut next = || -> f64 { StandardNormal.sample(&mut random) };
    (0..count)
        .map(|k| {
            let mut frame = spec.frame();
            frame.resize(spec.rows, spec.cols);
            match spec.payload {
                Payload::Matrix => covariance(&mut frame.data, spec.rows, &mut next),
                Payload::Scores => frame.data.fill(1.0 / spec.cols.max(1) as f64),
                _ => frame.data.iter_mut().for_each(|v| *v = next()),
            }
            let rows = spec.rows.max(1) as u64;
            frame.span.first = k as u64 * rows;
            frame.span.last = frame.span.first + rows - 1;
            frame
        })
        .collect()
}

fn covariance(out: &mut [f64], n: usize, next: &mut impl FnMut() -> f64) {
    let samples = 2 * n;
    let x: Vec<f64> = (0..samples * n).map(|_| next()).collect();
    for r in 0..n {
        for c in 0..=r {
            let sum: f64 = x.chunks_exact(n).map(|row| row[r] * row[c]).sum();
            (out[r * n + c], out[c * n + r]) = (sum / samples as f64, sum / samples as f64);
        }
    }
}

/// Lets every stage of `config` that learns learn `classes` from noise, so that it can be run.
pub fn fit_on_noise(config: &mut Config, sources: &[Spec], classes: &[String]) -> Result<()> {
    let mut specs: Vec<Spec> = Vec::new();
    for i in 0..config.stages.len() {
        let input = spec_of(config.stages[i].from[0], sources, &specs).clone();
        if let Some(fitted) = config.stages[i].unit.fitted() {
            let x = frames(&input, EXAMPLES * classes.len(), 7 + i as u64);
            let y: Vec<usize> = (0..x.len()).map(|k| k % classes.len()).collect();
            fitted.fit(&x, &y, classes)?;
        }
        specs.push(config.prepare_stage(i, sources, &specs)?);
    }
    Ok(())
}

/// A live source that plays a second of noise over and over, at the pace of a clock, in blocks as a
/// device sends them.
pub struct Noise {
    spec: Spec,
    /// Samples in a block.
    rows: usize,
    loops: Vec<f64>,
    next: u64,
    start_s: f64,
}

impl Noise {
    /// Noise as `spec` says, a block every `block_s` seconds.
    pub fn new(spec: &Spec, block_s: f64) -> Self {
        let rows = ((block_s * spec.rate_hz).round() as usize).clamp(1, spec.rows.max(1));
        let second = (spec.rate_hz.ceil() as usize).div_ceil(rows).max(1) * rows;
        let played = Spec { payload: Payload::Window, rows: second, ..spec.clone() };
        let loops = frames(&played, 1, 3).swap_remove(0).data;
        Self { spec: spec.clone(), rows, loops, next: 0, start_s: 0.0 }
    }
}

impl Source for Noise {
    fn open(&mut self, _ledger: Arc<Counters>) -> Result<Spec> {
        Ok(self.spec.clone())
    }

    fn start(&mut self, at_s: f64) {
        self.start_s = at_s;
    }

    fn read(&mut self, block: &mut Frame) -> Result<Read> {
        let last = self.next + self.rows as u64 - 1;
        let due_s = self.start_s + last as f64 / self.spec.rate_hz;
        let wait_s = due_s - clock::now_s();
        if wait_s > 0.0 {
            std::thread::sleep(Duration::from_secs_f64(wait_s.min(0.1)));
            if wait_s > 0.1 {
                return Ok(Read::Idle);
            }
        }
        let width = self.spec.cols;
        block.resize(self.rows, width);
        let from = self.next as usize * width % self.loops.len();
        block.data.copy_from_slice(&self.loops[from..from + self.rows * width]);
        (block.span.first, block.span.last) = (self.next, last);
        block.span.first_s = self.start_s + self.next as f64 / self.spec.rate_hz;
        block.span.last_s = due_s;
        self.next = last + 1;
        Ok(Read::Filled)
    }
}
