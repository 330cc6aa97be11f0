//! `saltatory run`: makes the graph of a config live, watches it, and tells how it went.

use super::stop::Stop;
use crate::clock;
use crate::config::{Config, Node, Unit, spec_of, within};
use crate::engine::intake::Intake;
use crate::engine::lane::{Inbox, Lane};
use crate::engine::outlet::Outlet;
use crate::engine::pipeline::{Edge, Node as Step, Pipeline, Route};
use crate::engine::tap::Tap;
use crate::error::{Error, Result};
use crate::frame::{Payload, Spec};
use crate::latency::{self, Latency};
use crate::ledger::{Counters, Ledger, Page};
use crate::model::Model;
use crate::ring::{Doorbell, ring};
use crate::sinks::{Decision, Delivery, RunFacts, Sink};
use crate::sources::Speed;
use serde::Serialize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Seconds of data that fit between a source and the lane.
const INBOX_S: f64 = 4.0;
/// Markers that fit between a source and the lane.
const MARKER_INBOX: usize = 1024;
/// Frames that fit between the lane and a sink.
const OUTBOX: usize = 1024;
/// The place of our own sink in the ledger.
const RECORDER: &str = "report";

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Ends the run after this many seconds.
    pub for_s: Option<f64>,
    /// Overrides the speed of recorded and simulated sources.
    pub speed: Option<Speed>,
    /// Whether to keep every decision for the report.
    pub keep_decisions: bool,
}

/// What a run leaves behind: the content of `--report`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Every decision, if they were kept.
    pub decisions: Vec<Decision>,
    /// Times over all decisions.
    pub latency: latency::Report,
    /// The ledger, place by place.
    pub ledger: Vec<Page>,
}

/// Runs `config` until its sources end, the time is over, or `stop` is asked for.
pub fn run(mut config: Config, options: &Options, stop: &Stop) -> Result<Report> {
    let mut ledger = Ledger::default();
    let (sources, counters) = open_sources(&mut config, options, &mut ledger)?;
    stop.listen();
    let model = load_model(&config)?;
    let stages = config.prepare(&sources, model.as_ref())?;
    let offline = config.sources.iter().all(|s| s.unit.offline());
    let mut graph = Graph { ledger, sources, stages, offline };

    let collected = Arc::new(Mutex::new(Collected::default()));
    add_recorder(&mut config, &graph, &collected, options.keep_decisions);
    let facts = RunFacts {
        stages: config.stages.iter().map(|s| s.id.clone()).collect(),
        ledger: graph.open_ledger(&config),
        for_s: options.for_s,
        classes: config.classes().map(|c| c.pairs()).unwrap_or_default(),
    };
    let (outlets, taps) = open_sinks(&mut config, &graph, &facts)?;
    let pipeline = assemble(&mut config, &graph, taps, &facts);
    let threads = start(config, &graph, counters, pipeline, outlets)?;
    let result = threads.watch(options.for_s, stop);

    let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
    let latency = collected.latency.take().unwrap_or_else(|| Latency::new(&facts.stages)).report();
    let decisions = std::mem::take(&mut collected.decisions);
    result.map(|()| Report { decisions, latency, ledger: facts.ledger.pages() })
}

/// The prepared graph: what flows where.
struct Graph {
    ledger: Ledger,
    sources: Vec<Spec>,
    stages: Vec<Spec>,
    offline: bool,
}

impl Graph {
    fn spec(&self, node: Node) -> &Spec {
        spec_of(node, &self.sources, &self.stages)
    }

    /// Opens the pages of stages and sinks, in the order of the config.
    fn open_ledger(&mut self, config: &Config) -> Ledger {
        for id in config.stages.iter().map(|s| &s.id).chain(config.sinks.iter().map(|s| &s.id)) {
            self.ledger.open(id);
        }
        self.ledger.clone()
    }
}

fn open_sources(
    config: &mut Config,
    options: &Options,
    ledger: &mut Ledger,
) -> Result<(Vec<Spec>, Vec<Arc<Counters>>)> {
    let (mut specs, mut counters) = (Vec::new(), Vec::new());
    for source in &mut config.sources {
        if let Some(speed) = options.speed {
            source.unit.set_speed(speed);
        }
        let page = ledger.open(&source.id);
        let opened = source.unit.open(page.clone());
        specs.push(opened.map_err(|e| source.blame(within(e, "source", &source.id)))?);
        counters.push(page);
    }
    Ok((specs, counters))
}

/// The model of the config, if it names one.
fn load_model(config: &Config) -> Result<Option<Model>> {
    config.model.as_deref().map(Model::load).transpose()
}

/// Adds our own sink behind the last stage that decides.
fn add_recorder(
    config: &mut Config,
    graph: &Graph,
    collected: &Arc<Mutex<Collected>>,
    keep_decisions: bool,
) {
    let Some(last) = graph.stages.iter().rposition(|s| s.payload == Payload::Scores) else {
        return;
    };
    let recorder = Recorder {
        collected: collected.clone(),
        classes: graph.stages[last].classes.clone(),
        stages: config.stages.iter().map(|s| s.id.clone()).collect(),
        keep_decisions,
    };
    config.sinks.push(Unit {
        id: RECORDER.into(),
        kind: RECORDER,
        from: vec![Node::Stage(last)],
        settings: serde_json::Value::Null,
        place: String::new(),
        keys: Vec::new(),
        unit: Box::new(recorder),
    });
}

/// A tap and the node it belongs to.
type Placed = (Node, Tap);

/// Opens every sink and makes its taps.
fn open_sinks(
    config: &mut Config,
    graph: &Graph,
    facts: &RunFacts,
) -> Result<(Vec<Outlet>, Vec<Placed>)> {
    let (mut outlets, mut taps) = (Vec::new(), Vec::new());
    for mut sink in config.sinks.drain(..) {
        let inputs: Vec<Spec> = sink.from.iter().map(|node| graph.spec(*node).clone()).collect();
        let opened = sink.unit.open(&inputs, facts);
        opened.map_err(|e| sink.blame(within(e, "sink", &sink.id)))?;
        let Unit { id, from, unit, .. } = sink;
        let counters = facts.ledger.page_of(&id);
        let bell = Doorbell::default();
        let mut flows = Vec::new();
        for (input, (node, spec)) in from.iter().zip(&inputs).enumerate() {
            let stages = facts.stages.len();
            let (counters, bell) = (counters.clone(), bell.clone());
            let (tap, flow) = Tap::new(spec, stages, OUTBOX, bell, input, counters, graph.offline);
            taps.push((*node, tap));
            flows.push(flow);
        }
        outlets.push(Outlet { id, sink: unit, flows, bell, counters });
    }
    Ok((outlets, taps))
}

/// Puts stages and taps together.
fn assemble(
    config: &mut Config,
    graph: &Graph,
    mut taps: Vec<Placed>,
    facts: &RunFacts,
) -> Pipeline {
    let mut edges: Vec<(Node, Edge)> = Vec::new();
    for (node, stage) in config.stages.iter().enumerate() {
        let from = stage.from.iter().enumerate();
        edges.extend(from.map(|(input, source)| (*source, Edge { node, input })));
    }
    let mut route = |node: Node| {
        let edges = edges.iter().filter(|(from, _)| *from == node).map(|(_, edge)| *edge).collect();
        let mine = taps.extract_if(.., |(from, _)| *from == node).map(|(_, tap)| tap).collect();
        Route::new(graph.spec(node), edges, mine)
    };
    let sources = (0..config.sources.len()).map(|i| route(Node::Source(i))).collect();
    let nodes = config
        .stages
        .drain(..)
        .enumerate()
        .map(|(i, s)| Step::new(s.unit, route(Node::Stage(i)), facts.ledger.page_of(&s.id)))
        .collect();
    Pipeline::new(sources, nodes, config.on_gap)
}

/// Everything that runs.
struct Threads {
    /// The sources, each with whether the run goes on as long as it does.
    intakes: Vec<(JoinHandle<Result<()>>, bool)>,
    /// Set when a source has failed.
    failed: Arc<AtomicBool>,
    lane: Lane,
    outlets: Vec<JoinHandle<Result<()>>>,
    /// Ends the intakes.
    stop_intakes: Arc<AtomicBool>,
    /// Ends the lane.
    stop_lane: Arc<AtomicBool>,
}

/// Starts the threads from the sinks backwards, so that nothing is lost at the start.
fn start(
    config: Config,
    graph: &Graph,
    counters: Vec<Arc<Counters>>,
    pipeline: Pipeline,
    outlets: Vec<Outlet>,
) -> Result<Threads> {
    let stop_intakes = Arc::new(AtomicBool::new(false));
    let stop_lane = Arc::new(AtomicBool::new(false));
    let failed = Arc::new(AtomicBool::new(false));
    let outlets = outlets.into_iter().map(Outlet::start).collect::<Result<Vec<_>>>()?;
    let bell = Doorbell::default();
    let (mut rings, mut intakes) = (Vec::new(), Vec::new());
    let start_s = clock::now_s();
    for ((unit, spec), counters) in config.sources.into_iter().zip(&graph.sources).zip(counters) {
        let capacity = match spec.payload {
            Payload::Markers => MARKER_INBOX,
            _ => ((INBOX_S * spec.rate_hz) as usize).clamp(256, 65_536),
        };
        let (producer, consumer) = ring((0..capacity).map(|_| spec.frame()).collect());
        rings.push(consumer);
        let mut source = unit.unit;
        source.start(start_s);
        intakes.push(Intake {
            id: unit.id,
            source,
            spec: spec.clone(),
            ring: producer,
            bell: bell.clone(),
            counters,
            stop: stop_intakes.clone(),
            failed: failed.clone(),
        });
    }
    let lane =
        Lane::start(pipeline, Inbox { rings, bell, ordered: graph.offline }, stop_lane.clone())?;
    let mut running = Vec::new();
    for intake in intakes {
        // A live source of markers may stay silent for ever; without samples it is of no use.
        let keeps_alive = graph.offline || intake.spec.payload != Payload::Markers;
        running.push((intake.start()?, keeps_alive));
    }
    Ok(Threads { intakes: running, failed, lane, outlets, stop_intakes, stop_lane })
}

impl Threads {
    /// Waits for the end and takes the threads down in the order of the data, so that everything
    /// that came in is still decided and written.
    fn watch(self, for_s: Option<f64>, stop: &Stop) -> Result<()> {
        let end_s = for_s.map(|s| clock::now_s() + s);
        let alive =
            |(intake, keeps_alive): &(JoinHandle<_>, bool)| *keeps_alive && !intake.is_finished();
        while self.intakes.iter().any(alive) {
            let over = end_s.is_some_and(|end| clock::now_s() >= end);
            let broken = self.failed.load(Ordering::Relaxed)
                || self.lane.is_finished()
                || self.outlets.iter().any(JoinHandle::is_finished);
            if stop.asked() {
                eprintln!("ending in good order; press Ctrl-C again to end at once");
                break;
            }
            if over || broken {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.stop_intakes.store(true, Ordering::Relaxed);
        let mut result = Ok(());
        for (intake, _) in self.intakes {
            result = result.and(joined(intake, "a source"));
        }
        // With the sources gone the lane ends by itself; the flag is for one that is stuck.
        let patience = Duration::from_secs(30);
        let since = std::time::Instant::now();
        while !self.lane.is_finished() && since.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.stop_lane.store(true, Ordering::Relaxed);
        result = result.and(self.lane.join());
        for outlet in self.outlets {
            result = result.and(joined(outlet, "a sink"));
        }
        result
    }
}

fn joined(thread: JoinHandle<Result<()>>, what: &str) -> Result<()> {
    thread.join().unwrap_or_else(|_| Err(Error::run(format!("{what} stopped by a fault of ours"))))
}

/// What the recorder gathers.
#[derive(Default)]
struct Collected {
    latency: Option<Latency>,
    decisions: Vec<Decision>,
}

/// Our own sink: keeps the figures for the report.
struct Recorder {
    collected: Arc<Mutex<Collected>>,
    classes: Vec<String>,
    stages: Vec<String>,
    keep_decisions: bool,
}

impl Sink for Recorder {
    fn open(&mut self, _inputs: &[Spec], _run: &RunFacts) -> Result<()> {
        Ok(())
    }

    fn write(&mut self, delivery: &Delivery) -> Result<()> {
        let mut collected = self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        collected
            .latency
            .get_or_insert_with(|| Latency::new(&self.stages))
            .record(delivery.times());
        if self.keep_decisions {
            collected.decisions.push(Decision::new(delivery, &self.classes, &self.stages));
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The command: runs, writes the report and says how it went.
pub fn command(
    config: Config,
    options: &Options,
    report_to: Option<&Path>,
    json: bool,
    stop: &Stop,
) -> Result<()> {
    let shown = config.sinks.iter().any(|s| s.kind == "terminal");
    let report = run(config, options, stop)?;
    if let Some(path) = report_to {
        let failed = |e: &dyn std::fmt::Display| {
            Error::run(format!("{}: cannot write: {e}", path.display()))
        };
        let text = serde_json::to_string(&report).map_err(|e| failed(&e))?;
        std::fs::write(path, text).map_err(|e| failed(&e))?;
    }
    if json {
        return super::print_json(&serde_json::json!({
            "latency": report.latency, "ledger": report.ledger,
        }));
    }
    // The terminal view has its own last words.
    if !shown {
        eprintln!("{}", summary(&report));
    }
    Ok(())
}

/// The end of a run in a few lines.
fn summary(report: &Report) -> String {
    let ms = |us: f64| format!("{:.2} ms", us / 1e3);
    let engine = &report.latency.engine;
    let mut lost: Vec<String> = Vec::new();
    for page in &report.ledger {
        let counts: Vec<_> = page.counts.iter().map(|(c, n)| format!("{c} {n}")).collect();
        if !counts.is_empty() {
            lost.push(format!("{}: {}", page.place, counts.join(", ")));
        }
    }
    let ledger = if lost.is_empty() { "clean".to_owned() } else { lost.join("; ") };
    if engine.n == 0 {
        return format!("no decisions; ledger {ledger}");
    }
    format!(
        "{} decisions; arrival to decision p50 {}, p99 {}, max {}; ledger {ledger}",
        engine.n,
        ms(engine.p50_us),
        ms(engine.p99_us),
        ms(engine.max_us)
    )
}
