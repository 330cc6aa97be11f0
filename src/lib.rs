//! Saltatory: a real-time brain-computer interface streaming engine.
//!
//! The path of one block of samples, and with it the order in which to read the modules:
//!
//! ```text
//! wire/lsl, formats ─> sources ─> engine/intake ─> ring ─> engine/lane ─> engine/pipeline
//!     ─> stages (filter, spatial, window, feature, manifold, graph, decode)
//!     ─> engine/tap ─> ring ─> engine/outlet ─> sinks ─> wire/lsl
//! ```
//!
//! The lane is the *data plane*: once running it never allocates, locks, blocks on I/O, logs or
//! panics. Everything else is the *control plane*: `config` parses and checks, `control` starts,
//! watches and stops, `fit` calibrates and evaluates through the same stages, `onnx` writes what was
//! learned for other runtimes.

pub mod clock;
pub mod config;
pub mod control;
pub mod deadline;
pub mod engine;
pub mod error;
pub mod fit;
pub mod formats;
pub mod frame;
pub mod kind;
pub mod latency;
pub mod ledger;
pub mod math;
pub mod model;
pub mod onnx;
pub mod ring;
pub mod runtime;
pub mod sinks;
pub mod sources;
pub mod stages;
pub mod wire;
