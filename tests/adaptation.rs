//! Adaptation: against pyRiemann's transfer learning (tests/golden/transfer.py), on real recordings whose
//! channels were scaled or mixed, and what becomes of the learned state.
#![allow(clippy::unwrap_used)]

#[path = "support/feed.rs"]
mod feed;
#[path = "support/heap.rs"]
mod heap;
mod support;

use rand::{RngExt as _, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use saltatory::fit::{Epochs, Plan, Protocol, Tail, evaluate};
use saltatory::frame::{Flags, Frame, Payload, Spec};
use saltatory::ledger::{Cause, Counters};
use saltatory::math::spd::{Geodesic, procrustes};
use saltatory::model::Model;
use saltatory::sources::recording::{self, Player};
use saltatory::stages::{Emit, Examples, Part, Stage};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use support::stages::stage;
use support::{Golden, relative_error, root};

/// Subjects on whom left and right can be told apart at all.
const SUBJECTS: [&str; 3] = ["S007", "S002", "S001"];
const RUNS: [&str; 3] = ["R04", "R08", "R12"];

// Against pyRiemann.

/// Tolerance 1e-7: pyRiemann's means stop at a gradient of 1e-8, which is what separates them from ours.
#[test]
fn sessions_are_recentred_and_stretched_as_in_pyriemann() {
    let golden = Golden::open("transfer");
    for name in golden.names("transfer.").iter().filter(|n| n.ends_with(".x")) {
        let case = name.strip_suffix(".x").unwrap();
        let get = |key: &str| golden.array(&format!("{case}.{key}")).1;
        let (shape, x) = golden.array(name);
        let n = shape[1];
        let frames: Vec<Frame> = x.chunks_exact(n * n).map(|x| matrix(n, x)).collect();
        let labels: Vec<usize> = get("y").iter().map(|y| *y as usize).collect();
        let classes: Vec<String> =
            (0..=*labels.iter().max().unwrap()).map(|k| format!("class {k}")).collect();
        let groups: Vec<usize> = (0..frames.len()).map(|i| 2 * i / frames.len()).collect();
        let examples = Examples {
            frames: &frames,
            labels: &labels,
            classes: &classes,
            groups: &groups,
            weights: &[],
        };
        for (kind, snippet, want) in [
            ("recentre", "", "centred"),
            ("align", "stretch = false", "centred"),
            ("align", "", "scaled"),
        ] {
            let mut stage = stage(kind, snippet);
            stage.fitted().unwrap().fit(&examples).unwrap();
            let got = numbers(&stage.fitted().unwrap().fitted_examples().unwrap());
            let error = relative_error(&got, &get(want));
            println!("{case} {kind} {snippet}: {error:.1e}");
            assert!(error < 1e-7, "{case} {kind} {snippet}: error {error:.1e}");

            // A session that was refitted is treated alike, frame by frame.
            if kind == "align" {
                let half = frames.len() / 2;
                let target = Examples {
                    frames: &frames[half..],
                    labels: &labels[half..],
                    groups: &[],
                    ..examples
                };
                let mut still = support::stages::stage(kind, &format!("{snippet}\nrotate = false"));
                still.fitted().unwrap().fit(&examples).unwrap();
                assert!(still.fitted().unwrap().refit(&target).unwrap());
                still.prepare(&[spec(n)]).unwrap();
                let got = numbers(&run(still.as_mut(), &frames[half..]));
                let error = relative_error(&got, &get(want)[half * n * n..]);
                assert!(error < 1e-7, "{case} {kind} {snippet} refitted: error {error:.1e}");
            }
        }
    }
}

/// A rotation that is known is found (tolerance 1e-7, relative: it stops when f gains less than 1e-14,
/// and f is flat at its top), and one between real class means is no worse than pyRiemann's.
#[test]
fn rotations_are_found() {
    let golden = Golden::open("transfer");
    for name in golden.names("transfer.").iter().filter(|n| n.ends_with(".loss")) {
        let case = name.strip_suffix(".loss").unwrap();
        let get = |key: &str| golden.array(&format!("{case}.{key}")).1;
        let n = golden.array(&format!("{case}.x")).0[1];
        let (targets, sources, turned) = (get("targets"), get("sources"), get("turned"));
        let each =
            |all: &'_ [f64]| all.chunks_exact(n * n).map(<[f64]>::to_vec).collect::<Vec<_>>();
        let loss = |targets: &[f64], sources: &[f64]| {
            let (t, s) = (each(targets), each(sources));
            let (t, s): (Vec<&[f64]>, Vec<&[f64]>) =
                (t.iter().map(Vec::as_slice).collect(), s.iter().map(Vec::as_slice).collect());
            let q = procrustes::rotation(&t, &s, n).unwrap();
            let at = |m: &[f64], i: usize, j: usize| m[j * n + i];
            let mut sum = 0.0;
            for (t, s) in t.iter().zip(&s) {
                for i in 0..n {
                    for j in 0..n {
                        let mut moved = 0.0;
                        for a in 0..n {
                            for b in 0..n {
                                moved += at(&q, i, a) * at(s, a, b) * at(&q, j, b);
                            }
                        }
                        sum += (at(t, i, j) - moved).powi(2);
                    }
                }
            }
            sum
        };
        let norm: f64 = turned.iter().map(|v| v * v).sum();
        let known = (loss(&turned, &sources) / norm).sqrt();
        let (ours, theirs) = (loss(&targets, &sources), get("loss")[0]);
        println!("{case}: known {known:.1e}, loss {ours:.6} (pyRiemann {theirs:.6})");
        assert!(known < 1e-7, "{case}: {known:.1e}");
        assert!(ours <= theirs * (1.0 + 1e-9), "{case}: {ours} {theirs}");
    }
}

/// Tolerance 1e-10: two factors and one decomposition of well-conditioned matrices.
#[test]
fn steps_lie_on_the_geodesic() {
    let golden = Golden::open("transfer");
    for name in golden.names("transfer.").iter().filter(|n| n.ends_with(".way")) {
        let x = golden.array(&name.replace(".way", ".x")).1;
        let (shape, way) = golden.array(name);
        let size = shape[1] * shape[1];
        let mut geodesic = Geodesic::new(shape[1]);
        for (t, want) in [0.1, 0.5, 0.9].iter().zip(way.chunks_exact(size)) {
            let mut at = x[..size].to_vec();
            geodesic.step(&mut at, &x[size..2 * size], |_| *t).unwrap();
            let error = relative_error(&at, want);
            assert!(error < 1e-10, "{name} {t}: {error:.1e}");
        }
    }
}

// On real recordings.

/// A new session in which every channel's gain is another, by a factor between 0.5 and 2. The decoder is
/// trained on the other two recordings. Counted are the trials that end after the first 60 s of the
/// recording, over all subjects, recordings and gains: how many a decoder without recentring gets
/// right with the old and the new gains, and how many the live pipeline gets right with the new ones,
/// by the first of its windows that is over when the trial's epoch is.
#[test]
fn recentring_makes_up_for_new_gains() {
    let Some(recordings) = recordings() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = std::fs::read_to_string(root().join("configs/motor_imagery.toml")).unwrap();
    let plain = plan(folder.path(), "plain", &config);
    let tangent = "[[stage]]\nkind = \"tangent\"";
    let recentred = format!("[[stage]]\nkind = \"recentre\"\n\n{tangent}");
    let recentred = plan(folder.path(), "recentred", &config.replace(tangent, &recentred));
    let mut total = [0; 4];
    for runs in &recordings {
        let epochs: Vec<Epochs> = runs.iter().map(|name| plain.epochs(name).unwrap()).collect();
        for (test, name) in epochs.iter().zip(runs) {
            let train = epochs.iter().filter(|e| e.name != test.name).cloned().collect();
            let train = Epochs::pool(train).unwrap();
            let (mut without, mut with) = (fitted(&plain, &train), fitted(&recentred, &train));
            let parts = with.parts().unwrap();
            let late: Vec<usize> = (0..test.frames.len())
                .filter(|i| test.frames[*i].span.last as f64 >= 60.0 * test.input.rate_hz)
                .collect();
            let right = |tail: &mut Tail, gains: &[f64]| -> usize {
                late.iter()
                    .filter(|i| decides(tail, &test.frames[**i], gains) == test.labels[**i])
                    .count()
            };
            let same = vec![1.0; test.input.channels.len()];
            for seed in 0..3 {
                let mut rng = Pcg64::seed_from_u64(seed);
                let gain = |_: &f64| 2.0_f64.powf(rng.random_range(-1.0..1.0));
                let gains: Vec<f64> = same.iter().map(gain).collect();
                let decisions = live(name, &gains, &parts);
                let lived = |i: &&usize| {
                    let end = test.frames[**i].span.last;
                    let first = decisions.iter().find(|(last, _)| *last >= end);
                    first.is_some_and(|(_, class)| *class == test.labels[**i])
                };
                let counts = [
                    late.len(),
                    right(&mut without, &same),
                    right(&mut without, &gains),
                    late.iter().filter(lived).count(),
                ];
                total.iter_mut().zip(counts).for_each(|(t, c)| *t += c);
                println!("{} gains {seed}: {counts:?}", test.name);
            }
        }
    }
    let [n, before, lost, restored] = total;
    println!("of {n}: {before} before, {lost} with new gains, {restored} recentred while running");
    assert!(before > lost + n / 10, "the gains must matter for this test to mean anything");
    assert!(
        restored as f64 >= lost as f64 + 0.8 * (before - lost) as f64,
        "of {n}: {before} before, {lost} with new gains, {restored} recentred while running"
    );
}

/// A montage whose eight channels are mixed by a random rotation. Trained on one recording; the first ten
/// trials per class of the other two are learned from, the rest is tested.
#[test]
fn procrustes_makes_up_for_a_rotation_and_recentring_does_not() {
    let Some(recordings) = recordings() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = |stage: &str| {
        format!(
            "[[source]]\nkind = \"lsl\"\nid = \"eeg\"\ntype = \"EEG\"\n[[source]]\nkind = \"lsl\"\nid = \"markers\"\n\
             type = \"Markers\"\n[[stage]]\nkind = \"pick\"\nfrom = \"eeg\"\nchannels = [\"FC3\", \
             \"FC4\", \"C3\", \"Cz\", \"C4\", \"CP3\", \"CPz\", \"CP4\"]\n[[stage]]\nkind = \"bandpass\"\n\
             low_hz = 8.0\nhigh_hz = 30.0\n[[stage]]\nkind = \"window\"\nlength_s = 2.5\nstep_s = 0.1\n\
             [[stage]]\nkind = \"covariance\"\nestimator = \"oas\"\n[[stage]]\n{stage}\n[[stage]]\n\
             kind = \"mdm\"\n[fit]\nclasses = {{ left = \"T1\", right = \"T2\" }}\nstart_s = 0.5\n"
        )
    };
    let recentre =
        plan(folder.path(), "recentre", &config("kind = \"recentre\"\nmode = \"fixed\""));
    let align = plan(folder.path(), "align", &config("kind = \"align\""));
    let mut total = [0; 4];
    for runs in &recordings {
        let epochs: Vec<Epochs> = runs.iter().map(|name| recentre.epochs(name).unwrap()).collect();
        for source in &epochs {
            let target = epochs.iter().filter(|e| e.name != source.name).cloned().collect();
            // One new session: both recordings have the same montage.
            let mut target = Epochs::pool(target).unwrap();
            target.groups.fill(0);
            for seed in 0..2 {
                let turned = turned(&target, seed);
                let right = |plan: &Plan, target: &Epochs| {
                    let mut tail = fitted(plan, source);
                    let few = target.first_of_each(10);
                    assert_eq!(few.counts(), [10, 10]);
                    tail.refit(&few.spec, &few.examples()).unwrap();
                    let rest = target.frames.iter().zip(&target.labels);
                    let rest = rest.filter(|(frame, _)| !few.frames.contains(frame));
                    let hits =
                        rest.map(|(f, y)| usize::from(decides(&mut tail, f, &[1.0; 8]) == *y));
                    hits.fold((0, 0), |(hits, n), hit| (hits + hit, n + 1))
                };
                let (before, n) = right(&recentre, &target);
                let counts = [n, before, right(&recentre, &turned).0, right(&align, &turned).0];
                total.iter_mut().zip(counts).for_each(|(t, c)| *t += c);
                println!("{} rotation {seed}: {counts:?}", source.name);
            }
        }
    }
    let [n, before, lost, restored] = total;
    println!("of {n}: {before} before, {lost} turned and recentred, {restored} aligned");
    assert!(before > lost + n / 10, "the rotation must matter for this test to mean anything");
    assert!(restored as f64 >= lost as f64 + 0.8 * (before - lost) as f64, "{total:?}");
}

/// Labels that mean nothing stay at chance, though the reference moves over the tested trials.
#[test]
fn recentring_leaks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = std::fs::read_to_string(root().join("configs/motor_imagery.toml")).unwrap();
    let tangent = "[[stage]]\nkind = \"tangent\"";
    let text = config.replace(tangent, &format!("[[stage]]\nkind = \"recentre\"\n\n{tangent}"));
    let plan = plan(folder.path(), "a", &text);
    let epochs = (1..=4).map(|seed| plan.epochs(&format!("synthetic:{seed}")).unwrap());
    let mut epochs: Vec<_> = epochs.collect();
    let accuracy = |epochs: &[Epochs]| {
        let results =
            evaluate(std::slice::from_ref(&plan), epochs.to_vec(), Protocol::Cross, &|| ())
                .unwrap();
        let (n, correct) = results.iter().fold((0, 0), |(n, c), r| (n + r.n, c + r.correct));
        (correct as f64 / n as f64, n)
    };
    let (real, _) = accuracy(&epochs);
    assert!(real > 0.75, "accuracy {real}");
    for (i, e) in epochs.iter_mut().enumerate() {
        e.labels = (0..e.labels.len()).map(|j| (j * 5 + i * 3) / 2 % 2).collect();
    }
    let (shuffled, n) = accuracy(&epochs);
    // Three standard deviations of a fair coin.
    let bound = 0.5 + 3.0 * (0.25 / n as f64).sqrt();
    assert!(shuffled < bound, "accuracy {shuffled} with labels that mean nothing");
}

// What becomes of the learned state.

#[test]
fn a_reference_survives_a_gap_and_a_file_but_not_a_reset() {
    let feed = feed::feeds().into_iter().find(|f| f.specs[0].payload == Payload::Matrix).unwrap();
    let frames = feed.frames(&[1]);
    let (x, y) = feed.examples();
    let classes = ["left".to_owned(), "right".to_owned()];
    let new = |snippet: &str, part: Option<&Part>| {
        let mut stage = stage("recentre", snippet);
        match part {
            Some(part) => stage.fitted().unwrap().load(part).unwrap(),
            None => stage.fitted().unwrap().fit(&Examples::new(&x, &y, &classes)).unwrap(),
        }
        stage.prepare(&feed.specs).unwrap();
        stage
    };
    let mut moved = new("every = 1", None);
    let fresh = moved.fitted().unwrap().save().unwrap();
    assert!(!fresh.tensors.contains_key("live"));
    let mut reader = moved.fitted().unwrap().live().unwrap();
    assert!(reader.take().is_none());
    run(moved.as_mut(), &frames);
    moved.interrupt();
    let kept = moved.fitted().unwrap().save().unwrap();
    assert_ne!(kept.tensors["live"], kept.tensors["reference"]);
    assert_eq!(kept.tensors["reference"], fresh.tensors["reference"]);
    for (name, tensor) in reader.take().unwrap() {
        assert_eq!(tensor, kept.tensors[&name], "{name}");
    }
    let first = |stage: &mut dyn Stage| numbers(&run(stage, &frames[..1]));
    let (gone_on, untouched) = (first(moved.as_mut()), first(new("every = 1", None).as_mut()));
    assert!(relative_error(&gone_on, &untouched) > 0.01);
    assert_eq!(first(new("every = 1", Some(&kept)).as_mut()), gone_on);
    assert_eq!(first(new("start = \"learned\"", Some(&kept)).as_mut()), untouched);
    moved.reset();
    assert_eq!(first(moved.as_mut()), untouched);
    assert!(new("mode = \"fixed\"", None).fitted().unwrap().live().is_none());
}

#[test]
fn what_is_not_learned_is_counted() {
    let feed = feed::feeds().into_iter().find(|f| f.specs[0].payload == Payload::Matrix).unwrap();
    let (x, y) = feed.examples();
    let classes = ["left".to_owned(), "right".to_owned()];
    for method in ["riemann", "euclid"] {
        let mut stage = stage("recentre", &format!("every = 1\nmethod = \"{method}\""));
        stage.fitted().unwrap().fit(&Examples::new(&x, &y, &classes)).unwrap();
        stage.prepare(&feed.specs).unwrap();
        let _reader = stage.fitted().unwrap().live().unwrap();
        let mut seen = Seen::default();
        let mut frames = feed.frames(&[1]);
        for frame in &mut frames {
            stage.process(frame, &mut seen).unwrap();
        }
        let usual = seen.unlearned;
        let before = stage.fitted().unwrap().save().unwrap();
        let mut bad = feed.frames(&[1])[3].clone();
        bad.flags = Flags::BAD;
        let mut loud = feed.frames(&[1])[3].clone();
        loud.data.iter_mut().for_each(|v| *v *= 1e4);
        for frame in [&mut bad, &mut loud] {
            frame.span.last += 5000;
            frame.span.first += 5000;
            stage.process(frame, &mut seen).unwrap();
        }
        assert_eq!((seen.unlearned, seen.frames.len()), (usual + 2, frames.len() + 2));
        assert_eq!(stage.fitted().unwrap().save().unwrap(), before, "{method}");
        let mut frames = feed.frames(&[1]);
        let uses =
            heap::uses(|| frames.iter_mut().for_each(|f| stage.process(f, &mut Null).unwrap()));
        assert_eq!(uses, 0, "{method}: uses of the heap");
    }
}

/// The mean of a class follows sure decisions, and no others; off by default.
#[test]
fn class_means_follow_sure_decisions() {
    let classes = ["small".to_owned(), "large".to_owned()];
    let at = |v: f64| matrix(1, &[v]);
    let (x, y) = ([at(1.0), at(1.1), at(8.0), at(9.0)], [0, 0, 1, 1]);
    let new = |snippet: &str| {
        let mut mdm = stage("mdm", snippet);
        mdm.fitted().unwrap().fit(&Examples::new(&x, &y, &classes)).unwrap();
        mdm.prepare(&[spec(1)]).unwrap();
        mdm
    };
    // One window a second, each brings a second of new data.
    let window = |k: u64, v: f64| {
        let mut frame = at(v);
        (frame.span.first, frame.span.last) = (160 * k, 160 * k + 159);
        frame
    };
    let live = |mdm: &mut dyn Stage| {
        mdm.fitted().unwrap().save().unwrap().tensors.get("live").map(|t| t.data.clone())
    };
    let drifted: Vec<Frame> = (0..60).map(|k| window(k, 12.0)).collect();
    let mut still = new("");
    run(still.as_mut(), &drifted);
    assert_eq!(live(still.as_mut()), None);
    let mut mdm = new("adapt_s = 20.0");
    let mut reader = mdm.fitted().unwrap().live().unwrap();
    // Between the classes it is not sure, so nothing moves.
    run(mdm.as_mut(), &(0..10).map(|k| window(k, 3.0)).collect::<Vec<_>>());
    assert_eq!(live(mdm.as_mut()), None);
    run(mdm.as_mut(), &drifted);
    let means = live(mdm.as_mut()).unwrap();
    // After three time constants a twentieth of the way is left, exp(-3) of the logarithm: the window at
    // 0..10 s was not learned from, and no second counts twice.
    let (start, end) = (72.0_f64.sqrt().ln(), 12.0_f64.ln());
    let left = (end - means[1].ln()) / (end - start);
    assert!((left - (-3.0_f64).exp()).abs() < 0.01, "{left} of the way is left");
    assert!((means[0] - 1.1_f64.sqrt()).abs() < 1e-9, "the other class stays: {}", means[0]);
    assert_eq!(reader.take().unwrap()["live"].data, means);
    let part = mdm.fitted().unwrap().save().unwrap();
    mdm.interrupt();
    assert_eq!(live(mdm.as_mut()), Some(means.clone()));
    mdm.reset();
    assert_eq!(live(mdm.as_mut()), None);
    let scores = |snippet: &str, part: &Part| {
        let mut mdm = stage("mdm", snippet);
        mdm.fitted().unwrap().load(part).unwrap();
        mdm.prepare(&[spec(1)]).unwrap();
        numbers(&run(mdm.as_mut(), &[at(4.0)]))
    };
    let untouched = numbers(&run(new("").as_mut(), &[at(4.0)]));
    assert_ne!(scores("", &part), untouched);
    assert_eq!(scores("start = \"learned\"", &part), untouched);
    let mut frames = drifted.clone();
    let uses = heap::uses(|| frames.iter_mut().for_each(|f| mdm.process(f, &mut Null).unwrap()));
    assert_eq!(uses, 0, "uses of the heap");
}

/// From the command line: a run keeps what it learned in a file of its own, and a model is tied to a new
/// session by a few trials.
#[test]
fn models_are_kept_and_refitted() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let stages = "[[stage]]\nkind = \"pick\"\nfrom = \"eeg\"\nchannels = [\"C3\", \"Cz\", \"C4\"]\n\
        [[stage]]\nkind = \"bandpass\"\nlow_hz = 8.0\nhigh_hz = 30.0\n[[stage]]\nkind = \"window\"\n\
        length_s = 1.0\nstep_s = 0.1\n[[stage]]\nkind = \"covariance\"\n[[stage]]\nkind = \"recentre\"\nevery = 5\n\
        [[stage]]\nkind = \"align\"\n[[stage]]\nkind = \"mdm\"\n\
        [fit]\nclasses = { left = \"T1\", right = \"T2\" }\nstart_s = 0.5\n";
    let source = |text: &str| format!("[[source]]\nid = \"eeg\"\n{text}\n{stages}");
    std::fs::write(at("fit.toml"), source("kind = \"replay\"\npath = \"-\"")).unwrap();
    let live = source("kind = \"synthetic\"\nseed = 3\nduration_s = 40.0");
    std::fs::write(at("run.toml"), live).unwrap();
    let saltatory = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_saltatory")).args(args).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let works = |args: &[&str]| {
        let (success, text) = saltatory(args);
        assert!(success, "{args:?}: {text}");
    };
    let (model, kept, tied) = (at("a.safetensors"), at("live.safetensors"), at("b.safetensors"));
    works(&["fit", &at("fit.toml"), "synthetic:1", "--out", &model]);
    let bytes = std::fs::read(&model).unwrap();
    let set = format!("model={model}");
    let run = ["run", &at("run.toml"), "--set", &set, "--speed", "max", "--keep-learned"];
    works(&[&run[..], &[kept.as_str()]].concat());
    let (success, text) = saltatory(&[&run[..], &[model.as_str()]].concat());
    assert!(!success && text.contains("has to stay as it is"), "{text}");
    assert_eq!(std::fs::read(&model).unwrap(), bytes, "the original is untouched");
    let before = Model::load(Path::new(&model)).unwrap();
    let after = Model::load(Path::new(&kept)).unwrap();
    let [was, is] = [&before, &after].map(|m| &m.parts["recentre"].tensors);
    assert_eq!(was["reference"], is["reference"]);
    assert_ne!(is["live"], is["reference"]);
    // 40 s at 160 Hz; the last windows may not have been every fifth.
    assert!((38.0..=40.0).contains(&is["live_s"].data[0]), "{:?}", is["live_s"]);
    assert_eq!(before.parts["mdm"], after.parts["mdm"]);
    let set = format!("model={kept}");
    works(&["run", &at("run.toml"), "--set", &set, "--speed", "max"]);
    works(&[
        "run",
        &at("run.toml"),
        "--set",
        &set,
        "--set",
        "recentre.start=learned",
        "--speed",
        "max",
    ]);

    works(&[
        "fit",
        &at("fit.toml"),
        "synthetic:7",
        "--from",
        &model,
        "--trials",
        "4",
        "--out",
        &tied,
    ]);
    let tied = Model::load(Path::new(&tied)).unwrap();
    assert_eq!(before.parts["mdm"], tied.parts["mdm"]);
    assert_eq!(before.parts["align"].tensors["means"], tied.parts["align"].tensors["means"]);
    assert_ne!(before.parts["align"].tensors["rotation"], tied.parts["align"].tensors["rotation"]);
    assert_ne!(before.parts["recentre"], tied.parts["recentre"]);
    assert_eq!(tied.facts.data.last().unwrap().epochs, 8);
}

// Helpers.

/// The recordings of each subject; `None`, said aloud, without the data.
fn recordings() -> Option<Vec<Vec<String>>> {
    let Some(folder) = support::recordings() else {
        println!("no recordings beside the checkout: nothing to adapt to");
        return None;
    };
    let name = |subject: &str, run: &str| {
        folder.join(format!("physionet-eegmmidb/{subject}{run}.edf")).to_str().unwrap().to_owned()
    };
    let runs = |subject: &str| RUNS.iter().map(|run| name(subject, run)).collect();
    Some(SUBJECTS.iter().map(|subject| runs(subject)).collect())
}

fn plan(folder: &Path, name: &str, text: &str) -> Plan {
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, text).unwrap();
    Plan::new(&path, &[]).unwrap()
}

fn fitted(plan: &Plan, epochs: &Epochs) -> Tail {
    let mut tail = plan.tail().unwrap();
    tail.fit(&epochs.spec, &epochs.examples()).unwrap();
    tail
}

/// The class that `tail` decides for on a window whose channels are scaled.
fn decides(tail: &mut Tail, window: &Frame, gains: &[f64]) -> usize {
    let mut window = window.clone();
    for row in window.data.chunks_exact_mut(gains.len()) {
        row.iter_mut().zip(gains).for_each(|(v, gain)| *v *= gain);
    }
    argmax(&tail.scores(&window).unwrap())
}

/// The epochs with their channels mixed by a random rotation. Filters treat all channels alike, so this
/// may be done behind them.
fn turned(epochs: &Epochs, seed: u64) -> Epochs {
    let (mut turned, n) = (epochs.clone(), epochs.spec.cols);
    let mut rng = Pcg64::seed_from_u64(100 + seed);
    let mut rows: Vec<Vec<f64>> = Vec::new();
    while rows.len() < n {
        let mut row: Vec<f64> = (0..n).map(|_| StandardNormal.sample(&mut rng)).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for other in &rows {
            let along = dot(&row, other);
            row.iter_mut().zip(other).for_each(|(v, o)| *v -= along * o);
        }
        let norm = dot(&row, &row).sqrt();
        row.iter_mut().for_each(|v| *v /= norm);
        rows.push(row);
    }
    for sample in turned.frames.iter_mut().flat_map(|f| f.data.chunks_exact_mut(n)) {
        let before = sample.to_vec();
        for (v, row) in sample.iter_mut().zip(&rows) {
            *v = row.iter().zip(&before).map(|(a, b)| a * b).sum();
        }
    }
    turned
}

/// The decisions of the live pipeline on a recording whose channels are scaled: the last sample of each
/// window, and the class.
fn live(name: &str, gains: &[f64], parts: &BTreeMap<String, Part>) -> Vec<(u64, usize)> {
    let streams = recording::load(name).unwrap().streams;
    let samples = streams.into_iter().find(|s| !recording::is_markers(s)).unwrap();
    let mut player = Player::new(samples).unwrap();
    let mut spec = player.spec().clone();
    let mut block = spec.frame();
    // A quarter of a second from window to window rather than a tenth, to save time; the reference moves
    // every half second, as with the default settings and a tenth.
    let mut chain: Vec<Box<dyn Stage>> = [
        ("bandpass", "low_hz = 8.0\nhigh_hz = 30.0"),
        ("window", "length_s = 2.5\nstep_s = 0.25"),
        ("covariance", "estimator = \"oas\""),
        ("recentre", "every = 2"),
        ("tangent", ""),
        ("logistic", ""),
    ]
    .map(|(kind, snippet)| {
        let mut stage = stage(kind, snippet);
        if let Some(fitted) = stage.fitted() {
            fitted.load(&parts[kind]).unwrap();
        }
        spec = stage.prepare(std::slice::from_ref(&spec)).unwrap();
        stage
    })
    .into();
    let (ledger, mut out) = (Counters::new("recording"), Vec::new());
    while player.next(&mut block, &ledger) {
        for row in block.data.chunks_exact_mut(gains.len()) {
            row.iter_mut().zip(gains).for_each(|(v, gain)| *v *= gain);
        }
        Chain { rest: &mut chain, out: &mut out }.emit(&mut block);
    }
    out.iter().map(|frame| (frame.span.last, argmax(&frame.data))).collect()
}

/// Hands what one stage emits to the next.
struct Chain<'a> {
    rest: &'a mut [Box<dyn Stage>],
    out: &'a mut Vec<Frame>,
}

impl Emit for Chain<'_> {
    fn emit(&mut self, frame: &mut Frame) {
        match self.rest.split_first_mut() {
            Some((stage, rest)) => {
                stage.process(frame, &mut Chain { rest, out: self.out }).unwrap()
            }
            None => self.out.push(frame.clone()),
        }
    }

    fn count(&mut self, _: Cause, _: u64) {}
}

fn argmax(scores: &[f64]) -> usize {
    (0..scores.len()).fold(0, |best, k| if scores[k] > scores[best] { k } else { best })
}

fn spec(n: usize) -> Spec {
    Spec { payload: Payload::Matrix, rows: n, cols: n, rate_hz: 160.0, ..Spec::markers() }
}

fn matrix(n: usize, data: &[f64]) -> Frame {
    let mut frame = spec(n).frame();
    frame.resize(n, n);
    frame.data.copy_from_slice(data);
    frame
}

fn numbers(frames: &[Frame]) -> Vec<f64> {
    frames.iter().flat_map(|f| f.data.iter().copied()).collect()
}

#[derive(Default)]
struct Seen {
    frames: Vec<Frame>,
    unlearned: u64,
}

impl Emit for Seen {
    fn emit(&mut self, frame: &mut Frame) {
        self.frames.push(frame.clone());
    }

    fn count(&mut self, cause: Cause, n: u64) {
        assert_eq!(cause, Cause::Unlearned);
        self.unlearned += n;
    }
}

struct Null;

impl Emit for Null {
    fn emit(&mut self, _: &mut Frame) {}
    fn count(&mut self, _: Cause, _: u64) {}
}

/// What the stage makes of the frames.
fn run(stage: &mut dyn Stage, frames: &[Frame]) -> Vec<Frame> {
    let mut seen = Seen::default();
    frames.iter().for_each(|f| stage.process(&mut f.clone(), &mut seen).unwrap());
    seen.frames
}
