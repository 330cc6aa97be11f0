//! What a config promises and asks of the machine: the deadline, and the lane's rights.

use crate::deadline::Late;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The deadline of a pipeline and what happens to windows that are late.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Deadline {
    /// From the arrival of the newest sample to the decision, in seconds; none if there is no limit.
    pub budget_s: Option<f64>,
    /// The policy.
    pub late: Late,
    /// With [`Late::Degrade`]: the stage whose branch answers in place of the main one.
    pub degrade: Option<usize>,
}

/// On which lane a stage runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// The one that the samples come in on.
    Realtime,
    /// One of its own: behind a mailbox that keeps the newest window, or behind a ring that keeps a stream.
    Worker,
}

/// How the lane waits for samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// It sleeps until it is woken.
    #[default]
    Park,
    /// It never sleeps: no wake-up to wait for, at the price of a whole core.
    Spin,
}

/// The `[realtime]` table: what the lane asks of the machine. What the machine refuses is reported and
/// done without.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Realtime {
    /// How the lane waits for samples: "park" (sleeps, is woken) or "spin" (takes a whole core).
    pub wait: Wait,
    /// Real-time priority of the lane, 1 to 99 (SCHED_FIFO); 0 for none. Needs the right to it, such as
    /// `rtprio` in /etc/security/limits.conf.
    pub priority: u8,
    /// The core that the lane is pinned to, counted from 0. Best with one that nothing else uses.
    pub core: Option<usize>,
    /// Keeps all memory of the process resident, so that the lane never waits for a page.
    pub lock_memory: bool,
    /// Takes numbers below 2e-308 as zero: a filter that dies away does not slow down.
    pub flush_to_zero: bool,
}
