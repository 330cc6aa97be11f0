//! Points that distances are measured to: vectors, or covariance matrices under a metric.

use super::distance;
use crate::math::linalg::NotSpd;
use crate::math::spd::{Geometry, Metric, Reference};

/// Points of one kind and size.
pub struct Points(Kind);

enum Kind {
    /// One row of so many numbers after the other.
    Vectors {
        rows: Vec<f64>,
        width: usize,
    },
    Matrices {
        geometry: Box<Geometry>,
        references: Vec<Reference>,
    },
}

impl Points {
    /// Vectors, which are as far apart as their difference is long. Allocates.
    pub fn vectors<'a>(points: impl Iterator<Item = &'a [f64]>, width: usize) -> Self {
        Self(Kind::Vectors { rows: points.flatten().copied().collect(), width })
    }

    /// Symmetric positive definite matrices, n x n. Allocates.
    pub fn matrices<'a>(
        points: impl Iterator<Item = &'a [f64]>,
        n: usize,
        metric: Metric,
    ) -> Result<Self, NotSpd> {
        let mut geometry = Box::new(Geometry::new(metric, n));
        let references = points.map(|x| geometry.reference(x)).collect::<Result<_, _>>()?;
        Ok(Self(Kind::Matrices { geometry, references }))
    }

    /// The distances of `x` to all of them.
    pub fn distances(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), NotSpd> {
        match &mut self.0 {
            Kind::Vectors { rows, width } => {
                for (d, row) in out.iter_mut().zip(rows.chunks_exact(*width)) {
                    *d = distance::square(x, row).sqrt();
                }
                Ok(())
            }
            Kind::Matrices { geometry, references } => geometry.distances(x, references, out),
        }
    }
}
