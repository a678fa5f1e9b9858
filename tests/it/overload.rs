//! Too much at the doors, and malice: who does it is stopped and counted, the others get through, memory stays within its limit.
//!
//! Each address of 127.0.0.0/8 is a peer of its own: attackers come from 127.0.0.2, honest senders from 127.0.0.3.

use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::support::{Daemon, Database, PATIENCE, findings, request, state_dir, verify, wait_until};

const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const HONEST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// `limits.memory`, where the configuration says nothing else.
const MEMORY: u64 = 512 << 20;

/// Syslog and an open webhook; `syslog` are more settings of the listener, `more` more tables.
fn configuration(database: &Database, syslog: &str, more: &str) -> String {
    format!(
        "[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\nudp = \"127.0.0.1:0\"\ntcp = \"127.0.0.1:0\"\n{syslog}\n\
         [[webhook]]\nname = \"hook\"\nunauthenticated = true\n{more}",
        database.url()
    )
}

async fn connect(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

/// Sends syslog as an honest sender does, and waits for the end that says that everything is on disk.
async fn send(from: Ipv4Addr, to: SocketAddr, text: &str) {
    let mut stream = connect(from, to).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("in time").expect("acknowledged");
}

/// Posts to the webhook; the status.
async fn post(from: Ipv4Addr, to: SocketAddr, headers: &str, body: &[u8]) -> u16 {
    let mut stream = connect(from, to).await.unwrap();
    let head =
        format!("POST /ingest/hook HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    // It may be refused before it was sent.
    let (mut reader, mut writer) = stream.into_split();
    let body = body.to_vec();
    let sending = tokio::spawn(async move { writer.write_all(&body).await.map(|()| writer) });
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut answer)).await.expect("in time");
    let _ = sending.await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no answer but {answer:?} {read:?}"))
}

/// Waits until the other side has ended the connection.
async fn closed(mut stream: TcpStream) {
    let read = tokio::time::timeout(PATIENCE, async { while !matches!(stream.read(&mut [0; 1024]).await, Ok(0) | Err(_)) {} });
    read.await.expect("closed in time");
}

/// A figure of `/metrics`: the sum over the lines that contain all of `labels`.
async fn figure(daemon: &Daemon, name: &str, labels: &[&str]) -> u64 {
    let metrics = request(daemon.http(), "GET", "/metrics", &[], b"").await.unwrap().body;
    let lines =
        metrics.lines().filter(|l| l.starts_with(&format!("tocsin_{name}")) && labels.iter().all(|label| l.contains(label)));
    lines.map(|l| l.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// What `/health/ready` says.
async fn ready(daemon: &Daemon) -> serde_json::Value {
    let answer = request(daemon.http(), "GET", "/health/ready", &[], b"").await.unwrap();
    serde_json::from_str(&answer.body).unwrap()
}

async fn wait_for_refusals(daemon: &Daemon, source: &str, reason: &str, want: u64) {
    let labels = [format!("source=\"{source}\""), format!("reason=\"{reason}\"")];
    let labels = [labels[0].as_str(), labels[1].as_str()];
    wait_until(&format!("{want} refused for {reason}"), async || figure(daemon, "rejected_total", &labels).await >= want).await;
    assert_eq!(figure(daemon, "rejected_total", &labels).await, want, "{reason}");
}

/// The most memory that the daemon ever had, in bytes.
fn peak(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Raises this process's limit on open files; how many connections it leaves room for, `wanted` at most.
fn room_for(wanted: usize) -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    wanted.min(usize::try_from(hard).unwrap_or(usize::MAX).saturating_sub(500))
}

/// Stops it in order; its whole log.
async fn stop(daemon: Daemon) -> Vec<String> {
    let began = Instant::now();
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    let (code, log) = daemon.ended().await;
    assert_eq!(code, Some(0), "{log:#?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    log
}

#[tokio::test]
async fn a_flood_of_connections_from_one_peer_leaves_room_for_others() {
    let (database, state) = (Database::new().await, state_dir());
    // However long it takes to open them all, none has to go since it says nothing.
    let daemon = Daemon::start_with_http(state.path(), &configuration(&database, "", ""), "head_timeout = \"10 m\"\n").await;
    let count = room_for(5000);
    for (door, source, share) in [(daemon.tcp(), "lan", 256), (daemon.http(), "http", 64)] {
        let mut open = Vec::new();
        for _ in 0..count {
            // One that was refused may be reset before we know of it.
            if let Ok(stream) = connect(ATTACKER, door).await {
                open.push(stream);
            }
        }
        assert!(open.len() > share);
        let refused =
            async || figure(&daemon, "rejected_total", &[&format!("{source:?}"), "\"too many connections of one peer\""]).await;
        wait_until("most are refused", async || {
            // Of some the kernel forgets that they stand, and of these nobody hears: others come in their place.
            open.extend(connect(ATTACKER, door).await.ok());
            refused().await >= (count - share) as u64
        })
        .await;
        // With all of them still open.
        send(HONEST, daemon.tcp(), &format!("<13>Nov 20 10:00:00 fw app: beside {source}\n")).await;
        assert_eq!(post(HONEST, daemon.http(), "", format!("{{\"message\":\"beside {source}\"}}").as_bytes()).await, 200);
    }
    database.wait_for("SELECT count(*) FROM logs WHERE message LIKE 'beside %'", 4).await;
    assert!(peak(&daemon) <= MEMORY, "{}", peak(&daemon));
    let log = stop(daemon).await;
    let told = |source: &str| log.iter().any(|l| l.contains("\"refused\"") && l.contains("127.0.0.2") && l.contains(source));
    assert!(told("lan") && told("http"), "{log:#?}");
}

#[tokio::test]
async fn many_peers_that_fill_a_door_together_do_not_keep_others_out() {
    let (database, state) = (Database::new().await, state_dir());
    let daemon = Daemon::start_with_http(state.path(), &configuration(&database, "", ""), "head_timeout = \"10 m\"\n").await;
    room_for(5000);
    // More than there are places for, no peer with more than its part, and who is turned away comes back.
    let mut attack = JoinSet::new();
    for (door, connections) in [(daemon.tcp(), 1100), (daemon.http(), 300)] {
        for n in 0..connections {
            // One after the other: of a burst the kernel forgets some of which their peer believes that they stand.
            let from = Ipv4Addr::new(127, 0, 6, (n % 20) as u8);
            let mut stream = connect(from, door).await.ok();
            attack.spawn(async move {
                loop {
                    if let Some(mut stream) = stream {
                        let _ = stream.read(&mut [0; 1]).await;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    stream = connect(from, door).await.ok();
                }
            });
        }
    }
    let given =
        async |source: &str| figure(&daemon, "rejected_total", &[source, "gave way to a peer with fewer connections"]).await;
    for source in ["\"lan\"", "\"http\""] {
        wait_until("the door is full", async || {
            figure(&daemon, "rejected_total", &[source, "\"too many connections\""]).await > 0
        })
        .await;
    }
    for n in 0..20 {
        send(HONEST, daemon.tcp(), &format!("<13>Nov 20 10:00:00 fw app: let in {n}\n")).await;
        assert_eq!(post(HONEST, daemon.http(), "", format!("{{\"message\":\"let in {n}\"}}").as_bytes()).await, 200);
    }
    let mut staying = connect(HONEST, daemon.tcp()).await.unwrap();
    staying.write_all(b"<13>Nov 20 10:00:00 fw app: let in to stay\n").await.unwrap();
    database.wait_for("SELECT count(*) FROM logs WHERE message LIKE 'let in %'", 41).await;
    assert!(given("\"lan\"").await > 0 && given("\"http\"").await > 0);
    // Who has fewer than the others never has to go.
    for n in 0..5 {
        send(Ipv4Addr::new(127, 0, 7, n), daemon.tcp(), "<13>Nov 20 10:00:00 fw app: beside\n").await;
    }
    staying.write_all(b"<13>Nov 20 10:00:00 fw app: stayed\n").await.unwrap();
    staying.shutdown().await.unwrap();
    assert_eq!(staying.read(&mut [0; 1]).await.expect("acknowledged"), 0);
    database.wait_for("SELECT count(*) FROM logs WHERE message IN ('beside', 'stayed')", 6).await;
    attack.shutdown().await;
    assert!(peak(&daemon) <= MEMORY, "{}", peak(&daemon));
    let log = stop(daemon).await;
    assert!(log.iter().any(|l| l.contains("\"refused\"") && l.contains("127.0.6.")), "{log:#?}");
    let (code, verdict) = verify(state.path(), &[]);
    assert_eq!((code, findings(&verdict)), (0, vec![]), "{verdict}");
}

#[tokio::test]
async fn five_thousand_honest_connections_are_all_served() {
    let (database, state) = (Database::new().await, state_dir());
    let many = configuration(&database, "max_connections = 6000\n", "[limits]\nmemory = \"768 MiB\"\n");
    let daemon = Daemon::start(state.path(), &many).await;
    let count = room_for(5000);
    let mut open = Vec::new();
    for n in 0..count {
        let mut stream = connect(Ipv4Addr::new(127, 0, 1, (n % 20) as u8), daemon.tcp()).await.unwrap();
        stream.write_all(format!("<13>Nov 20 10:00:00 fw app: number {n}").as_bytes()).await.unwrap();
        open.push(stream);
    }
    wait_until("all are in", async || figure(&daemon, "connections", &["lan"]).await == count as u64).await;
    send(HONEST, daemon.tcp(), "<13>Nov 20 10:00:00 fw app: one more\n").await;
    for stream in &mut open {
        stream.write_all(b" to its end\n").await.unwrap();
    }
    database.wait_for("SELECT count(DISTINCT message) FROM logs WHERE message LIKE 'number % to its end'", count as i64).await;
    assert_eq!(database.number("SELECT count(*) FROM logs").await, count as i64 + 1);
    assert!(peak(&daemon) <= 768 << 20, "{}", peak(&daemon));
    stop(daemon).await;
}

#[tokio::test]
async fn slow_senders_lose_their_connection_and_hold_up_nobody() {
    let (database, state) = (Database::new().await, state_dir());
    let settings = "head_timeout = \"2 s\"\nbody_timeout = \"2 s\"\n";
    let daemon =
        Daemon::start_with_http(state.path(), &configuration(&database, "frame_timeout = \"2 s\"\n", ""), settings).await;
    let mut slow = JoinSet::new();
    let heads = ["GET /metrics HTTP/1.1\r\nX-A: ", "POST /ingest/hook HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n"];
    for n in 0..60 {
        let (to, head) = match n % 3 {
            2 => (daemon.tcp(), "<13>Nov 20 10:00:00 fw app: slow"),
            http => (daemon.http(), heads[http]),
        };
        slow.spawn(async move {
            let mut stream = connect(ATTACKER, to).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let (mut reader, mut writer) = stream.into_split();
            let dribble = async {
                while writer.write_all(b"a").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let end = async { while !matches!(reader.read(&mut [0; 1024]).await, Ok(0) | Err(_)) {} };
            tokio::select! { () = dribble => {}, () = end => {} }
        });
    }
    for n in 0..10 {
        send(HONEST, daemon.tcp(), &format!("<13>Nov 20 10:00:00 fw app: quick {n}\n")).await;
        assert_eq!(post(HONEST, daemon.http(), "", format!("{{\"message\":\"quick {n}\"}}").as_bytes()).await, 200);
    }
    database.wait_for("SELECT count(*) FROM logs WHERE message LIKE 'quick %'", 20).await;
    tokio::time::timeout(PATIENCE, async { while slow.join_next().await.is_some() {} }).await.expect("all are closed");
    wait_for_refusals(&daemon, "http", "slow head", 20).await;
    wait_for_refusals(&daemon, "hook", "slow body", 20).await;
    wait_for_refusals(&daemon, "lan", "slow frame", 20).await;
    // What came of the frames is kept.
    database.wait_for("SELECT count(*) FROM logs WHERE message LIKE 'slowa%'", 20).await;
    stop(daemon).await;
}

#[tokio::test]
async fn frames_without_an_end_are_cut_and_their_senders_let_go() {
    let (database, state) = (Database::new().await, state_dir());
    let short = "max_frame_bytes = \"64 KiB\"\nframe_timeout = \"500 ms\"\n";
    let daemon = Daemon::start(state.path(), &configuration(&database, short, "")).await;
    for beginning in ["<13>Nov 20 10:00:00 fw app: endless ", "4294967295 <13>Nov 20 10:00:00 fw app: endless "] {
        let mut stream = connect(ATTACKER, daemon.tcp()).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let piece = [b'x'; 64 << 10];
        let mut sent = 0usize;
        while stream.write_all(&piece).await.is_ok() {
            sent += piece.len();
            assert!(sent < 1 << 30, "nobody stops it");
        }
    }
    wait_for_refusals(&daemon, "lan", "endless frame", 2).await;
    let mut liar = connect(ATTACKER, daemon.tcp()).await.unwrap();
    liar.write_all(b"4294967295 <13>Nov 20 10:00:00 fw app: and then silence").await.unwrap();
    closed(liar).await;
    wait_for_refusals(&daemon, "lan", "slow frame", 1).await;
    database.wait_for("SELECT count(*) FROM logs", 3).await;
    let kept = "message LIKE 'endless xxx%' AND length(message) BETWEEN 65000 AND 65536 AND (fields->>'tocsin.cut_bytes')::bigint > 900000";
    assert_eq!(database.number(&format!("SELECT count(*) FROM logs WHERE {kept}")).await, 2);
    assert_eq!(database.number("SELECT count(*) FROM logs WHERE message = 'and then silence'").await, 1);
    assert!(peak(&daemon) <= MEMORY, "{}", peak(&daemon));
    stop(daemon).await;
}

#[tokio::test]
async fn long_frames_share_a_memory_that_others_do_not_need() {
    let (database, state) = (Database::new().await, state_dir());
    let daemon = Daemon::start(state.path(), &configuration(&database, "", "")).await;
    // 16 MiB for unfinished frames, which may take twice their length; 4 MiB of it for one peer.
    let mut open = Vec::new();
    for n in 0..12u8 {
        let mut stream = connect(Ipv4Addr::new(127, 0, 2, n), daemon.tcp()).await.unwrap();
        // A reset may come before it is all sent.
        let _ = stream.write_all(&[b'x'; 1_000_000]).await;
        open.push(stream);
    }
    wait_until("some are let go", async || {
        figure(&daemon, "rejected_total", &["lan", "memory for unfinished frames"]).await >= 4
    })
    .await;
    // Ordinary frames need nothing of it, also in two pieces.
    let mut honest = connect(HONEST, daemon.tcp()).await.unwrap();
    honest.write_all(b"<13>Nov 20 10:00:00 fw app: in two").await.unwrap();
    send(HONEST, daemon.tcp(), "<13>Nov 20 10:00:00 fw app: in one\n").await;
    honest.write_all(b" pieces\n").await.unwrap();
    database.wait_for("SELECT count(*) FROM logs WHERE message IN ('in two pieces', 'in one')", 2).await;
    stop(daemon).await;
}

#[tokio::test]
async fn bombs_are_refused_and_do_not_go_off() {
    let (database, state) = (Database::new().await, state_dir());
    let daemon = Daemon::start(state.path(), &configuration(&database, "", "")).await;
    let gzip = |pieces: usize, piece: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for _ in 0..pieces {
            encoder.write_all(piece).unwrap();
        }
        encoder.finish().unwrap()
    };
    let packed = "Content-Encoding: gzip\r\n";
    let many_keys = (0..300_000).map(|n| format!("\"k{n}\":{n},")).collect::<String>();
    let bombs: [(&str, &str, Vec<u8>, u16); 7] = [
        ("1 GiB of zeros", packed, gzip(1024, &[0; 1 << 20]), 413),
        ("1 GiB of spaces", packed, gzip(1024, &[b' '; 1 << 20]), 413),
        ("depth", "", [vec![b'['; 4 << 20], vec![b']'; 4 << 20]].concat(), 422),
        ("depth in an event", "", ["{\"a\":".repeat(1 << 20), "1".into(), "}".repeat(1 << 20)].concat().into_bytes(), 422),
        ("events", packed, gzip(1 << 10, &b"{}".repeat(1 << 10)), 413),
        ("size", "", vec![b' '; (16 << 20) + 1], 413),
        ("many keys", "", format!("{{{many_keys}\"message\":\"many keys\"}}").into_bytes(), 200),
    ];
    for round in 0..3 {
        let mut at_once = JoinSet::new();
        for (what, headers, body, want) in bombs.clone() {
            let to = daemon.http();
            at_once.spawn(async move {
                // What there is no memory for just now is to be sent again.
                loop {
                    match post(ATTACKER, to, headers, &body).await {
                        503 => tokio::time::sleep(Duration::from_millis(20)).await,
                        got => break assert_eq!(got, want, "{what}"),
                    }
                }
            });
        }
        let honest = format!("{{\"message\":\"between bombs {round}\"}}");
        while post(HONEST, daemon.http(), "", honest.as_bytes()).await == 503 {}
        while let Some(done) = at_once.join_next().await {
            done.unwrap();
        }
    }
    database.wait_for("SELECT count(*) FROM logs WHERE message LIKE 'between bombs _'", 3).await;
    database.wait_for("SELECT count(*) FROM logs WHERE message LIKE '%many keys%'", 3).await;
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 6);
    assert_eq!(figure(&daemon, "rejected_total", &["hook", "too large"]).await, 12);
    assert_eq!(figure(&daemon, "rejected_total", &["hook", "malformed"]).await, 6);
    assert!(peak(&daemon) <= MEMORY, "{}", peak(&daemon));
    stop(daemon).await;
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_frame_loses_nothing_that_had_arrived() {
    let (database, state) = (Database::new().await, state_dir());
    let daemon = Daemon::start(state.path(), &configuration(&database, "", "")).await;
    for n in 0..20 {
        let line = |what: &str| format!("<13>Nov 20 10:00:00 fw app: {what} {n}");
        let counted = line("counted");
        let mut stream = connect(ATTACKER, daemon.tcp()).await.unwrap();
        let text = format!("{}\n{} {counted}100 <13>half", line("line"), counted.len());
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.set_zero_linger().unwrap();
        drop(stream);
    }
    for what in ["line", "counted"] {
        database.wait_for(&format!("SELECT count(DISTINCT message) FROM logs WHERE message LIKE '{what} %'"), 20).await;
    }
    database.wait_for("SELECT count(*) FROM logs WHERE message LIKE '%half'", 20).await;
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 60);
    assert_eq!(figure(&daemon, "unfinished_total", &[]).await, 20);
    stop(daemon).await;
}

#[tokio::test]
async fn deliveries_that_are_repeated_all_at_once_are_stored_once() {
    let (database, state) = (Database::new().await, state_dir());
    let daemon = Daemon::start(state.path(), &configuration(&database, "", "")).await;
    let mut posts = JoinSet::new();
    for n in 0..400 {
        let to = daemon.http();
        posts.spawn(async move {
            let (headers, body) =
                (format!("X-Delivery-Id: d-{}\r\n", n % 20), format!("{{\"message\":\"delivery {}\"}}", n % 20));
            let from = Ipv4Addr::new(127, 0, 3, (n % 20) as u8);
            assert_eq!(post(from, to, &headers, body.as_bytes()).await, 200);
        });
        if posts.len() >= 100 {
            posts.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(done) = posts.join_next().await {
        done.unwrap();
    }
    assert_eq!(post(HONEST, daemon.http(), "", b"{\"message\":\"last\"}").await, 200);
    database.wait_for("SELECT count(*) FROM logs WHERE message = 'last'", 1).await;
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 21);
    wait_until("repetitions are counted", async || figure(&daemon, "repeated_deliveries_total", &[]).await == 380).await;
    stop(daemon).await;
}

#[tokio::test]
async fn in_a_flood_of_datagrams_each_is_stored_or_counted_and_other_doors_stay_open() {
    let (database, state) = (Database::new().await, state_dir());
    let daemon = Daemon::start(state.path(), &configuration(&database, "receive_buffer = \"64 KiB\"\n", "")).await;
    let to = daemon.udp();
    let enough = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..4u8)
        .map(|n| {
            let enough = Arc::clone(&enough);
            std::thread::spawn(move || {
                let socket = std::net::UdpSocket::bind((Ipv4Addr::new(127, 0, 4, n), 0)).unwrap();
                let (mut sent, mut i) = (0u64, 0);
                while !enough.load(Ordering::Relaxed) {
                    i += 1;
                    match socket.send_to(format!("<13>Nov 20 10:00:00 fw app: flood {n} {i}").as_bytes(), to) {
                        Ok(_) => sent += 1,
                        Err(e) => assert!(matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted), "{e}"),
                    }
                }
                sent
            })
        })
        .collect();
    let mut beside = 0;
    let deadline = Instant::now() + PATIENCE;
    while beside < 3 || figure(&daemon, "dropped_total", &["lan", "kernel"]).await == 0 {
        assert!(Instant::now() < deadline, "no flood overflows it");
        send(HONEST, daemon.tcp(), "<13>Nov 20 10:00:00 fw app: beside\n").await;
        assert_eq!(post(HONEST, daemon.http(), "", b"{\"message\":\"beside\"}").await, 200);
        beside += 1;
    }
    enough.store(true, Ordering::Relaxed);
    let sent: u64 = senders.into_iter().map(|s| s.join().unwrap()).sum();
    // Nothing is sent any more that could tell of what was dropped last.
    wait_until("every datagram is accounted for", async || {
        let stored = database.try_number("SELECT count(*) FROM logs WHERE message LIKE 'flood %'").await.unwrap_or(0) as u64;
        stored + figure(&daemon, "dropped_total", &["lan"]).await == sent
    })
    .await;
    database.wait_for("SELECT count(*) FROM logs WHERE message = 'beside'", 2 * beside).await;
    let twice = "SELECT count(*) - count(DISTINCT message) FROM logs WHERE message LIKE 'flood %'";
    assert_eq!(database.number(twice).await, 0);
    // The ledger knows what was dropped, too.
    let told =
        "SELECT (SELECT count(*) FROM logs WHERE message LIKE 'flood %') + (SELECT coalesce(sum(frames), 0)::bigint FROM losses)";
    database.wait_for(told, sent as i64).await;
    let (code, verdict) = verify(state.path(), &[]);
    assert!(code == 3 && findings(&verdict).iter().all(|f| f.contains("of syslog:lan: kernel_drop")), "{verdict}");
    assert!(peak(&daemon) <= MEMORY, "{}", peak(&daemon));
    stop(daemon).await;
}

#[tokio::test]
async fn a_full_journal_and_many_senders_do_not_fill_memory() {
    let state = state_dir();
    // A database that is not there: the journal fills.
    let configuration = "[database]\nurl = \"postgres://nobody@127.0.0.1:1/none\"\n[journal]\nmax_bytes = \"4 MiB\"\nsegment_bytes = \"1 MiB\"\n\
         [[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n";
    let daemon = Daemon::start(state.path(), configuration).await;
    let count = room_for(1000);
    let mut open = Vec::new();
    // Lines of one byte are the dearest to hold.
    let lines = b"a\n".repeat(128 << 10);
    for n in 0..count {
        let mut stream = connect(Ipv4Addr::new(127, 0, 5, (n % 10) as u8), daemon.tcp()).await.unwrap();
        let lines = lines.clone();
        open.push(tokio::spawn(async move {
            // It waits in vain.
            let _ = stream.write_all(&lines).await;
            stream
        }));
    }
    wait_until("all are in", async || figure(&daemon, "connections", &["lan"]).await == count as u64).await;
    wait_until("the journal is full", async || figure(&daemon, "journal_bytes", &[]).await > 3 << 20).await;
    assert!(peak(&daemon) <= 128 << 20, "{}", peak(&daemon));
    assert_eq!(request(daemon.http(), "GET", "/health/live", &[], b"").await.unwrap().code, 200);
    stop(daemon).await;
    for sender in open {
        sender.abort();
    }
}

#[tokio::test]
async fn a_full_journal_is_told_of_also_where_the_database_was_never_there() {
    let state = state_dir();
    let configuration = "[database]\nurl = \"postgres://nobody@127.0.0.1:1/none\"\n[journal]\nmax_bytes = \"4 MiB\"\nsegment_bytes = \"1 MiB\"\n\
         [[webhook]]\nname = \"hook\"\nunauthenticated = true\n";
    let daemon = Daemon::start(state.path(), configuration).await;
    assert_eq!(ready(&daemon).await["journal"], "good");
    let body = format!("{{\"message\":\"{}\"}}\n", "x".repeat(1000)).repeat(100);
    let mut taken = 0;
    while post(HONEST, daemon.http(), "", body.as_bytes()).await == 200 {
        taken += 1;
        assert!(taken < 100, "it never becomes full");
    }
    let full = async |daemon: &Daemon| {
        let now = ready(daemon).await;
        let behind = now["inputs"][0]["bytes"].as_u64().is_some_and(|bytes| bytes > 2 << 20);
        behind && now["journal"] == "full" && now["database"] == "waiting for the database" && now["ready"] == false
    };
    wait_until("it says that the journal is full", async || full(&daemon).await).await;
    wait_until("it knows of how many records", async || ready(&daemon).await["inputs"][0]["records"] == taken * 100).await;
    stop(daemon).await;
    // At the next start it has been full all along.
    let daemon = Daemon::start(state.path(), configuration).await;
    assert_eq!(ready(&daemon).await["journal"], "full");
    wait_until("it says so again", async || full(&daemon).await).await;
    stop(daemon).await;
}

#[tokio::test]
async fn a_budget_that_does_not_add_up_is_refused_with_its_line() {
    let state = state_dir();
    let wrong = "[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\nmax_connections = 100000\n";
    let (code, log) = Daemon::spawn(state.path(), wrong).ended().await;
    assert_eq!(code, Some(2));
    let told = |l: &String| {
        l.contains("tocsin.toml:5: syslog[0].max_connections: is too large") && l.contains("limits.memory is 512 MiB")
    };
    assert!(log.iter().any(told), "{log:?}");
}
