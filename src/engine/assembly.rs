//! From a prepared config to pipelines: which stage runs on which lane, where the guard stands, which
//! way leads where.

use super::guard::Guard;
use super::pipeline::{Branch, Duty, Edge, Exits, Node as Step, Pipeline, Route};
use super::port::{Letter, Port};
use super::tap::Tap;
use crate::config::{Config, Node, spec_of};
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
    let plan = Plan::new(config, graph)?;
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
    branches(config, stages)?;
    check_mail(config, sources, stages)
}

/// Refuses a worker that reads samples or markers: a mailbox keeps the newest only, and a stream must
/// lose nothing.
fn check_mail(config: &Config, sources: &[Spec], stages: &[Spec]) -> Result<()> {
    let lanes = lanes(config);
    for (i, unit) in config.stages.iter().enumerate() {
        for from in &unit.from {
            let theirs = match from {
                Node::Source(_) => REALTIME,
                Node::Stage(j) => lanes[*j],
            };
            let payload = spec_of(*from, sources, stages).payload;
            if theirs != lanes[i] && matches!(payload, Payload::Samples | Payload::Markers) {
                return Err(unit.blame(Error::setting(
                    "lane",
                    format!(
                        "`{}` reads the stream `{}`, of which a worker would see only the newest \
                         block; put the stage that cuts windows on the real-time lane, and the \
                         worker behind it",
                        unit.id,
                        config.id(*from)
                    ),
                )));
            }
        }
    }
    Ok(())
}

/// The lane of each stage. A stage that is too slow for the real-time lane gets one of its own; what
/// follows on it runs there too, and where the ways of two such stages meet they share one.
pub fn lanes(config: &Config) -> Vec<usize> {
    let mut group: Vec<Option<usize>> = vec![None; config.stages.len()];
    for (i, stage) in config.stages.iter().enumerate() {
        let before: Vec<usize> = inputs(config, i).filter_map(|j| group[j]).collect();
        group[i] = match before.iter().min() {
            Some(first) => {
                for g in group.iter_mut().filter(|g| g.is_some_and(|g| before.contains(&g))) {
                    *g = Some(*first);
                }
                Some(*first)
            }
            None => stage.is_slow().then_some(i),
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
    let is_stream = |spec: &Spec| matches!(spec.payload, Payload::Samples | Payload::Markers);
    // Windows that come a step at a time must all be seen; what is made of them begins the way.
    let decided_on = |spec: &Spec| !is_stream(spec) && spec.hop.is_none();
    decided_on(&stages[i]) && !inputs(config, i).any(|j| decided_on(&stages[j]))
}

/// Which windows each stage gets to see.
fn branches(config: &Config, stages: &[Spec]) -> Result<Vec<Branch>> {
    let mut branches = vec![Branch::All; config.stages.len()];
    let (Late::Degrade, Some(degrade)) = (config.deadline.late, config.deadline.degrade) else {
        return Ok(branches);
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
    let windows = behind(config, gate);
    for i in (0..branches.len()).filter(|i| windows[*i] && *i != gate) {
        branches[i] = match (to_main[i], to_cheap[i] || cheap_end[i]) {
            (true, false) => Branch::Main,
            (false, true) => Branch::Degraded,
            _ => Branch::All,
        };
    }
    Ok(branches)
}

/// What is decided about a graph before anything is taken apart.
struct Plan {
    /// The lane of each stage.
    lanes: Vec<usize>,
    branches: Vec<Branch>,
    duties: Vec<Duty>,
}

/// What lies between the nodes.
struct Ways {
    /// One for each lane.
    bells: Vec<Doorbell>,
    taps: Vec<Placed>,
    /// The ports of each node, and the mailboxes of each lane, by the node that fills them.
    ports: Vec<(Node, Port)>,
    mail: BTreeMap<usize, Vec<(Node, MailReader<Letter>)>>,
}

impl Plan {
    fn new(config: &Config, graph: &Graph<'_>) -> Result<Self> {
        let scores = |i: usize| graph.stages[i].payload == Payload::Scores;
        let duty = |i: usize| {
            let decides_later = (i + 1..config.stages.len())
                .any(|j| scores(j) && inputs(config, j).any(|k| k == i));
            if scores(i) && !decides_later {
                Duty::Judge
            } else if is_gate(config, graph.stages, i) {
                Duty::Gate
            } else {
                Duty::None
            }
        };
        check_mail(config, graph.sources, graph.stages)?;
        Ok(Self {
            lanes: lanes(config),
            branches: branches(config, graph.stages)?,
            duties: (0..config.stages.len()).map(duty).collect(),
        })
    }

    fn lanes_count(&self) -> usize {
        self.lanes.iter().max().map_or(1, |last| last + 1)
    }

    /// The stages of a lane, in order.
    fn on(&self, lane: usize) -> Vec<usize> {
        (0..self.lanes.len()).filter(|i| self.lanes[*i] == lane).collect()
    }

    fn lane_of(&self, node: Node) -> usize {
        match node {
            Node::Source(_) => REALTIME,
            Node::Stage(i) => self.lanes[i],
        }
    }

    /// The ways out of `node` to stages of `lane`: the stage, by which input, and which windows.
    fn edges(&self, node: Node, lane: usize, config: &Config) -> Vec<Edge> {
        let on = self.on(lane);
        let mut edges = Vec::new();
        for (local, i) in on.iter().enumerate() {
            for (input, from) in config.stages[*i].from.iter().enumerate() {
                if *from == node {
                    edges.push(Edge { node: local, input, branch: self.branches[*i] });
                }
            }
        }
        edges
    }

    /// Makes the mailboxes between lanes.
    fn ways(&self, config: &Config, graph: &Graph<'_>, taps: Vec<Placed>) -> Ways {
        let bells: Vec<Doorbell> = (0..self.lanes_count()).map(|_| Doorbell::default()).collect();
        let (mut ports, mut mail) = (Vec::new(), BTreeMap::<usize, Vec<_>>::new());
        let sources = (0..graph.sources.len()).map(Node::Source);
        for node in sources.chain((0..config.stages.len()).map(Node::Stage)) {
            for (lane, bell) in bells.iter().enumerate().skip(1) {
                let edges = self.edges(node, lane, config);
                let Some(first) = edges.first().filter(|_| self.lane_of(node) != lane) else {
                    continue;
                };
                let page = graph.ledger.page_of(&config.stages[self.on(lane)[first.node]].id);
                let spec = spec_of(node, graph.sources, graph.stages);
                let bell = bell.clone();
                let stages = config.stages.len();
                let (port, reader) =
                    Port::new(spec, stages, bell, page, graph.offline, first.branch);
                ports.push((node, port));
                mail.entry(lane).or_default().push((node, reader));
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
        let mut readers = Vec::new();
        for (node, reader) in ways.mail.remove(&lane).unwrap_or_default() {
            let spec = spec_of(node, graph.sources, graph.stages);
            routes.push(Route::new(spec, self.edges(node, lane, config)));
            readers.push(reader);
        }
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
