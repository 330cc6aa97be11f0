//! Filters without delay, for comparison with papers only: forward and backward over the whole recording.
//!
//! In: a recording's samples, filters of a pipeline. Out: the samples as if each filter had been applied
//! twice, once with time running backwards: its gain squared, no phase. No live system can do that, since
//! it looks into the future. Each stretch without a gap is continued at both ends by [`PAD_S`] seconds of
//! itself, turned about its end point, as SciPy's `sosfiltfilt` does.

use super::plan::is_filter;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::formats::{Content, Segment, Stream};
use crate::frame::{Frame, Payload, Spec};
use crate::ledger::Cause;
use crate::stages::{Emit, Fault, Stage, single};

/// How far a stretch is continued, in seconds, if it is long enough.
const PAD_S: f64 = 3.0;

/// Filters the samples of a recording as `config` says and takes the filters out of it.
pub fn apply(config: &mut Config, stream: &mut Stream) -> Result<()> {
    for stage in config.stages.iter_mut().filter(|s| is_filter(s.kind)) {
        both_ways(stage.unit.as_mut(), stream).map_err(|e| stage.blame(e))?;
        stage.unit = Box::new(Done);
    }
    Ok(())
}

/// Stands where a filter was whose work is done.
struct Done;

impl Stage for Done {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        Ok(single(inputs, &[Payload::Samples])?.clone())
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        emit.emit(frame);
        Ok(())
    }

    fn reset(&mut self) {}
}

/// Sends the samples of `stream` through `filter` in both directions.
pub fn both_ways(filter: &mut dyn Stage, stream: &mut Stream) -> Result<()> {
    let (channels, rate_hz) = (stream.channels.clone(), stream.rate_hz);
    let Content::Samples(samples) = &mut stream.content else { return Ok(()) };
    let (cols, pad) = (samples.cols, (PAD_S * rate_hz).round() as usize);
    for Segment { first_row, rows, .. } in samples.segments.clone() {
        let values = &mut samples.values[first_row * cols..(first_row + rows) * cols];
        let pad = pad.min(rows - 1);
        let mut long = continued(values, cols, pad);
        let mut spec = Spec::samples(channels.clone(), rate_hz, rows + 2 * pad);
        for _ in 0..2 {
            spec = filter.prepare(std::slice::from_ref(&spec))?;
            long = through(filter, &spec, &long)?;
            long = long.chunks_exact(cols).rev().flatten().copied().collect();
        }
        values.copy_from_slice(&long[pad * cols..(pad + rows) * cols]);
    }
    Ok(())
}

/// `values` with `pad` rows before and behind, turned about the first and the last row.
fn continued(values: &[f64], cols: usize, pad: usize) -> Vec<f64> {
    let row = |r: usize| &values[r * cols..(r + 1) * cols];
    let last = values.len() / cols - 1;
    let turned = |end: usize, r: usize| row(end).iter().zip(row(r)).map(|(e, x)| 2.0 * e - x);
    let before = (1..=pad).rev().flat_map(|r| turned(0, r));
    let behind = (1..=pad).flat_map(|r| turned(last, last - r));
    before.chain(values.iter().copied()).chain(behind).collect()
}

/// What `filter` makes of a block that it sees first.
fn through(filter: &mut dyn Stage, spec: &Spec, values: &[f64]) -> Result<Vec<f64>> {
    let mut block = spec.frame();
    block.resize(values.len() / spec.cols, spec.cols);
    block.data.copy_from_slice(values);
    let mut out = Rows(Vec::new());
    filter.process(&mut block, &mut out).map_err(|fault| Error::run(fault.0))?;
    if out.0.len() != values.len() {
        return Err(Error::config("a filter that changes the rate cannot be run backwards"));
    }
    Ok(out.0)
}

/// Gathers the rows that a filter sends.
struct Rows(Vec<f64>);

impl Emit for Rows {
    fn emit(&mut self, frame: &mut Frame) {
        self.0.extend_from_slice(&frame.data);
    }

    fn count(&mut self, _cause: Cause, _n: u64) {}
}
