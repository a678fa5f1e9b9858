//! Whole tables as CSV, in pieces: a row is read, written and forgotten, however many there are.

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Executor as _, Row as _, ValueRef as _};

use super::StoreError;
use crate::parse;
use crate::record::Timestamp;
use crate::record::text::push_csv;

/// A piece is handed on when it has this many bytes.
const PIECE_BYTES: usize = 256 << 10;
/// 2000-01-01 in microseconds since 1970: where PostgreSQL counts from.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// What can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Log records, by the time of the event.
    Logs,
    /// Incidents, by the time when they were opened.
    Incidents,
    /// Tasks, by the time when they were made.
    Tasks,
}

/// How a column comes over the wire.
#[derive(Debug, Clone, Copy)]
enum Wire {
    Int4,
    Int8,
    Time,
    Text,
    Bytes,
}

use Wire::{Bytes, Int4, Int8, Text, Time};

impl Table {
    fn sql(self) -> &'static str {
        match self {
            Table::Logs => {
                "SELECT id, event_time, received_at, source, host, app, pid, event_type::text, severity::text, username, \
                     host(src_ip), src_port, host(dst_ip), dst_port, protocol, action, message, raw, fields::text \
                 FROM logs WHERE event_time >= timestamptz 'epoch' + $1 * interval '1 microsecond' \
                     AND event_time < timestamptz 'epoch' + $2 * interval '1 microsecond' \
                 ORDER BY event_time, id"
            }
            Table::Incidents => {
                "SELECT number, title, description, status::text, severity::text, priority, priority_reason, category, kind, attack_vector, \
                     technique, reporter, assignee, detector, group_key, first_seen, last_seen, event_count, \
                     array_to_string(usernames, ', '), array_to_string(affected, ', '), created_at, updated_at, acknowledged_at, resolved_at, \
                     archived_at, resolution, root_cause, lessons_learned \
                 FROM incidents WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond' \
                     AND created_at < timestamptz 'epoch' + $2 * interval '1 microsecond' \
                 ORDER BY created_at, id"
            }
            Table::Tasks => {
                "SELECT t.id, i.number, t.title, t.status, t.assignee, t.due_at, t.remind_at, t.created_by, t.created_at, t.done_at \
                 FROM incident_tasks t JOIN incidents i ON i.id = t.incident_id \
                 WHERE t.created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond' \
                     AND t.created_at < timestamptz 'epoch' + $2 * interval '1 microsecond' \
                 ORDER BY t.created_at, t.id"
            }
        }
    }

    /// In the order of the statement.
    fn columns(self) -> &'static [(&'static str, Wire)] {
        match self {
            Table::Logs => &[
                ("id", Int8),
                ("event_time", Time),
                ("received_at", Time),
                ("source", Text),
                ("host", Text),
                ("app", Text),
                ("pid", Int4),
                ("event_type", Text),
                ("severity", Text),
                ("username", Text),
                ("src_ip", Text),
                ("src_port", Int4),
                ("dst_ip", Text),
                ("dst_port", Int4),
                ("protocol", Text),
                ("action", Text),
                ("message", Text),
                ("raw", Bytes),
                ("fields", Text),
            ],
            Table::Incidents => &[
                ("number", Text),
                ("title", Text),
                ("description", Text),
                ("status", Text),
                ("severity", Text),
                ("priority", Text),
                ("priority_reason", Text),
                ("category", Text),
                ("type", Text),
                ("attack_vector", Text),
                ("technique", Text),
                ("reporter", Text),
                ("assignee", Text),
                ("detector", Text),
                ("group", Text),
                ("first_seen", Time),
                ("last_seen", Time),
                ("event_count", Int8),
                ("usernames", Text),
                ("affected", Text),
                ("created_at", Time),
                ("updated_at", Time),
                ("acknowledged_at", Time),
                ("resolved_at", Time),
                ("archived_at", Time),
                ("resolution", Text),
                ("root_cause", Text),
                ("lessons_learned", Text),
            ],
            Table::Tasks => &[
                ("id", Int8),
                ("incident", Text),
                ("title", Text),
                ("status", Text),
                ("assignee", Text),
                ("due_at", Time),
                ("remind_at", Time),
                ("created_by", Text),
                ("created_at", Time),
                ("done_at", Time),
            ],
        }
    }
}

/// Rows on their way out, as of the moment when it began.
pub struct Export<'c> {
    rows: BoxStream<'c, Result<PgRow, sqlx::Error>>,
    columns: &'static [(&'static str, Wire)],
    piece: Vec<u8>,
    /// Rows so far.
    pub count: u64,
}

impl<'c> Export<'c> {
    /// Begins to read what lies between two times, the second not included. The connection is not to be kept afterwards.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn begin(
        connection: &'c mut PgConnection,
        table: Table,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Export<'c>, StoreError> {
        // Whoever reads what we write may pause for as long as they like.
        connection.execute("SET tcp_user_timeout = 0").await.map_err(StoreError::at("set up a connection"))?;
        let rows = sqlx::query(table.sql()).bind(from.as_micros()).bind(to.as_micros()).fetch(connection);
        let columns = table.columns();
        let head: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        Ok(Export { rows, columns, piece: format!("{}\r\n", head.join(",")).into_bytes(), count: 0 })
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        while self.piece.len() < PIECE_BYTES {
            let Some(row) = self.rows.try_next().await.map_err(StoreError::at("export rows"))? else {
                let last = std::mem::take(&mut self.piece);
                return Ok((!last.is_empty()).then_some(last));
            };
            self.write(&row).map_err(StoreError::at("read a row to export"))?;
            self.count += 1;
        }
        let room = Vec::with_capacity(self.piece.capacity());
        Ok(Some(std::mem::replace(&mut self.piece, room)))
    }

    /// A cell that is NULL is empty, and one of no characters is quoted.
    fn write(&mut self, row: &PgRow) -> Result<(), sqlx::Error> {
        let out = &mut self.piece;
        for (index, (_, wire)) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let value = row.try_get_raw(index)?;
            if value.is_null() {
                continue;
            }
            let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
            match wire {
                Int4 => number(out, i64::from(i32::from_be_bytes(bytes.try_into().map_err(|_| malformed())?))),
                Int8 => number(out, i64::from_be_bytes(bytes.try_into().map_err(|_| malformed())?)),
                Time => {
                    let micros = i64::from_be_bytes(bytes.try_into().map_err(|_| malformed())?);
                    time(out, Timestamp::from_micros(micros.saturating_add(POSTGRES_EPOCH)));
                }
                Text => push_csv(out, std::str::from_utf8(bytes).map_err(|_| malformed())?),
                Bytes => push_csv(out, &parse::text(bytes)),
            }
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

fn malformed() -> sqlx::Error {
    sqlx::Error::Protocol("a value is not of the type of its column".to_owned())
}

/// None is negative, so none begins a formula.
fn number(out: &mut Vec<u8>, number: i64) {
    use std::io::Write as _;
    let _ = write!(out, "{number}");
}

fn time(out: &mut Vec<u8>, time: Timestamp) {
    use std::io::Write as _;
    let _ = write!(out, "{time}");
}

/// About how many rows there will be: exact, but for log records of the hours in which the range begins and ends.
///
/// # Errors
/// The statement failed.
pub async fn expected(
    connection: &mut PgConnection,
    table: Table,
    (from, to): (Timestamp, Timestamp),
) -> Result<u64, StoreError> {
    let sql = match table {
        Table::Logs => {
            "SELECT coalesce(sum(count), 0)::bigint FROM log_rollups WHERE hour > timestamptz 'epoch' + $1 * interval '1 microsecond' - interval '1 hour' \
             AND hour < timestamptz 'epoch' + $2 * interval '1 microsecond'"
        }
        Table::Incidents => {
            "SELECT count(*) FROM incidents WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond' \
             AND created_at < timestamptz 'epoch' + $2 * interval '1 microsecond'"
        }
        Table::Tasks => {
            "SELECT count(*) FROM incident_tasks WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond' \
             AND created_at < timestamptz 'epoch' + $2 * interval '1 microsecond'"
        }
    };
    let row = sqlx::query(sql).bind(from.as_micros()).bind(to.as_micros()).fetch_one(connection).await;
    let count: i64 = row.and_then(|row| row.try_get(0)).map_err(StoreError::at("count what is to be exported"))?;
    Ok(u64::try_from(count).unwrap_or(0))
}
