//! `saltatory fit` and `saltatory evaluate`.

use super::{print, print_json, progress};
use crate::error::{Error, Result};
use crate::fit::{Epochs, Evaluation, Plan, Protocol, evaluate as cross_validate, report};
use crate::model::{Facts, Model};
use crate::stages::Examples;
use std::path::Path;

/// Fits the pipeline of `config` on `recordings` and writes the model to `out`; tells how well it
/// does in cross-validation.
pub fn fit(
    config: &Path,
    sets: &[String],
    recordings: &[String],
    out: &Path,
    report_to: Option<&Path>,
    json: bool,
) -> Result<()> {
    let plan = Plan::new(config, sets)?;
    let epochs = cut(&plan, recordings)?;
    let data = epochs.iter().map(|e| e.provenance.clone()).collect();
    let results = cross_validated(&plan, epochs.clone(), Protocol::Within)?;
    let epochs = Epochs::pool(epochs)?;
    let mut tail = plan.tail()?;
    tail.fit(&epochs.spec, &Examples::new(&epochs.frames, &epochs.labels, &epochs.classes))?;
    let mut facts = Facts::new(epochs.input, epochs.links, epochs.classes);
    facts.data = data;
    facts.scores = serde_json::to_value(&results)
        .map_err(|e| Error::run(format!("the scores cannot be written: {e}")))?;
    Model { facts, parts: tail.parts()? }.save(out)?;
    if let Some(path) = report_to {
        write_report(path, &format!("Fit of {}", config.display()), &results)?;
    }
    if json {
        return print_json(&serde_json::json!({ "model": out, "results": results }));
    }
    print(&format!("{}model written to {}", report::table(&results), out.display()))
}

/// Cross-validates the pipeline of `config` on `recordings`.
pub fn evaluate(
    config: &Path,
    sets: &[String],
    recordings: &[String],
    protocol: Protocol,
    json: bool,
) -> Result<()> {
    let plan = Plan::new(config, sets)?;
    let results = cross_validated(&plan, cut(&plan, recordings)?, protocol)?;
    if json {
        return print_json(&serde_json::json!({
            "config": config,
            "protocol": protocol,
            "results": results,
        }));
    }
    print(&report::table(&results))
}

fn cross_validated(
    plan: &Plan,
    epochs: Vec<Epochs>,
    protocol: Protocol,
) -> Result<Vec<Evaluation>> {
    let folds = match protocol {
        Protocol::Within => crate::fit::FOLDS,
        Protocol::Cross => epochs.len(),
    };
    let bar = progress(folds, "validating");
    let results = cross_validate(plan, epochs, protocol, || bar.inc(1));
    bar.finish_and_clear();
    results
}

fn cut(plan: &Plan, recordings: &[String]) -> Result<Vec<Epochs>> {
    let bar = progress(recordings.len(), "reading");
    let mut all = Vec::new();
    for name in recordings {
        let epochs = plan.epochs(name)?;
        for warning in &epochs.warnings {
            tracing::warn!("{name}: {warning}");
        }
        all.push(epochs);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(all)
}

fn write_report(path: &Path, title: &str, results: &[Evaluation]) -> Result<()> {
    let text = match path.extension().and_then(|e| e.to_str()) {
        Some("json") => serde_json::to_string_pretty(results).unwrap_or_default(),
        Some("html") => report::page(title, results),
        _ => {
            let text =
                format!("--report {}: expected a name ending in .html or .json", path.display());
            return Err(Error::config(text));
        }
    };
    std::fs::write(path, text)
        .map_err(|e| Error::run(format!("{}: cannot write: {e}", path.display())))
}
