//! Calibration while the participant works: the epochs are those that a recording gives, bit for bit, models
//! are taken up without losing a sample, and the pipeline learns to decide.
#![allow(clippy::unwrap_used)]

#[path = "support/lab.rs"]
mod lab;

use lab::{Lab, Process, until};
use saltatory::control::live::{Live, Outcome, Refit, calibrate};
use saltatory::control::stop::Stop;
use saltatory::engine::balance::faults;
use saltatory::fit::{Epochs, Plan};
use saltatory::ledger::Page;
use saltatory::model::Model;
use saltatory::sources::Speed;
use serde_json::Value;
use std::path::Path;

/// The simulated session `synthetic:3`, live.
const SESSION: &str = r#"
[[source]]
kind = "synthetic"
id = "eeg"
seed = 3
line_hz = 60.0
duration_s = 124.0

[[source]]
kind = "synthetic"
id = "markers"
stream = "markers"
seed = 3
duration_s = 124.0
"#;
/// Its samples.
const SAMPLES: u64 = 124 * 160;

const WINDOWS: &str = r#"
[[stage]]
kind = "bandpass"
from = "eeg"
low_hz = 8.0
high_hz = 30.0

[[stage]]
kind = "window"
length_s = 2.5
step_s = 0.1

[[stage]]
kind = "covariance"
estimator = "oas"

[[stage]]
kind = "tangent"

[[stage]]
kind = "logistic"

[[stage]]
kind = "vote"
windows = 5

[fit]
classes = { left = "T1", right = "T2" }
start_s = 0.5
"#;

const EVENTS: &str = r#"
[[stage]]
kind = "notch"
from = "eeg"
freq_hz = 50.0

[[stage]]
kind = "event"
from = ["notch", "markers"]
classes = { right = "T2", left = "T1" }
start_s = -0.5
length_s = 2.0

[[stage]]
kind = "covariance"
estimator = "lwf"

[[stage]]
kind = "mdm"
"#;

/// A stage that takes windows out of the stream itself.
const POWER: &str = r#"
[[stage]]
kind = "pick"
from = "eeg"
channels = ["C3", "Cz", "C4"]

[[stage]]
kind = "bandpass"
low_hz = 8.0
high_hz = 13.0

[[stage]]
kind = "band_power"
step_s = 0.5
length_s = 2.5
log = true

[[stage]]
kind = "lda"

[fit]
classes = { left = "T1", right = "T2" }
start_s = 0.5
length_s = 2.5
"#;

/// Several stages that learn, with others between and behind them, and an answer for what is like no class.
const SPATIAL: &str = r#"
[[stage]]
kind = "bandpass"
from = "eeg"
low_hz = 8.0
high_hz = 30.0

[[stage]]
kind = "window"
length_s = 2.0
step_s = 0.1

[[stage]]
kind = "covariance"

[[stage]]
kind = "csp"
filters = 4

[[stage]]
kind = "lda"
reject = 3.0

[[stage]]
kind = "vote"
windows = 3

[fit]
classes = { left = "T1", right = "T2" }
start_s = 0.5
"#;

fn asked<'a>(config: &'a Path, out: &'a Path, speed: Speed) -> Live<'a> {
    Live {
        config,
        sets: &[],
        out,
        run: false,
        for_s: None,
        speed: Some(speed),
        trials: None,
        precision: 0.1,
        report: None,
        json: false,
    }
}

fn run(asked: &Live<'_>) -> Outcome {
    let (outcome, ended) = calibrate(asked, &Stop::default()).unwrap();
    ended.unwrap();
    assert_eq!(faults(&outcome.report.balance), [""; 0]);
    outcome
}

fn page<'a>(outcome: &'a Outcome, id: &str) -> &'a Page {
    outcome.report.ledger.iter().find(|p| p.place == id).unwrap()
}

fn same_epochs(live: &Epochs, recorded: &Epochs) {
    assert!(recorded.frames.len() >= 10, "only {} epochs", recorded.frames.len());
    assert_eq!(live.labels, recorded.labels);
    assert_eq!((&live.classes, &live.spec), (&recorded.classes, &recorded.spec));
    assert_eq!(live.input, recorded.input);
    for (live, recorded) in live.frames.iter().zip(&recorded.frames) {
        let bits = |data: &[f64]| data.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&live.data), bits(&recorded.data));
        assert_eq!((live.span.first, live.span.last), (recorded.span.first, recorded.span.last));
    }
}

/// Windows and events, in the order of time and at eight times the pace of life, where markers and samples
/// come as they please.
#[test]
fn live_epochs_and_models_are_those_of_a_recording() {
    let lab = Lab::new();
    let cases = [
        ("windows", WINDOWS, Speed::Max),
        ("events", EVENTS, Speed::Max),
        ("power", POWER, Speed::Max),
        ("spatial", SPATIAL, Speed::Max),
        ("paced", WINDOWS, Speed::Times(8.0)),
        ("paced-events", EVENTS, Speed::Times(8.0)),
    ];
    for (name, stages, speed) in cases {
        let config = lab.write(&format!("{name}.toml"), format!("{SESSION}{stages}"));
        let out = lab.path(&format!("{name}.safetensors"));
        let outcome = run(&asked(&config, &out, speed));
        let plan = Plan::new(&config, &[]).unwrap();
        let recorded = plan.epochs("synthetic:3").unwrap();
        same_epochs(&outcome.epochs, &recorded);
        // The last fit knows all of them, and is what `fit` makes of the recording.
        assert_eq!(outcome.refits.last().unwrap().trials, recorded.frames.len());
        let mut tail = plan.tail().unwrap();
        tail.fit(&recorded.spec, &recorded.examples()).unwrap();
        let model = Model::load(&out).unwrap();
        assert_eq!(
            model.parts,
            tail.parts().unwrap().into_iter().map(with_classes(&recorded)).collect()
        );
        assert_eq!(model.facts.input, recorded.input);
        assert_eq!(model.facts.chain, plan.links().unwrap());
        assert_eq!(page(&outcome, "eeg").taken_in, SAMPLES);
    }
}

/// A model file names its classes once for all parts.
fn with_classes(
    epochs: &Epochs,
) -> impl Fn((String, saltatory::stages::Part)) -> (String, saltatory::stages::Part) {
    let classes = epochs.classes.clone();
    move |(id, part)| (id, saltatory::stages::Part { classes: classes.clone(), ..part })
}

/// A session of five minutes at fifteen times its pace: many models are taken up, no sample is lost, every window
/// after the first model is decided on, and what is decided is better than chance although each decision
/// is by a model of earlier trials.
#[test]
fn the_pipeline_decides_while_it_learns() {
    let lab = Lab::new();
    let log = lab.path("live.jsonl");
    let sink = format!("[[sink]]\nkind = \"jsonl\"\npath = {log:?}\n");
    // The model of a config that is being calibrated is not there yet.
    let model = "model = \"not-there-yet.safetensors\"\n";
    let session = SESSION
        .replace("124.0", "300.0")
        .replace("line_hz = 60.0", "line_hz = 60.0\ndifficulty = 0.3");
    let config = lab.write("run.toml", format!("{model}{session}{WINDOWS}{sink}"));
    let out = lab.path("model.safetensors");
    let outcome = run(&Live { run: true, ..asked(&config, &out, Speed::Times(15.0)) });
    const SAMPLES: u64 = 300 * 160;
    assert!(outcome.swaps >= 5, "only {} models were taken up", outcome.swaps);
    for id in ["eeg", "markers", "bandpass", "window", "covariance", "vote", "jsonl", "calibration"]
    {
        assert!(page(&outcome, id).counts.is_empty(), "{id}: {:?}", page(&outcome, id));
    }
    let eeg = page(&outcome, "eeg");
    assert_eq!((eeg.indices, eeg.taken_in, eeg.passed_on), (SAMPLES, SAMPLES, SAMPLES));
    assert_eq!(page(&outcome, "bandpass").taken_in, SAMPLES);

    let text = std::fs::read_to_string(&log).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let decisions: Vec<Value> = lines.filter(|line| !line["label"].is_null()).collect();
    let lasts: Vec<u64> = decisions.iter().map(|d| d["last_sample"].as_u64().unwrap()).collect();
    assert!(lasts.len() > 1500, "{} decisions", lasts.len());
    // Windows come every 16 samples; from the first decision to the last none is left out.
    assert!(lasts.windows(2).all(|pair| pair[1] == pair[0] + 16), "{lasts:?}");
    assert_eq!(lasts.last(), Some(&(SAMPLES - 1 - (SAMPLES - 400) % 16)));

    let (mut right, mut n) = (0, 0);
    for (frame, label) in outcome.epochs.frames.iter().zip(&outcome.epochs.labels) {
        // The window that is the epoch, give or take half a step, smoothed by the vote.
        let Some(i) = lasts.iter().position(|last| last.abs_diff(frame.span.last) <= 8) else {
            continue;
        };
        right += usize::from(decisions[i]["label"] == outcome.epochs.classes[*label]);
        n += 1;
    }
    let chance = saltatory::fit::stats::chance_p(right, n, 0.5);
    assert!(chance < 0.05, "{right} of {n} trials rightly decided");
    let last = outcome.refits.last().unwrap();
    assert!(last.interval.unwrap()[0] > 0.5, "{last:?}");
}

/// Whatever learns and whatever stands behind it, the first model is taken up like the later ones.
#[test]
fn every_shape_of_pipeline_takes_up_its_models() {
    let lab = Lab::new();
    for (name, stages) in [("events", EVENTS), ("power", POWER), ("spatial", SPATIAL)] {
        let config = lab.write(&format!("{name}.toml"), format!("{SESSION}{stages}"));
        let out = lab.path(&format!("{name}.safetensors"));
        let outcome = run(&Live { run: true, ..asked(&config, &out, Speed::Times(20.0)) });
        assert!(outcome.swaps >= 2, "{name}: {} models were taken up", outcome.swaps);
        assert!(outcome.report.latency.engine.n >= 3, "{name}: no decisions");
        let losses = outcome.report.ledger.iter().filter(|p| !p.counts.is_empty());
        assert_eq!(losses.count(), 0, "{name}: {:?}", outcome.report.ledger);
        let recorded = Plan::new(&config, &[]).unwrap().epochs("synthetic:3").unwrap();
        same_epochs(&outcome.epochs, &recorded);
    }
}

/// Of a subject whose hands are easily told apart some 40 trials are enough; of one where nothing tells them
/// apart the accuracy is not known well enough yet.
#[test]
fn it_says_when_more_trials_hardly_help() {
    let lab = Lab::new();
    for (difficulty, enough) in [("0.0", true), ("1.0", false)] {
        let difficulty = format!("line_hz = 60.0\ndifficulty = {difficulty}");
        let session = SESSION.replace("124.0", "340.0").replace("line_hz = 60.0", &difficulty);
        let config = lab.write("enough.toml", format!("{session}{WINDOWS}"));
        let out = lab.path("enough.safetensors");
        let outcome = run(&asked(&config, &out, Speed::Times(30.0)));
        let least = |refit: &Refit| *refit.counts.values().min().unwrap();
        let early = outcome.refits.iter().filter(|refit| least(refit) < 10);
        assert!(early.into_iter().all(|refit| !refit.enough));
        assert_eq!(outcome.refits.last().unwrap().enough, enough, "{:?}", outcome.refits);
    }
}

#[test]
fn as_many_trials_as_were_asked_for_are_enough() {
    let lab = Lab::new();
    let config = lab.write("few.toml", format!("{SESSION}{WINDOWS}"));
    let (out, report) = (lab.path("few.safetensors"), lab.path("few.html"));
    let asked =
        Live { trials: Some(4), report: Some(&report), ..asked(&config, &out, Speed::Times(30.0)) };
    let outcome = run(&asked);
    let counts = outcome.epochs.counts();
    assert_eq!(*counts.iter().min().unwrap(), 4);
    let last = outcome.refits.last().unwrap();
    assert_eq!(last.trials, outcome.epochs.frames.len());
    // Never before there are ten of each.
    assert!(outcome.refits.iter().all(|refit| !refit.enough));
    assert!(page(&outcome, "eeg").taken_in < SAMPLES);
    saltatory::control::live::live(&asked, &Stop::default()).unwrap();
    let html = lab.read("few.html");
    assert!(html.contains("Live calibration of") && html.contains("Learning curve"), "{html}");
}

#[test]
fn what_cannot_be_calibrated_is_told() {
    let lab = Lab::new();
    let fails = |name: &str, text: String, args: &[&str], code: i32, says: &[&str]| {
        lab.write(&format!("{name}.toml"), text);
        let (config, out) = (lab.arg(&format!("{name}.toml")), lab.arg("none.safetensors"));
        let args = [&["fit", &config, "--live", "--out", &out], args].concat();
        lab.saltatory(&args).fails(code, says);
        assert!(!lab.path("none.safetensors").exists());
    };
    let deaf = SESSION.split("[[source]]").take(2).collect::<Vec<_>>().join("[[source]]");
    let says = ["the config has no source of markers"];
    fails("deaf", format!("{deaf}{WINDOWS}"), &[], 2, &says);
    let short = format!("{SESSION}{WINDOWS}").replace("124.0", "12.0");
    let says = ["too few trials for a model", "each class needs 3"];
    fails("short", short, &["--speed", "max"], 2, &says);
    let fit = format!("{SESSION}{}", WINDOWS.split("[fit]").next().unwrap());
    fails("unnamed", fit, &[], 2, &["does not say which markers are which class"]);
    let good = format!("{SESSION}{WINDOWS}");
    fails("report", good.clone(), &["--report", "x.txt"], 2, &["ending in .html or .json"]);
    fails("precise", good.clone(), &["--precision", "3"], 2, &["above 0 and below 1"]);
    fails("both", good, &["synthetic:1"], 2, &["cannot be used with"]);
}

/// Through LSL, in two processes: the sender dies and comes back, and the calibration goes on; Ctrl-C ends it
/// with the model written.
#[test]
fn a_calibration_over_lsl_survives_its_sender_and_ends_by_ctrl_c() {
    let lab = &Lab::new();
    let source = |id: &str, suffix: &str| {
        let source = "[[source]]\nkind = \"lsl\"\nwait_s = 60.0\n";
        format!("{source}id = \"{id}\"\nname = \"subject{suffix}\"\n")
    };
    let sources = [source("eeg", ""), source("markers", "-markers")].concat();
    lab.write("lsl.toml", format!("{sources}{WINDOWS}"));
    let play = || -> Process {
        lab.saltatory(&["play", "synthetic:5", "--name", "subject", "--wait", "--speed", "4"])
    };
    let (config, out) = (lab.arg("lsl.toml"), lab.arg("lsl.safetensors"));
    let first = play();
    let args = ["fit", &config, "--live", "--run", "--json", "--for", "5m", "--out", &out];
    let mut fit = lab.saltatory(&args);
    fit.until_it_says("\"trials\":8");
    first.kill();
    let second = play();
    fit.until_it_says("\"restart\":");
    fit.until_it_says("\"trials\":12");
    fit.interrupt();
    let ended = fit.succeeds();
    second.kill();
    let refits: Vec<Value> =
        ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = refits.last().unwrap();
    assert_eq!(last["model"].as_str(), Some(out.as_str()));
    let trials: Vec<u64> = refits.iter().map(|r| r["trials"].as_u64().unwrap()).collect();
    assert!(trials.windows(2).all(|pair| pair[0] < pair[1]), "{trials:?}");
    let counts = last["counts"].as_object().unwrap().values();
    assert_eq!(counts.map(|n| n.as_u64().unwrap()).sum::<u64>(), *trials.last().unwrap());
    for key in ["accuracy", "took_s"] {
        assert!(last[key].is_f64(), "{last}");
    }
    let model = Model::load(Path::new(&out)).unwrap();
    assert_eq!(model.facts.data[0].epochs as u64, *trials.last().unwrap());
    assert_eq!(model.facts.data[0].recording, "live");
    assert!(!ended.err.contains("unaccounted"), "{}", ended.err);
    assert!(!ended.err.contains("not taken up"), "{}", ended.err);
    until("the model", || lab.path("lsl.safetensors").is_file());
}

/// Where standard error is no terminal there is a line per trial, and the last words.
#[test]
fn a_line_per_trial_and_last_words() {
    let lab = &Lab::new();
    lab.write("lines.toml", format!("{SESSION}{WINDOWS}"));
    let (config, out) = (lab.arg("lines.toml"), lab.arg("lines.safetensors"));
    let args = ["fit", &config, "--live", "--speed", "8", "--out", &out];
    let ended = lab.saltatory(&args).succeeds();
    assert!(ended.out.is_empty(), "{}", ended.out);
    assert!(ended.err.contains("trial 1: "), "{}", ended.err);
    assert!(ended.err.contains("the first model comes with 3 of each"), "{}", ended.err);
    let words = ["accuracy", "lost: nothing", "model written to"];
    assert!(words.iter().all(|word| ended.err.contains(word)), "{}", ended.err);
    assert!(!ended.err.contains('\x1b'), "no colours in a file: {}", ended.err);
    println!("{}", ended.err);
}
