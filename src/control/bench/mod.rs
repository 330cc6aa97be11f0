//! `saltatory bench`: what the engine costs on this machine.
//!
//! Four suites: `ring` (how threads hand each other frames), `stages` (every stage, and the cases that
//! stand beside SciPy's and pyRiemann's), `pipeline` (whole configs at the pace of their samples) and
//! `latency` (LSL to LSL in two processes). Every figure is a distribution over single calls; compare
//! figures of one run on one machine, as ratios.

mod latency;
mod noise;
mod pipeline;
mod ring;
mod stages;
mod watch;

pub use latency::peer;
pub use noise::fit_on_noise;
pub use watch::{Pace, Watch};

use crate::error::{Error, Result};
use console::style;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Suite {
    /// Rings, mailboxes and wake-ups
    Ring,
    /// Single stages, hot and once per 50 ms
    Stages,
    /// Whole configs at the pace of their samples
    Pipeline,
    /// LSL to LSL in two processes
    Latency,
}

/// How to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// The suites; all of them when empty.
    pub suites: Vec<Suite>,
    /// Seconds for each case of `ring` and `stages`; the other suites take 20 times as long.
    pub seconds: f64,
    /// Configs for `pipeline`; those for scale when empty.
    pub configs: Vec<PathBuf>,
    /// Overrides for `latency` and `pipeline`.
    pub sets: Vec<String>,
    /// Whether to print JSON.
    pub json: bool,
    /// Writes the figures to this file.
    pub save: Option<PathBuf>,
    /// Compares with the figures in this file.
    pub baseline: Option<PathBuf>,
}

/// One measured case. The keys are those of the peers' harness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What was measured.
    pub name: String,
    /// On what.
    pub shape: String,
    /// How often.
    pub n: u64,
    /// Median, in microseconds.
    pub p50_us: f64,
    /// 99th percentile, in microseconds.
    pub p99_us: f64,
    /// 99.9th percentile, in microseconds.
    pub p999_us: f64,
    /// Longest, in microseconds.
    pub max_us: f64,
    /// What else there is to say of this case.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

/// Runs the suites and shows what came out.
pub fn bench(options: &Options) -> Result<()> {
    let baseline = options.baseline.as_deref().map(read).transpose()?;
    if latency::needs_loopback(options) {
        return latency::on_loopback();
    }
    let wanted = |s: Suite| options.suites.is_empty() || options.suites.contains(&s);
    eprintln!("{}", machine());
    let mut records = Vec::new();
    if wanted(Suite::Ring) {
        records.extend(ring::run(options)?);
    }
    if wanted(Suite::Stages) {
        records.extend(stages::run(options)?);
    }
    if wanted(Suite::Pipeline) {
        records.extend(pipeline::run(options)?);
    }
    if wanted(Suite::Latency) {
        records.extend(latency::run(options)?);
    }
    if let Some(path) = &options.save {
        let text = serde_json::to_string_pretty(&records).map_err(|e| cannot(path, &e))?;
        std::fs::write(path, text).map_err(|e| cannot(path, &e))?;
    }
    match options.json {
        true => super::print_json(&records),
        false => super::print(&table(&records, baseline.as_deref())),
    }
}

fn read(path: &Path) -> Result<Vec<Record>> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::input(format!("{}: cannot be read: {e}", path.display())))?;
    serde_json::from_str(&text).map_err(|e| {
        Error::input(format!("{}: is not what `bench --save` writes: {e}", path.display()))
    })
}

fn cannot(path: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::run(format!("{}: cannot write: {e}", path.display()))
}

/// The figures as a table, with ratios to those of an earlier run.
fn table(records: &[Record], baseline: Option<&[Record]>) -> String {
    let wide = |f: fn(&Record) -> &str, least: usize| {
        records.iter().map(|r| f(r).chars().count()).max().unwrap_or(0).max(least)
    };
    let (name, shape) = (wide(|r| &r.name, 4), wide(|r| &r.shape, 5));
    let mut text = format!(
        "{:<name$}  {:<shape$} {:>8} {:>11} {:>11} {:>11}",
        "what", "shape", "n", "p50", "p99", "max"
    );
    if baseline.is_some() {
        text.push_str(&format!(" {:>10}", "to before"));
    }
    for r in records {
        let (p50, p99, max) = (time(r.p50_us), time(r.p99_us), time(r.max_us));
        text.push_str(&format!(
            "\n{:<name$}  {:<shape$} {:>8} {p50:>11} {p99:>11} {max:>11}",
            r.name, r.shape, r.n
        ));
        let before =
            baseline.and_then(|b| b.iter().find(|b| b.name == r.name && b.shape == r.shape));
        if let Some(before) = before {
            let ratio = r.p50_us / before.p50_us;
            let shown = format!(" {ratio:>8.2} x");
            text.push_str(&match ratio {
                r if r > 1.1 => style(shown).red().to_string(),
                r if r < 0.9 => style(shown).green().to_string(),
                _ => shown,
            });
        }
        for (key, value) in &r.more {
            text.push_str(&format!("  {key} {value}"));
        }
    }
    text
}

/// A time in the unit that suits it.
fn time(us: f64) -> String {
    match us {
        us if us.abs() < 1.0 => format!("{:.0} ns", us * 1e3),
        us if us.abs() < 1e3 => format!("{us:.1} us"),
        us if us.abs() < 1e6 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// This machine in one line.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let cpu = info.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or(": unknown CPU");
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let kernel = read("/proc/sys/kernel/osrelease");
    let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    let governor = match governor.trim() {
        "" => "no frequency governor".to_owned(),
        name => format!("governor {name}"),
    };
    format!(
        "saltatory {} on {}, {cores} cores, {} {}, {governor}",
        env!("CARGO_PKG_VERSION"),
        cpu.trim_start_matches([':', ' ', '\t']),
        std::env::consts::OS,
        kernel.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_compares_with_what_was_before() {
        let record = |p50_us: f64| Record {
            name: "mdm".into(),
            shape: "64x64".into(),
            n: 3,
            p50_us,
            p99_us: 2e3,
            p999_us: 3e3,
            max_us: 4e6,
            more: serde_json::Map::new(),
        };
        console::set_colors_enabled(false);
        let text = table(&[record(50.0)], Some(&[record(100.0)]));
        assert!(text.contains("50.0 us     2.00 ms      4.00 s     0.50 x"), "{text}");
        assert!(!table(&[record(0.25)], None).contains(" x"));
        assert!(table(&[record(0.25)], None).contains("250 ns"));
    }
}
