//! Writes decisions, and what the WebSocket sink shows beside them, to a file, one JSON object a line.
//!
//! A run appends: first a line with classes, stages and what each input shows, then its messages, last the ledger. What
//! an earlier run wrote is never overwritten. Each line is handed to the system at once, so what is
//! counted as written is out of our hands even if the next line does not fit on the disk.

use super::messages::Messages;
use super::picture::Format;
use super::{Delivery, RunFacts, Sink};
use crate::clock;
use crate::error::{Error, Result};
use crate::frame::Spec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// Writes decisions, embeddings, graphs, rankings, texts and pictures to a file, one JSON object a line. Appends to a
/// file that exists.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file.
    pub path: PathBuf,
    /// How pictures are written: `none`: their size only; `png` or `jpeg`: such a file, in base64.
    #[serde(default)]
    pub pictures: Pictures,
}

/// How pictures are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pictures {
    /// Their size only.
    #[default]
    None,
    /// As PNG.
    Png,
    /// As JPEG.
    Jpeg,
}

impl crate::kind::Settings<dyn Sink> for Settings {
    const EXAMPLE: &'static str = "path = \"decisions.jsonl\"\npictures = \"none\"\n";

    fn build(self) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Jsonl {
            path: self.path,
            pictures: match self.pictures {
                Pictures::None => None,
                Pictures::Png => Some(Format::Png),
                Pictures::Jpeg => Some(Format::Jpeg),
            },
            file: None,
            says: Messages::default(),
            run: RunFacts::default(),
        }))
    }
}

/// The sink.
struct Jsonl {
    path: PathBuf,
    pictures: Option<Format>,
    file: Option<File>,
    says: Messages,
    run: RunFacts,
}

impl Jsonl {
    /// Hands a line to the system, whole.
    fn line(&mut self, mut text: String) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        text.push('\n');
        file.write_all(text.as_bytes()).map_err(|e| failed(&self.path, &e))
    }
}

fn failed(path: &std::path::Path, e: &std::io::Error) -> Error {
    Error::run(format!("{}: cannot write: {e}", path.display()))
}

impl Sink for Jsonl {
    fn open(&mut self, inputs: &[Spec], run: &RunFacts) -> Result<()> {
        self.says = Messages::of(inputs, run, self.pictures)?;
        self.run = run.clone();
        let file = File::options().create(true).append(true).open(&self.path);
        self.file = Some(file.map_err(|e| failed(&self.path, &e))?);
        let mut head = serde_json::Map::new();
        head.insert("saltatory".into(), env!("CARGO_PKG_VERSION").into());
        head.insert("started_s".into(), clock::now_s().into());
        head.extend(self.says.head());
        self.line(serde_json::Value::Object(head).to_string())
    }

    fn urgent(&self) -> bool {
        false
    }

    fn write(&mut self, delivery: &Delivery) -> Result<()> {
        match self.says.message(delivery)? {
            Some(text) => self.line(text),
            None => Ok(()),
        }
    }

    fn close(&mut self) -> Result<()> {
        let ledger = serde_json::json!({ "ledger": self.run.ledger.pages() });
        self.line(ledger.to_string())
    }
}
