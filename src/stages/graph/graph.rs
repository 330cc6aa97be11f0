//! Features of nodes, or a covariance matrix, to a graph of who is like whom.
//!
//! In: n rows of features, one for each node; or a symmetric matrix, whose nodes are its n channels. Out: a graph
//! ([`crate::frame::graph`]) of n nodes. Two share an edge where one is among the `neighbours` nearest of the
//! other, or where they are within a radius. An edge is as long as they are apart
//! ([`crate::math::manifold::distance`]) and has the weight exp(-d^2 / (4 epsilon))
//! ([`crate::math::manifold::heat`]), which is never rounded to 0; two nodes alike in everything share an
//! edge of length 0 and weight 1. The features go along; those of a channel of a matrix are its row.
//! No delay.
//!
//! A node whose distances cannot be told (numbers that are not finite; under `correlation` a node that does not
//! vary) stays without edges, and its numbers that are not finite become 0. Such a graph, and any other that falls
//! into several parts, is marked BAD.
//!
//! Reference: Belkin and Niyogi, Neural Comput. 15 (2003).

use crate::error::{Error, Result};
use crate::frame::graph::Layout;
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::math::manifold::distance::Distance;
use crate::math::manifold::neighbours::Rule;
use crate::math::manifold::{components, heat};
use crate::stages::{Emit, Fault, Stage, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A graph of nodes, such as channels: edges between those that are alike. Marked BAD where it falls into
/// several parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How far nodes are from each other: `euclidean`, the length of the difference of their features, or
    /// `correlation`, one minus the correlation of their features. For the channels of a covariance
    /// matrix: `euclidean`, the root mean square of their difference, or `correlation`,
    /// sqrt(2 (1 - |r|)).
    pub distance: Distance,
    /// Two nodes share an edge where one is among so many nearest of the other; all do if there are no more
    /// than so many others.
    pub neighbours: usize,
    /// Two nodes share an edge where they are no farther apart than this; then `neighbours` does not
    /// matter.
    pub radius: Option<f64>,
    /// The width of the weights exp(-d^2 / (4 epsilon)). When left out, half the square of the median
    /// distance in each graph.
    pub epsilon: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { distance: Distance::Euclidean, neighbours: 8, radius: None, epsilon: None }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "distance = \"euclidean\"\nneighbours = 4\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if self.neighbours == 0 {
            return Err(Error::setting("neighbours", "is 0, expected 1 or more"));
        }
        for (key, value) in [("radius", self.radius), ("epsilon", self.epsilon)] {
            if value.is_some_and(|v| !(v > 0.0 && v.is_finite())) {
                return Err(Error::setting(key, "must be a number above 0"));
            }
        }
        Ok(Box::new(Graph { settings: self, ready: None }))
    }
}

struct Graph {
    settings: Settings,
    ready: Option<Ready>,
}

/// Once it is prepared.
struct Ready {
    input: Payload,
    layout: Layout,
    /// All pairs, n x n.
    distances: Vec<f64>,
    edges: Vec<bool>,
    /// Room for the features, for the distances of all pairs, and for n nodes.
    features: Vec<f64>,
    pairs: Vec<f64>,
    nodes: Vec<usize>,
    seen: Vec<bool>,
    out: Frame,
}

impl Stage for Graph {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = single(inputs, &[Payload::Nodes, Payload::Matrix])?;
        if input.rows < 2 || input.cols == 0 {
            return Err(Error::mismatch("takes two nodes or more, each with a feature or more"));
        }
        let layout = Layout { nodes: input.rows, features: input.cols };
        let spec = layout.spec(input);
        self.ready = Some(Ready::new(input.payload, layout, spec.frame()));
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let ready = self.ready.as_mut().ok_or(Fault("the stage is not prepared"))?;
        ready.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            ready.out.resize(0, ready.layout.cols());
        } else if frame.data.len() == ready.features.len() {
            ready.connect(&self.settings, &frame.data);
            ready.write(&self.settings, &frame.data);
        } else {
            return Err(Fault("the frame has another shape than was promised"));
        }
        emit.emit(&mut ready.out);
        Ok(())
    }

    fn reset(&mut self) {}
}

impl Ready {
    fn new(input: Payload, layout: Layout, out: Frame) -> Self {
        let n = layout.nodes;
        Self {
            input,
            layout,
            distances: vec![0.0; n * n],
            edges: vec![false; n * n],
            features: vec![0.0; n * layout.features],
            pairs: vec![0.0; n * (n - 1) / 2],
            nodes: vec![0; n],
            seen: vec![false; n],
            out,
        }
    }

    /// Finds all distances and who shares an edge.
    fn connect(&mut self, settings: &Settings, x: &[f64]) {
        let n = self.layout.nodes;
        match self.input {
            Payload::Matrix => settings.distance.of_covariance(x, n, &mut self.distances),
            _ => settings.distance.of_rows(x, n, &mut self.features, &mut self.distances),
        }
        let rule = settings.radius.map_or(Rule::Nearest(settings.neighbours), Rule::Within);
        rule.mark(&self.distances, n, &mut self.nodes, &mut self.edges);
    }

    /// Writes weights, lengths and features, and marks a graph that is not in one piece.
    fn write(&mut self, settings: &Settings, x: &[f64]) {
        let (layout, n) = (self.layout, self.layout.nodes);
        let scale = || heat::scale(&self.distances, n, &mut self.pairs);
        let epsilon = settings.epsilon.unwrap_or_else(scale);
        self.out.resize(n, layout.cols());
        self.out.data.fill(0.0);
        for e in (0..n * n).filter(|e| self.edges[*e]) {
            let (i, j) = (e / n, e % n);
            self.out.data[layout.weight(i, j)] = heat::weight(self.distances[e], epsilon);
            self.out.data[layout.length(i, j)] = self.distances[e];
        }
        let mut sound = true;
        for (i, from) in x.chunks_exact(layout.features).enumerate() {
            for (to, v) in self.out.data[layout.features(i)].iter_mut().zip(from) {
                sound &= v.is_finite();
                *to = if v.is_finite() { *v } else { 0.0 };
            }
        }
        let edge = |i: usize, j: usize| self.edges[i * n + j];
        if !sound || components::count(n, &mut self.nodes, &mut self.seen, edge) > 1 {
            self.out.flags |= Flags::BAD;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Settings as _;
    use crate::stages::testing::{Seen, numbers};

    fn run(settings: Settings, payload: Payload, cols: usize, data: &[f64]) -> (Layout, Frame) {
        let spec = Spec { payload, rows: data.len() / cols, cols, ..Spec::markers() };
        let mut stage = settings.build().unwrap();
        let out = stage.prepare(&[spec]).unwrap();
        let mut seen = Seen::default();
        stage.process(&mut numbers(cols, data), &mut seen).unwrap();
        (Layout::of(&out).unwrap(), seen.frames.remove(0))
    }

    fn nodes(settings: Settings, places: &[f64]) -> (Layout, Frame) {
        run(settings, Payload::Nodes, 1, places)
    }

    #[test]
    fn a_line_of_nodes() {
        let (layout, got) =
            nodes(Settings { neighbours: 1, ..Settings::default() }, &[0.0, 1.0, 3.0]);
        assert!(layout.fits(&got) && got.flags == Flags::NONE);
        assert_eq!(layout.edges(&got.data).collect::<Vec<_>>(), [(0, 1), (1, 2)]);
        // The distances are 0 three times and 1, 2, 3 twice each.
        let epsilon = 0.5;
        assert_eq!(got.data[layout.length(2, 1)], 2.0);
        assert_eq!(got.data[layout.weight(1, 2)], f64::exp(-4.0 / (4.0 * epsilon)));
        assert_eq!((got.data[layout.weight(0, 2)], got.data[layout.length(0, 2)]), (0.0, 0.0));
        assert_eq!(got.data[layout.features(2)], [3.0]);
    }

    #[test]
    fn duplicates_and_far_nodes_keep_their_edges() {
        let (layout, got) = nodes(Settings::default(), &[2.0, 2.0, 2.0, 1e9]);
        assert!(got.flags == Flags::NONE, "in one piece");
        assert_eq!((got.data[layout.weight(0, 1)], got.data[layout.length(0, 1)]), (1.0, 0.0));
        let narrow = Settings { epsilon: Some(1.0), ..Settings::default() };
        let (layout, got) = nodes(narrow, &[2.0, 2.0, 2.0, 1e9]);
        assert_eq!(got.data[layout.weight(3, 0)], f64::MIN_POSITIVE);
    }

    #[test]
    fn what_falls_apart_is_marked() {
        let near = Settings { radius: Some(1.5), ..Settings::default() };
        let (layout, got) = nodes(near.clone(), &[0.0, 1.0, 9.0, 10.0]);
        assert!(got.flags.has(Flags::BAD));
        assert_eq!(layout.edges(&got.data).count(), 2);
        for bad in [f64::NAN, f64::INFINITY, 1e300] {
            let (layout, got) = nodes(Settings::default(), &[0.0, 1.0, bad, 2.0]);
            assert!(got.flags.has(Flags::BAD) && got.data.iter().all(|v| v.is_finite()));
            assert_eq!(layout.edges(&got.data).collect::<Vec<_>>(), [(0, 1), (0, 3), (1, 3)]);
        }
    }

    #[test]
    fn channels_of_a_covariance() {
        let correlated = Settings { distance: Distance::Correlation, ..Settings::default() };
        let c = [4.0, -2.0, 0.0, -2.0, 4.0, 1.0, 0.0, 1.0, 1.0];
        let (layout, got) = run(correlated.clone(), Payload::Matrix, 3, &c);
        assert!(got.flags == Flags::NONE);
        assert!((got.data[layout.length(0, 1)] - 1.0).abs() < 1e-15);
        assert_eq!(got.data[layout.features(1)], [-2.0, 4.0, 1.0]);
        // A flat channel, and one that was lost.
        for (at, value) in [(8, 0.0), (4, f64::NAN)] {
            let mut c = c;
            c[at] = value;
            let (layout, got) = run(correlated.clone(), Payload::Matrix, 3, &c);
            assert!(got.flags.has(Flags::BAD) && got.data.iter().all(|v| v.is_finite()));
            assert_eq!(layout.edges(&got.data).count(), 1);
        }
    }

    #[test]
    fn settings_are_checked() {
        assert!(Settings { neighbours: 0, ..Settings::default() }.build().is_err());
        assert!(Settings { radius: Some(-1.0), ..Settings::default() }.build().is_err());
        assert!(Settings { epsilon: Some(f64::NAN), ..Settings::default() }.build().is_err());
        let one = Spec { payload: Payload::Nodes, rows: 1, cols: 3, ..Spec::markers() };
        assert!(Settings::default().build().unwrap().prepare(&[one]).is_err());
    }
}
