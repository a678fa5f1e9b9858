//! The commands that need no daemon.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{Daemon, send_tcp, state_dir, tocsin};

fn run(arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut child = Command::new(tocsin())
        .args(arguments)
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A command that refuses its arguments does not read.
        let _ = stdin.write_all(&input);
    });
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    writer.join().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn objects(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn parse_answers_every_frame_in_order() {
    let lines = b"<34>1 2026-11-20T10:00:00.5Z fw su 7 - - hi\n\nNov 20 10:00:00 srv sshd[9]: Failed password for root from 192.0.2.1 port 22 ssh2\n\xff\0\xfe\nlast";
    let (code, out, _) = run(&["parse", "--now", "2026-11-20T12:00:00Z", "--timezone", "Europe/Paris"], lines);
    let got = objects(&out);
    assert_eq!((code, got.len()), (0, 5), "{out}");
    assert_eq!(got[0]["event_time"], "2026-11-20T10:00:00.5Z");
    assert_eq!(got[0]["app"], "su");
    assert_eq!(got[2]["event_time"], "2026-11-20T09:00:00Z");
    assert_eq!(
        (&got[2]["event_type"], &got[2]["src_ip"], &got[2]["format"]),
        (&"login_failed".into(), &"192.0.2.1".into(), &"rfc3164+sshd".into())
    );
    assert_eq!(got[3]["message"], "\\xFF\u{2400}\\xFE");
    assert_eq!(got[4]["message"], "last");
    assert!(got[4].get("src_ip").is_none(), "absent keys are absent");

    let (code, out, _) = run(&["parse", "--framing", "nul"], b"one\ntwo\0three\0");
    assert_eq!((code, objects(&out).len()), (0, 2));
    let (code, out, _) = run(&["parse", "--framing", "octet"], b"3 one7 two\nend");
    assert_eq!((code, objects(&out)[1]["message"].clone()), (0, "two\nend".into()));
}

#[test]
fn replay_finds_the_attack_in_plain_and_packed_files_and_says_so_by_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let line = |s: u32| format!("Nov 20 10:00:{s:02} srv sshd[{s}]: Failed password for root from 192.0.2.1 port 22 ssh2\n");
    let (quiet, attack) = (dir.path().join("quiet.log"), dir.path().join("attack.log"));
    std::fs::write(&quiet, line(1)).unwrap();
    std::fs::write(&attack, (2..8).map(line).collect::<String>()).unwrap();
    assert!(Command::new("gzip").arg(&attack).status().unwrap().success());
    let (quiet, attack) = (quiet.to_str().unwrap(), format!("{}.gz", attack.display()));
    assert_eq!(run(&["replay", "--json", quiet], b"").0, 0);
    let (code, out, _) = run(&["replay", "--json", quiet, &attack], b"");
    assert_eq!(code, 3);
    let found = objects(&out);
    let brute = found.iter().find(|i| i["detector"] == "brute_force").unwrap();
    assert_eq!((&brute["event_count"], &brute["group"]["src_ip"]), (&7.into(), &"192.0.2.1".into()), "{out}");
    let (code, out, _) = run(&["replay", &attack], b"");
    assert_eq!((code, out.contains("192.0.2.1")), (3, true), "{out}");
}

#[test]
fn wrong_usage_and_wrong_configuration_exit_with_2_and_missing_files_with_1() {
    for arguments in [&["fly"][..], &["parse", "--framing", "morse"], &["parse", "--now", "noon"], &["run", "--config"]] {
        let (code, _, errors) = run(arguments, b"");
        assert_eq!(code, 2, "{arguments:?}: {errors}");
    }
    assert_eq!(run(&["parse", "/no/such/file"], b"").0, 1);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wrong.toml");
    std::fs::write(&path, "[htpp]\nlisten = 1\n[journal]\nmax_bytes = \"1 GB\"\nsegment_byte = 3\n").unwrap();
    let (code, _, errors) = run(&["check", "--config", path.to_str().unwrap()], b"");
    assert_eq!(code, 2);
    assert!(errors.contains("wrong.toml:1: htpp: no such key; did you mean \"http\"?"), "{errors}");
    assert!(
        errors.contains("wrong.toml:5: journal.segment_byte: no such key; did you mean \"journal.segment_bytes\"?"),
        "{errors}"
    );
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/tocsin.toml");
    assert_eq!(run(&["check", "--config", shipped.to_str().unwrap()], b"").0, 0);
}

#[test]
fn every_command_explains_itself() {
    for command in ["run", "check", "demo", "parse", "replay", "journal"] {
        let (code, out, _) = run(&[command, "--help"], b"");
        assert_eq!(code, 0);
        assert!(out.contains("Usage: tocsin"), "{out}");
    }
}

#[tokio::test]
async fn journal_inspect_shows_what_waits_while_the_daemon_runs() {
    let state = state_dir();
    // A database that is not there: everything stays in the journal.
    let configuration =
        "[database]\nurl = \"postgres://nobody@127.0.0.1:1/none\"\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n";
    let daemon = Daemon::start(state.path(), configuration).await;
    send_tcp(daemon.tcp(), b"<13>Nov 20 10:00:00 fw app: \x1b[31mred\n").await.unwrap();
    let dir = state.path().join("state/journal");
    let (code, out, _) = run(&["journal", "inspect", dir.to_str().unwrap(), "--frames"], b"");
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("lan") && out.contains("app: ") && out.contains("red"), "{out}");
    assert!(!out.contains('\x1b'), "control characters are escaped: {out}");
    daemon.kill();
    let segments: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "journal"))
        .collect();
    let segment = segments.iter().max_by_key(|p| std::fs::metadata(p).unwrap().len()).unwrap();
    let mut bytes = std::fs::read(segment).unwrap();
    let at = bytes.windows(5).position(|w| w == b"app: ").unwrap();
    bytes[at] ^= 1;
    std::fs::write(segment, &bytes).unwrap();
    assert_eq!(run(&["journal", "inspect", dir.to_str().unwrap()], b"").0, 3);
}

#[test]
fn the_demo_tells_its_story_and_leaves_nothing_behind() {
    let (code, out, errors) = run(&["demo"], b"");
    assert_eq!(code, 0, "{errors}");
    for told in ["203.0.113.66", "2001:db8:bad::17", "198.51.100.77", "ids_alert", "Where to look next"] {
        assert!(out.contains(told), "{told} is not in {out}");
    }
    let scratch = errors.split_whitespace().find(|word| word.contains("tocsin-demo-")).unwrap();
    assert!(!Path::new(scratch).exists());
}
