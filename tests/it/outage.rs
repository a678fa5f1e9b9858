//! The database is away, slow to come, or gone in the middle: a normal state.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Daemon, Database, Server, request, send_tcp, state_dir, wait_until};

#[tokio::test]
async fn doors_are_open_while_the_database_is_away_and_what_came_is_stored_when_it_is_back() {
    let server = Arc::new(tokio::task::spawn_blocking(Server::start).await.unwrap());
    let (database, state) = (Database::on(Arc::clone(&server)).await, state_dir());
    server.embedded.stop().unwrap();
    let configuration = format!(
        "[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n[[webhook]]\nname = \"hook\"\nunauthenticated = true\n",
        database.url()
    );
    let daemon = Daemon::start(state.path(), &configuration).await;
    send_tcp(daemon.tcp(), b"<13>Nov 20 10:00:00 fw app: while it was away\n").await.unwrap();
    let posted = request(daemon.http(), "POST", "/ingest/hook", &[], b"{\"message\":\"answered\"}").await.unwrap();
    assert_eq!(posted.code, 200, "{posted:?}");
    let ready = request(daemon.http(), "GET", "/health/ready", &[], b"").await.unwrap();
    assert_eq!(ready.code, 503, "{ready:?}");
    assert!(ready.body.contains("waiting for the database") || ready.body.contains("connecting"), "{ready:?}");
    // Stopping works all the same, and takes nothing with it.
    let (code, took) = daemon.stop().await;
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");

    let daemon = Daemon::start(state.path(), &configuration).await;
    server.embedded.start_again().unwrap();
    database.wait_for("SELECT count(*) FROM logs", 2).await;
    wait_until("it says that it is ready", async || {
        request(daemon.http(), "GET", "/health/ready", &[], b"").await.is_ok_and(|answer| answer.code == 200)
    })
    .await;
    // And once more, while it runs.
    server.embedded.crash().unwrap();
    send_tcp(daemon.tcp(), b"<13>Nov 20 10:00:01 fw app: in the middle\n").await.unwrap();
    wait_until("it notices", async || {
        request(daemon.http(), "GET", "/health/ready", &[], b"").await.is_ok_and(|answer| answer.code == 503)
    })
    .await;
    server.embedded.start_again().unwrap();
    database.wait_for("SELECT count(*) FROM logs", 3).await;
    assert_eq!(daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn a_row_that_the_database_refuses_does_not_stop_the_others() {
    use sqlx::Executor;
    let (database, state) = (Database::new().await, state_dir());
    let configuration = format!("[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n", database.url());
    let daemon = Daemon::start(state.path(), &configuration).await;
    send_tcp(daemon.tcp(), b"<13>Nov 20 10:00:00 fw app: first\n").await.unwrap();
    database.wait_for("SELECT count(*) FROM logs", 1).await;
    database.pool.execute("ALTER TABLE logs ADD CHECK (message NOT LIKE '%poison%')").await.unwrap();
    send_tcp(
        daemon.tcp(),
        b"<13>Nov 20 10:00:01 fw app: before\n<13>Nov 20 10:00:01 fw app: poison\n<13>Nov 20 10:00:01 fw app: after\n",
    )
    .await
    .unwrap();
    database.wait_for("SELECT count(*) FROM logs", 3).await;
    assert_eq!(
        database.column("SELECT source || '|' || encode(raw, 'escape') FROM quarantine").await,
        ["lan|<13>Nov 20 10:00:01 fw app: poison"]
    );
    let metrics = request(daemon.http(), "GET", "/metrics", &[], b"").await.unwrap().body;
    assert!(metrics.contains("\ntocsin_quarantined_total 1\n"), "{metrics}");
    assert_eq!(daemon.stop().await.0, Some(0));
}
