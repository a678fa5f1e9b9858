//! Every command of the tree that clap knows: who may use it, what it writes for programs and for people, how it explains itself.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tocsin::casework::{Actor, Permission, Role};
use tocsin::record::Severity;
use tocsin::record::case::NoteKind;
use tocsin::record::text::is_treacherous;

use crate::menu::Desk;
use crate::support::tocsin;

/// What a command does with casework.
pub enum Does {
    /// Nothing: it needs no token.
    Nothing,
    /// It reads, and takes this.
    Reads(Permission),
    /// It reads what is somebody's own; everybody may.
    ReadsOwn,
    /// It changes something, or takes something out, and takes this.
    Changes(Permission),
}
use Does::{Changes, Nothing, Reads, ReadsOwn};

/// The role table of the commands: each with what it takes and a way to call it. `{incident}`, `{other}`, `{task}`, `{note}`, `{log}` and `{user}` are
/// there, another one for each role. Behind `~`, what is to be worked on is not there: whoever may is told so. Behind `@` is all of a command
/// whose words are not in one piece.
pub const COMMANDS: &[(&str, Does, &str)] = &[
    ("run", Nothing, ""),
    ("check", Nothing, ""),
    ("demo", Nothing, ""),
    ("parse", Nothing, ""),
    ("formats", Nothing, ""),
    ("replay", Nothing, ""),
    ("journal inspect", Nothing, ""),
    ("verify", Nothing, ""),
    ("completions", Nothing, ""),
    ("man", Nothing, ""),
    ("menu", Nothing, ""),
    ("incidents list", Reads(Permission::ReadIncidents), ""),
    ("incidents show", Reads(Permission::ReadIncidents), "{incident}"),
    ("incidents open", Changes(Permission::WorkIncidents), "Title --severity low"),
    ("incidents edit", Changes(Permission::WorkIncidents), "{incident} --severity high --if-version 1"),
    ("incidents note", Changes(Permission::WorkIncidents), "{incident} Text"),
    ("incidents parties", Reads(Permission::ReadParties), "{incident}"),
    ("incidents party add", Changes(Permission::ReadParties), "{incident} --role witness --name Ada"),
    ("incidents party edit", Changes(Permission::ReadParties), "~ {incident} 999 --name Ada"),
    ("incidents party erase", Changes(Permission::PurgeIncidents), "~ {incident} 999 --reason why"),
    ("incidents evidence add", Changes(Permission::WorkIncidents), "{incident} tocsin.toml"),
    ("incidents evidence list", Reads(Permission::ReadIncidents), "{incident}"),
    ("incidents evidence show", Changes(Permission::ReadIncidents), "~ {incident} 999"),
    ("incidents evidence get", Changes(Permission::ReadIncidents), "~ {incident} 999 --output no-file"),
    ("incidents evidence verify", Changes(Permission::ReadIncidents), "~ {incident} 999"),
    ("incidents evidence archive", Changes(Permission::WorkIncidents), "~ {incident} 999"),
    ("incidents evidence logs", Changes(Permission::WorkIncidents), "{incident} {log}"),
    ("incidents observables", Reads(Permission::ReadIncidents), "{incident}"),
    (
        "incidents observables add",
        Changes(Permission::WorkIncidents),
        "@ incidents observables {incident} add domain example.org",
    ),
    ("incidents observables tlp", Changes(Permission::WorkIncidents), "~ @ incidents observables {incident} tlp 999 red"),
    (
        "incidents observables comment",
        Changes(Permission::WorkIncidents),
        "~ @ incidents observables {incident} comment 999 Text",
    ),
    ("incidents observables remove", Changes(Permission::WorkIncidents), "~ @ incidents observables {incident} remove 999"),
    ("incidents sightings", Reads(Permission::ReadIncidents), "example.org"),
    ("incidents due", Reads(Permission::ReadIncidents), ""),
    ("incidents link", Changes(Permission::WorkIncidents), "{incident} related {other}"),
    ("incidents unlink", Changes(Permission::WorkIncidents), "{incident} related {other}"),
    ("incidents split", Changes(Permission::WorkIncidents), "{incident} --title Title --severity low --notes {note}"),
    ("incidents merge", Changes(Permission::WorkIncidents), "{other} {incident}"),
    ("incidents hold", Changes(Permission::Maintain), "{incident} --reason why"),
    ("incidents release", Changes(Permission::Maintain), "{incident} --reason why"),
    ("suppressions list", Reads(Permission::ReadIncidents), ""),
    ("suppressions end", Changes(Permission::WorkIncidents), "~ 999"),
    ("assets list", Reads(Permission::ReadIncidents), ""),
    ("assets add", Changes(Permission::ManageAssets), "{user} --match web1 --criticality high"),
    ("assets change", Changes(Permission::ManageAssets), "{user} --criticality low --if-version 1"),
    ("assets remove", Changes(Permission::ManageAssets), "{user}"),
    ("assets import", Changes(Permission::ManageAssets), "assets.csv"),
    ("keys status", Reads(Permission::Maintain), ""),
    ("keys rotate", Changes(Permission::Maintain), ""),
    ("maintenance", Reads(Permission::Maintain), ""),
    ("maintenance run", Changes(Permission::Maintain), "--dry-run"),
    ("tasks list", Reads(Permission::ReadIncidents), ""),
    ("tasks add", Changes(Permission::WorkIncidents), "{incident} Title"),
    ("tasks edit", Changes(Permission::WorkIncidents), "{task} --status done --if-version 1"),
    ("logs", Reads(Permission::ReadLogs), "app:sshd"),
    ("logs show", Reads(Permission::ReadLogs), "{log}"),
    ("logs add", Changes(Permission::WriteLogs), "Line"),
    ("logs annotate", Changes(Permission::WriteLogs), "{log} Text"),
    ("logs archive", Changes(Permission::WriteLogs), "{log} --reason why"),
    ("logs unarchive", Changes(Permission::WriteLogs), "{log}"),
    ("logs search", Reads(Permission::ReadLogs), "app:sshd"),
    ("logs saved list", Reads(Permission::ReadLogs), ""),
    ("logs saved add", Changes(Permission::ReadLogs), "{user} app:sshd"),
    ("logs saved edit", Changes(Permission::ReadLogs), "{user} --shared true"),
    ("logs saved delete", Changes(Permission::ReadLogs), "{user}"),
    ("detect", Reads(Permission::ReadLogs), "--last 30m"),
    ("user list", Reads(Permission::ManageUsers), ""),
    ("user add", Changes(Permission::ManageUsers), "new-user"),
    ("user role", Changes(Permission::ManageUsers), "{user} analyst"),
    ("user disable", Changes(Permission::ManageUsers), "{user}"),
    ("user enable", Changes(Permission::ManageUsers), "{user}"),
    ("user unlock", Changes(Permission::ManageUsers), "{user}"),
    ("user reset-password", Changes(Permission::ManageUsers), "{user}"),
    ("user sign-out", Changes(Permission::ManageUsers), "{user}"),
    ("user second-factor enrol", Changes(Permission::ManageUsers), "~ nobody"),
    ("user second-factor reset", Changes(Permission::ManageUsers), "~ nobody"),
    ("token list", ReadsOwn, ""),
    ("token add", Changes(Permission::ManageUsers), "name --user {user}"),
    ("token revoke", Changes(Permission::ManageUsers), "name --user {user}"),
    ("audit list", Reads(Permission::ReadAudit), ""),
    ("audit verify", Reads(Permission::ReadAudit), ""),
    ("report metrics", Reads(Permission::ReadReports), ""),
    ("report weekly", Reads(Permission::ReadReports), ""),
    ("report incident", Reads(Permission::Export), "{incident}"),
    ("export", Changes(Permission::Export), "tasks --output tasks.csv --force"),
    ("incidents false-positive", Changes(Permission::WorkIncidents), "{incident} --reason why"),
    ("incidents purge", Changes(Permission::PurgeIncidents), "~ {incident} --reason why --yes"),
    // Whoever has the files has them; making one takes more than there is here, and is tested with the backups.
    ("backup create", Nothing, ""),
    ("backup list", Nothing, ""),
    ("backup verify", Nothing, ""),
    ("backup restore", Nothing, ""),
    ("backup key", Nothing, ""),
];

/// Every command that does something, by its words.
fn leaves() -> BTreeMap<String, clap::Command> {
    fn walk(path: &str, command: &clap::Command, into: &mut BTreeMap<String, clap::Command>) {
        let below: Vec<_> = command.get_subcommands().filter(|c| c.get_name() != "help").collect();
        if !path.is_empty() && (below.is_empty() || !command.is_subcommand_required_set()) {
            into.insert(path.to_owned(), command.clone());
        }
        for command in below {
            walk(format!("{path} {}", command.get_name()).trim_start(), command, into);
        }
    }
    let mut all = BTreeMap::new();
    walk("", &tocsin::cli::command(), &mut all);
    all
}

/// One of each thing, for somebody to work on.
pub async fn things(desk: &Desk, name: &str, log: i64) -> Vec<(&'static str, String)> {
    let os = Actor::operator("tester");
    let incident = desk.incident(&format!("of {name}"), Severity::Low).await;
    let note = desk.casework.add_note(&os, &incident, NoteKind::Note, "n").await.unwrap();
    let task = tocsin::casework::tasks::TaskEdit { title: Some("t".into()), ..Default::default() };
    let task = desk.casework.add_task(&os, &incident, &task).await.unwrap();
    let user =
        tocsin::casework::users::NewUser { name: format!("user-{name}"), display_name: None, email: None, role: Role::Viewer };
    desk.casework.create_user(&os, &user).await.unwrap();
    vec![
        ("{incident}", incident),
        ("{other}", desk.incident(&format!("another of {name}"), Severity::Low).await),
        ("{task}", task.to_string()),
        ("{note}", note.to_string()),
        ("{log}", log.to_string()),
        ("{user}", user.name),
    ]
}

pub fn arguments<'a>(path: &'a str, given: &'a str, things: &'a [(&str, String)]) -> Vec<&'a str> {
    let thing = |word: &'a str| things.iter().find(|(name, _)| *name == word).map_or(word, |(_, value)| value.as_str());
    let given = given.trim_start_matches("~ ");
    match given.strip_prefix("@ ") {
        Some(all) => all.split(' ').map(thing).collect(),
        None => path.split(' ').chain(given.split_whitespace()).map(thing).collect(),
    }
}

#[tokio::test]
async fn every_command_lets_in_whom_the_role_table_lets_in() {
    let named: BTreeSet<&str> = COMMANDS.iter().map(|(path, ..)| *path).collect();
    let all = leaves();
    assert_eq!(named, all.keys().map(String::as_str).collect(), "each command is in the table here");
    let desk = Desk::new().await;
    desk.attack("198.51.100.7", 4).await;
    std::fs::write(desk.dir.path().join("assets.csv"), "name,matches,criticality,owner,comment\ndb9,db9,high,,\n").unwrap();
    for (n, role) in Role::ALL.into_iter().enumerate() {
        let token = desk.token(role).await;
        let things = things(&desk, role.as_str(), n as i64 + 1).await;
        for (path, does, given) in COMMANDS {
            let permission = match does {
                Nothing => continue,
                ReadsOwn => None,
                Reads(permission) | Changes(permission) => Some(permission),
            };
            let arguments = arguments(path, given, &things);
            let (code, out, errors) = desk.run(&arguments, Some(&token), "");
            if let Some(permission) = permission.filter(|permission| !role.may(**permission)) {
                let told = format!("tocsin: a-{role} ({role}) may not {permission}\n");
                assert_eq!((code, out.as_str(), errors.as_str()), (1, "", told.as_str()), "{role}: {arguments:?}");
            } else {
                let code_then = if given.starts_with('~') { 1 } else { 0 };
                assert_eq!(code, code_then, "{role}: {arguments:?}: {out}\n{errors}");
                assert!(!errors.contains("may not"), "{role}: {arguments:?}: {errors}");
            }
        }
    }
    let (code, _, errors) = desk.run(&["incidents", "list"], Some("tct_none"), "");
    assert!(code == 1 && errors.contains("the token in TOCSIN_TOKEN is not accepted"), "{errors}");
}

#[tokio::test]
async fn every_command_that_reads_writes_json_and_none_shows_what_would_steer_a_terminal() {
    let desk = Desk::new().await;
    desk.attack("198.51.100.7", 6).await;
    let things = things(&desk, "reader", 3).await;
    let (code, out, errors) = desk.run(&["detect", "--last", "24h", "--open"], None, "");
    assert_eq!(code, 3, "{out}{errors}");
    assert_eq!(desk.run(&["token", "add", "t", "--user", "user-reader"], None, "").0, 0);
    // Behind the back of everything that refuses such text.
    let hostile = "chr(27) || '[2J' || chr(8238) || chr(155) || chr(13) || chr(7) || chr(8203) || '␀ evil'";
    for sql in [
        "UPDATE logs SET message = X, host = X, app = X, username = X, protocol = X, action = X, source = X, raw = convert_to(X, 'UTF8'), \
         fields = jsonb_build_object('a.b', X, X, 'c')",
        "UPDATE incidents SET title = X, description = X, kind = X, attack_vector = X, affected = ARRAY[X], usernames = ARRAY[X], \
         group_key = X || id, detector = X, root_cause = X, resolution = X, lessons_learned = X, resolved_at = now(), reporter = X, \
         assignee = X, priority_reason = X",
        "UPDATE incident_note_versions SET body = X, author = X",
        "UPDATE incident_notes SET author = X",
        "UPDATE incident_tasks SET title = X, assignee = X, due_at = now() - interval '1 hour'",
        "UPDATE incident_timeline SET actor = X, event = X, old = to_jsonb(X), new = jsonb_build_object(X, X)",
        "UPDATE incident_evidence SET record = record || jsonb_build_object('message', X)",
        "UPDATE users SET display_name = X, email = X WHERE name = 'user-reader'",
        "UPDATE api_tokens SET name = X WHERE name = 't'",
        "INSERT INTO log_notes (log_id, author, at, body) VALUES (3, X, now(), X)",
        "INSERT INTO archived_logs (log_id, archived_at, actor, reason) VALUES (3, now(), X, X)",
        "INSERT INTO log_rollups (hour, source, host, event_type, severity, count) VALUES (date_trunc('hour', now()), X, X, 'other', 'low', 1)",
    ] {
        let sql = sql.replace('X', &format!("({hostile})"));
        sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(&desk.database.pool).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    for (path, does, given) in COMMANDS {
        if !matches!(does, Reads(_) | ReadsOwn) {
            continue;
        }
        let given = given.replace("app:sshd", "evil");
        let mut arguments = arguments(path, &given, &things);
        let (code, out, errors) = desk.run(&arguments, None, "");
        assert!(code == 0 || code == 3, "{arguments:?}: {errors}");
        let steers = |text: &str| text.chars().find(|c| *c != '\n' && is_treacherous(*c));
        assert_eq!((steers(&out), steers(&errors)), (None, None), "{arguments:?}: {out:?}{errors:?}");
        arguments.push("--json");
        let (code, out, errors) = desk.run(&arguments, None, "");
        assert!(code == 0 || code == 3, "{arguments:?}: {errors}");
        let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&out).into_iter().collect();
        let values = values.unwrap_or_else(|e| panic!("{arguments:?}: {e}: {out}"));
        assert!(!values.is_empty() || *path == "detect", "{arguments:?}");
        assert!(!out.chars().any(|c| c.is_ascii_control() && c != '\n'), "{arguments:?}: JSON escapes them: {out:?}");
        assert_eq!(steers(&errors), None, "{arguments:?}: {errors:?}");
    }
}

#[test]
fn every_command_and_option_explains_itself_and_the_first_ones_with_examples() {
    let root = tocsin::cli::command();
    root.clone().debug_assert();
    for command in root.get_subcommands() {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = after.contains("Examples:\n") && after.contains(&format!("tocsin {}", command.get_name()));
        assert!(examples, "{}: {after}", command.get_name());
    }
    for (path, command) in leaves() {
        assert!(command.get_about().is_some(), "{path}");
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty() && !help.ends_with('.'), "{path} {}: {help:?}", argument.get_id());
            let same = match argument.get_id().as_str() {
                "if_version" => "Refuse if somebody has changed it since this version",
                "config" => "Configuration file",
                "json" => "Write ",
                "force" => "Replace a file that is there",
                _ => "",
            };
            assert!(help.starts_with(same), "{path} {}: the same words for the same thing: {help:?}", argument.get_id());
        }
    }
}

fn said(arguments: &[&str]) -> String {
    let output = Command::new(tocsin()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn shells_are_told_of_every_command_and_the_manual_has_a_page_for_each() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = said(&["completions", shell]);
        for word in ["incidents", "reset-password", "if-version"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let script = dir.path().join("tocsin.bash");
    std::fs::write(&script, said(&["completions", "bash"])).unwrap();
    let complete = "source \"$1\"; COMP_WORDS=(tocsin inc); COMP_CWORD=1; _tocsin tocsin inc tocsin; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-euc", complete, "bash"]).arg(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "incidents\n", "{}", String::from_utf8_lossy(&output.stderr));

    said(&["man", dir.path().join("man1").to_str().unwrap()]);
    for path in leaves().into_keys() {
        let page = dir.path().join(format!("man1/tocsin-{}.1", path.replace(' ', "-")));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
        assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{path}");
    }
    assert!(said(&["man"]).contains(".TH"));
}

/// An incident with something in every part of it.
async fn told(desk: &Desk) -> String {
    desk.attack("198.51.100.7", 6).await;
    let (code, _, errors) = desk.run(&["detect", "--last", "24h", "--open"], None, "");
    assert_eq!(code, 3, "{errors}");
    let number = desk.database.column("SELECT number FROM incidents WHERE detector = 'brute_force'").await.remove(0);
    let note = "See [this](javascript:alert(1)) and [that](https://example.org/).\n\n<script>alert(2)</script>\n\n| a | b |\n|---|---|\n| 1 | 2 |";
    for arguments in [
        &["incidents", "edit", &number, "--title", "<img src=x onerror=alert(3)>", "--affected", "web1,db1"][..],
        &["incidents", "note", &number, note, "--kind", "finding"],
        &["tasks", "add", &number, "Block 198.51.100.7"],
    ] {
        assert_eq!(desk.run(arguments, None, "").0, 0, "{arguments:?}");
    }
    number
}

#[tokio::test]
async fn an_incident_is_reported_with_hashes_that_anybody_can_make_again() {
    let desk = Desk::new().await;
    let number = told(&desk).await;
    let (code, out, errors) = desk.run(&["report", "incident", &number, "--json"], None, "");
    assert_eq!(code, 0, "{errors}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["number"], &report["affected"][1]), (&Value::from(&*number), &Value::from("web1")));
    let (evidence, hashes) = (report["evidence"].as_array().unwrap(), report["evidence_sha256"].as_array().unwrap());
    assert_eq!((evidence.len(), hashes.len()), (6, 6));
    for (record, hash) in evidence.iter().zip(hashes) {
        // Keys of serde_json's objects are sorted.
        assert_eq!(hash["sha256"], hex(&Sha256::digest(record.to_string())), "{record}");
    }
    let rows = report["audit"]["rows"].as_array().unwrap();
    let acts: Vec<&str> = rows.iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(acts, ["incident.open", "incident.change", "note.add", "task.add"]);
    for row in rows {
        assert_eq!(row["hash"], hex(&row_hash(row)), "{row}");
    }
    // Another row of the log is behind ours: the head that was told is still in the chain.
    let head = report["audit"]["head"].as_str().unwrap();
    assert_eq!(
        report["audit"]["head_id"].as_u64().unwrap(),
        desk.database.number("SELECT max(id) FROM audit_log").await as u64 - 1
    );
    assert_eq!(desk.run(&["audit", "verify", "--head", head], None, "").0, 0);
    assert_eq!(desk.database.column("SELECT action FROM audit_log ORDER BY id DESC LIMIT 1").await, ["incident.report"]);

    let upload = desk.dir.path().join("<b>core.bin");
    std::fs::write(&upload, "what was in memory").unwrap();
    let (code, out, errors) = desk.run(&["incidents", "open", "The same elsewhere", "--severity", "low", "--json"], None, "");
    assert_eq!(code, 0, "{errors}");
    let other = serde_json::from_str::<Value>(&out).unwrap()["number"].as_str().unwrap().to_owned();
    for arguments in [
        &["incidents", "observables", &number, "add", "domain", "c2.example.org", "--tlp", "green", "--comment", "<i>told</i>"][..],
        &["incidents", "link", &number, "caused_by", &other],
        &["incidents", "evidence", "add", &number, upload.to_str().unwrap()],
    ] {
        let (code, _, errors) = desk.run(arguments, None, "");
        assert_eq!(code, 0, "{arguments:?}: {errors}");
    }
    let (code, page, errors) = desk.run(&["report", "incident", &number], None, "");
    assert_eq!(code, 0, "{errors}");
    for told in [
        "<td data-name=\"value\">c2.example.org</td><td data-name=\"share\">TLP:GREEN</td>",
        "&lt;i&gt;told&lt;/i&gt;",
        "<td data-name=\"how\">caused by</td>",
        "&lt;b&gt;core.bin</td>",
        &*hex(&Sha256::digest("what was in memory")),
        &*other,
        "<h1>INC-",
        "&lt;img src=x onerror=alert(3)&gt;",
        "<a href=\"https://example.org/\">that</a>",
        "See this and ",
        "&lt;script&gt;alert(2)&lt;/script&gt;",
        "<td>1</td><td>2</td>",
        "<td data-name=\"task\">Block 198.51.100.7</td>",
        hashes[0]["sha256"].as_str().unwrap(),
        head,
    ] {
        assert!(page.contains(told), "{told}");
    }
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("href=\"javascript:"));
    let file = desk.dir.path().join("report.html");
    let to_file = ["report", "incident", &number, "--output", file.to_str().unwrap()];
    assert_eq!((desk.run(&to_file, None, "").0, desk.run(&to_file, None, "").0), (0, 1), "a file that is there is kept");
}

/// SHA-256 over the fields of a row of the audit log, as the report describes it.
fn row_hash(row: &Value) -> [u8; 32] {
    let mut bytes = Vec::new();
    let mut add = |field: Option<&[u8]>| match field {
        None => bytes.push(0),
        Some(field) => {
            bytes.push(1);
            bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
            bytes.extend_from_slice(field);
        }
    };
    let previous = row["previous"].as_str().unwrap();
    let previous: Vec<u8> = (0..32).map(|n| u8::from_str_radix(&previous[2 * n..2 * n + 2], 16).unwrap()).collect();
    add(Some(&previous));
    add(Some(&row["id"].as_i64().unwrap().to_be_bytes()));
    add(Some(&row["at_micros"].as_i64().unwrap().to_be_bytes()));
    for name in ["actor", "role", "via", "action", "subject", "address", "old", "new", "reason"] {
        add(row[name].as_str().map(str::as_bytes));
    }
    Sha256::digest(bytes).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn an_incident_is_shared_as_a_bundle_of_stix() {
    let desk = Desk::new().await;
    let number = told(&desk).await;
    let bundle = |tlp: &str| -> Value {
        let (code, out, errors) = desk.run(&["report", "incident", &number, "--format", "stix", "--tlp", tlp], None, "");
        assert_eq!(code, 0, "{errors}");
        serde_json::from_str(&out).unwrap()
    };
    let (first, second) = (bundle("green"), bundle("green"));
    assert_eq!(first["objects"], second["objects"], "the same incident has the same objects");
    assert_ne!(first["id"], second["id"]);
    let objects = first["objects"].as_array().unwrap();
    let by_id: BTreeMap<&str, &Value> = objects.iter().map(|object| (object["id"].as_str().unwrap(), object)).collect();
    assert_eq!(by_id.len(), objects.len(), "each id is there once");
    for (id, object) in &by_id {
        assert_eq!((id.split("--").next(), &object["spec_version"]), (object["type"].as_str(), &Value::from("2.1")), "{object}");
        let refs = object.as_object().unwrap().iter().filter(|(name, _)| name.ends_with("_ref") || name.ends_with("_refs"));
        for target in refs.flat_map(|(_, value)| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])) {
            assert!(by_id.contains_key(target.as_str().unwrap()), "{target} of {id}");
        }
        for time in ["created", "modified", "first_observed", "last_observed"].iter().filter_map(|name| object[name].as_str()) {
            assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");
        }
    }
    let of = |kind: &str| objects.iter().filter(|object| object["type"] == kind).collect::<Vec<_>>();
    assert_eq!(of("incident")[0]["external_references"][0]["external_id"], number.as_str());
    assert_eq!(of("marking-definition")[0]["name"], "TLP:GREEN");
    assert_eq!(of("attack-pattern")[0]["external_references"][0]["external_id"], "T1110.001");
    assert_eq!((&of("ipv4-addr")[0]["value"], &of("user-account")[0]["account_login"]), (&"198.51.100.7".into(), &"root".into()));
    assert_eq!((of("observed-data").len(), &of("observed-data")[0]["number_observed"]), (1, &6.into()));
    assert!(of("note")[0]["content"].as_str().unwrap().starts_with("See "));

    // What people say of observables, each with its own marking; what may be told to fewer is left out, though it is in the evidence.
    for (kind, value, tlp) in [
        ("url", "hxxps://evil[.]example/a|b", "clear"),
        ("domain", "evil[.]example", "red"),
        ("hash", "d41d8cd98f00b204e9800998ecf8427e", "green"),
        ("email", "ada@evil.example", "green"),
        ("address", "198.51.100.7", "amber+strict"),
    ] {
        let add = ["incidents", "observables", &number, "add", kind, value, "--tlp", tlp, "--comment", "told by Ada"];
        let (code, _, errors) = desk.run(&add, None, "");
        assert_eq!(code, 0, "{errors}");
    }
    let objects_of = |bundle: &Value| -> Vec<(String, String)> {
        let all = bundle["objects"].as_array().unwrap();
        let name = |id: &Value| all.iter().find(|o| o["id"] == *id).map(|o| o["name"].as_str().unwrap().to_owned());
        let mut found: Vec<(String, String)> = all
            .iter()
            .filter(|o| o.get("created").is_none())
            .map(|o| {
                let value = o["value"].as_str().or_else(|| o["account_login"].as_str()).or_else(|| o["hashes"]["MD5"].as_str());
                let id = &o["id"];
                let refers = |other: &&Value| {
                    other["target_ref"] == *id || other["object_refs"].as_array().is_some_and(|refs| refs.contains(id))
                };
                assert!(all.iter().any(|other| refers(&other)), "{o} is there for nothing");
                (value.unwrap().to_owned(), name(&o["object_marking_refs"][0]).unwrap())
            })
            .collect();
        found.sort();
        found
    };
    let told = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| (a.to_string(), format!("TLP:{b}"))).collect::<Vec<_>>();
    let of_mail = [("ada@evil.example", "GREEN"), ("d41d8cd98f00b204e9800998ecf8427e", "GREEN")];
    let of_url = ("https://evil.example/a%7Cb", "CLEAR");
    assert_eq!(objects_of(&bundle("green")), told(&[of_mail[0], of_mail[1], of_url, ("root", "GREEN")]));
    let all = [("198.51.100.7", "AMBER+STRICT"), of_mail[0], of_mail[1], ("evil.example", "RED"), of_url, ("root", "RED")];
    assert_eq!(objects_of(&bundle("red")), told(&all));
    let (_, _, errors) = desk.run(&["report", "incident", &number, "--format", "stix"], None, "");
    assert!(errors.contains("fewer than TLP:AMBER: 2"), "{errors}");
}
