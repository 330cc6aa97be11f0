//! Made-up input for stages of any kind: specs, frames, and labelled frames to learn from.

use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use saltatory::frame::graph::Layout;
use saltatory::frame::{Channel, Flags, Frame, Payload, Span, Spec};

pub const RATE_HZ: f64 = 160.0;
pub const START_S: f64 = 1000.0;
/// Length of the sample streams.
pub const SAMPLES: u64 = 1280;
/// The samples of the streams that are marked BAD.
const BAD: std::ops::Range<u64> = 700..710;
/// Markers: with which sample they arrive, the sample they are about, and their text. Each epoch of
/// `configs`-like settings (0.5 to 2.5 s) is over before the stream is, and none is open at 192.
const MARKERS: [(u64, f64, &str); 4] =
    [(224, 200.3, "T1"), (230, 205.0, "rest"), (537, 520.0, "T2"), (850, 839.5, "T2b")];

/// Input of one kind.
pub struct Feed {
    pub specs: Vec<Spec>,
}

/// Every kind of input that a stage may take.
pub fn feeds() -> Vec<Feed> {
    let labels = ["Fz", "FC1", "FC2", "C3", "Cz", "C4", "Pz", "Oz"];
    let samples = Spec::samples(labels.map(Channel::named).to_vec(), RATE_HZ, 64);
    let classes = vec!["left".to_string(), "right".to_string()];
    let of = |payload, rows, cols| Spec { payload, rows, cols, ..samples.clone() };
    let unnamed = |payload, rows, cols| Spec { channels: Vec::new(), ..of(payload, rows, cols) };
    [
        vec![samples.clone()],
        vec![samples.clone(), Spec::markers()],
        vec![of(Payload::Window, 320, 8)],
        vec![unnamed(Payload::Vector, 1, 36)],
        vec![of(Payload::Matrix, 8, 8)],
        vec![Spec { classes, ..unnamed(Payload::Scores, 1, 2) }],
        vec![of(Payload::Nodes, 8, 12)],
        vec![Layout { nodes: 8, features: 3 }.spec(&samples)],
        vec![unnamed(Payload::Vector, 1, 36), unnamed(Payload::Vector, 1, 36)],
    ]
    .map(|specs| Feed { specs })
    .into()
}

impl Feed {
    /// Whether this is a stream that may come in blocks of any length.
    pub fn is_stream(&self) -> bool {
        self.specs[0].payload == Payload::Samples
    }

    /// The whole input. A stream comes in blocks whose lengths are taken from `blocks` in turn.
    pub fn frames(&self, blocks: &[usize]) -> Vec<Frame> {
        match self.is_stream() {
            true => self.stream(blocks),
            false => (0..24).flat_map(|i| self.moment(i)).collect(),
        }
    }

    /// What comes of moment `i`: a frame by each input.
    fn moment(&self, i: u64) -> impl Iterator<Item = Frame> {
        let frame = self.example(i, i as usize % 2);
        (0..self.specs.len()).map(move |input| Frame { input, ..frame.clone() })
    }

    /// The block `first..end` of the stream.
    pub fn block(&self, first: u64, end: u64) -> Frame {
        let spec = &self.specs[0];
        let mut frame = spec.frame();
        frame.resize((end - first) as usize, spec.cols);
        for (index, row) in (first..end).zip(frame.data.chunks_exact_mut(spec.cols)) {
            fill(&mut Pcg64::seed_from_u64(index), row);
            row.iter_mut().for_each(|x| *x *= 20.0);
        }
        frame.span = span(first, end - 1);
        if BAD.contains(&first) {
            frame.flags = Flags::BAD;
        }
        frame
    }

    fn stream(&self, blocks: &[usize]) -> Vec<Frame> {
        let with_markers = self.specs.len() > 1;
        let mut frames = Vec::new();
        let mut first = 0;
        let mut lengths = blocks.iter().cycle();
        while first < SAMPLES {
            let mut end = SAMPLES.min(first + *lengths.next().unwrap() as u64);
            // marks and markers keep their place however the blocks are cut
            let places = MARKERS.iter().map(|m| m.0).chain([BAD.start, BAD.end]);
            places.filter(|p| *p > first).for_each(|p| end = end.min(p));
            frames.push(self.block(first, end));
            for (_, about, text) in MARKERS.iter().filter(|m| with_markers && m.0 == end) {
                frames.push(marker(*about, text));
            }
            first = end;
        }
        frames
    }

    /// The `i`-th frame of class 0 or 1; for streams a stretch of samples.
    pub fn example(&self, i: u64, class: usize) -> Frame {
        let spec = &self.specs[0];
        let rng = &mut Pcg64::seed_from_u64(1_000_000 + i);
        let mut frame = spec.frame();
        let rows = if self.is_stream() { 320 } else { spec.rows };
        frame.resize(rows, spec.cols);
        fill(rng, &mut frame.data);
        match spec.payload {
            Payload::Matrix => {
                let (n, mut x) = (spec.cols, vec![0.0; 40 * spec.cols]);
                fill(rng, &mut x);
                x.iter_mut().step_by(n).for_each(|v| *v *= 1.0 + class as f64);
                for (e, v) in frame.data.iter_mut().enumerate() {
                    *v = x.chunks(n).map(|row| row[e / n] * row[e % n]).sum::<f64>() / 40.0;
                }
            }
            Payload::Scores => {
                let first = 1.0 / (1.0 + frame.data[0].exp());
                frame.data.copy_from_slice(&[first, 1.0 - first]);
            }
            Payload::Graph => graph(&mut frame, spec, class),
            _ => frame.data.iter_mut().step_by(spec.cols).for_each(|v| *v += 2.0 * class as f64),
        }
        frame.span = span(i * 16, i * 16 + 319);
        if !self.is_stream() {
            // What is made of windows that were cut at markers carries their text.
            frame.text.push_str(["T1", "T2"][class]);
        }
        frame
    }

    /// Frames of two classes, with the class of each.
    pub fn examples(&self) -> (Vec<Frame>, Vec<usize>) {
        (0..40).map(|i| (self.example(i, i as usize % 2), i as usize % 2)).unzip()
    }
}

/// Makes a graph of a frame of noise; the first feature and the lengths differ between the classes.
fn graph(frame: &mut Frame, spec: &Spec, class: usize) {
    let layout = Layout::of(spec).unwrap();
    let noise = frame.data.clone();
    for i in 0..layout.nodes {
        frame.data[i * spec.cols..layout.features(i).start].fill(0.0);
        frame.data[layout.features(i).start] += 2.0 * class as f64;
        for j in (0..i).filter(|j| (i + j) % 3 == 0 || i - j == 1) {
            let length = 0.5 + noise[layout.length(i, j)].abs() + class as f64;
            for (i, j) in [(i, j), (j, i)] {
                frame.data[layout.weight(i, j)] = (-length).exp();
                frame.data[layout.length(i, j)] = length;
            }
        }
    }
}

/// A marker about the sample `about`, as input 1.
pub fn marker(about: f64, text: &str) -> Frame {
    let mut frame = Spec::markers().frame();
    frame.input = 1;
    frame.text.push_str(text);
    let time_s = START_S + about / RATE_HZ;
    frame.span = Span { first_s: time_s, last_s: time_s, arrived_s: time_s, ..Span::default() };
    frame
}

fn span(first: u64, last: u64) -> Span {
    let time = |index: u64| START_S + index as f64 / RATE_HZ;
    let last_s = time(last);
    Span { first, last, first_s: time(first), last_s, arrived_s: last_s + 0.01 }
}

fn fill(rng: &mut Pcg64, out: &mut [f64]) {
    out.iter_mut().for_each(|x| *x = StandardNormal.sample(rng));
}
