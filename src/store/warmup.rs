//! Stored records as detectors look at them: those of before a restart, so that their windows are what they were, or those of a range of
//! time, for somebody who wants to know what the detectors would find in it.

use std::borrow::Cow;

use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::{Store, StoreError};
use crate::record::{EventType, LogRecord, Severity, Timestamp, Value};

/// A stored record, as detectors look at it.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// `logs.id`.
    pub id: i64,
    /// The time that it is filed under.
    pub event_time: Timestamp,
    /// What is in the row. For [`Store::each_observed`] only what detectors use: who, what and when, and the message where it tells which
    /// line of an attempt to log in it is, or for how many it stands.
    pub record: LogRecord<'static>,
}

/// What detectors use of a record.
macro_rules! select_detected {
    () => {
        "SELECT id, (extract(epoch FROM event_time) * 1000000)::bigint, host, app, pid, event_type::text, severity::text, username, \
         host(src_ip), NULL::integer, NULL::text, NULL::integer, NULL::text, NULL::text, \
         CASE WHEN event_type = 'login_failed' OR message LIKE '%message repeated %' THEN message END, \
         CASE WHEN fields ? 'source.domain' THEN jsonb_build_object('source.domain', fields->'source.domain')::text END "
    };
}

/// All that rules can use of a record.
macro_rules! select_all {
    () => {
        "SELECT id, (extract(epoch FROM event_time) * 1000000)::bigint, host, app, pid, event_type::text, severity::text, username, \
         host(src_ip), src_port, host(dst_ip), dst_port, protocol, action, message, fields::text "
    };
}

/// Which records somebody looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// Those that the detectors look at.
    Detected,
    /// Every one: rules do.
    All,
}

/// About how many records there are from a time up to another, by the hour: counted from the roll-ups.
///
/// # Errors
/// The statement failed.
pub async fn expected(
    connection: &mut PgConnection,
    (from, to): (Timestamp, Timestamp),
    looked: Looked,
) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(count), 0)::bigint FROM log_rollups WHERE hour > $1::timestamptz - interval '1 hour' AND hour < $2 \
         AND ($3 OR event_type IN ('login_success', 'login_failed') OR severity >= 'high')",
    )
    .bind(from)
    .bind(to)
    .bind(looked == Looked::All)
    .fetch_one(connection)
    .await
    .map_err(StoreError::at("count what the detectors are to look at"))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Streams, in the order of time, what is looked at from a time up to, and not including, another.
///
/// # Errors
/// The statement failed.
pub async fn each_between(
    connection: &mut PgConnection,
    (from, to): (Timestamp, Timestamp),
    looked: Looked,
    each: &mut (dyn FnMut(Observed) + Send),
) -> Result<(), StoreError> {
    let failed = || StoreError::at("read what the detectors are to look at");
    let sql = match looked {
        Looked::Detected => concat!(
            select_detected!(),
            "FROM logs WHERE event_time >= $1 AND event_time < $2 \
             AND (event_type IN ('login_success', 'login_failed') OR severity >= 'high') ORDER BY event_time, id",
        ),
        Looked::All => {
            concat!(select_all!(), "FROM logs WHERE event_time >= $1 AND event_time < $2 ORDER BY event_time, id")
        }
    };
    let mut rows = sqlx::query(sql).bind(from).bind(to).fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(failed())? {
        each(read(&row).map_err(failed())?);
    }
    Ok(())
}

impl Store {
    /// Streams, in the order of processing, what detectors look at from an event time on.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn each_observed(&self, from: Timestamp, each: &mut (dyn FnMut(Observed) + Send)) -> Result<u64, StoreError> {
        let rows = sqlx::query(concat!(
            select_detected!(),
            "FROM logs WHERE event_time >= to_timestamp($1::float8) \
             AND (event_type IN ('login_success', 'login_failed') OR severity >= 'high') ORDER BY id",
        ))
        .bind(from.as_micros().div_euclid(1_000_000) as f64);
        self.stream(rows, each).await
    }

    /// Streams, in the order of processing, every record from the event time `all_from` on, and before it, from `from` on, what
    /// detectors look at: rules look at everything.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn each_stored(
        &self,
        from: Timestamp,
        all_from: Timestamp,
        each: &mut (dyn FnMut(Observed) + Send),
    ) -> Result<u64, StoreError> {
        let rows = sqlx::query(concat!(
            select_all!(),
            "FROM logs WHERE event_time >= to_timestamp($1::float8) \
             AND (event_type IN ('login_success', 'login_failed') OR severity >= 'high' OR event_time >= to_timestamp($2::float8)) ORDER BY id",
        ))
        .bind(from.min(all_from).as_micros().div_euclid(1_000_000) as f64)
        .bind(all_from.as_micros().div_euclid(1_000_000) as f64);
        self.stream(rows, each).await
    }

    async fn stream<'q>(
        &self,
        rows: sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>,
        each: &mut (dyn FnMut(Observed) + Send),
    ) -> Result<u64, StoreError> {
        let mut connection = self.connection().await?;
        let mut rows = rows.fetch(&mut connection);
        let mut count = 0;
        while let Some(row) = rows.try_next().await.map_err(StoreError::at("read back what the detectors saw"))? {
            let observed = read(&row).map_err(StoreError::at("read back what the detectors saw"))?;
            each(observed);
            count += 1;
        }
        drop(rows);
        self.keep(connection);
        Ok(count)
    }
}

fn read(row: &PgRow) -> Result<Observed, sqlx::Error> {
    let text = |column: usize| Ok::<_, sqlx::Error>(row.try_get::<Option<String>, _>(column)?.map(Cow::Owned));
    let address = |column: usize| Ok::<_, sqlx::Error>(row.try_get::<Option<String>, _>(column)?.and_then(|a| a.parse().ok()));
    let port = |column: usize| Ok::<_, sqlx::Error>(row.try_get::<Option<i32>, _>(column)?.and_then(|p| u16::try_from(p).ok()));
    let message: Option<String> = row.try_get(14)?;
    let mut record = LogRecord::text(message.unwrap_or_default());
    record.host = text(2)?;
    record.app = text(3)?;
    record.pid = row.try_get::<Option<i32>, _>(4)?.and_then(|p| u32::try_from(p).ok());
    record.event_type = row.try_get::<String, _>(5)?.parse().unwrap_or(EventType::Other);
    record.severity = row.try_get::<String, _>(6)?.parse().unwrap_or(Severity::Low);
    record.username = text(7)?;
    record.src_ip = address(8)?;
    record.src_port = port(9)?;
    record.dst_ip = address(10)?;
    record.dst_port = port(11)?;
    record.protocol = text(12)?;
    record.action = text(13)?;
    if let Some(fields) = row.try_get::<Option<String>, _>(15)?
        && let Ok(fields) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&fields)
    {
        record.fields = fields.into_iter().map(|(name, value)| (Cow::Owned(name), value_of(value))).collect();
    }
    let event_time = Timestamp::from_micros(row.try_get(1)?);
    Ok(Observed { id: row.try_get(0)?, event_time, record })
}

fn value_of(value: serde_json::Value) -> Value<'static> {
    use serde_json::Value as Json;
    match value {
        Json::String(text) => Value::Str(Cow::Owned(text)),
        Json::Bool(truth) => Value::Bool(truth),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        other => Value::Json(Cow::Owned(other.to_string())),
    }
}
