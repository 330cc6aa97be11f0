//! `[tune]`: what is searched for when a pipeline is tuned.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How order and lag of augmented covariances are chosen.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Every cell of the grid, by cross-validation.
    #[default]
    Grid,
    /// The delays that MDOP finds in the training epochs, then the rest of the grid.
    Mdop,
    /// Cao's order and the lag at the first minimum of the mutual information, then the rest of the grid.
    Cao,
    /// A rule of thumb for order and lag, then the rest of the grid.
    Quick,
}

/// The `[tune]` table: what `fit --tune` and the tuned pipelines of `evaluate` search. Each list applies
/// to every stage behind the windowing that has a setting of that name; an empty one is not searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tune {
    /// How order and lag are chosen: grid, mdop, cao or quick.
    pub method: Method,
    /// Orders of the augmented covariance.
    pub order: Vec<usize>,
    /// Lags in samples.
    pub lag: Vec<usize>,
    /// Inverse strengths of regularisation.
    pub c: Vec<f64>,
    /// Kernels of the support vector machine.
    pub kernel: Vec<String>,
    /// Numbers of spatial filters.
    pub filters: Vec<usize>,
    /// Shares of the absolute penalty in an elastic net.
    pub l1_ratio: Vec<f64>,
    /// Folds of the cross-validation inside the training data.
    pub folds: usize,
}

impl Default for Tune {
    /// The grid of the paper (methods: Carrara, Papadopoulo, arXiv 2302.04508), with a linear kernel.
    fn default() -> Self {
        let ten = || (1..=10).collect();
        Self {
            method: Method::Grid,
            order: ten(),
            lag: ten(),
            c: vec![0.5, 1.0, 1.5],
            kernel: Vec::new(),
            filters: Vec::new(),
            l1_ratio: Vec::new(),
            folds: 3,
        }
    }
}
