//! Units that do what a test says, to put in the place of real ones: a source that sends what it is told
//! to, stages and sinks that wait at a gate. A config with placeholders is loaded, then its units are
//! replaced.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use crate::lab::until;
use saltatory::clock;
use saltatory::config::{self, Config};
use saltatory::control::run::{Options, Report, Session};
use saltatory::control::stop::Stop;
use saltatory::engine::balance::faults;
use saltatory::error::Result;
use saltatory::frame::{Channel, Flags, Frame, Payload, Span, Spec};
use saltatory::ledger::{Counters, Page};
use saltatory::sinks::{Delivery, RunFacts, Sink};
use saltatory::sources::{Read, Source};
use saltatory::stages::{Emit, Fault, Stage};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

/// A run under test that is fed by hand.
pub struct Bench {
    pub session: Session,
    feed: Feed,
    pub fed: u64,
}

impl Bench {
    /// Runs `config` with a source of `spec` in the place of its first one.
    pub fn start(mut config: Config, spec: Spec) -> Self {
        let (source, feed) = fed(spec);
        config.sources[0].unit = source;
        let options = Options { keep_decisions: true, ..Options::default() };
        let session = Session::start(config, &options, &Stop::default()).unwrap();
        Self { session, feed, fed: 0 }
    }

    /// Sends `n` more samples at once.
    pub fn feed(&mut self, n: u64) {
        self.feed.0.send(n).unwrap();
        self.fed += n;
    }

    /// The page of `id` as it stands.
    pub fn page(&self, id: &str) -> Page {
        self.session.running.facts().ledger.page_of(id).page()
    }

    pub fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        // Most often it is a matter of microseconds.
        let soon = |_| {
            done(self) || {
                std::thread::sleep(Duration::from_micros(100));
                false
            }
        };
        if !(0..50).any(soon) {
            until(what, || done(self));
        }
    }

    /// Ends the run when everything has come in. The counts must add up, whatever became of it.
    pub fn end(self) -> (Report, Result<()>) {
        self.until("the samples", |b| b.page("eeg").taken_in == b.fed);
        let fed = self.fed;
        let (report, result) = self.session.finish();
        assert_eq!(faults(&report.balance), [""; 0]);
        assert_eq!(page(&report, "eeg").indices, fed);
        (report, result)
    }
}

/// The page of `id` at the end.
pub fn page<'a>(report: &'a Report, id: &str) -> &'a Page {
    report.ledger.iter().find(|p| p.place == id).unwrap()
}

/// Loads a config from `text`; the place of its file does not matter.
pub fn load(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("doubles.toml");
    std::fs::write(&path, text).unwrap();
    config::load(&path, &[]).unwrap()
}

/// Samples of `channels` numbered channels.
pub fn samples(channels: usize, rate_hz: f64) -> Spec {
    let channels = (0..channels).map(|i| Channel::named(i.to_string())).collect();
    Spec::samples(channels, rate_hz, (rate_hz * 0.02).ceil() as usize)
}

/// A live source that sends what it is told to.
struct Fed {
    spec: Spec,
    told: mpsc::Receiver<u64>,
    /// Samples still to send before it listens again, and the index of the next one.
    due: u64,
    next: u64,
}

/// Tells a [`Fed`] source how many samples to send, in blocks as long as they may be; it ends when this is
/// dropped.
struct Feed(mpsc::Sender<u64>);

fn fed(spec: Spec) -> (Box<dyn Source>, Feed) {
    let (tell, told) = mpsc::channel();
    (Box::new(Fed { spec, told, due: 0, next: 0 }), Feed(tell))
}

impl Source for Fed {
    fn open(&mut self, _ledger: Arc<Counters>) -> Result<Spec> {
        Ok(self.spec.clone())
    }

    fn read(&mut self, block: &mut Frame) -> Result<Read> {
        if self.due == 0 {
            self.due = match self.told.recv_timeout(Duration::from_millis(50)) {
                Ok(n) => n,
                Err(mpsc::RecvTimeoutError::Timeout) => return Ok(Read::Idle),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(Read::End),
            };
        }
        let rows = self.due.min(self.spec.rows as u64);
        let (first, last) = (self.next, self.next + rows - 1);
        (self.due, self.next) = (self.due - rows, self.next + rows);
        block.resize(rows as usize, self.spec.cols);
        for (i, value) in (first * self.spec.cols as u64..).zip(&mut block.data) {
            *value = noise(i);
        }
        let [first_s, last_s] = [first, last].map(|n| n as f64 / self.spec.rate_hz);
        block.span = Span { first, last, first_s, last_s, ..block.span };
        Ok(Read::Filled)
    }
}

/// A live source of noise at the pace of life: the same second over and over, so that making it costs
/// nothing.
struct Paced {
    spec: Spec,
    second: Vec<f64>,
    next: u64,
    start_s: f64,
}

pub fn paced(spec: Spec) -> Box<dyn Source> {
    let second = (0..spec.rate_hz as u64 * spec.cols as u64).map(noise).collect();
    Box::new(Paced { spec, second, next: 0, start_s: 0.0 })
}

impl Source for Paced {
    fn open(&mut self, _ledger: Arc<Counters>) -> Result<Spec> {
        Ok(self.spec.clone())
    }

    fn start(&mut self, at_s: f64) {
        self.start_s = at_s;
    }

    fn read(&mut self, block: &mut Frame) -> Result<Read> {
        let (rows, rate_hz) = (self.spec.rows, self.spec.rate_hz);
        let (first, last) = (self.next, self.next + rows as u64 - 1);
        let [first_s, last_s] = [first, last].map(|n| self.start_s + n as f64 / rate_hz);
        if let Ok(wait) = Duration::try_from_secs_f64(last_s - clock::now_s()) {
            std::thread::sleep(wait);
        }
        let n = rows * self.spec.cols;
        let from = first as usize * self.spec.cols % (self.second.len() / n * n);
        block.resize(rows, self.spec.cols);
        block.data.copy_from_slice(&self.second[from..from + n]);
        block.span = Span { first, last, first_s, last_s, ..block.span };
        self.next = last + 1;
        Ok(Read::Filled)
    }
}

/// A number between -20 and 20 that looks like chance.
pub fn noise(i: u64) -> f64 {
    let mixed = (i ^ 0x5eed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) * 40.0
}

/// A gate that threads wait at while it is shut.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub fn pass(&self) {
        let mut open = self.0.0.lock().unwrap();
        while !*open {
            open = self.0.1.wait(open).unwrap();
        }
    }
}

/// What a double does with each frame before it goes on.
pub type Work = Box<dyn FnMut(&Frame) + Send>;

/// A stage that passes on what it gets, after `work`.
struct Pass {
    work: Work,
    out: Frame,
}

pub fn pass(work: impl FnMut(&Frame) + Send + 'static) -> Box<dyn Stage> {
    Box::new(Pass { work: Box::new(work), out: Spec::markers().frame() })
}

impl Stage for Pass {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        self.out = inputs[0].frame();
        Ok(inputs[0].clone())
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        (self.work)(frame);
        self.out.copy_from(frame);
        emit.emit(&mut self.out);
        Ok(())
    }

    fn reset(&mut self) {}
}

/// A decoder that decides for one of two classes by the mean of what it gets, after `work`.
struct Decide {
    work: Work,
    out: Frame,
}

pub fn decide(work: impl FnMut(&Frame) + Send + 'static) -> Box<dyn Stage> {
    Box::new(Decide { work: Box::new(work), out: Spec::markers().frame() })
}

impl Stage for Decide {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let classes = vec!["left".to_owned(), "right".to_owned()];
        let (payload, channels) = (Payload::Scores, Vec::new());
        let spec = Spec { payload, rows: 1, cols: 2, channels, classes, ..inputs[0].clone() };
        self.out = spec.frame();
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        (self.work)(frame);
        self.out.copy_head(frame);
        self.out.resize(1, 2);
        let mean = frame.data.iter().sum::<f64>() / frame.data.len().max(1) as f64;
        let left = 1.0 / (1.0 + mean.exp());
        self.out.data.copy_from_slice(&[left, 1.0 - left]);
        emit.emit(&mut self.out);
        Ok(())
    }

    fn reset(&mut self) {}
}

/// A sink that does with each frame what the test says.
pub struct Write<F>(pub F);

impl<F: FnMut(&Delivery) -> Result<()> + Send> Sink for Write<F> {
    fn open(&mut self, _inputs: &[Spec], _run: &RunFacts) -> Result<()> {
        Ok(())
    }

    fn write(&mut self, delivery: &Delivery) -> Result<()> {
        (self.0)(delivery)
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What a double has seen, in order: the index of the newest sample of each frame, and its marks.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<(u64, Flags)>>>);

impl Seen {
    pub fn note(&self, frame: &Frame) {
        self.0.lock().unwrap().push((frame.span.last, frame.flags));
    }

    pub fn lasts(&self) -> Vec<u64> {
        self.0.lock().unwrap().iter().map(|(last, _)| *last).collect()
    }

    pub fn all(&self) -> Vec<(u64, Flags)> {
        self.0.lock().unwrap().clone()
    }
}
