//! `saltatory fit` and `saltatory evaluate`.

use super::{print, print_json, progress};
use crate::config::Method;
use crate::error::{Error, Result};
use crate::fit::report::{Fact, Report};
use crate::fit::{
    Choice, Epochs, Evaluation, Memory, Phase, Plan, Protocol, Retrieved, choose,
    evaluate as cross_validate, portrait, pseudo_online, report, shapes, summary,
};
use crate::model::{Facts, Model};
use std::path::Path;

/// What `saltatory fit` was asked for.
pub struct Fit<'a> {
    /// The config.
    pub config: &'a Path,
    /// Settings that replace those of the config.
    pub sets: &'a [String],
    /// Recordings to learn from.
    pub recordings: &'a [String],
    /// How much each of them counts; all alike if empty.
    pub weights: &'a [f64],
    /// Where the model goes.
    pub out: &'a Path,
    /// How settings are searched first, if they are.
    pub tune: Option<Method>,
    /// Where a report goes.
    pub report: Option<&'a Path>,
    /// Whether the scores are printed as JSON.
    pub json: bool,
}

/// Fits a pipeline and writes the model; tells how well it does in cross-validation.
pub fn fit(asked: &Fit<'_>) -> Result<()> {
    let plan = Plan::new(asked.config, asked.sets)?;
    let epochs = weighted(cut(&plan, asked.recordings)?, asked.weights)?;
    let tested = asked.tune.map_or_else(|| plan.clone(), |method| plan.tuned(method));
    let results = match plan.scores()? {
        true => cross_validated(std::slice::from_ref(&tested), epochs.clone(), Protocol::Within)?,
        false => Vec::new(),
    };
    let epochs = Epochs::pool(epochs)?;
    let choice = search(&tested, &epochs, asked.out)?;
    let tuned = choice.as_ref().map(|c| c.sets.clone()).unwrap_or_default();
    let plan = plan.with(&tuned);
    let mut tail = plan.tail()?;
    let epochs_learned = epochs.frames.len();
    tail.fit(&epochs.spec, &epochs.examples())?;
    let mut facts = Facts::new(epochs.input, plan.links()?, epochs.classes);
    facts.data = epochs.provenance;
    facts.tuned = tuned;
    facts.scores = serde_json::to_value(&results)
        .map_err(|e| Error::run(format!("the scores cannot be written: {e}")))?;
    Model { facts, parts: tail.parts()? }.save(asked.out)?;
    if let Some(path) = asked.report {
        let facts = what_was_done(Protocol::Within, asked.recordings, asked.sets);
        let title = format!("Fit of {}", asked.config.display());
        let report = summary::report(&title, facts, &results);
        let epochs = || Epochs::pool(cut(&plan, asked.recordings)?);
        write_report(path, &plan, asked.recordings, report, &results, epochs)?;
    }
    if asked.json {
        let text = serde_json::json!({ "model": asked.out, "results": results, "tuned": choice });
        return print_json(&text);
    }
    if results.is_empty() {
        return print(&format!(
            "learned from {} epochs; how well it does on others, `saltatory evaluate --protocol held-out` tells\nmodel written to {}",
            epochs_learned,
            asked.out.display()
        ));
    }
    let tuned = choice.map(|choice| report::tuned(&choice, &results)).unwrap_or_default();
    print(&format!("{}{tuned}model written to {}", report::table(&results), asked.out.display()))
}

/// What `saltatory fit --from` was asked for.
pub struct Refit<'a> {
    /// The config.
    pub config: &'a Path,
    /// Settings that replace those of the config.
    pub sets: &'a [String],
    /// Labelled recordings of the new session.
    pub recordings: &'a [String],
    /// The model to begin with; it stays as it is.
    pub from: &'a Path,
    /// Where the new model goes.
    pub out: &'a Path,
    /// The most trials of each class that are learned from.
    pub trials: Option<usize>,
    /// Whether what was done is printed as JSON.
    pub json: bool,
}

/// Lets the stages of a model that tie it to a session learn another one, and keeps all else.
pub fn refit(asked: &Refit<'_>) -> Result<()> {
    let mut model = Model::load(asked.from)?;
    let plan = Plan::new(asked.config, asked.sets)?.with(&model.facts.tuned);
    let epochs = Epochs::pool(cut(&plan, asked.recordings)?)?;
    let epochs = asked.trials.map_or_else(|| epochs.clone(), |most| epochs.first_of_each(most));
    model.facts.check(&epochs.input, &plan.links()?)?;
    if epochs.classes != model.facts.classes {
        return Err(Error::mismatch(format!(
            "the model knows the classes {:?}, the config names {:?}",
            model.facts.classes, epochs.classes
        )));
    }
    let mut tail = plan.tail()?;
    tail.load(&model.parts)?;
    let refitted = tail.refit(&epochs.spec, &epochs.examples())?;
    if refitted.is_empty() {
        return Err(Error::config(
            "no stage of this config ties it to a session: add one of kind recentre or align and fit \
             it with `saltatory fit`",
        ));
    }
    model.parts = tail.parts()?;
    for (of, count) in epochs.provenance.iter().enumerate() {
        let used = epochs.groups.iter().filter(|group| **group == of).count();
        model.facts.data.push(crate::model::Provenance { epochs: used, ..count.clone() });
    }
    model.save(asked.out)?;
    if asked.json {
        let (n, model) = (epochs.frames.len(), asked.out);
        let text = serde_json::json!({ "model": model, "refitted": refitted, "trials": n });
        return print_json(&text);
    }
    let (n, which) = (epochs.frames.len(), refitted.join(", "));
    print(&format!("{n} trials moved {which}; model written to {}", asked.out.display()))
}

/// Searches the settings of a pipeline that is tuned. Cells that are done are kept in a file beside the
/// model, so that a search that was stopped goes on where it was.
fn search(plan: &Plan, epochs: &Epochs, out: &Path) -> Result<Option<Choice>> {
    let Some(tune) = plan.tune()? else { return Ok(None) };
    let path = out.with_extension("tune.jsonl");
    let mut memory = Memory::open(&path)?;
    let bar = progress(crate::fit::steps(plan, &tune, epochs)?, "searching");
    let choice = choose(plan, &tune, epochs, &mut memory, &|| bar.inc(1))?;
    bar.finish_and_clear();
    // What is found is in the model; the file has done its work.
    let _ = std::fs::remove_file(path);
    Ok(Some(choice))
}

/// What `saltatory evaluate` was asked for.
pub struct Evaluate<'a> {
    /// The config.
    pub config: &'a Path,
    /// Settings that replace those of the config.
    pub sets: &'a [String],
    /// Recordings to be tested on.
    pub recordings: &'a [String],
    /// How training and test data are kept apart.
    pub protocol: Protocol,
    /// How the pipeline of the config is tuned, if it is.
    pub tune: Option<Method>,
    /// How filters are applied, one after the other.
    pub filters: &'a [Phase],
    /// Names of the pipelines that are scored; all if empty.
    pub only: &'a [String],
    /// Pseudo-online, how many windows in a row have to agree before a class takes effect.
    pub dwell: usize,
    /// Where a report goes.
    pub report: Option<&'a Path>,
    /// Whether the scores are printed as JSON.
    pub json: bool,
}

/// Cross-validates the pipeline of a config, and those that it is compared with.
pub fn evaluate(asked: &Evaluate<'_>) -> Result<()> {
    let plan = Plan::new(asked.config, asked.sets)?;
    if asked.protocol == Protocol::HeldOut {
        return held_out(&plan, asked);
    }
    let mut results = Vec::new();
    for phase in asked.filters {
        let plan = plan.filtered(*phase);
        let epochs = cut(&plan, asked.recordings)?;
        let compared = plan.compared()?;
        let plan = asked.tune.map_or_else(|| plan.clone(), |method| plan.tuned(method));
        let plans = chosen([vec![plan], compared].concat(), asked.only)?;
        results.extend(match asked.protocol {
            Protocol::PseudoOnline => {
                let bar = progress(plans.len() * epochs.len(), "running");
                let (names, dwell) = (asked.recordings, asked.dwell);
                pseudo_online(&plans, names, epochs, dwell, &|| bar.inc(1))?
            }
            protocol => cross_validated(&plans, epochs, protocol)?,
        });
    }
    if let Some(path) = asked.report {
        let facts = what_was_done(asked.protocol, asked.recordings, asked.sets);
        let title = format!("Evaluation of {}", asked.config.display());
        let report = summary::report(&title, facts, &results);
        let epochs = || Epochs::pool(cut(&plan, asked.recordings)?);
        write_report(path, &plan, asked.recordings, report, &results, epochs)?;
    }
    if asked.json {
        return print_json(&serde_json::json!({
            "config": asked.config,
            "protocol": asked.protocol,
            "results": results,
        }));
    }
    print(&report::table(&results))
}

/// Tests what was learned before, on recordings that it has not seen.
fn held_out(plan: &Plan, asked: &Evaluate<'_>) -> Result<()> {
    if asked.tune.is_some() || !asked.only.is_empty() || asked.filters != [Phase::Causal] {
        return Err(Error::config(
            "--protocol held-out takes the pipeline of the config as it is: without --tune, --only and --filter",
        ));
    }
    let bar = progress(asked.recordings.len(), "running");
    let mut answers = Vec::new();
    for name in asked.recordings {
        answers.push((name.clone(), plan.held_out(name)?));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let scores = answers.iter().filter_map(|(name, held_out)| held_out.evaluation(name));
    let results: Vec<Evaluation> = scores.collect();
    let retrieved = Retrieved::of(answers)?;
    if let Some(path) = asked.report {
        match path.extension().and_then(|e| e.to_str()) {
            Some("json") => {}
            _ => return Err(Error::config("--protocol held-out writes its --report as .json")),
        }
        let text = serde_json::json!({ "results": results, "retrieval": retrieved });
        std::fs::write(path, text.to_string())
            .map_err(|e| Error::run(format!("{}: cannot write: {e}", path.display())))?;
    }
    if asked.json {
        return print_json(&serde_json::json!({
            "config": asked.config,
            "protocol": asked.protocol,
            "results": results,
            "retrieval": retrieved,
        }));
    }
    let tables =
        [(!results.is_empty()).then(|| report::table(&results)), retrieved.map(|r| r.table())];
    print(&tables.into_iter().flatten().collect::<Vec<_>>().join("\n"))
}

/// The plans whose names are among `only`, in their order; all if it is empty.
fn chosen(plans: Vec<Plan>, only: &[String]) -> Result<Vec<Plan>> {
    let names: Vec<String> = plans.iter().map(Plan::pipeline).collect::<Result<_>>()?;
    if let Some(wrong) = only.iter().find(|name| !names.contains(name)) {
        let known = names.join(", ");
        let text = format!("--only {wrong}: there is no such pipeline (there is: {known})");
        return Err(Error::config(text));
    }
    let wanted = |name: &String| only.is_empty() || only.contains(name);
    let pairs = plans.into_iter().zip(names);
    Ok(pairs.filter(|(_, name)| wanted(name)).map(|(plan, _)| plan).collect())
}

fn cross_validated(
    plans: &[Plan],
    epochs: Vec<Epochs>,
    protocol: Protocol,
) -> Result<Vec<Evaluation>> {
    let folds = match protocol {
        Protocol::Within => crate::fit::FOLDS,
        _ => epochs.len(),
    };
    let bar = progress(folds * plans.len(), "validating");
    let results = cross_validate(plans, epochs, protocol, &|| bar.inc(1));
    bar.finish_and_clear();
    results
}

/// Lets the epochs of each recording count as `weights` say.
fn weighted(mut epochs: Vec<Epochs>, weights: &[f64]) -> Result<Vec<Epochs>> {
    if weights.is_empty() {
        return Ok(epochs);
    }
    let sound = weights.iter().all(|w| w.is_finite() && *w > 0.0);
    if weights.len() != epochs.len() || !sound {
        let text =
            format!("--weight: expected {} numbers above 0, one per recording", epochs.len());
        return Err(Error::config(text));
    }
    for (epochs, weight) in epochs.iter_mut().zip(weights) {
        epochs.weights = vec![*weight; epochs.frames.len()];
    }
    Ok(epochs)
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

/// What was done, for the head of a report.
pub(super) fn what_was_done(
    protocol: Protocol,
    recordings: &[String],
    sets: &[String],
) -> Vec<Fact> {
    let how = match protocol {
        Protocol::Within => "all recordings as one session, 5 stratified folds",
        Protocol::Cross => "each recording by a model of the others",
        Protocol::PseudoOnline => "whole recordings, window by window, by a model of the others",
        Protocol::HeldOut => "each recording by what was learned before, on others",
    };
    let mut facts = vec![
        Fact::new("protocol", how),
        Fact::new("recordings", recordings.join(", ")),
        Fact::new("made with", concat!("saltatory ", env!("CARGO_PKG_VERSION"))),
    ];
    if !sets.is_empty() {
        facts.push(Fact::new("settings", sets.join(" ")));
    }
    facts
}

/// Refuses the name of a report that says neither page nor JSON.
pub(super) fn check_report(path: &Path) -> Result<()> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("json" | "html") => Ok(()),
        _ => {
            let text =
                format!("--report {}: expected a name ending in .html or .json", path.display());
            Err(Error::config(text))
        }
    }
}

/// Writes the results as JSON, or a page with pictures of the first pipeline and its `epochs`; the time
/// course comes out of the recordings themselves, where there are any.
pub(super) fn write_report(
    path: &Path,
    plan: &Plan,
    recordings: &[String],
    mut report: Report,
    results: &[Evaluation],
    epochs: impl FnOnce() -> Result<Epochs>,
) -> Result<()> {
    check_report(path)?;
    let text = match path.extension().and_then(|e| e.to_str()) {
        Some("json") => serde_json::to_string_pretty(results).unwrap_or_default(),
        _ => {
            let bar = progress(5, "drawing");
            let epochs = epochs()?;
            report.curve = Some(portrait::learning_curve(plan, &epochs)?);
            bar.inc(1);
            report.scatter = portrait::scatter(plan, &epochs)?;
            bar.inc(1);
            report.maps = Some(portrait::maps(plan, &epochs)?);
            bar.inc(1);
            report.geometry = shapes::geometry(plan, &epochs)?;
            bar.inc(1);
            if report.time.is_none() && !recordings.is_empty() {
                report.time = portrait::time_course(plan, recordings)?;
            }
            bar.finish_and_clear();
            report::render(&report)
        }
    };
    std::fs::write(path, text)
        .map_err(|e| Error::run(format!("{}: cannot write: {e}", path.display())))
}
