//! Shows an evaluation: as data, as a page, as a table for the terminal.
//!
//! [`Report`] is plain data, which `serde` writes as JSON; [`render`] makes a page of it. The page is one
//! file without scripts, well-formed as XML too, in light and dark. One file per kind of picture:
//! `scores` (tables, intervals, confusions), `lines` (time courses, learning curves), `settings` (grid,
//! selection), `scatter`, `heads`, `geometry` (graphs); they draw with `svg` and `colour`, `html` is the frame around them.

mod colour;
mod data;
mod geometry;
mod heads;
mod html;
mod lines;
mod plain;
mod scatter;
mod scores;
mod settings;
mod svg;

pub use data::*;
pub use geometry::Geometry;
pub use plain::{table, tuned};

/// The report as a self-contained page. What is missing in it is left out.
pub fn render(report: &Report) -> String {
    let parts = [
        html::header(report),
        scores::summary(report),
        scores::differences(report),
        scores::details(report),
        scores::confusions(report),
        report.time.as_ref().map(lines::time).unwrap_or_default(),
        report.curve.as_ref().map(lines::curve).unwrap_or_default(),
        report.selection.as_ref().map(settings::selection).unwrap_or_default(),
        report.grid.as_ref().map(settings::grid).unwrap_or_default(),
        report.maps.as_ref().map(heads::maps).unwrap_or_default(),
        report.scatter.as_ref().map(scatter::scatter).unwrap_or_default(),
        report.geometry.as_ref().map(geometry::geometry).unwrap_or_default(),
    ];
    html::page(&report.title, &parts.concat())
}

#[cfg(test)]
mod tests;
