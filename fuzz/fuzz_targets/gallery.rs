//! Reads any bytes as a gallery: as they are, as what follows a good header of safetensors, and as what follows the
//! first bytes of an array, with a text of labels.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saltatory::formats::gallery;

const HEADER: &str = r#"{"__metadata__":{"saltatory_gallery":"{\"labels\":[\"a\",\"b\"]}"},
"embeddings":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
"prior":{"dtype":"F64","shape":[2],"data_offsets":[24,40]}}"#;

fuzz_target!(|bytes: &[u8]| {
    let _ = gallery::parse(bytes, "a\nb");
    let _ = gallery::parse(&[b"\x93NUMPY\x01\x00", bytes].concat(), "a\nb\nc");
    // The first two bytes say where the header is overwritten by the next two.
    let [at, behind, a, b, rest @ ..] = bytes else { return };
    let mut header = HEADER.replace('\n', "").into_bytes();
    let at = usize::from(*at) + usize::from(*behind);
    if let Some(place) = header.get_mut(at..at + 2) {
        place.copy_from_slice(&[*a, *b]);
    }
    let size = (header.len() as u64).to_le_bytes();
    if let Ok(gallery) = gallery::parse(&[&size, header.as_slice(), rest].concat(), "") {
        assert_eq!(gallery.embeddings.as_ref().len(), gallery.labels.len() * gallery.length);
    }
});
