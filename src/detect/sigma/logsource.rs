//! `logsource`: which records a rule is about, told by what they hold (Sigma Specification 2.1, "Log source"; taxonomy appendix).
//!
//! A rule applies to a record if category, product and service all do, as far as it names them.
//!
//! | names | records |
//! | --- | --- |
//! | category `webserver`, `proxy` | of the type `http_request` |
//! | category `firewall` | of the types `connection_allowed` and `connection_blocked` |
//! | category `dns` | with `dns.question.name` |
//! | category `antivirus` | of the type `malware_detected` |
//! | category `authentication` | about logins and logouts |
//! | category `application` | all; the product decides |
//! | product `linux`, with service `syslog` or none | with a program's name |
//! | service `auth` | of a program that writes to auth.log |
//! | service `auditd` | of auditd or audispd |
//! | product `cisco`, service `asa` | that begin like `%ASA-4-106023:` |
//! | product `pfsense`, `opnsense` | of filterlog |
//! | product `suricata` | with a field `suricata.…` |
//! | product `apache`, `nginx` | of that program, or of the type `http_request` |
//! | any other product or service | whose program or `event.module` has that name (`sshd` also `sshd-session`) |

use super::Wrong;
use super::yaml::{self, Node};
use crate::record::{EventType, LogRecord, Value};

/// Which records a rule is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct LogSource(Vec<Test>);

#[derive(Debug, Clone, PartialEq)]
enum Test {
    /// Of one of these types.
    Types(&'static [EventType]),
    /// With a field of this name.
    HasField(&'static str),
    /// With a field whose name begins so.
    HasFieldLike(&'static str),
    /// Written by some program.
    HasApp,
    /// Written by one of these, in lower case; a dash and more may follow.
    Apps(Vec<String>),
    /// Whose message begins with one of these.
    Begins(&'static [&'static str]),
    /// Of one of these types, or written by one of these programs.
    TypesOrApps(&'static [EventType], &'static [&'static str]),
}

/// Programs that write to auth.log on Debian and its relatives.
const AUTH_APPS: &[&str] = &[
    "sshd",
    "su",
    "sudo",
    "login",
    "systemd-logind",
    "polkitd",
    "pkexec",
    "passwd",
    "chpasswd",
    "useradd",
    "userdel",
    "usermod",
    "groupadd",
    "groupdel",
    "groupmod",
    "gpasswd",
    "chage",
    "chfn",
    "chsh",
    "cron",
    "gdm-password",
    "lightdm",
    "sddm",
    "doas",
];

/// Products of Sigma's taxonomy that nothing here parses into the fields that their rules name.
const UNPARSED: &[&str] = &[
    "windows",
    "macos",
    "aws",
    "azure",
    "gcp",
    "m365",
    "okta",
    "onelogin",
    "github",
    "bitbucket",
    "kubernetes",
    "zeek",
    "fortios",
];

impl LogSource {
    /// Reads a rule's `logsource`.
    pub(super) fn read(node: &Node<'_>) -> Result<LogSource, Wrong> {
        let entries = yaml::entries(node).ok_or_else(|| (yaml::line(node), "logsource must be a map".to_owned()))?;
        let mut tests = Vec::new();
        for (key, value) in entries {
            let name = yaml::text(key).unwrap_or_default();
            let value_line = yaml::line(value);
            let word = || {
                let text = yaml::text(value).ok_or_else(|| (value_line, format!("logsource.{name} must be text")))?;
                Ok::<String, Wrong>(text.to_lowercase())
            };
            match &*name {
                "category" => tests.extend(category(&word()?).map_err(|what| (value_line, what))?),
                "product" => tests.extend(product(&word()?).map_err(|what| (value_line, what))?),
                "service" => tests.extend(service(&word()?)),
                // For people.
                "definition" | "description" => {}
                _ => return Err((yaml::line(key), format!("logsource knows category, product and service, not \"{name}\""))),
            }
        }
        Ok(LogSource(tests))
    }

    /// Whether a record is of this source.
    pub(super) fn holds(&self, record: &LogRecord<'_>) -> bool {
        self.0.iter().all(|test| test.holds(record))
    }
}

fn category(name: &str) -> Result<Option<Test>, String> {
    Ok(Some(match name {
        "webserver" | "proxy" => Test::Types(&[EventType::HttpRequest]),
        "firewall" => Test::Types(&[EventType::ConnectionAllowed, EventType::ConnectionBlocked]),
        "dns" => Test::HasField("dns.question.name"),
        "antivirus" => Test::Types(&[EventType::MalwareDetected]),
        "authentication" => Test::Types(&[EventType::LoginSuccess, EventType::LoginFailed, EventType::Logout]),
        "application" => return Ok(None),
        _ => return Err(format!("no logs of the category \"{name}\" are understood yet")),
    }))
}

fn product(name: &str) -> Result<Option<Test>, String> {
    Ok(Some(match name {
        "linux" | "unix" => Test::HasApp,
        // What comes from it is told by the service.
        "cisco" => return Ok(None),
        "pfsense" | "opnsense" => apps(&["filterlog"]),
        "suricata" => Test::HasFieldLike("suricata."),
        "apache" => Test::TypesOrApps(&[EventType::HttpRequest], &["apache", "apache2", "httpd"]),
        "nginx" => Test::TypesOrApps(&[EventType::HttpRequest], &["nginx"]),
        unparsed if UNPARSED.contains(&unparsed) => return Err(format!("logs of {unparsed} are not understood yet")),
        other => apps(&[other]),
    }))
}

fn service(name: &str) -> Option<Test> {
    Some(match name {
        "syslog" => Test::HasApp,
        "auth" => apps(AUTH_APPS),
        "auditd" => apps(&["auditd", "audispd", "audit"]),
        "cron" => apps(&["cron", "crond", "anacron", "atd"]),
        "clamav" => apps(&["clamd", "clamav", "freshclam"]),
        "guacamole" => apps(&["guacd", "guacamole"]),
        "apache" => return product("apache").ok().flatten(),
        "nginx" => return product("nginx").ok().flatten(),
        "asa" => Test::Begins(&["%ASA-", "%FTD-", "%PIX-", "%FWSM-"]),
        // Cisco's routers and switches: %SEC_LOGIN-4-LOGIN_FAILED and the like.
        "aaa" | "bgp" | "ldp" => Test::Begins(&["%"]),
        other => apps(&[other]),
    })
}

fn apps(names: &[&str]) -> Test {
    Test::Apps(names.iter().map(|n| (*n).to_owned()).collect())
}

impl Test {
    fn holds(&self, record: &LogRecord<'_>) -> bool {
        match self {
            Test::Types(types) => types.contains(&record.event_type),
            Test::HasField(name) => record.field(name).is_some(),
            Test::HasFieldLike(head) => record.fields.iter().any(|(name, _)| name.starts_with(head)),
            Test::HasApp => record.app.is_some(),
            Test::Apps(names) => names.iter().any(|name| is_written_by(record, name)),
            Test::Begins(heads) => heads.iter().any(|head| record.message.starts_with(head)),
            Test::TypesOrApps(types, names) => {
                types.contains(&record.event_type) || names.iter().any(|name| is_written_by(record, name))
            }
        }
    }
}

/// Whether a program of that name wrote it: `sshd` also covers `sshd-session`, `postfix` also `postfix/smtpd`.
fn is_written_by(record: &LogRecord<'_>, name: &str) -> bool {
    let begins = |text: &str| match text.get(..name.len()) {
        Some(head) if head.eq_ignore_ascii_case(name) => matches!(text.as_bytes().get(name.len()), None | Some(b'-' | b'/')),
        _ => false,
    };
    record.app.as_deref().is_some_and(begins)
        || matches!(record.field("event.module"), Some(Value::Str(module)) if begins(module))
}
