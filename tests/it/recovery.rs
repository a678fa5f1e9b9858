//! Killed at random moments, with the database crashed under it: nothing lost, nothing twice, the incidents of a run without faults.

use std::collections::HashSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tocsin::record::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::support::{Daemon, Database, Server, bsd_time, request, send_tcp, state_dir, wait_until};
use crate::verify::{findings, verify};

const FILE_LINES: usize = 30_000;
const TCP_LINES: usize = 6_000;
const POSTED_LINES: usize = 6_000;

/// Chance with a seed that a failure prints.
struct Chance(u64);

impl Chance {
    fn seeded() -> Chance {
        let seed = std::env::var("TOCSIN_TEST_SEED").ok().and_then(|s| s.parse().ok());
        let seed = seed.unwrap_or_else(|| Timestamp::now().as_micros() as u64);
        eprintln!("TOCSIN_TEST_SEED={seed}");
        Chance(seed)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Lines by their number: mostly routine, now and then a failed login, so that attacks straddle every restart.
fn file_line(i: usize, base: Timestamp) -> String {
    let head = bsd_time(base, i as i64 / 20);
    match i % 50 {
        0..5 => format!("{head} srv sshd[{i}]: Failed password for root from 192.0.2.{} port 22 ssh2: n{i}", i / 50 % 7),
        5 => format!("{head} srv sshd[{i}]: Failed password for invalid user u{} from 198.51.100.9 port 22 ssh2: n{i}", i % 90),
        _ => format!("{head} srv app[{i}]: routine n{i}"),
    }
}

fn posted_line(i: usize, base: Timestamp) -> String {
    let time = base.plus_micros(i as i64 * 200_000);
    let severity = if i % 100 == 3 { 1 } else { 3 };
    format!(
        "{{\"timestamp\":\"{time}\",\"event_type\":\"alert\",\"src_ip\":\"203.0.113.5\",\"dest_ip\":\"192.0.2.1\",\"proto\":\"TCP\",\"alert\":{{\"severity\":{severity},\"signature\":\"n{i}\",\"category\":\"x\",\"action\":\"allowed\"}}}}"
    )
}

/// Where the senders find the daemon of the moment.
type Current = Arc<Mutex<Option<(SocketAddr, SocketAddr)>>>;

fn configuration(database: &Database, dir: &Path) -> String {
    std::fs::create_dir_all(dir.join("logs")).unwrap();
    format!(
        "[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\ntimezone = \"UTC\"\n[[webhook]]\nname = \"ids\"\nunauthenticated = true\n\
         [[files]]\nname = \"auth\"\npaths = [\"{}/logs/auth.log*\"]\npoll_interval = \"20 ms\"\ntimezone = \"UTC\"\n",
        database.url(),
        dir.display()
    )
}

/// Appends to a log file, rotating it now and then, whatever happens to its reader.
fn write_file(dir: &Path, base: Timestamp, progress: &CancellationToken) {
    let path = dir.join("logs/auth.log");
    let mut rotated = 0;
    let mut file = std::fs::File::options().create(true).append(true).open(&path).unwrap();
    for i in 0..FILE_LINES {
        writeln!(file, "{}", file_line(i, base)).unwrap();
        if i % 7_000 == 6_999 {
            rotated += 1;
            std::fs::rename(&path, dir.join(format!("logs/auth.log.{rotated}"))).unwrap();
            file = std::fs::File::options().create(true).append(true).open(&path).unwrap();
        }
        if i % 200 == 0 && !progress.is_cancelled() {
            // Spreads the writing over the kills; how long it takes does not matter.
            std::thread::sleep(Duration::from_millis(60));
        }
    }
}

/// Sends numbered lines, each once; returns those that were acknowledged (their connection was closed in order).
async fn send_lines(current: Current) -> HashSet<usize> {
    let mut acknowledged = HashSet::new();
    for first in (0..TCP_LINES).step_by(50) {
        let text: String = (first..first + 50).map(|i| format!("<13>Nov 20 10:00:00 fw app: t{i}\n")).collect();
        let to = address(&current).await.0;
        if send_tcp(to, text.as_bytes()).await.is_ok() {
            acknowledged.extend(first..first + 50);
        }
    }
    acknowledged
}

/// Posts events until each request was answered with 200; a repeated request carries the same delivery id.
async fn post_events(current: Current, base: Timestamp) {
    for first in (0..POSTED_LINES).step_by(25) {
        let body: Vec<String> = (first..first + 25).map(|i| posted_line(i, base)).collect();
        let (body, id) = (body.join("\n"), format!("delivery-{first}"));
        loop {
            let to = address(&current).await.1;
            let answer = request(to, "POST", "/ingest/ids", &[("X-Delivery-Id", &id)], body.as_bytes()).await;
            if answer.is_ok_and(|a| a.code == 200) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn address(current: &Current) -> (SocketAddr, SocketAddr) {
    loop {
        let now = *current.lock().unwrap();
        if let Some(addresses) = now {
            return addresses;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn start(state: &Path, configuration: &str, current: &Current) -> Daemon {
    let daemon = Daemon::start(state, configuration).await;
    *current.lock().unwrap() = Some((daemon.tcp(), daemon.http()));
    daemon
}

/// What the incidents came to.
async fn incidents(database: &Database) -> Vec<String> {
    database
        .column(
            "SELECT concat_ws('|', detector, group_key, severity, event_count, extract(epoch FROM first_seen), extract(epoch FROM last_seen), usernames, \
             (SELECT count(*) FROM incident_evidence e WHERE e.incident_id = i.id)) FROM incidents i ORDER BY detector, group_key",
        )
        .await
}

/// Every line that was in the file, was posted, or was acknowledged is stored once; nothing is stored twice.
async fn each_once(database: &Database, acknowledged: &HashSet<usize>) {
    let (files, posts) = (FILE_LINES as i64, POSTED_LINES as i64);
    assert_eq!(database.number("SELECT count(*) FROM logs WHERE source = 'auth'").await, files);
    assert_eq!(
        database.number("SELECT count(DISTINCT substring(message FROM 'n[0-9]+$')) FROM logs WHERE source = 'auth'").await,
        files
    );
    assert_eq!(database.number("SELECT count(*) FROM logs WHERE source = 'ids'").await, posts);
    assert_eq!(database.number("SELECT count(DISTINCT convert_from(raw, 'UTF8')) FROM logs WHERE source = 'ids'").await, posts);
    let stored = database.column("SELECT message FROM logs WHERE source = 'lan'").await;
    let distinct: HashSet<usize> = stored.iter().map(|m| m.trim_start_matches('t').parse().unwrap()).collect();
    assert_eq!(distinct.len(), stored.len(), "something came twice over TCP");
    let lost: Vec<_> = acknowledged.difference(&distinct).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

/// Runs the story with `faults` happening to it; returns the incidents.
async fn run(
    database: &Database,
    base: Timestamp,
    faults: impl AsyncFnOnce(&Path, &str, &Current, Daemon) -> Daemon,
) -> Vec<String> {
    let state = state_dir();
    let configuration = configuration(database, state.path());
    let current: Current = Arc::default();
    let hurry = CancellationToken::new();
    let daemon = start(state.path(), &configuration, &current).await;
    let writer = tokio::task::spawn_blocking({
        let (dir, hurry) = (state.path().to_owned(), hurry.clone());
        move || write_file(&dir, base, &hurry)
    });
    let lines = tokio::spawn(send_lines(Arc::clone(&current)));
    let posts = tokio::spawn(post_events(Arc::clone(&current), base));
    let daemon = faults(state.path(), &configuration, &current, daemon).await;
    hurry.cancel();
    writer.await.unwrap();
    let acknowledged = lines.await.unwrap();
    posts.await.unwrap();
    wait_until("everything is stored", async || {
        let count = database.try_number("SELECT count(*) FROM logs WHERE source IN ('auth', 'ids')").await;
        matches!(count, Ok(n) if n >= (FILE_LINES + POSTED_LINES) as i64)
    })
    .await;
    let (code, _) = daemon.stop().await;
    assert_eq!(code, Some(0));
    each_once(database, &acknowledged).await;
    let (code, verdict) = verify(state.path(), &[]);
    assert_eq!((code, findings(&verdict)), (0, vec![]), "{verdict}");
    incidents(database).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_25_times_and_the_database_crashed_5_times() {
    let base = Timestamp::from_secs(Timestamp::now().as_micros() / 1_000_000 - 7_200);
    let calm = Database::new().await;
    let want = run(&calm, base, async |_, _, _, daemon| daemon).await;
    assert!(want.len() >= 10, "the story has attacks: {want:#?}");

    let mut chance = Chance::seeded();
    let killed = Database::new().await;
    let got = run(&killed, base, async |state, configuration, current, mut daemon| {
        for _ in 0..25 {
            tokio::time::sleep(Duration::from_millis(chance.below(500))).await;
            *current.lock().unwrap() = None;
            daemon.kill();
            daemon = start(state, configuration, current).await;
        }
        daemon
    })
    .await;
    assert_eq!(got, want, "after 25 kills of the daemon");

    let server = Arc::new(tokio::task::spawn_blocking(Server::start).await.unwrap());
    let crashed = Database::on(Arc::clone(&server)).await;
    let got = run(&crashed, base, async |_, _, _, daemon| {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(200 + chance.below(1_000))).await;
            let server = Arc::clone(&server);
            tokio::task::spawn_blocking(move || {
                server.embedded.crash().unwrap();
                server.embedded.start_again().unwrap();
            })
            .await
            .unwrap();
        }
        daemon
    })
    .await;
    assert_eq!(got, want, "after 5 crashes of the database");
}
