//! `tocsin man`: the manual, a page for each command.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

/// Write the manual: a page for each command
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin man /usr/local/share/man/man1      # tocsin.1, tocsin-incidents.1, tocsin-incidents-list.1 …\n  \
tocsin man | man -l -                     # the first page, to read now")]
pub struct Arguments {
    /// Directory for the pages, which is made where it is not there; those of an older version are replaced [default: the first page to
    /// standard output]
    dir: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let command = super::command();
    match &arguments.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
            clap_mangen::generate_to(command, dir).with_context(|| format!("write the pages into {}", dir.display()))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            std::io::stdout().write_all(&page)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
