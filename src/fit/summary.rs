//! From results to a report: scores with their intervals, what differs from what, what was chosen.

use super::metrics::Confusion;
use super::report::{
    Axis, ConfusionTable, Difference, Fact, Grid, Mean, Pick, Point, Report, Score, Selected,
    Selection, Series, TimeCourse, adjust,
};
use super::stats::{self, Interval};
use super::{Evaluation, Phase};
use crate::fit::report::CONFIDENCE;
use std::collections::BTreeMap;

/// Draws for intervals over recordings, and their seed.
const RESAMPLES: (usize, u64) = (2000, 1);
/// Width of a step of the time course, in seconds.
const STEP_S: f64 = 0.25;

/// The report of `results`; the first pipeline is compared with the others.
pub fn report(title: &str, facts: Vec<Fact>, results: &[Evaluation]) -> Report {
    let scores: Vec<Score> = results.iter().map(score).collect();
    let means = match scores.iter().any(|s| s.recording != scores[0].recording) {
        true => Mean::of(&scores, RESAMPLES.0, RESAMPLES.1),
        false => Vec::new(),
    };
    Report {
        title: title.to_owned(),
        facts,
        means,
        differences: differences(results),
        confusions: confusions(results),
        time: time(results),
        selection: selection(results),
        grid: results.iter().find_map(grid),
        scores,
        ..Report::default()
    }
}

/// The name of the pipeline, and how it was filtered where that is not as live.
fn name(r: &Evaluation) -> String {
    match r.filter {
        Phase::Causal => r.pipeline.clone(),
        Phase::ZeroPhase => format!("{} (zero-phase)", r.pipeline),
    }
}

fn confusion(r: &Evaluation) -> Confusion {
    let (truth, decided): (Vec<usize>, Vec<usize>) =
        r.trials.iter().map(|t| (t.truth, t.decided)).unzip();
    Confusion::of(r.classes.len(), &truth, &decided)
}

fn score(r: &Evaluation) -> Score {
    let mut score = Score::new(name(r), &r.recording, &confusion(r), r.auc);
    score.bits_per_minute = r.bits_per_minute;
    if let Some(felt) = &r.online {
        // Windows overlap, so they do not count one by one.
        score.accuracy = Interval::point(r.accuracy);
        score.better_than_chance = None;
        score.false_per_minute = felt.false_per_minute;
        score.time_to_decision_s = felt.time_to_decision_s;
        score.hit_rate = Some(felt.hit_rate);
    }
    score
}

/// Names of the pipelines in their order.
fn names(results: &[Evaluation]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in results.iter().map(name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Whether each tested epoch was right, by recording and epoch.
fn right(results: &[Evaluation], pipeline: &str) -> BTreeMap<(String, usize), bool> {
    let own = results.iter().filter(|r| name(r) == pipeline);
    let trials = own.flat_map(|r| r.trials.iter().map(|t| (r.recording.clone(), t)));
    trials.map(|(recording, t)| ((recording, t.epoch), t.truth == t.decided)).collect()
}

/// The first pipeline beside each other one, on the same epochs. Windows of a stream overlap and are no
/// separate trials, so pseudo-online nothing is tested.
fn differences(results: &[Evaluation]) -> Vec<Difference> {
    let names = names(results);
    let Some((first, others)) = names.split_first() else { return Vec::new() };
    if results.iter().any(|r| r.online.is_some()) {
        return Vec::new();
    }
    let mine = right(results, first);
    let recordings = results.iter().filter(|r| name(r) == *first).count();
    let compare = |other: &String| {
        let theirs = right(results, other);
        let both: Vec<(bool, bool)> =
            mine.iter().filter_map(|(key, a)| theirs.get(key).map(|b| (*a, *b))).collect();
        let (a, b): (Vec<bool>, Vec<bool>) = both.iter().copied().unzip();
        let steps: Vec<f64> =
            both.iter().map(|(a, b)| f64::from(u8::from(*a)) - f64::from(u8::from(*b))).collect();
        let p = stats::mcnemar(&a, &b).p;
        Difference {
            first: first.clone(),
            second: other.clone(),
            recordings: match recordings {
                1 => results[0].recording.clone(),
                n => format!("all {n}"),
            },
            difference: stats::bootstrap_mean(&steps, CONFIDENCE, RESAMPLES.0, RESAMPLES.1),
            test: "McNemar, exact".to_owned(),
            p,
            p_adjusted: p,
        }
    };
    let mut found: Vec<Difference> = others.iter().map(compare).collect();
    adjust(&mut found);
    found
}

/// One table per pipeline, over all recordings.
fn confusions(results: &[Evaluation]) -> Vec<ConfusionTable> {
    let table = |pipeline: String| {
        let own: Vec<&Evaluation> = results.iter().filter(|r| name(r) == pipeline).collect();
        let mut counts = Confusion::new(own[0].classes.len());
        own.iter().for_each(|r| counts.merge(&confusion(r)));
        ConfusionTable { title: pipeline, classes: own[0].classes.clone(), counts }
    };
    names(results).into_iter().map(table).collect()
}

/// How right the windows are against the time after the cue, pseudo-online. At one time after the cue
/// there is one window per trial.
fn time(results: &[Evaluation]) -> Option<TimeCourse> {
    let line = |pipeline: String| {
        let own = results.iter().filter(|r| name(r) == pipeline);
        let mut steps: BTreeMap<i64, (usize, usize)> = BTreeMap::new();
        for (after_s, right) in own.flat_map(|r| &r.course) {
            let step = steps.entry((after_s / STEP_S).round() as i64).or_default();
            *step = (step.0 + usize::from(*right), step.1 + 1);
        }
        let point = |(step, (right, n)): (i64, (usize, usize))| Point {
            x: step as f64 * STEP_S,
            accuracy: stats::wilson(right, n, CONFIDENCE),
        };
        Series { name: pipeline, points: steps.into_iter().map(point).collect() }
    };
    let series: Vec<Series> =
        names(results).into_iter().map(line).filter(|s| s.points.len() > 1).collect();
    let chance = 1.0 / results.first()?.classes.len() as f64;
    (!series.is_empty()).then_some(TimeCourse { series, chance, window_s: None })
}

/// What the choice of settings flatters, pipeline by pipeline that was tuned.
fn selection(results: &[Evaluation]) -> Option<Selection> {
    let rows = results.iter().filter_map(|r| {
        let chosen: Vec<f64> =
            r.folds.iter().filter_map(|f| f.choice.as_ref()).map(|c| c.score).collect();
        let nested = if r.classes.len() == 2 { r.auc? } else { r.accuracy };
        let plain = chosen.iter().sum::<f64>() / chosen.len() as f64;
        let name = format!("{}, {}", name(r), r.recording);
        (!chosen.is_empty()).then_some(Selected { name, nested, plain })
    });
    let rows: Vec<Selected> = rows.collect();
    let chance = 1.0 / results.first()?.classes.len() as f64;
    (!rows.is_empty()).then_some(Selection { rows, chance })
}

/// The scores of orders and lags, mean over the folds, each with its best other settings.
fn grid(r: &Evaluation) -> Option<Grid> {
    let number = |sets: &[String], key: &str| {
        let found = sets.iter().find_map(|set| set.split_once(&format!(".{key}=")));
        found.and_then(|(_, value)| value.parse::<usize>().ok())
    };
    let place = |sets: &[String]| Some((number(sets, "order")?, number(sets, "lag")?));
    let mut sums: BTreeMap<(usize, usize), (f64, usize)> = BTreeMap::new();
    let mut picked: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for choice in r.folds.iter().filter_map(|f| f.choice.as_ref()) {
        *picked.entry(place(&choice.sets)?).or_default() += 1;
        let mut best: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        for cell in &choice.cells {
            let (at, Some(score)) = (place(&cell.sets)?, cell.score) else { continue };
            let known = best.entry(at).or_insert(score);
            *known = known.max(score);
        }
        for (at, score) in best {
            let sum = sums.entry(at).or_default();
            *sum = (sum.0 + score, sum.1 + 1);
        }
    }
    let values = |of: fn(&(usize, usize)) -> usize| {
        let mut values: Vec<usize> = sums.keys().map(of).collect();
        values.sort_unstable();
        values.dedup();
        values
    };
    let (orders, lags) = (values(|at| at.0), values(|at| at.1));
    if orders.len() * lags.len() < 2 {
        return None;
    }
    let at = |order, lag| sums.get(&(order, lag)).map(|(sum, n)| sum / *n as f64);
    let axis = |name: &str, values: &[usize]| Axis {
        name: name.to_owned(),
        values: values.iter().map(usize::to_string).collect(),
    };
    let pick = |((order, lag), times): (&(usize, usize), &usize)| {
        let row = orders.iter().position(|o| o == order)?;
        Some(Pick { row, column: lags.iter().position(|l| l == lag)?, times: *times })
    };
    Some(Grid {
        score: if r.classes.len() == 2 { "AUC".into() } else { "accuracy".into() },
        row: axis("order", &orders),
        column: axis("lag", &lags),
        scores: orders.iter().map(|o| lags.iter().map(|l| at(*o, *l)).collect()).collect(),
        picks: picked.iter().filter_map(pick).collect(),
    })
}
