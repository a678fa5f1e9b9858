//! Hostile text in every text field, query parameter and part of a path that the API's own description names: none of it does anything but
//! be text, or be refused with a problem that is described.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tocsin::casework::incidents::NewIncident;
use tocsin::casework::tasks::TaskEdit;
use tocsin::casework::{Actor, Role};
use tocsin::record::Severity;
use tocsin::record::case::{Category, NoteKind};

use crate::api::{Office, body, call};
use crate::support::{Answer, request, send_tcp};

/// What does harm where it is taken for something else.
fn payloads() -> Vec<(&'static str, String)> {
    vec![
        ("SQL", "x'; DROP TABLE incidents CASCADE; --".into()),
        ("formula", "=HYPERLINK(\"http://evil.example\")".into()),
        ("ANSI", "\u{1b}[2J\u{1b}[31mred".into()),
        ("HTML", "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>".into()),
        ("NUL", "a\0b".into()),
        ("bidi", "\u{202e}gnp.exe\u{2066}".into()),
        ("format", "%s%n{0}${x}\\u0000".into()),
        ("1 MiB", "x".repeat(1 << 20)),
    ]
}

/// A place for text in a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Path,
    Query,
    Header,
    Body,
}

struct Description(Value);

impl Description {
    /// A schema itself, where there is a reference to it, or the one that is not null.
    fn resolved<'d>(&'d self, schema: &'d Value) -> &'d Value {
        if let Some(to) = schema["$ref"].as_str() {
            return self.resolved(self.0.pointer(&to[1..]).unwrap());
        }
        for ways in ["oneOf", "anyOf"] {
            if let Some(ways) = schema[ways].as_array() {
                return self.resolved(ways.iter().find(|way| way["type"] != "null").unwrap());
            }
        }
        schema
    }

    fn is(&self, schema: &Value, kind: &str) -> bool {
        let schema = self.resolved(schema);
        schema["type"] == kind || schema["type"].as_array().is_some_and(|kinds| kinds.contains(&json!(kind)))
    }

    /// Something that fits a schema, unless it is text: then `text`.
    fn sample(&self, schema: &Value, text: &str) -> Value {
        let schema = self.resolved(schema);
        if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
            return first.clone();
        }
        match () {
            () if self.is(schema, "string") => json!(text),
            () if self.is(schema, "integer") => schema.get("minimum").cloned().unwrap_or(json!(1)),
            () if self.is(schema, "boolean") => json!(false),
            () if self.is(schema, "array") => json!([self.sample(&schema["items"], text)]),
            () => json!({}),
        }
    }

    /// A body that is as small and right as can be, and hostile in one field.
    fn body(&self, schema: &Value, field: &str, text: &str) -> Value {
        let schema = self.resolved(schema);
        let mut whole = Map::new();
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let harmless = if name == "query" { "" } else { "harmless" };
            whole.insert(name.to_owned(), self.sample(&schema["properties"][name], harmless));
        }
        let hostile = if self.is(&schema["properties"][field], "array") { json!([text]) } else { json!(text) };
        whole.insert(field.to_owned(), hostile);
        Value::Object(whole)
    }

    /// Every place for text of an operation.
    fn places(&self, operation: &Value) -> Vec<(Place, String)> {
        let mut places = Vec::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let place = match parameter["in"].as_str().unwrap() {
                "path" => Place::Path,
                "query" => Place::Query,
                "header" => Place::Header,
                other => panic!("a parameter in {other}"),
            };
            // What is no text is text as long as nobody has looked.
            places.push((place, parameter["name"].as_str().unwrap().to_owned()));
        }
        let schema = self.resolved(&operation["requestBody"]["content"]["application/json"]["schema"]);
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            if self.is(schema, "string") || self.is(schema, "array") {
                places.push((Place::Body, name.clone()));
            }
        }
        places
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[tokio::test]
async fn no_text_is_anything_but_text() {
    let office = Office::open().await;
    let os = Actor::operator("tester");
    let new = NewIncident {
        title: "x".into(),
        description: String::new(),
        severity: Severity::Low,
        category: Category::Other,
        first_seen: None,
    };
    let number = office.casework.open_incident(&os, &new).await.unwrap();
    let note = office.casework.add_note(&os, &number, NoteKind::Note, "n").await.unwrap();
    let task = TaskEdit { title: Some("t".into()), ..TaskEdit::default() };
    let task = office.casework.add_task(&os, &number, &task).await.unwrap();
    send_tcp(office.daemon.tcp(), b"<38>1 - web1 x - - - seed\n").await.unwrap();
    office.database.wait_for("SELECT count(*) FROM logs WHERE message = 'seed'", 1).await;
    let log = office.database.number("SELECT id FROM logs WHERE message = 'seed'").await;

    let description = Description(body(&call(office.http(), "GET", "/openapi.json", None, &[], &Value::Null).await));
    let mut asked = 0;
    let (lasting, passing) = (office.token("lasting", Role::Admin).await, office.token("passing", Role::Admin).await);
    for (template, methods) in description.0["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            // Whoever signs out is not asked again.
            let bearer = format!("Bearer {}", if template.ends_with("/session") { &passing } else { &lasting });
            for (place, name) in description.places(operation) {
                for (what, text) in payloads() {
                    asked += 1;
                    let at = format!("{method} {template}: {what} in {name} ({place:?})");
                    let in_url = if place == Place::Path || place == Place::Query { encoded(&text) } else { String::new() };
                    let mut path = template.clone();
                    if place == Place::Path {
                        path = path.replace(&format!("{{{name}}}"), &in_url);
                    }
                    let id = if template.contains("/notes/") {
                        note
                    } else if template.contains("/tasks/") {
                        task
                    } else {
                        log
                    };
                    let known =
                        [("{number}", number.as_str()), ("{file}", "incidents.csv"), ("{name}", "nobody"), ("{user}", "nobody")];
                    path =
                        known.iter().fold(path.replace("{id}", &id.to_string()), |path, (name, known)| path.replace(name, known));
                    if place == Place::Query {
                        path += &format!("?{name}={in_url}");
                    }
                    let mut headers = vec![("Authorization", &*bearer), ("Content-Type", "application/json")];
                    let hostile_header: String = text.chars().filter(|c| !matches!(c, '\0' | '\u{1b}')).collect();
                    if place == Place::Header {
                        headers.push((&name, &hostile_header));
                    }
                    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                    let given = match operation.get("requestBody") {
                        None => Vec::new(),
                        Some(_) => {
                            let field = if place == Place::Body { &*name } else { "" };
                            let mut whole = description.body(schema, field, &text);
                            whole.as_object_mut().unwrap().remove("");
                            whole.to_string().into_bytes()
                        }
                    };
                    let method = method.to_uppercase();
                    let answer = request(office.http(), &method, &path, &headers, &given);
                    // What is followed does not end; that it has begun is enough.
                    let patience = Duration::from_millis(if path.contains("/logs/live") { 300 } else { 60_000 });
                    match tokio::time::timeout(patience, answer).await {
                        Ok(Ok(answer)) => check(&at, operation, &answer, &text),
                        // Too long a head is not read to its end.
                        Ok(Err(error)) => assert!(what == "1 MiB" && place != Place::Body, "{at}: {error}"),
                        Err(_) => assert!(path.contains("/logs/live"), "{at}: no answer"),
                    }
                }
            }
        }
    }
    assert!(asked > 500, "{asked}");

    let verdict = body(&call(office.http(), "GET", "/audit/verify", Some(&lasting), &[], &Value::Null).await);
    assert!(verdict["tampered"].is_null(), "{verdict}");
    let stored = "SELECT title FROM incidents WHERE title LIKE '%DROP TABLE%' OR title LIKE '=HYPER%' OR title LIKE '<script>%'";
    assert!(office.database.column(stored).await.len() >= 3, "what is only text is stored as it is");
    let own = office.daemon.log();
    assert!(own.iter().all(|line| !line.contains("\"level\":\"ERROR\"")), "{own:#?}");
    assert!(
        own.iter().all(|line| !["DROP TABLE", "HYPERLINK", "alert(1)", "\u{202e}"].iter().any(|text| line.contains(text))),
        "{own:#?}"
    );
    assert_eq!(office.daemon.stop().await.0, Some(0));
}

fn check(at: &str, operation: &Value, answer: &Answer, text: &str) {
    let Answer { code, head, body } = answer;
    assert!(*code < 500, "{at}: {code} {body}");
    assert!(operation["responses"].get(code.to_string()).is_some(), "{at}: {code} is not described: {body}");
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
    match *code {
        431 => {}
        400.. => {
            assert_eq!(kind, "application/problem+json", "{at}");
            let problem: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{at}: {e}: {body}"));
            assert!(problem["status"] == *code && problem["request_id"].is_string(), "{at}: {problem}");
            assert!(body.len() < 4096 + 2 * text.len().min(1000), "{at}: a problem repeats what was sent, {} bytes", body.len());
        }
        _ if kind.starts_with("text/csv") => {
            let begins = |cell: &str| cell.trim_start_matches(['"', ' ']).starts_with(['=', '+', '-', '@']);
            assert!(!body.split([',', '\n']).any(begins), "{at}: a cell is a formula");
        }
        _ if kind.starts_with("text/html") => assert!(!body.contains("<script"), "{at}"),
        _ => assert!(body.is_empty() || kind == "application/json", "{at}: {kind}"),
    }
}
