//! Two daemons, one input: one is active, the other stands by.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{Daemon, Database, Server, findings, send_tcp, state_dir, verify, wait_until};

fn configuration(database: &Database, log: &Path) -> String {
    format!(
        "[database]\nurl = {:?}\n[[files]]\nname = \"app\"\npaths = [{log:?}]\npoll_interval = \"1 s\"\n\
         [[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n",
        database.url()
    )
}

fn write(log: &Path, lines: std::ops::Range<u32>) {
    use std::io::Write;
    let mut file = std::fs::File::options().create(true).append(true).open(log).unwrap();
    for n in lines {
        writeln!(file, "Nov 20 10:00:00 srv app: line {n}").unwrap();
    }
}

async fn says(daemon: &Daemon, what: &str) {
    wait_until(what, async || {
        assert!(!daemon.has_ended(), "the daemon ended: {:#?}", daemon.log());
        daemon.log().iter().any(|line| line.contains(what))
    })
    .await;
}

#[tokio::test]
async fn the_one_that_stands_by_goes_on_where_the_dead_one_ended() {
    let (database, a, b, files) = (Database::new().await, state_dir(), state_dir(), state_dir());
    let log = files.path().join("app.log");
    let configuration = configuration(&database, &log);
    write(&log, 0..100);
    let mut active = Daemon::start(a.path(), &configuration).await;
    let (mut active_dir, mut waiting_dir) = (a.path(), b.path());
    let mut lines = 100;
    for round in 0..4 {
        let waiting = Daemon::spawn_standby(waiting_dir, &configuration);
        says(&waiting, "standing by: another tocsin is active").await;
        database.wait_for("SELECT count(*) FROM logs WHERE source = 'app'", lines.into()).await;
        assert!(!waiting.log().iter().any(|line| line.contains("listening")), "its doors are closed");
        write(&log, lines..lines + 500);
        lines += 500;
        let killed = Instant::now();
        active.kill();
        says(&waiting, "taking over").await;
        println!("round {round}: taken over after {:?}", killed.elapsed());
        says(&waiting, "listening for HTTP").await;
        send_tcp(waiting.tcp(), b"<13>Nov 20 10:00:00 fw app: to the new one\n").await.unwrap();
        active = waiting;
        std::mem::swap(&mut active_dir, &mut waiting_dir);
    }
    database.wait_for("SELECT count(*) FROM logs WHERE source = 'app'", lines.into()).await;
    database.wait_for("SELECT count(*) FROM logs WHERE source = 'lan'", 4).await;
    assert_eq!(database.number("SELECT count(DISTINCT message) FROM logs WHERE source = 'app'").await, i64::from(lines));
    assert_eq!(active.stop().await.0, Some(0));
    let (code, verdict) = verify(active_dir, &[]);
    assert_eq!((code, findings(&verdict)), (0, vec![]), "{verdict}");
}

#[tokio::test]
async fn with_one_state_directory_the_journal_of_the_dead_one_is_stored_too() {
    let server = Arc::new(tokio::task::spawn_blocking(Server::start).await.unwrap());
    let (database, state, files) = (Database::on(Arc::clone(&server)).await, state_dir(), state_dir());
    let configuration = configuration(&database, &files.path().join("app.log"));
    let active = Daemon::start(state.path(), &configuration).await;
    let waiting = Daemon::spawn_standby(state.path(), &configuration);
    says(&waiting, "standing by: another tocsin uses").await;
    // What is in the journal when the active one dies can only be stored by who has its directory.
    database.wait_for("SELECT count(*) FROM positions WHERE epoch > 0", 1).await;
    server.embedded.crash().unwrap();
    send_tcp(active.tcp(), b"<13>Nov 20 10:00:00 fw app: in the journal\n").await.unwrap();
    active.kill();
    server.embedded.start_again().unwrap();
    database.wait_for("SELECT count(*) FROM logs WHERE message = 'in the journal'", 1).await;
    assert_eq!(waiting.stop().await.0, Some(0));
}

#[tokio::test]
async fn a_crash_of_the_database_makes_nobody_take_over() {
    let server = Arc::new(tokio::task::spawn_blocking(Server::start).await.unwrap());
    let (database, a, b, files) = (Database::on(Arc::clone(&server)).await, state_dir(), state_dir(), state_dir());
    let log = files.path().join("app.log");
    let configuration = configuration(&database, &log);
    let active = Daemon::start(a.path(), &configuration).await;
    let waiting = Daemon::spawn_standby(b.path(), &configuration);
    says(&waiting, "standing by: another tocsin is active").await;
    let epoch = database.number("SELECT epoch FROM positions WHERE input = 'pipeline'").await;
    server.embedded.crash().unwrap();
    says(&waiting, "the database does not answer").await;
    server.embedded.start_again().unwrap();
    write(&log, 0..10);
    database.wait_for("SELECT count(*) FROM logs", 10).await;
    // It looks again only some seconds later, when the active one has its seat back.
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = (128021758699886::bigint & 4294967295)";
    database.wait_for(held, 1).await;
    assert_eq!(database.number("SELECT epoch FROM positions WHERE input = 'pipeline'").await, epoch);
    assert_eq!(active.stop().await.0, Some(0));
    // Stopped in order, it makes room likewise.
    says(&waiting, "taking over").await;
    let (code, took) = waiting.stop().await;
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
}
