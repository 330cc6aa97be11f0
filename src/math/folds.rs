//! Who is tested when.

/// Stratified k-fold without shuffling: for each example the fold in which it is tested.
///
/// Every class is dealt out in order, so that each fold gets its share. The first folds take what
/// is left over, class after class, so that fold sizes differ by one at most; this is the scheme of
/// scikit-learn's `StratifiedKFold`.
pub fn stratified(labels: &[usize], k: usize) -> Vec<usize> {
    // Classes count in the order in which they first appear.
    let mut order: Vec<usize> = Vec::new();
    for label in labels {
        if !order.contains(label) {
            order.push(*label);
        }
    }
    let counts: Vec<usize> =
        order.iter().map(|class| labels.iter().filter(|l| *l == class).count()).collect();
    // How many of each class each fold takes: lay all examples in a row, sorted by class, and deal
    // them out like cards.
    let mut shares = vec![vec![0; k]; order.len()];
    let mut dealt = 0;
    for (class, count) in counts.iter().enumerate() {
        for _ in 0..*count {
            shares[class][dealt % k] += 1;
            dealt += 1;
        }
    }
    let mut plans: Vec<_> = shares
        .iter()
        .map(|share| share.iter().enumerate().flat_map(|(fold, n)| std::iter::repeat_n(fold, *n)))
        .collect();
    labels
        .iter()
        .map(|label| {
            let class = order.iter().position(|c| c == label).unwrap_or_default();
            plans[class].next().unwrap_or_default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::stratified;

    /// The expected folds were printed by scikit-learn 1.9.1, `StratifiedKFold(n_splits=...)`.
    #[test]
    fn agrees_with_scikit_learn() {
        let y = [0, 1, 1, 0, 0, 1, 0, 1, 1, 0, 1];
        assert_eq!(stratified(&y, 3), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]);
        let y = [2, 2, 0, 1, 1, 0, 2, 1, 0, 2];
        assert_eq!(stratified(&y, 2), [0, 0, 0, 0, 1, 0, 1, 1, 1, 1]);
    }

    #[test]
    fn every_fold_has_its_share() {
        let y: Vec<usize> = (0..45).map(|i| i * 7 % 2).collect();
        let folds = stratified(&y, 5);
        for fold in 0..5 {
            assert_eq!(folds.iter().filter(|f| **f == fold).count(), 9);
        }
    }
}
