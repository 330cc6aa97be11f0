//! Weights of edges: exp(-d^2 / (4 epsilon)), which is how heat spreads in a short time.
//!
//! Belkin and Niyogi, Neural Comput. 15 (2003). epsilon = median(d)^2 / 2 unless it is given, where the
//! median is over the whole matrix of distances with its zeros on the diagonal, as in pyRiemann's
//! `SpectralEmbedding`.

/// epsilon for these distances, n x n; pairs at infinity and nodes that have no others do not count. Where the
/// median is 0, the largest distance stands in for it. `room` holds n (n - 1) / 2 numbers.
pub fn scale(distances: &[f64], n: usize, room: &mut [f64]) -> f64 {
    let (mut nodes, mut count) = (0, 0);
    for (i, row) in distances.chunks_exact(n).enumerate() {
        let finite = |(j, d): &(usize, &f64)| *j != i && d.is_finite();
        nodes += usize::from(row.iter().enumerate().any(|v| finite(&v)));
        for (_, d) in row.iter().enumerate().take(i).filter(finite) {
            room[count] = *d;
            count += 1;
        }
    }
    let pairs = &mut room[..count];
    let median = median_of_all(pairs, nodes);
    let typical = match median > 0.0 {
        true => median,
        false => pairs.iter().fold(0.0_f64, |m, d| m.max(*d)),
    };
    0.5 * typical * typical
}

/// The median of `zeros` zeros and twice each of `pairs`.
fn median_of_all(pairs: &mut [f64], zeros: usize) -> f64 {
    let total = zeros + 2 * pairs.len();
    if pairs.is_empty() {
        return 0.0;
    }
    let mut at = |place: usize| match place.checked_sub(zeros) {
        None => 0.0,
        Some(place) => *pairs.select_nth_unstable_by(place / 2, f64::total_cmp).1,
    };
    0.5 * (at((total - 1) / 2) + at(total / 2))
}

/// The weight of two nodes at this distance: above 0, at most 1.
pub fn weight(distance: f64, epsilon: f64) -> f64 {
    if distance == 0.0 {
        return 1.0;
    }
    // Far apart is not the same as apart: what would be rounded to 0 is an edge still.
    (-distance * distance / (4.0 * epsilon)).exp().max(f64::MIN_POSITIVE)
}

/// Divides the weights, n x n, by the products of their row sums, into which each node goes with a weight
/// of 1 to itself: W_ij / (q_i q_j). That takes out how densely the nodes lie. `sums` holds n numbers.
pub fn normalise(weights: &mut [f64], n: usize, sums: &mut [f64]) {
    for (i, (q, row)) in sums.iter_mut().zip(weights.chunks_exact(n)).enumerate() {
        *q = 1.0 + row.iter().sum::<f64>() - row[i];
    }
    for (row, q) in weights.chunks_exact_mut(n).zip(&*sums) {
        row.iter_mut().zip(&*sums).for_each(|(w, p)| *w /= q * p);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against all n x n numbers in order.
    #[test]
    fn the_median_is_that_of_the_whole_matrix() {
        for n in 2..9_usize {
            let d = |i: usize, j: usize| ((i * j * 7 + i + j) % 23 + 1) as f64;
            let all: Vec<f64> =
                (0..n * n).map(|e| if e / n == e % n { 0.0 } else { d(e / n, e % n) }).collect();
            let mut sorted = all.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            let median = 0.5 * (sorted[(n * n - 1) / 2] + sorted[n * n / 2]);
            let got = scale(&all, n, &mut vec![0.0; n * n]);
            assert_eq!(got, 0.5 * median * median, "{n}");
        }
    }

    #[test]
    fn nodes_without_distances_do_not_count() {
        let far = f64::INFINITY;
        let all = [0.0, 3.0, far, 3.0, 0.0, far, far, far, 0.0];
        assert_eq!(scale(&all, 3, &mut [0.0; 3]), 0.5 * 1.5 * 1.5);
        assert_eq!(scale(&[0.0, far, far, 0.0], 2, &mut [0.0]), 0.0);
        let mut same = [0.0; 16];
        (same[3], same[12]) = (2.0, 2.0);
        assert_eq!(scale(&same, 4, &mut [0.0; 6]), 2.0, "the largest where the median is 0");
    }

    #[test]
    fn weights_stay_above_zero() {
        assert_eq!(weight(2.0, 1.0), (-1f64).exp());
        assert_eq!((weight(0.0, 0.0), weight(1e200, 1.0)), (1.0, f64::MIN_POSITIVE));
        assert!(weight(1.0, 0.0) > 0.0);
    }

    #[test]
    fn normalised_by_hand() {
        let mut w = [0.0, 0.5, 0.5, 0.0];
        normalise(&mut w, 2, &mut [0.0; 2]);
        assert_eq!(w, [0.0, 0.5 / 2.25, 0.5 / 2.25, 0.0]);
    }
}
