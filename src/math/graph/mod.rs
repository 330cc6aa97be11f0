//! Graphs as geometry: Ollivier-Ricci curvature of the edges, discrete Ricci flow, and what they tell of
//! communities.
//!
//! ```text
//! d(x, y)   length of the shortest path                                          (`shortest`)
//! mu_u      a walk's step from u: mass alpha stays, the rest goes to each neighbour v as
//!           (1 - alpha) exp(-w_uv^p) / sum over v' of exp(-w_uv'^p)              (`walks`)
//! W1        the least mean distance over which mu_u can be carried to mu_v       (`transport`)
//! kappa_uv  1 - W1(mu_u, mu_v) / w_uv                                            (`curvature`)
//! flow      w <- w - step kappa w, all edges at once; then sum w = number of edges (`flow`)
//! ```
//!
//! Curvature is positive where neighbourhoods overlap, as within a community, and negative on bridges. The
//! divisor is the length of the edge, not the distance of its ends; they differ where a detour is shorter.
//! Curvature is 0 on edges shorter than 1e-7.
//!
//! A workspace is made once for so many nodes; after that, nothing here allocates.
//!
//! Reference: Ollivier 2009, J. Funct. Anal. 256; Ni, Lin, Luo, Gao 2019, Sci. Rep. 9, 9984, whose
//! program (GraphRicciCurvature 0.5.3) defines the conventions that are kept here.

pub mod community;
pub mod curvature;
pub mod flow;
pub mod motifs;
pub mod shortest;
mod sinkhorn;
mod transport;
mod tree;
pub mod walks;

/// The most nodes of a graph.
pub const MAX_NODES: usize = 512;
/// The greatest length of an edge: far from where sums and products of lengths overflow.
pub const MAX_LENGTH: f64 = 1e150;
/// Shorter edges join what is the same node but for rounding: their curvature is 0.
pub const MIN_LENGTH: f64 = 1e-7;

/// An edge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// One end.
    pub u: usize,
    /// The other end.
    pub v: usize,
    /// Its length, 0 or more.
    pub length: f64,
    /// Its curvature; 0 until it is found.
    pub curvature: f64,
}

/// An edge as seen from one of its ends.
#[derive(Debug, Clone, Copy)]
pub struct Arc {
    /// The other end.
    pub to: usize,
    /// Which edge it is.
    pub edge: usize,
}

/// An undirected graph without loops whose edges have lengths.
#[derive(Debug, Clone)]
pub struct Graph {
    edges: Vec<Edge>,
    /// The arcs of node i are `arcs[starts[i]..starts[i + 1]]`.
    starts: Vec<usize>,
    arcs: Vec<Arc>,
}

impl Graph {
    /// A graph without nodes that has room for all edges between `most` of them.
    pub fn new(most: usize) -> Self {
        let edges = most * most.saturating_sub(1) / 2;
        let mut graph = Self {
            edges: Vec::with_capacity(edges),
            starts: Vec::with_capacity(most + 1),
            arcs: Vec::with_capacity(2 * edges),
        };
        graph.fill(0, []);
        graph
    }

    /// Makes this a graph of `nodes` nodes and these edges `(u, v, length)`. Left out are loops, and edges
    /// whose length is not a number from 0 to [`MAX_LENGTH`]; how many is given back. No pair may come twice.
    /// Allocates only for more nodes than the graph was made for.
    pub fn fill(
        &mut self,
        nodes: usize,
        edges: impl IntoIterator<Item = (usize, usize, f64)>,
    ) -> usize {
        self.starts.resize(nodes + 1, 0);
        self.edges.clear();
        let mut refused = 0;
        for (u, v, length) in edges {
            match u != v && u.max(v) < nodes && (0.0..=MAX_LENGTH).contains(&length) {
                true => self.edges.push(Edge { u, v, length, curvature: 0.0 }),
                false => refused += 1,
            }
        }
        self.index();
        refused
    }

    /// Keeps only the edges for which `keep` is true; gives back how many went.
    pub fn retain(&mut self, keep: impl FnMut(&Edge) -> bool) -> usize {
        let before = self.edges.len();
        self.edges.retain(keep);
        self.index();
        before - self.edges.len()
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    /// The edges.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The edges at node `u`.
    pub fn arcs(&self, u: usize) -> &[Arc] {
        &self.arcs[self.starts[u]..self.starts[u + 1]]
    }

    /// The mean curvature of the edges at node `u`; 0 if it has none.
    pub fn node_curvature(&self, u: usize) -> f64 {
        let arcs = self.arcs(u);
        let sum: f64 = arcs.iter().map(|arc| self.edges[arc.edge].curvature).sum();
        sum / arcs.len().max(1) as f64
    }

    /// Sorts the arcs by node: counts them, then puts each at the end of those that came before it.
    fn index(&mut self) {
        self.starts.fill(0);
        for edge in &self.edges {
            self.starts[edge.u + 1] += 1;
            self.starts[edge.v + 1] += 1;
        }
        for i in 1..self.starts.len() {
            self.starts[i] += self.starts[i - 1];
        }
        self.arcs.resize(2 * self.edges.len(), Arc { to: 0, edge: 0 });
        // Each start moves to its end, which is the start of the next node, and back.
        for (edge, Edge { u, v, .. }) in self.edges.iter().enumerate() {
            for (from, to) in [(*u, *v), (*v, *u)] {
                self.arcs[self.starts[from]] = Arc { to, edge };
                self.starts[from] += 1;
            }
        }
        self.starts.rotate_right(1);
        self.starts[0] = 0;
    }
}
