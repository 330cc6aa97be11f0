//! Curvature: how much the neighbourhoods of two nodes overlap, and lengths that follow from it.
//!
//! In: graphs. Out: the same graphs, with the Ollivier-Ricci curvature of each edge, and lengths after Ricci
//! flow; weights and features stay. `node_curvature` adds one feature: the mean curvature at each node. Edges
//! that the flow takes out are gone (weight, length and curvature 0): those outside the largest component,
//! those that surgery cuts, and with `communities` those between communities. Delay: none. Formulas:
//! [`crate::math::graph`].
//!
//! **What is marked.** A frame is BAD if a number in it is not finite or a length is none (replaced by 0, or the
//! edge left out), if nodes lie on top of each other (a length below 1e-7), or if the graph falls apart. All
//! numbers that go out are finite.
//!
//! **What is counted.** Where a budget runs out (time, or pivots of an edge), the edges that are left keep a bound, and
//! the frame is counted under `budget`. It is not BAD: the samples are sound, and the bound is a number of use,
//! the curvature of walks that know nothing of each other.
//!
//! **Lanes.** The average without flow runs on the real-time lane: it takes as long for every graph. All else is
//! of a length that depends on the graph, and gets a lane of its own. A time budget makes numbers depend on the
//! clock: a replay may then differ from the run. Without one it does not.

use super::reading::{finite_or_zero, layout_of, read};
use crate::clock;
use crate::error::{Error, Result};
use crate::frame::graph::Layout;
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::kind;
use crate::ledger::Cause;
use crate::math::graph::community::{Components, Cut};
use crate::math::graph::curvature::{self, Curvature as Finder, Method};
use crate::math::graph::flow::{self, Flow, Surgery};
use crate::math::graph::{Graph, MIN_LENGTH};
use crate::stages::{Emit, Fault, Stage, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Curvature of the edges of a graph, and Ricci flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How the distance between two neighbourhoods is found.
    pub method: Method,
    /// How much of a walk stays where it is, 0 to below 1.
    pub alpha: f64,
    /// A neighbour at the distance w weighs exp(-w^power); with 0 all weigh the same.
    pub power: f64,
    /// Takes all edges to be 1 long, whatever the lengths say.
    pub unit_lengths: bool,
    /// Steps of Ricci flow; 0 for none.
    pub flow_steps: usize,
    /// How far a step of the flow goes, above 0 and at most 1. The definition has 1; lengths that differ
    /// much swing less with 0.5.
    pub step: f64,
    /// The flow cuts edges that become longer than this, where the mean is 1. None are if it is left out.
    pub surgery_cutoff: Option<f64>,
    /// After how many steps it cuts, again and again.
    pub surgery_every: usize,
    /// Cuts the edges between communities after the flow.
    pub communities: bool,
    /// Adds the mean curvature at each node to its features.
    pub node_curvature: bool,
    /// So much time may be spent on a graph; edges that are left have bounds. As long as it takes if it is
    /// left out.
    pub budget_ms: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        let curvature::Settings { method, alpha, power, .. } = curvature::Settings::default();
        Self {
            method,
            alpha,
            power,
            unit_lengths: false,
            flow_steps: 0,
            step: 0.5,
            surgery_cutoff: None,
            surgery_every: 5,
            communities: false,
            node_curvature: false,
            budget_ms: None,
        }
    }
}

impl kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "method = \"exact\"\nflow_steps = 3\nstep = 0.5\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        let check = |is_right: bool, key: &'static str, text: &str| match is_right {
            true => Ok(()),
            false => Err(Error::setting(key, text)),
        };
        let positive = |x: f64| x.is_finite() && x > 0.0;
        check((0.0..1.0).contains(&self.alpha), "alpha", "must be from 0 to below 1")?;
        check(self.power.is_finite() && self.power >= 0.0, "power", "must be 0 or more")?;
        check(positive(self.step) && self.step <= 1.0, "step", "must be above 0 and at most 1")?;
        let cutoff = self.surgery_cutoff.is_none_or(positive);
        check(cutoff, "surgery_cutoff", "must be above 0")?;
        check(self.surgery_every > 0, "surgery_every", "must be 1 or more")?;
        let can_part = !self.communities || self.flow_steps > 0;
        check(can_part, "communities", "communities show after a flow: set `flow_steps`")?;
        check(self.budget_ms.is_none_or(positive), "budget_ms", "must be above 0")?;
        Ok(Box::new(Curvature { settings: self, ready: None }))
    }
}

struct Curvature {
    settings: Settings,
    ready: Option<Ready>,
}

struct Ready {
    given: Layout,
    made: Layout,
    graph: Graph,
    components: Components,
    finder: Finder,
    flow: Option<Flow>,
    cut: Option<Cut>,
    out: Frame,
}

impl Stage for Curvature {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let given = layout_of(inputs)?;
        let added = usize::from(self.settings.node_curvature);
        let made = Layout { features: given.features + added, ..given };
        let spec = made.spec(single(inputs, &[Payload::Graph])?);
        self.ready = Some(Ready::new(&self.settings, given, made, spec.frame()));
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let ready = self.ready.as_mut().ok_or(Fault("the stage is not prepared"))?;
        ready.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            ready.out.resize(0, ready.made.cols());
        } else if !ready.given.fits(frame) {
            return Err(Fault("the graph has another shape than was promised"));
        } else if ready.make(&self.settings, &frame.data) {
            emit.count(Cause::Budget, 1);
        }
        emit.emit(&mut ready.out);
        Ok(())
    }

    fn reset(&mut self) {}

    fn realtime(&self) -> bool {
        self.settings.method == Method::Average && self.settings.flow_steps == 0
    }
}

impl Ready {
    fn new(settings: &Settings, given: Layout, made: Layout, out: Frame) -> Self {
        let Settings { method, alpha, power, flow_steps, step, .. } = *settings;
        let most = given.nodes;
        let every = settings.surgery_every;
        let surgery = settings.surgery_cutoff.map(|cutoff| Surgery { every, cutoff });
        let flow = flow::Settings { steps: flow_steps, step, surgery };
        let finder = curvature::Settings { method, alpha, power, ..Default::default() };
        Self {
            given,
            made,
            graph: Graph::new(most),
            components: Components::new(most),
            finder: Finder::new(finder, most),
            flow: (flow_steps > 0).then(|| Flow::new(flow, most)),
            cut: settings.communities.then(|| Cut::new(most)),
            out,
        }
    }

    /// Makes the frame that goes out; whether a budget ran out.
    fn make(&mut self, settings: &Settings, data: &[f64]) -> bool {
        let is_sound = read(&mut self.graph, self.given, data, settings.unit_lengths);
        if !is_sound || self.is_degenerate() {
            self.out.flags |= Flags::BAD;
        }
        let end_s = settings.budget_ms.map(|ms| clock::now_s() + ms / 1000.0);
        let is_short = self.bend(|| end_s.is_none_or(|end_s| clock::now_s() < end_s));
        self.write(data);
        is_short
    }

    /// Whether nodes lie on top of each other, or some cannot be reached.
    fn is_degenerate(&mut self) -> bool {
        self.components.find(&self.graph, f64::INFINITY);
        self.components.count() > 1 || self.graph.edges().iter().any(|e| e.length < MIN_LENGTH)
    }

    /// Finds curvatures, and lets lengths flow; whether a budget ran out.
    fn bend(&mut self, may_go_on: impl FnMut() -> bool) -> bool {
        let Some(flow) = &mut self.flow else {
            return self.finder.find(&mut self.graph, may_go_on).left > 0;
        };
        let out = flow.run(&mut self.graph, &mut self.finder, may_go_on);
        if let Some(cut) = &mut self.cut {
            cut.find(&self.graph);
            let Cut { communities, .. } = cut;
            self.graph.retain(|edge| communities.of(edge.u) == communities.of(edge.v));
        }
        out.is_short || out.pass.left > 0
    }

    fn write(&mut self, data: &[f64]) {
        let Self { given, made, graph, out, .. } = self;
        out.resize(made.nodes, made.cols());
        out.data.fill(0.0);
        for edge in graph.edges() {
            let weight = data[given.weight(edge.u, edge.v)];
            for (i, j) in [(edge.u, edge.v), (edge.v, edge.u)] {
                out.data[made.weight(i, j)] = weight;
                out.data[made.length(i, j)] = edge.length;
                out.data[made.curvature(i, j)] = edge.curvature;
            }
        }
        for i in 0..made.nodes {
            let features = &mut out.data[made.features(i)];
            for (to, from) in features.iter_mut().zip(&data[given.features(i)]) {
                *to = finite_or_zero(*from);
            }
            if let Some(added) = features.get_mut(given.features) {
                *added = graph.node_curvature(i);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::stages::testing::{Seen, numbers, samples};

    const LAYOUT: Layout = Layout { nodes: 5, features: 1 };

    /// A graph frame with these edges and lengths; the feature of a node is its number.
    fn graph(edges: &[(usize, usize, f64)]) -> Frame {
        let mut frame = numbers(LAYOUT.cols(), &[0.0; 5 * 16]);
        for (u, v, length) in edges {
            for (i, j) in [(*u, *v), (*v, *u)] {
                frame.data[LAYOUT.weight(i, j)] = 0.5;
                frame.data[LAYOUT.length(i, j)] = *length;
            }
        }
        (0..5).for_each(|i| frame.data[LAYOUT.features(i).start] = i as f64);
        frame
    }

    const TWO_TRIANGLES: [(usize, usize, f64); 6] =
        [(0, 1, 1.0), (0, 2, 1.0), (1, 2, 1.0), (2, 3, 4.0), (2, 4, 4.0), (3, 4, 1.0)];

    fn run(toml: &str, mut frame: Frame) -> (Frame, Seen) {
        let settings: Settings = toml::from_str(toml).unwrap();
        let mut stage = kind::Settings::build(settings).unwrap();
        let spec = stage.prepare(&[LAYOUT.spec(&samples(&["C3"], 100.0))]).unwrap();
        let mut seen = Seen::default();
        stage.process(&mut frame, &mut seen).unwrap();
        let out = seen.frames[0].clone();
        assert_eq!((out.rows, out.cols, out.data.len()), (5, spec.cols, 5 * spec.cols));
        assert!(out.data.iter().all(|v| v.is_finite()), "{out:?}");
        let made = Layout::of(&spec).unwrap();
        for (i, j) in (0..5).flat_map(|i| (0..5).map(move |j| (i, j))) {
            for block in [Layout::weight, Layout::length, Layout::curvature] {
                assert_eq!(out.data[block(made, i, j)], out.data[block(made, j, i)]);
                let has_edge = out.data[made.weight(i, j)] > 0.0;
                assert!(has_edge || out.data[block(made, i, j)] == 0.0);
            }
        }
        (out, seen)
    }

    #[test]
    fn curvatures_and_lengths_are_written_and_all_else_stays() {
        let given = graph(&TWO_TRIANGLES);
        let (plain, _) = run("", given.clone());
        assert_eq!(plain.flags, Flags::NONE);
        for i in 0..5 {
            assert_eq!(plain.data[LAYOUT.features(i)], given.data[LAYOUT.features(i)]);
            for j in 0..5 {
                assert_eq!(plain.data[LAYOUT.weight(i, j)], given.data[LAYOUT.weight(i, j)]);
                assert_eq!(plain.data[LAYOUT.length(i, j)], given.data[LAYOUT.length(i, j)]);
            }
        }
        let curvature = |i, j| plain.data[LAYOUT.curvature(i, j)];
        assert!(curvature(0, 1) > curvature(2, 3), "{} {}", curvature(0, 1), curvature(2, 3));

        let (flowed, _) = run("flow_steps = 4\nnode_curvature = true", given);
        let made = Layout { features: 2, ..LAYOUT };
        let sum: f64 = made.edges(&flowed.data).map(|(i, j)| flowed.data[made.length(i, j)]).sum();
        assert!((sum - 6.0).abs() < 1e-9, "{sum}");
        let at_zero = [1, 2].map(|j| flowed.data[made.curvature(0, j)]);
        assert_eq!(flowed.data[made.features(0).start + 1], at_zero.iter().sum::<f64>() / 2.0);
    }

    #[test]
    fn a_length_of_one_stands_for_all() {
        let mut given = graph(&TWO_TRIANGLES);
        let ones = TWO_TRIANGLES.map(|(u, v, _)| (u, v, 1.0));
        for toml in ["", "method = \"average\"", "method = \"sinkhorn\""] {
            let want = run(toml, graph(&ones)).0;
            let got = run(&format!("unit_lengths = true\n{toml}"), given.clone()).0;
            assert_eq!(got.data, want.data);
        }
        given.data[LAYOUT.length(0, 1)] = f64::NAN;
        assert!(run("unit_lengths = true", given).0.flags.has(Flags::BAD));
    }

    #[test]
    fn communities_part() {
        let mut edges = TWO_TRIANGLES.to_vec();
        edges.truncate(3);
        edges.extend([(2, 3, 6.0), (3, 4, 1.0)]);
        let (parted, _) = run("flow_steps = 6\nstep = 0.5\ncommunities = true", graph(&edges));
        assert_eq!(parted.data[LAYOUT.weight(2, 3)], 0.0);
        assert!(parted.data[LAYOUT.weight(3, 4)] > 0.0 && parted.data[LAYOUT.weight(0, 2)] > 0.0);
        let (cut, _) =
            run("flow_steps = 6\nsurgery_cutoff = 1.5\nsurgery_every = 2", graph(&edges));
        assert_eq!(cut.data[LAYOUT.weight(2, 3)], 0.0);
    }

    #[test]
    fn degenerate_graphs_are_marked() {
        let mut nan = graph(&TWO_TRIANGLES);
        nan.data[LAYOUT.features(2).start] = f64::NAN;
        let mut infinite = graph(&TWO_TRIANGLES);
        infinite.data[LAYOUT.weight(0, 1)] = f64::INFINITY;
        infinite.data[LAYOUT.weight(1, 0)] = f64::INFINITY;
        let mut twins = TWO_TRIANGLES;
        twins[0].2 = 0.0;
        let with = |length| graph(&[(0, 1, length), (0, 2, 1.0), (0, 3, 1.0), (0, 4, 1.0)]);
        let bad = [
            graph(&[]),
            graph(&TWO_TRIANGLES[..3]),
            graph(&twins),
            with(f64::NAN),
            with(f64::INFINITY),
            with(1e300),
            with(1e-300),
            with(-1.0),
            nan,
            infinite,
        ];
        for toml in [
            "",
            "power = 0.0",
            "method = \"sinkhorn\"",
            "method = \"average\"",
            "flow_steps = 3\nstep = 1.0",
            "flow_steps = 3\ncommunities = true\nnode_curvature = true",
        ] {
            for frame in &bad {
                assert!(run(toml, frame.clone()).0.flags.has(Flags::BAD), "{toml}: {frame:?}");
            }
        }
    }

    #[test]
    fn a_budget_that_runs_out_is_counted() {
        for toml in ["budget_ms = 1e-9", "budget_ms = 1e-9\nflow_steps = 3"] {
            let (short, seen) = run(toml, graph(&TWO_TRIANGLES));
            assert_eq!(seen.counts, [(Cause::Budget, 1)]);
            assert_eq!(short.flags, Flags::NONE);
            assert!(short.data[LAYOUT.curvature(0, 1)] != 0.0);
        }
        assert_eq!(run("budget_ms = 1e6", graph(&TWO_TRIANGLES)).1.counts, []);
    }

    #[test]
    fn settings_are_checked() {
        let build = |toml: &str| kind::Settings::build(toml::from_str::<Settings>(toml).unwrap());
        for toml in [
            "alpha = 1.0",
            "alpha = nan",
            "power = -1.0",
            "step = 0.0",
            "step = 1.5",
            "surgery_cutoff = 0.0",
            "surgery_every = 0",
            "communities = true",
            "budget_ms = 0.0",
        ] {
            let key = toml.split(' ').next().unwrap();
            let error = build(toml).err().unwrap().to_string();
            assert!(!error.is_empty(), "{key}");
        }
        let is_realtime = |toml| build(toml).unwrap().realtime();
        assert!(is_realtime("method = \"average\""));
        assert!(!is_realtime("method = \"average\"\nflow_steps = 1") && !is_realtime(""));
        let mut stage = build("").unwrap();
        assert!(stage.prepare(&[samples(&["C3"], 100.0)]).is_err());
        let large = Layout { nodes: 513, features: 0 }.spec(&samples(&["C3"], 100.0));
        assert!(stage.prepare(&[large]).is_err());
        stage.prepare(&[LAYOUT.spec(&samples(&["C3"], 100.0))]).unwrap();
        assert!(stage.process(&mut numbers(2, &[0.0; 4]), &mut Seen::default()).is_err());
    }
}
