//! Symmetric tridiagonal matrices: their eigenvalues, and their logarithm without eigenvalues.

mod eigenvalues;
mod log;
mod poles;

pub use eigenvalues::eigenvalues;
pub use log::Logarithm;
