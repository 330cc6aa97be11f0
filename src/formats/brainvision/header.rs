//! The header of a BrainVision recording: in go the bytes of a .vhdr, out comes a [`Header`].

use crate::error::{Error, Result};
use crate::frame::Channel;

/// The most channels that a header may claim; the largest amplifiers have some hundreds.
const MOST_CHANNELS: usize = 65_536;

/// How numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 16 bit integers.
    Int16,
    /// 32 bit integers.
    Int32,
    /// 32 bit floats.
    Float32,
    /// Text: lines to skip at the top, columns to skip on the left, and whether the decimal mark is
    /// a comma.
    Ascii {
        /// Lines before the first number.
        skip_lines: usize,
        /// Columns before the first number.
        skip_columns: usize,
        /// Whether the decimal mark is a comma.
        comma: bool,
    },
}

/// What the header says.
pub struct Header {
    /// The file of the data, as named.
    pub data_file: String,
    /// The file of the markers, as named; empty where there is none.
    pub marker_file: String,
    /// How numbers are stored.
    pub format: Format,
    /// Whether numbers have their most significant byte first.
    pub big_endian: bool,
    /// Whether the data go channel by channel instead of sample by sample.
    pub vectorized: bool,
    /// Number of rows, where stated.
    pub points: Option<usize>,
    /// Samples per second.
    pub rate_hz: f64,
    /// The channels; never none.
    pub channels: Vec<Channel>,
    /// What each channel's stored numbers are multiplied by.
    pub resolutions: Vec<f64>,
}

impl Header {
    /// Reads a header.
    pub fn parse(bytes: &[u8], warnings: &mut Vec<String>) -> Result<Self> {
        if !super::is_header(&bytes[..bytes.len().min(64)]) {
            return Err(Error::input("not a BrainVision header: its first line does not say so"));
        }
        let ini = Ini::parse(&decode(bytes, warnings));
        let common = |key: &str| ini.get("common infos", key).unwrap_or_default();
        let number = |key: &str| -> Result<f64> {
            let text = common(key);
            text.parse().ok().filter(|v: &f64| v.is_finite()).ok_or_else(|| {
                Error::input(format!("{key}={text} in [Common Infos], a number was expected"))
            })
        };
        let interval_us = number("SamplingInterval")?;
        let rate_hz = 1e6 / interval_us;
        if interval_us <= 0.0 || !rate_hz.is_finite() {
            return Err(Error::input(format!("SamplingInterval={interval_us} in [Common Infos]")));
        }
        let vectorized = match common("DataOrientation").to_uppercase().as_str() {
            "MULTIPLEXED" | "" => false,
            "VECTORIZED" => true,
            other => {
                return Err(Error::input(format!(
                    "DataOrientation={other} in [Common Infos], MULTIPLEXED or VECTORIZED was \
                     expected"
                )));
            }
        };
        let domain = common("DataType");
        if !domain.is_empty() && !domain.eq_ignore_ascii_case("TIMEDOMAIN") {
            return Err(Error::input(format!("DataType={domain}, only TIMEDOMAIN can be read")));
        }
        let count: usize = match common("NumberOfChannels").parse() {
            Ok(count) if (1..=MOST_CHANNELS).contains(&count) => count,
            _ => {
                return Err(Error::input(format!(
                    "NumberOfChannels={} in [Common Infos], 1 to {MOST_CHANNELS} were expected",
                    common("NumberOfChannels")
                )));
            }
        };
        let format = format(&ini)?;
        let big_endian = ini
            .get("binary infos", "UseBigEndianOrder")
            .is_some_and(|v| v.eq_ignore_ascii_case("yes"));
        let (channels, resolutions) = channels(&ini, count, warnings)?;
        Ok(Self {
            data_file: common("DataFile").to_string(),
            marker_file: common("MarkerFile").to_string(),
            format,
            big_endian,
            vectorized,
            points: common("DataPoints").parse().ok(),
            rate_hz,
            channels,
            resolutions,
        })
    }
}

fn format(ini: &Ini) -> Result<Format> {
    let name = ini.get("common infos", "DataFormat").unwrap_or("BINARY");
    match name.to_uppercase().as_str() {
        "BINARY" => match ini.get("binary infos", "BinaryFormat").unwrap_or_default() {
            "INT_16" => Ok(Format::Int16),
            "INT_32" => Ok(Format::Int32),
            "IEEE_FLOAT_32" => Ok(Format::Float32),
            other => Err(Error::input(format!(
                "BinaryFormat={other} in [Binary Infos], INT_16, INT_32 or IEEE_FLOAT_32 was \
                 expected"
            ))),
        },
        "ASCII" => {
            let skip = |key| ini.get("ascii infos", key).and_then(|v| v.parse().ok()).unwrap_or(0);
            Ok(Format::Ascii {
                skip_lines: skip("SkipLines"),
                skip_columns: skip("SkipColumns"),
                comma: ini.get("ascii infos", "DecimalSymbol") == Some(","),
            })
        }
        other => Err(Error::input(format!(
            "DataFormat={other} in [Common Infos], BINARY or ASCII was expected"
        ))),
    }
}

fn channels(
    ini: &Ini,
    count: usize,
    warnings: &mut Vec<String>,
) -> Result<(Vec<Channel>, Vec<f64>)> {
    let mut channels = Vec::with_capacity(count);
    let mut resolutions = Vec::with_capacity(count);
    let mut missing = 0;
    for number in 1..=count {
        let key = format!("Ch{number}");
        let Some(line) = ini.get("channel infos", &key) else {
            missing += 1;
            channels.push(Channel { kind: "EEG".into(), ..Channel::named(key) });
            resolutions.push(1.0);
            continue;
        };
        let mut fields = line.split(',').map(str::trim);
        let label = unescape(fields.next().unwrap_or_default());
        let (_reference, resolution) = (fields.next(), fields.next().unwrap_or_default());
        let unit = match fields.next().unwrap_or_default() {
            "" => "µV",
            unit => unit,
        };
        let resolution = match resolution {
            "" => Some(1.0),
            text => text.parse().ok().filter(|r: &f64| r.is_finite()),
        };
        resolutions.push(resolution.ok_or_else(|| {
            Error::input(format!("{key}={line} in [Channel Infos]: the resolution is no number"))
        })?);
        channels.push(Channel {
            kind: kind(&label, unit).into(),
            unit: unit.to_string(),
            ..Channel::named(label)
        });
    }
    if missing > 0 {
        warnings.push(format!(
            "[Channel Infos] describes {} of {count} channels; the units of the others are unknown",
            count - missing
        ));
    }
    Ok((channels, resolutions))
}

/// The type of a channel: what its unit or the start of its label tells, else `EEG`.
fn kind(label: &str, unit: &str) -> &'static str {
    if !unit.ends_with('V') {
        return "MISC";
    }
    let label = label.to_uppercase();
    match label.as_str() {
        l if l.contains("EOG") => "EOG",
        l if l.starts_with("ECG") || l.starts_with("EKG") => "ECG",
        l if l.starts_with("EMG") => "EMG",
        _ => "EEG",
    }
}

/// A comma in a text is written as `\1`.
pub fn unescape(text: &str) -> String {
    text.replace("\\1", ",")
}

/// Decodes a header or marker file: UTF-8 where it is, else Latin-1, the older standard.
pub fn decode(bytes: &[u8], warnings: &mut Vec<String>) -> String {
    let latin1 = || -> String { bytes.iter().map(|b| char::from(*b)).collect() };
    let text = latin1();
    let page = text
        .lines()
        .find_map(|l| l.trim().strip_prefix("Codepage="))
        .map(|p| p.trim().to_uppercase())
        .unwrap_or_default();
    match page.as_str() {
        "" | "UTF-8" | "UTF8" => match std::str::from_utf8(bytes) {
            Ok(utf8) => utf8.trim_start_matches('\u{feff}').to_string(),
            Err(_) => latin1(),
        },
        "ANSI" | "LATIN-1" | "LATIN1" | "ISO-8859-1" | "CP1252" | "WINDOWS-1252" => text,
        _ if bytes.is_ascii() => text,
        _ => {
            warnings.push(format!("Codepage={page} is not known; read as Latin-1"));
            text
        }
    }
}

/// Sections, keys and values up to `[Comment]`; sections and keys in lower case.
struct Ini {
    entries: std::collections::HashMap<(String, String), String>,
}

impl Ini {
    fn parse(text: &str) -> Self {
        let mut entries = std::collections::HashMap::new();
        let mut section = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = name.to_lowercase();
                if section == "comment" {
                    break;
                }
            } else if !line.starts_with(';')
                && let Some((key, value)) = line.split_once('=')
            {
                let key = (section.clone(), key.trim().to_lowercase());
                entries.entry(key).or_insert_with(|| value.trim().to_string());
            }
        }
        Self { entries }
    }

    fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.entries.get(&(section.to_string(), key.to_lowercase())).map(String::as_str)
    }
}
