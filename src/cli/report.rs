//! `tocsin report`: the figures of a period, as tables, JSON, CSV or a page; one incident, as a page, JSON or STIX.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::{CellAlignment, Table};

use super::database::{Access, with_casework};
use super::file::{Existing, write_whole};
use super::table::{self, Width};
use crate::casework::reports::incident::Form;
use crate::casework::reports::{Cell, Period, Report, Section, csv, page, sections};
use crate::record::Timestamp;
use crate::record::observable::Tlp;
use crate::record::text::visible;

/// Sum up a week, any other period, or one incident
///
/// Of a period: incidents that were opened in the period, by severity, category, detector and day; log records by type and day; how long it took to notice,
/// acknowledge and resolve; who attacks and who is attacked; what is overdue, and what was learned. A period consists of whole hours.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin report weekly\n  \
tocsin report weekly --html week.html\n  \
tocsin report metrics --from 2026-01-01 --to 2027-01-01 --json | jq .time_to_resolve\n  \
tocsin report incident INC-2026-000123 --output INC-2026-000123.html\n  \
tocsin report incident INC-2026-000123 --format stix --tlp green > bundle.json")]
pub struct Arguments {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: Command,
}

/// How the figures of a period are written.
#[derive(clap::Args)]
struct Written {
    /// Write CSV: a line for each figure
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Write a page with charts to this file, which needs nothing else and prints well
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "csv"])]
    html: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// The figures of any period
    Metrics {
        /// From this time on: a date (its beginning in UTC), or RFC 3339 [default: 30 days before the end]
        #[arg(long, value_name = "TIME", value_parser = super::time)]
        from: Option<Timestamp>,
        /// Up to this time, which is not included [default: now]
        #[arg(long, value_name = "TIME", value_parser = super::time)]
        to: Option<Timestamp>,
        #[command(flatten)]
        written: Written,
    },
    /// Those of seven days
    Weekly {
        /// Up to the hour of this time [default: now]
        #[arg(long, value_name = "TIME", value_parser = super::time)]
        until: Option<Timestamp>,
        #[command(flatten)]
        written: Written,
    },
    /// Everything about one incident, with hashes of its evidence and the proof of its audit rows
    ///
    /// Notes, tasks, timeline, evidence, and its rows of the audit log, each with what it takes to check it. Not the people behind it. As a page
    /// that needs nothing else and prints well, as JSON, or as a bundle of STIX 2.1 to share. Who took it out is in the audit log.
    Incident(Incident),
}

#[derive(clap::Args)]
struct Incident {
    /// Its number
    number: String,
    /// html, json or stix [default: html; json with --json]
    #[arg(long)]
    format: Option<Form>,
    /// To whom a STIX bundle may be told: clear, green, amber, amber+strict or red; what may be told to fewer is left out
    #[arg(long, default_value = "amber")]
    tlp: Tlp,
    /// Where to; "-" is standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { access, command } = arguments;
    let (period, kind, written) = match command {
        Command::Incident(wanted) => return incident(&access, &wanted),
        Command::Metrics { from, to, written } => {
            let to = to.unwrap_or_else(Timestamp::now);
            let period = match from {
                Some(from) => match Period::new(from, to) {
                    Ok(period) => period,
                    Err(e) => {
                        eprintln!("tocsin: {e}");
                        return Ok(ExitCode::from(2));
                    }
                },
                None => Period::days_until(30, to.plus_micros(-1)),
            };
            (period, METRICS, written)
        }
        Command::Weekly { until, written } => (Period::days_until(7, until.unwrap_or_else(Timestamp::now)), WEEK, written),
    };
    let Written { csv: as_csv, html, force } = written;
    with_casework(&access, async |casework, actor| {
        let report = casework.report(&actor, period).await?;
        let title = report.title(kind);
        if let Some(path) = html {
            let existing = if force { Existing::Replaced } else { Existing::Kept };
            write_whole(&path, existing, page(&title, &report).as_bytes())?;
            eprintln!("{}", path.display());
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        if access.json {
            writeln!(out, "{}", serde_json::to_string(&report)?)?;
        } else if as_csv {
            out.write_all(&csv(&report))?;
        } else {
            out.write_all(as_text(&title, &report, Width::of_terminal()).as_bytes())?;
        }
        Ok(())
    })
}

fn incident(access: &Access, wanted: &Incident) -> anyhow::Result<ExitCode> {
    let form = wanted.format.unwrap_or(if access.json { Form::Json } else { Form::Html });
    with_casework(access, async |casework, actor| {
        let report = casework.incident_report(&actor, &wanted.number).await?;
        let text = report.written(form, wanted.tlp)?;
        let withheld = if form == Form::Stix { report.withheld(wanted.tlp) } else { 0 };
        if withheld > 0 {
            eprintln!(
                "observables that are left out, since they may be told to fewer than TLP:{}: {withheld}",
                wanted.tlp.as_str().to_uppercase()
            );
        }
        if wanted.output.as_os_str() == "-" {
            return Ok(std::io::stdout().write_all(text.as_bytes())?);
        }
        let existing = if wanted.force { Existing::Replaced } else { Existing::Kept };
        write_whole(&wanted.output, existing, text.as_bytes())?;
        eprintln!("{}", wanted.output.display());
        Ok(())
    })
}

const METRICS: &str = "Security metrics";
pub(super) const WEEK: &str = "Security week";

/// A report for reading.
pub(super) fn as_text(title: &str, report: &Report, width: Width) -> String {
    let mut text = format!("{title}\nFrom {} up to {}. All times are UTC.\n", report.from, report.to);
    for section in sections(report) {
        let _ = write!(text, "\n{}\n", section.title);
        let _ = match section.rows.is_empty() {
            true => writeln!(text, "  nothing"),
            false => writeln!(text, "{}", tabled(&section, width)),
        };
    }
    text
}

fn tabled(section: &Section, width: Width) -> Table {
    let mut table = table::plain(width);
    table.set_header(&section.head);
    for row in &section.rows {
        table.add_row(row.iter().map(|cell| visible(&cell.shown())));
    }
    table::settle(&mut table, width);
    let is_number = |column: usize| section.rows.iter().all(|row| matches!(row[column], Cell::Number(_)));
    for n in (1..section.head.len()).filter(|n| is_number(*n)) {
        if let Some(column) = table.column_mut(n) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
