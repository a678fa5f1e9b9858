//! `key=value` lists, as firewalls write them.

use std::borrow::Cow;

use super::fill::{self, Slots};
use super::{Context, scan};
use crate::record::LogRecord;

/// How a list is written.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    /// Between a key and its value: ASCII.
    pub equals: u8,
    /// Between pairs, ASCII; spaces around it are left out.
    pub separator: u8,
}

/// `key=value key="a value"`.
pub(crate) const SPACED: Style = Style { equals: b'=', separator: b' ' };

/// Keys and values of a list, in order. A value may stand in quotes, where a backslash is before a quote or itself. What is no pair is
/// skipped.
pub(crate) struct Pairs<'a> {
    rest: &'a str,
    style: Style,
}

impl<'a> Pairs<'a> {
    pub(crate) fn new(text: &'a str, style: Style) -> Pairs<'a> {
        Pairs { rest: text, style }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        let Style { equals, separator } = self.style;
        loop {
            let before = self.rest.bytes().take_while(|byte| *byte == separator || *byte == b' ').count();
            self.rest = &self.rest[before..];
            let at = memchr::memchr2(equals, separator, self.rest.as_bytes())?;
            let (key, behind) = self.rest.split_at(at);
            if behind.as_bytes()[0] != equals {
                self.rest = behind;
                continue;
            }
            let value = &behind[1..];
            let spaces = if separator == b' ' { 0 } else { value.bytes().take_while(|byte| *byte == b' ').count() };
            let (value, rest) = match value[spaces..].strip_prefix('"') {
                Some(quoted) => unquote(quoted, separator),
                None => {
                    let end = memchr::memchr(separator, value.as_bytes()).unwrap_or(value.len());
                    (Cow::Borrowed(scan::trim(&value[..end])), &value[end..])
                }
            };
            self.rest = rest;
            if !key.is_empty() {
                return Some((scan::trim(key), value));
            }
        }
    }
}

/// What stands before the closing quote, and what is behind it. A quote closes where a separator or the end follows, since some senders
/// write quotes within values as they are.
fn unquote(text: &str, separator: u8) -> (Cow<'_, str>, &str) {
    let mut from = 0;
    let mut has_escapes = false;
    while let Some(at) = memchr::memchr2(b'"', b'\\', &text.as_bytes()[from..]).map(|at| from + at) {
        if text.as_bytes()[at] == b'\\' {
            let escaped = matches!(text.as_bytes().get(at + 1), Some(b'"' | b'\\'));
            has_escapes |= escaped;
            from = at + 1 + usize::from(escaped);
            continue;
        }
        let behind = &text[at + 1..];
        let closes = |byte: &u8| *byte == separator || matches!(byte, b' ' | b',' | b';' | b']' | b'\r' | b'\n');
        if behind.as_bytes().first().is_none_or(closes) {
            return (unescape(&text[..at], has_escapes), behind);
        }
        from = at + 1;
    }
    // It was cut off.
    (unescape(text, has_escapes), "")
}

fn unescape(text: &str, has_escapes: bool) -> Cow<'_, str> {
    if has_escapes { Cow::Owned(text.replace("\\\"", "\"").replace("\\\\", "\\")) } else { Cow::Borrowed(text) }
}

/// Files all pairs by a dialect's names.
pub(crate) fn fill<'a>(text: &'a str, style: Style, record: &mut LogRecord<'a>, slots: Slots, context: &Context<'_>) {
    for (key, value) in Pairs::new(text, style) {
        fill::put(record, slots, key, value, context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, style: Style) -> Vec<(&str, String)> {
        Pairs::new(text, style).map(|(key, value)| (key, value.into_owned())).collect()
    }

    fn pair(key: &'static str, value: &str) -> (&'static str, String) {
        (key, value.to_owned())
    }

    #[test]
    fn lists() {
        assert_eq!(
            read(r#"date=2026-01-02 msg="a \"b\" c\\d" noise empty= user="x"y" last="cut off"#, SPACED),
            [
                pair("date", "2026-01-02"),
                pair("msg", r#"a "b" c\d"#),
                pair("empty", ""),
                pair("user", "x\"y"),
                pair("last", "cut off")
            ]
        );
        let listed = Style { equals: b':', separator: b';' };
        assert_eq!(
            read(r#"action:"Accept"; src:"192.0.2.1"; note: a b ;"#, listed),
            [pair("action", "Accept"), pair("src", "192.0.2.1"), pair("note", "a b")]
        );
        assert_eq!(
            read("A=1, B=two words,C=3", Style { equals: b'=', separator: b',' }),
            [pair("A", "1"), pair("B", "two words"), pair("C", "3")]
        );
    }

    proptest! {
        #[test]
        fn no_input_panics_and_all_of_it_is_read(text in "([a-c=:;, \"\\\\é]|\"x\"){0,40}") {
            for style in [SPACED, Style { equals: b':', separator: b';' }] {
                prop_assert!(Pairs::new(&text, style).count() <= text.len());
            }
        }
    }
}
