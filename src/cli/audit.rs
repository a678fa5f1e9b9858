//! `tocsin audit`: who did what, and whether somebody has tampered with it.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::ProgressStyle;
use serde_json::json;

use super::database::{Access, with_casework};
use super::progress;
use super::table::{self, Width};
use crate::casework::audit::{AuditFilter, MAX_PAGE};
use crate::record::Timestamp;

/// See who did what, and check that nobody has tampered with it
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 every row is as it was written, 1 failed, 2 wrong usage or configuration, 3 somebody has tampered with it\n\n\
Examples:\n  \
tocsin audit list --subject incident:INC-2026-000123\n  \
tocsin audit list --actor ada --action 'user.*' --from 2026-11-01 --json\n  \
tocsin audit verify\n  \
tocsin audit verify --head 4f0c…   # what an earlier check printed, noted elsewhere"
)]
pub struct Arguments {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List what people did, the newest first
    List(List),
    /// Check that every row is as it was written, and follows on the one before it
    Verify {
        /// The hash that an earlier check printed: that row must still be there, as it was
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
}

#[derive(clap::Args)]
struct List {
    /// Only what was done to this, such as user:ada or incident:INC-2026-000123
    #[arg(long)]
    subject: Option<String>,
    /// Only what this user did, or os:<name> at the machine itself
    #[arg(long)]
    actor: Option<String>,
    /// Only this, such as incident.change; "incident.*" for whatever begins so
    #[arg(long)]
    action: Option<String>,
    /// Only from this time on: a date (its beginning in UTC), or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    from: Option<Timestamp>,
    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    to: Option<Timestamp>,
    /// At most so many
    #[arg(long, value_name = "N", default_value = "50")]
    limit: usize,
    /// Go on before the row with this id
    #[arg(long, value_name = "ID")]
    cursor: Option<i64>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::List(asked) => list(&arguments.access, asked),
        Command::Verify { head } => verify(&arguments.access, head),
    }
}

fn list(access: &Access, asked: List) -> anyhow::Result<ExitCode> {
    let List { subject, actor: by, action, from, to, limit, cursor } = asked;
    let filter = AuditFilter { subject, actor: by, action, from, to };
    with_casework(access, async |casework, actor| {
        let (mut left, mut before) = (limit, cursor);
        let columns =
            [("id", 100), ("time", 0), ("who", 0), ("via", 120), ("from", 110), ("what", 80), ("to what", 0), ("why", 100)];
        let mut shown = table::listing(columns, None, Width::of_terminal());
        let mut out = std::io::stdout().lock();
        while left > 0 {
            let (acts, next) = casework.audit(&actor, &filter, before, left.min(MAX_PAGE)).await?;
            left = left.saturating_sub(acts.len());
            before = next;
            for act in &acts {
                if access.json {
                    writeln!(out, "{}", serde_json::to_string(act)?)?;
                    continue;
                }
                let text = |text: &Option<String>| text.clone().unwrap_or_default();
                shown.add([
                    act.id.to_string(),
                    act.at.to_string().chars().take(19).collect(),
                    act.actor.clone(),
                    act.via.clone(),
                    text(&act.address),
                    act.action.clone(),
                    act.subject.clone(),
                    text(&act.reason),
                ]);
            }
            if next.is_none() {
                break;
            }
        }
        if !access.json {
            writeln!(out, "{shown}")?;
        }
        if let Some(before) = before {
            eprintln!("there are more: --cursor {before}");
        }
        Ok(())
    })
}

fn verify(access: &Access, head: Option<String>) -> anyhow::Result<ExitCode> {
    let json = access.json;
    let mut found = false;
    let done = with_casework(access, async |casework, actor| {
        let bar =
            progress::spinner().with_style(ProgressStyle::with_template("{spinner} {pos} rows checked").expect("a template"));
        bar.enable_steady_tick(Duration::from_millis(120));
        let noted = head.as_deref().map(str::to_ascii_lowercase);
        let checked = casework
            .check_audit(&actor, noted.as_deref(), &mut |rows| {
                if rows % 4096 == 0 {
                    bar.set_position(rows);
                }
            })
            .await?;
        bar.finish_and_clear();
        let tampered = checked.tampered;
        found = tampered.is_some();
        if json {
            let tampered = tampered.map(|(id, what)| json!({ "id": id, "what": what }));
            println!("{}", json!({ "rows": checked.rows, "head": checked.head, "tampered": tampered }));
        } else if let Some((id, what)) = tampered {
            println!("row {id} of audit_log: {what}. The {} rows before it are as they were written.", checked.rows);
        } else {
            println!("{} rows, each as it was written.\nhead {}", checked.rows, checked.head);
        }
        Ok(())
    })?;
    Ok(if found { ExitCode::from(3) } else { done })
}
