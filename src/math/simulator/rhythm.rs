//! The rhythms: mu and beta of the sensorimotor areas, alpha of the visual cortex.
//!
//! In: how far the power of each area has fallen. Out: adds one sample to each channel.
//!
//! A rhythm is a radial dipole under an electrode. Its signal is narrow-band noise, white noise w
//! through a resonator: `y[n] = 2 r cos(2 pi f / rate) y[n-1] - r^2 y[n-2] + g w[n]`,
//! `r = exp(-pi bandwidth / rate)`, with g for unit variance, times the gain `1 - fall(area)`.
//! The fall follows its target with `fall += (1 - exp(-3 / (0.5 s rate))) (target - fall)`, which
//! covers 95 % of a step in 0.5 s.

use super::head::Head;
use super::random::{Use, generator, normal};
use super::trials::{AREAS, Area};
use crate::math::montage;
use rand_pcg::Pcg64;
use std::f64::consts::{PI, TAU};

const RAMP_S: f64 = 0.5;
const DEPTH: f64 = 0.8;

/// Which amplitude of the settings a rhythm takes.
#[derive(Debug, Clone, Copy)]
enum Band {
    Mu,
    Beta,
    Alpha,
}

/// Electrode above the source, area that it belongs to, band.
const RHYTHMS: [(&str, Option<Area>, Band); 8] = [
    ("C3", Some(Area::LeftHemisphere), Band::Mu),
    ("C4", Some(Area::RightHemisphere), Band::Mu),
    ("Cz", Some(Area::Vertex), Band::Mu),
    ("C3", Some(Area::LeftHemisphere), Band::Beta),
    ("C4", Some(Area::RightHemisphere), Band::Beta),
    ("Cz", Some(Area::Vertex), Band::Beta),
    ("PO3", None, Band::Alpha),
    ("PO4", None, Band::Alpha),
];

/// RMS of the rhythms, volts at the electrode above the source.
#[derive(Debug, Clone, Copy)]
pub struct Amplitudes {
    pub mu_v: f64,
    pub beta_v: f64,
    pub alpha_v: f64,
}

struct Rhythm {
    area: Option<Area>,
    /// Volts per unit of the source, one per channel.
    lead: Vec<f64>,
    feedback: [f64; 2],
    input: f64,
    past: [f64; 2],
    rng: Pcg64,
}

/// All rhythms, with the fall that their areas have reached.
pub struct Rhythms {
    rhythms: Vec<Rhythm>,
    fall: [f64; AREAS],
    follow: f64,
}

impl Rhythms {
    pub fn new(
        seed: u64,
        head: &Head,
        electrodes: &[[f64; 3]],
        rate_hz: f64,
        amplitudes: Amplitudes,
    ) -> Self {
        let mut rhythms = Vec::with_capacity(RHYTHMS.len());
        for (index, (label, area, band)) in RHYTHMS.into_iter().enumerate() {
            let above = montage::position(label).expect("the electrodes of RHYTHMS exist");
            let (rms_v, centre_hz, bandwidth_hz) = match band {
                // The foot area lies in the fold between the hemispheres: less reaches the scalp.
                Band::Mu if label == "Cz" => (0.7 * amplitudes.mu_v, 10.0, 2.0),
                Band::Mu => (amplitudes.mu_v, 10.0, 2.0),
                Band::Beta if label == "Cz" => (0.7 * amplitudes.beta_v, 20.0, 4.0),
                Band::Beta => (amplitudes.beta_v, 20.0, 4.0),
                Band::Alpha => (amplitudes.alpha_v, 10.5, 1.5),
            };
            let place = above.map(|v| DEPTH * v);
            let scale = rms_v / head.potential(place, above, above);
            let mut lead = head.topography(place, above, electrodes);
            lead.iter_mut().for_each(|v| *v *= scale);

            let r = (-PI * bandwidth_hz / rate_hz).exp();
            let feedback = [2.0 * r * (TAU * centre_hz / rate_hz).cos(), -r * r];
            let [p1, p2] = feedback;
            let variance = (1.0 - p2) / ((1.0 + p2) * ((1.0 - p2).powi(2) - p1 * p1));
            rhythms.push(Rhythm {
                area,
                lead,
                feedback,
                input: 1.0 / variance.sqrt(),
                past: [0.0; 2],
                rng: generator(seed, Use::Rhythm, index as u64),
            });
        }
        let follow = 1.0 - (-3.0 / (RAMP_S * rate_hz)).exp();
        let mut all = Self { rhythms, fall: [0.0; AREAS], follow };
        for _ in 0..(2.0 * rate_hz) as usize {
            all.add_to(&mut [], &[0.0; AREAS]);
        }
        all
    }

    /// Advances by one sample and adds it to `row`; `target` is the fall that each area heads for.
    pub fn add_to(&mut self, row: &mut [f64], target: &[f64; AREAS]) {
        for (fall, target) in self.fall.iter_mut().zip(target) {
            *fall += self.follow * (target - *fall);
        }
        for rhythm in &mut self.rhythms {
            let [y1, y2] = rhythm.past;
            let y = rhythm.feedback[0] * y1
                + rhythm.feedback[1] * y2
                + rhythm.input * normal(&mut rhythm.rng);
            rhythm.past = [y, y1];
            let signal = y * rhythm.area.map_or(1.0, |area| 1.0 - self.fall[area as usize]);
            for (out, gain) in row.iter_mut().zip(&rhythm.lead) {
                *out += gain * signal;
            }
        }
    }
}
