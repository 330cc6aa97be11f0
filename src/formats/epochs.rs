//! Trials that were cut, and perhaps filtered, before: the `saltatory_epochs` safetensors file.
//!
//! In go the bytes of a file, out come one stream of samples, in which each trial is a segment, and
//! one of markers, one per trial, called by the trial's class. So `fit`, `evaluate` and `run` take
//! such a file as they take a continuous recording.
//!
//! The file holds the tensors `data` (trials x samples x channels, F64 or F32) and `labels` (trials,
//! I64: the number of the class, from 0, or -1 for a trial without one), and in its metadata, under
//! the key `saltatory_epochs`, what they are as JSON ([`About`]).
//!
//! # Times
//!
//! Time 0 is the first sample or the first cue, whichever comes first. Between two trials lies a pause
//! of one second and `|start_s|` on top, in whole samples: so filters and windows start anew, and a
//! cue that lies before its trial lies behind the trial before. The marker is `round(start_s rate)`
//! samples before the first sample of its trial, which is where the `event` stage looks: with the
//! same `start_s` and the trial's length it cuts exactly the trial.

#[cfg(test)]
mod tests;

use super::{Content, Marker, Recording, Samples, Segment, Stream, kind_by_unit};
use crate::error::{Error, Result};
use crate::frame::{Channel, Direction};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::Deserialize;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The key of the metadata.
pub const KEY: &str = "saltatory_epochs";
/// The version of the format.
const VERSION: u64 = 1;
/// The largest header that safetensors allows, in bytes.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The longest name of a class, in bytes, so that it fits into a marker.
const MAX_NAME_BYTES: usize = 200;
/// The pause between trials, in seconds; `|start_s|` comes on top.
const PAUSE_S: f64 = 1.0;
/// The farthest that a cue may be from its trial, in seconds.
const MAX_START_S: f64 = 3600.0;

/// What the metadata say of the trials. Keys that are not known are passed over.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct About {
    /// Samples per second.
    pub rate_hz: f64,
    /// The labels of the channels.
    pub channels: Vec<String>,
    /// Where each channel's sensor is, as a direction from the middle of the head: x right, y front, z up; empty where
    /// none is known, and null for those that are not.
    #[serde(default)]
    pub positions: Vec<Option<[f64; 3]>>,
    /// The unit of the numbers, such as `uV`; empty or `unknown` when it is not known.
    pub unit: String,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// Time of a trial's first sample, in seconds from the cue.
    pub start_s: f64,
}

/// Whether a file that begins with `head` is a safetensors file: the size of its header, the header.
pub fn is_safetensors(head: &[u8]) -> bool {
    header_bytes(head).is_some_and(|n| n <= MAX_HEADER_BYTES) && head.get(8) == Some(&b'{')
}

/// Whether the file at `path` holds trials, and not, say, a model.
pub fn are_in(path: &Path) -> bool {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let mut head = Vec::new();
        file.by_ref().take(8).read_to_end(&mut head)?;
        let size = header_bytes(&head).unwrap_or_default().min(MAX_HEADER_BYTES);
        file.take(size).read_to_end(&mut head)?;
        Ok(head)
    };
    read().is_ok_and(|head| header(&head).is_ok_and(|(header, _)| about_of(&header).is_some()))
}

/// Reads a file from its bytes; `name` names the streams.
pub fn parse(bytes: &[u8], name: &str) -> Result<Recording> {
    let (header, body) = header(bytes)?;
    let about = About::parse(about_of(&header).ok_or_else(|| {
        Error::input(format!(
            "a safetensors file whose metadata have no `{KEY}`: no recording (a model is shown by \
             `saltatory inspect`; docs/formats.md says how to write trials)"
        ))
    })?)?;
    let mut warnings = Vec::new();
    let trials = Trials::find(&header, body, &about, &mut warnings)?;
    let times = Times::new(&about, trials.rows)?;
    let markers = markers(&trials, &about, &times, &mut warnings)?;
    let segment = |i: usize| Segment {
        first_row: i * trials.rows,
        rows: trials.rows,
        start_s: times.trial_s(i),
    };
    let samples = Samples {
        cols: trials.cols,
        values: trials.values(),
        segments: (0..trials.count).map(segment).collect(),
        stamps: None,
    };
    let unit = if about.unit == "unknown" { "" } else { about.unit.as_str() };
    let positions = about.positions.iter().copied().chain(std::iter::repeat(None));
    let channel = |(label, position): (String, Option<[f64; 3]>)| Channel {
        kind: kind_by_unit(unit).into(),
        unit: unit.to_string(),
        direction: position.and_then(Direction::to),
        ..Channel::named(label)
    };
    let streams = vec![
        Stream {
            name: name.to_string(),
            kind: kind_by_unit(unit).into(),
            source_id: String::new(),
            channels: about.channels.iter().cloned().zip(positions).map(channel).collect(),
            rate_hz: about.rate_hz,
            content: Content::Samples(samples),
        },
        Stream::markers(format!("{name} cues"), markers),
    ];
    Ok(Recording { path: PathBuf::new(), format: "Saltatory epochs", streams, warnings })
}

/// How many bytes the header of a safetensors file has, by its first 8.
fn header_bytes(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|first| u64::from_le_bytes(*first))
}

/// The header of a safetensors file, which may be cut behind it, and the bytes behind it.
fn header(bytes: &[u8]) -> Result<(Metadata, &[u8])> {
    let size = header_bytes(bytes)
        .filter(|n| *n <= MAX_HEADER_BYTES)
        .ok_or_else(|| Error::input("not a safetensors file"))? as usize;
    let held = &bytes[8..];
    let text = held.get(..size).ok_or_else(|| {
        Error::input(format!(
            "the file breaks off inside its header: {} of {size} bytes",
            held.len()
        ))
    })?;
    let header = serde_json::from_slice(text)
        .map_err(|e| Error::input(format!("the header of the safetensors file is damaged: {e}")))?;
    Ok((header, &held[size..]))
}

/// The metadata that say what the trials are.
fn about_of(header: &Metadata) -> Option<&str> {
    header.metadata().as_ref()?.get(KEY).map(String::as_str)
}

impl About {
    fn parse(text: &str) -> Result<Self> {
        let bad = |e: serde_json::Error| Error::input(format!("the metadata `{KEY}`: {e}"));
        let value: serde_json::Value = serde_json::from_str(text).map_err(bad)?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(VERSION) => {}
            Some(other) => {
                return Err(Error::mismatch(format!(
                    "the trials have format {other}, this program reads {VERSION}; write them anew"
                )));
            }
            None => {
                return Err(Error::input(format!(
                    "the metadata `{KEY}` have no version, expected \"version\": {VERSION}"
                )));
            }
        }
        let about: Self = serde_json::from_value(value).map_err(bad)?;
        about.check()?;
        Ok(about)
    }

    fn check(&self) -> Result<()> {
        let bad = |what: String| Err(Error::input(format!("the metadata `{KEY}`: {what}")));
        if !(1e-3..=1e6).contains(&self.rate_hz) {
            return bad(format!("rate_hz is {}, expected 0.001 to 1000000", self.rate_hz));
        }
        if !(-MAX_START_S..=MAX_START_S).contains(&self.start_s) {
            return bad(format!(
                "start_s is {}, expected {} to {MAX_START_S}",
                self.start_s, -MAX_START_S
            ));
        }
        if !self.positions.is_empty() && self.positions.len() != self.channels.len() {
            let (places, channels) = (self.positions.len(), self.channels.len());
            return bad(format!("there are {places} positions of {channels} channels"));
        }
        if self.classes.iter().any(|class| !(1..=MAX_NAME_BYTES).contains(&class.len())) {
            return bad(format!("a class needs a name of 1 to {MAX_NAME_BYTES} bytes"));
        }
        let mut names: Vec<_> = self.classes.iter().collect();
        names.sort();
        if let Some(twice) = names.windows(2).find(|w| w[0] == w[1]) {
            return bad(format!("there are two classes `{}`", twice[0]));
        }
        Ok(())
    }
}

/// The trials that are there whole.
struct Trials<'a> {
    /// Their numbers.
    data: &'a [u8],
    /// Whether these are 32 bit floats.
    single: bool,
    count: usize,
    rows: usize,
    cols: usize,
    /// What is there of the labels.
    labels: &'a [u8],
}

impl<'a> Trials<'a> {
    fn find(
        header: &Metadata,
        body: &'a [u8],
        about: &About,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let (info, data) = tensor(header, body, "data")?;
        let single = match info.dtype {
            Dtype::F64 => false,
            Dtype::F32 => true,
            other => {
                return Err(Error::input(format!(
                    "the tensor `data` holds {other:?}, expected F64 or F32"
                )));
            }
        };
        let &[claimed, rows, cols] = info.shape.as_slice() else {
            return Err(Error::input(format!(
                "the tensor `data` has the shape {:?}, expected trials x samples x channels",
                info.shape
            )));
        };
        if claimed == 0 || rows == 0 || cols != about.channels.len() || cols == 0 {
            return Err(Error::input(format!(
                "the tensor `data` has the shape {:?} (trials x samples x channels), and the metadata \
                 name {} channels; expected at least one of each, and as many channels as names",
                info.shape,
                about.channels.len()
            )));
        }
        let (label_info, labels) = tensor(header, body, "labels")?;
        if label_info.dtype != Dtype::I64 || label_info.shape != [claimed] {
            return Err(Error::input(format!(
                "the tensor `labels` holds {:?} of shape {:?}, expected I64 of shape [{claimed}]",
                label_info.dtype, label_info.shape
            )));
        }
        // No overflow: the product with `claimed`, which is not 0, was checked with the header.
        let trial_bytes = rows * cols * if single { 4 } else { 8 };
        let count = (data.len() / trial_bytes).min(claimed);
        if count == 0 {
            return Err(Error::input(format!(
                "the file breaks off inside its first trial: {} of {trial_bytes} bytes",
                data.len()
            )));
        }
        if count < claimed {
            warnings.push(format!(
                "the file breaks off inside trial {} of {claimed}; {count} whole trials were read",
                count + 1
            ));
        }
        Ok(Self { data: &data[..count * trial_bytes], single, count, rows, cols, labels })
    }

    /// All numbers: one f64 for each 4 or 8 bytes that are there.
    fn values(&self) -> Vec<f64> {
        match self.single {
            true => self
                .data
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f64::from(f32::from_le_bytes(*b)))
                .collect(),
            false => self.data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        }
    }
}

/// The tensor `name`, and what is there of its bytes.
fn tensor<'h, 'b>(
    header: &'h Metadata,
    body: &'b [u8],
    name: &str,
) -> Result<(&'h TensorInfo, &'b [u8])> {
    let info = header.info(name).ok_or_else(|| {
        Error::input(format!("the file has no tensor `{name}`, which trials need"))
    })?;
    let (start, end) = info.data_offsets;
    Ok((info, &body[start.min(body.len())..end.min(body.len())]))
}

/// One marker per trial that has a class.
fn markers(
    trials: &Trials,
    about: &About,
    times: &Times,
    warnings: &mut Vec<String>,
) -> Result<Vec<Marker>> {
    let mut markers = Vec::new();
    let labels = trials.labels.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b));
    for (i, label) in labels.clone().take(trials.count).enumerate() {
        if label == -1 {
            continue;
        }
        let class = usize::try_from(label).ok().and_then(|label| about.classes.get(label));
        let class = class.ok_or_else(|| {
            Error::input(format!(
                "the label of trial {} is {label}, expected 0 to {} for one of the {} classes, or -1",
                i + 1,
                about.classes.len().saturating_sub(1),
                about.classes.len()
            ))
        })?;
        let time_s = times.cue_s(i);
        markers.push(Marker { time_s, duration_s: 0.0, text: class.clone() });
    }
    if labels.len() < trials.count {
        warnings.push(format!(
            "the file breaks off inside its labels: the trials from {} on have no marker",
            labels.len() + 1
        ));
    }
    Ok(markers)
}

/// Where trials and cues lie in time.
struct Times {
    rate_hz: f64,
    /// Samples from the start of a trial to the start of the next.
    period: f64,
    /// Samples from a cue to its trial; negative where the cue is in the trial.
    behind_cue: f64,
}

impl Times {
    fn new(about: &About, rows: usize) -> Result<Self> {
        let pause = ((PAUSE_S + about.start_s.abs()) * about.rate_hz).ceil();
        let behind_cue = (about.start_s * about.rate_hz).round();
        if -behind_cue >= rows as f64 {
            return Err(Error::input(format!(
                "start_s is {}, and the trials end before that: at a cue behind its trial no epoch can be \
                 cut; write start_s = 0 and count from the first sample",
                about.start_s
            )));
        }
        Ok(Self { rate_hz: about.rate_hz, period: rows as f64 + pause, behind_cue })
    }

    /// Time of the first sample of trial `i`.
    fn trial_s(&self, i: usize) -> f64 {
        (i as f64 * self.period + self.behind_cue.max(0.0)) / self.rate_hz
    }

    /// Time of the cue of trial `i`.
    fn cue_s(&self, i: usize) -> f64 {
        (i as f64 * self.period - self.behind_cue.min(0.0)) / self.rate_hz
    }
}
