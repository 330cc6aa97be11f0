//! Features: a window to a matrix or a vector, or to a window that shows more; a stream to vectors.

use super::Stage;
use crate::kind::{Kind, kind};

pub mod augmented;
pub mod band_power;
pub mod covariance;
mod forgetting;
pub mod spectrum;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[
    kind::<_, augmented::Settings>("augmented"),
    kind::<_, covariance::Settings>("covariance"),
    kind::<_, band_power::Settings>("band_power"),
    kind::<_, spectrum::Settings>("spectrum"),
];
