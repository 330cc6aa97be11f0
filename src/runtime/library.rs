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

/// Which build of the library it is, if it can be loaded: its version or its commit, whichever it tells of.
pub fn version() -> Result<String> {
    environment()?;
    Ok(build(ort::info()).unwrap_or("unknown").to_owned())
}

/// Out of `v1.20.0, git-branch=..., git-commit-id=fab30a4, ...`, of which newer builds leave the version out.
fn build(info: &str) -> Option<&str> {
    let mut words = info.split([' ', ',']).map(str::trim);
    let version = words.clone().find_map(|word| {
        let number = word.trim_start_matches('v');
        (number.contains('.') && number.starts_with(|c: char| c.is_ascii_digit())).then_some(number)
    });
    version.or_else(|| words.find_map(|word| word.strip_prefix("git-commit-id=")))
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

#[cfg(test)]
mod tests {
    use super::build;

    #[test]
    fn a_build_is_known_by_its_version_or_commit() {
        let old =
            "ORT Build Info: v1.20.0, git-branch=HEAD, git-commit-id=c4fb724, build type=Release";
        let new = "ORT Build Info: git-branch=HEAD, git-commit-id=fab30a4, build type=Release";
        assert_eq!([old, new, "none"].map(build), [Some("1.20.0"), Some("fab30a4"), None]);
    }
}
