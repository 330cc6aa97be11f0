//! The pipeline is changed while it runs: no sample is lost, stages that stay the same keep their memory,
//! and what does not fit is refused without harm.
#![allow(clippy::unwrap_used)]

#[path = "support/doubles.rs"]
mod doubles;
#[path = "support/lab.rs"]
mod lab;

use doubles::{Bench, page};
use lab::{CHANNELS, Lab, STEP, Verdict, WINDOW, until};
use saltatory::config::{self, Config};
use saltatory::control::run::Report;
use saltatory::frame::{Channel, Spec};
use saltatory::ledger::Cause;
use saltatory::sinks::Decision;
use std::collections::BTreeMap;

/// Samples of a run.
const SAMPLES: u64 = 6400;
const SOURCE: &str =
    "[[source]]\nkind = \"synthetic\"\nid = \"eeg\"\nseed = 3\nduration_s = 600.0\nspeed = 4.0\n";
/// The stages before the one that learns.
const BEFORE: [&str; 4] = ["pick", "bandpass", "window", "covariance"];

/// A lab with the config `a.toml` and variants of it.
struct Files {
    lab: Lab,
}

impl Files {
    fn new() -> Self {
        let lab = Lab::new();
        lab.decoder("a", SOURCE, "");
        Self { lab }
    }

    /// The text of `a`, with the second of each of `changes` in the place of the first.
    fn text(&self, changes: &[(&str, &str)]) -> String {
        changes.iter().fold(self.lab.read("a.toml"), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        })
    }

    /// The config `a` with `changes` and the overrides `sets`.
    fn config(&self, changes: &[(&str, &str)], sets: &[&str]) -> Config {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        let path = self.lab.write("changed.toml", self.text(changes));
        config::load(&path, &sets).unwrap()
    }

    /// Fits `a` with `changes` on another session and says where the model is.
    fn fit(&self, name: &str, changes: &[(&str, &str)]) -> String {
        let replay = "[[source]]\nkind = \"replay\"\nid = \"eeg\"\npath = \"-\"\n";
        self.lab.write("fit.toml", self.text(changes).replace(SOURCE, replay));
        let (config, model) = (self.lab.arg("fit.toml"), self.lab.arg(name));
        self.lab.saltatory(&["fit", &config, "synthetic:2", "--out", &model]).succeeds();
        model
    }
}

/// The decisions of `config` as it is from start to end.
fn without_swap(config: Config) -> Vec<Decision> {
    with_swaps(config, &[], |_, _| ()).decisions
}

/// Runs `config` on samples that are fed a hop at a time, as fast as it takes them, and calls `swap` each
/// time that so many windows were decided on.
fn with_swaps(config: Config, after: &[u64], mut swap: impl FnMut(&mut Bench, usize)) -> Report {
    let channels = CHANNELS.iter().map(|label| Channel::named(*label)).collect();
    let mut bench = Bench::start(config, Spec::samples(channels, 160.0, 4));
    let mut after = after.iter().enumerate().peekable();
    while bench.fed < SAMPLES {
        bench.feed(STEP);
        // A worker that is waited for is never passed over.
        let windows = bench.fed.checked_sub(WINDOW).map_or(0, |n| n / STEP + 1);
        bench.until("the windows", |b| b.page("mdm").taken_in == windows);
        if let Some((i, _)) = after.next_if(|(_, n)| windows >= **n) {
            swap(&mut bench, i);
        }
    }
    assert!(after.next().is_none(), "not all swaps were made");
    let (report, result) = bench.end();
    result.unwrap();
    report
}

/// What of a decision must be the same whenever the data and the stages are: every bit of the scores.
fn bits(decision: &Decision) -> (u64, Vec<u64>) {
    (decision.last_sample, decision.scores.iter().map(|(_, score)| score.to_bits()).collect())
}

/// The newest samples of all decisions that a run makes without a loss.
fn every_hop() -> Vec<u64> {
    (WINDOW - 1..SAMPLES).step_by(STEP as usize).collect()
}

fn lasts(decisions: &[Decision]) -> Vec<u64> {
    decisions.iter().map(|d| d.last_sample).collect()
}

#[test]
fn the_same_stages_go_on_as_if_nothing_had_happened() {
    let files = Files::new();
    let want = without_swap(files.config(&[], &[]));
    assert_eq!(lasts(&want), every_hop());
    let report = with_swaps(files.config(&[], &[]), &[1, 60, 120, 121], |run, _| {
        assert_eq!(run.session.running.swap(files.config(&[], &[])).unwrap(), BEFORE);
    });
    let same = |a: &[Decision]| a.iter().map(bits).collect::<Vec<_>>();
    assert_eq!(same(&report.decisions), same(&want));
    assert!(report.ledger.iter().all(|p| p.counts.is_empty()), "{:?}", report.ledger);
}

/// How many decisions at the beginning of `got` are those of `before`.
fn common(got: &[Decision], before: &[Decision]) -> usize {
    got.iter().zip(before).take_while(|(a, b)| bits(a) == bits(b)).count()
}

#[test]
fn a_new_model_starts_at_the_next_window() {
    let files = Files::new();
    let model = format!("model={}", files.fit("b.safetensors", &[]));
    let [a, b] = [&[][..], &[model.as_str()]].map(|sets| without_swap(files.config(&[], sets)));
    let report = with_swaps(files.config(&[], &[]), &[100], |run, _| {
        assert_eq!(run.session.running.swap(files.config(&[], &[&model])).unwrap(), BEFORE);
    });
    let got = &report.decisions;
    assert_eq!(lasts(got), every_hop());
    let n = common(got, &a);
    assert!((100..got.len() - 100).contains(&n), "swapped after {n} decisions");
    assert_eq!(common(&got[n..], &b[n..]), got.len() - n, "all that follow are the new model's");
}

#[test]
fn a_new_cut_off_leaves_the_window_full() {
    const CUT: (&str, &str) = ("low_hz = 8.0", "low_hz = 10.0");
    let files = Files::new();
    let model = format!("model={}", files.fit("b.safetensors", &[CUT]));
    let next = || files.config(&[CUT], &[&model]);
    let (a, b) = (without_swap(files.config(&[], &[])), without_swap(next()));
    let report = with_swaps(files.config(&[], &[]), &[100], |run, _| {
        assert_eq!(run.session.running.swap(next()).unwrap(), ["pick", "window", "covariance"]);
    });
    let got = &report.decisions;
    // Decisions go on at the very next hop: none is left out while a window would fill.
    assert_eq!(lasts(got), every_hop());
    let n = common(got, &a);
    assert!((100..got.len() - 200).contains(&n), "swapped after {n} decisions");
    // The filter began anew, and forgets that within ten seconds.
    for (got, want) in got.iter().zip(&b).skip(n + 150) {
        let off = got.scores.iter().zip(&want.scores).map(|(g, w)| (g.1 - w.1).abs());
        assert!(off.fold(0.0, f64::max) < 1e-9, "{got:?} {want:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused_and_the_run_goes_on_as_it_was() {
    let files = Files::new();
    let others = files.fit("others.safetensors", &[("{ left =", "{ hand =")]);
    let half = files.lab.arg("half.safetensors");
    let model = std::fs::read(files.lab.path("model.safetensors")).unwrap();
    std::fs::write(&half, &model[..model.len() / 2]).unwrap();
    let set = |path: &str| format!("model={path}");
    let no = String::new;
    let worker = "kind = \"mdm\"\nlane = \"worker\"";
    let vote = "[[stage]]\nkind = \"vote\"\n[fit]";
    let spin = "[realtime]\nwait = \"spin\"\n[fit]";
    let degrade = "deadline_ms = 5.0\nlate = \"degrade\"\ndegrade = \"mdm\"\nmodel =";
    let cases = [
        (Some(("[fit]", vote)), no(), "the place of the stage `vote` cannot change"),
        (Some(("kind = \"mdm\"", worker)), no(), "the place of the stage `mdm` cannot change"),
        (Some(("[fit]", spin)), no(), "the table `realtime` cannot change"),
        (Some(("model =", degrade)), no(), "the key `degrade` cannot change"),
        (None, "bandpass.low_hz=6.0".into(), "`low_hz` was 8.0 and is 6.0"),
        (None, "eeg.seed=4".into(), "the source `eeg` cannot change"),
        (None, "jsonl.path=elsewhere".into(), "the sink `jsonl` cannot change"),
        (None, set(&others), "`mdm` would send something else"),
        (None, set(&half), "half.safetensors: not a model of ours"),
        (None, set("nowhere.safetensors"), "nowhere.safetensors: cannot be read"),
    ];
    let after: Vec<u64> = (1..=cases.len() as u64).map(|i| i * 20).collect();
    let report = with_swaps(files.config(&[], &[]), &after, |run, i| {
        let (change, set, says) = &cases[i];
        let sets: Vec<&str> = [set.as_str()].into_iter().filter(|s| !s.is_empty()).collect();
        let refused = run
            .session
            .running
            .swap(files.config(change.as_slice(), &sets))
            .unwrap_err()
            .to_string();
        assert!(refused.contains(says), "`{says}` is not in: {refused}");
    });
    let same = |a: &[Decision]| a.iter().map(bits).collect::<Vec<_>>();
    assert_eq!(same(&report.decisions), same(&without_swap(files.config(&[], &[]))));
}

#[test]
fn a_worker_takes_up_the_change_between_two_windows() {
    const WORKER: (&str, &str) = ("kind = \"mdm\"", "kind = \"mdm\"\nlane = \"worker\"");
    let files = Files::new();
    let model = format!("model={}", files.fit("b.safetensors", &[]));
    let [a, b] = [&[][..], &[model.as_str()]].map(|sets| without_swap(files.config(&[], sets)));
    let report = with_swaps(files.config(&[WORKER], &[]), &[20, 40], |run, i| {
        let sets: &[&str] = if i == 0 { &[] } else { &[&model] };
        assert_eq!(run.session.running.swap(files.config(&[WORKER], sets)).unwrap(), BEFORE);
    });
    let got = &report.decisions;
    assert_eq!(lasts(got), every_hop());
    let n = common(got, &a);
    assert!((40..got.len() - 100).contains(&n), "swapped after {n} decisions");
    assert_eq!(common(&got[n..], &b[n..]), got.len() - n, "all that follow are the new model's");
    assert_eq!(page(&report, "mdm").count(Cause::Skipped), 0);
}

#[test]
fn a_run_takes_up_its_files_when_they_change() {
    let files = Files::new();
    let lab = &files.lab;
    let (config, path) = (lab.read("a.toml"), lab.path("a.toml"));
    let (model, next) = (lab.path("model.safetensors"), files.fit("b.safetensors", &[]));
    let verdicts = |name: &str, model: &str| -> BTreeMap<u64, Verdict> {
        let log = format!("{name}.jsonl");
        lab.write(&format!("{name}.toml"), config.replace("a.jsonl", &log));
        let set = format!("model={model}");
        lab.run(name, &["--speed", "max", "--set", &set]).succeeds();
        lab.report(name).verdicts.into_iter().map(|v| (v.last, v)).collect()
    };
    std::fs::copy(&model, lab.path("first.safetensors")).unwrap();
    let [old, new] = [("old", lab.arg("first.safetensors")), ("new", next.clone())]
        .map(|(name, model)| verdicts(name, &model));

    let mut run = lab.run("a", &["--reload"]);
    until("decisions", || lab.decisions("a") >= 5);
    // A model that is seen half written does no harm, and is taken up once it is complete.
    let bytes = std::fs::read(&next).unwrap();
    std::fs::write(&model, &bytes[..bytes.len() / 2]).unwrap();
    run.until_it_says("the change is not taken up, the run goes on as it was");
    run.until_it_says("not a model of ours");
    std::fs::write(&model, &bytes).unwrap();
    run.until_it_says("took up the change; these go on as they were: pick, bandpass, window");
    let taken = lab.decisions("a");
    until("decisions", || lab.decisions("a") >= taken + 20);
    // Nor do a config that is broken, one that does not fit, or none at all.
    std::fs::write(&path, "[[source").unwrap();
    run.until_it_says("a.toml:1:");
    std::fs::write(&path, config.replace("= 8.0", "= 6.0")).unwrap();
    run.until_it_says("trained behind other settings");
    std::fs::remove_file(&path).unwrap();
    run.until_it_says("a.toml: cannot be read");
    let before = lab.decisions("a");
    until("decisions", || lab.decisions("a") >= before + 5);
    run.interrupt();
    run.succeeds();

    let got = lab.report("a");
    assert!(got.is_clean(), "{:?}", got.ledger);
    for (got, last) in got.verdicts.iter().zip((WINDOW - 1..).step_by(STEP as usize)) {
        assert_eq!(got.last, last, "a window is left out");
    }
    let is_in =
        |verdicts: &BTreeMap<u64, Verdict>, v: &Verdict| verdicts[&v.last].scores == v.scores;
    let n = got.verdicts.iter().take_while(|v| is_in(&old, v)).count();
    assert!(n >= 5 && n + 20 <= got.verdicts.len(), "{n} of {}", got.verdicts.len());
    assert!(got.verdicts[n..].iter().all(|v| is_in(&new, v)));
}
