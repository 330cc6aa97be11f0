//! The part of a pipeline that works on windows: from behind the windowing to the last stage that
//! learns.

use crate::error::{Error, Result};
use crate::frame::{Frame, Spec};
use crate::ledger::Cause;
use crate::stages::{Emit, Examples, Fitted, Part, Stage};
use std::collections::BTreeMap;

/// The stages that learn, and those before and between them.
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

/// Frames on their way through a tail.
#[derive(Clone)]
pub struct Way {
    /// What they are.
    pub spec: Spec,
    /// Those that are learned from.
    pub train: Vec<Frame>,
    /// Those that are not.
    pub test: Vec<Frame>,
}

impl Tail {
    /// A tail of stages, each behind those that it reads from. The scores of number `decides` count.
    pub fn new(steps: Vec<Step>, decides: usize) -> Self {
        Self { steps, decides }
    }

    /// How many stages there are before the first that learns, as far as nothing branches off.
    pub fn plain(&mut self) -> usize {
        let learns = |step: &mut Step| step.stage.fitted().is_some();
        let first = self.steps.iter_mut().position(learns).unwrap_or(self.steps.len());
        first.min(self.straight())
    }

    /// How many stages stand one behind the other before something branches off, or all.
    fn straight(&self) -> usize {
        let back = |(i, step): (usize, &Step)| {
            let reads = step.from.map_or(0, |from| from + 1);
            (reads < i).then_some(reads)
        };
        self.steps.iter().enumerate().filter_map(back).min().unwrap_or(self.steps.len())
    }

    /// The place of the first stage among `ids`.
    pub fn first_of(&self, ids: &[String]) -> Option<usize> {
        self.steps.iter().position(|step| ids.contains(&step.id))
    }

    /// Leaves out the first `n` stages, whose work is done.
    pub fn skip(&mut self, n: usize) {
        drop(self.take(n));
    }

    /// Takes the first `n` stages off (fewer if something branches off before) and sends `way` through
    /// them; those that learn do so on `way.train`, which `examples` has the labels of.
    pub fn advance(&mut self, n: usize, mut way: Way, examples: &Examples<'_>) -> Result<Way> {
        for Step { id, mut stage, .. } in self.take(n) {
            let here = |e: Error| e.at(format_args!("stage `{id}`"));
            let (spec, train) =
                learn(stage.as_mut(), &way.spec, &way.train, examples).map_err(here)?;
            let test = way.test.iter().map(|frame| through(stage.as_mut(), frame));
            way = Way { spec, train, test: test.collect::<Result<_>>().map_err(here)? };
        }
        Ok(way)
    }

    fn take(&mut self, n: usize) -> Vec<Step> {
        let n = n.min(self.straight()).min(self.decides);
        let taken = self.steps.drain(..n).collect();
        self.decides -= n;
        for step in &mut self.steps {
            step.from = step.from.and_then(|from| from.checked_sub(n));
        }
        taken
    }

    /// Fits every stage on labelled frames of `spec`: each learns on what the ones before make of
    /// them.
    pub fn fit(&mut self, spec: &Spec, examples: &Examples<'_>) -> Result<()> {
        let given = (spec.clone(), examples.frames.to_vec());
        let mut made: Vec<(Spec, Vec<Frame>)> = Vec::new();
        for Step { id, stage, from } in &mut self.steps {
            let (spec, frames) = from.map_or(&given, |i| &made[i]);
            let here = |e: Error| e.at(format_args!("stage `{id}`"));
            made.push(learn(stage.as_mut(), spec, frames, examples).map_err(here)?);
        }
        Ok(())
    }

    /// Lets the stages that tie the pipeline to a session learn another one from labelled frames of
    /// `spec`, and changes nothing else; all must have been loaded. Returns the ids of those that did.
    pub fn refit(&mut self, spec: &Spec, examples: &Examples<'_>) -> Result<Vec<String>> {
        let given = (spec.clone(), examples.frames.to_vec());
        let (mut made, mut refitted): (Vec<(Spec, Vec<Frame>)>, _) = (Vec::new(), Vec::new());
        for Step { id, stage, from } in &mut self.steps {
            let (spec, frames) = from.map_or(&given, |i| &made[i]);
            let here = |e: Error| e.at(format_args!("stage `{id}`"));
            if let Some(fitted) = stage.fitted()
                && fitted.refit(&Examples { frames, ..*examples }).map_err(here)?
            {
                refitted.push(id.clone());
            }
            made.push(onward(stage.as_mut(), spec, frames).map_err(here)?);
        }
        Ok(refitted)
    }

    /// Takes over what the stages learned earlier.
    pub fn load(&mut self, parts: &BTreeMap<String, Part>) -> Result<()> {
        for Step { id, stage, .. } in &mut self.steps {
            let Some(fitted) = stage.fitted() else { continue };
            let lacking =
                || Error::mismatch(format!("the model holds nothing for the stage `{id}`"));
            let part = parts.get(id).ok_or_else(lacking)?;
            fitted.load(part).map_err(|e| e.at(format_args!("stage `{id}`")))?;
        }
        Ok(())
    }

    /// The scores of one frame; `None` where a stage can make nothing of it, which a run counts as a
    /// fault and answers nothing.
    pub fn scores(&mut self, frame: &Frame) -> Option<Vec<f64>> {
        let mut way = vec![self.decides];
        while let Some(before) = self.steps[way[way.len() - 1]].from {
            way.push(before);
        }
        let mut frame = frame.clone();
        for i in way.into_iter().rev() {
            frame = through(self.steps[i].stage.as_mut(), &frame).ok()?;
        }
        Some(frame.data)
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

/// Lets `stage` learn from `frames` of `spec`, if it does, and makes it ready. Returns what it sends, and
/// what the frames become.
fn learn(
    stage: &mut dyn Stage,
    spec: &Spec,
    frames: &[Frame],
    examples: &Examples<'_>,
) -> Result<(Spec, Vec<Frame>)> {
    if let Some(fitted) = stage.fitted() {
        fitted.fit(&Examples { frames, ..*examples })?;
    }
    onward(stage, spec, frames)
}

/// Makes ready a stage that has just learned from `frames`, if it does. Returns what it sends, and what
/// the frames become.
fn onward(stage: &mut dyn Stage, spec: &Spec, frames: &[Frame]) -> Result<(Spec, Vec<Frame>)> {
    let learned = stage.fitted().and_then(Fitted::fitted_examples);
    let spec = stage.prepare(std::slice::from_ref(spec))?;
    let frames = match learned {
        Some(frames) => frames,
        None => frames.iter().map(|frame| through(stage, frame)).collect::<Result<_>>()?,
    };
    Ok((spec, frames))
}

/// What `stage` makes of one frame.
fn through(stage: &mut dyn Stage, frame: &Frame) -> Result<Frame> {
    let mut out = Single(None);
    let mut frame = frame.clone();
    stage.process(&mut frame, &mut out).map_err(|fault| Error::input(fault.0))?;
    out.0.ok_or_else(|| Error::config("a stage behind the windowing must answer each window"))
}

struct Single(Option<Frame>);

impl Emit for Single {
    fn emit(&mut self, frame: &mut Frame) {
        self.0 = Some(frame.clone());
    }

    fn count(&mut self, _cause: Cause, _n: u64) {}
}
