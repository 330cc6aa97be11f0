//! A few points that stand for many.
//!
//! In: the distances of all points to any one of them. Out: which are landmarks, and the mass of each: the
//! weight of the points to which it is the nearest. Kept are two numbers for each point, whatever their
//! number; never the distances of all pairs.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How landmarks are chosen, one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Choice {
    /// By chance, in proportion to the squared distance from those that there are: where points are, but
    /// spread out (k-means++).
    #[default]
    #[serde(rename = "kmeans++")]
    Seeded,
    /// The farthest from those that there are: reaches the rim, and whatever lies outside of it.
    #[serde(rename = "farthest")]
    Farthest,
}

/// Landmarks and what they stand for.
#[derive(Debug, Clone, PartialEq)]
pub struct Landmarks {
    /// Their numbers, in the order in which they were chosen.
    pub chosen: Vec<usize>,
    /// The mass of each.
    pub masses: Vec<f64>,
}

impl Choice {
    /// Chooses at most `most` of as many points as there are `weights`, all above 0; fewer where points
    /// coincide, all of them where there are no more than that. `distances` writes the distance of every
    /// point to one of them. Allocates.
    ///
    /// References: Arthur and Vassilvitskii, SODA 2007; Gonzalez, Theor. Comput. Sci. 38 (1985).
    pub fn choose<E>(
        self,
        weights: &[f64],
        most: usize,
        seed: u64,
        mut distances: impl FnMut(usize, &mut [f64]) -> Result<(), E>,
    ) -> Result<Landmarks, E> {
        let count = weights.len();
        if count <= most {
            return Ok(Landmarks { chosen: (0..count).collect(), masses: weights.to_vec() });
        }
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut field = Field::new(weights);
        let mut chosen = Vec::with_capacity(most);
        while chosen.len() < most {
            let next = match self {
                Self::Seeded => field.draw(rng.random_range(0.0..1.0)),
                Self::Farthest => field.farthest(),
            };
            let Some(next) = next else { break };
            distances(next, &mut field.room)?;
            field.take(next, chosen.len());
            chosen.push(next);
        }
        Ok(Landmarks { masses: field.masses(chosen.len()), chosen })
    }
}

/// What is known of all points.
struct Field<'a> {
    weights: &'a [f64],
    /// The distance of each to its nearest landmark, infinite before there is one, and its number.
    nearest: Vec<(f64, u32)>,
    room: Vec<f64>,
}

impl<'a> Field<'a> {
    fn new(weights: &'a [f64]) -> Self {
        let nearest = vec![(f64::INFINITY, 0); weights.len()];
        Self { weights, nearest, room: vec![0.0; weights.len()] }
    }

    /// How likely a point is to be drawn, up to a factor.
    fn chance(&self, i: usize) -> f64 {
        let (d, _) = self.nearest[i];
        self.weights[i] * if d.is_finite() { d * d } else { 1.0 }
    }

    /// The point up to which the chances, in a row, come to this share of their sum; `None` if there is no
    /// chance.
    fn draw(&self, share: f64) -> Option<usize> {
        let all = 0..self.weights.len();
        let mut left = share * all.clone().map(|i| self.chance(i)).sum::<f64>();
        let mut last = None;
        for i in all.filter(|i| self.chance(*i) > 0.0) {
            last = Some(i);
            left -= self.chance(i);
            if left < 0.0 {
                break;
            }
        }
        last
    }

    /// The point farthest from all landmarks, the first of equals; `None` if all coincide with one.
    fn farthest(&self) -> Option<usize> {
        let farther =
            |b: usize, i: usize| if self.nearest[i].0 > self.nearest[b].0 { i } else { b };
        let best = (0..self.nearest.len()).fold(0, farther);
        (self.nearest[best].0 > 0.0).then_some(best)
    }

    /// Makes `point` landmark number `number`, for the distances in `room`.
    fn take(&mut self, point: usize, number: usize) {
        self.room[point] = 0.0;
        for (nearest, d) in self.nearest.iter_mut().zip(&self.room) {
            if *d < nearest.0 {
                *nearest = (*d, number as u32);
            }
        }
    }

    fn masses(&self, count: usize) -> Vec<f64> {
        let mut masses = vec![0.0; count];
        for ((_, number), weight) in self.nearest.iter().zip(self.weights) {
            masses[*number as usize] += weight;
        }
        masses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(choice: Choice, places: &[f64], most: usize, seed: u64) -> Landmarks {
        let weights = vec![1.0; places.len()];
        let distances = |i: usize, out: &mut [f64]| {
            out.iter_mut().zip(places).for_each(|(d, x)| *d = (x - places[i]).abs());
            Ok::<_, ()>(())
        };
        choice.choose(&weights, most, seed, distances).unwrap()
    }

    #[test]
    fn the_farthest_by_hand() {
        let got = choose(Choice::Farthest, &[0.0, 1.0, 10.0, 4.0, 9.0], 3, 0);
        assert_eq!((got.chosen, got.masses), (vec![0, 2, 3], vec![2.0, 2.0, 1.0]));
    }

    #[test]
    fn all_of_few_and_none_twice() {
        for choice in [Choice::Farthest, Choice::Seeded] {
            assert_eq!(choose(choice, &[3.0, 1.0], 2, 0).chosen, [0, 1]);
            let got = choose(choice, &[5.0, 5.0, 7.0, 5.0], 3, 1);
            assert_eq!(got.chosen.len(), 2, "points that coincide");
            assert_eq!(got.masses.iter().sum::<f64>(), 4.0);
        }
    }

    #[test]
    fn chance_is_spread_and_repeatable() {
        let places: Vec<f64> = (0..300).map(|i| f64::from(i % 3) * 100.0).collect();
        for seed in 0..20 {
            let mut groups: Vec<_> =
                choose(Choice::Seeded, &places, 3, seed).chosen.iter().map(|i| i % 3).collect();
            assert_eq!(
                groups,
                choose(Choice::Seeded, &places, 3, seed)
                    .chosen
                    .iter()
                    .map(|i| i % 3)
                    .collect::<Vec<_>>()
            );
            groups.sort_unstable();
            assert_eq!(groups, [0, 1, 2], "one in each group");
        }
    }
}
