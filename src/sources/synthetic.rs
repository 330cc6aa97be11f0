//! A simulated subject who imagines moving the left or the right hand.
//!
//! Out: microvolts of a 64-channel montage, or the markers of the cues; the same for the same
//! settings. The model is in [`crate::math::simulator`].

use super::replay::pace;
use super::{Read, Source, Speed, block_rows, set_marker};
use crate::error::{Error, Result};
use crate::formats::{Content, Marker, Recording, Samples, Segment, Stream};
use crate::frame::{Channel, Frame, Spec};
use crate::ledger::Counters;
use crate::math::simulator::{Class, Config, Marker as Cue, Simulator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Length of a simulated session for `synthetic:SEED`, in seconds.
const SESSION_S: f64 = 124.0;
/// Its difficulty: clearly above chance, not perfect.
const SESSION_DIFFICULTY: f64 = 0.5;

/// Simulates motor imagery: a background with a 1/f spectrum, mu and beta rhythms that fall over
/// the hemisphere opposite to the imagined hand, blinks, line noise and drift. Deterministic.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// "samples" for the EEG, "markers" for the cues: T1 left hand, T2 right hand, T0 rest, as in
    /// the PhysioNet recordings.
    #[serde(default)]
    pub stream: Which,
    /// Channel labels (10-10 system); the 64 of the PhysioNet recordings when left out.
    #[serde(default)]
    pub channels: Option<Vec<String>>,
    /// Samples per second.
    #[serde(default = "rate")]
    pub rate_hz: f64,
    /// Another seed is another session of another subject.
    #[serde(default)]
    pub seed: u64,
    /// From 0 (classes differ clearly) to 1 (nothing tells them apart).
    #[serde(default = "difficulty")]
    pub difficulty: f64,
    /// Power line frequency; 0 for none.
    #[serde(default = "line")]
    pub line_hz: f64,
    /// Ends after this many seconds; endless when left out.
    #[serde(default)]
    pub duration_s: Option<f64>,
    /// Multiples of real time, or "max".
    #[serde(default = "real_time")]
    pub speed: Speed,
}

/// What a synthetic source delivers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// The EEG.
    #[default]
    Samples,
    /// The cues.
    Markers,
}

fn rate() -> f64 {
    160.0
}

fn difficulty() -> f64 {
    SESSION_DIFFICULTY
}

fn line() -> f64 {
    50.0
}

fn real_time() -> Speed {
    Speed::Times(1.0)
}

impl Settings {
    fn simulation(&self) -> Config {
        let defaults = Config::default();
        Config {
            channels: self.channels.clone().unwrap_or(defaults.channels),
            rate_hz: self.rate_hz,
            seed: self.seed,
            difficulty: self.difficulty,
            line_hz: self.line_hz,
            ..Config::default()
        }
    }
}

impl crate::kind::Settings<dyn Source> for Settings {
    const EXAMPLE: &'static str =
        "seed = 1\ndifficulty = 0.3\nduration_s = 10.0\nspeed = \"max\"\n";

    fn build(self) -> Result<Box<dyn Source>> {
        if self.duration_s.is_some_and(|d| d.is_nan() || d <= 0.0) {
            return Err(Error::setting("duration_s", "must be above 0"));
        }
        let mut config = self.simulation();
        if self.stream == Which::Markers {
            // The cues do not depend on the channels, so one is enough to find them.
            config.channels = vec!["Cz".into()];
        }
        let simulator = Simulator::new(&config)?;
        let last = self.duration_s.map_or(u64::MAX, |d| (d * self.rate_hz).round() as u64);
        let labels = config.channels.clone();
        let channels = labels.into_iter().map(channel).collect();
        let samples = Spec::samples(channels, self.rate_hz, block_rows(self.rate_hz));
        Ok(Box::new(Synthetic {
            cues: Vec::new(),
            markers: 0,
            scratch: vec![0.0; samples.rows * samples.cols],
            speed: self.speed,
            settings: self,
            simulator,
            samples,
            last,
            start_s: 0.0,
            ledger: Counters::new(""),
        }))
    }
}

/// The source.
struct Synthetic {
    settings: Settings,
    simulator: Simulator,
    samples: Spec,
    scratch: Vec<f64>,
    /// Markers found but not yet delivered, newest first.
    cues: Vec<Marker>,
    markers: u64,
    last: u64,
    speed: Speed,
    start_s: f64,
    ledger: Arc<Counters>,
}

impl Source for Synthetic {
    fn open(&mut self, ledger: Arc<Counters>) -> Result<Spec> {
        self.ledger = ledger;
        Ok(match self.settings.stream {
            Which::Samples => self.samples.clone(),
            Which::Markers => Spec::markers(),
        })
    }

    fn start(&mut self, at_s: f64) {
        self.start_s = at_s;
    }

    fn read(&mut self, block: &mut Frame) -> Result<Read> {
        match self.settings.stream {
            Which::Samples => Ok(self.read_samples(block)),
            Which::Markers => Ok(self.read_marker(block)),
        }
    }

    fn offline(&self) -> bool {
        self.speed == Speed::Max
    }

    fn set_speed(&mut self, speed: Speed) {
        self.speed = speed;
    }
}

impl Synthetic {
    /// How many samples come next; 0 at the end.
    fn rows(&self) -> usize {
        (self.last - self.simulator.position()).min(self.samples.rows as u64) as usize
    }

    fn read_samples(&mut self, block: &mut Frame) -> Read {
        let (first, rows) = (self.simulator.position(), self.rows());
        if rows == 0 {
            return Read::End;
        }
        block.resize(rows, self.samples.cols);
        self.simulator.next(&mut block.data, rows);
        block.data.iter_mut().for_each(|v| *v *= 1e6);
        let rate_hz = self.samples.rate_hz;
        block.span.first = first;
        block.span.last = first + rows as u64 - 1;
        block.span.first_s = first as f64 / rate_hz;
        block.span.last_s = block.span.last as f64 / rate_hz;
        pace(block, self.start_s, self.speed);
        Read::Filled
    }

    fn read_marker(&mut self, block: &mut Frame) -> Read {
        if self.cues.is_empty() {
            let rows = self.rows();
            if rows == 0 {
                return Read::End;
            }
            self.simulator.next(&mut self.scratch, rows);
            let config = self.settings.simulation();
            self.cues.extend(self.simulator.markers().flat_map(|m| annotations(m, &config)));
            self.cues.reverse();
            if self.cues.is_empty() && self.speed != Speed::Max {
                // The cues are known long before they are due: no hurry.
                let mut nothing = Frame::clone(block);
                nothing.span.last_s = self.simulator.position() as f64 / config.rate_hz;
                pace(&mut nothing, self.start_s, self.speed);
            }
        }
        let Some(cue) = self.cues.pop() else { return Read::Idle };
        set_marker(block, &cue.text, self.markers, cue.time_s, &self.ledger);
        self.markers += 1;
        pace(block, self.start_s, self.speed);
        Read::Filled
    }
}

/// A simulated session as a recording: 64 channels at 160 Hz with cues, two minutes long.
pub fn session(seed: u64) -> Result<Recording> {
    let config = Config { seed, difficulty: SESSION_DIFFICULTY, ..Config::default() };
    let mut simulator = Simulator::new(&config)?;
    let rows = (SESSION_S * config.rate_hz) as usize;
    let cols = config.channels.len();
    let mut values = vec![0.0; rows * cols];
    simulator.next(&mut values, rows);
    values.iter_mut().for_each(|v| *v *= 1e6);
    let markers = simulator.markers().flat_map(|m| annotations(m, &config)).collect();
    let samples = Samples {
        cols,
        values,
        segments: vec![Segment { first_row: 0, rows, start_s: 0.0 }],
        stamps: None,
    };
    let eeg = Stream {
        name: format!("synthetic-{seed}"),
        kind: "EEG".into(),
        source_id: String::new(),
        channels: config.channels.into_iter().map(channel).collect(),
        rate_hz: config.rate_hz,
        content: Content::Samples(samples),
    };
    Ok(Recording {
        path: format!("synthetic:{seed}").into(),
        format: "synthetic",
        streams: vec![eeg, Stream::markers(format!("synthetic-{seed}-markers"), markers)],
        warnings: Vec::new(),
    })
}

/// A cue and the rest after it, as the PhysioNet recordings annotate them: T1 left hand, T2 right
/// hand, T3 feet, T0 rest.
fn annotations(cue: Cue, config: &Config) -> [Marker; 2] {
    let text = match cue.class {
        Class::Rest => "T0",
        Class::LeftHand => "T1",
        Class::RightHand => "T2",
        Class::Feet => "T3",
    };
    let time_s = cue.sample as f64 / config.rate_hz;
    let (imagery_s, rest_s) = (config.imagery_s, config.rest_s);
    [
        Marker { time_s, duration_s: imagery_s, text: text.into() },
        Marker { time_s: time_s + imagery_s, duration_s: rest_s, text: "T0".into() },
    ]
}

fn channel(label: String) -> Channel {
    Channel { kind: "EEG".into(), unit: "microvolts".into(), ..Channel::named(label) }
}
