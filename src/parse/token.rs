//! Pieces that several grammars share. Everything borrows; nothing here allocates.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nom::IResult;

use super::scan;
use crate::record::LogRecord;

/// What a grammar returns: the rest of the input and a value. Why an alternative did not match is of no interest.
pub(crate) type Parsed<'a, T> = IResult<&'a str, T, ()>;

/// "This alternative does not match."
pub(crate) fn no<T>() -> Result<T, nom::Err<()>> {
    Err(nom::Err::Error(()))
}

/// `min` to `max` decimal digits; `max` is at most 9, so the value fits.
pub(crate) fn number<'a>(min: usize, max: usize) -> impl Fn(&'a str) -> Parsed<'a, u32> {
    move |input| {
        let len = input.bytes().take(max).take_while(u8::is_ascii_digit).count();
        if len < min {
            return no();
        }
        let value = input.as_bytes()[..len].iter().fold(0, |v, d| v * 10 + u32::from(d - b'0'));
        Ok((&input[len..], value))
    }
}

/// A whole text of decimal digits that fits `u32`.
pub(crate) fn whole_number(text: &str) -> Option<u32> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The text up to the first space, and what follows it (empty where there is no space).
pub(crate) fn word(text: &str) -> (&str, &str) {
    match memchr::memchr(b' ', text.as_bytes()) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, ""),
    }
}

/// An address as logs write it: IPv4, IPv6, IPv6 in brackets or with a zone (`fe80::1%eth0`, the zone is dropped);
/// IPv4-mapped IPv6 becomes IPv4.
pub(crate) fn ip(text: &str) -> Option<IpAddr> {
    let bytes = text.as_bytes();
    if !(2..=64).contains(&bytes.len()) {
        return None;
    }
    if bytes[0].is_ascii_digit()
        && let Some(v4) = ipv4(bytes)
    {
        return Some(IpAddr::V4(v4));
    }
    memchr::memchr(b':', bytes)?;
    let text = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<Ipv6Addr>().ok().map(|v6| v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4))
}

/// Four numbers up to 255 and three dots. Leading zeros, which old sshd versions never wrote and other readers take for octal, are no
/// part of an address.
fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut rest = bytes;
    for (place, octet) in octets.iter_mut().enumerate() {
        if place > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let digits = rest.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
        let (number, behind) = rest.split_at(digits);
        if digits == 0 || digits > 1 && number[0] == b'0' {
            return None;
        }
        let value = number.iter().fold(0_u16, |value, digit| value * 10 + u16::from(digit - b'0'));
        *octet = u8::try_from(value).ok()?;
        rest = behind;
    }
    rest.is_empty().then(|| Ipv4Addr::from(octets))
}

/// Where `needle`, of at least two bytes, last stands in `text`. For short needles whose second byte is rarer than
/// their first; the searcher of the standard library prepares itself for longer ones.
pub(crate) fn rfind(text: &str, needle: &str) -> Option<usize> {
    let (bytes, needle) = (text.as_bytes(), needle.as_bytes());
    memchr::memrchr_iter(needle[1], bytes).find(|at| *at > 0 && bytes[at - 1..].starts_with(needle)).map(|at| at - 1)
}

/// `192.0.2.1:22`, `[2001:db8::1]:22` or `2001:db8::1:22` (what follows the last colon is the port); the address alone where
/// there is no port.
pub(crate) fn ip_and_port(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Some((address, port)) = text.rsplit_once(':')
        && let (Some(address), Some(port)) = (ip(address), port_number(port))
    {
        return Some((address, Some(port)));
    }
    ip(text).map(|address| (address, None))
}

/// A port: decimal digits, at most 65535.
pub(crate) fn port_number(text: &str) -> Option<u16> {
    whole_number(text).and_then(|n| u16::try_from(n).ok())
}

/// Could be the name of a machine: letters, digits, `.`, `-`, `_`, at most 255 bytes, with a letter or digit in it.
pub(crate) fn is_host_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        && text.bytes().any(|b| b.is_ascii_alphanumeric())
}

/// Files the remote end of `record`: an address as `src_ip`, a host name as `fields["source.domain"]`.
/// False, and nothing set, where `text` is neither; `UNKNOWN` (tcp wrappers, sshd) names nobody.
pub(crate) fn set_remote<'a>(record: &mut LogRecord<'a>, text: &'a str) -> bool {
    if let Some(address) = ip(text) {
        record.src_ip = Some(address);
        return true;
    }
    let named = is_host_name(text) && text != "UNKNOWN";
    if named {
        record.set("source.domain", text);
    }
    named
}

/// Files an account name; an empty one is none.
pub(crate) fn set_user<'a>(record: &mut LogRecord<'a>, name: &'a str) {
    if !name.is_empty() {
        record.username = Some(Cow::Borrowed(name));
    }
}

/// The text between the first `open` and the `close` after it.
pub(crate) fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let (_, rest) = scan::cut(text, open)?;
    scan::cut(rest, close).map(|(inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_in_every_spelling() {
        for (text, want) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("::", Some("::")),
            ("192.0.2", None),
            ("192.0.2.256", None),
            ("192.0.2.1.", None),
            ("192.0..1", None),
            ("192.0.2.01", None),
            ("0.0.0.0", Some("0.0.0.0")),
            ("255.255.255.255", Some("255.255.255.255")),
            ("cafe", None),
            ("", None),
        ] {
            assert_eq!(ip(text), want.map(|w| w.parse().unwrap()), "{text}");
        }
        assert_eq!(ip_and_port("2001:db8::1:22"), Some(("2001:db8::1".parse().unwrap(), Some(22))));
        assert_eq!(ip_and_port("[::ffff:192.0.2.1]:65535"), Some(("192.0.2.1".parse().unwrap(), Some(65535))));
        assert_eq!(ip_and_port("192.0.2.1:65536"), None);
        assert_eq!(ip_and_port("192.0.2.1"), Some(("192.0.2.1".parse().unwrap(), None)));
    }

    proptest! {
        #[test]
        fn ipv4_agrees_with_the_standard_library(text in "[0-9.]{1,16}|[0-9]{1,3}(\\.[0-9]{1,3}){3}") {
            prop_assert_eq!(ipv4(text.as_bytes()), text.parse::<Ipv4Addr>().ok());
        }

        #[test]
        fn finding_agrees_with_the_standard_library(text in "[ abé]{0,30}") {
            prop_assert_eq!(rfind(&text, " ab"), text.rfind(" ab"));
        }
    }

    #[test]
    fn numbers_stop_at_their_width() {
        assert_eq!(number(2, 4)("20245"), Ok(("5", 2024)));
        assert!(number(2, 4)("2x").is_err());
        assert_eq!(whole_number("4294967296"), None);
    }
}
