//! The background: many cortical sources with 1/f spectra, seen through the head.
//!
//! In: nothing but its generator. Out: adds one sample to each channel.
//!
//! Each source is a dipole of random place and direction. Its signal is a sum of leaky integrators
//! that share their white input w: `y_k[n] = a_k y_k[n-1] + sqrt(c_k) w[n]`, with the corners c_k
//! two octaves apart, `a_k = exp(-2 pi c_k / rate)`. Above a corner a term falls as 1/f; the sum of
//! terms of weight sqrt(c_k) falls as 1/sqrt(f), so that the power falls as 1/f.

use super::head::Head;
use super::random::{Use, generator, normal};
use crate::math::montage;
use rand::RngExt;
use rand_pcg::Pcg64;
use std::f64::consts::TAU;

const SOURCES: usize = 64;
const POLES: usize = 6;
const LOWEST_CORNER_HZ: f64 = 0.25;

/// The cortex, as the range of distances from the centre and the lowest height.
const DEPTH: std::ops::Range<f64> = 0.65..0.8;
const LOWEST: f64 = -0.35;

/// The background and its state.
pub struct Background {
    /// Sources x channels, volts per unit of a source.
    lead: Vec<f64>,
    /// Sources x poles.
    state: Vec<[f64; POLES]>,
    keep: [f64; POLES],
    input: [f64; POLES],
    rng: Pcg64,
}

impl Background {
    /// The background with `rms_v` volts RMS on average over the electrodes of the EEGMMIDB montage.
    pub fn new(seed: u64, head: &Head, electrodes: &[[f64; 3]], rate_hz: f64, rms_v: f64) -> Self {
        let reference: Vec<_> =
            montage::EEGMMIDB.iter().filter_map(|label| montage::position(label)).collect();
        let mut rng = generator(seed, Use::Places, 0);
        let mut lead = Vec::with_capacity(SOURCES * electrodes.len());
        let mut power = 0.0;
        for _ in 0..SOURCES {
            let place = random_place(&mut rng);
            let moment = std::array::from_fn(|_| normal(&mut rng));
            lead.extend(head.topography(place, moment, electrodes));
            let seen = head.topography(place, moment, &reference);
            power += seen.iter().map(|v| v * v).sum::<f64>() / reference.len() as f64;
        }
        for v in &mut lead {
            *v *= rms_v / power.sqrt();
        }

        let corners: [f64; POLES] = std::array::from_fn(|k| LOWEST_CORNER_HZ * 4f64.powi(k as i32));
        let keep = corners.map(|c| (-TAU * c / rate_hz).exp());
        // A corner above the Nyquist frequency would only add white noise.
        let mut input = corners.map(|c| if c < rate_hz / 2.0 { c.sqrt() } else { 0.0 });
        let mut variance = 0.0;
        for i in 0..POLES {
            for j in 0..POLES {
                variance += input[i] * input[j] / (1.0 - keep[i] * keep[j]);
            }
        }
        input = input.map(|v| v / variance.sqrt());

        let rng = generator(seed, Use::Background, 0);
        let mut background = Self { lead, state: vec![[0.0; POLES]; SOURCES], keep, input, rng };
        // Five time constants of the slowest pole, so that the first samples are like all others.
        let warm_up = (5.0 * rate_hz / (TAU * LOWEST_CORNER_HZ)) as usize;
        for _ in 0..warm_up {
            background.add_to(&mut []);
        }
        background
    }

    /// Advances by one sample and adds it to `row`.
    pub fn add_to(&mut self, row: &mut [f64]) {
        let channels = self.lead.len() / SOURCES;
        for (source, state) in self.state.iter_mut().enumerate() {
            let white = normal(&mut self.rng);
            let mut signal = 0.0;
            for (pole, y) in state.iter_mut().enumerate() {
                *y = self.keep[pole] * *y + self.input[pole] * white;
                signal += *y;
            }
            let lead = &self.lead[source * channels..(source + 1) * channels];
            for (out, gain) in row.iter_mut().zip(lead) {
                *out += gain * signal;
            }
        }
    }
}

/// A place in the cortex, uniform over the sphere above its lowest height.
fn random_place(rng: &mut Pcg64) -> [f64; 3] {
    let height = rng.random_range(LOWEST..1.0);
    let (sin, cos) = rng.random_range(0.0..TAU).sin_cos();
    let depth = rng.random_range(DEPTH);
    let across = (1.0 - height * height).sqrt();
    [depth * across * cos, depth * across * sin, depth * height]
}
