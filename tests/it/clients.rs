//! Programs that people already run: util-linux `logger`, rsyslog, curl.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Daemon, Database, state_dir};

fn run(command: &mut Command) {
    let output =
        command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}; the README says what the tests need"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn daemon() -> (Database, tempfile::TempDir, Daemon) {
    let (database, state) = (Database::new().await, state_dir());
    let configuration = format!(
        "[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\nudp = \"127.0.0.1:0\"\ntcp = \"127.0.0.1:0\"\n\
         [[webhook]]\nname = \"hook\"\nhmac_secret = \"k\"\n",
        database.url()
    );
    let daemon = Daemon::start(state.path(), &configuration).await;
    (database, state, daemon)
}

#[tokio::test]
async fn logger_in_all_its_ways() {
    let (database, _state, daemon) = daemon().await;
    let (udp, tcp) = (daemon.udp().port().to_string(), daemon.tcp().port().to_string());
    let ways: [(&str, &[&str]); 6] = [
        ("udp rfc3164", &["--udp", "--rfc3164"]),
        ("udp rfc5424", &["--udp", "--rfc5424"]),
        ("tcp rfc3164", &["--tcp", "--rfc3164"]),
        ("tcp rfc5424", &["--tcp", "--rfc5424"]),
        ("tcp octets rfc3164", &["--tcp", "--octet-count", "--rfc3164"]),
        ("tcp octets rfc5424", &["--tcp", "--octet-count", "--rfc5424"]),
    ];
    for (name, flags) in ways {
        let port = if flags[0] == "--udp" { &udp } else { &tcp };
        let message = format!("sent {name}");
        run(Command::new("logger").args(flags).args([
            "--server",
            "127.0.0.1",
            "--port",
            port,
            "--tag",
            "tester",
            "--id=77",
            "-p",
            "auth.notice",
            &message,
        ]));
    }
    database.wait_for("SELECT count(*) FROM logs", ways.len() as i64).await;
    let mut want: Vec<String> = ways.iter().map(|(name, _)| format!("sent {name}|tester|77|4|5")).collect();
    want.sort();
    let got = database
        .column("SELECT concat_ws('|', message, app, pid, fields->'log.syslog.facility.code', fields->'log.syslog.severity.code') FROM logs ORDER BY message")
        .await;
    assert_eq!(got, want);
    assert_eq!(
        database
            .number("SELECT count(*) FROM logs WHERE host IS NULL OR abs(extract(epoch FROM received_at - event_time)) > 60")
            .await,
        0
    );
}

/// rsyslog, reading lines from a file and forwarding them; ends when it is dropped.
struct Rsyslog(std::process::Child);

impl Rsyslog {
    fn start(dir: &Path, to: SocketAddr, framing: &str) -> (Rsyslog, PathBuf) {
        let input = dir.join(format!("in-{framing}.log"));
        std::fs::write(&input, "").unwrap();
        let work = dir.join(format!("work-{framing}"));
        std::fs::create_dir(&work).unwrap();
        let configuration = dir.join(format!("{framing}.conf"));
        let text = format!(
            "global(workDirectory=\"{work}\")\nmodule(load=\"imfile\" mode=\"inotify\")\n\
             input(type=\"imfile\" file=\"{input}\" tag=\"forwarded:\" readMode=\"0\")\n\
             action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" protocol=\"tcp\" TCP_Framing=\"{framing}\" template=\"RSYSLOG_SyslogProtocol23Format\")\n",
            work = work.display(),
            input = input.display(),
            port = to.port()
        );
        std::fs::write(&configuration, text).unwrap();
        let mut command = Command::new("rsyslogd");
        // It is with the programs for administrators, which users do not have in their PATH.
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        command.arg("-n").arg("-f").arg(&configuration).arg("-i").arg(dir.join(format!("{framing}.pid")));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        (Rsyslog(child.expect("rsyslogd starts; the README says what the tests need")), input)
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn rsyslog_with_both_framings() {
    let (database, state, daemon) = daemon().await;
    for framing in ["traditional", "octet-counted"] {
        let (_rsyslog, input) = Rsyslog::start(state.path(), daemon.tcp(), framing);
        let lines: String = (0..500).map(|i| format!("{framing} line {i} {{\"a\": \"ü\"}}\n")).collect();
        std::fs::write(&input, lines).unwrap();
        database
            .wait_for(
                &format!("SELECT count(DISTINCT message) FROM logs WHERE app = 'forwarded' AND message LIKE '{framing} line %'"),
                500,
            )
            .await;
        assert_eq!(database.number(&format!("SELECT count(*) FROM logs WHERE message LIKE '{framing} line %'")).await, 500);
    }
}

#[tokio::test]
async fn curl_with_a_signature_and_gzip() {
    let (database, state, daemon) = daemon().await;
    let body = state.path().join("events.json");
    std::fs::write(&body, "[{\"message\":\"by curl\"}]").unwrap();
    run(Command::new("gzip").arg("-k").arg(&body));
    let packed = state.path().join("events.json.gz");
    let signed =
        Command::new("sh").args(["-c", "openssl dgst -sha256 -hmac k -r \"$0\" | cut -d' ' -f1"]).arg(&packed).output().unwrap();
    let signature = String::from_utf8(signed.stdout).unwrap();
    let url = format!("http://{}/ingest/hook", daemon.http());
    let header = format!("X-Hub-Signature-256: sha256={}", signature.trim());
    run(Command::new("curl")
        .args([
            "--fail",
            "--silent",
            "--show-error",
            "-H",
            "Content-Type: application/json",
            "-H",
            "Content-Encoding: gzip",
            "-H",
            &header,
        ])
        .arg("--data-binary")
        .arg(format!("@{}", packed.display()))
        .arg(&url));
    database.wait_for("SELECT count(*) FROM logs WHERE message = 'by curl'", 1).await;
    let refused =
        Command::new("curl").args(["--silent", "-o", "/dev/null", "-w", "%{http_code}", "-d", "{}", &url]).output().unwrap();
    assert_eq!(String::from_utf8(refused.stdout).unwrap(), "401");
}
