//! Commands on a terminal: tables fit it and can be read, and nothing steers one that is not to be steered.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};

use crate::commands::Does::{Reads, ReadsOwn};
use crate::commands::{COMMANDS, arguments, things};
use crate::menu::Desk;

/// What a command writes on a terminal of so many columns, to standard output or error.
fn on_terminal(desk: &Desk, arguments: &[&str], columns: u16, environment: &[(&str, &str)]) -> String {
    let size = nix::pty::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = nix::pty::openpty(Some(&size), None).unwrap();
    let slave = || Stdio::from(File::from(pty.slave.try_clone().unwrap()));
    // A session of its own, of which this is the terminal.
    let program = desk.command(arguments, None);
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]).arg(program.get_program()).args(program.get_args()).current_dir(desk.dir.path());
    command.env_remove("TOCSIN_TOKEN").env_remove("NO_COLOR").env("TERM", "xterm-256color").envs(environment.iter().copied());
    let mut child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
    // Whoever has the other end open keeps the terminal.
    drop((pty.slave, command));
    let (mut master, mut screen, mut buffer) = (File::from(pty.master), Vec::new(), [0; 4096]);
    // Where nobody has the terminal any more, reading it is an error.
    while let Ok(n @ 1..) = master.read(&mut buffer) {
        screen.extend_from_slice(&buffer[..n]);
    }
    let code = child.wait().unwrap().code().unwrap();
    let screen = String::from_utf8(screen).unwrap().replace("\r\n", "\n");
    assert!(code == 0 || code == 3, "{arguments:?}: {screen}");
    screen
}

/// Something long in every list.
async fn full(desk: &Desk) -> String {
    desk.attack("198.51.100.7", 12).await;
    let (code, out, errors) = desk.run(&["detect", "--last", "24h", "--open"], None, "");
    assert_eq!(code, 3, "{out}{errors}");
    let number = desk.database.column("SELECT number FROM incidents WHERE detector = 'brute_force'").await.remove(0);
    let other = desk.database.column("SELECT number FROM incidents WHERE detector = 'login_failures'").await.remove(0);
    let words = "a text of many words that nobody would want to see broken in the middle of one of them ".repeat(4);
    let url = format!("https://evil.example/{}", "a/very/long/path/".repeat(20));
    std::fs::write(desk.dir.path().join("memory-of-the-web-server.img"), "x").unwrap();
    for arguments in [
        &["incidents", "edit", &number, "--title", &words, "--status", "investigating"][..],
        &["tasks", "add", &number, &words, "--due", "2026-01-01T08:00:00Z"],
        &["incidents", "observables", &number, "add", "url", &url, "--comment", &words],
        &["incidents", "observables", &number, "add", "domain", "an-unusually-long-name.of.a.host.example.org"],
        &["incidents", "observables", &number, "add", "hash", &"0123456789abcdef".repeat(4), "--tlp", "amber+strict"],
        &["incidents", "party", "add", &number, "--role", "witness", "--name", "Ada Example"],
        &["incidents", "evidence", "add", &number, "memory-of-the-web-server.img"],
        &["incidents", "false-positive", &other, "--reason", &words, "--suppress-until", "2026-12-31"],
        &["assets", "add", "web-servers", "--match", "10.0.0.0/8", "--criticality", "critical", "--comment", &words],
        &["logs", "saved", "add", "logins-of-root", "app:sshd user:root severity:>=medium password src_ip:198.51.100.0/24"],
        &["user", "add", "somebody-with-a-long-name", "--role", "analyst", "--email", "somebody@long.example.org"],
        &["token", "add", "a-program-that-reads", "--user", "somebody-with-a-long-name"],
        &["backup", "key", "backup.key"],
    ] {
        let (code, out, errors) = desk.run(arguments, None, "");
        assert_eq!(code, 0, "{arguments:?}: {out}{errors}");
    }
    std::fs::create_dir(desk.dir.path().join("backups")).unwrap();
    std::fs::write(desk.dir.path().join("backups/tocsin-20260101T000000Z.age"), "x").unwrap();
    number
}

#[tokio::test]
async fn every_table_fits_the_terminal_and_no_word_in_it_is_broken() {
    let desk = Desk::new().await;
    let number = full(&desk).await;
    let lists = [
        "incidents list",
        "incidents due",
        "incidents parties --find Ada_Example",
        "incidents observables {number}",
        "incidents sightings an-unusually-long-name.of.a.host.example.org",
        "incidents evidence list {number}",
        "suppressions list",
        "assets list",
        "keys status",
        "maintenance",
        "tasks list",
        "logs search app:sshd",
        "logs saved list",
        "detect --last 24h",
        "user list",
        "token list",
        "audit list",
        "report metrics",
        "report weekly",
        "backup list",
    ];
    for list in lists {
        let list = list.replace("{number}", &number);
        let arguments: Vec<String> = list.split(' ').map(|word| word.replace('_', " ")).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (_, whole, errors) = desk.run(&arguments, None, "");
        assert!(whole.lines().count() > 1, "{list}: {whole}{errors}");
        let whole = format!("{whole}{errors}");
        let words: BTreeSet<&str> = whole.split_whitespace().collect();
        for columns in [60, 80, 120] {
            let screen = on_terminal(&desk, &arguments, columns, &[("TERM", "dumb")]);
            let tables = screen.lines().filter(|line| !is_prose(line));
            for line in tables {
                assert!(line.trim_end().chars().count() <= usize::from(columns), "{list} at {columns}: {line:?}\n{screen}");
            }
            for word in screen.split_whitespace() {
                let word = word.trim_end_matches('\u{2026}');
                let part = |whole: &&str| {
                    whole.contains(word) && (whole.chars().count() > 28 || screen.contains(&format!("{word}\u{2026}")))
                };
                assert!(
                    words.contains(word) || words.iter().any(part) || is_of_now(word),
                    "{list} at {columns}: {word:?} is no whole word:\n{screen}"
                );
            }
        }
    }
}

/// A sentence below a table, which the terminal wraps.
fn is_prose(line: &str) -> bool {
    line.ends_with('.') && !line.starts_with(' ')
}

/// Numbers and times change from one call to the next.
fn is_of_now(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ':' | '-' | 'T' | 'Z' | ','))
}

#[tokio::test]
async fn nothing_steers_a_terminal_that_is_dumb_or_is_to_have_no_colours_and_no_file() {
    let desk = Desk::new().await;
    desk.attack("198.51.100.7", 6).await;
    let things = things(&desk, "reader", 3).await;
    for (path, does, given) in COMMANDS {
        if !matches!(does, Reads(_) | ReadsOwn) {
            continue;
        }
        let arguments = arguments(path, given, &things);
        let (_, out, errors) = desk.run(&arguments, None, "");
        let escapes = |text: &str| text.contains('\u{1b}');
        assert!(!escapes(&out) && !escapes(&errors), "{arguments:?}: {out:?}{errors:?}");
        for environment in [("TERM", "dumb"), ("NO_COLOR", "1")] {
            let screen = on_terminal(&desk, &arguments, 80, &[environment]);
            assert!(!escapes(&screen), "{environment:?} {arguments:?}: {screen:?}");
        }
    }
}
