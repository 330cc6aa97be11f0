use super::*;
use crate::kind::Settings as _;
use crate::stages::testing::Seen;

const N: usize = 7;
const LAYOUT: Layout = Layout { nodes: N, features: 1 };

/// A path whose weights wander with `t`, the position of each node as its feature.
fn path(t: f64) -> Frame {
    let mut frame = LAYOUT.spec(&Spec::markers()).frame();
    frame.resize(N, LAYOUT.cols());
    for i in 1..N {
        let w = 0.6 + 0.3 * (t + i as f64).sin();
        frame.data[LAYOUT.weight(i, i - 1)] = w;
        frame.data[LAYOUT.weight(i - 1, i)] = w;
    }
    (0..N).for_each(|i| frame.data[LAYOUT.features(i).start] = i as f64);
    frame
}

fn prepared(settings: &Settings) -> (Box<dyn Stage>, Layout) {
    let mut stage = settings.clone().build().unwrap();
    let out = stage.prepare(&[LAYOUT.spec(&Spec::markers())]).unwrap();
    (stage, Layout::of(&out).unwrap())
}

fn run(stage: &mut dyn Stage, frame: &Frame) -> Frame {
    let mut seen = Seen::default();
    stage.process(&mut frame.clone(), &mut seen).unwrap();
    seen.frames.remove(0)
}

fn places(layout: Layout, frame: &Frame) -> Vec<f64> {
    (0..N).flat_map(|i| frame.data[layout.features(i)].to_vec()).collect()
}

#[test]
fn weights_stay_and_features_may() {
    let settings = Settings { dimensions: 2, keep_features: true, ..Settings::default() };
    let (mut stage, layout) = prepared(&settings);
    let given = path(0.0);
    let got = run(stage.as_mut(), &given);
    assert!(layout.fits(&got) && layout.features == 3 && got.flags == Flags::NONE);
    for i in 0..N {
        assert_eq!(got.data[layout.features(i)][2], i as f64);
        for j in 0..N {
            let weight = given.data[LAYOUT.weight(i, j)];
            assert_eq!(got.data[layout.weight(i, j)], weight);
            assert_eq!(got.data[layout.length(i, j)] > 0.0, weight > 0.0);
        }
    }
}

#[test]
fn bad_windows_are_marked_and_nothing_is_rotated_onto_them() {
    for align in [Align::Previous, Align::None] {
        let (mut stage, layout) = prepared(&Settings { align, ..Settings::default() });
        let first = run(stage.as_mut(), &path(0.0));
        for bad in [f64::NAN, f64::INFINITY, -1.0, 1e300, 0.0] {
            let mut frame = path(0.0);
            frame.data[LAYOUT.weight(4, 3)] = bad;
            frame.data[LAYOUT.weight(3, 4)] = bad;
            let got = run(stage.as_mut(), &frame);
            assert!(got.flags.has(Flags::BAD), "{bad}");
            assert!(got.data.iter().all(|v| v.is_finite()), "{bad}");
        }
        // The path is back, and so are its places.
        let again = run(stage.as_mut(), &path(0.0));
        let (a, b) = (places(layout, &first), places(layout, &again));
        assert!(linalg::distance(&a, &b) < 1e-12, "{align:?}");
    }
}

#[test]
fn nodes_in_one_place_are_still_two() {
    let (mut stage, layout) = prepared(&Settings { dimensions: 1, ..Settings::default() });
    let mut frame = path(0.0);
    for (i, j) in (0..N * N).map(|e| (e / N, e % N)).filter(|(i, j)| i != j) {
        let near = i.min(j) < 3 && i.max(j) < 3;
        frame.data[LAYOUT.weight(i, j)] = if near { 1.0 } else { 0.1 };
    }
    let got = run(stage.as_mut(), &frame);
    assert_eq!(got.flags, Flags::NONE);
    assert!(layout.edges(&got.data).all(|(i, j)| got.data[layout.length(i, j)] >= SHORTEST));
}

#[test]
fn learned_axes_are_kept_and_saved() {
    let learned = Settings { align: Align::Fitted, pool: Some(4), ..Settings::default() };
    let frames: Vec<Frame> = (0..20).map(|t| path(f64::from(t))).collect();
    let mut stage = learned.clone().build().unwrap();
    let input = LAYOUT.spec(&Spec::markers());
    assert!(stage.prepare(std::slice::from_ref(&input)).is_err(), "nothing was learned");
    let fitted = stage.fitted().unwrap();
    assert!(fitted.fit(&Examples::new(&[], &[], &[])).is_err());
    fitted.fit(&Examples::new(&frames, &[], &[])).unwrap();
    let part = fitted.save().unwrap();
    let reference = part.tensors["reference"].data.clone();
    let mut loaded = learned.build().unwrap();
    loaded.fitted().unwrap().load(&part).unwrap();
    let layout = Layout::of(&loaded.prepare(std::slice::from_ref(&input)).unwrap()).unwrap();
    stage.prepare(&[input]).unwrap();
    for frame in &frames {
        let got = run(stage.as_mut(), frame);
        assert_eq!(run(loaded.as_mut(), frame), got);
        let mut turned = places(layout, &got);
        let mut procrustes = Procrustes::new(3);
        assert!(procrustes.align(&mut turned, &reference));
        assert!(linalg::distance(&turned, &places(layout, &got)) < 1e-9);
    }
    let other = Layout { nodes: N + 1, ..LAYOUT };
    assert!(loaded.prepare(&[other.spec(&Spec::markers())]).is_err());
    assert!(Settings::default().build().unwrap().fitted().is_none());
}

#[test]
fn settings_are_checked() {
    assert!(Settings { dimensions: 0, ..Settings::default() }.build().is_err());
    assert!(Settings { pool: Some(2), ..Settings::default() }.build().is_err());
    for many in [
        Settings { dimensions: N, ..Settings::default() },
        Settings { pool: Some(N), ..Settings::default() },
    ] {
        let mut stage = many.build().unwrap();
        assert!(stage.prepare(&[LAYOUT.spec(&Spec::markers())]).is_err());
    }
}
