//! The states of a BCI2000 file as markers: in goes the data, out come the changes, in order of time.
//!
//! A state becomes markers unless
//! - it is `SourceTime` or `StimulusTime`, the clocks that tell when each block was made;
//! - it changes more than 20 times a second, on average over the recording (20 times are always
//!   allowed): then it is a signal, such as a cursor's place or a gaze, and not an event;
//! - there would be more than a million markers: those that come last in the header go first.
//!
//! What a state is set to in the first sample is no marker, since when it changed is not known.

use super::header::{Header, State};
use crate::formats::Marker;

/// BCI2000's own time stamps, in milliseconds modulo 65,536.
const CLOCKS: [&str; 2] = ["SourceTime", "StimulusTime"];
/// A state that changes more often is no event.
const MAX_CHANGES_PER_S: f64 = 20.0;
/// No file gives more markers.
const MAX_MARKERS: usize = 1_000_000;
/// How many names a warning lists.
const MAX_NAMES: usize = 8;

/// The changes of the states in `data`.
pub fn markers(header: &Header, data: &[u8], warnings: &mut Vec<String>) -> Vec<Marker> {
    let mut counts = vec![0_usize; header.states.len()];
    changes(header, data, |state, _, _| counts[state] += 1);
    let kept = choose(header, &counts, data.len() / header.row_bytes(), warnings);

    let total = counts.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(n, _)| n).sum();
    let mut markers = Vec::with_capacity(total);
    changes(header, data, |state, row, value| {
        if kept[state] {
            markers.push(Marker {
                time_s: row as f64 / header.rate_hz,
                duration_s: 0.0,
                text: format!("{} {value}", header.states[state].name),
            });
        }
    });
    markers
}

/// Which states become markers, by how often they change in `rows` samples.
fn choose(header: &Header, counts: &[usize], rows: usize, warnings: &mut Vec<String>) -> Vec<bool> {
    let most = MAX_CHANGES_PER_S * (rows as f64 / header.rate_hz).max(1.0);
    let (mut busy, mut beyond) = (Vec::new(), Vec::new());
    let mut total = 0_usize;
    let kept = header.states.iter().zip(counts).map(|(state, &changes)| {
        let name = state.name.as_str();
        if CLOCKS.contains(&name) || changes == 0 {
            return false;
        }
        if changes as f64 > most {
            busy.push(name);
            return false;
        }
        if total + changes > MAX_MARKERS {
            beyond.push(name);
            return false;
        }
        total += changes;
        true
    });
    let kept = kept.collect();
    if !busy.is_empty() {
        warnings.push(format!(
            "states that change more than {MAX_CHANGES_PER_S} times a second are not given as \
             markers: {}",
            some(&busy)
        ));
    }
    if !beyond.is_empty() {
        warnings.push(format!(
            "the states change more than {MAX_MARKERS} times; these are not given as markers: {}",
            some(&beyond)
        ));
    }
    kept
}

/// Calls `each` with state, row and new value wherever a state differs from the row before.
fn changes(header: &Header, data: &[u8], mut each: impl FnMut(usize, usize, u64)) {
    let rows = data.chunks_exact(header.row_bytes()).map(|row| &row[header.sample_bytes()..]);
    let mut before: Option<&[u8]> = None;
    for (row, vector) in rows.enumerate() {
        // Most rows change nothing: BCI2000 sets states once a block.
        if let Some(before) = before.filter(|before| *before != vector) {
            for (i, state) in header.states.iter().enumerate() {
                let now = value(vector, state);
                if now != value(before, state) {
                    each(i, row, now);
                }
            }
        }
        before = Some(vector);
    }
}

/// The value of a state; its lowest bit comes first.
fn value(vector: &[u8], state: &State) -> u64 {
    (0..state.bits).fold(0, |value, i| {
        let at = state.first_bit + i;
        value | u64::from(vector[at / 8] >> (at % 8) & 1) << i
    })
}

/// The first few of many names.
fn some(names: &[&str]) -> String {
    let shown = names[..names.len().min(MAX_NAMES)].join(", ");
    match names.len().saturating_sub(MAX_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
