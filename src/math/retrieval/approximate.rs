//! Search in a graph: a hierarchical navigable small world over the rows in bytes, then the best few exactly.
//!
//! The graph is USearch's. It is built once, on one thread and in the order of the rows, so that the same rows always
//! give the same graph. Distances are ours, one less the cosine: of a row the graph keeps what is left without the mean
//! of all, in bytes, and three numbers that make its products whole again (`Tail`). A bonus counts among the
//! candidates only, since the graph does not know it.
//!
//! A query **allocates** (inside USearch), so this is nothing for the real-time lane.
//!
//! Reference: Malkov and Yashunin, IEEE Transactions on Pattern Analysis and Machine Intelligence 42 (2020) 824-836.
#![allow(unsafe_code)]

use super::code::{encode, padded};
use super::kernel::Bytewise;
use super::{Items, Query, Top, norm, rank};
use crate::error::{Error, Result};
use crate::math::simd::Cpu;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

/// Neighbours of a row in the graph; twice as many in its lowest layer.
const NEIGHBOURS: usize = 16;
/// How many neighbours are looked at to choose those from.
const WIDTH_TO_BUILD: usize = 128;
/// How many of the best are kept on the way.
pub const WIDTH: usize = 96;
/// The graph, and room for a query.
pub struct Approximate {
    index: Index,
    candidates: usize,
    code: Vec<i8>,
}

impl Approximate {
    /// Builds the graph of `items`, for queries that want the best `top`. Takes about a minute for 10^5 rows.
    pub fn new<R: AsRef<[f32]>>(items: &Items<R>, top: usize) -> Result<Self> {
        let width = padded(items.length()) + Tail::BYTES;
        let failed =
            |e: &dyn std::fmt::Display| Error::run(format!("the graph of the gallery: {e}"));
        let candidates = WIDTH.max(4 * top).min(items.count());
        let options = IndexOptions {
            dimensions: width,
            metric: MetricKind::IP,
            quantization: ScalarKind::I8,
            connectivity: NEIGHBOURS,
            expansion_add: WIDTH_TO_BUILD,
            expansion_search: candidates,
            multi: false,
        };
        let mut index = Index::new(&options).map_err(|e| failed(&e))?;
        index.reserve_capacity_and_threads(items.count(), 1).map_err(|e| failed(&e))?;
        index.change_metric::<i8>(distance(width, items.cpu));
        let (mut rest, mut code) = (vec![0.0; items.length()], vec![0; width]);
        for item in 0..items.count() {
            let lift = items.rest(item, &mut rest);
            write(items, &rest, lift, items.size * items.inverse[item], &mut code);
            index.add(item as u64, &code).map_err(|e| failed(&e))?;
        }
        Ok(Self { index, candidates, code })
    }

    /// Puts the items most similar to what `query` was aimed at into `top`. `items` are those that this was made of.
    /// False if the index failed, as it does where there is no memory. Allocates.
    pub fn search<R: AsRef<[f32]>>(
        &mut self,
        items: &Items<R>,
        query: &Query,
        top: &mut Top,
    ) -> bool {
        top.clear();
        write(items, &query.rest, items.lift(&query.rest), 1.0, &mut self.code);
        let Ok(found) = self.index.search(&self.code, self.candidates) else { return false };
        let known = found.keys.iter().map(|key| *key as usize).filter(|item| *item < items.count());
        rank(items, query, known, top);
        true
    }
}

/// What stands behind the bytes of a row. The product of two rows is that of what is left of each without the mean,
/// and what the mean adds to each of them.
struct Tail {
    /// What the bytes are multiplied with.
    scale: f32,
    /// The lift, and half of the product of the mean with itself; 0 where the mean is taken off.
    mean: f32,
    /// One over the length of the row.
    inverse: f32,
}

impl Tail {
    const BYTES: usize = 12;

    fn write(&self, to: &mut [i8]) {
        let numbers = [self.scale, self.mean, self.inverse].map(f32::to_le_bytes);
        to.iter_mut().zip(numbers.as_flattened()).for_each(|(to, byte)| *to = byte.cast_signed());
    }

    fn read(from: &[i8]) -> Self {
        let number =
            |k: usize| f32::from_le_bytes(std::array::from_fn(|i| from[4 * k + i].cast_unsigned()));
        Self { scale: number(0), mean: number(1), inverse: number(2) }
    }
}

/// Writes the code of a row or query by its rest, its lift, and one over its length.
fn write<R>(items: &Items<R>, rest: &[f64], lift: f64, inverse: f64, code: &mut [i8]) {
    let (bytes, tail) = code.split_at_mut(code.len() - Tail::BYTES);
    let scale = encode(rest, bytes) as f32;
    let mean = norm(&items.mean) / items.size;
    let half = if items.centre { 0.0 } else { mean * mean / 2.0 };
    Tail { scale, mean: (lift + half) as f32, inverse: inverse as f32 }.write(tail);
}

/// What USearch asks for.
type Distance = Box<dyn Fn(*const i8, *const i8) -> f32 + Send + Sync>;

/// The distance between two codes of `width` bytes.
fn distance(width: usize, cpu: Cpu) -> Distance {
    Box::new(move |a, b| {
        // SAFETY: USearch calls this with codes of the index or with the one that is searched for. Each of them has
        // `width` bytes, its number of dimensions, which `Index` checks of all that is added and searched for; and
        // none is moved or written while it asks.
        let [a, b] = [a, b].map(|code| unsafe { std::slice::from_raw_parts(code, width) });
        let ((a, a_tail), (b, b_tail)) =
            (a.split_at(width - Tail::BYTES), b.split_at(width - Tail::BYTES));
        let (one, other) = (Tail::read(a_tail), Tail::read(b_tail));
        let rests = cpu.run(Bytewise(a, b)) as f32 * one.scale * other.scale;
        1.0 - (rests + one.mean + other.mean) * one.inverse * other.inverse
    })
}
