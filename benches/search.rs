//! How long searches of logs take, over ten days of a million mixed records each.
//!
//! The rows are those of the ingest bench, parsed and encoded as the daemon does and copied into the real schema with its real indexes.
//! Each search is run seven times through casework, as somebody who asks for the first page of one day; the median and the worst are told.
//!
//!     cargo bench --bench search [-- ROWS [DIR]]
//!
//! With a directory, the database stays in it and is used again.

#![allow(clippy::unwrap_used, reason = "it ends where something is wrong")]

use std::path::PathBuf;
use std::time::Instant;

use sqlx::{ConnectOptions, Connection, Executor};
use tocsin::casework::{Actor, Casework, Settings};
use tocsin::parse::{self, Context};
use tocsin::record::{Timestamp, Zone};
use tocsin::store::Store;
use tocsin::store::copy::{COPY_LOGS, HEADER, RowMeta, Rows, TRAILER};
use tocsin::store::embedded::Embedded;
use tocsin::store::query::Query;

#[path = "support/mixed.rs"]
mod mixed;

const DAYS: i64 = 10;
const DAY: i64 = 86_400_000_000;
/// 2026-11-11T00:00:00Z.
const BEGIN: Timestamp = Timestamp::from_secs(1_794_355_200);
const RUNS: usize = 7;

/// What people ask; the range of time is added. The words `xyzzy` and `échec` are nowhere, so all of the range is read.
const QUERIES: [&str; 20] = [
    "",
    "\"failed password\"",
    "xyzzy",
    "xyzzy plugh -routine",
    "x*zzy",
    "\u{e9}chec",
    "user:root",
    "-user:root",
    "user:nobody",
    "src_ip:203.0.113.7",
    "src_ip:203.7.0.0/16",
    "ip:192.0.2.99",
    "event_type:login_failed -user:root \"invalid\"",
    "severity:>=high",
    "severity:>=high xyzzy",
    "host:web*",
    "host:nowhere",
    "app:sshd action:blocked",
    "dst_port:>60000",
    "network.nothing:x",
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let rows: i64 = arguments.first().map_or(10_000_000, |a| a.parse().unwrap());
    let dir = arguments.get(1).map(PathBuf::from);
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(bench(rows, dir));
}

async fn bench(rows: i64, dir: Option<PathBuf>) {
    use std::os::unix::fs::PermissionsExt;
    let passable = std::fs::Permissions::from_mode(0o711);
    let own = tempfile::Builder::new().permissions(passable).tempdir().unwrap();
    let dir = dir.unwrap_or_else(|| own.path().to_owned()).join("postgres");
    let server = tokio::task::spawn_blocking(move || Embedded::start(&dir)).await.unwrap().unwrap();
    let options = server.options().disable_statement_logging();
    let store = Store::connect(options.clone()).await.unwrap();
    let mut connection = sqlx::PgConnection::connect_with(&options).await.unwrap();
    let present: i64 = sqlx::query_scalar("SELECT count(*) FROM logs").fetch_one(&mut connection).await.unwrap();
    if present == 0 {
        let began = Instant::now();
        generate(&store, &mut connection, rows).await;
        println!("{rows} rows in {:.0} s", began.elapsed().as_secs_f64());
    } else {
        assert_eq!(present, rows, "the directory holds another number of rows");
    }
    // As autovacuum would have done by then.
    connection.execute("VACUUM ANALYZE logs").await.unwrap();
    let casework = Casework::new(store.clone(), Settings::default());
    let actor = Actor::operator("bench");
    let day = format!("from:{} to:{}", BEGIN.plus_micros(8 * DAY), BEGIN.plus_micros(9 * DAY));
    println!("{:<48} {:>8} {:>10} {:>10}", "one day", "found", "median ms", "worst ms");
    for text in QUERIES {
        let query = Query::parse(&format!("{day} {text}"), BEGIN).unwrap();
        measure(text, async || casework.search_logs(&actor, &query, None, 50).await.unwrap().logs.len()).await;
    }
    println!("all ten days");
    for text in ["", "\"failed password\"", "user:root", "src_ip:203.7.0.0/16", "xyzzy"] {
        let query = Query::parse(&format!("from:{BEGIN} {text}"), BEGIN).unwrap();
        measure(text, async || casework.search_logs(&actor, &query, None, 50).await.unwrap().logs.len()).await;
    }
    let query = Query::parse("app:sshd", BEGIN).unwrap();
    let end = BEGIN.plus_micros(DAYS * DAY);
    measure("begin to follow", async || usize::from(casework.newest_log(&actor, &query, end).await.unwrap() > 0)).await;
    measure("what was stored since", async || casework.new_logs(&actor, &query, end, rows - 100).await.unwrap().logs.len()).await;
    measure("nothing was stored since", async || casework.new_logs(&actor, &query, end, rows).await.unwrap().logs.len()).await;
    measure("show one", async || usize::from(casework.log(&actor, rows / 2).await.unwrap().log.id == rows / 2)).await;
    store.close().await;
    connection.close().await.unwrap();
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap().unwrap();
}

async fn measure(what: &str, search: impl AsyncFn() -> usize) {
    let mut found = 0;
    let mut millis = Vec::new();
    for _ in 0..RUNS {
        let began = Instant::now();
        found = search().await;
        millis.push(began.elapsed().as_secs_f64() * 1e3);
    }
    millis.sort_by(f64::total_cmp);
    let what = if what.is_empty() { "(everything)" } else { what };
    println!("{what:<48} {found:>8} {:>10.1} {:>10.1}", millis[RUNS / 2], millis[RUNS - 1]);
}

/// Rows in the order of their times, spread evenly, with ids from 1 on.
async fn generate(store: &Store, connection: &mut sqlx::PgConnection, rows: i64) {
    for day in 0..DAYS {
        store.ensure_partition(BEGIN.day() + day).await.unwrap();
    }
    let (mut mixed, mut line) = (mixed::Mixed::new(256), Vec::new());
    let mut id = 0;
    while id < rows {
        let mut encoded = Rows::default();
        while encoded.len() < 20_000 && id < rows {
            id += 1;
            line.clear();
            mixed.write_line(&mut line, BEGIN.as_micros() / 1_000_000).unwrap();
            line.pop();
            let event_time = BEGIN.plus_micros((i128::from(DAYS * DAY) * i128::from(id - 1) / i128::from(rows)) as i64);
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
}
