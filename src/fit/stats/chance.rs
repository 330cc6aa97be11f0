//! Better than guessing?

use statrs::distribution::{Binomial, DiscreteCDF};

/// The probability to get at least `correct` of `n` trials right by guessing, each with probability
/// `chance`: the p of a one-sided binomial test.
pub fn chance_p(correct: usize, n: usize, chance: f64) -> f64 {
    match (correct, Binomial::new(chance, n as u64)) {
        (0, _) | (_, Err(_)) => 1.0,
        (correct, Ok(guesses)) => guesses.sf(correct as u64 - 1).clamp(0.0, 1.0),
    }
}

/// The smallest number of `n` trials that guessing among `classes` reaches with probability `level` at
/// most; `None` where even all of them are too few to tell.
///
/// Divided by `n` it is the accuracy from which on a result is better than chance at that level, which
/// for few trials lies far above 1 / `classes`.
///
/// Reference: Combrisson and Jerbi, Journal of Neuroscience Methods 250 (2015) 126-136.
pub fn chance_threshold(n: usize, classes: usize, level: f64) -> Option<usize> {
    let chance = 1.0 / classes.max(1) as f64;
    // The probability falls with the number, so that the answer can be bisected.
    let (mut too_few, mut enough) = (0, n + 1);
    while enough - too_few > 1 {
        let middle = too_few.midpoint(enough);
        let unlikely = chance_p(middle, n, chance) <= level;
        *(if unlikely { &mut enough } else { &mut too_few }) = middle;
    }
    (enough <= n).then_some(enough)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(chance_p(0, 5, 0.5), 1.0);
        assert!((chance_p(5, 5, 0.5) - 1.0 / 32.0).abs() < 1e-12);
        assert!((chance_p(4, 5, 0.5) - 6.0 / 32.0).abs() < 1e-12);
        assert_eq!(chance_threshold(5, 2, 0.05), Some(5));
        assert_eq!(chance_threshold(4, 2, 0.05), None);
        assert_eq!(chance_threshold(0, 2, 0.05), None);
        assert_eq!(chance_threshold(10, 1, 0.05), None);
    }
}
