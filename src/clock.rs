//! One time line: seconds on the LSL clock, read without LSL.
//!
//! Every time in the engine is on this line, so an age is a subtraction.

use std::sync::OnceLock;
use std::time::Instant;

static ORIGIN: OnceLock<(Instant, f64)> = OnceLock::new();

/// Ties the time line to the LSL clock, which reads `lsl_now_s` now. The first call wins.
pub fn anchor(lsl_now_s: f64) {
    ORIGIN.get_or_init(|| (Instant::now(), lsl_now_s));
}

/// Seconds on the LSL clock now; starts at zero if nothing tied the line to LSL.
pub fn now_s() -> f64 {
    let (origin, at_s) = ORIGIN.get_or_init(|| (Instant::now(), 0.0));
    at_s + origin.elapsed().as_secs_f64()
}
