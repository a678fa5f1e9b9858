//! OpenVPN: servers and clients, through syslog or in a file of their own.
//!
//! Source: OpenVPN 2.x, `multi.c`, `ssl.c`, `ssl_verify.c` and `push.c`. The peer stands in front (`192.0.2.1:1194 …`, `mia/192.0.2.1:1194 …`) or behind
//! `[AF_INET]`. What a peer calls itself in a certificate is what was verified; a refused password is a failed login, a refused handshake a refusal.

use super::haproxy::endpoint;
use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Holds};
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "openvpn",
    product: "OpenVPN",
    reference: "https://openvpn.net/community-resources/reference-manual-for-openvpn-2-6/",
    marks: &[
        App("openvpn"),
        App("ovpn-server"),
        App("ovpn"),
        App("openvpn_server"),
        Holds("] Peer Connection Initiated with "),
        Holds("TLS Auth Error: "),
        Holds("TLS Error: "),
        Holds(": 'AUTH_FAILED"),
    ],
    parse: |text, record, _| parse(text, record),
    samples: &[
        "<30>Nov 20 06:25:01 fw openvpn[811]: 192.0.2.60:37849 [eve] Peer Connection Initiated with [AF_INET]192.0.2.60:37849",
        "<30>Nov 20 06:25:02 fw ovpn-server[811]: 203.0.113.77:41000 TLS Auth Error: Auth Username/Password verification failed for peer",
    ],
};

const FORMAT: &str = "openvpn";

/// Reads a line of OpenVPN.
fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let message = message.trim_end();
    let app = record.app.as_deref().unwrap_or_default();
    let named = app.starts_with("openvpn") || app.starts_with("ovpn");
    let (first, rest) = message.split_once(' ').unwrap_or((message, ""));
    // Common names hold no slash, but who knows of what an attacker calls himself: the address is behind the last.
    let (name, peer) = first.rsplit_once('/').map_or(("", first), |(name, peer)| (name, peer));
    let front = endpoint(peer.trim_start_matches("[AF_INET]").trim_start_matches("[AF_INET6]"));
    let behind = scan::find(message, "[AF_INET").and_then(|at| message.get(at..)).and_then(|m| m.split_once(']'));
    let behind = behind.and_then(|(_, peer)| endpoint(peer.split([' ', ',']).next().unwrap_or(peer)));
    let what = if front.is_some() { rest } else { message };
    let Some((event_type, severity)) =
        meaning(what).or_else(|| (named && (front.is_some() || behind.is_some())).then_some((EventType::Other, Severity::Low)))
    else {
        return false;
    };
    // Without its program's name only what nobody else writes is OpenVPN's.
    if !named && front.is_none() && behind.is_none() {
        return false;
    }
    match event_type {
        EventType::LoginFailed => {
            let teller = if what.contains("AUTH_FAILED") { ToldBy::Closing } else { ToldBy::Service };
            failed(record, FORMAT, "vpn_login", teller);
        }
        EventType::LoginSuccess => succeeded(record, FORMAT, "vpn_login"),
        _ => is(record, FORMAT, event_type, severity),
    }
    // What stands behind a local address (`UDPv4 link local (bound): [AF_INET]…`) is this end.
    let (own, other) =
        if what.contains("link local") || what.starts_with("Listening ") { (behind, None) } else { (None, front.or(behind)) };
    if let Some((ip, port)) = other {
        (record.src_ip, record.src_port) = (Some(ip), port);
    }
    if let Some((ip, port)) = own {
        (record.dst_ip, record.dst_port) = (Some(ip), port);
    }
    let quoted = scan::between(what, "user '", '\'').or_else(|| scan::between(what, "username '", '\''));
    let initiated = what.strip_prefix('[').and_then(|r| scan::cut(r, "] Peer Connection Initiated")).map(|(user, _)| user);
    let known = (front.is_some() && !name.is_empty()).then_some(name);
    if let Some(user) = quoted.or(initiated).or(known).filter(|user| !user.is_empty()) {
        record.username = Some(user.into());
    }
    true
}

fn meaning(what: &str) -> Option<(EventType, Severity)> {
    let has = |part: &str| scan::has(what, part);
    Some(if has("Peer Connection Initiated with") {
        (EventType::ConnectionAllowed, Severity::Low)
    } else if what.starts_with("user '") && what.ends_with("' authenticated")
        || has("Username/Password authentication succeeded for")
    {
        (EventType::LoginSuccess, Severity::Low)
    } else if has("Auth Username/Password verification failed for peer")
        || has(": 'AUTH_FAILED")
        || has("Auth Username/Password was not provided by peer")
    {
        (EventType::LoginFailed, Severity::Medium)
    } else if what.starts_with("user '") && has("could not authenticate") {
        // OpenVPN itself reports the same attempt, with the address.
        (EventType::AccessDenied, Severity::Low)
    } else if has("TLS Error: ")
        || has("VERIFY ERROR: ")
        || has("VERIFY X509NAME ERROR")
        || has("Bad encapsulated packet length from peer")
        || has("TLS_ERROR: ")
    {
        (EventType::AccessDenied, Severity::Low)
    } else if has("client-instance exiting") || has("Connection reset, restarting") || has("Inactivity timeout (--ping-restart)")
    {
        (EventType::Logout, Severity::Low)
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines() {
        use EventType::*;
        #[rustfmt::skip]
        let table = [
            ("192.0.2.60:37849 peer info: IV_PLAT=linux", Other, None, Some("192.0.2.60"), Some(37849)),
            ("192.0.2.60:37849 [eve] Peer Connection Initiated with [AF_INET]192.0.2.60:37849", ConnectionAllowed, Some("eve"), Some("192.0.2.60"), Some(37849)),
            ("[eve] Peer Connection Initiated with [AF_INET6]2001:db8::7:37849", ConnectionAllowed, Some("eve"), Some("2001:db8::7"), Some(37849)),
            ("user 'eve' authenticated", LoginSuccess, Some("eve"), None, None),
            ("user 'eve' could not authenticate.", AccessDenied, Some("eve"), None, None),
            ("198.51.100.4:41000 TLS: Username/Password authentication succeeded for username 'mia' ", LoginSuccess, Some("mia"), Some("198.51.100.4"), Some(41000)),
            ("198.51.100.4:41000 TLS Auth Error: Auth Username/Password verification failed for peer", LoginFailed, None, Some("198.51.100.4"), Some(41000)),
            ("198.51.100.4:41000 SENT CONTROL [mia]: 'AUTH_FAILED' (status=1)", LoginFailed, None, Some("198.51.100.4"), Some(41000)),
            ("TLS Error: incoming packet authentication failed from [AF_INET]198.51.100.4:1194", AccessDenied, None, Some("198.51.100.4"), Some(1194)),
            ("mia/198.51.100.4:41000 SIGTERM[soft,remote-exit] received, client-instance exiting", Logout, Some("mia"), Some("198.51.100.4"), Some(41000)),
        ];
        for (message, kind, user, src, port) in table {
            let mut record = LogRecord::text(message);
            record.app = Some("openvpn".into());
            assert!(parse(message, &mut record), "{message}");
            assert_eq!(record.event_type, kind, "{message}");
            assert_eq!(record.username.as_deref(), user, "{message}");
            assert_eq!((record.src_ip, record.src_port), (src.and_then(|s| s.parse().ok()), port), "{message}");
        }
    }

    #[test]
    fn others_are_left_alone() {
        for (app, message) in [("openvpn", "Initialization Sequence Completed"), ("curl", "TLS Error: x"), ("cron", "x")] {
            let mut record = LogRecord::text(message);
            record.app = Some(app.into());
            let before = record.clone();
            assert!(!parse(message, &mut record), "{message}");
            assert_eq!(record, before);
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(text in "(user '|'| from: |TLS Error: |/|[0-9.:]{1,18}|\\PC{1,3}|\\[AF_INET\\]|\\] Peer Connection Initiated with |\\[){0,20}") {
            let mut record = LogRecord::text(text.as_str());
            record.app = Some("openvpn".into());
            parse(&text, &mut record);
        }
    }
}
