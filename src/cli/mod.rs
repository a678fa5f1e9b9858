//! The command line: one subcommand each. Data goes to standard output, everything else to standard error.
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 something was found that the command was asked to look for.

mod journal;
mod parse;
mod replay;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "tocsin",
    version,
    about = "An alarm bell for your logs: every line stored once, attacks noticed while they happen",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read log lines, write what they mean as JSON, a line each
    Parse(parse::Arguments),
    /// Run the detectors over log files, by the times in the logs
    Replay(replay::Arguments),
    /// Look into the journal on disk
    Journal(journal::Arguments),
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Parse(a) => parse::run(a),
        Command::Replay(a) => replay::run(a),
        Command::Journal(a) => journal::run(a),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tocsin: {error:#}");
            ExitCode::from(1)
        }
    }
}
