//! Spatial stages: samples to samples, across channels.

use super::Stage;
use crate::kind::{Kind, kind};

pub mod average;
pub(super) mod labels;
pub mod pick;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] =
    &[kind::<_, average::Settings>("average"), kind::<_, pick::Settings>("pick")];
