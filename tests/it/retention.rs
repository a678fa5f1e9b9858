//! What is due is taken away, what is held stays, ingestion goes on meanwhile, and `tocsin verify` knows what became of it all.

use std::time::{Duration, Instant};

use sqlx::Executor;
use tocsin::casework::incidents::{IncidentEdit, NewIncident};
use tocsin::casework::maintenance::{Retention, Run};
use tocsin::casework::split::Split;
use tocsin::casework::{Actor, Casework, CaseworkError, Role, Settings};
use tocsin::record::case::{Category, Status};
use tocsin::record::{Severity, Timestamp};
use tocsin::store::Store;

use crate::support::{Daemon, Database, findings, send_tcp, state_dir, verify, wait_until};

const DAY: i64 = 86_400_000_000;

fn os() -> Actor {
    Actor::operator("tester")
}

async fn keeping(database: &Database, retention: Retention) -> Casework {
    let settings = Settings { retention, ..Settings::default() };
    Casework::new(Store::connect(database.options.clone()).await.unwrap(), settings)
}

async fn run(casework: &Casework) -> Run {
    casework.maintain(&os(), &mut |_| {}).await.unwrap()
}

fn days_ago(days: i64) -> Timestamp {
    Timestamp::now().plus_micros(-days * DAY)
}

/// `2026-11-20`, as partitions and the ledger have it.
fn day(days: i64) -> String {
    days_ago(days).to_string().chars().take(10).collect()
}

/// Lines of some days ago.
fn lines(days: i64, count: usize) -> String {
    (0..count).map(|n| format!("<13>1 {} web app - - - of {days} days ago, {n}\n", days_ago(days))).collect()
}

/// SQL of a test's own.
async fn execute(database: &Database, sql: &str) {
    database.pool.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))).await.unwrap();
}

#[tokio::test]
async fn days_are_dropped_and_every_frame_is_still_accounted_for() {
    let (database, state) = (Database::new().await, state_dir());
    let configuration = format!("[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n", database.url());
    let daemon = Daemon::start(state.path(), &configuration).await;
    let send = async |text: String, all: i64| {
        send_tcp(daemon.tcp(), text.as_bytes()).await.unwrap();
        database.wait_for("SELECT count(*) FROM logs", all).await;
    };
    send(lines(100, 30) + &lines(95, 20) + &lines(500, 10) + &lines(600, 5) + &lines(1, 40), 105).await;
    let casework = keeping(&database, Retention { logs: Some(90 * DAY), ..Retention::default() }).await;
    let id = async |days: i64| {
        let like = format!("SELECT min(id) FROM logs WHERE message LIKE 'of {days} days ago%'");
        database.number(&like).await
    };
    for days in [100, 500, 1] {
        casework.annotate_log(&os(), id(days).await, "seen").await.unwrap();
        casework.archive_log(&os(), id(days).await + 1, None).await.unwrap();
    }
    let before = casework.maintenance(&os()).await.unwrap();
    let due: i64 = before.holdings.iter().map(|holding| holding.due).sum();
    assert!(before.holdings.iter().any(|h| h.what == format!("log records of {}", day(100)) && h.kept_days == Some(90)));
    assert!(due >= 15, "the statistics know of those that share a partition: {before:?}");

    // While the daemon runs, so that its entry in the ledger is open.
    let first = run(&casework).await;
    let told: Vec<(String, i64)> = first.taken.iter().map(|taken| (taken.what.clone(), taken.rows)).collect();
    let expected = [
        (format!("log records of {}", day(100)), 30),
        (format!("log records of {}", day(95)), 20),
        ("log records of long ago".to_owned(), 15),
    ];
    assert_eq!((&told[..], &first.put_off[..]), (&expected[..], &[][..]));
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 40);
    assert_eq!(database.column("SELECT log_id FROM log_notes").await, [id(1).await.to_string()]);
    assert_eq!(database.number("SELECT count(*) FROM archived_logs").await, 1);
    let (code, verdict) = verify(state.path(), &[]);
    assert_eq!((code, &verdict["stored_once"], &verdict["expired"]), (0, &40.into(), &65.into()), "{verdict:#}");

    // The same days again, into the same entry of the ledger: what is stored now was not dropped.
    send(lines(100, 7) + &lines(500, 3), 50).await;
    let (code, verdict) = verify(state.path(), &[]);
    assert_eq!((code, &verdict["stored_once"], &verdict["expired"]), (0, &50.into(), &65.into()), "{verdict:#}");
    execute(&database, "DELETE FROM logs WHERE id = (SELECT max(id) FROM logs WHERE message LIKE 'of 100 %')").await;
    let (code, verdict) = verify(state.path(), &[]);
    assert_eq!((code, findings(&verdict).len()), (3, 1), "one that nobody dropped is missed: {verdict:#}");

    let second = run(&casework).await;
    assert_eq!(second.taken.iter().map(|taken| taken.rows).collect::<Vec<_>>(), [7, 3], "as the roll-ups have it");
    assert_eq!(run(&casework).await.taken, [], "nothing is due any more");
    assert_eq!(daemon.stop().await.0, Some(0));
    let audited = casework.check_audit(&os(), None, &mut |_| {}).await.unwrap();
    assert_eq!(audited.tampered, None);
    let acts =
        database.column("SELECT action || ' ' || subject FROM audit_log WHERE action LIKE 'maintenance.%' ORDER BY id").await;
    assert_eq!(
        acts[..4],
        [
            format!("maintenance.drop logs:{}", day(100)),
            format!("maintenance.drop logs:{}", day(95)),
            "maintenance.drop logs_archive".to_owned(),
            "maintenance.run maintenance".to_owned(),
        ]
    );
}

#[tokio::test]
async fn what_is_kept_in_rows_goes_when_its_time_has_come() {
    let database = Database::new().await;
    let keep = Retention { rollups: Some(400 * DAY), quarantine: Some(30 * DAY), tokens: Some(10 * DAY), ..Retention::default() };
    let casework = keeping(&database, keep).await;
    execute(
        &database,
        "INSERT INTO log_rollups SELECT now() - n * interval '1 day', 'lan', '', 'other', 'low', 1 FROM generate_series(0, 500) n; \
         INSERT INTO quarantine (quarantined_at, log_id, received_at, source, raw, sqlstate, reason) \
             SELECT now() - n * interval '20 days', n, now(), 'lan', '', '23514', 'r' FROM generate_series(1, 3) n; \
         INSERT INTO users (name, role, password_hash, created_at, updated_at) VALUES ('ada', 'admin', '', now(), now()); \
         INSERT INTO sessions SELECT decode(n::text, 'escape'), u.id, now(), now() - n * interval '20 minutes' FROM users u, generate_series(1, 3) n; \
         INSERT INTO api_tokens (name, token_hash, user_id, role, created_at, expires_at, revoked_at) \
             SELECT n, decode(n, 'escape'), u.id, 'viewer', now(), now() + expires, now() + revoked FROM users u, \
             (VALUES ('live', interval '1 day', NULL), ('ended', '-9 days', NULL), ('old', '-11 days', NULL), ('revoked', '9 days', interval '-11 days')) \
                 AS t (n, expires, revoked); \
         INSERT INTO added_logs (actor, added_at, line, taken_at) VALUES ('x', '2001-01-01', 'kept for good', '2001-01-01')",
    )
    .await;
    let taken = run(&casework).await.taken;
    let told: Vec<(&str, i64)> = taken.iter().map(|taken| (&*taken.what, taken.rows)).collect();
    assert_eq!(
        told,
        [("counts of log records by hour", 100), ("frames in quarantine", 2), ("tokens of programs", 2), ("sessions", 2)]
    );
    assert_eq!(database.column("SELECT name FROM api_tokens ORDER BY name").await, ["ended", "live"]);
    assert_eq!(database.column("SELECT ids FROM dropped_logs").await, ["{[2,4)}"], "frames that the ledger knows");
    assert_eq!(database.number("SELECT count(*) FROM added_logs").await, 1);
}

fn over() -> IncidentEdit {
    let resolution = Some("a test".to_owned());
    IncidentEdit { status: Some(Status::FalsePositive), resolution, archived: Some(true), ..IncidentEdit::default() }
}

#[tokio::test]
async fn incidents_go_only_where_that_is_said_and_never_what_is_under_legal_hold() {
    let database = Database::new().await;
    let kept = keeping(&database, Retention::default()).await;
    let casework = keeping(&database, Retention { incidents: Some(365 * DAY), ..Retention::default() }).await;
    let mut numbers = Vec::new();
    for title in ["held", "due", "young", "in sight"] {
        let (title, description) = (title.to_owned(), String::new());
        let new = NewIncident { title, description, severity: Severity::Low, category: Category::Other, first_seen: None };
        let number = casework.open_incident(&os(), &new).await.unwrap();
        casework.add_note(&os(), &number, tocsin::record::case::NoteKind::Note, "n").await.unwrap();
        let task = tocsin::casework::tasks::TaskEdit { title: Some("t".into()), ..Default::default() };
        casework.add_task(&os(), &number, &task).await.unwrap();
        casework.edit_incident(&os(), &number, &over(), None).await.unwrap();
        numbers.push(number);
    }
    let shown = IncidentEdit { archived: Some(false), ..IncidentEdit::default() };
    casework.edit_incident(&os(), &numbers[3], &shown, None).await.unwrap();
    execute(
        &database,
        "UPDATE incidents SET resolved_at = now() - interval '400 days' WHERE title <> 'young'; \
        INSERT INTO incident_evidence (incident_id, log_id, event_time, record) SELECT id, 1, now(), '{}' FROM incidents",
    )
    .await;

    let new = NewIncident {
        title: "open".to_owned(),
        description: String::new(),
        severity: Severity::Low,
        category: Category::Other,
        first_seen: None,
    };
    let open = casework.open_incident(&os(), &new).await.unwrap();
    let ada = Actor { role: Role::Analyst, ..os() };
    let refused = casework.hold_incident(&ada, &numbers[0], "because").await;
    assert!(matches!(refused, Err(CaseworkError::Forbidden { .. })), "{refused:?}");
    assert!(matches!(casework.hold_incident(&os(), &numbers[0], " ").await, Err(CaseworkError::Invalid { field: "reason", .. })));
    let held = casework.hold_incident(&os(), &numbers[0], "the court").await.unwrap();
    assert_eq!((held.legal_hold_by.as_deref(), held.legal_hold_reason.as_deref()), (Some("os:tester"), Some("the court")));
    for sql in ["DELETE FROM incident_evidence", "DELETE FROM incidents"] {
        let refused = database.pool.execute(sql).await.unwrap_err().to_string();
        assert!(refused.contains("under legal hold"), "{sql}: {refused}");
    }

    // Nor does its evidence get away from it.
    casework.hold_incident(&os(), &numbers[3], "the court").await.unwrap();
    let split = Split { title: "t".into(), severity: Severity::Low, evidence: vec![1], notes: vec![], tasks: vec![] };
    for refused in [
        casework.purge_incident(&os(), &numbers[0], "gone").await.map(|()| String::new()),
        casework.merge_incidents(&os(), &numbers[0], &open, None).await.map(|case| case.number),
        casework.split_incident(&os(), &numbers[3], &split, None).await,
    ] {
        assert!(matches!(&refused, Err(CaseworkError::Conflict(why)) if why.contains("legal hold")), "{refused:?}");
    }
    casework.release_incident(&os(), &numbers[3], "over").await.unwrap();
    assert_eq!(run(&kept).await.taken, [], "nobody said that incidents may go");
    let due = casework.maintenance(&os()).await.unwrap().holdings.pop().unwrap();
    assert_eq!((due.due, due.stays.as_deref()), (1, Some("1 under legal hold")));
    assert_eq!(run(&casework).await.taken.len(), 1);
    assert_eq!(database.column("SELECT title FROM incidents ORDER BY id").await, ["held", "young", "in sight", "open"]);
    let left = "SELECT count(*) FROM (SELECT incident_id FROM incident_evidence UNION ALL SELECT incident_id FROM incident_notes \
                UNION ALL SELECT incident_id FROM incident_tasks) AS x";
    assert_eq!(database.number(left).await, 9);

    casework.release_incident(&os(), &numbers[0], "over").await.unwrap();
    assert!(matches!(casework.release_incident(&os(), &numbers[0], "over").await, Err(CaseworkError::Conflict(_))));
    let told = casework.incident(&os(), &numbers[0]).await.unwrap().timeline;
    assert_eq!(told.iter().filter(|what| what.event == "legal_hold").count(), 2);
    assert_eq!(run(&casework).await.taken.len(), 1);
    assert_eq!(database.number("SELECT count(*) FROM incidents").await, 3);
}

/// Somebody reads for long: the drop waits, but nobody who stores waits behind it for long.
#[tokio::test(flavor = "multi_thread")]
async fn ingestion_goes_on_while_a_partition_cannot_be_dropped_and_it_is_dropped_at_once_when_it_can() {
    let database = Database::new().await;
    let casework = keeping(&database, Retention { logs: Some(90 * DAY), ..Retention::default() }).await;
    execute(
        &database,
        "SELECT ensure_log_partition(((now() AT TIME ZONE 'UTC')::date - n)) FROM (VALUES (0), (100)) AS days (n); \
         INSERT INTO logs (id, event_time, received_at, source, event_type, severity, message) \
         SELECT n, now() - interval '100 days', now(), 'lan', 'other', 'low', 'old ' || n FROM generate_series(1, 300000) n",
    )
    .await;
    let mut reader = database.pool.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM logs").execute(&mut *reader).await.unwrap();
    let dropping = tokio::spawn(async move { casework.maintain(&os(), &mut |_| {}).await });
    let (mut longest, mut stored, begun) = (Duration::ZERO, 0, Instant::now());
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%drop_log_partition%'";
    let mut seen = 0;
    // Until it has waited some times, so that somebody stored behind it.
    while seen < 3 {
        let began = Instant::now();
        let one = "INSERT INTO logs (id, event_time, received_at, source, event_type, severity, message) VALUES \
                   (1000000, now(), now(), 'lan', 'other', 'low', 'new')";
        database.pool.execute(one).await.unwrap();
        longest = longest.max(began.elapsed());
        stored += 1;
        seen += database.number(waits).await;
        assert!(begun.elapsed() < crate::support::PATIENCE && !dropping.is_finished(), "it does not wait");
    }
    reader.rollback().await.unwrap();
    let run = dropping.await.unwrap().unwrap();
    assert_eq!((run.taken.len(), run.put_off.len()), (1, 0));
    assert_eq!(database.number("SELECT count(*) FROM logs").await, stored);
    assert!(longest < Duration::from_secs(5), "the time-out is 200 ms: {longest:?}");
}

#[tokio::test]
async fn a_daemon_that_was_down_does_it_at_its_start_and_not_again() {
    let (database, state) = (Database::new().await, state_dir());
    Store::connect(database.options.clone()).await.unwrap();
    execute(
        &database,
        "SELECT ensure_log_partition(((now() AT TIME ZONE 'UTC')::date - n)) FROM (VALUES (0), (100), (30)) AS days (n); \
         UPDATE maintenance_runs SET began_at = now() - interval '2 days'",
    )
    .await;
    let configuration = format!(
        "[retention]\nlogs = \"40 d\"\n[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n",
        database.url()
    );
    let daemon = Daemon::start(state.path(), &configuration).await;
    database
        .wait_for("SELECT count(*) FROM maintenance_runs WHERE actor = 'tocsin' AND began_at > now() - interval '1 day'", 1)
        .await;
    assert_eq!(database.number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'logs'::regclass").await, 3);
    wait_until("it tells", async || daemon.log().iter().any(|line| line.contains("taken away, since it was due"))).await;
    assert_eq!(daemon.stop().await.0, Some(0));
    execute(&database, "SELECT ensure_log_partition(((now() AT TIME ZONE 'UTC')::date - 100))").await;
    let daemon = Daemon::start(state.path(), &configuration).await;
    database.wait_for("SELECT epoch FROM positions WHERE input = 'pipeline'", 2).await;
    assert_eq!(daemon.stop().await.0, Some(0));
    assert_eq!(database.number("SELECT count(*) FROM maintenance_runs").await, 2, "it was done already");
}
