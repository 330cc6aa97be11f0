//! The labels of what was shown, out of any file that names them: a gallery, or a world of the simulator.

use crate::error::{Error, Result};
use serde::Deserialize;
use std::io::Read;
use std::path::Path;

/// The keys of the metadata that hold them.
const KEYS: [&str; 2] = ["saltatory_gallery", "saltatory_world"];
/// The largest header that safetensors allows, in bytes.
const MAX_HEADER_BYTES: u64 = 100_000_000;

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: std::collections::HashMap<String, String>,
}

#[derive(Deserialize)]
struct About {
    #[serde(alias = "items")]
    labels: Vec<String>,
}

/// The labels of the items in `path`, in their order.
pub fn labels(path: &Path) -> Result<Vec<String>> {
    read(path).map_err(|e| e.at(path.display()))
}

fn read(path: &Path) -> Result<Vec<String>> {
    let failed = |e: std::io::Error| Error::input(format!("cannot be read: {e}"));
    let none = |e: &dyn std::fmt::Display| {
        Error::input(format!("names no items (a gallery or a world does, docs/formats.md): {e}"))
    };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut size = [0; 8];
    file.read_exact(&mut size).map_err(|e| none(&e))?;
    let size = u64::from_le_bytes(size);
    if size > MAX_HEADER_BYTES {
        return Err(none(&"it is no safetensors file"));
    }
    let mut header = Vec::new();
    file.take(size).read_to_end(&mut header).map_err(failed)?;
    let header: Header = serde_json::from_slice(&header).map_err(|e| none(&e))?;
    let text = KEYS.iter().find_map(|key| header.metadata.get(*key));
    let text =
        text.ok_or_else(|| none(&format!("its metadata have neither of {}", KEYS.join(", "))))?;
    let about: About = serde_json::from_str(text).map_err(|e| none(&e))?;
    Ok(about.labels)
}
