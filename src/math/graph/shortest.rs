//! Shortest paths between all pairs of nodes, by Floyd and Warshall: d(i, j) = min(d(i, j), d(i, k) +
//! d(k, j)) for one k after the other.
//!
//! Dijkstra's algorithm from each node needs fewer steps on a sparse graph, but these are n^3 additions and
//! minima in vector registers without a branch, and for graphs of 64 to 512 nodes that is quicker.
//!
//! Reference: Floyd 1962, Commun. ACM 5.

use super::Graph;
use crate::math::simd::{Cpu, Simd, Work};

/// Rows are padded to a multiple of the longest vector register.
const LANES: usize = 8;

/// The distances between all nodes of a graph.
#[derive(Debug, Clone)]
pub struct Paths {
    nodes: usize,
    stride: usize,
    distances: Vec<f64>,
    via: Vec<f64>,
}

impl Paths {
    /// Room for graphs of up to `most` nodes.
    pub fn new(most: usize) -> Self {
        let stride = most.next_multiple_of(LANES);
        Self { nodes: 0, stride, distances: vec![0.0; most * stride], via: vec![0.0; stride] }
    }

    /// Finds the distances between the nodes of `graph`; infinity where there is no path.
    pub fn find(&mut self, graph: &Graph) {
        self.nodes = graph.nodes();
        self.stride = self.nodes.next_multiple_of(LANES);
        self.distances.resize(self.nodes * self.stride, 0.0);
        self.via.resize(self.stride, 0.0);
        self.distances.fill(f64::INFINITY);
        for i in 0..self.nodes {
            self.distances[i * self.stride + i] = 0.0;
        }
        for edge in graph.edges() {
            self.distances[edge.u * self.stride + edge.v] = edge.length;
            self.distances[edge.v * self.stride + edge.u] = edge.length;
        }
        Cpu::best().run(Relax(self));
    }

    /// The distances from `node` to each node.
    pub fn from(&self, node: usize) -> &[f64] {
        &self.distances[node * self.stride..][..self.nodes]
    }

    /// The distance from `u` to `v`.
    pub fn between(&self, u: usize, v: usize) -> f64 {
        self.distances[u * self.stride + v]
    }
}

struct Relax<'a>(&'a mut Paths);

impl Work for Relax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Paths { nodes, stride, distances, via } = self.0;
        for k in 0..*nodes {
            via.copy_from_slice(&distances[k * *stride..][..*stride]);
            for row in distances.chunks_exact_mut(*stride) {
                if row[k] == f64::INFINITY {
                    continue;
                }
                let first = simd.splat(row[k]);
                for (d, rest) in row.chunks_exact_mut(S::LANES).zip(via.chunks_exact(S::LANES)) {
                    let detour = simd.add(first, simd.load(rest));
                    simd.store(simd.min(simd.load(d), detour), d);
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_way_counts_and_islands_are_out_of_reach() {
        let mut graph = Graph::new(6);
        graph.fill(6, [(0, 1, 5.0), (1, 2, 1.0), (0, 2, 1.5), (3, 4, 0.0)]);
        let mut paths = Paths::new(6);
        paths.find(&graph);
        assert_eq!(paths.from(0)[..3], [0.0, 2.5, 1.5]);
        assert_eq!((paths.between(1, 0), paths.between(3, 4)), (2.5, 0.0));
        assert!(paths.from(5)[..5].iter().chain(&paths.from(0)[3..]).all(|d| d.is_infinite()));
    }
}
