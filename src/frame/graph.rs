//! What stands where in a frame of [`Payload::Graph`](super::Payload).
//!
//! A graph of n nodes with f features has n rows, one for each node, and 3 n + f columns in four
//! blocks: the weight, the length and the curvature of the edge to every node, then the features of the node.
//! The first three are symmetric with zeros on the diagonal. Two nodes share an edge where the weight is
//! above 0; where it is not, length and curvature are 0 as well.
//!
//! A weight says how alike two nodes are (above 0, at most 1), a length how far they are from each other
//! (0 or more). Curvature is 0 until a stage finds it.

use super::{Frame, Payload, Spec};
use std::ops::Range;

/// Where the numbers of a graph stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// How many nodes there are.
    pub nodes: usize,
    /// How many features each has.
    pub features: usize,
}

impl Layout {
    /// The layout of frames of `spec`; `None` if they hold no graphs.
    pub fn of(spec: &Spec) -> Option<Self> {
        let features = spec.cols.checked_sub(3 * spec.rows)?;
        (spec.payload == Payload::Graph).then_some(Self { nodes: spec.rows, features })
    }

    /// What frames of this layout look like; `like` gives rate and channels.
    pub fn spec(self, like: &Spec) -> Spec {
        Spec {
            payload: Payload::Graph,
            rows: self.nodes,
            cols: self.cols(),
            hop: None,
            ..like.clone()
        }
    }

    /// Columns of a frame.
    pub fn cols(self) -> usize {
        3 * self.nodes + self.features
    }

    /// Where the weight of the edge from `i` to `j` stands in the data of a frame.
    pub fn weight(self, i: usize, j: usize) -> usize {
        i * self.cols() + j
    }

    /// Where the length of the edge from `i` to `j` stands.
    pub fn length(self, i: usize, j: usize) -> usize {
        i * self.cols() + self.nodes + j
    }

    /// Where the curvature of the edge from `i` to `j` stands.
    pub fn curvature(self, i: usize, j: usize) -> usize {
        i * self.cols() + 2 * self.nodes + j
    }

    /// Where the features of node `i` stand.
    pub fn features(self, i: usize) -> Range<usize> {
        i * self.cols() + 3 * self.nodes..(i + 1) * self.cols()
    }

    /// Whether `frame` has this shape.
    pub fn fits(self, frame: &Frame) -> bool {
        (frame.rows, frame.cols) == (self.nodes, self.cols())
            && frame.data.len() == self.nodes * self.cols()
    }

    /// The edges of a graph frame of this shape: each once, with the lower node first.
    pub fn edges(self, data: &[f64]) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.nodes)
            .flat_map(move |i| (i + 1..self.nodes).map(move |j| (i, j)))
            .filter(move |(i, j)| data[self.weight(*i, *j)] > 0.0)
    }
}
