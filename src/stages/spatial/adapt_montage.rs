//! Channel adapter: from the channels that come to those that a decoder was trained on.
//!
//! In: samples or windows, rows x channels. Out: the same rows x the channels wanted, in their order. A channel
//! that comes is taken as it is: by its label in any case, or by another name of the same electrode (T3 is
//! T7). One that does not come is zero, or is interpolated: a weighted sum of all channels that come and whose
//! place is known ([`crate::math::montage`], or what the stream says), by the weights of spherical splines
//! ([`crate::math::topomap::weights`]), as `interpolate_bads` of MNE-Python does. The whole is one fixed matrix.
//! Delay: none.
//!
//! What is interpolated holds nothing that the other channels do not, so covariances of it lack a rank for
//! each such channel.

use super::mixing::Mixing;
use crate::error::{Error, Result, nearest};
use crate::frame::{Channel, Direction, Frame, Payload, Spec};
use crate::math::{montage, topomap};
use crate::stages::{Emit, Fault, Stage, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Gives a decoder the channels that it was trained on, whatever the cap: takes them by name, and interpolates
/// or leaves at zero those that do not come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The channels that go out, in their order; upper and lower case do not matter.
    pub channels: Vec<String>,
    /// What becomes of those that do not come: `refuse`: the config is refused, with their names; `interpolate`:
    /// found from the others by spherical splines, which takes labels of the 10-20, 10-10 or 10-05 system;
    /// `zero`.
    #[serde(default)]
    pub missing: Missing,
}

/// What becomes of channels that do not come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// They are an error.
    #[default]
    Refuse,
    /// They are interpolated.
    Interpolate,
    /// They are 0.
    Zero,
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str =
        "channels = [\"C3\", \"C1\", \"Cz\", \"C2\", \"C4\"]\nmissing = \"interpolate\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if self.channels.is_empty() {
            return Err(Error::setting("channels", "channels is empty, expected labels"));
        }
        for (i, label) in self.channels.iter().enumerate() {
            if self.channels[..i].iter().any(|other| same(other, label)) {
                let text = format!("`{label}` is there twice, expected each channel once");
                return Err(Error::setting("channels", text));
            }
        }
        let out = Spec::markers().frame();
        Ok(Box::new(AdaptMontage { settings: self, mixing: Mixing::default(), out }))
    }
}

struct AdaptMontage {
    settings: Settings,
    mixing: Mixing,
    out: Frame,
}

impl Stage for AdaptMontage {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = single(inputs, &[Payload::Samples, Payload::Window])?;
        let places: Vec<Option<usize>> =
            self.settings.channels.iter().map(|label| find(label, &input.channels)).collect();
        self.mixing = Mixing::new(input.cols, &self.settings.weights(&places, input)?);
        let like = input.channels.iter().find(|c| place(c).is_some());
        let made = like.or(input.channels.first());
        let name = |(label, place): (&String, &Option<usize>)| match (place, made) {
            (Some(place), _) => Channel { label: label.clone(), ..input.channels[*place].clone() },
            (None, Some(made)) => Channel { label: label.clone(), direction: None, ..made.clone() },
            (None, None) => Channel::named(label),
        };
        let channels = self.settings.channels.iter().zip(&places).map(name).collect();
        let out = Spec { cols: places.len(), channels, ..input.clone() };
        self.out = out.frame();
        Ok(out)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        self.mixing.send(frame, &mut self.out, emit)
    }

    fn reset(&mut self) {}
}

impl Settings {
    /// One row for each channel that goes out; `places` says where those that come are.
    fn weights(&self, places: &[Option<usize>], input: &Spec) -> Result<Vec<f64>> {
        let cols = input.cols;
        let mut weights = vec![0.0; places.len() * cols];
        for (row, place) in weights.chunks_exact_mut(cols).zip(places) {
            if let Some(place) = place {
                row[*place] = 1.0;
            }
        }
        let missing: Vec<usize> = (0..places.len()).filter(|i| places[*i].is_none()).collect();
        if missing.is_empty() || self.missing == Missing::Zero {
            return Ok(weights);
        }
        if self.missing == Missing::Refuse {
            return Err(self.refusal(&missing, &input.channels));
        }
        let wanted = missing.iter().map(|i| self.position(*i)).collect::<Result<Vec<_>>>()?;
        let known: Vec<(usize, [f64; 3])> = input
            .channels
            .iter()
            .enumerate()
            .filter_map(|(c, channel)| Some((c, place(channel)?)))
            .collect();
        let electrodes: Vec<[f64; 3]> = known.iter().map(|(_, place)| *place).collect();
        let nothing =
            "no channel that comes has a place that is known, so nothing can be interpolated";
        let found = topomap::weights(&electrodes, &wanted).ok_or(Error::mismatch(nothing))?;
        for (i, found) in missing.iter().zip(found.chunks_exact(known.len())) {
            for ((c, _), weight) in known.iter().zip(found) {
                weights[i * cols + c] = *weight;
            }
        }
        Ok(weights)
    }

    /// Where the channel `i` that goes out sits.
    fn position(&self, i: usize) -> Result<[f64; 3]> {
        let label = &self.channels[i];
        montage::position(label).ok_or_else(|| {
            let text = format!(
                "`{label}` does not come and cannot be interpolated: its label is not in the 10-05 system"
            );
            Error::setting("channels", text)
        })
    }

    fn refusal(&self, missing: &[usize], channels: &[Channel]) -> Error {
        let labels: Vec<&str> = missing.iter().map(|i| self.channels[*i].as_str()).collect();
        let near = nearest(labels[0], channels.iter().map(|c| c.label.as_str()));
        let hint = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        Error::missing(format!(
            "of the channels wanted, {} do not come{hint} (missing = \"interpolate\" or \"zero\" goes on without)",
            labels.join(", ")
        ))
        .blaming("channels")
    }
}

/// The channel with this label, or at the place that it stands for.
fn find(label: &str, channels: &[Channel]) -> Option<usize> {
    let by_place = || {
        let place = montage::position(label)?;
        channels.iter().position(|c| montage::position(&c.label) == Some(place))
    };
    channels.iter().position(|c| same(&c.label, label)).or_else(by_place)
}

/// Where a channel sits: by its label, which is what those that are missing go by, or as the stream says.
fn place(channel: &Channel) -> Option<[f64; 3]> {
    montage::position(&channel.label).or_else(|| channel.direction.map(Direction::unit))
}

fn same(a: &str, b: &str) -> bool {
    a.trim().eq_ignore_ascii_case(b.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Settings as _;
    use crate::stages::testing::{Seen, numbers, samples};

    const CAP: [&str; 6] = ["Fz", "T3", "C3", "C4", "Pz", "EOG"];

    fn adapted(snippet: &str, row: &[f64]) -> Result<(Spec, Vec<f64>)> {
        let mut stage = toml::from_str::<Settings>(snippet).unwrap().build()?;
        let mut spec = samples(&CAP, 100.0);
        spec.channels[0].unit = "microvolts".into();
        let out = stage.prepare(&[spec])?;
        let mut seen = Seen::default();
        stage.process(&mut numbers(6, row), &mut seen).unwrap();
        Ok((out, seen.frames.remove(0).data))
    }

    #[test]
    fn channels_that_come_are_taken_by_name() {
        let rows = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0];
        let (spec, data) = adapted("channels = [\"c4\", \"T7\", \"eog\", \"FZ\"]", &rows).unwrap();
        let labels: Vec<_> = spec.channels.iter().map(|c| c.label.as_str()).collect();
        assert_eq!(labels, ["c4", "T7", "eog", "FZ"]);
        assert_eq!(spec.channels[3].unit, "microvolts");
        assert_eq!(data, [4.0, 2.0, 6.0, 1.0, 14.0, 12.0, 16.0, 11.0]);
    }

    #[test]
    fn missing_ones_are_refused_or_zero_or_interpolated() {
        let row = [7.0, 7.0, 7.0, 7.0, 7.0, 1e6];
        let error = adapted("channels = [\"C3\", \"Cz\", \"CP1\"]", &row).unwrap_err();
        assert!(error.to_string().contains("Cz, CP1"), "{error}");
        let zero = "channels = [\"C3\", \"Cz\"]\nmissing = \"zero\"";
        assert_eq!(adapted(zero, &row).unwrap().1, [7.0, 0.0]);
        let spline = "channels = [\"C3\", \"Cz\"]\nmissing = \"interpolate\"";
        let (spec, data) = adapted(spline, &row).unwrap();
        assert!(data[0] == 7.0 && (data[1] - 7.0).abs() < 1e-9, "EOG has no place: {data:?}");
        assert_eq!((spec.channels[1].label.as_str(), spec.cols), ("Cz", 2));
        let slope = [0.0, 5.0, 5.0, -5.0, 0.0, 0.0];
        let data = adapted(spline, &slope).unwrap().1;
        assert!(data[1].abs() < 2.0, "between C3 and C4: {data:?}");
        let nowhere = "channels = [\"X9\"]\nmissing = \"interpolate\"";
        assert_eq!(adapted(nowhere, &row).unwrap_err().key(), Some("channels"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in ["channels = []", "channels = [\"C3\", \"c3\"]"] {
            assert!(toml::from_str::<Settings>(wrong).unwrap().build().is_err(), "{wrong}");
        }
        let channels = vec!["Cz".to_owned()];
        let mut stage = Settings { channels, missing: Missing::Interpolate }.build().unwrap();
        assert!(stage.prepare(&[samples(&["X1", "X2"], 100.0)]).is_err(), "nowhere to start");
    }
}
