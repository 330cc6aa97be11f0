//! LSL to LSL in two processes: a child sends samples and receives decisions, as peerbench's scenario D
//! does, and measures from outside; this process is the engine and measures from inside.

use super::noise::fit_on_noise;
use super::pipeline::summary;
use super::{Options, Record, Suite, Watch};
use crate::clock;
use crate::config;
use crate::control::progress;
use crate::control::run::{self, Session};
use crate::control::stop::Stop;
use crate::error::{Error, Result};
use crate::frame::{Channel, Spec};
use crate::wire::lsl::{Inlet, Outlet, Pulled, Query, Search, Wire};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The chain that is run: band-pass, 2 s every 50 ms, covariance (OAS), tangent space, regression.
const CONFIG: &str = include_str!("../../../configs/bench_e2e.toml");
/// How much longer than a single stage it is watched.
const LONGER: f64 = 20.0;
/// Decisions before the first that counts: windows fill up, caches warm.
const WARM_UP: usize = 60;
const CHANNELS: usize = 64;
const RATE_HZ: f64 = 1000.0;
/// Samples that are pushed together.
const CHUNK: usize = 5;
const AGES: &str = "bench_ages";

/// What the child saw of one decision, in seconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Seen {
    /// From the push of the newest sample to the arrival of the decision.
    end_to_end: f64,
    /// The age of the newest sample that was published with it.
    age: f64,
}

/// Keeps LSL on this machine.
const LOOPBACK: &str = include_str!("../../../configs/lsl_loopback.cfg");

/// Whether LSL would use the network: nobody has said which settings it is to use.
pub fn needs_loopback(options: &Options) -> bool {
    let wanted = options.suites.is_empty() || options.suites.contains(&Suite::Latency);
    wanted && std::env::var_os("LSLAPICFG").is_none()
}

/// Starts this very command again with LSL kept on loopback, which it learns from its environment.
pub fn on_loopback() -> Result<()> {
    let name = format!("saltatory-bench-{}.cfg", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, LOOPBACK).map_err(|e| failed(&e))?;
    let program = std::env::current_exe().map_err(|e| failed(&e))?;
    let ended =
        Command::new(program).args(std::env::args_os().skip(1)).env("LSLAPICFG", &path).status();
    // Left behind it would do no harm.
    let _ = std::fs::remove_file(&path);
    match ended.map_err(|e| failed(&e))?.success() {
        true => Ok(()),
        false => Err(Error::run("the measurement failed; the reason is above")),
    }
}

pub fn run(options: &Options) -> Result<Vec<Record>> {
    let for_s = options.seconds * LONGER;
    let bar = progress(1, "latency");
    let mut child = Command::new(std::env::current_exe().map_err(|e| failed(&e))?)
        .args(["bench", "latency", "--peer", &format!("{for_s}")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| failed(&e))?;
    let report = engine(options, &mut child);
    if report.is_err() {
        // The child would wait for decisions that never come.
        let _ = child.kill();
    }
    let output = child.wait_with_output().map_err(|e| failed(&e))?;
    let report = report?;
    let seen: Vec<Seen> = serde_json::from_slice(&output.stdout).map_err(|e| failed(&e))?;
    bar.finish_and_clear();

    let shape = format!("{CHANNELS} ch @ {RATE_HZ} Hz, chunk {CHUNK}");
    let watch = |value: fn(&Seen) -> f64| {
        let mut watch = Watch::default();
        for one in &seen {
            watch.add(Duration::from_secs_f64(value(one).max(0.0)));
        }
        watch
    };
    let mut records = vec![
        summary("engine share", &shape, &report.latency.engine),
        watch(|s| s.end_to_end).record("end to end", &shape),
        watch(|s| s.age).record("age published with the decision", &shape),
        watch(|s| (s.end_to_end - s.age).abs()).record("age published against end to end", &shape),
    ];
    for (id, times) in &report.latency.stages {
        records.push(summary(&format!("engine share: {id}"), &shape, times));
    }
    Ok(records)
}

/// Runs the engine until the child has seen enough.
fn engine(options: &Options, child: &mut std::process::Child) -> Result<run::Report> {
    let mut sets = vec![format!("lsl.ages={AGES}"), "eeg.recover_s=0.0".to_owned()];
    sets.extend(options.sets.iter().cloned());
    let mut config = config::parse(Path::new("bench_e2e.toml"), CONFIG, &sets)?;
    let labels = (0..CHANNELS).map(|i| Channel::named(format!("E{i}"))).collect();
    let spec = Spec::samples(labels, RATE_HZ, 20);
    let classes = ["a", "b", "c", "d"].map(String::from);
    fit_on_noise(&mut config, &[spec], &classes)?;
    config.model = None;
    let stop = Stop::default();
    let mut session = Session::start(config, &run::Options::default(), &stop)?;
    session.running.watch(&stop, |_| matches!(child.try_wait(), Ok(None)));
    let (report, ended) = session.finish();
    ended.map(|()| report)
}

fn failed(e: &dyn std::fmt::Display) -> Error {
    Error::run(format!("the process that sends and receives failed: {e}"))
}

/// The child: sends, receives, and prints what it saw as JSON.
pub fn peer(seconds: f64) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let start_s = clock::now_s() + 0.2;
    let sender = {
        let stop = stop.clone();
        std::thread::spawn(move || send(start_s, &stop))
    };
    let received = receive(seconds);
    stop.store(true, Ordering::Relaxed);
    let pushed_s = sender
        .join()
        .unwrap_or_else(|_| Err(Error::run("the sender stopped by a fault of ours")))?;
    let (decisions, ages) = received?;
    let mut seen = Vec::new();
    for (stamp_s, at_s) in decisions.into_iter().skip(WARM_UP) {
        let sample = ((stamp_s - start_s) * RATE_HZ).round() as usize;
        let (Some(pushed_s), Some(age)) =
            (pushed_s.get(sample / CHUNK), ages.get(&stamp_s.to_bits()))
        else {
            continue;
        };
        seen.push(Seen { end_to_end: at_s - pushed_s, age: *age });
    }
    crate::control::print_json(&seen)
}

/// Pushes five samples whenever the last of them is due; returns when each push was.
fn send(start_s: f64, stop: &AtomicBool) -> Result<Vec<f64>> {
    let labels: Vec<Channel> = (0..CHANNELS).map(|i| Channel::named(format!("E{i}"))).collect();
    let (name, wire) = ("bench_eeg", Wire::Float32);
    let mut outlet = Outlet::open(name, "EEG", name, &labels, RATE_HZ, wire, &[])?;
    let mut random = Pcg64::seed_from_u64(1);
    let mut pushed_s = Vec::new();
    let mut row = vec![0.0; CHANNELS];
    while !stop.load(Ordering::Relaxed) {
        let first = pushed_s.len() * CHUNK;
        let due_s = start_s + (first + CHUNK - 1) as f64 / RATE_HZ;
        let wait_s = due_s - clock::now_s();
        if wait_s > 0.0 {
            std::thread::sleep(Duration::from_secs_f64(wait_s));
        }
        pushed_s.push(clock::now_s());
        for i in 0..CHUNK {
            row.iter_mut().for_each(|v| *v = StandardNormal.sample(&mut random));
            outlet.push_exact(&row, start_s + (first + i) as f64 / RATE_HZ, i + 1 == CHUNK)?;
        }
    }
    Ok(pushed_s)
}

/// Stamp and arrival of every decision, and the published age by stamp.
type Received = (Vec<(f64, f64)>, BTreeMap<u64, f64>);

/// Takes decisions and ages for `seconds` from the first decision on.
fn receive(seconds: f64) -> Result<Received> {
    let mut decisions = Vec::new();
    let mut inlet = connect("bench_decision")?;
    let ages = connect(AGES)?;
    let end = Arc::new(AtomicBool::new(false));
    let ages = {
        let end = end.clone();
        std::thread::spawn(move || collect_ages(ages, &end))
    };
    let mut end_s = f64::INFINITY;
    while clock::now_s() < end_s {
        if let Pulled::Sample(stamp_s) = inlet.pull(0.5) {
            let now_s = clock::now_s();
            decisions.push((stamp_s, now_s));
            if decisions.len() == WARM_UP {
                end_s = now_s + seconds;
            }
        }
    }
    end.store(true, Ordering::Relaxed);
    let ages = ages.join().unwrap_or_else(|_| Err(failed(&"a thread stopped")))?;
    Ok((decisions, ages))
}

fn collect_ages(mut inlet: Inlet, end: &AtomicBool) -> Result<BTreeMap<u64, f64>> {
    let (mut ages, mut row) = (BTreeMap::new(), Vec::new());
    while !end.load(Ordering::Relaxed) {
        if let Pulled::Sample(stamp_s) = inlet.pull(0.2) {
            row.clear();
            inlet.numbers(&mut row);
            ages.insert(stamp_s.to_bits(), row.first().copied().unwrap_or(f64::NAN));
        }
    }
    Ok(ages)
}

fn connect(name: &str) -> Result<Inlet> {
    let query = Query { name: Some(name.into()), ..Query::default() };
    let found = Search::new(&query)?.wait(30.0);
    let opened = found.first().map(Inlet::open).transpose()?.flatten();
    opened.map(|(inlet, _)| inlet).ok_or_else(|| Error::run(format!("no stream `{name}` came")))
}
