//! Window to spectra at several time scales, of each channel.
//!
//! In: a window of T samples x C channels of a regular stream. Out: C rows (nodes). For each scale the window
//! is cut into T / n segments of n samples that follow each other, and of each the magnitudes
//!
//! ```text
//! |X_k| = |sum_t w_t x_t exp(-2 pi i k t / n)|,   k = 0 .. n / 2
//! ```
//!
//! stand in the row: scale after scale, segment after segment, frequency after frequency; w is 1, or the Hann
//! window. Nothing is divided by n. `log` gives log10 of them, at least -20. Delay: none.
//!
//! As `numpy.abs(numpy.fft.rfft(x.reshape(-1, n)))`. Reference: the spectral branch of NeuroBOLT (docs/onnx.md).

use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::stages::window::history::samples;
use crate::stages::{Emit, Fault, Stage, regular};
use realfft::num_complex::Complex64;
use realfft::{RealFftPlanner, RealToComplex};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The least magnitude whose logarithm is told apart.
const FLOOR: f64 = 1e-20;

/// Magnitudes of short-time spectra of each channel, at several segment lengths side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Lengths of the segments in seconds, one for each scale; each must divide the window.
    pub segments_s: Vec<f64>,
    /// What each segment is multiplied by before: `none` or `hann`.
    pub window: Taper,
    /// Give log10 of the magnitudes.
    pub log: bool,
}

/// What a segment is multiplied by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Taper {
    /// Nothing.
    #[default]
    None,
    /// The periodic Hann window.
    Hann,
}

impl Default for Settings {
    fn default() -> Self {
        Self { segments_s: vec![0.5, 1.0, 2.0, 4.0], window: Taper::None, log: false }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "segments_s = [0.5, 1.0, 2.0]\nwindow = \"none\"\nlog = false\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if self.segments_s.is_empty() {
            return Err(Error::setting("segments_s", "is empty, expected one length or more"));
        }
        let (shape, scales) = ([0, 0], Vec::new());
        let out = Spec::markers().frame();
        Ok(Box::new(Stft { settings: self, shape, scales, cols: 0, out }))
    }
}

struct Stft {
    settings: Settings,
    /// Rows and columns of a window.
    shape: [usize; 2],
    scales: Vec<Scale>,
    /// How many numbers there are of a channel.
    cols: usize,
    out: Frame,
}

/// Spectra of segments of one length.
struct Scale {
    plan: Arc<dyn RealToComplex<f64>>,
    taper: Vec<f64>,
    signal: Vec<f64>,
    bins: Vec<Complex64>,
    scratch: Vec<Complex64>,
}

impl Stage for Stft {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = regular(inputs, &[Payload::Window])?;
        let lengths = self.settings.lengths(input)?;
        self.shape = [input.rows, input.cols];
        self.scales = lengths.iter().map(|n| Scale::new(*n, self.settings.window)).collect();
        self.cols = lengths.iter().map(|n| input.rows / n * (n / 2 + 1)).sum();
        let (rows, cols) = (input.cols, self.cols);
        let spec = Spec { payload: Payload::Nodes, rows, cols, ..input.clone() };
        self.out = spec.frame();
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        self.out.copy_head(frame);
        let cols = self.cols;
        if frame.data.is_empty() {
            // The end of the stream.
            self.out.resize(0, cols);
        } else if [frame.rows, frame.cols] == self.shape {
            self.out.resize(frame.cols, cols);
            for (c, row) in self.out.data.chunks_exact_mut(cols).enumerate() {
                fill(&mut self.scales, frame, c, row)?;
            }
            if self.settings.log {
                self.out.data.iter_mut().for_each(|v| *v = v.max(FLOOR).log10());
            }
        } else {
            return Err(Fault("the frame has another shape than was promised"));
        }
        emit.emit(&mut self.out);
        Ok(())
    }

    fn reset(&mut self) {}
}

impl Settings {
    /// How many samples the segments of each scale have.
    fn lengths(&self, input: &Spec) -> Result<Vec<usize>> {
        let length = |s: &f64| {
            let n = samples("segments_s", *s, input.rate_hz)?;
            if !input.rows.is_multiple_of(n) {
                let text = format!(
                    "segments of {n} samples do not divide the {} of the window",
                    input.rows
                );
                return Err(Error::setting("segments_s", text));
            }
            Ok(n)
        };
        self.segments_s.iter().map(length).collect()
    }
}

impl Scale {
    fn new(n: usize, taper: Taper) -> Self {
        let plan = RealFftPlanner::new().plan_fft_forward(n);
        let hann = |t: usize| 0.5 - 0.5 * (std::f64::consts::TAU * t as f64 / n as f64).cos();
        let taper = match taper {
            Taper::None => vec![1.0; n],
            Taper::Hann => (0..n).map(hann).collect(),
        };
        let (signal, bins, scratch) =
            (plan.make_input_vec(), plan.make_output_vec(), plan.make_scratch_vec());
        Self { plan, taper, signal, bins, scratch }
    }
}

/// **Data.** Writes the magnitudes of channel `c` of `frame`.
fn fill(scales: &mut [Scale], frame: &Frame, c: usize, mut row: &mut [f64]) -> Result<(), Fault> {
    for scale in scales {
        let n = scale.signal.len();
        for segment in frame.data.chunks_exact(n * frame.cols) {
            let values = segment.iter().skip(c).step_by(frame.cols);
            for ((s, v), w) in scale.signal.iter_mut().zip(values).zip(&scale.taper) {
                *s = v * w;
            }
            scale
                .plan
                .process_with_scratch(&mut scale.signal, &mut scale.bins, &mut scale.scratch)
                .map_err(|_| Fault("the transform failed"))?;
            let (to, rest) = row.split_at_mut(scale.bins.len());
            to.iter_mut().zip(&scale.bins).for_each(|(to, z)| *to = z.norm());
            row = rest;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Settings as _;
    use crate::stages::testing::{Seen, numbers, samples as stream};

    fn spectra(snippet: &str, window: &[f64]) -> Result<(Spec, Frame)> {
        let mut stage = toml::from_str::<Settings>(snippet).unwrap().build()?;
        let rows = window.len() / 2;
        let spec = Spec { payload: Payload::Window, rows, ..stream(&["C3", "C4"], 4.0) };
        let out = stage.prepare(&[spec])?;
        let mut seen = Seen::default();
        stage.process(&mut numbers(2, window), &mut seen).unwrap();
        Ok((out, seen.frames.remove(0)))
    }

    #[test]
    fn scales_segments_and_frequencies_follow_each_other() {
        // C3 alternates in the first half and rests in the second; C4 is 1 throughout.
        let window = [1.0, 1.0, -1.0, 1.0, 0.0, 1.0, 0.0, 1.0];
        let (spec, frame) = spectra("segments_s = [0.5, 1.0]", &window).unwrap();
        assert_eq!((spec.rows, spec.cols, spec.channels.len()), (2, 7, 2));
        let near =
            |row: &[f64], want: &[f64]| row.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12);
        let root = 2.0_f64.sqrt();
        assert!(near(frame.row(0), &[0.0, 2.0, 0.0, 0.0, 0.0, root, 2.0]), "{:?}", frame.row(0));
        assert!(near(frame.row(1), &[2.0, 0.0, 2.0, 0.0, 4.0, 0.0, 0.0]), "{:?}", frame.row(1));
        let (_, frame) = spectra("segments_s = [1.0]\nlog = true", &[0.0; 8]).unwrap();
        assert!(frame.data.iter().all(|v| *v == -20.0));
    }

    #[test]
    fn segments_divide_the_window() {
        assert_eq!(
            spectra("segments_s = [0.75]", &[0.0; 8]).unwrap_err().key(),
            Some("segments_s")
        );
        assert_eq!(spectra("segments_s = [9.0]", &[0.0; 8]).unwrap_err().key(), Some("segments_s"));
        assert_eq!(spectra("segments_s = []", &[0.0; 8]).unwrap_err().key(), Some("segments_s"));
    }
}
