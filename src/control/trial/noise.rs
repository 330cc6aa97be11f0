//! Made-up data: noise in the shape of any spec, at any pace, and stages that learned from it.

use crate::clock;
use crate::config::{Config, spec_of};
use crate::error::Result;
use crate::frame::graph::Layout;
use crate::frame::{Frame, Payload, Span, Spec};
use crate::ledger::Counters;
use crate::sources::{Read, Source};
use crate::stages::Examples;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Labelled frames that a stage learns from, per class.
const EXAMPLES: usize = 8;
/// How long a source rests that has nothing to send.
const NAP: Duration = Duration::from_millis(1);
/// How long a loop of noise is at most, in seconds and in numbers.
const LOOP_S: f64 = 1.0;
const LOOP_NUMBERS: usize = 1 << 21;
/// From one marker to the next, in seconds.
const CUE_EVERY_S: f64 = 0.25;

/// `count` frames of noise as `spec` says. Matrices are sample covariances of four times as many samples as
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
                Payload::Graph => graph(&mut frame.data, spec, &mut next),
                _ => frame.data.iter_mut().for_each(|v| *v = next()),
            }
            let rows = spec.rows.max(1) as u64;
            frame.span.first = k as u64 * rows;
            frame.span.last = frame.span.first + rows - 1;
            frame
        })
        .collect()
}

/// The covariance of noise as loud as it comes: what the peers' harness (`spd` in peerbench's
/// `common.py`) measures on.
fn covariance(out: &mut [f64], n: usize, next: &mut impl FnMut() -> f64) {
    let samples = 4 * n;
    let gains: Vec<f64> = (0..n).map(|_| (0.3 * next()).exp()).collect();
    let x: Vec<f64> = (0..samples).flat_map(|_| gains.clone()).map(|gain| gain * next()).collect();
    for r in 0..n {
        for c in 0..=r {
            let sum: f64 = x.chunks_exact(n).map(|row| row[r] * row[c]).sum();
            (out[r * n + c], out[c * n + r]) = (sum / samples as f64, sum / samples as f64);
        }
    }
}

/// A graph in which every third pair of nodes shares an edge.
fn graph(out: &mut [f64], spec: &Spec, next: &mut impl FnMut() -> f64) {
    let Some(layout) = Layout::of(spec) else { return };
    for i in 0..layout.nodes {
        out[layout.features(i)].iter_mut().for_each(|v| *v = next());
        for j in (0..i).filter(|j| (i + j) % 3 == 0 || i - j == 1) {
            let length = next().abs();
            for (i, j) in [(i, j), (j, i)] {
                out[layout.weight(i, j)] = (-length).exp();
                out[layout.length(i, j)] = length;
            }
        }
    }
}

/// Lets every stage of `config` that learns learn `classes` from noise, so that it can be run. Returns
/// what each stage sends then.
pub fn fit_on_noise(
    config: &mut Config,
    sources: &[Spec],
    classes: &[String],
) -> Result<Vec<Spec>> {
    let mut specs: Vec<Spec> = Vec::new();
    for i in 0..config.stages.len() {
        let input = spec_of(config.stages[i].from[0], sources, &specs).clone();
        if let Some(fitted) = config.stages[i].unit.fitted() {
            let x = frames(&input, EXAMPLES * classes.len(), 7 + i as u64);
            let y: Vec<usize> = (0..x.len()).map(|k| k % classes.len()).collect();
            fitted.fit(&Examples::new(&x, &y, classes))?;
        }
        specs.push(config.prepare_stage(i, sources, &specs)?);
    }
    Ok(specs)
}

/// When the made-up sources of a trial send: as fast as they are read, not at all, at the pace of a clock.
#[derive(Default)]
pub struct Pace {
    held: AtomicBool,
    /// Since when they keep the pace, seconds on the LSL clock, as bits; 0 while they do not.
    go_s: AtomicU64,
    /// Time of the newest sample that was sent, in seconds, as bits.
    stream_s: AtomicU64,
    /// Whether there are markers. The lane takes samples first, so these must leave it some time.
    with_cues: bool,
}

impl Pace {
    /// For sources that begin as fast as they are read, with or without markers among them.
    pub fn new(with_cues: bool) -> Self {
        Self { with_cues, ..Self::default() }
    }

    /// Nothing more is sent, until [`Pace::go`].
    pub fn hold(&self) {
        self.held.store(true, Ordering::Release);
    }

    /// Whether nothing, or nothing more as fast as can be, is sent.
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// From `now_s` on, which is now, samples come at the pace of a clock.
    pub fn go(&self, now_s: f64) {
        self.go_s.store(now_s.to_bits(), Ordering::Release);
    }

    /// Since when the pace is kept.
    fn went_s(&self) -> Option<f64> {
        let go_s = f64::from_bits(self.go_s.load(Ordering::Acquire));
        (go_s > 0.0).then_some(go_s)
    }

    /// Whether what arrived at `at_s` came at the pace of a clock.
    pub fn went_before(&self, at_s: f64) -> bool {
        self.went_s().is_some_and(|go_s| go_s <= at_s)
    }
}

/// A source that plays a second of noise, or less of many channels, over and over, in blocks as a device sends them. It begins as a
/// recording does, as fast as it is read, and goes on as a device.
pub struct Noise {
    spec: Spec,
    /// Samples in a block.
    rows: usize,
    loops: Vec<f64>,
    pace: Arc<Pace>,
    next: u64,
    start_s: f64,
    started: bool,
    /// The sample with which the pace of a clock began.
    paced_from: Option<u64>,
}

impl Noise {
    /// Noise as `spec` says, a block every `block_s` seconds.
    pub fn new(spec: &Spec, block_s: f64, pace: Arc<Pace>) -> Self {
        let rows = ((block_s * spec.rate_hz).round() as usize).clamp(1, spec.rows.max(1));
        let blocks = (LOOP_S * spec.rate_hz / rows as f64).ceil() as usize;
        let within = LOOP_NUMBERS / (rows * spec.cols.max(1));
        let length = blocks.min(within).max(1) * rows;
        let played = Spec { payload: Payload::Window, rows: length, ..spec.clone() };
        let loops = frames(&played, 1, 3).swap_remove(0).data;
        let (next, start_s) = (0, 0.0);
        let spec = spec.clone();
        Self { spec, rows, loops, pace, next, start_s, started: false, paced_from: None }
    }

    /// How long to wait until the sample `last` is due, in seconds; `None` while nothing is sent.
    fn wait_s(&mut self, last: u64) -> Option<f64> {
        match self.pace.went_s() {
            Some(go_s) => {
                let from = *self.paced_from.get_or_insert(self.next);
                let due_s = go_s + (last + 1 - from) as f64 / self.spec.rate_hz;
                Some(due_s - clock::now_s())
            }
            None => (!self.pace.is_held()).then_some(0.0),
        }
    }
}

impl Source for Noise {
    fn open(&mut self, _ledger: Arc<Counters>) -> Result<Spec> {
        Ok(self.spec.clone())
    }

    fn start(&mut self, at_s: f64) {
        (self.start_s, self.started) = (at_s, true);
    }

    fn read(&mut self, block: &mut Frame) -> Result<Read> {
        let last = self.next + self.rows as u64 - 1;
        let Some(wait_s) = self.wait_s(last) else {
            std::thread::sleep(NAP);
            return Ok(Read::Idle);
        };
        if wait_s > 0.0 {
            std::thread::sleep(Duration::from_secs_f64(wait_s.min(0.1)));
            if wait_s > 0.1 {
                return Ok(Read::Idle);
            }
        } else if self.pace.with_cues && self.pace.went_s().is_none() {
            std::thread::sleep(NAP);
        }
        let width = self.spec.cols;
        block.resize(self.rows, width);
        let from = self.next as usize * width % self.loops.len();
        block.data.copy_from_slice(&self.loops[from..from + self.rows * width]);
        let time_s = |index: u64| self.start_s + index as f64 / self.spec.rate_hz;
        let (first, arrived_s) = (self.next, block.span.arrived_s);
        block.span = Span { first, last, first_s: time_s(first), last_s: time_s(last), arrived_s };
        self.pace.stream_s.store(block.span.last_s.to_bits(), Ordering::Release);
        self.next = last + 1;
        Ok(Read::Filled)
    }

    /// While it sends as fast as it is read, it waits for room; the graph it feeds is a live one.
    fn offline(&self) -> bool {
        self.started && self.pace.went_s().is_none()
    }
}

/// A source of markers beside [`Noise`]: every now and then one of the texts that name a class.
pub struct Cues {
    texts: Vec<String>,
    pace: Arc<Pace>,
    sent: u64,
    last_s: f64,
}

impl Cues {
    /// Markers that say `texts` in turn.
    pub fn new(texts: Vec<String>, pace: Arc<Pace>) -> Self {
        Self { texts, pace, sent: 0, last_s: f64::NEG_INFINITY }
    }
}

impl Source for Cues {
    fn open(&mut self, _ledger: Arc<Counters>) -> Result<Spec> {
        Ok(Spec::markers())
    }

    fn read(&mut self, block: &mut Frame) -> Result<Read> {
        let time_s = f64::from_bits(self.pace.stream_s.load(Ordering::Acquire));
        let due = time_s > 0.0 && time_s - self.last_s >= CUE_EVERY_S;
        let (true, Some(text)) =
            (due, self.texts.get(self.sent as usize % self.texts.len().max(1)))
        else {
            std::thread::sleep(NAP);
            return Ok(Read::Idle);
        };
        block.text.clear();
        block.text.push_str(text);
        let index = self.sent;
        let arrived_s = block.span.arrived_s;
        block.span = Span { first: index, last: index, first_s: time_s, last_s: time_s, arrived_s };
        (self.sent, self.last_s) = (index + 1, time_s);
        Ok(Read::Filled)
    }
}
