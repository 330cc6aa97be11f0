//! What it costs to find the five most similar of 100 000 embeddings of 768 numbers, on one thread, beside what it
//! costs to read them from memory at all, and how many of the exact five the quicker searches find.
//!
//! `cargo bench --bench retrieval [-- FOLDER] [--no-graphs]`; with a folder, the gallery, the queries and what was found are
//! written there for `benches/rivals/retrieval.py`. Takes some minutes, most of them to build graphs. NumPy keeps its
//! arrays in huge pages; with `GLIBC_TUNABLES=glibc.malloc.hugetlb=1` so does this program.
//!
//! Two kinds of embeddings. **Clustered**: a common mean, 2000 centres (as many as there are concepts of things in the
//! picture sets in use) and items around them (0.8 and 0.6 of the variance's root), all with variances that fall as 1 / i along the
//! axes; embeddings of pictures are like that: they share a direction, few axes carry most of their variance (here
//! 32 of 768, as their participation ratio), and pictures of the same thing lie together. Queries are items with noise half as
//! long on top. **Noise**: independent Gaussian numbers, queries too, where all items are about equally far from each other and
//! no graph leads anywhere.
#![allow(missing_docs, clippy::unwrap_used)]

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use saltatory::math::retrieval::approximate::Approximate;
use saltatory::math::retrieval::quantised::Quantised;
use saltatory::math::retrieval::{Items, Query, Top, exact};
use saltatory::math::simd::{Cpu, Simd, Work};
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

const ITEMS: usize = 100_000;
const LENGTH: usize = 768;
const QUERIES: usize = 200;
const TOP: usize = 5;
const CENTRES: usize = 2000;

/// A gallery and what is looked up in it.
struct World {
    name: &'static str,
    items: Items<Vec<f32>>,
    queries: Vec<f64>,
}

/// What is built from a gallery.
struct Built {
    quantised: Quantised,
    graph: Option<Approximate>,
}

fn main() {
    let folder = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let graphs = !std::env::args().any(|arg| arg == "--no-graphs");
    let worlds = [clustered(), noise()];
    let mut built = worlds.each_ref().map(|world| build(world, graphs));
    println!("{ITEMS} x {LENGTH}, {:?}, {} threads", Cpu::best(), threads());
    let truths = worlds.each_ref().map(truth);
    for ((world, built), truth) in worlds.iter().zip(&mut built).zip(&truths) {
        measure(world, built, truth);
    }
    if let Some(folder) = folder {
        write(Path::new(&folder), &worlds[0], &truths[0]);
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

fn clustered() -> World {
    let rng = &mut Pcg64::seed_from_u64(1);
    let sizes: Vec<f32> = (1..=LENGTH).map(|i| (i as f32).powf(-0.5)).collect();
    let total = sizes.iter().map(|s| s * s).sum::<f32>().sqrt();
    let around = |middle: &[f32], scale: f32, rng: &mut Pcg64| -> Vec<f32> {
        let number = |(m, s): (&f32, &f32)| m + gaussian(rng) * s * scale / total;
        middle.iter().zip(&sizes).map(number).collect()
    };
    let mean = [1.0 / (LENGTH as f32).sqrt(); LENGTH];
    let centres: Vec<Vec<f32>> = (0..CENTRES).map(|_| around(&mean, 0.8, rng)).collect();
    let mut rows = Vec::with_capacity(ITEMS * LENGTH);
    for _ in 0..ITEMS {
        let centre = rng.random_range(0..CENTRES);
        rows.extend(unit(around(&centres[centre], 0.6, rng)));
    }
    let query = |_| {
        let item = rng.random_range(0..ITEMS);
        unit(around(&rows[item * LENGTH..][..LENGTH], 0.5, rng))
    };
    let queries: Vec<f32> = (0..QUERIES).flat_map(query).collect();
    world("clustered", rows, &queries)
}

fn noise() -> World {
    let rng = &mut Pcg64::seed_from_u64(2);
    let mut draw = |count: usize| -> Vec<f32> {
        (0..count).flat_map(|_| unit((0..LENGTH).map(|_| gaussian(rng)).collect())).collect()
    };
    let rows = draw(ITEMS);
    world("noise", rows, &draw(QUERIES))
}

fn world(name: &'static str, rows: Vec<f32>, queries: &[f32]) -> World {
    let queries = queries.iter().map(|v| f64::from(*v)).collect();
    World { name, items: Items::new(rows, LENGTH, false), queries }
}

fn gaussian(rng: &mut Pcg64) -> f32 {
    StandardNormal.sample(rng)
}

fn unit(mut v: Vec<f32>) -> Vec<f32> {
    let norm = v.iter().map(|v| v * v).sum::<f32>().sqrt();
    v.iter_mut().for_each(|v| *v /= norm);
    v
}

fn build(world: &World, graphs: bool) -> Built {
    let start = Instant::now();
    let quantised = Quantised::new(&world.items, TOP);
    let rounded = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let graph = graphs.then(|| Approximate::new(&world.items, TOP).unwrap());
    let linked = start.elapsed().as_secs_f64();
    println!("{}: bytes made in {rounded:.1} s, graph in {linked:.1} s", world.name);
    Built { quantised, graph }
}

/// The best items of each query.
fn truth(world: &World) -> Vec<Vec<usize>> {
    found(world, |query, top| exact::search(&world.items, query, top)).0
}

/// What `search` finds for each query, and how long it takes, in milliseconds, sorted.
fn found(world: &World, mut search: impl FnMut(&Query, &mut Top)) -> (Vec<Vec<usize>>, Vec<f64>) {
    let (mut query, mut top) = (Query::new(LENGTH), Top::new(TOP));
    let (mut items, mut times) = (Vec::new(), Vec::new());
    for vector in world.queries.chunks_exact(LENGTH) {
        let start = Instant::now();
        query.aim(&world.items, black_box(vector));
        search(&query, &mut top);
        times.push(start.elapsed().as_secs_f64() * 1e3);
        items.push(top.best().iter().map(|(_, item)| *item).collect());
    }
    times.sort_by(f64::total_cmp);
    (items, times)
}

fn measure(world: &World, built: &mut Built, truth: &[Vec<usize>]) {
    let bytes = (ITEMS * LENGTH * size_of::<f32>()) as f64;
    let numbers = vec![1.0; ITEMS * LENGTH / 2];
    let read = |threads| bytes / median(|| _ = black_box(sum(&numbers, threads))) / 1e6;
    let rates = [read(1), read(threads())];
    let items = &world.items;
    let (_, exact) = found(world, |query, top| exact::search(items, query, top));
    let quantised = &mut built.quantised;
    let rough = found(world, |query, top| quantised.search(items, query, top));
    let near = built
        .graph
        .as_mut()
        .map(|graph| found(world, |query, top| assert!(graph.search(items, query, top))));
    let rates = [rates[0], rates[1], read(1)];
    let at = |times: &[f64], share: f64| times[(share * (times.len() - 1) as f64) as usize];
    let rate = bytes / at(&exact, 0.5) / 1e6;
    println!("{}", world.name);
    println!(
        "  read, one thread {:.1} GB/s before and {:.1} behind, all {:.1}",
        rates[0], rates[2], rates[1]
    );
    println!(
        "  exact        {:7.3} ms (p99 {:.3}), {rate:.1} GB/s, {:.0} % of one thread's reading",
        at(&exact, 0.5),
        at(&exact, 0.99),
        100.0 * rate / rates[0].max(rates[2])
    );
    for (name, (got, times)) in [("quantised", Some(rough)), ("approximate", near)]
        .into_iter()
        .filter_map(|(n, f)| Some((n, f?)))
    {
        let hits: usize =
            got.iter().zip(truth).map(|(g, t)| t.iter().filter(|i| g.contains(i)).count()).sum();
        println!(
            "  {name:12} {:7.3} ms (p99 {:.3}), {:.1} times as quick, recall {:.4}",
            at(&times, 0.5),
            at(&times, 0.99),
            at(&exact, 0.5) / at(&times, 0.5),
            hits as f64 / (QUERIES * TOP) as f64
        );
    }
}

/// The median time of `run`, in milliseconds.
fn median(mut run: impl FnMut()) -> f64 {
    let mut times = [0.0; 21].map(|_: f64| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64() * 1e3
    });
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Adds up all numbers: nothing but loads and additions, eight registers at once.
struct Sum<'a>(&'a [f64]);

impl Work for Sum<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let mut sums = [simd.splat(0.0); 8];
        for block in self.0.chunks_exact(8 * S::LANES) {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = simd.add(*sum, simd.load(&block[i * S::LANES..]));
            }
        }
        let mut each = [0.0; 8];
        simd.store(sums[1..].iter().fold(sums[0], |a, b| simd.add(a, *b)), &mut each);
        each.iter().sum()
    }
}

fn sum(numbers: &[f64], threads: usize) -> f64 {
    if threads == 1 {
        return Cpu::best().run(Sum(numbers));
    }
    std::thread::scope(|scope| {
        let parts = numbers.chunks(numbers.len().div_ceil(threads));
        let running: Vec<_> =
            parts.map(|part| scope.spawn(|| Cpu::best().run(Sum(part)))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

/// Writes little-endian arrays: the rows, the queries, and the best items of each.
fn write(folder: &Path, world: &World, truth: &[Vec<usize>]) {
    fs::create_dir_all(folder).unwrap();
    let put = |name: &str, bytes: Vec<u8>| fs::write(folder.join(name), bytes).unwrap();
    put("rows.f4", world.items.rows().iter().flat_map(|v| v.to_le_bytes()).collect());
    put("queries.f8", world.queries.iter().flat_map(|v| v.to_le_bytes()).collect());
    let best = truth.iter().flatten().flat_map(|item| (*item as u64).to_le_bytes());
    put("best.u8", best.collect());
}
