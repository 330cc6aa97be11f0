//! Sources: where samples and markers come from.
//!
//! A source runs on a thread of its own and may block. The engine owns the loop, the ring behind
//! it and the stop flag.

use crate::error::Result;
use crate::frame::{Frame, MAX_MARKER_BYTES, Span, Spec};
use crate::kind::{Kind, kind};
use crate::ledger::{Cause, Counters};
use std::sync::Arc;

pub mod lsl;
pub mod noise;
pub mod planted;
pub mod recording;
pub mod replay;
pub mod synthetic;

/// Somewhere samples or markers come from.
pub trait Source: Send {
    /// Connects, waiting as long as its settings allow, and says what will come.
    /// The source keeps `ledger` and counts there what it loses or repairs.
    fn open(&mut self, ledger: Arc<Counters>) -> Result<Spec>;

    /// The run begins now: recorded and simulated sources put their time zero at `at_s`.
    fn start(&mut self, _at_s: f64) {}

    /// Fills `block` with the next samples or the next marker; the engine stamps the arrival. Returns [`Read::Idle`] at least
    /// every 100 ms when nothing comes, so that the engine can stop it. Indices count from 0. Missing
    /// samples keep theirs: the next block starts that much higher, and the engine counts the gap and
    /// flags the block GAP. A break of unknown length is flagged by the source itself.
    fn read(&mut self, block: &mut Frame) -> Result<Read>;

    /// Whether it delivers as fast as it is read, not at the pace of a clock: the engine then
    /// waits for room instead of dropping, and takes the blocks of all sources in order of time.
    fn offline(&self) -> bool {
        false
    }

    /// Whether to wait for data without sleeping, at the cost of a core. Sources that do not wait
    /// for a socket ignore it.
    fn set_busy(&mut self, _busy: bool) -> Result<()> {
        Ok(())
    }

    /// Makes a recorded or simulated source deliver at `speed` times its own pace. Live sources
    /// ignore it.
    fn set_speed(&mut self, _speed: Speed) {}
}

/// What a call of [`Source::read`] brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The block holds something new.
    Filled,
    /// Nothing came.
    Idle,
    /// Nothing will come any more.
    End,
}

/// How fast a recording is played.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Speed {
    /// Multiples of real time.
    Times(f64),
    /// As fast as the machine can.
    #[serde(serialize_with = "max")]
    Max,
}

fn max<S: serde::Serializer>(s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str("max")
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            _ if text == "max" => Ok(Speed::Max),
            Ok(times) if times > 0.0 && times.is_finite() => Ok(Speed::Times(times)),
            _ => Err(format!("`{text}` is not a speed: expected a number above 0, or max")),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Speed {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(f64),
            Text(String),
        }
        let text = match Raw::deserialize(d)? {
            Raw::Number(n) => n.to_string(),
            Raw::Text(t) => t,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Speed {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Speed".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["number", "string"] })
    }
}

/// Makes `block` the marker `text`; one that is too long for a frame is cut and counted.
fn set_marker(block: &mut Frame, text: &str, index: u64, time_s: f64, ledger: &Counters) {
    let end = text.floor_char_boundary(MAX_MARKER_BYTES);
    if end < text.len() {
        ledger.note(
            Cause::LongMarker,
            1,
            index,
            format!("a marker of {} bytes was cut", text.len()),
        );
    }
    block.text.clear();
    block.text.push_str(&text[..end]);
    block.span = Span { first: index, last: index, first_s: time_s, last_s: time_s, ..block.span };
}

/// The most rows that one block of a stream holds: 20 ms, so that what piled up in a pause comes in
/// portions.
fn block_rows(rate_hz: f64) -> usize {
    ((rate_hz * 0.02).ceil() as usize).max(1)
}

/// Every kind of source.
pub const KINDS: &[Kind<dyn Source>] = &[
    kind::<dyn Source, lsl::Settings>("lsl"),
    kind::<dyn Source, replay::Settings>("replay"),
    kind::<dyn Source, synthetic::Settings>("synthetic"),
    kind::<dyn Source, noise::Settings>("noise"),
    kind::<dyn Source, planted::Settings>("planted"),
];
