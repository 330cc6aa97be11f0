//! Window to features of nodes: the spectrum of each channel.
//!
//! In: a window of T samples x C channels of a regular stream. Out: C rows (nodes), one column for each
//! frequency k rate / T within the limits, or for each band: log10 of the one-sided power spectral density
//! (unit^2 / Hz) of the channel, its mean removed, under a Hann window; as SciPy's
//! `log10(signal.periodogram(x, rate, window="hann", detrend="constant"))`. A band holds the mean density
//! of its frequencies, before the logarithm. No delay.
//!
//! A channel without power (a flat one), or with numbers that are not finite, is given the floor, 1e-40
//! unit^2 / Hz, and the frame is marked BAD.
//!
//! Reference: Choi, arXiv 2502.05334 (the method of which this is the first step leaves length and limits
//! open).

use crate::error::{Error, Result};
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::stages::{Emit, Fault, Stage, regular};
use realfft::num_complex::Complex64;
use realfft::{RealFftPlanner, RealToComplex};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The least power density that is told apart from none: far below that of any sensor, in any unit.
const FLOOR: f64 = 1e-40;

/// Log spectrum of each channel of a window: the features of the nodes of a graph of channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The lowest frequency.
    pub low_hz: f64,
    /// The highest frequency.
    pub high_hz: f64,
    /// Bands to take the mean power of, `[[4.0, 8.0], [8.0, 13.0]]`, in place of single frequencies; then
    /// the two limits do not matter.
    pub bands_hz: Vec<[f64; 2]>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { low_hz: 1.0, high_hz: 45.0, bands_hz: Vec::new() }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "low_hz = 1.0\nhigh_hz = 45.0\nbands_hz = []\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        let rises = |low: f64, high: f64| low >= 0.0 && low <= high && high.is_finite();
        if !rises(self.low_hz, self.high_hz) {
            return Err(Error::setting(
                "high_hz",
                "must not be below `low_hz`, which must not be below 0",
            ));
        }
        if !self.bands_hz.iter().all(|[low, high]| rises(*low, *high)) {
            return Err(Error::setting(
                "bands_hz",
                "each band is [low, high], with 0 <= low <= high",
            ));
        }
        Ok(Box::new(Spectrum { settings: self, ready: None }))
    }
}

impl Settings {
    /// The bins that each column is the mean of, of windows of `rows` samples.
    fn columns(&self, rows: usize, rate_hz: f64) -> Result<Vec<RangeInclusive<usize>>> {
        let step_hz = rate_hz / rows as f64;
        let last = rows / 2;
        // Limits given as decimal fractions are met in spite of rounding.
        let bins = |low: f64, high: f64| {
            let (low, high) = ((low / step_hz - 1e-9).ceil(), (high / step_hz + 1e-9).floor());
            low as usize..=(high as usize).min(last)
        };
        if self.bands_hz.is_empty() {
            let all = bins(self.low_hz, self.high_hz);
            if all.is_empty() {
                let text = format!(
                    "windows of {rows} samples resolve {step_hz:.3} Hz: no frequency lies within the limits"
                );
                return Err(Error::setting("low_hz", text));
            }
            return Ok(all.map(|k| k..=k).collect());
        }
        let columns: Vec<_> = self.bands_hz.iter().map(|[low, high]| bins(*low, *high)).collect();
        match columns.iter().position(RangeInclusive::is_empty) {
            None => Ok(columns),
            Some(i) => Err(Error::setting(
                "bands_hz",
                format!(
                    "windows of {rows} samples at {rate_hz} Hz resolve {step_hz:.3} Hz up to {} Hz: \
                     none of it lies in the band {:?}",
                    rate_hz / 2.0,
                    self.bands_hz[i]
                ),
            )),
        }
    }
}

struct Spectrum {
    settings: Settings,
    ready: Option<Ready>,
}

struct Ready {
    rows: usize,
    columns: Vec<RangeInclusive<usize>>,
    plan: Arc<dyn RealToComplex<f64>>,
    /// The Hann window.
    taper: Vec<f64>,
    /// From squared magnitude to density, for frequencies that occur twice.
    scale: f64,
    signal: Vec<f64>,
    bins: Vec<Complex64>,
    scratch: Vec<Complex64>,
    out: Frame,
}

impl Stage for Spectrum {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = regular(inputs, &[Payload::Window])?;
        let columns = self.settings.columns(input.rows, input.rate_hz)?;
        let spec = Spec {
            payload: Payload::Nodes,
            rows: input.cols,
            cols: columns.len(),
            ..input.clone()
        };
        self.ready = Some(Ready::new(input, columns, spec.frame()));
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let ready = self.ready.as_mut().ok_or(Fault("the stage is not prepared"))?;
        ready.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            ready.out.resize(0, ready.columns.len());
        } else {
            ready.find(frame)?;
        }
        emit.emit(&mut ready.out);
        Ok(())
    }

    fn reset(&mut self) {}
}

impl Ready {
    fn new(input: &Spec, columns: Vec<RangeInclusive<usize>>, out: Frame) -> Self {
        let rows = input.rows;
        let plan = RealFftPlanner::new().plan_fft_forward(rows);
        let angle = |t: usize| std::f64::consts::TAU * t as f64 / rows as f64;
        let taper: Vec<f64> = (0..rows).map(|t| 0.5 - 0.5 * angle(t).cos()).collect();
        let power: f64 = taper.iter().map(|w| w * w).sum();
        let scale = 2.0 / (input.rate_hz * power.max(f64::MIN_POSITIVE));
        let (signal, bins, scratch) =
            (plan.make_input_vec(), plan.make_output_vec(), plan.make_scratch_vec());
        Self { rows, columns, plan, taper, scale, signal, bins, scratch, out }
    }

    /// Writes the spectra of all channels.
    fn find(&mut self, frame: &Frame) -> Result<(), Fault> {
        let channels = frame.cols;
        if frame.rows != self.rows {
            return Err(Fault("the frame has another shape than was promised"));
        }
        self.out.resize(channels, self.columns.len());
        for c in 0..channels {
            let sound = self.transform(frame, c);
            if !sound {
                self.bins.fill(Complex64::default());
            }
            if self.write(c) || !sound {
                self.out.flags |= Flags::BAD;
            }
        }
        Ok(())
    }

    /// The spectrum of channel `c`; whether it has one.
    fn transform(&mut self, frame: &Frame, c: usize) -> bool {
        let values = frame.data.iter().skip(c).step_by(frame.cols);
        let mean = values.clone().sum::<f64>() / self.rows as f64;
        for ((s, v), w) in self.signal.iter_mut().zip(values).zip(&self.taper) {
            *s = (v - mean) * w;
        }
        let done =
            self.plan.process_with_scratch(&mut self.signal, &mut self.bins, &mut self.scratch);
        done.is_ok() && self.bins.iter().all(|z| z.re.is_finite() && z.im.is_finite())
    }

    /// Writes the columns of channel `c`; whether it has no power in one of them.
    fn write(&mut self, c: usize) -> bool {
        // The mean and, for an even length, the highest frequency occur once.
        let once = |k: usize| k == 0 || 2 * k == self.rows;
        let density = |k: usize| {
            self.bins[k].norm_sqr() * if once(k) { 0.5 * self.scale } else { self.scale }
        };
        let mut flat = false;
        let count = self.columns.len();
        for (out, bins) in self.out.data[c * count..].iter_mut().zip(&self.columns) {
            let n = bins.end() - bins.start() + 1;
            let mean = bins.clone().map(density).sum::<f64>() / n as f64;
            flat |= mean <= FLOOR;
            *out = mean.max(FLOOR).log10();
        }
        flat
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Channel;
    use crate::kind::Settings as _;
    use crate::stages::testing::Seen;

    fn window(rows: usize, cols: usize) -> (Spec, Frame) {
        let channels = (0..cols).map(|c| Channel::named(format!("{c}"))).collect();
        let spec = Spec { payload: Payload::Window, ..Spec::samples(channels, 160.0, rows) };
        let mut frame = spec.frame();
        frame.resize(rows, cols);
        (spec, frame)
    }

    fn run_one(stage: &mut dyn Stage, mut frame: Frame) -> Frame {
        let mut seen = Seen::default();
        stage.process(&mut frame, &mut seen).unwrap();
        seen.frames.remove(0)
    }

    /// A sine of amplitude a has the power a^2 / 2, all of it near its frequency.
    #[test]
    fn the_power_of_a_sine_is_found_at_its_frequency() {
        let (spec, mut frame) = window(320, 2);
        for t in 0..320 {
            let phase = std::f64::consts::TAU * 10.0 * t as f64 / 160.0;
            frame.data[2 * t] = 3.0 * phase.sin() + 100.0;
            frame.data[2 * t + 1] = phase.cos();
        }
        let mut stage = Settings::default().build().unwrap();
        let out = stage.prepare(&[spec]).unwrap();
        assert_eq!((out.rows, out.cols), (2, 89));
        let got = run_one(stage.as_mut(), frame);
        let peak = |row: &[f64]| (0..89).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        assert_eq!([peak(got.row(0)), peak(got.row(1))], [18, 18]);
        let power: f64 = got.row(0).iter().map(|v| 10f64.powf(*v) * 0.5).sum();
        assert!((power - 4.5).abs() < 1e-9, "{power}");
    }

    #[test]
    fn a_flat_channel_marks_the_frame() {
        let (spec, mut frame) = window(160, 2);
        (0..160).for_each(|t| frame.data[2 * t] = f64::from(u8::from(t % 7 == 0)));
        let mut stage = Settings::default().build().unwrap();
        stage.prepare(&[spec]).unwrap();
        let got = run_one(stage.as_mut(), frame.clone());
        assert!(got.flags.has(Flags::BAD) && got.data.iter().all(|v| v.is_finite()));
        frame.data[5] = f64::NAN;
        let got = run_one(stage.as_mut(), frame);
        assert!(got.flags.has(Flags::BAD) && got.row(1).iter().all(|v| *v == -40.0));
    }

    #[test]
    fn limits_are_checked() {
        let (spec, _) = window(16, 1);
        let narrow = Settings { low_hz: 1.0, high_hz: 2.0, ..Settings::default() };
        assert!(narrow.build().unwrap().prepare(std::slice::from_ref(&spec)).is_err());
        let bands = Settings { bands_hz: vec![[8.0, 12.0], [90.0, 95.0]], ..Settings::default() };
        assert!(bands.build().unwrap().prepare(&[spec]).is_err());
        assert!(Settings { high_hz: 0.5, ..Settings::default() }.build().is_err());
    }
}
