//! Graph stages: features of nodes to graphs, graphs to richer graphs or to vectors.

use super::Stage;
use crate::kind::{Kind, kind};

pub mod trail;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[kind::<_, trail::Settings>("trail")];
