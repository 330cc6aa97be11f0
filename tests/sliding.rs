//! Windows that come a step at a time are decided on as whole ones are, and whoever cannot take them
//! so gets them whole.
#![allow(clippy::unwrap_used)]

#[path = "support/feed.rs"]
#[allow(dead_code)]
mod feed;
#[path = "support/heap.rs"]
mod heap;

use feed::{Feed, feeds};
use saltatory::clock;
use saltatory::config::{self, OnGap};
use saltatory::deadline::Late;
use saltatory::engine::guard::Guard;
use saltatory::engine::pipeline::{Branch, Duty, Edge, Exits, Node, Pipeline, Route};
use saltatory::error::Result;
use saltatory::frame::{Flags, Frame, Payload, Spec};
use saltatory::ledger::{Cause, Counters};
use saltatory::stages::{Emit, Fault, Hops, Stage, kinds};
use std::sync::{Arc, Mutex};

/// 50 samples, every 7: not a whole number of steps.
const WINDOW: &str = "length_s = 0.3125\nstep_s = 0.04375";
const AUGMENTED: [(&str, &str); 3] = [
    ("window", WINDOW),
    ("augmented", "order = 3\nlag = 3\ncrop = \"compat\""),
    ("covariance", "estimator = \"oas\""),
];
/// 48 samples, every 8.
const EVEN: &str = "length_s = 0.3\nstep_s = 0.05";
const PLAIN: [(&str, &str); 2] = [("window", EVEN), ("covariance", "estimator = \"scm\"")];
const ODD: [(&str, &str); 2] = [("window", WINDOW), ("covariance", "estimator = \"oas\"")];

/// How windows go from stage to stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Whole,
    Hops,
}

/// A pipeline of stages in a row, with what comes out at its end.
struct Chain {
    pipeline: Pipeline,
    counters: Vec<Arc<Counters>>,
    out: Arc<Mutex<Vec<Frame>>>,
}

impl Chain {
    fn new(stages: &[(&str, &str)], way: Way, guard: Guard) -> Self {
        let mut spec = feed().specs[0].clone();
        let route = |spec: &Spec, node| {
            Route::new(spec, vec![Edge { node, input: 0, branch: Branch::All }])
        };
        let entry = route(&spec, 0);
        let counters: Vec<_> = (0..=stages.len()).map(|i| Counters::new(i.to_string())).collect();
        let mut nodes = Vec::new();
        for (i, (kind, settings)) in stages.iter().enumerate() {
            let kind = kinds().find(|k| k.name == *kind).unwrap();
            let mut stage = kind.from_toml(settings).unwrap().unit;
            spec = stage.prepare(&[spec]).unwrap();
            if let (Way::Hops, Some(hops)) = (way, stage.hops()) {
                stage.send_hops();
                spec = hops;
            }
            let duty = if *kind.name == *"window" { Duty::Gate } else { Duty::None };
            let route = route(&spec, i + 1).with(Exits::default(), duty);
            nodes.push(Node::new(stage, i, route, counters[i].clone()));
        }
        assert_eq!((spec.payload, spec.hop), (Payload::Matrix, None));
        let out = Arc::new(Mutex::new(Vec::with_capacity(1000)));
        let end = Box::new(Collector(out.clone()));
        let last = nodes.len();
        nodes.push(Node::new(end, last, Route::new(&spec, vec![]), counters[last].clone()));
        let pipeline = Pipeline::new(vec![entry], nodes, last + 1, OnGap::Reset, guard);
        Self { pipeline, counters, out }
    }

    fn run(stages: &[(&str, &str)], way: Way, frames: &[Frame]) -> Vec<Frame> {
        let mut chain = Self::new(stages, way, Guard::none());
        frames.iter().for_each(|frame| chain.pipeline.take(0, &mut frame.clone()));
        chain.seen()
    }

    fn seen(&self) -> Vec<Frame> {
        self.out.lock().unwrap().clone()
    }

    fn count(&self, stage: usize, cause: Cause) -> u64 {
        let page = self.counters[stage].page();
        page.counts.iter().find(|(c, _)| **c == *cause.name()).map_or(0, |(_, n)| *n)
    }
}

/// The stage behind the last.
struct Collector(Arc<Mutex<Vec<Frame>>>);

impl Stage for Collector {
    fn prepare(&mut self, _: &[Spec]) -> Result<Spec> {
        Ok(Spec::markers())
    }

    fn process(&mut self, frame: &mut Frame, _: &mut dyn Emit) -> std::result::Result<(), Fault> {
        self.0.lock().unwrap().push(frame.clone());
        frame.data.fill(f64::NAN);
        frame.resize(1, 1);
        frame.flags = Flags::BAD | Flags::GAP | Flags::PART;
        Ok(())
    }

    fn reset(&mut self) {}
}

/// A stream of 8 channels at 160 Hz, with some samples marked BAD.
fn feed() -> Feed {
    feeds().remove(0)
}

/// The stream with holes: flagged, unflagged, one right after another, and one that is bridged.
fn broken_stream(blocks: &[usize]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut shift = 0;
    let mut lengths = blocks.iter().cycle();
    let mut first = 0;
    while first < 1200 {
        let mut end = 1200.min(first + *lengths.next().unwrap() as u64);
        let breaks = [(101, 5, Flags::GAP), (333, 9, Flags::NONE), (340, 1, Flags::GAP)];
        let bridge = [(800, 13, Flags::BRIDGE), (900, 0, Flags::BAD), (901, 0, Flags::NONE)];
        let all = breaks.into_iter().chain(bridge);
        all.clone().filter(|b| b.0 > first).for_each(|b| end = end.min(b.0));
        let mut frame = feed().block(first, end);
        if let Some((_, missing, flags)) = all.clone().find(|b| b.0 == first) {
            shift += missing;
            frame.flags |= flags;
        }
        frame.span.first += shift;
        frame.span.last += shift;
        frames.push(frame);
        first = end;
    }
    frames
}

fn bits(frames: &[Frame]) -> Vec<u64> {
    frames.iter().flat_map(|f| f.data.iter().map(|v| v.to_bits())).collect()
}

/// Tolerance of the numbers: they are summed up in another order (`math/sliding`).
fn assert_same(got: &[Frame], want: &[Frame], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}: how many");
    for (got, want) in got.iter().zip(want) {
        let (g, w) = (got.span, want.span);
        assert_eq!((g.first, g.last, g.arrived_s), (w.first, w.last, w.arrived_s), "{what}");
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(g.first_s, w.first_s) && near(g.last_s, w.last_s), "{what}: {g:?} {w:?}");
        assert_eq!((got.flags, &got.text), (want.flags, &want.text), "{what}: marks of {w:?}");
        let scale = want.data.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        for (g, w) in got.data.iter().zip(&want.data) {
            assert!((g - w).abs() <= 1e-12 * scale, "{what}: {g} {w} in {:?}", got.span);
        }
    }
}

#[test]
fn windows_a_step_at_a_time_are_those_that_are_whole() {
    for stages in [&PLAIN[..], &ODD, &AUGMENTED] {
        for blocks in [&[16][..], &[1], &[7], &[64], &[64, 1, 3, 50, 2, 31]] {
            let frames = broken_stream(blocks);
            let want = Chain::run(stages, Way::Whole, &frames);
            let got = Chain::run(stages, Way::Hops, &frames);
            assert!(want.len() > 90 && want.iter().any(|f| f.flags.has(Flags::GAP)));
            assert!(want.iter().any(|f| f.flags.has(Flags::BAD)));
            assert_same(&got, &want, &format!("{stages:?} {blocks:?}"));
        }
    }
}

#[test]
fn blocks_do_not_matter_to_the_last_bit() {
    for stages in [&PLAIN[..], &ODD, &AUGMENTED] {
        let want = bits(&Chain::run(stages, Way::Hops, &broken_stream(&[16])));
        for blocks in [&[1][..], &[7], &[64], &[64, 1, 3, 50, 2, 31]] {
            let got = bits(&Chain::run(stages, Way::Hops, &broken_stream(blocks)));
            assert!(got == want, "{stages:?} {blocks:?}");
        }
    }
}

/// The intake repairs what is not finite, but a stage must survive it: each window with it is counted
/// as a fault, and the first one without is decided on.
#[test]
fn what_is_not_finite_is_counted_window_by_window() {
    let mut frames = feed().frames(&[16]);
    frames[20].data[3] = f64::NAN;
    frames[50].data[0] = f64::INFINITY;
    for stages in [&PLAIN[..], &ODD, &AUGMENTED] {
        let [want, got] = [Way::Whole, Way::Hops].map(|way| {
            let mut chain = Chain::new(stages, way, Guard::none());
            frames.iter().for_each(|frame| chain.pipeline.take(0, &mut frame.clone()));
            chain
        });
        let last = stages.len() - 1;
        assert!(want.count(last, Cause::Fault) > 5);
        assert_eq!(got.count(last, Cause::Fault), want.count(last, Cause::Fault));
        assert_same(&got.seen(), &want.seen(), &format!("{stages:?}"));
    }
}

/// A late window is passed over, but its samples are used by those that follow; and what is in the
/// ledger is the same as with whole windows.
#[test]
fn a_window_that_is_passed_over_leaves_its_samples() {
    let frames = feed().frames(&[8]);
    for stages in [&PLAIN[..], &ODD, &AUGMENTED] {
        let [want, got] = [Way::Whole, Way::Hops].map(|way| {
            let guard = Guard::new(Some(1.0), Late::Skip, Arc::default());
            let mut chain = Chain::new(stages, way, guard);
            for (i, frame) in frames.iter().enumerate() {
                let mut frame = frame.clone();
                let late = (i / 10) % 3 == 1;
                frame.span.arrived_s = clock::now_s() + if late { -9.0 } else { 1000.0 };
                // The first window behind the gap is one that is passed over.
                if i == 66 {
                    frame.flags |= Flags::GAP;
                }
                chain.pipeline.take(0, &mut frame);
            }
            chain
        });
        assert!(want.count(0, Cause::Skipped) > 20 && want.seen().len() > 50);
        assert_eq!(got.count(0, Cause::Skipped), want.count(0, Cause::Skipped));
        for (got, want) in got.counters.iter().zip(&want.counters) {
            let flow = |c: &Counters| (c.page().taken_in, c.page().passed_on);
            assert_eq!(flow(got), flow(want), "{stages:?}");
        }
        let bare = |frames: Vec<Frame>| -> Vec<Frame> {
            frames
                .into_iter()
                .map(|mut f| {
                    f.span.arrived_s = 0.0;
                    f
                })
                .collect()
        };
        assert_same(&bare(got.seen()), &bare(want.seen()), &format!("{stages:?}"));
    }
}

#[test]
fn no_use_of_the_heap() {
    let frames = broken_stream(&[16]);
    for stages in [&PLAIN[..], &ODD, &AUGMENTED] {
        let mut chain = Chain::new(stages, Way::Hops, Guard::none());
        let collected = chain.out.clone();
        let mut frames = frames.clone();
        let (first, rest) = frames.split_at_mut(20);
        first.iter_mut().for_each(|frame| chain.pipeline.take(0, frame));
        let before = collected.lock().unwrap().len();
        let uses = heap::uses(|| rest.iter_mut().for_each(|frame| chain.pipeline.take(0, frame)));
        // What is collected is cloned: twice from the heap, and the list has room.
        let clones = collected.lock().unwrap()[before..].len();
        assert!(clones > 90, "{clones}");
        assert!(uses <= 2 * clones, "{uses} uses of the heap, {clones} of them for what is kept");
    }
}

/// Which stages of a config send windows a step at a time.
fn by_hops(stages: &str, more: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let source = "[[source]]\nkind = \"synthetic\"\nid = \"eeg\"\n";
    std::fs::write(&path, format!("{more}\n{source}\n{stages}")).unwrap();
    let mut config = config::load(&path, &[]).unwrap();
    let specs = config.prepare(&feed().specs, None).unwrap();
    let ids = config.stages.iter().map(|s| s.id.clone());
    ids.zip(specs).filter(|(_, spec)| spec.hop.is_some()).map(|(id, _)| id).collect()
}

fn stage(kind: &str, settings: &str) -> String {
    format!("[[stage]]\nkind = \"{kind}\"\n{settings}\n")
}

#[test]
fn whoever_wants_whole_windows_gets_them() {
    let window = stage("window", "length_s = 0.5\nstep_s = 0.05");
    let covariance = |settings: &str| stage("covariance", settings);
    let augmented = stage("augmented", "order = 2\nlag = 2");
    let after = |stages: &[&str]| format!("{window}{}", stages.concat());
    let none: [&str; 0] = [];

    assert_eq!(by_hops(&after(&[&covariance("")]), ""), ["window"]);
    assert_eq!(by_hops(&after(&[&covariance("estimator = \"lwf\"")]), ""), none);
    assert_eq!(by_hops(&after(&[]), ""), none);
    let one_window = stage("window", "length_s = 0.5\nstep_s = 0.5") + &covariance("");
    assert_eq!(by_hops(&one_window, ""), none, "nothing to slide");
    let far_apart = stage("window", "length_s = 0.5\nstep_s = 0.6") + &covariance("");
    assert_eq!(by_hops(&far_apart, ""), none);

    let both = after(&[&augmented, &covariance("")]);
    assert_eq!(by_hops(&both, ""), ["window", "augmented"]);
    let lwf = after(&[&augmented, &covariance("estimator = \"lwf\"")]);
    assert_eq!(by_hops(&lwf, ""), none);
    let twice = stage("augmented", "id = \"again\"\norder = 2\nlag = 1");
    assert_eq!(by_hops(&after(&[&augmented, &twice, &covariance("")]), ""), none);
    let long = after(&[&stage("augmented", "order = 2\nlag = 30"), &covariance("")]);
    assert_eq!(by_hops(&long, ""), none, "hardly a core");

    let second =
        |settings: &str| covariance(&format!("id = \"second\"\nfrom = \"window\"\n{settings}"));
    assert_eq!(by_hops(&after(&[&covariance(""), &second("")]), ""), ["window"]);
    let with_lwf = after(&[&covariance(""), &second("estimator = \"lwf\"")]);
    assert_eq!(by_hops(&with_lwf, ""), none);
    assert_eq!(by_hops(&after(&[&covariance("lane = \"worker\"")]), ""), none, "mail gets lost");
    let tapped = "[[sink]]\nkind = \"jsonl\"\npath = \"x.jsonl\"\nfrom = \"window\"\n";
    assert_eq!(by_hops(&after(&[&covariance(""), tapped]), ""), none);
    let fork = after(&[&covariance(""), &second("")]);
    let degrade = "deadline_ms = 5.0\nlate = \"degrade\"\ndegrade = \"second\"";
    assert_eq!(by_hops(&fork, degrade), none, "they take turns");
}

/// `Hops` is what a stage answers; a stage that was not asked for it refuses.
#[test]
fn most_stages_refuse() {
    let windows = Spec { payload: Payload::Window, rows: 100, ..feed().specs[0].clone() };
    for kind in kinds().filter(|k| !["augmented", "covariance"].contains(&k.name)) {
        let stage = kind.from_toml(kind.example).unwrap().unit;
        assert_eq!(stage.takes_hops(&windows), Hops::Refused, "{}", kind.name);
    }
}
