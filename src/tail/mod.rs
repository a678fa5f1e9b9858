//! Files on disk as an input that can be read again: follows sets of log files and hands out batches of complete lines with the
//! position behind them. Never writes to a file, never keeps a position itself: the pipeline commits positions with the rows and
//! gives them back at the next start.
//!
//! ```text
//! directories ─ watch, names, listing ─▶ scan, copies: which is which ─▶ follow: files take turns ─▶ Batch + PositionChange
//!                                            ▲                              │ file, content: lines from a position on
//!                                            └──── not what it was ─────────┘
//! ```
//!
//! # What is promised
//!
//! Every complete line of every file is in exactly one committed batch, whatever way files are rotated and whenever the daemon dies.
//!
//! - **Identity** is the inode with its time of birth, and two hashes: of the first bytes and of the bytes before the position. A renamed
//!   file goes on where it was; a recycled inode, a truncated or a rewritten file is new content and starts at 0. Both hashes are
//!   checked *after* each read and before anything is handed out, so bytes of new content are never taken for a continuation.
//! - **Copies** (`copytruncate`, `gzip`, rotated while the daemon was down) are recognised by their hashes among the names that rotation
//!   makes of the file's name in its directory; the old content is finished there before the new one is begun. Files with unrelated
//!   names stay apart, however alike they begin.
//! - **Order**: of the generations of one log the oldest is read first; logs take turns, one batch each.
//! - **An unfinished last line** waits for its newline. It is handed out as it is, once, where none can come any more: the file was
//!   renamed or deleted and has not grown for [`Options::settle`], or is a complete gzip stream, or its content was replaced.
//! - **An event on several lines** ([`crate::frame::event`]) is one frame. What may not be all of it waits for the next line, and is handed
//!   out as it is where none came for [`Options::settle`].
//! - **Positions** are offsets in the decompressed content. They end at the last complete line that was handed out, so a restart in
//!   mid-line begins with that line. Only batches carry positions; those without frames say where a set that is read from its end
//!   begins (with one row for the set itself, its part empty), where content goes on in a copy, or forget a file that is gone.
//! - **What is refused**, for want of descriptors, of memory or of permission, is told and asked for again. It is not taken to be gone,
//!   new or empty.
//! - **Before our time**: of a path that is matched alone (`auth.log`, not `auth.log*`), generations that were rotated before the path
//!   was first found are not read. The set knows of a path from the first batch on that was committed of it.
//!
//! # What cannot be promised
//!
//! What is written between the copy and the truncation of `copytruncate` is lost to everybody; where it is noticed, a warning says so.
//! Where content is known to have been there and is found nowhere, the bytes are counted (`truncated_unread_bytes_total`) and a
//! warning names the range.
//! A file that is deleted while it is closed here (idle for long, one of too many, or the daemon is down) cannot be read. What it had more
//! at the last look than was read of it is told as a loss. So is what a file had when it was found, if it is overwritten before its turn;
//! of a compressed one nobody knows, and of content that begins with what the old one had.
//! A copy of less than 1,024 bytes that was made before the last lines were read is not known again where it has more than 128 lines.
//! Content that is replaced by content with the same first 1,024 bytes, the same 256 bytes before the position, and at
//! least the same length, on the same inode, is not noticed.

mod begin;
pub mod content;
mod copies;
mod counts;
mod elders;
mod file;
pub mod fingerprint;
mod follow;
mod kin;
mod listing;
mod names;
mod positions;
mod scan;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::frame::{Batch, Source};
use crate::stats::Stats;
use follow::Follower;
use names::Pattern;
use positions::Detail;
use watch::Bell;

#[cfg(test)]
use tests::meanwhile::{descriptor, meanwhile};

/// Called before each access to the disk, so that tests can have a writer do something there in the middle of a look or a read.
#[cfg(not(test))]
fn meanwhile() {}

/// Called before each use of a descriptor, so that tests can have none left.
#[cfg(not(test))]
fn descriptor() -> std::io::Result<()> {
    Ok(())
}

/// `positions.part` of the set itself.
const SET_PART: &str = "";

/// Where files are begun that are there at the very first start, when nothing of the set was ever saved. Later files are
/// always read from their beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadFrom {
    /// At their first line.
    #[default]
    Beginning,
    /// Behind their last complete line.
    End,
}

/// A set of files that is followed.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the set; its input is called `files:<name>`.
    pub name: String,
    /// Globs: `*`, `?`, `[a-z]` within a name, `**` for any number of directories.
    pub paths: Vec<String>,
    /// Where to begin at the very first start.
    pub read_from: ReadFrom,
    /// Longest line in bytes; longer ones lose their end and are counted.
    pub max_line_bytes: usize,
    /// How often to look around although nothing was heard of changes. Large sets are looked at less often, so that this costs
    /// at most 1 % of a core.
    pub poll_interval: Duration,
    /// A batch ends at the chunk (64 KiB, or this if it is less) that reaches this many bytes.
    pub batch_bytes: usize,
    /// A batch ends at the chunk that reaches this many lines.
    pub batch_lines: usize,
    /// The source that frames name.
    pub source: Arc<Source>,
    /// Bytes at the start of a file that are part of its fingerprint.
    pub fingerprint_bytes: usize,
    /// Files followed at most, with their rotated generations; of further ones the oldest are left out, which is told once a minute.
    pub max_files: usize,
    /// Files held open at most; further idle ones are closed and opened again when they grow.
    pub max_open_files: usize,
    /// Bytes of unfinished lines held at most in all idle files; beyond that they are read again when the line goes on.
    pub held_bytes: u64,
    /// A file is closed when it was idle for this long.
    pub close_idle_after: Duration,
    /// A renamed or deleted file that has not grown for this long is taken to be complete.
    pub settle: Duration,
    /// A file that is gone is remembered for this long, so that its content is known again if it reappears (as `.gz`, say).
    pub forget_after: Duration,
}

impl Options {
    /// The defaults, for a set of that name.
    pub fn new(name: impl Into<String>, paths: Vec<String>, source: Arc<Source>) -> Options {
        Options {
            name: name.into(),
            paths,
            read_from: ReadFrom::Beginning,
            max_line_bytes: 1 << 20,
            poll_interval: Duration::from_secs(2),
            batch_bytes: 1 << 20,
            batch_lines: 5_000,
            source,
            fingerprint_bytes: 1_024,
            max_files: 10_000,
            max_open_files: 512,
            held_bytes: 16 << 20,
            close_idle_after: Duration::from_secs(300),
            settle: Duration::from_secs(5),
            forget_after: Duration::from_secs(3_600),
        }
    }
}

/// A row of `positions` as it was saved: what [`crate::frame::PositionChange`] said, without its input.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedPosition {
    /// The file's identity.
    pub part: String,
    /// Bytes handed out.
    pub position: u64,
    /// What else is known of it.
    pub detail: serde_json::Value,
}

/// A [`SavedPosition`] that was understood. The row of the set itself has no detail.
#[derive(Debug)]
struct Saved {
    part: String,
    lane: u64,
    position: u64,
    detail: Option<Detail>,
}

/// Why a set cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// A path is no pattern.
    #[error("path {path:?} of file set {set:?} is no pattern: {reason}")]
    Pattern {
        /// Name of the set.
        set: String,
        /// The path as configured.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A saved position cannot be understood. Going on without it would store lines twice.
    #[error("saved position {part:?} of file set {set:?} cannot be understood")]
    Position {
        /// Name of the set.
        set: String,
        /// The part as saved.
        part: String,
        /// What is wrong with its detail, where that is what is wrong.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// Nobody takes batches any more.
    #[error("nobody takes batches any more")]
    Closed,
    /// The thread that reads files died.
    #[error("the thread that reads files died")]
    Thread(#[source] tokio::task::JoinError),
}

/// A set of files, ready to be followed.
#[derive(Debug)]
pub struct Tail {
    options: Options,
    patterns: Vec<Pattern>,
    saved: Vec<Saved>,
    stats: Arc<Stats>,
}

impl Tail {
    /// A tail that goes on behind `positions`: those that were committed for this set, all of them.
    ///
    /// # Errors
    /// A path is no pattern, or a position cannot be understood.
    pub fn new(options: Options, positions: Vec<SavedPosition>, stats: Arc<Stats>) -> Result<Tail, TailError> {
        let pattern = |path: &String| {
            Pattern::parse(path).map_err(|reason| TailError::Pattern { set: options.name.clone(), path: path.clone(), reason })
        };
        let patterns = options.paths.iter().map(pattern).collect::<Result<_, _>>()?;
        let saved = positions.into_iter().map(|p| understand(p, &options.name)).collect::<Result<_, _>>()?;
        Ok(Tail { options, patterns, saved, stats })
    }

    /// Hands out batches until `stop` is cancelled, which is noticed at once, also while the channel is full. `Ok` means asked to
    /// stop. Files are read on a thread of their own; one that cannot be read is counted and tried again, never an error here.
    ///
    /// # Errors
    /// The receiver is gone, or the thread died.
    pub async fn run(self, out: mpsc::Sender<Batch>, stop: CancellationToken) -> Result<(), TailError> {
        let handle = Handle::current();
        // Also stops the thread when this future is dropped.
        let stop = stop.child_token();
        let _guard = stop.clone().drop_guard();
        let bell = Arc::new(Bell::default());
        let (thread_bell, thread_stop) = (Arc::clone(&bell), stop.clone());
        let mut thread = tokio::task::spawn_blocking(move || {
            let follower = Follower::new(self.options, self.patterns, self.saved, &self.stats, &thread_bell);
            follower.run(&handle, &out, &thread_stop)
        });
        tokio::select! {
            done = &mut thread => return done.map_err(TailError::Thread)?,
            () = stop.cancelled() => bell.ring(),
        }
        thread.await.map_err(TailError::Thread)?
    }
}

fn understand(saved: SavedPosition, set: &str) -> Result<Saved, TailError> {
    let SavedPosition { part, position, detail } = saved;
    let error = |source| TailError::Position { set: set.to_owned(), part: part.clone(), source };
    if part == SET_PART {
        return Ok(Saved { part, lane: 1, position, detail: None });
    }
    let lane = u64::from_str_radix(&part, 16).ok().filter(|lane| *lane != 0).ok_or_else(|| error(None))?;
    let detail: Detail = serde_json::from_value(detail).map_err(|e| error(Some(e)))?;
    if detail.print().is_none() || detail.fingerprint_len > 1 << 20 {
        return Err(error(None));
    }
    Ok(Saved { part, lane, position, detail: Some(detail) })
}
