//! What is sealed: the people behind incidents and their keys, against a real server.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::Executor as _;
use tocsin::casework::incidents::NewIncident;
use tocsin::casework::keys::KeyError;
use tocsin::casework::parties::{MAX_PAGE, Party, Person};
use tocsin::casework::{Actor, Casework, CaseworkError, Role};
use tocsin::record::Severity;
use tocsin::record::case::{Category, PartyRole};

use crate::support::{Daemon, Database, casework_with_keys, request, state_dir, tocsin, wait_until};

fn os() -> Actor {
    Actor::operator("tester")
}

fn with_role(role: Role) -> Actor {
    Actor { name: format!("a-{role}"), role, ..os() }
}

async fn open(casework: &Casework, title: &str) -> String {
    let (description, severity, category) = (String::new(), Severity::Medium, Category::Fraud);
    let new = NewIncident { title: title.to_owned(), description, severity, category, first_seen: None };
    casework.open_incident(&os(), &new).await.unwrap()
}

fn ada() -> Person {
    Person {
        name: Some("Ada Example".into()),
        contact: Some("ada@example.org".into()),
        address: Some("12 Analytical Row\nLondon".into()),
        organisation: Some("Engine Works".into()),
        notes: Some("Prefers to be called in the morning".into()),
    }
}

fn named(name: &str) -> Person {
    Person { name: Some(name.to_owned()), ..Person::default() }
}

async fn all(casework: &Casework, number: &str) -> Vec<Party> {
    casework.parties(&os(), number, None, MAX_PAGE).await.unwrap()
}

async fn found(casework: &Casework, value: &str) -> Vec<(String, i64)> {
    casework.find_parties(&os(), value).await.unwrap().into_iter().map(|party| (party.incident, party.id)).collect()
}

async fn is_untampered(casework: &Casework) -> bool {
    casework.check_audit(&os(), None, &mut |_| {}).await.unwrap().tampered.is_none()
}

/// Everything that is in a database, as text.
fn dump(database: &Database) -> String {
    let mut command = Command::new("pg_dump");
    command.arg("--username=tocsin").arg("--host").arg(database.options.get_socket().unwrap());
    let output = command.arg(database.options.get_database().unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).to_lowercase()
}

#[tokio::test]
async fn people_are_in_the_database_and_no_word_of_theirs_is() {
    let (database, dir) = (Database::new().await, state_dir());
    let casework = casework_with_keys(&database, dir.path()).await;
    let number = open(&casework, "Invoice fraud").await;
    let id = casework.add_party(&os(), &number, PartyRole::Victim, &ada()).await.unwrap();
    let edit = Person { contact: Some("+44 20 7946 0000".into()), organisation: Some(String::new()), ..Person::default() };
    assert_eq!(casework.edit_party(&os(), &number, id, Some(PartyRole::Witness), &edit, Some(1)).await.unwrap(), 2);
    assert_eq!(casework.edit_party(&os(), &number, id, None, &edit, None).await.unwrap(), 2, "nothing was changed");
    let late = casework.edit_party(&os(), &number, id, None, &named("Eve"), Some(1)).await;
    assert!(matches!(late, Err(CaseworkError::Conflict(_))), "{late:?}");

    let parties = all(&casework, &number).await;
    let expected = Person { contact: edit.contact.clone(), organisation: None, ..ada() };
    assert_eq!((parties.len(), &*parties[0].role, parties[0].person == expected), (1, "witness", true));
    for value in ["Ada Example", " ada   example ", "+44 20 7946 0000"] {
        assert_eq!(found(&casework, value).await, [(number.clone(), id)], "{value}");
    }
    for value in ["Ada", "ada@example.org", "Engine Works", "12 Analytical Row"] {
        assert_eq!(found(&casework, value).await, [], "{value}: no more, a part, or not searchable");
    }

    let told = database.column("SELECT event || ' ' || new FROM incident_timeline WHERE event LIKE 'party%' ORDER BY id").await;
    let events: Vec<&str> = told.iter().map(|told| told.split(' ').next().unwrap()).collect();
    assert_eq!(events, ["party_added", "party_changed", "party_seen"]);
    assert!(told[1].contains("[\"contact\", \"organisation\", \"role\"]"), "{}", told[1]);
    let audited = database.column("SELECT action FROM audit_log WHERE action LIKE 'party.%' ORDER BY id").await;
    assert_eq!(audited[..3], ["party.add", "party.change", "party.read"]);
    assert_eq!(audited[3..].iter().filter(|action| *action == "party.find").count(), 7);

    let dump = dump(&database);
    assert!(dump.contains("invoice fraud") && dump.contains("party_added"), "it is a dump of everything");
    let words = ["ada ex", "example", "analytical", "london", "engine works", "7946", "morning"];
    for word in words {
        assert!(!dump.contains(word), "{word}");
        // As pg_dump shows bytes.
        let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!dump.contains(&hex), "{word} as bytes");
    }
    assert!(is_untampered(&casework).await);
}

#[tokio::test]
async fn who_may_not_see_people_sees_none_and_changes_none() {
    let (database, dir) = (Database::new().await, state_dir());
    let casework = casework_with_keys(&database, dir.path()).await;
    let number = open(&casework, "x").await;
    let id = casework.add_party(&with_role(Role::Analyst), &number, PartyRole::Suspect, &ada()).await.unwrap();
    let forbidden =
        |result: Option<CaseworkError>| assert!(matches!(result, Some(CaseworkError::Forbidden { .. })), "{result:?}");
    let (viewer, analyst) = (with_role(Role::Viewer), with_role(Role::Analyst));
    forbidden(casework.parties(&viewer, &number, None, 1).await.err());
    forbidden(casework.find_parties(&viewer, "Ada Example").await.err());
    forbidden(casework.add_party(&viewer, &number, PartyRole::Victim, &ada()).await.err());
    forbidden(casework.edit_party(&viewer, &number, id, None, &named("Eve"), None).await.err());
    forbidden(casework.erase_party(&analyst, &number, id, "r").await.err());
    forbidden(casework.key_status(&analyst).await.err());
    forbidden(casework.rotate_keys(&analyst, true, &mut |_, _| {}).await.err());
    let nowhere = casework.parties(&os(), "INC-1999-000001", None, 1).await;
    assert!(matches!(nowhere, Err(CaseworkError::NotFound(_))));
    let other = open(&casework, "y").await;
    let elsewhere = casework.edit_party(&os(), &other, id, None, &named("Eve"), None).await;
    assert!(matches!(elsewhere, Err(CaseworkError::NotFound(_))), "a party of another incident");
    for n in 0..60 {
        casework.add_party(&os(), &other, PartyRole::Victim, &named(&format!("No. {n}"))).await.unwrap();
    }
    let first = all(&casework, &other).await;
    let second = casework.parties(&os(), &other, first.last().map(|p| p.id), MAX_PAGE).await.unwrap();
    assert_eq!((first.len(), second.len()), (MAX_PAGE, 10));
    assert_eq!(second[9].person.name.as_deref(), Some("No. 59"));
}

#[tokio::test]
async fn who_is_erased_is_gone_and_an_older_copy_of_the_row_opens_no_more() {
    let (database, dir) = (Database::new().await, state_dir());
    let casework = casework_with_keys(&database, dir.path()).await;
    let number = open(&casework, "x").await;
    let gone = casework.add_party(&os(), &number, PartyRole::Victim, &ada()).await.unwrap();
    let stays = casework.add_party(&os(), &number, PartyRole::Witness, &named("Bob Witness")).await.unwrap();
    let copy = "CREATE TABLE copies AS SELECT id, sealed, tokens FROM incident_parties";
    database.pool.execute(copy).await.unwrap();
    let key = "SELECT wrapped FROM data_keys WHERE incident_id IS NOT NULL";
    let before = database.column(key).await;
    casework.erase_party(&os(), &number, gone, "asked for it").await.unwrap();
    assert_ne!(database.column(key).await, before);

    let parties = all(&casework, &number).await;
    assert_eq!(parties.iter().map(|p| (p.id, p.erased_at.is_some())).collect::<Vec<_>>(), [(gone, true), (stays, false)]);
    assert!(parties[0].person == Person::default() && parties[0].role == "victim");
    assert_eq!(parties[0].erased_by.as_deref(), Some("os:tester"));
    assert_eq!(parties[1].person.name.as_deref(), Some("Bob Witness"), "who was not erased is still there");
    assert_eq!(found(&casework, "Ada Example").await, []);
    assert_eq!(found(&casework, "Bob Witness").await, [(number.clone(), stays)]);
    let again = casework.erase_party(&os(), &number, gone, "r").await;
    assert!(matches!(again, Err(CaseworkError::Conflict(_))), "{again:?}");
    assert!(casework.edit_party(&os(), &number, gone, None, &named("Eve"), None).await.is_err());
    assert!(is_untampered(&casework).await);
    let why = database.column("SELECT reason FROM audit_log WHERE action = 'party.erase'").await;
    assert_eq!(why, ["asked for it"]);

    // Somebody puts the old row back.
    let put_back = "UPDATE incident_parties p SET sealed = c.sealed, tokens = c.tokens, erased_at = NULL, erased_by = NULL \
                    FROM copies c WHERE c.id = p.id AND p.role = 'victim'";
    database.pool.execute(put_back).await.unwrap();
    let opened = casework.parties(&os(), &number, None, MAX_PAGE).await;
    assert!(matches!(opened, Err(CaseworkError::Keys(KeyError::Broken(_)))), "{opened:?}");
}

#[tokio::test]
async fn what_is_sealed_goes_with_an_incident_that_becomes_part_of_another() {
    let (database, dir) = (Database::new().await, state_dir());
    let casework = casework_with_keys(&database, dir.path()).await;
    let (part, whole, bare) = (open(&casework, "a").await, open(&casework, "b").await, open(&casework, "c").await);
    let id = casework.add_party(&os(), &part, PartyRole::Victim, &ada()).await.unwrap();
    let gone = casework.add_party(&os(), &part, PartyRole::Suspect, &named("Eve")).await.unwrap();
    casework.erase_party(&os(), &part, gone, "wrong").await.unwrap();
    let mut upload = casework.begin_file(&os(), &part, "mail.eml", None).await.unwrap();
    upload.write(b"Dear Ada").await.unwrap();
    let file = upload.finish().await.unwrap().id;

    casework.merge_incidents(&os(), &part, &whole, None).await.unwrap();
    let parties = all(&casework, &whole).await;
    assert_eq!(parties.iter().map(|party| party.id).collect::<Vec<_>>(), [id, gone]);
    assert!(parties[0].person == ada() && parties[1].erased_at.is_some());
    assert_eq!(found(&casework, "Ada Example").await, [(whole.clone(), id)]);
    assert!(casework.verify_file(&os(), &whole, file, &mut |_, _| {}).await.unwrap().intact);
    assert_eq!(all(&casework, &part).await, []);

    // Where nothing is sealed no key is needed.
    std::fs::remove_file(dir.path().join("keys/master.key")).unwrap();
    casework.merge_incidents(&os(), &bare, &whole, None).await.unwrap();
}

#[tokio::test]
async fn a_sealed_row_opens_only_where_it_belongs() {
    let (database, dir) = (Database::new().await, state_dir());
    let casework = casework_with_keys(&database, dir.path()).await;
    let number = open(&casework, "x").await;
    for name in ["Ada", "Bob"] {
        casework.add_party(&os(), &number, PartyRole::Victim, &named(name)).await.unwrap();
    }
    let swap = "UPDATE incident_parties p SET sealed = o.sealed FROM incident_parties o WHERE o.id <> p.id";
    database.pool.execute(swap).await.unwrap();
    let opened = casework.parties(&os(), &number, None, MAX_PAGE).await;
    assert!(matches!(opened, Err(CaseworkError::Keys(KeyError::Broken(_)))), "{opened:?}");
    database.pool.execute(swap).await.unwrap();
    assert_eq!(all(&casework, &number).await.len(), 2, "put back, they open again");
    // The data key of another incident.
    let other = open(&casework, "y").await;
    casework.add_party(&os(), &other, PartyRole::Victim, &named("Eve")).await.unwrap();
    database
        .pool
        .execute("UPDATE data_keys d SET wrapped = o.wrapped FROM data_keys o WHERE d.incident_id < o.incident_id")
        .await
        .unwrap();
    let opened = casework.parties(&os(), &number, None, MAX_PAGE).await;
    assert!(matches!(opened, Err(CaseworkError::Keys(KeyError::Broken(_)))), "{opened:?}");
}

/// Four who read and write while the master key is changed, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_key_is_changed_while_people_work() {
    let (database, dir) = (Database::new().await, state_dir());
    let casework = casework_with_keys(&database, dir.path()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..4)
        .map(|n| {
            // Each with a process' view of its own.
            let (database, dir, stop) = (database.clone(), dir.path().to_owned(), Arc::clone(&stop));
            tokio::spawn(async move {
                let casework = casework_with_keys(&database, &dir).await;
                let mut rounds = 0;
                while !stop.load(Ordering::Relaxed) || rounds < 3 {
                    let number = open(&casework, "x").await;
                    let name = format!("Worker {n} round {rounds}");
                    let id = casework.add_party(&os(), &number, PartyRole::Victim, &named(&name)).await.unwrap();
                    assert_eq!(all(&casework, &number).await[0].person.name, Some(name.clone()));
                    assert_eq!(found(&casework, &name).await, [(number.clone(), id)]);
                    let second = casework.add_party(&os(), &number, PartyRole::Witness, &ada()).await.unwrap();
                    casework.erase_party(&os(), &number, second, "r").await.unwrap();
                    rounds += 1;
                }
                rounds
            })
        })
        .collect();
    for _ in 0..8 {
        casework.rotate_keys(&os(), true, &mut |_, _| {}).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let mut rounds = 0;
    for worker in workers {
        rounds += worker.await.unwrap();
    }
    casework.rotate_keys(&os(), true, &mut |_, _| {}).await.unwrap();
    let status = casework.key_status(&os()).await.unwrap();
    assert_eq!(status.keys.iter().map(|key| (key.present, key.data_keys)).collect::<Vec<_>>(), [(true, rounds + 1)]);
    for number in database.column("SELECT number FROM incidents").await {
        assert!(all(&casework, &number).await[0].person.name.as_ref().is_some_and(|name| name.starts_with("Worker")));
    }
    assert!(is_untampered(&casework).await);
}

/// A rotation that dies, wherever it does, leaves everything readable and is taken up by the next one.
#[tokio::test]
async fn a_rotation_that_dies_between_two_steps_is_taken_up_again() {
    let (database, dir) = (Database::new().await, state_dir());
    let casework = casework_with_keys(&database, dir.path()).await;
    let mut numbers = Vec::new();
    // More than are done in two transactions.
    for n in 0..205 {
        let number = open(&casework, "x").await;
        casework.add_party(&os(), &number, PartyRole::Victim, &named(&format!("No. {n}"))).await.unwrap();
        numbers.push(number);
    }
    // Told before the first and behind each of three transactions; never behind the fifth.
    for dies_at in 1..=5 {
        let before = casework.key_status(&os()).await.unwrap();
        let worker = casework.clone();
        let died = tokio::spawn(async move {
            let mut told = 0;
            worker
                .rotate_keys(&os(), true, &mut |_, _| {
                    told += 1;
                    assert!(told < dies_at, "it dies here");
                })
                .await
                .unwrap()
        })
        .await;
        assert_eq!(died.is_err(), dies_at < 5);
        let other = casework_with_keys(&database, dir.path()).await;
        for (n, number) in numbers.iter().enumerate().step_by(50) {
            assert_eq!(all(&other, number).await[0].person.name, Some(format!("No. {n}")));
        }
        let rotated = match died {
            Ok(rotated) => rotated,
            // Between the steps somebody else adds a person.
            Err(_) => {
                let number = open(&other, "meanwhile").await;
                other.add_party(&os(), &number, PartyRole::Victim, &ada()).await.unwrap();
                other.rotate_keys(&os(), true, &mut |_, _| {}).await.unwrap()
            }
        };
        let after = casework.key_status(&os()).await.unwrap();
        assert_eq!(after.keys.len(), 1, "{after:?}");
        assert_eq!(after.keys[0].id, rotated.key);
        assert_ne!(before.keys[0].id, rotated.key);
        assert!(rotated.forgotten.contains(&before.keys[0].id), "{rotated:?}");
    }
    assert!(is_untampered(&casework).await);
}

#[tokio::test]
async fn without_its_key_file_the_daemon_says_so_and_goes_on_and_makes_no_new_one() {
    let (database, dir) = (Database::new().await, state_dir());
    let configuration = format!("[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n", database.url());
    let state = dir.path().join("state");
    let daemon = Daemon::start(dir.path(), &configuration).await;
    let file = state.join("keys/master.key");
    wait_until("the first start makes the key file", async || file.exists()).await;
    let casework = casework_with_keys(&database, &state).await;
    let number = open(&casework, "x").await;
    casework.add_party(&os(), &number, PartyRole::Victim, &ada()).await.unwrap();
    assert_eq!(daemon.stop().await.0, Some(0));
    let key = std::fs::read_to_string(&file).unwrap();
    let id = key.lines().last().unwrap().split(' ').next().unwrap().to_owned();
    let secret = key.lines().last().unwrap().split(' ').nth(1).unwrap().to_owned();

    let kept = dir.path().join("kept.key");
    std::fs::rename(&file, &kept).unwrap();
    let daemon = Daemon::start(dir.path(), &configuration).await;
    wait_until("the daemon says which key is missing, and where", async || {
        daemon.log().iter().any(|line| line.contains(&id) && line.contains("keys/master.key"))
    })
    .await;
    assert!(!file.exists(), "no new key over what is sealed");
    crate::support::send_tcp(daemon.tcp(), b"<13>Nov 20 10:00:00 fw app: still stored\n").await.unwrap();
    database.wait_for("SELECT count(*) FROM logs", 1).await;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(tocsin());
        command.args(arguments).arg("--config").arg(dir.path().join("tocsin.toml")).env_remove("TOCSIN_TOKEN");
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, error) = run(&["incidents", "parties", &number]);
    assert_eq!(code, 1);
    assert!(error.contains("there is no key file") && error.contains("keys/master.key"), "{error}");
    let (code, out, _) = run(&["keys", "status"]);
    assert_eq!((code, out.contains(&id), out.contains("missing")), (3, true, true), "{out}");

    // Over the API: what is sealed is not available, what is not is.
    let new = tocsin::casework::users::NewUser { name: "ada".into(), display_name: None, email: None, role: Role::Analyst };
    casework.create_user(&os(), &new).await.unwrap();
    database.pool.execute("UPDATE users SET must_change = false").await.unwrap();
    let token = casework.create_token(&os(), "ada", "t", Role::Analyst, 1).await.unwrap();
    let bearer = format!("Bearer {token}");
    let get = async |path: String| request(daemon.http(), "GET", &path, &[("Authorization", &bearer)], b"").await.unwrap();
    let sealed = get(format!("/api/v1/incidents/{number}/parties")).await;
    assert_eq!(sealed.code, 503, "{}", sealed.body);
    assert!(!sealed.body.contains("master.key"), "the inside is not shown outside: {}", sealed.body);
    assert_eq!(get(format!("/api/v1/incidents/{number}")).await.code, 200);

    std::fs::rename(&kept, &file).unwrap();
    let back = get(format!("/api/v1/incidents/{number}/parties")).await;
    assert_eq!((back.code, back.body.contains("Ada Example")), (200, true), "{}", back.body);
    readable_by_all(&file);
    let (code, _, error) = run(&["incidents", "parties", &number]);
    assert_eq!((code, error.contains("chmod 600")), (1, true), "{error}");
    assert!(!daemon.log().iter().any(|line| line.contains(&secret)), "no key is in the log");
    assert_eq!(daemon.stop().await.0, Some(0));
}

fn readable_by_all(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
}
