//! Which files may have to do with each other, going by their names: generations and copies of one log.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::file::Followed;
use super::fingerprint::now_nanos;
use super::listing::Entry;
use super::names;

/// Followed files by directory and name, so that the relatives of one file are found without looking at all.
#[derive(Debug, Default)]
pub struct Kin {
    by_name: HashMap<Vec<u8>, Vec<usize>>,
}

impl Kin {
    /// Notes where a file is, and where it was found first.
    pub fn note(&mut self, i: usize, file: &Followed) {
        for path in [&file.path, &file.real] {
            let Some(name) = path.file_name() else { continue };
            for name in [name.as_bytes(), names::base(name)] {
                let of_name = self.by_name.entry(key(path.parent(), name)).or_default();
                if of_name.last() != Some(&i) {
                    of_name.push(i);
                }
            }
        }
    }

    /// The files to which `entry` may be related.
    pub fn of(&self, entry: &Entry) -> Vec<usize> {
        let Some(name) = entry.real.file_name() else { return Vec::new() };
        let directory = entry.real.parent();
        let mut found: Vec<usize> = Vec::new();
        let prefixes = (1..=name.len()).map(|end| name.as_bytes()[..end].to_vec());
        for name in prefixes.chain(names::rotated_from(name)).chain([names::base(name).to_vec()]) {
            found.extend(self.by_name.get(&key(directory, &name)).into_iter().flatten());
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn key(directory: Option<&Path>, name: &[u8]) -> Vec<u8> {
    let mut key = directory.map_or(Vec::new(), |d| d.as_os_str().as_bytes().to_vec());
    key.push(b'/');
    key.extend_from_slice(name);
    key
}

/// Whether the names allow that `entry` is a copy of `original`, made while that is still there.
pub fn may_be_copy(entry: &Entry, original: &Followed) -> bool {
    let Some(name) = entry.real.file_name() else { return false };
    // Compression may give it the next number on the way; unpacking takes `.gz` away, and what is then no rotated name is a log of its own.
    let is_unpacked = |base: &OsStr| names::plain(base.as_bytes()) == name.as_bytes() && !names::rotated_from(name).is_empty();
    let of = |base: &OsStr| {
        names::is_derived(name, base)
            || (entry.gzip && names::base(name) == names::base(base))
            || (original.gzip && is_unpacked(base))
    };
    // What was last modified before the original was born is older than it; unless that is itself a copy that kept its time, or the
    // clock was set back since then.
    let is_before = |born: u64| (born as i64) <= now_nanos() && entry.stat.latest_mtime() < original.stat.mtime.min(born as i64);
    let is_older = original.ident.born.is_some_and(is_before);
    !is_older
        && [&original.path, &original.real]
            .into_iter()
            .any(|p| p.parent() == entry.real.parent() && p.file_name().is_some_and(of))
}

/// Whether the names allow that `entry` has the content that `lost` had. `fingerprint_bytes` is the length of a full fingerprint.
pub fn may_hold(lost: &Followed, entry: &Entry, fingerprint_bytes: usize) -> bool {
    let (Some(name), Some(path), Some(real)) = (entry.real.file_name(), lost.path.file_name(), lost.real.file_name()) else {
        return false;
    };
    let related = names::is_derived(name, path) || names::is_derived(name, real) || names::base(name) == names::base(real);
    // Plain copies under a new inode are made by copytruncate, under a rotated name. Anywhere else it takes a full fingerprint
    // to believe that a new file is the old one, since many logs begin alike.
    let full = lost.print.head_len as usize >= fingerprint_bytes;
    let copied = entry.gzip || lost.replaced || full || names::is_rotation(name, path);
    related && copied && lost.print.head_len > 0
}

/// Whether the name says that nobody writes lines to it any more.
pub fn is_rotated(entry: &Entry, original: &Followed) -> bool {
    let (Some(name), Some(path)) = (entry.real.file_name(), original.path.file_name()) else { return false };
    entry.gzip || names::is_rotation(name, path) || names::base(name) != name.as_bytes()
}

/// The log of which a path is a generation, going by its name.
pub fn family(path: &Path) -> (Option<&Path>, &[u8]) {
    (path.parent(), path.file_name().map_or(&[][..], names::base))
}
