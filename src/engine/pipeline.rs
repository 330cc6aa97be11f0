//! The pipeline: takes a frame from a source through every stage that wants it.
//!
//! The graph is a list of nodes in the order of the config; an edge always leads to a later node,
//! so walking the list with `split_at_mut` is all the executor needs. A frame is offered to the
//! taps first, then to each following stage; only where the way forks is it copied.

use super::tap::Tap;
use crate::config::OnGap;
use crate::frame::{Flags, Frame, Spec};
use crate::ledger::{Cause, Counters};
use crate::stages::{Emit, Stage};
use std::sync::Arc;
use std::time::Instant;

/// Where the frames of a source or a stage go.
pub struct Route {
    edges: Vec<Edge>,
    taps: Vec<Tap>,
    copy: Frame,
}

/// The way to a later node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Index of the node.
    pub node: usize,
    /// By which of its inputs the frame arrives there.
    pub input: usize,
}

/// A stage in its place.
pub struct Node {
    stage: Box<dyn Stage>,
    route: Route,
    counters: Arc<Counters>,
}

impl Route {
    /// A route for frames of `spec`.
    pub fn new(spec: &Spec, edges: Vec<Edge>, taps: Vec<Tap>) -> Self {
        Self { edges, taps, copy: spec.frame() }
    }
}

impl Node {
    /// A prepared stage, the way onward and its page in the ledger.
    pub fn new(stage: Box<dyn Stage>, route: Route, counters: Arc<Counters>) -> Self {
        Self { stage, route, counters }
    }
}

/// The whole graph, prepared and ready to run.
pub struct Pipeline {
    sources: Vec<Route>,
    nodes: Vec<Node>,
    /// For each source the nodes behind it.
    downstream: Vec<Vec<usize>>,
    on_gap: OnGap,
    watch: Watch,
}

impl Pipeline {
    /// Puts the parts together. `sources[i]` is the way from source i; edges lead only forward.
    pub fn new(sources: Vec<Route>, nodes: Vec<Node>, on_gap: OnGap) -> Self {
        let downstream = sources.iter().map(|route| reach(route, &nodes)).collect();
        let watch = Watch { spent_ns: vec![0; nodes.len()], current: None, mark: Instant::now() };
        Self { sources, nodes, downstream, on_gap, watch }
    }

    /// **Data.** Takes one frame of source `source` all the way.
    pub fn take(&mut self, source: usize, frame: &mut Frame) {
        if frame.flags.has(Flags::GAP) {
            match self.on_gap {
                OnGap::Reset => {
                    for i in &self.downstream[source] {
                        self.nodes[*i].stage.reset();
                    }
                }
                OnGap::Bridge => frame.flags = frame.flags.without(Flags::GAP) | Flags::BRIDGE,
            }
        }
        self.watch.spent_ns.fill(0);
        self.watch.current = None;
        self.watch.mark = Instant::now();
        offer(&mut self.sources[source], &mut self.nodes, 0, frame, &mut self.watch);
    }

    /// **Data.** Tells every sink that nothing more will come.
    pub fn end(&mut self) {
        let routes = self.sources.iter_mut().chain(self.nodes.iter_mut().map(|n| &mut n.route));
        routes.flat_map(|r| &mut r.taps).for_each(Tap::end);
    }
}

/// The nodes that a route leads to, directly or not.
fn reach(route: &Route, nodes: &[Node]) -> Vec<usize> {
    let mut reached = vec![false; nodes.len()];
    route.edges.iter().for_each(|e| reached[e.node] = true);
    for i in 0..nodes.len() {
        if reached[i] {
            nodes[i].route.edges.iter().for_each(|e| reached[e.node] = true);
        }
    }
    (0..nodes.len()).filter(|i| reached[*i]).collect()
}

/// Sends `frame` to the taps and the following stages. `nodes` starts at node number `offset`.
fn offer(
    route: &mut Route,
    nodes: &mut [Node],
    offset: usize,
    frame: &mut Frame,
    watch: &mut Watch,
) {
    if !route.taps.is_empty() {
        watch.pause();
        route.taps.iter_mut().for_each(|tap| tap.offer(frame, &watch.spent_ns));
        // Handing out copies is nobody's work.
        watch.mark = Instant::now();
    }
    let Some((last, others)) = route.edges.split_last() else { return };
    for edge in others {
        route.copy.copy_from(frame);
        process(nodes, offset, *edge, &mut route.copy, watch);
    }
    process(nodes, offset, *last, frame, watch);
}

/// Lets one node work on `frame`; what it emits goes on from there.
fn process(nodes: &mut [Node], offset: usize, edge: Edge, frame: &mut Frame, watch: &mut Watch) {
    let Some((node, rest)) = nodes[edge.node - offset..].split_first_mut() else { return };
    frame.input = edge.input;
    node.counters.take_in(1);
    let caller = watch.enter(edge.node);
    let mut out = Out {
        route: &mut node.route,
        counters: &node.counters,
        rest,
        offset: edge.node + 1,
        watch: &mut *watch,
    };
    if node.stage.process(frame, &mut out).is_err() {
        node.counters.add(Cause::Fault, 1);
        node.stage.reset();
    }
    watch.leave(caller);
}

/// What a stage sees of the rest of the pipeline.
struct Out<'a> {
    route: &'a mut Route,
    counters: &'a Counters,
    rest: &'a mut [Node],
    offset: usize,
    watch: &'a mut Watch,
}

impl Emit for Out<'_> {
    fn emit(&mut self, frame: &mut Frame) {
        self.counters.pass_on(1);
        // What the stages behind spent on an earlier frame of this block is not this frame's.
        self.watch.spent_ns[self.offset..].fill(0);
        offer(self.route, self.rest, self.offset, frame, self.watch);
    }

    fn count(&mut self, cause: Cause, n: u64) {
        self.counters.add(cause, n);
    }
}

/// A stop-watch that knows which stage is at work: nested calls are charged to the inner stage.
struct Watch {
    spent_ns: Vec<u64>,
    current: Option<usize>,
    mark: Instant,
}

impl Watch {
    /// Charges the time so far to the stage at work.
    fn pause(&mut self) {
        let now = Instant::now();
        if let Some(i) = self.current {
            self.spent_ns[i] += (now - self.mark).as_nanos() as u64;
        }
        self.mark = now;
    }

    fn enter(&mut self, stage: usize) -> Option<usize> {
        self.pause();
        self.current.replace(stage)
    }

    fn leave(&mut self, caller: Option<usize>) {
        self.pause();
        self.current = caller;
    }
}
