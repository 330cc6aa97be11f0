//! A person's own linear map in front of a decoder that stays as it is.
//!
//! In: a window of T samples x C channels. Out: the same shape, W applied to each sample. W is learned in
//! `fit` from labelled windows of the person, so that they become like those of the people that the decoder was
//! trained on, of whom a reference file tells; or it is 1 for the people that the stage is fitted on, and
//! learned for another one by `fit --from`. Nothing is asked of the decoder, not even a gradient: W is found in
//! one step from what is known of both ([`crate::math::transfer`]):
//!
//! - `covariance`: the mean covariance of the person's windows becomes that of the reference, and with `rotate` the
//!   covariances of the classes come as near as a rotation can bring them. Signs of sources cannot be told from
//!   covariances, so it suits decoders of power and covariance, not of waveforms.
//! - `means`: the mean windows of the classes become those of the reference, by least squares with a ridge
//!   towards 1. It suits responses that are locked to their epoch. Directions in which the mean windows
//!   do not reach stay as they are.
//!
//! Both take for granted that the same sources are seen by as many channels, through another linear mixture; a person
//! whose sources differ is not helped. Delay: none.
//!
//! The linear, closed form of MindBridge's reset-tuning (a new input layer in front of a frozen core).

use super::mixing::Mixing;
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::math::spd::procrustes::identity;
use crate::math::transfer::{Covariances, between_covariances, between_responses};
use crate::stages::manifold::not_fitted;
use crate::stages::{Emit, Examples, Fault, Fitted, Part, Stage, Tensor, single};
use safetensors::{Dtype, SafeTensors};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The largest reference file that is read.
const MAX_BYTES: u64 = 256 << 20;

/// A person's own linear map of the channels in front of a decoder that stays as it is: learned in `fit` from some
/// labelled windows, so that these become like those of the people that the decoder was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What is made alike: `covariance`: the covariances of the windows, for decoders of power; `means`: the mean
    /// windows of the classes, for decoders of responses that are locked to their epoch.
    pub method: Method,
    /// With `covariance`: look for the rotation too that brings the classes together. Without it labels are not needed,
    /// and only what differs in size and correlation between channels is made up for.
    pub rotate: bool,
    /// With `means`: how strongly the map is held to 1, in shares of the power of the mean windows.
    pub ridge: f64,
    /// A safetensors file that tells of the people the decoder was trained on: a model that was fitted on them with this
    /// stage, or any file with its arrays (docs/onnx.md). Without it the people that are fitted on are those.
    pub reference: Option<PathBuf>,
}

/// What is made alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Covariances.
    #[default]
    Covariance,
    /// Mean windows of the classes.
    Means,
}

impl Default for Settings {
    fn default() -> Self {
        Self { method: Method::Covariance, rotate: true, ridge: 0.01, reference: None }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "method = \"covariance\"\nrotate = true\nridge = 0.01\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if !(self.ridge >= 0.0 && self.ridge.is_finite()) {
            return Err(Error::setting("ridge", "must be 0 or more"));
        }
        let (learned, mixing) = (None, Mixing::default());
        let out = Spec::markers().frame();
        Ok(Box::new(SubjectLinear { settings: self, learned, mixing, out }))
    }
}

struct SubjectLinear {
    settings: Settings,
    learned: Option<Learned>,
    mixing: Mixing,
    out: Frame,
}

/// The map, and what it leads to.
#[derive(Clone)]
struct Learned {
    n: usize,
    /// W, row by row.
    map: Vec<f64>,
    reference: Facts,
}

/// What is known of someone's windows.
#[derive(Clone)]
enum Facts {
    Covariances(Covariances),
    /// The mean window of each class: classes x rows x channels.
    Means(Tensor),
}

impl Stage for SubjectLinear {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = single(inputs, &[Payload::Window])?;
        let learned = self.learned.as_ref().ok_or_else(not_fitted)?;
        if input.cols != learned.n {
            let text = format!("was fitted to {} channels, but is given {}", learned.n, input.cols);
            return Err(Error::mismatch(text));
        }
        self.mixing = Mixing::new(learned.n, &learned.map);
        self.out = input.frame();
        Ok(input.clone())
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        self.mixing.send(frame, &mut self.out, emit)
    }

    fn reset(&mut self) {}

    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        Some(self)
    }
}

impl Fitted for SubjectLinear {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        let (rows, n) = shape(examples)?;
        let own = self.settings.facts(examples, rows, n)?;
        self.learned = Some(match &self.settings.reference {
            None => Learned { n, map: identity(n), reference: own },
            Some(path) => {
                let reference = self.settings.read(path)?;
                let map = self.settings.map(&reference, &own, n)?;
                Learned { n, map, reference }
            }
        });
        Ok(())
    }

    fn refit(&mut self, examples: &Examples<'_>) -> Result<bool> {
        let (rows, n) = shape(examples)?;
        let own = self.settings.facts(examples, rows, n)?;
        let learned = self.learned.as_mut().ok_or_else(not_fitted)?;
        learned.map = self.settings.map(&learned.reference, &own, n)?;
        learned.n = n;
        Ok(true)
    }

    fn save(&self) -> Result<Part> {
        let Learned { n, map, reference } = self.learned.as_ref().ok_or_else(not_fitted)?;
        let square = |data: &[f64]| Tensor { shape: vec![*n, *n], data: data.to_vec() };
        let mut part = Part::default();
        part.tensors.insert("map".into(), square(map));
        match reference {
            Facts::Covariances(Covariances { all, classes }) => {
                let count = classes.len() / (n * n);
                let classes = Tensor { shape: vec![count, *n, *n], data: classes.clone() };
                part.tensors.insert("covariance".into(), square(all));
                part.tensors.insert("class_covariances".into(), classes);
            }
            Facts::Means(means) => {
                part.tensors.insert("class_means".into(), means.clone());
            }
        }
        Ok(part)
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        let map = part.tensor("map", 2)?;
        let reference = self.settings.facts_of(part)?;
        let n = map.shape[0];
        if n == 0 || map.shape[1] != n || reference.channels() != Some(n) {
            return Err(Error::mismatch("the model's arrays of the map do not fit each other"));
        }
        self.learned = Some(Learned { n, map: map.data.clone(), reference });
        Ok(())
    }
}

/// Rows and columns of the examples, which must be windows of one shape.
fn shape(examples: &Examples<'_>) -> Result<(usize, usize)> {
    let (rows, cols) = examples.frames.first().map_or((0, 0), |f| (f.rows, f.cols));
    if rows < 2 || cols == 0 || examples.frames.iter().any(|f| (f.rows, f.cols) != (rows, cols)) {
        return Err(Error::mismatch("expected one or more windows of one shape"));
    }
    Ok((rows, cols))
}

impl Settings {
    /// What the examples tell.
    fn facts(&self, examples: &Examples<'_>, rows: usize, n: usize) -> Result<Facts> {
        let means = |of: &dyn Fn(&Frame) -> Vec<f64>| -> Result<Vec<f64>> {
            let mean = |class: usize| mean(examples, &|i| examples.labels[i] == class, of);
            let means: Option<Vec<Vec<f64>>> = (0..examples.classes.len()).map(mean).collect();
            means.map(|m| m.concat()).ok_or_else(|| Error::missing("a class has no example"))
        };
        if self.method == Method::Means {
            let data = means(&|frame| frame.data.clone())?;
            return Ok(Facts::Means(Tensor { shape: vec![examples.classes.len(), rows, n], data }));
        }
        let of = |frame: &Frame| covariance(&frame.data, n);
        let all = mean(examples, &|_| true, &of).ok_or_else(|| Error::missing("no examples"))?;
        let classes = if self.rotate { means(&of)? } else { Vec::new() };
        Ok(Facts::Covariances(Covariances { all, classes }))
    }

    /// The map from what is known of someone to the reference.
    fn map(&self, reference: &Facts, own: &Facts, n: usize) -> Result<Vec<f64>> {
        if reference.shape() != own.shape() || reference.channels() != Some(n) {
            return Err(Error::mismatch(format!(
                "the reference knows {}, but the examples have {}",
                reference.describe(),
                own.describe()
            )));
        }
        match (reference, own) {
            (Facts::Covariances(other), Facts::Covariances(own)) => {
                between_covariances(other, own, n, self.rotate)
                    .map_err(|e| Error::mismatch(Fault::from(e).0))
            }
            (Facts::Means(other), Facts::Means(own)) => {
                let lacking = "the mean windows do not determine a map; a larger `ridge` does";
                between_responses(&other.data, &own.data, n, self.ridge)
                    .ok_or_else(|| Error::setting("ridge", lacking))
            }
            _ => Err(Error::mismatch("the reference was made by another method")),
        }
    }

    /// What a part of a model, or a reference file, tells.
    fn facts_of(&self, part: &Part) -> Result<Facts> {
        if self.method == Method::Means {
            return part.tensor("class_means", 3).cloned().map(Facts::Means);
        }
        let all = part.tensor("covariance", 2)?.data.clone();
        let classes = match self.rotate {
            true => part.tensor("class_covariances", 3)?.data.clone(),
            false => Vec::new(),
        };
        Ok(Facts::Covariances(Covariances { all, classes }))
    }

    fn read(&self, path: &Path) -> Result<Facts> {
        let part = read_part(path, &["covariance", "class_covariances", "class_means"]);
        part.and_then(|part| self.facts_of(&part))
            .map_err(|e| e.at(path.display()).blaming("reference"))
    }
}

impl Facts {
    /// How many channels they are of, if they are whole.
    fn channels(&self) -> Option<usize> {
        match self {
            Facts::Covariances(Covariances { all, classes }) => {
                let n = all.len().isqrt();
                let whole = n > 0 && n * n == all.len() && classes.len().is_multiple_of(n * n);
                whole.then_some(n)
            }
            Facts::Means(means) => means.shape.last().copied().filter(|n| *n > 0),
        }
    }

    /// What must be equal for two of them to go together: classes, rows and channels.
    fn shape(&self) -> [usize; 3] {
        match self {
            Facts::Covariances(Covariances { all, classes }) => {
                [classes.len() / all.len().max(1), 0, all.len().isqrt()]
            }
            Facts::Means(means) => [means.shape[0], means.shape[1], means.shape[2]],
        }
    }

    /// For people.
    fn describe(&self) -> String {
        match (self, self.shape()) {
            (Facts::Covariances(_), [classes, _, n]) => {
                format!("covariances of {n} channels and {classes} classes")
            }
            (Facts::Means(_), [classes, rows, n]) => {
                format!("mean windows of {rows} samples of {n} channels, of {classes} classes")
            }
        }
    }
}

/// The mean of what `of` finds in those of the examples that are `wanted`; `None` of none.
fn mean(
    examples: &Examples<'_>,
    wanted: &dyn Fn(usize) -> bool,
    of: &dyn Fn(&Frame) -> Vec<f64>,
) -> Option<Vec<f64>> {
    let (mut sum, mut total) = (Vec::new(), 0.0);
    for (i, frame) in examples.frames.iter().enumerate().filter(|(i, _)| wanted(*i)) {
        let weight = examples.weights.get(i).copied().unwrap_or(1.0);
        let found = of(frame);
        sum.resize(found.len(), 0.0);
        sum.iter_mut().zip(&found).for_each(|(sum, v)| *sum += weight * v);
        total += weight;
    }
    sum.iter_mut().for_each(|v| *v /= total);
    (total > 0.0).then_some(sum)
}

/// The covariance of a window, rows x n, divided by the rows less one.
fn covariance(window: &[f64], n: usize) -> Vec<f64> {
    let rows = (window.len() / n) as f64;
    let mut mean = vec![0.0; n];
    for row in window.chunks_exact(n) {
        mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += x / rows);
    }
    let mut sum = vec![0.0; n * n];
    for row in window.chunks_exact(n) {
        for (i, sums) in sum.chunks_exact_mut(n).enumerate() {
            let x = row[i] - mean[i];
            sums.iter_mut().zip(row).zip(&mean).for_each(|((s, y), m)| *s += x * (y - m));
        }
    }
    sum.iter_mut().for_each(|v| *v /= rows - 1.0);
    sum
}

/// Those of the arrays of a safetensors file that are called `names`, or `STAGE/` and one of them.
fn read_part(path: &Path, names: &[&str]) -> Result<Part> {
    let unread = |e: std::io::Error| Error::input(format!("cannot be read: {e}"));
    if std::fs::metadata(path).map_err(unread)?.len() > MAX_BYTES {
        return Err(Error::input("is too large for a reference"));
    }
    let bytes = std::fs::read(path).map_err(unread)?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|e| Error::input(format!("is no safetensors file: {e}")))?;
    let mut part = Part::default();
    for (name, view) in file.iter() {
        let short = name.rsplit('/').next().unwrap_or(name);
        if !names.contains(&short) {
            continue;
        }
        if view.dtype() != Dtype::F64 {
            return Err(Error::input(format!("array `{name}` is not of 64-bit floats")));
        }
        let number = |b: &[u8]| f64::from_le_bytes(b.try_into().unwrap_or_default());
        let data = view.data().chunks_exact(8).map(number).collect();
        let tensor = Tensor { shape: view.shape().to_vec(), data };
        if part.tensors.insert(short.to_owned(), tensor).is_some() {
            return Err(Error::input(format!("has several arrays `{short}`")));
        }
    }
    Ok(part)
}
