//! Citrix NetScaler (ADC, Gateway, Web App Firewall) in its native format: `11/20/2026:06:25:01 GMT ns1 0-PPE-1 : default AAA LOGIN_FAILED 813 0 :
//! User mia - Client_ip 203.0.113.77 - Failure_reason "Invalid credentials"`.
//!
//! Source: NetScaler Syslog Message Reference (modules AAA, SSLVPN, TCP, APPFW, GUI/CLI/API, EVENT, SSLLOG). A failed login, what the application
//! firewall saw, a command that changed something and a device that went down are medium, the rest is low.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Begins, Holds};
use crate::parse::{Context, fill, scan};
use crate::record::{Civil, EventType, LogRecord, Severity, ToldBy, civil_from_days, days_from_civil};

pub(super) const DIALECT: Dialect = Dialect {
    name: "netscaler",
    product: "Citrix NetScaler: ADC, Gateway, Web App Firewall",
    reference: "https://developer-docs.netscaler.com/en-us/netscaler-syslog-message-reference/current-release",
    marks: &[Holds("-PPE-"), Holds(" : default ")],
    parse,
    samples: &[
        r#"<133>Nov 20 06:25:01 192.0.2.10 11/20/2026:06:25:01 GMT ns1 0-PPE-1 : default AAA LOGIN_FAILED 813 0 :  User mia - Client_ip 203.0.113.77 - Failure_reason "Invalid credentials" - Browser curl"#,
        "<134> 11/20/2026:06:25:02 GMT ns1 0-PPE-1 : default TCP CONN_TERMINATE 814 0 :  Source 203.0.113.77:48312 - Destination 192.0.2.4:443 - Start Time 11/20/2026:06:25:01 GMT - End Time 11/20/2026:06:25:02 GMT - Total_bytes_send 10 - Total_bytes_recv 20",
        "<134> 11/20/2026:06:25:03 GMT ns1 0-PPE-1 : default APPFW APPFW_STARTURL 815 0 :  203.0.113.77 616-PPE1 y3upt2K8 pr_shop http://shop.example.org/.env Disallow Illegal URL. <blocked>",
    ],
};

/// The application firewall's messages in the Common Event Format, whose customs are NetScaler's own: the year is in `cs5`.
pub(super) const CEF: Dialect = Dialect {
    name: "netscaler_cef",
    product: "Citrix NetScaler Web App Firewall, as CEF",
    reference: "https://docs.netscaler.com/en-us/citrix-adc/current-release/application-firewall/logs.html",
    marks: &[Begins("CEF:0|Citrix|NetScaler|"), Holds("CEF:0|Citrix|NetScaler|")],
    parse: |text, record, _| cef(text.trim_end(), record),
    samples: &[
        "Nov 20 06:25:04 <local0.info> 192.0.2.10 CEF:0|Citrix|NetScaler|NS14.1|APPFW|APPFW_STARTURL|6|src=203.0.113.77 spt=48312 method=GET request=http://shop.example.org/.env msg=Disallow Illegal URL. cn1=815 cn2=616 cs1=pr_shop cs2=PPE1 cs3=y3upt2K8 cs4=ALERT cs5=2026 act=blocked",
    ],
};

const FORMAT: &str = "netscaler";

fn cef<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((_, rest)) = scan::cut(text, "CEF:0|Citrix|NetScaler|") else { return false };
    let mut parts = rest.splitn(5, '|');
    let (Some(_), Some(module), Some(name), Some(_), Some(list)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    record.set("citrix.module", module);
    record.set("event.code", name);
    let mut rest = list;
    while let Some((key, behind)) = rest.split_once('=') {
        // A value goes on to the blank before the next key of this list.
        let end = behind
            .match_indices(' ')
            .map(|(at, _)| at)
            .find(|at| behind.get(at + 1..).is_some_and(begins_with_key))
            .unwrap_or(behind.len());
        let Some((value, next)) = behind.split_at_checked(end) else { break };
        extension(key, value.trim(), record);
        rest = next.trim_start();
    }
    is(record, "netscaler_cef", EventType::IdsAlert, Severity::Medium);
    true
}

fn begins_with_key(text: &str) -> bool {
    KEYS.iter().any(|key| text.strip_prefix(key).is_some_and(|rest| rest.starts_with('=')))
}

const KEYS: [&str; 14] =
    ["src", "spt", "method", "request", "msg", "cn1", "cn2", "cs1", "cs2", "cs3", "cs4", "cs5", "cs6", "act"];

fn extension<'a>(key: &str, value: &'a str, record: &mut LogRecord<'a>) {
    match key {
        "src" if record.src_ip.is_none() => record.src_ip = scan::ip(value),
        "spt" if record.src_port.is_none() => record.src_port = value.parse().ok(),
        "method" => record.set("http.request.method", value),
        "request" => record.set("url.original", value),
        "msg" => record.set("event.reason", value),
        "cs1" => record.set("rule.ruleset", value),
        "cs3" => record.set("session.id", value),
        "cs4" => record.set("log.level", value),
        "cs5" => {
            // BSD's time in front has no year.
            if let (Some(time), Ok(year)) = (record.event_time, value.parse::<i32>())
                && (1990..2200).contains(&year)
            {
                let (_, month, day) = civil_from_days(time.day());
                let days = days_from_civil(year, month, day) - time.day();
                record.event_time = Some(time.plus_micros(days * 86_400_000_000));
            }
        }
        "act" => record.action = Some(value.to_ascii_lowercase().into()),
        _ => {}
    }
}

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some((head, body)) = text.trim_end().split_once(" : ") else { return false };
    // Time, zone, host, packet engine; something may stand in front.
    let mut words = head.split(' ').skip_while(|word| own_time(word).is_none());
    let (Some(time), zone, host, Some(engine)) = (words.next(), words.next(), words.next(), words.next()) else { return false };
    if !engine.contains("PPE-") {
        return false;
    }
    let body = body.strip_prefix("default ").unwrap_or(body);
    let Some((about, what)) = scan::cut(body, " : ").or_else(|| scan::cut(body, " :")) else { return false };
    let mut names = about.split(' ');
    let (Some(module), Some(name)) = (names.next(), names.next()) else { return false };
    if module.is_empty() || !module.bytes().all(|b| b.is_ascii_uppercase() || b == b'_' || b.is_ascii_digit()) {
        return false;
    }
    let utc = matches!(zone, Some("GMT" | "UTC"));
    record.event_time =
        own_time(time).map(|civil| if utc { civil.at_offset(0) } else { context.zone.instant(civil) }).or(record.event_time);
    record.host = host.map(Into::into).or(record.host.take());
    record.set("citrix.module", module);
    record.set("event.code", name);
    let what = what.trim();
    if module == "APPFW" {
        appfw(what, record);
    } else {
        items(what, record);
        meaning(module, name, what, record);
    }
    true
}

/// `11/20/2026:06:25:01`; the day comes first where the appliance is set so, which only days after the twelfth show.
fn own_time(word: &str) -> Option<Civil> {
    let mut parts = word.splitn(4, ['/', ':']);
    let (first, second, year) = (parts.next()?, parts.next()?, parts.next()?);
    let (first, second, year) = (first.parse::<u8>().ok()?, second.parse::<u8>().ok()?, year.parse::<i32>().ok()?);
    let (rest, (hour, minute, seconds, micros)) = scan::clock(parts.next()?).ok()?;
    let (month, day) = if first > 12 { (second, first) } else { (first, second) };
    if !rest.is_empty() {
        return None;
    }
    Civil::new(year, month, day, hour, minute, seconds, micros)
}

/// `203.0.113.77 616-PPE1 session profile http://… what it found <blocked>`.
fn appfw<'a>(what: &'a str, record: &mut LogRecord<'a>) {
    let mut words = what.splitn(6, ' ');
    record.src_ip = words.next().and_then(scan::ip);
    let (_, _, profile, url, found) = (words.next(), words.next(), words.next(), words.next(), words.next());
    if let Some(profile) = profile {
        record.set("rule.ruleset", profile);
    }
    if let Some(url) = url {
        record.set("url.original", url);
    }
    let found = found.unwrap_or_default();
    let (reason, action) = found.rsplit_once(" <").unwrap_or((found, ""));
    record.set("event.reason", reason);
    if !action.is_empty() {
        record.action = Some(action.trim_end_matches('>').into());
    }
    is(record, FORMAT, EventType::IdsAlert, Severity::Medium);
}

/// `User mia - Client_ip 192.0.2.1 - …`. What a client chooses (its browser's name) stands behind what the appliance knows.
fn items<'a>(what: &'a str, record: &mut LogRecord<'a>) {
    let what = what.strip_prefix("Context ").and_then(|context| scan::cut(context, " - ")).map_or(what, |(_, rest)| rest);
    for item in what.split(" - ").take(40) {
        // `SessionId: 17- User mia`
        let item = item.trim();
        let item = if item.starts_with("SessionId") { scan::cut(item, "- ").map_or(item, |(_, item)| item) } else { item };
        let Some((name, value)) = item.split_once(' ') else { continue };
        let value = value.trim().trim_matches('"');
        let end = || endpoint(value);
        match name {
            "User" if record.username.is_none() => fill::account(record, Cow::Borrowed(value.trim_end_matches(':'))),
            // Of a published application.
            "username:domainname" if record.username.is_none() => {
                let (user, domain) = value.split_once(':').unwrap_or((value, ""));
                fill::account(record, Cow::Borrowed(user));
                if !domain.is_empty() {
                    record.set("user.domain", domain);
                }
            }
            "Client_ip" | "Remote_ip" | "ClientIP" if record.src_ip.is_none() => record.src_ip = scan::ip(value),
            "ClientPort" => record.src_port = value.parse().ok(),
            "VserverServiceIP" => record.dst_ip = scan::ip(value),
            "VserverServicePort" => record.dst_port = value.parse().ok(),
            "Source" if record.src_ip.is_none() => (record.src_ip, record.src_port) = end(),
            "Destination" if record.dst_ip.is_none() => (record.dst_ip, record.dst_port) = end(),
            "Vserver" if record.dst_ip.is_none() => (record.dst_ip, record.dst_port) = end(),
            "NatIP" | "Nat_ip" if scan::ip(scan::host_port(value).0).is_some() => {
                record.set("source.nat.ip", scan::host_port(value).0)
            }
            "Total_bytes_send" => number(record, "source.bytes", value),
            "Total_bytes_recv" => number(record, "destination.bytes", value),
            "Failure_reason" | "Reason" => record.set("event.reason", value),
            "Command" => record.set("process.command_line", value),
            "Status" => record.set("event.outcome.text", value),
            "Browser_type" | "Browser" => record.set("user_agent.original", value),
            _ => {}
        }
    }
}

fn number(record: &mut LogRecord<'_>, name: &'static str, value: &str) {
    if let Ok(number) = value.parse::<i64>() {
        record.set(name, number);
    }
}

fn endpoint(text: &str) -> (Option<std::net::IpAddr>, Option<u16>) {
    let (host, port) = scan::host_port(text.split(' ').next().unwrap_or(text));
    (scan::ip(host), port)
}

fn meaning(module: &str, name: &str, what: &str, record: &mut LogRecord<'_>) {
    let command = name == "CMD_EXECUTED";
    let fails = what.contains("Status \"ERROR") || what.contains("Status \"Failure");
    let login = command && scan::has(what, "Command \"login ");
    match name {
        "LOGIN_FAILED" => failed(record, FORMAT, "login_failed", ToldBy::Service),
        _ if login && fails => failed(record, FORMAT, "login_failed", ToldBy::Service),
        "LOGIN" => succeeded(record, FORMAT, "login"),
        _ if login => succeeded(record, FORMAT, "login"),
        _ => {
            let (event_type, severity) = match name {
                "LOGOUT" | "TERMINATE_SESSION" => (EventType::Logout, Severity::Low),
                _ if command && scan::has(what, "Command \"logout") => (EventType::Logout, Severity::Low),
                _ if command
                    && ["add ", "set ", "rm ", "bind ", "unbind ", "unset ", "save ", "enable ", "disable "]
                        .iter()
                        .any(|verb| what.contains(&format!("Command \"{verb}"))) =>
                {
                    (EventType::ConfigChange, Severity::Medium)
                }
                "CONN_TERMINATE" | "CONN_DELINK" | "OTHERCONN_DELINK" | "NAT_CONN_TERMINATE" | "TCPCONNSTAT" | "UDPFLOWSTAT" => {
                    (EventType::ConnectionAllowed, Severity::Low)
                }
                "NONHTTP_RESOURCEACCESS_DENIED" | "HTTP_RESOURCEACCESS_DENIED" => (EventType::AccessDenied, Severity::Medium),
                "HTTPREQUEST" => (EventType::HttpRequest, Severity::Low),
                "DEVICEDOWN" | "MONITORDOWN" => (EventType::ServiceChange, Severity::Medium),
                "DEVICEUP" | "MONITORUP" | "STATECHANGE" | "STARTCPU" => (EventType::ServiceChange, Severity::Low),
                _ if matches!(module, "ACL" | "ACL6") => (EventType::ConnectionBlocked, Severity::Low),
                _ => (EventType::System, Severity::Low),
            };
            is(record, FORMAT, event_type, severity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn lines() {
        use EventType::*;
        let context = Context { now: Timestamp::from_secs(1_795_155_900), zone: &Zone::UTC, own: &[] };
        #[rustfmt::skip]
        let table = [
            (DIALECT.samples[0], LoginFailed, Some("mia"), None),
            (DIALECT.samples[1], ConnectionAllowed, None, Some(48312)),
            (DIALECT.samples[2], IdsAlert, None, None),
            ("Nov 20 06:25:04 ns1 CEF:0|Citrix|NetScaler|NS14.1|APPFW|APPFW_STARTURL|6|src=203.0.113.77 spt=48312 method=GET request=http://a/?b=c msg=Disallow = x cn1=815 cs5=2026 act=not blocked", IdsAlert, None, Some(48312)),
            ("<134> 20/11/2026:06:25:03 GMT ns1 0-PPE-1 : default SSLVPN LOGIN 816 0 : Context mia@203.0.113.77 - SessionId: 17- User mia - Client_ip 203.0.113.77 - Nat_ip \"Mapped Ip\" - Vserver 192.0.2.4:443 - Browser_type \"x\"", LoginSuccess, Some("mia"), None),
            ("<134> 11/20/2026:06:25:03 GMT ns1 0-PPE-1 : default GUI CMD_EXECUTED 817 0 :  User nsroot - Remote_ip 203.0.113.77 - Command \"login nsroot ********\" - Status \"ERROR: Invalid username or password\"", LoginFailed, Some("nsroot"), None),
        ];
        for (line, event_type, user, port) in table {
            let record = parse::parse(line, &context);
            assert_eq!((record.event_type, record.username.as_deref(), record.src_port), (event_type, user, port), "{line}");
            assert_eq!((record.src_ip, record.host.as_deref()), ("203.0.113.77".parse().ok(), Some("ns1")), "{line}");
            assert!(record.event_time.is_some_and(|t| t.to_string().starts_with("2026-11-20T06:25:0")), "{line}");
        }
    }
}
