//! `incident_evidence`, as people add to it.

use sqlx::postgres::PgConnection;
use sqlx::{query, query_scalar};

use super::StoreError;
use crate::record::Timestamp;

/// Copies log records to an incident; returns the ids of those that were not there yet.
///
/// # Errors
/// The statement failed.
pub async fn attach_logs(connection: &mut PgConnection, incident: i64, logs: &[i64]) -> Result<Vec<i64>, StoreError> {
    query_scalar(
        "WITH attached AS (INSERT INTO incident_evidence (incident_id, log_id, event_time, record) \
             SELECT $1, l.id, l.event_time, to_jsonb(l) FROM logs l WHERE l.id = ANY($2) ON CONFLICT DO NOTHING RETURNING log_id) \
         SELECT log_id FROM attached ORDER BY log_id",
    )
    .bind(incident)
    .bind(logs)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("attach evidence"))
}

/// Which of these log records are evidence of an incident.
///
/// # Errors
/// The statement failed.
pub async fn attached_logs(connection: &mut PgConnection, incident: i64, logs: &[i64]) -> Result<Vec<i64>, StoreError> {
    query_scalar("SELECT log_id FROM incident_evidence WHERE incident_id = $1 AND log_id = ANY($2)")
        .bind(incident)
        .bind(logs)
        .fetch_all(connection)
        .await
        .map_err(StoreError::at("look for evidence"))
}

/// Counts further events of an incident, which is a change that somebody made. Its detector may tell of the same ones later: from now on
/// that is held against the evidence.
///
/// # Errors
/// The statement failed.
pub async fn count_events(connection: &mut PgConnection, incident: i64, more: i64, now: Timestamp) -> Result<(), StoreError> {
    query("UPDATE incidents SET event_count = event_count + $2, absorbed = true, updated_at = $3, version = version + 1 WHERE id = $1")
        .bind(incident)
        .bind(more)
        .bind(now)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("count the events of an incident"))
}
