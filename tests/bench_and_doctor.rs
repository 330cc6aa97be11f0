//! `bench`, `doctor` and `check` say what they promise to say. How long anything took is of no concern
//! here: short runs, and only the shape of what comes out.
#![allow(clippy::unwrap_used)]

#[path = "support/lab.rs"]
mod lab;

use lab::{Ended, Lab};
use serde_json::Value;
use std::process::{Command, Stdio};

/// A chain that has not learned anything yet.
const CHAIN: &str = r#"
[[source]]
kind = "synthetic"
id = "eeg"

[[stage]]
kind = "bandpass"
low_hz = 8.0
high_hz = 30.0

[[stage]]
kind = "window"
length_s = 0.5
step_s = 0.05

[[stage]]
kind = "covariance"
estimator = "oas"

[[stage]]
kind = "mdm"

[[sink]]
kind = "jsonl"
path = "never.jsonl"

[fit]
classes = { left = "T1", right = "T2" }
"#;

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {}", ended.out))
}

/// Checks the keys that every program may rely on; returns the names.
fn names(records: &Value) -> Vec<String> {
    let records = records.as_array().unwrap();
    assert!(!records.is_empty());
    for record in records {
        assert!(record["name"].is_string() && record["shape"].is_string(), "{record}");
        assert!(record["n"].as_u64().unwrap() > 0, "{record}");
        let [p50, p99, max] = ["p50_us", "p99_us", "max_us"].map(|k| record[k].as_f64().unwrap());
        assert!(0.0 <= p50 && p50 <= p99 && p99 <= max, "{record}");
    }
    records.iter().map(|r| r["name"].as_str().unwrap().to_owned()).collect()
}

fn entry<'a>(list: &'a Value, key: &str, value: &str) -> &'a Value {
    let found = list.as_array().unwrap().iter().find(|entry| entry[key] == value);
    found.unwrap_or_else(|| panic!("no {key} {value} in {list}"))
}

#[test]
fn rings_are_measured_saved_and_compared() {
    let lab = Lab::new();
    let args = ["bench", "ring", "--seconds", "0.02"];
    let saved = lab.arg("before.json");
    let first = lab.saltatory(&[&args[..], &["--json", "--save", &saved]].concat()).succeeds();
    let names = names(&json(&first));
    for part in ["inbox", "outbox", "mailbox", "doorbell"] {
        assert!(names.iter().any(|n| n.starts_with(part)), "{part} in {names:?}");
    }
    assert!(first.err.contains("rustc"), "no machine in {}", first.err);
    let before: Value = serde_json::from_str(&lab.read("before.json")).unwrap();
    assert_eq!(before["results"], json(&first));
    assert!(before["machine"]["cores"].as_u64().unwrap() > 0 && before["when"].is_u64());

    let more = ["--only", "mailbox, in", "--baseline", &saved];
    let second = lab.saltatory(&[&args[..], &more].concat()).succeeds();
    assert_eq!(second.out.lines().count(), 2, "{}", second.out);
    assert!(second.out.contains("to before") && second.out.trim_end().ends_with(" x"));

    // What --json prints will do as well.
    lab.write("printed.json", &first.out);
    let printed = lab.arg("printed.json");
    let args = ["bench", "ring", "--seconds", "0.01", "--only", "doorbell", "--baseline", &printed];
    assert!(lab.saltatory(&args).succeeds().out.contains(" x"));
    lab.write("nonsense.json", "{}");
    let nonsense = lab.arg("nonsense.json");
    lab.saltatory(&["bench", "ring", "--baseline", &nonsense]).fails(2, &["bench --save"]);
}

#[test]
fn stages_are_measured_hot_and_once_per_50_ms() {
    let lab = Lab::new();
    let args = ["bench", "stages", "--seconds", "0.01", "--only", "band", "--json"];
    let records = json(&lab.saltatory(&args).succeeds());
    let names = names(&records);
    let peers = "band-pass + notch, 5 sections";
    for name in [peers.to_owned(), format!("{peers}, one per 50 ms"), "bandpass".into()] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
}

#[test]
fn markers_are_made_up_for_stages_that_want_them() {
    let lab = Lab::new();
    let args = ["bench", "stages", "--seconds", "0.01", "--only", "event", "--json"];
    let records = json(&lab.saltatory(&args).succeeds());
    assert!(names(&records).contains(&"event".to_owned()));
}

#[test]
fn a_pipeline_is_run_at_its_pace() {
    let lab = Lab::new();
    lab.write("chain.toml", CHAIN);
    let config = lab.arg("chain.toml");
    let args = ["bench", "pipeline", "--seconds", "0.05", "--config", &config, "--json"];
    let records = json(&lab.saltatory(&args).succeeds());
    names(&records);
    let whole = entry(&records, "name", "chain: arrival to mdm");
    assert!(whole["cores"].as_f64().unwrap() > 0.0 && whole["lost"].is_u64(), "{whole}");
    assert!(whole["keeps_up"].is_boolean() && whole["every_ms"].is_f64(), "{whole}");
    let stages: Vec<_> =
        ["bandpass", "window", "covariance", "mdm"].map(|s| format!("chain: {s}")).into();
    stages.iter().for_each(|name| assert!(entry(&records, "name", name)["n"].as_u64() > Some(0)));
    assert!(!lab.path("never.jsonl").exists(), "a sink was opened");
}

#[test]
fn latency_is_seen_from_inside_and_from_outside() {
    let lab = Lab::new();
    let ended = lab.saltatory(&["bench", "latency", "--seconds", "0.05", "--json"]).succeeds();
    check_latency(&json(&ended));
}

#[test]
fn latency_keeps_to_loopback_by_itself() {
    let output = Command::new(env!("CARGO_BIN_EXE_saltatory"))
        .args(["bench", "latency", "--seconds", "0.05", "--json"])
        .env_remove("LSLAPICFG")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    check_latency(&serde_json::from_slice(&output.stdout).unwrap());
}

fn check_latency(records: &Value) {
    names(records);
    let p50 = |name: &str| entry(records, "name", name)["p50_us"].as_f64().unwrap();
    let (share, whole) = (p50("engine share"), p50("end to end"));
    assert!(0.0 < share && share < whole, "{share} of {whole}");
    assert!(p50("age published with the decision") > 0.0);
    let n = |name: &str| entry(records, "name", name)["n"].as_u64().unwrap();
    let hops = ["sent to arrived", "inbox", "stage tangent", "outbox", "handed over to received"];
    hops.iter().for_each(|hop| assert_eq!(n(&format!("hop: {hop}")), n("end to end")));
}

#[test]
fn a_doctor_finds_out_and_advises() {
    let lab = Lab::new();
    let report = json(&lab.saltatory(&["doctor", "--seconds", "0.3", "--json"]).succeeds());
    assert!(report["timer"]["step_ns"].as_u64().unwrap() > 0);
    let normal = &report["jitter"]["normal"];
    assert!(normal["n"].as_u64().unwrap() > 0 && normal["p9999_us"].is_f64(), "{normal}");
    let granted = report["rights"]["realtime_priority"]["granted"].as_bool().unwrap();
    assert_eq!(report["jitter"]["realtime"].is_object(), granted);
    let (lsl, disk) = (&report["lsl"], &report["disk"]);
    assert!(lsl["under_way"]["n"].as_u64() > Some(0) && lsl["lost"].is_u64(), "{lsl}");
    assert!(lsl["under_way"]["p50_us"].as_f64() > Some(0.0), "{lsl}");
    assert!(disk["mib_per_s"].as_f64() > Some(0.0), "{disk}");
    let channels: Vec<_> = report["holds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| h["channels"].as_u64().unwrap())
        .collect();
    assert_eq!(channels, [64, 306, 1024]);
    for advice in report["advice"].as_array().unwrap() {
        assert!(advice["found"].is_string() && advice["change"].is_string(), "{advice}");
    }

    let text = lab.saltatory(&["doctor", "--seconds", "0.2"]).succeeds().out;
    for part in ["keeps time", "64 channels at 1 kHz", "What to change"] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    assert!(!text.contains('\u{1b}'), "colours in spite of NO_COLOR: {text:?}");
    let left = std::fs::read_dir(lab.path("")).unwrap().flatten();
    assert!(left.into_iter().all(|f| !f.file_name().to_string_lossy().contains("doctor-")));
}

#[test]
fn a_deadline_that_cannot_be_kept_is_refused() {
    let lab = Lab::new();
    lab.write("good.toml", format!("deadline_ms = 1000.0\n{CHAIN}"));
    lab.write("bad.toml", format!("deadline_ms = 0.001\n{CHAIN}"));
    let (good, bad) = (lab.arg("good.toml"), lab.arg("bad.toml"));

    let report = json(&lab.saltatory(&["check", &good, "--json"]).succeeds());
    assert_eq!(report["ok"], true);
    let promise = entry(&report["promises"], "decision", "mdm");
    assert_eq!(promise["deadline_ms"], 1000.0);
    assert!(promise["expected_ms"].as_f64().unwrap() > 0.0, "{promise}");
    let way: Vec<_> =
        promise["way"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert_eq!(way, ["bandpass", "window", "covariance", "mdm"]);
    let covariance = entry(&report["graph"], "id", "covariance");
    assert_eq!(covariance["lane"], "lane");
    for pace in ["hot", "paced"] {
        assert!(covariance["cost"][pace]["n"].as_u64().unwrap() > 0, "{covariance}");
    }
    assert!(entry(&report["graph"], "id", "eeg")["inbox"]["bytes"].as_u64().unwrap() > 0);
    assert!(report["engine"]["inbox_bytes"].as_u64().unwrap() > 0);
    assert!(report["remarks"][0].as_str().unwrap().contains("no model is named"), "{report}");
    assert!(!lab.path("never.jsonl").exists(), "a sink was opened");

    let refused = lab.saltatory(&["check", &bad, "--json"]).end();
    assert_eq!(refused.code, Some(2));
    let report = json(&refused);
    assert_eq!(report["ok"], false);
    assert_eq!(report["refused"], refused.err.trim().trim_start_matches("error: "));
    lab.saltatory(&["check", &bad]).fails(2, &["bad.toml:", "the deadline of 0.001 ms", "mdm"]);
}

#[test]
fn a_worker_and_a_cheaper_branch_are_weighed_as_such() {
    let lab = Lab::new();
    let slow = CHAIN.replace("kind = \"mdm\"", "kind = \"mdm\"\nlane = \"worker\"");
    lab.write("worker.toml", format!("deadline_ms = 1000.0\n{slow}"));
    let report = json(&lab.saltatory(&["check", &lab.arg("worker.toml"), "--json"]).succeeds());
    assert_eq!(entry(&report["graph"], "id", "mdm")["lane"], "lane:mdm");
    assert_eq!(entry(&report["promises"], "decision", "mdm")["lane"], "lane:mdm");

    let quick = "[[stage]]\nkind = \"mdm\"\nid = \"quick\"\nfrom = \"covariance\"\n\n[[sink]]";
    let two = CHAIN.replacen("[[sink]]", quick, 1);
    let head = "late = \"degrade\"\ndegrade = \"quick\"\n";
    lab.write("two.toml", format!("deadline_ms = 1000.0\n{head}{two}"));
    let report = json(&lab.saltatory(&["check", &lab.arg("two.toml"), "--json"]).succeeds());
    for id in ["mdm", "quick"] {
        let promise = entry(&report["promises"], "decision", id);
        assert!(promise["expected_ms"].as_f64().unwrap() > 0.0, "{promise}");
        assert!(entry(&report["graph"], "id", id)["cost_us"].as_f64().unwrap() > 0.0);
    }
    lab.write("two.toml", format!("deadline_ms = 0.001\n{head}{two}"));
    lab.saltatory(&["check", &lab.arg("two.toml")]).fails(2, &["the deadline of 0.001 ms"]);

    // It must branch off behind the windows.
    let early = head.replace("quick", "window");
    lab.write("two.toml", format!("deadline_ms = 1000.0\n{early}{two}"));
    lab.saltatory(&["check", &lab.arg("two.toml")]).fails(2, &["two.toml:", "must branch off"]);
}

#[test]
fn epochs_at_markers_are_timed_too() {
    let lab = Lab::new();
    let cues = "[[source]]\nkind = \"synthetic\"\nid = \"cues\"\nstream = \"markers\"\n";
    let event = "kind = \"event\"\nfrom = [\"bandpass\", \"cues\"]\nclasses = { left = \"T1\", right = \"T2\" }\n\
                 length_s = 0.2\n";
    let chain = CHAIN
        .replace(
            "[[stage]]\nkind = \"bandpass\"",
            &format!("{cues}\n[[stage]]\nkind = \"bandpass\"\nfrom = \"eeg\""),
        )
        .replace("kind = \"window\"\nlength_s = 0.5\nstep_s = 0.05\n", event);
    let chain = chain.split("[fit]").next().unwrap();
    lab.write("event.toml", chain);
    let report = json(&lab.saltatory(&["check", &lab.arg("event.toml"), "--json"]).succeeds());
    let cost = &entry(&report["graph"], "id", "mdm")["cost"];
    assert!(cost["hot"]["n"].as_u64().unwrap() > 0, "{report}");
}
