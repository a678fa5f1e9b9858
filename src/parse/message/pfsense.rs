//! What pfSense and OPNsense say besides their packets: changes made in the web interface (its logins are [`webgui`]'s), OpenVPN, haproxy's
//! connections, dhcpd's leases.

use super::access;
use super::webgui;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::App;
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "pfsense",
    product: "pfSense and OPNsense: web interface, OpenVPN, HAProxy, dhcpd",
    reference: "https://docs.netgate.com/pfsense/en/latest/monitoring/logs/index.html",
    marks: &[App("php-fpm"), App("php"), App("audit"), App("openvpn"), App("ovpn-server"), App("haproxy"), App("dhcpd")],
    parse: |text, record, _| parse(text, record),
    samples: &[
        "<30>Nov 20 06:25:01 fw openvpn[811]: 192.0.2.60:37849 [eve] Peer Connection Initiated with [AF_INET]192.0.2.60:37849",
    ],
};

/// Reads a line of one of these programs, by the name that the envelope gave it.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let understood = match record.app.as_deref().unwrap_or_default() {
        "php-fpm" | "php" | "audit" => return webgui::parse(message, record) || configuration(message, record),
        "openvpn" | "openvpn_server" | "ovpn-server" => openvpn(message, record),
        "haproxy" => haproxy(message, record),
        "dhcpd" => dhcpd(message, record),
        app if app.starts_with("openvpn") => openvpn(message, record),
        _ => false,
    };
    if understood {
        record.format.message = "pfsense";
    }
    understood
}

/// `/firewall_rules.php: Configuration Change: admin@192.0.2.1 (Local Database): Firewall: Rules - saved`.
fn configuration<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((_, change)) = message.split_once("Configuration Change: ") else { return false };
    let (who, what) = change.split_once(": ").unwrap_or((change, ""));
    if let Some((user, from)) = who.split_once('@') {
        record.username = Some(user.into());
        record.src_ip = from.split(' ').next().and_then(scan::ip);
    }
    record.set("event.reason", what);
    record.event_type = EventType::ConfigChange;
    record.severity = Severity::Low;
    record.format.message = "pfsense";
    true
}

/// The peer in front (`192.0.2.1:1194 …`, `eve/192.0.2.1:1194 …`) or behind `[AF_INET]`; what happened to its login.
fn openvpn<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let mut understood = false;
    let (first, rest) = message.split_once(' ').unwrap_or((message, ""));
    let (name, peer) = first.rsplit_once('/').map_or(("", first), |(name, peer)| (name, peer));
    if let Some((ip, port)) = endpoint(peer) {
        (record.src_ip, record.src_port) = (Some(ip), port);
        understood = true;
        if !name.is_empty() {
            record.username = Some(name.into());
        }
        if let Some(user) = rest.strip_prefix('[').and_then(|r| r.split_once("] Peer Connection Initiated")).map(|(user, _)| user)
        {
            record.username = Some(user.into());
        }
    }
    let behind = message.split_once("[AF_INET6]").or_else(|| message.split_once("[AF_INET]")).map(|(_, peer)| peer);
    if let (None, Some((ip, port))) = (record.src_ip, behind.and_then(|p| endpoint(p.split([' ', ',']).next().unwrap_or(p)))) {
        (record.src_ip, record.src_port) = (Some(ip), port);
        understood = true;
    }
    let quoted = scan::between(message, "user '", '\'').or_else(|| scan::between(message, "username '", '\''));
    (record.event_type, record.severity) = if scan::has(message, "Peer Connection Initiated with") {
        (EventType::ConnectionAllowed, Severity::Low)
    } else if message.starts_with("user '") && message.ends_with("' authenticated") {
        (EventType::LoginSuccess, Severity::Low)
    } else if scan::has(message, "Auth Username/Password verification failed for peer") {
        (EventType::LoginFailed, Severity::Medium)
    } else if message.starts_with("user '") && scan::has(message, "could not authenticate") {
        // OpenVPN itself reports the same attempt, with the address.
        (EventType::AccessDenied, Severity::Low)
    } else if scan::has(message, "TLS Error: ") {
        (EventType::AccessDenied, Severity::Low)
    } else if understood {
        (EventType::Other, Severity::Low)
    } else {
        return false;
    };
    if let Some(user) = quoted.filter(|user| !user.is_empty()) {
        record.username = Some(user.into());
    }
    true
}

/// haproxy's HTTP and TCP logs (configuration manual, §8.2.2 and §8.2.3):
/// `192.0.2.1:50000 [11/Feb/2026:08:15:30.608] front back/server 0/0/1/2/3 200 512 - - ---- 1/1/0/0/0 0/0 "GET / HTTP/1.1"`.
fn haproxy_traffic<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((from, rest)) = message.split_once(" [") else { return false };
    let Some((time, rest)) = rest.split_once("] ") else { return false };
    // A client that is not to be named is a dash.
    let (src, src_port) = match from.strip_prefix("-:") {
        Some(port) => (None, port.parse().ok()),
        None => match endpoint(from) {
            Some((ip, port)) => (Some(ip), port),
            None => return false,
        },
    };
    let mut words = rest.split(' ');
    let (Some(front), Some(back)) = (words.next(), words.next()) else { return false };
    // Some put the name that was asked for before the timers.
    let Some(_timers) = words.find(|word| word.contains('/') && word.starts_with(|c: char| c.is_ascii_digit() || c == '-'))
    else {
        return false;
    };
    let status = words.next().unwrap_or_default();
    (record.src_ip, record.src_port) = (src, src_port);
    record.event_time = record.event_time.or_else(|| access::clf_time(time, None));
    record.set("haproxy.frontend_name", front);
    record.set("haproxy.backend_name", back.split('/').next().unwrap_or(back));
    record.severity = Severity::Low;
    match rest.rsplit_once(" \"") {
        Some((_, request)) => {
            if let Some(code) = status.parse::<u32>().ok().filter(|code| (100..1000).contains(code)) {
                record.set("http.response.status_code", code);
            }
            access::request_line(request.split('"').next().unwrap_or(request), record);
            record.event_type = EventType::HttpRequest;
        }
        None => {
            record.protocol = Some("tcp".into());
            record.event_type = EventType::ConnectionAllowed;
        }
    }
    true
}

/// `Connect from 192.0.2.1:50000 to 192.0.2.9:80 (frontend/HTTP)`: haproxy without `option httplog`.
fn haproxy<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    if haproxy_traffic(message, record) {
        return true;
    }
    let Some((from, rest)) = message.strip_prefix("Connect from ").and_then(|m| m.split_once(" to ")) else { return false };
    let (to, service) = rest.split_once(' ').unwrap_or((rest, ""));
    let (Some((src, src_port)), Some((dst, dst_port))) = (endpoint(from), endpoint(to)) else { return false };
    (record.src_ip, record.src_port) = (Some(src), src_port);
    (record.dst_ip, record.dst_port) = (Some(dst), dst_port);
    record.protocol = Some("tcp".into());
    let http = service.ends_with("/HTTP)");
    record.event_type = if http { EventType::HttpRequest } else { EventType::ConnectionAllowed };
    if !service.is_empty() {
        record.set("haproxy.frontend_name", service.trim_matches(['(', ')']));
    }
    true
}

/// `DHCPACK on 192.0.2.40 to 00:11:22:33:44:55 (laptop) via igb1`.
fn dhcpd<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let (verb, rest) = message.split_once(' ').unwrap_or((message, ""));
    if !verb.starts_with("DHCP") {
        return false;
    }
    let mut words = rest.split(' ');
    while let Some(word) = words.next() {
        match (word, words.clone().next()) {
            ("on" | "for" | "of", Some(next)) => {
                if let Some(ip) = scan::ip(next) {
                    record.set("client.ip", ip.to_string());
                }
            }
            ("from" | "to", Some(next)) if next.len() == 17 && next.as_bytes()[2] == b':' => record.set("client.mac", next),
            ("via", Some(next)) => record.set("observer.ingress.interface.name", next.trim_end_matches(':')),
            (name, _) if name.starts_with('(') && name.ends_with(')') => {
                record.set("client.domain", name.trim_matches(['(', ')']));
            }
            _ => {}
        }
    }
    record.action = Some(verb.trim_end_matches(':').to_ascii_lowercase().into());
    record.event_type = EventType::System;
    true
}

/// `192.0.2.1:1194`, `[2001:db8::1]:1194`, also OpenVPN's `2001:db8::1:1194`, whose last group is the port.
fn endpoint(text: &str) -> Option<(std::net::IpAddr, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if host.contains(':') && port.len() > 3 && scan::ip(host).is_some() => (host, port.parse().ok()),
        _ => scan::host_port(text),
    };
    scan::ip(host).map(|ip| (ip, port))
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
            ("php-fpm", "/index.php: webConfigurator authentication error for user 'root' from: 198.51.100.4", LoginFailed, Some("root"), Some("198.51.100.4"), None),
            ("php-fpm", "/index.php: Successful login for user 'admin' from: 192.0.2.8 (Local Database)", LoginSuccess, Some("admin"), Some("192.0.2.8"), None),
            ("audit", "/index.php: Web GUI authentication error for 'eve' from 2001:db8::4", LoginFailed, Some("eve"), Some("2001:db8::4"), None),
            ("php-fpm", "/system_usermanager.php: Configuration Change: admin@192.0.2.8 (Local Database): saved", ConfigChange, Some("admin"), Some("192.0.2.8"), None),
            ("openvpn", "192.0.2.60:37849 peer info: IV_PLAT=linux", Other, None, Some("192.0.2.60"), Some(37849)),
            ("openvpn", "192.0.2.60:37849 [eve] Peer Connection Initiated with [AF_INET]192.0.2.60:37849", ConnectionAllowed, Some("eve"), Some("192.0.2.60"), Some(37849)),
            ("openvpn", "user 'eve' authenticated", LoginSuccess, Some("eve"), None, None),
            ("openvpn", "user 'eve' could not authenticate.", AccessDenied, Some("eve"), None, None),
            ("openvpn", "198.51.100.4:41000 TLS Auth Error: Auth Username/Password verification failed for peer", LoginFailed, None, Some("198.51.100.4"), Some(41000)),
            ("openvpn", "TLS Error: incoming packet authentication failed from [AF_INET]198.51.100.4:1194", AccessDenied, None, Some("198.51.100.4"), Some(1194)),
            ("haproxy", "Connect from 192.0.2.60:50583 to 192.0.2.2:80 (web/HTTP)", HttpRequest, None, Some("192.0.2.60"), Some(50583)),
            ("haproxy", r#"192.0.2.60:58430 [11/Feb/2026:08:15:30.608] main main/<NOSRV> -1/-1/-1/-1/0 401 248 - - PR-- 0/0/0/0/0 0/0 "GET / HTTP/1.1""#, HttpRequest, None, Some("192.0.2.60"), Some(58430)),
            ("haproxy", r#"-:11178 [22/Jun/2026:12:03:08.833] www~ app/node7 app.example.com 0/0/1/29/30 404 448 - - ---- 3/3/0/0/0 0/0 "GET / HTTP/1.1" 0/0"#, HttpRequest, None, None, Some(11178)),
            ("dhcpd", "DHCPACK on 192.0.2.40 to 00:11:22:33:44:55 (laptop) via igb1", System, None, None, None),
        ];
        for (app, message, kind, user, src, port) in table {
            let mut record = LogRecord::text(message);
            record.app = Some(app.into());
            assert!(parse(message, &mut record), "{message}");
            assert_eq!(record.event_type, kind, "{message}");
            assert_eq!(record.username.as_deref(), user, "{message}");
            assert_eq!((record.src_ip, record.src_port), (src.and_then(|s| s.parse().ok()), port), "{message}");
        }
    }

    #[test]
    fn others_are_left_alone() {
        for (app, message) in [("php-fpm", "fpm is running"), ("openvpn", "Initialization Sequence Completed"), ("cron", "x")] {
            let mut record = LogRecord::text(message);
            record.app = Some(app.into());
            let before = record.clone();
            assert!(!parse(message, &mut record), "{message}");
            assert_eq!(record, before);
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(app in "php-fpm|audit|openvpn|haproxy|dhcpd", text in "(user '|'| from: |DHCPACK |Connect from | to |via |\\(|\\)|[0-9.:]{1,18}|\\PC{1,3}|\\[AF_INET\\]|\\.php: ){0,20}") {
            let mut record = LogRecord::text(text.as_str());
            record.app = Some(app.into());
            parse(&text, &mut record);
        }
    }
}
