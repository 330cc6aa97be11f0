//! From a prepared config to pipelines: which stage runs on which lane, where the guard stands, which
//! way leads where.

use super::balance::{Place, Role};
use super::guard::Guard;
use super::pipeline::{Branch, Duty, Edge, Exits, Node as Step, Pipeline, Route};
use super::port::{Letter, Port};
use super::tap::Tap;
use crate::config::{Config, Node, Placement, spec_of};
use crate::deadline::{Health, Late};
use crate::error::{Error, Result};
use crate::frame::{Payload, Spec};
use crate::ledger::Ledger;
use crate::ring::{Doorbell, MailReader};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The lane that the samples come in on.
pub const REALTIME: usize = 0;

/// The part of a graph that one lane runs.
pub struct Part {
    /// The name of its thread.
    pub name: String,
    /// The stages.
    pub pipeline: Pipeline,
    /// What other lanes send.
    pub mail: Vec<MailReader<Letter>>,
    /// What they ring.
    pub bell: Doorbell,
}

/// What is known of a prepared graph.
pub struct Graph<'a> {
    /// What each source sends.
    pub sources: &'a [Spec],
    /// What each stage sends.
    pub stages: &'a [Spec],
    /// The pages of the stages.
    pub ledger: &'a Ledger,
    /// Where the guards write.
    pub health: &'a Arc<Health>,
    /// Whether everybody waits rather than drops.
    pub offline: bool,
}

/// A tap and the node it belongs to.
pub type Placed = (Node, Tap);

/// Takes the stages out of `config` and spreads them over lanes; the first part is that of the
/// real-time lane.
pub fn assemble(config: &mut Config, graph: &Graph<'_>, taps: Vec<Placed>) -> Result<Vec<Part>> {
    let plan = Plan::new(config, graph.sources, graph.stages)?;
    let mut ways = plan.ways(config, graph, taps);
    let mut parts: Vec<Part> = Vec::new();
    for lane in 0..plan.lanes_count() {
        let name = match lane {
            REALTIME => "lane".to_owned(),
            _ => format!("lane:{}", config.stages[plan.on(lane)[0]].id),
        };
        let (entries, mail) = plan.entries(lane, config, graph, &mut ways);
        let mut nodes = Vec::new();
        for i in plan.on(lane) {
            let route = plan.route(Node::Stage(i), lane, config, graph, &mut ways);
            let unit = &mut config.stages[i];
            let page = graph.ledger.page_of(&unit.id);
            let stage = std::mem::replace(&mut unit.unit, Box::new(Gone));
            nodes.push(Step::new(stage, i, route, page));
        }
        let budget_s = config.deadline.budget_s.filter(|_| !graph.offline);
        let guard = Guard::new(budget_s, config.deadline.late, graph.health.clone());
        let pipeline = Pipeline::new(entries, nodes, config.stages.len(), config.on_gap, guard);
        parts.push(Part { name, pipeline, mail, bell: ways.bells[lane].clone() });
    }
    Ok(parts)
}

/// Refuses what cannot be assembled, without taking anything out of the config.
pub fn check(config: &Config, sources: &[Spec], stages: &[Spec]) -> Result<()> {
    Plan::new(config, sources, stages).map(|_| ())
}

/// Who reads from whom, for the balance.
pub fn books(config: &Config, sources: &[Spec], stages: &[Spec]) -> Result<Vec<Place>> {
    let plan = Plan::new(config, sources, stages)?;
    let place = |id: &str, role: Role, from: &[Node], branch: &dyn Fn(Node) -> Branch| Place {
        id: id.to_owned(),
        role,
        from: from.iter().map(|node| (config.id(*node).to_owned(), branch(*node))).collect(),
    };
    let mut places = Vec::new();
    for source in &config.sources {
        places.push(place(&source.id, Role::Source, &[], &|_| Branch::All));
    }
    for (i, stage) in config.stages.iter().enumerate() {
        let role = if plan.duties[i] == Duty::Gate { Role::Gate } else { Role::Stage };
        places.push(place(&stage.id, role, &stage.from, &|node| plan.branch(node, i)));
    }
    for sink in &config.sinks {
        places.push(place(&sink.id, Role::Sink, &sink.from, &|_| Branch::All));
    }
    Ok(places)
}

/// The lane of each stage. A stage that is too slow for the real-time lane gets one of its own; what
/// follows on it runs there too, and where the ways of two such stages meet they share one.
pub fn lanes(config: &Config) -> Vec<usize> {
    let mut group: Vec<Option<usize>> = vec![None; config.stages.len()];
    for (i, stage) in config.stages.iter().enumerate() {
        let slow = match stage.lane {
            Some(placement) => placement == Placement::Worker,
            None => !stage.unit.realtime(),
        };
        let before: Vec<usize> = inputs(config, i).filter_map(|j| group[j]).collect();
        group[i] = match before.iter().min() {
            Some(first) => {
                for g in group.iter_mut().filter(|g| g.is_some_and(|g| before.contains(&g))) {
                    *g = Some(*first);
                }
                Some(*first)
            }
            None => slow.then_some(i),
        };
    }
    let mut firsts: Vec<usize> = group.iter().flatten().copied().collect();
    firsts.sort_unstable();
    firsts.dedup();
    let number = |g: &Option<usize>| match g {
        Some(g) => 1 + firsts.partition_point(|f| f < g),
        None => REALTIME,
    };
    group.iter().map(number).collect()
}

/// The stages that stage `i` reads from.
fn inputs(config: &Config, i: usize) -> impl Iterator<Item = usize> + '_ {
    config.stages[i].from.iter().filter_map(|node| match node {
        Node::Stage(j) => Some(*j),
        Node::Source(_) => None,
    })
}

/// Marks the stages from which `goals` can be reached, the goals included.
fn leading_to(config: &Config, goals: &[usize]) -> Vec<bool> {
    let mut leads = vec![false; config.stages.len()];
    goals.iter().for_each(|g| leads[*g] = true);
    // A stage reads from earlier ones only.
    for i in (0..leads.len()).rev() {
        if leads[i] {
            inputs(config, i).for_each(|j| leads[j] = true);
        }
    }
    leads
}

/// Marks the stages that can be reached from `start`, itself included.
fn behind(config: &Config, start: usize) -> Vec<bool> {
    let mut reached = vec![false; config.stages.len()];
    reached[start] = true;
    for i in start + 1..config.stages.len() {
        reached[i] = inputs(config, i).any(|j| reached[j]);
    }
    reached
}

/// The stages that nothing reads from.
fn leaves(config: &Config) -> Vec<usize> {
    let read: Vec<usize> = (0..config.stages.len()).flat_map(|i| inputs(config, i)).collect();
    (0..config.stages.len()).filter(|i| !read.contains(i)).collect()
}

/// Whether windows begin their way at stage `i`: it makes them out of samples.
fn is_gate(config: &Config, stages: &[Spec], i: usize) -> bool {
    is_decided_on(&stages[i]) && !inputs(config, i).any(|j| is_decided_on(&stages[j]))
}

/// Whether frames of `spec` are windows or what is made of them, rather than a stream.
fn is_decided_on(spec: &Spec) -> bool {
    !matches!(spec.payload, Payload::Samples | Payload::Markers)
}

/// Where the ways of the windows part: the stage that makes them, and which of them each stage behind it
/// gets to see.
type Fork = (usize, Vec<Branch>);

fn fork(config: &Config, stages: &[Spec]) -> Result<Option<Fork>> {
    let (Late::Degrade, Some(degrade)) = (config.deadline.late, config.deadline.degrade) else {
        return Ok(None);
    };
    let unit = &config.stages[degrade];
    let cheap_end = behind(config, degrade);
    let mains: Vec<usize> = leaves(config).into_iter().filter(|i| !cheap_end[*i]).collect();
    let (to_main, to_cheap) = (leading_to(config, &mains), leading_to(config, &[degrade]));
    let gate = (0..config.stages.len())
        .find(|i| is_gate(config, stages, *i) && to_main[*i] && to_cheap[*i] && *i != degrade);
    let Some(gate) = gate else {
        return Err(unit.blame(Error::config(format!(
            "degrade: `{}` must branch off the main way behind the stage that makes the windows, so \
             that it can answer for one",
            unit.id
        ))));
    };
    let branch = |i: usize| match (to_main[i], to_cheap[i] || cheap_end[i]) {
        (true, false) => Branch::Main,
        (false, true) => Branch::Degraded,
        _ => Branch::All,
    };
    Ok(Some((gate, (0..config.stages.len()).map(branch).collect())))
}

/// Refuses a stage on a lane of its own that reads a stream: a mailbox keeps the newest frame only, and
/// a stream with holes is of no use to anybody.
fn check_crossings(
    config: &Config,
    lanes: &[usize],
    sources: &[Spec],
    stages: &[Spec],
) -> Result<()> {
    for (i, stage) in config.stages.iter().enumerate().filter(|(i, _)| lanes[*i] != REALTIME) {
        let is_stream = |node: &&Node| {
            !is_decided_on(spec_of(**node, sources, stages)) && lane_of(**node, lanes) != lanes[i]
        };
        if let Some(node) = stage.from.iter().find(is_stream) {
            return Err(stage.blame(Error::config(format!(
                "`{}` is too slow for the real-time lane, and a lane of its own would see only the newest \
                 block of `{}`: put the slow work behind the stage that makes the windows",
                stage.id,
                config.id(*node)
            ))));
        }
    }
    Ok(())
}

fn lane_of(node: Node, lanes: &[usize]) -> usize {
    match node {
        Node::Source(_) => REALTIME,
        Node::Stage(i) => lanes[i],
    }
}

/// What is decided about a graph before anything is taken apart.
struct Plan {
    /// The lane of each stage.
    lanes: Vec<usize>,
    duties: Vec<Duty>,
    fork: Option<Fork>,
    /// Whether a stage stands at the fork or behind it.
    forked: Vec<bool>,
}

/// What lies between the nodes.
struct Ways {
    /// One for each lane.
    bells: Vec<Doorbell>,
    taps: Vec<Placed>,
    /// The ports of each node, and the mailboxes of each lane with the ways from there.
    ports: Vec<(Node, Port)>,
    mail: BTreeMap<usize, Vec<(Route, MailReader<Letter>)>>,
}

impl Plan {
    fn new(config: &Config, sources: &[Spec], stages: &[Spec]) -> Result<Self> {
        let scores = |i: usize| stages[i].payload == Payload::Scores;
        let duty = |i: usize| {
            let decides_later = (i + 1..config.stages.len())
                .any(|j| scores(j) && inputs(config, j).any(|k| k == i));
            if scores(i) && !decides_later {
                Duty::Judge
            } else if is_gate(config, stages, i) {
                Duty::Gate
            } else {
                Duty::None
            }
        };
        let (lanes, fork) = (lanes(config), fork(config, stages)?);
        check_crossings(config, &lanes, sources, stages)?;
        let forked = match &fork {
            Some((gate, _)) => behind(config, *gate),
            None => vec![false; config.stages.len()],
        };
        let duties = (0..config.stages.len()).map(duty).collect();
        Ok(Self { lanes, duties, fork, forked })
    }

    /// Which of the frames of `node` go to stage `to`.
    fn branch(&self, node: Node, to: usize) -> Branch {
        match (&self.fork, node) {
            (Some((_, branches)), Node::Stage(i)) if self.forked[i] => branches[to],
            _ => Branch::All,
        }
    }

    fn lanes_count(&self) -> usize {
        self.lanes.iter().max().map_or(1, |last| last + 1)
    }

    /// The stages of a lane, in order.
    fn on(&self, lane: usize) -> Vec<usize> {
        (0..self.lanes.len()).filter(|i| self.lanes[*i] == lane).collect()
    }

    /// The ways out of `node` to stages of `lane`: the stage, by which input, and which windows.
    fn edges(&self, node: Node, lane: usize, config: &Config) -> Vec<Edge> {
        let on = self.on(lane);
        let mut edges = Vec::new();
        for (local, i) in on.iter().enumerate() {
            for (input, from) in config.stages[*i].from.iter().enumerate() {
                if *from == node {
                    edges.push(Edge { node: local, input, branch: self.branch(node, *i) });
                }
            }
        }
        edges
    }

    /// Makes the mailboxes between lanes: for each way out of a lane one, or one for each branch, so
    /// that a window of one branch does not take the place of one of the other.
    fn ways(&self, config: &Config, graph: &Graph<'_>, taps: Vec<Placed>) -> Ways {
        let bells: Vec<Doorbell> = (0..self.lanes_count()).map(|_| Doorbell::default()).collect();
        let (mut ports, mut mail) = (Vec::new(), BTreeMap::<usize, Vec<_>>::new());
        let stages = config.stages.len();
        for node in (0..stages).map(Node::Stage) {
            for lane in (1..self.lanes_count()).filter(|lane| lane_of(node, &self.lanes) != *lane) {
                let on = self.on(lane);
                for branch in [Branch::All, Branch::Main, Branch::Degraded] {
                    let mut edges = self.edges(node, lane, config);
                    edges.retain(|edge| edge.branch == branch);
                    if edges.is_empty() {
                        continue;
                    }
                    let page = |e: &Edge| graph.ledger.page_of(&config.stages[on[e.node]].id);
                    let readers = edges.iter().map(page).collect();
                    let (spec, bell) = (&graph.stages[..], bells[lane].clone());
                    let spec = spec_of(node, graph.sources, spec);
                    let (port, reader) =
                        Port::new(spec, stages, bell, readers, graph.offline, branch);
                    ports.push((node, port));
                    mail.entry(lane).or_default().push((Route::new(spec, edges), reader));
                }
            }
        }
        Ways { bells, taps, ports, mail }
    }

    /// The entries of a lane: the sources and the mailboxes.
    fn entries(
        &self,
        lane: usize,
        config: &Config,
        graph: &Graph<'_>,
        ways: &mut Ways,
    ) -> (Vec<Route>, Vec<MailReader<Letter>>) {
        let mut routes = Vec::new();
        if lane == REALTIME {
            for i in 0..graph.sources.len() {
                routes.push(self.route(Node::Source(i), lane, config, graph, ways));
            }
        }
        let (from_mail, readers): (Vec<_>, _) =
            ways.mail.remove(&lane).unwrap_or_default().into_iter().unzip();
        routes.extend(from_mail);
        (routes, readers)
    }

    /// Where the frames of `node`, which is on `lane`, go.
    fn route(
        &self,
        node: Node,
        lane: usize,
        config: &Config,
        graph: &Graph<'_>,
        ways: &mut Ways,
    ) -> Route {
        let taps =
            ways.taps.extract_if(.., |(from, _)| *from == node).map(|(_, tap)| tap).collect();
        let ports =
            ways.ports.extract_if(.., |(from, _)| *from == node).map(|(_, port)| port).collect();
        let duty = match node {
            Node::Source(_) => Duty::None,
            Node::Stage(i) => self.duties[i],
        };
        let spec = spec_of(node, graph.sources, graph.stages);
        Route::new(spec, self.edges(node, lane, config)).with(Exits { taps, ports }, duty)
    }
}

/// Stands where a stage was that now runs.
struct Gone;

impl crate::stages::Stage for Gone {
    fn prepare(&mut self, _inputs: &[Spec]) -> Result<Spec> {
        Err(Error::run("the stage is running"))
    }

    fn process(
        &mut self,
        _frame: &mut crate::frame::Frame,
        _emit: &mut dyn crate::stages::Emit,
    ) -> Result<(), crate::stages::Fault> {
        Err(crate::stages::Fault("the stage is running"))
    }

    fn reset(&mut self) {}
}
