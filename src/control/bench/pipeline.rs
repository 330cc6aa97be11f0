//! Whole configs at the pace of their samples: does it keep up, how late are decisions, how much of a
//! core does it take.

use super::noise::{Noise, fit_on_noise};
use super::{Options, Record};
use crate::config;
use crate::control::progress;
use crate::control::run::{self, Session};
use crate::control::stop::Stop;
use crate::error::{Error, Result};
use crate::frame::Payload;
use crate::latency::Summary;
use crate::ledger::Counters;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The configs that show the scale, beside the binary's working directory.
const SCALE: [&str; 3] =
    ["configs/scale_64x1k.toml", "configs/scale_306x5k.toml", "configs/scale_1024x30k.toml"];
/// Seconds of samples in a block.
const BLOCK_S: f64 = 0.005;
/// How much longer than a single stage a pipeline is watched.
const LONGER: f64 = 20.0;

pub fn run(options: &Options) -> Result<Vec<Record>> {
    let configs: Vec<PathBuf> = match options.configs.is_empty() {
        true => SCALE.iter().map(PathBuf::from).filter(|p| p.exists()).collect(),
        false => options.configs.clone(),
    };
    if configs.is_empty() {
        eprintln!("no config to run: name one, or start where configs/scale_64x1k.toml is");
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
        let spec = source.unit.open(Counters::new(&source.id))?;
        if spec.payload != Payload::Samples {
            return Err(Error::config(format!(
                "{}: only configs whose sources are all samples can be run on noise",
                path.display()
            )));
        }
        source.unit = Box::new(Noise::new(&spec, BLOCK_S));
        specs.push(spec);
    }
    if config.stages.iter_mut().any(|s| s.unit.fitted().is_some()) {
        let classes = ["a", "b", "c", "d"].map(String::from);
        fit_on_noise(&mut config, &specs, &classes)?;
        config.model = None;
    }
    let for_s = options.seconds * LONGER;
    let options = run::Options { for_s: Some(for_s), ..run::Options::default() };
    let stop = Stop::default();
    let cpu_before_s = cpu_s();
    let mut session = Session::start(config, &options, &stop)?;
    session.running.watch(&stop, |_| {
        std::thread::sleep(Duration::from_millis(50));
        true
    });
    let cpu_s = cpu_s() - cpu_before_s;
    let (report, ended) = session.finish();
    ended?;
    let lost: u64 = report
        .ledger
        .iter()
        .flat_map(|p| &p.counts)
        .filter(|(cause, _)| ["drop", "gap", "skipped", "fault"].contains(cause))
        .map(|(_, n)| n)
        .sum();
    let name = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let shape = format!("{} ch x {} Hz", specs[0].cols, specs[0].rate_hz);
    let mut records = Vec::new();
    let engine = &report.latency.engine;
    let mut record = summary(&format!("{name}: arrival to decision"), &shape, engine);
    let cores = (cpu_s / for_s * 1e3).round() / 1e3;
    record.more.insert("cores".into(), cores.into());
    record.more.insert("lost".into(), lost.into());
    records.push(record);
    for (id, times) in report.latency.stages.iter().filter(|(_, t)| t.n > 0) {
        records.push(summary(&format!("{name}: {id}"), &shape, times));
    }
    Ok(records)
}

/// A histogram as a record.
pub fn summary(name: &str, shape: &str, s: &Summary) -> Record {
    Record {
        name: name.into(),
        shape: shape.into(),
        n: s.n,
        p50_us: s.p50_us,
        p99_us: s.p99_us,
        p999_us: s.p999_us,
        max_us: s.max_us,
        more: serde_json::Map::new(),
    }
}

/// Seconds of processor time that this process has used; 0 where the system does not say.
fn cpu_s() -> f64 {
    let Ok(text) = std::fs::read_to_string("/proc/self/stat") else { return 0.0 };
    // Behind the name, which ends with the last bracket: user and system time are fields 14 and 15.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(12) + ticks(13)) / 100.0
}
