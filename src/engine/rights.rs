//! What the lane asks of the operating system: priority, a core, resident memory.
//!
//! Nothing here is ever fatal. What was granted and what was refused, and why, is in the report.

use crate::config::{Realtime, Wait};
use serde::Serialize;

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grant {
    /// What was asked for.
    pub what: String,
    /// Whether it was granted.
    pub granted: bool,
    /// Why not, and what to do about it; empty when granted.
    pub why: String,
}

impl Grant {
    fn new(what: String, result: Result<(), String>) -> Self {
        let (granted, why) = match result {
            Ok(()) => (true, String::new()),
            Err(why) => (false, why),
        };
        Self { what, granted, why }
    }
}

/// Asks for what concerns the whole process. Call it before any thread is started: those that come
/// stay off the lane's core as long as the second result lives.
pub fn for_process(asked: &Realtime) -> (Vec<Grant>, Option<Elsewhere>) {
    let (mut grants, mut elsewhere) = (Vec::new(), None);
    if asked.lock_memory {
        grants.push(Grant::new("resident memory".into(), lock_memory()));
    }
    if let (Some(core), Wait::Spin) = (asked.core, asked.wait) {
        let result = Elsewhere::than(core).map(|e| elsewhere = Some(e));
        grants.push(Grant::new(format!("all other threads off core {core}"), result));
    }
    (grants, elsewhere)
}

/// Asks for what concerns the calling thread, which is to be the lane.
pub fn for_lane(asked: &Realtime) -> Vec<Grant> {
    let mut grants = Vec::new();
    if let Some(core) = asked.core {
        grants.push(Grant::new(format!("core {core}"), pin(core)));
    }
    if asked.priority > 0 {
        let result = match asked.wait {
            Wait::Spin if is_throttled() => Err("the kernel stops a real-time thread that spins for \
                 some milliseconds in each second; allow it with `sysctl kernel.sched_rt_runtime_us=-1`, \
                 or leave the priority out: a core of its own is what counts"
                .to_owned()),
            _ => raise(asked.priority),
        };
        grants.push(Grant::new(format!("real-time priority {}", asked.priority), result));
    }
    grants
}

/// Runs the lane's work with or without denormal numbers.
#[allow(unsafe_code)]
pub fn with_denormals<R>(asked: &Realtime, work: impl FnOnce() -> R) -> R {
    if !asked.flush_to_zero {
        return work();
    }
    // SAFETY: the compiler may assume the usual treatment of denormal numbers and fold arithmetic
    // accordingly; so all that can differ is whether a number below 2e-308 is kept or becomes zero,
    // and nothing in the lane's work (signals, no indices, no bounds) rests on which. The mode is
    // the thread's own and ends with the call.
    unsafe { no_denormals::no_denormals(work) }
}

/// Whether the kernel keeps real-time threads from using a core all the time.
#[cfg(target_os = "linux")]
fn is_throttled() -> bool {
    let read = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?;
        text.trim().parse::<i64>().ok()
    };
    match (read("sched_rt_runtime_us"), read("sched_rt_period_us")) {
        (Some(runtime), Some(period)) => runtime >= 0 && runtime < period,
        _ => false,
    }
}

#[cfg(not(target_os = "linux"))]
fn is_throttled() -> bool {
    false
}

/// Gives the calling thread a first-in-first-out real-time priority.
#[cfg(unix)]
fn raise(priority: u8) -> Result<(), String> {
    use thread_priority::{
        RealtimeThreadSchedulePolicy::Fifo, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    let wanted = priority.try_into().map_err(|_| "the priority goes from 1 to 99".to_owned())?;
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(wanted),
        ThreadSchedulePolicy::Realtime(Fifo),
    )
    .map_err(|e| {
        format!(
            "{e:?}; give the user the right with a line `@audio - rtprio 95` (the user's group) in \
             /etc/security/limits.conf, or the program with `setcap cap_sys_nice+ep`"
        )
    })
}

#[cfg(not(unix))]
fn raise(_priority: u8) -> Result<(), String> {
    Err("not supported on this system".into())
}

/// Keeps the calling thread on one core.
#[cfg(target_os = "linux")]
fn pin(core: usize) -> Result<(), String> {
    use rustix::thread::{CpuSet, sched_setaffinity};
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    if core >= CpuSet::MAX_CPU {
        return Err(format!("there is no such core; this machine has {cores}"));
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|e| {
        format!("{e}; the cores that may be used are 0 to {}", cores.saturating_sub(1))
    })
}

#[cfg(not(target_os = "linux"))]
fn pin(_core: usize) -> Result<(), String> {
    Err("not supported on this system".into())
}

/// Keeps the calling thread, and those that it starts, off a core; until dropped, on the same thread.
#[cfg(target_os = "linux")]
pub struct Elsewhere(rustix::thread::CpuSet);

#[cfg(target_os = "linux")]
impl Elsewhere {
    fn than(core: usize) -> Result<Self, String> {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
        let before = sched_getaffinity(None).map_err(|e| e.to_string())?;
        let mut others = before;
        if core < CpuSet::MAX_CPU {
            others.unset(core);
        }
        if others.count() == 0 {
            return Err("there is no other core for them".into());
        }
        sched_setaffinity(None, &others).map_err(|e| e.to_string())?;
        Ok(Self(before))
    }
}

#[cfg(target_os = "linux")]
impl Drop for Elsewhere {
    fn drop(&mut self) {
        // The thread may go where it could go before; there is nobody to tell if not.
        let _ = rustix::thread::sched_setaffinity(None, &self.0);
    }
}

#[cfg(not(target_os = "linux"))]
pub struct Elsewhere;

#[cfg(not(target_os = "linux"))]
impl Elsewhere {
    fn than(_core: usize) -> Result<Self, String> {
        Err("not supported on this system".into())
    }
}

/// Keeps what the process has and will have in memory.
#[cfg(target_os = "linux")]
fn lock_memory() -> Result<(), String> {
    use rustix::mm::{MlockAllFlags, mlockall};
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE).map_err(|e| {
        format!("{e}; raise the limit with a line `@audio - memlock unlimited` in /etc/security/limits.conf")
    })
}

#[cfg(not(target_os = "linux"))]
fn lock_memory() -> Result<(), String> {
    Err("not supported on this system".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_for_by_default() {
        let asked = Realtime::default();
        assert!(for_process(&asked).0.is_empty() && for_lane(&asked).is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn other_threads_keep_off_the_core_of_a_lane_that_spins() {
        use rustix::thread::sched_getaffinity;
        let before = sched_getaffinity(None).unwrap();
        let core = (0..).find(|c| before.is_set(*c)).unwrap();
        let asked = Realtime { wait: Wait::Spin, core: Some(core), ..Realtime::default() };
        let (grants, elsewhere) = for_process(&asked);
        assert_eq!(grants[0].granted, before.count() > 1, "{grants:?}");
        if before.count() > 1 {
            let started = std::thread::spawn(|| sched_getaffinity(None).unwrap());
            assert!(!started.join().unwrap().is_set(core));
        }
        drop(elsewhere);
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_reason() {
        let asked = Realtime { core: Some(100_000), ..Realtime::default() };
        let grants = for_lane(&asked);
        assert!(
            !grants[0].granted && grants[0].why.contains("there is no such core"),
            "{grants:?}"
        );
    }

    #[test]
    fn small_numbers_vanish_where_that_is_asked_for() {
        let tiny = std::hint::black_box(f64::MIN_POSITIVE);
        let halve = || std::hint::black_box(std::hint::black_box(tiny) / 2.0);
        let asked = |flush_to_zero| Realtime { flush_to_zero, ..Realtime::default() };
        assert!(with_denormals(&asked(false), halve) > 0.0);
        if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            assert_eq!(with_denormals(&asked(true), halve), 0.0);
        }
        assert!(halve() > 0.0, "the setting must not outlive its scope");
    }
}
