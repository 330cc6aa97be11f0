//! BCI2000: `.dat` files of version 1.0 and 1.1.
//!
//! In go the bytes of a file, out come one stream of samples and one of markers. A number is
//! `(stored - SourceChOffset) * SourceChGain` of its channel, in the unit that the gain carries
//! (microvolts when it carries none). Channels are called as `ChannelNames` says; where the file has
//! no name for each channel, they are numbered from 1. The time of a sample is its number divided by
//! `SamplingRate`, from the first sample.
//!
//! Every sample is followed by a state vector, in which the experiment's variables lie bit by bit.
//! Each change of a state is a marker called `NAME VALUE`, such as `TargetCode 1`; which states that
//! holds for is in `states`.
//!
//! References: Schalk et al. 2004; the BCI2000 project's description of its data format.

mod header;
mod states;
#[cfg(test)]
mod tests;

use super::{Content, Recording, Samples, Segment, Stream};
use crate::error::Result;
use header::{Header, Number};
use std::path::PathBuf;

/// How a file may begin: version 1.1, and version 1.0, which does not name itself.
pub const MAGICS: [&[u8]; 2] = [b"BCI2000V=", b"HeaderLen="];

/// Whether a file that begins with `head` is of BCI2000.
pub fn is_header(head: &[u8]) -> bool {
    MAGICS.iter().any(|magic| head.starts_with(magic))
}

/// Reads a file from its bytes; `name` names the streams.
pub fn parse(bytes: &[u8], name: &str) -> Result<Recording> {
    let mut warnings = Vec::new();
    let header = Header::parse(bytes, &mut warnings)?;
    let data = &bytes[header.data_offset..];
    let (rows, rest) = (data.len() / header.row_bytes(), data.len() % header.row_bytes());
    if rest != 0 {
        warnings.push(format!(
            "the file breaks off inside sample {} (byte {}, {rest} of {} bytes); {rows} whole \
             samples were read",
            rows + 1,
            bytes.len() - rest,
            header.row_bytes()
        ));
    }
    let markers = states::markers(&header, data, &mut warnings);
    let samples = Samples {
        cols: header.channels.len(),
        values: values(&header, data),
        segments: vec![Segment { first_row: 0, rows, start_s: 0.0 }],
        stamps: None,
    };
    let streams = vec![
        Stream {
            name: name.to_string(),
            kind: "EEG".into(),
            source_id: String::new(),
            channels: header.channels,
            rate_hz: header.rate_hz,
            content: Content::Samples(samples),
        },
        Stream::markers(format!("{name} states"), markers),
    ];
    Ok(Recording { path: PathBuf::new(), format: header.format, streams, warnings })
}

/// The numbers of all whole samples: one f64 for each 2 or 4 bytes that are there.
fn values(header: &Header, data: &[u8]) -> Vec<f64> {
    let width = header.number.width();
    let rows = data.chunks_exact(header.row_bytes());
    let mut values = Vec::with_capacity(rows.len() * header.channels.len());
    for row in rows {
        for (stored, scale) in row.chunks_exact(width).zip(&header.scales) {
            values.push((number(header.number, stored) - scale.offset) * scale.gain);
        }
    }
    values
}

/// A little-endian number.
fn number(kind: Number, stored: &[u8]) -> f64 {
    match (kind, stored) {
        (Number::Int16, &[a, b]) => f64::from(i16::from_le_bytes([a, b])),
        (Number::Int32, &[a, b, c, d]) => f64::from(i32::from_le_bytes([a, b, c, d])),
        (Number::Float32, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
        _ => 0.0,
    }
}
