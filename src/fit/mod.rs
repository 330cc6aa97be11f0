//! Calibration and evaluation, offline: recordings through the same stages that run live.
//!
//! `epochs` cuts labelled examples out of recordings, `tail` is the part of the pipeline that
//! learns, `validate` cross-validates it, `report` shows it.

mod epochs;
pub mod report;
mod tail;
mod validate;

pub use epochs::{Epochs, Plan};
pub use tail::{Step, Tail};
pub use validate::{Evaluation, FOLDS, Fold, Protocol, evaluate};
