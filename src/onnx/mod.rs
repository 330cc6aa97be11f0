//! A fitted pipeline as an ONNX model, for runtimes that are not ours.
//!
//! In: a model. Out: the bytes of an ONNX file with the output `probabilities`, all of 64-bit floats.
//! `pipeline` builds the graph. Before a linear decoder it has one input: behind `csp` it begins with the samples of
//! a window and computes their covariance; behind `tangent` it begins with the tangent vector, as ONNX has no
//! logarithm of a matrix. A graph convolutional network (`gcn`) begins with weights, lengths and features of the
//! nodes. `proto` writes it.

mod decoder;
mod gcn;
mod pipeline;
mod proto;

pub use pipeline::bytes;
