//! Whether the promise was kept: the ledger held against `logs`, `quarantine`, `positions` and `losses`, all as of one moment.
//!
//! Two questions are asked. *Is every id there once?* Each frame got an id, and the ledger knows which: they must be in `logs` once, or in
//! `quarantine`, or have been dropped (`dropped_logs`), or belong to a day whose partition is not there. *Was every byte read once?* The ranges of each part of an input must
//! follow on each other up to its position; where they do not, a loss must say why.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Executor, Row};

use super::ledger::Range;
use super::{Servers, StoreError};
use crate::frame::LossReason;
use crate::record::Timestamp;

/// An entry of the ledger, as it was read back.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEntry {
    /// Its first transaction, and which of the entries that begin within it.
    pub key: (i64, i16),
    /// Ids of its frames, first and one past the last.
    pub ids: Vec<(i64, i64)>,
    /// Frames by UTC day.
    pub days: BTreeMap<String, u64>,
    /// When its first and its last frame were received.
    pub received: Option<(Timestamp, Timestamp)>,
}

/// A range of an input in an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRange {
    /// The entry.
    pub entry: (i64, i16),
    /// The range and its frames.
    pub range: Range,
}

/// A row of `losses`.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredLoss {
    /// The input, and which part of it.
    pub input: (String, String),
    /// The bytes that are concerned.
    pub range: Option<(u64, u64)>,
    /// Frames, if known.
    pub frames: Option<u64>,
    /// Why.
    pub reason: LossReason,
    /// When it was noticed.
    pub noticed_at: Timestamp,
}

/// A part of an input as the database knows it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Part {
    /// Its ranges, in the order in which they were committed.
    pub ranges: Vec<StoredRange>,
    /// How far it was read, by `positions`; `None` for a file that is gone and was read to its end.
    pub position: Option<u64>,
    /// The path, for a file.
    pub path: Option<String>,
}

/// Everything that is needed to judge, as of one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// The ledger's entries, in order.
    pub entries: Vec<StoredEntry>,
    /// The parts of all inputs.
    pub parts: BTreeMap<(String, String), Part>,
    /// What is known to be lost.
    pub losses: Vec<StoredLoss>,
    /// Ids in quarantine.
    pub quarantined: BTreeSet<i64>,
    /// Runs of ids in `logs` without a gap: first, last, and how many rows have them (more than there are ids where some repeat).
    pub runs: Vec<(i64, i64, u64)>,
    /// Ids that several rows have, and how many; not more than some.
    pub repeated_ids: Vec<(i64, u64)>,
    /// UTC days that have a partition of their own.
    pub days: BTreeSet<String>,
    /// Days before this one share a partition.
    pub archive_before: Option<String>,
    /// What retention dropped of a day, the last time that it did.
    pub dropped_days: BTreeMap<String, Dropped>,
    /// Runs of ids that retention deleted out of the partition that days share, and out of quarantine.
    pub dropped: Vec<(i64, i64, u64)>,
}

/// A day of logs that was dropped; what came of it later is stored in another partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The last entry of the ledger then: of those before it, every frame of the day was dropped.
    pub entry: (i64, i16),
    /// Frames of the day that this entry had then.
    pub frames: u64,
}

/// Something that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Frames that the ledger counts are in neither `logs` nor `quarantine`.
    Missing {
        /// Their ids, first and last; the last may be beyond some that are there where an entry can only be counted.
        ids: (i64, i64),
        /// How many.
        frames: u64,
        /// The entry.
        entry: (i64, i16),
    },
    /// Several rows of `logs` have one id.
    RepeatedId {
        /// The id.
        id: i64,
        /// How many rows have it.
        rows: u64,
    },
    /// Rows of `logs` that no entry of the ledger tells of.
    Unknown {
        /// Their ids, first and last.
        ids: (i64, i64),
        /// How many.
        rows: u64,
    },
    /// Bytes of an input that were never read, and nothing says why.
    Gap {
        /// The input and its part.
        input: (String, String),
        /// From and to.
        bytes: (u64, u64),
    },
    /// Bytes of an input that were read twice.
    Overlap {
        /// The input and its part.
        input: (String, String),
        /// From and to.
        bytes: (u64, u64),
    },
    /// Something that is known to be lost.
    Lost(usize),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// Frames that are stored once.
    pub stored: u64,
    /// Frames in quarantine.
    pub quarantined: u64,
    /// Frames that were dropped, most with the partition of their day.
    pub expired: u64,
    /// What should not be.
    pub findings: Vec<Finding>,
}

/// The entries from the first on that was committed at `$1` or later. Clocks can be set, so what follows on it may have an earlier time;
/// an entry that is left out amidst others would look like a gap.
macro_rules! from_since {
    () => {
        "(first_transaction, piece) >= (SELECT first_transaction, piece FROM ledger WHERE committed_at >= to_timestamp($1::float8) \
         ORDER BY first_transaction, piece LIMIT 1)"
    };
}

/// Reads the facts; with `since`, only from the first entry on that was committed then or later, and what was noticed or told from then on.
///
/// # Errors
/// The database cannot be reached or read, or has no ledger.
pub async fn read(servers: &Servers, since: Option<Timestamp>) -> Result<Facts, StoreError> {
    let mut connection = servers.connect_to_read().await?;
    let failed = StoreError::at("read the ledger");
    let facts = facts(&mut connection, since.unwrap_or(Timestamp::MIN)).await.map_err(failed);
    let _ = connection.close().await;
    facts
}

async fn facts(connection: &mut PgConnection, since: Timestamp) -> Result<Facts, sqlx::Error> {
    // One moment for all statements.
    connection.execute("SET timezone = 'UTC'; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let since = since.as_micros().div_euclid(1_000_000).max(-200_000_000_000) as f64;
    let mut facts = Facts::default();
    let rows = sqlx::query(concat!(
        "SELECT first_transaction, piece, ids::text, days, (extract(epoch FROM first_received) * 1000000)::bigint, \
             (extract(epoch FROM last_received) * 1000000)::bigint \
         FROM ledger WHERE ",
        from_since!(),
        " ORDER BY first_transaction, piece",
    ))
    .bind(since)
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        facts.entries.push(entry(row)?);
    }
    let rows = sqlx::query(concat!(
        "SELECT input, part, first_transaction, piece, from_position, to_position, frames, repeated, cut FROM ledger_ranges WHERE ",
        from_since!(),
        " ORDER BY first_transaction, piece",
    ))
    .bind(since)
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        let number = |column: usize| Ok::<_, sqlx::Error>(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or(0));
        let range = Range { from: number(4)?, to: number(5)?, frames: number(6)?, repeated: number(7)?, cut: number(8)? };
        let part = facts.parts.entry((row.try_get(0)?, row.try_get(1)?)).or_default();
        part.ranges.push(StoredRange { entry: (row.try_get(2)?, row.try_get(3)?), range });
    }
    for row in sqlx::query("SELECT input, part, position, detail->>'path' FROM positions").fetch_all(&mut *connection).await? {
        if let Some(part) = facts.parts.get_mut(&(row.try_get(0)?, row.try_get(1)?)) {
            part.position = Some(u64::try_from(row.try_get::<i64, _>(2)?).unwrap_or(0));
            part.path = row.try_get(3)?;
        }
    }
    let rows = sqlx::query(
        "SELECT input, part, from_position, to_position, frames, reason, (extract(epoch FROM noticed_at) * 1000000)::bigint \
         FROM losses WHERE noticed_at >= to_timestamp($1::float8) \
            OR transaction >= (SELECT min(first_transaction) FROM ledger WHERE committed_at >= to_timestamp($1::float8)) ORDER BY id",
    )
    .bind(since)
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        facts.losses.push(loss(row)?);
    }
    let first_id = facts.entries.iter().filter_map(|e| e.ids.first()).map(|(from, _)| *from).min();
    if let Some(first_id) = first_id {
        let rows =
            sqlx::query("SELECT log_id FROM quarantine WHERE log_id >= $1").bind(first_id).fetch_all(&mut *connection).await?;
        facts.quarantined = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        logs(connection, first_id, &mut facts).await?;
    }
    days(connection, &mut facts).await?;
    dropped(connection, &mut facts).await?;
    connection.execute("ROLLBACK").await?;
    Ok(facts)
}

async fn logs(connection: &mut PgConnection, first_id: i64, facts: &mut Facts) -> Result<(), sqlx::Error> {
    let rows = sqlx::query(
        "SELECT min(id), max(id), sum(n)::bigint \
         FROM (SELECT id, n, id - row_number() OVER (ORDER BY id) AS run \
               FROM (SELECT id, count(*) AS n FROM logs WHERE id >= $1 GROUP BY id) AS ids) AS runs \
         GROUP BY run ORDER BY 1",
    )
    .bind(first_id)
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        facts.runs.push((row.try_get(0)?, row.try_get(1)?, u64::try_from(row.try_get::<i64, _>(2)?).unwrap_or(0)));
    }
    if facts.runs.iter().any(|(first, last, rows)| *rows > last.abs_diff(*first) + 1) {
        let rows =
            sqlx::query("SELECT id, count(*) FROM logs WHERE id >= $1 GROUP BY id HAVING count(*) > 1 ORDER BY id LIMIT 1000")
                .bind(first_id)
                .fetch_all(&mut *connection)
                .await?;
        for row in &rows {
            facts.repeated_ids.push((row.try_get(0)?, u64::try_from(row.try_get::<i64, _>(1)?).unwrap_or(0)));
        }
    }
    Ok(())
}

/// Which days' partitions are there.
async fn days(connection: &mut PgConnection, facts: &mut Facts) -> Result<(), sqlx::Error> {
    let rows = sqlx::query(
        "SELECT c.relname, substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \\(''([0-9-]{10})') \
         FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'logs'::regclass",
    )
    .fetch_all(connection)
    .await?;
    for row in &rows {
        let name: String = row.try_get(0)?;
        match name.strip_prefix("logs_") {
            Some("archive") => facts.archive_before = row.try_get(1)?,
            Some(day) => drop(facts.days.insert(day.replace('_', "-"))),
            None => {}
        }
    }
    Ok(())
}

/// What retention dropped.
async fn dropped(connection: &mut PgConnection, facts: &mut Facts) -> Result<(), sqlx::Error> {
    let rows = sqlx::query("SELECT day::text, first_transaction, piece, frames, ids::text FROM dropped_logs ORDER BY id");
    let mut ids = Vec::new();
    for row in &rows.fetch_all(connection).await? {
        let entry = row.try_get::<Option<i64>, _>(1)?.zip(row.try_get(2)?);
        if let (Some(day), Some(entry)) = (row.try_get::<Option<String>, _>(0)?, entry) {
            let frames = row.try_get::<Option<i64>, _>(3)?.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
            facts.dropped_days.insert(day, Dropped { entry, frames });
        }
        if let Some(deleted) = row.try_get::<Option<String>, _>(4)? {
            ids.extend(multirange(&deleted));
        }
    }
    ids.sort_unstable();
    facts.dropped = ids.iter().map(|(from, to)| (*from, *to - 1, to.abs_diff(*from))).collect();
    Ok(())
}

fn entry(row: &PgRow) -> Result<StoredEntry, sqlx::Error> {
    let days: serde_json::Value = row.try_get(3)?;
    let days = days.as_object().into_iter().flatten().map(|(day, n)| (day.clone(), n.as_u64().unwrap_or(0))).collect();
    let micros = |column: usize| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros));
    Ok(StoredEntry {
        key: (row.try_get(0)?, row.try_get(1)?),
        ids: multirange(&row.try_get::<String, _>(2)?),
        days,
        received: micros(4)?.zip(micros(5)?),
    })
}

/// `{[1,5),[7,9)}` → the ranges.
fn multirange(text: &str) -> Vec<(i64, i64)> {
    let numbers: Vec<i64> = text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

fn loss(row: &PgRow) -> Result<StoredLoss, sqlx::Error> {
    let number = |column: usize| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.and_then(|n| u64::try_from(n).ok()));
    let reason: String = row.try_get(5)?;
    Ok(StoredLoss {
        input: (row.try_get(0)?, row.try_get(1)?),
        range: number(2)?.zip(number(3)?),
        frames: number(4)?,
        reason: LossReason::from_word(&reason).ok_or_else(|| sqlx::Error::Decode(format!("{reason:?} is no reason").into()))?,
        noticed_at: Timestamp::from_micros(row.try_get(6)?),
    })
}

/// Judges the facts.
pub fn judge(facts: &Facts) -> Verdict {
    let mut verdict = Verdict::default();
    ids(facts, &mut verdict);
    for (input, part) in &facts.parts {
        follow(facts, input, part, &mut verdict.findings);
    }
    verdict.findings.extend((0..facts.losses.len()).map(Finding::Lost));
    verdict
}

/// Is every id there once?
fn ids(facts: &Facts, verdict: &mut Verdict) {
    let is_there = |day: &String| facts.days.contains(day) || facts.archive_before.as_ref().is_some_and(|before| day < before);
    // How many of an entry's frames of a day are gone with a partition of that day.
    let gone = |key: (i64, i16), day: &String, frames: u64| match facts.dropped_days.get(day) {
        _ if !is_there(day) => frames,
        Some(dropped) if key < dropped.entry => frames,
        Some(dropped) if key == dropped.entry => dropped.frames.min(frames),
        _ => 0,
    };
    let mut known: Vec<(i64, i64)> = Vec::new();
    for entry in &facts.entries {
        known.extend(&entry.ids);
        let frames: u64 = entry.ids.iter().map(|(from, to)| to.abs_diff(*from)).sum();
        let deleted: u64 = entry.ids.iter().map(|ids| overlap(&facts.dropped, *ids)).sum();
        let expired = deleted + entry.days.iter().map(|(day, n)| gone(entry.key, day, *n)).sum::<u64>();
        let quarantined: u64 = entry.ids.iter().map(|(from, to)| facts.quarantined.range(*from..*to).count() as u64).sum();
        let found: u64 = entry.ids.iter().map(|ids| overlap(&facts.runs, *ids)).sum();
        verdict.quarantined += quarantined;
        verdict.expired += expired;
        verdict.stored += found;
        let missing = frames.saturating_sub(quarantined + expired + found);
        if missing == 0 {
            continue;
        }
        if expired > 0 {
            // Which of those that are not there were dropped with their day, nobody knows.
            let (first, last) = (entry.ids[0].0, entry.ids[entry.ids.len() - 1].1 - 1);
            verdict.findings.push(Finding::Missing { ids: (first, last), frames: missing, entry: entry.key });
            continue;
        }
        for &ids in &entry.ids {
            for (first, last) in absent(&facts.runs, &facts.quarantined, ids) {
                verdict.findings.push(Finding::Missing {
                    ids: (first, last),
                    frames: last.abs_diff(first) + 1,
                    entry: entry.key,
                });
            }
        }
    }
    known.sort_unstable();
    let known: Vec<(i64, i64, u64)> = known.iter().map(|(from, to)| (*from, *to - 1, 0)).collect();
    for &(id, rows) in &facts.repeated_ids {
        verdict.findings.push(Finding::RepeatedId { id, rows });
        verdict.stored -= overlap(&known, (id, id + 1));
    }
    for &(first, last, _) in &facts.runs {
        for (first, last) in absent(&known, &BTreeSet::new(), (first, last + 1)) {
            verdict.findings.push(Finding::Unknown { ids: (first, last), rows: last.abs_diff(first) + 1 });
        }
    }
}

/// How many ids of a range (one past its last) are in the runs, which ascend.
fn overlap(runs: &[(i64, i64, u64)], (from, to): (i64, i64)) -> u64 {
    let begin = runs.partition_point(|(_, last, _)| *last < from);
    let in_reach = runs[begin..].iter().take_while(|(first, _, _)| *first < to);
    in_reach.map(|(first, last, _)| ((*last + 1).min(to) - (*first).max(from)) as u64).sum()
}

/// The stretches of a range that are neither in the runs nor among the exceptions: first and last.
fn absent(runs: &[(i64, i64, u64)], except: &BTreeSet<i64>, (from, to): (i64, i64)) -> Vec<(i64, i64)> {
    let mut stretches = Vec::new();
    let mut stretch = |mut from: i64, to: i64| {
        for &id in except.range(from..to) {
            if id > from {
                stretches.push((from, id - 1));
            }
            from = id + 1;
        }
        if from < to {
            stretches.push((from, to - 1));
        }
    };
    let mut at = from;
    let begin = runs.partition_point(|(_, last, _)| *last < from);
    for (first, last, _) in runs[begin..].iter().take_while(|(first, _, _)| *first < to) {
        if *first > at {
            stretch(at, *first);
        }
        at = at.max(last + 1);
    }
    if at < to {
        stretch(at, to);
    }
    stretches
}

/// Was every byte of a part read once?
fn follow(facts: &Facts, input: &(String, String), part: &Part, findings: &mut Vec<Finding>) {
    let losses: Vec<(u64, u64)> = facts.losses.iter().filter(|l| l.input == *input).filter_map(|l| l.range).collect();
    let mut at: Option<u64> = None;
    for StoredRange { range, .. } in &part.ranges {
        step(input, at.unwrap_or(range.from), range.from, &losses, findings);
        at = Some(range.to);
    }
    if let (Some(at), Some(position)) = (at, part.position) {
        step(input, at, position, &losses, findings);
    }
}

/// One range ends at `at` and the next begins at `next`.
fn step(input: &(String, String), at: u64, next: u64, losses: &[(u64, u64)], findings: &mut Vec<Finding>) {
    let bytes = (at.min(next), at.max(next));
    let is_told = losses.iter().any(|(from, to)| *from <= bytes.0 && bytes.1 <= *to);
    if at == next || is_told {
        return;
    }
    let input = input.clone();
    findings.push(if at < next { Finding::Gap { input, bytes } } else { Finding::Overlap { input, bytes } });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let range = |from, to, frames| Range { from, to, frames, ..Range::default() };
        let entry = |first: i64, ids: &[(i64, i64)], day: &str| StoredEntry {
            key: (first, 0),
            ids: ids.to_vec(),
            days: [(day.to_owned(), ids.iter().map(|(from, to)| to.abs_diff(*from)).sum())].into(),
            received: None,
        };
        let ranges = vec![
            StoredRange { entry: (1, 0), range: range(0, 100, 10) },
            StoredRange { entry: (5, 0), range: range(100, 250, 10) },
        ];
        Facts {
            entries: vec![entry(1, &[(1, 11)], "2026-11-20"), entry(5, &[(11, 16), (100, 105)], "2026-11-20")],
            parts: [(("files:a".into(), "x".into()), Part { ranges, position: Some(250), path: None })].into(),
            runs: vec![(1, 15, 15), (100, 104, 5)],
            days: ["2026-11-20".to_owned()].into(),
            ..Facts::default()
        }
    }

    #[test]
    fn what_is_right_has_no_findings() {
        let verdict = judge(&facts());
        assert_eq!((verdict.stored, verdict.findings), (20, vec![]));
        assert_eq!(multirange("{[1,5),[7,9)}"), [(1, 5), (7, 9)]);
        assert_eq!(multirange("{}"), []);
    }

    #[test]
    fn missing_repeated_and_unknown_rows_are_named() {
        let mut broken = facts();
        broken.runs = vec![(1, 3, 3), (6, 15, 11), (100, 104, 5), (200, 201, 2)];
        broken.repeated_ids = vec![(9, 2)];
        broken.quarantined = [4].into();
        assert_eq!(
            judge(&broken).findings,
            [
                Finding::Missing { ids: (5, 5), frames: 1, entry: (1, 0) },
                Finding::RepeatedId { id: 9, rows: 2 },
                Finding::Unknown { ids: (200, 201), rows: 2 },
            ]
        );
        let mut expired = facts();
        expired.days.clear();
        expired.runs.clear();
        assert_eq!((judge(&expired).expired, judge(&expired).findings), (20, vec![]));
        // Older days share a partition, which is never dropped as a whole.
        expired.archive_before = Some("2026-12-01".into());
        assert_eq!(judge(&expired).findings.len(), 3);
    }

    #[test]
    fn gaps_and_overlaps_of_ranges_are_named_unless_a_loss_tells_of_them() {
        let key = ("files:a".to_owned(), "x".to_owned());
        let with = |from: u64, position: u64| {
            let mut facts = facts();
            let part = facts.parts.get_mut(&key).unwrap();
            part.ranges[1].range.from = from;
            part.position = Some(position);
            facts
        };
        let input = || key.clone();
        assert_eq!(judge(&with(120, 250)).findings, [Finding::Gap { input: input(), bytes: (100, 120) }]);
        assert_eq!(judge(&with(90, 250)).findings, [Finding::Overlap { input: input(), bytes: (90, 100) }]);
        assert_eq!(judge(&with(100, 240)).findings, [Finding::Overlap { input: input(), bytes: (240, 250) }]);
        let mut told = with(120, 250);
        told.losses.push(StoredLoss {
            input: key.clone(),
            range: Some((100, 120)),
            frames: None,
            reason: LossReason::DamagedRecord,
            noticed_at: Timestamp::MIN,
        });
        assert_eq!(judge(&told).findings, [Finding::Lost(0)]);
    }
}
