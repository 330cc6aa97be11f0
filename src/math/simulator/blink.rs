//! Eye blinks.
//!
//! In: nothing but its generator. Out: adds one sample to each channel.
//!
//! A blink is a wave `sin(pi u^0.6)^2`, 0 <= u < 1 over about 0.3 s: a steep rise, a slower fall.
//! Each eye is a dipole that points up and a little forward in an unbounded medium, with the
//! potential `p . d / |d|^3` at distance vector d. Blinks come at random: after the end of one,
//! the wait for the next is exponential. Their duration and height vary from blink to blink.

use super::head::dot;
use super::random::{Use, generator, normal};
use crate::math::montage;
use rand_distr::{Distribution, Exp1};
use rand_pcg::Pcg64;
use std::f64::consts::PI;

/// The mean length of a blink, seconds.
pub const LENGTH_S: f64 = 0.3;

const EYES: [[f64; 3]; 2] = [[-0.3, 0.9, -0.35], [0.3, 0.9, -0.35]];
const MOMENT: [f64; 3] = [0.0, 0.3, 1.0];

/// The blinks: the one under way or to come.
pub struct Blinks {
    /// Volts at the peak, one per channel.
    lead: Vec<f64>,
    rate_hz: f64,
    /// The mean wait from the end of a blink to the next, seconds; infinite for no blinks.
    wait_s: f64,
    /// Samples since the blink began; negative while waiting.
    age: f64,
    /// Length of the current or coming blink, samples.
    length: f64,
    height: f64,
    rng: Pcg64,
}

impl Blinks {
    /// Blinks of `peak_v` volts at Fp1 and Fp2, `per_minute` on average.
    pub fn new(
        seed: u64,
        electrodes: &[[f64; 3]],
        rate_hz: f64,
        per_minute: f64,
        peak_v: f64,
    ) -> Self {
        let fp1 = montage::position("Fp1").expect("Fp1 exists");
        let scale = peak_v / potential(fp1);
        let mut blinks = Self {
            lead: electrodes.iter().map(|&e| scale * potential(e)).collect(),
            rate_hz,
            wait_s: 60.0 / per_minute - LENGTH_S,
            age: 0.0,
            length: 0.0,
            height: 0.0,
            rng: generator(seed, Use::Blinks, 0),
        };
        blinks.plan();
        blinks
    }

    /// Draws the next blink.
    fn plan(&mut self) {
        let wait: f64 = Exp1.sample(&mut self.rng);
        self.age = -wait * self.wait_s * self.rate_hz;
        self.length =
            LENGTH_S * self.rate_hz * (0.15 * normal(&mut self.rng)).clamp(-0.4, 0.4).exp();
        self.height = (0.2 * normal(&mut self.rng)).clamp(-0.5, 0.5).exp();
    }

    /// Advances by one sample and adds it to `row`.
    pub fn add_to(&mut self, row: &mut [f64]) {
        if self.age >= 0.0 {
            let signal = self.height * wave(self.age / self.length);
            for (out, gain) in row.iter_mut().zip(&self.lead) {
                *out += gain * signal;
            }
        }
        self.age += 1.0;
        if self.age >= self.length {
            self.plan();
        }
    }
}

/// The shape of a blink, at `part` of its length.
fn wave(part: f64) -> f64 {
    (PI * part.powf(0.6)).sin().powi(2)
}

fn potential(electrode: [f64; 3]) -> f64 {
    EYES.iter()
        .map(|eye| {
            let d = std::array::from_fn(|i| electrode[i] - eye[i]);
            dot(MOMENT, d) / dot(d, d).powf(1.5)
        })
        .sum()
}
