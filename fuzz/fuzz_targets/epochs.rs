//! Reads any bytes as a file of trials: as they are, and as what follows a good header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saltatory::formats::epochs;

const HEADER: &str = r#"{"__metadata__":{"saltatory_epochs":"{\"version\":1,\"rate_hz\":250,
\"channels\":[\"C3\"],\"unit\":\"uV\",\"classes\":[\"a\",\"b\"],\"start_s\":0.5}"},
"data":{"dtype":"F32","shape":[4,4,1],"data_offsets":[32,96]},
"labels":{"dtype":"I64","shape":[4],"data_offsets":[0,32]}}"#;

fuzz_target!(|bytes: &[u8]| {
    let _ = epochs::parse(bytes, "fuzz");
    // The first two bytes say where the header is overwritten by the next two.
    let [at, behind, a, b, rest @ ..] = bytes else { return };
    let mut header = HEADER.replace('\n', "").into_bytes();
    let at = usize::from(*at) + usize::from(*behind);
    if let Some(place) = header.get_mut(at..at + 2) {
        place.copy_from_slice(&[*a, *b]);
    }
    let size = (header.len() as u64).to_le_bytes();
    if let Ok(recording) = epochs::parse(&[&size, header.as_slice(), rest].concat(), "fuzz") {
        let _ = recording.describe().to_string();
    }
});
