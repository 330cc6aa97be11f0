//! How a unit (source, stage, sink) enters its list: a name, its settings, a way to build it.
//!
//! One list per family feeds config parsing, `saltatory list`, `configs/reference.toml`, the
//! conformance tests and the benches.

use crate::error::{Error, Result};
use schemars::{JsonSchema, Schema};
use serde::{Serialize, de::DeserializeOwned};

/// The settings of one unit; they live in the unit's own file.
///
/// The doc comment of the settings type is the unit's description and those of its fields are the
/// help of each key, so they are written for the person who writes a config.
pub trait Settings<T: ?Sized>: DeserializeOwned + Serialize + JsonSchema {
    /// A config snippet that parses, with one line per key worth showing (without `kind`).
    const EXAMPLE: &'static str;

    /// Checks the settings on their own and makes the unit; name a bad key with [`Error::setting`].
    fn build(self) -> Result<Box<T>>;
}

/// An entry of a family's list.
pub struct Kind<T: ?Sized + 'static> {
    /// The name in the config, which is also the name of the file.
    pub name: &'static str,
    /// A config snippet that parses.
    pub example: &'static str,
    /// The settings with their docs, types and defaults.
    pub schema: fn() -> Schema,
    /// Makes the unit from its table.
    pub build: fn(toml::de::ValueDeserializer<'_>) -> Result<Built<T>, BuildError>,
}

/// A unit together with the settings it was made from, defaults filled in.
pub struct Built<T: ?Sized> {
    /// The unit.
    pub unit: Box<T>,
    /// Every setting, by key.
    pub settings: serde_json::Value,
}

/// Why a unit could not be made: the table does not parse, or a value makes no sense.
#[derive(Debug)]
pub enum BuildError {
    /// Wrong key or type; carries its place in the file.
    Parse(toml::de::Error),
    /// Wrong value; carries the key.
    Value(Error),
}

/// The list entry for settings `S` under `name`.
pub const fn kind<T: ?Sized, S: Settings<T>>(name: &'static str) -> Kind<T> {
    Kind { name, example: S::EXAMPLE, schema: schema_of::<S>, build: build::<T, S> }
}

fn schema_of<S: JsonSchema>() -> Schema {
    schemars::schema_for!(S)
}

fn build<T: ?Sized, S: Settings<T>>(
    table: toml::de::ValueDeserializer<'_>,
) -> Result<Built<T>, BuildError> {
    let settings = S::deserialize(table).map_err(BuildError::Parse)?;
    let value = serde_json::to_value(&settings)
        .map_err(|e| BuildError::Value(Error::config(format!("settings cannot be shown: {e}"))))?;
    let unit = settings.build().map_err(BuildError::Value)?;
    Ok(Built { unit, settings: value })
}

impl<T: ?Sized> Kind<T> {
    /// Makes the unit from a config snippet without `kind`; for tests, benches and tools.
    pub fn from_toml(&self, snippet: &str) -> Result<Built<T>> {
        let table = toml::de::DeTable::parse(snippet).map_err(|e| Error::config(e.to_string()))?;
        let span = table.span();
        let value = toml::de::DeValue::Table(table.into_inner());
        (self.build)(toml::Spanned::new(span, value).into()).map_err(|e| match e {
            BuildError::Parse(e) => Error::config(e.message()),
            BuildError::Value(e) => e,
        })
    }
}
