//! Choices about all of it: the week's report, the detectors over stored records, exports, the database itself.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::Menu;
use crate::casework::Permission;
use crate::casework::detection::Watch;
use crate::casework::export::Table;
use crate::casework::overview::Overview;
use crate::casework::reports::{Period, page};
use crate::cli::file::{Existing, write_whole};
use crate::cli::maintenance::{self, size};
use crate::cli::table::{self, Width};
use crate::cli::{detect, export, found, report};
use crate::record::Timestamp;

impl Menu {
    pub(super) async fn weekly_report(&mut self) -> anyhow::Result<()> {
        let until = self.time("The seven days up to the hour of", Timestamp::now()).await?;
        let figures = self.office.casework.report(&self.office.actor, Period::days_until(7, until)).await?;
        let title = figures.title(report::WEEK);
        self.dialogue.show(&report::as_text(&title, &figures, Width::of_terminal())).await?;
        let question = "File for the same as a page with charts, such as week.html [none]";
        let Some(path) = self.new_file(question).await? else { return Ok(()) };
        match write_whole(&path, Existing::Kept, page(&title, &figures).as_bytes()) {
            Ok(()) => self.dialogue.say(&format!("  Written: {}", path.display())),
            Err(error) => self.dialogue.say(&format!("  That did not work: {error:#}")),
        }
    }

    pub(super) async fn detect(&mut self) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let from = self.time("From when", now.plus_micros(-crate::casework::logs::DEFAULT_SPAN_MICROS)).await?;
        let to = loop {
            let to = self.time("Up to when", now).await?;
            if from < to {
                break to;
            }
            self.dialogue.say("  That is not later than the beginning: give a later time.")?;
        };
        let config = &self.office.config;
        let Some(rules) = found::rules(config.detect.rules.as_deref(), "detect.rules") else { return Ok(()) };
        let watch = Watch { rules, ..detect::watch(config, from, to) };
        let detected = detect::look(&self.office.casework, &self.office.actor, &watch).await?;
        let mut table = Vec::new();
        found::write_table(&detected.findings, Some(&detected.incidents), &mut table)?;
        self.dialogue.show(&String::from_utf8_lossy(&table)).await?;
        self.dialogue.say(&format!("  {} records that the detectors look at.", detected.records))?;
        let new = detected.incidents.iter().filter(|incident| incident.is_none()).count();
        if new == 0 || !self.may(Permission::WorkIncidents) {
            return Ok(());
        }
        if self.dialogue.confirm(&format!("Open incidents for the {new} of which none tells yet?")).await? {
            let opened = self.office.casework.open_found(&self.office.actor, &watch, &detected.findings).await?;
            self.dialogue.say(&format!("  Opened: {}", opened.join(", ")))?;
        }
        Ok(())
    }

    pub(super) async fn export(&mut self) -> anyhow::Result<()> {
        let choices = [
            ("logs", "log records, by the time of the event"),
            ("incidents", "incidents, by the time when they were opened"),
            ("tasks", "tasks, by the time when they were made"),
            ("observables", "what was seen in which incident, by the time when it was added"),
        ];
        let Some(chosen) = self.dialogue.choose("What", &choices).await? else { return Ok(()) };
        let what = Table::ALL[chosen];
        let read = |answer: &str| super::time_or_ago(answer, Timestamp::now());
        let question = "From when, such as 2026-11-20 or 7d [the beginning]";
        let from = self.dialogue.ask(question, read).await?.unwrap_or(Timestamp::MIN);
        let to = self.dialogue.ask("Up to when [now and beyond]", read).await?.unwrap_or(Timestamp::MAX);
        let default = export::dated_name(what);
        let question = format!("Into which file [{}]", default.display());
        let path = self.new_file(&question).await?.unwrap_or(default);
        let file = (&*path, Existing::Kept);
        match export::to_file(&self.office.casework, &self.office.actor, what, (from, to), file).await {
            Ok(rows) => self.dialogue.say(&format!("  {rows} rows: {}", path.display())),
            Err(error) => self.dialogue.say(&format!("  That did not work: {error:#}")),
        }
    }

    pub(super) async fn maintenance(&mut self) -> anyhow::Result<()> {
        let overview = self.office.casework.overview(&self.office.actor).await?;
        let upkeep = self.office.casework.maintenance(&self.office.actor).await?;
        let text = format!("{}\n\n{}", overview_text(&overview, Width::of_terminal()), maintenance::shown(&upkeep));
        self.dialogue.show(&text).await?;
        self.dialogue.say("  To take away what is due: tocsin maintenance run")
    }

    /// A file that is not there yet; `None` where the answer is empty.
    async fn new_file(&mut self, question: &str) -> anyhow::Result<Option<PathBuf>> {
        let read = |answer: &str| match PathBuf::from(answer) {
            path if path.symlink_metadata().is_ok() => Err("it is there already; give another name".to_owned()),
            path if path.parent().is_some_and(|dir| !dir.as_os_str().is_empty() && !dir.is_dir()) => {
                Err("its directory is not there".to_owned())
            }
            path => Ok(path),
        };
        self.dialogue.ask(question, read).await
    }
}

/// The database at a glance, for reading.
fn overview_text(overview: &Overview, width: Width) -> String {
    let totals = &overview.totals;
    let time = |time: Option<Timestamp>| time.map_or("none".to_owned(), |time| time.to_string());
    let mut facts = table::plain(width);
    for (name, value) in [
        ("database", size(totals.database_bytes)),
        ("log records", format!("{}, {}", totals.log_records, size(totals.log_bytes))),
        ("oldest record", time(totals.oldest)),
        ("newest record", time(totals.newest)),
        ("kinds of records counted by the hour", totals.rollup_rows.to_string()),
        ("incidents", format!("{}, of which {} are not over", totals.incidents, totals.incidents_unresolved)),
        ("records added by hand that wait for the daemon", totals.added_waiting.to_string()),
        ("rows in quarantine", totals.in_quarantine.to_string()),
    ] {
        facts.add_row([name.to_owned(), value]);
    }
    let mut text = format!("{}\n\n", facts.trim_fmt());
    let (listed, all) = (overview.partitions.len(), overview.partitions_total);
    let _ = writeln!(text, "Partitions of the logs, a day each: the newest {listed} of {all}");
    let mut partitions = table::listing([("partition", 0), ("size", 0)], None, width);
    for partition in &overview.partitions {
        partitions.add([partition.name.clone(), size(partition.bytes)]);
    }
    let _ = write!(text, "{partitions}");
    text
}
