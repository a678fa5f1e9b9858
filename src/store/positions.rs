//! `positions`: how far each input was read, and who may write.

use sqlx::{PgConnection, Row};

use super::{Store, StoreError};
use crate::frame::PositionChange;
use crate::record::Timestamp;

/// A row of `positions`.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedPosition {
    /// The input: `journal` or `files:<set>`.
    pub input: String,
    /// Which part of it.
    pub part: String,
    /// Bytes read.
    pub position: u64,
    /// What else the input wrote down.
    pub detail: serde_json::Value,
}

/// What a daemon finds when it takes over.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// Its own epoch, higher than any before.
    pub epoch: i64,
    /// Number of the last transaction.
    pub transaction: i64,
    /// Event time from which the detectors still need records; `None` if that is not known.
    pub floor: Option<i64>,
    /// The latest receipt in the newest thousand entries of the ledger, about a week: by the clocks of the daemons that wrote them.
    pub last_received: Option<Timestamp>,
    /// Where each input is.
    pub positions: Vec<SavedPosition>,
}

impl Store {
    /// Raises the epoch, which ends the write access of any daemon before, and reads where it got to.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn take_over(&self) -> Result<Saved, StoreError> {
        let mut connection = self.connection().await?;
        let row = sqlx::query(
            "UPDATE positions SET epoch = epoch + 1, updated_at = now() WHERE input = 'pipeline' AND part = '' \
             RETURNING epoch, position, (detail->>'floor')::bigint",
        )
        .fetch_one(&mut connection)
        .await;
        let read = |row: sqlx::postgres::PgRow| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        let (epoch, transaction, floor) = row.and_then(read).map_err(StoreError::at("take over the positions"))?;
        let rows =
            sqlx::query("SELECT input, part, position, detail FROM positions WHERE input <> 'pipeline' ORDER BY input, part")
                .fetch_all(&mut connection)
                .await
                .map_err(StoreError::at("read the positions"))?;
        let positions = rows
            .iter()
            .map(|row| {
                let position: i64 = row.try_get(2)?;
                Ok(SavedPosition {
                    input: row.try_get(0)?,
                    part: row.try_get(1)?,
                    position: u64::try_from(position).unwrap_or(0),
                    detail: row.try_get(3)?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(StoreError::at("read the positions"))?;
        let last_received: Option<i64> = sqlx::query_scalar(
            "SELECT (extract(epoch FROM max(last_received)) * 1000000)::bigint \
             FROM (SELECT last_received FROM ledger ORDER BY first_transaction DESC, piece DESC LIMIT 1000) AS newest",
        )
        .fetch_one(&mut connection)
        .await
        .map_err(StoreError::at("read when something was received last"))?;
        self.keep(connection);
        Ok(Saved { epoch, transaction, floor, last_received: last_received.map(Timestamp::from_micros), positions })
    }
}

/// Number of the last transaction and the epoch that is in force.
pub(super) async fn current(connection: &mut PgConnection) -> Result<(i64, i64), StoreError> {
    let row =
        sqlx::query("SELECT position, epoch FROM positions WHERE input = 'pipeline' AND part = ''").fetch_one(connection).await;
    row.and_then(|row| Ok((row.try_get(0)?, row.try_get(1)?))).map_err(StoreError::at("read the position"))
}

/// Makes `number` the last transaction if the one before is, and `epoch` is in force; false if not.
pub(super) async fn follow_on(
    connection: &mut PgConnection,
    number: i64,
    epoch: i64,
    floor: Option<i64>,
) -> Result<bool, StoreError> {
    sqlx::query(
        "UPDATE positions SET position = $1, detail = jsonb_build_object('floor', $3::bigint), updated_at = now() \
         WHERE input = 'pipeline' AND part = '' AND position = $1 - 1 AND epoch = $2",
    )
    .bind(number)
    .bind(epoch)
    .bind(floor)
    .execute(connection)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(StoreError::at("follow on the last transaction"))
}

/// Writes where inputs got to; forgets the parts that are done.
pub(super) async fn write(connection: &mut PgConnection, changes: &[PositionChange]) -> Result<(), StoreError> {
    // The last change of a part is the one that counts.
    let mut last: std::collections::BTreeMap<(&str, &str), &PositionChange> = std::collections::BTreeMap::new();
    for change in changes {
        last.insert((&change.input, &change.part), change);
    }
    let (kept, gone): (Vec<&PositionChange>, Vec<&PositionChange>) = last.into_values().partition(|c| c.detail.is_some());
    let columns = |changes: &[&PositionChange]| -> (Vec<String>, Vec<String>) {
        changes.iter().map(|c| (c.input.to_string(), c.part.to_string())).unzip()
    };
    if !kept.is_empty() {
        let (inputs, parts) = columns(&kept);
        let positions: Vec<i64> = kept.iter().map(|c| i64::try_from(c.to).unwrap_or(i64::MAX)).collect();
        let details: Vec<serde_json::Value> = kept.iter().filter_map(|c| c.detail.clone()).collect();
        sqlx::query(
            "INSERT INTO positions AS p (input, part, position, detail) \
             SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::jsonb[]) \
             ON CONFLICT (input, part) DO UPDATE SET position = excluded.position, detail = excluded.detail, updated_at = now()",
        )
        .bind(inputs)
        .bind(parts)
        .bind(positions)
        .bind(details)
        .execute(&mut *connection)
        .await
        .map_err(StoreError::at("write the positions"))?;
    }
    if !gone.is_empty() {
        let (inputs, parts) = columns(&gone);
        sqlx::query("DELETE FROM positions p USING unnest($1::text[], $2::text[]) AS g (input, part) WHERE p.input = g.input AND p.part = g.part")
            .bind(inputs)
            .bind(parts)
            .execute(connection)
            .await
            .map_err(StoreError::at("forget positions"))?;
    }
    Ok(())
}
