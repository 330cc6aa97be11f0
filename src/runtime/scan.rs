//! A look through a model file before the library sees it.
//!
//! The file is a protocol buffer. It is walked, not parsed: lengths are checked against what is there, depth
//! is bounded, and only what decides whether the model may run is looked at. Field numbers are those of the
//! ONNX project's `onnx.proto3`.

use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The largest model that is opened unless the config allows more.
pub const MAX_BYTES: u64 = 512 << 20;
/// How deep graphs may lie within graphs.
const MAX_DEPTH: usize = 16;
/// The operators that ONNX Runtime brings along.
const DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];

/// What is known of a model file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// How many operators it has, those of graphs within graphs included.
    pub nodes: usize,
    /// The version of the operators.
    pub opset: u64,
}

impl Facts {
    /// The first half of the SHA-256, as a number.
    pub fn signature(&self) -> u128 {
        self.sha256.get(..32).and_then(|half| u128::from_str_radix(half, 16).ok()).unwrap_or(0)
    }
}

/// Reads a model file of at most `max_bytes` and looks through it.
pub fn scan(path: &Path, max_bytes: u64) -> Result<(Vec<u8>, Facts)> {
    let looked = read(path, max_bytes).and_then(|bytes| {
        let facts = look_through(&bytes)?;
        Ok((bytes, facts))
    });
    looked.map_err(|e| e.at(path.display()))
}

fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let unread = |e: std::io::Error| Error::input(format!("cannot be read: {e}"));
    let length = std::fs::metadata(path).map_err(unread)?.len();
    if length > max_bytes {
        let text = format!("has {length} bytes, more than the {max_bytes} that are allowed");
        return Err(Error::input(text));
    }
    std::fs::read(path).map_err(unread)
}

fn look_through(bytes: &[u8]) -> Result<Facts> {
    let mut walk = Walk { nodes: 0, opset: 0, graphs: 0 };
    walk.model(bytes)?;
    if walk.graphs == 0 {
        return Err(Error::input("is no ONNX model: it holds no graph"));
    }
    let sha256 = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    Ok(Facts { sha256, bytes: bytes.len() as u64, nodes: walk.nodes, opset: walk.opset })
}

/// What has been seen so far.
struct Walk {
    nodes: usize,
    opset: u64,
    graphs: usize,
}

impl Walk {
    /// `ModelProto`.
    fn model(&mut self, bytes: &[u8]) -> Result<()> {
        for field in fields(bytes) {
            match field? {
                (7, Value::Bytes(graph)) => {
                    self.graphs += 1;
                    self.graph(graph, 0)?;
                }
                (8, Value::Bytes(set)) => self.operator_set(set)?,
                (20, Value::Bytes(_)) => {
                    return Err(Error::input(
                        "carries instructions for training; export it for inference",
                    ));
                }
                (25, Value::Bytes(function)) => self.function(function)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `OperatorSetIdProto`.
    fn operator_set(&mut self, bytes: &[u8]) -> Result<()> {
        let (mut domain, mut version) = ("", 0);
        for field in fields(bytes) {
            match field? {
                (1, Value::Bytes(name)) => domain = text(name)?,
                (2, Value::Number(number)) => version = number,
                _ => {}
            }
        }
        if domain.is_empty() || domain == "ai.onnx" {
            self.opset = version;
        }
        Ok(())
    }

    /// `GraphProto`.
    fn graph(&mut self, bytes: &[u8], depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Error::input(format!("has graphs in graphs, more than {MAX_DEPTH} deep")));
        }
        for field in fields(bytes) {
            match field? {
                (1, Value::Bytes(node)) => self.node(node, depth)?,
                (5, Value::Bytes(tensor)) => self.tensor(tensor)?,
                (15, Value::Bytes(sparse)) => self.sparse(sparse)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `FunctionProto`: operators made of operators.
    fn function(&mut self, bytes: &[u8]) -> Result<()> {
        for field in fields(bytes) {
            if let (7, Value::Bytes(node)) = field? {
                self.node(node, 0)?;
            }
        }
        Ok(())
    }

    /// `NodeProto`.
    fn node(&mut self, bytes: &[u8], depth: usize) -> Result<()> {
        self.nodes += 1;
        let (mut operator, mut domain) = ("", "");
        for field in fields(bytes) {
            match field? {
                (4, Value::Bytes(name)) => operator = text(name)?,
                (7, Value::Bytes(name)) => domain = text(name)?,
                (5, Value::Bytes(attribute)) => self.attribute(attribute, depth)?,
                _ => {}
            }
        }
        if DOMAINS.contains(&domain) {
            return Ok(());
        }
        Err(Error::input(format!(
            "needs the operator `{operator}` of `{domain}`, which is no part of ONNX: operators from elsewhere \
             are refused; export the model with standard operators"
        )))
    }

    /// `AttributeProto`.
    fn attribute(&mut self, bytes: &[u8], depth: usize) -> Result<()> {
        for field in fields(bytes) {
            match field? {
                (5 | 10, Value::Bytes(tensor)) => self.tensor(tensor)?,
                (6 | 11, Value::Bytes(graph)) => self.graph(graph, depth + 1)?,
                (22 | 23, Value::Bytes(sparse)) => self.sparse(sparse)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `SparseTensorProto`: its values and their places.
    fn sparse(&mut self, bytes: &[u8]) -> Result<()> {
        for field in fields(bytes) {
            if let (1 | 2, Value::Bytes(tensor)) = field? {
                self.tensor(tensor)?;
            }
        }
        Ok(())
    }

    /// `TensorProto`.
    fn tensor(&mut self, bytes: &[u8]) -> Result<()> {
        for field in fields(bytes) {
            if matches!(field?, (13, Value::Bytes(_)) | (14, Value::Number(1))) {
                return Err(Error::input(
                    "keeps weights in another file, which is refused: a model could name any file of this \
                     machine; export it as one file",
                ));
            }
        }
        Ok(())
    }
}

/// What a field holds.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A number of fixed length, which nothing here needs.
    Fixed,
}

/// The fields of a message; ends behind the first that is not sound.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = Result<(u64, Value<'_>)>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = take_field(&mut rest);
        if field.is_none() {
            rest = &[];
        }
        Some(field.ok_or_else(|| Error::input("is no ONNX model, or was cut off or damaged")))
    })
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = take_varint(rest)?;
    let value = match key & 7 {
        0 => Value::Number(take_varint(rest)?),
        1 => take(rest, 8).map(|_| Value::Fixed)?,
        2 => {
            let length = usize::try_from(take_varint(rest)?).ok()?;
            Value::Bytes(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| Value::Fixed)?,
        _ => return None,
    };
    (key >> 3 != 0).then_some((key >> 3, value))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Error::input("holds a name that is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field with bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut message = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        message.extend_from_slice(bytes);
        message
    }

    fn node(operator: &str, domain: &str) -> Vec<u8> {
        let node = [field(4, operator.as_bytes()), field(7, domain.as_bytes())].concat();
        field(1, &node)
    }

    fn message(bytes: &[u8]) -> String {
        look_through(bytes).unwrap_err().to_string()
    }

    #[test]
    fn operators_are_counted_in_graphs_within_graphs() {
        let inner = field(5, &field(6, &node("Add", "")));
        let branch = field(1, &[field(4, b"If"), inner].concat());
        let set = field(8, &[2 << 3, 17]);
        let model = [set, field(7, &[node("Relu", "ai.onnx"), branch].concat())].concat();
        let facts = look_through(&model).unwrap();
        assert_eq!((facts.nodes, facts.opset, facts.bytes), (3, 17, model.len() as u64));
    }

    #[test]
    fn operators_from_elsewhere_are_refused() {
        let model = field(7, &node("Launch", "evil.example"));
        assert!(message(&model).starts_with("needs the operator `Launch` of `evil.example`"));
    }

    #[test]
    fn weights_in_other_files_are_refused() {
        for external in [vec![14 << 3, 1], field(13, b"location")] {
            assert!(message(&field(7, &field(5, &external))).contains("another file"));
        }
        // Within a node's constant as well.
        let constant = field(1, &field(5, &field(5, &[14 << 3, 1])));
        assert!(message(&field(7, &constant)).contains("another file"));
    }

    #[test]
    fn what_is_cut_or_no_model_is_refused() {
        let model = field(7, &node("Relu", ""));
        assert!((1..model.len()).all(|n| look_through(&model[..n]).is_err()));
        assert!(message(&[]).contains("no graph"));
        assert!(message(b"%PDF-1.7").contains("no ONNX model"));
        let mut deep = node("Add", "");
        for _ in 0..18 {
            // Lengths of more than a byte's worth are not made here, so this stays short.
            deep = [field(1, &field(5, &field(6, &deep)))].concat();
        }
        assert!(message(&field(7, &deep)).contains("deep"));
    }
}
