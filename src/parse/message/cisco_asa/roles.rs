//! Who a message names in which role.
//!
//! The forms in which messages write an endpoint: `inside:10.1.1.7/5000`, `inside/10.1.1.7(5000)`, `10.1.1.7/ssh`, `(10.1.1.7)`, each
//! possibly followed by the user behind it, `(LAB\eve)`, and by its translation, ` (192.0.2.1/5000)`. The word before it tells the role:
//! `from A to B`, `src A dst B`, `for A to B`, `A -> B`, `between A and B`, `faddr B laddr A`, `Remote:A Local:B`, `IP = A`, `server = B`.

use crate::parse::scan;

/// Words between a role's name and its holder ("from IP address 10.1.1.7"). The walk never looks far ahead: its time stays linear.
const MAX_FILLERS: usize = 3;

/// Bytes within which a quoted user ends.
const MAX_USER: usize = 256;

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Endpoint<'a> {
    pub(super) interface: Option<&'a str>,
    /// An address, or the name that the device's configuration gives it.
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
    /// Its address on the other side of the translation, where that differs.
    pub(super) mapped: Option<&'a str>,
    /// The user behind it.
    pub(super) user: Option<&'a str>,
}

/// What a message names.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Roles<'a> {
    pub(super) source: Option<Endpoint<'a>>,
    pub(super) destination: Option<Endpoint<'a>>,
    /// The user that the message as a whole is about.
    pub(super) user: Option<&'a str>,
    pub(super) group: Option<&'a str>,
    pub(super) protocol: Option<&'a str>,
    pub(super) bytes: Option<i64>,
    pub(super) duration: Option<&'a str>,
}

/// Which end was named last: what follows in parentheses belongs to it.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Neither,
    Source,
    Destination,
}

/// Walks the words of a message.
pub(super) fn of(text: &str) -> Roles<'_> {
    let mut roles = Roles::default();
    let mut last = Last::Neither;
    let mut words = Words { rest: text };
    let mut before = "";
    while let Some(word) = words.next() {
        let key = word.trim_end_matches([',', ':', '=', ';']);
        match key {
            "from" | "src" | "source" | "for" | "laddr" | "between" | "local-host" | "Host" | "host"
                if roles.source.is_none() =>
            {
                last = take(&mut words, &mut roles.source, Last::Source, last);
            }
            "to" | "dst" | "faddr" | "and" if roles.destination.is_none() => {
                last = take(&mut words, &mut roles.destination, Last::Destination, last);
            }
            "->" | "==>" | "=" if word.len() < 4 && roles.destination.is_none() && endpoint(before).is_some() => {
                roles.source = endpoint(before).map(|end| Endpoint { user: user_in(before), ..end });
                last = take(&mut words, &mut roles.destination, Last::Destination, last);
            }
            "IP" | "Addr" | "peer" | "address" | "remote-peer" if roles.source.is_none() => {
                let mut ahead = words;
                if let Some(end) = value(&mut ahead).and_then(endpoint).filter(|end| scan::ip(end.host).is_some()) {
                    roles.source = Some(end);
                    last = Last::Source;
                    words = ahead;
                }
            }
            "server" if roles.destination.is_none() => {
                let mut ahead = words;
                if let Some(end) = value(&mut ahead).and_then(endpoint).filter(|end| scan::ip(end.host).is_some()) {
                    roles.destination = Some(end);
                    words = ahead;
                }
            }
            "user" | "User" | "Username" | "username" | "Uname" | "(user" if roles.user.is_none() => user(&mut words, &mut roles),
            "Group" | "group" if roles.group.is_none() => {
                let mut ahead = words;
                roles.group = value(&mut ahead).map(unquoted).filter(|g| !g.is_empty());
            }
            "bytes" if roles.bytes.is_none() => {
                let mut ahead = words;
                roles.bytes = ahead.next().and_then(|number| number.parse().ok());
            }
            "duration" => {
                let mut ahead = words;
                roles.duration = ahead.next();
            }
            "Accessed" | "denied" if roles.source.is_none() && scan::ip(before).is_some() => {
                // 304001, 304002: "10.1.1.7 Accessed URL 198.51.100.80:http://…".
                roles.source = endpoint(before);
            }
            "URL" | "SRC" if roles.destination.is_none() => {
                let mut ahead = words;
                let host = ahead.next().and_then(|target| target.split_once(':')).map(|(host, _)| host);
                if let Some(host) = host.filter(|host| scan::ip(host).is_some()) {
                    roles.destination = Some(Endpoint { host, ..Endpoint::default() });
                }
            }
            _ => {
                if let Some(remote) = word.strip_prefix("Remote:") {
                    roles.source = colon_endpoint(remote);
                } else if let Some(local) = word.strip_prefix("Local:") {
                    roles.destination = colon_endpoint(local);
                } else if let Some(name) = word.strip_prefix("Username:") {
                    roles.user = roles.user.or(known_user(name));
                } else if word.starts_with('(') && last != Last::Neither {
                    parenthesis(word, last, &mut roles);
                } else if roles.protocol.is_none() {
                    roles.protocol = protocol(key);
                }
            }
        }
        before = word;
    }
    roles
}

/// Words between blanks.
#[derive(Clone, Copy)]
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_ascii_start();
        let end = memchr::memchr(b' ', rest.as_bytes()).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }
}

/// The next word as an endpoint, if it is one; otherwise the word is left for the walk.
fn take<'a>(words: &mut Words<'a>, slot: &mut Option<Endpoint<'a>>, role: Last, last: Last) -> Last {
    let mut ahead = *words;
    let Some(mut word) = ahead.next() else { return last };
    // "between host 10.1.1.7", "from IP 10.1.1.7", "from IP address 10.1.1.7", "from outside: 10.1.1.7"
    for _ in 0..MAX_FILLERS {
        if matches!(word, "host" | "IP" | "address" | "peer" | "client") {
            word = ahead.next().unwrap_or_default();
        }
    }
    // The device's own interface has blanks in its name.
    if word == "NP" && ahead.rest.trim_ascii_start().starts_with("Identity Ifc:") {
        word = ahead.nth(1).unwrap_or_default();
    }
    let Some(end) = endpoint(word) else { return last };
    *slot = Some(end);
    // A user may be glued to it; then the walk sees the word again.
    if !word.contains('(') {
        *words = ahead;
    } else {
        let open = word.find('(').unwrap_or(0);
        let skipped = words.rest.len() - ahead.rest.len() - word.len() + open.max(1);
        if open > 0 {
            words.rest = words.rest.get(skipped..).unwrap_or_default();
        } else {
            *words = ahead;
        }
    }
    role
}

/// `inside:10.1.1.7/5000`, `inside/10.1.1.7(5000)`, `10.1.1.7/5000`, `10.1.1.7`, `(10.1.1.7)`, `inside:name/53`.
/// A word alone is no endpoint.
pub(super) fn endpoint(word: &str) -> Option<Endpoint<'_>> {
    let word = word.trim_end_matches([',', '.', ';', ':']);
    let word = word.strip_prefix('(').map_or(word, |w| w.trim_end_matches(')'));
    let word = word.strip_prefix('<').and_then(|w| w.strip_suffix('>')).unwrap_or(word);
    // What stands in parentheses behind: a port if it is one.
    let (word, behind) = match word.split_once('(') {
        Some((word, behind)) => (word, behind.split(')').next()),
        None => (word, None),
    };
    if word.is_empty() {
        return None;
    }
    if scan::ip(word).is_some() {
        return Some(Endpoint { host: word, port: behind.and_then(|p| p.parse().ok()), ..Endpoint::default() });
    }
    // 106100's form: the slash stands between interface and address, the port in parentheses.
    if let (Some(port), Some((interface, host))) = (behind.and_then(|p| p.parse().ok()), word.split_once('/')) {
        return Some(Endpoint { interface: Some(interface), host, port: Some(port), ..Endpoint::default() });
    }
    let (place, port) = match word.rsplit_once('/') {
        Some((place, port)) => (place, Some(port)),
        None => (word, None),
    };
    if scan::ip(place).is_some() {
        return Some(Endpoint { host: place, port: port.and_then(scan::service_port), ..Endpoint::default() });
    }
    // 106103's and 401's: interface/address without a port.
    if let Some(host) = port.filter(|p| scan::ip(p).is_some()) {
        return Some(Endpoint { interface: Some(place), host, ..Endpoint::default() });
    }
    match place.split_once(':') {
        Some((interface, host)) if !interface.is_empty() && !host.is_empty() => {
            Some(Endpoint { interface: Some(interface), host, port: port.and_then(scan::service_port), ..Endpoint::default() })
        }
        // A name without an interface is an endpoint only with a numeric port: faddr gateway/0.
        None => {
            let port = port?.parse().ok()?;
            Some(Endpoint { host: place, port: Some(port), ..Endpoint::default() })
        }
        _ => None,
    }
}

/// IKEv2's `10.1.1.7:500`.
fn colon_endpoint(text: &str) -> Option<Endpoint<'_>> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if scan::ip(host).is_some() => (host, port.parse().ok()),
        _ => (text, None),
    };
    scan::ip(host).map(|_| Endpoint { host, port, ..Endpoint::default() })
}

/// Behind an endpoint: `(LAB\eve)` the user, `(192.0.2.1/5000)` its translation, both also together.
fn parenthesis<'a>(word: &'a str, last: Last, roles: &mut Roles<'a>) {
    for part in word.split(['(', ')']).filter(|p| !p.is_empty()) {
        let host = part.split_once('/').map_or(part, |(host, _)| host);
        let end = if last == Last::Source { &mut roles.source } else { &mut roles.destination };
        match end {
            Some(end) if scan::ip(host).is_some() => end.mapped = (end.host != host && end.mapped.is_none()).then_some(host),
            Some(end) if part.contains('\\') => end.user = end.user.or(known_user(part.trim_end_matches(','))),
            _ => {}
        }
    }
}

/// The user in `inside/10.1.1.7(5000)(LAB\eve)`.
fn user_in(word: &str) -> Option<&str> {
    word.split(['(', ')']).find(|part| part.contains('\\')).and_then(known_user)
}

/// The value after a name, past `=` and `:`.
fn value<'a>(words: &mut Words<'a>) -> Option<&'a str> {
    let mut word = words.next()?;
    for _ in 0..MAX_FILLERS {
        if matches!(word, "=" | ":" | "address:" | "address" | "IP" | "=>") {
            word = words.next()?;
        }
    }
    Some(word)
}

/// `user = eve`, `User 'eve'`, `User <eve smith>`, `Uname: eve`, `for user "eve"`; but not `user authentication`, `user IP = …`.
fn user<'a>(words: &mut Words<'a>, roles: &mut Roles<'a>) {
    let mut ahead = *words;
    let rest = ahead.rest.trim_ascii_start().trim_start_matches(['=', ':']).trim_ascii_start();
    for (open, close) in [('<', '>'), ('\'', '\''), ('"', '"')] {
        if let Some(inner) = rest.strip_prefix(open) {
            let near = &inner.as_bytes()[..inner.len().min(MAX_USER)];
            if let Some(end) = near.iter().position(|b| *b == close as u8) {
                roles.user = known_user(&inner[..end]);
                words.rest = &inner[end + 1..];
            }
            return;
        }
    }
    let Some(word) = value(&mut ahead) else { return };
    let word = word.trim_end_matches([',', ':', ';', ')']);
    // Prose, not a name.
    const PROSE: [&str; 26] = [
        "authentication",
        "authenticated",
        "authorization",
        "accounting",
        "IP",
        "is",
        "has",
        "was",
        "added",
        "deleted",
        "priv",
        "from",
        "logged",
        "login",
        "ACL",
        "session",
        "aaa_type",
        "at",
        "on",
        "must",
        "not",
        "with",
        "for",
        "identity",
        "to",
        "name",
    ];
    if !PROSE.contains(&word) && !word.is_empty() {
        roles.user = known_user(word);
        *words = ahead;
    }
}

/// A user's name without its domain; none for the device's words for nobody.
fn known_user(name: &str) -> Option<&str> {
    let name = unquoted(name);
    let name = name.rsplit_once('\\').map_or(name, |(_, name)| name);
    (!name.is_empty() && !matches!(name, "*****" | "Unknown" | "unknown" | "N/A" | "none")).then_some(name)
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['<', '>', '\'', '"', ',', ' '])
}

fn protocol(word: &str) -> Option<&str> {
    const KNOWN: [&str; 9] = ["tcp", "udp", "icmp", "sctp", "esp", "gre", "igmp", "IPv6-ICMP", "ICMPv6"];
    KNOWN.iter().any(|known| known.eq_ignore_ascii_case(word)).then_some(word)
}
