//! Files and log records as evidence of incidents, against a real server and over the API of a running daemon.

use std::process::Command;

use sqlx::Executor as _;
use tocsin::casework::files::{CHUNK_BYTES, MAX_FILE_BYTES, MAX_FILES};
use tocsin::casework::incidents::NewIncident;
use tocsin::casework::keys::KeyError;
use tocsin::casework::parties::Person;
use tocsin::casework::users::NewUser;
use tocsin::casework::{Actor, Casework, CaseworkError, Role};
use tocsin::record::case::{Category, PartyRole};
use tocsin::record::{Severity, Timestamp};
use tocsin::store::files::FileRow;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Daemon, Database, casework_with_keys, request, state_dir, tocsin, wait_until};

fn os() -> Actor {
    Actor::operator("tester")
}

async fn open(casework: &Casework) -> String {
    let (title, description) = ("x".to_owned(), String::new());
    let (severity, category) = (Severity::Medium, Category::Fraud);
    casework.open_incident(&os(), &NewIncident { title, description, severity, category, first_seen: None }).await.unwrap()
}

/// Bytes that do not repeat within a chunk, so that nothing out of place goes unnoticed.
fn bytes(length: usize) -> Vec<u8> {
    (0..length as u32).flat_map(u32::to_be_bytes).take(length).collect()
}

async fn add(casework: &Casework, number: &str, name: &str, content: &[u8]) -> FileRow {
    let mut upload = casework.begin_file(&os(), number, name, None).await.unwrap();
    // In pieces that fit no chunk.
    for piece in content.chunks(100_000) {
        upload.write(piece).await.unwrap();
    }
    upload.finish().await.unwrap()
}

/// What comes out, and why it ended if it did before its end.
async fn read(casework: &Casework, number: &str, id: i64) -> (Vec<u8>, Option<CaseworkError>) {
    let mut content = Vec::new();
    let mut download = match casework.read_file(&os(), number, id).await {
        Ok(download) => download,
        Err(error) => return (content, Some(error)),
    };
    loop {
        match download.next().await {
            Ok(Some(chunk)) => content.extend(chunk),
            Ok(None) => return (content, None),
            Err(error) => return (content, Some(error)),
        }
    }
}

fn sha256(content: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn files_of_any_length_come_out_as_they_went_in_and_who_touched_them_is_known() {
    let (database, dir) = (Database::new().await, state_dir());
    let casework = casework_with_keys(&database, dir.path()).await;
    let number = open(&casework).await;
    for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 5] {
        let content = bytes(length);
        let file = add(&casework, &number, "../a\u{202e}b/mail.eml", &content).await;
        assert_eq!((&*file.name, file.size, &file.sha256), ("mail.eml", length as i64, &sha256(&content)));
        let (got, error) = read(&casework, &number, file.id).await;
        assert!(got == content && error.is_none(), "{length} bytes: {error:?}");
        let chunks = length.div_ceil(CHUNK_BYTES).max(1) as i64;
        assert_eq!(database.number(&format!("SELECT count(*) FROM evidence_chunks WHERE file_id = {}", file.id)).await, chunks);
    }
    let secret = b"the sealed words of a witness";
    let file = add(&casework, &number, "statement.txt", secret).await;
    let found = "SELECT count(*) FROM evidence_chunks WHERE position('sealed words'::bytea IN sealed) > 0";
    assert_eq!(database.number(found).await, 0);
    assert!(casework.verify_file(&os(), &number, file.id, &mut |_, _| {}).await.unwrap().intact);
    read(&casework, &number, file.id).await;
    casework.archive_file(&os(), &number, file.id).await.unwrap();
    casework.archive_file(&os(), &number, file.id).await.unwrap();
    assert_eq!(read(&casework, &number, file.id).await.0, secret, "archived is not removed");
    let history = casework.file(&os(), &number, file.id).await.unwrap();
    let touched: Vec<&str> = history.custody.iter().map(|touch| &*touch.action).collect();
    assert_eq!(touched, ["file.begin", "file.add", "file.verify", "file.read", "file.archive", "file.read"]);
    assert!(history.custody.iter().all(|touch| touch.actor == "os:tester" && touch.via == "cli"));
    assert_eq!(history.file.archived_by.as_deref(), Some("os:tester"));

    let dossier = casework.incident(&os(), &number).await.unwrap();
    assert_eq!(dossier.files.len(), 7);
    let told: Vec<&str> = dossier.timeline.iter().map(|what| &*what.event).collect();
    assert_eq!(told.iter().filter(|event| **event == "file_added").count(), 7);
    assert_eq!(told.last(), Some(&"file_archived"));
    let other = open(&casework).await;
    assert!(matches!(read(&casework, &other, file.id).await.1, Some(CaseworkError::NotFound(_))), "of another incident");
    assert!(casework.check_audit(&os(), None, &mut |_| {}).await.unwrap().tampered.is_none());
}

#[tokio::test]
async fn whoever_tampers_with_a_file_is_found_out_before_its_last_chunk() {
    let (database, dir) = (Database::new().await, state_dir());
    let casework = casework_with_keys(&database, dir.path()).await;
    let number = open(&casework).await;
    let content = bytes(3 * CHUNK_BYTES + 5);
    for (tampering, chunks_before) in [
        (
            "UPDATE evidence_chunks SET sealed = set_byte(sealed, 70, get_byte(sealed, 70) # 1) WHERE file_id = $ AND number = 1",
            1,
        ),
        (
            "UPDATE evidence_chunks SET number = -number WHERE file_id = $ AND number IN (1, 2); \
          UPDATE evidence_chunks SET number = 3 + number WHERE file_id = $ AND number < 0",
            1,
        ),
        ("DELETE FROM evidence_chunks WHERE file_id = $ AND number = 2", 2),
        ("DELETE FROM evidence_chunks WHERE file_id = $ AND number = 3; UPDATE evidence_files SET chunks = 3 WHERE id = $", 2),
        ("UPDATE evidence_files SET chunks = 5 WHERE id = $", 3),
        ("UPDATE evidence_files SET sha256 = sha256('other') WHERE id = $", 3),
        ("UPDATE evidence_files SET size = size - 1 WHERE id = $", 3),
        (
            "UPDATE evidence_chunks c SET sealed = o.sealed FROM evidence_chunks o \
          WHERE c.file_id = $ AND o.file_id <> $ AND o.number = c.number AND c.number = 0",
            0,
        ),
        ("UPDATE evidence_files f SET file_key = o.file_key FROM evidence_files o WHERE f.id = $ AND o.id <> f.id", 0),
    ] {
        let file = add(&casework, &number, "a", &content).await;
        assert!(casework.verify_file(&os(), &number, file.id, &mut |_, _| {}).await.unwrap().intact);
        let sql = tampering.replace('$', &file.id.to_string());
        if sql.contains("o.") {
            add(&casework, &number, "other", &content).await;
        }
        database.pool.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.unwrap();
        let (got, error) = read(&casework, &number, file.id).await;
        assert!(matches!(error, Some(CaseworkError::Keys(KeyError::Broken(_)))), "{tampering}: {error:?}");
        assert_eq!(got, content[..chunks_before * CHUNK_BYTES], "{tampering}");
        let checked = casework.verify_file(&os(), &number, file.id, &mut |_, _| {}).await.unwrap();
        assert!(!checked.intact && checked.problem.is_some(), "{tampering}: {checked:?}");
        let history = casework.file(&os(), &number, file.id).await.unwrap();
        assert_eq!(history.custody.last().unwrap().new, Some(serde_json::json!({ "intact": false })));
    }
}

#[tokio::test]
async fn what_is_unfinished_is_seen_by_nobody_and_swept_and_limits_hold() {
    let (database, dir) = (Database::new().await, state_dir());
    let casework = casework_with_keys(&database, dir.path()).await;
    let number = open(&casework).await;
    let mut upload = casework.begin_file(&os(), &number, "a", None).await.unwrap();
    upload.write(&bytes(2 * CHUNK_BYTES)).await.unwrap();
    let files = async || database.number("SELECT count(*) FROM evidence_files").await;
    assert_eq!((casework.files(&os(), &number).await.unwrap(), files().await), (Vec::new(), 1));
    let id = database.number("SELECT id FROM evidence_files").await;
    assert!(matches!(casework.file(&os(), &number, id).await, Err(CaseworkError::NotFound(_))));
    assert_eq!(casework.sweep_files().await.unwrap(), 0, "it may be finished yet");
    database.pool.execute("UPDATE evidence_files SET begun_at = begun_at - interval '25 hours'").await.unwrap();
    assert_eq!(casework.sweep_files().await.unwrap(), 1);
    assert_eq!((files().await, database.number("SELECT count(*) FROM evidence_chunks").await), (0, 0));
    assert!(upload.finish().await.is_err(), "it is gone");

    let mut upload = casework.begin_file(&os(), &number, "a", None).await.unwrap();
    let most = vec![0; MAX_FILE_BYTES as usize + 1];
    assert!(matches!(upload.write(&most).await, Err(CaseworkError::TooLarge(_))));
    upload.abandon().await.unwrap();
    assert_eq!(files().await, 0);

    let viewer = Actor { role: Role::Viewer, ..os() };
    let refused = casework.begin_file(&viewer, &number, "a", None).await.err();
    assert!(matches!(refused, Some(CaseworkError::Forbidden { .. })), "{refused:?}");
    let fill = format!(
        "INSERT INTO evidence_files (incident_id, name, media_type, file_key, added_by, begun_at) \
         SELECT id, 'a', 'a/b', '', 'a', now() FROM incidents, generate_series(1, {MAX_FILES})"
    );
    database.pool.execute(sqlx::AssertSqlSafe(fill)).await.unwrap();
    let refused = casework.begin_file(&os(), &number, "a", None).await.err();
    assert!(matches!(refused, Some(CaseworkError::Conflict(_))), "{refused:?}");
}

#[tokio::test]
async fn files_outlive_the_erasure_of_a_person_and_master_keys() {
    let (database, dir) = (Database::new().await, state_dir());
    let casework = casework_with_keys(&database, dir.path()).await;
    let number = open(&casework).await;
    let content = bytes(CHUNK_BYTES + 1);
    let file = add(&casework, &number, "a", &content).await;
    let ada = Person { name: Some("Ada".into()), ..Person::default() };
    let party = casework.add_party(&os(), &number, PartyRole::Witness, &ada).await.unwrap();
    // One is on its way while the data key changes.
    let mut upload = casework.begin_file(&os(), &number, "b", None).await.unwrap();
    upload.write(&content).await.unwrap();
    let keys = "SELECT file_key FROM evidence_files ORDER BY id";
    let before = database.column(keys).await;
    casework.erase_party(&os(), &number, party, "asked for it").await.unwrap();
    let after = database.column(keys).await;
    assert!(before.iter().zip(&after).all(|(before, after)| before != after));
    casework.rotate_keys(&os(), true, &mut |_, _| {}).await.unwrap();
    let second = upload.finish().await.unwrap();
    for id in [file.id, second.id] {
        assert!(read(&casework, &number, id).await.0 == content);
    }
}

#[tokio::test]
async fn log_records_are_attached_once_and_counted_once() {
    let (database, dir) = (Database::new().await, state_dir());
    let casework = casework_with_keys(&database, dir.path()).await;
    let store = tocsin::store::Store::connect(database.options.clone()).await.unwrap();
    store.ensure_partition(Timestamp::parse_rfc3339("2026-11-20T00:00:00Z").unwrap().day()).await.unwrap();
    database
        .pool
        .execute(
            "INSERT INTO logs (id, event_time, received_at, source, event_type, severity, message) \
             SELECT n, timestamptz '2026-11-20 12:00:00Z' + n * interval '1 second', now(), 's', 'other', 'low', 'message ' || n \
             FROM generate_series(1, 5) n",
        )
        .await
        .unwrap();
    let number = open(&casework).await;
    let attach = async |logs: &[i64]| casework.attach_logs(&os(), &number, logs).await;
    let first = attach(&[3, 1, 3]).await.unwrap();
    assert_eq!((first.attached, first.already), (vec![1, 3], 0));
    let second = attach(&[1, 2, 3]).await.unwrap();
    assert_eq!((second.attached, second.already), (vec![2], 2));
    let again = attach(&[1]).await.unwrap();
    assert_eq!((again.attached, again.already), (vec![], 1));
    for wrong in [&[4, 99][..], &[], &(1..=201).collect::<Vec<_>>()] {
        let refused = attach(wrong).await;
        assert!(matches!(refused, Err(CaseworkError::Invalid { field: "logs", .. })), "{refused:?}");
    }
    let dossier = casework.incident(&os(), &number).await.unwrap();
    assert_eq!((dossier.incident.event_count, dossier.evidence.len(), dossier.incident.version), (3, 3, 3));
    assert_eq!(dossier.evidence[0].record["message"], "message 1");
    let told: Vec<_> = dossier.timeline.iter().filter(|what| what.event == "evidence").map(|what| what.new.clone()).collect();
    assert_eq!(told, [Some(serde_json::json!({ "logs": [1, 3] })), Some(serde_json::json!({ "logs": [2] }))]);
    database.pool.execute("DELETE FROM logs").await.unwrap();
    assert_eq!(attach(&[1, 2]).await.unwrap().already, 2, "they outlive the originals");
}

struct Office {
    daemon: Daemon,
    casework: Casework,
    database: Database,
    token: String,
    number: String,
    dir: tempfile::TempDir,
}

impl Office {
    async fn open() -> Office {
        let (database, dir) = (Database::new().await, state_dir());
        let configuration =
            format!("[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n", database.url());
        let daemon = Daemon::start(dir.path(), &configuration).await;
        wait_until("the daemon stores", async || {
            request(daemon.http(), "GET", "/health/ready", &[], b"").await.is_ok_and(|answer| answer.code == 200)
        })
        .await;
        let casework = casework_with_keys(&database, &dir.path().join("state")).await;
        let new = NewUser { name: "ada".into(), display_name: None, email: None, role: Role::Analyst };
        casework.create_user(&os(), &new).await.unwrap();
        database.pool.execute("UPDATE users SET must_change = false").await.unwrap();
        let token = casework.create_token(&os(), "ada", "t", Role::Analyst, 1).await.unwrap();
        let number = open(&casework).await;
        Office { daemon, casework, database, token: format!("Bearer {token}"), number, dir }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> crate::support::Answer {
        let mut all = vec![("Authorization", &*self.token)];
        all.extend(headers);
        let path = format!("/api/v1/incidents/{}{path}", self.number);
        request(self.daemon.http(), method, &path, &all, body).await.unwrap()
    }

    /// Begins a request whose body has that many bytes, and sends some of them.
    async fn begin(&self, length: u64, body: &[u8]) -> tokio::net::TcpStream {
        let mut stream = tokio::net::TcpStream::connect(self.daemon.http()).await.unwrap();
        let (number, token) = (&self.number, &self.token);
        let head = format!(
            "POST /api/v1/incidents/{number}/files?name=a HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        stream
    }
}

async fn answer(mut stream: tokio::net::TcpStream) -> String {
    let mut text = vec![0; 4096];
    let read = stream.read(&mut text).await.unwrap();
    String::from_utf8_lossy(&text[..read]).into_owned()
}

#[tokio::test]
async fn files_go_in_and_out_over_the_api_and_a_broken_one_is_not_sent_to_its_end() {
    let office = Office::open().await;
    let content = vec![b'x'; 2 * CHUNK_BYTES + 7];
    let added = office.send("POST", "/files?name=caf%C3%A9.txt", &[("Content-Type", "text/plain")], &content).await;
    assert_eq!(added.code, 201, "{}", added.body);
    let file: serde_json::Value = serde_json::from_str(&added.body).unwrap();
    assert_eq!((&file["size"], &file["media_type"]), (&content.len().into(), &"text/plain".into()));
    assert_eq!(file["sha256"], *sha256(&content));
    let path = format!("/files/{}", file["id"]);
    let got = office.send("GET", &format!("{path}/content"), &[], b"").await;
    assert!(got.code == 200 && got.body.as_bytes() == content);
    let head = got.head.to_ascii_lowercase();
    for header in [
        "content-type: application/octet-stream",
        "x-content-type-options: nosniff",
        "content-security-policy: sandbox",
        "content-disposition: attachment; filename*=utf-8''caf%c3%a9.txt",
        &format!("content-length: {}", content.len()),
    ] {
        assert!(head.contains(header), "{header}: {head}");
    }
    let checked = office.send("POST", &format!("{path}/verification"), &[], b"").await;
    assert!(checked.body.contains("\"intact\":true"), "{}", checked.body);
    let tampering = "UPDATE evidence_chunks SET sealed = set_byte(sealed, 30, get_byte(sealed, 30) # 1) WHERE number = 2";
    office.database.pool.execute(tampering).await.unwrap();
    let url = format!("/api/v1/incidents/{}{path}/content", office.number);
    let broken = request(office.daemon.http(), "GET", &url, &[("Authorization", &office.token)], b"").await;
    // The connection is cut, which may come before what was sent on it.
    assert!(broken.as_ref().map_or(true, |answer| answer.body.len() < content.len()), "{broken:?}");
    let checked = office.send("POST", &format!("{path}/verification"), &[], b"").await;
    assert_eq!((checked.code, checked.body.contains("\"intact\":false")), (200, true), "{}", checked.body);
    let history = office.send("GET", &path, &[], b"").await;
    let history: serde_json::Value = serde_json::from_str(&history.body).unwrap();
    let custody = history["custody"].as_array().unwrap();
    assert!(custody.iter().all(|touch| touch["actor"] == "ada" && touch["address"] == "127.0.0.1"), "{custody:?}");
    assert_eq!(custody.len(), 6);
    for (path, code) in [("/files?name=..", 422), ("/files", 422), ("/files?name=a&x=y", 422)] {
        let refused = office.send("POST", path, &[], b"x").await;
        assert_eq!(refused.code, code, "{path}: {}", refused.body);
    }
    assert_eq!(office.send("POST", "/files?name=a", &[("Content-Type", "rubbish")], b"x").await.code, 422);
    // Refused before a byte of it is sent.
    let refused = answer(office.begin(MAX_FILE_BYTES + 1, b"").await).await;
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
    assert_eq!(office.daemon.stop().await.0, Some(0));
}

/// More than there are connections to the database.
#[tokio::test]
async fn slow_senders_keep_nobody_waiting_and_what_they_leave_is_removed() {
    let office = Office::open().await;
    let half = vec![b'x'; CHUNK_BYTES + 1];
    let mut senders = Vec::new();
    for _ in 0..8 {
        senders.push(office.begin(2 * CHUNK_BYTES as u64, &half).await);
    }
    office.database.wait_for("SELECT count(*) FROM evidence_chunks", 8).await;
    assert_eq!(office.send("GET", "", &[], b"").await.code, 200);
    let ninth = office.send("POST", "/files?name=a", &[], b"x").await;
    assert_eq!((ninth.code, ninth.head.to_ascii_lowercase().contains("retry-after")), (503, true), "{}", ninth.body);
    let mut first = senders.remove(0);
    first.write_all(&vec![b'x'; CHUNK_BYTES - 1]).await.unwrap();
    let done = answer(first).await;
    assert!(done.starts_with("HTTP/1.1 201 "), "{done}");
    drop(senders);
    office.database.wait_for("SELECT count(*) FROM evidence_files", 1).await;
    office.database.wait_for("SELECT count(*) FROM evidence_chunks", 2).await;
    assert_eq!(office.casework.files(&os(), &office.number).await.unwrap().len(), 1);
    assert_eq!(office.daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn files_go_in_and_out_on_the_command_line() {
    let office = Office::open().await;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(tocsin());
        command.args(["incidents", "evidence"]).args(arguments).arg("--config").arg(office.dir.path().join("tocsin.toml"));
        let output = command.env_remove("TOCSIN_TOKEN").current_dir(office.dir.path()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let content = bytes(CHUNK_BYTES + 9);
    std::fs::write(office.dir.path().join("disk.img"), &content).unwrap();
    let (code, out, error) = run(&["add", &office.number, "disk.img"]);
    assert_eq!(code, 0, "{error}");
    let id = out.trim();
    let (code, _, error) = run(&["get", &office.number, id]);
    assert_eq!(code, 0, "{error}");
    let name = format!("{}-file-{id}", office.number);
    assert!(std::fs::read(office.dir.path().join(&name)).unwrap() == content);
    let (code, _, error) = run(&["get", &office.number, id, "-o", &name]);
    assert_eq!((code, error.contains("is there already")), (1, true), "{error}");
    let (code, out, _) = run(&["verify", &office.number]);
    assert_eq!((code, &*out), (0, &*format!("{id}: it is what was added\n")));
    let (code, out, _) = run(&["show", &office.number, id]);
    assert_eq!((code, out.matches("os:").count()), (0, 4), "{out}");
    office.database.pool.execute("DELETE FROM evidence_chunks WHERE number = 1").await.unwrap();
    let (code, out, _) = run(&["verify", &office.number, "--json"]);
    assert_eq!((code, out.contains("\"intact\":false")), (3, true), "{out}");
    let (code, _, error) = run(&["get", &office.number, id, "-o", "broken"]);
    assert_eq!(code, 1, "{error}");
    assert!(!office.dir.path().join("broken").exists(), "nothing half is left");
    let (code, _, error) = run(&["add", &office.number, "/"]);
    assert_eq!((code, error.contains("directory")), (1, true), "{error}");
    assert_eq!(office.daemon.stop().await.0, Some(0));
}
