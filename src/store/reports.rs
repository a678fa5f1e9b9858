//! The figures of reports. Log records are never counted here: `log_rollups` has done so.

use sqlx::postgres::PgConnection;
use sqlx::{Executor as _, Row as _};

use super::StoreError;
use super::copied::{Copied, Row, Texts, present};
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

/// A task that should have been done by now.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct Overdue {
    pub incident: String,
    pub title: String,
    pub assignee: Option<String>,
    pub due_at: Timestamp,
}

/// What was learned from an incident.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
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
    // To compile the statements would take longer than to run them; and what is counted by address or account should not go by way of the disk.
    let settings = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL jit = off; SET LOCAL work_mem = '32MB'";
    let begun = connection.execute(settings).await;
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

/// An incident as far as it is counted.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Case<'r> {
    pub id: i64,
    pub severity: &'r str,
    pub status: &'r str,
    pub priority: &'r str,
    pub category: &'r str,
    pub detector: Option<&'r str>,
    pub attack_vector: Option<&'r str>,
    pub created_at: Timestamp,
    pub first_seen: Option<Timestamp>,
    pub acknowledged_at: Option<Timestamp>,
    pub resolved_at: Option<Timestamp>,
    /// It became part of another one.
    pub is_merged: bool,
    /// The remote end that it rests on.
    pub remote: Option<&'r str>,
    pub events: i64,
    /// Accounts that its events name.
    pub usernames: Texts<'r>,
    /// Somebody wrote down what was learned from it.
    pub has_lesson: bool,
}

/// Hands out the incidents that were opened or resolved in a period, in any order: to count them here by everything at once takes a fraction
/// of what it takes the database to go through them for each figure.
///
/// # Errors
/// The statement failed.
pub async fn each_case(
    connection: &mut PgConnection,
    (from, to): Span,
    each: &mut (dyn FnMut(Case<'_>) + Send),
) -> Result<(), StoreError> {
    let failed = || StoreError::at("read the incidents of a period");
    // COPY takes no parameters; these are numbers.
    let within = |column: &str| {
        let time = |micros: i64| format!("timestamptz 'epoch' + {micros} * interval '1 microsecond'");
        format!("{column} >= {} AND {column} < {}", time(from), time(to))
    };
    let select = format!(
        "SELECT id, severity, status, priority, category, detector, attack_vector, created_at, first_seen, acknowledged_at, resolved_at, \
             merged_into IS NOT NULL, coalesce(group_values->>'src_ip', group_values->>'src_host'), event_count, usernames, \
             lessons_learned <> '' \
         FROM incidents WHERE {} OR {}",
        within("created_at"),
        within("resolved_at")
    );
    let mut rows = Copied::begin(connection, &select).await.map_err(failed())?;
    let mut read = |mut row: Row<'_>| {
        each(Case {
            id: row.int8()?,
            severity: present(row.text()?)?,
            status: present(row.text()?)?,
            priority: present(row.text()?)?,
            category: present(row.text()?)?,
            detector: row.text()?,
            attack_vector: row.text()?,
            created_at: present(row.time()?)?,
            first_seen: row.time()?,
            acknowledged_at: row.time()?,
            resolved_at: row.time()?,
            is_merged: row.truth()?,
            remote: row.text()?,
            events: row.int8()?,
            usernames: row.texts()?,
            has_lesson: row.truth()?,
        });
        Ok(())
    };
    while rows.next(&mut read).await.map_err(failed())? {}
    Ok(())
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

/// What was learned from these incidents, the one that was resolved last first.
///
/// # Errors
/// The statement failed.
pub async fn lessons(connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<Lesson>, StoreError> {
    let rows: Result<Vec<(String, String, String)>, sqlx::Error> = sqlx::query_as(
        "SELECT number, title, lessons_learned FROM incidents WHERE id = ANY ($1) ORDER BY resolved_at DESC, id DESC",
    )
    .bind(ids)
    .fetch_all(connection)
    .await;
    let lesson = |(incident, title, lessons_learned)| Lesson { incident, title, lessons_learned };
    let rows = rows.map_err(StoreError::at("read what was learned"))?;
    Ok(rows.into_iter().map(lesson).collect())
}
