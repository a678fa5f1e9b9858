//! False positives, and what is not to be reported again for a time because of one.
//!
//! A suppression names a detector and a group. Events of theirs from before its end open no incident; they are counted instead, so that
//! nobody wonders what was hidden. An incident that is not over goes on being fed.

use serde_json::json;

use super::audit::Act;
use super::incidents::{IncidentEdit, subject};
use super::{Actor, Casework, CaseworkError, ONE_LINE, Permission, text};
use crate::record::Timestamp;
use crate::record::case::Status;
use crate::store::cases::{self, CaseRow};
use crate::store::suppressions::{self as rows, SuppressionRow};

/// Suppressions on a page.
pub const MAX_PAGE: usize = 200;
/// The longest one: a year, in microseconds.
const LONGEST: i64 = 366 * 86_400_000_000;

impl Casework {
    /// Marks an incident as a false positive, and with a time has its detector report nothing of its group until then. Returns it as it is
    /// then.
    ///
    /// # Errors
    /// Not permitted; no such incident; somebody has changed it since `version`; what was given is wrong; nobody but a person found it; the
    /// database.
    pub async fn false_positive(
        &self,
        actor: &Actor,
        number: &str,
        reason: &str,
        suppress_until: Option<Timestamp>,
        version: Option<i64>,
    ) -> Result<CaseRow, CaseworkError> {
        let reason = text("reason", reason, ONE_LINE)?;
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let edit =
            IncidentEdit { status: Some(Status::FalsePositive), resolution: Some(reason.clone()), ..IncidentEdit::default() };
        let (after, act) = self.apply(&mut change, number, &edit, version).await?;
        let mut acts: Vec<Act> = act.into_iter().collect();
        if let Some(until) = suppress_until {
            let now = change.now;
            if until <= now || until.micros_since(now) > LONGEST {
                return Err(CaseworkError::invalid("suppress_until", "has to be within the next 366 days"));
            }
            let (Some(detector), Some(group_key)) = (after.detector.clone(), after.group_key.clone()) else {
                return Err(CaseworkError::invalid(
                    "suppress_until",
                    "is for incidents that a detector opened; a person did this one",
                ));
            };
            if let Some(before) = rows::not_ended(change.connection(), &detector, &group_key).await? {
                rows::end(change.connection(), before.id, &actor.name, now).await?;
            }
            let mut row = SuppressionRow {
                id: 0,
                detector,
                group_key,
                until,
                reason,
                incident: number.to_owned(),
                created_by: actor.name.clone(),
                created_at: now,
                ended_by: None,
                ended_at: None,
                events: 0,
                first_seen: None,
                last_seen: None,
            };
            row.id = rows::insert(change.connection(), &row).await?;
            let shown = json!({ "id": row.id, "detector": row.detector, "group": row.group_key, "until": row.until });
            change.tell(after.id, "suppressed", None, Some(shown.clone())).await?;
            acts.push(Act::new("suppression.begin", subject(number)).values(None, shown).because(Some(&row.reason)));
        }
        if !acts.is_empty() {
            change.commit(&acts).await?;
        }
        Ok(after)
    }

    /// Suppressions, the newest first: those in force, or all; from behind the id of the last one that was seen on.
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn suppressions(
        &self,
        actor: &Actor,
        all: bool,
        behind: Option<i64>,
        limit: usize,
    ) -> Result<Vec<SuppressionRow>, CaseworkError> {
        let mut reading = self.look(actor, Permission::ReadIncidents).await?;
        let in_force_at = (!all).then(Timestamp::now);
        let found = rows::list(&mut reading.connection, in_force_at, behind, limit.clamp(1, MAX_PAGE) as i64).await?;
        reading.done();
        Ok(found)
    }

    /// Ends a suppression: the next events open an incident.
    ///
    /// # Errors
    /// Not permitted; no such suppression, or it has ended; the database.
    pub async fn end_suppression(&self, actor: &Actor, id: i64) -> Result<(), CaseworkError> {
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let row = rows::by_id(change.connection(), id).await?;
        let row = row.ok_or_else(|| CaseworkError::NotFound(format!("suppression {id}")))?;
        let now = change.now;
        if row.ended_at.is_some() || row.until <= now {
            return Err(CaseworkError::Conflict(format!("suppression {id} has ended already")));
        }
        rows::end(change.connection(), id, &actor.name, now).await?;
        let shown =
            json!({ "id": id, "detector": row.detector, "group": row.group_key, "until": row.until, "events": row.events });
        // Retention may have removed it.
        if let Some(incident) = cases::by_number(change.connection(), &row.incident).await? {
            change.tell(incident.id, "suppressed", Some(shown.clone()), None).await?;
        }
        change.commit(&[Act::new("suppression.end", subject(&row.incident)).values(shown, None)]).await
    }
}
