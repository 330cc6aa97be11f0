//! Features: a window to a matrix, a vector or features of nodes, or to a window that shows more; a stream to
//! vectors.

use super::Stage;
use crate::kind::{Kind, kind};

pub mod augmented;
pub mod band_power;
pub mod bde;
pub mod covariance;
mod forgetting;
pub mod patch;
pub mod scale;
pub mod spectrum;
pub mod stft;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[
    kind::<_, augmented::Settings>("augmented"),
    kind::<_, covariance::Settings>("covariance"),
    kind::<_, band_power::Settings>("band_power"),
    kind::<_, spectrum::Settings>("spectrum"),
    kind::<_, scale::Settings>("scale"),
    kind::<_, bde::Settings>("bde"),
    kind::<_, patch::Settings>("patch"),
    kind::<_, stft::Settings>("stft"),
];
