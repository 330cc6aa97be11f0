//! The adapters in front of decoders that others have trained, against SciPy, NumPy, scikit-learn and MNE-Python
//! (tests/golden/adapters.py).
//!
//! Tolerances, relative to the largest number: 1e-12 where both sides do the same sums in another order; 1e-9 for
//! the weights of splines, whose equations are ill-conditioned (MNE takes a pseudo-inverse).
#![allow(clippy::unwrap_used)]

mod support;

use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use saltatory::frame::{Channel, Flags, Frame, Payload, Span, Spec};
use saltatory::ledger::Cause;
use saltatory::math::topomap;
use saltatory::stages::{Emit, Examples, Part, Stage};
use support::stages::stage;
use support::{Golden, relative_error};

const RATE_HZ: f64 = 128.0;

fn golden(name: &str) -> (Vec<usize>, Vec<f64>) {
    Golden::open("adapters").array(name)
}

fn spec(rows: usize, labels: &[&str]) -> Spec {
    let channels = labels.iter().copied().map(Channel::named).collect();
    Spec { payload: Payload::Window, ..Spec::samples(channels, RATE_HZ, rows) }
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A window of `spec`.
fn frame(spec: &Spec, data: &[f64]) -> Frame {
    let mut frame = spec.frame();
    frame.resize(data.len() / spec.cols, spec.cols);
    frame.data.copy_from_slice(data);
    let last = frame.rows as u64 - 1;
    frame.span =
        Span { first: 0, last, first_s: 0.0, last_s: last as f64 / RATE_HZ, arrived_s: 9.0 };
    frame
}

/// The one frame that a stage makes.
struct Made(Option<Frame>);

impl Emit for Made {
    fn emit(&mut self, frame: &mut Frame) {
        self.0 = Some(frame.clone());
    }

    fn count(&mut self, _: Cause, _: u64) {}
}

fn made(stage: &mut dyn Stage, frame: &Frame) -> Frame {
    let mut out = Made(None);
    stage.process(&mut frame.clone(), &mut out).unwrap();
    out.0.unwrap()
}

/// What `kind` makes of the window `window`, against the array `want`.
fn check(kind: &str, settings: &str, window: &[f64], want: &str, tolerance: f64) {
    let spec = spec(window.len() / 6, &NAMES);
    let mut stage = stage(kind, settings);
    let out = stage.prepare(std::slice::from_ref(&spec)).unwrap();
    let got = made(stage.as_mut(), &frame(&spec, window));
    let (shape, want_data) = golden(want);
    assert_eq!([out.rows, out.cols], shape[..], "{want}");
    assert_eq!([got.rows, got.cols], shape[..], "{want}");
    assert_eq!(
        out.channels.len(),
        if kind == "scale" { out.cols } else { out.rows },
        "{want}: names"
    );
    let error = relative_error(&got.data, &want_data);
    println!("{want}: {error:.1e}");
    assert!(error < tolerance, "{want}: {error:e}");
    assert_eq!(got.flags, Flags::NONE, "{want}");
}

#[test]
fn scaling_is_that_of_scikit_learn() {
    let (_, windows) = golden("scale.windows");
    let (first, second) = (&windows[..512 * 6], &windows[512 * 6..2 * 512 * 6]);
    for method in ["channel", "centre", "window"] {
        let settings = format!("method = \"{method}\"");
        check("scale", &settings, first, &format!("scale.{method}"), 1e-12);
    }
    let settings = "method = \"robust\"\nbaseline_s = [0.0, 0.5]\nclamp = 1.5";
    check("scale", settings, first, "scale.robust", 1e-12);
    let spec = spec(512, &NAMES);
    let frames: Vec<Frame> = windows.chunks(512 * 6).map(|w| frame(&spec, w)).collect();
    for method in ["robust", "channel"] {
        let mut stage = stage(
            "scale",
            &format!("method = \"{method}\"\nbaseline_s = [0.0, 0.5]\nlearned = true"),
        );
        let labels = vec![0; frames.len()];
        stage.fitted().unwrap().fit(&Examples::new(&frames, &labels, &[])).unwrap();
        stage.prepare(std::slice::from_ref(&spec)).unwrap();
        let got = made(stage.as_mut(), &frame(&spec, second));
        let (_, want) = golden(&format!("scale.learned_{method}"));
        let error = relative_error(&got.data, &want);
        assert!(error < 1e-12, "learned {method}: {error:e}");
    }
}

#[test]
fn band_entropies_are_those_of_scipy() {
    let (_, window) = golden("bde.input");
    for standardise in ["window", "channel", "none"] {
        let settings = format!("standardise = \"{standardise}\"");
        check("bde", &settings, &window, &format!("bde.{standardise}"), 1e-12);
    }
    check("bde", "baseline_s = 2.0\npiece_s = 1.0", &window, "bde.baseline", 1e-12);
}

#[test]
fn patches_are_those_of_numpy() {
    let (_, window) = golden("patch.window");
    check("patch", "length_s = 0.25", &window, "patch.time", 1e-300);
    check("patch", "length_s = 0.25\ntokens = \"channel\"", &window, "patch.channel", 1e-300);
    check("patch", "length_s = 0.5\nstep_s = 0.25", &window, "patch.overlapping", 1e-300);
}

#[test]
fn short_time_spectra_are_those_of_numpy() {
    let (_, window) = golden("stft.window");
    check("stft", "", &window, "stft.none", 1e-12);
    check("stft", "window = \"hann\"", &window, "stft.hann", 1e-12);
}

#[test]
fn spline_weights_are_those_of_mne() {
    let vectors = |name: &str| -> Vec<[f64; 3]> {
        let (_, data) = golden(name);
        data.chunks_exact(3).map(|v| [v[0], v[1], v[2]]).collect()
    };
    for name in ["few", "many"] {
        let from = vectors(&format!("montage.{name}.from"));
        let to = vectors(&format!("montage.{name}.to"));
        let (_, want) = golden(&format!("montage.{name}.weights"));
        let error = relative_error(&topomap::weights(&from, &to).unwrap(), &want);
        println!("{name}: {error:.1e}");
        assert!(error < 1e-9, "{name}: {error:e}");
    }
}

#[test]
fn a_cap_is_interpolated_as_mne_does() {
    let labels = [
        "Fp1", "FPz", "F7", "F3", "Fz", "F4", "T7", "C3", "C4", "T8", "P7", "Pz", "P8", "O1", "O2",
    ];
    let (_, cap) = golden("montage.cap");
    let spec = spec(20, &labels);
    let settings = "channels = [\"C3\", \"Cz\", \"FC1\", \"CP2\", \"Oz\", \"Pz\"]\n\
                    missing = \"interpolate\"";
    let mut stage = stage("adapt_montage", settings);
    let out = stage.prepare(std::slice::from_ref(&spec)).unwrap();
    assert_eq!((out.payload, out.rows, out.cols), (Payload::Window, 20, 6));
    let got = made(stage.as_mut(), &frame(&spec, &cap)).data;
    let ((_, mne), (_, truth)) = (golden("montage.mne"), golden("montage.true"));
    for at in (0..got.len()).filter(|at| [0, 5].contains(&(at % 6))) {
        assert!((got[at] - truth[at]).abs() < 1e-9, "C3 and Pz come");
    }
    let (to_mne, to_truth) = (relative_error(&got, &mne), relative_error(&got, &truth));
    println!("to MNE {to_mne:.1e}, to the field {to_truth:.3}");
    assert!(to_mne < 1e-9 && to_truth < 0.3);
}

/// Windows of someone, with their labels.
fn windows(name: &str) -> (Spec, Vec<Frame>, Vec<usize>) {
    let spec = spec(64, &NAMES[..4]);
    let (_, data) = golden(&format!("subject.{name}"));
    let (_, labels) = golden("subject.labels");
    let frames = data.chunks(64 * 4).map(|w| frame(&spec, w)).collect();
    (spec, frames, labels.iter().map(|l| *l as usize).collect())
}

fn classes() -> [String; 2] {
    ["first", "second"].map(str::to_owned)
}

#[test]
fn a_persons_map_is_that_of_the_formula() {
    let (_, other, labels) = windows("other");
    let (spec, own, _) = windows("own");
    let folder = tempfile::tempdir().unwrap();
    for (settings, want) in [
        ("method = \"covariance\"\nrotate = false", "subject.covariance"),
        ("method = \"means\"\nridge = 0.05", "subject.means"),
    ] {
        let mut first = stage("subject_linear", settings);
        let fitted = first.fitted().unwrap();
        fitted.fit(&Examples::new(&other, &labels, &classes())).unwrap();
        let part = fitted.save().unwrap();
        let unit: Vec<f64> = (0..16).map(|e| f64::from(u8::from(e % 5 == 0))).collect();
        assert_eq!(part.tensors["map"].data, unit, "{want}: the people it was trained on");
        assert!(fitted.refit(&Examples::new(&own, &labels, &classes())).unwrap());
        let refitted = fitted.save().unwrap();
        // The same by a reference file.
        let path = folder.path().join("reference.safetensors");
        write(&part, &path);
        let settings = format!("{settings}\nreference = \"{}\"", path.display());
        let mut second = stage("subject_linear", &settings);
        let fitted = second.fitted().unwrap();
        fitted.fit(&Examples::new(&own, &labels, &classes())).unwrap();
        assert_eq!(fitted.save().unwrap(), refitted, "{want}");
        let (_, map) = golden(want);
        let error = relative_error(&refitted.tensors["map"].data, &map);
        println!("{want}: {error:.1e}");
        assert!(error < 1e-12, "{want}: {error:e}");
        second.prepare(std::slice::from_ref(&spec)).unwrap();
        let got = made(second.as_mut(), &own[3]);
        let row = |x: &[f64]| -> Vec<f64> {
            map.chunks_exact(4).map(|w| w.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
        };
        let want: Vec<f64> = own[3].data.chunks_exact(4).flat_map(row).collect();
        assert!(relative_error(&got.data, &want) < 1e-12);
    }
}

#[test]
fn a_person_who_does_not_fit_is_refused() {
    let (_, mut frames, labels) = windows("own");
    let text = |stage: &mut Box<dyn Stage>, frames: &[Frame], labels: &[usize]| {
        let fitted = stage.fitted().unwrap();
        fitted.fit(&Examples::new(frames, labels, &classes())).unwrap_err().to_string()
    };
    let mut plain = stage("subject_linear", "");
    assert!(text(&mut plain, &[], &[]).contains("one or more windows"));
    assert!(text(&mut plain, &frames, &vec![0; frames.len()]).contains("class"));
    let fitted = plain.fitted().unwrap();
    fitted.fit(&Examples::new(&frames, &labels, &classes())).unwrap();
    // One channel is flat, then not a number.
    for bad in [0.0, f64::NAN] {
        frames.iter_mut().for_each(|f| f.data.iter_mut().step_by(4).for_each(|v| *v = bad));
        let refused = fitted.refit(&Examples::new(&frames, &labels, &classes())).unwrap_err();
        assert!(refused.to_string().contains("covariance"), "{bad}: {refused}");
    }
    assert!(fitted.save().is_ok(), "what was learned before is kept");
    assert!(plain.prepare(&[spec(64, &NAMES)]).is_err(), "another cap");
    let mut nowhere = stage("subject_linear", "reference = \"nowhere.safetensors\"");
    assert!(text(&mut nowhere, &windows("own").1, &labels).contains("nowhere"));
}

/// Writes a part as the file of a model has it.
fn write(part: &Part, path: &std::path::Path) {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = part
        .tensors
        .iter()
        .map(|(name, t)| {
            let bytes = t.data.iter().flat_map(|v| v.to_le_bytes()).collect();
            (format!("adapter/{name}"), t.shape.clone(), bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let dtype = safetensors::Dtype::F64;
        (name, safetensors::tensor::TensorView::new(dtype, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// Someone with eight sources and a head of their own: the powers of two sources, and the signs of two responses,
/// tell the class.
struct Person {
    mixing: Vec<f64>,
    rng: Pcg64,
}

const SOURCES: usize = 8;

impl Person {
    fn new(seed: u64) -> Self {
        let rng = &mut Pcg64::seed_from_u64(seed);
        let mixing = (0..SOURCES * SOURCES).map(|_| StandardNormal.sample(rng)).collect();
        Self { mixing, rng: Pcg64::seed_from_u64(seed + 1000) }
    }

    /// Labelled windows of 128 samples: the classes differ in power, or in the response.
    fn windows(&mut self, count: usize, evoked: bool) -> (Vec<Frame>, Vec<usize>) {
        let spec = eight();
        let window = |i: usize| {
            let class = i % 2;
            let data: Vec<f64> = (0..128).flat_map(|t| self.sample(t, class, evoked)).collect();
            (frame(&spec, &data), class)
        };
        (0..count).map(window).unzip()
    }

    fn sample(&mut self, t: usize, class: usize, evoked: bool) -> Vec<f64> {
        let bump = |at: f64| (-((t as f64 - at) / 8.0).powi(2)).exp();
        let mut s: Vec<f64> = (0..SOURCES).map(|_| StandardNormal.sample(&mut self.rng)).collect();
        if evoked {
            // Each source answers to both classes at its own time; two of them with another sign.
            for (i, s) in s.iter_mut().enumerate() {
                let sign = if i < 2 && class == 1 { -1.0 } else { 1.0 };
                *s += 0.6 * sign * bump(16.0 + 12.0 * i as f64);
            }
        } else {
            s[class] *= 2.0;
        }
        let row = |w: &[f64]| w.iter().zip(&s).map(|(w, s)| w * s).sum();
        self.mixing.chunks_exact(SOURCES).map(row).collect()
    }
}

/// Fits a chain of stages, each on what those before make of the examples.
fn fit(chain: &mut [Box<dyn Stage>], frames: &[Frame], labels: &[usize]) {
    let (mut spec, mut frames) = (eight(), frames.to_vec());
    for stage in chain {
        if let Some(fitted) = stage.fitted() {
            fitted.fit(&Examples::new(&frames, labels, &classes())).unwrap();
        }
        spec = stage.prepare(&[spec]).unwrap();
        frames = frames.iter().map(|f| made(stage.as_mut(), f)).collect();
    }
}

fn eight() -> Spec {
    spec(128, &["0", "1", "2", "3", "4", "5", "6", "7"])
}

/// What a chain of stages makes of a frame.
fn through(chain: &mut [Box<dyn Stage>], frame: &Frame) -> Frame {
    chain.iter_mut().fold(frame.clone(), |frame, stage| made(stage.as_mut(), &frame))
}

/// The share of windows whose class `decide` finds.
fn accuracy(windows: &(Vec<Frame>, Vec<usize>), mut decide: impl FnMut(&Frame) -> usize) -> f64 {
    let right = windows.0.iter().zip(&windows.1).filter(|(frame, label)| decide(frame) == **label);
    right.count() as f64 / windows.0.len() as f64
}

/// Lets the adapter at the head of `chain` learn someone from labelled windows.
fn refit(chain: &mut [Box<dyn Stage>], windows: &(Vec<Frame>, Vec<usize>)) {
    let examples =
        Examples { frames: &windows.0, labels: &windows.1, ..Examples::new(&[], &[], &[]) };
    let classes = classes();
    let adapter = chain[0].fitted().unwrap();
    assert!(adapter.refit(&Examples { classes: &classes, ..examples }).unwrap());
    chain[0].prepare(&[eight()]).unwrap();
}

/// A decoder of covariances, trained on one person, decodes another, through another mixture, worse; with the map
/// that the adapter learns from 40 labelled windows it decodes as well as before, within 5 points on 200 windows.
#[test]
fn a_frozen_decoder_of_power_is_restored_for_another_person() {
    let (mut first, mut second) = (Person::new(1), Person::new(2));
    let mut chain = vec![
        stage("subject_linear", "method = \"covariance\""),
        stage("covariance", ""),
        stage("mdm", ""),
    ];
    let (train, labels) = first.windows(200, false);
    fit(&mut chain, &train, &labels);
    let measure = |chain: &mut [Box<dyn Stage>], windows: &(Vec<Frame>, Vec<usize>)| {
        accuracy(windows, |frame| {
            let scores = through(chain, frame).data;
            usize::from(scores[1] > scores[0])
        })
    };
    let own = measure(&mut chain, &first.windows(200, false));
    let (few, test) = (second.windows(40, false), second.windows(200, false));
    let before = measure(&mut chain, &test);
    refit(&mut chain, &few);
    let after = measure(&mut chain, &test);
    println!("own {own:.3}, before {before:.3}, after {after:.3}");
    assert!(own > 0.9 && before < 0.75 && after > own - 0.05);
}

/// The same with a decoder of waveforms: whose mean window, of the first person's, is nearer?
#[test]
fn a_frozen_decoder_of_responses_is_restored_for_another_person() {
    let (mut first, mut second) = (Person::new(1), Person::new(2));
    let mut chain = vec![stage("subject_linear", "method = \"means\"\nridge = 0.001")];
    let (train, labels) = first.windows(200, true);
    fit(&mut chain, &train, &labels);
    let template = |class: usize| -> Vec<f64> {
        let of = train.iter().zip(&labels).filter(|(_, l)| **l == class);
        (0..train[0].data.len())
            .map(|i| of.clone().map(|(f, _)| f.data[i]).sum::<f64>() / 100.0)
            .collect()
    };
    let templates = [template(0), template(1)];
    let measure = |chain: &mut [Box<dyn Stage>], windows: &(Vec<Frame>, Vec<usize>)| {
        accuracy(windows, |frame| {
            let data = through(chain, frame).data;
            let far = |t: &Vec<f64>| data.iter().zip(t).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            usize::from(far(&templates[1]) < far(&templates[0]))
        })
    };
    let own = measure(&mut chain, &first.windows(200, true));
    let (few, test) = (second.windows(40, true), second.windows(200, true));
    let before = measure(&mut chain, &test);
    refit(&mut chain, &few);
    let after = measure(&mut chain, &test);
    println!("own {own:.3}, before {before:.3}, after {after:.3}");
    assert!(own > 0.9 && before < 0.75 && after > own - 0.05);
}
