//! Pictures of one pipeline and its data: how its score grows with calibration, how it depends on when the
//! epoch begins, how the classes lie, and what they look like on the head.

use super::pictures;
use super::report::{
    CONFIDENCE, LearningCurve, Maps, Pattern, Point, Scatter, ScatterPoint, Series, TimeCourse,
};
use super::stats;
use super::tail::Way;
use super::validate::{FOLDS, answer, features};
use super::{Epochs, Plan, Protocol, evaluate};
use crate::error::Result;
use crate::frame::{Frame, Payload};
use crate::math::folds::stratified;
use crate::stages::{Examples, Part};

/// Numbers of trials per class at which the learning curve is looked at.
const TRIALS: [usize; 10] = [2, 3, 5, 8, 12, 16, 24, 32, 48, 64];
/// Where epochs begin for the time course, in seconds from where the config has them.
const SHIFTS_S: [f64; 9] = [-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0];

/// Accuracy against the number of trials per class that were learned from: the first ones of what lies
/// outside each fold.
pub fn learning_curve(plan: &Plan, epochs: &Epochs) -> Result<LearningCurve> {
    let least = epochs.counts().into_iter().min().unwrap_or(0);
    let folds = FOLDS.min(least).max(2);
    let fold_of = stratified(&epochs.labels, folds);
    let way = features(plan, epochs)?;
    let mut points = Vec::new();
    for n in TRIALS.into_iter().filter(|n| *n <= least - least.div_ceil(folds)) {
        let (mut right, mut all) = (0, 0);
        for fold in 0..folds {
            let (train, test): (Vec<usize>, Vec<usize>) =
                (0..fold_of.len()).partition(|i| fold_of[*i] != fold);
            let some = first_of_each(&train, &epochs.labels, n);
            for (decided, truth) in decided(plan, epochs, &way, &some, &test)? {
                right += usize::from(decided == truth);
                all += 1;
            }
        }
        points.push(Point { x: n as f64, accuracy: stats::wilson(right, all, CONFIDENCE) });
    }
    let series = vec![Series { name: plan.pipeline()?, points }];
    Ok(LearningCurve { series, chance: 1.0 / epochs.classes.len() as f64 })
}

/// The first `n` of every class among `which`.
pub(super) fn first_of_each(which: &[usize], labels: &[usize], n: usize) -> Vec<usize> {
    let mut taken = vec![0; labels.iter().max().map_or(0, |most| most + 1)];
    let mut wanted = |i: &&usize| {
        taken[labels[**i]] += 1;
        taken[labels[**i]] <= n
    };
    which.iter().filter(|i| wanted(i)).copied().collect()
}

/// What is decided for the epochs `test`, and their class.
fn decided(
    plan: &Plan,
    epochs: &Epochs,
    way: &Way,
    train: &[usize],
    test: &[usize],
) -> Result<Vec<(usize, usize)>> {
    let mut tail = plan.tail()?;
    let plain = tail.plain();
    tail.skip(plain);
    let frames: Vec<Frame> = train.iter().map(|i| way.train[*i].clone()).collect();
    let labels: Vec<usize> = train.iter().map(|i| epochs.labels[*i]).collect();
    tail.fit(&way.spec, &Examples::new(&frames, &labels, &epochs.classes))?;
    let mut decided = |i: &usize| answer(tail.scores(&way.train[*i]), epochs.classes.len()).0;
    Ok(test.iter().map(|i| (decided(i), epochs.labels[*i])).collect())
}

/// Accuracy of epochs that begin earlier or later than the config says, each with a model of its own;
/// `None` where the config does not cut them by `[fit]`.
pub fn time_course(plan: &Plan, recordings: &[String]) -> Result<Option<TimeCourse>> {
    let Some((start_s, window_s)) = plan.fit_window()? else { return Ok(None) };
    let mut points = Vec::new();
    let mut chance = 0.5;
    for shift_s in SHIFTS_S {
        let plan = plan.with(&[format!("fit.start_s={:?}", start_s + shift_s)]);
        let epochs = recordings.iter().map(|name| plan.epochs(name)).collect::<Result<_>>()?;
        let results = evaluate(&[plan], epochs, Protocol::Within, &|| ())?;
        for r in results {
            let x = start_s + shift_s + window_s;
            chance = 1.0 / r.classes.len() as f64;
            points.push(Point { x, accuracy: stats::wilson(r.correct, r.n, CONFIDENCE) });
        }
    }
    let series = vec![Series { name: plan.pipeline()?, points }];
    Ok(Some(TimeCourse { series, chance, window_s: Some(window_s) }))
}

/// Where the epochs lie in the plane in which their feature vectors differ most; those of the last fold
/// were not learned from. `None` where the pipeline decides on no vectors.
pub fn scatter(plan: &Plan, epochs: &Epochs) -> Result<Option<Scatter>> {
    let folds = FOLDS.min(epochs.counts().into_iter().min().unwrap_or(0)).max(2);
    let fold_of = stratified(&epochs.labels, folds);
    let (train, test): (Vec<usize>, Vec<usize>) =
        (0..fold_of.len()).partition(|i| fold_of[*i] + 1 != folds);
    let learned = epochs.some(&train);
    let mut tail = plan.tail()?;
    let way = Way {
        spec: epochs.spec.clone(),
        train: learned.frames.clone(),
        test: test.iter().map(|i| epochs.frames[*i].clone()).collect(),
    };
    let way = tail.advance(usize::MAX, way, &learned.examples())?;
    if way.spec.payload != Payload::Vector {
        return Ok(None);
    }
    let points = |place: &dyn Fn(&Frame) -> [f64; 2]| {
        let point = |frame: &Frame, class: usize, test: bool| {
            let [x, y] = place(frame);
            ScatterPoint { x, y, class, test }
        };
        let seen = way.train.iter().zip(&learned.labels).map(|(f, c)| point(f, *c, false));
        let new = way.test.iter().zip(&test).map(|(f, i)| point(f, epochs.labels[*i], true));
        seen.chain(new).collect()
    };
    let classes = epochs.classes.clone();
    // What has been embedded is shown as it is.
    if plan.learning()?.iter().any(|link| link.kind == "embedding") && way.spec.cols > 1 {
        return Ok(Some(Scatter {
            title: "embedding".to_owned(),
            x: "first coordinate".to_owned(),
            y: "second coordinate".to_owned(),
            classes,
            points: points(&|frame| [frame.data[0], frame.data[1]]),
        }));
    }
    let vectors: Vec<Vec<f64>> = way.train.iter().map(|f| f.data.clone()).collect();
    let plane = pictures::plane(&vectors)?;
    Ok(Some(Scatter {
        title: "feature vectors".to_owned(),
        x: "first principal component".to_owned(),
        y: "second principal component".to_owned(),
        classes,
        points: points(&|frame| plane.place(&frame.data)),
    }))
}

/// What the classes look like on the head: the patterns of spatial filters where the pipeline has them,
/// else how the power of each channel differs from its mean over all epochs.
pub fn maps(plan: &Plan, epochs: &Epochs) -> Result<Maps> {
    let labels: Vec<String> = epochs.spec.channels.iter().map(|c| c.label.clone()).collect();
    let mut tail = plan.tail()?;
    tail.fit(&epochs.spec, &epochs.examples())?;
    let parts = tail.parts()?;
    let filters = parts.values().find_map(|part| spatial(part, labels.len()));
    let (unit, patterns) = match filters {
        Some(patterns) => (String::new(), patterns),
        None => ("dB".to_owned(), powers(epochs)),
    };
    Ok(Maps { channels: labels, unit, patterns })
}

/// The spatial patterns in what a stage learned, one per filter.
fn spatial(part: &Part, channels: usize) -> Option<Vec<Pattern>> {
    let patterns = part.tensors.get("patterns")?;
    if patterns.shape.last() != Some(&channels) {
        return None;
    }
    let pattern = |(i, values): (usize, &[f64])| Pattern {
        name: format!("filter {}", i + 1),
        values: values.to_vec(),
    };
    Some(patterns.data.chunks_exact(channels).enumerate().map(pattern).collect())
}

/// For every class the mean power of each channel beside that of all epochs, in decibels.
fn powers(epochs: &Epochs) -> Vec<Pattern> {
    let cols = epochs.spec.cols;
    let levels: Vec<Vec<f64>> = epochs.frames.iter().map(|f| level(f, cols)).collect();
    let mean = |of: &dyn Fn(usize) -> bool| {
        let some: Vec<&Vec<f64>> =
            (0..levels.len()).filter(|i| of(*i)).map(|i| &levels[i]).collect();
        (0..cols).map(|c| some.iter().map(|l| l[c]).sum::<f64>() / some.len() as f64).collect()
    };
    let all: Vec<f64> = mean(&|_| true);
    let pattern = |(class, name): (usize, &String)| {
        let own: Vec<f64> = mean(&|i| epochs.labels[i] == class);
        let values = own.iter().zip(&all).map(|(own, all)| own - all).collect();
        Pattern { name: name.clone(), values }
    };
    epochs.classes.iter().enumerate().map(pattern).collect()
}

/// The power of each channel of a window, in decibels.
fn level(frame: &Frame, cols: usize) -> Vec<f64> {
    let rows = frame.rows.max(1) as f64;
    let mean = |c: usize| (0..frame.rows).map(|r| frame.row(r)[c]).sum::<f64>() / rows;
    let power = |c: usize| {
        let mean = mean(c);
        (0..frame.rows).map(|r| (frame.row(r)[c] - mean).powi(2)).sum::<f64>() / rows
    };
    (0..cols).map(|c| 10.0 * power(c).max(f64::MIN_POSITIVE).log10()).collect()
}
