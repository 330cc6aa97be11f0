//! The header of a BCI2000 file: in go bytes, out comes what is needed to read the data.
//!
//! A first line of `Key= value` pairs, then sections of lines: `[ State Vector Definition ]` with one
//! state a line (`Name length value byte bit`), and `[ Parameter Definition ]` with one parameter a
//! line (`Section type Name= value default low high // comment`).
//!
//! A list is its length and then its entries; in place of the length there may be labels in braces.
//! In an entry `%20` stands for a space, and so on; `%` alone is an empty entry. A number may carry a
//! unit: `256Hz`, `0.1muV`.

use super::{MAGICS, is_header};
use crate::error::{Error, Result};
use crate::formats::kind_by_unit;
use crate::frame::Channel;
use std::collections::HashMap;

/// More channels than any amplifier has; a header that claims more is damaged.
const MAX_CHANNELS: usize = 65_536;
/// The longest name of a state that is kept, in bytes, so that it fits into a marker.
const MAX_NAME_BYTES: usize = 200;
/// The longest number with its unit that is looked at, in bytes.
const MAX_NUMBER_BYTES: usize = 64;
/// The longest first line, in bytes.
const MAX_LINE_BYTES: usize = 1024;

/// What the header says.
pub struct Header {
    /// The format, such as `BCI2000 1.1`.
    pub format: &'static str,
    /// How numbers are stored.
    pub number: Number,
    /// Where the first sample begins.
    pub data_offset: usize,
    /// Bytes of the state vector behind each sample.
    pub state_bytes: usize,
    /// Samples per second.
    pub rate_hz: f64,
    /// The channels.
    pub channels: Vec<Channel>,
    /// How the stored numbers of each channel are scaled.
    pub scales: Vec<Scale>,
    /// The states.
    pub states: Vec<State>,
}

/// How numbers are stored.
#[derive(Clone, Copy, PartialEq)]
pub enum Number {
    /// 16 bit integers.
    Int16,
    /// 32 bit integers.
    Int32,
    /// 32 bit floats.
    Float32,
}

impl Number {
    /// Bytes of one number.
    pub fn width(self) -> usize {
        match self {
            Number::Int16 => 2,
            Number::Int32 | Number::Float32 => 4,
        }
    }
}

/// A number is `(stored - offset) * gain`.
pub struct Scale {
    /// The stored value of zero.
    pub offset: f64,
    /// Units for each stored step.
    pub gain: f64,
}

/// A variable in the state vector.
pub struct State {
    /// Its name.
    pub name: String,
    /// Its lowest bit, counted from the lowest bit of the first byte.
    pub first_bit: usize,
    /// How many bits it has: 1 to 64.
    pub bits: usize,
}

impl Header {
    /// Reads the header of a file whose bytes are `bytes`; at least one sample follows it.
    pub fn parse(bytes: &[u8], warnings: &mut Vec<String>) -> Result<Self> {
        if !is_header(bytes) {
            let [new, old] = MAGICS.map(|magic| magic.escape_ascii());
            return Err(Error::input(format!(
                "not a BCI2000 file: it begins neither with \"{new}\" nor with \"{old}\""
            )));
        }
        let head = &bytes[..bytes.len().min(MAX_LINE_BYTES)];
        let line_bytes = head.iter().position(|b| *b == b'\n').unwrap_or(head.len());
        let line = FirstLine::parse(&head[..line_bytes])?;
        if line.header_bytes > bytes.len() {
            return Err(Error::input(format!(
                "the file breaks off inside its header: {} of {} bytes",
                bytes.len(),
                line.header_bytes
            )));
        }
        let held = bytes.len() - line.header_bytes;
        if held < line.row_bytes {
            return Err(Error::input(format!(
                "the file holds no whole sample: {held} bytes from byte {}, a sample of {} channels \
                 and its states has {}",
                line.header_bytes, line.channels, line.row_bytes
            )));
        }
        let text =
            String::from_utf8_lossy(&bytes[line_bytes.min(line.header_bytes)..line.header_bytes]);
        let sections = Sections::split(&text);
        let (channels, scales) = sections.channels(line.channels, warnings);
        Ok(Self {
            format: line.format,
            number: line.number,
            data_offset: line.header_bytes,
            state_bytes: line.state_bytes,
            rate_hz: sections.rate_hz()?,
            channels,
            scales,
            states: sections.states(line.state_bytes, warnings),
        })
    }

    /// Bytes of one sample without its states.
    pub fn sample_bytes(&self) -> usize {
        self.channels.len() * self.number.width()
    }

    /// Bytes of one sample with its states; never 0.
    pub fn row_bytes(&self) -> usize {
        self.sample_bytes() + self.state_bytes
    }
}

/// What the first line says.
struct FirstLine {
    format: &'static str,
    number: Number,
    header_bytes: usize,
    channels: usize,
    state_bytes: usize,
    row_bytes: usize,
}

impl FirstLine {
    fn parse(line: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(line).replace('=', " = ");
        let words: Vec<&str> = text.split_whitespace().collect();
        let value = |key: &str| words.windows(3).find(|w| w[0] == key && w[1] == "=").map(|w| w[2]);
        let number = |key: &str| -> Result<usize> {
            let found = value(key).unwrap_or("missing");
            found.parse().map_err(|_| {
                Error::input(format!(
                    "{key} in the first line is {found}, a whole number was expected"
                ))
            })
        };
        let format = match value("BCI2000V") {
            None | Some("1.0") => "BCI2000 1.0",
            Some("1.1") => "BCI2000 1.1",
            Some(other) => {
                return Err(Error::input(format!(
                    "the file has BCI2000 format {other}; 1.0 and 1.1 can be read, and BCI2000's \
                     own tools convert to them"
                )));
            }
        };
        let kind = match value("DataFormat") {
            None | Some("int16") => Number::Int16,
            Some("int32") => Number::Int32,
            Some("float32") => Number::Float32,
            Some(other) => {
                return Err(Error::input(format!(
                    "DataFormat is {other}, expected int16, int32 or float32"
                )));
            }
        };
        let channels = number("SourceCh")?;
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(Error::input(format!(
                "SourceCh in the first line is {channels}, expected 1 to {MAX_CHANNELS}"
            )));
        }
        let state_bytes = number("StatevectorLen")?;
        let row_bytes = (channels * kind.width())
            .checked_add(state_bytes)
            .ok_or_else(|| Error::input("StatevectorLen in the first line is beyond any size"))?;
        let header_bytes = number("HeaderLen")?;
        Ok(Self { format, number: kind, header_bytes, channels, state_bytes, row_bytes })
    }
}

/// The lines behind the first.
struct Sections<'a> {
    states: Vec<&'a str>,
    /// What stands behind the `Name=` of each parameter.
    parameters: HashMap<&'a str, &'a str>,
}

impl<'a> Sections<'a> {
    fn split(text: &'a str) -> Self {
        let mut found = Self { states: Vec::new(), parameters: HashMap::new() };
        let mut section = "";
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = name.trim();
            } else if section == "State Vector Definition" {
                found.states.push(line);
            } else if section == "Parameter Definition"
                && let Some((head, value)) = line.split_once('=')
                && let Some(name) = head.split_whitespace().next_back()
            {
                found.parameters.entry(name).or_insert(value);
            }
        }
        found
    }

    fn rate_hz(&self) -> Result<f64> {
        let value = self.parameters.get("SamplingRate").ok_or_else(|| {
            Error::input(
                "the header has no SamplingRate, without which its samples have no times; add a line \
                 such as `Source int SamplingRate= 256Hz` to its parameters and correct HeaderLen",
            )
        })?;
        let word = value.split_whitespace().next().unwrap_or_default();
        let rate_hz = match quantity(word) {
            Some((rate, "" | "Hz")) => rate,
            Some((rate, "kHz")) => rate * 1e3,
            _ => f64::NAN,
        };
        if (1e-3..=1e9).contains(&rate_hz) {
            return Ok(rate_hz);
        }
        Err(Error::input(format!(
            "SamplingRate is \"{}\", expected a rate such as 256 or 256Hz",
            cut(word)
        )))
    }

    /// The `n` channels and their scales; what is missing or odd is warned of.
    fn channels(&self, n: usize, warnings: &mut Vec<String>) -> (Vec<Channel>, Vec<Scale>) {
        let names = self.list("ChannelNames", n).unwrap_or_else(|why| {
            warnings.push(format!("{why}; the channels were numbered"));
            vec![String::new(); n]
        });
        let gains = self.quantities("SourceChGain", n).unwrap_or_else(|why| {
            warnings.push(format!("{why}; the numbers are as stored, their unit is unknown"));
            vec![(1.0, None); n]
        });
        let offsets = self.quantities("SourceChOffset", n).unwrap_or_else(|why| {
            warnings.push(format!("{why}; the offsets were taken to be 0"));
            vec![(0.0, None); n]
        });
        let scales = gains.iter().zip(&offsets);
        let scales = scales.map(|((gain, _), (offset, _))| Scale { offset: *offset, gain: *gain });
        let scales = scales.collect();
        let named = names.into_iter().zip(gains).enumerate();
        let channels = named.map(|(i, (name, (_, unit)))| {
            let label = if name.is_empty() { (i + 1).to_string() } else { name };
            let unit = unit.unwrap_or_default();
            Channel { kind: kind_by_unit(&unit).into(), unit, ..Channel::named(label) }
        });
        (channels.collect(), scales)
    }

    /// The `n` numbers of the list `name`, each with its unit.
    fn quantities(&self, name: &str, n: usize) -> Result<Vec<(f64, Option<String>)>, String> {
        self.list(name, n)?
            .iter()
            .map(|entry| {
                let (value, unit) = quantity(entry).ok_or_else(|| {
                    format!("{name} holds \"{}\", which is no number", cut(entry))
                })?;
                // `mu` is how BCI2000 writes the Greek letter.
                let unit = match unit {
                    "" | "muV" | "µV" | "μV" => "uV",
                    other => other,
                };
                Ok((value, Some(unit.to_string())))
            })
            .collect()
    }

    /// The entries of the list `name`, if it has `n`.
    fn list(&self, name: &str, n: usize) -> Result<Vec<String>, String> {
        let value = self.parameters.get(name).ok_or_else(|| format!("the header has no {name}"))?;
        let mut words = value.split_whitespace().take_while(|word| *word != "//");
        let count = match words.next() {
            Some("{") => Some(words.by_ref().take_while(|word| *word != "}").count()),
            Some(word) => word.parse().ok(),
            None => None,
        };
        let count = count.ok_or_else(|| format!("{name} is not a list"))?;
        if count != n {
            return Err(format!("{name} has {count} entries for {n} channels"));
        }
        let entries: Vec<String> = words.take(n).map(decode).collect();
        match entries.len() == n {
            true => Ok(entries),
            false => Err(format!("{name} breaks off behind {} of {n} entries", entries.len())),
        }
    }

    /// The states that lie within a vector of `bytes`. Together they have no more bits than it.
    fn states(&self, bytes: usize, warnings: &mut Vec<String>) -> Vec<State> {
        let mut left = bytes.saturating_mul(8);
        let mut states = Vec::new();
        let mut odd = Vec::new();
        for line in &self.states {
            match state(line, bytes).filter(|s| s.bits <= left) {
                Some(state) => {
                    left -= state.bits;
                    states.push(state);
                }
                None => odd.push(*line),
            }
        }
        if let Some(first) = odd.first() {
            warnings.push(format!(
                "{} states were left out, the first is \"{}\": expected a name, a length of 1 to 64 \
                 bits, a value, and a byte and a bit within the {bytes} bytes of the state vector",
                odd.len(),
                cut(first)
            ));
        }
        states
    }
}

/// One line of the state vector's definition.
fn state(line: &str, bytes: usize) -> Option<State> {
    let mut words = line.split_whitespace();
    let name = words.next().filter(|name| name.len() <= MAX_NAME_BYTES)?;
    let bits: usize = words.next()?.parse().ok()?;
    let _initial = words.next()?;
    let byte: usize = words.next()?.parse().ok()?;
    let bit: usize = words.next()?.parse().ok()?;
    let first_bit = byte.checked_mul(8)?.checked_add(bit)?;
    let fits = (1..=64).contains(&bits) && first_bit.checked_add(bits)? <= bytes.checked_mul(8)?;
    fits.then(|| State { name: decode(name), first_bit, bits })
}

/// A finite number, and the unit written behind it.
fn quantity(word: &str) -> Option<(f64, &str)> {
    if word.len() > MAX_NUMBER_BYTES {
        return None;
    }
    let ends = (1..=word.len()).rev().filter(|end| word.is_char_boundary(*end));
    let mut read = ends.filter_map(|end| Some((word[..end].parse::<f64>().ok()?, &word[end..])));
    read.next().filter(|(value, _)| value.is_finite())
}

/// An entry without its percent signs.
fn decode(entry: &str) -> String {
    if entry == "%" {
        return String::new();
    }
    let mut bytes = Vec::with_capacity(entry.len());
    let mut rest = entry.as_bytes();
    while let [first, behind @ ..] = rest {
        let code = match (first, behind) {
            (b'%', [a, b, ..]) => char::from(*a).to_digit(16).zip(char::from(*b).to_digit(16)),
            _ => None,
        };
        bytes.push(code.map_or(*first, |(high, low)| (high * 16 + low) as u8));
        rest = if code.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The beginning of a text, for messages.
fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}
