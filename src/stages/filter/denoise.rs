//! Denoiser: takes artefacts out of each channel with a network.
//!
//! In: samples of a regular stream. Out: the same channels and indices, cleaned, in blocks of one hop. The
//! network (ONNX, input `[channels, n]`, output the same) sees windows of n / `model_rate_hz` seconds: each
//! channel without its mean, resampled by FFT to the rate of the model, divided by its standard deviation.
//! What comes out goes the same way back. Frequencies above half the model's rate do not pass, nor does the mean
//! of a window.
//!
//! Overlap-add: a window is looked at every `hop_s`. Of its output counts a stretch of two hops that ends
//! `margin_s` before its end, faded in over the first and out over the second (raised cosine; neighbours sum
//! to one). So a sample leaves at most `margin_s + 2 hop_s` after it came: that is the delay. Indices and times
//! stay those of the samples, so that the age of a decision tells of it. At the start of a stream, and behind a
//! gap, nothing leaves until a window is full, then all up to the fade.
//!
//! Runs on a worker lane, since ONNX Runtime allocates and may take milliseconds.
//!
//! Method: docs/training/denoiser.

use crate::error::{Error, Result};
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::math::resample::Resampler;
use crate::runtime::{Axis, Network, Options};
use crate::stages::window::history::{History, samples};
use crate::stages::{Emit, Fault, Stage, regular};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Takes blinks and muscle activity out of each channel with a network (ONNX). Runs on a lane of its own;
/// delays the stream by `margin_s` and two `hop_s`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The network; its only input is `[channels, samples]`, its first output as large.
    #[serde(default = "model")]
    pub model: PathBuf,
    /// The sampling rate that the network was trained at.
    #[serde(default = "model_rate_hz")]
    pub model_rate_hz: f64,
    /// From one run of the network to the next, in seconds: shorter costs more and delays less.
    #[serde(default = "quarter")]
    pub hop_s: f64,
    /// How much of the end of each window is not used, in seconds: the network sees too little of what
    /// follows there.
    #[serde(default = "quarter")]
    pub margin_s: f64,
    /// Threads of the network.
    #[serde(default = "one")]
    pub threads: usize,
}

fn model() -> PathBuf {
    "models/denoiser.onnx".into()
}

fn model_rate_hz() -> f64 {
    256.0
}

fn quarter() -> f64 {
    0.25
}

fn one() -> usize {
    1
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "model = \"models/denoiser.onnx\"\nmodel_rate_hz = 256.0\nhop_s = 0.25\nmargin_s = 0.25\nthreads = 1\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if !(self.model_rate_hz > 0.0 && self.model_rate_hz.is_finite()) {
            return Err(Error::setting("model_rate_hz", "must be above 0"));
        }
        if !(self.margin_s >= 0.0 && self.margin_s.is_finite()) {
            return Err(Error::setting("margin_s", "must not be below 0"));
        }
        Ok(Box::new(Denoise { settings: self, ready: None }))
    }
}

struct Denoise {
    settings: Settings,
    /// Once it is prepared.
    ready: Option<Ready>,
}

impl Stage for Denoise {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = regular(inputs, &[Payload::Samples])?;
        let ready = Ready::new(&self.settings, input)?;
        let spec = Spec { rows: ready.window, ..input.clone() };
        self.ready = Some(ready);
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let ready = self.ready.as_mut().ok_or(Fault("the stage is not prepared"))?;
        ready.meet(frame);
        for row in 0..frame.rows {
            ready.history.push(frame, row);
            ready.until -= 1;
            if ready.until == 0 {
                ready.clean_window()?;
                ready.send(frame.span.arrived_s, emit);
            }
        }
        Ok(())
    }

    fn reset(&mut self) {
        if let Some(ready) = &mut self.ready {
            ready.clear();
        }
    }

    fn delay_s(&self) -> f64 {
        self.settings.margin_s + 2.0 * self.settings.hop_s
    }

    fn realtime(&self) -> bool {
        false
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.settings.model.clone()]
    }
}

/// What is known once the stream is.
struct Ready {
    network: Network,
    there: Resampler,
    back: Resampler,
    /// Channels.
    cols: usize,
    /// Samples in a window, a hop, the margin.
    window: usize,
    hop: usize,
    margin: usize,
    history: History,
    /// Samples that are lacking for the next window.
    until: usize,
    /// Whether the next block that leaves is the first after a gap.
    gap: bool,
    /// What the window before made of the hop that leaves next, without its fade; empty before the first.
    before: Vec<f64>,
    /// The window, and what is left of it when it is clean.
    frame: Frame,
    out: Frame,
    /// One channel at the rate of the model, and back at that of the stream.
    model: Vec<f64>,
    channel: Vec<f64>,
    /// The standard deviation of each channel.
    scale: Vec<f64>,
}

impl Ready {
    fn new(settings: &Settings, input: &Spec) -> Result<Self> {
        let options = Options { threads: settings.threads, ..Options::default() };
        let mut network =
            Network::open(&settings.model, &options).map_err(|e| e.blaming("model"))?;
        let length =
            model_length(&network).map_err(|e| e.at(settings.model.display()).blaming("model"))?;
        let (cols, rate_hz) = (input.cols, input.rate_hz);
        network.bind(&[vec![cols, length]]).map_err(|e| e.blaming("model"))?;
        if network.shape(0) != [cols, length] {
            let text = format!(
                "makes {:?} of [{cols}, {length}]; expected the same shape",
                network.shape(0)
            );
            return Err(Error::mismatch(text).at(settings.model.display()).blaming("model"));
        }
        let window = samples("model_rate_hz", length as f64 / settings.model_rate_hz, rate_hz)?;
        let hop = samples("hop_s", settings.hop_s, rate_hz)?;
        let margin = (settings.margin_s * rate_hz).round() as usize;
        if margin + 2 * hop > window {
            return Err(Error::setting(
                "hop_s",
                format!(
                    "two hops of {hop} and a margin of {margin} samples are longer than a window of {window}"
                ),
            ));
        }
        let out = Spec { rows: window, ..input.clone() }.frame();
        Ok(Self {
            network,
            there: Resampler::new(window, length),
            back: Resampler::new(length, window),
            cols,
            window,
            hop,
            margin,
            history: History::new(window, cols),
            until: window,
            gap: false,
            before: Vec::with_capacity(hop * cols),
            frame: out.clone(),
            out,
            model: vec![0.0; length],
            channel: vec![0.0; window],
            scale: vec![0.0; cols],
        })
    }

    fn clear(&mut self) {
        self.history.clear();
        self.until = self.window;
        self.before.clear();
        self.gap = false;
    }

    /// Begins anew where `frame` does not follow on what is held.
    fn meet(&mut self, frame: &Frame) {
        let broken = !self.history.continues(frame);
        if broken {
            self.clear();
        }
        self.gap |= broken || frame.flags.has(Flags::GAP);
    }

    /// Replaces the newest window by what the network makes of it.
    fn clean_window(&mut self) -> Result<(), Fault> {
        self.until = self.hop;
        self.history.copy(self.history.end() - self.window as u64, self.window, &mut self.frame);
        let length = self.model.len();
        for c in 0..self.cols {
            let (mean, deviation) = moments(&self.frame, c);
            self.scale[c] = deviation;
            let scale = if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
            let values = self.frame.data.iter().skip(c).step_by(self.cols);
            self.there.run(values.map(|v| (v - mean) * scale), &mut self.model);
            self.network.set(0, c * length, self.model.iter().copied());
        }
        self.network.run().map_err(|_| Fault("the network failed"))?;
        for (c, clean) in self.network.output(0).chunks_exact(length).enumerate() {
            self.back.run(clean.iter().copied(), &mut self.channel);
            let to = self.frame.data.iter_mut().skip(c).step_by(self.cols);
            to.zip(&self.channel).for_each(|(to, v)| *to = v * self.scale[c]);
        }
        match self.frame.data.iter().all(|v| v.is_finite()) {
            true => Ok(()),
            false => Err(Fault("the network made numbers that are not finite")),
        }
    }

    /// Sends what no later window changes: of the first window all before the fade, of the others one hop.
    fn send(&mut self, arrived_s: f64, emit: &mut dyn Emit) {
        let end = self.window - self.margin - self.hop;
        let start = if self.before.is_empty() { 0 } else { end - self.hop };
        let first = self.history.end() - self.window as u64 + start as u64;
        // For the span and the marks; the numbers are those of the network.
        self.history.copy(first, end - start, &mut self.out);
        self.out.data.copy_from_slice(&self.frame.data[start * self.cols..end * self.cols]);
        fade(&self.before, &mut self.out.data, self.cols);
        self.before.clear();
        let next = end * self.cols..(end + self.hop) * self.cols;
        self.before.extend_from_slice(&self.frame.data[next]);
        self.out.flags |= self.frame.flags;
        // It could leave no sooner than with the newest sample.
        self.out.span.arrived_s = arrived_s;
        if std::mem::take(&mut self.gap) {
            self.out.flags |= Flags::GAP;
        }
        emit.emit(&mut self.out);
    }
}

/// Fades `out` in over as many rows as `before` has, and that out.
fn fade(before: &[f64], out: &mut [f64], cols: usize) {
    let rows = before.len() / cols.max(1);
    for (r, (before, out)) in before.chunks_exact(cols).zip(out.chunks_exact_mut(cols)).enumerate()
    {
        let phase = std::f64::consts::PI * (r as f64 + 0.5) / rows as f64;
        let weight = 0.5 - 0.5 * phase.cos();
        out.iter_mut().zip(before).for_each(|(new, old)| *new = old + weight * (*new - old));
    }
}

/// Mean and standard deviation of channel `c`.
fn moments(frame: &Frame, c: usize) -> (f64, f64) {
    let values = || frame.data.iter().skip(c).step_by(frame.cols);
    let n = frame.rows.max(1) as f64;
    let mean = values().sum::<f64>() / n;
    let variance = values().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// How many samples the network sees of each channel.
fn model_length(network: &Network) -> Result<usize> {
    match network.inputs() {
        [port] => match port.axes.as_slice() {
            [Axis::Free(_), Axis::Fixed(length)] if *length > 1 => Ok(*length),
            _ => Err(Error::mismatch(format!(
                "takes {port}; expected [channels, samples], any number of channels"
            ))),
        },
        ports => Err(Error::mismatch(format!(
            "takes {} inputs; expected one, [channels, samples]",
            ports.len()
        ))),
    }
}
