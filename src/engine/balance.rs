//! The balance: whether the counts of the ledger add up.
//!
//! Everything that one place passes on must have come in at the next, or stand there as lost, under a
//! cause. While a run is under way some of it is in the rings between; once it has ended, whatever is
//! unaccounted for was lost in silence, which is a fault of ours.

use super::pipeline::Branch;
use crate::ledger::{Cause, Page};
use serde::Serialize;

/// A source, stage or sink, and what it reads from.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Its id, under which it has a page.
    pub id: String,
    /// What it is.
    pub role: Role,
    /// Its inputs, and which of their frames it gets.
    pub from: Vec<(String, Branch)>,
}

/// What a place is, as far as counting goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Gives out indices, and drops what does not fit into its inbox.
    Source,
    /// Reads from others; on a lane of its own it may be passed over.
    Stage,
    /// A stage where windows begin their way: it passes over those that are late.
    Gate,
    /// Writes, and drops what does not fit into its outbox.
    Sink,
}

/// One step on the way of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Into the place.
    In,
    /// Out of it: from a source to its lane, from a sink's outbox to where it writes.
    Out,
}

/// What should have come to a place, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Account {
    /// The place.
    pub place: String,
    /// Which step.
    pub step: Step,
    /// How many samples (or frames) were on their way.
    pub sent: u64,
    /// How many arrived.
    pub arrived: u64,
    /// How many are known to be lost, by cause.
    #[serde(serialize_with = "as_map")]
    pub lost: Vec<(&'static str, u64)>,
    /// What is left: 0 unless we have lost something in silence.
    pub unaccounted: i64,
}

fn as_map<S: serde::Serializer>(lost: &[(&'static str, u64)], s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(lost.iter().copied())
}

/// The accounts of all `places`, from their `pages`, which must be those of a run that has ended.
pub fn balance(places: &[Place], pages: &[Page]) -> Vec<Account> {
    let page = |id: &str| pages.iter().find(|p| p.place == id);
    let mut accounts = Vec::new();
    for place in places {
        let Some(own) = page(&place.id) else { continue };
        let inputs = place.from.iter();
        let sent =
            inputs.filter_map(|(id, branch)| Some(sent(page(id)?, role(places, id), *branch)));
        let sent: u64 = sent.sum();
        let account =
            |step, sent, arrived, causes: &[Cause]| account(own, step, sent, arrived, causes);
        match place.role {
            Role::Source => {
                accounts.push(account(Step::In, own.indices, own.taken_in, &[Cause::Gap]));
                accounts.push(account(Step::Out, own.taken_in, own.passed_on, &[Cause::Drop]));
            }
            Role::Stage => {
                let causes = [Cause::Skipped, Cause::Drop, Cause::Unread];
                accounts.push(account(Step::In, sent, own.taken_in, &causes));
            }
            Role::Gate => {
                let causes = [Cause::Drop, Cause::Unread];
                accounts.push(account(Step::In, sent, own.taken_in, &causes));
            }
            Role::Sink => {
                accounts.push(account(Step::In, sent, own.taken_in, &[Cause::Unread]));
                accounts.push(account(Step::Out, own.taken_in, own.passed_on, &[Cause::Drop]));
            }
        }
    }
    accounts
}

/// What is unaccounted for, in words, place by place; empty when the counts add up.
pub fn faults(accounts: &[Account]) -> Vec<String> {
    let wrong = accounts.iter().filter(|a| a.unaccounted != 0);
    let say = |a: &Account| {
        let way = match a.step {
            Step::In => "into",
            Step::Out => "out of",
        };
        format!("{} of {} {way} `{}`", a.unaccounted, a.sent, a.place)
    };
    wrong.map(say).collect()
}

fn role(places: &[Place], id: &str) -> Role {
    places.iter().find(|p| p.id == id).map_or(Role::Stage, |p| p.role)
}

/// How many of what `page` tells of were sent by `branch`.
fn sent(page: &Page, role: Role, branch: Branch) -> u64 {
    let late = if role == Role::Gate { page.count(Cause::Skipped) } else { 0 };
    let all = page.passed_on.saturating_sub(late);
    match branch {
        Branch::All => all,
        Branch::Main => all.saturating_sub(page.degraded),
        Branch::Degraded => page.degraded,
    }
}

fn account(page: &Page, step: Step, sent: u64, arrived: u64, causes: &[Cause]) -> Account {
    let counts = causes.iter().map(|c| (c.name(), page.count(*c)));
    let lost: Vec<(&'static str, u64)> = counts.filter(|(_, n)| *n > 0).collect();
    let known = arrived + lost.iter().map(|(_, n)| n).sum::<u64>();
    let unaccounted = sent.wrapping_sub(known) as i64;
    Account { place: page.place.clone(), step, sent, arrived, lost, unaccounted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;

    /// eeg -> window -> (main: slow, cheap: quick) -> sink, with one of each sort of loss.
    fn run() -> (Vec<Place>, Ledger) {
        let place = |id: &str, role, from: &[(&str, Branch)]| Place {
            id: id.into(),
            role,
            from: from.iter().map(|(id, branch)| ((*id).to_owned(), *branch)).collect(),
        };
        let all = Branch::All;
        let places = vec![
            place("eeg", Role::Source, &[]),
            place("window", Role::Gate, &[("eeg", all)]),
            place("slow", Role::Stage, &[("window", Branch::Main)]),
            place("quick", Role::Stage, &[("window", Branch::Degraded)]),
            place("file", Role::Sink, &[("slow", all), ("quick", all)]),
        ];
        let mut ledger = Ledger::default();
        let mut page = |id: &str, taken_in, passed_on, counts: &[(Cause, u64)]| {
            let page = ledger.open(id);
            page.take_in(taken_in);
            page.pass_on(passed_on);
            counts.iter().for_each(|(cause, n)| page.add(*cause, *n));
            page
        };
        page("eeg", 95, 90, &[(Cause::Gap, 5), (Cause::Drop, 5)]).reach(100);
        let window = page("window", 88, 20, &[(Cause::Unread, 2), (Cause::Skipped, 3)]);
        (0..4).for_each(|_| window.pass_on_degraded());
        // 20 - 3 late - 4 for the cheaper branch = 13, of which 6 were replaced by newer ones.
        page("slow", 7, 6, &[(Cause::Skipped, 6), (Cause::Fault, 1)]);
        page("quick", 4, 4, &[]);
        page("file", 10, 8, &[(Cause::Drop, 2)]);
        (places, ledger)
    }

    #[test]
    fn what_adds_up_is_balanced() {
        let (places, ledger) = run();
        let accounts = balance(&places, &ledger.pages());
        assert_eq!(faults(&accounts), [""; 0]);
        let seen: Vec<_> =
            accounts.iter().map(|a| (a.place.as_str(), a.step, a.sent, a.arrived)).collect();
        let want = [
            ("eeg", Step::In, 100, 95),
            ("eeg", Step::Out, 95, 90),
            ("window", Step::In, 90, 88),
            ("slow", Step::In, 13, 7),
            ("quick", Step::In, 4, 4),
            ("file", Step::In, 10, 10),
            ("file", Step::Out, 10, 8),
        ];
        assert_eq!(seen, want);
    }

    #[test]
    fn what_was_lost_in_silence_or_came_from_nowhere_is_told() {
        for (place, n, says) in [
            ("eeg", 1, ["-1 of 100 into `eeg`", "1 of 96 out of `eeg`"].as_slice()),
            ("window", 2, &["-2 of 90 into `window`"]),
            ("slow", 1, &["-1 of 13 into `slow`"]),
            ("file", 3, &["-3 of 10 into `file`", "3 of 13 out of `file`"]),
        ] {
            let (places, ledger) = run();
            ledger.page_of(place).take_in(n);
            assert_eq!(faults(&balance(&places, &ledger.pages())), says, "{place}");
        }
    }
}
