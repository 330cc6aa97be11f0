//! Reads any bytes as what a sender says on a connection: an answer, and samples in every format and
//! byte order. The first bytes say which, and in what pieces the rest comes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saltatory::wire::lsl::Format;
use saltatory::wire::lsl::handshake;
use saltatory::wire::lsl::samples::{Layout, Reader};

const FORMATS: [Format; 7] = [
    Format::Float32,
    Format::Double64,
    Format::String,
    Format::Int8,
    Format::Int16,
    Format::Int32,
    Format::Int64,
];

fuzz_target!(|bytes: &[u8]| {
    let [which, channels, piece, bytes @ ..] = bytes else { return };
    let _ = handshake::answer(bytes, "uid", which % 2 == 0);
    let _ = handshake::answer(&[b"LSL/110 200 OK\r\n", bytes, b"\r\n\r\n"].concat(), "uid", false);
    let mut reader = Reader::new(Layout {
        format: FORMATS[usize::from(which / 2) % FORMATS.len()],
        channels: usize::from(*channels) + 1,
        rate_hz: f64::from(*piece),
        swapped: which % 2 == 1,
    });
    let (mut numbers, mut text) = (Vec::new(), String::new());
    for piece in bytes.chunks(usize::from(*piece) + 1) {
        reader.room()[..piece.len()].copy_from_slice(piece);
        reader.came(piece.len());
        while let Ok(Some(stamp_s)) = reader.next_sample() {
            assert!(!stamp_s.is_nan());
            reader.numbers(&mut numbers);
            reader.text(&mut text);
            assert_eq!(numbers.len(), usize::from(*channels) + 1);
            let _ = reader.is_test(4);
            numbers.clear();
            text.clear();
        }
    }
});
