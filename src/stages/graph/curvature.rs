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
mod tests;
