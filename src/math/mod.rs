//! Numbers only: formulas over slices, no imports from the rest of the engine but its error type.

pub mod linalg;
pub mod logistic;
pub mod spd;
pub mod tridiagonal;
