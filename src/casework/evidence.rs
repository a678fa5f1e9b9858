//! Log records that somebody makes evidence of an incident.

use serde_json::json;

use super::audit::Act;
use super::incidents::{no_incident, subject};
use super::{Actor, Casework, CaseworkError, Permission};
use crate::store::cases;
use crate::store::evidence as rows;

/// Records that are attached at a time.
pub const MAX_RECORDS: usize = 200;

/// What attaching records came to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Attached {
    /// Those that are evidence from now on.
    pub attached: Vec<i64>,
    /// How many were evidence already.
    pub already: usize,
}

impl Casework {
    /// Copies log records to an incident, which outlive the originals there. One that is there already is not counted twice.
    ///
    /// # Errors
    /// Not permitted; no such incident; no such record; too many; the database.
    pub async fn attach_logs(&self, actor: &Actor, number: &str, logs: &[i64]) -> Result<Attached, CaseworkError> {
        if !(1..=MAX_RECORDS).contains(&logs.len()) {
            return Err(CaseworkError::invalid("logs", format!("takes 1 to {MAX_RECORDS} ids of log records")));
        }
        let mut logs = logs.to_vec();
        logs.sort_unstable();
        logs.dedup();
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let now = change.now;
        let incident = cases::by_number_to_change(change.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        let attached = rows::attach_logs(change.connection(), incident.id, &logs).await?;
        let there = rows::attached_logs(change.connection(), incident.id, &logs).await?;
        if let Some(missing) = logs.iter().find(|id| !there.contains(id)) {
            return Err(CaseworkError::invalid("logs", format!("there is no log record {missing}")));
        }
        let already = logs.len() - attached.len();
        if attached.is_empty() {
            change.commit(&[]).await?;
            return Ok(Attached { attached, already });
        }
        rows::count_events(change.connection(), incident.id, attached.len() as i64, now).await?;
        let shown = json!({ "logs": attached });
        change.tell(incident.id, "evidence", None, Some(shown.clone())).await?;
        change.commit(&[Act::new("incident.attach", subject(number)).values(None, shown)]).await?;
        Ok(Attached { attached, already })
    }
}
