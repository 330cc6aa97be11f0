//! A fixed matrix across channels: each channel that goes out is a sum of those that come in.

use crate::frame::Frame;
use crate::stages::{Emit, Fault};

/// The matrix, and what it is applied to: rows x channels, row by row.
#[derive(Debug, Clone, Default)]
pub struct Mixing {
    inputs: usize,
    outputs: usize,
    /// For each channel that comes in what it adds to each that goes out.
    columns: Vec<f64>,
}

impl Mixing {
    /// From `weights`: one row for each channel that goes out, one column for each of `inputs` that come in.
    pub fn new(inputs: usize, weights: &[f64]) -> Self {
        let outputs = weights.len() / inputs.max(1);
        let mut columns = vec![0.0; weights.len()];
        for (o, row) in weights.chunks_exact(inputs.max(1)).enumerate() {
            row.iter().enumerate().for_each(|(i, w)| columns[i * outputs + o] = *w);
        }
        Self { inputs, outputs, columns }
    }

    /// **Data.** Sends `frame`, mixed, in `out`.
    pub fn send(&self, frame: &Frame, out: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        if frame.rows > 0 && frame.cols != self.inputs {
            return Err(Fault("the frame has another shape than was promised"));
        }
        out.copy_head(frame);
        out.resize(frame.rows, self.outputs);
        self.apply(&frame.data, &mut out.data);
        emit.emit(out);
        Ok(())
    }

    /// **Data.** Mixes the rows of `from` into those of `to`, which has room for them.
    fn apply(&self, from: &[f64], to: &mut [f64]) {
        let rows = from.chunks_exact(self.inputs).zip(to.chunks_exact_mut(self.outputs));
        for (from, to) in rows {
            to.fill(0.0);
            for (x, column) in from.iter().zip(self.columns.chunks_exact(self.outputs)) {
                to.iter_mut().zip(column).for_each(|(to, w)| *to += w * x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_output_is_a_sum_of_inputs() {
        let mixing = Mixing::new(2, &[1.0, 0.0, 0.5, 0.5, 0.0, -1.0]);
        let mut out = [0.0; 6];
        mixing.apply(&[1.0, 3.0, -2.0, 4.0], &mut out);
        assert_eq!(out, [1.0, 2.0, -3.0, -2.0, 1.0, -4.0]);
    }
}
