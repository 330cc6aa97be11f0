//! What a stream says of itself, in XML: the short form that answers a query, and the full one with
//! the channels. It comes from the network and is taken for what it is: claims, within bounds.

use super::{Format, StreamFacts};
use crate::error::{Error, Result};
use crate::frame::{Channel, Direction};
use roxmltree::{Document, Node, ParsingOptions};

/// More channels than any device has; a stream that claims more is refused.
const MAX_CHANNELS: usize = 16_384;
/// A faster stream is refused, and one that is slower without being irregular (rate 0).
const MAX_RATE_HZ: f64 = 1e7;
const MIN_RATE_HZ: f64 = 1e-6;
/// A document with more nodes is refused.
const MAX_NODES: u32 = 1_000_000;

/// The short form.
pub(super) struct Short {
    /// What is known without the channels.
    pub facts: StreamFacts,
    /// The session that the stream belongs to.
    pub session: String,
    /// Ports over IPv4 and over IPv6; 0 where it does not listen.
    pub v4: Ports,
    /// See `v4`.
    pub v6: Ports,
}

/// Where a sender listens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ports {
    /// TCP: samples and the full description.
    pub data: u16,
    /// UDP: its clock.
    pub service: u16,
}

/// Reads the short form.
pub(super) fn short(xml: &str) -> Result<Short> {
    let document = parse(xml).map_err(|e| Error::mismatch(format!("its XML is bad: {e}")))?;
    let info = document.root_element();
    let name = text(info, "name").to_owned();
    let wrong = |what: String| Error::mismatch(format!("stream `{name}` {what}"));
    let count = text(info, "channel_count");
    let channel_count =
        count.parse().ok().filter(|n| (1..=MAX_CHANNELS).contains(n)).ok_or_else(|| {
            wrong(format!("claims {count} channels; 1 to {MAX_CHANNELS} are accepted"))
        })?;
    let rate = text(info, "nominal_srate");
    let rate_hz = rate
        .parse()
        .ok()
        .filter(|r| *r == 0.0 || (MIN_RATE_HZ..=MAX_RATE_HZ).contains(r))
        .ok_or_else(|| wrong(format!("claims a rate of {rate} Hz")))?;
    let format = text(info, "channel_format");
    let format = Format::named(format)
        .ok_or_else(|| wrong(format!("has the unknown number format `{format}`")))?;
    let port = |key: &str| text(info, key).parse().unwrap_or(0);
    Ok(Short {
        facts: StreamFacts {
            kind: text(info, "type").to_owned(),
            rate_hz,
            format,
            channel_count,
            channels: Vec::new(),
            source_id: text(info, "source_id").to_owned(),
            uid: text(info, "uid").to_owned(),
            host: text(info, "hostname").to_owned(),
            name,
        },
        session: text(info, "session_id").to_owned(),
        v4: Ports { data: port("v4data_port"), service: port("v4service_port") },
        v6: Ports { data: port("v6data_port"), service: port("v6service_port") },
    })
}

/// The channels that the full form describes; those that it leaves out are numbered.
pub(super) fn channels(xml: &str, count: usize) -> Vec<Channel> {
    let numbered = |i: usize| Channel::named((i + 1).to_string());
    let document = match parse(xml) {
        Ok(document) => document,
        Err(e) => {
            tracing::warn!("a stream's channels are numbered, for its description is bad XML: {e}");
            return (0..count).map(numbered).collect();
        }
    };
    let own = |node, tag| text(node, tag).trim().to_owned();
    let mut described = document
        .descendants()
        .find(|n| n.has_tag_name("channels"))
        .into_iter()
        .flat_map(|n| n.children().filter(|c| c.has_tag_name("channel")))
        .map(|c| Channel {
            label: own(c, "label"),
            kind: own(c, "type"),
            unit: own(c, "unit"),
            direction: c.children().find(|n| n.has_tag_name("location")).and_then(direction),
        });
    (0..count)
        .map(|i| match described.next() {
            Some(c) if !c.label.is_empty() => c,
            Some(c) => Channel { label: numbered(i).label, ..c },
            None => numbered(i),
        })
        .collect()
}

/// Where a sensor sits, as `<location>` says.
fn direction(location: Node<'_, '_>) -> Option<Direction> {
    let axis = |tag| text(location, tag).trim().parse::<f64>().ok();
    Direction::to([axis("X")?, axis("Y")?, axis("Z")?])
}

fn parse(xml: &str) -> Result<Document<'_>, roxmltree::Error> {
    let options = ParsingOptions { nodes_limit: MAX_NODES, ..Default::default() };
    Document::parse_with_options(xml.trim(), options)
}

/// The text of the child `tag`; empty when there is none.
fn text<'a>(node: Node<'a, '_>, tag: &str) -> &'a str {
    let child = node.children().find(|c| c.has_tag_name(tag));
    child.and_then(|c| c.text()).unwrap_or_default()
}

impl Format {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "float32" => Self::Float32,
            "double64" => Self::Double64,
            "string" => Self::String,
            "int8" => Self::Int8,
            "int16" => Self::Int16,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: &str = "<?xml version=\"1.0\"?>\n<info>\n\t<name>a &amp; b</name><type />\
        <channel_count>8</channel_count><channel_format>int16</channel_format><source_id>x\
        </source_id><nominal_srate>160.0000000</nominal_srate><version>1.1000</version>\
        <uid>1-2</uid><session_id>default</session_id><hostname>vm</hostname><v4address />\
        <v4data_port>16572</v4data_port><v4service_port>16573</v4service_port>\
        <v6data_port>0</v6data_port><desc /></info>\n";

    #[test]
    fn the_short_form_is_read() {
        let short = short(SHORT).unwrap();
        let facts = short.facts;
        assert_eq!((facts.name.as_str(), facts.kind.as_str()), ("a & b", ""));
        assert_eq!((facts.channel_count, facts.rate_hz), (8, 160.0));
        assert_eq!((facts.format, facts.uid.as_str()), (Format::Int16, "1-2"));
        assert_eq!(short.v4, Ports { data: 16_572, service: 16_573 });
        assert_eq!(short.v6, Ports { data: 0, service: 0 });
        assert_eq!(short.session, "default");
    }

    #[test]
    fn claims_out_of_bounds_are_refused() {
        for (is, becomes, says) in [
            (">8<", ">0<", "claims 0 channels"),
            (">8<", ">16385<", "claims 16385 channels"),
            (">8<", ">-1<", "claims -1 channels"),
            (">160.0000000<", ">nan<", "a rate of nan"),
            (">160.0000000<", ">1e9<", "a rate of 1e9"),
            (">160.0000000<", ">1e-300<", "a rate of 1e-300"),
            ("int16", "int12", "`int12`"),
            ("</info>", "", "XML is bad"),
        ] {
            let error = short(&SHORT.replace(is, becomes)).map(|_| ()).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
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
