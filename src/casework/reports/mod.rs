//! Reports: the figures of a period, and how they are shown.
//!
//! ```text
//!  Casework::report ─▶ Report ─▶ sections ─▶ table, CSV or html (with chart)
//!                         └────▶ JSON
//! ```
//!
//! A period consists of whole hours, since log records are counted by the hour.

mod chart;
mod figures;
mod html;
pub mod incident;
mod sections;

use std::collections::BTreeMap;

use serde::Serialize;

pub use html::page;
pub use sections::{Cell, Section, csv, sections};

use self::figures::Figures;
use super::levels::{self, Due, DueFilter, Kept};
use super::{Actor, Casework, CaseworkError, Permission};
use crate::record::{Severity, Timestamp};
use crate::store;
use crate::store::ledger::day_name;
use crate::store::reports::{self as rows, Lesson, Overdue};

const HOUR_MICROS: i64 = 3_600_000_000;
const DAY_HOURS: i64 = 24;
/// Ten years and some days: so many days are listed at most.
const MAX_HOURS: i64 = 3_660 * DAY_HOURS;
/// Lines of a list of the most frequent.
const TOP: i64 = 10;
/// Overdue tasks and lessons that are listed.
const LISTED: i64 = 50;

/// From an hour up to, and not including, another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Hours since 1970.
    from: i64,
    to: i64,
}

impl Period {
    /// The hours that two times lie in or between; one that ends as the clock strikes does not reach into the next.
    ///
    /// # Errors
    /// There is no time between them, or more than ten years.
    pub fn new(from: Timestamp, to: Timestamp) -> Result<Period, CaseworkError> {
        if from >= to {
            return Err(CaseworkError::invalid("to", "has to be later than from"));
        }
        let hour = |time: Timestamp| time.as_micros().div_euclid(HOUR_MICROS);
        let period = Period { from: hour(from), to: hour(to.plus_micros(-1)) + 1 };
        if period.to - period.from > MAX_HOURS {
            return Err(CaseworkError::invalid("from", "a report covers ten years at most"));
        }
        Ok(period)
    }

    /// Whole days up to the hour of a time, of those that there are.
    pub fn days_until(days: i64, until: Timestamp) -> Period {
        let hour = |time: Timestamp| time.as_micros().div_euclid(HOUR_MICROS);
        let to = (hour(until) + 1).clamp(hour(Timestamp::MIN) + days * DAY_HOURS, hour(Timestamp::MAX));
        Period { from: to - days * DAY_HOURS, to }
    }

    /// As long as this, and just before it.
    fn before(self) -> Period {
        Period { from: 2 * self.from - self.to, to: self.from }
    }

    fn span(self) -> rows::Span {
        (self.from * HOUR_MICROS, self.to * HOUR_MICROS)
    }

    /// A time lies in it.
    fn holds(self, time: Timestamp) -> bool {
        (self.from * HOUR_MICROS..self.to * HOUR_MICROS).contains(&time.as_micros())
    }

    /// UTC days that it touches, in days since 1970.
    fn days(self) -> std::ops::RangeInclusive<i64> {
        self.from.div_euclid(DAY_HOURS)..=(self.to - 1).div_euclid(DAY_HOURS)
    }
}

/// How often something occurred.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct Count {
    pub name: String,
    pub count: i64,
}

/// What all of a period comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct Totals {
    pub log_records: i64,
    pub failed_logins: i64,
    pub incidents: i64,
}

/// Who sent log records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct Sender {
    pub source: String,
    /// Empty for records that name none, `*` for hosts that were not counted apart.
    pub host: String,
    pub log_records: i64,
}

/// A remote end that incidents rest on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct Attacker {
    pub remote: String,
    pub incidents: i64,
    pub events: i64,
}

/// Seconds that something took: how often it happened, the median and the 90th percentile, between two values where need be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct Spread {
    pub incidents: i64,
    pub median_secs: Option<f64>,
    pub p90_secs: Option<f64>,
}

/// The figures of a period. Incidents are those that were opened in it, but for lessons, which are those of incidents that ended in it,
/// and what is overdue, which is what is so now.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct Report {
    pub from: Timestamp,
    /// Not included.
    pub to: Timestamp,
    pub made_at: Timestamp,
    pub totals: Totals,
    /// Of the period before, which is as long.
    pub totals_before: Totals,
    pub incidents_by_severity: Vec<Count>,
    pub incidents_by_category: Vec<Count>,
    pub incidents_by_detector: Vec<Count>,
    pub incidents_by_status: Vec<Count>,
    pub incidents_by_attack_vector: Vec<Count>,
    pub incidents_by_day: Vec<Count>,
    /// From the first event to the incident.
    pub time_to_detect: Spread,
    /// From the incident to somebody who took notice.
    pub time_to_acknowledge: Spread,
    /// From the incident to its end.
    pub time_to_resolve: Spread,
    pub logs_by_event_type: Vec<Count>,
    pub logs_by_severity: Vec<Count>,
    pub logs_by_day: Vec<Count>,
    pub top_senders: Vec<Sender>,
    pub top_sources: Vec<Attacker>,
    pub top_accounts: Vec<Count>,
    /// How often what is promised for incidents was kept, by priority.
    pub service_levels: Vec<Kept>,
    pub overdue_incidents: Vec<Due>,
    /// Of which the first are listed.
    pub overdue_incidents_total: i64,
    pub overdue_tasks: Vec<Overdue>,
    /// Of which the first are listed.
    pub overdue_tasks_total: i64,
    pub lessons_learned: Vec<Lesson>,
    /// Of which the latest are listed.
    pub lessons_learned_total: i64,
}

impl Report {
    /// A title that says which days it is about.
    pub fn title(&self, kind: &str) -> String {
        format!("{kind}, {} to {}", day_name(self.from.day()), day_name(self.to.plus_micros(-1).day()))
    }
}

impl Casework {
    /// The figures of a period, all as of one moment.
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn report(&self, actor: &Actor, period: Period) -> Result<Report, CaseworkError> {
        let mut reading = self.look(actor, Permission::ReadReports).await?;
        let connection = &mut reading.connection;
        let (now, span) = (Timestamp::now(), period.span());
        rows::begin(connection).await?;
        let totals_before = rows::totals(connection, period.before().span()).await?.into();
        let mut incidents = Figures::new(&self.settings.levels, period, now);
        rows::each_case(connection, span, &mut |incident| incidents.add(&incident)).await?;
        let logs = rows::logs(connection, span).await?;
        let senders = rows::busiest(connection, span, TOP).await?;
        let top_sources = match incidents.attackers() {
            Some(counted) => counted,
            None => rows::attackers(connection, span, TOP).await?.into_iter().map(Attacker::from).collect(),
        };
        let top_accounts = match incidents.top_accounts() {
            Some(counted) => counted,
            None => rows::accounts(connection, span, TOP).await?.into_iter().map(Count::from).collect(),
        };
        let (overdue_tasks, overdue_tasks_total) = rows::overdue(connection, now, LISTED).await?;
        let overdue = DueFilter { overdue: true, ..DueFilter::default() };
        let overdue = levels::due(connection, &self.settings.levels, &overdue, now, LISTED as usize).await?;
        let lessons_learned = rows::lessons(connection, &incidents.lessons()).await?;
        store::commit(connection).await?;
        reading.done();

        let summed = |key: fn(&rows::Logs) -> &str| {
            let mut sums: BTreeMap<String, i64> = BTreeMap::new();
            logs.iter().for_each(|row| *sums.entry(key(row).to_owned()).or_default() += row.count);
            sums
        };
        let mut by_day: BTreeMap<i64, i64> = BTreeMap::new();
        logs.iter().for_each(|row| *by_day.entry(row.day).or_default() += row.count);
        let totals = Totals {
            log_records: logs.iter().map(|row| row.count).sum(),
            failed_logins: logs.iter().filter(|row| row.event_type == "login_failed").map(|row| row.count).sum(),
            incidents: incidents.by_day.values().sum(),
        };
        Ok(Report {
            from: Timestamp::from_micros(span.0),
            to: Timestamp::from_micros(span.1),
            made_at: now,
            totals,
            totals_before,
            incidents_by_severity: incidents.by_severity(),
            incidents_by_category: incidents.by_category(),
            incidents_by_detector: incidents.by_detector(),
            incidents_by_status: incidents.by_status(),
            incidents_by_attack_vector: incidents.by_attack_vector(),
            incidents_by_day: each_day(period, &incidents.by_day),
            time_to_detect: incidents.detect.spread(),
            time_to_acknowledge: incidents.acknowledge.spread(),
            time_to_resolve: incidents.resolve.spread(),
            logs_by_event_type: most_first(&summed(|row| &row.event_type)),
            logs_by_severity: worst_first(&summed(|row| &row.severity)),
            logs_by_day: each_day(period, &by_day),
            top_senders: senders.into_iter().map(|(source, host, log_records)| Sender { source, host, log_records }).collect(),
            top_sources,
            top_accounts,
            service_levels: incidents.promises.kept(),
            overdue_incidents: overdue.due,
            overdue_incidents_total: overdue.overdue,
            overdue_tasks,
            overdue_tasks_total,
            lessons_learned,
            lessons_learned_total: incidents.lessons_total,
        })
    }
}

impl From<(String, i64)> for Count {
    fn from((name, count): (String, i64)) -> Count {
        Count { name, count }
    }
}

impl From<(String, i64, i64)> for Attacker {
    fn from((remote, incidents, events): (String, i64, i64)) -> Attacker {
        Attacker { remote, incidents, events }
    }
}

impl From<(i64, i64, i64)> for Totals {
    fn from((log_records, failed_logins, incidents): (i64, i64, i64)) -> Totals {
        Totals { log_records, failed_logins, incidents }
    }
}

/// Every day of the period, those on which nothing happened too.
fn each_day(period: Period, counts: &BTreeMap<i64, i64>) -> Vec<Count> {
    period.days().map(|day| Count { name: day_name(day), count: counts.get(&day).copied().unwrap_or(0) }).collect()
}

/// Every severity, critical first.
fn worst_first(counts: &BTreeMap<String, i64>) -> Vec<Count> {
    let count = |severity: &Severity| counts.get(severity.as_str()).copied().unwrap_or(0);
    Severity::ALL.iter().rev().map(|severity| Count { name: severity.to_string(), count: count(severity) }).collect()
}

/// What occurred, the most frequent first.
fn most_first(counts: &BTreeMap<String, i64>) -> Vec<Count> {
    let mut all: Vec<Count> = counts.iter().map(|(name, count)| Count { name: name.clone(), count: *count }).collect();
    all.sort_by_key(|count| std::cmp::Reverse(count.count));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_period_is_of_whole_hours() {
        let span = |from: &str, to: &str| {
            let period = Period::new(at(from), at(to)).unwrap();
            let (from, to) = period.span();
            (Timestamp::from_micros(from).to_string(), Timestamp::from_micros(to).to_string(), period.days().count())
        };
        let hours = |from: &str, to: &str, days: usize| (from.to_owned(), to.to_owned(), days);
        assert_eq!(
            span("2026-11-20T10:59:59Z", "2026-11-20T11:00:00Z"),
            hours("2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z", 1)
        );
        assert_eq!(
            span("2026-11-20T10:00:00Z", "2026-11-21T00:00:00.000001Z"),
            hours("2026-11-20T10:00:00Z", "2026-11-21T01:00:00Z", 2)
        );
        assert!(Period::new(at("2026-11-20T10:00:00Z"), at("2026-11-20T10:00:00Z")).is_err());
        assert!(Period::new(at("2006-11-20T10:00:00Z"), at("2026-11-20T10:00:00Z")).is_err());
        let week = Period::days_until(7, at("2026-11-20T10:20:00Z"));
        assert_eq!((week.to - week.from, week.before().to, week.before().from), (168, week.from, week.from - 168));
        for until in [Timestamp::MIN, Timestamp::MAX] {
            let (from, to) = Period::days_until(7, until).span();
            assert!(Timestamp::MIN.as_micros() <= from && to <= Timestamp::MAX.as_micros());
        }
    }
}
