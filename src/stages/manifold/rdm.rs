//! Vectors of labelled trials to a representational dissimilarity matrix (RDM).
//!
//! In: one row of p numbers per trial, with the text of its marker (windows cut at markers carry it on). Out:
//! one vector per trial, once every class has one: for each pair of classes, in their order, how unlike the
//! means of their last `trials` trials are, transformed; with a `model`, then how well that agrees with it. The
//! channels of the spec name the pairs. Trials of other markers, and those that are flagged BAD, change nothing;
//! the latter are counted (`unlearned`). No delay.
//!
//! Mathematics: [`crate::math::rdm`].

use crate::error::{Error, Result};
use crate::frame::{Channel, Flags, Frame, Payload, Spec};
use crate::ledger::Cause;
use crate::math::rdm::{Distance, geo_topological, geodesic, pairs, pearson, ranks, upper};
use crate::stages::window::classes::Classes;
use crate::stages::{Emit, Fault, Stage, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most trials that a mean may rest on.
const MAX_TRIALS: usize = 10_000;

/// Representational geometry, live: how unlike the patterns of the classes are over the last trials, and
/// whether that is as a model says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The classes in order, each with the marker text, or the list of texts, that stands for it.
    pub classes: Classes,
    /// Over how many of the newest trials of each class the mean is taken.
    #[serde(default = "twenty")]
    pub trials: usize,
    /// How unlike two patterns are: "euclidean" (mean squared difference) or "correlation".
    #[serde(default)]
    pub distance: Distance,
    /// What is done to the distances: "plain", "geotopological" (see `quantiles`) or "geodesic" (the length of
    /// the shortest way over other classes).
    #[serde(default)]
    pub transform: Transform,
    /// For "geotopological": distances up to the first quantile count as none, from the second on as far.
    #[serde(default = "whole")]
    pub quantiles: [f64; 2],
    /// The distances that a model predicts, for each pair of classes in their order (first with second, first
    /// with third, ..., second with third, ...).
    #[serde(default)]
    pub model: Vec<f64>,
    /// How agreement with the model is measured: "spearman" (ranks) or "pearson".
    #[serde(default)]
    pub compare: Compare,
}

fn twenty() -> usize {
    20
}

fn whole() -> [f64; 2] {
    [0.0, 1.0]
}

/// What is done to the distances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transform {
    /// Nothing.
    #[default]
    Plain,
    /// What is near counts as the same place, what is far as far.
    GeoTopological,
    /// The length of the shortest way.
    Geodesic,
}

/// How two RDMs are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compare {
    /// By the correlation of ranks.
    #[default]
    Spearman,
    /// By correlation.
    Pearson,
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "classes = { left = \"T1\", right = [\"T2\", \"T2b\"] }\ntrials = 20\ndistance = \"euclidean\"\n\
         transform = \"plain\"\nquantiles = [0.0, 1.0]\nmodel = [1.0]\ncompare = \"spearman\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        self.classes.texts()?;
        let names = self.classes.names();
        if names.len() < 2 {
            return Err(Error::setting("classes", "at least two classes are needed to compare"));
        }
        if !(1..=MAX_TRIALS).contains(&self.trials) {
            let text = format!("is {}, expected 1 to {MAX_TRIALS}", self.trials);
            return Err(Error::setting("trials", text));
        }
        let [low, high] = self.quantiles;
        if !(0.0 <= low && low <= high && high <= 1.0) {
            let text = "expected two numbers from 0 to 1, the second not below the first";
            return Err(Error::setting("quantiles", text));
        }
        let (given, wanted) = (self.model.len(), pairs(names.len()));
        if given != 0 && (given != wanted || self.model.iter().any(|v| !v.is_finite())) {
            let text =
                format!("has {given} distances, expected {wanted}, one for each pair of classes");
            return Err(Error::setting("model", text));
        }
        Ok(Box::new(Monitor::new(self, names)))
    }
}

struct Monitor {
    settings: Settings,
    names: Vec<String>,
    /// For each class its newest trials.
    trials: Vec<Trials>,
    means: Vec<Vec<f64>>,
    scratch: Vec<f64>,
    square: Vec<f64>,
    /// The ranks of the distances and of the model.
    ranks: [Vec<f64>; 2],
    out: Frame,
}

/// The newest trials of a class, in memory that is taken once.
struct Trials {
    /// Trial after trial; the oldest is overwritten.
    data: Vec<f64>,
    next: usize,
    count: usize,
}

impl Stage for Monitor {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = single(inputs, &[Payload::Vector])?;
        let (k, room) = (self.names.len(), self.settings.trials * input.cols);
        self.trials = (0..k).map(|_| Trials { data: vec![0.0; room], next: 0, count: 0 }).collect();
        self.means = vec![vec![0.0; input.cols]; k];
        let mut channels: Vec<Channel> = upper(k)
            .map(|(i, j)| self.channel(&format!("{}-{}", self.names[i], self.names[j])))
            .collect();
        if !self.settings.model.is_empty() {
            channels.push(self.channel("model"));
        }
        let cols = channels.len();
        let spec = Spec { payload: Payload::Vector, rows: 1, cols, channels, ..input.clone() };
        self.out = spec.frame();
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let Some(class) = self.settings.classes.index_of(&frame.text) else { return Ok(()) };
        if frame.data.len() != self.means[class].len() {
            return Err(Fault("the frame has another shape than was promised"));
        }
        if frame.flags.has(Flags::BAD) || frame.data.iter().any(|v| !v.is_finite()) {
            emit.count(Cause::Unlearned, 1);
            return Ok(());
        }
        self.trials[class].push(&frame.data, self.settings.trials);
        self.trials[class].mean(&mut self.means[class]);
        if self.trials.iter().all(|t| t.count > 0) {
            self.out.copy_head(frame);
            self.compare();
            emit.emit(&mut self.out);
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.trials.iter_mut().for_each(|t| (t.next, t.count) = (0, 0));
    }

    fn interrupt(&mut self) {}
}

impl Monitor {
    fn new(settings: Settings, names: Vec<String>) -> Self {
        let (k, n) = (names.len(), pairs(names.len()));
        let mut ranked = [vec![0.0; n], vec![0.0; n]];
        if !settings.model.is_empty() {
            ranks(&settings.model, &mut ranked[1]);
        }
        Self {
            settings,
            names,
            trials: Vec::new(),
            means: Vec::new(),
            scratch: vec![0.0; n],
            square: vec![0.0; k * k],
            ranks: ranked,
            out: Spec::markers().frame(),
        }
    }

    fn channel(&self, label: &str) -> Channel {
        Channel { kind: "RDM".to_owned(), ..Channel::named(label) }
    }

    /// Writes the distances between the means, and how they agree with the model.
    fn compare(&mut self) {
        let (k, n) = (self.names.len(), pairs(self.names.len()));
        self.out.resize(1, n + usize::from(!self.settings.model.is_empty()));
        let (rdm, agreement) = self.out.data.split_at_mut(n);
        for ((i, j), d) in upper(k).zip(rdm.iter_mut()) {
            *d = self.settings.distance.between(&self.means[i], &self.means[j]);
        }
        let [low, high] = self.settings.quantiles;
        match self.settings.transform {
            Transform::Plain => {}
            Transform::GeoTopological => geo_topological(rdm, low, high, &mut self.scratch),
            Transform::Geodesic => geodesic(rdm, k, &mut self.square),
        }
        let [ours, model] = &mut self.ranks;
        if let [agreement] = agreement {
            *agreement = match self.settings.compare {
                Compare::Pearson => pearson(rdm, &self.settings.model),
                Compare::Spearman => {
                    ranks(rdm, ours);
                    pearson(ours, model)
                }
            };
        }
    }
}

impl Trials {
    fn push(&mut self, trial: &[f64], most: usize) {
        self.data[self.next * trial.len()..(self.next + 1) * trial.len()].copy_from_slice(trial);
        self.next = (self.next + 1) % most;
        self.count = most.min(self.count + 1);
    }

    fn mean(&self, out: &mut [f64]) {
        out.fill(0.0);
        for trial in self.data.chunks_exact(out.len()).take(self.count) {
            out.iter_mut().zip(trial).for_each(|(m, v)| *m += v);
        }
        out.iter_mut().for_each(|m| *m /= self.count as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Settings as _;
    use crate::stages::testing::{Seen, numbers};

    fn monitor(extra: &str) -> Box<dyn Stage> {
        let text = format!("classes = {{ a = \"A\", b = \"B\", c = \"C\" }}\n{extra}");
        let settings: Settings = toml::from_str(&text).unwrap();
        let mut stage = settings.build().unwrap();
        let spec = Spec { payload: Payload::Vector, rows: 1, cols: 2, ..Spec::markers() };
        let out = stage.prepare(&[spec]).unwrap();
        assert_eq!(out.channels[1].label, "a-c");
        stage
    }

    fn show(stage: &mut dyn Stage, seen: &mut Seen, text: &str, v: [f64; 2], flags: Flags) {
        let mut frame = Frame { text: text.into(), flags, ..numbers(2, &v) };
        stage.process(&mut frame, seen).unwrap();
    }

    #[test]
    fn means_move_with_the_newest_trials() {
        let mut stage = monitor("trials = 2\nmodel = [1.0, 2.0, 3.0]");
        let mut seen = Seen::default();
        for (text, v) in
            [("A", [0.0, 0.0]), ("B", [1.0, 1.0]), ("C", [9.0, 9.0]), ("C", [3.0, 3.0])]
        {
            show(stage.as_mut(), &mut seen, text, v, Flags::NONE);
        }
        assert_eq!(seen.frames.len(), 2, "nothing before every class has a trial");
        assert_eq!(seen.frames[1].data, [1.0, 36.0, 25.0, 0.5]);
        // The third trial of C takes the place of the first; others change nothing.
        show(stage.as_mut(), &mut seen, "C", [3.0, 3.0], Flags::NONE);
        show(stage.as_mut(), &mut seen, "C", [50.0, 3.0], Flags::BAD);
        show(stage.as_mut(), &mut seen, "X", [50.0, 3.0], Flags::NONE);
        assert_eq!(seen.frames.len(), 3);
        assert_eq!(seen.frames[2].data, [1.0, 9.0, 4.0, 0.5]);
        assert_eq!(seen.counts, [(Cause::Unlearned, 1)]);
        stage.reset();
        show(stage.as_mut(), &mut seen, "A", [0.0, 0.0], Flags::NONE);
        assert_eq!(seen.frames.len(), 3);
    }

    #[test]
    fn transforms_apply_before_the_comparison() {
        let mut stage = monitor(
            "transform = \"geotopological\"\nquantiles = [0.5, 0.5]\nmodel = [0.0, 1.0, 0.0]\ncompare = \"pearson\"",
        );
        let mut seen = Seen::default();
        for (text, v) in [("A", [0.0, 0.0]), ("B", [1.0, 1.0]), ("C", [3.0, 3.0])] {
            show(stage.as_mut(), &mut seen, text, v, Flags::NONE);
        }
        assert_eq!(seen.frames[0].data[..3], [0.0, 1.0, 0.0]);
        assert!((seen.frames[0].data[3] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn settings_are_checked() {
        let bad = |text: &str| {
            let settings: Settings = toml::from_str(text).unwrap();
            settings.build().err().unwrap().key().unwrap().to_owned()
        };
        assert_eq!(bad("classes = { a = \"A\" }"), "classes");
        assert_eq!(bad("classes = { a = \"A\", b = \"B\" }\nmodel = [1.0, 2.0]"), "model");
        assert_eq!(bad("classes = { a = \"A\", b = \"B\" }\ntrials = 0"), "trials");
        assert_eq!(bad("classes = { a = \"A\", b = \"B\" }\nquantiles = [0.5, 0.2]"), "quantiles");
    }
}
