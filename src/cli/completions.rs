//! `tocsin completions`: what a shell needs to complete our commands and options.

use std::io::Write as _;
use std::process::ExitCode;

use clap_complete::Shell;

/// Write what a shell needs to complete commands and options
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin completions bash > /etc/bash_completion.d/tocsin\n  \
tocsin completions zsh > \"${fpath[1]}/_tocsin\"\n  \
tocsin completions fish > ~/.config/fish/completions/tocsin.fish")]
pub struct Arguments {
    /// For which shell
    shell: Shell,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::command(), "tocsin", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
