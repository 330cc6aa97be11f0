//! Reads any bytes as BrainVision: a first byte says how many of the rest are header, a second how
//! many are markers; what is left is data.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saltatory::formats::brainvision;

fuzz_target!(|bytes: &[u8]| {
    let [a, b, rest @ ..] = bytes else { return };
    let (header, rest) = rest.split_at(rest.len() * usize::from(*a) / 256);
    let (markers, data) = rest.split_at(rest.len() * usize::from(*b) / 256);
    let first_line = b"Brain Vision Data Exchange Header File Version 1.0\n";
    let header = [first_line, header].concat();
    if let Ok(recording) = brainvision::parse(&header, data, Some(markers), "fuzz") {
        let _ = recording.describe().to_string();
    }
});
