//! Matrix to scores: minimum distance to the class means behind a Fisher geodesic filter.
//!
//! In: a symmetric positive definite matrix C, n x n. Out: one probability per class, as
//! [`mdm`](super::mdm), of the filtered matrix. The filter goes to the tangent space at the mean M of all
//! training matrices, keeps the directions that tell the classes apart ([`crate::math::fgda`]) and
//! goes back. All is done at the identity instead of M, as distances do not notice: with
//! a_j = <U_j, log(M^-1/2 C M^-1/2)>, U_j the directions as matrices, the filtered matrix is
//! E = exp(sum_j a_j U_j), and the means of the classes are those of such E. No delay.
//! Reference: pyRiemann's `FgMDM`; Barachant et al., LVA/ICA 2010.

use super::{Decoder, DecoderStage, check_alike, check_labels, nearness};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::math::fgda::directions;
use crate::math::spd::{LinearForms, Metric, NotSpd, Spd, Whitener, symmetric, tangent_len};
use crate::stages::manifold::{check_size, converged_mean, mean_of, not_fitted};
use crate::stages::{Examples, Fault, Fitted, Part, Stage, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Minimum distance to mean behind a filter: as `mdm`, after a discriminant analysis has taken away
/// from the covariance matrices what does not tell the classes apart. Learns from a recording
/// (`saltatory fit`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// When set, what lies farther from every class than this is answered by one more class, `none`:
    /// standard deviations of the logarithm of the distance of the class's examples to its centre. 2
    /// or 3 is usual.
    pub reject: Option<f64>,
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "";

    fn build(self) -> Result<Box<dyn Stage>> {
        Ok(Box::new(DecoderStage::new(FgMdm::default()).rejecting(self.reject)?))
    }
}

#[derive(Default)]
struct FgMdm {
    classes: Vec<String>,
    learned: Option<Learned>,
    filter: Option<Filter>,
    /// The means as the distances need them.
    whiteners: Vec<Whitener>,
}

/// What was learned.
struct Learned {
    n: usize,
    /// The mean of all examples, n x n.
    reference: Vec<f64>,
    /// The directions, one tangent vector after the other.
    directions: Vec<f64>,
    /// The means of the classes of filtered matrices, one after the other.
    means: Vec<f64>,
}

/// The filter, with room to work in.
struct Filter {
    spd: Spd,
    forms: LinearForms,
    /// The directions as matrices, one after the other.
    directions: Vec<f64>,
    /// How far the matrix lies along each direction.
    along: Vec<f64>,
    sum: Vec<f64>,
    filtered: Vec<f64>,
}

impl Filter {
    fn new(n: usize, reference: &[f64], directions: &[f64]) -> std::result::Result<Self, NotSpd> {
        let mut spd = Spd::new(n);
        let forms = spd.linear_forms(reference, directions)?;
        let rows = directions.chunks_exact(tangent_len(n));
        let along = vec![0.0; rows.len()];
        let directions = rows.flat_map(|row| symmetric(n, row)).collect();
        let (sum, filtered) = (vec![0.0; n * n], vec![0.0; n * n]);
        Ok(Self { spd, forms, directions, along, sum, filtered })
    }

    /// Puts the filtered matrix of `c` into `self.filtered`.
    fn run(&mut self, c: &[f64]) -> std::result::Result<(), NotSpd> {
        self.spd.linear(&self.forms, c, &mut self.along)?;
        self.sum.fill(0.0);
        for (a, direction) in self.along.iter().zip(self.directions.chunks_exact(self.sum.len())) {
            self.sum.iter_mut().zip(direction).for_each(|(s, d)| *s += a * d);
        }
        self.spd.exp(&self.sum, &mut self.filtered)
    }
}

impl Decoder for FgMdm {
    fn takes(&self) -> &'static [Payload] {
        &[Payload::Matrix]
    }

    fn prepare(&mut self, input: &Spec) -> Result<()> {
        let Learned { n, reference, directions, means } =
            self.learned.as_ref().ok_or_else(not_fitted)?;
        check_size(input, *n)?;
        let mut filter = Filter::new(*n, reference, directions)
            .map_err(|e| Error::mismatch(format!("the reference matrix {e}")))?;
        let whitener = |(mean, class): (&[f64], &String)| {
            let failed = |e| Error::mismatch(format!("the mean of class `{class}` {e}"));
            filter.spd.lower_whitener(mean).map_err(failed)
        };
        let means = means.chunks_exact(n * n).zip(&self.classes);
        self.whiteners = means.map(whitener).collect::<Result<_>>()?;
        self.filter = Some(filter);
        Ok(())
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn scores(&mut self, x: &Frame, out: &mut [f64]) -> Result<(), Fault> {
        self.measure(x, out)?;
        nearness(out);
        Ok(())
    }

    fn distances(&mut self, x: &Frame, out: &mut [f64]) -> Option<Result<(), Fault>> {
        Some(self.measure(x, out))
    }

    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        Some(self)
    }
}

impl FgMdm {
    /// The distances of the filtered matrix to the means.
    fn measure(&mut self, x: &Frame, out: &mut [f64]) -> Result<(), Fault> {
        let filter = self.filter.as_mut().ok_or(Fault("nothing has been learned yet"))?;
        filter.run(&x.data)?;
        Ok(filter.spd.distances(&filter.filtered, &self.whiteners, out)?)
    }
}

impl Fitted for FgMdm {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        check_labels(examples)?;
        check_alike(examples)?;
        let Examples { frames, labels: y, classes, .. } = *examples;
        let reference = mean_of(Metric::Riemann, examples, |_| true)?;
        let n = frames[0].rows;
        let broken = |e: NotSpd| Error::mismatch(format!("a training matrix {e}"));

        let mut spd = Spd::new(n);
        let whitener = spd.whitener(&reference).map_err(broken)?;
        let mut vectors = vec![vec![0.0; tangent_len(n)]; frames.len()];
        for (x, vector) in frames.iter().zip(&mut vectors) {
            spd.tangent(&whitener, &x.data, vector).map_err(broken)?;
        }
        let vectors: Vec<&[f64]> = vectors.iter().map(Vec::as_slice).collect();
        let directions = directions(&vectors, y, classes.len())?;

        let mut filter = Filter::new(n, &reference, &directions).map_err(broken)?;
        let mut filtered = Vec::new();
        for x in frames {
            filter.run(&x.data).map_err(broken)?;
            filtered.push(filter.filtered.clone());
        }
        let mut means = Vec::new();
        for (k, class) in classes.iter().enumerate() {
            let own = filtered.iter().zip(y).filter(|(_, l)| **l == k);
            let own: Vec<&[f64]> = own.map(|(x, _)| x.as_slice()).collect();
            let mean = converged_mean(&mut spd, &own);
            means.extend(mean.map_err(|e| e.at(format!("class `{class}`")))?);
        }
        self.learned = Some(Learned { n, reference, directions, means });
        self.classes = classes.to_vec();
        Ok(())
    }

    fn save(&self) -> Result<Part> {
        let Learned { n, reference, directions, means } =
            self.learned.as_ref().ok_or_else(not_fitted)?;
        let array = |name: &str, shape: &[usize], data: &Vec<f64>| {
            (name.to_string(), Tensor { shape: shape.to_vec(), data: data.clone() })
        };
        let classes = self.classes.len();
        let tensors = [
            array("reference", &[*n, *n], reference),
            array("directions", &[classes - 1, tangent_len(*n)], directions),
            array("means", &[classes, *n, *n], means),
        ];
        Ok(Part { tensors: tensors.into(), classes: self.classes.clone() })
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        let reference = part.tensor("reference", 2)?;
        let (directions, means) = (part.tensor("directions", 2)?, part.tensor("means", 3)?);
        let (n, classes) = (reference.shape[0], part.classes.len());
        if n == 0
            || classes < 2
            || reference.shape != [n, n]
            || directions.shape != [classes - 1, tangent_len(n)]
            || means.shape != [classes, n, n]
        {
            return Err(Error::mismatch(format!(
                "the model has {classes} classes, a reference of shape {:?}, directions of shape {:?} and \
                 means of shape {:?}, which do not fit",
                reference.shape, directions.shape, means.shape
            )));
        }
        self.learned = Some(Learned {
            n,
            reference: reference.data.clone(),
            directions: directions.data.clone(),
            means: means.data.clone(),
        });
        self.classes = part.classes.clone();
        Ok(())
    }
}
