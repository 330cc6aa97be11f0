//! Numbers only: formulas over slices, no imports from the rest of the engine but its error type.

pub mod covariance;
pub mod filter_design;
pub mod linalg;
pub mod logistic;
pub mod montage;
mod shrinkage;
pub mod simd;
pub mod simulator;
pub mod sliding;
pub mod sos;
pub mod spd;
pub mod tridiagonal;
