//! Reads any bytes as what a host or its client says: as they are, and behind the right first bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saltatory::wire::zenoh::message::{MAX_NUMBERS, Message};

fuzz_target!(|bytes: &[u8]| {
    let _ = Message::read(bytes);
    let bytes = [b"SLT1", bytes].concat();
    let Ok(message) = Message::read(&bytes) else { return };
    let mut arrays: Vec<Vec<f64>> = Vec::new();
    let mut total = 0_usize;
    for shape in message.shapes() {
        let length = shape.iter().product();
        total += length;
        assert!(total <= MAX_NUMBERS);
        // A greeting may announce more numbers than anybody sends.
        arrays.push(vec![0.0; length.min(bytes.len())]);
    }
    if message.copy_to(&mut arrays) {
        // What was read is written as it was.
        let mut again = Vec::new();
        let shapes: Vec<Vec<usize>> = message.shapes().collect();
        message.head.write(&mut again, &shapes, arrays.iter().map(Vec::as_slice));
        let same = again == bytes;
        assert!(same || arrays.iter().flatten().any(|v| v.is_nan()));
    }
});
