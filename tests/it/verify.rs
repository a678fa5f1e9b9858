//! `tocsin verify`: says yes where everything is stored once, and names what is not.

use std::path::Path;

use sqlx::Executor;

use crate::support::{Daemon, Database, findings, request, send_tcp, state_dir, verify};

#[tokio::test]
async fn every_gap_and_every_repetition_is_named() {
    let (database, state) = (Database::new().await, state_dir());
    let log = state.path().join("app.log");
    let lines = |from: u32, to: u32| (from..to).map(|n| format!("Nov 20 10:00:00 srv app: line {n}\n")).collect::<String>();
    std::fs::write(&log, lines(0, 100)).unwrap();
    let configuration = format!(
        "[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n[[webhook]]\nname = \"hook\"\nunauthenticated = true\n\
         [[files]]\nname = \"app\"\npaths = [{log:?}]\n",
        database.url()
    );
    for run in 0..2 {
        let daemon = Daemon::start(state.path(), &configuration).await;
        send_tcp(daemon.tcp(), lines(0, 50).as_bytes()).await.unwrap();
        // The second time it has been delivered before.
        let headers = [("X-Delivery-Id", "one")];
        assert_eq!(
            request(daemon.http(), "POST", "/ingest/hook", &headers, b"{\"message\":\"posted\"}").await.unwrap().code,
            200
        );
        database.wait_for("SELECT count(*) FROM logs", 151 + run * 50).await;
        assert_eq!(daemon.stop().await.0, Some(0));
    }
    let (code, good) = verify(state.path(), &[]);
    assert_eq!((code, &good["stored_once"], findings(&good)), (0, &201.into(), vec![]), "{good}");
    assert_eq!(good["waiting_in_journal"], 0);

    let path = log.to_str().unwrap();
    let change = async |sql: &str| {
        database.pool.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))).await.unwrap();
    };
    let id = database.number("SELECT id FROM logs WHERE message = 'line 7' ORDER BY id LIMIT 1").await;
    change(&format!("DELETE FROM logs WHERE id IN ({id}, {id} + 1)")).await;
    let copy = "INSERT INTO logs (id, event_time, received_at, source, event_type, severity, message) \
                SELECT NEW_ID, event_time + interval '1 second', received_at, source, event_type, severity, message FROM logs WHERE id = ";
    change(&format!("{} {id} + 9", copy.replace("NEW_ID", "999999999"))).await;
    change(&format!("{} {id} + 5", copy.replace("NEW_ID", "id"))).await;
    change("UPDATE positions SET position = position + 10 WHERE input = 'files:app' AND part <> ''").await;
    change("INSERT INTO losses (input, part, frames, reason, noticed_at, transaction) VALUES ('syslog:lan', '', 5, 'kernel_drop', now(), 1)").await;
    let (code, bad) = verify(state.path(), &[]);
    let texts = findings(&bad);
    assert_eq!((code, texts.len(), &bad["stored_once"]), (3, 5, &198.into()), "{bad:#}");
    let size = lines(0, 100).len();
    for want in [
        format!("MISSING  2 frames (ids {id} to {}), among bytes ", id + 1),
        format!("REPEATED id {} is in 2 rows of logs", id + 5),
        "UNKNOWN  1 row of logs (id 999999999) of which the ledger knows nothing".to_owned(),
        format!("GAP      bytes {size} to {} of files:app {path} were never read", size + 10),
        "LOST     5 frames of syslog:lan: kernel_drop, noticed at ".to_owned(),
    ] {
        assert!(texts.iter().any(|text| text.starts_with(&want)), "{want}: {texts:#?}");
    }
    let (code, nothing) = verify(Path::new("/nonexistent"), &[]);
    assert_eq!((code, nothing), (2, serde_json::Value::Null), "no configuration, no verdict");
    let (_, later) = verify(state.path(), &["--since", "2999-01-01T00:00:00Z"]);
    assert_eq!((&later["stored_once"], findings(&later)), (&0.into(), vec![]), "{later}");
}

#[tokio::test]
async fn what_is_in_quarantine_or_dropped_with_its_day_is_not_missing() {
    let (database, state) = (Database::new().await, state_dir());
    let configuration = format!(
        "[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\ntimezone = \"UTC\"\n",
        database.url()
    );
    let daemon = Daemon::start(state.path(), &configuration).await;
    database.wait_for("SELECT count(*) FROM positions", 1).await;
    database.pool.execute("ALTER TABLE logs ADD CHECK (message NOT LIKE '%poison%')").await.unwrap();
    let day = |days: i64| tocsin::record::Timestamp::now().plus_micros(-days * 86_400_000_000).to_string();
    let lines =
        format!("<13>1 {} h app - - - old\n<13>1 {} h app - - - poison\n<13>1 {} h app - - - new\n", day(3), day(0), day(0));
    send_tcp(daemon.tcp(), lines.as_bytes()).await.unwrap();
    database.wait_for("SELECT count(*) FROM logs", 2).await;
    assert_eq!(daemon.stop().await.0, Some(0));
    let old = format!("DROP TABLE logs_{}", day(3)[..10].replace('-', "_"));
    database.pool.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(old))).await.unwrap();
    let (code, good) = verify(state.path(), &[]);
    assert_eq!((code, findings(&good)), (0, vec![]), "{good}");
    assert_eq!((&good["stored_once"], &good["quarantined"], &good["expired"]), (&1.into(), &1.into(), &1.into()), "{good}");
}
