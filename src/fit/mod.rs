//! Calibration and evaluation: recordings through the same stages that run live.
//!
//! `plan` takes a pipeline apart, `epochs` cuts labelled examples out of recordings, `branch` out of a
//! pipeline that runs, `enough` says when more of them stop helping, `tail` is the part
//! of the pipeline behind the windowing, `validate` cross-validates it, `held_out` tests what was learned before, `online` runs it over whole
//! recordings, `tune` searches settings, `zero_phase` filters as papers
//! do. `metrics` scores decisions, `stats` says how sure a score is, `pictures` makes vectors small enough
//! to draw, `summary` and `portrait` gather what `report` shows.

mod branch;
mod enough;
mod epochs;
mod held_out;
pub mod metrics;
mod online;
pub mod pictures;
mod plan;
pub mod portrait;
mod pseudo;
pub mod report;
mod retrieved;
pub mod shapes;
pub mod stats;
pub mod summary;
mod tail;
mod tune;
mod validate;
mod zero_phase;

pub use branch::Branch;
pub(crate) use branch::free;
pub use enough::{Gain, LEAST_TRIALS, enough, gain};
pub use epochs::Epochs;
pub use held_out::HeldOut;
pub use online::{Online, Window};
pub use plan::{Phase, Plan};
pub use pseudo::{Felt, pseudo_online};
pub use retrieved::Retrieved;
pub use tail::{Step, Tail};
pub use tune::{Cell, Choice, Memory, choose, steps};
pub use validate::{Evaluation, FOLDS, Fold, Protocol, Trial, evaluate};
pub use zero_phase::both_ways;
