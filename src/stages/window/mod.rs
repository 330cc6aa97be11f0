//! Windowing: samples to windows.

use super::Stage;
use crate::kind::Kind;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[];
