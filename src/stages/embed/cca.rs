//! Features to embeddings: canonical correlation analysis.
//!
//! In: vectors (or windows, features of nodes, matrices, whose numbers are taken as they lie). Out: vectors in the space of the
//! gallery, predicted by the `components` directions in which features and embeddings go together the most
//! ([`crate::math::cca`]). Learns from examples whose class is the label of an item of the gallery. No delay.

use super::linear_map::{Embed, Learn, LinearMap, numbers_of, shape_of, targets_of};
use crate::error::{Error, Result};
use crate::math::cca::Cca;
use crate::stages::{Examples, Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The most numbers of a frame: the matrices have as many rows.
const MAX_NUMBERS: usize = 8192;

/// Aligns features with the embeddings of what was shown, by canonical correlations. Learns from a recording (`saltatory
/// fit`) whose markers are labels of the gallery.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The embeddings of what was shown, with labels (docs/retrieval.md).
    pub gallery: PathBuf,
    /// How many correlations are used.
    #[serde(default = "components")]
    pub components: usize,
    /// The share of the mean variance that is added to all, so that few examples do not mislead.
    #[serde(default = "ridge")]
    pub ridge: f64,
}

fn components() -> usize {
    2
}

fn ridge() -> f64 {
    1e-3
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str =
        "gallery = \"models/galleries/left_right.safetensors\"\ncomponents = 2\nridge = 1e-3\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if self.components == 0 {
            return Err(Error::setting("components", "is 0, expected 1 or more"));
        }
        if !(self.ridge >= 0.0 && self.ridge.is_finite()) {
            return Err(Error::setting("ridge", "must not be below 0"));
        }
        Ok(Box::new(Embed::new(self)))
    }
}

impl Learn for Settings {
    fn learn(&self, examples: &Examples<'_>) -> Result<LinearMap> {
        let shape = shape_of(examples)?;
        let numbers = shape.0 * shape.1;
        if numbers > MAX_NUMBERS {
            let text = format!(
                "takes at most {MAX_NUMBERS} numbers, but is given {numbers}: put features or `decimate` before"
            );
            return Err(Error::mismatch(text));
        }
        if !examples.weights.is_empty() {
            return Err(Error::mismatch("cannot learn from examples of different weight"));
        }
        let targets = targets_of(examples, &self.gallery).map_err(|e| e.blaming("gallery"))?;
        let numbers = numbers_of(examples, 0..numbers);
        let map = Cca::fit(numbers, targets, self.components, self.ridge)?.map;
        Ok(LinearMap { shape, map })
    }
}
