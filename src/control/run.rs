//! `saltatory run`: runs a config, watches it, and tells how it went.

use super::running::{Learning, Running, Seen, seen};
use super::stop::Stop;
use crate::config::{self, Config, Node, Unit};
use crate::deadline;
use crate::engine::balance::{self, Account};
use crate::engine::rights::Grant;
use crate::error::{Error, Result};
use crate::frame::{Payload, Spec};
use crate::latency::{self, Latency};
use crate::ledger::Page;
use crate::model::Model;
use crate::sinks::{Decision, Delivery, RunFacts, Sink};
use crate::sources::Speed;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The place of our own sink in the ledger.
const RECORDER: &str = "report";
/// How often the files of a config are looked at for changes.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often what was learned is written down.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Ends the run after this many seconds.
    pub for_s: Option<f64>,
    /// Overrides the speed of recorded and simulated sources.
    pub speed: Option<Speed>,
    /// Whether to keep every decision for the report.
    pub keep_decisions: bool,
    /// Takes up changes of the config file and of the model while running; with the overrides that
    /// the config was loaded with.
    pub reload: Option<Vec<String>>,
    /// Writes what the stages that adapt have learned into a model of this name.
    pub keep_learned: Option<PathBuf>,
}

/// What a run leaves behind: the content of `--report`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Every decision, if they were kept.
    pub decisions: Vec<Decision>,
    /// Times over all decisions.
    pub latency: latency::Report,
    /// How well the deadline was kept.
    pub deadline: deadline::Report,
    /// What the lanes asked of the machine, and the answers.
    pub realtime: Vec<Grant>,
    /// The ledger, place by place.
    pub ledger: Vec<Page>,
    /// Whether the counts of the ledger add up.
    pub balance: Vec<Account>,
}

/// Runs `config` until its sources end, the time is over, or `stop` is asked for.
pub fn run(config: Config, options: &Options, stop: &Stop) -> Result<Report> {
    let (report, result) = try_run(config, options, stop)?;
    result.map(|()| report)
}

/// As [`run`], with the report of a run that failed on its way.
fn try_run(config: Config, options: &Options, stop: &Stop) -> Result<(Report, Result<()>)> {
    let mut reload = options.reload.as_ref().map(|sets| Reload::new(&config, sets));
    let mut keeper =
        options.keep_learned.as_deref().map(|to| Keeper::new(&config, to)).transpose()?;
    let mut session = Session::start(config, options, stop)?;
    session.running.watch(stop, |running| {
        if let Some(reload) = &mut reload {
            reload.look(running);
        }
        if let Some(keeper) = &mut keeper {
            keeper.now_and_then(running.learning());
        }
        true
    });
    let mut learning = std::mem::take(session.running.learning());
    let (report, result) = session.finish();
    let kept = keeper.map_or(Ok(()), |mut keeper| keeper.write(&mut learning));
    Ok((report, result.and(kept)))
}

/// A run whose decisions are gathered for a report.
pub struct Session {
    /// What runs.
    pub running: Running,
    collected: Arc<Mutex<Collected>>,
}

impl Session {
    /// Starts `config`.
    pub fn start(config: Config, options: &Options, stop: &Stop) -> Result<Self> {
        let collected = Arc::new(Mutex::new(Collected::default()));
        let keep = options.keep_decisions;
        let running =
            Running::start(config, options.for_s, options.speed, stop, |config, specs| {
                add_recorder(config, specs, &collected, keep);
            })?;
        Ok(Self { running, collected })
    }

    /// Ends it in good order and says how it went; there is a report even where it failed.
    pub fn finish(self) -> (Report, Result<()>) {
        let (facts, realtime) = (self.running.facts().clone(), self.running.grants().to_vec());
        let (balance, result) = self.running.finish();
        let mut collected = self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        let latency =
            collected.latency.take().unwrap_or_else(|| Latency::new(&facts.stages)).report();
        let decisions = std::mem::take(&mut collected.decisions);
        let (deadline, ledger) = (facts.health.report(), facts.ledger.pages());
        (Report { decisions, latency, deadline, realtime, ledger, balance }, result)
    }
}

/// Writes what is learned while it runs into a model of its own, beside what was learned before.
struct Keeper {
    model: Model,
    to: PathBuf,
    written: Instant,
}

impl Keeper {
    fn new(config: &Config, to: &Path) -> Result<Self> {
        let from = config.model.as_deref().ok_or_else(|| {
            Error::config("there is no model to go on from: name one with --set model=MODEL")
        })?;
        let same = |path: &Path| path.canonicalize().ok();
        if same(to).is_some() && same(to) == same(from) {
            return Err(Error::config(format!(
                "--keep-learned {}: is the model that it starts from, which has to stay as it is; \
                 name another file",
                to.display()
            )));
        }
        let (model, to) = (Model::load(from)?, to.to_owned());
        Ok(Self { model, to, written: Instant::now() })
    }

    /// Writes it when a minute has passed. What cannot be written is said, and the run goes on.
    fn now_and_then(&mut self, learning: &mut Learning) {
        if self.written.elapsed() < KEEP_EVERY {
            return;
        }
        if let Err(e) = self.write(learning) {
            eprintln!("what was learned is not kept: {e}");
        }
    }

    fn write(&mut self, learning: &mut Learning) -> Result<()> {
        self.written = Instant::now();
        for (id, live) in learning {
            if let (Some(part), Some(arrays)) = (self.model.parts.get_mut(id), live.take()) {
                part.tensors.extend(arrays);
            }
        }
        self.model.save(&self.to)
    }
}

/// Looks for changes of the files that a run was started from.
struct Reload {
    path: PathBuf,
    /// The config, and what it refers to.
    files: Vec<PathBuf>,
    sets: Vec<String>,
    seen: Vec<Seen>,
    looked: Instant,
}

impl Reload {
    fn new(config: &Config, sets: &[String]) -> Self {
        let (path, files) = (config.path.clone(), files(config));
        let seen = look_at(&files);
        Self { path, files, sets: sets.to_vec(), seen, looked: Instant::now() }
    }

    /// Swaps the pipeline if a file has changed. What does not fit is said, and the run goes on as it
    /// was.
    fn look(&mut self, running: &mut Running) {
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        let now = look_at(&self.files);
        if now == self.seen {
            return;
        }
        self.seen = now;
        let loaded = config::load(&self.path, &self.sets);
        let swapped = loaded.and_then(|config| {
            let files = files(&config);
            if files != self.files {
                self.seen = look_at(&files);
                self.files = files;
            }
            running.swap(config)
        });
        match swapped {
            Ok(kept) if kept.is_empty() => eprintln!("took up the change; every stage starts anew"),
            Ok(kept) => {
                eprintln!("took up the change; these go on as they were: {}", kept.join(", "))
            }
            Err(e) => eprintln!("the change is not taken up, the run goes on as it was: {e}"),
        }
    }
}

/// The config, its model, and what its stages are made from.
fn files(config: &Config) -> Vec<PathBuf> {
    let stages = config.stages.iter().flat_map(|stage| stage.unit.files());
    std::iter::once(config.path.clone()).chain(config.model.clone()).chain(stages).collect()
}

fn look_at(files: &[PathBuf]) -> Vec<Seen> {
    files.iter().map(|path| seen(path)).collect()
}

/// Adds our own sink behind every stage that makes the last kind of decision; where nothing decides,
/// behind the last stage that makes something of windows.
fn add_recorder(
    config: &mut Config,
    specs: &[Spec],
    collected: &Arc<Mutex<Collected>>,
    keep_decisions: bool,
) {
    let is = |i: usize, payload: Payload| specs[i].payload == payload;
    let made = |i: &usize| !is(*i, Payload::Samples) && !is(*i, Payload::Markers);
    let scores = (0..specs.len()).rev().find(|i| is(*i, Payload::Scores));
    let Some(last) = scores.or_else(|| (0..specs.len()).rev().find(made)) else { return };
    let read = |i: &usize| config.stages.iter().any(|s| s.from.contains(&Node::Stage(*i)));
    let classes = specs[last].classes.clone();
    let alike = |i: &usize| is(*i, specs[last].payload) && specs[*i].classes == classes;
    let ends = (0..specs.len()).filter(|i| alike(i) && !read(i));
    let from: Vec<Node> = ends.map(Node::Stage).collect();
    let from = if from.is_empty() { vec![Node::Stage(last)] } else { from };
    let keep_decisions = keep_decisions && scores.is_some();
    let recorder = Recorder {
        collected: collected.clone(),
        classes,
        stages: config.stages.iter().map(|s| s.id.clone()).collect(),
        keep_decisions,
    };
    config.sinks.push(Unit {
        id: RECORDER.into(),
        kind: RECORDER,
        from,
        lane: None,
        settings: serde_json::Value::Null,
        place: String::new(),
        keys: Vec::new(),
        unit: Box::new(recorder),
    });
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

    fn urgent(&self) -> bool {
        false
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
    let (report, result) = try_run(config, options, stop)?;
    for fault in balance::faults(&report.balance) {
        eprintln!("a fault of ours: {fault} are unaccounted for; please report this");
    }
    if let Some(path) = report_to {
        let failed = |e: &dyn std::fmt::Display| {
            Error::run(format!("{}: cannot write: {e}", path.display()))
        };
        let text = serde_json::to_string(&report).map_err(|e| failed(&e))?;
        std::fs::write(path, text).map_err(|e| failed(&e))?;
    }
    if json {
        super::print_json(&serde_json::json!({
            "latency": report.latency, "deadline": report.deadline, "realtime": report.realtime,
            "ledger": report.ledger, "balance": report.balance,
        }))?;
    } else if !shown {
        // The terminal view has its own last words.
        eprintln!("{}", summary(&report));
    }
    result
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
