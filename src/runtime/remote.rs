//! A network on another host: asked and waited for like a [`Timed`](super::Timed) one.
//!
//! Whoever asks only writes into a ring and waits at a doorbell; a thread of its own sends, and one of zenoh's takes in
//! what is answered. Every [`HELLO`] the thread greets the host. Who is greeted and says nothing for [`SILENCE`] is lost,
//! and so is who no longer serves the model; then windows are no longer sent, until the host has answered a
//! greeting. Both are written into the ledger.

use super::network::Network;
use super::timed::Unanswered;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Cause, Counters};
use crate::ring::{Consumer, Doorbell, Producer, ring};
use crate::wire::zenoh::Link;
use crate::wire::zenoh::access::{Access, Endpoint};
use crate::wire::zenoh::message::{self, Head, Kind, Message, Width};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The time between two greetings.
const HELLO: Duration = Duration::from_millis(200);
/// For how long a host may say nothing before it counts as lost.
const SILENCE: Duration = Duration::from_secs(1);
/// For how long the first answer is waited for.
const GREETING: Duration = Duration::from_secs(4);
/// Questions that may wait to be sent, and answers that may wait to be read.
const PLACES: usize = 4;

/// Another machine on which a network runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Where it listens: "tls/HOST:PORT", or "tcp/HOST:PORT" on this machine.
    pub connect: String,
    /// A file with a line NAME:SECRET that the host knows as well.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// The certificate of who has signed that of the host (PEM); the public ones when left out.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

impl Host {
    /// Whether this build can reach it, and may.
    pub fn check(&self) -> Result<()> {
        Link::check()?;
        Endpoint::parse(&self.connect)?.check(&self.access())
    }

    fn access(&self) -> Access {
        Access { token_file: self.token_file.clone(), ca: self.ca.clone(), certificate: None }
    }
}

/// A network on another host that is asked and waited for.
pub struct Remote {
    questions: Producer<Question>,
    answers: Consumer<Answer>,
    ask: Doorbell,
    answered: Doorbell,
    shared: Arc<Shared>,
    /// The number of the newest question.
    asked: u64,
    outputs: Vec<Vec<f64>>,
    thread: Option<JoinHandle<()>>,
}

struct Question {
    number: u64,
    inputs: Vec<Vec<f64>>,
}

struct Answer {
    number: u64,
    kind: Kind,
    outputs: Vec<Vec<f64>>,
}

/// What the one who asks and the thread both know.
#[derive(Default)]
struct Shared {
    /// Whether the host answers and serves the model.
    is_ready: AtomicBool,
    stop: AtomicBool,
    /// The newest sample that was asked about.
    index: AtomicU64,
    page: OnceLock<Arc<Counters>>,
    /// What the host was like when it was last looked at.
    state: Mutex<State>,
}

/// What is known of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum State {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It prepares the network.
    Warming,
    /// It answers.
    Ready,
    /// It cannot be reached, or says nothing; why, if that is known.
    Absent(String),
    /// It is there, but this will not do.
    Unfit(String),
}

impl Remote {
    /// Greets `host` for the network that is open here as `network`, and bound. `lengths` says how many numbers of each
    /// input come with each question; an input of length 0 stays as it is. A host that is not there is waited for
    /// later; one that is, but does not serve this very network, is an error.
    pub fn start(host: &Host, network: &Network, lengths: &[usize]) -> Result<Self> {
        let place = Endpoint::parse(&host.connect)?;
        let (shapes, inputs): (Vec<_>, Vec<_>) =
            (0..lengths.len()).map(|i| network.input(i)).unzip();
        let outputs: Vec<Vec<f64>> =
            (0..network.outputs().len()).map(|i| network.output(i).to_vec()).collect();
        let question = || Question { number: 0, inputs: inputs.clone() };
        let answer = || Answer { number: 0, kind: Kind::Failed, outputs: outputs.clone() };
        let (questions, asked) = ring((0..PLACES).map(|_| question()).collect());
        let (told, answers) = ring((0..PLACES).map(|_| answer()).collect());
        let (ask, answered, shared) = <(Doorbell, Doorbell, Arc<Shared>)>::default();
        let head = head(network)?;
        let ear = Arc::new(Ear {
            model: head.model,
            shapes: (0..outputs.len()).map(|i| network.shape(i).to_vec()).collect(),
            answers: Mutex::new(told),
            answered: answered.clone(),
            news: Mutex::new(News { state: State::Unknown, heard: Instant::now() }),
        });
        let caller = Caller {
            place,
            access: host.access(),
            head,
            shapes,
            questions: asked,
            ask: ask.clone(),
            shared: shared.clone(),
            ear,
            lost: None,
            bytes: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name("remote".into())
            .spawn(move || caller.work())
            .map_err(|e| Error::run(format!("the thread for the host does not start: {e}")))?;
        let remote = Self {
            questions,
            answers,
            ask,
            answered,
            shared,
            asked: 0,
            outputs,
            thread: Some(thread),
        };
        remote.greet(&host.connect)?;
        Ok(remote)
    }

    /// Waits for the first answer of the host.
    fn greet(&self, place: &str) -> Result<()> {
        let until = Instant::now() + GREETING;
        loop {
            let state = self.shared.state().clone();
            let is_late = Instant::now() >= until;
            match state {
                State::Ready => return Ok(()),
                State::Unfit(why) => return Err(Error::mismatch(why).at(place)),
                State::Absent(why) => {
                    tracing::error!("the host {place} is not there yet, windows fall back: {why}");
                    return Ok(());
                }
                State::Unknown | State::Warming if is_late => {
                    tracing::warn!("the host {place} is not ready yet, windows fall back");
                    return Ok(());
                }
                State::Unknown | State::Warming => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// **Control.** Where it is written down when the host is lost and when it is back.
    pub fn account(&self, page: &Arc<Counters>) {
        let _ = self.shared.page.set(page.clone());
    }

    /// **Data.** Lets `fill` write each input and waits for the answer, at most until `until`; not at all while the
    /// host is lost. `index` is the newest sample that the question is about.
    pub fn run(
        &mut self,
        index: u64,
        fill: impl FnOnce(&mut [Vec<f64>]),
        until: Instant,
    ) -> Result<(), Unanswered> {
        self.shared.index.store(index, Ordering::Relaxed);
        if !self.shared.is_ready.load(Ordering::Acquire) {
            return Err(Unanswered::Late);
        }
        self.asked += 1;
        let number = self.asked;
        let is_sent = self.questions.push_with(|question| {
            question.number = number;
            fill(&mut question.inputs);
        });
        if !is_sent {
            return Err(Unanswered::Busy);
        }
        self.ask.ring();
        loop {
            if let Some(outcome) = self.take_answer() {
                return outcome;
            }
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|d| !d.is_zero())
            else {
                return Err(Unanswered::Late);
            };
            self.answered.wait(left, || self.answers.waiting() > 0);
        }
    }

    /// The answer to the newest question, if it has come; those to earlier ones are thrown away.
    fn take_answer(&mut self) -> Option<Result<(), Unanswered>> {
        let (outputs, asked) = (&mut self.outputs, self.asked);
        loop {
            let outcome = self.answers.pop_with(|answer| match answer.kind {
                _ if answer.number != asked => None,
                Kind::Outputs => {
                    std::mem::swap(outputs, &mut answer.outputs);
                    Some(Ok(()))
                }
                Kind::Busy => Some(Err(Unanswered::Busy)),
                _ => Some(Err(Unanswered::Failed)),
            })?;
            if outcome.is_some() {
                return outcome;
            }
        }
    }

    /// Output `i` of the newest run that was answered.
    pub fn output(&self, i: usize) -> &[f64] {
        self.outputs.get(i).map_or(&[], Vec::as_slice)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.ask.ring();
        // To say goodbye may take as long as to connect; nobody waits for that.
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// How messages about `network` begin.
fn head(network: &Network) -> Result<Head> {
    let model = message::hash(&network.facts().sha256);
    let width = match network.inputs().iter().all(super::Port::is_single) {
        true => Width::Single,
        false => Width::Double,
    };
    let model = model.ok_or_else(|| Error::run("the hash of the model cannot be read"))?;
    Ok(Head { kind: Kind::Hello, width, number: 0, model })
}

/// What takes in what the host says, on a thread of zenoh's.
struct Ear {
    model: message::Hash,
    /// The shapes of the outputs, as they are here.
    shapes: Vec<Vec<usize>>,
    answers: Mutex<Producer<Answer>>,
    answered: Doorbell,
    news: Mutex<News>,
}

/// What the host has said of itself, and when it last said anything.
struct News {
    state: State,
    heard: Instant,
}

impl Ear {
    fn hear(&self, bytes: &[u8]) {
        let Ok(message) = Message::read(bytes) else { return };
        if message.head.model != self.model {
            return;
        }
        let state = match message.head.kind {
            Kind::Ready if message.shapes().eq(self.shapes.iter().cloned()) => Some(State::Ready),
            Kind::Ready => Some(State::Unfit("the host makes outputs of other shapes".into())),
            Kind::Warming => Some(State::Warming),
            Kind::Unknown => Some(State::Unfit(format!(
                "the host serves no model with the SHA-256 {}: start it with this very file",
                hex(&self.model)
            ))),
            Kind::Misfit => {
                Some(State::Unfit("the host has no room for windows of this shape".into()))
            }
            _ => None,
        };
        match state {
            None => self.answer(&message),
            Some(state) => self.news().state = state,
        }
        self.news().heard = Instant::now();
    }

    fn answer(&self, message: &Message<'_>) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push_with(|answer| {
            (answer.number, answer.kind) = (message.head.number, message.head.kind);
            if answer.kind == Kind::Outputs && !message.copy_to(&mut answer.outputs) {
                answer.kind = Kind::Failed;
            }
        });
        drop(answers);
        self.answered.ring();
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hex(hash: &message::Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What runs on the thread.
struct Caller {
    place: Endpoint,
    access: Access,
    head: Head,
    /// The shapes of the inputs.
    shapes: Vec<Vec<usize>>,
    questions: Consumer<Question>,
    ask: Doorbell,
    shared: Arc<Shared>,
    ear: Arc<Ear>,
    /// Since when the host is lost, if it is and that is written down.
    lost: Option<Instant>,
    bytes: Vec<u8>,
}

impl Caller {
    fn work(mut self) {
        let Some(link) = self.connect() else { return };
        self.ear.news().heard = Instant::now();
        let mut greeted: Option<Instant> = None;
        while !self.shared.is_over() {
            self.pass_on(&link);
            let since = greeted.map(|at| at.elapsed()).filter(|since| *since < HELLO);
            if since.is_none() {
                greeted = Some(Instant::now());
                self.greet(&link);
            }
            self.look();
            let (questions, shared) = (&self.questions, &self.shared);
            self.ask.wait(HELLO - since.unwrap_or_default(), || {
                questions.waiting() > 0 || shared.is_over()
            });
        }
    }

    /// Connects, however long it takes; `None` when it is over before.
    fn connect(&mut self) -> Option<Link> {
        while !self.shared.is_over() {
            let ear = self.ear.clone();
            match Link::connect(&self.place, &self.access, move |bytes| ear.hear(bytes)) {
                Ok(link) => return Some(link),
                Err(e) if e.kind() == ErrorKind::Missing => {
                    self.found(State::Absent(e.to_string()))
                }
                Err(e) => self.found(State::Unfit(e.to_string())),
            }
            let shared = &self.shared;
            self.ask.wait(HELLO, || shared.is_over());
        }
        None
    }

    /// Sends the questions that wait.
    fn pass_on(&mut self, link: &Link) {
        let (head, shapes, bytes) = (self.head, &self.shapes, &mut self.bytes);
        let mut send = |question: &mut Question| {
            let head = Head { kind: Kind::Window, number: question.number, ..head };
            head.write(bytes, shapes, question.inputs.iter().map(Vec::as_slice));
            link.ask(bytes);
        };
        while self.questions.pop_with(&mut send).is_some() {}
    }

    fn greet(&mut self, link: &Link) {
        self.head.write(&mut self.bytes, &self.shapes, std::iter::empty());
        link.ask(&self.bytes);
    }

    /// Looks what the host is like by now.
    fn look(&mut self) {
        let news = self.ear.news();
        let state = match news.heard.elapsed() > SILENCE {
            true => State::Absent("it says nothing".into()),
            false => news.state.clone(),
        };
        drop(news);
        self.found(state);
    }

    /// Takes down what the host is like.
    fn found(&mut self, state: State) {
        let is_ready = state == State::Ready;
        self.shared.is_ready.store(is_ready, Ordering::Release);
        let before = std::mem::replace(&mut *self.shared.state(), state.clone());
        let Some(page) = self.shared.page.get() else { return };
        let index = self.shared.index.load(Ordering::Relaxed);
        let place = &self.place.text;
        match (state, self.lost) {
            (State::Ready, Some(since)) => {
                self.lost = None;
                let text = format!(
                    "the host {place} is back after {:.1} s",
                    since.elapsed().as_secs_f64()
                );
                page.note(Cause::HostLost, 0, index, text);
            }
            (State::Absent(why) | State::Unfit(why), None) => {
                self.lost = Some(Instant::now());
                let text = format!("the host {place} is lost, windows fall back: {why}");
                page.note(Cause::HostLost, 1, index, text);
            }
            (State::Warming, None) if before == State::Ready => {
                self.lost = Some(Instant::now());
                let text = format!("the host {place} prepares the network anew, windows fall back");
                page.note(Cause::HostLost, 1, index, text);
            }
            (State::Unfit(why), Some(_)) if before != State::Unfit(why.clone()) => {
                let text = format!("the host {place} is there, but will not do: {why}");
                page.note(Cause::HostLost, 0, index, text);
            }
            _ => {}
        }
    }
}
