//! One incident that is two: some of what it has goes to a new one.

use serde_json::json;

use super::audit::Act;
use super::incidents::{no_incident, subject};
use super::{Actor, Casework, CaseworkError, ONE_LINE, Permission, text};
use crate::record::Severity;
use crate::record::case::{LinkKind, Priority, Status};
use crate::store::cases::{self, CaseRow};
use crate::store::relations as rows;

/// Log records, notes or tasks that one split moves at most.
const MAX_MOVED: usize = 10_000;

/// What goes to the new incident.
#[derive(Debug, Clone)]
pub struct Split {
    /// One line.
    pub title: String,
    /// How bad that part is.
    pub severity: Severity,
    /// Log records in evidence, by their ids in `logs`.
    pub evidence: Vec<i64>,
    /// Notes, by their ids.
    pub notes: Vec<i64>,
    /// Tasks, by their ids.
    pub tasks: Vec<i64>,
}

impl Casework {
    /// Gives some of what an incident has to a new one, and links the two; returns the new one's number. New events of the detector go on
    /// to the incident that it opened.
    ///
    /// # Errors
    /// Not permitted; no such incident, or it does not have what is to go; it is archived or under legal hold; somebody has changed it since `version`; what
    /// was given is wrong; the database.
    pub async fn split_incident(
        &self,
        actor: &Actor,
        number: &str,
        split: &Split,
        version: Option<i64>,
    ) -> Result<String, CaseworkError> {
        let title = text("title", &split.title, ONE_LINE)?;
        let [evidence, notes, tasks] =
            [distinct("evidence", &split.evidence)?, distinct("notes", &split.notes)?, distinct("tasks", &split.tasks)?];
        if evidence.is_empty() && notes.is_empty() && tasks.is_empty() {
            return Err(CaseworkError::invalid("evidence", "is empty, and so are notes and tasks: say what is to go"));
        }
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let now = change.now;
        let before = cases::by_number_to_change(change.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        super::incidents::unseen(&format!("incident {number}"), before.version, version)?;
        if before.archived_at.is_some() {
            return Err(CaseworkError::Conflict(format!("incident {number} is archived: bring it back into sight first")));
        }
        if before.legal_hold_since.is_some() {
            return Err(CaseworkError::Conflict(format!("incident {number} is under legal hold: its evidence stays with it")));
        }
        let blank = CaseRow {
            title,
            description: format!("Split off {number}."),
            status: Status::Open.to_string(),
            severity: split.severity.to_string(),
            priority: Priority::of(split.severity).to_string(),
            priority_reason: None,
            reporter: actor.name.clone(),
            assignee: None,
            created_at: now,
            ..before.clone()
        };
        let (id, new_number) = cases::insert(change.connection(), &blank).await?;
        let taken = rows::take_evidence(change.connection(), before.id, id, &evidence).await?;
        let all = |field: &'static str, went: u64, wanted: &[i64]| match went == wanted.len() as u64 {
            true => Ok(()),
            false => {
                Err(CaseworkError::invalid(field, format!("{} of them are not of incident {number}", wanted.len() as u64 - went)))
            }
        };
        all("evidence", taken.records.unsigned_abs(), &evidence)?;
        all("notes", rows::take_notes(change.connection(), before.id, id, &notes).await?, &notes)?;
        all("tasks", rows::take_tasks(change.connection(), before.id, id, &tasks).await?, &tasks)?;
        rows::share_observables(change.connection(), before.id, id, &evidence).await?;

        let new = CaseRow {
            id,
            number: new_number.clone(),
            event_count: taken.events,
            first_seen: taken.first_seen,
            last_seen: taken.last_seen,
            usernames: taken.usernames,
            absorbed: false,
            updated_at: now,
            ..blank
        };
        rows::recount(change.connection(), &new).await?;
        let mut after = before.clone();
        (after.updated_at, after.event_count) = (now, before.event_count.saturating_sub(taken.events).max(0));
        let left = rows::held(change.connection(), before.id).await?;
        // Where there were more events than evidence was kept of, those at the ends may be among the others.
        if left.events == after.event_count && left.events > 0 {
            (after.first_seen, after.last_seen) = (left.first_seen, left.last_seen);
        }
        rows::recount(change.connection(), &after).await?;

        let went = json!({ "evidence": evidence.len(), "events": taken.events, "notes": notes, "tasks": tasks });
        let opened =
            json!({ "title": new.title, "severity": new.severity, "category": new.category, "from": number, "came": went });
        change.tell(id, "opened", None, Some(opened.clone())).await?;
        let old = json!({ "events": before.event_count });
        let is = json!({ "into": new_number, "events": after.event_count, "went": went });
        change.tell(before.id, "split", Some(old.clone()), Some(is.clone())).await?;
        change.join(LinkKind::Related, &before, &new).await?;
        let acts = [
            Act::new("incident.split", subject(number)).values(old, is),
            Act::new("incident.open", subject(&new_number)).values(None, opened),
        ];
        change.commit(&acts).await?;
        Ok(new_number)
    }
}

/// Ids, each once.
fn distinct(field: &'static str, ids: &[i64]) -> Result<Vec<i64>, CaseworkError> {
    if ids.len() > MAX_MOVED {
        return Err(CaseworkError::invalid(field, format!("has {} ids; at most {MAX_MOVED} are taken", ids.len())));
    }
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
