//! Recordings as streams: what `replay`, `play`, `fit` and `evaluate` have in common.
//!
//! In: a file, or `synthetic:SEED` or `planted:WORLD` for a simulated session. Out: the blocks that a live source
//! would deliver.

use super::{block_rows, planted, set_marker, synthetic};
use crate::error::{Error, Result, nearest};
use crate::formats::{self, Content, Marker, Recording, Samples, Stream};
use crate::frame::{Flags, Frame, Spec};
use crate::ledger::Counters;
use std::path::Path;

/// Whether `name` stands for a simulated session rather than a file.
pub fn is_simulated(name: &str) -> bool {
    ["synthetic:", "planted:"].iter().any(|prefix| name.starts_with(prefix))
}

/// Reads the recording `name`: a path, `synthetic:SEED`, or `planted:WORLD`.
pub fn load(name: &str) -> Result<Recording> {
    match name.split_once(':') {
        Some(("synthetic", seed)) => {
            let seed = seed.parse().map_err(|_| {
                Error::input(format!("`{name}`: expected synthetic:SEED with a whole number"))
            })?;
            synthetic::session(seed)
        }
        Some(("planted", _)) => planted::session(name),
        _ => formats::read(Path::new(name)),
    }
}

/// Takes the stream `which` out of a recording: `samples` or `markers` for the first of that sort,
/// else a stream's name.
pub fn stream(recording: Recording, which: &str) -> Result<Stream> {
    let wanted = |s: &Stream| match which {
        "samples" => !is_markers(s),
        "markers" => is_markers(s),
        name => s.name == name,
    };
    let names: Vec<String> = recording.streams.iter().map(|s| s.name.clone()).collect();
    recording.streams.into_iter().find(wanted).ok_or_else(|| {
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let hint = nearest(which, known.iter().copied())
            .map(|n| format!("; did you mean `{n}`?"))
            .unwrap_or_default();
        Error::missing(format!(
            "the recording has no stream `{which}`{hint} (there is: {})",
            known.join(", ")
        ))
    })
}

/// Whether a stream delivers markers: text, or numbers at no fixed rate.
pub fn is_markers(stream: &Stream) -> bool {
    matches!(stream.content, Content::Markers(_)) || stream.rate_hz == 0.0
}

/// Goes through one stream of a recording, block by block.
pub struct Player {
    spec: Spec,
    content: Tape,
    /// Added to the recording's times.
    shift_s: f64,
}

enum Tape {
    Samples { samples: Samples, rate_hz: f64, segment: usize, row: usize, skipped: u64, flaw: bool },
    Markers { markers: Vec<Marker>, next: usize },
}

impl Player {
    /// A player at the start of `stream`.
    pub fn new(stream: Stream) -> Result<Self> {
        if is_markers(&stream) {
            let mut markers = match stream.content {
                Content::Markers(markers) => markers,
                Content::Samples(samples) => codes(&samples),
            };
            markers.sort_by(|a, b| a.time_s.total_cmp(&b.time_s));
            let content = Tape::Markers { markers, next: 0 };
            return Ok(Self { spec: Spec::markers(), content, shift_s: 0.0 });
        }
        let Content::Samples(samples) = stream.content else {
            return Err(Error::input(format!("the stream `{}` holds no samples", stream.name)));
        };
        let rate_hz = stream.rate_hz;
        let spec = Spec::samples(stream.channels, rate_hz, block_rows(rate_hz));
        let content =
            Tape::Samples { samples, rate_hz, segment: 0, row: 0, skipped: 0, flaw: false };
        Ok(Self { spec, content, shift_s: 0.0 })
    }

    /// What the blocks hold.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Time of the first sample or marker on the recording's own line, in seconds.
    pub fn first_s(&self) -> Option<f64> {
        match &self.content {
            Tape::Samples { samples, rate_hz, .. } => {
                (samples.rows() > 0).then(|| samples.time_s(0, *rate_hz))
            }
            Tape::Markers { markers, .. } => markers.first().map(|m| m.time_s),
        }
    }

    /// Puts time zero of the recording at `at_s`.
    pub fn shift(&mut self, at_s: f64) {
        self.shift_s = at_s;
    }

    /// Goes back to the start.
    pub fn rewind(&mut self) {
        match &mut self.content {
            Tape::Samples { segment, row, skipped, flaw, .. } => {
                (*segment, *row, *skipped, *flaw) = (0, 0, 0, false);
            }
            Tape::Markers { next, .. } => *next = 0,
        }
    }

    /// Fills `block` with what comes next (its arrival time is the caller's); `false` at the end.
    pub fn next(&mut self, block: &mut Frame, ledger: &Counters) -> bool {
        let shift_s = self.shift_s;
        match &mut self.content {
            Tape::Markers { markers, next } => {
                let Some(marker) = markers.get(*next) else { return false };
                let time_s = marker.time_s + shift_s;
                set_marker(block, &marker.text, *next as u64, time_s, ledger);
                *next += 1;
                true
            }
            Tape::Samples { samples, rate_hz, segment, row, skipped, flaw } => {
                let Some(part) = samples.segments.get(*segment).copied() else { return false };
                let end = part.first_row + part.rows;
                let rows = (end - *row).min(self.spec.rows);
                let cols = samples.cols;
                block.resize(rows, cols);
                block.data.copy_from_slice(&samples.values[*row * cols..(*row + rows) * cols]);
                block.flags = if *flaw { Flags::GAP } else { Flags::NONE };
                *flaw = false;
                block.span.first = *row as u64 + *skipped;
                block.span.last = block.span.first + rows as u64 - 1;
                block.span.first_s = samples.time_s(*row, *rate_hz) + shift_s;
                block.span.last_s = samples.time_s(*row + rows - 1, *rate_hz) + shift_s;
                *row += rows;
                if *row == end {
                    *segment += 1;
                    if let Some(next) = samples.segments.get(*segment) {
                        let pause_s = next.start_s - samples.time_s(end - 1, *rate_hz);
                        let missing = (pause_s * *rate_hz).round() - 1.0;
                        *flaw = missing < 1.0;
                        *skipped += missing.max(0.0) as u64;
                    }
                }
                true
            }
        }
    }
}

/// Numbers at no fixed rate as markers: the first channel, written as a number.
fn codes(samples: &Samples) -> Vec<Marker> {
    (0..samples.rows())
        .map(|r| Marker {
            time_s: samples.time_s(r, 0.0),
            duration_s: 0.0,
            text: samples.row(r).first().map(f64::to_string).unwrap_or_default(),
        })
        .collect()
}
