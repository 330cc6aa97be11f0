//! The map of an embedding, with all that it needs to place a window.

use super::embedding::Settings;
use crate::error::{Error, Result};
use crate::math::manifold::map::Map;
use crate::math::manifold::pca::Pca;
use crate::math::manifold::points::Points;
use crate::math::spd::{Geometry, Metric, Tangent};

/// What places windows.
pub enum Chart {
    /// Landmarks, one after the other.
    Kernel { landmarks: Vec<f64>, points: Points, map: Map, distances: Vec<f64>, room: Vec<f64> },
    /// For matrices also the mean.
    Linear {
        pca: Pca,
        reference: Vec<f64>,
        tangent: Option<Box<(Geometry, Tangent)>>,
        room: Vec<f64>,
    },
}

impl Chart {
    /// Writes the coordinates of `x`; false if it has none.
    pub fn place(&mut self, settings: &Settings, x: &[f64], out: &mut [f64]) -> bool {
        match self {
            Self::Kernel { points, map, distances, room, .. } => {
                let measured = points.distances(x, distances).is_ok();
                map.apply(settings.neighbours, distances, room, out);
                measured
            }
            Self::Linear { pca, tangent: Some(space), room, .. } => {
                let (geometry, space) = &mut **space;
                let measured = geometry.tangent(space, x, room).is_ok();
                pca.apply(room, out);
                measured
            }
            Self::Linear { pca, .. } => {
                pca.apply(x, out);
                true
            }
        }
    }

    /// A map of landmarks, one after the other, of this shape. Allocates.
    pub fn kernel(
        shape: (usize, usize),
        metric: Metric,
        landmarks: Vec<f64>,
        map: Map,
    ) -> Result<Self> {
        let count = map.shares.len();
        let points = points(shape, metric, landmarks.chunks_exact(shape.0 * shape.1))?;
        let room = || vec![0.0; count];
        Ok(Self::Kernel { landmarks, points, map, distances: room(), room: room() })
    }

    /// Principal components of vectors, or of matrices of `n` x `n` at a `reference`, which is empty for
    /// vectors. Allocates.
    pub fn linear(n: usize, metric: Metric, reference: Vec<f64>, pca: Pca) -> Result<Self> {
        let room = vec![0.0; pca.mean.len()];
        let tangent = match reference.is_empty() {
            true => None,
            false => {
                let mut geometry = Geometry::new(metric, n);
                let space = geometry.tangent_at(&reference)?;
                Some(Box::new((geometry, space)))
            }
        };
        Ok(Self::Linear { pca, reference, tangent, room })
    }
}

/// Points of the shape of the frames: vectors where these have one row.
pub fn points<'a>(
    (rows, cols): (usize, usize),
    metric: Metric,
    data: impl Iterator<Item = &'a [f64]>,
) -> Result<Points> {
    if rows == 1 {
        return Ok(Points::vectors(data, cols));
    }
    let points = Points::matrices(data, rows, metric);
    points.map_err(|e| Error::mismatch(format!("a matrix of the examples {e}")))
}
