//! The page is well-formed whatever it is made of, and shows what it was given.

use super::*;
use crate::fit::metrics::Confusion;
use crate::fit::stats::{Interval, sign_flip, wilson};
use crate::math::montage;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

const HOSTILE: &str = "</style><script>alert(1)</script> \"'&<b \u{0}\u{8}\u{202e}é";

/// Every element is closed, every attribute quoted: the page is well-formed as XML, and nothing in it
/// runs.
fn check(page: &str) {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let parsed = roxmltree::Document::parse_with_options(page, options);
    let document = parsed.unwrap_or_else(|e| panic!("{e}\n{page}"));
    let mut ids = std::collections::BTreeSet::new();
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        assert_ne!(node.tag_name().name(), "script");
        for attribute in node.attributes() {
            assert!(!attribute.name().starts_with("on"), "{attribute:?}");
            let value = attribute.value();
            assert!(!value.contains("NaN") && !value.contains("inf,"), "{attribute:?}");
            if attribute.name() == "id" {
                assert!(ids.insert(value.to_owned()), "{value} twice");
            }
        }
    }
    for reference in page.split("url(#").skip(1) {
        let id = reference.split(')').next().unwrap();
        assert!(ids.contains(id), "no {id}");
    }
}

/// A page of everything, with the look of a motor imagery evaluation.
fn example(classes: &[&str], recordings: usize, label: impl Fn(&str) -> String) -> Report {
    let rng = &mut Pcg64::seed_from_u64(4);
    let names: Vec<String> = classes.iter().map(|c| label(c)).collect();
    let pipelines = ["tangent space + logistic", "ACM (order 4, lag 8)", "MDM"].map(&label);
    let skill = [0.72, 0.78, 0.65];
    let chance = 1.0 / classes.len() as f64;
    let mut report =
        Report { title: label("Evaluation of motor_imagery.toml"), ..Report::default() };
    report.facts = [
        ("protocol", "cross-validation within each recording, 5 folds"),
        ("recordings", "S001 to S007, runs 4, 8 and 12"),
        ("trials", "45 each, 0.5 to 3.0 s after the cue"),
        ("made with", "saltatory 0.1.0"),
    ]
    .map(|(name, value)| Fact::new(label(name), label(value)))
    .into();

    let mut accuracies = vec![Vec::new(); pipelines.len()];
    for recording in 0..recordings {
        let ease: f64 = rng.random_range(-0.22..0.2);
        let recording = label(&format!("S{:03}", recording + 1));
        for (p, pipeline) in pipelines.iter().enumerate() {
            let right = (skill[p] + ease + rng.random_range(-0.04..0.04)).clamp(0.0, 1.0);
            let confusion = confused(rng, classes.len(), 45, right);
            let mut score =
                Score::new(pipeline, &recording, &confusion, Some((right + 0.05).min(1.0)));
            score.bits_per_minute = Some(crate::fit::metrics::information_rate(
                classes.len(),
                score.accuracy.value,
                4.1,
            ));
            accuracies[p].push(score.accuracy.value);
            report.scores.push(score);
            if p < 2 && report.confusions.len() < 3 {
                let title = format!("{pipeline}, {recording}");
                let table = ConfusionTable { title, classes: names.clone(), counts: confusion };
                report.confusions.push(table);
            }
        }
    }
    report.means = Mean::of(&report.scores, 2000, 1);
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let d: Vec<f64> = accuracies[a].iter().zip(&accuracies[b]).map(|(a, b)| a - b).collect();
        report.differences.push(Difference {
            first: pipelines[a].clone(),
            second: pipelines[b].clone(),
            recordings: label(&format!("all {recordings}")),
            difference: crate::fit::stats::bootstrap_mean(&d, CONFIDENCE, 2000, 2),
            test: label("sign flip"),
            p: sign_flip(&d, 10_000, 3),
            p_adjusted: 1.0,
        });
    }
    adjust(&mut report.differences);

    let series = |points: &dyn Fn(usize) -> Vec<(f64, f64)>, n: usize| -> Vec<Series> {
        let one = |(p, name): (usize, &String)| Series {
            name: name.clone(),
            points: points(p)
                .into_iter()
                .map(|(x, v)| Point { x, accuracy: wilson((v * n as f64) as usize, n, 0.95) })
                .collect(),
        };
        pipelines.iter().enumerate().map(one).collect()
    };
    let rise = |p: usize, t: f64| chance + (skill[p] - chance) / (1.0 + (-(t - 1.2) * 4.0).exp());
    let times = |p: usize| {
        (-4..=32).map(|i| 0.125 * f64::from(i)).map(|t| (t, rise(p, t))).collect::<Vec<_>>()
    };
    report.time = Some(TimeCourse { series: series(&times, 315), chance, window_s: Some(1.0) });
    let counts = |p: usize| {
        let at = |n: f64| (n, chance + (skill[p] - chance) * (1.0 - (-n / 6.0).exp()));
        [2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 20.0].map(at).to_vec()
    };
    report.curve = Some(LearningCurve { series: series(&counts, 120), chance });

    let selected = |i: usize| {
        let nested = 0.6 + 0.05 * (i % 6) as f64;
        Selected {
            name: label(&format!("S{:03}", i + 1)),
            nested,
            plain: nested + 0.01 * (i % 4) as f64,
        }
    };
    report.selection = Some(Selection { rows: (0..recordings).map(selected).collect(), chance });
    let score = |r: usize, c: usize| {
        let far = ((r as f64 - 3.0) / 3.0).powi(2) + ((c as f64 - 5.0) / 4.0).powi(2);
        (r + c < 15).then(|| 0.55 + 0.27 * (-far).exp())
    };
    report.grid = Some(Grid {
        score: label("accuracy"),
        row: Axis { name: label("order"), values: (1..=8).map(|v: i32| v.to_string()).collect() },
        column: Axis {
            name: label("lag (samples)"),
            values: (1..=10).map(|v: i32| v.to_string()).collect(),
        },
        scores: (0..8).map(|r| (0..10).map(|c| score(r, c)).collect()).collect(),
        picks: vec![Pick { row: 3, column: 5, times: 3 }, Pick { row: 2, column: 5, times: 2 }],
    });

    let mut points = Vec::new();
    for i in 0..90 {
        let class = i % classes.len();
        let angle = class as f64 / classes.len() as f64 * std::f64::consts::TAU;
        let mut near = |v: f64| 1.6 * v + rng.random_range(-1.0..1.0) + rng.random_range(-1.0..1.0);
        points.push(ScatterPoint {
            x: near(angle.cos()),
            y: near(angle.sin()),
            class,
            test: i % 5 == 0,
        });
    }
    report.scatter = Some(Scatter {
        title: label("Principal components of the tangent space"),
        x: label("first component (21 % of the variance)"),
        y: label("second component (9 %)"),
        classes: names.clone(),
        points,
    });

    let source = |at: &str, e: [f64; 3]| {
        let at = montage::position(at).unwrap();
        (-4.0 * (1.0 - crate::math::topomap::cosine(at, e))).exp()
    };
    let places = ["C4", "C3", "Cz", "FCz"];
    report.maps = Some(Maps {
        channels: montage::EEGMMIDB.map(String::from).into(),
        unit: label("a.u."),
        patterns: names
            .iter()
            .zip(places)
            .enumerate()
            .map(|(i, (name, place))| Pattern {
                name: name.clone(),
                values: montage::EEGMMIDB
                    .iter()
                    .filter_map(|l| montage::position(l))
                    .map(|e| source(place, e) - 0.7 * source(places[(i + 1) % 2], e))
                    .map(|v| v + rng.random_range(-0.05..0.05))
                    .collect(),
            })
            .collect(),
    });
    report
}

/// More settings, channels and pipelines than there is room for.
fn crowded(mut report: Report) -> Report {
    let values = |n: usize| (1..=n).map(|v| format!("{}", v * 125)).collect::<Vec<_>>();
    let score = |r: usize, c: usize| Some(0.5 + 0.01 * ((r * c) % 31) as f64);
    let grid = report.grid.as_mut().unwrap();
    (grid.row.values, grid.column.values) = (values(25), values(40));
    grid.scores = (0..25).map(|r| (0..40).map(|c| score(r, c)).collect()).collect();
    let maps = report.maps.as_mut().unwrap();
    let rows = ["AFF", "FFC", "FCC", "CCP", "CPP", "PPO"];
    let fine: Vec<String> =
        rows.iter().flat_map(|row| (1..=6).map(move |n| format!("{row}{n}h"))).collect();
    for pattern in &mut maps.patterns {
        pattern.values.extend((0..fine.len()).map(|i| 0.1 * (i % 5) as f64));
    }
    maps.channels.extend(fine);
    report.scores.extend(report.scores.clone().into_iter().map(|mut score| {
        score.pipeline = format!("another {}", score.pipeline);
        score.with_activity(&crate::fit::metrics::activity(&[], &[], 1))
    }));
    report
}

#[test]
fn a_crowded_page_is_well_formed() {
    let page = render(&crowded(example(&["left", "right"], 3, str::to_owned)));
    check(&page);
    // With a hundred electrodes there are dots only, and with narrow cells no numbers.
    assert!(page.contains("FCC3h: ") && !page.contains("class=\"electrode\""));
    assert!(!page.contains("class=\"count\""));
}

fn confused(rng: &mut Pcg64, classes: usize, n: usize, right: f64) -> Confusion {
    let mut confusion = Confusion::new(classes);
    for i in 0..n {
        let truth = i % classes;
        let wrong = (truth + 1 + rng.random_range(0..classes - 1)) % classes;
        confusion.add(truth, if rng.random_range(0.0..1.0) < right { truth } else { wrong });
    }
    confusion
}

#[test]
fn a_page_of_everything_is_well_formed() {
    let report = example(&["left hand", "right hand"], 7, str::to_owned);
    let page = render(&report);
    check(&page);
    for heading in [
        "Accuracy",
        "Differences",
        "All scores",
        "Confusions",
        "Accuracy over time",
        "Learning curve",
        "Selection",
        "Grid of settings",
        "Patterns on the head",
        "Trials in a plane",
    ] {
        assert!(page.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
    assert!(page.len() < 600_000, "{} bytes", page.len());
    // To look at them: SALTATORY_PAGES=/some/folder cargo test --lib report::tests
    if let Ok(folder) = std::env::var("SALTATORY_PAGES") {
        let four = example(&["left hand", "right hand", "both feet", "tongue"], 12, str::to_owned);
        check(&render(&four));
        let long = example(&["left", "right"], 3, |name| format!("{name} {HOSTILE}"));
        std::fs::write(format!("{folder}/long.html"), render(&crowded(long))).unwrap();
        std::fs::write(format!("{folder}/two.html"), page).unwrap();
        std::fs::write(format!("{folder}/four.html"), render(&four)).unwrap();
    }
}

#[test]
fn hostile_names_stay_names() {
    let hostile = |name: &str| format!("{name} {HOSTILE}");
    let page = render(&example(&["left", "right"], 3, hostile));
    check(&page);
    assert!(!page.contains("<script") && !page.contains("<b "));
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(&page, options).unwrap();
    let title = document.descendants().find(|n| n.has_tag_name("h1")).and_then(|n| n.text());
    let shown = HOSTILE.replace(['\u{0}', '\u{8}', '\u{202e}'], "\u{fffd}");
    assert_eq!(title, Some(format!("Evaluation of motor_imagery.toml {shown}").as_str()));
}

#[test]
fn what_is_missing_is_left_out() {
    let page = render(&Report { title: "nothing".into(), ..Report::default() });
    check(&page);
    assert!(page.contains("<h1>nothing</h1>") && !page.contains("<section>"));
}

#[test]
fn odd_numbers_break_nothing() {
    let mut report = example(&["left", "right"], 2, str::to_owned);
    report.scores[0].accuracy = Interval::point(f64::NAN);
    let odd = Point { x: f64::INFINITY, accuracy: Interval::point(f64::NAN) };
    let one = Point { x: 1.0, accuracy: Interval::point(0.5) };
    for points in [vec![], vec![odd], vec![one], vec![odd, one, odd]] {
        let series = vec![Series { name: "x".into(), points }];
        report.time = Some(TimeCourse { series: series.clone(), chance: 0.5, window_s: None });
        report.curve = Some(LearningCurve { series, chance: f64::NAN });
        check(&render(&report));
    }
    report.grid.as_mut().unwrap().scores = vec![vec![Some(f64::NAN), None], vec![Some(0.5)]];
    report.grid.as_mut().unwrap().picks[0].row = 99;
    report.scatter.as_mut().unwrap().points.truncate(1);
    report.scatter.as_mut().unwrap().points[0].class = 77;
    report.maps.as_mut().unwrap().patterns[0].values[3] = f64::NAN;
    report.maps.as_mut().unwrap().patterns[1].values.truncate(5);
    report.selection.as_mut().unwrap().rows[0].nested = f64::NAN;
    check(&render(&report));
    report.grid.as_mut().unwrap().scores = vec![];
    report.maps.as_mut().unwrap().channels = vec!["x".into()];
    report.selection.as_mut().unwrap().rows.clear();
    report.scatter.as_mut().unwrap().points.clear();
    check(&render(&report));
}

#[test]
fn json_gives_the_report_back() {
    let report = example(&["left", "right"], 2, str::to_owned);
    let text = serde_json::to_string(&report).unwrap();
    // JSON numbers come back to within their last bit, which no page shows.
    assert!(render(&serde_json::from_str(&text).unwrap()) == render(&report));
}

#[test]
fn only_significant_differences_are_findings() {
    let mut report = Report::default();
    let difference = |first: &str, value: f64, p: f64| Difference {
        first: first.into(),
        second: "b".into(),
        recordings: "all".into(),
        difference: Interval { value, low: value - 0.1, high: value + 0.1 },
        test: "sign flip".into(),
        p,
        p_adjusted: p,
    };
    report.differences = vec![difference("a", 0.2, 0.01), difference("c", -0.2, 0.03)];
    adjust(&mut report.differences);
    assert_eq!(report.differences.iter().map(|d| d.p_adjusted).collect::<Vec<_>>(), [0.02, 0.03]);
    report.differences.push(difference("d", 0.3, 0.06));
    let page = render(&report);
    assert!(page.contains("a is better") && page.contains("b is better"));
    assert!(!page.contains("d is better") && page.contains("not told apart"));
}
