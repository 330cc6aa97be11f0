//! Graph stages: features of nodes to graphs, graphs to richer graphs or to vectors.

use super::Stage;
use crate::kind::{Kind, kind};

pub mod eigenmap;
mod embedder;
#[allow(clippy::module_inception)]
pub mod graph;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] =
    &[kind::<_, graph::Settings>("graph"), kind::<_, eigenmap::Settings>("eigenmap")];
