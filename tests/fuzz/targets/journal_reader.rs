//! Any bytes between the records of a journal: it opens, is read to its end, and every whole group comes out, once and in order.
//! The input is a sequence of pieces: a byte that says what it is, its length, its bytes.
#![no_main]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tocsin::journal::format::{KIND_GROUP, RecordHeader, SegmentHeader, segment_name};
use tocsin::journal::{Journal, Options, Reader, Sources};
use tocsin::record::Zone;
use tocsin::stats::Stats;

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));

/// The source of the groups that are whole; other groups cannot name it, since a piece is shorter.
static SOURCE: LazyLock<String> = LazyLock::new(|| "s".repeat(255));

fuzz_target!(|data: &[u8]| {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // Nobody who writes log lines knows the salt, so the fuzzer must not be able to keep it either.
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    let salt = hasher.finish();
    let mut segments = vec![(0, SegmentHeader { base: 0, salt }.encode().to_vec())];
    let (mut rest, mut whole) = (data, Vec::new());
    while let [what, length, tail @ ..] = rest {
        let (piece, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        let (base, bytes) = segments.last_mut().expect("never empty");
        let at = *base + bytes.len() as u64;
        match what % 8 {
            0 => bytes.extend_from_slice(piece),
            1 => record(bytes, piece, salt, at),
            2 => {
                record(bytes, &group(piece), salt, at);
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
            }
            3 => {
                let base = at + u64::from(*what);
                segments.push((base, SegmentHeader { base, salt }.encode().to_vec()));
            }
            _ => {
                record(bytes, &group(piece), salt, at);
                whole.push(piece.to_vec());
            }
        }
    }
    for (base, bytes) in &segments {
        std::fs::write(dir.path().join(segment_name(*base)), bytes).expect("written");
    }
    RUNTIME.block_on(async {
        let journal = Journal::open(dir.path(), Options::default(), 0, &Stats::default()).expect("opened");
        journal.close().await;
        let mut reader = Reader::new(&journal, 0, Sources { known: Default::default(), default_zone: Zone::UTC });
        let mut read = Vec::new();
        while let Some(batch) = reader.next().await.expect("read") {
            let ours = batch.frames.iter().filter(|f| batch.origins[f.origin as usize].source.name == *SOURCE);
            read.extend(ours.map(|f| batch.bytes_of(f).to_vec()));
        }
        assert_eq!(read, whole);
    });
});

fn record(out: &mut Vec<u8>, body: &[u8], salt: u64, at: u64) {
    out.extend_from_slice(&RecordHeader::of(KIND_GROUP, body).encode(salt, at));
    out.extend_from_slice(body);
}

/// A group of one frame, as the journal's page draws it.
fn group(frame: &[u8]) -> Vec<u8> {
    let mut out = 0i64.to_le_bytes().to_vec();
    out.extend_from_slice(&[SOURCE.len() as u8]);
    out.extend_from_slice(SOURCE.as_bytes());
    out.extend_from_slice(&[0, 0, 0]); // no delivery, no peers
    out.extend_from_slice(&1u32.to_le_bytes());
    out.extend_from_slice(&(frame.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 6]); // nothing cut, peer unknown
    out.extend_from_slice(frame);
    out
}
