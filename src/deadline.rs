//! The deadline of a pipeline: what was promised, and how well it is kept.
//!
//! The budget runs from the arrival of the newest sample in this process to the decision that rests
//! on it. The data plane writes here with plain atomics; sinks, reports and the status read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// What happens to a window whose deadline has passed before anything was made of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Late {
    /// It is passed over and counted, so that a newer one gets its turn.
    #[default]
    Skip,
    /// A cheaper branch, named by `degrade`, answers in its place.
    Degrade,
    /// It is worked on all the same, however late. For recordings.
    Block,
}

/// How much of the budget decisions have needed of late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Less than three quarters.
    #[default]
    Good,
    /// More than three quarters.
    Warning,
    /// More than all of it.
    Over,
}

/// How well the deadline is kept.
#[derive(Debug, Default)]
pub struct Health {
    budget_ns: AtomicU64,
    state: AtomicU8,
    warnings: AtomicU64,
    missed: AtomicU64,
    skipped: AtomicU64,
    degraded: AtomicU64,
}

/// [`Health`] in figures, as reports show it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Report {
    /// The budget in milliseconds; null when none was set.
    pub deadline_ms: Option<f64>,
    /// The state at the end.
    pub state: State,
    /// How often the state went from good to warning or over.
    pub warnings: u64,
    /// Decisions that came after their deadline.
    pub missed: u64,
    /// Windows that were passed over because their deadline had passed.
    pub skipped: u64,
    /// Windows that the cheaper branch answered.
    pub degraded: u64,
}

impl Health {
    /// **Control.** Sets the budget.
    pub fn set_budget(&self, budget_s: Option<f64>) {
        let ns = budget_s.map_or(0, |s| (s * 1e9) as u64);
        self.budget_ns.store(ns, Ordering::Relaxed);
    }

    /// **Data.** The state is now `state`.
    pub fn enter(&self, state: State) {
        let before = self.state.swap(state as u8, Ordering::Relaxed);
        if before == State::Good as u8 && state != State::Good {
            self.warnings.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// **Data.** A decision missed its deadline.
    pub fn miss(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// **Data.** A window was passed over.
    pub fn skip(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// **Data.** The cheaper branch answers.
    pub fn degrade(&self) {
        self.degraded.fetch_add(1, Ordering::Relaxed);
    }

    /// The state as it is.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Good,
            1 => State::Warning,
            _ => State::Over,
        }
    }

    /// Everything in figures.
    pub fn report(&self) -> Report {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let budget_ns = get(&self.budget_ns);
        Report {
            deadline_ms: (budget_ns > 0).then_some(budget_ns as f64 / 1e6),
            state: self.state(),
            warnings: get(&self.warnings),
            missed: get(&self.missed),
            skipped: get(&self.skipped),
            degraded: get(&self.degraded),
        }
    }
}
