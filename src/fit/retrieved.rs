//! How well what was shown is found again in a gallery, over all held-out recordings.

use super::HeldOut;
use super::metrics::retrieval::{Figure, Resampling, Retrieval};
use crate::error::{Error, Result};
use crate::formats::gallery;
use crate::math::retrieval::Items;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::PathBuf;

/// The scores of a pipeline that retrieves.
#[derive(Debug, Clone, Serialize)]
pub struct Retrieved {
    /// The stages before the retrieval, behind the windows.
    pub pipeline: String,
    /// The recordings.
    pub recordings: Vec<String>,
    /// Where items were looked for.
    pub gallery: PathBuf,
    /// Of every prediction by itself.
    pub single: Retrieval,
    /// Of the mean prediction for each item that was shown more than once, the predictions brought to length 1 before.
    pub averaged: Option<Retrieval>,
}

impl Retrieved {
    /// Scores the answers to `recordings`; `None` where they are none of a retrieval.
    pub fn of(recordings: Vec<(String, HeldOut)>) -> Result<Option<Self>> {
        let Some((_, first)) = recordings.first() else { return Ok(None) };
        let Some((path, centre)) = first.gallery.clone() else { return Ok(None) };
        let (pipeline, gallery) = (first.pipeline.clone(), gallery::read(&path)?);
        let labels = gallery.labels.iter().enumerate().map(|(i, label)| (label.as_str(), i));
        let places: HashMap<&str, usize> = labels.collect();
        let (mut predictions, mut truth) = (Vec::new(), Vec::new());
        for frame in recordings.iter().flat_map(|(_, held_out)| &held_out.answers) {
            if let Some(item) = places.get(frame.text.as_str()) {
                predictions.extend_from_slice(&frame.data);
                truth.push(*item);
            }
        }
        if truth.is_empty() {
            let text = "no marker of the recordings is a label of the gallery";
            return Err(Error::input(text).at(path.display()));
        }
        let items = Items::new(gallery.embeddings, gallery.length, centre);
        let single = Retrieval::of(&items, &predictions, &truth, Resampling::default())?;
        let (means, shown) = averaged(&predictions, &truth, gallery.length);
        let averaged = (shown.len() < truth.len())
            .then(|| Retrieval::of(&items, &means, &shown, Resampling::default()))
            .transpose()?;
        let recordings = recordings.into_iter().map(|(name, _)| name).collect();
        Ok(Some(Self { pipeline, recordings, gallery: path, single, averaged }))
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{}: {} trials of {} items, looked for among {}; 95 % intervals over items\n",
            self.pipeline, self.single.trials, self.single.tried, self.single.items
        );
        let _ = writeln!(
            text,
            "{:<22}{:>28}{:>28}{:>10}",
            "", "single trials", "repetitions averaged", "chance"
        );
        let columns = [Some(&self.single), self.averaged.as_ref()];
        let mut row = |name: &str, figure: &dyn Fn(&Retrieval) -> Figure, percent: bool| {
            let cell =
                |of: Option<&Retrieval>| of.map_or("-".to_owned(), |r| shown(figure(r), percent));
            let chance = figure(&self.single).chance;
            let chance =
                if percent { format!("{:.1} %", 100.0 * chance) } else { format!("{chance:.1}") };
            let [single, averaged] = columns.map(cell);
            let _ = writeln!(text, "{name:<22}{single:>28}{averaged:>28}{chance:>10}");
        };
        row("top 1", &|r| r.top_1, true);
        row("top 5", &|r| r.top_5, true);
        for (i, choice) in self.single.choices.iter().enumerate() {
            row(&format!("one of {}", choice.ways), &|r| r.choices[i].accuracy, true);
        }
        row("median rank", &|r| r.median_rank, false);
        text
    }
}

fn shown(figure: Figure, percent: bool) -> String {
    let interval = figure.found;
    let [value, low, high] = [interval.value, interval.low, interval.high];
    match percent {
        true => format!("{:.1} % ({:.1} to {:.1})", 100.0 * value, 100.0 * low, 100.0 * high),
        false => format!("{value:.1} ({low:.1} to {high:.1})"),
    }
}

/// The mean of the predictions for each item, each of length 1 before, and the items.
fn averaged(predictions: &[f64], truth: &[usize], length: usize) -> (Vec<f64>, Vec<usize>) {
    let mut sums: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (prediction, item) in predictions.chunks_exact(length).zip(truth) {
        let norm = prediction.iter().map(|v| v * v).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        let sum = sums.entry(*item).or_insert_with(|| vec![0.0; length]);
        sum.iter_mut().zip(prediction).for_each(|(s, v)| *s += v / norm);
    }
    let shown = sums.keys().copied().collect();
    (sums.into_values().flatten().collect(), shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_of_the_same_item_are_averaged() {
        let (means, shown) = averaged(&[2.0, 0.0, 0.0, 3.0, 0.0, 5.0], &[4, 1, 4], 2);
        assert_eq!((means, shown), (vec![0.0, 1.0, 1.0, 1.0], vec![1, 4]));
    }
}
