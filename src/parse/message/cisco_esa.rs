//! Cisco Secure Email Gateway (ESA, IronPort AsyncOS), also the Secure Web Appliance's system logs: `mail_logs: Info: MID 6 ready 100 bytes from <mia@example.com>`.
//!
//! Source: AsyncOS for Cisco Secure Email Gateway, "Logging". The log subscription stands in the program's place, the level before the text. Failed logins are medium, as
//! is what the appliance calls critical or an alert; a message that was found to be a virus is medium, for it was stopped. The rest is routine.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::Context;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Begins;
use crate::parse::fill;
use crate::parse::scan;
use crate::parse::token::{rfind, whole_number, word};
use crate::record::EventType::{
    ConfigChange, ConnectionAllowed, ConnectionBlocked, DataTransfer, LoginFailed, LoginSuccess, Logout, MalwareDetected, Other,
    ServiceChange, System,
};
use crate::record::Severity::{self, Low, Medium};
use crate::record::{LogRecord, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "cisco_esa",
    product: "Cisco Secure Email Gateway (AsyncOS)",
    reference: "https://www.cisco.com/c/en/us/td/docs/security/esa/esa15-0/user_guide/b_ESA_Admin_Guide_15-0/b_ESA_Admin_Guide_12_1_chapter_0100111.html",
    marks: &[
        Begins("Info: "),
        Begins("Warning: "),
        Begins("Critical: "),
        Begins("Alert: "),
        Begins("Error: "),
        Begins("Debug: "),
    ],
    parse,
    samples: &[
        "<166>Nov 20 06:25:01 esa1 mail_logs: Info: New SMTP ICID 134 interface Data 1 (192.0.2.4) address 198.51.100.9 reverse dns host mx.example.com verified yes",
        "<166>Nov 20 06:25:02 esa1 gui_logs: Info: Action: User ops logged out from session aB7x because of inactivity timeout",
        "<166>Nov 20 06:25:03 esa1 authentication: Info: User ops from 192.0.2.9 failed authentication: invalid password",
        "<166>Nov 20 06:25:04 esa1 mail_logs: Warning: Received an invalid DNS Response",
    ],
};

const FORMAT: &str = "cisco_esa";

/// Log subscriptions by their usual names. Some are words that prose has, too: the level has to follow.
#[rustfmt::skip]
const SUBSCRIPTIONS: [&str; 36] = [
    "mail_logs", "gui_logs", "error_logs", "authentication", "cli_logs", "system_logs", "ftpd_logs", "amp", "amp_logs", "ampverdict", "antispam", "antivirus",
    "content_scanner", "system", "bounces", "bounce_logs", "status", "updater_logs", "euq_logs", "euqgui_logs", "audit_logs", "reportd_logs", "reportqueryd_logs",
    "graymail", "encryption", "sntpd_logs", "upgrade_logs", "mail", "service_logs", "smartlicense", "config_history", "s3_client", "csn_logs", "scanning",
    "trackerd_logs", "threatfeeds",
];

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, _context: &Context<'_>) -> bool {
    let Some((level, said)) = text.trim().split_once(": ") else { return false };
    if !record.app.as_deref().is_some_and(|app| SUBSCRIPTIONS.contains(&app)) {
        return false;
    }
    let severity = match level {
        "Critical" | "Alert" | "Emergency" => Medium,
        "Warning" | "Error" | "Info" | "Information" | "Debug" | "Trace" | "Notice" => Low,
        _ => return false,
    };
    record.set("log.level", level);
    let said = said.trim_start();
    is(record, FORMAT, Other, severity);
    if !(access(said, record) || connection(said, record) || verdict(said, record)) {
        plain(said, severity, record);
    }
    record.format.message = FORMAT;
    true
}

/// Who came in, or did not.
fn access<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    #[rustfmt::skip]
    const SENTENCES: [(&str, crate::record::EventType); 9] = [
        (" failed authentication", LoginFailed), (" was authenticated successfully", LoginSuccess), (" successfully authenticated", LoginSuccess),
        (" was successfully authenticated", LoginSuccess), (" logged out", Logout), (" logged in", LoginSuccess), (" login failed", LoginFailed),
        (" session has expired", Logout), (" disconnected", Logout),
    ];
    let text = text.strip_prefix("Action: ").unwrap_or(text);
    let Some(rest) = ["User ", "The user ", "user:", "login:"].iter().find_map(|start| text.strip_prefix(start)) else {
        return false;
    };
    let Some((at, event_type)) = SENTENCES.iter().find_map(|(sentence, kind)| Some((rfind(rest, sentence)?, *kind))) else {
        return false;
    };
    let (who, rest) = (&rest[..at], &rest[at..]);
    // What is behind the sentence, the appliance wrote; what is before it, a name may pretend.
    let (user, place) = match (rest.rsplit_once(" from "), rfind(who, " from ")) {
        (Some((_, place)), _) => (who, place),
        (None, Some(at)) => (&who[..at], &who[at + " from ".len()..]),
        (None, None) => (who, ""),
    };
    let user = user.trim_end_matches(" was").trim_end_matches(" has").trim_matches(['"', '\'']);
    fill::account(record, Cow::Borrowed(user));
    (record.src_ip, record.src_port) = address(place);
    match event_type {
        LoginFailed => failed(record, FORMAT, "login", ToldBy::Service),
        LoginSuccess => succeeded(record, FORMAT, "login"),
        event_type => is(record, FORMAT, event_type, Low),
    }
    true
}

/// `198.51.100.9`, with or without what follows, and `198.51.100.9 port 50122`.
fn address(text: &str) -> (Option<std::net::IpAddr>, Option<u16>) {
    let (host, rest) = word(text);
    let (host, port) = scan::host_port(host.trim_end_matches([',', '.', ';']));
    let port = port.or_else(|| rest.strip_prefix("port ").and_then(|port| word(port).0.parse().ok()));
    (scan::ip(host), port)
}

/// Connections, by the interface and the address at its other end.
fn connection<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let ends = |text: &'a str, record: &mut LogRecord<'a>, outward: bool| {
        let Some((_, rest)) = scan::cut(text, " address ") else { return };
        let own = scan::between(text, "(", ')').and_then(scan::ip);
        let (far, port) = address(rest);
        if outward {
            (record.src_ip, record.dst_ip, record.dst_port) = (own, far, port);
        } else {
            (record.src_ip, record.src_port, record.dst_ip) = (far, port, own);
        }
        record.protocol = Some(Cow::Borrowed("tcp"));
    };
    if text.starts_with("New SMTP ICID ") {
        ends(text, record, false);
        is(record, FORMAT, ConnectionAllowed, Low);
    } else if text.starts_with("New SMTP DCID ") {
        ends(text, record, true);
        is(record, FORMAT, ConnectionAllowed, Low);
    } else if text.starts_with("ICID ")
        && (scan::has(text, " REJECT ") || scan::has(text, " BLOCK") || scan::has(text, " TCPREFUSE "))
    {
        is(record, FORMAT, ConnectionBlocked, Low);
    } else if let Some((_, place)) = scan::cut(text, " connection from host ") {
        // Error in https connection from host …
        (record.src_ip, record.src_port) = address(place);
    } else if let Some(rest) = text.strip_prefix("req:") {
        // The web interface's requests: `req:192.0.2.9 user:ops id:aB7x 200 POST /login HTTP/1.1 …`.
        let (place, rest) = word(rest);
        (record.src_ip, record.src_port) = address(place);
        if let Some(user) = rest.strip_prefix("user:").map(|rest| word(rest).0).filter(|user| !matches!(*user, "-" | "")) {
            fill::account(record, Cow::Borrowed(user));
        }
        is(record, FORMAT, crate::record::EventType::HttpRequest, Low);
    } else {
        return false;
    }
    true
}

/// What was found in a message.
fn verdict<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some(rest) = text.strip_prefix("MID ") else { return false };
    let (mid, rest) = word(rest);
    if let Some(mid) = whole_number(mid) {
        record.set("email.local_id", mid);
    }
    let found = |words: &str| scan::has(rest, words);
    if found("antivirus positive") || found("AMP file reputation verdict : MALICIOUS") || found("verdict: MALICIOUS") {
        is(record, FORMAT, MalwareDetected, Medium);
    } else {
        is(record, FORMAT, DataTransfer, Low);
    }
    if let Some(address) = scan::between(rest, "From: <", '>').or_else(|| scan::between(rest, " from <", '>')) {
        record.set("email.from.address", address);
    }
    if let Some(address) = scan::between(rest, " To: <", '>') {
        record.set("email.to.address", address);
    }
    if let Some(subject) = rest.trim().strip_prefix("Subject ") {
        record.set("email.subject", subject.trim_matches(['\'', '"']));
    }
    true
}

fn plain(text: &str, severity: Severity, record: &mut LogRecord<'_>) {
    let has = |words: &str| scan::has(text, words);
    let event_type = if has("commit changes") || text.starts_with("PID ") && has(" commit ") {
        ConfigChange
    } else if has("shutting down") || has("Restarting ") || has("started") || has("starting") {
        ServiceChange
    } else if severity == Medium || has("Unable to ") || has("Could not ") || has("Failed to ") {
        System
    } else {
        Other
    };
    is(record, FORMAT, event_type, severity);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn messages() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        #[rustfmt::skip]
        let table = [
            ("Info: New SMTP ICID 134 interface Data 1 (192.0.2.4) address 198.51.100.9 reverse dns host x verified yes", ConnectionAllowed, "", "198.51.100.9"),
            ("Info: New SMTP DCID 8 interface 192.0.2.4 address 198.51.100.9 port 25", ConnectionAllowed, "", ""),
            ("Info: Action: User ops logged out from session aB7x because of inactivity timeout", Logout, "ops", ""),
            ("Info: Action: User x from 1.1.1.1 logged in from 192.0.2.9", LoginSuccess, "x from 1.1.1.1", "192.0.2.9"),
            ("Info: User ops from 192.0.2.9 failed authentication: invalid password", LoginFailed, "ops", "192.0.2.9"),
            ("Info: Error in https connection from host 192.0.2.9 port 50122 - [Errno 54] x", Other, "", "192.0.2.9"),
            ("Info: MID 6 antivirus positive 'EICAR-AV-Test'", MalwareDetected, "", ""),
            ("Info: req:192.0.2.9 user:ops id:aB7x 200 POST /login HTTP/1.1", crate::record::EventType::HttpRequest, "ops", "192.0.2.9"),
            ("Critical: Error while sending alert: x", System, "", ""),
            ("Info: case antispam - engine (1) : case-daemon: server killed by SIGHUP, shutting down", ServiceChange, "", ""),
        ];
        for (text, event_type, user, src) in table {
            let mut record = LogRecord::text(text);
            record.app = Some("gui_logs".into());
            assert!(parse(text, &mut record, &context), "{text}");
            let ip = record.src_ip.map_or(String::new(), |ip| ip.to_string());
            assert_eq!((record.event_type, record.username.as_deref().unwrap_or(""), &*ip), (event_type, user, src), "{text}");
        }
        assert!(!parse("something else: x", &mut LogRecord::text(""), &context));
    }
}
