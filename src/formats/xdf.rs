//! XDF, the file format of LabRecorder and of the Lab Streaming Layer.
//!
//! In go the bytes of a file, out come its streams in the order of their headers. Numeric streams
//! become samples with a time stamp for each row, whatever their rate; string streams become
//! markers. A string stream with several channels gives one marker a sample, whose text is that of
//! all channels joined by tabs. Integers of 64 bits beyond 2^53 are rounded.
//!
//! Times are on the clock of the computer that recorded: the clock offsets in the file are fitted
//! and applied, across clock resets, and the jitter of regular streams is removed, with the
//! defaults of pyxdf ([`clock`]). A regular stream that pauses for more than a second and more than
//! 500 sampling intervals gets a new segment.
//!
//! In a damaged file reading goes on at the next chunk, or, where the length of the chunk is wrong
//! too, behind the next boundary chunk.
//!
//! Reference: github.com/sccn/xdf/wiki/Specifications (1.0).

mod chunks;
pub mod clock;
mod info;
#[cfg(test)]
mod tests;

use super::{Content, Marker, Recording, Samples, Segment, Stream};
use crate::error::{Error, Result};
use chunks::{Raw, Values};
use std::path::PathBuf;

/// Reads a file from its bytes.
pub fn parse(bytes: &[u8]) -> Result<Recording> {
    if !bytes.starts_with(b"XDF:") {
        return Err(Error::input("not an XDF file: it does not start with XDF:"));
    }
    let mut warnings = Vec::new();
    let raws = chunks::read(bytes, &mut warnings);
    if raws.is_empty() {
        let why = warnings.first().map(|w| format!("; {w}")).unwrap_or_default();
        return Err(Error::input(format!("the file holds no stream that can be read{why}")));
    }
    let streams = raws.into_iter().map(|raw| finish(raw, &mut warnings)).collect();
    Ok(Recording { path: PathBuf::new(), format: "XDF", streams, warnings })
}

/// Puts a stream on the common time line.
fn finish(mut raw: Raw, warnings: &mut Vec<String>) -> Stream {
    let name = &raw.info.name;
    if let Some(extra) = clock::extra_samples(&raw.stamps, &raw.offsets, raw.footer_count) {
        warnings.push(format!(
            "stream \"{name}\": the last clock offset does not fit the others; it and the last \
             {extra} samples, which the footer does not count, were left out"
        ));
        raw.offsets.pop();
        raw.truncate(raw.stamps.len() - extra);
    }
    let Raw { info, mut stamps, values, offsets, .. } = raw;
    clock::synchronise(&mut stamps, &offsets, &info.name, warnings);
    let starts = match info.rate_hz > 0.0 && !info.can_drop_samples {
        true => clock::remove_jitter(&mut stamps, info.rate_hz),
        false => vec![0],
    };
    if stamps.iter().any(|s| !s.is_finite()) {
        warnings.push(format!("stream \"{}\": some time stamps are not finite", info.name));
    }
    let content = match values {
        Values::Numbers(values) => Content::Samples(Samples {
            cols: info.channels.len(),
            values,
            segments: segments(&starts, &stamps),
            stamps: Some(stamps),
        }),
        Values::Texts(texts) => Content::Markers(
            stamps
                .into_iter()
                .zip(texts)
                .map(|(time_s, text)| Marker { time_s, duration_s: 0.0, text })
                .collect(),
        ),
    };
    Stream {
        name: info.name,
        kind: info.kind,
        source_id: info.source_id,
        channels: info.channels,
        rate_hz: info.rate_hz,
        content,
    }
}

fn segments(starts: &[usize], stamps: &[f64]) -> Vec<Segment> {
    let ends = starts.iter().skip(1).copied().chain([stamps.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(&first_row, end)| {
            let start_s = *stamps.get(first_row)?;
            Some(Segment { first_row, rows: end - first_row, start_s })
        })
        .collect()
}
