//! From a prepared config to pipelines: which stage runs on which lane, where the guard stands, which
//! way leads where.

use super::balance::{Place, Role};
use super::guard::Guard;
use super::lane::Inbox;
use super::pipeline::{Branch, Duty, Edge, Exits, Node as Step, Pipeline, Route};
use super::port::{Mail, Port};
use super::tap::Tap;
use crate::config::{Config, Node, spec_of};
use crate::deadline::{Health, Late};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::ledger::{Counters, Ledger};
use crate::ring::{BlockReader, Doorbell};
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
    /// The streams that other lanes send.
    pub rings: Vec<BlockReader>,
    /// The windows that they send.
    pub mail: Vec<Mail>,
    /// Room for the largest block of any stream.
    pub block: Frame,
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
    let plan = Plan::new(config, graph.stages)?;
    let mut ways = plan.ways(config, graph, taps);
    let mut parts: Vec<Part> = Vec::new();
    for lane in 0..plan.lanes_count() {
        let name = match lane {
            REALTIME => "lane".to_owned(),
            _ => format!("lane:{}", config.stages[plan.on(lane)[0]].id),
        };
        let (entries, rings, mail) = plan.entries(lane, config, graph, &mut ways);
        let mut nodes = Vec::new();
        for i in plan.on(lane) {
            let route = plan.route(Node::Stage(i), lane, config, graph, &mut ways);
            let unit = &mut config.stages[i];
            let page = graph.ledger.page_of(&unit.id);
            unit.unit.account(&page);
            let stage = std::mem::replace(&mut unit.unit, Box::new(Gone));
            nodes.push(Step::new(stage, i, route, page));
        }
        let budget_s = config.deadline.budget_s.filter(|_| !graph.offline);
        let guard = Guard::new(budget_s, config.deadline.late, graph.health.clone());
        let pipeline = Pipeline::new(entries, nodes, config.stages.len(), config.on_gap, guard);
        let block = Inbox::block_for(graph.sources.iter().chain(graph.stages));
        parts.push(Part { name, pipeline, rings, mail, block, bell: ways.bells[lane].clone() });
    }
    Ok(parts)
}

/// Refuses what cannot be assembled, without taking anything out of the config.
pub fn check(config: &Config, stages: &[Spec]) -> Result<()> {
    Plan::new(config, stages).map(|_| ())
}

/// Who reads from whom, for the balance.
pub fn books(config: &Config, stages: &[Spec]) -> Result<Vec<Place>> {
    let plan = Plan::new(config, stages)?;
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
    /// The ports of each node, and what of each lane they lead to, with the ways from there.
    ports: Vec<(Node, Port)>,
    rings: BTreeMap<usize, Vec<(Route, BlockReader)>>,
    mail: BTreeMap<usize, Vec<(Route, Mail)>>,
}

impl Plan {
    fn new(config: &Config, stages: &[Spec]) -> Result<Self> {
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

    /// Makes what lies between the lanes.
    fn ways(&self, config: &Config, graph: &Graph<'_>, taps: Vec<Placed>) -> Ways {
        let bells = (0..self.lanes_count()).map(|_| Doorbell::default()).collect();
        let (ports, rings, mail) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut ways = Ways { bells, taps, ports, rings, mail };
        let sources = (0..graph.sources.len()).map(Node::Source);
        for node in sources.chain((0..graph.stages.len()).map(Node::Stage)) {
            let own = lane_of(node, &self.lanes);
            for lane in (1..self.lanes_count()).filter(|lane| own != *lane) {
                match is_decided_on(spec_of(node, graph.sources, graph.stages)) {
                    true => self.connect_windows(node, lane, config, graph, &mut ways),
                    false => self.connect_stream(node, lane, config, graph, &mut ways),
                }
            }
        }
        ways
    }

    /// A ring for the stream of `node` into `lane`, if it is read there.
    fn connect_stream(
        &self,
        node: Node,
        lane: usize,
        config: &Config,
        graph: &Graph<'_>,
        ways: &mut Ways,
    ) {
        let edges = self.edges(node, lane, config);
        if edges.is_empty() {
            return;
        }
        let spec = spec_of(node, graph.sources, graph.stages);
        let readers = self.pages(&edges, lane, config, graph);
        let (port, reader) = Port::all(spec, ways.bells[lane].clone(), readers, graph.offline);
        ways.ports.push((node, port));
        ways.rings.entry(lane).or_default().push((Route::new(spec, edges), reader));
    }

    /// A mailbox for the windows of `node` into `lane`, or one for each branch, so that a window of one does
    /// not take the place of one of the other.
    fn connect_windows(
        &self,
        node: Node,
        lane: usize,
        config: &Config,
        graph: &Graph<'_>,
        ways: &mut Ways,
    ) {
        let spec = spec_of(node, graph.sources, graph.stages);
        for branch in [Branch::All, Branch::Main, Branch::Degraded] {
            let mut edges = self.edges(node, lane, config);
            edges.retain(|edge| edge.branch == branch);
            if edges.is_empty() {
                continue;
            }
            let readers = self.pages(&edges, lane, config, graph);
            let (bell, stages) = (ways.bells[lane].clone(), self.lanes.len());
            let (port, reader) = Port::newest(spec, stages, bell, readers, graph.offline, branch);
            ways.ports.push((node, port));
            ways.mail.entry(lane).or_default().push((Route::new(spec, edges), reader));
        }
    }

    /// The pages of the stages that `edges` of `lane` lead to.
    fn pages(
        &self,
        edges: &[Edge],
        lane: usize,
        config: &Config,
        graph: &Graph<'_>,
    ) -> Vec<Arc<Counters>> {
        let on = self.on(lane);
        edges.iter().map(|e| graph.ledger.page_of(&config.stages[on[e.node]].id)).collect()
    }

    /// The entries of a lane: the sources, and what other lanes send.
    fn entries(
        &self,
        lane: usize,
        config: &Config,
        graph: &Graph<'_>,
        ways: &mut Ways,
    ) -> (Vec<Route>, Vec<BlockReader>, Vec<Mail>) {
        let mut routes = Vec::new();
        if lane == REALTIME {
            for i in 0..graph.sources.len() {
                routes.push(self.route(Node::Source(i), lane, config, graph, ways));
            }
        }
        let (streams, rings): (Vec<_>, _) =
            ways.rings.remove(&lane).unwrap_or_default().into_iter().unzip();
        let (windows, mail): (Vec<_>, _) =
            ways.mail.remove(&lane).unwrap_or_default().into_iter().unzip();
        routes.extend(streams.into_iter().chain(windows));
        (routes, rings, mail)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::frame::{Channel, Flags, Frame};
    use crate::ledger::Cause;
    use crate::stages::{Emit, Fault, Stage};

    /// Ids stand for kinds: a letter, and a number where there are several.
    fn kind(id: &str) -> (&'static str, &'static str, Payload) {
        match &id[..1] {
            "f" => ("bandpass", "low_hz = 8.0\nhigh_hz = 30.0", Payload::Samples),
            "w" => ("window", "length_s = 0.1\nstep_s = 0.1", Payload::Window),
            "c" => ("covariance", "estimator = \"oas\"", Payload::Matrix),
            "d" => ("mdm", "", Payload::Scores),
            _ => ("vote", "", Payload::Scores),
        }
    }

    struct Bench {
        config: Config,
        sources: Vec<Spec>,
        stages: Vec<Spec>,
    }

    /// A graph from lines such as `d2 < c1 worker`: the stage d2 reads from c1 and has a lane of its own.
    fn bench(head: &str, graph: &[&str]) -> Bench {
        let mut text = format!("{head}\n[[source]]\nkind = \"synthetic\"\nid = \"eeg\"\n");
        let samples = Spec::samples(vec![Channel::named("C3")], 100.0, 10);
        let mut stages = Vec::new();
        for line in graph {
            let (id, rest) = line.split_once(" < ").unwrap();
            let mut from: Vec<&str> = rest.split(' ').collect();
            let lane = from.pop_if(|last| ["worker", "realtime"].contains(last));
            let lane = lane.map_or(String::new(), |lane| format!("lane = {lane:?}\n"));
            let (kind, settings, payload) = kind(id);
            text += &format!(
                "[[stage]]\nkind = {kind:?}\nid = {id:?}\nfrom = {from:?}\n{lane}{settings}\n"
            );
            stages.push(Spec { payload, ..samples.clone() });
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.toml");
        std::fs::write(&path, text).unwrap();
        Bench { config: config::load(&path, &[]).unwrap(), sources: vec![samples], stages }
    }

    impl Bench {
        fn plan(&self) -> Result<Plan> {
            Plan::new(&self.config, &self.stages)
        }

        fn refusal(&self) -> String {
            check(&self.config, &self.stages).unwrap_err().to_string()
        }

        /// Which windows each stage sees from its first input.
        fn branches(&self) -> Vec<Branch> {
            let plan = self.plan().unwrap();
            let stages = self.config.stages.iter().enumerate();
            stages.map(|(i, stage)| plan.branch(stage.from[0], i)).collect()
        }

        /// Puts `Double`s in the place of all stages and assembles them.
        fn assemble(&mut self) -> (Vec<Part>, Ledger) {
            let mut ledger = Ledger::default();
            for (unit, spec) in self.config.stages.iter_mut().zip(&self.stages) {
                ledger.open(&unit.id);
                unit.unit = Box::new(Double { out: spec.frame() });
            }
            let graph = Graph {
                sources: &self.sources,
                stages: &self.stages,
                ledger: &ledger,
                health: &Arc::default(),
                offline: false,
            };
            let parts = assemble(&mut self.config, &graph, Vec::new()).unwrap();
            (parts, ledger)
        }
    }

    /// Passes on what it is given.
    struct Double {
        out: Frame,
    }

    impl Stage for Double {
        fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
            Ok(inputs[0].clone())
        }

        fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
            self.out.copy_from(frame);
            emit.emit(&mut self.out);
            Ok(())
        }

        fn reset(&mut self) {}
    }

    /// A block of `rows` samples that has just arrived.
    fn block(rows: usize) -> Frame {
        let mut frame = Spec::samples(vec![Channel::named("C3")], 100.0, 10).frame();
        frame.resize(rows, 1);
        frame.span.arrived_s = crate::clock::now_s();
        frame
    }

    const CHAIN: [&str; 4] = ["f < eeg", "w < f", "c < w", "d < c"];
    const DEGRADE: &str = "deadline_ms = 60000.0\nlate = \"degrade\"\ndegrade = \"d2\"";

    #[test]
    fn a_slow_stage_and_what_follows_have_a_lane_of_their_own() {
        let lanes_of = |graph: &[&str]| lanes(&bench("", graph).config);
        assert_eq!(lanes_of(&CHAIN), [0, 0, 0, 0]);
        assert_eq!(
            lanes_of(&["w < eeg", "c < w worker", "d < c", "v < d", "d2 < w"]),
            [0, 1, 1, 1, 0]
        );
        let two = ["w < eeg", "d1 < w worker", "d2 < w worker"];
        assert_eq!(lanes_of(&two), [0, 1, 2]);
        let joined = ["w < eeg", "d1 < w worker", "d2 < w worker", "d3 < w worker", "v < d3 d1"];
        assert_eq!(lanes_of(&joined), [0, 1, 2, 1, 1]);
        let chained = [
            "w < eeg",
            "d1 < w worker",
            "d2 < w worker",
            "d3 < w worker",
            "v1 < d1 d2",
            "v2 < v1 d3",
        ];
        assert_eq!(lanes_of(&chained), [0, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn the_config_overrules_what_a_stage_says_of_itself() {
        struct Slow;
        impl Stage for Slow {
            fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
                Ok(inputs[0].clone())
            }
            fn process(&mut self, _: &mut Frame, _: &mut dyn Emit) -> Result<(), Fault> {
                Ok(())
            }
            fn reset(&mut self) {}
            fn realtime(&self) -> bool {
                false
            }
        }
        for (line, lane) in [("d < w", 1), ("d < w realtime", 0), ("d < w worker", 1)] {
            let mut bench = bench("", &["w < eeg", line]);
            bench.config.stages[1].unit = Box::new(Slow);
            assert_eq!(lanes(&bench.config), [0, lane], "{line}");
        }
    }

    #[test]
    fn a_stream_reaches_a_worker_whole() {
        let mut bench = bench("", &["f < eeg worker", "w < f", "d < w"]);
        let (mut parts, ledger) = bench.assemble();
        assert_eq!(
            parts.iter().map(|p| (p.rings.len(), p.mail.len())).collect::<Vec<_>>(),
            [(0, 0), (1, 0)]
        );
        (0..5).for_each(|_| parts[REALTIME].pipeline.take(0, &mut block(10)));
        let mut got = block(10);
        while parts[1].rings[0].pop(&mut got) {
            parts[1].pipeline.take(0, &mut got);
        }
        let taken = ["f", "w", "d"].map(|id| ledger.page_of(id).page().taken_in);
        assert_eq!((taken, ledger.totals()), ([50, 50, 5], Vec::new()));
    }

    #[test]
    fn windows_are_judged_where_they_are_made_and_where_they_are_decided() {
        let duties = |graph: &[&str]| bench("", graph).plan().unwrap().duties;
        use Duty::{Gate, Judge, None};
        assert_eq!(duties(&CHAIN), [None, Gate, None, Judge]);
        let voted = ["w1 < eeg", "w2 < eeg", "d1 < w1", "v < d1", "d2 < w2"];
        assert_eq!(duties(&voted), [Gate, Gate, None, Judge, Judge]);
    }

    #[test]
    fn the_cheaper_branch_forks_off_behind_the_windows() {
        use Branch::{All, Degraded, Main};
        let graph = ["f < eeg", "w < f", "c1 < w", "c2 < c1", "d1 < c2", "d2 < c1"];
        assert_eq!(bench(DEGRADE, &graph).branches(), [All, All, All, Main, Main, Degraded]);
        let without = bench("deadline_ms = 5.0", &graph).branches();
        assert_eq!(without, [All; 6]);
        // What comes before the named stage and serves it alone belongs to its branch; a stage on which
        // both branches meet again sees all.
        let graph = ["w < eeg", "c1 < w", "d1 < c1", "c2 < w", "d2 < c2", "v < d1 d2"];
        let meeting = bench(DEGRADE, &graph);
        assert!(meeting.refusal().contains("`d2` must branch off"), "there is no main way left");
        let graph = ["w < eeg", "c1 < w", "d1 < c1", "c2 < w", "d2 < c2", "v < d2"];
        assert_eq!(
            bench(DEGRADE, &graph).branches(),
            [All, Main, Main, Degraded, Degraded, Degraded]
        );
        // A second input straight from the source brings samples to both.
        let graph = ["w < eeg", "d1 < w", "d2 < eeg w"];
        assert_eq!(bench(DEGRADE, &graph).branches(), [All, Main, All]);
    }

    #[test]
    fn a_branch_that_does_not_fork_off_behind_the_windows_is_refused() {
        for graph in [
            ["w < eeg", "c < w", "d2 < c"].as_slice(),
            &["w < eeg", "d1 < w", "w2 < eeg", "d2 < w2"],
            &["f < eeg", "w < f", "d2 < w", "v < d2"],
        ] {
            let text = bench(DEGRADE, graph).refusal();
            let want = "degrade: `d2` must branch off the main way behind the stage that makes the windows";
            assert!(text.contains(want), "{text}");
            assert!(text.contains("graph.toml:"), "the place is not told: {text}");
        }
    }

    #[test]
    fn frames_find_their_way_and_are_counted_by_samples_and_by_windows() {
        let mut bench = bench("", &CHAIN);
        let (mut parts, ledger) = bench.assemble();
        assert_eq!(parts.len(), 1);
        parts[REALTIME].pipeline.take(0, &mut block(7));
        parts[REALTIME].pipeline.take(0, &mut block(3));
        let seen: Vec<_> =
            ledger.pages().iter().map(|p| (p.place.clone(), p.taken_in, p.passed_on)).collect();
        // The double of the window makes each block one.
        let want = [("f", 10, 10), ("w", 10, 2), ("c", 2, 2), ("d", 2, 2)];
        assert_eq!(seen, want.map(|(id, i, o)| (id.to_owned(), i, o)));
    }

    #[test]
    fn a_worker_gets_the_newest_window_and_its_page_tells_of_the_others() {
        let graph = ["w < eeg", "c < w worker", "d1 < c", "d2 < w worker", "v < d1 d2", "d3 < w"];
        let mut bench = bench("", &graph);
        let (mut parts, ledger) = bench.assemble();
        let names: Vec<_> = parts.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["lane", "lane:c"], "v joins both on one lane");
        (0..5).for_each(|_| parts[REALTIME].pipeline.take(0, &mut block(10)));
        let worker = &mut parts[1];
        assert_eq!(worker.mail.len(), 1, "one mailbox serves all who read the same on one lane");
        worker.mail[0].take_with(|letter| worker.pipeline.open(0, letter));
        let page =
            |id: &str| (ledger.page_of(id).page().taken_in, ledger.page_of(id).get(Cause::Skipped));
        assert_eq!(
            [page("c"), page("d2"), page("v"), page("d3")],
            [(1, 4), (1, 4), (2, 0), (5, 0)]
        );
    }

    #[test]
    fn branches_have_mailboxes_of_their_own() {
        let graph = ["w < eeg", "d1 < w worker", "d2 < w worker", "v < d2"];
        let mut apart = bench(DEGRADE, &graph);
        let (parts, _) = apart.assemble();
        let mail: Vec<_> = parts.iter().map(|p| p.mail.len()).collect();
        assert_eq!(mail, [0, 1, 1]);
        let graph = ["w < eeg", "c1 < w worker", "d2 < w worker", "v < c1 d2", "d1 < c1"];
        let mut together = bench(DEGRADE, &graph);
        let (mut parts, ledger) = together.assemble();
        assert_eq!(parts.iter().map(|p| p.mail.len()).collect::<Vec<_>>(), [0, 2]);
        // One window by each branch: neither takes the place of the other.
        let mut late = block(10);
        late.span.arrived_s -= 100.0;
        parts[REALTIME].pipeline.take(0, &mut block(10));
        parts[REALTIME].pipeline.take(0, &mut late);
        let worker = &mut parts[1];
        for i in 0..2 {
            let mut flags = Flags::NONE;
            worker.mail[i].take_with(|letter| {
                flags = letter.frame.flags;
                worker.pipeline.open(i, letter);
            });
            assert_eq!(flags.has(Flags::DEGRADED), i == 1);
        }
        let taken = ["c1", "d2"].map(|id| ledger.page_of(id).page().taken_in);
        assert_eq!((taken, ledger.totals()), ([1, 1], vec![("degraded", 1), ("late", 1)]));
    }

    #[test]
    fn what_is_never_read_is_counted_for_those_who_would_have_got_it() {
        let mut bench = bench("", &["f < eeg", "w < f", "w2 < eeg"]);
        let (mut parts, ledger) = bench.assemble();
        parts[REALTIME].pipeline.pass_over(0, &block(6));
        let unread = ["f", "w", "w2"].map(|id| ledger.page_of(id).get(Cause::Unread));
        assert_eq!(unread, [6, 0, 6]);
    }

    #[test]
    fn the_books_tell_who_reads_what() {
        let graph = ["w < eeg", "c < w", "d1 < c", "d2 < c"];
        let bench = bench(DEGRADE, &graph);
        let places = books(&bench.config, &bench.stages).unwrap();
        let seen: Vec<_> = places.iter().map(|p| (p.id.as_str(), p.role, p.from.clone())).collect();
        let from = |id: &str, branch| vec![(id.to_owned(), branch)];
        assert_eq!(
            seen,
            [
                ("eeg", Role::Source, vec![]),
                ("w", Role::Gate, from("eeg", Branch::All)),
                ("c", Role::Stage, from("w", Branch::All)),
                ("d1", Role::Stage, from("c", Branch::Main)),
                ("d2", Role::Stage, from("c", Branch::Degraded)),
            ]
        );
    }
}
