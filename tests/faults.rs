//! What goes wrong, seen from outside: senders that die, streams that change or are not there,
//! wrong configs and models, broken recordings, bad numbers, taken ports. Each gives one clear
//! message and an exit code, or an entry in the ledger; never a panic, never a hang.
#![allow(clippy::unwrap_used)]

#[path = "support/lab.rs"]
mod lab;
#[path = "support/sender.rs"]
mod sender;

use lab::{CHANNELS, Lab, Report, WINDOW, edf, until};
use saltatory::frame::Channel;
use saltatory::wire::lsl::{Outlet, Wire};
use sender::Sender;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::time::Duration;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{HandshakeError, Message, WebSocket};

/// A source of samples from LSL, with the id of the small decoder's input.
fn lsl(name: &str) -> String {
    format!("[[source]]\nkind = \"lsl\"\nid = \"eeg\"\nname = \"{name}\"\nwait_s = 60.0\n")
}

/// A simulated source, `speed` times as fast as life.
fn synthetic(speed: &str) -> String {
    format!("[[source]]\nkind = \"synthetic\"\nid = \"eeg\"\nspeed = {speed}\n")
}

#[test]
fn a_sender_that_returns_leaves_a_gap_and_no_decision_spans_it_unless_allowed() {
    let lab = Lab::new();
    let play = || lab.saltatory(&["play", "synthetic:1", "--name", "dying"]);
    let names = ["reset", "bridge"];
    for name in names {
        lab.decoder(name, &format!("on_gap = \"{name}\"\n{}", lsl("dying")), "");
    }
    let runs = names.map(|name| lab.run(name, &[]));
    let decided = |more: usize| {
        let before = names.map(|name| lab.decisions(name));
        until("decisions", || {
            names.iter().zip(before).all(|(name, n)| lab.decisions(name) >= n + more)
        });
    };
    let first = play();
    decided(5);
    first.kill();
    let second = play();
    decided(25);
    runs.iter().for_each(|run| run.interrupt());
    runs.into_iter().for_each(|run| drop(run.succeeds()));
    second.kill();

    for name in names {
        let report = lab.report(name);
        assert_eq!(report.count("eeg", "restart"), 1, "{name}");
        let (missing, events) = missing(&report);
        assert_eq!(events, 1, "{name}: {:?}", report.ledger["eeg"]);
        let n = missing.end - missing.start;
        assert_eq!(report.count("eeg", "gap"), n, "{name}");

        // The length agrees with the clock on both sides, and with the count of all samples.
        let before = report.verdicts.iter().rfind(|v| v.last < missing.start).unwrap();
        let after = report.verdicts.iter().find(|v| v.last >= missing.end).unwrap();
        let by_clock = (after.time_s - before.time_s) * 160.0;
        let by_index = (after.last - before.last) as f64;
        assert!((by_clock - by_index).abs() < 4.0, "{name}: {by_clock} {by_index}");
        let last = report.verdicts.last().unwrap().last;
        let end = report.count("eeg", "in") + n;
        assert!((last..last + 160).contains(&(end - 1)), "{name}: {last} {end}");

        let spanning = report.verdicts.iter().filter(|v| v.spans(missing.end));
        for verdict in &report.verdicts {
            for index in [verdict.first, verdict.last] {
                assert!(!missing.contains(&index), "{name}: {verdict:?} in {missing:?}");
            }
            let held =
                verdict.last - verdict.first + 1 - if verdict.spans(missing.end) { n } else { 0 };
            assert_eq!(held, WINDOW, "{name}: {verdict:?}");
        }
        assert_eq!(spanning.count() > 0, name == "bridge", "{name}");
    }
}

/// The samples that are missing by the last gap in the ledger, and how many gaps there are.
fn missing(report: &Report) -> (Range<u64>, usize) {
    let events = report.ledger["eeg"]["events"].as_array().unwrap();
    let gaps: Vec<&Value> = events.iter().filter(|e| e["cause"] == "gap").collect();
    let last = gaps.last().expect("a gap");
    let end = last["index"].as_u64().unwrap();
    (end - last["n"].as_u64().unwrap()..end, gaps.len())
}

#[test]
fn a_stream_that_comes_back_different_is_refused() {
    let lab = Lab::new();
    lab.write("was.edf", edf(&CHANNELS, 160, 60));
    lab.write("faster.edf", edf(&CHANNELS, 200, 60));
    lab.write("fewer.edf", edf(&CHANNELS[..6], 160, 60));
    let says =
        [("faster", "its rate was 160 Hz and is 200 Hz"), ("fewer", "it had 8 channels and has 6")];
    let runs = says.map(|(other, says)| {
        let play = |file: &str| lab.saltatory(&["play", &lab.arg(file), "--name", other]);
        let stages = "[[stage]]\nkind = \"average\"\n";
        lab.write(&format!("{other}.toml"), format!("{}{stages}", lsl(other)));
        let first = play("was.edf");
        let mut run = lab.run(other, &["-v"]);
        run.until_it_says("connected to");
        first.kill();
        (run, play(&format!("{other}.edf")), says)
    });
    for (run, _play, says) in runs {
        run.fails(2, &["came back different", says]);
    }
}

#[test]
fn a_connection_that_breaks_is_made_anew_with_the_same_sender() {
    let lab = Lab::joined();
    lab.decoder("broken", &format!("on_gap = \"bridge\"\n{}", lsl("twisted")), "");
    let name = "twisted";
    let sender = Sender { name, session: lab.session(), labels: &CHANNELS, rate_hz: 160.0 };
    let start_s = saltatory::clock::now_s();
    sender.start(move |sender, connection, mut stream| match connection {
        0 => {
            sender.stream(&mut stream, start_s, 2.0);
            stream.write_all(&[77; 100]).unwrap();
            // Until the other end has read it and left.
            let _ = stream.read(&mut [0]);
        }
        1 => {
            sender.stream(&mut stream, start_s, 2.0);
            // What is closed at once is reset.
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        _ => sender.stream(&mut stream, start_s, f64::INFINITY),
    });
    let mut run = lab.run("broken", &["-v"]);
    run.until_it_says("makes no sense any more");
    until("the second and third connection", || {
        let log = lab.decisions("broken");
        log >= 45
    });
    run.interrupt();
    run.succeeds();

    let report = lab.report("broken");
    assert_eq!(report.count("eeg", "restart"), 2, "{:?}", report.ledger["eeg"]);
    let (last, events) = missing(&report);
    assert!((1..=2).contains(&events), "{:?}", report.ledger["eeg"]);
    let after = report.verdicts.iter().find(|v| v.last >= last.end).unwrap();
    // Samples keep the numbers that they had without the breaks: those of their times.
    let first = report.verdicts.first().unwrap();
    let by_clock = (after.time_s - first.time_s) * 160.0;
    let by_index = (after.last - first.last) as f64;
    assert!((by_clock - by_index).abs() < 2.0, "{by_clock} {by_index}");
}

#[test]
fn a_missing_stream_is_told_with_what_is_there() {
    let lab = Lab::new();
    let mut play = lab.saltatory(&["play", "synthetic:1", "--name", "cap-eeg", "--wait"]);
    play.until_it_says("waiting for a listener");
    lab.write("missing.toml", lsl("cap-egg").replace("60.0", "0.5"));
    let says =
        ["no LSL stream with name='cap-egg'", "`cap-eeg` (type EEG)", "did you mean `cap-eeg`?"];
    lab.run("missing", &[]).fails(2, &says);
    play.interrupt();
    play.succeeds();
    let nothing = Lab::new();
    nothing.write("missing.toml", lsl("cap-egg").replace("60.0", "0.5"));
    nothing.run("missing", &[]).fails(2, &["no LSL stream at all was found"]);
}

#[test]
fn wrong_configs_and_models_are_told_by_place() {
    let lab = Lab::new();
    lab.decoder("good", &synthetic("\"max\""), "");
    let good = lab.read("good.toml");
    let wrong = good.replace("low_hz", "lo_hz");
    let line = wrong.lines().position(|l| l.starts_with("lo_hz")).unwrap() + 1;
    lab.write("wrong.toml", wrong);
    let place = format!("wrong.toml:{line}:1: unknown key `lo_hz`; did you mean `low_hz`?");
    lab.run("wrong", &[]).fails(2, &[&place]);

    let behind = ["trained behind other settings", "stage `bandpass`: `low_hz` was 8.0 and is 6.0"];
    lab.run("good", &["--set", "bandpass.low_hz=6.0"]).fails(2, &behind);
    let channels =
        "pick.channels=[\"FC3\", \"FCz\", \"FC4\", \"C4\", \"Cz\", \"C3\", \"CP3\", \"CP4\"]";
    lab.run("good", &["--set", channels]).fails(2, &["channel 4 was `C3` and is `C4`"]);
    let lacking = "pick.channels=[\"C3\", \"Cx\"]";
    lab.run("good", &["--set", lacking]).fails(2, &["Cx"]);
    lab.run("good", &["--set", "eeg.rate_hz=200"]).fails(2, &["had 160 Hz and has 200 Hz"]);
    let model = std::fs::read(lab.path("model.safetensors")).unwrap();
    lab.write("model.safetensors", &model[..model.len() / 2]);
    lab.run("good", &[]).fails(2, &["model.safetensors", "not a model of ours"]);
}

#[test]
fn broken_recordings_are_read_as_far_as_they_go_or_refused() {
    let lab = Lab::new();
    let whole = edf(&CHANNELS, 160, 90);
    lab.write("whole.edf", &whole);
    // 75 records and a half; half a header; no byte at all.
    let header = 256 * (CHANNELS.len() + 2);
    let record = (whole.len() - header) / 90;
    lab.write("cut.edf", &whole[..header + 75 * record + record / 2]);
    lab.write("header.edf", &whole[..header / 2]);
    lab.write("empty.edf", b"");
    for name in ["whole", "cut", "header", "empty"] {
        let path = lab.arg(&format!("{name}.edf"));
        let source = format!("[[source]]\nkind = \"replay\"\nid = \"eeg\"\npath = {path:?}\n");
        lab.decoder(name, &source, "");
        let run = lab.run(name, &["--speed", "max"]);
        let config = lab.arg(&format!("{name}.toml"));
        let evaluate = lab.saltatory(&["evaluate", &config, &path, "--json"]);
        let samples = match name {
            "whole" => 90 * 160,
            "cut" => 75 * 160,
            _ => {
                let file = format!("{name}.edf");
                run.fails(2, &[&file]);
                evaluate.fails(2, &[&file]);
                continue;
            }
        };
        let (run, evaluate) = (run.succeeds(), evaluate.succeeds());
        assert_eq!(lab.report(name).count("eeg", "in"), samples, "{name}");
        for text in [run.err, evaluate.err] {
            assert_eq!(text.contains("cut.edf"), name == "cut", "{name}: {text}");
        }
        let result: Value = serde_json::from_str(&evaluate.out).unwrap();
        assert!(result["results"].as_array().is_some_and(|r| !r.is_empty()), "{result}");
    }
}

#[test]
fn bad_numbers_and_flat_channels_are_counted_and_decisions_stay_finite() {
    const NAN: Range<u64> = 400..420;
    const FLAT: Range<u64> = 700..1100;
    const ZERO: Range<u64> = 1300..1900;
    let lab = Lab::joined();
    lab.decoder("bad", &format!("{}recover_s = 0.0\n", lsl("bad-numbers")), "");
    let channels: Vec<Channel> = CHANNELS.iter().map(|c| Channel::named(*c)).collect();
    let mut outlet =
        Outlet::open("bad-numbers", "EEG", "bad-numbers", &channels, 160.0, Wire::Double64, &[])
            .unwrap();
    let run = lab.run("bad", &[]);
    until("a listener", || outlet.has_listener());
    let start_s = saltatory::clock::now_s();
    for i in 0..2400_u64 {
        let row = (0..CHANNELS.len() as u64).map(|c| match (i, c) {
            (i, 2) if NAN.contains(&i) => [f64::NAN, f64::INFINITY][i as usize % 2],
            (i, 5) if FLAT.contains(&i) => 12.5,
            (i, _) if ZERO.contains(&i) => 0.0,
            _ => ((i * (c + 3) * 7919 + c * c * 104_729) % 1009) as f64 / 50.0 - 10.0,
        });
        outlet.push_exact(&row.collect(), start_s + i as f64 / 160.0, i % 16 == 15).unwrap();
    }
    let last = (2400 - WINDOW) / lab::STEP + 1;
    let zero = (ZERO.end - ZERO.start) / lab::STEP;
    until("the decisions", || {
        lab.decisions("bad") as u64 >= last - zero && {
            // Windows of nothing but zeros may be passed over, so the last decision is the sign.
            lab.read("bad.jsonl").contains(&format!("\"last_sample\":{}", 2399))
        }
    });
    drop(outlet);
    run.succeeds();

    let report = lab.report("bad");
    assert_eq!(report.count("eeg", "in"), 2400);
    assert_eq!(report.count("eeg", "not_finite"), NAN.end - NAN.start);
    assert_eq!(report.count("eeg", "flat"), 1 + CHANNELS.len() as u64);
    for verdict in &report.verdicts {
        let numbers = verdict.numbers();
        assert!((numbers.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{verdict:?}");
        // Whole blocks of up to 20 ms are marked.
        let overlaps = |r: Range<u64>| verdict.first < r.end && r.start <= verdict.last;
        assert!(verdict.bad || !overlaps(NAN), "{verdict:?}");
        assert!(!verdict.bad || overlaps(NAN.start - 3..NAN.end + 3), "{verdict:?}");
    }
    let dead = |i: u64| report.verdicts.iter().any(|v| v.last == WINDOW - 1 + i * lab::STEP);
    let lost = (0..last).filter(|i| !dead(*i)).count() as u64;
    let faults = ["covariance", "mdm"].map(|place| report.count(place, "fault"));
    assert_eq!(faults.iter().sum::<u64>(), lost, "every window that was not decided is counted");
}

#[test]
fn an_interrupted_run_ends_in_good_order() {
    let lab = Lab::new();
    lab.decoder("interrupted", &synthetic("4.0"), "");
    let run = lab.run("interrupted", &[]);
    until("decisions", || lab.decisions("interrupted") >= 3);
    run.interrupt();
    let ended = run.succeeds();
    assert!(ended.err.contains("ending in good order"), "{}", ended.err);
    let report = lab.report("interrupted");
    assert!(report.verdicts.len() >= 3);
    // Everything that came in was decided and written.
    assert_eq!(report.count("pick", "in"), report.count("eeg", "in"));
    assert_eq!(lab.decisions("interrupted"), report.verdicts.len());
    let log = lab.read("interrupted.jsonl");
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert!(last["ledger"].is_array(), "{last}");
}

#[test]
fn a_taken_port_is_told() {
    let lab = Lab::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    lab.decoder("taken", &synthetic("1.0"), &websocket(&address));
    let listens = format!("cannot listen on {address}");
    lab.run("taken", &[]).fails(1, &["taken.toml:", &listens, "websocket"]);
}

fn websocket(address: &str) -> String {
    format!("[[sink]]\nkind = \"websocket\"\nlisten = \"{address}\"\n")
}

#[test]
fn every_listener_of_the_websocket_gets_every_decision() {
    let lab = Lab::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    lab.decoder("served", &synthetic("2.0"), &websocket(&address));
    let run = lab.run("served", &[]);
    until("the server", || TcpStream::connect(&address).is_ok());
    let foreign = connect(&address, Some("http://elsewhere.example"));
    assert_eq!(foreign.err(), Some(403));
    let local = connect(&address, Some("http://localhost:3000"));
    let mut listeners = [connect(&address, None).unwrap(), local.unwrap()];
    let mut heard = listeners.each_mut().map(|listener| {
        let hello = next(listener).unwrap();
        assert_eq!(hello["classes"], serde_json::json!(["left", "right"]));
        assert!(hello["stages"].as_array().unwrap().contains(&"mdm".into()), "{hello}");
        (0..10).map(|_| next(listener).unwrap()).collect::<Vec<_>>()
    });
    run.interrupt();
    for (listener, heard) in listeners.iter_mut().zip(&mut heard) {
        heard.extend(std::iter::from_fn(|| next(listener)));
    }
    run.succeeds();
    let report: Value = serde_json::from_str(&lab.read("served.json")).unwrap();
    let decisions = report["decisions"].as_array().unwrap();
    for heard in heard {
        let since = &decisions[decisions.len().saturating_sub(heard.len())..];
        let key = |d: &Value| (d["last_sample"].clone(), d["label"].clone(), d["scores"].clone());
        let keys = |all: &[Value]| all.iter().map(key).collect::<Vec<_>>();
        assert_eq!(keys(&heard), keys(since));
        let stages = heard[0]["stages_us"].as_object().unwrap();
        assert!(stages.contains_key("mdm") && heard[0]["age_newest_ms"].is_number());
    }
}

/// Connects as a page from `origin`, or as a program; the error is the HTTP status.
fn connect(address: &str, origin: Option<&str>) -> Result<WebSocket<TcpStream>, u16> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut request = format!("ws://{address}/").into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("Origin", origin.parse().unwrap());
    }
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            Err(response.status().as_u16())
        }
        Err(e) => panic!("{e}"),
    }
}

/// The next message; `None` at the end of the connection.
fn next(socket: &mut WebSocket<TcpStream>) -> Option<Value> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Ok(Message::Close(_)) => return None,
            Ok(_) => {}
            Err(tungstenite::Error::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("nothing came")
            }
            Err(_) => return None,
        }
    }
}
