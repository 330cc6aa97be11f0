//! Reads any bytes as XDF, behind the right first bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saltatory::formats::xdf;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(recording) = xdf::parse(&[b"XDF:", bytes].concat()) {
        let _ = recording.describe().to_string();
    }
});
