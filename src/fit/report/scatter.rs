//! Trials as points in a plane.

use super::html::{escape, section};
use super::svg::{Anchor, Scale, Svg, label};
use super::{Scatter, ScatterPoint};
use std::fmt::Write as _;

const SIZE: f64 = 520.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = SIZE - 50.0;

/// The classes in colour, trained trials hollow, tested ones full.
pub fn scatter(scatter: &Scatter) -> String {
    let points: Vec<&ScatterPoint> =
        scatter.points.iter().filter(|p| p.x.is_finite() && p.y.is_finite()).collect();
    if points.is_empty() {
        return String::new();
    }
    // The same unit in both directions, or distances would lie.
    let middle = |[low, high]: [f64; 2]| (low + high) / 2.0;
    let (across, up) = (ends(points.iter().map(|p| p.x)), ends(points.iter().map(|p| p.y)));
    let half = 0.54 * (across[1] - across[0]).max(up[1] - up[0]).max(f64::MIN_POSITIVE);
    let around = |ends| [middle(ends) - half, middle(ends) + half];
    let x = Scale::new(around(across), [LEFT, SIZE - 12.0]);
    let y = Scale::new(around(up), [BOTTOM, 10.0]);

    let mut svg = Svg::new(SIZE, SIZE, &scatter.title);
    axes(&mut svg, &x, &y, scatter);
    // Hollow ones first, so that the tested trials lie on top.
    for test in [false, true] {
        for point in points.iter().filter(|p| p.test == test) {
            let class = scatter.classes.get(point.class).map_or("", String::as_str);
            let title = format!("{class} ({})", if test { "tested" } else { "trained" });
            svg.mark(point.class, !test, [x.at(point.x), y.at(point.y)], 4.6, &title);
        }
    }
    let note =
        format!("{}. Each mark is a trial; the axes share one unit.", escape(&scatter.title));
    let content = format!("<div class=\"row\">{}{}</div>", svg.finish(), key(&scatter.classes));
    section("Trials in a plane", &note, &content)
}

/// Which mark is which.
fn key(classes: &[String]) -> String {
    let mut text = String::from(
        "<table><thead><tr><th class=\"name\">class</th><th>trained</th><th>tested</th></tr></thead>\
         <tbody>",
    );
    for (i, class) in classes.iter().enumerate() {
        let mark = |hollow| {
            let mut svg = Svg::new(48.0, 20.0, "");
            svg.mark(i, hollow, [24.0, 10.0], 5.5, class);
            svg.finish()
        };
        let _ = write!(
            text,
            "<tr><td class=\"name\">{}</td><td>{}</td><td>{}</td></tr>",
            escape(class),
            mark(true),
            mark(false)
        );
    }
    text + "</tbody></table>"
}

fn ends(values: impl Iterator<Item = f64>) -> [f64; 2] {
    values.fold([f64::MAX, f64::MIN], |[low, high], v| [low.min(v), high.max(v)])
}

fn axes(svg: &mut Svg, x: &Scale, y: &Scale, scatter: &Scatter) {
    let right = SIZE - 12.0;
    let step = |ticks: &[f64]| ticks.windows(2).next().map_or(1.0, |w| w[1] - w[0]);
    let ticks = x.ticks(6.0);
    for tick in &ticks {
        svg.line("grid", [x.at(*tick), 10.0], [x.at(*tick), BOTTOM]);
        let text = label(*tick, step(&ticks));
        svg.text("tick", [x.at(*tick), BOTTOM + 18.0], Anchor::Middle, &text);
    }
    let ticks = y.ticks(6.0);
    for tick in &ticks {
        svg.line("grid", [LEFT, y.at(*tick)], [right, y.at(*tick)]);
        let text = label(*tick, step(&ticks));
        svg.text("tick", [LEFT - 8.0, y.at(*tick) + 4.0], Anchor::End, &text);
    }
    svg.text("soft", [(LEFT + right) / 2.0, BOTTOM + 40.0], Anchor::Middle, &scatter.x);
    svg.upwards("soft", [14.0, (10.0 + BOTTOM) / 2.0], &scatter.y);
}
