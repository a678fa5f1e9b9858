//! Reading a segment file record by record, over torn and damaged places. Used by the reader, by the start and by `inspect`.

use std::io;

use memchr::memmem;

use super::disk::{Access, Disk, DiskFile};
use super::format::{self, RECORD_HEADER, RECORD_MAGIC, RecordHeader, SEGMENT_HEADER, SegmentHeader};

/// How much is read from the file at a time, in bytes; more only for a record that is longer.
const WINDOW: usize = 256 << 10;

/// What a scan came upon.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'s> {
    /// A whole record.
    Record {
        /// What the body is.
        kind: u32,
        /// Its body.
        body: &'s [u8],
    },
    /// That many bytes hold nothing that can be read; a record, or the end, follows.
    Damaged(u64),
    /// Up to the end there is no further record. That many bytes are left: 0, the beginning of a record, or rubbish.
    End(u64),
}

/// Walks through a segment file. Offsets are logical: the segment's base plus the place in the file.
#[derive(Debug)]
pub struct Scanner {
    file: Box<dyn DiskFile>,
    base: u64,
    salt: u64,
    /// Logical offset of what comes next.
    position: u64,
    window: Vec<u8>,
    window_at: u64,
}

/// Opens the segment that begins at `base`, to be read from `position` on. `None` when neither copy of its header can be read: then
/// nothing of it can.
///
/// # Errors
/// The file cannot be opened or read.
pub fn open(disk: &dyn Disk, base: u64, position: u64) -> io::Result<Option<Scanner>> {
    let file = disk.open(&format::segment_name(base), Access::Read)?;
    let mut header = Vec::new();
    file.read_up_to(&mut header, 0, SEGMENT_HEADER as usize)?;
    let header = SegmentHeader::decode(&header).filter(|h| h.base == base);
    let position = position.max(base.saturating_add(SEGMENT_HEADER));
    Ok(header.map(|h| Scanner { file, base, salt: h.salt, position, window: Vec::new(), window_at: 0 }))
}

impl Scanner {
    /// Logical offset of what comes next.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes back (or forth) to a place where a record is known to begin.
    pub fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// Where the segment begins.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Goes on to what comes next before the logical offset `end`.
    ///
    /// # Errors
    /// The file cannot be read. The position has not moved.
    pub fn next(&mut self, end: u64) -> io::Result<Found<'_>> {
        let at = self.position;
        let left = end.saturating_sub(at);
        let salt = self.salt;
        let head = self.bytes(at, RECORD_HEADER, end)?;
        let Some(header) = RecordHeader::decode(head, salt, at) else {
            return match self.find_record(at.saturating_add(1), end)? {
                Some(next) => {
                    self.position = next;
                    Ok(Found::Damaged(next - at))
                }
                None => Ok(Found::End(left)),
            };
        };
        let size = RECORD_HEADER + header.length as usize;
        if size as u64 > left {
            return Ok(Found::End(left));
        }
        let record = self.bytes(at, size, end)?;
        if record.len() < size {
            return Ok(Found::End(left));
        }
        let whole = crc32fast::hash(&record[RECORD_HEADER..]) == header.body_crc;
        self.position = at + size as u64;
        if !whole {
            return Ok(Found::Damaged(size as u64));
        }
        let from = (at - self.window_at) as usize + RECORD_HEADER;
        Ok(Found::Record { kind: header.kind, body: &self.window[from..from + header.length as usize] })
    }

    /// The first place from `from` on where a record's header stands.
    fn find_record(&mut self, mut from: u64, end: u64) -> io::Result<Option<u64>> {
        let salt = self.salt;
        while from + (RECORD_HEADER as u64) <= end {
            let bytes = self.bytes(from, WINDOW, end)?;
            if bytes.len() < RECORD_HEADER {
                return Ok(None);
            }
            let hit = memmem::find_iter(bytes, &RECORD_MAGIC)
                .find(|&i| RecordHeader::decode(&bytes[i..], salt, from + i as u64).is_some());
            if let Some(i) = hit {
                return Ok(Some(from + i as u64));
            }
            // A header may begin in this window and end in the next one.
            from += (bytes.len() - RECORD_HEADER + 1) as u64;
        }
        Ok(None)
    }

    /// The `length` bytes at `at`, fewer where `end` or the end of the file comes first.
    fn bytes(&mut self, at: u64, length: usize, end: u64) -> io::Result<&[u8]> {
        let length = length.min(usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX));
        let held = at >= self.window_at && at + length as u64 <= self.window_at + self.window.len() as u64;
        if !held {
            let wanted = length.max(WINDOW).min(usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX));
            self.window.clear();
            if self.window.capacity() > 4 * WINDOW && wanted <= WINDOW {
                // One long record must not keep its memory for ever.
                self.window = Vec::with_capacity(WINDOW);
            }
            self.window_at = at;
            self.file.read_up_to(&mut self.window, at - self.base, wanted)?;
        }
        let from = (at - self.window_at) as usize;
        Ok(&self.window[from..(from + length).min(self.window.len())])
    }
}

/// Where the last record of a segment ends, as a logical offset; `None` if the segment's header cannot be read.
///
/// # Errors
/// The file cannot be read.
pub fn end_of_records(disk: &dyn Disk, base: u64, length: u64) -> io::Result<Option<u64>> {
    let Some(mut scanner) = open(disk, base, base)? else { return Ok(None) };
    while !matches!(scanner.next(base + length)?, Found::End(_)) {}
    Ok(Some(scanner.position()))
}
