//! How much of a stream waits before whoever reads it: between a source and its lane, and between lanes.

use crate::frame::{Payload, Spec};
use crate::ring::{BlockReader, BlockWriter, blocks};

/// How long a lane may stand still before samples are lost.
const INBOX_S: f64 = 4.0;
/// But no more memory than this for one stream.
const INBOX_BYTES: usize = 64 << 20;
/// A stream of little memory is kept longer.
const LARGE_INBOX_S: f64 = 30.0;
/// What counts as little.
const LARGE_INBOX_BYTES: usize = 4 << 20;
/// Markers that wait.
const MARKER_INBOX: usize = 1024;

/// How many samples of `spec` fit between who sends them and the lane.
pub fn inbox_samples(spec: &Spec) -> usize {
    let within = |seconds: f64, bytes: usize| {
        ((seconds * spec.rate_hz) as usize).min(bytes / 8 / spec.cols.max(1))
    };
    within(INBOX_S, INBOX_BYTES).max(within(LARGE_INBOX_S, LARGE_INBOX_BYTES)).max(2 * spec.rows)
}

/// The ring between who sends a stream of `spec` and the lane.
pub fn inbox(spec: &Spec) -> (BlockWriter, BlockReader) {
    if spec.payload == Payload::Markers {
        return blocks(MARKER_INBOX, 0);
    }
    let samples = inbox_samples(spec);
    blocks(samples.clamp(256, 65_536), samples * spec.cols)
}
