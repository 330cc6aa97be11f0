//! Signals with a planted structure: somebody is shown one item after the other, and the sensors tell which.
//!
//! Out: the channels of a world file, or markers with the labels of the items. The model is in
//! [`crate::math::simulator::planted`], the file in [`crate::formats::world`].

use super::replay::pace;
use super::synthetic::Which;
use super::{Read, Source, Speed, block_rows, set_marker};
use crate::clock;
use crate::error::{Error, Result};
use crate::formats::world::{self, Named};
use crate::formats::{Content, Marker, Recording, Samples, Segment, Stream};
use crate::frame::{Channel, Frame, Spec};
use crate::ledger::Counters;
use crate::math::simulator::planted::Planted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How many trials a recording `planted:WORLD` has when it does not say.
const TRIALS: u64 = 60;
/// For how long it sleeps at most before it says that nothing came.
const NAP_S: f64 = 0.1;
/// The most numbers of such a recording.
const MAX_NUMBERS: u64 = 1 << 31;

/// Simulates somebody who is shown pictures, words or anything else, after a file that says how sources answer to
/// them: for trying decoders whose answer is known. Deterministic.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file (docs/formats.md).
    pub world: PathBuf,
    /// "samples" for the channels, "markers" for what is shown.
    #[serde(default)]
    pub stream: Which,
    /// Another seed is another session. Worlds with the same items have the same ones in the same session.
    #[serde(default)]
    pub seed: u64,
    /// The first and the last of the items that are shown, counted from 0; all when left out.
    #[serde(default)]
    pub items: Option<[usize; 2]>,
    /// Ends after this many seconds; endless when left out.
    #[serde(default)]
    pub duration_s: Option<f64>,
    /// Multiples of real time, or "max".
    #[serde(default = "real_time")]
    pub speed: Speed,
}

fn real_time() -> Speed {
    Speed::Times(1.0)
}

impl crate::kind::Settings<dyn Source> for Settings {
    const EXAMPLE: &'static str = "world = \"models/worlds/example.safetensors\"\nseed = 1\nduration_s = 10.0\nspeed = \"max\"\n";

    fn build(self) -> Result<Box<dyn Source>> {
        if self.duration_s.is_some_and(|d| d.is_nan() || d <= 0.0) {
            return Err(Error::setting("duration_s", "must be above 0"));
        }
        let named = world::read(&self.world).map_err(|e| e.blaming("world"))?;
        let session = Session::new(named, self.seed, self.items)?;
        let rate_hz = session.named.world.rate_hz;
        let last = self.duration_s.map_or(u64::MAX, |d| (d * rate_hz).round() as u64);
        let spec = match self.stream {
            Which::Samples => {
                Spec::samples(session.named.channels.clone(), rate_hz, block_rows(rate_hz))
            }
            Which::Markers => Spec::markers(),
        };
        Ok(Box::new(PlantedSource {
            planted: session.planted(),
            speed: self.speed,
            settings: self,
            session,
            spec,
            last,
            shown: 0,
            start_s: 0.0,
            ledger: Counters::new(""),
        }))
    }
}

/// A world, a seed, and what is shown.
struct Session {
    named: Named,
    seed: u64,
    items: RangeInclusive<usize>,
}

impl Session {
    fn new(named: Named, seed: u64, items: Option<[usize; 2]>) -> Result<Self> {
        let [first, last] = items.unwrap_or([0, named.world.items - 1]);
        if first > last || last >= named.world.items {
            let text = format!("the world has the items 0 to {}", named.world.items - 1);
            return Err(Error::setting("items", text));
        }
        Ok(Self { named, seed, items: first..=last })
    }

    fn planted(&self) -> Planted {
        Planted::new(
            Arc::new(self.named.world.clone()),
            self.seed,
            self.stream(),
            self.items.clone(),
        )
    }

    /// Noises of its own for each set of channels.
    fn stream(&self) -> u64 {
        let bytes = self.named.channels.iter().flat_map(|c| c.label.bytes());
        // FNV-1a.
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, b| {
            (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// The marker of trial `number`, counted from 1.
    fn marker(&self, number: u64) -> Marker {
        let shown = self.named.world.shown(self.seed, &self.items, number);
        let text = self.named.items[shown.item].clone();
        Marker { time_s: shown.time_s, duration_s: 0.0, text }
    }
}

/// The source.
struct PlantedSource {
    settings: Settings,
    session: Session,
    planted: Planted,
    spec: Spec,
    last: u64,
    /// How many markers were delivered.
    shown: u64,
    speed: Speed,
    start_s: f64,
    ledger: Arc<Counters>,
}

impl Source for PlantedSource {
    fn open(&mut self, ledger: Arc<Counters>) -> Result<Spec> {
        self.ledger = ledger;
        Ok(self.spec.clone())
    }

    fn start(&mut self, at_s: f64) {
        self.start_s = at_s;
    }

    fn read(&mut self, block: &mut Frame) -> Result<Read> {
        Ok(match self.settings.stream {
            Which::Samples => self.read_samples(block),
            Which::Markers => self.read_marker(block),
        })
    }

    fn offline(&self) -> bool {
        self.speed == Speed::Max
    }

    fn set_speed(&mut self, speed: Speed) {
        self.speed = speed;
    }
}

impl PlantedSource {
    fn read_samples(&mut self, block: &mut Frame) -> Read {
        let first = self.planted.position();
        let rows = (self.last - first).min(self.spec.rows as u64) as usize;
        if rows == 0 {
            return Read::End;
        }
        block.resize(rows, self.spec.cols);
        self.planted.next(&mut block.data);
        block.span.first = first;
        block.span.last = first + rows as u64 - 1;
        block.span.first_s = first as f64 / self.spec.rate_hz;
        block.span.last_s = block.span.last as f64 / self.spec.rate_hz;
        pace(block, self.start_s, self.speed);
        Read::Filled
    }

    fn read_marker(&mut self, block: &mut Frame) -> Read {
        let marker = self.session.marker(self.shown + 1);
        if marker.time_s * self.session.named.world.rate_hz >= self.last as f64 {
            return Read::End;
        }
        if self.waits_long_for(&marker) {
            return Read::Idle;
        }
        set_marker(block, &marker.text, self.shown, marker.time_s, &self.ledger);
        self.shown += 1;
        pace(block, self.start_s, self.speed);
        Read::Filled
    }

    /// Sleeps for a while if `marker` is not due for longer than a source may keep the engine waiting.
    fn waits_long_for(&self, marker: &Marker) -> bool {
        let Speed::Times(times) = self.speed else { return false };
        let wait_s = self.start_s + marker.time_s / times - clock::now_s();
        if wait_s > NAP_S {
            std::thread::sleep(Duration::from_secs_f64(NAP_S));
        }
        wait_s > NAP_S
    }
}

/// A session as a recording, by its name: `planted:WORLD`, then, each if wanted, `?seed=1&trials=60&items=0-99`.
pub fn session(name: &str) -> Result<Recording> {
    let wrong = || {
        Error::input(format!(
            "`{name}`: expected planted:WORLD.safetensors?seed=1&trials=60&items=0-99, each of these as wanted"
        ))
    };
    let rest = name.strip_prefix("planted:").ok_or_else(wrong)?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (mut seed, mut trials, mut items) = (0, TRIALS, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
        match key {
            "seed" => seed = value.parse().map_err(|_| wrong())?,
            "trials" => trials = value.parse().map_err(|_| wrong())?,
            "items" => {
                let (first, last) = value.split_once('-').ok_or_else(wrong)?;
                let number = |text: &str| text.parse().map_err(|_| wrong());
                items = Some([number(first)?, number(last)?]);
            }
            _ => return Err(wrong()),
        }
    }
    let session =
        Session::new(world::read(Path::new(path))?, seed, items).map_err(|e| e.at(name))?;
    session.record(name, trials)
}

impl Session {
    fn record(&self, name: &str, trials: u64) -> Result<Recording> {
        let world = &self.named.world;
        let cols = world.channels();
        // One more pause at the end, so that the last answer is whole.
        let length_s = world.item_s * (trials.min(u64::from(u32::MAX)) + 2) as f64;
        let rows = (length_s * world.rate_hz).round() as u64;
        if rows.saturating_mul(cols as u64) > MAX_NUMBERS {
            let text = format!("{trials} trials are too many for a recording of {cols} channels");
            return Err(Error::input(text).at(name));
        }
        let mut values = vec![0.0; rows as usize * cols];
        self.planted().next(&mut values);
        let markers = (1..=trials).map(|number| self.marker(number)).collect();
        let segment = Segment { first_row: 0, rows: rows as usize, start_s: 0.0 };
        let samples = Samples { cols, values, segments: vec![segment], stamps: None };
        let channels: Vec<Channel> = self.named.channels.clone();
        let stream = Stream {
            name: "planted".into(),
            kind: channels.first().map(|c| c.kind.clone()).unwrap_or_default(),
            source_id: String::new(),
            channels,
            rate_hz: world.rate_hz,
            content: Content::Samples(samples),
        };
        Ok(Recording {
            path: name.into(),
            format: "planted",
            streams: vec![stream, Stream::markers("planted-markers", markers)],
            warnings: Vec::new(),
        })
    }
}
