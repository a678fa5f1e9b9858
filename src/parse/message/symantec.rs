//! Symantec Endpoint Protection Manager 12 and 14: values with commas between them, most as `Name: value`, some bare.
//!
//! Source: "External Logging settings and log event severity levels for Endpoint Protection Manager" (Broadcom article 155205). Traffic and attacks
//! tell local and remote host; `Inbound` or `Outbound` says who began. Severity: what was found is high, attacks are medium, a refused login of an
//! administrator and a change of policies are medium, the rest low.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Holds};
use crate::parse::fill::{self, Slot};
use crate::parse::json::Scalar;
use crate::parse::token::is_host_name;
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "symantec_endpoint",
    product: "Symantec Endpoint Protection Manager",
    reference: "https://knowledge.broadcom.com/external/article/155205",
    marks: &[
        App("SymantecServer"),
        Begins("Site: "),
        Begins("Virus found,"),
        Begins("Security risk found,"),
        Begins("Potential risk found,"),
        Begins("Scan ID: "),
        Holds(",Event Description: "),
        Holds(",Local Host IP: "),
        Holds(",Local: "),
    ],
    parse,
    samples: &[
        "<54>Nov 20 06:25:01 sepm1 SymantecServer: pc7,Event Description: [SID: 30413] Web Attack: Passwd File Download Attempt attack blocked.,Local Host IP: 192.0.2.30,Local Host MAC: 000000000000,Remote Host Name: ,Remote Host IP: 203.0.113.77,Remote Host MAC: 000000000000,Inbound,TCP,Intrusion ID: 0,Begin: 2026-11-20 06:25:00,End Time: 2026-11-20 06:25:00,Occurrences: 1,Application: SYSTEM,Location: Default,User Name: mia,Domain Name: CORP,Local Port: 80,Remote Port: 48312,CIDS Signature ID: 30413",
        "<54>Nov 20 06:25:02 sepm1 SymantecServer: Virus found,IP Address: 192.0.2.30,Computer name: pc7,Source: Auto-Protect scan,Risk name: EICAR Test String,Occurrences: 1,c:\\users\\mia\\eicar.com,,Actual action: Cleaned by deletion,Requested action: Cleaned,Event time: 2026-11-20 06:25:01,User: mia",
        "<54>Nov 20 06:25:03 sepm1 SymantecServer: Site: main,Server Name: sepm1,Domain Name: Default,Admin: mia,Administrator log on failed",
    ],
};

/// Parts between commas; one in quotes may have some.
struct Parts<'a> {
    rest: Option<&'a str>,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        if let Some(quoted) = rest.strip_prefix('"')
            && let Some((part, behind)) = quoted.split_once('"')
            && (behind.is_empty() || behind.starts_with(','))
        {
            self.rest = behind.strip_prefix(',');
            return Some(part);
        }
        let (part, behind) = rest.split_once(',').map_or((rest, None), |(part, behind)| (part, Some(behind)));
        self.rest = behind;
        Some(part)
    }
}

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let text = text.trim_end();
    if !is_ours(text) {
        return false;
    }
    let is_outbound = text.contains(",Outbound,");
    let mut bare: Vec<&'a str> = Vec::new();
    record.fields.reserve(24);
    for part in (Parts { rest: Some(text) }) {
        let Some((name, value)) = part.split_once(':') else {
            bare.push(part.trim());
            continue;
        };
        let (name, value) = (name.trim(), value.trim());
        let Some(slot) = slots(name, is_outbound) else {
            bare.push(part.trim());
            continue;
        };
        fill::file(record, Some(slot), Cow::Borrowed(name), Scalar::Text(Cow::Borrowed(value)), context);
    }
    // What was put together from several events tells when the first of them was.
    if record.event_time.is_none()
        && let Some(Value::Str(start)) = record.field("event.start")
    {
        record.event_time = scan::iso_time(start, Some(context.zone));
    }
    for part in &bare {
        match *part {
            "TCP" | "UDP" | "ICMP" | "ETHERNET" | "OTHERS" => record.protocol = Some(scan::protocol(part)),
            "Inbound" => record.set("network.direction", "inbound"),
            "Outbound" => record.set("network.direction", "outbound"),
            _ => {}
        }
    }
    let first = text.split(',').next().unwrap_or_default();
    if !first.contains(": ") && is_host_name(first) {
        record.host = Some(Cow::Borrowed(first));
    } else if let [what, host, user, domain, ..] = bare[..]
        && what.starts_with("The management server received the client log")
    {
        record.host = Some(Cow::Borrowed(host));
        record.username = Some(Cow::Borrowed(user));
        record.set("user.domain", domain);
    }
    let (event_type, severity) = meaning(record, text, &bare);
    is(record, "symantec_endpoint", event_type, severity);
    true
}

fn is_ours(text: &str) -> bool {
    let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
    let has = |word: &str| scan::has(text, word);
    if begins(&["Site: "]) {
        return has(",Server: ") || has(",Server Name: ") || has(",Domain Name: ") || has(",Domain: ");
    }
    if begins(&["Virus found,", "Security risk found,", "Potential risk found,", "Compressed File,"]) {
        return has("Computer name: ") || has("Actual action: ");
    }
    (begins(&["Scan ID: "]) && has(",Begin: "))
        || has(",Local Host IP: ")
        || has(",Local Host MAC: ")
        || (has(",Event Description: ") && has(",Local: "))
}

fn slots(name: &str, is_outbound: bool) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Host, SrcIp, SrcPort, Time, User};
    Some(match name {
        "Local Host IP" | "Local Host" | "Local" if is_outbound => SrcIp,
        "Local Host IP" | "Local Host" | "Local" => DstIp,
        "Remote Host IP" | "Remote" if is_outbound => DstIp,
        "Remote Host IP" | "Remote" => SrcIp,
        "Local Port" if is_outbound => SrcPort,
        "Local Port" => DstPort,
        "Remote Port" if is_outbound => DstPort,
        "Remote Port" => SrcPort,
        "Remote Host Name" if is_outbound => Field("destination.domain"),
        "Remote Host Name" => Field("source.domain"),
        "Local Host MAC" => Field("symantec.local_mac"),
        "Remote Host MAC" => Field("symantec.remote_mac"),
        "Event time" => Time,
        "Begin" | "Begin Time" => Field("event.start"),
        "Computer name" | "Computer" | "Host Name" => Host,
        "User" | "User Name" | "Admin" | "User1" => User,
        "Domain Name" | "Domain" => Field("symantec.domain"),
        "Actual action" | "Action" => Action,
        "Requested action" => Field("symantec.requested_action"),
        "Secondary action" => Field("symantec.secondary_action"),
        "Risk name" => Field("threat.indicator.name"),
        "CIDS Signature string" => Field("rule.description"),
        "CIDS Signature ID" => Field("rule.id"),
        "Rule" | "Rule Name" => Field("rule.name"),
        "Application" => Field("process.executable"),
        "Application hash" | "SHA-256" => Field("file.hash.sha256"),
        "MD-5" => Field("file.hash.md5"),
        "Application name" => Field("file.pe.product"),
        "Intrusion URL" => Field("url.original"),
        "IP Address" => Field("host.ip"),
        "Source" => Field("symantec.source"),
        "Source IP" => Field("symantec.source_ip"),
        "Source computer" => Field("symantec.source_computer"),
        "Site" => Field("symantec.site"),
        "Server" | "Server Name" => Field("symantec.server"),
        "Group" | "Group Name" => Field("symantec.group"),
        "Location" => Field("symantec.location"),
        "Event Description" => Field("event.reason"),
        "Occurrences" => Field("symantec.occurrences"),
        "End" | "End Time" => Field("event.end"),
        "Downloaded by" => Field("symantec.downloaded_by"),
        "Web domain" => Field("url.domain"),
        "Category type" => Field("event.category.name"),
        "Risk Level" => Field("log.level"),
        "Disposition"
        | "Inserted"
        | "Last update time"
        | "Sensitivity"
        | "Prevalence"
        | "Confidence"
        | "First Seen"
        | "Hash type"
        | "Company name"
        | "Application version"
        | "Application type"
        | "File size (bytes)"
        | "Detection score"
        | "Category set" => Slot::Nothing,
        _ => return None,
    })
}

fn meaning(record: &LogRecord<'_>, text: &str, bare: &[&str]) -> (EventType, Severity) {
    use EventType::{
        ConfigChange, ConnectionAllowed, ConnectionBlocked, IdsAlert, LoginFailed, LoginSuccess, Logout, MalwareDetected, System,
    };
    if ["Virus found,", "Security risk found,", "Potential risk found,", "Compressed File,"]
        .iter()
        .any(|word| text.starts_with(word))
    {
        return (MalwareDetected, Severity::High);
    }
    if record.field("rule.id").is_some() || text.contains(",CIDS Signature ID: ") {
        return (IdsAlert, Severity::Medium);
    }
    if text.contains(",Local Host IP: ") || text.contains(",Local Host MAC: ") {
        let blocked = record.action.as_deref().is_some_and(|action| action.starts_with("block"));
        return (if blocked { ConnectionBlocked } else { ConnectionAllowed }, Severity::Low);
    }
    let described = match record.field("event.reason") {
        Some(Value::Str(what)) => what,
        _ => "",
    };
    let says = |words: &[&str]| bare.iter().any(|part| words.iter().any(|word| part.contains(word)));
    if says(&["log on failed", "login failed", "logon failed"]) {
        (LoginFailed, Severity::Medium)
    } else if says(&["log on succeeded", "login succeeded", "logon succeeded"]) {
        (LoginSuccess, Severity::Low)
    } else if says(&["log out", "logout", "logged off", "log off"]) {
        (Logout, Severity::Low)
    } else if described.starts_with("Policy has been")
        || says(&["has been edited", "has been added", "has been deleted", "olicy has been"])
    {
        (ConfigChange, Severity::Medium)
    } else {
        (System, Severity::Low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn what_happened() {
        use EventType::*;
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let read = |line: &'static str| {
            let mut record = LogRecord::text(line);
            assert!(parse(line, &mut record, &context), "{line}");
            record
        };
        let inbound = read(
            "pc7,Event Description: x, y,Local Host IP: 192.0.2.30,Local Host MAC: 0,Remote Host Name: ,Remote Host IP: 203.0.113.77,Inbound,TCP,User Name: mia,Local Port: 80,Remote Port: 48312,CIDS Signature ID: 1",
        );
        assert_eq!((inbound.event_type, inbound.src_ip, inbound.src_port), (IdsAlert, "203.0.113.77".parse().ok(), Some(48312)));
        assert_eq!(
            (inbound.dst_port, inbound.host.as_deref(), inbound.username.as_deref()),
            (Some(80), Some("pc7"), Some("mia"))
        );
        let outbound = read(
            "pc7,Local Host IP: 192.0.2.30,Local Port: 5,Local Host MAC: 0,Remote Host IP: 203.0.113.77,Remote Port: 443,TCP,Outbound,Rule: r,Action: Blocked",
        );
        assert_eq!(
            (outbound.event_type, outbound.src_ip, outbound.dst_port),
            (ConnectionBlocked, "192.0.2.30".parse().ok(), Some(443))
        );
        assert_eq!(read("Site: s,Server: x,Domain: d,Admin: mia,Administrator log on succeeded").event_type, LoginSuccess);
        assert_eq!(read("Virus found,Computer name: pc7,Actual action: Deleted,User: mia").event_type, MalwareDetected);
        let mut other = LogRecord::text("Site: x, y");
        assert!(!parse("Site: x, y", &mut other, &context));
    }
}
