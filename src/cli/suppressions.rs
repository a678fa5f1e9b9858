//! `tocsin suppressions`: what opens no incidents for a time, and how much of it there was.

use std::process::ExitCode;

use super::database::{Access, with_casework};
use super::incidents::print_json;
use super::user::table;
use crate::record::text::visible;

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
                let mut table = table(["id", "detector", "group", "until", "by", "incident", "events", "last seen", "reason"]);
                for row in found {
                    let until = row.ended_at.map_or_else(|| row.until.to_string(), |at| format!("ended {at}"));
                    table.add_row([
                        row.id.to_string(),
                        visible(&row.detector),
                        visible(&row.group_key),
                        until,
                        visible(&row.created_by),
                        row.incident,
                        row.events.to_string(),
                        row.last_seen.map_or(String::new(), |seen| seen.to_string().chars().take(19).collect()),
                        visible(&row.reason),
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
