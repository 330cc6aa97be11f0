//! A graph that runs: started, watched, changed while it runs, and ended in good order.

use super::stop::Stop;
use crate::clock;
use crate::config::{Config, Node, Unit, spec_of, within};
use crate::deadline::Health;
use crate::engine::assembly::{self, Part, Placed, REALTIME};
use crate::engine::intake::Intake;
use crate::engine::lane::{Inbox, Lane, Swap};
use crate::engine::outlet::Outlet;
use crate::engine::rights::{self, Elsewhere, Grant};
use crate::engine::tap::Tap;
use crate::error::{Error, Result};
use crate::frame::{Payload, Spec};
use crate::ledger::{Counters, Ledger};
use crate::model::Model;
use crate::ring::{BlockReader, BlockWriter, Doorbell, Producer, blocks, ring};
use crate::sinks::RunFacts;
use crate::sources::Speed;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Seconds of data that fit between a source and the lane at least, if they fit into ...
const INBOX_S: f64 = 4.0;
/// ... this much memory,
const INBOX_BYTES: usize = 64 << 20;
/// and at most, if they fit into ...
const LARGE_INBOX_S: f64 = 30.0;
/// ... this much.
const LARGE_INBOX_BYTES: usize = 4 << 20;
/// Markers that fit between a source and the lane.
const MARKER_INBOX: usize = 1024;
/// Frames that fit between the lane and a sink ...
const OUTBOX: usize = 1024;
/// ... as long as they take no more memory than this, but never fewer than a few.
const OUTBOX_BYTES: usize = 16 << 20;
const SMALLEST_OUTBOX: usize = 8;
/// How long the lanes may take to work off what came in, at the end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A graph that runs.
pub struct Running {
    facts: RunFacts,
    sources: Vec<Spec>,
    offline: bool,
    stages: Vec<Stage>,
    /// The nodes that sinks read from.
    tapped: Vec<Node>,
    grants: Vec<Grant>,
    threads: Threads,
    _elsewhere: Option<Elsewhere>,
}

/// What has to be known of a running stage when the next pipeline comes.
struct Stage {
    id: String,
    kind: &'static str,
    from: Vec<Node>,
    lane: usize,
    settings: serde_json::Value,
    /// What it sends.
    spec: Spec,
    /// Whether it learns from examples.
    fitted: bool,
}

/// Everything that runs.
struct Threads {
    /// The sources, each with whether the run goes on as long as it does.
    intakes: Vec<(JoinHandle<Result<()>>, bool)>,
    /// Set when a source has failed.
    failed: Arc<AtomicBool>,
    lanes: Vec<Lane>,
    /// The way in for new pipelines, and what wakes the lane for one.
    swaps: Vec<(Producer<Swap>, Doorbell)>,
    outlets: Vec<JoinHandle<Result<()>>>,
    /// Ends the intakes.
    stop_intakes: Arc<AtomicBool>,
    /// Ends the lanes.
    stop_lanes: Arc<AtomicBool>,
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
        add_sinks(&mut config, &specs);

        for id in config.stages.iter().map(|s| &s.id).chain(config.sinks.iter().map(|s| &s.id)) {
            ledger.open(id);
        }
        let facts = RunFacts {
            stages: config.stages.iter().map(|s| s.id.clone()).collect(),
            ledger,
            health: Arc::new(Health::default()),
            for_s,
            classes: config.classes().map(|c| c.pairs()).unwrap_or_default(),
        };
        let tapped = config.sinks.iter().flat_map(|s| s.from.clone()).collect();
        let (outlets, taps) = open_sinks(&mut config, &sources, &specs, offline, &facts)?;
        let parts = assemble(&mut config, &sources, &specs, offline, &facts, taps)?;
        let (threads, for_lanes) = start(config, &sources, offline, counters, parts, outlets)?;
        grants.extend(for_lanes);
        for refused in grants.iter().filter(|g| !g.granted) {
            tracing::warn!("{} was refused: {}", refused.what, refused.why);
        }
        Ok(Self { facts, sources, offline, stages, tapped, grants, threads, _elsewhere: elsewhere })
    }

    /// What is known of the run.
    pub fn facts(&self) -> &RunFacts {
        &self.facts
    }

    /// What the lanes asked of the machine, and the answers.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Puts the stages of `config` in the place of those that run, between two blocks, so that no
    /// sample is lost. Stages with the same settings and inputs keep their memory; their ids are
    /// returned. The graph must have the same shape: other settings and another model are fine, other
    /// stages, sources or sinks are refused.
    pub fn swap(&mut self, mut config: Config) -> Result<Vec<String>> {
        let (stages, specs) = prepare(&mut config, &self.sources)?;
        self.check_shape(&stages)?;
        let keep: Vec<bool> = (0..stages.len()).map(|i| self.keeps(&stages, i)).collect();
        let parts =
            assemble(&mut config, &self.sources, &specs, self.offline, &self.facts, Vec::new())?;
        for ((producer, bell), part) in self.threads.swaps.iter_mut().zip(parts) {
            let exchange = Box::new((part.pipeline, keep.clone()));
            let mut next = Some(exchange);
            // The one before may still be on its way in.
            let since = Instant::now();
            while !producer.push_with(|slot| slot.0 = next.take()) {
                if since.elapsed() > PATIENCE {
                    return Err(Error::run("the lane does not take the new pipeline"));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            bell.ring();
        }
        self.stages = stages;
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
            && same_inputs
    }

    /// Refuses stages that do not stand where those that run stand.
    fn check_shape(&self, next: &[Stage]) -> Result<()> {
        let place = |s: &Stage| (s.id.clone(), s.kind, s.from.clone(), s.lane);
        let restart = "end the run and start it anew with this config";
        if let Some(other) = (0..self.stages.len().max(next.len()))
            .find(|i| self.stages.get(*i).map(place) != next.get(*i).map(place))
        {
            let name = next.get(other).or(self.stages.get(other)).map_or("", |s| s.id.as_str());
            return Err(Error::mismatch(format!(
                "the stages hang together in another way from `{name}` on; {restart}"
            )));
        }
        for (ours, theirs) in self.stages.iter().zip(next) {
            let i = Node::Stage(self.stages.iter().position(|s| s.id == ours.id).unwrap_or(0));
            let reaches_others = self.tapped.contains(&i)
                || next.iter().any(|s| s.lane != theirs.lane && s.from.contains(&i));
            if reaches_others && ours.spec != theirs.spec {
                return Err(Error::mismatch(format!(
                    "`{}` would send something else than its readers were opened for; {restart}",
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
    /// decided and written.
    pub fn finish(self) -> Result<()> {
        self.threads.finish()
    }
}

/// Loads the model and prepares the stages.
fn prepare(config: &mut Config, sources: &[Spec]) -> Result<(Vec<Stage>, Vec<Spec>)> {
    let fitted: Vec<bool> = config.stages.iter_mut().map(|s| s.unit.fitted().is_some()).collect();
    let model = config.model.as_deref().map(Model::load).transpose()?;
    let specs = config.prepare(sources, model.as_ref())?;
    let lanes = assembly::lanes(config);
    let stage = |(i, unit): (usize, &Unit<dyn crate::stages::Stage>)| Stage {
        id: unit.id.clone(),
        kind: unit.kind,
        from: unit.from.clone(),
        lane: lanes[i],
        settings: unit.settings.clone(),
        spec: specs[i].clone(),
        fitted: fitted[i],
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
        specs.push(opened.map_err(|e| source.blame(within(e, "source", &source.id)))?);
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
) -> Result<(Vec<Outlet>, Vec<Placed>)> {
    let (mut outlets, mut taps) = (Vec::new(), Vec::new());
    for mut sink in config.sinks.drain(..) {
        let inputs: Vec<Spec> =
            sink.from.iter().map(|node| spec_of(*node, sources, stages).clone()).collect();
        let opened = sink.unit.open(&inputs, facts);
        opened.map_err(|e| sink.blame(within(e, "sink", &sink.id)))?;
        let Unit { id, from, unit, .. } = sink;
        let counters = facts.ledger.page_of(&id);
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
        outlets.push(Outlet { id, sink: unit, flows, bell, counters });
    }
    Ok((outlets, taps))
}

/// How many frames of `spec` fit between the lane and a sink.
fn outbox(spec: &Spec) -> usize {
    let bytes = (spec.rows * spec.cols * 8).max(1);
    (OUTBOX_BYTES / bytes).clamp(SMALLEST_OUTBOX, OUTBOX)
}

/// How many samples of `spec` fit between a source and the lane.
pub fn inbox_samples(spec: &Spec) -> usize {
    let within = |seconds: f64, bytes: usize| {
        ((seconds * spec.rate_hz) as usize).min(bytes / 8 / spec.cols.max(1))
    };
    within(INBOX_S, INBOX_BYTES).max(within(LARGE_INBOX_S, LARGE_INBOX_BYTES)).max(2 * spec.rows)
}

/// The ring between a source of `spec` and the lane.
fn inbox(spec: &Spec) -> (BlockWriter, BlockReader) {
    if spec.payload == Payload::Markers {
        return blocks(MARKER_INBOX, 0);
    }
    let samples = inbox_samples(spec);
    blocks(samples.clamp(256, 65_536), samples * spec.cols)
}

fn assemble(
    config: &mut Config,
    sources: &[Spec],
    stages: &[Spec],
    offline: bool,
    facts: &RunFacts,
    taps: Vec<Placed>,
) -> Result<Vec<Part>> {
    facts.health.set_budget(config.deadline.budget_s.filter(|_| !offline));
    let (ledger, health) = (&facts.ledger, &facts.health);
    let graph = assembly::Graph { sources, stages, ledger, health, offline };
    assembly::assemble(config, &graph, taps)
}

/// Starts the threads from the sinks backwards, so that nothing is lost at the start.
fn start(
    config: Config,
    sources: &[Spec],
    offline: bool,
    counters: Vec<Arc<Counters>>,
    parts: Vec<Part>,
    outlets: Vec<Outlet>,
) -> Result<(Threads, Vec<Grant>)> {
    let stop_intakes = Arc::new(AtomicBool::new(false));
    let stop_lanes = Arc::new(AtomicBool::new(false));
    let failed = Arc::new(AtomicBool::new(false));
    let outlets = outlets.into_iter().map(Outlet::start).collect::<Result<Vec<_>>>()?;
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
            stop: stop_intakes.clone(),
            failed: failed.clone(),
        });
    }
    let mut grants = Vec::new();
    let (mut lanes, mut swaps) = (Vec::new(), Vec::new());
    for (number, part) in parts.into_iter().enumerate() {
        let (producer, consumer) = ring(vec![Swap::default()]);
        swaps.push((producer, part.bell.clone()));
        let inbox = Inbox {
            rings: std::mem::take(&mut rings),
            mail: part.mail,
            bell: part.bell,
            swaps: consumer,
            block: Inbox::block_for(sources),
            ordered: offline,
        };
        // A worker is there so that slow work does no harm: it gets no privileges.
        let asked = if number == REALTIME { config.realtime.clone() } else { Default::default() };
        let stop = stop_lanes.clone();
        let (lane, granted) = Lane::start(&part.name, part.pipeline, inbox, asked, stop)?;
        lanes.push(lane);
        grants.extend(granted);
    }
    let mut running = Vec::new();
    for intake in intakes {
        // A live source of markers may stay silent for ever; without samples it is of no use.
        let keeps_alive = offline || intake.spec.payload != Payload::Markers;
        running.push((intake.start()?, keeps_alive));
    }
    let threads =
        Threads { intakes: running, failed, lanes, swaps, outlets, stop_intakes, stop_lanes };
    Ok((threads, grants))
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
            || self.outlets.iter().any(JoinHandle::is_finished)
    }

    fn finish(self) -> Result<()> {
        self.stop_intakes.store(true, Ordering::Relaxed);
        let mut result = Ok(());
        for (intake, _) in self.intakes {
            result = result.and(joined(intake, "a source"));
        }
        // With the sources gone the lanes end by themselves; the flag is for one that is stuck.
        let since = Instant::now();
        while !self.lanes.iter().all(Lane::is_finished) && since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.stop_lanes.store(true, Ordering::Relaxed);
        for lane in self.lanes {
            result = result.and(lane.join());
        }
        for outlet in self.outlets {
            result = result.and(joined(outlet, "a sink"));
        }
        result
    }
}

fn joined(thread: JoinHandle<Result<()>>, what: &str) -> Result<()> {
    thread.join().unwrap_or_else(|_| Err(Error::run(format!("{what} stopped by a fault of ours"))))
}
