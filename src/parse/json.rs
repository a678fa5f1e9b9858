//! Reading JSON without building it: an object's members as borrowed pieces of its text.
//!
//! serde_json checks the syntax once; after that, [`Cursor`] only has to find where things end. A member's value is its text, looked at only
//! where somebody wants it. Nothing here recurses further than [`MAX_NESTING`], so nesting cannot exhaust the stack.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};

use super::scan;
use crate::record::Value;

/// Fields that a record takes from one object; the rest stays in `logs.raw`.
pub(crate) const MAX_FIELDS: usize = 128;

/// Nesting beyond this is kept as text, not as JSON: PostgreSQL's own parser recurses.
const MAX_DEPTH: usize = 64;

/// Objects inside objects that are walked; deeper ones are kept as JSON.
const MAX_NESTING: usize = 6;

/// A dotted path longer than this is not made; its object is kept as JSON.
const MAX_PATH: usize = 200;

/// Calls `each` with the name and the text of every member of the object `text`, in order.
///
/// # Errors
/// `text` is not one JSON object; nothing was handed out.
pub(crate) fn members<'a>(text: &'a str, each: impl FnMut(Cow<'a, str>, &'a str)) -> Result<(), serde_json::Error> {
    check(text)?;
    inner_members(text, each);
    Ok(())
}

/// [`members`] of an object that is part of one whose syntax was checked; none if it is no object.
pub(crate) fn inner_members<'a>(text: &'a str, mut each: impl FnMut(Cow<'a, str>, &'a str)) {
    let mut cursor = Cursor { text, at: 0 };
    while cursor.enter(b'{') {
        let name = cursor.name();
        each(name, cursor.value());
    }
}

/// Calls `each` with every member of the object `text`, in order: those of objects inside it by their dotted path.
///
/// # Errors
/// `text` is not one JSON object; nothing was handed out.
pub(crate) fn walk<'a>(text: &'a str, each: &mut dyn FnMut(Name<'a, '_>, Scalar<'a>)) -> Result<(), serde_json::Error> {
    check(text)?;
    Cursor { text, at: 0 }.walk(&mut String::new(), 0, each);
    Ok(())
}

/// Calls `each` with the text of every element of the array `text`, in order; does nothing if it is none. It is part of a document whose
/// syntax was checked.
pub(crate) fn elements<'a>(text: &'a str, mut each: impl FnMut(&'a str)) {
    let mut cursor = Cursor { text, at: 0 };
    while cursor.enter(b'[') {
        each(cursor.value());
    }
}

/// The byte at which serde_json stopped reading `text`.
pub(crate) fn offset(text: &str, error: &serde_json::Error) -> usize {
    let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    (line_start + error.column().saturating_sub(1)).min(text.len())
}

/// # Errors
/// `text` is not one JSON object.
fn check(text: &str) -> Result<(), serde_json::Error> {
    let mut input = serde_json::Deserializer::from_str(text);
    input.deserialize_map(Members)?;
    input.end()
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((IgnoredAny, IgnoredAny)) = map.next_entry()? {}
        Ok(())
    }
}

/// A member's name, dotted where the member is nested.
pub(crate) enum Name<'a, 'p> {
    Top(Cow<'a, str>),
    Nested(&'p str),
}

impl std::ops::Deref for Name<'_, '_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Name::Top(name) => name,
            Name::Nested(path) => path,
        }
    }
}

impl<'a> From<Name<'a, '_>> for Cow<'a, str> {
    fn from(name: Name<'a, '_>) -> Self {
        match name {
            Name::Top(name) => name,
            Name::Nested(path) => Cow::Owned(path.to_owned()),
        }
    }
}

/// A place in a JSON text whose syntax was checked. In any other it stops somewhere, and always between two characters.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    /// Goes to the next member or element, over the `open` or the comma before it. False where there is none: behind the end then.
    fn enter(&mut self, open: u8) -> bool {
        self.skip_space();
        if self.eat(b',') || self.eat(open) {
            self.skip_space();
            if !matches!(self.byte(), None | Some(b'}' | b']')) {
                return true;
            }
        }
        let _ = self.eat(b'}') || self.eat(b']');
        false
    }

    /// Goes over a byte, which is ASCII, if it is the next.
    fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.byte() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Reads a member's name and goes to its value.
    fn name(&mut self) -> Cow<'a, str> {
        let name = self.string();
        self.skip_space();
        self.eat(b':');
        self.skip_space();
        name
    }

    /// The text of a value. The cursor is behind it then.
    fn value(&mut self) -> &'a str {
        let start = self.at;
        let mut depth = 0_usize;
        while let Some(byte) = self.byte() {
            match byte {
                b'"' => _ = self.skip_string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                _ if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                _ => self.skip_bare(),
            }
            if depth == 0 {
                break;
            }
        }
        &self.text[start..self.at]
    }

    /// The text of a string, or of whatever is there.
    fn string(&mut self) -> Cow<'a, str> {
        let start = self.at;
        let has_escapes = self.skip_string();
        let raw = &self.text[start..self.at];
        if has_escapes { string(raw) } else { Cow::Borrowed(inside(raw)) }
    }

    /// A value as what it is.
    fn scalar(&mut self) -> Scalar<'a> {
        match self.byte() {
            Some(b'"') => Scalar::of_text(self.string()),
            _ => Scalar::of(self.value()),
        }
    }

    /// From one quote behind the other. True if there is an escape between them. Most strings are too short for a vectorised search to pay.
    fn skip_string(&mut self) -> bool {
        let mut has_escapes = false;
        self.at += 1;
        while let Some(byte) = self.byte() {
            self.at += 1;
            match byte {
                b'"' => return has_escapes,
                b'\\' => {
                    has_escapes = true;
                    self.at += 1;
                }
                _ => {}
            }
        }
        self.at = self.text.len();
        has_escapes
    }

    fn skip_bare(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
    }

    /// Reads the object at hand; `path` leads to it.
    fn walk(&mut self, path: &mut String, nesting: usize, each: &mut dyn FnMut(Name<'a, '_>, Scalar<'a>)) {
        let length = path.len();
        let mut open = b'{';
        while self.enter(open) {
            open = b',';
            let name = self.name();
            let is_object = self.byte() == Some(b'{') && nesting < MAX_NESTING && !self.text[self.at..].starts_with("{}");
            if nesting == 0 && !(is_object && name.len() <= MAX_PATH) {
                each(Name::Top(name), self.scalar());
                continue;
            }
            if nesting > 0 {
                path.push('.');
            }
            path.push_str(&name);
            if is_object && path.len() <= MAX_PATH {
                self.walk(path, nesting + 1, each);
            } else {
                each(Name::Nested(path), self.scalar());
            }
            path.truncate(length);
        }
    }
}

/// A value's text as what it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar<'a> {
    /// `null`, or an empty string: nothing is said.
    Nothing,
    /// A string, without its escapes.
    Text(Cow<'a, str>),
    /// A number or a truth value, as written.
    Bare(&'a str),
    /// An object, as written.
    Object(&'a str),
    /// An array, as written.
    Array(&'a str),
}

impl<'a> Scalar<'a> {
    /// The kind of a value whose syntax was checked.
    pub(crate) fn of(raw: &'a str) -> Scalar<'a> {
        match raw.as_bytes().first() {
            Some(b'"') => Scalar::of_text(string(raw)),
            Some(b'{') => Scalar::Object(raw),
            Some(b'[') => Scalar::Array(raw),
            None | Some(b'n') => Scalar::Nothing,
            Some(_) => Scalar::Bare(raw),
        }
    }

    fn of_text(text: Cow<'a, str>) -> Scalar<'a> {
        if text.is_empty() { Scalar::Nothing } else { Scalar::Text(text) }
    }

    /// The text of a string, the digits of a number.
    pub(crate) fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Scalar::Text(text) => Some(text),
            Scalar::Bare(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    /// As a number, also where it was written as a string.
    pub(crate) fn number<T: std::str::FromStr>(&self) -> Option<T> {
        match self {
            Scalar::Text(text) => scan::trim(text).parse().ok(),
            Scalar::Bare(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// As a value for `fields`; `None` where nothing is said.
    pub(crate) fn into_value(self) -> Option<Value<'a>> {
        Some(match self {
            Scalar::Nothing => return None,
            Scalar::Text(text) => Value::Str(text),
            Scalar::Bare("true") => Value::Bool(true),
            Scalar::Bare("false") => Value::Bool(false),
            Scalar::Bare(number) => match number.parse().map(Value::Int).or_else(|_| number.parse().map(Value::Float)) {
                Ok(Value::Float(float)) if !float.is_finite() => Value::Str(Cow::Borrowed(number)),
                Ok(value) => value,
                Err(_) => Value::Str(Cow::Borrowed(number)),
            },
            Scalar::Object("{}") | Scalar::Array("[]") => return None,
            Scalar::Object(raw) | Scalar::Array(raw) if storable(raw) => Value::Json(Cow::Borrowed(raw)),
            Scalar::Object(raw) | Scalar::Array(raw) => Value::Str(Cow::Borrowed(raw)),
        })
    }
}

/// The text of a string value. Escapes that stand for no character (a lone surrogate) leave it as it was written.
pub(crate) fn string(raw: &str) -> Cow<'_, str> {
    let inner = inside(raw);
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    match serde_json::from_str::<String>(raw) {
        Ok(text) if text.contains('\0') => Cow::Owned(text.replace('\0', "\u{2400}")),
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(inner),
    }
}

/// What stands between the quotes.
fn inside(raw: &str) -> &str {
    raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw)
}

/// PostgreSQL's `jsonb` refuses NUL, lone surrogates and (its parser recurses) deep nesting.
fn storable(raw: &str) -> bool {
    let bytes = raw.as_bytes();
    let escapes_fit = memchr::memmem::find_iter(bytes, b"\\u").all(|at| {
        !(raw[at + 2..].starts_with("0000") || raw[at + 2..].starts_with(['d', 'D']) && is_surrogate(&bytes[at + 2..]))
    });
    escapes_fit && (memchr::memchr2_iter(b'{', b'[', bytes).count() <= MAX_DEPTH || depth(bytes) <= MAX_DEPTH)
}

/// How deep the objects and arrays of a checked value nest.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn is_surrogate(digits: &[u8]) -> bool {
    digits.get(1).is_some_and(|d| matches!(d, b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_are_borrowed() {
        let mut seen = Vec::new();
        members(r#" {"a":"x","b\u0041":[1, 2],"c":{"d":null}} "#, |name, raw| seen.push((name, raw))).unwrap();
        assert_eq!(seen, [("a".into(), r#""x""#), ("bA".into(), "[1, 2]"), ("c".into(), r#"{"d":null}"#)]);
        assert!(matches!(seen[0].0, Cow::Borrowed(_)));
    }

    #[test]
    fn errors_name_their_place() {
        for (text, want) in [(r#"{"a":1,}"#, 7), ("{\n\"a\" 1}", 6), ("[1]", 0), (r#"{"a":1} x"#, 8)] {
            let error = members(text, |_, _| {}).unwrap_err();
            assert_eq!(offset(text, &error), want, "{text}: {error}");
        }
    }

    #[test]
    fn values() {
        assert_eq!(Scalar::of(r#""a\"b""#), Scalar::Text("a\"b".into()));
        assert_eq!(Scalar::of(r#""a\u0000b""#), Scalar::Text("a\u{2400}b".into()));
        assert_eq!(Scalar::of(r#""\ud800""#), Scalar::Text(r"\ud800".into()));
        assert_eq!(Scalar::of("1e999").into_value(), Some(Value::Str("1e999".into())));
        assert_eq!(Scalar::of("-7").into_value(), Some(Value::Int(-7)));
        assert_eq!(Scalar::of(r#"{"a":"\u0000"}"#).into_value(), Some(Value::Str(r#"{"a":"\u0000"}"#.into())));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(Scalar::of(&deep).into_value(), Some(Value::Str(_))));
        members(&format!(r#"{{"a":{deep}}}"#), |_, raw| assert_eq!(raw.len(), deep.len())).unwrap();
    }

    /// What [`walk`] hands out, from what serde_json builds.
    fn flat(value: &serde_json::Value, path: &str, nesting: usize, all: &mut Vec<(String, String)>) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match value {
                serde_json::Value::Object(inner) if !inner.is_empty() && nesting < MAX_NESTING => {
                    flat(value, &path, nesting + 1, all)
                }
                _ => all.push((path, value.to_string())),
            }
        }
    }

    fn json_value() -> impl Strategy<Value = serde_json::Value> {
        let text = "[a-c\"\\\\{}\\[\\],: \n\u{e9}]{0,6}";
        let leaf = prop_oneof![
            text.prop_map(serde_json::Value::from),
            any::<i32>().prop_map(serde_json::Value::from),
            any::<bool>().prop_map(serde_json::Value::from),
            Just(serde_json::Value::Null),
        ];
        leaf.prop_recursive(9, 40, 4, move |inner| {
            // An empty name makes a path that another may have, too.
            let name = "[a-c\"\\\\.\u{e9}]{1,4}";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::btree_map(name, inner, 0..4).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn members_are_those_that_serde_json_reads(value in json_value(), is_pretty in any::<bool>()) {
            prop_assume!(value.is_object());
            let text = if is_pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let (mut read, mut expected) = (Vec::new(), Vec::new());
            walk(&text, &mut |name, value| {
                let value = match value {
                    Scalar::Nothing => serde_json::Value::Null,
                    Scalar::Text(text) => text.into(),
                    Scalar::Bare(raw) | Scalar::Object(raw) | Scalar::Array(raw) => serde_json::from_str(raw).unwrap(),
                };
                read.push((name.to_string(), value.to_string()));
            })
            .unwrap();
            flat(&value, "", 0, &mut expected);
            // An empty text says nothing, like null.
            expected.iter_mut().filter(|(_, value)| value == "\"\"").for_each(|(_, value)| "null".clone_into(value));
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn what_was_not_checked_is_read_without_panic(text in "[{}\\[\\]\",:\\\\ a\u{e9}]{0,40}") {
            inner_members(&text, |_, raw| drop(Scalar::of(raw)));
            elements(&text, |_| ());
            let _ = walk(&text, &mut |_, _| ());
        }
    }
}
