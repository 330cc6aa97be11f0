//! Galleries: the embeddings of the items (pictures, words, sounds) among which a decoder's prediction is looked up.
//!
//! Two forms, told apart by their first bytes:
//!
//! - **safetensors** with the tensor `embeddings` (items x numbers) (F32; F16 and F64 too), in the metadata, under the key
//!   `saltatory_gallery`, the JSON `{"labels": [...]}` with a label for each item, and, where some items are likelier than
//!   others, the tensor `prior` (one for each item) (F32 or F64): how likely, in any unit.
//! - **`NAME.npy`** (items x numbers) (float32; float64 too; C order), with the labels in `NAME.txt`, one a line.
//!
//! Files are untrusted: nothing is allocated beyond what their size allows, all sizes are checked against it, and so
//! are all numbers. F32 stay in the file, which is mapped into memory ([`Mapped`]); what has other numbers, a small
//! file, and one whose numbers lie at odd places, is copied.

use super::mapped::{Mapped, singles};
use crate::error::{Error, Result};
use crate::frame::MAX_LABEL_BYTES;
use crate::math::retrieval::{MAX_ITEMS, MAX_LENGTH};
use half::f16;
use safetensors::tensor::{Dtype, Metadata};
use serde::Deserialize;
use std::ops::Range;
use std::path::Path;

/// The key of the metadata.
pub const KEY: &str = "saltatory_gallery";
/// What a file of arrays begins with.
const NPY: &[u8] = b"\x93NUMPY";
/// The largest header of a safetensors file: a million labels of 255 bytes each, and quotes.
const MAX_HEADER_BYTES: usize = 300_000_000;
/// The largest header of an array.
const MAX_NPY_HEADER_BYTES: usize = 1 << 16;
/// Files up to this size are copied, so that nothing waits for the disk later.
const COPIED_BYTES: usize = 1 << 20;

/// A gallery.
#[derive(Debug)]
pub struct Gallery {
    /// The embeddings, one behind the other.
    pub embeddings: Numbers,
    /// Numbers of each.
    pub length: usize,
    /// The label of each item.
    pub labels: Vec<String>,
    /// How likely each item is, beforehand; the sum is 1.
    pub prior: Option<Vec<f64>>,
}

/// Numbers in memory, or in a file.
#[derive(Debug)]
pub enum Numbers {
    /// In memory.
    Held(Vec<f32>),
    /// In a file, at these of its bytes.
    Mapped(Mapped, Range<usize>),
}

impl AsRef<[f32]> for Numbers {
    fn as_ref(&self) -> &[f32] {
        match self {
            Numbers::Held(numbers) => numbers,
            // Of a file that is mapped it was found out that its numbers can be seen so.
            Numbers::Mapped(file, place) => {
                singles(&file.bytes()[place.clone()]).unwrap_or_default()
            }
        }
    }
}

/// Reads the gallery at `path`.
pub fn read(path: &Path) -> Result<Gallery> {
    let file = Mapped::open(path)?;
    let found = match file.bytes().starts_with(NPY) {
        true => npy(file.bytes(), &labels_beside(path)?),
        false => safetensors(file.bytes()),
    };
    let here = |e: Error| e.at(path.display());
    let Found { place, format, length, labels, prior } = found.map_err(here)?;
    let bytes = &file.bytes()[place.clone()];
    let stays = format == Format::F32 && bytes.len() > COPIED_BYTES && singles(bytes).is_some();
    let embeddings = match stays {
        true => Numbers::Mapped(file, place),
        false => Numbers::Held(format.numbers(bytes)),
    };
    check_numbers(embeddings.as_ref(), length, &labels).map_err(here)?;
    Ok(Gallery { embeddings, length, labels, prior })
}

/// Reads the bytes of a gallery, and for an array the text of the file with its labels. For tests; [`read`] does not
/// copy large files.
pub fn parse(bytes: &[u8], labels: &str) -> Result<Gallery> {
    let Found { place, format, length, labels, prior } = match bytes.starts_with(NPY) {
        true => npy(bytes, labels)?,
        false => safetensors(bytes)?,
    };
    let embeddings = format.numbers(&bytes[place]);
    check_numbers(&embeddings, length, &labels)?;
    Ok(Gallery { embeddings: Numbers::Held(embeddings), length, labels, prior })
}

/// The text of `NAME.txt` beside `NAME.npy`.
fn labels_beside(path: &Path) -> Result<String> {
    let beside = path.with_extension("txt");
    std::fs::read_to_string(&beside).map_err(|e| {
        Error::input(format!("the labels of {} are to be here, one a line: {e}", path.display()))
            .at(beside.display())
    })
}

/// What is where in a file, all of it checked but the numbers.
struct Found {
    place: Range<usize>,
    format: Format,
    length: usize,
    labels: Vec<String>,
    prior: Option<Vec<f64>>,
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    F16,
    F32,
    F64,
}

impl Format {
    fn bytes(self) -> usize {
        match self {
            Format::F16 => 2,
            Format::F32 => 4,
            Format::F64 => 8,
        }
    }

    /// The numbers that `bytes` hold.
    fn numbers(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Format::F16 => {
                let numbers = bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32());
                numbers.collect()
            }
            Format::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Format::F64 => {
                bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect()
            }
        }
    }
}

/// What the metadata of a safetensors file say.
#[derive(Deserialize)]
struct Labels {
    labels: Vec<String>,
}

fn safetensors(bytes: &[u8]) -> Result<Found> {
    let (header, body) = header(bytes)?;
    let about = header.metadata().as_ref().and_then(|m| m.get(KEY)).ok_or_else(|| {
        Error::input(format!(
            "is no gallery: its metadata have no `{KEY}`; in Python: safetensors.numpy.save_file({{\"embeddings\": \
             array}}, path, metadata={{\"{KEY}\": json.dumps({{\"labels\": labels}})}}) (docs/retrieval.md)"
        ))
    })?;
    let Labels { labels } = serde_json::from_str(about).map_err(|e| {
        Error::input(format!("the metadata `{KEY}`: {e}; expected {{\"labels\": [...]}}"))
    })?;
    let tensor = |name: &str| tensor(&header, bytes.len() - body, name);
    let (format, shape, place) = tensor("embeddings")?.ok_or_else(|| {
        Error::input("has no tensor `embeddings`, one row of numbers for each item")
    })?;
    let length = check_shape(&shape, &labels)?;
    let place = place.start + body..place.end + body;
    let prior = tensor("prior")?.map(|(format, shape, place)| {
        let place = place.start + body..place.end + body;
        prior(format, &shape, &bytes[place], labels.len())
    });
    Ok(Found { place, format, length, labels, prior: prior.transpose()? })
}

/// The header of a safetensors file, and how many bytes there are before its body.
fn header(bytes: &[u8]) -> Result<(Metadata, usize)> {
    let size =
        bytes.first_chunk().and_then(|first| usize::try_from(u64::from_le_bytes(*first)).ok());
    let size = size.filter(|n| *n <= MAX_HEADER_BYTES && bytes.get(8) == Some(&b'{')).ok_or_else(
        || Error::input("is no gallery: expected a safetensors file, or an array of NumPy (.npy)"),
    )?;
    let held = &bytes[8..];
    let text = held.get(..size).ok_or_else(|| {
        Error::input(format!(
            "breaks off inside its header: {} of {size} bytes; copy it again",
            held.len()
        ))
    })?;
    let header = serde_json::from_slice(text)
        .map_err(|e| Error::input(format!("the header of the safetensors file is damaged: {e}")))?;
    Ok((header, 8 + size))
}

/// Format, shape, and place in the body of a tensor.
type Tensor = (Format, Vec<usize>, Range<usize>);

/// The tensor `name`, if there is one; of the body there are `held` bytes.
fn tensor(header: &Metadata, held: usize, name: &str) -> Result<Option<Tensor>> {
    let Some(info) = header.info(name) else { return Ok(None) };
    let format = match info.dtype {
        Dtype::F16 => Format::F16,
        Dtype::F32 => Format::F32,
        Dtype::F64 => Format::F64,
        other => {
            let text = format!("the tensor `{name}` holds {other:?}; write it as F32");
            return Err(Error::input(text));
        }
    };
    let (start, end) = info.data_offsets;
    if start > end || end > held {
        return Err(Error::input(format!(
            "breaks off inside the tensor `{name}`: {held} of {end} bytes are there; copy it again"
        )));
    }
    check_size(&info.shape, format, end - start)
        .map_err(|e| e.at(format_args!("the tensor `{name}`")))?;
    Ok(Some((format, info.shape.clone(), start..end)))
}

/// Checks that numbers of this shape fill so many bytes.
fn check_size(shape: &[usize], format: Format, held: usize) -> Result<()> {
    let bytes = shape.iter().try_fold(format.bytes(), |product, n| product.checked_mul(*n));
    if bytes == Some(held) {
        return Ok(());
    }
    Err(Error::input(format!("has the shape {shape:?}, for which its {held} bytes are not right")))
}

/// Checks that there are embeddings for these labels. Returns how many numbers each has.
fn check_shape(shape: &[usize], labels: &[String]) -> Result<usize> {
    let &[items, length] = shape else {
        return Err(Error::input(format!(
            "the embeddings have the shape {shape:?}, expected [items, numbers]"
        )));
    };
    if items == 0 || items > MAX_ITEMS || length == 0 || length > MAX_LENGTH {
        return Err(Error::input(format!(
            "the embeddings have the shape {shape:?}, expected 1 to {MAX_ITEMS} items of 1 to {MAX_LENGTH} numbers"
        )));
    }
    if items != labels.len() {
        return Err(Error::input(format!(
            "has {items} embeddings and {} labels; expected as many",
            labels.len()
        )));
    }
    for (i, label) in labels.iter().enumerate() {
        if label.len() > MAX_LABEL_BYTES || label.contains(['\n', '\r']) {
            let start: String = label.chars().take(30).collect();
            return Err(Error::input(format!(
                "the label of item {i}, {start:?}, has {} bytes or a line break; expected at most {MAX_LABEL_BYTES} \
                 bytes in one line",
                label.len()
            )));
        }
    }
    Ok(length)
}

/// How likely items are, so that the sum is 1.
fn prior(format: Format, shape: &[usize], bytes: &[u8], items: usize) -> Result<Vec<f64>> {
    if shape != [items] {
        return Err(Error::input(format!(
            "the tensor `prior` has the shape {shape:?}, expected [{items}]"
        )));
    }
    let mut prior: Vec<f64> = match format {
        Format::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        _ => format.numbers(bytes).into_iter().map(f64::from).collect(),
    };
    let sum: f64 = prior.iter().sum();
    if let Some(i) = prior.iter().position(|p| !(*p > 0.0 && p.is_finite())) {
        return Err(Error::input(format!(
            "the prior of item {i} is {}; expected a number above 0 (leave out items that cannot be)",
            prior[i]
        )));
    }
    prior.iter_mut().for_each(|p| *p /= sum);
    if !prior.iter().all(|p| *p > 0.0) {
        return Err(Error::input("the numbers of the tensor `prior` are too far apart"));
    }
    Ok(prior)
}

fn npy(bytes: &[u8], labels: &str) -> Result<Found> {
    let damaged =
        || Error::input("the header of the array is damaged; save it again with numpy.save");
    // Two bytes of version, then the size of the header in two (version 1) or four bytes.
    let (size, start) = match bytes.get(NPY.len()..) {
        Some([1, _, a, b, ..]) => (usize::from(u16::from_le_bytes([*a, *b])), 10),
        Some([2 | 3, _, a, b, c, d, ..]) => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 12),
        _ => return Err(damaged()),
    };
    let header = start..start + size.min(MAX_NPY_HEADER_BYTES);
    let text = bytes.get(header.clone()).and_then(|text| std::str::from_utf8(text).ok());
    let place = header.end..bytes.len();
    let About { descr, fortran, shape } = text.and_then(About::parse).ok_or_else(damaged)?;
    let format = match descr {
        "<f4" => Format::F32,
        "<f8" => Format::F64,
        "<f2" => Format::F16,
        other => {
            let text = format!("the array holds {other:?}; save it as array.astype(\"<f4\")");
            return Err(Error::input(text));
        }
    };
    if fortran {
        return Err(Error::input(
            "the array is in Fortran order; save numpy.ascontiguousarray(array)",
        ));
    }
    check_size(&shape, format, place.len()).map_err(|e| e.at("the array"))?;
    let labels: Vec<String> = labels.lines().map(str::to_string).collect();
    let length = check_shape(&shape, &labels)?;
    Ok(Found { place, format, length, labels, prior: None })
}

/// What the header of an array says: a dictionary as Python writes it.
struct About<'a> {
    descr: &'a str,
    fortran: bool,
    shape: Vec<usize>,
}

impl<'a> About<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let behind = |key: &str| {
            let rest = text.split_once(&format!("'{key}':"))?.1;
            Some(rest.trim_start())
        };
        let descr = behind("descr")?.strip_prefix('\'')?.split_once('\'')?.0;
        let order = behind("fortran_order")?;
        let fortran = order.starts_with("True");
        let numbers = behind("shape")?.strip_prefix('(')?.split_once(')')?.0.trim();
        let numbers = numbers.strip_suffix(',').unwrap_or(numbers);
        let shape = numbers.split(',').map(|n| n.trim().parse().ok()).collect::<Option<_>>()?;
        (fortran || order.starts_with("False")).then_some(Self { descr, fortran, shape })
    }
}

/// Refuses numbers that are not finite.
fn check_numbers(numbers: &[f32], length: usize, labels: &[String]) -> Result<()> {
    match numbers.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(i) => Err(Error::input(format!(
            "the embedding of item {} (`{}`) holds {}; expected finite numbers (leave such items out)",
            i / length,
            labels[i / length],
            numbers[i]
        ))),
    }
}

#[cfg(test)]
mod tests;
