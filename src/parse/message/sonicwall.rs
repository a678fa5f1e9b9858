//! SonicWall SonicOS 5 to 7: `id=firewall sn=… time="2026-11-20 06:25:01" fw=… pri=6 c=262144 m=98 msg="Connection Opened" src=…:48312:X1 dst=…`.
//!
//! Source: "SonicOS Log Events Reference Guide": `m` is the event, `msg` its name, `src` and `dst` are address, port, interface and name.
//! Severity: attacks by `pri` (0–1 high, 2–4 medium), malware high, a refused login medium, connections low.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Begins, Holds};
use crate::parse::fill::{self, Slot};
use crate::parse::json::Scalar;
use crate::parse::pairs::{Pairs, SPACED};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "sonicwall",
    product: "SonicWall SonicOS",
    reference: "https://www.sonicwall.com/techdocs/pdf/sonicos-6-5-4-log-events-reference-guide.pdf",
    marks: &[Begins("id="), Holds("id=firewall"), Holds(" pri=")],
    parse,
    samples: &[
        r#"<134>id=firewall sn=0040100000A1 time="2026-11-20 06:25:01 UTC" fw=192.0.2.1 pri=6 c=262144 m=98 msg="Connection Opened" n=14 src=192.0.2.30:48312:X0 dst=203.0.113.77:443:X1 proto=tcp/https sent=60"#,
        r#"<129>id=firewall sn=0040100000A1 time="2026-11-20 06:25:02 UTC" fw=192.0.2.1 pri=1 c=32 m=82 msg="Possible port scan detected" n=15 src=203.0.113.77:40000:X1 dst=192.0.2.1:22:X1 proto=tcp/ssh"#,
        r#"<129>id=firewall sn=0040100000A1 time="2026-11-20 06:25:03 UTC" fw=192.0.2.1 pri=1 c=32 m=30 msg="Administrator login denied due to bad credentials" n=16 usr="admin" src=203.0.113.77:0:X1 dst=192.0.2.1:443:X1 proto=tcp/https"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some(at) = scan::find(text, "id=").filter(|at| *at < 64) else { return false };
    let text = text[at..].trim_end();
    if !scan::has(text, " pri=") || !(scan::has(text, " fw=") || scan::has(text, " sn=")) || !scan::has(text, " time=\"") {
        return false;
    }
    record.fields.reserve(24);
    for (key, value) in Pairs::new(text, SPACED) {
        match key {
            "src" | "srcV6" => end(record, value, &ENDS[0], context),
            "dst" | "dstV6" => end(record, value, &ENDS[1], context),
            "proto" => protocol(record, value, context),
            _ => fill::put(record, slots, key, value, context),
        }
    }
    let word = |name: &str| match record.field(name) {
        Some(Value::Str(text)) => text.to_ascii_lowercase(),
        _ => String::new(),
    };
    let (event_type, severity) =
        meaning(&word("event.code"), &word("msg"), &word("note"), record.action.as_deref(), &word("log.level"));
    is(record, "sonicwall", event_type, severity);
    true
}

/// One end of a connection, and what its parts are called.
struct End {
    ip: Slot,
    port: Slot,
    interface: &'static str,
    name: &'static str,
}

const ENDS: [End; 2] = [
    End { ip: Slot::SrcIp, port: Slot::SrcPort, interface: "observer.ingress.interface.name", name: "source.domain" },
    End { ip: Slot::DstIp, port: Slot::DstPort, interface: "observer.egress.interface.name", name: "destination.domain" },
];

/// `192.0.2.1:443:X1:name`, each part of which may be empty; an IPv6 address stands alone.
fn end<'a>(record: &mut LogRecord<'a>, value: Cow<'a, str>, end: &End, context: &Context<'_>) {
    let mut file = |slot: Option<Slot>, name: &'static str, value: Cow<'a, str>| {
        fill::file(record, slot, Cow::Borrowed(name), Scalar::Text(value), context);
    };
    let text = match value {
        Cow::Borrowed(text) if scan::ip(text).is_none() => text,
        value => return file(Some(end.ip), end.name, value),
    };
    let mut parts = text.splitn(4, ':');
    let slots = [(Some(end.ip), end.name), (Some(end.port), "port"), (None, end.interface), (None, end.name)];
    for ((slot, name), part) in slots.into_iter().zip(&mut parts) {
        file(slot, name, Cow::Borrowed(part));
    }
}

/// `tcp/https`.
fn protocol<'a>(record: &mut LogRecord<'a>, value: Cow<'a, str>, context: &Context<'_>) {
    match value {
        Cow::Borrowed(text) => {
            let (transport, service) = text.split_once('/').unwrap_or((text, ""));
            fill::file(record, Some(Slot::Protocol), Cow::Borrowed("proto"), Scalar::Text(Cow::Borrowed(transport)), context);
            fill::file(record, None, Cow::Borrowed("network.protocol"), Scalar::Text(Cow::Borrowed(service)), context);
        }
        value => fill::file(record, Some(Slot::Protocol), Cow::Borrowed("proto"), Scalar::Text(value), context),
    }
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, Field, Host, Number, Time, User};
    Some(match name {
        "id" => Host, "time" => Time, "usr" | "user" => User, "fw_action" => Action, "fw" => Field("observer.ip"), "sn" => Field("observer.serial_number"),
        "m" => Field("event.code"), "n" => Field("event.sequence"), "pri" => Field("log.level"), "c" => Field("sonicwall.category"), "gcat" => Field("sonicwall.group_category"),
        "rule" => Field("rule.name"), "sid" => Field("rule.id"), "ipscat" => Field("threat.indicator.name"), "sess" => Field("sonicwall.session_type"),
        "sent" => Number("source.bytes"), "rcvd" => Number("destination.bytes"), "spkt" => Number("source.packets"), "rpkt" => Number("destination.packets"),
        "srcMac" => Field("source.mac"), "dstMac" => Field("destination.mac"), "natSrc" => Field("source.nat.ip"), "natDst" => Field("destination.nat.ip"),
        "srcZone" => Field("observer.ingress.zone"), "dstZone" => Field("observer.egress.zone"), "appName" => Field("network.application"),
        "dstname" => Field("url.domain"), "arg" => Field("url.path"), "result" => Number("http.response.status_code"), "uuid" => Field("event.id"),
        "cdur" => Number("sonicwall.duration_ms"), "dur" => Number("sonicwall.duration_s"), "Category" => Field("url.category"),
        _ => return None,
    })
}

fn meaning(code: &str, msg: &str, note: &str, action: Option<&str>, level: &str) -> (EventType, Severity) {
    use EventType::{
        AccessDenied, AccountChange, ConfigChange, ConnectionAllowed, ConnectionBlocked, HttpRequest, IdsAlert, LoginFailed,
        LoginSuccess, Logout, MalwareDetected, ServiceChange, System,
    };
    let has = |words: &[&str]| scan::has_any(msg, words);
    let rated = match level {
        "0" | "1" => Severity::High,
        "2" | "3" | "4" => Severity::Medium,
        _ => Severity::Low,
    };
    let dropped = matches!(action, Some("drop" | "deny" | "block" | "reset" | "discard"))
        || has(&["dropped", "blocked", "denied", "rejected"]);
    match code {
        "97" => return (HttpRequest, Severity::Low),
        "14" | "16" => return (AccessDenied, Severity::Low),
        "98" | "537" | "526" | "1235" | "1197" => return (ConnectionAllowed, Severity::Low),
        "713" => return (ConnectionBlocked, Severity::Low),
        _ => {}
    }
    if has(&["logged out", "logout", "logged off"]) {
        (Logout, Severity::Low)
    } else if has(&["login", "logged in", "authentication", "log in"]) && !has(&["login screen", "disabled by"]) {
        if has(&["denied", "fail", "bad ", "incorrect", "unknown", "lock", "not allowed", "invalid"]) {
            (LoginFailed, Severity::Medium)
        } else if has(&["allowed", "succe", "logged in"]) {
            (LoginSuccess, Severity::Low)
        } else {
            (System, Severity::Low)
        }
    } else if has(&["virus", "anti-spyware", "malware", "botnet"]) {
        (MalwareDetected, rated.max(Severity::Medium))
    } else if has(&["attack", "flood", "port scan", "spoof", "ips ", "intrusion", "smurf", "ping of death", "probable", "sweep"])
        && !has(&["ceased"])
    {
        (IdsAlert, rated)
    } else if dropped {
        (ConnectionBlocked, Severity::Low)
    } else if has(&["user account", "user added", "user deleted", "password changed", "local user"]) {
        (AccountChange, Severity::Medium)
    } else if has(&["configuration change", "settings", "rule added", "rule modified", "rule deleted", "config"]) {
        (ConfigChange, Severity::Medium)
    } else if has(&["connection opened", "connection closed", "request allowed"]) || note.contains("traffic allowed") {
        (ConnectionAllowed, Severity::Low)
    } else if has(&["started", "rebooted", "activated", "shut down", "link status"]) {
        (ServiceChange, Severity::Low)
    } else {
        (System, rated.min(Severity::Medium))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn what_happened() {
        use EventType::*;
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for (rest, event_type, severity) in [
            (r#"pri=6 m=98 msg="Connection Opened""#, ConnectionAllowed, Severity::Low),
            (r#"pri=5 m=36 msg="TCP connection dropped""#, ConnectionBlocked, Severity::Low),
            (r#"pri=1 m=30 msg="Administrator login denied due to bad credentials""#, LoginFailed, Severity::Medium),
            (r#"pri=6 m=31 msg="User login from an internal zone allowed""#, LoginSuccess, Severity::Low),
            (r#"pri=6 m=262 msg="Administrator logged out""#, Logout, Severity::Low),
            (r#"pri=1 m=609 msg="IPS Prevention Alert: x""#, IdsAlert, Severity::High),
            (r#"pri=1 m=809 msg="Gateway Anti-Virus Alert: x""#, MalwareDetected, Severity::High),
        ] {
            let line = format!(
                r#"id=fw1 sn=1 time="2026-11-20 06:25:01" fw=192.0.2.1 {rest} usr="mia" src=203.0.113.77::X1 dst=192.0.2.1:443:X0:www proto=tcp/https"#
            );
            let mut record = LogRecord::text(&*line);
            assert!(parse(&line, &mut record, &context), "{line}");
            assert_eq!((record.event_type, record.severity), (event_type, severity), "{line}");
            assert_eq!((record.src_ip, record.src_port), ("203.0.113.77".parse().ok(), None), "{line}");
            assert_eq!((record.dst_ip, record.dst_port), ("192.0.2.1".parse().ok(), Some(443)), "{line}");
            assert_eq!(
                (record.protocol.as_deref(), record.username.as_deref(), record.host.as_deref()),
                (Some("tcp"), Some("mia"), Some("fw1"))
            );
            assert_eq!(record.field("destination.domain"), Some(&"www".into()));
        }
    }
}
