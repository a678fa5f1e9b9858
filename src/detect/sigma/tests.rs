//! Rules as operators write them, held against records.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::Rules;
use crate::detect::{Engine, Options};
use crate::parse;
use crate::record::incident::IncidentChange;
use crate::record::{EventType, LogRecord, Severity, Timestamp, Zone};

fn read(text: &str) -> (Rules, Vec<String>) {
    let (rules, problems) = Rules::read([(Path::new("r.yml"), text)]);
    (rules, problems.iter().map(|p| p.to_string()).collect())
}

fn good(text: &str) -> Rules {
    let (rules, problems) = read(text);
    assert_eq!(problems, Vec::<String>::new(), "{text}");
    rules
}

/// A rule with this detection, about everything that has a program.
fn rule(detection: &str) -> String {
    let detection = detection.lines().map(|l| format!("    {l}\n")).collect::<String>();
    format!("title: T\nlogsource:\n    category: application\ndetection:\n{detection}")
}

fn matches(detection: &str, record: &LogRecord<'_>) -> bool {
    let mut matched = Vec::new();
    good(&rule(detection)).matching(record, &mut matched);
    !matched.is_empty()
}

/// A record with something in every kind of place.
fn record() -> LogRecord<'static> {
    let mut record = LogRecord::text("Failed password for Jürgen from 192.0.2.7 port 4242 ssh2");
    record.app = Some("sshd-session".into());
    record.host = Some("web1".into());
    record.event_type = EventType::LoginFailed;
    record.severity = Severity::Medium;
    record.username = Some("Jürgen".into());
    record.src_ip = Some("192.0.2.7".parse().unwrap());
    record.src_port = Some(4242);
    record.set("http.response.status_code", 404i64);
    record.set("url.original", "/Admin/login.php?id=1%27--");
    record.set("process.command_line", r"C:\Windows\System32\cmd.exe /c whoami");
    record.set("empty", "");
    record.set("flag", true);
    record.set("tags", crate::record::Value::Json(r#"["alpha", "beta", 7, null]"#.into()));
    record
}

#[test]
fn searches_find_what_the_specification_says() {
    let record = record();
    for (search, want) in [
        // Text: case does not matter, wildcards do.
        ("user.name: jÜRGEN", true),
        ("user.name|cased: jürgen", false),
        ("username: 'J?rgen'", true),
        ("username: 'J??rgen'", false),
        ("User|startswith: jür", true),
        ("User|endswith: GEN", true),
        ("User|contains: rge", true),
        ("User|contains|cased: RGE", false),
        ("User: [root, jürgen]", true),
        ("message|contains|all: [password, port]", true),
        ("message|contains|all: [password, absent]", false),
        ("CommandLine|contains: 'system32\\cmd'", true),
        ("CommandLine: 'C:\\\\*whoami'", true),
        ("CommandLine: 'C:\\*whoami'", false),
        ("CommandLine|contains|windash: ' -c '", true),
        ("CommandLine|contains: ' -c '", false),
        // Addresses, numbers, truths.
        ("src_ip: 192.0.2.7", true),
        ("source.ip|cidr: 192.0.2.0/24", true),
        ("source.ip|cidr: [10.0.0.0/8, 192.168.0.0/16]", false),
        ("c-ip|startswith: '192.0.2.'", true),
        ("sc-status: 404", true),
        ("sc-status: '4*'", true),
        ("sc-status|gte: 400", true),
        ("sc-status|lt: 400", false),
        ("src_port: '4242'", true),
        ("flag: true", true),
        ("flag: false", false),
        // Lists.
        ("tags: beta", true),
        ("tags: 7", true),
        ("tags: null", true),
        ("tags|contains|all: [alph, bet]", true),
        // What is there and what is not.
        ("empty: ''", true),
        ("empty|exists: true", true),
        ("missing|exists: true", false),
        ("missing|exists: false", true),
        ("missing: null", true),
        ("username: null", false),
        ("missing: ''", false),
        ("User|neq: root", true),
        ("User|neq: jürgen", false),
        // Expressions.
        ("cs-uri|re: '^/Admin/.*\\.php'", true),
        ("cs-uri|re: '^/admin/'", false),
        ("cs-uri|re|i: '^/admin/'", true),
        // Fields of each other.
        ("username|fieldref: user.name", true),
        ("message|fieldref|contains: src_ip", true),
        ("host|fieldref: username", false),
        // From the event type.
        ("{event.category: authentication, event.outcome: failure}", true),
        ("{event.category: authentication, event.outcome: success}", false),
        ("event_type: login_failed", true),
    ] {
        let search = search
            .strip_prefix('{')
            .and_then(|s| s.strip_suffix('}'))
            .map_or(format!("s: {{{search}}}"), |s| format!("s: {{{s}}}"));
        assert_eq!(matches(&format!("{search}\ncondition: s"), &record), want, "{search}");
    }
    // Keywords: anywhere in the record.
    for (keywords, want) in [
        ("k: ['failed PASSWORD']", true),
        ("k: ['nothing', 'id=1%27']", true),
        ("k: ['fail*port']", true),
        ("k:\n  '|all': ['failed', 'admin']", true),
        ("k:\n  '|all': ['failed', 'absent']", false),
        ("k:\n  - User: root\n  - sc-status: 404", true),
        ("k: 4242", true),
    ] {
        assert_eq!(matches(&format!("{keywords}\ncondition: k"), &record), want, "{keywords}");
    }
}

#[test]
fn encoded_text_is_found() {
    let mut record = record();
    // "cmd /c whoami && http://evil" in UTF-16LE behind two other characters, in base64.
    record.set("process.command_line", "powershell -enc eHgAYwBtAGQAIAAvAGMAIAB3AGgAbwBhAG0AaQA=");
    assert!(matches("s:\n  CommandLine|wide|base64offset|contains: 'whoami'\ncondition: s", &record));
    record.set("process.command_line", "echo d2hvYW1p | base64 -d");
    assert!(matches("s:\n  CommandLine|base64|contains: 'whoami'\ncondition: s", &record));
    assert!(!matches("s:\n  CommandLine|base64|contains: 'whoareyou'\ncondition: s", &record));
}

#[test]
fn what_cannot_be_used_is_told_with_its_line() {
    let correlation = |body: &str| {
        format!(
            "title: T\nname: t\nlogsource: {{product: linux}}\ndetection: {{s: {{User: x}}, condition: s}}\n---\ntitle: C\ncorrelation:\n{body}"
        )
    };
    for (text, want) in [
        ("title: [", "r.yml:"),
        ("- a\n- b", "r.yml:1: a rule is a map"),
        ("logsource: {}\n", "r.yml:1: the rule has no title"),
        ("title: T\n", "neither a detection nor a correlation"),
        ("title: T\ndetection: {s: {a: b}, condition: s}", "no logsource"),
        (&rule("s: {a: b}\ncondition: t"), "r.yml:6: the condition names \"t\""),
        (&rule("s: {a: b}"), "has no condition"),
        (&rule("s:\n  a|explode: b\ncondition: s"), "r.yml:6: there is no modifier \"explode\""),
        (&rule("s:\n  a|re: '(?=x)'\ncondition: s"), "look-around"),
        (&rule("s:\n  a|re: '(x'\ncondition: s"), "no regular expression"),
        (&rule("s:\n  a|cidr: 10.0.0.0/99\ncondition: s"), "cidr takes a network"),
        (&rule("s:\n  a|gt: many\ncondition: s"), "takes a number"),
        (&rule("s:\n  a|expand: '%admins%'\ncondition: s"), "not supported"),
        (&rule("s:\n  a|wide: x\ncondition: s"), "let base64"),
        (&rule("s:\n  a|base64: 'x*'\ncondition: s"), "wildcards"),
        (&rule("s:\n  a: [[b]]\ncondition: s"), "a value is text"),
        (&rule("s: {a: b}\na: {a: b}\ns: {a: c}\ncondition: s"), "duplicated key"),
        (&rule("s: {a: b}\ntimeframe: 5m\ncondition: s"), "write a correlation rule"),
        ("title: T\nlevel: bad\nlogsource: {}\ndetection: {s: {a: b}, condition: s}", "r.yml:2: level is"),
        (
            "title: T\nlogsource: {product: windows}\ndetection: {s: {a: b}, condition: s}",
            "logs of windows are not understood yet",
        ),
        ("title: T\nlogsource: {produkt: linux}\ndetection: {s: {a: b}, condition: s}", "not \"produkt\""),
        ("title: brute force\nlogsource: {product: linux}\ndetection: {s: {a: b}, condition: s}", "always there"),
        (
            &correlation("    type: event_count\n    rules: [u]\n    timespan: 5m\n    condition: {gte: 3}"),
            "no rule with the name or id \"u\"",
        ),
        (
            &correlation("    type: event_count\n    rules: [t]\n    timespan: 5 min\n    condition: {gte: 3}"),
            "r.yml:10: timespan is",
        ),
        (&correlation("    type: event_count\n    rules: [t]\n    timespan: 30d\n    condition: {gte: 3}"), "between 1s and 7d"),
        (&correlation("    type: event_count\n    rules: [t]\n    timespan: 5m"), "has no condition"),
        (&correlation("    type: event_count\n    rules: [t]\n    timespan: 5m\n    condition: {lt: 3}"), "a count only grows"),
        (&correlation("    type: event_count\n    rules: [t]\n    timespan: 5m\n    condition: {gte: 5000}"), "1 to 1000 events"),
        (&correlation("    type: value_count\n    rules: [t]\n    timespan: 5m\n    condition: {gte: 3}"), "needs a field"),
        (&correlation("    type: temporal_ordered\n    rules: [t]\n    timespan: 5m"), "is not supported"),
        (
            &correlation("    type: event_count\n    rules: [c]\n    timespan: 5m\n    condition: {gte: 3}"),
            "a correlation itself",
        ),
        (&correlation("    typo: event_count\n"), "r.yml:8: a correlation has no \"typo\""),
    ] {
        let (_, problems) = read(text);
        assert!(problems.iter().any(|p| p.contains(want)), "{want}: {problems:?}\n{text}");
    }
    let (rules, problems) = Rules::read([
        (Path::new("a.yml"), rule("s: {a: b}\ncondition: s").as_str()),
        (Path::new("b.yml"), rule("s: {a: c}\ncondition: s").as_str()),
    ]);
    assert_eq!((rules.len(), problems[0].to_string().contains("in a.yml:1")), (1, true), "{problems:?}");
}

#[test]
fn logsources_tell_records_apart() {
    let mut web = LogRecord::text("GET / 200");
    web.event_type = EventType::HttpRequest;
    let mut asa = LogRecord::text("%ASA-4-106023: Deny tcp src outside:192.0.2.1/1 dst inside:10.0.0.1/22");
    asa.event_type = EventType::ConnectionBlocked;
    let (ssh, own) = (record(), LogRecord { app: Some("MyApp".into()), ..LogRecord::text("x") });
    for (source, want) in [
        ("product: linux\n  service: sshd", [true, false, false, false]),
        ("product: linux\n  service: auth", [true, false, false, false]),
        ("product: linux", [true, false, false, true]),
        ("category: webserver", [false, true, false, false]),
        ("category: firewall", [false, false, true, false]),
        ("product: cisco\n  service: asa", [false, false, true, false]),
        ("service: myapp", [false, false, false, true]),
        ("category: application\n  product: myapp\n  definition: ours", [false, false, false, true]),
        ("category: authentication", [true, false, false, false]),
    ] {
        let rules = good(&format!("title: T\nlogsource:\n  {source}\ndetection:\n  s: {{message: '*'}}\n  condition: s"));
        let got = [&ssh, &web, &asa, &own].map(|record| {
            let mut matched = Vec::new();
            rules.matching(record, &mut matched);
            !matched.is_empty()
        });
        assert_eq!(got, want, "{source}");
    }
}

fn replayed(rules: &str, lines: &str) -> Vec<IncidentChange> {
    let mut engine = Engine::with_rules(Options::default(), Arc::new(good(rules)));
    let now = Timestamp::parse_rfc3339("2026-02-01T00:00:00Z").unwrap();
    for (n, line) in lines.lines().enumerate() {
        let text = parse::text(line.as_bytes());
        let record = parse::parse(&text, &parse::Context { now, zone: &Zone::UTC, own: &[] });
        engine.observe(&record, n as i64 + 1, record.event_time.unwrap_or(now));
    }
    engine.take_changes().into_iter().filter(|c| c.raised_by.detector().is_none()).collect()
}

const SSH: &str = "\
    2026-01-02T03:04:00Z web1 sshd[1]: Accepted password for alice from 198.51.100.4 port 1 ssh2\n\
    2026-01-02T03:04:10Z web1 sshd[2]: Accepted password for bob from 198.51.100.4 port 2 ssh2\n\
    2026-01-02T03:04:20Z web1 sshd[3]: Accepted publickey for bob from 198.51.100.4 port 3 ssh2: ED25519 SHA256:x\n\
    2026-01-02T03:04:30Z web1 sshd[4]: Accepted password for carol from 198.51.100.4 port 4 ssh2\n\
    2026-01-02T03:20:00Z web1 sshd[5]: Accepted password for dave from 203.0.113.9 port 5 ssh2\n";

const LOGIN: &str = "title: Login\nname: login\nlevel: informational\nlogsource: {product: linux, service: sshd}\n\
    detection:\n  s: {event_type: login_success}\n  condition: s\n";

#[test]
fn a_rule_on_single_events_raises_each() {
    let rule = "title: Password login\ndescription: Keys only here.\nlevel: high\ntags: [attack.initial-access, attack.t1078.003]\n\
        logsource: {product: linux, service: sshd}\ndetection:\n  s:\n    message|startswith: Accepted password\n  condition: s\n";
    let found = replayed(rule, SSH);
    let shown: Vec<_> = found.iter().map(|c| (c.raised_by.name(), c.group.to_string(), c.events, c.evidence.len())).collect();
    assert_eq!(
        shown,
        [("password_login", "src_ip=198.51.100.4".to_owned(), 3, 3), ("password_login", "src_ip=203.0.113.9".to_owned(), 1, 1)]
    );
    let first = &found[0];
    assert_eq!(
        (first.severity, first.raised_by.technique(), first.raised_by.category()),
        (Severity::High, Some("T1078.003"), "intrusion-attempts")
    );
    assert_eq!(first.usernames.iter().map(|u| &**u).collect::<Vec<_>>(), ["alice", "bob", "carol"]);
    assert_eq!(crate::detect::incidents::title(&first.raised_by, &first.group), "Password login from 198.51.100.4");
}

#[test]
fn correlations_count_events_values_and_rules() {
    let correlation = |body: &str| format!("{LOGIN}---\ntitle: C\nlevel: high\ncorrelation:\n  rules: [login]\n{body}");
    let shown = |rules: &str| -> Vec<(String, u64, usize, usize)> {
        replayed(rules, SSH).iter().map(|c| (c.group.to_string(), c.events, c.usernames.len(), c.values.len())).collect()
    };
    let by_ip = "  group-by: [src_ip]\n  timespan: 5m\n";
    assert_eq!(
        shown(&correlation(&format!("  type: event_count\n{by_ip}  condition: {{gte: 4}}"))),
        [("src_ip=198.51.100.4".to_owned(), 4, 3, 0)]
    );
    assert_eq!(shown(&correlation(&format!("  type: event_count\n{by_ip}  condition: {{gt: 4}}"))), []);
    assert_eq!(
        shown(&correlation(&format!("  type: value_count\n{by_ip}  condition: {{field: user.name, gte: 3}}"))),
        [("src_ip=198.51.100.4".to_owned(), 4, 3, 0)]
    );
    assert_eq!(
        shown(&correlation("  type: value_count\n  timespan: 1h\n  condition: {field: src_ip, gte: 2}")),
        [("all".to_owned(), 5, 0, 2)]
    );
    assert_eq!(
        shown(&correlation("  type: event_count\n  group-by: [src_ip, user.name]\n  timespan: 5m\n  condition: {gte: 2}")),
        [("src_ip=198.51.100.4,user.name=bob".to_owned(), 2, 1, 0)]
    );
    let temporal = "title: Key\nname: key\nlogsource: {service: sshd}\ndetection: {s: {message|contains: publickey}, condition: s}\n---\n\
        title: Password\nname: password\nlogsource: {service: sshd}\ndetection: {s: {message|contains: Accepted password}, condition: s}\n---\n\
        title: Both\ncorrelation:\n  type: temporal\n  rules: [key, password]\n  group-by: [who]\n  aliases:\n    who: {key: user.name, password: username}\n  timespan: 1m\n";
    assert_eq!(shown(temporal), [("who=bob".to_owned(), 2, 0, 2)]);
    // With `generate`, the rules that it counts raise incidents of their own, too.
    let generated = temporal.replace("type: temporal", "type: temporal\n  generate: true");
    assert_eq!(
        replayed(&generated, SSH).iter().map(|c| c.raised_by.name()).collect::<Vec<_>>(),
        ["password", "key", "both", "password"]
    );
}

#[test]
fn values_of_any_length_are_told_apart() {
    let long = "x".repeat(500);
    let lines: String = (0..3)
        .map(|n| format!("2026-01-02T03:04:0{n}Z web1 sshd[{n}]: Accepted password for {long}{n} from 192.0.2.1 port 1 ssh2\n"))
        .collect();
    let rules = format!(
        "{LOGIN}---\ntitle: C\ncorrelation:\n  rules: [login]\n  type: value_count\n  timespan: 5m\n  condition: {{field: user.name, gte: 3}}"
    );
    let found = replayed(&rules, &lines);
    assert_eq!(found.iter().map(|c| (c.events, c.usernames.len())).collect::<Vec<_>>(), [(3, 3)]);
    assert!(found[0].usernames.iter().all(|u| u.len() <= 128));
}

proptest! {
    /// A correlation counts an event iff some window holds it and enough of its group, whatever the order of arrival.
    #[test]
    fn correlations_equal_a_naive_count(
        events in prop::collection::vec((0i64..400, 0u8..3, 0u8..5), 0..60),
        threshold in 1u32..6,
        distinct in any::<bool>(),
    ) {
        let condition = if distinct { format!("{{field: user.name, gte: {threshold}}}") } else { format!("{{gte: {threshold}}}") };
        let kind = if distinct { "value_count" } else { "event_count" };
        let rules = good(&format!("{LOGIN}---\ntitle: C\ncorrelation:\n  rules: [login]\n  type: {kind}\n  group-by: [host]\n  timespan: 60s\n  condition: {condition}"));
        let mut engine = Engine::with_rules(Options { lateness_micros: 3_600_000_000, ..Options::default() }, Arc::new(rules));
        let mut got = std::collections::BTreeMap::<String, (u64, Vec<i64>)>::new();
        for (n, (time, host, user)) in events.iter().enumerate() {
            let mut record = record();
            record.event_type = EventType::LoginSuccess;
            record.host = Some(format!("h{host}").into());
            record.username = Some(format!("u{user}").into());
            engine.observe(&record, n as i64, Timestamp::from_secs(1_000_000 + time));
            if n % 7 == 0 || n + 1 == events.len() {
                for change in engine.take_changes().into_iter().filter(|c| c.raised_by.detector().is_none()) {
                    let sum = got.entry(change.group.to_string()).or_default();
                    sum.0 += change.events;
                    sum.1.extend(change.evidence.iter().map(|(_, id, _)| *id));
                }
            }
        }
        let mut want = std::collections::BTreeMap::<String, (u64, Vec<i64>)>::new();
        for (n, (time, host, _)) in events.iter().enumerate() {
            let belongs = events.iter().filter(|e| e.1 == *host).any(|start| {
                let inside = |e: &&(i64, u8, u8)| e.1 == *host && e.0 >= start.0 && e.0 < start.0 + 60;
                let size = if distinct {
                    events.iter().filter(inside).map(|e| e.2).collect::<std::collections::BTreeSet<_>>().len()
                } else {
                    events.iter().filter(inside).count()
                };
                inside(&&(*time, *host, 0)) && size >= threshold as usize
            });
            if belongs {
                let sum = want.entry(format!("host=h{host}")).or_default();
                sum.0 += 1;
                sum.1.push(n as i64);
            }
        }
        for sum in got.values_mut() {
            sum.1.sort_unstable();
        }
        prop_assert_eq!(got, want);
    }

    #[test]
    fn no_text_panics(text in "(?s).{0,400}", tail in "[a-z:|{}\\[\\]'\"\n -]{0,200}") {
        let _ = Rules::read([(Path::new("r.yml"), text.as_str())]);
        let _ = Rules::read([(Path::new("r.yml"), rule(&tail).as_str())]);
    }
}
