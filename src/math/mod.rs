//! Numbers only: formulas over slices, no imports from the rest of the engine but its error type.

pub mod augmented;
pub mod chi_squared;
pub mod contour;
pub mod covariance;
pub mod csp;
pub mod decompose;
pub mod elastic;
pub mod embedding;
pub mod fgda;
pub mod filter_design;
pub mod folds;
pub mod gcn;
pub mod householder;
pub mod information;
pub mod lda;
pub mod linalg;
pub mod logistic;
pub mod montage;
pub mod padded;
pub mod platt;
pub mod robust;
pub mod schaefer;
mod shrinkage;
pub mod siegel;
pub mod simd;
pub mod simulator;
pub mod sliding;
pub mod smo;
pub mod sos;
pub mod spd;
pub mod svm;
#[cfg(test)]
mod testing;
pub mod toeplitz;
pub mod topomap;
pub mod triangular;
pub mod tridiagonal;
