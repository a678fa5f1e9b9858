//! Small programs that tell of one thing: who scans (scanlogd, PortSentry), who looks at a Mac's screen, who asks AdGuard Home for its password.
//!
//! Sources: scanlogd(8); PortSentry's `portsentry.c` and its history file; macOS's screensharingd; AdGuard Home's `auth` package. A scan is an alert, it
//! and a failed login are medium.

use std::borrow::Cow;

use super::super::token::{set_remote, set_user};
use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Holds, Line};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const SCANLOGD: Dialect = Dialect {
    name: "scanlogd",
    product: "scanlogd",
    reference: "https://www.openwall.com/scanlogd/",
    marks: &[App("scanlogd")],
    parse: |text, record, _| scanlogd(text, record),
    samples: &[
        "<188>Nov 20 06:25:01 web1 scanlogd: 203.0.113.77:48312 to 192.0.2.4 ports 80, 81, 83, 88, 99, 443, ..., fSrpauxy, TOS 00, TTL 49 @06:25:01",
    ],
};

pub(super) const PORTSENTRY: Dialect = Dialect {
    name: "portsentry",
    product: "PortSentry",
    reference: "https://portsentry.xyz/",
    marks: &[App("portsentry"), Line(" TCP Blocked"), Line(" UDP Blocked"), Begins("attackalert: ")],
    parse: |text, record, _| portsentry(text.trim_end(), record),
    samples: &[
        "1795155901 - 11/20/2026 06:25:01 Host: scan.example/203.0.113.77 Port: 23 TCP Blocked",
        "<188>Nov 20 06:25:02 web1 portsentry[811]: attackalert: TCP SYN/Normal scan from host: scan.example/203.0.113.77 to TCP port: 79",
    ],
};

pub(super) const SCREEN_SHARING: Dialect = Dialect {
    name: "screensharingd",
    product: "macOS screen sharing",
    reference: "https://support.apple.com/guide/remote-desktop/welcome/mac",
    marks: &[App("screensharingd"), Begins("Authentication: FAILED :: "), Begins("Authentication: SUCCEEDED :: ")],
    parse: |text, record, _| screen_sharing(text.trim_end(), record),
    samples: &[
        "Nov 20 06:25:01 mac1 screensharingd[811]: Authentication: FAILED :: User Name: mia :: Viewer Address: 203.0.113.77 :: Type: DH",
    ],
};

pub(super) const ADGUARD: Dialect = Dialect {
    name: "adguard_home",
    product: "AdGuard Home",
    reference: "https://github.com/AdguardTeam/AdGuardHome/wiki/Configuration",
    marks: &[
        Line("/control/login: from ip "),
        Holds("/control/login: from ip "),
        Holds("auth: user \""),
        Holds("auth: failed to "),
    ],
    parse: adguard,
    samples: &[
        "2026/11/20 06:25:01.250000 [error] POST dns.example.org /control/login: from ip 203.0.113.77: invalid username or password",
        r#"2026/11/20 06:25:02.250000 [info] auth: user "mia" successfully logged in from ip 192.0.2.60"#,
    ],
};

fn endpoint(text: &str) -> Option<(std::net::IpAddr, Option<u16>)> {
    super::haproxy::endpoint(text)
}

/// `192.0.2.1[:port] to 192.0.2.4 ports 80, 81, …, flags, TOS 00, TTL 49 @time`.
fn scanlogd<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((from, rest)) = scan::cut(text, " to ") else { return false };
    let Some((to, ports)) = scan::cut(rest, " port") else { return false };
    let (Some((src, port)), Some((dst, _))) = (endpoint(from), endpoint(scan::cut(to, " and ").map_or(to, |(first, _)| first)))
    else {
        return false;
    };
    (record.src_ip, record.src_port, record.dst_ip) = (Some(src), port, Some(dst));
    let ports = ports.trim_start_matches('s').trim_start();
    let end = ports.find(|c: char| !(c.is_ascii_digit() || matches!(c, ',' | ' ' | '.'))).unwrap_or(ports.len());
    record.set("scan.ports", ports.get(..end).unwrap_or_default().trim_end_matches([',', ' ', '.']));
    is(record, "scanlogd", EventType::IdsAlert, Severity::Medium);
    true
}

fn portsentry<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let (host, port, protocol) = if let Some(alert) = text.strip_prefix("attackalert: ") {
        // `… scan from host: name/ip to TCP port: 79`, `Connect from host: name/ip to UDP port: 1`
        let Some((_, rest)) = scan::cut(alert, "from host: ") else { return false };
        let Some((host, rest)) = scan::cut(rest, " to ") else { return false };
        let Some((protocol, port)) = scan::cut(rest, " port: ") else { return false };
        (host, port.split(' ').next().unwrap_or(port), protocol)
    } else {
        let Some((seconds, rest)) = scan::cut(text, " - ") else { return false };
        let Some((_, rest)) = scan::cut(rest, " Host: ") else { return false };
        let Some((host, rest)) = scan::cut(rest, " Port: ") else { return false };
        let Some((port, rest)) = rest.split_once(' ') else { return false };
        let Some(time) = seconds.parse().ok().and_then(scan::epoch) else { return false };
        if !rest.ends_with(" Blocked") {
            return false;
        }
        record.event_time = Some(time);
        record.action = Some("blocked".into());
        (host, port, rest.split(' ').next().unwrap_or_default())
    };
    let (name, address) = host.rsplit_once('/').unwrap_or(("", host));
    record.src_ip = scan::ip(address);
    if record.src_ip.is_some() && name != address && !name.is_empty() {
        record.set("source.domain", name);
    }
    record.dst_port = port.parse().ok();
    record.protocol = Some(scan::protocol(protocol));
    record.app.get_or_insert(Cow::Borrowed("portsentry"));
    is(record, "portsentry", EventType::IdsAlert, Severity::Medium);
    true
}

/// `Authentication: FAILED :: User Name: mia :: Viewer Address: 192.0.2.1 :: Type: DH`; the name is the visitor's.
fn screen_sharing<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((result, rest)) = text.strip_prefix("Authentication: ").and_then(|rest| scan::cut(rest, " :: User Name: ")) else {
        return false;
    };
    let Some((user, address)) = rest.rsplit_once(" :: Viewer Address: ") else { return false };
    let user = user.trim_end_matches([':', ' ']);
    if !matches!(result, "FAILED" | "SUCCEEDED") || !set_remote(record, address.split(' ').next().unwrap_or(address)) {
        return false;
    }
    match result {
        "FAILED" => failed(record, "screensharingd", "screen_sharing", ToldBy::Service),
        _ => succeeded(record, "screensharingd", "screen_sharing"),
    }
    set_user(record, if user == "N/A" { "" } else { user });
    true
}

fn adguard<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    const FORMAT: &str = "adguard_home";
    let text = text.trim_end();
    // Its own time and level, where the envelope left them.
    let (time, rest) =
        match scan::cut(text, " [").and_then(|(time, rest)| Some((scan::iso_time(time, Some(context.zone))?, rest))) {
            Some((time, rest)) => (Some(time), rest),
            None => (None, text.strip_prefix('[').unwrap_or(text)),
        };
    let what = scan::cut(rest, "] ").map_or(rest, |(_, what)| what);
    if let Some((_, end)) = what.strip_prefix("POST ").and_then(|what| what.rsplit_once("/control/login: from ip "))
        && let Some((address, reason)) = scan::cut(end, ": ")
        && set_remote(record, address)
    {
        failed(record, FORMAT, "login", ToldBy::Service);
        record.set("event.reason", reason);
    } else if let Some((user, address)) =
        what.strip_prefix("auth: user \"").and_then(|rest| rest.rsplit_once("\" successfully logged in from ip "))
        && set_remote(record, address)
    {
        succeeded(record, FORMAT, "login");
        set_user(record, user);
    } else {
        return false;
    }
    record.event_time = time.or(record.event_time);
    true
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;
    use crate::record::ToldBy::Service;

    #[test]
    fn lines() {
        check(
            "scanlogd",
            "scanlogd",
            &[(
                "203.0.113.77 to 192.0.2.4 ports 80, 81, ..., f????uxy, TOS 00, TTL 49 @06:25:01",
                IdsAlert,
                "",
                "203.0.113.77",
                None,
                1,
            )],
        );
        check(
            "",
            "portsentry",
            &[(
                "attackalert: Connect from host: 203.0.113.77/203.0.113.77 to UDP port: 1",
                IdsAlert,
                "",
                "203.0.113.77",
                None,
                1,
            )],
        );
        check(
            "screensharingd",
            "screensharingd",
            &[
                (
                    "Authentication: FAILED :: User Name: mia :: :: Viewer Address: 203.0.113.77 :: Type: DH",
                    LoginFailed,
                    "mia",
                    "203.0.113.77",
                    Some(Service),
                    1,
                ),
                (
                    "Authentication: SUCCEEDED :: User Name: mia :: Viewer Address: 203.0.113.77 :: Type: DH",
                    LoginSuccess,
                    "mia",
                    "203.0.113.77",
                    None,
                    1,
                ),
            ],
        );
        check(
            "",
            "adguard_home",
            &[
                (
                    "[error] POST dns.example.org /control/login: from ip 203.0.113.77: invalid username or password",
                    LoginFailed,
                    "",
                    "203.0.113.77",
                    Some(Service),
                    1,
                ),
                (
                    "[info] auth: user \"a b\" successfully logged in from ip 192.0.2.60",
                    LoginSuccess,
                    "a b",
                    "192.0.2.60",
                    None,
                    1,
                ),
            ],
        );
    }
}
