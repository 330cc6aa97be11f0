//! Matrix to matrix: Riemannian Procrustes analysis, which lays one session over another.
//!
//! In: a symmetric positive definite matrix C, n x n. Out: Q (M^-1/2 C M^-1/2)^p Q^T: moved so that the
//! session's mean M becomes the identity; stretched, p = 1 / sqrt(d), so that the mean squared distance
//! to it, which is d, becomes one; turned by the orthogonal Q. Fitting does the first two for each
//! recording, keeps Q = 1 and remembers the class means. Refitting on labelled trials of another
//! session (`saltatory fit --from`) finds M and d of those, and the Q that brings their class means
//! nearest to the ones remembered ([`crate::math::spd::procrustes`]). No delay.
//!
//! pyRiemann turns the training data towards the new session and fits the decoder anew; here the new
//! session is turned, the other way round, and the decoder stays.
//!
//! Reference: Rodrigues, Jutten, Congedo, IEEE Trans. Biomed. Eng. 66 (2019).

use super::moving::Method;
use super::session::{self, Whitening};
use super::{check_size, not_fitted};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::math::linalg::{self, Symmetric};
use crate::math::spd::{Spd, procrustes};
use crate::stages::{Emit, Examples, Fault, Fitted, Part, Stage, Tensor, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Riemannian Procrustes: lays a new session, or another person, over the ones that the decoder was
/// trained on: recentres, stretches and turns covariance matrices. Learns from recordings
/// (`saltatory fit`), and the new session from a few labelled trials (`saltatory fit --from`).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Bring the matrices of every session to the same spread around their mean.
    pub stretch: bool,
    /// Turn the new session so that its class means lie on those of the training data. Wants no more
    /// channels than there are trials to tell their directions by: about 20.
    pub rotate: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { stretch: true, rotate: true }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "stretch = true\nrotate = true\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        let (learned, ready, examples) = (None, None, None);
        let out = Spec::markers().frame();
        Ok(Box::new(Align { settings: self, learned, examples, ready, out }))
    }
}

struct Align {
    settings: Settings,
    learned: Option<Learned>,
    /// What the examples became.
    examples: Option<Vec<Frame>>,
    ready: Option<Ready>,
    out: Frame,
}

/// What places a session, and where the classes lie once it is placed.
#[derive(Clone)]
struct Learned {
    n: usize,
    /// M.
    reference: Vec<f64>,
    /// d.
    dispersion: f64,
    /// Q, column by column.
    rotation: Vec<f64>,
    /// One after the other: where the classes of the training data lie.
    means: Vec<f64>,
}

/// Once it is prepared.
struct Ready {
    whitening: Whitening,
    /// p; `None` where nothing is stretched.
    power: Option<f64>,
    /// Q; `None` where nothing is turned.
    rotation: Option<Vec<f64>>,
    work: Symmetric,
    product: Vec<f64>,
    matrix: Vec<f64>,
}

impl Ready {
    fn new(learned: &Learned, stretch: bool) -> Result<Self> {
        let n = learned.n;
        let turned = learned.rotation != procrustes::identity(n);
        Ok(Self {
            whitening: Whitening::new(n, &learned.reference)?,
            power: stretch.then(|| learned.dispersion.sqrt().recip()),
            rotation: turned.then(|| learned.rotation.clone()),
            work: Symmetric::new(n),
            product: vec![0.0; n * n],
            matrix: vec![0.0; n * n],
        })
    }

    /// **Data.** Moves, stretches and turns `c`.
    fn apply(&mut self, c: &[f64], out: &mut [f64]) -> Result<(), Fault> {
        let n = self.work.n();
        self.whitening.apply(c, out)?;
        if let Some(power) = self.power {
            self.work.eigen(out)?;
            if self.work.values().first().is_none_or(|least| *least <= 0.0) {
                return Err(crate::math::spd::NotSpd::NotPositive.into());
            }
            self.work.rebuild(|v| v.powf(power), out);
        }
        if let Some(rotation) = &self.rotation {
            self.matrix.copy_from_slice(out);
            linalg::product(rotation, &self.matrix, &mut self.product, n);
            linalg::outer(&self.product, rotation, out, n);
        }
        Ok(())
    }
}

impl Stage for Align {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = single(inputs, &[Payload::Matrix])?;
        let learned = self.learned.as_ref().ok_or_else(not_fitted)?;
        check_size(input, learned.n)?;
        self.ready = Some(Ready::new(learned, self.settings.stretch)?);
        self.out = input.frame();
        Ok(input.clone())
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let ready = self.ready.as_mut().ok_or(Fault("nothing has been learned yet"))?;
        let n = ready.work.n();
        self.out.copy_head(frame);
        if frame.data.is_empty() {
            // The end of the stream.
            self.out.resize(0, n);
        } else if frame.data.len() == n * n {
            self.out.resize(n, n);
            ready.apply(&frame.data, &mut self.out.data)?;
        } else {
            return Err(Fault("the frame has another shape than was promised"));
        }
        emit.emit(&mut self.out);
        Ok(())
    }

    fn reset(&mut self) {}

    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        Some(self)
    }
}

impl Align {
    /// Where `some` of the examples lie, without a turn.
    fn place(&self, examples: &Examples<'_>, some: &[usize]) -> Result<Learned> {
        let n = session::size(examples)?;
        let reference = session::mean(examples, some, Method::Riemann)?;
        let mut spd = Spd::new(n);
        let whitener = spd.lower_whitener(&reference);
        let broken = |e| Error::mismatch(format!("a matrix of the examples {e}"));
        let whiteners = [whitener.map_err(broken)?];
        let (mut sum, mut total, mut distance) = (0.0, 0.0, [0.0]);
        for i in some {
            let weight = examples.weights.get(*i).copied().unwrap_or(1.0);
            spd.distances(&examples.frames[*i].data, &whiteners, &mut distance).map_err(broken)?;
            sum += weight * distance[0].powi(2);
            total += weight;
        }
        let dispersion = sum / total;
        if self.settings.stretch && dispersion <= f64::EPSILON {
            let text = "the examples of a recording are all alike, so there is nothing to stretch";
            return Err(Error::mismatch(text));
        }
        let (rotation, means) = (procrustes::identity(n), Vec::new());
        Ok(Learned { n, reference, dispersion, rotation, means })
    }

    /// What `some` of the examples become, in a copy of the frames.
    fn moved(
        &self,
        examples: &Examples<'_>,
        some: &[usize],
        place: &Learned,
        out: &mut [Frame],
    ) -> Result<()> {
        let mut ready = Ready::new(place, self.settings.stretch)?;
        for i in some {
            let applied = ready.apply(&examples.frames[*i].data, &mut out[*i].data);
            applied.map_err(|fault| Error::mismatch(fault.0))?;
        }
        Ok(())
    }
}

/// The means of the classes of `frames`, one after the other.
fn class_means(examples: &Examples<'_>, frames: &[Frame]) -> Result<Vec<f64>> {
    let examples = Examples { frames, ..*examples };
    let mut means = Vec::new();
    for (class, name) in examples.classes.iter().enumerate() {
        let of: Vec<usize> =
            (0..frames.len()).filter(|i| examples.labels.get(*i) == Some(&class)).collect();
        if of.is_empty() {
            return Err(Error::missing(format!("class `{name}` has no example")));
        }
        means.extend(session::mean(&examples, &of, Method::Riemann)?);
    }
    Ok(means)
}

impl Fitted for Align {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        let all: Vec<usize> = (0..examples.frames.len()).collect();
        let mut learned = self.place(examples, &all)?;
        let mut moved = examples.frames.to_vec();
        let recordings = session::recordings(examples);
        let mut dispersion = 0.0;
        for recording in &recordings {
            let place = self.place(examples, recording)?;
            dispersion += place.dispersion * recording.len() as f64 / all.len() as f64;
            self.moved(examples, recording, &place, &mut moved)?;
        }
        learned.dispersion = dispersion;
        learned.means = class_means(examples, &moved)?;
        (self.learned, self.examples, self.ready) = (Some(learned), Some(moved), None);
        Ok(())
    }

    fn fitted_examples(&mut self) -> Option<Vec<Frame>> {
        self.examples.take()
    }

    fn refit(&mut self, examples: &Examples<'_>) -> Result<bool> {
        let before = self.learned.clone().ok_or_else(not_fitted)?;
        let all: Vec<usize> = (0..examples.frames.len()).collect();
        let mut learned = Learned { means: before.means, ..self.place(examples, &all)? };
        let mut moved = examples.frames.to_vec();
        if learned.n != before.n {
            return Err(Error::mismatch(format!(
                "was fitted to matrices of {0} x {0}, but is given {1} x {1}",
                before.n, learned.n
            )));
        }
        if self.settings.rotate {
            self.moved(examples, &all, &learned, &mut moved)?;
            let (n, means) = (learned.n, class_means(examples, &moved)?);
            let targets: Vec<&[f64]> = learned.means.chunks_exact(n * n).collect();
            let sources: Vec<&[f64]> = means.chunks_exact(n * n).collect();
            learned.rotation = procrustes::rotation(&targets, &sources, n)
                .map_err(|e| Error::mismatch(format!("the mean of a class {e}")))?;
        }
        self.moved(examples, &all, &learned, &mut moved)?;
        (self.learned, self.examples, self.ready) = (Some(learned), Some(moved), None);
        Ok(true)
    }

    fn save(&self) -> Result<Part> {
        let learned = self.learned.as_ref().ok_or_else(not_fitted)?;
        let n = learned.n;
        let square = |data: &[f64]| Tensor { shape: vec![n, n], data: data.to_vec() };
        let means = Tensor {
            shape: vec![learned.means.len() / (n * n), n, n],
            data: learned.means.clone(),
        };
        let dispersion = Tensor { shape: vec![1], data: vec![learned.dispersion] };
        let tensors = [
            ("reference".to_owned(), square(&learned.reference)),
            ("rotation".to_owned(), square(&learned.rotation)),
            ("dispersion".to_owned(), dispersion),
            ("means".to_owned(), means),
        ];
        Ok(Part { tensors: tensors.into(), classes: Vec::new() })
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        let (n, reference) = session::square(part, "reference")?;
        let (turned, rotation) = session::square(part, "rotation")?;
        let means = part.tensor("means", 3)?;
        let dispersion = part.tensor("dispersion", 1)?.data.first().copied().unwrap_or_default();
        if turned != n || means.shape[1..] != [n, n] || dispersion <= 0.0 {
            let text =
                "the model's arrays `reference`, `rotation`, `dispersion` and `means` do not fit";
            return Err(Error::mismatch(text));
        }
        let means = means.data.clone();
        self.learned = Some(Learned { n, reference, dispersion, rotation, means });
        self.ready = None;
        Ok(())
    }
}
