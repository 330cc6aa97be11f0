//! Representational dissimilarity: how unlike the patterns of conditions are, and whether that is as a
//! model says.
//!
//! An RDM of k conditions is held as its k (k - 1) / 2 entries above the diagonal, row by row, as SciPy's
//! `pdist` orders them.
//!
//! References: Kriegeskorte et al., Front. Syst. Neurosci. 2 (2008); Lin & Kriegeskorte, PNAS 121 (2024) for the
//! geo-topological transform, in the form that clips the original values: the one in rsatoolbox rescales in
//! place first.

use super::quantile::quantile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How unlike two patterns are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// The mean squared difference of their features.
    #[default]
    Euclidean,
    /// One minus their Pearson correlation; 1 where a pattern is constant.
    Correlation,
}

/// How many entries an RDM of `k` conditions has.
pub fn pairs(k: usize) -> usize {
    k * k.saturating_sub(1) / 2
}

impl Distance {
    /// Between `a` and `b`, which are of one length.
    pub fn between(self, a: &[f64], b: &[f64]) -> f64 {
        match self {
            Self::Euclidean => {
                let sum: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
                sum / a.len().max(1) as f64
            }
            Self::Correlation => 1.0 - pearson(a, b),
        }
    }
}

/// The geo-topological transform: distances up to the quantile `lower` become 0 (the same place), from the
/// quantile `upper` on 1 (far), and what lies between is spread evenly. With 0 and 1 the RDM between its
/// extremes; with equal quantiles a step. Quantiles as NumPy's default. `sorted` is as long as `rdm`.
pub fn geo_topological(rdm: &mut [f64], lower: f64, upper: f64, sorted: &mut [f64]) {
    sorted.copy_from_slice(rdm);
    sorted.sort_unstable_by(f64::total_cmp);
    let (low, high) = (quantile(sorted, lower), quantile(sorted, upper));
    for d in rdm {
        *d = match high > low {
            true => ((*d - low) / (high - low)).clamp(0.0, 1.0),
            false => f64::from(u8::from(*d > high)),
        };
    }
}

/// The geodesic transform: between its extremes, then the longest distance is cut and every distance becomes
/// the length of the shortest way. Conditions that no way joins keep 1. `square` has k x k places.
pub fn geodesic(rdm: &mut [f64], k: usize, square: &mut [f64]) {
    let least = rdm.iter().copied().fold(f64::INFINITY, f64::min);
    let most = rdm.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let span = if most > least { most - least } else { 1.0 };
    square.fill(0.0);
    for ((i, j), d) in upper(k).zip(rdm.iter()) {
        let d = (d - least) / span;
        let d = if d >= 1.0 { f64::INFINITY } else { d };
        (square[i * k + j], square[j * k + i]) = (d, d);
    }
    for via in 0..k {
        for i in 0..k {
            for j in 0..k {
                let way = square[i * k + via] + square[via * k + j];
                square[i * k + j] = square[i * k + j].min(way);
            }
        }
    }
    for ((i, j), d) in upper(k).zip(rdm.iter_mut()) {
        let way = square[i * k + j];
        *d = if way.is_finite() { way } else { 1.0 };
    }
}

/// The places above the diagonal, row by row.
pub fn upper(k: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..k).flat_map(move |i| (i + 1..k).map(move |j| (i, j)))
}

/// Pearson's correlation of `a` and `b`; 0 where one of them is constant.
pub fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len().max(1) as f64;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - ma) * (y - mb);
        aa += (x - ma).powi(2);
        bb += (y - mb).powi(2);
    }
    let norm = (aa * bb).sqrt();
    if norm > 0.0 { (ab / norm).clamp(-1.0, 1.0) } else { 0.0 }
}

/// Writes the rank of each number, from 1; equal ones share the mean of theirs.
pub fn ranks(values: &[f64], out: &mut [f64]) {
    for (v, out) in values.iter().zip(out) {
        let below = values.iter().filter(|w| *w < v).count();
        let equal = values.iter().filter(|w| *w == v).count();
        *out = below as f64 + (equal as f64 + 1.0) / 2.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: &[f64], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        got.iter().zip(want).for_each(|(g, w)| assert!((g - w).abs() < 1e-12, "{got:?} {want:?}"));
    }

    /// np.clip((d - t_l) / (t_u - t_l), 0, 1) with np.quantile of [0.2, 0.9, 0.4, 0.6, 0.1, 0.5].
    #[test]
    fn the_transform_as_numpy() {
        let rdm = [0.2, 0.9, 0.4, 0.6, 0.1, 0.5];
        let transformed = |lower, upper| {
            let (mut d, mut sorted) = (rdm.to_vec(), vec![0.0; 6]);
            geo_topological(&mut d, lower, upper, &mut sorted);
            d
        };
        near(&transformed(0.0, 1.0), &[0.125, 1.0, 0.375, 0.625, 0.0, 0.5]);
        near(&transformed(0.2, 0.8), &[0.0, 1.0, 0.5, 1.0, 0.0, 0.75]);
        near(&transformed(0.5, 0.5), &[0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
        let (mut flat, mut sorted) = ([0.3; 3], [0.0; 3]);
        geo_topological(&mut flat, 0.2, 0.8, &mut sorted);
        assert_eq!(flat, [0.0; 3]);
    }

    /// Four places on a line: the way from the first to the last leads over the others.
    #[test]
    fn distances_follow_the_manifold() {
        // Between places 0, 1, 2, 4 on a bent line: neighbours 1, 1, 2; the ends are cut apart.
        let mut rdm = [1.0, 2.5, 5.0, 1.0, 4.0, 2.0];
        geodesic(&mut rdm, 4, &mut [0.0; 16]);
        // After min-max: 0, 3/8, (1), 0, 3/4, 1/4: the shortest ways.
        near(&rdm, &[0.0, 0.0, 0.25, 0.0, 0.25, 0.25]);
        let mut apart = [2.0];
        geodesic(&mut apart, 2, &mut [0.0; 4]);
        assert_eq!(apart, [0.0]);
    }

    #[test]
    fn distances_and_ranks() {
        assert_eq!(Distance::Euclidean.between(&[1.0, 2.0], &[3.0, 2.0]), 2.0);
        near(&[Distance::Correlation.between(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0])], &[2.0]);
        assert_eq!(Distance::Correlation.between(&[1.0, 1.0], &[3.0, 2.0]), 1.0);
        let mut out = [0.0; 4];
        ranks(&[0.3, 0.1, 0.3, 0.9], &mut out);
        assert_eq!(out, [2.5, 1.0, 2.5, 4.0]);
        assert_eq!(upper(3).collect::<Vec<_>>(), [(0, 1), (0, 2), (1, 2)]);
        assert_eq!(pairs(4), 6);
    }
}
