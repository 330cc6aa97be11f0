//! The engine: makes sources, stages and sinks run.
//!
//! `pipeline` is the one loop to read first; `lane` is the thread it runs on; `intake` feeds the
//! lane from the sources; `tap` carries frames away to the sinks.

pub mod intake;
pub mod lane;
pub mod outlet;
pub mod pipeline;
pub mod tap;
