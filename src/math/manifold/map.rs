//! A frozen map from points to coordinates, learned from landmarks: Laplacian eigenmaps and diffusion maps
//! with the Nystroem formula.
//!
//! With the distances d_ij of landmarks, their masses c_i (how many points each stands for), and
//! K_ij = exp(-d_ij^2 / (4 epsilon)), 0 where i and j are no neighbours, 1 for i = j:
//!
//! ```text
//! q_i  = sum_j c_j K_ij                                    how densely points lie
//! W_ij = c_i c_j K_ij / (q_i q_j)^alpha,  D = diag(W 1)    alpha: how far that is taken out
//! W psi = mu D psi,  sum_i D_i psi_i^2 = sum_i D_i         mu = 1 - lambda of the Laplacian
//! y_k(i) = mu_k^t psi_k(i)                                 the coordinates, mu_1 = 1 left out
//! y_k(x) = mu_k^(t-1) sum_j p_j(x) psi_k(j),  p_j(x) = c_j q_j^-alpha K(x, j), divided by their sum
//! ```
//!
//! t = 0 is the eigenmap, and then the last line is the usual (1 / (1 - lambda)) sum_j w_j y(j) / sum_j w_j. At a
//! landmark it gives that landmark's coordinates, as K has a diagonal of 1 there and here; for the same
//! reason landmarks that stand for coinciding points give what all these points would have.
//! Neighbours of x are its k nearest landmarks, beside one that it coincides with, and those which x is
//! as near to as one of their own k nearest.
//!
//! References: Belkin and Niyogi, Neural Comput. 15 (2003); Coifman and Lafon, Appl. Comput. Harmon. Anal. 21
//! (2006); Bengio et al., NIPS 2003.

use super::eigenmap::Eigenmap;
use super::{components, heat};
use crate::error::{Error, Result};

/// Two distances that differ by less are equal when neighbours are chosen: a distance measured from either
/// end may differ by rounding.
const SLACK: f64 = 1.0 + 1e-9;
/// Eigenvalues mu below this would blow up what the map does not know by as much as it divides by.
const LEAST_MU: f64 = 1e-6;

/// Distances no larger than so many times what rounding makes of 0 are 0.
const ROUNDINGS: f64 = 100.0;

/// How a map is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// How many coordinates, m.
    pub dimensions: usize,
    /// How many neighbours a landmark has, k; all are if there is none.
    pub neighbours: Option<usize>,
    /// Half the square of the median distance of all points if there is none.
    pub epsilon: Option<f64>,
    /// alpha.
    pub density: f64,
    /// t.
    pub time: f64,
}

/// The map, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// The width of the kernel.
    pub epsilon: f64,
    /// The distance to the k-th neighbour of each of L landmarks; empty where all are neighbours.
    pub reach: Vec<f64>,
    /// The logarithms of c_j q_j^-alpha.
    pub shares: Vec<f64>,
    /// The eigenvalues mu_2 to mu_(m+1).
    pub values: Vec<f64>,
    /// mu_k^(t-1) psi_k, landmark by landmark.
    pub images: Vec<f64>,
}

impl Recipe {
    /// Learns the map of landmarks with these `distances`, L x L, and `masses`. An error where they are all
    /// alike, fall into several parts, or do not spread in as many dimensions. Allocates.
    pub fn learn(&self, distances: &[f64], masses: &[f64]) -> Result<Map> {
        let (count, m) = (masses.len(), self.dimensions);
        if count <= m {
            let text = format!("{m} is too many for {count} different examples");
            return Err(Error::setting("dimensions", text));
        }
        if all_alike(distances, count) {
            return Err(alike());
        }
        let epsilon = self.epsilon.unwrap_or_else(|| median_scale(distances, masses));
        let reach = self.reach(distances, count);
        let mut weights = kernel(distances, count, epsilon, &reach)?;
        let shares = self.take_out_density(&mut weights, masses);
        let mut eigenmap = Eigenmap::new(count, m);
        eigenmap.find(&weights);
        let values: Vec<f64> = eigenmap.values().iter().map(|lambda| 1.0 - lambda).collect();
        if let Some(k) = values.iter().position(|mu| *mu < LEAST_MU) {
            return Err(Error::setting(
                "dimensions",
                format!(
                    "the examples spread in {k} dimensions at this `epsilon` of {epsilon:.3e}; take \
                     fewer dimensions or a smaller `epsilon`"
                ),
            ));
        }
        let size = eigenmap.degrees().iter().sum::<f64>().sqrt();
        let factors: Vec<f64> = values.iter().map(|mu| size * mu.powf(self.time - 1.0)).collect();
        let psi = eigenmap.coordinates().chunks_exact(m);
        let images = psi.flat_map(|y| y.iter().zip(&factors).map(|(y, f)| y * f)).collect();
        Ok(Map { epsilon, reach, shares, values, images })
    }

    /// The distance of each landmark to its k-th neighbour.
    fn reach(&self, distances: &[f64], count: usize) -> Vec<f64> {
        let Some(k) = self.neighbours.filter(|k| k + 1 < count) else { return Vec::new() };
        let mut room = vec![0.0; count];
        distances.chunks_exact(count).map(|row| kth(row, k, &mut room)).collect()
    }

    /// Makes W of K; returns the logarithms of c_j q_j^-alpha.
    fn take_out_density(&self, weights: &mut [f64], masses: &[f64]) -> Vec<f64> {
        let count = masses.len();
        let density = |row: &[f64]| row.iter().zip(masses).map(|(k, c)| k * c).sum::<f64>();
        let share = |(row, c): (&[f64], &f64)| c.ln() - self.density * density(row).ln();
        let shares: Vec<f64> = weights.chunks_exact(count).zip(masses).map(share).collect();
        for (row, a) in weights.chunks_exact_mut(count).zip(&shares) {
            row.iter_mut().zip(&shares).for_each(|(w, b)| *w *= a.exp() * b.exp());
        }
        shares
    }
}

impl Map {
    /// The coordinates of a point from its `distances` to the landmarks. `room` holds as many numbers. They
    /// are not finite if no distance is.
    pub fn apply(
        &self,
        neighbours: Option<usize>,
        distances: &[f64],
        room: &mut [f64],
        out: &mut [f64],
    ) {
        let reach = match neighbours {
            Some(k) if !self.reach.is_empty() => kth(distances, k, room),
            _ => f64::INFINITY,
        };
        let near = |j: usize| {
            let own = self.reach.get(j).copied().unwrap_or(f64::INFINITY);
            distances[j] <= reach.max(own)
        };
        let mut most = f64::NEG_INFINITY;
        for (j, (e, d)) in room.iter_mut().zip(distances).enumerate() {
            let exponent = self.shares[j] - d * d / (4.0 * self.epsilon);
            *e = if near(j) { exponent } else { f64::NEG_INFINITY };
            most = most.max(*e);
        }
        out.fill(0.0);
        let mut sum = 0.0;
        for (e, image) in room.iter().zip(self.images.chunks_exact(out.len())) {
            // The largest is 1, however far away the point is.
            let share = (e - most).exp();
            sum += share;
            out.iter_mut().zip(image).for_each(|(o, y)| *o += share * y);
        }
        out.iter_mut().for_each(|o| *o /= sum);
    }
}

/// The distance to the k-th other landmark: the smallest is that to itself, or to the nearest.
fn kth(distances: &[f64], k: usize, room: &mut [f64]) -> f64 {
    room.copy_from_slice(distances);
    let place = k.min(room.len() - 1);
    *room.select_nth_unstable_by(place, f64::total_cmp).1 * SLACK
}

/// Whether no two are farther apart than rounding puts each from itself.
fn all_alike(distances: &[f64], count: usize) -> bool {
    let most = |m: f64, d: &f64| m.max(*d);
    let own = distances.iter().step_by(count + 1).fold(0.0, most);
    distances.iter().fold(0.0, most) <= ROUNDINGS * own
}

fn alike() -> Error {
    Error::mismatch("the examples are all alike: no map can be learned from them")
}

/// The kernel K, 0 between those that are no neighbours.
fn kernel(distances: &[f64], count: usize, epsilon: f64, reach: &[f64]) -> Result<Vec<f64>> {
    if !(epsilon > 0.0 && epsilon.is_finite()) {
        return Err(alike());
    }
    let mut weights = vec![0.0; count * count];
    for i in 0..count {
        weights[i * count + i] = 1.0;
        for j in 0..i {
            let d = distances[i * count + j];
            if reach.is_empty() || d <= reach[i].max(reach[j]) {
                let w = heat::weight(d, epsilon);
                (weights[i * count + j], weights[j * count + i]) = (w, w);
            }
        }
    }
    let (mut queue, mut seen) = (vec![0; count], vec![false; count]);
    let edge = |i: usize, j: usize| weights[i * count + j] > 0.0;
    match components::count(count, &mut queue, &mut seen, edge) {
        1 => Ok(weights),
        parts => Err(Error::setting(
            "neighbours",
            format!("the graph of the examples falls into {parts} parts: take more neighbours"),
        )),
    }
}

/// Half the square of the median distance of all points, each with each and with itself, if each is where its
/// landmark is. With masses of 1 that is the scale of [`heat::scale`].
fn median_scale(distances: &[f64], masses: &[f64]) -> f64 {
    let count = masses.len();
    let mut pairs: Vec<(f64, f64)> = Vec::with_capacity(count * (count + 1) / 2);
    for (i, a) in masses.iter().enumerate() {
        pairs.push((0.0, a * a));
        let others = masses.iter().enumerate().take(i);
        pairs.extend(others.map(|(j, b)| (distances[i * count + j], 2.0 * a * b)));
    }
    pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let half = 0.5 * pairs.iter().map(|(_, mass)| mass).sum::<f64>();
    let (mut below, mut median) = (0.0, [None; 2]);
    for (d, mass) in &pairs {
        below += mass;
        for (median, reached) in median.iter_mut().zip([below >= half, below > half]) {
            *median = median.or(reached.then_some(*d));
        }
    }
    let largest = pairs.last().map_or(0.0, |p| p.0);
    let median = 0.5 * median.iter().map(|m| m.unwrap_or(largest)).sum::<f64>();
    let typical = if median > 0.0 { median } else { largest };
    0.5 * typical * typical
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::{difference, numbers};

    const RECIPE: Recipe =
        Recipe { dimensions: 2, neighbours: None, epsilon: None, density: 1.0, time: 0.0 };

    /// Points in the plane, and their distances.
    fn plane(count: usize) -> (Vec<f64>, Vec<f64>) {
        let x = numbers(2 * count, 3);
        let d = |i: usize, j: usize| (x[2 * i] - x[2 * j]).hypot(x[2 * i + 1] - x[2 * j + 1]);
        let all = (0..count * count).map(|e| d(e / count, e % count)).collect();
        (x, all)
    }

    fn apply(map: &Map, recipe: &Recipe, distances: &[f64]) -> Vec<f64> {
        let (mut room, mut out) = (vec![0.0; distances.len()], vec![0.0; recipe.dimensions]);
        map.apply(recipe.neighbours, distances, &mut room, &mut out);
        out
    }

    #[test]
    fn at_a_landmark_the_map_is_its_coordinates() {
        let (_, d) = plane(40);
        let masses: Vec<f64> = (0..40).map(|i| 1.0 + f64::from(i % 5)).collect();
        for neighbours in [None, Some(9), Some(100)] {
            for (density, time) in [(0.0, 0.0), (0.5, 1.0), (1.0, 2.5)] {
                let recipe = Recipe { neighbours, density, time, ..RECIPE };
                let map = recipe.learn(&d, &masses).unwrap();
                let got: Vec<f64> =
                    d.chunks_exact(40).flat_map(|row| apply(&map, &recipe, row)).collect();
                let want = map.images.iter().enumerate().map(|(e, y)| y * map.values[e % 2]);
                let error = difference(&got, &want.collect::<Vec<_>>(), 0.0);
                assert!(error < 1e-12, "{neighbours:?} {density}: {error:e}");
            }
        }
    }

    /// Twenty points, each there three times, are twenty landmarks of mass 3.
    #[test]
    fn masses_stand_for_coinciding_points() {
        let (_, d) = plane(20);
        let thrice: Vec<f64> = (0..3600).map(|e| d[e / 60 / 3 * 20 + e % 60 / 3]).collect();
        let few = RECIPE.learn(&d, &[3.0; 20]).unwrap();
        let all = RECIPE.learn(&thrice, &[1.0; 60]).unwrap();
        assert!((few.epsilon - all.epsilon).abs() < 1e-15);
        assert!(difference(&few.values, &all.values, 0.0) < 1e-12);
        for i in 0..20 {
            let (a, b) = (&few.images[2 * i..2 * i + 2], &all.images[6 * i..6 * i + 2]);
            assert!((0..2).all(|k| (a[k].abs() - b[k].abs()).abs() < 1e-9), "{a:?} {b:?}");
        }
    }

    #[test]
    fn far_away_it_is_finite() {
        let (_, d) = plane(12);
        let map = RECIPE.learn(&d, &[1.0; 12]).unwrap();
        let mut far = [1e8; 12];
        far[4] = 0.9e8;
        let want: Vec<f64> = map.images[8..10].to_vec();
        assert_eq!(apply(&map, &RECIPE, &far), want);
        assert!(apply(&map, &RECIPE, &[f64::NAN; 12])[0].is_nan());
    }

    #[test]
    fn the_scale_is_that_of_graphs() {
        for count in [5, 6, 9] {
            let (_, d) = plane(count);
            let want = heat::scale(&d, count, &mut vec![0.0; count * count]);
            assert_eq!(median_scale(&d, &vec![1.0; count]), want);
        }
    }

    #[test]
    fn what_cannot_be_mapped_is_an_error() {
        let error = |d: &[f64], masses: &[f64], recipe: Recipe| {
            recipe.learn(d, masses).unwrap_err().to_string()
        };
        assert!(error(&[0.0; 9], &[1.0; 3], RECIPE).contains("alike"));
        assert!(error(&[0.0; 4], &[1.0; 2], RECIPE).contains("too many"));
        let d: Vec<f64> = (0..36)
            .map(|e| f64::from(e / 6 / 3 * 50 + e / 6 - e % 6 / 3 * 50 - e % 6).abs())
            .collect();
        let one = Recipe { dimensions: 1, neighbours: Some(1), ..RECIPE };
        assert!(error(&d, &[1.0; 6], one).contains("2 parts"));
        let wide = Recipe { epsilon: Some(1e9), dimensions: 4, ..RECIPE };
        let (_, d) = plane(12);
        assert!(error(&d, &[1.0; 12], wide).contains("fewer dimensions"));
    }
}
