//! `tocsin audit`: who did what, and whether somebody has tampered with it.

use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::database::{Access, with_casework};

/// Check the audit log
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 every row is as it was written, 1 failed, 2 wrong usage or configuration, 3 somebody has tampered with it\n\n\
Examples:\n  \
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
    /// Check that every row is as it was written, and follows on the one before it
    Verify {
        /// The hash that an earlier check printed: that row must still be there, as it was
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let json = arguments.access.json;
    let Command::Verify { head } = arguments.command;
    let mut found = false;
    let done = with_casework(&arguments.access, async |casework, actor| {
        let bar = ProgressBar::new_spinner()
            .with_style(ProgressStyle::with_template("{spinner} {pos} rows checked").expect("a template"));
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
