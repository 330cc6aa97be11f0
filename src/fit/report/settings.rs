//! Settings that were chosen: the grid they were chosen from, and what choosing adds to a score.

use super::colour::{rising, text_on_rising};
use super::html::{colour_bar, escape, legend, percent, section};
use super::svg::{AXIS, Anchor, NAME, Scale, Svg, UNIT, share_range, short};
use super::{Grid, Selected, Selection, html};

/// Cells narrower than this hold no number.
const READABLE: f64 = 32.0;

/// Nested and plain scores, joined by a line each.
pub fn selection(selection: &Selection) -> String {
    let rows: Vec<&Selected> =
        selection.rows.iter().filter(|r| r.nested.is_finite() && r.plain.is_finite()).collect();
    if rows.is_empty() {
        return String::new();
    }
    let (left, right, pitch) = (190.0, 840.0, 26.0);
    let bottom = 8.0 + pitch * rows.len() as f64;
    let mut svg = Svg::new(960.0, bottom + 44.0, "nested and plain scores");
    let ends = rows.iter().flat_map(|r| [r.nested, r.plain, selection.chance]);
    let scale = Scale::new(share_range(ends), [left, right]);
    for tick in scale.ticks(7.0) {
        svg.line("grid", [scale.at(tick), 8.0], [scale.at(tick), bottom]);
        svg.text("tick", [scale.at(tick), bottom + 17.0], Anchor::Middle, &percent(tick));
    }
    svg.line("chance", [scale.at(selection.chance), 8.0], [scale.at(selection.chance), bottom]);
    for (i, row) in rows.iter().enumerate() {
        let y = 8.0 + pitch * (i as f64 + 0.5);
        let points = |v: f64| format!("{}: {:.1} %", row.name, 100.0 * v);
        svg.text("name", [left - 14.0, y + 4.0], Anchor::End, &short(&row.name, NAME));
        svg.line("cue", [scale.at(row.nested), y], [scale.at(row.plain), y]);
        // Of different sizes, so that equal scores show both.
        svg.mark(1, false, [scale.at(row.plain), y], 7.0, &points(row.plain));
        svg.mark(0, false, [scale.at(row.nested), y], 4.5, &points(row.nested));
        let gain = format!("{:+.1} points", 100.0 * (row.plain - row.nested));
        svg.text("name", [right + 16.0, y + 4.0], Anchor::Start, &gain);
    }
    svg.line("axis", [left, bottom], [right, bottom]);
    svg.text("soft", [(left + right) / 2.0, bottom + 37.0], Anchor::Middle, "accuracy");

    let gain = rows.iter().map(|r| r.plain - r.nested).sum::<f64>() / rows.len() as f64;
    let note = format!(
        "Settings chosen and scored on the same trials look better than they are: here by {:+.1} points \
         on average. The nested score, on trials that the choice did not see, is the one to trust.",
        100.0 * gain
    );
    let names = ["nested", "chosen and scored on the same trials"].into_iter();
    let key = legend(names, &html::chance_legend(selection.chance));
    section("Selection", &note, &(key + &svg.finish()))
}

/// The scores of all settings as a map of colours, with the picks.
pub fn grid(grid: &Grid) -> String {
    let (rows, columns) = (grid.row.values.len(), grid.column.values.len());
    let scores = || grid.scores.iter().flatten().flatten().copied().filter(|v| v.is_finite());
    let ends = |[low, high]: [f64; 2], v: f64| [low.min(v), high.max(v)];
    let [low, high] = scores().fold([f64::MAX, f64::MIN], ends);
    if low > high {
        return String::new();
    }
    let share = |v: f64| if high > low { (v - low) / (high - low) } else { 0.5 };
    // Cells shrink where there are many; the numbers in them go before they get too small to read.
    let cell_width = (860.0 / columns as f64).clamp(16.0, 64.0);
    let cell_height = cell_width.min(34.0);
    let place = |row: usize, column: usize| {
        [70.0 + cell_width * column as f64, 8.0 + cell_height * row as f64]
    };
    let [right, bottom] = place(rows, columns);
    let mut svg = Svg::new(right + 12.0, bottom + 46.0, "scores of all settings");
    for (r, row) in grid.scores.iter().take(rows).enumerate() {
        for (c, score) in row.iter().take(columns).enumerate() {
            let Some(score) = score.filter(|v| v.is_finite()) else { continue };
            let [x, y] = place(r, c);
            svg.rect("flat", [x, y], [cell_width - 1.0, cell_height - 1.0], &rising(share(score)));
            if cell_width >= READABLE {
                let colour = text_on_rising(share(score));
                let picked = grid.picks.iter().find(|p| (p.row, p.column) == (r, c));
                let lower = if picked.is_some() { 8.5 } else { 3.5 };
                let at = [x + cell_width / 2.0 - 0.5, y + cell_height / 2.0 + lower];
                svg.text_in(colour, "small", at, &format!("{:.1}", 100.0 * score));
                if let Some(pick) = picked {
                    let at = [at[0], y + cell_height / 2.0 - 3.0];
                    svg.text_in(colour, "count", at, &format!("{}\u{d7}", pick.times));
                }
            }
        }
    }
    frame(&mut svg, grid, &place, cell_width, cell_height);
    let best = |v: f64| format!("{:.1} %", 100.0 * v);
    let bar = colour_bar(rising, &best(low), &short(&grid.score, UNIT), &best(high));
    let note = format!(
        "Colour: {}, for each {} and {}. Framed: what was chosen, and in how many folds.",
        escape(&grid.score),
        escape(&grid.row.name),
        escape(&grid.column.name)
    );
    section("Grid of settings", &note, &(svg.finish() + &bar))
}

fn frame(
    svg: &mut Svg,
    grid: &Grid,
    place: &impl Fn(usize, usize) -> [f64; 2],
    width: f64,
    height: f64,
) {
    let (rows, columns) = (grid.row.values.len(), grid.column.values.len());
    let [right, bottom] = place(rows, columns);
    let every = |size: f64, room: f64| (room / size).ceil().max(1.0) as usize;
    for (r, value) in grid.row.values.iter().enumerate().step_by(every(height, 15.0)) {
        let [x, y] = place(r, 0);
        svg.text("tick", [x - 8.0, y + height / 2.0 + 4.0], Anchor::End, value);
    }
    let longest = grid.column.values.iter().map(|v| v.chars().count()).max().unwrap_or(1);
    for (c, value) in
        grid.column.values.iter().enumerate().step_by(every(width, 8.0 + 7.0 * longest as f64))
    {
        let [x, _] = place(rows, c);
        svg.text("tick", [x + width / 2.0, bottom + 15.0], Anchor::Middle, value);
    }
    svg.text(
        "soft",
        [(70.0 + right) / 2.0, bottom + 36.0],
        Anchor::Middle,
        &short(&grid.column.name, AXIS),
    );
    svg.upwards("soft", [16.0, (8.0 + bottom) / 2.0], &short(&grid.row.name, AXIS));
    for pick in grid.picks.iter().filter(|p| p.row < rows && p.column < columns) {
        let [x, y] = place(pick.row, pick.column);
        svg.rect("pick", [x - 0.5, y - 0.5], [width, height], "");
        svg.rect("pick-inner", [x + 1.3, y + 1.3], [width - 3.6, height - 3.6], "");
    }
}
