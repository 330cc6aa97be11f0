//! A graph that runs: started, watched, changed while it runs, and ended in good order.

use super::stop::Stop;
use crate::clock;
use crate::config::{self, Config, Node, Unit, spec_of};
use crate::deadline::Health;
use crate::engine::assembly::{self, Part, Placed, REALTIME};
use crate::engine::balance::{Account, Place, balance};
use crate::engine::inbox::inbox;
use crate::engine::intake::Intake;
use crate::engine::lane::{Inbox, Lane, Order, Swap};
use crate::engine::outlet::Outlet;
use crate::engine::rights::{self, Elsewhere, Grant};
use crate::engine::tap::Tap;
use crate::error::{Error, Result};
use crate::frame::{Payload, Spec};
use crate::ledger::{Cause, Counters, Ledger};
use crate::model::Model;
use crate::ring::{Doorbell, Producer, ring};
use crate::sinks::RunFacts;
use crate::sources::Speed;
use crate::stages::live::LiveReader;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Frames that fit between the lane and a sink ...
const OUTBOX: usize = 1024;
/// ... as long as they take no more memory than this, but never fewer than a few.
const OUTBOX_BYTES: usize = 16 << 20;
const SMALLEST_OUTBOX: usize = 8;
/// How long, at the end, the lanes may take to work off what came in, and the sinks to write it.
const PATIENCE: Duration = Duration::from_secs(30);
/// What to do about a config that cannot be taken up.
const RESTART: &str = "end the run and start it anew with this config";
/// How long a lane may take for the frame that it is at, once it is told to stop.
const LAST_FRAME: Duration = Duration::from_secs(5);

/// A graph that runs.
pub struct Running {
    facts: RunFacts,
    sources: Vec<Spec>,
    offline: bool,
    stages: Vec<Stage>,
    /// Who reads from whom.
    places: Vec<Place>,
    /// What a swap leaves as it is.
    fixed: Fixed,
    /// The nodes that sinks read from.
    tapped: Vec<Node>,
    grants: Vec<Grant>,
    learning: Learning,
    threads: Threads,
    _elsewhere: Option<Elsewhere>,
}

/// The stages that learn while they run, by id, and where what they learned can be read.
pub type Learning = Vec<(String, LiveReader)>;

/// What has to be known of a running stage when the next pipeline comes.
struct Stage {
    id: String,
    from: Vec<Node>,
    lane: usize,
    settings: serde_json::Value,
    /// What it sends.
    spec: Spec,
    /// Whether it learns from examples.
    fitted: bool,
    /// The files that it is made from, as they were then.
    files: Vec<Seen>,
}

/// When a file was last written, and how long it is: a file that is seen half written may keep its time, but not its
/// length.
pub type Seen = Option<(SystemTime, u64)>;

/// How a file looks now.
pub fn seen(path: &Path) -> Seen {
    let facts = std::fs::metadata(path).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}

/// What of a config cannot change while it runs, part by part: its name, and all that was said of it.
type Fixed = Vec<(String, serde_json::Value)>;

/// Everything that runs.
struct Threads {
    /// The sources, each with whether the run goes on as long as it does.
    intakes: Vec<(JoinHandle<Result<()>>, bool)>,
    /// Set when a source or a sink has failed.
    failed: Arc<AtomicBool>,
    lanes: Vec<Lane>,
    /// The way in for new pipelines, and what wakes the lane for one.
    swaps: Vec<(Producer<Swap>, Doorbell)>,
    /// The sinks with their pages.
    outlets: Vec<(Arc<Counters>, JoinHandle<Result<()>>)>,
    /// Ends the intakes.
    stop: Arc<AtomicBool>,
}

impl Running {
    /// Opens, prepares and starts everything in `config`. `add_sinks` may add sinks of its own once it
    /// is known what each stage sends.
    pub fn start(
        mut config: Config,
        for_s: Option<f64>,
        speed: Option<Speed>,
        stop: &Stop,
        add_sinks: impl FnOnce(&mut Config, &[Spec]),
    ) -> Result<Self> {
        let (mut grants, elsewhere) = rights::for_process(&config.realtime);
        let mut ledger = Ledger::default();
        let (sources, counters) = open_sources(&mut config, speed, &mut ledger)?;
        stop.listen();
        let offline = config.sources.iter().all(|s| s.unit.offline());
        let (stages, specs) = prepare(&mut config, &sources)?;
        let fixed = fixed(&config);
        add_sinks(&mut config, &specs);
        let places = assembly::books(&config, &specs)?;

        for id in config.stages.iter().map(|s| &s.id).chain(config.sinks.iter().map(|s| &s.id)) {
            ledger.open(id);
        }
        let facts = RunFacts {
            stages: config.stages.iter().map(|s| s.id.clone()).collect(),
            ledger,
            health: Arc::new(Health::default()),
            page: Arc::default(),
            for_s,
            classes: config.classes().map(|c| c.pairs()).unwrap_or_default(),
        };
        let tapped: Vec<Node> = config.sinks.iter().flat_map(|s| s.from.clone()).collect();
        fuse(&mut config, &stages, &tapped);
        let learning = learning(&mut config);
        let failed = Arc::new(AtomicBool::new(false));
        let (outlets, taps) = open_sinks(&mut config, &sources, &specs, offline, &facts, &failed)?;
        let parts = assemble(&mut config, &sources, &specs, offline, &facts, taps)?;
        let (threads, for_lanes) =
            start(config, &sources, offline, counters, parts, outlets, failed)?;
        grants.extend(for_lanes);
        for refused in grants.iter().filter(|g| !g.granted) {
            tracing::warn!("{} was refused: {}", refused.what, refused.why);
        }
        Ok(Self {
            facts,
            sources,
            offline,
            stages,
            places,
            fixed,
            tapped,
            grants,
            learning,
            threads,
            _elsewhere: elsewhere,
        })
    }

    /// What is known of the run.
    pub fn facts(&self) -> &RunFacts {
        &self.facts
    }

    /// What the lanes asked of the machine, and the answers.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Where what is learned while it runs can be read.
    pub fn learning(&mut self) -> &mut Learning {
        &mut self.learning
    }

    /// Puts the stages of `config` in the place of those that run, between two blocks, so that no
    /// sample is lost. Stages with the same settings and inputs keep their memory; their ids are
    /// returned. The graph must have the same shape: other settings and another model are fine, other
    /// stages, sources or sinks are refused.
    pub fn swap(&mut self, mut config: Config) -> Result<Vec<String>> {
        self.check_fixed(&config)?;
        let (stages, specs) = prepare(&mut config, &self.sources)?;
        self.check_sent(&stages)?;
        fuse(&mut config, &stages, &self.tapped);
        let keep: Vec<bool> = (0..stages.len()).map(|i| self.keeps(&stages, i)).collect();
        self.threads.wait_for_swap()?;
        let learning = learning(&mut config);
        let parts =
            assemble(&mut config, &self.sources, &specs, self.offline, &self.facts, Vec::new())?;
        for ((producer, bell), part) in self.threads.swaps.iter_mut().zip(parts) {
            let mut next = Some(Box::new((part.pipeline, keep.clone())));
            producer.push_with(|slot| slot.0 = next.take());
            bell.ring();
        }
        (self.stages, self.learning) = (stages, learning);
        let kept = self.stages.iter().zip(&keep).filter(|(_, kept)| **kept);
        Ok(kept.map(|(s, _)| s.id.clone()).collect())
    }

    /// Whether stage `i` of the next pipeline goes on with the memory of the one that runs.
    fn keeps(&self, next: &[Stage], i: usize) -> bool {
        let sends = |stages: &[Stage], node: &Node| match node {
            Node::Source(_) => None,
            Node::Stage(j) => Some(stages[*j].spec.clone()),
        };
        let (ours, theirs) = (&self.stages[i], &next[i]);
        let same_inputs =
            theirs.from.iter().all(|node| sends(&self.stages, node) == sends(next, node));
        !theirs.fitted
            && ours.settings == theirs.settings
            && ours.spec == theirs.spec
            && ours.files == theirs.files
            && same_inputs
    }

    /// Refuses a config that differs in what cannot change.
    fn check_fixed(&self, next: &Config) -> Result<()> {
        let (ours, theirs) = (&self.fixed, &fixed(next));
        let lacking = |a: &Fixed, b: &Fixed| a.iter().find(|part| !b.contains(part)).cloned();
        match lacking(theirs, ours).or_else(|| lacking(ours, theirs)) {
            Some((what, _)) => {
                Err(Error::mismatch(format!("{what} cannot change while it runs; {RESTART}")))
            }
            None => Ok(()),
        }
    }

    /// Refuses stages that send something else than those were opened for who read it and stay.
    fn check_sent(&self, next: &[Stage]) -> Result<()> {
        for (i, (ours, theirs)) in self.stages.iter().zip(next).enumerate() {
            let node = Node::Stage(i);
            let reaches_others = self.tapped.contains(&node) || theirs.reaches_lanes(node, next);
            if reaches_others && ours.spec != theirs.spec {
                return Err(Error::mismatch(format!(
                    "`{}` would send something else than its readers were opened for; {RESTART}",
                    ours.id
                )));
            }
        }
        Ok(())
    }

    /// Waits until the sources have ended, the time is over, something failed, or `stop` is asked for.
    /// Calls `meanwhile` now and then, which can end it too by saying `false`.
    pub fn watch(&mut self, stop: &Stop, mut meanwhile: impl FnMut(&mut Self) -> bool) {
        let end_s = self.facts.for_s.map(|s| clock::now_s() + s);
        while self.threads.is_fed() {
            let over = end_s.is_some_and(|end| clock::now_s() >= end);
            if stop.asked() {
                eprintln!("ending in good order; press Ctrl-C again to end at once");
                break;
            }
            if over || self.threads.is_broken() || !meanwhile(self) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Takes the threads down in the order of the data, so that everything that came in is still
    /// decided and written. Says whether the counts of the ledger add up, and how it went.
    pub fn finish(self) -> (Vec<Account>, Result<()>) {
        let result = self.threads.finish();
        (balance(&self.places, &self.facts.ledger.pages()), result)
    }
}

/// What of `config` cannot change while it runs.
fn fixed(config: &Config) -> Fixed {
    let ids = |from: &[Node]| from.iter().map(|n| config.id(*n).to_owned()).collect::<Vec<_>>();
    let lanes = assembly::lanes(config);
    let mut parts = Vec::new();
    for (i, stage) in config.stages.iter().enumerate() {
        let said = json!([i, stage.kind, ids(&stage.from), lanes[i]]);
        parts.push((format!("the place of the stage `{}`", stage.id), said));
    }
    for (i, source) in config.sources.iter().enumerate() {
        let said = json!([i, source.kind, source.settings]);
        parts.push((format!("the source `{}`", source.id), said));
    }
    for (i, sink) in config.sinks.iter().enumerate() {
        let said = json!([i, sink.kind, ids(&sink.from), sink.settings]);
        parts.push((format!("the sink `{}`", sink.id), said));
    }
    parts.push(("the table `realtime`".into(), json!(config.realtime)));
    let degrade = config.deadline.degrade.map(|i| config.id(Node::Stage(i)));
    parts.push(("the key `degrade`".into(), json!(degrade)));
    parts
}

impl Stage {
    /// Whether a stage of another lane reads from it; `node` is itself.
    fn reaches_lanes(&self, node: Node, all: &[Self]) -> bool {
        all.iter().any(|s| s.lane != self.lane && s.from.contains(&node))
    }
}

/// Lets neighbours share their work where nobody else sees what lies between them.
fn fuse(config: &mut Config, stages: &[Stage], tapped: &[Node]) {
    let numbered = stages.iter().enumerate().map(|(i, stage)| (Node::Stage(i), stage));
    let to_lanes = numbered.filter(|(node, stage)| stage.reaches_lanes(*node, stages));
    let seen: Vec<Node> = to_lanes.map(|(node, _)| node).chain(tapped.iter().copied()).collect();
    config.fuse(&seen);
}

/// The ways out for what the stages learn while they run. Stages that learn are never kept by a swap.
fn learning(config: &mut Config) -> Learning {
    let live = |unit: &mut Unit<dyn crate::stages::Stage>| {
        let reader = unit.unit.fitted()?.live()?;
        Some((unit.id.clone(), reader))
    };
    config.stages.iter_mut().filter_map(live).collect()
}

/// Loads the model and prepares the stages.
fn prepare(config: &mut Config, sources: &[Spec]) -> Result<(Vec<Stage>, Vec<Spec>)> {
    let fitted: Vec<bool> = config.stages.iter_mut().map(|s| s.unit.fitted().is_some()).collect();
    let model = config.model.as_deref().map(Model::load).transpose()?;
    let specs = config.prepare(sources, model.as_ref())?;
    let lanes = assembly::lanes(config);
    let stage = |(i, unit): (usize, &Unit<dyn crate::stages::Stage>)| Stage {
        id: unit.id.clone(),
        from: unit.from.clone(),
        lane: lanes[i],
        settings: unit.settings.clone(),
        spec: specs[i].clone(),
        fitted: fitted[i],
        files: unit.unit.files().iter().map(|path| seen(path)).collect(),
    };
    let stages = config.stages.iter().enumerate().map(stage).collect();
    Ok((stages, specs))
}

fn open_sources(
    config: &mut Config,
    speed: Option<Speed>,
    ledger: &mut Ledger,
) -> Result<(Vec<Spec>, Vec<Arc<Counters>>)> {
    let (mut specs, mut counters) = (Vec::new(), Vec::new());
    for source in &mut config.sources {
        if let Some(speed) = speed {
            source.unit.set_speed(speed);
        }
        let page = ledger.open(&source.id);
        let opened = source.unit.open(page.clone());
        specs.push(opened.map_err(|e| source.blame(config::within(e, "source", &source.id)))?);
        counters.push(page);
    }
    Ok((specs, counters))
}

/// Opens every sink and makes its taps.
fn open_sinks(
    config: &mut Config,
    sources: &[Spec],
    stages: &[Spec],
    offline: bool,
    facts: &RunFacts,
    failed: &Arc<AtomicBool>,
) -> Result<(Vec<Outlet>, Vec<Placed>)> {
    let (mut outlets, mut taps) = (Vec::new(), Vec::new());
    for mut sink in config.sinks.drain(..) {
        let counters = facts.ledger.page_of(&sink.id);
        let facts = RunFacts { page: counters.clone(), ..facts.clone() };
        let inputs: Vec<Spec> =
            sink.from.iter().map(|node| spec_of(*node, sources, stages).clone()).collect();
        let opened = sink.unit.open(&inputs, &facts);
        opened.map_err(|e| sink.blame(config::within(e, "sink", &sink.id)))?;
        let Unit { id, from, unit, .. } = sink;
        let bell = Doorbell::default();
        let mut flows = Vec::new();
        for (input, (node, spec)) in from.iter().zip(&inputs).enumerate() {
            let n = facts.stages.len();
            let (counters, bell) = (counters.clone(), bell.clone());
            let (tap, flow) = Tap::new(spec, n, outbox(spec), bell, input, counters, offline);
            let tap = if unit.urgent() { tap } else { tap.unhurried() };
            taps.push((*node, tap));
            flows.push(flow);
        }
        let failed = failed.clone();
        outlets.push(Outlet { id, sink: unit, flows, bell, counters, failed });
    }
    Ok((outlets, taps))
}

/// How many frames of `spec` fit between the lane and a sink.
fn outbox(spec: &Spec) -> usize {
    let bytes = (spec.rows * spec.cols * 8).max(1);
    (OUTBOX_BYTES / bytes).clamp(SMALLEST_OUTBOX, OUTBOX)
}

fn assemble(
    config: &mut Config,
    sources: &[Spec],
    stages: &[Spec],
    offline: bool,
    facts: &RunFacts,
    taps: Vec<Placed>,
) -> Result<Vec<Part>> {
    let (ledger, health) = (&facts.ledger, &facts.health);
    let graph = assembly::Graph { sources, stages, ledger, health, offline };
    let parts = assembly::assemble(config, &graph, taps)?;
    health.set_budget(config.deadline.budget_s.filter(|_| !offline));
    Ok(parts)
}

/// Starts the threads from the sinks backwards, so that nothing is lost at the start.
fn start(
    config: Config,
    sources: &[Spec],
    offline: bool,
    counters: Vec<Arc<Counters>>,
    parts: Vec<Part>,
    outlets: Vec<Outlet>,
    failed: Arc<AtomicBool>,
) -> Result<(Threads, Vec<Grant>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let start = |outlet: Outlet| Ok((outlet.counters.clone(), outlet.start()?));
    let outlets = outlets.into_iter().map(start).collect::<Result<Vec<_>>>()?;
    let (mut rings, mut intakes) = (Vec::new(), Vec::new());
    let start_s = clock::now_s();
    for ((unit, spec), counters) in config.sources.into_iter().zip(sources).zip(counters) {
        let (writer, reader) = inbox(spec);
        rings.push(reader);
        let mut source = unit.unit;
        source.start(start_s);
        intakes.push(Intake {
            id: unit.id,
            source,
            spec: spec.clone(),
            ring: writer,
            bell: parts[REALTIME].bell.clone(),
            counters,
            stop: stop.clone(),
            failed: failed.clone(),
        });
    }
    let mut grants = Vec::new();
    let (mut lanes, mut swaps) = (Vec::new(), Vec::new());
    for (number, part) in parts.into_iter().enumerate() {
        let (producer, consumer) = ring(vec![Swap::default()]);
        swaps.push((producer, part.bell.clone()));
        let inbox = Inbox {
            rings: if number == REALTIME { std::mem::take(&mut rings) } else { part.rings },
            mail: part.mail,
            bell: part.bell,
            swaps: consumer,
            block: part.block,
            order: match number {
                REALTIME if offline => Order::ByTime,
                REALTIME => Order::AsTheyCome,
                _ => Order::AsSent,
            },
        };
        // A worker is there so that slow work does no harm: it gets no privileges.
        let asked = if number == REALTIME { config.realtime.clone() } else { Default::default() };
        let (lane, granted) = Lane::start(&part.name, part.pipeline, inbox, asked)?;
        lanes.push(lane);
        grants.extend(granted);
    }
    let mut running = Vec::new();
    for intake in intakes {
        // A live source of markers may stay silent for ever; without samples it is of no use.
        let keeps_alive = offline || intake.spec.payload != Payload::Markers;
        running.push((intake.start()?, keeps_alive));
    }
    Ok((Threads { intakes: running, failed, lanes, swaps, outlets, stop }, grants))
}

impl Threads {
    /// Whether a source that keeps the run alive still runs.
    fn is_fed(&self) -> bool {
        self.intakes.iter().any(|(intake, keeps_alive)| *keeps_alive && !intake.is_finished())
    }

    /// Whether something ended that should not have.
    fn is_broken(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
            || self.lanes.iter().any(Lane::is_finished)
            || self.outlets.iter().any(|(_, outlet)| outlet.is_finished())
    }

    /// Waits until every lane has taken the pipeline before, so that all can be given the next one.
    fn wait_for_swap(&self) -> Result<()> {
        let ready = || self.swaps.iter().all(|(way_in, _)| way_in.has_room());
        match within(PATIENCE, ready) {
            true => Ok(()),
            false => Err(Error::run("a lane has not yet taken the change before this one")),
        }
    }

    fn finish(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let mut result = Ok(());
        within(PATIENCE, || self.intakes.iter().all(|(intake, _)| intake.is_finished()));
        for (intake, _) in self.intakes {
            result = result.and(match intake.is_finished() {
                true => joined(intake, "a source"),
                false => Err(Error::run("a source is stuck")),
            });
        }
        // With the sources gone the lanes end by themselves; those that do not in time are stopped, each
        // before the ones that it feeds.
        within(PATIENCE, || self.lanes.iter().all(Lane::is_finished));
        for lane in self.lanes {
            lane.stop();
            result = result.and(match within(LAST_FRAME, || lane.is_finished()) {
                true => lane.join(),
                false => Err(Error::run(format!("the lane `{}` is stuck", lane.name()))),
            });
        }
        within(PATIENCE, || self.outlets.iter().all(|(_, outlet)| outlet.is_finished()));
        for (page, outlet) in self.outlets {
            result = result.and(match outlet.is_finished() {
                true => joined(outlet, "a sink"),
                false => Err(given_up(&page)),
            });
        }
        result
    }
}

/// A sink does not come back from writing: what it was still to write counts as lost.
fn given_up(counters: &Counters) -> Error {
    let page = counters.page();
    let left = page.taken_in.saturating_sub(page.passed_on + page.count(Cause::Drop));
    counters.add(Cause::Drop, left);
    Error::run(format!("the sink `{}` is stuck; {left} frames are not written", page.place))
}

/// Waits at most so `long` until `done`; says whether it is.
fn within(long: Duration, done: impl Fn() -> bool) -> bool {
    let since = Instant::now();
    while !done() {
        if since.elapsed() >= long {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

fn joined(thread: JoinHandle<Result<()>>, what: &str) -> Result<()> {
    thread.join().unwrap_or_else(|_| Err(Error::run(format!("{what} stopped by a fault of ours"))))
}
