//! `saltatory doctor`: how well this machine keeps time, what it can hold, and what to change.

mod advice;
mod disk;
mod holds;
mod text;
mod timing;
mod wire;

pub use wire::try_lsl;

use super::machine::{Machine, read};
use super::{print, print_json, progress};
use crate::config::Realtime;
use crate::engine::rights::{self, Grant};
use crate::error::Result;
use advice::Advice;
use disk::Disk;
use holds::Hold;
use serde::{Serialize, Serializer};
use timing::{Jitter, Timer};
use wire::Loopback;

/// The priority that a real-time lane would ask for.
const PRIORITY: u8 = 80;

/// All that was found out. The keys are the contract of `doctor --json`.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    timer: Timer,
    jitter: Lateness,
    rights: Rights,
    /// LSL on loopback, or why it does not work.
    #[serde(serialize_with = "or_error")]
    lsl: Result<Loopback, String>,
    /// The folder that this was started in, or why it cannot be written to.
    #[serde(serialize_with = "or_error")]
    disk: Result<Disk, String>,
    /// What the machine can hold: made-up pipelines of growing size.
    holds: Vec<Hold>,
    advice: Vec<Advice>,
}

/// Writes what was found, or `{"error": why not}`.
fn or_error<T: Serialize, S: Serializer>(
    found: &Result<T, String>,
    s: S,
) -> Result<S::Ok, S::Error> {
    match found {
        Ok(found) => found.serialize(s),
        Err(why) => s.collect_map([("error", why)]),
    }
}

/// How late a thread wakes up that sleeps until a given time, once a millisecond.
#[derive(Debug, Serialize)]
struct Lateness {
    normal: Jitter,
    /// The same with real-time priority; null where that is refused.
    realtime: Option<Jitter>,
    /// Cores that other programs used meanwhile; null where the system does not say.
    others_cores: Option<f64>,
}

/// What this user may ask of the system.
#[derive(Debug, Serialize)]
struct Rights {
    realtime_priority: Grant,
    /// How long real-time threads may run without a pause in a period, in microseconds; -1 for ever.
    sched_rt_runtime_us: Option<i64>,
    sched_rt_period_us: Option<i64>,
    /// Memory that may be kept resident, in bytes; null for no limit.
    memory_lock_bytes: Option<u64>,
    /// Whether the kernel is one whose every part can be interrupted.
    realtime_kernel: bool,
    /// How long the deepest sleep of a core takes to wake up from, in microseconds.
    deepest_sleep_us: Option<u64>,
}

/// Examines the machine, for `seconds` wherever something has to be watched, and says what was found.
pub fn doctor(seconds: f64, json: bool) -> Result<()> {
    let bar = progress(6, "doctor");
    let machine = Machine::this();
    let timer = Timer::measure();
    let priority = ask_for_priority();
    bar.inc(1);
    let others = Others::now();
    let normal = timing::jitter(seconds, None);
    bar.inc(1);
    let realtime = priority.granted.then(|| timing::jitter(seconds, Some(PRIORITY)));
    let jitter = Lateness { normal, realtime, others_cores: others.cores() };
    bar.inc(1);
    let lsl = wire::measure();
    bar.inc(1);
    let disk = disk::measure();
    bar.inc(1);
    let holds = holds::measure(seconds)?;
    bar.finish_and_clear();

    let rights = Rights::of_this_user(priority);
    let mut report =
        Report { machine, timer, jitter, rights, lsl, disk, holds, advice: Vec::new() };
    report.advice = advice::advice(&report);
    match json {
        true => print_json(&report),
        false => print(&text::text(&report)),
    }
}

/// Tries on a thread of its own, which ends with it.
fn ask_for_priority() -> Grant {
    let asked = Realtime { priority: PRIORITY, ..Realtime::default() };
    let answers = std::thread::spawn(move || rights::for_lane(&asked)).join().unwrap_or_default();
    let nobody = Grant {
        what: format!("real-time priority {PRIORITY}"),
        granted: false,
        why: "no thread could be started".into(),
    };
    answers.into_iter().next().unwrap_or(nobody)
}

impl Rights {
    fn of_this_user(realtime_priority: Grant) -> Self {
        let kernel = |name: &str| read(format!("/proc/sys/kernel/{name}"))?.parse().ok();
        Self {
            realtime_priority,
            sched_rt_runtime_us: kernel("sched_rt_runtime_us"),
            sched_rt_period_us: kernel("sched_rt_period_us"),
            memory_lock_bytes: memory_lock_bytes(),
            realtime_kernel: read("/sys/kernel/realtime").is_some_and(|text| text == "1"),
            deepest_sleep_us: deepest_sleep_us(),
        }
    }
}

#[cfg(unix)]
fn memory_lock_bytes() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Memlock).current
}

#[cfg(not(unix))]
fn memory_lock_bytes() -> Option<u64> {
    None
}

fn deepest_sleep_us() -> Option<u64> {
    let states = std::fs::read_dir("/sys/devices/system/cpu/cpu0/cpuidle").ok()?;
    let latency = |state: std::fs::DirEntry| read(state.path().join("latency"))?.parse().ok();
    states.flatten().filter_map(latency).max()
}

/// What other programs use of the processor.
struct Others {
    since: std::time::Instant,
    busy_s: Option<f64>,
    own_s: f64,
}

impl Others {
    fn now() -> Self {
        let own_s = super::trial::cpu_s();
        Self { since: std::time::Instant::now(), busy_s: busy_s(), own_s }
    }

    /// How many cores they used since.
    fn cores(&self) -> Option<f64> {
        let own_s = super::trial::cpu_s() - self.own_s;
        let busy_s = busy_s()? - self.busy_s?;
        Some(((busy_s - own_s) / self.since.elapsed().as_secs_f64().max(1e-3)).max(0.0))
    }
}

/// Seconds that all cores together have worked.
fn busy_s() -> Option<f64> {
    /// The unit of the file on every Linux that there is.
    const TICKS_PER_S: f64 = 100.0;
    let text = read("/proc/stat")?;
    let ticks: Vec<f64> =
        text.lines().next()?.split_whitespace().skip(1).filter_map(|t| t.parse().ok()).collect();
    // user, nice, system, then idle and waiting, then interrupts and what is stolen by other machines.
    let worked = ticks.iter().take(3).chain(ticks.iter().skip(5).take(3));
    Some(worked.sum::<f64>() / TICKS_PER_S)
}
