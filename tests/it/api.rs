//! The API of the running daemon: who may do what on every route, what it says when something is wrong, and what it promises in its own
//! description.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tocsin::casework::sessions::Origin;
use tocsin::casework::users::NewUser;
use tocsin::casework::{Actor, Casework, Permission, Role, Via};

use crate::support::{Answer, Daemon, Database, casework_with_keys, request, state_dir, wait_until};

const PASSWORD: &str = "correct-horse-battery";

/// A running daemon, and a way into it.
pub struct Office {
    pub daemon: Daemon,
    pub casework: Casework,
    pub database: Database,
    dir: tempfile::TempDir,
}

impl Office {
    /// One that lets everybody ask as often as they like.
    pub async fn open() -> Office {
        Office::open_with("api_requests_per_minute = 1000000\napi_burst = 1000000\napi_sign_ins_per_minute = 1000000\n").await
    }

    /// One with these settings of `[http]`.
    pub async fn open_with(http: &str) -> Office {
        let (database, dir) = (Database::new().await, state_dir());
        let configuration =
            format!("[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n", database.url());
        let daemon = Daemon::start_with_http(dir.path(), &configuration, http).await;
        let http = daemon.http();
        wait_until("the daemon stores", async || {
            request(http, "GET", "/health/ready", &[], b"").await.is_ok_and(|answer| answer.code == 200)
        })
        .await;
        let casework = casework_with_keys(&database, &dir.path().join("state")).await;
        Office { daemon, casework, database, dir }
    }

    /// A token of a user of that role.
    pub async fn token(&self, name: &str, role: Role) -> String {
        let new = NewUser { name: name.to_owned(), display_name: None, email: None, role };
        let once = self.casework.create_user(&Actor::operator("tester"), &new).await.unwrap();
        let (_, actor) = self.casework.sign_in(name, once.clone(), Via::Api, &Origin::default()).await.unwrap();
        self.casework.change_own_password(&actor, once, PASSWORD.to_owned()).await.unwrap();
        let answer = call(self.http(), "POST", "/session", None, &[], &json!({ "name": name, "password": PASSWORD })).await;
        assert_eq!(answer.code, 201, "{}", answer.body);
        body(&answer)["token"].as_str().unwrap().to_owned()
    }

    /// Where its configuration is.
    pub fn configuration(&self) -> std::path::PathBuf {
        self.dir.path().join("tocsin.toml")
    }

    pub fn http(&self) -> SocketAddr {
        self.daemon.http()
    }
}

pub async fn call(
    to: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    headers: &[(&str, &str)],
    body: &Value,
) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut all = vec![("Content-Type", "application/json")];
    all.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
    all.extend(headers);
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    request(to, method, &format!("/api/v1{path}"), &all, &body).await.unwrap()
}

pub fn body(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.body))
}

fn etag(answer: &Answer) -> String {
    let line = answer.head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("etag: ").map(str::to_owned));
    line.unwrap_or_else(|| panic!("no ETag: {}", answer.head))
}

/// The role table, over every route that the API describes.
#[tokio::test]
async fn every_route_lets_in_whom_the_role_table_lets_in() {
    let office = Office::open().await;
    let number = {
        let os = Actor::operator("tester");
        let new = tocsin::casework::incidents::NewIncident {
            title: "x".into(),
            description: String::new(),
            severity: tocsin::record::Severity::Low,
            category: tocsin::record::case::Category::Other,
            first_seen: None,
        };
        office.casework.open_incident(&os, &new).await.unwrap()
    };
    let os = Actor::operator("tester");
    let note = office.casework.add_note(&os, &number, tocsin::record::case::NoteKind::Note, "n").await.unwrap();
    let task = tocsin::casework::tasks::TaskEdit { title: Some("t".into()), ..Default::default() };
    let task = office.casework.add_task(&os, &number, &task).await.unwrap();
    let person = tocsin::casework::parties::Person { name: Some("n".into()), ..Default::default() };
    let party = office.casework.add_party(&os, &number, tocsin::record::case::PartyRole::Victim, &person).await.unwrap();
    let upload = office.casework.begin_file(&os, &number, "a", None).await.unwrap();
    let file = upload.finish().await.unwrap().id;
    let user = json!({ "name": "someone", "role": "viewer" });
    // What each route takes; `None`: whoever is signed in.
    let routes = [
        ("get", "/logs?q=last:1h", Some(Permission::ReadLogs), Value::Null),
        ("post", "/logs", Some(Permission::WriteLogs), json!({ "message": "hello" })),
        ("get", "/logs/{id}", Some(Permission::ReadLogs), Value::Null),
        ("post", "/logs/{id}/notes", Some(Permission::WriteLogs), json!({ "note": "n" })),
        ("post", "/logs/{id}/archive", Some(Permission::WriteLogs), json!({})),
        ("post", "/logs/{id}/restore", Some(Permission::WriteLogs), Value::Null),
        // With a right query it does not end.
        ("get", "/logs/live?q=severity:none", Some(Permission::ReadLogs), Value::Null),
        ("get", "/reports/weekly", Some(Permission::ReadReports), Value::Null),
        ("get", "/reports/metrics?format=html", Some(Permission::ReadReports), Value::Null),
        ("get", "/export/{file}", Some(Permission::Export), Value::Null),
        ("get", "/searches", Some(Permission::ReadLogs), Value::Null),
        ("post", "/searches", Some(Permission::ReadLogs), json!({ "kind": "logs", "name": "s", "query": "x" })),
        ("patch", "/searches/{id}", Some(Permission::ReadLogs), json!({})),
        ("delete", "/searches/{id}", Some(Permission::ReadLogs), Value::Null),
        ("get", "/audit", Some(Permission::ReadAudit), Value::Null),
        ("get", "/audit/verify", Some(Permission::ReadAudit), Value::Null),
        ("get", "/me", None, Value::Null),
        ("post", "/me/password", None, json!({ "old": "not it", "new": "x" })),
        ("post", "/me/totp", None, json!({ "password": PASSWORD })),
        ("post", "/me/totp/confirm", None, json!({ "code": "x" })),
        ("delete", "/me/totp", None, json!({ "code": "x" })),
        ("delete", "/users/{name}/totp", Some(Permission::ManageUsers), Value::Null),
        ("get", "/tokens", None, Value::Null),
        ("post", "/tokens", None, json!({ "name": "", "role": "viewer", "days": 1 })),
        ("delete", "/tokens/{user}/{name}", Some(Permission::ManageUsers), Value::Null),
        ("get", "/users", Some(Permission::ManageUsers), Value::Null),
        ("post", "/users", Some(Permission::ManageUsers), user),
        ("patch", "/users/{name}", Some(Permission::ManageUsers), json!({})),
        ("post", "/users/{name}/password", Some(Permission::ManageUsers), Value::Null),
        ("delete", "/users/{name}/sessions", Some(Permission::ManageUsers), Value::Null),
        ("get", "/incidents", Some(Permission::ReadIncidents), Value::Null),
        ("post", "/incidents", Some(Permission::WorkIncidents), json!({ "title": "t", "severity": "low" })),
        ("get", "/incidents/{number}", Some(Permission::ReadIncidents), Value::Null),
        ("patch", "/incidents/{number}", Some(Permission::WorkIncidents), json!({})),
        ("get", "/incidents/{number}/report", Some(Permission::Export), Value::Null),
        ("post", "/incidents/{number}/notes", Some(Permission::WorkIncidents), json!({ "body": "b" })),
        ("put", "/incidents/{number}/notes/{id}", Some(Permission::WorkIncidents), json!({ "body": "b" })),
        ("get", "/parties?value=x", Some(Permission::ReadParties), Value::Null),
        ("get", "/incidents/{number}/parties", Some(Permission::ReadParties), Value::Null),
        ("post", "/incidents/{number}/parties", Some(Permission::WorkIncidents), json!({ "role": "victim", "name": "n" })),
        ("patch", "/incidents/{number}/parties/{id}", Some(Permission::WorkIncidents), json!({ "role": "witness" })),
        ("post", "/incidents/{number}/parties/{id}/erasure", Some(Permission::PurgeIncidents), json!({ "reason": "r" })),
        ("get", "/incidents/{number}/files", Some(Permission::ReadIncidents), Value::Null),
        ("post", "/incidents/{number}/files?name=a", Some(Permission::WorkIncidents), json!("b")),
        ("get", "/incidents/{number}/files/{id}", Some(Permission::ReadIncidents), Value::Null),
        ("get", "/incidents/{number}/files/{id}/content", Some(Permission::ReadIncidents), Value::Null),
        ("post", "/incidents/{number}/files/{id}/verification", Some(Permission::ReadIncidents), Value::Null),
        ("delete", "/incidents/{number}/files/{id}", Some(Permission::WorkIncidents), Value::Null),
        ("post", "/incidents/{number}/evidence", Some(Permission::WorkIncidents), json!({ "logs": [1] })),
        ("get", "/incidents/{number}/observables", Some(Permission::ReadIncidents), Value::Null),
        (
            "post",
            "/incidents/{number}/observables",
            Some(Permission::WorkIncidents),
            json!({ "kind": "domain", "value": "evil[.]com" }),
        ),
        ("patch", "/incidents/{number}/observables/{id}", Some(Permission::WorkIncidents), json!({ "tlp": "red" })),
        ("delete", "/incidents/{number}/observables/{id}", Some(Permission::WorkIncidents), Value::Null),
        ("get", "/observables", Some(Permission::ReadIncidents), Value::Null),
        ("post", "/incidents/{number}/links", Some(Permission::WorkIncidents), json!({ "kind": "related", "incident": "x" })),
        ("delete", "/incidents/{number}/links/{kind}/{other}", Some(Permission::WorkIncidents), Value::Null),
        ("post", "/incidents/{number}/merge", Some(Permission::WorkIncidents), json!({ "from": "x" })),
        (
            "post",
            "/incidents/{number}/split",
            Some(Permission::WorkIncidents),
            json!({ "title": "t", "severity": "low", "notes": [0] }),
        ),
        ("delete", "/incidents/{number}", Some(Permission::PurgeIncidents), json!({ "reason": "r" })),
        ("get", "/tasks", Some(Permission::ReadIncidents), Value::Null),
        ("post", "/incidents/{number}/tasks", Some(Permission::WorkIncidents), json!({ "title": "t" })),
        ("patch", "/tasks/{id}", Some(Permission::WorkIncidents), json!({})),
        ("put", "/incidents/{number}/hold", Some(Permission::Maintain), json!({ "reason": "r" })),
        ("delete", "/incidents/{number}/hold", Some(Permission::Maintain), json!({ "reason": "r" })),
        ("get", "/incidents/due", Some(Permission::ReadIncidents), Value::Null),
        ("post", "/incidents/{number}/false-positive", Some(Permission::WorkIncidents), json!({ "reason": "r" })),
        ("get", "/suppressions", Some(Permission::ReadIncidents), Value::Null),
        ("delete", "/suppressions/{id}", Some(Permission::WorkIncidents), Value::Null),
        ("get", "/assets", Some(Permission::ReadIncidents), Value::Null),
        (
            "post",
            "/assets",
            Some(Permission::ManageAssets),
            json!({ "name": "a", "matches": ["10.0.0.1"], "criticality": "low" }),
        ),
        ("patch", "/assets/{name}", Some(Permission::ManageAssets), json!({})),
        ("delete", "/assets/{name}", Some(Permission::ManageAssets), Value::Null),
        ("get", "/maintenance", Some(Permission::Maintain), Value::Null),
        ("post", "/maintenance", Some(Permission::Maintain), Value::Null),
        ("get", "/backups", Some(Permission::Maintain), Value::Null),
        ("post", "/backups", Some(Permission::Maintain), Value::Null),
        ("post", "/backups/{name}/verify", Some(Permission::Maintain), Value::Null),
        ("get", "/keys", Some(Permission::Maintain), Value::Null),
        ("post", "/keys/rotate", Some(Permission::Maintain), json!({})),
        ("delete", "/session", None, Value::Null),
    ];
    let described = body(&call(office.http(), "GET", "/openapi.json", None, &[], &Value::Null).await);
    let mut all: Vec<(String, String)> = described["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone())))
        .collect();
    all.retain(|(method, path)| !(method == "post" && path == "/api/v1/session"));
    all.sort();
    let mut tested: Vec<(String, String)> =
        routes.iter().map(|(method, path, ..)| (method.to_string(), format!("/api/v1{}", without_query(path)))).collect();
    tested.sort();
    assert_eq!(tested, all, "each route that the API describes is tested");
    for role in Role::ALL {
        let token = office.token(&format!("a-{role}"), role).await;
        for (method, template, permission, given) in &routes {
            let id = match template {
                path if path.contains("notes") => note,
                path if path.contains("parties") => party,
                path if path.contains("files") => file,
                _ => task,
            };
            let path = template
                .replace("{number}", &number)
                .replace("{id}", &id.to_string())
                .replace("{file}", "tasks.csv")
                .replace("{kind}", "related")
                .replace("{other}", "nobody")
                .replace("{user}", "nobody")
                .replace("{name}", "nobody");
            let method = method.to_uppercase();
            let nobody = call(office.http(), &method, &path, None, &[], given).await;
            assert_eq!(nobody.code, 401, "{method} {path}: {}", nobody.body);
            let answer = call(office.http(), &method, &path, Some(&token), &[], given).await;
            let may = permission.is_none_or(|permission| role.may(permission));
            assert_eq!(answer.code != 403, may, "{role}: {method} {path}: {} {}", answer.code, answer.body);
            assert!(answer.code < 500, "{role}: {method} {path}: {}", answer.body);
            let described = &described["paths"][format!("/api/v1{}", without_query(template))];
            assert!(
                described[method.to_lowercase()]["responses"].get(answer.code.to_string()).is_some(),
                "{method} {path}: {} is not described",
                answer.code
            );
            if answer.code >= 400 {
                assert_eq!(body(&answer)["status"], answer.code, "a problem says its status");
            }
        }
    }
    assert_eq!(office.daemon.stop().await.0, Some(0));
}

fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}

#[tokio::test]
async fn who_has_not_seen_the_last_change_is_told_and_what_is_wrong_is_named() {
    let office = Office::open().await;
    let token = office.token("ada", Role::Analyst).await;
    let call = async |method: &str, path: &str, headers: &[(&str, &str)], given: Value| {
        call(office.http(), method, path, Some(&token), headers, &given).await
    };
    let opened = call("POST", "/incidents", &[], json!({ "title": "Stolen", "severity": "high", "category": "fraud" })).await;
    assert_eq!(opened.code, 201, "{}", opened.body);
    let path = format!("/incidents/{}", body(&opened)["number"].as_str().unwrap());
    let shown = call("GET", &path, &[], Value::Null).await;
    assert_eq!((shown.code, body(&shown)["priority"].as_str()), (200, Some("P2")));
    let (first, edit) = (etag(&shown), json!({ "status": "investigating", "assignee": "ada" }));
    let edited = call("PATCH", &path, &[("If-Match", &first)], edit.clone()).await;
    assert_eq!((edited.code, etag(&edited)), (200, "\"2\"".to_owned()), "{}", edited.body);
    let late = call("PATCH", &path, &[("If-Match", &first)], json!({ "title": "Late" })).await;
    assert_eq!(late.code, 412, "{}", late.body);
    assert_eq!(call("PATCH", &path, &[("If-Match", "rubbish")], json!({})).await.code, 412);
    for (given, code, field) in [
        (json!({ "status": "open" }), 422, Some("status")),
        (json!({ "status": "resolved" }), 422, Some("resolution")),
        (json!({ "severity": "worst" }), 422, Some("severity")),
        (json!({ "assignee": "nobody" }), 422, Some("assignee")),
        (json!({ "title": "a\u{1b}[31mb" }), 422, Some("title")),
        (json!({ "title": "a\u{0}b" }), 422, Some("title")),
        (json!({ "technique": "1110" }), 422, Some("technique")),
        (json!({ "colour": "red" }), 422, None),
        (json!({ "title": 7 }), 422, None),
        (json!("text"), 422, None),
    ] {
        let answer = call("PATCH", &path, &[], given.clone()).await;
        assert_eq!(answer.code, code, "{given}: {}", answer.body);
        assert_eq!(body(&answer)["field"].as_str(), field, "{given}: {}", answer.body);
        assert!(answer.head.contains("application/problem+json"), "{}", answer.head);
    }
    assert_eq!(call("GET", "/incidents/INC-1999-000001", &[], Value::Null).await.code, 404);
    assert_eq!(call("GET", "/incidents/%00", &[], Value::Null).await.code, 422);
    assert_eq!(call("GET", "/incidents?text=%00", &[], Value::Null).await.code, 422);
    assert_eq!(call("GET", "/incidents?cursor=zzz", &[], Value::Null).await.code, 422);
    assert_eq!(call("DELETE", "/incidents", &[], Value::Null).await.code, 405);
    let huge = call("PATCH", &path, &[], json!({ "description": "x".repeat(2 << 20) })).await;
    assert_eq!(huge.code, 413, "{}", huge.body);
    let hostile = "'; DROP TABLE incidents; -- <script>alert(1)</script> =1+1 \u{202e}";
    assert_eq!(call("PATCH", &path, &[], json!({ "description": hostile })).await.code, 200);
    assert_eq!(body(&call("GET", &path, &[], Value::Null).await)["description"], hostile);
    for n in 0..5 {
        call("POST", "/incidents", &[], json!({ "title": format!("n {n}"), "severity": "low" })).await;
    }
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page = body(&call("GET", &format!("/incidents?limit=2{next}"), &[], Value::Null).await);
        seen.extend(page["incidents"].as_array().unwrap().iter().map(|i| i["title"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(seen, ["n 4", "n 3", "n 2", "n 1", "n 0", "Stolen"]);
    assert_eq!(office.daemon.stop().await.0, Some(0));
}

/// Guessing passwords of ours is an attack like any other.
#[tokio::test]
async fn refused_attempts_to_sign_in_are_log_records_and_make_an_incident() {
    let office = Office::open().await;
    for name in ["admin", "ada", "bob", "eve", "root"] {
        let answer = call(office.http(), "POST", "/session", None, &[], &json!({ "name": name, "password": "guess" })).await;
        assert_eq!(answer.code, 401, "{}", answer.body);
    }
    office.database.wait_for("SELECT count(*) FROM logs WHERE source = 'tocsin' AND event_type = 'login_failed'", 5).await;
    office
        .database
        .wait_for("SELECT count(*) FROM incidents WHERE detector = 'account_compromise' AND group_key = 'src_ip=127.0.0.1'", 1)
        .await;
    let dump = office.database.column("SELECT coalesce(raw::text, '') || message || coalesce(fields::text, '') FROM logs").await;
    assert!(dump.iter().all(|row| !row.contains("guess")), "no password is written down");
    assert_eq!(office.daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn incidents_are_linked_merged_split_and_removed() {
    let office = Office::open().await;
    let token = office.token("ada", Role::Admin).await;
    let call = async |method: &str, path: &str, headers: &[(&str, &str)], given: Value| {
        call(office.http(), method, path, Some(&token), headers, &given).await
    };
    let open = async |title: &str| {
        let opened = call("POST", "/incidents", &[], json!({ "title": title, "severity": "low" })).await;
        body(&opened)["number"].as_str().unwrap().to_owned()
    };
    let (a, b) = (open("a").await, open("b").await);
    let linked = call("POST", &format!("/incidents/{a}/links"), &[], json!({ "kind": "caused_by", "incident": b })).await;
    assert_eq!(linked.code, 204, "{}", linked.body);
    let seen = body(&call("GET", &format!("/incidents/{b}"), &[], Value::Null).await);
    assert_eq!((&seen["links"][0]["kind"], &seen["links"][0]["incident"]), (&json!("cause_of"), &json!(a)));
    assert_eq!(call("DELETE", &format!("/incidents/{b}/links/cause_of/{a}"), &[], Value::Null).await.code, 204);
    assert_eq!(call("DELETE", &format!("/incidents/{b}/links/cause_of/{a}"), &[], Value::Null).await.code, 404);

    let given = json!({ "kind": "url", "value": "hxxps://evil[.]example[.]com/x", "tlp": "red", "comment": "c" });
    let added = call("POST", &format!("/incidents/{a}/observables"), &[], given.clone()).await;
    assert_eq!(added.code, 201, "{}", added.body);
    let one = format!("/incidents/{a}/observables/{}", body(&added)["id"]);
    assert_eq!(call("POST", &format!("/incidents/{a}/observables"), &[], given).await.code, 409);
    let wrong = call("POST", &format!("/incidents/{a}/observables"), &[], json!({ "kind": "hash", "value": "zz" })).await;
    assert_eq!((wrong.code, body(&wrong)["field"].as_str()), (422, Some("value")));
    let marked = body(&call("PATCH", &one, &[], json!({ "tlp": "amber+strict" })).await);
    assert_eq!((&marked["tlp"], &marked["comment"], &marked["source"]), (&json!("amber+strict"), &json!("c"), &json!("hand")));
    let seen = body(&call("GET", "/observables?value=https%3A%2F%2Fevil.example.com%2Fx", &[], Value::Null).await);
    assert_eq!((&seen["sightings"][0]["incident"], seen.get("next")), (&json!(a), None));

    let note = body(&call("POST", &format!("/incidents/{a}/notes"), &[], json!({ "body": "n" })).await)["id"].clone();
    let tag = etag(&call("GET", &format!("/incidents/{b}"), &[], Value::Null).await);
    let merge = format!("/incidents/{b}/merge");
    assert_eq!(call("POST", &merge, &[("If-Match", "\"9\"")], json!({ "from": a })).await.code, 412);
    let merged = call("POST", &merge, &[("If-Match", &tag)], json!({ "from": a })).await;
    assert_eq!((merged.code, etag(&merged)), (200, "\"2\"".to_owned()), "{}", merged.body);
    assert_eq!(call("POST", &merge, &[], json!({ "from": a })).await.code, 409);
    let ended = body(&call("GET", &format!("/incidents/{a}"), &[], Value::Null).await);
    assert_eq!((&ended["status"], &ended["merged_into"]), (&json!("resolved"), &json!(b)));
    let listed = body(&call("GET", &format!("/incidents/{b}/observables"), &[], Value::Null).await);
    assert_eq!(listed[0]["value"], "https://evil.example.com/x");

    let given = json!({ "title": "c", "severity": "high", "notes": [note] });
    let split = call("POST", &format!("/incidents/{b}/split"), &[], given).await;
    assert_eq!(split.code, 201, "{}", split.body);
    let c = format!("/incidents/{}", body(&split)["number"].as_str().unwrap());
    assert_eq!(body(&call("GET", &c, &[], Value::Null).await)["notes"][0]["body"], "n");
    assert_eq!(call("DELETE", &c, &[], json!({ "reason": "r" })).await.code, 409, "it is not archived");
    let end = json!({ "status": "false_positive", "resolution": "r", "archived": true });
    assert_eq!(call("PATCH", &c, &[], end).await.code, 200);
    assert_eq!(call("DELETE", &c, &[], json!({ "reason": "" })).await.code, 422);
    assert_eq!(call("DELETE", &c, &[], json!({ "reason": "r" })).await.code, 204);
    assert_eq!(call("GET", &c, &[], Value::Null).await.code, 404);
    assert_eq!(office.daemon.stop().await.0, Some(0));
}
