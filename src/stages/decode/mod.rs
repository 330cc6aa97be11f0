//! Decoders: a matrix or a vector to scores.
//!
//! A decoder file holds the mathematics of a [`Decoder`]; [`DecoderStage`] makes a stage of it.

use super::{Emit, Examples, Fault, Fitted, Linear, Stage, single};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::kind::{Kind, kind};
use crate::ledger::Cause;

mod adapting;
pub mod logistic;
pub mod mdm;
pub mod vote;

/// The list of this family.
pub const KINDS: &[Kind<dyn Stage>] = &[
    kind::<_, logistic::Settings>("logistic"),
    kind::<_, mdm::Settings>("mdm"),
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
    shape: (usize, usize),
    /// Whether products come in rather than vectors.
    products: bool,
    out: Frame,
}

impl<D: Decoder> DecoderStage<D> {
    /// Wraps `decoder`.
    pub fn new(decoder: D) -> Self {
        let out = scores_spec(0.0, Vec::new()).frame();
        Self { decoder, shape: (0, 0), products: false, out }
    }
}

impl<D: Decoder> Stage for DecoderStage<D> {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = single(inputs, self.decoder.takes())?;
        self.decoder.prepare(input)?;
        self.shape = (input.rows, input.cols);
        self.products = false;
        let spec = scores_spec(input.rate_hz, self.decoder.classes().to_vec());
        self.out = spec.frame();
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        self.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            self.out.resize(0, self.decoder.classes().len());
        } else if (frame.rows, frame.cols) == self.shape {
            self.out.resize(1, self.decoder.classes().len());
            match self.products {
                true => self.decoder.scores_of_products(&frame.data, &mut self.out.data)?,
                false => self.decoder.scores(frame, &mut self.out.data)?,
            }
        } else {
            return Err(Fault("the frame has another shape than was promised"));
        }
        emit.emit(&mut self.out);
        if !frame.data.is_empty() && self.decoder.adapt(frame) == Some(false) {
            emit.count(Cause::Unlearned, 1);
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.decoder.reset();
    }

    fn interrupt(&mut self) {}

    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        self.decoder.fitted()
    }

    fn linear(&mut self) -> Option<&mut dyn Linear> {
        if self.decoder.weights().is_empty() { None } else { Some(self) }
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
fn check_labels(examples: &Examples<'_>) -> Result<()> {
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
