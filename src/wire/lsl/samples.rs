//! The samples of a stream as bytes, as protocol 1.10 sends them behind its handshake.
//!
//! A sample is a tag, a time stamp if the tag says so, and one value per channel:
//!
//! ```text
//! 1                            values    its time is the last one's plus one period
//! 2, seconds (64-bit float)    values    its time on the sender's clock
//! ```
//!
//! A number is as wide as its format; a text is the width of its length (1, 2, 4 or 8), its length,
//! and its bytes. Both sides have agreed on the byte order. Nothing of this is trusted: bytes that
//! make no sense and samples that are too long are errors, and memory grows only with what came.

use super::Format;
use std::fmt::Write as _;
use std::ops::Range;

/// The longest sample, in bytes; only texts can be as long.
const LONGEST: usize = 16 << 20;
/// The buffer has room for what comes in this time, so that one call brings a whole block, ...
const BUFFER_S: f64 = 0.04;
/// ... and between so many bytes.
const BUFFER_BYTES: (usize, usize) = (64 << 10, 4 << 20);

const DEDUCED: u8 = 1;
const STAMPED: u8 = 2;

/// The time of the two samples with which a sender shows that both sides mean the same.
const TEST_STAMP_S: f64 = 123_456.789;

/// What is wrong with the bytes of a stream.
pub type Nonsense = &'static str;

/// How the samples of one stream are laid out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layout {
    /// What a value is.
    pub format: Format,
    /// Values in a sample.
    pub channels: usize,
    /// Samples per second; 0 for an irregular stream.
    pub rate_hz: f64,
    /// Whether the bytes are in the other order than this machine's.
    pub swapped: bool,
}

/// Where a sample lies in some bytes.
struct Cut {
    /// `None` when it has to be deduced.
    stamp_s: Option<f64>,
    values: Range<usize>,
}

impl Layout {
    /// Bytes of a number; `None` for texts, which are as long as they are.
    pub fn width(&self) -> Option<usize> {
        match self.format {
            Format::Int8 => Some(1),
            Format::Int16 => Some(2),
            Format::Float32 | Format::Int32 => Some(4),
            Format::Double64 | Format::Int64 => Some(8),
            Format::String => None,
        }
    }

    /// Finds the sample at the start of `bytes`; `None` while its end has not come.
    fn cut(&self, bytes: &[u8]) -> Result<Option<Cut>, Nonsense> {
        let (stamp_s, start) = match bytes.first() {
            None => return Ok(None),
            Some(&DEDUCED) => (None, 1),
            Some(&STAMPED) => match bytes.get(1..9) {
                None => return Ok(None),
                // A time that is no number is as good as not sent.
                Some(stamp) => (Some(self.stamp_s(stamp)).filter(|s| s.is_finite()), 9),
            },
            Some(_) => return Err("a sample begins with an unknown tag"),
        };
        let end = match self.width() {
            Some(width) => start + self.channels * width,
            None => match self.end_of_texts(bytes, start)? {
                Some(end) => end,
                None => return Ok(None),
            },
        };
        Ok((end <= bytes.len()).then_some(Cut { stamp_s, values: start..end }))
    }

    fn stamp_s(&self, bytes: &[u8]) -> f64 {
        f64::from_bits(self.unsigned(bytes))
    }

    /// Where the texts of a sample end that begin at `at`; `None` while the last length has not come.
    fn end_of_texts(&self, bytes: &[u8], at: usize) -> Result<Option<usize>, Nonsense> {
        let mut end = at;
        for _ in 0..self.channels {
            match self.text_at(bytes, end)? {
                Some(text) => end = text.end,
                None => return Ok(None),
            }
        }
        Ok(Some(end))
    }

    /// Where the text lies whose length begins at `at`; `None` while its length has not come.
    fn text_at(&self, bytes: &[u8], at: usize) -> Result<Option<Range<usize>>, Nonsense> {
        let Some(&width) = bytes.get(at) else { return Ok(None) };
        if !matches!(width, 1 | 2 | 4 | 8) {
            return Err("the length of a text has an unknown width");
        }
        let start = at + 1 + usize::from(width);
        let Some(length) = bytes.get(at + 1..start) else { return Ok(None) };
        let end = self.unsigned(length).saturating_add(start as u64);
        if end > LONGEST as u64 {
            return Err("a sample is longer than 16 MiB");
        }
        Ok(Some(start..end as usize))
    }

    /// A number without sign of up to eight bytes.
    fn unsigned(&self, bytes: &[u8]) -> u64 {
        let little = cfg!(target_endian = "little") != self.swapped;
        let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) }
    }

    /// Writes the numbers among `values` to `out`; texts are NaN.
    fn numbers(&self, values: &[u8], out: &mut [f64]) {
        fn each<const N: usize>(
            values: &[u8],
            swapped: bool,
            out: &mut [f64],
            number: impl Fn([u8; N]) -> f64,
        ) {
            let values = out.iter_mut().zip(values.as_chunks().0);
            if swapped {
                values.for_each(|(out, v)| *out = number(std::array::from_fn(|i| v[N - 1 - i])));
            } else {
                values.for_each(|(out, v)| *out = number(*v));
            }
        }
        let swapped = self.swapped;
        match self.format {
            Format::Float32 => each(values, swapped, out, |v| f64::from(f32::from_ne_bytes(v))),
            Format::Double64 => each(values, swapped, out, f64::from_ne_bytes),
            Format::Int8 => each(values, swapped, out, |v| f64::from(i8::from_ne_bytes(v))),
            Format::Int16 => each(values, swapped, out, |v| f64::from(i16::from_ne_bytes(v))),
            Format::Int32 => each(values, swapped, out, |v| f64::from(i32::from_ne_bytes(v))),
            Format::Int64 => each(values, swapped, out, |v| i64::from_ne_bytes(v) as f64),
            Format::String => out.fill(f64::NAN),
        }
    }

    /// Appends the first channel of a sample as text.
    fn text(&self, values: &[u8], out: &mut String) {
        if self.width().is_none() {
            return self.texts(values).take(1).for_each(|text| push_lossy(text, out));
        }
        let mut first = [0.0];
        self.numbers(values, &mut first);
        let written = match self.format {
            // As short as the number was meant.
            Format::Float32 => write!(out, "{}", first[0] as f32),
            _ => write!(out, "{}", first[0]),
        };
        debug_assert!(written.is_ok(), "a string takes everything");
    }

    fn texts<'a>(&self, values: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let (layout, mut at) = (*self, 0);
        std::iter::from_fn(move || {
            let text = layout.text_at(values, at).ok()??;
            at = text.end;
            values.get(text)
        })
    }
}

/// Appends UTF-8, with the usual sign in place of what is none.
fn push_lossy(bytes: &[u8], out: &mut String) {
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Takes bytes as they come and gives samples. Between two calls that bring bytes it keeps less than
/// one sample.
pub struct Reader {
    layout: Layout,
    buffer: Vec<u8>,
    /// What came and was not used yet.
    unread: Range<usize>,
    /// The values of the last sample.
    values: Range<usize>,
    period_s: f64,
    last_s: f64,
}

impl Reader {
    /// A reader for `layout`.
    pub fn new(layout: Layout) -> Self {
        let sample = 9 + layout.channels * layout.width().unwrap_or(64);
        let wanted = (layout.rate_hz * BUFFER_S * sample as f64) as usize;
        let size = wanted.clamp(BUFFER_BYTES.0, BUFFER_BYTES.1).max(2 * sample);
        let period_s = if layout.rate_hz > 0.0 { 1.0 / layout.rate_hz } else { 0.0 };
        Self { layout, buffer: vec![0; size], unread: 0..0, values: 0..0, period_s, last_s: 0.0 }
    }

    /// The next sample without a time stamp was taken at `at_s`, on the sender's clock.
    pub fn begin(&mut self, at_s: f64) {
        self.last_s = at_s - self.period_s;
    }

    /// Where the bytes that come next belong, at least one; [`Reader::came`] says how many came.
    /// Call it when [`Reader::next_sample`] gave nothing; it forgets the last sample.
    pub fn room(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        self.values = 0..0;
        if self.unread.end == self.buffer.len() {
            // Half a text fills the buffer. It may double, for `cut` bounds a sample.
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        &mut self.buffer[self.unread.end..]
    }

    /// Says that `n` bytes were written to the start of [`Reader::room`].
    pub fn came(&mut self, n: usize) {
        self.unread.end = (self.unread.end + n).min(self.buffer.len());
    }

    /// Takes the next sample that has come as a whole; gives its time on the sender's clock.
    pub fn next_sample(&mut self) -> Result<Option<f64>, Nonsense> {
        let Some(cut) = self.layout.cut(&self.buffer[self.unread.clone()])? else {
            return Ok(None);
        };
        let start = self.unread.start;
        self.values = start + cut.values.start..start + cut.values.end;
        self.unread.start = self.values.end;
        self.last_s = cut.stamp_s.unwrap_or(self.last_s + self.period_s);
        Ok(Some(self.last_s))
    }

    /// Appends the numbers of the last sample; texts become NaN.
    pub fn numbers(&self, out: &mut Vec<f64>) {
        let start = out.len();
        out.resize(start + self.layout.channels, 0.0);
        self.layout.numbers(&self.buffer[self.values.clone()], &mut out[start..]);
    }

    /// Appends the first channel of the last sample as text: a marker.
    pub fn text(&self, out: &mut String) {
        self.layout.text(&self.buffer[self.values.clone()], out);
    }

    /// Whether the last sample is the test pattern `offset`: a sender begins with 4 and 2.
    pub fn is_test(&self, offset: i64) -> bool {
        let values = &self.buffer[self.values.clone()];
        let sign = |k: i64| if k % 2 == 0 { 1 } else { -1 };
        let channels = self.layout.channels as i64;
        if self.layout.format == Format::String {
            let wanted = (0..channels).map(|k| ((k + 10) * sign(k)).to_string());
            return self.last_s == TEST_STAMP_S
                && self.layout.texts(values).eq(wanted.map(String::into_bytes));
        }
        let (base, modulus) = match self.layout.format {
            Format::Float32 | Format::String => (0, i64::MAX),
            Format::Double64 => (16_777_217, i64::MAX),
            Format::Int8 => (1, 127),
            Format::Int16 => (257, 32_767),
            Format::Int32 => (65_537, 2_147_483_647),
            Format::Int64 => (2_147_483_649, i64::MAX),
        };
        let wanted = (0..channels).map(|k| ((k + offset + base) % modulus * sign(k)) as f64);
        let mut numbers = Vec::new();
        self.numbers(&mut numbers);
        self.last_s == TEST_STAMP_S && numbers.into_iter().eq(wanted)
    }
}

#[cfg(test)]
mod tests;
