//! `log_rollups`: how many records of which kind an hour has, written in the transactions that store them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::quality::RandomState;
use sqlx::PgConnection;

use super::StoreError;
use crate::record::{EventType, Severity, Timestamp};

/// What stands for the hosts that are not named. One that calls itself so is counted with them.
pub const OTHER_HOSTS: &str = "*";

/// A host's name is cut there; those of DNS are no longer (RFC 1035 §2.3.4). All of it is in `logs`, and here it has to fit into an index.
const MAX_HOST_BYTES: usize = 255;

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Hours since 1970 of the event time.
    pub hour: i64,
    /// The configured input.
    pub source: Arc<str>,
    /// As [`host`] has it, or [`OTHER_HOSTS`].
    pub host: Arc<str>,
    /// What happened.
    pub event_type: EventType,
    /// How bad it is.
    pub severity: Severity,
}

/// The counts of a transaction's rows, of which each kind has one.
#[derive(Debug, Default)]
pub struct Rollups {
    counts: Vec<(Kind, i64)>,
    /// Index into `counts` by a hash of the kind, or the next free number after it.
    places: HashMap<u64, u32, RandomState>,
    /// For each row the index of its kind, should it be refused.
    rows: Vec<u32>,
}

/// A record on its way to be counted: a [`Kind`] that has not been copied.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    /// The time that it is filed under.
    pub event_time: Timestamp,
    /// The configured input.
    pub source: &'a str,
    /// As [`host`] has it, or [`OTHER_HOSTS`].
    pub host: &'a str,
    /// What happened.
    pub event_type: EventType,
    /// How bad it is.
    pub severity: Severity,
}

impl Counted<'_> {
    /// Hours since 1970.
    pub fn hour(&self) -> i64 {
        self.event_time.as_micros().div_euclid(3_600_000_000)
    }

    fn is(&self, kind: &Kind) -> bool {
        *kind.host == *self.host
            && kind.hour == self.hour()
            && (kind.event_type, kind.severity) == (self.event_type, self.severity)
            && *kind.source == *self.source
    }
}

/// A host as the roll-ups name it; empty where there is none.
pub fn host(host: Option<&str>) -> Cow<'_, str> {
    let host = host.unwrap_or_default();
    let cut = &host[..host.floor_char_boundary(MAX_HOST_BYTES)];
    // As in `logs`: NUL is the one character that `text` does not take.
    if memchr::memchr(0, cut.as_bytes()).is_none() {
        return Cow::Borrowed(cut);
    }
    let mut clean = cut.replace('\0', "\u{2400}");
    clean.truncate(clean.floor_char_boundary(MAX_HOST_BYTES));
    Cow::Owned(clean)
}

impl Rollups {
    /// Counts the next row; `admit` says whether its host may be named where it is not counted yet.
    pub fn count(&mut self, row: &Counted<'_>, admit: impl FnOnce(&Counted<'_>) -> bool) {
        let mut row = *row;
        let (mut place, mut found) = self.find(&row);
        if found.is_none() && !admit(&row) {
            row.host = OTHER_HOSTS;
            (place, found) = self.find(&row);
        }
        let index = found.unwrap_or_else(|| {
            let index = self.counts.len() as u32;
            self.places.insert(place, index);
            self.counts.push((self.kind(&row), 0));
            index
        });
        self.counts[index as usize].1 += 1;
        self.rows.push(index);
    }

    fn kind(&self, row: &Counted<'_>) -> Kind {
        // Most kinds are of the source of the one before.
        let source = match self.counts.last() {
            Some((before, _)) if *before.source == *row.source => Arc::clone(&before.source),
            _ => row.source.into(),
        };
        Kind { hour: row.hour(), source, host: row.host.into(), event_type: row.event_type, severity: row.severity }
    }

    /// Where the kind of a row is to be found, and its index if it is there.
    fn find(&self, row: &Counted<'_>) -> (u64, Option<u32>) {
        let hashed = (row.hour(), row.source, row.host, row.event_type, row.severity);
        let mut place = self.places.hasher().hash_one(hashed);
        loop {
            match self.places.get(&place) {
                Some(index) if row.is(&self.counts[*index as usize].0) => return (place, Some(*index)),
                Some(_) => place = place.wrapping_add(1),
                None => return (place, None),
            }
        }
    }

    /// The counts without some of the rows.
    pub(super) fn without(&self, rows: &[usize]) -> Cow<'_, [(Kind, i64)]> {
        if rows.is_empty() {
            return Cow::Borrowed(&self.counts);
        }
        let mut counts = self.counts.clone();
        for row in rows {
            counts[self.rows[*row] as usize].1 -= 1;
        }
        counts.retain(|(_, count)| *count > 0);
        Cow::Owned(counts)
    }
}

/// Adds counts to what is there.
pub(super) async fn write(connection: &mut PgConnection, counts: &[(Kind, i64)]) -> Result<(), StoreError> {
    if counts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO log_rollups AS r (hour, source, host, event_type, severity, count) \
         SELECT timestamptz 'epoch' + hour * interval '1 hour', source, host, event_type::event_type, severity::severity, count \
         FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[]) \
             AS n (hour, source, host, event_type, severity, count) \
         ON CONFLICT (hour, source, host, event_type, severity) DO UPDATE SET count = r.count + excluded.count",
    )
    .bind(counts.iter().map(|(kind, _)| kind.hour).collect::<Vec<_>>())
    .bind(counts.iter().map(|(kind, _)| &*kind.source).collect::<Vec<_>>())
    .bind(counts.iter().map(|(kind, _)| &*kind.host).collect::<Vec<_>>())
    .bind(counts.iter().map(|(kind, _)| kind.event_type.as_str()).collect::<Vec<_>>())
    .bind(counts.iter().map(|(kind, _)| kind.severity.as_str()).collect::<Vec<_>>())
    .bind(counts.iter().map(|(_, count)| *count).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("write the roll-ups"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(seconds: i64, host: &str) -> Counted<'_> {
        let event_time = Timestamp::from_secs(seconds);
        Counted { event_time, source: "lan", host, event_type: EventType::Other, severity: Severity::Low }
    }

    #[test]
    fn rows_are_counted_by_kind_and_taken_back_when_they_are_refused() {
        let mut rollups = Rollups::default();
        for row in [counted(0, "a"), counted(3_599, "a"), counted(3_600, "a"), counted(-1, "a"), counted(0, "b"), counted(0, "c")]
        {
            rollups.count(&row, |row| row.host != "b");
        }
        rollups.count(&counted(0, "b"), |_| false);
        rollups.count(&Counted { severity: Severity::High, ..counted(0, "a") }, |_| true);
        let shown = |rows: &[usize]| -> Vec<(i64, String, i64)> {
            rollups.without(rows).iter().map(|(kind, count)| (kind.hour, kind.host.to_string(), *count)).collect()
        };
        let row = |hour, host: &str, count| (hour, host.to_owned(), count);
        assert_eq!(shown(&[]), [row(0, "a", 2), row(1, "a", 1), row(-1, "a", 1), row(0, "*", 2), row(0, "c", 1), row(0, "a", 1)]);
        assert_eq!(shown(&[0, 2, 6]), [row(0, "a", 1), row(-1, "a", 1), row(0, "*", 1), row(0, "c", 1), row(0, "a", 1)]);
    }

    #[test]
    fn hosts_are_named_so_that_they_fit_into_an_index() {
        assert_eq!((host(None), host(Some("fw")), host(Some("f\0w"))), ("".into(), "fw".into(), "f\u{2400}w".into()));
        let long = format!("a{}", "\u{e9}".repeat(200));
        assert_eq!(host(Some(&long)).len(), 255);
        assert_eq!(host(Some(&"\0".repeat(300))).len(), 255);
    }
}
