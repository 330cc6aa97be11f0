//! Graph stages: features of nodes to graphs, graphs to richer graphs or to vectors.

use super::Stage;
use crate::kind::{Kind, kind};

pub mod curvature;
pub mod node_features;
mod reading;
pub mod trail;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[
    kind::<_, curvature::Settings>("curvature"),
    kind::<_, node_features::Settings>("node_features"),
    kind::<_, trail::Settings>("trail"),
];
