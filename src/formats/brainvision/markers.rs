//! The markers of a BrainVision recording: in go the bytes of a .vmrk, out come its marks and the
//! segments of samples that they imply.

use super::header::{decode, unescape};
use crate::formats::Segment;

/// One line of the file.
pub struct Mark {
    /// Its type, such as `Stimulus`.
    pub kind: String,
    /// Its description, such as `S253`.
    pub description: String,
    /// The row it is at; the file counts from 1.
    pub row: i64,
    /// How many rows it lasts.
    pub rows: u32,
    /// Its date in microseconds, where it has one.
    date_us: Option<i64>,
}

impl Mark {
    /// Whether the recording was begun, or went on, at this mark.
    pub fn is_new_segment(&self) -> bool {
        self.kind == "New Segment"
    }
}

/// Reads a marker file.
pub fn read(bytes: &[u8], warnings: &mut Vec<String>) -> Vec<Mark> {
    let text = decode(bytes, warnings);
    let mut inside = false;
    let mut marks = Vec::new();
    let mut bad = Vec::new();
    for (number, line) in text.lines().map(str::trim_end).enumerate() {
        if line.starts_with('[') {
            inside = line.trim().eq_ignore_ascii_case("[marker infos]");
        }
        let Some((key, value)) = line.split_once('=').filter(|_| inside) else { continue };
        let digits = key.strip_prefix("Mk").unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        match mark(value) {
            Some(mark) => marks.push(mark),
            None => bad.push(number + 1),
        }
    }
    if let Some(first) = bad.first() {
        warnings.push(format!(
            "{} markers could not be read, the first in line {first} of the marker file",
            bad.len()
        ));
    }
    marks
}

fn mark(value: &str) -> Option<Mark> {
    let fields: Vec<&str> = value.split(',').collect();
    let [kind, description, row, rows, rest @ ..] = fields.as_slice() else { return None };
    Some(Mark {
        kind: unescape(kind),
        description: unescape(description),
        row: i64::from(row.trim().parse::<i32>().ok()?) - 1,
        rows: rows.trim().parse().unwrap_or(0),
        date_us: rest.get(1).and_then(|d| microseconds(d.trim())),
    })
}

/// The segments of `rows` samples: a new one at each `New Segment`.
pub fn segments(
    marks: &[Mark],
    rows: usize,
    rate_hz: f64,
    warnings: &mut Vec<String>,
) -> Vec<Segment> {
    let mut segments = vec![Segment { first_row: 0, rows, start_s: 0.0 }];
    let mut begins = marks.iter().filter(|m| m.is_new_segment());
    let first_date = begins.next().and_then(|m| m.date_us);
    for mark in begins {
        let row = usize::try_from(mark.row).unwrap_or(0);
        let Some(last) = segments.last_mut() else { break };
        if row <= last.first_row || row >= rows {
            continue;
        }
        last.rows = row - last.first_row;
        let follows_s = last.start_s + last.rows as f64 / rate_hz;
        let start_s = match (first_date, mark.date_us) {
            (Some(from), Some(to)) => (to - from) as f64 / 1e6,
            _ => follows_s,
        };
        if start_s < follows_s - 0.5 / rate_hz {
            warnings.push(format!(
                "the date of the new segment at sample {} is before the end of the one before; it \
                 was taken to follow at once",
                row + 1
            ));
        }
        let first_row = row;
        segments.push(Segment { first_row, rows: rows - row, start_s: start_s.max(follows_s) });
    }
    segments
}

/// A date YYYYMMDDhhmmssuuuuuu as microseconds of the Gregorian calendar; zeros are no date.
fn microseconds(digits: &str) -> Option<i64> {
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits[from..to].parse::<i64>().unwrap_or(0);
    let (year, month, day) = (part(0, 4), part(4, 6), part(6, 8));
    if month == 0 || day == 0 {
        return None;
    }
    // Days since 1 March of year 0; the year begins in March so that its leap day comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day;
    let seconds = days * 86_400 + part(8, 10) * 3600 + part(10, 12) * 60 + part(12, 14);
    Some(seconds * 1_000_000 + part(14, 20))
}
