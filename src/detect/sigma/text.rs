//! Texts of rules: wildcards, and what a text looks like in the encodings that attackers hide it in (Sigma Specification 2.1, "Escaping";
//! modifiers appendix 2.1, "Encoding").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Where in a value the text stands.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) enum Place {
    #[default]
    Whole,
    Start,
    End,
    Anywhere,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Encoding {
    Base64,
    /// At any of the three offsets that a text can have within encoded data.
    Base64Offset,
    Utf16Le,
    Utf16Be,
    /// Little-endian, behind a byte order mark.
    Utf16,
    /// Also with a slash or another dash before each option.
    Windash,
}

/// A piece of a text with wildcards.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// `?`
    One,
    /// `*`
    Many,
}

/// Reads wildcards and their escapes (specification, "Escaping").
pub(super) fn glob(text: &str) -> Vec<Piece> {
    let (mut pieces, mut plain) = (Vec::new(), String::new());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let wildcard = match (c, chars.peek()) {
            // A backslash escapes a wildcard and itself; before anything else it stands for itself.
            ('\\', Some(&next @ ('*' | '?' | '\\'))) => {
                plain.push(next);
                chars.next();
                None
            }
            ('*', _) => Some(Piece::Many),
            ('?', _) => Some(Piece::One),
            _ => {
                plain.push(c);
                None
            }
        };
        if let Some(wildcard) = wildcard {
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(wildcard);
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    pieces
}

/// The expression that finds a text with wildcards at a place.
pub(super) fn expression(mut pieces: &[Piece], place: Place) -> String {
    let (mut from_start, mut to_end) = (matches!(place, Place::Whole | Place::Start), matches!(place, Place::Whole | Place::End));
    // A star at an end says that it may stand anywhere: cheaper than matching what is there.
    while let [Piece::Many, rest @ ..] = pieces {
        (from_start, pieces) = (false, rest);
    }
    while let [rest @ .., Piece::Many] = pieces {
        (to_end, pieces) = (false, rest);
    }
    let mut out = String::from(if from_start { r"\A(?:" } else { "(?:" });
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(&regex::escape(text)),
            Piece::One => out.push('.'),
            Piece::Many => out.push_str(".*"),
        }
    }
    out.push_str(if to_end { r")\z" } else { ")" });
    out
}

/// What a text looks like in these encodings, one after the other.
pub(super) fn encoded(text: Vec<Piece>, encodings: &[Encoding]) -> Result<Vec<Vec<Piece>>, String> {
    let (texts, encodings) = match encodings {
        [Encoding::Windash, rest @ ..] => (windash(&text), rest),
        all => (vec![text], all),
    };
    match encodings.last() {
        None => return Ok(texts),
        Some(Encoding::Base64 | Encoding::Base64Offset) => {}
        Some(Encoding::Windash) => return Err("windash must be the first of the encodings".to_owned()),
        Some(_) => return Err("a text in UTF-16 stands in no log as such; let base64 or base64offset follow".to_owned()),
    }
    let mut all = Vec::new();
    for text in &texts {
        let [Piece::Text(text)] = &text[..] else {
            return Err("a text that is encoded can be neither empty nor have wildcards".to_owned());
        };
        let mut variants = vec![text.clone().into_bytes()];
        for &encoding in encodings {
            let mut next = Vec::new();
            for variant in variants {
                next.extend(encode(&variant, encoding)?);
            }
            variants = next;
        }
        all.extend(variants.into_iter().map(|bytes| vec![Piece::Text(String::from_utf8_lossy(&bytes).into_owned())]));
    }
    Ok(all)
}

fn encode(bytes: &[u8], encoding: Encoding) -> Result<Vec<Vec<u8>>, String> {
    let utf16 = |mark: &[u8], to_bytes: fn(u16) -> [u8; 2]| {
        let text = std::str::from_utf8(bytes).map_err(|_| "only the first encoding can be UTF-16".to_owned())?;
        Ok(vec![mark.iter().copied().chain(text.encode_utf16().flat_map(to_bytes)).collect()])
    };
    match encoding {
        Encoding::Base64 => Ok(vec![STANDARD.encode(bytes).into_bytes()]),
        Encoding::Base64Offset => Ok((0..3).map(|offset| base64_at(bytes, offset).into_bytes()).collect()),
        Encoding::Utf16Le => utf16(&[], u16::to_le_bytes),
        Encoding::Utf16Be => utf16(&[], u16::to_be_bytes),
        Encoding::Utf16 => utf16(&[0xFF, 0xFE], u16::to_le_bytes),
        Encoding::Windash => Err("windash must be the first of the encodings".to_owned()),
    }
}

/// The characters of a text within base64 that do not depend on what is around it, where it begins `offset` bytes into a group of three.
fn base64_at(bytes: &[u8], offset: usize) -> String {
    let padded = [&[0u8; 3][..offset], bytes].concat();
    let encoded = STANDARD.encode(&padded);
    // The first characters hold bits of what is before, the last one bits of what is behind.
    let from = [0, 2, 3][offset];
    let to = match padded.len() % 3 {
        0 => encoded.len(),
        1 => encoded.len() - 3,
        _ => encoded.len() - 2,
    };
    encoded[from.min(to)..to].to_owned()
}

/// Each dash or slash at the beginning of a word, in all its forms. All change together: a command line rarely mixes them.
fn windash(pieces: &[Piece]) -> Vec<Vec<Piece>> {
    const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];
    let with = |dash: char| -> Vec<Piece> {
        let swap = |text: &String| {
            let mut before = ' ';
            let mut swapped = String::with_capacity(text.len());
            for c in text.chars() {
                swapped.push(if before == ' ' && DASHES.contains(&c) { dash } else { c });
                before = c;
            }
            swapped
        };
        pieces.iter().map(|p| if let Piece::Text(text) = p { Piece::Text(swap(text)) } else { p.clone() }).collect()
    };
    let mut variants: Vec<Vec<Piece>> = Vec::new();
    for variant in DASHES.map(with).into_iter().chain([pieces.to_vec()]) {
        if !variants.contains(&variant) {
            variants.push(variant);
        }
    }
    variants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_escaped_as_the_specification_says() {
        let text = |t: &str| Piece::Text(t.to_owned());
        for (pattern, want) in [
            (r"C:\Windows", vec![text(r"C:\Windows")]),
            (r"C:\\Windows", vec![text(r"C:\Windows")]),
            (r"a\*b", vec![text("a*b")]),
            (r"a\\*", vec![text(r"a\"), Piece::Many]),
            (r"a\\\*", vec![text(r"a\*")]),
            (r"\\\\srv", vec![text(r"\\srv")]),
            ("prog?.exe", vec![text("prog"), Piece::One, text(".exe")]),
            ("", vec![]),
        ] {
            assert_eq!(glob(pattern), want, "{pattern}");
        }
    }

    #[test]
    fn a_text_is_found_in_base64_wherever_it_begins() {
        let secret = b"http://evil.example/";
        for before in 0..7 {
            for behind in 0..4 {
                let whole = [&b"ABCDEFG"[..before], secret, &b"xyz!"[..behind]].concat();
                let encoded = STANDARD.encode(whole);
                assert!((0..3).any(|offset| encoded.contains(&base64_at(secret, offset))), "{before} {behind}: {encoded}");
            }
        }
    }
}
