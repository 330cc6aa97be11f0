//! Lab Streaming Layer. The only place that knows the `lsl` crate: everything above sees streams
//! as names, channels, numbers and times.
//!
//! Streams are found and received by code of our own, over plain sockets; liblsl, behind that crate,
//! sends them. In the order of the path in: `config` (where to ask), `discovery` (who is there),
//! `description` (what they say), `handshake` (what is agreed), `samples` (the numbers), `offset`
//! (their clock), and `inlet`, which holds it together.

mod config;
mod description;
mod discovery;
#[cfg(test)]
mod fake;
pub mod handshake;
mod inlet;
mod offset;
mod outlet;
mod ready;
pub mod samples;
mod wakeup;

pub use discovery::{Found, Search};
pub use inlet::{Inlet, Pulled};
pub use outlet::{Outlet, Wire};

use crate::clock;
use crate::error::{Error, Result};
use crate::frame::Channel;
use serde::Serialize;

/// The number format of a stream on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// 32-bit float.
    Float32,
    /// 64-bit float.
    Double64,
    /// Text.
    String,
    /// 8-bit integer.
    Int8,
    /// 16-bit integer.
    Int16,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
}

/// What a stream says of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamFacts {
    /// Its name.
    pub name: String,
    /// Its type, such as `EEG` or `Markers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Nominal samples per second; 0 for an irregular stream.
    pub rate_hz: f64,
    /// How numbers travel.
    pub format: Format,
    /// Number of channels.
    pub channel_count: usize,
    /// Labels, types and units, as far as the description gives them; empty before it was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
    /// What stays the same when the sender is started again; may be empty.
    pub source_id: String,
    /// What is different each time.
    pub uid: String,
    /// The machine it comes from.
    pub host: String,
}

/// Which stream is meant. All parts that are given must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// The stream's name.
    pub name: Option<String>,
    /// The stream's type.
    pub kind: Option<String>,
    /// The stream's source id.
    pub source_id: Option<String>,
    /// An XPath 1.0 predicate on the stream's description, such as `starts-with(name,'BioSemi')`.
    pub predicate: Option<String>,
}

/// Ties the engine's time line to the LSL clock. Call it once, early.
pub fn start_clock() {
    clock::anchor(lsl::local_clock());
}

/// Every stream that answers within `wait_s`.
pub fn streams(wait_s: f64) -> Result<Vec<StreamFacts>> {
    let found = Search::new(&Query::default())?.all(wait_s);
    Ok(found.into_iter().map(|f| f.facts).collect())
}

impl StreamFacts {
    /// How its samples are laid out on a machine with our byte order.
    fn layout(&self) -> samples::Layout {
        let (format, channels, rate_hz) = (self.format, self.channel_count, self.rate_hz);
        samples::Layout { format, channels, rate_hz, swapped: false }
    }
}

impl Query {
    /// The predicate that senders understand, on one line.
    fn to_predicate(&self) -> Result<String> {
        let mut parts = Vec::new();
        for (key, value) in
            [("name", &self.name), ("type", &self.kind), ("source_id", &self.source_id)]
        {
            if let Some(value) = value {
                let quote = if value.contains('\'') { '"' } else { '\'' };
                if value.contains(quote) {
                    return Err(Error::setting(key, "cannot hold both kinds of quotation marks"));
                }
                parts.push(format!("{key}={quote}{value}{quote}"));
            }
        }
        parts.extend(self.predicate.iter().map(|p| format!("({p})")));
        Ok(parts.join(" and ").replace(['\r', '\n'], " "))
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_predicate().unwrap_or_default())
    }
}

fn failed(what: &str, e: lsl::Error) -> Error {
    Error::run(format!("LSL {what} failed: {e:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_joins_its_parts() {
        let query = Query {
            name: Some("a".into()),
            kind: Some("o'x".into()),
            predicate: Some("channel_count > 3".into()),
            ..Query::default()
        };
        let want = "name='a' and type=\"o'x\" and (channel_count > 3)";
        assert_eq!(query.to_predicate().unwrap(), want);
        let query = Query { name: Some("'\"".into()), ..Query::default() };
        assert!(query.to_predicate().is_err());
    }
}
