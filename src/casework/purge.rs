//! The end of an incident for good. What was done to it stays in the audit log.

use serde_json::json;

use super::audit::Act;
use super::incidents::{no_incident, subject};
use super::{Actor, Casework, CaseworkError, Change, ONE_LINE, Permission, text};
use crate::store::cases;
use crate::store::relations as rows;

impl Casework {
    /// Removes an archived incident and everything that belongs to it, for good. Its number is not given again.
    ///
    /// # Errors
    /// Not permitted; no such incident; it is not archived, or others are part of it; the reason is none; the database.
    pub async fn purge_incident(&self, actor: &Actor, number: &str, reason: &str) -> Result<(), CaseworkError> {
        let reason = text("reason", reason, ONE_LINE)?;
        let mut change = self.change(actor, Permission::PurgeIncidents).await?;
        let all = cases::several_to_change(change.connection(), &[number]).await?;
        let case = all.iter().find(|case| case.number == number).ok_or_else(|| no_incident(number))?;
        if case.archived_at.is_none() {
            return Err(CaseworkError::Conflict(format!(
                "incident {number} is not archived: only what is out of sight can be removed"
            )));
        }
        if let Some(reason) = &case.legal_hold_reason {
            return Err(CaseworkError::Conflict(format!("incident {number} is under legal hold ({reason}): lift that first")));
        }
        let parts = rows::parts(change.connection(), case.id).await?;
        if !parts.is_empty() {
            let problem = format!("{} became part of incident {number}: remove those first", parts.join(", "));
            return Err(CaseworkError::Conflict(problem));
        }
        for link in rows::links(change.connection(), case.id).await? {
            let Some(other) = all.iter().find(|other| other.number == link.incident) else { continue };
            change.tell(other.id, "link", Some(json!({ "incident": number })), None).await?;
        }
        let purged = change.remove_incident(case.id).await?;
        // Nothing of what it said: that is what was to go.
        let was =
            json!({ "severity": case.severity, "created_at": case.created_at, "events": case.event_count, "removed": purged });
        change.commit(&[Act::new("incident.purge", subject(number)).values(was, None).because(Some(&reason))]).await
    }
}

impl Change<'_> {
    /// Removes an incident with all that belongs to it. The people behind it, its files and its data key go with its row.
    pub(super) async fn remove_incident(&mut self, id: i64) -> Result<rows::Purged, CaseworkError> {
        let (purged, observables) = rows::purge_belongings(self.connection(), id).await?;
        rows::purge(self.connection(), id).await?;
        rows::purge_observables(self.connection(), &observables).await?;
        Ok(purged)
    }
}
