//! Coordinates and scores to places: where each window lies, and what was decided there.
//!
//! In: one row of coordinates per window (an `embedding`), and, as another input, the scores for the same
//! windows. Out: one row for each window that both have come for: the first `dimensions` coordinates, the
//! number of the most probable class, and its probability. Without scores the class is -1 and the
//! probability 0. It is what a page draws as a trail, coloured by class. No delay.
//!
//! Which of both comes first does not matter; a window that one of them left out is passed over.

use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::stages::{Emit, Fault, Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Puts the coordinates of each window and the decision on it together, for pages that draw them. Reads
/// an embedding and, if there is one, a decoder: `from = ["embedding", "svm"]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How many coordinates are shown: 2 or 3.
    pub dimensions: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { dimensions: 2 }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "dimensions = 2\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if !(2..=3).contains(&self.dimensions) {
            return Err(Error::setting(
                "dimensions",
                format!("is {}, expected 2 or 3", self.dimensions),
            ));
        }
        let empty = || Spec::markers().frame();
        let dimensions = self.dimensions;
        Ok(Box::new(Trail {
            dimensions,
            inputs: Vec::new(),
            halves: [empty(), empty()],
            out: empty(),
        }))
    }
}

struct Trail {
    dimensions: usize,
    /// For each input, whether scores come by it.
    inputs: Vec<bool>,
    /// The newest coordinates and the newest scores; without numbers if there are none.
    halves: [Frame; 2],
    out: Frame,
}

impl Stage for Trail {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let find = |payload| inputs.iter().find(|s| s.payload == payload);
        let (Some(place), scores) = (find(Payload::Vector), find(Payload::Scores)) else {
            return Err(Error::mismatch(
                "takes coordinates (a vector), but none of its inputs gives any",
            ));
        };
        if inputs.len() != 1 + usize::from(scores.is_some()) {
            return Err(Error::mismatch(
                "takes coordinates and, if there are any, scores; no more inputs",
            ));
        }
        if place.cols < self.dimensions {
            let text = format!(
                "is given {} coordinates, expected at least {}",
                place.cols, self.dimensions
            );
            return Err(Error::mismatch(text).blaming("dimensions"));
        }
        self.inputs = inputs.iter().map(|s| s.payload == Payload::Scores).collect();
        self.halves = [place.frame(), scores.unwrap_or(place).frame()];
        let spec = Spec {
            payload: Payload::Embedding,
            rows: 1,
            cols: self.dimensions + 2,
            rate_hz: place.rate_hz,
            classes: scores.map(|s| s.classes.clone()).unwrap_or_default(),
            ..Spec::markers()
        };
        self.out = spec.frame();
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let is_scores = self.inputs.get(frame.input).copied().unwrap_or_default();
        if frame.data.is_empty() {
            return Ok(());
        }
        if !is_scores && frame.data.len() < self.dimensions {
            return Err(Fault("the frame has another shape than was promised"));
        }
        self.halves[usize::from(is_scores)].copy_from(frame);
        let [place, scores] = &mut self.halves;
        let alone = self.inputs.len() == 1;
        let both = !place.data.is_empty() && !scores.data.is_empty();
        if alone || (both && place.span.last == scores.span.last) {
            show(place, scores, self.dimensions, &mut self.out);
            emit.emit(&mut self.out);
            place.data.clear();
            scores.data.clear();
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.halves.iter_mut().for_each(|half| half.data.clear());
    }
}

/// Writes a place and what was decided there.
fn show(place: &Frame, scores: &Frame, dimensions: usize, out: &mut Frame) {
    out.copy_head(place);
    out.flags |= scores.flags;
    out.input = 0;
    out.resize(1, dimensions + 2);
    out.data[..dimensions].copy_from_slice(&place.data[..dimensions]);
    let best =
        |best: (f64, f64), (k, p): (usize, &f64)| if *p > best.1 { (k as f64, *p) } else { best };
    let (class, p) = scores.data.iter().enumerate().fold((-1.0, 0.0), best);
    out.data[dimensions..].copy_from_slice(&[class, p]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Settings as _;
    use crate::stages::testing::{Seen, numbers};

    fn at(input: usize, last: u64, data: &[f64]) -> Frame {
        let mut frame = numbers(data.len(), data);
        (frame.input, frame.span.last) = (input, last);
        frame
    }

    #[test]
    fn both_halves_of_a_window_meet() {
        let mut stage = Settings::default().build().unwrap();
        let place = Spec { payload: Payload::Vector, rows: 1, cols: 3, ..Spec::markers() };
        let classes = vec!["left".to_owned(), "right".to_owned()];
        let scores =
            Spec { payload: Payload::Scores, rows: 1, cols: 2, classes, ..Spec::markers() };
        let out = stage.prepare(&[place, scores]).unwrap();
        assert_eq!((out.cols, out.classes.len()), (4, 2));
        let mut seen = Seen::default();
        for mut frame in [
            at(0, 10, &[1.0, 2.0, 3.0]),
            at(1, 10, &[0.2, 0.8]),
            at(1, 11, &[0.9, 0.1]),
            at(0, 11, &[4.0, 5.0, 6.0]),
            at(0, 12, &[0.0, 0.0, 0.0]),
            at(0, 13, &[7.0, 8.0, 9.0]),
            at(1, 13, &[0.4, 0.6]),
        ] {
            stage.process(&mut frame, &mut seen).unwrap();
        }
        let got: Vec<&[f64]> = seen.frames.iter().map(|f| f.data.as_slice()).collect();
        assert_eq!(got, [[1.0, 2.0, 1.0, 0.8], [4.0, 5.0, 0.0, 0.9], [7.0, 8.0, 1.0, 0.6]]);
    }

    #[test]
    fn a_trail_without_a_decoder_has_no_classes() {
        let mut stage = Settings { dimensions: 3 }.build().unwrap();
        let place = Spec { payload: Payload::Vector, rows: 1, cols: 3, ..Spec::markers() };
        stage.prepare(std::slice::from_ref(&place)).unwrap();
        let mut seen = Seen::default();
        stage.process(&mut at(0, 1, &[1.0, 2.0, 3.0]), &mut seen).unwrap();
        assert_eq!(seen.frames[0].data, [1.0, 2.0, 3.0, -1.0, 0.0]);
        let flat = Spec { cols: 2, ..place };
        assert_eq!(stage.prepare(&[flat]).unwrap_err().key(), Some("dimensions"));
        assert!(Settings { dimensions: 4 }.build().is_err());
    }
}
