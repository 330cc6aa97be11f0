//! Manifold stages: a matrix to a matrix or a vector.

use super::Stage;
use crate::kind::Kind;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[];
