//! Notch: removes the hum of the mains and its harmonics.
//!
//! In: samples of a regular stream. Out: the same samples, filtered per channel. One causal
//! second-order section per frequency `k freq_hz`, `k = 1..harmonics`, each `freq_hz / q` wide (the
//! same width for every harmonic). Delay: none to speak of outside the notches, given as 0.
//! Reference: `scipy.signal.iirnotch`.

use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::kind;
use crate::math::filter_design::notch;
use crate::math::sos::Cascade;
use crate::stages::{Emit, Fault, Stage, regular};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Removes one frequency, such as the hum of the mains, and its multiples.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Frequency to remove in Hz: 50 in most of the world, 60 in the Americas.
    pub freq_hz: f64,
    /// Quality: `freq_hz / q` is how many Hz are removed around the frequency and each multiple.
    #[serde(default = "default_q")]
    pub q: f64,
    /// How many multiples to remove: 1 removes `freq_hz` only, 3 also twice and three times as
    /// much. Those at half the sampling rate or above are left out.
    #[serde(default = "default_harmonics")]
    pub harmonics: usize,
}

fn default_q() -> f64 {
    30.0
}

fn default_harmonics() -> usize {
    1
}

impl kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "freq_hz = 50.0\nq = 30.0\nharmonics = 1\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        for (key, value) in [("freq_hz", self.freq_hz), ("q", self.q)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::setting(key, format!("{key} is {value}, expected more than 0")));
            }
        }
        if self.harmonics == 0 {
            return Err(Error::setting("harmonics", "harmonics is 0, expected at least 1"));
        }
        Ok(Box::new(Notch { settings: self, cascade: Cascade::default() }))
    }
}

struct Notch {
    settings: Settings,
    cascade: Cascade,
}

impl Stage for Notch {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let spec = regular(inputs, &[Payload::Samples])?;
        let Settings { freq_hz, q, harmonics } = self.settings;
        let nyquist_hz = spec.rate_hz / 2.0;
        if freq_hz >= nyquist_hz {
            return Err(Error::setting(
                "freq_hz",
                format!(
                    "freq_hz is {freq_hz}, expected less than half the sampling rate, {nyquist_hz}"
                ),
            ));
        }
        let sections = (1..=harmonics)
            .map(|k| k as f64)
            .take_while(|k| k * freq_hz < nyquist_hz)
            .map(|k| notch(k * freq_hz, k * q, spec.rate_hz))
            .collect::<Result<Vec<_>>>()?;
        self.cascade = Cascade::new(sections, spec.cols);
        Ok(spec.clone())
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        self.cascade.process(&mut frame.data);
        if !self.cascade.is_finite() {
            return Err(Fault("the notch was given numbers that are not finite"));
        }
        emit.emit(frame);
        Ok(())
    }

    fn reset(&mut self) {
        self.cascade.reset();
    }
}

#[cfg(test)]
mod tests {
    use crate::stages::filter::KINDS;
    use crate::stages::testing::{Seen, numbers, samples};
    use std::f64::consts::TAU;

    /// The mean square of a sine of `freq_hz` after the stage has settled.
    fn power(snippet: &str, freq_hz: f64) -> f64 {
        let mut stage = KINDS[1].from_toml(snippet).unwrap().unit;
        stage.prepare(&[samples(&["C3"], 250.0)]).unwrap();
        let sine: Vec<f64> =
            (0..5000).map(|i| (TAU * freq_hz * f64::from(i) / 250.0).sin()).collect();
        let mut seen = Seen::default();
        stage.process(&mut numbers(1, &sine), &mut seen).unwrap();
        seen.frames[0].data[4000..].iter().map(|v| v * v).sum::<f64>() / 1000.0
    }

    #[test]
    fn removes_the_multiples_asked_for() {
        assert!(power("freq_hz = 50.0", 50.0) < 1e-6);
        assert!(power("freq_hz = 50.0", 100.0) > 0.49);
        assert!(power("freq_hz = 50.0\nharmonics = 9", 100.0) < 1e-6);
        assert!(power("freq_hz = 50.0\nharmonics = 9", 20.0) > 0.48);
    }

    #[test]
    fn bad_settings_name_their_key() {
        let key = |snippet| KINDS[1].from_toml(snippet).err().unwrap().key().unwrap().to_string();
        assert_eq!(key("freq_hz = -50.0"), "freq_hz");
        assert_eq!(key("freq_hz = 50.0\nq = 0.0"), "q");
        assert_eq!(key("freq_hz = 50.0\nharmonics = 0"), "harmonics");
    }
}
