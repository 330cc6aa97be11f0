//! What single stages cost: every kind in the lists with its example settings, and the cases that stand
//! beside those of SciPy and pyRiemann, under names that say which.

use super::{Options, Pace, Record, Watch};
use crate::config::{self, Config};
use crate::control::progress;
use crate::control::trial::{fit_on_noise, frames};
use crate::deadline::Health;
use crate::engine::assembly::{self, Graph, REALTIME};
use crate::engine::pipeline::Pipeline;
use crate::error::Result;
use crate::frame::{Channel, Frame, Payload, Spec};
use crate::ledger::Ledger;
use crate::math::spd::Spd;
use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{MatMut, MatRef, Par};
use std::path::Path;
use std::sync::Arc;

/// Different frames that a case goes round.
const ROUND: usize = 40;

/// A case: stages behind a source.
struct Case {
    name: String,
    shape: String,
    source: Spec,
    /// The `[[stage]]` tables.
    stages: String,
}

pub fn run(options: &Options) -> Result<Vec<Record>> {
    let mut cases = beside_peers();
    cases.extend(every_kind());
    cases.retain(|case| options.wants_case(&case.name));
    let bare: Vec<Bare> = bare().into_iter().filter(|b| options.wants_case(b.name)).collect();
    let bar = progress(2 * (cases.len() + bare.len()), "stages");
    let mut records = Vec::new();
    for case in &cases {
        for pace in [Pace::Hot, Pace::Paced] {
            records.push(measure(case, pace, options)?);
            bar.inc(1);
        }
    }
    for case in bare {
        for pace in [Pace::Hot, Pace::Paced] {
            let watch = Watch::of(pace, options.seconds, || {}, (case.work)());
            records.push(watch.record(named(case.name, pace), &case.shape));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(records)
}

/// What a case is called at a pace, as the peers call theirs.
fn named(name: &str, pace: Pace) -> String {
    match pace {
        Pace::Hot => name.to_owned(),
        Pace::Paced => format!("{name}, one per 50 ms"),
    }
}

const SIZES: [usize; 4] = [22, 64, 88, 256];

fn samples(channels: usize, rate_hz: f64, rows: usize) -> Spec {
    let channels = (0..channels).map(|i| Channel::named(format!("{i}"))).collect();
    Spec::samples(channels, rate_hz, rows)
}

fn matrices(n: usize) -> Spec {
    Spec { payload: Payload::Matrix, rows: n, cols: n, rate_hz: 1000.0, ..Spec::markers() }
}

/// The cases of peerbench's `b_stages.py`.
fn beside_peers() -> Vec<Case> {
    let case = |name: &str, shape: String, source: Spec, stages: &str| Case {
        name: name.into(),
        shape,
        source,
        stages: stages.into(),
    };
    const FILTER: &str = "[[stage]]\nkind = \"bandpass\"\nlow_hz = 8.0\nhigh_hz = 30.0\norder = 4\n\
                          [[stage]]\nkind = \"notch\"\nfreq_hz = 50.0\n";
    let window = |length_s: f64, more: &str| {
        format!("[[stage]]\nkind = \"window\"\nlength_s = {length_s}\nstep_s = 0.05\n{more}")
    };
    const OAS: &str = "[[stage]]\nkind = \"covariance\"\nestimator = \"oas\"\n";
    const AUGMENTED: &str = "[[stage]]\nkind = \"augmented\"\norder = 4\nlag = 8\n";
    const TANGENT: &str = "[[stage]]\nkind = \"tangent\"\n";
    const LOGISTIC: &str = "[[stage]]\nkind = \"logistic\"\n";
    let mut cases = vec![
        case("band-pass + notch, 5 sections", "64 ch x 50".into(), samples(64, 1e3, 50), FILTER),
        case(
            "band-pass + notch, 5 sections",
            "306 ch x 250".into(),
            samples(306, 5e3, 250),
            FILTER,
        ),
        case(
            "sliding covariance (oas)",
            "64 ch x 2000, hop 50".into(),
            samples(64, 1e3, 50),
            &window(2.0, OAS),
        ),
        case(
            "sliding covariance (oas)",
            "306 ch x 5000, hop 250".into(),
            samples(306, 5e3, 250),
            &window(1.0, OAS),
        ),
        case(
            "sliding augmented covariance (4, lag 8, oas)",
            "64 ch x 2000 -> 256, hop 50".into(),
            samples(64, 1e3, 50),
            &window(2.0, &format!("{AUGMENTED}{OAS}")),
        ),
        case(
            "decision: covariance (oas) + tangent + logistic, 4 classes",
            "64 ch x 2000, hop 50".into(),
            samples(64, 1e3, 50),
            &window(2.0, &format!("{OAS}{TANGENT}{LOGISTIC}")),
        ),
    ];
    for (channels, rows) in [(22, 500), (64, 400), (64, 2000), (306, 1250)] {
        let shape = format!("{channels} ch x {rows}");
        let window = Spec { payload: Payload::Window, ..samples(channels, 1e3, rows) };
        cases.push(case("covariance (oas) of a whole window", shape, window, OAS));
    }
    for n in SIZES {
        let shape = format!("1 of {n}x{n}");
        cases.push(case("tangent", shape.clone(), matrices(n), TANGENT));
        let fused = format!("{TANGENT}{LOGISTIC}");
        cases.push(case("tangent + logistic, 4 classes", shape.clone(), matrices(n), &fused));
        cases.push(case("mdm, 4 classes", shape, matrices(n), "[[stage]]\nkind = \"mdm\"\n"));
    }
    cases
}

/// Every kind of stage that takes one input, with its example settings, on 64 channels at 1 kHz.
fn every_kind() -> Vec<Case> {
    let labels = ["Fz", "FC1", "FC2", "C3", "Cz", "C4", "Pz", "Oz"];
    let named = |spec: Spec| Spec {
        channels: (0..spec.cols)
            .map(|i| Channel::named(labels.get(i).map_or(format!("E{i}"), |l| (*l).to_owned())))
            .collect(),
        ..spec
    };
    let window = Spec { payload: Payload::Window, rows: 2000, ..samples(64, 1e3, 50) };
    let classes: Vec<String> = CLASSES.map(String::from).to_vec();
    let scores = Spec { payload: Payload::Scores, rows: 1, cols: 4, classes, ..matrices(4) };
    let vectors = Spec { payload: Payload::Vector, rows: 1, cols: 2080, ..matrices(64) };
    let inputs = [named(samples(64, 1e3, 50)), named(window), matrices(64), vectors, scores];
    let mut cases = Vec::new();
    for kind in crate::stages::kinds() {
        let stages = format!("[[stage]]\nkind = \"{}\"\n{}", kind.name, kind.example);
        for source in &inputs {
            let case = Case {
                name: kind.name.into(),
                shape: format!("{} x {}", source.rows, source.cols),
                source: source.clone(),
                stages: stages.clone(),
            };
            if build(&case).is_ok() {
                cases.push(case);
                break;
            }
        }
    }
    cases
}

const CLASSES: [&str; 4] = ["a", "b", "c", "d"];

/// The pipeline of a case; stages that learn have learned from noise.
fn build(case: &Case) -> Result<Pipeline> {
    let text = format!("[[source]]\nkind = \"synthetic\"\n{}", case.stages);
    let mut config = config::parse(Path::new("bench"), &text, &[])?;
    let sources = [case.source.clone()];
    fit_on_noise(&mut config, &sources, &CLASSES.map(String::from))?;
    lane(&mut config, &sources)
}

/// The real-time lane's part of a config.
fn lane(config: &mut Config, sources: &[Spec]) -> Result<Pipeline> {
    let stages = config.prepare(sources, None)?;
    config.fuse(&[]);
    let (ledger, health) = (Ledger::default(), Arc::new(Health::default()));
    let graph = Graph { sources, stages: &stages, ledger: &ledger, health: &health, offline: true };
    Ok(assembly::assemble(config, &graph, Vec::new())?.swap_remove(REALTIME).pipeline)
}

/// Times a case. Windows are full before the first call that counts.
fn measure(case: &Case, pace: Pace, options: &Options) -> Result<Record> {
    let mut pipeline = build(case)?;
    let given = frames(&case.source, ROUND, 5);
    let rows = case.source.rows.max(1) as u64;
    let mut next = 0_u64;
    let mut turn = |frame: &mut Frame| {
        frame.copy_from(&given[next as usize % ROUND]);
        (frame.span.first, frame.span.last) = (next * rows, (next + 1) * rows - 1);
        next += 1;
    };
    let mut frame = case.source.frame();
    if case.source.payload == Payload::Samples {
        for _ in 0..(2.0 * case.source.rate_hz / rows as f64) as usize {
            turn(&mut frame);
            pipeline.take(0, &mut frame);
        }
    }
    let frame = std::cell::RefCell::new(frame);
    let watch = Watch::of(
        pace,
        options.seconds,
        || turn(&mut frame.borrow_mut()),
        || pipeline.take(0, &mut frame.borrow_mut()),
    );
    Ok(watch.record(named(&case.name, pace), &case.shape))
}

/// A piece of mathematics that is no stage.
struct Bare {
    name: &'static str,
    shape: String,
    /// Makes what is called again and again.
    work: Box<dyn Fn() -> Box<dyn FnMut()>>,
}

fn bare() -> Vec<Bare> {
    let mut cases = Vec::new();
    for n in SIZES {
        let shape = format!("{n}x{n}");
        // What tangent vectors would cost at least if they needed one.
        cases.push(Bare {
            name: "bare eigendecomposition (faer)",
            shape: shape.clone(),
            work: Box::new(move || eigen(n)),
        });
        cases.push(Bare { name: "distance", shape, work: Box::new(move || distance(n)) });
    }
    for (count, n) in [(100, 22), (100, 64), (100, 88), (20, 256)] {
        let shape = format!("{count} of {n}x{n}");
        cases.push(Bare { name: "mean", shape, work: Box::new(move || mean(count, n)) });
    }
    cases
}

/// Values and vectors, by faer itself, with its scratch made once.
fn eigen(n: usize) -> Box<dyn FnMut()> {
    let given = frames(&matrices(n), ROUND, 5);
    let need = self_adjoint_evd_scratch::<f64>(
        n,
        ComputeEigenvectors::Yes,
        Par::Seq,
        faer::Spec::default(),
    );
    let (mut scratch, mut i) = (MemBuffer::new(need), 0);
    let (mut values, mut vectors) = (vec![0.0; n], vec![0.0; n * n]);
    Box::new(move || {
        i += 1;
        let found = self_adjoint_evd(
            MatRef::from_column_major_slice(&given[i % ROUND].data, n, n),
            DiagMut::from_slice_mut(&mut values),
            Some(MatMut::from_column_major_slice_mut(&mut vectors, n, n)),
            Par::Seq,
            MemStack::new(&mut scratch),
            faer::Spec::default(),
        );
        assert!(found.is_ok(), "the matrix is finite");
    })
}

fn distance(n: usize) -> Box<dyn FnMut()> {
    let given = frames(&matrices(n), ROUND, 5);
    let (mut spd, mut i) = (Spd::new(n), 0);
    Box::new(move || {
        i += 1;
        let found = spd.distance(&given[i % ROUND].data, &given[(i + 1) % ROUND].data);
        assert!(found.is_ok(), "the matrices are positive definite");
    })
}

fn mean(count: usize, n: usize) -> Box<dyn FnMut()> {
    let given = frames(&matrices(n), count, 5);
    let mut spd = Spd::new(n);
    Box::new(move || {
        let matrices: Vec<&[f64]> = given.iter().map(|f| f.data.as_slice()).collect();
        assert!(spd.mean(&matrices, None).is_ok_and(|m| m.converged), "it converges");
    })
}
