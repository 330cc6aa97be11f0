//! A lab: a folder and an LSL session for one test, and the processes that it starts.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up; far more than it needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// The channels of the small decoder.
pub const CHANNELS: [&str; 8] = ["FC3", "FCz", "FC4", "C3", "Cz", "C4", "CP3", "CP4"];

/// The small decoder: a decision every 0.1 s on the last second of eight channels.
const DECODER: &str = r#"
[[stage]]
kind = "pick"
from = "eeg"
channels = ["FC3", "FCz", "FC4", "C3", "Cz", "C4", "CP3", "CP4"]

[[stage]]
kind = "bandpass"
low_hz = 8.0
high_hz = 30.0

[[stage]]
kind = "window"
length_s = 1.0
step_s = 0.1

[[stage]]
kind = "covariance"
estimator = "oas"

[[stage]]
kind = "mdm"

[fit]
classes = { left = "T1", right = "T2" }
start_s = 0.5
"#;

/// Samples from one decision of the small decoder to the next, and in one of its windows.
pub const STEP: u64 = 16;
pub const WINDOW: u64 = 160;

pub struct Lab {
    folder: tempfile::TempDir,
    session: PathBuf,
    processes: AtomicUsize,
}

impl Lab {
    /// A lab whose processes see each other and nobody else.
    pub fn new() -> Self {
        static LABS: AtomicUsize = AtomicUsize::new(0);
        let folder = tempfile::tempdir().unwrap();
        let session = folder.path().join("lsl_api.cfg");
        write_session(&session, LABS.fetch_add(1, Ordering::Relaxed));
        Self { folder, session, processes: AtomicUsize::new(0) }
    }

    /// A lab to which this very process belongs. Every test that uses LSL itself has one; those of
    /// one process share a session.
    #[allow(unsafe_code)]
    pub fn joined() -> Self {
        static SESSION: OnceLock<PathBuf> = OnceLock::new();
        let session = SESSION.get_or_init(|| {
            let name = format!("lsl-{}.cfg", std::process::id());
            let session = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
            write_session(&session, usize::MAX);
            // SAFETY: only liblsl reads this variable behind Rust's back, and it has not started.
            unsafe { std::env::set_var("LSLAPICFG", &session) };
            saltatory::wire::lsl::start_clock();
            session
        });
        let mut lab = Self::new();
        lab.session.clone_from(session);
        lab
    }

    /// The LSL session that the lab is in.
    pub fn session(&self) -> String {
        let config = std::fs::read_to_string(&self.session).unwrap();
        let id = config.lines().find_map(|line| line.strip_prefix("SessionID = "));
        id.unwrap().to_owned()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The path of `name` as an argument.
    pub fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes the config `NAME.toml` with the small decoder and its model. `head` holds keys of the
    /// file and sources, `tail` sinks. Decisions also go to `NAME.jsonl`.
    pub fn decoder(&self, name: &str, head: &str, tail: &str) {
        self.write("model.safetensors", model());
        let model = self.arg("model.safetensors");
        let log = self.arg(&format!("{name}.jsonl"));
        let log = format!("[[sink]]\nkind = \"jsonl\"\npath = {log:?}\n");
        let text = format!("model = {model:?}\n{head}\n{DECODER}\n{log}\n{tail}");
        self.write(&format!("{name}.toml"), text);
    }

    /// Starts `saltatory run NAME.toml`; its report becomes `NAME.json`.
    pub fn run(&self, name: &str, args: &[&str]) -> Process {
        let (config, report) =
            (self.arg(&format!("{name}.toml")), self.arg(&format!("{name}.json")));
        self.saltatory(&[&["run", &config, "--report", &report], args].concat())
    }

    /// The report of the run `name`.
    pub fn report(&self, name: &str) -> Report {
        Report::parse(&self.read(&format!("{name}.json")))
    }

    /// How many decisions the run `name` has written so far.
    pub fn decisions(&self, name: &str) -> usize {
        let text = std::fs::read_to_string(self.path(&format!("{name}.jsonl")));
        text.map_or(0, |text| text.matches("{\"label\":").count())
    }

    /// Starts the program.
    pub fn saltatory(&self, args: &[&str]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_saltatory"));
        command.args(args).stdin(Stdio::null());
        self.start(command, args.first().unwrap())
    }

    /// Starts `tests/interop/SCRIPT`; `None` on a machine without the Python it needs.
    pub fn python(&self, script: &str, args: &[&str]) -> Option<Process> {
        let mut command = Command::new(python()?);
        command.arg("-u").arg(root().join("tests/interop").join(script)).args(args);
        command.stdin(Stdio::piped());
        Some(self.start(command, script))
    }

    fn start(&self, mut command: Command, name: &str) -> Process {
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        let out = self.path(&format!("{number}-{name}.out"));
        let err = self.path(&format!("{number}-{name}.err"));
        let child = command
            .current_dir(self.folder.path())
            .env("LSLAPICFG", &self.session)
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        Process { child, name: name.to_owned(), out, err }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("left for a look: {}", self.folder.path().display());
        }
    }
}

/// Writes a config that keeps LSL on this machine and in a session of this process and `number`.
fn write_session(path: &Path, number: usize) {
    const OURS: &str = "SessionID = saltatory\n";
    let text = std::fs::read_to_string(root().join("configs/lsl_loopback.cfg")).unwrap();
    assert!(text.contains(OURS), "the config has another session");
    let name = format!("SessionID = saltatory-{}-{number}\n", std::process::id());
    std::fs::write(path, text.replace(OURS, &name)).unwrap();
}

/// The Python with pylsl: `SALTATORY_PYTHON`, else the one that `make test` sets up.
fn python() -> Option<PathBuf> {
    let set_up = root().join(".venv/bin/python");
    let found = std::env::var_os("SALTATORY_PYTHON").map(PathBuf::from);
    let found = found.or_else(|| set_up.exists().then_some(set_up));
    if found.is_none() {
        let required = std::env::var("SALTATORY_REQUIRE_PYTHON").is_ok_and(|v| v == "1");
        assert!(!required, "no Python for interop; `make test` sets it up");
        eprintln!("not tried: interop needs Python with pylsl, which `make test` sets up");
    }
    found
}

/// What the small decoder learned from a simulated session; fitted once per process.
fn model() -> &'static [u8] {
    static MODEL: OnceLock<Vec<u8>> = OnceLock::new();
    MODEL.get_or_init(|| {
        let lab = Lab::new();
        lab.write(
            "fit.toml",
            format!("[[source]]\nkind = \"replay\"\nid = \"eeg\"\npath = \"-\"\n{DECODER}"),
        );
        let (config, model) = (lab.arg("fit.toml"), lab.arg("model.safetensors"));
        lab.saltatory(&["fit", &config, "synthetic:1", "--out", &model]).succeeds();
        std::fs::read(model).unwrap()
    })
}

/// A process that ends with the test, however that ends.
pub struct Process {
    child: Child,
    name: String,
    out: PathBuf,
    err: PathBuf,
}

/// How a process ended.
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Process {
    /// Waits for the end.
    pub fn end(mut self) -> Ended {
        let mut status = None;
        until(&format!("the end of {}", self.name), || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let ended = Ended { code: status.unwrap().code(), out: self.out(), err: self.err() };
        assert!(!ended.err.contains("panicked"), "{}: {}", self.name, ended.err);
        ended
    }

    /// Waits for the end, which must be a good one.
    pub fn succeeds(self) -> Ended {
        let name = self.name.clone();
        let ended = self.end();
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.err);
        ended
    }

    /// Waits for the end, which must have `code`; its message must hold all of `texts`.
    pub fn fails(self, code: i32, texts: &[&str]) {
        let name = self.name.clone();
        let ended = self.end();
        assert_eq!(ended.code, Some(code), "{name}: {}", ended.err);
        for text in texts {
            assert!(ended.err.contains(text), "{name} does not say `{text}`: {}", ended.err);
        }
    }

    /// Presses Ctrl-C.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let (signal, pid) = (format!("-{name}"), self.child.id().to_string());
        assert!(Command::new("kill").args([&signal, &pid]).status().unwrap().success());
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits until it has written `text` to standard output or standard error.
    pub fn until_it_says(&mut self, text: &str) {
        until(&format!("`{text}` from {}", self.name), || {
            let said = self.out().contains(text) || self.err().contains(text);
            let over = !said && self.child.try_wait().unwrap().is_some();
            assert!(!over, "{} ended without saying `{text}`: {}", self.name, self.err());
            said
        });
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        self.child.stdin = None;
    }

    fn out(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap_or_default()
    }

    fn err(&self) -> String {
        std::fs::read_to_string(&self.err).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}:\n{}{}", self.name, self.out(), self.err());
        }
    }
}

/// Waits until `done`.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The report of a run.
pub struct Report {
    pub verdicts: Vec<Verdict>,
    pub ledger: BTreeMap<String, Value>,
}

/// What of a decision must be the same whenever the data are.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub label: String,
    /// The scores as they are written: numbers that differ in one bit differ here.
    pub scores: String,
    pub first: u64,
    pub last: u64,
    pub time_s: f64,
    pub bad: bool,
}

impl Report {
    pub fn parse(text: &str) -> Self {
        let report: Value = serde_json::from_str(text).unwrap();
        let decisions = report["decisions"].as_array().unwrap();
        let scores = text.split("\"scores\":{").skip(1).map(|rest| rest.split('}').next().unwrap());
        let verdict = |(d, scores): (&Value, &str)| Verdict {
            label: d["label"].as_str().unwrap().to_owned(),
            scores: scores.to_owned(),
            first: d["first_sample"].as_u64().unwrap(),
            last: d["last_sample"].as_u64().unwrap(),
            time_s: d["time_s"].as_f64().unwrap(),
            bad: d["bad"].as_bool().unwrap(),
        };
        let verdicts: Vec<_> = decisions.iter().zip(scores).map(verdict).collect();
        assert_eq!(verdicts.len(), decisions.len());
        let balance = report["balance"].as_array().unwrap();
        let wrong = balance.iter().find(|account| account["unaccounted"] != 0);
        assert!(wrong.is_none(), "the counts do not add up: {wrong:?}");
        let pages = report["ledger"].as_array().unwrap().iter();
        let ledger = pages.map(|p| (p["place"].as_str().unwrap().to_owned(), p.clone())).collect();
        Self { verdicts, ledger }
    }

    /// How many the ledger has under `key` (`in`, `out`, `indices` or a cause) at `place`.
    pub fn count(&self, place: &str, key: &str) -> u64 {
        let page = self.ledger.get(place).unwrap_or_else(|| panic!("no page of {place}"));
        let value = match key {
            "in" | "out" | "indices" => &page[key],
            _ => &page["counts"][key],
        };
        value.as_u64().unwrap_or_default()
    }

    /// Whether nothing was lost, repaired or late anywhere.
    pub fn is_clean(&self) -> bool {
        self.ledger.values().all(|page| page["counts"].as_object().unwrap().is_empty())
    }
}

impl Verdict {
    /// The scores as numbers, none of which may be anything else.
    pub fn numbers(&self) -> Vec<f64> {
        let pairs = self.scores.split(',');
        pairs.map(|pair| pair.split_once(':').unwrap().1.parse().unwrap()).collect()
    }

    /// Whether it rests on samples on both sides of sample `index`.
    pub fn spans(&self, index: u64) -> bool {
        self.first < index && index <= self.last
    }
}

/// An EDF+ file with one record a second, eight-bit noise and a cue every four seconds.
pub fn edf(labels: &[&str], rate_hz: usize, seconds: usize) -> Vec<u8> {
    const NOTES: usize = 40;
    let signals = labels.len() + 1;
    let mut file =
        format!("{:<8}{:<80}{:<80}01.01.2601.01.01", "0", "X X X X", "Startdate X X X X")
            .into_bytes();
    let mut field = |width: usize, text: String| {
        assert!(text.len() <= width);
        file.extend_from_slice(format!("{text:<width$}").as_bytes());
    };
    field(8, (256 * (signals + 1)).to_string());
    field(44, "EDF+C".into());
    field(8, seconds.to_string());
    field(8, "1".into());
    field(4, signals.to_string());
    let columns: [(usize, &str, &str); 9] = [
        (16, "", "EDF Annotations"),
        (80, "", ""),
        (8, "uV", ""),
        (8, "-32768", "-1"),
        (8, "32767", "1"),
        (8, "-32768", "-32768"),
        (8, "32767", "32767"),
        (80, "", ""),
        (8, "", ""),
    ];
    for (i, (width, value, notes)) in columns.into_iter().enumerate() {
        for label in labels {
            let value = match i {
                0 => (*label).to_owned(),
                8 => rate_hz.to_string(),
                _ => value.to_owned(),
            };
            field(width, value);
        }
        field(width, if i == 8 { NOTES.to_string() } else { notes.to_owned() });
    }
    labels.iter().for_each(|_| field(32, String::new()));
    field(32, String::new());
    let mut noise = 1_u32;
    for second in 0..seconds {
        for _ in 0..labels.len() * rate_hz {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            file.extend_from_slice(&i16::from((noise >> 24) as i8).to_le_bytes());
        }
        let mut notes = format!("+{second}\x14\x14\0");
        if second % 4 == 2 {
            let cue = if second % 8 == 2 { "T1" } else { "T2" };
            notes.push_str(&format!("+{second}\x15{}\x14{cue}\x14\0", 2));
        }
        let mut notes = notes.into_bytes();
        notes.resize(2 * NOTES, 0);
        file.extend_from_slice(&notes);
    }
    file
}

/// The root of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
