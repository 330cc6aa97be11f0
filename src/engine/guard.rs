//! The guard: holds every window and every decision against the deadline.
//!
//! It stands at two places of a pipeline. At the gate, where a window begins its way, it lets the
//! window pass, passes it over, or sends it to the cheaper branch. At the end, where the decision
//! is made, it says how much of the budget was used. The state follows that share with hysteresis:
//! it gets worse at once, and better only after a row of decisions that were clearly within bounds.

use crate::clock;
use crate::deadline::{Health, Late, State};
use crate::frame::{Flags, Frame};
use std::sync::Arc;

/// Share of the budget from which on the state is a warning.
const WARNING: f64 = 0.75;
/// A state is left when the share stays this much below its threshold ...
const CLEARLY: f64 = 0.15;
/// ... for so many decisions in a row.
const CALM: u32 = 20;
/// What the remembered cost of the main branch loses with each window that was kept from it, so that
/// it is tried again.
const FORGET: f64 = 0.98;

/// What to do with a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Work on it.
    Go,
    /// Pass it over.
    Skip,
    /// Send it to the cheaper branch.
    Degrade,
}

/// The guard of one pipeline.
pub struct Guard {
    budget_s: Option<f64>,
    late: Late,
    health: Arc<Health>,
    state: State,
    calm: u32,
    /// When the window under way passed the gate, and by which branch.
    passed_s: f64,
    degraded: bool,
    /// What the main branch needs from the gate to the decision.
    cost_s: f64,
}

impl Guard {
    /// A guard over `budget_s` seconds; without a budget everything passes.
    pub fn new(budget_s: Option<f64>, late: Late, health: Arc<Health>) -> Self {
        Self {
            budget_s,
            late,
            health,
            state: State::Good,
            calm: 0,
            passed_s: 0.0,
            degraded: false,
            cost_s: 0.0,
        }
    }

    /// A guard that lets everything pass.
    pub fn none() -> Self {
        Self::new(None, Late::Block, Arc::default())
    }

    /// **Data.** Goes on from where `before` stands, by its own budget and policy.
    pub fn inherit(&mut self, before: &Guard) {
        (self.state, self.calm, self.cost_s) = (before.state, before.calm, before.cost_s);
        (self.passed_s, self.degraded) = (before.passed_s, before.degraded);
    }

    /// **Data.** What to do with the window `frame`.
    pub fn admit(&mut self, frame: &mut Frame) -> Verdict {
        let Some(budget_s) = self.budget_s else { return Verdict::Go };
        self.decide(frame, budget_s, clock::now_s())
    }

    fn decide(&mut self, frame: &mut Frame, budget_s: f64, now_s: f64) -> Verdict {
        let age_s = now_s - frame.span.arrived_s;
        (self.passed_s, self.degraded) = (now_s, false);
        match self.late {
            Late::Skip if age_s >= budget_s => {
                self.health.skip();
                Verdict::Skip
            }
            Late::Degrade if age_s + self.cost_s > budget_s => {
                self.health.degrade();
                self.degraded = true;
                self.cost_s *= FORGET;
                frame.flags |= Flags::DEGRADED;
                Verdict::Degrade
            }
            _ => Verdict::Go,
        }
    }

    /// **Data.** A decision was made; flags it when it is late, and says so.
    pub fn judge(&mut self, frame: &mut Frame) -> bool {
        let Some(budget_s) = self.budget_s else { return false };
        self.weigh(frame, budget_s, clock::now_s())
    }

    fn weigh(&mut self, frame: &mut Frame, budget_s: f64, now_s: f64) -> bool {
        if !self.degraded {
            // The most that it took of late: better too careful once than late.
            self.cost_s = (now_s - self.passed_s).max(self.cost_s * FORGET);
        }
        let share = (now_s - frame.span.arrived_s) / budget_s;
        self.follow(share);
        let late = share > 1.0;
        if late {
            frame.flags |= Flags::LATE;
            self.health.miss();
        }
        late
    }

    /// Lets the state follow the share of the budget that a decision used.
    fn follow(&mut self, share: f64) {
        let now = match share {
            s if s > 1.0 => State::Over,
            s if s > WARNING => State::Warning,
            _ => State::Good,
        };
        let leave_below = if self.state == State::Over { 1.0 } else { WARNING } - CLEARLY;
        if now as u8 > self.state as u8 {
            self.enter(now);
        } else if self.state != State::Good && share < leave_below {
            self.calm += 1;
            if self.calm >= CALM {
                self.enter(now);
            }
        } else {
            self.calm = 0;
        }
    }

    fn enter(&mut self, state: State) {
        (self.state, self.calm) = (state, 0);
        self.health.enter(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Spec;

    fn guard(late: Late) -> (Guard, Arc<Health>) {
        let health = Arc::new(Health::default());
        (Guard::new(Some(0.010), late, health.clone()), health)
    }

    /// A window whose newest sample arrived at 100 s.
    fn window() -> Frame {
        let mut frame = Spec::markers().frame();
        frame.span.arrived_s = 100.0;
        frame
    }

    #[test]
    fn a_late_window_is_skipped_degraded_or_worked_on() {
        for (late, want) in [
            (Late::Skip, Verdict::Skip),
            (Late::Degrade, Verdict::Degrade),
            (Late::Block, Verdict::Go),
        ] {
            let (mut guard, health) = guard(late);
            assert_eq!(guard.decide(&mut window(), 0.010, 100.009), Verdict::Go);
            let mut frame = window();
            assert_eq!(guard.decide(&mut frame, 0.010, 100.011), want);
            assert_eq!(frame.flags.has(Flags::DEGRADED), want == Verdict::Degrade);
            let report = health.report();
            assert_eq!(report.skipped, u64::from(want == Verdict::Skip));
            assert_eq!(report.degraded, u64::from(want == Verdict::Degrade));
        }
    }

    #[test]
    fn a_branch_that_is_too_dear_is_left_out_and_tried_again() {
        let (mut guard, _) = guard(Late::Degrade);
        assert_eq!(guard.decide(&mut window(), 0.010, 100.0), Verdict::Go);
        assert!(guard.weigh(&mut window(), 0.010, 100.020));
        let tries = (1..200).find(|_| guard.decide(&mut window(), 0.010, 100.0) == Verdict::Go);
        // 20 ms have to be forgotten down to 10 ms.
        assert_eq!(tries, Some(36));
    }

    #[test]
    fn a_guard_that_takes_over_goes_on_from_where_the_one_before_stood() {
        let (mut before, health) = guard(Late::Degrade);
        assert!(before.weigh(&mut window(), 0.010, 100.020));
        let mut after = Guard::new(Some(0.030), Late::Degrade, health.clone());
        after.inherit(&before);
        assert_eq!(health.state(), State::Over);
        // It knows what the main branch costs, and leaves the state as slowly.
        assert_eq!(after.decide(&mut window(), 0.030, 100.015), Verdict::Degrade);
        for _ in 0..CALM {
            assert_eq!(health.state(), State::Over);
            after.weigh(&mut window(), 0.030, 100.001);
        }
        assert_eq!(health.state(), State::Good);
    }

    #[test]
    fn the_state_worsens_at_once_and_improves_slowly() {
        let (mut guard, health) = guard(Late::Skip);
        let mut decide = |ms: f64| {
            let mut frame = window();
            let late = guard.weigh(&mut frame, 0.010, 100.0 + ms * 1e-3);
            assert_eq!(frame.flags.has(Flags::LATE), late);
            health.state()
        };
        assert_eq!(decide(7.0), State::Good);
        assert_eq!(decide(8.0), State::Warning);
        assert_eq!(decide(11.0), State::Over);
        for _ in 0..CALM - 1 {
            assert_eq!(decide(7.0), State::Over);
        }
        assert_eq!(decide(9.0), State::Over, "not a row of good ones");
        for _ in 0..CALM - 1 {
            assert_eq!(decide(8.0), State::Over);
        }
        assert_eq!(decide(8.0), State::Warning);
        for _ in 0..CALM {
            decide(1.0);
        }
        assert_eq!(health.state(), State::Good);
        let report = health.report();
        assert_eq!((report.warnings, report.missed), (1, 1));
    }
}
