//! One step of a walk: where it goes from each node.
//!
//! A walk that leaves node u goes to its neighbour v with the share exp(-w_uv^p) / sum over v' of
//! exp(-w_uv'^p). With p = 0 all neighbours have the same share, and so they have where the sum is 1e-7 or
//! less: all of them are far. The reference counts only the 3000 heaviest neighbours; here no node has as many.

use super::shortest::Paths;
use super::{Graph, MAX_NODES};

/// Sums of weights that are no longer divided by.
const LEAST_SUM: f64 = 1e-7;
const _: () = assert!(MAX_NODES <= 3000);

/// The shares of the neighbours of each node.
#[derive(Debug, Clone)]
pub struct Walks {
    nodes: usize,
    /// One for each edge: what it weighs in the walks from both of its ends.
    weights: Vec<f64>,
    /// Share by node and neighbour, in the order of [`Graph::arcs`], all of a row of `nodes`.
    shares: Vec<f64>,
    /// Row u: the mean distance to each node after one step from u.
    means: Vec<f64>,
}

impl Walks {
    /// Room for graphs of up to `most` nodes.
    pub fn new(most: usize) -> Self {
        Self {
            nodes: 0,
            weights: Vec::with_capacity(most * most.saturating_sub(1) / 2),
            shares: vec![0.0; most * most],
            means: vec![0.0; most * most],
        }
    }

    /// Finds the shares for exponent `power`.
    pub fn find(&mut self, graph: &Graph, power: f64) {
        self.nodes = graph.nodes();
        self.shares.resize(self.nodes * self.nodes, 0.0);
        self.weights.clear();
        self.weights.extend(graph.edges().iter().map(|edge| weight(edge.length, power)));
        for u in 0..self.nodes {
            let arcs = graph.arcs(u);
            let shares = &mut self.shares[u * self.nodes..][..arcs.len()];
            shares.iter_mut().zip(arcs).for_each(|(s, arc)| *s = self.weights[arc.edge]);
            let sum: f64 = shares.iter().sum();
            match sum > LEAST_SUM {
                true => shares.iter_mut().for_each(|s| *s /= sum),
                false => shares.fill(1.0 / arcs.len() as f64),
            }
        }
    }

    /// The share of each neighbour of `u`, in the order of [`Graph::arcs`]; the rest of the row has no
    /// meaning.
    pub fn from(&self, u: usize) -> &[f64] {
        &self.shares[u * self.nodes..(u + 1) * self.nodes]
    }

    /// Finds the mean distances that [`Walks::mean_distance`] needs.
    pub fn find_means(&mut self, graph: &Graph, paths: &Paths) {
        let n = self.nodes;
        self.means.resize(n * n, 0.0);
        for (u, mean) in self.means.chunks_exact_mut(n.max(1)).enumerate() {
            mean.fill(0.0);
            for (arc, share) in graph.arcs(u).iter().zip(&self.shares[u * n..]) {
                let from = paths.from(arc.to);
                mean.iter_mut().zip(from).for_each(|(m, d)| *m += share * d);
            }
        }
    }

    /// The mean distance between two walks that leave `u` and `v` independently of each other.
    pub fn mean_distance(&self, graph: &Graph, u: usize, v: usize) -> f64 {
        let mean = &self.means[u * self.nodes..(u + 1) * self.nodes];
        graph.arcs(v).iter().zip(self.from(v)).map(|(arc, share)| share * mean[arc.to]).sum()
    }
}

/// exp(-length^power).
fn weight(length: f64, power: f64) -> f64 {
    let raised = match power {
        0.0 => 1.0,
        1.0 => length,
        2.0 => length * length,
        _ => length.powf(power),
    };
    (-raised).exp()
}
