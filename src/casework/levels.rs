//! Service levels: what is due next, what is overdue, who is late.

use std::collections::BTreeMap;

use sqlx::postgres::PgConnection;

use super::{Actor, Casework, CaseworkError, Permission};
use crate::record::case::{Priority, Status};
use crate::record::levels::{Course, Levels};
use crate::record::{Severity, Timestamp};
use crate::store::StoreError;
use crate::store::cases::CaseRow;
use crate::store::levels as rows;

/// Incidents that one list of what is due has.
pub const MAX_DUE: usize = 200;

/// What has to happen next to an incident, and until when.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Due {
    /// Which incident.
    pub incident: String,
    /// One line.
    pub title: String,
    /// How bad it is.
    #[schema(value_type = Severity)]
    pub severity: String,
    /// How urgent it is.
    #[schema(value_type = Priority)]
    pub priority: String,
    /// Where it is.
    #[schema(value_type = Status)]
    pub status: String,
    /// Who works on it.
    pub assignee: Option<String>,
    /// What: acknowledge (somebody has to take notice) or resolve.
    #[schema(pattern = "^(acknowledge|resolve)$")]
    pub what: &'static str,
    /// Until when.
    pub due_at: Timestamp,
    /// Whether that is over.
    pub overdue: bool,
}

/// How much somebody has to do, and how much of it is late.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Load {
    /// Who; null for what nobody was assigned to.
    pub assignee: Option<String>,
    /// Incidents that are not over.
    pub unresolved: i64,
    /// Of these, those that are overdue.
    pub overdue: i64,
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct DueList {
    /// As of when.
    pub now: Timestamp,
    /// What is due first comes first.
    pub due: Vec<Due>,
    /// Incidents that are not over, those that are not listed too.
    pub unresolved: i64,
    /// Of these, those that are overdue.
    pub overdue: i64,
    /// By whom, the one with most that is overdue first.
    pub by_assignee: Vec<Load>,
}

/// Whose, and what of it.
#[derive(Debug, Clone, Default)]
pub struct DueFilter {
    /// Of that user.
    pub assignee: Option<String>,
    /// Only what is overdue.
    pub overdue: bool,
}

/// How often what is promised for a priority was kept. What may still be kept is not counted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct Kept {
    #[schema(value_type = Priority)]
    pub priority: String,
    /// Incidents that somebody took notice of, or should have.
    pub to_acknowledge: i64,
    /// Of these, those of which somebody did in time.
    pub acknowledged_in_time: i64,
    /// Incidents that were resolved, or should have been.
    pub to_resolve: i64,
    /// Of these, those that were in time.
    pub resolved_in_time: i64,
}

impl Casework {
    /// What is due next of the incidents that are not over, at most `limit` and [`MAX_DUE`].
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn due(&self, actor: &Actor, filter: &DueFilter, limit: usize) -> Result<DueList, CaseworkError> {
        let mut reading = self.look(actor, Permission::ReadIncidents).await?;
        let found =
            due(&mut reading.connection, &self.settings.levels, filter, Timestamp::now(), limit.clamp(1, MAX_DUE)).await?;
        reading.done();
        Ok(found)
    }

    /// An incident with how it stands.
    pub(super) fn judged(&self, case: CaseRow, now: Timestamp) -> CaseRow {
        let (Ok(priority), Ok(status)) = (case.priority.parse(), case.status.parse()) else { return case };
        let (created_at, acknowledged_at, resolved_at) = (case.created_at, case.acknowledged_at, case.resolved_at);
        let course = Course { priority, status, created_at, acknowledged_at, resolved_at };
        CaseRow { standing: self.settings.levels.standing(&course, now), ..case }
    }
}

/// What has to happen next, and until when.
fn next(levels: &Levels, course: &Course) -> (Timestamp, &'static str) {
    let resolve_by = levels.resolve_by(course.priority, course.created_at);
    if course.acknowledged_at.is_some() {
        return (resolve_by, "resolve");
    }
    (levels.acknowledge_by(course.priority, course.created_at).min(resolve_by), "acknowledge")
}

/// What is due, on a connection.
pub(super) async fn due(
    connection: &mut PgConnection,
    levels: &Levels,
    filter: &DueFilter,
    now: Timestamp,
    limit: usize,
) -> Result<DueList, StoreError> {
    let mut list = DueList { now, due: Vec::new(), unresolved: 0, overdue: 0, by_assignee: Vec::new() };
    let mut loads: BTreeMap<Option<String>, (i64, i64)> = BTreeMap::new();
    // Of tens of thousands only what decides the order is kept.
    let mut next_up: Vec<(Timestamp, i64, &'static str)> = Vec::new();
    rows::each_unresolved(connection, &mut |course, id, assignee| {
        if filter.assignee.as_deref().is_some_and(|wanted| assignee != Some(wanted)) {
            return;
        }
        let (due_at, what) = next(levels, &course);
        let is_late = now > due_at;
        list.unresolved += 1;
        list.overdue += i64::from(is_late);
        let load = loads.entry(assignee.map(str::to_owned)).or_default();
        *load = (load.0 + 1, load.1 + i64::from(is_late));
        if is_late || !filter.overdue {
            next_up.push((due_at, id, what));
        }
    })
    .await?;
    next_up.sort_unstable();
    next_up.truncate(limit);
    let ids: Vec<i64> = next_up.iter().map(|(_, id, _)| *id).collect();
    let mut shown: BTreeMap<i64, rows::Shown> =
        rows::shown(connection, &ids).await?.into_iter().map(|row| (row.id, row)).collect();
    list.due = next_up
        .into_iter()
        .filter_map(|(due_at, id, what)| {
            let row = shown.remove(&id)?;
            Some(Due {
                incident: row.number,
                title: row.title,
                severity: row.severity,
                priority: row.priority,
                status: row.status,
                assignee: row.assignee,
                what,
                due_at,
                overdue: now > due_at,
            })
        })
        .collect();
    list.by_assignee =
        loads.into_iter().map(|(assignee, (unresolved, overdue))| Load { assignee, unresolved, overdue }).collect();
    list.by_assignee.sort_by_key(|load| (-load.overdue, -load.unresolved));
    Ok(list)
}

/// How often what is promised is kept, while incidents are gone through.
pub(super) struct Promises<'l> {
    levels: &'l Levels,
    now: Timestamp,
    kept: Vec<Kept>,
}

impl<'l> Promises<'l> {
    pub fn new(levels: &'l Levels, now: Timestamp) -> Promises<'l> {
        let blank = |priority: &Priority| Kept {
            priority: priority.to_string(),
            to_acknowledge: 0,
            acknowledged_in_time: 0,
            to_resolve: 0,
            resolved_in_time: 0,
        };
        Promises { levels, now, kept: Priority::ALL.iter().map(blank).collect() }
    }

    /// Nothing is promised for what was false.
    pub fn add(&mut self, course: &Course) {
        if course.status == Status::FalsePositive {
            return;
        }
        let (acknowledged, resolved) = self.levels.met(course, self.now);
        let kept = &mut self.kept[course.priority as usize];
        kept.to_acknowledge += i64::from(acknowledged.is_some());
        kept.acknowledged_in_time += i64::from(acknowledged == Some(true));
        kept.to_resolve += i64::from(resolved.is_some());
        kept.resolved_in_time += i64::from(resolved == Some(true));
    }

    /// By priority.
    pub fn kept(self) -> Vec<Kept> {
        self.kept
    }
}
