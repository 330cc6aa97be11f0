//! Vectors to the items of a gallery that are most like them (cosine similarity): pictures, words, sounds.
//!
//! In: a vector (the embedding that a decoder predicts). Out: for each one a ranking, a row for each of the best
//! items: its number in the gallery, how similar it is; `text` holds their labels, one a line (in place of a marker's).
//! Of equally similar items the first one comes first. Delay: none; with `average`, the mean lags behind.
//!
//! **Searches** ([`crate::math::retrieval`]): "exact" compares all items; "quantised" compares bytes first, and the best
//! few exactly; "approximate" goes through a graph, which `prepare` builds.
//!
//! A small gallery is searched on the real-time lane, one of more than a megabyte on a worker lane. So is every
//! approximate search: it **allocates**, and `lane = "main"` would be a mistake for it.

use super::mean::Means;
use crate::error::{Error, Result};
use crate::formats::gallery::{self, Gallery, Numbers};
use crate::frame::{Flags, Frame, Payload, Spec};
use crate::math::retrieval::approximate::Approximate;
use crate::math::retrieval::quantised::Quantised;
use crate::math::retrieval::{Items, Query, Top, exact};
use crate::stages::{Emit, Fault, Stage, single};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The most items that are emitted.
const MAX_TOP: usize = 100;
/// The most predictions that a mean is of.
const MAX_AVERAGE: usize = 1000;
/// The most numbers of all predictions that are kept for means: 512 MiB.
const MAX_KEPT: usize = 1 << 26;
/// The largest file whose gallery the real-time lane searches.
const MAX_REALTIME_BYTES: u64 = 1 << 20;

/// The items of a gallery (pictures, words, sounds) whose embeddings are most like the incoming vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The gallery: a safetensors file, or an array of NumPy with its labels in a .txt beside it (docs/retrieval.md).
    pub gallery: PathBuf,
    /// How many items are emitted, the best first: 1 to 100.
    #[serde(default = "five")]
    pub top: usize,
    /// How they are found: "exact", "quantised" (a few times quicker, the same items but for one in a hundred at
    /// most) or "approximate" (less than a millisecond for 100000 items; builds a graph at the start).
    #[serde(default)]
    pub search: Search,
    /// How many of the last vectors are averaged, the newest one included: 1 to 1000.
    #[serde(default = "one")]
    pub average: usize,
    /// Of which vectors: "all", or "marker": only of those with the same marker text, as repetitions of a picture have.
    #[serde(default)]
    pub per: Per,
    /// How many markers are kept apart, for `per = "marker"`; the one that was not seen for longest makes room.
    #[serde(default = "two_hundred")]
    pub markers: usize,
    /// How much the logarithm of the gallery's `prior` counts: it is added to the similarity, times this. 0 to leave
    /// it out.
    #[serde(default)]
    pub prior_weight: f64,
    /// Whether the mean of the gallery is taken off items and vectors first.
    #[serde(default)]
    pub centre: bool,
}

fn one() -> usize {
    1
}

fn five() -> usize {
    5
}

fn two_hundred() -> usize {
    200
}

/// How items are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Search {
    /// All are compared.
    #[default]
    Exact,
    /// All are compared roughly, the best few exactly.
    Quantised,
    /// Those are compared to which a graph leads.
    Approximate,
}

/// Which vectors are averaged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// The last ones.
    #[default]
    All,
    /// The last ones with the same marker text.
    Marker,
}

impl crate::kind::Settings<dyn Stage> for Settings {
    const EXAMPLE: &'static str = "gallery = \"models/galleries/example.safetensors\"\ntop = 3\n\
         search = \"exact\"\naverage = 4\nper = \"all\"\nprior_weight = 0.1\ncentre = true\n";

    fn build(self) -> Result<Box<dyn Stage>> {
        for (key, value, most) in [
            ("top", self.top, MAX_TOP),
            ("average", self.average, MAX_AVERAGE),
            ("markers", self.markers, usize::MAX),
        ] {
            if !(1..=most).contains(&value) {
                return Err(Error::setting(key, format!("is {value}, expected 1 to {most}")));
            }
        }
        if !self.prior_weight.is_finite() {
            return Err(Error::setting("prior_weight", "must be a number"));
        }
        Ok(Box::new(Retrieval { settings: self, ready: None }))
    }
}

struct Retrieval {
    settings: Settings,
    /// Once it is prepared.
    ready: Option<Ready>,
}

struct Ready {
    items: Items<Numbers>,
    labels: Vec<String>,
    means: Means,
    finder: Finder,
    query: Query,
    top: Top,
    out: Frame,
}

/// What finds the items.
enum Finder {
    Exact,
    Quantised(Quantised),
    Approximate(Approximate),
}

impl Stage for Retrieval {
    fn prepare(&mut self, inputs: &[Spec]) -> Result<Spec> {
        let input = single(inputs, &[Payload::Vector])?;
        // To read a gallery and to build its graph may take a minute: it is kept.
        let mut ready = match self.ready.take() {
            Some(ready) => ready,
            None => Ready::new(&self.settings)?,
        };
        let length = ready.items.length();
        if input.cols != length {
            let text = format!(
                "{}: its items have {length} numbers, but the vectors that come in have {}: the gallery must be made \
                 by the network whose embeddings the decoder predicts",
                self.settings.gallery.display(),
                input.cols
            );
            return Err(Error::mismatch(text).blaming("gallery"));
        }
        ready.means.clear();
        let spec = Spec {
            payload: Payload::Ranking,
            rows: ready.top.room(),
            cols: 2,
            rate_hz: input.rate_hz,
            ..Spec::markers()
        };
        ready.out = spec.frame();
        self.ready = Some(ready);
        Ok(spec)
    }

    fn process(&mut self, frame: &mut Frame, emit: &mut dyn Emit) -> Result<(), Fault> {
        let ready = self.ready.as_mut().ok_or(Fault("the stage is not prepared"))?;
        ready.out.copy_head(frame);
        ready.out.text.clear();
        if frame.data.is_empty() {
            // The end of the stream.
            ready.out.resize(0, 2);
        } else {
            ready.look_up(frame)?;
        }
        emit.emit(&mut ready.out);
        Ok(())
    }

    fn reset(&mut self) {
        if let Some(ready) = &mut self.ready {
            ready.means.clear();
        }
    }

    fn interrupt(&mut self) {
        if let Some(ready) = &mut self.ready {
            ready.means.interrupt();
        }
    }

    fn realtime(&self) -> bool {
        let bytes = std::fs::metadata(&self.settings.gallery).map(|about| about.len());
        let is_small = bytes.is_ok_and(|bytes| bytes <= MAX_REALTIME_BYTES);
        is_small && self.settings.search != Search::Approximate
    }
}

impl Ready {
    /// Reads the gallery and makes all that a search needs.
    fn new(settings: &Settings) -> Result<Self> {
        let gallery = gallery::read(&settings.gallery).map_err(|e| e.blaming("gallery"))?;
        let Gallery { embeddings, length, labels, prior } = gallery;
        let here = |e: Error| e.at(settings.gallery.display());
        let means = means(settings, length)?;
        let mut items = Items::new(embeddings, length, settings.centre);
        if settings.prior_weight != 0.0 {
            let prior = prior.ok_or_else(|| {
                here(Error::mismatch("has no tensor `prior` to weigh")).blaming("prior_weight")
            })?;
            let bonus = prior.iter().map(|p| settings.prior_weight * p.ln()).collect();
            items = items.with_bonus(bonus);
        }
        let top = settings.top.min(items.count());
        let finder = match settings.search {
            Search::Exact => Finder::Exact,
            Search::Quantised => Finder::Quantised(Quantised::new(&items, top)),
            Search::Approximate => {
                Finder::Approximate(Approximate::new(&items, top).map_err(here)?)
            }
        };
        let (query, top, out) = (Query::new(length), Top::new(top), Spec::markers().frame());
        Ok(Self { items, labels, means, finder, query, top, out })
    }

    /// Writes the items that are most like the mean of `frame` and those before.
    fn look_up(&mut self, frame: &Frame) -> Result<(), Fault> {
        if (frame.rows, frame.data.len()) != (1, self.items.length()) {
            return Err(Fault("the vector has another length than was promised"));
        }
        if !frame.data.iter().all(|v| v.is_finite()) {
            return Err(Fault("the vector holds numbers that are not finite"));
        }
        let (mean, bad) = self.means.with(frame);
        self.query.aim(&self.items, mean);
        let Self { items, query, top, .. } = self;
        match &mut self.finder {
            Finder::Exact => exact::search(items, query, top),
            Finder::Quantised(quantised) => quantised.search(items, query, top),
            Finder::Approximate(graph) => {
                if !graph.search(items, query, top) {
                    return Err(Fault("the graph of the gallery failed"));
                }
            }
        }
        self.write(bad)
    }

    /// Writes what was found, and its labels.
    fn write(&mut self, bad: Flags) -> Result<(), Fault> {
        let rows = self.top.best().len();
        if rows < self.top.room() {
            return Err(Fault("the graph of the gallery led to too few items"));
        }
        self.out.flags |= bad;
        self.out.resize(rows, 2);
        let found = self.out.data.as_chunks_mut().0.iter_mut().zip(self.top.best());
        for (row, (similarity, item)) in found {
            *row = [*item as f64, *similarity];
            if !self.out.text.is_empty() {
                self.out.text.push('\n');
            }
            self.out.text.push_str(&self.labels[*item]);
        }
        Ok(())
    }
}

/// Room for the vectors that are averaged.
fn means(settings: &Settings, length: usize) -> Result<Means> {
    let groups = (settings.per == Per::Marker && settings.average > 1).then_some(settings.markers);
    let kept = groups.unwrap_or(1).saturating_mul(settings.average).saturating_mul(length);
    if kept > MAX_KEPT {
        let text = format!(
            "{} markers with {} vectors of {length} numbers each are too many to keep",
            groups.unwrap_or(1),
            settings.average
        );
        return Err(Error::setting("average", text));
    }
    Ok(Means::new(length, settings.average, groups))
}

#[cfg(test)]
mod tests;
