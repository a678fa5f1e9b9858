//! Lines of several formats through every chain of wrappers that a network puts around them.

use super::{Context, parse};
use crate::record::{EventType, LogRecord, Timestamp, Zone};

/// A line with what a record has to say of it, however it was wrapped.
struct Device {
    line: &'static str,
    format: &'static str,
    event_type: EventType,
    /// Of the line itself; empty where it names none, and whoever stands nearest to it is its host.
    host: &'static str,
    /// Empty where the line names none.
    app: &'static str,
    user: &'static str,
    source: &'static str,
    destination: &'static str,
    has_time: bool,
}

/// When each line says that it happened. Wrappers are of later days.
const TIME: &str = "2026-11-20T06:25:01Z";

const NO: Device = Device {
    line: "",
    format: "",
    event_type: EventType::Other,
    host: "",
    app: "",
    user: "",
    source: "203.0.113.77",
    destination: "",
    has_time: true,
};

#[rustfmt::skip]
const DEVICES: [Device; 18] = [
    Device { line: "Nov 20 06:25:01 web1 sshd[4721]: Failed password for root from 203.0.113.77 port 40122 ssh2",
        format: "sshd", event_type: EventType::LoginFailed, host: "web1", app: "sshd", user: "root", ..NO },
    Device { line: "<38>1 2026-11-20T06:25:01Z web1 sshd 4721 - - Failed password for root from 203.0.113.77 port 40122 ssh2",
        format: "sshd", event_type: EventType::LoginFailed, host: "web1", app: "sshd", user: "root", ..NO },
    Device { line: "<38>sshd[4721]: Failed password for root from 203.0.113.77 port 40122 ssh2",
        format: "sshd", event_type: EventType::LoginFailed, app: "sshd", user: "root", has_time: false, ..NO },
    Device { line: "<166>Nov 20 2026 06:25:01 fw1 : %ASA-4-106023: Deny tcp src outside:203.0.113.77/40122 dst inside:192.0.2.4/443 by access-group \"out\" [0x0, 0x0]",
        format: "cisco_asa", event_type: EventType::ConnectionBlocked, host: "fw1", destination: "192.0.2.4", ..NO },
    Device { line: "Nov 20 2026 06:25:01 fw1 : %ASA-4-106023: Deny tcp src outside:203.0.113.77/40122 dst inside:192.0.2.4/443 by access-group \"out\" [0x0, 0x0]",
        format: "cisco_asa", event_type: EventType::ConnectionBlocked, host: "fw1", destination: "192.0.2.4", ..NO },
    Device { line: r#"{"timestamp":"2026-11-20T06:25:01.000000+0000","flow_id":99,"event_type":"alert","src_ip":"203.0.113.77","src_port":443,"dest_ip":"192.0.2.4","dest_port":50111,"proto":"TCP","alert":{"action":"allowed","gid":1,"signature_id":2035000,"signature":"ET SCAN Example","category":"Attempted Recon","severity":2}}"#,
        format: "suricata", event_type: EventType::IdsAlert, destination: "192.0.2.4", ..NO },
    Device { line: r#"<13>Nov 20 06:25:00 ids1 suricata[77]: {"timestamp":"2026-11-20T06:25:01.000000+0000","flow_id":99,"event_type":"alert","src_ip":"203.0.113.77","src_port":443,"dest_ip":"192.0.2.4","dest_port":50111,"proto":"TCP","alert":{"action":"allowed","gid":1,"signature_id":2035000,"signature":"ET SCAN Example","category":"Attempted Recon","severity":2}}"#,
        format: "suricata", event_type: EventType::IdsAlert, host: "ids1", app: "suricata", destination: "192.0.2.4", ..NO },
    Device { line: "CEF:0|Example|Access|2.1|7|User login|6|rt=1795155901000 suser=mia src=203.0.113.77 outcome=failure reason=bad password",
        format: "cef", event_type: EventType::LoginFailed, user: "mia", ..NO },
    Device { line: "<134>Nov 20 06:25:01 gw1 CEF:0|Example|Firewall|1.0|100|Connection blocked|3|src=203.0.113.77 spt=48312 dst=192.0.2.4 dpt=23 proto=TCP act=Blocked",
        format: "cef", event_type: EventType::ConnectionBlocked, host: "gw1", destination: "192.0.2.4", ..NO },
    Device { line: "Nov 20 06:25:01 gw1 LEEF:2.0|Example|Portal|2.1|LoginFailed|^|src=203.0.113.77^usrName=mia^devTime=2026-11-20 06:25:01^sev=5^cat=Authentication",
        format: "leef", event_type: EventType::LoginFailed, host: "gw1", user: "mia", ..NO },
    Device { line: "LEEF:1.0|Example|Firewall|1.0|deny|devTime=Nov 20 2026 06:25:01\tsrc=203.0.113.77\tdst=192.0.2.4\tsrcPort=48312\tdstPort=23\tproto=TCP\taction=Denied\tsev=3",
        format: "leef", event_type: EventType::ConnectionBlocked, destination: "192.0.2.4", ..NO },
    Device { line: r#"type=USER_LOGIN msg=audit(1795155901.000:42): pid=811 uid=0 auid=4294967295 ses=4294967295 msg='op=login acct="mia" exe="/usr/sbin/sshd" hostname=? addr=203.0.113.77 terminal=ssh res=failed'"#,
        format: "auditd", event_type: EventType::AccessDenied, user: "mia", ..NO },
    Device { line: r#"node=web1 type=USER_LOGIN msg=audit(1795155901.000:42): pid=811 uid=0 auid=4294967295 ses=4294967295 msg='op=login acct="mia" exe="/usr/sbin/sshd" hostname=? addr=203.0.113.77 terminal=ssh res=failed'"#,
        format: "auditd", event_type: EventType::AccessDenied, host: "web1", user: "mia", ..NO },
    Device { line: r#"203.0.113.77 - mia [20/Nov/2026:06:25:01 +0000] "GET /login HTTP/1.1" 401 381 "-" "curl/8.5.0""#,
        format: "access", event_type: EventType::HttpRequest, user: "mia", ..NO },
    Device { line: r#"Nov 20 06:25:00 web1 nginx: 203.0.113.77 - mia [20/Nov/2026:06:25:01 +0000] "GET /login HTTP/1.1" 401 381 "-" "curl/8.5.0""#,
        format: "access", event_type: EventType::HttpRequest, host: "web1", app: "nginx", user: "mia", ..NO },
    Device { line: r#"2026/11/20 06:25:01 [error] 7#7: *1 open() "/srv/x" failed (2: No such file or directory), client: 203.0.113.77, server: _, request: "GET /x HTTP/1.1", host: "www.example.org""#,
        format: "nginx_error", event_type: EventType::HttpRequest, ..NO },
    Device { line: "1795155901.000000\tCaBcDe1fGhIj\t203.0.113.77\t48312\t192.0.2.4\t22\t2\tF\t3\tINBOUND\tSSH-2.0-Go\tSSH-2.0-OpenSSH_9.6 Debian-3\t-\t-\t-\t-\t-\t-",
        format: "zeek", event_type: EventType::LoginFailed, destination: "192.0.2.4", ..NO },
    Device { line: r#"<189>date=2026-11-20 time=06:25:01 devname="fg1" devid="FGT60F" logid="0000000013" type="traffic" subtype="forward" level="notice" vd="root" eventtime=1795155901000000000 tz="+0000" srcip=203.0.113.77 srcport=40122 dstip=192.0.2.4 dstport=23 proto=6 action="deny" policyid=7"#,
        format: "fortigate", event_type: EventType::ConnectionBlocked, host: "fg1", destination: "192.0.2.4", ..NO },
];

/// Something that passes lines on: its name, the host that it writes, what it makes of a line.
struct Wrapper {
    name: &'static str,
    host: &'static str,
    wrap: fn(&str) -> String,
}

fn json(value: serde_json::Value) -> String {
    value.to_string()
}

#[rustfmt::skip]
const WRAPPERS: [Wrapper; 26] = [
    Wrapper { name: "relay", host: "relay1", wrap: |line| format!("<13>Nov 21 07:00:00 relay1 {line}") },
    Wrapper { name: "relay with a tag", host: "relay2", wrap: |line| format!("<13>Nov 21 07:00:01 relay2 fwd[9]: {line}") },
    Wrapper { name: "relay to a file", host: "relay3", wrap: |line| format!("Nov 21 07:00:02 relay3 fwd: {line}") },
    Wrapper { name: "relay to a file of times", host: "relay4", wrap: |line| format!("2026-11-21T07:00:03.000123+00:00 relay4 {line}") },
    Wrapper { name: "5424", host: "relay5", wrap: |line| format!("<13>1 2026-11-21T07:00:04.5Z relay5 fwd 9 - - {line}") },
    Wrapper { name: "5424 with data and mark", host: "relay6", wrap: |line| format!("<13>1 2026-11-21T07:00:05Z relay6 fwd - ID1 [meta sequenceId=\"1\"] \u{feff}{line}") },
    Wrapper { name: "5424 without data", host: "relay7", wrap: |line| format!("<13>1 2026-11-21T07:00:05Z relay7 - - - {line}") },
    Wrapper { name: "PRI", host: "", wrap: |line| format!("<13>{line}") },
    Wrapper { name: "count", host: "", wrap: |line| if line.starts_with('<') { format!("{} {line}", line.len()) } else { line.to_owned() } },
    Wrapper { name: "wrong count", host: "", wrap: |line| if line.starts_with('<') { format!("7 {line}") } else { line.to_owned() } },
    Wrapper { name: "mark", host: "", wrap: |line| format!("\u{feff}{line}") },
    Wrapper { name: "CR LF", host: "", wrap: |line| format!("{line}\r\n") },
    Wrapper { name: "NUL", host: "", wrap: |line| format!("{line}\n\u{2400}") },
    Wrapper { name: "time of receipt", host: "", wrap: |line| format!("2026-11-21T07:00:06.123Z {line}") },
    Wrapper { name: "CRI", host: "", wrap: |line| format!("2026-11-21T07:00:07.123456789Z stdout F {line}") },
    Wrapper { name: "docker", host: "", wrap: |line| json(serde_json::json!({"log": format!("{line}\n"), "stream": "stdout", "time": "2026-11-21T07:00:08.123456789Z"})) },
    Wrapper { name: "journald", host: "relay8", wrap: |line| json(serde_json::json!({"__REALTIME_TIMESTAMP": "1795244409000000", "_HOSTNAME": "relay8", "SYSLOG_IDENTIFIER": "fwd", "_PID": "9", "PRIORITY": "6", "_COMM": "fwd", "_TRANSPORT": "stdout", "MESSAGE": line})) },
    Wrapper { name: "Filebeat", host: "relay9", wrap: |line| json(serde_json::json!({"@timestamp": "2026-11-21T07:00:10.000Z", "@metadata": {"beat": "filebeat", "type": "_doc", "version": "8.15.0"}, "agent": {"type": "filebeat", "name": "relay9", "version": "8.15.0", "id": "x"}, "ecs": {"version": "8.0.0"}, "input": {"type": "filestream"}, "log": {"file": {"path": "/var/log/x.log"}, "offset": 12}, "host": {"name": "relay9"}, "message": line})) },
    Wrapper { name: "Logstash", host: "relay10", wrap: |line| json(serde_json::json!({"@version": "1", "@timestamp": "2026-11-21T07:00:11.000Z", "host": {"hostname": "relay10", "ip": "198.51.100.9"}, "type": "syslog", "tags": ["_grokparsefailure"], "event": {"original": line}, "message": line})) },
    Wrapper { name: "Fluent Bit", host: "node1", wrap: |line| json(serde_json::json!({"date": 1_795_244_412.5, "log": line, "stream": "stdout", "kubernetes": {"pod_name": "x-1", "namespace_name": "default", "host": "node1", "container_name": "x", "labels": {"app": "x"}}})) },
    Wrapper { name: "Vector", host: "relay11", wrap: |line| json(serde_json::json!({"appname": "fwd", "facility": "user", "host": "relay11", "hostname": "relay11", "message": line, "procid": 9, "severity": "notice", "source_ip": "198.51.100.9", "source_type": "syslog", "timestamp": "2026-11-21T07:00:13Z", "version": 1})) },
    Wrapper { name: "GELF", host: "relay12", wrap: |line| json(serde_json::json!({"version": "1.1", "host": "relay12", "short_message": line, "timestamp": 1_795_244_414.5, "level": 6, "_container_name": "x"})) },
    Wrapper { name: "cee", host: "relay13", wrap: |line| format!("<13>Nov 21 07:00:15 relay13 fwd: @cee: {}", json(serde_json::json!({"msg": line}))) },
    Wrapper { name: "Splunk", host: "relay14", wrap: |line| json(serde_json::json!({"time": 1_795_244_416.5, "host": "relay14", "source": "/var/log/x.log", "sourcetype": "x", "index": "main", "event": line})) },
    Wrapper { name: "rsyslog", host: "relay15", wrap: |line| json(serde_json::json!({"@timestamp": "2026-11-21T07:00:17Z", "host": "relay15", "severity": "notice", "facility": "user", "syslogtag": "fwd[9]:", "message": format!(" {line}")})) },
    Wrapper { name: "syslog-ng", host: "relay16", wrap: |line| json(serde_json::json!({"PROGRAM": "fwd", "PRIORITY": "notice", "PID": "9", "MESSAGE": line, "ISODATE": "2026-11-21T07:00:18+00:00", "HOST": "relay16", "FACILITY": "user", "DATE": "Nov 21 07:00:18"})) },
];

fn wrong(device: &Device, host: &str, record: &LogRecord<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut same = |what: &str, got: &str, want: &str| {
        if got != want {
            wrong.push(format!("{what} {got:?}, not {want:?}"));
        }
    };
    let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
    let address = |ip: Option<std::net::IpAddr>| ip.map_or(String::new(), |ip| ip.to_string());
    same("format", record.format.message, device.format);
    same("event", record.event_type.as_str(), device.event_type.as_str());
    same("user", &text(&record.username), device.user);
    same("source", &address(record.src_ip), device.source);
    same("destination", &address(record.dst_ip), device.destination);
    same("host", &text(&record.host), host);
    if device.has_time {
        same("time", &record.event_time.map_or(String::new(), |time| time.to_string()), TIME);
    }
    if !device.app.is_empty() {
        same("app", &text(&record.app), device.app);
    }
    // One of the wrappers leaves it out.
    wrong.extend(record.error.iter().filter(|error| !error.contains("STRUCTURED-DATA")).map(|error| error.to_string()));
    wrong
}

/// Each device's line through each chain of up to two wrappers, and every eleventh of three, others for each device.
#[test]
fn every_chain_of_wrappers() {
    let context = Context { now: Timestamp::parse_rfc3339("2026-11-22T00:00:00Z").unwrap(), zone: &Zone::UTC, own: &[] };
    let mut failures: Vec<String> = Vec::new();
    let mut chains: Vec<Vec<&Wrapper>> = vec![Vec::new()];
    for length in 0..3 {
        let longer: Vec<_> = chains.iter().filter(|chain| chain.len() == length).cloned().collect();
        for chain in longer {
            chains.extend(WRAPPERS.iter().map(|wrapper| chain.iter().copied().chain([wrapper]).collect()));
        }
    }
    let mut count = 0;
    for (nth, device) in DEVICES.iter().enumerate() {
        for chain in
            chains.iter().enumerate().filter(|(at, chain)| chain.len() < 3 || (at + nth) % 11 == 0).map(|(_, chain)| chain)
        {
            count += 1;
            let (mut line, mut host) = (device.line.to_owned(), device.host);
            for wrapper in chain {
                line = (wrapper.wrap)(&line);
                host = if host.is_empty() { wrapper.host } else { host };
            }
            let wrong = wrong(device, host, &parse(&line, &context));
            if !wrong.is_empty() {
                let names: Vec<&str> = chain.iter().map(|wrapper| wrapper.name).collect();
                failures.push(format!("{}: {}\n    {line}", names.join(", "), wrong.join("; ")));
            }
        }
    }
    let shown: Vec<&str> = failures.iter().step_by(failures.len() / 24 + 1).map(String::as_str).collect();
    assert!(failures.is_empty(), "{} of {count}\n{}", failures.len(), shown.join("\n"));
}

/// What could be taken for a header, and is a program's own words.
#[test]
fn what_a_program_says_is_no_header() {
    let context = Context { now: Timestamp::parse_rfc3339("2026-11-22T00:00:00Z").unwrap(), zone: &Zone::UTC, own: &[] };
    for (line, host, app) in [
        ("Nov 21 07:00:00 db1 mysqld[9]: 2026-11-20T06:25:01.000000Z 12 [Note] worker: done", "db1", "mysqld"),
        ("Nov 21 07:00:00 web1 shop[9]: 2026-11-20 06:25:01 worker done: all", "web1", "shop"),
        ("Nov 21 07:00:00 web1 shop[9]: 2026-11-20 06:25:01 ERROR pool: empty", "web1", "shop"),
        ("Nov 21 07:00:00 web1 shop[9]: 12 <34> and more", "web1", "shop"),
        ("Nov 21 07:00:00 web1 shop[9]: <192>Nov 20 06:25:01 web2 sshd[1]: x", "web1", "shop"),
    ] {
        let record = parse(line, &context);
        assert_eq!((record.host.as_deref(), record.app.as_deref()), (Some(host), Some(app)), "{line}");
    }
}

/// Objects that collectors took in whole.
#[test]
fn objects_in_objects() {
    let context = Context { now: Timestamp::parse_rfc3339("2026-11-22T00:00:00Z").unwrap(), zone: &Zone::UTC, own: &[] };
    let eve = DEVICES.iter().find(|device| device.line.starts_with('{')).unwrap();
    for line in [
        format!(r#"{{"time":1795244416.5,"host":"web1","sourcetype":"suricata","event":{}}}"#, eve.line),
        format!(r#"{{"@timestamp":"2026-11-21T07:00:10.000Z","host":{{"name":"web1"}},"json":{}}}"#, eve.line),
        format!(r#"<13>Nov 21 07:00:00 web1 fwd: {{"log_processed":{}}}"#, eve.line),
    ] {
        assert_eq!(wrong(eve, "web1", &parse(&line, &context)), [""; 0], "{line}");
    }
    let other = parse(r#"{"event":{"kind":"x"},"user":"mia"}"#, &context);
    assert_eq!((other.username.as_deref(), other.field("event.kind")), (Some("mia"), Some(&"x".into())));
}

/// Hosts that passed a line on are kept.
#[test]
fn relays_are_kept() {
    let context = Context { now: Timestamp::parse_rfc3339("2026-11-22T00:00:00Z").unwrap(), zone: &Zone::UTC, own: &[] };
    let line = "<13>Nov 21 07:00:00 relay1 <13>1 2026-11-21T07:00:00Z relay2 - - - - <38>Nov 20 06:25:01 web1 sshd[1]: x";
    let record = parse(line, &context);
    assert_eq!((record.host.as_deref(), record.field("log.relay")), (Some("web1"), Some(&"relay1, relay2".into())));
    assert_eq!((record.app.as_deref(), record.pid, &*record.message), (Some("sshd"), Some(1), "x"));
}

/// However deep it is, a line is read in time that grows with its length only, and what is too deep stays text.
#[test]
fn depth_is_bounded() {
    let context = Context { now: Timestamp::parse_rfc3339("2026-11-22T00:00:00Z").unwrap(), zone: &Zone::UTC, own: &[] };
    for wrapped in
        ["<13>", "<13>Nov 21 07:00:00 h ", "9 <13>", "\u{feff}", "2026-11-21T07:00:07Z stdout F ", "2026-11-21T07:00:07Z "]
    {
        let line = format!("{}x", wrapped.repeat(50_000));
        assert!(parse(&line, &context).message.ends_with('x'));
    }
    let mut line = "Nov 20 06:25:01 web1 sshd[1]: x".to_owned();
    for _ in 0..14 {
        line = json(serde_json::json!({ "log": line }));
    }
    assert_eq!(parse(&line, &context).app, None);
}
