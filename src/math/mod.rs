//! Numbers only: formulas over slices, no imports from the rest of the engine but its error type.

pub mod chi_squared;
pub mod covariance;
pub mod decompose;
pub mod filter_design;
pub mod householder;
pub mod linalg;
pub mod logistic;
pub mod montage;
pub mod padded;
pub mod robust;
pub mod schaefer;
mod shrinkage;
pub mod siegel;
pub mod simd;
pub mod simulator;
pub mod sliding;
pub mod sos;
pub mod spd;
#[cfg(test)]
mod testing;
pub mod toeplitz;
pub mod triangular;
pub mod tridiagonal;
