//! Incidents as people work on them: `incidents`, with their timeline, notes and tasks.

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, query, query_as, query_scalar};

use super::StoreError;
use crate::record::case::{Category, NoteKind, Priority, Status, TaskStatus};
use crate::record::levels::Standing;
use crate::record::{Severity, Timestamp};

/// A row of `incidents`.
#[derive(Debug, Clone, PartialEq, FromRow, serde::Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct CaseRow {
    #[serde(skip)]
    pub id: i64,
    pub number: String,
    pub title: String,
    pub description: String,
    #[schema(value_type = Status)]
    pub status: String,
    #[schema(value_type = Severity)]
    pub severity: String,
    #[schema(value_type = Priority)]
    pub priority: String,
    pub priority_reason: Option<String>,
    #[schema(value_type = Category)]
    pub category: String,
    pub kind: Option<String>,
    pub attack_vector: Option<String>,
    pub technique: Option<String>,
    pub affected: Vec<String>,
    pub reporter: String,
    pub assignee: Option<String>,
    pub detector: Option<String>,
    pub group_key: Option<String>,
    pub first_seen: Option<Timestamp>,
    pub last_seen: Option<Timestamp>,
    pub event_count: i64,
    pub usernames: Vec<String>,
    pub root_cause: Option<String>,
    pub resolution: Option<String>,
    pub lessons_learned: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub acknowledged_at: Option<Timestamp>,
    pub resolved_at: Option<Timestamp>,
    pub archived_at: Option<Timestamp>,
    /// Number of the incident that it became a part of.
    pub merged_into: Option<String>,
    /// Evidence came to it otherwise than from its detector: others became part of it, or somebody attached records.
    #[serde(skip)]
    pub absorbed: bool,
    pub legal_hold_since: Option<Timestamp>,
    pub legal_hold_by: Option<String>,
    pub legal_hold_reason: Option<String>,
    pub version: i64,
    /// How it stands to what is promised: by the configuration of whoever asks, and not in the table.
    #[sqlx(skip)]
    #[serde(flatten)]
    pub standing: Standing,
}

macro_rules! select_cases {
    ($rest:literal) => {
        concat!(
            "SELECT id, number, title, description, status::text, severity::text, priority, priority_reason, category, kind, attack_vector, \
                    technique, affected, reporter, assignee, detector, group_key, first_seen, last_seen, event_count, usernames, root_cause, \
                    resolution, lessons_learned, created_at, updated_at, acknowledged_at, resolved_at, archived_at, legal_hold_since, \
                    legal_hold_by, legal_hold_reason, (SELECT m.number FROM incidents m WHERE m.id = incidents.merged_into) AS merged_into, \
                    absorbed, version \
             FROM incidents ",
            $rest
        )
    };
}

/// Which incidents to list. `None` and empty leave nothing out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CaseFilter {
    /// Any of these.
    pub statuses: Vec<String>,
    /// Any of these.
    pub severities: Vec<String>,
    /// This, or worse.
    pub least_severity: Option<String>,
    /// Any of these.
    pub priorities: Vec<String>,
    /// Any of these.
    pub categories: Vec<String>,
    /// Whose.
    pub assignee: Option<String>,
    /// By which detector or rule.
    pub detector: Option<String>,
    /// Text in the title.
    pub title: Option<String>,
    /// Text in number, title, description or group.
    pub text: Option<String>,
    /// Opened then or later.
    pub from: Option<Timestamp>,
    /// Opened before.
    pub to: Option<Timestamp>,
    /// Those out of sight, too.
    pub archived: bool,
}

/// The newest incidents first, from behind a place (time and id of the last one that was seen) on, with the beginnings of long texts.
///
/// # Errors
/// The statement failed.
pub async fn list(
    connection: &mut PgConnection,
    filter: &CaseFilter,
    behind: Option<(Timestamp, i64)>,
    limit: i64,
) -> Result<Vec<CaseRow>, StoreError> {
    query_as(
        "SELECT id, number, title, left(description, 500) AS description, status::text, severity::text, priority, priority_reason, category, \
                kind, attack_vector, technique, affected[1:20] AS affected, reporter, assignee, detector, group_key, first_seen, last_seen, \
                event_count, usernames[1:20] AS usernames, NULL::text AS root_cause, NULL::text AS resolution, NULL::text AS lessons_learned, \
                created_at, updated_at, acknowledged_at, resolved_at, archived_at, legal_hold_since, legal_hold_by, legal_hold_reason, \
                (SELECT m.number FROM incidents m WHERE m.id = incidents.merged_into) AS merged_into, absorbed, version \
         FROM incidents \
         WHERE (cardinality($1::text[]) = 0 OR status = ANY($1::text[]::incident_status[])) \
           AND ($2::text IS NULL OR severity >= $2::severity) AND ($3::text IS NULL OR assignee = $3) AND ($4::text IS NULL OR detector = $4) \
           AND ($5::text IS NULL OR lower(number || ' ' || title || ' ' || description || ' ' || coalesce(group_key, '')) LIKE lower($5)) \
           AND ($6::timestamptz IS NULL OR created_at >= $6) AND ($7::timestamptz IS NULL OR created_at < $7) \
           AND ($8 OR archived_at IS NULL) AND ($9::timestamptz IS NULL OR (created_at, id) < ($9, $10)) \
           AND (cardinality($11::text[]) = 0 OR severity = ANY($11::text[]::severity[])) \
           AND (cardinality($12::text[]) = 0 OR priority = ANY($12)) AND (cardinality($13::text[]) = 0 OR category = ANY($13)) \
           AND ($14::text IS NULL OR strpos(lower(title), lower($14)) > 0) \
         ORDER BY created_at DESC, id DESC LIMIT $15",
    )
    .bind(&filter.statuses)
    .bind(&filter.least_severity)
    .bind(&filter.assignee)
    .bind(&filter.detector)
    .bind(filter.text.as_deref().map(containing))
    .bind(filter.from)
    .bind(filter.to)
    .bind(filter.archived)
    .bind(behind.map(|(at, _)| at))
    .bind(behind.map(|(_, id)| id))
    .bind(&filter.severities)
    .bind(&filter.priorities)
    .bind(&filter.categories)
    .bind(&filter.title)
    .bind(limit)
    // Planned for its values, so that what is not asked for is not in the plan, and an index may serve what is.
    .persistent(false)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("list incidents"))
}

/// The pattern of LIKE for a text anywhere.
fn containing(text: &str) -> String {
    let escaped = text.chars().flat_map(|c| matches!(c, '%' | '_' | '\\').then_some('\\').into_iter().chain([c]));
    std::iter::once('%').chain(escaped).chain(['%']).collect()
}

/// An incident.
///
/// # Errors
/// The statement failed.
pub async fn by_number(connection: &mut PgConnection, number: &str) -> Result<Option<CaseRow>, StoreError> {
    let row = query_as(select_cases!("WHERE number = $1")).bind(number).fetch_optional(connection).await;
    row.map_err(StoreError::at("read an incident"))
}

/// The same, to be changed: whoever else wants to, the detectors among them, waits until the transaction has ended.
///
/// # Errors
/// The statement failed.
pub async fn by_number_to_change(connection: &mut PgConnection, number: &str) -> Result<Option<CaseRow>, StoreError> {
    let row = query_as(select_cases!("WHERE number = $1 FOR UPDATE")).bind(number).fetch_optional(connection).await;
    row.map_err(StoreError::at("read an incident"))
}

/// The same for several, and those that are part of them or linked with them, by their ids. All who lock several incidents do so in that
/// order, the detectors among them, so that nobody waits in a circle.
///
/// # Errors
/// The statement failed.
pub async fn several_to_change(connection: &mut PgConnection, numbers: &[&str]) -> Result<Vec<CaseRow>, StoreError> {
    let rows = query_as(select_cases!(
        "WHERE id IN (SELECT id FROM incidents WHERE number = ANY($1) \
             UNION SELECT p.id FROM incidents p JOIN incidents i ON p.merged_into = i.id WHERE i.number = ANY($1) \
             UNION SELECT l.other_id FROM incident_links l JOIN incidents i ON l.incident_id = i.id WHERE i.number = ANY($1) \
             UNION SELECT l.incident_id FROM incident_links l JOIN incidents i ON l.other_id = i.id WHERE i.number = ANY($1)) \
         ORDER BY id FOR UPDATE"
    ))
    .bind(numbers)
    .fetch_all(connection)
    .await;
    rows.map_err(StoreError::at("read incidents"))
}

/// Opens an incident; returns its id and number.
///
/// # Errors
/// The statement failed.
pub async fn insert(connection: &mut PgConnection, case: &CaseRow) -> Result<(i64, String), StoreError> {
    query_as(
        "WITH n AS (SELECT nextval(pg_get_serial_sequence('incidents', 'id')) AS id) \
         INSERT INTO incidents (id, number, title, description, severity, priority, priority_reason, category, kind, attack_vector, technique, \
             affected, reporter, assignee, first_seen, last_seen, created_at, updated_at) \
         SELECT id, 'INC-' || to_char($15 AT TIME ZONE 'UTC', 'YYYY') || '-' || lpad(id::text, greatest(6, length(id::text)), '0'), \
             $1, $2, $3::severity, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15 FROM n RETURNING id, number",
    )
    .bind(&case.title)
    .bind(&case.description)
    .bind(&case.severity)
    .bind(&case.priority)
    .bind(&case.priority_reason)
    .bind(&case.category)
    .bind(&case.kind)
    .bind(&case.attack_vector)
    .bind(&case.technique)
    .bind(&case.affected)
    .bind(&case.reporter)
    .bind(&case.assignee)
    .bind(case.first_seen)
    .bind(case.last_seen)
    .bind(case.created_at)
    .fetch_one(connection)
    .await
    .map_err(StoreError::at("open an incident"))
}

/// Writes what somebody changed, and counts the change.
///
/// # Errors
/// The statement failed; a unique violation where the detector has opened another incident for the same group meanwhile.
pub async fn update(connection: &mut PgConnection, case: &CaseRow) -> Result<(), StoreError> {
    query(
        "UPDATE incidents SET title = $2, description = $3, status = $4::incident_status, severity = $5::severity, priority = $6, \
             priority_reason = $7, category = $8, kind = $9, attack_vector = $10, technique = $11, affected = $12, assignee = $13, \
             root_cause = $14, resolution = $15, lessons_learned = $16, acknowledged_at = $17, resolved_at = $18, archived_at = $19, \
             updated_at = $20, version = version + 1 \
         WHERE id = $1",
    )
    .bind(case.id)
    .bind(&case.title)
    .bind(&case.description)
    .bind(&case.status)
    .bind(&case.severity)
    .bind(&case.priority)
    .bind(&case.priority_reason)
    .bind(&case.category)
    .bind(&case.kind)
    .bind(&case.attack_vector)
    .bind(&case.technique)
    .bind(&case.affected)
    .bind(&case.assignee)
    .bind(&case.root_cause)
    .bind(&case.resolution)
    .bind(&case.lessons_learned)
    .bind(case.acknowledged_at)
    .bind(case.resolved_at)
    .bind(case.archived_at)
    .bind(case.updated_at)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("change an incident"))
}

/// Writes whether an incident is under legal hold, and counts the change.
///
/// # Errors
/// The statement failed.
pub async fn update_hold(connection: &mut PgConnection, case: &CaseRow) -> Result<(), StoreError> {
    query(
        "UPDATE incidents SET legal_hold_since = $2, legal_hold_by = $3, legal_hold_reason = $4, updated_at = $5, version = version + 1 \
         WHERE id = $1",
    )
    .bind(case.id)
    .bind(case.legal_hold_since)
    .bind(&case.legal_hold_by)
    .bind(&case.legal_hold_reason)
    .bind(case.updated_at)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("hold an incident"))
}

/// Something that happened to an incident.
#[derive(Debug, Clone, PartialEq, FromRow, serde::Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct Happening {
    pub at: Timestamp,
    pub actor: String,
    pub event: String,
    pub old: Option<Value>,
    pub new: Option<Value>,
}

/// Adds to the timeline.
///
/// # Errors
/// The statement failed.
pub async fn happened(connection: &mut PgConnection, incident: i64, what: &Happening) -> Result<(), StoreError> {
    query("INSERT INTO incident_timeline (incident_id, at, actor, event, old, new) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(incident)
        .bind(what.at)
        .bind(&what.actor)
        .bind(&what.event)
        .bind(&what.old)
        .bind(&what.new)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("write the timeline"))
}

/// The timeline, in order.
///
/// # Errors
/// The statement failed.
pub async fn timeline(connection: &mut PgConnection, incident: i64) -> Result<Vec<Happening>, StoreError> {
    let rows = query_as("SELECT at, actor, event, old, new FROM incident_timeline WHERE incident_id = $1 ORDER BY id")
        .bind(incident)
        .fetch_all(connection)
        .await;
    rows.map_err(StoreError::at("read the timeline"))
}

/// A log record that proves an incident.
#[derive(Debug, Clone, PartialEq, FromRow, serde::Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct Evidence {
    pub log_id: i64,
    pub event_time: Timestamp,
    pub record: Value,
}

/// The records that prove an incident, in the order of time, at most so many bytes of them.
///
/// # Errors
/// The statement failed.
pub async fn evidence(connection: &mut PgConnection, incident: i64, max_bytes: i64) -> Result<Vec<Evidence>, StoreError> {
    let rows = query_as(
        "SELECT log_id, event_time, record FROM ( \
             SELECT log_id, event_time, record, sum(octet_length(record::text)) OVER (ORDER BY event_time, log_id) AS bytes \
             FROM incident_evidence WHERE incident_id = $1) AS e \
         WHERE bytes <= $2 ORDER BY event_time, log_id",
    )
    .bind(incident)
    .bind(max_bytes)
    .fetch_all(connection)
    .await;
    rows.map_err(StoreError::at("read evidence"))
}

/// A note, as it is in its last version.
#[derive(Debug, Clone, PartialEq, FromRow, serde::Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct Note {
    pub id: i64,
    #[schema(value_type = NoteKind)]
    pub kind: String,
    pub author: String,
    pub created_at: Timestamp,
    pub version: i32,
    pub edited_at: Timestamp,
    pub edited_by: String,
    pub body: String,
}

/// The notes of an incident, in order.
///
/// # Errors
/// The statement failed.
pub async fn notes(connection: &mut PgConnection, incident: i64) -> Result<Vec<Note>, StoreError> {
    let rows = query_as(
        "SELECT DISTINCT ON (n.id) n.id, n.kind, n.author, n.created_at, v.version, v.at AS edited_at, v.author AS edited_by, v.body \
         FROM incident_notes n JOIN incident_note_versions v ON v.note_id = n.id WHERE n.incident_id = $1 ORDER BY n.id, v.version DESC",
    )
    .bind(incident)
    .fetch_all(connection)
    .await;
    rows.map_err(StoreError::at("read the notes"))
}

/// Begins a note; returns its id.
///
/// # Errors
/// The statement failed.
pub async fn insert_note(
    connection: &mut PgConnection,
    incident: i64,
    kind: &str,
    author: &str,
    at: Timestamp,
) -> Result<i64, StoreError> {
    query_scalar("INSERT INTO incident_notes (incident_id, kind, author, created_at) VALUES ($1, $2, $3, $4) RETURNING id")
        .bind(incident)
        .bind(kind)
        .bind(author)
        .bind(at)
        .fetch_one(connection)
        .await
        .map_err(StoreError::at("begin a note"))
}

/// Adds a version to a note.
///
/// # Errors
/// The statement failed.
pub async fn insert_note_version(
    connection: &mut PgConnection,
    note: i64,
    version: i32,
    author: &str,
    at: Timestamp,
    body: &str,
) -> Result<(), StoreError> {
    query("INSERT INTO incident_note_versions (note_id, version, author, at, body) VALUES ($1, $2, $3, $4, $5)")
        .bind(note)
        .bind(version)
        .bind(author)
        .bind(at)
        .bind(body)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("write a note"))
}

/// A row of `incident_tasks`, with its incident.
#[derive(Debug, Clone, PartialEq, FromRow, serde::Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct TaskRow {
    pub id: i64,
    #[serde(skip)]
    pub incident_id: i64,
    pub incident: String,
    pub title: String,
    #[schema(value_type = TaskStatus)]
    pub status: String,
    pub assignee: Option<String>,
    pub due_at: Option<Timestamp>,
    pub remind_at: Option<Timestamp>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub done_at: Option<Timestamp>,
    pub version: i64,
}

macro_rules! select_tasks {
    ($rest:literal) => {
        concat!(
            "SELECT t.id, t.incident_id, i.number AS incident, t.title, t.status, t.assignee, t.due_at, t.remind_at, t.created_by, t.created_at, \
                    t.done_at, t.version \
             FROM incident_tasks t JOIN incidents i ON i.id = t.incident_id ",
            $rest
        )
    };
}

/// Tasks: of an incident, of somebody, only those that are to be done, only those that should be done by a time. What is due first comes
/// first.
///
/// # Errors
/// The statement failed.
pub async fn tasks(
    connection: &mut PgConnection,
    incident: Option<&str>,
    assignee: Option<&str>,
    due_before: Option<Timestamp>,
    all: bool,
    limit: i64,
) -> Result<Vec<TaskRow>, StoreError> {
    let rows = query_as(select_tasks!(
        "WHERE ($1::text IS NULL OR i.number = $1) AND ($2::text IS NULL OR t.assignee = $2) AND ($3::timestamptz IS NULL OR t.due_at < $3) \
           AND ($4 OR t.status IN ('open', 'in_progress')) ORDER BY t.due_at NULLS LAST, t.id LIMIT $5"
    ))
    .bind(incident)
    .bind(assignee)
    .bind(due_before)
    .bind(all)
    .bind(limit)
    .fetch_all(connection)
    .await;
    rows.map_err(StoreError::at("list tasks"))
}

/// A task.
///
/// # Errors
/// The statement failed.
pub async fn task(connection: &mut PgConnection, id: i64) -> Result<Option<TaskRow>, StoreError> {
    let row = query_as(select_tasks!("WHERE t.id = $1")).bind(id).fetch_optional(connection).await;
    row.map_err(StoreError::at("read a task"))
}

/// Makes a task; returns its id.
///
/// # Errors
/// The statement failed.
pub async fn insert_task(connection: &mut PgConnection, task: &TaskRow) -> Result<i64, StoreError> {
    query_scalar(
        "INSERT INTO incident_tasks (incident_id, title, assignee, due_at, remind_at, created_by, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
    )
    .bind(task.incident_id)
    .bind(&task.title)
    .bind(&task.assignee)
    .bind(task.due_at)
    .bind(task.remind_at)
    .bind(&task.created_by)
    .bind(task.created_at)
    .fetch_one(connection)
    .await
    .map_err(StoreError::at("make a task"))
}

/// Writes what somebody changed of a task, and counts the change.
///
/// # Errors
/// The statement failed.
pub async fn update_task(connection: &mut PgConnection, task: &TaskRow) -> Result<(), StoreError> {
    query(
        "UPDATE incident_tasks SET title = $2, status = $3, assignee = $4, due_at = $5, remind_at = $6, done_at = $7, version = version + 1 \
         WHERE id = $1",
    )
    .bind(task.id)
    .bind(&task.title)
    .bind(&task.status)
    .bind(&task.assignee)
    .bind(task.due_at)
    .bind(task.remind_at)
    .bind(task.done_at)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("change a task"))
}

/// Whether somebody may be given work: a user who can sign in.
///
/// # Errors
/// The statement failed.
pub async fn can_be_assigned(connection: &mut PgConnection, name: &str) -> Result<bool, StoreError> {
    query_scalar("SELECT EXISTS (SELECT FROM users WHERE name = $1 AND disabled_at IS NULL AND role >= 'analyst')")
        .bind(name)
        .fetch_one(connection)
        .await
        .map_err(StoreError::at("look for a user"))
}
