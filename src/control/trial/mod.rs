//! A trial: a config is run on made-up data in place of its sources, to find out what it costs.
//!
//! The engine is the real one: its lanes, its inboxes, the rights that the config asks for. At first the
//! sources send as fast as the engine takes it, so that windows fill up and everything is hot in the
//! caches; then, once everything is worked off, at the pace of a clock. `check`, `bench pipeline` and
//! `doctor` are made of trials.

mod meter;
mod noise;

pub use noise::{fit_on_noise, frames};

use super::running::Running;
use super::stop::Stop;
use crate::clock;
use crate::config::{Config, Node};
use crate::deadline::{self, Late};
use crate::engine::rights::Grant;
use crate::error::{Error, Result};
use crate::frame::{Payload, Spec};
use crate::latency::Summary;
use crate::ledger::{Cause, Ledger, Page};
use meter::{Meter, Mute, Tally};
use noise::{Cues, Noise, Pace};
use std::sync::{Arc, Mutex, PoisonError};

/// Seconds of samples in a block, as an amplifier may send them.
pub const BLOCK_S: f64 = 0.005;
/// How long the first part, as fast as can be, may take.
const FILL_S: f64 = 5.0;
/// Looks without a change, 10 ms apart, after which everything is worked off.
const CALM: u32 = 3;
/// Decisions that come this late after their samples are those of an engine that has fallen behind.
const BEHIND_S: f64 = 0.1;

/// How long a trial lasts.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Decisions as fast as can be.
    pub hot: u64,
    /// Decisions at the pace of a clock after which it is enough, ...
    pub paced: u64,
    /// ... and seconds.
    pub paced_s: f64,
}

/// What a trial found.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The stages that nothing reads from.
    pub ends: Vec<End>,
    /// Time in each stage of the config, block by block before the windows, window by window behind.
    pub stages: Vec<Costs>,
    /// Processor time for each second, at the pace of a clock.
    pub cores: f64,
    /// Samples that were lost at that pace.
    pub lost: u64,
    /// Whether nothing was lost and no decision waited behind others.
    pub keeps_up: bool,
    /// How well the deadline was kept.
    pub deadline: deadline::Report,
    /// What the lanes asked of the machine, and the answers.
    pub realtime: Vec<Grant>,
}

/// What came out of the end of a graph.
#[derive(Debug, Clone)]
pub struct End {
    /// The stage.
    pub stage: usize,
    /// From the arrival of the newest sample to the end, at the pace of a clock.
    pub engine: Summary,
    /// From one to the next, in seconds; 0 when there were fewer than two.
    pub every_s: f64,
}

/// What a stage costs.
#[derive(Debug, Clone, Default)]
pub struct Costs {
    /// As fast as can be: code and data in the caches, the core awake.
    pub hot: Summary,
    /// At the pace of a clock.
    pub paced: Summary,
}

impl Costs {
    /// What to reckon with, in microseconds: the median at the pace of a clock, or what there is.
    pub fn expected_us(&self) -> Option<f64> {
        [&self.paced, &self.hot].into_iter().find(|s| s.n > 0).map(|s| s.p50_us)
    }
}

/// Runs `config`, whose sources would send `sources`, as `plan` says. What its stages learned comes from
/// its model, or is in them already.
pub fn run(mut config: Config, sources: &[Spec], plan: &Plan) -> Result<Trial> {
    let ends = ends(&config);
    let reaches = (0..config.stages.len()).map(|i| reached(&config, i, &ends)).collect::<Vec<_>>();
    // Of branches that take turns one may be at rest all the time.
    let all = config.deadline.late != Late::Degrade;
    let pace = Arc::new(Pace::new(sources.iter().any(|s| s.payload == Payload::Markers)));
    let places = sample_ids(&config, sources);
    make_up(&mut config, sources, &pace)?;
    config.sinks.iter_mut().for_each(|sink| sink.unit = Box::new(Mute(sink.unit.urgent())));
    let ids: Vec<String> = config.stages.iter().map(|s| s.id.clone()).collect();
    let tallies: Vec<_> = ends.iter().map(|_| Arc::new(Mutex::new(Tally::new(&ids)))).collect();

    let stop = Stop::default();
    let mut running = Running::start(config, None, None, &stop, |config, _| {
        Meter::add_to(config, &ends, &tallies, &pace);
    })?;
    let seen = Seen { tallies: &tallies, all };
    let cores = watch(&mut running, &seen, &pace, plan, &stop);
    let (facts, realtime) = (running.facts().clone(), running.grants().to_vec());
    running.finish().1?;

    let lost = lost(&facts.ledger, &places);
    let tallies: Vec<_> =
        tallies.iter().map(|t| t.lock().unwrap_or_else(PoisonError::into_inner)).collect();
    let behind = tallies.iter().any(|t| t.waited_s() > BEHIND_S);
    let found = ends.iter().zip(&tallies).map(|(stage, tally)| tally.end(*stage)).collect();
    let costs = |i: usize| {
        let seen = tallies.iter().zip(&reaches[i]).filter(|(_, reached)| **reached);
        seen.max_by_key(|(t, _)| t.count()).map(|(t, _)| t.costs(i)).unwrap_or_default()
    };
    Ok(Trial {
        ends: found,
        stages: (0..ids.len()).map(costs).collect(),
        cores,
        lost,
        keeps_up: lost == 0 && !behind,
        deadline: facts.health.report(),
        realtime,
    })
}

/// The stages that nothing reads from.
fn ends(config: &Config) -> Vec<usize> {
    let read = |i: &usize| config.stages.iter().any(|s| s.from.contains(&Node::Stage(*i)));
    (0..config.stages.len()).filter(|i| !read(i)).collect()
}

/// Which of `ends` can be reached from stage `start`.
fn reached(config: &Config, start: usize, ends: &[usize]) -> Vec<bool> {
    let mut behind = vec![false; config.stages.len()];
    behind[start] = true;
    for i in start + 1..behind.len() {
        let from = &config.stages[i].from;
        behind[i] = from.iter().any(|node| matches!(node, Node::Stage(j) if behind[*j]));
    }
    ends.iter().map(|i| behind[*i]).collect()
}

/// The sources that send samples.
fn sample_ids(config: &Config, sources: &[Spec]) -> Vec<String> {
    let sends = config.sources.iter().zip(sources);
    sends.filter(|(_, s)| s.payload == Payload::Samples).map(|(unit, _)| unit.id.clone()).collect()
}

/// Puts made-up data in the place of every source.
fn make_up(config: &mut Config, sources: &[Spec], pace: &Arc<Pace>) -> Result<()> {
    if !sources.iter().any(|s| s.payload == Payload::Samples && s.rate_hz > 0.0) {
        return Err(Error::missing("no source sends samples"));
    }
    let texts: Vec<String> = config
        .classes()
        .map(|classes| {
            classes.pairs().into_iter().filter_map(|(_, t)| t.into_iter().next()).collect()
        })
        .unwrap_or_default();
    for (unit, spec) in config.sources.iter_mut().zip(sources) {
        unit.unit = match spec.payload {
            Payload::Samples => Box::new(Noise::new(spec, BLOCK_S, pace.clone())),
            _ => Box::new(Cues::new(texts.clone(), pace.clone())),
        };
    }
    Ok(())
}

/// What comes out of the ends.
struct Seen<'a> {
    tallies: &'a [Arc<Mutex<Tally>>],
    /// Whether something has to come out of all of them.
    all: bool,
}

impl Seen<'_> {
    /// How many results there were at the end that has fewest, of those that count.
    fn count(&self, of: impl Fn(&Tally) -> u64) -> u64 {
        let lock = |t: &Arc<Mutex<Tally>>| of(&t.lock().unwrap_or_else(PoisonError::into_inner));
        let counts = self.tallies.iter().map(lock);
        if self.all { counts.min() } else { counts.max() }.unwrap_or_default()
    }
}

/// Waits until enough was seen; returns the processor time per second at the pace of a clock.
fn watch(running: &mut Running, seen: &Seen, pace: &Pace, plan: &Plan, stop: &Stop) -> f64 {
    let since_s = clock::now_s();
    let (mut worked, mut calm) = (0, 0);
    let (mut paced_from_s, mut cpu_before_s) = (None, 0.0);
    running.watch(stop, |running| {
        let now_s = clock::now_s();
        match paced_from_s {
            Some(from_s) => {
                let enough = seen.count(Tally::paced_count) >= plan.paced;
                return !enough && now_s - from_s < plan.paced_s;
            }
            None if !pace.is_held() => {
                if seen.count(Tally::count) >= plan.hot || now_s - since_s > FILL_S {
                    pace.hold();
                }
            }
            None => {
                let now: u64 = running.facts().ledger.pages().iter().map(|p| p.taken_in).sum();
                calm = if now == worked { calm + 1 } else { 0 };
                worked = now;
                if calm >= CALM || now_s - since_s > 2.0 * FILL_S {
                    pace.go(now_s);
                    (paced_from_s, cpu_before_s) = (Some(now_s), cpu_s());
                }
            }
        }
        true
    });
    let paced_s = paced_from_s.map_or(0.0, |from_s| clock::now_s() - from_s);
    if paced_s > 0.0 { (cpu_s() - cpu_before_s) / paced_s } else { 0.0 }
}

/// Samples that did not get from a source into the engine.
fn lost(ledger: &Ledger, sources: &[String]) -> u64 {
    let of = |page: &Page| -> u64 {
        let causes = [Cause::Drop.name(), Cause::Gap.name()];
        page.counts.iter().filter(|(cause, _)| causes.contains(cause)).map(|(_, n)| n).sum()
    };
    ledger.pages().iter().filter(|p| sources.contains(&p.place)).map(of).sum()
}

/// Seconds of processor time that this process has used.
#[cfg(unix)]
pub fn cpu_s() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 * 1e-9
}

/// Seconds of processor time that this process has used; 0 where the system does not say.
#[cfg(not(unix))]
pub fn cpu_s() -> f64 {
    0.0
}
