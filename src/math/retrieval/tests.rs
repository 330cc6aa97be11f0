use super::approximate::Approximate;
use super::quantised::Quantised;
use super::*;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

/// Rows like noise around `clusters` centres.
fn rows(count: usize, length: usize, clusters: usize, seed: u64) -> Vec<f32> {
    let rng = &mut Pcg64::seed_from_u64(seed);
    let mut draw = |scale: f32| -> Vec<f32> {
        (0..length).map(|_| scale * Distribution::<f32>::sample(&StandardNormal, rng)).collect()
    };
    let centres: Vec<Vec<f32>> = (0..clusters).map(|_| draw(1.0)).collect();
    let row = |i: usize| {
        let noise = draw(0.7);
        centres[i % clusters].iter().zip(noise).map(|(c, n)| 0.3 + c + n).collect::<Vec<f32>>()
    };
    (0..count).flat_map(row).collect()
}

/// A vector near row `i`.
fn near(rows: &[f32], length: usize, i: usize) -> Vec<f64> {
    let rng = &mut Pcg64::seed_from_u64(1000 + i as u64);
    let noise = |v: &f32| f64::from(*v) + 0.5 * Distribution::<f64>::sample(&StandardNormal, rng);
    rows[i * length..(i + 1) * length].iter().map(noise).collect()
}

fn aimed<R: AsRef<[f32]>>(items: &Items<R>, vector: &[f64]) -> Query {
    let mut query = Query::new(items.length());
    query.aim(items, vector);
    query
}

fn exactly<R: AsRef<[f32]>>(items: &Items<R>, vector: &[f64], k: usize) -> Vec<(f64, usize)> {
    let mut top = Top::new(k);
    exact::search(items, &aimed(items, vector), &mut top);
    top.best().to_vec()
}

/// The formula, row by row.
fn plainly(rows: &[f32], length: usize, centre: bool, vector: &[f64]) -> Vec<(f64, usize)> {
    let rows: Vec<Vec<f64>> =
        rows.chunks(length).map(|r| r.iter().map(|v| f64::from(*v)).collect()).collect();
    let share = if centre { 1.0 / rows.len() as f64 } else { 0.0 };
    let mean: Vec<f64> =
        (0..length).map(|i| share * rows.iter().map(|r| r[i]).sum::<f64>()).collect();
    let less = |v: &[f64]| v.iter().zip(&mean).map(|(v, m)| v - m).collect::<Vec<f64>>();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let vector = less(vector);
    let cosine = |row: &Vec<f64>| {
        let row = less(row);
        dot(&row, &vector) / (dot(&row, &row) * dot(&vector, &vector)).sqrt()
    };
    let mut all: Vec<(f64, usize)> = rows.iter().map(cosine).zip(0..).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    all
}

#[test]
fn exact_is_the_formula_with_all_instructions() {
    for (count, length) in [(1, 1), (3, 5), (4, 8), (37, 31), (50, 64), (101, 77)] {
        let rows = rows(count, length, 5, 1);
        for cpu in Cpu::all() {
            for centre in [false, count > 1] {
                let items = Items::new(&rows, length, centre).on(cpu);
                let vector = near(&rows, length, count / 2);
                let got = exactly(&items, &vector, 5);
                let want = plainly(&rows, length, centre, &vector);
                assert_eq!(got.len(), count.min(5));
                for (got, want) in got.iter().zip(want) {
                    assert!(got.1 == want.1 && (got.0 - want.0).abs() < 1e-13, "{cpu} {length}");
                }
            }
        }
    }
}

#[test]
fn a_row_scores_the_same_alone_and_among_others() {
    let rows = rows(23, 19, 4, 2);
    let items = Items::new(&rows, 19, true);
    let vector = near(&rows, 19, 3);
    let alone = exact::similarities(&items, &aimed(&items, &vector));
    let together = exactly(&items, &vector, 23);
    assert!(together.iter().all(|(similarity, item)| similarity.to_bits() == alone[*item].to_bits()));
}

#[test]
fn of_equals_the_first_comes_first() {
    let one: Vec<f32> = (0..9).map(|i| (i * i % 7) as f32 - 2.5).collect();
    let rows: Vec<f32> = (0..30).flat_map(|_| one.clone()).collect();
    let items = Items::new(&rows, 9, false);
    let vector: Vec<f64> = one.iter().map(|v| f64::from(*v) * 3.0).collect();
    let first = |best: &[(f64, usize)]| best.iter().map(|b| b.1).collect::<Vec<_>>();
    assert_eq!(first(&exactly(&items, &vector, 4)), [0, 1, 2, 3]);
    let (mut quantised, mut top) = (Quantised::new(&items, 4), Top::new(4));
    quantised.search(&items, &aimed(&items, &vector), &mut top);
    assert_eq!(first(top.best()), [0, 1, 2, 3]);
    // Offered from behind as well.
    top.clear();
    (0..30).rev().for_each(|i| top.offer(0.5, i));
    assert_eq!(first(top.best()), [0, 1, 2, 3]);
}

#[test]
fn what_has_no_direction_is_like_nothing() {
    let mut rows = rows(9, 6, 2, 3);
    rows[..6].fill(0.0);
    let items = Items::new(&rows, 6, false);
    let similarities = |vector: &[f64]| exact::similarities(&items, &aimed(&items, vector));
    assert_eq!(similarities(&[1.0; 6])[0], 0.0);
    assert_eq!(similarities(&[0.0; 6]), [0.0; 9]);
    // Only the direction counts, however large or small the numbers are.
    let want = similarities(&[1.0, 2.0, 0.0, -1.0, 0.5, 0.0]);
    for size in [1e300, 1e-300] {
        let got = similarities(&[1.0, 2.0, 0.0, -1.0, 0.5, 0.0].map(|v| v * size));
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-14), "{size}");
    }
    // The mean of a single row is the row.
    let single = Items::new(&rows[6..12], 6, true);
    assert_eq!(exact::similarities(&single, &aimed(&single, &[1.0; 6])), [0.0]);
    let mut top = Top::new(3);
    Quantised::new(&items, 3).search(&items, &aimed(&items, &[0.0; 6]), &mut top);
    assert_eq!(top.best(), [(0.0, 0), (0.0, 1), (0.0, 2)]);
    let none = Items::new(&rows[..0], 6, true);
    assert_eq!(exactly(&none, &[1.0; 6], 5), []);
}

#[test]
fn a_bonus_moves_an_item_up() {
    let rows = rows(40, 16, 8, 4);
    let vector = near(&rows, 16, 7);
    let plain = exactly(&Items::new(&rows, 16, false), &vector, 40);
    let mut bonus = vec![0.0; 40];
    bonus[plain[20].1] = 3.0;
    let items = Items::new(&rows, 16, false).with_bonus(bonus);
    let got = exactly(&items, &vector, 5);
    assert_eq!(got[0], (plain[20].0 + 3.0, plain[20].1));
    assert_eq!(got[1..], plain[..4]);
    let mut top = Top::new(5);
    Quantised::new(&items, 5).search(&items, &aimed(&items, &vector), &mut top);
    assert_eq!(top.best(), got);
}

/// How many of the exact best five were found, as a share, and whether their similarities are the exact ones.
fn recall(items: &Items<&Vec<f32>>, rows: &[f32], mut search: impl FnMut(&Query, &mut Top)) -> f64 {
    let queries = 60;
    let mut found = 0;
    for i in 0..queries {
        let vector = near(rows, items.length(), i * items.count() / queries);
        let want = exactly(items, &vector, 5);
        let mut top = Top::new(5);
        search(&aimed(items, &vector), &mut top);
        assert_eq!(top.best().len(), 5);
        found += top.best().iter().filter(|got| want.contains(got)).count();
    }
    found as f64 / (5 * queries) as f64
}

#[test]
fn quantised_finds_the_exact_ones_with_all_instructions() {
    let rows = rows(3000, 50, 100, 5);
    for cpu in Cpu::all() {
        for centre in [false, true] {
            let items = Items::new(&rows, 50, centre).on(cpu);
            let mut quantised = Quantised::new(&items, 5);
            let share = recall(&items, &rows, |query, top| quantised.search(&items, query, top));
            assert!(share >= 0.99, "{cpu}: {share}");
        }
    }
}

#[test]
fn approximate_finds_most_and_the_same_every_time() {
    let rows = rows(3000, 24, 100, 6);
    let items = Items::new(&rows, 24, true);
    let mut graphs = [0, 1].map(|_| Approximate::new(&items, 5).unwrap());
    let share = recall(&items, &rows, |query, top| {
        let found = graphs.each_mut().map(|graph| {
            assert!(graph.search(&items, query, top));
            top.best().to_vec()
        });
        assert_eq!(found[0], found[1]);
    });
    assert!(share >= 0.95, "{share}");
}

#[test]
fn small_graphs_are_whole() {
    let rows = rows(7, 5, 2, 7);
    let items = Items::new(&rows, 5, false);
    let mut graph = Approximate::new(&items, 5).unwrap();
    let vector = near(&rows, 5, 2);
    let mut top = Top::new(9);
    assert!(graph.search(&items, &aimed(&items, &vector), &mut top));
    assert_eq!(top.best(), exactly(&items, &vector, 9));
    let none = Items::new(&rows[..0], 5, false);
    assert!(Approximate::new(&none, 5).unwrap().search(&none, &aimed(&none, &vector), &mut top));
    assert_eq!(top.best(), []);
}
