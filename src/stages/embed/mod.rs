//! Windows or vectors to embeddings, and what is made of embeddings.

use super::Stage;
use crate::kind::{Kind, kind};

pub mod join;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[kind::<_, join::Settings>("join")];
