//! The curves of a run as a picture: a panel for each figure, whose scale begins at 0.

use std::fmt::Write;

use super::sample::{SERIES, Sample, Series};

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 96.0;
/// Room above a panel for its name.
const HEAD: f64 = 34.0;
const GAP: f64 = 24.0;
const COLUMNS: usize = 2;
/// The room between a curve's highest point and the top of its panel.
const HEADROOM: f64 = 1.15;

/// Draws all figures of a run. The colours are legible on light and dark pages.
pub(super) fn draw(samples: &[Sample]) -> String {
    let drawn: Vec<(Series, Vec<(f64, f64)>)> = SERIES
        .into_iter()
        .map(|series| (series, samples.iter().filter_map(|sample| series.point(sample)).collect::<Vec<_>>()))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let rows = drawn.len().div_ceil(COLUMNS) as f64;
    let (width, height) = (COLUMNS as f64 * (WIDTH + GAP) + GAP, rows * (HEAD + HEIGHT + GAP) + GAP);
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#808080\">\n"
    );
    for (place, (series, points)) in drawn.iter().enumerate() {
        let x = GAP + (place % COLUMNS) as f64 * (WIDTH + GAP);
        let y = (place / COLUMNS) as f64 * (HEAD + HEIGHT + GAP);
        panel(&mut picture, series, points, (x, y));
    }
    picture.push_str("</svg>\n");
    picture
}

fn panel(picture: &mut String, series: &Series, points: &[(f64, f64)], (x, y): (f64, f64)) {
    let most = points.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let end = points.iter().map(|(at, _)| *at).fold(f64::MIN_POSITIVE, f64::max);
    let (top, bottom) = (y + HEAD, y + HEAD + HEIGHT);
    let line: Vec<String> = points
        .iter()
        .map(|(at, value)| {
            format!("{:.1},{:.1}", x + at / end * WIDTH, bottom - value / most / HEADROOM * HEIGHT)
        })
        .collect();
    // Writing to a text does not fail.
    let _ = writeln!(
        picture,
        "<text x=\"{x}\" y=\"{:.1}\">{}</text>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">at most {}</text>\
         <path d=\"M{x} {top}V{bottom}H{:.1}\" fill=\"none\" stroke=\"#808080\"/>\
         <polyline points=\"{}\" fill=\"none\" stroke=\"#3b82f6\" stroke-width=\"1.5\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-size=\"11\">{:.0} min</text>",
        top - 8.0,
        series.name,
        x + WIDTH,
        top - 8.0,
        series.shown(most),
        x + WIDTH,
        line.join(" "),
        x + WIDTH,
        bottom + 13.0,
        end / 60.0,
    );
}
