//! A network on a thread of its own, so that whoever waits for it can stop waiting.
//!
//! A run that takes too long is told to end, which ONNX Runtime does between two operators. Until it has ended
//! the network is busy, and whoever asks is told so at once. What it says too late is thrown away.

use super::network::{Network, Stop};
use crate::error::{Error, Result};
use crate::ring::{Consumer, Doorbell, Producer, ring};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the thread sleeps at most before it looks whether it is to end.
const NAP: Duration = Duration::from_millis(100);

/// Numbers on their way to the network and back.
struct Job {
    /// Which question it is.
    number: u64,
    inputs: Vec<Vec<f64>>,
    outputs: Vec<Vec<f64>>,
    outcome: Result<(), Stop>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// It was not there in time.
    Late,
    /// The network still works on a question before.
    Busy,
    /// The network refused or failed.
    Failed,
}

/// A network that is asked and waited for.
pub struct Timed {
    questions: Producer<Job>,
    answers: Consumer<Job>,
    ask: Doorbell,
    answered: Doorbell,
    options: Arc<ort::session::RunOptions<ort::session::NoSelectedOutputs>>,
    /// The number of the newest question, and whether its answer is still to come.
    asked: u64,
    pending: bool,
    outputs: Vec<Vec<f64>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Timed {
    /// Starts a thread for `network`, which is bound. `lengths` says how many numbers each input has.
    pub fn start(network: Network, lengths: &[usize]) -> Result<Self> {
        let options =
            network.options().ok_or_else(|| Error::run("the network has not been prepared"))?;
        let outputs: Vec<Vec<f64>> =
            (0..network.outputs().len()).map(|i| network.output(i).to_vec()).collect();
        let job = || Job {
            number: 0,
            inputs: lengths.iter().map(|n| vec![0.0; *n]).collect(),
            outputs: outputs.clone(),
            outcome: Ok(()),
        };
        let (questions, asked) = ring(vec![job()]);
        let (told, answers) = ring(vec![job()]);
        let (ask, answered, stop) =
            (Doorbell::default(), Doorbell::default(), Arc::new(AtomicBool::new(false)));
        let mut worker = Worker {
            network,
            questions: asked,
            answers: told,
            ask: ask.clone(),
            answered: answered.clone(),
            stop: stop.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("network".into())
            .spawn(move || worker.work())
            .map_err(|e| Error::run(format!("the network's thread does not start: {e}")))?;
        Ok(Self {
            questions,
            answers,
            ask,
            answered,
            options,
            asked: 0,
            pending: false,
            outputs,
            stop,
            thread: Some(thread),
        })
    }

    /// **Data.** Lets `fill` write each input and waits for the answer, at most until `until`.
    pub fn run(
        &mut self,
        fill: impl FnOnce(&mut [Vec<f64>]),
        until: Instant,
    ) -> Result<(), Unanswered> {
        self.take_answer();
        if self.pending {
            return Err(Unanswered::Busy);
        }
        self.asked += 1;
        let number = self.asked;
        // A run that was told to end has ended by now.
        let _ = self.options.unterminate();
        self.questions.push_with(|job| {
            job.number = number;
            fill(&mut job.inputs);
        });
        self.pending = true;
        self.ask.ring();
        loop {
            if let Some(outcome) = self.take_answer() {
                return outcome.map_err(|_| Unanswered::Failed);
            }
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|d| !d.is_zero())
            else {
                let _ = self.options.terminate();
                return Err(Unanswered::Late);
            };
            self.answered.wait(left, || self.answers.waiting() > 0);
        }
    }

    /// The answer to the newest question, if it has come.
    fn take_answer(&mut self) -> Option<Result<(), Stop>> {
        let (outputs, asked) = (&mut self.outputs, self.asked);
        let outcome = self.answers.pop_with(|job| {
            std::mem::swap(outputs, &mut job.outputs);
            (job.number == asked).then_some(job.outcome)
        })?;
        self.pending = false;
        outcome
    }

    /// Output `i` of the newest run that was answered.
    pub fn output(&self, i: usize) -> &[f64] {
        self.outputs.get(i).map_or(&[], Vec::as_slice)
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = self.options.terminate();
        self.ask.ring();
        // A network that hangs in one operator cannot be ended; it must not hold up the program.
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}

/// What runs on the thread.
struct Worker {
    network: Network,
    questions: Consumer<Job>,
    answers: Producer<Job>,
    ask: Doorbell,
    answered: Doorbell,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn work(&mut self) {
        while !self.stop.load(Ordering::Acquire) {
            let (network, answers) = (&mut self.network, &mut self.answers);
            let done = self.questions.pop_with(|job| {
                for (i, input) in job.inputs.iter().enumerate() {
                    network.set(i, 0, input.iter().copied());
                }
                let outcome = network.run();
                answers.push_with(|answer| {
                    (answer.number, answer.outcome) = (job.number, outcome);
                    for (i, output) in answer.outputs.iter_mut().enumerate() {
                        output.clear();
                        output.extend_from_slice(network.output(i));
                    }
                });
            });
            match done {
                Some(()) => self.answered.ring(),
                None => self.ask.wait(NAP, || {
                    self.questions.waiting() > 0 || self.stop.load(Ordering::Acquire)
                }),
            }
        }
    }
}
