//! One followed file: where it is, how far it was handed out, and one turn of reading it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::content::{Content, Limits, OpenError, Progress};
use super::elders::Elders;
use super::fingerprint::{Ident, Prefixes, Print, Stat};
use super::listing::Entry;
use super::positions::Detail;
use crate::frame::{Batch, Loss, LossReason, Origin, PositionChange};
use crate::record::Timestamp;

/// Where a file's content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Where it was first found.
    Home,
    /// Under another name: rotated, or what a link pointed to before.
    Away,
    /// Under no name that is known. What is open can still be read.
    Gone {
        /// Since when.
        since: Instant,
    },
}

/// A file by its identity, through renames, copies and compression.
#[derive(Debug)]
pub struct Followed {
    /// `positions.part`: the lane in hexadecimal.
    pub part: Arc<str>,
    /// The lane; random, never 0.
    pub lane: u64,
    /// Older files have smaller numbers.
    pub order: u64,
    /// The path that the configuration leads to, also after the file was renamed.
    pub path: PathBuf,
    /// Where the content is now, without symbolic links.
    pub real: PathBuf,
    /// What frames say about it.
    pub origin: Arc<Origin>,
    /// Its inode.
    pub ident: Ident,
    /// The content is compressed.
    pub gzip: bool,
    /// Bytes handed out.
    pub position: u64,
    /// The position that the last change told.
    pub told: u64,
    /// Fingerprint of what was handed out.
    pub print: Print,
    /// Of the first lines that were handed out.
    pub prefixes: Prefixes,
    /// State of the file when it was last known to hold this content.
    pub stat: Stat,
    /// Bytes that the file had at the last look, whatever its content was.
    pub observed_bytes: u64,
    /// Rotated neighbours of its path that were there before the path was first found.
    pub elders: Arc<Elders>,
    /// State of the file when reading it was last tried.
    pub tried: Stat,
    /// Open, if it is.
    pub content: Option<Content>,
    /// There may be something to read.
    pub ready: bool,
    /// A batch of it was handed out in this run.
    pub delivered: bool,
    /// `positions` has, or may have, a row for it.
    pub saved: bool,
    /// That row says another place than where the content is now.
    pub row_is_stale: bool,
    /// Where it is.
    pub place: Place,
    /// When something was last read.
    pub last_read: Instant,
    /// The file now holds other content, or its content is that of another file.
    pub replaced: bool,
    /// How often a copy of the lost content was looked for.
    pub searches: u8,
    /// The current look around has found it.
    pub seen: bool,
    /// What is held of it waited long enough: an unfinished event, and where it can grow no more, an unfinished last line.
    pub last_line_is_due: bool,
    /// To be forgotten with the next batch.
    pub forget: bool,
    /// Forgotten: to be dropped.
    pub done: bool,
    /// A failure to read it was reported.
    pub complained: bool,
}

/// How a turn went.
#[derive(Debug, Default)]
pub struct Turn {
    /// Lines that were cut.
    pub cut: u64,
    /// The file is not what it was: look at the directories again.
    pub moved: bool,
    /// It could not be read.
    pub error: Option<std::io::Error>,
}

/// How much to read in a turn.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// A batch ends with the chunk that reaches this many bytes.
    pub bytes: usize,
    /// A batch ends with the chunk that reaches this many lines.
    pub lines: usize,
}

impl Followed {
    /// Reads up to one batch of complete lines into `batch`, which is left without frames if there are none.
    pub fn read(&mut self, batch: &mut Batch, chunk: &mut [u8], budget: Budget, limits: Limits) -> Turn {
        self.ready = false;
        if self.content.is_none()
            && let Err(turn) = self.open(limits)
        {
            return turn;
        }
        let turn = self.read_open(batch, chunk, budget);
        if turn.moved || turn.error.is_some() {
            batch.bytes.clear();
            batch.frames.clear();
            // Lines that were read and not handed out are read again.
            let is_fit = |c: &Content| c.position() == self.position && !(self.gzip && turn.error.is_some());
            self.content = self.content.take().filter(is_fit);
        }
        turn
    }

    fn open(&mut self, limits: Limits) -> Result<(), Turn> {
        match Content::open(&self.real, &self.ident, self.gzip, &self.print, self.position, limits) {
            Ok(content) => {
                self.content = Some(content);
                self.last_read = Instant::now();
                self.complained = false;
                Ok(())
            }
            Err(OpenError::Moved) => Err(Turn { moved: true, ..Turn::default() }),
            Err(OpenError::Different | OpenError::Short) => {
                self.replaced = true;
                Err(Turn { moved: true, ..Turn::default() })
            }
            // It is tried again when it has grown.
            Err(OpenError::Unfinished) => Err(Turn::default()),
            Err(OpenError::Io(e) | OpenError::Shortage(e)) => {
                self.tried = Stat::default();
                Err(Turn { error: Some(e), ..Turn::default() })
            }
        }
    }

    fn read_open(&mut self, batch: &mut Batch, chunk: &mut [u8], budget: Budget) -> Turn {
        let mut turn = Turn::default();
        let Some(content) = &mut self.content else { return turn };
        let failed = |error| Turn { error: Some(error), ..Turn::default() };
        match content.still_is() {
            Ok(true) => {}
            Ok(false) => {
                // What is held of an unfinished line is the last that is left of the old content: it stays in `content`.
                self.replaced = true;
                self.tried = Stat::default();
                return Turn { moved: true, ..turn };
            }
            Err(e) => return failed(e),
        }
        let stat = match content.stat() {
            Ok(stat) => stat,
            Err(e) => return failed(e),
        };
        let now = Timestamp::now();
        let from = content.next_offset();
        let mut more = true;
        while more && batch.frames.len() < budget.lines && content.next_offset() - from < budget.bytes as u64 {
            match content.next(chunk, batch, now) {
                Ok(Progress::Read { cut, .. }) => turn.cut += cut,
                Ok(Progress::End) => more = false,
                Err(e) => return failed(e),
            }
        }
        match content.still_is() {
            Ok(true) => {}
            Ok(false) => {
                self.replaced = true;
                self.content = None;
                return Turn { moved: true, ..Turn::default() };
            }
            Err(e) => return failed(e),
        }
        // Only now is it surely a state of this content, and not of what replaced it.
        self.stat = stat;
        if content.next_offset() != from {
            self.last_read = Instant::now();
        }
        self.ready = more;
        if content.ended() && content.pending_bytes() > 0 {
            content.finish(batch, now);
        }
        if content.position() != self.position {
            self.position = content.position();
            self.print = content.print();
            self.prefixes.extend(content.head());
        }
        if content.is_cut_off() {
            if content.has_grown() {
                self.tried = Stat::default();
            }
            self.content = None;
        }
        turn
    }

    /// Hands out an unfinished last line, because no more can come. Nothing is added where there is none.
    pub fn finish(&mut self, batch: &mut Batch) {
        let Some(content) = &mut self.content else { return };
        if content.finish(batch, Timestamp::now()) {
            self.position = content.position();
            self.print = content.print();
            self.prefixes.extend(content.head());
        }
    }

    /// Hands out what is held of an event, because no more came for a while.
    pub fn finish_event(&mut self, batch: &mut Batch) {
        let Some(content) = self.content.as_mut().filter(|content| content.holds_event()) else { return };
        content.finish_event(batch, Timestamp::now());
        self.position = content.position();
        self.print = content.print();
        self.prefixes.extend(content.head());
    }

    /// Lines are held that may not be the whole of their event.
    pub fn holds_event(&self) -> bool {
        self.content.as_ref().is_some_and(Content::holds_event)
    }

    /// Bytes held of an unfinished last line, and of an unfinished event.
    pub fn pending_bytes(&self) -> u64 {
        self.content.as_ref().map_or(0, Content::pending_bytes)
    }

    /// Bytes that are known to be there and were not read. Unknown, and 0, for compressed files.
    pub fn unread_bytes(&self) -> u64 {
        // What a look saw of a file that was overwritten since may have been the new content.
        let size = if self.replaced { self.stat.size } else { self.stat.size.max(self.observed_bytes) };
        if self.gzip { 0 } else { size.saturating_sub(self.position + self.pending_bytes()) }
    }

    /// Opens a file that waits to be read, so that it can be read when its name is gone, and notes how it begins where nothing was read of
    /// it. Compressed ones are opened in their turn: it takes reading them up to the position.
    pub fn hold(&mut self, limits: Limits) -> Turn {
        if let Err(turn) = self.open(limits) {
            return turn;
        }
        let Some(content) = &mut self.content else { return Turn::default() };
        if self.position == 0
            && self.print == Print::default()
            && let (Ok(stat), Ok(print)) = (content.stat(), content.first_print())
        {
            (self.stat, self.print) = (stat, print);
        }
        Turn::default()
    }

    /// Whether it has something to read and nothing of it was handed out yet.
    pub fn is_unread(&self) -> bool {
        self.ready && !self.delivered
    }

    /// Whether its content can still be read, here or where it is now.
    pub fn is_alive(&self) -> bool {
        !self.replaced && !self.done && (self.content.is_some() || !matches!(self.place, Place::Gone { .. }))
    }

    /// Goes on in another copy of the same content.
    pub fn adopt(&mut self, copy: &Entry) {
        tracing::debug!(path = %self.path.display(), copy = %copy.real.display(), "file goes on in a copy");
        self.real.clone_from(&copy.real);
        self.ident = copy.ident;
        self.gzip = copy.gzip;
        (self.stat, self.observed_bytes) = (copy.stat, copy.stat.size);
        self.tried = copy.stat.if_settled();
        self.content = None;
        self.replaced = false;
        self.searches = 0;
        self.place = Place::Away;
        self.ready = true;
        self.seen = true;
        self.row_is_stale = self.saved;
    }

    /// A loss of bytes of this file.
    pub fn loss(&self, input: &Arc<str>, range: (u64, u64), reason: LossReason) -> Loss {
        let (input, part) = (Arc::clone(input), Arc::clone(&self.part));
        Loss { input, part, range: Some(range), frames: None, reason, noticed_at: Timestamp::now() }
    }

    /// The row of `positions` for what was handed out so far.
    pub fn change(&mut self, input: &Arc<str>) -> PositionChange {
        // A struct of numbers and strings always has a JSON form.
        let detail = (!self.forget).then(|| serde_json::to_value(Detail::new(self)).unwrap_or_default());
        let from = std::mem::replace(&mut self.told, self.position);
        PositionChange { input: Arc::clone(input), part: Arc::clone(&self.part), from, to: self.position, detail }
    }
}
