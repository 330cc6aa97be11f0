//! The tangent space and the decoder behind it share their work where nobody else sees the vector
//! between them; the decisions are those of the two apart.

#![allow(clippy::unwrap_used)]

#[path = "support/heap.rs"]
mod heap;
mod support;

use saltatory::config::{self, Config, Node};
use saltatory::frame::{Channel, Flags, Frame, Payload, Spec};
use saltatory::ledger::Cause;
use saltatory::stages::{Emit, Examples, Fault};
use support::stages::{run, spec};

const HEAD: &str = "[[source]]\nkind = \"replay\"\nid = \"eeg\"\npath = \"-\"\n";
const CHAIN: &str = "[[stage]]\nkind = \"window\"\nlength_s = 1.0\nstep_s = 0.1\n\n\
                     [[stage]]\nkind = \"covariance\"\nestimator = \"oas\"\n\n\
                     [[stage]]\nkind = \"tangent\"\n\n\
                     [[stage]]\nkind = \"logistic\"\n";
const FORK: &str = "\n[[stage]]\nkind = \"logistic\"\nid = \"other\"\nfrom = \"tangent\"\n";

const TANGENT: usize = 2;
const LOGISTIC: usize = 3;
const N: usize = 6;

/// The part of a config that learns, taught and prepared.
struct Chain {
    config: Config,
    classes: usize,
}

impl Chain {
    fn new(classes: usize, more: &str) -> Self {
        Self::with("\"logistic\"", classes, more)
    }

    /// With another decoder.
    fn with(decoder: &str, classes: usize, more: &str) -> Self {
        let chain = CHAIN.replace("\"logistic\"", decoder);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, format!("{HEAD}{chain}{more}")).unwrap();
        let mut config = config::load(&path, &[]).unwrap();
        let labels: Vec<usize> = (0..40).map(|i| i % classes).collect();
        let names: Vec<String> = (0..classes).map(|k| format!("class {k}")).collect();
        let mut frames: Vec<Frame> =
            labels.iter().enumerate().map(|(i, y)| matrix(i as u64, *y)).collect();
        let specs = [spec(Payload::Matrix, N, N), spec(Payload::Vector, 1, N * (N + 1) / 2)];
        for i in TANGENT..config.stages.len() {
            let stage = config.stages[i].unit.as_mut();
            stage.fitted().unwrap().fit(&Examples::new(&frames, &labels, &names)).unwrap();
            if i == TANGENT {
                stage.prepare(&specs[..1]).unwrap();
                frames = frames.into_iter().map(|f| run(stage, f).unwrap()).collect();
            }
        }
        let mut chain = Self { config, classes };
        chain.prepare();
        chain
    }

    fn prepare(&mut self) {
        let source = Spec {
            channels: (0..N).map(|i| Channel::named(format!("C{i}"))).collect(),
            rate_hz: 100.0,
            ..spec(Payload::Samples, 16, N)
        };
        self.config.prepare(&[source], None).unwrap();
    }

    /// What goes from the tangent space to the decoder, and what that makes of it.
    fn run(&mut self, frame: Frame) -> Result<(usize, Frame), Fault> {
        let between = run(self.config.stages[TANGENT].unit.as_mut(), frame)?;
        let length = between.cols;
        Ok((length, run(self.config.stages[LOGISTIC].unit.as_mut(), between)?))
    }

    /// How many numbers of what the tangent space found reach the decoder.
    fn width(&mut self) -> usize {
        self.run(matrix(0, 0)).unwrap().0
    }

    fn rows(&self) -> usize {
        if self.classes == 2 { 1 } else { self.classes }
    }
}

/// Tolerance: rounding, which the logits of matrices of a condition of about a hundred multiply.
#[test]
fn fused_decisions_are_the_same() {
    for classes in [2, 3, 4] {
        let (mut apart, mut fused) = (Chain::new(classes, ""), Chain::new(classes, ""));
        fused.config.fuse(&[]);
        assert_eq!(apart.width(), N * (N + 1) / 2);
        assert_eq!(fused.width(), fused.rows());
        for i in 100..200 {
            let x = matrix(i, i as usize % classes);
            let ((_, want), (_, got)) = (apart.run(x.clone()).unwrap(), fused.run(x).unwrap());
            assert_eq!(
                (got.span, got.flags, got.rows, got.cols),
                (want.span, want.flags, 1, classes)
            );
            for (got, want) in got.data.iter().zip(&want.data) {
                assert!((got - want).abs() < 1e-11, "{got} {want}");
            }
        }

        let mut bad = matrix(7, 0);
        bad.data[3] = f64::NAN;
        let mut flat = matrix(7, 0);
        flat.data.fill(1.0);
        for frame in [bad, flat] {
            assert_eq!(apart.run(frame.clone()).unwrap_err(), fused.run(frame).unwrap_err());
        }
        let end = Frame { flags: Flags::END, rows: 0, data: Vec::new(), ..matrix(0, 0) };
        let (_, end) = fused.run(end).unwrap();
        assert!(end.flags.has(Flags::END) && end.data.is_empty());
    }
}

/// Other decoders with weights; with one row for each pair of classes, or one for each class.
#[test]
fn other_linear_decoders_fuse_as_well() {
    let rows = |decoder: &str, classes: usize| match decoder {
        _ if classes == 2 => 1,
        "\"svm\"" => classes * (classes - 1) / 2,
        _ => classes,
    };
    for (decoder, classes) in [("\"svm\"", 2), ("\"svm\"", 4), ("\"lda\"", 2), ("\"lda\"", 3)] {
        let new = || Chain::with(decoder, classes, "");
        let (mut apart, mut fused) = (new(), new());
        fused.config.fuse(&[]);
        assert_eq!(apart.width(), N * (N + 1) / 2);
        assert_eq!(fused.width(), rows(decoder, classes), "{decoder}");
        for i in 100..150 {
            let x = matrix(i, i as usize % classes);
            let ((_, want), (_, got)) = (apart.run(x.clone()).unwrap(), fused.run(x).unwrap());
            for (got, want) in got.data.iter().zip(&want.data) {
                assert!((got - want).abs() < 1e-10, "{decoder}: {got} {want}");
            }
        }
    }
    // What measures distances of the vector keeps it.
    let mut rejecting = Chain::with("\"lda\"\nreject = 3.0", 2, "");
    rejecting.config.fuse(&[]);
    assert_eq!(rejecting.width(), N * (N + 1) / 2);
}

#[test]
fn fused_stages_leave_the_heap_alone() {
    struct Nothing;
    impl Emit for Nothing {
        fn emit(&mut self, _frame: &mut Frame) {}
        fn count(&mut self, _cause: Cause, _n: u64) {}
    }
    let mut chain = Chain::new(3, "");
    chain.config.fuse(&[]);
    let (mut x, between) = (matrix(1, 1), chain.run(matrix(1, 1)).unwrap().0);
    let mut products = spec(Payload::Vector, 1, between).frame();
    products.resize(1, between);
    let uses = heap::uses(|| {
        chain.config.stages[TANGENT].unit.process(&mut x, &mut Nothing).unwrap();
        chain.config.stages[LOGISTIC].unit.process(&mut products, &mut Nothing).unwrap();
    });
    assert_eq!(uses, 0);
}

#[test]
fn prepared_again_they_are_apart() {
    let mut chain = Chain::new(3, "");
    let before = chain.run(matrix(1, 1)).unwrap();
    chain.config.fuse(&[]);
    chain.prepare();
    let again = chain.run(matrix(1, 1)).unwrap();
    assert_eq!((before.0, before.1.data), (again.0, again.1.data));
    chain.config.fuse(&[]);
    assert_eq!(chain.width(), 3);
}

#[test]
fn a_vector_that_others_see_is_sent() {
    let whole = N * (N + 1) / 2;
    let mut tapped = Chain::new(2, "");
    tapped.config.fuse(&[Node::Stage(TANGENT)]);
    assert_eq!(tapped.width(), whole);
    tapped.config.fuse(&[Node::Stage(LOGISTIC), Node::Source(0)]);
    assert_eq!(tapped.width(), 1);
    let mut forked = Chain::new(2, FORK);
    forked.config.fuse(&[]);
    assert_eq!(forked.width(), whole);
}

/// A positive matrix out of a hat, a little different for each class.
fn matrix(seed: u64, class: usize) -> Frame {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as f64 / u64::MAX as f64 - 0.5
    };
    let x: Vec<f64> = (0..4 * N * N).map(|_| next()).collect();
    let mut frame = spec(Payload::Matrix, N, N).frame();
    frame.rows = N;
    frame.span.last = seed;
    for i in 0..N {
        for j in 0..N {
            let sum: f64 = x.chunks_exact(N).map(|row| row[i] * row[j]).sum();
            let stretch = if i == j && i == class { 1.5 } else { 1.0 };
            frame.data.push(stretch * sum);
        }
    }
    frame
}
