//! Numbers only: formulas over slices, no imports from the rest of the engine but its error type.

pub mod augmented;
pub mod covariance;
pub mod embedding;
pub mod filter_design;
pub mod householder;
pub mod linalg;
pub mod logistic;
pub mod montage;
pub mod padded;
mod shrinkage;
pub mod simd;
pub mod simulator;
pub mod sliding;
pub mod sos;
pub mod spd;
#[cfg(test)]
mod testing;
pub mod triangular;
pub mod tridiagonal;
