//! `saltatory inspect MODEL.onnx`: what a network is, and whether it answers here as it did where it was trained.

use super::{print, print_json};
use crate::error::{Error, Result};
use crate::runtime::{Axis, Manifest, Network, Options, Port, version};
use npyz::npz::NpzArchive;
use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// The most numbers that an array of samples may hold.
const MAX_NUMBERS: u64 = 1 << 26;

/// An array of samples.
struct Array {
    shape: Vec<usize>,
    data: Vec<f64>,
}

/// How far one output is from what it should be.
struct Difference {
    output: String,
    largest: f64,
    of: usize,
}

/// Prints what the network in `path` takes and gives; with `samples`, the largest difference from the outputs
/// that these hold beside the inputs.
pub fn inspect(path: &Path, samples: Option<&Path>, json: bool) -> Result<()> {
    let mut network = Network::open(path, &Options::default())?;
    let differences = match samples {
        Some(samples) => compare(&mut network, samples).map_err(|e| e.at(samples.display()))?,
        None => Vec::new(),
    };
    let largest = differences.iter().map(|d| d.largest).fold(0.0, f64::max);
    if !json {
        return print(&described(path, &network, &differences)?);
    }
    let port = |port: &Port| serde_json::json!({ "name": port.name, "shape": port.to_string() });
    let mut value = serde_json::json!({
        "sha256": network.facts().sha256,
        "bytes": network.facts().bytes,
        "operators": network.facts().nodes,
        "operator_set": network.facts().opset,
        "runtime": version()?,
        "inputs": network.inputs().iter().map(port).collect::<Vec<_>>(),
        "outputs": network.outputs().iter().map(port).collect::<Vec<_>>(),
        "manifest": Manifest::of(path, &network).ok(),
    });
    if samples.is_some() {
        value["max_abs_difference"] = largest.into();
        let of = |d: &Difference| (d.output.clone(), d.largest.into());
        value["differences"] = serde_json::Value::Object(differences.iter().map(of).collect());
    }
    print_json(&value)
}

fn described(path: &Path, network: &Network, differences: &[Difference]) -> Result<String> {
    let facts = network.facts();
    let mut text = String::new();
    let _ = writeln!(text, "network of {} operators, operator set {}", facts.nodes, facts.opset);
    let _ = writeln!(text, "sha256   {} ({} bytes)", facts.sha256, facts.bytes);
    let _ = writeln!(text, "runtime  ONNX Runtime {}", version()?);
    for (what, ports) in [("input", network.inputs()), ("output", network.outputs())] {
        for port in ports {
            let _ = writeln!(text, "{what:<8} {} {port}", port.name);
        }
    }
    match Manifest::of(path, network) {
        Ok(manifest) => {
            let _ = writeln!(
                text,
                "gives    {:?}: {}",
                manifest.output.kind,
                manifest.output.classes.join(", ")
            );
        }
        Err(e) => {
            let _ = writeln!(text, "manifest {e}");
        }
    }
    for d in differences {
        let _ = writeln!(
            text,
            "parity   {}: differs by {:.1e} at most, of {} numbers",
            d.output, d.largest, d.of
        );
    }
    Ok(text)
}

/// Runs the network on the inputs in `samples`, and compares what comes out with the outputs there.
fn compare(network: &mut Network, samples: &Path) -> Result<Vec<Difference>> {
    let inputs: Vec<Array> = arrays(samples, network.inputs())?
        .into_iter()
        .zip(network.inputs())
        .map(|(array, port)| {
            array.ok_or_else(|| {
                Error::input(format!("holds no array `{}`, which the model takes", port.name))
            })
        })
        .collect::<Result<_>>()?;
    let wanted = arrays(samples, network.outputs())?;
    if wanted.iter().all(Option::is_none) {
        let names: Vec<&str> = network.outputs().iter().map(|p| p.name.as_str()).collect();
        return Err(Error::input(format!(
            "holds none of the outputs to compare with: {}",
            names.join(", ")
        )));
    }
    let answers = answers(network, &inputs)?;
    let mut differences = Vec::new();
    for ((port, got), want) in network.outputs().iter().zip(answers).zip(wanted) {
        let Some(want) = want else { continue };
        if got.len() != want.data.len() {
            let text = format!(
                "holds {} numbers for `{}`, but the model gives {}",
                want.data.len(),
                port.name,
                got.len()
            );
            return Err(Error::mismatch(text));
        }
        // What is no number must be none on both sides.
        let apart =
            |(g, w): (&f64, &f64)| if g.is_nan() && w.is_nan() { 0.0 } else { (g - w).abs() };
        let largest = got
            .iter()
            .zip(&want.data)
            .map(apart)
            .fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m });
        differences.push(Difference { output: port.name.clone(), largest, of: got.len() });
    }
    Ok(differences)
}

/// What comes out for `inputs`, output by output. A model for one window at a time is asked window by window.
fn answers(network: &mut Network, inputs: &[Array]) -> Result<Vec<Vec<f64>>> {
    let single = |port: &Port| port.axes.first() == Some(&Axis::Fixed(1));
    let batch = inputs[0].shape.first().copied().unwrap_or(1);
    let one_by_one = network.inputs().iter().all(single)
        && inputs.iter().all(|a| a.shape.first() == Some(&batch));
    let rounds = if one_by_one { batch.max(1) } else { 1 };
    let shapes: Vec<Vec<usize>> = inputs
        .iter()
        .map(|a| if one_by_one { [&[1], &a.shape[1..]].concat() } else { a.shape.clone() })
        .collect();
    network.bind(&shapes)?;
    let mut all = vec![Vec::new(); network.outputs().len()];
    for round in 0..rounds {
        for (i, input) in inputs.iter().enumerate() {
            let length = input.data.len() / rounds;
            network.set(i, 0, input.data[round * length..].iter().take(length).copied());
        }
        network.run().map_err(|_| Error::run("the network fails on the samples"))?;
        all.iter_mut().enumerate().for_each(|(i, all)| all.extend_from_slice(network.output(i)));
    }
    Ok(all)
}

/// The arrays named as `ports` are, where there are such.
fn arrays(samples: &Path, ports: &[Port]) -> Result<Vec<Option<Array>>> {
    let mut archive = NpzArchive::open(samples).map_err(unreadable)?;
    ports.iter().map(|port| array(&mut archive, &port.name)).collect()
}

fn array(archive: &mut NpzArchive<BufReader<File>>, name: &str) -> Result<Option<Array>> {
    let Some(npy) = archive.by_name(name).map_err(unreadable)? else { return Ok(None) };
    let count = npy.shape().iter().try_fold(1_u64, |product, n| product.checked_mul(*n));
    if count.is_none_or(|count| count > MAX_NUMBERS) || npy.order() != npyz::Order::C {
        let text = format!("`{name}` holds too many numbers, or in another order than row by row");
        return Err(Error::input(text));
    }
    let shape = npy.shape().iter().map(|n| *n as usize).collect();
    let kind = npy.dtype().descr();
    let data = match kind.trim_matches(['\'', '<', '=']) {
        "f4" => npy.into_vec::<f32>().map_err(unreadable)?.into_iter().map(f64::from).collect(),
        "f8" => npy.into_vec::<f64>().map_err(unreadable)?,
        "i8" => npy.into_vec::<i64>().map_err(unreadable)?.into_iter().map(|v| v as f64).collect(),
        other => {
            return Err(Error::input(format!(
                "`{name}` holds {other}; expected float32, float64 or int64"
            )));
        }
    };
    Ok(Some(Array { shape, data }))
}

fn unreadable(e: std::io::Error) -> Error {
    Error::input(format!("cannot be read as NumPy arrays: {e}"))
}
