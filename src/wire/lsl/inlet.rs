//! Receiving a stream.

use super::{Format, Query, StreamFacts, channels, facts, failed};
use crate::error::{Error, Result};
use lsl::Pullable as _;

/// Seconds of data that liblsl keeps for us while we are busy.
const BUFFER_S: i32 = 360;

/// One end of a connection; the other is the sender.
pub struct Inlet {
    inlet: lsl::StreamInlet,
    buffer: Buffer,
}

// SAFETY: an inlet handle of liblsl has no thread affinity (its C++ object is internally locked),
// and `Inlet` owns it alone, so using it from one thread after another is sound.
#[allow(unsafe_code)]
unsafe impl Send for Inlet {}

/// One sample as liblsl hands it over. 64-bit integers come as floats, converted by liblsl: where
/// `long` has 64 bits, pulling them as such never returns (liblsl 1.13 calls itself for ever).
enum Buffer {
    Float32(Vec<f32>),
    Double64(Vec<f64>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Text(Vec<Vec<u8>>),
}

/// What a pull brought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pulled {
    /// One sample; its time on the sender's clock.
    Sample(f64),
    /// Nothing within the timeout.
    Nothing,
    /// The connection is gone.
    Lost,
}

impl Inlet {
    /// Finds the stream within `wait_s` and connects. `None` when there is no such stream.
    pub fn open(query: &Query, wait_s: f64) -> Result<Option<(Self, StreamFacts)>> {
        let found = query.resolve(wait_s)?;
        if found.len() > 1 {
            tracing::warn!("{} streams match {query}; the first is taken", found.len());
        }
        let Some(info) = found.into_iter().next() else { return Ok(None) };
        let inlet = lsl::StreamInlet::new(&info, BUFFER_S, 0, false)
            .map_err(|e| failed("connection", e))?;
        // A sender that dies in between is as good as not found.
        let Ok(full) = inlet.info(5.0) else { return Ok(None) };
        let xml = full.to_xml().map_err(|e| failed("description", e))?;
        let mut facts = facts(full)?;
        facts.channels = channels(&xml, facts.channel_count);
        if inlet.open_stream(5.0).is_err() {
            return Ok(None);
        }
        let n = facts.channel_count;
        let buffer = match facts.format {
            Format::Float32 => Buffer::Float32(vec![0.0; n]),
            Format::Double64 | Format::Int64 => Buffer::Double64(vec![0.0; n]),
            Format::Int8 => Buffer::Int8(vec![0; n]),
            Format::Int16 => Buffer::Int16(vec![0; n]),
            Format::Int32 => Buffer::Int32(vec![0; n]),
            Format::String => Buffer::Text(vec![Vec::new(); n]),
        };
        Ok(Some((Self { inlet, buffer }, facts)))
    }

    /// What to add to the sender's times to get ours, in seconds; waits at most `wait_s` for the
    /// first measurement and returns at once afterwards.
    pub fn clock_offset_s(&self, wait_s: f64) -> Option<f64> {
        self.inlet.time_correction(wait_s).ok()
    }

    /// Whether the sender's clock was reset since the last call.
    pub fn clock_was_reset(&self) -> bool {
        self.inlet.was_clock_reset()
    }

    /// Waits at most `wait_s` for one sample.
    pub fn pull(&mut self, wait_s: f64) -> Result<Pulled> {
        let inlet = &self.inlet;
        let pulled = match &mut self.buffer {
            Buffer::Float32(b) => inlet.pull_sample_buf(b, wait_s),
            Buffer::Double64(b) => inlet.pull_sample_buf(b, wait_s),
            Buffer::Int8(b) => inlet.pull_sample_buf(b, wait_s),
            Buffer::Int16(b) => inlet.pull_sample_buf(b, wait_s),
            Buffer::Int32(b) => inlet.pull_sample_buf(b, wait_s),
            Buffer::Text(b) => inlet.pull_sample_buf(b, wait_s),
        };
        match pulled {
            Ok(0.0) | Err(lsl::Error::Timeout) => Ok(Pulled::Nothing),
            Ok(time_s) => Ok(Pulled::Sample(time_s)),
            Err(lsl::Error::StreamLost) => Ok(Pulled::Lost),
            Err(e) => Err(Error::run(format!("LSL receiving failed: {e:?}"))),
        }
    }

    /// Appends the numbers of the last pulled sample; text channels become NaN.
    pub fn numbers(&self, out: &mut Vec<f64>) {
        match &self.buffer {
            Buffer::Float32(b) => out.extend(b.iter().map(|v| f64::from(*v))),
            Buffer::Double64(b) => out.extend_from_slice(b),
            Buffer::Int8(b) => out.extend(b.iter().map(|v| f64::from(*v))),
            Buffer::Int16(b) => out.extend(b.iter().map(|v| f64::from(*v))),
            Buffer::Int32(b) => out.extend(b.iter().map(|v| f64::from(*v))),
            Buffer::Text(b) => out.extend(b.iter().map(|_| f64::NAN)),
        }
    }

    /// The first channel of the last pulled sample as text: a marker.
    pub fn text(&self) -> String {
        fn first<T: ToString>(values: &[T]) -> String {
            values.first().map(T::to_string).unwrap_or_default()
        }
        match &self.buffer {
            Buffer::Float32(b) => first(b),
            Buffer::Double64(b) => first(b),
            Buffer::Int8(b) => first(b),
            Buffer::Int16(b) => first(b),
            Buffer::Int32(b) => first(b),
            Buffer::Text(b) => String::from_utf8_lossy(b.first().map_or(&[], |v| v)).into_owned(),
        }
    }
}
