//! `tocsin suppressions`: what opens no incidents for a time, and how much of it there was.

use std::process::ExitCode;

use super::database::{Access, with_casework};
use super::incidents::print_json;
use super::table::{self, Width};

/// See what opens no incidents for a time, and end that
///
/// `tocsin incidents false-positive NUMBER --suppress-until DATE` begins a suppression: events of that detector and group from before then
/// open no incident, and are counted.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin suppressions list\n  \
tocsin suppressions end 7")]
pub struct Arguments {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List those in force, the newest first, with what they left out
    List {
        /// Those that have ended, too
        #[arg(long)]
        all: bool,
        /// At most so many
        #[arg(long, default_value = "50")]
        limit: usize,
    },
    /// End one: the next events open an incident
    End {
        /// Which
        id: i64,
    },
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let json = arguments.access.json;
    with_casework(&arguments.access, async |casework, actor| {
        match arguments.command {
            Command::List { all, limit } => {
                let found = casework.suppressions(&actor, all, None, limit).await?;
                if json {
                    return print_json(&found);
                }
                let columns = [
                    ("id", 0),
                    ("detector", 0),
                    ("group", 0),
                    ("until", 60),
                    ("by", 120),
                    ("incident", 100),
                    ("events", 80),
                    ("last seen", 120),
                    ("reason", 90),
                ];
                let mut table = table::listing(columns, None, Width::of_terminal());
                for row in found {
                    let until = row.ended_at.map_or_else(|| row.until.to_string(), |at| format!("ended {at}"));
                    table.add([
                        row.id.to_string(),
                        row.detector,
                        row.group_key,
                        until,
                        row.created_by,
                        row.incident,
                        row.events.to_string(),
                        row.last_seen.map_or(String::new(), |seen| seen.to_string().chars().take(19).collect()),
                        row.reason,
                    ]);
                }
                println!("{table}");
            }
            Command::End { id } => {
                casework.end_suppression(&actor, id).await?;
                eprintln!("suppression {id} is ended");
            }
        }
        Ok(())
    })
}
