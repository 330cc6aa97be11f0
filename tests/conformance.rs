//! What every stage owes, tried on every stage of every list.
//!
//! A new stage is tested without a change here: it is made from its example, and given the first
//! kind of input that it takes.
#![allow(clippy::unwrap_used)]

#[path = "support/feed.rs"]
mod feed;
#[path = "support/heap.rs"]
mod heap;

use feed::{Feed, feeds, marker};
use saltatory::frame::{Flags, Frame, Payload, Span, Spec};
use saltatory::kind::Kind;
use saltatory::ledger::Cause;
use saltatory::stages::{Emit, Examples, Part, Stage, kinds};

/// How streams are cut into blocks unless that is what is tested.
const BLOCKS: &[usize] = &[16];
/// Reset is tried in the middle of a stream with this many samples passed, and at its end.
const RESET_AT: u64 = 192;

/// A kind of stage with input that it takes and what it learned, if it learns.
struct Case {
    kind: &'static Kind<dyn Stage>,
    feed: Feed,
    learned: Option<Part>,
    out: Spec,
}

/// Stages that run a network: what they need is there only after `scripts/setup onnx`, the library allocates,
/// and what comes out is no linear function of what goes in.
const NETWORKS: [&str; 2] = ["denoise", "onnx"];

fn cases() -> impl Iterator<Item = Case> {
    let ready = saltatory::runtime::found().is_some();
    assert!(
        ready || std::env::var_os("SALTATORY_REQUIRE_PYTHON").is_none(),
        "run scripts/setup onnx"
    );
    kinds().filter(move |kind| ready || !NETWORKS.contains(&kind.name)).map(|kind| {
        let mut refusals = String::new();
        for feed in feeds() {
            match Case::new(kind, feed) {
                Ok(case) => return case,
                Err(e) => refusals.push_str(&format!("\n  {e}")),
            }
        }
        panic!("{} takes no input:{refusals}", kind.name)
    })
}

impl Case {
    fn new(kind: &'static Kind<dyn Stage>, feed: Feed) -> saltatory::error::Result<Self> {
        let mut stage = kind.from_toml(kind.example)?.unit;
        let mut learned = None;
        if let Some(fitted) = stage.fitted() {
            let (x, y) = feed.examples();
            fitted.fit(&Examples::new(&x, &y, &classes()))?;
            learned = Some(fitted.save()?);
        }
        let out = stage.prepare(&feed.specs)?;
        Ok(Self { kind, feed, learned, out })
    }

    /// A new stage that is ready.
    fn stage(&self) -> Box<dyn Stage> {
        let mut stage = self.kind.from_toml(self.kind.example).unwrap().unit;
        if let Some(part) = &self.learned {
            stage.fitted().unwrap().load(part).unwrap();
        }
        stage.prepare(&self.feed.specs).unwrap();
        stage
    }

    fn frames(&self) -> Vec<Frame> {
        self.feed.frames(BLOCKS)
    }

    fn assert_same(&self, got: &[Frame], want: &[Frame], what: &str) {
        let (got, want) = (pieces(&self.out, got), pieces(&self.out, want));
        let name = self.kind.name;
        assert_eq!(got.len(), want.len(), "{name}: {what}: how much comes out");
        for (got, want) in got.iter().zip(&want) {
            // Times within a block are worked out from its ends, so they agree up to rounding.
            let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
            let (g, w) = (got.span, want.span);
            assert!(
                (g.first, g.last) == (w.first, w.last)
                    && near(g.first_s, w.first_s)
                    && near(g.last_s, w.last_s),
                "{name}: {what}: {g:?} {w:?}"
            );
            assert!(got.flags == want.flags && got.text == want.text, "{name}: {what}: marks");
            let bits = |f: &Frame| f.data.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(got), bits(want), "{name}: {what}: numbers of {w:?}");
        }
    }
}

fn classes() -> [String; 2] {
    ["left", "right"].map(str::to_string)
}

/// What may be compared one by one: frames, or single samples, since their blocks do not matter.
fn pieces(spec: &Spec, frames: &[Frame]) -> Vec<Frame> {
    if spec.payload != Payload::Samples {
        return frames.to_vec();
    }
    let mut rows = Vec::new();
    for frame in frames {
        for r in 0..frame.rows {
            let index = frame.span.first + r as u64;
            let time_s = frame.span.first_s + r as f64 / spec.rate_hz;
            rows.push(Frame {
                span: Span {
                    first: index,
                    last: index,
                    first_s: time_s,
                    last_s: time_s,
                    arrived_s: 0.0,
                },
                rows: 1,
                data: frame.row(r).to_vec(),
                ..frame.clone()
            });
        }
    }
    rows
}

/// Keeps what is emitted, if it is to.
#[derive(Default)]
struct Sink {
    kept: Option<Vec<Frame>>,
    scribble: bool,
}

impl Emit for Sink {
    fn emit(&mut self, frame: &mut Frame) {
        if let Some(kept) = &mut self.kept {
            kept.push(frame.clone());
        }
        if self.scribble {
            frame.data.fill(f64::NAN);
            frame.resize(1, 1);
            frame.text.clear();
            frame.text.push('?');
            frame.flags = Flags::BAD | Flags::GAP;
            frame.span = Span { first: 9, last: 3, ..Span::default() };
            frame.input = 7;
        }
    }

    fn count(&mut self, _: Cause, _: u64) {}
}

/// What the stage makes of the frames; it must not fail.
fn run(stage: &mut dyn Stage, frames: &[Frame]) -> Vec<Frame> {
    let mut sink = Sink { kept: Some(Vec::new()), scribble: false };
    for frame in frames {
        stage.process(&mut frame.clone(), &mut sink).unwrap();
    }
    sink.kept.unwrap()
}

#[test]
fn examples_parse_and_every_key_has_help() {
    for kind in kinds() {
        let name = kind.name;
        let built = kind.from_toml(kind.example).unwrap_or_else(|e| panic!("{name}: {e}"));
        let schema = (kind.schema)();
        let has_help = |schema: &serde_json::Value| {
            schema.get("description").and_then(|d| d.as_str()).is_some_and(|d| !d.is_empty())
        };
        assert!(has_help(schema.as_value()), "{name} has no description");
        let keys = schema.get("properties").and_then(|p| p.as_object());
        for (key, help) in keys.into_iter().flatten() {
            assert!(has_help(help), "{name}: `{key}` has no help");
            assert!(built.settings.get(key).is_some(), "{name}: `{key}` is not shown");
        }
        let unknown = format!("no_such_key = 1\n{}", kind.example);
        assert!(kind.from_toml(&unknown).is_err(), "{name} takes an unknown key");
    }
}

#[test]
fn what_comes_out_is_what_was_promised() {
    for case in cases() {
        let (name, spec) = (case.kind.name, &case.out);
        let input = case.frames();
        let output = run(&mut *case.stage(), &input);
        assert!(!output.is_empty(), "{name}: nothing comes out");
        let times = input[0].span.first_s - 1e-9..input[input.len() - 1].span.last_s + 1e-9;
        for frame in &output {
            let rows_fit = match spec.payload {
                Payload::Samples => frame.rows <= spec.rows,
                _ => frame.rows == spec.rows,
            };
            assert!(rows_fit && frame.cols == spec.cols, "{name}: {} x {}", frame.rows, frame.cols);
            assert_eq!(frame.data.len(), frame.rows * frame.cols, "{name}");
            assert!(frame.data.iter().all(|v| v.is_finite()), "{name}: not finite");
            let span = frame.span;
            assert!(span.first <= span.last && span.first_s <= span.last_s, "{name}: {span:?}");
            assert!(times.contains(&span.first_s) && times.contains(&span.last_s), "{name}");
            assert!(span.arrived_s >= span.last_s, "{name}: {span:?}");
            match spec.payload {
                Payload::Scores => {
                    assert!((frame.data.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{name}: sum");
                    assert!(frame.data.iter().all(|v| (0.0..=1.0).contains(v)), "{name}: range");
                }
                Payload::Matrix => {
                    let n = frame.cols;
                    let mirrored = |e: usize| frame.data[e % n * n + e / n];
                    assert!(
                        frame.data.iter().enumerate().all(|(e, v)| *v == mirrored(e)),
                        "{name}: not symmetric"
                    );
                }
                _ => {}
            }
        }
        match spec.payload {
            Payload::Samples | Payload::Window => assert_eq!(spec.channels.len(), spec.cols),
            Payload::Scores => assert_eq!(spec.classes.len(), spec.cols),
            Payload::Matrix => assert_eq!(spec.rows, spec.cols),
            _ => {}
        }
    }
}

#[test]
fn blocks_do_not_matter() {
    for case in cases().filter(|case| case.feed.is_stream()) {
        let want = run(&mut *case.stage(), &case.frames());
        for blocks in [&[1][..], &[7], &[64], &[64, 1, 3, 50, 2, 31]] {
            let got = run(&mut *case.stage(), &case.feed.frames(blocks));
            case.assert_same(&got, &want, "blocks");
        }
    }
}

#[test]
fn reset_and_prepare_are_a_new_start() {
    for case in cases() {
        let frames = case.frames();
        let middle = match case.feed.is_stream() {
            true => frames.iter().position(|f| f.span.last >= RESET_AT).unwrap(),
            false => frames.len() / 2,
        };
        let rest = &frames[middle..];
        let want = run(&mut *case.stage(), rest);
        let mut stage = case.stage();
        run(&mut *stage, &frames[..middle]);
        stage.reset();
        case.assert_same(&run(&mut *stage, rest), &want, "reset in the middle");
        stage.reset();
        case.assert_same(&run(&mut *stage, rest), &want, "reset at the end");
        stage.prepare(&case.feed.specs).unwrap();
        case.assert_same(&run(&mut *stage, rest), &want, "prepared again");
    }
}

#[test]
fn what_was_learned_can_be_saved_and_loaded() {
    for case in cases().filter(|case| case.learned.is_some()) {
        let mut stage = case.kind.from_toml(case.kind.example).unwrap().unit;
        let fitted = stage.fitted().unwrap();
        assert!(fitted.save().is_err(), "{}: saves what it has not learned", case.kind.name);
        assert!(fitted.load(&Part::default()).is_err(), "{}: loads nothing", case.kind.name);
        assert!(stage.prepare(&case.feed.specs).is_err(), "{}: runs untaught", case.kind.name);
        let (x, y) = case.feed.examples();
        stage.fitted().unwrap().fit(&Examples::new(&x, &y, &classes())).unwrap();
        stage.prepare(&case.feed.specs).unwrap();
        let want = run(&mut *stage, &case.frames());
        case.assert_same(&run(&mut *case.stage(), &case.frames()), &want, "loaded");
    }
}

#[test]
fn the_receiver_may_scribble() {
    for case in cases() {
        let want = run(&mut *case.stage(), &case.frames());
        let mut stage = case.stage();
        let mut sink = Sink { kept: Some(Vec::new()), scribble: true };
        for mut frame in case.frames() {
            stage.process(&mut frame, &mut sink).unwrap();
        }
        case.assert_same(&sink.kept.unwrap(), &want, "scribbling");
    }
}

#[test]
fn processing_leaves_the_heap_alone() {
    for case in cases().filter(|case| !NETWORKS.contains(&case.kind.name)) {
        let mut stage = case.stage();
        let mut sink = Sink { kept: None, scribble: true };
        let mut frames = case.frames();
        let (first, rest) = frames.split_at_mut(2);
        for frame in first {
            stage.process(frame, &mut sink).unwrap();
        }
        let uses = heap::uses(|| {
            for frame in rest {
                stage.process(frame, &mut sink).unwrap();
            }
            stage.reset();
        });
        assert_eq!(uses, 0, "{}: uses of the heap", case.kind.name);
    }
    assert!(heap::uses(|| drop(std::hint::black_box(vec![1]))) >= 2, "the counter counts");
}

#[test]
fn nothing_that_comes_in_makes_it_panic() {
    for case in cases() {
        let frames = case.frames();
        let want = run(&mut *case.stage(), &frames);
        let mut stage = case.stage();
        let mut sink = Sink { kept: None, scribble: true };
        let good = &frames[0];
        let mut odd = Vec::new();
        for value in [f64::NAN, f64::INFINITY, 1e300, -1e300, 0.0] {
            let mut frame = good.clone();
            frame.data[0] = value;
            odd.push(frame.clone());
            frame.data.fill(value);
            odd.push(frame);
        }
        let empty = |flags| Frame { flags, rows: 0, data: Vec::new(), ..good.clone() };
        odd.extend([Flags::NONE, Flags::END, Flags::GAP, Flags::BAD].map(empty));
        for flags in [Flags::GAP, Flags::BAD, Flags::GAP | Flags::BAD] {
            let mut frame = good.clone();
            frame.flags = flags;
            frame.span.first += 5000;
            frame.span.last += 5000;
            odd.push(frame);
        }
        let mut timeless = good.clone();
        timeless.span.first_s = f64::NAN;
        timeless.span.last_s = f64::NAN;
        odd.push(timeless);
        if case.feed.specs.len() > 1 {
            odd.extend([f64::NAN, f64::NEG_INFINITY, -1e300].map(|about| marker(about, "T1")));
            odd.push(marker(3.0, ""));
        }
        for mut frame in odd.iter().cycle().take(3 * odd.len()).cloned() {
            if stage.process(&mut frame, &mut sink).is_err() {
                stage.reset();
            }
        }
        stage.reset();
        case.assert_same(&run(&mut *stage, &frames), &want, "after nonsense and a reset");
    }
}

/// The delay is measured on the answer `h` to an impulse in C3: the group delay
/// `Re(sum n h e^-iwn / sum h e^-iwn)` at the geometric centre of the frequencies where the gain is at
/// least 1/sqrt 2 of its maximum. Tolerance: 1 % for the grid of frequencies, 0.2 ms for what a
/// stage may neglect, as the notch does.
#[test]
fn delays_are_as_stated() {
    let sample_wise =
        |case: &Case| case.feed.specs.len() == 1 && case.out.payload == Payload::Samples;
    let plain = |case: &Case| !NETWORKS.contains(&case.kind.name);
    for case in cases().filter(|case| case.feed.is_stream() && sample_wise(case) && plain(case)) {
        let labels: Vec<_> = case.feed.specs[0].channels.iter().map(|c| c.label.as_str()).collect();
        let column = labels.iter().position(|label| *label == "C3").unwrap();
        let mut stage = case.stage();
        let mut frames: Vec<Frame> =
            (0..100).map(|i| case.feed.block(64 * i, 64 * (i + 1))).collect();
        frames.iter_mut().for_each(|frame| frame.data.fill(0.0));
        frames[0].data[column] = 1.0;
        let output = run(&mut *stage, &frames);
        let answer = |c: usize| -> Vec<f64> {
            output.iter().flat_map(|f| f.data.iter().skip(c).step_by(f.cols).copied()).collect()
        };
        let power = |h: &[f64]| h.iter().map(|v| v * v).sum::<f64>();
        let h = (0..case.out.cols)
            .map(answer)
            .max_by(|a, b| power(a).total_cmp(&power(b)))
            .expect("at least one channel");
        assert!(power(&h) > 0.0, "{}: an impulse does not pass", case.kind.name);
        let respond = |freq_hz: f64| -> (f64, f64) {
            let w = std::f64::consts::TAU * freq_hz / case.out.rate_hz;
            let (mut re, mut im, mut slope_re, mut slope_im) = (0.0, 0.0, 0.0, 0.0);
            for (n, v) in h.iter().enumerate() {
                let (n, c, s) = (n as f64, (w * n as f64).cos(), -(w * n as f64).sin());
                re += v * c;
                im += v * s;
                slope_re += n * v * c;
                slope_im += n * v * s;
            }
            let power = re * re + im * im;
            (power.sqrt(), (slope_re * re + slope_im * im) / power / case.out.rate_hz)
        };
        let half_hz = case.out.rate_hz / 2.0;
        let grid: Vec<f64> =
            (1..800).map(|i| f64::from(i) * 0.1).take_while(|f| *f < half_hz).collect();
        let gains: Vec<f64> = grid.iter().map(|f| respond(*f).0).collect();
        let least = gains.iter().fold(0.0, |a: f64, b| a.max(*b)) * 0.5_f64.sqrt();
        let passed: Vec<f64> =
            grid.iter().zip(&gains).filter(|(_, g)| **g >= least).map(|(f, _)| *f).collect();
        let centre = (passed[0] * passed[passed.len() - 1]).sqrt();
        let (measured, stated) = (respond(centre).1, stage.delay_s());
        println!("{}: {stated:.5} s stated, {measured:.5} s at {centre:.1} Hz", case.kind.name);
        assert!(
            (measured - stated).abs() < 0.01 * measured.abs() + 2e-4,
            "{}: {stated} s stated, {measured} s measured at {centre} Hz",
            case.kind.name
        );
    }
}
