//! What the detectors looked at before a restart, read back so that their windows are what they were.

use std::net::IpAddr;

use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{Store, StoreError};
use crate::record::Timestamp;

/// The columns of a stored record that detectors use.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the columns of logs")]
pub struct Observed {
    pub id: i64,
    pub event_time: Timestamp,
    pub host: Option<String>,
    pub app: Option<String>,
    pub pid: Option<u32>,
    pub event_type: String,
    pub severity: String,
    pub username: Option<String>,
    pub src_ip: Option<IpAddr>,
    /// `fields["source.domain"]`.
    pub src_domain: Option<String>,
    /// Where it tells which line of an attempt to log in it is, or for how many it stands; `None` elsewhere.
    pub message: Option<String>,
}

impl Store {
    /// Streams, in the order of processing, what detectors look at from an event time on.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn each_observed(&self, from: Timestamp, each: &mut (dyn FnMut(&Observed) + Send)) -> Result<u64, StoreError> {
        let mut rows = sqlx::query(
            "SELECT id, (extract(epoch FROM event_time) * 1000000)::bigint, host, app, pid, event_type::text, severity::text, username, \
             host(src_ip), fields->>'source.domain', CASE WHEN event_type = 'login_failed' OR message LIKE '%message repeated %' THEN message END \
             FROM logs WHERE event_time >= to_timestamp($1::float8) \
             AND (event_type IN ('login_success', 'login_failed') OR severity >= 'high') ORDER BY id",
        )
        .bind(from.as_micros().div_euclid(1_000_000) as f64)
        .fetch(self.pool());
        let mut count = 0;
        while let Some(row) = rows.try_next().await.map_err(StoreError::at("read back what the detectors saw"))? {
            let observed = read(&row).map_err(StoreError::at("read back what the detectors saw"))?;
            each(&observed);
            count += 1;
        }
        Ok(count)
    }
}

fn read(row: &PgRow) -> Result<Observed, sqlx::Error> {
    let address: Option<String> = row.try_get(8)?;
    Ok(Observed {
        id: row.try_get(0)?,
        event_time: Timestamp::from_micros(row.try_get(1)?),
        host: row.try_get(2)?,
        app: row.try_get(3)?,
        pid: row.try_get::<Option<i32>, _>(4)?.and_then(|p| u32::try_from(p).ok()),
        event_type: row.try_get(5)?,
        severity: row.try_get(6)?,
        username: row.try_get(7)?,
        src_ip: address.and_then(|a| a.parse().ok()),
        src_domain: row.try_get(9)?,
        message: row.try_get(10)?,
    })
}
