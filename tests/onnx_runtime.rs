//! Networks on ONNX Runtime: what comes out, what is refused, and what happens to inputs of the wrong shape.
//! The library is fetched by `scripts/setup onnx`; without it nothing is tried, unless
//! SALTATORY_REQUIRE_PYTHON says that it must be there.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use saltatory::runtime::{Axis, Network, Options};
use std::path::{Path, PathBuf};

fn open(path: &Path) -> saltatory::error::Result<Network> {
    Network::open(path, &Options::default())
}

/// `y = a x + b` for each of two numbers, in a file.
fn line() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line.onnx");
    std::fs::write(&path, support::onnx::line(&[2.0, 3.0], &[0.5, -1.0])).unwrap();
    (folder, path)
}

#[test]
fn numbers_go_through_and_the_shape_is_checked() {
    if !support::has_onnx_runtime() {
        return;
    }
    let (_folder, path) = line();
    let mut network = open(&path).unwrap();
    assert_eq!(network.facts().nodes, 2);
    assert_eq!(network.inputs()[0].axes, [Axis::Free("rows".into()), Axis::Fixed(2)]);
    let wrong = network.bind(&[vec![3, 4]]).unwrap_err().to_string();
    assert!(wrong.contains("[rows, 2]") && wrong.contains("[3, 4]"), "{wrong}");
    assert!(network.run().is_err(), "it is not bound");
    network.bind(&[vec![3, 2]]).unwrap();
    assert_eq!(network.shape(0), [3, 2]);
    for round in 0..3 {
        let x: Vec<f64> = (0..6).map(|i| f64::from(i + round)).collect();
        network.set(0, 0, x.iter().copied());
        network.run().unwrap();
        let want: Vec<f64> =
            x.chunks(2).flat_map(|x| [2.0 * x[0] + 0.5, 3.0 * x[1] - 1.0]).collect();
        assert_eq!(network.output(0), want);
    }
    // One number in the middle; what does not fit is left out.
    network.set(0, 3, [10.0].into_iter());
    network.set(0, 6, [99.0].into_iter());
    network.run().unwrap();
    assert_eq!(network.output(0)[3], 29.0);
}

#[test]
fn a_run_can_be_ended_from_elsewhere() {
    if !support::has_onnx_runtime() {
        return;
    }
    let (_folder, path) = line();
    let mut network = open(&path).unwrap();
    network.bind(&[vec![1, 2]]).unwrap();
    network.options().unwrap().terminate().unwrap();
    assert_eq!(network.run(), Err(saltatory::runtime::Stop::Terminated));
    network.options().unwrap().unterminate().unwrap();
    assert_eq!(network.run(), Ok(()));
}

#[test]
fn files_that_are_no_models_are_refused() {
    if !support::has_onnx_runtime() {
        return;
    }
    let (folder, path) = line();
    let whole = std::fs::read(path).unwrap();
    let path = folder.path().join("bad.onnx");
    for bytes in [&whole[..whole.len() / 2], b"", b"not a model"] {
        std::fs::write(&path, bytes).unwrap();
        let error = open(&path).err().expect("it is no model").to_string();
        assert!(error.contains("bad.onnx: is no ONNX model"), "{error}");
    }
    let small = Options { max_bytes: 10, ..Options::default() };
    std::fs::write(&path, &whole).unwrap();
    let error = Network::open(&path, &small).err().expect("it is too large").to_string();
    assert!(error.contains("more than the 10 that are allowed"), "{error}");
    assert!(open(Path::new("/nonexistent.onnx")).is_err());
}

/// The models in the recordings' folder, which others have trained.
#[test]
fn models_of_others_run() {
    let shared = support::root().join("../shared/data/onnx");
    if !support::has_onnx_runtime() || !shared.is_dir() {
        return;
    }
    for (name, input, output) in [
        ("eegnet_mi_8ch_250Hz.onnx", vec![1, 1, 8, 500], vec![1, 2]),
        ("cleaneegnet_badchannels.onnx", vec![1, 1, 62, 2560], vec![1, 60, 1]),
    ] {
        let mut network = open(&shared.join(name)).unwrap();
        network.bind(std::slice::from_ref(&input)).unwrap();
        let count: usize = input.iter().product();
        network.set(0, 0, (0..count).map(|i| (i as f64 * 0.1).sin()));
        network.run().unwrap();
        assert!(
            network.shape(0).iter().product::<usize>() == output.iter().product::<usize>(),
            "{name}"
        );
        assert!(network.output(0).iter().all(|v| v.is_finite()), "{name}");
    }
}

/// Every model in `models/` answers as it did in PyTorch, where it was trained: 1e-5, as 32 bits and other orders of
/// sums allow; and samples that do not belong to it are refused.
#[test]
fn models_that_come_along_answer_as_where_they_were_trained() {
    if !support::has_onnx_runtime() {
        return;
    }
    let models = support::root().join("models");
    let inspect = |model: &Path, samples: &Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_saltatory"));
        command.arg("inspect").arg(model).arg("--parity").arg(samples).arg("--json");
        command.current_dir(support::root()).output().unwrap()
    };
    let mut seen = 0;
    for file in std::fs::read_dir(&models).unwrap() {
        let model = file.unwrap().path();
        if model.extension().is_none_or(|e| e != "onnx") {
            continue;
        }
        let output = inspect(&model, &model.with_extension("npz"));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {said}", model.display());
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        let largest = report["max_abs_difference"].as_f64().unwrap();
        println!("{}: {largest:.1e}", model.display());
        assert!(largest < 1e-5, "{}: {largest}", model.display());
        seen += 1;
    }
    assert!(seen >= 4, "{seen}");
    let output = inspect(&models.join("eegnet.onnx"), &models.join("denoiser.npz"));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("denoiser.npz"));
}
