//! `tocsin export`: logs, incidents, tasks and observables as CSV, at any size.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use indicatif::ProgressStyle;
use serde_json::json;

use super::database::{Access, with_casework};
use super::file::{Existing, Unfinished};
use super::progress;
use crate::casework::export::{Range, Table};
use crate::casework::{Actor, Casework};
use crate::record::Timestamp;
use crate::store::ledger::day_name;

/// Take out logs, incidents, tasks or observables as CSV
///
/// Writes a file as RFC 4180 has it: commas, CRLF, the names of the columns first, UTF-8, times in UTC. Cells with text are quoted; a cell
/// without anything is one that has no value. The file is written under another name beside its place, and gets its own when it is whole.
///
/// It is safe to open in a spreadsheet: a cell that would be read as a formula, since =, +, - or @ comes first in it, or first after white space
/// and quotes, has an apostrophe before it. Control characters, and those that turn the direction of text, are written as escapes such as
/// \n and \u{1b}, so that each record is one line.
///
/// Who exported what, and how many rows, is in the audit log.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin export logs --from 2026-11-20 --to 2026-11-21\n  \
tocsin export incidents --output incidents.csv --force\n  \
tocsin export observables --from 2026-11-20      # what was seen in which incident, with its TLP\n  \
tocsin export logs --output - | gzip > logs.csv.gz")]
pub struct Arguments {
    #[command(flatten)]
    access: Access,
    /// logs (by the time of the event), incidents, tasks or observables (by the time when they were made)
    #[arg(value_parser = table)]
    table: Table,
    /// Only from this time on: a date (its beginning in UTC), or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    from: Option<Timestamp>,
    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    to: Option<Timestamp>,
    /// Where to; "-" is standard output [default: tocsin-<what>-<today>.csv]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

fn table(text: &str) -> Result<Table, String> {
    Table::ALL.into_iter().find(|table| table.as_str() == text).ok_or_else(|| "logs, incidents, tasks or observables".to_owned())
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { access, table, from, to, output, force } = arguments;
    let range = (from.unwrap_or(Timestamp::MIN), to.unwrap_or(Timestamp::MAX));
    if range.0 >= range.1 {
        eprintln!("tocsin: --to has to be later than --from");
        return Ok(ExitCode::from(2));
    }
    let path = output.unwrap_or_else(|| dated_name(table));
    let existing = if force { Existing::Replaced } else { Existing::Kept };
    with_casework(&access, async |casework, actor| {
        let began = Instant::now();
        if path.as_os_str() == "-" {
            let rows = export(&casework, &actor, table, range, &mut tokio::io::stdout()).await?;
            eprintln!("{rows} rows in {:.1} s", began.elapsed().as_secs_f64());
            return Ok(());
        }
        let rows = to_file(&casework, &actor, table, range, (&path, existing)).await?;
        if access.json {
            println!("{}", json!({ "file": path, "rows": rows }));
        } else {
            eprintln!("{rows} rows in {:.1} s: {}", began.elapsed().as_secs_f64(), path.display());
        }
        Ok(())
    })
}

/// The file that an export of today goes to, unless somebody says otherwise.
pub(super) fn dated_name(table: Table) -> PathBuf {
    format!("tocsin-{}-{}.csv", table.as_str(), day_name(Timestamp::now().day())).into()
}

/// Exports to a file, which is there whole or not at all; returns the number of rows.
pub(super) async fn to_file(
    casework: &Casework,
    actor: &Actor,
    table: Table,
    range: Range,
    (path, existing): (&Path, Existing),
) -> anyhow::Result<u64> {
    let (unfinished, file) = Unfinished::begin(path, existing)?;
    let mut out = tokio::fs::File::from_std(file.try_clone().context("open the file twice")?);
    out.set_max_buf_size(1 << 20);
    let rows = export(casework, actor, table, range, &mut out).await?;
    unfinished.finish(&file)?;
    Ok(rows)
}

async fn export(
    casework: &Casework,
    actor: &Actor,
    table: Table,
    range: Range,
    out: &mut (impl tokio::io::AsyncWrite + Unpin + Send),
) -> anyhow::Result<u64> {
    let style = ProgressStyle::with_template("{bar:30} {human_pos} of about {human_len} rows, {per_sec}, {eta} left");
    let bar = progress::bar(casework.rows_to_export(actor, table, range).await?);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let done = casework.export(actor, table, range, out, &mut |rows| bar.set_position(rows)).await;
    bar.finish_and_clear();
    Ok(done?)
}
