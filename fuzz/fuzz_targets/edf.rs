//! Reads any bytes as EDF, and as EDF and BDF behind the right first bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saltatory::formats::edf;

fuzz_target!(|bytes: &[u8]| {
    let _ = edf::parse(bytes, "fuzz");
    for magic in [edf::EDF_MAGIC, edf::BDF_MAGIC] {
        if let Ok(recording) = edf::parse(&[magic, bytes].concat(), "fuzz") {
            let _ = recording.describe().to_string();
        }
    }
});
