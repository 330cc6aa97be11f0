//! Noise on many channels at a high rate, at little cost: to find out what a machine can hold.
//!
//! Out: microvolts, `x[n][c] = w + g[c] (10 sin(2 pi 10 n / rate) + 5 sin(2 pi 50 n / rate))`: white
//! noise w of RMS 10, a rhythm and the hum of the mains, both `g[c]`, 0.5 to 1.5, times as strong on
//! channel c. The noise is not made anew for each sample: row n is a stretch of a fixed sequence,
//! beginning somewhere that n and the seed decide. The same for the same settings.

use super::replay::pace;
use super::{Read, Source, Speed, block_rows};
use crate::error::{Error, Result};
use crate::frame::{Channel, Frame, Spec};
use crate::ledger::Counters;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::sync::Arc;

const MAX_CHANNELS: usize = 16_384;
const MAX_RATE_HZ: f64 = 1e6;
/// Where a row of noise may begin.
const BEGINNINGS: u64 = 1 << 15;
const NOISE_UV: f64 = 10.0;
/// Height in microvolts and frequency of what every channel has.
const TONES: [(f64, f64); 2] = [(10.0, 10.0), (5.0, 50.0)];

/// White noise with a 10 Hz rhythm and 50 Hz hum on many channels, at little cost: to find out what
/// a machine can hold. Deterministic.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many channels; their labels are 1, 2, 3 and so on.
    pub channels: usize,
    /// Samples per second.
    pub rate_hz: f64,
    /// Another seed gives other noise.
    #[serde(default)]
    pub seed: u64,
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
    const EXAMPLE: &'static str =
        "channels = 306\nrate_hz = 1000.0\nseed = 1\nduration_s = 2.0\nspeed = \"max\"\n";

    fn build(self) -> Result<Box<dyn Source>> {
        let Self { channels, rate_hz, duration_s, .. } = self;
        if !(1..=MAX_CHANNELS).contains(&channels) {
            let message = format!("channels is {channels}, expected 1 to {MAX_CHANNELS}");
            return Err(Error::setting("channels", message));
        }
        if !(rate_hz > 0.0 && rate_hz <= MAX_RATE_HZ) {
            let message =
                format!("rate_hz is {rate_hz}, expected more than 0, at most {MAX_RATE_HZ}");
            return Err(Error::setting("rate_hz", message));
        }
        if duration_s.is_some_and(|d| d.is_nan() || d <= 0.0) {
            return Err(Error::setting("duration_s", "must be above 0"));
        }
        Ok(Box::new(Noise::new(self)))
    }
}

/// The source.
struct Noise {
    spec: Spec,
    seed: u64,
    speed: Speed,
    noise: Vec<f64>,
    gains: Vec<f64>,
    /// Index of the sample that comes next, and of the one where the stream ends.
    next: u64,
    end: u64,
    start_s: f64,
}

impl Noise {
    fn new(settings: Settings) -> Self {
        let Settings { channels, rate_hz, seed, duration_s, speed } = settings;
        let labels = (1..=channels).map(|number| Channel {
            unit: "microvolts".into(),
            ..Channel::named(number.to_string())
        });
        let rng = &mut Pcg64::seed_from_u64(seed);
        let mut normal = || -> f64 { NOISE_UV * Distribution::<f64>::sample(&StandardNormal, rng) };
        let noise = (0..BEGINNINGS as usize + channels).map(|_| normal()).collect();
        Self {
            spec: Spec::samples(labels.collect(), rate_hz, block_rows(rate_hz)),
            seed,
            speed,
            noise,
            gains: (0..channels).map(|_| rng.random_range(0.5..1.5)).collect(),
            next: 0,
            end: duration_s.map_or(u64::MAX, |d| (d * rate_hz).round() as u64),
            start_s: 0.0,
        }
    }

    /// Writes sample `n` of all channels.
    fn sample(&self, n: u64, row: &mut [f64]) {
        let turn = |freq_hz: f64| TAU * (n as f64 * freq_hz / self.spec.rate_hz).fract();
        let tones: f64 = TONES.iter().map(|(height, freq_hz)| height * turn(*freq_hz).sin()).sum();
        let begin = (scramble(n ^ scramble(self.seed)) % BEGINNINGS) as usize;
        for ((x, noise), gain) in row.iter_mut().zip(&self.noise[begin..]).zip(&self.gains) {
            *x = noise + gain * tones;
        }
    }
}

/// A number that looks like chance (the mixing step of SplitMix64).
fn scramble(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

impl Source for Noise {
    fn open(&mut self, _ledger: Arc<Counters>) -> Result<Spec> {
        Ok(self.spec.clone())
    }

    fn start(&mut self, at_s: f64) {
        self.start_s = at_s;
    }

    fn read(&mut self, block: &mut Frame) -> Result<Read> {
        let (first, rate_hz) = (self.next, self.spec.rate_hz);
        let rows = (self.end - first).min(self.spec.rows as u64);
        if rows == 0 {
            return Ok(Read::End);
        }
        self.next += rows;
        block.resize(rows as usize, self.spec.cols);
        for (n, row) in (first..).zip(block.data.chunks_exact_mut(self.spec.cols)) {
            self.sample(n, row);
        }
        block.span.first = first;
        block.span.last = self.next - 1;
        block.span.first_s = first as f64 / rate_hz;
        block.span.last_s = block.span.last as f64 / rate_hz;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Settings as _;

    fn rows(seed: u64, n: u64) -> Vec<Vec<f64>> {
        let speed = Speed::Max;
        let settings = Settings { channels: 3, rate_hz: 1000.0, seed, duration_s: None, speed };
        let noise = Noise::new(settings);
        let mut rows = vec![vec![0.0; 3]; n as usize];
        (0..n).zip(&mut rows).for_each(|(n, row)| noise.sample(n, row));
        rows
    }

    #[test]
    fn the_noise_is_white_and_the_tones_are_where_they_belong() {
        let rows = rows(1, 20_000);
        let at = |freq_hz: f64, c: usize| {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, row) in rows.iter().enumerate() {
                let (sin, cos) = (TAU * freq_hz * n as f64 / 1000.0).sin_cos();
                (re, im) = (re + row[c] * cos, im + row[c] * sin);
            }
            2.0 * f64::hypot(re, im) / rows.len() as f64
        };
        for c in 0..3 {
            // the noise in one of 10000 bins: a height of 10 sqrt(2 / 10000), up to 4 times that
            let ratio = at(10.0, c) / at(50.0, c);
            assert!((ratio - 2.0).abs() < 0.5, "{ratio}");
            assert!((4.0..16.0).contains(&at(10.0, c)));
            for quiet in [3.0, 77.0, 210.0, 433.0] {
                assert!(at(quiet, c) < 0.6, "{quiet} Hz: {}", at(quiet, c));
            }
        }
        // 100 of noise and, at the weakest and the strongest, 0.25 or 2.25 times (100 + 25) / 2 of tones
        let power = rows.iter().map(|row| row[0] * row[0]).sum::<f64>() / rows.len() as f64;
        assert!((110.0..250.0).contains(&power), "{power}");
    }

    #[test]
    fn the_seed_decides_and_the_blocks_do_not() {
        assert_eq!(rows(1, 100), rows(1, 100));
        assert_ne!(rows(1, 100), rows(2, 100));
        let speed = Speed::Max;
        let settings =
            Settings { channels: 3, rate_hz: 1000.0, seed: 1, duration_s: Some(0.05), speed };
        let mut source = settings.build().unwrap();
        let mut block = source.open(Counters::new("")).unwrap().frame();
        let mut got = Vec::new();
        while source.read(&mut block).unwrap() == Read::Filled {
            assert_eq!(block.span.first, got.len() as u64);
            got.extend(block.data.chunks(3).map(<[f64]>::to_vec));
        }
        assert_eq!(got, rows(1, 50));
    }

    #[test]
    fn wrong_settings_are_named() {
        let key = |channels, rate_hz, duration_s| {
            let speed = Speed::Max;
            let settings = Settings { channels, rate_hz, seed: 0, duration_s, speed };
            settings.build().err().and_then(|e| e.key().map(str::to_owned))
        };
        assert_eq!(key(0, 100.0, None).as_deref(), Some("channels"));
        assert_eq!(key(1, 0.0, None).as_deref(), Some("rate_hz"));
        assert_eq!(key(1, 100.0, Some(0.0)).as_deref(), Some("duration_s"));
        assert_eq!(key(1, 100.0, None), None);
    }
}
