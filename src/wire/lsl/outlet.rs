//! Sending a stream.

use super::failed;
use crate::error::{Error, Result};
use crate::frame::Channel;
use lsl::ExPushable as _;

/// Seconds of data that liblsl keeps for slow receivers.
const BUFFER_S: i32 = 360;

/// A stream of ours that others can subscribe to.
pub struct Outlet {
    outlet: lsl::StreamOutlet,
    text: Vec<String>,
    float: Vec<f32>,
    whole: Vec<i32>,
}

// SAFETY: an outlet handle of liblsl has no thread affinity (its C++ object is internally locked),
// and `Outlet` owns it alone, so using it from one thread after another is sound.
#[allow(unsafe_code)]
unsafe impl Send for Outlet {}

/// The numbers that a new outlet sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Text, one string per channel.
    Text,
    /// 32-bit whole numbers.
    Int32,
    /// 32-bit floats.
    Float32,
    /// 64-bit floats.
    Double64,
}

impl Outlet {
    /// Opens an outlet for text: a marker stream with one channel.
    pub fn markers(name: &str, source_id: &str) -> Result<Self> {
        let channel = Channel { kind: "Markers".into(), ..Channel::named("marker") };
        Self::open(name, "Markers", source_id, &[channel], 0.0, Wire::Text, &[])
    }

    /// Opens an outlet for numbers that are sent as 32-bit floats.
    pub fn numbers(
        name: &str,
        kind: &str,
        source_id: &str,
        channels: &[Channel],
        rate_hz: f64,
    ) -> Result<Self> {
        Self::open(name, kind, source_id, channels, rate_hz, Wire::Float32, &[])
    }

    /// Opens an outlet; `facts` are key-value pairs for its description.
    pub fn open(
        name: &str,
        kind: &str,
        source_id: &str,
        channels: &[Channel],
        rate_hz: f64,
        wire: Wire,
        facts: &[(&str, &str)],
    ) -> Result<Self> {
        let format = match wire {
            Wire::Text => lsl::ChannelFormat::String,
            Wire::Int32 => lsl::ChannelFormat::Int32,
            Wire::Float32 => lsl::ChannelFormat::Float32,
            Wire::Double64 => lsl::ChannelFormat::Double64,
        };
        let count = u32::try_from(channels.len())
            .map_err(|_| Error::config("too many channels for an LSL stream"))?;
        let mut info = lsl::StreamInfo::new(name, kind, count, rate_hz, format, source_id)
            .map_err(|e| failed("stream description", e))?;
        let mut desc = info.desc();
        desc.append_child_value("manufacturer", "Saltatory");
        for (key, value) in facts {
            desc.append_child_value(key, value);
        }
        let mut list = desc.append_child("channels");
        for channel in channels {
            let mut node = list.append_child("channel");
            node.append_child_value("label", &channel.label);
            node.append_child_value("unit", &channel.unit);
            node.append_child_value("type", &channel.kind);
            if let Some(direction) = channel.direction {
                let mut location = node.append_child("location");
                for (axis, part) in ["X", "Y", "Z"].into_iter().zip(direction.unit()) {
                    location.append_child_value(axis, &format!("{part:.6}"));
                }
            }
        }
        let outlet = lsl::StreamOutlet::new(&info, 0, BUFFER_S).map_err(|e| failed("outlet", e))?;
        let n = channels.len();
        let (text, float, whole) = (vec![String::new(); n], vec![0.0; n], vec![0; n]);
        Ok(Self { outlet, text, float, whole })
    }

    /// Sends one text, stamped `time_s` on the LSL clock.
    pub fn push_text(&mut self, text: &str, time_s: f64) -> Result<()> {
        self.text[0].clear();
        // The C interface underneath stops at a zero byte.
        self.text[0].extend(text.chars().filter(|c| *c != '\0'));
        self.outlet.push_sample_ex(&self.text, time_s, true).map_err(|e| failed("sending", e))
    }

    /// Sends one sample as 32-bit floats, stamped `time_s` on the LSL clock.
    pub fn push(&mut self, sample: &[f64], time_s: f64) -> Result<()> {
        self.float.clear();
        self.float.extend(sample.iter().map(|v| *v as f32));
        self.outlet.push_sample_ex(&self.float, time_s, true).map_err(|e| failed("sending", e))
    }

    /// Sends one sample as 32-bit whole numbers, stamped `time_s` on the LSL clock.
    pub fn push_whole(&mut self, sample: impl Iterator<Item = f64>, time_s: f64) -> Result<()> {
        self.whole.clear();
        self.whole.extend(sample.map(|v| v as i32));
        self.outlet.push_sample_ex(&self.whole, time_s, true).map_err(|e| failed("sending", e))
    }

    /// Sends one sample as 64-bit floats; `last` of a chunk sends the whole chunk off.
    pub fn push_exact(&mut self, sample: &Vec<f64>, time_s: f64, last: bool) -> Result<()> {
        self.outlet.push_sample_ex(sample, time_s, last).map_err(|e| failed("sending", e))
    }

    /// Whether somebody listens.
    pub fn has_listener(&self) -> bool {
        self.outlet.have_consumers()
    }
}
