//! What service levels are judged by: the courses of incidents, without the rest of them.

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{FromRow, Row as _, query, query_as};

use super::StoreError;
use crate::record::case::{Priority, Status};
use crate::record::levels::Course;

fn course(row: &PgRow) -> Result<Course, sqlx::Error> {
    Ok(Course {
        // Both have a constraint.
        priority: row.try_get::<&str, _>(0)?.parse().unwrap_or(Priority::P4),
        status: row.try_get::<&str, _>(1)?.parse().unwrap_or(Status::Open),
        created_at: row.try_get(2)?,
        acknowledged_at: row.try_get(3)?,
        resolved_at: row.try_get(4)?,
    })
}

/// Streams the incidents that are not over: course, id, assignee.
///
/// # Errors
/// The statement failed.
pub async fn each_unresolved(
    connection: &mut PgConnection,
    each: &mut (dyn FnMut(Course, i64, Option<&str>) + Send),
) -> Result<(), StoreError> {
    let failed = || StoreError::at("read the incidents that are not over");
    let mut rows = query(
        "SELECT priority, status::text, created_at, acknowledged_at, resolved_at, id, assignee FROM incidents \
         WHERE status IN ('open', 'investigating', 'contained') AND archived_at IS NULL",
    )
    .fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(failed())? {
        let read = || Ok((course(&row)?, row.try_get(5)?, row.try_get::<Option<&str>, _>(6)?));
        let (course, id, assignee) = read().map_err(failed())?;
        each(course, id, assignee);
    }
    Ok(())
}

/// What a list of what is due shows of an incident.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
#[allow(missing_docs)]
pub struct Shown {
    pub id: i64,
    pub number: String,
    pub title: String,
    pub severity: String,
    pub priority: String,
    pub status: String,
    pub assignee: Option<String>,
}

/// Incidents by their ids, in any order.
///
/// # Errors
/// The statement failed.
pub async fn shown(connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<Shown>, StoreError> {
    query_as("SELECT id, number, title, severity::text, priority, status::text, assignee FROM incidents WHERE id = ANY ($1)")
        .bind(ids)
        .fetch_all(connection)
        .await
        .map_err(StoreError::at("read the incidents that are due"))
}
