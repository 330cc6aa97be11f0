//! Spatial stages: samples to samples, across channels.

use super::Stage;
use crate::kind::Kind;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[];
