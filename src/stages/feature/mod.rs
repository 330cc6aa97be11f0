//! Features: a window to a matrix or a vector, or to a window that shows more.

use super::Stage;
use crate::kind::{Kind, kind};

pub mod augmented;
pub mod covariance;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] =
    &[kind::<_, augmented::Settings>("augmented"), kind::<_, covariance::Settings>("covariance")];
