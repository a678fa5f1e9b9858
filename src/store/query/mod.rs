//! The search language of logs: text → [`Query`] → bound SQL.
//!
//! ```text
//! query  = *(term)                       separated by spaces; all must hold
//! term   = ["-"] (field ":" value *("," value) / word)       "-": must not hold; ",": any of them
//! value  = [">=" / "<=" / ">" / "<"] word
//! word   = 1*(bare / quoted)             in bare text "*" stands for anything; quoted text stands for itself, \" and \\ in it for " and \
//! ```
//!
//! A word without a field is looked for in `message`, anywhere in it, whatever the case. Values of fields are compared whole, case
//! included. `field:*` holds where there is any value. Fields are the columns of `logs` under their own and their ECS names, `ip` and
//! `port` for either end; any other dotted name, and `fields.NAME`, asks the column `fields`. Addresses may be networks
//! (`10.0.0.0/8`). Times are RFC 3339, those without a zone UTC; a date is that whole day: `time:2026-11-20`, `time:>=…`, `from:…` (at or
//! after), `to:…` (before), `last:24h`.
//!
//! Reading is pure. The same text at the same time always gives the same query; writing a query and reading it again gives the same.

mod parse;
pub(super) mod sql;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};
use std::net::IpAddr;

pub use parse::{QueryError, instant, span};

use crate::record::{EventType, Severity, Timestamp};

/// What is looked for in `logs`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// When it happened.
    pub range: Range,
    /// What else must hold, all of it.
    pub terms: Vec<Term>,
}

impl Query {
    /// Reads a query; `now` is what `last:` counts back from.
    ///
    /// # Errors
    /// The text is none: where, and what was expected.
    pub fn parse(text: &str, now: Timestamp) -> Result<Query, QueryError> {
        parse::query(text, now)
    }
}

/// A range of event time, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// At this time or later.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
}

impl Range {
    /// What is in both.
    #[must_use]
    pub fn and(self, other: Range) -> Range {
        Range { from: self.from.max(other.from), to: [self.to, other.to].into_iter().flatten().min() }
    }

    /// True where nothing can be in it.
    pub fn is_empty(self) -> bool {
        matches!((self.from, self.to), (Some(from), Some(to)) if from >= to)
    }
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// It must not hold. Where a record has no such value, the condition does not hold, and its negation does.
    pub negated: bool,
    /// The condition.
    pub test: Test,
}

/// What a record is tested for. Lists are never empty; any of them is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// Somewhere in the message, whatever the case of ASCII letters.
    Message(Vec<Pattern>),
    /// The whole value of a column.
    Text(TextField, Vec<Pattern>),
    /// A number.
    Number(NumberField, Vec<(Comparison, i64)>),
    /// An address in one of the networks.
    Address(AddressField, Vec<Network>),
    /// There is such a number.
    HasNumber(NumberField),
    /// There is such an address.
    HasAddress(AddressField),
    /// How bad it is.
    Severity(Vec<(Comparison, Severity)>),
    /// What kind of event.
    EventType(Vec<EventType>),
    /// A value in `fields` under this name; of a list, any entry.
    Named(String, Vec<NamedValue>),
    /// What people did with the record.
    Is(Mark),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Comparison {
    Equal,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Comparison {
    /// As it is written before a value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Comparison::Equal => "",
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
            Comparison::More => ">",
            Comparison::AtLeast => ">=",
        }
    }
}

/// What a value in `fields` is tested for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedValue {
    /// Its text.
    Text(Pattern),
    /// That it is a number, and how large. Never [`Comparison::Equal`].
    Number(Comparison, Decimal),
}

/// A number as it was written: an optional minus sign, digits, an optional fraction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal(String);

impl Decimal {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text with anything (`*`) between its pieces: one piece stands for itself, `["web", ""]` for `web*`. No NUL is in it (as in the
/// database, where U+2400 stands for one), and no piece is empty but the first and the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<String>);

impl Pattern {
    /// The text, where nothing in it stands for anything else.
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The pieces between which anything may stand.
    pub fn pieces(&self) -> &[String] {
        &self.0
    }

    /// Holds for any text.
    fn is_anything(&self) -> bool {
        self.0.len() == 2 && self.0.iter().all(String::is_empty)
    }

    /// Whether it fits a whole text.
    fn fits(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.0.as_slice() else { return self.literal() == Some(text) };
        let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
        for piece in middle {
            let Some(at) = rest.find(piece.as_str()) else { return false };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(last.as_str())
    }
}

/// A network, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its first address: the bits after the prefix are zero. IPv4-mapped IPv6 addresses are IPv4, as in the database.
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// The network that an address is in; `None` where it has not that many bits.
    pub fn new(address: IpAddr, bits: u8) -> Option<Network> {
        let (address, bits) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), mapped @ IpAddr::V4(_)) if (96..=128).contains(&bits) => (mapped, bits - 96),
            _ => (address, bits),
        };
        let address = match address {
            IpAddr::V4(ip) if bits <= 32 => {
                IpAddr::V4((ip.to_bits() & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)).into())
            }
            IpAddr::V6(ip) if bits <= 128 => {
                IpAddr::V6((ip.to_bits() & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)).into())
            }
            _ => return None,
        };
        Some(Network { address, bits })
    }

    /// True for a single address.
    pub fn is_address(self) -> bool {
        self.bits == if self.address.is_ipv4() { 32 } else { 128 }
    }
}

/// `192.0.2.0/24`; a single address without its length.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if self.is_address() { Ok(()) } else { write!(f, "/{}", self.bits) }
    }
}

macro_rules! fields {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum $name { $($variant,)+ }

        impl $name {
            /// As queries name it.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }
    };
}

fields! {
    /// Columns of text.
    TextField { Source = "source", Host = "host", App = "app", Username = "username", Protocol = "protocol", Action = "action", }
}
fields! {
    /// Numbers; `Port` is that of either end.
    NumberField { Id = "id", Pid = "pid", SrcPort = "src_port", DstPort = "dst_port", Port = "port", }
}
fields! {
    /// Addresses; `Ip` is that of either end.
    AddressField { SrcIp = "src_ip", DstIp = "dst_ip", Ip = "ip", }
}
fields! {
    /// What people did with a record. Records that are archived are found only where a query asks for them.
    Mark { Archived = "archived", Annotated = "annotated", }
}

/// As it can be read again.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.range.from.map(|t| format!("from:{t}"));
        let to = self.range.to.map(|t| format!("to:{t}"));
        let terms = self.terms.iter().map(Term::to_string);
        let words: Vec<String> = from.into_iter().chain(to).chain(terms).collect();
        f.write_str(&words.join(" "))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negated {
            f.write_char('-')?;
        }
        match &self.test {
            Test::Message(patterns) => write!(f, "message:{}", list(patterns, Pattern::to_string)),
            Test::Text(field, patterns) => write!(f, "{}:{}", field.as_str(), list(patterns, Pattern::to_string)),
            Test::Number(field, values) => {
                write!(f, "{}:{}", field.as_str(), list(values, |(c, n)| format!("{}{n}", c.as_str())))
            }
            Test::Address(field, networks) => write!(f, "{}:{}", field.as_str(), list(networks, Network::to_string)),
            Test::HasNumber(field) => write!(f, "{}:*", field.as_str()),
            Test::HasAddress(field) => write!(f, "{}:*", field.as_str()),
            Test::Severity(values) => write!(f, "severity:{}", list(values, |(c, s)| format!("{}{s}", c.as_str()))),
            Test::EventType(types) => write!(f, "event_type:{}", list(types, EventType::to_string)),
            Test::Named(name, values) => write!(
                f,
                "fields.{name}:{}",
                list(values, |value| match value {
                    NamedValue::Text(pattern) => pattern.to_string(),
                    NamedValue::Number(comparison, number) => format!("{}{}", comparison.as_str(), number.0),
                })
            ),
            Test::Is(mark) => write!(f, "is:{}", mark.as_str()),
        }
    }
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(",")
}

/// Quoted, where it would mean something else.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '/' | ':');
        for (i, piece) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_char('*')?;
            }
            if piece.chars().all(is_plain) && !(piece.is_empty() && self.0.len() == 1) {
                f.write_str(piece)?;
            } else {
                write!(f, "\"{}\"", piece.replace('\\', "\\\\").replace('"', "\\\""))?;
            }
        }
        Ok(())
    }
}
