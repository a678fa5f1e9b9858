//! The figures of reports. Log records are never counted here: `log_rollups` has done so.

use sqlx::postgres::PgConnection;
use sqlx::{Executor as _, Row as _};

use super::StoreError;
use crate::record::Timestamp;

/// From a time up to, and not including, another, in microseconds since 1970.
pub type Span = (i64, i64);

/// Log records of a day, a type and a severity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    /// UTC day, in days since 1970.
    pub day: i64,
    /// What happened.
    pub event_type: String,
    /// How bad it is.
    pub severity: String,
    /// Records.
    pub count: i64,
}

/// By what incidents are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum By {
    Category,
    Severity,
    Status,
    Detector,
    AttackVector,
    /// UTC day on which they were opened; the word is the number of days since 1970.
    Day,
}

/// Seconds that something took: how often it happened, the median and the 90th percentile, between two values where need be.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[allow(missing_docs)]
pub struct Spread {
    pub incidents: i64,
    pub median_secs: Option<f64>,
    pub p90_secs: Option<f64>,
}

/// A task that should have been done by now.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs)]
pub struct Overdue {
    pub incident: String,
    pub title: String,
    pub assignee: Option<String>,
    pub due_at: Timestamp,
}

/// What was learned from an incident.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs)]
pub struct Lesson {
    pub incident: String,
    pub title: String,
    pub lessons_learned: String,
}

/// Begins to read figures as of one moment.
///
/// # Errors
/// The statement failed.
pub async fn begin(connection: &mut PgConnection) -> Result<(), StoreError> {
    // To compile the statements would take longer than to run them.
    let begun = connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL jit = off").await;
    begun.map(|_| ()).map_err(StoreError::at("begin to read"))
}

/// Log records, failed logins, incidents. Times are whole hours.
///
/// # Errors
/// The statement failed.
pub async fn totals(connection: &mut PgConnection, (from, to): Span) -> Result<(i64, i64, i64), StoreError> {
    sqlx::query_as(
        "WITH counted AS (SELECT event_type, sum(count) AS count FROM log_rollups \
             WHERE hour >= timestamptz 'epoch' + $1 * interval '1 microsecond' AND hour < timestamptz 'epoch' + $2 * interval '1 microsecond' \
             GROUP BY event_type) \
         SELECT (SELECT coalesce(sum(count), 0)::bigint FROM counted), \
                (SELECT coalesce(sum(count), 0)::bigint FROM counted WHERE event_type = 'login_failed'), \
                (SELECT count(*) FROM incidents WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond' \
                     AND created_at < timestamptz 'epoch' + $2 * interval '1 microsecond')",
    )
    .bind(from)
    .bind(to)
    .fetch_one(connection)
    .await
    .map_err(StoreError::at("sum up a period"))
}

/// Log records by day, type and severity. Times are whole hours.
///
/// # Errors
/// The statement failed.
pub async fn logs(connection: &mut PgConnection, (from, to): Span) -> Result<Vec<Logs>, StoreError> {
    let rows = sqlx::query(
        "SELECT (extract(epoch FROM day) / 86400)::bigint, event_type::text, severity::text, count FROM ( \
             SELECT date_bin('1 day', hour, timestamptz 'epoch') AS day, event_type, severity, sum(count)::bigint AS count FROM log_rollups \
             WHERE hour >= timestamptz 'epoch' + $1 * interval '1 microsecond' AND hour < timestamptz 'epoch' + $2 * interval '1 microsecond' \
             GROUP BY 1, 2, 3) AS days",
    )
    .bind(from)
    .bind(to)
    .fetch_all(connection)
    .await;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(Logs { day: row.try_get(0)?, event_type: row.try_get(1)?, severity: row.try_get(2)?, count: row.try_get(3)? })
    };
    rows.and_then(|rows| rows.iter().map(read).collect()).map_err(StoreError::at("count log records"))
}

/// The sources and hosts that sent most, with the number of records.
///
/// # Errors
/// The statement failed.
pub async fn busiest(
    connection: &mut PgConnection,
    (from, to): Span,
    most: i64,
) -> Result<Vec<(String, String, i64)>, StoreError> {
    sqlx::query_as(
        "SELECT source, host, sum(count)::bigint FROM log_rollups \
         WHERE hour >= timestamptz 'epoch' + $1 * interval '1 microsecond' AND hour < timestamptz 'epoch' + $2 * interval '1 microsecond' \
         GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT $3",
    )
    .bind(from)
    .bind(to)
    .bind(most)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("find who sends most"))
}

/// Incidents that were opened, counted by each of these.
///
/// # Errors
/// The statement failed.
pub async fn incidents(connection: &mut PgConnection, (from, to): Span) -> Result<Vec<(By, Option<String>, i64)>, StoreError> {
    let rows: Vec<(i32, Option<String>, i64)> = sqlx::query_as(
        "SELECT grouping(category, severity, status, detector, attack_vector, day), \
                coalesce(category, severity::text, status::text, detector, attack_vector, ((extract(epoch FROM day)) / 86400)::bigint::text), count(*) \
         FROM (SELECT category, severity, status, detector, attack_vector, date_bin('1 day', created_at, timestamptz 'epoch') AS day \
               FROM incidents WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond' \
                   AND created_at < timestamptz 'epoch' + $2 * interval '1 microsecond') AS opened \
         GROUP BY GROUPING SETS ((category), (severity), (status), (detector), (attack_vector), (day)) \
         ORDER BY 1, 3 DESC, 2",
    )
    .bind(from)
    .bind(to)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("count incidents"))?;
    let by = |absent: i32| match absent {
        0b01_1111 => By::Category,
        0b10_1111 => By::Severity,
        0b11_0111 => By::Status,
        0b11_1011 => By::Detector,
        0b11_1101 => By::AttackVector,
        _ => By::Day,
    };
    Ok(rows.into_iter().map(|(absent, word, count)| (by(absent), word, count)).collect())
}

/// How long it took to notice the incidents that were opened, to acknowledge and to resolve them. What was noticed before its time, says a
/// clock, was noticed at once. What became part of another incident is no incident of its own here.
///
/// # Errors
/// The statement failed.
pub async fn times(connection: &mut PgConnection, (from, to): Span) -> Result<[Spread; 3], StoreError> {
    let row = sqlx::query(
        "SELECT count(detect), percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY detect), \
                count(acknowledge), percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY acknowledge), \
                count(resolve), percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY resolve) \
         FROM (SELECT CASE WHEN first_seen IS NOT NULL THEN greatest(0, extract(epoch FROM created_at - first_seen))::float8 END AS detect, \
                      CASE WHEN acknowledged_at IS NOT NULL THEN greatest(0, extract(epoch FROM acknowledged_at - created_at))::float8 END AS acknowledge, \
                      CASE WHEN resolved_at IS NOT NULL THEN greatest(0, extract(epoch FROM resolved_at - created_at))::float8 END AS resolve \
               FROM incidents WHERE merged_into IS NULL AND created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond' \
                   AND created_at < timestamptz 'epoch' + $2 * interval '1 microsecond') AS took",
    )
    .bind(from)
    .bind(to)
    .fetch_one(connection)
    .await;
    let spread = |row: &sqlx::postgres::PgRow, at: usize| {
        let found: Option<Vec<f64>> = row.try_get(at + 1)?;
        let nth = |n: usize| found.as_ref().and_then(|found| found.get(n).copied());
        Ok::<_, sqlx::Error>(Spread { incidents: row.try_get(at)?, median_secs: nth(0), p90_secs: nth(1) })
    };
    let read = |row: sqlx::postgres::PgRow| Ok([spread(&row, 0)?, spread(&row, 2)?, spread(&row, 4)?]);
    row.and_then(read).map_err(StoreError::at("measure how long incidents took"))
}

/// The remote ends with most incidents, with these and their events.
///
/// # Errors
/// The statement failed.
pub async fn attackers(
    connection: &mut PgConnection,
    (from, to): Span,
    most: i64,
) -> Result<Vec<(String, i64, i64)>, StoreError> {
    sqlx::query_as(
        "SELECT remote, count(*), sum(event_count)::bigint \
         FROM (SELECT coalesce(group_values->>'src_ip', group_values->>'src_host') AS remote, event_count FROM incidents \
               WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond' \
                   AND created_at < timestamptz 'epoch' + $2 * interval '1 microsecond') AS opened \
         WHERE remote IS NOT NULL GROUP BY remote ORDER BY 2 DESC, 3 DESC, 1 LIMIT $3",
    )
    .bind(from)
    .bind(to)
    .bind(most)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("find who attacks most"))
}

/// The accounts that most incidents name.
///
/// # Errors
/// The statement failed.
pub async fn accounts(connection: &mut PgConnection, (from, to): Span, most: i64) -> Result<Vec<(String, i64)>, StoreError> {
    sqlx::query_as(
        "SELECT username, count(*) FROM incidents, unnest(usernames) AS username \
         WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond' \
             AND created_at < timestamptz 'epoch' + $2 * interval '1 microsecond' \
         GROUP BY username ORDER BY 2 DESC, 1 LIMIT $3",
    )
    .bind(from)
    .bind(to)
    .bind(most)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("find which accounts are attacked most"))
}

/// Tasks that should have been done by `now`, the most overdue first, and the number of all of them.
///
/// # Errors
/// A statement failed.
pub async fn overdue(connection: &mut PgConnection, now: Timestamp, most: i64) -> Result<(Vec<Overdue>, i64), StoreError> {
    let rows = sqlx::query(
        "SELECT i.number, t.title, t.assignee, (extract(epoch FROM t.due_at) * 1000000)::bigint, count(*) OVER () \
         FROM incident_tasks t JOIN incidents i ON i.id = t.incident_id \
         WHERE t.status IN ('open', 'in_progress') AND t.due_at < timestamptz 'epoch' + $1 * interval '1 microsecond' \
         ORDER BY t.due_at, t.id LIMIT $2",
    )
    .bind(now.as_micros())
    .bind(most)
    .fetch_all(connection)
    .await;
    let read = |row: &sqlx::postgres::PgRow| {
        let due_at = Timestamp::from_micros(row.try_get(3)?);
        Ok((Overdue { incident: row.try_get(0)?, title: row.try_get(1)?, assignee: row.try_get(2)?, due_at }, row.try_get(4)?))
    };
    let rows: Result<Vec<(Overdue, i64)>, sqlx::Error> = rows.and_then(|rows| rows.iter().map(read).collect());
    let rows = rows.map_err(StoreError::at("find what is overdue"))?;
    let all = rows.first().map_or(0, |(_, all)| *all);
    Ok((rows.into_iter().map(|(task, _)| task).collect(), all))
}

/// What was learned from the incidents that were resolved, the latest first, and the number of all of them.
///
/// # Errors
/// A statement failed.
pub async fn lessons(connection: &mut PgConnection, (from, to): Span, most: i64) -> Result<(Vec<Lesson>, i64), StoreError> {
    let rows: Vec<(String, String, String, i64)> = sqlx::query_as(
        "SELECT number, title, lessons_learned, count(*) OVER () FROM incidents \
         WHERE resolved_at >= timestamptz 'epoch' + $1 * interval '1 microsecond' \
             AND resolved_at < timestamptz 'epoch' + $2 * interval '1 microsecond' AND lessons_learned <> '' \
         ORDER BY resolved_at DESC, id DESC LIMIT $3",
    )
    .bind(from)
    .bind(to)
    .bind(most)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("read what was learned"))?;
    let all = rows.first().map_or(0, |row| row.3);
    let lesson = |(incident, title, lessons_learned, _)| Lesson { incident, title, lessons_learned };
    Ok((rows.into_iter().map(lesson).collect(), all))
}
