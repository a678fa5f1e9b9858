//! `ledger` and `losses`: what was received and where it went, written in the transactions that stored it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use sqlx::PgConnection;

use super::StoreError;
use crate::frame::Loss;
use crate::record::{Timestamp, civil_from_days};

/// A row of `ledger` with its ranges, as it is after a transaction. Writing it again changes nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entry {
    /// Number of its first transaction.
    pub first_transaction: i64,
    /// How many entries began within that transaction before it.
    pub piece: i16,
    /// Number of its last one.
    pub last_transaction: i64,
    /// Ids of its frames, first and one past the last; ascending.
    pub ids: Vec<(i64, i64)>,
    /// Frames by UTC day of their event time (days since 1970).
    pub days: BTreeMap<i64, u64>,
    /// When its first and its last frame were received.
    pub received: Option<(Timestamp, Timestamp)>,
    /// By input and part. Only those need to be there that the last transaction changed.
    pub ranges: BTreeMap<(Arc<str>, Arc<str>), Range>,
}

/// A contiguous range of an input, and the frames in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// Where it begins, in bytes.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
    /// Frames in it that have an id.
    pub frames: u64,
    /// Further frames, which had been stored before.
    pub repeated: u64,
    /// Frames that were cut at the size limit.
    pub cut: u64,
}

/// A UTC day as the ledger writes it.
pub fn day_name(day: i64) -> String {
    let (year, month, day) = civil_from_days(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Writes the entries that a transaction changed.
pub(super) async fn write(connection: &mut PgConnection, epoch: i64, entries: &[Entry]) -> Result<(), StoreError> {
    for entry in entries {
        let mut ids = String::from("{");
        for (n, (from, to)) in entry.ids.iter().enumerate() {
            let _ = write!(ids, "{}[{from},{to})", if n == 0 { "" } else { "," });
        }
        ids.push('}');
        let days: serde_json::Map<String, serde_json::Value> =
            entry.days.iter().map(|(day, frames)| (day_name(*day), (*frames).into())).collect();
        sqlx::query(
            "INSERT INTO ledger (first_transaction, piece, last_transaction, epoch, ids, days, first_received, last_received) \
             VALUES ($1, $2, $3, $4, $5::int8multirange, $6, timestamptz 'epoch' + $7 * interval '1 microsecond', \
                     timestamptz 'epoch' + $8 * interval '1 microsecond') \
             ON CONFLICT (first_transaction, piece) DO UPDATE SET last_transaction = excluded.last_transaction, ids = excluded.ids, \
                 days = excluded.days, first_received = excluded.first_received, last_received = excluded.last_received, committed_at = now()",
        )
        .bind(entry.first_transaction)
        .bind(entry.piece)
        .bind(entry.last_transaction)
        .bind(epoch)
        .bind(ids)
        .bind(serde_json::Value::Object(days))
        .bind(entry.received.map(|(first, _)| first.as_micros()))
        .bind(entry.received.map(|(_, last)| last.as_micros()))
        .execute(&mut *connection)
        .await
        .map_err(StoreError::at("write the ledger"))?;
        ranges(connection, entry).await?;
    }
    Ok(())
}

async fn ranges(connection: &mut PgConnection, entry: &Entry) -> Result<(), StoreError> {
    if entry.ranges.is_empty() {
        return Ok(());
    }
    let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let column = |get: fn(&Range) -> u64| entry.ranges.values().map(|range| whole(get(range))).collect::<Vec<i64>>();
    let (inputs, parts): (Vec<&str>, Vec<&str>) = entry.ranges.keys().map(|(input, part)| (&**input, &**part)).unzip();
    sqlx::query(
        "INSERT INTO ledger_ranges (first_transaction, piece, input, part, from_position, to_position, frames, repeated, cut) \
         SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]) \
         ON CONFLICT (input, part, first_transaction, piece) DO UPDATE SET to_position = excluded.to_position, frames = excluded.frames, \
             repeated = excluded.repeated, cut = excluded.cut",
    )
    .bind(entry.first_transaction)
    .bind(entry.piece)
    .bind(inputs)
    .bind(parts)
    .bind(column(|r| r.from))
    .bind(column(|r| r.to))
    .bind(column(|r| r.frames))
    .bind(column(|r| r.repeated))
    .bind(column(|r| r.cut))
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("write the ledger's ranges"))
}

/// Writes what a transaction tells to be lost.
pub(super) async fn losses(connection: &mut PgConnection, number: i64, losses: &[Loss]) -> Result<(), StoreError> {
    if losses.is_empty() {
        return Ok(());
    }
    let position = |get: fn(&(u64, u64)) -> u64| {
        losses.iter().map(|l| l.range.as_ref().map(|r| i64::try_from(get(r)).unwrap_or(i64::MAX))).collect::<Vec<_>>()
    };
    sqlx::query(
        "INSERT INTO losses (transaction, input, part, from_position, to_position, frames, reason, noticed_at) \
         SELECT $1, input, part, from_position, to_position, frames, reason, timestamptz 'epoch' + noticed_at * interval '1 microsecond' \
         FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[]) \
             AS l (input, part, from_position, to_position, frames, reason, noticed_at) \
         ON CONFLICT DO NOTHING",
    )
    .bind(number)
    .bind(losses.iter().map(|l| &*l.input).collect::<Vec<_>>())
    .bind(losses.iter().map(|l| &*l.part).collect::<Vec<_>>())
    .bind(position(|r| r.0))
    .bind(position(|r| r.1))
    .bind(losses.iter().map(|l| l.frames.map(|n| i64::try_from(n).unwrap_or(i64::MAX))).collect::<Vec<_>>())
    .bind(losses.iter().map(|l| l.reason.as_str()).collect::<Vec<_>>())
    .bind(losses.iter().map(|l| l.noticed_at.as_micros()).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("write what is lost"))
}
