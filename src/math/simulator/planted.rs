//! Signals with a planted structure: every so often an item, such as a picture, is shown, and sources answer
//! to it in a way that only the item decides.
//!
//! In: a [`World`]. Out: its channels, `x_c(t) = sum_k mixing_ck a_k(t) + sum_b noise_cb n_b(t) + s_c w_c(t)`:
//! n_b are noises of the first order (coefficient `ar`, variance 1), w_c white ones, and
//!
//! `a_k(t) = sum over trials A_ik exp(-((t - t0 - d - delay_k) / width_k)^2 / 2) cos(2 pi f_k (t - t0 - d - delay_k) + theta_k)`
//!
//! within 4 widths. Trials begin at t0 = `item_s`, 2 `item_s` and so on; the item i is drawn anew for each, evenly; d is
//! even within `jitter_s` around 0; theta_k is 0 where the source is locked to the item, else even over the circle.
//! docs/training/world.py simulates the same, with other random numbers.

use super::random::{Use, generator, normal};
use rand::RngExt;
use rand_pcg::Pcg64;
use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The answer of a source ends at so many widths.
const WIDTHS: f64 = 4.0;

/// What is planted. Matrices are row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// Samples per second.
    pub rate_hz: f64,
    /// From one item to the next, in seconds.
    pub item_s: f64,
    /// How much earlier or later sources may answer, in seconds.
    pub jitter_s: f64,
    /// The coefficient of the noises.
    pub ar: f64,
    /// How many items there are.
    pub items: usize,
    /// The sources.
    pub sources: Vec<Component>,
    /// How strongly each source answers to each item: items x sources.
    pub amplitude: Vec<f64>,
    /// How each channel sees the sources: channels x sources.
    pub mixing: Vec<f64>,
    /// How each channel sees the noises: channels x noises.
    pub noise: Vec<f64>,
    /// The white noise of each channel.
    pub sensor_noise: Vec<f64>,
}

/// A source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Component {
    /// Its frequency; 0 for a single wave.
    pub frequency_hz: f64,
    /// When it answers, after the item.
    pub delay_s: f64,
    /// For how long: the standard deviation of its envelope.
    pub width_s: f64,
    /// Whether its phase is the same each time.
    pub locked: bool,
}

/// One item as it is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown {
    /// Which item.
    pub item: usize,
    /// When, in seconds.
    pub time_s: f64,
}

struct Trial {
    item: usize,
    /// When it would be answered without a delay.
    from_s: f64,
    phases: Vec<f64>,
}

/// Simulates a world.
pub struct Planted {
    world: Arc<World>,
    seed: u64,
    stream: u64,
    items: RangeInclusive<usize>,
    /// The number of the sample that comes next.
    position: u64,
    /// The number of the trial that comes next, from 1.
    next_trial: u64,
    trials: VecDeque<Trial>,
    /// From when to when, after its item, anything answers.
    reach_s: (f64, f64),
    rng: Pcg64,
    noises: Vec<f64>,
    answers: Vec<f64>,
}

impl World {
    /// How many channels it has.
    pub fn channels(&self) -> usize {
        self.sensor_noise.len()
    }

    /// The item that is shown in trial `number`, counted from 1: the same in all worlds with as many items.
    pub fn shown(&self, seed: u64, items: &RangeInclusive<usize>, number: u64) -> Shown {
        let item = generator(seed, Use::Trials, number).random_range(items.clone());
        Shown { item, time_s: self.item_s * number as f64 }
    }
}

impl Planted {
    /// A session in which `items` are shown. Worlds that have something in common, such as EEG and MEG of the same
    /// session, have one `seed` and another `stream` each: items and jitter are the same, noises are not.
    pub fn new(world: Arc<World>, seed: u64, stream: u64, items: RangeInclusive<usize>) -> Self {
        let noises = world.noise.len() / world.channels().max(1);
        Self {
            reach_s: reach_s(&world),
            seed,
            stream,
            items,
            position: 0,
            next_trial: 1,
            trials: VecDeque::new(),
            rng: generator(seed, Use::Noise, stream),
            noises: vec![0.0; noises],
            answers: vec![0.0; world.sources.len()],
            world,
        }
    }

    /// The number of the sample that comes next.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Writes the next samples into `out`, row by row, as many as fit.
    pub fn next(&mut self, out: &mut [f64]) {
        for sample in out.chunks_exact_mut(self.world.channels().max(1)) {
            let time_s = self.position as f64 / self.world.rate_hz;
            self.position += 1;
            self.begin_and_end_trials(time_s);
            self.answer(time_s);
            self.stir();
            self.mix(sample);
        }
    }

    fn begin_and_end_trials(&mut self, time_s: f64) {
        let world = &self.world;
        let (first_s, last_s) = self.reach_s;
        while world.item_s * self.next_trial as f64 + first_s <= time_s {
            let (seed, number) = (self.seed, self.next_trial);
            self.next_trial += 1;
            let Shown { item, time_s } = world.shown(seed, &self.items, number);
            let jitter_s =
                generator(seed, Use::Places, number).random_range(-1.0..=1.0) * world.jitter_s;
            // Streams of one session have phases of their own.
            let rng = &mut generator(seed.wrapping_add(self.stream), Use::Rhythm, number);
            let phase = |c: &Component| if c.locked { 0.0 } else { rng.random_range(0.0..TAU) };
            let phases = world.sources.iter().map(phase).collect();
            self.trials.push_back(Trial { item, from_s: time_s + jitter_s, phases });
        }
        while self.trials.front().is_some_and(|trial| trial.from_s + last_s < time_s) {
            self.trials.pop_front();
        }
    }

    /// What the sources do at `time_s`.
    fn answer(&mut self, time_s: f64) {
        self.answers.fill(0.0);
        let count = self.world.sources.len();
        for trial in &self.trials {
            let amplitudes = &self.world.amplitude[trial.item * count..][..count];
            for (k, component) in self.world.sources.iter().enumerate() {
                let since_s = time_s - trial.from_s - component.delay_s;
                let widths = since_s / component.width_s;
                if widths.abs() <= WIDTHS {
                    let envelope = (-0.5 * widths * widths).exp();
                    let phase = TAU * component.frequency_hz * since_s + trial.phases[k];
                    self.answers[k] += amplitudes[k] * envelope * phase.cos();
                }
            }
        }
    }

    /// Moves the noises on.
    fn stir(&mut self) {
        let ar = self.world.ar;
        let fresh = (1.0 - ar * ar).max(0.0).sqrt();
        for noise in &mut self.noises {
            *noise = ar * *noise + fresh * normal(&mut self.rng);
        }
    }

    fn mix(&mut self, sample: &mut [f64]) {
        let world = &self.world;
        let (sources, noises) = (self.answers.len(), self.noises.len());
        let product =
            |row: &[f64], with: &[f64]| -> f64 { row.iter().zip(with).map(|(a, b)| a * b).sum() };
        for (c, value) in sample.iter_mut().enumerate() {
            *value = product(&world.mixing[c * sources..][..sources], &self.answers)
                + product(&world.noise[c * noises..][..noises], &self.noises)
                + world.sensor_noise[c] * normal(&mut self.rng);
        }
    }
}

/// From when to when, after an item, anything answers to it.
fn reach_s(world: &World) -> (f64, f64) {
    world.sources.iter().fold((0.0, 0.0), |(first, last), c| {
        let half = WIDTHS * c.width_s + world.jitter_s;
        (f64::min(first, c.delay_s - half), f64::max(last, c.delay_s + half))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        let component =
            |locked| Component { frequency_hz: 5.0, delay_s: 0.2, width_s: 0.05, locked };
        World {
            rate_hz: 100.0,
            item_s: 1.0,
            jitter_s: 0.0,
            ar: 0.9,
            items: 2,
            sources: vec![component(true), component(false)],
            amplitude: vec![1.0, 2.0, -3.0, 1.0],
            mixing: vec![1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
            noise: vec![0.0, 0.0, 1.0],
            sensor_noise: vec![0.0, 0.0, 0.0],
        }
    }

    fn run(world: World, stream: u64, rows: usize) -> Vec<f64> {
        let mut out = vec![0.0; rows * 3];
        Planted::new(Arc::new(world), 7, stream, 0..=1).next(&mut out);
        out
    }

    #[test]
    fn sources_answer_as_the_formula_says() {
        let (world, out) = (world(), run(world(), 0, 1100));
        for number in 1..=10 {
            let Shown { item, time_s } = world.shown(7, &(0..=1), number);
            assert_eq!(time_s, number as f64);
            let at = |since_s: f64| out[((time_s + since_s) * 100.0).round() as usize * 3];
            let amplitude = [1.0, -3.0][item];
            assert!((at(0.2) - amplitude).abs() < 1e-9);
            // Half a period later, two widths from the middle.
            assert!((at(0.3) + amplitude * (-2.0_f64).exp()).abs() < 1e-9);
            assert_eq!((at(0.0), at(0.41)), (at(0.0), 0.0));
        }
        // Both items are shown.
        let shown: Vec<usize> = (1..=10).map(|n| world.shown(7, &(0..=1), n).item).collect();
        assert!(shown.contains(&0) && shown.contains(&1));
    }

    #[test]
    fn noises_have_their_variance_and_streams_their_own() {
        let rows = 50_000;
        let (a, b) = (run(world(), 0, rows), run(world(), 1, rows));
        let column = |data: &[f64]| data.iter().skip(2).step_by(3).copied().collect::<Vec<_>>();
        let (a, b) = (column(&a), column(&b));
        let product =
            |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>() / rows as f64;
        // The standard error of each is about sqrt(2 / n (1 + ar^2) / (1 - ar^2)) = 0.02.
        assert!((product(&a, &a) - 1.0).abs() < 0.1);
        assert!((product(&a[1..], &a) - 0.9).abs() < 0.1);
        assert!(product(&a, &b).abs() < 0.1);
    }

    #[test]
    fn blocks_do_not_matter() {
        let whole = run(world(), 0, 500);
        let mut planted = Planted::new(Arc::new(world()), 7, 0, 0..=1);
        let mut parts = vec![0.0; 1500];
        parts.chunks_mut(3 * 7).for_each(|part| planted.next(part));
        assert_eq!(whole, parts);
    }
}
