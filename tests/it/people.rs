//! Users, sessions, tokens and the audit log, against a real server.

use std::process::Command;

use sqlx::{Connection as _, Executor as _};
use tocsin::casework::audit::AuditFilter;
use tocsin::casework::sessions::{MAX_FAILURES, Origin};
use tocsin::casework::users::{NewUser, UserChange};
use tocsin::casework::{Actor, Casework, CaseworkError, Role, Via};
use tocsin::record::Timestamp;

use crate::support::{Database, casework};

fn os() -> Actor {
    Actor::operator("tester")
}

const PASSWORD: &str = "correct-horse-battery";

/// A user with that password, who has changed it already.
async fn user(casework: &Casework, name: &str, role: Role) -> Actor {
    let new = NewUser { name: name.to_owned(), display_name: None, email: None, role };
    let once = casework.create_user(&os(), &new).await.unwrap();
    let (_, actor) = casework.sign_in(name, once.clone(), Via::Api, &Origin::default()).await.unwrap();
    casework.change_own_password(&actor, once, PASSWORD.to_owned()).await.unwrap();
    sign_in(casework, name, PASSWORD).await.unwrap().1
}

async fn sign_in(casework: &Casework, name: &str, password: &str) -> Result<(String, Actor), CaseworkError> {
    casework.sign_in(name, password.to_owned(), Via::Api, &Origin::default()).await
}

async fn tampered(casework: &Casework) -> Option<(i64, &'static str)> {
    casework.check_audit(&os(), None, &mut |_| {}).await.unwrap().tampered
}

#[tokio::test]
async fn the_first_start_makes_one_admin_who_has_to_change_the_password() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let once = casework.create_first_admin().await.unwrap().unwrap();
    assert_eq!(casework.create_first_admin().await.unwrap(), None);
    let (token, admin) = sign_in(&casework, "admin", &once).await.unwrap();
    assert_eq!(admin.role, Role::Admin);
    assert!(matches!(casework.users(&admin).await, Err(CaseworkError::MustChangePassword)), "nothing before that");
    let weak = casework.change_own_password(&admin, once.clone(), "password12345".to_owned()).await;
    assert!(matches!(weak, Err(CaseworkError::Invalid { field: "password", .. })), "{weak:?}");
    let wrong = casework.change_own_password(&admin, "not it".to_owned(), PASSWORD.to_owned()).await;
    assert!(matches!(wrong, Err(CaseworkError::Unrecognised)));
    casework.change_own_password(&admin, once.clone(), PASSWORD.to_owned()).await.unwrap();
    assert!(
        matches!(casework.recognise(&token, Via::Api, None).await, Err(CaseworkError::Unrecognised)),
        "its sessions have ended"
    );
    assert!(matches!(sign_in(&casework, "admin", &once).await, Err(CaseworkError::Unrecognised)));
    let (_, admin) = sign_in(&casework, "admin", PASSWORD).await.unwrap();
    assert_eq!(casework.users(&admin).await.unwrap().len(), 1);
    assert_eq!(tampered(&casework).await, None);
}

#[tokio::test]
async fn too_many_wrong_passwords_lock_an_account_for_everybody() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    user(&casework, "ada", Role::Analyst).await;
    // At the same time, so that none slips through between reading and counting.
    let attempts = (0..MAX_FAILURES).map(|n| {
        let casework = casework.clone();
        tokio::spawn(async move { sign_in(&casework, "ada", &format!("wrong {n}")).await.err() })
    });
    let mut locked = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            Some(CaseworkError::LockedOut(_)) => locked += 1,
            Some(CaseworkError::Unrecognised) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(locked, 1, "the last one locks");
    assert!(matches!(sign_in(&casework, "ada", PASSWORD).await, Err(CaseworkError::LockedOut(_))), "the right one, too");
    assert!(matches!(sign_in(&casework, "nobody", PASSWORD).await, Err(CaseworkError::Unrecognised)));
    let unlocked = casework.change_user(&os(), "ada", &UserChange { unlock: true, ..UserChange::default() }, None).await.unwrap();
    assert_eq!(unlocked.locked_until, None);
    sign_in(&casework, "ada", PASSWORD).await.unwrap();
    // A lock-out ends by itself.
    database.pool.execute("UPDATE users SET locked_until = now() - interval '1 second'").await.unwrap();
    sign_in(&casework, "ada", PASSWORD).await.unwrap();
    let refused: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE action = 'session.refuse'")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(refused, i64::from(MAX_FAILURES) + 2);
}

#[tokio::test]
async fn sessions_end_when_idle_when_old_when_told_and_with_their_user() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let ada = user(&casework, "ada", Role::Analyst).await;
    let is_known = async |token: &str| casework.recognise(token, Via::Api, None).await.is_ok();
    for end in [
        "UPDATE sessions SET last_used_at = now() - interval '31 minutes'",
        "UPDATE sessions SET created_at = now() - interval '721 minutes'",
    ] {
        let (token, _) = sign_in(&casework, "ada", PASSWORD).await.unwrap();
        assert!(is_known(&token).await);
        database.pool.execute(end).await.unwrap();
        assert!(!is_known(&token).await, "{end}");
    }
    let (token, actor) = sign_in(&casework, "ada", PASSWORD).await.unwrap();
    casework.sign_out(&actor, &token).await.unwrap();
    assert!(!is_known(&token).await);
    let (one, _) = sign_in(&casework, "ada", PASSWORD).await.unwrap();
    let (two, _) = sign_in(&casework, "ada", PASSWORD).await.unwrap();
    assert_eq!(casework.end_sessions(&ada, "ada").await.unwrap(), 2);
    assert!(!is_known(&one).await && !is_known(&two).await);
    let (token, _) = sign_in(&casework, "ada", PASSWORD).await.unwrap();
    casework.change_user(&os(), "ada", &UserChange { disabled: Some(true), ..UserChange::default() }, None).await.unwrap();
    assert!(!is_known(&token).await);
    assert!(matches!(sign_in(&casework, "ada", PASSWORD).await, Err(CaseworkError::Unrecognised)));
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM sessions").fetch_one(&database.pool).await.unwrap();
    assert_eq!(kept, 0, "what has ended is not kept");
}

#[tokio::test]
async fn a_token_may_no_more_than_its_user_and_is_refused_when_it_is_over() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let ada = user(&casework, "ada", Role::Analyst).await;
    let above = casework.create_token(&ada, "ada", "x", Role::Admin, 1).await;
    assert!(matches!(above, Err(CaseworkError::Invalid { field: "role", .. })));
    let foreign = casework.create_token(&ada, "admin", "x", Role::Viewer, 1).await;
    assert!(matches!(foreign, Err(CaseworkError::Forbidden { .. })));
    assert!(matches!(
        casework.create_token(&ada, "ada", "x", Role::Viewer, 0).await,
        Err(CaseworkError::Invalid { field: "days", .. })
    ));
    let token = casework.create_token(&ada, "ada", "feeds", Role::Analyst, 30).await.unwrap();
    assert!(matches!(casework.create_token(&ada, "ada", "feeds", Role::Viewer, 30).await, Err(CaseworkError::Conflict(_))));
    let role = async || casework.recognise(&token, Via::Api, None).await.map(|actor| actor.role).ok();
    assert_eq!(role().await, Some(Role::Analyst));
    casework.change_user(&os(), "ada", &UserChange { role: Some(Role::Viewer), ..UserChange::default() }, None).await.unwrap();
    assert_eq!(role().await, Some(Role::Viewer), "its user may do less by now");
    database.pool.execute("UPDATE api_tokens SET expires_at = now()").await.unwrap();
    assert_eq!(role().await, None, "expired");
    database.pool.execute("UPDATE api_tokens SET expires_at = now() + interval '1 day'").await.unwrap();
    casework.revoke_token(&os(), "ada", "feeds").await.unwrap();
    assert_eq!(role().await, None, "revoked");
    assert!(matches!(casework.revoke_token(&os(), "ada", "feeds").await, Err(CaseworkError::NotFound(_))));
    let kept: Vec<u8> = sqlx::query_scalar("SELECT token_hash FROM api_tokens").fetch_one(&database.pool).await.unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains(&token[4..]), "the token itself is kept nowhere");
}

#[tokio::test]
async fn there_is_always_an_admin_and_nobody_overwrites_what_they_have_not_seen() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    for name in ["ada", "bob"] {
        user(&casework, name, Role::Admin).await;
    }
    // Two admins who demote each other at one time.
    let demote = |name: &'static str| {
        let casework = casework.clone();
        tokio::spawn(async move {
            casework
                .change_user(&os(), name, &UserChange { role: Some(Role::Viewer), ..UserChange::default() }, None)
                .await
                .is_ok()
        })
    };
    let (one, two) = (demote("ada"), demote("bob"));
    assert_eq!([one.await.unwrap(), two.await.unwrap()].iter().filter(|done| **done).count(), 1);
    let user = casework.users(&os()).await.unwrap().remove(0);
    let enable = UserChange { disabled: Some(false), ..UserChange::default() };
    casework.change_user(&os(), "ada", &enable, Some(user.version)).await.unwrap();
    let late = casework.change_user(&os(), "ada", &enable, Some(user.version)).await;
    assert!(matches!(&late, Err(CaseworkError::Conflict(why)) if why.contains("was changed")), "{late:?}");
}

#[tokio::test]
async fn whoever_tampers_with_the_audit_log_is_found_out_and_told_where() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    for name in ["ada", "bob", "eve"] {
        user(&casework, name, Role::Viewer).await;
    }
    let checked = casework.check_audit(&os(), None, &mut |_| {}).await.unwrap();
    assert_eq!((checked.rows, checked.tampered), (12, None));
    for refused in ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"] {
        let error = database.pool.execute(refused).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{refused}: {error}");
    }
    // Behind the program's back: a superuser can do everything.
    let mut connection = sqlx::PgConnection::connect_with(&database.options).await.unwrap();
    connection
        .execute("CREATE TABLE good AS SELECT * FROM audit_log; CREATE TABLE good_head AS SELECT * FROM audit_head")
        .await
        .unwrap();
    connection.execute("SET session_replication_role = replica").await.unwrap();
    let restore = "DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM good; DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM good_head";
    for (act, first, what) in [
        ("UPDATE audit_log SET actor = 'somebody' WHERE id = 5", 5, "changed after"),
        ("UPDATE audit_log SET reason = '' WHERE id = 6", 6, "changed after"),
        ("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE id = 12", 12, "changed after"),
        ("UPDATE audit_log SET new = json '{\"role\": \"viewer\" }' WHERE id = 1", 1, "changed after"),
        ("DELETE FROM audit_log WHERE id = 7", 7, "missing"),
        ("DELETE FROM audit_log WHERE id >= 11", 11, "missing"),
        ("UPDATE audit_log SET hash = decode(repeat('ab', 32), 'hex') WHERE id = 3", 3, "changed after"),
        ("UPDATE audit_log a SET id = 100 - id WHERE id IN (4)", 4, "missing"),
    ] {
        connection.execute(act).await.unwrap();
        let (row, why) = tampered(&casework).await.expect(act);
        assert_eq!(row, first, "{act}: {why}");
        assert!(why.contains(what), "{act}: {why}");
        connection.execute(restore).await.unwrap();
        assert_eq!(tampered(&casework).await, None);
    }
    // Whoever writes the whole log anew, head and all, is found out by the head that was noted elsewhere.
    connection
        .execute("DELETE FROM audit_log; UPDATE audit_head SET id = 0, hash = decode(repeat('00', 32), 'hex')")
        .await
        .unwrap();
    assert_eq!(tampered(&casework).await, None);
    let noted = casework.check_audit(&os(), Some(&checked.head), &mut |_| {}).await.unwrap();
    assert!(noted.tampered.is_some());
}

/// The same from the command line, as a new admin would.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_makes_users_and_tokens_and_checks_the_log() {
    let database = Database::new().await;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("tocsin.toml");
    std::fs::write(&config, format!("state_dir = {:?}\n[database]\nurl = {:?}\n", dir.path().join("state"), database.url()))
        .unwrap();
    let run = |arguments: &str, token: Option<&str>| {
        let mut command = Command::new(crate::support::tocsin());
        command.args(arguments.split(' ')).arg("--config").arg(&config).env_remove("TOCSIN_TOKEN");
        token.into_iter().for_each(|token| {
            command.env("TOCSIN_TOKEN", token);
        });
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (code, secret, told) = run("user add ada --role analyst", None);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("to be used once") && !told.contains(secret.trim()));
    assert_eq!(run("user add ada", None).0, 1);
    assert_eq!(run("user add Ada", None).0, 1);
    assert_eq!(run("user add eve --role king", None).0, 2);
    let (code, token, _) = run("token add feeds --user ada --role viewer", None);
    assert_eq!(code, 0);
    let (code, _, told) = run("user list", Some(token.trim()));
    assert_eq!(code, 1);
    // The password was never changed, so that its owner may do nothing, nor may a token on her behalf.
    assert!(told.contains("change it first"), "{told}");
    let (code, users, _) = run("user list --json", None);
    let users: serde_json::Value = serde_json::from_str(&users).unwrap();
    assert_eq!((code, &users[0]["name"], &users[0]["must_change_password"]), (0, &"ada".into(), &true.into()));
    assert!(!users.to_string().contains("argon2"), "nothing secret");
    assert_eq!(run("user list", Some("tct_none")).0, 1);
    let (code, checked, _) = run("audit verify --json", None);
    let checked: serde_json::Value = serde_json::from_str(&checked).unwrap();
    assert_eq!((code, checked["rows"].as_i64()), (0, Some(2)));
    let (code, ..) = run(&format!("audit verify --head {}", "ab".repeat(32)), None);
    assert_eq!(code, 3);
    let actor: String = sqlx::query_scalar("SELECT actor FROM audit_log WHERE id = 1").fetch_one(&database.pool).await.unwrap();
    assert!(actor.starts_with("os:"), "{actor}");
}

#[tokio::test]
async fn the_audit_log_is_paged_by_time_and_read_from_an_index_whatever_is_asked_for() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    // Ten acts of each moment, in reverse: what was committed later may have begun earlier.
    let fill = "INSERT INTO audit_log (id, at, actor, role, via, action, subject, previous, hash) \
         SELECT n, timestamptz '2026-11-20 00:00:00Z' + (20000 - n) / 10 * interval '1 second', 'user' || n % 50, 'admin', 'api', 'a.b', \
             'thing:' || n % 500, '', '' FROM generate_series(1, 20000) n";
    database.pool.execute(fill).await.unwrap();
    database.pool.execute("ANALYZE audit_log").await.unwrap();
    let (from, to) = ("2026-11-20T00:05:00Z", "2026-11-20T00:20:00Z");
    let time = |text: &str| Some(Timestamp::parse_rfc3339(text).unwrap());
    for (filter, condition, index) in [
        (AuditFilter { from: time(from), to: time(to), ..Default::default() }, "true", "audit_log_time"),
        (
            AuditFilter { actor: Some("user7".into()), from: time(from), to: time(to), ..Default::default() },
            "actor = 'user7'",
            "audit_log_actor",
        ),
        (
            AuditFilter { subject: Some("thing:77".into()), from: time(from), to: time(to), ..Default::default() },
            "subject = 'thing:77'",
            "audit_log_subject",
        ),
    ] {
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let (page, next) = casework.audit(&os(), &filter, before, 97).await.unwrap();
            seen.extend(page.iter().map(|entry| entry.id.to_string()));
            before = next;
            if next.is_none() {
                break;
            }
        }
        let within = format!("{condition} AND at >= '{from}' AND at < '{to}'");
        let all = format!("SELECT id FROM audit_log WHERE {within} ORDER BY at DESC, id DESC");
        assert_eq!(seen, database.column(&all).await, "{condition}");
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN {} LIMIT 50", all.replace("SELECT id", "SELECT *")));
        let plan: Vec<String> = sqlx::query_scalar(explain).fetch_all(&database.pool).await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains(&format!(" {index}")) && !plan.contains("Seq Scan"), "{condition}: {plan}");
    }
}
