//! Windows or vectors to embeddings, and what is made of embeddings.

use super::Stage;
use crate::kind::{Kind, kind};

pub mod cca;
pub mod join;
mod linear_map;
pub mod ridge;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[
    kind::<_, join::Settings>("join"),
    kind::<_, ridge::Settings>("ridge"),
    kind::<_, cca::Settings>("cca"),
];
