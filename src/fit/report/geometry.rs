//! The geometry of the graphs that a pipeline decides on: curvatures before and after the flow, the
//! communities it falls into, and where the channels lie.

use super::colour::both_ways;
use super::heads::{CENTRE, outline, placed_on_head};
use super::html::{colour_bar, escape, section};
use super::svg::{Anchor, Px, SERIES, Scale, Svg, label};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

const WIDTH: f64 = 620.0;
const HEIGHT: f64 = 290.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 20.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = HEIGHT - 50.0;
/// Bars of the histogram.
const BARS: usize = 48;
/// From side to side of the picture of the channels.
const SIDE: f64 = 2.0 * CENTRE;

/// The graphs of all trials, and the mean one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Geometry {
    /// The labels of the nodes.
    pub channels: Vec<String>,
    /// The curvature of every edge of every trial, before the flow.
    pub before: Vec<f64>,
    /// The same after it; empty where the pipeline has none.
    pub after: Vec<f64>,
    /// Steps of the flow.
    pub steps: usize,
    /// The edges of the mean graph with their curvature before the flow.
    pub edges: Vec<(usize, usize, f64)>,
    /// The community of each node of the mean graph, after the flow.
    pub communities: Vec<usize>,
    /// The mean place of each node in its embedding, where there is one.
    pub places: Vec<[f64; 2]>,
}

/// Histogram, head and plane beside each other.
pub fn geometry(geometry: &Geometry) -> String {
    if geometry.before.iter().all(|v| !v.is_finite()) {
        return String::new();
    }
    let count = geometry.communities.iter().max().map_or(0, |last| last + 1);
    let flow = match geometry.after.is_empty() {
        true => String::new(),
        false => format!(" and after {} steps of Ricci flow", geometry.steps),
    };
    let note = format!(
        "Ollivier-Ricci curvature of the edges of all trials before{flow}; the mean graph on the head, its edges \
         coloured by curvature (blue: bridges, red: within groups) and its channels marked by community \
         ({count} found; marks come again after {SERIES}){}.",
        if geometry.places.is_empty() {
            ""
        } else {
            "; and its channels where the eigenmap puts them"
        }
    );
    let largest = largest_of(geometry);
    let end = format!("{largest:.2}");
    let bar = colour_bar(|share| both_ways(2.0 * share - 1.0), &format!("-{end}"), "0", &end);
    let content = format!(
        "{}<div class=\"row\">{}{}</div>{bar}",
        histogram(geometry),
        head(geometry, largest),
        plane(geometry)
    );
    section("Geometry", &note, &content)
}

fn histogram(geometry: &Geometry) -> String {
    let finite =
        |values: &[f64]| values.iter().copied().filter(|v| v.is_finite()).collect::<Vec<_>>();
    let series = [("before", finite(&geometry.before)), ("after", finite(&geometry.after))];
    let [low, high] = ends(series.iter().flat_map(|(_, values)| values.iter().copied()).collect());
    let shares: Vec<(&str, Vec<f64>)> = series
        .iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(name, values)| (*name, shares(values, low, high)))
        .collect();
    let most = shares.iter().flat_map(|(_, s)| s).fold(0.0_f64, |m, v| m.max(*v));
    let (x, y) = (Scale::new([low, high], [LEFT, RIGHT]), Scale::new([0.0, most], [BOTTOM, TOP]));
    let mut svg = Svg::new(WIDTH, HEIGHT, "curvatures of edges");
    axes(&mut svg, &x, &y);
    for (i, (name, shares)) in shares.iter().enumerate() {
        let edge = |bar: usize| x.at(low + (high - low) * bar as f64 / BARS as f64);
        let steps: Vec<[f64; 2]> = shares
            .iter()
            .enumerate()
            .flat_map(|(bar, share)| [[edge(bar), y.at(*share)], [edge(bar + 1), y.at(*share)]])
            .collect();
        svg.path(&format!("series s{i}"), &[steps], false, "");
        let below = TOP + 14.0 + 18.0 * i as f64;
        svg.line(&format!("series s{i}"), [LEFT + 12.0, below], [LEFT + 36.0, below]);
        svg.text("soft", [LEFT + 42.0, below + 4.0], Anchor::Start, name);
    }
    svg.finish()
}

fn axes(svg: &mut Svg, x: &Scale, y: &Scale) {
    let step = |ticks: &[f64]| ticks.windows(2).next().map_or(1.0, |w| w[1] - w[0]);
    let ticks = y.ticks(4.0);
    for tick in &ticks {
        svg.line("grid", [LEFT, y.at(*tick)], [RIGHT, y.at(*tick)]);
        svg.text("tick", [LEFT - 9.0, y.at(*tick) + 4.0], Anchor::End, &label(*tick, step(&ticks)));
    }
    let ticks = x.ticks(8.0);
    for tick in &ticks {
        svg.line("axis", [x.at(*tick), BOTTOM], [x.at(*tick), BOTTOM + 5.0]);
        svg.text("tick", [x.at(*tick), BOTTOM + 19.0], Anchor::Middle, &label(*tick, step(&ticks)));
    }
    svg.line("axis", [LEFT, BOTTOM], [RIGHT, BOTTOM]);
    svg.text("soft", [(LEFT + RIGHT) / 2.0, BOTTOM + 40.0], Anchor::Middle, "curvature of an edge");
    svg.upwards("soft", [14.0, (TOP + BOTTOM) / 2.0], "share of edges");
}

/// The range that is shown: all but the outermost half of a per cent on either side, which the last bars take.
fn ends(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| values[(share * (values.len() - 1) as f64).round() as usize];
    let (low, high) = (at(0.005), at(0.995));
    [low, if high > low { high } else { low + 1.0 }]
}

/// Which share of the values lies in each bar.
fn shares(values: &[f64], low: f64, high: f64) -> Vec<f64> {
    let mut shares = vec![0.0; BARS];
    for v in values {
        // Below the range it is the first one: a negative number becomes 0.
        let bar = ((v - low) / (high - low) * BARS as f64) as usize;
        shares[bar.min(BARS - 1)] += 1.0 / values.len() as f64;
    }
    shares
}

/// The mean graph on the head.
fn head(geometry: &Geometry, largest: f64) -> String {
    let places: Vec<Option<[f64; 2]>> =
        geometry.channels.iter().map(|label| placed_on_head(label)).collect();
    if places.iter().all(Option::is_none) {
        return String::new();
    }
    let mut svg = Svg::new(SIDE, SIDE, "the mean graph on the head");
    outline(&mut svg);
    draw(&mut svg, geometry, largest, &places);
    format!("<div><h3>on the head</h3>{}</div>", svg.finish())
}

/// The channels where the embedding puts them.
fn plane(geometry: &Geometry) -> String {
    let finite = geometry.places.iter().flatten().all(|v| v.is_finite());
    let size = geometry.places.iter().flatten().fold(0.0_f64, |m, v| m.max(v.abs()));
    if geometry.places.is_empty() || !finite || size == 0.0 {
        return String::new();
    }
    let scale = Scale::new([-1.08 * size, 1.08 * size], [0.0, SIDE]);
    let place = |[x, y]: &[f64; 2]| Some([scale.at(*x), SIDE - scale.at(*y)]);
    let places: Vec<_> = geometry.places.iter().map(place).collect();
    let mut svg = Svg::new(SIDE, SIDE, "the channels in the embedding");
    draw(&mut svg, geometry, largest_of(geometry), &places);
    format!("<div><h3>in the embedding</h3>{}</div>", svg.finish())
}

fn largest_of(geometry: &Geometry) -> f64 {
    geometry.edges.iter().fold(0.0_f64, |m, e| m.max(e.2.abs()))
}

/// Edges below, nodes above.
fn draw(svg: &mut Svg, geometry: &Geometry, largest: f64, places: &[Option<[f64; 2]>]) {
    let at = |i: usize| places.get(i).copied().flatten();
    let mut edges = String::new();
    for (i, j, curvature) in &geometry.edges {
        let (Some([x1, y1]), Some([x2, y2])) = (at(*i), at(*j)) else { continue };
        let colour = both_ways(if largest > 0.0 { curvature / largest } else { 0.0 });
        let _ = write!(
            edges,
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{colour}\" stroke-width=\"1.6\"/>",
            Px(x1),
            Px(y1),
            Px(x2),
            Px(y2)
        );
    }
    svg.raw(&edges);
    for (i, channel) in geometry.channels.iter().enumerate() {
        let Some(place) = at(i) else { continue };
        let community = geometry.communities.get(i).copied().unwrap_or(0);
        let title = format!("{}: community {}", escape(channel), community + 1);
        svg.mark(community % SERIES, false, place, 4.6, &title);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Geometry {
        Geometry {
            channels: ["C3", "Cz", "nowhere"].map(String::from).into(),
            before: vec![-0.5, 0.0, 0.25, f64::NAN],
            after: vec![0.1, 0.1, 0.12],
            steps: 5,
            edges: vec![(0, 1, -0.5), (1, 2, 0.25)],
            communities: vec![0, 0, 1],
            places: vec![[0.0, 1.0], [1.0, 0.0], [-1.0, -1.0]],
        }
    }

    #[test]
    fn all_that_is_known_is_drawn() {
        let text = geometry(&example());
        assert!(text.contains("after 5 steps of Ricci flow") && text.contains("2 found;"));
        assert!(text.contains("C3: community 1"));
        // On the head two of three channels are known, and with them one edge; in the plane all are.
        assert_eq!(text.matches("nowhere: community 2").count(), 1);
        assert_eq!(text.matches("stroke-width").count(), 3);
    }

    #[test]
    fn little_is_drawn_of_little() {
        assert_eq!(geometry(&Geometry::default()), "");
        let flat =
            Geometry { after: Vec::new(), places: Vec::new(), before: vec![0.5; 4], ..example() };
        let text = geometry(&flat);
        assert!(!text.contains("Ricci flow") && !text.contains("in the embedding"));
    }

    #[test]
    fn shares_sum_to_one() {
        let got = shares(&[0.0, 0.5, 1.0, 1.0], 0.0, 1.0);
        assert_eq!((got[0], got[BARS - 1], got.iter().sum::<f64>()), (0.25, 0.5, 1.0));
    }
}
