//! Searching settings on training data.
//!
//! In: a pipeline, what is searched, labelled epochs. Out: the settings with the best score in a
//! cross-validation inside these epochs (stratified, not shuffled; area under the ROC curve for two
//! classes, accuracy for more; of equal ones the first). What is common to several cells of the grid is
//! computed once: the covariances of one order and lag for all folds, what the stages before the first
//! that is searched learn in a fold for all of its settings. Cells run on all cores.

use super::metrics::auc;
use super::tail::{Tail, Way};
use super::validate::{answer, argmax, features};
use super::{Epochs, Plan};
use crate::config::{Method, Tune};
use crate::error::{Error, Result};
use crate::math::embedding;
use crate::math::folds::stratified;
use crate::model::{Link, sha256};
use crate::stages::Examples;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What was chosen.
#[derive(Debug, Clone, Serialize)]
pub struct Choice {
    /// The settings, as `id.key=value`.
    pub sets: Vec<String>,
    /// Their score on the training data. The best of many, so better than what is to be expected.
    pub score: f64,
    /// The score of every cell of the grid.
    #[serde(skip)]
    pub cells: Vec<Cell>,
}

/// One cell of the grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Its settings, as `id.key=value`.
    pub sets: Vec<String>,
    /// Its score; `None` where the pipeline does not work with them.
    pub score: Option<f64>,
}

/// The cells of searches that were done before, on a file, so that a search can be taken up again.
#[derive(Default)]
pub struct Memory {
    known: HashMap<String, Vec<Cell>>,
    file: Option<std::fs::File>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    /// Which pipeline, data and cells.
    key: String,
    cells: Vec<Cell>,
}

impl Memory {
    /// A memory in the file at `path`, which may exist.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |e| Error::run(format!("{}: cannot be used: {e}", path.display()));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(failed(e)),
        };
        // A line that was cut off when the program ended is computed again.
        let lines = text.lines().filter_map(|l| serde_json::from_str::<Line>(l).ok());
        let known = lines.map(|line| (line.key, line.cells)).collect();
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        Ok(Self { known, file: Some(file.map_err(failed)?) })
    }

    fn keep(&mut self, key: &str, cells: &[Cell]) {
        let line = Line { key: key.to_owned(), cells: cells.to_vec() };
        if let (Some(file), Ok(line)) = (&mut self.file, serde_json::to_string(&line)) {
            // Without the line the search can only not be taken up here.
            let _ = writeln!(file, "{line}");
        }
    }
}

/// The values of one setting, each as the list of `id.key=value` for all stages that have it.
type Axis = Vec<Vec<String>>;

/// Searches what `tune` says on all of `epochs`. `progress` is told after every order and lag.
pub fn choose(
    plan: &Plan,
    tune: &Tune,
    epochs: &Epochs,
    memory: &mut Memory,
    progress: &(dyn Fn() + Sync),
) -> Result<Choice> {
    epochs.check_counts(2)?;
    let grid = Grid::new(plan, tune, epochs)?;
    let cells = grid.search(memory, progress)?;
    let better =
        |best: Option<&'_ Cell>, cell: &'_ Cell| match (best.and_then(|b| b.score), cell.score) {
            (Some(best), Some(score)) => score > best,
            (None, score) => score.is_some(),
            (Some(_), None) => false,
        };
    let mut best: Option<&Cell> = None;
    for cell in &cells {
        if better(best, cell) {
            best = Some(cell);
        }
    }
    match best {
        Some(Cell { sets, score: Some(score) }) => {
            Ok(Choice { sets: sets.clone(), score: *score, cells })
        }
        _ => Err(Error::config(format!(
            "no setting of the search works with these epochs; the first of {}: {}",
            cells.len(),
            grid.why_not()
        ))),
    }
}

/// How many steps of progress [`choose`] will tell.
pub fn steps(plan: &Plan, tune: &Tune, epochs: &Epochs) -> Result<usize> {
    Ok(Grid::new(plan, tune, epochs)?.outer.len())
}

/// What is searched.
struct Grid<'a> {
    plan: &'a Plan,
    epochs: &'a Epochs,
    /// Pairs of order and lag.
    outer: Vec<Vec<String>>,
    /// All else.
    inner: Vec<Vec<String>>,
    /// What makes the search quicker and changes no score: probabilities need not be calibrated, as long
    /// as their order and the largest stay.
    shortcuts: Vec<String>,
    /// Ids of the stages that `inner` is about.
    searched: Vec<String>,
    /// The fold in which each epoch is tested.
    fold_of: Vec<usize>,
    folds: usize,
}

impl<'a> Grid<'a> {
    fn new(plan: &'a Plan, tune: &Tune, epochs: &'a Epochs) -> Result<Self> {
        let stages = plan.learning()?;
        let (order, lag) = delays(tune, &stages, epochs)?;
        let outer = product(&[axis(&stages, "order", &order), axis(&stages, "lag", &lag)]);
        let kernels: Vec<String> = tune.kernel.iter().map(|k| format!("{k:?}")).collect();
        let inner = [
            axis(&stages, "kernel", &kernels),
            axis(&stages, "c", &numbers(&tune.c)),
            axis(&stages, "filters", &tune.filters),
            axis(&stages, "l1_ratio", &numbers(&tune.l1_ratio)),
        ];
        let shortcuts = axis(&stages, "calibrate", &[false]).concat();
        let ids = inner.iter().flatten().flatten().filter_map(|set| set.split('.').next());
        let searched = ids.map(str::to_owned).collect();
        let folds = tune.folds.min(epochs.counts().into_iter().min().unwrap_or(0)).max(2);
        let fold_of = stratified(&epochs.labels, folds);
        let inner = product(&inner);
        Ok(Self { plan, epochs, outer, inner, shortcuts, searched, fold_of, folds })
    }

    /// The scores of all cells, in the order of the grid.
    fn search(&self, memory: &mut Memory, progress: &(dyn Fn() + Sync)) -> Result<Vec<Cell>> {
        let data = memory.file.as_ref().map(|_| self.data()).unwrap_or_default();
        let key = |sets: &Vec<String>| self.key(sets, &data);
        let keys: Vec<String> = self.outer.iter().map(key).collect::<Result<_>>()?;
        let done = |key: &String| memory.known.get(key).cloned();
        let found: Vec<Mutex<Option<Vec<Cell>>>> =
            keys.iter().map(|k| Mutex::new(done(k))).collect();
        let (next, memory) = (AtomicUsize::new(0), Mutex::new(memory));
        let work = || {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(slot) = found.get(i) else { return };
                let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                if slot.is_none() {
                    let cells = self.cells(&self.outer[i]);
                    memory.lock().unwrap_or_else(PoisonError::into_inner).keep(&keys[i], &cells);
                    *slot = Some(cells);
                }
                progress();
            }
        };
        std::thread::scope(|scope| {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            for _ in 1..threads.min(found.len()) {
                scope.spawn(work);
            }
            work();
        });
        let cells = |slot: Mutex<Option<Vec<Cell>>>| {
            slot.into_inner().unwrap_or_else(PoisonError::into_inner).unwrap_or_default()
        };
        Ok(found.into_iter().flat_map(cells).collect())
    }

    /// The scores of the cells of one order and lag.
    fn cells(&self, outer: &[String]) -> Vec<Cell> {
        let scores = self.scores(outer);
        let score = |i: usize| scores.as_ref().ok().and_then(|s| s[i]);
        let cell = |(i, inner): (usize, &Vec<String>)| Cell {
            sets: [outer, inner].concat(),
            score: score(i),
        };
        self.inner.iter().enumerate().map(cell).collect()
    }

    /// The mean scores over the folds, `None` where a fold has none.
    fn scores(&self, outer: &[String]) -> Result<Vec<Option<f64>>> {
        let plan = self.plan.with(outer).with(&self.shortcuts);
        let way = features(&plan, self.epochs)?;
        let mut sums = vec![Some(0.0); self.inner.len()];
        for fold in 0..self.folds {
            let scores = self.fold(&plan, &way, fold)?;
            for (sum, score) in sums.iter_mut().zip(scores) {
                *sum = sum.zip(score).map(|(sum, score)| sum + score / self.folds as f64);
            }
        }
        Ok(sums)
    }

    /// The score of each of the inner settings on one fold.
    fn fold(&self, plan: &Plan, features: &Way, fold: usize) -> Result<Vec<Option<f64>>> {
        let (train, test): (Vec<usize>, Vec<usize>) =
            (0..self.fold_of.len()).partition(|i| self.fold_of[*i] != fold);
        let of = |all: &[usize]| train.iter().map(|i| all[*i]).collect::<Vec<_>>();
        let (labels, groups) = (of(&self.epochs.labels), of(&self.epochs.groups));
        let weights = self.epochs.some(&train).weights;
        let classes = &self.epochs.classes;
        let truth: Vec<usize> = test.iter().map(|i| self.epochs.labels[*i]).collect();
        let frames = |which: &[usize]| which.iter().map(|i| features.train[*i].clone()).collect();
        let way = Way { spec: features.spec.clone(), train: frames(&train), test: frames(&test) };
        let given =
            Examples { frames: &[], labels: &labels, classes, groups: &groups, weights: &weights };
        // The stages before the first that is searched learn once.
        let mut tail = learning(plan)?;
        let common = tail.first_of(&self.searched).unwrap_or_default();
        let way = tail.advance(common, way, &given)?;
        let score = |inner: &Vec<String>| -> Result<Option<f64>> {
            let mut tail = learning(&plan.with(inner))?;
            tail.skip(common);
            tail.fit(&way.spec, &Examples { frames: &way.train, ..given })?;
            let answered = |frame| answer(tail.scores(frame), classes.len()).1;
            let scores: Vec<Vec<f64>> = way.test.iter().map(answered).collect();
            Ok(score(&scores, &truth, classes.len()))
        };
        Ok(self.inner.iter().map(|inner| score(inner).unwrap_or(None)).collect())
    }

    /// Names the pipeline, its settings, the data and the cells of one order and lag.
    fn key(&self, outer: &[String], data: &str) -> Result<String> {
        let stages = self.plan.with(outer).learning()?;
        let text = format!("{stages:?}{:?}{data}", self.inner);
        Ok(sha256(text.as_bytes()))
    }

    /// Names the epochs, their classes and folds.
    fn data(&self) -> String {
        let Epochs { frames, labels, .. } = self.epochs;
        let numbers = frames.iter().flat_map(|f| &f.data).flat_map(|v| v.to_le_bytes());
        let numbers = sha256(&numbers.collect::<Vec<_>>());
        sha256(format!("{labels:?}{:?}{numbers}", self.fold_of).as_bytes())
    }

    /// Why the first cell does not work.
    fn why_not(&self) -> String {
        let first = self.outer.first().map(|outer| self.scores(outer));
        match first {
            Some(Err(e)) => e.to_string(),
            _ => "its scores are not defined".to_owned(),
        }
    }
}

/// The tail of the plan without the stages before the first that learns.
fn learning(plan: &Plan) -> Result<Tail> {
    let mut tail = plan.tail()?;
    let plain = tail.plain();
    tail.skip(plain);
    Ok(tail)
}

/// What counts: the area under the ROC curve for two classes, else the accuracy.
fn score(scores: &[Vec<f64>], truth: &[usize], classes: usize) -> Option<f64> {
    if classes == 2 {
        return auc(scores, truth, classes);
    }
    let right = scores.iter().zip(truth).filter(|(s, truth)| argmax(s) == **truth).count();
    (!truth.is_empty()).then(|| right as f64 / truth.len() as f64)
}

/// The orders and lags that are tried.
fn delays(tune: &Tune, stages: &[Link], epochs: &Epochs) -> Result<(Vec<usize>, Vec<usize>)> {
    if !stages.iter().any(|s| s.kind == "augmented") {
        return Ok((Vec::new(), Vec::new()));
    }
    let (windows, channels) = (windows(epochs), epochs.spec.cols);
    let choice = match tune.method {
        Method::Grid => return Ok((tune.order.clone(), tune.lag.clone())),
        Method::Mdop => mdop_on_all_cores(&windows, channels)?,
        Method::Cao => {
            let most = tune.order.iter().copied().max().unwrap_or(10);
            embedding::cao::cao(&windows, channels, most)?.choice
        }
        Method::Quick => embedding::quick::from_epochs(&windows, channels)?,
    };
    // Delays that are all nothing make no copies.
    Ok((vec![choice.order], vec![choice.lag.max(1)]))
}

/// The samples of the epochs.
fn windows(epochs: &Epochs) -> Vec<&[f64]> {
    epochs.frames.iter().map(|frame| frame.data.as_slice()).collect()
}

/// The mean of what MDOP finds in every epoch.
fn mdop_on_all_cores(epochs: &[&[f64]], channels: usize) -> Result<embedding::Choice> {
    let one = |epoch: &&[f64]| embedding::mdop::mdop(epoch, channels).map(|found| found.choice());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parts = epochs.chunks(epochs.len().div_ceil(threads).max(1));
    let all: Vec<Result<embedding::Choice>> = std::thread::scope(|scope| {
        let running: Vec<_> = parts
            .map(|part| scope.spawn(move || part.iter().map(one).collect::<Vec<_>>()))
            .collect();
        let failed = || vec![Err(Error::run("a thread of the search has ended early"))];
        let found = running.into_iter().map(|t| t.join().unwrap_or_else(|_| failed()));
        found.flatten().collect()
    });
    embedding::Choice::mean(&all.into_iter().collect::<Result<Vec<_>>>()?)
}

/// The settings `key` of all stages that have it, one entry per value.
fn axis<T: std::fmt::Display>(stages: &[Link], key: &str, values: &[T]) -> Axis {
    let having = || stages.iter().filter(|s| s.settings.get(key).is_some());
    if having().next().is_none() {
        return Vec::new();
    }
    let sets = |value| having().map(|s| format!("{}.{key}={value}", s.id)).collect();
    values.iter().map(sets).collect()
}

/// Numbers as TOML writes them, with a point.
fn numbers(values: &[f64]) -> Vec<String> {
    values.iter().map(|v| format!("{v:?}")).collect()
}

/// Every combination of the values of the axes that have any; the last runs fastest.
fn product(axes: &[Axis]) -> Vec<Vec<String>> {
    axes.iter().filter(|axis| !axis.is_empty()).fold(vec![Vec::new()], |before, axis| {
        let with =
            |sets: &Vec<String>| axis.iter().map(|more| [sets.as_slice(), more].concat()).collect();
        before.iter().flat_map::<Vec<Vec<String>>, _>(with).collect()
    })
}
