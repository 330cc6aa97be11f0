//! Annotations of EDF+ and BDF+: in go data records, out come markers and the start of each record.
//!
//! An annotation signal holds lists of the form `+onset[\x15duration]\x14text\x14text\x14\0`. The
//! first list of a record in the first annotation signal has an empty first text and says when the
//! record begins.

use super::header::Header;
use crate::formats::Marker;

/// What the annotation signals say.
#[derive(Default)]
pub struct Annotations {
    /// The annotations in the order of the file; times count from the start of the first record.
    pub markers: Vec<Marker>,
    /// When each record begins, on the same line; nothing where the record does not say.
    pub record_starts: Vec<Option<f64>>,
}

/// Reads the annotations of all `records`.
pub fn read(header: &Header, records: &[&[u8]], warnings: &mut Vec<String>) -> Annotations {
    let mut found = Annotations::default();
    let mut broken = 0_usize;
    let mut first_broken = 0;
    let mut not_utf8 = 0_usize;
    for (index, record) in records.iter().enumerate() {
        let mut start = None;
        let signals = header.signals.iter().filter(|s| s.is_annotations);
        for (channel, signal) in signals.enumerate() {
            let block = &record[signal.offset..signal.offset + signal.per_record * header.width];
            let mut at = 0;
            for list in block.split(|b| *b == 0) {
                let is_first = channel == 0 && at == 0;
                let offset = signal.offset + at;
                at += list.len() + 1;
                if list.is_empty() {
                    continue;
                }
                let Some((onset, duration_s, texts)) = split(list) else {
                    if broken == 0 {
                        first_broken = header.data_offset + index * header.record_bytes + offset;
                    }
                    broken += 1;
                    continue;
                };
                let mut texts = texts.split(|b| *b == 0x14);
                if is_first && list_starts_record(list) {
                    start = Some(onset);
                    texts.next();
                }
                for text in texts.filter(|t| !t.is_empty()) {
                    let text = std::str::from_utf8(text).map_or_else(
                        |_| {
                            not_utf8 += 1;
                            text.iter().map(|b| char::from(*b)).collect()
                        },
                        str::to_string,
                    );
                    found.markers.push(Marker { time_s: onset, duration_s, text });
                }
            }
        }
        found.record_starts.push(start);
    }
    if broken > 0 {
        warnings.push(format!(
            "{broken} annotations could not be read and were left out, the first at byte \
             {first_broken}"
        ));
    }
    if not_utf8 > 0 {
        warnings.push(format!("{not_utf8} annotations are not UTF-8 and were read as Latin-1"));
    }
    // The file's time line begins at its whole second; ours begins at the first sample.
    if let Some(Some(origin)) = found.record_starts.first().copied() {
        for marker in &mut found.markers {
            marker.time_s -= origin;
        }
        for start in found.record_starts.iter_mut().flatten() {
            *start -= origin;
        }
    }
    found
}

/// Onset, duration and the texts of one list.
fn split(list: &[u8]) -> Option<(f64, f64, &[u8])> {
    if !matches!(list.first(), Some(b'+' | b'-')) {
        return None;
    }
    let texts_at = list.iter().position(|b| *b == 0x14)?;
    let mut head = list[..texts_at].split(|b| *b == 0x15);
    let onset = seconds(head.next()?)?;
    let duration = head.next().map_or(Some(0.0), seconds)?;
    Some((onset, duration, &list[texts_at + 1..]))
}

/// Whether the first text of a list is empty, which marks the start of a record.
fn list_starts_record(list: &[u8]) -> bool {
    let at = list.iter().position(|b| *b == 0x14).unwrap_or(list.len());
    list.get(at + 1) == Some(&0x14)
}

fn seconds(digits: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}
