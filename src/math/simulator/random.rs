//! Where all randomness of the simulator comes from: one generator per use.
//!
//! In: the seed of the simulator, the use, an index. Out: a generator that depends on nothing else,
//! so that changing the setting of one part leaves the numbers of all other parts as they were.

use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

/// What a generator is for.
#[derive(Debug, Clone, Copy)]
pub enum Use {
    Places = 1,
    Background,
    Rhythm,
    Blinks,
    LineGains,
    Drift,
    Noise,
    Trials,
}

/// The generator number `index` for `what`.
pub fn generator(seed: u64, what: Use, index: u64) -> Pcg64 {
    // The child draws both its state and its sequence: siblings of one state would be related.
    let stream = u128::from(index) << 8 | what as u128;
    Pcg64::from_rng(&mut Pcg64::new(seed.into(), stream))
}

/// A number from the standard normal distribution.
pub fn normal(rng: &mut Pcg64) -> f64 {
    StandardNormal.sample(rng)
}
