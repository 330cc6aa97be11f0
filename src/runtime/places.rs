//! Where channels are, as networks that work with any montage want it (spatial attention).

use crate::frame::{Channel, Direction};
use crate::math::montage::position;
use crate::math::topomap::project;

/// What stands for a channel whose place is not known.
pub const UNKNOWN: [f64; 2] = [-1.0, -1.0];

/// The places of `channels` seen from above (azimuthal equidistant projection), each axis scaled so that they
/// reach from 0 to 1. What the stream says of a sensor counts, else its label (10-20 system); -1, -1 where
/// neither is known.
pub fn places(channels: &[&Channel]) -> Vec<[f64; 2]> {
    let direction = |c: &Channel| c.direction.map(Direction::unit).or_else(|| position(&c.label));
    let seen: Vec<Option<[f64; 2]>> = channels.iter().map(|c| direction(c).map(project)).collect();
    let scaled = |axis: usize| {
        let values = || seen.iter().flatten().map(move |place| place[axis]);
        let low = values().fold(f64::INFINITY, f64::min);
        let width = values().fold(f64::NEG_INFINITY, f64::max) - low;
        move |value: f64| if width > 0.0 { (value - low) / width } else { 0.5 }
    };
    let (across, along) = (scaled(0), scaled(1));
    seen.iter().map(|place| place.map_or(UNKNOWN, |[x, y]| [across(x), along(y)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_fill_the_unit_square_and_unknown_ones_are_marked() {
        let names = ["T7", "T8", "Fz", "Pz", "nowhere"].map(Channel::named);
        let given = Channel { direction: Direction::to([0.0, 0.0, 5.0]), ..Channel::named("MEG1") };
        let channels: Vec<&Channel> = names.iter().chain([&given]).collect();
        let places = places(&channels);
        let near = |i: usize, want: [f64; 2]| {
            let [x, y] = places[i];
            assert!((x - want[0]).abs() < 1e-6 && (y - want[1]).abs() < 1e-6, "{i}: {x} {y}");
        };
        near(0, [0.0, 0.5]);
        near(1, [1.0, 0.5]);
        near(2, [0.5, 1.0]);
        near(3, [0.5, 0.0]);
        near(5, [0.5, 0.5]);
        assert_eq!(places[4], UNKNOWN);
    }
}
