//! Communities: what holds together when long edges are cut.
//!
//! After Ricci flow, edges between communities are long. As a cutoff falls from the longest edge towards 1 in
//! steps of 0.025, more and more of them go, and the components that are left are the communities. Where
//! the *modularity* rises by more than 1 % from one cutoff to the next lower one, something good was cut;
//! the lowest such cutoff is taken. The reference passes over a cut that makes two parts of one whole, whose
//! modularity is 0; here it is taken if there is no other.
//!
//! ```text
//! modularity = sum over communities of  I / W - (D / 2 W)^2
//! ```
//!
//! of the graph that is left, with weights equal to lengths, as in the reference: W is the sum of all weights,
//! I of those within a community, D the sum of the strengths of its nodes. Reference: Newman 2004, Phys.
//! Rev. E 70; the scan is that of GraphRicciCurvature 0.5.3.

use super::{Edge, Graph};

/// From one cutoff to the next.
const STEP: f64 = 0.025;
/// Cutoffs stay above this, the mean length after a flow.
const LOWEST: f64 = 1.0;
/// A good cut raises the modularity by a larger share.
const DROP: f64 = 0.01;
/// Modularities that count as none.
const NONE: f64 = 1e-4;

/// The components of a graph, by union and find.
#[derive(Debug, Clone)]
pub struct Components {
    parents: Vec<u32>,
    sizes: Vec<u32>,
}

impl Components {
    /// Room for graphs of up to `most` nodes.
    pub fn new(most: usize) -> Self {
        Self { parents: Vec::with_capacity(most), sizes: Vec::with_capacity(most) }
    }

    /// Finds the components of `graph` by the edges that are no longer than `cutoff`.
    pub fn find(&mut self, graph: &Graph, cutoff: f64) {
        self.clear(graph.nodes());
        for edge in graph.edges().iter().filter(|edge| edge.length <= cutoff) {
            self.join(edge.u, edge.v);
        }
    }

    /// The component that `node` is in: the number of one of its nodes, the same for all of them.
    pub fn of(&self, node: usize) -> usize {
        let mut node = node;
        while self.parents[node] as usize != node {
            node = self.parents[node] as usize;
        }
        node
    }

    /// The component with most nodes.
    pub fn largest(&self) -> usize {
        let roots = (0..self.parents.len()).filter(|i| self.parents[*i] as usize == *i);
        // Of several, the one that comes first.
        roots.rev().max_by_key(|i| self.sizes[*i]).unwrap_or_default()
    }

    /// How many components there are.
    pub fn count(&self) -> usize {
        self.parents.iter().enumerate().filter(|(i, parent)| *i == **parent as usize).count()
    }

    fn clear(&mut self, nodes: usize) {
        self.parents.clear();
        self.parents.extend(0..nodes as u32);
        self.sizes.clear();
        self.sizes.resize(nodes, 1);
    }

    /// Joins two components if they are not one already. The first one's number, after which the second one
    /// has it too, and the number that is given up.
    fn join(&mut self, u: usize, v: usize) -> (usize, Option<usize>) {
        let (a, b) = (self.of(u), self.of(v));
        if a == b {
            return (a, None);
        }
        let (stays, goes) = if self.sizes[a] >= self.sizes[b] { (a, b) } else { (b, a) };
        self.parents[goes] = stays as u32;
        self.sizes[stays] += self.sizes[goes];
        (stays, Some(goes))
    }
}

/// The modularity of the communities `of` nodes are in, numbered below the number of nodes, with lengths as
/// weights.
pub fn modularity(graph: &Graph, of: impl Fn(usize) -> usize) -> f64 {
    let mut strengths = vec![0.0; graph.nodes()];
    let (mut whole, mut within) = (0.0, 0.0);
    for edge in graph.edges() {
        let (a, b) = (of(edge.u), of(edge.v));
        strengths[a] += edge.length;
        strengths[b] += edge.length;
        whole += edge.length;
        within += if a == b { edge.length } else { 0.0 };
    }
    let squares: f64 = strengths.iter().map(|d| (d / (2.0 * whole)).powi(2)).sum();
    if whole > 0.0 { within / whole - squares } else { 0.0 }
}

/// Finds communities.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The communities that were found.
    pub communities: Components,
    /// Lengths and numbers of the edges.
    edges: Vec<(f64, u32)>,
    /// The sum of lengths within each component.
    within: Vec<f64>,
}

impl Cut {
    /// Room for graphs of up to `most` nodes.
    pub fn new(most: usize) -> Self {
        Self {
            communities: Components::new(most),
            edges: Vec::with_capacity(most * most.saturating_sub(1) / 2),
            within: Vec::with_capacity(most),
        }
    }

    /// The cutoff at which `graph` falls into communities; these are then in `communities`. Where there is no
    /// good cut, none, and the communities are the components of the graph.
    pub fn find(&mut self, graph: &Graph) -> Option<f64> {
        let cutoff = self.scan(graph);
        self.communities.find(graph, cutoff.unwrap_or(f64::INFINITY));
        cutoff
    }

    /// The lowest good cutoff. Cutoffs are visited as they rise: edges come back, the shortest first. All edges
    /// that are there lie within a component, so the modularity is 1 - sum I^2 / W^2. It changes only at
    /// cutoffs at which an edge comes back; the others need not be visited.
    fn scan(&mut self, graph: &Graph) -> Option<f64> {
        self.start(graph);
        let longest = self.edges.last()?.0;
        let cutoff = |step: f64| longest - step * STEP;
        let modularity = |whole: f64, squares: f64| 1.0 - squares / (whole * whole);
        let falls = |before: f64, now: f64| before - now > DROP * before;
        let mut step = ((longest - LOWEST) / STEP).ceil() - 1.0;
        let (mut whole, mut squares, mut before) = (0.0, 0.0, f64::NAN);
        let mut last_resort = None;
        for i in 0..self.edges.len() {
            let (length, e) = self.edges[i];
            if length > cutoff(step) {
                let now = modularity(whole, squares);
                if falls(before, now) {
                    let lower = Some(cutoff(step + 1.0));
                    if now > NONE {
                        return lower;
                    }
                    last_resort = last_resort.or(lower);
                }
                before = now;
                step = ((longest - length) / STEP).floor();
                // Rounding may have made it one too many.
                step -= f64::from(length > cutoff(step));
            }
            whole += length;
            squares += self.bring_back(&graph.edges()[e as usize]);
        }
        let joins_all = falls(before, modularity(whole, squares));
        last_resort.or(joins_all.then(|| cutoff(1.0)))
    }

    fn start(&mut self, graph: &Graph) {
        self.edges.clear();
        self.edges.extend(graph.edges().iter().zip(0..).map(|(edge, e)| (edge.length, e)));
        self.edges.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        self.communities.clear(graph.nodes());
        self.within.clear();
        self.within.resize(graph.nodes(), 0.0);
    }

    /// By how much an edge that comes back makes the sum of squares grow.
    fn bring_back(&mut self, edge: &Edge) -> f64 {
        let (stays, goes) = self.communities.join(edge.u, edge.v);
        let (a, b) = (self.within[stays], goes.map_or(0.0, |goes| self.within[goes]));
        self.within[stays] = a + b + edge.length;
        self.within[stays].powi(2) - a * a - b * b
    }
}
