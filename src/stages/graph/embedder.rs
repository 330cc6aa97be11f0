//! The coordinates of the nodes of one graph by itself, before they are rotated.

use super::eigenmap::{Scale, Settings};
use crate::frame::graph::Layout;
use crate::math::manifold::eigenmap::{Eigenmap as Map, rescale};
use crate::math::manifold::{components, heat};

/// Weights above this are none.
const LARGEST_WEIGHT: f64 = 1e100;

/// Coordinates of one graph by itself.
pub struct Embedder {
    /// The weights as they came, n x n.
    pub given: Vec<f64>,
    /// As they are used.
    weights: Vec<f64>,
    map: Map,
    /// The coordinates found last, node by node, as many as are looked at.
    pub coordinates: Vec<f64>,
    sums: Vec<f64>,
    queue: Vec<usize>,
    seen: Vec<bool>,
}

impl Embedder {
    /// Room for graphs of `n` nodes. Allocates.
    pub fn new(n: usize, settings: &Settings) -> Self {
        Self {
            given: vec![0.0; n * n],
            weights: vec![0.0; n * n],
            map: Map::new(n, settings.pool()),
            coordinates: vec![0.0; n * settings.pool()],
            sums: vec![0.0; n],
            queue: vec![0; n],
            seen: vec![false; n],
        }
    }

    /// Finds the coordinates of the nodes of the graph in `data`; false if it is not sound.
    pub fn find(&mut self, layout: Layout, data: &[f64], settings: &Settings) -> bool {
        let n = layout.nodes;
        let mut sound = self.take_weights(layout, data);
        let edge = |i: usize, j: usize| self.given[i * n + j] > 0.0;
        sound &= components::count(n, &mut self.queue, &mut self.seen, edge) == 1;
        self.weights.copy_from_slice(&self.given);
        if settings.normalise {
            heat::normalise(&mut self.weights, n, &mut self.sums);
        }
        sound &= self.map.find(&self.weights);
        self.coordinates.copy_from_slice(self.map.coordinates());
        match settings.scale {
            Scale::Unit => {}
            Scale::Variance => {
                let factor = self.map.degrees().iter().sum::<f64>().sqrt();
                self.coordinates.iter_mut().for_each(|y| *y *= factor);
            }
            Scale::Range => rescale(&mut self.coordinates, settings.pool()),
        }
        sound
    }

    /// Copies the weights; false if some are none.
    fn take_weights(&mut self, layout: Layout, data: &[f64]) -> bool {
        let (n, mut sound) = (layout.nodes, true);
        for i in 0..n {
            for j in 0..i {
                let w = data[layout.weight(i, j)];
                let fits = (0.0..LARGEST_WEIGHT).contains(&w);
                sound &= fits;
                let w = if fits { w } else { 0.0 };
                (self.given[i * n + j], self.given[j * n + i]) = (w, w);
            }
        }
        sound
    }
}
