//! `tocsin formats`: what is understood, with a line of each and what is read out of it.

use std::io::Write as _;
use std::process::ExitCode;

use crate::cli::table::{Width, listing};
use crate::parse::{self, Context, Format};
use crate::record::{Timestamp, Zone};

/// Show the formats that are understood
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin formats                 # all of them\n  \
tocsin formats fortigate       # lines of it, and what is read out of each\n  \
tocsin formats --json\n  \
tocsin formats --markdown      # the table of the README")]
pub struct Arguments {
    /// Only this one, with its lines
    name: Option<String>,
    /// Write JSON instead of text
    #[arg(long)]
    json: bool,
    /// Write a table in Markdown
    #[arg(long, conflicts_with_all = ["json", "name"])]
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

fn markdown() -> String {
    let mut table = String::from("| Format | Of | Events in its samples |\n|---|---|---|\n");
    for format in parse::formats() {
        table += &format!("| `{}` | [{}]({}) | {} |\n", format.name, format.product, format.reference, events(&format));
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
