//! Charts as SVG: bars and columns, drawn with rectangles and text. A reader that does not see them is told by title and description, and
//! finds the figures in the table behind them.

use std::fmt::Write as _;

use crate::record::text::push_html;

/// Of a chart, in the units of its own coordinates.
const WIDTH: u32 = 720;
const BAR: u32 = 22;
const LABEL: u32 = 220;
const VALUE: u32 = 90;
const COLUMNS: u32 = 160;
/// Below the columns: the labels.
const FOOT: u32 = 20;
const LEFT: u32 = 60;
/// A longer label is cut; the table has all of it.
const MAX_LABEL_CHARS: usize = 30;
/// Of so many characters there is room for large letters.
const MAX_LARGE_CHARS: usize = 20;

/// A bar for each value, one below the other.
pub fn bars(id: usize, title: &str, about: &str, values: &[(String, u64)]) -> String {
    let height = BAR * values.len() as u32 + 4;
    let mut svg = begin(id, title, about, height);
    let most = values.iter().map(|(_, value)| *value).max().unwrap_or(0).max(1);
    let room = f64::from(WIDTH - LABEL - VALUE);
    for (n, (label, value)) in values.iter().enumerate() {
        let (y, width) = (n as u32 * BAR + 2, room * *value as f64 / most as f64);
        let middle = y + BAR / 2 + 4;
        // On a narrow screen letters are larger, and of a long label less so.
        let class = if label.chars().count() > MAX_LARGE_CHARS { " class=\"long\"" } else { "" };
        let _ = write!(svg, "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\"{class}>", LABEL - 8);
        push_html(&mut svg, &shortened(label));
        let _ = write!(
            svg,
            "</text><rect x=\"{LABEL}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\"/><text x=\"{:.1}\" y=\"{middle}\">{value}</text>",
            y + 3,
            BAR - 6,
            f64::from(LABEL) + width + 6.0
        );
    }
    svg + "</svg>"
}

/// A column for each value, one beside the other: the first and the last are labelled, and so is the height of the highest.
pub fn columns(id: usize, title: &str, about: &str, values: &[(String, u64)]) -> String {
    let mut svg = begin(id, title, about, COLUMNS + FOOT + 10);
    let most = values.iter().map(|(_, value)| *value).max().unwrap_or(0);
    let step = f64::from(WIDTH - LEFT) / values.len().max(1) as f64;
    let (top, foot) = (10, COLUMNS + 10);
    let _ = write!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{most}</text><text x=\"{}\" y=\"{foot}\" text-anchor=\"end\">0</text>\
         <line x1=\"{LEFT}\" y1=\"{foot}\" x2=\"{WIDTH}\" y2=\"{foot}\"/><line x1=\"{LEFT}\" y1=\"{top}\" x2=\"{WIDTH}\" y2=\"{top}\"/>",
        LEFT - 6,
        top + 5,
        LEFT - 6,
    );
    for (n, (_, value)) in values.iter().enumerate().filter(|(_, (_, value))| *value > 0) {
        // What happened once is to be seen beside what happened a million times.
        let height = (f64::from(COLUMNS) * *value as f64 / most.max(1) as f64).max(1.0);
        let x = f64::from(LEFT) + n as f64 * step;
        let (y, width) = (f64::from(foot) - height, (step * 0.8).max(0.5));
        let _ = write!(svg, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>");
    }
    let below = foot + FOOT - 4;
    if let (Some((first, _)), Some((last, _))) = (values.first(), values.last()) {
        let _ = write!(svg, "<text x=\"{LEFT}\" y=\"{below}\">");
        push_html(&mut svg, first);
        if values.len() > 1 {
            let _ = write!(svg, "</text><text x=\"{WIDTH}\" y=\"{below}\" text-anchor=\"end\">");
            push_html(&mut svg, last);
        }
        svg.push_str("</text>");
    }
    svg + "</svg>"
}

fn begin(id: usize, title: &str, about: &str, height: u32) -> String {
    let mut svg = format!(
        "<svg role=\"img\" aria-labelledby=\"t{id} d{id}\" viewBox=\"0 0 {WIDTH} {height}\" xmlns=\"http://www.w3.org/2000/svg\"><title id=\"t{id}\">"
    );
    push_html(&mut svg, title);
    let _ = write!(svg, "</title><desc id=\"d{id}\">");
    push_html(&mut svg, about);
    svg.push_str("</desc>");
    svg
}

fn shortened(label: &str) -> String {
    match label.char_indices().nth(MAX_LABEL_CHARS) {
        Some((end, _)) => format!("{}…", &label[..end]),
        None => label.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values() {
        let svg = bars(1, "T", "D", &[("a".into(), 200), ("b<".into(), 100), ("c".into(), 0)]);
        let widths: Vec<&str> =
            svg.split("<rect ").skip(1).filter_map(|r| r.split("width=\"").nth(1)?.split('"').next()).collect();
        assert_eq!(widths, ["410.0", "205.0", "0.0"]);
        assert!(svg.contains("b&lt;") && svg.contains("<title id=\"t1\">T</title><desc id=\"d1\">D</desc>"), "{svg}");
    }

    #[test]
    fn columns_are_as_high_as_their_values_and_a_year_fits() {
        let year: Vec<(String, u64)> = (0..366).map(|n| ("day".to_owned(), n)).collect();
        let svg = columns(1, "T", "D", &year);
        assert_eq!(svg.matches("<rect ").count(), 365, "there is nothing to be seen of a day without anything");
        let last = svg.rsplit("<rect ").next().unwrap();
        assert!(last.contains("height=\"160.0\"") && last.contains("y=\"10.0\""), "{last}");
        assert!(!columns(1, "T", "D", &[]).contains("NaN") && !bars(1, "T", "D", &[("a".into(), 0)]).contains("NaN"));
    }
}
