//! Calibration and evaluation, offline: recordings through the same stages that run live.
//!
//! `plan` takes a pipeline apart, `epochs` cuts labelled examples out of recordings, `tail` is the part of the pipeline behind the
//! windowing, `validate` cross-validates it, `folds` says who is tested when, `tune` searches settings,
//! `zero_phase` filters as papers do, `report` shows it.

mod epochs;
mod folds;
mod online;
mod plan;
pub mod report;
mod tail;
mod tune;
mod validate;
mod zero_phase;

pub use epochs::Epochs;
pub use online::{Online, Window};
pub use plan::{Phase, Plan};
pub use tail::{Step, Tail};
pub use tune::{Cell, Choice, Memory, choose, steps};
pub use zero_phase::both_ways;
pub use validate::{Evaluation, FOLDS, Fold, Protocol, Trial, evaluate};
