//! Observables: addresses, domains, URLs, hashes, accounts and e-mail addresses, each value in one normal form, so that what two
//! incidents have in common can be found by comparing text. The kinds are those of STIX 2.1 (cyber-observable objects).

mod domain;
mod find;

use std::net::IpAddr;

use super::vocabulary::vocabulary;
pub use find::{find_in_json, find_in_text};

vocabulary! {
    /// What an observable is.
    Kind {
        /// An IPv4 or IPv6 address.
        Address = "address",
        /// A domain name.
        Domain = "domain",
        /// A URL.
        Url = "url",
        /// MD5, SHA-1 or SHA-256 of a file: 32, 40 or 64 hexadecimal digits.
        Hash = "hash",
        /// The name of an account.
        User = "user",
        /// An e-mail address.
        Email = "email",
    }
}

vocabulary! {
    /// To whom something may be told: the Traffic Light Protocol, version 2.0 (FIRST).
    Tlp {
        /// Everybody.
        Clear = "clear",
        /// The community.
        Green = "green",
        /// Those who need it in the organisation and at its clients.
        Amber = "amber",
        /// Those who need it in the organisation.
        AmberStrict = "amber+strict",
        /// Those who were told, and nobody else.
        Red = "red",
    }
}

/// Bytes of a value at most.
pub const MAX_VALUE: usize = 2_048;

/// Something that was seen. Invariant: the value is in the normal form of its kind, and has 1 to [`MAX_VALUE`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Observable {
    kind: Kind,
    value: String,
}

impl Observable {
    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The value in its normal form.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Brings a value into its normal form: letter case, IPv4 in IPv6, the dot at the end of a domain name.
    ///
    /// # Errors
    /// It is none of that kind; the text says why.
    pub fn new(kind: Kind, text: &str) -> Result<Observable, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        if text.len() > MAX_VALUE {
            return Err(format!("has {} bytes; at most {MAX_VALUE} are taken", text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err("there are control characters in it".to_owned());
        }
        let value = match kind {
            Kind::Address => address(text),
            Kind::Domain => domain::normal(text),
            Kind::Url => url(text),
            Kind::Hash => hash(text),
            Kind::User => Some(text.to_owned()),
            Kind::Email => email(text),
        };
        value.map(|value| Observable { kind, value }).ok_or_else(|| format!("is no {kind} such as {}", example(kind)))
    }

    /// The same for what somebody typed, who may have written it so that nobody clicks on it: `hxxps://evil[.]example[.]com`.
    ///
    /// # Errors
    /// It is none of that kind; the text says why.
    pub fn typed(kind: Kind, text: &str) -> Result<Observable, String> {
        if kind == Kind::User { Observable::new(kind, text) } else { Observable::new(kind, &refanged(text)) }
    }

    /// Every observable that somebody can have meant with this text.
    pub fn meant(text: &str) -> Vec<Observable> {
        Kind::ALL.iter().filter_map(|kind| Observable::typed(*kind, text).ok()).collect()
    }
}

fn example(kind: Kind) -> &'static str {
    match kind {
        Kind::Address => "192.0.2.1 or 2001:db8::1",
        Kind::Domain => "example.com (with letters beyond ASCII: as xn--…)",
        Kind::Url => "https://example.com/path",
        Kind::Hash => "d41d8cd98f00b204e9800998ecf8427e (MD5, SHA-1 or SHA-256 in hexadecimal digits)",
        Kind::User => "root",
        Kind::Email => "ada@example.com",
    }
}

fn address(text: &str) -> Option<String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical().to_string())
}

fn hash(text: &str) -> Option<String> {
    let is_hash = matches!(text.len(), 32 | 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then(|| text.to_ascii_lowercase())
}

/// In lower case as a whole: hardly any server tells local parts apart by it.
fn email(text: &str) -> Option<String> {
    let (local, host) = text.rsplit_once('@')?;
    let is_local = (1..=64).contains(&local.len())
        && !local.starts_with('.')
        && !local.ends_with('.')
        && local.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b));
    let host = domain::normal(host).filter(|_| is_local)?;
    Some(format!("{}@{host}", local.to_ascii_lowercase()))
}

/// Scheme and host in lower case; the rest means what it says.
fn url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let is_written = !rest.chars().any(|c| c.is_whitespace() || matches!(c, '<' | '>' | '"'));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    if !is_scheme || !is_written || host.is_empty() {
        return None;
    }
    let user = user.map_or(String::new(), |user| format!("{user}@"));
    let (scheme, host, path) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase(), &rest[authority.len()..]);
    Some(format!("{scheme}://{user}{host}{path}"))
}

/// The host of a URL in its normal form, as what it is.
fn host(url: &Observable) -> Option<Observable> {
    let rest = url.value.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let bare = match host.strip_prefix('[') {
        Some(v6) => v6.split_once(']')?.0,
        None => host.split_once(':').map_or(host, |(host, _)| host),
    };
    Observable::new(Kind::Address, bare).or_else(|_| Observable::new(Kind::Domain, bare)).ok()
}

/// As it was before somebody made it harmless.
fn refanged(text: &str) -> String {
    const SCHEMES: [(&str, &str); 2] = [("hxxp", "http"), ("fxp", "ftp")];
    const MARKS: [(&str, &str); 13] = [
        ("[://]", "://"),
        ("[:]", ":"),
        ("[/]", "/"),
        ("[.]", "."),
        ("(.)", "."),
        ("{.}", "."),
        ("[dot]", "."),
        ("(dot)", "."),
        ("{dot}", "."),
        ("[@]", "@"),
        ("(@)", "@"),
        ("[at]", "@"),
        ("(at)", "@"),
    ];
    let starts = |rest: &str, mark: &str| rest.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
    let mut rest = text.trim();
    let mut out = String::with_capacity(rest.len());
    if let Some((mark, plain)) = SCHEMES.iter().find(|(mark, _)| starts(rest, mark)) {
        out.push_str(plain);
        rest = &rest[mark.len()..];
    }
    while let Some(c) = rest.chars().next() {
        match MARKS.iter().find(|(mark, _)| starts(rest, mark)) {
            Some((mark, plain)) => {
                out.push_str(plain);
                rest = &rest[mark.len()..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_value_has_one_normal_form() {
        for (kind, text, want) in [
            (Kind::Address, "192.0.2.1", Some("192.0.2.1")),
            (Kind::Address, "::ffff:192.0.2.1", Some("192.0.2.1")),
            (Kind::Address, "[2001:DB8:0::1]", Some("2001:db8::1")),
            (Kind::Address, "192[.]0[.]2[.]1", Some("192.0.2.1")),
            (Kind::Address, "192.0.2.0/24", None),
            (Kind::Address, "192.0.2.256", None),
            (Kind::Domain, "Evil.Example.COM.", Some("evil.example.com")),
            (Kind::Domain, "evil[.]example(dot)com", Some("evil.example.com")),
            (Kind::Domain, "com", None),
            (Kind::Domain, "192.0.2.1", None),
            (Kind::Domain, "b\u{fc}cher.de", None),
            (Kind::Domain, "xn--bcher-kva.de", Some("xn--bcher-kva.de")),
            (Kind::Url, "hxxps://Evil[.]com/A?b=C", Some("https://evil.com/A?b=C")),
            (Kind::Url, "HTTP://user:Pw@[2001:DB8::1]:80/x", Some("http://user:Pw@[2001:db8::1]:80/x")),
            (Kind::Url, "https[://]evil.com/hxxp", Some("https://evil.com/hxxp")),
            (Kind::Url, "https://", None),
            (Kind::Url, "evil.com/x", None),
            (Kind::Url, "https://evil.com/a b", None),
            (Kind::Hash, "D41D8CD98F00B204E9800998ECF8427E", Some("d41d8cd98f00b204e9800998ecf8427e")),
            (Kind::Hash, "d41d8cd98f00b204e9800998ecf8427", None),
            (Kind::User, " CORP\\Ada[.] ", Some("CORP\\Ada[.]")),
            (Kind::User, "a\u{1b}[2J", None),
            (Kind::Email, "Ada[at]Example[.]com", Some("ada@example.com")),
            (Kind::Email, ".ada@example.com", None),
            (Kind::Email, "ada@example", None),
        ] {
            let got = Observable::typed(kind, text);
            assert_eq!(got.as_ref().map(Observable::value).ok(), want, "{kind} {text:?}: {got:?}");
        }
        assert!(Observable::new(Kind::User, &"x".repeat(MAX_VALUE)).is_ok());
        assert!(Observable::new(Kind::User, &"x".repeat(MAX_VALUE + 1)).is_err());
    }

    #[test]
    fn somebody_who_types_a_value_need_not_say_what_it_is() {
        let meant = |text: &str| Observable::meant(text).into_iter().map(|o| o.kind).collect::<Vec<_>>();
        assert_eq!(meant("192.0.2.1"), [Kind::Address, Kind::User]);
        assert_eq!(meant("evil[.]com"), [Kind::Domain, Kind::User]);
        assert_eq!(meant("ada@evil.com"), [Kind::User, Kind::Email]);
        assert_eq!(meant(""), []);
    }

    #[test]
    fn the_host_of_a_url_is_an_address_or_a_domain() {
        let host_of = |text: &str| host(&Observable::new(Kind::Url, text).unwrap()).map(|host| (host.kind, host.value));
        assert_eq!(host_of("http://u:p@evil.com:8080/x@y"), Some((Kind::Domain, "evil.com".into())));
        assert_eq!(host_of("http://[2001:db8::1]:80"), Some((Kind::Address, "2001:db8::1".into())));
        assert_eq!(host_of("ldap://192.0.2.7/a"), Some((Kind::Address, "192.0.2.7".into())));
        assert_eq!(host_of("http://localhost/"), None);
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(text in "\\PC{0,40}|[a-zA-Z0-9.:@/\\[\\]-]{1,60}") {
            for observable in Observable::meant(&text) {
                let again = Observable::new(observable.kind, &observable.value);
                prop_assert_eq!(again, Ok(observable));
            }
        }

        #[test]
        fn what_was_made_harmless_is_read_as_it_was(text in "[a-z0-9-]{1,10}(\\.[a-z0-9-]{1,10}){1,3}") {
            prop_assert_eq!(refanged(&text.replace('.', "[.]")), text);
        }
    }
}
