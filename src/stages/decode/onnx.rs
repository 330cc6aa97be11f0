//! Windows, vectors, matrices or features of nodes to whatever a network makes of them (ONNX).
//!
//! In: as the manifest of the model says ([`crate::runtime::Manifest`], docs/onnx.md): channels by name and order,
//! unit, rate, scaling, where the sensors are. Out: scores (of logits their softmax), a vector, a picture, or words.
//! A second input may bring the scores of a cheaper decoder for the same windows.
//!
//! **Budget.** With `budget_ms` the network runs on a thread of its own. A window for which no answer is there in
//! time is counted (`budget`), and so is one that comes while the network is still busy with the one before;
//! then `fallback` answers: nobody ("none"), the answer before ("previous"), or the second input ("other"), each
//! marked DEGRADED. Numbers that are not finite are a fault. The time for a window counts from when it comes here.
//!
//! **Host.** With `host` the network runs on another machine (docs/remote.md). While that one is lost, which is in the
//! ledger (`host_lost`), windows are answered by the fallback at once.
//!
//! Runs on a worker lane, since ONNX Runtime allocates and may take milliseconds. No delay.

use crate::error::{Error, Result};
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::ledger::{Cause, Counters};
use crate::runtime::{
    Feed, Host, Input, Manifest, Network, Options, Provider, Reading, Remote, Timed, UNKNOWN,
    Unanswered, places,
};
use crate::stages::{Emit, Fault, Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A network that was trained elsewhere (ONNX), with a manifest beside it that says what it expects and what
/// comes out. Runs on a lane of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The network; its manifest lies beside it, as `.toml`, or in its metadata.
    pub model: PathBuf,
    /// Threads of the network.
    #[serde(default = "one")]
    pub threads: usize,
    /// What it runs on: "cpu", "cuda", "tensorrt", "coreml", "directml".
    #[serde(default)]
    pub provider: Provider,
    /// For how long an answer is waited for; as long as it takes when left out.
    #[serde(default)]
    pub budget_ms: Option<f64>,
    /// What answers for a window when the network does not in time: "none", "previous" (its answer before) or
    /// "other" (the scores of another decoder, the second of `from`).
    #[serde(default)]
    pub fallback: Fallback,
    /// Another machine that runs the network (`saltatory host`), which has the same file: a table with `connect`, such
    /// as "tls/gpu-box:7447", `token_file` and `ca`. Threads and provider are then those of the host.
    #[serde(default)]
    pub host: Option<Host>,
}

fn one() -> usize {
    1
}

/// What answers in place of the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    /// Nobody: there is no decision on that window.
    #[default]
    None,
    /// The network's answer before.
    Previous,
    /// Another decoder.
    Other,
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str =
        "model = \"models/eegnet.onnx\"\nthreads = 1\nprovider = \"cpu\"\nfallback = \"none\"\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        if self.budget_ms.is_some_and(|ms| !(ms > 0.0 && ms.is_finite())) {
            return Err(Error::setting("budget_ms", "must be above 0"));
        }
        if self.fallback != Fallback::None && self.budget_ms.is_none() {
            let text = "answers when the network is late: say when that is (`budget_ms`)";
            return Err(Error::setting("fallback", text));
        }
        if let Some(host) = &self.host {
            check_host(host, &self)?;
        }
        Ok(Box::new(Onnx { settings: self, ready: None }))
    }
}

fn check_host(host: &Host, settings: &Settings) -> Result<()> {
    host.check().map_err(|e| e.blaming("host"))?;
    if settings.budget_ms.is_none() {
        let text = "may be lost: say for how long an answer is waited for (`budget_ms`)";
        return Err(Error::setting("host", text));
    }
    if settings.provider != Provider::Cpu {
        return Err(Error::setting("provider", "is that of the host: `saltatory host --provider`"));
    }
    Ok(())
}

struct Onnx {
    settings: Settings,
    /// Once it is prepared.
    ready: Option<Ready>,
}

struct Ready {
    engine: Engine,
    /// What its answers are signed with.
    model: u128,
    feed: Feed,
    /// Which input it feeds.
    data: usize,
    /// Which output counts.
    output: usize,
    /// What it means.
    reading: Reading,
    shape: (usize, usize),
    out: Frame,
    /// What answers for a window that the network is late for; without numbers if nothing does.
    substitute: Frame,
}

/// How the network is run.
enum Engine {
    Direct(Box<Network>),
    Timed(Timed, Duration),
    Remote(Remote, Duration),
}

impl Stage for Onnx {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let [input, others @ ..] = inputs else {
            return Err(Error::mismatch("takes one input, but is given none"));
        };
        self.ready = None;
        let (ready, spec) = Ready::new(&self.settings, input)?;
        check_other(self.settings.fallback, others, &spec)?;
        self.ready = Some(ready);
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let ready = self.ready.as_mut().ok_or(Fault("the stage is not prepared"))?;
        if frame.input == 1 {
            ready.substitute.copy_from(frame);
            return Ok(());
        }
        if (frame.rows, frame.cols) != ready.shape {
            return Err(Fault("the frame has another shape than was promised"));
        }
        match ready.run(frame) {
            Ok(()) => ready.answer(frame, self.settings.fallback, emit),
            Err(Unanswered::Failed) => Err(Fault("the network failed")),
            Err(Unanswered::Late | Unanswered::Busy) => {
                emit.count(Cause::Budget, 1);
                ready.fall_back(frame, self.settings.fallback, emit);
                Ok(())
            }
        }
    }

    fn reset(&mut self) {
        if let Some(ready) = &mut self.ready {
            ready.substitute.data.clear();
        }
    }

    fn account(&mut self, page: &Arc<Counters>) {
        if let Some(Ready { engine: Engine::Remote(network, _), .. }) = &self.ready {
            network.account(page);
        }
    }

    fn realtime(&self) -> bool {
        false
    }

    fn files(&self) -> Vec<PathBuf> {
        let model = &self.settings.model;
        vec![model.clone(), model.with_extension("toml")]
    }
}

/// Checks that another decoder is there if, and only if, it is to answer.
fn check_other(fallback: Fallback, others: &[Spec], spec: &Spec) -> Result<()> {
    match (fallback, others) {
        (Fallback::Other, [other]) if other.payload == Payload::Scores && other.classes == spec.classes => Ok(()),
        (Fallback::Other, _) => Err(Error::mismatch(format!(
            "the second input must be a decoder between {}, which is to answer when the network is late",
            spec.classes.join(", ")
        ))
        .blaming("fallback")),
        (_, []) => Ok(()),
        (_, others) => {
            let text = format!("takes one input, but is given {}; a second one only for `fallback = \"other\"`", 1 + others.len());
            Err(Error::mismatch(text))
        }
    }
}

impl Ready {
    fn new(settings: &Settings, input: &Spec) -> Result<(Self, Spec)> {
        let options = Options {
            threads: settings.threads,
            provider: settings.provider,
            ..Options::default()
        };
        let at_fault = |e: Error| e.blaming("model");
        let mut network = Network::open(&settings.model, &options).map_err(at_fault)?;
        let model = network.facts().signature();
        let manifest = Manifest::of(&settings.model, &network).map_err(at_fault)?;
        let here = |e: Error| e.at(settings.model.display()).blaming("model");
        let (feed, shape) = Feed::new(&manifest.input, input).map_err(here)?;
        let lengths = bind(&mut network, &manifest.input, shape, &feed, input).map_err(here)?;
        let data = usize::from(lengths.first() == Some(&0));
        let output = find_output(&network, &manifest).map_err(here)?;
        let reading = Reading::new(&manifest.output, network.shape(output), input).map_err(here)?;
        let spec = reading.spec().clone();
        let budget = settings.budget_ms.map(|ms| Duration::from_secs_f64(ms / 1e3));
        let engine = match (budget, &settings.host) {
            (None, _) => Engine::Direct(Box::new(network)),
            (Some(budget), None) => Engine::Timed(Timed::start(network, &lengths)?, budget),
            (Some(budget), Some(host)) => {
                let remote = Remote::start(host, &network, &lengths);
                Engine::Remote(remote.map_err(|e| e.blaming("host"))?, budget)
            }
        };
        let shape = (input.rows, input.cols);
        let (out, substitute) = (spec.frame(), spec.frame());
        Ok((Self { engine, model, feed, data, output, reading, shape, out, substitute }, spec))
    }

    /// Lets the network see `frame`.
    fn run(&mut self, frame: &Frame) -> Result<(), Unanswered> {
        match &mut self.engine {
            Engine::Direct(network) => {
                network.set(self.data, 0, self.feed.numbers(frame).iter().copied());
                network.run().map_err(|_| Unanswered::Failed)
            }
            Engine::Timed(network, budget) => {
                let until = Instant::now() + *budget;
                let (feed, data) = (&mut self.feed, self.data);
                network.run(|inputs| inputs[data].copy_from_slice(feed.numbers(frame)), until)
            }
            Engine::Remote(network, budget) => {
                let until = Instant::now() + *budget;
                let (feed, data) = (&mut self.feed, self.data);
                let fill =
                    |inputs: &mut [Vec<f64>]| inputs[data].copy_from_slice(feed.numbers(frame));
                network.run(frame.span.last, fill, until)
            }
        }
    }

    /// Sends what the network said of `frame`.
    fn answer(
        &mut self,
        frame: &Frame,
        fallback: Fallback,
        emit: &mut dyn Emit,
    ) -> Result<(), Fault> {
        let numbers = match &self.engine {
            Engine::Direct(network) => network.output(self.output),
            Engine::Timed(network, _) => network.output(self.output),
            Engine::Remote(network, _) => network.output(self.output),
        };
        self.out.copy_head(frame);
        self.out.model = self.model;
        self.reading.read(numbers, &mut self.out).map_err(Fault)?;
        if fallback == Fallback::Previous {
            self.substitute.copy_from(&self.out);
        }
        emit.emit(&mut self.out);
        Ok(())
    }

    /// Sends another answer for `frame`, if there is one.
    fn fall_back(&mut self, frame: &Frame, fallback: Fallback, emit: &mut dyn Emit) {
        let fits = fallback == Fallback::Previous || self.substitute.span.last == frame.span.last;
        if fallback == Fallback::None || self.substitute.data.is_empty() || !fits {
            return;
        }
        let model = self.substitute.model;
        self.out.copy_from(&self.substitute);
        self.out.copy_head(frame);
        self.out.model = model;
        self.out.input = 0;
        self.out.flags |= Flags::DEGRADED;
        emit.emit(&mut self.out);
    }
}

/// Makes `network` ready for numbers of `shape` that `feed` makes of frames of `spec`, and tells it where the
/// channels are if it wants to know. Returns how many numbers each input is given for each frame.
fn bind(
    network: &mut Network,
    input: &Input,
    shape: Vec<usize>,
    feed: &Feed,
    spec: &Spec,
) -> Result<Vec<usize>> {
    let Some(name) = &input.positions else {
        network.bind(&[shape])?;
        return Ok(vec![feed.len()]);
    };
    let at = network.inputs().iter().position(|port| port.name == *name);
    let at = at.filter(|at| *at < 2 && network.inputs().len() == 2).ok_or_else(|| {
        let text = format!("must have two inputs, one of them `{name}` for where the channels are");
        Error::mismatch(text)
    })?;
    let places = places(&feed.channels(spec));
    if places.iter().all(|place| *place == UNKNOWN) {
        return Err(Error::mismatch(
            "wants to know where the sensors are, but the stream does not say it of any channel, and no label is of the 10-20 system",
        ));
    }
    let mut shapes = vec![shape];
    shapes.insert(at, vec![places.len(), 2]);
    network.bind(&shapes)?;
    network.set(at, 0, places.into_iter().flatten());
    let mut lengths = vec![feed.len()];
    lengths.insert(at, 0);
    Ok(lengths)
}

/// The output that the manifest names, or the first.
fn find_output(network: &Network, manifest: &Manifest) -> Result<usize> {
    let Some(name) = &manifest.output.name else { return Ok(0) };
    let names = || network.outputs().iter().map(|port| port.name.as_str());
    names().position(|n| n == name).ok_or_else(|| {
        let known: Vec<&str> = names().collect();
        Error::mismatch(format!("has no output `{name}`, only {}", known.join(", ")))
    })
}
