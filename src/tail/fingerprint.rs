//! What a file is: its inode ([`Ident`]), and what was read of it so far ([`Print`]).

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

/// Bytes before the position that are part of the fingerprint.
pub const MARK_BYTES: usize = 256;

/// An inode of a filesystem. The time of birth, where the filesystem keeps one, tells a recycled inode number from its predecessor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ident {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Nanoseconds since 1970.
    pub born: Option<u64>,
}

impl Ident {
    /// The inode that the metadata is of.
    pub fn of(meta: &Metadata) -> Ident {
        let born = meta.created().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        Ident { dev: meta.dev(), ino: meta.ino(), born: born.and_then(|d| u64::try_from(d.as_nanos()).ok()) }
    }
}

/// What changes when a file is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    /// Last modification, nanoseconds since 1970.
    pub mtime: i64,
    /// Last change of the inode, nanoseconds since 1970.
    pub ctime: i64,
}

/// Clocks of filesystems tick every 1 to 10 ms: a file that is changed twice within a tick looks as if it was changed once.
const TICK: Duration = Duration::from_millis(100);

/// The clock that files are stamped with, nanoseconds since 1970.
pub fn now_nanos() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
}

impl Stat {
    /// This state, if a further change would make another one of it; otherwise that of no file. A change in what is the future, as after
    /// the clock was set back, is as far from being repeated as one of the past.
    pub fn if_settled(self) -> Stat {
        let now = now_nanos();
        let is_near = |changed: i64| Duration::from_nanos(now.abs_diff(changed)) <= TICK;
        if is_near(self.mtime) || is_near(self.ctime) { Stat::default() } else { self }
    }

    /// When it was last modified at the latest: some programs keep whole seconds only of what they pack or copy.
    pub fn latest_mtime(self) -> i64 {
        const SECOND: i64 = 1_000_000_000;
        if self.mtime % SECOND == 0 { self.mtime.saturating_add(SECOND - 1) } else { self.mtime }
    }

    /// The state that the metadata shows.
    pub fn of(meta: &Metadata) -> Stat {
        let nanos = |secs: i64, nanos: i64| secs.saturating_mul(1_000_000_000).saturating_add(nanos);
        Stat { size: meta.len(), mtime: nanos(meta.mtime(), meta.mtime_nsec()), ctime: nanos(meta.ctime(), meta.ctime_nsec()) }
    }
}

/// Recognises content: hashes of the first bytes and of the bytes just before the position. Covers only what was handed out, which
/// an append cannot change; it grows with the position. The second hash keeps apart what only begins alike.
///
/// 128 bits of SHA-256: what is hashed was written by others, who must not be able to make two files look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Print {
    /// Bytes that `head` covers, from the start of the (decompressed) content.
    pub head_len: u32,
    /// Hash of the head.
    pub head: u128,
    /// Bytes before the position that `mark` covers.
    pub mark_len: u32,
    /// Hash of the mark.
    pub mark: u128,
}

impl Print {
    /// The print of a head and a mark.
    pub fn of(head: &[u8], mark: &[u8]) -> Print {
        Print { head_len: head.len() as u32, head: hash(head), mark_len: mark.len() as u32, mark: hash(mark) }
    }

    /// Whether this is the print of that head and mark.
    pub fn is(&self, head: &[u8], mark: &[u8]) -> bool {
        *self == Print::of(head, mark)
    }
}

/// Hashes of the content up to the end of each of its first lines, as far as they were handed out. They tell of a file that is
/// shorter than what was handed out whether it is the beginning of that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prefixes(pub Vec<(u32, u128)>);

impl Prefixes {
    /// Lines that are covered at most: all that lie in [`Prefixes::MAX_BYTES`], unless they have fewer than 8 bytes each. It bounds the row
    /// in which they are kept: to 6 KB, and to 1 KB where lines are as long as in most logs.
    pub const MAX: usize = 128;

    /// Bytes that are covered at most: behind them, the fingerprint tells enough.
    pub const MAX_BYTES: usize = 1_024;

    /// Adds those of the lines that end in `head`, the first bytes of the content.
    pub fn extend(&mut self, head: &[u8]) {
        let head = &head[..head.len().min(Prefixes::MAX_BYTES)];
        let known = self.0.last().map_or(0, |(len, _)| *len as usize);
        let ends = memchr::memchr_iter(b'\n', head).map(|newline| newline + 1).filter(|end| *end > known);
        let room = Prefixes::MAX.saturating_sub(self.0.len());
        self.0.extend(ends.take(room).map(|end| (end as u32, hash(&head[..end]))));
    }

    /// Whether this is the beginning of the content.
    pub fn are(&self, content: &[u8]) -> bool {
        self.0.iter().any(|(len, print)| *len as usize == content.len() && *print == hash(content))
    }
}

/// The first 128 bits of SHA-256 (FIPS 180-4).
pub fn hash(bytes: &[u8]) -> u128 {
    if bytes.is_empty() {
        return 0;
    }
    let digest = Sha256::digest(bytes);
    digest.iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_settled_unless_it_changed_just_now() {
        let hour = 3_600_000_000_000;
        let stat = |mtime, ctime| Stat { size: 1, mtime: now_nanos() + mtime, ctime: now_nanos() + ctime };
        for (mtime, ctime, settled) in [
            (0, -hour, false),
            (-hour, 0, false),
            (hour, 0, false),
            (-hour, -hour, true),
            (hour, hour, true),
            (hour, -hour, true),
        ] {
            assert_eq!(stat(mtime, ctime).if_settled() != Stat::default(), settled, "{mtime} {ctime}");
        }
    }
}
