//! Legal holds: an incident and its evidence that must be kept, whatever retention or anybody else says. The database refuses to delete
//! them.

use serde_json::{Value, json};

use super::audit::Act;
use super::incidents::{no_incident, subject};
use super::{Actor, Casework, CaseworkError, ONE_LINE, Permission, text};
use crate::store::cases::{self as rows, CaseRow};

impl Casework {
    /// Puts an incident under legal hold; one that is already gets the new reason. Returns it as it is then.
    ///
    /// # Errors
    /// Not permitted; no such incident; a reason that is none; the database.
    pub async fn hold_incident(&self, actor: &Actor, number: &str, reason: &str) -> Result<CaseRow, CaseworkError> {
        let reason = text("reason", reason, ONE_LINE)?;
        self.set_hold(actor, number, Some(reason), None).await
    }

    /// Lifts the legal hold of an incident. Returns it as it is then.
    ///
    /// # Errors
    /// Not permitted; no such incident, or nothing holds it; a reason that is none; the database.
    pub async fn release_incident(&self, actor: &Actor, number: &str, reason: &str) -> Result<CaseRow, CaseworkError> {
        let reason = text("reason", reason, ONE_LINE)?;
        self.set_hold(actor, number, None, Some(reason)).await
    }

    async fn set_hold(
        &self,
        actor: &Actor,
        number: &str,
        hold: Option<String>,
        lifted: Option<String>,
    ) -> Result<CaseRow, CaseworkError> {
        let mut change = self.change(actor, Permission::Maintain).await?;
        let before = rows::by_number_to_change(change.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        if hold.is_none() && before.legal_hold_since.is_none() {
            return Err(CaseworkError::Conflict(format!("{number} is under no legal hold")));
        }
        let mut after = before.clone();
        after.updated_at = change.now;
        after.legal_hold_since = hold.as_ref().map(|_| before.legal_hold_since.unwrap_or(change.now));
        after.legal_hold_by = hold.as_ref().map(|_| actor.name.clone());
        after.legal_hold_reason = hold;
        rows::update_hold(change.connection(), &after).await?;
        let shown = |case: &CaseRow| -> Option<Value> {
            let since = case.legal_hold_since?;
            Some(json!({ "since": since, "by": case.legal_hold_by, "reason": case.legal_hold_reason }))
        };
        let (old, new) = (shown(&before), shown(&after));
        change.tell(before.id, "legal_hold", old.clone(), new.clone()).await?;
        let act = if new.is_some() { "incident.hold" } else { "incident.release" };
        let reason = after.legal_hold_reason.as_deref().or(lifted.as_deref());
        change.commit(&[Act::new(act, subject(number)).values(old, new).because(reason)]).await?;
        let now = after.updated_at;
        Ok(self.judged(CaseRow { version: before.version + 1, ..after }, now))
    }
}
