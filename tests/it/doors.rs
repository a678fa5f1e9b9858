//! Frames through each door of the running program, to their rows in `logs`.

use nix::sys::signal::Signal;
use tokio::net::UdpSocket;

use crate::support::{Daemon, Database, request, send_tcp, state_dir};

fn configuration(database: &Database, state: &std::path::Path) -> String {
    std::fs::write(state.join("token"), "s3cret\n").unwrap();
    std::fs::create_dir_all(state.join("logs")).unwrap();
    format!(
        "[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\nudp = \"127.0.0.1:0\"\ntcp = \"127.0.0.1:0\"\ntimezone = \"UTC\"\n\
         [[files]]\nname = \"auth\"\npaths = [\"{}/logs/*.log\"]\npoll_interval = \"50 ms\"\n\
         [[webhook]]\nname = \"ids\"\ntoken_file = \"{}/token\"\n",
        database.url(),
        state.display(),
        state.display()
    )
}

#[tokio::test]
async fn each_door_stores_what_comes_in_and_stopping_loses_nothing() {
    let (database, state) = (Database::new().await, state_dir());
    let configuration = configuration(&database, state.path());
    let daemon = Daemon::start(state.path(), &configuration).await;
    std::fs::write(
        state.path().join("logs/a.log"),
        "Nov 20 10:00:00 srv sshd[1]: Failed password for root from 192.0.2.1 port 22 ssh2\nlast\n",
    )
    .unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(b"<34>1 2026-11-20T10:00:00Z fw su 7 - - over udp\n", daemon.udp()).await.unwrap();
    let counted = "<34>1 2026-11-20T10:00:01Z fw su 8 - - by octets";
    let mixed = format!("{} {counted}<13>Nov 20 10:00:02 fw app: by newline\n", counted.len());
    send_tcp(daemon.tcp(), mixed.as_bytes()).await.unwrap();
    let auth = ("Authorization", "Bearer s3cret");
    let posted =
        request(daemon.http(), "POST", "/ingest/ids", &[auth], b"[{\"message\":\"one\"},{\"message\":\"two\"}]").await.unwrap();
    assert_eq!(posted.code, 200, "{posted:?}");
    let refused = request(daemon.http(), "POST", "/ingest/ids", &[("Authorization", "Bearer guess")], b"{}").await.unwrap();
    assert_eq!(refused.code, 401, "{refused:?}");
    database.wait_for("SELECT count(*) FROM logs", 7).await;
    let seen =
        database.column("SELECT source || '|' || coalesce(host, '-') || '|' || message FROM logs ORDER BY source, message").await;
    assert_eq!(
        seen,
        [
            "auth|srv|Failed password for root from 192.0.2.1 port 22 ssh2",
            "auth|-|last",
            "ids|127.0.0.1|one",
            "ids|127.0.0.1|two",
            "lan|fw|by newline",
            "lan|fw|by octets",
            "lan|fw|over udp",
        ]
    );
    let ready = request(daemon.http(), "GET", "/health/ready", &[], b"").await.unwrap();
    assert_eq!((ready.code, ready.body.contains("\"ready\":true")), (200, true), "{ready:?}");
    let metrics = request(daemon.http(), "GET", "/metrics", &[], b"").await.unwrap().body;
    assert!(metrics.contains("\ntocsin_rows_committed_total 7\n"), "{metrics}");
    // What was acknowledged a moment before the signal is stored as well.
    send_tcp(daemon.tcp(), b"<13>Nov 20 10:00:03 fw app: at the last moment\n").await.unwrap();
    let (code, took) = daemon.stop().await;
    assert_eq!(code, Some(0));
    assert!(took.as_secs() < 5, "{took:?}");
    assert_eq!(database.number("SELECT count(*) FROM logs WHERE message = 'at the last moment'").await, 1);
}

/// Lines that nobody could recognise, of a program that was named: they are read as its, and counted with what came before a restart.
#[tokio::test]
async fn a_source_whose_format_was_named_is_read_so() {
    let (database, state) = (Database::new().await, state_dir());
    let log = state.path().join("bare.log");
    let configuration = format!(
        "[database]\nurl = {:?}\n[[files]]\nname = \"bare\"\npaths = [{log:?}]\npoll_interval = \"50 ms\"\nformat = \"sshd\"\n",
        database.url()
    );
    let failed = |n: i32| format!("Failed password for root from 192.0.2.1 port {n} ssh2\n");
    std::fs::write(&log, failed(1) + &failed(2)).unwrap();
    let daemon = Daemon::start(state.path(), &configuration).await;
    database.wait_for("SELECT count(*) FROM logs WHERE event_type = 'login_failed' AND app = 'sshd'", 2).await;
    assert_eq!(daemon.stop().await.0, Some(0));
    std::fs::write(&log, failed(1) + &failed(2) + &failed(3)).unwrap();
    let daemon = Daemon::start(state.path(), &configuration).await;
    database.wait_for("SELECT count(*) FROM incidents WHERE detector = 'login_failures' AND event_count = 3", 1).await;
    assert_eq!(daemon.stop().await.0, Some(0));
}

/// A format of the operator's own, over the network and from a file that was said to hold it.
#[tokio::test]
async fn a_format_of_the_configuration_is_read() {
    let (database, state) = (Database::new().await, state_dir());
    let log = state.path().join("till.log");
    std::fs::write(&log, "03/12/2026 01:11:04 drawer opened by mia\n").unwrap();
    let configuration = format!(
        "{}[[files]]\nname = \"till\"\npaths = [{log:?}]\nformat = \"till\"\ntimezone = \"UTC\"\n\
         [[format]]\nname = \"till\"\nreads = \"line\"\ndate = \"dmy\"\npattern = '^(?<event_time>\\S+ \\S+) (?<action>.*) by %{{USER:username}}$'\n\
         [[format]]\nname = \"shop\"\napp = \"shop\"\nevent_type = \"login_failed\"\npattern = '^no entry for %{{USER:username}} at %{{IP:src_ip}}'\n",
        configuration(&database, state.path())
    );
    let daemon = Daemon::start(state.path(), &configuration).await;
    let lines: String = (0..5).map(|n| format!("<38>Nov 20 10:00:0{n} web1 shop: no entry for mia at 203.0.113.77\n")).collect();
    send_tcp(daemon.tcp(), lines.as_bytes()).await.unwrap();
    let failed = "SELECT count(*) FROM logs WHERE event_type = 'login_failed' AND username = 'mia' AND src_ip = '203.0.113.77'";
    database.wait_for(failed, 5).await;
    let opened = "SELECT count(*) FROM logs WHERE source = 'till' AND username = 'mia' AND action = 'drawer opened'";
    database.wait_for(opened, 1).await;
    database.wait_for("SELECT count(*) FROM incidents WHERE detector = 'login_failures' AND event_count = 5", 1).await;
    assert_eq!(daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn a_repeated_delivery_is_stored_once_also_after_a_restart() {
    let (database, state) = (Database::new().await, state_dir());
    let configuration = configuration(&database, state.path());
    let headers = [("Authorization", "Bearer s3cret"), ("X-Delivery-Id", "d-1")];
    for round in 0..3 {
        let daemon = Daemon::start(state.path(), &configuration).await;
        for _ in 0..2 {
            let posted =
                request(daemon.http(), "POST", "/ingest/ids", &headers, b"{\"message\":\"once\"}\n{\"message\":\"only\"}")
                    .await
                    .unwrap();
            assert_eq!(posted.code, 200, "{posted:?}");
        }
        let body = format!("{{\"message\":\"marker {round}\"}}");
        request(daemon.http(), "POST", "/ingest/ids", &headers[..1], body.as_bytes()).await.unwrap();
        database.wait_for("SELECT count(*) FROM logs WHERE message LIKE 'marker%'", round + 1).await;
        assert_eq!(database.number("SELECT count(*) FROM logs WHERE message IN ('once', 'only')").await, 2);
        if round == 1 { daemon.kill() } else { assert_eq!(daemon.stop().await.0, Some(0)) }
    }
}

#[tokio::test]
async fn a_second_daemon_on_the_same_state_or_a_wrong_setting_is_refused_in_words() {
    let (database, state) = (Database::new().await, state_dir());
    let configuration = configuration(&database, state.path());
    let first = Daemon::start(state.path(), &configuration).await;
    let second = Daemon::spawn(state.path(), &configuration);
    let (code, log) = second.ended().await;
    assert_eq!(code, Some(1));
    assert!(log.iter().any(|l| l.contains("another tocsin is running with the state directory")), "{log:?}");
    drop(first);
    let wrong = Daemon::spawn(state.path(), &format!("{configuration}tokn = \"x\"\n"));
    let (code, log) = wrong.ended().await;
    assert_eq!(code, Some(2));
    assert!(log.iter().any(|l| l.contains("tocsin.toml:") && l.contains("did you mean \"webhook.token\"?")), "{log:?}");
}

#[tokio::test]
async fn the_older_of_two_daemons_on_one_database_stops() {
    let database = Database::new().await;
    let (one, two) = (state_dir(), state_dir());
    let older = Daemon::start(one.path(), &configuration(&database, one.path())).await;
    send_tcp(older.tcp(), b"<13>Nov 20 10:00:00 fw app: from the older\n").await.unwrap();
    database.wait_for("SELECT count(*) FROM logs", 1).await;
    let newer = Daemon::start(two.path(), &configuration(&database, two.path())).await;
    send_tcp(newer.tcp(), b"<13>Nov 20 10:00:00 fw app: from the newer\n").await.unwrap();
    database.wait_for("SELECT count(*) FROM logs", 2).await;
    send_tcp(older.tcp(), b"<13>Nov 20 10:00:00 fw app: too late\n").await.unwrap();
    let (code, log) = older.ended().await;
    assert_eq!(code, Some(1));
    assert!(log.iter().any(|l| l.contains("another tocsin has taken over this database")), "{log:?}");
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 2);
    assert_eq!(newer.stop().await.0, Some(0));
}

#[tokio::test]
async fn interrupting_works_like_terminating() {
    let (database, state) = (Database::new().await, state_dir());
    let daemon = Daemon::start(state.path(), &configuration(&database, state.path())).await;
    daemon.signal(Signal::SIGINT);
    assert_eq!(daemon.ended().await.0, Some(0));
}
