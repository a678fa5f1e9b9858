//! Transactions of ingestion against a real server.

use std::future::ready;
use std::sync::LazyLock;

use sqlx::Executor;
use tocsin::frame::PositionChange;
use tocsin::record::incident::{Detector, Group, IncidentChange, RaisedBy};
use tocsin::record::{EventType, LogRecord, Severity, Timestamp, Value};
use tocsin::store::copy::{RowMeta, Rows};
use tocsin::store::rollups::{Counted, Rollups};
use tocsin::store::{Refused, Store, StoreError, Transaction};

use crate::support::Database;

pub fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

pub fn rows(messages: &[&str]) -> Rows {
    let mut rows = Rows::default();
    for (i, message) in messages.iter().enumerate() {
        let time = at("2026-11-20T10:00:00Z").plus_micros(i as i64);
        let meta = RowMeta { id: i as i64 + 1, event_time: time, received_at: time, source: "lan", frame: message.as_bytes() };
        rows.push(&LogRecord::text(*message), &meta);
    }
    rows
}

/// For transactions of which nobody looks at the counts.
static UNCOUNTED: LazyLock<Rollups> = LazyLock::new(Rollups::default);

pub fn transaction<'t>(number: i64, epoch: i64, rows: &'t Rows, positions: &'t [PositionChange]) -> Transaction<'t> {
    Transaction {
        number,
        epoch,
        floor: None,
        rows,
        rollups: &UNCOUNTED,
        positions,
        ledger: &[],
        losses: &[],
        deliveries: &[],
        changes: &[],
        max_evidence: 1000,
        patience: crate::support::PATIENCE,
    }
}

fn position(position: Option<u64>) -> Vec<PositionChange> {
    let detail = position.map(|_| serde_json::json!({"path": "/x"}));
    vec![PositionChange { input: "files:auth".into(), part: "1-2".into(), from: 0, to: position.unwrap_or(0), detail }]
}

pub fn never_refused(_: usize) -> Refused {
    panic!("no row is refused here")
}

pub async fn store(database: &Database) -> Store {
    let store = Store::connect(database.options.clone()).await.unwrap();
    store.ensure_partition(at("2026-11-20T00:00:00Z").day()).await.unwrap();
    store
}

#[tokio::test]
async fn every_column_arrives_as_it_was() {
    let database = Database::new().await;
    let store = store(&database).await;
    let saved = store.take_over().await.unwrap();
    let mut record = LogRecord::text("a\u{2400}\u{e9}");
    record.host = Some("h".into());
    record.app = Some("sshd".into());
    record.pid = Some(4242);
    record.event_type = EventType::LoginFailed;
    record.severity = Severity::Medium;
    record.username = Some("u\0v".into());
    record.src_ip = Some("2001:db8::1".parse().unwrap());
    record.src_port = Some(65_535);
    record.dst_ip = Some("192.0.2.9".parse().unwrap());
    record.dst_port = Some(22);
    record.protocol = Some("tcp".into());
    record.action = Some("ssh_login".into());
    record.set("log.syslog.facility.code", 4i64);
    record.set("quote", "a\"\\\n\0");
    record.set("nested", Value::Json("{\"a\":[1,\"\\u0000\"]}".into()));
    let mut rows = Rows::default();
    let time = at("2026-11-20T10:00:00.123456Z");
    rows.push(&record, &RowMeta { id: 7, event_time: time, received_at: time, source: "lan", frame: b"raw \0\xff bytes" });
    let mut writer = store.writer().await.unwrap();
    let positions = position(Some(99));
    writer.store(&transaction(1, saved.epoch, &rows, &positions), &never_refused, ready(())).await.unwrap();
    let got = database
        .column(
            "SELECT concat_ws('|', id, event_time AT TIME ZONE 'UTC', source, host, app, pid, event_type, severity, username, src_ip, src_port, \
             dst_ip, dst_port, protocol, action, message, encode(raw, 'escape'), fields->>'quote', fields->'nested'->'a', fields->'log.syslog.facility.code') FROM logs",
        )
        .await;
    assert_eq!(
        got,
        [
            "7|2026-11-20 10:00:00.123456|lan|h|sshd|4242|login_failed|medium|u\u{2400}v|2001:db8::1|65535|192.0.2.9|22|tcp|ssh_login|\
          a\u{2400}\u{e9}|raw \\000\\377 bytes|a\"\\\n\u{2400}|[1, \"\u{2400}\"]|4"
        ]
    );
    let again = store.take_over().await.unwrap();
    assert_eq!((again.transaction, again.positions[0].position), (1, 99));
    let forgotten = position(None);
    writer.store(&transaction(2, again.epoch, &Rows::default(), &forgotten), &never_refused, ready(())).await.unwrap();
    assert_eq!(store.take_over().await.unwrap().positions, []);
}

#[tokio::test]
async fn a_row_that_is_refused_goes_to_quarantine_and_its_batch_goes_on() {
    let database = Database::new().await;
    let store = store(&database).await;
    database.pool.execute("ALTER TABLE logs ADD CHECK (message NOT LIKE '%poison%')").await.unwrap();
    let saved = store.take_over().await.unwrap();
    let messages = ["a", "poison 1", "b", "c", "d", "poison 2", "e"];
    let rows = rows(&messages);
    let refused = |row: usize| Refused {
        id: row as i64 + 1,
        received_at: at("2026-11-20T10:00:00Z"),
        source: "lan".into(),
        raw: messages[row].as_bytes().to_vec(),
    };
    let mut rollups = Rollups::default();
    for host in ["fw", "fw", "fw", "fw", "", "mail", "fw"] {
        let (event_type, severity) = (EventType::Other, Severity::Low);
        rollups.count(&Counted { event_time: at("2026-11-20T10:59:59Z"), source: "lan", host, event_type, severity }, |_| true);
    }
    let mut writer = store.writer().await.unwrap();
    let work = Transaction { rollups: &rollups, ..transaction(1, saved.epoch, &rows, &[]) };
    let quarantined = writer.store(&work, &refused, ready(())).await.unwrap();
    assert_eq!(quarantined, 2);
    assert_eq!(database.column("SELECT message FROM logs ORDER BY id").await, ["a", "b", "c", "d", "e"]);
    let reasons = database.column("SELECT encode(raw, 'escape') || '|' || sqlstate || '|' || (reason LIKE '%check constraint%') FROM quarantine ORDER BY id").await;
    assert_eq!(reasons, ["poison 1|23514|true", "poison 2|23514|true"]);
    let rollups = "SELECT concat_ws('|', hour AT TIME ZONE 'UTC', source, host, event_type, severity, count) FROM log_rollups ORDER BY host";
    assert_eq!(
        database.column(rollups).await,
        ["2026-11-20 10:00:00|lan||other|low|1", "2026-11-20 10:00:00|lan|fw|other|low|4"],
        "neither the second row nor the sixth"
    );
}

#[tokio::test]
async fn a_transaction_is_stored_once_and_only_by_the_newest_owner() {
    let database = Database::new().await;
    let store = store(&database).await;
    let first = store.take_over().await.unwrap();
    let rows = rows(&["once"]);
    let mut writer = store.writer().await.unwrap();
    writer.store(&transaction(1, first.epoch, &rows, &[]), &never_refused, ready(())).await.unwrap();
    // The same again, as after an answer to COMMIT that got lost.
    assert_eq!(writer.last_transaction(first.epoch).await.unwrap(), 1);
    writer.store(&transaction(1, first.epoch, &Rows::default(), &[]), &never_refused, ready(())).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 1);
    // One that follows on nothing.
    let out_of_order = writer.store(&transaction(3, first.epoch, &Rows::default(), &[]), &never_refused, ready(())).await;
    assert!(matches!(out_of_order, Err(StoreError::Behind { ours: 2, theirs: 1 })), "{out_of_order:?}");
    let second = store.take_over().await.unwrap();
    assert_eq!((second.epoch, second.transaction), (first.epoch + 1, 1));
    let late = writer.store(&transaction(2, first.epoch, &Rows::default(), &[]), &never_refused, ready(())).await;
    assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 1);
}

pub fn change(events: u64, ids: std::ops::RangeInclusive<i64>, user: &str) -> IncidentChange {
    let time = |id: i64| at("2026-11-20T10:00:00Z").plus_micros(id - 1);
    IncidentChange {
        raised_by: RaisedBy::Detector(Detector::BruteForce),
        group: Group(vec![("src_ip".into(), "192.0.2.1".into())]),
        events,
        first_seen: time(*ids.start()),
        last_seen: time(*ids.end()),
        values: Vec::new(),
        usernames: vec![user.into()],
        evidence: ids.map(|id| (time(id), id, 1)).collect(),
        severity: Severity::Medium,
        escalation: Some((10, Severity::High)),
        window_micros: 3_600_000_000,
        threshold: 5,
    }
}

#[tokio::test]
async fn an_incident_grows_until_it_is_resolved_and_then_another_is_opened() {
    let database = Database::new().await;
    let store = store(&database).await;
    let saved = store.take_over().await.unwrap();
    let texts: Vec<String> = (1..=20).map(|i| format!("line {i}")).collect();
    let rows = rows(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let mut writer = store.writer().await.unwrap();
    let nothing = Rows::default();
    let steps =
        [(&rows, change(5, 1..=5, "root")), (&nothing, change(5, 6..=10, "admin")), (&nothing, change(7, 11..=17, "root"))];
    for (i, (rows, change)) in steps.iter().enumerate() {
        let changes = [change.clone()];
        let work = Transaction { changes: &changes, max_evidence: 12, ..transaction(i as i64 + 1, saved.epoch, rows, &[]) };
        writer.store(&work, &never_refused, ready(())).await.unwrap();
        if i == 1 {
            let got = database.column("SELECT concat_ws('|', number ~ '^INC-[0-9]{4}-000001$', status, severity, priority, reporter, event_count, usernames, technique) FROM incidents").await;
            assert_eq!(got, ["t|open|high|P2|anomaly_detection_system|10|{admin,root}|T1110.001"]);
            let (title, description) = (
                database.column("SELECT title FROM incidents").await,
                database.column("SELECT description FROM incidents").await,
            );
            assert!(title[0].contains("192.0.2.1"), "{title:?}");
            for named in ["192.0.2.1", "10", "root", "admin", "2026-11-20"] {
                assert!(description[0].contains(named), "{description:?} does not name {named}");
            }
        }
    }
    let told = database.column("SELECT concat_ws(' ', actor, event, old, new->>'severity', new->>'events', new#>>'{}') FROM incident_timeline ORDER BY id").await;
    assert_eq!(told.len(), 2, "opened, and once that it became worse: {told:?}");
    assert!(
        told[0].starts_with("anomaly_detection_system opened medium 5") && told[1].ends_with("severity \"medium\" high"),
        "{told:?}"
    );
    assert_eq!(database.number("SELECT count(*) FROM incident_evidence").await, 12, "the limit");
    assert_eq!(database.column("SELECT record->>'message' FROM incident_evidence ORDER BY log_id LIMIT 1").await, ["line 1"]);
    database.pool.execute("UPDATE incidents SET status = 'resolved'").await.unwrap();
    let changes = [change(1, 18..=18, "eve")];
    writer
        .store(&Transaction { changes: &changes, ..transaction(4, saved.epoch, &nothing, &[]) }, &never_refused, ready(()))
        .await
        .unwrap();
    assert_eq!(
        database.column("SELECT status || ' ' || event_count FROM incidents ORDER BY id").await,
        ["resolved 17", "open 1"]
    );
    assert_eq!(database.number("SELECT count(*) FROM active_incidents").await, 1);
    assert_eq!(database.column("SELECT total_logs || ' ' || incidents FROM weekly_summary('2026-11-21')").await.len(), 1);
}

#[tokio::test]
async fn absurd_and_ancient_days_need_no_partition_of_their_own() {
    let database = Database::new().await;
    let store = store(&database).await;
    store.ensure_partition(at("1999-01-01T00:00:00Z").day()).await.unwrap();
    store.ensure_partition(at("2026-11-20T00:00:00Z").day()).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'logs'::regclass").await, 2);
    // Whatever column comes later, a comment comes with it.
    let bare = "SELECT c.relname || '.' || a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped \
        AND c.relname <> '_sqlx_migrations' AND col_description(c.oid, a.attnum) IS NULL";
    assert_eq!(database.column(bare).await, Vec::<String>::new());
}

#[tokio::test]
async fn ids_come_in_blocks_that_do_not_overlap() {
    let database = Database::new().await;
    let store = store(&database).await;
    let (a, b) = (store.next_id_block().await.unwrap(), store.next_id_block().await.unwrap());
    assert_eq!(b - a, tocsin::store::ID_BLOCK);
    store.close().await;
}

#[tokio::test]
async fn deliveries_are_read_back_newest_first_and_no_more_than_are_wanted() {
    let database = Database::new().await;
    let store = store(&database).await;
    let stored = "INSERT INTO deliveries SELECT 'hook', 'd-' || n, now() - n * interval '1 hour' FROM generate_series(1, 200) n";
    database.pool.execute(stored).await.unwrap();
    let read = async |most| {
        let mut read = Vec::new();
        store.recent_deliveries(most, &mut |source, id| read.push(format!("{source} {id}"))).await.unwrap();
        read
    };
    assert_eq!(read(2).await, ["hook d-1", "hook d-2"]);
    let all = read(1_000).await;
    assert_eq!((all.len(), all.last().unwrap().as_str()), (200, "hook d-200"), "a server's clock may have been set");
    store.close().await;
}
