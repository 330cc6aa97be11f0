//! The few messages of ONNX that an exported pipeline needs, as protocol buffers.
//!
//! Field numbers are those of the ONNX project's `onnx.proto3` (IR version 8, operator set 17). All tensors are
//! of 64-bit numbers, but for the whole numbers that operators take.

/// The version of the file format.
const IR_VERSION: u64 = 8;
/// The version of the operators.
const OPERATOR_SET: u64 = 17;
/// ONNX's number for 64-bit floats.
pub const DOUBLE: i64 = 11;
/// ONNX's number for 64-bit whole numbers.
const INT64: i64 = 7;
/// ONNX's number for an attribute that is a whole number.
const ATTRIBUTE_INT: u64 = 2;

/// A message that is being written.
#[derive(Debug, Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    /// A whole number.
    fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    /// A text, some bytes, or another message.
    fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.as_ref().len() as u64);
        self.0.extend_from_slice(value.as_ref());
        self
    }

    /// One entry for each of `values`.
    fn all<V: AsRef<[u8]>>(self, field: u64, values: impl IntoIterator<Item = V>) -> Self {
        values.into_iter().fold(self, |message, value| message.bytes(field, value))
    }

    /// Seven bits to a byte, lowest first; the eighth says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// One axis of an input or output.
pub enum Axis {
    /// Of so many numbers.
    Fixed(usize),
    /// Of any length, under a name.
    Any(&'static str),
}

/// A graph that is being built. Every value has a name; what makes one returns it.
#[derive(Default)]
pub struct Graph {
    nodes: Vec<Message>,
    constants: Vec<Message>,
    inputs: Vec<Message>,
    outputs: Vec<Message>,
}

impl Graph {
    /// An input of 64-bit floats, described by `help`.
    pub fn input(&mut self, name: &str, axes: &[Axis], help: &str) -> String {
        self.inputs.push(value(name, axes, help));
        name.to_owned()
    }

    /// Makes `value`, of 64-bit floats, an output under `name`.
    pub fn output(&mut self, name: &str, axes: &[Axis], help: &str, value_name: &str) {
        let node = Message::default().bytes(1, value_name).bytes(2, name).bytes(4, "Identity");
        self.nodes.push(node);
        self.outputs.push(value(name, axes, help));
    }

    /// A constant array, last axis fastest.
    pub fn constant(&mut self, shape: &[usize], data: &[f64]) -> String {
        self.array(shape, DOUBLE, data.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// A constant number.
    pub fn number(&mut self, value: f64) -> String {
        self.constant(&[1], &[value])
    }

    /// A constant list of whole numbers.
    pub fn whole(&mut self, values: &[i64]) -> String {
        self.array(&[values.len()], INT64, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    fn array(&mut self, shape: &[usize], of: i64, bytes: Vec<u8>) -> String {
        let name = format!("constant_{}", self.constants.len() + 1);
        let dims = shape.iter().fold(Message::default(), |m, n| m.number(1, *n as u64));
        self.constants.push(dims.number(2, of as u64).bytes(8, &name).bytes(9, bytes));
        name
    }

    /// What the operator `kind` makes of `inputs`.
    pub fn op(&mut self, kind: &str, inputs: &[&str]) -> String {
        self.op_with(kind, inputs, &[])
    }

    /// The same with attributes, which are whole numbers.
    pub fn op_with(&mut self, kind: &str, inputs: &[&str], attributes: &[(&str, i64)]) -> String {
        let name = format!("{}_{}", kind.to_lowercase(), self.nodes.len() + 1);
        let attributes = attributes.iter().map(|(key, value)| {
            Message::default().bytes(1, key).number(3, *value as u64).number(20, ATTRIBUTE_INT)
        });
        let node = Message::default().all(1, inputs).bytes(2, &name).bytes(3, &name);
        self.nodes.push(node.bytes(4, kind).all(5, attributes));
        name
    }

    /// The file of this graph, with `metadata`.
    pub fn model(self, name: &str, metadata: &[(&str, String)]) -> Vec<u8> {
        let graph = Message::default()
            .all(1, self.nodes)
            .bytes(2, name)
            .all(5, self.constants)
            .all(11, self.inputs)
            .all(12, self.outputs);
        let operators = Message::default().bytes(1, "").number(2, OPERATOR_SET);
        let entry =
            |(key, value): &(&str, String)| Message::default().bytes(1, key).bytes(2, value);
        Message::default()
            .number(1, IR_VERSION)
            .bytes(2, "saltatory")
            .bytes(3, env!("CARGO_PKG_VERSION"))
            .bytes(7, graph)
            .bytes(8, operators)
            .all(14, metadata.iter().map(entry))
            .0
    }
}

/// What an input or output is.
fn value(name: &str, axes: &[Axis], help: &str) -> Message {
    let shape = axes.iter().map(|axis| match axis {
        Axis::Fixed(n) => Message::default().number(1, *n as u64),
        Axis::Any(name) => Message::default().bytes(2, name),
    });
    let shape = Message::default().all(1, shape);
    let tensor = Message::default().number(1, DOUBLE as u64).bytes(2, shape);
    let of = Message::default().bytes(1, tensor);
    Message::default().bytes(1, name).bytes(2, of).bytes(3, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two examples of the protocol buffers documentation.
    #[test]
    fn encodes_as_documented() {
        assert_eq!(Message::default().number(1, 150).0, [0x08, 0x96, 0x01]);
        let text = Message::default().bytes(2, "testing").0;
        assert_eq!(text, [&[0x12, 0x07][..], b"testing"].concat());
    }
}
