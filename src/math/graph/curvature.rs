//! The Ollivier-Ricci curvature of the edges of a graph; formulas in [`super`].
//!
//! Three ways to find W1(mu_u, mu_v):
//!
//! - *exact*: optimal transport.
//! - *sinkhorn*: transport with an entropy of 0.1; larger than the exact distance by at most 0.1 times what the
//!   entropy of its plan is above that of the best one.
//! - *average*: alpha d(u, v) + (1 - alpha) times the mean of d(x, y) over neighbours x of u and y of v, as
//!   if the walks knew nothing of each other and chose all neighbours alike (p = 0). Cheap; it bounds the
//!   distance of such walks from above, so it bounds their curvature from below.
//!
//! **Mass in common stays.** The exact way solves for what mu_u and mu_v do not share. That costs nothing
//! where d is a metric: if a plan carries mass into z from x and out of z to y, carrying it from x to y
//! directly costs d(x, y) <= d(x, z) + d(z, y), and leaves as much at z. So some best plan has no place that
//! both sends and receives; there, min(mu_u(z), mu_v(z)) stays in z. Lengths of shortest paths are a metric.
//!
//! **Budgets.** Each edge first gets the bound that the average gives for its own walks (p as it is set).
//! Then the edges are solved one by one, as long as the caller says that there is time. The pivots of
//! the exact way are limited for each edge; what has been found by then is a bound that is closer.

use super::shortest::Paths;
use super::sinkhorn::Sinkhorn;
use super::transport::Transport;
use super::walks::Walks;
use super::{Edge, Graph, MIN_LENGTH};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the distance between two walks is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// By optimal transport.
    #[default]
    Exact,
    /// By transport with an entropy.
    Sinkhorn,
    /// As if the walks knew nothing of each other, and chose all neighbours alike.
    Average,
}

/// Masses that differ by no more than this are equal but for rounding.
const SAME_MASS: f64 = 1e-15;
/// The entropy of Sinkhorn's way, in units of length.
const REGULARISATION: f64 = 0.1;

/// What is to be found, and how far to go for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How the distance between walks is found.
    pub method: Method,
    /// How much of the mass stays, 0 to 1.
    pub alpha: f64,
    /// The exponent p, 0 or more.
    pub power: f64,
    /// The most pivots for one edge (exact way).
    pub pivots: usize,
    /// The most rounds for one edge (Sinkhorn's way).
    pub rounds: usize,
}

impl Default for Settings {
    /// Those of the reference; the limit on pivots is far above what an edge needs.
    fn default() -> Self {
        Self { method: Method::Exact, alpha: 0.5, power: 2.0, pivots: 100_000, rounds: 1000 }
    }
}

/// How it went.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pass {
    /// Edges whose curvature was found in the way that was asked for.
    pub solved: usize,
    /// Edges that were left with a bound, because a budget ran out or a kernel underflowed.
    pub left: usize,
    /// The most negative curvature taken from the largest; 0 without edges.
    pub spread: f64,
    /// By how much the plans of Sinkhorn's way miss their masses at most.
    pub violation: f64,
    /// Pivots of all edges together.
    pub pivots: usize,
}

/// Finds curvatures.
#[derive(Debug, Clone)]
pub struct Curvature {
    settings: Settings,
    paths: Paths,
    walks: Walks,
    /// mu_u - mu_v by node, 0 between two edges.
    difference: Vec<f64>,
    transport: Transport,
    sinkhorn: Sinkhorn,
}

impl Curvature {
    /// Room for graphs of up to `most` nodes.
    pub fn new(settings: Settings, most: usize) -> Self {
        let (transport, sinkhorn) = match settings.method {
            Method::Exact => (most, 0),
            Method::Sinkhorn => (0, most),
            Method::Average => (0, 0),
        };
        Self {
            settings,
            paths: Paths::new(most),
            walks: Walks::new(most),
            difference: vec![0.0; most],
            transport: Transport::new(transport),
            sinkhorn: Sinkhorn::new(sinkhorn),
        }
    }

    /// Finds the curvature of all edges of `graph`. Before each edge `may_go_on` is asked; from when it says
    /// no, edges are left with the bound.
    pub fn find(&mut self, graph: &mut Graph, mut may_go_on: impl FnMut() -> bool) -> Pass {
        self.bound(graph);
        let mut pass = Pass::default();
        match self.settings.method {
            Method::Average => pass.solved = graph.edges.len(),
            _ => {
                for e in 0..graph.edges.len() {
                    if !may_go_on() {
                        pass.left += graph.edges.len() - e;
                        break;
                    }
                    self.solve(graph, e, &mut pass);
                }
            }
        }
        pass.spread = spread(&graph.edges);
        pass
    }

    /// Gives all edges the curvature that the mean distance of independent walks makes.
    fn bound(&mut self, graph: &mut Graph) {
        let Settings { method, alpha, power, .. } = self.settings;
        self.paths.find(graph);
        self.walks.find(graph, if method == Method::Average { 0.0 } else { power });
        self.walks.find_means(graph, &self.paths);
        for e in 0..graph.edges.len() {
            let Edge { u, v, .. } = graph.edges[e];
            let apart = self.walks.mean_distance(graph, u, v);
            let distance = alpha * self.paths.between(u, v) + (1.0 - alpha) * apart;
            graph.edges[e].curvature = curvature(distance, graph.edges[e].length);
        }
    }

    fn solve(&mut self, graph: &mut Graph, e: usize, pass: &mut Pass) {
        let Edge { u, v, length, .. } = graph.edges[e];
        if length < MIN_LENGTH {
            pass.solved += 1;
            return;
        }
        let (distance, is_found) = match self.settings.method {
            Method::Sinkhorn => self.smooth_distance(graph, u, v, pass),
            _ => self.least_distance(graph, u, v, pass),
        };
        if let Some(distance) = distance {
            graph.edges[e].curvature = curvature(distance, length);
        }
        *(if is_found { &mut pass.solved } else { &mut pass.left }) += 1;
    }

    /// The distance by optimal transport, and whether it is the least.
    fn least_distance(
        &mut self,
        graph: &Graph,
        u: usize,
        v: usize,
        pass: &mut Pass,
    ) -> (Option<f64>, bool) {
        self.difference.resize(graph.nodes(), 0.0);
        for (node, sign) in [(u, 1.0), (v, -1.0)] {
            self.difference[node] += sign * self.settings.alpha;
            let moves = sign * (1.0 - self.settings.alpha);
            for (arc, share) in graph.arcs(node).iter().zip(self.walks.from(node)) {
                self.difference[arc.to] += moves * share;
            }
        }
        self.transport.clear();
        // Both ends are neighbours of each other, so this is everywhere a walk can be.
        for arc in graph.arcs(u).iter().chain(graph.arcs(v)) {
            let mass = std::mem::take(&mut self.difference[arc.to]);
            if mass.abs() > SAME_MASS {
                self.transport.add(arc.to, mass);
            }
        }
        let found = self.transport.solve(|x| self.paths.from(x), self.settings.pivots);
        pass.pivots += found.pivots;
        (Some(found.cost), found.is_least)
    }

    /// The distance by Sinkhorn's way, if there is one.
    fn smooth_distance(
        &mut self,
        graph: &Graph,
        u: usize,
        v: usize,
        pass: &mut Pass,
    ) -> (Option<f64>, bool) {
        let alpha = self.settings.alpha;
        let problem = &mut self.sinkhorn;
        problem.clear();
        for (node, masses) in [(u, &mut problem.a), (v, &mut problem.b)] {
            let shares = self.walks.from(node)[..graph.arcs(node).len()].iter();
            masses.extend(shares.map(|share| (1.0 - alpha) * share).chain([alpha]));
        }
        let places = |node| graph.arcs(node).iter().map(|arc| arc.to).chain([node]);
        for x in places(u) {
            let from = self.paths.from(x);
            problem.costs.extend(places(v).map(|y| from[y]));
        }
        let plan = problem.solve(REGULARISATION, self.settings.rounds);
        pass.violation = plan.map_or(pass.violation, |plan| plan.violation.max(pass.violation));
        (plan.map(|plan| plan.cost), plan.is_some())
    }
}

fn curvature(distance: f64, length: f64) -> f64 {
    if length < MIN_LENGTH { 0.0 } else { 1.0 - distance / length }
}

/// The least curvature taken from the largest.
fn spread(edges: &[Edge]) -> f64 {
    let values = || edges.iter().map(|edge| edge.curvature);
    let (least, most) =
        (values().fold(f64::INFINITY, f64::min), values().fold(-f64::INFINITY, f64::max));
    (most - least).max(0.0)
}
