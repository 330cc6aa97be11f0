//! The ledger: everything that was lost, repaired or late, counted where it happened.
//!
//! Each place (a source, a stage, a sink) has [`Counters`]: plain atomics, so that the data plane
//! can count without a lock. Threads that may block also write down single [`Event`]s.

use crate::clock;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Why something was lost, repaired or late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Samples that never arrived: missing between two neighbours.
    Gap,
    /// Samples or frames that arrived and were thrown away for want of room.
    Drop,
    /// Samples whose time was not after that of the sample before.
    Duplicate,
    /// Markers that came too late to be used.
    LateMarker,
    /// Markers whose text was longer than a frame carries.
    LongMarker,
    /// Epochs given up because samples in them are missing.
    BrokenEpoch,
    /// Jumps of the sender's clock.
    ClockReset,
    /// Times a source was lost and came back.
    Restart,
    /// Numbers that were not finite and were replaced.
    NotFinite,
    /// Channels that began to hold one value for a second or longer.
    Flat,
    /// Samples or frames that a stage could not process.
    Fault,
    /// Windows that were passed over: their deadline had passed (counted where they were cut), or a newer
    /// one had come (counted where they were to be read).
    Skipped,
    /// Samples or frames that still waited to be read when the run was ended by force.
    Unread,
    /// Messages that a listener who was too slow never got.
    Missed,
    /// Windows that the cheaper branch answered.
    Degraded,
    /// Decisions that came after their deadline.
    Late,
    /// Windows from which a stage that adapts did not learn: flagged BAD, unusual, or of no use.
    Unlearned,
    /// Windows on which a stage reached the end of its time or its steps, and passed on a bound instead.
    Budget,
    /// Times the host that a network runs on was lost.
    HostLost,
    /// Moments for which a stream that was to be joined with others was missing.
    Unpaired,
}

impl Cause {
    /// Every cause, in the order they are shown.
    pub const ALL: [Cause; 20] = [
        Cause::Gap,
        Cause::Drop,
        Cause::Duplicate,
        Cause::LateMarker,
        Cause::LongMarker,
        Cause::BrokenEpoch,
        Cause::ClockReset,
        Cause::Restart,
        Cause::NotFinite,
        Cause::Flat,
        Cause::Fault,
        Cause::Skipped,
        Cause::Unread,
        Cause::Missed,
        Cause::Degraded,
        Cause::Late,
        Cause::Unlearned,
        Cause::Budget,
        Cause::HostLost,
        Cause::Unpaired,
    ];

    /// Its name in JSON, logs and views.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Gap => "gap",
            Cause::Drop => "drop",
            Cause::Duplicate => "duplicate",
            Cause::LateMarker => "late_marker",
            Cause::LongMarker => "long_marker",
            Cause::BrokenEpoch => "broken_epoch",
            Cause::ClockReset => "clock_reset",
            Cause::Restart => "restart",
            Cause::NotFinite => "not_finite",
            Cause::Flat => "flat",
            Cause::Fault => "fault",
            Cause::Skipped => "skipped",
            Cause::Unread => "unread",
            Cause::Missed => "missed",
            Cause::Degraded => "degraded",
            Cause::Late => "late",
            Cause::Unlearned => "unlearned",
            Cause::Budget => "budget",
            Cause::HostLost => "host_lost",
            Cause::Unpaired => "unpaired",
        }
    }
}

/// One entry worth a line of its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// When it was noticed, seconds on the LSL clock.
    pub time_s: f64,
    /// The cause it was counted under.
    pub cause: Cause,
    /// How many (samples, numbers, times).
    pub n: u64,
    /// Index of the first sample after it.
    pub index: u64,
    /// What happened, in words.
    pub text: String,
}

/// Beyond this many, events of one place are counted but no longer written down.
const MAX_EVENTS: usize = 1000;
/// How many events of one cause at one place are logged.
const LOGGED: usize = 5;

/// The counters of one place.
#[derive(Debug, Default)]
pub struct Counters {
    place: String,
    indices: AtomicU64,
    taken_in: AtomicU64,
    passed_on: AtomicU64,
    degraded: AtomicU64,
    counts: [AtomicU64; Cause::ALL.len()],
    events: Mutex<Vec<Event>>,
}

impl Counters {
    /// Counters for `place`, all zero.
    pub fn new(place: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { place: place.into(), ..Self::default() })
    }

    /// The place they belong to.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// **Control.** A source has given out all indices below `end`.
    pub fn reach(&self, end: u64) {
        self.indices.store(end, Ordering::Relaxed);
    }

    /// **Data.** `n` samples (or frames, behind the windowing) came in.
    pub fn take_in(&self, n: u64) {
        self.taken_in.fetch_add(n, Ordering::Relaxed);
    }

    /// **Data.** `n` samples (or frames) were passed on.
    pub fn pass_on(&self, n: u64) {
        self.passed_on.fetch_add(n, Ordering::Relaxed);
    }

    /// **Data.** Of the frames passed on, one more is for the cheaper branch.
    pub fn pass_on_degraded(&self) {
        self.degraded.fetch_add(1, Ordering::Relaxed);
    }

    /// **Data.** `n` more under `cause`.
    pub fn add(&self, cause: Cause, n: u64) {
        self.counts[cause as usize].fetch_add(n, Ordering::Relaxed);
    }

    /// **Control.** As [`Counters::add`], and writes down what happened before sample `index`.
    pub fn note(&self, cause: Cause, n: u64, index: u64, text: impl Into<String>) {
        self.add(cause, n);
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() < MAX_EVENTS {
            let text = text.into();
            let before = events.iter().filter(|e| e.cause == cause).count();
            match before.cmp(&LOGGED) {
                std::cmp::Ordering::Less => {
                    tracing::warn!(place = self.place, cause = cause.name(), n, index, "{text}");
                }
                std::cmp::Ordering::Equal => tracing::warn!(
                    place = self.place,
                    cause = cause.name(),
                    "more of this is counted but no longer logged"
                ),
                std::cmp::Ordering::Greater => {}
            }
            events.push(Event { time_s: clock::now_s(), cause, n, index, text });
        }
    }

    /// How many under `cause` so far.
    pub fn get(&self, cause: Cause) -> u64 {
        self.counts[cause as usize].load(Ordering::Relaxed)
    }

    /// The page of this place as it stands.
    pub fn page(&self) -> Page {
        let counts =
            Cause::ALL.iter().map(|c| (c.name(), self.get(*c))).filter(|(_, n)| *n > 0).collect();
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Page {
            place: self.place.clone(),
            indices: read(&self.indices),
            taken_in: read(&self.taken_in),
            passed_on: read(&self.passed_on),
            degraded: read(&self.degraded),
            counts,
            events: self.events.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// What the ledger says of one place.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    /// The place: the id of a source, a stage or a sink.
    pub place: String,
    /// Indices that a source gave out, those of missing samples included.
    #[serde(skip_serializing_if = "is_zero")]
    pub indices: u64,
    /// Samples (or frames, behind the windowing) that came in.
    #[serde(rename = "in")]
    pub taken_in: u64,
    /// Samples (or frames) that were passed on.
    #[serde(rename = "out")]
    pub passed_on: u64,
    /// How many of those passed on are for the cheaper branch.
    #[serde(rename = "out_degraded", skip_serializing_if = "is_zero")]
    pub degraded: u64,
    /// The causes that are not zero.
    #[serde(serialize_with = "as_map")]
    pub counts: Vec<(&'static str, u64)>,
    /// Single events, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
}

impl Page {
    /// How many under `cause`.
    pub fn count(&self, cause: Cause) -> u64 {
        self.counts.iter().find(|(name, _)| *name == cause.name()).map_or(0, |(_, n)| *n)
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn as_map<S: serde::Serializer>(counts: &[(&'static str, u64)], s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(counts.iter().copied())
}

/// All places of a run.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Vec<Arc<Counters>>);

impl Ledger {
    /// Adds a place.
    pub fn open(&mut self, place: &str) -> Arc<Counters> {
        let counters = Counters::new(place);
        self.0.push(counters.clone());
        counters
    }

    /// The counters of `place`; new ones that are on no page if there is no such place.
    pub fn page_of(&self, place: &str) -> Arc<Counters> {
        let found = self.0.iter().find(|c| c.place == place).cloned();
        found.unwrap_or_else(|| Counters::new(place))
    }

    /// Every page, in the order of the config.
    pub fn pages(&self) -> Vec<Page> {
        self.0.iter().map(|c| c.page()).collect()
    }

    /// The sum over all places, causes that are not zero only.
    pub fn totals(&self) -> Vec<(&'static str, u64)> {
        Cause::ALL
            .iter()
            .map(|c| (c.name(), self.0.iter().map(|p| p.get(*c)).sum()))
            .filter(|(_, n)| *n > 0)
            .collect()
    }
}
