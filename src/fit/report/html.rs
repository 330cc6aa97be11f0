//! The frame of the page: heading, facts, sections, style sheet.

use super::Report;
use super::svg::{Anchor, SERIES, Svg};
use std::fmt::Write as _;

/// The page around its sections. No script may run in it, wherever its names come from.
pub fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta name=\"color-scheme\" content=\"light dark\"/>\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"script-src 'none'; connect-src 'none'; object-src 'none'; frame-src 'none'; \
         form-action 'none'; img-src data:\"/>\
         <link rel=\"icon\" href=\"data:,\"/><title>{title}</title><style>{STYLE}</style></head>\n\
         <body><main>{body}</main></body></html>\n"
    )
}

/// Title and facts.
pub fn header(report: &Report) -> String {
    let mut text = format!("<header><h1>{}</h1>", escape(&report.title));
    if !report.facts.is_empty() {
        text.push_str("<dl>");
        for fact in &report.facts {
            let (name, value) = (escape(&fact.name), escape(&fact.value));
            let _ = write!(text, "<div><dt>{name}</dt><dd>{value}</dd></div>");
        }
        text.push_str("</dl>");
    }
    text + "</header>\n"
}

/// A part of the page; `note` is a sentence on how to read it, both already escaped markup.
pub fn section(heading: &str, note: &str, content: &str) -> String {
    format!(
        "<section><h2>{}</h2><p class=\"note\">{note}</p>{content}</section>\n",
        escape(heading)
    )
}

/// What the marks of the series mean, in their order.
pub fn legend<'a>(names: impl Iterator<Item = &'a str>, more: &str) -> String {
    let mut text = String::from("<p class=\"legend\">");
    for (i, name) in names.enumerate() {
        let mut swatch = Svg::new(28.0, 14.0, "");
        swatch.line(&format!("series s{}", i % SERIES), [1.0, 7.0], [27.0, 7.0]);
        swatch.mark(i, false, [14.0, 7.0], 4.5, name);
        let _ = write!(text, "<span>{}{}</span>", swatch.finish(), escape(name));
    }
    text + more + "</p>"
}

/// The entry of the legend for the line of chance.
pub fn chance_legend(chance: f64) -> String {
    let mut swatch = Svg::new(28.0, 14.0, "");
    swatch.line("chance", [1.0, 7.0], [27.0, 7.0]);
    format!("<span>{}chance ({})</span>", swatch.finish(), percent(chance))
}

/// A scale of colours with its ends, from low to high.
pub fn colour_bar(colour: impl Fn(f64) -> String, low: &str, middle: &str, high: &str) -> String {
    let mut svg = Svg::new(302.0, 34.0, "scale of colours");
    // On whole pixels, or the edges between them would show.
    for i in 0..60 {
        let x = 1.0 + 5.0 * f64::from(i);
        svg.rect("flat", [x, 2.0], [5.0, 12.0], &colour((f64::from(i) + 0.5) / 60.0));
    }
    svg.rect("outline", [1.0, 2.0], [300.0, 12.0], "none");
    svg.text("tick", [1.0, 29.0], Anchor::Start, low);
    svg.text("tick", [151.0, 29.0], Anchor::Middle, middle);
    svg.text("tick", [301.0, 29.0], Anchor::End, high);
    format!("<div class=\"bar\">{}</div>", svg.finish())
}

/// A share as a percentage without decimals unless it needs one.
pub fn percent(share: f64) -> String {
    let percent = (share * 1000.0).round() / 10.0 + 0.0;
    format!("{percent} %")
}

/// Text as it may stand in the page, between tags and in attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML has no place for these, and turning the direction of text would garble the page.
            '\u{fffe}' | '\u{ffff}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                escaped.push('\u{fffd}');
            }
            c if c.is_control() && !matches!(c, '\n' | '\t') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The series have the colours of Okabe and Ito (Color Universal Design, 2008), made darker on light
/// ground and lighter on dark ground.
const STYLE: &str = "
:root{--page:#f4f6f8;--card:#fff;--ink:#1b2430;--soft:#586474;--rule:#dde2e8;--accent:#0b5fae;
--good:#00704f;--c0:#0072b2;--c1:#cc4c00;--c2:#00875f;--c3:#a4478d;--c4:#a87900;--c5:#5c6670}
@media (prefers-color-scheme:dark){:root{--page:#11151a;--card:#1a2027;--ink:#e8edf2;--soft:#a3afbc;
--rule:#323b45;--accent:#5aaef0;--good:#4cd0a0;--c0:#5aaef0;--c1:#ff9254;--c2:#3fcb9d;--c3:#e69fcb;
--c4:#f0c23c;--c5:#aeb8c2}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:66rem;margin:0 auto;padding:2rem 1rem 4rem}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 1rem;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:0 0 .2rem}
h3{font-size:.95rem;margin:0 0 .4rem;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:.6rem 1.5rem;margin:0}
dt{color:var(--soft);font-size:.8rem}
dd{margin:0;overflow-wrap:anywhere}
section{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:1.2rem 1.4rem;
margin-top:1.2rem;overflow-x:auto}
.note{color:var(--soft);font-size:.88rem;margin:0 0 .9rem;max-width:52rem}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:0 0 .6rem;font-size:.88rem}
.legend span{display:inline-flex;align-items:center;gap:.45rem;overflow-wrap:anywhere}
.row{display:flex;flex-wrap:wrap;gap:1.4rem 2rem;align-items:flex-start}
.bar{margin-top:.6rem}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:.4rem .8rem;text-align:right;border-bottom:1px solid var(--rule);vertical-align:top}
th{font-weight:600;color:var(--soft);font-size:.84rem}
td{white-space:nowrap}
th.name,td.name{white-space:normal;text-align:left;overflow-wrap:break-word;max-width:20rem}
tr.mean td{border-top:2px solid var(--soft);border-bottom:0}
td small{display:block;color:var(--soft);font-size:.78rem;white-space:nowrap}
td.best{font-weight:700}
td.chance{color:var(--soft)}
.found{color:var(--good);font-weight:600}
.confusion td{text-align:center;border:2px solid var(--card);min-width:4.2rem;
background:color-mix(in srgb,var(--accent) var(--share),var(--page))}
.confusion th{border:0}
.confusion td.deep{color:var(--card)}
.confusion td small{color:inherit}
.confusion th.name{vertical-align:middle}
svg{display:block;max-width:100%;height:auto}
.legend svg{flex:none}
text{fill:var(--ink);font-family:inherit;font-size:12px}
text.tick,text.soft{fill:var(--soft);font-size:11.5px}
text.small{font-size:10.5px}
text.count{font-size:9px}
text.electrode{font-size:7.5px;fill:#141a21;stroke:#fff;stroke-opacity:.75;stroke-width:2;
paint-order:stroke;stroke-linejoin:round}
.axis{stroke:var(--soft);stroke-width:1;fill:none}
.grid{stroke:var(--rule);stroke-width:1}
.chance{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:5 4;fill:none}
.cue{stroke:var(--soft);stroke-width:1}
.outline{stroke:var(--soft);stroke-width:1}
.flat{stroke:none}
.series{fill:none;stroke-width:2}
.whisker{stroke-width:2;fill:none}
.ribbon{stroke:none;opacity:.16}
.mark{stroke:var(--card);stroke-width:1}
.hollow{fill:none;stroke-width:1.6}
.head{fill:none;stroke:var(--ink);stroke-width:1.8;stroke-linejoin:round}
.dot{fill:#141a21}
.iso{fill:none;stroke:#141a21;stroke-opacity:.28;stroke-width:.7}
.pick{fill:none;stroke:var(--ink);stroke-width:3}
.pick-inner{fill:none;stroke:var(--card);stroke-width:1.2}
.limit{stroke:var(--soft);stroke-width:2}
.mark.s0,.ribbon.s0{fill:var(--c0)}.mark.s1,.ribbon.s1{fill:var(--c1)}
.mark.s2,.ribbon.s2{fill:var(--c2)}.mark.s3,.ribbon.s3{fill:var(--c3)}
.mark.s4,.ribbon.s4{fill:var(--c4)}.mark.s5,.ribbon.s5{fill:var(--c5)}
.series.s0,.whisker.s0,.hollow.s0{stroke:var(--c0)}.series.s1,.whisker.s1,.hollow.s1{stroke:var(--c1)}
.series.s2,.whisker.s2,.hollow.s2{stroke:var(--c2)}.series.s3,.whisker.s3,.hollow.s3{stroke:var(--c3)}
.series.s4,.whisker.s4,.hollow.s4{stroke:var(--c4)}.series.s5,.whisker.s5,.hollow.s5{stroke:var(--c5)}
@media (max-width:44rem){section>svg{max-width:none}}
@media print{body{background:#fff}section{break-inside:avoid}}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hostile_is_made_harmless() {
        assert_eq!(escape("<b a='1'>&\"\u{0}"), "&lt;b a=&#39;1&#39;&gt;&amp;&quot;\u{fffd}");
        assert_eq!(escape("\u{202e}ä\n"), "\u{fffd}ä\n");
    }

    #[test]
    fn percentages_have_a_decimal_if_they_need_one() {
        let got = [0.5, 0.3333, 1.0, -0.00001].map(percent);
        assert_eq!(got, ["50 %", "33.3 %", "100 %", "0 %"]);
    }
}
