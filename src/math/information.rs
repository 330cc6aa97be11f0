//! How much a number tells about the class.
//!
//! In: one number and one class for each example. Out: their mutual information in bits,
//! H(class) - H(class | number). The density of the number in each class is the mean of normal densities
//! around its examples (Parzen windows) as wide as suits a normal distribution, h = s (4 / 3n)^(1/5) with s
//! the standard deviation and n the number of examples of the class; H(class | number) is the mean over
//! the examples. The selection of features by this is that of filter-bank CSP: Ang et al., IJCNN 2008.

/// Mutual information in bits of `values` and class indices `y` below `classes`.
pub fn mutual_information(values: &[f64], y: &[usize], classes: usize) -> f64 {
    let n = values.len() as f64;
    let overall = deviation(values);
    if overall <= 0.0 {
        return 0.0;
    }
    let windows: Vec<(Vec<f64>, f64)> = (0..classes)
        .map(|k| {
            let own: Vec<f64> =
                values.iter().zip(y).filter(|(_, l)| **l == k).map(|(v, _)| *v).collect();
            // A class without spread gets a narrow window, one with a single example that of all.
            let spread = if own.len() > 1 { deviation(&own).max(1e-3 * overall) } else { overall };
            let width = spread * (4.0 / (3.0 * own.len().max(1) as f64)).powf(0.2);
            (own, width)
        })
        .collect();
    let entropy = |shares: &[f64]| -> f64 {
        shares.iter().filter(|p| **p > 0.0).map(|p| -p * p.log2()).sum()
    };
    let priors: Vec<f64> = windows.iter().map(|(own, _)| own.len() as f64 / n).collect();
    let given = |v: f64| -> f64 {
        let density = |(own, h): &(Vec<f64>, f64)| -> f64 {
            own.iter().map(|o| (-0.5 * ((v - o) / h).powi(2)).exp()).sum::<f64>() / (n * h)
        };
        let joint: Vec<f64> = windows.iter().map(density).collect();
        let sum: f64 = joint.iter().sum();
        entropy(&joint.iter().map(|p| p / sum).collect::<Vec<f64>>())
    };
    entropy(&priors) - values.iter().map(|v| given(*v)).sum::<f64>() / n
}

/// The standard deviation (divisor n).
fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_nothing_to_everything() {
        let y = [0, 0, 0, 1, 1, 1];
        assert_eq!(mutual_information(&[2.0; 6], &y, 2), 0.0);
        let apart = mutual_information(&[0.0, 0.1, 0.2, 50.0, 50.1, 50.2], &y, 2);
        assert!((apart - 1.0).abs() < 1e-9, "{apart}");
        let mixed = mutual_information(&[0.0, 1.0, 2.0, 0.0, 1.0, 2.0], &y, 2);
        assert!(mixed.abs() < 1e-9, "{mixed}");
        assert!(mutual_information(&[0.0, 3.0], &[0, 1], 2).is_finite());
        assert!(mutual_information(&[0.0, 0.0, 3.0, 3.0], &[0, 0, 1, 1], 2) > 0.99);
    }
}
