//! Reads any bytes as BCI2000: behind the right first bytes, and behind a first line whose numbers
//! the first bytes choose, so that headers get as far as their data.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saltatory::formats::bci2000;

fuzz_target!(|bytes: &[u8]| {
    for magic in bci2000::MAGICS {
        let _ = bci2000::parse(&[magic, bytes].concat(), "fuzz");
    }
    let [size, channels, states, format, rest @ ..] = bytes else { return };
    let format = ["int16", "int32", "float32"][usize::from(format % 3)];
    let line = format!(
        "BCI2000V= 1.1 HeaderLen= {} SourceCh= {channels} StatevectorLen= {states} DataFormat= {format}\n",
        100 + 16 * usize::from(*size)
    );
    if let Ok(recording) = bci2000::parse(&[line.as_bytes(), rest].concat(), "fuzz") {
        let _ = recording.describe().to_string();
    }
});
