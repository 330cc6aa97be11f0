//! Networks that others ask over the network: the other end of [`Remote`](super::Remote).
//!
//! Each model has a seat for each set of shapes that is asked for: a network bound to these, on a thread of its own. A
//! seat is prepared when a client greets, or at once where the model leaves no shape open. Of one client only the newest
//! window waits: what it replaces, even if it is being worked on, is answered "busy".

use super::network::{Network, Options, Port, check_shapes};
use crate::error::{Error, Result};
use crate::wire::zenoh::access::{Access, Endpoint};
use crate::wire::zenoh::message::{self, Hash, Head, Kind, Message, Width};
use crate::wire::zenoh::{Back, Link};
use ort::session::{NoSelectedOutputs, RunOptions};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The most sets of shapes of one model.
const MAX_SEATS: usize = 8;
/// The most windows that wait for one seat; more of one client never do.
const MAX_WAITING: usize = 16;

/// Models that are served; ends when it is dropped.
pub struct Serving {
    models: Arc<Vec<Model>>,
    _link: Link,
}

/// What became of the windows for one model.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// The file.
    pub model: PathBuf,
    /// Its SHA-256.
    pub sha256: String,
    /// Windows that were answered.
    pub answered: u64,
    /// Windows that were passed over for newer ones.
    pub busy: u64,
    /// Windows on which the network failed.
    pub failed: u64,
}

impl Serving {
    /// Opens the models in `paths` and lets clients ask at `place`.
    pub fn start(
        paths: &[PathBuf],
        options: Options,
        place: &Endpoint,
        access: &Access,
    ) -> Result<Self> {
        place.check(access)?;
        let models: Vec<Model> =
            paths.iter().map(|path| Model::open(path, options)).collect::<Result<_>>()?;
        let models = Arc::new(models);
        let asked = models.clone();
        let hear = move |back: &Back, bytes: &[u8]| hear(&asked, back, bytes);
        let link = Link::listen(place, access, hear).map_err(|e| e.at(&place.text))?;
        Ok(Self { models, _link: link })
    }

    /// What became of the windows so far, model by model.
    pub fn tallies(&self) -> Vec<Tally> {
        self.models.iter().map(Model::tally).collect()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.models.iter().for_each(Model::close);
    }
}

/// Answers a message, or puts it where it will be answered.
fn hear(models: &[Model], back: &Back, bytes: &[u8]) {
    let message = match Message::read(bytes) {
        Ok(message) => message,
        Err(e) => return tracing::warn!("a message of {}: {e}", back.client()),
    };
    let head = message.head;
    let Some(model) = models.iter().find(|model| model.hash == head.model) else {
        return say(back, head, Kind::Unknown);
    };
    match head.kind {
        Kind::Hello => model.greet(back, &message),
        Kind::Window => model.take(back, &message),
        _ => {}
    }
}

/// Answers with nothing but a word.
fn say(back: &Back, head: Head, kind: Kind) {
    let mut bytes = Vec::new();
    Head { kind, ..head }.write(&mut bytes, &[], std::iter::empty());
    back.answer(&bytes);
}

/// A model that is served.
struct Model {
    path: PathBuf,
    hash: Hash,
    sha256: String,
    options: Options,
    inputs: Vec<Port>,
    seats: Mutex<Vec<Arc<Seat>>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    busy: AtomicU64,
    failed: AtomicU64,
}

impl Model {
    fn open(path: &Path, options: Options) -> Result<Self> {
        let network = Network::open(path, &options)?;
        let sha256 = network.facts().sha256.clone();
        let hash = message::hash(&sha256)
            .ok_or_else(|| Error::run("its hash cannot be read").at(path.display()))?;
        let model = Self {
            path: path.to_owned(),
            hash,
            sha256,
            options,
            inputs: network.inputs().to_vec(),
            seats: Mutex::default(),
            counts: Arc::default(),
        };
        let shapes: Option<Vec<_>> = model.inputs.iter().map(Port::shape).collect();
        if let Some(shapes) = shapes {
            let seat = Arc::new(Seat::new(shapes, model.counts.clone()));
            let worker = Worker::new(seat.clone(), network).map_err(|e| e.at(path.display()))?;
            worker.start()?;
            model.seats().push(seat);
        }
        Ok(model)
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seat(&self, message: &Message<'_>) -> Option<Arc<Seat>> {
        self.seats().iter().find(|s| message.shapes().eq(s.shapes.iter().cloned())).cloned()
    }

    /// Says whether windows such as these may come, and prepares for them.
    fn greet(&self, back: &Back, message: &Message<'_>) {
        let seat = match self.seat(message) {
            Some(seat) => seat,
            None => match self.prepare(message.shapes().collect()) {
                Ok(seat) => seat,
                Err(e) => {
                    tracing::warn!("{}: refuses {}: {e}", self.path.display(), back.client());
                    return say(back, message.head, Kind::Misfit);
                }
            },
        };
        seat.greet(back, message.head);
    }

    /// Begins to prepare a seat for `shapes`.
    fn prepare(&self, shapes: Vec<Vec<usize>>) -> Result<Arc<Seat>> {
        check_shapes(&self.inputs, &shapes)?;
        let mut seats = self.seats();
        if seats.len() >= MAX_SEATS {
            return Err(Error::run(format!("{MAX_SEATS} other shapes are served already")));
        }
        let seat = Arc::new(Seat::new(shapes, self.counts.clone()));
        let (theirs, path, options) = (seat.clone(), self.path.clone(), self.options);
        let prepare = move || {
            let network = Network::open(&path, &options);
            match network.and_then(|network| Worker::new(theirs.clone(), network)) {
                Ok(worker) => worker.work(),
                Err(e) => {
                    tracing::warn!("{}: cannot be prepared: {e}", path.display());
                    theirs.queue().state = State::Refused;
                }
            }
        };
        spawn(prepare)?;
        seats.push(seat.clone());
        Ok(seat)
    }

    /// Puts a window where it will be answered.
    fn take(&self, back: &Back, message: &Message<'_>) {
        match self.seat(message) {
            Some(seat) => seat.take(back, message),
            None => say(back, message.head, Kind::Misfit),
        }
    }

    fn close(&self) {
        self.seats().drain(..).for_each(|seat| seat.close());
    }

    fn tally(&self) -> Tally {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Tally {
            model: self.path.clone(),
            sha256: self.sha256.clone(),
            answered: read(&self.counts.answered),
            busy: read(&self.counts.busy),
            failed: read(&self.counts.failed),
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name("network".into()).spawn(work);
    thread.map(|_| ()).map_err(|e| Error::run(format!("the network's thread does not start: {e}")))
}

/// A network bound to shapes, and the windows that wait for it.
struct Seat {
    shapes: Vec<Vec<usize>>,
    counts: Arc<Counts>,
    queue: Mutex<Queue>,
    bell: Condvar,
}

struct Queue {
    state: State,
    waiting: VecDeque<Window>,
    /// Whose window is worked on.
    running: Option<String>,
    /// What ends a run.
    run: Option<Arc<RunOptions<NoSelectedOutputs>>>,
    /// Rooms for numbers that are not used at the moment.
    spare: Vec<Vec<Vec<f64>>>,
}

enum State {
    /// The network is being prepared.
    Warming,
    /// Windows are taken; the outputs have these shapes.
    Ready(Vec<Vec<usize>>),
    /// The model does not take such shapes.
    Refused,
    /// It is over.
    Closed,
}

struct Window {
    back: Back,
    head: Head,
    numbers: Vec<Vec<f64>>,
}

impl Seat {
    fn new(shapes: Vec<Vec<usize>>, counts: Arc<Counts>) -> Self {
        let queue = Queue {
            state: State::Warming,
            waiting: VecDeque::new(),
            running: None,
            run: None,
            spare: Vec::new(),
        };
        Self { shapes, counts, queue: Mutex::new(queue), bell: Condvar::new() }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn greet(&self, back: &Back, head: Head) {
        let kind = match &self.queue().state {
            State::Ready(shapes) => {
                let mut bytes = Vec::new();
                let head = Head { kind: Kind::Ready, ..head };
                head.write(&mut bytes, shapes, std::iter::empty());
                return back.answer(&bytes);
            }
            State::Warming => Kind::Warming,
            State::Refused | State::Closed => Kind::Misfit,
        };
        say(back, head, kind);
    }

    /// Puts a window into the queue. What it replaces is answered.
    fn take(&self, back: &Back, message: &Message<'_>) {
        let mut queue = self.queue();
        if !matches!(queue.state, State::Ready(_)) {
            drop(queue);
            return self.pass_over(back, message.head);
        }
        let mut numbers = queue.spare.pop().unwrap_or_else(|| self.room());
        if !message.copy_to(&mut numbers) {
            drop(queue);
            return say(back, message.head, Kind::Misfit);
        }
        // Whoever asks again no longer waits for the answer before.
        if queue.running.as_deref() == Some(back.client()) {
            let _ = queue.run.as_ref().map(|run| run.terminate());
        }
        let same = queue.waiting.iter().position(|w| w.back.client() == back.client());
        let given_up = match same {
            Some(at) => queue.waiting.remove(at),
            None if queue.waiting.len() >= MAX_WAITING => queue.waiting.pop_front(),
            None => None,
        };
        queue.waiting.push_back(Window { back: back.clone(), head: message.head, numbers });
        drop(queue);
        self.bell.notify_one();
        if let Some(window) = given_up {
            self.pass_over(&window.back, window.head);
            self.queue().spare.push(window.numbers);
        }
    }

    fn room(&self) -> Vec<Vec<f64>> {
        self.shapes.iter().map(|shape| vec![0.0; shape.iter().product()]).collect()
    }

    fn pass_over(&self, back: &Back, head: Head) {
        self.counts.busy.fetch_add(1, Ordering::Relaxed);
        say(back, head, Kind::Busy);
    }

    /// Waits for the next window; `None` when it is over.
    fn next(&self) -> Option<Window> {
        let mut queue = self.queue();
        loop {
            if matches!(queue.state, State::Closed) {
                return None;
            }
            if let Some(window) = queue.waiting.pop_front() {
                queue.running = Some(window.back.client().to_owned());
                // A run that was told to end has ended by now.
                let _ = queue.run.as_ref().map(|run| run.unterminate());
                return Some(window);
            }
            queue = self.bell.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        let mut queue = self.queue();
        queue.state = State::Closed;
        let _ = queue.run.as_ref().map(|run| run.terminate());
        drop(queue);
        self.bell.notify_all();
    }
}

/// What runs on the thread of a seat.
struct Worker {
    seat: Arc<Seat>,
    network: Network,
    width: Width,
    shapes: Vec<Vec<usize>>,
    bytes: Vec<u8>,
}

impl Worker {
    /// Prepares `network` for the shapes of `seat`, which is then ready.
    fn new(seat: Arc<Seat>, mut network: Network) -> Result<Self> {
        network.bind(&seat.shapes)?;
        let shapes: Vec<Vec<usize>> =
            (0..network.outputs().len()).map(|i| network.shape(i).to_vec()).collect();
        let width = match network.outputs().iter().all(Port::is_single) {
            true => Width::Single,
            false => Width::Double,
        };
        let mut queue = seat.queue();
        queue.run = network.options();
        if !matches!(queue.state, State::Closed) {
            queue.state = State::Ready(shapes.clone());
        }
        drop(queue);
        Ok(Self { seat, network, width, shapes, bytes: Vec::new() })
    }

    fn start(self) -> Result<()> {
        spawn(move || self.work())
    }

    fn work(mut self) {
        while let Some(window) = self.seat.next() {
            for (i, numbers) in window.numbers.iter().enumerate() {
                self.network.set(i, 0, numbers.iter().copied());
            }
            let outcome = self.network.run();
            self.answer(&window, outcome);
            let mut queue = self.seat.queue();
            queue.running = None;
            queue.spare.push(window.numbers);
        }
    }

    fn answer(&mut self, window: &Window, outcome: Result<(), super::Stop>) {
        let counts = &self.seat.counts;
        match outcome {
            Ok(()) => {
                counts.answered.fetch_add(1, Ordering::Relaxed);
                let head = Head { kind: Kind::Outputs, width: self.width, ..window.head };
                let outputs = (0..self.shapes.len()).map(|i| self.network.output(i));
                head.write(&mut self.bytes, &self.shapes, outputs);
                window.back.answer(&self.bytes);
            }
            Err(super::Stop::Terminated) => self.seat.pass_over(&window.back, window.head),
            Err(super::Stop::Failed) => {
                counts.failed.fetch_add(1, Ordering::Relaxed);
                say(&window.back, window.head, Kind::Failed);
            }
        }
    }
}
