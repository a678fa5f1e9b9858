//! What the API tells and takes in bulk: logs, as pages and live; reports, exports, the audit log. And how often, and under which name.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tocsin::casework::{Role, Via};
use tocsin::record::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::api::{Office, body, call};
use crate::support::{Answer, PATIENCE, send_tcp, tocsin, wait_until};

async fn get(office: &Office, token: &str, path: &str) -> Answer {
    call(office.http(), "GET", path, Some(token), &[], &Value::Null).await
}

fn header(answer: &Answer, name: &str) -> Option<String> {
    let mut lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}

/// A request whose answer does not end; reads until the head has arrived.
async fn open(to: SocketAddr, path: &str, token: &str, headers: &str) -> (String, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let head = format!("GET /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut answer) = (BufReader::new(stream), String::new());
    while !answer.ends_with("\r\n\r\n") {
        assert_ne!(tokio::time::timeout(PATIENCE, reader.read_line(&mut answer)).await.unwrap().unwrap(), 0, "{answer}");
    }
    (answer, reader)
}

/// The id and the data of the next event.
async fn event(reader: &mut BufReader<TcpStream>) -> Option<(i64, Value)> {
    let (mut id, mut data) = (None, None);
    loop {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await.expect("an event in time");
        // Chunks are ended with an empty one; a connection that is cut ends, too.
        if read.is_err() || line.is_empty() || line == "0\r\n" {
            return None;
        }
        let line = line.trim_end();
        if let Some(text) = line.strip_prefix("id: ") {
            id = text.parse().ok();
        } else if let Some(text) = line.strip_prefix("data: ") {
            data = serde_json::from_str(text).ok();
        } else if line.is_empty()
            && let (Some(id), Some(data)) = (id, data.take())
        {
            return Some((id, data));
        }
    }
}

#[tokio::test]
async fn logs_are_searched_page_by_page_and_worked_on() {
    let office = Office::open().await;
    let token = office.token("ada", Role::Analyst).await;
    let lines: String = (0..25).map(|n| format!("<38>1 - web{} sshd - - - line {n}\n", n % 2)).collect();
    send_tcp(office.daemon.tcp(), lines.as_bytes()).await.unwrap();
    office.database.wait_for("SELECT count(*) FROM logs WHERE source = 'lan'", 25).await;

    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page = get(&office, &token, &format!("/logs?q=host:web1%20source:lan&limit=5{next}")).await;
        assert_eq!(page.code, 200, "{}", page.body);
        let page = body(&page);
        seen.extend(page["logs"].as_array().unwrap().iter().map(|log| log["id"].as_i64().unwrap()));
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(seen.len(), 12);
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "the newest first: {seen:?}");

    let wrong = get(&office, &token, "/logs?q=line%20%C3%A4%20severity:worst").await;
    assert_eq!((wrong.code, body(&wrong)["field"].as_str(), body(&wrong)["position"].as_u64()), (422, Some("q"), Some(16)));
    for wrong in ["/logs?limit=0", "/logs?limit=1001", "/logs?cursor=x", "/logs?qq=x", "/logs?q=%00%22"] {
        assert_eq!(get(&office, &token, wrong).await.code, 422, "{wrong}");
    }

    let id = seen[0];
    let post = async |path: &str, given: Value| call(office.http(), "POST", path, Some(&token), &[], &given).await.code;
    assert_eq!(post(&format!("/logs/{id}/notes"), json!({ "note": "seen before" })).await, 204);
    assert_eq!(post(&format!("/logs/{id}/archive"), json!({ "reason": "a test" })).await, 204);
    assert_eq!(post(&format!("/logs/{id}/archive"), json!({})).await, 409);
    assert_eq!(post("/logs/999999999/archive", json!({})).await, 404);
    let shown = body(&get(&office, &token, &format!("/logs/{id}")).await);
    assert_eq!((shown["notes"][0]["body"].as_str(), shown["archived"]["actor"].as_str()), (Some("seen before"), Some("ada")));
    assert!(shown["original"].as_str().is_some_and(|line| line.contains("line 23")), "{shown}");
    let archived = body(&get(&office, &token, "/logs?archived=true").await);
    assert_eq!(archived["logs"].as_array().unwrap().len(), 1);
    assert_eq!(body(&get(&office, &token, "/logs?q=host:web1&limit=100").await)["logs"].as_array().unwrap().len(), 11);
    assert_eq!(post(&format!("/logs/{id}/restore"), Value::Null).await, 204);
    assert_eq!(post(&format!("/logs/{id}/restore"), Value::Null).await, 409);

    assert_eq!(post("/logs", json!({ "message": "by hand", "host": "web9", "app": "x" })).await, 202);
    assert_eq!(post("/logs", json!({ "message": "two\nlines" })).await, 422);
    office.database.wait_for("SELECT count(*) FROM logs WHERE host = 'web9' AND message = 'by hand'", 1).await;
    assert_eq!(office.daemon.stop().await.0, Some(0));
}

/// However long the lines are, an answer is not.
#[tokio::test]
async fn a_page_of_long_records_ends_early_and_goes_on() {
    let office = Office::open().await;
    let token = office.token("ada", Role::Viewer).await;
    let long = "x".repeat(300_000);
    let lines: String = (0..12).map(|n| format!("<38>1 - long x - - - {n} {long}\n")).collect();
    send_tcp(office.daemon.tcp(), lines.as_bytes()).await.unwrap();
    office.database.wait_for("SELECT count(*) FROM logs WHERE host = 'long'", 12).await;
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page = get(&office, &token, &format!("/logs?q=host:long&limit=1000{next}")).await;
        assert!(page.code == 200 && page.body.len() < 2 << 20, "{} bytes", page.body.len());
        let page = body(&page);
        seen.extend(page["logs"].as_array().unwrap().iter().map(|log| log["id"].as_i64().unwrap()));
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert!(seen.len() == 12 && seen.windows(2).all(|pair| pair[0] > pair[1]), "{seen:?}");
    assert_eq!(office.daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn logs_are_followed_from_where_somebody_was_cut_off_until_their_session_ends() {
    let office = Office::open().await;
    let token = office.token("ada", Role::Viewer).await;
    let path = "/logs/live?q=host:web1";
    let (head, mut reader) = open(office.http(), path, &token, "").await;
    assert!(head.contains("200 OK") && head.contains("text/event-stream"), "{head}");
    let send = async |n: usize| {
        let line = format!("<38>1 - web1 x - - - live {n}\n<38>1 - web2 x - - - other {n}\n");
        send_tcp(office.daemon.tcp(), line.as_bytes()).await.unwrap();
    };
    send(1).await;
    let (first, record) = event(&mut reader).await.unwrap();
    assert_eq!((record["message"].as_str(), record["id"].as_i64()), (Some("live 1"), Some(first)));
    drop(reader);
    // Meanwhile …
    send(2).await;
    office.database.wait_for("SELECT count(*) FROM logs WHERE message LIKE 'live %'", 2).await;
    let (_, mut reader) = open(office.http(), path, &token, &format!("Last-Event-ID: {first}\r\n")).await;
    assert_eq!(event(&mut reader).await.unwrap().1["message"], "live 2");
    send(3).await;
    assert_eq!(event(&mut reader).await.unwrap().1["message"], "live 3");

    // It takes none of the connections of casework while it waits: many wait, and everything else works.
    let mut others = Vec::new();
    for _ in 0..31 {
        let (head, reader) = open(office.http(), path, &token, "").await;
        assert!(head.contains("200 OK"), "{head}");
        others.push(reader);
    }
    let full = get(&office, &token, path).await;
    assert_eq!((full.code, header(&full, "retry-after").as_deref()), (429, Some("5")), "{}", full.body);
    assert_eq!(get(&office, &token, "/me").await.code, 200);
    drop(others);
    wait_until("there is room again", async || open(office.http(), path, &token, "").await.0.contains("200 OK")).await;

    assert_eq!(call(office.http(), "DELETE", "/session", Some(&token), &[], &Value::Null).await.code, 204);
    assert_eq!(event(&mut reader).await, None, "it ends with the session");

    // And with the daemon, at once.
    let token = office.token("bob", Role::Viewer).await;
    let (_, mut reader) = open(office.http(), path, &token, "").await;
    let (code, took) = office.daemon.stop().await;
    assert!(code == Some(0) && took < Duration::from_secs(10), "{code:?} {took:?}");
    assert_eq!(event(&mut reader).await, None);
}

/// Watching is not using.
#[tokio::test]
async fn a_session_that_only_follows_goes_idle() {
    let office = Office::open().await;
    let token = office.token("ada", Role::Viewer).await;
    let (_, mut reader) = open(office.http(), "/logs/live", &token, "").await;
    sqlx::query("UPDATE sessions SET last_used_at = now() - interval '29 minutes 57 seconds'")
        .execute(&office.database.pool)
        .await
        .unwrap();
    assert!(office.casework.still_recognise(&token, Via::Api, None).await.is_ok());
    assert_eq!(event(&mut reader).await, None);
    assert_eq!(get(&office, &token, "/me").await.code, 401);
    assert_eq!(office.daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn reports_come_as_what_was_asked_for() {
    let office = Office::open().await;
    let token = office.token("ada", Role::Viewer).await;
    let weekly = get(&office, &token, "/reports/weekly").await;
    assert_eq!((weekly.code, body(&weekly)["incidents_by_severity"][0]["name"].as_str()), (200, Some("critical")));
    let csv = get(&office, &token, "/reports/metrics?format=csv&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z").await;
    assert_eq!(header(&csv, "content-type").as_deref(), Some("text/csv; charset=utf-8; header=present"));
    let name = "attachment; filename=\"security-metrics-2026-01-01-to-2026-01-31.csv\"";
    assert_eq!(header(&csv, "content-disposition").as_deref(), Some(name));
    let html = get(&office, &token, "/reports/metrics?format=html").await;
    assert_eq!(header(&html, "content-type").as_deref(), Some("text/html; charset=utf-8"));
    let policy = header(&html, "content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"), "{policy}");
    assert!(html.body.starts_with("<!DOCTYPE html>"));
    for (wrong, field) in [
        ("/reports/weekly?format=pdf", None),
        ("/reports/weekly?until=now", Some("until")),
        ("/reports/metrics?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", Some("to")),
        ("/reports/metrics?from=1926-01-01T00:00:00Z", Some("from")),
    ] {
        let answer = get(&office, &token, wrong).await;
        assert_eq!((answer.code, body(&answer)["field"].as_str()), (422, field), "{wrong}: {}", answer.body);
    }
    for extreme in ["0001-01-01T00:00:00Z", "9999-12-30T22:00:00Z"] {
        let answer = get(&office, &token, &format!("/reports/weekly?until={extreme}")).await;
        assert_eq!(answer.code, 200, "{}", answer.body);
        assert!(Timestamp::parse_rfc3339(body(&answer)["to"].as_str().unwrap()).is_ok(), "{}", answer.body);
    }
    assert_eq!(office.daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn an_export_is_streamed_and_ends_with_its_client() {
    let office = Office::open().await;
    let token = office.token("ada", Role::Analyst).await;
    assert_eq!(get(&office, &token, "/export/users.csv").await.code, 404);
    assert_eq!(get(&office, &token, "/export/logs.csv?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z").await.code, 422);
    // More than any buffer on the way holds.
    let partition = "SELECT ensure_log_partition(date '2026-11-20')";
    sqlx::query(partition).execute(&office.database.pool).await.unwrap();
    let rows = "INSERT INTO logs (id, event_time, received_at, source, event_type, severity, message) \
                SELECT n, timestamptz '2026-11-20 00:00Z' + n * interval '1 ms', now(), 'x', 'other', 'low', repeat('m', 1000) \
                FROM generate_series(1, 60000) n";
    sqlx::query(rows).execute(&office.database.pool).await.unwrap();
    let whole = "/export/logs.csv?from=2026-11-20T00:00:00Z&to=2026-11-21T00:00:00Z";
    let (head, mut reader) = open(office.http(), whole, &token, "Connection: close\r\n").await;
    let today = Timestamp::now().to_string();
    assert!(head.contains(&format!("tocsin-logs-{}.csv", &today[..10])) && head.contains("text/csv"), "{head}");
    let mut all = Vec::new();
    reader.read_to_end(&mut all).await.unwrap();
    assert!(all.len() > 60_000 * 1_000 && all.ends_with(b"\r\n0\r\n\r\n"), "{} bytes", all.len());

    let ended = "SELECT count(*) FROM audit_log WHERE action = 'export.end' AND new ->> 'complete' = ";
    office.database.wait_for(&format!("{ended} 'true'"), 1).await;
    let (_, mut first) = open(office.http(), whole, &token, "").await;
    first.read_exact(&mut [0; 1000]).await.unwrap();
    let (_, second) = open(office.http(), whole, &token, "").await;
    let third = get(&office, &token, whole).await;
    assert_eq!(third.code, 429, "two at a time");
    assert_eq!(get(&office, &token, "/me").await.code, 200, "others are served meanwhile");
    drop((first, second));
    office.database.wait_for(&format!("{ended} 'false'"), 2).await;
    assert_eq!(get(&office, &token, "/export/tasks.csv").await.code, 200);
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tocsin' \
                AND state = 'active' AND query LIKE 'SELECT id, event_time%'";
    office.database.wait_for(busy, 0).await;
    assert_eq!(office.daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn the_audit_log_is_listed_and_checked() {
    let office = Office::open().await;
    let token = office.token("ada", Role::Admin).await;
    for n in 0..7 {
        let given = json!({ "name": format!("user{n}"), "role": "viewer" });
        assert_eq!(call(office.http(), "POST", "/users", Some(&token), &[], &given).await.code, 201);
    }
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page = body(&get(&office, &token, &format!("/audit?action=user.create&actor=ada&limit=3{next}")).await);
        seen.extend(page["acts"].as_array().unwrap().iter().map(|act| act["subject"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next"].as_i64() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(seen, (0..7).rev().map(|n| format!("user:user{n}")).collect::<Vec<_>>());
    let count = async |path: &str| body(&get(&office, &token, path).await)["acts"].as_array().unwrap().len();
    assert_eq!(count("/audit?subject=user:user3").await, 1);
    assert_eq!(count("/audit?action=user.*&actor=ada").await, 8, "and a password that was changed");
    assert_eq!(count("/audit?from=2999-01-01T00:00:00Z").await, 0);
    assert_eq!(
        count("/audit?to=2999-01-01T00:00:00Z&limit=500").await as i64,
        office.database.number("SELECT count(*) FROM audit_log").await
    );

    let verdict = body(&get(&office, &token, "/audit/verify").await);
    assert_eq!((verdict["tampered"].is_null(), verdict["head"].as_str().unwrap().len()), (true, 64));
    let head = verdict["head"].as_str().unwrap();
    assert!(body(&get(&office, &token, &format!("/audit/verify?head={head}")).await)["tampered"].is_null());
    let other = "0".repeat(64);
    assert!(!body(&get(&office, &token, &format!("/audit/verify?head={other}")).await)["tampered"].is_null());
    assert_eq!(get(&office, &token, "/audit/verify?head=xyz").await.code, 422);
    let mut command = std::process::Command::new(tocsin());
    let listing = ["audit", "list", "--action", "user.create", "--actor", "ada", "--limit", "2", "--json", "--config"];
    let output = command.args(listing).arg(office.configuration()).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed.iter().map(|act| act["subject"].as_str().unwrap()).collect::<Vec<_>>(), ["user:user6", "user:user5"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("--cursor"));
    for sql in ["ALTER TABLE audit_log DISABLE TRIGGER ALL", "UPDATE audit_log SET actor = 'eve' WHERE id = 4"] {
        sqlx::query(sql).execute(&office.database.pool).await.unwrap();
    }
    assert_eq!(body(&get(&office, &token, "/audit/verify").await)["tampered"]["id"], 4);
    assert_eq!(office.daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn searches_are_kept_shared_and_used() {
    let office = Office::open().await;
    let (ada, bob) = (office.token("ada", Role::Viewer).await, office.token("bob", Role::Analyst).await);
    let admin = office.token("root", Role::Admin).await;
    let send = async |token: &str, method: &str, path: &str, given: Value| {
        call(office.http(), method, path, Some(token), &[], &given).await
    };
    let guesses = json!({ "kind": "logs", "name": "guesses", "query": "event_type:login_failed -user:root" });
    let kept = send(&ada, "POST", "/searches", guesses.clone()).await;
    assert_eq!(kept.code, 201, "{}", kept.body);
    let id = body(&kept)["id"].as_i64().unwrap();
    assert_eq!(send(&ada, "POST", "/searches", guesses.clone()).await.code, 409, "the name is taken");
    assert_eq!(send(&bob, "POST", "/searches", guesses).await.code, 201, "each has names of their own");
    for (wrong, field) in [
        (json!({ "kind": "logs", "name": "x", "query": "severity:worst" }), Some("query")),
        (json!({ "kind": "incidents", "name": "x", "query": "status=closed" }), Some("status")),
        (json!({ "kind": "incidents", "name": "x", "query": "colour=red" }), Some("query")),
        (json!({ "kind": "logs", "name": "a/b", "query": "" }), Some("name")),
        (json!({ "kind": "tasks", "name": "x", "query": "" }), Some("kind")),
    ] {
        let answer = send(&ada, "POST", "/searches", wrong.clone()).await;
        assert_eq!((answer.code, body(&answer)["field"].as_str()), (422, field), "{wrong}: {}", answer.body);
    }
    let open = json!({ "kind": "incidents", "name": "bad", "query": "status=open&min_severity=high", "shared": true });
    assert_eq!(send(&bob, "POST", "/searches", open).await.code, 201);
    let names = async |token: &str, query: &str| -> Vec<String> {
        let page = body(&send(token, "GET", &format!("/searches{query}"), Value::Null).await);
        let text = |row: &Value| format!("{}/{}", row["owner"].as_str().unwrap(), row["name"].as_str().unwrap());
        page["searches"].as_array().unwrap().iter().map(text).collect()
    };
    assert_eq!(names(&ada, "").await, ["ada/guesses", "bob/bad"], "one's own and what is shared");
    assert_eq!(names(&ada, "?kind=logs").await, ["ada/guesses"]);
    assert_eq!(names(&admin, "").await, ["ada/guesses", "bob/guesses", "bob/bad"]);
    assert_eq!(names(&admin, "?limit=1&cursor=1").await, ["bob/guesses"]);

    let path = format!("/searches/{id}");
    assert_eq!(send(&bob, "PATCH", &path, json!({ "shared": true })).await.code, 404, "what is not shared is not there");
    let shared = send(&ada, "PATCH", &path, json!({ "shared": true })).await;
    assert_eq!((shared.code, body(&shared)["version"].as_i64()), (200, Some(2)), "{}", shared.body);
    let late = call(office.http(), "PATCH", &path, Some(&ada), &[("If-Match", "\"1\"")], &json!({ "name": "late" })).await;
    assert_eq!(late.code, 412, "{}", late.body);
    assert_eq!(send(&bob, "PATCH", &path, json!({ "query": "x" })).await.code, 404, "only its owner changes it");
    assert_eq!(send(&bob, "DELETE", &path, Value::Null).await.code, 403);
    assert_eq!(send(&admin, "DELETE", &path, Value::Null).await.code, 204);
    assert_eq!(send(&ada, "DELETE", &path, Value::Null).await.code, 404);
    let acts = "SELECT action FROM audit_log WHERE subject = 'search:1' ORDER BY id";
    assert_eq!(office.database.column(acts).await, ["search.save", "search.change", "search.delete"]);

    // On the command line.
    send_tcp(office.daemon.tcp(), b"<38>1 - web1 x - - - found\n<38>1 - web2 x - - - found\n").await.unwrap();
    office.database.wait_for("SELECT count(*) FROM logs WHERE message = 'found'", 2).await;
    let cli = |arguments: &[&str]| {
        let mut command = std::process::Command::new(tocsin());
        let output = command.arg("logs").args(arguments).arg("--config").arg(office.configuration()).output().unwrap();
        let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        (output.status.code(), out, error)
    };
    assert_eq!(cli(&["saved", "add", "web", "found source:lan"]).0, Some(0));
    assert_eq!(cli(&["saved", "edit", "web", "--shared", "true"]).0, Some(0));
    let (code, out, _) = cli(&["search", "--saved", "web", "--json"]);
    assert_eq!((code, out.lines().count()), (Some(0), 2), "{out}");
    let (code, out, _) = cli(&["--saved", "web", "host:web1", "--json"]);
    assert_eq!((code, out.lines().count()), (Some(0), 1), "{out}");
    let (_, out, _) = cli(&["saved", "list"]);
    assert!(out.contains("found source:lan") && out.contains("yes"), "{out}");
    let (code, _, error) = cli(&["search", "--saved", "none"]);
    assert!(code == Some(1) && error.contains("there is no saved search"), "{code:?} {error}");
    assert_eq!(cli(&["saved", "delete", "web"]).0, Some(0));
    assert_eq!(office.daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn who_asks_too_often_waits_and_nobody_else() {
    let office = Office::open_with("api_requests_per_minute = 1\napi_burst = 4\napi_sign_ins_per_minute = 6\n").await;
    let (ada, bob) = (office.token("ada", Role::Viewer).await, office.token("bob", Role::Viewer).await);
    let me = async |token: &str| get(&office, token, "/me").await;
    for left in (0..4).rev() {
        let answer = me(&ada).await;
        assert_eq!(answer.code, 200);
        assert_eq!(header(&answer, "ratelimit-policy").as_deref(), Some("\"requests\";q=4;w=240"));
        assert!(header(&answer, "ratelimit").unwrap().starts_with(&format!("\"requests\";r={left};t=")), "{}", answer.head);
    }
    let refused = me(&ada).await;
    assert_eq!(refused.code, 429);
    let wait: u64 = header(&refused, "retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(body(&refused)["status"], 429);
    assert_eq!(me(&bob).await.code, 200, "each user has a bucket");

    // An address from which nobody was recognised, and somebody who was at the same one.
    let codes: Vec<u16> = {
        let mut codes = Vec::new();
        for n in 0..6 {
            codes.push(me(&format!("tct_{n:064}")).await.code);
        }
        codes
    };
    assert_eq!(codes, [401, 401, 401, 401, 429, 429]);
    assert_eq!(me(&bob).await.code, 200);
    assert_eq!(call(office.http(), "GET", "/openapi.json", None, &[], &Value::Null).await.code, 429);

    let mut codes = Vec::new();
    for _ in 0..6 {
        let given = json!({ "name": "nobody", "password": "guess" });
        codes.push(call(office.http(), "POST", "/session", None, &[], &given).await.code);
    }
    assert_eq!(codes, [401, 401, 401, 401, 429, 429], "after two who signed in");
    assert_eq!(office.daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn every_answer_has_an_id_that_the_log_knows() {
    let office = Office::open().await;
    let token = office.token("ada", Role::Viewer).await;
    let ask =
        async |path: &str, id: &str| call(office.http(), "GET", path, Some(&token), &[("X-Request-Id", id)], &Value::Null).await;
    assert_eq!(header(&ask("/me", "of-mine.7").await, "x-request-id").as_deref(), Some("of-mine.7"));
    for insane in ["two words", "<script>", &"a".repeat(65)] {
        let made = header(&ask("/me", insane).await, "x-request-id").unwrap();
        assert!(made.len() == 32 && made.bytes().all(|b| b.is_ascii_hexdigit()), "{made}");
    }
    for path in ["/nothing/there", "/", "/users", "/logs?q=(%22"] {
        let problem = ask(path, "of-mine.8").await;
        assert_eq!(body(&problem)["request_id"], "of-mine.8", "{path}: {}", problem.body);
        assert_eq!(header(&problem, "x-request-id").as_deref(), Some("of-mine.8"));
        assert_eq!(header(&problem, "content-type").as_deref(), Some("application/problem+json"));
    }
    let outside = crate::support::request(office.http(), "GET", "/health/live", &[("X-Request-Id", "x")], b"").await.unwrap();
    assert_eq!(header(&outside, "x-request-id"), None, "only of the API");
    sqlx::query("ALTER TABLE incident_tasks RENAME TO lost").execute(&office.database.pool).await.unwrap();
    let failed = ask("/tasks", "of-mine.9").await;
    assert_eq!((failed.code, body(&failed)["request_id"].as_str()), (500, Some("of-mine.9")), "{}", failed.body);
    assert!(!failed.body.contains("incident_tasks"), "{}", failed.body);
    let told = |line: &String| line.contains("of-mine.9") && line.contains("refused a request");
    wait_until("our own log has it", async || office.daemon.log().iter().any(told)).await;
    assert_eq!(office.daemon.stop().await.0, Some(0));
}
