//! What to tell an operator whose cues do not arrive.

use std::time::{Duration, Instant};

/// How long nothing is said.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many of the texts that were seen are named.
const NAMED: usize = 4;

/// Watches the markers.
pub struct Hint {
    /// The marker texts that stand for a class.
    expected: Vec<String>,
    /// When the last of them came, or the last hint was given.
    since: Instant,
    /// Texts of other markers since then, each once, and how many there were.
    others: Vec<String>,
    n: usize,
}

impl Hint {
    /// A watch that begins at `now`.
    pub fn new(expected: Vec<String>, now: Instant) -> Self {
        Self { expected, since: now, others: Vec::new(), n: 0 }
    }

    /// A marker came.
    pub fn saw(&mut self, text: &str, now: Instant) {
        if self.expected.iter().any(|t| t == text) {
            self.restart(now);
            return;
        }
        self.n += 1;
        if self.others.len() < NAMED && !self.others.iter().any(|t| t == text) {
            self.others.push(text.to_owned());
        }
    }

    fn restart(&mut self, now: Instant) {
        (self.since, self.n) = (now, 0);
        self.others.clear();
    }

    /// What to say, if no class was named for a minute.
    pub fn due(&mut self, now: Instant) -> Option<String> {
        if now.duration_since(self.since) < PATIENCE {
            return None;
        }
        let quoted =
            |all: &[String]| all.iter().map(|t| format!("`{t}`")).collect::<Vec<_>>().join(", ");
        let expected = quoted(&self.expected);
        let text = match self.n {
            0 => format!(
                "no marker for a minute: does the paradigm run, and send its cues ({expected}) to the \
                 stream that the config names? `saltatory streams` lists what is there"
            ),
            n => format!(
                "{n} markers in a minute, but none names a class: came {}, expected {expected}; \
                 correct `classes` in the config or the paradigm",
                quoted(&self.others)
            ),
        };
        self.restart(now);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_foreign_markers_are_told_once_a_minute() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut hint = Hint::new(vec!["T1".into(), "T2".into()], start);
        assert_eq!(hint.due(at(59)), None);
        assert!(hint.due(at(60)).unwrap().contains("no marker for a minute"));
        assert_eq!(hint.due(at(61)), None);
        hint.saw("left", at(70));
        hint.saw("left", at(80));
        hint.saw("rest", at(90));
        let said = hint.due(at(120)).unwrap();
        assert!(said.starts_with("3 markers in a minute"), "{said}");
        assert!(said.contains("came `left`, `rest`, expected `T1`, `T2`"), "{said}");
    }

    #[test]
    fn a_cue_of_a_class_is_all_that_is_wanted() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut hint = Hint::new(vec!["T1".into()], start);
        hint.saw("T0", at(30));
        hint.saw("T1", at(50));
        assert_eq!(hint.due(at(109)), None);
        assert!(hint.due(at(110)).is_some());
    }
}
