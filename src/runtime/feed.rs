//! From frames to what a network expects: channels, unit, scaling, order of the axes.

use super::manifest::{Input, Meaning, Scaling};
use crate::error::{Error, Result, nearest};
use crate::frame::{Channel, Frame, Payload, Spec};
use crate::math::scaling::{Scaler, Table};

/// Makes the numbers for one input out of frames of one spec.
pub struct Feed {
    scaler: Scaler,
    /// For each channel the network knows, its place in the frame and what its numbers are multiplied by.
    channels: Vec<(usize, f64)>,
    /// Samples of each channel.
    samples: usize,
    /// From one channel to the next, and from one sample to the next, in the data of a frame.
    steps: [usize; 2],
    /// The same in the numbers.
    strides: [usize; 2],
    numbers: Vec<f64>,
}

impl Feed {
    /// For frames of `spec`, as `input` says. Returns the shape of the input as well.
    pub fn new(input: &Input, spec: &Spec) -> Result<(Self, Vec<usize>)> {
        check_rate(input, spec)?;
        let (count, samples, steps) = match spec.payload {
            Payload::Window => (spec.cols, spec.rows, [1, spec.cols]),
            Payload::Nodes => (spec.rows, spec.cols, [spec.cols, 1]),
            Payload::Vector | Payload::Matrix => (1, spec.rows * spec.cols, [0, 1]),
            _ => {
                return Err(Error::mismatch(
                    "takes windows, features of nodes, vectors or matrices",
                ));
            }
        };
        let is_table = matches!(spec.payload, Payload::Window | Payload::Nodes);
        check_axes(input, is_table)?;
        let channels = match is_table {
            true => chosen(input, spec, count)?,
            false => vec![(0, 1.0)],
        };
        let length = |axis: &Meaning| match axis {
            Meaning::One => 1,
            Meaning::Channels => channels.len(),
            Meaning::Samples | Meaning::Numbers => samples,
        };
        let shape: Vec<usize> = input.axes.iter().map(length).collect();
        let stride = |of: Meaning| {
            let at = input.axes.iter().position(|axis| *axis == of);
            at.map_or(0, |at| shape[at + 1..].iter().product())
        };
        let along = if is_table { Meaning::Samples } else { Meaning::Numbers };
        let strides = [stride(Meaning::Channels), stride(along)];
        let [across, along] = strides;
        let table = Table { channels: channels.len(), samples, across, along };
        let feed = Self {
            scaler: Scaler::new(input.scaling, input.clamp, table),
            strides,
            numbers: vec![0.0; channels.len() * samples],
            channels,
            samples,
            steps,
        };
        Ok((feed, shape))
    }

    /// The channels that the network sees, in its order, of frames of `spec`.
    pub fn channels<'a>(&self, spec: &'a Spec) -> Vec<&'a Channel> {
        self.channels.iter().filter_map(|(place, _)| spec.channels.get(*place)).collect()
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// **Data.** The numbers for `frame`, which is of the spec.
    pub fn numbers(&mut self, frame: &Frame) -> &[f64] {
        for c in 0..self.channels.len() {
            let (place, gain) = self.channels[c];
            for t in 0..self.samples {
                let from = place * self.steps[0] + t * self.steps[1];
                let to = c * self.strides[0] + t * self.strides[1];
                self.numbers[to] = frame.data[from] * gain;
            }
        }
        self.scaler.apply(&mut self.numbers);
        &self.numbers
    }
}

fn check_rate(input: &Input, spec: &Spec) -> Result<()> {
    let Some(rate_hz) = input.rate_hz else { return Ok(()) };
    let near = (rate_hz - spec.rate_hz).abs() <= 1e-3 * rate_hz;
    // What is made of windows by a spectrum has the rate of its samples, too.
    if near || spec.payload != Payload::Window {
        return Ok(());
    }
    Err(Error::mismatch(format!(
        "was trained at {rate_hz} Hz, but is given windows at {} Hz: put `decimate` before the window, or \
         train it at the rate of the stream",
        spec.rate_hz
    )))
}

fn check_axes(input: &Input, is_table: bool) -> Result<()> {
    let count = |of: Meaning| input.axes.iter().filter(|axis| **axis == of).count();
    let (tables, vectors) =
        ([count(Meaning::Channels), count(Meaning::Samples)], count(Meaning::Numbers));
    let fits =
        if is_table { tables == [1, 1] && vectors == 0 } else { tables == [0, 0] && vectors == 1 };
    match fits {
        true => Ok(()),
        false if is_table => Err(Error::mismatch(
            "is given channels over time, so its manifest must have the axes \"channels\" and \"samples\", each once",
        )),
        false => Err(Error::mismatch(
            "is given a vector or a matrix, so its manifest must have the axis \"numbers\", once",
        )),
    }
}

/// The channels that the network knows: where they are among the `count` that come, and their gain.
fn chosen(input: &Input, spec: &Spec, count: usize) -> Result<Vec<(usize, f64)>> {
    let places: Vec<usize> = match input.channels.is_empty() {
        true => (0..count).collect(),
        false => input.channels.iter().map(|label| place_of(label, spec)).collect::<Result<_>>()?,
    };
    places.into_iter().map(|place| Ok((place, gain(input, spec, place)?))).collect()
}

fn place_of(label: &str, spec: &Spec) -> Result<usize> {
    let same = |other: &str| other.trim().eq_ignore_ascii_case(label.trim());
    spec.channels.iter().position(|c| same(&c.label)).ok_or_else(|| {
        let near = nearest(label, spec.channels.iter().map(|c| c.label.as_str()));
        let hint = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        Error::mismatch(format!("wants the channel `{label}`, which does not come{hint}"))
    })
}

/// From the unit of a channel to that of the network.
fn gain(input: &Input, spec: &Spec, place: usize) -> Result<f64> {
    let scale_free = matches!(input.scaling, Scaling::Window | Scaling::Channel | Scaling::Robust);
    let Some(wanted) = input.unit.as_deref().filter(|_| !scale_free) else { return Ok(1.0) };
    let given = spec.channels.get(place).map_or("", |c| c.unit.as_str());
    match (in_volts(given), in_volts(wanted)) {
        (Some(given), Some(wanted)) => Ok(given / wanted),
        _ if given == wanted => Ok(1.0),
        _ => Err(Error::mismatch(format!(
            "wants {wanted}, but the unit of channel {} is {}",
            place + 1,
            if given.is_empty() { "not told by the stream" } else { given }
        ))),
    }
}

/// How many volts a unit is.
fn in_volts(unit: &str) -> Option<f64> {
    match unit.to_lowercase().as_str() {
        "volts" | "volt" | "v" => Some(1.0),
        "millivolts" | "millivolt" | "mv" => Some(1e-3),
        "microvolts" | "microvolt" | "uv" | "µv" | "μv" => Some(1e-6),
        "nanovolts" | "nanovolt" | "nv" => Some(1e-9),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(text: &str) -> Input {
        toml::from_str(text).unwrap()
    }

    /// Three samples of two channels in microvolts at 100 Hz.
    fn window() -> (Spec, Frame) {
        let channel = |label: &str| Channel { unit: "microvolts".into(), ..Channel::named(label) };
        let spec = Spec::samples(["C3", "C4"].map(channel).to_vec(), 100.0, 3);
        let spec = Spec { payload: Payload::Window, ..spec };
        let mut frame = spec.frame();
        frame.resize(3, 2);
        frame.data.copy_from_slice(&[1.0, 10.0, 2.0, 20.0, 3.0, 60.0]);
        (spec, frame)
    }

    fn numbers(text: &str) -> (Vec<usize>, Vec<f64>) {
        let (spec, frame) = window();
        let (mut feed, shape) = Feed::new(&input(text), &spec).unwrap();
        (shape, feed.numbers(&frame).to_vec())
    }

    #[test]
    fn axes_channels_and_units_are_as_the_network_wants_them() {
        let text = "axes = [\"one\", \"channels\", \"samples\"]";
        assert_eq!(numbers(text), (vec![1, 2, 3], vec![1.0, 2.0, 3.0, 10.0, 20.0, 60.0]));
        let text = "axes = [\"samples\", \"one\", \"channels\"]";
        assert_eq!(numbers(text), (vec![3, 1, 2], vec![1.0, 10.0, 2.0, 20.0, 3.0, 60.0]));
        let text = "axes = [\"channels\", \"samples\"]\nchannels = [\"c4\"]\nunit = \"millivolts\"";
        let (shape, got) = numbers(text);
        assert_eq!(shape, [1, 3]);
        assert!(got.iter().zip([0.01, 0.02, 0.06]).all(|(g, w)| (g - w).abs() < 1e-15));
    }

    #[test]
    fn windows_are_scaled_as_numpy_would() {
        let axes = "axes = [\"channels\", \"samples\"]\n";
        let near = |text: &str, want: [f64; 6]| {
            let (_, got) = numbers(&format!("{axes}{text}"));
            let worst = got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-12, "{text}: {got:?}");
        };
        near("scaling = \"centre\"", [-1.0, 0.0, 1.0, -20.0, -10.0, 30.0]);
        let (a, b) = (1.5_f64.sqrt(), 1400.0_f64.sqrt() / 3.0_f64.sqrt());
        near("scaling = \"channel\"", [-a, 0.0, a, -20.0 / b, -10.0 / b, 30.0 / b]);
        // Quartiles of 1, 2, 3: 1.5 and 2.5; of 10, 20, 60: 15 and 40.
        near("scaling = \"robust\"\nclamp = 1.2", [-1.0, 0.0, 1.0, -0.4, 0.0, 1.2]);
        let (_, got) = numbers(&format!("{axes}scaling = \"window\""));
        let (mean, power) = (got.iter().sum::<f64>(), got.iter().map(|v| v * v).sum::<f64>());
        assert!(mean.abs() < 1e-12 && (power - 6.0).abs() < 1e-12);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let (spec, _) = window();
        let refusal = |text: &str| Feed::new(&input(text), &spec).err().unwrap().to_string();
        let axes = "axes = [\"channels\", \"samples\"]\n";
        assert!(refusal(&format!("{axes}rate_hz = 250.0")).contains("trained at 250 Hz"));
        let text = refusal(&format!("{axes}channels = [\"C33\"]"));
        assert!(text.contains("`C33`") && text.contains("C3"), "{text}");
        assert!(refusal(&format!("{axes}unit = \"tesla\"")).contains("wants tesla"));
        assert!(refusal("axes = [\"numbers\"]").contains("\"channels\""));
    }
}
