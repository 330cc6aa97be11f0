//! A window on its way to another host, and what comes back, as bytes.
//!
//! One message is, little-endian and without gaps:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `SLT1` |
//! | 1 | what it says ([`Kind`]) |
//! | 1 | bytes of a number: 4 (f32) or 8 (f64) |
//! | 1 | how many arrays |
//! | 1 | 0 |
//! | 8 | the number of the question, or of the question that is answered |
//! | 32 | SHA-256 of the model file |
//! | 1 + 4 n each | the axes of an array: how many, and their lengths |
//! | the rest | the numbers of the arrays, one after the other, the last axis the fastest |
//!
//! Both sides read what the other may have made up: every length is checked against what is there before anything
//! is allocated, and a byte too many or too few is refused.

use crate::error::{Error, Result};

/// How a message begins; the last byte is the version.
const MAGIC: [u8; 4] = *b"SLT1";
/// Bytes before the axes.
const HEAD_BYTES: usize = 48;
/// The most arrays in one message.
pub const MAX_ARRAYS: usize = 16;
/// The most axes of an array.
pub const MAX_AXES: usize = 8;
/// The most numbers in one message.
pub const MAX_NUMBERS: usize = 1 << 24;
/// The longest message.
pub const MAX_BYTES: usize = HEAD_BYTES + MAX_ARRAYS * (1 + 4 * MAX_AXES) + 8 * MAX_NUMBERS;

/// The SHA-256 of a model file.
pub type Hash = [u8; 32];

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// To the host: windows of these shapes will come for this model.
    Hello = 1,
    /// To the host: a window.
    Window = 2,
    /// To a hello: they may come; the shapes are those of the outputs.
    Ready = 3,
    /// To a hello: the network is being prepared.
    Warming = 4,
    /// To a hello or a window: no such model is served.
    Unknown = 5,
    /// To a hello or a window: the model takes no such shapes.
    Misfit = 6,
    /// To a window: the outputs.
    Outputs = 7,
    /// To a window: passed over for a newer one.
    Busy = 8,
    /// To a window: the network failed.
    Failed = 9,
}

/// How the numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// As f32: all that a network of float32 sees.
    Single,
    /// As f64.
    Double,
}

/// What stands before the arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What the message says.
    pub kind: Kind,
    /// How its numbers are written.
    pub width: Width,
    /// The number of the question.
    pub number: u64,
    /// The model that is meant.
    pub model: Hash,
}

/// A message that was looked through.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// What stands before the arrays.
    pub head: Head,
    axes: &'a [u8],
    numbers: &'a [u8],
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Hello,
        Self::Window,
        Self::Ready,
        Self::Warming,
        Self::Unknown,
        Self::Misfit,
        Self::Outputs,
        Self::Busy,
        Self::Failed,
    ];

    /// Whether shapes come with it.
    fn has_shapes(self) -> bool {
        matches!(self, Self::Hello | Self::Window | Self::Ready | Self::Outputs)
    }

    /// Whether numbers come with it.
    fn has_numbers(self) -> bool {
        matches!(self, Self::Window | Self::Outputs)
    }
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Self::Single => 4,
            Self::Double => 8,
        }
    }
}

impl Head {
    /// Writes a message into `out`, whose content is replaced. There are as many `arrays` as `shapes`, or none where
    /// the kind of message has no numbers.
    pub fn write<'a>(
        &self,
        out: &mut Vec<u8>,
        shapes: &[Vec<usize>],
        arrays: impl Iterator<Item = &'a [f64]>,
    ) {
        out.clear();
        out.extend_from_slice(&MAGIC);
        let count = u8::try_from(shapes.len()).unwrap_or(u8::MAX);
        out.extend_from_slice(&[self.kind as u8, self.width.bytes() as u8, count, 0]);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.model);
        for shape in shapes {
            out.push(u8::try_from(shape.len()).unwrap_or(u8::MAX));
            for length in shape {
                out.extend_from_slice(&u32::try_from(*length).unwrap_or(u32::MAX).to_le_bytes());
            }
        }
        for value in arrays.flatten() {
            match self.width {
                Width::Single => out.extend_from_slice(&(*value as f32).to_le_bytes()),
                Width::Double => out.extend_from_slice(&value.to_le_bytes()),
            }
        }
    }
}

impl<'a> Message<'a> {
    /// Looks through `bytes`.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let refused = |what: &str| Error::input(format!("is no message of this version: {what}"));
        let (fixed, rest) =
            bytes.split_first_chunk::<HEAD_BYTES>().ok_or_else(|| refused("it is cut"))?;
        let (head, count) =
            read_head(fixed).ok_or_else(|| refused("its beginning is not known"))?;
        if count > MAX_ARRAYS || (count > 0 && !head.kind.has_shapes()) {
            return Err(refused("it has too many arrays"));
        }
        let (axes, total) =
            measure(rest, count).ok_or_else(|| refused("its arrays are too large"))?;
        let (axes, numbers) = rest.split_at(axes);
        let expected = if head.kind.has_numbers() { total * head.width.bytes() } else { 0 };
        if numbers.len() != expected {
            return Err(refused("its length is not that of its arrays"));
        }
        Ok(Self { head, axes, numbers })
    }

    /// The shapes of its arrays.
    pub fn shapes(&self) -> impl Iterator<Item = Vec<usize>> + 'a {
        let mut rest = self.axes;
        std::iter::from_fn(move || take_shape(&mut rest).map(|shape| shape.collect()))
    }

    /// Writes its numbers into `arrays`; `false`, and nothing written, where these are not as many or not as long.
    pub fn copy_to(&self, arrays: &mut [Vec<f64>]) -> bool {
        let mut rest = self.axes;
        let mut lengths =
            std::iter::from_fn(|| take_shape(&mut rest).map(|shape| shape.product::<usize>()));
        let fits = arrays.iter().all(|array| lengths.next() == Some(array.len()));
        if !fits || lengths.next().is_some() || !self.head.kind.has_numbers() {
            return false;
        }
        let mut bytes = self.numbers;
        for value in arrays.iter_mut().flatten() {
            *value = take_number(&mut bytes, self.head.width).unwrap_or(f64::NAN);
        }
        true
    }
}

fn read_head(bytes: &[u8; HEAD_BYTES]) -> Option<(Head, usize)> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let ([kind, width, count, zero], rest) = rest.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let model: Hash = rest.try_into().ok()?;
    if *magic != MAGIC || *zero != 0 {
        return None;
    }
    let kind = Kind::ALL.into_iter().find(|known| *known as u8 == *kind)?;
    let width =
        [Width::Single, Width::Double].into_iter().find(|w| w.bytes() == usize::from(*width))?;
    let head = Head { kind, width, number: u64::from_le_bytes(*number), model };
    Some((head, usize::from(*count)))
}

/// How many bytes the axes of `count` arrays take, and how many numbers the arrays hold, if they are whole and not
/// too large.
fn measure(bytes: &[u8], count: usize) -> Option<(usize, usize)> {
    let mut rest = bytes;
    let mut total = 0_usize;
    for _ in 0..count {
        let mut shape = take_shape(&mut rest)?;
        let length = shape.try_fold(1_usize, |product, n| {
            product.checked_mul(n).filter(|product| *product <= MAX_NUMBERS)
        })?;
        total += length;
        if total > MAX_NUMBERS {
            return None;
        }
    }
    Some((bytes.len() - rest.len(), total))
}

/// The lengths of the axes of the next array.
fn take_shape<'a>(rest: &mut &'a [u8]) -> Option<impl Iterator<Item = usize> + use<'a>> {
    let (count, behind) = rest.split_first()?;
    let count = usize::from(*count);
    if count > MAX_AXES {
        return None;
    }
    let (axes, behind) = behind.split_at_checked(4 * count)?;
    *rest = behind;
    let (axes, _) = axes.as_chunks::<4>();
    Some(axes.iter().map(|axis| u32::from_le_bytes(*axis) as usize))
}

fn take_number(rest: &mut &[u8], width: Width) -> Option<f64> {
    let bytes = *rest;
    let (value, behind) = match width {
        Width::Single => bytes
            .split_first_chunk()
            .map(|(value, behind)| (f64::from(f32::from_le_bytes(*value)), behind)),
        Width::Double => {
            bytes.split_first_chunk().map(|(value, behind)| (f64::from_le_bytes(*value), behind))
        }
    }?;
    *rest = behind;
    Some(value)
}

/// The bytes of a SHA-256 that is written in hexadecimal.
pub fn hash(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != hash.len() || !odd.is_empty() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(pairs) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(kind: Kind, width: Width) -> Head {
        Head { kind, width, number: 7, model: [3; 32] }
    }

    /// A window of two arrays.
    fn window(width: Width) -> Vec<u8> {
        let mut bytes = vec![1, 2, 3];
        let shapes = [vec![1, 2, 2], vec![]];
        let arrays = [&[1.5, -2.0, 1e-40, 0.1][..], &[f64::INFINITY]];
        head(Kind::Window, width).write(&mut bytes, &shapes, arrays.into_iter());
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        for (width, tenth) in [(Width::Single, f64::from(0.1_f32)), (Width::Double, 0.1)] {
            let bytes = window(width);
            let message = Message::read(&bytes).unwrap();
            assert_eq!(message.head, head(Kind::Window, width));
            assert_eq!(message.shapes().collect::<Vec<_>>(), [vec![1, 2, 2], vec![]]);
            let mut arrays = [vec![0.0; 4], vec![0.0; 1]];
            assert!(message.copy_to(&mut arrays));
            assert_eq!(arrays[0][..2], [1.5, -2.0]);
            assert!(arrays[0][3] == tenth && arrays[1][0] == f64::INFINITY);
        }
    }

    #[test]
    fn other_lengths_are_not_copied() {
        let bytes = window(Width::Double);
        let message = Message::read(&bytes).unwrap();
        for lengths in [&[4][..], &[4, 2], &[3, 1], &[4, 1, 1], &[]] {
            let mut arrays: Vec<Vec<f64>> = lengths.iter().map(|n| vec![9.0; *n]).collect();
            assert!(!message.copy_to(&mut arrays), "{lengths:?}");
            assert!(arrays.iter().flatten().all(|v| *v == 9.0));
        }
        let mut hello = Vec::new();
        head(Kind::Hello, Width::Single).write(&mut hello, &[vec![4]], std::iter::empty());
        assert!(!Message::read(&hello).unwrap().copy_to(&mut [vec![0.0; 4]]));
    }

    #[test]
    fn every_cut_and_every_byte_too_many_is_refused() {
        for width in [Width::Single, Width::Double] {
            let bytes = window(width);
            assert!((0..bytes.len()).all(|n| Message::read(&bytes[..n]).is_err()));
            assert!(Message::read(&[&bytes[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn no_more_is_believed_than_is_there() {
        let with = |at: usize, value: u8| {
            let mut bytes = window(Width::Single);
            bytes[at] = value;
            Message::read(&bytes).map(|m| m.head)
        };
        // The version, the kind, the width, how many arrays, the filler, how many axes, a length.
        for (at, value) in
            [(3, b'2'), (4, 0), (4, 200), (5, 5), (6, 17), (6, 255), (7, 1), (48, 9), (52, 255)]
        {
            assert!(with(at, value).is_err(), "{value} at {at}");
        }
        // Arrays where none belong, and more numbers than are allowed.
        assert!(with(4, Kind::Busy as u8).is_err());
        let mut bytes = Vec::new();
        let shapes = vec![vec![MAX_NUMBERS / 8]; 9];
        head(Kind::Hello, Width::Single).write(&mut bytes, &shapes, std::iter::empty());
        assert!(Message::read(&bytes).is_err());
        let shapes = vec![vec![0, 1 << 24, 1 << 24, 1 << 24]];
        head(Kind::Hello, Width::Single).write(&mut bytes, &shapes, std::iter::empty());
        assert_eq!(Message::read(&bytes).unwrap().shapes().next().unwrap()[0], 0);
    }

    #[test]
    fn hashes_are_read_from_hexadecimal() {
        let text = "00ff".repeat(16);
        assert_eq!(hash(&text).unwrap()[..3], [0, 255, 0]);
        for wrong in [&text[2..], &text.replace('f', "g"), &format!("{text}00"), ""] {
            assert!(hash(wrong).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, kind in 0_u8..11, arrays in 0_u8..20) {
            let _ = Message::read(&bytes);
            let start = [&MAGIC[..], &[kind, 4, arrays, 0], &[0; 40], &bytes].concat();
            if let Ok(message) = Message::read(&start) {
                let lengths = message.shapes().map(|shape| shape.iter().product::<usize>());
                let total: usize = lengths.sum();
                prop_assert!(total <= MAX_NUMBERS);
                prop_assert!(message.shapes().count() == usize::from(arrays));
            }
        }

        #[test]
        fn numbers_survive_bit_by_bit(values in prop::collection::vec(any::<f64>(), 0..40), number: u64) {
            let mut bytes = Vec::new();
            let head = Head { kind: Kind::Outputs, width: Width::Double, number, model: [1; 32] };
            head.write(&mut bytes, &[vec![values.len()]], std::iter::once(&values[..]));
            let message = Message::read(&bytes).unwrap();
            let mut arrays = [vec![0.0; values.len()]];
            prop_assert!(message.copy_to(&mut arrays) && message.head == head);
            let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&arrays[0]), bits(&values));
        }
    }
}
