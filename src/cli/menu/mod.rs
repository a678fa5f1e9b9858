//! `tocsin menu`: what people do most, step by step, for those who have never seen it. Each choice asks for what it needs, says what is wrong
//! with an answer and what would be right, and then does what the command of the same name does.

mod database;
mod incidents;
mod logs;
mod prompt;

use std::process::ExitCode;

use super::database::{Access, Office, with_office};
use crate::casework::{CaseworkError, Permission, Role};
use crate::record::Timestamp;
use prompt::{Dialogue, Ended};

/// Choose from a menu what to do, step by step
///
/// Asks for everything that it needs, and says what is wrong with an answer. An empty line takes what stands in brackets, or goes back;
/// Ctrl-D and Ctrl-C leave. The choices are those of your role; who you are is told at the beginning.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin menu\n  \
tocsin menu --config /etc/tocsin/tocsin.toml\n  \
TOCSIN_TOKEN=tct_… tocsin menu          # as the user of that token")]
pub struct Arguments {
    /// Configuration file of the daemon
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
}

/// What can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    AddLog,
    ViewLogs,
    SearchLogs,
    ViewIncidents,
    SearchIncidents,
    UpdateStatus,
    WeeklyReport,
    Detect,
    Export,
    Maintenance,
}

impl Choice {
    /// From number 1 on.
    const ALL: [Choice; 10] = [
        Choice::AddLog,
        Choice::ViewLogs,
        Choice::SearchLogs,
        Choice::ViewIncidents,
        Choice::SearchIncidents,
        Choice::UpdateStatus,
        Choice::WeeklyReport,
        Choice::Detect,
        Choice::Export,
        Choice::Maintenance,
    ];

    /// Its name, what it does in a line, and what it takes.
    fn about(self) -> (&'static str, &'static str, Permission) {
        match self {
            Choice::AddLog => {
                ("Add a log entry", "write down something that happened, as if it had been logged", Permission::WriteLogs)
            }
            Choice::ViewLogs => ("View logs", "the newest records first, and everything about one", Permission::ReadLogs),
            Choice::SearchLogs => ("Search logs", "by words, address, user, host, type or time", Permission::ReadLogs),
            Choice::ViewIncidents => ("View incidents", "the newest first, and everything about one", Permission::ReadIncidents),
            Choice::SearchIncidents => ("Search incidents", "by text, status, severity or time", Permission::ReadIncidents),
            Choice::UpdateStatus => {
                ("Update an incident's status", "say that you are at it, or how it ended", Permission::WorkIncidents)
            }
            Choice::WeeklyReport => {
                ("Weekly report", "the figures of seven days, also as a page to print", Permission::ReadReports)
            }
            Choice::Detect => ("Run anomaly detection", "the detectors over the records of a time range", Permission::ReadLogs),
            Choice::Export => ("Export to CSV", "logs, incidents or tasks, for a spreadsheet", Permission::Export),
            Choice::Maintenance => {
                ("Database maintenance", "how large it is, how far back it goes, what waits", Permission::Maintain)
            }
        }
    }
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let access = Access::of(arguments.config.clone());
    with_office(&access, async |office| {
        let mut menu = Menu { office, dialogue: Dialogue::begin() };
        let left = tokio::select! {
            done = menu.run() => match done {
                Err(error) if error.is::<Ended>() => Ok(()),
                done => done,
            },
            // Whatever was going on has changed nothing: a transaction that is dropped is none.
            _ = tokio::signal::ctrl_c() => Ok(()),
        };
        left.and_then(|()| menu.dialogue.say("\nGoodbye."))?;
        Ok(ExitCode::SUCCESS)
    })
}

struct Menu {
    office: Office,
    dialogue: Dialogue,
}

impl Menu {
    async fn run(&mut self) -> anyhow::Result<()> {
        let actor = &self.office.actor;
        let hello = format!("tocsin: you are {} ({}).", actor.name, actor.role);
        self.dialogue.say(&hello)?;
        loop {
            self.dialogue.say(&self.listed())?;
            let read = |answer: &str| prompt::number(answer, 0, Choice::ALL.len());
            let chosen = match self.dialogue.ask("Your choice (0-10)", read).await? {
                None => continue,
                Some(0) => return Ok(()),
                Some(n) => Choice::ALL[n - 1],
            };
            let (name, _, permission) = chosen.about();
            if !self.may(permission) {
                let role = least(permission);
                self.dialogue.say(&format!("  {name} is for the role {role}; yours is {}.", self.office.actor.role))?;
                continue;
            }
            self.dialogue.say(&format!("\n{name}"))?;
            if let Err(error) = self.serve(chosen).await {
                // What casework refuses is no reason to leave, nor is a database that is away for a moment.
                let refused = error.downcast_ref::<CaseworkError>().is_some();
                if !refused {
                    return Err(error);
                }
                self.dialogue.say(&format!("  That did not work: {error:#}"))?;
            }
        }
    }

    async fn serve(&mut self, choice: Choice) -> anyhow::Result<()> {
        match choice {
            Choice::AddLog => self.add_log().await,
            Choice::ViewLogs => self.view_logs().await,
            Choice::SearchLogs => self.search_logs().await,
            Choice::ViewIncidents => self.view_incidents().await,
            Choice::SearchIncidents => self.search_incidents().await,
            Choice::UpdateStatus => self.update_status().await,
            Choice::WeeklyReport => self.weekly_report().await,
            Choice::Detect => self.detect().await,
            Choice::Export => self.export().await,
            Choice::Maintenance => self.maintenance().await,
        }
    }

    fn may(&self, permission: Permission) -> bool {
        self.office.actor.role.may(permission)
    }

    fn listed(&self) -> String {
        let mut lines = vec![String::new()];
        let line = |n: usize, name: &str, about: &str| format!("  {n:>2}  {name:<28} {about}");
        for (n, choice) in Choice::ALL.into_iter().enumerate() {
            let (name, about, permission) = choice.about();
            let refused = format!("(for the role {})", least(permission));
            lines.push(line(n + 1, name, if self.may(permission) { about } else { &refused }));
        }
        lines.push(line(0, "Exit", ""));
        let ends: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
        ends.join("\n")
    }

    /// Asks for a time; empty for the default, which is shown.
    async fn time(&mut self, question: &str, default: Timestamp) -> anyhow::Result<Timestamp> {
        let shown = default.to_string();
        let short = shown.get(..19).map_or(shown.clone(), |date| format!("{date}Z"));
        let question = format!("{question}, such as 2026-11-20, 2026-11-20T08:30:00Z or 24h for a day ago [{short}]");
        Ok(self.dialogue.ask(&question, |answer| time_or_ago(answer, Timestamp::now())).await?.unwrap_or(default))
    }
}

/// The least role that may.
fn least(permission: Permission) -> Role {
    Role::ALL.into_iter().find(|role| role.may(permission)).unwrap_or(Role::Admin)
}

/// A time, or how long ago it was.
fn time_or_ago(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    match super::span(text) {
        Ok(micros) => Ok(now.plus_micros(-micros)),
        Err(_) => super::time(text).map_err(|wrong| format!("{wrong}, or how long ago: 30m, 24h, 7d")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_an_instant_or_how_long_ago() {
        let now = Timestamp::parse_rfc3339("2026-11-21T12:00:00Z").unwrap();
        let read = |text: &str| time_or_ago(text, now).map(|t| t.to_string()).ok();
        assert_eq!(read("24h").as_deref(), Some("2026-11-20T12:00:00Z"));
        assert_eq!(read("2026-11-20").as_deref(), Some("2026-11-20T00:00:00Z"));
        assert_eq!(read("2026-11-20T08:30:00+01:00").as_deref(), Some("2026-11-20T07:30:00Z"));
        assert_eq!((read("yesterday"), read("24"), read("")), (None, None, None));
    }
}
