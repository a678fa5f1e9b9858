//! One attempt to log in is one event, however many lines tell of it.
//!
//! Lines that tell of attempts belong to a *session*: the process that wrote them, or the remote end where the line names no
//! process. Per session and teller the attempts are added up; the session made as many attempts as the teller that knows of most.
//! A line is worth the amount by which it makes that number grow, so the order of the lines does not matter. Lines of one teller
//! with and without a remote end are two tellers: PAM writes "check pass; user unknown" and "authentication failure" for one attempt.
//!
//! What a line lacks, it has from its session: its remote end, its account. A number that grew while no line had told the
//! remote end counts when the first line does.

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::quality::RandomState;

use super::names::{Name, Names, cut};
use super::table::{SlotNumber, Table, secs};
use crate::record::{LogRecord, Remote, ToldBy};

/// A session is over this long after its last line, in microseconds of event time.
pub(super) const SESSION_MICROS: i64 = 10 * 60 * 1_000_000;

/// A remote end, owned. Names are cut at 255 bytes, the longest that DNS allows (RFC 1035 §2.3.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Ip(IpAddr),
    Name(Box<str>),
}

impl Key {
    pub(super) fn as_remote(&self) -> Remote<'_> {
        match self {
            Key::Ip(ip) => Remote::Ip(*ip),
            Key::Name(name) => Remote::Name(name),
        }
    }
}

impl From<Remote<'_>> for Key {
    fn from(remote: Remote<'_>) -> Key {
        match remote {
            Remote::Ip(ip) => Key::Ip(ip),
            Remote::Name(name) => Key::Name(name.into()),
        }
    }
}

/// The remote end of a record as detectors use it: not empty, not endless.
pub(super) fn remote<'r>(record: &'r LogRecord<'_>) -> Option<Remote<'r>> {
    match record.remote()? {
        Remote::Name("") => None,
        Remote::Name(name) => Some(Remote::Name(cut(name, 255))),
        ip @ Remote::Ip(_) => Some(ip),
    }
}

/// How many events a line is worth.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Worth {
    /// Attempts, whoever made them.
    pub any: u32,
    /// Attempts of which the remote end is known.
    pub remote: u32,
    /// Attempts of which the remote end and the account are known.
    pub named: u32,
    /// The session's remote end, where the line has none.
    pub inherited: Option<Key>,
    /// The account, from the line or the session; the caller owns the reference.
    pub user: Name,
}

/// Tellers: the kinds of [`ToldBy`], without and with a remote end.
const TELLERS: usize = 8;

struct Session {
    last: i64,
    told: [u32; TELLERS],
    counted_any: u32,
    counted_remote: u32,
    counted_named: u32,
    remote: Option<Key>,
    user: Name,
}

/// The sessions that are being followed.
pub(super) struct Attempts {
    hasher: RandomState,
    sessions: Table<u64, Session>,
    pub(super) evicted_total: u64,
}

impl Attempts {
    pub(super) fn new(max: usize) -> Attempts {
        Attempts { hasher: RandomState::default(), sessions: Table::new(max), evicted_total: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.sessions.bytes()
    }

    /// Goes over `steps` sessions and forgets those that were over at `settled`.
    pub(super) fn sweep(&mut self, steps: usize, settled: i64, names: &mut Names) {
        let over = secs(settled.saturating_sub(SESSION_MICROS));
        self.sessions.sweep(steps, over, |session| names.release(session.user));
    }

    /// What a line of that teller at `time` is worth.
    pub(super) fn tell(&mut self, record: &LogRecord<'_>, by: ToldBy, time: i64, names: &mut Names) -> Worth {
        let remote = remote(record);
        let user = names.hold(record.username.as_deref().unwrap_or(""));
        let count = record.count.max(1);
        let host = record.host.as_deref();
        let key = match (record.pid, remote) {
            (Some(pid), _) => self.hasher.hash_one((host, pid)),
            (None, Some(remote)) => self.hasher.hash_one((host, remote)),
            (None, None) => return Worth { any: count, user, ..Worth::default() },
        };
        let slot = match self.sessions.find(key as u32, secs(time), |k| *k == key) {
            // A process that serves several remote ends has a session with each.
            Some(slot) if self.sessions.at(slot).is_of_other(remote) => {
                let key = self.hasher.hash_one((host, record.pid, remote));
                self.sessions.find(key as u32, secs(time), |k| *k == key).unwrap_or_else(|| self.begin(key, time, names))
            }
            Some(slot) => slot,
            None => self.begin(key, time, names),
        };
        let session = self.sessions.at(slot);
        if time.saturating_sub(session.last) >= SESSION_MICROS {
            // The process id is in use again.
            names.release(session.user);
            *session = Session::new(time);
        }
        session.last = session.last.max(time);
        session.tell(by, count, remote, user, names)
    }

    fn begin(&mut self, key: u64, time: i64, names: &mut Names) -> SlotNumber {
        if self.sessions.is_full() {
            if let Some(session) = self.sessions.evict() {
                names.release(session.user);
            }
            self.evicted_total += 1;
        }
        self.sessions.insert(key as u32, secs(time), key, Session::new(time))
    }
}

impl Session {
    fn new(time: i64) -> Session {
        let told = [0; TELLERS];
        Session { last: time, told, counted_any: 0, counted_remote: 0, counted_named: 0, remote: None, user: Name::NONE }
    }

    fn is_of_other(&self, remote: Option<Remote<'_>>) -> bool {
        matches!((&self.remote, remote), (Some(known), Some(remote)) if known.as_remote() != remote)
    }

    fn tell(&mut self, by: ToldBy, count: u32, remote: Option<Remote<'_>>, user: Name, names: &mut Names) -> Worth {
        let kind = match by {
            ToldBy::Announcement => 0,
            ToldBy::Pam => 1,
            ToldBy::Service => 2,
            ToldBy::Closing => 3,
        };
        let teller = &mut self.told[kind * 2 + usize::from(remote.is_some())];
        *teller = teller.saturating_add(count);
        let attempts = self.told.iter().copied().max().unwrap_or(0);
        if self.remote.is_none() {
            self.remote = remote.map(Key::from);
        }
        let user = if user.is_some() {
            if self.user != user {
                names.release(self.user);
                self.user = names.retain(user);
            }
            user
        } else {
            names.retain(self.user)
        };
        let grow = |counted: &mut u32, known: bool| {
            let grown = if known { attempts - *counted } else { 0 };
            *counted += grown;
            grown
        };
        let remote_known = self.remote.is_some();
        Worth {
            any: grow(&mut self.counted_any, true),
            remote: grow(&mut self.counted_remote, remote_known),
            named: grow(&mut self.counted_named, remote_known && user.is_some()),
            inherited: if remote.is_none() { self.remote.clone() } else { None },
            user,
        }
    }
}
