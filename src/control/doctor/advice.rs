//! What to change on this machine, each with the command for it.

use super::Report;
use serde::Serialize;

/// Wake-ups that are later than this are worth a word, in microseconds.
const LATE_US: f64 = 1000.0;
/// Cores sleep too deeply if it takes longer than this to wake one, in microseconds.
const DEEP_SLEEP_US: u64 = 50;
/// Enough memory to keep resident for every pipeline that there is, in bytes.
const ENOUGH_MEMORY: u64 = 1 << 30;
/// Others that take more than this, in cores, spoil the figures.
const QUIET_CORES: f64 = 0.2;
/// A disk that takes longer than this for 4 MiB, in milliseconds, holds up a recording.
const SLOW_SYNC_MS: f64 = 500.0;

/// One thing to change.
#[derive(Debug, Clone, Serialize)]
pub struct Advice {
    /// What is not as it could be.
    pub found: String,
    /// What to do.
    pub change: String,
    /// The command for it; null where none would do.
    pub command: Option<String>,
}

/// Everything that is worth a change, the most useful first.
pub fn advice(report: &Report) -> Vec<Advice> {
    let found = [
        debug_build(report),
        others(report),
        governor(report),
        priority(report),
        memory_lock(report),
        throttling(report),
        deep_sleep(report),
        isolation(report),
        clock_source(report),
        jitter(report),
        lsl(report),
        disk(report),
        virtual_machine(report),
    ];
    found.into_iter().flatten().collect()
}

fn change(found: impl Into<String>, change: &str, command: &str) -> Option<Advice> {
    let command = (!command.is_empty()).then(|| command.to_owned());
    Some(Advice { found: found.into(), change: change.to_owned(), command })
}

fn debug_build(report: &Report) -> Option<Advice> {
    if report.machine.optimized {
        return None;
    }
    change(
        "this is a debug build, several times slower",
        "build for speed",
        "cargo build --release",
    )
}

fn others(report: &Report) -> Option<Advice> {
    let cores = report.jitter.others_cores.filter(|cores| *cores > QUIET_CORES)?;
    change(
        format!(
            "other programs used {cores:.1} cores meanwhile, so these figures are worse than they need be"
        ),
        "end them and measure again",
        "top -o %CPU",
    )
}

fn governor(report: &Report) -> Option<Advice> {
    let governor = report.machine.governor.as_deref().filter(|name| *name != "performance")?;
    change(
        format!("the frequency governor `{governor}` slows cores down between blocks"),
        "let them run at full speed",
        "sudo cpupower frequency-set -g performance",
    )
}

fn priority(report: &Report) -> Option<Advice> {
    if report.rights.realtime_priority.granted || !cfg!(target_os = "linux") {
        return None;
    }
    change(
        "this user may not have real-time priority, so any program can hold up the lane",
        "give the group `audio` the right, and log in anew; then set `priority = 80` in [realtime]",
        "echo '@audio - rtprio 95' | sudo tee /etc/security/limits.d/saltatory.conf && sudo usermod -aG audio $USER",
    )
}

fn memory_lock(report: &Report) -> Option<Advice> {
    let bytes = report.rights.memory_lock_bytes.filter(|bytes| *bytes < ENOUGH_MEMORY)?;
    change(
        format!(
            "only {:.1} MiB may be kept resident (lock_memory)",
            bytes as f64 / f64::from(1 << 20)
        ),
        "raise the limit for the group `audio`, and log in anew",
        "echo '@audio - memlock unlimited' | sudo tee -a /etc/security/limits.d/saltatory.conf",
    )
}

/// Matters only to a lane that both spins and has priority.
fn throttling(report: &Report) -> Option<Advice> {
    let rights = &report.rights;
    let (runtime, period) = (rights.sched_rt_runtime_us?, rights.sched_rt_period_us?);
    if !rights.realtime_priority.granted || runtime < 0 || runtime >= period {
        return None;
    }
    change(
        format!(
            "the kernel stops a real-time thread that spins for {:.0} ms in each second",
            (period - runtime) as f64 * 1e3 / period as f64
        ),
        "allow it, if you want `wait = \"spin\"` and `priority` together",
        "sudo sysctl kernel.sched_rt_runtime_us=-1",
    )
}

fn deep_sleep(report: &Report) -> Option<Advice> {
    let us = report.rights.deepest_sleep_us.filter(|us| *us > DEEP_SLEEP_US)?;
    change(
        format!("cores sleep so deeply that they take {us} us to wake up"),
        "forbid the deep states",
        &format!("sudo cpupower idle-set -D {DEEP_SLEEP_US}"),
    )
}

fn isolation(report: &Report) -> Option<Advice> {
    let machine = &report.machine;
    if machine.cores < 3 || machine.isolated_cores.is_some() || !cfg!(target_os = "linux") {
        return None;
    }
    let core = machine.cores - 1;
    change(
        "no core is set apart: a lane that spins shares its core with whatever comes",
        &format!(
            "set core {core} apart and start anew; then `wait = \"spin\"`, `core = {core}` in [realtime]"
        ),
        &format!(
            "sudo grubby --update-kernel=ALL --args='isolcpus={core} nohz_full={core} rcu_nocbs={core}'"
        ),
    )
}

fn clock_source(report: &Report) -> Option<Advice> {
    let source = report.machine.clock_source.as_deref()?;
    if !matches!(source, "hpet" | "acpi_pm" | "jiffies") {
        return None;
    }
    change(
        format!("the clock `{source}` takes a microsecond or more to read"),
        "use the processor's own, if the kernel finds it steady",
        "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource",
    )
}

fn jitter(report: &Report) -> Option<Advice> {
    let best = report.jitter.realtime.as_ref().unwrap_or(&report.jitter.normal);
    if best.p9999_us <= LATE_US || report.rights.realtime_kernel {
        return None;
    }
    let found = format!("one wake-up in 10 000 is {:.1} ms late or more", best.p9999_us / 1e3);
    match report.jitter.realtime {
        Some(_) => change(
            found,
            "priority does not help, so it is the kernel, the firmware or the host: use a real-time kernel",
            "sudo apt install linux-image-rt-amd64",
        ),
        None => {
            change(found, "give the lane real-time priority and a core of its own (see above)", "")
        }
    }
}

fn lsl(report: &Report) -> Option<Advice> {
    match &report.lsl {
        Err(why) => change(
            format!("LSL does not work on loopback: {why}"),
            "let it use the loopback interface, and let no firewall stop it there",
            "LSLAPICFG=configs/lsl_loopback.cfg saltatory doctor",
        ),
        Ok(lsl) if lsl.lost > 0 => change(
            format!("{} samples did not arrive over LSL within a second each", lsl.lost),
            "look for a firewall, or for a machine that is too busy",
            "",
        ),
        Ok(_) => None,
    }
}

fn disk(report: &Report) -> Option<Advice> {
    match &report.disk {
        Err(why) => change(
            format!("nothing can be written here: {why}"),
            "start where recordings may be written",
            "",
        ),
        Ok(disk) if disk.worst_sync_ms > SLOW_SYNC_MS => change(
            format!("the disk took {:.0} ms for 4 MiB", disk.worst_sync_ms),
            "record to a quicker one",
            "",
        ),
        Ok(_) => None,
    }
}

fn virtual_machine(report: &Report) -> Option<Advice> {
    report.machine.virtual_machine.as_ref()?;
    change(
        "this is a virtual machine: its host may stop it for milliseconds at any time",
        "measure on the machine that will be used",
        "",
    )
}
