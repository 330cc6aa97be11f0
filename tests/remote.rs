//! Networks on another host: two processes that talk over loopback.
//!
//! ONNX Runtime is needed (`scripts/setup onnx`), and `openssl` for what is encrypted; without them nothing is tried,
//! unless SALTATORY_REQUIRE_PYTHON is set.
#![cfg(all(unix, feature = "remote"))]
#![allow(clippy::unwrap_used)]

#[path = "support/lab.rs"]
mod lab;
mod support;

use lab::{Lab, Process, until};
use saltatory::error::Result;
use saltatory::frame::{Channel, Flags, Frame, Payload, Spec};
use saltatory::ledger::{Cause, Counters};
use saltatory::runtime::{Network, Options};
use saltatory::stages::{Fault, Stage, decode};
use saltatory::wire::zenoh::access::{Access, Endpoint};
use saltatory::wire::zenoh::message::{Head, Kind, Message, Width};
use saltatory::wire::zenoh::{Back, Link};
use serde_json::Value;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::seen::Seen;

const LABELS: [&str; 8] = ["Fz", "FC1", "FC2", "C3", "Cz", "C4", "Pz", "Oz"];
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Long enough for any machine that tests run on.
const PATIENT: &str = "budget_ms = 30000.0";

/// A lab whose processes find ONNX Runtime, if it is there.
fn lab() -> Option<Lab> {
    if !support::has_onnx_runtime() {
        return None;
    }
    let lab = Lab::new();
    let library = saltatory::runtime::found().unwrap();
    let library = std::fs::canonicalize(support::root().join(library)).unwrap();
    std::os::unix::fs::symlink(library.parent().unwrap(), lab.path(".runtime")).unwrap();
    Some(lab)
}

/// A place on this machine where nobody listens.
fn free_place(protocol: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("{protocol}/127.0.0.1:{}", listener.local_addr().unwrap().port())
}

/// The EEGNet that comes along.
fn eegnet() -> String {
    support::root().join("models/eegnet.onnx").to_str().unwrap().to_owned()
}

/// Writes a network that doubles its input, with its manifest.
fn double(lab: &Lab) -> String {
    lab.write("double.onnx", support::onnx::line(&[2.0, 2.0], &[0.0, 0.0]));
    lab.write("double.toml", VECTOR);
    lab.arg("double.onnx")
}

const VECTOR: &str =
    "[input]\naxes = [\"channels\", \"samples\"]\n[output]\nkind = \"embedding\"\n";

/// Starts a host and waits until it listens.
fn host(lab: &Lab, model: &str, place: &str, more: &[&str]) -> Process {
    let mut host = lab.saltatory(&[&["host", model, "--listen", place], more].concat());
    host.until_it_says("listens at");
    host
}

fn stage(model: &str, more: &str) -> Box<dyn Stage> {
    let kind = decode::KINDS.iter().find(|k| k.name == "onnx").unwrap();
    kind.from_toml(&format!("model = {model:?}\n{more}")).unwrap().unit
}

/// The settings of a stage that asks the host at `place`.
fn at(place: &str, budget: &str) -> String {
    format!("{budget}\nhost = {{ connect = {place:?} }}")
}

/// What comes to EEGNet, and to the network that doubles.
fn windows(rows: usize, labels: &[&str]) -> Spec {
    let channels = labels.iter().map(|label| Channel::named(*label)).collect();
    Spec { payload: Payload::Window, ..Spec::samples(channels, 160.0, rows) }
}

/// Window `i`: numbers that look like chance.
fn window(spec: &Spec, i: u64) -> Frame {
    let mut frame = spec.frame();
    frame.resize(spec.rows, spec.cols);
    for (at, value) in (0_u64..).zip(&mut frame.data) {
        let mixed = (i * 7919 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        *value = (mixed >> 11) as f64 / (1_u64 << 53) as f64 * 80.0 - 40.0;
    }
    frame.span.last = i;
    frame
}

/// What `stage` says of `n` windows, each of which it must answer.
fn answers(stage: &mut dyn Stage, spec: &Spec, n: u64) -> Vec<Vec<u64>> {
    let mut seen = Seen::default();
    (0..n).for_each(|i| stage.process(&mut window(spec, i), &mut seen).unwrap());
    assert_eq!((seen.frames.len() as u64, seen.over_budget), (n, 0));
    assert!(seen.frames.iter().all(|f| !f.flags.has(Flags::DEGRADED)));
    seen.frames.iter().map(|f| f.data.iter().map(|v| v.to_bits()).collect()).collect()
}

/// What a host told of its first model at its end.
fn told(host: Process) -> Value {
    host.interrupt();
    let text = host.succeeds().out;
    let json: Value = serde_json::from_str(&text).unwrap();
    json[0].clone()
}

#[test]
fn decisions_are_those_made_here_bit_by_bit() {
    const N: u64 = 300;
    let Some(lab) = lab() else { return };
    let (model, place, spec) = (eegnet(), free_place("tcp"), windows(320, &LABELS));
    let host = host(&lab, &model, &place, &[]);
    let [here, there] = ["", &at(&place, PATIENT)].map(|more| {
        let mut stage = stage(&model, more);
        stage.prepare(std::slice::from_ref(&spec)).unwrap();
        answers(&mut *stage, &spec, N)
    });
    assert!(here == there, "other decisions than here");
    assert_ne!(here[0], here[1]);
    host.interrupt();
    let ended = host.succeeds().out;
    let line = ended.lines().last().unwrap();
    let counts: Vec<&str> = line.split_whitespace().skip(1).collect();
    assert_eq!(counts, ["300", "0", "0"], "{ended}");
}

#[test]
fn two_clients_are_served_side_by_side() {
    let Some(lab) = lab() else { return };
    let (model, place) = (double(&lab), free_place("tcp"));
    let mut host = lab.saltatory(&["host", &model, &eegnet(), "--listen", &place]);
    host.until_it_says("listens at");
    let ask = |rows: usize, channels: usize| {
        // One channel or two: a row of the network's input each, so each shape has a seat of its own.
        let spec = windows(rows, &LABELS[..channels]);
        let mut stage = stage(&model, &at(&place, PATIENT));
        stage.prepare(std::slice::from_ref(&spec)).unwrap();
        for (i, bits) in answers(&mut *stage, &spec, 100).iter().enumerate() {
            let window = window(&spec, i as u64);
            for (t, channel) in (0..rows).flat_map(|t| (0..channels).map(move |c| (t, c))) {
                let want = f64::from(window.data[t * channels + channel] as f32 * 2.0);
                assert_eq!(bits[channel * rows + t], want.to_bits());
            }
        }
    };
    std::thread::scope(|scope| {
        for channels in [1, 1, 2] {
            scope.spawn(move || ask(2, channels));
        }
    });
}

#[test]
fn a_host_that_dies_is_noted_and_is_back_when_it_is() {
    let Some(lab) = lab() else { return };
    let (model, place, spec) = (double(&lab), free_place("tcp"), windows(2, &["Cz"]));
    let first = host(&lab, &model, &place, &[]);
    let more = format!("{}\nfallback = \"previous\"", at(&place, "budget_ms = 300.0"));
    let (mut stage, page) = (stage(&model, &more), Counters::new("onnx"));
    stage.prepare(std::slice::from_ref(&spec)).unwrap();
    stage.account(&page);
    let (mut seen, mut index) = (Seen::default(), 0);
    // Whether the host answered for one more window, and not the fallback.
    let mut ask = |seen: &mut Seen| {
        index += 1;
        stage.process(&mut window(&spec, index), seen).unwrap();
        !seen.frames.last().unwrap().flags.has(Flags::DEGRADED)
    };
    until("an answer", || ask(&mut seen));
    let late_before = seen.over_budget;
    first.kill();
    // Every window is answered by the fallback and counted, before the loss is noticed and after.
    let windows_before = seen.frames.len() as u64;
    until("the loss", || {
        assert!(!ask(&mut seen));
        page.get(Cause::HostLost) == 1
    });
    assert!((0..5).all(|_| !ask(&mut seen)));
    let asked = seen.frames.len() as u64 - windows_before;
    assert_eq!(seen.over_budget - late_before, asked);
    let _again = host(&lab, &model, &place, &[]);
    until("its return", || ask(&mut seen));
    assert_eq!(page.get(Cause::HostLost), 1);
    let events = page.page().events;
    let said =
        |i: usize, text: &str| events[i].text.contains(text) && events[i].text.contains(&place);
    assert!(said(0, "is lost") && said(1, "is back after"), "{events:?}");
    assert!(events[0].index > 0);
}

#[test]
fn a_host_that_is_not_there_yet_is_waited_for() {
    let Some(lab) = lab() else { return };
    let (model, place, spec) = (double(&lab), free_place("tcp"), windows(2, &["Cz"]));
    let (mut stage, page) =
        (stage(&model, &at(&place, "budget_ms = 300.0")), Counters::new("onnx"));
    stage.prepare(std::slice::from_ref(&spec)).unwrap();
    stage.account(&page);
    let mut seen = Seen::default();
    stage.process(&mut window(&spec, 1), &mut seen).unwrap();
    assert_eq!((seen.frames.len(), seen.over_budget), (0, 1));
    until("the note", || page.get(Cause::HostLost) == 1);
    let _host = host(&lab, &model, &place, &[]);
    until("an answer", || {
        stage.process(&mut window(&spec, 2), &mut seen).unwrap();
        !seen.frames.is_empty()
    });
}

#[test]
fn a_run_goes_on_without_its_host() {
    let Some(lab) = lab() else { return };
    let (model, place) = (eegnet(), free_place("tcp"));
    let log = lab.arg("run.jsonl");
    let config = format!(
        "[[source]]\nkind = \"synthetic\"\nid = \"eeg\"\nchannels = {LABELS:?}\nrate_hz = 160.0\n\
         [[stage]]\nkind = \"window\"\nlength_s = 2.0\nstep_s = 0.1\n\
         [[stage]]\nkind = \"onnx\"\nmodel = {model:?}\nfallback = \"previous\"\n{}\n\
         [[sink]]\nkind = \"jsonl\"\npath = {log:?}\n",
        at(&place, "budget_ms = 80.0")
    );
    lab.write("run.toml", config);
    let first = host(&lab, &model, &place, &[]);
    let mut run = lab.run("run", &[]);
    until("decisions", || lab.decisions("run") > 5);
    first.kill();
    run.until_it_says("is lost");
    let before = lab.decisions("run");
    until("fallbacks", || lab.decisions("run") > before + 5);
    let _again = host(&lab, &model, &place, &[]);
    until("its return", || {
        let log = lab.read("run.jsonl");
        log.lines().rev().take(3).all(|line| !line.contains("\"degraded\":true"))
    });
    run.interrupt();
    run.succeeds();
    let report = lab.report("run");
    assert_eq!(report.count("onnx", "host_lost"), 1);
    assert!(report.count("onnx", "budget") > 5);
    assert_eq!(report.count("onnx", "fault"), 0);
    assert_eq!(report.count("onnx", "in"), report.count("onnx", "out"));
}

#[test]
fn another_file_is_another_model() {
    let Some(lab) = lab() else { return };
    let (model, place) = (double(&lab), free_place("tcp"));
    let _host = host(&lab, &eegnet(), &place, &[]);
    let text = refusal(&model, &at(&place, PATIENT));
    assert!(text.contains("SHA-256") && text.contains(&place), "{text}");
}

/// Why a stage for the network that doubles does not start.
fn refusal(model: &str, more: &str) -> String {
    let spec = windows(2, &["Cz"]);
    stage(model, more).prepare(std::slice::from_ref(&spec)).unwrap_err().to_string()
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let kind = decode::KINDS.iter().find(|k| k.name == "onnx").unwrap();
    let refusal = |more: &str| {
        let text = format!("model = \"net.onnx\"\n{more}");
        kind.from_toml(&text).err().unwrap().to_string()
    };
    assert!(refusal("host = { connect = \"tcp/127.0.0.1:1\" }").contains("`budget_ms`"));
    assert!(refusal(&at("tcp/gpu-box:7447", PATIENT)).contains("takes TLS"));
    assert!(refusal(&at("tls/gpu-box:7447", PATIENT)).contains("a token"));
    assert!(refusal(&at("gpu-box", PATIENT)).contains("tls/HOST:PORT"));
    let text = format!("{}\nprovider = \"cuda\"", at("tcp/127.0.0.1:1", PATIENT));
    assert!(refusal(&text).contains("host"));
}

#[test]
fn nobody_listens_to_the_world_without_token_and_tls() {
    let Some(lab) = lab() else { return };
    let (model, token) = (double(&lab), token(&lab, "token", SECRET));
    for more in [
        &["--listen", "tcp/0.0.0.0:7447"][..],
        &["--listen", "tcp/0.0.0.0:7447", "--token-file", &token],
        &["--listen", "tls/0.0.0.0:7447", "--cert", "x", "--key", "y"],
    ] {
        let host = lab.saltatory(&[&["host", &model], more].concat());
        host.fails(2, &["not on this machine", "TLS", "token"]);
    }
    let host = lab.saltatory(&["host", "nowhere.onnx", "--listen", &free_place("tcp")]);
    host.fails(2, &["nowhere.onnx", "cannot be read"]);
    let place = free_place("tcp");
    let listener = TcpListener::bind(place.strip_prefix("tcp/").unwrap()).unwrap();
    lab.saltatory(&["host", &model, "--listen", &place]).fails(1, &[&place]);
    drop(listener);
}

/// A file with a token; its path.
fn token(lab: &Lab, name: &str, secret: &str) -> String {
    let path = lab.write(name, format!("lab:{secret}\n"));
    Command::new("chmod").arg("600").arg(&path).status().unwrap();
    lab.arg(name)
}

/// Makes the certificate `NAME.pem` with the key `NAME.key` for a machine called `called`; `None` without openssl.
fn certificate(lab: &Lab, name: &str, called: &str) -> Option<[String; 2]> {
    let [pem, key] = ["pem", "key"].map(|end| lab.arg(&format!("{name}.{end}")));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "30", "-subj", "/CN=saltatory", "-keyout", &key, "-out", &pem])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-addext", &format!("subjectAltName={called}")])
        .output();
    let required = std::env::var_os("SALTATORY_REQUIRE_PYTHON").is_some();
    let made = made.is_ok_and(|made| made.status.success());
    assert!(made || !required, "openssl is needed");
    made.then_some([pem, key])
}

#[test]
fn with_a_token_and_tls_decisions_are_the_same() {
    let Some(lab) = lab() else { return };
    let Some([pem, key]) = certificate(&lab, "host", "IP:127.0.0.1") else { return };
    let (model, place, spec) = (eegnet(), free_place("tls"), windows(320, &LABELS));
    let token = token(&lab, "token", SECRET);
    let more = ["--token-file", &token, "--cert", &pem, "--key", &key, "--json"];
    let host = lab.saltatory(&[&["host", &model, "--listen", &place], &more[..]].concat());
    let there = format!(
        "{PATIENT}\nhost = {{ connect = {place:?}, token_file = {token:?}, ca = {pem:?} }}"
    );
    wait_for(&place);
    let [here, there] = ["", &there].map(|more| {
        let mut stage = stage(&model, more);
        stage.prepare(std::slice::from_ref(&spec)).unwrap();
        answers(&mut *stage, &spec, 50)
    });
    assert!(here == there, "other decisions than here");
    assert_eq!(told(host)["answered"], 50);
}

/// Waits until somebody listens at `place`.
fn wait_for(place: &str) {
    let address = place.split_once('/').unwrap().1;
    until("the host", || std::net::TcpStream::connect(address).is_ok());
}

#[test]
fn a_wrong_token_or_certificate_is_refused() {
    let Some(lab) = lab() else { return };
    let Some([pem, key]) = certificate(&lab, "host", "IP:127.0.0.1") else { return };
    let Some([other, other_key]) = certificate(&lab, "other", "DNS:gpu-box") else { return };
    let (model, place) = (double(&lab), free_place("tls"));
    let right = token(&lab, "right", SECRET);
    let wrong = token(&lab, "wrong", &SECRET.replace('0', "1"));
    let more = ["--token-file", &right, "--cert", &pem, "--key", &key];
    let _host = host(&lab, &model, &place, &more);
    let with = |place: &str, more: &str| {
        refusal(&model, &format!("{PATIENT}\nhost = {{ connect = {place:?}{more} }}"))
    };
    let text = with(&place, &format!(", token_file = {wrong:?}, ca = {pem:?}"));
    assert!(text.contains("token") && text.contains(&place), "{text}");
    let text = with(&place, &format!(", ca = {pem:?}"));
    assert!(text.contains("token"), "{text}");
    let text = with(&place, &format!(", token_file = {right:?}, ca = {other:?}"));
    assert!(text.contains("certificate"), "{text}");
    // Made out to another machine.
    let elsewhere = free_place("tls");
    let more = ["--token-file", &right, "--cert", &other, "--key", &other_key];
    let _elsewhere = host(&lab, &model, &elsewhere, &more);
    let text = with(&elsewhere, &format!(", token_file = {right:?}, ca = {other:?}"));
    assert!(text.contains("certificate"), "{text}");
    // Without TLS nothing is understood.
    let plain = place.replace("tls/", "tcp/");
    assert!(with(&plain, &format!(", token_file = {right:?}")).contains(&plain));
}

/// A host that says what the test wants: for each window what `answer` makes of it.
fn fake(
    place: &str,
    ready: &'static [usize],
    answer: impl Fn(Head, usize) -> Vec<u8> + Send + Sync + 'static,
) -> Result<Link> {
    let count = AtomicUsize::new(0);
    let hear = move |back: &Back, bytes: &[u8]| {
        let head = Message::read(bytes).unwrap().head;
        let mut out = Vec::new();
        if head.kind == Kind::Hello {
            let head = Head { kind: Kind::Ready, ..head };
            head.write(&mut out, &[ready.to_vec()], std::iter::empty());
        } else {
            out = answer(head, count.fetch_add(1, Ordering::Relaxed));
        }
        back.answer(&out);
    };
    Link::listen(&Endpoint::parse(place).unwrap(), &Access::default(), hear)
}

fn outputs(head: Head, shape: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let head = Head { kind: Kind::Outputs, width: Width::Single, ..head };
    let numbers = vec![5.0; shape.iter().product()];
    head.write(&mut out, &[shape.to_vec()], std::iter::once(&numbers[..]));
    out
}

#[test]
fn a_host_is_not_believed() {
    let Some(lab) = lab() else { return };
    let (model, place, spec) = (double(&lab), free_place("tcp"), windows(2, &["Cz"]));
    let lie = |head: Head, i: usize| match i {
        0 => outputs(head, &[1, 2]),
        1 => outputs(head, &[1, 3]),
        2 => outputs(Head { number: head.number + 1, ..head }, &[1, 2]),
        3 => outputs(Head { model: [0; 32], ..head }, &[1, 2]),
        4 => outputs(head, &[1, 2])[..50].to_vec(),
        5 => b"SLT1".to_vec(),
        _ => outputs(head, &[1, 2]),
    };
    let host = fake(&place, &[1, 2], lie).unwrap();
    let mut stage = stage(&model, &at(&place, "budget_ms = 500.0"));
    stage.prepare(std::slice::from_ref(&spec)).unwrap();
    let mut seen = Seen::default();
    let mut ask = |seen: &mut Seen, i: u64| stage.process(&mut window(&spec, i), seen);
    assert_eq!(ask(&mut seen, 0), Ok(()));
    assert_eq!(seen.frames[0].data, [5.0, 5.0]);
    assert_eq!(ask(&mut seen, 1), Err(Fault("the network failed")));
    // Answers to something else, or that are cut, are none.
    assert!((2..6).all(|i| ask(&mut seen, i).is_ok()));
    assert_eq!((seen.frames.len(), seen.over_budget), (1, 4));
    assert_eq!(ask(&mut seen, 6), Ok(()));
    assert_eq!(seen.frames.len(), 2);
    drop(host);
    let place = free_place("tcp");
    let _host = fake(&place, &[1, 3], |head, _| outputs(head, &[1, 3])).unwrap();
    let text = refusal(&model, &at(&place, PATIENT));
    assert!(text.contains("other shapes"), "{text}");
}

#[test]
fn a_client_is_not_believed() {
    let Some(lab) = lab() else { return };
    let (model, place) = (double(&lab), free_place("tcp"));
    let network = Network::open(Path::new(&model), &Options::default()).unwrap();
    let sha256 = saltatory::wire::zenoh::message::hash(&network.facts().sha256).unwrap();
    let host = lab.saltatory(&["host", &model, "--listen", &place, "--json"]);
    wait_for(&place);
    let heard: Arc<std::sync::Mutex<Vec<Kind>>> = Arc::default();
    let kept = heard.clone();
    let hear =
        move |bytes: &[u8]| kept.lock().unwrap().push(Message::read(bytes).unwrap().head.kind);
    let place = Endpoint::parse(&place).unwrap();
    let link = Link::connect(&place, &Access::default(), hear).unwrap();
    let head = Head { kind: Kind::Hello, width: Width::Double, number: 0, model: sha256 };
    let say = |kind: Kind, shape: &[usize], numbers: &[f64]| {
        let mut bytes = Vec::new();
        let head = Head { kind, ..head };
        head.write(&mut bytes, &[shape.to_vec()], std::iter::once(numbers));
        link.ask(&bytes);
    };
    // Shapes that the model does not take, a window that was not announced, garbage, then what is right.
    let last = |kind: Kind| heard.lock().unwrap().last() == Some(&kind);
    until("a refusal", || {
        say(Kind::Hello, &[1, 3], &[]);
        last(Kind::Misfit)
    });
    heard.lock().unwrap().clear();
    say(Kind::Window, &[1, 2], &[1.0, 2.0]);
    until("a refusal", || last(Kind::Misfit));
    link.ask(b"garbage");
    link.ask(&[]);
    until("a greeting", || {
        say(Kind::Hello, &[1, 2], &[]);
        last(Kind::Ready)
    });
    say(Kind::Window, &[1, 2], &[1.0, 2.0]);
    until("an answer", || heard.lock().unwrap().contains(&Kind::Outputs));
    assert_eq!(told(host)["answered"], 1);
}

/// So many products with a matrix of so many rows and columns: some 40 ms on one core.
const SIDE: usize = 512;
const PRODUCTS: usize = 600;

#[test]
fn the_newest_window_wins() {
    let Some(lab) = lab() else { return };
    let place = free_place("tcp");
    lab.write("slow.onnx", support::onnx::products(SIDE, PRODUCTS));
    lab.write("slow.toml", VECTOR);
    let model = lab.arg("slow.onnx");
    let host = lab.saltatory(&["host", &model, "--listen", &place, "--json"]);
    wait_for(&place);
    let spec = windows(SIDE, &["Cz"]);
    let mut stage = stage(&model, &at(&place, "budget_ms = 0.5"));
    stage.prepare(std::slice::from_ref(&spec)).unwrap();
    let mut seen = Seen::default();
    // A few come while one is worked on, and over so long a time that the host hears of them on a busy machine as well.
    const WINDOWS: u64 = 100;
    for i in 0..WINDOWS {
        stage.process(&mut window(&spec, i), &mut seen).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!((seen.frames.len() as u64, seen.over_budget), (0, WINDOWS));
    drop(stage);
    let told = told(host);
    let counts = ["answered", "busy", "failed"].map(|key| told[key].as_u64().unwrap());
    assert!(counts[1] > 0 && counts[2] == 0, "{told}");
}
