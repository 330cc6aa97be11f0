//! What several test files share.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

pub mod onnx;
pub mod seen;
pub mod stages;

use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

/// Reference arrays made by a script in `tests/golden/`.
pub struct Golden {
    bytes: Vec<u8>,
}

impl Golden {
    /// Opens `tests/golden/NAME.safetensors`.
    pub fn open(name: &str) -> Self {
        let path = root().join(format!("tests/golden/{name}.safetensors"));
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self { bytes }
    }

    /// The array `name` as its shape and its numbers, last axis fastest.
    pub fn array(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        let file = SafeTensors::deserialize(&self.bytes).expect("a safetensors file");
        let view = file.tensor(name).unwrap_or_else(|_| panic!("no golden array {name}"));
        assert_eq!(view.dtype(), safetensors::Dtype::F64, "{name} is not float64");
        let data = view
            .data()
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
            .collect();
        (view.shape().to_vec(), data)
    }

    /// The names of all arrays that start with `prefix`, sorted.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let file = SafeTensors::deserialize(&self.bytes).expect("a safetensors file");
        let mut names: Vec<String> =
            file.names().iter().map(|n| n.to_string()).filter(|n| n.starts_with(prefix)).collect();
        names.sort();
        names
    }
}

/// The largest difference between two arrays, relative to the largest magnitude in `want`.
pub fn relative_error(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len(), "lengths differ");
    let scale = want.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let diff = got.iter().zip(want).fold(0.0_f64, |m, (a, b)| {
        let d = (a - b).abs();
        if d.is_nan() { f64::INFINITY } else { m.max(d) }
    });
    if scale == 0.0 { diff } else { diff / scale }
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// The folder of real recordings, where it exists beside the checkout.
pub fn recordings() -> Option<PathBuf> {
    let path = root().join("../shared/data");
    path.is_dir().then_some(path)
}

/// Whether ONNX Runtime is there. It is fetched by `scripts/setup onnx`; it must be there where
/// SALTATORY_REQUIRE_PYTHON is set.
pub fn has_onnx_runtime() -> bool {
    let there = saltatory::runtime::found().is_some();
    let required = std::env::var_os("SALTATORY_REQUIRE_PYTHON").is_some();
    assert!(there || !required, "run scripts/setup onnx");
    there
}
