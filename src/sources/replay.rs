//! Replays a recording: the same blocks that a live stream would bring.

use super::recording::{self, Player};
use super::{Read, Source, Speed};
use crate::clock;
use crate::error::Result;
use crate::frame::{Frame, Spec};
use crate::ledger::Counters;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Replays one stream of a recording (EDF, BDF, XDF, BrainVision, BCI2000, trials) at its own pace,
/// faster, or as fast as the machine can. Several sources may replay different streams of the same file.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file; or "synthetic:SEED" for a simulated session.
    pub path: String,
    /// Which stream: "samples" or "markers" for the first of that sort, else a stream's name.
    #[serde(default = "samples")]
    pub stream: String,
    /// Multiples of real time, or "max".
    #[serde(default = "real_time")]
    pub speed: Speed,
}

fn samples() -> String {
    "samples".into()
}

fn real_time() -> Speed {
    Speed::Times(1.0)
}

impl crate::kind::Settings<dyn Source> for Settings {
    const EXAMPLE: &'static str = "path = \"synthetic:1\"\nspeed = \"max\"\n";

    fn build(self) -> Result<Box<dyn Source>> {
        Ok(Box::new(Replay {
            speed: self.speed,
            settings: self,
            player: None,
            ledger: Counters::new(""),
            start_s: 0.0,
        }))
    }
}

/// The source.
struct Replay {
    settings: Settings,
    speed: Speed,
    player: Option<Player>,
    ledger: Arc<Counters>,
    start_s: f64,
}

impl Source for Replay {
    fn open(&mut self, ledger: Arc<Counters>) -> Result<Spec> {
        self.ledger = ledger;
        let recording = recording::load(&self.settings.path)?;
        for warning in &recording.warnings {
            tracing::warn!("{}: {warning}", self.settings.path);
        }
        let stream = recording::stream(recording, &self.settings.stream)
            .map_err(|e| e.at(&self.settings.path))?;
        let player = Player::new(stream)?;
        let spec = player.spec().clone();
        self.player = Some(player);
        Ok(spec)
    }

    fn start(&mut self, at_s: f64) {
        self.start_s = at_s;
    }

    fn read(&mut self, block: &mut Frame) -> Result<Read> {
        let Some(player) = &mut self.player else { return Ok(Read::End) };
        if !player.next(block, &self.ledger) {
            return Ok(Read::End);
        }
        pace(block, self.start_s, self.speed);
        Ok(Read::Filled)
    }

    fn offline(&self) -> bool {
        self.speed == Speed::Max
    }

    fn set_speed(&mut self, speed: Speed) {
        self.speed = speed;
    }
}

/// Waits until the block is due, counting from `start_s`, and puts it onto the LSL clock. As fast
/// as possible, times stay those of the recording.
pub fn pace(block: &mut Frame, start_s: f64, speed: Speed) {
    if let Speed::Times(times) = speed {
        let wait_s = start_s + block.span.last_s / times - clock::now_s();
        if wait_s > 0.0 {
            std::thread::sleep(Duration::from_secs_f64(wait_s));
        }
        block.span.first_s = start_s + block.span.first_s / times;
        block.span.last_s = start_s + block.span.last_s / times;
    }
}
