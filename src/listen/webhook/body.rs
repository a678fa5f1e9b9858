//! A body → the events in it, as their sender wrote them.

use std::fmt;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Peer, Place, Refusal};
use crate::journal::Group;

/// How deep arrays and objects of an event may be nested.
const MAX_DEPTH: usize = 128;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

/// Adds the events of a body to a group. `limits`: bytes after decompression, events.
pub(super) fn events(
    bytes: Vec<u8>,
    encoding: Encoding,
    limits: (usize, usize),
    group: Group,
    peer: Peer,
) -> Result<Group, Refusal> {
    let bytes = match encoding {
        Encoding::Identity => bytes,
        Encoding::Gzip => decompress(&bytes, limits.0)?,
    };
    let mut events = Events { group, peer, limit: limits.1, refusal: None };
    let done = match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
        None => return Err(malformed("the body is empty", Place::Text { line: 1, column: 1 })),
        Some(b'[') => {
            let mut json = serde_json::Deserializer::from_slice(&bytes);
            json.deserialize_seq(&mut events).and_then(|()| json.end())
        }
        Some(_) => objects(&bytes, &mut events),
    };
    match (events.refusal, done) {
        (Some(refusal), _) => Err(refusal),
        (None, Err(e)) => Err(not_json(&e)),
        (None, Ok(())) => Ok(events.group),
    }
}

/// One value after the other. RFC 8259 lets a value contain line ends, so a pretty-printed object is one event.
fn objects(bytes: &[u8], events: &mut Events) -> serde_json::Result<()> {
    for value in serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>() {
        if !events.add(value?) {
            break;
        }
    }
    Ok(())
}

fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::new();
    // One byte more than allowed tells that there is more.
    MultiGzDecoder::new(bytes).take(limit as u64 + 1).read_to_end(&mut out).map_err(|_| Refusal::Broken)?;
    if out.len() > limit {
        return Err(Refusal::TooLarge(format!("the body decompresses to more than {limit} bytes")));
    }
    Ok(out)
}

/// Collects events; stops at the first that is refused.
struct Events {
    group: Group,
    peer: Peer,
    limit: usize,
    refusal: Option<Refusal>,
}

impl Events {
    /// False: it was refused.
    fn add(&mut self, event: &RawValue) -> bool {
        let index = self.group.frames().len();
        let text = event.get();
        let refusal = if index >= self.limit {
            Refusal::TooLarge(format!("the body has more than {} events", self.limit))
        } else if !text.starts_with('{') {
            malformed("an event is not a JSON object", Place::Event(index))
        } else if depth(text.as_bytes()) > MAX_DEPTH {
            malformed("an event is nested more than 128 levels deep", Place::Event(index))
        } else {
            self.group.push(self.peer, text.as_bytes(), 0);
            return true;
        };
        self.refusal = Some(refusal);
        false
    }
}

impl<'de> Visitor<'de> for &mut Events {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<(), A::Error> {
        while let Some(event) = events.next_element::<&RawValue>()? {
            if !self.add(event) {
                return Err(serde::de::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

/// How deep a piece of valid JSON is nested. (serde_json skips over a raw value without a limit.)
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut at) = (0usize, 0, 0);
    while at < json.len() {
        match json[at] {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at = end_of_string(json, at + 1),
            _ => {}
        }
        at += 1;
    }
    deepest
}

/// The place of the quotation mark that ends the string whose first character is at `at`.
fn end_of_string(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr::memchr2(b'"', b'\\', json.get(at..).unwrap_or_default()) {
        at += found;
        if json[at] == b'"' {
            return at;
        }
        at += 2;
    }
    json.len()
}

fn malformed(detail: &str, place: Place) -> Refusal {
    Refusal::Malformed { detail: detail.to_owned(), place }
}

/// What serde_json says, without the place, which it appends to its text. Its texts name tokens that were expected, never contents.
fn not_json(error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    let detail = text.rsplit_once(" at line ").map_or(text.as_str(), |(detail, _)| detail);
    Refusal::Malformed {
        detail: detail.to_owned(),
        place: Place::Text { line: error.line().max(1), column: error.column().max(1) },
    }
}
