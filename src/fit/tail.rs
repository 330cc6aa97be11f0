//! The part of a pipeline that learns: from its first fitted stage to its last.

use crate::error::{Error, Result};
use crate::frame::{Frame, Spec};
use crate::ledger::Cause;
use crate::stages::{Emit, Part, Stage};
use std::collections::BTreeMap;

/// The stages that learn, and those between them.
pub struct Tail {
    stages: Vec<(String, Box<dyn Stage>)>,
}

impl Tail {
    /// A tail of stages with their ids, in order.
    pub fn new(stages: Vec<(String, Box<dyn Stage>)>) -> Self {
        Self { stages }
    }

    /// Fits every stage on labelled frames of `spec`: each learns on what the ones before make of
    /// them.
    pub fn fit(&mut self, spec: &Spec, x: &[Frame], y: &[usize], classes: &[String]) -> Result<()> {
        let mut spec = spec.clone();
        let mut frames = x.to_vec();
        for (id, stage) in &mut self.stages {
            let here = |e: Error| e.at(format_args!("stage `{id}`"));
            if let Some(fitted) = stage.fitted() {
                fitted.fit(&frames, y, classes).map_err(here)?;
            }
            spec = stage.prepare(std::slice::from_ref(&spec)).map_err(here)?;
            frames = frames
                .iter()
                .map(|frame| through(stage.as_mut(), frame))
                .collect::<Result<_>>()
                .map_err(here)?;
        }
        Ok(())
    }

    /// The scores of one frame.
    pub fn scores(&mut self, frame: &Frame) -> Result<Vec<f64>> {
        let mut frame = frame.clone();
        for (id, stage) in &mut self.stages {
            frame =
                through(stage.as_mut(), &frame).map_err(|e| e.at(format_args!("stage `{id}`")))?;
        }
        Ok(frame.data)
    }

    /// What the stages learned, by id.
    pub fn parts(&mut self) -> Result<BTreeMap<String, Part>> {
        let mut parts = BTreeMap::new();
        for (id, stage) in &mut self.stages {
            if let Some(fitted) = stage.fitted() {
                parts.insert(id.clone(), fitted.save()?);
            }
        }
        Ok(parts)
    }
}

/// What `stage` makes of one frame.
fn through(stage: &mut dyn Stage, frame: &Frame) -> Result<Frame> {
    let mut out = Single(None);
    let mut frame = frame.clone();
    stage.process(&mut frame, &mut out).map_err(|fault| Error::input(fault.0))?;
    out.0
        .ok_or_else(|| Error::config("a stage behind the first that learns must answer each frame"))
}

struct Single(Option<Frame>);

impl Emit for Single {
    fn emit(&mut self, frame: &mut Frame) {
        self.0 = Some(frame.clone());
    }

    fn count(&mut self, _cause: Cause, _n: u64) {}
}
