//! A database that does what PostgreSQL does only once in a while. One lock and no clock of its own, so that a seed plays the same again.
//!
//! - Transactions are read committed. The row of `positions` with the number of the last transaction is locked by whoever follows on;
//!   others wait for it.
//! - A connection can be lost before a statement, in it, or before its answer. The server's end of it lives on for a while: with its
//!   lock, and with a COMMIT under way that goes through sooner or later, or not at all.
//! - Statements are refused, as by a deadlock, or take longer than anybody waits.
//! - The server can crash: transactions that are open are gone, a COMMIT that was under way may have gone through.
//! - The process can die before, in the middle of or after any statement; it finds out by an error, and is to be buried.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::frame::{Loss, PositionChange};
use crate::journal::simulation::{Chance, Moment};
use crate::parse::{self, Context};
use crate::record::incident::IncidentChange;
use crate::record::{EventType, Severity, Timestamp, Zone};
use crate::store::copy::Rows;
use crate::store::error::tests::said;
use crate::store::ledger::Entry;
use crate::store::rollups::Kind;
use crate::store::{Database, ID_BLOCK, Observed, Refused, Saved, SavedPosition, Session, Statements, StoreError};

/// How often statements fail, in thousandths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// The connection is lost with the statement.
    pub lost: u32,
    /// The server refuses: a deadlock, a time limit, a disk that is full.
    pub refused: u32,
    /// The statement takes longer than anybody waits.
    pub slow: u32,
    /// Nobody listens at the server's address.
    pub down: bool,
}

/// The words that make the server refuse a row.
pub const POISON: &str = "poison";

/// What the pipeline asks of a database. The process may die at each of these points.
pub const POINTS: [&str; 25] = [
    // The daemon begins.
    "take over",
    "read back",
    "read deliveries",
    "take ids",
    "connect",
    "make partition",
    // A transaction.
    "begin",
    "copy start",
    "copy end",
    "follow on",
    "write positions",
    "write ledger",
    "write losses",
    "write deliveries",
    "write rollups",
    "write incidents",
    "commit sent",
    "commit answered",
    // A row that is refused.
    "roll back",
    "savepoint",
    "release savepoint",
    "roll back to savepoint",
    "quarantine",
    // After a connection was lost.
    "end session",
    "ask for the last transaction",
];

/// A row of `logs`, as far as it matters.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub event_time: Timestamp,
    pub received_at: Timestamp,
    pub source: String,
    pub host: Option<String>,
    pub text: String,
}

/// An input, and which part of it.
type Part = (Arc<str>, Arc<str>);
/// How far it is read, and what else its input wrote down.
type Position = (u64, serde_json::Value);

/// What is committed.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    pub epoch: i64,
    pub transaction: i64,
    pub floor: Option<Timestamp>,
    pub positions: BTreeMap<Part, Position>,
    pub rows: BTreeMap<i64, Row>,
    pub quarantine: BTreeMap<i64, String>,
    pub ledger: BTreeMap<(i64, i16), Entry>,
    pub losses: Vec<Loss>,
    pub deliveries: Vec<(String, String)>,
    pub rollups: BTreeMap<Kind, i64>,
    pub incidents: Vec<IncidentChange>,
}

/// The database as one process has it. Once that has died, nothing that it asks has any effect.
#[derive(Clone)]
pub struct ModelDatabase {
    state: Arc<Mutex<State>>,
    life: u64,
}

struct State {
    chance: Chance,
    faults: Faults,
    life: u64,
    dead: bool,
    crash: Option<(u64, Moment)>,
    /// The points that were come by so far.
    points: Vec<&'static str>,
    tables: Tables,
    next_id: i64,
    next_pid: i32,
    sessions: BTreeMap<i32, Backend>,
    /// Who has the row with the number of the last transaction.
    lock: Option<i32>,
    partitions: BTreeSet<i64>,
    /// What is committed is thrown away once in a while.
    forgets: bool,
}

/// The server's end of a connection.
#[derive(Default)]
struct Backend {
    transaction: Option<Vec<Change>>,
    savepoint: Option<usize>,
    /// An error has ended the transaction; it can only be rolled back.
    failed: bool,
    /// COMMIT has arrived.
    committing: bool,
    /// Nobody is at the other end.
    orphan: bool,
}

enum Change {
    Row(i64, Row),
    Quarantine(i64, String),
    FollowOn(i64, Option<Timestamp>),
    Position(PositionChange),
    Ledger(Entry),
    Loss(Loss),
    Delivery(String, String),
    Rollup(Kind, i64),
    Incident(IncidentChange),
}

impl fmt::Debug for ModelDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModelDatabase")
    }
}

impl ModelDatabase {
    pub fn new(chance: Chance) -> ModelDatabase {
        let state = State {
            chance,
            faults: Faults::default(),
            life: 0,
            dead: false,
            crash: None,
            points: Vec::new(),
            tables: Tables::default(),
            next_id: 1,
            next_pid: 1,
            sessions: BTreeMap::new(),
            lock: None,
            partitions: BTreeSet::new(),
            forgets: false,
        };
        ModelDatabase { state: Arc::new(Mutex::new(state)), life: 0 }
    }

    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// From now on some commits are answered and not carried out, but for the number, which no pipeline can survive.
    pub fn forget_commits(&self) {
        self.state().forgets = true;
    }

    /// Lets the process die at the point after so many others.
    pub fn crash_after(&self, points: u64, moment: Moment) {
        self.state().crash = Some((points, moment));
    }

    pub fn forget_crash(&self) {
        self.state().crash = None;
    }

    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    pub fn points(&self) -> Vec<&'static str> {
        self.state().points.clone()
    }

    pub fn tables(&self) -> Tables {
        self.state().tables.clone()
    }

    /// Ends the process that had the database, and returns it for the next one. The server has yet to notice.
    pub fn reborn(&self) -> ModelDatabase {
        let mut state = self.state();
        state.life += 1;
        state.dead = false;
        state.sessions.values_mut().for_each(|backend| backend.orphan = true);
        ModelDatabase { state: Arc::clone(&self.state), life: state.life }
    }

    /// The server notices that nobody is at the other end of some connections, and that COMMITs have come.
    pub fn settle(&self) {
        let mut state = self.state();
        let orphans: Vec<i32> = state.sessions.iter().filter(|(_, backend)| backend.orphan).map(|(pid, _)| *pid).collect();
        orphans.into_iter().for_each(|pid| state.finish(pid));
    }

    /// The server crashes, and is there again.
    pub fn crash(&self) {
        let mut state = self.state();
        let all: Vec<i32> = state.sessions.keys().copied().collect();
        all.into_iter().for_each(|pid| state.finish(pid));
    }

    /// Another daemon takes over, and stores a transaction of its own.
    pub fn rival(&self) -> bool {
        let mut state = self.state();
        if state.lock.is_some() {
            return false;
        }
        state.tables.epoch += 1;
        state.tables.transaction += 1;
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Comes by a point, with whatever is due there. `pid` is the connection, where there is one yet.
    async fn at<T>(
        &self,
        point: &'static str,
        pid: Option<i32>,
        act: impl FnOnce(&mut State) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        if self.is_slow(point) {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
        }
        // The other connection may come first.
        if self.state().chance.one_in(3) {
            tokio::task::yield_now().await;
        }
        let mut state = self.state();
        let state = &mut *state;
        if state.dead || state.life != self.life {
            return Err(lost());
        }
        debug_assert!(POINTS.contains(&point), "{point}");
        state.points.push(point);
        let crash = state.crash.take_if(|(left, _)| *left == 0).map(|(_, moment)| moment);
        if let Some((left, _)) = &mut state.crash {
            *left -= 1;
        }
        if crash == Some(Moment::Before) {
            state.dead = true;
            return Err(lost());
        }
        let backend = pid.map(|pid| state.sessions.get(&pid));
        if state.faults.down || matches!(backend, Some(None)) {
            state.dead = crash.is_some();
            return Err(lost());
        }
        let (lost_before, lost_after, refused) = {
            let loses = state.chance.per_mille(state.faults.lost);
            let before = state.chance.one_in(2);
            (loses && before, loses && !before, state.chance.per_mille(state.faults.refused))
        };
        let done = if lost_before {
            Err(lost())
        } else if refused && point != "commit answered" {
            let code = ["40P01", "57014", "53100", "25006", "08006"][state.chance.below(5) as usize];
            Err(said(code))
        } else {
            act(state)
        };
        if let (Err(_), Some(backend)) = (&done, pid.and_then(|pid| state.sessions.get_mut(&pid))) {
            backend.failed = true;
        }
        if crash.is_some() {
            state.dead = true;
            return Err(lost());
        }
        if lost_before || lost_after {
            if let Some(backend) = pid.and_then(|pid| state.sessions.get_mut(&pid)) {
                backend.orphan = true;
            }
            return Err(lost());
        }
        done
    }

    fn is_slow(&self, point: &str) -> bool {
        let mut state = self.state();
        let slow = state.faults.slow;
        // What nobody limits is not slow: PostgreSQL's own `statement_timeout` would end it.
        !matches!(point, "take over" | "read back" | "read deliveries") && state.chance.per_mille(slow)
    }

    /// Waits until nobody else has the row.
    async fn lock(&self, pid: Option<i32>) {
        while self.state().lock.is_some_and(|owner| Some(owner) != pid) && self.state().life == self.life {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn each(
        &self,
        wanted: impl Fn(&Observed) -> bool + Send,
        each: &mut (dyn FnMut(Observed) + Send),
    ) -> Result<u64, StoreError> {
        let observed = self
            .at("read back", None, |state| {
                let all = state.tables.rows.iter().map(|(id, row)| row.observed(*id));
                Ok(all.filter(wanted).collect::<Vec<_>>())
            })
            .await?;
        Ok(observed.into_iter().map(each).count() as u64)
    }
}

fn lost() -> StoreError {
    StoreError::at("ask")(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()))
}

impl Row {
    /// As it is read back.
    pub fn observed(&self, id: i64) -> Observed {
        let context = Context { now: self.received_at, zone: &Zone::UTC, own: &[] };
        let mut record = parse::parse(&self.text, &context).into_owned();
        record.host = self.host.clone().map(Cow::Owned);
        Observed { id, event_time: self.event_time, record }
    }
}

impl State {
    /// The end of a connection that is no more.
    fn finish(&mut self, pid: i32) {
        let Some(backend) = self.sessions.remove(&pid) else { return };
        let goes_through = backend.committing && !backend.failed && self.chance.one_in(2);
        if let Some(changes) = backend.transaction.filter(|_| goes_through) {
            self.tables.apply(changes);
        }
        self.lock.take_if(|owner| *owner == pid);
    }

    fn backend(&mut self, pid: i32) -> &mut Backend {
        self.sessions.get_mut(&pid).expect("a connection that is there")
    }

    fn change(&mut self, pid: i32, changes: impl IntoIterator<Item = Change>) -> Result<(), StoreError> {
        let backend = self.backend(pid);
        assert!(!backend.failed, "a statement in a transaction that has failed");
        backend.transaction.as_mut().expect("a statement within a transaction").extend(changes);
        Ok(())
    }
}

impl Tables {
    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Row(id, row) => assert!(self.rows.insert(id, row).is_none(), "id {id} is given twice"),
                Change::Quarantine(id, text) => assert!(self.quarantine.insert(id, text).is_none(), "id {id} is given twice"),
                Change::FollowOn(number, floor) => {
                    assert_eq!(number, self.transaction + 1);
                    (self.transaction, self.floor) = (number, floor);
                }
                Change::Position(change) => {
                    let key = (change.input, change.part);
                    // What the ledger relies on: no byte between two transactions, and none twice.
                    let before = self.positions.get(&key).map_or(0, |(position, _)| *position);
                    assert_eq!(change.from, before, "{key:?} goes on elsewhere than it had got to");
                    match change.detail {
                        Some(detail) => self.positions.insert(key, (change.to, detail)),
                        None => self.positions.remove(&key),
                    };
                }
                Change::Ledger(mut entry) => {
                    let key = (entry.first_transaction, entry.piece);
                    if let Some(before) = self.ledger.remove(&key) {
                        for (part, range) in before.ranges {
                            entry.ranges.entry(part).or_insert(range);
                        }
                    }
                    self.ledger.insert(key, entry);
                }
                Change::Loss(loss) => self.losses.push(loss),
                Change::Delivery(source, id) => self.deliveries.push((source, id)),
                Change::Rollup(kind, count) => *self.rollups.entry(kind).or_default() += count,
                Change::Incident(change) => self.incidents.push(change),
            }
        }
    }
}

impl Database for ModelDatabase {
    type Connection = ModelConnection;

    async fn take_over(&self) -> Result<Saved, StoreError> {
        loop {
            self.lock(None).await;
            let taken = self
                .at("take over", None, |state| {
                    if state.lock.is_some() {
                        return Ok(None);
                    }
                    let tables = &mut state.tables;
                    tables.epoch += 1;
                    let position = |((input, part), (position, detail)): (&Part, &Position)| SavedPosition {
                        input: input.to_string(),
                        part: part.to_string(),
                        position: *position,
                        detail: detail.clone(),
                    };
                    Ok(Some(Saved {
                        epoch: tables.epoch,
                        transaction: tables.transaction,
                        floor: tables.floor.map(Timestamp::as_micros),
                        last_received: tables.rows.values().map(|row| row.received_at).max(),
                        positions: tables.positions.iter().map(position).collect(),
                    }))
                })
                .await?;
            if let Some(saved) = taken {
                return Ok(saved);
            }
        }
    }

    async fn each_observed(&self, from: Timestamp, each: &mut (dyn FnMut(Observed) + Send)) -> Result<u64, StoreError> {
        let wanted = move |o: &Observed| {
            let event = o.record.event_type;
            let is_login = matches!(event, EventType::LoginSuccess | EventType::LoginFailed);
            o.event_time >= from && (is_login || o.record.severity >= Severity::High)
        };
        self.each(wanted, each).await
    }

    async fn each_stored(
        &self,
        from: Timestamp,
        all_from: Timestamp,
        each: &mut (dyn FnMut(Observed) + Send),
    ) -> Result<u64, StoreError> {
        self.each(move |o| o.event_time >= from.min(all_from), each).await
    }

    async fn recent_deliveries(&self, most: usize, each: &mut (dyn FnMut(&str, &str) + Send)) -> Result<(), StoreError> {
        self.at("read deliveries", None, |state| {
            state.tables.deliveries.iter().rev().take(most).for_each(|(source, id)| each(source, id));
            Ok(())
        })
        .await
    }

    async fn next_id_block(&self) -> Result<i64, StoreError> {
        self.at("take ids", None, |state| {
            state.next_id += ID_BLOCK;
            Ok(state.next_id - ID_BLOCK)
        })
        .await
    }

    async fn ensure_partition(&self, day: i64) -> Result<(), StoreError> {
        self.at("make partition", None, |state| {
            state.partitions.insert(day);
            Ok(())
        })
        .await
    }

    async fn connect(&self) -> Result<ModelConnection, StoreError> {
        let pid = self
            .at("connect", None, |state| {
                let pid = state.next_pid;
                state.next_pid += 1;
                state.sessions.insert(pid, Backend::default());
                Ok(pid)
            })
            .await?;
        Ok(ModelConnection { database: self.clone(), session: Session { pid, began: String::new() } })
    }
}

/// A connection to a [`ModelDatabase`].
#[derive(Debug)]
pub struct ModelConnection {
    database: ModelDatabase,
    session: Session,
}

impl ModelConnection {
    async fn at<T>(
        &mut self,
        point: &'static str,
        act: impl FnOnce(&mut State) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        self.database.at(point, Some(self.session.pid), act).await
    }

    async fn change(&mut self, point: &'static str, changes: impl IntoIterator<Item = Change> + Send) -> Result<(), StoreError> {
        let pid = self.session.pid;
        self.at(point, |state| state.change(pid, changes)).await
    }
}

impl Statements for ModelConnection {
    fn session(&self) -> &Session {
        &self.session
    }

    async fn end(&mut self, lost: &Session) -> Result<(), StoreError> {
        let pid = lost.pid;
        self.at("end session", |state| {
            state.finish(pid);
            Ok(())
        })
        .await
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        let pid = self.session.pid;
        self.at("begin", |state| {
            let backend = state.backend(pid);
            assert!(backend.transaction.is_none(), "a transaction within a transaction");
            *backend = Backend { transaction: Some(Vec::new()), ..Backend::default() };
            Ok(())
        })
        .await
    }

    async fn copy(&mut self, rows: &Rows, range: Range<usize>) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        let pid = self.session.pid;
        self.at("copy start", |_| Ok(())).await?;
        let rows: Vec<(i64, Row)> = range.map(|i| decode(rows.slice(i..i + 1))).collect();
        self.at("copy end", |state| {
            if rows.iter().any(|(_, row)| row.text.contains(POISON)) {
                return Err(said("22021"));
            }
            let is_there = |row: &Row| state.partitions.contains(&row.event_time.day());
            assert!(rows.iter().all(|(_, row)| is_there(row)), "a row without a partition");
            state.change(pid, rows.into_iter().map(|(id, row)| Change::Row(id, row)))
        })
        .await
    }

    async fn savepoint(&mut self) -> Result<(), StoreError> {
        let pid = self.session.pid;
        self.at("savepoint", |state| {
            let backend = state.backend(pid);
            backend.savepoint = backend.transaction.as_ref().map(Vec::len);
            Ok(())
        })
        .await
    }

    async fn release(&mut self) -> Result<(), StoreError> {
        let pid = self.session.pid;
        self.at("release savepoint", |state| {
            state.backend(pid).savepoint = None;
            Ok(())
        })
        .await
    }

    async fn roll_back_to_savepoint(&mut self) -> Result<(), StoreError> {
        let pid = self.session.pid;
        self.at("roll back to savepoint", |state| {
            let backend = state.backend(pid);
            let length = backend.savepoint.take().expect("a savepoint");
            backend.transaction.as_mut().expect("a transaction").truncate(length);
            backend.failed = false;
            Ok(())
        })
        .await
    }

    async fn quarantine(&mut self, row: &Refused, _: &StoreError) -> Result<(), StoreError> {
        self.change("quarantine", [Change::Quarantine(row.id, String::from_utf8_lossy(&row.raw).into_owned())]).await
    }

    async fn follow_on(&mut self, number: i64, epoch: i64, floor: Option<Timestamp>) -> Result<bool, StoreError> {
        let pid = self.session.pid;
        loop {
            self.database.lock(Some(pid)).await;
            let done = self
                .at("follow on", |state| {
                    if state.lock.is_some_and(|owner| owner != pid) {
                        return Ok(None);
                    }
                    let follows = state.tables.transaction == number - 1 && state.tables.epoch == epoch;
                    if follows {
                        state.lock = Some(pid);
                        state.change(pid, [Change::FollowOn(number, floor)])?;
                    }
                    Ok(Some(follows))
                })
                .await?;
            if let Some(follows) = done {
                return Ok(follows);
            }
        }
    }

    async fn last(&mut self) -> Result<(i64, i64), StoreError> {
        self.at("ask for the last transaction", |state| Ok((state.tables.transaction, state.tables.epoch))).await
    }

    async fn write_positions(&mut self, changes: &[PositionChange]) -> Result<(), StoreError> {
        self.change("write positions", changes.iter().cloned().map(Change::Position).collect::<Vec<_>>()).await
    }

    async fn write_ledger(&mut self, _: i64, entries: &[Entry]) -> Result<(), StoreError> {
        self.change("write ledger", entries.iter().cloned().map(Change::Ledger).collect::<Vec<_>>()).await
    }

    async fn write_losses(&mut self, _: i64, losses: &[Loss]) -> Result<(), StoreError> {
        self.change("write losses", losses.iter().cloned().map(Change::Loss).collect::<Vec<_>>()).await
    }

    async fn write_deliveries(&mut self, deliveries: &[(String, String)]) -> Result<(), StoreError> {
        let changes = deliveries.iter().map(|(source, id)| Change::Delivery(source.clone(), id.clone()));
        self.change("write deliveries", changes.collect::<Vec<_>>()).await
    }

    async fn write_rollups(&mut self, counts: &[(Kind, i64)]) -> Result<(), StoreError> {
        let kinds: BTreeSet<&Kind> = counts.iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds.len(), counts.len(), "PostgreSQL does not change a row twice in one statement");
        self.change("write rollups", counts.iter().cloned().map(|(kind, count)| Change::Rollup(kind, count)).collect::<Vec<_>>())
            .await
    }

    async fn change_incidents(&mut self, changes: &[IncidentChange], _: usize) -> Result<(), StoreError> {
        self.change("write incidents", changes.iter().cloned().map(Change::Incident).collect::<Vec<_>>()).await
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        let pid = self.session.pid;
        self.at("commit sent", |state| {
            let backend = state.backend(pid);
            assert!(!backend.failed && backend.transaction.is_some(), "a COMMIT of nothing");
            backend.committing = true;
            Ok(())
        })
        .await?;
        self.at("commit answered", |state| {
            let mut changes = state.backend(pid).transaction.take().expect("a transaction");
            if state.forgets && state.chance.one_in(4) {
                changes.retain(|change| !matches!(change, Change::Row(..)));
            }
            *state.backend(pid) = Backend::default();
            state.lock.take_if(|owner| *owner == pid);
            state.tables.apply(changes);
            Ok(())
        })
        .await
    }

    async fn roll_back(&mut self) -> Result<(), StoreError> {
        let pid = self.session.pid;
        self.at("roll back", |state| {
            *state.backend(pid) = Backend::default();
            state.lock.take_if(|owner| *owner == pid);
            Ok(())
        })
        .await
    }

    async fn close(self) {}
}

impl Drop for ModelConnection {
    fn drop(&mut self) {
        if let Some(backend) = self.database.state().sessions.get_mut(&self.session.pid) {
            backend.orphan = true;
        }
    }
}

/// Reads a row of `COPY … (FORMAT BINARY)` back.
fn decode(mut bytes: &[u8]) -> (i64, Row) {
    let mut take = |n: usize| {
        let (taken, rest) = bytes.split_at(n);
        bytes = rest;
        taken
    };
    let columns = i16::from_be_bytes(take(2).try_into().expect("two bytes"));
    let fields: Vec<Option<&[u8]>> = (0..columns)
        .map(|_| {
            let length = i32::from_be_bytes(take(4).try_into().expect("four bytes"));
            usize::try_from(length).ok().map(&mut take)
        })
        .collect();
    let number = |n: usize| i64::from_be_bytes(fields[n].expect("a number").try_into().expect("eight bytes"));
    let time = |n: usize| Timestamp::from_micros(number(n) + 946_684_800_000_000);
    let text = |n: usize| fields[n].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let row = Row {
        event_time: time(1),
        received_at: time(2),
        source: text(3).expect("a source"),
        host: text(4),
        text: text(17).or_else(|| text(16)).expect("a line's text"),
    };
    (number(0), row)
}
