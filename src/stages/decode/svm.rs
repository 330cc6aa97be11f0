//! Vector to scores: a support vector machine.
//!
//! In: one row of p numbers. Out: one probability per class. Machines for each pair of classes and their
//! votes: [`crate::math::svm`]; the decided class is that of scikit-learn's `SVC`. Probabilities:
//! sigmoids ([`crate::math::platt`]) of the decision values of examples that the machine was not trained on,
//! one for two classes, one for each class against the rest of more, divided by their sum; as scikit-learn's
//! `CalibratedClassifierCV(SVC(), cv=StratifiedKFold(5), ensemble=False)`. Where their largest is not that of
//! the decided class they are moved to the nearest that agree ([`side_with`]), so that the
//! most probable class always is the decision. Without calibration: the softmax of the decision values.
//!
//! A linear kernel is folded into one row of weights per pair after the fit. No delay.

use super::{Decoder, DecoderStage, check_alike, check_labels, check_width, finite};
use crate::error::{Error, Result};
use crate::frame::{Frame, Payload, Spec};
use crate::math::folds::stratified;
use crate::math::logistic::softmax;
use crate::math::platt::{Sigmoid, side_with};
use crate::math::svm::{Border, Kernel as Function, Machines, Products, Votes, pairs};
use crate::stages::manifold::not_fitted;
use crate::stages::{Examples, Fault, Fitted, Part, Stage, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// In how many folds the decision values for the sigmoids are found, unless a class has fewer examples.
const FOLDS: usize = 5;

/// Support vector machine: draws the border between classes where it keeps the largest distance to
/// their examples; a straight one, or with `kernel = "rbf"` a curved one. Learns from a recording
/// (`saltatory fit`).
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The price of an example on the wrong side: smaller keeps the border simpler, which suits few
    /// examples or many features.
    pub c: f64,
    /// How alike two examples are.
    pub kernel: Kernel,
    /// For `rbf`: how fast the influence of an example falls with the squared distance. "scale" is one
    /// over the number of features times their variance; or a number above 0.
    pub gamma: Gamma,
    /// Whether probabilities are calibrated by cross-validation at fit, which takes the time of six
    /// fits. Without it they order decisions but are no probabilities of being right.
    pub calibrate: bool,
    /// When set, what lies farther from every class than this is answered by one more class, `none`:
    /// standard deviations of the logarithm of the distance of the class's examples to its centre. 2
    /// or 3 is usual.
    pub reject: Option<f64>,
}

/// How alike two examples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// By their inner product: a straight border.
    Linear,
    /// By their distance: a curved border.
    Rbf,
}

/// A width: found from the examples, or given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected \"scale\" or a number above 0")]
pub enum Gamma {
    /// Found.
    Named(Named),
    /// Given.
    Number(f64),
}

/// The name of a width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Named {
    /// One over the number of features times their variance.
    Scale,
}

impl Default for Settings {
    fn default() -> Self {
        let gamma = Gamma::Named(Named::Scale);
        Self { c: 1.0, kernel: Kernel::Linear, gamma, calibrate: true, reject: None }
    }
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "c = 1.0\nkernel = \"linear\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        let positive = |key: &str, value: f64| {
            let text = format!("is {value}, expected a positive number");
            if value > 0.0 && value.is_finite() { Ok(()) } else { Err(Error::setting(key, text)) }
        };
        positive("c", self.c)?;
        if let Gamma::Number(gamma) = self.gamma {
            positive("gamma", gamma)?;
        }
        let svm = Svm { settings: self, classes: Vec::new(), learned: None };
        Ok(Box::new(DecoderStage::new(svm).rejecting(self.reject)?))
    }
}

impl Settings {
    /// The kernel for a fit on the examples `members`.
    fn function(&self, products: &Products, members: &[usize]) -> Function {
        match (self.kernel, self.gamma) {
            (Kernel::Linear, _) => Function::Linear,
            (Kernel::Rbf, Gamma::Number(gamma)) => Function::Rbf { gamma },
            (Kernel::Rbf, Gamma::Named(Named::Scale)) => {
                Function::Rbf { gamma: products.gamma(members) }
            }
        }
    }
}

struct Svm {
    settings: Settings,
    classes: Vec<String>,
    learned: Option<Learned>,
}

/// What was learned, and room to work in.
struct Learned {
    border: Border,
    /// One for each pair.
    bias: Vec<f64>,
    /// One for two classes, one per class for more; none where the probabilities are not calibrated.
    sigmoids: Vec<Sigmoid>,
    /// The decision values of the pairs.
    decisions: Vec<f64>,
    /// The scores of the classes.
    scores: Vec<f64>,
}

impl Learned {
    fn new(border: Border, bias: Vec<f64>, sigmoids: Vec<Sigmoid>, classes: usize) -> Self {
        let decisions = vec![0.0; bias.len()];
        Self { border, bias, sigmoids, decisions, scores: vec![0.0; classes] }
    }

    /// Turns the decision values of the pairs, still without their bias, into probabilities.
    fn probabilities(&mut self, out: &mut [f64]) -> std::result::Result<(), Fault> {
        for (decision, bias) in self.decisions.iter_mut().zip(&self.bias) {
            *decision += bias;
        }
        finite(&self.decisions)?;
        let votes = Votes::count(&self.decisions, &mut self.scores);
        match (&self.sigmoids[..], &self.decisions[..]) {
            ([], [value]) => binary(Sigmoid::PLAIN.probability(*value), out),
            ([], _) => {
                out.copy_from_slice(&self.scores);
                softmax(out);
            }
            ([sigmoid], [value, ..]) => binary(sigmoid.probability(*value), out),
            (sigmoids, _) => {
                for ((o, sigmoid), score) in out.iter_mut().zip(sigmoids).zip(&self.scores) {
                    *o = sigmoid.probability(*score);
                }
                let sum: f64 = out.iter().sum();
                let share = 1.0 / out.len() as f64;
                out.iter_mut().for_each(|o| *o = if sum > 0.0 { *o / sum } else { share });
            }
        }
        side_with(votes.decided, votes.margin.max(0.0), out);
        Ok(())
    }
}

/// The probabilities of two classes by that of the second.
fn binary(second: f64, out: &mut [f64]) {
    out.copy_from_slice(&[1.0 - second, second]);
}

impl Decoder for Svm {
    fn takes(&self) -> &'static [Payload] {
        &[Payload::Vector]
    }

    fn prepare(&mut self, input: &Spec) -> Result<()> {
        let learned = self.learned.as_ref().ok_or_else(not_fitted)?;
        check_width(input, learned.border.width(learned.bias.len()))
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn scores(&mut self, x: &Frame, out: &mut [f64]) -> Result<(), Fault> {
        let learned = self.learned.as_mut().ok_or(Fault("nothing has been learned yet"))?;
        learned.border.products(&x.data, &mut learned.decisions);
        learned.probabilities(out)
    }

    fn weights(&self) -> &[f64] {
        match self.learned.as_ref().map(|learned| &learned.border) {
            Some(Border::Straight(weights)) => weights,
            _ => &[],
        }
    }

    fn scores_of_products(&mut self, products: &[f64], out: &mut [f64]) -> Result<(), Fault> {
        let learned = self.learned.as_mut().ok_or(Fault("nothing has been learned yet"))?;
        learned.decisions.copy_from_slice(products);
        learned.probabilities(out)
    }

    fn fitted(&mut self) -> Option<&mut dyn Fitted> {
        Some(self)
    }
}

impl Fitted for Svm {
    fn fit(&mut self, examples: &Examples<'_>) -> Result<()> {
        check_labels(examples)?;
        check_alike(examples)?;
        let Examples { frames, labels: y, classes, .. } = *examples;
        let x: Vec<&[f64]> = frames.iter().map(|f| f.data.as_slice()).collect();
        let products = Products::new(&x)?;
        let all: Vec<usize> = (0..x.len()).collect();
        let kernel = self.settings.function(&products, &all);
        let gram = products.gram(kernel, &all);
        let machines = Machines::fit(&gram, y, classes.len(), self.settings.c)?;
        if machines.gap > 1e-6 {
            tracing::warn!(
                gap = machines.gap,
                "the support vector machine has not fully converged"
            );
        }
        let sigmoids = match self.settings.calibrate {
            true => self.sigmoids(&products, y, classes.len())?,
            false => Vec::new(),
        };
        let border = Border::new(kernel, &machines, &x);
        self.learned = Some(Learned::new(border, machines.bias, sigmoids, classes.len()));
        self.classes = classes.to_vec();
        Ok(())
    }

    fn save(&self) -> Result<Part> {
        let Learned { border, bias, sigmoids, .. } =
            self.learned.as_ref().ok_or_else(not_fitted)?;
        let (pairs, width) = (bias.len(), border.width(bias.len()));
        let array =
            |shape: &[usize], data: &[f64]| Tensor { shape: shape.to_vec(), data: data.to_vec() };
        let mut part = Part { classes: self.classes.clone(), ..Part::default() };
        let mut put = |name: &str, tensor| part.tensors.insert(name.to_string(), tensor);
        put("bias", array(&[pairs], bias));
        let flat: Vec<f64> = sigmoids.iter().flat_map(|s| [s.a, s.b]).collect();
        if self.settings.calibrate {
            put("sigmoids", array(&[sigmoids.len(), 2], &flat));
        }
        match border {
            Border::Straight(weights) => {
                put("weights", array(&[pairs, width], weights));
            }
            Border::Curved { gamma, vectors, squares, coef, .. } => {
                put("gamma", array(&[1], &[*gamma]));
                put("vectors", array(&[squares.len(), width], vectors));
                put("coef", array(&[pairs, squares.len()], coef));
            }
        }
        Ok(part)
    }

    fn load(&mut self, part: &Part) -> Result<()> {
        let classes = part.classes.len();
        let pairs = pairs(classes).count();
        let tensor = |name: &str, shape: [usize; 2]| {
            let tensor = part.tensor(name, 2)?;
            if tensor.shape == shape && pairs > 0 {
                return Ok(tensor.data.clone());
            }
            Err(Error::mismatch(format!(
                "the model's array `{name}` has shape {:?}, expected {shape:?} for {classes} classes",
                tensor.shape
            )))
        };
        let axis =
            |name: &str, axis: usize| Ok::<_, Error>(part.tensor(name, 2)?.shape[axis].max(1));
        let bias = part.tensor("bias", 1)?.data.clone();
        if bias.len() != pairs {
            let text = format!("the model has {} machines for {classes} classes", bias.len());
            return Err(Error::mismatch(text));
        }
        let border = match self.settings.kernel {
            Kernel::Linear => Border::Straight(tensor("weights", [pairs, axis("weights", 1)?])?),
            Kernel::Rbf => {
                let (count, width) = (axis("vectors", 0)?, axis("vectors", 1)?);
                let gamma = part.tensor("gamma", 1)?.data.first().copied().unwrap_or_default();
                Border::curved(
                    gamma,
                    tensor("vectors", [count, width])?,
                    tensor("coef", [pairs, count])?,
                    width,
                )
            }
        };
        let count = if classes == 2 { 1 } else { classes };
        let sigmoids = match self.settings.calibrate {
            true => tensor("sigmoids", [count, 2])?,
            false => Vec::new(),
        };
        let sigmoids = sigmoids.chunks_exact(2).map(|s| Sigmoid { a: s[0], b: s[1] }).collect();
        self.learned = Some(Learned::new(border, bias, sigmoids, classes));
        self.classes = part.classes.clone();
        Ok(())
    }
}

impl Svm {
    /// The sigmoids, fitted on decision values of examples that the machine was not trained on.
    fn sigmoids(&self, products: &Products, y: &[usize], classes: usize) -> Result<Vec<Sigmoid>> {
        let count = if classes == 2 { 1 } else { classes };
        let least = (0..classes).map(|k| y.iter().filter(|l| **l == k).count()).min().unwrap_or(0);
        let folds = FOLDS.min(least);
        if folds < 2 {
            return Ok(vec![Sigmoid::PLAIN; count]);
        }
        let fold_of = stratified(y, folds);
        let mut values = vec![vec![0.0; y.len()]; count];
        let (mut decisions, mut scores) = (vec![0.0; pairs(classes).count()], vec![0.0; classes]);
        for fold in 0..folds {
            let (test, train): (Vec<usize>, Vec<usize>) =
                (0..y.len()).partition(|i| fold_of[*i] == fold);
            let kernel = self.settings.function(products, &train);
            let labels: Vec<usize> = train.iter().map(|i| y[*i]).collect();
            let gram = products.gram(kernel, &train);
            let machines = Machines::fit(&gram, &labels, classes, self.settings.c)?;
            for i in test {
                machines.decide(&products.row(kernel, i, &train), &mut decisions);
                Votes::count(&decisions, &mut scores);
                let given = if classes == 2 { &decisions } else { &scores };
                values.iter_mut().zip(given).for_each(|(values, v)| values[i] = *v);
            }
        }
        let class = |k: usize| if classes == 2 { 1 } else { k };
        let inside = |k: usize| y.iter().map(|l| *l == class(k)).collect::<Vec<bool>>();
        Ok(values.iter().enumerate().map(|(k, values)| Sigmoid::fit(values, &inside(k))).collect())
    }
}
