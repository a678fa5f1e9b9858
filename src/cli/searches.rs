//! `tocsin logs saved`: searches that people keep.

use serde_json::json;

use super::incidents::print_json;
use super::table::{self, Width};
use crate::casework::searches::{MAX_PAGE, NewSearch, SearchEdit};
use crate::casework::{Actor, Casework};
use crate::record::case::SearchKind;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin logs saved add guesses 'event_type:login_failed -user:root last:7d' --shared\n  \
tocsin logs search --saved guesses\n  \
tocsin logs search --saved ada/guesses src_ip:192.0.2.0/24\n  \
tocsin logs saved list")]
pub struct Saved {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show one's own, and those that others share
    List,
    /// Keep a search
    Add {
        /// What to call it
        name: String,
        /// What to look for
        query: String,
        /// Let everybody see it
        #[arg(long)]
        shared: bool,
    },
    /// Change one
    Edit {
        /// Which
        name: String,
        /// What to call it from now on
        #[arg(long, value_name = "NAME")]
        rename: Option<String>,
        /// What to look for
        #[arg(long)]
        query: Option<String>,
        /// Whether everybody sees it
        #[arg(long, value_name = "true|false")]
        shared: Option<bool>,
    },
    /// Delete one
    Delete {
        /// Which; owner/name for somebody else's
        name: String,
    },
}

pub async fn run(casework: &Casework, actor: &Actor, saved: Saved, json: bool) -> anyhow::Result<()> {
    const KIND: SearchKind = SearchKind::Logs;
    match saved.command {
        Command::List => {
            let (mut all, mut behind) = (Vec::new(), None);
            loop {
                let (page, next) = casework.saved_searches(actor, Some(KIND), behind, MAX_PAGE).await?;
                all.extend(page);
                behind = next;
                if next.is_none() {
                    break;
                }
            }
            if json {
                return print_json(&all);
            }
            let columns = [("owner", 80), ("name", 0), ("shared", 100), ("query", 0)];
            let mut table = table::listing(columns, None, Width::of_terminal());
            for row in &all {
                let shared = if row.shared { "yes" } else { "" };
                table.add([row.owner.clone(), row.name.clone(), shared.to_owned(), row.query.clone()]);
            }
            println!("{table}");
        }
        Command::Add { name, query, shared } => {
            let row = casework.save_search(actor, &NewSearch { kind: KIND, name, query, shared }).await?;
            if json { print_json(&row)? } else { eprintln!("kept") }
        }
        Command::Edit { name, rename, query, shared } => {
            let row = casework.saved_search(actor, KIND, &name).await?;
            let row = casework.edit_search(actor, row.id, &SearchEdit { name: rename, query, shared }, Some(row.version)).await?;
            if json { print_json(&row)? } else { eprintln!("changed") }
        }
        Command::Delete { name } => {
            let row = casework.saved_search(actor, KIND, &name).await?;
            casework.delete_search(actor, row.id).await?;
            if json { println!("{}", json!({ "id": row.id, "done": "deleted" })) } else { eprintln!("deleted") }
        }
    }
    Ok(())
}
