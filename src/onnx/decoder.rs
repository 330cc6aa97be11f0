//! Linear decoders as graphs.

use super::pipeline::refused;
use super::proto::{DOUBLE, Graph};
use crate::error::{Error, Result};
use crate::math::platt::{Sigmoid, TIE};
use crate::math::svm::pairs;
use crate::model::Link;
use crate::stages::{Part, Tensor};

/// The kinds that can be exported.
pub(super) const KINDS: [&str; 3] = ["lda", "logistic", "svm"];

/// Smaller probabilities are raised to this, so that their sum is never zero.
const TINY: f64 = 1e-300;

/// The probabilities that the decoder `link`, which learned `part`, gives for the features `x`.
pub(super) fn probabilities(g: &mut Graph, link: &Link, part: &Part, x: &str) -> Result<String> {
    let setting = |key: &str| link.settings.get(key).filter(|v| !v.is_null());
    if let Some(threshold) = setting("reject") {
        return Err(refused(&format!(
            "`{}` rejects (reject = {threshold}), which needs the distances to the classes",
            link.id
        )));
    }
    match link.kind.as_str() {
        "lda" | "logistic" => {
            let sums = sums(g, part.tensor("coef", 2)?, part.tensor("intercept", 1)?, x)?;
            Ok(if part.classes.len() == 2 { binary(g, &sums) } else { g.op("Softmax", &[&sums]) })
        }
        "svm" if setting("kernel").is_none_or(|kernel| kernel == "linear") => svm(g, part, x),
        "svm" => Err(refused(&format!(
            "`{}` has a curved kernel, so that it is not linear; set kernel = \"linear\" and fit anew",
            link.id
        ))),
        kind => Err(refused(&format!(
            "`{kind}` is no linear decoder; expected one of {}",
            KINDS.join(", ")
        ))),
    }
}

/// weights x + bias.
fn sums(g: &mut Graph, weights: &Tensor, bias: &Tensor, x: &str) -> Result<String> {
    if weights.shape[0] != bias.data.len() {
        return Err(Error::mismatch("the weights of the model do not fit its intercepts"));
    }
    let weights = g.constant(&weights.shape, &weights.data);
    let bias = g.constant(&bias.shape, &bias.data);
    let products = g.op("MatMul", &[&weights, x]);
    Ok(g.op("Add", &[&products, &bias]))
}

/// The probabilities of two classes by the log odds of the second.
fn binary(g: &mut Graph, odds: &str) -> String {
    let against = g.op("Neg", &[odds]);
    let first = g.op("Sigmoid", &[&against]);
    let second = g.op("Sigmoid", &[odds]);
    g.op_with("Concat", &[&first, &second], &[("axis", 0)])
}

/// Machines for each pair of classes: votes, scores and sigmoids as in [`crate::stages::decode::svm`].
fn svm(g: &mut Graph, part: &Part, x: &str) -> Result<String> {
    let classes = part.classes.len();
    let decisions = sums(g, part.tensor("weights", 2)?, part.tensor("bias", 1)?, x)?;
    let votes = votes(g, &decisions, classes);
    let sigmoids = match part.tensors.contains_key("sigmoids") {
        true => Some(part.tensor("sigmoids", 2)?),
        false => None,
    };
    let p = match (sigmoids, classes) {
        (None, 2) => {
            let Sigmoid { a, b } = Sigmoid::PLAIN;
            let odds = odds(g, &decisions, &[a, b]);
            binary(g, &odds)
        }
        (None, _) => g.op("Softmax", &[&votes.scores]),
        (Some(sigmoids), 2) => {
            let odds = odds(g, &decisions, &sigmoids.data);
            binary(g, &odds)
        }
        (Some(sigmoids), _) => {
            let odds = odds(g, &votes.scores, &sigmoids.data);
            let each = g.op("Sigmoid", &[&odds]);
            let tiny = g.number(TINY);
            let each = g.op("Max", &[&each, &tiny]);
            let sum = g.op("ReduceSum", &[&each]);
            g.op("Div", &[&each, &sum])
        }
    };
    Ok(side_with(g, &votes, &p, classes))
}

/// The log odds by sigmoids 1 / (1 + exp(a f + b)), whose a and b follow each other.
fn odds(g: &mut Graph, values: &str, sigmoids: &[f64]) -> String {
    let of =
        |start: usize| -> Vec<f64> { sigmoids.iter().skip(start).step_by(2).map(|v| -v).collect() };
    let (a, b) = (of(0), of(1));
    let (a, b) = (g.constant(&[a.len()], &a), g.constant(&[b.len()], &b));
    let slope = g.op("Mul", &[values, &a]);
    g.op("Add", &[&slope, &b])
}

/// Names of what the decision values of the pairs come to: [`crate::math::svm::Votes`].
struct Votes {
    /// One number per class: its votes, and between those the decision values.
    scores: String,
    /// One per class: 1 for the decided one, 0 for the others.
    decided: String,
    /// How clear the decision is, not negative.
    margin: String,
}

fn votes(g: &mut Graph, decisions: &str, classes: usize) -> Votes {
    let count = pairs(classes).count();
    // 1 where a pair's value speaks for the class, -1 where against it.
    let mut signs = vec![0.0; classes * count];
    for (pair, (first, second)) in pairs(classes).enumerate() {
        signs[first * count + pair] = -1.0;
        signs[second * count + pair] = 1.0;
    }
    let signs = g.constant(&[classes, count], &signs);
    let (zero, one, two, three) = (g.number(0.0), g.number(1.0), g.number(2.0), g.number(3.0));
    let others = g.number(classes as f64 - 1.0);
    let minus = g.number(-1.0);
    let yes = g.op("GreaterOrEqual", &[decisions, &zero]);
    let sides = g.op("Where", &[&yes, &one, &minus]);
    // A class that wins w of its m pairs has w - (m - w) here.
    let balance = g.op("MatMul", &[&signs, &sides]);
    let twice = g.op("Add", &[&balance, &others]);
    let votes = g.op("Div", &[&twice, &two]);
    let sums = g.op("MatMul", &[&signs, decisions]);
    let size = g.op("Abs", &[&sums]);
    let size = g.op("Add", &[&size, &one]);
    let size = g.op("Mul", &[&size, &three]);
    let between = g.op("Div", &[&sums, &size]);
    let scores = g.op("Add", &[&votes, &between]);
    // The first of several with most votes.
    let best = g.op_with("ArgMax", &[&votes], &[("axis", 0)]);
    let numbers: Vec<i64> = (0..classes as i64).collect();
    let numbers = g.whole(&numbers);
    let decided = g.op("Equal", &[&numbers, &best]);
    let decided = g.op_with("Cast", &[&decided], &[("to", DOUBLE)]);
    let own = g.op("Mul", &[&decided, &sums]);
    let own = g.op("ReduceSum", &[&own]);
    let margin = g.op("Max", &[&own, &zero]);
    Votes { scores, decided, margin }
}

/// The nearest probabilities to `p` of which that of the decided class is the largest:
/// [`crate::math::platt::side_with`].
fn side_with(g: &mut Graph, votes: &Votes, p: &str, classes: usize) -> String {
    let Votes { decided, margin, .. } = votes;
    let (one, half) = (g.number(1.0), g.number(0.5));
    let others = g.op("Sub", &[&one, decided]);
    let own = g.op("Mul", &[decided, p]);
    let own = g.op("ReduceSum", &[&own]);
    // Averaged with all that are above the average. Each time it grows, one at least falls out.
    let mut mean = own.clone();
    for _ in 0..classes {
        let above = g.op("GreaterOrEqual", &[p, &mean]);
        let above = g.op_with("Cast", &[&above], &[("to", DOUBLE)]);
        let above = g.op("Mul", &[&above, &others]);
        let count = g.op("ReduceSum", &[&above]);
        let count = g.op("Add", &[&count, &one]);
        let sum = g.op("Mul", &[&above, p]);
        let sum = g.op("ReduceSum", &[&sum]);
        let sum = g.op("Add", &[&sum, &own]);
        let next = g.op("Div", &[&sum, &count]);
        mean = g.op("Max", &[&mean, &next]);
    }
    // A small difference is left, so that the order of the probabilities is that of the decision.
    let room = g.op("Add", &[margin, &one]);
    let clear = g.op("Div", &[margin, &room]);
    let clear = g.op("Mul", &[&clear, &half]);
    let clear = g.op("Add", &[&clear, &half]);
    let tie = g.number(TIE);
    let tie = g.op("Mul", &[&tie, &clear]);
    let tie = g.op("Mul", &[&tie, &mean]);
    let below = g.op("Sub", &[&mean, &tie]);
    let above = g.op("GreaterOrEqual", &[p, &mean]);
    let lowered = g.op("Where", &[&above, &below, p]);
    let lowered = g.op("Mul", &[&lowered, &others]);
    let rest = g.op("ReduceSum", &[&lowered]);
    let rest = g.op("Sub", &[&one, &rest]);
    let rest = g.op("Mul", &[&rest, decided]);
    g.op("Add", &[&lowered, &rest])
}
