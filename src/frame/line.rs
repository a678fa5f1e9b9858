//! Frames that end with a delimiter: LF or CRLF (files, RFC 6587 §3.4.2 non-transparent framing), or NUL.

use memchr::memchr;

/// The byte that ends a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// LF; a CR before it is not part of the frame.
    Lf,
    /// NUL.
    Nul,
}

/// A frame and how much of it was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The frame without its delimiter, at most the splitter's limit.
    pub bytes: &'a [u8],
    /// Bytes over the limit that are not in `bytes`.
    pub cut: u32,
}

/// Splits a stream that arrives in arbitrary chunks. Holds at most one unfinished frame of at most the limit.
///
/// Any split of the stream into chunks gives the same frames.
#[derive(Debug)]
pub struct Splitter {
    delimiter: Delimiter,
    max_bytes: usize,
    /// At most `max_bytes`.
    held: Vec<u8>,
    /// Bytes of the unfinished frame behind those that are held.
    cut: u64,
    /// The last byte of the unfinished frame, held or not, is a CR: should an LF follow, both are the delimiter.
    cr: bool,
    /// The last frame handed out was assembled in `held`, which is to be emptied before anything is added.
    taken: bool,
}

impl Splitter {
    /// A splitter that cuts frames at `max_bytes`.
    pub fn new(delimiter: Delimiter, max_bytes: usize) -> Splitter {
        Splitter { delimiter, max_bytes, held: Vec::new(), cut: 0, cr: false, taken: false }
    }

    /// The next frame of `input`, which is advanced past it; `None` when what is left is unfinished (it is then held, and `input` is empty).
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Piece<'s>> {
        if self.taken {
            self.held.clear();
            self.cut = 0;
            self.cr = false;
            self.taken = false;
        }
        let end = match self.delimiter {
            Delimiter::Lf => memchr(b'\n', input),
            Delimiter::Nul => memchr(0, input),
        };
        let Some(end) = end else {
            self.hold(input);
            *input = &[];
            return None;
        };
        let (head, tail) = (&input[..end], &input[end + 1..]);
        *input = tail;
        if self.held.is_empty() && self.cut == 0 {
            let whole = self.trim(head);
            let kept = whole.len().min(self.max_bytes);
            return Some(Piece { bytes: &whole[..kept], cut: clamp((whole.len() - kept) as u64) });
        }
        self.hold(head);
        Some(self.take())
    }

    /// What is left at the end of the stream: the last frame, where it had no delimiter.
    pub fn finish(&mut self) -> Option<Piece<'_>> {
        if self.taken || (self.held.is_empty() && self.cut == 0) {
            return None;
        }
        Some(self.take())
    }

    /// Bytes of the unfinished frame seen so far, including those that were cut.
    pub fn pending_bytes(&self) -> u64 {
        if self.taken { 0 } else { self.held.len() as u64 + self.cut }
    }

    fn hold(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(self.max_bytes - self.held.len());
        self.held.extend_from_slice(&bytes[..kept]);
        self.cut += (bytes.len() - kept) as u64;
        self.cr = bytes.last().map_or(self.cr, |last| *last == b'\r');
    }

    fn take(&mut self) -> Piece<'_> {
        self.taken = true;
        match self.cut {
            0 => Piece { bytes: self.trim(&self.held), cut: 0 },
            cut => {
                let delimiter = self.delimiter == Delimiter::Lf && self.cr;
                Piece { bytes: &self.held, cut: clamp(cut - u64::from(delimiter)) }
            }
        }
    }

    fn trim<'b>(&self, frame: &'b [u8]) -> &'b [u8] {
        match (self.delimiter, frame) {
            (Delimiter::Lf, [rest @ .., b'\r']) => rest,
            _ => frame,
        }
    }
}

fn clamp(len: u64) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(chunks: &[&[u8]], max: usize) -> Vec<(Vec<u8>, u32)> {
        let mut splitter = Splitter::new(Delimiter::Lf, max);
        let mut out = Vec::new();
        for chunk in chunks {
            let mut input = *chunk;
            while let Some(piece) = splitter.next(&mut input) {
                out.push((piece.bytes.to_vec(), piece.cut));
            }
        }
        out.extend(splitter.finish().map(|p| (p.bytes.to_vec(), p.cut)));
        out
    }

    #[test]
    fn crlf_and_a_last_line_without_newline() {
        let got = frames(&[b"a\r\n\nlong one\r", b"\nrest"], 5);
        let want = [("a", 0), ("", 0), ("long ", 3), ("rest", 0)];
        assert_eq!(got, want.map(|(t, c)| (t.as_bytes().to_vec(), c)));
    }

    #[test]
    fn what_is_cut_is_counted() {
        let mut splitter = Splitter::new(Delimiter::Nul, 3);
        let mut input: &[u8] = b"abcde";
        assert_eq!(splitter.next(&mut input), None);
        assert_eq!(splitter.pending_bytes(), 5);
        let mut input: &[u8] = b"fg\0x";
        assert_eq!(splitter.next(&mut input), Some(Piece { bytes: b"abc", cut: 4 }));
    }

    #[test]
    fn the_cr_of_an_overlong_line_is_no_part_of_what_was_cut() {
        let line: &[u8] = b"12345678\r\n";
        for at in 0..line.len() {
            for (max, cut) in [(5, 3), (7, 1), (8, 0), (9, 0)] {
                assert_eq!(frames(&[&line[..at], &line[at..]], max), [(line[..max.min(8)].to_vec(), cut)], "{at} {max}");
            }
        }
        assert_eq!(frames(&[b"1234\r", b"\r", b"\n"], 4), [(b"1234".to_vec(), 1)]);
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_frames(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'x'), any::<u8>()], 0..200),
            cuts in prop::collection::vec(0usize..200, 0..8),
            max in 1usize..20,
        ) {
            let whole = frames(&[&bytes], max);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.push(0);
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(frames(&chunks, max), whole.clone());
            prop_assert_eq!(frames(&bytes.chunks(1).collect::<Vec<_>>(), max), whole);
        }
    }
}
