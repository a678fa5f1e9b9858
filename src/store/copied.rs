//! Rows that come by COPY, which takes the server and us half the time of a statement.
//!
//! Format: PostgreSQL 15 manual, COPY, "Binary Format": a header, and rows of a number of fields (16 bits), each behind its length in bytes
//! (32 bits, -1 for NULL); all numbers big-endian. A field is as its type's send function writes it.

use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use sqlx::postgres::PgConnection;

use crate::record::Timestamp;

/// A signature, flags, and the length of an extension, of which there is none.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// 2000-01-01 in microseconds since 1970: where PostgreSQL counts from.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// Rows on their way, as of the moment when they were asked for. The connection can be used again once all have come.
pub(super) struct Copied<'c> {
    pieces: BoxStream<'c, Result<bytes::Bytes, sqlx::Error>>,
    /// What has come and is not read yet: less than a row, once all rows in it are.
    come: Vec<u8>,
    began: bool,
}

impl<'c> Copied<'c> {
    /// Asks for the rows of a statement, which can have no parameters.
    pub async fn begin(connection: &'c mut PgConnection, select: &str) -> Result<Copied<'c>, sqlx::Error> {
        let pieces = connection.copy_out_raw(&format!("COPY ({select}) TO STDOUT (FORMAT BINARY)")).await?;
        Ok(Copied { pieces, come: Vec::new(), began: false })
    }

    /// Waits for more, and hands each row that has come whole to `each`. False: there are no more.
    pub async fn next(&mut self, mut each: impl FnMut(Row<'_>) -> Result<(), sqlx::Error>) -> Result<bool, sqlx::Error> {
        let Some(piece) = self.pieces.try_next().await? else { return Ok(false) };
        // As the server sends them, a piece is a row: mostly there is nothing to be put together.
        let mut come = &piece[..];
        if !self.come.is_empty() {
            self.come.extend_from_slice(&piece);
            come = &self.come;
        }
        if !self.began {
            if come.len() < HEADER.len() {
                self.come = come.to_vec();
                return Ok(true);
            }
            come = come.strip_prefix(HEADER).ok_or_else(malformed)?;
            self.began = true;
        }
        while let Some((row, rest)) = split_row(come) {
            come = rest;
            // The trailer has no fields.
            if !row.is_empty() {
                each(Row(row))?;
            }
        }
        self.come = come.to_vec();
        Ok(true)
    }
}

/// The fields of the next row, each behind its length, and what is behind the row. `None` where not all of it has come.
fn split_row(come: &[u8]) -> Option<(&[u8], &[u8])> {
    let (count, rest) = come.split_first_chunk::<2>()?;
    let mut behind = rest;
    for _ in 0..i16::from_be_bytes(*count) {
        let (length, value) = behind.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        behind = value.get(length..)?;
    }
    Some((&rest[..rest.len() - behind.len()], behind))
}

/// The fields of a row that were not read yet.
pub(super) struct Row<'r>(&'r [u8]);

impl<'r> Row<'r> {
    /// The next field; `None` for NULL.
    pub fn value(&mut self) -> Result<Option<&'r [u8]>, sqlx::Error> {
        let (length, rest) = self.0.split_first_chunk::<4>().ok_or_else(malformed)?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            self.0 = rest;
            return Ok(None);
        };
        let (value, rest) = rest.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(Some(value))
    }

    /// A `text` or a value of an enum.
    pub fn text(&mut self) -> Result<Option<&'r str>, sqlx::Error> {
        self.value()?.map(text).transpose()
    }

    /// A `bigint` that is not NULL.
    pub fn int8(&mut self) -> Result<i64, sqlx::Error> {
        int8(present(self.value()?)?)
    }

    /// A `boolean`; NULL is none.
    pub fn truth(&mut self) -> Result<bool, sqlx::Error> {
        Ok(self.value()?.is_some_and(|value| value == [1]))
    }

    /// A `text[]` of one dimension, whose elements are not NULL.
    pub fn texts(&mut self) -> Result<Texts<'r>, sqlx::Error> {
        // The number of dimensions, whether there are NULLs, the type of the elements; for each dimension its length and lower bound.
        let value = present(self.value()?)?;
        let (head, rest) = value.split_at_checked(12).ok_or_else(malformed)?;
        match int4(&head[..4])? {
            0 => Ok(Texts(&[])),
            1 => rest.get(8..).map(Texts).ok_or_else(malformed),
            _ => Err(malformed()),
        }
    }

    /// A `timestamptz`.
    pub fn time(&mut self) -> Result<Option<Timestamp>, sqlx::Error> {
        self.value()?.map(time).transpose()
    }
}

/// The elements of an array that were not read yet.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'r>(&'r [u8]);

impl<'r> Iterator for Texts<'r> {
    type Item = &'r str;

    fn next(&mut self) -> Option<&'r str> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (element, rest) = rest.split_at_checked(usize::try_from(i32::from_be_bytes(*length)).ok()?)?;
        self.0 = rest;
        std::str::from_utf8(element).ok()
    }
}

/// A field that is never NULL.
pub(super) fn present<T>(value: Option<T>) -> Result<T, sqlx::Error> {
    value.ok_or_else(malformed)
}

/// A `text` or a value of an enum.
pub(super) fn text(value: &[u8]) -> Result<&str, sqlx::Error> {
    std::str::from_utf8(value).map_err(|_| malformed())
}

/// An `integer`.
pub(super) fn int4(value: &[u8]) -> Result<i32, sqlx::Error> {
    value.try_into().map(i32::from_be_bytes).map_err(|_| malformed())
}

/// A `bigint`.
pub(super) fn int8(value: &[u8]) -> Result<i64, sqlx::Error> {
    value.try_into().map(i64::from_be_bytes).map_err(|_| malformed())
}

/// A `timestamptz`.
pub(super) fn time(value: &[u8]) -> Result<Timestamp, sqlx::Error> {
    Ok(Timestamp::from_micros(int8(value)?.saturating_add(POSTGRES_EPOCH)))
}

/// What came is not what was asked for.
pub(super) fn malformed() -> sqlx::Error {
    sqlx::Error::Protocol("a value is not of the type of its column".to_owned())
}
