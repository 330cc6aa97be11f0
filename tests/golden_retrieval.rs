//! Galleries and scores of retrieval against NumPy (tests/golden/retrieval.py), and against files that Python wrote.
//!
//! Tolerance: the same items in the same order, similarities to 1e-12. Rows are single precision and both sum in double,
//! in another order: at most some hundred roundings of 1e-16, more where the mean of the gallery, which may be a
//! hundred times as long as what is left, is taken off.

#![allow(clippy::unwrap_used)]

#[path = "support/heap.rs"]
mod heap;
mod support;

use saltatory::fit::metrics::retrieval::{Resampling, Retrieval, ranks};
use saltatory::formats::gallery;
use saltatory::math::retrieval::quantised::Quantised;
use saltatory::math::retrieval::{Items, Query, Top, exact};
use saltatory::math::simd::Cpu;
use std::process::Command;
use support::{Golden, root};

const TOLERANCE: f64 = 1e-12;

/// The array `name` as whole numbers.
fn whole(golden: &Golden, name: &str) -> Vec<usize> {
    golden.array(name).1.into_iter().map(|v| v as usize).collect()
}

fn singles(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|v| *v as f32).collect()
}

#[test]
fn the_best_items_are_those_of_numpy() {
    let golden = Golden::open("retrieval");
    let cases = golden.names("search/");
    let cases: Vec<&str> = cases.iter().filter_map(|name| name.strip_suffix("/x")).collect();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let (shape, x) = golden.array(&format!("{case}/x"));
        let (_, queries) = golden.array(&format!("{case}/q"));
        let (_, bonus) = golden.array(&format!("{case}/bonus"));
        for kind in ["plain", "centred", "prior"] {
            let wanted = whole(&golden, &format!("{case}/{kind}/index"));
            let (_, similarities) = golden.array(&format!("{case}/{kind}/similarity"));
            for cpu in Cpu::all() {
                let mut items = Items::new(singles(&x), shape[1], kind == "centred").on(cpu);
                if kind == "prior" {
                    items = items.with_bonus(bonus.clone());
                }
                let mut quantised = Quantised::new(&items, 7);
                let (mut query, mut top) = (Query::new(shape[1]), Top::new(7));
                let mut worst = 0.0_f64;
                for (i, vector) in queries.chunks_exact(shape[1]).enumerate() {
                    query.aim(&items, vector);
                    exact::search(&items, &query, &mut top);
                    let found = top.best().to_vec();
                    for (k, (similarity, item)) in found.iter().enumerate() {
                        let at = i * found.len() + k;
                        assert_eq!(*item, wanted[at], "{case} {kind} {cpu}: query {i}, place {k}");
                        worst = worst.max((similarity - similarities[at]).abs());
                    }
                    quantised.search(&items, &query, &mut top);
                    assert_eq!(top.best(), found, "{case} {kind} {cpu}: quantised, query {i}");
                }
                println!("{case} {kind} {cpu}: {worst:.1e}");
                assert!(worst < TOLERANCE, "{case} {kind} {cpu}: {worst:.1e}");
            }
        }
    }
}

#[test]
fn searches_leave_the_heap_alone() {
    let rows: Vec<f32> = (0..500 * 40).map(|i| (i as f32 * 0.37).sin()).collect();
    let items = Items::new(rows, 40, true);
    let (mut quantised, mut query, mut top) =
        (Quantised::new(&items, 5), Query::new(40), Top::new(5));
    let vector: Vec<f64> = (0..40).map(|i| f64::from(i).cos()).collect();
    let uses = heap::uses(|| {
        query.aim(&items, &vector);
        exact::search(&items, &query, &mut top);
        quantised.search(&items, &query, &mut top);
    });
    assert_eq!(uses, 0);
}

/// Values are exact; ends of intervals come from other draws: 2000 of ours against 20000, a standard error of about 0.004
/// of a share and of half a rank.
#[test]
fn scores_are_those_of_numpy() {
    let golden = Golden::open("retrieval");
    let (shape, x) = golden.array("scores/x");
    let (_, predictions) = golden.array("scores/q");
    let truth = whole(&golden, "scores/truth");
    let items = Items::new(singles(&x), shape[1], false);
    let ranked = ranks(&items, &predictions, &truth).unwrap();
    assert_eq!(ranked, whole(&golden, "scores/rank"));
    let got = Retrieval::of(&items, &predictions, &truth, Resampling::default()).unwrap();
    let mut figures = vec![
        ("top_1".to_string(), got.top_1, 0.015),
        ("top_5".to_string(), got.top_5, 0.015),
        ("median".to_string(), got.median_rank, 1.01),
    ];
    for choice in &got.choices {
        figures.push((format!("ways_{}", choice.ways), choice.accuracy, 0.015));
        // The mean over all draws of other items is what drawing them comes to.
        let drawn = golden.array(&format!("scores/drawn_{}", choice.ways)).1[0];
        assert!((drawn - choice.accuracy.found.value).abs() < 0.006, "{}: {drawn}", choice.ways);
        assert_eq!(choice.accuracy.chance, 1.0 / choice.ways as f64);
    }
    assert_eq!(figures.len(), 6);
    for (name, figure, tolerance) in figures {
        let (_, want) = golden.array(&format!("scores/{name}"));
        let found = figure.found;
        println!("{name}: {found:?} {want:?}");
        assert!((found.value - want[0]).abs() < 1e-12, "{name}");
        assert!((found.low - want[1]).abs() < tolerance, "{name}");
        assert!((found.high - want[2]).abs() < tolerance, "{name}");
    }
}

#[test]
fn python_writes_galleries() {
    let Some(python) = std::env::var_os("SALTATORY_PYTHON") else {
        assert!(std::env::var_os("SALTATORY_REQUIRE_PYTHON").is_none(), "set SALTATORY_PYTHON");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = "import json, sys, numpy as np\n\
                  from safetensors.numpy import save_file\n\
                  x = np.arange(600000, dtype=np.float32).reshape(1200, 500) / 7\n\
                  labels = [f'item {i}' for i in range(1200)]\n\
                  about = {'saltatory_gallery': json.dumps({'labels': labels})}\n\
                  for name, y in {'single': x, 'half': (x / 2000).astype(np.float16)}.items():\n\
                  \x20   save_file({'embeddings': y, 'prior': np.ones(1200)}, f'{sys.argv[1]}/{name}', metadata=about)\n\
                  for name, y in {'a': x, 'b': x.astype(float)}.items():\n\
                  \x20   np.save(f'{sys.argv[1]}/{name}.npy', y)\n\
                  \x20   open(f'{sys.argv[1]}/{name}.txt', 'w').write('\\n'.join(labels) + '\\n')\n";
    let done = Command::new(python).args(["-c", script]).arg(folder.path()).status().unwrap();
    assert!(done.success());
    for name in ["single", "half", "a.npy", "b.npy"] {
        let gallery = gallery::read(&folder.path().join(name)).unwrap();
        assert_eq!((gallery.length, gallery.labels.len()), (500, 1200), "{name}");
        assert_eq!(gallery.labels[7], "item 7");
        let mapped = matches!(gallery.embeddings, gallery::Numbers::Mapped(..));
        assert_eq!(mapped, matches!(name, "single" | "a.npy"), "{name}");
        if name != "half" {
            let want = |i: usize| i as f32 / 7.0;
            assert!(
                gallery.embeddings.as_ref().iter().enumerate().all(|(i, v)| *v == want(i)),
                "{name}"
            );
            continue;
        }
        assert_eq!(gallery.prior, Some(vec![1.0 / 1200.0; 1200]));
    }
}

#[test]
fn the_example_is_what_its_script_says() {
    let gallery = gallery::read(&root().join("models/galleries/example.safetensors")).unwrap();
    assert_eq!((gallery.length, gallery.embeddings.as_ref().len()), (36, 8 * 36));
    assert_eq!(gallery.labels[..3], ["black", "red", "green"]);
    assert_eq!(gallery.prior.unwrap()[..3], [0.1, 0.2, 0.2]);
}
