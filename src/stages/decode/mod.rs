//! Decoders: a matrix or a vector to scores.
//!
//! A decoder file holds the mathematics of a [`Decoder`]; [`DecoderStage`] makes a stage of it.

use super::manifold::not_fitted;
use super::{Emit, Examples, Fault, Fitted, Linear, Part, Stage, live, single};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::kind::{Kind, kind};
use crate::ledger::Cause;
use crate::math::logistic::softmax;
use reject::Reject;

mod adapting;
pub mod bt_mdm;
pub mod fgmdm;
pub mod gcn;
pub mod lda;
mod linear;
pub mod logistic;
pub mod mdm;
pub mod onnx;
mod reject;
pub mod svm;
pub mod vote;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[
    kind::<_, bt_mdm::Settings>("bt_mdm"),
    kind::<_, logistic::Settings>("logistic"),
    kind::<_, lda::Settings>("lda"),
    kind::<_, svm::Settings>("svm"),
    kind::<_, mdm::Settings>("mdm"),
    kind::<_, fgmdm::Settings>("fgmdm"),
    kind::<_, gcn::Settings>("gcn"),
    kind::<_, onnx::Settings>("onnx"),
    kind::<_, vote::Settings>("vote"),
];

/// What gives every class a probability.
pub trait Decoder: Send {
    /// **Control.** What it decides on.
    fn takes(&self) -> &'static [Payload];

    /// **Control.** Learns what comes in, of a payload that it takes, and allocates everything.
    fn prepare(&mut self, input: &Spec) -> Result<()>;

    /// **Control.** The class names in the order of the scores.
    fn classes(&self) -> &[String];

    /// **Data.** Writes one probability per class for `x`, which has the promised shape. No heap,
    /// no lock, no I/O, no panic.
    fn scores(&mut self, x: &Frame, out: &mut [f64]) -> Result<(), Fault>;

    /// **Data.** Writes the distance of `x` to the centre of each class, where the decoder measures
    /// distances of its own; `None` where it does not. As [`Self::scores`] otherwise.
    fn distances(&mut self, _x: &Frame, _out: &mut [f64]) -> Option<Result<(), Fault>> {
        None
    }

    /// **Data.** Learns from the frame that it has just given scores for, once these have been sent. Says
    /// whether it did; `None` if it does not learn from such a frame anyway.
    fn adapt(&mut self, _x: &Frame) -> Option<bool> {
        None
    }

    /// **Data.** Forgets what it has learned since it was prepared.
    fn reset(&mut self) {}

    /// **Control.** The part that learns from examples, if there is one.
    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        None
    }

    /// **Control.** Rows of weights, one after the other, if their products with the input are all that
    /// it needs.
    fn weights(&self) -> &[f64] {
        &[]
    }

    /// **Data.** Like [`Self::scores`], given the products with the [`Self::weights`].
    fn scores_of_products(&mut self, _products: &[f64], _out: &mut [f64]) -> Result<(), Fault> {
        Err(Fault("the decoder has no weights"))
    }
}

/// A decoder as a stage: one frame of scores for each frame that comes in.
pub struct DecoderStage<D> {
    decoder: D,
    reject: Option<Reject>,
    /// What both have learned, where there is a rejection.
    learned: Option<Part>,
    shape: (usize, usize),
    /// Whether products come in rather than vectors.
    products: bool,
    /// How many scores go out.
    answers: usize,
    out: Frame,
}

impl<D: Decoder> DecoderStage<D> {
    /// Wraps `decoder`.
    pub fn new(decoder: D) -> Self {
        let out = scores_spec(0.0, Vec::new()).frame();
        Self {
            decoder,
            reject: None,
            learned: None,
            shape: (0, 0),
            products: false,
            answers: 0,
            out,
        }
    }

    /// Answers what is like no class by one more class, `none`, if there is a threshold: see
    /// `reject.rs`.
    pub fn rejecting(self, threshold: Option<f64>) -> Result<Self> {
        Ok(Self { reject: threshold.map(Reject::new).transpose()?, ..self })
    }
}

impl<D: Decoder> Stage for DecoderStage<D> {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = single(inputs, self.decoder.takes())?;
        self.decoder.prepare(input)?;
        let mut classes = self.decoder.classes().to_vec();
        if let Some(reject) = &self.reject {
            reject.check_input(input)?;
            classes.push(reject::NONE.to_string());
        }
        self.shape = (input.rows, input.cols);
        self.products = false;
        self.answers = classes.len();
        let spec = scores_spec(input.rate_hz, classes);
        self.out = spec.frame();
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        self.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            self.out.resize(0, self.answers);
        } else if (frame.rows, frame.cols) == self.shape {
            self.out.resize(1, self.answers);
            self.decide(frame)?;
        } else {
            return Err(Fault("the frame has another shape than was promised"));
        }
        // Nothing is learned from what is like no class.
        let rejected = self.reject.is_some() && self.out.data.last() == Some(&1.0);
        emit.emit(&mut self.out);
        let learns = !frame.data.is_empty() && !rejected;
        if learns && self.decoder.adapt(frame) == Some(false) {
            emit.count(Cause::Unlearned, 1);
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.decoder.reset();
    }

    fn interrupt(&mut self) {}

    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        if self.reject.is_some() { Some(self) } else { self.decoder.fitted() }
    }

    fn linear(&mut self) -> Option<&mut dyn Linear> {
        // The distances of the rejection need the vector itself.
        if self.decoder.weights().is_empty() || self.reject.is_some() { None } else { Some(self) }
    }
}

impl<D: Decoder> DecoderStage<D> {
    /// Writes the scores for `frame`.
    fn decide(&mut self, frame: &Frame) -> Result<(), Fault> {
        let (scores, none) = self.out.data.split_at_mut(self.decoder.classes().len());
        match self.products {
            true => self.decoder.scores_of_products(&frame.data, scores)?,
            false => self.decoder.scores(frame, scores)?,
        }
        none.fill(0.0);
        if let Some(reject) = &mut self.reject
            && reject.rejects(&mut self.decoder, frame)?
        {
            scores.fill(0.0);
            none.fill(1.0);
        }
        Ok(())
    }

    fn learner(&mut self) -> Result<&mut dyn Fitted> {
        self.decoder
            .fitted()
            .ok_or_else(|| Error::config("a decoder that learns is needed to reject"))
    }
}

/// With a rejection beside the decoder, both learn.
impl<D: Decoder> Fitted for DecoderStage<D> {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        self.learner()?.fit(examples)?;
        let mut part = self.learner()?.save()?;
        if let Some(reject) = &mut self.reject {
            reject.fit(&mut self.decoder, examples)?;
            reject.save(&mut part);
        }
        self.learned = Some(part);
        Ok(())
    }

    fn fitted_examples(&mut self) -> Option<Vec<Frame>> {
        self.decoder.fitted()?.fitted_examples()
    }

    fn live(&mut self) -> Option<live::LiveReader> {
        self.decoder.fitted()?.live()
    }

    fn save(&self) -> Result<Part> {
        self.learned.clone().ok_or_else(not_fitted)
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        self.learner()?.load(part)?;
        if let Some(reject) = &mut self.reject {
            reject.load(part)?;
        }
        self.learned = Some(part.clone());
        Ok(())
    }
}

impl<D: Decoder> Linear for DecoderStage<D> {
    fn weights(&self) -> &[f64] {
        self.decoder.weights()
    }

    fn hand_over(&mut self) {
        let (rows, cols) = self.shape;
        self.shape = (1, self.decoder.weights().len() / (rows * cols).max(1));
        self.products = true;
    }
}

/// What the scores of `classes` look like.
/// What a decoder with `settings` will send about `classes` once it has learned them.
pub fn promised(settings: &serde_json::Value, rate_hz: f64, mut classes: Vec<String>) -> Spec {
    if settings.get("reject").is_some_and(|threshold| !threshold.is_null()) {
        classes.push(reject::NONE.to_string());
    }
    scores_spec(rate_hz, classes)
}

fn scores_spec(rate_hz: f64, classes: Vec<String>) -> Spec {
    Spec {
        payload: Payload::Scores,
        rows: 1,
        cols: classes.len(),
        rate_hz,
        classes,
        ..Spec::markers()
    }
}

/// Checks that every example has a class, and every class an example.
pub(super) fn check_labels(examples: &Examples<'_>) -> Result<()> {
    let Examples { frames: x, labels: y, classes, .. } = *examples;
    if x.len() != y.len() || y.iter().any(|k| *k >= classes.len()) {
        return Err(Error::mismatch(format!(
            "{} examples of {} classes come with {} labels that do not fit",
            x.len(),
            classes.len(),
            y.len()
        )));
    }
    if classes.len() < 2 {
        return Err(Error::missing(format!(
            "there are examples of {} class only, at least two classes are needed",
            classes.len()
        )));
    }
    match (0..classes.len()).find(|k| !y.contains(k)) {
        Some(k) => Err(Error::missing(format!("class `{}` has no example", classes[k]))),
        None => Ok(()),
    }
}

/// Checks that what comes in is as long as what was learned from, `learned` numbers.
fn check_width(input: &Spec, learned: usize) -> Result<()> {
    if input.cols == learned {
        return Ok(());
    }
    let given = input.cols;
    Err(Error::mismatch(format!(
        "was fitted to vectors of {learned} numbers, but is given {given}"
    )))
}

/// Refuses what comes of features that are not finite.
fn finite(values: &[f64]) -> Result<(), Fault> {
    match values.iter().all(|v| v.is_finite()) {
        true => Ok(()),
        false => Err(Fault("the features hold numbers that are not finite")),
    }
}

/// Turns distances into probabilities: softmax(-distance^2).
fn nearness(distances: &mut [f64]) {
    for d in distances.iter_mut() {
        *d = -*d * *d;
    }
    softmax(distances);
}

/// Refuses weighted examples, for what learns from all alike.
pub(super) fn check_alike(examples: &Examples<'_>) -> Result<()> {
    if examples.weights.is_empty() {
        return Ok(());
    }
    Err(Error::mismatch(
        "cannot learn from examples that count differently: use `mdm` or `bt_mdm`, or leave out the weights",
    ))
}

/// The index of the largest number; the lowest one of several.
fn argmax(v: &[f64]) -> usize {
    (0..v.len()).fold(0, |best, k| if v[k] > v[best] { k } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_first() {
        assert_eq!(argmax(&[0.2, 0.4, 0.4]), 1);
        assert_eq!(argmax(&[]), 0);
    }

    #[test]
    fn labels_are_checked() {
        let x = vec![scores_spec(0.0, Vec::new()).frame(); 2];
        let classes = ["left".to_string(), "right".to_string()];
        assert!(check_labels(&Examples::new(&x, &[0, 1], &classes)).is_ok());
        assert!(check_labels(&Examples::new(&x, &[0], &classes)).is_err());
        assert!(check_labels(&Examples::new(&x, &[0, 2], &classes)).is_err());
        assert!(check_labels(&Examples::new(&x, &[0, 0], &classes[..1])).is_err());
        let error = check_labels(&Examples::new(&x, &[0, 0], &classes)).unwrap_err();
        assert_eq!(error.to_string(), "class `right` has no example");
    }
}
