//! Average reference: what a channel differs from the mean of all.
//!
//! In: samples, rows x channels. Out: the same, each channel less the mean of the channels at that
//! sample. Channels that are excluded count neither for the mean nor are they changed. What goes
//! out sums to zero, so a covariance of it lacks one rank: let one channel go, or shrink.
//! Delay: none. Reference: Offner 1950; `mne.set_eeg_reference("average")`.

use super::labels::find;
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::kind;
use crate::stages::{Emit, Fault, Stage, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Subtracts the mean of all channels from each channel (common average reference).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Channels that do not count and are passed on as they are, such as those on the face: labels
    /// in any case, `*` for any letters, `?` for one.
    #[serde(default)]
    pub exclude: Vec<String>,
}

impl kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "exclude = []\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        Ok(Box::new(Average { settings: self, among: Vec::new(), cols: 0 }))
    }
}

struct Average {
    settings: Settings,
    /// The columns that count.
    among: Vec<usize>,
    cols: usize,
}

impl Stage for Average {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let spec = single(inputs, &[Payload::Samples])?;
        let exclude = find("exclude", &self.settings.exclude, &spec.channels)?;
        self.among = (0..spec.cols).filter(|i| !exclude.contains(i)).collect();
        self.cols = spec.cols;
        if self.among.len() < 2 {
            return Err(Error::mismatch(format!(
                "an average takes at least 2 channels, but {} is left",
                self.among.len()
            )));
        }
        Ok(spec.clone())
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        for row in frame.data.chunks_exact_mut(self.cols) {
            let sum: f64 = self.among.iter().map(|&i| row[i]).sum();
            let mean = sum / self.among.len() as f64;
            self.among.iter().for_each(|&i| row[i] -= mean);
        }
        emit.emit(frame);
        Ok(())
    }

    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::testing::{Seen, numbers, samples};

    fn average(exclude: &str) -> Result<Vec<f64>> {
        let mut stage = super::super::KINDS[0].from_toml(exclude)?.unit;
        stage.prepare(&[samples(&["C3", "C4", "EOG"], 100.0)])?;
        let mut frame = numbers(3, &[1.0, 3.0, 8.0, -1.0, -3.0, 4.0]);
        let mut seen = Seen::default();
        stage.process(&mut frame, &mut seen).unwrap();
        Ok(seen.frames.remove(0).data)
    }

    #[test]
    fn subtracts_the_mean_of_those_that_count() {
        assert_eq!(average("").unwrap(), [-3.0, -1.0, 4.0, -1.0, -3.0, 4.0]);
        assert_eq!(average("exclude = [\"eog\"]").unwrap(), [-1.0, 1.0, 8.0, 1.0, -1.0, 4.0]);
    }

    #[test]
    fn needs_two_channels() {
        assert!(average("exclude = [\"C*\"]").is_err());
        assert!(average("exclude = [\"A1\"]").is_err());
    }
}
