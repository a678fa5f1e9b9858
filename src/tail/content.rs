//! One open file as a stream of lines: plain or gzip, from a position on.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::fingerprint::{Ident, MARK_BYTES, Print, Stat};
use crate::frame::event::{Joiner, Taken};
use crate::frame::line::{Delimiter, Splitter};
use crate::frame::{Batch, FrameSpan};
use crate::record::Timestamp;

/// Bytes read at a time.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// An open file and how far it was read.
#[derive(Debug)]
pub struct Content {
    source: Source,
    splitter: Splitter,
    joiner: Joiner,
    limits: Limits,
    /// Offset of the next byte to read; before it, `splitter` holds an unfinished line and `joiner` an unfinished event.
    next: u64,
    /// The first bytes of the content, up to `next` and the fingerprint's length.
    head: Vec<u8>,
    /// The last bytes before `next`.
    recent: Vec<u8>,
    /// The last bytes before `position`.
    mark: Vec<u8>,
    /// Where what became frames ends: the last complete line, unless it is held as part of an event.
    position: u64,
    /// The end of the last complete line, and the last bytes before it.
    line_end: (u64, Vec<u8>),
    /// A gzip stream that ended as it should: no more can come.
    ended: bool,
    /// Size of the file when it was opened.
    opened_bytes: u64,
    /// A gzip stream that ended too early.
    cut_off: bool,
}

/// Lengths that bound what is kept in memory.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest line in bytes.
    pub line: usize,
    /// Bytes of the head that are part of the fingerprint.
    pub head: usize,
}

#[derive(Debug)]
enum Source {
    Plain(File),
    Gzip(Box<MultiGzDecoder<File>>),
}

/// Why content could not be opened at a position.
#[derive(Debug)]
pub enum OpenError {
    /// The system refused.
    Io(io::Error),
    /// The system has no descriptor or no memory left: that says nothing of the file.
    Shortage(io::Error),
    /// Another file stands there now, or none.
    Moved,
    /// The content is not the one of that fingerprint.
    Different,
    /// The content begins as it should and ends before the position.
    Short,
    /// A gzip stream that is still being written, or was cut off, before the position.
    Unfinished,
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> OpenError {
        match error.kind() {
            io::ErrorKind::NotFound => OpenError::Moved,
            _ if is_shortage(&error) => OpenError::Shortage(error),
            _ => OpenError::Io(error),
        }
    }
}

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Bytes were read; `lines` of them became frames, `cut` of those were too long.
    Read {
        /// Frames added to the batch.
        lines: usize,
        /// Frames that were cut.
        cut: u64,
    },
    /// Nothing more is there now.
    End,
}

impl Content {
    /// Opens a file and makes sure that it is `ident`, and that what stands before `position` is what `print` says.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        path: &Path,
        ident: &Ident,
        gzip: bool,
        print: &Print,
        position: u64,
        limits: Limits,
    ) -> Result<Content, OpenError> {
        let (file, found, stat) = open(path)?;
        if found != *ident {
            return Err(OpenError::Moved);
        }
        let mut content = Content {
            source: if gzip { Source::Gzip(Box::new(MultiGzDecoder::new(file))) } else { Source::Plain(file) },
            splitter: Splitter::new(Delimiter::Lf, limits.line),
            joiner: Joiner::new(limits.line),
            limits,
            next: position,
            head: Vec::new(),
            recent: Vec::new(),
            mark: Vec::new(),
            position,
            line_end: (position, Vec::new()),
            ended: false,
            opened_bytes: stat.size,
            cut_off: false,
        };
        if gzip {
            content.skip_to(print, position)?;
            if position < u64::from(print.head_len) {
                content.head = content.head_beyond(path, ident, print)?;
            }
        } else {
            let wanted = limits.head.min(usize::try_from(position).unwrap_or(usize::MAX));
            let (head, mark) = content.read_print(wanted.max(print.head_len as usize), position)?;
            let known = print.head_len as usize;
            if head.len() < known || super::fingerprint::hash(&head[..known]) != print.head {
                return Err(OpenError::Different);
            }
            if stat.size < position {
                return Err(OpenError::Short);
            }
            content.head = head;
            content.head.truncate(limits.head);
            content.mark = mark;
        }
        if !print.is(&content.head[..(print.head_len as usize).min(content.head.len())], last(&content.mark, print.mark_len)) {
            return Err(OpenError::Different);
        }
        content.recent = content.mark.clone();
        content.line_end.1 = content.mark.clone();
        Ok(content)
    }

    /// Reads a gzip stream up to `position`.
    fn skip_to(&mut self, print: &Print, position: u64) -> Result<(), OpenError> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut at = 0u64;
        while at < position {
            let wanted = chunk.len().min(usize::try_from(position - at).unwrap_or(usize::MAX));
            let read = match self.read(&mut chunk[..wanted], at) {
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(OpenError::Unfinished),
                Err(e) => return Err(OpenError::Io(e)),
            };
            let known = print.head_len as usize;
            let missing = self.limits.head.max(known).saturating_sub(self.head.len()).min(read);
            self.head.extend_from_slice(&chunk[..missing]);
            if self.head.len() >= known && super::fingerprint::hash(&self.head[..known]) != print.head {
                return Err(OpenError::Different);
            }
            if read == 0 {
                return Err(if self.head.len() >= known { OpenError::Short } else { OpenError::Different });
            }
            keep_last(&mut self.mark, &chunk[..read]);
            at += read as u64;
        }
        Ok(())
    }

    /// The head of a gzip stream of which less than that was read: it is read for itself.
    fn head_beyond(&self, path: &Path, ident: &Ident, print: &Print) -> Result<Vec<u8>, OpenError> {
        let (file, found, _) = open(path)?;
        if found != *ident {
            return Err(OpenError::Moved);
        }
        let (len, mut head) = (print.head_len as usize, Vec::new());
        match MultiGzDecoder::new(file).take(len as u64).read_to_end(&mut head) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(OpenError::Unfinished),
            Err(e) => Err(OpenError::Io(e)),
            Ok(_) if head.len() < len => Err(OpenError::Different),
            Ok(_) => Ok(head),
        }
    }

    /// The head and the mark as they stand in a plain file now.
    fn read_print(&self, head_len: usize, position: u64) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let Source::Plain(file) = &self.source else { return Ok((Vec::new(), Vec::new())) };
        let mark_len = MARK_BYTES.min(usize::try_from(position).unwrap_or(usize::MAX));
        let head = read_range(file, 0, head_len)?;
        let mark = read_range(file, position - mark_len as u64, mark_len)?;
        Ok((head, mark))
    }

    /// What tells content that was opened at 0 from other content before anything of it was read: its first bytes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn first_print(&mut self) -> io::Result<Print> {
        self.head = self.range(0, self.limits.head)?;
        Ok(Print::of(&self.head, &[]))
    }

    /// Whether what was read still stands in the file. Content is only ever replaced by later content, so a yes vouches for
    /// everything that was read before the question.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn still_is(&self) -> io::Result<bool> {
        let Source::Plain(file) = &self.source else { return Ok(true) };
        let recent_at = self.next - self.recent.len() as u64;
        Ok(read_range(file, recent_at, self.recent.len())? == self.recent && read_range(file, 0, self.head.len())? == self.head)
    }

    /// The first `len` bytes of content that was opened at 0 and not read yet; fewer where it is shorter. And whether they are fewer
    /// because a gzip stream breaks off.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn first_bytes(&mut self, len: usize) -> io::Result<(Vec<u8>, bool)> {
        let decoder = match &mut self.source {
            Source::Plain(file) => return Ok((read_range(file, 0, len)?, false)),
            Source::Gzip(decoder) => decoder,
        };
        super::meanwhile();
        let mut head = Vec::new();
        match decoder.take(len as u64).read_to_end(&mut head) {
            Ok(_) => Ok((head, false)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok((head, true)),
            Err(e) => Err(e),
        }
    }

    /// Reads one chunk and adds the lines that it completes to `batch`.
    ///
    /// A line that starts with NUL bytes loses them: they are the hole that is left where a writer without O_APPEND goes on at its
    /// old offset after the file was truncated, or where a machine lost power.
    ///
    /// # Errors
    /// The file cannot be read, or is no gzip stream although its name says so. A gzip stream that is cut off is at its
    /// [`Progress::End`].
    pub fn next(&mut self, chunk: &mut [u8], batch: &mut Batch, now: Timestamp) -> io::Result<Progress> {
        let read = match self.read(chunk, self.next) {
            Ok(read) => read,
            // A decoder that once met the end cannot make sense of what is added later.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof || self.has_grown() => {
                self.cut_off = true;
                return Ok(Progress::End);
            }
            Err(e) => return Err(e),
        };
        if read == 0 {
            self.ended = matches!(self.source, Source::Gzip(_));
            if self.splitter.pending_bytes() == 0 {
                // Gives back the room that a long line took.
                self.splitter = Splitter::new(Delimiter::Lf, self.limits.line);
            }
            return Ok(Progress::End);
        }
        let chunk = &chunk[..read];
        // Of what was known of it before it was read, the head may be longer than what was read.
        let known = (self.head.len() as u64).checked_sub(self.next).and_then(|known| usize::try_from(known).ok());
        if let Some(known) = known.filter(|known| *known < read) {
            let missing = self.limits.head.saturating_sub(self.head.len()).min(read - known);
            self.head.extend_from_slice(&chunk[known..known + missing]);
        }
        let (mut input, mut lines, mut cut) = (chunk, 0, 0);
        // Where in the chunk the last line ends, and where what was handed out does; before the chunk is `line_end`.
        let (mut end, mut handed_out) = (None::<usize>, None::<Option<usize>>);
        while !input.is_empty() {
            if self.splitter.pending_bytes() == 0 {
                let nuls = input.iter().position(|b| *b != 0).unwrap_or(input.len());
                input = &input[nuls..];
            }
            let Some(piece) = self.splitter.next(&mut input) else { break };
            cut += u64::from(piece.cut > 0);
            let start = end.replace(chunk.len() - input.len());
            let taken = self.joiner.line(piece.bytes, piece.cut, &mut |bytes, cut| {
                push(batch, bytes, cut, now);
                lines += 1;
            });
            match taken {
                Taken::HandedOut => handed_out = Some(end),
                Taken::Begun => handed_out = Some(start),
                Taken::Added => {}
            }
        }
        match handed_out {
            Some(Some(end)) => (self.position, self.mark) = (self.next + end as u64, self.last_before(&chunk[..end])),
            Some(None) => (self.position, self.mark) = self.line_end.clone(),
            None => {}
        }
        if let Some(end) = end {
            self.line_end = (self.next + end as u64, self.last_before(&chunk[..end]));
        }
        keep_last(&mut self.recent, chunk);
        self.next += read as u64;
        Ok(Progress::Read { lines, cut })
    }

    /// The last bytes before the end of a piece that was read behind `recent`.
    fn last_before(&self, piece: &[u8]) -> Vec<u8> {
        let mut last = self.recent.clone();
        keep_last(&mut last, piece);
        last
    }

    /// Adds the last line although it has no newline, because none can come any more, and what is held of an event. Says whether there was
    /// anything.
    pub fn finish(&mut self, batch: &mut Batch, now: Timestamp) -> bool {
        let mut each = |bytes: &[u8], cut| push(batch, bytes, cut, now);
        let line = self.splitter.finish();
        if line.is_none() && !self.joiner.holds() {
            return false;
        }
        if let Some(piece) = line {
            self.joiner.line(piece.bytes, piece.cut, &mut each);
        }
        self.joiner.finish(&mut each);
        self.position = self.next;
        self.mark.clone_from(&self.recent);
        self.line_end = (self.position, self.mark.clone());
        true
    }

    /// Adds what is held of an event, because no more came for a while.
    pub fn finish_event(&mut self, batch: &mut Batch, now: Timestamp) {
        self.joiner.finish(&mut |bytes, cut| push(batch, bytes, cut, now));
        (self.position, self.mark) = self.line_end.clone();
    }

    /// Complete lines are held that may not be the whole of their event.
    pub fn holds_event(&self) -> bool {
        self.joiner.holds()
    }

    /// Where what became frames ends: the position to save once it is handed out.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The fingerprint that belongs to [`Content::position`].
    pub fn print(&self) -> Print {
        Print::of(self.head(), &self.mark)
    }

    /// The first bytes before [`Content::position`].
    pub fn head(&self) -> &[u8] {
        &self.head[..self.head.len().min(usize::try_from(self.position).unwrap_or(usize::MAX))]
    }

    /// Offset of the next byte to read.
    pub fn next_offset(&self) -> u64 {
        self.next
    }

    /// Bytes of an unfinished last line, and of an unfinished event before it.
    pub fn pending_bytes(&self) -> u64 {
        self.splitter.pending_bytes() + (self.line_end.0 - self.position)
    }

    /// Whether a gzip stream came to its proper end.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether a gzip stream ended too early, so that it must be opened again to be read on.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// Whether a gzip file is longer than when it was opened.
    pub fn has_grown(&self) -> bool {
        let Source::Gzip(decoder) = &self.source else { return false };
        decoder.get_ref().metadata().is_ok_and(|m| m.len() > self.opened_bytes)
    }

    /// The state of the open file; for a plain file its size is that of the content.
    ///
    /// # Errors
    /// The system refused.
    pub fn stat(&self) -> io::Result<Stat> {
        super::meanwhile();
        let file = match &self.source {
            Source::Plain(file) => file,
            Source::Gzip(decoder) => decoder.get_ref(),
        };
        Ok(Stat::of(&file.metadata()?))
    }

    /// Up to `len` bytes at `offset` of a plain file; nothing for gzip.
    ///
    /// # Errors
    /// The system refused.
    pub fn range(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        match &self.source {
            Source::Plain(file) => read_range(file, offset, len),
            Source::Gzip(_) => Ok(Vec::new()),
        }
    }

    fn read(&mut self, chunk: &mut [u8], at: u64) -> io::Result<usize> {
        super::meanwhile();
        loop {
            let read = match &mut self.source {
                Source::Plain(file) => file.read_at(chunk, at),
                Source::Gzip(decoder) => decoder.read(chunk),
            };
            match read {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// Whether the system lets us read a file, if it is there.
pub fn may_read(path: &Path) -> io::Result<()> {
    match open(path) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Err(e),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Where the last complete line of a file ends now, and the fingerprint up to there. A last line that is longer than `limits.line`
/// counts as complete.
///
/// # Errors
/// The file cannot be read.
pub fn end(path: &Path, ident: &Ident, gzip: bool, limits: Limits) -> Result<(u64, Print), OpenError> {
    let mut content = Content::open(path, ident, gzip, &Print::default(), 0, limits)?;
    if !gzip {
        let size = content.stat()?.size;
        let mut at = size;
        let floor = size.saturating_sub(limits.line as u64);
        let position = loop {
            let from = at.saturating_sub(CHUNK_BYTES as u64).max(floor);
            let bytes = content.range(from, usize::try_from(at - from).unwrap_or(CHUNK_BYTES))?;
            if let Some(newline) = memchr::memrchr(b'\n', &bytes) {
                break from + newline as u64 + 1;
            }
            at = from;
            if at == floor {
                break if floor == 0 { 0 } else { size };
            }
        };
        let (head, mark) = content.read_print(limits.head.min(usize::try_from(position).unwrap_or(usize::MAX)), position)?;
        return Ok((position, Print::of(&head, &mark)));
    }
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut batch = Batch::default();
    while content.next(&mut chunk, &mut batch, Timestamp::default())? != Progress::End {
        batch.bytes.clear();
        batch.frames.clear();
    }
    Ok((content.position(), content.print()))
}

/// How many bytes a file's content has now, and the fingerprint of all of it.
///
/// # Errors
/// The file cannot be read.
pub fn all(path: &Path, ident: &Ident, gzip: bool, limits: Limits) -> Result<(u64, Print), OpenError> {
    let mut content = Content::open(path, ident, gzip, &Print::default(), 0, limits)?;
    let (mut chunk, mut batch) = (vec![0; CHUNK_BYTES], Batch::default());
    while content.next(&mut chunk, &mut batch, Timestamp::default())? != Progress::End {
        batch.bytes.clear();
        batch.frames.clear();
    }
    content.finish(&mut batch, Timestamp::default());
    Ok((content.position(), content.print()))
}

/// Whether something was refused for want of descriptors or memory, so that it may well be granted a moment later.
pub fn is_shortage(error: &io::Error) -> bool {
    use nix::libc::{EMFILE, ENFILE, ENOMEM};
    error.raw_os_error().is_some_and(|code| [EMFILE, ENFILE, ENOMEM].contains(&code))
}

/// Opens a regular file for reading; never waits, as opening a FIFO would.
fn open(path: &Path) -> io::Result<(File, Ident, Stat)> {
    super::meanwhile();
    super::descriptor()?;
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY | nix::libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok((file, Ident::of(&meta), Stat::of(&meta)))
}

fn read_range(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    super::meanwhile();
    let mut bytes = vec![0; len];
    let mut got = 0;
    while got < len {
        match file.read_at(&mut bytes[got..], offset + got as u64) {
            Ok(0) => break,
            Ok(read) => got += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(got);
    Ok(bytes)
}

fn push(batch: &mut Batch, bytes: &[u8], cut: u32, received_at: Timestamp) {
    // A batch ends long before 4 GiB: after its byte limit, one chunk and one held line.
    let start = batch.bytes.len() as u32;
    batch.bytes.extend_from_slice(bytes);
    batch.frames.push(FrameSpan { start, end: batch.bytes.len() as u32, origin: 0, cut, received_at });
}

/// Appends to the bytes of `kept`, of which the last [`MARK_BYTES`] stay.
fn keep_last(kept: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() >= MARK_BYTES {
        kept.clear();
        kept.extend_from_slice(&bytes[bytes.len() - MARK_BYTES..]);
    } else {
        kept.extend_from_slice(bytes);
        kept.drain(..kept.len().saturating_sub(MARK_BYTES));
    }
}

fn last(bytes: &[u8], len: u32) -> &[u8] {
    &bytes[bytes.len().saturating_sub(len as usize)..]
}
