//! Observables of incidents: found in their evidence, and noted by hand. What two incidents share makes them related.
//!
//! The TLP mark says to whom an observable may be told. It is a mark for people: it is always shown, and goes along into what is
//! exported, but hides nothing from those who may see the incident.

use serde_json::json;

use super::audit::Act;
use super::incidents::{no_incident, subject};
use super::{Actor, Casework, CaseworkError, ONE_LINE, Permission, text};
use crate::record::Timestamp;
use crate::record::observable::{Kind, Observable, Tlp, find_in_json, find_in_text};
use crate::store::cases;
use crate::store::observables::{self as rows, MAX_OF_INCIDENT, ObservableRow, Said, Sighting, Waiting};
use crate::store::{self, StoreError};

/// Sightings on a page.
pub const MAX_PAGE: usize = 200;

/// Pieces of evidence that are looked through at a time, and bytes of them.
const AT_ONCE: i64 = 200;
const BYTES_AT_ONCE: i64 = 1 << 20;

/// Who finds what is in evidence.
const FINDER: &str = "tocsin";

impl Casework {
    /// Looks through some of the evidence that waits for it, and gives its incidents what is in there; returns how many pieces it looked
    /// through. Each is looked through once, however many do this at a time and whenever they die: that it was is noted in the
    /// transaction that stores what was found.
    ///
    /// # Errors
    /// The database.
    pub async fn find_observables(&self) -> Result<usize, StoreError> {
        let mut connection = self.store.connection().await?;
        store::begin(&mut connection).await?;
        let incidents = rows::incidents_with_waiting(&mut connection, AT_ONCE).await?;
        let waiting = if incidents.is_empty() {
            Vec::new()
        } else {
            rows::waiting(&mut connection, &incidents, AT_ONCE, BYTES_AT_ONCE).await?
        };
        if !waiting.is_empty() {
            let found: Vec<(&Waiting, Observable)> =
                waiting.iter().flat_map(|evidence| observables_in(evidence).into_iter().map(move |o| (evidence, o))).collect();
            let mut wanted: Vec<&Observable> = found.iter().map(|(_, observable)| observable).collect();
            wanted.sort_unstable();
            wanted.dedup();
            let ids = rows::ids(&mut connection, &wanted).await?;
            let found: Vec<(i64, i64, i64)> =
                found.iter().filter_map(|(e, o)| Some((e.incident_id, *ids.get(o)?, e.log_id))).collect();
            // The first record that has something is the one that is named.
            let mut seen = std::collections::HashSet::new();
            let first: Vec<_> = found.into_iter().filter(|(incident, id, _)| seen.insert((*incident, *id))).collect();
            rows::insert_found(&mut connection, &first, FINDER, Timestamp::now()).await?;
            let done: Vec<i64> = waiting.iter().map(|evidence| evidence.id).collect();
            rows::looked_through(&mut connection, &done).await?;
        }
        store::commit(&mut connection).await?;
        self.store.keep(connection);
        Ok(waiting.len())
    }

    /// The observables of an incident, by kind and value.
    ///
    /// # Errors
    /// Not permitted; no such incident; the database.
    pub async fn observables(&self, actor: &Actor, number: &str) -> Result<Vec<ObservableRow>, CaseworkError> {
        let mut reading = self.look(actor, Permission::ReadIncidents).await?;
        let incident = cases::by_number(&mut reading.connection, number).await?.ok_or_else(|| no_incident(number))?;
        let found = rows::of_incident(&mut reading.connection, incident.id).await?;
        reading.done();
        Ok(found)
    }

    /// The incidents in which something was seen, the newest first, from behind a place on: keys of incident and observable of the last one
    /// that was seen. Every kind that the text can mean is looked for, also where it was written so that nobody clicks on it.
    ///
    /// # Errors
    /// Not permitted; the text can mean nothing; the database.
    pub async fn sightings(
        &self,
        actor: &Actor,
        value: &str,
        behind: Option<(i64, i64)>,
        limit: usize,
    ) -> Result<Vec<Sighting>, CaseworkError> {
        let wanted = Observable::meant(value);
        if wanted.is_empty() {
            // An account can be named anything, so that is what is wrong.
            return Err(CaseworkError::invalid("value", Observable::new(Kind::User, value).err().unwrap_or_default()));
        }
        let mut reading = self.look(actor, Permission::ReadIncidents).await?;
        let limit = limit.clamp(1, MAX_PAGE) as i64;
        let found = rows::sightings(&mut reading.connection, &wanted, behind, limit).await?;
        reading.done();
        Ok(found)
    }

    /// Gives an incident an observable; returns its id.
    ///
    /// # Errors
    /// Not permitted; no such incident; it has it, or as many as it can have; what was given is wrong; the database.
    pub async fn add_observable(
        &self,
        actor: &Actor,
        number: &str,
        (kind, value): (Kind, &str),
        tlp: Tlp,
        comment: Option<&str>,
    ) -> Result<i64, CaseworkError> {
        let observable = Observable::typed(kind, value).map_err(|problem| CaseworkError::invalid("value", problem))?;
        let comment = comment.map(|comment| text("comment", comment, ONE_LINE)).transpose()?;
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let now = change.now;
        let incident = cases::by_number_to_change(change.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        let id = *rows::ids(change.connection(), &[&observable]).await?.values().next().expect("one was asked for");
        if rows::one(change.connection(), incident.id, id).await?.is_some() {
            return Err(CaseworkError::Conflict(format!("incident {number} has that {kind}: it is observable {id}")));
        }
        if rows::count(change.connection(), incident.id).await? >= MAX_OF_INCIDENT {
            let problem = format!("incident {number} has {MAX_OF_INCIDENT} observables, and can have no more");
            return Err(CaseworkError::Conflict(problem));
        }
        let said = Said { tlp, comment: comment.as_deref() };
        rows::insert(change.connection(), (incident.id, id), &said, &actor.name, now).await?;
        let shown =
            json!({ "id": id, "kind": kind.as_str(), "value": observable.value(), "tlp": tlp.as_str(), "comment": comment });
        change.tell(incident.id, "observable", None, Some(shown.clone())).await?;
        change.commit(&[Act::new("observable.add", subject(number)).values(None, shown)]).await?;
        Ok(id)
    }

    /// Changes the mark or the comment of an observable of an incident; `None` leaves it, and an empty comment takes it away.
    ///
    /// # Errors
    /// Not permitted; no such incident; it has no such observable; what was given is wrong; the database.
    pub async fn edit_observable(
        &self,
        actor: &Actor,
        number: &str,
        id: i64,
        tlp: Option<Tlp>,
        comment: Option<&str>,
    ) -> Result<ObservableRow, CaseworkError> {
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let incident = cases::by_number_to_change(change.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        let before = rows::one(change.connection(), incident.id, id).await?.ok_or_else(|| no_observable(number, id))?;
        let mut after = before.clone();
        if let Some(tlp) = tlp {
            after.tlp = tlp.to_string();
        }
        if let Some(comment) = comment {
            after.comment = if comment.trim().is_empty() { None } else { Some(text("comment", comment, ONE_LINE)?) };
        }
        if after == before {
            return Ok(before);
        }
        rows::update(change.connection(), incident.id, &after).await?;
        let (old, new) = (shown(&before), shown(&after));
        change.tell(incident.id, "observable", Some(old.clone()), Some(new.clone())).await?;
        change.commit(&[Act::new("observable.change", subject(number)).values(old, new)]).await?;
        Ok(after)
    }

    /// Takes an observable away from an incident. Evidence does not bring it back; somebody can.
    ///
    /// # Errors
    /// Not permitted; no such incident; it has no such observable; the database.
    pub async fn remove_observable(&self, actor: &Actor, number: &str, id: i64) -> Result<(), CaseworkError> {
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let now = change.now;
        let incident = cases::by_number_to_change(change.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        let before = rows::one(change.connection(), incident.id, id).await?.ok_or_else(|| no_observable(number, id))?;
        rows::remove(change.connection(), incident.id, id, now).await?;
        let old = shown(&before);
        change.tell(incident.id, "observable", Some(old.clone()), None).await?;
        change.commit(&[Act::new("observable.remove", subject(number)).values(old, None)]).await
    }
}

fn no_observable(number: &str, id: i64) -> CaseworkError {
    CaseworkError::NotFound(format!("observable {id} of incident {number}"))
}

/// What timeline and audit log show of one.
fn shown(row: &ObservableRow) -> serde_json::Value {
    json!({ "id": row.id, "kind": row.kind, "value": row.value, "tlp": row.tlp, "comment": row.comment })
}

/// What is in a log record, each once, at most as many as an incident can have.
fn observables_in(evidence: &Waiting) -> Vec<Observable> {
    let typed = [(Kind::Address, &evidence.src_ip), (Kind::Address, &evidence.dst_ip), (Kind::User, &evidence.username)];
    let mut found: Vec<Observable> =
        typed.iter().filter_map(|(kind, value)| Observable::new(*kind, value.as_deref()?).ok()).collect();
    let mut seen: std::collections::HashSet<Observable> = found.iter().cloned().collect();
    found.dedup();
    let mut add = |observable: Observable| {
        if seen.len() < MAX_OF_INCIDENT as usize && seen.insert(observable.clone()) {
            found.push(observable);
        }
    };
    if let Some(message) = &evidence.message {
        find_in_text(message, &mut add);
    }
    if let Some(fields) = &evidence.fields {
        find_in_json(fields, &mut add);
    }
    found
}
