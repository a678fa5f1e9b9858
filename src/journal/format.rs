//! Headers of segments and records, their checksums, and names of segment files. The layout is drawn on the room's page.

use super::disk::Disk;

/// Bytes of a segment's header: two equal copies of 32.
pub const SEGMENT_HEADER: u64 = 64;
/// Bytes of a record's header.
pub const RECORD_HEADER: usize = 20;
/// The longest body that a reader accepts, in bytes.
pub const MAX_BODY: usize = 64 << 20;
/// The last offset at which a segment may begin: positions must fit into PostgreSQL's `bigint`, with room for a segment behind them.
pub const MAX_OFFSET: u64 = i64::MAX as u64 - (1 << 40);
/// The first bytes of a record. 0xF5 and 0xFA never occur in UTF-8, so that text seldom looks like a record.
pub const RECORD_MAGIC: [u8; 4] = [0xF5, b'T', b'R', 0xFA];
/// The kind of a record that holds a group of frames.
pub const KIND_GROUP: u32 = 1;
/// The kind of a record that tells what a door had to drop.
pub const KIND_LOSS: u32 = 2;

const SEGMENT_MAGIC: [u8; 8] = *b"tocsinJ\n";
const VERSION: u32 = 1;
const HALF: usize = SEGMENT_HEADER as usize / 2;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Logical offset of the segment's first byte.
    pub base: u64,
    /// A random number that enters every checksum of the segment. Whoever writes log lines does not know it, so that bytes inside of a
    /// frame cannot be made to pass for a record when the reader looks for the next one behind a damaged place.
    pub salt: u64,
}

impl SegmentHeader {
    /// The header's bytes.
    pub fn encode(self) -> [u8; SEGMENT_HEADER as usize] {
        let mut out = [0; SEGMENT_HEADER as usize];
        let (first, second) = out.split_at_mut(HALF);
        first[..8].copy_from_slice(&SEGMENT_MAGIC);
        first[8..12].copy_from_slice(&VERSION.to_le_bytes());
        first[12..20].copy_from_slice(&self.base.to_le_bytes());
        first[20..28].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32fast::hash(&first[..28]);
        first[28..32].copy_from_slice(&crc.to_le_bytes());
        second.copy_from_slice(first);
        out
    }

    /// Reads the header from whichever of its copies is whole.
    pub fn decode(bytes: &[u8]) -> Option<SegmentHeader> {
        bytes.chunks_exact(HALF).take(2).find_map(|half| {
            let (content, crc) = half.split_at(28);
            let whole = content.starts_with(&SEGMENT_MAGIC) && u32_at(content, 8) == VERSION;
            (whole && crc32fast::hash(content) == u32_at(crc, 0))
                .then(|| SegmentHeader { base: u64_at(content, 12), salt: u64_at(content, 20) })
        })
    }
}

/// What stands before a record's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    /// What the body is.
    pub kind: u32,
    /// Bytes of the body, at most [`MAX_BODY`].
    pub length: u32,
    /// CRC-32 of the body.
    pub body_crc: u32,
}

impl RecordHeader {
    /// The header of a body of that kind.
    pub fn of(kind: u32, body: &[u8]) -> RecordHeader {
        RecordHeader { kind, length: body.len() as u32, body_crc: crc32fast::hash(body) }
    }

    /// The header's bytes, for a record at the logical offset `at` of a segment with that salt.
    pub fn encode(self, salt: u64, at: u64) -> [u8; RECORD_HEADER] {
        let mut out = [0; RECORD_HEADER];
        out[..4].copy_from_slice(&RECORD_MAGIC);
        out[4..8].copy_from_slice(&self.kind.to_le_bytes());
        out[8..12].copy_from_slice(&self.length.to_le_bytes());
        out[12..16].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = header_crc(&out[..16], salt, at);
        out[16..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header of a record at the logical offset `at`; `None` if these bytes are none.
    pub fn decode(bytes: &[u8], salt: u64, at: u64) -> Option<RecordHeader> {
        let bytes = bytes.first_chunk::<RECORD_HEADER>()?;
        let whole = bytes.starts_with(&RECORD_MAGIC) && header_crc(&bytes[..16], salt, at) == u32_at(bytes, 16);
        let header = RecordHeader { kind: u32_at(bytes, 4), length: u32_at(bytes, 8), body_crc: u32_at(bytes, 12) };
        (whole && header.length as usize <= MAX_BODY).then_some(header)
    }
}

fn header_crc(content: &[u8], salt: u64, at: u64) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt.to_le_bytes());
    crc.update(&at.to_le_bytes());
    crc.update(content);
    crc.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// The name of the file of the segment that begins at `base`.
pub fn segment_name(base: u64) -> String {
    format!("{base:020}.journal")
}

/// Where the segment of that file begins, if it is a segment's name.
pub fn segment_base(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".journal")?;
    let base = (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?;
    base.filter(|base| *base <= MAX_OFFSET)
}

/// The segments in a directory: where each begins, and the length of its file in bytes; in order.
///
/// # Errors
/// The directory cannot be read.
pub fn segments(disk: &dyn Disk) -> std::io::Result<Vec<(u64, u64)>> {
    let mut found: Vec<_> = disk.list()?.into_iter().filter_map(|(name, length)| Some((segment_base(&name)?, length))).collect();
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back_and_one_copy_is_enough() {
        let header = SegmentHeader { base: 0x0123_4567_89AB_CDEF, salt: u64::MAX - 3 };
        let bytes = header.encode();
        for i in 0..bytes.len() {
            let mut broken = bytes;
            broken[i] ^= 1;
            assert_eq!(SegmentHeader::decode(&broken), Some(header));
        }
        assert_eq!(SegmentHeader::decode(&bytes[..40]), Some(header));
        assert_eq!(SegmentHeader::decode(&bytes[..31]), None);
    }

    #[test]
    fn a_record_belongs_to_its_place() {
        let header = RecordHeader::of(KIND_GROUP, b"body");
        let bytes = header.encode(5, 100);
        assert_eq!(RecordHeader::decode(&bytes, 5, 100), Some(header));
        assert_eq!(RecordHeader::decode(&bytes, 5, 101), None);
        assert_eq!(RecordHeader::decode(&bytes, 6, 100), None);
        for bit in 0..RECORD_HEADER * 8 {
            let mut broken = bytes;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RecordHeader::decode(&broken, 5, 100), None);
        }
    }

    #[test]
    fn names_of_segments_sort_like_their_offsets() {
        assert_eq!(segment_name(42), "00000000000000000042.journal");
        assert_eq!(segment_base(&segment_name(42)), Some(42));
        assert_eq!(segment_base(&segment_name(u64::MAX)), None);
        assert_eq!(segment_base("lock"), None);
        assert_eq!(segment_base("42.journal"), None);
    }
}
