//! Any split of a stream gives the same frames and counts the same bytes as cut, in bounded memory.
//! The first byte picks the limit, the second the splitter, the third the sizes of the chunks; the rest is the stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tocsin::frame::line::{self, Delimiter, Piece};
use tocsin::frame::octet;

enum Splitter {
    Line(line::Splitter),
    Octet(octet::Splitter),
}

impl Splitter {
    fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Piece<'s>> {
        match self {
            Splitter::Line(splitter) => splitter.next(input),
            Splitter::Octet(splitter) => splitter.next(input),
        }
    }

    fn finish(&mut self) -> Option<Piece<'_>> {
        match self {
            Splitter::Line(splitter) => splitter.finish(),
            Splitter::Octet(splitter) => splitter.finish(),
        }
    }
}

type Frames = Vec<(Vec<u8>, u32)>;

fn frames<'i>(mut splitter: Splitter, max: usize, chunks: impl Iterator<Item = &'i [u8]>) -> Frames {
    let mut out = Frames::new();
    let mut keep = |piece: Piece<'_>| {
        assert!(piece.bytes.len() <= max);
        assert!(piece.cut == 0 || piece.bytes.len() == max);
        out.push((piece.bytes.to_vec(), piece.cut));
    };
    for chunk in chunks {
        let mut input = chunk;
        while let Some(piece) = splitter.next(&mut input) {
            keep(piece);
        }
        assert!(input.is_empty());
        if let Splitter::Octet(splitter) = &splitter {
            // A length of ten digits and its space, or a frame.
            assert!(splitter.held_bytes() <= max.max(12));
        }
    }
    if let Some(piece) = splitter.finish() {
        keep(piece);
    }
    assert!(splitter.finish().is_none());
    out
}

/// Chunks whose lengths vary from 0 to 2 × `seed`.
fn uneven(mut rest: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(seed) + 1;
    std::iter::from_fn(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (chunk, tail) = rest.split_at((state as usize >> 16).wrapping_rem(usize::from(seed) * 2 + 2).min(rest.len()));
        let done = rest.is_empty();
        rest = tail;
        (!done).then_some(chunk)
    })
}

fuzz_target!(|data: &[u8]| {
    let [max, kind, seed, stream @ ..] = data else { return };
    let max = usize::from(*max) + 1;
    let splitter = || match kind % 3 {
        0 => Splitter::Line(line::Splitter::new(Delimiter::Lf, max)),
        1 => Splitter::Line(line::Splitter::new(Delimiter::Nul, max)),
        _ => Splitter::Octet(octet::Splitter::new(max)),
    };
    let whole = frames(splitter(), max, std::iter::once(stream));
    assert_eq!(frames(splitter(), max, stream.chunks(1)), whole);
    assert_eq!(frames(splitter(), max, uneven(stream, *seed)), whole);
    // What is neither delimiter nor length is in a frame, or counted as cut.
    let total: u64 = whole.iter().map(|(bytes, cut)| bytes.len() as u64 + u64::from(*cut)).sum();
    assert!(total <= stream.len() as u64);
    if kind % 3 == 1 {
        let delimiters = stream.iter().filter(|b| **b == 0).count();
        assert_eq!(total, (stream.len() - delimiters) as u64);
    }
});
