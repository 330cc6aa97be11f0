//! Window to tokens: the differential entropy of each channel in bands.
//!
//! In: a window of T samples x C channels of a regular stream. Out: C rows (nodes), one column for each band b:
//!
//! ```text
//! BDE_b = 0.5 log2(2 pi e var(x_b))
//! ```
//!
//! x_b is the channel, standardised first, behind a Butterworth band-pass (as `scipy.signal.sosfilt`) that starts at
//! rest with the window; var is the mean square about the mean, at least 1e-40, which a silent channel is given.
//! Standardised is by one mean and one standard deviation over all channels and samples, as the authors' code
//! does, or by those of each channel, as their text says.
//!
//! Where windows begin with a baseline, whole pieces of it are averaged, sample by sample, to one piece; its BDE,
//! found in the same way, is subtracted from that of what follows the baseline. Delay: none.
//!
//! Reference: the tokens of RBTransformer (docs/onnx.md).

use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::math::filter_design::{Band, MAX_ORDER, butterworth};
use crate::math::scaling::{Scaler, Scaling, Table};
use crate::math::sos::{Cascade, Section};
use crate::stages::window::history::samples;
use crate::stages::{Emit, Fault, Stage, regular};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::{E, TAU};

/// The least variance that is told apart from none.
const FLOOR: f64 = 1e-40;

/// Band differential entropy of each channel of a window: the tokens of emotion decoders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The bands, `[low, high]` in Hz.
    pub bands_hz: Vec<[f64; 2]>,
    /// Order of the band-pass, counted as SciPy does.
    pub order: usize,
    /// What each window is standardised by first: `window`: one mean and standard deviation over all of it;
    /// `channel`: those of each channel; `none`.
    pub standardise: Scaling,
    /// With so many seconds of baseline a window begins; 0 for none.
    pub baseline_s: f64,
    /// The baseline is averaged in pieces of so many seconds.
    pub piece_s: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bands_hz: vec![[4.0, 8.0], [8.0, 14.0], [14.0, 31.0], [31.0, 49.0]],
            order: 5,
            standardise: Scaling::Window,
            baseline_s: 0.0,
            piece_s: 1.0,
        }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "bands_hz = [[4.0, 8.0], [8.0, 14.0], [14.0, 31.0], [31.0, 49.0]]\n\
        order = 5\nstandardise = \"window\"\nbaseline_s = 0.0\npiece_s = 1.0\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if self.bands_hz.is_empty() {
            return Err(Error::setting("bands_hz", "is empty, expected bands such as [8.0, 14.0]"));
        }
        if !(1..=MAX_ORDER).contains(&self.order) {
            let text = format!("order is {}, expected 1 to {MAX_ORDER}", self.order);
            return Err(Error::setting("order", text));
        }
        if !(self.baseline_s >= 0.0 && self.baseline_s.is_finite()) {
            return Err(Error::setting("baseline_s", "must be 0 or more seconds"));
        }
        Ok(Box::new(Bde { settings: self, ready: None }))
    }
}

struct Bde {
    settings: Settings,
    ready: Option<Ready>,
}

/// Once it is prepared.
struct Ready {
    /// Rows and columns of a window.
    shape: [usize; 2],
    /// The samples of the baseline, which are averaged to the rows of `piece`.
    baseline: usize,
    /// What is left of the window.
    rest: Stretch,
    piece: Option<Stretch>,
    /// For each channel and band the entropy of the piece.
    before: Vec<f64>,
    out: Frame,
}

/// Finds the entropies of stretches of one length.
struct Stretch {
    scaler: Scaler,
    /// One for each band.
    bands: Vec<Cascade>,
    signal: Vec<f64>,
    filtered: Vec<f64>,
    mean: Vec<f64>,
}

impl Stage for Bde {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = regular(inputs, &[Payload::Window])?;
        let (rows, cols) = (input.cols, self.settings.bands_hz.len());
        let spec = Spec { payload: Payload::Nodes, rows, cols, ..input.clone() };
        self.ready = Some(self.settings.ready(input, spec.frame())?);
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let ready = self.ready.as_mut().ok_or(Fault("the stage is not prepared"))?;
        ready.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            ready.out.resize(0, ready.rest.bands.len());
        } else if [frame.rows, frame.cols] == ready.shape {
            ready.find(&frame.data)?;
        } else {
            return Err(Fault("the frame has another shape than was promised"));
        }
        emit.emit(&mut ready.out);
        Ok(())
    }

    fn reset(&mut self) {}
}

impl Settings {
    fn ready(&self, input: &Spec, out: Frame) -> Result<Ready> {
        let filters = self.filters(input.rate_hz)?;
        let (rows, cols) = (input.rows, input.cols);
        let stretch = |rows: usize| Stretch::new(self.standardise, &filters, rows, cols);
        let (baseline, piece) = match self.baseline_s > 0.0 {
            false => (0, None),
            true => {
                let baseline = samples("baseline_s", self.baseline_s, input.rate_hz)?;
                let piece = samples("piece_s", self.piece_s, input.rate_hz)?;
                if baseline % piece != 0 || baseline >= rows {
                    let text = format!(
                        "holds {baseline} samples, expected whole pieces of {piece} and fewer than the {rows} of the window"
                    );
                    return Err(Error::setting("baseline_s", text));
                }
                (baseline, Some(stretch(piece)))
            }
        };
        let before = vec![0.0; cols * filters.len()];
        Ok(Ready {
            shape: [rows, cols],
            baseline,
            rest: stretch(rows - baseline),
            piece,
            before,
            out,
        })
    }

    /// The band-passes.
    fn filters(&self, rate_hz: f64) -> Result<Vec<Vec<Section>>> {
        let filter = |[low, high]: &[f64; 2]| {
            butterworth(self.order, Band::Pass(*low, *high), rate_hz)
                .map_err(|e| e.blaming("bands_hz"))
        };
        self.bands_hz.iter().map(filter).collect()
    }
}

impl Ready {
    /// **Data.** Writes the entropies of `window`.
    fn find(&mut self, window: &[f64]) -> Result<(), Fault> {
        let [_, cols] = self.shape;
        let (baseline, rest) = window.split_at(self.baseline * cols);
        self.out.resize(cols, self.rest.bands.len());
        self.rest.signal.copy_from_slice(rest);
        self.rest.entropies(cols, &mut self.out.data)?;
        if let Some(piece) = &mut self.piece {
            piece.average(baseline);
            piece.entropies(cols, &mut self.before)?;
            self.out.data.iter_mut().zip(&self.before).for_each(|(v, before)| *v -= before);
        }
        Ok(())
    }
}

impl Stretch {
    fn new(scaling: Scaling, filters: &[Vec<Section>], rows: usize, cols: usize) -> Self {
        let table = Table { channels: cols, samples: rows, across: 1, along: cols };
        Self {
            scaler: Scaler::new(scaling, None, table),
            bands: filters.iter().map(|sections| Cascade::new(sections.clone(), cols)).collect(),
            signal: vec![0.0; rows * cols],
            filtered: vec![0.0; rows * cols],
            mean: vec![0.0; cols],
        }
    }

    /// Takes the mean of pieces that follow each other.
    fn average(&mut self, pieces: &[f64]) {
        let length = self.signal.len();
        let count = (pieces.len() / length) as f64;
        self.signal.fill(0.0);
        for piece in pieces.chunks_exact(length) {
            self.signal.iter_mut().zip(piece).for_each(|(sum, x)| *sum += x);
        }
        self.signal.iter_mut().for_each(|sum| *sum /= count);
    }

    /// Writes the entropies of the signal, channel by channel, and spends it.
    fn entropies(&mut self, cols: usize, out: &mut [f64]) -> Result<(), Fault> {
        self.scaler.apply(&mut self.signal);
        let bands = self.bands.len();
        for (b, band) in self.bands.iter_mut().enumerate() {
            self.filtered.copy_from_slice(&self.signal);
            band.reset();
            band.process(&mut self.filtered);
            variances(&self.filtered, &mut self.mean, out, b, bands);
        }
        match out[..cols * bands].iter().all(|v| v.is_finite()) {
            true => Ok(()),
            false => Err(Fault("the window holds numbers that are not finite")),
        }
    }
}

/// Writes the entropy of each channel of `data` to column `b` of `out`.
fn variances(data: &[f64], mean: &mut [f64], out: &mut [f64], b: usize, bands: usize) {
    let cols = mean.len();
    let n = (data.len() / cols) as f64;
    mean.fill(0.0);
    for row in data.chunks_exact(cols) {
        mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    mean.iter_mut().for_each(|sum| *sum /= n);
    let column = || (b..cols * bands).step_by(bands);
    column().for_each(|at| out[at] = 0.0);
    for row in data.chunks_exact(cols) {
        for ((at, x), mean) in column().zip(row).zip(&*mean) {
            out[at] += (x - mean).powi(2);
        }
    }
    for at in column() {
        // Not `max`, which would make a floor of what is not a number.
        let variance = if out[at] / n < FLOOR { FLOOR } else { out[at] / n };
        out[at] = 0.5 * (TAU * E * variance).log2();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Settings as _;
    use crate::stages::testing::{Seen, numbers, samples as stream};

    const RATE_HZ: f64 = 128.0;

    fn stage(snippet: &str, rows: usize) -> Result<Box<dyn Stage>> {
        let mut stage = toml::from_str::<Settings>(snippet).unwrap().build()?;
        let spec = Spec { payload: Payload::Window, rows, ..stream(&["C3", "C4"], RATE_HZ) };
        stage.prepare(&[spec])?;
        Ok(stage)
    }

    fn entropies(snippet: &str, window: &[f64]) -> Frame {
        let mut stage = stage(snippet, window.len() / 2).unwrap();
        let mut seen = Seen::default();
        stage.process(&mut numbers(2, window), &mut seen).unwrap();
        seen.frames.remove(0)
    }

    /// 10 Hz in C3, 20 Hz in C4, `rows` samples.
    fn tones(rows: usize) -> Vec<f64> {
        let sine = |t: usize, f: f64| (TAU * f * t as f64 / RATE_HZ).sin();
        (0..rows).flat_map(|t| [sine(t, 10.0), 3.0 * sine(t, 20.0)]).collect()
    }

    #[test]
    fn a_tone_is_loudest_in_its_band_and_its_entropy_is_that_of_its_power() {
        let frame = entropies("standardise = \"none\"", &tones(2048));
        let loudest = |row: &[f64]| (0..4).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        assert_eq!([loudest(frame.row(0)), loudest(frame.row(1))], [1, 2]);
        // 0.02 of 16 s are lost to the start from rest, a hundredth of a bit.
        let want = 0.5 * (TAU * E * 0.5).log2();
        assert!((frame.row(0)[1] - want).abs() < 0.02, "{:?}", frame.row(0));
    }

    #[test]
    fn the_baseline_is_averaged_and_subtracted() {
        let (baseline, rest) = (tones(256), tones(512));
        let window = [baseline.clone(), rest.clone()].concat();
        let with = entropies("baseline_s = 2.0\npiece_s = 1.0", &window);
        let alone = entropies("", &rest);
        // Whole periods fit a second, so that the average of the pieces is any of them.
        let piece = entropies("", &baseline[..256]);
        for i in 0..8 {
            assert!((with.data[i] - (alone.data[i] - piece.data[i])).abs() < 1e-9);
        }
    }

    #[test]
    fn silence_is_given_the_floor_and_nonsense_is_a_fault() {
        let frame = entropies("standardise = \"none\"", &[0.0; 256]);
        assert!(frame.data.iter().all(|v| *v == 0.5 * (TAU * E * FLOOR).log2()));
        let mut stage = stage("", 128).unwrap();
        for odd in [f64::NAN, f64::INFINITY, 1e300] {
            let mut window = numbers(2, &tones(128));
            window.data[7] = odd;
            let mut seen = Seen::default();
            let done = stage.process(&mut window, &mut seen);
            assert!(done.is_err() || seen.frames[0].data.iter().all(|v| v.is_finite()), "{odd}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let key = |snippet| stage(snippet, 128).err().and_then(|e| e.key().map(str::to_owned));
        assert_eq!(key("bands_hz = []").as_deref(), Some("bands_hz"));
        assert_eq!(key("bands_hz = [[8.0, 64.0]]").as_deref(), Some("bands_hz"));
        assert_eq!(key("order = 0").as_deref(), Some("order"));
        assert_eq!(key("baseline_s = -1.0").as_deref(), Some("baseline_s"));
        assert_eq!(key("baseline_s = 0.5").as_deref(), Some("baseline_s"));
        assert_eq!(key("baseline_s = 0.5\npiece_s = 0.25"), None);
    }
}
