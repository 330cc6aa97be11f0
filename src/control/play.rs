//! `saltatory play`: publishes a recording as LSL streams, as the device did once.

use super::stop::Stop;
use crate::clock;
use crate::error::{Error, Result};
use crate::formats::Stream;
use crate::frame::{Channel, Flags, Frame};
use crate::ledger::Counters;
use crate::sources::Speed;
use crate::sources::recording::{self, Player};
use crate::wire::lsl::{Outlet, Wire};
use std::time::Duration;

/// How to play.
#[derive(Debug, Clone)]
pub struct Options {
    /// How fast.
    pub speed: Speed,
    /// Whether to start again at the end.
    pub repeat: bool,
    /// The name of the stream of samples; markers get it with `-markers` behind. The recording's
    /// own names when left out.
    pub name: Option<String>,
    /// Waits until somebody listens to every stream before it starts.
    pub wait: bool,
    /// Samples that are sent off together; 10 ms when left out.
    pub chunk: Option<usize>,
}

/// One stream on its way out.
struct Voice {
    player: Player,
    outlet: Outlet,
    block: Frame,
    name: String,
    /// Whether `block` holds something that was not sent yet.
    loaded: bool,
    rate_hz: f64,
    /// Row of the block that is sent next.
    row: usize,
    chunk: usize,
}

/// Plays `recording` until its end or until `stop` is asked for.
pub fn play(recording: &str, options: &Options, stop: &Stop) -> Result<()> {
    let loaded = recording::load(recording)?;
    stop.listen();
    for warning in &loaded.warnings {
        tracing::warn!("{recording}: {warning}");
    }
    let mut voices = Vec::new();
    for stream in loaded.streams {
        voices.extend(voice(stream, options)?);
    }
    if voices.is_empty() {
        return Err(Error::input(format!("{recording}: holds nothing to play")));
    }
    for v in &voices {
        let rate = if v.rate_hz > 0.0 { format!("{} Hz", v.rate_hz) } else { "markers".into() };
        eprintln!("playing `{}` ({rate}) as an LSL stream", v.name);
    }
    if options.wait {
        eprintln!("waiting for a listener on every stream");
        while !voices.iter().all(|v| v.outlet.has_listener()) {
            if stop.asked() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    loop {
        perform(&mut voices, options, stop)?;
        if !options.repeat || stop.asked() {
            break;
        }
        voices.iter_mut().for_each(|v| v.player.rewind());
    }
    // What was pushed last is still on its way through liblsl's threads.
    std::thread::sleep(Duration::from_millis(500));
    Ok(())
}

/// Opens the outlet of a stream; a stream without content has none.
fn voice(stream: Stream, options: &Options) -> Result<Option<Voice>> {
    let (kind, rate_hz) = (stream.kind.clone(), stream.rate_hz);
    let markers = recording::is_markers(&stream);
    let name = match (&options.name, markers) {
        (Some(name), false) => name.clone(),
        (Some(name), true) => format!("{name}-markers"),
        (None, _) => stream.name.clone(),
    };
    let source_id = format!("saltatory-play-{name}");
    let player = Player::new(stream)?;
    if player.first_s().is_none() {
        return Ok(None);
    }
    let spec = player.spec().clone();
    let outlet = if markers {
        Outlet::markers(&name, &source_id)?
    } else {
        let channels: Vec<Channel> = spec.channels.clone();
        Outlet::open(&name, &kind, &source_id, &channels, rate_hz, Wire::Double64, &[])?
    };
    let chunk = options.chunk.unwrap_or((rate_hz * 0.01).ceil() as usize).max(1);
    let block = spec.frame();
    Ok(Some(Voice { player, outlet, block, name, loaded: false, rate_hz, row: 0, chunk }))
}

/// Plays every stream once, from its start to its end.
fn perform(voices: &mut [Voice], options: &Options, stop: &Stop) -> Result<()> {
    let ledger = Counters::new("play");
    let first_s = voices.iter().filter_map(|v| v.player.first_s()).fold(f64::INFINITY, f64::min);
    let start_s = clock::now_s() + 0.05;
    for voice in voices.iter_mut() {
        voice.player.shift(start_s - first_s);
        voice.load(&ledger);
    }
    while !stop.asked() {
        // The chunk that is due first goes first.
        let due = |v: &Voice| if v.loaded { v.due_s() } else { f64::INFINITY };
        let Some(next) = voices.iter_mut().min_by(|a, b| due(a).total_cmp(&due(b))) else { break };
        if !next.loaded {
            break;
        }
        if let Speed::Times(times) = options.speed {
            let wait_s = start_s + (next.due_s() - start_s) / times - clock::now_s();
            if wait_s > 0.0 {
                std::thread::sleep(Duration::from_secs_f64(wait_s.min(0.1)));
                if wait_s > 0.1 {
                    continue;
                }
            }
        }
        next.send()?;
        if next.row >= next.block.rows {
            next.load(&ledger);
        }
    }
    Ok(())
}

impl Voice {
    fn load(&mut self, ledger: &Counters) {
        self.block.flags = Flags::NONE;
        self.loaded = self.player.next(&mut self.block, ledger);
        self.row = 0;
        if self.block.cols == 0 {
            self.block.rows = 1;
        }
    }

    /// When the next chunk is due: at the time of its last sample.
    fn due_s(&self) -> f64 {
        self.time_s(self.end() - 1)
    }

    /// The row behind the next chunk.
    fn end(&self) -> usize {
        (self.row + self.chunk).min(self.block.rows)
    }

    fn time_s(&self, row: usize) -> f64 {
        if self.block.rows <= 1 {
            return self.block.span.last_s;
        }
        let span = self.block.span;
        let share = row as f64 / (self.block.rows - 1) as f64;
        span.first_s + share * (span.last_s - span.first_s)
    }

    fn send(&mut self) -> Result<()> {
        let end = self.end();
        if self.block.cols == 0 {
            self.outlet.push_text(&self.block.text, self.block.span.last_s)?;
        } else {
            for row in self.row..end {
                let sample = self.block.row(row).to_vec();
                self.outlet.push_exact(&sample, self.time_s(row), row + 1 == end)?;
            }
        }
        self.row = end;
        Ok(())
    }
}
