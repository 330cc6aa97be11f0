//! Into how many parts a graph falls.

/// How many connected parts n nodes have of which those share an edge that `edge` says so of. `queue` and
/// `seen` have room for n.
pub fn count(
    n: usize,
    queue: &mut [usize],
    seen: &mut [bool],
    edge: impl Fn(usize, usize) -> bool,
) -> usize {
    seen.fill(false);
    let mut parts = 0;
    for start in 0..n {
        if seen[start] {
            continue;
        }
        parts += 1;
        seen[start] = true;
        queue[0] = start;
        let (mut first, mut end) = (0, 1);
        while first < end {
            let i = queue[first];
            first += 1;
            for (j, seen) in seen.iter_mut().enumerate() {
                if !*seen && edge(i, j) {
                    *seen = true;
                    queue[end] = j;
                    end += 1;
                }
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn chains_and_loners() {
        let parts =
            |n, edge: fn(usize, usize) -> bool| count(n, &mut vec![0; n], &mut vec![true; n], edge);
        assert_eq!(parts(6, |i, j| i.abs_diff(j) == 1), 1);
        assert_eq!(parts(6, |i, j| i.abs_diff(j) == 2), 2);
        assert_eq!(parts(4, |_, _| false), 4);
        assert_eq!(parts(4, |i, j| i + j == 3), 2);
    }
}
