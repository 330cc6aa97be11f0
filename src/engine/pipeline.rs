//! The pipeline: takes a frame from an entry through every stage that wants it.
//!
//! The graph is a list of nodes in the order of the config; an edge always leads to a later node,
//! so walking the list with `split_at_mut` is all the executor needs. A frame is offered to the
//! exits first (taps into sinks, ports into other lanes), then to each following stage; only where the
//! way forks is it copied.
//!
//! One lane runs one pipeline. Where a graph is spread over several lanes, each has its part, and the
//! entries of a worker's part are its mailboxes.

use super::guard::{Guard, Verdict};
use super::port::{Letter, Passage, Port};
use super::tap::Tap;
use crate::config::OnGap;
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::ledger::{Cause, Counters};
use crate::stages::{Emit, Stage};
use std::sync::Arc;
use std::time::Instant;

/// Where the frames of an entry or a stage go.
pub struct Route {
    edges: Vec<Edge>,
    exits: Exits,
    duty: Duty,
    /// Whether windows come a step at a time, so that none may be held back.
    by_hops: bool,
    payload: Payload,
    copy: Frame,
}

/// The ways out of the pipeline.
#[derive(Default)]
pub struct Exits {
    /// Into sinks.
    pub taps: Vec<Tap>,
    /// Into other lanes.
    pub ports: Vec<Port>,
}

/// What the guard does with the frames of a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Duty {
    /// Nothing.
    #[default]
    None,
    /// Windows begin their way here: late ones are held back.
    Gate,
    /// Decisions leave here: late ones are flagged.
    Judge,
}

/// The way to a later node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Index of the node.
    pub node: usize,
    /// By which of its inputs the frame arrives there.
    pub input: usize,
    /// Which windows go this way.
    pub branch: Branch,
}

/// Which windows go a way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Branch {
    /// All of them.
    #[default]
    All,
    /// Those that the guard let pass.
    Main,
    /// Those that the cheaper branch is to answer.
    Degraded,
}

impl Branch {
    /// Whether `frame` goes this way.
    pub fn takes(self, frame: &Frame) -> bool {
        match self {
            Branch::All => true,
            Branch::Main => !frame.flags.has(Flags::DEGRADED),
            Branch::Degraded => frame.flags.has(Flags::DEGRADED),
        }
    }
}

/// A stage in its place.
pub struct Node {
    stage: Box<dyn Stage>,
    /// Its place in the whole graph.
    place: usize,
    route: Route,
    counters: Arc<Counters>,
}

impl Route {
    /// A route for frames of `spec`.
    pub fn new(spec: &Spec, edges: Vec<Edge>) -> Self {
        let (exits, duty, payload) = (Exits::default(), Duty::None, spec.payload);
        Self { edges, exits, duty, by_hops: spec.hop.is_some(), payload, copy: spec.frame() }
    }

    /// The same with ways out and a duty.
    pub fn with(self, exits: Exits, duty: Duty) -> Self {
        Self { exits, duty, ..self }
    }
}

impl Node {
    /// A prepared stage, which is number `place` of the graph, the way onward and its page in the
    /// ledger.
    pub fn new(stage: Box<dyn Stage>, place: usize, route: Route, counters: Arc<Counters>) -> Self {
        Self { stage, place, route, counters }
    }
}

/// One lane's part of the graph, prepared and ready to run.
pub struct Pipeline {
    entries: Vec<Route>,
    nodes: Vec<Node>,
    /// For each entry the nodes behind it.
    downstream: Vec<Vec<usize>>,
    on_gap: OnGap,
    /// For each mailbox, how often the stages before it had been reset.
    resets_seen: Vec<u64>,
    course: Course,
}

/// What accompanies a frame on its way.
struct Course {
    watch: Watch,
    guard: Guard,
    /// How often stages were reset by a gap.
    resets: u64,
    /// How many frames have left for other lanes.
    sequence: u64,
}

impl Pipeline {
    /// Puts the parts together. Frames of entry i start on `entries[i]`; edges lead only forward;
    /// `stages` is the number of stages of the whole graph.
    pub fn new(
        entries: Vec<Route>,
        nodes: Vec<Node>,
        stages: usize,
        on_gap: OnGap,
        guard: Guard,
    ) -> Self {
        let downstream = entries.iter().map(|route| reach(route, &nodes)).collect();
        let resets_seen = vec![0; entries.len()];
        let watch = Watch { spent_ns: vec![0; stages], current: None, mark: Instant::now() };
        let course = Course { watch, guard, resets: 0, sequence: 0 };
        Self { entries, nodes, downstream, on_gap, resets_seen, course }
    }

    /// **Data.** Takes one frame of entry `entry` all the way.
    pub fn take(&mut self, entry: usize, frame: &mut Frame) {
        if frame.flags.has(Flags::GAP) {
            match self.on_gap {
                OnGap::Reset => self.reset_behind(entry),
                OnGap::Bridge => frame.flags = frame.flags.without(Flags::GAP) | Flags::BRIDGE,
            }
        }
        self.course.watch.spent_ns.fill(0);
        self.start(entry, frame);
    }

    /// **Data.** Takes a letter out of mailbox number `entry`.
    pub fn open(&mut self, entry: usize, letter: &mut Letter) {
        if letter.resets != self.resets_seen[entry] {
            self.resets_seen[entry] = letter.resets;
            self.reset_behind(entry);
        }
        self.course.watch.spent_ns.copy_from_slice(&letter.spent_ns);
        self.start(entry, &mut letter.frame);
    }

    fn start(&mut self, entry: usize, frame: &mut Frame) {
        self.course.watch.current = None;
        self.course.watch.mark = Instant::now();
        offer(&mut self.entries[entry], &mut self.nodes, 0, frame, &mut self.course);
    }

    fn reset_behind(&mut self, entry: usize) {
        self.course.resets += 1;
        for i in &self.downstream[entry] {
            self.nodes[*i].stage.interrupt();
        }
    }

    /// **Data.** Counts `frame` of entry `entry` as never read by those who would have got it.
    pub fn pass_over(&mut self, entry: usize, frame: &Frame) {
        let Some(route) = self.entries.get(entry) else { return };
        let n = route.payload.units(frame);
        for edge in route.edges.iter().filter(|e| e.branch.takes(frame)) {
            self.nodes[edge.node].counters.add(Cause::Unread, n);
        }
        route.exits.taps.iter().for_each(|tap| tap.pass_over(n));
    }

    /// **Data.** Tells every sink and every lane behind that nothing more will come: the ways out are
    /// closed.
    pub fn end(&mut self) {
        for route in self.routes() {
            route.exits.taps.drain(..).for_each(Tap::end);
            route.exits.ports.drain(..).for_each(Port::end);
        }
    }

    fn routes(&mut self) -> impl Iterator<Item = &mut Route> {
        self.entries.iter_mut().chain(self.nodes.iter_mut().map(|n| &mut n.route))
    }

    /// **Data.** Becomes `next`, a pipeline of the same shape, between two frames. The ways out move
    /// over, and so do the stages marked in `keep`, with all their memory. `next` is left with what is
    /// no longer needed, to be dropped elsewhere.
    pub fn adopt(&mut self, next: &mut Pipeline, keep: &[bool]) {
        for (ours, theirs) in self.routes().zip(next.routes()) {
            std::mem::swap(&mut ours.exits, &mut theirs.exits);
        }
        for (ours, theirs) in self.nodes.iter_mut().zip(&mut next.nodes) {
            if keep.get(ours.place).copied().unwrap_or_default() {
                std::mem::swap(&mut ours.stage, &mut theirs.stage);
            }
        }
        next.course.guard.inherit(&self.course.guard);
        next.course.resets = self.course.resets;
        next.course.sequence = self.course.sequence;
        next.resets_seen.copy_from_slice(&self.resets_seen);
        std::mem::swap(self, next);
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

/// Sends `frame` to the exits and the following stages. `nodes` starts at node number `offset`.
fn offer(
    route: &mut Route,
    nodes: &mut [Node],
    offset: usize,
    frame: &mut Frame,
    course: &mut Course,
) {
    if !route.exits.taps.is_empty() || !route.exits.ports.is_empty() {
        course.watch.pause();
        let spent_ns = &course.watch.spent_ns;
        route.exits.taps.iter_mut().for_each(|tap| tap.offer(frame, spent_ns));
        let passage = Passage { spent_ns, resets: course.resets, sequence: course.sequence };
        route.exits.ports.iter_mut().for_each(|port| port.send(frame, passage));
        course.sequence += 1;
        // Handing out copies is nobody's work.
        course.watch.mark = Instant::now();
    }
    let Some((last, others)) = route.edges.split_last() else { return };
    let n = route.payload.units(frame);
    for edge in others.iter().filter(|e| e.branch.takes(frame)) {
        route.copy.copy_from(frame);
        process(nodes, offset, *edge, &mut route.copy, n, course);
    }
    if last.branch.takes(frame) {
        process(nodes, offset, *last, frame, n, course);
    }
}

/// Lets one node work on `frame`, which counts for `n`; what it emits goes on from there.
fn process(
    nodes: &mut [Node],
    offset: usize,
    edge: Edge,
    frame: &mut Frame,
    n: u64,
    course: &mut Course,
) {
    let Some((node, rest)) = nodes[edge.node - offset..].split_first_mut() else { return };
    frame.input = edge.input;
    node.counters.take_in(n);
    let caller = course.watch.enter(node.place);
    let mut out = Out {
        route: &mut node.route,
        counters: &node.counters,
        rest,
        offset: edge.node + 1,
        place: node.place,
        course: &mut *course,
    };
    if node.stage.process(frame, &mut out).is_err() {
        // A frame on which nothing is decided counts for nothing, but not its loss.
        node.counters.add(Cause::Fault, n.max(1));
        node.stage.interrupt();
    }
    course.watch.leave(caller);
}

/// What a stage sees of the rest of the pipeline.
struct Out<'a> {
    route: &'a mut Route,
    counters: &'a Counters,
    rest: &'a mut [Node],
    offset: usize,
    place: usize,
    course: &'a mut Course,
}

impl Emit for Out<'_> {
    fn emit(&mut self, frame: &mut Frame) {
        // What the stages behind spent on an earlier frame of this block is not this frame's.
        self.course.watch.spent_ns[self.place + 1..].fill(0);
        if frame.flags.has(Flags::PART) {
            return offer(self.route, self.rest, self.offset, frame, self.course);
        }
        self.counters.pass_on(self.route.payload.units(frame));
        match self.route.duty {
            Duty::Gate => match self.course.guard.admit(frame) {
                Verdict::Go => {}
                Verdict::Degrade => self.counters.add(Cause::Degraded, 1),
                Verdict::Skip => {
                    self.counters.add(Cause::Skipped, 1);
                    if !self.route.by_hops {
                        return;
                    }
                    // Its samples are needed for the windows to come.
                    frame.flags = frame.flags.without(Flags::GAP) | Flags::PART;
                }
            },
            Duty::Judge if self.course.guard.judge(frame) => self.counters.add(Cause::Late, 1),
            Duty::Judge | Duty::None => {}
        }
        if frame.flags.has(Flags::DEGRADED) {
            self.counters.pass_on_degraded();
        }
        offer(self.route, self.rest, self.offset, frame, self.course);
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
