//! What the linear maps to embeddings have in common: the stage, frames as vectors, the targets of examples, the part of
//! a model. They differ in how the map is learned.

use crate::error::{Error, Result};
use crate::formats::gallery;
use crate::frame::{Frame, Payload, Spec};
use crate::math::affine::Affine;
use crate::stages::manifold::not_fitted;
use crate::stages::{Emit, Examples, Fault, Fitted, Part, Stage, Tensor, single};
use faer::Mat;
use std::collections::HashMap;
use std::path::Path;

/// What such a stage takes.
const TAKEN: [Payload; 4] = [Payload::Window, Payload::Vector, Payload::Nodes, Payload::Matrix];

/// How a map is learned.
pub trait Learn: Send {
    /// The map that the examples tell of.
    fn learn(&self, examples: &Examples<'_>) -> Result<LinearMap>;
}

/// A linear map from the numbers of a frame to an embedding.
pub struct LinearMap {
    /// Rows and columns of the frames.
    pub shape: (usize, usize),
    /// From their numbers, row by row.
    pub map: Affine,
}

/// The stage of a linear map.
pub struct Embed<L> {
    learn: L,
    learned: Option<LinearMap>,
    out: Frame,
}

impl<L: Learn> Embed<L> {
    /// That has learned nothing yet.
    pub fn new(learn: L) -> Self {
        Self { learn, learned: None, out: Spec::markers().frame() }
    }
}

impl<L: Learn> Stage for Embed<L> {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = single(inputs, &TAKEN)?;
        let LinearMap { shape, map } = self.learned.as_ref().ok_or_else(not_fitted)?;
        if (input.rows, input.cols) != *shape {
            return Err(Error::mismatch(format!(
                "was trained on frames of {} x {}, but is given {} x {}",
                shape.0, shape.1, input.rows, input.cols
            )));
        }
        let (cols, rate_hz) = (map.intercept.len(), input.rate_hz);
        let spec = Spec { payload: Payload::Vector, rows: 1, cols, rate_hz, ..Spec::markers() };
        self.out = spec.frame();
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let LinearMap { shape, map } =
            self.learned.as_ref().ok_or(Fault("nothing has been learned yet"))?;
        let out = &mut self.out;
        out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            out.resize(0, map.intercept.len());
        } else if (frame.rows, frame.cols) == *shape {
            out.resize(1, map.intercept.len());
            map.apply(&frame.data, &mut out.data);
            if !out.data.iter().all(|v| v.is_finite()) {
                return Err(Fault("the frame holds numbers that are not finite"));
            }
        } else {
            return Err(Fault("the frame has another shape than was promised"));
        }
        emit.emit(out);
        Ok(())
    }

    fn reset(&mut self) {}

    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        Some(self)
    }
}

impl<L: Learn> Fitted for Embed<L> {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        self.learned = Some(self.learn.learn(examples)?);
        Ok(())
    }

    fn save(&self) -> Result<Part> {
        self.learned.as_ref().map(LinearMap::save).ok_or_else(not_fitted)
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        self.learned = Some(LinearMap::load(part)?);
        Ok(())
    }
}

impl LinearMap {
    fn save(&self) -> Part {
        let (rows, cols) = self.shape;
        let outputs = self.map.intercept.len();
        let tensor = |shape: Vec<usize>, data: &[f64]| Tensor { shape, data: data.to_vec() };
        let tensors = [
            ("weights", tensor(vec![outputs, rows, cols], &self.map.weights)),
            ("intercept", tensor(vec![outputs], &self.map.intercept)),
        ];
        let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor)).into();
        Part { tensors, classes: Vec::new() }
    }

    fn load(part: &Part) -> Result<Self> {
        let (weights, intercept) = (part.tensor("weights", 3)?, part.tensor("intercept", 1)?);
        let [outputs, rows, cols] = weights.shape[..] else { return Err(not_fitted()) };
        if intercept.data.len() != outputs || outputs == 0 || rows * cols == 0 {
            return Err(Error::mismatch("the model's weights and intercept do not fit together"));
        }
        let (weights, intercept) = (weights.data.clone(), intercept.data.clone());
        Ok(Self { shape: (rows, cols), map: Affine { weights, intercept } })
    }
}

/// The rows and columns of the examples, which must all have the same.
pub fn shape_of(examples: &Examples<'_>) -> Result<(usize, usize)> {
    let shapes = || examples.frames.iter().map(|frame| (frame.rows, frame.cols));
    let shape = shapes().next().ok_or_else(|| Error::mismatch("there are no examples"))?;
    match shapes().all(|other| other == shape) && shape.0 * shape.1 > 0 {
        true => Ok(shape),
        false => Err(Error::mismatch("the examples have different shapes")),
    }
}

/// The numbers of the examples that `part` picks out of each frame, one example a row.
pub fn numbers_of(examples: &Examples<'_>, part: std::ops::Range<usize>) -> Mat<f64> {
    Mat::from_fn(examples.frames.len(), part.len(), |i, j| examples.frames[i].data[part.start + j])
}

/// The embedding of what each example shows, one a row: that of the item of the gallery that is called as its class.
pub fn targets_of(examples: &Examples<'_>, gallery: &Path) -> Result<Mat<f64>> {
    let gallery = gallery::read(gallery)?;
    let places: HashMap<&str, usize> =
        gallery.labels.iter().enumerate().map(|(i, label)| (label.as_str(), i)).collect();
    let place = |class: &String| {
        places.get(class.as_str()).copied().ok_or_else(|| {
            Error::mismatch(format!(
                "the gallery has no item `{class}`, which is a class of the examples"
            ))
        })
    };
    let places: Vec<usize> = examples.classes.iter().map(place).collect::<Result<_>>()?;
    let (length, numbers) = (gallery.length, gallery.embeddings.as_ref());
    let number = |i: usize, j: usize| numbers[places[examples.labels[i]] * length + j].into();
    Ok(Mat::from_fn(examples.labels.len(), length, number))
}
