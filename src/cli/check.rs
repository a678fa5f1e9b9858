//! `tocsin check`: everything that is wrong with a configuration and its rules, at once.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::config::{self, Config};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tocsin check --config /etc/tocsin/tocsin.toml && systemctl restart tocsin
  tocsin check --rules ./rules

Exit codes: 0 nothing is wrong, 2 something is.")]
pub struct Arguments {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sigma rules, instead of those that the configuration names: a directory of .yml files, or one file
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Some(config) = load(arguments.config.as_deref()) else { return Ok(ExitCode::from(2)) };
    let inputs = config.syslog.len() + config.files.len() + config.webhook.len();
    match &arguments.config {
        Some(path) => println!("{}: nothing is wrong; {}{}", path.display(), number(inputs, "input"), formats(&config)),
        None if arguments.rules.is_none() => println!("no file is given; the defaults and the environment are fine"),
        None => {}
    }
    let rules_are_good = arguments.rules.or(config.detect.rules).is_none_or(|path| check_rules(&path));
    Ok(ExitCode::from(if rules_are_good { 0 } else { 2 }))
}

fn number(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// What there is of the operator's own formats.
fn formats(config: &Config) -> String {
    let samples: usize = config.format.iter().map(|format| format.samples.len()).sum();
    match config.format.len() {
        0 => String::new(),
        n => format!(", {}, {} read as expected", number(n, "format"), number(samples, "sample")),
    }
}

/// Tells of the rules, and what is wrong with those that cannot be used; whether all can.
fn check_rules(path: &Path) -> bool {
    match config::rules::load(path) {
        Err(what) => {
            eprintln!("detect.rules: {what}");
            false
        }
        Ok((rules, problems)) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            println!("{}: {}, {} left out", path.display(), number(rules.len(), "working rule"), problems.len());
            problems.is_empty()
        }
    }
}

/// The configuration; `None` after telling what is wrong with it.
pub fn load(path: Option<&Path>) -> Option<Config> {
    match config::load(path) {
        Ok(config) => Some(config),
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            None
        }
    }
}
