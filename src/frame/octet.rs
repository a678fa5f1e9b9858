//! Syslog over a stream, RFC 6587: octet counting (§3.4.1) and newline framing (§3.4.2), recognised frame by frame.
//!
//! A frame that begins with a length of 1 to 10 digits (the first not 0), one space and `<` is counted; any other ends with LF or CRLF.
//! The `<` of the PRI is part of the test because plain lines begin with numbers too.

use super::line::{self, Delimiter, Piece};

/// The most digits of a length.
const MAX_DIGITS: usize = 10;

/// Splits a stream that arrives in arbitrary chunks. Holds at most one unfinished frame of at most the limit; a longer one is cut, and
/// the rest of it is skipped without being held.
///
/// Any split of the stream into chunks gives the same frames.
#[derive(Debug)]
pub struct Splitter {
    max_bytes: usize,
    state: State,
    lines: line::Splitter,
    /// At the beginning of a frame, the digits and the space so far; in a counted frame, its bytes so far.
    held: Vec<u8>,
    /// The frame in `held` was handed out.
    taken: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a frame, of which it is not known yet how it is delimited.
    Start,
    /// In a frame that ends with a newline.
    Line,
    /// In a counted frame of which that many bytes are to come, and that many have been skipped.
    Counted { left: u64, cut: u32 },
}

enum Beginning {
    Line,
    Counted { header: usize, length: u64 },
    Unknown,
}

impl Splitter {
    /// A splitter that cuts frames at `max_bytes`.
    pub fn new(max_bytes: usize) -> Splitter {
        let lines = line::Splitter::new(Delimiter::Lf, max_bytes);
        Splitter { max_bytes, state: State::Start, lines, held: Vec::new(), taken: false }
    }

    /// The next frame of `input`, which is advanced past it; `None` when what is left is unfinished (it is then held, and `input` is empty).
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Piece<'s>> {
        if self.taken {
            self.held.clear();
            self.taken = false;
        }
        if self.state == State::Start {
            self.begin(input);
        }
        match self.state {
            State::Start => None,
            State::Line => {
                let piece = self.lines.next(input)?;
                self.state = State::Start;
                Some(piece)
            }
            State::Counted { left, cut } => self.counted(left, cut, input),
        }
    }

    /// What is left at the end of the stream: the last frame, unfinished.
    pub fn finish(&mut self) -> Option<Piece<'_>> {
        if self.taken {
            return None;
        }
        match std::mem::replace(&mut self.state, State::Start) {
            State::Line => self.lines.finish(),
            State::Start if self.held.is_empty() => None,
            State::Counted { .. } if self.held.is_empty() => None,
            State::Start => {
                self.taken = true;
                let kept = self.held.len().min(self.max_bytes);
                Some(Piece { bytes: &self.held[..kept], cut: (self.held.len() - kept) as u32 })
            }
            State::Counted { cut, .. } => {
                self.taken = true;
                Some(Piece { bytes: &self.held, cut })
            }
        }
    }

    /// Bytes of the unfinished frame that are held in memory.
    pub fn held_bytes(&self) -> usize {
        let lines = usize::try_from(self.lines.pending_bytes()).unwrap_or(usize::MAX).min(self.max_bytes);
        if self.taken { 0 } else { self.held.len() + lines }
    }

    /// Decides how the frame that begins here is delimited, as soon as enough of it is there.
    fn begin(&mut self, input: &mut &[u8]) {
        let before = self.held.len();
        let room = MAX_DIGITS + 2 - before;
        self.held.extend_from_slice(&input[..input.len().min(room)]);
        match beginning(&self.held) {
            Beginning::Counted { header, length } => {
                // `header` is past what was held before: otherwise it would have been recognised then, but for the `<`.
                *input = &input[header.saturating_sub(before)..];
                self.held.clear();
                self.state = State::Counted { left: length, cut: 0 };
            }
            Beginning::Line => {
                self.held.truncate(before);
                // Digits and a space, so there is no end of line in it.
                let mut prefix = &self.held[..];
                let _ = self.lines.next(&mut prefix);
                self.held.clear();
                self.state = State::Line;
            }
            Beginning::Unknown => *input = &[],
        }
    }

    fn counted<'s>(&'s mut self, left: u64, mut cut: u32, input: &mut &[u8]) -> Option<Piece<'s>> {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (head, tail) = input.split_at(here);
        *input = tail;
        let kept = head.len().min(self.max_bytes.saturating_sub(self.held.len()));
        self.held.extend_from_slice(&head[..kept]);
        cut = cut.saturating_add(u32::try_from(head.len() - kept).unwrap_or(u32::MAX));
        let left = left - here as u64;
        if left > 0 {
            self.state = State::Counted { left, cut };
            return None;
        }
        self.state = State::Start;
        self.taken = true;
        Some(Piece { bytes: &self.held, cut })
    }
}

fn beginning(bytes: &[u8]) -> Beginning {
    let digits = bytes.iter().take(MAX_DIGITS + 1).take_while(|b| b.is_ascii_digit()).count();
    if bytes.is_empty() || (digits == bytes.len() && digits <= MAX_DIGITS && bytes[0] != b'0') {
        return Beginning::Unknown;
    }
    if digits == 0 || digits > MAX_DIGITS || bytes[0] == b'0' {
        return Beginning::Line;
    }
    match bytes[digits..] {
        [b' '] => Beginning::Unknown,
        [b' ', b'<', ..] => {
            let length = bytes[..digits].iter().fold(0u64, |n, b| n * 10 + u64::from(b - b'0'));
            Beginning::Counted { header: digits + 1, length }
        }
        _ => Beginning::Line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(chunks: &[&[u8]], max: usize) -> Vec<(Vec<u8>, u32)> {
        let mut splitter = Splitter::new(max);
        let mut out = Vec::new();
        for chunk in chunks {
            let mut input = *chunk;
            while let Some(piece) = splitter.next(&mut input) {
                out.push((piece.bytes.to_vec(), piece.cut));
            }
            assert!(input.is_empty());
            assert!(splitter.held_bytes() <= max.max(MAX_DIGITS + 2));
        }
        out.extend(splitter.finish().map(|p| (p.bytes.to_vec(), p.cut)));
        out
    }

    #[test]
    fn both_framings_on_one_stream() {
        let cases: [(&str, &[(&str, u32)]); 10] = [
            ("5 <1>ab6 <1>cde<2>line\r\n4 <1>x", &[("<1>ab", 0), ("<1>cde", 0), ("<2>line", 0), ("<1>x", 0)]),
            ("<1>a\n5 <1>b\n<1>c\n", &[("<1>a", 0), ("<1>b\n", 0), ("<1>c", 0)]),
            ("2026 was a year\n12 monkeys\n", &[("2026 was a year", 0), ("12 monkeys", 0)]),
            ("05 <1>no length\n", &[("05 <1>no length", 0)]),
            ("12345678901 <1>\n", &[("12345678901 <1>", 0)]),
            ("7\n12 \n", &[("7", 0), ("12 ", 0)]),
            ("29 <34>0123456789abcdef-and-the-5 <1>ok", &[("<34>0123456789abcdef", 9), ("<1>ok", 0)]),
            ("9999999999 <1>unfinished", &[("<1>unfinished", 0)]),
            ("12", &[("12", 0)]),
            ("\n\n4 <1>z\n", &[("", 0), ("", 0), ("<1>z", 0), ("", 0)]),
        ];
        for (stream, want) in cases {
            let want: Vec<_> = want.iter().map(|(t, c)| (t.as_bytes().to_vec(), *c)).collect();
            assert_eq!(frames(&[stream.as_bytes()], 20), want, "{stream:?}");
        }
    }

    #[test]
    fn an_unfinished_length_is_cut_like_any_frame() {
        assert_eq!(frames(&[b"1234 "], 3), [(b"123".to_vec(), 2)]);
    }

    #[test]
    fn a_length_allocates_nothing() {
        let mut splitter = Splitter::new(1 << 20);
        let mut input: &[u8] = b"9999999999 <13>x";
        assert_eq!(splitter.next(&mut input), None);
        assert_eq!(splitter.held_bytes(), 5);
        assert!(splitter.held.capacity() < 100);
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            "[0-9]{1,12}".prop_map(String::into_bytes),
            Just(b" <".to_vec()),
            Just(b"\r\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..30).prop_map(|body| {
                let mut out = format!("{} <", body.len() + 1).into_bytes();
                out.extend(body);
                out
            }),
        ]
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_frames(
            parts in prop::collection::vec(pieces(), 0..12),
            cuts in prop::collection::vec(0usize..200, 0..10),
            max in 1usize..30,
        ) {
            let bytes = parts.concat();
            let frames = |chunks: &[&[u8]]| frames(chunks, max);
            let whole = frames(&[&bytes]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(frames(&chunks), whole.clone());
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(frames(&single), whole);
        }
    }
}
