//! Exact search: all rows, once.

use super::kernel::Scan;
use super::{Items, Query, Top};

/// **Data.** Puts the items most similar to what `query` was aimed at into `top`. One pass over the rows on one thread.
pub fn search<R: AsRef<[f32]>>(items: &Items<R>, query: &Query, top: &mut Top) {
    top.clear();
    items.cpu.run(Scan { items, query, top });
}

/// How similar every item is to what `query` was aimed at, in their order.
pub fn similarities<R: AsRef<[f32]>>(items: &Items<R>, query: &Query) -> Vec<f64> {
    (0..items.count()).map(|item| items.similarity(item, query)).collect()
}
