//! How long the API takes to answer over ten million log records and a hundred thousand incidents of a year, alone and while 20,000 lines/s
//! come in; how long a report and an export take; and whether ingestion suffers.
//!
//! The records are those of the ingest bench, parsed and encoded as the daemon does and copied into the real schema with its real indexes,
//! spread over 90 days, which is how long records are kept by default; the incidents are made up in SQL, over as long. Counts by the hour are
//! there for a year. The real daemon serves the API from the same process. Each kind of request is
//! made forty times, each time for another incident, account, address or day; the median and the 95th percentile are told.
//!
//!     cargo bench --bench casework [-- [--rows N] [--days N] [--incidents N] [--dir DIR]]
//!
//! With a directory, the database stays in it and is used again.

#![allow(clippy::unwrap_used, reason = "it ends where something is wrong")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use tocsin::casework::export::Table;
use tocsin::casework::reports::Period;
use tocsin::casework::{Actor, Casework, Role};
use tocsin::parse::{self, Context};
use tocsin::record::{Timestamp, Zone};
use tocsin::store::Store;
use tocsin::store::copy::{COPY_LOGS, HEADER, RowMeta, Rows, TRAILER};
use tocsin::store::embedded::Embedded;
use tocsin::{config, daemon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[path = "support/mixed.rs"]
mod mixed;

const DAY: i64 = 86_400_000_000;
/// 2026-11-20T00:00:00Z: up to here the records go.
const END: Timestamp = Timestamp::from_secs(1_795_132_800);
/// Requests of a kind.
const RUNS: usize = 40;
/// Lines/s that come in meanwhile.
const LINES: u64 = 20_000;
/// Networks that guess passwords meanwhile: a thousand addresses, as a fair-sized attack has. All 65,000 that there could be would open an
/// incident every few milliseconds.
const ATTACKING: u64 = 4;
/// How long ingestion is looked at, with and without requests.
const LOOK: Duration = Duration::from_secs(20);

struct Size {
    rows: i64,
    days: i64,
    incidents: i64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let after = |name: &str| arguments.iter().position(|a| a == name).map(|at| arguments[at + 1].clone());
    let number = |name: &str, default: i64| after(name).map_or(default, |text| text.parse().unwrap());
    let size = Size { rows: number("--rows", 10_000_000), days: number("--days", 90), incidents: number("--incidents", 100_000) };
    let dir = after("--dir").map(PathBuf::from);
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(bench(size, dir));
}

async fn bench(size: Size, dir: Option<PathBuf>) {
    use std::os::unix::fs::PermissionsExt;
    let passable = std::fs::Permissions::from_mode(0o711);
    let own = tempfile::Builder::new().permissions(passable).tempdir().unwrap();
    let dir = dir.unwrap_or_else(|| own.path().to_owned());
    prepare(&size, &dir).await;
    let path = dir.join("bench.toml");
    let text = format!(
        "state_dir = {dir:?}\n[http]\nlisten = \"127.0.0.1:0\"\napi_requests_per_minute = 10000000\napi_burst = 10000000\n[retention]\nlogs = \"keep\"\n[log]\nlevel = \"warn\"\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n"
    );
    std::fs::write(&path, text).unwrap();
    let mut running = daemon::start(config::load(Some(&path)).unwrap()).await.unwrap();
    let store = running.database().await.unwrap().store;
    let casework = Casework::new(store.clone(), config::load(Some(&path)).unwrap().casework());
    let http = running.addresses.http.unwrap();
    let token = token(&casework).await;
    let pick = Pick { size: &size, chance: AtomicU64::new(1) };

    println!("{} records over {} days, {} incidents", size.rows, size.days, size.incidents);
    println!("{:<56} {:>9} {:>9}   {:>9} {:>9}", "", "median ms", "p95 ms", "median ms", "p95 ms");
    println!("{:<56} {:>19}   {:>19}", "", "alone", "20,000 lines/s");
    let alone = requests(http, &token, &pick, true).await;
    let flood = Flood::begin(running.addresses.tcp[0].1);
    let busy = requests(http, &token, &pick, false).await;
    for ((what, alone), (_, busy)) in alone.iter().zip(&busy) {
        println!("{what:<56} {:>9.1} {:>9.1}   {:>9.1} {:>9.1}", alone.0, alone.1, busy.0, busy.1);
    }
    report_and_export(&casework, "20,000 lines/s").await;
    flood.end().await;
    report_and_export(&casework, "alone").await;

    let rate = async |requested: bool| {
        let flood = Flood::begin(running.addresses.tcp[0].1);
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (before, began) = (running.stats.total("rows_committed_total"), Instant::now());
        let (mut made, mut second) = (0, tokio::time::interval(Duration::from_secs(1)));
        while began.elapsed() < LOOK {
            second.tick().await;
            if requested {
                requests_once(http, &token, &pick).await;
                made += 1;
            }
        }
        let rate = (running.stats.total("rows_committed_total") - before) as f64 / began.elapsed().as_secs_f64();
        flood.end().await;
        (rate, made)
    };
    let (without, _) = rate(false).await;
    let (with, rounds) = rate(true).await;
    println!(
        "stored of 20,000 lines/s: {without:.0}/s alone, {with:.0}/s with {rounds} rounds of every request, one a second at most: {:.3}",
        with / without
    );
    running.stop().await.unwrap();
}

/// One after the other over one connection, as a program would.
struct Client {
    stream: TcpStream,
    token: String,
}

impl Client {
    async fn open(to: SocketAddr, token: &str) -> Client {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, token: token.to_owned() }
    }

    /// Milliseconds until the answer was there.
    async fn get(&mut self, path: &str) -> f64 {
        let began = Instant::now();
        let head = format!("GET /api/v1{path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\n\r\n", self.token);
        self.stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::with_capacity(1 << 16);
        loop {
            assert!(self.stream.read_buf(&mut answer).await.unwrap() > 0, "{path}: the connection was closed");
            let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|n| n.parse::<usize>().unwrap());
            let is_whole = match length {
                Some(length) => answer.len() >= end + 4 + length,
                None => answer.ends_with(b"\r\n0\r\n\r\n"),
            };
            if is_whole {
                if !head.starts_with("http/1.1 200") {
                    println!("{path}: {}", String::from_utf8_lossy(&answer[end + 4..]));
                }
                return began.elapsed().as_secs_f64() * 1e3;
            }
        }
    }
}

/// What differs from one request to the next; a fixed sequence.
struct Pick<'s> {
    size: &'s Size,
    chance: AtomicU64,
}

impl Pick<'_> {
    fn below(&self, n: i64) -> i64 {
        let next = |x: u64| Some(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        let x = self.chance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap();
        ((x >> 33) % n.unsigned_abs()).cast_signed()
    }

    fn incident(&self) -> String {
        format!("INC-2026-{:06}", 1 + self.below(self.size.incidents))
    }

    /// Some whole day, as a part of a query.
    fn day(&self) -> String {
        let from = END.plus_micros(-DAY * (1 + self.below(self.size.days)));
        format!("from%3A{from}%20to%3A{}", from.plus_micros(DAY))
    }

    fn all(&self) -> String {
        format!("from%3A{}", END.plus_micros(-DAY * self.size.days))
    }
}

/// What a request is called, and its path.
type Kind = (&'static str, fn(&Pick<'_>) -> String);

/// Every list and search.
fn kinds() -> Vec<Kind> {
    vec![
        ("incidents: the newest", |_| "/incidents".into()),
        ("incidents: open", |_| "/incidents?status=open".into()),
        ("incidents: high, investigating or contained", |_| "/incidents?status=investigating,contained&severity=high".into()),
        ("incidents: of somebody", |p| format!("/incidents?assignee=user{}", p.below(20))),
        ("incidents: of a detector", |_| "/incidents?detector=brute_force&severity=high".into()),
        ("incidents: of a day", |p| {
            let from = END.plus_micros(-DAY * (1 + p.below(p.size.days)));
            format!("/incidents?from={from}&to={}", from.plus_micros(DAY))
        }),
        ("incidents: a number in the text", |p| format!("/incidents?text={}", p.incident())),
        ("incidents: an address in the text", |p| format!("/incidents?text=203.0.{}.{}", p.below(256), p.below(256))),
        ("incidents: a word that is nowhere", |_| "/incidents?text=xyzzy".into()),
        ("incidents: one with everything", |p| format!("/incidents/{}", p.incident())),
        ("incidents: due", |_| "/incidents/due".into()),
        ("observables: where an address was seen", |p| format!("/observables?value=203.0.{}.{}", p.below(256), p.below(256))),
        ("tasks: to be done", |_| "/tasks".into()),
        ("tasks: of somebody", |p| format!("/tasks?assignee=user{}", p.below(20))),
        ("logs: the newest of a day", |p| format!("/logs?q={}", p.day())),
        ("logs: an address in all", |p| format!("/logs?q={}%20src_ip%3A203.{}.{}.7", p.all(), p.below(256), p.below(256))),
        ("logs: a network in a day", |p| format!("/logs?q={}%20src_ip%3A203.{}.0.0/16", p.day(), p.below(256))),
        ("logs: an account in a day", |p| format!("/logs?q={}%20user%3Aroot", p.day())),
        ("logs: an account that is nowhere, in all", |p| format!("/logs?q={}%20user%3Anobody", p.all())),
        ("logs: a type, an account and a phrase in a day", |p| {
            format!("/logs?q={}%20event_type%3Alogin_failed%20-user%3Aroot%20%22failed%22", p.day())
        }),
        ("logs: severity in all", |p| format!("/logs?q={}%20severity%3A%3E%3Dhigh", p.all())),
        ("logs: a host in a day", |p| format!("/logs?q={}%20host%3Aweb1", p.day())),
        ("logs: an application that is nowhere, in a day", |p| format!("/logs?q={}%20app%3Anothing", p.day())),
        ("logs: free text in a day", |p| format!("/logs?q={}%20%22failed%20password%22", p.day())),
        ("logs: a word that is nowhere, in a day", |p| format!("/logs?q={}%20xyzzy", p.day())),
        ("logs: one", |p| format!("/logs/{}", 1 + p.below(p.size.rows))),
        ("users", |_| "/users".into()),
        ("audit: the newest", |_| "/audit".into()),
    ]
}

async fn requests(to: SocketAddr, token: &str, pick: &Pick<'_>, warm: bool) -> Vec<(&'static str, (f64, f64))> {
    let mut client = Client::open(to, token).await;
    let mut all = Vec::new();
    for (what, path) in kinds() {
        for _ in 0..if warm { 5 } else { 0 } {
            client.get(&path(pick)).await;
        }
        let mut millis = Vec::new();
        for _ in 0..RUNS {
            millis.push(client.get(&path(pick)).await);
        }
        millis.sort_by(f64::total_cmp);
        all.push((what, (millis[RUNS / 2], millis[RUNS * 95 / 100])));
    }
    all
}

async fn requests_once(to: SocketAddr, token: &str, pick: &Pick<'_>) {
    let mut client = Client::open(to, token).await;
    for (_, path) in kinds() {
        client.get(&path(pick)).await;
    }
}

async fn report_and_export(casework: &Casework, when: &str) {
    let actor = Actor::operator("bench");
    let mut millis = Vec::new();
    for _ in 0..7 {
        let began = Instant::now();
        casework.report(&actor, Period::days_until(365, END.plus_micros(-1))).await.unwrap();
        millis.push(began.elapsed().as_secs_f64() * 1e3);
    }
    millis.sort_by(f64::total_cmp);
    println!("{:<56} {:>9.1} {:>9.1}   {when}", "report: a year", millis[3], millis[6]);
    let began = Instant::now();
    let range = (END.plus_micros(-DAY * 400), END);
    let rows = casework.export(&actor, Table::Logs, range, &mut tokio::io::sink(), &mut |_| {}).await.unwrap();
    println!("{:<56} {:>9.0} rows/s   {when}", "export: logs as CSV", rows as f64 / began.elapsed().as_secs_f64());
}

/// Lines that come in over TCP, so many a second.
struct Flood {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Flood {
    fn begin(to: SocketAddr) -> Flood {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut stream = TcpStream::connect(to).await.unwrap();
            let (mut mixed, mut lines) = (mixed::Mixed::new(ATTACKING), Vec::new());
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while !stopped.load(Ordering::Relaxed) {
                tick.tick().await;
                lines.clear();
                for _ in 0..LINES / 50 {
                    mixed.write_line(&mut lines, jiff::Timestamp::now().as_second()).unwrap();
                }
                stream.write_all(&lines).await.unwrap();
            }
            stream.shutdown().await.unwrap();
            stream.read_to_end(&mut Vec::new()).await.unwrap();
        });
        Flood { stop, task }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}

async fn token(casework: &Casework) -> String {
    let actor = Actor::operator("bench");
    let new = tocsin::casework::users::NewUser { name: "bench".into(), display_name: None, email: None, role: Role::Admin };
    if let Ok(once) = casework.create_user(&actor, &new).await {
        let origin = tocsin::casework::sessions::Origin::default();
        let (_, user) = casework.sign_in("bench", once.clone(), tocsin::casework::Via::Api, &origin).await.unwrap();
        casework.change_own_password(&user, once, "correct-horse-battery".into()).await.unwrap();
    }
    let name = format!("bench-{}", Timestamp::now().as_micros());
    casework.create_token(&actor, "bench", &name, Role::Admin, 1).await.unwrap()
}

/// The database, unless the directory has it already.
async fn prepare(size: &Size, dir: &Path) {
    let at = dir.join("postgres");
    let server = tokio::task::spawn_blocking(move || Embedded::start(&at)).await.unwrap().unwrap();
    let options = server.options().disable_statement_logging();
    let store = Store::connect(options.clone()).await.unwrap();
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let present: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM logs)").fetch_one(&mut connection).await.unwrap();
    if !present {
        let began = Instant::now();
        logs(&store, &mut connection, size).await;
        connection.execute(ROLLUPS).await.unwrap();
        connection.execute(LEDGER).await.unwrap();
        // The same again for as many times as there are in a year.
        for n in 1..=365 / size.days {
            let earlier = "INSERT INTO log_rollups (hour, source, host, event_type, severity, count) \
                 SELECT hour - $1 * interval '1 day', source, host, event_type, severity, count FROM log_rollups \
                 WHERE hour >= $2 AND hour - $1 * interval '1 day' >= $3";
            let begin = END.plus_micros(-DAY * size.days);
            let of_all = sqlx::query(earlier).bind(n * size.days).bind(begin).bind(END.plus_micros(-365 * DAY));
            of_all.execute(&mut connection).await.unwrap();
        }
        for statement in INCIDENTS {
            sqlx::query(statement).bind(size.incidents).bind(size.days).bind(END).execute(&mut connection).await.unwrap();
        }
        // Behind these the detectors go on.
        let behind = sqlx::query("SELECT setval(pg_get_serial_sequence('incidents', 'id'), $1)").bind(size.incidents);
        behind.execute(&mut connection).await.unwrap();
        connection.execute("VACUUM ANALYZE").await.unwrap();
        println!("made in {:.0} s", began.elapsed().as_secs_f64());
    }
    store.close().await;
    connection.close().await.unwrap();
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap().unwrap();
}

/// Rows in the order of their times, spread evenly, with ids from 1 on.
async fn logs(store: &Store, connection: &mut PgConnection, size: &Size) {
    let begin = END.plus_micros(-DAY * size.days);
    for day in 0..size.days {
        store.ensure_partition(begin.day() + day).await.unwrap();
    }
    let (mut mixed, mut line) = (mixed::Mixed::new(256), Vec::new());
    let mut id = 0;
    while id < size.rows {
        let mut encoded = Rows::default();
        while encoded.len() < 20_000 && id < size.rows {
            id += 1;
            line.clear();
            mixed.write_line(&mut line, begin.as_micros() / 1_000_000).unwrap();
            line.pop();
            let event_time = begin.plus_micros((i128::from(DAY * size.days) * i128::from(id - 1) / i128::from(size.rows)) as i64);
            let text = parse::text(&line);
            let record = parse::parse(&text, &Context { now: event_time, zone: &Zone::UTC, own: &[] });
            encoded.push(&record, &RowMeta { id, event_time, received_at: event_time, source: "bench", frame: &line });
        }
        let mut copy = connection.copy_in_raw(COPY_LOGS).await.unwrap();
        for part in [HEADER, encoded.slice(0..encoded.len()), TRAILER] {
            copy.send(part).await.unwrap();
        }
        copy.finish().await.unwrap();
    }
    // Behind these the daemon goes on.
    sqlx::query("SELECT setval('logs_id_seq', $1)")
        .bind((size.rows / 65_536 + 1) * 65_536 + 1)
        .execute(connection)
        .await
        .unwrap();
}

const ROLLUPS: &str = "INSERT INTO log_rollups (hour, source, host, event_type, severity, count) \
     SELECT date_bin('1 hour', event_time, timestamptz 'epoch'), source, coalesce(host, ''), event_type, severity, count(*) \
     FROM logs GROUP BY 1, 2, 3, 4, 5";

const LEDGER: &str = "INSERT INTO ledger (first_transaction, piece, last_transaction, epoch, ids, days) \
     SELECT row_number() OVER (ORDER BY day), 0, row_number() OVER (ORDER BY day), 0, int8multirange(int8range(first, last, '[]')), \
         jsonb_build_object(day::text, count) \
     FROM (SELECT (event_time AT TIME ZONE 'UTC')::date AS day, min(id) AS first, max(id) AS last, count(*) FROM logs GROUP BY 1) AS days";

/// Incidents of the days ($2) up to a time ($3), so many ($1): every twentieth unresolved, with evidence, timelines, notes and tasks.
const INCIDENTS: [&str; 7] = [
    "INSERT INTO incidents (id, number, title, description, status, severity, priority, category, attack_vector, reporter, assignee, detector, \
         group_key, group_values, first_seen, last_seen, event_count, usernames, created_at, updated_at, acknowledged_at, resolved_at, resolution, \
         root_cause, lessons_learned) \
     SELECT n, 'INC-2026-' || lpad(n::text, greatest(6, length(n::text)), '0'), 'Repeated login failures from ' || ip, \
         n % 90 + 5 || ' failed logins from ' || ip || ' within 60 minutes, for root, admin and others. ' || repeat('The window is half-open. ', 8), \
         (CASE WHEN n % 20 = 0 THEN (ARRAY['open', 'investigating', 'contained'])[1 + n / 20 % 3] WHEN n % 7 = 0 THEN 'false_positive' ELSE 'resolved' END)::incident_status, \
         (ARRAY['low', 'medium', 'high', 'critical'])[1 + n / 20 % 4]::severity, 'P' || 4 - n / 20 % 4, 'intrusion-attempts', 'network', \
         'anomaly_detection_system', CASE WHEN n % 3 = 0 THEN 'user' || n % 20 END, (ARRAY['brute_force', 'login_failures', 'account_compromise'])[1 + n % 3], \
         'src_ip=' || ip || '#' || n, jsonb_build_object('src_ip', ip), at - interval '20 minutes', at, n % 90 + 5, ARRAY['root', 'admin', 'user' || n % 50], at, at, \
         at + n % 120 * interval '1 minute', CASE WHEN n % 20 <> 0 THEN at + n % 3000 * interval '1 minute' END, 'Address blocked.', 'Weak password.', 'Use keys.' \
     FROM (SELECT n, '203.0.' || n / 256 % 256 || '.' || n % 256 AS ip, $3::timestamptz - (1 - n::float8 / $1) * $2 * interval '1 day' AS at \
           FROM generate_series(1, $1::bigint) AS n) AS made",
    "INSERT INTO incident_timeline (incident_id, at, actor, event, old, new) \
     SELECT n, $3::timestamptz - (1 - n::float8 / $1) * $2 * interval '1 day', 'user' || n % 20, (ARRAY['opened', 'status', 'severity', 'assignee'])[k], \
         to_jsonb('open'::text), to_jsonb('investigating'::text) FROM generate_series(1, $1::bigint) AS n, generate_series(1, 4) AS k",
    "INSERT INTO incident_tasks (incident_id, title, status, assignee, due_at, created_by, created_at) \
     SELECT n, 'Block the address', CASE WHEN n % 40 = 0 THEN 'open' ELSE 'done' END, 'user' || n % 20, \
         $3::timestamptz - (1 - n::float8 / $1) * $2 * interval '1 day' + interval '2 days', 'user1', $3 \
     FROM generate_series(1, $1::bigint) AS n WHERE n % 2 = 0",
    "WITH notes AS (INSERT INTO incident_notes (incident_id, kind, author, created_at) \
         SELECT n, 'note', 'user' || n % 20, $3 FROM generate_series(1, $1::bigint) AS n WHERE $2 > 0 RETURNING id) \
     INSERT INTO incident_note_versions (note_id, version, author, at, body) SELECT id, 1, 'user1', $3, repeat('Looked into it. ', 20) FROM notes",
    "INSERT INTO incident_evidence (incident_id, log_id, event_time, record, extracted) \
     SELECT 1 + l.id % $1, l.id, l.event_time, to_jsonb(l), true FROM logs l WHERE l.id <= 3 * $1 AND $2 > 0 AND l.event_time < $3",
    "INSERT INTO observables (kind, value) \
     SELECT 'address'::observable_kind, '203.0.' || n / 256 || '.' || n % 256 FROM generate_series(0, 65535) AS n WHERE $1::bigint + $2::bigint > 0 AND $3::timestamptz > 'epoch' \
     UNION ALL SELECT 'user'::observable_kind, 'user' || n FROM generate_series(0, 49) AS n",
    "INSERT INTO incident_observables (incident_id, observable_id, added_by, added_at) \
     SELECT n, 1 + n % 65536, 'tocsin', $3 FROM generate_series(1, $1::bigint) AS n WHERE $2::bigint > 0 \
     UNION ALL SELECT n, 65537 + n % 50, 'tocsin', $3 FROM generate_series(1, $1::bigint) AS n",
];
