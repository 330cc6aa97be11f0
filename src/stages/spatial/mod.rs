//! Spatial stages: samples to samples, or window to window, across channels.

use super::Stage;
use crate::kind::{Kind, kind};

pub mod adapt_montage;
pub mod average;
pub(super) mod labels;
mod mixing;
pub mod pick;
pub mod subject_linear;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[
    kind::<_, average::Settings>("average"),
    kind::<_, pick::Settings>("pick"),
    kind::<_, adapt_montage::Settings>("adapt_montage"),
    kind::<_, subject_linear::Settings>("subject_linear"),
];
