//! `--set`: settings from the command line that replace those of the file.

use crate::error::{Error, Result};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One `--set`. Its value is parsed from a text in which it stands behind as many blanks as the
/// file and the overrides before it have bytes, so that a span tells where it points.
pub struct Override {
    /// As it was given.
    pub given: String,
    /// The key, with the id of its unit in front if there is one.
    pub path: Vec<String>,
    /// The text that the value is parsed from.
    pub padded: String,
}

impl Override {
    /// Reads `key=value` or `id.key=value`; `behind` is the length of the texts before it.
    pub fn parse(given: &str, behind: usize) -> Result<Self> {
        let shape = || {
            Error::config(format!(
                "--set {given}: expected key=value or id.key=value, such as --set bandpass.low_hz=6"
            ))
        };
        let (key, value) = given.split_once('=').ok_or_else(shape)?;
        let path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
        if path.len() > 2 || path.iter().any(String::is_empty) {
            return Err(shape());
        }
        let pad = " ".repeat(behind);
        let plain = format!("{pad}v = {value}");
        // What is not TOML (an unquoted name or path) is meant as text.
        let padded = match DeTable::parse(&plain) {
            Ok(_) => plain,
            Err(_) => format!("{pad}v = {}", toml::Value::String(value.to_owned())),
        };
        Ok(Self { given: given.to_owned(), path, padded })
    }

    /// The value, with spans that lie behind the file.
    pub fn value(&self) -> Option<Spanned<DeValue<'_>>> {
        DeTable::parse(&self.padded).ok()?.into_inner().remove("v")
    }
}
