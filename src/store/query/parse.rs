//! Text → [`Query`].

use std::net::IpAddr;

use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{char, digit1, satisfy};
use nom::combinator::{all_consuming, map, opt, recognize};
use nom::sequence::{pair, preceded, terminated};
use nom::{IResult, Parser};

use super::{
    AddressField, Comparison, Decimal, Mark, NamedValue, Network, NumberField, Pattern, Query, Range, Term, Test, TextField,
};
use crate::record::{Civil, EventType, Severity, Timestamp};

/// Why a text is no query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (at byte {offset})")]
pub struct QueryError {
    /// Where, in bytes from the beginning; at most the length of the text.
    pub offset: usize,
    /// What is wrong there, and what was expected.
    pub problem: String,
}

/// Queries are typed by people.
const MAX_BYTES: usize = 8_192;
/// Values in a query; each is a parameter of the statement.
const MAX_VALUES: usize = 256;

/// What a name before a colon means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Message,
    Text(TextField),
    Number(NumberField),
    Address(AddressField),
    Severity,
    EventType,
    Is,
    Time,
    From,
    To,
    Last,
}

/// The fields by all names they are known by: the column's own first, then ECS names and what people write.
const FIELDS: &[(Field, &[&str])] = &[
    (Field::Message, &["message", "msg"]),
    (Field::Text(TextField::Source), &["source"]),
    (Field::Text(TextField::Host), &["host", "host.name"]),
    (Field::Text(TextField::App), &["app", "process.name"]),
    (Field::Text(TextField::Username), &["username", "user", "user.name"]),
    (Field::Text(TextField::Protocol), &["protocol", "network.transport"]),
    (Field::Text(TextField::Action), &["action", "event.action"]),
    (Field::Number(NumberField::Id), &["id"]),
    (Field::Number(NumberField::Pid), &["pid", "process.pid"]),
    (Field::Number(NumberField::SrcPort), &["src_port", "source.port", "client.port"]),
    (Field::Number(NumberField::DstPort), &["dst_port", "destination.port", "server.port"]),
    (Field::Number(NumberField::Port), &["port"]),
    (Field::Address(AddressField::SrcIp), &["src_ip", "source.ip", "client.ip"]),
    (Field::Address(AddressField::DstIp), &["dst_ip", "destination.ip", "server.ip"]),
    (Field::Address(AddressField::Ip), &["ip"]),
    (Field::Severity, &["severity"]),
    (Field::EventType, &["event_type", "type"]),
    (Field::Is, &["is"]),
    (Field::Time, &["time", "event_time", "@timestamp"]),
    (Field::From, &["from"]),
    (Field::To, &["to"]),
    (Field::Last, &["last"]),
];

/// Reads a whole query.
pub(super) fn query(text: &str, now: Timestamp) -> Result<Query, QueryError> {
    if text.len() > MAX_BYTES {
        return Err(QueryError {
            offset: text.floor_char_boundary(MAX_BYTES),
            problem: format!("a query has at most {MAX_BYTES} bytes"),
        });
    }
    let mut reader = Reader { text, now, query: Query::default(), values: 0 };
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        rest = reader.term(rest)?.trim_start();
    }
    Ok(reader.query)
}

struct Reader<'t> {
    text: &'t str,
    now: Timestamp,
    query: Query,
    values: usize,
}

/// A value as it is written, with the place where it stands.
struct Value<'t> {
    at: &'t str,
    comparison: Comparison,
    pattern: Pattern,
}

impl<'t> Reader<'t> {
    /// Something is wrong where `at`, a rest of the text, begins.
    fn wrong(&self, at: &str, problem: impl Into<String>) -> QueryError {
        QueryError { offset: self.text.len() - at.len(), problem: problem.into() }
    }

    /// Reads a term; returns what follows it.
    fn term(&mut self, input: &'t str) -> Result<&'t str, QueryError> {
        let (begin, minus) = opt_minus(input);
        let negated = minus.is_some();
        let Ok((rest, name)) = name(begin) else {
            let (rest, pattern) = self.word(begin, "something to look for", |_| false)?;
            let written = &begin[..begin.len() - rest.len()];
            if let Some(advice) = misunderstood(written) {
                return Err(self.wrong(begin, advice));
            }
            if pattern.literal() == Some("") {
                return Err(self.wrong(begin, "expected something to look for between the quotes"));
            }
            self.count(begin, 1)?;
            self.query.terms.push(Term { negated, test: Test::Message(vec![pattern]) });
            return Ok(rest);
        };
        let field = self.field(begin, name)?;
        let (rest, values) = self.values(rest, name)?;
        self.count(begin, values.len())?;
        match field {
            Some(field @ (Field::Time | Field::From | Field::To | Field::Last)) => {
                if negated {
                    return Err(self.wrong(input, format!("{name}: cannot be excluded: give from: and to: of what is wanted")));
                }
                let [value] = values.as_slice() else {
                    return Err(self.wrong(values[1].at, format!("{name}: takes one value")));
                };
                let range = self.query.range.and(self.range(field, name, value)?);
                if range.is_empty() {
                    return Err(self.wrong(begin, "no time is in this range: it ends before it begins"));
                }
                self.query.range = range;
            }
            Some(field) => {
                let test = self.test(field, name, &values)?;
                self.query.terms.push(Term { negated, test });
            }
            None => {
                let asked = name.strip_prefix("fields.").unwrap_or(name).to_owned();
                let test = Test::Named(asked, self.each(&values, |reader, v| reader.named(v))?);
                self.query.terms.push(Term { negated, test });
            }
        }
        Ok(rest)
    }

    fn count(&mut self, at: &str, values: usize) -> Result<(), QueryError> {
        self.values += values;
        if self.values > MAX_VALUES {
            return Err(self.wrong(at, format!("a query has at most {MAX_VALUES} values")));
        }
        Ok(())
    }

    /// What a name means; `None` for one that asks `fields`.
    fn field(&self, at: &str, name: &str) -> Result<Option<Field>, QueryError> {
        if let Some((field, _)) = FIELDS.iter().find(|(_, names)| names.iter().any(|n| n.eq_ignore_ascii_case(name))) {
            return Ok(Some(*field));
        }
        let asked = name.strip_prefix("fields.").unwrap_or(name);
        if asked.is_empty() {
            return Err(self.wrong(at, "expected the name of a field after \"fields.\""));
        }
        if name.contains('.') {
            return Ok(None);
        }
        let lower = name.to_ascii_lowercase();
        let near = FIELDS.iter().flat_map(|(_, names)| names.iter());
        let near = near
            .map(|n| (strsim::damerau_levenshtein(n, &lower), *n))
            .min()
            .filter(|(distance, n)| *distance <= n.len().max(3) / 3);
        let quotes = "text with a colon in it is looked for in quotes";
        Err(self.wrong(
            at,
            match near {
                Some((_, n)) => format!("there is no field {name:?}; did you mean {n:?}? ({quotes})"),
                None => format!("there is no field {name:?}; what has no column is asked as fields.{name} ({quotes})"),
            },
        ))
    }

    /// The values after `name:`, at least one.
    fn values(&self, mut rest: &'t str, name: &str) -> Result<(&'t str, Vec<Value<'t>>), QueryError> {
        let mut values = Vec::new();
        loop {
            let (after, comparison) = comparison(rest);
            let (after, pattern) = self.word(after, &format!("a value of {name}"), |c| c == ',')?;
            values.push(Value { at: rest, comparison, pattern });
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => return Ok((after, values)),
            }
        }
    }

    /// A word up to a space, or up to what `ends` it.
    fn word(&self, input: &'t str, expected: &str, ends: impl Fn(char) -> bool) -> Result<(&'t str, Pattern), QueryError> {
        let mut rest = input;
        let mut pieces = vec![String::new()];
        loop {
            let bare = |c: char| !c.is_whitespace() && c != '"' && !ends(c);
            if let Ok((after, text)) = take_while1::<_, _, ()>(bare)(rest) {
                for (i, literal) in text.split('*').enumerate() {
                    // Two stars in a row are one.
                    if i > 0 && (pieces.len() == 1 || pieces.last().is_some_and(|last| !last.is_empty())) {
                        pieces.push(String::new());
                    }
                    pieces.last_mut().expect("there is one from the beginning").push_str(literal);
                }
                rest = after;
            } else if rest.starts_with('"') {
                let (after, text) =
                    quoted(rest).ok_or_else(|| self.wrong(rest, "this quote is not closed: expected \" at its end"))?;
                pieces.last_mut().expect("there is one from the beginning").push_str(&text);
                rest = after;
            } else if rest.len() == input.len() {
                return Err(self.wrong(input, format!("expected {expected}")));
            } else {
                break;
            }
        }
        for piece in &mut pieces {
            // PostgreSQL has no NUL in text; what was one is stored as U+2400.
            *piece = piece.replace('\0', "\u{2400}");
        }
        Ok((rest, Pattern(pieces)))
    }

    fn each<T>(
        &self,
        values: &[Value<'_>],
        read: impl Fn(&Self, &Value<'_>) -> Result<T, QueryError>,
    ) -> Result<Vec<T>, QueryError> {
        values.iter().map(|value| read(self, value)).collect()
    }

    fn test(&self, field: Field, name: &str, values: &[Value<'_>]) -> Result<Test, QueryError> {
        let anything = values.iter().any(|v| v.comparison == Comparison::Equal && v.pattern.is_anything());
        Ok(match field {
            Field::Message => Test::Message(self.each(values, |reader, v| reader.unordered(name, v))?),
            Field::Text(field) => Test::Text(field, self.each(values, |reader, v| reader.unordered(name, v))?),
            Field::Number(field) if anything => Test::HasNumber(field),
            Field::Number(field) => Test::Number(field, self.each(values, |reader, v| reader.number(name, v))?),
            Field::Address(field) if anything => Test::HasAddress(field),
            Field::Address(field) => Test::Address(field, self.each(values, |reader, v| reader.network(name, v))?),
            Field::Severity => Test::Severity(self.each(values, |reader, v| {
                let known = Severity::ALL.iter().find(|s| v.pattern.literal() == Some(s.as_str()));
                Ok((v.comparison, *known.ok_or_else(|| reader.no_word(v, name, Severity::ALL.iter().map(|s| s.as_str())))?))
            })?),
            Field::EventType => {
                let mut types: Vec<EventType> = Vec::new();
                for value in values {
                    let pattern = self.unordered(name, value)?;
                    let before = types.len();
                    types.extend(EventType::ALL.iter().filter(|t| pattern.fits(t.as_str())));
                    if types.len() == before {
                        return Err(self.no_word(value, name, EventType::ALL.iter().map(|t| t.as_str())));
                    }
                }
                types.sort_unstable();
                types.dedup();
                Test::EventType(types)
            }
            Field::Is => {
                let [value] = values else { return Err(self.wrong(values[1].at, "is: takes one value")) };
                let known = [Mark::Archived, Mark::Annotated];
                let mark =
                    known.into_iter().find(|mark| self.unordered(name, value).is_ok_and(|p| p.literal() == Some(mark.as_str())));
                Test::Is(mark.ok_or_else(|| self.no_word(value, name, known.into_iter().map(Mark::as_str)))?)
            }
            Field::Time | Field::From | Field::To | Field::Last => unreachable!("the range has been dealt with"),
        })
    }

    /// A value of something that has no order.
    fn unordered(&self, name: &str, value: &Value<'_>) -> Result<Pattern, QueryError> {
        match value.comparison {
            Comparison::Equal => Ok(value.pattern.clone()),
            c => {
                Err(self
                    .wrong(value.at, format!("{name} has no order; put the value in quotes if it begins with {:?}", c.as_str())))
            }
        }
    }

    fn no_word(&self, value: &Value<'_>, name: &str, known: impl Iterator<Item = &'static str>) -> QueryError {
        let known: Vec<&str> = known.collect();
        let given = value.pattern.pieces().concat();
        let near = known.iter().map(|k| (strsim::damerau_levenshtein(k, &given), *k)).min();
        let list = known.join(", ");
        self.wrong(
            value.at,
            match near.filter(|(distance, k)| *distance <= k.len().max(3) / 3) {
                Some((_, near)) => format!("expected a value of {name}; did you mean {near:?}? They are {list}"),
                None => format!("expected a value of {name}, one of {list}"),
            },
        )
    }

    fn number(&self, name: &str, value: &Value<'_>) -> Result<(Comparison, i64), QueryError> {
        let number = value.pattern.literal().filter(|t| t.bytes().all(|b| b.is_ascii_digit())).and_then(|t| t.parse().ok());
        let wrong = || self.wrong(value.at, format!("expected a whole number for {name}, such as 22 or >=1024"));
        Ok((value.comparison, number.ok_or_else(wrong)?))
    }

    fn network(&self, name: &str, value: &Value<'_>) -> Result<Network, QueryError> {
        let text = value.pattern.literal().filter(|_| value.comparison == Comparison::Equal);
        let network = text.and_then(|text| match text.split_once('/') {
            Some((address, bits)) => {
                let bits = bits.bytes().all(|b| b.is_ascii_digit()).then(|| bits.parse().ok())??;
                Network::new(address.parse().ok()?, bits)
            }
            None => text.parse().ok().and_then(|address: IpAddr| Network::new(address, if address.is_ipv4() { 32 } else { 128 })),
        });
        let wrong =
            || self.wrong(value.at, format!("expected an address or a network for {name}, such as 192.0.2.1 or 10.0.0.0/8"));
        network.ok_or_else(wrong)
    }

    fn named(&self, value: &Value<'_>) -> Result<NamedValue, QueryError> {
        if value.comparison == Comparison::Equal {
            return Ok(NamedValue::Text(value.pattern.clone()));
        }
        let number = value.pattern.literal().filter(|text| decimal(text).is_some());
        let wrong = || {
            let sign = value.comparison.as_str();
            self.wrong(value.at, format!("expected a number after {sign:?}; put the value in quotes if it begins with that"))
        };
        Ok(NamedValue::Number(value.comparison, Decimal(number.ok_or_else(wrong)?.to_owned())))
    }

    /// The range of time that a term leaves.
    fn range(&self, field: Field, name: &str, value: &Value<'_>) -> Result<Range, QueryError> {
        let text = value.pattern.literal().unwrap_or_default();
        if field == Field::Last {
            let micros = span(text).filter(|_| value.comparison == Comparison::Equal);
            let wrong = || self.wrong(value.at, format!("expected a length of time for {name}, such as 30m, 24h or 7d"));
            let from = self.now.plus_micros(-micros.ok_or_else(wrong)?).max(Timestamp::MIN);
            return Ok(Range { from: Some(from), to: None });
        }
        let (begin, end) = instant(text).ok_or_else(|| {
            let examples = "such as 2026-11-20, 2026-11-20T08:30 or 2026-11-20T08:30:00+01:00";
            self.wrong(value.at, format!("expected a time for {name}, {examples} (without a zone it is UTC)"))
        })?;
        let (from, to) = match (field, value.comparison) {
            (Field::From | Field::To, c) if c != Comparison::Equal => {
                return Err(
                    self.wrong(value.at, format!("{name}: takes a time and nothing before it; time: takes {:?}", c.as_str()))
                );
            }
            (Field::From, _) | (_, Comparison::AtLeast) => (Some(begin), None),
            (Field::To, _) | (_, Comparison::Less) => (None, Some(begin)),
            (_, Comparison::More) => (Some(end), None),
            (_, Comparison::AtMost) => (None, Some(end)),
            (_, Comparison::Equal) => (Some(begin), Some(end)),
        };
        Ok(Range { from, to })
    }
}

/// What stands between terms in other languages, and would be looked for as a word in this one.
fn misunderstood(word: &str) -> Option<&'static str> {
    match word {
        "AND" => Some("expected a term: all terms must hold anyway; the word itself is looked for in quotes"),
        "OR" => Some(
            "expected a term: several values of a field are written field:one,other; the word itself is looked for in quotes",
        ),
        "NOT" => Some("expected a term: what must not hold is written -term; the word itself is looked for in quotes"),
        _ => None,
    }
}

fn opt_minus(input: &str) -> (&str, Option<char>) {
    opt(char::<_, ()>('-')).parse(input).expect("what is optional is always read")
}

/// `name:`. It begins with a letter, so that times and addresses are no names.
fn name(input: &str) -> IResult<&str, &str, ()> {
    let begins = satisfy(|c| c.is_alphabetic() || matches!(c, '_' | '@'));
    let goes_on = take_while(|c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | '.' | '-'));
    terminated(recognize(pair(begins, goes_on)), char(':')).parse(input)
}

fn comparison(input: &str) -> (&str, Comparison) {
    let signs = [Comparison::AtLeast, Comparison::AtMost, Comparison::More, Comparison::Less];
    let found = signs.into_iter().find_map(|sign| input.strip_prefix(sign.as_str()).map(|rest| (rest, sign)));
    found.unwrap_or((input, Comparison::Equal))
}

/// What is between quotes; `\"` and `\\` stand for `"` and `\`, any other backslash for itself. `None` if the quote is not closed.
fn quoted(input: &str) -> Option<(&str, String)> {
    let mut text = String::new();
    let mut chars = input.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return Some((chars.as_str(), text)),
            '\\' => match chars.clone().next() {
                Some(escaped @ ('"' | '\\')) => {
                    chars.next();
                    text.push(escaped);
                }
                _ => text.push('\\'),
            },
            c => text.push(c),
        }
    }
}

/// A number as people write it, of at most 30 digits on either side of the point.
fn decimal(text: &str) -> Option<&str> {
    let digits = || nom::combinator::verify(digit1::<_, ()>, |d: &str| d.len() <= 30);
    all_consuming(recognize((opt(char('-')), digits(), opt(preceded(char('.'), digits())))))
        .parse(text)
        .ok()
        .map(|(_, number)| number)
}

/// A length of time such as `30m`, in microseconds: a whole number and `s`, `m`, `h`, `d` or `w`; at most 100 years.
pub fn span(text: &str) -> Option<i64> {
    let (unit, number) = digit1::<_, ()>(text).ok()?;
    let seconds = match unit.trim_start() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let seconds = number.parse::<i64>().ok()?.checked_mul(seconds)?;
    (seconds <= 100 * 366 * 86_400).then(|| seconds * 1_000_000)
}

/// The time that a text tells, as exactly as it does: from when, and until before when. `2026-11-20` is a day, `2026-11-20T08:30` a minute,
/// `2026-11-20T08:30:00.5Z` a microsecond. Without a zone it is UTC.
pub fn instant(text: &str) -> Option<(Timestamp, Timestamp)> {
    let number = |n: usize| nom::combinator::verify(digit1::<_, ()>, move |d: &str| d.len() == n);
    let two = || preceded(char(':'), map(number(2), |d: &str| d.parse::<u8>().unwrap_or(u8::MAX)));
    let (rest, (year, _, month, _, day)) = (number(4), char('-'), number(2), char('-'), number(2)).parse(text).ok()?;
    let (year, month, day): (i32, u8, u8) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    let midnight = Civil::new(year, month, day, 0, 0, 0, 0)?;
    if rest.is_empty() {
        let midnight = midnight.at_offset(0);
        return Some((midnight, midnight.plus_micros(86_400_000_000).min(Timestamp::MAX)));
    }
    let (rest, (_, hour, minute, second)) =
        (nom::branch::alt((char('T'), char('t'), char(' '))), number(2), two(), opt((two(), opt(preceded(char('.'), digit1)))))
            .parse(rest)
            .ok()?;
    let offset = offset_secs(rest)?;
    let (seconds, micros, precision) = match second {
        None => (0, 0, 60_000_000),
        Some((seconds, None)) => (seconds, 0, 1_000_000),
        Some((seconds, Some(digits))) => (seconds, format!("{digits:0<6.6}").parse().ok()?, 1),
    };
    let begin = Civil::new(year, month, day, hour.parse().ok()?, minute, seconds, micros)?.at_offset(offset);
    Some((begin, begin.plus_micros(precision).min(Timestamp::MAX)))
}

/// `Z`, `+01:00` or nothing, in seconds east of UTC.
fn offset_secs(text: &str) -> Option<i32> {
    if matches!(text, "" | "Z" | "z") {
        return Some(0);
    }
    let (sign, rest) = if let Some(rest) = text.strip_prefix('+') { (1, rest) } else { (-1, text.strip_prefix('-')?) };
    let two = || map(nom::combinator::verify(digit1::<_, ()>, |d: &str| d.len() == 2), |d: &str| d.parse::<i32>().unwrap_or(99));
    let (_, (hours, minutes)) = all_consuming((two(), preceded(tag(":"), two()))).parse(rest).ok()?;
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}
