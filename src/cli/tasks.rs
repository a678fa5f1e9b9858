//! `tocsin tasks`: what is to be done about incidents.

use std::process::ExitCode;

use serde_json::json;

use super::database::{Access, with_casework};
use super::incidents::print_json;
use super::table::{self, Width};
use crate::casework::tasks::{TaskEdit, TaskFilter};
use crate::record::Timestamp;
use crate::record::case::TaskStatus;

/// What is to be done about incidents
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin tasks list --overdue\n  \
tocsin tasks add INC-2026-000123 \"Change the password\" --assignee ada --due 2026-11-22T12:00:00Z\n  \
tocsin tasks edit 17 --status done")]
pub struct Arguments {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List tasks, what is due first
    List {
        /// Only of this incident
        #[arg(long, value_name = "NUMBER")]
        incident: Option<String>,
        /// Only of this user
        #[arg(long, value_name = "USER")]
        assignee: Option<String>,
        /// Only those that should have been done by now
        #[arg(long)]
        overdue: bool,
        /// Those that are done or cancelled, too
        #[arg(long, conflicts_with = "overdue")]
        all: bool,
        /// At most so many
        #[arg(long, default_value = "100")]
        limit: usize,
    },
    /// Make a task; prints its id
    Add {
        /// The incident's number
        number: String,
        /// One line
        title: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change a task
    Edit {
        /// Which
        id: i64,
        /// One line
        #[arg(long)]
        title: Option<String>,
        /// open, in_progress, done or cancelled
        #[arg(long)]
        status: Option<TaskStatus>,
        /// Refuse if somebody has changed it since this version
        #[arg(long, value_name = "VERSION")]
        if_version: Option<i64>,
        #[command(flatten)]
        fields: Fields,
    },
}

#[derive(clap::Args)]
struct Fields {
    /// Who is to do it; empty for nobody
    #[arg(long, value_name = "USER")]
    assignee: Option<String>,
    /// Until when (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    due: Option<Timestamp>,
    /// When to remind the assignee (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    remind: Option<Timestamp>,
}

impl Fields {
    fn edit(self, title: Option<String>, status: Option<TaskStatus>) -> TaskEdit {
        TaskEdit {
            title,
            status,
            assignee: self.assignee.map(|name| Some(name).filter(|name| !name.is_empty())),
            due_at: self.due.map(Some),
            remind_at: self.remind.map(Some),
        }
    }
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let json = arguments.access.json;
    with_casework(&arguments.access, async |casework, actor| {
        match arguments.command {
            Command::List { incident, assignee, overdue, all, limit } => {
                let found = casework.tasks(&actor, &TaskFilter { incident, assignee, overdue, all }, limit).await?;
                if json {
                    return print_json(&found);
                }
                let columns = [("id", 0), ("incident", 0), ("status", 0), ("assignee", 80), ("due", 90), ("title", 0)];
                let mut table = table::listing(columns, None, Width::of_terminal());
                for task in found {
                    let due = task.due_at.map_or(String::new(), |due| due.to_string());
                    let whose = task.assignee.unwrap_or_default();
                    table.add([task.id.to_string(), task.incident, task.status, whose, due, task.title]);
                }
                println!("{table}");
            }
            Command::Add { number, title, fields } => {
                let id = casework.add_task(&actor, &number, &fields.edit(Some(title), None)).await?;
                if json {
                    return print_json(&json!({ "id": id }));
                }
                println!("{id}");
            }
            Command::Edit { id, title, status, if_version, fields } => {
                let after = casework.edit_task(&actor, id, &fields.edit(title, status), if_version).await?;
                if json {
                    return print_json(&after);
                }
                eprintln!("task {id} is {}; version {}", after.status, after.version);
            }
        }
        Ok(())
    })
}
