//! Looking up: a vector to the items of a gallery that are most like it.

use super::Stage;
use crate::kind::{Kind, kind};

mod mean;
pub mod retrieval;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[kind::<_, retrieval::Settings>("retrieval")];
