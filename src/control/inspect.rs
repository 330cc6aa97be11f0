//! `saltatory inspect`: what is in a recording or a model, and what a config would make of recordings.

use super::{print, print_json};
use crate::error::{Error, Result};
use crate::fit::Plan;
use crate::formats::epochs;
use crate::model::{Facts, Model};
use crate::sources::recording;
use std::fmt::Write as _;
use std::path::Path;

/// Prints what `file` holds. Of a config, with `sets`, it is what a model that learns from `recordings`
/// would say of itself. Of a network, with `parity`, it is also how far its answers are from those in there.
pub fn inspect(
    file: &str,
    recordings: &[String],
    sets: &[String],
    parity: Option<&Path>,
    json: bool,
) -> Result<()> {
    let path = Path::new(file);
    let ends_in = |end: &str| path.extension().is_some_and(|e| e == end);
    if ends_in("onnx") {
        return super::parity::inspect(path, parity, json);
    }
    if parity.is_some() {
        return Err(Error::config(format!("{file}: only a network (.onnx) takes --parity")));
    }
    if ends_in("toml") {
        return config(path, recordings, sets, json);
    }
    if !(recordings.is_empty() && sets.is_empty()) {
        let text = format!("{file}: only a config (.toml) takes --recording and --set");
        return Err(Error::config(text));
    }
    if ends_in("safetensors") && !epochs::are_in(path) {
        return model(path, json);
    }
    let summary = recording::load(file)?.describe();
    if json {
        return print_json(&summary);
    }
    print(&summary.to_string())
}

fn config(file: &Path, recordings: &[String], sets: &[String], json: bool) -> Result<()> {
    if recordings.is_empty() {
        return Err(Error::config(format!(
            "{}: a model's channels and rate are those of its recordings: name one with --recording",
            file.display()
        )));
    }
    let facts = Plan::new(file, sets)?.facts(recordings)?;
    if json { print_facts_json(&facts) } else { print(&described(&facts)) }
}

fn model(file: &Path, json: bool) -> Result<()> {
    let model = Model::load(file)?;
    if json {
        return print_facts_json(&model.facts);
    }
    let mut text = described(&model.facts);
    for (id, part) in &model.parts {
        for (name, tensor) in &part.tensors {
            let _ = writeln!(text, "array    {id}/{name} {:?}", tensor.shape);
        }
    }
    print(&text)
}

fn print_facts_json(facts: &Facts) -> Result<()> {
    print_json(&serde_json::json!({
        "model": facts,
        "settings_sha256": facts.settings_sha256(),
    }))
}

/// The facts in words.
fn described(facts: &Facts) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "model of {}, settings {}",
        facts.written_by,
        &facts.settings_sha256()[..12]
    );
    let _ = writeln!(text, "classes  {}", facts.classes.join(", "));
    let _ = writeln!(
        text,
        "input    {} channels at {} Hz",
        facts.input.channels.len(),
        facts.input.rate_hz
    );
    for link in &facts.chain {
        let _ = writeln!(text, "stage    {:<12} {}", link.kind, link.settings);
    }
    for data in &facts.data {
        let _ =
            writeln!(text, "data     {} ({} epochs) {}", data.recording, data.epochs, data.sha256);
    }
    for result in facts.scores.as_array().into_iter().flatten() {
        let _ = writeln!(
            text,
            "score    {}/{} right in cross-validation",
            result["correct"], result["n"]
        );
    }
    text
}
