//! Who shares an edge: the nearest, or all within a radius.

/// Which pairs of nodes share an edge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Two of which one is among the so many nearest of the other.
    Nearest(usize),
    /// Two that are no farther apart than this.
    Within(f64),
}

impl Rule {
    /// Marks in `edges`, n x n, which of n nodes with these `distances`, n x n, share an edge; nobody does
    /// at an infinite distance. Of two that are as near, the one with the lower number. `order` has room
    /// for n numbers.
    pub fn mark(self, distances: &[f64], n: usize, order: &mut [usize], edges: &mut [bool]) {
        edges.fill(false);
        for (i, row) in distances.chunks_exact(n).enumerate() {
            let finite = |j: usize| j != i && row[j].is_finite();
            let mut count = 0;
            for j in (0..n).filter(|j| finite(*j)) {
                order[count] = j;
                count += 1;
            }
            let others = &mut order[..count];
            let near: &[usize] = match self {
                Self::Nearest(0) => &[],
                Self::Nearest(k) if k < count => {
                    let nearer = |a: &usize, b: &usize| row[*a].total_cmp(&row[*b]).then(a.cmp(b));
                    others.select_nth_unstable_by(k - 1, nearer);
                    &others[..k]
                }
                _ => others,
            };
            let radius = if let Self::Within(radius) = self { radius } else { f64::INFINITY };
            for j in near.iter().filter(|j| row[**j] <= radius) {
                (edges[i * n + j], edges[j * n + i]) = (true, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(rule: Rule, places: &[f64]) -> Vec<(usize, usize)> {
        let n = places.len();
        let d: Vec<f64> = (0..n * n).map(|e| (places[e / n] - places[e % n]).abs()).collect();
        let d: Vec<f64> = d.iter().map(|d| if d.is_nan() { f64::INFINITY } else { *d }).collect();
        let mut marks = vec![true; n * n];
        rule.mark(&d, n, &mut vec![0; n], &mut marks);
        assert!((0..n * n).all(|e| marks[e] == marks[e % n * n + e / n]), "symmetric");
        (0..n * n).filter(|e| e / n <= e % n && marks[*e]).map(|e| (e / n, e % n)).collect()
    }

    #[test]
    fn the_nearest_of_either() {
        let places = [0.0, 1.0, 1.5, 9.0];
        assert_eq!(edges(Rule::Nearest(1), &places), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(edges(Rule::Nearest(0), &places), []);
        assert_eq!(edges(Rule::Nearest(7), &places).len(), 6);
        assert_eq!(edges(Rule::Nearest(1), &[0.0, 0.0, 0.0]), [(0, 1), (0, 2)], "ties");
    }

    #[test]
    fn within_a_radius() {
        assert_eq!(edges(Rule::Within(1.0), &[0.0, 1.0, 1.5, 9.0]), [(0, 1), (1, 2)]);
    }

    #[test]
    fn nobody_is_near_at_infinity() {
        assert_eq!(edges(Rule::Nearest(2), &[0.0, f64::NAN, 1.0, 2.0]), [(0, 2), (0, 3), (2, 3)]);
        assert_eq!(edges(Rule::Within(9.0), &[0.0, f64::NAN]), []);
    }
}
