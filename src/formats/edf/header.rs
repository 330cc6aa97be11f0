//! The header of EDF and BDF files: in go bytes, out comes what is needed to read the data records.
//!
//! All fields are text of fixed width, padded with spaces: 256 bytes for the file, then 256 for
//! each signal, field by field (all labels, then all transducers, and so on).

use super::{BDF_MAGIC, EDF_MAGIC};
use crate::error::{Error, Result};
use crate::formats::kind_by_unit;
use crate::frame::Channel;

/// The type of a channel that holds trigger codes.
pub const TRIGGER: &str = "STIM";

/// First words of a label, and the channel types they stand for.
const KINDS: [(&str, &str); 13] = [
    ("EEG", "EEG"),
    ("EOG", "EOG"),
    ("ECG", "ECG"),
    ("EKG", "ECG"),
    ("EMG", "EMG"),
    ("SEEG", "SEEG"),
    ("ECOG", "ECOG"),
    ("DBS", "DBS"),
    ("RESP", "RESP"),
    ("TEMP", "TEMP"),
    ("EVENT", "MISC"),
    ("MISC", "MISC"),
    ("SAO2", "MISC"),
];

/// What the header says.
pub struct Header {
    /// The format, such as `EDF+C`.
    pub format: &'static str,
    /// Whether records may have gaps between them.
    pub discontinuous: bool,
    /// Bytes of one sample: 2 or 3.
    pub width: usize,
    /// Where the first data record begins.
    pub data_offset: usize,
    /// Bytes of a data record.
    pub record_bytes: usize,
    /// Seconds of a data record.
    pub record_s: f64,
    /// How many records the header claims; nothing when it says -1.
    pub claimed_records: Option<u64>,
    /// The signals, annotations included.
    pub signals: Vec<Signal>,
}

/// One signal of a file.
pub struct Signal {
    /// Its label, type and unit.
    pub channel: Channel,
    /// Whether it holds text instead of numbers.
    pub is_annotations: bool,
    /// Samples in a data record.
    pub per_record: usize,
    /// Where it begins in a data record.
    pub offset: usize,
    /// Physical units for each digital step.
    pub gain: f64,
    /// The physical value of digital zero.
    pub zero: f64,
}

impl Header {
    /// Reads the header at the start of `bytes`.
    pub fn parse(bytes: &[u8], warnings: &mut Vec<String>) -> Result<Self> {
        if !bytes.starts_with(EDF_MAGIC) && !bytes.starts_with(BDF_MAGIC) {
            return Err(Error::input("neither an EDF nor a BDF file"));
        }
        let is_bdf = bytes.starts_with(BDF_MAGIC);
        if bytes.len() < 256 {
            return Err(Error::input(format!(
                "the file breaks off inside its header: {} of 256 bytes",
                bytes.len()
            )));
        }
        let reserved = text(&bytes[192..236]);
        let (format, discontinuous) = match (is_bdf, reserved.get(..5)) {
            (false, Some("EDF+C")) => ("EDF+C", false),
            (false, Some("EDF+D")) => ("EDF+D", true),
            (true, Some("BDF+C")) => ("BDF+C", false),
            (true, Some("BDF+D")) => ("BDF+D", true),
            (false, _) => ("EDF", false),
            (true, _) => ("BDF", false),
        };
        let count: usize = number(&bytes[252..256], "number of signals", 252)?;
        let data_offset = 256 + 256 * count; // The field has 4 digits.
        if bytes.len() < data_offset {
            return Err(Error::input(format!(
                "the header claims {count} signals and so {data_offset} bytes of header, the file \
                 has {}",
                bytes.len()
            )));
        }
        match number::<usize>(&bytes[184..192], "size of the header", 184) {
            Ok(size) if size == data_offset => {}
            _ => warnings.push(format!(
                "the header gives its size as \"{}\" (byte 184); with {count} signals it is \
                 {data_offset}",
                text(&bytes[184..192])
            )),
        }
        let claimed: i64 = number(&bytes[236..244], "number of data records", 236)?;
        let mut record_s = real(&bytes[244..252], "duration of a data record", 244)?;
        if record_s == 0.0 {
            warnings.push("the header gives a data record 0 s; 1 s was taken".to_string());
            record_s = 1.0;
        }
        if record_s < 1e-6 {
            return Err(Error::input(format!("a data record lasts {record_s} s (byte 244)")));
        }
        let width = if is_bdf { 3 } else { 2 };
        let signals = signals(&bytes[256..data_offset], count, width, warnings)?;
        let record_bytes = signals.last().map_or(0, |s| s.offset + s.per_record * width);
        Ok(Self {
            format,
            discontinuous,
            width,
            data_offset,
            record_bytes,
            record_s,
            claimed_records: u64::try_from(claimed).ok(),
            signals,
        })
    }
}

fn signals(
    fields: &[u8],
    count: usize,
    width: usize,
    warnings: &mut Vec<String>,
) -> Result<Vec<Signal>> {
    // Field of signal `i` that begins `before` bytes into the 256 that each signal has.
    let field = |i: usize, before: usize, size: usize| {
        let at = before * count + i * size;
        (&fields[at..at + size], 256 + at)
    };
    let mut signals = Vec::with_capacity(count);
    let mut offset: usize = 0;
    for i in 0..count {
        let label = text(field(i, 0, 16).0);
        let per_record: usize = {
            let (raw, at) = field(i, 216, 8);
            number(raw, &format!("number of samples of signal {} \"{label}\"", i + 1), at)?
        };
        let is_annotations = matches!(label.as_str(), "EDF Annotations" | "BDF Annotations");
        let unit = text(field(i, 96, 8).0);
        let (gain, zero) = if is_annotations {
            (1.0, 0.0)
        } else {
            let limit = |what: &str, before| {
                let (raw, at) = field(i, before, 8);
                real(raw, &format!("{what} of signal {} \"{label}\"", i + 1), at)
            };
            let physical = (limit("physical minimum", 104)?, limit("physical maximum", 112)?);
            let digital = (limit("digital minimum", 120)?, limit("digital maximum", 128)?);
            scale(&label, physical, digital, warnings)
        };
        signals.push(Signal {
            channel: Channel {
                kind: kind(&label, &unit).to_string(),
                label: label.trim_end_matches('.').to_string(),
                unit,
                direction: None,
            },
            is_annotations,
            per_record,
            offset,
            gain,
            zero,
        });
        offset = per_record
            .checked_mul(width)
            .and_then(|size| offset.checked_add(size))
            .ok_or_else(|| Error::input("the header claims data records beyond any size"))?;
    }
    Ok(signals)
}

/// Gain and zero. A range that is not defined counts as 1, as in MNE.
fn scale(
    label: &str,
    physical: (f64, f64),
    digital: (f64, f64),
    warnings: &mut Vec<String>,
) -> (f64, f64) {
    let mut steps = digital.1 - digital.0;
    let mut range = physical.1 - physical.0;
    if steps == 0.0 || !steps.is_finite() {
        warnings.push(format!("signal \"{label}\" has no digital range, its scale is unknown"));
        steps = 1.0;
    }
    if range == 0.0 || !range.is_finite() {
        warnings.push(format!("signal \"{label}\" has no physical range, its scale is unknown"));
        range = 1.0;
    }
    let gain = range / steps;
    (gain, physical.0 - digital.0 * gain)
}

/// The type of a channel, from its label and its unit.
fn kind(label: &str, unit: &str) -> &'static str {
    if label.eq_ignore_ascii_case("status") || label.eq_ignore_ascii_case("trigger") {
        return TRIGGER;
    }
    let first: String =
        label.chars().take_while(|c| c.is_ascii_alphanumeric()).collect::<String>().to_uppercase();
    if let Some((_, kind)) = KINDS.iter().find(|(word, _)| *word == first) {
        return kind;
    }
    kind_by_unit(unit)
}

/// Text of a field: Latin-1, up to a NUL, without the spaces around it.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    field[..end].iter().map(|b| char::from(*b)).collect::<String>().trim().to_string()
}

fn number<T: std::str::FromStr>(field: &[u8], what: &str, at: usize) -> Result<T> {
    let text = text(field);
    text.parse().map_err(|_| {
        Error::input(format!("the {what} is \"{text}\" (byte {at}), a whole number was expected"))
    })
}

fn real(field: &[u8], what: &str, at: usize) -> Result<f64> {
    let text = text(field);
    match text.replace(',', ".").parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(Error::input(format!(
            "the {what} is \"{text}\" (byte {at}), a number was expected"
        ))),
    }
}
