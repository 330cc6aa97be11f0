//! More than it can take: a slow stage, a burst, a clock that jumps, a process that is paused, a sink
//! that is full, a sender that dies. Each time the balance of the ledger is exact: what came in was used,
//! or is counted as lost under its cause.
#![allow(clippy::unwrap_used)]

#[path = "support/doubles.rs"]
mod doubles;
#[path = "support/lab.rs"]
mod lab;

use doubles::{Bench, Gate, Seen, Write, decide, load, noise, page, pass, samples};
use lab::{CHANNELS, Lab, STEP, WINDOW, until};
use saltatory::config::{self, Config};
use saltatory::engine::balance::faults;
use saltatory::error::{Error, Result};
use saltatory::frame::{Channel, Flags, Frame, Spec};
use saltatory::ledger::Cause;
use saltatory::wire::lsl::{Outlet, Wire};
use std::io::Read as _;
use std::time::Duration;

/// Samples from one window of the doubles' pipelines to the next, and in one of them.
const HOP: u64 = 16;
/// The deadline of these pipelines, and a time after which it has passed.
const DEADLINE_MS: &str = "deadline_ms = 1000.0\n";
const TOO_LATE: Duration = Duration::from_millis(1100);

/// A source and windows of one hop each, with what is made of them.
fn windows(head: &str, stages: &str) -> Config {
    load(&format!(
        "{head}[[source]]\nkind = \"synthetic\"\nid = \"eeg\"\n\
         [[stage]]\nkind = \"window\"\nlength_s = 0.1\nstep_s = 0.1\n{stages}"
    ))
}

/// The newest samples of the windows from number `first` on, counted from 1.
fn newest(windows: impl IntoIterator<Item = u64>) -> Vec<u64> {
    windows.into_iter().map(|i| i * HOP - 1).collect()
}

/// Has the ten first windows arrive while `slow` is held at the first, so long that the others are late.
fn hold_up(bench: &mut Bench, gate: &Gate) {
    bench.feed(HOP);
    bench.until("the first window", |b| b.page("slow").taken_in == 1);
    bench.feed(9 * HOP);
    bench.until("the other windows", |b| b.page("eeg").passed_on == 10 * HOP);
    std::thread::sleep(TOO_LATE);
    gate.open();
}

#[test]
fn a_slow_stage_makes_late_windows_be_passed_over() {
    let mut config =
        windows(DEADLINE_MS, "[[stage]]\nkind = \"vote\"\nid = \"slow\"\nfrom = \"window\"\n");
    let (gate, seen) = (Gate::default(), Seen::default());
    let (held, noted) = (gate.clone(), seen.clone());
    config.stages[1].unit = decide(move |window| {
        noted.note(window);
        held.pass();
    });
    let mut bench = Bench::start(config, samples(2, 160.0));
    hold_up(&mut bench, &gate);
    bench.until("the late windows", |b| b.page("window").count(Cause::Skipped) == 9);
    // Those that come in time have their turn at once.
    let mut windows = 10;
    while bench.page("slow").passed_on < 4 {
        bench.feed(HOP);
        windows += 1;
        bench.until("the next window", |b| b.page("window").passed_on == windows);
    }
    let (report, result) = bench.end();
    result.unwrap();
    let (window, slow) = (page(&report, "window"), page(&report, "slow"));
    let skipped = window.count(Cause::Skipped);
    assert_eq!((window.passed_on, window.passed_on - skipped), (windows, slow.taken_in));
    assert_eq!(report.deadline.skipped, skipped);
    let decided: Vec<u64> = report.decisions.iter().map(|d| d.last_sample).collect();
    assert_eq!(decided, seen.lasts());
    assert_eq!(decided[0], HOP - 1);
    assert!(decided[1] > 10 * HOP, "a window that was late was decided on: {decided:?}");
    assert!(report.decisions[0].late && report.deadline.missed == slow.count(Cause::Late));
}

#[test]
fn a_slow_stage_is_stood_in_for_by_the_cheaper_branch() {
    let head = format!("{DEADLINE_MS}late = \"degrade\"\ndegrade = \"quick\"\n");
    let mut config = windows(
        &head,
        "[[stage]]\nkind = \"vote\"\nid = \"slow\"\nfrom = \"window\"\n\
         [[stage]]\nkind = \"vote\"\nid = \"quick\"\nfrom = \"window\"\n",
    );
    let gate = Gate::default();
    let held = gate.clone();
    config.stages[1].unit = decide(move |_| held.pass());
    config.stages[2].unit = decide(|_| ());
    let mut bench = Bench::start(config, samples(2, 160.0));
    hold_up(&mut bench, &gate);
    bench.until("the stand-in", |b| b.page("quick").passed_on >= 9);
    // The memory of what the main branch has cost fades, and it is tried again.
    let mut windows = 10;
    while bench.page("slow").passed_on < 4 {
        bench.feed(HOP);
        windows += 1;
        let decided = |b: &Bench| b.page("slow").passed_on + b.page("quick").passed_on;
        bench.until("the next decision", |b| decided(b) == windows);
    }
    let (report, result) = bench.end();
    result.unwrap();
    let [window, slow, quick] = ["window", "slow", "quick"].map(|id| page(&report, id));
    assert_eq!(slow.taken_in + quick.taken_in, windows);
    assert_eq!(window.count(Cause::Degraded), quick.taken_in);
    assert_eq!(window.degraded, quick.taken_in);
    assert_eq!(report.deadline.degraded, quick.taken_in);
    // Every window is answered once, in order, and what the cheaper branch says is marked.
    let decided: Vec<u64> = report.decisions.iter().map(|d| d.last_sample).collect();
    assert_eq!(decided, newest(1..=windows));
    let degraded = report.decisions.iter().filter(|d| d.degraded).count() as u64;
    assert_eq!(degraded, quick.passed_on);
    assert!(report.decisions[1..10].iter().all(|d| d.degraded) && !report.decisions[0].degraded);
}

#[test]
fn a_slow_stage_on_a_lane_of_its_own_holds_up_nobody() {
    let mut config = windows(
        "",
        "[[stage]]\nkind = \"vote\"\nid = \"slow\"\nfrom = \"window\"\nlane = \"worker\"\n\
         [[stage]]\nkind = \"vote\"\nid = \"quick\"\nfrom = \"window\"\n",
    );
    let (gate, seen) = (Gate::default(), Seen::default());
    let (held, noted) = (gate.clone(), seen.clone());
    config.stages[1].unit = decide(move |window| {
        noted.note(window);
        held.pass();
    });
    config.stages[2].unit = decide(|_| ());
    let mut bench = Bench::start(config, samples(2, 160.0));
    bench.feed(HOP);
    bench.until("the slow stage", |b| b.page("slow").taken_in == 1);
    bench.feed(9 * HOP);
    // The quick decoder answers every window while the slow one is still at its first.
    bench.until("the quick decisions", |b| b.page("quick").passed_on == 10);
    assert_eq!(bench.page("slow").passed_on, 0);
    gate.open();
    bench.until("the slow decisions", |b| b.page("slow").passed_on == 2);
    let (report, result) = bench.end();
    result.unwrap();
    assert_eq!(seen.lasts(), newest([1, 10]), "the newest window wins");
    let slow = page(&report, "slow");
    assert_eq!((slow.taken_in, slow.count(Cause::Skipped)), (2, 8));
    assert_eq!(page(&report, "quick").taken_in, 10);
    assert_eq!(report.decisions.len(), 12);
}

#[test]
fn of_a_burst_that_is_too_large_what_fits_is_used_and_the_rest_counted() {
    // At this rate and width the inbox holds its least, four seconds.
    let (rate, inbox) = (1000, 4000);
    let mut config = load(
        "[[source]]\nkind = \"synthetic\"\nid = \"eeg\"\n\
         [[stage]]\nkind = \"average\"\nid = \"held\"\n",
    );
    let (gate, seen) = (Gate::default(), Seen::default());
    let (held, noted) = (gate.clone(), seen.clone());
    config.stages[0].unit = pass(move |block| {
        noted.note(block);
        held.pass();
    });
    let spec = samples(256, rate as f64);
    let block = spec.rows as u64;
    let mut bench = Bench::start(config, spec);
    bench.feed(block);
    bench.until("the first block", |b| b.page("held").taken_in == block);
    bench.feed(10 * rate - block);
    bench.until("the burst", |b| b.page("eeg").taken_in == 10 * rate);
    gate.open();
    bench.until("what fits", |b| b.page("held").taken_in == block + inbox);
    bench.feed(block);
    let (report, result) = bench.end();
    result.unwrap();
    let (eeg, held) = (page(&report, "eeg"), page(&report, "held"));
    assert_eq!((eeg.taken_in, eeg.count(Cause::Gap)), (10 * rate + block, 0));
    assert_eq!(eeg.count(Cause::Drop), 10 * rate - block - inbox);
    assert_eq!(held.taken_in, inbox + 2 * block);
    // What follows on a loss says so, and only that.
    let seen = seen.all();
    let (last, before) = seen.split_last().unwrap();
    assert_eq!(*last, (10 * rate + block - 1, Flags::GAP));
    assert!(before.iter().all(|(_, flags)| *flags == Flags::NONE));
}

#[test]
fn a_burst_of_ten_seconds_of_a_small_cap_is_used_to_the_last_sample() {
    let lab = Lab::new();
    lab.decoder("burst", "[[source]]\nkind = \"synthetic\"\nid = \"eeg\"\n", "");
    let config = config::load(&lab.path("burst.toml"), &[]).unwrap();
    let channels = CHANNELS.iter().map(|label| Channel::named(*label)).collect();
    let mut bench = Bench::start(config, Spec::samples(channels, 160.0, 4));
    bench.feed(1600);
    let (report, result) = bench.end();
    result.unwrap();
    assert_eq!(page(&report, "covariance").taken_in, (1600 - WINDOW) / STEP + 1);
    assert_eq!(report.decisions.len() as u64, (1600 - WINDOW) / STEP + 1);
    assert!(report.ledger.iter().all(|p| p.counts.is_empty()), "{:?}", report.ledger);
}

/// A sender of noise over LSL.
struct Sender(Outlet);

impl Sender {
    fn open(name: &str) -> Self {
        let channels: Vec<Channel> = CHANNELS.iter().map(|c| Channel::named(*c)).collect();
        let wire = Wire::Double64;
        let outlet = Outlet::open(name, "EEG", name, &channels, 160.0, wire, &[]).unwrap();
        until("a listener", || outlet.has_listener());
        Self(outlet)
    }

    /// Pushes the samples `range`, stamped at 160 Hz from `start_s` on.
    fn push(&mut self, range: std::ops::Range<u64>, start_s: f64) {
        let last = range.end - 1;
        for i in range {
            let row: Vec<f64> = (0..CHANNELS.len() as u64).map(|c| noise(8 * i + c)).collect();
            let flush = i % 16 == 15 || i == last;
            self.0.push_exact(&row, start_s + i as f64 / 160.0, flush).unwrap();
        }
    }
}

/// A source that ends `recover_s` after its sender has gone.
fn lsl(name: &str, recover_s: f64) -> String {
    format!(
        "[[source]]\nkind = \"lsl\"\nid = \"eeg\"\nname = \"{name}\"\nwait_s = 60.0\n\
         recover_s = {recover_s:?}\n"
    )
}

/// How many decisions the small decoder makes of `samples` without a gap.
fn decisions_of(samples: u64) -> u64 {
    (samples - WINDOW) / STEP + 1
}

#[test]
fn a_clock_that_jumps_leaves_a_gap_or_a_reset_of_the_right_size() {
    let lab = Lab::joined();
    lab.decoder("jump", &lsl("jump", 0.0), "");
    let run = lab.run("jump", &[]);
    let mut sender = Sender::open("jump");
    let start_s = saltatory::clock::now_s();
    // Five seconds forward cannot be told from five seconds that were lost; backward can.
    sender.push(0..800, start_s);
    sender.push(800..1600, start_s + 5.0);
    sender.push(1600..2400, start_s - 20.0);
    until("the decisions", || lab.decisions("jump") as u64 == 3 * decisions_of(800));
    drop(sender);
    run.succeeds();

    let report = lab.report("jump");
    assert_eq!(report.count("eeg", "in"), 2400);
    assert_eq!((report.count("eeg", "gap"), report.count("eeg", "clock_reset")), (800, 1));
    assert_eq!(report.count("eeg", "indices"), 2400 + 800);
    assert_eq!(report.count("window", "in"), 2400);
    for verdict in &report.verdicts {
        assert_eq!(verdict.last - verdict.first + 1, WINDOW, "{verdict:?}");
        assert!(!verdict.spans(1600) && !verdict.spans(2400), "{verdict:?}");
    }
}

#[test]
fn a_process_that_was_paused_goes_on_without_a_loss() {
    let lab = Lab::joined();
    lab.decoder("paused", &lsl("paused", 0.0), "");
    let run = lab.run("paused", &[]);
    let mut sender = Sender::open("paused");
    let start_s = saltatory::clock::now_s();
    let mut sent = 0;
    let mut at_real_pace = |until_s: f64| {
        while saltatory::clock::now_s() < start_s + until_s {
            sender.push(sent..sent + 16, start_s);
            sent += 16;
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    at_real_pace(2.0);
    until("a decision", || lab.decisions("paused") > 0);
    run.signal("STOP");
    at_real_pace(4.5);
    run.signal("CONT");
    at_real_pace(6.0);
    until("the decisions", || lab.decisions("paused") as u64 == decisions_of(sent));
    drop(sender);
    run.succeeds();

    let report = lab.report("paused");
    assert_eq!(report.count("eeg", "in"), sent);
    assert!(report.is_clean(), "{:?}", report.ledger);
    let lasts: Vec<u64> = report.verdicts.iter().map(|v| v.last).collect();
    assert_eq!(lasts, (WINDOW - 1..sent).step_by(STEP as usize).collect::<Vec<_>>());
}

#[test]
fn a_sender_that_is_killed_and_comes_back_leaves_a_gap_as_long_as_its_stamps_say() {
    let lab = Lab::joined();
    lab.decoder("killed", &lsl("killed", 60.0), "");
    let mut run = lab.run("killed", &["-v"]);
    let mut sender = Sender::open("killed");
    let start_s = saltatory::clock::now_s();
    sender.push(0..800, start_s);
    until("the decisions", || lab.decisions("killed") as u64 == decisions_of(800));
    drop(sender);
    run.until_it_says("is gone; waiting");
    // It comes back with the sample 1200: 400 were never sent.
    let mut sender = Sender::open("killed");
    sender.push(1200..2000, start_s);
    until("the decisions", || lab.decisions("killed") as u64 == 2 * decisions_of(800));
    run.interrupt();
    run.succeeds();

    let report = lab.report("killed");
    assert_eq!(report.count("eeg", "in"), 1600);
    assert_eq!((report.count("eeg", "gap"), report.count("eeg", "restart")), (400, 1));
    assert_eq!(report.count("eeg", "indices"), 2000);
    let lasts = |from: u64| (from + WINDOW - 1..from + 800).step_by(STEP as usize);
    let seen: Vec<u64> = report.verdicts.iter().map(|v| v.last).collect();
    assert_eq!(seen, lasts(0).chain(lasts(1200)).collect::<Vec<_>>());
}

/// Windows that go to a sink `file` that does with them what `write` says.
fn into(write: impl FnMut(&saltatory::sinks::Delivery) -> Result<()> + Send + 'static) -> Bench {
    let mut config = windows(
        "",
        "[[stage]]\nkind = \"vote\"\nid = \"decide\"\nfrom = \"window\"\n\
         [[sink]]\nkind = \"jsonl\"\nid = \"file\"\npath = \"-\"\n",
    );
    config.stages[1].unit = decide(|_| ());
    config.sinks[0].unit = Box::new(Write(write));
    Bench::start(config, samples(2, 160.0))
}

/// Makes `n` more decisions, no faster than the report can note them.
fn decide_often(bench: &mut Bench, n: u64) {
    for _ in 0..n.div_ceil(100) {
        let before = bench.page("report").passed_on;
        bench.feed(100 * HOP);
        bench.until("the report", |b| b.page("report").passed_on == before + 100);
    }
}

#[test]
fn a_full_sink_loses_what_does_not_fit_and_the_others_nothing() {
    // So many frames fit between the lane and a sink.
    const OUTBOX: u64 = 1024;
    let gate = Gate::default();
    let held = gate.clone();
    let mut bench = into(move |_| {
        held.pass();
        Ok(())
    });
    decide_often(&mut bench, 2000);
    gate.open();
    bench.until("what fitted", |b| b.page("file").passed_on == OUTBOX);
    decide_often(&mut bench, 100);
    let (report, result) = bench.end();
    result.unwrap();
    let file = page(&report, "file");
    assert_eq!((file.taken_in, file.passed_on), (2100, OUTBOX + 100));
    assert_eq!(file.count(Cause::Drop), 2000 - OUTBOX);
    assert_eq!(report.decisions.len(), 2100);
    assert!(page(&report, "report").counts.is_empty());
}

#[test]
fn a_sink_that_fails_ends_the_run_and_what_it_did_not_write_is_counted() {
    let mut room = 150;
    let mut bench = into(move |_| {
        if room == 0 {
            return Err(Error::run("no space left on device"));
        }
        room -= 1;
        Ok(())
    });
    decide_often(&mut bench, 300);
    let (report, result) = bench.end();
    let message = result.unwrap_err().to_string();
    assert_eq!(message, "sink `file`: no space left on device");
    let file = page(&report, "file");
    assert_eq!((file.taken_in, file.passed_on, file.count(Cause::Drop)), (300, 150, 150));
    assert_eq!(report.decisions.len(), 300, "the report is lost with the sink");
}

#[test]
fn a_file_that_cannot_be_written_any_more_ends_the_run_with_its_report() {
    let lab = Lab::new();
    let pipe = lab.arg("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let sink = format!("[[sink]]\nkind = \"jsonl\"\nid = \"pipe\"\npath = {pipe:?}\n");
    let source = "[[source]]\nkind = \"synthetic\"\nid = \"eeg\"\nspeed = 4.0\n";
    lab.decoder("pipe", source, &sink);
    let run = lab.run("pipe", &[]);
    let mut reader = std::fs::File::open(&pipe).unwrap();
    reader.read_exact(&mut [0; 4096]).unwrap();
    drop(reader);
    run.fails(1, &["sink `pipe`", "cannot write", "Broken pipe"]);
    let report = lab.report("pipe");
    assert!(report.count("pipe", "out") > 0 && report.count("pipe", "drop") > 0);
    assert_eq!(report.count("report", "out"), report.count("mdm", "out"));
    assert_eq!(report.verdicts.len() as u64, report.count("mdm", "out"));
    // Nor does a disk that is full from the start let a run begin.
    lab.decoder(
        "full",
        source,
        "[[sink]]\nkind = \"jsonl\"\nid = \"disk\"\npath = \"/dev/full\"\n",
    );
    lab.run("full", &[]).fails(1, &["/dev/full: cannot write: No space left on device"]);
}

#[test]
fn a_sink_that_never_comes_back_is_given_up() {
    let gate = Gate::default();
    let held = gate.clone();
    let mut bench = into(move |_| {
        held.pass();
        Ok(())
    });
    decide_often(&mut bench, 100);
    let (report, result) = bench.end();
    let message = result.unwrap_err().to_string();
    assert_eq!(message, "the sink `file` is stuck; 100 frames are not written");
    assert_eq!(page(&report, "file").count(Cause::Drop), 100);
    assert_eq!(report.decisions.len(), 100);
    gate.open();
}

#[test]
fn a_stage_that_stops_by_a_fault_of_ours_ends_the_run() {
    let mut config = windows("", "[[stage]]\nkind = \"vote\"\nid = \"slow\"\nfrom = \"window\"\n");
    let mut n = 0;
    config.stages[1].unit = decide(move |_: &Frame| {
        n += 1;
        assert!(n < 3, "meant to stop here");
    });
    let mut bench = Bench::start(config, samples(2, 160.0));
    bench.feed(5 * HOP);
    bench.until("the samples", |b| b.page("eeg").taken_in == 5 * HOP);
    let (report, result) = bench.session.finish();
    let message = result.unwrap_err().to_string();
    assert!(
        message.contains("the lane `lane` stopped by a fault of ours: meant to stop here"),
        "{message}"
    );
    // What it had decided is there; what is unaccounted for is told.
    assert_eq!(report.decisions.len(), 2);
    assert!(!faults(&report.balance).is_empty());
}
