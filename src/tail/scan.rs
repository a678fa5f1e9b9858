//! One look around: which file on disk is which followed file. The only place where files are found, recognised under other names,
//! or given up; what an unknown file is, [`super::copies`] decides.
//!
//! The same steps serve the start, where all that is known are saved positions, and every later look:
//!
//! 1. Files with a known inode are where they are. Whether they still hold what was read of them is checked before they are read.
//! 2. What the patterns no longer lead to is looked for by inode among its neighbours: it was renamed.
//! 3. Lost content (the inode is gone, or holds something else) is looked for by fingerprint among the names that rotation makes.
//! 4. Rotated neighbours of a path that were not there before the path was first found are generations that came and went unseen.
//! 5. What is left is new, unless it is a copy of a file that is still there (`copytruncate` or `gzip` at work).
//!
//! The disk changes during a look. So nothing depends on having seen something in a certain look: a file that is not followed is met
//! again at the next one, whatever was found out about it in this one, until it is followed or gone.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::content::{self, Content, OpenError};
use super::elders::Elders;
use super::file::{Followed, Place};
use super::fingerprint::{Ident, Print, Stat};
use super::follow::Follower;
use super::listing::{self, Entry, Listing, Skipped};
use super::names::Found;

impl Follower {
    /// Looks around. New files are numbered from the oldest on.
    pub(super) fn scan(&mut self) {
        self.files.retain(|f| !f.done);
        let Found { mut paths, mut directories, refused } = listing::expand(&self.patterns);
        self.tell_refused(refused);
        self.note_first_sight(&mut paths);
        let mut skipped = Vec::new();
        let entries = listing::entries(paths, &mut |path, why| skipped.push((path, why)));
        self.complain(skipped);
        directories.extend(entries.iter().filter_map(|e| e.real.parent().map(Path::to_owned)));
        self.watch.follow(&directories);
        let mut listing = Listing::default();
        self.reset_untouched();
        let mut unknown = self.recognise(entries);
        self.look_for_renamed(&mut listing);
        self.look_for_copies(&mut listing);
        self.find_unseen_generations(&mut unknown, &mut listing);
        self.tell_refused(listing.refused);
        unknown.sort_by(|a, b| (a.stat.mtime, &a.path, &a.real).cmp(&(b.stat.mtime, &b.path, &b.real)));
        self.take_up(unknown);
        self.forget_gone();
        self.hold_waiting();
        self.index();
    }

    /// Of paths that are found for the first time, how old their rotated neighbours are. They are listed before the file at the path
    /// is looked at, so what is among them was rotated before anything was known of it. A path waits whose neighbours cannot be listed.
    fn note_first_sight(&mut self, paths: &mut BTreeSet<PathBuf>) {
        let followed: HashSet<&PathBuf> = self.files.iter().map(|f| &f.path).collect();
        self.elders.retain(|path, _| paths.contains(path) || followed.contains(path));
        let mut listing = Listing::default();
        paths.retain(|path| {
            let Some(name) = path.file_name().filter(|_| !self.elders.contains_key(path)) else { return true };
            if listing.is_refused(path) {
                return false;
            }
            let elders = Elders::of(listing.around(path).rotations(name).map(|e| e.stat.mtime));
            self.elders.insert(path.clone(), Arc::new(elders));
            true
        });
        self.tell_refused(listing.refused);
    }

    /// A file of which nothing is known but that it is there has nothing to lose: it is simply read anew.
    fn reset_untouched(&mut self) {
        for file in self.files.iter_mut().filter(|f| f.replaced && f.position == 0 && f.print == Print::default()) {
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
                    let opened: Vec<_> = several.iter().map(|i| self.try_open(&entry, &self.files[*i])).collect();
                    if opened.iter().any(|o| matches!(o, Err(OpenError::Moved | OpenError::Io(_) | OpenError::Shortage(_)))) {
                        self.look_again |= opened.iter().any(|o| matches!(o, Err(OpenError::Moved)));
                        several.iter().for_each(|i| self.files[*i].seen = true);
                        continue;
                    }
                    let right = opened.iter().position(Result::is_ok).map(|n| several[n]);
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

    fn try_open(&self, entry: &Entry, file: &Followed) -> Result<Content, OpenError> {
        Content::open(&entry.real, &entry.ident, entry.gzip, &file.print, file.position, self.limits)
    }

    /// Step 2. That a file is nowhere is believed of directories that stand still.
    fn look_for_renamed(&mut self, listing: &mut Listing) {
        for file in self.files.iter_mut().filter(|f| !f.seen && !f.replaced && !f.forget) {
            let (mut surely, mut refused) = (true, false);
            let found = [&file.real, &file.path].into_iter().find_map(|path| {
                let fast = listing.around(path).with_ident(&file.ident).cloned();
                fast.or_else(|| {
                    let steady = listing.steady_around(path);
                    surely &= steady.is_some();
                    refused |= steady.is_none() && listing.is_refused(path);
                    steady?.with_ident(&file.ident).cloned()
                })
            });
            match found {
                Some(entry) => {
                    file.see(&entry);
                    continue;
                }
                // What is refused is asked for again at the next poll.
                None if !surely => self.look_again |= !refused,
                None if !matches!(file.place, Place::Gone { .. }) => file.place = Place::Gone { since: Instant::now() },
                None => {}
            }
            // Whoever has it open may still write to it, and nothing tells of that.
            file.ready = file.content.is_some();
            // Where it comes back, it is read, though it may look as it did when that was last tried.
            file.tried = Stat::default();
        }
    }

    /// Step 4. They are met again at each look, until they are followed.
    fn find_unseen_generations(&self, unknown: &mut Vec<Entry>, listing: &mut Listing) {
        let mut met = self.known();
        met.extend(unknown.iter().map(|e| e.ident));
        for (path, elders) in &self.elders {
            let Some(name) = path.file_name() else { continue };
            for sibling in listing.around(path).rotations(name) {
                if !elders.include(sibling.stat.mtime) && met.insert(sibling.ident) {
                    unknown.push(Entry { path: path.clone(), ..sibling.clone() });
                }
            }
        }
    }

    /// Opens files that wait to be read, as many as may be open: those that have nothing to read make room. All the others are looked into
    /// for a moment, where nothing is known of them: what they begin with tells whether they are overwritten before their turn.
    fn hold_waiting(&mut self) {
        let waits = |f: &Followed| {
            f.ready
                && f.content.is_none()
                && !f.gzip
                && !f.replaced
                && !f.forget
                && !f.done
                && !matches!(f.place, Place::Gone { .. })
        };
        let mut waiting: Vec<usize> = (0..self.files.len()).filter(|i| waits(&self.files[*i])).collect();
        waiting.retain(|i| self.files[*i].unread_bytes() > 0);
        if waiting.is_empty() {
            return;
        }
        let mut room = self.make_room(waiting.len());
        for i in waiting {
            let file = &mut self.files[i];
            if room == 0 && (file.position > 0 || file.print != Print::default()) {
                continue;
            }
            self.look_again |= file.hold(self.limits).moved;
            match room {
                0 => file.content = None,
                _ => room -= usize::from(file.content.is_some()),
            }
        }
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

    /// Says what could not be looked at. What is known of files there stays as it is.
    fn tell_refused(&mut self, refused: Vec<(PathBuf, io::Error)>) {
        self.was_short |= refused.iter().any(|(_, error)| content::is_shortage(error));
        self.complain(refused.into_iter().map(|(path, error)| (path, Skipped::Io(error))).collect());
    }

    /// Says once of each path why it is not read.
    pub(super) fn complain(&mut self, refused: Vec<(PathBuf, Skipped)>) {
        for (path, why) in refused {
            if matches!(why, Skipped::Vanished | Skipped::Dangling)
                || self.complained.len() >= self.options.max_files
                || self.complained.contains(&path)
            {
                continue;
            }
            match &why {
                Skipped::Io(error) | Skipped::Target(error) => {
                    self.counts.errors.add(1);
                    tracing::warn!(path = %path.display(), %error, "cannot be looked at, trying again at each poll");
                }
                Skipped::Kind(kind) => tracing::warn!(path = %path.display(), kind, "path skipped"),
                Skipped::Vanished | Skipped::Dangling => {}
            }
            self.complained.insert(path);
        }
    }
}

impl Followed {
    /// It was found.
    fn see(&mut self, entry: &Entry) {
        self.seen = true;
        self.real.clone_from(&entry.real);
        self.observed_bytes = entry.stat.size;
        self.place = if entry.path == self.path { Place::Home } else { Place::Away };
        if self.tried == entry.stat {
            return;
        }
        self.ready = true;
        self.tried = entry.stat.if_settled();
    }
}
