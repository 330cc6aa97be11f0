//! The graph convolutional decoder against NumPy (tests/golden/gcn.py), what it learns, and its ONNX file in
//! ONNX Runtime.
//!
//! Tolerances: 1e-12 for probabilities, computed in 64 bits on both sides; 1e-5 for the loss and 1e-3 of the
//! largest slope for the gradient, which training computes in 32 bits. ONNX Runtime, with 64 bits but another order
//! of sums: 1e-6, as for the other decoders.
#![allow(clippy::unwrap_used)]

mod support;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use saltatory::frame::graph::Layout;
use saltatory::frame::{Flags, Frame, Spec};
use saltatory::kind::Kind;
use saltatory::math::gcn::train::{Graphs, loss_and_gradient};
use saltatory::math::gcn::{Parameters, Pool, Shape};
use saltatory::model::{Facts, Input, Link, Model};
use saltatory::onnx;
use saltatory::stages::{Examples, Fault, Part, Stage, Tensor, kinds};
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;
use support::stages::run;
use support::{Golden, relative_error};

/// The networks of tests/golden/gcn.py.
const NETWORKS: [(&str, Pool, bool); 4] = [
    ("mean.false", Pool::Mean, false),
    ("mean.true", Pool::Mean, true),
    ("concat.false", Pool::Concat, false),
    ("concat.true", Pool::Concat, true),
];
const ADJACENCIES: [&str; 2] = ["lengths", "weights"];

/// A case of tests/golden/gcn.py.
struct Case {
    golden: Golden,
    name: String,
    shape: Shape,
    settings: String,
}

fn cases() -> impl Iterator<Item = Case> {
    NETWORKS.into_iter().flat_map(|(name, pool, identity)| {
        ADJACENCIES.map(|adjacency| Case {
            golden: Golden::open("gcn"),
            name: format!("{name}.{adjacency}"),
            shape: Shape {
                nodes: 6,
                features: 3,
                hidden: 5,
                embedding: 4,
                classes: 3,
                pool,
                identity,
            },
            settings: format!(
                "hidden = 5\nembedding = 4\nidentity = {identity}\nadjacency = \"{adjacency}\"\n\
                 pool = \"{}\"",
                if pool == Pool::Mean { "mean" } else { "concat" }
            ),
        })
    })
}

impl Case {
    fn tensor(&self, key: &str) -> Tensor {
        let (shape, data) = self.golden.array(&format!("{}.{key}", self.name));
        Tensor { shape, data }
    }

    fn get(&self, key: &str) -> Vec<f64> {
        self.tensor(key).data
    }

    fn layout(&self) -> Layout {
        Layout { nodes: self.shape.nodes, features: self.shape.features }
    }

    /// The parameters, or with a prefix their slopes.
    fn parameters(&self, prefix: &str) -> Parameters {
        self.shape.arrays().map(|(name, _)| self.get(&format!("{prefix}{name}")))
    }

    fn part(&self) -> Part {
        let names = self.shape.arrays().map(|(name, _)| name).into_iter().chain(["mean", "scale"]);
        let tensors = names.map(|name| (name.to_owned(), self.tensor(name))).collect();
        Part { tensors, classes: names_of(3) }
    }

    /// The model of a pipeline that ends in this network.
    fn model(&self) -> Model {
        let settings = kind().from_toml(&self.settings).unwrap().settings;
        let link = Link { id: "gcn".to_owned(), kind: "gcn".to_owned(), settings };
        let input = Input { rate_hz: 160.0, channels: Vec::new() };
        let facts = Facts::new(input, vec![link], names_of(3));
        Model { facts, parts: [("gcn".to_owned(), self.part())].into() }
    }

    /// What we decide on all graphs.
    fn scores(&self) -> Vec<f64> {
        let mut gcn = stage(&self.settings);
        gcn.fitted().unwrap().load(&self.part()).unwrap();
        gcn.prepare(&[spec(self.layout())]).unwrap();
        self.frames().into_iter().flat_map(|x| run(gcn.as_mut(), x).unwrap().data).collect()
    }

    fn frames(&self) -> Vec<Frame> {
        let Layout { nodes: n, features: f } = self.layout();
        let (weights, lengths, features) =
            (self.get("weights"), self.get("lengths"), self.get("features"));
        let graphs = weights.chunks(n * n).zip(lengths.chunks(n * n)).zip(features.chunks(n * f));
        graphs.map(|((w, l), x)| frame(self.layout(), w, l, x)).collect()
    }
}

#[test]
fn decides_as_numpy_does() {
    for case in cases() {
        let error = relative_error(&case.scores(), &case.get("probabilities"));
        println!("{}: {error:.1e}", case.name);
        assert!(error <= 1e-12, "{}: {error:.1e}", case.name);
        let mut gcn = stage(&case.settings);
        gcn.fitted().unwrap().load(&case.part()).unwrap();
        assert_eq!(gcn.fitted().unwrap().save().unwrap(), case.part());
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for case in cases() {
        let (n, f) = (case.shape.nodes, case.shape.features);
        let (mut adjacency, x) = (case.get("adjacency"), case.get("standardised"));
        let (labels, counts) = (case.get("labels"), case.get("counts"));
        let mut graphs = Graphs::default();
        for (i, (a, x)) in adjacency.chunks_mut(n * n).zip(x.chunks(n * f)).enumerate() {
            graphs.push(a, x, labels[i] as usize, counts[i]);
        }
        let (loss, got) = loss_and_gradient(case.shape, &graphs, &case.parameters("")).unwrap();
        let want = case.parameters("gradient_");
        let error = (loss - case.get("loss")[0]).abs();
        assert!(error <= 1e-5, "{}: loss {error:.1e}", case.name);
        let error = relative_error(&got.concat(), &want.concat());
        println!("{}: {error:.1e}", case.name);
        assert!(error <= 1e-3, "{}: {error:.1e}", case.name);
        assert!(
            want.iter().all(|array| array.iter().any(|v| v.abs() > 1e-3)),
            "nothing to compare"
        );
    }
}

#[test]
fn onnx_runtime_decides_as_we_do() {
    let required = std::env::var("SALTATORY_REQUIRE_PYTHON").is_ok_and(|v| v == "1");
    let Some(python) = python() else {
        assert!(!required, "no Python at .venv/bin/python nor in SALTATORY_PYTHON");
        println!("skipped: no Python; `make test` makes one and runs this");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for case in cases() {
        let write = |end: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(format!("{}{end}", case.name)), bytes).unwrap();
        };
        write(".onnx", &onnx::bytes(&case.model()).unwrap());
        let facts = json!({
            "weights": case.get("weights"),
            "lengths": case.get("lengths"),
            "features": case.get("features"),
            "scores": case.scores(),
        });
        write(".json", facts.to_string().as_bytes());
    }
    let script = support::root().join("tests/interop/onnx_gcn.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// No edges, equal nodes, a flat channel: decided, finite, marked as they were. Numbers that are not finite: a fault.
#[test]
fn degenerate_graphs_are_decided_or_refused() {
    let case = cases().next().unwrap();
    let mut gcn = stage(&case.settings);
    gcn.fitted().unwrap().load(&case.part()).unwrap();
    gcn.prepare(&[spec(case.layout())]).unwrap();
    let (n, f) = (case.shape.nodes, case.shape.features);
    let whole = frame(case.layout(), &vec![1.0; n * n], &vec![0.0; n * n], &vec![0.5; n * f]);
    let apart = frame(case.layout(), &vec![0.0; n * n], &vec![0.0; n * n], &vec![0.5; n * f]);
    for mut graph in [whole, apart.clone()] {
        graph.flags = Flags::BAD;
        let scores = run(gcn.as_mut(), graph).unwrap();
        assert!(scores.flags.has(Flags::BAD));
        assert!((scores.data.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{:?}", scores.data);
    }
    for place in [case.layout().weight(0, 1), case.layout().length(1, 0), n * 3] {
        for value in [f64::NAN, f64::INFINITY] {
            let mut graph = apart.clone();
            graph.data[place] = value;
            let Fault(text) = run(gcn.as_mut(), graph).unwrap_err();
            assert!(text.contains("not finite"), "{text}");
        }
    }
    assert!(run(gcn.as_mut(), apart).is_ok(), "a fault is survived");
}

#[test]
fn what_does_not_fit_is_refused() {
    let case = cases().next().unwrap();
    let mut gcn = stage(&case.settings);
    for (name, wrong) in [
        ("weights_1", vec![3, 4]),
        ("bias_2", vec![4, 1]),
        ("weights_head", vec![4, 2]),
        ("scale", vec![5, 3]),
    ] {
        let mut part = case.part();
        let size = wrong.iter().product();
        part.tensors.insert(name.to_owned(), Tensor { shape: wrong, data: vec![1.0; size] });
        let error = gcn.fitted().unwrap().load(&part).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
    // The other pool has another head.
    let mut concat = stage(&case.settings.replace("mean", "concat"));
    assert!(concat.fitted().unwrap().load(&case.part()).is_err());
    gcn.fitted().unwrap().load(&case.part()).unwrap();
    let error = gcn.prepare(&[spec(Layout { nodes: 7, features: 3 })]).unwrap_err().to_string();
    assert!(error.contains("6 nodes with 3 features"), "{error}");

    let (mut frames, labels) = planted::graphs(10, 1);
    let classes = names_of(2);
    frames[3].data[0] = f64::NAN;
    let error = gcn.fitted().unwrap().fit(&Examples::new(&frames, &labels, &classes));
    assert!(error.unwrap_err().to_string().contains("example 4 "));
    let frames = planted::graphs(10, 1).0;
    let weights: Vec<f64> = labels.iter().map(|y| *y as f64).collect();
    let examples = Examples { weights: &weights, ..Examples::new(&frames, &labels, &classes) };
    let error = gcn.fitted().unwrap().fit(&examples).unwrap_err().to_string();
    assert_eq!(error, "class `class 0` has no example that counts");
    for wrong in ["hidden = 0", "dropout = 1.0", "learning_rate = -0.1", "batch = 0", "widht = 3"] {
        assert!(kind().from_toml(wrong).is_err(), "{wrong}");
    }
}

/// Planted graphs: two classes that differ in nothing but the lengths between the first nodes.
mod planted {
    use super::{frame, spec};
    use rand::{RngExt, SeedableRng};
    use rand_distr::{Distribution, StandardNormal};
    use rand_pcg::Pcg64;
    use saltatory::frame::graph::Layout;
    use saltatory::frame::{Frame, Spec};

    const LAYOUT: Layout = Layout { nodes: 16, features: 3 };
    /// The nodes between which the classes differ.
    const PART: usize = 5;

    pub fn input() -> Spec {
        spec(LAYOUT)
    }

    /// `count` graphs of both classes in turn.
    pub fn graphs(count: usize, seed: u64) -> (Vec<Frame>, Vec<usize>) {
        let rng = &mut Pcg64::seed_from_u64(seed);
        (0..count).map(|i| (graph(i % 2, rng), i % 2)).unzip()
    }

    fn graph(class: usize, rng: &mut Pcg64) -> Frame {
        let n = LAYOUT.nodes;
        let (mut weights, mut lengths) = (vec![0.0; n * n], vec![0.0; n * n]);
        for (i, j) in (0..n).flat_map(|i| (0..i).map(move |j| (i, j))) {
            let inside = i < PART;
            if inside || (i + j) % 3 == 0 {
                let nearer = if inside && class == 1 { 0.4 } else { 1.0 };
                let length = nearer * rng.random_range(0.7..1.3);
                for e in [i * n + j, j * n + i] {
                    (weights[e], lengths[e]) = (1.0, length);
                }
            }
        }
        let features: Vec<f64> =
            (0..n * LAYOUT.features).map(|_| StandardNormal.sample(rng)).collect();
        frame(LAYOUT, &weights, &lengths, &features)
    }
}

/// The settings for planted graphs: it matters which nodes the lengths are between.
const PLANTED: &str = "identity = true";

/// What is learned from planted graphs with these labels.
fn learn(frames: &[Frame], labels: &[usize], weights: &[f64]) -> Part {
    let mut gcn = stage(PLANTED);
    let classes = names_of(2);
    let examples = Examples { weights, ..Examples::new(frames, labels, &classes) };
    gcn.fitted().unwrap().fit(&examples).unwrap();
    gcn.fitted().unwrap().save().unwrap()
}

/// The share of graphs that were not learned from and are decided as is true.
fn accuracy(part: &Part) -> f64 {
    let mut gcn = stage(PLANTED);
    gcn.fitted().unwrap().load(part).unwrap();
    gcn.prepare(&[planted::input()]).unwrap();
    let (frames, labels) = planted::graphs(200, 2);
    let right = frames.into_iter().zip(&labels).filter(|(x, y)| {
        let p = run(gcn.as_mut(), x.clone()).unwrap().data;
        usize::from(p[1] > p[0]) == **y
    });
    right.count() as f64 / labels.len() as f64
}

#[test]
fn planted_classes_are_found_and_shuffled_ones_are_not() {
    let (frames, labels) = planted::graphs(120, 1);
    let found = accuracy(&learn(&frames, &labels, &[]));
    let mut shuffled = labels.clone();
    shuffled.shuffle(&mut Pcg64::seed_from_u64(3));
    let chance = accuracy(&learn(&frames, &shuffled, &[]));
    println!("{found} of planted, {chance} of shuffled");
    assert!(found > 0.9, "{found}");
    // Three standard errors of 200 decisions by chance are 0.11.
    assert!((chance - 0.5).abs() < 0.15, "{chance}");
}

#[test]
fn the_same_examples_give_the_same_bits() {
    let (frames, labels) = planted::graphs(40, 1);
    let first = learn(&frames, &labels, &[]);
    assert_eq!(first, learn(&frames, &labels, &[]));
    // What does not count is not there.
    let (more, others) = planted::graphs(60, 1);
    let lies: Vec<usize> =
        others.iter().enumerate().map(|(i, y)| (y + usize::from(i >= 40)) % 2).collect();
    let weights: Vec<f64> = (0..60).map(|i| f64::from(i < 40)).collect();
    assert_eq!(first, learn(&more, &lies, &weights));
}

/// The Python that has ONNX Runtime.
fn python() -> Option<PathBuf> {
    let set = std::env::var_os("SALTATORY_PYTHON").map(PathBuf::from);
    let path = set.unwrap_or_else(|| support::root().join(".venv/bin/python"));
    path.is_file().then_some(path)
}

fn kind() -> &'static Kind<dyn Stage> {
    kinds().find(|k| k.name == "gcn").unwrap()
}

fn stage(settings: &str) -> Box<dyn Stage> {
    kind().from_toml(settings).unwrap().unit
}

fn names_of(count: usize) -> Vec<String> {
    (0..count).map(|k| format!("class {k}")).collect()
}

fn spec(layout: Layout) -> Spec {
    layout.spec(&Spec::samples(Vec::new(), 160.0, 0))
}

/// A graph without curvatures.
fn frame(layout: Layout, weights: &[f64], lengths: &[f64], features: &[f64]) -> Frame {
    let n = layout.nodes;
    let mut frame = spec(layout).frame();
    frame.resize(n, layout.cols());
    for i in 0..n {
        let row = &mut frame.data[i * layout.cols()..][..layout.cols()];
        row[..n].copy_from_slice(&weights[i * n..][..n]);
        row[n..2 * n].copy_from_slice(&lengths[i * n..][..n]);
        row[3 * n..].copy_from_slice(&features[i * layout.features..][..layout.features]);
    }
    frame
}
