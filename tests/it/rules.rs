//! Sigma rules: those that come with the project, and those of an operator, in a running daemon.

use std::path::Path;
use std::process::Command;

use tocsin::record::Timestamp;

use crate::support::{Daemon, Database, bsd_time, send_tcp, state_dir, tocsin};

/// Lines that should set off a rule of `config/rules`, and the rule.
fn samples() -> Vec<(&'static str, String)> {
    let scan = |to: fn(u32) -> String| -> String {
        let line = |n: u32| {
            format!("Jan  2 03:06:{n:02} fw kernel: [UFW BLOCK] IN=eth0 OUT= SRC=203.0.113.5 {} LEN=40 PROTO=TCP SPT=1", to(n))
        };
        (0..20).map(|n| line(n).replace("SPT=1", &format!("SPT=1 DPT={}", if to(1) == to(2) { n } else { 22 })) + " \n").collect()
    };
    let request = |uri: &str, status: u32| {
        format!("198.51.100.9 - - [02/Jan/2026:03:05:00 +0000] \"GET {uri} HTTP/1.1\" {status} 1 \"-\" \"curl/8\"\n")
    };
    vec![
        (
            "ssh_root_password",
            "Jan  2 03:04:00 web1 sshd[1]: Accepted password for root from 198.51.100.4 port 1 ssh2\n".to_owned(),
        ),
        (
            "ssh_account_roams",
            (0..4)
                .map(|n| {
                    format!("Jan  2 03:{n}0:00 web1 sshd[{n}]: Accepted publickey for bob from 192.0.2.{n} port 1 ssh2: RSA x\n")
                })
                .collect(),
        ),
        ("port_scan", scan(|_| "DST=10.0.0.1".to_owned())),
        ("network_sweep", scan(|n| format!("DST=10.0.0.{n}"))),
        ("web_traversal", request("/a.php?f=../../../etc/shadow", 200)),
        ("web_sql_injection", request("/a.php?id=1%20UNION%20SELECT%20password", 200)),
        ("web_scanner", request("/nothing/here", 404).repeat(50)),
        ("linux_admin_granted", "Jan  2 03:04:10 web1 usermod[2]: add 'mallory' to group 'sudo'\n".to_owned()),
        ("linux_logging_stopped", "Jan  2 03:04:20 web1 systemd[1]: Stopped System Logging Service.\n".to_owned()),
        (
            "linux_sudo_refused",
            "Jan  2 03:04:20 web1 sudo:      bob : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh\n"
                .to_owned(),
        ),
    ]
}

fn replay(rules: &Path, lines: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("lines.log");
    std::fs::write(&log, lines).unwrap();
    let output = Command::new(tocsin()).arg("replay").arg("--json").arg("--rules").arg(rules).arg(&log).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let name = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["detector"].as_str().unwrap().to_owned();
    text.lines().map(name).collect()
}

#[test]
fn each_rule_that_comes_with_the_project_finds_what_it_is_for_and_nothing_else() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rules");
    for (rule, lines) in samples() {
        assert_eq!(replay(&rules, &lines), [rule], "{lines}");
    }
    let output = Command::new(tocsin()).arg("check").arg("--rules").arg(&rules).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // Every rule that raises incidents has a sample.
    let (read, _) = tocsin::config::rules::load(&rules).unwrap();
    let blocks = ["ssh_login", "blocked_connection", "web_refused"];
    let mut names: Vec<&str> = read.about().map(|about| about.name.as_str()).filter(|name| !blocks.contains(name)).collect();
    let mut sampled: Vec<&str> = samples().iter().map(|(rule, _)| *rule).collect();
    names.sort_unstable();
    sampled.sort_unstable();
    assert_eq!(names, sampled);
}

#[test]
fn what_is_wrong_with_rules_is_told_and_the_others_work() {
    let dir = tempfile::tempdir().unwrap();
    let rule = |title: &str, modifier: &str| {
        format!(
            "title: {title}\nlogsource: {{product: linux}}\ndetection:\n  s:\n    message|{modifier}: secret\n  condition: s\n"
        )
    };
    std::fs::create_dir(dir.path().join("more")).unwrap();
    std::fs::write(dir.path().join("good.yml"), rule("Good", "contains")).unwrap();
    std::fs::write(dir.path().join("more/bad.yaml"), rule("Bad", "within")).unwrap();
    std::fs::write(dir.path().join("README.txt"), "not a rule").unwrap();
    let run = |arguments: &[&str]| Command::new(tocsin()).args(arguments).output().unwrap();
    let path = dir.path().to_str().unwrap();
    let output = run(&["check", "--rules", path]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(errors.contains("more/bad.yaml:5: there is no modifier \"within\""), "{errors}");
    let log = dir.path().join("lines.log");
    std::fs::write(&log, "Jan  2 03:04:10 web1 app[2]: the SECRET word\n").unwrap();
    let output = run(&["replay", "--json", "--rules", path, log.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("left out: "));
    for nothing in ["/nonexistent", log.to_str().unwrap()] {
        assert_eq!(run(&["replay", "--rules", nothing, log.to_str().unwrap()]).status.code(), Some(2));
        assert_eq!(run(&["check", "--rules", nothing]).status.code(), Some(2));
    }
}

#[tokio::test]
async fn what_a_rule_waits_for_may_straddle_a_restart() {
    let (database, state, rules) = (Database::new().await, state_dir(), tempfile::tempdir().unwrap());
    let text = "title: Door\nname: door\nlevel: informational\nlogsource: {service: doord}\ndetection:\n  s:\n    message|startswith: opened\n  condition: s\n\
        ---\ntitle: Restless door\nlevel: high\ntags: [attack.t1078]\ncorrelation:\n  type: event_count\n  rules: [door]\n  group-by: [host]\n  timespan: 30m\n  condition: {gte: 5}\n\
        ---\ntitle: Forced door\nlevel: critical\nlogsource: {service: doord}\ndetection:\n  s:\n    message|startswith: forced\n  condition: s\n";
    std::fs::write(rules.path().join("doors.yml"), text).unwrap();
    let configuration = format!(
        "[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\ntimezone = \"UTC\"\n[detect]\nrules = {:?}\n",
        database.url(),
        rules.path()
    );
    let base = Timestamp::now().plus_micros(-3_600_000_000);
    let line = |n: i64, text: &str| format!("<13>{} gate doord[1]: {text}\n", bsd_time(base, n * 60));
    let daemon = Daemon::start(state.path(), &configuration).await;
    let first: String = (0..4).map(|n| line(n, "opened")).chain([line(4, "forced")]).collect();
    send_tcp(daemon.tcp(), first.as_bytes()).await.unwrap();
    database.wait_for("SELECT count(*) FROM logs", 5).await;
    database.wait_for("SELECT count(*) FROM incidents", 1).await;
    assert_eq!(daemon.stop().await.0, Some(0));

    let daemon = Daemon::start(state.path(), &configuration).await;
    let second: String = (5..7).map(|n| line(n, "opened")).chain([line(7, "forced")]).collect();
    send_tcp(daemon.tcp(), second.as_bytes()).await.unwrap();
    database.wait_for("SELECT count(*) FROM logs", 8).await;
    database.wait_for("SELECT count(*) FROM incidents", 2).await;
    let found = database
        .column(
            "SELECT concat_ws('|', detector, title, severity, group_key, event_count, technique, category, \
                 (SELECT count(*) FROM incident_evidence e WHERE e.incident_id = i.id)) FROM incidents i ORDER BY detector",
        )
        .await;
    assert_eq!(
        found,
        [
            "forced_door|Forced door on gate|critical|host.name=gate|2|other|2",
            "restless_door|Restless door on gate|high|host=gate|6|T1078|other|6",
        ]
    );
    assert_eq!(daemon.stop().await.0, Some(0));
}
