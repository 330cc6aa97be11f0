//! `saltatory check`: the whole check of a config, a picture of its graph, and whether this machine can
//! keep what it promises.

mod picture;
mod promise;

use super::trial::{self, Costs, Plan, Trial, fit_on_noise};
use super::{print, print_json};
use crate::config::{self, Config, Node, within};
use crate::deadline::Late;
use crate::engine::assembly::{self, REALTIME};
use crate::engine::inbox::inbox_samples;
use crate::engine::rights::Grant;
use crate::error::{Error, Result};
use crate::frame::{Payload, Spec};
use crate::latency::Summary;
use crate::ledger::Counters;
use crate::model::Model;
use promise::Promise;
use serde::Serialize;
use std::path::Path;

/// How a config is tried: a second or two, and enough decisions for a median.
const PLAN: Plan = Plan { hot: 30, paced: 30, paced_s: 1.6 };
/// What is decided between where the config does not say.
const CLASSES: [&str; 2] = ["a", "b"];

/// All that is found out about a config. The keys are documented in `docs/formats.md`.
#[derive(Serialize)]
struct Report {
    config: std::path::PathBuf,
    ok: bool,
    /// Why it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    graph: Vec<Row>,
    /// For every decision how long it takes, and how long it may.
    promises: Vec<Promise>,
    /// What the whole engine takes; null where it could not be tried.
    engine: Option<Engine>,
    remarks: Vec<String>,
}

/// One source, stage or sink.
#[derive(Serialize)]
struct Row {
    id: String,
    kind: &'static str,
    from: Vec<String>,
    /// What it sends on, for people; empty when that is not known yet.
    sends: String,
    rate_hz: Option<f64>,
    delay_ms: f64,
    /// The thread that a stage runs on.
    lane: Option<String>,
    /// The median at the pace of the stream.
    cost_us: Option<f64>,
    cost: Option<Cost>,
    /// For sources: what fits between it and the lane.
    inbox: Option<Inbox>,
}

/// What a stage costs: a block of 5 ms before the windows, a window behind them.
#[derive(Serialize)]
struct Cost {
    hot: Summary,
    paced: Summary,
}

#[derive(Serialize)]
struct Inbox {
    samples: usize,
    bytes: usize,
}

/// The engine at work.
#[derive(Serialize)]
struct Engine {
    /// Processor time per second at the pace of the stream.
    cores: f64,
    keeps_up: bool,
    inbox_bytes: usize,
    /// What the lanes asked of the machine, and the answers.
    realtime: Vec<Grant>,
}

/// A config that was prepared.
struct Prepared {
    sources: Vec<Spec>,
    stages: Vec<Spec>,
    /// How many of the stages send what is known for certain; the others wait for a model.
    certain: usize,
    /// Whether all sources deliver as fast as they are read.
    offline: bool,
}

/// Checks everything that can be checked without running: files, streams, shapes, the model; and what
/// a run would cost. Streams that are not there are an error; a model that was not fitted yet is a
/// remark.
pub fn check(path: &Path, sets: &[String], json: bool) -> Result<()> {
    let load = || config::load(path, sets);
    let mut config = load()?;
    let mut remarks = Vec::new();
    let prepared = prepare(&mut config, &mut remarks)?;
    let complete = prepared.stages.len() == config.stages.len();
    if complete {
        assembly::check(&config, &prepared.stages)?;
    }
    let trial = match complete && !config.stages.is_empty() {
        true => Some(try_out(&load, &prepared)?),
        false => None,
    };
    let costs = trial.as_ref().map_or(&[][..], |t| &t.stages);
    let promises = match complete {
        true => promise::promises(&config, &prepared.stages, trial.as_ref()),
        false => Vec::new(),
    };
    let refusal = promise::judge(&config, &promises, prepared.offline, &mut remarks);
    let graph = rows(&config, &prepared, costs);
    let engine = trial.as_ref().map(|t| engine(t, &graph));
    if engine.as_ref().is_some_and(|e| !e.keeps_up) {
        remarks.push(
            "this machine does not keep up with the stream: decisions come later and later; a larger \
             step_s, fewer channels, or a lane of its own for the dearest stage would help"
                .to_owned(),
        );
    }
    let refused = refusal.as_ref().map(ToString::to_string);
    let ok = refused.is_none();
    let report =
        Report { config: config.path.clone(), ok, refused, graph, promises, engine, remarks };
    match json {
        true => print_json(&report)?,
        false => print(&picture::picture(&config, &report))?,
    }
    refusal.map_or(Ok(()), Err)
}

fn open(config: &mut Config) -> Result<Vec<Spec>> {
    let mut specs = Vec::new();
    let mut errors = Vec::new();
    for source in &mut config.sources {
        match source.unit.open(Counters::new(&source.id)) {
            Ok(spec) => specs.push(spec),
            Err(e) => errors.push(source.blame(within(e, "source", &source.id))),
        }
    }
    match errors.into_iter().reduce(|a, b| Error::new(a.kind(), format!("{a}\n\n{b}"))) {
        Some(error) => Err(error),
        None => Ok(specs),
    }
}

/// Opens the sources and prepares the stages. Where there is no model yet, what would need it learns
/// from noise, so that its cost is known.
fn prepare(config: &mut Config, remarks: &mut Vec<String>) -> Result<Prepared> {
    let sources = open(config)?;
    let offline = config.sources.iter().all(|s| s.unit.offline());
    let model = match config.model.as_deref() {
        Some(path) if path.exists() => Some(Model::load(path)?),
        _ => None,
    };
    let unfitted = config.stages.iter_mut().position(|s| s.unit.fitted().is_some());
    let Some(first) = unfitted.filter(|_| model.is_none()) else {
        let stages = config.prepare(&sources, model.as_ref())?;
        return Ok(Prepared { sources, certain: stages.len(), stages, offline });
    };
    let model = config.model.as_ref().map_or("no model is named".to_owned(), |m| {
        format!("the model {} does not exist yet", m.display())
    });
    let id = &config.stages[first].id;
    remarks.push(format!(
        "{model}: `{id}` and what follows are checked once it is fitted with `saltatory fit {} \
         RECORDING... --out MODEL`; their cost is that of a model made of noise",
        config.path.display()
    ));
    let mut stages = Vec::new();
    for i in 0..first {
        stages.push(config.prepare_stage(i, &sources, &stages)?);
    }
    match make_up(config, &sources) {
        Ok(all) => stages = all,
        Err(e) => remarks.push(format!("what it costs is not known: {e}")),
    }
    Ok(Prepared { sources, stages, certain: first, offline })
}

/// Lets the stages learn from noise.
fn make_up(config: &mut Config, sources: &[Spec]) -> Result<Vec<Spec>> {
    let named = config.classes().map(|c| c.pairs().into_iter().map(|(name, _)| name).collect());
    let classes = named.unwrap_or_else(|| CLASSES.map(String::from).to_vec());
    config.model = None;
    fit_on_noise(config, sources, &classes)
}

/// Runs the config on made-up samples, without a deadline, so that nothing is passed over; where there
/// is a cheaper branch, once more with everything sent there.
fn try_out(load: &dyn Fn() -> Result<Config>, prepared: &Prepared) -> Result<Trial> {
    let sources = &prepared.sources;
    let run = |budget_s: Option<f64>| {
        let mut config = load()?;
        config.deadline.budget_s = budget_s;
        if prepared.certain < prepared.stages.len() {
            make_up(&mut config, sources)?;
        }
        let late = config.deadline.late;
        Ok((trial::run(config, sources, &PLAN)?, late))
    };
    let (mut trial, late) = run(None)?;
    if late == Late::Degrade {
        let cheap = run(Some(f64::MIN_POSITIVE))?.0;
        for (stage, other) in trial.stages.iter_mut().zip(cheap.stages) {
            if stage.expected_us().is_none() || unused(stage) {
                *stage = other;
            }
        }
        for (end, other) in trial.ends.iter_mut().zip(cheap.ends) {
            if end.engine.n == 0 {
                *end = other;
            }
        }
    }
    Ok(trial)
}

/// Whether a stage was passed by: no work takes less than a hundredth of a microsecond.
fn unused(costs: &Costs) -> bool {
    costs.expected_us().is_none_or(|us| us < 0.01)
}

fn rows(config: &Config, prepared: &Prepared, costs: &[Costs]) -> Vec<Row> {
    let names = |from: &[Node]| from.iter().map(|node| config.id(*node).to_owned()).collect();
    let row = |id: &str, kind, from: &[Node]| Row {
        id: id.to_owned(),
        kind,
        from: names(from),
        sends: String::new(),
        rate_hz: None,
        delay_ms: 0.0,
        lane: None,
        cost_us: None,
        cost: None,
        inbox: None,
    };
    let mut rows = Vec::new();
    for (source, spec) in config.sources.iter().zip(&prepared.sources) {
        rows.push(Row {
            sends: picture::describe(spec),
            rate_hz: (spec.rate_hz > 0.0).then_some(spec.rate_hz),
            inbox: (spec.payload == Payload::Samples).then(|| {
                let samples = inbox_samples(spec);
                Inbox { samples, bytes: samples * spec.cols * 8 }
            }),
            ..row(&source.id, source.kind, &[])
        });
    }
    let lanes = assembly::lanes(config);
    for (i, stage) in config.stages.iter().enumerate() {
        let known = prepared.stages.get(i);
        let certain = known.filter(|_| i < prepared.certain);
        let costs = costs.get(i).filter(|c| !unused(c));
        rows.push(Row {
            sends: certain.map(picture::describe).unwrap_or_default(),
            rate_hz: certain.map(|s| s.rate_hz),
            delay_ms: known.map_or(0.0, |_| stage.unit.delay_s() * 1e3),
            lane: Some(lane_name(config, &lanes, lanes[i])),
            cost_us: costs.and_then(Costs::expected_us),
            cost: costs.map(|c| Cost { hot: c.hot.clone(), paced: c.paced.clone() }),
            ..row(&stage.id, stage.kind, &stage.from)
        });
    }
    rows.extend(config.sinks.iter().map(|sink| row(&sink.id, sink.kind, &sink.from)));
    rows
}

/// The name of the thread of a lane.
fn lane_name(config: &Config, lanes: &[usize], lane: usize) -> String {
    match lanes.iter().position(|l| *l == lane) {
        Some(first) if lane != REALTIME => format!("lane:{}", config.stages[first].id),
        _ => "lane".to_owned(),
    }
}

fn engine(trial: &Trial, graph: &[Row]) -> Engine {
    Engine {
        cores: trial.cores,
        keeps_up: trial.keeps_up,
        inbox_bytes: graph.iter().filter_map(|row| row.inbox.as_ref()).map(|i| i.bytes).sum(),
        realtime: trial.realtime.clone(),
    }
}
