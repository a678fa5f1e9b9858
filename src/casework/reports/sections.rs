//! A report as a list of tables, which is what every way of showing it shows. The text in them is as it was: whoever shows it makes it safe.

use super::{Count, Report, Totals};
use crate::record::text::push_csv;
use crate::store::reports::Spread;

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
    pub rows: Vec<Vec<String>>,
    /// How it is drawn, where it is: the second column over the first.
    pub drawn: Option<Drawn>,
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
    let mut sections = vec![totals(report), times(report)];
    let mut counted = |title, what: &'static str, about: &str, counts: &[Count], drawn| {
        let rows = counts.iter().map(|count| vec![count.name.clone(), count.count.to_string()]).collect();
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
    let rows = report.top_sources.iter().map(|a| vec![a.remote.clone(), a.incidents.to_string(), a.events.to_string()]).collect();
    sections.push(Section {
        title: "Top sources of attacks",
        about: "The remote ends with most incidents, and the events that these rest on.".to_owned(),
        head: vec!["source", "incidents", "events"],
        rows,
        drawn: Some(Drawn::Bars),
    });
    let host = |host: &str| match host {
        "" => "(none)".to_owned(),
        "*" => "(others)".to_owned(),
        named => named.to_owned(),
    };
    let rows = report.top_senders.iter().map(|s| vec![s.source.clone(), host(&s.host), s.log_records.to_string()]).collect();
    sections.push(Section {
        title: "Top senders of logs",
        about: "The inputs and hosts that most log records came from.".to_owned(),
        head: vec!["input", "host", "log records"],
        rows,
        drawn: None,
    });
    let task = |t: &crate::store::reports::Overdue| {
        vec![t.incident.clone(), t.title.clone(), t.assignee.clone().unwrap_or_default(), t.due_at.to_string()]
    };
    sections.push(Section {
        title: "Overdue tasks",
        about: listed("task that should have been done by now", report.overdue_tasks.len(), report.overdue_tasks_total),
        head: vec!["incident", "task", "assignee", "due"],
        rows: report.overdue_tasks.iter().map(task).collect(),
        drawn: None,
    });
    let lesson = |l: &crate::store::reports::Lesson| vec![l.incident.clone(), l.title.clone(), l.lessons_learned.clone()];
    sections.push(Section {
        title: "Lessons learned",
        about: listed("lesson of incidents that ended in the period", report.lessons_learned.len(), report.lessons_learned_total),
        head: vec!["incident", "title", "lesson"],
        rows: report.lessons_learned.iter().map(lesson).collect(),
        drawn: None,
    });
    sections
}

fn totals(report: &Report) -> Section {
    let row = |name: &str, get: fn(&Totals) -> i64| {
        let (now, before) = (get(&report.totals), get(&report.totals_before));
        vec![name.to_owned(), now.to_string(), before.to_string()]
    };
    Section {
        title: "Summary",
        about: "What the period comes to, and the one before it, which is as long.".to_owned(),
        head: vec!["", "number", "before"],
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
        vec![name.to_owned(), spread.incidents.to_string(), duration(spread.median_secs), duration(spread.p90_secs)]
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

/// The same as CSV: a line for each figure, so that all tables are one.
pub fn csv(report: &Report) -> Vec<u8> {
    let mut out = b"table,row,column,value\r\n".to_vec();
    for section in sections(report) {
        for (n, row) in section.rows.iter().enumerate() {
            // What is counted has a name; rows that may begin alike have a number.
            let (name, skipped) = if section.drawn.is_some() { (row[0].clone(), 1) } else { (format!("{}", n + 1), 0) };
            for (column, cell) in section.head.iter().zip(row).skip(skipped) {
                for (i, text) in [section.title, &name, column, cell].into_iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    push_csv(&mut out, text);
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
