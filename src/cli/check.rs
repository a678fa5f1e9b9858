//! `tocsin check`: everything that is wrong with a configuration, at once.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::config::{self, Config};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tocsin check --config /etc/tocsin/tocsin.toml && systemctl restart tocsin

Exit codes: 0 nothing is wrong, 2 something is.")]
pub struct Arguments {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Some(config) = load(arguments.config.as_deref()) else { return Ok(ExitCode::from(2)) };
    let inputs = config.syslog.len() + config.files.len() + config.webhook.len();
    match &arguments.config {
        Some(path) => println!("{}: nothing is wrong; {inputs} inputs", path.display()),
        None => println!("no file is given; the defaults and the environment are fine"),
    }
    Ok(ExitCode::SUCCESS)
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
