//! Maintenance: what is there, for how long it is kept, and taking away what is due.
//!
//! Log records go by whole partitions, a day each, in an instant; everything else goes in batches. Each of these is a transaction of its own
//! with its row in the audit log, so a run can end anywhere and the next one goes on. What others are at for too long is put off. Nothing
//! that is under legal hold goes (a trigger sees to that, too), and what goes from `logs` is written down for `tocsin verify`.

use std::time::Duration;

use serde_json::json;

use super::audit::Act;
use super::incidents::subject;
use super::{Actor, Casework, CaseworkError, Permission};
use crate::record::Timestamp;
use crate::store::ledger::day_name;
use crate::store::retention::{self as rows, Kept};

const DAY_MICROS: i64 = 86_400_000_000;
/// Rows that one transaction takes away.
const BATCH: i64 = 20_000;
/// How often a partition is tried to be dropped, and how long others have then to themselves: half a minute in all.
const TRIES: u32 = 30;
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
/// A table of which so many rows were taken away is tidied up.
const MUCH: i64 = 10_000;

/// For how long what is kept, in microseconds; `None`: for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Retention {
    pub logs: Option<i64>,
    pub rollups: Option<i64>,
    pub incidents: Option<i64>,
    pub quarantine: Option<i64>,
    pub tokens: Option<i64>,
}

/// Something that is kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Holding {
    /// What.
    pub what: String,
    /// Rows: of `logs` about, as the database's statistics have them.
    pub rows: i64,
    /// With indexes.
    pub bytes: i64,
    /// The earliest of it.
    pub oldest: Option<Timestamp>,
    /// For how many days it is kept; null: for good.
    pub kept_days: Option<i64>,
    /// Rows of it that are due.
    pub due: i64,
    /// Why something of it stays although it is due.
    pub stays: Option<String>,
}

/// What there is, and what is due.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Upkeep {
    /// As of when.
    pub now: Timestamp,
    /// Size of the database.
    pub database_bytes: i64,
    /// When the last run began that left nothing over.
    pub last_run: Option<Timestamp>,
    /// Who ran it.
    pub last_run_by: Option<String>,
    /// Everything that is kept.
    pub holdings: Vec<Holding>,
}

/// Something that was taken away.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Taken {
    /// What.
    pub what: String,
    /// Rows.
    pub rows: i64,
    /// Bytes that came free, where they did at once.
    pub bytes: Option<i64>,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Run {
    /// When it began.
    pub began: Timestamp,
    /// What was taken away, in order.
    pub taken: Vec<Taken>,
    /// What was not, since others were at it for too long; the next run tries again.
    pub put_off: Vec<String>,
}

impl Retention {
    /// The time before which something is due at `now`: whole UTC days, so that logs and what counts them go together.
    fn due(keep: Option<i64>, now: Timestamp) -> Option<Timestamp> {
        let due = now.plus_micros(-keep?);
        Some(Timestamp::from_micros(due.day() * DAY_MICROS))
    }

    fn of(&self, what: Kept, now: Timestamp) -> Option<Timestamp> {
        match what {
            Kept::OldLogs | Kept::AddedLines => Retention::due(self.logs, now),
            Kept::Rollups => Retention::due(self.rollups, now),
            Kept::Quarantine => Retention::due(self.quarantine, now),
            Kept::Tokens => Retention::due(self.tokens, now),
            Kept::Sessions => Some(now.plus_micros(-super::sessions::IDLE_MICROS)),
        }
    }

    fn days(&self, what: Kept) -> Option<i64> {
        let keep = match what {
            Kept::OldLogs | Kept::AddedLines => self.logs,
            Kept::Rollups => self.rollups,
            Kept::Quarantine => self.quarantine,
            Kept::Tokens => self.tokens,
            Kept::Sessions => Some(0),
        };
        keep.map(|keep| keep / DAY_MICROS)
    }
}

fn named(what: Kept) -> &'static str {
    match what {
        Kept::OldLogs => "log records of long ago",
        Kept::AddedLines => "lines added by hand",
        Kept::Rollups => "counts of log records by hour",
        Kept::Quarantine => "frames in quarantine",
        Kept::Tokens => "tokens of programs",
        Kept::Sessions => "sessions",
    }
}

fn logs_of(day: i64) -> String {
    format!("log records of {}", day_name(day))
}

impl Casework {
    /// What there is, and what is due.
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn maintenance(&self, actor: &Actor) -> Result<Upkeep, CaseworkError> {
        let mut reading = self.look(actor, Permission::Maintain).await?;
        let (connection, keep) = (&mut reading.connection, self.settings.retention);
        let now = rows::now(connection).await?.min(Timestamp::now());
        let due_logs = Retention::due(keep.logs, now);
        let mut holdings = Vec::new();
        for partition in rows::partitions(connection).await? {
            let Some(day) = partition.day else { continue };
            let is_due = due_logs.is_some_and(|due| day < due.day());
            holdings.push(Holding {
                what: logs_of(day),
                rows: partition.rows,
                bytes: partition.bytes,
                oldest: Some(Timestamp::from_micros(day * DAY_MICROS)),
                kept_days: keep.days(Kept::OldLogs),
                due: if is_due { partition.rows } else { 0 },
                stays: None,
            });
        }
        for what in Kept::ALL {
            let found = rows::holding(connection, what, keep.of(what, now)).await?;
            holdings.push(Holding {
                what: named(what).to_owned(),
                rows: found.rows,
                bytes: found.bytes,
                oldest: found.oldest,
                kept_days: keep.days(what),
                due: found.due,
                stays: None,
            });
        }
        let (database_bytes, bytes, incidents) = rows::sizes(connection).await?;
        let (due, held) = rows::due_incidents(connection, Retention::due(keep.incidents, now)).await?;
        holdings.push(Holding {
            what: "incidents with all that belongs to them".to_owned(),
            rows: incidents,
            bytes,
            oldest: None,
            kept_days: keep.incidents.map(|keep| keep / DAY_MICROS),
            due,
            stays: (held > 0).then(|| format!("{held} under legal hold")),
        });
        let last = rows::last_run(connection).await?;
        reading.done();
        let (last_run, last_run_by) = last.unzip();
        Ok(Upkeep { now, database_bytes, last_run, last_run_by, holdings })
    }

    /// Takes away what is due; `tell` hears of each thing when it is gone. What is put off is for the next run.
    ///
    /// # Errors
    /// Not permitted; a run is under way; the database, after which what was taken away stays so.
    pub async fn maintain(&self, actor: &Actor, tell: &mut (dyn FnMut(&Taken) + Send)) -> Result<Run, CaseworkError> {
        // Held by its connection, which is closed if this ends early.
        let mut lock = self.look(actor, Permission::Maintain).await?;
        if !rows::lock(&mut lock.connection).await? {
            lock.done();
            return Err(CaseworkError::Conflict("maintenance is under way already".to_owned()));
        }
        // Of two clocks the one that takes away less.
        let now = rows::now(&mut lock.connection).await?.min(Timestamp::now());
        let mut run = Run { began: now, taken: Vec::new(), put_off: Vec::new() };
        let mut note = |run: &mut Run, what: String, rows: i64, bytes: Option<i64>| {
            let taken = Taken { what, rows, bytes };
            tell(&taken);
            run.taken.push(taken);
        };
        if let Some(due) = Retention::due(self.settings.retention.logs, now) {
            let days = rows::partitions(&mut lock.connection).await?.into_iter().filter_map(|partition| partition.day);
            for day in days.filter(|day| *day < due.day()) {
                // Whoever was in the way of one day is in the way of the next.
                let tries = if run.put_off.is_empty() { TRIES } else { 1 };
                match self.drop_day(actor, day, tries).await {
                    Ok(Some((records, bytes))) => note(&mut run, logs_of(day), records, Some(bytes)),
                    Ok(None) => {}
                    Err(CaseworkError::Store(error)) if rows::is_busy(&error) => run.put_off.push(logs_of(day)),
                    Err(error) => return Err(error),
                }
            }
        }
        for what in Kept::ALL {
            let Some(due) = self.settings.retention.of(what, now) else { continue };
            let gone = self.take_away(actor, what, due).await?;
            if gone > 0 {
                note(&mut run, named(what).to_owned(), gone, None);
            }
            if gone >= MUCH {
                rows::tidy(&mut lock.connection, what.table()).await?;
            }
        }
        if let Some(due) = Retention::due(self.settings.retention.incidents, now) {
            let gone = self.remove_incidents(actor, due).await?;
            if gone > 0 {
                note(&mut run, "incidents with all that belongs to them".to_owned(), gone, None);
            }
        }
        let mut change = self.change(actor, Permission::Maintain).await?;
        let done = json!({ "taken": run.taken, "put_off": run.put_off });
        let ended = change.now;
        rows::ran(change.connection(), now, ended, &actor.name, run.put_off.is_empty(), &done).await?;
        change.commit(&[Act::new("maintenance.run", "maintenance").values(None, done)]).await?;
        rows::unlock(&mut lock.connection).await?;
        lock.done();
        Ok(run)
    }

    /// What time it is by the clock that maintenance goes by, and when the last run began that left nothing over.
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn last_maintenance(&self, actor: &Actor) -> Result<(Timestamp, Option<Timestamp>), CaseworkError> {
        let mut reading = self.look(actor, Permission::Maintain).await?;
        let now = rows::now(&mut reading.connection).await?.min(Timestamp::now());
        let last = rows::last_run(&mut reading.connection).await?;
        reading.done();
        Ok((now, last.map(|(began, _)| began)))
    }

    /// Drops the log records of a day. It waits for those that store and search for a moment only, since others then wait behind it, and
    /// tries again later.
    async fn drop_day(&self, actor: &Actor, day: i64, tries: u32) -> Result<Option<(i64, i64)>, CaseworkError> {
        for _ in 1..tries {
            match self.try_drop_day(actor, day).await {
                Err(CaseworkError::Store(error)) if rows::is_busy(&error) => tokio::time::sleep(BETWEEN_TRIES).await,
                done => return done,
            }
        }
        self.try_drop_day(actor, day).await
    }

    async fn try_drop_day(&self, actor: &Actor, day: i64) -> Result<Option<(i64, i64)>, CaseworkError> {
        let mut change = self.change(actor, Permission::Maintain).await?;
        let Some((records, bytes)) = rows::drop_partition(change.connection(), day).await? else { return Ok(None) };
        let shown = json!({ "rows": records, "bytes": bytes });
        change.commit(&[Act::new("maintenance.drop", format!("logs:{}", day_name(day))).values(shown, None)]).await?;
        Ok(Some((records, bytes)))
    }

    async fn take_away(&self, actor: &Actor, what: Kept, due: Timestamp) -> Result<i64, CaseworkError> {
        let mut all = 0;
        loop {
            let mut change = self.change(actor, Permission::Maintain).await?;
            let gone = rows::take_away(change.connection(), what, due, BATCH).await?;
            if gone == 0 {
                return Ok(all);
            }
            let shown = json!({ "rows": gone, "before": due });
            change.commit(&[Act::new("maintenance.drop", what.table()).values(shown, None)]).await?;
            all += gone;
        }
    }

    /// Removes the incidents that are due, one after the other.
    async fn remove_incidents(&self, actor: &Actor, due: Timestamp) -> Result<i64, CaseworkError> {
        let mut all = 0;
        loop {
            let mut change = self.change(actor, Permission::PurgeIncidents).await?;
            let Some((id, number)) = rows::next_due_incident(change.connection(), due).await? else { return Ok(all) };
            change.remove_incident(id).await?;
            change.commit(&[Act::new("incident.remove", subject(&number)).because(Some("retention"))]).await?;
            all += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_a_time_is_due_by_whole_days_and_what_is_kept_for_good_never() {
        let now = Timestamp::parse_rfc3339("2026-11-21T03:00:00Z").unwrap();
        let due = |keep| Retention::due(keep, now).map(|due| due.to_string());
        assert_eq!(due(Some(90 * DAY_MICROS)).as_deref(), Some("2026-08-23T00:00:00Z"));
        assert_eq!(due(Some(90 * DAY_MICROS + 4 * 3_600_000_000)).as_deref(), Some("2026-08-22T00:00:00Z"));
        assert_eq!(due(None), None);
        assert!(Kept::ALL.into_iter().all(|what| what == Kept::Sessions || Retention::default().of(what, now).is_none()));
    }
}
