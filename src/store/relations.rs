//! How incidents relate to each other: links, merging, splitting; and the end of one for good. Whoever changes several incidents locks all
//! of them first, in the order of their ids.

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{Executor as _, FromRow, query, query_as, query_scalar};

use super::StoreError;
use super::cases::CaseRow;
use super::observables::MAX_OF_INCIDENT;
use crate::record::case::{LinkKind, Status};
use crate::record::{Severity, Timestamp};

/// Another incident that somebody linked one with.
#[derive(Debug, Clone, PartialEq, FromRow, serde::Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct Link {
    /// What the one is to the other.
    #[schema(value_type = LinkKind)]
    pub kind: String,
    pub incident: String,
    pub title: String,
    #[schema(value_type = Status)]
    pub status: String,
    #[schema(value_type = Severity)]
    pub severity: String,
    pub created_by: String,
    pub created_at: Timestamp,
}

/// The links of an incident, as they are from its side.
///
/// # Errors
/// The statement failed.
pub async fn links(connection: &mut PgConnection, incident: i64) -> Result<Vec<Link>, StoreError> {
    query_as(
        "SELECT l.kind, i.number AS incident, i.title, i.status::text, i.severity::text, l.created_by, l.created_at FROM ( \
             SELECT kind, other_id AS id, created_by, created_at FROM incident_links WHERE incident_id = $1 \
             UNION ALL \
             SELECT CASE kind WHEN 'duplicate_of' THEN 'has_duplicate' WHEN 'caused_by' THEN 'cause_of' ELSE kind END, incident_id, created_by, \
                    created_at FROM incident_links WHERE other_id = $1) AS l \
         JOIN incidents i ON i.id = l.id ORDER BY l.kind, i.id",
    )
    .bind(incident)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("read the links of an incident"))
}

/// Links the first incident with the second; false if they were linked so before.
///
/// # Errors
/// The statement failed.
pub async fn insert_link(
    connection: &mut PgConnection,
    kind: &str,
    (incident, other): (i64, i64),
    by: &str,
    at: Timestamp,
) -> Result<bool, StoreError> {
    query(
        "INSERT INTO incident_links (incident_id, other_id, kind, created_by, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(incident)
    .bind(other)
    .bind(kind)
    .bind(by)
    .bind(at)
    .execute(connection)
    .await
    .map(|done| done.rows_affected() > 0)
    .map_err(StoreError::at("link incidents"))
}

/// Ends a link; false if there was none.
///
/// # Errors
/// The statement failed.
pub async fn delete_link(connection: &mut PgConnection, kind: &str, (incident, other): (i64, i64)) -> Result<bool, StoreError> {
    query("DELETE FROM incident_links WHERE incident_id = $1 AND other_id = $2 AND kind = $3")
        .bind(incident)
        .bind(other)
        .bind(kind)
        .execute(connection)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(StoreError::at("end a link"))
}

/// Keeps transactions of ingestion from changing incidents until this one has ended. Without it, one that waits for a merged incident would
/// find it resolved, and open another beside the one that goes on. To be taken before any incident is locked, as ingestion does. Whoever
/// falls silent meanwhile, or has to wait for somebody who did, gives up after ten seconds.
///
/// # Errors
/// A statement failed.
pub async fn hold_ingestion(connection: &mut PgConnection) -> Result<(), StoreError> {
    let limits = "SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL lock_timeout = '10s'";
    connection.execute(limits).await.map_err(StoreError::at("limit how long ingestion is kept waiting"))?;
    let held = query("SELECT 1 FROM positions WHERE input = 'pipeline' FOR UPDATE").execute(connection).await;
    held.map(|_| ()).map_err(StoreError::at("keep ingestion waiting"))
}

/// The number of the incident that one became a part of, and of those that are part of it.
///
/// # Errors
/// The statement failed.
pub async fn parts(connection: &mut PgConnection, incident: i64) -> Result<Vec<String>, StoreError> {
    query_scalar("SELECT number FROM incidents WHERE merged_into = $1 ORDER BY id")
        .bind(incident)
        .fetch_all(connection)
        .await
        .map_err(StoreError::at("find what was merged"))
}

/// What came along from one incident to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow, serde::Serialize)]
#[allow(missing_docs)]
pub struct Moved {
    /// Log records that the other one did not have.
    pub evidence: i64,
    /// Events of the log records that both had: they would be counted twice.
    #[serde(skip)]
    pub shared_events: i64,
    pub notes: i64,
    pub tasks: i64,
    pub observables: i64,
}

/// Moves everything that an incident has to another: evidence, notes, tasks, observables. A log record or an observable that both have is
/// there once. Observables beyond [`MAX_OF_INCIDENT`] stay where they are.
///
/// # Errors
/// The statement failed.
pub async fn move_everything(connection: &mut PgConnection, from: i64, into: i64) -> Result<Moved, StoreError> {
    // Each part sees the tables as they were before the statement, and no two of them change the same row.
    query_as(
        "WITH twice AS ( \
             SELECT a.id AS gone, b.id AS stays, a.events AS a, b.events AS b FROM incident_evidence a \
             JOIN incident_evidence b ON b.incident_id = $2 AND b.log_id = a.log_id WHERE a.incident_id = $1), \
         widened AS (UPDATE incident_evidence e SET events = t.a FROM twice t WHERE e.id = t.stays AND t.a > t.b), \
         dropped AS (DELETE FROM incident_evidence e USING twice t WHERE e.id = t.gone), \
         evidence AS (UPDATE incident_evidence e SET incident_id = $2 \
             WHERE e.incident_id = $1 AND NOT EXISTS (SELECT FROM twice t WHERE t.gone = e.id) RETURNING 1), \
         notes AS (UPDATE incident_notes SET incident_id = $2 WHERE incident_id = $1 RETURNING 1), \
         tasks AS (UPDATE incident_tasks SET incident_id = $2 WHERE incident_id = $1 RETURNING 1), \
         both_have AS ( \
             SELECT a.* FROM incident_observables a JOIN incident_observables b USING (observable_id) WHERE a.incident_id = $1 AND b.incident_id = $2), \
         united AS (UPDATE incident_observables o SET tlp = greatest(o.tlp, a.tlp), comment = coalesce(o.comment, a.comment), \
                 removed_at = CASE WHEN a.removed_at IS NOT NULL THEN o.removed_at END \
             FROM both_have a WHERE o.incident_id = $2 AND o.observable_id = a.observable_id), \
         forgotten AS (DELETE FROM incident_observables o USING both_have a WHERE o.incident_id = $1 AND o.observable_id = a.observable_id), \
         observables AS (UPDATE incident_observables o SET incident_id = $2 WHERE o.incident_id = $1 AND o.observable_id IN ( \
                 SELECT n.observable_id FROM incident_observables n \
                 WHERE n.incident_id = $1 AND NOT EXISTS (SELECT FROM both_have a WHERE a.observable_id = n.observable_id) \
                 ORDER BY n.log_id IS NOT NULL, n.added_at, n.observable_id \
                 LIMIT greatest(0, $3 - (SELECT count(*) FROM incident_observables WHERE incident_id = $2))) RETURNING 1) \
         SELECT (SELECT count(*) FROM evidence) AS evidence, (SELECT coalesce(sum(least(a, b)), 0)::bigint FROM twice) AS shared_events, \
                (SELECT count(*) FROM notes) AS notes, (SELECT count(*) FROM tasks) AS tasks, \
                (SELECT count(*) FROM observables) AS observables",
    )
    .bind(from)
    .bind(into)
    .bind(MAX_OF_INCIDENT)
    .fetch_one(connection)
    .await
    .map_err(StoreError::at("move what an incident has"))
}

/// Writes what an incident rests on, after evidence came or went, and counts the change.
///
/// # Errors
/// The statement failed.
pub async fn recount(connection: &mut PgConnection, case: &CaseRow) -> Result<(), StoreError> {
    query(
        "UPDATE incidents SET event_count = $2, first_seen = $3, last_seen = $4, severity = $5::severity, priority = $6, usernames = $7, \
             affected = $8, description = $9, absorbed = $10, updated_at = $11, version = version + 1 \
         WHERE id = $1",
    )
    .bind(case.id)
    .bind(case.event_count)
    .bind(case.first_seen)
    .bind(case.last_seen)
    .bind(&case.severity)
    .bind(&case.priority)
    .bind(&case.usernames)
    .bind(&case.affected)
    .bind(&case.description)
    .bind(case.absorbed)
    .bind(case.updated_at)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("count what an incident rests on"))
}

/// Makes an incident a part of another: it ends, and rests on nothing any more.
///
/// # Errors
/// The statement failed.
pub async fn become_part(
    connection: &mut PgConnection,
    incident: i64,
    of: i64,
    resolution: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    query(
        "UPDATE incidents SET merged_into = $2, status = 'resolved', resolution = $3, event_count = 0, absorbed = false, \
             acknowledged_at = coalesce(acknowledged_at, $4), resolved_at = coalesce(resolved_at, $4), updated_at = $4, version = version + 1 \
         WHERE id = $1",
    )
    .bind(incident)
    .bind(of)
    .bind(resolution)
    .bind(at)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("make an incident a part of another"))
}

/// Makes the parts of an incident parts of another; returns their ids.
///
/// # Errors
/// The statement failed.
pub async fn hand_on_parts(connection: &mut PgConnection, from: i64, into: i64, at: Timestamp) -> Result<Vec<i64>, StoreError> {
    query_scalar(
        "UPDATE incidents SET merged_into = $2, updated_at = $3, version = version + 1 WHERE merged_into = $1 RETURNING id",
    )
    .bind(from)
    .bind(into)
    .bind(at)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("hand on what was merged"))
}

/// Log records that went from one incident to another.
#[derive(Debug, Clone, PartialEq, FromRow)]
#[allow(missing_docs)]
pub struct Taken {
    pub records: i64,
    pub events: i64,
    pub first_seen: Option<Timestamp>,
    pub last_seen: Option<Timestamp>,
    pub usernames: Vec<String>,
}

/// Gives log records of an incident to another one, by their ids in `logs`. They are looked through again, for the other one's sake.
///
/// # Errors
/// The statement failed.
pub async fn take_evidence(connection: &mut PgConnection, from: i64, into: i64, log_ids: &[i64]) -> Result<Taken, StoreError> {
    query_as(
        "WITH taken AS (UPDATE incident_evidence SET incident_id = $2, extracted = false WHERE incident_id = $1 AND log_id = ANY($3) \
             RETURNING events, event_time, record->>'username' AS username) \
         SELECT count(*) AS records, coalesce(sum(events), 0)::bigint AS events, min(event_time) AS first_seen, max(event_time) AS last_seen, \
                coalesce((array_agg(DISTINCT username ORDER BY username) FILTER (WHERE username IS NOT NULL))[1:100], '{}') AS usernames \
         FROM taken",
    )
    .bind(from)
    .bind(into)
    .bind(log_ids)
    .fetch_one(connection)
    .await
    .map_err(StoreError::at("give evidence to another incident"))
}

/// What evidence an incident has.
#[derive(Debug, Clone, PartialEq, FromRow)]
#[allow(missing_docs)]
pub struct Held {
    pub events: i64,
    pub first_seen: Option<Timestamp>,
    pub last_seen: Option<Timestamp>,
}

/// What evidence an incident has.
///
/// # Errors
/// The statement failed.
pub async fn held(connection: &mut PgConnection, incident: i64) -> Result<Held, StoreError> {
    query_as(
        "SELECT coalesce(sum(events), 0)::bigint AS events, min(event_time) AS first_seen, max(event_time) AS last_seen \
         FROM incident_evidence WHERE incident_id = $1",
    )
    .bind(incident)
    .fetch_one(connection)
    .await
    .map_err(StoreError::at("count evidence"))
}

/// Gives notes of an incident to another one; returns how many.
///
/// # Errors
/// The statement failed.
pub async fn take_notes(connection: &mut PgConnection, from: i64, into: i64, ids: &[i64]) -> Result<u64, StoreError> {
    query("UPDATE incident_notes SET incident_id = $2 WHERE incident_id = $1 AND id = ANY($3)")
        .bind(from)
        .bind(into)
        .bind(ids)
        .execute(connection)
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::at("give notes to another incident"))
}

/// Gives tasks of an incident to another one; returns how many.
///
/// # Errors
/// The statement failed.
pub async fn take_tasks(connection: &mut PgConnection, from: i64, into: i64, ids: &[i64]) -> Result<u64, StoreError> {
    query("UPDATE incident_tasks SET incident_id = $2 WHERE incident_id = $1 AND id = ANY($3)")
        .bind(from)
        .bind(into)
        .bind(ids)
        .execute(connection)
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::at("give tasks to another incident"))
}

/// After log records went to another incident: copies what people said of the observables that were first found there, takes the
/// observables away from the first one unless somebody said something of them, and has the rest of its evidence looked through again,
/// which may hold them too.
///
/// # Errors
/// The statement failed.
pub async fn share_observables(connection: &mut PgConnection, from: i64, into: i64, log_ids: &[i64]) -> Result<(), StoreError> {
    query(
        "WITH theirs AS (SELECT * FROM incident_observables WHERE incident_id = $1 AND log_id = ANY($3)), \
         copied AS (INSERT INTO incident_observables (incident_id, observable_id, tlp, log_id, added_by, added_at, comment, removed_at) \
             SELECT $2, observable_id, tlp, log_id, added_by, added_at, comment, removed_at FROM theirs), \
         gone AS (DELETE FROM incident_observables o USING theirs t WHERE o.incident_id = $1 AND o.observable_id = t.observable_id \
             AND t.tlp = 'amber' AND t.comment IS NULL AND t.removed_at IS NULL RETURNING 1) \
         UPDATE incident_evidence SET extracted = false WHERE incident_id = $1 AND extracted AND EXISTS (SELECT FROM gone)",
    )
    .bind(from)
    .bind(into)
    .bind(log_ids)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("share observables"))
}

/// What is removed with an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow, serde::Serialize)]
#[allow(missing_docs)]
pub struct Purged {
    pub evidence: i64,
    pub notes: i64,
    pub tasks: i64,
    pub timeline: i64,
    pub observables: i64,
}

/// Removes everything that belongs to an incident, for good. Returns what it was, and the observables that it had.
///
/// # Errors
/// The statement failed.
pub async fn purge_belongings(connection: &mut PgConnection, incident: i64) -> Result<(Purged, Vec<i64>), StoreError> {
    #[derive(FromRow)]
    struct Row {
        #[sqlx(flatten)]
        purged: Purged,
        ids: Vec<i64>,
    }
    let row: Row = query_as(
        "WITH evidence AS (DELETE FROM incident_evidence WHERE incident_id = $1 RETURNING 1), \
         versions AS (DELETE FROM incident_note_versions v USING incident_notes n WHERE n.id = v.note_id AND n.incident_id = $1), \
         notes AS (DELETE FROM incident_notes WHERE incident_id = $1 RETURNING 1), \
         tasks AS (DELETE FROM incident_tasks WHERE incident_id = $1 RETURNING 1), \
         timeline AS (DELETE FROM incident_timeline WHERE incident_id = $1 RETURNING 1), \
         observables AS (DELETE FROM incident_observables WHERE incident_id = $1 RETURNING observable_id), \
         links AS (DELETE FROM incident_links WHERE incident_id = $1 OR other_id = $1) \
         SELECT (SELECT count(*) FROM evidence) AS evidence, (SELECT count(*) FROM notes) AS notes, (SELECT count(*) FROM tasks) AS tasks, \
                (SELECT count(*) FROM timeline) AS timeline, (SELECT count(*) FROM observables) AS observables, \
                ARRAY(SELECT observable_id FROM observables ORDER BY 1) AS ids",
    )
    .bind(incident)
    .fetch_one(connection)
    .await
    .map_err(StoreError::at("remove what belongs to an incident"))?;
    Ok((row.purged, row.ids))
}

/// Removes an incident to which nothing belongs any more.
///
/// # Errors
/// The statement failed.
pub async fn purge(connection: &mut PgConnection, incident: i64) -> Result<(), StoreError> {
    let gone = query("DELETE FROM incidents WHERE id = $1").bind(incident).execute(connection).await;
    gone.map(|_| ()).map_err(StoreError::at("remove an incident"))
}

/// Removes those of these observables that no incident has any more.
///
/// # Errors
/// A statement failed.
pub async fn purge_observables(connection: &mut PgConnection, ids: &[i64]) -> Result<(), StoreError> {
    // Locked first: whoever is about to give one to an incident has then done so, or waits and makes it anew.
    let locked =
        query("SELECT 1 FROM observables WHERE id = ANY($1) ORDER BY id FOR UPDATE").bind(ids).execute(&mut *connection).await;
    locked.map_err(StoreError::at("lock observables"))?;
    query("DELETE FROM observables o WHERE id = ANY($1) AND NOT EXISTS (SELECT FROM incident_observables x WHERE x.observable_id = o.id)")
        .bind(ids)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("remove observables"))
}

/// Adds the same to the timelines of several incidents.
///
/// # Errors
/// The statement failed.
pub async fn happened_to_all(
    connection: &mut PgConnection,
    incidents: &[i64],
    what: &super::cases::Happening,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO incident_timeline (incident_id, at, actor, event, old, new) SELECT id, $2, $3, $4, $5, $6 FROM unnest($1::bigint[]) AS id",
    )
    .bind(incidents)
    .bind(what.at)
    .bind(&what.actor)
    .bind(&what.event)
    .bind::<&Option<Value>>(&what.old)
    .bind::<&Option<Value>>(&what.new)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("write the timelines"))
}
