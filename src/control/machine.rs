//! What this machine is, as far as it bears on time.

use serde::{Deserialize, Serialize};
use std::path::Path;

/// A machine in a few facts. What the system does not tell is `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's model.
    pub cpu: String,
    /// How many cores this process may use.
    pub cores: usize,
    /// Those that the scheduler leaves to threads that ask for them, such as `2-3`.
    pub isolated_cores: Option<String>,
    /// Memory in MiB.
    pub memory_mib: Option<u64>,
    /// Operating system and version of its kernel.
    pub system: String,
    /// What decides about the cores' frequency; null where nothing does, as on most virtual machines.
    pub governor: Option<String>,
    /// What times are read from.
    pub clock_source: Option<String>,
    /// The virtual machine that this is; null where it seems to be a real one.
    pub virtual_machine: Option<String>,
    /// The compiler that made this program.
    pub rustc: String,
    /// The version of this program.
    pub version: String,
    /// Whether it was made for speed.
    pub optimized: bool,
}

impl Machine {
    /// This machine.
    pub fn this() -> Self {
        let info = read("/proc/cpuinfo").unwrap_or_default();
        let line = |name: &str| {
            let line = info.lines().find(|l| l.starts_with(name))?;
            line.split_once(':').map(|(_, value)| value.trim().to_owned())
        };
        let virtual_cpu =
            line("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
        let kernel = read("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu: line("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, |n| n.get()),
            isolated_cores: read("/sys/devices/system/cpu/isolated"),
            memory_mib: memory_mib(),
            system: format!("{} {kernel}", std::env::consts::OS).trim().to_owned(),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            clock_source: read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            virtual_machine: virtual_cpu.then(|| {
                let named = ["/sys/hypervisor/type", "/sys/class/dmi/id/sys_vendor"];
                named.into_iter().find_map(read).unwrap_or_else(|| "unknown".to_owned())
            }),
            rustc: env!("SALTATORY_RUSTC").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            optimized: !cfg!(debug_assertions),
        }
    }

    /// Whether figures of the two may be compared: all but the program is the same.
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.cpu, self.cores, self.optimized) == (&other.cpu, other.cores, other.optimized)
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cpu, cores, system, rustc, version, .. } = self;
        write!(f, "saltatory {version} ({rustc}) on {cpu}, {cores} cores, {system}")?;
        match &self.governor {
            Some(governor) => write!(f, ", governor {governor}")?,
            None => write!(f, ", no frequency governor")?,
        }
        if self.virtual_machine.is_some() {
            write!(f, ", a virtual machine")?;
        }
        if !self.optimized {
            write!(f, "; a debug build, whose figures say little")?;
        }
        Ok(())
    }
}

/// The text of a file of the system without white space around it; nothing if there is none.
pub fn read(path: impl AsRef<Path>) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn memory_mib() -> Option<u64> {
    let info = read("/proc/meminfo")?;
    let kib = info.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    kib.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_described_and_read_back() {
        let machine = Machine::this();
        assert!(machine.cores > 0 && !machine.cpu.is_empty() && machine.rustc.contains("rustc"));
        let text = serde_json::to_string(&machine).unwrap();
        let again: Machine = serde_json::from_str(&text).unwrap();
        assert!(again == machine && again.is_like(&machine));
        assert!(!Machine { cores: machine.cores + 1, ..again }.is_like(&machine));
    }
}
