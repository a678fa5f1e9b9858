//! Lines per second from a log file to PostgreSQL, beside what a bare COPY of the same rows reaches.
//!
//! One million mixed lines go from a file through parse, detect and commit into the real schema with its real indexes, everything
//! durable. Then the very rows that came out are copied, in binary and over one connection, into the same schema of another, empty
//! database on the same server. Both are run three times in turn; the medians make the ratio.
//!
//!     cargo bench --bench ingest [-- LINES]

#![allow(clippy::unwrap_used, reason = "it ends where something is wrong")]

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor};
use tocsin::frame::Source;
use tocsin::record::Zone;
use tocsin::stats::Stats;
use tocsin::store::Store;
use tocsin::store::embedded::Embedded;
use tocsin::{pipeline, tail};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

#[path = "support/mixed.rs"]
mod mixed;

const ROUNDS: usize = 3;
const COLUMNS: &str = "id, event_time, received_at, source, host, app, pid, event_type, severity, username, src_ip, src_port, dst_ip, \
     dst_port, protocol, action, message, raw, fields";

fn main() {
    let lines = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(1_000_000u64);
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(bench(lines));
}

struct Figures {
    seconds: f64,
    daemon_cpu: f64,
    server_cpu: f64,
    wal_bytes: i64,
}

async fn bench(lines: u64) {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o711)).tempdir().unwrap();
    let file = dir.path().join("mixed.log");
    let start = jiff::Timestamp::now().as_second() - (lines / 200) as i64;
    let mut out = BufWriter::new(std::fs::File::create(&file).unwrap());
    let mut mixed = mixed::Mixed::new(256);
    for _ in 0..lines {
        mixed.write_line(&mut out, start).unwrap();
    }
    out.flush().unwrap();
    let bytes = std::fs::metadata(&file).unwrap().len();
    println!("{lines} lines, {:.0} bytes a line", bytes as f64 / lines as f64);
    let server_dir = dir.path().join("postgres");
    let server = tokio::task::spawn_blocking(move || Embedded::start(&server_dir)).await.unwrap().unwrap();
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut peak = 0;
    for round in 0..ROUNDS {
        let database = fresh(&server, &format!("ours_{round}")).await;
        let figures = ingest(&database, &file, lines).await;
        if round == 0 {
            peak = status_kib("VmHWM");
        }
        println!(
            "tocsin     {:>9.0} rows/s   CPU seconds per million rows: tocsin {:.2}, server {:.2}   WAL {:.0} bytes a row",
            lines as f64 / figures.seconds,
            figures.daemon_cpu * 1e6 / lines as f64,
            figures.server_cpu * 1e6 / lines as f64,
            figures.wal_bytes as f64 / lines as f64
        );
        let rows = dump(&database).await;
        let target = fresh(&server, &format!("bare_{round}")).await;
        partitions(&database, &target).await;
        let copied = copy(&target, &rows).await;
        println!(
            "bare COPY  {:>9.0} rows/s   CPU seconds per million rows: server {:.2}   WAL {:.0} bytes a row",
            lines as f64 / copied.seconds,
            copied.server_cpu * 1e6 / lines as f64,
            copied.wal_bytes as f64 / lines as f64
        );
        ours.push(lines as f64 / figures.seconds);
        bare.push(lines as f64 / copied.seconds);
        drop(rows);
        for database in [database, target] {
            drop_database(&server, &database).await;
        }
    }
    let (ours, bare) = (median(ours), median(bare));
    println!(
        "ratio {:.2} (median of {ROUNDS}: {ours:.0} to {bare:.0} rows/s); tocsin's peak memory {:.0} MiB",
        ours / bare,
        peak as f64 / 1024.0
    );
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap().unwrap();
}

/// The file through the daemon's own stages, until everything is committed.
async fn ingest(database: &PgConnectOptions, file: &Path, lines: u64) -> Figures {
    let store = Store::connect(database.clone()).await.unwrap();
    let stats = Arc::new(Stats::default());
    let options = pipeline::Options {
        max_rows: 5_000,
        max_evidence: 1_000,
        max_past_micros: i64::MAX,
        max_future_micros: i64::MAX,
        detect: tocsin::detect::Options::default(),
        rules: Arc::default(),
        formats: Arc::default(),
    };
    let (saved, engine) = pipeline::take_over(&store, &options).await.unwrap();
    let source = Arc::new(Source { name: "bench".into(), zone: Zone::UTC, format: None });
    let tail = tail::Options::new("bench", vec![file.to_string_lossy().into_owned()], source);
    let tail = tail::Tail::new(tail, Vec::new(), Arc::clone(&stats)).unwrap();
    let (out, batches) = mpsc::channel(2);
    let stop = CancellationToken::new();
    let meter = Meter::start(database).await;
    let following = tokio::spawn(tail.run(out, stop.clone()));
    let committed = stats.counter("rows_committed_total", "", &[]);
    let watched = {
        let stop = stop.clone();
        Arc::new(move |_: &[tocsin::frame::PositionChange]| {
            if committed.get() >= lines {
                stop.cancel();
            }
        })
    };
    let hard_stop = CancellationToken::new();
    let work = pipeline::Pipeline {
        store: store.clone(),
        saved,
        engine,
        options,
        batches,
        committed: watched,
        stats,
        waits: Arc::default(),
        hard_stop,
    };
    work.run().await.unwrap();
    let figures = meter.stop(database).await;
    following.await.unwrap().unwrap();
    let mut connection = store.connection().await.unwrap();
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM logs").fetch_one(&mut connection).await.unwrap();
    assert_eq!(stored as u64, lines);
    let incidents: i64 = sqlx::query_scalar("SELECT count(*) FROM incidents").fetch_one(&mut connection).await.unwrap();
    store.keep(connection);
    println!("           {incidents} incidents");
    store.close().await;
    figures
}

async fn copy(database: &PgConnectOptions, rows: &[Vec<u8>]) -> Figures {
    let mut connection = PgConnection::connect_with(database).await.unwrap();
    let meter = Meter::start(database).await;
    let mut copy = connection.copy_in_raw(&format!("COPY logs ({COLUMNS}) FROM STDIN (FORMAT BINARY)")).await.unwrap();
    for chunk in rows {
        copy.send(chunk.as_slice()).await.unwrap();
    }
    copy.finish().await.unwrap();
    let figures = meter.stop(database).await;
    connection.close().await.unwrap();
    figures
}

/// The rows as COPY writes them, in pieces of about a mebibyte.
async fn dump(database: &PgConnectOptions) -> Vec<Vec<u8>> {
    let mut connection = PgConnection::connect_with(database).await.unwrap();
    let mut pieces: Vec<Vec<u8>> = vec![Vec::new()];
    let statement = format!("COPY (SELECT {COLUMNS} FROM logs ORDER BY id) TO STDOUT (FORMAT BINARY)");
    let mut stream = connection.copy_out_raw(&statement).await.unwrap();
    while let Some(piece) = stream.try_next().await.unwrap() {
        if pieces.last().unwrap().len() > 1 << 20 {
            pieces.push(Vec::new());
        }
        pieces.last_mut().unwrap().extend_from_slice(&piece);
    }
    drop(stream);
    pieces
}

/// An empty database with the real schema. What other databases left to be written is written first.
async fn fresh(server: &Embedded, name: &str) -> PgConnectOptions {
    let mut connection = PgConnection::connect_with(&server.options()).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    let options = server.options().database(name).disable_statement_logging();
    Store::connect(options.clone()).await.unwrap().close().await;
    connection.execute("CHECKPOINT").await.unwrap();
    connection.close().await.unwrap();
    options
}

async fn drop_database(server: &Embedded, database: &PgConnectOptions) {
    let mut connection = PgConnection::connect_with(&server.options()).await.unwrap();
    let name = database.get_database().unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
    connection.close().await.unwrap();
}

/// The same partitions, so that the copy makes none.
async fn partitions(from: &PgConnectOptions, to: &PgConnectOptions) {
    let mut from = PgConnection::connect_with(from).await.unwrap();
    let days: Vec<i64> = sqlx::query_scalar("SELECT DISTINCT (extract(epoch FROM event_time)::bigint / 86400) FROM logs")
        .fetch_all(&mut from)
        .await
        .unwrap();
    let store = Store::connect(to.clone()).await.unwrap();
    for day in days {
        store.ensure_partition(day).await.unwrap();
    }
    store.close().await;
}

struct Meter {
    began: Instant,
    daemon_cpu: f64,
    server_cpu: f64,
    wal: i64,
}

impl Meter {
    async fn start(database: &PgConnectOptions) -> Meter {
        let (wal, server_cpu) = server_figures(database).await;
        Meter { began: Instant::now(), daemon_cpu: cpu_of("self", false), server_cpu, wal }
    }

    async fn stop(self, database: &PgConnectOptions) -> Figures {
        let seconds = self.began.elapsed().as_secs_f64();
        let daemon_cpu = cpu_of("self", false) - self.daemon_cpu;
        let (wal, server_cpu) = server_figures(database).await;
        Figures { seconds, daemon_cpu, server_cpu: server_cpu - self.server_cpu, wal_bytes: wal - self.wal }
    }
}

/// WAL written so far, and CPU seconds of the server with all its processes, past and present.
async fn server_figures(database: &PgConnectOptions) -> (i64, f64) {
    let mut connection = PgConnection::connect_with(database).await.unwrap();
    let wal = sqlx::query_scalar("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut connection).await.unwrap();
    let postmaster = std::fs::read_to_string(Path::new(&data).join("postmaster.pid")).unwrap();
    let postmaster = postmaster.lines().next().unwrap().to_owned();
    let children = std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap();
    let cpu = cpu_of(&postmaster, true) + children.split_whitespace().map(|pid| cpu_of(pid, false)).sum::<f64>();
    connection.close().await.unwrap();
    (wal, cpu)
}

/// CPU seconds of a process, with those of its ended children if wanted; 0 if it is gone. `proc(5)`: utime, stime, cutime, cstime are
/// fields 14 to 17 of `stat`, in ticks, of which Linux has a hundred a second.
fn cpu_of(pid: &str, with_ended_children: bool) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let last = if with_ended_children { 15 } else { 13 };
    fields[11..last].iter().map(|f| f.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

fn status_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
