//! The part of a pipeline that learns: from its first fitted stage to its last.

use crate::error::{Error, Result};
use crate::frame::{Frame, Spec};
use crate::ledger::Cause;
use crate::stages::{Emit, Examples, Fitted, Part, Stage};
use std::collections::BTreeMap;

/// The stages that learn, and those between them.
pub struct Tail {
    steps: Vec<Step>,
    /// The step whose scores count.
    decides: usize,
}

/// A stage in its place.
pub struct Step {
    /// Its id.
    pub id: String,
    /// The stage.
    pub stage: Box<dyn Stage>,
    /// The step whose frames it works on; `None` for the frames that come in.
    pub from: Option<usize>,
}

impl Tail {
    /// A tail of stages, each behind those that it reads from. The scores of number `decides` count.
    pub fn new(steps: Vec<Step>, decides: usize) -> Self {
        Self { steps, decides }
    }

    /// Fits every stage on labelled frames of `spec`: each learns on what the ones before make of
    /// them.
    pub fn fit(&mut self, spec: &Spec, examples: &Examples<'_>) -> Result<()> {
        let given = (spec.clone(), examples.frames.to_vec());
        let mut made: Vec<(Spec, Vec<Frame>)> = Vec::new();
        for Step { id, stage, from } in &mut self.steps {
            let (spec, frames) = from.map_or(&given, |i| &made[i]);
            let here = |e: Error| e.at(format_args!("stage `{id}`"));
            if let Some(fitted) = stage.fitted() {
                fitted.fit(&Examples { frames, ..*examples }).map_err(here)?;
            }
            let learned = stage.fitted().and_then(Fitted::fitted_examples);
            let spec = stage.prepare(std::slice::from_ref(spec)).map_err(here)?;
            let frames = match learned {
                Some(frames) => frames,
                None => {
                    let frames = frames.iter().map(|frame| through(stage.as_mut(), frame));
                    frames.collect::<Result<_>>().map_err(here)?
                }
            };
            made.push((spec, frames));
        }
        Ok(())
    }

    /// The scores of one frame.
    pub fn scores(&mut self, frame: &Frame) -> Result<Vec<f64>> {
        let mut way = vec![self.decides];
        while let Some(before) = self.steps[way[way.len() - 1]].from {
            way.push(before);
        }
        let mut frame = frame.clone();
        for i in way.into_iter().rev() {
            let Step { id, stage, .. } = &mut self.steps[i];
            frame =
                through(stage.as_mut(), &frame).map_err(|e| e.at(format_args!("stage `{id}`")))?;
        }
        Ok(frame.data)
    }

    /// What the stages learned, by id.
    pub fn parts(&mut self) -> Result<BTreeMap<String, Part>> {
        let mut parts = BTreeMap::new();
        for Step { id, stage, .. } in &mut self.steps {
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
