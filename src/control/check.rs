//! `saltatory check`: the whole check of a config, and a picture of its graph.

use super::{print, print_json};
use crate::clock;
use crate::config::{Config, spec_of, within};
use crate::error::{Error, Result};
use crate::frame::{Payload, Spec};
use crate::ledger::Cause;
use crate::ledger::Counters;
use crate::model::Model;
use crate::stages::{Emit, Stage};
use console::style;
use serde::Serialize;
use std::fmt::Write as _;

/// How many frames a stage is timed on.
const ROUNDS: usize = 20;

/// One line of the picture.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    kind: &'static str,
    from: Vec<String>,
    /// What it sends on; empty when that is not known yet.
    sends: String,
    rate_hz: Option<f64>,
    delay_ms: f64,
    cost_us: Option<f64>,
}

/// Checks everything that can be checked without running: files, streams, shapes, the model.
/// Streams that are not there are an error; a model that was not fitted yet is a remark.
pub fn check(mut config: Config, json: bool) -> Result<()> {
    let sources = open(&mut config)?;
    let model = match config.model.as_deref() {
        Some(path) if path.exists() => Some(Model::load(path)?),
        _ => None,
    };
    let mut remarks = Vec::new();
    let first_unfitted = match model {
        Some(_) => None,
        None => config.stages.iter_mut().position(|s| s.unit.fitted().is_some()),
    };
    let stages = match first_unfitted {
        None => config.prepare(&sources, model.as_ref())?,
        Some(first) => {
            let model = config.model.as_ref().map_or("no model is named".to_owned(), |m| {
                format!("the model {} does not exist yet", m.display())
            });
            remarks.push(format!(
                "{model}: `{}` and what follows are checked once it is fitted with `saltatory fit {} \
                 RECORDING... --out MODEL`",
                config.stages[first].id,
                config.path.display()
            ));
            let mut specs = Vec::new();
            for i in 0..first {
                specs.push(config.prepare_stage(i, &sources, &specs)?);
            }
            specs
        }
    };
    let rows = rows(&mut config, &sources, &stages);
    if json {
        let (config, ok) = (config.path, true);
        return print_json(&serde_json::json!({
            "config": config, "ok": ok, "graph": rows, "remarks": remarks,
        }));
    }
    print(&picture(&config, &rows, &remarks))
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

fn rows(config: &mut Config, sources: &[Spec], stages: &[Spec]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (source, spec) in config.sources.iter().zip(sources) {
        rows.push(Row {
            id: source.id.clone(),
            kind: source.kind,
            from: Vec::new(),
            sends: describe(spec),
            rate_hz: (spec.rate_hz > 0.0).then_some(spec.rate_hz),
            delay_ms: 0.0,
            cost_us: None,
        });
    }
    for i in 0..config.stages.len() {
        let from = config.stages[i].from.clone();
        let names = from.iter().map(|node| config.id(*node).to_owned()).collect();
        let stage = &mut config.stages[i];
        let inputs: Vec<&Spec> = match stages.get(i) {
            Some(_) => from.iter().map(|n| spec_of(*n, sources, stages)).collect(),
            None => Vec::new(),
        };
        rows.push(Row {
            id: stage.id.clone(),
            kind: stage.kind,
            from: names,
            sends: stages.get(i).map(describe).unwrap_or_default(),
            rate_hz: stages.get(i).map(|s| s.rate_hz),
            delay_ms: stages.get(i).map_or(0.0, |_| stage.unit.delay_s() * 1e3),
            cost_us: inputs.first().and_then(|spec| cost_us(stage.unit.as_mut(), spec)),
        });
    }
    for sink in &config.sinks {
        rows.push(Row {
            id: sink.id.clone(),
            kind: sink.kind,
            from: sink.from.iter().map(|node| config.id(*node).to_owned()).collect(),
            sends: String::new(),
            rate_hz: None,
            delay_ms: 0.0,
            cost_us: None,
        });
    }
    rows
}

fn describe(spec: &Spec) -> String {
    match spec.payload {
        Payload::Markers => "markers".into(),
        Payload::Samples => format!("samples of {} channels", spec.cols),
        Payload::Window => format!("windows of {} x {}", spec.rows, spec.cols),
        Payload::Vector => format!("vectors of {}", spec.cols),
        Payload::Matrix => format!("matrices of {0} x {0}", spec.rows),
        Payload::Scores => format!("scores of {}", spec.classes.join(", ")),
    }
}

/// What one frame costs on this machine: the median over a few frames of noise. Nothing for frames
/// that cannot be made up.
fn cost_us(stage: &mut dyn Stage, input: &Spec) -> Option<f64> {
    let mut frame = input.frame();
    let mut times = Vec::new();
    let mut state = 1_u64;
    // Where windows come a step at a time, nothing is decided before the first one is complete.
    let warm_up = input.frames_per_window() - 1;
    for round in 0..warm_up + ROUNDS {
        let (rows, cols) = match input.payload {
            Payload::Markers => return None,
            _ => input.frame_shape(),
        };
        frame.resize(rows, cols);
        for value in &mut frame.data {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *value = (state >> 40) as f64 / f64::from(1 << 24) - 0.5;
        }
        if input.payload == Payload::Matrix {
            make_spd(&mut frame.data, rows);
        }
        frame.span.first = (round * rows) as u64;
        frame.span.last = frame.span.first + rows.max(1) as u64 - 1;
        let start_s = clock::now_s();
        stage.process(&mut frame, &mut Nowhere).ok()?;
        if round >= warm_up {
            times.push((clock::now_s() - start_s) * 1e6);
        }
    }
    stage.reset();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

/// Turns noise into a symmetric matrix with a dominant diagonal.
fn make_spd(data: &mut [f64], n: usize) {
    for r in 0..n {
        for c in 0..r {
            data[r * n + c] = data[c * n + r];
        }
        data[r * n + r] = n as f64;
    }
}

struct Nowhere;

impl Emit for Nowhere {
    fn emit(&mut self, _frame: &mut crate::frame::Frame) {}
    fn count(&mut self, _cause: Cause, _n: u64) {}
}

/// The graph as a table, and how old the signal is that a decision describes.
fn picture(config: &Config, rows: &[Row], remarks: &[String]) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{} {}", style("good").green().bold(), config.path.display());
    let _ = writeln!(
        text,
        "\n{:<14} {:<11} {:<22} {:<32} {:>9} {:>10}",
        "id", "kind", "from", "sends", "delay", "cost"
    );
    for row in rows {
        let delay =
            if row.delay_ms > 0.0 { format!("{:.1} ms", row.delay_ms) } else { String::new() };
        let cost = row.cost_us.map(|c| format!("{c:.1} us")).unwrap_or_default();
        let rate = match row.rate_hz {
            Some(rate) if row.from.is_empty() => format!(" at {rate} Hz"),
            _ => String::new(),
        };
        let sends = if row.sends.is_empty() && row.rate_hz.is_none() && !row.from.is_empty() {
            "-".to_owned()
        } else {
            format!("{}{rate}", row.sends)
        };
        let _ = writeln!(
            text,
            "{:<14} {:<11} {:<22} {sends:<32} {delay:>9} {cost:>10}",
            row.id,
            row.kind,
            row.from.join(", ")
        );
    }
    let delay: f64 = rows.iter().map(|r| r.delay_ms).sum();
    let windows = config.stages.iter().filter(|s| matches!(s.kind, "window" | "event"));
    for window in windows {
        if let Some(length_s) = window.settings.get("length_s").and_then(serde_json::Value::as_f64)
        {
            let _ = writeln!(
                text,
                "\na decision describes the signal of {:.0} ms ago: half the window of {:.0} ms, plus \
                 {delay:.0} ms of filter delay",
                length_s * 500.0 + delay,
                length_s * 1e3
            );
        }
    }
    for remark in remarks {
        let _ = writeln!(text, "\n{} {remark}", style("note:").yellow());
    }
    text
}
