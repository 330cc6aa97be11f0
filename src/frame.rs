//! What flows through the engine: a [`Frame`] of numbers, and the [`Spec`] that says what they mean.
//!
//! The spec is agreed once, when a pipeline is prepared; frames carry only what changes.

use std::ops::{BitOr, BitOrAssign};

pub mod graph;

/// The longest marker text, in bytes, that a frame carries; longer ones are cut and counted.
pub const MAX_MARKER_BYTES: usize = 256;
/// The longest label of an item of a gallery, in bytes.
pub const MAX_LABEL_BYTES: usize = 255;
/// The longest word that a code stands for, in bytes.
pub const MAX_WORD_BYTES: usize = 63;

/// What the numbers in a frame are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// Consecutive samples of a stream: rows are samples, columns are channels.
    Samples,
    /// One marker: `text` holds it, `span` its time; no numbers.
    Markers,
    /// A stretch of samples that is decided on as a whole: rows are samples, columns are channels.
    Window,
    /// A feature vector: one row.
    Vector,
    /// A symmetric matrix: rows equal columns.
    Matrix,
    /// One probability per class: one row, summing to one.
    Scores,
    /// Features of nodes: rows are nodes, such as channels, columns are features.
    Nodes,
    /// The place of a window among others: one row of coordinates, then the number of the class that was
    /// decided on (-1 for none) and its probability.
    Embedding,
    /// A graph: rows are nodes, columns are edges and features, see [`graph::Layout`].
    Graph,
    /// The items of a gallery that are nearest: one row for each, the best first, with the number of the
    /// item and how alike it is; `text` holds their labels, one a line.
    Ranking,
    /// A picture: rows are lines from the top, columns the pixels of a line from the left, each one number
    /// (grey) or three side by side (red, green, blue), as many as there are channels; 0 is dark, 1 bright.
    Image,
    /// Words or other units that were read out: `text` holds them, separated by spaces; the numbers are
    /// their codes, one row of as many as `cols` says, -1 where there are fewer.
    Text,
}

impl Payload {
    /// How many the ledger counts for `frame`: the samples of a stream one by one, all else by frames,
    /// of which one on which nothing is decided does not count.
    pub fn units(self, frame: &Frame) -> u64 {
        match self {
            Payload::Samples => frame.rows as u64,
            _ => u64::from(!frame.flags.has(Flags::PART)),
        }
    }
}

/// One channel of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Channel {
    /// Its label, such as `C3`.
    pub label: String,
    /// Its type, such as `EEG`; empty when unknown.
    #[serde(rename = "type")]
    pub kind: String,
    /// The unit of its numbers, such as `microvolts`; empty when unknown.
    pub unit: String,
    /// Where its sensor sits, where the stream says so. (Electrodes of the 10-20 system are known by their labels.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
}

impl Channel {
    /// A channel of which only the label is known.
    pub fn named(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }
}

/// The direction from the middle of the head to a sensor: x to the right, y to the front, z up; a unit vector in
/// millionths, so that equal ones are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Direction([i32; 3]);

impl Direction {
    /// The direction to a place in any unit; `None` for one that has none.
    pub fn to(place: [f64; 3]) -> Option<Self> {
        let length = place.iter().map(|v| v * v).sum::<f64>().sqrt();
        let has_one = length.is_finite() && length > 0.0;
        has_one.then(|| Self(place.map(|v| (v / length * 1e6).round() as i32)))
    }

    /// As a unit vector.
    pub fn unit(self) -> [f64; 3] {
        let vector = self.0.map(f64::from);
        let length = vector.iter().map(|v| v * v).sum::<f64>().sqrt().max(1.0);
        vector.map(|v| v / length)
    }
}

/// What the frames on one edge of the graph mean.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Spec {
    /// What the numbers are.
    pub payload: Payload,
    /// The largest number of rows that one frame may hold (exact for all but samples).
    pub rows: usize,
    /// The exact number of columns.
    pub cols: usize,
    /// Samples per second of the stream that all this comes from; 0 for an irregular stream.
    pub rate_hz: f64,
    /// The channels, for samples and windows.
    pub channels: Vec<Channel>,
    /// The class names in the order of the scores.
    pub classes: Vec<String>,
    /// How windows come a step at a time; `None` when each comes whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<Hop>,
}

/// Windows that come a step at a time: instead of a window, a frame holds its newest samples only,
/// and the reader keeps what it needs of those before. `rows` and `cols` of the spec remain those of
/// the window.
///
/// Each frame holds `rows` samples; the first one after a break holds what windows are longer than a
/// number of steps, if they are. A frame that completes a window has the span of the window; one that
/// completes none is marked PART, and the first one after a break GAP as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Hop {
    /// From one window to the next, in samples.
    pub rows: usize,
    /// How many copies of the channels of a frame stand beside each other in the window; 1 for a
    /// window of plain samples.
    pub order: usize,
    /// From one copy to the next, in samples.
    pub lag: usize,
    /// How many of the newest samples are no part of the window.
    pub unused: usize,
}

impl Hop {
    /// How many samples a window of `rows` rows rests on.
    pub fn window_rows(&self, rows: usize) -> usize {
        rows + (self.order - 1) * self.lag + self.unused
    }
}

impl Spec {
    /// Samples of a regular stream, at most `rows` in a frame.
    pub fn samples(channels: Vec<Channel>, rate_hz: f64, rows: usize) -> Self {
        let cols = channels.len();
        Self {
            payload: Payload::Samples,
            rows,
            cols,
            rate_hz,
            channels,
            classes: Vec::new(),
            hop: None,
        }
    }

    /// Markers.
    pub fn markers() -> Self {
        Self {
            payload: Payload::Markers,
            rows: 0,
            cols: 0,
            rate_hz: 0.0,
            channels: Vec::new(),
            classes: Vec::new(),
            hop: None,
        }
    }

    /// The most rows that a frame holds, and its columns.
    pub fn frame_shape(&self) -> (usize, usize) {
        match self.hop {
            Some(hop) => (hop.rows, self.cols / hop.order),
            None => (self.rows, self.cols),
        }
    }

    /// How many frames it takes until the first window is complete.
    pub fn frames_per_window(&self) -> usize {
        self.hop.map_or(1, |hop| hop.window_rows(self.rows).div_ceil(hop.rows.max(1)))
    }

    /// An empty frame with room for the largest frame of this spec and for the text of a marker,
    /// which windows cut at markers, and what is made of them, carry on.
    pub fn frame(&self) -> Frame {
        let (rows, cols) = self.frame_shape();
        Frame {
            input: 0,
            span: Span::default(),
            flags: Flags::NONE,
            rows: 0,
            cols,
            data: Vec::with_capacity(rows * cols),
            text: String::with_capacity(self.text_bytes()),
            model: 0,
        }
    }

    /// The longest text of a frame.
    pub fn text_bytes(&self) -> usize {
        match self.payload {
            // A label for each row.
            Payload::Ranking => self.rows.max(1) * (MAX_LABEL_BYTES + 1),
            // A word for each code.
            Payload::Text => MAX_MARKER_BYTES.max(self.cols * (MAX_WORD_BYTES + 1)),
            _ => MAX_MARKER_BYTES,
        }
    }
}

/// Which samples a frame rests on, and when they were taken and seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Span {
    /// Index of the oldest sample; indices count from the start of the source and are never reused.
    pub first: u64,
    /// Index of the newest sample.
    pub last: u64,
    /// Time of the oldest sample, seconds on the LSL clock.
    pub first_s: f64,
    /// Time of the newest sample, seconds on the LSL clock.
    pub last_s: f64,
    /// When the newest sample arrived in this process, seconds on the LSL clock.
    pub arrived_s: f64,
}

/// Marks on a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// No mark.
    pub const NONE: Self = Self(0);
    /// Samples are missing between the frame before and this one.
    pub const GAP: Self = Self(1);
    /// Some numbers are not to be trusted: a NaN was replaced, a stage failed.
    pub const BAD: Self = Self(2);
    /// The last frame of a stream; it carries no numbers.
    pub const END: Self = Self(4);
    /// Samples are missing before this frame, and it is to be taken as if they were not; in place
    /// of GAP.
    pub const BRIDGE: Self = Self(8);
    /// The decision came after its deadline.
    pub const LATE: Self = Self(16);
    /// The cheaper branch answered, because the deadline left no time for the main one.
    pub const DEGRADED: Self = Self(32);
    /// Samples of a window on which nothing is to be decided: see [`Hop`].
    pub const PART: Self = Self(64);

    /// These marks without those of `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all marks of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// One block of numbers on its way, row by row (time-major).
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// By which of its inputs the frame reached the stage: 0 for the first `from`.
    pub input: usize,
    /// The samples it rests on.
    pub span: Span,
    /// Marks.
    pub flags: Flags,
    /// Number of rows in `data`.
    pub rows: usize,
    /// Number of columns in `data`.
    pub cols: usize,
    /// `rows * cols` numbers, row by row.
    pub data: Vec<f64>,
    /// The text of a marker, the labels of a ranking, the words of a text.
    pub text: String,
    /// The first half of the SHA-256 of the model that others have trained and that made it; 0 if none did.
    pub model: u128,
}

impl Frame {
    /// Row `r`: one sample across channels.
    pub fn row(&self, r: usize) -> &[f64] {
        &self.data[r * self.cols..(r + 1) * self.cols]
    }

    /// When the sample in row `r` was taken: the times between the ends are spread evenly.
    pub fn time_of(&self, r: usize) -> f64 {
        let Span { first_s, last_s, .. } = self.span;
        if r + 1 == self.rows {
            return last_s;
        }
        first_s + (last_s - first_s) * r as f64 / (self.rows - 1) as f64
    }

    /// Gives the frame `rows` x `cols` zeros; allocates only beyond the capacity it was made with.
    pub fn resize(&mut self, rows: usize, cols: usize) {
        self.rows = rows;
        self.cols = cols;
        self.data.resize(rows * cols, 0.0);
    }

    /// Makes this frame equal to `other`; allocates only beyond its capacity.
    pub fn copy_from(&mut self, other: &Frame) {
        self.copy_head(other);
        self.rows = other.rows;
        self.cols = other.cols;
        self.data.clear();
        self.data.extend_from_slice(&other.data);
    }

    /// Takes over everything but the numbers: span, flags, text, model.
    pub fn copy_head(&mut self, other: &Frame) {
        self.model = other.model;
        self.input = other.input;
        self.span = other.span;
        self.flags = other.flags;
        self.text.clear();
        self.text.push_str(&other.text);
    }
}
