//! Scales of colours that colour-blind people can read too.

/// From dark blue over grey to yellow, evenly lighter (after Cividis: Nunez, Anderton and Renslow, PLOS
/// ONE 13 (2018) e0199239).
const RISING: [[f64; 3]; 5] = [
    [0.0, 34.0, 78.0],
    [67.0, 78.0, 108.0],
    [125.0, 124.0, 120.0],
    [188.0, 174.0, 108.0],
    [254.0, 232.0, 56.0],
];

/// From blue over white to red, both ends equally dark.
const BOTH_WAYS: [[f64; 3]; 7] = [
    [5.0, 48.0, 120.0],
    [48.0, 116.0, 184.0],
    [146.0, 192.0, 222.0],
    [247.0, 247.0, 247.0],
    [246.0, 178.0, 142.0],
    [206.0, 82.0, 64.0],
    [122.0, 8.0, 36.0],
];

/// The colour of a share from 0 (low, dark) to 1 (high, light).
pub fn rising(share: f64) -> String {
    hex(mix(&RISING, share))
}

/// The colour of a value from -1 (blue) over 0 (white) to 1 (red).
pub fn both_ways(value: f64) -> String {
    hex(mix(&BOTH_WAYS, (value + 1.0) / 2.0))
}

/// The colour of a text on [`rising`].
pub fn text_on_rising(share: f64) -> &'static str {
    let [r, g, b] = mix(&RISING, share);
    if 0.299 * r + 0.587 * g + 0.114 * b > 115.0 { "#10151c" } else { "#ffffff" }
}

fn mix(stops: &[[f64; 3]], share: f64) -> [f64; 3] {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 };
    let place = share * (stops.len() - 1) as f64;
    let below = (place as usize).min(stops.len() - 2);
    let part = place - below as f64;
    std::array::from_fn(|c| stops[below][c] + part * (stops[below + 1][c] - stops[below][c]))
}

fn hex([r, g, b]: [f64; 3]) -> String {
    format!("#{:02x}{:02x}{:02x}", r.round() as u8, g.round() as u8, b.round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_middle() {
        assert_eq!((rising(0.0), rising(2.0)), ("#00224e".into(), "#fee838".into()));
        assert_eq!((both_ways(-1.0), both_ways(0.0)), ("#053078".into(), "#f7f7f7".into()));
        assert_eq!(both_ways(f64::NAN), "#f7f7f7");
    }

    #[test]
    fn rising_gets_lighter_and_both_ends_are_equally_dark() {
        let light = |[r, g, b]: [f64; 3]| 0.299 * r + 0.587 * g + 0.114 * b;
        let steps: Vec<f64> = (0..=20).map(|i| light(mix(&RISING, f64::from(i) / 20.0))).collect();
        assert!(steps.is_sorted());
        let (low, high) = (light(mix(&BOTH_WAYS, 0.0)), light(mix(&BOTH_WAYS, 1.0)));
        assert!((low - high).abs() < 10.0, "{low} {high}");
    }
}
