//! Motifs: how many edges and triangles each node has, whatever their lengths.
//!
//! With A_ij = 1 where there is an edge, a node is on (A^3)_ii / 2 triangles: each is a closed way of three
//! steps in both directions. A row of A is kept as bits, so neighbours in common are counted 64 at a time.
//! Reference: Dey, Rao, Shah, arXiv 2306.09239 (the map of 3-cycles).

use super::Graph;

const BITS: usize = u64::BITS as usize;

/// Counts triangles.
#[derive(Debug, Clone)]
pub struct Motifs {
    words: usize,
    rows: Vec<u64>,
}

impl Motifs {
    /// Room for graphs of up to `most` nodes.
    pub fn new(most: usize) -> Self {
        Self { words: 0, rows: vec![0; most * most.div_ceil(BITS)] }
    }

    /// Takes up `graph`.
    pub fn take(&mut self, graph: &Graph) {
        self.words = graph.nodes().div_ceil(BITS);
        self.rows.resize(graph.nodes() * self.words, 0);
        self.rows.fill(0);
        for edge in graph.edges() {
            for (from, to) in [(edge.u, edge.v), (edge.v, edge.u)] {
                self.rows[from * self.words + to / BITS] |= 1 << (to % BITS);
            }
        }
    }

    /// How many edges node `u` has.
    pub fn degree(&self, u: usize) -> u32 {
        self.row(u).iter().map(|word| word.count_ones()).sum()
    }

    /// How many triangles of `graph`, which was taken up, node `u` is on.
    pub fn triangles(&self, graph: &Graph, u: usize) -> u32 {
        let common = |v| self.row(u).iter().zip(self.row(v)).map(|(a, b)| (a & b).count_ones());
        graph.arcs(u).iter().flat_map(|arc| common(arc.to)).sum::<u32>() / 2
    }

    fn row(&self, u: usize) -> &[u64] {
        &self.rows[u * self.words..(u + 1) * self.words]
    }
}
