//! `tocsin maintenance`: what is kept for how long, and taking away what is due.

use std::process::ExitCode;
use std::time::Duration;

use super::database::{Access, with_casework};
use super::incidents::print_json;
use super::progress;
use super::table::{self, Width};
use crate::casework::maintenance::{Taken, Upkeep};
use crate::record::text::visible;

/// Show what is kept, and take away what is due
///
/// `[retention]` in the configuration says what is kept for how long. The daemon takes away what is due once a day. Log records go by
/// whole days, in an instant; incidents only where the configuration says so, once they are over and archived, and never those under legal
/// hold (`tocsin incidents hold`).
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin maintenance\n  \
tocsin maintenance run --dry-run\n  \
tocsin maintenance run")]
pub struct Arguments {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Take away what is due, now
    Run {
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
    },
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let json = arguments.access.json;
    with_casework(&arguments.access, async |casework, actor| {
        let only_due = match arguments.command {
            Some(Command::Run { dry_run: false }) => {
                let bar = progress::spinner().with_message("taking away what is due");
                bar.enable_steady_tick(Duration::from_millis(120));
                let run = casework.maintain(&actor, &mut |taken| bar.set_message(told(taken))).await?;
                bar.finish_and_clear();
                for what in &run.put_off {
                    eprintln!("put off, since others were at it for too long: {what}");
                }
                if json {
                    return print_json(&run);
                }
                run.taken.iter().for_each(|taken| println!("{}", told(taken)));
                if run.taken.is_empty() && run.put_off.is_empty() {
                    println!("Nothing was due.");
                }
                return Ok(());
            }
            Some(Command::Run { dry_run: true }) => true,
            None => false,
        };
        let mut upkeep = casework.maintenance(&actor).await?;
        if only_due {
            upkeep.holdings.retain(|holding| holding.due > 0);
        }
        if json {
            return print_json(&upkeep);
        }
        print!("{}", shown(&upkeep));
        Ok(())
    })
}

fn told(taken: &Taken) -> String {
    let free = taken.bytes.map_or(String::new(), |bytes| format!(", {} free", size(bytes)));
    format!("taken away: {}, {} rows{free}", taken.what, taken.rows)
}

/// What is kept, for reading.
pub(super) fn shown(upkeep: &Upkeep) -> String {
    let columns = [("what", 0), ("rows", 0), ("size", 70), ("oldest", 100), ("kept for", 80), ("due", 0)];
    let mut table = table::listing(columns, None, Width::of_terminal()).right(&["rows", "size"]);
    for holding in &upkeep.holdings {
        let stays = holding.stays.as_ref().map_or(String::new(), |why| format!(" ({why})"));
        table.add([
            holding.what.clone(),
            holding.rows.to_string(),
            size(holding.bytes),
            holding.oldest.map_or(String::new(), |oldest| oldest.to_string().chars().take(10).collect()),
            holding.kept_days.map_or("good".to_owned(), |days| if days == 0 { "-".to_owned() } else { format!("{days} days") }),
            if holding.due > 0 { format!("{}{stays}", holding.due) } else { stays.trim_start().to_owned() },
        ]);
    }
    let last = match (&upkeep.last_run, &upkeep.last_run_by) {
        (Some(at), Some(by)) => format!("last done {at} by {}", visible(by)),
        _ => "never done yet".to_owned(),
    };
    format!("{table}\nThe database has {}; {last}. Rows of logs are estimates of the database.\n", size(upkeep.database_bytes))
}

/// A size for people.
pub(super) fn size(bytes: i64) -> String {
    let (mut number, mut unit) = (bytes as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if number < 1024.0 {
            break;
        }
        (number, unit) = (number / 1024.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{number:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_the_unit_that_fits() {
        assert_eq!([0, 1023, 1536, 5 << 30].map(size), ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
    }
}
