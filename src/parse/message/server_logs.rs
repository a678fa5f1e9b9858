//! What servers say of themselves: lighttpd's error log, Tomcat's (`java.util.logging`), Kubernetes components and the nginx ingress controller (`klog`),
//! Redis.
//!
//! Sources: lighttpd `mod_auth.c`; Tomcat `OneLineFormatter`; klog's header; Redis `serverLogRaw`. Severity: refused logins are medium, the rest is low.

use std::borrow::Cow;

use super::{failed, is};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Line};
use crate::parse::{Context, scan, timestamp, token};
use crate::record::{Civil, EventType, LogRecord, Severity, Timestamp, ToldBy};

pub(super) const LIGHTTPD: Dialect = Dialect {
    name: "lighttpd_error",
    product: "lighttpd: error log",
    reference: "https://redmine.lighttpd.net/projects/lighttpd/wiki/Server_errorlogDetails",
    marks: &[
        App("lighttpd"),
        Line("auth.c."),
        Line("(server.c."),
        Line("(mod_"),
        Line("(connections.c."),
        Line("(gw_backend.c."),
    ],
    parse: lighttpd,
    samples: &["2026-11-20 06:25:01: (mod_auth.c.525) password doesn't match for /private username: mia IP: 203.0.113.77"],
};

pub(super) const TOMCAT: Dialect = Dialect {
    name: "tomcat",
    product: "Apache Tomcat: own logs",
    reference: "https://tomcat.apache.org/tomcat-10.1-doc/logging.html",
    marks: &[
        Line(" INFO ["),
        Line(" WARNING ["),
        Line(" SEVERE ["),
        Line(" FINE ["),
        Line(" CONFIG ["),
        Line(" org.apache.catalina."),
        Line(" org.apache.coyote."),
    ],
    parse: tomcat,
    samples: &[
        "20-Nov-2026 06:25:01.713 INFO [main] org.apache.catalina.startup.Catalina.start Server startup in [1234] milliseconds",
        "20-Nov-2026 06:25:02.713 WARNING [http-nio-8080-exec-7] org.apache.catalina.realm.LockOutRealm.filterLockedAccounts An attempt was made to authenticate the locked user [mia]",
    ],
};

pub(super) const KLOG: Dialect = Dialect {
    name: "klog",
    product: "Kubernetes components, nginx ingress controller: own logs",
    reference: "https://github.com/kubernetes/klog",
    marks: &[
        App("kubelet"),
        App("kube-apiserver"),
        App("kube-proxy"),
        Line(" main.go:"),
        Line(" config.go:"),
        Line(" nginx.go:"),
        Line(" controller.go:"),
        Line(" store.go:"),
        Line(" event.go:"),
        Line(" queue.go:"),
        Line(" server.go:"),
        Line(" reflector.go:"),
        Line(" leaderelection.go:"),
        Line(" backend_ssl.go:"),
        Line(" client_config.go:"),
        Line(" flags.go:"),
        Line(" status.go:"),
        Line(" metrics.go:"),
        Line(" authentication.go:"),
        Line(" kubelet.go:"),
        Line(" proxier.go:"),
        Line(" secret.go:"),
        Line(" ssl.go:"),
        Line(" admission.go:"),
    ],
    parse: klog,
    samples: &[
        "E1120 06:25:01.816036       8 config.go:489] Expected to load root CA config, but got err: no such file or directory",
    ],
};

pub(super) const REDIS: Dialect = Dialect {
    name: "redis",
    product: "Redis, Valkey: server log",
    reference: "https://redis.io/docs/latest/operate/oss_and_stack/management/",
    marks: &[
        App("redis"),
        App("redis-server"),
        Line(" clients connected"),
        Line(" * Ready to accept"),
        Line(" * Background "),
        Line(" * DB "),
        Line(":M "),
        Line(":S "),
        Line(":C "),
        Line(" # Server "),
        Line(" # WARNING"),
        Line(" . DB "),
        Line(" - Accepted "),
        Line(" - DB "),
        Line(" changes in "),
        Line(" * The server is now ready"),
    ],
    parse: redis,
    samples: &[
        "811:M 20 Nov 2026 06:25:01.123 * Ready to accept connections tcp",
        "812:M 20 Nov 2026 06:25:02.123 # Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. Connection from 203.0.113.77:50123 aborted.",
    ],
};

/// `time: (file.c.line) message`; syslog has taken the time. One version lost the bracket.
fn lighttpd<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let text = text.trim_end();
    let (when, rest) = match text.get(..19).zip(text.get(19..)) {
        Some((stamp, rest)) if rest.starts_with(": ") => {
            (scan::iso_time(stamp, Some(context.zone)), rest.get(2..).unwrap_or_default())
        }
        _ => (None, text),
    };
    if when.is_none() && record.app.is_none() {
        return false;
    }
    let Some((file, what)) = scan::cut(rest, ") ") else { return false };
    let file = file.trim_start_matches('(');
    let is_file = file.contains(".c.") && file.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if !is_file {
        return false;
    }
    record.event_time = when.or(record.event_time);
    record.app = record.app.take().or(Some(Cow::Borrowed("lighttpd")));
    record.set("log.origin.file.name", file);
    let (head, ip) = what.rsplit_once("IP: ").map_or((what, None), |(head, ip)| (head, scan::ip(ip.trim())));
    let refused = ["password doesn't match", "get_password failed", "auth failed", "digest: ", "user not found"]
        .iter()
        .any(|sign| what.starts_with(sign) || scan::has(what, sign));
    if !(file.contains("auth") && refused && ip.is_some()) {
        is(record, "lighttpd_error", EventType::ServiceChange, Severity::Low);
        return true;
    }
    record.src_ip = ip;
    if let Some((_, user)) = head.rsplit_once("username: ") {
        token::set_user(record, user.trim_end_matches([',', ' ']));
    }
    failed(record, "lighttpd_error", "auth_failed", ToldBy::Service);
    true
}

/// `20-Nov-2026 06:25:01.713 LEVEL [thread] class.method message`.
fn tomcat<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some((when, rest)) = day_first(text, '-', context) else { return false };
    let rest = rest.trim_start();
    let Some((level, rest)) = rest.split_once(' ') else { return false };
    let known = matches!(level, "INFO" | "WARNING" | "SEVERE" | "FINE" | "FINER" | "FINEST" | "CONFIG");
    let Some((thread, rest)) = rest.strip_prefix('[').and_then(|rest| scan::cut(rest, "] ")) else { return false };
    let (class, what) = rest.split_once(' ').unwrap_or((rest, ""));
    if !known || !class.contains('.') {
        return false;
    }
    record.event_time = Some(when);
    for (name, value) in [("log.level", level), ("process.thread.name", thread), ("log.logger", class)] {
        record.set(name, value);
    }
    record.app = record.app.take().or(Some(Cow::Borrowed("tomcat")));
    if let Some(user) = scan::between(what, "to authenticate the locked user [", ']')
        .or_else(|| scan::between(what, "to authenticate the locked user \"", '"'))
    {
        token::set_user(record, user);
        failed(record, "tomcat", "locked_user", ToldBy::Service);
        return true;
    }
    let changes = scan::has(class, ".start")
        || scan::has(class, ".stop")
        || scan::has(what, "Server startup")
        || scan::has(what, "Undeployed");
    is(record, "tomcat", if changes { EventType::ServiceChange } else { EventType::Other }, Severity::Low);
    true
}

/// `20-Nov-2026 06:25:01.713`, `20 Nov 2026 06:25:01.713`, `20 Nov 06:25:01`, and what follows.
fn day_first<'a>(text: &'a str, separator: char, context: &Context<'_>) -> Option<(Timestamp, &'a str)> {
    let (day, rest) = text.split_once(separator)?;
    let (month, rest) = rest.split_once(separator)?;
    let day: u8 = day.parse().ok()?;
    let number = scan::month(month)?;
    if let Some((year, clock)) = rest.split_once(' ').filter(|(year, _)| year.len() == 4) {
        let (rest, (hour, minute, second, micros)) = scan::clock(clock).ok()?;
        let civil = Civil::new(year.parse().ok()?, number, day, hour, minute, second, micros)?;
        return Some((context.zone.instant(civil), rest));
    }
    // Without a year it is read as syslog's, whose closest year is meant.
    let (clock, rest) = rest.split_once(' ')?;
    Some((yearless(month, day, clock, context)?, rest))
}

fn yearless(month: &str, day: u8, clock: &str, context: &Context<'_>) -> Option<Timestamp> {
    let stamp = format!("{month} {day} {clock}");
    let (rest, reading) = timestamp::reading(&stamp).ok()?;
    rest.is_empty().then(|| reading.instant(context)).flatten()
}

/// `Lmmdd hh:mm:ss.uuuuuu threadid file:line] message`.
fn klog<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let Some((head, what)) = scan::cut(text, "] ") else { return false };
    let mut words = head.split_ascii_whitespace();
    let (Some(date), Some(clock), Some(thread), Some(place), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    let level = match date.as_bytes() {
        [b'I', _, _, _, _] => "info",
        [b'W', _, _, _, _] => "warning",
        [b'E', _, _, _, _] => "error",
        [b'F', _, _, _, _] => "fatal",
        _ => return false,
    };
    let part = |range| date.get(range).and_then(token::whole_number);
    let (Some(month), Some(day)) = (part(1..3), part(3..5)) else { return false };
    let Some(month) = (month as usize).checked_sub(1).and_then(|month| MONTHS.get(month)) else { return false };
    let Some(when) = yearless(month, day as u8, clock, context) else { return false };
    let Some((file, line)) = place.rsplit_once(':') else { return false };
    if !file.ends_with(".go") {
        return false;
    }
    record.event_time = Some(when);
    record.pid = record.pid.or(token::whole_number(thread));
    record.set("log.level", level);
    record.set("log.origin.file.name", file);
    if let Ok(line) = line.parse::<i64>() {
        record.set("log.origin.file.line", line);
    }
    let refused = what.contains("nable to authenticate the request");
    let (event_type, severity) =
        if refused { (EventType::AccessDenied, Severity::Medium) } else { (EventType::Other, Severity::Low) };
    is(record, "klog", event_type, severity);
    true
}

/// `pid:role time level message`; `[pid] time level message` and a bare time in older ones. Levels are `.`, `-`, `*`, `#`.
fn redis<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let text = text.trim_end();
    let process = |head: &'a str| match head.strip_prefix('[').and_then(|head| head.strip_suffix(']')) {
        Some(pid) => token::whole_number(pid),
        None => head
            .split_once(':')
            .filter(|(_, role)| matches!(*role, "M" | "S" | "C" | "X" | "signal-handler"))
            .and_then(|(pid, _)| token::whole_number(pid)),
    };
    let (pid, rest) = match text.split_once(' ') {
        Some((head, rest)) => match process(head) {
            Some(pid) => (Some(pid), rest),
            None => (None, text),
        },
        None => return false,
    };
    let Some((when, rest)) = day_first(rest, ' ', context) else { return false };
    let rest = rest.trim_start();
    let (level, what) = match rest.split_once(' ') {
        Some((level @ ("." | "-" | "*" | "#"), what)) => (level, what),
        _ => return false,
    };
    record.event_time = Some(when);
    record.pid = pid.or(record.pid);
    // An envelope may have taken the day or the level for a host or a program.
    record.app = Some(Cow::Borrowed("redis"));
    let name = match level {
        "." => "debug",
        "-" => "verbose",
        "*" => "notice",
        _ => "warning",
    };
    record.set("log.level", name);
    let peer = what.strip_prefix("Accepted ").or_else(|| scan::cut(what, "Connection from ").map(|(_, rest)| rest));
    if let Some((ip, port)) = peer.and_then(|peer| token::ip_and_port(peer.split(' ').next().unwrap_or_default())) {
        (record.src_ip, record.src_port) = (Some(ip), port);
    }
    let (event_type, severity) = if what.starts_with("Possible SECURITY ATTACK") {
        (EventType::IdsAlert, Severity::Medium)
    } else if what.starts_with("Accepted ") {
        (EventType::ConnectionAllowed, Severity::Low)
    } else if what.starts_with("Ready to accept")
        || what.starts_with("Server started")
        || what.contains("is now ready to exit")
        || what.contains("starting")
    {
        (EventType::ServiceChange, Severity::Low)
    } else {
        (EventType::Other, Severity::Low)
    };
    is(record, "redis", event_type, severity);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Zone;

    #[test]
    fn what_they_say() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        use EventType::*;
        for (dialect, line, event_type, user, ip) in [
            (&LIGHTTPD, LIGHTTPD.samples[0], LoginFailed, "mia", "203.0.113.77"),
            (
                &LIGHTTPD,
                "2026-11-20 06:25:01: (http_auth.c.877) get_password failed, IP: 203.0.113.78",
                LoginFailed,
                "",
                "203.0.113.78",
            ),
            (&LIGHTTPD, "2026-11-20 06:25:01: (server.c.1704) server stopped by UID = 0 PID = 1", ServiceChange, "", ""),
            (&TOMCAT, TOMCAT.samples[0], ServiceChange, "", ""),
            (&TOMCAT, TOMCAT.samples[1], LoginFailed, "mia", ""),
            (&KLOG, KLOG.samples[0], Other, "", ""),
            (&REDIS, REDIS.samples[0], ServiceChange, "", ""),
            (&REDIS, REDIS.samples[1], IdsAlert, "", "203.0.113.77"),
            (&REDIS, "30 May 10:05:25 . 0 clients connected (0 slaves), 618932 bytes in use", Other, "", ""),
        ] {
            let mut record = LogRecord::text(line);
            assert!((dialect.parse)(line, &mut record, &context), "{line}");
            let at = record.src_ip.map(|ip| ip.to_string()).unwrap_or_default();
            assert_eq!((record.event_type, record.username.as_deref().unwrap_or(""), &*at), (event_type, user, ip), "{line}");
            assert!(record.event_time.is_some(), "{line}");
        }
    }
}
