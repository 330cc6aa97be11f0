//! LSL to LSL in two processes: a child sends samples and receives decisions, as peerbench's scenario D
//! does, and measures from outside; this process is the engine and measures from inside. What both
//! saw of one decision is put together, so that the way of a sample falls into hops that add up.

mod peer;
mod probes;

pub use peer::peer;

use super::{Options, Record, Watch};
use crate::clock;
use crate::config::{self, Config, Wait};
use crate::control::loopback::Group;
use crate::control::progress;
use crate::control::run::{self, Session};
use crate::control::stop::Stop;
use crate::control::trial::{cpu_s, fit_on_noise};
use crate::error::{Error, Result};
use crate::frame::{Channel, Spec};
use indicatif::ProgressBar;
use peer::Seen;
use probes::{Log, Probe, Watched, Written};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

/// The chain that is run: band-pass, 2 s every 50 ms, covariance (OAS), tangent space, regression.
const CONFIG: &str = include_str!("../../../../configs/bench_e2e.toml");
const CHANNELS: usize = 64;
const RATE_HZ: f64 = 1000.0;
/// Samples that are pushed together.
const CHUNK: usize = 5;
const CLASSES: [&str; 4] = ["a", "b", "c", "d"];
/// Decisions before the first that counts: windows fill up, caches warm.
const WARM_UP: usize = 60;
/// The streams of samples, decisions and ages.
const SAMPLES: &str = "bench_eeg";
const DECISIONS: &str = "bench_decision";
const AGES: &str = "bench_ages";

pub fn run(options: &Options) -> Result<Vec<Record>> {
    let bar = progress(options.long_s().ceil() as usize, "latency");
    let mut child = Group::new()?
        .command()?
        .args(["bench", "latency", "--peer", &options.long_s().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| failed(&e))?;
    let said = listen(&mut child);
    let report = engine(options, &said, &bar);
    if report.is_err() {
        // It would wait for decisions that never come; if it has ended already, all the better.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|e| failed(&e))?;
    let report = report?;
    let said = said.join().map_err(|_| failed(&"it cannot be read"))?;
    if !status.success() {
        return Err(failed(&status));
    }
    let seen: Vec<Seen> = serde_json::from_str(&said).map_err(|e| failed(&e))?;
    bar.finish_and_clear();
    Ok(records(&seen, &report))
}

/// Gathers what the child prints, so that it never waits for us.
fn listen(child: &mut Child) -> JoinHandle<String> {
    let out = child.stdout.take();
    std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut out) = out {
            // What cannot be read is missed when it is parsed.
            let _ = out.read_to_string(&mut text);
        }
        text
    })
}

/// What was seen from inside.
struct Inside {
    log: Log,
    stages: Vec<String>,
    wait: Wait,
    /// Processor time per second.
    cores: f64,
    lost: u64,
}

/// Runs the engine until the child has said all it has to say.
fn engine(options: &Options, said: &JoinHandle<String>, bar: &ProgressBar) -> Result<Inside> {
    let mut sets =
        vec![format!("lsl.ages={AGES}"), "eeg.recover_s=0.0".into(), "eeg.wait_s=30.0".into()];
    sets.extend(options.sets.iter().cloned());
    let mut config = config::parse(Path::new("bench_e2e.toml"), CONFIG, &sets)?;
    let spec = Spec::samples(channels(), RATE_HZ, 20);
    fit_on_noise(&mut config, &[spec], &CLASSES.map(String::from))?;
    config.model = None;
    let log = probe(&mut config);
    let stages = config.stages.iter().map(|s| s.id.clone()).collect();
    let wait = config.realtime.wait;

    let stop = Stop::default();
    let mut session = Session::start(config, &run::Options::default(), &stop)?;
    for refused in session.running.grants().iter().filter(|grant| !grant.granted) {
        eprintln!("{} was refused: {}", refused.what, refused.why);
    }
    let mut from: Option<(f64, f64)> = None;
    session.running.watch(&stop, |_| {
        if from.is_none() && log.decisions() >= WARM_UP {
            from = Some((clock::now_s(), cpu_s()));
        }
        let passed_s = from.map_or(0.0, |(since_s, _)| clock::now_s() - since_s) as u64;
        if passed_s != bar.position() {
            bar.set_position(passed_s);
        }
        !said.is_finished()
    });
    let cores = from.map_or(0.0, |(since_s, before_s)| {
        (cpu_s() - before_s) / (clock::now_s() - since_s).max(1e-9)
    });
    let (report, ended) = session.finish();
    ended?;
    let lost = report.ledger.iter().flat_map(|p| &p.counts).map(|(_, n)| n).sum();
    Ok(Inside { log, stages, wait, cores, lost })
}

/// Puts probes in front of the first stage and around the sinks.
fn probe(config: &mut Config) -> Log {
    let log = Log::default();
    if let Some(first) = config.stages.first_mut() {
        Probe::put_before(first, &log);
    }
    config.sinks.iter_mut().for_each(|sink| Watched::put_around(sink, &log));
    log
}

fn channels() -> Vec<Channel> {
    (0..CHANNELS).map(|i| Channel::named(format!("E{i}"))).collect()
}

fn failed(e: &dyn std::fmt::Display) -> Error {
    Error::run(format!("the process that sends and receives failed: {e}"))
}

/// One decision from both sides.
struct Way<'a> {
    outside: &'a Seen,
    inside: &'a Written,
    /// When the lane took the block.
    taken_s: f64,
}

impl Way<'_> {
    /// Time in all stages, in seconds.
    fn stages_s(&self) -> f64 {
        self.inside.stage_ns.iter().sum::<u64>() as f64 * 1e-9
    }
}

/// A span of time of a way, in seconds.
type Hop = (String, Box<dyn Fn(&Way) -> f64>);

fn records(seen: &[Seen], inside: &Inside) -> Vec<Record> {
    let written: BTreeMap<u64, Written> =
        inside.log.written().into_iter().map(|w| (w.stamp_s.to_bits(), w)).collect();
    let blocks = inside.log.blocks();
    let ways: Vec<Way> = seen
        .iter()
        .filter_map(|outside| {
            let inside = written.get(&outside.stamp_s.to_bits())?;
            let block = blocks.partition_point(|(last, _)| *last < inside.last);
            Some(Way { outside, inside, taken_s: blocks.get(block)?.1 })
        })
        .collect();
    let wait = match inside.wait {
        Wait::Park => "park",
        Wait::Spin => "spin",
    };
    let shape = format!("{CHANNELS} ch @ {RATE_HZ} Hz, chunk {CHUNK}, {wait}");
    let record = |(name, time_s): Hop| {
        let mut watch = Watch::default();
        ways.iter().for_each(|way| watch.add_s(time_s(way)));
        watch.record(name, &shape)
    };
    let mut records: Vec<Record> = totals().into_iter().map(record).collect();
    if let Some(share) = records.first_mut() {
        let cores = (inside.cores * 1e3).round() / 1e3;
        *share = share.clone().with("cores", cores).with("lost", inside.lost);
    }
    records.extend(hops(&inside.stages).into_iter().map(record));
    records
}

fn hop(name: impl Into<String>, time_s: impl Fn(&Way) -> f64 + 'static) -> Hop {
    (name.into(), Box::new(time_s))
}

/// The whole way, and the engine's part of it.
fn totals() -> Vec<Hop> {
    vec![
        // From the arrival at the inlet to the decision handed to the outlet.
        hop("engine share", |w| w.inside.handed_s - w.inside.arrived_s),
        hop("end to end", |w| w.outside.received_s - w.outside.pushed_s),
        hop("age published with the decision", |w| w.outside.age_s),
        hop("age published against end to end", |w| {
            (w.outside.received_s - w.outside.pushed_s - w.outside.age_s).abs()
        }),
    ]
}

/// The hops from the push of the newest sample to the decision; they add up to the whole way.
fn hops(stages: &[String]) -> Vec<Hop> {
    let mut hops = vec![
        hop("hop: sent to arrived", |w| w.inside.arrived_s - w.outside.pushed_s),
        hop("hop: inbox", |w| w.taken_s - w.inside.arrived_s),
    ];
    for (i, id) in stages.iter().enumerate() {
        hops.push(hop(format!("hop: stage {id}"), move |w| w.inside.stage_ns[i] as f64 * 1e-9));
    }
    hops.extend([
        hop("hop: lane, between stages", |w| w.inside.emitted_s - w.taken_s - w.stages_s()),
        hop("hop: outbox", |w| w.inside.handed_s - w.inside.emitted_s),
        hop("hop: handed over to received", |w| w.outside.received_s - w.inside.handed_s),
    ]);
    hops
}
