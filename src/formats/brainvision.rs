//! BrainVision: a header (.vhdr), markers (.vmrk) and data (.eeg).
//!
//! In go the three files, out come one stream of samples and one of markers. A number is the stored
//! one times the channel's resolution, in the unit that the header names (microvolts when it names
//! none). Markers are called `type/description`, such as `Stimulus/S253`, as in MNE; the first
//! `New Segment`, which only says when the recording began, is left out.
//!
//! Every later `New Segment` begins a new segment of samples: the recording was paused there. Where
//! it and the first one have a date, the pause is their difference, and the times behind it move on
//! by that pause (MNE leaves pauses out); where they do not, the segment follows at once.
//!
//! Companion files are looked for beside the header, by the name that the header gives, and then by
//! the header's own name, since recordings get renamed.
//!
//! Reference: BrainVision Core Data Format 1.0, Brain Products 2019.

mod data;
mod header;
mod markers;
#[cfg(test)]
mod tests;

use super::{Content, Marker, Recording, Samples, Segment, Stream, load, stem};
use crate::error::{Error, Result};
use header::Header;
use std::path::{Path, PathBuf};

/// Whether a file that begins with `head` is a header.
pub fn is_header(head: &[u8]) -> bool {
    begins(head, "header")
}

/// Whether a file that begins with `head` is a marker file.
pub fn is_marker_file(head: &[u8]) -> bool {
    begins(head, "marker")
}

/// Some programs write `BrainVision` in one word, with or without `Core` or `Exchange`.
fn begins(head: &[u8], what: &str) -> bool {
    let text: String = head.iter().map(|b| char::from(*b).to_ascii_lowercase()).collect();
    let text = text.trim_start_matches("ï»¿").replace("brain vision", "brainvision");
    text.starts_with("brainvision") && text.contains(what)
}

/// Reads the recording whose header is at `path`.
pub fn read(path: &Path) -> Result<Recording> {
    let bytes = load(path)?;
    let mut warnings = Vec::new();
    let header = Header::parse(&bytes, &mut warnings)?;
    let data = companion(path, "DataFile", &header.data_file, &["eeg", "dat"], &mut warnings)?;
    let marks = match header.marker_file.as_str() {
        "" => None,
        named => match companion(path, "MarkerFile", named, &["vmrk"], &mut warnings) {
            Ok(found) => Some(load(&found)?),
            Err(why) => {
                warnings.push(format!("{why}; read without markers"));
                None
            }
        },
    };
    let mut recording =
        assemble(header, &load(&data)?, marks.as_deref(), &stem(path), &mut warnings)
            .map_err(|e| e.at(data.display()))?;
    recording.warnings = warnings;
    Ok(recording)
}

/// Reads a recording from the bytes of its files; `name` names the streams.
pub fn parse(header: &[u8], data: &[u8], markers: Option<&[u8]>, name: &str) -> Result<Recording> {
    let mut warnings = Vec::new();
    let header = Header::parse(header, &mut warnings)?;
    let mut recording = assemble(header, data, markers, name, &mut warnings)?;
    recording.warnings = warnings;
    Ok(recording)
}

fn assemble(
    header: Header,
    data: &[u8],
    marks: Option<&[u8]>,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<Recording> {
    let values = data::read(&header, data, warnings)?;
    let cols = header.channels.len();
    let rows = values.len() / cols;
    let marks = marks.map(|bytes| markers::read(bytes, warnings)).unwrap_or_default();
    let segments = markers::segments(&marks, rows, header.rate_hz, warnings);
    let samples = Samples { cols, values, segments, stamps: None };

    let first_is_start = marks.first().is_some_and(|m| m.is_new_segment());
    let found: Vec<Marker> = marks
        .iter()
        .skip(usize::from(first_is_start))
        .map(|mark| Marker {
            time_s: time_of(&samples.segments, mark.row, header.rate_hz),
            duration_s: mark.rows as f64 / header.rate_hz,
            text: format!("{}/{}", mark.kind, mark.description),
        })
        .collect();
    let first_kind = header.channels[0].kind.clone();
    let same_kind = header.channels.iter().all(|c| c.kind == first_kind);
    let streams = vec![
        Stream {
            name: name.to_string(),
            kind: if same_kind { first_kind } else { "EEG".into() },
            source_id: String::new(),
            channels: header.channels,
            rate_hz: header.rate_hz,
            content: Content::Samples(samples),
        },
        Stream::markers(format!("{name} markers"), found),
    ];
    Ok(Recording { path: PathBuf::new(), format: "BrainVision", streams, warnings: Vec::new() })
}

/// The time of a row, which may lie before the first or behind the last.
fn time_of(segments: &[Segment], row: i64, rate_hz: f64) -> f64 {
    let after = segments.partition_point(|s| s.first_row as i64 <= row);
    match segments.get(after.saturating_sub(1)) {
        Some(s) => s.start_s + (row - s.first_row as i64) as f64 / rate_hz,
        None => row as f64 / rate_hz,
    }
}

/// The companion file that the header at `path` names under `key`.
fn companion(
    path: &Path,
    key: &str,
    named: &str,
    extensions: &[&str],
    warnings: &mut Vec<String>,
) -> Result<PathBuf> {
    // A header may name a folder of the computer that recorded, or, from elsewhere, any file at
    // all; only the name counts.
    let file = named.rsplit(['/', '\\']).next().unwrap_or_default();
    let file = file.replace("$b", &stem(path));
    let found = path.with_file_name(&file);
    if !file.is_empty() && file != ".." && found.is_file() {
        return Ok(found);
    }
    for extension in extensions {
        let renamed = path.with_extension(extension);
        if renamed.is_file() {
            warnings.push(format!(
                "{key}={named} names a file that is not there; {} was read",
                renamed.display()
            ));
            return Ok(renamed);
        }
    }
    Err(Error::input(format!(
        "{key}={named} in [Common Infos] names a file that is not there: neither {} nor {} exists",
        found.display(),
        path.with_extension(extensions[0]).display()
    )))
}
