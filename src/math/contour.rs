//! The outlines of what is high on a grid of numbers (marching squares).
//!
//! In: a grid, row by row, and a level. Out: closed lines around the points that reach the level, in
//! the grid's own coordinates (column, row).

use std::collections::BTreeMap;

/// A grid of numbers, `width` to a row.
#[derive(Debug, Clone, Copy)]
pub struct Grid<'a> {
    values: &'a [f64],
    width: usize,
    height: usize,
}

/// A side of a cell: from a grid point to the next one on the right or below.
type Side = (i64, i64, bool);

impl<'a> Grid<'a> {
    /// The grid of `values`; a last row that is not full is left out.
    pub fn new(values: &'a [f64], width: usize) -> Self {
        Self { values, width, height: values.len().checked_div(width).unwrap_or(0) }
    }

    /// The outlines of where the grid is at least `level`: closed lines, holes as lines of their own that
    /// turn the other way. Between grid points the numbers count as straight lines, outside the grid
    /// and where they are NaN as below every level.
    pub fn outlines(&self, level: f64) -> Vec<Vec<[f64; 2]>> {
        let mut next = BTreeMap::new();
        for y in -1..self.height as i64 {
            for x in -1..self.width as i64 {
                self.cross(x, y, level, &mut next);
            }
        }
        let mut lines = Vec::new();
        while let Some((first, mut side)) = next.pop_first() {
            let mut line = vec![self.crossing(first, level)];
            while side != first {
                line.push(self.crossing(side, level));
                // Each side that is crossed is entered once and left once, so there is a next one.
                match next.remove(&side) {
                    Some(after) => side = after,
                    None => break,
                }
            }
            lines.push(line);
        }
        lines
    }

    /// Notes how the outline crosses the cell right of and below the point (x, y): from which side to
    /// which.
    fn cross(&self, x: i64, y: i64, level: f64, next: &mut BTreeMap<Side, Side>) {
        let inside =
            [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)].map(|(x, y)| self.at(x, y) >= level);
        let sides = [(x, y, true), (x + 1, y, false), (x, y + 1, true), (x, y, false)];
        for corner in 0..4 {
            let leaves = inside[corner] && !inside[(corner + 1) % 4];
            if !leaves {
                continue;
            }
            // Back along the corners inside, to the side through which they were entered.
            let mut back = (corner + 3) % 4;
            while inside[back] {
                back = (back + 3) % 4;
            }
            next.insert(sides[corner], sides[back]);
        }
    }

    /// Where the outline crosses a side.
    fn crossing(&self, (x, y, across): Side, level: f64) -> [f64; 2] {
        let (dx, dy) = if across { (1, 0) } else { (0, 1) };
        let (a, b) = (self.at(x, y), self.at(x + dx, y + dy));
        let part = match (a.is_finite(), b.is_finite()) {
            (true, true) => (level - a) / (b - a),
            (true, false) => 0.0,
            _ => 1.0,
        };
        [x as f64 + part * dx as f64, y as f64 + part * dy as f64]
    }

    fn at(&self, x: i64, y: i64) -> f64 {
        let inside = |v: i64, end: usize| usize::try_from(v).ok().filter(|v| *v < end);
        match (inside(x, self.width), inside(y, self.height)) {
            (Some(x), Some(y)) => self.values[y * self.width + x],
            _ => f64::NEG_INFINITY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(line: &[[f64; 2]]) -> f64 {
        let pairs = line.iter().zip(line.iter().cycle().skip(1));
        pairs.map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f64>() / 2.0
    }

    #[test]
    fn a_peak_is_a_diamond() {
        let values = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        let lines = Grid::new(&values, 3).outlines(0.5);
        assert_eq!(lines.len(), 1);
        let mut line = lines[0].clone();
        line.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert_eq!(line, [[0.5, 1.0], [1.0, 0.5], [1.0, 1.5], [1.5, 1.0]]);
    }

    #[test]
    fn a_cone_has_the_area_of_its_circle() {
        let n = 81;
        let far = |i: usize| (i as f64 - 40.0) / 40.0;
        let cone: Vec<f64> = (0..n * n).map(|e| 1.0 - far(e % n).hypot(far(e / n))).collect();
        let lines = Grid::new(&cone, n).outlines(0.5);
        assert_eq!(lines.len(), 1);
        let wanted = std::f64::consts::PI * 20.0 * 20.0;
        assert!((area(&lines[0]).abs() / wanted - 1.0).abs() < 0.001);
    }

    #[test]
    fn holes_turn_the_other_way_and_borders_close() {
        let mut values = [1.0; 25];
        values[12] = f64::NAN;
        let lines = Grid::new(&values, 5).outlines(0.5);
        let mut areas: Vec<f64> = lines.iter().map(|l| area(l)).collect();
        areas.sort_by(f64::total_cmp);
        // The whole grid of 4 x 4, its point in the middle cut out up to its neighbours.
        assert_eq!((areas.len(), areas[0] * areas[1] < 0.0), (2, true));
        assert_eq!((areas[0].abs().max(areas[1].abs())), 16.0);
        assert!(Grid::new(&values, 5).outlines(2.0).is_empty());
        assert!(Grid::new(&[], 0).outlines(0.0).is_empty());
    }

    #[test]
    fn saddles_close_too() {
        let values: Vec<f64> = (0..64).map(|i| f64::from((i % 8 + i / 8) % 2)).collect();
        let lines = Grid::new(&values, 8).outlines(0.5);
        assert_eq!(lines.len(), 32);
        assert!(lines.iter().all(|l| l.len() == 4));
    }
}
