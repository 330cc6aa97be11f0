//! Real clients: liblsl from a Python wheel at both ends, in every numeric format.
#![allow(clippy::unwrap_used)]

#[path = "support/lab.rs"]
mod lab;

use lab::{CHANNELS, Lab, Report, STEP, WINDOW};
use saltatory::error::Result;
use saltatory::frame::{Channel, Frame, Payload, Span, Spec};
use saltatory::ledger::Counters;
use saltatory::math::simulator::{Config, Simulator};
use saltatory::sources::{self, Read, Source};
use serde_json::{Value, json};
use std::sync::Arc;

const RATE_HZ: f64 = 160.0;
const SAMPLES: usize = 1920;
const MARKERS: &str = "cues";
/// Markers: the sample that they are about, and their text; two of them name a class.
const EVENTS: [(usize, &str); 4] = [(320, "T1"), (700, "Grüße, 世界"), (960, "T2"), (1500, "T0")];

/// Each format with what is added to the channels, so that no narrower format could hold them, and
/// the step between the numbers that are sent; 0 for numbers as they come.
const FORMATS: [(&str, f64, f64); 6] = [
    ("int8", 0.0, 1.0),
    ("int16", 20_000.0, 1.0),
    ("int32", 1e9, 1.0),
    ("int64", 1e12, 1.0),
    ("float32", 0.0, 0.125),
    ("double64", 0.0, 0.0),
];

#[test]
fn every_format_is_decoded_and_the_decisions_are_heard() {
    let lab = Lab::joined();
    let streams: Vec<Value> = FORMATS
        .iter()
        .map(|(format, ..)| {
            let bytes: Vec<u8> = samples(format).iter().flat_map(|v| v.to_le_bytes()).collect();
            let path = lab.write(&format!("{format}.f64"), bytes);
            json!({ "name": format!("py-{format}"), "format": format, "samples": path })
        })
        .collect();
    let plan = json!({
        "streams": streams, "markers": MARKERS, "events": EVENTS, "rate_hz": RATE_HZ,
        "labels": CHANNELS, "unit": "microvolts", "type": "EEG",
    });
    lab.write("plan.json", plan.to_string());
    let (plan, sent) = (lab.arg("plan.json"), lab.arg("sent.json"));
    let Some(mut outlet) = lab.python("lsl_outlet.py", &[&plan, &sent]) else { return };
    outlet.until_it_says("open");
    descriptions_are_read();

    let mut names = Vec::new();
    let mut runs = Vec::new();
    for (format, ..) in FORMATS {
        let (probabilities, labels) = (format!("p-{format}"), format!("l-{format}"));
        let tail = format!(
            "[[sink]]\nkind = \"lsl\"\nprobabilities = \"{probabilities}\"\nlabels = \"{labels}\"\n"
        );
        lab.decoder(format, &sources_of(format), &tail);
        names.extend([probabilities, labels]);
        runs.push(lab.run(format, &[]));
    }
    outlet.until_it_says("heard");
    let heard = lab.arg("heard.json");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let decisions = (SAMPLES - WINDOW as usize) / STEP as usize + 1;
    let count = decisions.to_string();
    let args = [&[&*heard, &*count], &*names].concat();
    let mut inlet = lab.python("lsl_inlet.py", &args).expect("Python is there");
    inlet.until_it_says("ready");
    outlet.say("go");
    inlet.succeeds();
    // Without its sender a run ends (`recover_s = 0`).
    outlet.close_input();
    outlet.succeeds();
    runs.into_iter().for_each(|run| drop(run.succeeds()));

    let stamps: Vec<f64> = serde_json::from_str(&lab.read("sent.json")).unwrap();
    let heard: Value = serde_json::from_str(&lab.read("heard.json")).unwrap();
    for (format, ..) in FORMATS {
        let report = lab.report(format);
        assert_eq!(report.verdicts.len(), decisions, "{format}");
        assert!(report.is_clean(), "{format}: {:?}", report.ledger);
        for key in ["in", "out"] {
            assert_eq!(report.count("eeg", key), SAMPLES as u64, "{format}: {key}");
            assert_eq!(report.count("markers", key), EVENTS.len() as u64, "{format}: {key}");
        }
        assert_eq!(report.count("epochs", "out"), 2, "{format}: epochs cut at the markers");
        decided_as_offline(&lab, format, &report);
        heard_as_decided(format, &report, &heard, &stamps);
    }
}

/// A stream, its markers, and the branch that cuts epochs at them.
fn sources_of(format: &str) -> String {
    format!(
        "[[source]]\nkind = \"lsl\"\nid = \"eeg\"\nname = \"py-{format}\"\nwait_s = 60.0\n\
         recover_s = 0.0\n\
         [[source]]\nkind = \"lsl\"\nid = \"markers\"\nname = \"{MARKERS}\"\nwait_s = 60.0\n\
         recover_s = 0.0\n\
         [[stage]]\nkind = \"event\"\nid = \"epochs\"\nfrom = [\"eeg\", \"markers\"]\n\
         classes = {{ left = \"T1\", right = \"T2\" }}\nlength_s = 1.0\n"
    )
}

/// What a stream in `format` sends, row by row: a simulated subject.
fn samples(format: &str) -> Vec<f64> {
    let (_, offset, step) = FORMATS.into_iter().find(|(f, ..)| *f == format).unwrap();
    let config = Config { channels: CHANNELS.map(String::from).to_vec(), ..Config::default() };
    let mut values = vec![0.0; SAMPLES * CHANNELS.len()];
    Simulator::new(&config).unwrap().next(&mut values, SAMPLES);
    let range = if format == "int8" { 127.0 } else { f64::INFINITY };
    let quantised = |v: f64| match step {
        0.0 => v * 1e6,
        _ => (v * 1e6 / step).round().clamp(-range, range) * step + offset,
    };
    values.into_iter().map(quantised).collect()
}

/// Every channel of every stream is known by label, type and unit.
fn descriptions_are_read() {
    let kind = sources::KINDS.iter().find(|k| k.name == "lsl").unwrap();
    for (format, ..) in FORMATS {
        let mut source = kind.from_toml(&format!("name = \"py-{format}\"")).unwrap().unit;
        let spec = source.open(Counters::new("eeg")).unwrap();
        assert_eq!((spec.payload, spec.rate_hz), (Payload::Samples, RATE_HZ), "{format}");
        assert_eq!(spec.channels, channels(), "{format}");
    }
}

fn channels() -> Vec<Channel> {
    let channel = |label: &str| Channel {
        label: label.into(),
        kind: "EEG".into(),
        unit: "microvolts".into(),
        direction: None,
    };
    CHANNELS.iter().map(|label| channel(label)).collect()
}

/// The decisions are, bit for bit, those on the same numbers without LSL in between.
fn decided_as_offline(lab: &Lab, format: &str, live: &Report) {
    let path = lab.path(&format!("{format}.toml"));
    let mut config = saltatory::config::load(&path, &[]).unwrap();
    config.sinks.clear();
    config.sources[0].unit = Box::new(Given { samples: samples(format), row: 0 });
    config.sources[1].unit = Box::new(Silent);
    let options = saltatory::control::run::Options { keep_decisions: true, ..Default::default() };
    let stop = saltatory::control::stop::Stop::default();
    let offline = saltatory::control::run::run(config, &options, &stop).unwrap();
    let offline = Report::parse(&serde_json::to_string(&offline).unwrap());
    for (live, offline) in live.verdicts.iter().zip(&offline.verdicts) {
        let offline = lab::Verdict { time_s: live.time_s, ..offline.clone() };
        assert_eq!(*live, offline, "{format}");
    }
    assert_eq!(live.verdicts.len(), offline.verdicts.len(), "{format}");
    assert!(
        live.verdicts.iter().any(|v| v.scores != live.verdicts[0].scores),
        "{format}: all same"
    );
}

/// The inlet has every decision, with the time stamp of the newest sample as the outlet sent it.
fn heard_as_decided(format: &str, report: &Report, heard: &Value, stamps: &[f64]) {
    let (numbers, labels) = (&heard[format!("p-{format}")], &heard[format!("l-{format}")]);
    let classes = ["left", "right"];
    let channel = |c: &&str| json!({ "label": c, "unit": "1", "type": "Probability" });
    let described: Vec<_> = classes.iter().map(channel).collect();
    assert_eq!(numbers["channels"], json!(described), "{format}");
    assert_eq!((&numbers["type"], &numbers["text"]), (&json!("Probability"), &json!(false)));
    assert_eq!((&labels["type"], &labels["text"]), (&json!("Markers"), &json!(true)));
    assert_eq!(labels["channels"].as_array().unwrap().len(), 1, "{format}");

    let rows = |page: &Value, key: &str| page[key].as_array().unwrap().clone();
    let scores = rows(numbers, "samples");
    let texts = rows(labels, "samples");
    let times = rows(numbers, "stamps").into_iter().zip(rows(labels, "stamps"));
    assert_eq!(scores.len(), report.verdicts.len(), "{format}");
    assert_eq!(texts.len(), report.verdicts.len(), "{format}");
    let heard = scores.iter().zip(&texts).zip(times);
    for (verdict, ((scores, text), (time_s, label_time_s))) in report.verdicts.iter().zip(heard) {
        assert_eq!(*text, json!([verdict.label]), "{format}");
        let sent: Vec<f32> = verdict.numbers().iter().map(|v| *v as f32).collect();
        let got = scores.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32);
        assert_eq!(got.collect::<Vec<_>>(), sent, "{format}");
        for time_s in [time_s, label_time_s] {
            let off_s = time_s.as_f64().unwrap() - stamps[verdict.last as usize];
            assert!(off_s.abs() < 1e-3, "{format}: sample {} is off by {off_s} s", verdict.last);
        }
    }
}

/// Brings numbers as they are.
struct Given {
    samples: Vec<f64>,
    row: usize,
}

impl Source for Given {
    fn open(&mut self, _: Arc<Counters>) -> Result<Spec> {
        Ok(Spec::samples(channels(), RATE_HZ, 16))
    }

    fn read(&mut self, block: &mut Frame) -> Result<Read> {
        let cols = CHANNELS.len();
        let rows = (self.samples.len() / cols - self.row).min(16);
        if rows == 0 {
            return Ok(Read::End);
        }
        block.resize(rows, cols);
        block.data.copy_from_slice(&self.samples[self.row * cols..(self.row + rows) * cols]);
        let (first, last) = (self.row as u64, (self.row + rows - 1) as u64);
        let [first_s, last_s] = [first, last].map(|i| i as f64 / RATE_HZ);
        block.span = Span { first, last, first_s, last_s, arrived_s: last_s };
        self.row += rows;
        Ok(Read::Filled)
    }

    fn offline(&self) -> bool {
        true
    }
}

/// Brings no markers.
struct Silent;

impl Source for Silent {
    fn open(&mut self, _: Arc<Counters>) -> Result<Spec> {
        Ok(Spec::markers())
    }

    fn read(&mut self, _: &mut Frame) -> Result<Read> {
        Ok(Read::End)
    }

    fn offline(&self) -> bool {
        true
    }
}
