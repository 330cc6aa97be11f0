//! What a network expects and what its outputs mean: a small TOML file beside the model.
//!
//! `NAME.toml` beside `NAME.onnx`, or the same text under the key `saltatory` in the metadata of the model.
//! Every key is described in docs/onnx.md.

use super::Network;
use crate::error::{Error, Result};
pub use crate::math::scaling::Scaling;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The key under which a model may carry its manifest along.
const KEY: &str = "saltatory";
/// The longest manifest that is read.
const MAX_BYTES: u64 = 1 << 20;

/// What a network expects and what it gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What goes in.
    pub input: Input,
    /// What comes out.
    pub output: Output,
    /// Where the network comes from, in any form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<toml::Table>,
}

/// What goes into a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The axes in their order; an axis that is not named here has the length 1.
    pub axes: Vec<Meaning>,
    /// Samples per second; any rate when left out.
    #[serde(default)]
    pub rate_hz: Option<f64>,
    /// The channels in their order; those that come, in their order, when left out.
    #[serde(default)]
    pub channels: Vec<String>,
    /// The unit of the numbers: "volts", "millivolts", "microvolts"; as they come when left out.
    #[serde(default)]
    pub unit: Option<String>,
    /// What is done to each window before.
    #[serde(default)]
    pub scaling: Scaling,
    /// Numbers beyond so many times the scale are cut off; after the scaling.
    #[serde(default)]
    pub clamp: Option<f64>,
    /// The name of a second input for where the channels are, `[channels, 2]`: see [`super::places`].
    #[serde(default)]
    pub positions: Option<String>,
}

/// What an axis stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    /// Length 1: one window at a time, or an axis that the framework wanted.
    One,
    /// Channels, or the nodes of a table of features.
    Channels,
    /// Samples, or the features of a node.
    Samples,
    /// The numbers of a vector or a matrix, row by row.
    Numbers,
}

/// What comes out of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The name of the output; the first one when left out.
    #[serde(default)]
    pub name: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// For logits and scores: the classes in their order; for sequences: the units.
    #[serde(default)]
    pub classes: Vec<String>,
    /// For others: the names of the numbers, if they have any.
    #[serde(default)]
    pub labels: Vec<String>,
    /// For images: lines and pixels of a line.
    #[serde(default)]
    pub size: Option<[usize; 2]>,
    /// For images: 3 for red, green and blue, or 1.
    #[serde(default = "three")]
    pub colours: usize,
    /// For images: in which order the numbers come.
    #[serde(default)]
    pub layout: Layout,
    /// For sequences: the unit that stands for nothing. Repeated units then count once.
    #[serde(default)]
    pub blank: Option<String>,
}

fn three() -> usize {
    3
}

/// In which order the numbers of a picture come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Colour by colour, line by line.
    #[default]
    Chw,
    /// Line by line, the colours of a pixel side by side.
    Hwc,
}

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One number per class; their softmax are the probabilities.
    Logits,
    /// One probability per class.
    Scores,
    /// A place in a space, for retrieval.
    Embedding,
    /// Numbers of which each has a meaning.
    Regression,
    /// A picture, its numbers from 0 (dark) to 1 (bright).
    Image,
    /// Units such as words or sounds one after the other: for each step, one number per unit.
    Sequence,
}

impl Manifest {
    /// The manifest of the model in `path`, which is open as `network`.
    pub fn of(path: &Path, network: &Network) -> Result<Self> {
        let beside = path.with_extension("toml");
        let (place, text) = match std::fs::metadata(&beside) {
            Ok(file) if file.len() > MAX_BYTES => {
                return Err(Error::input("is too long for a manifest").at(beside.display()));
            }
            Ok(_) => {
                let text = std::fs::read_to_string(&beside).map_err(|e| {
                    Error::input(format!("cannot be read: {e}")).at(beside.display())
                })?;
                (beside.display().to_string(), text)
            }
            Err(_) => match network.remark(KEY) {
                Some(text) => (format!("{} (metadata `{KEY}`)", path.display()), text),
                None => {
                    let text = format!(
                        "says neither what it expects nor what comes out: a manifest `{}` is needed (docs/onnx.md)",
                        beside.display()
                    );
                    return Err(Error::missing(text).at(path.display()));
                }
            },
        };
        toml::from_str(&text).map_err(|e| Error::input(e.to_string()).at(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_and_its_mistakes_are_told() {
        let text = "[input]\naxes = [\"one\", \"channels\", \"samples\"]\nrate_hz = 250.0\n\
                    channels = [\"C3\", \"C4\"]\nscaling = \"channel\"\n\
                    [output]\nkind = \"logits\"\nclasses = [\"left\", \"right\"]\n";
        let manifest: Manifest = toml::from_str(text).unwrap();
        assert_eq!(manifest.input.axes, [Meaning::One, Meaning::Channels, Meaning::Samples]);
        assert_eq!(manifest.output.kind, Kind::Logits);
        let wrong = toml::from_str::<Manifest>(&text.replace("logits", "digits")).unwrap_err();
        assert!(wrong.to_string().contains("digits"), "{wrong}");
    }
}
