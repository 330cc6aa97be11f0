//! Trials as points in a plane.

use super::html::{escape, section};
use super::svg::{AXIS, Anchor, Scale, Svg, label, short};
use super::{Scatter, ScatterPoint};
use std::fmt::Write as _;

const LEFT: f64 = 60.0;
const TOP: f64 = 10.0;
const WIDEST: f64 = 640.0;
const HIGHEST: f64 = 480.0;
/// Room for the name of an axis, however little the points differ in its direction.
const LEAST: f64 = 240.0;

/// The classes in colour, trained trials hollow, tested ones full.
pub fn scatter(scatter: &Scatter) -> String {
    let points: Vec<&ScatterPoint> =
        scatter.points.iter().filter(|p| p.x.is_finite() && p.y.is_finite()).collect();
    if points.is_empty() {
        return String::new();
    }
    // The same unit in both directions, or distances would lie.
    let across = ends(points.iter().map(|p| p.x));
    let up = ends(points.iter().map(|p| p.y));
    let pixels = ((WIDEST - LEFT) / (across[1] - across[0])).min(HIGHEST / (up[1] - up[0]));
    let (across, up) = (widened(across, LEAST / pixels), widened(up, LEAST / pixels));
    let right = LEFT + pixels * (across[1] - across[0]);
    let bottom = TOP + pixels * (up[1] - up[0]);
    let (x, y) = (Scale::new(across, [LEFT, right]), Scale::new(up, [bottom, TOP]));

    let mut svg = Svg::new(right + 12.0, bottom + 50.0, &scatter.title);
    axes(&mut svg, (&x, right), (&y, bottom), scatter);
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

/// The ends of an axis that holds all values with some room around them.
fn ends(values: impl Iterator<Item = f64> + Clone) -> [f64; 2] {
    let low = values.clone().fold(f64::MAX, f64::min);
    let high = values.fold(f64::MIN, f64::max);
    let room = if high > low { 0.06 * (high - low) } else { 1.0 };
    [low - room, high + room]
}

/// The same middle, but at least so long.
fn widened([low, high]: [f64; 2], least: f64) -> [f64; 2] {
    let more = ((least - (high - low)) / 2.0).max(0.0);
    [low - more, high + more]
}

fn axes(svg: &mut Svg, (x, right): (&Scale, f64), (y, bottom): (&Scale, f64), scatter: &Scatter) {
    let step = |ticks: &[f64]| ticks.windows(2).next().map_or(1.0, |w| w[1] - w[0]);
    let ticks = x.ticks(6.0);
    for tick in &ticks {
        svg.line("grid", [x.at(*tick), TOP], [x.at(*tick), bottom]);
        let text = label(*tick, step(&ticks));
        svg.text("tick", [x.at(*tick), bottom + 18.0], Anchor::Middle, &text);
    }
    let ticks = y.ticks(6.0);
    for tick in &ticks {
        svg.line("grid", [LEFT, y.at(*tick)], [right, y.at(*tick)]);
        let text = label(*tick, step(&ticks));
        svg.text("tick", [LEFT - 8.0, y.at(*tick) + 4.0], Anchor::End, &text);
    }
    svg.text(
        "soft",
        [(LEFT + right) / 2.0, bottom + 40.0],
        Anchor::Middle,
        &short(&scatter.x, AXIS),
    );
    svg.upwards("soft", [14.0, (TOP + bottom) / 2.0], &short(&scatter.y, AXIS));
}
