use super::*;
use crate::kind::Settings as _;
use crate::stages::testing::Seen;
use std::path::Path;

const LENGTH: usize = 36;

fn build(toml: &str) -> Box<dyn Stage> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/galleries/example.safetensors");
    let toml = format!("gallery = {:?}\n{toml}", path.display().to_string());
    toml::from_str::<Settings>(&toml).unwrap().build().unwrap()
}

fn input(length: usize) -> Spec {
    Spec { payload: Payload::Vector, rows: 1, cols: length, rate_hz: 250.0, ..Spec::markers() }
}

/// The embedding of item `item` in the example.
fn embedding(item: usize) -> Vec<f64> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/galleries/example.safetensors");
    let gallery = gallery::read(&path).unwrap();
    let row = &gallery.embeddings.as_ref()[item * LENGTH..(item + 1) * LENGTH];
    row.iter().map(|v| f64::from(*v)).collect()
}

fn frame(data: Vec<f64>, text: &str) -> Frame {
    let mut frame = input(LENGTH).frame();
    frame.rows = usize::from(!data.is_empty());
    frame.data = data;
    frame.text = text.into();
    frame
}

/// What the stage makes of vectors with the texts of markers.
fn run(stage: &mut dyn Stage, vectors: &[(Vec<f64>, &str)]) -> Vec<Frame> {
    let mut seen = Seen::default();
    for (vector, text) in vectors {
        stage.process(&mut frame(vector.clone(), text), &mut seen).unwrap();
    }
    seen.frames
}

#[test]
fn the_item_itself_comes_first_in_every_search() {
    for search in ["exact", "quantised", "approximate"] {
        let mut stage = build(&format!("search = {search:?}\ntop = 3"));
        let spec = stage.prepare(&[input(LENGTH)]).unwrap();
        assert_eq!((spec.payload, spec.rows, spec.cols), (Payload::Ranking, 3, 2));
        let vector = embedding(3).iter().map(|v| 7.0 * v).collect();
        let got = run(&mut *stage, &[(vector, "a marker")]).remove(0);
        assert_eq!((got.rows, got.cols, got.data[0]), (3, 2, 3.0));
        assert!(
            (got.data[1] - 1.0).abs() < 1e-12 && got.data[3] < 0.99,
            "{search}: {:?}",
            got.data
        );
        let labels: Vec<&str> = got.text.lines().collect();
        assert_eq!((labels.len(), labels[0]), (3, "yellow"), "{search}");
        assert_eq!(stage.realtime(), search != "approximate");
    }
}

#[test]
fn there_are_no_more_than_the_gallery_has() {
    for search in ["exact", "quantised", "approximate"] {
        let mut stage = build(&format!("search = {search:?}\ntop = 100"));
        assert_eq!(stage.prepare(&[input(LENGTH)]).unwrap().rows, 8);
        assert_eq!(run(&mut *stage, &[(embedding(0), "")])[0].text.lines().count(), 8);
    }
}

#[test]
fn repetitions_are_averaged() {
    let (red, blue) = (embedding(1), embedding(4));
    let shown = [(red.clone(), "a"), (blue.clone(), "b"), (red.clone(), "a"), (blue.clone(), "b")];
    let best = |toml: &str| -> Vec<(f64, f64)> {
        let mut stage = build(toml);
        stage.prepare(&[input(LENGTH)]).unwrap();
        run(&mut *stage, &shown).iter().map(|f| (f.data[0], f.data[1])).collect()
    };
    let certain = |all: &[(f64, f64)]| all.iter().all(|(_, s)| (s - 1.0).abs() < 1e-12);
    let items = |all: &[(f64, f64)]| all.iter().map(|(item, _)| *item).collect::<Vec<_>>();
    let alone = best("average = 1");
    assert!(certain(&alone) && items(&alone) == [1.0, 4.0, 1.0, 4.0]);
    let per_marker = best("average = 3\nper = \"marker\"");
    assert!(certain(&per_marker) && items(&per_marker) == [1.0, 4.0, 1.0, 4.0]);
    let mixed = best("average = 3");
    assert!(!certain(&mixed[1..]), "{mixed:?}");
    // With room for one marker only, each one starts anew.
    assert!(certain(&best("average = 3\nper = \"marker\"\nmarkers = 1")));
}

#[test]
fn a_prior_and_the_mean_of_the_gallery() {
    let flat = vec![1.0; LENGTH];
    let first = |toml: &str| {
        let mut stage = build(toml);
        stage.prepare(&[input(LENGTH)]).unwrap();
        run(&mut *stage, &[(flat.clone(), "")]).remove(0)
    };
    let plain = first("top = 8");
    // So much that only the prior is left: red, green and blue were shown most often.
    let prior = first("top = 8\nprior_weight = 1000.0");
    let items: Vec<f64> = prior.data.iter().step_by(2).copied().collect();
    let mut most = items[..3].to_vec();
    most.sort_by(f64::total_cmp);
    assert_eq!(most, [1.0, 2.0, 4.0], "{items:?}");
    let want = 1000.0 * 0.2_f64.ln();
    assert!((prior.data[1] - want).abs() <= 1.0, "{} {want}", prior.data[1]);
    let centred = first("top = 8\ncentre = true");
    let spread = |f: &Frame| f.data[1] - f.data[15];
    assert!(spread(&centred) > spread(&plain));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut stage = build("");
    let error = stage.prepare(&[input(35)]).err().unwrap();
    assert!(error.to_string().contains("36 numbers") && error.key() == Some("gallery"), "{error}");
    assert!(stage.process(&mut frame(embedding(0), ""), &mut Seen::default()).is_err());
    stage.prepare(&[input(LENGTH)]).unwrap();
    let mut fails = |data| stage.process(&mut frame(data, ""), &mut Seen::default()).is_err();
    assert!(fails(vec![1.0; 35]) && fails(vec![f64::NAN; LENGTH]) && !fails(vec![0.0; LENGTH]));
    // The end of the stream goes through.
    assert!(!fails(Vec::new()));
    let of = |toml: &str| toml::from_str::<Settings>(toml).unwrap().build();
    for wrong in ["top = 0", "top = 101", "average = 0", "markers = 0", "prior_weight = nan"] {
        let error = of(&format!("gallery = \"x\"\n{wrong}")).err().unwrap();
        assert_eq!(error.key(), wrong.split(' ').next(), "{error}");
    }
    let none = of("gallery = \"no/such.safetensors\"").unwrap();
    assert!(!none.realtime());
    let mut many = build("average = 1000\nper = \"marker\"\nmarkers = 1000000");
    assert_eq!(many.prepare(&[input(LENGTH)]).err().unwrap().key(), Some("average"));
}

#[test]
fn marks_and_times_are_kept() {
    let mut stage = build("average = 2");
    stage.prepare(&[input(LENGTH)]).unwrap();
    let mut seen = Seen::default();
    let mut bad = frame(embedding(2), "");
    bad.flags = Flags::BAD | Flags::GAP;
    bad.span.last = 41;
    stage.process(&mut bad, &mut seen).unwrap();
    stage.process(&mut frame(embedding(2), ""), &mut seen).unwrap();
    stage.process(&mut frame(embedding(2), ""), &mut seen).unwrap();
    let flags: Vec<Flags> = seen.frames.iter().map(|f| f.flags).collect();
    assert_eq!(flags, [Flags::BAD | Flags::GAP, Flags::BAD, Flags::NONE]);
    assert_eq!(seen.frames[0].span.last, 41);
    // What a gap lies between is not averaged.
    stage.process(&mut frame(embedding(1), ""), &mut seen).unwrap();
    stage.interrupt();
    stage.process(&mut frame(embedding(4), ""), &mut seen).unwrap();
    assert!((seen.frames[4].data[1] - 1.0).abs() < 1e-12);
}
