//! Cisco Umbrella's exports: CSV without a header, one kind of file for DNS, proxy, firewall, IP, intrusion, DLP and the administrators' audit.
//!
//! Source: "Log Formats and Versioning". Newer versions append columns, so that a kind is known by what stands in its first ones. Who asked is the source; where Umbrella
//! saw only a public address, that. Severity: blocked malware and intrusions are medium, the routine of resolving and refusing is low; DLP rates its own events.

use std::borrow::Cow;

use super::is;
use crate::parse::Context;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Begins, Line};
use crate::parse::fill;
use crate::parse::scan;
use crate::record::EventType::{
    AccountChange, ConfigChange, ConnectionAllowed, ConnectionBlocked, IdsAlert, LoginSuccess, MalwareDetected,
};
use crate::record::Severity::{High, Low, Medium};
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "cisco_umbrella",
    product: "Cisco Umbrella",
    reference: "https://docs.umbrella.com/deployment-umbrella/docs/log-formats-and-versioning",
    #[rustfmt::skip]
    marks: &[
        Begins("\"1"), Begins("\"2"), Begins("\"3"), Begins("\"4"), Begins("\"5"), Begins("\"6"), Begins("\"7"), Begins("\"8"), Begins("\"9"),
        Line(",INBOUND,"), Line(",OUTBOUND,"), Line(",CDFW Tunnel Device,"),
    ],
    parse: |text, record, context| parse(text, record, context),
    samples: &[
        r#""2026-11-20 06:25:01","mia","mia,pc7","192.0.2.4","198.51.100.4","Blocked","1 (A)","NOERROR","bad.example.com.","Malware","AD Users","AD Users,Roaming Computers","Malware""#,
        r#""2026-11-20 06:25:02","Site 1","192.0.2.4","198.51.100.4","203.0.113.80","text/html","ALLOWED","http://www.example.com/a","","ExampleBrowser/1.0","200","562","1489","","","Search Engines","","","","","","Networks","","Site 1","Networks","GET""#,
        r#"2026-11-20 06:25:03,[7],Tunnel 1,CDFW Tunnel Device,OUTBOUND,6,84,192.0.2.4,50122,203.0.113.80,443,ams1.edc,12,BLOCK"#,
        r#""71","2026-11-20 06:25:04","ops@example.com","Ops Example","users","create","192.0.2.9","","name: mia""#,
    ],
};

const FORMAT: &str = "cisco_umbrella";
const COLUMNS: usize = 64;

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let row = columns(text);
    let at = |index: usize| row.get(index).map_or("", |cell| cell.as_ref());
    let time =
        |index: usize| Some(at(index)).filter(|cell| cell.len() == 19).and_then(|cell| scan::iso_time(cell, Some(context.zone)));
    let Some(time) = time(0).or_else(|| time(1).filter(|_| at(0).bytes().all(|b| b.is_ascii_digit()))) else { return false };
    let ip = |index: usize| at(index).is_empty() || scan::ip(at(index)).is_some();
    let whole = |index: usize| at(index).is_empty() || at(index).bytes().all(|b| b.is_ascii_digit());
    let understood = if !at(0).contains('-') {
        at(2).contains('@') && ip(6) && row.len() >= 8 && audit(&row, record)
    } else if row.len() >= 10 && ip(3) && ip(4) && matches!(at(5), "Allowed" | "Blocked" | "Proxied") {
        dns(&row, record)
    } else if row.len() >= 12 && (ip(2) && ip(3) && ip(4)) && matches!(at(6), "ALLOWED" | "BLOCKED" | "WARNED" | "ISOLATED") {
        proxy(&row, record)
    } else if row.len() >= 14 && matches!(at(4), "INBOUND" | "OUTBOUND" | "TO_INTERNET") && ip(7) && ip(9) {
        firewall(&row, record)
    } else if row.len() >= 7 && ip(2) && !at(2).is_empty() && whole(3) && ip(4) && !at(4).is_empty() && whole(5) {
        ends(record, (at(2), at(3)), (at(4), at(5)));
        identity(&row, 1, 7, 8, record);
        is(record, FORMAT, ConnectionBlocked, Low);
        set(record, "rule.category", &row, 6);
        true
    } else if row.len() >= 17 && whole(3) && whole(4) && ip(12) && ip(14) && !at(12).is_empty() {
        intrusion(&row, record)
    } else if row.len() >= 16 && matches!(at(3), "LOW" | "MEDIUM" | "HIGH" | "CRITICAL" | "INFO") && !at(9).is_empty() {
        leak(&row, record)
    } else {
        false
    };
    if understood {
        record.event_time = Some(time);
    }
    understood
}

type Row<'a> = Vec<Cow<'a, str>>;

/// The cells of a line: in quotes, which are doubled within, or bare. Some exports have a space behind the comma.
fn columns(text: &str) -> Row<'_> {
    let mut row = Vec::with_capacity(32);
    let mut rest = text.trim();
    while row.len() < COLUMNS {
        rest = rest.trim_start_matches(' ');
        let (cell, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_cell(quoted),
            None => {
                let end = memchr::memchr(b',', rest.as_bytes()).unwrap_or(rest.len());
                (Cow::Borrowed(rest[..end].trim()), &rest[end..])
            }
        };
        row.push(cell);
        match after.trim_start_matches(' ').strip_prefix(',') {
            Some(next) => rest = next,
            None => break,
        }
    }
    row
}

fn quoted_cell(text: &str) -> (Cow<'_, str>, &str) {
    let mut from = 0;
    let mut doubled = false;
    while let Some(at) = memchr::memchr(b'"', &text.as_bytes()[from..]).map(|at| from + at) {
        if text.as_bytes().get(at + 1) != Some(&b'"') {
            let cell = &text[..at];
            return (if doubled { Cow::Owned(cell.replace("\"\"", "\"")) } else { Cow::Borrowed(cell) }, &text[at + 1..]);
        }
        doubled = true;
        from = at + 2;
    }
    (Cow::Borrowed(text), "")
}

fn set<'a>(record: &mut LogRecord<'a>, name: &'static str, row: &Row<'a>, index: usize) {
    if let Some(cell) = row.get(index).filter(|cell| !cell.trim().is_empty()) {
        record.set(name, cell.clone());
    }
}

fn ends(record: &mut LogRecord<'_>, source: (&str, &str), destination: (&str, &str)) {
    (record.src_ip, record.src_port) = (scan::ip(source.0), source.1.parse().ok());
    (record.dst_ip, record.dst_port) = (scan::ip(destination.0), destination.1.parse().ok());
}

/// Source and where it comes out: a client behind the company's address, or that address itself.
fn asked<'a>(record: &mut LogRecord<'a>, row: &Row<'a>, internal: usize, external: usize) {
    let ip = |index: usize| row.get(index).and_then(|cell| scan::ip(cell));
    record.src_ip = ip(internal).or_else(|| ip(external));
    if ip(internal).is_some() {
        set(record, "source.nat.ip", row, external);
    }
}

/// The most granular identity (`who`), all of them (`all`), and of what kind each is (`kinds`).
fn identity<'a>(row: &Row<'a>, who: usize, all: usize, kinds: usize, record: &mut LogRecord<'a>) {
    let Some(name) = row.get(who).filter(|name| !name.is_empty()) else { return };
    record.set("umbrella.identity", name.clone());
    set(record, "umbrella.identities", row, all);
    set(record, "umbrella.identity_types", row, kinds);
    let kinds = row.get(kinds).map_or("", |cell| cell.as_ref());
    // Names have commas of their own: what is behind the first name is split, not the whole.
    let others = row.get(all).and_then(|cell| cell.strip_prefix(name.as_ref())).unwrap_or("");
    let names = std::iter::once(name.trim()).chain(others.split(',').skip(1).map(str::trim));
    let (mut user, mut host) = (None, None);
    for (name, kind) in names.zip(kinds.split(',').map(str::trim)) {
        match kind {
            "AD Users" | "Directory Users" | "SAML Users" => user = user.or(Some(name.to_owned())),
            "Roaming Computers"
            | "Roaming Computer"
            | "Anyconnect Roaming Client"
            | "AD Computers"
            | "Mobile Devices"
            | "Chromebook Users"
            | "Cisco Secure Client" => host = host.or(Some(name.to_owned())),
            _ => {}
        }
    }
    if let Some(user) = user {
        // `Example, Mia (mia@example.com)`
        let address = user.rsplit_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).filter(|address| address.contains('@'));
        if let Some(address) = address.map(str::to_owned) {
            record.set("user.full_name", user);
            fill::account(record, Cow::Owned(address));
        } else {
            fill::account(record, Cow::Owned(user));
        }
    }
    if let Some(host) = host {
        record.host = Some(Cow::Owned(host));
    }
}

fn dns<'a>(row: &Row<'a>, record: &mut LogRecord<'a>) -> bool {
    asked(record, row, 3, 4);
    // The column before has the kind of the first identity or, in some exports, the name of the policy.
    identity(row, 1, 2, 11, record);
    for (name, index) in
        [("dns.question.type", 6), ("dns.response_code", 7), ("umbrella.categories", 9), ("umbrella.blocked_categories", 12)]
    {
        set(record, name, row, index);
    }
    if let Some(name) = row.get(8) {
        record.set("dns.question.name", name.trim_end_matches('.').to_owned());
    }
    let blocked = row[5] == "Blocked";
    let malware = blocked
        && row.get(12).or(row.get(9)).is_some_and(|cell| cell.contains("Malware") || cell.contains("Command and Control"));
    let severity = if malware { Medium } else { Low };
    decide(record, if blocked { ConnectionBlocked } else { ConnectionAllowed }, severity, &row[5]);
    record.protocol = Some(Cow::Borrowed("dns"));
    true
}

fn decide(record: &mut LogRecord<'_>, event_type: EventType, severity: Severity, verdict: &str) {
    is(record, FORMAT, event_type, severity);
    record.action = Some(Cow::Owned(verdict.to_ascii_lowercase()));
}

fn proxy<'a>(row: &Row<'a>, record: &mut LogRecord<'a>) -> bool {
    asked(record, row, 2, 3);
    record.dst_ip = scan::ip(&row[4]);
    #[rustfmt::skip]
    let columns = [
        ("http.response.mime_type", 5), ("url.original", 7), ("http.request.referrer", 8), ("user_agent.original", 9), ("http.response.status_code", 10),
        ("http.request.bytes", 11), ("http.response.bytes", 12), ("file.hash.sha256", 14), ("umbrella.categories", 15), ("umbrella.av_detections", 16),
        ("umbrella.puas", 17), ("file.disposition", 18), ("threat.software.name", 19), ("umbrella.blocked_categories", 22),
        ("http.request.method", 25), ("umbrella.dlp_status", 26), ("file.name", 28),
    ];
    for (name, index) in columns {
        match row.get(index).map(|cell| cell.parse::<i64>()) {
            Some(Ok(number)) if name.ends_with("bytes") || name.ends_with("code") => record.set(name, number),
            _ => set(record, name, row, index),
        }
    }
    identity(row, 1, 23, 24, record);
    let cell = |index: usize| row.get(index).map_or("", |cell| cell.as_ref());
    let malicious = cell(18) == "MALICIOUS" || !cell(16).is_empty();
    let blocked = row[6] == "BLOCKED";
    let (event_type, severity) = match (malicious, blocked) {
        (true, true) => (MalwareDetected, Medium),
        (true, false) => (MalwareDetected, High),
        (false, true) => (ConnectionBlocked, Low),
        (false, false) => (ConnectionAllowed, Low),
    };
    decide(record, event_type, severity, &row[6]);
    true
}

fn firewall<'a>(row: &Row<'a>, record: &mut LogRecord<'a>) -> bool {
    ends(record, (&row[7], &row[8]), (&row[9], &row[10]));
    record.protocol = row[5].parse().ok().and_then(scan::protocol_number).map(Cow::Borrowed);
    for (name, index) in
        [("umbrella.identity", 2), ("network.direction", 4), ("network.bytes", 6), ("rule.id", 12), ("destination.domain", 14)]
    {
        set(record, name, row, index);
    }
    let event_type = if row[13].starts_with("BLOCK") { ConnectionBlocked } else { ConnectionAllowed };
    decide(record, event_type, Low, &row[13]);
    true
}

/// Time, identities, their kinds, generator, signature, message, list, severity, classification, CVEs, protocol, session, both ends, verdict.
fn intrusion<'a>(row: &Row<'a>, record: &mut LogRecord<'a>) -> bool {
    ends(record, (&row[12], &row[13]), (&row[14], &row[15]));
    record.protocol = row.get(10).map(|cell| Cow::Owned(cell.to_ascii_lowercase()));
    #[rustfmt::skip]
    let columns = [("umbrella.identity", 1), ("rule.id", 4), ("rule.name", 5), ("rule.category", 8), ("vulnerability.id", 9), ("session.id", 11)];
    for (name, index) in columns {
        set(record, name, row, index);
    }
    let severity = if row[7].eq_ignore_ascii_case("high") || row[7].eq_ignore_ascii_case("critical") { High } else { Medium };
    decide(record, IdsAlert, if row[16].eq_ignore_ascii_case("blocked") { Medium } else { severity }, &row[16]);
    true
}

/// Time, kind, id, severity, identity, owner, name, application, destination, action, rule, classification, classifier, type, size, hash, label.
fn leak<'a>(row: &Row<'a>, record: &mut LogRecord<'a>) -> bool {
    #[rustfmt::skip]
    let columns = [
        ("event.id", 2), ("umbrella.identity", 4), ("file.owner", 5), ("file.name", 6), ("network.application", 7), ("url.original", 8),
        ("rule.name", 10), ("rule.category", 11), ("file.mime_type", 13), ("file.size", 14), ("file.hash.sha256", 15),
    ];
    for (name, index) in columns {
        set(record, name, row, index);
    }
    let severity = match row[3].as_ref() {
        "CRITICAL" => Severity::Critical,
        "HIGH" => High,
        "MEDIUM" => Medium,
        _ => Low,
    };
    decide(record, if row[9].starts_with("BLOCK") { ConnectionBlocked } else { ConnectionAllowed }, severity, &row[9]);
    true
}

/// Id, time, address, name, what, action, from where, before, after.
fn audit<'a>(row: &Row<'a>, record: &mut LogRecord<'a>) -> bool {
    record.src_ip = scan::ip(&row[6]);
    record.username = Some(row[3].clone()).filter(|name| !name.is_empty()).or_else(|| Some(row[2].clone()));
    for (name, index) in [("event.id", 0), ("user.email", 2), ("object.type", 4), ("object.before", 7), ("object.after", 8)] {
        set(record, name, row, index);
    }
    let (event_type, severity) = match (row[4].as_ref(), row[5].as_ref()) {
        (_, "login" | "logged in") => (LoginSuccess, Low),
        (what, _) if what.contains("user") || what.contains("admin") => (AccountChange, Medium),
        _ => (ConfigChange, Low),
    };
    decide(record, event_type, severity, &row[5]);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn lines() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        #[rustfmt::skip]
        let table = [
            (DIALECT.samples[0], ConnectionBlocked, Medium, "mia", "pc7", "192.0.2.4", ""),
            (DIALECT.samples[1], ConnectionAllowed, Low, "", "", "192.0.2.4", "203.0.113.80"),
            (DIALECT.samples[2], ConnectionBlocked, Low, "", "", "192.0.2.4", "203.0.113.80"),
            (DIALECT.samples[3], AccountChange, Medium, "Ops Example", "", "192.0.2.9", ""),
            (r#""2026-11-20 06:25:01","Example, Mia (mia@example.com)", "Example, Mia (mia@example.com),pc7","192.0.2.4","198.51.100.4","Allowed","1 (A)","NOERROR","www.example.com.","x","AD Users","AD Users,Anyconnect Roaming Client",""#,
                ConnectionAllowed, Low, "mia", "pc7", "192.0.2.4", ""),
            (r#""2026-11-20 06:25:01","pc7","192.0.2.4","50122","203.0.113.80","443","Unauthorized IP Tunnel Access""#, ConnectionBlocked, Low, "", "", "192.0.2.4", "203.0.113.80"),
            (r#""2026-11-20 06:25:01","Site 1","","198.51.100.4","203.0.113.80","","BLOCKED","http://www.example.com/""a","","x","403","1","2","3","","x","Win.Example""#,
                MalwareDetected, Medium, "", "", "198.51.100.4", "203.0.113.80"),
            (r#""2026-11-20 06:25:01","Real Time","5a1f","CRITICAL","Site 1","","a.xlsx","Files","http://www.example.com/","BLOCK","r","c","d","text/html","48","9f2c","Secret""#,
                ConnectionBlocked, Severity::Critical, "", "", "", ""),
            (r#""2026-11-20 06:25:01","Site 1","Networks","1","10001","SERVER example","7","HIGH","Attempted Recon","CVE-2026-0001","TCP","99","198.51.100.9","50122","192.0.2.4","80","Blocked""#,
                IdsAlert, Medium, "", "", "198.51.100.9", "192.0.2.4"),
        ];
        for (text, event_type, severity, user, host, src, dst) in table {
            let mut record = LogRecord::text(text);
            assert!(parse(text, &mut record, &context), "{text}");
            let ip = |ip: Option<std::net::IpAddr>| ip.map_or(String::new(), |ip| ip.to_string());
            assert_eq!(
                (
                    record.event_type,
                    record.severity,
                    record.username.as_deref().unwrap_or(""),
                    record.host.as_deref().unwrap_or("")
                ),
                (event_type, severity, user, host),
                "{text}"
            );
            assert_eq!((&*ip(record.src_ip), &*ip(record.dst_ip)), (src, dst), "{text}");
            assert!(record.event_time.is_some());
        }
        for other in
            ["\"2026-11-20 06:25:01\"", "\"1\",\"2\"", "\"2026-11-20 06:25:01\",\"a\",\"b\",\"c\",\"d\"", "2026,INBOUND,"]
        {
            let mut record = LogRecord::text(other);
            assert!(!parse(other, &mut record, &context), "{other}");
            assert_eq!(record, LogRecord::text(other));
        }
    }
}
