//! Check Point Log Exporter: `[action:"Accept"; flags:"…"; origin:"…"; src:"…"; …]` behind an RFC 5424 header (its `syslog` format), and
//! `time=…|hostname=…|action=Accept|…` (its `generic` and `splunk` formats, and the LEA clients before it).
//!
//! Source: "Log Exporter" of the Logging and Monitoring guide (sk122323) and "Description of fields in Check Point logs" (sk144192). Severity: attacks
//! by `severity` (0 low to 4 critical), malware is high at least, a refused login medium, connections low.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Holds};
use crate::parse::fill::word;
use crate::parse::fill::{self, Slot};
use crate::parse::json::Scalar;
use crate::parse::pairs::{Pairs, Style};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "checkpoint",
    product: "Check Point Log Exporter",
    reference: "https://support.checkpoint.com/results/sk/sk122323",
    marks: &[
        App("CheckPoint"),
        Holds(" CheckPoint "),
        Begins("[action:\""),
        Begins("[flags:\""),
        Holds("loguid:\""),
        Holds("|loguid="),
        Holds("|action="),
        Holds("|ifdir="),
    ],
    parse,
    samples: &[
        r#"<134>1 2026-11-20T06:25:01Z gw1 CheckPoint 8363 - [action:"Drop"; flags:"444676"; ifdir:"inbound"; ifname:"eth0"; loguid:"{0x1,0x2,0x3,0x4}"; origin:"192.0.2.1"; time:"1795155901"; version:"5"; product:"VPN-1 & FireWall-1"; proto:"6"; s_port:"48312"; service:"23"; src:"203.0.113.77"; dst:"192.0.2.4"; rule_name:"no telnet"]"#,
        "<134>Nov 20 06:25:02 gw1 time=1795155902|hostname=gw1|product=Firewall|action=Accept|ifdir=inbound|loguid={0x1,0x2,0x3,0x5}|src=192.0.2.30|dst=203.0.113.77|s_port=48313|service=443|proto=6",
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let line = text.trim();
    let list = match line.find('[').filter(|at| *at < 128) {
        Some(at) => &line[at..],
        None => line,
    };
    let outer = record.host.take();
    let is_list = list.starts_with('[') && has_quoted_pair(list);
    if is_list {
        record.fields.reserve(40);
        header(&line[..line.len() - list.len()], record, context);
        for (key, value) in (List { rest: &list[1..] }) {
            file(record, key, value, context);
        }
    } else if line.contains('|')
        && scan::has(line, "action=")
        && (scan::has(line, "loguid=") || scan::has(line, "product=") || scan::has(line, "i/f_dir="))
    {
        record.fields.reserve(40);
        for (key, value) in Pairs::new(line, Style { equals: b'=', separator: b'|' }) {
            file(record, key, value, context);
        }
    } else {
        record.host = outer;
        return false;
    }
    record.host = record.host.take().or(outer);
    record.error = None;
    let (event_type, severity) = meaning(record);
    is(record, "checkpoint", event_type, severity);
    true
}

/// What every such list begins with: a name and a value in quotes.
fn has_quoted_pair(list: &str) -> bool {
    let Some((key, rest)) = list[1..].split_once(":\"") else { return false };
    let known = scan::has_any(list, &["action:\"", "flags:\"", "loguid:\"", "originsicname:\"", "product:\""]);
    known && !key.is_empty() && key.len() < 64 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !rest.is_empty()
}

/// Where no PRI was before it, the header is a part of the message: `1 2026-11-20T06:25:01Z gw1 CheckPoint 8363 - `.
fn header<'a>(head: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) {
    let mut words = head.split_ascii_whitespace().skip_while(|word| word.len() < 2);
    let (Some(time), Some(host), Some("CheckPoint")) = (words.next(), words.next(), words.next()) else { return };
    if let Some(time) = scan::iso_time(time, Some(context.zone)) {
        record.event_time = Some(time);
        record.host = Some(Cow::Borrowed(host));
        record.app = Some(Cow::Borrowed("CheckPoint"));
        record.pid = words.next().and_then(|pid| pid.parse().ok());
    }
}

/// `name:"value"; name::"value"; …]`. Within a value, `"`, `]` and `\` are escaped.
struct List<'a> {
    rest: &'a str,
}

impl<'a> Iterator for List<'a> {
    type Item = (&'a str, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = self.rest.split_once(':')?;
        let rest = rest.trim_start_matches([':', ' ']);
        let Some(quoted) = rest.strip_prefix('"') else {
            let end = rest.find(';').unwrap_or(rest.len());
            self.rest = rest.get(end + 1..).unwrap_or_default();
            return Some((key.trim(), Cow::Borrowed(rest[..end].trim_end_matches(']').trim())));
        };
        let bytes = quoted.as_bytes();
        let (mut from, mut escaped) = (0, false);
        while let Some(at) = memchr::memchr2(b'"', b'\\', bytes.get(from..).unwrap_or_default()).map(|at| from + at) {
            if bytes[at] == b'\\' {
                (from, escaped) = (at + 2, true);
                continue;
            }
            if matches!(bytes.get(at + 1), None | Some(b';' | b']' | b' ')) {
                self.rest = quoted[at + 1..].trim_start_matches([';', ' ', ']']);
                return Some((key.trim(), unescape(&quoted[..at], escaped)));
            }
            from = at + 1;
        }
        self.rest = "";
        Some((key.trim(), unescape(quoted, escaped)))
    }
}

fn unescape(text: &str, escaped: bool) -> Cow<'_, str> {
    if escaped { Cow::Owned(text.replace("\\\"", "\"").replace("\\]", "]").replace("\\\\", "\\")) } else { Cow::Borrowed(text) }
}

fn file<'a>(record: &mut LogRecord<'a>, key: &'a str, value: Cow<'a, str>, context: &Context<'_>) {
    let slot = slots(key);
    let untranslated = key.starts_with("xlate") && matches!(&*value, "0" | "0.0.0.0" | "::");
    // Layers of rules repeat their keys: the first is that of the rule that decided.
    let repeated = !matches!(slot, Some(Slot::Host | Slot::Time)) && record.field(key).is_some();
    if !untranslated && !repeated {
        fill::file(record, slot, Cow::Borrowed(key), Scalar::Text(value), context);
    }
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Host, Number, Protocol, SrcIp, SrcPort, Time, User};
    Some(match name {
        "time" => Time, "origin" | "orig" => Host, "action" => Action, "src" | "client_ip" | "endpoint_ip" => SrcIp, "dst" => DstIp, "s_port" => SrcPort, "service" => DstPort, "proto" => Protocol,
        "user" | "src_user_name" | "administrator" => User, "product" => Field("observer.product"), "ifname" | "i/f_name" => Field("observer.ingress.interface.name"),
        "ifdir" | "i/f_dir" => Field("network.direction"), "inzone" => Field("observer.ingress.zone"), "outzone" => Field("observer.egress.zone"),
        "rule_name" => Field("rule.name"), "rule_uid" => Field("rule.uuid"), "loguid" => Field("event.id"), "severity" => Field("event.severity"),
        "xlatesrc" => Field("source.nat.ip"), "xlatedst" => Field("destination.nat.ip"), "xlatesport" => Number("source.nat.port"), "xlatedport" => Number("destination.nat.port"),
        "service_id" => Field("network.protocol"), "appi_name" => Field("network.application"), "resource" => Field("url.original"), "method" => Field("http.request.method"),
        "bytes" => Number("network.bytes"), "packets" => Number("network.packets"), "sent_bytes" | "client_outbound_bytes" => Number("source.bytes"),
        "received_bytes" | "server_outbound_bytes" => Number("destination.bytes"), "src_machine_name" => Field("source.domain"), "dst_machine_name" => Field("destination.domain"),
        "attack" => Field("threat.indicator.name"), "protection_name" => Field("rule.description"), "file_name" => Field("file.name"), "file_md5" => Field("file.hash.md5"),
        "file_sha1" => Field("file.hash.sha1"), "file_sha256" => Field("file.hash.sha256"), "reason" => Field("event.reason"), "hostname" => Field("observer.hostname"),
        "dst_user_name" => Field("destination.user.name"), "mac_source_address" => Field("source.mac"), "mac_destination_address" => Field("destination.mac"),
        _ => return None,
    })
}

fn meaning(record: &LogRecord<'_>) -> (EventType, Severity) {
    use EventType::{
        AccessDenied, ConfigChange, ConnectionAllowed, ConnectionBlocked, IdsAlert, LoginFailed, LoginSuccess, Logout,
        MalwareDetected, Other, System,
    };
    let action = record.action.as_deref().unwrap_or_default();
    let product = word(record, "observer.product").to_ascii_lowercase();
    let operation = word(record, "operation").to_ascii_lowercase();
    let rated = match word(record, "event.severity").to_ascii_lowercase().as_str() {
        "4" | "critical" => Severity::Critical,
        "3" | "high" => Severity::High,
        "2" | "medium" => Severity::Medium,
        _ => Severity::Low,
    };
    let refused = matches!(action, "drop" | "reject" | "block" | "deny" | "prevent" | "quarantine" | "reset" | "blocked");
    let is_product = |words: &[&str]| words.iter().any(|word| product.contains(word));
    let status = word(record, "auth_status").to_ascii_lowercase();
    if matches!(action, "failed log in" | "failed login") || status.contains("fail") || operation == "failed log in" {
        return (LoginFailed, Severity::Medium);
    }
    match operation.as_str() {
        "log in" if word(record, "operation status").contains("ail") => return (LoginFailed, Severity::Medium),
        "log in" => return (LoginSuccess, Severity::Low),
        "log out" | "logout" => return (Logout, Severity::Low),
        "create object" | "modify object" | "delete object" | "publish" | "install policy" | "modify rule" | "create rule"
        | "delete rule" => {
            return (ConfigChange, Severity::Medium);
        }
        _ => {}
    }
    let is_attack = !word(record, "threat.indicator.name").is_empty()
        || !word(record, "rule.description").is_empty()
        || is_product(&["ips", "smartdefense", "ddos"]);
    match action {
        "log in" | "authorize" | "authcrypt" => (LoginSuccess, Severity::Low),
        "log out" | "deauthorize" => (Logout, Severity::Low),
        "prevent" | "detect" | "block" | "drop" | "quarantine"
            if is_product(&[
                "anti virus",
                "anti-virus",
                "threat emulation",
                "anti malware",
                "anti-malware",
                "threat extraction",
            ]) =>
        {
            (MalwareDetected, rated.max(Severity::High))
        }
        "prevent" | "detect" => (IdsAlert, rated.max(Severity::Medium)),
        _ if is_attack && !action.is_empty() => (IdsAlert, rated),
        _ if refused && is_product(&["url filtering", "application control", "content awareness", "mobile access"]) => {
            (AccessDenied, Severity::Low)
        }
        _ if refused => (ConnectionBlocked, Severity::Low),
        "accept" | "allow" | "encrypt" | "decrypt" | "bypass" | "redirect" | "keyinst" | "inspect" | "vpn routing" => {
            (ConnectionAllowed, Severity::Low)
        }
        "" => (System, Severity::Low),
        _ => (Other, Severity::Low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    fn read(text: &str) -> Option<LogRecord<'_>> {
        let mut record = LogRecord::text(text);
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        parse(text, &mut record, &context).then_some(record)
    }

    #[test]
    fn what_happened() {
        use EventType::*;
        for (rest, event_type) in [
            (r#"action:"Accept"; product:"VPN-1 & FireWall-1""#, ConnectionAllowed),
            (r#"action:"Drop"; product:"VPN-1 & FireWall-1""#, ConnectionBlocked),
            (r#"action:"Prevent"; product:"SmartDefense"; attack:"x\"y\]z""#, IdsAlert),
            (r#"action:"Prevent"; product:"Anti Virus""#, MalwareDetected),
            (r#"action:"Block"; product:"URL Filtering"; resource::"http://a/;b""#, AccessDenied),
            (r#"action:"Failed Log In"; product:"SmartConsole""#, LoginFailed),
            (r#"flags:"1"; product:"System Monitor"; sys_message::"a; b""#, System),
        ] {
            let line = format!(
                r#"[{rest}; loguid:"{{0x1}}"; origin:"192.0.2.1"; user:"mia"; proto:"6"; s_port:"48312"; service:"23"; src:"203.0.113.77"; dst:"192.0.2.4"]"#
            );
            let record = read(&line).unwrap();
            assert_eq!(record.event_type, event_type, "{line}");
            assert_eq!(
                (record.src_ip, record.src_port, record.dst_port),
                ("203.0.113.77".parse().ok(), Some(48312), Some(23)),
                "{line}"
            );
            assert_eq!((record.username.as_deref(), record.host.as_deref()), (Some("mia"), Some("192.0.2.1")), "{line}");
        }
        assert_eq!(read(r#"[x:"1"]"#), None);
        assert_eq!(read("a|action=b"), None);
    }
}
