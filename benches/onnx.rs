//! What the stage `onnx` costs beside a bare call of ONNX Runtime, in turns, on the networks that come along.
//!
//! `cargo bench --bench onnx`. The bare call is `Session::run_binding` of the `ort` crate on tensors that are bound
//! once; the stage takes a window of 64-bit numbers, scales it as the manifest says, converts it, runs the network and
//! makes a frame of what it says. Without a budget it runs on the lane's thread, with one on a thread of its own. What is left of the stage without
//! the bare call and the scaling, which anybody has to do who calls it, is its overhead.
#![allow(missing_docs, clippy::unwrap_used)]

use ort::session::{NoSelectedOutputs, RunOptions, Session};
use ort::value::Tensor;
use saltatory::frame::{Channel, Direction, Frame, Payload, Spec};
use saltatory::ledger::Cause;
use saltatory::runtime::{Feed, Manifest, Network, Options};
use saltatory::stages::{Emit, Stage, decode};
use std::path::Path;
use std::time::Instant;

/// Calls of each sort.
const CALLS: usize = 3000;

struct Nowhere;

impl Emit for Nowhere {
    fn emit(&mut self, _frame: &mut Frame) {}
    fn count(&mut self, cause: Cause, _n: u64) {
        assert_ne!(cause, Cause::Fault);
    }
}

fn main() {
    println!("version of ONNX Runtime: {}", saltatory::runtime::version().unwrap());
    println!(
        "{:<28} {:>9} {:>9} {:>9} {:>9} {:>10} {:>9}",
        "us, medians", "bare", "scaling", "stage", "left", "of bare", "budget"
    );
    for (model, rows, payload) in [
        ("models/eegnet.onnx", 320, Payload::Window),
        ("models/emotion.onnx", 14, Payload::Nodes),
        ("models/meg.onnx", 180, Payload::Window),
    ] {
        if Path::new(model).exists() {
            compare(model, rows, payload);
        }
    }
}

fn compare(model: &str, rows: usize, payload: Payload) {
    let network = Network::open(Path::new(model), &Options::default()).unwrap();
    let manifest = Manifest::of(Path::new(model), &network).unwrap();
    let known = manifest.input.channels.iter().map(Channel::named);
    let spec = match payload {
        Payload::Nodes => {
            Spec { payload, rows, cols: 4, channels: known.collect(), ..Spec::markers() }
        }
        _ => {
            let channels: Vec<Channel> = if manifest.input.channels.is_empty() {
                (1..=271_u32).map(sensor).collect()
            } else {
                known.collect()
            };
            Spec {
                payload,
                ..Spec::samples(channels, manifest.input.rate_hz.unwrap_or(160.0), rows)
            }
        }
    };
    let mut frame = spec.frame();
    frame.resize(spec.rows, spec.cols);
    frame.data.iter_mut().enumerate().for_each(|(i, v)| *v = ((i * 7919) % 101) as f64 - 50.0);
    let mut bare = Bare::new(model, &network, spec.rows, spec.cols, payload);
    let kind = decode::KINDS.iter().find(|k| k.name == "onnx").unwrap();
    let stage = |more: &str| -> Box<dyn Stage> {
        let mut stage = kind.from_toml(&format!("model = {model:?}\n{more}")).unwrap().unit;
        stage.prepare(std::slice::from_ref(&spec)).unwrap();
        stage
    };
    let (mut direct, mut timed) = (stage(""), stage("budget_ms = 1000.0"));
    let (mut feed, _) = Feed::new(&manifest.input, &spec).unwrap();
    let mut times = [const { Vec::new() }; 4];
    for i in 0..CALLS + 100 {
        let one = [
            time(|| bare.run()),
            time(|| direct.process(&mut frame, &mut Nowhere).unwrap()),
            time(|| timed.process(&mut frame, &mut Nowhere).unwrap()),
            time(|| {
                std::hint::black_box(feed.numbers(&frame));
            }),
        ];
        if i >= 100 {
            times.iter_mut().zip(one).for_each(|(all, one)| all.push(one));
        }
    }
    let [bare, direct, timed, fed] = times.map(median);
    let more = direct - bare - fed;
    println!(
        "{model:<28} {bare:>9.1} {fed:>9.1} {direct:>9.1} {more:>9.1} {:>8.1} % {timed:>9.1}",
        100.0 * more / bare
    );
}

/// A sensor somewhere on the upper half of the head.
fn sensor(i: u32) -> Channel {
    let (angle, height) = (f64::from(i) * 2.4, f64::from(i) / 272.0);
    let across = (1.0 - height * height).sqrt();
    let direction = Direction::to([across * angle.cos(), across * angle.sin(), height]);
    Channel { direction, ..Channel::named(format!("MEG{i:03}")) }
}

fn time(work: impl FnOnce()) -> f64 {
    let since = Instant::now();
    work();
    since.elapsed().as_secs_f64() * 1e6
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// A session with everything bound.
struct Bare {
    session: Session,
    binding: ort::session::IoBinding,
    options: RunOptions<NoSelectedOutputs>,
}

impl Bare {
    fn new(model: &str, network: &Network, rows: usize, cols: usize, payload: Payload) -> Self {
        let environment = saltatory::runtime::environment().unwrap();
        let mut session = Session::builder(&environment)
            .unwrap()
            .with_intra_threads(1)
            .unwrap()
            .with_inter_threads(1)
            .unwrap()
            .with_intra_op_spinning(false)
            .unwrap()
            .commit_from_file(model)
            .unwrap();
        let mut binding = session.create_binding().unwrap();
        let free = if payload == Payload::Nodes { [rows, cols] } else { [cols, rows] };
        for port in network.inputs() {
            let mut left = free.into_iter();
            let shape: Vec<usize> = port
                .axes
                .iter()
                .map(|axis| match axis {
                    saltatory::runtime::Axis::Fixed(n) => *n,
                    saltatory::runtime::Axis::Free(_) => left.next().unwrap_or(1),
                })
                .collect();
            let length = shape.iter().product();
            let values: Vec<f32> =
                (0..length).map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0).collect();
            binding.bind_input(&port.name, &Tensor::from_array((shape, values)).unwrap()).unwrap();
        }
        let memory = ort::memory::MemoryInfo::default();
        for port in network.outputs() {
            binding.bind_output_to_device(&port.name, &memory).unwrap();
        }
        let options = RunOptions::new().unwrap();
        session.run_binding_with_options(&binding, &options).unwrap();
        Self { session, binding, options }
    }

    fn run(&mut self) {
        self.session.run_binding_with_options(&self.binding, &self.options).unwrap();
    }
}
