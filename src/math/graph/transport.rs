//! Optimal transport: the least cost of carrying masses from sources to sinks, by the network simplex
//! method.
//!
//! ```text
//! minimise sum f_st c_st   over f >= 0 with sum over t of f_st = mass of s, sum over s of f_st = mass of t
//! ```
//!
//! The flows that may differ from 0 form a tree of all sources and sinks. Each node has a height such that
//! h_s - h_t = c_st along the tree. A pair with c_st - (h_s - h_t) < 0 is worth more flow: it enters the
//! tree, flow goes round the cycle that it closes, and what runs dry first leaves. Where no such pair is
//! left, f is optimal, by duality.
//!
//! **No cycling.** Ties are common (equal masses, unit lengths), and a pivot that moves no flow could lead
//! back to where it was. The tree is kept strongly feasible (Cunningham 1976): of the flows that run dry
//! together, the one leaves that comes last on the way round the cycle from its top, in the direction of the
//! flow. The first tree has this property as if each source held a little more, and one sink, the root, took
//! it all: in a tie between a source and a sink other than the root, it is the sink that is done. With exact
//! numbers that ends always; with rounded ones, the limit on pivots is there to end it.

use super::tree::Tree;

/// How many reduced costs are looked at side by side.
const LANES: usize = 4;
/// Reduced costs down to so much of the largest cost below 0 are rounding.
const ROUNDING: f64 = 1e-13;

/// A problem, and room to solve it in.
#[derive(Debug, Clone)]
pub struct Transport {
    sources: Vec<(usize, f64)>,
    sinks: Vec<(usize, f64)>,
    /// Sources x sinks, rows padded with infinity.
    costs: Vec<f64>,
    stride: usize,
    largest: f64,
    /// Sources first, then sinks.
    tree: Tree,
    /// The flow between a node and its parent.
    flows: Vec<f64>,
    heights: Vec<f64>,
    /// The source that is looked at first.
    turn: usize,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Solution {
    /// The cost.
    pub cost: f64,
    /// How many pivots it took.
    pub pivots: usize,
    /// Whether the cost is the least; otherwise it bounds the least from above.
    pub is_least: bool,
}

impl Transport {
    /// Room for up to `most` places that each are a source or a sink.
    pub fn new(most: usize) -> Self {
        // As many sources as padded sinks is the largest that the table of costs may be.
        let padded = (most + LANES).pow(2) / 4;
        Self {
            sources: Vec::with_capacity(most),
            sinks: Vec::with_capacity(most),
            costs: Vec::with_capacity(padded),
            stride: 0,
            largest: 0.0,
            tree: Tree::new(most),
            flows: Vec::with_capacity(most),
            heights: Vec::with_capacity(most + LANES),
            turn: 0,
        }
    }

    /// Forgets all masses.
    pub fn clear(&mut self) {
        self.sources.clear();
        self.sinks.clear();
    }

    /// Adds a place where `mass` is to be fetched if it is above 0, or brought if it is below.
    pub fn add(&mut self, place: usize, mass: f64) {
        match mass > 0.0 {
            true => self.sources.push((place, mass)),
            false => self.sinks.push((place, -mass)),
        }
    }

    /// Solves it for the costs `from(place)[place]`, in at most `most_pivots` steps. The masses of the sources and
    /// of the sinks must add up to the same, but for rounding.
    pub fn solve<'a>(&mut self, from: impl Fn(usize) -> &'a [f64], most_pivots: usize) -> Solution {
        if self.sources.is_empty() || self.sinks.is_empty() {
            return Solution { cost: 0.0, pivots: 0, is_least: true };
        }
        self.gather(from);
        self.plant();
        let mut pivots = 0;
        let mut entering = self.entering();
        while let Some((source, sink)) = entering.filter(|_| pivots < most_pivots) {
            self.pivot(source, sink);
            pivots += 1;
            entering = self.entering();
        }
        Solution { cost: self.cost(), pivots, is_least: entering.is_none() }
    }

    /// Copies the costs. The heaviest source comes last, and takes what the others leave.
    fn gather<'a>(&mut self, from: impl Fn(usize) -> &'a [f64]) {
        let heaviest = place_of_heaviest(&self.sources);
        let last = self.sources.len() - 1;
        self.sources.swap(heaviest, last);
        self.stride = self.sinks.len().next_multiple_of(LANES);
        self.costs.resize(self.sources.len() * self.stride, 0.0);
        self.largest = 0.0;
        for (row, (source, _)) in self.costs.chunks_exact_mut(self.stride).zip(&self.sources) {
            let costs = from(*source);
            for (cost, (sink, _)) in row.iter_mut().zip(&self.sinks) {
                *cost = costs[*sink];
                self.largest = if *cost > self.largest { *cost } else { self.largest };
            }
            row[self.sinks.len()..].fill(f64::INFINITY);
        }
    }

    /// The first tree: each source in turn sends to the sinks that still take something, first to those where
    /// it saves most of what the heaviest source, which takes what is left, would have to pay. The heaviest
    /// sink is the root.
    fn plant(&mut self) {
        let (m, n) = (self.sources.len(), self.sinks.len());
        let root = place_of_heaviest(&self.sinks);
        self.turn = 0;
        self.tree.clear(m + n);
        self.flows.clear();
        self.flows.resize(m + n, 0.0);
        // Until there are heights, this holds what a sink costs less; infinity for those that are done.
        self.heights.clear();
        self.heights.resize(m, 0.0);
        self.heights.extend(self.costs[(m - 1) * self.stride..].iter().map(|cost| -cost));
        self.heights[m + n..].fill(0.0);
        let mut open = n;
        for i in 0..m {
            let mut left = self.sources[i].1;
            loop {
                let j = place_of_least(self.row(i), &self.heights[m..]);
                let takes = self.sinks[j].1;
                let source_is_done = left < takes || left == takes && j == root;
                if open == 1 || i + 1 < m && source_is_done {
                    self.join(i, m + j, left);
                    self.sinks[j].1 = (takes - left).max(0.0);
                    break;
                }
                self.join(m + j, i, takes);
                self.heights[m + j] = f64::INFINITY;
                left = (left - takes).max(0.0);
                open -= 1;
            }
        }
        self.heights[m + n..].fill(0.0);
        self.rehang(m + root, None, 0.0);
        self.heights[m + root] = 0.0;
        self.settle(m + root);
    }

    /// The costs of source `i`.
    fn row(&self, i: usize) -> &[f64] {
        &self.costs[i * self.stride..(i + 1) * self.stride]
    }

    fn join(&mut self, child: usize, parent: usize, flow: f64) {
        self.tree.attach(child, parent);
        self.flows[child] = flow;
    }

    /// The cost between a node and its parent.
    fn cost_between(&self, a: usize, b: usize) -> f64 {
        let (source, sink) = (a.min(b), a.max(b) - self.sources.len());
        self.costs[source * self.stride + sink]
    }

    /// Puts depths and heights right from `top` downwards.
    fn settle(&mut self, top: usize) {
        let m = self.sources.len();
        let mut next = Some(top);
        while let Some(x) = next {
            self.tree.place(x);
            if let Some(parent) = self.tree.parent(x) {
                let rise = self.cost_between(x, parent);
                self.heights[x] = self.heights[parent] + if x < m { rise } else { -rise };
            }
            next = self.tree.after(x, top);
        }
    }

    /// The pair with the most negative reduced cost of the first source that has one, counted on from the
    /// source that had one before.
    fn entering(&mut self) -> Option<(usize, usize)> {
        let m = self.sources.len();
        let least_worth = ROUNDING * self.largest;
        for _ in 0..m {
            let (costs, heights) = (self.row(self.turn), &self.heights[m..]);
            if least_sum(costs, heights) < self.heights[self.turn] - least_worth {
                return Some((self.turn, m + place_of_least(costs, heights)));
            }
            self.turn = if self.turn + 1 == m { 0 } else { self.turn + 1 };
        }
        None
    }

    /// Takes the pair into the tree.
    fn pivot(&mut self, source: usize, sink: usize) {
        let (leaving, flow, top) = self.leaving(source, sink);
        for (start, gains) in [(source, false), (sink, true)] {
            let mut x = start;
            while x != top {
                let is_source = x < self.sources.len();
                self.flows[x] += if is_source == gains { flow } else { -flow };
                let Some(parent) = self.tree.parent(x) else { break };
                x = parent;
            }
        }
        let (below, above) = if leaving.1 { (sink, source) } else { (source, sink) };
        self.tree.detach(leaving.0);
        self.rehang(below, Some(above), flow);
        self.settle(below);
    }

    /// Which flow runs dry when the pair enters (the node below it, and whether that is on the way from the
    /// sink up), how much flow that is, and where the ways from both meet.
    fn leaving(&self, source: usize, sink: usize) -> ((usize, bool), f64, usize) {
        let m = self.sources.len();
        let (mut x, mut y) = (source, sink);
        let (mut leaving, mut least) = ((source, false), f64::INFINITY);
        while x != y {
            let from_source = self.tree.depth(x) >= self.tree.depth(y);
            let node = if from_source { &mut x } else { &mut y };
            // On the way up from the source, flows of sources fall; on that from the sink, those of
            // sinks. The last one on the way round is the first going up from the source, but any on
            // the sink's side comes later, and there it is the topmost.
            let (flow, falls) = (self.flows[*node], (*node < m) == from_source);
            if falls && (flow < least || flow == least && !from_source) {
                (leaving, least) = ((*node, !from_source), flow);
            }
            let Some(parent) = self.tree.parent(*node) else { break };
            *node = parent;
        }
        (leaving, least, x)
    }

    /// Makes `x` the top of its tree, and that a part of the tree of `parent`, to which `flow` goes.
    fn rehang(&mut self, x: usize, parent: Option<usize>, flow: f64) {
        let (mut node, mut above, mut flow) = (x, parent, flow);
        loop {
            let next = self.tree.parent(node);
            self.tree.detach(node);
            if let Some(above) = above {
                self.tree.attach(node, above);
            }
            std::mem::swap(&mut self.flows[node], &mut flow);
            let Some(next) = next else { break };
            (node, above) = (next, Some(node));
        }
    }

    fn cost(&self) -> f64 {
        let nodes = 0..self.sources.len() + self.sinks.len();
        let cost = |x| Some(self.flows[x] * self.cost_between(x, self.tree.parent(x)?));
        nodes.filter_map(cost).sum()
    }
}

fn place_of_heaviest(places: &[(usize, f64)]) -> usize {
    let heavier = |a: &usize, b: &usize| places[*a].1.total_cmp(&places[*b].1);
    (0..places.len()).max_by(heavier).unwrap_or_default()
}

/// The least sum of two numbers at the same place.
fn least_sum(a: &[f64], b: &[f64]) -> f64 {
    let mut least = [f64::INFINITY; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for ((least, a), b) in least.iter_mut().zip(a).zip(b) {
            let sum = a + b;
            *least = if sum < *least { sum } else { *least };
        }
    }
    least.into_iter().fold(f64::INFINITY, |m, x| if x < m { x } else { m })
}

fn place_of_least(a: &[f64], b: &[f64]) -> usize {
    let least = least_sum(a, b);
    a.iter().zip(b).position(|(a, b)| a + b == least).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    /// The least sum of `costs` (n x n) over the ways to give each row, from `row` on, a column of its own.
    fn best_assignment(costs: &[f64], n: usize, row: usize, taken: &mut Vec<usize>) -> f64 {
        if row == n {
            return 0.0;
        }
        let mut best = f64::INFINITY;
        for column in (0..n).filter(|c| !taken.contains(c)).collect::<Vec<_>>() {
            taken.push(column);
            let rest = best_assignment(costs, n, row + 1, taken);
            best = best.min(costs[row * n + column] + rest);
            taken.pop();
        }
        best
    }

    /// With equal masses some best plan is an assignment. Whole costs make ties, which are where a simplex
    /// method may cycle.
    #[test]
    fn equal_masses_are_assigned_as_well_as_can_be() {
        let rng = &mut Pcg64::seed_from_u64(5);
        for round in 0..300 {
            let n = 1 + round % 6;
            let costs: Vec<f64> = (0..n * n)
                .map(|_| match round % 2 {
                    0 => f64::from(rng.random_range(0..4)),
                    _ => rng.random_range(0.0..1.0),
                })
                .collect();
            let mut transport = Transport::new(2 * n);
            transport.clear();
            // Places below n are rows; the others are columns, and the costs are asked for by place.
            let table: Vec<f64> = costs
                .chunks(n)
                .flat_map(|row| std::iter::repeat_n(0.0, n).chain(row.to_vec()))
                .collect();
            for i in 0..n {
                transport.add(n + i, -1.0);
                transport.add(i, 1.0);
            }
            let found = transport.solve(|i| &table[2 * n * i..][..2 * n], 1000);
            let want = best_assignment(&costs, n, 0, &mut Vec::new());
            assert!(found.is_least && (found.cost - want).abs() < 1e-12, "{found:?} {want}");
        }
    }

    #[test]
    fn unequal_masses_split() {
        let mut transport = Transport::new(5);
        let costs = [0.0, 0.0, 1.0, 2.0, 4.0, 0.0, 0.0, 3.0, 3.0, 1.0];
        for (place, mass) in [(0, 0.75), (1, 0.25), (2, -0.5), (3, -0.25), (4, -0.25)] {
            transport.add(place, mass);
        }
        let found = transport.solve(|i| &costs[5 * i..][..5], 100);
        // 0 feeds 2 and 3, 1 feeds 4.
        assert!(found.is_least && (found.cost - 1.25).abs() < 1e-15, "{found:?}");
        transport.clear();
        assert_eq!(transport.solve(|_| &[][..], 100).cost, 0.0);
    }
}
