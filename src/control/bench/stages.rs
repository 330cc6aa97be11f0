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
use crate::frame::{Channel, Frame, Payload, Span, Spec};
use crate::ledger::Ledger;
use crate::math::spd::Spd;
use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{MatMut, MatRef, Par};
use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

/// Different frames that a case goes round.
const ROUND: usize = 40;
/// Seconds of samples until every window is full.
const FILL_S: f64 = 3.0;

/// A case: stages behind a source.
struct Case {
    name: String,
    shape: String,
    source: Spec,
    /// Whether there is a source of markers beside it.
    cues: bool,
    /// The `[[stage]]` tables.
    stages: String,
}

pub fn run(options: &Options) -> Result<Vec<Record>> {
    let mut cases = beside_peers();
    cases.retain(|case| options.wants_case(&case.name));
    cases.extend(every_kind(options));
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
        cues: false,
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

/// Every kind of stage with its example settings, on 64 channels at 1 kHz or what is made of them.
fn every_kind(options: &Options) -> Vec<Case> {
    let kinds = crate::stages::kinds().filter(|kind| options.wants_case(kind.name));
    kinds.filter_map(|kind| suitable(kind.name, kind.example)).collect()
}

/// A case with the first kind of input that a stage takes.
fn suitable(name: &str, example: &str) -> Option<Case> {
    let labels = ["Fz", "FC1", "FC2", "C3", "Cz", "C4", "Pz", "Oz"];
    let label = |i: usize| labels.get(i).map_or(format!("E{i}"), |l| (*l).to_owned());
    let channels: Vec<Channel> = (0..64).map(|i| Channel::named(label(i))).collect();
    let stream = Spec::samples(channels, 1e3, 50);
    let window = Spec { payload: Payload::Window, rows: 2000, ..stream.clone() };
    let classes: Vec<String> = CLASSES.map(String::from).to_vec();
    let scores = Spec { payload: Payload::Scores, rows: 1, cols: 4, classes, ..matrices(4) };
    let vectors = Spec { payload: Payload::Vector, rows: 1, cols: 2080, ..matrices(64) };
    let case = |source: Spec, cues: bool| {
        let from = if cues { "from = [\"eeg\", \"cues\"]\n" } else { "" };
        Case {
            name: name.to_owned(),
            shape: format!("{} x {}", source.rows, source.cols),
            source,
            cues,
            stages: format!("[[stage]]\nkind = \"{name}\"\n{from}{example}"),
        }
    };
    let alone = [stream.clone(), window, matrices(64), vectors, scores].map(|s| case(s, false));
    alone.into_iter().chain([case(stream, true)]).find(|case| Rig::new(case).is_ok())
}

const CLASSES: [&str; 4] = ["a", "b", "c", "d"];
/// Frames from one marker to the next.
const CUE_EVERY: u64 = 5;

/// A case in place: its pipeline, and the frames that it is given.
struct Rig {
    pipeline: Pipeline,
    given: Vec<Frame>,
    frame: Frame,
    rate_hz: f64,
    next: u64,
    /// The marker that comes now and then.
    cue: Option<Frame>,
}

impl Rig {
    /// Stages that learn have learned from noise. Windows are full.
    fn new(case: &Case) -> Result<Self> {
        const EEG: &str = "[[source]]\nkind = \"synthetic\"\nid = \"eeg\"\n";
        const CUES: &str =
            "[[source]]\nkind = \"synthetic\"\nid = \"cues\"\nstream = \"markers\"\n";
        let cues = if case.cues { CUES } else { "" };
        let text = format!("{EEG}{cues}{}", case.stages);
        let mut config = config::parse(Path::new("bench"), &text, &[])?;
        let mut sources = vec![case.source.clone()];
        sources.extend(case.cues.then(Spec::markers));
        fit_on_noise(&mut config, &sources, &CLASSES.map(String::from))?;
        let texts = config.classes().map(|c| c.pairs()).unwrap_or_default();
        let mut rig = Self {
            given: frames(&case.source, ROUND, 5),
            frame: case.source.frame(),
            rate_hz: case.source.rate_hz.max(1.0),
            next: 0,
            cue: texts.first().and_then(|(_, texts)| texts.first()).map(|text| cue(text)),
            pipeline: lane(&mut config, &sources)?,
        };
        if case.source.payload == Payload::Samples {
            let frames = (FILL_S * case.source.rate_hz) as usize / case.source.rows.max(1);
            for _ in 0..frames {
                rig.make_ready();
                rig.work();
            }
        }
        Ok(rig)
    }

    /// Puts the next frame in its place, and sends a marker when it is time.
    fn make_ready(&mut self) {
        let (frame, rate_hz) = (&mut self.frame, self.rate_hz);
        frame.copy_from(&self.given[self.next as usize % ROUND]);
        let rows = frame.rows.max(1) as u64;
        let (first, last) = (self.next * rows, (self.next + 1) * rows - 1);
        let time_s = |index: u64| index as f64 / rate_hz;
        let (first_s, last_s) = (time_s(first), time_s(last));
        frame.span = Span { first, last, first_s, last_s, arrived_s: last_s };
        if let Some(cue) = self.cue.as_ref().filter(|_| self.next.is_multiple_of(CUE_EVERY)) {
            let mut cue = cue.clone();
            let index = self.next / CUE_EVERY;
            cue.span =
                Span { first: index, last: index, first_s, last_s: first_s, arrived_s: first_s };
            self.pipeline.take(1, &mut cue);
        }
        self.next += 1;
    }

    /// What is timed.
    fn work(&mut self) {
        self.pipeline.take(0, &mut self.frame);
    }
}

/// A marker that says `text`.
fn cue(text: &str) -> Frame {
    let mut cue = Spec::markers().frame();
    cue.text.push_str(text);
    cue
}

/// The real-time lane's part of a config.
fn lane(config: &mut Config, sources: &[Spec]) -> Result<Pipeline> {
    let stages = config.prepare(sources, None)?;
    // As a run does it: nobody else sees what goes from one stage to the next.
    config.fuse(&[]);
    let (ledger, health) = (Ledger::default(), Arc::new(Health::default()));
    let graph = Graph { sources, stages: &stages, ledger: &ledger, health: &health, offline: true };
    Ok(assembly::assemble(config, &graph, Vec::new())?.swap_remove(REALTIME).pipeline)
}

/// Times a case.
fn measure(case: &Case, pace: Pace, options: &Options) -> Result<Record> {
    let rig = RefCell::new(Rig::new(case)?);
    let ready = || rig.borrow_mut().make_ready();
    let watch = Watch::of(pace, options.seconds, ready, || rig.borrow_mut().work());
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
