//! `tocsin keys`: the master keys, under which people's data is sealed.

use std::process::ExitCode;

use indicatif::ProgressStyle;

use super::database::{Access, with_casework};
use super::incidents::print_json;
use super::progress;
use super::table::{self, Width};

/// Show and rotate the master keys
///
/// The people behind incidents, files of evidence and second factors are sealed in the database under data keys, and those under a master key,
/// which is in a file (keys.file in the configuration). Whoever has a copy of the database and not that file can open none of it; who loses
/// the file has lost it all. Keep a copy of it, apart from the backups of the database.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 a master key is missing that something is sealed with\n\n\
Examples:\n  \
tocsin keys status\n  \
tocsin keys rotate\n  \
tocsin keys rotate --forget-old   # what older backups hold of erased people cannot be opened any more, nor anything else in them"
)]
pub struct Arguments {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show the master keys, when each was made, and how much is sealed with it
    Status,
    /// Seal all data keys with a new master key, while the daemon runs; one that was interrupted is taken up again
    Rotate {
        /// Then take master keys that nothing is sealed with out of the file, for good: what is sealed in older backups of the database can be
        /// opened only with a copy of the file as it was
        #[arg(long)]
        forget_old: bool,
    },
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let json = arguments.access.json;
    let mut missing = false;
    let done = with_casework(&arguments.access, async |casework, actor| match arguments.command {
        Command::Status => {
            let status = casework.key_status(&actor).await?;
            missing = status.keys.iter().any(|key| !key.present);
            if json {
                return print_json(&status);
            }
            println!("{}", status.file.display());
            let columns = [("master key", 0), ("made", 100), ("data keys", 0), ("incidents", 80), ("state", 0)];
            let mut table = table::listing(columns, None, Width::of_terminal()).right(&["data keys", "incidents"]);
            let newest = status.keys.len().saturating_sub(1);
            for (n, key) in status.keys.into_iter().enumerate() {
                let state = match (key.present, n == newest) {
                    (false, _) => "missing: what is sealed with it cannot be opened",
                    (true, true) => "newest",
                    (true, false) => "",
                };
                let made = key.made_at.map_or_else(String::new, |at| at.to_string());
                table.add([key.id, made, key.data_keys.to_string(), key.incidents.to_string(), state.to_owned()]);
            }
            println!("{table}");
            Ok(())
        }
        Command::Rotate { forget_old } => {
            let style = ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} data keys, {eta} left");
            let bar = progress::bar(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            let rotated = casework
                .rotate_keys(&actor, forget_old, &mut |done, all| {
                    bar.set_length(all);
                    bar.set_position(done);
                })
                .await;
            bar.finish_and_clear();
            let rotated = rotated?;
            if json {
                return print_json(&rotated);
            }
            eprintln!("{} data keys were sealed with the master key {}", rotated.data_keys, rotated.key);
            for id in &rotated.forgotten {
                eprintln!("the master key {id} was taken out of the file");
            }
            Ok(())
        }
    })?;
    Ok(if missing { ExitCode::from(3) } else { done })
}
