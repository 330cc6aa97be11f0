//! What every source and every sink owes, tried on every kind of both lists, and what the engine
//! does when one of them is slow. A new kind is tested without a change here.
#![allow(clippy::unwrap_used)]

#[path = "support/lab.rs"]
mod lab;

use lab::{CHANNELS, Lab, until};
use saltatory::control::list;
use saltatory::engine::intake::Intake;
use saltatory::engine::outlet::Outlet;
use saltatory::engine::tap::Tap;
use saltatory::error::Result;
use saltatory::frame::{Channel, Flags, Frame, Payload, Span, Spec};
use saltatory::kind::Kind;
use saltatory::ledger::{Cause, Counters};
use saltatory::ring::{Doorbell, blocks};
use saltatory::sinks::{self, Delivery, RunFacts, Sink};
use saltatory::sources::{self, Read, Source, Speed};
use saltatory::wire::lsl;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

#[test]
fn every_kind_is_listed_with_help_and_its_example_parses() {
    let listed = list::entries(None);
    let check = |family: &str, name: &str, example: Result<serde_json::Value>, unknown: bool| {
        let entry = listed.iter().find(|e| (e.family, e.kind) == (family, name));
        let entry = entry.unwrap_or_else(|| panic!("the {family} {name} is not listed"));
        assert!(!entry.summary.is_empty(), "{name} has no summary");
        let settings = example.unwrap_or_else(|e| panic!("{name}: {e}"));
        for setting in &entry.settings {
            assert!(!setting.help.is_empty(), "{name}: `{}` has no help", setting.key);
            assert!(settings.get(&setting.key).is_some(), "{name}: `{}` not shown", setting.key);
        }
        assert!(!unknown, "{name} takes an unknown key");
    };
    let wrong = |example: &str| format!("no_such_key = 1\n{example}");
    for kind in sources::KINDS {
        let unknown = kind.from_toml(&wrong(kind.example)).is_ok();
        check("source", kind.name, kind.from_toml(kind.example).map(|b| b.settings), unknown);
    }
    for kind in sinks::KINDS {
        let unknown = kind.from_toml(&wrong(kind.example)).is_ok();
        check("sink", kind.name, kind.from_toml(kind.example).map(|b| b.settings), unknown);
    }
}

#[test]
fn sources_deliver_what_they_promise_to_everyone_and_end_once() {
    let _lab = Lab::joined();
    for kind in sources::KINDS {
        let name = kind.name;
        // The device that a live source listens to; the source ends as soon as it is gone.
        let mut device = (name == "lsl").then(Device::start);
        let live = device.is_some();
        let rest = if live { "recover_s = 0.0\n" } else { "" };
        let settings = format!("{}{rest}", kind.example);
        let open = || {
            let mut source = kind.from_toml(&settings).unwrap().unit;
            let spec = source.open(Counters::new(name)).unwrap();
            source.set_speed(Speed::Times(1.0));
            assert!(!source.offline(), "{name}");
            source.set_speed(Speed::Max);
            assert_eq!(source.offline(), !live, "{name}: only live sources have their own pace");
            source.start(0.0);
            (source, spec)
        };
        let pair = [open(), open()];
        assert_eq!(pair[0].1, pair[1].1, "{name}");
        let mut streams = Vec::new();
        for (mut source, spec) in pair {
            let mut blocks = Vec::new();
            let mut block = spec.frame();
            loop {
                match source.read(&mut block).unwrap() {
                    Read::Filled => blocks.push(block.clone()),
                    Read::Idle => {}
                    Read::End => break,
                }
                if blocks.len() >= 20 && streams.len() == 1 {
                    device.take();
                }
                if live && streams.is_empty() && blocks.len() >= 20 {
                    break;
                }
            }
            check(name, &spec, &blocks);
            if device.is_none() {
                assert_eq!(source.read(&mut block).unwrap(), Read::End, "{name}: ends twice");
            }
            streams.push(blocks);
        }
        if !live {
            assert!(streams[0] == streams[1], "{name}: the second differs from the first");
        }
    }
}

/// Blocks of consecutive samples, of the promised shape.
fn check(name: &str, spec: &Spec, blocks: &[Frame]) {
    assert_eq!(spec.payload, Payload::Samples, "{name}");
    assert_eq!(spec.channels.len(), spec.cols, "{name}");
    assert!(!blocks.is_empty(), "{name} delivers nothing");
    let mut next = blocks[0].span.first;
    let mut last_s = f64::NEG_INFINITY;
    for block in blocks {
        assert!((1..=spec.rows).contains(&block.rows), "{name}: {} rows", block.rows);
        assert_eq!((block.cols, block.data.len()), (spec.cols, block.rows * spec.cols), "{name}");
        let Span { first, last, first_s, .. } = block.span;
        assert_eq!((first, last), (next, next + block.rows as u64 - 1), "{name}");
        assert!(last_s < first_s && first_s <= block.span.last_s, "{name}: {:?}", block.span);
        next = last + 1;
        last_s = block.span.last_s;
    }
}

/// An LSL stream of type EEG, until it is dropped.
struct Device {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Device {
    fn start() -> Self {
        let channels: Vec<Channel> = CHANNELS.iter().map(|c| Channel::named(*c)).collect();
        let mut outlet =
            lsl::Outlet::open("cap", "EEG", "cap", &channels, 160.0, lsl::Wire::Double64, &[])
                .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let start_s = saltatory::clock::now_s();
            for i in 0_u32.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let stamp_s = start_s + f64::from(i) / 160.0;
                outlet.push_exact(&vec![f64::from(i); CHANNELS.len()], stamp_s, true).unwrap();
                std::thread::sleep(Duration::from_millis(6));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn a_full_inbox_drops_live_blocks_and_makes_offline_sources_wait() {
    for offline in [false, true] {
        let (send, to_come) = mpsc::channel();
        let spec = Spec::samples(vec![Channel::named("C3")], 100.0, 5);
        let (producer, mut lane) = blocks(4, 20);
        let mut block = spec.frame();
        let counters = Counters::new("eeg");
        let stop = Arc::new(AtomicBool::new(false));
        let intake = Intake {
            id: "eeg".into(),
            source: Box::new(Given { to_come, offline }),
            spec: spec.clone(),
            ring: producer,
            bell: Doorbell::default(),
            counters: counters.clone(),
            stop: stop.clone(),
            failed: Arc::new(AtomicBool::new(false)),
        };
        let intake = intake.start().unwrap();
        // Six blocks for four places; the seventh comes when the lane has taken one.
        (0..6).for_each(|i| send.send(i).unwrap());
        let taken_in = if offline { 25 } else { 30 };
        until("the blocks", || counters.page().taken_in == taken_in);
        until("the drops", || offline || counters.get(Cause::Drop) == 10);
        let mut seen = Vec::new();
        let mut take = |lane: &mut saltatory::ring::BlockReader| {
            assert!(lane.pop(&mut block));
            seen.push((block.span.first, block.flags.has(Flags::GAP)));
        };
        take(&mut lane);
        send.send(6).unwrap();
        drop(send);
        while !lane.is_over() {
            until("a block", || lane.waiting() > 0 || lane.is_over());
            (0..lane.waiting()).for_each(|_| take(&mut lane));
        }
        intake.join().unwrap().unwrap();
        let want: &[(u64, bool)] = match offline {
            true => &[
                (0, false),
                (5, false),
                (10, false),
                (15, false),
                (20, false),
                (25, false),
                (30, false),
            ],
            false => &[(0, false), (5, false), (10, false), (15, false), (30, true)],
        };
        assert_eq!(seen, want, "offline: {offline}");
        let page = counters.page();
        let dropped = if offline { 0 } else { 10 };
        assert_eq!((page.taken_in, page.passed_on), (35, 35 - dropped), "offline: {offline}");
        assert_eq!(counters.get(Cause::Drop), dropped, "offline: {offline}");
    }
}

/// Delivers blocks of five samples, each when its number comes.
struct Given {
    to_come: mpsc::Receiver<u64>,
    offline: bool,
}

impl Source for Given {
    fn open(&mut self, _: Arc<Counters>) -> Result<Spec> {
        unreachable!("the intake gets an open source")
    }

    fn read(&mut self, block: &mut Frame) -> Result<Read> {
        let Ok(i) = self.to_come.recv() else { return Ok(Read::End) };
        block.resize(5, 1);
        let (first, last) = (5 * i, 5 * i + 4);
        let [first_s, last_s] = [first, last].map(|n| n as f64 / 100.0);
        block.span = Span { first, last, first_s, last_s, arrived_s: last_s };
        Ok(Read::Filled)
    }

    fn offline(&self) -> bool {
        self.offline
    }
}

/// A sink of `kind`, made from its example with a file and a port of its own.
fn sink(kind: &Kind<dyn Sink>, lab: &Lab) -> Box<dyn Sink> {
    let example = kind.example.replace("decisions.jsonl", &lab.arg("decisions.jsonl"));
    let example = example.replace("\"pictures\"", &format!("{:?}", lab.arg("pictures")));
    kind.from_toml(&example.replace(":8765", ":0")).unwrap().unit
}

fn scores() -> Spec {
    Spec {
        payload: Payload::Scores,
        rows: 1,
        cols: 2,
        rate_hz: 160.0,
        classes: vec!["left".into(), "right".into()],
        ..Spec::markers()
    }
}

/// Grey pictures of two pixels, shaped as the scores.
fn pictures() -> Spec {
    let grey = vec![Channel::named("grey")];
    Spec { payload: Payload::Image, channels: grey, classes: Vec::new(), ..scores() }
}

/// What a sink takes: scores, or else pictures.
fn taken(kind: &Kind<dyn Sink>, lab: &Lab) -> Spec {
    let takes = |spec: &Spec| {
        let mut sink = sink(kind, lab);
        let opened = sink.open(std::slice::from_ref(spec), &RunFacts::default());
        sink.close().unwrap();
        opened.is_ok()
    };
    let taken = [scores(), pictures()].into_iter().find(takes);
    taken.unwrap_or_else(|| panic!("{} takes neither scores nor pictures", kind.name))
}

#[test]
fn no_sink_takes_samples_for_decisions() {
    let lab = Lab::new();
    for kind in sinks::KINDS {
        let samples = Spec::samples(vec![Channel::named("C3")], 160.0, 4);
        let opened = sink(kind, &lab).open(&[samples], &RunFacts::default());
        assert!(opened.is_err(), "{} takes samples for decisions", kind.name);
    }
}

#[test]
fn a_slow_sink_loses_live_decisions_and_makes_offline_runs_wait() {
    let lab = Lab::joined();
    for kind in sinks::KINDS {
        // The second round opens the same file, port and streams again.
        for patient in [false, true] {
            let (name, spec) = (kind.name, taken(kind, &lab));
            let gate = Arc::new(Barrier::new(2));
            let mut unit = Box::new(Slow { sink: sink(kind, &lab), gate: Some(gate.clone()) });
            unit.open(std::slice::from_ref(&spec), &RunFacts::default()).unwrap();
            let (counters, bell) = (Counters::new(name), Doorbell::default());
            let (mut tap, flow) = Tap::new(&spec, 0, 8, bell.clone(), 0, counters.clone(), patient);
            let outlet = Outlet {
                id: name.into(),
                sink: unit,
                flows: vec![flow],
                bell,
                counters: counters.clone(),
                failed: Arc::new(AtomicBool::new(false)),
            };
            let outlet = outlet.start().unwrap();
            let lane = std::thread::spawn(move || {
                let mut frame = spec.frame();
                for i in 0..20 {
                    frame.resize(1, 2);
                    frame.data.copy_from_slice(&[0.25, 0.75]);
                    frame.span.last = i;
                    tap.offer(&frame, &[]);
                }
                tap
            });
            // The first decision is still being written when there is no more room.
            until("a full ring", || counters.page().taken_in == if patient { 8 } else { 20 });
            gate.wait();
            lane.join().unwrap().end();
            outlet.join().unwrap().unwrap_or_else(|e| panic!("{name}: {e}"));
            let page = counters.page();
            let dropped = if patient { 0 } else { 12 };
            assert_eq!((page.taken_in, page.passed_on), (20, 20 - dropped), "{name}");
            assert_eq!(counters.get(Cause::Drop), dropped, "{name}");
        }
    }
    let written = lab.read("decisions.jsonl");
    assert_eq!(written.matches("\"label\":\"right\"").count(), 28, "nothing is overwritten");
}

/// An end of a stream that the sink publishes, and what was heard: times, numbers, texts.
struct Listener {
    inlet: lsl::Inlet,
    facts: lsl::StreamFacts,
    heard: Vec<(f64, Vec<f64>, String)>,
}

impl Listener {
    fn of(name: &str) -> Self {
        let query = lsl::Query { name: Some(name.into()), ..lsl::Query::default() };
        let mut search = lsl::Search::new(&query).unwrap();
        let mut found = Vec::new();
        until("the stream", || {
            found.append(&mut search.wait(0.2));
            !found.is_empty()
        });
        let (inlet, facts) = lsl::Inlet::open(&found[0]).unwrap().unwrap();
        Self { inlet, facts, heard: Vec::new() }
    }

    fn listen(&mut self) {
        while let lsl::Pulled::Sample(time_s) = self.inlet.pull(0.02) {
            let (mut numbers, mut text) = (Vec::new(), String::new());
            self.inlet.numbers(&mut numbers);
            self.inlet.text(&mut text);
            self.heard.push((time_s, numbers, text));
        }
    }
}

#[test]
fn lsl_listeners_get_series_rankings_texts_and_values() {
    let _lab = Lab::joined();
    let of = |payload, rows, cols| Spec { payload, rows, cols, ..Spec::markers() };
    let regions = ["cuneus", "putamen"].map(Channel::named).to_vec();
    let inputs = [
        Spec::samples(regions.clone(), 0.476, 1),
        of(Payload::Ranking, 2, 2),
        of(Payload::Text, 1, 3),
        Spec { channels: regions, ..of(Payload::Vector, 1, 2) },
    ];
    let settings = "probabilities = \"\"\nlabels = \"best\"\nranking = \"items\"\ntext = \"words\"\n\
                    values = \"numbers\"\nseries = \"regions\"";
    let kind = sinks::KINDS.iter().find(|k| k.name == "lsl").unwrap();
    let mut sink = kind.from_toml(settings).unwrap().unit;
    sink.open(&inputs, &RunFacts::default()).unwrap();
    let mut listeners = ["regions", "items", "best", "words", "numbers"].map(Listener::of);
    let start_s = saltatory::clock::now_s();
    let mut deliveries = inputs.each_ref().map(|spec| Delivery::with_room(spec, 0));
    let mut sent = 0;
    until("ten of each", || {
        let i = f64::from(sent);
        let data: [&[f64]; 4] = [&[i, -i], &[i, 0.75, 7.0, 0.5], &[1.0, i, -1.0], &[0.5 * i, 2.0]];
        let texts = ["", &format!("best {sent}\nsecond"), &format!("word {sent}"), ""];
        for (input, delivery) in deliveries.iter_mut().enumerate() {
            let frame = &mut delivery.frame;
            frame.resize(inputs[input].rows, inputs[input].cols);
            frame.data.copy_from_slice(data[input]);
            frame.text = texts[input].to_owned();
            frame.input = input;
            frame.span.last_s = start_s + i;
            sink.write(delivery).unwrap();
        }
        sent += 1;
        listeners.iter_mut().for_each(Listener::listen);
        listeners.iter().all(|l| l.heard.len() >= 10)
    });
    sink.close().unwrap();
    let [series, items, best, words, values] = &listeners;
    assert_eq!((series.facts.rate_hz, items.facts.rate_hz), (0.476, 0.0));
    assert_eq!(
        (items.facts.format, values.facts.format),
        (lsl::Format::Int32, lsl::Format::Float32)
    );
    let labels =
        |l: &Listener| l.facts.channels.iter().map(|c| c.label.clone()).collect::<Vec<_>>();
    assert_eq!(
        (labels(series), labels(items)),
        (labels(values), vec!["item_1".into(), "item_2".into()])
    );
    for listener in &listeners {
        let numbers = listener.heard.iter().map(|(time_s, ..)| (time_s - start_s).round());
        let numbers: Vec<f64> = numbers.collect();
        assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1.0), "in order: {numbers:?}");
    }
    for (at, (time_s, numbers, text)) in listeners.iter().flat_map(|l| {
        let name = l.facts.name.as_str();
        l.heard.iter().map(move |heard| (name, heard))
    }) {
        let i = (time_s - start_s).round();
        match at {
            "regions" => assert_eq!(*numbers, [i, -i]),
            "items" => assert_eq!(*numbers, [i, 7.0]),
            "numbers" => assert_eq!(*numbers, [0.5 * i, 2.0]),
            "best" => assert_eq!(*text, format!("best {i}")),
            _ => assert_eq!(*text, format!("word {i}")),
        }
    }
    assert!(!best.heard.is_empty() && !words.heard.is_empty());
}

#[test]
fn an_lsl_stream_has_one_input_and_an_input_a_name() {
    let _lab = Lab::joined();
    let kind = sinks::KINDS.iter().find(|k| k.name == "lsl").unwrap();
    let opened = |settings: &str, inputs: &[Spec]| {
        let mut sink = kind.from_toml(settings).unwrap().unit;
        sink.open(inputs, &RunFacts::default()).map_err(|e| e.key().map(str::to_owned))
    };
    let vectors = Spec { payload: Payload::Vector, rows: 1, cols: 2, ..Spec::markers() };
    let ranking = Spec { payload: Payload::Ranking, ..vectors.clone() };
    let key = |key: &str| Err(Some(key.to_owned()));
    assert_eq!(opened("", std::slice::from_ref(&vectors)), key("values"));
    assert_eq!(opened("values = \"a\"", &[vectors.clone(), vectors.clone()]), key("values"));
    assert_eq!(opened("series = \"a\"", &[scores()]), key("series"));
    assert_eq!(opened("labels = \"\"", std::slice::from_ref(&ranking)), key("ranking"));
    assert_eq!(opened("labels = \"only-labels\"", &[ranking]), Ok(()));
    assert_eq!(opened("values = \"beside-scores\"", &[scores(), vectors]), Ok(()));
}

/// A sink that writes its first decision only when the gate opens.
struct Slow {
    sink: Box<dyn Sink>,
    gate: Option<Arc<Barrier>>,
}

impl Sink for Slow {
    fn open(&mut self, inputs: &[Spec], run: &RunFacts) -> Result<()> {
        self.sink.open(inputs, run)
    }

    fn write(&mut self, delivery: &Delivery) -> Result<()> {
        if let Some(gate) = self.gate.take() {
            gate.wait();
        }
        self.sink.write(delivery)
    }

    fn idle(&mut self) -> Result<()> {
        self.sink.idle()
    }

    fn close(&mut self) -> Result<()> {
        self.sink.close()
    }
}
