//! The graph that runs during a calibration, and what of it reaches the control plane.

use crate::config::{Config, Unit};
use crate::error::Result;
use crate::fit::{Branch, Plan, free};
use crate::frame::{Flags, Frame, Spec};
use crate::sinks::{Delivery, RunFacts, Sink};
use crate::stages::window::classes::Classes;
use std::path::PathBuf;
use std::sync::mpsc::Sender;

/// The place of our sink in the ledger.
const COLLECTOR: &str = "calibration";

/// What our sink sends.
pub enum Arrival {
    /// First of all, what the epochs are.
    Opened(Spec),
    /// An epoch.
    Epoch(Frame),
    /// The text of a marker, of whatever kind.
    Marker(String),
}

/// Makes the configs of a calibration: one to start with, and one for each new model.
pub struct Graph {
    /// The pipeline.
    pub plan: Plan,
    /// Where models are.
    pub model: PathBuf,
    /// Whether the pipeline decides meanwhile.
    pub decides: bool,
    /// Where epochs and markers go.
    pub to: Sender<Arrival>,
}

impl Graph {
    /// What runs while nothing is learned, and its classes.
    pub fn first(&self) -> Result<(Config, Classes)> {
        let branch = self.plan.branch()?;
        let branch = if self.decides { branch.silent() } else { branch.alone() };
        let classes = branch.classes.clone();
        Ok((self.collected(branch), classes))
    }

    /// The same graph, deciding with the newest model.
    pub fn next(&self) -> Result<Config> {
        let mut branch = self.plan.branch()?;
        branch.config.model = Some(self.model.clone());
        Ok(self.collected(branch))
    }

    /// Adds our sink behind the epochs and the markers.
    fn collected(&self, branch: Branch) -> Config {
        let Branch { mut config, epochs, markers, .. } = branch;
        config.sinks.push(Unit {
            id: free(&config, COLLECTOR),
            kind: COLLECTOR,
            from: vec![epochs, markers],
            lane: None,
            settings: serde_json::Value::Null,
            place: String::new(),
            keys: Vec::new(),
            unit: Box::new(Collector { to: self.to.clone() }),
        });
        config
    }
}

/// Our sink: hands on what comes.
struct Collector {
    to: Sender<Arrival>,
}

impl Collector {
    fn send(&self, arrival: Arrival) {
        // Nobody listens once the calibration is over.
        let _ = self.to.send(arrival);
    }
}

impl Sink for Collector {
    fn open(&mut self, inputs: &[Spec], _run: &RunFacts) -> Result<()> {
        if let Some(spec) = inputs.first() {
            self.send(Arrival::Opened(spec.clone()));
        }
        Ok(())
    }

    fn urgent(&self) -> bool {
        false
    }

    fn write(&mut self, delivery: &Delivery) -> Result<()> {
        let frame = &delivery.frame;
        if frame.input == 1 {
            self.send(Arrival::Marker(frame.text.clone()));
        } else if !frame.flags.has(Flags::END) && frame.rows > 0 {
            self.send(Arrival::Epoch(frame.clone()));
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}
