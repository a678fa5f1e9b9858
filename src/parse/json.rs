//! Reading JSON without building it: an object's members as borrowed pieces of its text.
//!
//! serde_json checks the syntax once; a member's value is its text (`RawValue`), looked at only where somebody wants it. Nothing here
//! recurses with the input, so nesting cannot exhaust the stack.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::record::Value;

/// Fields that a record takes from one object; the rest stays in `logs.raw`.
pub(crate) const MAX_FIELDS: usize = 128;

/// Nesting beyond this is kept as text, not as JSON: PostgreSQL's own parser recurses.
const MAX_DEPTH: usize = 64;

/// Calls `each` with the name and the text of every member of the object `text`, in order.
///
/// # Errors
/// `text` is not one JSON object; members before the place of the error were handed out already.
pub(crate) fn members<'a>(text: &'a str, each: impl FnMut(Cow<'a, str>, &'a str)) -> Result<(), serde_json::Error> {
    let mut input = serde_json::Deserializer::from_str(text);
    input.deserialize_map(Members(each))?;
    input.end()
}

/// Objects inside objects that are walked; deeper ones are kept as JSON.
const MAX_NESTING: usize = 6;

/// A dotted path longer than this is not made; its object is kept as JSON.
const MAX_PATH: usize = 200;

/// Calls `each` with every member of the object `text`, in order: those of objects inside it by their dotted path.
///
/// # Errors
/// `text` is not one JSON object; members before the place of the error were handed out already.
pub(crate) fn walk<'a>(text: &'a str, each: &mut dyn FnMut(Cow<'a, str>, Scalar<'a>)) -> Result<(), serde_json::Error> {
    within(text, "", 0, each)
}

fn within<'a>(
    text: &'a str,
    path: &str,
    nesting: usize,
    each: &mut dyn FnMut(Cow<'a, str>, Scalar<'a>),
) -> Result<(), serde_json::Error> {
    members(text, |name, raw| {
        let name = if path.is_empty() { name } else { Cow::Owned(format!("{path}.{name}")) };
        match Scalar::of(raw) {
            Scalar::Object(inner) if inner != "{}" && nesting < MAX_NESTING && name.len() <= MAX_PATH => {
                // Its syntax was checked with the whole.
                let _ = within(inner, &name, nesting + 1, each);
            }
            value => each(name, value),
        }
    })
}

/// Calls `each` with the text of every element of the array `text`, in order; does nothing if it is none.
pub(crate) fn elements<'a>(text: &'a str, each: impl FnMut(&'a str)) {
    let mut input = serde_json::Deserializer::from_str(text);
    // The array is part of a document whose syntax was checked; another type has no elements.
    let _ = input.deserialize_seq(Elements(each));
}

/// The byte at which serde_json stopped reading `text`.
pub(crate) fn offset(text: &str, error: &serde_json::Error) -> usize {
    let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    (line_start + error.column().saturating_sub(1)).min(text.len())
}

struct Members<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de str)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Name<'de>>()? {
            let value: &'de RawValue = map.next_value()?;
            (self.0)(name.0, value.get());
        }
        Ok(())
    }
}

struct Elements<F>(F);

impl<'de, F: FnMut(&'de str)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element::<&'de RawValue>()? {
            (self.0)(value.get());
        }
        Ok(())
    }
}

/// A member's name, borrowed unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.replace('\0', "\u{2400}"))))
            }
        }
        input.deserialize_str(Visit)
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
            Some(b'"') => match string(raw) {
                text if text.is_empty() => Scalar::Nothing,
                text => Scalar::Text(text),
            },
            Some(b'{') => Scalar::Object(raw),
            Some(b'[') => Scalar::Array(raw),
            None | Some(b'n') => Scalar::Nothing,
            Some(_) => Scalar::Bare(raw),
        }
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
            Scalar::Text(text) => text.trim().parse().ok(),
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
            Scalar::Bare(number) => match (number.parse::<i64>(), number.parse::<f64>()) {
                (Ok(whole), _) => Value::Int(whole),
                (_, Ok(float)) if float.is_finite() => Value::Float(float),
                _ => Value::Str(Cow::Borrowed(number)),
            },
            Scalar::Object("{}") | Scalar::Array("[]") => return None,
            Scalar::Object(raw) | Scalar::Array(raw) if storable(raw) => Value::Json(Cow::Borrowed(raw)),
            Scalar::Object(raw) | Scalar::Array(raw) => Value::Str(Cow::Borrowed(raw)),
        })
    }
}

/// The text of a string value. Escapes that stand for no character (a lone surrogate) leave it as it was written.
pub(crate) fn string(raw: &str) -> Cow<'_, str> {
    let inner = raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')).unwrap_or(raw);
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    match serde_json::from_str::<String>(raw) {
        Ok(text) if text.contains('\0') => Cow::Owned(text.replace('\0', "\u{2400}")),
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(inner),
    }
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
}
