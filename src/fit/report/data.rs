//! What a report is made of: plain data. Everything but the title may be missing.

use super::Geometry;
use crate::fit::metrics::{Activity, Confusion};
use crate::fit::stats::{self, Interval};
use serde::{Deserialize, Serialize};

/// Confidence of the intervals that are made here.
pub const CONFIDENCE: f64 = 0.95;

/// The level at which something counts as found.
pub const LEVEL: f64 = 0.05;

/// An evaluation, ready to be shown. Numbers are finite; what has no value is `None` or left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The heading.
    pub title: String,
    /// What was done with what: protocol, recordings, version.
    pub facts: Vec<Fact>,
    /// The score of each pipeline on each recording.
    pub scores: Vec<Score>,
    /// The score of each pipeline over all recordings.
    pub means: Vec<Mean>,
    /// Pipelines two by two.
    pub differences: Vec<Difference>,
    /// What was taken for what.
    pub confusions: Vec<ConfusionTable>,
    /// Accuracy against the time after the cue.
    pub time: Option<TimeCourse>,
    /// Accuracy against the number of calibration trials.
    pub curve: Option<LearningCurve>,
    /// Scores that chose a setting beside scores that did not see it.
    pub selection: Option<Selection>,
    /// Scores of a grid of settings.
    pub grid: Option<Grid>,
    /// Trials as points in a plane.
    pub scatter: Option<Scatter>,
    /// Patterns on the head.
    pub maps: Option<Maps>,
    /// The graphs that are decided on.
    pub geometry: Option<Geometry>,
}

/// One line of what was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is about, such as `protocol`.
    pub name: String,
    /// What there is to say.
    pub value: String,
}

impl Fact {
    /// A line.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// The score of one pipeline on one recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The pipeline.
    pub pipeline: String,
    /// The recording, or the pooled ones.
    pub recording: String,
    /// Number of tested trials.
    pub n: usize,
    /// How many were decided rightly.
    pub correct: usize,
    /// Their share, with its Wilson interval.
    pub accuracy: Interval,
    /// What guessing gets: one over the number of classes.
    pub chance: f64,
    /// The accuracy from which on guessing is excluded at 5 %, where there are enough trials.
    pub better_than_chance: Option<f64>,
    /// Mean over the classes of the share decided rightly.
    pub balanced_accuracy: f64,
    /// Cohen's kappa.
    pub kappa: f64,
    /// Normalised Matthews correlation.
    pub nmcc: f64,
    /// Area under the ROC curve.
    pub auc: Option<f64>,
    /// Information transfer rate.
    pub bits_per_minute: Option<f64>,
    /// False activations per minute of idle time (pseudo-online).
    pub false_per_minute: Option<f64>,
    /// Median seconds from the cue to the right decision (pseudo-online).
    pub time_to_decision_s: Option<f64>,
    /// Share of the trials in which the right class took effect (pseudo-online).
    pub hit_rate: Option<f64>,
}

impl Score {
    /// The score that follows from a confusion.
    pub fn new(
        pipeline: impl Into<String>,
        recording: impl Into<String>,
        confusion: &Confusion,
        auc: Option<f64>,
    ) -> Self {
        let (n, correct, classes) = (confusion.n(), confusion.correct(), confusion.classes());
        let threshold = stats::chance_threshold(n, classes, LEVEL);
        Self {
            pipeline: pipeline.into(),
            recording: recording.into(),
            n,
            correct,
            accuracy: stats::wilson(correct, n, CONFIDENCE),
            chance: 1.0 / classes.max(1) as f64,
            better_than_chance: threshold.map(|k| k as f64 / n as f64),
            balanced_accuracy: confusion.balanced_accuracy(),
            kappa: confusion.kappa(),
            nmcc: confusion.nmcc(),
            auc,
            bits_per_minute: None,
            false_per_minute: None,
            time_to_decision_s: None,
            hit_rate: None,
        }
    }

    /// Adds what a user would feel.
    pub fn with_activity(mut self, activity: &Activity) -> Self {
        self.false_per_minute = activity.false_per_minute;
        self.time_to_decision_s = activity.time_to_decision_s;
        self.hit_rate = Some(activity.hit_rate);
        self
    }

    /// Whether guessing is excluded at 5 %.
    pub fn is_better_than_chance(&self) -> bool {
        self.better_than_chance.is_some_and(|limit| self.accuracy.value >= limit)
    }
}

/// The accuracy of one pipeline over all recordings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The pipeline.
    pub pipeline: String,
    /// The mean, with an interval over the recordings.
    pub accuracy: Interval,
}

impl Mean {
    /// The mean over the `scores` of each pipeline, in the order of their first score, with bootstrap
    /// intervals. They say how the mean would vary with other recordings.
    pub fn of(scores: &[Score], resamples: usize, seed: u64) -> Vec<Self> {
        let mean = |pipeline: &str| {
            let own = scores.iter().filter(|s| s.pipeline == pipeline);
            let values: Vec<f64> = own.map(|s| s.accuracy.value).collect();
            let accuracy = stats::bootstrap_mean(&values, CONFIDENCE, resamples, seed);
            Self { pipeline: pipeline.to_owned(), accuracy }
        };
        distinct(scores.iter().map(|s| s.pipeline.as_str())).into_iter().map(mean).collect()
    }
}

/// Two pipelines compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The first pipeline.
    pub first: String,
    /// The second pipeline.
    pub second: String,
    /// On which recordings, such as `S001` or `all 5`.
    pub recordings: String,
    /// Accuracy of the first less that of the second, with an interval where there is one.
    pub difference: Interval,
    /// The test, such as `McNemar, exact`.
    pub test: String,
    /// The probability of so large a difference if there were none.
    pub p: f64,
    /// The same, for the number of tests that were made.
    pub p_adjusted: f64,
}

/// Adjusts the p of all differences for their number (Holm).
pub fn adjust(differences: &mut [Difference]) {
    let p: Vec<f64> = differences.iter().map(|d| d.p).collect();
    for (difference, p) in differences.iter_mut().zip(stats::holm(&p)) {
        difference.p_adjusted = p;
    }
}

/// What was taken for what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfusionTable {
    /// Whose decisions these are.
    pub title: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Rows: true class, columns: decided class.
    pub counts: Confusion,
}

/// A line with its interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// From left to right.
    pub points: Vec<Point>,
}

/// A point of a line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Where on the horizontal axis.
    pub x: f64,
    /// The accuracy there.
    pub accuracy: Interval,
}

/// Accuracy against the time after the cue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeCourse {
    /// One line per pipeline; x is the end of the window in seconds after the cue.
    pub series: Vec<Series>,
    /// What guessing gets.
    pub chance: f64,
    /// The length of the windows.
    pub window_s: Option<f64>,
}

/// Accuracy against the number of calibration trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearningCurve {
    /// One line per pipeline; x is the number of trials per class.
    pub series: Vec<Series>,
    /// What guessing gets.
    pub chance: f64,
}

/// What choosing settings by the score that is reported would add to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// One per recording or pipeline.
    pub rows: Vec<Selected>,
    /// What guessing gets.
    pub chance: f64,
}

/// A score of settings that were chosen among many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Selected {
    /// The recording or pipeline.
    pub name: String,
    /// On trials that the choice did not see (nested cross-validation).
    pub nested: f64,
    /// On the trials that made the choice.
    pub plain: f64,
}

/// Scores of a grid of settings, such as order and lag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// The score, such as `accuracy`.
    pub score: String,
    /// The setting that changes from row to row.
    pub row: Axis,
    /// The setting that changes from column to column.
    pub column: Axis,
    /// One list per row, one score per column; `None` where it could not be had.
    pub scores: Vec<Vec<Option<f64>>>,
    /// What was chosen.
    pub picks: Vec<Pick>,
}

/// A setting and its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// Its name.
    pub name: String,
    /// Its values in order.
    pub values: Vec<String>,
}

/// A place in the grid that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pick {
    /// Which row, from 0.
    pub row: usize,
    /// Which column, from 0.
    pub column: usize,
    /// In how many folds.
    pub times: usize,
}

/// Trials as points in a plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scatter {
    /// What the plane is, such as `principal components of the tangent space`.
    pub title: String,
    /// The horizontal axis.
    pub x: String,
    /// The vertical axis.
    pub y: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The trials.
    pub points: Vec<ScatterPoint>,
}

/// One trial in a plane.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScatterPoint {
    /// To the right.
    pub x: f64,
    /// Up.
    pub y: f64,
    /// Its class, from 0.
    pub class: usize,
    /// Whether the decoder was tested on it rather than trained.
    pub test: bool,
}

/// Patterns on the head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Maps {
    /// Labels of the channels. Those that [`crate::math::montage`] does not know are not drawn.
    pub channels: Vec<String>,
    /// The unit of the values; empty if arbitrary.
    pub unit: String,
    /// The patterns; all share one scale of colours.
    pub patterns: Vec<Pattern>,
}

/// One number per channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pattern {
    /// What it belongs to, such as a class.
    pub name: String,
    /// One per channel.
    pub values: Vec<f64>,
}

/// What is there, each once, in the order of its first place.
pub(super) fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}
