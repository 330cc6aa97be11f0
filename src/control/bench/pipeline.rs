//! Whole configs at the pace of their samples: does it keep up, how late are decisions, how much of a
//! core does it take.

use super::{Options, Record};
use crate::config;
use crate::control::progress;
use crate::control::trial::{self, Plan, fit_on_noise};
use crate::error::Result;
use crate::ledger::Counters;
use std::path::{Path, PathBuf};

/// The configs that show the scale, from the root of the repository.
const SCALE: [&str; 3] =
    ["configs/scale_64x1k.toml", "configs/scale_306x5k.toml", "configs/scale_1024x30k.toml"];
/// Decisions as fast as can be, before those that count.
const HOT: u64 = 50;
/// What is decided between where a config does not say.
const CLASSES: [&str; 4] = ["a", "b", "c", "d"];

pub fn run(options: &Options) -> Result<Vec<Record>> {
    let configs: Vec<PathBuf> = match options.configs.is_empty() {
        true => SCALE.iter().map(PathBuf::from).filter(|p| p.exists()).collect(),
        false => options.configs.clone(),
    };
    if configs.is_empty() {
        eprintln!("no config to run: name one with --config, or start where {} is", SCALE[0]);
    }
    let bar = progress(configs.len(), "pipeline");
    let mut records = Vec::new();
    for path in configs {
        records.extend(measure(&path, options)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(records)
}

/// Runs one config on noise in place of its sources.
fn measure(path: &Path, options: &Options) -> Result<Vec<Record>> {
    let mut config = config::load(path, &options.sets)?;
    let mut specs = Vec::new();
    for source in &mut config.sources {
        specs.push(source.unit.open(Counters::new(&source.id))?);
    }
    let learns = config.stages.iter_mut().any(|s| s.unit.fitted().is_some());
    if learns && !config.model.as_ref().is_some_and(|path| path.exists()) {
        let named = config.classes().map(|c| c.pairs().into_iter().map(|(name, _)| name).collect());
        let classes = named.unwrap_or_else(|| CLASSES.map(String::from).to_vec());
        fit_on_noise(&mut config, &specs, &classes)?;
        config.model = None;
    }
    let ids: Vec<String> = config.stages.iter().map(|s| s.id.clone()).collect();
    let plan = Plan { hot: HOT, paced: u64::MAX, paced_s: options.long_s() };
    let trial = trial::run(config, &specs, &plan)?;

    let name = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let shape = format!("{} ch x {} Hz", specs[0].cols, specs[0].rate_hz);
    let thousandths = |x: f64| (x * 1e3).round() / 1e3;
    let mut records = Vec::new();
    for refused in trial.realtime.iter().filter(|grant| !grant.granted) {
        eprintln!("{name}: {} was refused: {}", refused.what, refused.why);
    }
    let any = trial.ends.iter().any(|end| end.engine.n > 0);
    // A branch that was at rest all the time says nothing; that nothing came out at all says much.
    for end in trial.ends.iter().filter(|end| end.engine.n > 0 || !any) {
        let title = format!("{name}: arrival to {}", ids[end.stage]);
        records.push(
            Record::of(title, &shape, &end.engine)
                .with("every_ms", thousandths(end.every_s * 1e3))
                .with("cores", thousandths(trial.cores))
                .with("lost", trial.lost)
                .with("keeps_up", trial.keeps_up)
                .with("missed", trial.deadline.missed)
                .with("skipped", trial.deadline.skipped),
        );
    }
    for (id, costs) in ids.iter().zip(&trial.stages).filter(|(_, costs)| costs.paced.n > 0) {
        let record = Record::of(format!("{name}: {id}"), &shape, &costs.paced);
        records.push(record.with("hot_p50_us", costs.hot.p50_us));
    }
    Ok(records)
}
