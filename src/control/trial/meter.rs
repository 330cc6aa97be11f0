//! The sinks of a trial: one that measures behind every end of the graph, and mute ones in the place of
//! those of the config, so that the lane has the same work with them.

use super::noise::Pace;
use super::{Costs, End};
use crate::config::{Config, Node, Unit};
use crate::error::Result;
use crate::frame::Spec;
use crate::latency::{Latency, Summary};
use crate::sinks::{Delivery, RunFacts, Sink};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The place of the meter in the ledger.
const METER: &str = "trial";
/// So many of the newest decisions tell whether the engine has fallen behind.
const NEWEST: usize = 5;

/// What was seen at one end.
pub struct Tally {
    hot: Latency,
    paced: Latency,
    /// Arrival to end of the newest, in seconds.
    newest_s: VecDeque<f64>,
    /// When the first and the newest at the pace of a clock came, in seconds.
    first_s: f64,
    last_s: f64,
}

impl Tally {
    /// An empty one for a graph of `stages`.
    pub fn new(stages: &[String]) -> Self {
        Self {
            hot: Latency::new(stages),
            paced: Latency::new(stages),
            newest_s: VecDeque::with_capacity(NEWEST),
            first_s: 0.0,
            last_s: 0.0,
        }
    }

    fn record(&mut self, delivery: &Delivery, paced: bool) {
        if !paced {
            return self.hot.record(delivery.times());
        }
        self.paced.record(delivery.times());
        if self.newest_s.len() == NEWEST {
            self.newest_s.pop_front();
        }
        self.newest_s.push_back(delivery.engine_s());
        self.last_s = delivery.frame.span.last_s;
        if self.paced_count() == 1 {
            self.first_s = self.last_s;
        }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.hot.engine().n + self.paced_count()
    }

    /// How many there were at the pace of a clock.
    pub fn paced_count(&self) -> u64 {
        self.paced.engine().n
    }

    /// How long the newest had to wait at least, in seconds: one that was late alone does not count.
    pub fn waited_s(&self) -> f64 {
        let full = self.newest_s.len() == NEWEST;
        if full { self.newest_s.iter().copied().fold(f64::INFINITY, f64::min) } else { 0.0 }
    }

    /// What came out of `stage`, which is the end.
    pub fn end(&self, stage: usize) -> End {
        let engine = self.paced.engine();
        let steps = engine.n.saturating_sub(1).max(1) as f64;
        let every_s = (self.last_s - self.first_s).max(0.0) / steps;
        End { stage, engine, every_s }
    }

    /// What stage `i` cost.
    pub fn costs(&self, i: usize) -> Costs {
        let of = |latency: &Latency| -> Summary {
            latency.report().stages.into_iter().nth(i).map(|(_, times)| times).unwrap_or_default()
        };
        Costs { hot: of(&self.hot), paced: of(&self.paced) }
    }
}

/// Measures what comes out of the ends.
pub struct Meter {
    tallies: Vec<Arc<Mutex<Tally>>>,
    pace: Arc<Pace>,
}

impl Meter {
    /// Puts a meter behind the stages `ends` of `config`, each of which has its tally.
    pub fn add_to(
        config: &mut Config,
        ends: &[usize],
        tallies: &[Arc<Mutex<Tally>>],
        pace: &Arc<Pace>,
    ) {
        config.sinks.push(Unit {
            id: METER.into(),
            kind: METER,
            from: ends.iter().map(|i| Node::Stage(*i)).collect(),
            lane: None,
            settings: serde_json::Value::Null,
            place: String::new(),
            keys: Vec::new(),
            unit: Box::new(Self { tallies: tallies.to_vec(), pace: pace.clone() }),
        });
    }
}

impl Sink for Meter {
    fn open(&mut self, _inputs: &[Spec], _run: &RunFacts) -> Result<()> {
        Ok(())
    }

    fn urgent(&self) -> bool {
        false
    }

    fn write(&mut self, delivery: &Delivery) -> Result<()> {
        let frame = &delivery.frame;
        if let (Some(tally), false) = (self.tallies.get(frame.input), frame.data.is_empty()) {
            let paced = self.pace.went_before(frame.span.arrived_s);
            tally.lock().unwrap_or_else(PoisonError::into_inner).record(delivery, paced);
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Takes what comes and does nothing with it; says whether it would be urgent.
pub struct Mute(pub bool);

impl Sink for Mute {
    fn open(&mut self, _inputs: &[Spec], _run: &RunFacts) -> Result<()> {
        Ok(())
    }

    fn urgent(&self) -> bool {
        self.0
    }

    fn write(&mut self, _delivery: &Delivery) -> Result<()> {
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}
