//! The geometric chain from windows to decisions: degenerate windows give flagged answers, and a pipeline that is
//! fitted from the command's own code runs with its flow and network on a worker lane, as it was evaluated.
#![allow(clippy::unwrap_used)]

use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use saltatory::config;
use saltatory::control::fit;
use saltatory::control::run::{Options, run};
use saltatory::control::stop::Stop;
use saltatory::fit::Plan;
use saltatory::frame::{Channel, Flags, Frame, Payload, Spec};
use saltatory::ledger::Cause;
use saltatory::model::Model;
use saltatory::sources::{Speed, recording};
use saltatory::stages::{Emit, Examples, Stage, kinds};

const CHAIN: [(&str, &str); 5] = [
    ("spectrum", "low_hz = 4.0\nhigh_hz = 40.0"),
    ("graph", "neighbours = 3"),
    ("eigenmap", "dimensions = 3\npool = 5\nalign = \"fitted\"\nscale = \"variance\""),
    ("curvature", "flow_steps = 4"),
    ("gcn", "identity = true\nepochs = 20"),
];
const CHANNELS: usize = 16;
const ROWS: usize = 320;

#[derive(Default)]
struct Last(Option<Frame>);

impl Emit for Last {
    fn emit(&mut self, frame: &mut Frame) {
        self.0 = Some(frame.clone());
    }

    fn count(&mut self, _: Cause, _: u64) {}
}

/// What the stages make of a window, one after the other; none may refuse it.
fn answer(stages: &mut [Box<dyn Stage>], window: &Frame) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut frame = window.clone();
    for stage in stages {
        let mut last = Last::default();
        stage.process(&mut frame, &mut last).unwrap_or_else(|fault| panic!("{}", fault.0));
        frame = last.0.unwrap();
        frames.push(frame.clone());
    }
    frames
}

/// Noise of which channels near each other share some.
fn window(seed: u64) -> Frame {
    let mut random = Pcg64::seed_from_u64(seed);
    let mut frame = spec().frame();
    frame.resize(ROWS, CHANNELS);
    for row in frame.data.chunks_exact_mut(CHANNELS) {
        row.iter_mut().for_each(|v| *v = StandardNormal.sample(&mut random));
        for c in 1..CHANNELS {
            row[c] += 0.7 * row[c - 1];
        }
    }
    frame
}

fn spec() -> Spec {
    let channels = (0..CHANNELS).map(|c| Channel::named(format!("E{c}"))).collect();
    Spec { payload: Payload::Window, ..Spec::samples(channels, 160.0, ROWS) }
}

/// The chain, fitted to noise.
fn fitted() -> Vec<Box<dyn Stage>> {
    let mut frames: Vec<Frame> = (0..20).map(window).collect();
    let labels: Vec<usize> = (0..20).map(|i| i % 2).collect();
    let classes = ["left", "right"].map(str::to_owned);
    let mut spec = spec();
    let mut stages = Vec::new();
    for (name, snippet) in CHAIN {
        let kind = kinds().find(|k| k.name == name).unwrap();
        let mut stage = kind.from_toml(snippet).unwrap().unit;
        if let Some(fitted) = stage.fitted() {
            fitted.fit(&Examples::new(&frames, &labels, &classes)).unwrap();
        }
        spec = stage.prepare(&[spec]).unwrap();
        let mut chain = [stage];
        frames = frames.iter().map(|f| answer(&mut chain, f).remove(0)).collect();
        stages.extend(chain);
    }
    stages
}

#[test]
fn degenerate_windows_give_flagged_and_finite_answers() {
    let mut stages = fitted();
    let set = |frame: &mut Frame, c: usize, f: &dyn Fn(usize) -> f64| {
        (0..ROWS).for_each(|t| frame.data[t * CHANNELS + c] = f(t));
    };
    type Harm<'a> = (&'a str, bool, &'a dyn Fn(&mut Frame));
    let harms: [Harm<'_>; 7] = [
        ("nothing", false, &|_| ()),
        ("a flat channel", true, &|w| set(w, 3, &|_| 7.0)),
        ("a NaN", true, &|w| w.data[5] = f64::NAN),
        ("all flat", true, &|w| w.data.fill(0.0)),
        ("all NaN", true, &|w| w.data.fill(f64::NAN)),
        ("all channels alike", true, &|w| {
            (0..CHANNELS).for_each(|c| set(w, c, &|t| (t as f64 * 0.37).sin()));
        }),
        ("two clusters far apart", true, &|w| {
            let loud = w.data.chunks_exact_mut(CHANNELS).flat_map(|row| &mut row[8..]);
            loud.for_each(|v| *v *= 1e30);
        }),
    ];
    for (what, flagged, harm) in harms {
        let mut frame = window(99);
        harm(&mut frame);
        let answers = answer(&mut stages, &frame);
        let scores = answers.last().unwrap();
        assert_eq!(scores.flags.has(Flags::BAD), flagged, "{what}");
        for (made, (stage, _)) in answers.iter().zip(CHAIN) {
            assert!(made.data.iter().all(|v| v.is_finite()), "{what}: {stage}");
        }
        assert!((scores.data.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{what}");
    }
    // Nothing of it stays: a sound window is decided on as by a chain that has seen none of this.
    let fresh = answer(&mut fitted(), &window(99)).pop().unwrap();
    assert_eq!(answer(&mut stages, &window(99)).pop().unwrap().data, fresh.data);
}

const CONFIG: &str = r#"
[[source]]
kind = "replay"
id = "eeg"
path = "synthetic:3"

[[source]]
kind = "replay"
id = "markers"
path = "synthetic:3"
stream = "markers"

[[stage]]
kind = "pick"
from = "eeg"
channels = ["F3", "Fz", "F4", "FC3", "FCz", "FC4", "C3", "Cz", "C4", "CP3", "CPz", "CP4", "P3", "Pz", "P4"]

[[stage]]
kind = "window"
length_s = 2.0
step_s = 0.1

[[stage]]
kind = "spectrum"
bands_hz = [[8.0, 13.0], [13.0, 30.0]]

[[stage]]
kind = "graph"
neighbours = 4

[[stage]]
kind = "eigenmap"
align = "fitted"
scale = "variance"
keep_features = true

[[stage]]
kind = "curvature"
flow_steps = 3

[[stage]]
kind = "gcn"
identity = true
epochs = 100

[fit]
classes = { left = "T1", right = "T2" }
start_s = 0.5
"#;

#[test]
fn the_chain_is_fitted_drawn_and_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("c.toml"), CONFIG).unwrap();
    let recordings = ["synthetic:1".to_owned(), "synthetic:2".to_owned()];
    fit::fit(&fit::Fit {
        config: &at("c.toml"),
        sets: &[],
        recordings: &recordings,
        weights: &[],
        out: &at("m.safetensors"),
        tune: None,
        report: Some(&at("r.html")),
        json: true,
    })
    .unwrap();
    let page = std::fs::read_to_string(at("r.html")).unwrap();
    for part in [
        "Ollivier-Ricci curvature",
        "after 3 steps of Ricci flow",
        "on the head",
        "in the embedding",
    ] {
        assert!(page.contains(part), "the report lacks: {part}");
    }
    let streams = recording::load("synthetic:3").unwrap().streams;
    let plan = Plan::new(&at("c.toml"), &[]).unwrap();
    let online = plan.online(&streams, &Model::load(&at("m.safetensors")).unwrap()).unwrap();
    let sets = [format!("model={}", at("m.safetensors").display())];
    let options = Options { speed: Some(Speed::Max), keep_decisions: true, ..Options::default() };
    let report =
        run(config::load(&at("c.toml"), &sets).unwrap(), &options, &Stop::default()).unwrap();
    assert!(report.decisions.len() > 1000, "{}", report.decisions.len());
    assert_eq!(online.windows.len(), report.decisions.len());
    for (window, decision) in online.windows.iter().zip(&report.decisions) {
        let scores: Vec<f64> = decision.scores.iter().map(|(_, score)| *score).collect();
        assert_eq!(window.scores, scores, "the window that ends with {}", window.last_sample);
    }
}
