//! Graph stages: features of nodes to graphs, graphs to richer graphs or to vectors.

use super::Stage;
use crate::kind::{Kind, kind};

pub mod curvature;
pub mod eigenmap;
mod embedder;
#[allow(clippy::module_inception)] // The family and its first kind are called the same.
pub mod graph;
pub mod node_features;
mod reading;
pub mod trail;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[
    kind::<_, graph::Settings>("graph"),
    kind::<_, eigenmap::Settings>("eigenmap"),
    kind::<_, curvature::Settings>("curvature"),
    kind::<_, node_features::Settings>("node_features"),
    kind::<_, trail::Settings>("trail"),
];
