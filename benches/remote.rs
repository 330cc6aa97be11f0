//! What it costs that a network runs in another process: EEGNet, asked here and through `saltatory host`, over TCP and
//! over TLS with a token, all on this machine and in turn.
//!
//! `cargo bench --bench remote --features remote` prints, for windows back to back and for one every 20 ms, how long the
//! stage `onnx` takes for a window, and how long after a killed host listens again the first window is answered. It needs
//! ONNX Runtime and `openssl`.
#![allow(clippy::unwrap_used, missing_docs)]

use saltatory::frame::{Channel, Flags, Frame, Payload, Spec};
use saltatory::ledger::Cause;
use saltatory::stages::{Emit, Stage, decode};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const MODEL: &str = "models/eegnet.onnx";
const LABELS: [&str; 8] = ["Fz", "FC1", "FC2", "C3", "Cz", "C4", "Pz", "Oz"];
const BACK_TO_BACK: usize = 3000;
const PACED: usize = 1000;
const PERIOD: Duration = Duration::from_millis(20);
const RETURNS: usize = 5;

/// Counts what comes out.
#[derive(Default)]
struct Seen {
    answered: usize,
    degraded: usize,
}

impl Emit for Seen {
    fn emit(&mut self, frame: &mut Frame) {
        self.answered += 1;
        self.degraded += usize::from(frame.flags.has(Flags::DEGRADED));
    }

    fn count(&mut self, _: Cause, _: u64) {}
}

/// A host that ends with this.
struct Host {
    child: Child,
    place: String,
    folder: std::path::PathBuf,
}

impl Host {
    fn start(protocol: &str, folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = format!("{protocol}/127.0.0.1:{}", listener.local_addr().unwrap().port());
        drop(listener);
        let child = Self::spawn(&place, folder);
        Self { child, place, folder: folder.to_owned() }
    }

    fn spawn(place: &str, folder: &Path) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_saltatory"));
        command.args(["host", MODEL, "--listen", place, "--token-file"]).arg(folder.join("token"));
        if place.starts_with("tls") {
            command.arg("--cert").arg(folder.join("host.pem"));
            command.arg("--key").arg(folder.join("host.key"));
        }
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        let address = place.split_once('/').unwrap().1;
        while TcpStream::connect(address).is_err() {
            std::thread::sleep(Duration::from_millis(2));
        }
        child
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The keys of a stage that asks it.
    fn keys(&self) -> String {
        let [token, pem] = ["token", "host.pem"].map(|name| self.folder.join(name));
        let ca =
            if self.place.starts_with("tls") { format!(", ca = {pem:?}") } else { String::new() };
        format!("host = {{ connect = {:?}, token_file = {token:?}{ca} }}", self.place)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spec() -> Spec {
    let channels = LABELS.map(Channel::named).to_vec();
    Spec { payload: Payload::Window, ..Spec::samples(channels, 160.0, 320) }
}

fn stage(more: &str) -> Box<dyn Stage> {
    let kind = decode::KINDS.iter().find(|k| k.name == "onnx").unwrap();
    let text = format!("model = {MODEL:?}\nbudget_ms = 1000.0\nfallback = \"previous\"\n{more}");
    let mut stage = kind.from_toml(&text).unwrap().unit;
    stage.prepare(&[spec()]).unwrap();
    stage
}

/// How long `stage` takes for window `i`.
fn ask(stage: &mut dyn Stage, window: &mut Frame, seen: &mut Seen) -> Duration {
    window.span.last += 1;
    window.data.iter_mut().for_each(|v| *v = (*v * 1.37 + 0.7) % 50.0);
    let since = Instant::now();
    stage.process(window, seen).unwrap();
    since.elapsed()
}

fn print(name: &str, pace: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |q: f64| took[((took.len() - 1) as f64 * q).round() as usize].as_secs_f64() * 1e6;
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(at);
    println!("| {name} | {pace} | {} | {p50:.0} | {p99:.0} | {max:.0} |", took.len());
}

/// Makes a token and a certificate in `folder`.
fn secrets(folder: &Path) {
    let [pem, key, token] = ["host.pem", "host.key", "token"].map(|name| folder.join(name));
    std::fs::write(&token, "bench:0123456789abcdef0123456789abcdef\n").unwrap();
    Command::new("chmod").arg("600").arg(&token).status().unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=saltatory", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&pem)
        .output();
    assert!(made.unwrap().status.success());
}

/// How long after a killed host listens again the first window is answered.
fn return_of(host: &mut Host) -> Vec<Duration> {
    let mut stage = stage(&format!("{}\n", host.keys()).replace("1000.0", "100.0"));
    let mut window = spec().frame();
    window.resize(320, LABELS.len());
    let mut is_answered = |seen: &mut Seen| {
        let before = (seen.answered, seen.degraded);
        ask(&mut *stage, &mut window, seen);
        seen.answered > before.0 && seen.degraded == before.1
    };
    let mut seen = Seen::default();
    let mut took = Vec::new();
    for _ in 0..RETURNS {
        while !is_answered(&mut seen) {}
        host.kill();
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(2) {
            is_answered(&mut seen);
            std::thread::sleep(PERIOD);
        }
        host.child = Host::spawn(&host.place, &host.folder);
        let since = Instant::now();
        while !is_answered(&mut seen) {
            std::thread::sleep(Duration::from_millis(1));
        }
        took.push(since.elapsed());
    }
    took
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    secrets(folder.path());
    let [mut tcp, mut tls] = ["tcp", "tls"].map(|protocol| Host::start(protocol, folder.path()));
    let mut stages = [
        ("here, on a thread of its own", stage("")),
        ("TCP", stage(&tcp.keys())),
        ("TLS", stage(&tls.keys())),
    ];
    let mut seen = Seen::default();
    let mut window = spec().frame();
    window.resize(320, LABELS.len());
    window.data.iter_mut().enumerate().for_each(|(i, v)| *v = (i * 7919 % 1009) as f64 / 20.0);
    println!("| where | windows | n | p50, µs | p99, µs | max, µs |\n|---|---|---|---|---|---|");
    for (name, stage) in &mut stages {
        for _ in 0..200 {
            ask(&mut **stage, &mut window, &mut seen);
        }
        let took = (0..BACK_TO_BACK).map(|_| ask(&mut **stage, &mut window, &mut seen)).collect();
        print(name, "back to back", took);
    }
    let mut took = [const { Vec::new() }; 3];
    let start = Instant::now();
    for i in 0..3 * PACED {
        let due = start + PERIOD * i as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        took[i % 3].push(ask(&mut *stages[i % 3].1, &mut window, &mut seen));
    }
    for ((name, _), took) in stages.iter().zip(took) {
        print(name, "one every 60 ms", took);
    }
    assert_eq!(seen.degraded, 0, "windows were not answered in time");
    drop(stages);
    for host in [&mut tcp, &mut tls] {
        let took: Vec<String> =
            return_of(host).iter().map(|t| format!("{:.2}", t.as_secs_f64())).collect();
        println!("back after, s, {}: {}", host.place, took.join(", "));
    }
}
