//! One look around: which file on disk is which followed file. The only place where files are found, recognised under other names,
//! taken up again in a copy, or given up.
//!
//! The same steps serve the start, where all that is known are saved positions, and every later look:
//!
//! 1. Files with a known inode are where they are. Whether they still hold what was read of them is checked before they are read.
//! 2. What the patterns no longer lead to is looked for by inode among its neighbours: it was renamed.
//! 3. Lost content (the inode is gone, or holds something else) is looked for by fingerprint among the names that rotation makes.
//! 4. Rotated neighbours of a path that are newer than what was known of it at the last look are generations that came and went
//!    unseen.
//! 5. What is left is new, unless it is a copy of a file that is still there (`copytruncate` or `gzip` at work).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::content::{self, Content, OpenError};
use super::file::{Followed, Place};
use super::fingerprint::{Ident, Print, Stat};
use super::follow::Follower;
use super::listing::{self, Entry, Listing, Skipped};
use super::names;

/// Copies opened at most in search of one lost file.
const MAX_CANDIDATES: usize = 256;

/// Searches for a copy before lost content is given up: while names are being shifted, one look can miss a file.
const MAX_SEARCHES: u8 = 3;

impl Follower {
    /// Looks around. New files are numbered from the oldest on.
    pub(super) fn scan(&mut self) {
        self.files.retain(|f| !f.done);
        let mut refused = Vec::new();
        let (entries, directories) = listing::expand(&self.patterns, &mut |path, why| refused.push((path, why)));
        self.complain(refused);
        self.watch.follow(&directories);
        let mut listing = Listing::default();
        let pasts = self.pasts();
        self.reset_untouched();
        let mut unknown = self.recognise(entries);
        self.look_for_renamed(&mut listing);
        self.look_for_copies(&mut listing);
        self.add_unseen_generations(&pasts, &mut unknown, &mut listing);
        unknown.sort_by(|a, b| (a.stat.mtime, &a.path).cmp(&(b.stat.mtime, &b.path)));
        for entry in unknown {
            self.take_up(entry);
        }
        self.forget_gone();
        self.index();
    }

    /// A file of which nothing was handed out has nothing to lose: it is simply read anew.
    fn reset_untouched(&mut self) {
        for file in self.files.iter_mut().filter(|f| f.replaced && f.position == 0) {
            file.replaced = false;
            file.content = None;
            file.ready = true;
        }
    }

    /// Step 1. What remains is not known by its inode.
    fn recognise(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut by_ident: HashMap<Ident, Vec<usize>> = HashMap::new();
        for (i, file) in self.files.iter_mut().enumerate() {
            file.seen = false;
            if !file.replaced && !file.forget {
                by_ident.entry(file.ident).or_default().push(i);
            }
        }
        let mut unknown = Vec::new();
        for entry in entries {
            match by_ident.get(&entry.ident).map(Vec::as_slice) {
                None => unknown.push(entry),
                Some([i]) => self.files[*i].see(&entry),
                // An earlier run was killed before it could forget what the inode held before: the content decides.
                Some(several) => {
                    let is = |f: &Followed| self.try_open(&entry, &f.print, f.position).is_ok();
                    let right = several.iter().copied().find(|i| is(&self.files[*i]));
                    for i in several {
                        self.files[*i].replaced = right != Some(*i);
                    }
                    match right {
                        Some(i) => self.files[i].see(&entry),
                        None => unknown.push(entry),
                    }
                }
            }
        }
        unknown
    }

    /// Step 2.
    fn look_for_renamed(&mut self, listing: &mut Listing) {
        for file in self.files.iter_mut().filter(|f| !f.seen && !f.replaced && !f.forget) {
            let mut found = listing.around(&file.real).with_ident(&file.ident).cloned();
            if found.is_none() && file.path.parent() != file.real.parent() {
                found = listing.around(&file.path).with_ident(&file.ident).cloned();
            }
            if let Some(entry) = found {
                file.see(&entry);
                continue;
            }
            if !matches!(file.place, Place::Gone { .. }) {
                file.place = Place::Gone { since: Instant::now() };
            }
            // Whoever has it open may still write to it, and nothing tells of that.
            file.ready = file.content.is_some();
        }
    }

    /// Step 3.
    fn look_for_copies(&mut self, listing: &mut Listing) {
        for i in 0..self.files.len() {
            if self.files[i].is_alive() || self.files[i].searches == MAX_SEARCHES || self.files[i].forget || self.files[i].done {
                continue;
            }
            self.files[i].searches += 1;
            let mut candidates: Vec<Entry> = Vec::new();
            for path in [&self.files[i].real, &self.files[i].path] {
                let directory = listing.around(path);
                candidates.extend(directory.entries.iter().filter(|e| self.may_hold(&self.files[i], e)).cloned());
            }
            // While gzip is at work there are two: the plain one is complete.
            candidates.sort_by_key(|e| e.gzip);
            let adopted = candidates.iter().take(MAX_CANDIDATES).any(|e| self.adopt(i, e));
            if !adopted && self.files[i].searches == MAX_SEARCHES {
                self.give_up(i);
            } else if !adopted {
                self.look_again = true;
            }
        }
    }

    /// Whether a file may hold the content that `lost` had, going by its name and place.
    fn may_hold(&self, lost: &Followed, entry: &Entry) -> bool {
        let (Some(name), Some(path), Some(real)) = (entry.real.file_name(), lost.path.file_name(), lost.real.file_name()) else {
            return false;
        };
        let related = names::is_derived(name, path) || names::is_derived(name, real) || names::base(name) == names::base(real);
        // Plain copies under a new inode are made by copytruncate, under a rotated name. Anywhere else it takes a full fingerprint
        // to believe that a new file is the old one, since many logs begin alike.
        let full = lost.print.head_len as usize >= self.options.fingerprint_bytes;
        let copied = entry.gzip || lost.replaced || full || names::is_rotation(name, path);
        related && copied && lost.print.head_len > 0 && !self.is_known(&entry.ident)
    }

    fn is_known(&self, ident: &Ident) -> bool {
        self.files.iter().any(|f| f.ident == *ident && !f.replaced && !f.forget && !f.done)
    }

    /// Goes on with a lost file in `entry`, if that holds the same content.
    fn adopt(&mut self, i: usize, entry: &Entry) -> bool {
        let (print, position) = (self.files[i].print, self.files[i].position);
        let whole = match self.try_open(entry, &print, position) {
            Ok(_) => false,
            // The copy was made before the last lines were read from the original.
            Err(OpenError::Short) => true,
            Err(OpenError::Different | OpenError::Unfinished | OpenError::Io(_)) => return false,
        };
        let file = &mut self.files[i];
        file.adopt(&entry.real, entry.ident, entry.gzip, entry.stat);
        file.whole = whole;
        file.ready = !whole;
        file.seen = true;
        true
    }

    /// Lost content is nowhere to be found.
    fn give_up(&mut self, i: usize) {
        let file = &mut self.files[i];
        let lost = file.unread_bytes();
        if lost > 0 {
            tracing::warn!(path = %file.path.display(), from = file.position, bytes = lost, "file truncated or deleted before it was read to its end");
            self.counts.truncated.add(lost);
        }
        if file.replaced {
            file.forget = true;
        }
    }

    /// Of each path with a past, how new a neighbour must be to be a generation that came and went since the last look; and
    /// whether the same age is enough.
    fn pasts(&self) -> HashMap<PathBuf, (i64, bool)> {
        let mut pasts: HashMap<PathBuf, (i64, bool)> = HashMap::new();
        for file in self.files.iter().filter(|f| !f.done) {
            let past = pasts.entry(file.path.clone()).or_default();
            *past = (*past).max((file.scanned_mtime, file.saved));
        }
        pasts
    }

    /// Step 4.
    fn add_unseen_generations(&self, pasts: &HashMap<PathBuf, (i64, bool)>, unknown: &mut Vec<Entry>, listing: &mut Listing) {
        let mut found: Vec<Entry> = Vec::new();
        for (path, (mtime, same)) in pasts {
            let Some(name) = path.file_name() else { continue };
            for sibling in listing.around(path).rotations(name) {
                let newer = sibling.stat.mtime > *mtime || (*same && sibling.stat.mtime == *mtime);
                let taken = |e: &Entry| e.ident == sibling.ident;
                if newer && !unknown.iter().any(taken) && !found.iter().any(taken) && !self.is_known(&sibling.ident) {
                    found.push(Entry { path: path.clone(), ..sibling.clone() });
                }
            }
        }
        unknown.append(&mut found);
    }

    /// Step 5.
    fn take_up(&mut self, entry: Entry) {
        if self.is_known(&entry.ident) || self.is_copy_at_work(&entry) {
            return;
        }
        let lost = |f: &Followed| !f.is_alive() && !f.forget && !f.done;
        let candidates: Vec<usize> =
            (0..self.files.len()).filter(|i| lost(&self.files[*i]) && self.may_hold(&self.files[*i], &entry)).collect();
        if candidates.into_iter().any(|i| self.adopt(i, &entry)) {
            return;
        }
        if self.files.len() >= self.options.max_files {
            self.complain(vec![(entry.path, Skipped::Kind("one file more than are followed"))]);
            return;
        }
        self.add(entry);
    }

    /// Whether the file is a copy of another one that is still there, as `copytruncate` and `gzip` make them. It is decided anew
    /// at each look: once the original is truncated or gone, the copy takes its place.
    fn is_copy_at_work(&mut self, entry: &Entry) -> bool {
        for i in 0..self.files.len() {
            let file = &self.files[i];
            if !may_be_copy(entry, file) {
                continue;
            }
            if file.content.is_none() && !listing::entry(file.real.clone()).is_ok_and(|e| e.ident == file.ident) {
                // It was renamed since this look began.
                self.look_again = true;
                return true;
            }
            if self.begins_alike(file, entry).unwrap_or(false) {
                return true;
            }
            // The comparison says something only if the original was not truncated before it.
            if !self.still_holds(file) {
                self.files[i].replaced = true;
                self.files[i].tried = Stat::default();
                self.look_again = true;
                return true;
            }
        }
        false
    }

    /// Whether what was read of a file still stands in it. Failures to find out are left to the reading.
    fn still_holds(&self, file: &Followed) -> bool {
        match &file.content {
            Some(content) => content.still_is(&file.print, file.position).unwrap_or(true),
            None => {
                let opened = Content::open(&file.real, false, &file.print, file.position, self.limits);
                !matches!(opened, Err(OpenError::Different | OpenError::Short))
            }
        }
    }

    fn begins_alike(&self, original: &Followed, entry: &Entry) -> Option<bool> {
        let opened;
        let content = match &original.content {
            Some(content) => content,
            None => {
                opened = Content::open(&original.real, false, &Print::default(), 0, self.limits).ok()?;
                (opened.ident == original.ident).then_some(&opened)?
            }
        };
        let Some(head) = content::head(&entry.real, entry.gzip, self.options.fingerprint_bytes).ok()? else {
            // Compressed, with nothing to be seen yet.
            return Some(true);
        };
        if content.range(0, head.len()).ok()? != head {
            return Some(false);
        }
        if entry.gzip || head.len() < self.options.fingerprint_bytes {
            return Some(true);
        }
        let opened = Content::open(&entry.real, false, &Print::default(), 0, self.limits).ok()?;
        let size = opened.stat().ok()?.size;
        let (from, len) = (size.saturating_sub(super::fingerprint::MARK_BYTES as u64), super::fingerprint::MARK_BYTES);
        Some(content.range(from, len).ok()?.starts_with(&opened.range(from, len).ok()?))
    }

    fn try_open(&self, entry: &Entry, print: &Print, position: u64) -> Result<Content, OpenError> {
        Content::open(&entry.real, entry.gzip, print, position, self.limits)
    }

    /// Files that are gone, read to their end and in no copy for long enough are forgotten.
    fn forget_gone(&mut self) {
        let limit = self.options.forget_after;
        for file in self.files.iter_mut().filter(|f| f.content.is_none() && !f.replaced) {
            if let Place::Gone { since } = file.place
                && since.elapsed() >= limit
            {
                file.forget = true;
            }
        }
    }

    /// Says once of each path why it is not read.
    fn complain(&mut self, refused: Vec<(PathBuf, Skipped)>) {
        for (path, why) in refused {
            if matches!(why, Skipped::Vanished)
                || self.complained.len() >= self.options.max_files
                || self.complained.contains(&path)
            {
                continue;
            }
            match &why {
                Skipped::Io(error) => {
                    self.counts.errors.add(1);
                    tracing::warn!(path = %path.display(), %error, "cannot look at file");
                }
                Skipped::Kind(kind) => tracing::warn!(path = %path.display(), kind, "path skipped"),
                Skipped::Vanished => {}
            }
            self.complained.insert(path);
        }
    }
}

impl Followed {
    /// It was found.
    fn see(&mut self, entry: &Entry) {
        self.seen = true;
        self.scanned_mtime = entry.stat.mtime;
        self.real.clone_from(&entry.real);
        self.place = if entry.path == self.path { Place::Home } else { Place::Away };
        if self.tried != entry.stat && !self.whole {
            self.tried = entry.stat;
            self.ready = true;
        }
    }
}

/// Whether the names allow that `entry` is a copy of a file that is still there.
fn may_be_copy(entry: &Entry, file: &Followed) -> bool {
    let Some(name) = entry.real.file_name() else { return false };
    let derived = |path: &Path| path.file_name().is_some_and(|base| names::is_derived(name, base));
    let neighbours = |path: &Path| path.parent() == entry.real.parent();
    (derived(&file.real) || derived(&file.path))
        && (neighbours(&file.real) || neighbours(&file.path))
        && file.is_alive()
        && !file.gzip
}

/// Whether two paths are generations of one log, going by their names.
pub(super) fn family(path: &Path) -> (Option<&Path>, &[u8]) {
    (path.parent(), path.file_name().map_or(&[][..], names::base))
}
