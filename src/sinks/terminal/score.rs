//! Compares decisions with the cues while they come: was it right?
//!
//! A decision counts when its whole window lies between a cue that names a class and the next
//! marker. The decision of a trial is the last one that counts in it.

/// How many were right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Right ones.
    pub correct: u64,
    /// All.
    pub n: u64,
}

impl Tally {
    fn add(&mut self, right: bool) {
        self.n += 1;
        self.correct += u64::from(right);
    }

    /// The share that was right, if there is any.
    pub fn accuracy(self) -> Option<f64> {
        (self.n > 0).then(|| self.correct as f64 / self.n as f64)
    }
}

/// Keeps the score.
#[derive(Debug, Default)]
pub struct Score {
    cue: Option<Cue>,
    /// Single decisions.
    pub windows: Tally,
    /// Trials that have ended.
    pub trials: Tally,
}

#[derive(Debug)]
struct Cue {
    time_s: f64,
    class: Option<usize>,
    last_right: Option<bool>,
}

impl Score {
    /// A marker at `time_s`; `class` is the index of the class that it names, if it does.
    pub fn marker(&mut self, time_s: f64, class: Option<usize>) {
        self.finish_trial();
        self.cue = Some(Cue { time_s, class, last_right: None });
    }

    /// A decision for `class` on a window that begins at `first_s`. Returns what would be right, if
    /// that is known.
    pub fn decision(&mut self, first_s: f64, class: usize) -> Option<usize> {
        let cue = self.cue.as_mut()?;
        let truth = cue.class?;
        if first_s < cue.time_s {
            return None;
        }
        let right = truth == class;
        self.windows.add(right);
        cue.last_right = Some(right);
        Some(truth)
    }

    /// The class that is asked for at the moment.
    pub fn truth(&self) -> Option<usize> {
        self.cue.as_ref()?.class
    }

    /// Counts the trial that is under way.
    pub fn finish_trial(&mut self) {
        if let Some(right) = self.cue.take().and_then(|c| c.last_right) {
            self.trials.add(right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_windows_within_a_trial_count() {
        let mut score = Score::default();
        assert_eq!(score.decision(0.0, 1), None);
        score.marker(10.0, Some(1));
        assert_eq!(score.decision(9.9, 1), None);
        assert_eq!(score.decision(10.0, 0), Some(1));
        assert_eq!(score.decision(10.5, 1), Some(1));
        score.marker(14.0, None);
        assert_eq!(score.decision(14.5, 1), None);
        assert_eq!(score.windows, Tally { correct: 1, n: 2 });
        assert_eq!(score.trials, Tally { correct: 1, n: 1 });
    }
}
