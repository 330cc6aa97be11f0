//! What was learned before, on recordings that it has not seen: the model of a config, or a network that others have
//! trained.
//!
//! In: a pipeline and a recording. Out: what the pipeline answers to the epoch of every marker of a class: scores, or
//! the embedding that items of a gallery are looked for with. The stages are prepared and joined as for a run; where
//! that has sliding windows, `[fit]` says how epochs are cut.

use super::Plan;
use super::epochs::{Collector, epoch_stage, feed};
use super::online::assemble;
use super::plan::{feeds_markers, makes_windows, no_classes};
use super::validate::{Evaluation, Fold, Trial, answer};
use crate::config::{Config, Node};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::ledger::Counters;
use crate::model::{self, Model};
use crate::sources::recording;
use crate::stages::window::classes::Classes;
use std::path::PathBuf;

/// The answers to the epochs of one recording.
pub struct HeldOut {
    /// The stages that answer, behind the windows.
    pub pipeline: String,
    /// From a cue to its decision, in seconds.
    pub decision_s: f64,
    /// The classes, or the items that were shown.
    pub classes: Classes,
    /// What the answers are.
    pub spec: Spec,
    /// The answers, each with the text of its marker.
    pub answers: Vec<Frame>,
    /// Where items are looked for, if they are, and whether the mean of the gallery is taken off first.
    pub gallery: Option<(PathBuf, bool)>,
}

impl Plan {
    /// Tests the pipeline on the recording `name`.
    pub fn held_out(&self, name: &str) -> Result<HeldOut> {
        let config = self.config()?;
        let model = config.model.as_deref().map(Model::load).transpose()?;
        if let Some(model) = &model {
            refuse_known(model, name)?;
        }
        let streams = recording::load(name)?.streams;
        self.answers(config, &streams, model.as_ref()).map_err(|e| e.at(name))
    }

    fn answers(
        &self,
        mut config: Config,
        streams: &[crate::formats::Stream],
        model: Option<&Model>,
    ) -> Result<HeldOut> {
        let players = &mut self.players(&mut config, streams)?;
        let entries = [players[0].spec().clone(), players[1].spec().clone()];
        let mut by_entry: Vec<usize> =
            (0..config.sources.len()).map(|i| usize::from(feeds_markers(&config, i))).collect();
        // Epochs need markers, which a run may do without.
        by_entry.push(1);
        let sources: Vec<Spec> = by_entry.iter().map(|i| entries[*i].clone()).collect();
        let classes = config.classes().ok_or_else(no_classes)?;
        cut_at_markers(&mut config, &classes, Node::Source(sources.len() - 1))?;
        let specs = config.prepare(&sources, model)?;
        let decides = |spec: &Spec| matches!(spec.payload, Payload::Scores | Payload::Ranking);
        let last = specs.iter().rposition(decides);
        let last =
            last.ok_or_else(|| Error::config("no stage of this config decides or retrieves"))?;
        let gallery = gallery(&config, last);
        let asked = match (&gallery, &config.stages[last].from[..]) {
            (Some(_), [Node::Stage(before), ..]) => *before,
            _ => last,
        };
        let (spec, collector) = (specs[asked].clone(), Collector::default());
        let (pipeline, decision_s) = (way(&config, asked), decision_s(&config, &specs));
        let mut run = assemble(config, &entries, &by_entry, &specs, asked, &collector);
        feed(&mut run, players, &entries, &Counters::new("recording"));
        let answers = collector.take().into_iter().filter(|frame| frame.rows > 0).collect();
        Ok(HeldOut { pipeline, decision_s, classes, spec, answers, gallery })
    }
}

/// Makes each stage that cuts sliding windows cut at the markers instead.
fn cut_at_markers(config: &mut Config, classes: &Classes, markers: Node) -> Result<()> {
    let fit = config.fit.clone();
    for stage in config.stages.iter_mut().filter(|stage| stage.kind == "window") {
        stage.unit = epoch_stage(fit.as_ref(), classes, &stage.settings)?;
        stage.from.push(markers);
    }
    Ok(())
}

/// The kinds of the stages between the windows and stage `last`.
fn way(config: &Config, last: usize) -> String {
    let (mut at, mut kinds) = (last, Vec::new());
    while !makes_windows(config.stages[at].kind) {
        kinds.push(config.stages[at].kind);
        match config.stages[at].from.first() {
            Some(Node::Stage(before)) => at = *before,
            _ => break,
        }
    }
    kinds.reverse();
    kinds.join("+")
}

/// From a cue to the end of its epoch.
fn decision_s(config: &Config, specs: &[Spec]) -> f64 {
    let Some(i) = config.stages.iter().position(|stage| makes_windows(stage.kind)) else {
        return 0.0;
    };
    let start = config.stages[i].settings.get("start_s").and_then(|v| v.as_f64());
    let start_s = start.or_else(|| config.fit.as_ref().map(|fit| fit.start_s));
    start_s.unwrap_or_default().max(0.0) + specs[i].rows as f64 / specs[i].rate_hz
}

/// Where the stage `i` looks for items, if it does.
fn gallery(config: &Config, i: usize) -> Option<(PathBuf, bool)> {
    let settings = &config.stages[i].settings;
    let centre = settings.get("centre").and_then(|v| v.as_bool()).unwrap_or_default();
    Some((settings.get("gallery")?.as_str()?.into(), centre))
}

fn refuse_known(model: &Model, name: &str) -> Result<()> {
    let Some(bytes) = (!recording::is_simulated(name)).then(|| std::fs::read(name).ok()).flatten()
    else {
        return Ok(());
    };
    let sha256 = model::sha256(&bytes);
    match model.facts.data.iter().any(|data| data.sha256 == sha256) {
        true => Err(Error::config(
            "the model has learned from this recording, so a score on it says nothing: name another one",
        )
        .at(name)),
        false => Ok(()),
    }
}

impl HeldOut {
    /// The epochs whose marker is that of a class, with its number.
    fn known(&self) -> impl Iterator<Item = (usize, usize)> {
        let class = |(i, frame): (usize, &Frame)| Some((i, self.classes.index_of(&frame.text)?));
        self.answers.iter().enumerate().filter_map(class)
    }

    /// How often the right class was decided for; `None` where items are ranked.
    pub fn evaluation(&self, recording: &str) -> Option<Evaluation> {
        if self.spec.payload != Payload::Scores {
            return None;
        }
        // The decoder may know its classes in another order.
        let wanted = self.classes.names();
        let place = |name: &String| self.spec.classes.iter().position(|c| c == name);
        let places: Vec<Option<usize>> = wanted.iter().map(place).collect();
        let trial = |(epoch, truth): (usize, usize)| {
            let scores = &self.answers[epoch].data;
            let ordered = places.iter().map(|at| at.map_or(0.0, |at| scores[at])).collect();
            let (decided, scores) = answer(Some(ordered), wanted.len());
            Trial { epoch, truth, decided, scores }
        };
        let trials: Vec<Trial> = self.known().map(trial).collect();
        let correct = trials.iter().filter(|t| t.decided == t.truth).count();
        let folds = vec![Fold { n: trials.len(), correct, choice: None }];
        let (pipeline, recording) = (self.pipeline.clone(), recording.to_owned());
        Some(Evaluation::of(pipeline, recording, wanted, folds, trials, self.decision_s))
    }
}
