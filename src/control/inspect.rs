//! `saltatory inspect`: what is in a recording or a model.

use super::print_json;
use crate::error::Result;
use crate::model::Model;
use crate::sources::recording;
use std::path::Path;

/// Prints what `file` holds.
pub fn inspect(file: &str, json: bool) -> Result<()> {
    if Path::new(file).extension().is_some_and(|e| e == "safetensors") {
        return model(Path::new(file), json);
    }
    let summary = recording::load(file)?.describe();
    if json {
        return print_json(&summary);
    }
    println!("{summary}");
    Ok(())
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
    println!("model of {}, settings {}", facts.written_by, &facts.settings_sha256()[..12]);
    println!("classes  {}", facts.classes.join(", "));
    println!("input    {} channels at {} Hz", facts.input.channels.len(), facts.input.rate_hz);
    for link in &facts.chain {
        println!("stage    {:<12} {}", link.kind, link.settings);
    }
    for (id, part) in &model.parts {
        for (name, tensor) in &part.tensors {
            println!("array    {id}/{name} {:?}", tensor.shape);
        }
    }
    for data in &facts.data {
        println!("data     {} ({} epochs) {}", data.recording, data.epochs, data.sha256);
    }
    for result in facts.scores.as_array().into_iter().flatten() {
        println!("score    {}/{} right in cross-validation", result["correct"], result["n"]);
    }
    Ok(())
}
