//! Sign-on portals and platforms that log JSON or `key=value`: Authelia, Authentik, Nextcloud, GitLab, Grafana.
//!
//! Sources: the pages below. A failed login and a refusal are medium, as is a change of an account; requests and logins are low.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Holds, Line, Member};
use crate::parse::fill::word;
use crate::parse::fill::{self, Slot};
use crate::parse::pairs::{self, SPACED};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, ToldBy, Value};

pub(super) const AUTHELIA: Dialect = Dialect {
    name: "authelia",
    product: "Authelia",
    reference: "https://www.authelia.com/configuration/miscellaneous/logging/",
    marks: &[
        Member("\"remote_ip\""),
        Line("FA authentication attempt"),
        Holds("FA authentication attempt"),
        Line("msg=\"Access to "),
        Holds("msg=\"Access to "),
    ],
    parse: authelia,
    samples: &[
        r#"{"error":"user not found","level":"error","method":"POST","msg":"Unsuccessful 1FA authentication attempt by user 'mia'","path":"/api/firstfactor","remote_ip":"203.0.113.77","time":"2026-11-20T06:25:01Z"}"#,
        r#"time="2026-11-20T06:25:01Z" level=error msg="Unsuccessful 1FA authentication attempt by user 'mia'" error="user not found" method=POST path=/api/firstfactor remote_ip=203.0.113.77"#,
    ],
};

pub(super) const AUTHENTIK: Dialect = Dialect {
    name: "authentik",
    product: "authentik",
    reference: "https://docs.goauthentik.io/docs/sys-mgmt/events/",
    marks: &[Member("\"authentik.")],
    parse: authentik,
    samples: &[
        r#"{"action": "login_failed", "auth_via": "unauthenticated", "client_ip": "203.0.113.77", "context": {"username": "mia", "stage": {"name": "password"}}, "domain_url": "sso.example", "event": "Created Event", "level": "info", "logger": "authentik.events.models", "pid": 51, "request_id": "8f0c", "timestamp": "2026-11-20T06:25:01.344", "user": {"pk": 1, "username": "AnonymousUser"}}"#,
        r#"{"action": "invalid_identifier", "auth_via": "unauthenticated", "client_ip": "203.0.113.77", "event": "invalid_login", "host": "sso.example", "identifier": "mia", "level": "info", "logger": "authentik.flows.stage", "pid": 51, "request_id": "8f0b", "timestamp": "2026-11-20T06:25:02.344"}"#,
    ],
};

pub(super) const NEXTCLOUD: Dialect = Dialect {
    name: "nextcloud",
    product: "Nextcloud and ownCloud",
    reference: "https://docs.nextcloud.com/server/latest/admin_manual/configuration_server/logging_configuration.html",
    marks: &[Member("\"reqId\""), Member("\"remoteAddr\"")],
    parse: nextcloud,
    samples: &[
        r#"{"reqId":"XaCDUP1v4","level":2,"time":"2026-11-20T06:25:01+00:00","remoteAddr":"203.0.113.77","user":"--","app":"core","method":"POST","url":"/login","message":"Login failed: mia (Remote IP: 203.0.113.77)","userAgent":"Mozilla/5.0","version":"31.0.0.1"}"#,
    ],
};

pub(super) const GITLAB_JSON: Dialect = Dialect {
    name: "gitlab-json",
    product: "GitLab: structured logs",
    reference: "https://docs.gitlab.com/administration/logs/",
    marks: &[
        Member("\"gitaly_calls\""),
        Member("\"gitaly_duration"),
        Member("\"meta.caller_id\""),
        Member("\"correlation_id\""),
        Member("\"queue_duration"),
    ],
    parse: gitlab,
    samples: &[
        r#"{"time":"2026-11-20T06:25:01.123Z","severity":"INFO","duration_s":0.7,"status":401,"method":"GET","path":"/api/v4/projects","host":"git.example","remote_ip":"203.0.113.77","ua":"Ruby","user_id":1,"username":"mia","queue_duration_s":0.1,"gitaly_calls":6,"correlation_id":"FeGx"}"#,
    ],
};

pub(super) const GRAFANA: Dialect = Dialect {
    name: "grafana",
    product: "Grafana",
    reference: "https://grafana.com/docs/grafana/latest/setup-grafana/configure-grafana/#log",
    marks: &[
        Line("logger=context "),
        Holds("logger=context "),
        Line("logger=authn.service "),
        Holds("logger=authn.service "),
        Line("msg=\"Invalid username or password\""),
        Holds("msg=\"Invalid username or password\""),
    ],
    parse: grafana,
    samples: &[
        r#"logger=context userId=0 orgId=0 uname= t=2026-11-20T06:25:01.123456789Z level=info msg="Request Completed" method=POST path=/login status=401 remote_addr=203.0.113.77 time_ms=61 duration=61.2ms size=67 referer=https://grafana.example/login handler=/login"#,
        r#"t=2026-11-20T06:25:01+0000 lvl=eror msg="Invalid username or password" logger=context userId=0 orgId=0 uname= error="user not found" remote_addr=203.0.113.77"#,
    ],
};

fn authelia<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut read = record.clone();
    if text.starts_with('{') {
        if !scan::has(text, "\"msg\"") || !scan::has(text, "\"path\"") || !fill::object(text, &mut read, authelia_slots, context)
        {
            return false;
        }
    } else {
        pairs::fill(text, SPACED, &mut read, authelia_slots, context);
    }
    // The message stays as it is: its sentence tells who tried.
    let said = word(&read, "event.reason.text").to_owned();
    read.fields.retain(|(name, _)| name != "event.reason.text");
    let user = said.rsplit_once(" by user '").and_then(|(_, user)| user.split_once('\''));
    if let Some((user, _)) = user {
        fill::account(&mut read, Cow::Owned(user.to_owned()));
    }
    let attempt = said.contains("FA authentication attempt");
    match () {
        () if attempt && said.starts_with("Unsuccessful ") => failed(&mut read, "authelia", "login", ToldBy::Service),
        () if attempt && said.starts_with("Successful ") => succeeded(&mut read, "authelia", "login"),
        () if said.starts_with("Access to ") && said.contains(" is forbidden") || said.contains("is not authorized to user") => {
            is(&mut read, "authelia", EventType::AccessDenied, Severity::Medium);
        }
        () if read.src_ip.is_some() && (said.contains("authentication") || said.starts_with("Access to ")) => {
            is(&mut read, "authelia", EventType::Other, Severity::Low);
        }
        () => return false,
    }
    *record = read;
    true
}

fn authelia_slots(name: &str) -> Option<Slot> {
    use Slot::{Field, SrcIp, Time};
    Some(match name {
        "time" => Time,
        "remote_ip" => SrcIp,
        "msg" => Field("event.reason.text"),
        "level" => Field("log.level"),
        "method" => Field("http.request.method"),
        "path" => Field("url.path"),
        "error" => Field("event.reason"),
        _ => return None,
    })
}

fn authentik<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut read = record.clone();
    if !scan::has(text, "\"logger\"") || !fill::object(text, &mut read, authentik_slots, context) {
        return false;
    }
    let action = read.action.clone().unwrap_or_default();
    // Who is to be logged in stands in the context; before that, the user is nobody.
    let tried = ["identifier", "context.username", "context.user.username", "user.username"]
        .into_iter()
        .map(|name| word(&read, name))
        .find(|name| !name.is_empty() && *name != "AnonymousUser")
        .map(str::to_owned);
    if let Some(user) = tried {
        fill::account(&mut read, Cow::Owned(user));
    }
    match &*action {
        // Of a name that there is not; nobody asks for its password.
        _ if read.message == "invalid_login" => failed(&mut read, "authentik", "invalid_login", ToldBy::Announcement),
        "login_failed" => failed(&mut read, "authentik", "login_failed", ToldBy::Service),
        "login" => succeeded(&mut read, "authentik", "login"),
        "logout" => is(&mut read, "authentik", EventType::Logout, Severity::Low),
        "suspicious_request" => is(&mut read, "authentik", EventType::IdsAlert, Severity::Medium),
        "policy_exception" | "impersonation_started" => is(&mut read, "authentik", EventType::PrivilegeUse, Severity::Medium),
        "password_set" | "user_write" | "invitation_used" => {
            is(&mut read, "authentik", EventType::AccountChange, Severity::Medium)
        }
        "model_created" | "model_updated" | "model_deleted" => is(&mut read, "authentik", EventType::ConfigChange, Severity::Low),
        _ if read.field("http.response.status_code").is_some() => {
            is(&mut read, "authentik", EventType::HttpRequest, Severity::Low)
        }
        _ => is(&mut read, "authentik", EventType::Other, Severity::Low),
    }
    *record = read;
    true
}

fn authentik_slots(name: &str) -> Option<Slot> {
    use Slot::{Action, Field, Message, Number, Pid, SrcIp, Time};
    Some(match name {
        "timestamp" => Time,
        "client_ip" | "remote" => SrcIp,
        "action" => Action,
        "event" => Message,
        "pid" => Pid,
        "level" => Field("log.level"),
        "logger" => Field("log.logger"),
        "host" | "domain_url" => Field("url.domain"),
        "method" => Field("http.request.method"),
        "path" => Field("url.path"),
        "status" => Number("http.response.status_code"),
        "user_agent" => Field("user_agent.original"),
        _ => return None,
    })
}

fn nextcloud<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut read = record.clone();
    let is_one = scan::has(text, "\"remoteAddr\"") && scan::has(text, "\"app\"") && scan::has(text, "\"message\"");
    if !is_one || !fill::object(text, &mut read, nextcloud_slots, context) {
        return false;
    }
    if read.username.as_deref() == Some("--") {
        read.username = None;
    }
    let message = read.message.clone();
    let named = |start: &str, end: &str| {
        message
            .strip_prefix(start)
            .map(|rest| rest.rfind(end).map_or(rest, |at| &rest[..at]).trim_matches(['\'', '"']).to_owned())
    };
    let tried = named("Login failed: ", " (Remote IP: ").or_else(|| named("Login attempt: ", " (Remote IP: "));
    if let Some(user) = tried.filter(|_| !message.starts_with("Login attempt")) {
        read.username = None;
        fill::account(&mut read, Cow::Owned(user.trim_matches('\'').to_owned()));
        failed(&mut read, "nextcloud", "login", ToldBy::Service);
    } else if message.starts_with("Login successful: ") {
        succeeded(&mut read, "nextcloud", "login");
    } else if message.starts_with("Logout occurred") {
        is(&mut read, "nextcloud", EventType::Logout, Severity::Low);
    } else if message.starts_with("Trusted domain error.") || message.contains("Bruteforce attempt from") {
        is(&mut read, "nextcloud", EventType::AccessDenied, Severity::Medium);
    } else if ["User created: ", "User deleted: ", "User enabled: ", "User disabled: ", "Password of user ", "Group created: "]
        .iter()
        .any(|start| message.starts_with(start))
    {
        is(&mut read, "nextcloud", EventType::AccountChange, Severity::Medium);
    } else if message.starts_with("File ") || message.starts_with("Preview accessed") {
        is(&mut read, "nextcloud", EventType::DataTransfer, Severity::Low);
    } else {
        is(&mut read, "nextcloud", EventType::Other, Severity::Low);
    }
    *record = read;
    true
}

fn nextcloud_slots(name: &str) -> Option<Slot> {
    use Slot::{Field, Message, Number, SrcIp, Time, User};
    Some(match name {
        "time" => Time,
        "remoteAddr" => SrcIp,
        "user" => User,
        "message" => Message,
        "app" => Field("nextcloud.app"),
        "method" => Field("http.request.method"),
        "url" => Field("url.original"),
        "userAgent" => Field("user_agent.original"),
        "reqId" => Field("http.request.id"),
        "level" => Number("nextcloud.level"),
        "version" => Field("service.version"),
        _ => return None,
    })
}

fn gitlab<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut read = record.clone();
    let is_one = scan::has(text, "\"time\"") && (scan::has(text, "\"severity\"") || scan::has(text, "\"gitaly_"));
    if !is_one || !fill::object(text, &mut read, gitlab_slots, context) {
        return false;
    }
    let message = read.message.clone();
    let status = match read.field("http.response.status_code") {
        Some(Value::Int(code)) => *code,
        _ => 0,
    };
    let sign_in = word(&read, "url.path").ends_with("/users/sign_in");
    if message.starts_with("Failed Login: ") || (sign_in && status == 401) {
        failed(&mut read, "gitlab-json", "login", ToldBy::Service);
    } else if message.starts_with("User Login: ") || message.starts_with("Successful Login: ") {
        succeeded(&mut read, "gitlab-json", "login");
    } else if message.starts_with("Rack_Attack") || read.field("matched").is_some() {
        is(&mut read, "gitlab-json", EventType::AccessDenied, Severity::Medium);
    } else if read.field("http.request.method").is_some() {
        is(&mut read, "gitlab-json", EventType::HttpRequest, Severity::Low);
    } else {
        is(&mut read, "gitlab-json", EventType::Other, Severity::Low);
    }
    *record = read;
    true
}

fn gitlab_slots(name: &str) -> Option<Slot> {
    use Slot::{Field, Message, Number, SrcIp, Time, User};
    Some(match name {
        "time" => Time,
        "remote_ip" | "ip" | "meta.remote_ip" => SrcIp,
        "username" | "meta.user" => User,
        "message" => Message,
        "severity" => Field("log.level"),
        "method" => Field("http.request.method"),
        "path" => Field("url.path"),
        "host" => Field("url.domain"),
        "ua" => Field("user_agent.original"),
        "status" => Number("http.response.status_code"),
        "correlation_id" => Field("trace.id"),
        "user_id" | "meta.user_id" => Number("user.id"),
        _ => return None,
    })
}

fn grafana<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut read = record.clone();
    pairs::fill(text, SPACED, &mut read, grafana_slots, context);
    if word(&read, "log.logger").is_empty() || read.field("log.level").is_none() {
        return false;
    }
    let said = word(&read, "grafana.message");
    let refused = matches!(read.field("http.response.status_code"), Some(Value::Int(401)));
    let by_form = word(&read, "url.path") == "/login" && word(&read, "http.request.method") == "POST";
    match said {
        "Invalid username or password" => failed(&mut read, "grafana", "login", ToldBy::Service),
        "Failed to authenticate request" => failed(&mut read, "grafana", "login", ToldBy::Announcement),
        "Successful Login" => succeeded(&mut read, "grafana", "login"),
        "Successful Logout" => is(&mut read, "grafana", EventType::Logout, Severity::Low),
        "Request Completed" if refused && by_form => failed(&mut read, "grafana", "login", ToldBy::Closing),
        "Request Completed" => is(&mut read, "grafana", EventType::HttpRequest, Severity::Low),
        _ => is(&mut read, "grafana", EventType::Other, Severity::Low),
    }
    *record = read;
    true
}

fn grafana_slots(name: &str) -> Option<Slot> {
    use Slot::{Field, Number, SrcIp, Time, User};
    Some(match name {
        "t" => Time,
        "remote_addr" => SrcIp,
        "uname" | "User" => User,
        "logger" => Field("log.logger"),
        "level" | "lvl" => Field("log.level"),
        "msg" => Field("grafana.message"),
        "method" => Field("http.request.method"),
        "path" => Field("url.path"),
        "status" => Number("http.response.status_code"),
        "referer" => Field("http.request.referrer"),
        "error" => Field("event.reason"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn who_failed() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for (dialect, user) in [
            (&AUTHELIA, Some("mia")),
            (&AUTHENTIK, Some("mia")),
            (&NEXTCLOUD, Some("mia")),
            (&GRAFANA, None),
            (&GITLAB_JSON, Some("mia")),
        ] {
            for sample in dialect.samples {
                let mut record = LogRecord::text("");
                assert!((dialect.parse)(sample, &mut record, &context), "{sample}");
                let event_type = if dialect.name == "gitlab-json" { EventType::HttpRequest } else { EventType::LoginFailed };
                assert_eq!((record.event_type, record.username.as_deref()), (event_type, user), "{sample}");
                assert_eq!(record.src_ip, "203.0.113.77".parse().ok(), "{sample}");
                assert_eq!(record.event_time.map(|time| time.as_micros() / 60_000_000), Some(29_919_265), "{sample}");
            }
        }
    }
}
