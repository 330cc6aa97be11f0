//! An LSL stream: samples or markers, on our time line, through restarts of the sender.
//!
//! In: the stream that the settings describe. Out: blocks of consecutive samples as they come (a
//! block never waits to be filled), or one marker per frame. The sender's clock offset is added to
//! its stamps, jitter is removed ([`crate::clock::Timeline`]), missing samples keep their indices.

use super::{Read, Source, block_rows, set_marker};
use crate::clock::{self, Flaw, Timeline};
use crate::error::{Error, Result, nearest};
use crate::frame::{Flags, Frame, Spec};
use crate::ledger::{Cause, Counters};
use crate::wire::lsl::{self, Format, Inlet, Pulled, Query, Search, StreamFacts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How long one read waits for data.
const READ_S: f64 = 0.1;

/// Receives a stream from the Lab Streaming Layer. At least one of `name`, `type`, `source_id` and
/// `query` says which. A stream of text, or of irregular rate, delivers markers.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The stream's name.
    #[serde(default)]
    pub name: Option<String>,
    /// The stream's type, such as "EEG" or "Markers".
    #[serde(default, rename = "type")]
    pub stream_type: Option<String>,
    /// The stream's source id.
    #[serde(default)]
    pub source_id: Option<String>,
    /// An XPath predicate on the stream's description, such as "starts-with(name,'BioSemi')".
    #[serde(default)]
    pub query: Option<String>,
    /// How long to wait for the stream at the start, in seconds.
    #[serde(default = "ten")]
    pub wait_s: f64,
    /// How long to wait for the stream to come back after it was lost, in seconds; then the run
    /// fails. 0 ends the run in good order as soon as the stream is lost.
    #[serde(default = "sixty")]
    pub recover_s: f64,
    /// Whether to remove jitter from the time stamps.
    #[serde(default = "yes")]
    pub dejitter: bool,
    /// A sample that comes later than expected by this many seconds means lost samples. The
    /// default adapts to the stream's jitter.
    #[serde(default)]
    pub gap_s: Option<f64>,
}

fn ten() -> f64 {
    10.0
}

fn sixty() -> f64 {
    60.0
}

fn yes() -> bool {
    true
}

impl crate::kind::Settings<dyn Source> for Settings {
    const EXAMPLE: &'static str = "type = \"EEG\"\n";

    fn build(self) -> Result<Box<dyn Source>> {
        let query = Query {
            name: self.name.clone(),
            kind: self.stream_type.clone(),
            source_id: self.source_id.clone(),
            predicate: self.query.clone(),
        };
        if query == Query::default() {
            let message = "say which stream: give at least one of name, type, source_id, query";
            return Err(Error::setting("name", message));
        }
        for (key, value) in [("wait_s", self.wait_s), ("recover_s", self.recover_s)] {
            if !(0.0..=86_400.0).contains(&value) {
                return Err(Error::setting(key, format!("{value} is not between 0 and 86400")));
            }
        }
        if self.gap_s.is_some_and(|g| g.is_nan() || g <= 0.0) {
            return Err(Error::setting("gap_s", "must be above 0"));
        }
        let ledger = Counters::new("");
        Ok(Box::new(Lsl { settings: self, query, link: None, busy: false, ledger }))
    }
}

/// The source.
struct Lsl {
    settings: Settings,
    query: Query,
    link: Option<Link>,
    busy: bool,
    ledger: Arc<Counters>,
}

/// A stream that was found.
struct Link {
    facts: StreamFacts,
    /// `None` while the sender is away, ...
    inlet: Option<Inlet>,
    /// ... and is looked for.
    search: Option<Search>,
    offset_s: f64,
    timeline: Timeline,
    markers: u64,
    text: String,
    /// A sample that could not go into the last block because something is missing before it.
    held: Option<Held>,
    held_numbers: Vec<f64>,
    /// Time of the newest sample on our clock, and since when there are none; 0 while there are.
    last_s: Option<f64>,
    away_since_s: f64,
}

#[derive(Clone, Copy)]
struct Held {
    index: u64,
    time_s: f64,
    flags: Flags,
}

impl Source for Lsl {
    fn open(&mut self, ledger: Arc<Counters>) -> Result<Spec> {
        self.ledger = ledger;
        tracing::info!(
            "waiting up to {} s for the LSL stream {}",
            self.settings.wait_s,
            self.query
        );
        let mut search = Search::new(&self.query)?;
        let end_s = clock::now_s() + self.settings.wait_s;
        let (inlet, facts) = loop {
            let left_s = end_s - clock::now_s();
            if left_s <= 0.0 {
                return Err(self.not_found());
            }
            if let Some(opened) = self.connect(&mut search, left_s, "")? {
                break opened;
            }
        };
        let offset_s = inlet.clock_offset_s().unwrap_or(0.0);
        tracing::info!(
            "connected to `{}` on {}: {} channels, {} Hz, clock offset {:.6} s",
            facts.name,
            facts.host,
            facts.channel_count,
            facts.rate_hz,
            offset_s
        );
        let spec = spec(&facts);
        let rate_hz = if facts.rate_hz > 0.0 { facts.rate_hz } else { 1.0 };
        self.link = Some(Link {
            timeline: Timeline::new(rate_hz, self.settings.gap_s, self.settings.dejitter),
            facts,
            inlet: Some(inlet),
            search: None,
            offset_s,
            markers: 0,
            text: String::new(),
            held: None,
            held_numbers: Vec::new(),
            last_s: None,
            away_since_s: 0.0,
        });
        Ok(spec)
    }

    fn read(&mut self, block: &mut Frame) -> Result<Read> {
        let Some(link) = &mut self.link else { return Ok(Read::End) };
        let was_there = link.inlet.is_some();
        // A sample that waits for its block goes first, also when it was the last.
        if !was_there && link.held.is_none() {
            return self.reconnect();
        }
        let read = if is_markers(&link.facts) {
            link.read_marker(block, &self.ledger)?
        } else {
            link.read_samples(block, &self.ledger)?
        };
        if was_there && link.inlet.is_none() {
            let (name, wait_s) = (&link.facts.name, self.settings.recover_s);
            if wait_s > 0.0 {
                tracing::warn!("the sender of `{name}` is gone; waiting up to {wait_s} s for it");
            } else {
                tracing::info!("the sender of `{name}` is gone, which ends this source");
            }
        }
        Ok(read)
    }

    fn set_busy(&mut self, busy: bool) -> Result<()> {
        self.busy = busy;
        match self.link.as_mut().and_then(|link| link.inlet.as_mut()) {
            Some(inlet) => inlet.set_busy(busy),
            None => Ok(()),
        }
    }
}

impl Lsl {
    /// Connects to a stream that answers within `wait_s`; if several do, to one from the source
    /// `source_id` if there is one.
    fn connect(
        &self,
        search: &mut Search,
        wait_s: f64,
        source_id: &str,
    ) -> Result<Option<(Inlet, StreamFacts)>> {
        let mut found = search.wait(wait_s);
        found.sort_by_key(|f| f.facts.source_id != source_id);
        if found.len() > 1 {
            tracing::warn!("{} streams match {}; the first is taken", found.len(), self.query);
        }
        for stream in &found {
            if let Some((mut inlet, facts)) = Inlet::open(stream)? {
                inlet.set_busy(self.busy)?;
                return Ok(Some((inlet, facts)));
            }
        }
        Ok(None)
    }

    /// Looks for the lost stream for a moment; a stream that came back different is refused.
    fn reconnect(&mut self) -> Result<Read> {
        let Some(mut link) = self.link.take() else { return Ok(Read::End) };
        if self.settings.recover_s == 0.0 {
            return Ok(Read::End);
        }
        if clock::now_s() - link.away_since_s > self.settings.recover_s {
            return Err(Error::run(format!(
                "the stream {} was lost and did not come back within {} s (key recover_s)",
                self.query, self.settings.recover_s
            )));
        }
        let mut search = match link.search.take() {
            Some(search) => search,
            None => Search::new(&self.query)?,
        };
        match self.connect(&mut search, READ_S, &link.facts.source_id)? {
            None => link.search = Some(search),
            Some((inlet, facts)) => {
                check_same(&link.facts, &facts)?;
                link.offset_s = inlet.clock_offset_s().unwrap_or(0.0);
                link.facts = facts;
                link.inlet = Some(inlet);
            }
        }
        self.link = Some(link);
        Ok(Read::Idle)
    }

    /// The error for a stream that is not there, with what is.
    fn not_found(&self) -> Error {
        let found = lsl::streams(1.0).unwrap_or_default();
        let names: Vec<_> =
            found.iter().map(|s| format!("`{}` (type {})", s.name, s.kind)).collect();
        let there = match names.len() {
            0 => "no LSL stream at all was found; is the sender running, on this network, and not \
                  blocked by a firewall?"
                .to_owned(),
            _ => format!("found instead: {}", names.join(", ")),
        };
        let hint = self
            .settings
            .name
            .as_deref()
            .and_then(|name| nearest(name, found.iter().map(|s| s.name.as_str())))
            .map(|near| format!("; did you mean `{near}`?"))
            .unwrap_or_default();
        Error::missing(format!(
            "no LSL stream with {} within {} s; {there}{hint}",
            self.query, self.settings.wait_s
        ))
    }
}

impl Link {
    /// Fills `block` with what is there, at least one sample, up to a break.
    fn read_samples(&mut self, block: &mut Frame, ledger: &Counters) -> Result<Read> {
        let capacity = block.data.capacity() / block.cols.max(1);
        block.data.clear();
        block.rows = 0;
        if let Some(held) = self.held.take() {
            block.data.extend_from_slice(&self.held_numbers);
            self.append(block, held);
        }
        self.update_offset(ledger, block.span.last);
        while block.rows < capacity {
            let wait_s = if block.rows == 0 { READ_S } else { 0.0 };
            let Some(inlet) = &mut self.inlet else { break };
            let stamp_s = match inlet.pull(wait_s) {
                Pulled::Sample(stamp_s) => stamp_s,
                Pulled::Nothing => break,
                Pulled::Lost => {
                    self.lose();
                    break;
                }
            };
            let next = self.place(stamp_s, ledger);
            let Some(inlet) = &self.inlet else { break };
            let follows =
                block.rows == 0 || (next.index == block.span.last + 1 && next.flags == Flags::NONE);
            if !follows {
                self.held_numbers.clear();
                inlet.numbers(&mut self.held_numbers);
                self.held = Some(next);
                break;
            }
            inlet.numbers(&mut block.data);
            self.append(block, next);
        }
        Ok(if block.rows > 0 { Read::Filled } else { Read::Idle })
    }

    fn append(&mut self, block: &mut Frame, sample: Held) {
        if block.rows == 0 {
            block.span.first = sample.index;
            block.span.first_s = sample.time_s;
            block.flags = sample.flags;
        }
        block.span.last = sample.index;
        block.span.last_s = sample.time_s;
        block.rows += 1;
        self.last_s = Some(sample.time_s);
    }

    /// Gives the sample just pulled its index and its time on our clock, and counts what is wrong.
    fn place(&mut self, stamp_s: f64, ledger: &Counters) -> Held {
        if self.away_since_s > 0.0 {
            // The first sample after a break: its distance to the last one says what is missing.
            let since_s = stamp_s + self.offset_s - self.last_s.unwrap_or(stamp_s + self.offset_s);
            let missing = self.timeline.resume_after(since_s - self.timeline.nominal_period_s());
            let placed = self.timeline.place(stamp_s);
            let text = format!("the sender is back; {missing} samples are missing");
            ledger.note(Cause::Restart, 1, placed.index, text);
            self.away_since_s = 0.0;
            let time_s = placed.time_s + self.offset_s;
            return Held { index: placed.index, time_s, flags: Flags::GAP };
        }
        let placed = self.timeline.place(stamp_s);
        let mut flags = Flags::NONE;
        match placed.flaw {
            // A gap shows in the index: the engine counts it.
            None | Some(Flaw::Gap(_)) => {}
            Some(Flaw::NotLater) => ledger.add(Cause::Duplicate, 1),
            Some(Flaw::ClockReset) => {
                flags = Flags::GAP;
                let text = "the time stamps of the sender jumped back";
                ledger.note(Cause::ClockReset, 1, placed.index, text);
            }
        }
        Held { index: placed.index, time_s: placed.time_s + self.offset_s, flags }
    }

    fn read_marker(&mut self, block: &mut Frame, ledger: &Counters) -> Result<Read> {
        self.update_offset(ledger, self.markers);
        let Some(inlet) = &mut self.inlet else { return Ok(Read::Idle) };
        let stamp_s = match inlet.pull(READ_S) {
            Pulled::Sample(stamp_s) => stamp_s,
            Pulled::Nothing => return Ok(Read::Idle),
            Pulled::Lost => {
                self.lose();
                return Ok(Read::Idle);
            }
        };
        if self.away_since_s > 0.0 {
            self.away_since_s = 0.0;
            ledger.note(Cause::Restart, 1, self.markers, "the sender is back");
        }
        self.text.clear();
        inlet.text(&mut self.text);
        set_marker(block, &self.text, self.markers, stamp_s + self.offset_s, ledger);
        self.markers += 1;
        Ok(Read::Filled)
    }

    fn lose(&mut self) {
        self.inlet = None;
        if self.away_since_s == 0.0 {
            self.away_since_s = clock::now_s();
        }
    }

    fn update_offset(&mut self, ledger: &Counters, index: u64) {
        let Some(inlet) = &mut self.inlet else { return };
        if inlet.clock_was_reset() {
            ledger.note(Cause::ClockReset, 1, index, "the sender's clock was reset");
        }
        if let Some(offset_s) = inlet.clock_offset_s() {
            self.offset_s = offset_s;
        }
    }
}

fn is_markers(facts: &StreamFacts) -> bool {
    facts.format == Format::String || facts.rate_hz == 0.0
}

fn spec(facts: &StreamFacts) -> Spec {
    if is_markers(facts) {
        return Spec::markers();
    }
    Spec::samples(facts.channels.clone(), facts.rate_hz, block_rows(facts.rate_hz))
}

fn check_same(was: &StreamFacts, is: &StreamFacts) -> Result<()> {
    let labels = |f: &StreamFacts| f.channels.iter().map(|c| c.label.clone()).collect::<Vec<_>>();
    let differs = if was.rate_hz != is.rate_hz {
        format!("its rate was {} Hz and is {} Hz", was.rate_hz, is.rate_hz)
    } else if was.channel_count != is.channel_count {
        format!("it had {} channels and has {}", was.channel_count, is.channel_count)
    } else if labels(was) != labels(is) {
        "its channel labels are others".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::mismatch(format!(
        "the stream `{}` came back different: {differs}; start the run anew with this stream",
        is.name
    )))
}
