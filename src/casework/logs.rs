//! Log records: searched, followed, annotated, put out of sight. None is ever changed.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::audit::Act;
use super::{Actor, Casework, CaseworkError, ONE_LINE, Permission, Reading, text};
use crate::record::Timestamp;
use crate::store::logs::{self as rows, ArchivedRow, Found, Key, LogRow, NoteRow};
use crate::store::query::{Query, Range};
use crate::store::{self, StoreError};

/// How far back is looked unless a query says.
pub const DEFAULT_SPAN_MICROS: i64 = 86_400_000_000;

/// Records on a page at most.
pub const MAX_PAGE: u32 = 1_000;

/// Bytes of text after which a page ends, however few records there are on it; the last one may be longer.
const PAGE_BYTES: usize = 1 << 20;

/// The same of records that are followed, of whom there may be many.
pub const LIVE_BYTES: usize = 128 << 10;

/// Characters of a note.
const NOTE: usize = 10_000;

/// Where a page ended, for the next one to go on. Opaque to whoever holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Where the range begins: the same on all pages, though `last:24h` would mean another time on each.
    from: Timestamp,
    last: Key,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [self.from.as_micros(), self.last.event_time.as_micros(), self.last.id];
        f.write_str(&URL_SAFE_NO_PAD.encode(numbers.map(i64::to_be_bytes).concat()))
    }
}

impl FromStr for Cursor {
    type Err = CaseworkError;

    fn from_str(text: &str) -> Result<Cursor, CaseworkError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| <[u8; 24]>::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(|| CaseworkError::invalid("cursor", "is none: give it as the page before told it"))?;
        let number = |i: usize| i64::from_be_bytes(std::array::from_fn(|n| bytes[i * 8 + n]));
        let last = Key { event_time: Timestamp::from_micros(number(1)), id: number(2) };
        Ok(Cursor { from: Timestamp::from_micros(number(0)), last })
    }
}

/// A page of records, the newest first.
#[derive(Debug, Clone)]
pub struct Page {
    /// The records.
    pub logs: Vec<LogRow>,
    /// For the next page; `None` where nothing older is left.
    pub next: Option<Cursor>,
}

/// A line to be added by hand.
#[derive(Debug, Clone, Default)]
pub struct NewLine {
    /// What happened; without the rest, a whole line as it would stand in a log file.
    pub message: String,
    /// When; the time of adding, unless the line says.
    pub time: Option<Timestamp>,
    /// On which machine.
    pub host: Option<String>,
    /// In which program; its parser reads the message.
    pub app: Option<String>,
}

impl NewLine {
    /// As it would be received: RFC 5424 where more than the message is known.
    fn written(&self) -> Result<String, CaseworkError> {
        let message = text("message", &self.message, NOTE)?;
        if message.contains(['\n', '\t']) {
            return Err(CaseworkError::invalid("message", "is to be one line, without tabs"));
        }
        if self.time.is_none() && self.host.is_none() && self.app.is_none() {
            return Ok(message);
        }
        // RFC 5424 §6.2.4 and §6.2.5: printable ASCII without spaces, at most 255 and 48 characters; "-" where it is not known.
        let word = |field: &'static str, word: &Option<String>, max: usize| match word.as_deref() {
            None => Ok("-".to_owned()),
            Some(word) if (1..=max).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_graphic()) => Ok(word.to_owned()),
            Some(_) => {
                Err(CaseworkError::invalid(field, format!("is to be 1 to {max} printable ASCII characters without spaces")))
            }
        };
        let time = self.time.map_or_else(|| "-".to_owned(), |time| time.to_string());
        // Facility 1 (user), severity 5 (notice).
        Ok(format!("<13>1 {time} {} {} - - - {message}", word("host", &self.host, 255)?, word("app", &self.app, 48)?))
    }
}

/// Records that were stored since a look before.
#[derive(Debug, Clone)]
pub struct NewLogs {
    /// The records.
    pub logs: Vec<LogRow>,
    /// The id after which to go on.
    pub next: i64,
    /// There may be more already.
    pub more: bool,
}

/// Everything about a record.
#[derive(Debug, Clone)]
pub struct LogDetails {
    /// The record.
    pub log: LogRow,
    /// The bytes that were received.
    pub original: Vec<u8>,
    /// What people noted about it, in order.
    pub notes: Vec<NoteRow>,
    /// Who put it out of sight.
    pub archived: Option<ArchivedRow>,
}

impl Casework {
    /// A page of the records that a query finds, at most `limit` and [`MAX_PAGE`], and fewer of long ones, after the page that told
    /// `cursor`. Where the query does not say since when, the last 24 hours are searched.
    ///
    /// # Errors
    /// Not permitted; the search took more than 30 s; the database.
    pub async fn search_logs(
        &self,
        actor: &Actor,
        query: &Query,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page, CaseworkError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut range = with_default(query.range, Timestamp::now());
        if let Some(cursor) = cursor {
            range.from = Some(cursor.from);
        }
        let mut reading = self.begin_search(actor).await?;
        let after = cursor.map(|cursor| cursor.last);
        // One more tells whether there is another page.
        let found = rows::search(&mut reading.connection, query, range, after, i64::from(limit) + 1, PAGE_BYTES).await;
        let Found { mut logs, is_cut } = found.map_err(too_slow)?;
        if !is_cut {
            store::commit(&mut reading.connection).await?;
            reading.done();
        }
        let more = is_cut || logs.len() > limit as usize;
        logs.truncate(limit as usize);
        let last = logs.last().filter(|_| more);
        let next = last.zip(range.from).map(|(row, from)| Cursor { from, last: row.key() });
        Ok(Page { logs, next })
    }

    /// The id after which records are new: those stored since this call. `now` and the query say where their time may lie, as for
    /// [`Casework::new_logs`].
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn newest_log(&self, actor: &Actor, query: &Query, now: Timestamp) -> Result<i64, CaseworkError> {
        let mut reading = self.begin_search(actor).await?;
        let last = rows::last_id(&mut reading.connection, with_default(query.range, now), 0).await.map_err(too_slow)?;
        store::commit(&mut reading.connection).await?;
        reading.done();
        Ok(last.unwrap_or(0))
    }

    /// The records that a query finds among those stored after the one with id `after`, in the order in which they were stored, at most
    /// [`MAX_PAGE`], and [`LIVE_BYTES`] of them. Each is found once.
    ///
    /// # Errors
    /// Not permitted; the search took more than 30 s; the database.
    pub async fn new_logs(&self, actor: &Actor, query: &Query, now: Timestamp, after: i64) -> Result<NewLogs, CaseworkError> {
        let range = with_default(query.range, now);
        let mut reading = self.begin_search(actor).await?;
        let last = rows::last_id(&mut reading.connection, range, after).await.map_err(too_slow)?.unwrap_or(after);
        let mut found = Found::default();
        if last > after {
            let between = (after, last);
            let read =
                rows::stored_between(&mut reading.connection, query, range, between, i64::from(MAX_PAGE), LIVE_BYTES).await;
            found = read.map_err(too_slow)?;
        }
        let Found { logs, is_cut } = found;
        if !is_cut {
            store::commit(&mut reading.connection).await?;
            reading.done();
        }
        let more = is_cut || logs.len() == MAX_PAGE as usize;
        let next = logs.last().filter(|_| more).map_or(last, |row| row.id);
        Ok(NewLogs { logs, next, more })
    }

    /// Everything about a record.
    ///
    /// # Errors
    /// Not permitted, no such record, or the database.
    pub async fn log(&self, actor: &Actor, id: i64) -> Result<LogDetails, CaseworkError> {
        let mut reading = self.begin_search(actor).await?;
        let connection = &mut reading.connection;
        let (log, raw) = rows::by_id(connection, id).await?.ok_or_else(|| no_such(id))?;
        let notes = rows::notes(connection, id).await?;
        let archived = rows::archived(connection, id).await?;
        store::commit(connection).await?;
        reading.done();
        let original = raw.unwrap_or_else(|| log.message.clone().into_bytes());
        Ok(LogDetails { log, original, notes, archived })
    }

    /// Notes something about a record.
    ///
    /// # Errors
    /// Not permitted, no such record, a note that is none, or the database.
    pub async fn annotate_log(&self, actor: &Actor, id: i64, note: &str) -> Result<(), CaseworkError> {
        let note = text("note", note, NOTE)?;
        let mut change = self.change(actor, Permission::WriteLogs).await?;
        if !rows::exists(change.connection(), id).await? {
            return Err(no_such(id));
        }
        let now = change.now;
        rows::insert_note(change.connection(), id, &actor.name, now, &note).await?;
        change.commit(&[Act::new("log.annotate", subject(id)).values(None, json!({ "note": note }))]).await
    }

    /// Puts a record out of sight; it stays where it is.
    ///
    /// # Errors
    /// Not permitted, no such record, archived already, a reason that is none, or the database.
    pub async fn archive_log(&self, actor: &Actor, id: i64, reason: Option<&str>) -> Result<(), CaseworkError> {
        let reason = reason.map(|reason| text("reason", reason, ONE_LINE)).transpose()?;
        let mut change = self.change(actor, Permission::WriteLogs).await?;
        if !rows::exists(change.connection(), id).await? {
            return Err(no_such(id));
        }
        let now = change.now;
        if !rows::archive(change.connection(), id, &actor.name, now, reason.as_deref()).await? {
            return Err(CaseworkError::Conflict(format!("record {id} is archived already")));
        }
        change.commit(&[Act::new("log.archive", subject(id)).because(reason.as_deref())]).await
    }

    /// Puts a record back in sight.
    ///
    /// # Errors
    /// Not permitted, not archived, or the database.
    pub async fn unarchive_log(&self, actor: &Actor, id: i64) -> Result<(), CaseworkError> {
        let mut change = self.change(actor, Permission::WriteLogs).await?;
        if !rows::unarchive(change.connection(), id).await? {
            return Err(CaseworkError::Conflict(format!("record {id} is not archived")));
        }
        change.commit(&[Act::new("log.unarchive", subject(id))]).await
    }

    /// Adds a line by hand: the daemon takes it, parses it and shows it to the detectors as any other, once, within seconds or when it
    /// runs next.
    ///
    /// # Errors
    /// Not permitted, a line that is none, or the database.
    pub async fn add_log(&self, actor: &Actor, line: &NewLine) -> Result<(), CaseworkError> {
        let line = line.written()?;
        let mut change = self.change(actor, Permission::WriteLogs).await?;
        let now = change.now;
        let id = rows::add(change.connection(), &actor.name, now, &line).await?;
        change.commit(&[Act::new("log.add", format!("added:{id}")).values(None, json!({ "line": line }))]).await
    }

    async fn begin_search(&self, actor: &Actor) -> Result<Reading, CaseworkError> {
        let mut reading = self.look(actor, Permission::ReadLogs).await?;
        rows::begin_search(&mut reading.connection).await?;
        Ok(reading)
    }
}

/// There is always a time at which to begin: without one every partition would be searched.
fn with_default(range: Range, now: Timestamp) -> Range {
    let until = range.to.map_or(now, |to| to.min(now));
    Range { from: Some(range.from.unwrap_or_else(|| until.plus_micros(-DEFAULT_SPAN_MICROS))), ..range }
}

fn no_such(id: i64) -> CaseworkError {
    CaseworkError::NotFound(format!("log record {id}"))
}

fn subject(id: i64) -> String {
    format!("log:{id}")
}

fn too_slow(error: StoreError) -> CaseworkError {
    if error.took_too_long() {
        return CaseworkError::invalid("query", "took more than 30 s: narrow the range of time (from:, to:, last:)");
    }
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        let at = Timestamp::from_secs(1_795_176_000);
        for (from, event_time, id) in [(at, at.plus_micros(1), 7), (Timestamp::MIN, Timestamp::MAX, i64::MAX)] {
            let cursor = Cursor { from, last: Key { event_time, id } };
            assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }
        for none in ["", "AAAA", "1795176000,7", "\u{e9}", &"A".repeat(33), &"A".repeat(31)] {
            assert!(matches!(none.parse::<Cursor>(), Err(CaseworkError::Invalid { field: "cursor", .. })), "{none}");
        }
    }

    #[test]
    fn a_line_is_written_as_it_would_be_received() {
        let line = |message: &str, host: Option<&str>, app: Option<&str>| {
            NewLine { message: message.into(), time: None, host: host.map(Into::into), app: app.map(Into::into) }.written()
        };
        assert_eq!(line(" as it is ", None, None).unwrap(), "as it is");
        assert_eq!(line("x", Some("web1"), None).unwrap(), "<13>1 - web1 - - - - x");
        let timed = NewLine { time: Some(Timestamp::from_secs(0)), message: "x".into(), ..NewLine::default() };
        assert_eq!(timed.written().unwrap(), "<13>1 1970-01-01T00:00:00Z - - - - - x");
        for (wrong, field) in [
            (line("", None, None), "message"),
            (line("two\nlines", None, None), "message"),
            (line("\u{1b}[2J", None, None), "message"),
            (line("x", Some("web 1"), None), "host"),
            (line("x", None, Some("")), "app"),
            (line("x", None, Some(&"a".repeat(49))), "app"),
        ] {
            assert!(matches!(&wrong, Err(CaseworkError::Invalid { field: f, .. }) if *f == field), "{wrong:?}");
        }
    }

    #[test]
    fn a_search_that_does_not_say_since_when_goes_a_day_back() {
        let now = Timestamp::from_secs(1_795_176_000);
        let day_before = |t: Timestamp| t.plus_micros(-DEFAULT_SPAN_MICROS);
        let long_ago = Timestamp::from_secs(5);
        for (from, to, want) in [
            (None, None, day_before(now)),
            (None, Some(long_ago), day_before(long_ago)),
            (None, Some(now.plus_micros(1)), day_before(now)),
            (Some(long_ago), None, long_ago),
        ] {
            assert_eq!(with_default(Range { from, to }, now), Range { from: Some(want), to });
        }
    }
}
