//! The data of a BrainVision recording: in go the bytes of an .eeg, out come rows x channels.

use super::header::{Format, Header};
use crate::error::{Error, Result};

/// Reads the data; what comes back has at least one row.
pub fn read(header: &Header, bytes: &[u8], warnings: &mut Vec<String>) -> Result<Vec<f64>> {
    let mut values = match header.format {
        Format::Int16 => binary(header, bytes, 2, warnings)?,
        Format::Int32 | Format::Float32 => binary(header, bytes, 4, warnings)?,
        Format::Ascii { .. } => ascii(header, bytes, warnings)?,
    };
    for row in values.chunks_exact_mut(header.resolutions.len()) {
        for (value, resolution) in row.iter_mut().zip(&header.resolutions) {
            *value *= resolution;
        }
    }
    Ok(values)
}

fn binary(
    header: &Header,
    bytes: &[u8],
    width: usize,
    warnings: &mut Vec<String>,
) -> Result<Vec<f64>> {
    let cols = header.channels.len();
    let held = bytes.len() / width;
    // Channel by channel, a channel begins where the stated number of rows puts it; the number of
    // rows is what the last channel still has.
    let stride = match header.points {
        Some(points) if header.vectorized => points,
        _ => held / cols,
    };
    let rows = match header.vectorized {
        true => stride.checked_mul(cols - 1).map_or(0, |before| held.saturating_sub(before)),
        false => held / cols,
    }
    .min(stride);
    if rows == 0 {
        return Err(Error::input(format!(
            "{} bytes are less than one sample of {cols} channels of {width} bytes{}",
            bytes.len(),
            if header.vectorized { ", or end before the last channel begins" } else { "" }
        )));
    }
    if let Some(points) = header.points.filter(|p| *p != rows) {
        warnings.push(format!("the header states DataPoints={points}, the data hold {rows}"));
    }
    let whole = rows * cols * width;
    if !header.vectorized && bytes.len() != whole {
        warnings.push(format!(
            "the data break off inside sample {} (byte {whole}, {} of {} bytes)",
            rows + 1,
            bytes.len() - whole,
            cols * width
        ));
    }
    let number = |index: usize| {
        let at = index * width;
        let mut raw = [0; 4];
        raw[..width].copy_from_slice(&bytes[at..at + width]);
        if header.big_endian {
            raw[..width].reverse();
        }
        match header.format {
            Format::Int16 => f64::from(i16::from_le_bytes([raw[0], raw[1]])),
            Format::Int32 => f64::from(i32::from_le_bytes(raw)),
            _ => f64::from(f32::from_le_bytes(raw)),
        }
    };
    let mut values = Vec::with_capacity(rows * cols);
    for row in 0..rows {
        for col in 0..cols {
            let index = if header.vectorized { col * stride + row } else { row * cols + col };
            values.push(number(index));
        }
    }
    Ok(values)
}

/// Text: a line for each sample, or for each channel, numbers between blanks, tabs, `;` or `,`.
fn ascii(header: &Header, bytes: &[u8], warnings: &mut Vec<String>) -> Result<Vec<f64>> {
    let Format::Ascii { skip_lines, skip_columns, comma } = header.format else {
        return Ok(Vec::new());
    };
    let cols = header.channels.len();
    let text = String::from_utf8_lossy(bytes);
    let separates = |c: char| c.is_whitespace() || c == ';' || (c == ',' && !comma);
    let mut lines: Vec<Vec<f64>> = Vec::new();
    for (number, line) in text.lines().enumerate().skip(skip_lines) {
        let fields = line.split(separates).filter(|f| !f.is_empty()).skip(skip_columns);
        let numbers: std::result::Result<Vec<f64>, _> =
            fields.map(|f| f.replace(',', ".").parse()).collect();
        let wanted = |n: usize| match header.vectorized {
            true => lines.first().is_none_or(|l| l.len() == n),
            false => n == cols,
        };
        match numbers {
            Ok(numbers) if numbers.is_empty() => {}
            Ok(numbers) if wanted(numbers.len()) => lines.push(numbers),
            _ => {
                warnings.push(format!(
                    "line {} of the data is not a row of numbers; {} lines before it were read",
                    number + 1,
                    lines.len()
                ));
                break;
            }
        }
    }
    if header.vectorized && lines.len() < cols {
        return Err(Error::input(format!("{} of {cols} channels have data", lines.len())));
    }
    let rows = if header.vectorized { lines[0].len() } else { lines.len() };
    if rows == 0 {
        return Err(Error::input("no line holds numbers"));
    }
    Ok(match header.vectorized {
        true => (0..rows * cols).map(|i| lines[i % cols][i / cols]).collect(),
        false => lines.concat(),
    })
}
