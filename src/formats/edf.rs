//! EDF, EDF+, BDF and BDF+.
//!
//! In go the bytes of a file, out comes one stream of samples for each sampling rate in the file
//! (in order of appearance), the annotations as markers, and, where a channel is called `Status` or
//! `Trigger`, its events as a second stream of markers.
//!
//! A number is `digital * gain + offset` with `gain = (physical maximum - physical minimum) /
//! (digital maximum - digital minimum)` and `offset = physical minimum - digital minimum * gain`, in
//! the unit that the header names. Times are seconds from the first sample: the sub-second start of
//! the first record is taken off everywhere. In a discontinuous file (EDF+D, BDF+D) a record that
//! does not begin where the one before it ends, to half a sample, begins a new segment.
//!
//! Labels are kept as written but for the dots at their end, with which PhysioNet fills them up
//! (`Fc5.` becomes `Fc5`). The type of a channel comes from a first word such as `EOG`, a name such
//! as `Status` or a unit that is no voltage; else it is `EEG`.
//!
//! References: Kemp et al. 1992 (EDF), Kemp and Olivan 2003 (EDF+), biosemi.com/faq/file_format.htm.

mod annotations;
mod header;
#[cfg(test)]
mod tests;

use super::{Content, Marker, Recording, Samples, Segment, Stream};
use crate::error::{Error, Result};
use annotations::Annotations;
use header::{Header, Signal};
use std::path::PathBuf;

/// How a BDF file begins.
pub const BDF_MAGIC: &[u8] = b"\xffBIOSEMI";
/// How an EDF file begins.
pub const EDF_MAGIC: &[u8] = b"0       ";

/// A step of a `Status` channel that is an event: a rise of these bits.
const TRIGGER_BITS: i64 = 0xFFFF;

/// Reads a file from its bytes; `name` names the streams.
pub fn parse(bytes: &[u8], name: &str) -> Result<Recording> {
    let mut warnings = Vec::new();
    let header = Header::parse(bytes, &mut warnings)?;
    let records = whole_records(&header, bytes, &mut warnings)?;
    let notes = annotations::read(&header, &records, &mut warnings);
    let runs = runs(&header, &records, &notes, &mut warnings);

    let mut streams = Vec::new();
    let rates = distinct_rates(&header);
    for &per_record in &rates {
        let signals: Vec<&Signal> = header
            .signals
            .iter()
            .filter(|s| !s.is_annotations && s.per_record == per_record)
            .collect();
        let mut stream = read_signals(&header, &records, &runs, &signals);
        stream.name = match rates.len() {
            1 => name.to_string(),
            _ => format!("{name} at {} Hz", stream.rate_hz),
        };
        streams.push(stream);
    }
    let triggers: Vec<Stream> = streams.iter().filter_map(|s| triggers(s, name)).collect();
    if header.signals.iter().any(|s| s.is_annotations) {
        streams.push(Stream::markers(format!("{name} annotations"), notes.markers));
    }
    streams.extend(triggers);
    if streams.is_empty() {
        return Err(Error::input("the file has neither signals nor annotations"));
    }
    Ok(Recording { path: PathBuf::new(), format: header.format, streams, warnings })
}

/// The data records that are there whole. What the header claims counts for a warning only.
fn whole_records<'a>(
    header: &Header,
    bytes: &'a [u8],
    warnings: &mut Vec<String>,
) -> Result<Vec<&'a [u8]>> {
    let data = &bytes[header.data_offset..];
    if header.record_bytes == 0 {
        return Err(Error::input("the header gives every signal 0 samples in a data record"));
    }
    let records: Vec<&[u8]> = data.chunks_exact(header.record_bytes).collect();
    let (found, rest) = (records.len(), data.len() % header.record_bytes);
    let end = header.data_offset + found * header.record_bytes;
    if rest != 0 {
        warnings.push(format!(
            "the file breaks off inside data record {} (byte {end}, {rest} of {} bytes); \
             {found} whole records were read",
            found + 1,
            header.record_bytes
        ));
    }
    match header.claimed_records {
        Some(claimed) if claimed != found as u64 => warnings.push(format!(
            "the header claims {claimed} data records, the file holds {found} (up to byte {end})"
        )),
        None => warnings.push(format!(
            "the header does not say how many data records there are (the recording was not \
             closed); the file holds {found}"
        )),
        _ => {}
    }
    if found == 0 {
        return Err(Error::input(format!(
            "the file holds no whole data record: {} bytes from byte {}, a record has {}",
            data.len(),
            header.data_offset,
            header.record_bytes
        )));
    }
    Ok(records)
}

/// Consecutive records without a gap: index of the first record, how many, start in seconds.
struct Run {
    first: usize,
    records: usize,
    start_s: f64,
}

fn runs(
    header: &Header,
    records: &[&[u8]],
    notes: &Annotations,
    warnings: &mut Vec<String>,
) -> Vec<Run> {
    let mut runs = vec![Run { first: 0, records: records.len(), start_s: 0.0 }];
    if !header.discontinuous {
        return runs;
    }
    let fastest = header
        .signals
        .iter()
        .filter(|s| !s.is_annotations)
        .map(|s| s.per_record)
        .max()
        .unwrap_or(1);
    let tolerance = 0.5 * header.record_s / fastest.max(1) as f64;
    let mut unknown = 0;
    let mut back = 0;
    for index in 1..records.len() {
        let Some(run) = runs.last_mut() else { break };
        let expected = run.start_s + (index - run.first) as f64 * header.record_s;
        let Some(start) = notes.record_starts.get(index).copied().flatten() else {
            unknown += 1;
            continue;
        };
        if (start - expected).abs() <= tolerance {
            continue;
        }
        back += usize::from(start < expected);
        run.records = index - run.first;
        runs.push(Run { first: index, records: records.len() - index, start_s: start });
    }
    if unknown > 0 {
        warnings.push(format!(
            "{unknown} data records do not say when they begin; they were taken to follow the \
             record before"
        ));
    }
    if back > 0 {
        warnings.push(format!("{back} data records begin before the record before them ends"));
    }
    runs
}

/// The numbers of samples in a record that occur, in order of appearance.
fn distinct_rates(header: &Header) -> Vec<usize> {
    let mut rates = Vec::new();
    for signal in header.signals.iter().filter(|s| !s.is_annotations && s.per_record > 0) {
        if !rates.contains(&signal.per_record) {
            rates.push(signal.per_record);
        }
    }
    rates
}

/// Reads signals that have the same number of samples in a record.
fn read_signals(header: &Header, records: &[&[u8]], runs: &[Run], signals: &[&Signal]) -> Stream {
    let cols = signals.len();
    let per_record = signals.first().map_or(0, |s| s.per_record);
    let width = header.width;
    // One f64 for each 2 or 3 bytes that are there: at most four times the size of the file.
    let mut values = vec![0.0; records.len() * per_record * cols];
    let blocks = values.chunks_exact_mut((per_record * cols).max(1));
    for (record, block) in records.iter().zip(blocks) {
        for (col, signal) in signals.iter().enumerate() {
            let raw = &record[signal.offset..signal.offset + per_record * width];
            for (sample, row) in raw.chunks_exact(width).zip(block.chunks_exact_mut(cols)) {
                row[col] = digital(sample) * signal.gain + signal.zero;
            }
        }
    }
    let segments = runs
        .iter()
        .map(|run| Segment {
            first_row: run.first * per_record,
            rows: run.records * per_record,
            start_s: run.start_s,
        })
        .collect();
    let first_kind = signals.first().map_or("", |s| s.channel.kind.as_str());
    let same_kind = signals.iter().all(|s| s.channel.kind == first_kind);
    Stream {
        name: String::new(),
        kind: if same_kind { first_kind.to_string() } else { "EEG".into() },
        source_id: String::new(),
        channels: signals.iter().map(|s| s.channel.clone()).collect(),
        rate_hz: per_record as f64 / header.record_s,
        content: Content::Samples(Samples { cols, values, segments, stamps: None }),
    }
}

/// A little-endian integer of 2 or 3 bytes.
fn digital(sample: &[u8]) -> f64 {
    match *sample {
        [a, b] => f64::from(i16::from_le_bytes([a, b])),
        [a, b, c] => f64::from(i32::from_le_bytes([0, a, b, c]) >> 8),
        _ => 0.0,
    }
}

/// The events on the trigger channel of a stream: every sample whose low 16 bits are larger than
/// those of the sample before, so not one that is set from the start (what `mne.find_events` finds with `shortest_event=1` and
/// `uint_cast=True`). The text of a marker is the new value of those bits.
fn triggers(stream: &Stream, name: &str) -> Option<Stream> {
    let col = stream.channels.iter().position(|c| c.kind == header::TRIGGER)?;
    let Content::Samples(samples) = &stream.content else { return None };
    let mut markers = Vec::new();
    let mut before = None;
    for r in 0..samples.rows() {
        // A float that is out of range becomes the nearest integer, NaN becomes 0.
        let code = samples.row(r)[col] as i64 & TRIGGER_BITS;
        if before.is_some_and(|b| code > b) {
            let time_s = samples.time_s(r, stream.rate_hz);
            markers.push(Marker { time_s, duration_s: 0.0, text: code.to_string() });
        }
        before = Some(code);
    }
    let label = &stream.channels[col].label;
    Some(Stream::markers(format!("{name} {}", label.to_lowercase()), markers))
}
