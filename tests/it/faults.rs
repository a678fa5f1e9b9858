//! Faults that once lost something, hung something, or were told wrong.

use std::time::Duration;

use sqlx::Executor;
use tocsin::record::Timestamp;
use tokio::io::AsyncWriteExt;

use crate::support::{Daemon, Database, bsd_time, request, send_tcp, state_dir};

fn configuration(database: &Database) -> String {
    format!(
        "[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\ntimezone = \"UTC\"\n[[webhook]]\nname = \"hook\"\nunauthenticated = true\n",
        database.url()
    )
}

async fn post(daemon: &Daemon, message: &str) {
    let body = format!("{{\"message\":{message:?}}}");
    let posted = request(daemon.http(), "POST", "/ingest/hook", &[], body.as_bytes()).await.unwrap();
    assert_eq!(posted.code, 200, "{posted:?}");
}

#[tokio::test]
async fn two_journals_that_take_turns_on_one_database_lose_nothing() {
    let (database, a, b) = (Database::new().await, state_dir(), state_dir());
    for (round, state) in [&a, &b, &a, &b, &a].into_iter().enumerate() {
        let daemon = Daemon::start(state.path(), &configuration(&database)).await;
        post(&daemon, &format!("round {round}")).await;
        database.wait_for("SELECT count(*) FROM logs", round as i64 + 1).await;
        assert_eq!(daemon.stop().await.0, Some(0));
    }
    // The same with a journal whose segments somebody removed.
    for entry in std::fs::read_dir(a.path().join("state/journal")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "journal") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let daemon = Daemon::start(a.path(), &configuration(&database)).await;
    post(&daemon, "after the loss").await;
    database.wait_for("SELECT count(*) FROM logs", 6).await;
    assert_eq!(database.number("SELECT count(DISTINCT message) FROM logs").await, 6);
    assert_eq!(daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_up_the_end() {
    let (database, state) = (Database::new().await, state_dir());
    let daemon = Daemon::start(state.path(), &configuration(&database)).await;
    let mut endless = tokio::net::TcpStream::connect(daemon.http()).await.unwrap();
    endless.write_all(b"GET / HT").await.unwrap();
    let mut half = tokio::net::TcpStream::connect(daemon.tcp()).await.unwrap();
    half.write_all(b"<13>Nov 20 10:00:00 fw app: half a").await.unwrap();
    post(&daemon, "whole").await;
    let (code, took) = daemon.stop().await;
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(database.number("SELECT count(*) FROM logs WHERE message = 'whole'").await, 1);
}

#[tokio::test]
async fn an_attack_that_a_wrong_clock_dates_hours_back_is_found_across_a_restart() {
    let (database, state) = (Database::new().await, state_dir());
    let configuration = configuration(&database);
    let now = Timestamp::from_secs(Timestamp::now().as_micros() / 1_000_000);
    let failed = |minutes: i64| {
        let time = bsd_time(now, minutes * 60 - 5 * 3600);
        format!("<38>{time} srv sshd[{minutes}]: Failed password for root from 192.0.2.7 port 22 ssh2\n")
    };
    let live = |daemon: &Daemon| {
        let (to, line) = (daemon.tcp(), format!("<13>{} fw app: live\n", bsd_time(now, 0)));
        async move { send_tcp(to, line.as_bytes()).await.unwrap() }
    };
    let daemon = Daemon::start(state.path(), &configuration).await;
    send_tcp(daemon.tcp(), (failed(1) + &failed(2)).as_bytes()).await.unwrap();
    live(&daemon).await;
    database.wait_for("SELECT count(*) FROM logs", 3).await;
    daemon.kill();
    let daemon = Daemon::start(state.path(), &configuration).await;
    for more in 4..8 {
        live(&daemon).await;
        database.wait_for("SELECT count(*) FROM logs", more).await;
    }
    send_tcp(daemon.tcp(), failed(3).as_bytes()).await.unwrap();
    database.wait_for("SELECT count(*) FROM logs", 8).await;
    database.wait_for("SELECT count(*) FROM incidents WHERE detector = 'login_failures' AND event_count = 3", 1).await;
    assert_eq!(daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn a_partition_that_somebody_dropped_is_made_again() {
    let (database, state) = (Database::new().await, state_dir());
    let daemon = Daemon::start(state.path(), &configuration(&database)).await;
    post(&daemon, "before").await;
    database.wait_for("SELECT count(*) FROM logs", 1).await;
    let today = database.column("SELECT tableoid::regclass FROM logs").await.remove(0);
    database.pool.execute(sqlx::AssertSqlSafe(format!("DROP TABLE {today}"))).await.unwrap();
    post(&daemon, "after").await;
    database.wait_for("SELECT count(*) FROM logs WHERE message = 'after'", 1).await;
    assert_eq!(database.number("SELECT count(*) FROM quarantine").await, 0);
    assert_eq!(daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn the_database_may_go_away_while_its_tables_are_made() {
    let (database, state) = (Database::new().await, state_dir());
    // The first migration waits until this name is free again.
    let mut blocker = database.pool.begin().await.unwrap();
    blocker.execute("CREATE TABLE logs ()").await.unwrap();
    let daemon = Daemon::start(state.path(), &configuration(&database)).await;
    let waiting = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    database.wait_for(&format!("SELECT count(*) {waiting}"), 1).await;
    assert_eq!(database.number(&format!("SELECT count(pg_terminate_backend(pid)) {waiting}")).await, 1);
    blocker.rollback().await.unwrap();
    post(&daemon, "stored all the same").await;
    database.wait_for("SELECT count(*) FROM logs", 1).await;
    assert_eq!(daemon.stop().await.0, Some(0));
}
