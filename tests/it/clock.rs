//! Whoever sets the clock of the machine, and whatever clocks of senders do on the days when they are put forward or back: every line is
//! stored once, where it belongs. The daemon's wall clock is set through libfaketime, while it runs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tocsin::record::Timestamp;

use crate::stage::{Stage, play, play_in};
use crate::story::FILE_LINES;
use crate::support::{Daemon, Database, Server, findings, request, send_tcp, state_dir, verify, wait_until};

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;
const YEAR: i64 = 365 * DAY;

/// A wall clock that can be set. The clocks that measure time go on as they do.
struct Clock {
    /// What libfaketime reads at each look at the clock: how far it is ahead, in seconds.
    file: PathBuf,
}

impl Clock {
    fn in_dir(dir: &Path) -> Clock {
        let clock = Clock { file: dir.join("clock") };
        clock.set_ahead(0);
        clock
    }

    /// Puts it ahead of that of the machine, in seconds.
    fn set_ahead(&self, seconds: i64) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    /// Sets it.
    fn set(&self, time: Timestamp) {
        self.set_ahead(time.micros_since(Timestamp::now()).div_euclid(1_000_000));
    }

    /// For processes that are to have it.
    fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", library().into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("NO_FAKE_STAT", "1".into()),
        ]
    }
}

/// Where Debian's package `faketime` puts it.
fn library() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib").unwrap().flatten().map(|e| e.path().join("faketime/libfaketimeMT.so.1"));
    found.into_iter().find(|path| path.exists()).expect("the package faketime is installed")
}

/// Waits until that many lines of the log file are stored. Meanwhile nothing that is told of how things are is absurd.
async fn stores(stage: &Stage, lines: usize) {
    wait_until("it stores what comes", async || {
        let Ok(ready) = request(stage.daemon().http(), "GET", "/health/ready", &[], b"").await else { return false };
        let told: Value = serde_json::from_str(&ready.body).unwrap();
        let inputs = told["inputs"].as_array().unwrap();
        assert!(inputs.iter().all(|input| input["seconds"].as_u64().unwrap() < 600), "{told}");
        let metrics = request(stage.daemon().http(), "GET", "/metrics", &[], b"").await.unwrap().body;
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let is_duration = name.split('{').next().unwrap().ends_with("_seconds");
            assert!(!is_duration || (0.0..600.0).contains(&value.parse::<f64>().unwrap()), "{line}");
        }
        let stored = stage.database.try_number("SELECT count(*) FROM logs WHERE source = 'auth'").await;
        ready.code == 200 && stored.is_ok_and(|stored| stored >= lines as i64)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn set_by_a_second_to_a_year_while_it_runs() {
    let server = Arc::new(tokio::task::spawn_blocking(Server::start).await.unwrap());
    let calm = play(&server, state_dir().path(), None, 0, async |_, _| {}).await;
    let dir = state_dir();
    let clock = Clock::in_dir(dir.path());
    let ahead = [1, -1, HOUR, -HOUR, DAY, -DAY, YEAR, -YEAR, 0, -YEAR, YEAR, 0];
    let set = play_in(&server, dir.path(), clock.environment(), None, ahead.len(), async |stage, n| {
        match n % 4 {
            // While it runs.
            0 | 2 => clock.set_ahead(ahead[n]),
            // While it is dead.
            1 => {
                stage.kill();
                clock.set_ahead(ahead[n]);
                stage.start().await;
                stage.ready().await;
            }
            // While it waits for the database.
            _ => {
                stage.stop_database().await;
                clock.set_ahead(ahead[n]);
                stage.start_database().await;
            }
        }
        stores(stage, FILE_LINES * (n + 1) / (ahead.len() + 1)).await;
    })
    .await;
    assert!(set.lost.is_empty() && set.repeated.is_empty() && set.complaints.is_empty(), "{set:#?}");
    assert!(calm.incidents.len() >= 10, "the story has attacks: {:#?}", calm.incidents);
    assert_eq!(set.incidents, calm.incidents);
}

/// The daemon of a machine that has lost the time is told it later: what comes in meanwhile is filed under the time that its senders say.
#[tokio::test]
async fn started_with_a_clock_that_is_a_year_behind() {
    let (database, dir) = (Database::new().await, state_dir());
    let clock = Clock::in_dir(dir.path());
    let configuration = format!("[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n", database.url());
    let mut sent = 0;
    for ahead in [0, -YEAR, -YEAR + 5, 0] {
        clock.set_ahead(ahead);
        let daemon = Daemon::start_in(dir.path(), &configuration, "", &clock.environment()).await;
        sent += 1;
        let line =
            format!("<86>1 {} srv sshd {sent} - - Failed password for root from 192.0.2.7 port 22 ssh2\n", Timestamp::now());
        send_tcp(daemon.tcp(), line.as_bytes()).await.unwrap();
        // What has no time of its own.
        send_tcp(daemon.tcp(), b"<13>hello\n").await.unwrap();
        database.wait_for("SELECT count(*) FROM logs", 2 * sent).await;
        daemon.kill();
    }
    let near = "abs(extract(epoch FROM event_time - now())) < 3600";
    assert_eq!(database.number(&format!("SELECT count(*) FROM logs WHERE event_type = 'login_failed' AND {near}")).await, 4);
    assert_eq!(
        database.number(&format!("SELECT count(*) FROM logs WHERE event_time = received_at AND NOT {near}")).await,
        2,
        "received by a clock that is wrong"
    );
    assert_eq!(database.column("SELECT detector || ' ' || event_count FROM incidents ORDER BY 1").await, ["login_failures 4"]);
}

/// What was committed while the clock of the database was set back is no gap in what `--since` looks at.
#[tokio::test]
async fn verify_since_when_the_servers_clock_was_set() {
    let (database, dir) = (Database::new().await, state_dir());
    let configuration = format!("[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n", database.url());
    for run in 1..=4 {
        let daemon = Daemon::start(dir.path(), &configuration).await;
        send_tcp(daemon.tcp(), b"<13>one\n<13>two\n").await.unwrap();
        database.wait_for("SELECT count(*) FROM logs", 2 * run).await;
        assert_eq!(daemon.stop().await.0, Some(0));
    }
    let entries = database.column("SELECT first_transaction FROM ledger ORDER BY 1").await;
    assert_eq!(entries.len(), 4, "each run has its own: {entries:?}");
    // The third when the clock was a year behind.
    let times = ["2026-11-20T11:00Z", "2026-11-20T12:00Z", "2025-11-20T12:30Z", "2026-11-20T13:00Z"];
    for (entry, time) in entries.iter().zip(times) {
        let sql = format!("UPDATE ledger SET committed_at = '{time}' WHERE first_transaction = {entry}");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&database.pool).await.unwrap();
    }
    for (since, stored) in [("2026-11-20T11:30:00Z", 6), ("2026-11-20T12:45:00Z", 2), ("2020-01-01T00:00:00Z", 8)] {
        let (code, verdict) = verify(dir.path(), &["--since", since]);
        assert_eq!((code, findings(&verdict), &verdict["stored_once"]), (0, vec![], &stored.into()), "{since}: {verdict:#}");
    }
}

/// Zone, when it is received, what the line says, what that means. Of an hour that a clock shows twice the first is meant; one that it
/// leaves out is read as if it had not been put forward yet.
const LINES: [(&str, &str, &str, &str); 28] = [
    // Central Europe: forward on 28 March 2027 at 01:00 UTC, back on 25 October 2026 at 01:00 UTC.
    ("Europe/Zurich", "2027-03-28T01:00:05Z", "Mar 28 01:59:59", "2027-03-28T00:59:59Z"),
    ("Europe/Zurich", "2027-03-28T01:00:05Z", "Mar 28 03:00:01", "2027-03-28T01:00:01Z"),
    ("Europe/Zurich", "2027-03-28T01:30:05Z", "Mar 28 02:30:00", "2027-03-28T01:30:00Z"),
    ("Europe/Zurich", "2026-10-25T00:30:05Z", "Oct 25 01:59:59", "2026-10-24T23:59:59Z"),
    ("Europe/Zurich", "2026-10-25T00:30:05Z", "Oct 25 02:30:00", "2026-10-25T00:30:00Z"),
    ("Europe/Zurich", "2026-10-25T01:30:05Z", "Oct 25 02:30:00", "2026-10-25T00:30:00Z"),
    ("Europe/Zurich", "2026-10-25T02:00:05Z", "Oct 25 03:00:00", "2026-10-25T02:00:00Z"),
    ("Europe/Zurich", "2026-12-31T23:00:01Z", "Dec 31 23:59:59", "2026-12-31T22:59:59Z"),
    ("Europe/Zurich", "2027-01-01T00:00:01Z", "Jan  1 00:59:59", "2026-12-31T23:59:59Z"),
    // Newfoundland: half an hour beside everybody else's.
    ("America/St_Johns", "2027-03-14T05:30:05Z", "Mar 14 01:59:59", "2027-03-14T05:29:59Z"),
    ("America/St_Johns", "2027-03-14T05:30:05Z", "Mar 14 03:00:00", "2027-03-14T05:30:00Z"),
    ("America/St_Johns", "2027-03-14T06:00:05Z", "Mar 14 02:30:00", "2027-03-14T06:00:00Z"),
    ("America/St_Johns", "2026-11-01T04:00:05Z", "Nov  1 01:30:00", "2026-11-01T04:00:00Z"),
    ("America/St_Johns", "2027-01-01T00:00:01Z", "Dec 31 20:29:59", "2026-12-31T23:59:59Z"),
    ("America/St_Johns", "2027-01-01T03:30:01Z", "Dec 31 23:59:59", "2027-01-01T03:29:59Z"),
    ("America/St_Johns", "2027-01-01T03:30:01Z", "Jan  1 00:00:00", "2027-01-01T03:30:00Z"),
    // New Zealand: summer at New Year, which begins thirteen hours before that of UTC.
    ("Pacific/Auckland", "2026-09-26T14:00:05Z", "Sep 27 03:00:00", "2026-09-26T14:00:00Z"),
    ("Pacific/Auckland", "2027-04-03T13:30:05Z", "Apr  4 02:30:00", "2027-04-03T13:30:00Z"),
    ("Pacific/Auckland", "2026-12-31T11:00:02Z", "Dec 31 23:59:59", "2026-12-31T10:59:59Z"),
    ("Pacific/Auckland", "2026-12-31T11:00:02Z", "Jan  1 00:00:01", "2026-12-31T11:00:01Z"),
    ("Pacific/Auckland", "2026-12-31T10:59:50Z", "Jan  1 00:00:01", "2026-12-31T11:00:01Z"),
    ("Pacific/Auckland", "2028-02-28T11:00:02Z", "Feb 29 00:00:01", "2028-02-28T11:00:01Z"),
    ("Asia/Kolkata", "2026-12-31T18:30:02Z", "Jan  1 00:00:01", "2026-12-31T18:30:01Z"),
    ("Asia/Kolkata", "2027-01-01T00:00:01Z", "Dec 31 23:59:59", "2026-12-31T18:29:59Z"),
    ("UTC", "2027-01-01T00:00:01Z", "Dec 31 23:59:59", "2026-12-31T23:59:59Z"),
    ("UTC", "2026-12-31T23:59:50Z", "Jan  1 00:00:01", "2027-01-01T00:00:01Z"),
    ("UTC", "2028-02-29T12:00:05Z", "Feb 29 12:00:00", "2028-02-29T12:00:00Z"),
    ("UTC", "2028-03-01T00:00:01Z", "Feb 29 23:59:59", "2028-02-29T23:59:59Z"),
];

#[tokio::test]
async fn the_year_of_a_line_that_names_none_in_every_zone() {
    let (database, dir) = (Database::new().await, state_dir());
    let clock = Clock::in_dir(dir.path());
    let mut zones: Vec<&str> = LINES.iter().map(|(zone, ..)| *zone).collect();
    zones.dedup();
    let mut configuration = format!("[database]\nurl = {:?}\n", database.url());
    for zone in &zones {
        configuration += &format!("[[webhook]]\nname = {:?}\nunauthenticated = true\ntimezone = {zone:?}\n", name(zone));
    }
    let daemon = Daemon::start_in(dir.path(), &configuration, "", &clock.environment()).await;
    for (n, (zone, received, text, _)) in LINES.iter().enumerate() {
        clock.set(Timestamp::parse_rfc3339(received).unwrap());
        let body = serde_json::json!({ "message": format!("<13>{text} srv app: #{n}#") }).to_string();
        let answer = request(daemon.http(), "POST", &format!("/ingest/{}", name(zone)), &[], body.as_bytes()).await.unwrap();
        assert_eq!(answer.code, 200, "{answer:?}");
    }
    database.wait_for("SELECT count(*) FROM logs", LINES.len() as i64).await;
    for (n, (zone, received, text, meant)) in LINES.iter().enumerate() {
        let of_line = format!("FROM logs WHERE message LIKE '%#{n}#%'");
        let stored = database
            .column(&format!("SELECT to_char(event_time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') {of_line}"))
            .await;
        assert_eq!(stored, [*meant], "{text} in {zone}, received at {received}");
        let day = database.column(&format!("SELECT tableoid::regclass {of_line}")).await;
        assert_eq!(day, [format!("logs_{}", meant[..10].replace('-', "_"))], "{text} in {zone}");
    }
    assert_eq!(daemon.stop().await.0, Some(0));
    let (code, verdict) = verify(dir.path(), &[]);
    assert_eq!((code, findings(&verdict)), (0, vec![]), "{verdict:#}");
}

/// A zone's name as that of a source.
fn name(zone: &str) -> String {
    zone.to_lowercase().replace(['/', '_'], "-")
}
