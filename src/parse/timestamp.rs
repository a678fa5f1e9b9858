//! Times as log lines carry them: BSD syslog (RFC 3164 §4.1.2) with everything senders put around it, ISO 8601 and RFC 3339,
//! and seconds since the epoch.

use nom::Parser;
use nom::branch::alt;
use nom::character::complete::{char, one_of};
use nom::combinator::opt;

use super::Context;
use super::token::{Parsed, no, number};
use crate::record::{Civil, Timestamp, civil_from_days};

/// A reading as it stands in the line; not yet known to be a real date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Absent in plain BSD times.
    year: Option<i32>,
    month: u8,
    day: u8,
    clock: Clock,
    /// Seconds east of UTC, where the line names its zone.
    offset: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    hour: u8,
    minute: u8,
    second: u8,
    micros: u32,
}

/// Half a year less some days. A reading that is this close to now is closer than the same day of any other year.
const CLEARLY_CLOSE_MICROS: u64 = 180 * 86_400 * 1_000_000;

impl Reading {
    /// The instant meant: in the context's zone where the line names none, and in the year that brings it closest to
    /// `context.now` where it names none. `None` where there is no such date.
    pub(crate) fn instant(&self, context: &Context<'_>) -> Option<Timestamp> {
        let Reading { month, day, clock: c, .. } = *self;
        let civil = |year| Civil::new(year, month, day, c.hour, c.minute, c.second, c.micros);
        let at = |civil: Civil| self.offset.map_or_else(|| context.zone.instant(civil), |secs| civil.at_offset(secs));
        if let Some(year) = self.year {
            return civil(year).map(at);
        }
        // The year in UTC is the year in any zone give or take one, and the neighbours are tried anyway.
        let (this_year, ..) = civil_from_days(context.now.day());
        let distance = |t: &Timestamp| t.as_micros().abs_diff(context.now.as_micros());
        if let Some(near) = civil(this_year).map(at).filter(|t| distance(t) < CLEARLY_CLOSE_MICROS) {
            return Some(near);
        }
        // 29 February is at most four years away, around 1900 and 2100 up to eight.
        let reach = if month == 2 && day == 29 { 8 } else { 1 };
        (this_year - reach..=this_year + reach).filter_map(civil).map(at).min_by_key(distance)
    }
}

/// Any time of a syslog header.
pub(crate) fn reading(input: &str) -> Parsed<'_, Reading> {
    match input.as_bytes() {
        [a, b, c, d, b'-' | b'/', ..] if [a, b, c, d].into_iter().all(u8::is_ascii_digit) => iso(input),
        [b'0'..=b'9', ..] | [b'A'..=b'Z' | b'a'..=b'z', ..] => bsd(input),
        _ => no(),
    }
}

/// `2026-01-02T03:04:05.678901+02:00`: RFC 3339 with every liberty taken: a space or `_` for the T, `/` between the date's parts, a comma before
/// the fraction, any number of its digits (the first six count), no zone, a zone after a space or by name.
pub(crate) fn iso(input: &str) -> Parsed<'_, Reading> {
    let (rest, (year, separator)) = (number(4, 4), one_of("-/")).parse(input)?;
    let (rest, (month, _, day)) = (number(1, 2), char(separator), number(1, 2)).parse(rest)?;
    let (rest, (_, clock)) = (one_of("Tt _"), clock).parse(rest)?;
    let (rest, offset) = opt(zone).parse(rest)?;
    Ok((rest, Reading { year: Some(year as i32), month: month as u8, day: day as u8, clock, offset }))
}

/// `[Www ][YYYY ]Mmm d[d] [YYYY ]HH:MM:SS[.fraction][ zone][ YYYY][ zone]`.
fn bsd(input: &str) -> Parsed<'_, Reading> {
    let (rest, _) = opt(weekday).parse(input)?;
    let (rest, before) = opt((number(4, 4), char(' '))).parse(rest)?;
    let (rest, month) = month(rest)?;
    let (rest, _) = spaces(rest)?;
    let (rest, day) = number(1, 2)(rest)?;
    let (rest, _) = opt(char(',')).parse(rest)?;
    let (rest, _) = spaces(rest)?;
    let (rest, between) = opt((number(4, 4), char(' '))).parse(rest)?;
    let (rest, clock) = clock(rest.trim_start_matches(' '))?;
    let (rest, offset) = opt(zone).parse(rest)?;
    let mut year = before.or(between).map(|(year, _)| year);
    let (mut rest, mut offset) = (rest, offset);
    if year.is_none()
        && let Ok((after, found)) = trailing_year(rest)
    {
        (rest, year) = (after, Some(found));
        if offset.is_none() {
            (rest, offset) = opt(zone).parse(rest)?;
        }
    }
    Ok((rest, Reading { year: year.map(|y| y as i32), month, day: day as u8, clock, offset }))
}

/// `1647479552.047395997`: seconds since the epoch with a fraction (Cisco Meraki in the place of RFC 5424's TIMESTAMP).
pub(crate) fn epoch(input: &str) -> Parsed<'_, Timestamp> {
    let (rest, (seconds, micros)) = (number(9, 9), number(1, 1)).parse(input).and_then(|(rest, (high, low))| {
        let (rest, micros) = fraction(rest)?;
        Ok((rest, (i64::from(high) * 10 + i64::from(low), micros)))
    })?;
    Ok((rest, Timestamp::from_secs(seconds).plus_micros(i64::from(micros))))
}

fn trailing_year(input: &str) -> Parsed<'_, u32> {
    let (rest, (_, year)) = (char(' '), number(4, 4)).parse(input)?;
    // A colon without a space makes it the start of an IPv6 address.
    let ends = rest.is_empty() || rest == ":" || rest.starts_with(' ') || rest.starts_with(": ");
    if ends && (1970..2100).contains(&year) { Ok((rest, year)) } else { no() }
}

fn spaces(input: &str) -> Parsed<'_, ()> {
    let rest = input.trim_start_matches(' ');
    if rest.len() == input.len() { no() } else { Ok((rest, ())) }
}

fn weekday(input: &str) -> Parsed<'_, ()> {
    match lower3(input).as_ref() {
        Some(b"mon" | b"tue" | b"wed" | b"thu" | b"fri" | b"sat" | b"sun") => {
            let (rest, _) = opt(char(',')).parse(&input[3..])?;
            spaces(rest)
        }
        _ => no(),
    }
}

fn month(input: &str) -> Parsed<'_, u8> {
    let month = match lower3(input).as_ref() {
        Some(b"jan") => 1,
        Some(b"feb") => 2,
        Some(b"mar") => 3,
        Some(b"apr") => 4,
        Some(b"may") => 5,
        Some(b"jun") => 6,
        Some(b"jul") => 7,
        Some(b"aug") => 8,
        Some(b"sep") => 9,
        Some(b"oct") => 10,
        Some(b"nov") => 11,
        Some(b"dec") => 12,
        _ => return no(),
    };
    Ok((&input[3..], month))
}

/// The first three bytes with ASCII letters in lower case.
fn lower3(input: &str) -> Option<[u8; 3]> {
    match *input.as_bytes() {
        [a, b, c, ..] => Some([a | 0x20, b | 0x20, c | 0x20]),
        _ => None,
    }
}

/// `H[H]:MM:SS[.fraction]`.
fn clock(input: &str) -> Parsed<'_, Clock> {
    let (rest, (hour, _, minute, _, second)) = (number(1, 2), char(':'), number(2, 2), char(':'), number(2, 2)).parse(input)?;
    let (rest, micros) = fraction(rest)?;
    Ok((rest, Clock { hour: hour as u8, minute: minute as u8, second: second as u8, micros }))
}

/// A fraction of a second in microseconds; 0 where there is none.
fn fraction(input: &str) -> Parsed<'_, u32> {
    let [b'.' | b',', digits @ ..] = input.as_bytes() else { return Ok((input, 0)) };
    let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if len == 0 {
        return Ok((input, 0));
    }
    let micros = (0..6).fold(0, |micros, place| {
        let digit = digits[..len].get(place).map_or(0, |digit| digit - b'0');
        micros * 10 + u32::from(digit)
    });
    Ok((&input[1 + len..], micros))
}

/// A zone with or without a space before it, in seconds east of UTC. Behind a space, `Z` is a host.
fn zone(input: &str) -> Parsed<'_, i32> {
    match input.strip_prefix(' ') {
        Some(rest) if rest.starts_with(['Z', 'z']) => no(),
        Some(rest) => alt((offset, abbreviation)).parse(rest),
        None => alt((offset, abbreviation)).parse(input),
    }
}

/// `Z`, `+02:00`, `-0530`. RFC 3339 §5.6; hours to 23, since some senders write what no place on Earth has.
pub(crate) fn offset(input: &str) -> Parsed<'_, i32> {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    match input.as_bytes() {
        [b'Z' | b'z', ..] if ends(&input[1..]) => Ok((&input[1..], 0)),
        [sign @ (b'+' | b'-'), ..] => {
            let (rest, (hours, _, minutes)) = (number(2, 2), opt(char(':')), number(2, 2)).parse(&input[1..])?;
            if hours > 23 || minutes > 59 || !ends(rest) {
                return no();
            }
            let secs = (hours * 3600 + minutes * 60) as i32;
            Ok((rest, if *sign == b'-' { -secs } else { secs }))
        }
        _ => no(),
    }
}

/// The abbreviations that mean one offset only, or nearly always (`EST` is New York's, not Sydney's). What is not in this list is
/// taken for a host name.
fn abbreviation(input: &str) -> Parsed<'_, i32> {
    let len = input.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (name, rest) = input.split_at(len);
    if !(rest.is_empty() || rest.starts_with([' ', ':'])) {
        return no();
    }
    let minutes = match name {
        "UTC" | "GMT" | "utc" | "gmt" | "WET" => 0,
        "CET" | "WEST" | "BST" | "MEZ" => 60,
        "CEST" | "EET" | "MESZ" | "SAST" => 120,
        "EEST" | "MSK" => 180,
        "PKT" => 300,
        "HKT" | "SGT" | "AWST" => 480,
        "JST" | "KST" => 540,
        "ACST" => 570,
        "AEST" => 600,
        "AEDT" => 660,
        "NZST" => 720,
        "NZDT" => 780,
        "EDT" => -240,
        "EST" | "CDT" => -300,
        "CST" | "MDT" => -360,
        "MST" | "PDT" => -420,
        "PST" | "AKDT" => -480,
        "AKST" => -540,
        "HST" => -600,
        _ => return no(),
    };
    Ok((rest, minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Zone, days_from_civil};
    use proptest::prelude::*;

    fn read(text: &str, now: &str, zone: &str) -> (String, String) {
        let zone = Zone::named(zone).unwrap();
        let context = Context { now: Timestamp::parse_rfc3339(now).unwrap(), zone: &zone, own: &[] };
        let (rest, reading) = reading(text).unwrap_or_else(|_| panic!("{text}"));
        (reading.instant(&context).map_or("none".to_owned(), |t| t.to_string()), rest.to_owned())
    }

    #[test]
    fn spellings() {
        for (text, want, rest) in [
            ("Jan  5 15:33:03 host", "2026-01-05T15:33:03Z", " host"),
            ("jan 05 15:33:03.5 host", "2026-01-05T15:33:03.5Z", " host"),
            ("AUG 1 1:02:03", "2026-08-01T01:02:03Z", ""),
            ("Mar  1 2019 18:48:50.483 UTC: %SYS", "2019-03-01T18:48:50.483Z", ": %SYS"),
            ("2019 Mar  1 18:48:50 CET: x", "2019-03-01T17:48:50Z", ": x"),
            ("Mon Jun  8 12:08:44 2020 [pid 3]", "2020-06-08T12:08:44Z", " [pid 3]"),
            ("Aug 24 05:34:00 CST 1987 mymachine", "1987-08-24T11:34:00Z", " mymachine"),
            ("Aug 24 05:34:00 EDT host", "2026-08-24T09:34:00Z", " host"),
            ("Aug 24 05:34:00 +0200 host", "2026-08-24T03:34:00Z", " host"),
            ("Aug 24 05:34:00 ESTHER host", "2026-08-24T05:34:00Z", " ESTHER host"),
            ("2026-01-02T03:04:05Z host", "2026-01-02T03:04:05Z", " host"),
            ("2026-01-02T03:04:05.1234567890+01:00 host", "2026-01-02T02:04:05.123456Z", " host"),
            ("2026-01-02 03:04:05,678 host", "2026-01-02T03:04:05.678Z", " host"),
            ("2026-01-02 03:04:05.018 +00:30 1", "2026-01-02T02:34:05.018Z", " 1"),
            ("2026/01/02 03:04:05-0700  host", "2026-01-02T10:04:05Z", "  host"),
            ("2026-01-02T03:04:05 z app", "2026-01-02T03:04:05Z", " z app"),
            ("2026-01-02T03:04:05 zebra", "2026-01-02T03:04:05Z", " zebra"),
            ("2026-02-30T03:04:05Z", "none", ""),
        ] {
            assert_eq!(read(text, "2026-06-15T00:00:00Z", "UTC"), (want.to_owned(), rest.to_owned()), "{text}");
        }
        for text in ["Jam  5 15:33:03", "Jan 15:33:03", "15:33:03", "2026-01-02", "Jan é5 15:33:03", "J", "2026 01 02"] {
            assert!(reading(text).is_err(), "{text}");
        }
        assert_eq!(epoch("1647479552.047395997 x").unwrap().1.to_string(), "2022-03-17T01:12:32.047395Z");
    }

    #[test]
    fn the_closest_year_is_meant() {
        for (text, now, want) in [
            ("Dec 31 23:59:59", "2026-01-01T00:00:10Z", "2025-12-31T23:59:59Z"),
            ("Jan  1 00:00:01", "2025-12-31T23:59:50Z", "2026-01-01T00:00:01Z"),
            ("Feb 29 12:00:00", "2025-01-10T00:00:00Z", "2024-02-29T12:00:00Z"),
            ("Feb 29 12:00:00", "2026-11-20T00:00:00Z", "2028-02-29T12:00:00Z"),
            ("Feb 29 12:00:00", "2101-03-01T00:00:00Z", "2104-02-29T12:00:00Z"),
            ("Jul  1 00:00:00", "2026-01-15T00:00:00Z", "2026-07-01T00:00:00Z"),
            ("Jul 20 00:00:00", "2026-01-15T00:00:00Z", "2025-07-20T00:00:00Z"),
        ] {
            assert_eq!(read(text, now, "UTC").0, want, "{text} seen at {now}");
        }
        // In Auckland the new year begins thirteen hours earlier.
        let (got, _) = read("Jan  1 00:00:01", "2025-12-31T11:00:02Z", "Pacific/Auckland");
        assert_eq!(got, "2025-12-31T11:00:01Z");
    }

    /// A million of them: in every zone there is, around New Year, leap days and both changes of the clock, received from a day before (a
    /// clock that is fast) to half a year later.
    #[test]
    fn times_without_a_year_mean_what_their_clock_showed() {
        // xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled").
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut below = move |n: i64| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as i64 % n
        };
        let zones: Vec<(Zone, jiff::tz::TimeZone)> = jiff::tz::db()
            .available()
            .filter_map(|name| Some((Zone::named(name.as_str()).ok()?, jiff::tz::TimeZone::get(name.as_str()).ok()?)))
            .collect();
        assert!(zones.len() > 300, "{} zones", zones.len());
        let day = 86_400;
        for n in 0..1_000_000usize {
            let (zone, rules) = &zones[n % zones.len()];
            let year = 1990 + below(100) as i32;
            let mut near =
                |month, of_month, days: i64| days_from_civil(year, month, of_month) * day + below(2 * days * day) - days * day;
            let secs = match n % 4 {
                0 => near(1, 1, 2),
                1 => near(2, 28, 3),
                2 => {
                    // Within a few hours of a change of the clock, where the zone has one.
                    let from = jiff::Timestamp::from_second(near(1, 1, 1)).unwrap();
                    let change = rules.following(from).next().map_or(from, |t| t.timestamp());
                    change.as_second() + below(6 * 3600) - 3 * 3600
                }
                _ => near(7, 1, 182),
            };
            let meant = Timestamp::from_secs(secs);
            let shown = |t: Timestamp| rules.to_datetime(jiff::Timestamp::from_microsecond(t.as_micros()).unwrap());
            let clock = shown(meant);
            let text = clock.strftime("%b %e %H:%M:%S").to_string();
            let now = meant.plus_micros((below(180 * day) - day) * 1_000_000);
            let got = reading(&text).unwrap().1.instant(&Context { now, zone, own: &[] }).unwrap();
            // Where the clock is put back it shows an hour twice, and nobody can tell which is meant.
            assert!(got == meant || shown(got) == clock && got < meant, "{text} of {clock}, at {now}: {got}, meant was {meant}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(secs in 0i64..4_000_000_000, micros in 0i64..1_000_000) {
            let at = Timestamp::from_secs(secs).plus_micros(micros);
            let zone = Zone::UTC;
            let context = Context { now: at, zone: &zone, own: &[] };
            let text = at.to_string();
            let (rest, read) = reading(&text).unwrap();
            prop_assert_eq!((rest, read.instant(&context)), ("", Some(at)));
        }

        #[test]
        fn a_time_without_year_is_within_half_a_year(now in 0i64..4_000_000_000, away in -180i64 * 86_400..180 * 86_400) {
            let zone = Zone::UTC;
            let context = Context { now: Timestamp::from_secs(now), zone: &zone, own: &[] };
            let meant = Timestamp::from_secs(now + away);
            let (_, month, day) = civil_from_days(meant.day());
            prop_assume!((month, day) != (2, 29));
            let clock = (now + away).rem_euclid(86_400);
            let name = ["Jan","Feb","Mar","Apr","May","Jun","Jul","Aug","Sep","Oct","Nov","Dec"][usize::from(month) - 1];
            let text = format!("{name} {day:>2} {:02}:{:02}:{:02}", clock / 3600, clock / 60 % 60, clock % 60);
            prop_assert_eq!(reading(&text).unwrap().1.instant(&context), Some(meant));
        }
    }
}
