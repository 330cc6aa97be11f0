//! Finding the library of ONNX Runtime, and loading it once.

use crate::error::{Error, Result};
use ort::environment::Environment;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The variable that names the library.
const VARIABLE: &str = "ORT_DYLIB_PATH";
/// What the library is called here.
const NAME: &str = if cfg!(target_os = "windows") {
    "onnxruntime.dll"
} else if cfg!(target_os = "macos") {
    "libonnxruntime.dylib"
} else {
    "libonnxruntime.so"
};

/// What went well or wrong the first time is so for good.
static LOADED: OnceLock<Result<Environment>> = OnceLock::new();

/// The environment of the library, which is loaded if it was not.
pub fn environment() -> Result<Environment> {
    LOADED.get_or_init(load).clone()
}

/// Where the library lies: what `ORT_DYLIB_PATH` says, else `.runtime/` beside the working directory or the
/// program. `None` leaves it to the system's search.
pub fn found() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE).filter(|p| !p.is_empty()) {
        return Some(path.into());
    }
    let program = std::env::current_exe().ok();
    let beside = program.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    let places = [Some(PathBuf::from(".")), beside];
    places.into_iter().flatten().map(|p| p.join(".runtime").join(NAME)).find(|p| p.exists())
}

/// The version of the library, if it can be loaded.
pub fn version() -> Result<String> {
    environment()?;
    Ok(ort::info().split_whitespace().find_map(number).unwrap_or("unknown").to_owned())
}

/// A word such as `v1.32.0,` without what is around the numbers.
fn number(word: &str) -> Option<&str> {
    let word = word.trim_matches(|c: char| !c.is_ascii_digit());
    (word.contains('.') && !word.is_empty()).then_some(word)
}

fn load() -> Result<Environment> {
    let path = found().unwrap_or_else(|| NAME.into());
    let failed = |e: &dyn std::fmt::Display| {
        Error::missing(format!(
            "ONNX Runtime, which runs ONNX models, cannot be loaded from `{}`: {e}; run `scripts/setup onnx`, \
             which fetches it into `.runtime/`, or let {VARIABLE} name {NAME}",
            path.display()
        ))
    };
    let builder = ort::init_from(&path).map_err(|e| failed(&e))?;
    builder.with_name("saltatory").with_telemetry(false).build().map_err(|e| failed(&e))
}
