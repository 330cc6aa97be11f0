//! Reading recordings: EDF, EDF+, BDF, BDF+, XDF, BrainVision and BCI2000 files, and files of
//! trials that were cut before.
//!
//! In goes a path, out comes a [`Recording`]: its streams, each with channels and either samples
//! (rows x channels, time-major) or markers, and what was wrong with the file. Numbers stay in the
//! unit that the file states ([`Channel::unit`], as written there).
//!
//! Times of XDF are seconds on the synchronised LSL clock; all others are seconds from the first
//! sample (of trials: from the first cue, if that is earlier). A gap in a recording is never filled:
//! it lies between two [`Segment`]s.
//!
//! Files are untrusted. Nothing is allocated on the word of a header beyond what the file's own
//! size allows, a cut file gives what can be read of it plus a warning that says where it broke,
//! and only a file of which nothing can be read is an error.

pub mod bci2000;
pub mod brainvision;
pub mod edf;
pub mod epochs;
pub mod gallery;
pub mod items;
pub mod mapped;
pub mod summary;
pub mod world;
pub mod xdf;

use crate::error::{Error, Result};
use crate::frame::Channel;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What can be read, for error messages.
const READABLE: &str = "EDF and EDF+ (.edf), BDF and BDF+ (.bdf), XDF (.xdf), \
                        BrainVision (.vhdr, or the .eeg or .vmrk beside it), \
                        BCI2000 (.dat), trials (.safetensors, see docs/formats.md)";

/// A recording, read to the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recording {
    /// The file it was read from; empty when it was parsed from bytes.
    pub path: PathBuf,
    /// Its format, such as `EDF+D`.
    pub format: &'static str,
    /// Its streams; the first is the main one in formats that have one.
    pub streams: Vec<Stream>,
    /// What was wrong with the file, or deserves to be known, in the order it was found.
    pub warnings: Vec<String>,
}

/// One stream of a recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stream {
    /// Its name; for formats without stream names, made from the file's name.
    pub name: String,
    /// What it holds, in the vocabulary of LSL types: `EEG`, `Markers`.
    pub kind: String,
    /// The source id of an XDF stream, else its uid; empty for other formats.
    pub source_id: String,
    /// Its channels.
    pub channels: Vec<Channel>,
    /// Nominal samples per second; 0 for an irregular stream.
    pub rate_hz: f64,
    /// Its samples or markers.
    pub content: Content,
}

/// What a stream holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Numbers.
    Samples(Samples),
    /// Texts with times, in the order of the file.
    Markers(Vec<Marker>),
}

/// Numbers, rows x channels, and their times.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Samples {
    /// Number of columns.
    pub cols: usize,
    /// Row by row: `rows * cols` numbers.
    pub values: Vec<f64>,
    /// The stretches without a gap, in the order of the rows; together they hold every row.
    pub segments: Vec<Segment>,
    /// The time of each row where the file has one; without it, rows follow at the nominal rate.
    pub stamps: Option<Vec<f64>>,
}

/// Rows without a gap between them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Segment {
    /// Index of its first row.
    pub first_row: usize,
    /// How many rows it has; never 0.
    pub rows: usize,
    /// Time of its first row, in seconds.
    pub start_s: f64,
}

/// A text with a time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Marker {
    /// When it begins, in seconds on the recording's time line.
    pub time_s: f64,
    /// How long it lasts, in seconds; 0 when the file does not say.
    pub duration_s: f64,
    /// What it says.
    pub text: String,
}

impl Samples {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.segments.last().map_or(0, |s| s.first_row + s.rows)
    }

    /// Row `r`: one sample across channels.
    pub fn row(&self, r: usize) -> &[f64] {
        &self.values[r * self.cols..(r + 1) * self.cols]
    }

    /// The time of row `r` in seconds, in a stream of `rate_hz`.
    pub fn time_s(&self, r: usize, rate_hz: f64) -> f64 {
        if let Some(stamps) = &self.stamps {
            return stamps[r];
        }
        let after = self.segments.partition_point(|s| s.first_row <= r);
        match after.checked_sub(1).and_then(|i| self.segments.get(i)) {
            Some(s) => s.start_s + (r - s.first_row) as f64 / rate_hz,
            None => 0.0,
        }
    }

    /// The seconds that are missing before each segment but the first, beyond one sampling interval.
    pub fn gaps_s(&self, rate_hz: f64) -> Vec<f64> {
        let step = if rate_hz > 0.0 { 1.0 / rate_hz } else { 0.0 };
        self.segments
            .windows(2)
            .map(|w| w[1].start_s - self.time_s(w[1].first_row - 1, rate_hz) - step)
            .collect()
    }
}

impl Stream {
    /// A stream of markers.
    pub fn markers(name: impl Into<String>, markers: Vec<Marker>) -> Self {
        Self {
            name: name.into(),
            kind: "Markers".into(),
            source_id: String::new(),
            channels: Vec::new(),
            rate_hz: 0.0,
            content: Content::Markers(markers),
        }
    }
}

impl Recording {
    /// The first stream of samples, which is the main one in formats that have one.
    pub fn samples(&self) -> Option<(&Stream, &Samples)> {
        self.streams.iter().find_map(|s| match &s.content {
            Content::Samples(samples) => Some((s, samples)),
            Content::Markers(_) => None,
        })
    }

    /// The markers of all streams of markers, by time.
    pub fn all_markers(&self) -> Vec<&Marker> {
        let mut all: Vec<&Marker> = self
            .streams
            .iter()
            .filter_map(|s| match &s.content {
                Content::Markers(markers) => Some(markers),
                Content::Samples(_) => None,
            })
            .flatten()
            .collect();
        all.sort_by(|a, b| a.time_s.total_cmp(&b.time_s));
        all
    }
}

/// What a file is, by its first bytes and its extension.
enum Kind {
    Bci2000,
    Edf,
    Epochs,
    Xdf,
    Header,
    /// A data or marker file of a BrainVision recording; the header is beside it.
    Beside,
}

/// Reads the recording at `path`, whatever its format.
pub fn read(path: &Path) -> Result<Recording> {
    let shown = path.display();
    let kind = {
        use std::io::Read;
        let mut head = Vec::with_capacity(64);
        std::fs::File::open(path)
            .and_then(|f| f.take(64).read_to_end(&mut head))
            .map_err(|e| Error::input(format!("{shown}: cannot be opened: {e}")))?;
        kind_of(path, &head).map_err(|e| e.at(&shown))?
    };
    let mut recording = match kind {
        Kind::Bci2000 => bci2000::parse(&load(path)?, &stem(path)),
        Kind::Edf => edf::parse(&load(path)?, &stem(path)),
        Kind::Epochs => epochs::parse(&load(path)?, &stem(path)),
        Kind::Xdf => xdf::parse(&load(path)?),
        Kind::Header => brainvision::read(path),
        Kind::Beside => brainvision::read(&header_beside(path)?),
    }
    .map_err(|e| e.at(&shown))?;
    recording.path = path.to_path_buf();
    Ok(recording)
}

fn kind_of(path: &Path, head: &[u8]) -> Result<Kind> {
    let extension =
        path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    if head.starts_with(b"XDF:") {
        return Ok(Kind::Xdf);
    }
    if head.starts_with(edf::BDF_MAGIC) || head.starts_with(edf::EDF_MAGIC) {
        return Ok(Kind::Edf);
    }
    if bci2000::is_header(head) {
        return Ok(Kind::Bci2000);
    }
    if epochs::is_safetensors(head) {
        return Ok(Kind::Epochs);
    }
    if brainvision::is_header(head) {
        return Ok(Kind::Header);
    }
    let known =
        matches!(extension.as_str(), "edf" | "bdf" | "xdf" | "xdfz" | "vhdr" | "safetensors");
    match extension.as_str() {
        "eeg" | "vmrk" => Ok(Kind::Beside),
        _ if brainvision::is_marker_file(head) => Ok(Kind::Beside),
        _ if head.is_empty() => Err(Error::input("the file is empty")),
        _ if known && head.starts_with(&[0x1f, 0x8b]) => {
            Err(Error::input("the file is packed with gzip; unpack it first (gunzip)"))
        }
        _ if known => Err(Error::input(format!(
            "the content is not what the extension .{extension} promises: it starts with \"{}\"",
            head[..head.len().min(8)].escape_ascii()
        ))),
        _ => Err(Error::input(format!("not a recording that can be read; {READABLE} can be"))),
    }
}

/// The .vhdr that belongs to the .eeg or .vmrk at `path`.
fn header_beside(path: &Path) -> Result<PathBuf> {
    let header = path.with_extension("vhdr");
    if header.is_file() {
        return Ok(header);
    }
    Err(Error::input(format!(
        "{}: part of a BrainVision recording, whose header {} is not there",
        path.display(),
        header.display()
    )))
}

/// The bytes of the file at `path`.
fn load(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|e| Error::input(format!("{}: cannot be read: {e}", path.display())))
}

/// The type of a channel of which only the unit is known.
fn kind_by_unit(unit: &str) -> &'static str {
    let voltage = unit.is_empty() || unit.trim().to_lowercase().ends_with('v');
    if voltage { "EEG" } else { "MISC" }
}

/// The file's name without its extension.
fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(name: &str, content: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        read(&path).unwrap_err().to_string()
    }

    #[test]
    fn says_what_can_be_read() {
        let text = error_of("notes.txt", b"hello");
        assert!(text.contains("notes.txt") && text.contains(".vhdr"), "{text}");
        let text = error_of("a.edf", b"RIFF....WAVE");
        assert!(text.contains("starts with \"RIFF....\""), "{text}");
        assert!(error_of("a.xdf", &[0x1f, 0x8b, 8]).contains("gunzip"));
        assert!(error_of("a.xdf", b"").contains("is empty"));
        assert!(error_of("a.eeg", b"1234").contains("a.vhdr is not there"));
        assert!(read(Path::new("/no/such.edf")).unwrap_err().to_string().contains("such.edf"));
    }

    #[test]
    fn times_follow_segments() {
        let samples = Samples {
            cols: 1,
            values: vec![0.0; 5],
            segments: vec![
                Segment { first_row: 0, rows: 2, start_s: 0.0 },
                Segment { first_row: 2, rows: 3, start_s: 10.0 },
            ],
            stamps: None,
        };
        let times: Vec<f64> = (0..5).map(|r| samples.time_s(r, 2.0)).collect();
        assert_eq!(times, [0.0, 0.5, 10.0, 10.5, 11.0]);
        assert_eq!(samples.gaps_s(2.0), [9.0]);
        assert_eq!(samples.rows(), 5);
    }
}
