//! Two incidents that are one: all that the first has goes to the second, and so does what its detector finds from then on.

use std::collections::BTreeSet;

use serde_json::json;

use super::audit::Act;
use super::incidents::{LONG, MAX_AFFECTED, subject, unseen};
use super::{Actor, Casework, CaseworkError, Permission};
use crate::record::Severity;
use crate::record::case::{Priority, Status};
use crate::record::incident::IncidentChange;
use crate::store::cases::{CaseRow, Happening};
use crate::store::relations as rows;

impl Casework {
    /// Makes an incident a part of another, which is unresolved: evidence, notes, tasks and observables go over, each log record once. The
    /// first ends, and new events of its detector and group go on to the other as long as that is unresolved. Returns the other as it is
    /// then.
    ///
    /// # Errors
    /// Not permitted; no such incident; they are the same; the first is a part of another already, archived, or under legal hold; the second is over;
    /// somebody has changed the second since `version`; the database.
    pub async fn merge_incidents(
        &self,
        actor: &Actor,
        from: &str,
        into: &str,
        version: Option<i64>,
    ) -> Result<CaseRow, CaseworkError> {
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let now = change.now;
        rows::hold_ingestion(change.connection()).await?;
        let (part, whole) = change.two(from, into).await?;
        unseen(&format!("incident {into}"), whole.version, version)?;
        may_be_merged(&part, &whole)?;
        let moved = rows::move_everything(change.connection(), part.id, whole.id).await?;
        change.hand_on_sealed(|| self.ring(), part.id, whole.id).await?;
        let parts = rows::hand_on_parts(change.connection(), part.id, whole.id, now).await?;
        let resolution = format!("merged into {into}");
        rows::become_part(change.connection(), part.id, whole.id, &resolution, now).await?;
        let after = CaseRow { updated_at: now, ..united(&part, &whole, moved.shared_events) };
        rows::recount(change.connection(), &after).await?;

        let end = json!({ "status": part.status, "resolution": part.resolution, "events": part.event_count });
        change.tell(part.id, "merged", Some(end.clone()), Some(json!({ "into": into }))).await?;
        let was = json!({ "events": whole.event_count, "severity": whole.severity });
        let is = json!({ "from": from, "events": after.event_count, "severity": after.severity, "came": moved });
        change.tell(whole.id, "merged", Some(was.clone()), Some(is.clone())).await?;
        let (old, new) = (Some(json!({ "into": from })), Some(json!({ "into": into })));
        let told = Happening { at: now, actor: actor.name.clone(), event: "merged".to_owned(), old, new };
        rows::happened_to_all(change.connection(), &parts, &told).await?;
        let acts = [
            Act::new("incident.merge", subject(from)).values(end, json!({ "into": into })),
            Act::new("incident.merge", subject(into)).values(was, is),
        ];
        change.commit(&acts).await?;
        Ok(self.judged(CaseRow { version: whole.version + 1, ..after }, now))
    }
}

fn may_be_merged(part: &CaseRow, whole: &CaseRow) -> Result<(), CaseworkError> {
    let refused = |case: &CaseRow, why: &str| Err(CaseworkError::Conflict(format!("incident {} {why}", case.number)));
    if let Some(other) = &part.merged_into {
        return refused(part, &format!("is a part of {other} already"));
    }
    if part.legal_hold_since.is_some() {
        return refused(part, "is under legal hold: its evidence stays with it");
    }
    if part.archived_at.is_some() {
        return refused(part, "is archived: bring it back into sight first");
    }
    if let Some(other) = &whole.merged_into {
        return refused(whole, &format!("is a part of {other}: merge into that one"));
    }
    if whole.status.parse().is_ok_and(Status::is_over) {
        return refused(whole, &format!("is {}: take it up again first", whole.status));
    }
    Ok(())
}

/// The second incident with what the first has: the wider range of time, the worse severity, each event once.
fn united(part: &CaseRow, whole: &CaseRow, shared_events: i64) -> CaseRow {
    let mut after = whole.clone();
    after.absorbed = true;
    after.event_count = whole.event_count.saturating_add(part.event_count).saturating_sub(shared_events).max(0);
    after.first_seen = whole.first_seen.into_iter().chain(part.first_seen).min();
    after.last_seen = whole.last_seen.max(part.last_seen);
    let severity = |case: &CaseRow| case.severity.parse::<Severity>().unwrap_or(Severity::Low);
    if severity(part) > severity(whole) {
        after.severity.clone_from(&part.severity);
        // A priority that somebody set by hand stays.
        if whole.priority_reason.is_none() {
            after.priority = Priority::of(severity(part)).to_string();
        }
    }
    let both = |a: &[String], b: &[String], most: usize| {
        let all: BTreeSet<&String> = a.iter().chain(b).collect();
        all.into_iter().take(most).cloned().collect::<Vec<_>>()
    };
    after.usernames = both(&whole.usernames, &part.usernames, IncidentChange::MAX_USERNAMES);
    after.affected = both(&whole.affected, &part.affected, MAX_AFFECTED);
    let told = format!("{}\n\nWith {}, {}, as it was then: {}", whole.description, part.number, part.title, part.description);
    after.description = told.trim().chars().take(LONG).collect();
    after
}
