//! `tocsin formats`: what is understood, with a line of each and what is read out of it.

use std::io::Write as _;
use std::process::ExitCode;

use crate::cli::table::{Width, listing};
use crate::parse::{self, Context, Format};
use crate::record::{COLUMNS, LogRecord, Timestamp, Zone};

/// Show the formats that are understood
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin formats                 # all of them\n  \
tocsin formats fortigate       # lines of it, and what is read out of each\n  \
tocsin formats --coverage      # which columns the lines of each fill\n  \
tocsin formats --json\n  \
tocsin formats --markdown      # the table of the README")]
pub struct Arguments {
    /// Only this one, with its lines
    name: Option<String>,
    /// Write JSON instead of text
    #[arg(long)]
    json: bool,
    /// Show which columns are read: in how many of its lines, as far as they are shown here
    #[arg(long, conflicts_with_all = ["json", "name"])]
    coverage: bool,
    /// Write a table in Markdown
    #[arg(long, conflicts_with_all = ["json", "name", "coverage"])]
    markdown: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let named = match arguments.name.as_deref().map(Format::find).transpose() {
        Ok(named) => named,
        Err(what) => {
            eprintln!("{what}");
            return Ok(ExitCode::from(2));
        }
    };
    let text = match (named, arguments.json) {
        (Some(format), true) => serde_json::to_string_pretty(&format)?,
        (Some(format), false) => one(&format)?,
        (None, true) => serde_json::to_string_pretty(&parse::formats())?,
        (None, false) if arguments.markdown => markdown(),
        (None, false) if arguments.coverage => coverage(),
        (None, false) => {
            let mut table = listing([("format", 0), ("of", 60), ("events", 100)], None, Width::of_terminal());
            for format in parse::formats() {
                table.add([format.name.to_owned(), format.product.to_owned(), events(&format)]);
            }
            table.to_string()
        }
    };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

fn one(format: &Format) -> anyhow::Result<String> {
    let mut text = format!("{}: {}\n{}\n", format.name, format.product, format.reference);
    text += &format!("columns: {}\nfields: {}\n", columns(format), format.fields.join(", "));
    let context = Context { now: Timestamp::now(), zone: &Zone::UTC, own: &[] };
    for sample in format.samples {
        let record = parse::parse(sample, &context);
        text += &format!("\n{sample}\n{}\n", serde_json::to_string_pretty(&super::parse::Line::of(&record))?);
    }
    Ok(text)
}

fn events(format: &Format) -> String {
    let events: Vec<&str> = format.event_types.iter().map(|event| event.as_str()).collect();
    events.join(", ")
}

/// The columns that are read.
fn columns(format: &Format) -> String {
    let read: Vec<&str> = format.columns.iter().filter(|(_, samples)| *samples > 0).map(|(name, _)| *name).collect();
    read.join(", ")
}

/// In how many of its lines each format fills each column.
fn coverage() -> String {
    let formats = parse::formats();
    let names = LogRecord::text("").filled().map(|(name, _)| name);
    let mut titles = [("", 0); COLUMNS + 2];
    titles[0].0 = "format";
    titles[1].0 = "lines";
    for (title, name) in titles[2..].iter_mut().zip(names) {
        title.0 = name;
    }
    let numbers: Vec<&'static str> = titles[1..].iter().map(|(name, _)| *name).collect();
    let mut table = listing(titles, None, Width::Unlimited).right(&numbers);
    for format in &formats {
        let mut cells: [String; COLUMNS + 2] = Default::default();
        cells[0] = format.name.to_owned();
        cells[1] = format.samples.len().to_string();
        for (cell, (_, samples)) in cells[2..].iter_mut().zip(format.columns) {
            *cell = if samples == 0 { "-".to_owned() } else { samples.to_string() };
        }
        table.add(cells);
    }
    table.to_string()
}

fn markdown() -> String {
    let mut table = String::from("| Format | Of | Events in its samples | Columns |\n|---|---|---|---|\n");
    for format in parse::formats() {
        let (name, product, reference) = (format.name, format.product, format.reference);
        table += &format!("| `{name}` | [{product}]({reference}) | {} | {} |\n", events(&format), columns(&format));
    }
    table
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_readme_lists_every_format() {
        let readme = include_str!("../../README.md");
        let (_, rest) = readme.split_once("<!-- tocsin formats --markdown -->\n").expect("a place for the table");
        let (there, _) = rest.split_once("<!-- -->").expect("an end of the table");
        assert!(there == super::markdown(), "put there what `tocsin formats --markdown` writes");
    }
}
