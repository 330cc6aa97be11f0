//! Searching settings: the scores of the grid are those of the same cross-validation cell by cell, a search
//! goes on where it was, and what was tuned comes with the model.
#![allow(clippy::unwrap_used)]

use saltatory::config::{self, Method, Tune};
use saltatory::control::fit::{self, Fit};
use saltatory::fit::{Epochs, Memory, Plan, Protocol, choose, evaluate};
use std::path::{Path, PathBuf};

const CONFIG: &str = r#"
[[source]]
kind = "lsl"
type = "EEG"

[[source]]
kind = "lsl"
id = "markers"
type = "Markers"

[[stage]]
kind = "pick"
from = "lsl"
channels = ["C3", "Cz", "C4"]

[[stage]]
kind = "bandpass"
low_hz = 8.0
high_hz = 30.0

[[stage]]
kind = "window"
length_s = 2.0
step_s = 0.1

[[stage]]
kind = "augmented"
order = 1
lag = 1

[[stage]]
kind = "covariance"

[[stage]]
kind = "tangent"

[[stage]]
kind = "svm"

[fit]
classes = { left = "T1", right = "T2" }
start_s = 0.5

[tune]
order = [1, 3]
lag = [2, 5]
c = [0.1, 1.0]
folds = 5
"#;

/// The config in a folder of its own.
fn config() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tune.toml");
    std::fs::write(&path, CONFIG).unwrap();
    (folder, path)
}

fn epochs(plan: &Plan) -> Epochs {
    let one = |seed| plan.epochs(&format!("synthetic:{seed}")).unwrap();
    Epochs::pool((1..=3).map(one).collect()).unwrap()
}

/// The folds of the search are then those of `evaluate`, which knows nothing of shared work.
#[test]
fn every_cell_scores_as_by_itself() {
    let (_folder, path) = config();
    let plan = Plan::new(&path, &[]).unwrap();
    let epochs = epochs(&plan);
    let tune = plan.tuned(Method::Grid).tune().unwrap().unwrap();
    let choice = choose(&plan, &tune, &epochs, &mut Memory::default(), &|| ()).unwrap();
    assert_eq!(choice.cells.len(), 8);
    let mut best = f64::NEG_INFINITY;
    for cell in &choice.cells {
        let alone = [plan.with(&cell.sets)];
        let alone = evaluate(&alone, vec![epochs.clone()], Protocol::Within, &|| ()).unwrap();
        let (got, want) = (cell.score.unwrap(), alone[0].auc.unwrap());
        assert!((got - want).abs() < 1e-12, "{:?}: {got} and {want}", cell.sets);
        best = best.max(got);
    }
    let first = choice.cells.iter().find(|cell| cell.score == Some(best)).unwrap();
    assert_eq!((choice.score, &choice.sets), (best, &first.sets));
}

#[test]
fn a_search_goes_on_where_it_was() {
    let (folder, path) = config();
    let plan = Plan::new(&path, &[]).unwrap();
    let (epochs, kept) = (epochs(&plan), folder.path().join("m.tune.jsonl"));
    let tune = plan.tuned(Method::Grid).tune().unwrap().unwrap();
    let search = |epochs: &Epochs| {
        choose(&plan, &tune, epochs, &mut Memory::open(&kept).unwrap(), &|| ()).unwrap()
    };
    let first = search(&epochs);
    // What stands in the file is taken for granted; a line that was cut off is computed again.
    let text = std::fs::read_to_string(&kept).unwrap();
    assert_eq!(text.lines().count(), 4);
    let (whole, cut) = text.trim_end().rsplit_once('\n').unwrap();
    let whole = whole.replacen(":0.", ":7.", 1).replacen(":1.0}", ":7.0}", 1);
    std::fs::write(&kept, format!("{whole}\n{}", &cut[..cut.len() / 2])).unwrap();
    let again = search(&epochs);
    assert!(again.score >= 7.0, "{}", again.score);
    assert_eq!(again.cells.len(), first.cells.len());
    // Other data have nothing to do with it.
    let others: Vec<usize> = (0..epochs.frames.len() - 1).collect();
    assert!(search(&epochs.some(&others)).score <= 1.0);
}

#[test]
fn every_method_chooses_and_the_model_brings_it_along() {
    let (folder, path) = config();
    let out = folder.path().join("m.safetensors");
    let recordings = ["synthetic:1".to_owned(), "synthetic:2".to_owned()];
    // Cao's method may go as far as the largest order.
    let sets = ["tune.order=[1, 12]".to_owned()];
    for method in [Method::Grid, Method::Mdop, Method::Cao, Method::Quick] {
        let asked = Fit {
            config: &path,
            sets: &sets,
            recordings: &recordings,
            weights: &[],
            out: &out,
            tune: Some(method),
            report: None,
            json: true,
        };
        fit::fit(&asked).unwrap_or_else(|e| panic!("{method:?}: {e}"));
        let chosen = saltatory::model::Model::load(&out).unwrap().facts.tuned;
        assert!(!Path::new(&out).with_extension("tune.jsonl").exists());
        let loaded = config::load(&path, &[format!("model={}", out.display())]).unwrap();
        let setting = |id: &str, key: &str| {
            let stage = loaded.stages.iter().find(|s| s.id == id).unwrap();
            format!("{id}.{key}={}", stage.settings[key])
        };
        let keys = [("augmented", "order"), ("augmented", "lag"), ("svm", "c")];
        assert_eq!(chosen, keys.map(|(id, key)| setting(id, key)), "{method:?}");
    }
}

#[test]
fn a_grid_that_nowhere_works_says_why() {
    let (_folder, path) = config();
    let plan = Plan::new(&path, &[]).unwrap();
    let tune = Tune { order: vec![9], lag: vec![90], ..Tune::default() };
    let found = choose(&plan, &tune, &epochs(&plan), &mut Memory::default(), &|| ());
    let error = found.unwrap_err().to_string();
    assert!(error.contains("no setting of the search works") && error.contains("lag"), "{error}");
}
