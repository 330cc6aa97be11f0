//! The chain of a model as a graph: covariance, filters, decoder; or a graph convolutional network.

use super::proto::{Axis, DOUBLE, Graph};
use super::{decoder, gcn};
use crate::error::{Error, Result};
use crate::math::covariance::Estimator;
use crate::math::spd::tangent_len;
use crate::model::{Facts, Link, Model};
use crate::stages::Part;

/// The bytes of the ONNX file of `model`.
pub fn bytes(model: &Model) -> Result<Vec<u8>> {
    let chain = &model.facts.chain;
    let mut graph = Graph::default();
    let mut metadata = metadata(&model.facts)?;
    let probabilities = match &chain[..] {
        [.., last] if last.kind == "gcn" => {
            gcn::probabilities(&mut graph, last, part(model, last)?)?
        }
        _ => linear(&mut graph, model, &mut metadata)?,
    };
    let axes = [Axis::Fixed(model.facts.classes.len())];
    let help = "one probability per class, in the order of `classes` of the metadata";
    graph.output("probabilities", &axes, help, &probabilities);
    Ok(graph.model("pipeline", &metadata))
}

/// What the file says of itself.
type Metadata = Vec<(&'static str, String)>;

/// The probabilities of a linear pipeline; adds its input.
fn linear(graph: &mut Graph, model: &Model, metadata: &mut Metadata) -> Result<String> {
    let chain = &model.facts.chain;
    let [before @ .., features, last] = &chain[..] else { return Err(unsuited(chain)) };
    let vector = match (features.kind.as_str(), before.last()) {
        ("csp", Some(Link { kind, settings, .. })) if kind == "covariance" => {
            let part = part(model, features)?;
            let channels = channels(part)?;
            let help = "one window, samples x channels, as it enters the stage `covariance`";
            let window =
                graph.input("window", &[Axis::Any("samples"), Axis::Fixed(channels)], help);
            let c = covariance(graph, &window, channels, estimator(settings)?);
            powers(graph, &c, part)?
        }
        ("tangent", _) => {
            let reference = part(model, features)?.tensor("reference", 2)?;
            let n = reference.shape[0];
            let rows: Vec<&[f64]> = reference.data.chunks_exact(n.max(1)).collect();
            metadata.push(("reference", json(&rows)?));
            let help = "the upper triangle, row by row, of log(M^-1/2 C M^-1/2), entries off the \
                        diagonal times sqrt(2); M is `reference` of the metadata, C the covariance";
            graph.input("tangent", &[Axis::Fixed(tangent_len(n))], help)
        }
        _ => return Err(unsuited(chain)),
    };
    if chain.iter().filter(|link| decoder::KINDS.contains(&link.kind.as_str())).count() > 1 {
        return Err(refused("it has several decoders, and a graph has one"));
    }
    decoder::probabilities(graph, last, part(model, last)?, &vector)
}

fn metadata(facts: &Facts) -> Result<Metadata> {
    Ok(vec![("classes", json(&facts.classes)?), ("saltatory", json(facts)?)])
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::run(format!("cannot be written as JSON: {e}")))
}

/// A refusal with its reason.
pub(super) fn refused(why: &str) -> Error {
    Error::config(format!("this pipeline cannot be exported to ONNX: {why}"))
}

/// Why a chain is none that can be exported.
fn unsuited(chain: &[Link]) -> Error {
    let kinds: Vec<&str> = chain.iter().map(|link| link.kind.as_str()).collect();
    let why = match kinds.last() {
        Some(&kind @ ("mdm" | "fgmdm")) => format!(
            "`{kind}` measures distances by logarithms of matrices, which ONNX has no operator for"
        ),
        _ => {
            let decoders = decoder::KINDS.join(", ");
            format!(
                "its stages are {}; expected covariance and csp, or tangent, followed by one of {decoders}; or gcn",
                kinds.join(", ")
            )
        }
    };
    refused(&why)
}

fn part<'a>(model: &'a Model, link: &Link) -> Result<&'a Part> {
    let none = || Error::mismatch(format!("the model holds nothing for the stage `{}`", link.id));
    model.parts.get(&link.id).ok_or_else(none)
}

/// How the stage `covariance` with these settings estimates.
fn estimator(settings: &serde_json::Value) -> Result<Estimator> {
    match settings.get("estimator") {
        None => Ok(Estimator::default()),
        Some(name) => serde_json::from_value(name.clone())
            .map_err(|e| Error::mismatch(format!("the model's estimator: {e}"))),
    }
}

/// How many channels, of all bands together, common spatial patterns take.
fn channels(csp: &Part) -> Result<usize> {
    let filters = csp.tensor("filters", 3)?;
    Ok(filters.shape[0] * filters.shape[2])
}

/// The covariance of a window of `p` channels: the formulas of [`crate::math::covariance`].
fn covariance(g: &mut Graph, window: &str, p: usize, estimator: Estimator) -> String {
    let (one, zero_axis, one_axis) = (g.number(1.0), g.whole(&[0]), g.whole(&[1]));
    let (size, squared) = (g.number(p as f64), g.number((p * p) as f64));
    let shape = g.op_with("Shape", &[window], &[("start", 0), ("end", 1)]);
    let n = g.op_with("Cast", &[&shape], &[("to", DOUBLE)]);
    let sum = g.op("ReduceSum", &[window, &zero_axis]);
    let mean = g.op("Div", &[&sum, &n]);
    let centred = g.op("Sub", &[window, &mean]);
    let across = g.op("Transpose", &[&centred]);
    let product = g.op("MatMul", &[&across, &centred]);
    if estimator == Estimator::Cov {
        let less = g.op("Sub", &[&n, &one]);
        return g.op("Div", &[&product, &less]);
    }
    let plain = g.op("Div", &[&product, &n]);
    if estimator == Estimator::Scm {
        return plain;
    }
    let unit: Vec<f64> = (0..p * p).map(|e| if e % (p + 1) == 0 { 1.0 } else { 0.0 }).collect();
    let unit = g.constant(&[p, p], &unit);
    let diagonal = g.op("Mul", &[&plain, &unit]);
    let trace = g.op("ReduceSum", &[&diagonal]);
    let mu = g.op("Div", &[&trace, &size]);
    let mu_squared = g.op("Mul", &[&mu, &mu]);
    let squares = g.op("Mul", &[&plain, &plain]);
    let squares = g.op("ReduceSum", &[&squares]);
    let share = if estimator == Estimator::Oas {
        let a = g.op("Div", &[&squares, &squared]);
        let above = g.op("Add", &[&a, &mu_squared]);
        let part = g.op("Div", &[&mu_squared, &size]);
        let spread = g.op("Sub", &[&a, &part]);
        let more = g.op("Add", &[&n, &one]);
        let below = g.op("Mul", &[&more, &spread]);
        let share = g.op("Div", &[&above, &below]);
        g.op("Min", &[&share, &one])
    } else {
        let ball = g.op("Mul", &[&mu_squared, &size]);
        let distance = g.op("Sub", &[&squares, &ball]);
        let d = g.op("Div", &[&distance, &size]);
        let lengths = g.op("Mul", &[&centred, &centred]);
        let lengths = g.op("ReduceSum", &[&lengths, &one_axis]);
        let fourth = g.op("Mul", &[&lengths, &lengths]);
        let fourth = g.op("ReduceSum", &[&fourth]);
        let fourth = g.op("Div", &[&fourth, &n]);
        let noise = g.op("Sub", &[&fourth, &squares]);
        let count = g.op("Mul", &[&n, &size]);
        let b = g.op("Div", &[&noise, &count]);
        let least = g.op("Min", &[&b, &d]);
        g.op("Div", &[&least, &d])
    };
    let rest = g.op("Sub", &[&one, &share]);
    let own = g.op("Mul", &[&rest, &plain]);
    let radius = g.op("Mul", &[&share, &mu]);
    let ball = g.op("Mul", &[&radius, &unit]);
    g.op("Add", &[&own, &ball])
}

/// ln(w C w) for each filter w that is kept. A filter of one band is zero in the channels of the others.
fn powers(g: &mut Graph, covariance: &str, csp: &Part) -> Result<String> {
    let (filters, kept) = (csp.tensor("filters", 3)?, csp.tensor("kept", 1)?);
    let [bands, per_band, n] = [filters.shape[0], filters.shape[1], filters.shape[2]];
    let mut rows = vec![0.0; kept.data.len() * bands * n];
    for (row, feature) in rows.chunks_exact_mut(bands * n).zip(&kept.data) {
        let feature = *feature as usize;
        let missing = || Error::mismatch(format!("the model has no spatial filter {feature}"));
        let filter = filters.data.get(feature * n..(feature + 1) * n).ok_or_else(missing)?;
        row[feature / per_band * n..][..n].copy_from_slice(filter);
    }
    let w = g.constant(&[kept.data.len(), bands * n], &rows);
    let one_axis = g.whole(&[1]);
    let half = g.op("MatMul", &[&w, covariance]);
    let products = g.op("Mul", &[&half, &w]);
    let powers = g.op_with("ReduceSum", &[&products, &one_axis], &[("keepdims", 0)]);
    Ok(g.op("Log", &[&powers]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Input;
    use serde_json::{Value, json};

    fn model(chain: &[(&str, Value)]) -> Model {
        let link = |(kind, settings): &(&str, Value)| Link {
            id: kind.to_string(),
            kind: kind.to_string(),
            settings: settings.clone(),
        };
        let chain: Vec<Link> = chain.iter().map(link).collect();
        let classes = vec!["a".to_owned(), "b".to_owned()];
        let tensor = |shape: &[usize], data: &[f64]| crate::stages::Tensor {
            shape: shape.to_vec(),
            data: data.to_vec(),
        };
        let tensors = [
            ("reference", tensor(&[1, 1], &[2.0])),
            ("coef", tensor(&[1, 1], &[1.0])),
            ("intercept", tensor(&[1], &[0.0])),
        ];
        let part = Part {
            tensors: tensors.map(|(name, tensor)| (name.to_owned(), tensor)).into(),
            classes: classes.clone(),
        };
        let parts = chain.iter().map(|link| (link.id.clone(), part.clone())).collect();
        let input = Input { rate_hz: 160.0, channels: Vec::new() };
        Model { facts: Facts::new(input, chain, classes), parts }
    }

    #[test]
    fn what_cannot_be_exported_is_refused_with_the_reason() {
        let none = || json!({});
        let reject = json!({"reject": 2.0});
        let tail =
            |last, settings| vec![("covariance", none()), ("tangent", none()), (last, settings)];
        assert!(bytes(&model(&tail("logistic", none()))).is_ok());
        assert!(bytes(&model(&tail("lda", json!({"reject": null})))).is_ok());
        for (chain, why) in [
            (tail("logistic", reject.clone()), "rejects (reject = 2.0)"),
            (tail("svm", json!({"kernel": "rbf"})), "curved kernel"),
            (vec![("covariance", none()), ("mdm", none())], "logarithms of matrices"),
            (vec![("covariance", none()), ("fgmdm", none())], "logarithms of matrices"),
            (vec![("band_power", none()), ("lda", none())], "its stages are band_power, lda"),
            (vec![("csp", none()), ("lda", none())], "its stages are csp, lda"),
            ([tail("lda", none()), tail("lda", none())].concat(), "several decoders"),
            (vec![("lda", none())], "its stages are lda"),
        ] {
            let error = bytes(&model(&chain)).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
