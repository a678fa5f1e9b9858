//! Any bytes as a `.gz` file, and any saved position: read in pieces of any size, and given up and resumed at any place, it gives the same
//! lines, each once; where the stream is damaged, the same up to some line. A position that is none is refused.
//! The first bytes pick the sizes; the rest is a sequence of pieces: a byte that says what it is, its length, its bytes.
#![no_main]

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use tocsin::frame::Batch;
use tocsin::record::Timestamp;
use tocsin::tail::content::{Content, Limits, OpenError, Progress};
use tocsin::tail::fingerprint::{Ident, Print};

/// Times that a reading is given up and resumed at most: each begins at the first byte of the file.
const MAX_RESUMED: u32 = 50;

/// What came of reading a file to its end.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    lines: Vec<(Vec<u8>, u32)>,
    position: u64,
    print: Print,
    /// No more can come.
    ended: bool,
    failed: bool,
}

fuzz_target!(|data: &[u8]| {
    let [chunk, resume, line, head, position, pieces @ ..] = data else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("x.log.gz");
    std::fs::write(&path, file(pieces)).expect("written");
    let ident = Ident::of(&path.metadata().expect("it is there"));
    let limits = Limits { line: 1 + usize::from(*line) * 16, head: usize::from(*head) * 8 };

    let whole = read(&path, &ident, limits, 64 * 1024, u32::MAX);
    let split = read(&path, &ident, limits, 1 + usize::from(*chunk) * 7, 1 + u32::from(*resume % 32));
    if whole.failed || split.failed {
        // How much of a damaged stream can be made out depends on how much is asked for at once.
        assert!(whole.failed && split.failed, "{whole:?} {split:?}");
        let same = whole.lines.iter().zip(&split.lines).all(|(a, b)| a == b);
        assert!(same, "{whole:?} {split:?}");
    } else {
        assert_eq!(whole, split);
    }
    // From a position without a print on, there is what there is; with the print of other content, nothing.
    let at = u64::from(*position) * 3;
    let any = Content::open(&path, &ident, true, &Print::default(), at, limits);
    assert!(at > 0 || any.is_ok(), "{any:?}");
    let other = Print::of(b"of none of these", b"files");
    let refused = Content::open(&path, &ident, true, &other, at, limits);
    assert!(matches!(refused, Err(OpenError::Different | OpenError::Unfinished | OpenError::Io(_))), "{refused:?}");
});

/// Reads a file to its end, and after each `resume` pieces gives it up and resumes behind the lines that it had.
fn read(path: &Path, ident: &Ident, limits: Limits, chunk: usize, resume: u32) -> Reading {
    let mut chunk = vec![0; chunk];
    let mut reading = Reading::default();
    let mut resumed = 0;
    loop {
        let mut content = Content::open(path, ident, true, &reading.print, reading.position, limits).expect("it was read so far");
        let mut batch = Batch::default();
        let mut reads = 0;
        let is_over = loop {
            match content.next(&mut chunk, &mut batch, Timestamp::default()) {
                Ok(Progress::End) => break true,
                Ok(Progress::Read { .. }) => {}
                Err(_) => {
                    reading.failed = true;
                    break true;
                }
            }
            reads += 1;
            // Whoever resumes within a line that is longer than what is read between would not come further.
            if reads >= resume && content.position() > reading.position && resumed < MAX_RESUMED {
                break false;
            }
        };
        if is_over && content.ended() {
            content.finish(&mut batch, Timestamp::default());
            reading.ended = true;
        }
        for frame in &batch.frames {
            assert!(batch.bytes_of(frame).len() <= limits.line);
            reading.lines.push((batch.bytes_of(frame).to_vec(), frame.cut));
        }
        (reading.position, reading.print) = (content.position(), content.print());
        if is_over {
            return reading;
        }
        resumed += 1;
    }
}

/// A file of members, and of what is none.
fn file(mut pieces: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let [what, length, tail @ ..] = pieces {
        let (piece, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        pieces = tail;
        let at = bytes.len();
        let mut member = |content: &[u8], level| {
            let mut encoder = GzEncoder::new(&mut bytes, Compression::new(level));
            encoder.write_all(content).and_then(|()| encoder.finish().map(drop)).expect("memory takes everything");
        };
        match what % 8 {
            0 => bytes.extend_from_slice(piece),
            // Cut off.
            1 => {
                member(piece, 6);
                bytes.pop();
            }
            // Damaged, at any place.
            2 => {
                member(piece, 6);
                let place = at + usize::from(*what) % (bytes.len() - at);
                bytes[place] ^= 1 << (what >> 5);
            }
            // Long.
            3 => member(&piece.repeat(400), 1),
            4 => member(piece, 0),
            _ => member(piece, 6),
        }
    }
    bytes
}
