//! A report as a list of tables, which is what every way of showing it shows. The text in them is as it was: whoever shows it makes it safe.

use std::borrow::Cow;

use super::{Count, Report, Spread, Totals};
use crate::casework::levels::{Due, Kept};
use crate::record::text::push_csv;

/// A table, with what it tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// What it is of.
    pub title: &'static str,
    /// In a sentence.
    pub about: String,
    /// The names of the columns.
    pub head: Vec<&'static str>,
    /// The cells, row by row.
    pub rows: Vec<Vec<Cell>>,
    /// How it is drawn, where it is: the second column over the first.
    pub drawn: Option<Drawn>,
}

/// What stands in a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text, some of which is from outside.
    Text(String),
    /// How many there are.
    Number(i64),
    /// How long something took, where it is known.
    Seconds(Option<f64>),
}

impl Cell {
    /// As people read it; text as it is.
    pub fn shown(&self) -> Cow<'_, str> {
        match self {
            Cell::Text(text) => Cow::Borrowed(text),
            Cell::Number(number) => Cow::Owned(number.to_string()),
            Cell::Seconds(secs) => Cow::Owned(duration(*secs)),
        }
    }
}

/// How a table is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// A bar for each row, one below the other.
    Bars,
    /// A column for each row, one beside the other: days.
    Columns,
}

/// All that a report tells.
pub fn sections(report: &Report) -> Vec<Section> {
    let mut sections = vec![totals(report), times(report), service_levels(report)];
    let mut counted = |title, what: &'static str, about: &str, counts: &[Count], drawn| {
        let rows = counts.iter().map(|count| vec![text(&count.name), Cell::Number(count.count)]).collect();
        sections.push(Section { title, about: about.to_owned(), head: vec![what, "number"], rows, drawn: Some(drawn) });
    };
    let opened = "Incidents that were opened in the period";
    counted(
        "Incidents by severity",
        "severity",
        &format!("{opened}, the worst first."),
        &report.incidents_by_severity,
        Drawn::Bars,
    );
    counted("Incidents by category", "category", &format!("{opened}, by category."), &report.incidents_by_category, Drawn::Bars);
    counted(
        "Incidents by detector",
        "detector",
        &format!("{opened}, by what noticed them."),
        &report.incidents_by_detector,
        Drawn::Bars,
    );
    counted(
        "Incidents by status",
        "status",
        &format!("{opened}, by where they are now."),
        &report.incidents_by_status,
        Drawn::Bars,
    );
    counted(
        "Attack vectors",
        "attack vector",
        &format!("{opened}, by how the attack came in."),
        &report.incidents_by_attack_vector,
        Drawn::Bars,
    );
    counted("Incidents by day", "day (UTC)", &format!("{opened}, by day."), &report.incidents_by_day, Drawn::Columns);
    counted(
        "Log records by event type",
        "event type",
        "Log records by what they tell of.",
        &report.logs_by_event_type,
        Drawn::Bars,
    );
    counted("Log records by severity", "severity", "Log records, the worst first.", &report.logs_by_severity, Drawn::Bars);
    counted("Log records by day", "day (UTC)", "Log records by the day of the event.", &report.logs_by_day, Drawn::Columns);
    counted(
        "Top targeted accounts",
        "account",
        "The accounts that most incidents name, and how many do.",
        &report.top_accounts,
        Drawn::Bars,
    );
    let rows =
        report.top_sources.iter().map(|a| vec![text(&a.remote), Cell::Number(a.incidents), Cell::Number(a.events)]).collect();
    sections.push(Section {
        title: "Top sources of attacks",
        about: "The remote ends with most incidents, and the events that these rest on.".to_owned(),
        head: vec!["source", "incidents", "events"],
        rows,
        drawn: Some(Drawn::Bars),
    });
    let host = |host: &str| match host {
        "" => text("(none)"),
        "*" => text("(others)"),
        named => text(named),
    };
    let rows = report.top_senders.iter().map(|s| vec![text(&s.source), host(&s.host), Cell::Number(s.log_records)]).collect();
    sections.push(Section {
        title: "Top senders of logs",
        about: "The inputs and hosts that most log records came from.".to_owned(),
        head: vec!["input", "host", "log records"],
        rows,
        drawn: None,
    });
    let incident = |due: &Due| {
        vec![
            text(&due.incident),
            text(&due.priority),
            text(due.assignee.as_deref().unwrap_or_default()),
            text(due.what),
            text(&due.due_at.to_string()),
            text(&due.title),
        ]
    };
    let what = "incident of which somebody should have taken notice by now, or that should be over";
    sections.push(Section {
        title: "Overdue incidents",
        about: listed(what, report.overdue_incidents.len(), report.overdue_incidents_total),
        head: vec!["incident", "priority", "assignee", "to do", "due", "title"],
        rows: report.overdue_incidents.iter().map(incident).collect(),
        drawn: None,
    });
    let task = |t: &crate::store::reports::Overdue| {
        vec![text(&t.incident), text(&t.title), text(t.assignee.as_deref().unwrap_or_default()), text(&t.due_at.to_string())]
    };
    sections.push(Section {
        title: "Overdue tasks",
        about: listed("task that should have been done by now", report.overdue_tasks.len(), report.overdue_tasks_total),
        head: vec!["incident", "task", "assignee", "due"],
        rows: report.overdue_tasks.iter().map(task).collect(),
        drawn: None,
    });
    let lesson = |l: &crate::store::reports::Lesson| vec![text(&l.incident), text(&l.title), text(&l.lessons_learned)];
    sections.push(Section {
        title: "Lessons learned",
        about: listed("lesson of incidents that ended in the period", report.lessons_learned.len(), report.lessons_learned_total),
        head: vec!["incident", "title", "lesson"],
        rows: report.lessons_learned.iter().map(lesson).collect(),
        drawn: None,
    });
    sections
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn totals(report: &Report) -> Section {
    let row = |name: &str, get: fn(&Totals) -> i64| {
        let (now, before) = (get(&report.totals), get(&report.totals_before));
        vec![text(name), Cell::Number(now), Cell::Number(before)]
    };
    Section {
        title: "Summary",
        about: "What the period comes to, and the one before it, which is as long.".to_owned(),
        head: vec!["what", "number", "before"],
        rows: vec![
            row("log records", |t| t.log_records),
            row("failed logins", |t| t.failed_logins),
            row("incidents", |t| t.incidents),
        ],
        drawn: None,
    }
}

fn times(report: &Report) -> Section {
    let row = |name: &str, spread: &Spread| {
        vec![text(name), Cell::Number(spread.incidents), Cell::Seconds(spread.median_secs), Cell::Seconds(spread.p90_secs)]
    };
    Section {
        title: "Times",
        about: "From the first event to the incident; from the incident to somebody who took notice; from the incident to its end. Half \
                of the incidents took no longer than the median, nine of ten no longer than the 90th percentile."
            .to_owned(),
        head: vec!["time to", "incidents", "median", "90th percentile"],
        rows: vec![
            row("detect", &report.time_to_detect),
            row("acknowledge", &report.time_to_acknowledge),
            row("resolve", &report.time_to_resolve),
        ],
        drawn: None,
    }
}

fn service_levels(report: &Report) -> Section {
    let share = |kept: i64, all: i64| if all == 0 { "-".to_owned() } else { format!("{} %", 100 * kept / all) };
    let row = |kept: &Kept| {
        vec![
            text(&kept.priority),
            Cell::Number(kept.acknowledged_in_time),
            Cell::Number(kept.to_acknowledge),
            text(&share(kept.acknowledged_in_time, kept.to_acknowledge)),
            Cell::Number(kept.resolved_in_time),
            Cell::Number(kept.to_resolve),
            text(&share(kept.resolved_in_time, kept.to_resolve)),
        ]
    };
    Section {
        title: "Service levels",
        about: "Incidents that were opened in the period, without those that were false: of how many somebody took notice in time, and how many \
                were over in time, of those to which that happened or should have happened by now."
            .to_owned(),
        head: vec!["priority", "noticed in time", "of", "share", "over in time", "of all", "share of all"],
        rows: report.service_levels.iter().map(row).collect(),
        drawn: None,
    }
}

fn listed(what: &str, listed: usize, all: i64) -> String {
    match all {
        0 => format!("There is no {what}."),
        all if all == listed as i64 => format!("Every {what}."),
        all => format!("Of {all}, the first {listed}: each a {what}."),
    }
}

/// As people say it: two units, the second rounded down.
fn duration(secs: Option<f64>) -> String {
    let Some(secs) = secs else { return "-".to_owned() };
    if secs < 10.0 {
        return format!("{secs:.1} s");
    }
    let secs = secs as u64;
    let (minutes, hours, days) = (secs / 60, secs / 3_600, secs / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, _) => format!("{minutes} min {} s", secs % 60),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// The same as CSV: a line for each figure, so that all tables are one. Rows have a number, since not every row has a name; times are in
/// seconds, and empty where they are not known.
pub fn csv(report: &Report) -> Vec<u8> {
    let mut out = b"table,row,column,value\r\n".to_vec();
    for section in sections(report) {
        for (n, row) in section.rows.iter().enumerate() {
            for (column, cell) in section.head.iter().zip(row) {
                push_csv(&mut out, section.title);
                out.extend_from_slice(format!(",{},", n + 1).as_bytes());
                push_csv(&mut out, column);
                out.push(b',');
                match cell {
                    Cell::Text(text) => push_csv(&mut out, text),
                    Cell::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
                    Cell::Seconds(Some(secs)) => out.extend_from_slice(format!("{secs:.3}").as_bytes()),
                    Cell::Seconds(None) => {}
                }
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_two_units() {
        let said = [None, Some(0.04), Some(59.9), Some(61.0), Some(3_661.0), Some(90_061.0)].map(duration);
        assert_eq!(said, ["-", "0.0 s", "59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    }
}
