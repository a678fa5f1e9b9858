//! Alerts of products that watch endpoints, as JSON: Palo Alto Cortex XDR, Sophos Central, CrowdStrike Falcon, SentinelOne, Microsoft Defender,
//! Trend Vision One.
//!
//! Sources: the vendors' descriptions of their alert APIs and event streams (each dialect names its own). Severity is the product's; what is called
//! malware is high at least. Who is signed in to the consoles of these products is a login like others.

use super::alert;
use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Member;
use crate::parse::fill::word;
use crate::parse::fill::{self, Slot, Slots};
use crate::parse::json::Scalar;
use crate::parse::{Context, json, scan};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const CORTEX_XDR: Dialect = Dialect {
    name: "cortex_xdr",
    product: "Palo Alto Networks Cortex XDR: alerts",
    reference: "https://docs-cortex.paloaltonetworks.com/r/Cortex-XDR-REST-API/Get-Alerts-Multi-Events-v2",
    marks: &[Member("\"matching_service_rule_id\""), Member("\"bioc_category_enum_key\""), Member("\"local_insert_ts\"")],
    parse: |text, record, context| read(text, record, context, &CORTEX),
    samples: &[
        r#"{"external_id":"1","severity":"medium","matching_service_rule_id":null,"local_insert_ts":1795155902000,"detection_timestamp":1795155901000,"name":"Firewall disabled by registry","category":"Tampering","action":"DETECTED","host_name":"pc7","host_ip":["192.0.2.30"],"mitre_technique_id_and_name":["T1562 - Impair Defenses"],"events":{"event_timestamp":1795155901000,"actor_process_image_name":"netsh.exe","actor_process_os_pid":811,"user_name":"CORP\\mia"}}"#,
    ],
};

pub(super) const SOPHOS_CENTRAL: Dialect = Dialect {
    name: "sophos_central",
    product: "Sophos Central: alerts and events",
    reference: "https://developer.sophos.com/docs/siem-v1/1/overview",
    marks: &[Member("\"endpoint_type\"")],
    parse: |text, record, context| read(text, record, context, &CENTRAL),
    samples: &[
        r#"{"severity":"high","source":"CORP\\mia","type":"Event::Endpoint::Threat::Detected","name":"Malware detected: 'Eicar' at 'C:\\x.com'","threat":"Eicar","location":"pc7","endpoint_id":"1","endpoint_type":"computer","customer_id":"2","when":"2026-11-20T06:25:01.000Z","source_info":{"ip":"192.0.2.30"}}"#,
    ],
};

pub(super) const CROWDSTRIKE: Dialect = Dialect {
    name: "crowdstrike",
    product: "CrowdStrike Falcon: event streams",
    reference: "https://www.falconpy.io/Service-Collections/Event-Streams.html",
    marks: &[Member("\"customerIDString\"")],
    parse: |text, record, context| read(text, record, context, &FALCON),
    samples: &[
        r#"{"metadata":{"customerIDString":"x","offset":7,"eventType":"DetectionSummaryEvent","eventCreationTime":1795155901000,"version":"1.0"},"event":{"ComputerName":"pc7","UserName":"mia","DetectName":"NGAV","Severity":4,"SeverityName":"High","FileName":"x.exe","CommandLine":"x.exe -q","LocalIP":"192.0.2.30","Tactic":"Machine Learning","Technique":"Sensor-based ML"}}"#,
        r#"{"metadata":{"customerIDString":"x","offset":8,"eventType":"AuthActivityAuditEvent","eventCreationTime":1795155902000,"version":"1.0"},"event":{"UserId":"mia@example.org","UserIp":"203.0.113.77","OperationName":"userAuthenticate","ServiceName":"CrowdStrike Authentication","Success":false,"UTCTimestamp":1795155902}}"#,
    ],
};

pub(super) const SENTINEL_ONE: Dialect = Dialect {
    name: "sentinelone",
    product: "SentinelOne: threats",
    reference: "https://www.sentinelone.com/platform/singularity-xdr/",
    marks: &[Member("\"agentRealtimeInfo\""), Member("\"agentDetectionInfo\"")],
    parse: |text, record, context| read(text, record, context, &SENTINEL),
    samples: &[
        r#"{"agentDetectionInfo":{"agentIpV4":"192.0.2.30","agentLastLoggedInUserName":"mia"},"agentRealtimeInfo":{"agentComputerName":"pc7"},"threatInfo":{"threatName":"x.exe","classification":"Malware","confidenceLevel":"malicious","createdAt":"2026-11-20T06:25:01.000Z","filePath":"C:\\x.exe","mitigationStatus":"mitigated","processUser":"CORP\\mia","sha1":"da39a3ee5e6b4b0d3255bfef95601890afd80709"}}"#,
    ],
};

pub(super) const DEFENDER: Dialect = Dialect {
    name: "microsoft_defender",
    product: "Microsoft Defender: alerts",
    reference: "https://learn.microsoft.com/en-us/graph/api/resources/security-alert",
    marks: &[Member("\"alertCreationTime\""), Member("\"providerAlertId\"")],
    parse: |text, record, context| read(text, record, context, &MICROSOFT),
    samples: &[
        r#"{"id":"da1","incidentId":7,"severity":"Medium","status":"New","detectionSource":"WindowsDefenderAtp","category":"Malware","title":"Malware was detected","alertCreationTime":"2026-11-20T06:25:01Z","computerDnsName":"pc7.example.org","relatedUser":{"userName":"mia","domainName":"CORP"}}"#,
    ],
};

pub(super) const VISION_ONE: Dialect = Dialect {
    name: "trend_vision_one",
    product: "Trend Vision One: detections",
    reference: "https://docs.trendmicro.com/en-us/documentation/article/trend-vision-one-data-mapping-detection",
    marks: &[Member("\"endpointGUID\""), Member("\"eventTimeDT\"")],
    parse: |text, record, context| read(text, record, context, &TREND),
    samples: &[
        r#"{"act":"Clean","dhost":"pc7","dpt":80,"dst":["192.0.2.30"],"endpointGUID":"1","endpointHostName":"pc7","eventName":"MALWARE_DETECTION","eventTime":1795155901000,"eventTimeDT":"2026-11-20T06:25:01Z","malName":"Eicar_test_1","pname":"Apex One","severity":50,"spt":48312,"src":["203.0.113.77"],"suser":"mia"}"#,
    ],
};

/// How one of them is read.
struct Kind {
    name: &'static str,
    /// All of these are in it.
    needs: &'static [&'static str],
    slots: Slots,
    meaning: fn(&LogRecord<'_>) -> (EventType, Severity),
}

fn read<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>, kind: &Kind) -> bool {
    if !kind.needs.iter().all(|name| text.contains(name)) || !fill::object(text, record, kind.slots, context) {
        return false;
    }
    // The time of what was seen comes before that of its detection.
    if record.event_time.is_none()
        && let Some(Value::Int(created)) = record.field("event.created")
    {
        record.event_time = scan::epoch(*created as f64);
    }
    // Several addresses: the first is the end's.
    record.src_ip = record.src_ip.or_else(|| first_address(record, "source.addresses"));
    record.dst_ip = record.dst_ip.or_else(|| first_address(record, "destination.addresses"));
    let (event_type, severity) = (kind.meaning)(record);
    is(record, kind.name, event_type, severity);
    true
}

fn first_address(record: &LogRecord<'_>, name: &str) -> Option<std::net::IpAddr> {
    match record.field(name)? {
        Value::Str(text) => scan::ip(text),
        Value::Json(list) => {
            let mut first = None;
            json::elements(list, |element| {
                if let (None, Scalar::Text(text)) = (first, Scalar::of(element)) {
                    first = scan::ip(&text);
                }
            });
            first
        }
        _ => None,
    }
}

fn rated(record: &LogRecord<'_>) -> Severity {
    match record.field("event.severity") {
        Some(Value::Str(text)) => alert::rated(text),
        _ => Severity::Medium,
    }
}

fn alert_or_malware(record: &LogRecord<'_>, what: &str) -> (EventType, Severity) {
    let what = what.to_ascii_lowercase();
    let is_malware = ["malware", "virus", "ransom", "trojan", "wildfire", "pua", "rootkit", "worm", "eicar"]
        .iter()
        .any(|word| what.contains(word));
    if is_malware {
        (EventType::MalwareDetected, rated(record).max(Severity::High))
    } else {
        (EventType::IdsAlert, rated(record))
    }
}

const CORTEX: Kind = Kind {
    name: "cortex_xdr",
    needs: &["\"detection_timestamp\"", "\"severity\""],
    slots: cortex_slots,
    meaning: |record| alert_or_malware(record, &format!("{} {}", word(record, "event.category.name"), word(record, "rule.name"))),
};

#[rustfmt::skip]
fn cortex_slots(name: &str) -> Option<Slot> {
    use Slot::{Action, App, DstIp, DstPort, Field, Host, Pid, SrcIp, SrcPort, Time, User};
    Some(match name {
        "events.event_timestamp" => Time, "detection_timestamp" => Field("event.created"), "host_name" => Host, "action" => Action, "name" => Field("rule.name"), "category" => Field("event.category.name"),
        "severity" => Field("event.severity"), "source" => Field("observer.product"), "external_id" | "alert_id" => Field("event.id"), "host_ip" => Field("host.ip"),
        "mitre_technique_id_and_name" => Field("threat.technique.name"), "mitre_tactic_id_and_name" => Field("threat.tactic.name"), "description" => Field("rule.description"),
        "events.user_name" | "user_name" => User, "events.actor_process_image_name" | "actor_process_image_name" => App, "events.actor_process_os_pid" => Pid,
        "events.actor_process_command_line" => Field("process.command_line"), "events.actor_process_image_path" => Field("process.executable"), "events.actor_process_image_sha256" => Field("process.hash.sha256"),
        "events.action_local_ip" => SrcIp, "events.action_local_port" => SrcPort, "events.action_remote_ip" => DstIp, "events.action_remote_port" => DstPort,
        "events.action_file_name" => Field("file.name"), "events.action_file_path" => Field("file.path"), "events.action_file_sha256" => Field("file.hash.sha256"),
        "events.action_registry_full_key" => Field("registry.path"), "events.action_external_hostname" => Field("destination.domain"),
        _ => return None,
    })
}

const CENTRAL: Kind = Kind {
    name: "sophos_central",
    needs: &["\"Event::", "\"when\"", "\"severity\""],
    slots: central_slots,
    meaning: central_meaning,
};

#[rustfmt::skip]
fn central_slots(name: &str) -> Option<Slot> {
    use Slot::{App, DstIp, DstPort, Field, Host, SrcIp, SrcPort, Time, User};
    Some(match name {
        "when" => Time, "created_at" => Field("event.created"), "source" | "suser" => User, "location" | "dhost" => Host, "type" => Field("event.code"), "name" | "description" => Field("rule.description"),
        "severity" => Field("event.severity"), "threat" => Field("threat.indicator.name"), "id" => Field("event.id"), "group" => Field("event.category.name"),
        "source_info.ip" | "data.source_info.ip" => SrcIp, "ips_threat_data.localPort" => SrcPort, "ips_threat_data.remoteIp" | "data.ips_threat.remote_ip" => DstIp,
        "ips_threat_data.remotePort" | "data.ips_threat.remote_port" => DstPort, "amsi_threat_data.processName" | "data.hmpa_exploit.process_name" => App,
        "appSha256" => Field("file.hash.sha256"),
        _ => return None,
    })
}

fn central_meaning(record: &LogRecord<'_>) -> (EventType, Severity) {
    let code = word(record, "event.code");
    let has = |part: &str| code.contains(part);
    if has("::Threat::")
        || has("::HmpaExploit")
        || has("::CoreDetection")
        || has("::SavDetection")
        || has("::Malware")
        || has("::HmpaCrypto")
    {
        (EventType::MalwareDetected, rated(record).max(Severity::Medium))
    } else if has("::IPS") || has("::Isolation") || has("::CorePuaDetection") || has("::Xg") {
        (EventType::IdsAlert, rated(record))
    } else if has("WebControlViolation")
        || has("WebFilteringBlocked")
        || has("Device::")
        || has("::AppDenied")
        || has("DataLossPrevention")
    {
        (EventType::AccessDenied, Severity::Low)
    } else if has("::User") || has("::UserAutoCreated") {
        (EventType::AccountChange, Severity::Low)
    } else if has("::UpdateSuccess") || has("::UpdateFail") || has("::Registered") || has("::NonCompliant") || has("::Compliant")
    {
        (EventType::System, rated(record).min(Severity::Medium))
    } else {
        (EventType::Other, rated(record).min(Severity::Medium))
    }
}

const FALCON: Kind = Kind {
    name: "crowdstrike",
    needs: &["\"metadata\"", "\"eventType\"", "\"event\""],
    slots: falcon_slots,
    meaning: falcon_meaning,
};

#[rustfmt::skip]
fn falcon_slots(name: &str) -> Option<Slot> {
    use Slot::{App, DstIp, DstPort, Field, Host, Nothing, Protocol, SrcIp, SrcPort, Time, User};
    Some(match name {
        "metadata.eventCreationTime" => Time, "metadata.eventType" => Field("event.code"), "event.ComputerName" | "event.Hostname" | "event.HostnameField" => Host,
        "event.UserName" | "event.UserId" => User, "event.UserIp" | "event.LocalAddress" | "event.SourceEndpointIpAddress" => SrcIp, "event.LocalIP" => Field("host.ip"), "event.LocalPort" => SrcPort, "event.RemoteAddress" => DstIp, "event.RemotePort" => DstPort,
        "event.Protocol" => Protocol, "event.FileName" => App, "event.FilePath" => Field("process.executable"), "event.CommandLine" => Field("process.command_line"),
        "event.SHA256String" => Field("process.hash.sha256"), "event.MD5String" => Field("process.hash.md5"), "event.DetectName" | "event.Name" => Field("rule.name"), "event.DetectDescription" | "event.Description" => Field("rule.description"),
        "event.SeverityName" => Field("event.severity"), "event.Severity" => Field("crowdstrike.severity"), "event.Tactic" => Field("threat.tactic.name"), "event.Technique" => Field("threat.technique.name"),
        "event.OperationName" => Field("crowdstrike.operation"), "event.Success" => Field("crowdstrike.success"), "event.FalconHostLink" => Field("event.url"), "event.DetectId" => Field("event.id"),
        "event.MachineDomain" => Field("host.domain"), "event.PatternDispositionDescription" => Field("crowdstrike.disposition"), "event.RuleAction" => Field("crowdstrike.rule_action"), "event.UTCTimestamp" => Nothing,
        _ => return None,
    })
}

fn falcon_meaning(record: &LogRecord<'_>) -> (EventType, Severity) {
    let succeeded = !matches!(record.field("crowdstrike.success"), Some(Value::Bool(false)));
    let operation = word(record, "crowdstrike.operation").to_ascii_lowercase();
    match word(record, "event.code") {
        "AuthActivityAuditEvent"
            if operation.contains("authenticate") || operation.contains("login") || operation.contains("twofactor") =>
        {
            if succeeded {
                (EventType::LoginSuccess, Severity::Low)
            } else {
                (EventType::LoginFailed, Severity::Medium)
            }
        }
        "UserActivityAuditEvent" | "AuthActivityAuditEvent" if operation.contains("user") => {
            (EventType::AccountChange, Severity::Medium)
        }
        "UserActivityAuditEvent" | "AuthActivityAuditEvent" => (EventType::ConfigChange, Severity::Medium),
        "RemoteResponseSessionStartEvent" | "RemoteResponseSessionEndEvent" => (EventType::PrivilegeUse, Severity::Medium),
        "FirewallMatchEvent" if word(record, "crowdstrike.rule_action") == "1" => (EventType::ConnectionAllowed, Severity::Low),
        "FirewallMatchEvent" => (EventType::ConnectionBlocked, Severity::Low),
        code if code.contains("Detection") || code.contains("Incident") => {
            let what = format!("{} {}", word(record, "rule.name"), word(record, "rule.description"));
            alert_or_malware(record, &what)
        }
        _ => (EventType::Other, Severity::Low),
    }
}

const SENTINEL: Kind = Kind {
    name: "sentinelone",
    needs: &["\"threatInfo\""],
    slots: sentinel_slots,
    meaning: |record| {
        let is_malicious = word(record, "sentinelone.confidence") == "malicious";
        let severity = if is_malicious { Severity::High } else { Severity::Medium };
        (EventType::MalwareDetected, severity)
    },
};

#[rustfmt::skip]
fn sentinel_slots(name: &str) -> Option<Slot> {
    use Slot::{Action, App, Field, Host, Time, User};
    Some(match name {
        "threatInfo.identifiedAt" => Field("event.start"), "threatInfo.createdAt" => Time, "agentRealtimeInfo.agentComputerName" => Host, "threatInfo.processUser" => User,
        "agentDetectionInfo.agentLastLoggedInUserName" => Field("sentinelone.logged_in_user"), "agentDetectionInfo.agentIpV4" => Field("host.ip"), "threatInfo.originatorProcess" => App,
        "threatInfo.threatName" => Field("threat.indicator.name"), "threatInfo.classification" => Field("event.category.name"), "threatInfo.confidenceLevel" => Field("sentinelone.confidence"),
        "threatInfo.filePath" => Field("file.path"), "threatInfo.sha1" => Field("file.hash.sha1"), "threatInfo.sha256" => Field("file.hash.sha256"), "threatInfo.md5" => Field("file.hash.md5"),
        "threatInfo.mitigationStatus" => Action, "threatInfo.threatId" => Field("event.id"), "threatInfo.maliciousProcessArguments" => Field("process.command_line"),
        _ => return None,
    })
}

const MICROSOFT: Kind = Kind {
    name: "microsoft_defender",
    needs: &["\"severity\"", "\"title\""],
    slots: microsoft_slots,
    meaning: |record| alert_or_malware(record, &format!("{} {}", word(record, "event.category.name"), word(record, "rule.name"))),
};

#[rustfmt::skip]
fn microsoft_slots(name: &str) -> Option<Slot> {
    use Slot::{Field, Host, Time, User};
    Some(match name {
        "alertCreationTime" | "createdDateTime" => Time, "computerDnsName" => Host, "relatedUser.userName" => User, "relatedUser.domainName" => Field("user.domain"),
        "title" => Field("rule.name"), "description" => Field("rule.description"), "category" => Field("event.category.name"), "severity" => Field("event.severity"), "id" => Field("event.id"),
        "detectionSource" | "serviceSource" => Field("observer.product"), "threatName" | "threatFamilyName" => Field("threat.indicator.name"), "mitreTechniques" => Field("threat.technique.id"),
        _ => return None,
    })
}

const TREND: Kind = Kind {
    name: "trend_vision_one",
    needs: &["\"eventTime\"", "\"eventName\""],
    slots: trend_slots,
    meaning: |record| {
        let severity = match record.field("trend.severity") {
            Some(Value::Int(80..)) => Severity::High,
            Some(Value::Int(40..)) => Severity::Medium,
            _ => Severity::Low,
        };
        let what = format!("{} {}", word(record, "event.code"), word(record, "trend.malware_type"));
        let (event_type, _) = alert_or_malware(record, &what);
        (event_type, if event_type == EventType::MalwareDetected { severity.max(Severity::High) } else { severity })
    },
};

#[rustfmt::skip]
fn trend_slots(name: &str) -> Option<Slot> {
    use Slot::{Action, App, DstPort, Field, Host, Protocol, SrcPort, Time, User};
    Some(match name {
        "eventTime" => Time, "dhost" => Host, "src" => Field("source.addresses"), "dst" => Field("destination.addresses"), "spt" => SrcPort, "dpt" => DstPort,
        "suser" | "duser" | "logonUser" => User, "proto" => Protocol, "act" => Action, "processName" => App, "processCmd" => Field("process.command_line"), "processFilePath" => Field("process.executable"),
        "eventName" => Field("event.code"), "malName" | "threatName" => Field("threat.indicator.name"), "malType" => Field("trend.malware_type"), "pname" => Field("observer.product"),
        "severity" => Field("trend.severity"), "ruleName" => Field("rule.name"), "fileName" => Field("file.name"), "filePath" => Field("file.path"), "fileHash" => Field("file.hash.sha1"), "fileHashSha256" => Field("file.hash.sha256"),
        "endpointHostName" => Field("host.hostname"), "endpointIp" => Field("host.ip"), "request" => Field("url.original"), "uuid" => Field("event.id"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn alerts() {
        use EventType::{IdsAlert, LoginFailed, MalwareDetected};
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for (line, event_type, host) in [
            (CORTEX_XDR.samples[0], IdsAlert, Some("pc7")),
            (SOPHOS_CENTRAL.samples[0], MalwareDetected, Some("pc7")),
            (CROWDSTRIKE.samples[0], IdsAlert, Some("pc7")),
            (CROWDSTRIKE.samples[1], LoginFailed, None),
            (SENTINEL_ONE.samples[0], MalwareDetected, Some("pc7")),
            (DEFENDER.samples[0], MalwareDetected, Some("pc7.example.org")),
            (VISION_ONE.samples[0], MalwareDetected, Some("pc7")),
        ] {
            let record = parse::parse(line, &context);
            assert_eq!(
                (record.event_type, record.host.as_deref(), record.username.as_deref()),
                (event_type, host, Some("mia")),
                "{line}"
            );
            let time = record.event_time.map(|time| time.as_micros() / 1_000_000);
            assert!(matches!(time, Some(1_795_155_901 | 1_795_155_902)), "{line}: {time:?}");
        }
    }
}
