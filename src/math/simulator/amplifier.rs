//! What the electrodes and the amplifier add: power line, drift, noise.
//!
//! In: index of the sample. Out: adds one sample to each channel.
//!
//! Line: `gain(channel) sin(2 pi f n / rate)`, gains varying by about 20 %. Drift: a random walk per
//! channel that leaks, so that it stays in range: `d[n] = a d[n-1] + sqrt(1 - a^2) drift w[n]`,
//! `a = exp(-1 / (20 s rate))`, which has the RMS `drift`. Noise: white.

use super::Config;
use super::random::{Use, generator, normal};
use rand_pcg::Pcg64;
use std::f64::consts::TAU;

const DRIFT_S: f64 = 20.0;

/// Electrodes and amplifier, and their state.
pub struct Amplifier {
    /// Volts at the peak, one per channel.
    line: Vec<f64>,
    /// Periods of the line per sample.
    line_step: f64,
    drift: Vec<f64>,
    keep: f64,
    drift_input: f64,
    noise_v: f64,
    drift_rng: Pcg64,
    noise_rng: Pcg64,
}

impl Amplifier {
    pub fn new(config: &Config) -> Self {
        let channels = config.channels.len();
        let mut gain_rng = generator(config.seed, Use::LineGains, 0);
        let mut drift_rng = generator(config.seed, Use::Drift, 0);
        let line_v = if config.line_hz > 0.0 { config.line_v } else { 0.0 };
        let keep = (-1.0 / (DRIFT_S * config.rate_hz)).exp();
        Self {
            line: (0..channels)
                .map(|_| line_v * (0.2 * normal(&mut gain_rng)).clamp(-0.5, 0.5).exp())
                .collect(),
            line_step: config.line_hz / config.rate_hz,
            drift: (0..channels).map(|_| config.drift_v * normal(&mut drift_rng)).collect(),
            keep,
            drift_input: config.drift_v * (1.0 - keep * keep).sqrt(),
            noise_v: config.noise_v,
            drift_rng,
            noise_rng: generator(config.seed, Use::Noise, 0),
        }
    }

    /// Adds sample number `index` to `row`; samples are asked for in order.
    pub fn add_to(&mut self, row: &mut [f64], index: u64) {
        let line = (TAU * (index as f64 * self.line_step).fract()).sin();
        for ((out, gain), drift) in row.iter_mut().zip(&self.line).zip(&mut self.drift) {
            *drift = self.keep * *drift + self.drift_input * normal(&mut self.drift_rng);
            *out += gain * line + *drift + self.noise_v * normal(&mut self.noise_rng);
        }
    }
}
