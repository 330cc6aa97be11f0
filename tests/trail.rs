//! Live embeddings hold still: channels keep their axes from window to window, windows that come later
//! find the place that they would have had, and learning takes bounded memory.
#![allow(unsafe_code, clippy::unwrap_used)]

mod support;

use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use saltatory::frame::graph::Layout;
use saltatory::frame::{Channel, Flags, Frame, Payload, Spec};
use saltatory::ledger::{Cause, Counters};
use saltatory::math::linalg::{distance, norm};
use saltatory::math::manifold::procrustes::Procrustes;
use saltatory::math::simulator::{Config, Simulator};
use saltatory::sources::recording::{self, Player};
use saltatory::stages::{Emit, Examples, Stage};
use std::alloc::{GlobalAlloc, System};
use std::cell::Cell;
use support::stages::stage;

/// Coordinates of each channel in the trail.
const M: usize = 3;
const RATE_HZ: f64 = 160.0;
/// How long the trail is, and the recording from which axes are learned.
const TRAIL_S: usize = 600;
const LEARNED_S: usize = 120;

// Channels, for ten minutes.

/// What happened from window to window along a trail.
struct Trail {
    /// The cosine between an axis and the same axis in the window before: the least, and the median of the
    /// least of each window.
    least: f64,
    usual: f64,
    /// The largest rotation from one window to the next, as the norm of R - 1.
    largest_turn: f64,
    /// All those rotations one after the other, as the norm of their product less 1.
    drift: f64,
}

fn follow(windows: &[Vec<f64>]) -> Trail {
    let mut procrustes = Procrustes::new(M);
    let mut least = Vec::new();
    let mut largest_turn = 0.0_f64;
    let mut product = identity();
    for pair in windows.windows(2) {
        let cosines = (0..M).map(|k| cosine(&pair[0], &pair[1], k));
        least.push(cosines.fold(1.0, f64::min));
        assert!(procrustes.align(&mut pair[1].clone(), &pair[0]));
        let turn = procrustes.rotation().to_vec();
        largest_turn = largest_turn.max(distance(&turn, &identity()));
        product = times(&product, &turn);
    }
    least.sort_by(f64::total_cmp);
    let (usual, drift) = (least[least.len() / 2], distance(&product, &identity()));
    Trail { least: least[0], usual, largest_turn, drift }
}

/// The cosine between axis `k` of two windows.
fn cosine(a: &[f64], b: &[f64], k: usize) -> f64 {
    let dot = |a: &[f64], b: &[f64]| -> f64 {
        let axis = |x: &[f64]| x.iter().skip(k).step_by(M).copied().collect::<Vec<_>>();
        axis(a).iter().zip(axis(b)).map(|(a, b)| a * b).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn identity() -> Vec<f64> {
    (0..M * M).map(|e| f64::from(u8::from(e / M == e % M))).collect()
}

fn times(a: &[f64], b: &[f64]) -> Vec<f64> {
    let entry = |i: usize, j: usize| (0..M).map(|k| a[k * M + i] * b[j * M + k]).sum();
    (0..M * M).map(|e| entry(e % M, e / M)).collect()
}

/// The graphs of 2 s windows, a second apart, of `length_s` seconds of simulated EEG.
fn graphs(seed: u64, length_s: usize) -> (Spec, Vec<Frame>) {
    let config = Config { seed, rate_hz: RATE_HZ, ..Config::default() };
    let channels: Vec<_> = config.channels.iter().map(Channel::named).collect();
    let (count, second) = (channels.len(), RATE_HZ as usize);
    let mut simulator = Simulator::new(&config).unwrap();
    let spec = Spec { payload: Payload::Window, ..Spec::samples(channels, RATE_HZ, 2 * second) };
    let mut window = spec.frame();
    window.resize(2 * second, count);
    let mut windows = Vec::new();
    for s in 0..length_s {
        window.data.copy_within(second * count.., 0);
        simulator.next(&mut window.data[second * count..], second);
        if s > 0 {
            windows.push(window.clone());
        }
    }
    let mut spectrum = stage("spectrum", "");
    let mut graph = stage("graph", "distance = \"euclidean\"\nneighbours = 8");
    let nodes = spectrum.prepare(&[spec]).unwrap();
    let spec = graph.prepare(&[nodes]).unwrap();
    let nodes = run(spectrum.as_mut(), &windows);
    (spec, run(graph.as_mut(), &nodes))
}

/// The coordinates of the channels in each window.
fn embed(settings: &str, spec: &Spec, graphs: &[Frame], learned: &[Frame]) -> Vec<Vec<f64>> {
    let settings = format!("dimensions = {M}\nscale = \"variance\"\n{settings}");
    let mut eigenmap = stage("eigenmap", &settings);
    if let Some(fitted) = eigenmap.fitted() {
        let labels = vec![0; learned.len()];
        fitted.fit(&Examples::new(learned, &labels, &[])).unwrap();
        let part = fitted.save().unwrap();
        eigenmap = stage("eigenmap", &settings);
        eigenmap.fitted().unwrap().load(&part).unwrap();
    }
    let out = eigenmap.prepare(std::slice::from_ref(spec)).unwrap();
    let layout = Layout::of(&out).unwrap();
    let places = |frame: &Frame| -> Vec<f64> {
        assert!(layout.fits(frame) && frame.flags == Flags::NONE, "{:?}", frame.flags);
        (0..layout.nodes).flat_map(|i| frame.data[layout.features(i)].to_vec()).collect()
    };
    run(eigenmap.as_mut(), graphs).iter().map(places).collect()
}

/// Bounds: what was measured is printed, and stands in docs/geometry.md; the bounds leave room.
///
/// That a window is not turned against the one before, or against the reference, is what the rotation
/// promises, up to rounding. That axes go on into themselves, it does not; there the data decide.
#[test]
fn the_trail_of_the_channels_is_continuous_over_ten_minutes() {
    let (spec, frames) = graphs(4, TRAIL_S);
    let (_, learned) = graphs(5, LEARNED_S);
    let trail = |settings: &str| {
        let windows = embed(settings, &spec, &frames, &learned);
        let trail = follow(&windows);
        println!(
            "{settings:?}: least cosine {:.3}, usually {:.3}; largest turn {:.2e}; drift {:.2e}",
            trail.least, trail.usual, trail.largest_turn, trail.drift
        );
        (trail, windows)
    };
    let (as_they_come, _) = trail("align = \"none\"");
    assert!(as_they_come.least < -0.5, "without alignment, axes flip");

    let (previous, _) = trail("align = \"previous\"");
    assert!(previous.least > 0.0 && previous.largest_turn < 1e-9 && previous.drift < 1e-9);

    let (pooled, _) = trail("align = \"previous\"\npool = 8");
    assert!(pooled.least > 0.4 && pooled.usual > 0.7);
    assert!(pooled.largest_turn < 1e-9 && pooled.drift < 1e-9);

    let (fitted, windows) = trail("align = \"fitted\"\npool = 8");
    assert!(fitted.least > 0.4 && fitted.usual > 0.7 && fitted.largest_turn < 0.3);
    assert!(against(&windows, &learned, &spec) < 1e-9, "the axes are those that were learned");
}

/// The largest rotation between a window and the reference, as the norm of R - 1.
fn against(windows: &[Vec<f64>], learned: &[Frame], spec: &Spec) -> f64 {
    let settings = format!("dimensions = {M}\nscale = \"variance\"\nalign = \"fitted\"\npool = 8");
    let mut eigenmap = stage("eigenmap", &settings);
    let labels = vec![0; learned.len()];
    let fitted = eigenmap.fitted().unwrap();
    fitted.fit(&Examples::new(learned, &labels, &[])).unwrap();
    let reference = fitted.save().unwrap().tensors["reference"].clone();
    assert_eq!(reference.shape, [spec.rows, M]);
    let mut procrustes = Procrustes::new(M);
    let turn = |window: &Vec<f64>| {
        assert!(procrustes.align(&mut window.clone(), &reference.data));
        distance(procrustes.rotation(), &identity())
    };
    windows.iter().map(turn).fold(0.0, f64::max)
}

// Windows that come later.

/// The covariance matrices of 2 s windows, end to end, of three recordings of one subject, or of three
/// simulated ones; every fourth is held out.
fn covariances() -> Vec<Frame> {
    let names = match support::recordings() {
        Some(folder) => ["R04", "R08", "R12"].map(|run| {
            folder.join(format!("physionet-eegmmidb/S007{run}.edf")).to_str().unwrap().to_owned()
        }),
        None => ["synthetic:7", "synthetic:8", "synthetic:9"].map(str::to_owned),
    };
    let mut stages = [
        stage(
            "pick",
            "channels = [\"FC3\", \"FC4\", \"C3\", \"Cz\", \"C4\", \"CP3\", \"CP4\", \"Pz\"]",
        ),
        stage("bandpass", "low_hz = 8.0\nhigh_hz = 30.0"),
        stage("window", "length_s = 2.0\nstep_s = 2.0"),
        stage("covariance", "estimator = \"oas\""),
    ];
    let mut all = Vec::new();
    for name in names {
        let streams = recording::load(&name).unwrap().streams;
        let samples = streams.into_iter().find(|s| !recording::is_markers(s)).unwrap();
        let mut player = Player::new(samples).unwrap();
        let ledger = Counters::new("test".to_owned());
        let (mut block, mut frames) = (player.spec().frame(), Vec::new());
        while player.next(&mut block, &ledger) {
            frames.push(block.clone());
        }
        let mut spec = player.spec().clone();
        for stage in &mut stages {
            spec = stage.prepare(&[spec]).unwrap();
            frames = run(stage.as_mut(), &frames);
        }
        all.extend(frames.into_iter().filter(|x| !x.data.is_empty()));
    }
    all
}

/// Held-out windows are placed by a map that has not seen them; a map that has seen them all, turned onto
/// the first by the windows that both have seen, says where they belong. The error is relative to the
/// size of their coordinates. What is measured is printed, and stands in docs/geometry.md.
#[test]
fn held_out_windows_are_placed_where_a_refit_places_them() {
    let windows = covariances();
    let held = |i: &usize| i % 4 == 3;
    let places: Vec<usize> = (0..windows.len()).collect();
    let (later, seen): (Vec<usize>, Vec<usize>) = places.iter().partition(|i| held(i));
    assert!(later.len() > 30, "{}", windows.len());
    for (settings, bound) in [
        ("method = \"eigenmap\"", 0.2),
        ("method = \"eigenmap\"\nneighbours = 12", 0.5),
        ("method = \"diffusion\"\ntime = 2.0", 0.2),
        ("method = \"pca\"", 0.2),
    ] {
        // Simulated sessions are too unlike each other to be joined by a few neighbours.
        if support::recordings().is_none() && settings.contains("neighbours") {
            continue;
        }
        let of =
            |which: &[usize]| -> Vec<Frame> { which.iter().map(|i| windows[*i].clone()).collect() };
        let mut map = learned(settings, &of(&seen), Payload::Matrix);
        let mut refit = learned(settings, &windows, Payload::Matrix);
        let mut all = coordinates(refit.as_mut(), &of(&seen));
        let mut procrustes = Procrustes::new(2);
        assert!(procrustes.align(&mut all, &coordinates(map.as_mut(), &of(&seen))));
        let turn = procrustes.rotation().to_vec();
        let belong = coordinates(refit.as_mut(), &of(&later));
        let belong: Vec<f64> = belong
            .chunks_exact(2)
            .flat_map(|v| [turn[0] * v[0] + turn[1] * v[1], turn[2] * v[0] + turn[3] * v[1]])
            .collect();
        let error = distance(&coordinates(map.as_mut(), &of(&later)), &belong) / norm(&belong);
        println!("{settings:?}: {} of {} held out: {error:.3}", later.len(), windows.len());
        assert!(error < bound, "{settings}: {error}");
    }
}

// Many windows.

/// A hundred thousand vectors on a noisy ring: the map is learned in a few dozen bytes for each, finds the ring, and
/// places windows without the heap.
#[test]
fn a_hundred_thousand_windows_are_learned_in_bounded_memory() {
    const COUNT: usize = 100_000;
    const WIDTH: usize = 8;
    let rng = &mut Pcg64::seed_from_u64(1);
    let angle = |i: usize| std::f64::consts::TAU * (i as f64 * 0.618_034).fract();
    let frames: Vec<Frame> = (0..COUNT).map(|i| vector(WIDTH, angle(i), rng)).collect();
    for settings in [
        "landmarks = 120",
        "method = \"diffusion\"\nlandmarks = 120\nneighbours = 10\nchoose = \"farthest\"",
        "method = \"pca\"",
    ] {
        let mut map = None;
        let peak = peak_bytes(|| map = Some(learned(settings, &frames, Payload::Vector)));
        let mut map = map.unwrap();
        println!("{settings:?}: {peak} bytes at most, {} for each window", peak / COUNT as i64);
        assert!(peak < 64 * COUNT as i64 + 4_000_000, "{peak} bytes");

        let some = &frames[..500];
        let y = coordinates(map.as_mut(), some);
        let found: Vec<f64> = y.chunks_exact(2).map(|v| v[1].atan2(v[0])).collect();
        // Up to where it begins and which way round it goes.
        let agreement = [1.0, -1.0].map(|way| {
            let (c, s) = found.iter().enumerate().fold((0.0, 0.0), |(c, s), (i, a)| {
                let d = way * a - angle(i);
                (c + d.cos(), s + d.sin())
            });
            c.hypot(s) / 500.0
        });
        println!("agreement with the angle: {:.4}", agreement[0].max(agreement[1]));
        assert!(agreement[0].max(agreement[1]) > 0.98);

        let mut out = Nothing;
        map.process(&mut frames[0].clone(), &mut out).unwrap();
        let mut frame = frames[1].clone();
        assert_eq!(peak_bytes(|| map.process(&mut frame, &mut out).unwrap()), 0);
    }
}

fn vector(width: usize, angle: f64, rng: &mut Pcg64) -> Frame {
    let mut frame =
        Spec { payload: Payload::Vector, rows: 1, cols: width, ..Spec::markers() }.frame();
    frame.resize(1, width);
    for v in &mut frame.data {
        let noise: f64 = StandardNormal.sample(rng);
        *v = 0.05 * noise;
    }
    frame.data[0] += angle.cos();
    frame.data[1] += angle.sin();
    frame
}

// Helpers.

#[derive(Default)]
struct Kept(Vec<Frame>);

impl Emit for Kept {
    fn emit(&mut self, frame: &mut Frame) {
        self.0.push(frame.clone());
    }
    fn count(&mut self, _: Cause, _: u64) {}
}

fn run(stage: &mut dyn Stage, frames: &[Frame]) -> Vec<Frame> {
    let mut kept = Kept::default();
    for frame in frames {
        stage.process(&mut frame.clone(), &mut kept).unwrap();
    }
    kept.0
}

struct Nothing;

impl Emit for Nothing {
    fn emit(&mut self, _: &mut Frame) {}
    fn count(&mut self, _: Cause, _: u64) {}
}

/// An `embedding` that has learned from these frames and is ready.
fn learned(settings: &str, frames: &[Frame], payload: Payload) -> Box<dyn Stage> {
    let mut embedding = stage("embedding", settings);
    embedding.fitted().unwrap().fit(&Examples::new(frames, &[], &[])).unwrap();
    let (rows, cols) = (frames[0].rows, frames[0].cols);
    embedding.prepare(&[Spec { payload, rows, cols, ..Spec::markers() }]).unwrap();
    embedding
}

/// The coordinates of all frames in a row.
fn coordinates(stage: &mut dyn Stage, frames: &[Frame]) -> Vec<f64> {
    run(stage, frames).into_iter().flat_map(|frame| frame.data).collect()
}

/// The most bytes that `work` has on the heap at once, beyond what there was before, on this thread.
fn peak_bytes(work: impl FnOnce()) -> i64 {
    HELD.set(Some((0, 0)));
    work();
    HELD.take().unwrap().1
}

thread_local! {
    /// What is held and the most that was, while that is counted.
    static HELD: Cell<Option<(i64, i64)>> = const { Cell::new(None) };
}

fn count(bytes: i64) {
    let add = |(now, most): (i64, i64)| (now + bytes, most.max(now + bytes));
    // A thread that is ending has no counter any more.
    let _ = HELD.try_with(|held| held.set(held.get().map(add)));
}

struct Counting;

#[global_allocator]
static HEAP: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: std::alloc::Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
