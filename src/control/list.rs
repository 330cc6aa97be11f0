//! `saltatory list`: every kind of source, stage and sink with its settings, from the lists.

use super::{print, print_json};
use crate::error::Result;
use crate::kind::Kind;
use crate::{sinks, sources, stages};
use console::style;
use schemars::Schema;
use serde::Serialize;
use std::fmt::Write as _;

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Family {
    /// Where samples and markers come from.
    Sources,
    /// What is done to them.
    Stages,
    /// The stages that decide.
    Decoders,
    /// Where decisions go.
    Sinks,
}

/// One kind with its settings.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// `source`, `stage` or `sink`.
    pub family: &'static str,
    /// The name in the config.
    pub kind: &'static str,
    /// What it does.
    pub summary: String,
    /// Its settings.
    pub settings: Vec<Setting>,
    /// A config snippet that parses.
    #[serde(skip)]
    pub example: &'static str,
}

/// One key.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    /// The key.
    pub key: String,
    /// What it means.
    pub help: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it must be given.
    pub required: bool,
    /// Its default, where it has one that is not null.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub default: serde_json::Value,
}

/// Prints the kinds of `family`, or of all.
pub fn list(family: Option<Family>, json: bool) -> Result<()> {
    let entries = entries(family);
    if json {
        return print_json(&entries);
    }
    let mut text = String::new();
    let mut last = "";
    for entry in &entries {
        if entry.family != last {
            let _ =
                writeln!(text, "{}", style(format!("[[{}]]", entry.family)).bold().underlined());
            last = entry.family;
        }
        let _ = writeln!(text, "\n{}  {}", style(entry.kind).bold().cyan(), entry.summary);
        for s in &entry.settings {
            let value = match (&s.default, s.required) {
                (_, true) => "required".to_owned(),
                (serde_json::Value::Null, _) => "optional".to_owned(),
                (value, _) => format!("default {value}"),
            };
            let _ = writeln!(text, "  {:<16} {} ({}, {value})", s.key, s.help, s.kind);
        }
    }
    print(&text)
}

/// The kinds of `family`, or of all.
pub fn entries(family: Option<Family>) -> Vec<Entry> {
    let is = |f: Family| family.is_none_or(|wanted| wanted == f);
    let mut entries = Vec::new();
    if is(Family::Sources) {
        entries.extend(sources::KINDS.iter().map(|k| entry("source", k)));
    }
    if is(Family::Stages) {
        entries.extend(stages::kinds().map(|k| entry("stage", k)));
    } else if is(Family::Decoders) {
        entries.extend(stages::decode::KINDS.iter().map(|k| entry("stage", k)));
    }
    if is(Family::Sinks) {
        entries.extend(sinks::KINDS.iter().map(|k| entry("sink", k)));
    }
    entries
}

fn entry<T: ?Sized>(family: &'static str, kind: &Kind<T>) -> Entry {
    let schema = (kind.schema)();
    Entry {
        family,
        kind: kind.name,
        summary: words(schema.get("description")),
        settings: settings_of(&schema),
        example: kind.example,
    }
}

/// The keys that `schema` describes.
pub fn settings_of(schema: &Schema) -> Vec<Setting> {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(|r| r.as_array())
        .map(|r| r.iter().filter_map(|k| k.as_str()).collect())
        .unwrap_or_default();
    let properties = schema.get("properties").and_then(|p| p.as_object());
    let setting = |(key, value): (&String, &serde_json::Value)| Setting {
        key: key.clone(),
        help: words(value.get("description")),
        kind: type_of(value, schema),
        required: required.contains(&key.as_str()),
        default: value.get("default").cloned().unwrap_or_default(),
    };
    properties.into_iter().flatten().map(setting).collect()
}

/// A description as one line.
fn words(description: Option<&serde_json::Value>) -> String {
    description.and_then(|v| v.as_str()).unwrap_or_default().replace('\n', " ")
}

/// The type of a setting in plain words; follows one reference.
fn type_of(value: &serde_json::Value, schema: &Schema) -> String {
    if let Some(path) = value.get("$ref").and_then(|r| r.as_str()) {
        let target = schema.pointer(path.trim_start_matches('#'));
        return target.map_or_else(String::new, |t| type_of(t, schema));
    }
    let choices = |list: &[serde_json::Value]| {
        let words: Vec<String> = list.iter().map(ToString::to_string).collect();
        words.join(" | ")
    };
    if let Some(list) = value.get("enum").and_then(|e| e.as_array()) {
        return choices(list);
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(list) = value.get(key).and_then(|e| e.as_array()) {
            let mut words: Vec<String> = list
                .iter()
                .map(|v| match v.get("const") {
                    Some(constant) => constant.to_string(),
                    None => type_of(v, schema),
                })
                .filter(|t| t != "null")
                .collect();
            words.dedup();
            return words.join(" | ");
        }
    }
    let named = |name: &str| match name {
        "array" => match value.get("prefixItems").and_then(|items| items.as_array()) {
            Some(items) => {
                let items: Vec<String> = items.iter().map(|i| type_of(i, schema)).collect();
                format!("[{}]", items.join(", "))
            }
            None => {
                let items = value.get("items").map(|i| type_of(i, schema)).unwrap_or_default();
                format!("list of {items}")
            }
        },
        name => name.to_owned(),
    };
    match value.get("type") {
        Some(serde_json::Value::String(name)) => named(name),
        Some(serde_json::Value::Array(names)) => {
            let names = names.iter().filter_map(|t| t.as_str()).filter(|t| *t != "null");
            names.map(named).collect::<Vec<_>>().join(" | ")
        }
        _ => String::new(),
    }
}
