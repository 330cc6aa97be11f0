//! Whether decisions can come in time: what has to be done from the newest sample to each of them.

use super::{lane_name, unused};
use crate::config::{Config, Node};
use crate::control::trial::Trial;
use crate::deadline::Late;
use crate::engine::assembly::{self, REALTIME};
use crate::error::Error;
use crate::frame::{Payload, Spec};
use crate::latency::Summary;
use serde::Serialize;

/// A decision: how long it takes on this machine, and how long it may.
#[derive(Debug, Clone, Serialize)]
pub struct Promise {
    /// The stage that decides.
    pub decision: String,
    /// The thread that it runs on.
    pub lane: String,
    /// What the stages on its way cost together: medians, for a block before the windows and a window
    /// behind them.
    pub expected_ms: f64,
    /// The deadline; null where there is none.
    pub deadline_ms: Option<f64>,
    /// The stages that work between the newest sample and the decision, and what each costs.
    pub way: Vec<Step>,
    /// From the arrival of the newest sample to the decision, as measured: with hand-overs and wake-ups.
    pub measured: Option<Summary>,
    #[serde(skip)]
    stage: usize,
}

/// A stage on the way to a decision.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Its id.
    pub id: String,
    /// What it costs, in microseconds.
    pub cost_us: f64,
    #[serde(skip)]
    stage: usize,
}

impl Promise {
    /// Whether the deadline is too short.
    fn is_broken(&self) -> bool {
        self.deadline_ms.is_some_and(|deadline_ms| self.expected_ms > deadline_ms)
    }

    /// The stage that costs most.
    fn dearest(&self) -> Option<&Step> {
        self.way.iter().max_by(|a, b| a.cost_us.total_cmp(&b.cost_us))
    }
}

/// The promises of `config`, whose stages send `stages`.
pub fn promises(config: &Config, stages: &[Spec], trial: Option<&Trial>) -> Vec<Promise> {
    let lanes = assembly::lanes(config);
    let cost_us = |i: usize| {
        let costs = trial.and_then(|t| t.stages.get(i)).filter(|c| !unused(c));
        costs.and_then(|c| c.expected_us()).unwrap_or_default()
    };
    let promise = |goal: usize| {
        let step =
            |i: usize| Step { id: config.stages[i].id.clone(), cost_us: cost_us(i), stage: i };
        let way: Vec<Step> = way(config, &lanes, goal, &cost_us).into_iter().map(step).collect();
        let end = trial.and_then(|t| t.ends.iter().find(|end| end.stage == goal));
        Promise {
            decision: config.stages[goal].id.clone(),
            lane: lane_name(config, &lanes, lanes[goal]),
            expected_ms: way.iter().map(|s| s.cost_us).sum::<f64>() / 1e3,
            deadline_ms: config.deadline.budget_s.map(|s| s * 1e3),
            way,
            measured: end.map(|end| end.engine.clone()).filter(|s| s.n > 0),
            stage: goal,
        }
    };
    decisions(config, stages).into_iter().map(promise).collect()
}

/// The stages that decide; where none does, those that nothing reads from.
fn decisions(config: &Config, stages: &[Spec]) -> Vec<usize> {
    let scores = |i: &usize| stages[*i].payload == Payload::Scores;
    let reads = |i: usize, j: usize| config.stages[i].from.contains(&Node::Stage(j));
    let all = || 0..config.stages.len();
    // A vote follows on a decision; the last one counts.
    let last = |i: &usize| !all().any(|j| scores(&j) && reads(j, *i));
    let deciding: Vec<usize> = all().filter(|i| scores(i) && last(i)).collect();
    match deciding.is_empty() {
        true => all().filter(|i| !all().any(|j| reads(j, *i))).collect(),
        false => deciding,
    }
}

/// The stages that work from the arrival of a block to the decision of `goal`: those on its way and, on
/// the real-time lane, those whose turn comes before. Of several sources, the one with the dearest way.
fn way(
    config: &Config,
    lanes: &[usize],
    goal: usize,
    cost_us: &dyn Fn(usize) -> f64,
) -> Vec<usize> {
    let leads = leading_to(config, goal);
    // Of two branches that take turns, the other one is at rest.
    let alone = lanes[goal] != REALTIME || config.deadline.late == Late::Degrade;
    let goes = |i: usize| if alone { leads[i] } else { lanes[i] == REALTIME };
    let sum = |way: &Vec<usize>| way.iter().map(|i| cost_us(*i)).sum::<f64>();
    let ways = (0..config.sources.len()).filter_map(|source| {
        let mut way = Vec::new();
        walk(config, Node::Source(source), goal, &goes, &mut way).then_some(way)
    });
    ways.max_by(|a, b| sum(a).total_cmp(&sum(b))).unwrap_or_default()
}

/// Goes the way of a frame from `at` through the stages that `goes` names, in the order in which the
/// lane does, until `goal`; says whether it got there.
fn walk(
    config: &Config,
    at: Node,
    goal: usize,
    goes: &dyn Fn(usize) -> bool,
    way: &mut Vec<usize>,
) -> bool {
    for i in 0..config.stages.len() {
        if !config.stages[i].from.contains(&at) || !goes(i) {
            continue;
        }
        if !way.contains(&i) {
            way.push(i);
        }
        if i == goal || walk(config, Node::Stage(i), goal, goes, way) {
            return true;
        }
    }
    false
}

/// Marks the stages from which `goal` can be reached, itself included.
fn leading_to(config: &Config, goal: usize) -> Vec<bool> {
    let mut leads = vec![false; config.stages.len()];
    leads[goal] = true;
    for i in (0..=goal).rev().filter(|i| *i <= goal) {
        if leads[i] {
            for node in &config.stages[i].from {
                if let Node::Stage(j) = node {
                    leads[*j] = true;
                }
            }
        }
    }
    leads
}

/// Finds the promise that cannot be kept and makes an error of it. What is only a pity becomes a remark.
pub fn judge(
    config: &Config,
    promises: &[Promise],
    offline: bool,
    remarks: &mut Vec<String>,
) -> Option<Error> {
    config.deadline.budget_s?;
    if offline {
        remarks.push("recordings that run as fast as the machine can have no deadline".to_owned());
        return None;
    }
    let all_broken = promises.iter().all(Promise::is_broken);
    for promise in promises.iter().filter(|p| p.is_broken()) {
        if all_broken || must_hold(config, promise) {
            return refusal(config, promise);
        }
        let answer = match config.deadline.late {
            Late::Degrade => "; the cheaper branch will answer for it",
            _ => ", which holds nobody up: it has a lane of its own",
        };
        remarks.push(format!(
            "`{}` will be late: it takes {:.3} ms{answer}",
            promise.decision, promise.expected_ms
        ));
    }
    None
}

/// Whether the config is no good without this promise: a decision of the real-time lane, of the cheaper
/// branch where there is one.
fn must_hold(config: &Config, promise: &Promise) -> bool {
    match (config.deadline.late, config.deadline.degrade) {
        (Late::Degrade, Some(cheap)) => leading_to(config, promise.stage)[cheap],
        _ => assembly::lanes(config)[promise.stage] == REALTIME,
    }
}

/// The error, at the stage that is to blame.
fn refusal(config: &Config, promise: &Promise) -> Option<Error> {
    let (dearest, deadline_ms) = (promise.dearest()?, promise.deadline_ms?);
    let steps: Vec<String> =
        promise.way.iter().map(|s| format!("{} {:.3}", s.id, s.cost_us / 1e3)).collect();
    let unit = &config.stages[dearest.stage];
    Some(unit.blame(Error::config(format!(
        "the deadline of {deadline_ms} ms cannot be kept: from the newest sample to the decision of `{}` \
         this machine needs {:.3} ms, and most of it for `{}` ({:.3} ms); in all: {} ms. Allow more \
         (deadline_ms), give it less to do (fewer channels, a shorter window, a cheaper stage), or let a \
         cheaper branch answer when time is short (late = \"degrade\"); `lane = \"worker\"` takes it out \
         of the way of other decisions",
        promise.decision,
        promise.expected_ms,
        unit.id,
        dearest.cost_us / 1e3,
        steps.join(", "),
    ))))
}
