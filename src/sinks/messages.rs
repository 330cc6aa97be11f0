//! What JSON sinks say: decisions, and what a page draws beside them. The format is documented in
//! `docs/formats.md` and stable.

use super::picture::Format;
use super::scene::Scene;
use super::{Deciding, Decision, Delivery, RunFacts};
use crate::error::{Error, Result};
use crate::frame::Spec;
use serde_json::{Map, Value, json};

/// Makes messages of frames.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    deciding: Deciding,
    scene: Scene,
    stages: Vec<String>,
}

impl Messages {
    /// For frames of `inputs`, of which at least one must have something to say. Pictures are told as files of
    /// `pictures`, or without their pixels.
    pub fn of(inputs: &[Spec], run: &RunFacts, pictures: Option<Format>) -> Result<Self> {
        let scene = Scene::of(inputs, pictures);
        let deciding = match scene.is_empty() {
            true => Deciding::of(inputs)?,
            false => Deciding::if_any(inputs)?,
        };
        Ok(Self { deciding, scene, stages: run.stages.clone() })
    }

    /// What must be known before the first message: classes, stages, and what each input shows.
    pub fn head(&self) -> Map<String, Value> {
        let mut head = Map::new();
        head.insert("classes".into(), json!(self.deciding.classes));
        head.insert("stages".into(), json!(self.stages));
        head.insert("inputs".into(), self.scene.describe());
        head
    }

    /// The message of a frame, if it has one.
    pub fn message(&self, delivery: &Delivery) -> Result<Option<String>> {
        let failed = |e| Error::run(format!("a message cannot be written as JSON: {e}"));
        if self.deciding.has(&delivery.frame) {
            let decision = Decision::new(delivery, &self.deciding.classes, &self.stages);
            return serde_json::to_string(&decision).map(Some).map_err(failed);
        }
        let mut message = self.scene.subject(delivery)?;
        if message.is_empty() {
            return Ok(None);
        }
        message.extend(self.facts(delivery)?);
        serde_json::to_string(&message).map(Some).map_err(failed)
    }

    /// What a frame is about, without what is known of every frame; nothing if it says nothing.
    pub fn subject(&self, delivery: &Delivery) -> Result<Map<String, Value>> {
        if self.deciding.has(&delivery.frame) {
            let decision = Decision::new(delivery, &self.deciding.classes, &[]);
            let scores: Map<String, Value> =
                decision.scores.into_iter().map(|(class, p)| (class, json!(p))).collect();
            return Ok(Map::from_iter([
                ("label".to_owned(), json!(decision.label)),
                ("scores".to_owned(), json!(scores)),
            ]));
        }
        self.scene.subject(delivery)
    }

    /// What is known of every frame: on which samples it rests, how old they are, how long it took.
    pub fn facts(&self, delivery: &Delivery) -> Result<Map<String, Value>> {
        let (frame, decision) = (&delivery.frame, Decision::new(delivery, &[], &self.stages));
        let facts = serde_json::to_value(decision)
            .map_err(|e| Error::run(format!("facts cannot be written as JSON: {e}")))?;
        let mut all = Map::from_iter([("input".to_owned(), json!(frame.input))]);
        if let Value::Object(facts) = facts {
            all.extend(facts.into_iter().filter(|(key, _)| key != "label" && key != "scores"));
        }
        Ok(all)
    }
}
