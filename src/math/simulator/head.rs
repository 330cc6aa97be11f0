//! The potential of a dipole in the brain on the surface of a spherical head of three shells.
//!
//! In: place (inside the brain, head radius 1) and moment of a dipole, direction of an electrode.
//! Out: the potential at the electrode, in arbitrary units, relative to the mean over the sphere.
//!
//! With b the distance of the dipole from the centre, u its direction, e that of the electrode and
//! x = u . e, `V = sum over n of g_n b^(n-1) [ n (p . u) P_n(x) + (p . (e - x u)) P_n'(x) ]`. In
//! each shell the term of degree n is `A r^n + B r^-(n+1)`. Marching inwards from the scalp, where
//! no current leaves, with potential and normal current continuous at each boundary, gives B in
//! the brain, which the dipole sets; g_n is the potential at the scalp over that B.

type Vector = [f64; 3];

/// Outer radius and relative conductivity of scalp and skull.
const SHELLS: [(f64, f64); 2] = [(1.0, 1.0), (0.92, 1.0 / 40.0)];

/// Radius of the brain, whose relative conductivity is 1.
const BRAIN: f64 = 0.87;

/// Degrees of the series; for a dipole 0.8 from the centre the rest is below 1e-4 of the sum.
const DEGREES: usize = 50;

/// A head, as the gain of each degree of the series.
pub struct Head {
    gains: [f64; DEGREES],
}

impl Head {
    /// The head of three shells.
    pub fn new() -> Self {
        Self::of_shells(&SHELLS, BRAIN)
    }

    fn of_shells(shells: &[(f64, f64)], brain: f64) -> Self {
        let gains = std::array::from_fn(|i| {
            let n = (i + 1) as f64;
            let (mut a, mut b) = (1.0, n / (n + 1.0));
            let surface = a + b;
            for (shell, &(_, conductivity)) in shells.iter().enumerate() {
                let (r, inner) = shells.get(shell + 1).copied().unwrap_or((brain, 1.0));
                let potential = a * r.powf(n) + b * r.powf(-n - 1.0);
                let slope = n * a * r.powf(n - 1.0) - (n + 1.0) * b * r.powf(-n - 2.0);
                let slope = slope * conductivity / inner;
                a = ((n + 1.0) * potential / r + slope) * r.powf(1.0 - n) / (2.0 * n + 1.0);
                b = (n * potential / r - slope) * r.powf(n + 2.0) / (2.0 * n + 1.0);
            }
            surface / b
        });
        Self { gains }
    }

    /// The potential at `electrode` (a unit vector) of a dipole at `place` with `moment`.
    pub fn potential(&self, place: Vector, moment: Vector, electrode: Vector) -> f64 {
        let depth = dot(place, place).sqrt();
        let out = place.map(|v| v / depth);
        let x = dot(out, electrode);
        let radial = dot(moment, out);
        let tangential = dot(moment, electrode) - x * radial;
        let (mut p_before, mut p) = (1.0, x);
        let (mut slope_before, mut slope) = (0.0, 1.0);
        let (mut power, mut sum) = (1.0, 0.0);
        for (i, gain) in self.gains.iter().enumerate() {
            let n = (i + 1) as f64;
            sum += gain * power * (n * radial * p + tangential * slope);
            power *= depth;
            let p_next = ((2.0 * n + 1.0) * x * p - n * p_before) / (n + 1.0);
            let slope_next = slope_before + (2.0 * n + 1.0) * p;
            (p_before, p) = (p, p_next);
            (slope_before, slope) = (slope, slope_next);
        }
        sum
    }

    /// The potential at each of `electrodes`.
    pub fn topography(&self, place: Vector, moment: Vector, electrodes: &[Vector]) -> Vec<f64> {
        electrodes.iter().map(|&e| self.potential(place, moment, e)).collect()
    }
}

/// The scalar product.
pub fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A point current in a homogeneous sphere: `2 (1/d - 1) + ln(2 / (1 - b x + d))`.
    fn point_source(place: Vector, electrode: Vector) -> f64 {
        let bx = dot(place, electrode);
        let d = (1.0 + dot(place, place) - 2.0 * bx).sqrt();
        2.0 * (1.0 / d - 1.0) + (2.0 / (1.0 - bx + d)).ln()
    }

    #[test]
    fn one_shell_agrees_with_the_closed_form() {
        let head = Head::of_shells(&[(1.0, 1.0)], BRAIN);
        let electrode = [0.48, -0.6, 0.64];
        for place in [[0.1, 0.2, 0.5], [-0.3, 0.4, 0.2], [0.25, -0.3, 0.4]] {
            let moment = [0.3, -1.0, 0.7];
            let step = 1e-5;
            let moved = |s: f64| std::array::from_fn(|i| place[i] + s * moment[i]);
            let expected = (point_source(moved(step), electrode)
                - point_source(moved(-step), electrode))
                / (2.0 * step);
            let got = head.potential(place, moment, electrode);
            assert!((got - expected).abs() < 1e-6 * expected.abs().max(1.0), "{got} {expected}");
        }
    }

    #[test]
    fn the_skull_weakens_and_blurs() {
        let bare = Head::of_shells(&[(1.0, 1.0)], BRAIN);
        let head = Head::new();
        let place = [0.0, 0.0, 0.8];
        let up = [0.0, 0.0, 1.0];
        let aside = [0.5, 0.0, 0.75f64.sqrt()];
        let peak = head.potential(place, up, up);
        assert!(peak > 0.0 && peak < 0.3 * bare.potential(place, up, up));
        let blur = head.potential(place, up, aside) / peak;
        assert!(blur > bare.potential(place, up, aside) / bare.potential(place, up, up));
    }
}
