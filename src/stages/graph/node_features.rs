//! Node features: what a graph says of its nodes, as one vector, for decoders that do not know graphs.
//!
//! In: graphs. Out: a vector of the parts that are asked for, in this order, each in the order of the nodes:
//!
//! ```text
//! features             the features of node 0, of node 1, ..
//! summary              the mean of each feature over the nodes, then its standard deviation (over n)
//! degrees              how many edges each node has
//! triangles            how many triangles each node is on, (A^3)_ii / 2
//! node_curvature       the mean curvature of the edges at each node, 0 without edges
//! curvature_quantiles  quantiles of the curvature of all edges, between two of them in proportion; 0 without edges
//! ```
//!
//! Delay: none. Numbers that are not finite become 0, and mark the vector BAD.
//!
//! References: Dey, Rao, Shah, arXiv 2306.09239 (triangles); [`crate::math::graph`].

use super::reading::{finite_or_zero, layout_of, read};
use crate::error::{Error, Result};
use crate::frame::graph::Layout;
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::kind;
use crate::math::graph::Graph;
use crate::math::graph::motifs::Motifs;
use crate::math::quantile::quantile;
use crate::stages::{Emit, Fault, Stage, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Turns a graph into a vector of what it says of its nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Holds the features of each node.
    pub features: bool,
    /// Holds mean and standard deviation of each feature over the nodes.
    pub summary: bool,
    /// Holds the number of edges of each node.
    pub degrees: bool,
    /// Holds the number of triangles that each node is on.
    pub triangles: bool,
    /// Holds the mean curvature of the edges of each node.
    pub node_curvature: bool,
    /// Holds these quantiles of the curvature of all edges, each 0 to 1.
    pub curvature_quantiles: Vec<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            features: true,
            summary: false,
            degrees: false,
            triangles: false,
            node_curvature: false,
            curvature_quantiles: Vec::new(),
        }
    }
}

impl kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "features = true\nsummary = true\ntriangles = true\n\
                                   node_curvature = true\ncurvature_quantiles = [0.1, 0.5, 0.9]\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if !self.curvature_quantiles.iter().all(|q| (0.0..=1.0).contains(q)) {
            return Err(Error::setting("curvature_quantiles", "each must be from 0 to 1"));
        }
        Ok(Box::new(NodeFeatures { settings: self, ready: None }))
    }
}

impl Settings {
    /// How many numbers a graph makes.
    fn count(&self, layout: Layout) -> usize {
        let Layout { nodes, features } = layout;
        let parts = [
            (self.features, nodes * features),
            (self.summary, 2 * features),
            (self.degrees, nodes),
            (self.triangles, nodes),
            (self.node_curvature, nodes),
            (true, self.curvature_quantiles.len()),
        ];
        parts.iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, count)| count).sum()
    }
}

struct NodeFeatures {
    settings: Settings,
    ready: Option<Ready>,
}

struct Ready {
    layout: Layout,
    graph: Graph,
    motifs: Motifs,
    curvatures: Vec<f64>,
    out: Frame,
}

impl Stage for NodeFeatures {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let layout = layout_of(inputs)?;
        let cols = self.settings.count(layout);
        if cols == 0 {
            return Err(Error::mismatch("nothing is asked for that these graphs have"));
        }
        let input = single(inputs, &[Payload::Graph])?.clone();
        let spec = Spec { payload: Payload::Vector, rows: 1, cols, channels: Vec::new(), ..input };
        self.ready = Some(Ready {
            layout,
            graph: Graph::new(layout.nodes),
            motifs: Motifs::new(layout.nodes),
            curvatures: Vec::with_capacity(layout.nodes * layout.nodes / 2),
            out: spec.frame(),
        });
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let ready = self.ready.as_mut().ok_or(Fault("the stage is not prepared"))?;
        ready.out.copy_head(frame);
        let is_end = frame.data.is_empty();
        if !is_end && !ready.layout.fits(frame) {
            return Err(Fault("the graph has another shape than was promised"));
        }
        ready.out.data.clear();
        if !is_end {
            ready.make(&self.settings, &frame.data);
            ready.out.cols = ready.out.data.len();
        }
        ready.out.rows = usize::from(!is_end);
        emit.emit(&mut ready.out);
        Ok(())
    }

    fn reset(&mut self) {}
}

impl Ready {
    fn make(&mut self, settings: &Settings, data: &[f64]) {
        // Lengths do not matter here.
        if !read(&mut self.graph, self.layout, data, true) {
            self.out.flags |= Flags::BAD;
        }
        self.motifs.take(&self.graph);
        let Self { layout, graph, motifs, out, .. } = self;
        let nodes = 0..layout.nodes;
        let out = &mut out.data;
        if settings.features {
            let features = nodes.clone().flat_map(|i| &data[layout.features(i)]);
            out.extend(features.map(|v| finite_or_zero(*v)));
        }
        if settings.summary {
            summarise(*layout, data, out);
        }
        if settings.degrees {
            out.extend(nodes.clone().map(|i| f64::from(motifs.degree(i))));
        }
        if settings.triangles {
            out.extend(nodes.clone().map(|i| f64::from(motifs.triangles(graph, i))));
        }
        if settings.node_curvature {
            out.extend(nodes.map(|i| mean_curvature(*layout, graph, data, i)));
        }
        self.add_quantiles(&settings.curvature_quantiles, data);
    }

    fn add_quantiles(&mut self, quantiles: &[f64], data: &[f64]) {
        let Self { layout, graph, curvatures, out, .. } = self;
        let of = |u, v| finite_or_zero(data[layout.curvature(u, v)]);
        curvatures.clear();
        curvatures.extend(graph.edges().iter().map(|edge| of(edge.u, edge.v)));
        curvatures.sort_unstable_by(f64::total_cmp);
        out.data.extend(quantiles.iter().map(|q| finite_or_zero(quantile(curvatures, *q))));
    }
}

/// Adds the means of the features over the nodes, then their standard deviations.
fn summarise(layout: Layout, data: &[f64], out: &mut Vec<f64>) {
    let count = layout.nodes as f64;
    let column = |f: usize| {
        (0..layout.nodes).map(move |i| finite_or_zero(data[layout.features(i).start + f]))
    };
    let mean = |f| column(f).sum::<f64>() / count;
    let deviation = |f| {
        let mean = mean(f);
        (column(f).map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt()
    };
    out.extend((0..layout.features).map(mean).map(finite_or_zero));
    out.extend((0..layout.features).map(deviation).map(finite_or_zero));
}

fn mean_curvature(layout: Layout, graph: &Graph, data: &[f64], i: usize) -> f64 {
    let arcs = graph.arcs(i);
    let of = |j| finite_or_zero(data[layout.curvature(i, j)]);
    let sum: f64 = arcs.iter().map(|arc| of(arc.to)).sum();
    finite_or_zero(sum / arcs.len().max(1) as f64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::stages::testing::{Seen, numbers, samples};

    const LAYOUT: Layout = Layout { nodes: 4, features: 2 };

    /// A triangle of the nodes 0, 1, 2 with a tail to node 3, curved by 0.1, 0.2, 0.3 and -0.4.
    fn graph() -> Frame {
        let mut frame = numbers(LAYOUT.cols(), &[0.0; 4 * 14]);
        for (u, v, curvature) in [(0, 1, 0.1), (0, 2, 0.2), (1, 2, 0.3), (2, 3, -0.4)] {
            for (i, j) in [(u, v), (v, u)] {
                frame.data[LAYOUT.weight(i, j)] = 1.0;
                frame.data[LAYOUT.curvature(i, j)] = curvature;
            }
        }
        for i in 0..4 {
            frame.data[LAYOUT.features(i)].copy_from_slice(&[i as f64, 10.0]);
        }
        frame
    }

    fn run(toml: &str, mut frame: Frame) -> Frame {
        let mut stage = kind::Settings::build(toml::from_str::<Settings>(toml).unwrap()).unwrap();
        let spec = stage.prepare(&[LAYOUT.spec(&samples(&["C3"], 100.0))]).unwrap();
        let mut seen = Seen::default();
        stage.process(&mut frame, &mut seen).unwrap();
        let out = seen.frames[0].clone();
        assert_eq!((spec.payload, out.rows, out.cols), (Payload::Vector, 1, spec.cols));
        assert_eq!(out.data.len(), spec.cols);
        out
    }

    #[test]
    fn each_part_is_what_it_says() {
        let near = |toml: &str, want: &[f64]| {
            let got = run(toml, graph()).data;
            let is_near = got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12);
            assert!(is_near && got.len() == want.len(), "{toml}: {got:?}");
        };
        near("", &[0.0, 10.0, 1.0, 10.0, 2.0, 10.0, 3.0, 10.0]);
        near("features = false\nsummary = true", &[1.5, 10.0, 1.25_f64.sqrt(), 0.0]);
        near("features = false\ndegrees = true", &[2.0, 2.0, 3.0, 1.0]);
        near("features = false\ntriangles = true", &[1.0, 1.0, 1.0, 0.0]);
        near("features = false\nnode_curvature = true", &[0.15, 0.2, 0.1 / 3.0, -0.4]);
        let quantiles = "features = false\ncurvature_quantiles = [0.0, 0.5, 0.75, 1.0]";
        near(quantiles, &[-0.4, 0.15, 0.225, 0.3]);
        near(
            "features = false\ndegrees = true\ncurvature_quantiles = [1.0]",
            &[2.0, 2.0, 3.0, 1.0, 0.3],
        );
    }

    #[test]
    fn what_is_no_number_becomes_zero_and_is_marked() {
        let all = "summary = true\ndegrees = true\ntriangles = true\nnode_curvature = true\n\
                   curvature_quantiles = [0.0, 0.3, 1.0]";
        for place in [LAYOUT.weight(0, 1), LAYOUT.curvature(0, 1), LAYOUT.features(2).start] {
            for value in [f64::NAN, f64::INFINITY] {
                let mut frame = graph();
                frame.data[place] = value;
                let out = run(all, frame);
                assert!(out.flags.has(Flags::BAD) && out.data.iter().all(|v| v.is_finite()));
            }
        }
        let mut empty = graph();
        empty.data.fill(0.0);
        let out = run(all, empty);
        assert!(!out.flags.has(Flags::BAD) && out.data.iter().all(|v| *v == 0.0));
    }

    #[test]
    fn settings_and_input_are_checked() {
        let build = |toml: &str| kind::Settings::build(toml::from_str::<Settings>(toml).unwrap());
        assert!(build("curvature_quantiles = [1.5]").is_err());
        let input = [LAYOUT.spec(&samples(&["C3"], 100.0))];
        assert!(build("features = false").unwrap().prepare(&input).is_err());
        let mut stage = build("").unwrap();
        stage.prepare(&input).unwrap();
        assert!(stage.process(&mut numbers(2, &[0.0; 4]), &mut Seen::default()).is_err());
        let mut seen = Seen::default();
        let mut end = numbers(LAYOUT.cols(), &[]);
        end.flags = Flags::END;
        stage.process(&mut end, &mut seen).unwrap();
        assert_eq!((seen.frames[0].rows, seen.frames[0].flags), (0, Flags::END));
    }
}
