//! What this machine can hold: three made-up pipelines of growing size, run as they would be.

use crate::config;
use crate::control::trial::{self, Plan};
use crate::error::Result;
use crate::latency::Summary;
use crate::ledger::Counters;
use serde::Serialize;
use std::path::Path;

/// The configs that show the scale, and what they stand for.
const SCALES: [(&str, &str, &str); 3] = [
    ("scale_64x1k", "an EEG", include_str!("../../../configs/scale_64x1k.toml")),
    ("scale_306x5k", "a whole-head MEG", include_str!("../../../configs/scale_306x5k.toml")),
    ("scale_1024x30k", "an intracranial rig", include_str!("../../../configs/scale_1024x30k.toml")),
];
/// Results as fast as can be, before those that count.
const HOT: u64 = 20;
/// The longest that one is watched, in seconds.
const LONGEST_S: f64 = 5.0;

/// A pipeline that was tried.
#[derive(Debug, Clone, Serialize)]
pub struct Hold {
    pub config: String,
    /// What it stands for.
    pub rig: String,
    pub channels: usize,
    pub rate_hz: f64,
    /// From one result to the next.
    pub every_ms: f64,
    /// Whether the machine keeps up.
    pub keeps_up: bool,
    /// From the arrival of the newest sample to the result.
    pub engine: Summary,
    /// Processor time per second.
    pub cores: f64,
    /// Samples that were lost.
    pub lost: u64,
}

/// Tries them all, each for `seconds` or less.
pub fn measure(seconds: f64) -> Result<Vec<Hold>> {
    SCALES.iter().map(|(name, rig, text)| hold(name, rig, text, seconds)).collect()
}

fn hold(name: &str, rig: &str, text: &str, seconds: f64) -> Result<Hold> {
    let mut config = config::parse(Path::new(name), text, &[])?;
    let mut specs = Vec::new();
    for source in &mut config.sources {
        specs.push(source.unit.open(Counters::new(&source.id))?);
    }
    let plan = Plan { hot: HOT, paced: u64::MAX, paced_s: seconds.min(LONGEST_S) };
    let trial = trial::run(config, &specs, &plan)?;
    let slowest = trial.ends.iter().max_by(|a, b| a.engine.p99_us.total_cmp(&b.engine.p99_us));
    Ok(Hold {
        config: format!("configs/{name}.toml"),
        rig: rig.to_owned(),
        channels: specs[0].cols,
        rate_hz: specs[0].rate_hz,
        every_ms: slowest.map_or(0.0, |end| end.every_s * 1e3),
        keeps_up: trial.keeps_up,
        engine: slowest.map(|end| end.engine.clone()).unwrap_or_default(),
        cores: trial.cores,
        lost: trial.lost,
    })
}
