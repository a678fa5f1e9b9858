//! Windows events, as JSON (the event itself, winlogbeat, NXLog, Wazuh) and as XML: security, Sysmon, services, Defender and all others.
//!
//! Sources: Microsoft, "Appendix L: Events to Monitor" and the pages of the events; Sysmon's documentation; winlogbeat "Exported fields"; NXLog
//! `im_msvistalog`. What happened follows from channel and id. Who is asked for in a logon is its target; otherwise the subject is who acted.
//! Severity: failed logons, changes of accounts and policies, a cleared log and new services are medium, what Defender found is high, the rest low.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Holds, Member};
use crate::parse::fill::word;
use crate::parse::fill::{self, Slot};
use crate::parse::json::Scalar;
use crate::parse::{Context, json, scan};
use crate::record::{EventType, LogRecord, Severity, ToldBy, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "windows",
    product: "Windows events: JSON and XML",
    reference: "https://learn.microsoft.com/en-us/windows-server/identity/ad-ds/plan/appendix-l--events-to-monitor",
    marks: &[
        Member("\"EventID\""),
        Member("\"eventID\""),
        Member("\"EventData\""),
        Member("\"event_data\""),
        Member("\"winlog\""),
        Holds("<Event xmlns="),
    ],
    parse,
    samples: &[
        r##"{"Event":{"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Security-Auditing"}},"EventID":4625,"Level":0,"Keywords":"0x8010000000000000","TimeCreated":{"#attributes":{"SystemTime":"2026-11-20T06:25:01.123456Z"}},"Channel":"Security","Computer":"dc1.example.org"},"EventData":{"SubjectUserName":"-","TargetUserName":"mia","TargetDomainName":"EXAMPLE","Status":"0xc000006d","SubStatus":"0xc000006a","LogonType":3,"WorkstationName":"PC7","IpAddress":"203.0.113.77","IpPort":"50123"}}}"##,
        r#"{"@timestamp":"2026-11-20T06:25:02.000Z","host":{"name":"dc1"},"event":{"code":"4720"},"winlog":{"channel":"Security","computer_name":"dc1.example.org","event_id":4720,"provider_name":"Microsoft-Windows-Security-Auditing","event_data":{"SubjectUserName":"admin","SubjectDomainName":"EXAMPLE","TargetUserName":"eve"}}}"#,
        r#"<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System><Provider Name="Microsoft-Windows-Sysmon"/><EventID>3</EventID><TimeCreated SystemTime="2026-11-20T06:25:03.5Z"/><Channel>Microsoft-Windows-Sysmon/Operational</Channel><Computer>pc7.example.org</Computer></System><EventData><Data Name="RuleName">technique_id=T1059.001,technique_name=PowerShell</Data><Data Name="ProcessId">4711</Data><Data Name="User">EXAMPLE\mia</Data><Data Name="Protocol">tcp</Data><Data Name="SourceIp">192.0.2.7</Data><Data Name="SourcePort">50123</Data><Data Name="DestinationIp">203.0.113.5</Data><Data Name="DestinationPort">443</Data></EventData></Event>"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut filled = record.clone();
    filled.fields.reserve(48);
    let read = if text.starts_with('<') { xml(text, &mut filled, context) } else { object(text, &mut filled, context) };
    let has = |name: &str| filled.field(name).is_some();
    if !read || !has("event.code") || !(has("winlog.channel") || has("event.provider")) {
        return false;
    }
    who(&mut filled);
    technique(&mut filled);
    finish(&mut filled);
    *record = filled;
    true
}

/// Objects inside objects that are read; deeper ones are kept as they are.
const MAX_NESTING: u8 = 5;

/// Members go by their own name and that of what they stand in: paths differ by shipper and say nothing.
fn object<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    json::members(text, |name, raw| member(name, raw, "", 0, record, context)).is_ok()
}

fn member<'a>(name: Cow<'a, str>, raw: &'a str, parent: &str, nesting: u8, record: &mut LogRecord<'a>, context: &Context<'_>) {
    match Scalar::of(raw) {
        Scalar::Object(inner) if inner != "{}" && nesting < MAX_NESTING => {
            let within = if name == "#attributes" || is_data(parent) { parent } else { &name };
            json::inner_members(inner, |name, raw| member(name, raw, within, nesting + 1, record, context));
        }
        value => {
            let slot = slots(&name, parent, nesting);
            let is_plain = slot.is_some() || nesting == 0 || is_data(parent);
            let name = if is_plain { name } else { Cow::Owned(format!("{parent}.{name}")) };
            fill::file(record, slot, name, value, context);
        }
    }
}

/// What the event itself says, whatever its schema calls the parts.
fn is_data(parent: &str) -> bool {
    matches!(parent, "EventData" | "UserData" | "event_data" | "user_data" | "eventdata" | "userData" | "ruleAndFileData")
}

/// By its name, whatever its case.
fn slots(name: &str, parent: &str, nesting: u8) -> Option<Slot> {
    let mut lower = [0_u8; 32];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    slot(std::str::from_utf8(lower).ok()?, parent, nesting > 0)
}

#[rustfmt::skip]
fn slot(last: &str, parent: &str, nested: bool) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Host, Nothing, Number, Pid, Protocol, SrcIp, SrcPort, Time, User};
    let in_data = is_data(parent);
    Some(match last {
        "systemtime" | "@timestamp" | "eventtime" | "timecreated" => Time,
        "utctime" if in_data => Field("event.created"),
        "computer" | "computer_name" => Host, "hostname" if !nested => Host,
        "eventid" | "event_id" | "eventidentifier" => Field("event.code"), "code" if parent == "event" => Field("event.code"),
        "#text" if parent == "EventID" => Field("event.code"),
        "channel" => Field("winlog.channel"),
        "provider_name" | "providername" | "sourcename" => Field("event.provider"), "name" if matches!(parent, "Provider" | "provider") => Field("event.provider"),
        "eventrecordid" | "record_id" | "recordnumber" => Field("winlog.record_id"),
        "message" => Nothing, "keywords" => Field("winlog.keywords"), "eventtype" => Field("winlog.event_type"),
        "targetusername" => Field("user.target.name"), "targetdomainname" => Field("user.target.domain"), "targetusersid" | "targetsid" => Field("user.target.id"),
        "subjectusername" => Field("user.subject.name"), "subjectdomainname" => Field("user.subject.domain"), "subjectusersid" => Field("user.subject.id"),
        "targetlogonid" | "subjectlogonid" => return None,
        "user" | "accountname" if in_data || !nested => User, "domain" if !nested => Field("user.domain"),
        "ipaddress" | "clientaddress" | "sourceip" | "sourceaddress" => SrcIp,
        "ipport" | "sourceport" => SrcPort,
        "destinationip" | "destaddress" | "destinationaddress" => DstIp, "destinationport" | "destport" => DstPort,
        "sourcehostname" | "workstationname" | "workstation" | "clientname" => Field("source.domain"), "destinationhostname" => Field("destination.domain"),
        "sourceuser" | "detection user" | "remediation user" => User,
        "threat name" => Field("threat.indicator.name"), "scriptblocktext" => Field("powershell.file.script_block_text"),
        "servicename" if in_data => Field("service.name"), "imagepath" => Field("service.executable"), "details" => Field("registry.data.strings"),
        "sourceimage" => Field("process.executable"), "targetimage" => Field("process.target.executable"), "imageloaded" => Field("dll.path"),
        "protocol" if in_data || !nested => Protocol,
        "processid" if in_data => Pid, "newprocessid" => Field("process.pid"),
        "image" | "newprocessname" | "processname" => Field("process.executable"), "commandline" => Field("process.command_line"),
        "parentimage" | "parentprocessname" => Field("process.parent.executable"), "parentcommandline" => Field("process.parent.command_line"),
        "parentprocessid" => Number("process.parent.pid"), "processguid" => Field("process.entity_id"),
        "targetfilename" => Field("file.path"), "targetobject" => Field("registry.path"), "queryname" => Field("dns.question.name"),
        "logontype" => Field("winlog.logon.type"), "status" if in_data || !nested => Field("winlog.status"),
        "failurereason" => Field("event.reason"), "hashes" => Field("file.hash"),
        "action" if parent == "event" => Action, "outcome" if parent == "event" => Field("event.outcome"),
        "xmlns" => Nothing,
        _ => return None,
    })
}

/// `<Computer>pc7</Computer>`, `<TimeCreated SystemTime='…'/>`, `<Data Name="User">mia</Data>`.
fn xml<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut rest = text;
    let mut found = false;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((tag, behind)) = after.split_once('>') else { break };
        rest = behind;
        let (element, attributes) = tag.trim_end_matches('/').split_once([' ', '\t', '\n', '\r']).unwrap_or((tag, ""));
        let inside = behind.split('<').next().unwrap_or_default();
        let mut file = |name: &'a str, value: &'a str| {
            if !value.trim().is_empty() {
                let slot = slots(name, "EventData", 1);
                fill::file(record, slot, Cow::Borrowed(name), Scalar::Text(unescaped(value)), context);
            }
        };
        match element {
            "EventID" | "Channel" | "Computer" | "EventRecordID" | "Level" | "Task" | "Keywords" => {
                found |= element == "EventID";
                file(element, inside);
            }
            "TimeCreated" => file("SystemTime", attribute(attributes, "SystemTime")),
            "Provider" => file("ProviderName", attribute(attributes, "Name")),
            "Execution" => file("ExecutionProcessID", attribute(attributes, "ProcessID")),
            "Data" => match attribute(attributes, "Name") {
                "" => {}
                "ProcessId" => {
                    fill::file(record, Some(Slot::Pid), Cow::Borrowed("ProcessId"), Scalar::Text(Cow::Borrowed(inside)), context)
                }
                name => file(name, inside),
            },
            _ => {}
        }
    }
    found
}

fn attribute<'a>(attributes: &'a str, name: &str) -> &'a str {
    attributes
        .split_once(name)
        .and_then(|(_, rest)| rest.trim_start().strip_prefix('='))
        .map(str::trim_start)
        .and_then(|rest| {
            rest.strip_prefix('"')
                .and_then(|r| r.split_once('"'))
                .or_else(|| rest.strip_prefix('\'').and_then(|r| r.split_once('\'')))
        })
        .map_or("", |(value, _)| value)
}

fn unescaped(value: &str) -> Cow<'_, str> {
    if memchr::memchr(b'&', value.as_bytes()).is_none() {
        return Cow::Borrowed(value);
    }
    let plain = value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    Cow::Owned(plain.replace("&amp;", "&"))
}

/// The number of an event, where it is one of the security log's.
fn id(record: &LogRecord<'_>) -> i64 {
    match record.field("event.code") {
        Some(Value::Int(id)) => *id,
        Some(Value::Str(id)) => id.trim().parse().unwrap_or(0),
        _ => 0,
    }
}

/// Logons are about their target; everything else is about who did it.
fn who(record: &mut LogRecord<'_>) {
    const LOGONS: [i64; 16] = [4624, 4625, 4634, 4647, 4768, 4769, 4770, 4771, 4772, 4773, 4774, 4775, 4776, 4777, 4779, 4964];
    let take = |record: &mut LogRecord<'_>, name: &str, domain: &str| {
        let user = match record.field(name) {
            Some(Value::Str(user)) => Cow::Owned(user.to_string()),
            _ => return false,
        };
        fill::account(record, user);
        if let Some(Value::Str(domain)) = record.field(domain) {
            let domain = domain.to_string();
            record.set("user.domain", domain);
        }
        true
    };
    let order = [("user.target.name", "user.target.domain"), ("user.subject.name", "user.subject.domain")];
    let (first, second) = if LOGONS.contains(&id(record)) { (order[0], order[1]) } else { (order[1], order[0]) };
    let known = record.username.is_some() && !scan::has(word(record, "event.provider"), "Auditing");
    if !known && !take(record, first.0, first.1) {
        take(record, second.0, second.1);
    }
}

/// Sysmon configurations name ATT&CK's techniques: `technique_id=T1059.001,technique_name=PowerShell`.
fn technique(record: &mut LogRecord<'_>) {
    let Some(rule) = record.fields.iter().find(|(name, _)| name.ends_with("RuleName") || name.ends_with("ruleName")) else {
        return;
    };
    let Value::Str(rule) = &rule.1 else { return };
    let part = |name: &str| rule.split(',').find_map(|part| part.strip_prefix(name)).map(str::to_owned);
    let (id, name) = (part("technique_id="), part("technique_name="));
    if let Some(id) = id.filter(|id| id.starts_with('T')) {
        record.set("threat.technique.id", id);
    }
    if let Some(name) = name {
        record.set("threat.technique.name", name);
    }
}

pub(super) fn finish(record: &mut LogRecord<'_>) {
    let id = id(record);
    let channel = word(record, "winlog.channel");
    let provider = word(record, "event.provider");
    let is_security =
        channel.eq_ignore_ascii_case("security") || provider.ends_with("Security-Auditing") || provider == "Security";
    let status = word(record, "winlog.status");
    let refused = !matches!(status, "" | "0x0" | "0");
    let failure = word(record, "winlog.event_type") == "AUDIT_FAILURE" || word(record, "winlog.keywords").starts_with("0x801");
    if is_security {
        match id {
            4624 => return succeeded(record, "windows", "logged-in"),
            4625 => return failed(record, "windows", "logon-failed", ToldBy::Service),
            4771 => return failed(record, "windows", "kerberos-preauth-failed", ToldBy::Service),
            4768 if refused || failure => return failed(record, "windows", "kerberos-authentication-failed", ToldBy::Service),
            4768 => return succeeded(record, "windows", "kerberos-authentication-ticket-requested"),
            4776 if refused || failure => return failed(record, "windows", "credential-validation-failed", ToldBy::Pam),
            4776 => return succeeded(record, "windows", "credential-validated"),
            _ => {}
        }
    }
    let (event_type, severity, action) = if is_security {
        security(id, failure)
    } else if scan::has(provider, "Sysmon") || scan::has(channel, "Sysmon") {
        sysmon(id)
    } else {
        others(id, channel, provider)
    };
    is(record, "windows", event_type, severity);
    if record.action.is_none() && !action.is_empty() {
        record.action = Some(Cow::Borrowed(action));
    }
}

#[rustfmt::skip]
fn security(id: i64, failure: bool) -> (EventType, Severity, &'static str) {
    use EventType::{AccessDenied, AccountChange, ConfigChange, ConnectionAllowed, ConnectionBlocked, Logout, Other, PrivilegeUse, ServiceChange, System};
    use Severity::{Low, Medium};
    match id {
        4634 => (Logout, Low, "logged-out"), 4647 => (Logout, Low, "user-initiated-logoff"), 4779 => (Logout, Low, "session-disconnected"),
        4648 => (PrivilegeUse, Low, "logged-in-explicit"), 4672 => (PrivilegeUse, Low, "logged-in-special"),
        4673 | 4674 => (PrivilegeUse, Low, "privileged-operation"),
        4720 => (AccountChange, Medium, "added-user-account"), 4722 => (AccountChange, Medium, "enabled-user-account"),
        4723 => (AccountChange, Medium, "changed-password"), 4724 => (AccountChange, Medium, "reset-password"),
        4725 => (AccountChange, Medium, "disabled-user-account"), 4726 => (AccountChange, Medium, "deleted-user-account"),
        4738 => (AccountChange, Medium, "modified-user-account"), 4740 => (AccountChange, Medium, "locked-out-user-account"),
        4767 => (AccountChange, Medium, "unlocked-user-account"), 4781 => (AccountChange, Medium, "renamed-user-account"),
        4728 | 4732 | 4756 => (AccountChange, Medium, "added-member-to-group"), 4729 | 4733 | 4757 => (AccountChange, Medium, "removed-member-from-group"),
        4727 | 4731 | 4754 => (AccountChange, Medium, "added-group-account"), 4730 | 4734 | 4758 => (AccountChange, Medium, "deleted-group-account"),
        4735 | 4737 | 4755 => (AccountChange, Medium, "modified-group-account"), 4741..=4743 => (AccountChange, Medium, "changed-computer-account"),
        1102 => (ConfigChange, Medium, "audit-log-cleared"), 4719 => (ConfigChange, Medium, "changed-audit-config"),
        4739 | 4713 | 4706 | 4907 => (ConfigChange, Medium, "changed-policy"), 4946..=4950 => (ConfigChange, Medium, "changed-firewall"),
        4697 => (ServiceChange, Medium, "service-installed"), 4698 => (ConfigChange, Medium, "scheduled-task-created"),
        4699..=4702 => (ConfigChange, Medium, "scheduled-task-changed"),
        4688 => (System, Low, "created-process"), 4689 => (System, Low, "exited-process"),
        5156 | 5158 => (ConnectionAllowed, Low, "windows-firewall-connection"), 5152 | 5157 => (ConnectionBlocked, Low, "windows-firewall-packet-block"),
        4769 => (Other, Low, "kerberos-service-ticket-requested"), 4770 => (Other, Low, "kerberos-service-ticket-renewed"),
        4608 | 4609 | 1100 => (System, Low, ""),
        4656 | 4663 | 5140 | 5145 if failure => (AccessDenied, Low, "object-access-denied"), 4663 => (Other, Low, "object-access"),
        _ => (Other, Low, ""),
    }
}

#[rustfmt::skip]
fn sysmon(id: i64) -> (EventType, Severity, &'static str) {
    use EventType::{ConfigChange, ConnectionAllowed, Other, ServiceChange, System};
    use Severity::Low;
    match id {
        1 => (System, Low, "process-create"), 2 => (System, Low, "file-creation-time-changed"), 3 => (ConnectionAllowed, Low, "network-connection"),
        4 => (ServiceChange, Low, "sysmon-state-changed"), 5 => (System, Low, "process-terminated"), 6 => (System, Low, "driver-loaded"),
        7 => (System, Low, "image-loaded"), 8 => (System, Low, "create-remote-thread"), 9 => (System, Low, "raw-access-read"),
        10 => (System, Low, "process-access"), 11 => (System, Low, "file-create"), 12..=14 => (System, Low, "registry"),
        15 => (System, Low, "file-create-stream-hash"), 16 => (ConfigChange, Low, "sysmon-config-changed"), 17 | 18 => (System, Low, "pipe"),
        19..=21 => (System, Low, "wmi"), 22 => (Other, Low, "dns-query"), 23 | 26 => (System, Low, "file-delete"), 25 => (System, Low, "process-tampering"),
        _ => (System, Low, ""),
    }
}

fn others(id: i64, channel: &str, provider: &str) -> (EventType, Severity, &'static str) {
    use EventType::{AccessDenied, ConfigChange, MalwareDetected, ServiceChange, System};
    use Severity::{High, Low, Medium};
    let is_from = |name: &str| scan::has(channel, name) || scan::has(provider, name);
    match id {
        1116..=1119 | 1006..=1008 if is_from("Defender") => (MalwareDetected, High, "malware-found"),
        5001 | 5007 | 5010 | 5012 if is_from("Defender") => (ConfigChange, Medium, "antivirus-configured"),
        8004 | 8007 | 8022 | 8025 if is_from("AppLocker") => (AccessDenied, Medium, "prevented-from-running"),
        7045 => (ServiceChange, Medium, "service-installed"),
        7034..=7040 => (ServiceChange, Low, "service-changed"),
        104 if is_from("System") || is_from("Eventlog") => (ConfigChange, Medium, "log-cleared"),
        _ => (System, Low, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    fn read(text: &str) -> LogRecord<'_> {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let mut record = LogRecord::text(text);
        assert!(parse(text, &mut record, &context), "{text}");
        record
    }

    #[test]
    fn a_failed_logon() {
        let record = read(DIALECT.samples[0]);
        assert_eq!((record.event_type, record.severity), (EventType::LoginFailed, Severity::Medium));
        assert_eq!((record.username.as_deref(), record.field("user.domain")), (Some("mia"), Some(&"EXAMPLE".into())));
        assert_eq!((record.src_ip, record.src_port), ("203.0.113.77".parse().ok(), Some(50123)));
        assert_eq!(record.host.as_deref(), Some("dc1.example.org"));
        assert_eq!(record.event_time.map(|t| t.to_string()).as_deref(), Some("2026-11-20T06:25:01.123456Z"));
    }

    #[test]
    fn who_changed_whom() {
        let record = read(DIALECT.samples[1]);
        assert_eq!((record.event_type, record.username.as_deref()), (EventType::AccountChange, Some("admin")));
        assert_eq!(record.field("user.target.name"), Some(&"eve".into()));
    }

    #[test]
    fn xml_is_read_the_same() {
        let record = read(DIALECT.samples[2]);
        assert_eq!(
            (record.event_type, record.username.as_deref(), record.pid),
            (EventType::ConnectionAllowed, Some("mia"), Some(4711))
        );
        assert_eq!((record.dst_ip, record.dst_port), ("203.0.113.5".parse().ok(), Some(443)));
        assert_eq!(record.field("threat.technique.id"), Some(&"T1059.001".into()));
    }

    #[test]
    fn wazuh_and_nxlog() {
        let record = read(
            r#"{"win":{"eventdata":{"targetUserName":"mia","ipAddress":"192.0.2.9","logonType":"3"},"system":{"eventID":"4624","channel":"Security","providerName":"Microsoft-Windows-Security-Auditing","computer":"dc1","systemTime":"2026-11-20T06:25:01.123456700Z"}}}"#,
        );
        assert_eq!((record.event_type, record.username.as_deref()), (EventType::LoginSuccess, Some("mia")));
        let record = read(
            r#"{"EventTime":"2026-11-20 06:25:01","Hostname":"dc1","EventType":"AUDIT_FAILURE","EventID":4776,"SourceName":"Microsoft-Windows-Security-Auditing","Channel":"Security","TargetUserName":"mia","Workstation":"PC7","Status":"0xc000006a"}"#,
        );
        assert_eq!((record.event_type, record.host.as_deref()), (EventType::LoginFailed, Some("dc1")));
        assert_eq!(record.field("source.domain"), Some(&"PC7".into()));
    }
}
