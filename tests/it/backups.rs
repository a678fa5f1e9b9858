//! Backups: made while lines come in, proven by restoring them, and found out where they are not whole.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tocsin::casework::sessions::Origin;
use tocsin::casework::users::NewUser;
use tocsin::casework::{Actor, Role, Via, backups};

use crate::api;
use crate::support::{Daemon, Database, Server, casework_with_keys, send_tcp, state_dir, verify, wait_until};

/// A machine with tocsin on it.
struct Site {
    database: Database,
    dir: tempfile::TempDir,
    backups: PathBuf,
}

impl Site {
    /// With a pair of keys; `more` goes into `[backup]`.
    async fn open(more: &str) -> Site {
        Site::over(Database::new().await, more).await
    }

    /// The same over that database.
    async fn over(database: Database, more: &str) -> Site {
        let dir = state_dir();
        let site = Site { backups: dir.path().join("state/backups"), database, dir };
        site.write_configuration("");
        let (code, told, _) = site.run(&["backup", "key", &site.identity().to_string_lossy()]);
        assert_eq!(code, 0);
        site.write_configuration(&format!("{told}{more}"));
        site
    }

    fn configuration(&self, backup: &str) -> String {
        format!("[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n{backup}", self.database.url())
    }

    fn write_configuration(&self, backup: &str) {
        let text = format!("state_dir = {:?}\n{}", self.dir.path().join("state"), self.configuration(backup));
        std::fs::write(self.dir.path().join("cli.toml"), text).unwrap();
    }

    fn backup_section(&self) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("cli.toml")).unwrap();
        text[text.find("[backup]").unwrap()..].to_owned()
    }

    fn identity(&self) -> PathBuf {
        self.dir.path().join("backup.key")
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(crate::support::tocsin());
        command.args(arguments).arg("--config").arg(self.dir.path().join("cli.toml")).env_remove("TOCSIN_TOKEN");
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    fn create(&self) -> PathBuf {
        let (code, out, err) = self.run(&["backup", "create", "--json"]);
        assert_eq!(code, 0, "{err}");
        let made: Value = serde_json::from_str(&out).unwrap();
        PathBuf::from(made["file"].as_str().unwrap())
    }

    fn try_out(&self, backup: &Path) -> (i32, String, String) {
        let identity = self.identity();
        self.run(&["backup", "verify", &backup.to_string_lossy(), "--identity", &identity.to_string_lossy(), "--json"])
    }

    /// On the server, whoever made them.
    async fn scratch_databases(&self) -> i64 {
        self.database.number("SELECT count(*) FROM pg_database WHERE datname LIKE 'tocsin\\_verify\\_%'").await
    }
}

fn lines(from: usize, to: usize) -> Vec<u8> {
    (from..to)
        .map(|n| {
            format!(
                "<38>Nov 20 10:{:02}:{:02} web sshd[{n}]: Failed password for root from 203.0.113.{} port 4{n:04} ssh2\n",
                n / 60 % 60,
                n % 60,
                n % 250
            )
        })
        .collect::<String>()
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_while_lines_come_in_is_whole_and_a_restored_copy_passes_every_check() {
    let site = Site::open("").await;
    let daemon = Daemon::start(site.dir.path(), &site.configuration("")).await;
    send_tcp(daemon.tcp(), &lines(0, 2_000)).await.unwrap();
    site.database.wait_for("SELECT count(*) FROM logs", 2_000).await;
    let tcp = daemon.tcp();
    let flood = tokio::spawn(async move {
        for n in 1..10 {
            send_tcp(tcp, &lines(n * 2_000, (n + 1) * 2_000)).await.unwrap();
        }
    });
    let backup = site.create();
    flood.await.unwrap();
    site.database.wait_for("SELECT count(*) FROM logs", 20_000).await;
    let bytes = std::fs::read(&backup).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
    assert!(!bytes.windows(12).any(|w| w == b"Failed passw"), "nothing of it can be read");
    let (code, out, err) = site.try_out(&backup);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(daemon.stop().await.0, Some(0));

    // Into another database: `tocsin verify` and the audit log say that it is whole, and a daemon goes on from there.
    let backup = site.create();
    let copy = Database::new().await;
    let identity = site.identity();
    let restore = |to: String| {
        site.run(&["backup", "restore", &backup.to_string_lossy(), "--to", &to, "--identity", &identity.to_string_lossy()])
    };
    let (code, out, err) = restore(copy.url());
    assert_eq!(code, 0, "{out}{err}");
    for table in ["logs", "incidents", "incident_evidence", "audit_log", "ledger"] {
        let count = format!("SELECT count(*) FROM {table}");
        let behind = i64::from(table == "audit_log");
        assert_eq!(copy.number(&count).await + behind, site.database.number(&count).await, "{table}");
    }
    let (code, _, err) = restore(copy.url());
    assert_eq!(code, 1);
    assert!(err.contains("not empty"), "{err}");
    let moved = Site { database: copy.clone(), backups: site.backups.clone(), dir: state_dir() };
    moved.write_configuration("");
    assert_eq!(moved.run(&["audit", "verify"]).0, 0);
    let daemon = Daemon::start(moved.dir.path(), &moved.configuration("")).await;
    send_tcp(daemon.tcp(), &lines(20_000, 20_500)).await.unwrap();
    copy.wait_for("SELECT count(*) FROM logs", 20_500).await;
    assert_eq!(daemon.stop().await.0, Some(0));
    let (code, verdict) = verify(moved.dir.path(), &[]);
    assert_eq!(code, 0, "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_not_whole_or_not_for_us_is_found_out() {
    let site = Site::open("").await;
    let daemon = Daemon::start(site.dir.path(), &site.configuration("")).await;
    send_tcp(daemon.tcp(), &lines(0, 5_000)).await.unwrap();
    site.database.wait_for("SELECT count(*) FROM logs", 5_000).await;
    assert_eq!(daemon.stop().await.0, Some(0));
    let backup = site.create();
    assert_eq!(site.try_out(&backup).0, 0);
    // A byte is another one; the end is missing; there is nothing of it.
    let length = std::fs::metadata(&backup).unwrap().len();
    for (name, spoil) in [
        (
            "changed",
            Box::new(|file: &mut std::fs::File| {
                file.seek(SeekFrom::Start(length / 2)).unwrap();
                file.write_all(b"?!").unwrap();
            }) as Box<dyn Fn(&mut std::fs::File)>,
        ),
        ("cut", Box::new(|file| file.set_len(length - 40_000).unwrap())),
        ("empty", Box::new(|file| file.set_len(0).unwrap())),
    ] {
        let spoilt = site.dir.path().join(name);
        std::fs::copy(&backup, &spoilt).unwrap();
        spoil(&mut std::fs::OpenOptions::new().write(true).open(&spoilt).unwrap());
        let (code, out, err) = site.try_out(&spoilt);
        assert_eq!(code, 1, "{name}: {out}{err}");
        assert!(err.contains("damaged"), "{name}: {err}");
    }
    // Somebody else's key.
    let other = site.dir.path().join("other.key");
    assert_eq!(site.run(&["backup", "key", &other.to_string_lossy()]).0, 0);
    let (code, _, err) = site.run(&["backup", "verify", "--identity", &other.to_string_lossy()]);
    assert_eq!(code, 1);
    assert!(err.contains("another one"), "{err}");
    let (code, _, err) = site.run(&["backup", "verify"]);
    assert_eq!(code, 1);
    assert!(err.contains("--identity"), "{err}");
    // What was not right when it was copied.
    let mut connection = sqlx::PgConnection::connect_with(&site.database.options).await.unwrap();
    for (act, told) in [
        ("DELETE FROM logs WHERE id = (SELECT min(id) FROM logs)", "not every frame is stored once"),
        ("SET session_replication_role = replica; UPDATE audit_log SET actor = 'somebody' WHERE id = 1", "row 1 of audit_log"),
    ] {
        connection.execute(AssertSqlSafe(act)).await.unwrap();
        let (code, out, err) = site.try_out(&site.create());
        assert_eq!(code, 3, "{act}: {err}");
        assert!(out.contains(told), "{act}: {out}");
    }
    assert_eq!(site.scratch_databases().await, 0, "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_makes_one_a_day_and_keeps_as_many_as_it_was_told_to() {
    let site = Site::open("keep = 2\nat = \"00:00\"\n").await;
    std::fs::create_dir_all(&site.backups).unwrap();
    for old in ["tocsin-20240101T000000Z.age", "tocsin-20250101T000000Z.age", "somebody-elses"] {
        std::fs::write(site.backups.join(old), "x").unwrap();
    }
    let daemon = Daemon::start(site.dir.path(), &site.configuration(&site.backup_section())).await;
    let names = || {
        let mut names: Vec<String> =
            std::fs::read_dir(&site.backups).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    wait_until("one is made, and those that are too old are gone", async || {
        let names = names();
        names.len() == 2 && names[0] == "somebody-elses" && names[1].starts_with("tocsin-202")
    })
    .await;
    site.database.wait_for("SELECT count(*) FROM audit_log WHERE action = 'backup.create' AND actor = 'tocsin'", 1).await;
    site.database.wait_for("SELECT count(*) FROM audit_log WHERE action = 'backup.remove'", 2).await;
    assert_eq!(daemon.stop().await.0, Some(0));
    let newest = site.backups.join(names().pop().unwrap());
    assert_eq!(site.try_out(&newest).0, 0);
}

/// A way into the daemon of a site, as an admin.
async fn admin(site: &Site) -> String {
    let casework = casework_with_keys(&site.database, &site.dir.path().join("state")).await;
    let os = Actor::operator("tester");
    let new = NewUser { name: "ada".into(), display_name: None, email: None, role: Role::Admin };
    let once = casework.create_user(&os, &new).await.unwrap();
    let (_, ada) = casework.sign_in("ada", once.clone(), Via::Api, &Origin::default()).await.unwrap();
    casework.change_own_password(&ada, once, "correct-horse-battery".into()).await.unwrap();
    casework.sign_in("ada", "correct-horse-battery".to_owned(), Via::Api, &Origin::default()).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_begins_a_backup_tells_how_far_it_is_and_proves_it_one_at_a_time() {
    // On a server of its own, since others try backups, too.
    let server = tokio::task::spawn_blocking(|| Arc::new(Server::start())).await.unwrap();
    let site = Site::over(Database::on(server).await, "").await;
    let identity = format!("identity_file = {:?}\nat = \"00:00\"\n", site.identity());
    let configuration = site.configuration(&format!("{}{identity}", site.backup_section()));
    let often = "api_requests_per_minute = 1000000\napi_burst = 1000000\n";
    let daemon = Daemon::start_with_http(site.dir.path(), &configuration, often).await;
    wait_until("the first one of the day is made", async || backups::list(&site.backups).is_ok_and(|all| all.len() == 1)).await;
    let (http, token) = (daemon.http(), admin(&site).await);
    let call = async |method: &str, path: &str| api::call(http, method, path, Some(&token), &[], &Value::Null).await;
    let seen = async || api::body(&call("GET", "/backups").await);
    let before = seen().await;
    assert_eq!((before["backups"].as_array().unwrap().len(), &before["work"]), (1, &Value::Null));

    // Somebody holds a table, so that what is begun does not end.
    let mut holder = sqlx::PgConnection::connect_with(&site.database.options).await.unwrap();
    holder.execute("BEGIN; LOCK TABLE assets").await.unwrap();
    let begun = call("POST", "/backups").await;
    assert_eq!(begun.code, 202, "{}", begun.body);
    assert!(begun.head.to_ascii_lowercase().contains("location: /api/v1/backups\r"), "{}", begun.head);
    assert_eq!(api::body(&begun)["state"], "running");
    let older = format!("/backups/{}/verify", before["backups"][0]["name"].as_str().unwrap());
    for another in ["/backups", &older] {
        let refused = call("POST", another).await;
        assert_eq!((refused.code, refused.body.contains("already")), (409, true), "{}", refused.body);
    }
    assert_eq!((&seen().await["work"]["by"], &seen().await["work"]["ended"]), (&json!("ada"), &Value::Null));
    holder.execute("ROLLBACK").await.unwrap();
    let ended = async |what: &str| {
        wait_until("it has ended", async || !seen().await["work"]["ended"].is_null()).await;
        let work = seen().await["work"].clone();
        assert_eq!((&work["what"], &work["state"], &work["failure"]), (&json!(what), &json!("done"), &Value::Null), "{work}");
        work
    };
    let made = ended("create").await;
    assert!(made["rows"].as_u64() > Some(0) && made["bytes"].as_u64() > Some(0), "{made}");
    assert_eq!(seen().await["backups"][0]["name"], made["backup"]);

    let made = made["backup"].as_str().unwrap().to_owned();
    assert_eq!(call("POST", &format!("/backups/{made}/verify")).await.code, 202);
    let tried = ended("verify").await;
    assert_eq!((&tried["backup"], &tried["problems"]), (&json!(made), &json!([])));
    assert_eq!(call("POST", "/backups/tocsin-20200101T000000Z.age/verify").await.code, 404);
    assert_eq!(call("POST", "/backups/..%2F..%2Fbackup.key/verify").await.code, 404);
    std::fs::write(site.backups.join("tocsin-20300101T000000Z.age"), "x").unwrap();
    let spoilt = call("POST", "/backups/tocsin-20300101T000000Z.age/verify").await;
    assert_eq!((spoilt.code, spoilt.body.contains("damaged")), (409, true), "{}", spoilt.body);
    assert_eq!(ended("verify").await, tried, "what was not begun is not told of");
    for action in ["backup.create", "backup.verify"] {
        let count = format!("SELECT count(*) FROM audit_log WHERE action = '{action}' AND actor = 'ada' AND via = 'api'");
        assert_eq!(site.database.number(&count).await, 1, "{action}");
    }

    // The daemon does not wait for one that is under way, and nothing of it stays.
    holder.execute("BEGIN; LOCK TABLE assets").await.unwrap();
    assert_eq!(call("POST", "/backups").await.code, 202);
    assert_eq!(daemon.stop().await.0, Some(0));
    holder.execute("ROLLBACK").await.unwrap();
    assert!(
        std::fs::read_dir(&site.backups).unwrap().all(|file| !file.unwrap().file_name().to_string_lossy().ends_with(".part"))
    );
    assert_eq!(site.scratch_databases().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_shows_and_rotates_the_keys_and_never_a_key_itself() {
    let site = Site::open("").await;
    let daemon = Daemon::start(site.dir.path(), &site.configuration("")).await;
    wait_until("the keys are there", async || site.dir.path().join("state/keys/master.key").exists()).await;
    let (http, token) = (daemon.http(), admin(&site).await);
    let call = async |method: &str, path: &str, given: Value| api::call(http, method, path, Some(&token), &[], &given).await;
    let opened = api::body(&call("POST", "/incidents", json!({ "title": "t", "severity": "low" })).await);
    let parties = format!("/incidents/{}/parties", opened["number"].as_str().unwrap());
    assert_eq!(call("POST", &parties, json!({ "role": "victim", "name": "n" })).await.code, 201);

    let shown = call("GET", "/keys", Value::Null).await;
    let keys = api::body(&shown)["keys"].clone();
    assert_eq!((keys.as_array().unwrap().len(), &keys[0]["present"], &keys[0]["incidents"]), (1, &json!(true), &json!(1)));
    assert!(keys[0]["made_at"].is_string(), "{keys}");
    let secret = || {
        let file = std::fs::read_to_string(site.dir.path().join("state/keys/master.key")).unwrap();
        file.lines()
            .filter_map(|line| line.split_once(' ').filter(|_| !line.starts_with('#')).map(|(_, key)| key.to_owned()))
            .collect()
    };
    let before: Vec<String> = secret();
    let rotated = call("POST", "/keys/rotate", json!({ "forget_old": true })).await;
    assert_eq!((rotated.code, &api::body(&rotated)["forgotten"]), (200, &json!([keys[0]["id"]])), "{}", rotated.body);
    let now = call("GET", "/keys", Value::Null).await;
    assert_eq!(api::body(&now)["keys"][0]["incidents"], 1);
    assert_ne!(api::body(&now)["keys"][0]["id"], keys[0]["id"]);
    for key in before.iter().chain(&secret()) {
        assert!(key.len() > 40 && ![&shown, &rotated, &now].iter().any(|answer| answer.body.contains(key.trim_end_matches('='))));
    }
    assert_eq!(site.database.number("SELECT count(*) FROM audit_log WHERE action LIKE 'keys.%' AND actor = 'ada'").await, 3);
    // Without a private key in the configuration, and without anybody who could read one.
    std::fs::create_dir_all(&site.backups).unwrap();
    std::fs::copy(site.create(), site.backups.join("tocsin-20300101T000000Z.age")).unwrap();
    for (path, told) in
        [("/backups/tocsin-20300101T000000Z.age/verify", "backup.identity_file"), ("/backups", "backup.recipients")]
    {
        let refused = call("POST", path, Value::Null).await;
        assert_eq!((refused.code, refused.body.contains(told)), (409, true), "{path}: {}", refused.body);
    }
    assert_eq!(daemon.stop().await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_anybody_who_can_read_it_no_backup_is_made() {
    let site = Site::open("").await;
    site.write_configuration("");
    let (code, _, err) = site.run(&["backup", "create"]);
    assert_eq!(code, 1);
    assert!(err.contains("tocsin backup key"), "{err}");
    let (code, out, _) = site.run(&["backup", "list"]);
    assert_eq!(code, 0);
    assert!(out.contains("There is no backup"), "{out}");
}
