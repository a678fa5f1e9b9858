//! Notes on an incident: what was seen, done and found out. Every version is kept.

use serde_json::json;

use super::audit::Act;
use super::incidents::{LONG, no_incident, subject};
use super::{Actor, Casework, CaseworkError, Permission, text};
use crate::record::case::NoteKind;
use crate::store::cases as rows;

impl Casework {
    /// Writes a note, in Markdown; returns its id.
    ///
    /// # Errors
    /// Not permitted; no such incident; what was given is wrong; the database.
    pub async fn add_note(&self, actor: &Actor, number: &str, kind: NoteKind, body: &str) -> Result<i64, CaseworkError> {
        let body = text("body", body, LONG)?;
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let now = change.now;
        let incident = rows::by_number_to_change(change.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        let id = rows::insert_note(change.connection(), incident.id, kind.as_str(), &actor.name, now).await?;
        rows::insert_note_version(change.connection(), id, 1, &actor.name, now, &body).await?;
        let shown = json!({ "id": id, "kind": kind.as_str(), "body": body });
        change.tell(incident.id, kind.as_str(), None, Some(shown.clone())).await?;
        change.commit(&[Act::new("note.add", subject(number)).values(None, shown)]).await?;
        Ok(id)
    }

    /// Writes a note anew; returns its version. What it said before is kept.
    ///
    /// # Errors
    /// Not permitted; no such note; somebody has changed it since `version`; what was given is wrong; the database.
    pub async fn edit_note(
        &self,
        actor: &Actor,
        number: &str,
        id: i64,
        body: &str,
        version: Option<i64>,
    ) -> Result<i32, CaseworkError> {
        let body = text("body", body, LONG)?;
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let now = change.now;
        // Locking the incident keeps two versions of one note from having the same number.
        let incident = rows::by_number_to_change(change.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        let notes = rows::notes(change.connection(), incident.id).await?;
        let note = notes.into_iter().find(|note| note.id == id);
        let note = note.ok_or_else(|| CaseworkError::NotFound(format!("note {id} on incident {number}")))?;
        super::incidents::unseen(&format!("note {id}"), i64::from(note.version), version)?;
        if note.body == body {
            return Ok(note.version);
        }
        let next = note.version + 1;
        rows::insert_note_version(change.connection(), id, next, &actor.name, now, &body).await?;
        let (old, new) = (json!({ "id": id, "body": note.body }), json!({ "id": id, "body": body }));
        change.tell(incident.id, &note.kind, Some(old.clone()), Some(new.clone())).await?;
        change.commit(&[Act::new("note.edit", subject(number)).values(old, new)]).await?;
        Ok(next)
    }
}
