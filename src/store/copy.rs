//! Records → rows of `COPY logs FROM STDIN (FORMAT BINARY)`, straight into the outgoing buffer.
//!
//! The format is that of PostgreSQL 15, "COPY: Binary Format", with the receive functions' representations: `timestamptz` as
//! microseconds since 2000-01-01, `inet` as family, bits, is_cidr, length and bytes, `jsonb` as version 1 and text, enums as their
//! labels. Whatever goes in is made acceptable here: no NUL in text, no unpaired surrogates in JSON, no column too long to index.

use std::net::IpAddr;

use memchr::{memchr, memmem};

use crate::record::{LogRecord, Timestamp, Value};

/// The columns, in the order in which [`Rows::push`] writes them.
pub const COPY_LOGS: &str = "COPY logs (id, event_time, received_at, source, host, app, pid, event_type, severity, username, \
     src_ip, src_port, dst_ip, dst_port, protocol, action, message, raw, fields) FROM STDIN (FORMAT BINARY)";

/// What comes before the first row: signature, no flags, no extension.
pub const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What comes after the last row.
pub const TRAILER: &[u8] = &[0xff, 0xff];

const COLUMNS: i16 = 19;
/// Of the text columns that are indexed or shown in tables. A B-tree entry has 2,704 bytes at most; the whole text is in `message`.
const MAX_WORD_BYTES: usize = 1024;

/// Makes a record what it will be when it is read back: detectors must see the same before a restart and after it.
pub fn fit(record: &mut LogRecord<'_>) {
    for word in [&mut record.host, &mut record.app, &mut record.username].into_iter().flatten() {
        if word.len() > MAX_WORD_BYTES {
            let end = word.floor_char_boundary(MAX_WORD_BYTES);
            word.to_mut().truncate(end);
        }
    }
    record.pid = record.pid.filter(|pid| i32::try_from(*pid).is_ok());
}
/// 2000-01-01 in microseconds since 1970.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// Encoded rows.
#[derive(Debug, Default)]
pub struct Rows {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// What a row holds besides its record.
#[derive(Debug, Clone, Copy)]
pub struct RowMeta<'a> {
    /// `logs.id`.
    pub id: i64,
    /// `logs.event_time`.
    pub event_time: Timestamp,
    /// `logs.received_at`.
    pub received_at: Timestamp,
    /// `logs.source`.
    pub source: &'a str,
    /// The frame's original bytes.
    pub frame: &'a [u8],
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if there is no row.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all rows.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of some of the rows.
    pub fn slice(&self, rows: std::ops::Range<usize>) -> &[u8] {
        if rows.is_empty() {
            return &[];
        }
        let start = if rows.start == 0 { 0 } else { self.ends[rows.start - 1] };
        &self.bytes[start..self.ends[rows.end - 1]]
    }

    /// Adds a row.
    pub fn push(&mut self, record: &LogRecord<'_>, meta: &RowMeta<'_>) {
        let out = &mut self.bytes;
        out.extend_from_slice(&COLUMNS.to_be_bytes());
        int8(out, meta.id);
        int8(out, meta.event_time.as_micros().saturating_sub(POSTGRES_EPOCH));
        int8(out, meta.received_at.as_micros().saturating_sub(POSTGRES_EPOCH));
        word(out, Some(meta.source));
        word(out, record.host.as_deref());
        word(out, record.app.as_deref());
        int4(out, record.pid.and_then(|p| i32::try_from(p).ok()));
        text(out, record.event_type.as_str());
        text(out, record.severity.as_str());
        word(out, record.username.as_deref());
        inet(out, record.src_ip);
        int4(out, record.src_port.map(i32::from));
        inet(out, record.dst_ip);
        int4(out, record.dst_port.map(i32::from));
        word(out, record.protocol.as_deref());
        word(out, record.action.as_deref());
        text(out, &record.message);
        if record.message.as_bytes() == meta.frame {
            null(out);
        } else {
            field(out, |out| out.extend_from_slice(meta.frame));
        }
        if record.fields.is_empty() {
            null(out);
        } else {
            field(out, |out| {
                out.push(1);
                json::object(out, &record.fields);
            });
        }
        self.ends.push(self.bytes.len());
    }
}

fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1i32).to_be_bytes());
}

/// A field whose length is known only when it has been written.
fn field(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    // Frames are at most 64 MiB and grow sixfold at most when escaped.
    let length = i32::try_from(out.len() - at - 4).expect("a field is far shorter than 2 GiB");
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

fn int8(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&8i32.to_be_bytes());
    out.extend_from_slice(&value.to_be_bytes());
}

fn int4(out: &mut Vec<u8>, value: Option<i32>) {
    match value {
        Some(value) => {
            out.extend_from_slice(&4i32.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
        None => null(out),
    }
}

/// Text without NUL; a NUL becomes U+2400.
fn text(out: &mut Vec<u8>, value: &str) {
    field(out, |out| {
        let mut rest = value.as_bytes();
        while let Some(at) = memchr(0, rest) {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice("\u{2400}".as_bytes());
            rest = &rest[at + 1..];
        }
        out.extend_from_slice(rest);
    });
}

fn word(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => text(out, &value[..value.floor_char_boundary(MAX_WORD_BYTES)]),
        None => null(out),
    }
}

fn inet(out: &mut Vec<u8>, value: Option<IpAddr>) {
    match value {
        Some(IpAddr::V4(ip)) => {
            out.extend_from_slice(&8i32.to_be_bytes());
            out.extend_from_slice(&[2, 32, 0, 4]);
            out.extend_from_slice(&ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            out.extend_from_slice(&20i32.to_be_bytes());
            out.extend_from_slice(&[3, 128, 0, 16]);
            out.extend_from_slice(&ip.octets());
        }
        None => null(out),
    }
}

/// JSON that `jsonb` accepts.
mod json {
    use super::{Value, memmem};
    use std::borrow::Cow;

    pub fn object(out: &mut Vec<u8>, fields: &[(Cow<'_, str>, Value<'_>)]) {
        out.push(b'{');
        for (i, (name, value)) in fields.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            string(out, name);
            out.push(b':');
            match value {
                Value::Str(s) => string(out, s),
                Value::Int(n) => out.extend_from_slice(n.to_string().as_bytes()),
                Value::Float(n) if n.is_finite() => out.extend_from_slice(n.to_string().as_bytes()),
                Value::Float(n) => string(out, &n.to_string()),
                Value::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
                Value::Json(text) => fragment(out, text),
            }
        }
        out.push(b'}');
    }

    fn string(out: &mut Vec<u8>, text: &str) {
        out.push(b'"');
        let bytes = text.as_bytes();
        let mut clean = 0;
        for (i, &b) in bytes.iter().enumerate() {
            if b >= 0x20 && b != b'"' && b != b'\\' {
                continue;
            }
            out.extend_from_slice(&bytes[clean..i]);
            clean = i + 1;
            match b {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0 => out.extend_from_slice("\u{2400}".as_bytes()),
                _ => out.extend_from_slice(format!("\\u{b:04x}").as_bytes()),
            }
        }
        out.extend_from_slice(&bytes[clean..]);
        out.push(b'"');
    }

    /// A piece of JSON from the line. `\u` escapes may name what `jsonb` refuses (NUL, halves of surrogate pairs): such a piece is
    /// rewritten, or kept as a string if it cannot be.
    fn fragment(out: &mut Vec<u8>, text: &str) {
        if memmem::find(text.as_bytes(), b"\\u").is_none() {
            out.extend_from_slice(text.as_bytes());
            return;
        }
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(value) => rewritten(out, &value),
            Err(_) => string(out, text),
        }
    }

    /// Recursion is bounded by the depth that the JSON reader accepts (128).
    fn rewritten(out: &mut Vec<u8>, value: &serde_json::Value) {
        match value {
            serde_json::Value::String(s) => string(out, s),
            serde_json::Value::Array(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    rewritten(out, item);
                }
                out.push(b']');
            }
            serde_json::Value::Object(map) => {
                out.push(b'{');
                for (i, (name, item)) in map.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    string(out, name);
                    out.push(b':');
                    rewritten(out, item);
                }
                out.push(b'}');
            }
            plain => out.extend_from_slice(plain.to_string().as_bytes()),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_jsonb_would_refuse_is_rewritten() {
            let fields = [
                (Cow::Borrowed("a\"b"), Value::from("x\0\u{1b}\n\\")),
                (Cow::Borrowed("nul"), Value::Json(r#"{"k":["\u0000", "\\u0000"]}"#.into())),
                (Cow::Borrowed("half"), Value::Json(r#"["\ud800"]"#.into())),
                (Cow::Borrowed("nan"), Value::Float(f64::NAN)),
            ];
            let mut out = Vec::new();
            object(&mut out, &fields);
            let want = "{\"a\\\"b\":\"x\u{2400}\\u001b\\n\\\\\",\"nul\":{\"k\":[\"\u{2400}\",\"\\\\u0000\"]},\"half\":\"[\\\"\\\\ud800\\\"]\",\"nan\":\"NaN\"}";
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_its_column_is_shortened_at_a_character() {
        let mut record = LogRecord::text("");
        record.username = Some("ü".repeat(600).into());
        record.host = Some("h".into());
        record.pid = Some(u32::MAX);
        fit(&mut record);
        assert_eq!(record.username.as_deref().map(str::len), Some(1024));
        assert_eq!((record.host.as_deref(), record.pid), (Some("h"), None));
        record.username = Some(format!("a{}", "ü".repeat(600)).into());
        fit(&mut record);
        assert_eq!(record.username.as_deref().map(str::len), Some(1023));
    }
}
