//! What the stages on block Toeplitz matrices share: the size of a block, and means in a model file.

use crate::error::{Error, Result};
use crate::math::toeplitz::Coordinates;
use crate::stages::{Examples, Part, Tensor};

/// The size of a block of the examples, all square matrices of one size, where there are `order` x
/// `order`.
pub fn block_size(examples: &Examples<'_>, order: usize) -> Result<usize> {
    let first = examples.frames.first();
    let Some(first) = first else { return Err(Error::missing("there is no example")) };
    let n = first.rows;
    if n == 0 || examples.frames.iter().any(|x| (x.rows, x.cols) != (n, n)) {
        return Err(Error::mismatch("expected one or more square matrices of one size"));
    }
    if !n.is_multiple_of(order) {
        return Err(Error::setting(
            "order",
            format!(
                "matrices of {n} x {n} do not consist of {order} x {order} blocks: expected the `order` \
                 of the stage `augmented`"
            ),
        ));
    }
    Ok(n / order)
}

/// The arrays `power`, points x C x C, and `omegas`, points x (d - 1) x C x C.
pub fn save(points: &[Coordinates], order: usize, cols: usize, classes: Vec<String>) -> Part {
    let tensor = |shape: Vec<usize>, part: &dyn Fn(&Coordinates) -> Vec<f64>| Tensor {
        shape,
        data: points.iter().flat_map(part).collect(),
    };
    let power = tensor(vec![points.len(), cols, cols], &|p| p.power.clone());
    let omegas = tensor(vec![points.len(), order - 1, cols, cols], &|p| p.omegas.clone());
    let tensors = [("power".to_string(), power), ("omegas".to_string(), omegas)].into();
    Part { tensors, classes }
}

/// The points, and the size of a block.
pub fn load(part: &Part, order: usize) -> Result<(Vec<Coordinates>, usize)> {
    let power = part.tensor("power", 3)?;
    let omegas = part.tensor("omegas", 4)?;
    let (count, cols) = (power.shape[0], power.shape[1]);
    if count == 0
        || cols == 0
        || power.shape != [count, cols, cols]
        || omegas.shape != [count, order - 1, cols, cols]
    {
        return Err(Error::mismatch(format!(
            "the model's arrays `power` and `omegas` have shapes {:?} and {:?}, which do not fit with \
             each other and with {order} copies of the channels",
            power.shape, omegas.shape
        )));
    }
    let block = cols * cols;
    let point = |i: usize| Coordinates {
        power: power.data[i * block..][..block].to_vec(),
        omegas: omegas.data[i * (order - 1) * block..][..(order - 1) * block].to_vec(),
    };
    Ok(((0..count).map(point).collect(), cols))
}
