//! The configs of deep decoders, run as they are on the simulator: each answers to every item that is shown, more often
//! rightly than chance allows, with its latency and a ledger that adds up.
//!
//! ONNX Runtime is needed (`scripts/setup onnx`); without it nothing is tried, unless SALTATORY_REQUIRE_PYTHON is set.
#![allow(clippy::unwrap_used)]
#![cfg(unix)]

#[path = "support/lab.rs"]
mod lab;
mod support;

use base64::Engine as _;
use lab::Lab;
use saltatory::formats::world;
use serde_json::Value;
use std::path::Path;

/// What is changed of a config: no window may be late on a machine that is busy with other tests.
const PATIENT: &str = "budget_ms = 60000.0";

/// A config of `configs/`, run on `trials` items that are shown as fast as the machine can.
struct Run {
    lab: Lab,
    name: &'static str,
    trials: u64,
    lines: Vec<Value>,
    report: Value,
}

/// A lab that has the models and ONNX Runtime at hand.
fn lab() -> Lab {
    let lab = Lab::new();
    for folder in ["models", ".runtime"] {
        std::os::unix::fs::symlink(support::root().join(folder), lab.path(folder)).unwrap();
    }
    lab
}

impl Run {
    fn new(
        name: &'static str,
        sources: &[&str],
        trials: u64,
        item_s: f64,
        answer: &str,
    ) -> Option<Self> {
        if !support::has_onnx_runtime() {
            return None;
        }
        let lab = lab();
        let text = std::fs::read_to_string(format!("configs/{name}.toml")).unwrap();
        let text: Vec<String> = text.lines().map(patient).collect();
        let log = lab.arg("answers.jsonl");
        let sink = format!("[[sink]]\nkind = \"jsonl\"\nfrom = {answer}\npath = {log:?}\n");
        // Tables such as [fit] end the list of sinks, so ours comes first.
        let text = text.join("\n").replacen("[[sink]]", &format!("{sink}\n[[sink]]"), 1);
        lab.write(&format!("{name}.toml"), text);
        let mut args = vec!["--speed".to_owned(), "max".to_owned()];
        for source in sources {
            args.extend([
                "--set".to_owned(),
                format!("{source}.duration_s={}", item_s * (trials as f64 + 1.0)),
            ]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        lab.run(name, &args).succeeds();
        let lines = lab.read("answers.jsonl");
        let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let report = serde_json::from_str(&lab.read(&format!("{name}.json"))).unwrap();
        let run = Self { lab, name, trials, lines, report };
        run.check_accounts();
        Some(run)
    }

    /// Nothing was lost, the counts add up, and there is a latency for every stage.
    fn check_accounts(&self) {
        for page in self.report["ledger"].as_array().unwrap() {
            assert!(page["counts"].as_object().unwrap().is_empty(), "{}: {page}", self.name);
        }
        let balance = self.report["balance"].as_array().unwrap();
        assert!(!balance.is_empty() && balance.iter().all(|account| account["unaccounted"] == 0));
        let latency = &self.report["latency"];
        assert!(latency["engine"]["n"].as_u64().unwrap() > 0, "{}: {latency}", self.name);
        let _ = &self.lab;
    }

    fn answers(&self, key: &str) -> Vec<&Value> {
        self.lines
            .iter()
            .filter(|line| !line[key].is_null() && !line["last_sample"].is_null())
            .collect()
    }
}

fn patient(line: &str) -> String {
    let is = |key: &str| line.trim_start().starts_with(key);
    match () {
        () if is("budget_ms") => PATIENT.to_owned(),
        () if is("deadline_ms") => "deadline_ms = 60000.0".to_owned(),
        () if is("kind = \"websocket\"") => {
            "kind = \"websocket\"\nlisten = \"127.0.0.1:0\"".to_owned()
        }
        () => line.to_owned(),
    }
}

/// What is shown in trial `number` of a session with `seed` 100, among these items.
fn shown(world: &str, items: std::ops::RangeInclusive<usize>, number: u64) -> String {
    let named = world::read(Path::new(&format!("models/worlds/{world}.safetensors"))).unwrap();
    let shown = named.world.shown(100, &items, number);
    named.items[shown.item].clone()
}

/// In which trial an epoch is that ends with `last_sample`, `end_s` after its item.
fn trial(answer: &Value, rate_hz: f64, item_s: f64, end_s: f64) -> u64 {
    let time_s = (answer["last_sample"].as_u64().unwrap() + 1) as f64 / rate_hz - end_s;
    (time_s / item_s).round() as u64
}

/// How often one of the first `top` labels is that of what was shown.
fn found(
    run: &Run,
    world: &str,
    items: std::ops::RangeInclusive<usize>,
    timing: [f64; 3],
    top: usize,
) -> usize {
    let [rate_hz, item_s, end_s] = timing;
    let rankings = run.answers("ranking");
    assert_eq!(rankings.len() as u64, run.trials, "{}: every item is answered to", run.name);
    let is_found = |answer: &&&Value| {
        let truth = shown(world, items.clone(), trial(answer, rate_hz, item_s, end_s));
        let best = answer["ranking"].as_array().unwrap();
        best.iter().take(top).any(|item| item["label"] == truth.as_str())
    };
    rankings.iter().filter(is_found).count()
}

/// A recording that is played, here a simulated one, by the network that was trained on real ones.
#[test]
fn imagined_fists_over_lsl() {
    if !support::has_onnx_runtime() {
        return;
    }
    let lab = lab();
    let text = std::fs::read_to_string("configs/eegnet.toml").unwrap();
    let text: Vec<String> = text.lines().map(patient).collect();
    lab.write("eegnet.toml", text.join("\n"));
    let player = lab.saltatory(&["play", "synthetic:3", "--name", "cap"]);
    lab.run("eegnet", &["--for", "6s"]).succeeds();
    player.kill();
    let report = lab.report("eegnet");
    assert!(report.verdicts.len() >= 20, "{} decisions in 6 s", report.verdicts.len());
    assert!(report.verdicts.windows(2).all(|pair| pair[1].last - pair[0].last == 16), "each step");
    let report: Value = serde_json::from_str(&lab.read("eegnet.json")).unwrap();
    assert_eq!(report["latency"]["engine"]["n"], report["decisions"].as_array().unwrap().len());
}

#[test]
fn emotions() {
    let Some(run) = Run::new("emotion", &["eeg", "markers"], 20, 8.0, "\"onnx\"") else { return };
    let decisions = run.answers("label");
    assert!(decisions.len() > 160, "{}", decisions.len());
    // Windows that lie wholly within one clip, from a second after its onset on.
    let mut counts = [0, 0];
    for decision in decisions {
        let last_s = decision["last_sample"].as_u64().unwrap() as f64 / 128.0;
        let number = ((last_s - 4.0) / 8.0).floor();
        let since_s = last_s - 4.0 - 8.0 * number;
        if (1.0..=20.0).contains(&number) && (1.0..3.0).contains(&since_s) {
            let right = decision["label"] == shown("emotion", 0..=2, number as u64).as_str();
            counts[usize::from(right)] += 1;
        }
        assert_eq!(decision["model"].as_str().map(str::len), Some(32), "signed by the network");
    }
    let [wrong, right] = counts;
    assert!(right > 2 * wrong, "{right} right, {wrong} wrong, of three classes");
}

#[test]
fn words_of_seeg() {
    let Some(run) = Run::new("seeg_words", &["seeg", "markers"], 30, 4.0, "\"onnx\"") else {
        return;
    };
    let decisions = run.answers("label");
    let item_s = world::read(Path::new("models/worlds/seeg.safetensors")).unwrap().world.item_s;
    let is_right =
        |d: &&&Value| d["label"] == shown("seeg", 0..=60, trial(d, 1000.0, item_s, 2.5)).as_str();
    let right = decisions.iter().filter(is_right).count();
    assert!(
        decisions.len() >= 25 && right * 2 > decisions.len(),
        "{right} of {}; chance is 1 of 61",
        decisions.len()
    );
}

#[test]
fn images_of_meg() {
    let sources = ["meg", "shown"];
    let Some(run) = Run::new("meg_images", &sources, 25, 2.0, "[\"retrieval\", \"picture\"]")
    else {
        return;
    };
    let right = found(&run, "meg", 1000..=1199, [120.0, 2.0, 1.0], 5);
    assert!(right * 2 > 25, "{right} of 25 among the first five of 200");
    let pictures = run.answers("image");
    assert_eq!(pictures.len(), 25);
    assert_eq!(
        (&pictures[0]["image"]["width"], &pictures[0]["image"]["height"]),
        (&32.into(), &32.into())
    );
}

/// Somebody who looks on while it runs sees rankings and pictures.
#[test]
fn a_viewer_sees_the_pictures() {
    if !support::has_onnx_runtime() {
        return;
    }
    let lab = lab();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = std::fs::read_to_string("configs/meg_images.toml").unwrap();
    let text: Vec<String> = text.lines().map(patient).collect();
    lab.write(
        "meg_images.toml",
        text.join("\n").replace("127.0.0.1:0", &format!("127.0.0.1:{port}")),
    );
    let run = lab.run("meg_images", &["--for", "9s"]);
    let mut viewer = None;
    lab::until("the server", || {
        viewer = tungstenite::connect(format!("ws://127.0.0.1:{port}/")).ok();
        viewer.is_some()
    });
    let (mut viewer, _) = viewer.unwrap();
    let (mut rankings, mut pictures) = (0, Vec::new());
    while let Ok(tungstenite::Message::Text(text)) = viewer.read() {
        let message: Value = serde_json::from_str(&text).unwrap();
        rankings += usize::from(message["ranking"].as_array().is_some_and(|r| r.len() == 5));
        if let Some(data) = message["image"]["data"].as_str() {
            assert!(message["age_newest_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{message}");
            pictures.push(base64::engine::general_purpose::STANDARD.decode(data).unwrap());
        }
    }
    run.succeeds();
    assert!(rankings >= 2 && pictures.len() == rankings, "{rankings} and {}", pictures.len());
    let picture = image::load_from_memory(&pictures[0]).unwrap().to_rgb8();
    assert_eq!(picture.dimensions(), (32, 32));
    let (darkest, brightest) = (picture.iter().min().unwrap(), picture.iter().max().unwrap());
    assert!(brightest - darkest > 50, "there is something to see");
}

#[test]
fn captions_of_eeg() {
    let Some(run) = Run::new("eeg_text", &["eeg", "markers"], 30, 2.0, "\"retrieval\"") else {
        return;
    };
    let right = found(&run, "text", 0..=199, [128.0, 2.0, 1.0], 5);
    assert!(right * 4 > 30, "{right} of 30 among the first five of 200");
}

#[test]
fn eeg_and_meg_together() {
    let Some(run) = Run::new("fusion", &["eeg", "meg", "markers"], 30, 2.0, "\"retrieval\"") else {
        return;
    };
    let right = found(&run, "fusion_eeg", 500..=599, [120.0, 2.0, 1.0], 5);
    assert!(right * 5 > 30, "{right} of 30 among the first five of 600");
}

#[test]
fn regions_of_fmri() {
    let Some(run) = Run::new("eeg_fmri", &["eeg"], 30, 2.1, "\"onnx\"") else { return };
    let volumes = run.answers("numbers");
    assert!(volumes.len() >= 20, "{}", volumes.len());
    let regions = volumes[0]["numbers"].as_array().unwrap().len();
    assert!(regions >= 4 && volumes.iter().all(|v| v["numbers"][0].is_number()));
}
