//! Saltatory: a real-time brain-computer interface streaming engine.

pub mod clock;
pub mod error;
pub mod formats;
pub mod frame;
pub mod kind;
pub mod ledger;
pub mod math;
pub mod stages;
