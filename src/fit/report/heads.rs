//! Patterns as maps of the head, seen from above with the nose up.

use super::colour::both_ways;
use super::html::{colour_bar, escape, section};
use super::svg::{Anchor, Px, Svg, UNIT, course, short};
use super::{Maps, Pattern};
use crate::math::contour;
use crate::math::montage;
use crate::math::topomap::{Spline, cosine, project, unproject};
use std::fmt::Write as _;

/// Radius of a head, and room around it for nose and ears.
const RADIUS: f64 = 125.0;
const MARGIN: f64 = 20.0;
pub(super) const CENTRE: f64 = RADIUS + MARGIN;

/// Points of the grid from side to side, and bands of colour from blue to red.
const GRID: usize = 61;
const BANDS: usize = 24;

/// Farther than this from every electrode there is no saying what the value is: no colour.
const REACH_DEGREES: f64 = 35.0;

/// Up to so many electrodes have their labels beside them.
const LABELLED: usize = 70;

/// An electrode that is known to the montage.
struct Electrode<'a> {
    channel: usize,
    label: &'a str,
    direction: [f64; 3],
}

/// One head for each pattern, all with the same colours.
pub fn maps(maps: &Maps) -> String {
    let electrodes: Vec<Electrode> = maps.channels.iter().enumerate().filter_map(known).collect();
    let sizes = maps.patterns.iter().flat_map(|p| electrodes.iter().map(|e| value(p, e).abs()));
    let largest = sizes.filter(|v| v.is_finite()).fold(0.0, f64::max);
    if electrodes.is_empty() || largest == 0.0 {
        return String::new();
    }
    let reach = reach(&electrodes);
    let heads: String = maps
        .patterns
        .iter()
        .enumerate()
        .map(|(i, pattern)| head(i, pattern, &electrodes, &reach, largest))
        .collect();
    let [low, high] =
        [-largest, largest].map(|v| format!("{} {}", digits(v), short(&maps.unit, UNIT)));
    let bar = colour_bar(|share| both_ways(2.0 * share - 1.0), low.trim(), "0", high.trim());
    let missing = maps.channels.len() - electrodes.len();
    let note = format!(
        "What each class looks like at the electrodes, seen from above with the nose up, between them by \
         spherical splines. The rim is the plane of nasion, ears and inion.{}",
        match missing {
            0 => String::new(),
            1 => " One channel has no known place and is not drawn.".to_owned(),
            n => format!(" {n} channels have no known place and are not drawn."),
        }
    );
    section("Patterns on the head", &note, &format!("<div class=\"row\">{heads}</div>{bar}"))
}

fn known((channel, label): (usize, &String)) -> Option<Electrode<'_>> {
    montage::position(label).map(|direction| Electrode { channel, label: label.trim(), direction })
}

fn value(pattern: &Pattern, electrode: &Electrode) -> f64 {
    pattern.values.get(electrode.channel).copied().unwrap_or(f64::NAN)
}

fn head(
    number: usize,
    pattern: &Pattern,
    electrodes: &[Electrode],
    reach: &[Vec<[f64; 2]>],
    largest: f64,
) -> String {
    let size = 2.0 * CENTRE;
    let mut svg = Svg::new(size, size, &format!("map of {}", pattern.name));
    // Coloured within the rim and within reach of the electrodes.
    svg.raw(&format!(
        "<defs><clipPath id=\"rim{number}\"><circle cx=\"{CENTRE}\" cy=\"{CENTRE}\" r=\"{RADIUS}\"/>\
         </clipPath><clipPath id=\"reach{number}\"><path clip-rule=\"evenodd\" d=\"{}\"/></clipPath>\
         </defs><g clip-path=\"url(#rim{number})\"><g clip-path=\"url(#reach{number})\">",
        course(reach, true)
    ));
    colours(&mut svg, pattern, electrodes, largest);
    svg.raw("</g></g>");
    outline(&mut svg);
    for electrode in electrodes {
        dot(&mut svg, electrode, value(pattern, electrode), electrodes.len() <= LABELLED);
    }
    format!("<div><h3>{}</h3>{}</div>", escape(&pattern.name), svg.finish())
}

/// Bands of colour, each drawn over the next lower one.
fn colours(svg: &mut Svg, pattern: &Pattern, electrodes: &[Electrode], largest: f64) {
    let directions: Vec<[f64; 3]> = electrodes.iter().map(|e| e.direction).collect();
    let values: Vec<f64> = electrodes.iter().map(|e| value(pattern, e)).collect();
    let Some(spline) = Spline::new(&directions, &values) else { return };
    let field = sampled(|place| spline.at(place) / largest);
    let grid = contour::Grid::new(&field, GRID);
    for band in 0..BANDS {
        let [from, to] = [band, band + 1].map(|b| 2.0 * b as f64 / BANDS as f64 - 1.0);
        // The lowest band takes all that is lower still.
        let level = if band == 0 { f64::MIN } else { from };
        let lines = grid.outlines(level);
        if !lines.is_empty() {
            svg.path("flat", &placed(&lines), true, &both_ways((from + to) / 2.0));
        }
    }
    for level in [-0.75, -0.5, -0.25, 0.25, 0.5, 0.75] {
        let lines = grid.outlines(level);
        if !lines.is_empty() {
            svg.path("iso", &placed(&lines), true, "");
        }
    }
}

/// Where an electrode is near, as outlines.
fn reach(electrodes: &[Electrode]) -> Vec<Vec<[f64; 2]>> {
    let nearest =
        |place| electrodes.iter().map(|e| cosine(e.direction, place)).fold(-1.0, f64::max).acos();
    let near = sampled(|place| REACH_DEGREES - nearest(place).to_degrees());
    placed(&contour::Grid::new(&near, GRID).outlines(0.0))
}

/// A function of the direction at the points of a grid that covers the head with its rim.
fn sampled(f: impl Fn([f64; 3]) -> f64) -> Vec<f64> {
    let side = |i: usize| 1.04 * (2.0 * i as f64 / (GRID - 1) as f64 - 1.0);
    (0..GRID * GRID).map(|e| f(unproject([side(e % GRID), -side(e / GRID)]))).collect()
}

/// Lines on the grid as lines in the drawing.
fn placed(lines: &[Vec<[f64; 2]>]) -> Vec<Vec<[f64; 2]>> {
    let place = |v: f64| CENTRE + 1.04 * RADIUS * (2.0 * v / (GRID - 1) as f64 - 1.0);
    lines.iter().map(|line| line.iter().map(|[x, y]| [place(*x), place(*y)]).collect()).collect()
}

/// Rim, nose and ears.
pub(super) fn outline(svg: &mut Svg) {
    let (c, r) = (CENTRE, RADIUS);
    let mut text = format!("<circle class=\"head\" cx=\"{c}\" cy=\"{c}\" r=\"{r}\"/>");
    let (half, foot) = (14.0_f64, r - 0.8);
    let _ = write!(
        text,
        "<path class=\"head\" d=\"M{} {}L{c} {}L{} {}\"/>",
        Px(c - half),
        Px(c - foot),
        Px(c - r - 15.0),
        Px(c + half),
        Px(c - foot),
    );
    for side in [-1.0, 1.0] {
        let at = |x: f64, y: f64| format!("{} {}", Px(c + side * (r + x)), Px(c + y));
        let _ = write!(
            text,
            "<path class=\"head\" d=\"M{}C{},{},{}S{},{}\"/>",
            at(-2.0, -22.0),
            at(10.0, -32.0),
            at(13.0, -14.0),
            at(9.0, -2.0),
            at(12.0, 34.0),
            at(-2.0, 22.0),
        );
    }
    svg.raw(&text);
}

/// Where the electrode is drawn, if its place is known.
pub(super) fn placed_on_head(label: &str) -> Option<[f64; 2]> {
    let [x, y] = project(montage::position(label)?);
    Some([CENTRE + RADIUS * x, CENTRE - RADIUS * y])
}

fn dot(svg: &mut Svg, electrode: &Electrode, value: f64, labelled: bool) {
    let [x, y] = project(electrode.direction);
    let [x, y] = [CENTRE + RADIUS * x, CENTRE - RADIUS * y];
    let label = escape(electrode.label);
    svg.raw(&format!(
        "<circle class=\"dot\" cx=\"{}\" cy=\"{}\" r=\"1.6\"><title>{label}: {}</title></circle>",
        Px(x),
        Px(y),
        digits(value)
    ));
    if labelled {
        svg.text("electrode", [x, y - 3.4], Anchor::Middle, electrode.label);
    }
}

/// A number with three digits that count.
fn digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    let decimals = 2 - value.abs().log10().floor() as i32;
    if (0..=5).contains(&decimals) {
        format!("{value:.*}", decimals as usize)
    } else {
        format!("{value:.2e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits() {
        let got = [0.0, 1.2345, -0.012345, 123.45, 1234.5, 1.5e-9, f64::NAN].map(digits);
        assert_eq!(got, ["0", "1.23", "-0.0123", "123", "1.23e3", "1.50e-9", "0"]);
    }

    #[test]
    fn the_map_is_red_where_the_value_is_high() {
        let channels: Vec<String> = ["C3", "Cz", "C4", "no such"].map(String::from).into();
        let pattern = Pattern { name: "left".into(), values: vec![-1.0, 0.0, 1.0, 9.0] };
        let text = maps(&Maps { channels, unit: "a.u.".into(), patterns: vec![pattern] });
        assert!(text.contains("One channel has no known place"));
        assert!(
            text.contains("C3: -1.00") && text.contains("C4: 1.00") && !text.contains("no such:")
        );
        // The last band is the highest one: all of it lies to the right.
        let (_, red) = text.rsplit_once(&both_ways(1.0 - 1.0 / BANDS as f64)).unwrap();
        let d = red.split('"').nth(2).unwrap();
        let first = d.trim_start_matches('M').split(['L', ' ']).next().unwrap();
        assert!(first.parse::<f64>().unwrap() > CENTRE, "{d}");
    }
}
