//! The menu, as somebody types: through pipes, and once on a terminal; and the detectors over stored records.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tocsin::casework::incidents::NewIncident;
use tocsin::casework::sessions::Origin;
use tocsin::casework::users::NewUser;
use tocsin::casework::{Actor, Casework, Role, Via};
use tocsin::record::Severity;
use tocsin::record::case::Category;

use crate::support::{Database, casework_with_keys, state_dir, tocsin};

/// A database with its configuration, and somebody at the keys.
pub struct Desk {
    pub database: Database,
    pub casework: Casework,
    pub dir: tempfile::TempDir,
}

impl Desk {
    pub async fn new() -> Desk {
        let (database, dir) = (Database::new().await, state_dir());
        std::fs::write(
            dir.path().join("tocsin.toml"),
            format!("state_dir = {:?}\n[database]\nurl = {:?}\n", dir.path(), database.url()),
        )
        .unwrap();
        Desk { casework: casework_with_keys(&database, dir.path()).await, database, dir }
    }

    /// A token of a user of that role.
    pub async fn token(&self, role: Role) -> String {
        let (os, name) = (Actor::operator("tester"), format!("a-{role}"));
        let new = NewUser { name: name.clone(), display_name: None, email: None, role };
        let once = self.casework.create_user(&os, &new).await.unwrap();
        let (_, actor) = self.casework.sign_in(&name, once.clone(), Via::Api, &Origin::default()).await.unwrap();
        self.casework.change_own_password(&actor, once, "correct-horse-battery".to_owned()).await.unwrap();
        self.casework.create_token(&os, &name, "t", role, 1).await.unwrap()
    }

    pub fn command(&self, arguments: &[&str], token: Option<&str>) -> Command {
        let mut command = Command::new(tocsin());
        command.args(arguments).arg("--config").arg(self.dir.path().join("tocsin.toml")).current_dir(self.dir.path());
        command.env_remove("TOCSIN_TOKEN").env_remove("RUST_BACKTRACE");
        command.envs(token.map(|token| ("TOCSIN_TOKEN", token)));
        command
    }

    /// What the menu says to somebody who types these lines.
    fn menu(&self, lines: &[&str], token: Option<&str>) -> String {
        let (code, out, errors) = self.run(&["menu"], token, &format!("{}\n", lines.join("\n")));
        assert_eq!(code, 0, "{out}\n{errors}");
        out
    }

    pub fn run(&self, arguments: &[&str], token: Option<&str>, input: &str) -> (i32, String, String) {
        let mut command = self.command(arguments, token);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    /// Failed logins of one address, a minute apart, the last one an hour ago.
    pub async fn attack(&self, address: &str, attempts: i64) {
        let day = tocsin::record::Timestamp::now().day();
        let store = tocsin::store::Store::connect(self.database.options.clone()).await.unwrap();
        for day in [day - 1, day] {
            store.ensure_partition(day).await.unwrap();
        }
        let sql = format!(
            "INSERT INTO logs (id, event_time, received_at, source, host, app, pid, event_type, severity, username, src_ip, message) \
             SELECT coalesce((SELECT max(id) FROM logs), 0) + n, at, at, 'test', 'web1', 'sshd', n, 'login_failed', 'medium', 'root', \
                 '{address}', 'Failed password for root from {address} port 22 ssh2' \
             FROM (SELECT n, now() - interval '1 hour' - n * interval '1 minute' AS at FROM generate_series(1, {attempts}) AS n) AS a"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&self.database.pool).await.unwrap();
    }

    pub async fn incident(&self, title: &str, severity: Severity) -> String {
        let new = NewIncident {
            title: title.to_owned(),
            description: String::new(),
            severity,
            category: Category::Other,
            first_seen: None,
        };
        self.casework.open_incident(&Actor::operator("tester"), &new).await.unwrap()
    }
}

#[tokio::test]
async fn every_choice_is_listed_and_what_is_none_is_told_and_asked_again() {
    let desk = Desk::new().await;
    let out = desk.menu(&["", "11", "-1", "view logs", "0"], None);
    let names = [
        "1  Add a log entry",
        "2  View logs",
        "3  Search logs",
        "4  View incidents",
        "5  Search incidents",
        "6  Update an incident's status",
        "7  Weekly report",
        "8  Run anomaly detection",
        "9  Export to CSV",
        "10  Database maintenance",
        "0  Exit",
    ];
    for name in names {
        assert!(out.contains(name), "{name}: {out}");
    }
    assert_eq!(out.matches("is not possible: give a number from 0 to 10").count(), 3, "{out}");
    assert!(out.contains("you are os:") && out.contains("(admin)") && out.ends_with("Goodbye.\n"), "{out}");
    let ended = desk.menu(&["2"], None);
    assert!(ended.ends_with("\nGoodbye.\n"), "the end of the input is a way to leave: {ended}");
}

#[tokio::test]
async fn a_record_is_added_once_it_is_right_and_records_are_found_and_shown() {
    let desk = Desk::new().await;
    let add =
        ["1", "Failed password for root from 192.0.2.1 port 22 ssh2", "25:00", "2h", "web 1", "sshd", "", "2h", "web1", "", "0"];
    let out = desk.menu(&add, None);
    assert!(
        out.contains("25:00 is not possible") && out.contains("  host: is to be 1 to 255 printable") && out.contains("  Added:"),
        "{out}"
    );
    let waiting = desk.database.column("SELECT line FROM added_logs").await;
    assert!(waiting.len() == 1 && waiting[0].contains(" web1 sshd - - - Failed password"), "{waiting:?}");

    desk.attack("198.51.100.7", 40).await;
    let hostile = "UPDATE logs SET message = E'\\x1b[2J\\u202Eevil' WHERE id = 1";
    sqlx::query(hostile).execute(&desk.database.pool).await.unwrap();
    let out = desk.menu(&["2", "", "1", "", "16", "q", "0"], None);
    assert!(out.contains(" 1  ") && out.contains("\\u{1b}[2J\\u{202e}evil") && !out.contains('\x1b'), "{out}");
    assert!(out.contains(" original") && out.contains("(1-30), Enter for more") && out.contains(" 30  "), "{out}");
    assert!(!out.contains(" 31  "), "{out}");
    let out = desk
        .menu(&["3", "colour:\"", "username:root src_ip:198.51.100.0/24 evil", "", "", "3", "nothing like it", "", "0"], None);
    assert!(out.contains("is not possible") && out.contains("(1-1), Enter to go back") && out.contains("  Nothing."), "{out}");
}

#[tokio::test]
async fn an_incident_is_taken_to_its_end_with_what_that_takes() {
    let desk = Desk::new().await;
    for n in 0..20 {
        desk.incident(&format!("n {n}"), Severity::Low).await;
    }
    let number = desk.incident("Stolen \u{1b}laptop".replace('\u{1b}', "").as_str(), Severity::High).await;
    let out = desk.menu(&["4", "", "21", "q", "0"], None);
    assert!(out.contains("(1-21), Enter to go back") && out.contains("Timeline"), "{out}");
    let out = desk.menu(&["5", "laptop", "shut", "open,contained", "worst", "high", "yesterday", "1d", "", "1", "", "0"], None);
    assert!(out.matches("is not possible").count() == 3 && out.contains(&format!("{number}  Stolen laptop")), "{out}");

    let out = desk.menu(&["6", "17", "", "1", "9", "investigating", "6", "INC-1999-000001", "0"], None);
    assert!(out.contains("17 is not possible: give a number such as INC-2026-000123"), "{out}");
    assert!(out.contains("9 is not possible: give a number from 1 to 4"), "{out}");
    assert!(out.contains(&format!("{number} is investigating now")) && out.contains("there is no incident"), "{out}");
    let end = ["6", &number, "resolved", "Wiped", "Left in a train", "", "y", "", "", "Encrypt disks", "6", &number, "", "0"];
    let out = desk.menu(&end, None);
    assert!(out.contains("lessons_learned: is needed to resolve an incident of severity high"), "{out}");
    assert!(out.contains("[Left in a train]") && out.contains(&format!("{number} is resolved now")), "{out}");
    let row = desk.casework.incident(&Actor::operator("tester"), &number).await.unwrap().incident;
    assert_eq!((&*row.status, row.lessons_learned.as_deref()), ("resolved", Some("Encrypt disks")));
}

#[tokio::test]
async fn the_detectors_look_at_stored_records_and_incidents_are_opened_once() {
    let desk = Desk::new().await;
    desk.attack("198.51.100.7", 12).await;
    desk.attack("198.51.100.8", 2).await;
    let before = desk.run(&["detect", "--last", "30m", "--json"], None, "");
    assert_eq!((before.0, before.1.as_str()), (0, ""), "{}", before.2);
    let (code, out, errors) = desk.run(&["detect", "--last", "24h", "--json"], None, "");
    assert_eq!(code, 3, "{errors}");
    let found: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = found.iter().map(|f| (f["detector"].as_str().unwrap(), f["event_count"].as_u64().unwrap())).collect();
    assert_eq!(told, [("login_failures", 12), ("brute_force", 12)], "{out}");
    assert!(found.iter().all(|f| f["incident"].is_null() && f["group"]["src_ip"] == "198.51.100.7"), "{out}");

    let out = desk.menu(&["8", "24h", "2d", "", "y", "0"], None);
    assert!(
        out.contains("That is not later than the beginning") && out.contains("none yet") && out.contains("  Opened: INC-"),
        "{out}"
    );
    let again = desk.menu(&["8", "24h", "", "0"], None);
    assert!(!again.contains("none yet") && !again.contains("Open incidents"), "an attack is one incident: {again}");
    let attached = "SELECT count(*) FROM incident_evidence e JOIN incidents i ON i.id = e.incident_id WHERE i.event_count = 12";
    assert_eq!(desk.database.number(attached).await, 24, "each record proves both");
    let (code, _, errors) = desk.run(&["detect", "--last", "24h", "--open"], None, "");
    assert!(code == 3 && errors.contains("0 opened"), "{errors}");
    let audited = "SELECT count(*) FROM audit_log WHERE action = 'incident.open'";
    assert_eq!(desk.database.number(audited).await, 2, "each was opened by somebody");
    let viewer = desk.token(Role::Viewer).await;
    let (code, _, errors) = desk.run(&["detect", "--last", "24h", "--open"], Some(&viewer), "");
    assert!(code == 1 && errors.contains("may not work on incidents"), "{errors}");
}

#[tokio::test]
async fn reports_exports_and_sizes_come_out_and_a_file_is_never_replaced() {
    let desk = Desk::new().await;
    desk.attack("198.51.100.7", 3).await;
    let out = desk.menu(&["7", "", "q", "week.html", "7", "", "q", "week.html", "no/such/week.html", "other.html", "0"], None);
    assert!(out.contains("Security week") && out.contains("is not possible: it is there already"), "{out}");
    assert!(out.contains("its directory is not there"), "{out}");
    for page in ["week.html", "other.html"] {
        assert!(std::fs::read_to_string(desk.dir.path().join(page)).unwrap().starts_with("<!DOCTYPE html>"));
    }
    let out = desk.menu(&["9", "5", "logs", "2d", "", "logs.csv", "10", "0"], None);
    assert!(out.contains("5 is not possible") && out.contains("  3 rows: logs.csv"), "{out}");
    assert_eq!(std::fs::read_to_string(desk.dir.path().join("logs.csv")).unwrap().lines().count(), 4);
    for told in ["database ", "oldest record", "MiB", "logs_2", "wait for the daemon"] {
        assert!(out.contains(told), "{told}: {out}");
    }
}

#[tokio::test]
async fn a_viewer_sees_which_choices_are_of_others_and_they_do_nothing() {
    let desk = Desk::new().await;
    let viewer = desk.token(Role::Viewer).await;
    let out = desk.menu(&["1", "6", "9", "10", "4", "0"], Some(&viewer));
    assert_eq!(out.matches("(for the role analyst)").count(), 3 * 6, "add, update and export, each time it is listed: {out}");
    assert_eq!(out.matches("(for the role admin)").count(), 6, "{out}");
    for refused in ["Add a log entry", "Update an incident's status", "Export to CSV"] {
        assert!(out.contains(&format!("  {refused} is for the role analyst; yours is viewer.")), "{out}");
    }
    assert!(out.contains("No incidents."), "{out}");
    assert_eq!(desk.database.number("SELECT count(*) FROM added_logs").await, 0);
}

/// On a terminal of 60 columns; Ctrl-C leaves.
#[tokio::test]
async fn on_a_terminal_tables_fit_and_ctrl_c_leaves() {
    let desk = Desk::new().await;
    desk.attack("198.51.100.7", 5).await;
    let size = nix::pty::Winsize { ws_row: 24, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = nix::pty::openpty(Some(&size), None).unwrap();
    let slave = || Stdio::from(File::from(pty.slave.try_clone().unwrap()));
    // A session of its own, of which this is the terminal: its Ctrl-C reaches only this process.
    let program = desk.command(&["menu"], None);
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(program.get_program()).args(program.get_args()).current_dir(desk.dir.path());
    let mut child = command.env_remove("TOCSIN_TOKEN").stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
    // Whoever has the other end open keeps the terminal.
    drop((pty.slave, command));
    let mut master = File::from(pty.master);
    let (send, seen) = std::sync::mpsc::channel();
    let mut reader = master.try_clone().unwrap();
    let thread = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        // Where nobody has the terminal any more, reading it is an error.
        while let Ok(n @ 1..) = reader.read(&mut buffer) {
            send.send(buffer[..n].to_vec()).unwrap();
        }
    });
    let mut screen = String::new();
    let mut wait_for = |what: &str| {
        let deadline = Instant::now() + crate::support::PATIENCE;
        while !screen.contains(what) {
            assert!(Instant::now() < deadline, "still waiting for {what:?}: {screen}");
            if let Ok(bytes) = seen.recv_timeout(Duration::from_millis(100)) {
                screen.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
        screen.clone()
    };
    wait_for("Your choice (0-10): ");
    master.write_all(b"2\n").unwrap();
    wait_for("Since when");
    master.write_all(b"\n").unwrap();
    let shown = wait_for("Number to look at");
    let rows: Vec<&str> = shown.lines().skip_while(|line| !line.contains(" # ")).collect();
    let rows = &rows[..rows.len() - 1];
    assert!(rows.len() > 5 && rows.iter().all(|row| row.trim_end().chars().count() <= 60), "{rows:#?}");
    assert!(rows[0].contains("message") && !rows[0].contains("host"), "{rows:#?}");
    master.write_all(b"\x03").unwrap();
    wait_for("Goodbye.");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(master);
    thread.join().unwrap();
}
