//! A report as one HTML file, which needs nothing else: no script, no font, no picture from elsewhere. It reads on paper as on a screen,
//! and to somebody who listens.

use std::fmt::Write as _;

use super::sections::{Cell, Drawn, Section, sections};
use super::{Report, chart};
use crate::record::text::push_html;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--faint:#48505a;--line:#dde2e7;--axis:#b8c0c8;--bar:#1f5f99;--link:#1f5f99}\
@media screen and (prefers-color-scheme:dark){:root{--ink:#e3e7eb;--paper:#15181c;--faint:#a5adb6;--line:#343b43;--axis:#59626c;--bar:#6fb1ea;--link:#6fb1ea}}\
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem;margin:0;overflow-wrap:anywhere}h2{font-size:1.15rem;margin:2rem 0 .2rem}p{margin:.2rem 0 .6rem;color:var(--faint)}a{color:var(--link)}\
svg{width:100%;height:auto;display:block}svg text{font:12px system-ui,sans-serif;fill:var(--ink)}svg rect{fill:var(--bar)}svg line{stroke:var(--axis)}\
table{border-collapse:collapse;margin:.4rem 0;font-variant-numeric:tabular-nums}\
th,td{text-align:left;padding:.15rem .9rem .15rem 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere;white-space:pre-wrap}\
details{margin:.3rem 0}section{break-inside:avoid}\
@media screen and (max-width:40rem){body{margin:1rem auto}svg{overflow:visible}svg text{font-size:20px}svg .long{font-size:15px}\
section{overflow-x:auto;overflow-y:hidden}th,td{overflow-wrap:break-word;padding-right:.6rem;font-size:14px}}\
@media print{body{margin:0;max-width:none;font-size:11px}details{display:none}@page{margin:15mm}svg rect{print-color-adjust:exact;-webkit-print-color-adjust:exact}}";

/// Everything up to the title, which is shown, too.
pub(super) fn begin(out: &mut String, title: &str, more_style: &str) {
    out.push_str(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
    );
    push_html(out, title);
    let _ = write!(out, "</title>\n<style>{STYLE}{more_style}</style>\n</head>\n<body>\n<main>\n<h1>");
    push_html(out, title);
    out.push_str("</h1>\n");
}

/// What is behind everything.
pub(super) fn end(out: &mut String) {
    out.push_str("</main>\n</body>\n</html>\n");
}

/// The page.
pub fn page(title: &str, report: &Report) -> String {
    let mut out = String::new();
    begin(&mut out, title, "");
    let _ = writeln!(
        out,
        "<p>From {} up to {}, made at {} by tocsin. All times are UTC.</p>",
        report.from, report.to, report.made_at
    );
    for (id, section) in sections(report).iter().enumerate() {
        show(&mut out, id, section);
    }
    end(&mut out);
    out
}

fn show(out: &mut String, id: usize, section: &Section) {
    let _ = write!(out, "<section aria-labelledby=\"h{id}\">\n<h2 id=\"h{id}\">");
    push_html(out, section.title);
    out.push_str("</h2>\n<p>");
    push_html(out, &section.about);
    out.push_str("</p>\n");
    let value = |row: &[Cell]| match (row.first(), row.get(1)) {
        (Some(Cell::Text(name)), Some(Cell::Number(count))) => Some((name.clone(), count.unsigned_abs())),
        _ => None,
    };
    let values: Vec<(String, u64)> = section.rows.iter().filter_map(|row| value(row)).collect();
    match section.drawn {
        _ if section.rows.is_empty() => out.push_str("<p>Nothing.</p>\n"),
        None => table(out, section),
        Some(drawn) => {
            let draw = match drawn {
                Drawn::Bars => chart::bars,
                Drawn::Columns => chart::columns,
            };
            out.push_str(&draw(id, section.title, &section.about, &values));
            out.push_str("\n<details>\n<summary>The figures as a table</summary>\n");
            table(out, section);
            out.push_str("</details>\n");
        }
    }
    out.push_str("</section>\n");
}

fn table(out: &mut String, section: &Section) {
    out.push_str("<table>\n<caption hidden>");
    push_html(out, section.title);
    out.push_str("</caption>\n<thead><tr>");
    for name in &section.head {
        out.push_str("<th scope=\"col\">");
        push_html(out, name);
        out.push_str("</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &section.rows {
        out.push_str("<tr>");
        for (n, cell) in row.iter().enumerate() {
            out.push_str(if n == 0 { "<th scope=\"row\">" } else { "<td>" });
            // Of what people wrote, the lines remain.
            for (n, line) in cell.shown().split('\n').enumerate() {
                if n > 0 {
                    out.push('\n');
                }
                push_html(out, line);
            }
            out.push_str(if n == 0 { "</th>" } else { "</td>" });
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
}
