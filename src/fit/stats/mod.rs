//! How sure a score is: intervals, the level of chance, and whether two pipelines differ.
//!
//! Everything that draws at random takes a seed and gives the same numbers for the same seed.
//! Distributions come from `statrs`.

mod chance;
mod interval;
mod paired;

pub use chance::{chance_p, chance_threshold};
pub use interval::{Interval, bca, bootstrap_mean, paired_difference, wilson};
pub use paired::{McNemar, holm, mcnemar, sign_flip, signed_rank};

/// The ranks of `values` from 1 on, in their order; equal values share the mean of their ranks.
pub fn midranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    // `==`, so that 0 and -0, which the total order tells apart, are a tie.
    for tied in order.chunk_by(|a, b| values[*a] == values[*b]) {
        for i in tied {
            ranks[*i] = below as f64 + (tied.len() + 1) as f64 / 2.0;
        }
        below += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_their_ranks() {
        assert_eq!(midranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        assert_eq!(midranks(&[0.0, -0.0]), [1.5, 1.5]);
        assert_eq!(midranks(&[]), [0.0; 0]);
    }
}
