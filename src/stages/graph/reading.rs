//! From frames to graphs.

use crate::error::{Error, Result};
use crate::frame::graph::Layout;
use crate::frame::{Payload, Spec};
use crate::math::graph::{Graph, MAX_NODES};
use crate::stages::single;

/// The layout of the only input, which must be graphs that are not too large.
pub fn layout_of(inputs: &[Spec]) -> Result<Layout> {
    let spec = single(inputs, &[Payload::Graph])?;
    match Layout::of(spec) {
        Some(layout) if (1..=MAX_NODES).contains(&layout.nodes) => Ok(layout),
        _ => Err(Error::mismatch(format!(
            "takes graphs of 1 to {MAX_NODES} nodes, but is given {}",
            spec.rows
        ))),
    }
}

/// Makes `graph` that of the frame with this `data`: with the lengths it gives, or with lengths of 1. Whether all
/// numbers of the frame can be used; edges without a length that can are left out.
pub fn read(graph: &mut Graph, layout: Layout, data: &[f64], unit_lengths: bool) -> bool {
    let edge = |(i, j)| match data[layout.weight(i, j)].is_finite() {
        true if unit_lengths => (i, j, 1.0),
        true => (i, j, data[layout.length(i, j)]),
        false => (i, j, f64::NAN),
    };
    let refused = graph.fill(layout.nodes, layout.edges(data).map(edge));
    refused == 0 && data.iter().all(|v| v.is_finite())
}

/// `x`, or 0 where that is no finite number.
pub fn finite_or_zero(x: f64) -> f64 {
    if x.is_finite() { x } else { 0.0 }
}
