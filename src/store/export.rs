//! Whole tables as CSV, in pieces: a row is read, written and forgotten, however many there are.

use std::net::IpAddr;

use sqlx::postgres::PgConnection;
use sqlx::{Executor as _, Row as _};

use super::StoreError;
use super::copied::{self, Copied, Row, malformed};
use crate::parse;
use crate::record::Timestamp;
use crate::record::text::push_csv;

/// A piece is handed on when it has this many bytes.
const PIECE_BYTES: usize = 256 << 10;

/// What can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Log records, by the time of the event.
    Logs,
    /// Incidents, by the time when they were opened.
    Incidents,
    /// Tasks, by the time when they were made.
    Tasks,
    /// What was seen in which incident, by the time when it was added; without what was taken away again.
    Observables,
}

/// How a column comes over the wire.
#[derive(Debug, Clone, Copy)]
enum Wire {
    Int4,
    Int8,
    Time,
    Text,
    Address,
    Json,
    Bytes,
}

use Wire::{Address, Bytes, Int4, Int8, Json, Text, Time};

impl Table {
    /// The rows, in order. COPY takes no parameters; a time is a number here, which nobody typed.
    fn sql(self, (from, to): (Timestamp, Timestamp)) -> String {
        let within = |column: &str| {
            let time = |time: Timestamp| format!("timestamptz 'epoch' + {} * interval '1 microsecond'", time.as_micros());
            format!("{column} >= {} AND {column} < {}", time(from), time(to))
        };
        match self {
            Table::Logs => format!(
                "SELECT id, event_time, received_at, source, host, app, pid, event_type, severity, username, src_ip, src_port, dst_ip, \
                     dst_port, protocol, action, message, raw, fields \
                 FROM logs WHERE {} ORDER BY event_time, id",
                within("event_time")
            ),
            Table::Incidents => format!(
                "SELECT number, title, description, status, severity, priority, priority_reason, category, kind, attack_vector, \
                     technique, reporter, assignee, detector, group_key, first_seen, last_seen, event_count, \
                     array_to_string(usernames, ', '), array_to_string(affected, ', '), created_at, updated_at, acknowledged_at, resolved_at, \
                     archived_at, resolution, root_cause, lessons_learned \
                 FROM incidents WHERE {} ORDER BY created_at, id",
                within("created_at")
            ),
            Table::Tasks => format!(
                "SELECT t.id, i.number, t.title, t.status, t.assignee, t.due_at, t.remind_at, t.created_by, t.created_at, t.done_at \
                 FROM incident_tasks t JOIN incidents i ON i.id = t.incident_id WHERE {} ORDER BY t.created_at, t.id",
                within("t.created_at")
            ),
            Table::Observables => format!(
                "SELECT i.number, i.title, o.kind, o.value, x.tlp, x.comment, x.log_id, x.added_by, x.added_at \
                 FROM incident_observables x JOIN observables o ON o.id = x.observable_id JOIN incidents i ON i.id = x.incident_id \
                 WHERE x.removed_at IS NULL AND {} ORDER BY x.added_at, x.incident_id, x.observable_id",
                within("x.added_at")
            ),
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
                ("src_ip", Address),
                ("src_port", Int4),
                ("dst_ip", Address),
                ("dst_port", Int4),
                ("protocol", Text),
                ("action", Text),
                ("message", Text),
                ("raw", Bytes),
                ("fields", Json),
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
            Table::Observables => &[
                ("incident", Text),
                ("title", Text),
                ("kind", Text),
                ("value", Text),
                ("tlp", Text),
                ("comment", Text),
                ("log_id", Int8),
                ("added_by", Text),
                ("added_at", Time),
            ],
        }
    }
}

/// Rows on their way out, as of the moment when it began.
pub struct Export<'c> {
    rows: Copied<'c>,
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
        range: (Timestamp, Timestamp),
    ) -> Result<Export<'c>, StoreError> {
        // Whoever reads what we write may pause for as long as they like.
        connection.execute("SET tcp_user_timeout = 0").await.map_err(StoreError::at("set up a connection"))?;
        let rows = Copied::begin(connection, &table.sql(range)).await.map_err(StoreError::at("export rows"))?;
        let columns = table.columns();
        let head: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let piece = format!("{}\r\n", head.join(",")).into_bytes();
        Ok(Export { rows, columns, piece, count: 0 })
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let Export { rows, columns, piece, count } = self;
        while piece.len() < PIECE_BYTES {
            let more = rows.next(|row| {
                *count += 1;
                write_row(piece, row, columns)
            });
            if !more.await.map_err(StoreError::at("export rows"))? {
                let last = std::mem::take(piece);
                return Ok((!last.is_empty()).then_some(last));
            }
        }
        let room = Vec::with_capacity(piece.capacity());
        Ok(Some(std::mem::replace(piece, room)))
    }
}

/// A cell that is NULL is empty, and one of no characters is quoted.
fn write_row(out: &mut Vec<u8>, mut row: Row<'_>, columns: &[(&str, Wire)]) -> Result<(), sqlx::Error> {
    for (index, (_, wire)) in columns.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let Some(value) = row.value()? else { continue };
        match wire {
            Int4 => number(out, i64::from(copied::int4(value)?)),
            Int8 => number(out, copied::int8(value)?),
            Time => time(out, copied::time(value)?),
            Text => push_csv(out, copied::text(value)?),
            Address => address(out, value)?,
            // jsonb has the version of its format before it: 1.
            Json => push_csv(out, copied::text(value.strip_prefix(&[1]).ok_or_else(malformed)?)?),
            Bytes => push_csv(out, &parse::text(value)),
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// The address of an `inet`: family, bits of the network, whether it is a `cidr`, length, and the address itself.
fn address(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), sqlx::Error> {
    use std::io::Write as _;
    let [_, _, _, _, address @ ..] = bytes else { return Err(malformed()) };
    let address = match address.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(address).map_err(|_| malformed())?),
        _ => IpAddr::from(<[u8; 16]>::try_from(address).map_err(|_| malformed())?),
    };
    let _ = write!(out, "\"{address}\"");
    Ok(())
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
        Table::Observables => {
            "SELECT count(*) FROM incident_observables WHERE removed_at IS NULL \
             AND added_at >= timestamptz 'epoch' + $1 * interval '1 microsecond' AND added_at < timestamptz 'epoch' + $2 * interval '1 microsecond'"
        }
    };
    let row = sqlx::query(sql).bind(from.as_micros()).bind(to.as_micros()).fetch_one(connection).await;
    let count: i64 = row.and_then(|row| row.try_get(0)).map_err(StoreError::at("count what is to be exported"))?;
    Ok(u64::try_from(count).unwrap_or(0))
}
