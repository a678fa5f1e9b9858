//! The command line: one subcommand each. Data goes to standard output, everything else to standard error.
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 something was found that the command was asked to look for.

mod assets;
mod audit;
mod backup;
mod check;
mod completions;
mod database;
mod demo;
mod detect;
mod evidence;
mod export;
mod file;
mod formats;
mod found;
mod incidents;
mod journal;
mod keys;
mod logs;
mod maintenance;
mod man;
mod menu;
mod parse;
mod parties;
mod progress;
mod relations;
mod replay;
mod report;
mod run;
mod searches;
mod second_factor;
mod suppressions;
mod table;
mod tasks;
mod user;
mod verify;

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{CommandFactory as _, Parser, Subcommand};
use flate2::bufread::MultiGzDecoder;

use crate::parse::own::Own;
use crate::record::Timestamp;

#[derive(Parser)]
#[command(
    name = "tocsin",
    version,
    about = "An alarm bell for your logs: every line stored once, attacks noticed while they happen",
    arg_required_else_help = true,
    after_help = "Try it:  tocsin demo"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon
    Run(run::Arguments),
    /// Say what is wrong with a configuration, all at once
    Check(check::Arguments),
    /// Show what tocsin does, on an hour of made-up logs
    Demo(demo::Arguments),
    /// Read log lines, write what they mean as JSON, a line each
    Parse(parse::Arguments),
    /// Show the formats that are understood
    Formats(formats::Arguments),
    /// Run the detectors over log files, by the times in the logs
    Replay(replay::Arguments),
    /// Look into the journal on disk
    Journal(journal::Arguments),
    /// Prove that every frame was stored, once
    Verify(verify::Arguments),
    /// Work on incidents
    Incidents(incidents::Arguments),
    /// What is to be done about incidents
    Tasks(tasks::Arguments),
    /// See what opens no incidents for a time, and end that
    Suppressions(suppressions::Arguments),
    /// Say what there is to protect, and how much depends on it
    Assets(assets::Arguments),
    /// Search log records, follow them, show one, annotate or archive it
    Logs(logs::Arguments),
    /// Run the detectors over stored records of a time range
    Detect(detect::Arguments),
    /// Choose from a menu what to do, step by step
    Menu(menu::Arguments),
    /// Manage who may sign in
    User(user::UserArguments),
    /// Manage tokens for programs
    Token(user::TokenArguments),
    /// Show and rotate the master keys
    Keys(keys::Arguments),
    /// Check the audit log
    Audit(audit::Arguments),
    /// Sum up a week, any other period, or one incident
    Report(report::Arguments),
    /// Take out logs, incidents, tasks or observables as CSV
    Export(export::Arguments),
    /// Make backups, prove them, and restore them
    Backup(backup::Arguments),
    /// Show what is kept, and take away what is due
    Maintenance(maintenance::Arguments),
    /// Write what a shell needs to complete commands and options
    Completions(completions::Arguments),
    /// Write the manual: a page for each command
    Man(man::Arguments),
}

/// All commands and options, as they are told to people and shells.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Run(a) => run::run(a),
        Command::Check(a) => check::run(a),
        Command::Demo(a) => demo::run(&a),
        Command::Parse(a) => parse::run(a),
        Command::Formats(a) => formats::run(&a),
        Command::Replay(a) => replay::run(a),
        Command::Journal(a) => journal::run(a),
        Command::Verify(a) => verify::run(a),
        Command::Incidents(a) => incidents::run(a),
        Command::Tasks(a) => tasks::run(a),
        Command::Suppressions(a) => suppressions::run(a),
        Command::Assets(a) => assets::run(a),
        Command::Logs(a) => logs::run(a),
        Command::Completions(a) => completions::run(&a),
        Command::Man(a) => man::run(&a),
        Command::Detect(a) => detect::run(a),
        Command::Menu(a) => menu::run(&a),
        Command::User(a) => user::user(a),
        Command::Token(a) => user::token(a),
        Command::Keys(a) => keys::run(a),
        Command::Audit(a) => audit::run(a),
        Command::Report(a) => report::run(a),
        Command::Export(a) => export::run(a),
        Command::Backup(a) => backup::run(a),
        Command::Maintenance(a) => maintenance::run(a),
    };
    match done {
        Ok(code) => code,
        // Whoever reads our output has seen enough: `tocsin parse … | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tocsin: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|e| e.downcast_ref::<std::io::Error>()).any(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// A time as people give it: RFC 3339, or a date, which is its beginning in UTC.
fn time(text: &str) -> Result<Timestamp, String> {
    let day = text.parse::<jiff::civil::Date>().ok().filter(|_| !text.contains(['T', 't', ' ', ':']));
    match day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok()) {
        Some(day) => Ok(Timestamp::from_micros(day.timestamp().as_microsecond())),
        None => Timestamp::parse_rfc3339(text).map_err(|_| {
            "give a date such as 2026-11-20 (its beginning in UTC), or a time such as 2026-11-20T08:30:00Z".to_owned()
        }),
    }
}

/// A length of time as people give it, in microseconds.
fn span(text: &str) -> Result<i64, String> {
    crate::store::query::span(text).ok_or_else(|| "no length of time; give 30m, 24h or 7d".to_owned())
}

/// The runtime of commands that talk to the network or the database.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("start the runtime")
}

/// The formats that a configuration file describes; none without a file, `None` after telling what is wrong with it.
fn formats_of(config: Option<&Path>) -> Option<Arc<[Own]>> {
    config.map_or_else(|| Some(Arc::default()), |path| check::load(Some(path)).map(|config| config.formats()))
}

/// The input as it is, or what it holds where it is gzip, which is recognised by its content (RFC 1952 §2.3.1).
fn plain<'r>(input: impl Read + 'r) -> io::Result<Box<dyn BufRead + 'r>> {
    const BUFFER_BYTES: usize = 256 << 10;
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    if input.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(input))))
    } else {
        Ok(Box::new(input))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_or_instants() {
        let read = |text: &str| time(text).map(|t| t.to_string()).ok();
        assert_eq!(read("2026-11-20").as_deref(), Some("2026-11-20T00:00:00Z"));
        assert_eq!(read("2026-11-20T10:00:00+01:00").as_deref(), Some("2026-11-20T09:00:00Z"));
        for none in ["", "yesterday", "2026-11-31", "2026-11-20T10:00:00", "2026-11-20 10:00", "1761000000"] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
