//! The chart beside the document: bars of life and run, one group for each view and bundle.

use std::fmt::Write;

use crate::figures::Row;
use crate::figures::Table;
use crate::figures::Who;

/// Who has bars, and its colour: one that stands out on white and on near-black alike.
const BARS: [(Who, &str); 4] = [
    (Who::Ours, "#2f81f7"),
    (Who::Crun, "#d97706"),
    (Who::Runc, "#8b5cf6"),
    (Who::Floor, "#6b7280"),
];

const ROWS: [Row; 2] = [Row::Life, Row::Run];

const WIDTH: f64 = 760.0;
const LABEL: f64 = 230.0;
const FIGURES: f64 = 90.0;
const BAR: f64 = 14.0;
const GAP: f64 = 14.0;
const TOP: f64 = 40.0;

/// Text takes the colour of the reader's scheme; the background stays the page's.
const STYLE: &str = "<style>text{font:12px system-ui,sans-serif;fill:#1f2328}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}}</style>";

/// Draws the medians in milliseconds.
pub(super) fn svg(tables: &[Table]) -> String {
    let figures = tables.iter().flat_map(|table| {
        let all = ROWS.iter().flat_map(|row| BARS.iter().map(|(who, _)| (*row, *who)));
        all.filter_map(|(row, who)| table.get(row, who))
    });
    let longest = figures.map(|summary| summary.median).fold(0.0, f64::max);
    let scale = if longest > 0.0 { (WIDTH - LABEL - FIGURES) / longest } else { 0.0 };
    let mut y = TOP;
    let mut body = legend();
    for row in ROWS {
        for table in tables {
            group(&mut body, table, row, scale, &mut y);
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" \
         viewBox=\"0 0 {WIDTH} {y}\" role=\"img\">\n\
         <title>Median times of life and run in milliseconds, shorter is better</title>\n\
         {STYLE}\n{body}</svg>\n"
    )
}

fn legend() -> String {
    let mut out = String::new();
    for (index, (who, colour)) in BARS.iter().enumerate() {
        let x = LABEL + 90.0 * index as f64;
        rectangle(&mut out, x, 10.0, BAR, colour);
        text(&mut out, x + BAR + 6.0, 21.0, "start", who.name());
    }
    text(&mut out, LABEL - 10.0, 21.0, "end", "median ms, shorter is better");
    out
}

fn group(out: &mut String, table: &Table, row: Row, scale: f64, y: &mut f64) {
    let bars = BARS
        .iter()
        .filter_map(|(who, colour)| table.get(row, *who).map(|summary| (summary.median, *colour)));
    let bars: Vec<(f64, &str)> = bars.collect();
    if bars.is_empty() {
        return;
    }
    let label = format!("{}, {}, {}", row.name(), table.view, table.bundle.name());
    text(out, LABEL - 10.0, *y + BAR * bars.len() as f64 / 2.0 + 4.0, "end", &label);
    for (median, colour) in bars {
        rectangle(out, LABEL, *y, (median * scale).max(1.0), colour);
        text(out, LABEL + median * scale + 6.0, *y + BAR - 3.0, "start", &format!("{median:.1}"));
        *y += BAR;
    }
    *y += GAP;
}

fn rectangle(out: &mut String, x: f64, y: f64, width: f64, colour: &str) {
    let height = BAR - 2.0;
    // Writing to a String cannot fail.
    let _infallible = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
    );
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _infallible =
        writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::BundleKind;
    use crate::figures::Samples;

    #[test]
    fn bars_are_as_long_as_their_medians() {
        let mut samples = Samples::default();
        samples.push(Row::Run, Who::Ours, 5.0);
        samples.push(Row::Run, Who::Runc, 20.0);
        let text = svg(&[Table::new("v2".into(), BundleKind::Podman, &samples)]);
        assert!(text.contains("width=\"440.0\" height=\"12\" fill=\"#8b5cf6\""), "{text}");
        assert!(text.contains("width=\"110.0\" height=\"12\" fill=\"#2f81f7\""), "{text}");
        assert!(text.contains("run, v2, Podman's default bundle"));
        assert!(text.contains("prefers-color-scheme:dark"));
        let (open, close) = (text.matches("<text").count(), text.matches("</text>").count());
        assert_eq!(open, close);
    }

    #[test]
    fn nothing_measured_is_an_empty_chart() {
        assert!(svg(&[]).ends_with("</svg>\n"));
    }
}
