//! A fitted linear pipeline as an ONNX model, for runtimes that are not ours.
//!
//! In: a model. Out: the bytes of an ONNX file with one input and the output `probabilities`, all of 64-bit
//! floats. `pipeline` builds the graph: behind `csp` it begins with the samples of a window and computes their
//! covariance; behind `tangent` it begins with the tangent vector, as ONNX has no logarithm of a matrix.
//! `proto` writes it.

mod decoder;
mod pipeline;
mod proto;

pub use pipeline::bytes;
