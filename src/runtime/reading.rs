//! What a network says, as frames: scores, vectors, pictures, words.

use super::manifest::{Kind, Layout, Output};
use crate::error::{Error, Result};
use crate::frame::{Channel, Frame, MAX_WORD_BYTES, Payload, Spec};
use crate::math::logistic::softmax;

/// The most pixels of a picture.
const MAX_PIXELS: usize = 1 << 24;

/// How the numbers of an output become frames.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    means: Means,
    spec: Spec,
}

#[derive(Debug, Clone, PartialEq)]
enum Means {
    /// The numbers as they are.
    Numbers,
    /// The softmax of the numbers.
    Logits,
    /// A picture of so many colours; `apart` if each colour is a plane of its own.
    Picture { colours: usize, apart: bool },
    /// Units one after the other. With a blank, repeated ones count once and blanks not at all.
    Units { names: Vec<String>, blank: Option<usize> },
}

impl Reading {
    /// For an output of `shape` that `output` describes, made of frames of `input`.
    pub fn new(output: &Output, shape: &[usize], input: &Spec) -> Result<Self> {
        let length = shape.iter().product();
        let (means, spec) = match output.kind {
            Kind::Logits | Kind::Scores => scores(output, length)?,
            Kind::Embedding | Kind::Regression => vector(output, length)?,
            Kind::Image => picture(output, length)?,
            Kind::Sequence => units(output, shape)?,
        };
        Ok(Self { means, spec: Spec { rate_hz: input.rate_hz, ..spec } })
    }

    /// What the frames are.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// **Data.** Writes what `numbers` mean into `out`, a frame of the spec.
    pub fn read(&self, numbers: &[f64], out: &mut Frame) -> Result<(), &'static str> {
        if !numbers.iter().all(|v| v.is_finite()) {
            return Err("the network made numbers that are not finite");
        }
        out.resize(self.spec.rows, self.spec.cols);
        match &self.means {
            Means::Numbers => out.data.copy_from_slice(numbers),
            Means::Logits => {
                out.data.copy_from_slice(numbers);
                softmax(&mut out.data);
            }
            Means::Picture { colours, apart } => {
                let pixels = numbers.len() / colours;
                for (i, value) in out.data.iter_mut().enumerate() {
                    let (pixel, colour) = (i / colours, i % colours);
                    let at = if *apart { colour * pixels + pixel } else { i };
                    *value = numbers[at].clamp(0.0, 1.0);
                }
            }
            Means::Units { names, blank } => read_units(names, *blank, numbers, out),
        }
        Ok(())
    }
}

fn scores(output: &Output, length: usize) -> Result<(Means, Spec)> {
    check_names(&output.classes, length)?;
    let means = if output.kind == Kind::Logits { Means::Logits } else { Means::Numbers };
    let classes = output.classes.clone();
    Ok((
        means,
        Spec { payload: Payload::Scores, rows: 1, cols: length, classes, ..Spec::markers() },
    ))
}

fn vector(output: &Output, length: usize) -> Result<(Means, Spec)> {
    if !output.labels.is_empty() {
        check_names(&output.labels, length)?;
    }
    let channels = output.labels.iter().map(Channel::named).collect();
    let spec =
        Spec { payload: Payload::Vector, rows: 1, cols: length, channels, ..Spec::markers() };
    Ok((Means::Numbers, spec))
}

fn picture(output: &Output, length: usize) -> Result<(Means, Spec)> {
    let wrong = |text: String| Error::mismatch(format!("makes {length} numbers, but {text}"));
    let [height, width] = output
        .size
        .ok_or_else(|| wrong("its manifest does not say the `size` of the picture".into()))?;
    let channels = match output.colours {
        1 => vec![Channel::named("grey")],
        3 => ["red", "green", "blue"].map(Channel::named).to_vec(),
        n => return Err(wrong(format!("its manifest says {n} `colours`, expected 1 or 3"))),
    };
    let colours = channels.len();
    let pixels = height.checked_mul(width).filter(|n| *n <= MAX_PIXELS);
    if pixels.map(|n| n * colours) != Some(length) {
        let text = format!("its manifest says {height} x {width} pixels of {colours} colours");
        return Err(wrong(text));
    }
    let spec = Spec {
        payload: Payload::Image,
        rows: height,
        cols: width * colours,
        channels,
        ..Spec::markers()
    };
    Ok((Means::Picture { colours, apart: output.layout == Layout::Chw }, spec))
}

fn units(output: &Output, shape: &[usize]) -> Result<(Means, Spec)> {
    let names = output.classes.clone();
    check_names(&names, shape.last().copied().unwrap_or_default())?;
    if let Some(long) = names.iter().find(|name| name.len() > MAX_WORD_BYTES) {
        let text = format!("the unit `{long}` is longer than {MAX_WORD_BYTES} bytes");
        return Err(Error::mismatch(text));
    }
    let blank = output.blank.as_ref().map(|blank| {
        names.iter().position(|name| name == blank).ok_or_else(|| {
            Error::mismatch(format!("the `blank` of its manifest, `{blank}`, is none of its units"))
        })
    });
    let blank = blank.transpose()?;
    let steps = shape[..shape.len() - 1].iter().product();
    let spec = Spec {
        payload: Payload::Text,
        rows: 1,
        cols: steps,
        classes: names.clone(),
        ..Spec::markers()
    };
    Ok((Means::Units { names, blank }, spec))
}

/// The best unit of each step.
fn read_units(names: &[String], blank: Option<usize>, numbers: &[f64], out: &mut Frame) {
    out.text.clear();
    let (mut before, mut count) = (None, 0);
    for step in numbers.chunks_exact(names.len()) {
        let best = (1..step.len()).fold(0, |best, i| if step[i] > step[best] { i } else { best });
        let repeats = blank.is_some() && before == Some(best);
        before = Some(best);
        if repeats || blank == Some(best) {
            continue;
        }
        if count > 0 {
            out.text.push(' ');
        }
        out.text.push_str(&names[best]);
        out.data[count] = best as f64;
        count += 1;
    }
    out.data[count..].fill(-1.0);
}

fn check_names(names: &[String], length: usize) -> Result<()> {
    if names.len() == length && length > 0 {
        return Ok(());
    }
    Err(Error::mismatch(format!(
        "makes {length} numbers, but its manifest names {}: {}",
        names.len(),
        names.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(manifest: &str, shape: &[usize], numbers: &[f64]) -> (Spec, Frame) {
        let output: Output = toml::from_str(manifest).unwrap();
        let reading = Reading::new(&output, shape, &Spec::samples(Vec::new(), 100.0, 1)).unwrap();
        let mut frame = reading.spec().frame();
        let room = (frame.data.capacity(), frame.text.capacity());
        reading.read(numbers, &mut frame).unwrap();
        assert_eq!(room, (frame.data.capacity(), frame.text.capacity()), "no more room is needed");
        (reading.spec().clone(), frame)
    }

    #[test]
    fn colours_come_side_by_side() {
        let text = "kind = \"image\"\nsize = [1, 2]\ncolours = 3\nlayout = \"chw\"";
        let planes = [0.1, 0.2, 0.3, 0.4, 1.5, -0.6];
        let (spec, frame) = read(text, &[1, 3, 1, 2], &planes);
        assert_eq!((spec.payload, spec.rows, spec.cols), (Payload::Image, 1, 6));
        assert_eq!(frame.data, [0.1, 0.3, 1.0, 0.2, 0.4, 0.0]);
        let text = text.replace("chw", "hwc");
        let (_, frame) = read(&text, &[1, 1, 2, 3], &planes);
        assert_eq!(frame.data, [0.1, 0.2, 0.3, 0.4, 1.0, 0.0]);
    }

    #[test]
    fn units_are_read_one_after_the_other() {
        let text = "kind = \"sequence\"\nclasses = [\"-\", \"ma\", \"pa\"]";
        let one = |i: usize| (0..3).map(move |j| f64::from(u8::from(i == j)));
        let numbers: Vec<f64> = [1, 1, 0, 1, 2].into_iter().flat_map(one).collect();
        let (spec, frame) = read(text, &[1, 5, 3], &numbers);
        assert_eq!((spec.payload, spec.cols), (Payload::Text, 5));
        assert_eq!(frame.text, "ma ma - ma pa");
        let (_, frame) = read(&format!("{text}\nblank = \"-\""), &[1, 5, 3], &numbers);
        assert_eq!(
            (frame.text.as_str(), &frame.data[..]),
            ("ma ma pa", &[1.0, 1.0, 2.0, -1.0, -1.0][..])
        );
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let refusal = |text: &str, shape: &[usize]| {
            let output: Output = toml::from_str(text).unwrap();
            Reading::new(&output, shape, &Spec::markers()).unwrap_err().to_string()
        };
        assert!(refusal("kind = \"image\"", &[12]).contains("`size`"));
        let image = "kind = \"image\"\nsize = [2, 2]\ncolours = ";
        assert!(refusal(&format!("{image}3"), &[1, 3, 2, 3]).contains("2 x 2 pixels of 3"));
        assert!(refusal(&format!("{image}2"), &[8]).contains("expected 1 or 3"));
        let sequence = "kind = \"sequence\"\nclasses = [\"a\", \"b\"]";
        assert!(refusal(sequence, &[1, 5, 3]).contains("names 2"));
        assert!(refusal(&format!("{sequence}\nblank = \"c\""), &[1, 5, 2]).contains("`c`"));
        assert!(refusal("kind = \"logits\"\nclasses = [\"a\"]", &[2]).contains("makes 2 numbers"));
    }

    #[test]
    fn numbers_that_are_not_finite_are_a_fault() {
        let output: Output = toml::from_str("kind = \"embedding\"").unwrap();
        let reading = Reading::new(&output, &[1, 2], &Spec::markers()).unwrap();
        assert!(reading.read(&[1.0, f64::NAN], &mut reading.spec().frame()).is_err());
    }
}
