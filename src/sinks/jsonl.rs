//! Writes decisions to a file, one JSON object a line.
//!
//! A run appends: first a line with classes and stages, then its decisions, last the ledger. What
//! an earlier run wrote is never overwritten. Each line is handed to the system at once, so what is
//! counted as written is out of our hands even if the next line does not fit on the disk.

use super::{Deciding, Decision, Delivery, RunFacts, Sink};
use crate::clock;
use crate::error::{Error, Result};
use crate::frame::Spec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// Writes decisions to a file, one JSON object a line. Appends to a file that exists.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file.
    pub path: PathBuf,
}

impl crate::kind::Settings<dyn Sink> for Settings {
    const EXAMPLE: &'static str = "path = \"decisions.jsonl\"\n";

    fn build(self) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Jsonl {
            path: self.path,
            file: None,
            text: Vec::new(),
            deciding: Deciding::default(),
            run: RunFacts::default(),
        }))
    }
}

/// The sink.
struct Jsonl {
    path: PathBuf,
    file: Option<File>,
    /// The line that is being written.
    text: Vec<u8>,
    deciding: Deciding,
    run: RunFacts,
}

impl Jsonl {
    fn line(&mut self, value: &impl Serialize) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        self.text.clear();
        let written = serde_json::to_writer(&mut self.text, value).map_err(std::io::Error::from);
        self.text.push(b'\n');
        written.and_then(|()| file.write_all(&self.text)).map_err(|e| failed(&self.path, &e))
    }
}

fn failed(path: &std::path::Path, e: &std::io::Error) -> Error {
    Error::run(format!("{}: cannot write: {e}", path.display()))
}

impl Sink for Jsonl {
    fn open(&mut self, inputs: &[Spec], run: &RunFacts) -> Result<()> {
        self.deciding = Deciding::of(inputs)?;
        self.run = run.clone();
        let file = File::options().create(true).append(true).open(&self.path);
        self.file = Some(file.map_err(|e| failed(&self.path, &e))?);
        let head = serde_json::json!({
            "saltatory": env!("CARGO_PKG_VERSION"),
            "started_s": clock::now_s(),
            "classes": self.deciding.classes,
            "stages": self.run.stages,
        });
        self.line(&head)
    }

    fn urgent(&self) -> bool {
        false
    }

    fn write(&mut self, delivery: &Delivery) -> Result<()> {
        if !self.deciding.has(&delivery.frame) {
            return Ok(());
        }
        let decision = Decision::new(delivery, &self.deciding.classes, &self.run.stages);
        self.line(&decision)
    }

    fn close(&mut self) -> Result<()> {
        let ledger = serde_json::json!({ "ledger": self.run.ledger.pages() });
        self.line(&ledger)
    }
}
