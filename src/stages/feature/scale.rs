//! Window to window: baseline, centre and scale, limits.
//!
//! In: a window of T samples x C channels of a regular stream. Out: the same shape,
//!
//! ```text
//! y = clamp((x - b - centre) / scale)
//! ```
//!
//! where b is the mean of the channel over the samples `round(from rate)` to `round(to rate)` (the last one
//! left out) of the window, and centre and scale are those of the window itself
//! ([`crate::math::scaling`]) or, where they are learned, those of all windows of the training data
//! together, as RobustScaler of scikit-learn and its like find them. Delay: none.

use crate::error::{Error, Result};
use crate::frame::{Channel, Frame, Payload, Spec};
use crate::math::scaling::{Scaler, Scaling, Table, centre_and_scale, clamp, moved};
use crate::stages::manifold::not_fitted;
use crate::stages::{Emit, Examples, Fault, Fitted, Part, Stage, Tensor, regular};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Scales each window as decoders that others have trained expect it: baseline, centre, scale, limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `none`; `centre`: mean 0 of each channel; `channel`: standard deviation 1 as well; `robust`: median 0
    /// and the quartiles 1 apart; `window`: mean 0 and standard deviation 1 over all channels together.
    pub method: Scaling,
    /// From and to where, in seconds from the start of the window, the mean of each channel is taken and
    /// subtracted first; [] for none.
    pub baseline_s: Vec<f64>,
    /// Numbers beyond this are cut off, after the scaling.
    pub clamp: Option<f64>,
    /// Learn centre and scale of each channel in `fit`, over all windows, instead of taking those of each
    /// window.
    pub learned: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { method: Scaling::Robust, baseline_s: Vec::new(), clamp: None, learned: false }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str =
        "method = \"robust\"\nbaseline_s = [0.0, 0.5]\nclamp = 20.0\nlearned = false\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        let ordered = match self.baseline_s[..] {
            [] => true,
            [from, to] => 0.0 <= from && from < to && to.is_finite(),
            _ => false,
        };
        if !ordered {
            let text = "is [from, to] in seconds, with 0 <= from < to, or []";
            return Err(Error::setting("baseline_s", text));
        }
        if self.clamp.is_some_and(|limit| !(limit > 0.0 && limit.is_finite())) {
            return Err(Error::setting("clamp", "must be above 0"));
        }
        if self.learned && self.method == Scaling::None {
            return Err(Error::setting("learned", "there is nothing to learn for method \"none\""));
        }
        Ok(Box::new(Scale { settings: self, places: Vec::new(), ready: None }))
    }
}

impl Settings {
    /// The rows of the baseline, of windows of `rows` rows.
    fn baseline(&self, rows: usize, rate_hz: f64) -> Result<Range<usize>> {
        let [from, to] = self.baseline_s[..] else { return Ok(0..0) };
        let row = |s: f64| (s * rate_hz).round() as usize;
        let range = row(from)..row(to);
        if range.is_empty() || range.end > rows {
            let text = format!(
                "holds the samples {} to {}, expected one or more of the {rows} of the window",
                range.start, range.end
            );
            return Err(Error::setting("baseline_s", text));
        }
        Ok(range)
    }

    /// What becomes of the unit of a channel.
    fn measured(&self, channel: &Channel) -> Channel {
        match self.method {
            Scaling::None | Scaling::Centre => channel.clone(),
            _ => Channel { unit: "1".into(), ..channel.clone() },
        }
    }
}

struct Scale {
    settings: Settings,
    /// Centre and scale of each channel; empty until something was learned.
    places: Vec<[f64; 2]>,
    ready: Option<Ready>,
}

/// Once it is prepared.
struct Ready {
    rows: usize,
    baseline: Range<usize>,
    base: Vec<f64>,
    scaler: Scaler,
}

impl Stage for Scale {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = regular(inputs, &[Payload::Window])?;
        if self.settings.learned {
            self.check_learned(input.cols)?;
        }
        let table =
            Table { channels: input.cols, samples: input.rows, across: 1, along: input.cols };
        self.ready = Some(Ready {
            rows: input.rows,
            baseline: self.settings.baseline(input.rows, input.rate_hz)?,
            base: vec![0.0; input.cols],
            scaler: Scaler::new(self.settings.method, self.settings.clamp, table),
        });
        let channels = input.channels.iter().map(|c| self.settings.measured(c)).collect();
        Ok(Spec { channels, ..input.clone() })
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let ready = self.ready.as_mut().ok_or(Fault("the stage is not prepared"))?;
        // An empty frame is the end of the stream.
        if !frame.data.is_empty() {
            if (frame.rows, frame.cols) != (ready.rows, ready.base.len()) {
                return Err(Fault("the frame has another shape than was promised"));
            }
            subtract_mean(&mut frame.data, &ready.baseline, &mut ready.base);
            match self.settings.learned {
                true => place(&mut frame.data, &self.places, self.settings.clamp),
                false => ready.scaler.apply(&mut frame.data),
            }
        }
        emit.emit(frame);
        Ok(())
    }

    fn reset(&mut self) {}

    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        self.settings.learned.then_some(self)
    }
}

impl Scale {
    fn check_learned(&self, channels: usize) -> Result<()> {
        if self.places.is_empty() {
            return Err(not_fitted());
        }
        if self.places.len() == channels {
            return Ok(());
        }
        let text = format!("was fitted to {} channels, but is given {channels}", self.places.len());
        Err(Error::mismatch(text))
    }
}

/// Subtracts from each channel its mean over the rows `baseline`, if there are any.
fn subtract_mean(window: &mut [f64], baseline: &Range<usize>, base: &mut [f64]) {
    let cols = base.len();
    if baseline.is_empty() || cols == 0 {
        return;
    }
    base.fill(0.0);
    for row in window[baseline.start * cols..baseline.end * cols].chunks_exact(cols) {
        base.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    base.iter_mut().for_each(|sum| *sum /= baseline.len() as f64);
    for row in window.chunks_exact_mut(cols) {
        row.iter_mut().zip(&*base).for_each(|(x, mean)| *x -= mean);
    }
}

/// Scales each channel by what was learned of it.
fn place(window: &mut [f64], places: &[[f64; 2]], limit: Option<f64>) {
    for row in window.chunks_exact_mut(places.len()) {
        row.iter_mut().zip(places).for_each(|(x, place)| *x = moved(*x, *place));
    }
    clamp(window, limit.unwrap_or(f64::INFINITY));
}

impl Fitted for Scale {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        let (rows, cols) = examples.frames.first().map_or((0, 0), |f| (f.rows, f.cols));
        if rows * cols == 0 || examples.frames.iter().any(|f| (f.rows, f.cols) != (rows, cols)) {
            return Err(Error::mismatch("expected one or more windows of one shape"));
        }
        let mut windows: Vec<Vec<f64>> = examples.frames.iter().map(|f| f.data.clone()).collect();
        if !self.settings.baseline_s.is_empty() {
            let baseline = self.settings.baseline(rows, rate_of(&examples.frames[0])?)?;
            let mut base = vec![0.0; cols];
            windows.iter_mut().for_each(|w| subtract_mean(w, &baseline, &mut base));
        }
        self.places = match self.settings.method {
            Scaling::Window => vec![centre_and_scale(Scaling::Window, &mut windows.concat()); cols],
            method => (0..cols).map(|c| of_channel(method, &windows, c, cols)).collect(),
        };
        self.ready = None;
        Ok(())
    }

    fn save(&self) -> Result<Part> {
        if self.places.is_empty() {
            return Err(not_fitted());
        }
        let column = |i: usize| Tensor {
            shape: vec![self.places.len()],
            data: self.places.iter().map(|place| place[i]).collect(),
        };
        let tensors = [("centre".to_owned(), column(0)), ("scale".to_owned(), column(1))];
        Ok(Part { tensors: tensors.into(), classes: Vec::new() })
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        let (centre, scale) = (part.tensor("centre", 1)?, part.tensor("scale", 1)?);
        let fits = centre.data.len() == scale.data.len() && !centre.data.is_empty();
        if !fits || scale.data.iter().any(|s| *s <= 0.0) {
            let text = "the model's arrays `centre` and `scale` do not fit each other";
            return Err(Error::mismatch(text));
        }
        self.places = centre.data.iter().zip(&scale.data).map(|(c, s)| [*c, *s]).collect();
        self.ready = None;
        Ok(())
    }
}

/// Centre and scale of channel `c` over all windows.
fn of_channel(method: Scaling, windows: &[Vec<f64>], c: usize, cols: usize) -> [f64; 2] {
    let values = windows.iter().flat_map(|w| w.iter().skip(c).step_by(cols).copied());
    centre_and_scale(method, &mut values.collect::<Vec<_>>())
}

/// The sampling rate, as the span of a window tells it.
fn rate_of(window: &Frame) -> Result<f64> {
    let span = window.span;
    let rate_hz = (span.last - span.first) as f64 / (span.last_s - span.first_s);
    match rate_hz.is_finite() && rate_hz > 0.0 {
        true => Ok(rate_hz),
        false => Err(Error::mismatch("the windows of the examples do not tell their rate")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Settings as _;
    use crate::stages::testing::{Seen, block, samples};

    fn spec() -> Spec {
        let mut spec = Spec { payload: Payload::Window, rows: 4, ..samples(&["C3", "C4"], 100.0) };
        spec.channels[0].unit = "microvolts".into();
        spec
    }

    fn stage(snippet: &str) -> Box<dyn Stage> {
        toml::from_str::<Settings>(snippet).unwrap().build().unwrap()
    }

    fn scaled(stage: &mut dyn Stage, frame: &Frame) -> Vec<f64> {
        stage.prepare(&[spec()]).unwrap();
        let mut seen = Seen::default();
        stage.process(&mut frame.clone(), &mut seen).unwrap();
        seen.frames.remove(0).data
    }

    #[test]
    fn the_baseline_goes_first_and_the_limits_come_last() {
        // Channel 0 of the window: 0 10 20 30, channel 1: 1 11 21 31.
        let window = block(&spec(), 0, 4);
        let mut none = stage("method = \"none\"\nbaseline_s = [0.01, 0.03]\nclamp = 12.0");
        let want = [-12.0, -12.0, -5.0, -5.0, 5.0, 5.0, 12.0, 12.0];
        assert_eq!(scaled(none.as_mut(), &window), want);
        assert_eq!(none.prepare(&[spec()]).unwrap().channels[0].unit, "microvolts");
        let mut robust = stage("clamp = 0.75");
        // Quartiles 7.5 and 22.5 about the median 15.
        let want = [-0.75, -0.75, -1.0 / 3.0, -1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.75, 0.75];
        assert_eq!(scaled(robust.as_mut(), &window), want);
        assert_eq!(robust.prepare(&[spec()]).unwrap().channels[0].unit, "1");
    }

    #[test]
    fn what_was_learned_holds_for_all_windows() {
        let windows = [block(&spec(), 0, 4), block(&spec(), 4, 4)];
        let mut learned = stage("method = \"channel\"\nlearned = true\nbaseline_s = [0.0, 0.01]");
        let examples =
            Examples { frames: &windows, labels: &[0, 0], ..Examples::new(&[], &[], &[]) };
        learned.fitted().unwrap().fit(&examples).unwrap();
        // Less its first sample each window is 0 10 20 30.
        let sd = 125.0_f64.sqrt();
        let want = [-15.0, -15.0, -5.0, -5.0, 5.0, 5.0, 15.0, 15.0].map(|v| v / sd);
        for window in &windows {
            assert_eq!(scaled(learned.as_mut(), window), want);
        }
        let part = learned.fitted().unwrap().save().unwrap();
        let mut loaded = stage("method = \"channel\"\nlearned = true\nbaseline_s = [0.0, 0.01]");
        assert!(loaded.prepare(&[spec()]).is_err(), "untaught");
        loaded.fitted().unwrap().load(&part).unwrap();
        assert_eq!(scaled(loaded.as_mut(), &windows[1]), want);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            "baseline_s = [0.5]",
            "baseline_s = [0.5, 0.5]",
            "baseline_s = [-1.0, 0.5]",
            "clamp = -1.0",
            "method = \"none\"\nlearned = true",
        ] {
            assert!(toml::from_str::<Settings>(wrong).unwrap().build().is_err(), "{wrong}");
        }
        for baseline in ["[0.0, 0.05]", "[0.001, 0.002]"] {
            let mut stage = stage(&format!("baseline_s = {baseline}"));
            assert_eq!(stage.prepare(&[spec()]).unwrap_err().key(), Some("baseline_s"));
        }
    }
}
