//! What to do with a file that is not known by its inode: it is another copy of content that is known, or it is new.
//!
//! Everything is decided by content, and each decision only while the files are the ones that were meant: whatever was renamed,
//! truncated or finished meanwhile leaves the question open until the next look. A file about which it is open is simply asked about
//! again, since all files of interest are met at every look.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::content::{self, Content, OpenError};
use super::file::Followed;
use super::fingerprint::{Ident, MARK_BYTES, Prefixes, Print, Stat};
use super::follow::Follower;
use super::kin::{self, Kin};
use super::listing::{Entry, Listing, Skipped};
use crate::frame::LossReason;

/// Copies opened at most in search of one lost file.
const MAX_CANDIDATES: usize = 256;

/// Searches without a doubt before lost content is given up.
const MAX_SEARCHES: u8 = 3;

/// The least time between two lines of the log about files that are left out.
const TELL_LEFT_OUT: Duration = Duration::from_secs(60);

/// Bytes of a gzip stream that are compared with the original. Of a plain file the first and the last bytes are.
const GZIP_COMPARED_BYTES: usize = 1 << 20;

/// What a file is to a followed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// It holds everything that was read of it.
    Copy,
    /// It was copied before the last lines were read: nothing in it is new.
    EarlyCopy,
    /// Its content is other content.
    None,
    /// It cannot be told before it changes again.
    Unfinished,
    /// Something moved: it can be told at the next look.
    Unclear,
}

impl Relation {
    fn of_error(error: &OpenError) -> Relation {
        match error {
            OpenError::Short | OpenError::Different | OpenError::Io(_) => Relation::None,
            OpenError::Unfinished => Relation::Unfinished,
            OpenError::Moved | OpenError::Shortage(_) => Relation::Unclear,
        }
    }
}

impl Follower {
    /// Looks for lost content among its neighbours, and gives it up when it is nowhere.
    pub(super) fn look_for_copies(&mut self, listing: &mut Listing) {
        let mut known = self.known();
        for i in 0..self.files.len() {
            let file = &self.files[i];
            if file.is_alive() || file.searches == MAX_SEARCHES || file.forget || file.done {
                continue;
            }
            let mut candidates: Vec<Entry> = Vec::new();
            let (mut clear, mut refused) = (true, false);
            for path in [&file.real, &file.path] {
                let Some(directory) = listing.steady_around(path) else {
                    (clear, refused) = (false, refused || listing.is_refused(path));
                    continue;
                };
                let may_hold = |e: &&Entry| !known.contains(&e.ident) && kin::may_hold(file, e, self.options.fingerprint_bytes);
                candidates.extend(directory.entries.iter().filter(may_hold).cloned());
            }
            // While gzip is at work there are two: the plain one is complete.
            candidates.sort_by_key(|e| e.gzip);
            let mut early = None;
            let mut found = None;
            for entry in candidates.iter().take(MAX_CANDIDATES) {
                match self.holds_lost(&self.files[i], entry) {
                    Relation::Copy => found = Some((entry, Relation::Copy)),
                    Relation::EarlyCopy => early = early.or(Some((entry, Relation::EarlyCopy))),
                    Relation::None | Relation::Unfinished => {}
                    Relation::Unclear => clear = false,
                }
                if found.is_some() {
                    break;
                }
            }
            // An early copy is believed only where there is surely no full one.
            if let Some((entry, relation)) = found.or(early.filter(|_| clear)) {
                if self.go_on(i, entry, relation).is_ok() {
                    known.insert(entry.ident);
                }
                continue;
            }
            // What is refused is asked for again at the next poll.
            self.look_again |= !refused;
            if clear {
                self.files[i].searches += 1;
                if self.files[i].searches == MAX_SEARCHES {
                    self.give_up(i);
                }
            }
        }
    }

    /// The inodes of files that are followed.
    pub(super) fn known(&self) -> HashSet<Ident> {
        self.files.iter().filter(|f| !f.replaced && !f.forget && !f.done).map(|f| f.ident).collect()
    }

    /// Lost content is nowhere to be found.
    fn give_up(&mut self, i: usize) {
        let file = &mut self.files[i];
        let lost = file.unread_bytes();
        if lost > 0 {
            let from = file.position + file.pending_bytes();
            tracing::warn!(path = %file.path.display(), from, bytes = lost, "file truncated or deleted before it was read to its end");
            self.counts.truncated.add(lost);
            let loss = file.loss(&self.input, (from, from + lost), LossReason::TruncatedUnread);
            self.losses.push(loss);
        }
        if file.replaced {
            file.forget = true;
        }
    }

    /// Follows what is new of these files, the oldest of which come first, and goes on in those that are copies of lost ones.
    pub(super) fn take_up(&mut self, unknown: Vec<Entry>) {
        let room = self.options.max_files.saturating_sub(self.files.len());
        // Where there is no room for all, the newest matter most. They come last.
        let first_followed = unknown.len().saturating_sub(room);
        let mut left_out = Vec::new();
        let (mut known, mut kin) = (self.known(), Kin::default());
        for (i, file) in self.files.iter().enumerate().filter(|(_, f)| !f.forget && !f.done) {
            kin.note(i, file);
        }
        let (first_order, last_order) = (self.next_order + 1, self.next_order + unknown.len() as u64);
        // While gzip is at work there are two: the plain one is followed, and the other is known to be a copy of it. How old they are says
        // nothing of which was made of which: they have the same time, or the copy that of the last whole second.
        let mut by_kind: Vec<(u64, Entry)> = (first_order..).zip(unknown).collect();
        by_kind.sort_by_key(|(_, entry)| entry.gzip);
        for (order, entry) in by_kind {
            if known.contains(&entry.ident) {
                continue;
            }
            let i = match self.place(&entry, kin.of(&entry)) {
                Ok(Some((i, relation))) => match self.go_on(i, &entry, relation) {
                    Ok(()) => i,
                    Err(NotNow) => continue,
                },
                Ok(None) if order - first_order >= first_followed as u64 => {
                    self.add(entry);
                    let i = self.files.len() - 1;
                    self.files[i].order = order;
                    i
                }
                Ok(None) => {
                    left_out.push((order, entry.real));
                    continue;
                }
                Err(NotNow) => continue,
            };
            known.insert(self.files[i].ident);
            kin.note(i, &self.files[i]);
        }
        self.next_order = self.next_order.max(last_order);
        left_out.sort();
        let left_out: Vec<PathBuf> = left_out.into_iter().map(|(_, path)| path).collect();
        self.tell_left_out(&left_out);
    }

    /// Says once a minute which files are not read for want of room.
    fn tell_left_out(&mut self, left_out: &[PathBuf]) {
        const NAMED: usize = 5;
        self.counts.left_out.set(left_out.len() as u64);
        if left_out.is_empty() || self.told_left_out.is_some_and(|told| told.elapsed() < TELL_LEFT_OUT) {
            return;
        }
        self.told_left_out = Some(Instant::now());
        let named: Vec<_> = left_out.iter().rev().take(NAMED).map(|path| path.display().to_string()).collect();
        tracing::warn!(
            set = self.options.name,
            files = left_out.len(),
            followed = self.files.len(),
            most = self.options.max_files,
            newest = named.join(", "),
            "files are NOT read, the oldest of all: what is known of each takes memory, and there is no room for more. Raise limits.memory, \
             or match fewer rotated files"
        );
    }

    /// Where a file belongs, among its relatives: to a lost one whose content it holds, or nowhere, since it is new.
    fn place(&mut self, entry: &Entry, relatives: Vec<usize>) -> Result<Option<(usize, Relation)>, NotNow> {
        if !relatives.is_empty()
            && let Err(error) = content::may_read(&entry.real)
        {
            self.complain(vec![(entry.real.clone(), Skipped::Io(error))]);
            return Err(NotNow);
        }
        let (mut early, mut unread) = (None, None);
        for i in relatives {
            let file = &self.files[i];
            if file.forget || file.done {
                continue;
            }
            let relation = if file.is_alive() {
                if kin::may_be_copy(entry, file) { self.copies_alive(i, entry) } else { Relation::None }
            } else if kin::may_hold(file, entry, self.options.fingerprint_bytes) {
                self.holds_lost(file, entry)
            } else if unread.is_none() {
                match self.holds_unread(file, entry) {
                    Relation::Copy => {
                        unread = Some((i, Relation::Copy));
                        Relation::None
                    }
                    relation => relation,
                }
            } else {
                Relation::None
            };
            match relation {
                Relation::None => {}
                Relation::Unclear => {
                    self.look_again = true;
                    return Err(NotNow);
                }
                Relation::Unfinished => return Err(NotNow),
                // As long as the original is there, it is the one to be read. Once it is truncated or gone, this one takes its place.
                _ if self.files[i].is_alive() => return Err(NotNow),
                Relation::Copy => return Ok(Some((i, relation))),
                Relation::EarlyCopy => early = Some((i, relation)),
            }
        }
        Ok(early.or(unread))
    }

    /// Whether a compressed file that would be read as a new one may be a lost one of which nothing was read. Then it is that: what
    /// is read is the same, and nothing is lost.
    fn holds_unread(&self, lost: &Followed, entry: &Entry) -> Relation {
        let is_unread = lost.position == 0 && lost.print == Print::default();
        if !is_unread || !entry.gzip || entry.stat.latest_mtime() < lost.stat.mtime {
            return Relation::None;
        }
        match content::all(&entry.real, &entry.ident, true, self.limits) {
            Ok((size, _)) if size >= lost.stat.size => Relation::Copy,
            Ok(_) => Relation::None,
            Err(error) => Relation::of_error(&error),
        }
    }

    /// Whether a file holds what was read of a lost one.
    fn holds_lost(&self, lost: &Followed, entry: &Entry) -> Relation {
        match Content::open(&entry.real, &entry.ident, entry.gzip, &lost.print, lost.position, self.limits) {
            Ok(_) => Relation::Copy,
            Err(OpenError::Short) if kin::is_rotated(entry, lost) => Relation::EarlyCopy,
            Err(OpenError::Different) if kin::is_rotated(entry, lost) => self.is_short_early_copy(lost, entry),
            Err(error) => Relation::of_error(&error),
        }
    }

    /// The same of a copy that is shorter than the fingerprint.
    fn is_short_early_copy(&self, lost: &Followed, entry: &Entry) -> Relation {
        let opened = Content::open(&entry.real, &entry.ident, entry.gzip, &Print::default(), 0, self.limits);
        let (all, breaks_off) = match opened.and_then(|mut copy| Ok(copy.first_bytes(Prefixes::MAX_BYTES)?)) {
            Ok(first) => first,
            Err(error) => return Relation::of_error(&error),
        };
        let is_short = all.len() < Prefixes::MAX_BYTES && (all.len() as u64) < lost.position;
        match is_short && lost.prefixes.are(&all) {
            _ if breaks_off => Relation::Unfinished,
            true => Relation::EarlyCopy,
            false => Relation::None,
        }
    }

    /// Goes on with a lost file in a copy; behind the end of one that holds nothing new.
    fn go_on(&mut self, i: usize, entry: &Entry, relation: Relation) -> Result<(), NotNow> {
        if relation == Relation::EarlyCopy {
            let end = content::all(&entry.real, &entry.ident, entry.gzip, self.limits);
            let Ok((position, print)) = end else {
                self.look_again = true;
                return Err(NotNow);
            };
            let file = &mut self.files[i];
            tracing::warn!(
                path = %file.path.display(), copy = %entry.real.display(), read = file.position, copied = position,
                "file was written to between its copy and its truncation: lines at that place may be lost"
            );
            let (from, to) = (file.position.min(position), file.position.max(position));
            let loss = file.loss(&self.input, (from, to), LossReason::CopyTruncate);
            self.losses.push(loss);
            (file.position, file.told, file.print) = (position, position, print);
        } else if self.files[i].replaced && self.files[i].unread_bytes() > 0 {
            let copied = self.content_bytes(entry)?;
            let file = &self.files[i];
            if copied < file.stat.size {
                tracing::warn!(
                    path = %file.path.display(), copy = %entry.real.display(), bytes = file.stat.size, copied,
                    "file was written to between its copy and its truncation: what was written there is lost"
                );
                let loss = file.loss(&self.input, (copied, file.stat.size), LossReason::CopyTruncate);
                self.losses.push(loss);
            }
        }
        self.files[i].adopt(entry);
        Ok(())
    }

    /// How many bytes the content of a complete copy has.
    fn content_bytes(&mut self, entry: &Entry) -> Result<u64, NotNow> {
        let opened = Content::open(&entry.real, &entry.ident, entry.gzip, &Print::default(), 0, self.limits);
        let size = opened.and_then(|copy| match entry.gzip {
            true => Ok(content::all(&entry.real, &entry.ident, true, self.limits)?.0),
            false => Ok(copy.stat()?.size),
        });
        size.map_err(|_| {
            self.look_again = true;
            NotNow
        })
    }

    /// Whether a file is a copy, or the beginning of one, of a file that is still there, as `copytruncate` and `gzip` make them.
    fn copies_alive(&mut self, i: usize, entry: &Entry) -> Relation {
        let file = &self.files[i];
        if file.gzip {
            return match entry.gzip {
                true => Relation::None,
                false => match self.is_unpacked(file, entry) {
                    // A damaged one cannot be compared as a whole.
                    Err(OpenError::Io(_)) if file.position > 0 => self.holds_lost(file, entry),
                    relation => relation.unwrap_or_else(|error| Relation::of_error(&error)),
                },
            };
        }
        let opened;
        let original = match &file.content {
            Some(content) => content,
            None => match Content::open(&file.real, &file.ident, false, &file.print, file.position, self.limits) {
                Ok(content) => {
                    opened = content;
                    &opened
                }
                Err(OpenError::Moved | OpenError::Shortage(_)) => return Relation::Unclear,
                Err(OpenError::Different | OpenError::Short) => return self.was_replaced(i),
                // What cannot be read cannot be compared: whoever may read it next decides.
                Err(OpenError::Io(_) | OpenError::Unfinished) => return Relation::None,
            },
        };
        match self.begins_alike(original, entry) {
            Ok(true) => Relation::Copy,
            // The comparison says something only if the original was not truncated before it.
            Ok(false) if !original.still_is().unwrap_or(true) => self.was_replaced(i),
            Ok(false) => Relation::None,
            Err(error) => Relation::of_error(&error),
        }
    }

    /// Whether a file was unpacked beside a compressed one, or is being unpacked: it has nothing that is not in that.
    fn is_unpacked(&self, packed: &Followed, entry: &Entry) -> Result<Relation, OpenError> {
        let is_short = entry.stat.size < u64::from(packed.print.head_len);
        let print = if is_short { Print::default() } else { Print { mark_len: 0, mark: 0, ..packed.print } };
        let plain = Content::open(&entry.real, &entry.ident, false, &print, 0, self.limits)?;
        let mut packed = Content::open(&packed.real, &packed.ident, true, &Print::default(), 0, self.limits)?;
        let (head, breaks_off) = packed.first_bytes(GZIP_COMPARED_BYTES)?;
        let is_all = head.len() < GZIP_COMPARED_BYTES && !breaks_off;
        let begun = plain.range(0, head.len() + usize::from(is_all))?;
        // An unfinished one of which nothing can be unpacked yet tells nothing.
        let is_copy = head.starts_with(&begun) && !(breaks_off && head.is_empty());
        Ok(if is_copy { Relation::Copy } else { Relation::None })
    }

    fn was_replaced(&mut self, i: usize) -> Relation {
        self.files[i].replaced = true;
        self.files[i].tried = Stat::default();
        Relation::Unclear
    }

    fn begins_alike(&self, original: &Content, entry: &Entry) -> Result<bool, OpenError> {
        let mut copy = Content::open(&entry.real, &entry.ident, entry.gzip, &Print::default(), 0, self.limits)?;
        let len = if entry.gzip { GZIP_COMPARED_BYTES } else { self.options.fingerprint_bytes };
        let (head, breaks_off) = copy.first_bytes(len)?;
        if original.range(0, head.len())? != head {
            return Ok(false);
        }
        if breaks_off {
            return Err(OpenError::Unfinished);
        }
        if entry.gzip || head.len() < len {
            return Ok(true);
        }
        let (from, len) = (copy.stat()?.size.saturating_sub(MARK_BYTES as u64), MARK_BYTES);
        Ok(original.range(from, len)?.starts_with(&copy.range(from, len)?))
    }
}

/// Nothing can be decided about a file in this look.
struct NotNow;
