//! Worlds: what a simulator needs to know of a planted structure, as a safetensors file.
//!
//! The file holds the tensors (F32) `mixing` (channels x sources), `amplitude` (items x sources), `frequency_hz`, `delay_s`,
//! `width_s`, `locked` (one for each source), `noise` (channels x noises), `sensor_noise` (channels) and `positions` (channels x 3),
//! the last with NaN for sensors without a place, and in its metadata, under the key `saltatory_world`, the rest
//! as JSON (`About`). What they mean is in [`crate::math::simulator::planted`].

use crate::error::{Error, Result};
use crate::frame::{Channel, Direction, MAX_LABEL_BYTES};
use crate::math::simulator::planted::{Component, World};
use safetensors::tensor::{Dtype, SafeTensors};
use serde::Deserialize;
use std::path::Path;

/// The key of the metadata.
const KEY: &str = "saltatory_world";
/// The version of the format.
const VERSION: u64 = 1;
/// Larger files are refused unread.
const MAX_BYTES: u64 = 64 << 20;

/// What the metadata say.
#[derive(Debug, Clone, Deserialize)]
struct About {
    version: u64,
    rate_hz: f64,
    unit: String,
    kind: String,
    channels: Vec<String>,
    items: Vec<String>,
    item_s: f64,
    jitter_s: f64,
    ar: f64,
}

/// A world with the names of what is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// The world.
    pub world: World,
    /// Its channels.
    pub channels: Vec<Channel>,
    /// What the markers of the items say.
    pub items: Vec<String>,
}

/// Reads the file at `path`.
pub fn read(path: &Path) -> Result<Named> {
    let here = |e: Error| e.at(path.display());
    let failed = |e: std::io::Error| here(Error::input(format!("cannot be read: {e}")));
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_BYTES {
        return Err(here(Error::input(format!("{size} bytes are too many for a world"))));
    }
    parse(&std::fs::read(path).map_err(failed)?).map_err(here)
}

/// Reads the bytes of a file.
pub fn parse(bytes: &[u8]) -> Result<Named> {
    let none =
        |e: &dyn std::fmt::Display| Error::input(format!("is no world for the simulator: {e}"));
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| none(&e))?;
    let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
    let text = text.ok_or_else(|| none(&format!("its metadata have no `{KEY}`")))?;
    let about: About = serde_json::from_str(text).map_err(|e| none(&e))?;
    about.check()?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| none(&e))?;
    let tensor = |name: &str, shape: &[usize]| tensor(&file, name, shape);
    let count = file.tensor("frequency_hz").map_err(|e| none(&e))?.shape().iter().product();
    let noises = file.tensor("noise").map_err(|e| none(&e))?.shape().last().copied();
    let (channels, items) = (about.channels.len(), about.items.len());
    let each = |name: &str| tensor(name, &[count]);
    let (frequency, delay, width, locked) =
        (each("frequency_hz")?, each("delay_s")?, each("width_s")?, each("locked")?);
    let component = |k: usize| Component {
        frequency_hz: frequency[k],
        delay_s: delay[k],
        width_s: width[k],
        locked: locked[k] != 0.0,
    };
    let world = World {
        rate_hz: about.rate_hz,
        item_s: about.item_s,
        jitter_s: about.jitter_s,
        ar: about.ar,
        items,
        sources: (0..count).map(component).collect(),
        amplitude: tensor("amplitude", &[items, count])?,
        mixing: tensor("mixing", &[channels, count])?,
        noise: tensor("noise", &[channels, noises.unwrap_or_default()])?,
        sensor_noise: tensor("sensor_noise", &[channels])?,
    };
    check(&world)?;
    let places = numbers(&file, "positions", &[channels, 3])?;
    let channel = |(label, place): (&String, &[f64])| Channel {
        kind: about.kind.clone(),
        unit: about.unit.clone(),
        direction: Direction::to([place[0], place[1], place[2]]),
        ..Channel::named(label)
    };
    let channels = about.channels.iter().zip(places.chunks_exact(3)).map(channel).collect();
    Ok(Named { world, channels, items: about.items })
}

impl About {
    fn check(&self) -> Result<()> {
        let wrong = |text: String| Err(Error::input(format!("the world's {text}")));
        if self.version != VERSION {
            return wrong(format!("format is {}, this program reads {VERSION}", self.version));
        }
        if !(self.rate_hz > 0.0 && self.rate_hz <= 1e6) {
            return wrong(format!("rate is {} Hz", self.rate_hz));
        }
        if !(self.item_s * self.rate_hz >= 1.0 && self.item_s <= 3600.0) {
            return wrong(format!("`item_s` is {}, expected a sample to an hour", self.item_s));
        }
        if !(0.0..=60.0).contains(&self.jitter_s) || !(0.0..1.0).contains(&self.ar) {
            return wrong("`jitter_s` or `ar` is out of range".into());
        }
        if self.channels.is_empty() || self.items.is_empty() {
            return wrong("channels or items are missing".into());
        }
        match self.items.iter().find(|label| label.len() > MAX_LABEL_BYTES) {
            Some(label) => {
                wrong(format!("item `{label}` has a label of more than {MAX_LABEL_BYTES} bytes"))
            }
            None => Ok(()),
        }
    }
}

fn check(world: &World) -> Result<()> {
    let sound = |c: &Component| {
        c.width_s > 0.0 && c.width_s <= 600.0 && c.delay_s.abs() <= 600.0 && c.frequency_hz >= 0.0
    };
    match world.sources.iter().position(|c| !sound(c)) {
        Some(k) => Err(Error::input(format!(
            "source {} of the world answers for no time or for too long",
            k + 1
        ))),
        None => Ok(()),
    }
}

/// The finite numbers of the array `name`.
fn tensor(file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
    let numbers = numbers(file, name, shape)?;
    match numbers.iter().all(|v| v.is_finite()) {
        true => Ok(numbers),
        false => {
            Err(Error::input(format!("the world's `{name}` holds numbers that are not finite")))
        }
    }
}

fn numbers(file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
    let wrong = |text: String| Error::input(format!("the world's `{name}` {text}"));
    let view = file.tensor(name).map_err(|e| wrong(e.to_string()))?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(wrong(format!(
            "is {:?} {:?}, expected F32 {shape:?}",
            view.dtype(),
            view.shape()
        )));
    }
    let number = |b: &[u8]| b.first_chunk().map_or(f64::NAN, |b| f32::from_le_bytes(*b).into());
    Ok(view.data().chunks_exact(4).map(number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;
    use std::collections::HashMap;

    fn file(about: &str, frequencies: usize) -> Vec<u8> {
        let shapes: [(&str, Vec<usize>); 9] = [
            ("mixing", vec![2, 3]),
            ("amplitude", vec![4, 3]),
            ("frequency_hz", vec![frequencies]),
            ("delay_s", vec![3]),
            ("width_s", vec![3]),
            ("locked", vec![3]),
            ("noise", vec![2, 1]),
            ("sensor_noise", vec![2]),
            ("positions", vec![2, 3]),
        ];
        let bytes = 1_f32.to_le_bytes().repeat(12);
        let views = shapes.iter().map(|(name, shape)| {
            let n = shape.iter().product::<usize>() * 4;
            (*name, TensorView::new(Dtype::F32, shape.clone(), &bytes[..n]).unwrap())
        });
        let metadata = HashMap::from([(KEY.to_owned(), about.to_owned())]);
        safetensors::serialize(views, Some(metadata)).unwrap()
    }

    const ABOUT: &str = r#"{"version": 1, "rate_hz": 100.0, "unit": "femtotesla", "kind": "MEG",
        "channels": ["M1", "M2"], "items": ["a", "b", "c", "d"], "item_s": 2.0, "jitter_s": 0.1, "ar": 0.9}"#;

    #[test]
    fn a_world_is_read() {
        let named = parse(&file(ABOUT, 3)).unwrap();
        assert_eq!((named.world.items, named.world.sources.len()), (4, 3));
        assert_eq!(named.channels[1].label, "M2");
        assert!(named.channels[0].direction.is_some());
    }

    #[test]
    fn what_is_wrong_is_told() {
        let refusal = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
        assert!(refusal(&file(ABOUT, 2)).contains("expected F32 [2]"));
        assert!(refusal(&file(&ABOUT.replace("0.9", "1.0"), 3)).contains("`ar`"));
        assert!(
            refusal(&file(&ABOUT.replace("\"version\": 1", "\"version\": 2"), 3))
                .contains("format is 2")
        );
        assert!(refusal(&file("{}", 3)).contains("no world"));
        let bytes = file(ABOUT, 3);
        assert!((0..bytes.len()).all(|n| parse(&bytes[..n]).is_err()));
    }
}
