//! The terminal view: what is decided, retrieved or read out, whether it was right, how late, and what was lost.
//!
//! On a terminal it redraws a few lines in place; elsewhere (a log, a pipe) it prints one line
//! every few seconds. Colours follow NO_COLOR.

mod newest;
mod score;

use super::{Deciding, Delivery, RunFacts, Sink};
use crate::clock;
use crate::deadline::State;
use crate::error::{Error, Result};
use crate::frame::{Payload, Spec};
use crate::latency::Latency;
use console::{Term, style};
use newest::Newest;
use schemars::JsonSchema;
use score::{Score, Tally};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// How often the lines are redrawn, in seconds.
const REDRAW_S: f64 = 0.2;
/// How often a line is printed where nothing can be redrawn, in seconds.
const PRINT_S: f64 = 5.0;
/// Width of the bars, in characters.
const BAR: usize = 24;

/// Shows decisions, running accuracy, latency, age of data and the ledger in the terminal. With
/// the markers as a second input (from = ["vote", "markers"]) it also shows the true class. Of rankings and texts it
/// shows the newest.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {}

impl crate::kind::Settings<dyn Sink> for Settings {
    const EXAMPLE: &'static str = "";

    fn build(self) -> Result<Box<dyn Sink>> {
        let term = Term::stderr();
        Ok(Box::new(Terminal {
            live: term.is_term(),
            term,
            deciding: Deciding::default(),
            run: RunFacts::default(),
            score: Score::default(),
            latency: Latency::new(&[]),
            last: None,
            newest: Vec::new(),
            start_s: 0.0,
            next_draw_s: 0.0,
            drawn: false,
        }))
    }
}

/// The sink.
struct Terminal {
    term: Term,
    live: bool,
    deciding: Deciding,
    run: RunFacts,
    score: Score,
    latency: Latency,
    last: Option<Shown>,
    /// For each input that sends rankings or texts the newest one.
    newest: Vec<Option<Newest>>,
    start_s: f64,
    next_draw_s: f64,
    /// Whether lines stand on the terminal that will be replaced.
    drawn: bool,
}

/// What is shown of the newest decision, or of another output where nothing is decided.
struct Shown {
    /// The class and its score.
    decision: Option<(usize, f64)>,
    age_newest_s: Option<f64>,
    age_oldest_s: Option<f64>,
}

impl Sink for Terminal {
    fn open(&mut self, inputs: &[Spec], run: &RunFacts) -> Result<()> {
        self.newest = inputs.iter().map(|spec| Newest::of(spec.payload)).collect();
        self.deciding = match self.newest.iter().all(Option::is_none) {
            true => Deciding::of(inputs)?,
            false => Deciding::if_any(inputs)?,
        };
        let foreign = |s: &&Spec| {
            let own = matches!(s.payload, Payload::Scores | Payload::Markers);
            !own && Newest::of(s.payload).is_none()
        };
        if let Some(other) = inputs.iter().find(foreign) {
            return Err(Error::mismatch(format!(
                "takes scores, rankings, texts and markers, but is given {:?}",
                other.payload
            )));
        }
        self.run = run.clone();
        self.latency = Latency::new(&run.stages);
        self.start_s = clock::now_s();
        self.next_draw_s = self.start_s;
        Ok(())
    }

    fn urgent(&self) -> bool {
        false
    }

    fn write(&mut self, delivery: &Delivery) -> Result<()> {
        let frame = &delivery.frame;
        if self.deciding.has(frame) {
            if let Some(class) = delivery.winner() {
                self.score.decision(frame.span.first_s, class);
                self.show(delivery, Some((class, frame.data[class])));
            }
        } else if let Some(Some(newest)) = self.newest.get_mut(frame.input) {
            newest.take(frame);
            if self.deciding.classes.is_empty() {
                self.show(delivery, None);
            }
        } else {
            let named = self.run.classes.iter().find(|(_, texts)| texts.contains(&frame.text));
            let class =
                named.and_then(|(name, _)| self.deciding.classes.iter().position(|c| c == name));
            self.score.marker(frame.span.last_s, class);
        }
        self.draw_if_due()
    }

    fn idle(&mut self) -> Result<()> {
        self.draw_if_due()
    }

    fn close(&mut self) -> Result<()> {
        self.score.finish_trial();
        self.wipe()?;
        self.print(&self.summary())
    }
}

impl Terminal {
    /// Takes the times of an output, and its decision if it is one.
    fn show(&mut self, delivery: &Delivery, decision: Option<(usize, f64)>) {
        self.latency.record(delivery.times());
        self.last = Some(Shown {
            decision,
            age_newest_s: delivery.age_newest_s(),
            age_oldest_s: delivery.age_oldest_s(),
        });
    }

    /// Whether there is anything to be right or wrong about.
    fn decides(&self) -> bool {
        !self.deciding.classes.is_empty()
    }

    /// The newest decision.
    fn decision(&self) -> Option<(usize, f64)> {
        self.last.as_ref().and_then(|last| last.decision)
    }

    fn draw_if_due(&mut self) -> Result<()> {
        let now_s = clock::now_s();
        if now_s < self.next_draw_s {
            return Ok(());
        }
        if self.live {
            self.next_draw_s = now_s + REDRAW_S;
            let view = self.view(now_s);
            self.wipe()?;
            // The cursor rests on an empty line above the view: what others print there (a
            // warning, liblsl) stays, and the next view is drawn below it.
            self.print(&format!("\n{view}"))?;
            self.drawn = true;
            self.term.move_cursor_up(view.lines().count() + 1).map_err(failed)
        } else {
            self.next_draw_s = now_s + PRINT_S;
            self.print(&self.line(now_s))
        }
    }

    fn wipe(&mut self) -> Result<()> {
        if std::mem::take(&mut self.drawn) {
            self.term.clear_to_end_of_screen().map_err(failed)?;
        }
        Ok(())
    }

    fn print(&self, text: &str) -> Result<()> {
        self.term.write_line(text.trim_end()).map_err(failed)
    }

    fn class(&self, class: Option<usize>) -> &str {
        class.and_then(|i| self.deciding.classes.get(i)).map_or("-", String::as_str)
    }

    /// The lines that are redrawn.
    fn view(&self, now_s: f64) -> String {
        let mut text = String::new();
        let ran_s = now_s - self.start_s;
        let _ = match self.run.for_s {
            Some(for_s) => {
                let left = minutes((for_s - ran_s).max(0.0));
                writeln!(text, "{} {left} left {}", label("run"), bar(ran_s / for_s))
            }
            None => writeln!(text, "{} {} so far", label("run"), minutes(ran_s)),
        };
        if self.decides() {
            self.view_decision(&mut text);
        }
        for newest in self.newest.iter().flatten() {
            for (i, line) in newest.view().iter().enumerate() {
                let _ = writeln!(text, "{} {line}", label(if i == 0 { newest.what() } else { "" }));
            }
        }
        let _ = writeln!(text, "{} {}", label("latency"), self.latency_text());
        let ages = self.last.as_ref().and_then(|l| l.age_newest_s.zip(l.age_oldest_s));
        if let Some((newest_s, oldest_s)) = ages {
            let _ = writeln!(
                text,
                "{} newest sample {:.1} ms, oldest {:.0} ms",
                label("age of data"),
                newest_s * 1e3,
                oldest_s * 1e3
            );
        }
        if let Some(deadline) = self.deadline() {
            let _ = writeln!(text, "{} {deadline}", label("deadline"));
        }
        let _ = writeln!(text, "{} {}", label("ledger"), self.ledger());
        text
    }

    /// The lines about the newest decision.
    fn view_decision(&self, text: &mut String) {
        let truth = self.score.truth();
        if let Some((class, score)) = self.decision() {
            let name = format!("{:<10}", self.class(Some(class)));
            let decided = match truth {
                Some(t) if t == class => style(name).green(),
                Some(_) => style(name).red(),
                None => style(name).bold(),
            };
            let bar = bar(score);
            let _ = writeln!(text, "{} {decided} {bar} {score:.2}", label("decoded"));
        } else {
            let _ = writeln!(text, "{} waiting for the first window", label("decoded"));
        }
        let _ = writeln!(text, "{} {}", label("true"), self.class(truth));
        let _ = writeln!(text, "{} {}", label("accuracy"), self.accuracy());
    }

    /// The deadline and how well it is kept, if there is one.
    fn deadline(&self) -> Option<String> {
        let report = self.run.health.report();
        let state = match report.state {
            State::Good => style("good").green(),
            State::Warning => style("close to the limit").yellow(),
            State::Over => style("over").red(),
        };
        let mut text = format!("{} ms: {state}", report.deadline_ms?);
        let counts =
            [("missed", report.missed), ("skipped", report.skipped), ("degraded", report.degraded)];
        for (what, n) in counts.into_iter().filter(|(_, n)| *n > 0) {
            let _ = write!(text, ", {n} {what}");
        }
        Some(text)
    }

    /// One line for logs.
    fn line(&self, now_s: f64) -> String {
        let time = match self.run.for_s {
            Some(for_s) => format!("{} left", minutes((for_s - (now_s - self.start_s)).max(0.0))),
            None => minutes(now_s - self.start_s),
        };
        let mut text = String::new();
        if self.decides() {
            let (truth, decoded) = (self.score.truth(), self.decision().map(|(class, _)| class));
            let (truth, decoded) = (self.class(truth), self.class(decoded));
            let accuracy = self.accuracy();
            let _ = write!(text, " | true {truth} | decoded {decoded} | accuracy {accuracy}");
        }
        for newest in self.newest.iter().flatten() {
            let _ = write!(text, " | {} {}", newest.what(), newest.line());
        }
        let age = match self.last.as_ref().and_then(|l| l.age_newest_s) {
            Some(age_s) => format!("{:.1} ms", age_s * 1e3),
            None => "-".to_owned(),
        };
        format!(
            "{time}{text} | latency {} | age of newest sample {age} | ledger {}",
            self.latency_text(),
            self.ledger()
        )
    }

    fn summary(&self) -> String {
        let newest = self.latency.age_newest();
        let mut text = String::new();
        let _ = writeln!(text, "{}", style("Summary").bold());
        let outputs = if self.decides() { "decisions" } else { "outputs" };
        let _ = writeln!(text, "{} {}", label(outputs), self.latency.engine().n);
        if self.decides() {
            let _ = writeln!(text, "{} {}", label("accuracy"), self.accuracy());
        }
        let _ = writeln!(text, "{} {}", label("latency"), self.latency_text());
        if newest.n > 0 {
            let _ = writeln!(
                text,
                "{} newest sample p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
                label("age of data"),
                newest.p50_us / 1e3,
                newest.p99_us / 1e3,
                newest.max_us / 1e3
            );
        }
        if let Some(deadline) = self.deadline() {
            let _ = writeln!(text, "{} {deadline}", label("deadline"));
        }
        let _ = writeln!(text, "{} {}", label("ledger"), self.ledger());
        text
    }

    fn accuracy(&self) -> String {
        let show = |tally: Tally, what: &str| match tally.accuracy() {
            Some(a) => format!("{:.0} % of {} {what}", a * 100.0, tally.n),
            None => format!("no {what} to judge yet"),
        };
        match self.score.trials.n {
            0 => show(self.score.windows, "windows"),
            _ => format!(
                "{}, {}",
                show(self.score.windows, "windows"),
                show(self.score.trials, "trials")
            ),
        }
    }

    fn latency_text(&self) -> String {
        let s = self.latency.engine();
        if s.n == 0 {
            return "nothing yet".into();
        }
        format!(
            "p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
            s.p50_us / 1e3,
            s.p99_us / 1e3,
            s.max_us / 1e3
        )
    }

    fn ledger(&self) -> String {
        let totals = self.run.ledger.totals();
        if totals.is_empty() {
            return style("clean").green().to_string();
        }
        let entries: Vec<_> = totals.iter().map(|(cause, n)| format!("{cause} {n}")).collect();
        style(entries.join(", ")).yellow().to_string()
    }
}

fn failed(e: std::io::Error) -> Error {
    Error::run(format!("cannot write to the terminal: {e}"))
}

fn label(text: &str) -> console::StyledObject<String> {
    style(format!("{text:>12}")).dim()
}

fn minutes(s: f64) -> String {
    format!("{:02}:{:02}", (s / 60.0) as u64, (s % 60.0) as u64)
}

fn bar(share: f64) -> String {
    let full = (share.clamp(0.0, 1.0) * BAR as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}
