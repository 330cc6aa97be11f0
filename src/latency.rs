//! How long things took: HDR histograms over decisions.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longest time that is told apart, in nanoseconds; longer ones count as this.
const LONGEST_NS: u64 = 600_000_000_000;

/// The times of all decisions so far.
pub struct Latency {
    engine: Histogram<u64>,
    age_newest: Histogram<u64>,
    age_oldest: Histogram<u64>,
    stages: Vec<(String, Histogram<u64>)>,
}

/// How long one decision took.
#[derive(Debug, Clone, Copy)]
pub struct Times<'a> {
    /// From the arrival of the newest sample in this process to the decision, in seconds.
    pub engine_s: f64,
    /// Age of the newest sample, in seconds, where samples have an age.
    pub age_newest_s: Option<f64>,
    /// Age of the oldest sample, in seconds, where samples have an age.
    pub age_oldest_s: Option<f64>,
    /// Nanoseconds in each stage.
    pub stage_ns: &'a [u64],
}

/// One histogram in figures, in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of decisions.
    pub n: u64,
    /// Median.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// 99.9th percentile.
    pub p999_us: f64,
    /// Longest.
    pub max_us: f64,
}

/// All histograms in figures.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// From the arrival of the newest sample in this process to the decision.
    pub engine: Summary,
    /// Age of the newest sample when the decision was made, on the LSL clock.
    pub age_newest: Summary,
    /// Age of the oldest sample when the decision was made, on the LSL clock.
    pub age_oldest: Summary,
    /// Time in each stage while the newest block was worked on.
    #[serde(serialize_with = "as_map")]
    pub stages: Vec<(String, Summary)>,
}

fn as_map<S: serde::Serializer>(stages: &[(String, Summary)], s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(stages.iter().map(|(k, v)| (k, v)))
}

impl Latency {
    /// Empty histograms for decisions that passed `stages`.
    pub fn new(stages: &[String]) -> Self {
        Self {
            engine: histogram(),
            age_newest: histogram(),
            age_oldest: histogram(),
            stages: stages.iter().map(|s| (s.clone(), histogram())).collect(),
        }
    }

    /// Adds one decision.
    pub fn record(&mut self, decision: Times<'_>) {
        record_s(&mut self.engine, Some(decision.engine_s));
        record_s(&mut self.age_newest, decision.age_newest_s);
        record_s(&mut self.age_oldest, decision.age_oldest_s);
        for ((_, histogram), ns) in self.stages.iter_mut().zip(decision.stage_ns) {
            histogram.saturating_record((*ns).max(1));
        }
    }

    /// Time from arrival to decision.
    pub fn engine(&self) -> Summary {
        summary(&self.engine)
    }

    /// Age of the newest sample.
    pub fn age_newest(&self) -> Summary {
        summary(&self.age_newest)
    }

    /// Everything in figures.
    pub fn report(&self) -> Report {
        Report {
            engine: self.engine(),
            age_newest: self.age_newest(),
            age_oldest: summary(&self.age_oldest),
            stages: self.stages.iter().map(|(id, h)| (id.clone(), summary(h))).collect(),
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("the bounds are valid")
}

fn record_s(histogram: &mut Histogram<u64>, seconds: Option<f64>) {
    let Some(seconds) = seconds else { return };
    // A float to integer cast saturates; a negative age (a sender ahead of its clock) counts as 1.
    histogram.saturating_record(((seconds * 1e9) as u64).clamp(1, LONGEST_NS));
}

fn summary(h: &Histogram<u64>) -> Summary {
    let us = |ns: u64| ns as f64 / 1e3;
    Summary {
        n: h.len(),
        p50_us: us(h.value_at_quantile(0.5)),
        p99_us: us(h.value_at_quantile(0.99)),
        p999_us: us(h.value_at_quantile(0.999)),
        max_us: us(h.max()),
    }
}
