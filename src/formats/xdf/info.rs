//! What the header of an XDF stream says: in goes XML, out comes an [`Info`].

use crate::frame::{Channel, Direction};
use roxmltree::{Document, Node};

/// How the numbers of a stream are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 8 bit integers.
    Int8,
    /// 16 bit integers.
    Int16,
    /// 32 bit integers.
    Int32,
    /// 64 bit integers.
    Int64,
    /// 32 bit floats.
    Float32,
    /// 64 bit floats.
    Float64,
    /// Texts.
    String,
}

impl Format {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "int8" => Self::Int8,
            "int16" => Self::Int16,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "float32" => Self::Float32,
            "double64" => Self::Float64,
            "string" => Self::String,
            _ => return None,
        })
    }

    /// Bytes of one number; the fewest bytes of a text.
    pub fn width(self) -> usize {
        match self {
            Self::Int8 => 1,
            Self::Int16 | Self::String => 2,
            Self::Int32 | Self::Float32 => 4,
            Self::Int64 | Self::Float64 => 8,
        }
    }

    /// The number in `bytes`, which has the width of the format.
    pub fn number(self, bytes: &[u8]) -> f64 {
        match (self, bytes) {
            (Self::Int8, &[a]) => f64::from(a as i8),
            (Self::Int16, &[a, b]) => f64::from(i16::from_le_bytes([a, b])),
            (Self::Int32, &[a, b, c, d]) => f64::from(i32::from_le_bytes([a, b, c, d])),
            (Self::Float32, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            (Self::Int64, &[a, b, c, d, e, f, g, h]) => {
                i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f64
            }
            (Self::Float64, &[a, b, c, d, e, f, g, h]) => {
                f64::from_le_bytes([a, b, c, d, e, f, g, h])
            }
            _ => f64::NAN,
        }
    }
}

/// What the header of a stream says.
pub struct Info {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Its source id, else its uid.
    pub source_id: String,
    /// How its numbers are stored.
    pub format: Format,
    /// Its channels: those described, and the others by their number.
    pub channels: Vec<Channel>,
    /// Nominal samples per second; 0 for an irregular stream.
    pub rate_hz: f64,
    /// Whether it says that samples may be missing, in which case its jitter stays.
    pub can_drop_samples: bool,
}

impl Info {
    /// Reads a header; the stream may have up to `most_channels`.
    pub fn parse(xml: &[u8], most_channels: usize) -> Result<Self, String> {
        let xml = String::from_utf8_lossy(xml);
        let document = Document::parse(xml.trim()).map_err(|e| format!("its XML is bad: {e}"))?;
        let root = document.root_element();
        let name = text(root, "name").to_string();
        let count: usize = parse(root, "channel_count")?;
        if count > most_channels {
            return Err(format!("it claims {count} channels, more than a file of this size holds"));
        }
        let rate_hz: f64 = parse(root, "nominal_srate")?;
        if !rate_hz.is_finite() || rate_hz < 0.0 {
            return Err(format!("its nominal_srate is {rate_hz}"));
        }
        let format = text(root, "channel_format");
        let format = Format::named(format)
            .ok_or_else(|| format!("its channel_format \"{format}\" is not known"))?;
        let kind = text(root, "type").to_string();
        let description = child(root, "desc");
        let mut described = description
            .and_then(|d| child(d, "channels"))
            .into_iter()
            .flat_map(|c| c.children().filter(|n| n.has_tag_name("channel")));
        let channels = (1..=count)
            .map(|number| {
                let node = described.next();
                let of = |tag| node.map_or("", |n| text(n, tag));
                let or = |value: &str, default: &str| {
                    if value.is_empty() { default.to_string() } else { value.to_string() }
                };
                Channel {
                    label: or(of("label"), &format!("Ch{number}")),
                    kind: or(of("type"), &kind),
                    unit: of("unit").to_string(),
                    direction: node.and_then(|n| child(n, "location")).and_then(direction),
                }
            })
            .collect();
        let can_drop_samples = description
            .and_then(|d| child(d, "synchronization"))
            .is_some_and(|s| text(s, "can_drop_samples").eq_ignore_ascii_case("true"));
        let source_id = match text(root, "source_id") {
            "" => text(root, "uid"),
            id => id,
        };
        let source_id = source_id.to_string();
        Ok(Self { name, kind, source_id, format, channels, rate_hz, can_drop_samples })
    }
}

/// The number of samples that a footer states.
pub fn footer_count(xml: &[u8]) -> Option<usize> {
    let xml = String::from_utf8_lossy(xml);
    let document = Document::parse(xml.trim()).ok()?;
    text(document.root_element(), "sample_count").parse().ok()
}

fn child<'a>(node: Node<'a, 'a>, tag: &str) -> Option<Node<'a, 'a>> {
    node.children().find(|n| n.has_tag_name(tag))
}

fn text<'a>(node: Node<'a, 'a>, tag: &str) -> &'a str {
    child(node, tag).and_then(|n| n.text()).unwrap_or_default().trim()
}

/// Where a sensor sits, as `<location>` says.
fn direction(location: Node) -> Option<Direction> {
    let axis = |tag| parse(location, tag).ok();
    Direction::to([axis("X")?, axis("Y")?, axis("Z")?])
}

fn parse<T: std::str::FromStr>(node: Node, tag: &str) -> Result<T, String> {
    let text = text(node, tag);
    text.parse().map_err(|_| format!("its {tag} is \"{text}\", a number was expected"))
}
