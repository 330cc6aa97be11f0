//! The chunks of an XDF file: in go bytes, out come streams with the time stamps of their devices.
//!
//! A chunk is `[length] [tag: u16] [content]`; a length is the number of bytes it is made of (1, 4
//! or 8) and then that many bytes. Tags: 1 file header, 2 stream header, 3 samples, 4 clock offset,
//! 5 boundary, 6 stream footer; 2, 3, 4 and 6 begin with the id of the stream (u32).

use super::clock::Offset;
use super::info::{Format, Info, footer_count};

/// The content of every boundary chunk.
const BOUNDARY: [u8; 16] = [
    0x43, 0xA5, 0x46, 0xDC, 0xCB, 0xF5, 0x41, 0x0F, 0xB3, 0x0E, 0xD5, 0x46, 0x73, 0x83, 0xCB, 0xE4,
];

/// The most damaged chunks that are worth a warning each.
const MOST_WARNINGS: usize = 20;

/// A stream as it is in the file.
pub struct Raw {
    id: u32,
    /// Its header.
    pub info: Info,
    /// One time stamp for each sample, on the clock of its device.
    pub stamps: Vec<f64>,
    /// Its numbers or texts.
    pub values: Values,
    /// The measured offsets of its clock.
    pub offsets: Vec<Offset>,
    /// The number of samples in its footer.
    pub footer_count: Option<usize>,
    last_stamp: f64,
}

/// Numbers row by row, or one text for each sample.
pub enum Values {
    /// Numbers.
    Numbers(Vec<f64>),
    /// Texts.
    Texts(Vec<String>),
}

impl Raw {
    /// Keeps the first `rows` samples.
    pub fn truncate(&mut self, rows: usize) {
        self.stamps.truncate(rows);
        match &mut self.values {
            Values::Numbers(values) => values.truncate(rows * self.info.channels.len()),
            Values::Texts(texts) => texts.truncate(rows),
        }
    }
}

/// Reads all chunks.
pub fn read(bytes: &[u8], warnings: &mut Vec<String>) -> Vec<Raw> {
    let mut reader =
        Reader { streams: Vec::new(), channels_left: bytes.len(), warnings, warned: 0 };
    let mut at = 4;
    while at < bytes.len() {
        let start = at;
        match chunk(bytes, at) {
            Some((content, tag, end)) => {
                if let Err(why) = reader.chunk(tag, content) {
                    reader.warn(format!("chunk at byte {start}: {why}"));
                }
                at = end;
            }
            None => {
                // Behind a damaged length other chunks may follow; behind a cut one there is
                // nothing, but its own beginning can be read.
                let resume = find_boundary(bytes, at + 1);
                let what = match (resume, cut_chunk(bytes, at)) {
                    (Some(to), _) => format!("reading goes on behind byte {to}, after a boundary"),
                    (None, Some((content, tag))) => {
                        reader.chunk(tag, content).err().unwrap_or_default()
                    }
                    (None, None) => "nothing of it can be read".to_string(),
                };
                reader.warn(format!(
                    "the chunk at byte {start} is damaged or cut off by the end of the file at byte \
                     {}: {what}",
                    bytes.len()
                ));
                at = resume.unwrap_or(bytes.len());
            }
        }
    }
    let Reader { streams, warnings, warned, .. } = reader;
    if warned > MOST_WARNINGS {
        warnings.push(format!("{} more chunks could not be read", warned - MOST_WARNINGS));
    }
    streams
}

/// The whole chunk at `at`: its content behind the tag, its tag, and where the next one begins.
fn chunk(bytes: &[u8], at: usize) -> Option<(&[u8], u16, usize)> {
    let (length, body) = varlen(bytes, at)?;
    let end = body.checked_add(usize::try_from(length).ok()?)?;
    let body = bytes.get(body..end)?;
    let (tag, content) = body.split_first_chunk::<2>()?;
    Some((content, u16::from_le_bytes(*tag), end))
}

/// What is left of a chunk that the end of the file cuts off.
fn cut_chunk(bytes: &[u8], at: usize) -> Option<(&[u8], u16)> {
    let (_, body) = varlen(bytes, at)?;
    let (tag, content) = bytes.get(body..)?.split_first_chunk::<2>()?;
    Some((content, u16::from_le_bytes(*tag)))
}

/// The length at `at`, and where the bytes behind it begin.
fn varlen(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let (first, rest) = bytes.get(at..)?.split_first()?;
    let value = match first {
        1 => u64::from(*rest.first()?),
        4 => u64::from(u32::from_le_bytes(*rest.first_chunk()?)),
        8 => u64::from_le_bytes(*rest.first_chunk()?),
        _ => return None,
    };
    Some((value, at + 1 + usize::from(*first)))
}

fn find_boundary(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(16).position(|w| w == BOUNDARY).map(|i| from + i + 16)
}

struct Reader<'a> {
    streams: Vec<Raw>,
    /// How many more channels a file of this size may claim.
    channels_left: usize,
    warnings: &'a mut Vec<String>,
    warned: usize,
}

impl Reader<'_> {
    fn warn(&mut self, text: String) {
        self.warned += 1;
        if self.warned <= MOST_WARNINGS {
            self.warnings.push(text);
        }
    }

    fn chunk(&mut self, tag: u16, content: &[u8]) -> Result<(), String> {
        if !matches!(tag, 2 | 3 | 4 | 6) {
            return Ok(()); // The file header holds a version only; other tags are to be skipped.
        }
        let (id, content) =
            content.split_first_chunk::<4>().ok_or("it is too short to name a stream")?;
        let id = u32::from_le_bytes(*id);
        let known = self.streams.iter().position(|s| s.id == id);
        if tag == 2 {
            if known.is_some() {
                return Err(format!("a second header of stream {id} was left out"));
            }
            let info = Info::parse(content, self.channels_left)
                .map_err(|e| format!("stream {id} was left out: {e}"))?;
            self.channels_left -= info.channels.len();
            self.streams.push(Raw {
                id,
                values: match info.format {
                    Format::String => Values::Texts(Vec::new()),
                    _ => Values::Numbers(Vec::new()),
                },
                info,
                stamps: Vec::new(),
                offsets: Vec::new(),
                footer_count: None,
                last_stamp: 0.0,
            });
            return Ok(());
        }
        let stream = known
            .and_then(|i| self.streams.get_mut(i))
            .ok_or_else(|| format!("no header of stream {id} came before it"))?;
        match tag {
            3 => {
                let before = stream.stamps.len();
                read_samples(stream, content).map_err(|why| {
                    let read = stream.stamps.len() - before;
                    format!("samples of stream \"{}\": {why}; {read} were read", stream.info.name)
                })
            }
            4 => {
                let (time, rest) =
                    content.split_first_chunk().ok_or("a clock offset is cut off")?;
                let value = rest.first_chunk().ok_or("a clock offset is cut off")?;
                stream.offsets.push(Offset {
                    time: f64::from_le_bytes(*time),
                    value: f64::from_le_bytes(*value),
                });
                Ok(())
            }
            _ => {
                stream.footer_count = footer_count(content);
                match stream.footer_count {
                    Some(_) => Ok(()),
                    None => Err(format!("the footer of stream {id} has no sample_count")),
                }
            }
        }
    }
}

/// Appends the samples of one chunk; on an error, those before it stay.
fn read_samples(stream: &mut Raw, content: &[u8]) -> Result<(), String> {
    const CUT: &str = "cut off inside a sample";
    let (count, mut at) = varlen(content, 0).ok_or("their number is damaged")?;
    let cols = stream.info.channels.len();
    let format = stream.info.format;
    let width = format.width().checked_mul(cols).ok_or(CUT)?;
    // A sample takes at least a byte for its stamp; `count` bounds nothing that is allocated.
    let step = if stream.info.rate_hz > 0.0 { 1.0 / stream.info.rate_hz } else { 0.0 };
    for _ in 0..count {
        let stamp = match content.get(at) {
            None => return Err(CUT.into()),
            Some(0) => {
                at += 1;
                stream.last_stamp + step
            }
            Some(8) => {
                let bytes = content.get(at + 1..at + 9).and_then(|b| b.first_chunk());
                at += 9;
                f64::from_le_bytes(*bytes.ok_or(CUT)?)
            }
            Some(other) => return Err(format!("a time stamp of {other} bytes")),
        };
        match &mut stream.values {
            Values::Numbers(values) => {
                let row = content.get(at..).and_then(|c| c.get(..width)).ok_or(CUT)?;
                values.extend(row.chunks_exact(format.width()).map(|b| format.number(b)));
                at += width;
            }
            Values::Texts(texts) => {
                let mut text = String::new();
                for col in 0..cols {
                    let (length, from) = varlen(content, at).ok_or(CUT)?;
                    let length = usize::try_from(length).map_err(|_| CUT)?;
                    let raw = content.get(from..).and_then(|c| c.get(..length)).ok_or(CUT)?;
                    if col > 0 {
                        text.push('\t');
                    }
                    text.push_str(&String::from_utf8_lossy(raw));
                    at = from + length;
                }
                texts.push(text);
            }
        }
        stream.last_stamp = stamp;
        stream.stamps.push(stamp);
    }
    Ok(())
}
