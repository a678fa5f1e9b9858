//! Pieces that the device parsers share: addresses, ports, protocols, numeric dates.

use std::borrow::Cow;

use nom::IResult;
use nom::Parser as _;
use nom::character::complete::{char, one_of};
use nom::combinator::opt;
use nom::sequence::terminated;

use crate::record::{Civil, Timestamp, Zone};

pub(crate) use super::token::ip;

/// `host:port`, `[v6]:port`, a bare address or a bare name. `2001:db8::1:443` without brackets is an address as a whole.
pub(crate) fn host_port(text: &str) -> (&str, Option<u16>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        return (host, rest.strip_prefix(':').and_then(|p| p.parse().ok()));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (text, None),
        },
        _ => (text, None),
    }
}

/// A protocol name in lower case, borrowed where it is one of the usual ones.
pub(crate) fn protocol(text: &str) -> Cow<'_, str> {
    const USUAL: [&str; 14] =
        ["tcp", "udp", "icmp", "icmpv6", "ipv6-icmp", "esp", "ah", "gre", "igmp", "sctp", "ospf", "carp", "pim", "ipip"];
    match USUAL.iter().find(|u| u.eq_ignore_ascii_case(text)) {
        Some(usual) => Cow::Borrowed(usual),
        None if text.bytes().any(|b| b.is_ascii_uppercase()) => Cow::Owned(text.to_ascii_lowercase()),
        None => Cow::Borrowed(text),
    }
}

/// The name of an IP protocol number, as the IANA registry has it; `None` for those that no firewall here meets.
pub(crate) fn protocol_number(number: u16) -> Option<&'static str> {
    Some(match number {
        1 => "icmp",
        2 => "igmp",
        6 => "tcp",
        17 => "udp",
        41 => "ipv6",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "ipv6-icmp",
        89 => "ospf",
        103 => "pim",
        112 => "vrrp",
        132 => "sctp",
        _ => return None,
    })
}

/// The text between the first `open` and the next `close` after it.
pub(crate) fn between<'a>(text: &'a str, open: &str, close: char) -> Option<&'a str> {
    let start = find(text, open)? + open.len();
    let rest = &text[start..];
    rest.find(close).map(|end| &rest[..end])
}

/// `needle`, which is not empty, occurs in `text`.
pub(crate) fn has(text: &str, needle: &str) -> bool {
    find(text, needle).is_some()
}

/// One of `needles` occurs in `text`. A needle with a byte that is nowhere in the text is not searched for.
pub(crate) fn has_any(text: &str, needles: &[&str]) -> bool {
    let set_of = |text: &str| text.bytes().fold(0_u64, |set, byte| set | 1 << (byte % 64));
    let there = set_of(text);
    needles.iter().any(|needle| set_of(needle) & !there == 0 && has(text, needle))
}

/// From here on it pays to prepare a substring search.
const LONG: usize = 1024;

/// Where `needle` first occurs; nowhere if it is empty.
pub(crate) fn find(text: &(impl AsRef<[u8]> + ?Sized), needle: &str) -> Option<usize> {
    if text.as_ref().len() < LONG || needle.is_empty() {
        return all(text, needle).next();
    }
    memchr::memmem::find(text.as_ref(), needle.as_bytes())
}

/// Where `needle` occurs; nowhere if it is empty. It is looked for by its rarest byte: in a short text a substring search takes longer to
/// prepare than to do.
pub(crate) fn all<'t>(text: &'t (impl AsRef<[u8]> + ?Sized), needle: &'t str) -> impl Iterator<Item = usize> + 't {
    let (text, needle) = (text.as_ref(), needle.as_bytes());
    let (place, byte) = rarest(needle);
    let behind = text.get(place..).filter(|_| !needle.is_empty()).unwrap_or_default();
    memchr::memchr_iter(byte, behind).filter(move |at| begins(&text[*at..], needle))
}

/// The same, the last first.
pub(crate) fn all_from_behind<'t>(text: &'t str, needle: &'t str) -> impl Iterator<Item = usize> + 't {
    let (text, needle) = (text.as_bytes(), needle.as_bytes());
    let (place, byte) = rarest(needle);
    let behind = text.get(place..).filter(|_| !needle.is_empty()).unwrap_or_default();
    memchr::memrchr_iter(byte, behind).filter(move |at| begins(&text[*at..], needle))
}

/// `starts_with`, quick where little fits: mostly it ends at the first bytes.
pub(crate) fn begins(text: &[u8], start: &[u8]) -> bool {
    text.len() >= start.len() && text.iter().zip(start).all(|(byte, expected)| byte == expected)
}

fn rarest(needle: &[u8]) -> (usize, u8) {
    let rarest = needle.iter().enumerate().min_by_key(|(_, byte)| COMMONNESS[usize::from(**byte)]);
    rarest.map_or((0, 0), |(place, byte)| (place, *byte))
}

/// What stands before the first `separator`, which is not empty, and what stands behind it.
pub(crate) fn cut<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    find(text, separator).map(|at| (&text[..at], &text[at + separator.len()..]))
}

/// [`str::trim`], quick where there is nothing to trim.
pub(crate) fn trim(text: &str) -> &str {
    match text.as_bytes() {
        [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'] => text,
        _ => text.trim(),
    }
}

/// How common a byte is in log lines, roughly.
static COMMONNESS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b' ' | b'"' => 6,
            b'e' | b'a' | b'i' | b'n' | b'o' | b'r' | b's' | b't' | b'0'..=b'2' => 5,
            b'c' | b'd' | b'l' | b'm' | b'p' | b'u' | b'3'..=b'9' | b':' | b',' | b'.' => 4,
            b'a'..=b'z' | b'-' | b'=' | b'/' | b'_' => 3,
            b'A'..=b'Z' | b'[' | b']' | b'(' | b')' => 2,
            _ => 1,
        };
        byte += 1;
    }
    table
};

/// `Jan` … `Dec`, as 1–12.
pub(crate) fn month(text: &str) -> Option<u8> {
    const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    NAMES.iter().position(|name| name.eq_ignore_ascii_case(text)).map(|i| i as u8 + 1)
}

/// A number of `min` to `max` digits; `max` is at most 9, so the value fits.
pub(crate) fn digits(min: usize, max: usize) -> impl Fn(&str) -> IResult<&str, u32> {
    move |input| {
        let number = super::token::number(min, max);
        number(input).map_err(|_| nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Digit)))
    }
}

/// `.123456` or `,123`: a fraction of a second in microseconds; further digits are dropped.
pub(crate) fn fraction(input: &str) -> IResult<&str, u32> {
    let digits = input.as_bytes().get(1..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || !input.starts_with(['.', ',']) {
        return Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Digit)));
    }
    let micros = (1..=6)
        .fold(0, |micros, place| micros * 10 + if place <= digits { u32::from(input.as_bytes()[place] - b'0') } else { 0 });
    Ok((&input[1 + digits..], micros))
}

/// `Z`, `+0100`, `-05:30`, `+02`: seconds east of UTC.
pub(crate) fn offset(input: &str) -> IResult<&str, i32> {
    if let Some(rest) = input.strip_prefix(['Z', 'z']) {
        return Ok((rest, 0));
    }
    let (input, sign) = one_of("+-").parse(input)?;
    let (input, hours) = terminated(digits(2, 2), opt(char(':'))).parse(input)?;
    let (input, minutes) = opt(digits(2, 2)).parse(input)?;
    let seconds = (hours * 3600 + minutes.unwrap_or(0) * 60) as i32;
    Ok((input, if sign == '-' { -seconds } else { seconds }))
}

/// `HH:MM:SS` with an optional fraction.
pub(crate) fn clock(input: &str) -> IResult<&str, (u8, u8, u8, u32)> {
    let bytes = input.as_bytes();
    let part = |at: usize| decimal(bytes.get(at..at + 2)?).map(|part| part as u8);
    match (part(0), bytes.get(2), part(3), bytes.get(5), part(6)) {
        (Some(hour), Some(b':'), Some(minute), Some(b':'), Some(second)) => {
            let (rest, micros) = opt(fraction).parse(&input[8..])?;
            Ok((rest, (hour, minute, second, micros.unwrap_or(0))))
        }
        _ => Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Digit))),
    }
}

/// The number that at most nine digits, and nothing but these, make.
fn decimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0')))
}

/// `2026-01-02T03:04:05.678+0100`, with a space for the `T`, slashes for the dashes, or without a zone (`zone` is then asked).
/// `None` where it is no such time, something follows it, or it names no zone and there is none to ask.
pub(crate) fn iso_time(text: &str, zone: Option<&Zone>) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let (Some(b'-' | b'/'), Some(b'-' | b'/'), Some(b'T' | b't' | b' ')) = (bytes.get(4), bytes.get(7), bytes.get(10)) else {
        return None;
    };
    let (year, month, day) = (decimal(&bytes[..4])?, decimal(&bytes[5..7])?, decimal(&bytes[8..10])?);
    let (rest, (hour, minute, second, micros)) = clock(&text[11..]).ok()?;
    let civil = Civil::new(year as i32, month as u8, day as u8, hour, minute, second, micros)?;
    match rest.trim_start() {
        "" => zone.map(|zone| zone.instant(civil)),
        "UTC" | "GMT" => Some(civil.at_offset(0)),
        rest => match offset(rest) {
            Ok(("", seconds)) => Some(civil.at_offset(seconds)),
            _ => None,
        },
    }
}

/// A count of seconds, milli-, micro- or nanoseconds since the epoch, told apart by its size (exact until the year 5138).
pub(crate) fn epoch(number: f64) -> Option<Timestamp> {
    if !(0.0..1e20).contains(&number) {
        return None;
    }
    let micros = match number {
        n if n < 1e11 => n * 1e6,
        n if n < 1e14 => n * 1e3,
        n if n < 1e17 => n,
        n => n / 1e3,
    };
    let time = Timestamp::from_micros(micros.round() as i64);
    (time <= Timestamp::MAX).then_some(time)
}

/// The name of a protocol's port, where devices print the name: Cisco's list, as far as it names what is logged.
pub(crate) fn service_port(name: &str) -> Option<u16> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    Some(match name {
        "ftp" => 21,
        "ssh" => 22,
        "telnet" => 23,
        "smtp" => 25,
        "domain" => 53,
        "bootps" => 67,
        "bootpc" => 68,
        "tftp" => 69,
        "http" | "www" => 80,
        "pop3" => 110,
        "sunrpc" => 111,
        "ntp" => 123,
        "netbios-ns" => 137,
        "netbios-dgm" => 138,
        "netbios-ssn" => 139,
        "imap4" => 143,
        "snmp" => 161,
        "snmptrap" => 162,
        "bgp" => 179,
        "ldap" => 389,
        "https" => 443,
        "isakmp" => 500,
        "syslog" => 514,
        "rip" => 520,
        "ldaps" => 636,
        "sqlnet" => 1521,
        "h323" => 1720,
        "sip" => 5060,
        _ => return None,
    })
}

/// Syslog's eight levels by the names that products use (RFC 5424 §6.2.1), 0 the worst.
pub(crate) fn level(name: &str) -> Option<u8> {
    const NAMES: [(&str, u8); 24] = [
        ("emerg", 0),
        ("emergency", 0),
        ("panic", 0),
        ("alert", 1),
        ("crit", 2),
        ("critical", 2),
        ("fatal", 2),
        ("err", 3),
        ("error", 3),
        ("severe", 3),
        ("warn", 4),
        ("warning", 4),
        ("notice", 5),
        ("info", 6),
        ("information", 6),
        ("informational", 6),
        ("debug", 7),
        ("trace", 7),
        ("trace1", 7),
        ("trace2", 7),
        ("trace3", 7),
        ("trace4", 7),
        ("fine", 7),
        ("verbose", 7),
    ];
    NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_and_ports() {
        assert_eq!(ip("::ffff:192.0.2.1"), "192.0.2.1".parse().ok());
        assert_eq!(ip("fe80::1%em0"), "fe80::1".parse().ok());
        assert_eq!(ip("[2001:db8::1]"), "2001:db8::1".parse().ok());
        assert_eq!(ip("beef"), None);
        assert_eq!(host_port("192.0.2.1:80"), ("192.0.2.1", Some(80)));
        assert_eq!(host_port("[2001:db8::1]:443"), ("2001:db8::1", Some(443)));
        assert_eq!(host_port("2001:db8::1"), ("2001:db8::1", None));
        assert_eq!(host_port("gw:99999"), ("gw:99999", None));
    }

    #[test]
    fn times() {
        let want = Timestamp::parse_rfc3339("2026-01-02T02:04:05.678Z").unwrap();
        for text in ["2026-01-02T03:04:05.678+0100", "2026-01-02 03:04:05,678000 +01:00", "2026/01/02 02:04:05.6780009Z"] {
            assert_eq!(iso_time(text, None), Some(want), "{text}");
        }
        assert_eq!(iso_time("2026-01-02T02:04:05.678", Some(&Zone::UTC)), Some(want));
        assert_eq!(iso_time("2026-01-02T02:04:05.678", None), None);
        assert_eq!(iso_time("2026-13-02T02:04:05Z", None), None);
        for number in [1_767_319_445.678, 1_767_319_445_678.0, 1_767_319_445_678_000.0, 1_767_319_445_678_000_000.0] {
            assert_eq!(epoch(number), Some(want), "{number}");
        }
        assert_eq!(epoch(f64::NAN), None);
    }

    proptest! {
        #[test]
        fn searches_find_what_the_standard_library_finds(text in "[ab: \u{e9}]{0,40}", needle in "[ab: \u{e9}]{1,4}", copies in 1_usize..60) {
            let text = text.repeat(copies);
            prop_assert_eq!(find(&text, &needle), text.find(&needle));
            prop_assert_eq!(cut(&text, &needle), text.split_once(&*needle));
            prop_assert_eq!(has_any(&text, &["x", &needle]), text.contains(&needle));
            prop_assert_eq!(all_from_behind(&text, &needle).next(), text.rfind(&needle));
            prop_assert_eq!(trim(&text), text.trim());
        }
    }
}
