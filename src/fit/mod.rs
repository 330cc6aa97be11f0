//! Calibration and evaluation, offline: recordings through the same stages that run live.
//!
//! `epochs` cuts labelled examples out of recordings, `tail` is the part of the pipeline that
//! learns, `validate` cross-validates it, `folds` says who is tested when. `metrics` scores decisions,
//! `stats` says how sure a score is, `pictures` makes vectors small enough to draw, `report` shows it all.

mod epochs;
mod folds;
pub mod metrics;
pub mod pictures;
pub mod report;
pub mod stats;
mod tail;
mod validate;

pub use epochs::{Epochs, Plan};
pub use tail::{Step, Tail};
pub use validate::{Evaluation, FOLDS, Fold, Protocol, evaluate};
