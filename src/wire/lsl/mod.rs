//! Lab Streaming Layer. The only place that knows the `lsl` crate: everything above sees streams
//! as names, channels, numbers and times.

mod inlet;
mod outlet;
mod wakeup;

pub use inlet::{Inlet, Pulled};
pub use outlet::{Outlet, Wire};

use crate::clock;
use crate::error::{Error, Result};
use crate::frame::Channel;
use serde::Serialize;

/// More channels than any device has; a stream that claims more is refused.
const MAX_CHANNELS: i32 = 16_384;

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
    let found = lsl::resolve_streams(wait_s).map_err(|e| failed("discovery", e))?;
    let mut facts = found.into_iter().map(facts).collect::<Result<Vec<_>>>()?;
    facts.sort_by(|a, b| (&a.name, &a.uid).cmp(&(&b.name, &b.uid)));
    facts.dedup_by(|a, b| a.uid == b.uid);
    Ok(facts)
}

impl Query {
    /// The predicate that liblsl understands.
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
        Ok(parts.join(" and "))
    }

    /// The streams that match, as soon as one does or when `wait_s` has passed.
    fn resolve(&self, wait_s: f64) -> Result<Vec<lsl::StreamInfo>> {
        let predicate = self.to_predicate()?;
        lsl::resolve_bypred(&predicate, 1, wait_s).map_err(|e| failed("discovery", e))
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

/// What `info` says, without asking the stream for its description.
fn facts(info: lsl::StreamInfo) -> Result<StreamFacts> {
    let name = info.stream_name();
    let count = info.channel_count();
    if !(1..=MAX_CHANNELS).contains(&count) {
        return Err(Error::mismatch(format!(
            "stream `{name}` claims {count} channels; 1 to {MAX_CHANNELS} are accepted"
        )));
    }
    let rate_hz = info.nominal_srate();
    if !(0.0..=1e7).contains(&rate_hz) {
        return Err(Error::mismatch(format!("stream `{name}` claims a rate of {rate_hz} Hz")));
    }
    let format = match info.channel_format() {
        lsl::ChannelFormat::Float32 => Format::Float32,
        lsl::ChannelFormat::Double64 => Format::Double64,
        lsl::ChannelFormat::String => Format::String,
        lsl::ChannelFormat::Int8 => Format::Int8,
        lsl::ChannelFormat::Int16 => Format::Int16,
        lsl::ChannelFormat::Int32 => Format::Int32,
        lsl::ChannelFormat::Int64 => Format::Int64,
        lsl::ChannelFormat::Undefined => {
            return Err(Error::mismatch(format!("stream `{name}` has an unknown number format")));
        }
    };
    Ok(StreamFacts {
        name,
        kind: info.stream_type(),
        rate_hz,
        format,
        channel_count: count as usize,
        channels: Vec::new(),
        source_id: info.source_id(),
        uid: info.uid(),
        host: info.hostname(),
    })
}

/// The channels in a stream's XML description; channels that it leaves out are numbered.
fn channels(xml: &str, count: usize) -> Vec<Channel> {
    let numbered = |i: usize| Channel::named(format!("{}", i + 1));
    let options = roxmltree::ParsingOptions { nodes_limit: 1_000_000, ..Default::default() };
    let Ok(document) = roxmltree::Document::parse_with_options(xml, options) else {
        return (0..count).map(numbered).collect();
    };
    let text = |node: roxmltree::Node<'_, '_>, tag: &str| {
        let child = node.children().find(|c| c.has_tag_name(tag));
        child.and_then(|c| c.text()).unwrap_or_default().trim().to_owned()
    };
    let mut described = document
        .descendants()
        .find(|n| n.has_tag_name("channels"))
        .into_iter()
        .flat_map(|n| n.children().filter(|c| c.has_tag_name("channel")))
        .map(|c| Channel { label: text(c, "label"), kind: text(c, "type"), unit: text(c, "unit") });
    (0..count)
        .map(|i| match described.next() {
            Some(c) if !c.label.is_empty() => c,
            Some(c) => Channel { label: numbered(i).label, ..c },
            None => numbered(i),
        })
        .collect()
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

    #[test]
    fn channels_are_read_as_far_as_described() {
        let xml = "<info><desc><channels><channel><label>C3</label><unit>microvolts</unit>\
                   <type>EEG</type></channel><channel/></channels></desc></info>";
        let got = channels(xml, 3);
        assert_eq!(got[0].label, "C3");
        assert_eq!(got[0].unit, "microvolts");
        assert_eq!((got[1].label.as_str(), got[2].label.as_str()), ("2", "3"));
        assert_eq!(channels("not xml", 2).len(), 2);
    }
}
