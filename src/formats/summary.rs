//! What a recording holds, in short: in goes a [`Recording`], out comes a [`Summary`] that prints
//! as text and serialises as JSON.

use super::{Content, Recording, Stream};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// How many gaps of a stream are listed in the text.
const MAX_GAPS: usize = 8;

/// A recording without its samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The file.
    pub path: String,
    /// Its format.
    pub format: &'static str,
    /// Its streams.
    pub streams: Vec<StreamSummary>,
    /// What was wrong with the file.
    pub warnings: Vec<String>,
}

/// A stream without its samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamSummary {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: String,
    /// Nominal samples per second; 0 for an irregular stream.
    pub rate_hz: f64,
    /// Rows of samples, or markers.
    pub count: usize,
    /// Time of the first sample or marker, in seconds.
    pub start_s: f64,
    /// From the first sample or marker to the end of the last, gaps included, in seconds.
    pub duration_s: f64,
    /// The labels of its channels.
    pub channels: Vec<String>,
    /// How many channels have each unit.
    pub units: BTreeMap<String, usize>,
    /// The gaps between its segments.
    pub gaps: Vec<Gap>,
    /// How many markers have each text.
    pub markers: BTreeMap<String, usize>,
}

/// Missing time between two segments.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gap {
    /// Index of the first row after the gap.
    pub row: usize,
    /// Time of that row, in seconds.
    pub ends_s: f64,
    /// What is missing, in seconds; negative where time goes backwards.
    pub missing_s: f64,
}

impl Recording {
    /// What the recording holds, in short.
    pub fn describe(&self) -> Summary {
        Summary {
            path: self.path.display().to_string(),
            format: self.format,
            streams: self.streams.iter().map(describe).collect(),
            warnings: self.warnings.clone(),
        }
    }
}

fn describe(stream: &Stream) -> StreamSummary {
    let mut summary = StreamSummary {
        name: stream.name.clone(),
        kind: stream.kind.clone(),
        rate_hz: stream.rate_hz,
        count: 0,
        start_s: 0.0,
        duration_s: 0.0,
        channels: stream.channels.iter().map(|c| c.label.clone()).collect(),
        units: BTreeMap::new(),
        gaps: Vec::new(),
        markers: BTreeMap::new(),
    };
    for channel in &stream.channels {
        *summary.units.entry(channel.unit.clone()).or_default() += 1;
    }
    match &stream.content {
        Content::Samples(samples) => {
            let rate = stream.rate_hz;
            summary.count = samples.rows();
            if let Some(last) = samples.rows().checked_sub(1) {
                let step = if rate > 0.0 { 1.0 / rate } else { 0.0 };
                summary.start_s = samples.time_s(0, rate);
                summary.duration_s = samples.time_s(last, rate) + step - summary.start_s;
            }
            summary.gaps = samples.segments[1.min(samples.segments.len())..]
                .iter()
                .zip(samples.gaps_s(rate))
                .map(|(s, missing_s)| Gap { row: s.first_row, ends_s: s.start_s, missing_s })
                .collect();
        }
        Content::Markers(markers) => {
            summary.count = markers.len();
            for marker in markers {
                *summary.markers.entry(marker.text.clone()).or_default() += 1;
            }
            let start = markers.iter().map(|m| m.time_s).reduce(f64::min);
            let end = markers.iter().map(|m| m.time_s + m.duration_s).reduce(f64::max);
            if let (Some(start), Some(end)) = (start, end) {
                summary.start_s = start;
                summary.duration_s = end - start;
            }
        }
    }
    summary
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}  {}", self.path, self.format)?;
        for stream in &self.streams {
            write!(f, "  {} ({})", stream.name, stream.kind)?;
            if !stream.channels.is_empty() {
                write!(f, ", {} channels", stream.channels.len())?;
            }
            if stream.rate_hz > 0.0 {
                write!(f, ", {} Hz", stream.rate_hz)?;
            }
            writeln!(
                f,
                ", {} {}, {:.3} s from {:.3} s",
                stream.count,
                if stream.markers.is_empty() { "samples" } else { "markers" },
                stream.duration_s,
                stream.start_s
            )?;
            if !stream.channels.is_empty() {
                writeln!(f, "    channels: {}", stream.channels.join(" "))?;
                let units: Vec<String> =
                    stream.units.iter().map(|(unit, n)| format!("\"{unit}\" x {n}")).collect();
                writeln!(f, "    units: {}", units.join(", "))?;
            }
            for gap in stream.gaps.iter().take(MAX_GAPS) {
                writeln!(f, "    gap: {:.3} s missing before {:.3} s", gap.missing_s, gap.ends_s)?;
            }
            if let Some(more) = stream.gaps.get(MAX_GAPS..).filter(|more| !more.is_empty()) {
                let missing_s: f64 = more.iter().map(|gap| gap.missing_s).sum();
                writeln!(f, "    and {} more gaps, {missing_s:.3} s missing in them", more.len())?;
            }
            for (text, n) in &stream.markers {
                writeln!(f, "    {n} x {text}")?;
            }
        }
        for warning in &self.warnings {
            writeln!(f, "  warning: {warning}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Marker, Samples, Segment};
    use super::*;
    use crate::frame::Channel;

    #[test]
    fn counts_gaps_and_markers() {
        let samples = Samples {
            cols: 1,
            values: vec![0.0; 6],
            segments: vec![
                Segment { first_row: 0, rows: 4, start_s: 0.0 },
                Segment { first_row: 4, rows: 2, start_s: 3.0 },
            ],
            stamps: None,
        };
        let mut stream = Stream::markers("x", Vec::new());
        stream.channels = vec![Channel::named("Cz")];
        stream.rate_hz = 2.0;
        stream.content = Content::Samples(samples);
        let mark = |time_s| Marker { time_s, duration_s: 0.5, text: "T1".into() };
        let recording = Recording {
            path: "a.edf".into(),
            format: "EDF+D",
            streams: vec![stream, Stream::markers("m", vec![mark(1.0), mark(3.0)])],
            warnings: Vec::new(),
        };
        let summary = recording.describe();
        assert_eq!(summary.streams[0].duration_s, 4.0);
        assert_eq!(summary.streams[0].gaps, [Gap { row: 4, ends_s: 3.0, missing_s: 1.0 }]);
        assert_eq!(summary.streams[1].markers["T1"], 2);
        assert_eq!(summary.streams[1].duration_s, 2.5);
        let text = summary.to_string();
        assert!(text.contains("gap: 1.000 s missing") && text.contains("2 x T1"), "{text}");
    }

    #[test]
    fn lists_a_few_of_many_gaps() {
        let segment = |i: usize| Segment { first_row: i, rows: 1, start_s: 3.0 * i as f64 };
        let segments = (0..12).map(segment).collect();
        let mut stream = Stream::markers("x", Vec::new());
        stream.rate_hz = 1.0;
        stream.content =
            Content::Samples(Samples { cols: 1, values: vec![0.0; 12], segments, stamps: None });
        let recording = Recording {
            path: "a.safetensors".into(),
            format: "Saltatory epochs",
            streams: vec![stream],
            warnings: Vec::new(),
        };
        let text = recording.describe().to_string();
        assert_eq!(text.matches("gap: 2.000 s missing").count(), 8, "{text}");
        assert!(text.contains("and 3 more gaps, 6.000 s missing in them"), "{text}");
    }
}
