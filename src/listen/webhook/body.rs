//! A body → the events in it, as their sender wrote them.

use std::fmt;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Peer, Place, Refusal};
use crate::journal::Group;
use crate::listen::shares::{Exhausted, Share};

/// How deep arrays and objects of an event may be nested.
const MAX_DEPTH: usize = 128;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

/// What a body may come to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes after decompression.
    pub(super) bytes: usize,
    /// Events.
    pub(super) events: usize,
}

/// A vector that is filled piece by piece begins with this much room, in bytes.
const FIRST_ROOM: usize = 8 << 10;

/// Makes room in `out` for `more` bytes, and books all the room it has; twice as much each time, but for no more than `limit` bytes.
pub(super) fn make_room(out: &mut Vec<u8>, more: usize, limit: usize, memory: &mut Share) -> Result<(), Exhausted> {
    let wanted = out.len() + more;
    if wanted > out.capacity() {
        let room = (2 * out.capacity()).clamp(FIRST_ROOM, limit.max(FIRST_ROOM)).max(wanted);
        memory.grow(room - out.capacity())?;
        out.reserve_exact(room - out.len());
    }
    Ok(())
}

/// Memory for the events in a body of that many bytes in the worst case: their bytes and their entries (12 bytes each) in vectors that
/// may have twice the room, and then the record of them (entries of 10 bytes), for which the body itself has made room.
pub(super) fn worst_events_bytes(body: usize, max_events: usize) -> usize {
    // The shortest event is {}.
    let events = (body / 2).min(max_events);
    2 * body + events * (2 * 12 + 10)
}

/// Adds the events of a body to a group. The share covers what it takes, before and after.
pub(super) fn events(
    mut bytes: Vec<u8>,
    encoding: Encoding,
    limits: Limits,
    group: Group,
    peer: Peer,
    mut memory: Share,
) -> Result<(Group, Share), Refusal> {
    if encoding == Encoding::Gzip {
        let packed = bytes.capacity();
        bytes = decompress(&bytes, limits.bytes, &mut memory)?;
        // The body as sent is gone.
        memory.shrink(packed);
    }
    memory.grow(worst_events_bytes(bytes.len(), limits.events))?;
    let mut events = Events { group, peer, limit: limits.events, refusal: None };
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
        (None, Ok(())) => Ok((events.group, memory)),
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

fn decompress(packed: &[u8], limit: usize, memory: &mut Share) -> Result<Vec<u8>, Refusal> {
    let (mut decoder, mut out, mut piece) = (MultiGzDecoder::new(packed), Vec::new(), [0; 16 << 10]);
    loop {
        let read = match decoder.read(&mut piece) {
            Ok(0) => return Ok(out),
            Ok(read) => &piece[..read],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(Refusal::Broken),
        };
        if out.len() + read.len() > limit {
            return Err(Refusal::TooLarge(format!("the body decompresses to more than {limit} bytes")));
        }
        make_room(&mut out, read.len(), limit, memory)?;
        out.extend_from_slice(read);
    }
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
