//! `saltatory inspect`: what is in a recording or a model.

use super::{print, print_json};
use crate::error::Result;
use crate::formats::epochs;
use crate::model::Model;
use crate::sources::recording;
use std::fmt::Write as _;
use std::path::Path;

/// Prints what `file` holds.
pub fn inspect(file: &str, json: bool) -> Result<()> {
    let path = Path::new(file);
    if path.extension().is_some_and(|e| e == "safetensors") && !epochs::are_in(path) {
        return model(path, json);
    }
    let summary = recording::load(file)?.describe();
    if json {
        return print_json(&summary);
    }
    print(&summary.to_string())
}

fn model(file: &Path, json: bool) -> Result<()> {
    let model = Model::load(file)?;
    let facts = &model.facts;
    if json {
        return print_json(&serde_json::json!({
            "model": facts,
            "settings_sha256": facts.settings_sha256(),
        }));
    }
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
    for (id, part) in &model.parts {
        for (name, tensor) in &part.tensors {
            let _ = writeln!(text, "array    {id}/{name} {:?}", tensor.shape);
        }
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
    print(&text)
}
