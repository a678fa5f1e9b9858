//! Searches: fields, modifiers and values → tests on a record (Sigma Specification 2.1, "Detection"; modifiers appendix 2.1).

use std::net::IpAddr;

use regex::bytes::{Regex, RegexBuilder};
use saphyr::Scalar;

use super::Wrong;
use super::fields::{self, Field, Seen};
use super::text::{Encoding, Piece, Place, encoded, expression, glob};
use super::yaml::{self, Node};
use crate::record::LogRecord;

/// A compiled expression may take this much memory, in bytes.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// What a search identifier stands for.
#[derive(Debug)]
pub(super) enum Search {
    /// A map: all of its items.
    All(Vec<Item>),
    /// A list: any of its elements.
    Any(Vec<Search>),
}

impl Search {
    /// Reads the value of a search identifier: a map, a list of maps, keywords, or a mixture.
    pub(super) fn read(node: &Node<'_>) -> Result<Search, Wrong> {
        if let Some(entries) = yaml::entries(node) {
            return Ok(Search::All(entries.map(|(key, value)| Item::read(key, value)).collect::<Result<_, _>>()?));
        }
        let (mut keywords, mut searches) = (Vec::new(), Vec::new());
        for element in yaml::one_or_more(node) {
            match yaml::scalar(element) {
                Some(_) => keywords.push(element),
                None if yaml::entries(element).is_some() => searches.push(Search::read(element)?),
                None => return Err((yaml::line(element), "a search is a map, a list of maps or a list of keywords".to_owned())),
            }
        }
        if !keywords.is_empty() {
            let item = Item::of(Subject::Keywords, &Modifiers::default(), &keywords, yaml::line(node))?;
            searches.push(Search::All(vec![item]));
        }
        if searches.is_empty() {
            return Err((yaml::line(node), "the search is empty".to_owned()));
        }
        Ok(Search::Any(searches))
    }

    /// Whether a record is found.
    pub(super) fn finds(&self, record: &LogRecord<'_>) -> bool {
        match self {
            Search::All(items) => items.iter().all(|item| item.holds(record)),
            Search::Any(searches) => searches.iter().any(|search| search.finds(record)),
        }
    }
}

/// One `field|modifiers: values`.
#[derive(Debug)]
pub(super) struct Item {
    subject: Subject,
    what: What,
    /// `neq`: holds where it would not.
    negated: bool,
}

#[derive(Debug)]
enum Subject {
    Field(Field),
    /// Everything that is text.
    Keywords,
}

#[derive(Debug)]
enum What {
    /// One of the tests holds, or all of them.
    Any(Vec<Test>),
    All(Vec<Test>),
    /// The field is there, or is not.
    Exists(bool),
    /// The field has the value of another one.
    SameAs(Field, Place, Case),
}

/// A test of one value.
#[derive(Debug)]
enum Test {
    /// Equal to a text without wildcards.
    Equals(String, Case),
    /// Found by an expression: what has wildcards, several texts at once, and what the rule's author wrote.
    Regex(Regex),
    /// A number, equal.
    Number(f64),
    /// A number, compared.
    Compare(Comparison, f64),
    /// An address in a network.
    Network(Network),
    Bool(bool),
    /// JSON's null, or the field is not there.
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
enum Case {
    #[default]
    Ignored,
    Told,
}

#[derive(Debug, Default)]
struct Modifiers {
    place: Place,
    case: Case,
    all: bool,
    negated: bool,
    exists: bool,
    regex: Option<RegexFlags>,
    cidr: bool,
    fieldref: bool,
    comparison: Option<Comparison>,
    encodings: Vec<Encoding>,
}

#[derive(Debug, Default, Clone, Copy)]
struct RegexFlags {
    ignore_case: bool,
    multi_line: bool,
    dot_matches_newline: bool,
}

impl Modifiers {
    fn read<'m>(names: impl Iterator<Item = &'m str>) -> Result<Modifiers, String> {
        let mut modifiers = Modifiers::default();
        for name in names {
            match name {
                "contains" => modifiers.place = Place::Anywhere,
                "startswith" => modifiers.place = Place::Start,
                "endswith" => modifiers.place = Place::End,
                "all" => modifiers.all = true,
                "cased" => modifiers.case = Case::Told,
                "neq" => modifiers.negated = true,
                "exists" => modifiers.exists = true,
                "re" => modifiers.regex = Some(RegexFlags::default()),
                "i" | "m" | "s" => {
                    let flags =
                        modifiers.regex.as_mut().ok_or_else(|| format!("the modifier \"{name}\" belongs after \"re\""))?;
                    match name {
                        "i" => flags.ignore_case = true,
                        "m" => flags.multi_line = true,
                        _ => flags.dot_matches_newline = true,
                    }
                }
                "cidr" => modifiers.cidr = true,
                "fieldref" => modifiers.fieldref = true,
                "lt" => modifiers.comparison = Some(Comparison::Less),
                "lte" => modifiers.comparison = Some(Comparison::LessOrEqual),
                "gt" => modifiers.comparison = Some(Comparison::Greater),
                "gte" => modifiers.comparison = Some(Comparison::GreaterOrEqual),
                "base64" => modifiers.encodings.push(Encoding::Base64),
                "base64offset" => modifiers.encodings.push(Encoding::Base64Offset),
                "wide" | "utf16le" => modifiers.encodings.push(Encoding::Utf16Le),
                "utf16be" => modifiers.encodings.push(Encoding::Utf16Be),
                "utf16" => modifiers.encodings.push(Encoding::Utf16),
                "windash" => modifiers.encodings.push(Encoding::Windash),
                "expand" => return Err("placeholders (modifier \"expand\") are not supported; write the values".to_owned()),
                "minute" | "hour" | "day" | "week" | "month" | "year" => {
                    return Err(format!("the modifier \"{name}\" of times is not supported"));
                }
                _ => return Err(format!("there is no modifier \"{name}\"")),
            }
        }
        let kinds = [
            modifiers.exists,
            modifiers.regex.is_some(),
            modifiers.cidr,
            modifiers.comparison.is_some(),
            modifiers.place != Place::Whole && !modifiers.fieldref,
            modifiers.fieldref,
        ];
        if kinds.iter().filter(|k| **k).count() > 1 {
            return Err("these modifiers exclude each other".to_owned());
        }
        Ok(modifiers)
    }
}

impl Item {
    fn read(key: &Node<'_>, value: &Node<'_>) -> Result<Item, Wrong> {
        let at = yaml::line(key);
        let name = yaml::text(key).ok_or_else(|| (at, "a field name must be text".to_owned()))?;
        let mut parts = name.split('|');
        let subject = match parts.next().unwrap_or_default() {
            "" => Subject::Keywords,
            field => Subject::Field(Field::named(field)),
        };
        let modifiers = Modifiers::read(parts).map_err(|what| (at, what))?;
        let values: Vec<&Node<'_>> = yaml::one_or_more(value).iter().collect();
        Item::of(subject, &modifiers, &values, at)
    }

    fn of(subject: Subject, modifiers: &Modifiers, values: &[&Node<'_>], at: usize) -> Result<Item, Wrong> {
        let wrong = |what: &str| (at, what.to_owned());
        if values.is_empty() {
            return Err(wrong("the list of values is empty"));
        }
        let only = match values {
            [one] => yaml::scalar(one),
            _ => None,
        };
        let what = if modifiers.exists {
            match only {
                Some(Scalar::Boolean(wanted)) => What::Exists(*wanted),
                _ => return Err(wrong("exists takes true or false")),
            }
        } else if modifiers.fieldref {
            match only {
                Some(Scalar::String(other)) => What::SameAs(Field::named(other), modifiers.place, modifiers.case),
                _ => return Err(wrong("fieldref takes the name of one field")),
            }
        } else {
            let mut tests = Tests { modifiers, tests: Vec::new(), patterns: Vec::new() };
            for value in values {
                let line = yaml::line(value);
                let scalar =
                    yaml::scalar(value).ok_or_else(|| (line, "a value is text, a number, true, false or null".to_owned()))?;
                tests.add(scalar, matches!(subject, Subject::Keywords)).map_err(|what| (line, what))?;
            }
            let tests = tests.finish().map_err(|what| (at, what))?;
            if modifiers.all { What::All(tests) } else { What::Any(tests) }
        };
        if matches!((&subject, &what), (Subject::Keywords, What::Exists(_) | What::SameAs(..))) {
            return Err(wrong("this modifier needs a field"));
        }
        Ok(Item { subject, what, negated: modifiers.negated })
    }

    fn holds(&self, record: &LogRecord<'_>) -> bool {
        let one = |test: &Test| match &self.subject {
            Subject::Keywords => fields::any_text(record, &mut |text| test.holds(Seen::Text(text))),
            Subject::Field(field) => {
                field.any(record, &mut |value| test.holds(value)) || matches!(test, Test::Null) && !field.exists(record)
            }
        };
        let found = match (&self.what, &self.subject) {
            (What::Any(tests), _) => tests.iter().any(one),
            (What::All(tests), _) => tests.iter().all(one),
            (What::Exists(wanted), Subject::Field(field)) => field.exists(record) == *wanted,
            (What::SameAs(other, place, case), Subject::Field(field)) => {
                field.any(record, &mut |value| other.any(record, &mut |reference| compare(value, reference, *place, *case)))
            }
            (What::Exists(_) | What::SameAs(..), Subject::Keywords) => false,
        };
        found != self.negated
    }
}

fn compare(value: Seen<'_>, reference: Seen<'_>, place: Place, case: Case) -> bool {
    value.with_text(|value| {
        reference.with_text(|reference| {
            let (value, reference) = match case {
                Case::Told => (value.to_owned(), reference.to_owned()),
                Case::Ignored => (value.to_lowercase(), reference.to_lowercase()),
            };
            match place {
                Place::Whole => value == reference,
                Place::Start => value.starts_with(&reference),
                Place::End => value.ends_with(&reference),
                Place::Anywhere => value.contains(&reference),
            }
        })
    })
}

/// The tests of an item, while its values are read.
struct Tests<'m> {
    modifiers: &'m Modifiers,
    tests: Vec<Test>,
    /// Texts that only an expression can find; where any of them will do, one finds them all.
    patterns: Vec<String>,
}

impl Tests<'_> {
    fn add(&mut self, value: &Scalar<'_>, is_keyword: bool) -> Result<(), String> {
        let modifiers = self.modifiers;
        let as_text = match value {
            Scalar::String(text) => Some(text.clone().into_owned()),
            Scalar::Integer(number) => Some(number.to_string()),
            Scalar::FloatingPoint(number) => Some(number.to_string()),
            Scalar::Boolean(_) | Scalar::Null => None,
        };
        if let Some(flags) = modifiers.regex {
            let expression = as_text.ok_or("re takes text")?;
            self.tests.push(Test::Regex(regex(&expression, flags)?));
        } else if modifiers.cidr {
            let network = as_text.as_deref().and_then(Network::parse);
            self.tests.push(Test::Network(network.ok_or("cidr takes a network such as 10.0.0.0/8 or fd00::/8")?));
        } else if let Some(comparison) = modifiers.comparison {
            let number = as_text.and_then(|t| t.trim().parse::<f64>().ok()).ok_or("this modifier takes a number")?;
            self.tests.push(Test::Compare(comparison, number));
        } else {
            match value {
                Scalar::Null => self.tests.push(Test::Null),
                Scalar::Boolean(truth) => self.tests.push(Test::Bool(*truth)),
                Scalar::Integer(number) if self.is_plain(is_keyword) => self.tests.push(Test::Number(*number as f64)),
                Scalar::FloatingPoint(number) if self.is_plain(is_keyword) => self.tests.push(Test::Number(number.into_inner())),
                _ => self.add_text(&as_text.unwrap_or_default(), is_keyword)?,
            }
        }
        Ok(())
    }

    /// Without a modifier that makes text of a number.
    fn is_plain(&self, is_keyword: bool) -> bool {
        !is_keyword && self.modifiers.place == Place::Whole && self.modifiers.encodings.is_empty()
    }

    fn add_text(&mut self, text: &str, is_keyword: bool) -> Result<(), String> {
        let mut place = if is_keyword { Place::Anywhere } else { self.modifiers.place };
        let variants = encoded(glob(text), &self.modifiers.encodings)?;
        if self.modifiers.encodings.contains(&Encoding::Base64Offset) {
            place = Place::Anywhere;
        }
        for pieces in variants {
            match &pieces[..] {
                [] if place == Place::Whole => self.tests.push(Test::Equals(String::new(), Case::Told)),
                [Piece::Text(text)] if place == Place::Whole && (text.is_ascii() || self.modifiers.case == Case::Told) => {
                    self.tests.push(Test::Equals(text.clone(), self.modifiers.case));
                }
                pieces => {
                    let pattern = expression(pieces, place);
                    if self.modifiers.all {
                        self.tests.push(Test::Regex(self.compile(&pattern)?));
                    } else {
                        self.patterns.push(pattern);
                    }
                }
            }
        }
        Ok(())
    }

    fn compile(&self, pattern: &str) -> Result<Regex, String> {
        let flags =
            RegexFlags { ignore_case: self.modifiers.case == Case::Ignored, multi_line: false, dot_matches_newline: true };
        regex(pattern, flags)
    }

    fn finish(mut self) -> Result<Vec<Test>, String> {
        if !self.patterns.is_empty() {
            let any = self.compile(&self.patterns.join("|"))?;
            self.tests.push(Test::Regex(any));
        }
        Ok(self.tests)
    }
}

fn regex(expression: &str, flags: RegexFlags) -> Result<Regex, String> {
    RegexBuilder::new(expression)
        .case_insensitive(flags.ignore_case)
        .multi_line(flags.multi_line)
        .dot_matches_new_line(flags.dot_matches_newline)
        .size_limit(MAX_REGEX_BYTES)
        .dfa_size_limit(MAX_REGEX_BYTES / 4)
        .build()
        .map_err(|e| match e {
            regex::Error::CompiledTooBig(_) => "the expressions of this item are too large".to_owned(),
            // The library draws the place over several lines; the last one says what it is.
            other => format!("this is no regular expression: {}", other.to_string().lines().last().unwrap_or_default().trim()),
        })
}

impl Test {
    fn holds(&self, value: Seen<'_>) -> bool {
        match self {
            Test::Equals(text, Case::Ignored) => value.with_text(|value| value.eq_ignore_ascii_case(text)),
            Test::Equals(text, Case::Told) => value.with_text(|value| value == text),
            Test::Regex(regex) => value.with_text(|value| regex.is_match(value.as_bytes())),
            Test::Number(number) => number_of(value) == Some(*number),
            Test::Compare(comparison, number) => number_of(value).is_some_and(|value| match comparison {
                Comparison::Less => value < *number,
                Comparison::LessOrEqual => value <= *number,
                Comparison::Greater => value > *number,
                Comparison::GreaterOrEqual => value >= *number,
            }),
            Test::Network(network) => match value {
                Seen::Ip(ip) => network.holds(ip),
                Seen::Text(text) => text.parse().is_ok_and(|ip| network.holds(ip)),
                _ => false,
            },
            Test::Bool(truth) => match value {
                Seen::Bool(value) => value == *truth,
                Seen::Text(text) => text.eq_ignore_ascii_case(if *truth { "true" } else { "false" }),
                _ => false,
            },
            Test::Null => value == Seen::Null,
        }
    }
}

fn number_of(value: Seen<'_>) -> Option<f64> {
    match value {
        Seen::Int(number) => Some(number as f64),
        Seen::Float(number) => Some(number),
        Seen::Text(text) => text.trim().parse().ok(),
        Seen::Bool(_) | Seen::Ip(_) | Seen::Null => None,
    }
}

/// A network, as its first address and the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = text.trim().split_once('/').map_or((text.trim(), None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(most), |p| p.parse().ok()).filter(|p| *p <= most)?;
        Some(Network { address, prefix })
    }

    fn holds(&self, ip: IpAddr) -> bool {
        let (ours, theirs, bits) = match (self.address, ip.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (u128::from(ours.to_bits()), u128::from(theirs.to_bits()), 32),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits(), theirs.to_bits(), 128),
            _ => return false,
        };
        // A prefix of 0 would shift everything out at once.
        u32::from(self.prefix) == 0 || (ours ^ theirs) >> (bits - u32::from(self.prefix)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        for (network, ip, want) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1/32", "::ffff:192.0.2.1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("::/0", "192.0.2.1", false),
        ] {
            assert_eq!(Network::parse(network).unwrap().holds(ip.parse().unwrap()), want, "{ip} in {network}");
        }
        for wrong in ["10.0.0.0/33", "10.0.0/8", "example.com", "::1/129", ""] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }
}
