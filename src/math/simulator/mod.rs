//! A simulated EEG of motor imagery, the same for the same settings, for tests and first steps.
//!
//! In: a [`Config`]. Out: blocks of samples (rows) x channels in volts, and the [`Marker`] of each
//! cue that falls into them.
//!
//! `x = A s + R r + b + line + drift + noise`: background sources s with 1/f spectra and rhythms r
//! (mu, beta, alpha), both seen through a spherical head of three shells, blinks b, and what the
//! amplifier adds. Imagery lowers the mu and beta rhythms of the area that it uses: that of the
//! left hand under C4, of the right hand under C3, of the feet under Cz. The potential is relative
//! to the mean over the head. Every sample comes from the state before it alone, so the numbers do
//! not depend on how they are cut into blocks.

mod amplifier;
mod background;
mod blink;
mod head;
pub mod planted;
mod random;
mod rhythm;
#[cfg(test)]
mod tests;
mod trials;

use crate::error::{Error, Result, nearest};
use crate::math::montage;
use amplifier::Amplifier;
use background::Background;
use blink::Blinks;
use head::Head;
use rhythm::{Amplitudes, Rhythms};
use trials::{AREAS, Trials};

pub use trials::Class;

/// What to simulate.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Labels of the 10-10 system, one per channel.
    pub channels: Vec<String>,
    /// Samples per second, at least 64.
    pub rate_hz: f64,
    /// What all randomness comes from.
    pub seed: u64,
    /// The classes of the cues, each at most once.
    pub classes: Vec<Class>,
    /// From 0, where the classes differ clearly, to 1, where nothing tells them apart.
    pub difficulty: f64,
    /// Rest before each cue, seconds.
    pub rest_s: f64,
    /// Imagery after each cue, seconds.
    pub imagery_s: f64,
    /// Frequency of the power line, below half the rate; 0 for none.
    pub line_hz: f64,
    /// Mean amplitude of the power line, volts at the peak.
    pub line_v: f64,
    /// Blinks per minute, on average; 0 for none.
    pub blinks_per_min: f64,
    /// Height of a typical blink at Fp1 and Fp2, volts.
    pub blink_v: f64,
    /// RMS of the background, volts, on average over the head.
    pub background_v: f64,
    /// RMS at rest of the mu rhythm (10 Hz) at C3 and C4, volts.
    pub mu_v: f64,
    /// RMS at rest of the beta rhythm (20 Hz) at C3 and C4, volts.
    pub beta_v: f64,
    /// RMS of the alpha rhythm (10.5 Hz) at PO3 and PO4, volts.
    pub alpha_v: f64,
    /// RMS of the drift, volts.
    pub drift_v: f64,
    /// RMS of the white noise of the amplifier, volts.
    pub noise_v: f64,
}

impl Default for Config {
    /// The channels, rate and timing of the PhysioNet motor imagery set, with realistic amplitudes.
    fn default() -> Self {
        Self {
            channels: montage::EEGMMIDB.iter().map(ToString::to_string).collect(),
            rate_hz: 160.0,
            seed: 0,
            classes: vec![Class::LeftHand, Class::RightHand],
            difficulty: 0.5,
            rest_s: 4.1,
            imagery_s: 4.1,
            line_hz: 60.0,
            line_v: 5e-6,
            blinks_per_min: 12.0,
            blink_v: 100e-6,
            background_v: 10e-6,
            mu_v: 8e-6,
            beta_v: 2.5e-6,
            alpha_v: 6e-6,
            drift_v: 10e-6,
            noise_v: 0.5e-6,
        }
    }
}

/// A cue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Index of the sample at which it comes, counted from the start of the simulation.
    pub sample: u64,
    /// What to imagine; its name is the text of the marker.
    pub class: Class,
}

/// The simulated subject with electrodes and amplifier.
pub struct Simulator {
    channels: usize,
    trials: Trials,
    background: Background,
    rhythms: Rhythms,
    blinks: Blinks,
    amplifier: Amplifier,
    /// The current or coming trial.
    trial: u64,
    /// The fall that the rhythms head for.
    target: [f64; AREAS],
    /// First sample of the last block, and the sample after it.
    block: std::ops::Range<u64>,
}

impl Simulator {
    /// Checks the settings and makes the simulator, at its first sample.
    pub fn new(config: &Config) -> Result<Self> {
        let electrodes = config.check()?;
        let Config { seed, rate_hz, .. } = *config;
        let head = Head::new();
        let amplitudes =
            Amplitudes { mu_v: config.mu_v, beta_v: config.beta_v, alpha_v: config.alpha_v };
        Ok(Self {
            channels: electrodes.len(),
            trials: Trials::new(config),
            background: Background::new(seed, &head, &electrodes, rate_hz, config.background_v),
            rhythms: Rhythms::new(seed, &head, &electrodes, rate_hz, amplitudes),
            blinks: Blinks::new(seed, &electrodes, rate_hz, config.blinks_per_min, config.blink_v),
            amplifier: Amplifier::new(config),
            trial: 0,
            target: [0.0; AREAS],
            block: 0..0,
        })
    }

    /// Writes the next `rows` samples to the front of `out`, row by row, in volts.
    ///
    /// Takes nothing from the heap. Panics if `out` has less room than rows x channels.
    pub fn next(&mut self, out: &mut [f64], rows: usize) {
        self.block = self.block.end..self.block.end + rows as u64;
        let out = &mut out[..rows * self.channels];
        for (index, row) in self.block.clone().zip(out.chunks_exact_mut(self.channels)) {
            let imagery = self.trials.imagery(self.trial);
            if index == imagery.end {
                self.target = [0.0; AREAS];
                self.trial += 1;
            }
            if index == self.trials.imagery(self.trial).start {
                self.target = self.trials.fall(self.trial);
            }
            row.fill(0.0);
            self.background.add_to(row);
            self.rhythms.add_to(row, &self.target);
            self.blinks.add_to(row);
            self.amplifier.add_to(row, index);
        }
    }

    /// The cues within the block that [`Simulator::next`] wrote last, in order.
    pub fn markers(&self) -> impl Iterator<Item = Marker> {
        (self.trials.first_from(self.block.start)..)
            .map(|trial| Marker {
                sample: self.trials.imagery(trial).start,
                class: self.trials.class(trial),
            })
            .take_while(|marker| marker.sample < self.block.end)
    }

    /// Index of the next sample, counted from the start of the simulation.
    pub fn position(&self) -> u64 {
        self.block.end
    }
}

impl Config {
    /// Checks everything; gives the positions of the electrodes.
    fn check(&self) -> Result<Vec<[f64; 3]>> {
        let range = |key: &str, value: f64, low: f64, high: f64| {
            if value >= low && value <= high {
                return Ok(());
            }
            Err(Error::setting(key, format!("{value} is not between {low} and {high}")))
        };
        range("rate_hz", self.rate_hz, 64.0, 100_000.0)?;
        range("difficulty", self.difficulty, 0.0, 1.0)?;
        range("rest_s", self.rest_s, 0.1, 3600.0)?;
        range("imagery_s", self.imagery_s, 0.1, 3600.0)?;
        range("blinks_per_min", self.blinks_per_min, 0.0, 0.5 * 60.0 / blink::LENGTH_S)?;
        for (key, value) in [
            ("line_v", self.line_v),
            ("blink_v", self.blink_v),
            ("background_v", self.background_v),
            ("mu_v", self.mu_v),
            ("beta_v", self.beta_v),
            ("alpha_v", self.alpha_v),
            ("drift_v", self.drift_v),
            ("noise_v", self.noise_v),
        ] {
            range(key, value, 0.0, 1.0)?;
        }
        if !(self.line_hz >= 0.0 && self.line_hz < self.rate_hz / 2.0) {
            let (line, half) = (self.line_hz, self.rate_hz / 2.0);
            let message = format!("{line} is not below {half}, half the rate; set 0 for no line");
            return Err(Error::setting("line_hz", message));
        }
        if self.classes.is_empty() {
            return Err(Error::setting("classes", "at least one class is needed"));
        }
        if let Some(class) = repeated(&self.classes) {
            return Err(Error::setting("classes", format!("`{}` is there twice", class.name())));
        }
        if self.channels.is_empty() {
            return Err(Error::setting("channels", "at least one channel is needed"));
        }
        if let Some(label) = repeated(&self.channels) {
            return Err(Error::setting("channels", format!("`{label}` is there twice")));
        }
        self.channels.iter().map(|label| electrode(label)).collect()
    }
}

fn electrode(label: &str) -> Result<[f64; 3]> {
    montage::position(label).ok_or_else(|| {
        let guess =
            nearest(label, montage::EEGMMIDB).map_or(String::new(), |n| format!("; try `{n}`"));
        let message = format!("`{label}` is no electrode of the 10-10 system{guess}");
        Error::setting("channels", message)
    })
}

/// The first entry that occurs before.
fn repeated<T: PartialEq>(list: &[T]) -> Option<&T> {
    list.iter().enumerate().find(|(i, item)| list[..*i].contains(item)).map(|(_, item)| item)
}
