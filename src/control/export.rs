//! `saltatory export`: a model for other runtimes.

use super::print;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::onnx;
use std::path::Path;

/// Writes the pipeline of `model` as the ONNX file `out`.
pub fn export(model: &Path, out: &Path) -> Result<()> {
    if out.extension().is_none_or(|e| e != "onnx") {
        let text = format!("--out {}: expected a name ending in .onnx", out.display());
        return Err(Error::config(text));
    }
    let bytes = onnx::bytes(&Model::load(model)?).map_err(|e| e.at(model.display()))?;
    std::fs::write(out, bytes)
        .map_err(|e| Error::run(format!("{}: cannot write: {e}", out.display())))?;
    print(&format!("ONNX model written to {}", out.display()))
}
