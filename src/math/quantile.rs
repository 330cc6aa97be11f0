//! Quantiles, as NumPy's default: between two numbers in proportion.

/// The quantile `q`, from 0 to 1, of `sorted`; 0 of none.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = q * last as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// The quantile `q`, from 0 to 1, of `values`, which it puts into another order; 0 of none. Time grows with their number, and
/// not as it does for sorting.
pub fn select(values: &mut [f64], q: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    let place = q * last as f64;
    let (_, low, above) = values.select_nth_unstable_by(place.floor() as usize, f64::total_cmp);
    let low = *low;
    let high = match place.fract() {
        0.0 => None,
        _ => above.iter().copied().min_by(f64::total_cmp),
    };
    low + (high.unwrap_or(low) - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::numbers;

    #[test]
    fn selecting_is_sorting_and_looking() {
        for n in [0, 1, 2, 3, 8, 181, 400] {
            // Some are equal.
            let values: Vec<f64> = numbers(n, 3).iter().map(|v| (8.0 * v).round()).collect();
            let mut sorted = values.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            for q in [0.0, 0.1, 0.25, 0.5, 0.75, 1.0] {
                assert_eq!(select(&mut values.clone(), q), quantile(&sorted, q), "{n} {q}");
            }
        }
    }
}
