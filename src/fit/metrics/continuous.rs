//! Scores of a decoder that is always on: it decides window after window, and may decide that
//! nothing is meant (idle).
//!
//! In: the decisions in order of time, and when which class was meant (trials); everything outside
//! the trials is idle. Out: [`window_confusion`], window by window with idle as one more class, as
//! Carrara and Papadopoulo (Pseudo-online framework for BCI evaluation, 2023) score it by nMCC and
//! information rate; and [`activity`], what a user would feel, which they do not define. It is defined
//! here:
//!
//! - The true class of a window is that of the trial `start_s <= time_s < end_s` its decision falls
//!   in, where `time_s` is the end of the window, when the decision could be known.
//! - A decision takes effect (an *activation*) when `dwell` windows in a row have decided for the same
//!   class, none of them idle. As long as the row goes on, it is the same activation.
//! - A *false activation* is an activation that begins while idle is true. One that begins in a trial
//!   and outlasts it is not: the user has let go late, but nothing was set off.
//! - The *time to decision* of a trial is from its start to the first window in it that ends a row of
//!   `dwell` windows within the trial, all decided for the right class. A row from before the trial
//!   does not help.
//! - Each window stands for the median step between decisions, so that gaps count as no time at all.

use super::Confusion;
use serde::{Deserialize, Serialize};

/// What was decided for one window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// End of the window, in seconds.
    pub time_s: f64,
    /// The class, or `None` for idle.
    pub class: Option<usize>,
}

/// A time in which one class was meant. Trials do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// When the cue came, in seconds.
    pub start_s: f64,
    /// When it was over.
    pub end_s: f64,
    /// What was meant.
    pub class: usize,
}

impl Trial {
    fn holds(&self, time_s: f64) -> bool {
        self.start_s <= time_s && time_s < self.end_s
    }
}

/// What became of one trial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The class that was meant.
    pub class: usize,
    /// The first class that took effect in the trial, if any.
    pub first: Option<usize>,
    /// Seconds from the cue until the right class took effect, if it did.
    pub time_to_decision_s: Option<f64>,
}

/// What a user would feel of the decisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Activations that began while nothing was meant.
    pub false_activations: usize,
    /// For how long nothing was meant, in seconds, as far as windows cover it.
    pub idle_s: f64,
    /// False activations per minute of idle time; `None` without idle time.
    pub false_per_minute: Option<f64>,
    /// The trials, in order.
    pub attempts: Vec<Attempt>,
    /// Median over the trials in which the right class took effect; `None` where there is none.
    pub time_to_decision_s: Option<f64>,
    /// Share of the trials in which the right class took effect.
    pub hit_rate: f64,
}

/// Confusion of single windows for classes 0 to `classes` - 1 and idle as the last one.
pub fn window_confusion(decisions: &[Decision], trials: &[Trial], classes: usize) -> Confusion {
    let mut confusion = Confusion::new(classes + 1);
    for decision in decisions {
        let truth = trials.iter().find(|t| t.holds(decision.time_s)).map_or(classes, |t| t.class);
        confusion.add(truth, decision.class.unwrap_or(classes));
    }
    confusion
}

/// False activations and times to decision, as defined above. A `dwell` of 0 counts as 1.
pub fn activity(decisions: &[Decision], trials: &[Trial], dwell: usize) -> Activity {
    let idle = |time_s: f64| !trials.iter().any(|t| t.holds(time_s));
    let idle_s = decisions.iter().filter(|d| idle(d.time_s)).count() as f64 * step_s(decisions);
    let onsets = activations(decisions, dwell);
    let false_activations = onsets.iter().filter(|onset| idle(onset.time_s)).count();
    let attempts: Vec<Attempt> = trials.iter().map(|t| attempt(decisions, t, dwell)).collect();
    let mut times: Vec<f64> = attempts.iter().filter_map(|a| a.time_to_decision_s).collect();
    Activity {
        false_activations,
        idle_s,
        false_per_minute: (idle_s > 0.0).then(|| false_activations as f64 * 60.0 / idle_s),
        hit_rate: times.len() as f64 / attempts.len().max(1) as f64,
        time_to_decision_s: median(&mut times),
        attempts,
    }
}

fn attempt(decisions: &[Decision], trial: &Trial, dwell: usize) -> Attempt {
    let inside: Vec<Decision> =
        decisions.iter().filter(|d| trial.holds(d.time_s)).copied().collect();
    let onsets = activations(&inside, dwell);
    let right = onsets.iter().find(|onset| onset.class == Some(trial.class));
    Attempt {
        class: trial.class,
        first: onsets.first().and_then(|onset| onset.class),
        time_to_decision_s: right.map(|onset| onset.time_s - trial.start_s),
    }
}

/// The decisions at which a class takes effect.
fn activations(decisions: &[Decision], dwell: usize) -> Vec<Decision> {
    let mut row = 0;
    let mut before = None;
    let takes_effect = |decision: &&Decision| {
        row = if decision.class == before { row + 1 } else { 1 };
        before = decision.class;
        decision.class.is_some() && row == dwell.max(1)
    };
    decisions.iter().filter(takes_effect).copied().collect()
}

fn step_s(decisions: &[Decision]) -> f64 {
    let mut steps: Vec<f64> = decisions.windows(2).map(|w| w[1].time_s - w[0].time_s).collect();
    median(&mut steps).unwrap_or(0.0)
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { (values[middle - 1] + upper) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One decision every half second from 0.5 s on; `.` is idle.
    fn decisions(text: &str) -> Vec<Decision> {
        let class = |c: char| c.to_digit(10).map(|d| d as usize);
        let at = |(i, c)| Decision { time_s: 0.5 + 0.5 * i as f64, class: class(c) };
        text.chars().enumerate().map(at).collect()
    }

    const TRIAL: Trial = Trial { start_s: 3.0, end_s: 6.0, class: 1 };

    #[test]
    fn windows_are_counted_with_idle_as_a_class() {
        let got = window_confusion(&decisions("..0..1110.1."), &[TRIAL], 2);
        // The trial holds the windows that end at 3.0 to 5.5 s, the 6th to the 11th.
        assert_eq!(got.counts(), [[0, 0, 0], [1, 4, 1], [1, 0, 5]]);
    }

    #[test]
    fn false_activations_begin_in_idle() {
        let count = |text, dwell| activity(&decisions(text), &[TRIAL], dwell).false_activations;
        assert_eq!(count("..0..1110.1.", 1), 1);
        assert_eq!(count("..0..1110.1.", 2), 0);
        assert_eq!(count("0000.1.....0", 2), 1);
        // Two classes in a row are two; a row that only outlasts its trial is none.
        assert_eq!(count("0011........", 2), 2);
        assert_eq!(count(".........1111", 2), 0);
        // The row is complete in the idle time after the trial.
        assert_eq!(count("..........111", 2), 1);
        assert_eq!(count("0.0", 0), 2);
    }

    #[test]
    fn the_rate_is_per_minute_of_idle() {
        let got = activity(&decisions("..0..1110.1."), &[TRIAL], 1);
        assert_eq!(got.idle_s, 3.0);
        assert_eq!(got.false_per_minute, Some(20.0));
        let all = Trial { start_s: 0.0, end_s: 99.0, class: 0 };
        assert_eq!(activity(&decisions("..0"), &[all], 1).false_per_minute, None);
        let nothing = activity(&[], &[], 1);
        assert_eq!((nothing.hit_rate, nothing.time_to_decision_s), (0.0, None));
    }

    #[test]
    fn time_to_decision_is_from_the_cue() {
        let time = |text, dwell| {
            let got = activity(&decisions(text), &[TRIAL], dwell);
            (got.attempts[0].first, got.attempts[0].time_to_decision_s)
        };
        assert_eq!(time(".....1......", 1), (Some(1), Some(0.0)));
        assert_eq!(time(".....0.11...", 1), (Some(0), Some(1.0)));
        assert_eq!(time(".....0.11...", 2), (Some(1), Some(1.5)));
        // A row from before the cue starts anew.
        assert_eq!(time("...111......", 2), (None, None));
        assert_eq!(time("............", 1), (None, None));
        let two = [TRIAL, Trial { start_s: 0.0, end_s: 3.0, class: 0 }];
        let got = activity(&decisions("..0....1...."), &two, 1);
        assert_eq!((got.hit_rate, got.time_to_decision_s), (1.0, Some((1.0 + 1.5) / 2.0)));
    }

    #[test]
    fn a_gap_is_no_time() {
        let mut gap = decisions("......");
        for decision in &mut gap[3..] {
            decision.time_s += 100.0;
        }
        assert_eq!(activity(&gap, &[], 1).idle_s, 3.0);
    }
}
