//! Discrete Ricci flow: edges of positive curvature shrink, those of negative curvature grow.
//!
//! ```text
//! w <- w - step kappa w     all edges at once, at least 1e-6
//! w <- w E / sum w          E edges
//! ```
//!
//! and curvatures anew, until they all are equal within 1e-4 or the steps are used up. It runs on the largest
//! component of the graph; the others are taken out. Every so many steps edges longer than a cutoff may be
//! cut (*surgery*); E is then the number of those that are left.
//!
//! With step 1 an edge of curvature 1 would vanish in one step, and with weighted graphs lengths may swing
//! from step to step; hence the least length, and steps of 0.5 as a rule.

use super::Graph;
use super::community::Components;
use super::curvature::{Curvature, Pass};

/// The flow makes no edge shorter.
const LEAST_LENGTH: f64 = 1e-6;
/// Curvatures that differ by less are equal.
const EQUAL: f64 = 1e-4;

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The most steps.
    pub steps: usize,
    /// How much of its curvature an edge gives way to in one step, above 0 and at most 1.
    pub step: f64,
    /// Whether and when edges are cut.
    pub surgery: Option<Surgery>,
}

/// Cuts edges on the way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surgery {
    /// After every so many steps, not counting the first one; at least 1.
    pub every: usize,
    /// Edges longer than this are cut.
    pub cutoff: f64,
}

/// How it went.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    /// Steps taken.
    pub steps: usize,
    /// The last search for curvatures; its spread says how far from its end the flow is.
    pub pass: Pass,
    /// Edges that were not in the largest component.
    pub outside: usize,
    /// Edges that were cut.
    pub cut: usize,
    /// Whether time ran out.
    pub is_short: bool,
}

/// Runs flows.
#[derive(Debug, Clone)]
pub struct Flow {
    settings: Settings,
    components: Components,
}

impl Flow {
    /// Room for graphs of up to `most` nodes.
    pub fn new(settings: Settings, most: usize) -> Self {
        Self { settings, components: Components::new(most) }
    }

    /// Runs the flow on `graph`, whose lengths and curvatures change. Before each step and each edge
    /// `may_go_on` is asked; when it says no, the flow ends, with bounds for the edges that are left.
    pub fn run(
        &mut self,
        graph: &mut Graph,
        curvature: &mut Curvature,
        mut may_go_on: impl FnMut() -> bool,
    ) -> Outcome {
        let outside = self.keep_largest(graph);
        let pass = curvature.find(graph, &mut may_go_on);
        let mut out = Outcome { pass, outside, ..Outcome::default() };
        while out.steps < self.settings.steps && !graph.edges.is_empty() {
            if !may_go_on() {
                out.is_short = true;
                break;
            }
            self.step(graph);
            out.pass = curvature.find(graph, &mut may_go_on);
            out.steps += 1;
            if out.pass.spread < EQUAL {
                break;
            }
            out.cut += self.operate(graph, out.steps - 1);
        }
        out
    }

    fn keep_largest(&mut self, graph: &mut Graph) -> usize {
        self.components.find(graph, f64::INFINITY);
        let largest = self.components.largest();
        graph.retain(|edge| self.components.of(edge.u) == largest)
    }

    fn step(&self, graph: &mut Graph) {
        let edges = &mut graph.edges;
        for edge in edges.iter_mut() {
            let shrinks = self.settings.step * edge.curvature * edge.length;
            edge.length = (edge.length - shrinks).max(LEAST_LENGTH);
        }
        let scale = edges.len() as f64 / edges.iter().map(|edge| edge.length).sum::<f64>();
        edges.iter_mut().for_each(|edge| edge.length *= scale);
    }

    fn operate(&self, graph: &mut Graph, steps: usize) -> usize {
        match self.settings.surgery {
            Some(Surgery { every, cutoff }) if steps != 0 && steps.is_multiple_of(every) => {
                graph.retain(|edge| edge.length <= cutoff)
            }
            _ => 0,
        }
    }
}
