//! Decoders: a matrix or a vector to scores.

use super::Stage;
use crate::kind::Kind;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[];
