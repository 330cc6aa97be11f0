//! A model file: what the fitted stages of a pipeline learned, and behind what.
//!
//! One safetensors file. Its arrays are named `STAGE_ID/ARRAY`; its metadata hold, as JSON under the
//! key `saltatory`, the stream it was trained on, every stage with its settings, the classes, where
//! the data came from and how well it scored. A pipeline that differs refuses it and says where.

use crate::error::{Error, Result};
use crate::frame::{Channel, Spec};
use crate::stages::{Part, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::Path;

/// The version of the file format.
const VERSION: u32 = 1;
/// Larger files are refused unread.
const MAX_BYTES: u64 = 4 << 30;
/// The key of our metadata.
const KEY: &str = "saltatory";

/// Settings that may differ between training and running: they say how often and when, not what; or
/// how what was learned moves on.
const LIVE_KEYS: [(&str, &str); 11] = [
    ("window", "step_s"),
    ("event", "history_s"),
    ("recentre", "mode"),
    ("recentre", "start"),
    ("recentre", "tau_s"),
    ("recentre", "every"),
    ("recentre", "outlier"),
    ("mdm", "start"),
    ("mdm", "adapt_s"),
    ("mdm", "confidence"),
    ("mdm", "outlier"),
];

/// Everything in a model file.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// What the parts belong to.
    pub facts: Facts,
    /// What each fitted stage learned, by stage id.
    pub parts: BTreeMap<String, Part>,
}

/// The metadata of a model file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Version of the file format.
    pub version: u32,
    /// Version of the program that wrote it.
    pub written_by: String,
    /// The samples that went into the windows.
    pub input: Input,
    /// The chain of stages up to and including the last fitted one.
    pub chain: Vec<Link>,
    /// Settings that were searched for, as `id.key=value`: they belong to what was learned, so a config
    /// that uses the model takes them over.
    #[serde(default)]
    pub tuned: Vec<String>,
    /// Class names in the order of the scores.
    pub classes: Vec<String>,
    /// Where the training data came from.
    pub data: Vec<Provenance>,
    /// Cross-validated scores at training time, as the report has them.
    pub scores: serde_json::Value,
}

/// The stream that a model was trained on, as it entered the windowing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Samples per second.
    pub rate_hz: f64,
    /// The channels in order.
    pub channels: Vec<Channel>,
}

/// One stage of the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Its id in the config.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// All its settings.
    pub settings: serde_json::Value,
}

/// A recording that a model was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Its name as given.
    pub recording: String,
    /// SHA-256 of the file; empty for a simulated session.
    pub sha256: String,
    /// How many epochs were cut from it.
    pub epochs: usize,
}

impl Facts {
    /// Facts of a model that is being made.
    pub fn new(input: Input, chain: Vec<Link>, classes: Vec<String>) -> Self {
        let written_by = concat!("saltatory ", env!("CARGO_PKG_VERSION")).to_owned();
        let scores = serde_json::Value::Null;
        let (tuned, data) = (Vec::new(), Vec::new());
        Self { version: VERSION, written_by, input, chain, tuned, classes, data, scores }
    }

    /// A short name for stream and settings together: equal for equal pipelines.
    pub fn settings_sha256(&self) -> String {
        sha256(format!("{:?}{:?}", self.input, self.chain).as_bytes())
    }

    /// Refuses a pipeline that is not the one the model was trained behind.
    pub fn check(&self, input: &Input, chain: &[Link]) -> Result<()> {
        let differs = |what: String| {
            Err(Error::mismatch(format!(
                "the model was trained behind other settings: {what}; change it back, or fit a new \
                 model with `saltatory fit`"
            )))
        };
        if self.input.rate_hz != input.rate_hz {
            let (was, is) = (self.input.rate_hz, input.rate_hz);
            return differs(format!("the stream had {was} Hz and has {is} Hz"));
        }
        let labels = |i: &Input| i.channels.iter().map(|c| c.label.clone()).collect::<Vec<_>>();
        let (was, is) = (labels(&self.input), labels(input));
        if was != is {
            let at = was.iter().zip(&is).position(|(a, b)| a != b);
            return differs(match at {
                Some(i) => format!("channel {} was `{}` and is `{}`", i + 1, was[i], is[i]),
                None => format!("there were {} channels and are {}", was.len(), is.len()),
            });
        }
        for (i, was) in self.chain.iter().enumerate() {
            let Some(is) = chain.get(i) else {
                return differs(format!("the stage `{}` ({}) is missing", was.id, was.kind));
            };
            if was.kind != is.kind {
                let (id, was, is) = (&is.id, &was.kind, &is.kind);
                return differs(format!("stage number {} `{id}` was a {was} and is a {is}", i + 1));
            }
            if let Some((key, was, is_now)) = difference(was, is) {
                return differs(format!("stage `{}`: `{key}` was {was} and is {is_now}", is.id));
            }
        }
        match chain.get(self.chain.len()) {
            Some(extra) => differs(format!("the stage `{}` is new", extra.id)),
            None => Ok(()),
        }
    }
}

/// The first setting in which two stages of one kind differ.
fn difference(was: &Link, is: &Link) -> Option<(String, String, String)> {
    let show = |link: &Link, key: &str| {
        link.settings.get(key).map_or_else(|| "not set".to_owned(), ToString::to_string)
    };
    let keys = |link: &Link| -> Vec<String> {
        link.settings.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default()
    };
    // A key that says nothing is as good as none.
    let value =
        |link: &'_ Link, key: &str| link.settings.get(key).filter(|v| !v.is_null()).cloned();
    keys(was)
        .into_iter()
        .chain(keys(is))
        .filter(|key| !LIVE_KEYS.contains(&(was.kind.as_str(), key.as_str())))
        .find(|key| value(was, key) != value(is, key))
        .map(|key| (key.clone(), show(was, &key), show(is, &key)))
}

impl Input {
    /// What `spec` says of a stream of samples.
    pub fn of(spec: &Spec) -> Self {
        Self { rate_hz: spec.rate_hz, channels: spec.channels.clone() }
    }
}

impl Model {
    /// Writes the file; an older one of that name is replaced only when the new one is complete.
    pub fn save(&self, path: &Path) -> Result<()> {
        let shown = path.display();
        let failed = |e: &dyn std::fmt::Display| Error::run(format!("{shown}: cannot write: {e}"));
        let bytes = self.to_bytes().map_err(|e| e.at(&shown))?;
        let temporary = path.with_extension("partial");
        std::fs::write(&temporary, bytes).map_err(|e| failed(&e))?;
        std::fs::rename(&temporary, path).map_err(|e| failed(&e))
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let bad =
            |e: &dyn std::fmt::Display| Error::run(format!("the model cannot be written: {e}"));
        let mut arrays: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (id, part) in &self.parts {
            for (name, tensor) in &part.tensors {
                let bytes = tensor.data.iter().flat_map(|v| v.to_le_bytes()).collect();
                arrays.push((format!("{id}/{name}"), tensor.shape.clone(), bytes));
            }
        }
        let views = arrays
            .iter()
            .map(|(name, shape, bytes)| {
                TensorView::new(Dtype::F64, shape.clone(), bytes).map(|view| (name.clone(), view))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| bad(&e))?;
        let facts = serde_json::to_string(&self.facts).map_err(|e| bad(&e))?;
        let metadata = HashMap::from([(KEY.to_owned(), facts)]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| bad(&e))
    }

    /// Reads a model file.
    pub fn load(path: &Path) -> Result<Self> {
        let shown = path.display();
        let failed = |e: std::io::Error| Error::input(format!("{shown}: cannot be read: {e}"));
        let size = std::fs::metadata(path).map_err(failed)?.len();
        if size > MAX_BYTES {
            return Err(Error::input(format!("{shown}: {size} bytes are too many for a model")));
        }
        Self::parse(&std::fs::read(path).map_err(failed)?).map_err(|e| e.at(shown))
    }

    /// Reads the bytes of a model file.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let not_ours =
            |e: &dyn std::fmt::Display| Error::input(format!("not a model of ours: {e}"));
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| not_ours(&e))?;
        let text = metadata
            .metadata()
            .as_ref()
            .and_then(|m| m.get(KEY))
            .ok_or_else(|| not_ours(&format!("its metadata have no `{KEY}`")))?;
        let facts: Facts = serde_json::from_str(text).map_err(|e| not_ours(&e))?;
        if facts.version != VERSION {
            return Err(Error::mismatch(format!(
                "the model file has format {}, this program reads {VERSION}; fit it anew",
                facts.version
            )));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|e| not_ours(&e))?;
        let mut parts: BTreeMap<String, Part> = BTreeMap::new();
        for (name, view) in file.tensors() {
            let (id, array) =
                name.split_once('/').ok_or_else(|| not_ours(&format!("array `{name}`")))?;
            if view.dtype() != Dtype::F64 {
                return Err(not_ours(&format!("array `{name}` is not of 64-bit floats")));
            }
            let number = |b: &[u8]| f64::from_le_bytes(b.try_into().unwrap_or_default());
            let data = view.data().chunks_exact(8).map(number).collect();
            let part = parts.entry(id.to_owned()).or_default();
            part.tensors.insert(array.to_owned(), Tensor { shape: view.shape().to_vec(), data });
            part.classes.clone_from(&facts.classes);
        }
        Ok(Self { facts, parts })
    }
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(kind: &str, settings: serde_json::Value) -> Link {
        Link { id: kind.into(), kind: kind.into(), settings }
    }

    fn model() -> Model {
        let input = Input { rate_hz: 160.0, channels: vec![Channel::named("C3")] };
        let chain = vec![
            link("bandpass", serde_json::json!({"low_hz": 8.0})),
            link("window", serde_json::json!({"length_s": 2.0, "step_s": 0.1})),
        ];
        let tensor = Tensor { shape: vec![1, 2], data: vec![1.5, -2.0] };
        let part = Part {
            tensors: BTreeMap::from([("coef".to_owned(), tensor)]),
            classes: vec!["a".into(), "b".into()],
        };
        Model {
            facts: Facts::new(input, chain, part.classes.clone()),
            parts: BTreeMap::from([("logistic".to_owned(), part)]),
        }
    }

    #[test]
    fn a_model_survives_the_file() {
        let model = model();
        assert_eq!(Model::parse(&model.to_bytes().unwrap()).unwrap(), model);
    }

    #[test]
    fn a_cut_or_foreign_file_is_refused() {
        let bytes = model().to_bytes().unwrap();
        for end in [0, 4, 8, 20, bytes.len() - 1] {
            assert!(Model::parse(&bytes[..end]).is_err());
        }
        let mut absurd = bytes.clone();
        absurd[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(Model::parse(&absurd).is_err());
    }

    #[test]
    fn a_different_pipeline_is_refused_by_key() {
        let facts = model().facts;
        let mut chain = facts.chain.clone();
        chain[1].settings["step_s"] = 0.5.into();
        facts.check(&facts.input, &chain).unwrap();
        chain[0].settings["low_hz"] = 6.0.into();
        let text = facts.check(&facts.input, &chain).unwrap_err().to_string();
        assert!(text.contains("stage `bandpass`: `low_hz` was 8.0 and is 6.0"), "{text}");
        let other = Input { rate_hz: 250.0, ..facts.input.clone() };
        assert!(facts.check(&other, &facts.chain).is_err());
        let other = Input { channels: vec![Channel::named("C4")], ..facts.input.clone() };
        let text = facts.check(&other, &facts.chain).unwrap_err().to_string();
        assert!(text.contains("channel 1 was `C3` and is `C4`"), "{text}");
        assert!(facts.check(&facts.input, &facts.chain[..1]).is_err());
    }
}
