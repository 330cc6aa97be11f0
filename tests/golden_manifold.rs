//! Graphs, eigenmaps, diffusion maps, principal components and rotations against SciPy, scikit-learn,
//! pyRiemann and plain NumPy (tests/golden/manifold.py).
//!
//! Tolerance: 1e-8 relative to the largest coordinate, after each coordinate was given the sign of the
//! reference. An eigenvector is known to within epsilon (1e-16) divided by the gap to the next eigenvalue, which the
//! script keeps above 1e-3; what is left is that scikit-learn and pyRiemann iterate. What involves no
//! eigenvector is compared to 1e-12.

#![allow(clippy::unwrap_used)]

mod support;

use saltatory::frame::graph::Layout;
use saltatory::frame::{Flags, Frame, Payload, Spec};
use saltatory::math::manifold::distance::Distance;
use saltatory::math::manifold::eigenmap::Eigenmap;
use saltatory::math::manifold::heat;
use saltatory::math::manifold::pca::Pca;
use saltatory::math::manifold::points::Points;
use saltatory::math::manifold::procrustes::Procrustes;
use saltatory::stages::{Examples, Stage};
use support::stages::{run, spec, stage};
use support::{Golden, relative_error};

const EIGENVECTORS: f64 = 1e-8;
const PLAIN: f64 = 1e-12;

/// The error of coordinates that are known up to the sign of each of `m` columns.
fn error_up_to_sign(got: &[f64], want: &[f64], m: usize) -> f64 {
    let column = |x: &[f64], k: usize| x.iter().skip(k).step_by(m).copied().collect::<Vec<_>>();
    let errors = (0..m).map(|k| {
        let (got, want) = (column(got, k), column(want, k));
        let turned: Vec<f64> = got.iter().map(|v| -v).collect();
        relative_error(&got, &want).min(relative_error(&turned, &want))
    });
    errors.fold(0.0, f64::max)
}

fn check(name: &str, error: f64, tolerance: f64) {
    println!("{name}: {error:.1e}");
    assert!(error <= tolerance, "{name}: error {error:.1e}");
}

#[test]
fn graphs_and_their_eigenmaps_are_those_of_scipy_and_scikit_learn() {
    let golden = Golden::open("manifold");
    for name in golden.names("graph.").iter().filter(|n| n.ends_with(".x")) {
        let case = name.strip_suffix(".x").unwrap();
        let get = |key: &str| golden.array(&format!("{case}.{key}"));
        let (shape, x) = get("x");
        let (n, f, k) = (shape[0], shape[1], get("k").1[0]);
        let kind = case.rsplit('.').next().unwrap();
        let mut graph = stage("graph", &format!("distance = \"{kind}\"\nneighbours = {k}"));
        let spec = graph.prepare(&[spec(Payload::Nodes, n, f)]).unwrap();
        let layout = Layout::of(&spec).unwrap();
        let got = run(graph.as_mut(), frame(n, f, &x)).unwrap();
        let block = |of: &dyn Fn(usize, usize) -> usize| -> Vec<f64> {
            (0..n * n).map(|e| got.data[of(e / n, e % n)]).collect()
        };
        let weights = block(&|i, j| layout.weight(i, j));
        check(&format!("{case}.weights"), relative_error(&weights, &get("weights").1), PLAIN);
        if golden.names(case).contains(&format!("{case}.lengths")) {
            let lengths = block(&|i, j| layout.length(i, j));
            check(&format!("{case}.lengths"), relative_error(&lengths, &get("lengths").1), PLAIN);
        }
        assert!((0..n).all(|i| got.data[layout.features(i)] == x[i * f..(i + 1) * f]));

        let (values, m) = (get("values").1, get("values").0[0]);
        let mut map = Eigenmap::new(n, m);
        assert!(map.find(&weights));
        check(&format!("{case}.values"), relative_error(map.values(), &values), PLAIN);
        let mut eigenmap = stage("eigenmap", &format!("dimensions = {m}\nalign = \"none\""));
        let out = Layout::of(&eigenmap.prepare(&[spec]).unwrap()).unwrap();
        let embedded = run(eigenmap.as_mut(), got).unwrap();
        let y: Vec<f64> = (0..n).flat_map(|i| embedded.data[out.features(i)].to_vec()).collect();
        for key in ["vectors", "sklearn"] {
            check(&format!("{case}.{key}"), error_up_to_sign(&y, &get(key).1, m), EIGENVECTORS);
        }
        for (i, j) in out.edges(&embedded.data) {
            let square = |k: usize| (y[i * m + k] - y[j * m + k]).powi(2);
            let want = (0..m).map(square).sum::<f64>().sqrt();
            assert!((embedded.data[out.length(i, j)] - want).abs() < 1e-15);
        }
    }
}

#[test]
fn channels_are_as_far_apart_as_in_numpy() {
    let golden = Golden::open("manifold");
    let (shape, x) = golden.array("channels.x");
    let (n, mut got) = (shape[0], vec![0.0; x.len()]);
    for (kind, key) in [(Distance::Euclidean, "euclidean"), (Distance::Correlation, "correlation")]
    {
        kind.of_covariance(&x, n, &mut got);
        let error = relative_error(&got, &golden.array(&format!("channels.{key}")).1);
        // The reference has the rounding of 1 - 1 on its diagonal, of which it takes the root.
        check(key, error, 1e-7);
    }
}

#[test]
fn covariances_are_embedded_as_in_pyriemann() {
    let golden = Golden::open("manifold");
    for name in golden.names("pyriemann.").iter().filter(|n| n.ends_with(".x")) {
        let case = name.strip_suffix(".x").unwrap();
        let (shape, x) = golden.array(name);
        let (count, n) = (shape[0], shape[1]);
        let metric =
            serde_json::from_str(&format!("{:?}", case.rsplit('.').next().unwrap())).unwrap();
        let mut points = Points::matrices(x.chunks_exact(n * n), n, metric).unwrap();
        let mut distances = vec![0.0; count * count];
        for (x, row) in x.chunks_exact(n * n).zip(distances.chunks_exact_mut(count)) {
            points.distances(x, row).unwrap();
        }
        let want = golden.array(&format!("{case}.distances")).1;
        // The root of what rounding leaves of 0 on the diagonal.
        check(&format!("{case}.distances"), relative_error(&distances, &want), 1e-7);

        let epsilon = heat::scale(&distances, count, &mut vec![0.0; count * count]);
        let layout = Layout { nodes: count, features: 0 };
        let mut graph = frame(count, layout.cols(), &vec![0.0; count * layout.cols()]);
        for e in (0..count * count).filter(|e| e / count != e % count) {
            graph.data[layout.weight(e / count, e % count)] = heat::weight(distances[e], epsilon);
        }
        let settings = "dimensions = 2\nalign = \"none\"\nnormalise = true\nscale = \"range\"";
        let mut eigenmap = stage("eigenmap", settings);
        let spec = layout.spec(&Spec::markers());
        let out = Layout::of(&eigenmap.prepare(&[spec]).unwrap()).unwrap();
        let got = run(eigenmap.as_mut(), graph).unwrap();
        let y: Vec<f64> = (0..count).flat_map(|i| got.data[out.features(i)].to_vec()).collect();
        let want = golden.array(&format!("{case}.embedding")).1;
        check(&format!("{case}.embedding"), error_up_to_sign(&y, &want, 2), EIGENVECTORS);
    }
}

#[test]
fn windows_are_embedded_as_by_a_walk_over_them() {
    let golden = Golden::open("manifold");
    for name in golden.names("walk.").iter().filter(|n| n.ends_with(".x")) {
        let case = name.strip_suffix(".x").unwrap();
        let get = |key: &str| golden.array(&format!("{case}.{key}")).1;
        let (width, x, masses) = (golden.array(name).0[1], get("x"), get("masses"));
        let mut settings = format!("dimensions = 2\ndensity = {:?}\n", get("density")[0]);
        match get("time")[0] {
            0.0 => settings.push_str("method = \"eigenmap\"\n"),
            time => settings.push_str(&format!("method = \"diffusion\"\ntime = {time:?}\n")),
        }
        if get("k")[0] > 0.0 {
            settings.push_str(&format!("neighbours = {}\n", get("k")[0]));
        }
        let frames: Vec<Frame> = x.chunks_exact(width).map(|x| frame(1, width, x)).collect();
        let mut embedding = fitted("embedding", &settings, &frames, &masses);
        let part = embedding.fitted().unwrap().save().unwrap();
        check(
            &format!("{case}.values"),
            relative_error(&part.tensors["values"].data, &get("values")),
            1e-10,
        );
        // At the points that it was learned from, the map gives their own coordinates.
        let y = coordinates(embedding.as_mut(), Payload::Vector, &frames);
        check(&format!("{case}.y"), error_up_to_sign(&y, &get("y"), 2), EIGENVECTORS);
        if get("k")[0] == 0.0 {
            let new: Vec<Frame> =
                get("new").chunks_exact(width).map(|x| frame(1, width, x)).collect();
            let mapped = coordinates(embedding.as_mut(), Payload::Vector, &new);
            let error = error_up_to_sign(&mapped, &get("mapped"), 2);
            check(&format!("{case}.mapped"), error, EIGENVECTORS);
        }
    }
}

#[test]
fn principal_components_are_those_of_scikit_learn() {
    let golden = Golden::open("manifold");
    for case in ["pca.many", "pca.few"] {
        let get = |key: &str| golden.array(&format!("{case}.{key}")).1;
        let (shape, x) = golden.array(&format!("{case}.x"));
        let (count, p) = (shape[0], shape[1]);
        let vector = |i: usize, out: &mut [f64]| {
            out.copy_from_slice(&x[i * p..(i + 1) * p]);
            Ok(())
        };
        let pca = Pca::fit(p, 3, &vec![1.0; count], vector).unwrap();
        // The signs too are those of scikit-learn.
        for (key, got) in [("directions", &pca.directions), ("variances", &pca.variances)] {
            check(&format!("{case}.{key}"), relative_error(got, &get(key)), 1e-10);
        }
        let frames: Vec<Frame> = x.chunks_exact(p).map(|x| frame(1, p, x)).collect();
        let mut embedding = fitted("embedding", "method = \"pca\"\ndimensions = 3", &frames, &[]);
        let y = coordinates(embedding.as_mut(), Payload::Vector, &frames);
        check(&format!("{case}.y"), relative_error(&y, &get("y")), 1e-10);
    }
    let (shape, x) = golden.array("pca.matrices.x");
    let n = shape[1];
    let frames: Vec<Frame> = x.chunks_exact(n * n).map(|x| frame(n, n, x)).collect();
    let mut embedding = fitted("embedding", "method = \"pca\"\ndimensions = 2", &frames, &[]);
    let y = coordinates(embedding.as_mut(), Payload::Matrix, &frames);
    let error = error_up_to_sign(&y, &golden.array("pca.matrices.y").1, 2);
    // The means agree to about 1e-9.
    check("pca.matrices.y", error, EIGENVECTORS);
}

#[test]
fn rotations_are_those_of_scipy() {
    let golden = Golden::open("manifold");
    for m in [1, 2, 5] {
        let get = |key: &str| golden.array(&format!("procrustes.{m}.{key}")).1;
        let mut a = get("a");
        assert!(Procrustes::new(m).align(&mut a, &get("b")));
        check(&format!("procrustes.{m}"), relative_error(&a, &get("rotated")), PLAIN);
    }
}

#[test]
fn an_embedding_survives_saving_and_bad_windows() {
    let golden = Golden::open("manifold");
    let (shape, x) = golden.array("pca.matrices.x");
    let n = shape[1];
    let matrices: Vec<Frame> = x.chunks_exact(n * n).map(|x| frame(n, n, x)).collect();
    let vectors: Vec<Frame> = x.chunks_exact(n * n).map(|x| frame(1, n * n, x)).collect();
    for (payload, frames) in [(Payload::Matrix, &matrices), (Payload::Vector, &vectors)] {
        for settings in [
            "method = \"eigenmap\"",
            "method = \"diffusion\"\nneighbours = 9",
            "method = \"eigenmap\"\nlandmarks = 12\nchoose = \"farthest\"\nmetric = \"logeuclid\"",
            "method = \"pca\"",
        ] {
            let mut first = fitted("embedding", settings, frames, &[]);
            let part = first.fitted().unwrap().save().unwrap();
            let mut loaded = stage("embedding", settings);
            loaded.fitted().unwrap().load(&part).unwrap();
            let want = coordinates(first.as_mut(), payload, frames);
            assert_eq!(coordinates(loaded.as_mut(), payload, frames), want, "{settings}");

            let (rows, cols) = (frames[0].rows, frames[0].cols);
            for value in [f64::NAN, f64::INFINITY, 1e300] {
                let mut bad = frames[0].clone();
                bad.data.fill(value);
                let got = run(loaded.as_mut(), bad).unwrap();
                let placed = value == 1e300 && settings.contains("pca");
                assert!(placed || got.flags.has(Flags::BAD), "{settings} {value}");
                assert!(got.data.iter().all(|v| v.is_finite() && (placed || *v == 0.0)));
            }
            assert!(loaded.prepare(&[spec(payload, rows + 1, cols + 1)]).is_err());
            let mut cut = part.clone();
            cut.tensors.pop_first();
            assert!(loaded.fitted().unwrap().load(&cut).is_err());
            let mut odd = part.clone();
            odd.tensors.values_mut().for_each(|t| {
                if let [first, ..] = t.shape[..] {
                    let len = t.data.len();
                    t.data.truncate(len - len / first.max(1));
                    t.shape[0] -= usize::from(first > 0);
                }
            });
            assert!(loaded.fitted().unwrap().load(&odd).is_err(), "{settings}");
        }
    }
    let mut learned = stage("embedding", "");
    let mut fit = |frames: &[Frame]| {
        let labels = vec![0; frames.len()];
        learned.fitted().unwrap().fit(&Examples::new(frames, &labels, &[]))
    };
    assert!(fit(&[]).is_err());
    assert!(fit(&[matrices[0].clone(), vectors[0].clone()]).is_err());
    let same: Vec<Frame> = (0..9).map(|_| matrices[0].clone()).collect();
    assert!(fit(&same).unwrap_err().to_string().contains("examples"));
    let mut bad = matrices.clone();
    bad[3].data[0] = f64::NAN;
    assert!(fit(&bad).unwrap_err().to_string().contains("not finite"));
    bad[3].data.fill(1.0);
    assert!(fit(&bad).unwrap_err().to_string().contains("not positive definite"));
}

fn fitted(name: &str, settings: &str, frames: &[Frame], weights: &[f64]) -> Box<dyn Stage> {
    let mut stage = stage(name, settings);
    let labels = vec![0; frames.len()];
    let examples = Examples { weights, ..Examples::new(frames, &labels, &[]) };
    stage.fitted().unwrap().fit(&examples).unwrap();
    stage
}

/// What a fitted stage makes of each frame, in a row.
fn coordinates(stage: &mut dyn Stage, payload: Payload, frames: &[Frame]) -> Vec<f64> {
    stage.prepare(&[spec(payload, frames[0].rows, frames[0].cols)]).unwrap();
    frames.iter().flat_map(|x| run(stage, x.clone()).unwrap().data).collect()
}

fn frame(rows: usize, cols: usize, data: &[f64]) -> Frame {
    let mut frame = spec(Payload::Window, rows, cols).frame();
    frame.rows = rows;
    frame.data.extend_from_slice(data);
    frame
}
