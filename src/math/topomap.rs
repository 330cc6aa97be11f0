//! A head seen from above: where electrodes are drawn, and what lies between them.
//!
//! In: electrodes as unit vectors (see [`super::montage`]) and one number at each. Out: places in the
//! plane, and the number anywhere on the head.

use faer::Mat;
use faer::linalg::solvers::Solve;
use std::f64::consts::PI;

/// The angle from the vertex (Cz) to the rim of the drawn head: the plane through nasion, ears and
/// inion, where the 10-20 system begins and ends.
const RIM: f64 = 5.0 * PI / 8.0;

/// Order of the splines and number of terms of their series, as in MNE-Python.
const ORDER: i32 = 4;
const TERMS: i32 = 50;

/// What is added to the diagonal: how far the map may pass beside the numbers at the electrodes.
const SMOOTHING: f64 = 1e-5;

/// The place of a unit vector in the plane: x to the right, y to the front, the rim at distance 1.
/// Distances from the centre are true to the angle (azimuthal equidistant projection).
pub fn project([x, y, z]: [f64; 3]) -> [f64; 2] {
    let across = x.hypot(y);
    let radius = across.atan2(z) / RIM;
    if across > 0.0 { [radius * x / across, radius * y / across] } else { [0.0, radius] }
}

/// The unit vector that is drawn at a place in the plane.
pub fn unproject([x, y]: [f64; 2]) -> [f64; 3] {
    let radius = x.hypot(y);
    let (sin, cos) = (radius * RIM).sin_cos();
    if radius > 0.0 { [sin * x / radius, sin * y / radius, cos] } else { [0.0, 0.0, 1.0] }
}

/// The cosine of the angle between two unit vectors.
pub fn cosine(a: [f64; 3], b: [f64; 3]) -> f64 {
    (a[0] * b[0] + a[1] * b[1] + a[2] * b[2]).clamp(-1.0, 1.0)
}

/// Numbers at electrodes, carried on to the whole sphere by spherical splines:
/// `v(r) = c_0 + sum_i c_i g(r . r_i)` with sum c_i = 0, and
/// `g(x) = 1 / (4 pi) sum_n (2n + 1) / (n (n + 1))^4 P_n(x)`, P_n the Legendre polynomials.
///
/// Reference: Perrin et al., Electroencephalography and Clinical Neurophysiology 72 (1989) 184-187.
pub struct Spline {
    electrodes: Vec<[f64; 3]>,
    /// One per electrode, then the constant.
    coefficients: Vec<f64>,
}

impl Spline {
    /// The spline through `values` at `electrodes` (unit vectors). `None` where there are none, or
    /// where something is not finite.
    pub fn new(electrodes: &[[f64; 3]], values: &[f64]) -> Option<Self> {
        let n = electrodes.len().min(values.len());
        if n == 0 {
            return None;
        }
        let system = system(&electrodes[..n]);
        let wanted = Mat::from_fn(n + 1, 1, |i, _| if i < n { values[i] } else { 0.0 });
        let solution = system.partial_piv_lu().solve(&wanted);
        let coefficients: Vec<f64> = (0..=n).map(|i| solution[(i, 0)]).collect();
        let good = coefficients.iter().all(|c| c.is_finite());
        good.then(|| Self { electrodes: electrodes[..n].to_vec(), coefficients })
    }

    /// The number at a unit vector.
    pub fn at(&self, place: [f64; 3]) -> f64 {
        let pairs = self.electrodes.iter().zip(&self.coefficients);
        let constant = self.coefficients.last().copied().unwrap_or(0.0);
        constant + pairs.map(|(e, c)| c * kernel(cosine(place, *e))).sum::<f64>()
    }
}

/// What numbers at `electrodes` are multiplied by to find those at `places`, as [`Spline`] carries them on: one row
/// for each place, one column for each electrode. `None` where there are no electrodes, or where something is
/// not finite.
///
/// Reference: `mne.channels.interpolation._make_interpolation_matrix`.
pub fn weights(electrodes: &[[f64; 3]], places: &[[f64; 3]]) -> Option<Vec<f64>> {
    let n = electrodes.len();
    if n == 0 {
        return None;
    }
    // The system is symmetric, so that its inverse may be taken to the places instead of to the numbers.
    let reach = Mat::from_fn(n + 1, places.len(), |i, j| match electrodes.get(i) {
        Some(electrode) => kernel(cosine(places[j], *electrode)),
        None => 1.0,
    });
    let solution = system(electrodes).partial_piv_lu().solve(&reach);
    let rows = (0..places.len()).flat_map(|j| (0..n).map(move |i| (i, j)));
    let weights: Vec<f64> = rows.map(|at| solution[at]).collect();
    weights.iter().all(|w| w.is_finite()).then_some(weights)
}

/// The equations for the coefficients of a spline.
fn system(electrodes: &[[f64; 3]]) -> Mat<f64> {
    let n = electrodes.len();
    Mat::from_fn(n + 1, n + 1, |i, j| match (i < n, j < n) {
        (true, true) => {
            let ridge = if i == j { SMOOTHING } else { 0.0 };
            kernel(cosine(electrodes[i], electrodes[j])) + ridge
        }
        (false, false) => 0.0,
        _ => 1.0,
    })
}

/// g(x). The Legendre polynomials follow from one another:
/// `(n + 1) P_n+1 = (2n + 1) x P_n - n P_n-1`.
fn kernel(x: f64) -> f64 {
    let (mut before, mut polynomial, mut sum) = (1.0, x, 0.0);
    for term in 1..=TERMS {
        let n = f64::from(term);
        sum += (2.0 * n + 1.0) / (n * (n + 1.0)).powi(ORDER) * polynomial;
        let next = ((2.0 * n + 1.0) * x * polynomial - n * before) / (n + 1.0);
        (before, polynomial) = (polynomial, next);
    }
    sum / (4.0 * PI)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::montage;

    fn electrodes() -> Vec<[f64; 3]> {
        montage::EEGMMIDB.iter().filter_map(|label| montage::position(label)).collect()
    }

    #[test]
    fn the_plane_and_the_sphere_are_one_to_one() {
        for electrode in electrodes() {
            let back = unproject(project(electrode));
            assert!(cosine(back, electrode) > 1.0 - 1e-14, "{electrode:?} {back:?}");
        }
        assert_eq!(project([0.0, 0.0, 1.0]), [0.0, 0.0]);
        let [x, y] = project([0.0, 1.0, 0.0]);
        assert!(x.abs() < 1e-15 && (y - 0.8).abs() < 1e-15, "Fpz is at 90 of 112.5 degrees");
        let inion = project(montage::position("Iz").unwrap());
        assert!((inion[1] + 1.0).abs() < 1e-15, "Iz is on the rim");
    }

    #[test]
    fn a_spline_passes_through_its_numbers() {
        let electrodes = electrodes();
        // A dipole's field is smooth, so that the smoothing costs little.
        let values: Vec<f64> = electrodes.iter().map(|e| 2.0 + 3.0 * e[0] - e[2]).collect();
        let spline = Spline::new(&electrodes, &values).unwrap();
        for (electrode, value) in electrodes.iter().zip(&values) {
            assert!((spline.at(*electrode) - value).abs() < 0.01, "{electrode:?}");
        }
        let between = unproject([0.2, -0.3]);
        assert!((spline.at(between) - (2.0 + 3.0 * between[0] - between[2])).abs() < 0.01);
    }

    #[test]
    fn weights_are_those_of_the_spline() {
        let electrodes = electrodes();
        let values: Vec<f64> = (0..electrodes.len()).map(|i| ((7 * i) % 11) as f64).collect();
        let spline = Spline::new(&electrodes, &values).unwrap();
        let places = [unproject([0.2, -0.3]), unproject([-0.5, 0.1])];
        let weights = weights(&electrodes, &places).unwrap();
        for (place, row) in places.iter().zip(weights.chunks_exact(electrodes.len())) {
            let got: f64 = row.iter().zip(&values).map(|(w, v)| w * v).sum();
            assert!((got - spline.at(*place)).abs() < 1e-9, "{got}");
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9, "constants stay constant");
        }
        assert!(super::weights(&[], &places).is_none());
    }

    #[test]
    fn odd_input() {
        let (a, b) = ([0.0, 0.0, 1.0], [1.0, 0.0, 0.0]);
        assert!(Spline::new(&[], &[]).is_none());
        assert!(Spline::new(&[a, b], &[1.0, f64::NAN]).is_none());
        // One number is everywhere; two electrodes at one place share theirs.
        assert!((Spline::new(&[a], &[3.0]).unwrap().at(b) - 3.0).abs() < 1e-9);
        let doubled = Spline::new(&[a, a, b], &[1.0, 3.0, 5.0]).unwrap();
        assert!((doubled.at(a) - 2.0).abs() < 0.01, "{}", doubled.at(a));
    }
}
