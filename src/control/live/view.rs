//! What the operator sees: on a terminal a few lines that are redrawn, elsewhere one line per trial.

use super::refit::Refit;
use crate::ledger::Ledger;
use console::style;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// How often the lines are redrawn.
const REDRAW: Duration = Duration::from_millis(200);

/// The view, on standard error.
pub struct View {
    /// The lines that are redrawn, where that is possible.
    bar: Option<ProgressBar>,
    start: Instant,
    drawn: Instant,
    for_s: Option<f64>,
}

/// What is shown.
pub struct Shown<'a> {
    /// The classes with their trials so far.
    pub counts: &'a [(String, usize)],
    /// How many trials of each class are wanted before the first fit, or in all.
    pub wanted: usize,
    /// The newest refit.
    pub refit: Option<&'a Refit>,
    /// What was lost.
    pub ledger: &'a Ledger,
}

impl View {
    /// A view; `redraws` if nothing else draws on the terminal.
    pub fn new(for_s: Option<f64>, redraws: bool) -> Self {
        let bar = redraws.then(|| {
            let style = ProgressStyle::with_template("{msg}");
            ProgressBar::new_spinner()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        let now = Instant::now();
        Self { bar: bar.filter(|bar| !bar.is_hidden()), start: now, drawn: now, for_s }
    }

    /// A line that stays.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// A line about a trial or a refit: only where no lines are redrawn.
    pub fn log(&self, text: &str) {
        if self.bar.is_none() {
            eprintln!("{text}");
        }
    }

    /// Redraws, if it is time.
    pub fn draw(&mut self, shown: &Shown<'_>) {
        let Some(bar) = &self.bar else { return };
        if self.drawn.elapsed() >= REDRAW {
            self.drawn = Instant::now();
            bar.set_message(self.text(shown));
            bar.tick();
        }
    }

    /// Takes the redrawn lines away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn text(&self, shown: &Shown<'_>) -> String {
        let ran_s = self.start.elapsed().as_secs_f64();
        let time = match self.for_s {
            Some(for_s) => format!("{} left", minutes((for_s - ran_s).max(0.0))),
            None => format!("{} so far", minutes(ran_s)),
        };
        let mut text = String::new();
        let _ = writeln!(text, "{} {time}", label("calibration"));
        for (class, n) in shown.counts {
            let _ = writeln!(text, "{} {} {n}", label(class), bar(*n, shown.wanted));
        }
        let (accuracy, advice) = match shown.refit {
            Some(refit) => (accuracy(refit), advice(refit)),
            None => ("the first model comes with three trials of each class".into(), String::new()),
        };
        let _ = writeln!(text, "{} {accuracy}", label("accuracy"));
        let _ = writeln!(text, "{} {advice}", label("advice"));
        let _ = write!(text, "{} {}", label("lost"), lost(shown.ledger));
        text
    }
}

/// A refit in one line.
pub fn line(refit: &Refit) -> String {
    format!("trial {}: {} | {} | {}", refit.trials, counts(refit), accuracy(refit), advice(refit))
}

/// The last words.
pub fn last_words(refit: &Refit, ledger: &Ledger) -> String {
    format!(
        "{} trials ({}); accuracy {}; {}\nlost: {}\nmodel written to {}",
        refit.trials,
        counts(refit),
        accuracy(refit),
        advice(refit),
        lost(ledger),
        refit.model.display()
    )
}

fn counts(refit: &Refit) -> String {
    let each: Vec<_> = refit.counts.iter().map(|(class, n)| format!("{class} {n}")).collect();
    each.join(", ")
}

fn accuracy(refit: &Refit) -> String {
    let [low, high] = refit.interval.unwrap_or([0.0, 1.0]).map(|share| share * 100.0);
    let share = style(format!("{:.0} %", refit.accuracy * 100.0)).for_stderr().bold();
    format!("{share} (95 %: {low:.0} to {high:.0} %)")
}

fn advice(refit: &Refit) -> String {
    match refit.enough {
        true => style("enough: more trials hardly help").for_stderr().green().to_string(),
        false => "go on".to_owned(),
    }
}

/// What was lost, in words.
pub fn lost(ledger: &Ledger) -> String {
    let entries: Vec<_> = ledger.totals().iter().map(|(cause, n)| format!("{cause} {n}")).collect();
    if entries.is_empty() { "nothing".to_owned() } else { entries.join(", ") }
}

fn label(text: &str) -> console::StyledObject<String> {
    style(format!("{text:>12}")).for_stderr().dim()
}

fn minutes(s: f64) -> String {
    format!("{:02}:{:02}", (s / 60.0) as u64, (s % 60.0) as u64)
}

fn bar(n: usize, of: usize) -> String {
    const WIDTH: usize = 24;
    let full = (n * WIDTH / of.max(1)).min(WIDTH);
    format!("{}{}", "█".repeat(full), "░".repeat(WIDTH - full))
}
