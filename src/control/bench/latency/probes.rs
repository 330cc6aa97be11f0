//! What looks into the engine: a probe in front of the first stage and one around each sink.

use crate::clock;
use crate::config::Unit;
use crate::error::Result;
use crate::frame::{Frame, Spec};
use crate::sinks::{Delivery, RunFacts, Sink};
use crate::stages::{Emit, Fault, Stage};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Room for the blocks of an hour at 200 a second, so that the lane does not allocate.
const BLOCKS: usize = 720_000;

/// What the probes wrote down. Clones share it.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    /// Index of the newest sample of each block, and when the lane took it.
    blocks: Vec<(u64, f64)>,
    written: Vec<Written>,
}

/// What was known of a decision when it was handed to the outlet. Times in seconds on the LSL clock.
#[derive(Debug, Clone)]
pub struct Written {
    /// Time stamp and index of its newest sample.
    pub stamp_s: f64,
    pub last: u64,
    pub arrived_s: f64,
    pub emitted_s: f64,
    pub handed_s: f64,
    pub stage_ns: Vec<u64>,
}

impl Log {
    /// The lane is at it for a few nanoseconds at a time, the others only once it has ended.
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many decisions were handed over so far.
    pub fn decisions(&self) -> usize {
        self.entries().written.len()
    }

    /// Every decision that was handed over.
    pub fn written(&self) -> Vec<Written> {
        self.entries().written.clone()
    }

    /// Every block that the lane took: index of the newest sample, time.
    pub fn blocks(&self) -> Vec<(u64, f64)> {
        self.entries().blocks.clone()
    }
}

/// A stage that notes when it is given a block, and is otherwise the one that it stands before.
pub struct Probe {
    stage: Box<dyn Stage>,
    log: Log,
}

impl Probe {
    /// Puts one before the stage of `unit`.
    pub fn put_before(unit: &mut Unit<dyn Stage>, log: &Log) {
        log.entries().blocks.reserve(BLOCKS);
        let stage = std::mem::replace(&mut unit.unit, Box::new(Nothing));
        unit.unit = Box::new(Self { stage, log: log.clone() });
    }
}

impl Stage for Probe {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        self.stage.prepare(inputs)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        self.log.entries().blocks.push((frame.span.last, clock::now_s()));
        self.stage.process(frame, emit)
    }

    fn reset(&mut self) {
        self.stage.reset();
    }
}

/// Stands for a moment where a stage was.
struct Nothing;

impl Stage for Nothing {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        Ok(inputs.first().cloned().unwrap_or_else(Spec::markers))
    }

    fn process(&mut self, _frame: &mut Frame, _emit: &mut dyn Emit) -> Result<(), Fault> {
        Ok(())
    }

    fn reset(&mut self) {}
}

/// A sink that notes when it is given a decision, and is otherwise the one that it stands around.
pub struct Watched {
    sink: Box<dyn Sink>,
    log: Log,
}

impl Watched {
    /// Puts one around the sink of `unit`.
    pub fn put_around(unit: &mut Unit<dyn Sink>, log: &Log) {
        let sink = std::mem::replace(&mut unit.unit, Box::new(Silence));
        unit.unit = Box::new(Self { sink, log: log.clone() });
    }
}

impl Sink for Watched {
    fn open(&mut self, inputs: &[Spec], run: &RunFacts) -> Result<()> {
        self.sink.open(inputs, run)
    }

    fn urgent(&self) -> bool {
        self.sink.urgent()
    }

    fn write(&mut self, delivery: &Delivery) -> Result<()> {
        let handed_s = clock::now_s();
        let written = self.sink.write(delivery);
        let span = &delivery.frame.span;
        self.log.entries().written.push(Written {
            stamp_s: span.last_s,
            last: span.last,
            arrived_s: span.arrived_s,
            emitted_s: delivery.emitted_s,
            handed_s,
            stage_ns: delivery.stage_ns.clone(),
        });
        written
    }

    fn idle(&mut self) -> Result<()> {
        self.sink.idle()
    }

    fn close(&mut self) -> Result<()> {
        self.sink.close()
    }
}

/// Stands for a moment where a sink was.
struct Silence;

impl Sink for Silence {
    fn open(&mut self, _inputs: &[Spec], _run: &RunFacts) -> Result<()> {
        Ok(())
    }

    fn write(&mut self, _delivery: &Delivery) -> Result<()> {
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}
