//! Links between incidents, made by hand. Both sides show them.

use serde_json::json;

use super::audit::Act;
use super::incidents::{no_incident, subject};
use super::{Actor, Casework, CaseworkError, Change, Permission};
use crate::record::case::LinkKind;
use crate::store::cases::{self, CaseRow};
use crate::store::relations as rows;

/// Links of one incident at most.
pub const MAX_LINKS: usize = 100;

/// As it is stored: what is the other way round is turned, and of two related ones the earlier stands first.
fn stored(kind: LinkKind, this: i64, other: i64) -> (LinkKind, (i64, i64)) {
    match kind {
        LinkKind::Related => (kind, (this.min(other), this.max(other))),
        LinkKind::DuplicateOf | LinkKind::CausedBy => (kind, (this, other)),
        LinkKind::HasDuplicate | LinkKind::CauseOf => (kind.from_the_other_side(), (other, this)),
    }
}

impl Casework {
    /// Links an incident with another: says what the first is to the second.
    ///
    /// # Errors
    /// Not permitted; no such incident; they are the same; they are linked so, or the other way round; one has as many links as it can
    /// have; the database.
    pub async fn link(&self, actor: &Actor, number: &str, kind: LinkKind, other: &str) -> Result<(), CaseworkError> {
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let (this, that) = change.two(number, other).await?;
        for case in [&this, &that] {
            if rows::links(change.connection(), case.id).await?.len() >= MAX_LINKS {
                let problem = format!("incident {} has {MAX_LINKS} links, and can have no more", case.number);
                return Err(CaseworkError::Conflict(problem));
            }
        }
        let opposite = kind.from_the_other_side().as_str();
        let links = rows::links(change.connection(), this.id).await?;
        if kind != LinkKind::Related && links.iter().any(|link| link.incident == other && link.kind == opposite) {
            return Err(CaseworkError::Conflict(format!("incident {other} is {kind} {number} already: it cannot be both")));
        }
        if !change.join(kind, &this, &that).await? {
            return Err(CaseworkError::Conflict(format!("incident {number} is {kind} {other} already")));
        }
        let shown = json!({ "kind": kind.as_str(), "incident": other });
        change.commit(&[Act::new("incident.link", subject(number)).values(None, shown)]).await
    }

    /// Ends a link.
    ///
    /// # Errors
    /// Not permitted; no such incident; they are not linked so; the database.
    pub async fn unlink(&self, actor: &Actor, number: &str, kind: LinkKind, other: &str) -> Result<(), CaseworkError> {
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let (this, that) = change.two(number, other).await?;
        let (as_stored, pair) = stored(kind, this.id, that.id);
        if !rows::delete_link(change.connection(), as_stored.as_str(), pair).await? {
            return Err(CaseworkError::NotFound(format!("link: incident {number} is not {kind} {other}")));
        }
        let shown = |kind: LinkKind, of: &CaseRow| json!({ "kind": kind.as_str(), "incident": of.number });
        change.tell(this.id, "link", Some(shown(kind, &that)), None).await?;
        change.tell(that.id, "link", Some(shown(kind.from_the_other_side(), &this)), None).await?;
        change.commit(&[Act::new("incident.unlink", subject(number)).values(shown(kind, &that), None)]).await
    }
}

impl Change<'_> {
    /// Two different incidents, locked.
    pub(super) async fn two(&mut self, number: &str, other: &str) -> Result<(CaseRow, CaseRow), CaseworkError> {
        if number == other {
            return Err(CaseworkError::invalid("incident", "is the same one"));
        }
        let all = cases::several_to_change(self.connection(), &[number, other]).await?;
        let find = |number: &str| all.iter().find(|case| case.number == number).cloned().ok_or_else(|| no_incident(number));
        Ok((find(number)?, find(other)?))
    }

    /// Links two incidents that are locked, and tells both; false if they were linked so before.
    pub(super) async fn join(&mut self, kind: LinkKind, this: &CaseRow, that: &CaseRow) -> Result<bool, CaseworkError> {
        let (now, actor) = (self.now, self.actor);
        let (as_stored, pair) = stored(kind, this.id, that.id);
        if !rows::insert_link(self.connection(), as_stored.as_str(), pair, &actor.name, now).await? {
            return Ok(false);
        }
        let shown = |kind: LinkKind, of: &CaseRow| Some(json!({ "kind": kind.as_str(), "incident": of.number }));
        self.tell(this.id, "link", None, shown(kind, that)).await?;
        self.tell(that.id, "link", None, shown(kind.from_the_other_side(), this)).await?;
        Ok(true)
    }
}
