//! `observables`, and which incident has which. Whatever changes what an incident has holds the lock on the incident.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, query, query_as, query_scalar};

use super::StoreError;
use crate::record::case::Status;
use crate::record::observable::{Kind, Observable, Tlp};
use crate::record::{Severity, Timestamp};

/// Observables of one incident at most.
pub const MAX_OF_INCIDENT: i64 = 1_000;

/// A log record in evidence that was not looked through yet, as far as observables are in it.
#[derive(Debug, FromRow)]
#[allow(missing_docs)]
pub struct Waiting {
    pub id: i64,
    pub incident_id: i64,
    pub log_id: i64,
    pub src_ip: Option<String>,
    pub dst_ip: Option<String>,
    pub username: Option<String>,
    pub message: Option<String>,
    pub fields: Option<Value>,
}

/// Locks the incidents that the evidence waiting longest belongs to, at most so many pieces of it, and returns them. Those that somebody
/// is at are left out.
///
/// # Errors
/// The statement failed.
pub async fn incidents_with_waiting(connection: &mut PgConnection, most: i64) -> Result<Vec<i64>, StoreError> {
    query_scalar(
        "SELECT id FROM incidents WHERE id IN (SELECT incident_id FROM incident_evidence WHERE NOT extracted ORDER BY id LIMIT $1) \
         ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
    )
    .bind(most)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("find evidence to look through"))
}

/// Evidence of these incidents that was not looked through: at most so many pieces, and beyond the first at most so many bytes of them.
///
/// # Errors
/// The statement failed.
pub async fn waiting(
    connection: &mut PgConnection,
    incidents: &[i64],
    most: i64,
    max_bytes: i64,
) -> Result<Vec<Waiting>, StoreError> {
    query_as(
        "SELECT id, incident_id, log_id, record->>'src_ip' AS src_ip, record->>'dst_ip' AS dst_ip, record->>'username' AS username, \
                record->>'message' AS message, nullif(record->'fields', 'null') AS fields \
         FROM (SELECT *, sum(bytes) OVER (ORDER BY id) - bytes AS bytes_before \
               FROM (SELECT *, octet_length(record::text) AS bytes FROM incident_evidence \
                     WHERE NOT extracted AND incident_id = ANY($1) ORDER BY id LIMIT $2) AS first) AS e \
         WHERE bytes_before < $3 ORDER BY id",
    )
    .bind(incidents)
    .bind(most)
    .bind(max_bytes)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("read evidence to look through"))
}

/// Notes that evidence was looked through.
///
/// # Errors
/// The statement failed.
pub async fn looked_through(connection: &mut PgConnection, evidence: &[i64]) -> Result<(), StoreError> {
    let done = query("UPDATE incident_evidence SET extracted = true WHERE id = ANY($1)").bind(evidence).execute(connection).await;
    done.map(|_| ()).map_err(StoreError::at("note that evidence was looked through"))
}

/// Ids of observables, which are made where they are missing, and stay until the transaction has ended.
///
/// # Errors
/// A statement failed.
pub async fn ids(connection: &mut PgConnection, wanted: &[&Observable]) -> Result<HashMap<Observable, i64>, StoreError> {
    let mut ids = HashMap::with_capacity(wanted.len());
    // Twice, unless somebody makes or removes the same ones meanwhile.
    loop {
        let missing: Vec<&Observable> = wanted.iter().copied().filter(|o| !ids.contains_key(*o)).collect();
        if missing.is_empty() {
            return Ok(ids);
        }
        make(connection, &missing).await?;
        for (at, id) in keep(connection, &missing).await? {
            let place = usize::try_from(at - 1).unwrap_or(usize::MAX);
            ids.extend(missing.get(place).map(|observable| ((*observable).clone(), id)));
        }
    }
}

/// Makes those that are not there, in one order for all, so that nobody waits in a circle.
async fn make(connection: &mut PgConnection, wanted: &[&Observable]) -> Result<(), StoreError> {
    query(
        "INSERT INTO observables (kind, value) SELECT kind::observable_kind, value FROM unnest($1::text[], $2::text[]) AS n (kind, value) \
         WHERE NOT EXISTS (SELECT FROM observables o WHERE o.value = n.value AND o.kind = n.kind::observable_kind) \
         ORDER BY value, kind ON CONFLICT DO NOTHING",
    )
    .bind(wanted.iter().map(|o| o.kind().as_str()).collect::<Vec<_>>())
    .bind(wanted.iter().map(|o| o.value()).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("make observables"))
}

/// Places in `wanted`, from 1, and ids of those that are there; nobody removes them until the transaction has ended.
async fn keep(connection: &mut PgConnection, wanted: &[&Observable]) -> Result<Vec<(i64, i64)>, StoreError> {
    query_as(
        "SELECT n.place, o.id FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS n (kind, value, place) \
         JOIN observables o ON o.value = n.value AND o.kind = n.kind::observable_kind ORDER BY o.id FOR KEY SHARE OF o",
    )
    .bind(wanted.iter().map(|o| o.kind().as_str()).collect::<Vec<_>>())
    .bind(wanted.iter().map(|o| o.value()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("find observables"))
}

/// Gives incidents what was found in their evidence: incident, observable, log record. What one had, or somebody took away from it, stays
/// as it is; what is beyond [`MAX_OF_INCIDENT`] is left out.
///
/// # Errors
/// The statement failed.
pub async fn insert_found(
    connection: &mut PgConnection,
    found: &[(i64, i64, i64)],
    by: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO incident_observables (incident_id, observable_id, log_id, added_by, added_at) \
         SELECT incident, observable, log, $4, $5 FROM ( \
             SELECT n.*, row_number() OVER (PARTITION BY n.incident ORDER BY n.place) + coalesce(h.held, 0) AS nth \
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS n (incident, observable, log, place) \
             LEFT JOIN (SELECT incident_id, count(*) AS held FROM incident_observables WHERE incident_id = ANY($1) GROUP BY 1) AS h \
                 ON h.incident_id = n.incident \
             WHERE NOT EXISTS (SELECT FROM incident_observables o WHERE o.incident_id = n.incident AND o.observable_id = n.observable)) AS new \
         WHERE nth <= $6 ON CONFLICT DO NOTHING",
    )
    .bind(found.iter().map(|f| f.0).collect::<Vec<_>>())
    .bind(found.iter().map(|f| f.1).collect::<Vec<_>>())
    .bind(found.iter().map(|f| f.2).collect::<Vec<_>>())
    .bind(by)
    .bind(at)
    .bind(MAX_OF_INCIDENT)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("give incidents their observables"))
}

/// An observable of an incident.
#[derive(Debug, Clone, PartialEq, FromRow, serde::Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct ObservableRow {
    pub id: i64,
    #[schema(value_type = Kind)]
    pub kind: String,
    pub value: String,
    /// Traffic Light Protocol 2.0.
    #[schema(value_type = Tlp)]
    pub tlp: String,
    /// `evidence` or `hand`.
    #[schema(pattern = "^(evidence|hand)$")]
    pub source: String,
    /// The log record that it was first found in.
    pub log_id: Option<i64>,
    pub added_by: String,
    pub added_at: Timestamp,
    pub comment: Option<String>,
}

macro_rules! select_observables {
    ($rest:literal) => {
        concat!(
            "SELECT o.id, o.kind::text, o.value, x.tlp::text, CASE WHEN x.log_id IS NULL THEN 'hand' ELSE 'evidence' END AS source, x.log_id, \
                    x.added_by, x.added_at, x.comment \
             FROM incident_observables x JOIN observables o ON o.id = x.observable_id ",
            $rest
        )
    };
}

/// The observables of an incident, by kind and value.
///
/// # Errors
/// The statement failed.
pub async fn of_incident(connection: &mut PgConnection, incident: i64) -> Result<Vec<ObservableRow>, StoreError> {
    query_as(select_observables!("WHERE x.incident_id = $1 AND x.removed_at IS NULL ORDER BY o.kind, o.value LIMIT $2"))
        .bind(incident)
        .bind(MAX_OF_INCIDENT)
        .fetch_all(connection)
        .await
        .map_err(StoreError::at("list observables"))
}

/// One of them.
///
/// # Errors
/// The statement failed.
pub async fn one(connection: &mut PgConnection, incident: i64, id: i64) -> Result<Option<ObservableRow>, StoreError> {
    query_as(select_observables!("WHERE x.incident_id = $1 AND x.observable_id = $2 AND x.removed_at IS NULL"))
        .bind(incident)
        .bind(id)
        .fetch_optional(connection)
        .await
        .map_err(StoreError::at("read an observable"))
}

/// How many an incident has, with those that were taken away from it.
///
/// # Errors
/// The statement failed.
pub async fn count(connection: &mut PgConnection, incident: i64) -> Result<i64, StoreError> {
    query_scalar("SELECT count(*) FROM incident_observables WHERE incident_id = $1")
        .bind(incident)
        .fetch_one(connection)
        .await
        .map_err(StoreError::at("count observables"))
}

/// What somebody says of an observable.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Said<'a> {
    pub tlp: Tlp,
    pub comment: Option<&'a str>,
}

/// Gives an incident an observable by hand, or one back that was taken away from it.
///
/// # Errors
/// The statement failed.
pub async fn insert(
    connection: &mut PgConnection,
    (incident, id): (i64, i64),
    said: &Said<'_>,
    by: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO incident_observables (incident_id, observable_id, tlp, comment, added_by, added_at) VALUES ($1, $2, $3::tlp, $4, $5, $6) \
         ON CONFLICT (incident_id, observable_id) DO UPDATE SET tlp = excluded.tlp, comment = excluded.comment, log_id = NULL, \
             added_by = excluded.added_by, added_at = excluded.added_at, removed_at = NULL",
    )
    .bind(incident)
    .bind(id)
    .bind(said.tlp.as_str())
    .bind(said.comment)
    .bind(by)
    .bind(at)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("give an incident an observable"))
}

/// Changes what is said of an observable of an incident.
///
/// # Errors
/// The statement failed.
pub async fn update(connection: &mut PgConnection, incident: i64, row: &ObservableRow) -> Result<(), StoreError> {
    query("UPDATE incident_observables SET tlp = $3::tlp, comment = $4 WHERE incident_id = $1 AND observable_id = $2")
        .bind(incident)
        .bind(row.id)
        .bind(&row.tlp)
        .bind(&row.comment)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("change an observable"))
}

/// Takes an observable away from an incident, for good: evidence does not bring it back.
///
/// # Errors
/// The statement failed.
pub async fn remove(connection: &mut PgConnection, incident: i64, id: i64, at: Timestamp) -> Result<(), StoreError> {
    query("UPDATE incident_observables SET removed_at = $3 WHERE incident_id = $1 AND observable_id = $2")
        .bind(incident)
        .bind(id)
        .bind(at)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("take an observable away"))
}

/// Where an observable was seen.
#[derive(Debug, Clone, PartialEq, FromRow, serde::Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct Sighting {
    #[serde(skip)]
    pub incident_id: i64,
    #[serde(skip)]
    pub observable_id: i64,
    #[schema(value_type = Kind)]
    pub kind: String,
    pub value: String,
    #[schema(value_type = Tlp)]
    pub tlp: String,
    pub incident: String,
    pub title: String,
    #[schema(value_type = Status)]
    pub status: String,
    #[schema(value_type = Severity)]
    pub severity: String,
    pub added_at: Timestamp,
}

/// The incidents that have any of these, the newest first, from behind a place on: keys of incident and observable of the last one that
/// was seen.
///
/// # Errors
/// The statement failed.
pub async fn sightings(
    connection: &mut PgConnection,
    wanted: &[Observable],
    behind: Option<(i64, i64)>,
    limit: i64,
) -> Result<Vec<Sighting>, StoreError> {
    query_as(
        "SELECT x.incident_id, x.observable_id, o.kind::text, o.value, x.tlp::text, i.number AS incident, i.title, i.status::text, \
                i.severity::text, x.added_at \
         FROM unnest($1::text[], $2::text[]) AS n (kind, value) JOIN observables o ON o.value = n.value AND o.kind = n.kind::observable_kind \
         CROSS JOIN LATERAL (SELECT * FROM incident_observables x WHERE x.observable_id = o.id AND x.removed_at IS NULL \
             AND ($3::bigint IS NULL OR x.incident_id <= $3) AND ($3::bigint IS NULL OR (x.incident_id, x.observable_id) < ($3, $4)) \
             ORDER BY x.incident_id DESC LIMIT $5) AS x \
         JOIN incidents i ON i.id = x.incident_id ORDER BY x.incident_id DESC, x.observable_id DESC LIMIT $5",
    )
    .bind(wanted.iter().map(|o| o.kind().as_str()).collect::<Vec<_>>())
    .bind(wanted.iter().map(Observable::value).collect::<Vec<_>>())
    .bind(behind.map(|(incident, _)| incident))
    .bind(behind.map(|(_, observable)| observable))
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("find where an observable was seen"))
}

/// Something that two incidents have in common.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct Shared {
    #[schema(value_type = Kind)]
    pub kind: String,
    pub value: String,
    /// Incidents that have it.
    pub incidents: i64,
}

/// An incident that has something in common with another.
#[derive(Debug, Clone, PartialEq, FromRow, serde::Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct Related {
    pub number: String,
    pub title: String,
    #[schema(value_type = Status)]
    pub status: String,
    #[schema(value_type = Severity)]
    pub severity: String,
    pub created_at: Timestamp,
    /// Observables that both have.
    pub shared_count: i64,
    /// Of them the rarest, at most ten.
    #[sqlx(json)]
    pub shared: Vec<Shared>,
}

/// The incidents that share most with one, at most 20: what few incidents have weighs more (the logarithm of 101 over their number), and
/// what more than 100 have weighs nothing.
///
/// # Errors
/// The statement failed.
pub async fn related(connection: &mut PgConnection, incident: i64) -> Result<Vec<Related>, StoreError> {
    query_as(
        "WITH shared AS MATERIALIZED ( \
             SELECT seen.incident_id, seen.observable_id, seen.spread FROM incident_observables ours \
             CROSS JOIN LATERAL ( \
                 SELECT few.*, count(*) OVER () AS spread FROM ( \
                     SELECT incident_id, observable_id FROM incident_observables \
                     WHERE observable_id = ours.observable_id AND removed_at IS NULL LIMIT 101) AS few) AS seen \
             WHERE ours.incident_id = $1 AND ours.removed_at IS NULL AND seen.spread <= 100 AND seen.incident_id <> $1), \
         best AS MATERIALIZED ( \
             SELECT incident_id, count(*) AS shared_count, sum(ln(101::float8 / spread)) AS weight \
             FROM shared GROUP BY incident_id ORDER BY weight DESC, incident_id DESC LIMIT 20), \
         telling AS MATERIALIZED ( \
             SELECT s.*, row_number() OVER (PARTITION BY s.incident_id ORDER BY s.spread, s.observable_id) AS nth \
             FROM shared s WHERE s.incident_id IN (SELECT incident_id FROM best)) \
         SELECT i.number, i.title, i.status::text, i.severity::text, i.created_at, b.shared_count, \
                (SELECT jsonb_agg(jsonb_build_object('kind', o.kind, 'value', o.value, 'incidents', t.spread) ORDER BY t.nth) \
                 FROM telling t JOIN observables o ON o.id = t.observable_id WHERE t.incident_id = b.incident_id AND t.nth <= 10) AS shared \
         FROM best b JOIN incidents i ON i.id = b.incident_id ORDER BY b.weight DESC, b.incident_id DESC",
    )
    .bind(incident)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("find related incidents"))
}
