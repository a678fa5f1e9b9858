//! Incidents: from the moment that one appears until its lessons are written down.

use serde_json::{Value, json};

use super::assets;
use super::audit::Act;
use super::{Actor, Casework, CaseworkError, Change, ONE_LINE, Permission, text};
use crate::record::assets::{Assets, priority as record_priority};
use crate::record::case::{Category, Priority, Status};
use crate::record::levels::Standing;
use crate::record::{Severity, Timestamp};
use crate::store::StoreError;
use crate::store::cases::{self as rows, CaseFilter, CaseRow, Evidence, Happening, Note, TaskRow};
use crate::store::files::{self, FileRow};
use crate::store::observables::{self, ObservableRow, Related};
use crate::store::relations::{self, Link};

/// Characters of a description, and of what is written down at the end.
pub const LONG: usize = 20_000;
/// Systems that one incident affects.
pub(super) const MAX_AFFECTED: usize = 1_000;
/// Incidents on a page.
pub const MAX_PAGE: usize = 200;
/// Bytes of evidence records that are shown with an incident.
const SHOWN_EVIDENCE: i64 = 1 << 20;

/// An incident to be opened by hand.
#[derive(Debug, Clone)]
pub struct NewIncident {
    /// One line.
    pub title: String,
    /// What happened.
    pub description: String,
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing it is.
    pub category: Category,
    /// When it began, if that is known.
    pub first_seen: Option<Timestamp>,
}

/// What is to be changed of an incident; `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct IncidentEdit {
    pub title: Option<String>,
    pub description: Option<String>,
    pub status: Option<Status>,
    pub severity: Option<Severity>,
    /// With the reason, since it departs from what follows from the severity.
    pub priority: Option<(Priority, String)>,
    pub category: Option<Category>,
    pub kind: Option<String>,
    pub attack_vector: Option<String>,
    /// An ATT&CK technique: `T1110` or `T1110.001`.
    pub technique: Option<String>,
    pub affected: Option<Vec<String>>,
    /// `Some(None)`: nobody.
    pub assignee: Option<Option<String>>,
    pub root_cause: Option<String>,
    pub resolution: Option<String>,
    pub lessons_learned: Option<String>,
    pub archived: Option<bool>,
}

/// Everything about an incident.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Dossier {
    /// The incident itself.
    #[serde(flatten)]
    pub incident: CaseRow,
    /// What people wrote down, in order.
    pub notes: Vec<Note>,
    /// What is to be done and was done.
    pub tasks: Vec<TaskRow>,
    /// Log records that prove it, the earliest first, at most a MiB of them.
    pub evidence: Vec<Evidence>,
    /// Files that prove it, without what is in them.
    pub files: Vec<FileRow>,
    /// What was seen in it, by kind and value.
    pub observables: Vec<ObservableRow>,
    /// Incidents that share the most telling of these, at most 20.
    pub related: Vec<Related>,
    /// Incidents that somebody linked it with.
    pub links: Vec<Link>,
    /// Numbers of the incidents that became part of it.
    pub parts: Vec<String>,
    /// What happened to it, in order.
    pub timeline: Vec<Happening>,
}

impl Casework {
    /// The newest incidents first, from behind a place on: creation and key of the last one that was seen. Of long texts and lists there is
    /// only the beginning, and of the texts of the end nothing.
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn incidents(
        &self,
        actor: &Actor,
        filter: &CaseFilter,
        behind: Option<(Timestamp, i64)>,
        limit: usize,
    ) -> Result<Vec<CaseRow>, CaseworkError> {
        let mut reading = self.look(actor, Permission::ReadIncidents).await?;
        let limit = limit.clamp(1, MAX_PAGE) as i64;
        let found = rows::list(&mut reading.connection, filter, behind, limit).await?;
        reading.done();
        let now = Timestamp::now();
        Ok(found.into_iter().map(|case| self.judged(case, now)).collect())
    }

    /// Everything about an incident.
    ///
    /// # Errors
    /// Not permitted; no such incident; the database.
    pub async fn incident(&self, actor: &Actor, number: &str) -> Result<Dossier, CaseworkError> {
        let mut reading = self.look(actor, Permission::ReadIncidents).await?;
        let connection = &mut reading.connection;
        let Some(incident) = rows::by_number(connection, number).await? else {
            reading.done();
            return Err(no_incident(number));
        };
        let dossier = Dossier {
            notes: rows::notes(connection, incident.id).await?,
            tasks: rows::tasks(connection, Some(number), None, None, true, i64::from(u16::MAX)).await?,
            evidence: rows::evidence(connection, incident.id, SHOWN_EVIDENCE).await?,
            files: files::of(connection, incident.id).await?,
            observables: observables::of_incident(connection, incident.id).await?,
            related: observables::related(connection, incident.id).await?,
            links: relations::links(connection, incident.id).await?,
            parts: relations::parts(connection, incident.id).await?,
            timeline: rows::timeline(connection, incident.id).await?,
            incident: self.judged(incident, Timestamp::now()),
        };
        reading.done();
        Ok(dossier)
    }

    /// Opens an incident by hand; returns its number.
    ///
    /// # Errors
    /// Not permitted; what was given is wrong; the database.
    pub async fn open_incident(&self, actor: &Actor, new: &NewIncident) -> Result<String, CaseworkError> {
        let title = text("title", &new.title, ONE_LINE)?;
        let description =
            if new.description.trim().is_empty() { String::new() } else { text("description", &new.description, LONG)? };
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let now = change.now;
        let row = CaseRow {
            id: 0,
            number: String::new(),
            title,
            description,
            status: Status::Open.to_string(),
            severity: new.severity.to_string(),
            priority: Priority::of(new.severity).to_string(),
            priority_reason: None,
            category: new.category.to_string(),
            kind: None,
            attack_vector: None,
            technique: None,
            affected: Vec::new(),
            reporter: actor.name.clone(),
            assignee: None,
            detector: None,
            group_key: None,
            first_seen: new.first_seen,
            last_seen: new.first_seen,
            event_count: 0,
            usernames: Vec::new(),
            root_cause: None,
            resolution: None,
            lessons_learned: None,
            created_at: now,
            updated_at: now,
            acknowledged_at: None,
            resolved_at: None,
            archived_at: None,
            merged_into: None,
            absorbed: false,
            legal_hold_since: None,
            legal_hold_by: None,
            legal_hold_reason: None,
            version: 1,
            standing: Standing::default(),
        };
        let (id, number) = rows::insert(change.connection(), &row).await?;
        let shown = json!({ "title": row.title, "severity": row.severity, "category": row.category });
        change.tell(id, "opened", None, Some(shown.clone())).await?;
        change.commit(&[Act::new("incident.open", subject(&number)).values(None, shown)]).await?;
        Ok(number)
    }

    /// Changes an incident; what is left as it was is no change. Returns it as it is then.
    ///
    /// # Errors
    /// Not permitted; no such incident; somebody has changed it since `version`; a status that it cannot have next; something is missing
    /// that its end takes; what was given is wrong; the database.
    pub async fn edit_incident(
        &self,
        actor: &Actor,
        number: &str,
        edit: &IncidentEdit,
        version: Option<i64>,
    ) -> Result<CaseRow, CaseworkError> {
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let (after, act) = self.apply(&mut change, number, edit, version).await?;
        if let Some(act) = act {
            change.commit(&[act]).await?;
        }
        Ok(after)
    }

    /// Changes an incident within a change: the incident as it is then, and what was done, if anything was.
    pub(super) async fn apply(
        &self,
        change: &mut Change<'_>,
        number: &str,
        edit: &IncidentEdit,
        version: Option<i64>,
    ) -> Result<(CaseRow, Option<Act>), CaseworkError> {
        let before = rows::by_number_to_change(change.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        unseen(&format!("incident {number}"), before.version, version)?;
        if let Some(Some(name)) = &edit.assignee
            && !rows::can_be_assigned(change.connection(), name).await?
        {
            return Err(CaseworkError::invalid("assignee", format!("{name:?} is no user who may work on incidents")));
        }
        let now = change.now;
        let assets = assets::known(change.connection()).await?;
        let after = edited(&before, edit, &assets, now)?;
        let changes = differences(&before, &after);
        if changes.is_empty() {
            return Ok((self.judged(before, now), None));
        }
        rows::update(change.connection(), &after).await.map_err(|e| reopened_beside_another(e, &before))?;
        let (mut old, mut new) = (serde_json::Map::new(), serde_json::Map::new());
        for (field, was, is) in changes {
            change.tell(before.id, field, Some(was.clone()), Some(is.clone())).await?;
            old.insert(field.to_owned(), was);
            new.insert(field.to_owned(), is);
        }
        let reason = edit.priority.as_ref().map(|(_, reason)| reason.as_str());
        let act = Act::new("incident.change", subject(number)).values(Value::Object(old), Value::Object(new)).because(reason);
        Ok((self.judged(CaseRow { version: before.version + 1, ..after }, now), Some(act)))
    }
}

impl Change<'_> {
    /// Adds to an incident's timeline.
    pub(super) async fn tell(
        &mut self,
        incident: i64,
        event: &str,
        old: Option<Value>,
        new: Option<Value>,
    ) -> Result<(), CaseworkError> {
        let what = Happening { at: self.now, actor: self.actor.name.clone(), event: event.to_owned(), old, new };
        Ok(rows::happened(self.connection(), incident, &what).await?)
    }
}

/// What the audit log calls an incident.
pub(super) fn subject(number: &str) -> String {
    format!("incident:{number}")
}

pub(super) fn no_incident(number: &str) -> CaseworkError {
    CaseworkError::NotFound(format!("incident {number:?}"))
}

/// Refuses to overwrite what somebody has changed meanwhile.
pub(super) fn unseen(what: &str, version: i64, seen: Option<i64>) -> Result<(), CaseworkError> {
    match seen {
        Some(seen) if seen != version => {
            let problem =
                format!("{what} was changed since version {seen}; it has version {version} now: look at it and try again");
            Err(CaseworkError::Conflict(problem))
        }
        _ => Ok(()),
    }
}

/// An incident of a detector can be taken up again only while that has no other one for the same group.
fn reopened_beside_another(error: StoreError, case: &CaseRow) -> CaseworkError {
    if error.sqlstate().as_deref() == Some("23505") {
        let group = case.group_key.as_deref().unwrap_or_default();
        let problem = format!("there is another unresolved incident for {group}, which new events go to: work on that one");
        return CaseworkError::Conflict(problem);
    }
    CaseworkError::Store(error)
}

fn edited(before: &CaseRow, edit: &IncidentEdit, assets: &Assets, now: Timestamp) -> Result<CaseRow, CaseworkError> {
    let mut after = before.clone();
    after.updated_at = now;
    if let Some(title) = &edit.title {
        after.title = text("title", title, ONE_LINE)?;
    }
    if let Some(description) = &edit.description {
        after.description = text("description", description, LONG)?;
    }
    let optional = |field, given: &Option<String>, max, slot: &mut Option<String>| -> Result<(), CaseworkError> {
        if let Some(given) = given {
            *slot = if given.trim().is_empty() { None } else { Some(text(field, given, max)?) };
        }
        Ok(())
    };
    optional("kind", &edit.kind, ONE_LINE, &mut after.kind)?;
    optional("attack_vector", &edit.attack_vector, ONE_LINE, &mut after.attack_vector)?;
    optional("technique", &edit.technique, ONE_LINE, &mut after.technique)?;
    optional("root_cause", &edit.root_cause, LONG, &mut after.root_cause)?;
    optional("resolution", &edit.resolution, LONG, &mut after.resolution)?;
    optional("lessons_learned", &edit.lessons_learned, LONG, &mut after.lessons_learned)?;
    if edit.technique.is_some() && after.technique.as_deref().is_some_and(|t| !is_technique(t)) {
        return Err(CaseworkError::invalid("technique", "is no ATT&CK technique such as T1110 or T1110.001"));
    }
    if let Some(category) = edit.category {
        after.category = category.to_string();
    }
    if let Some(affected) = &edit.affected {
        if affected.len() > MAX_AFFECTED {
            return Err(CaseworkError::invalid(
                "affected",
                format!("has {} systems; at most {MAX_AFFECTED} are taken", affected.len()),
            ));
        }
        after.affected = affected.iter().map(|system| text("affected", system, ONE_LINE)).collect::<Result<_, _>>()?;
        after.affected.sort_unstable();
        after.affected.dedup();
    }
    if let Some(severity) = edit.severity {
        after.severity = severity.to_string();
    }
    let follows = record_priority(&after.severity, &after.affected, assets).unwrap_or(Priority::P4);
    // A priority that somebody set by hand stays.
    if before.priority_reason.is_none() && (edit.severity.is_some() || edit.affected.is_some()) {
        after.priority = follows.to_string();
    }
    if let Some((priority, reason)) = &edit.priority {
        let follows = follows == *priority;
        after.priority = priority.to_string();
        after.priority_reason = if follows { None } else { Some(text("priority_reason", reason, ONE_LINE)?) };
    }
    if let Some(assignee) = &edit.assignee {
        after.assignee.clone_from(assignee);
        if assignee.is_some() {
            after.acknowledged_at = after.acknowledged_at.or(Some(now));
        }
    }
    if let Some(archived) = edit.archived {
        after.archived_at = archived.then(|| before.archived_at.unwrap_or(now));
    }
    if let Some(next) = edit.status {
        step(before, &mut after, next, now)?;
    }
    if after.archived_at.is_some() && !after.status.parse().is_ok_and(Status::is_over) {
        return Err(CaseworkError::invalid("archived", "is for incidents that are resolved or false"));
    }
    Ok(after)
}

/// Takes the next step in the life of an incident.
fn step(before: &CaseRow, after: &mut CaseRow, next: Status, now: Timestamp) -> Result<(), CaseworkError> {
    let current: Status = before.status.parse().map_err(|_| CaseworkError::invalid("status", "is none that is known"))?;
    if current == next {
        return Ok(());
    }
    if let Some(whole) = &before.merged_into {
        return Err(CaseworkError::Conflict(format!("incident {} is a part of {whole}: work on that one", before.number)));
    }
    if !current.may_become(next) {
        let legal: Vec<&str> = Status::ALL.iter().filter(|s| current.may_become(**s)).map(|s| s.as_str()).collect();
        let problem = format!("cannot become {next} while it is {current}; it can become {}", legal.join(", "));
        return Err(CaseworkError::invalid("status", problem));
    }
    after.status = next.to_string();
    after.acknowledged_at = after.acknowledged_at.or(Some(now));
    after.resolved_at = next.is_over().then_some(now);
    if !next.is_over() {
        return Ok(());
    }
    if after.resolution.is_none() {
        return Err(CaseworkError::invalid("resolution", format!("is needed to make it {next}: say how it ended")));
    }
    let is_grave = after.severity.parse::<Severity>().is_ok_and(|severity| severity >= Severity::High);
    if next == Status::Resolved && is_grave {
        for (field, text) in [("root_cause", &after.root_cause), ("lessons_learned", &after.lessons_learned)] {
            if text.is_none() {
                return Err(CaseworkError::invalid(
                    field,
                    format!("is needed to resolve an incident of severity {}", after.severity),
                ));
            }
        }
    }
    Ok(())
}

/// `T` and four digits; a sub-technique has a dot and three more (ATT&CK, "Tactics, techniques and sub-techniques").
fn is_technique(text: &str) -> bool {
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    let Some(rest) = text.strip_prefix('T') else { return false };
    match rest.split_once('.') {
        None => digits(rest, 4),
        Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
    }
}

/// What is different: field, old value, new value.
fn differences(before: &CaseRow, after: &CaseRow) -> Vec<(&'static str, Value, Value)> {
    let fields: [(&'static str, Value, Value); 15] = [
        ("title", json!(before.title), json!(after.title)),
        ("description", json!(before.description), json!(after.description)),
        ("status", json!(before.status), json!(after.status)),
        ("severity", json!(before.severity), json!(after.severity)),
        ("priority", json!(before.priority), json!(after.priority)),
        ("category", json!(before.category), json!(after.category)),
        ("kind", json!(before.kind), json!(after.kind)),
        ("attack_vector", json!(before.attack_vector), json!(after.attack_vector)),
        ("technique", json!(before.technique), json!(after.technique)),
        ("affected", json!(before.affected), json!(after.affected)),
        ("assignee", json!(before.assignee), json!(after.assignee)),
        ("root_cause", json!(before.root_cause), json!(after.root_cause)),
        ("resolution", json!(before.resolution), json!(after.resolution)),
        ("lessons_learned", json!(before.lessons_learned), json!(after.lessons_learned)),
        ("archived", json!(before.archived_at.is_some()), json!(after.archived_at.is_some())),
    ];
    fields.into_iter().filter(|(_, was, is)| was != is).collect()
}

#[cfg(test)]
mod tests {
    use super::is_technique;

    #[test]
    fn techniques_look_like_techniques() {
        for (text, is_one) in
            [("T1110", true), ("T1110.001", true), ("t1110", false), ("T111", false), ("T1110.1", false), ("T1110.", false)]
        {
            assert_eq!(is_technique(text), is_one, "{text}");
        }
    }
}
