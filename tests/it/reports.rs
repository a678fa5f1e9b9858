//! Roll-ups, reports and exports, against a real server.

use std::collections::BTreeMap;
use std::process::Command;

use sqlx::{Connection as _, Executor as _};
use tocsin::casework::export::Table;
use tocsin::casework::reports::{Count, Period, csv, page, sections};
use tocsin::casework::{Actor, Casework, CaseworkError, Role};
use tocsin::record::Timestamp;
use tocsin::record::text::is_treacherous;
use tocsin::store::Store;

use crate::support::{Daemon, Database, MISCOUNTED, casework, send_tcp, state_dir};

const EVERYTHING: (Timestamp, Timestamp) = (Timestamp::MIN, Timestamp::MAX);

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn os() -> Actor {
    Actor::operator("tester")
}

fn with_role(role: Role) -> Actor {
    Actor { name: role.to_string(), role, ..os() }
}

/// Log records over some days up to 2026-11-20, without those in the roll-ups: the first of each hour and the last, of several kinds.
async fn insert_logs(database: &Database) {
    let store = Store::connect(database.options.clone()).await.unwrap();
    for day in -20..1 {
        store.ensure_partition(at("2026-11-20T00:00:00Z").day() + day).await.unwrap();
    }
    store.close().await;
    database
        .pool
        .execute(
            "INSERT INTO logs (id, event_time, received_at, source, host, event_type, severity, message) \
             SELECT n, timestamptz '2026-11-20 12:00:00Z' - n * interval '19 minutes' - (n % 3) * interval '1 microsecond', now(), \
                 'source ' || n % 2, CASE WHEN n % 5 > 0 THEN 'host ' || n % 5 END, \
                 (enum_range(NULL::event_type))[1 + n % 16], (enum_range(NULL::severity))[1 + n % 4], 'message ' || n \
             FROM generate_series(1, 1500) n",
        )
        .await
        .unwrap();
}

/// As if the database had been set up before there were roll-ups, and were now opened again.
async fn set_up_again(database: &Database) {
    database.pool.execute("DROP TABLE log_rollups; DELETE FROM _sqlx_migrations WHERE version = 5").await.unwrap();
    Store::connect(database.options.clone()).await.unwrap().close().await;
}

/// More remote ends and accounts than are counted in memory: the database counts them.
#[tokio::test]
async fn the_worst_of_very_many_are_found() {
    const NAMES: i64 = 100_001;
    let database = Database::new().await;
    let casework = casework(&database).await;
    let insert = format!(
        "INSERT INTO incidents (number, title, severity, priority, reporter, group_values, event_count, usernames, created_at) \
         SELECT 'INC-2026-' || n, 'x', 'low', 'P4', 'tester', jsonb_build_object('src_ip', 'remote ' || n % {NAMES}), n % 7, \
             ARRAY['account ' || n % {NAMES}], timestamptz '2026-11-20 10:00:00Z' FROM generate_series(1, {NAMES} + 20) n"
    );
    database.pool.execute(sqlx::AssertSqlSafe(insert)).await.unwrap();
    let period = Period::days_until(7, at("2026-11-21T00:00:00Z"));
    let report = casework.report(&os(), period).await.unwrap();
    // The first twenty occur twice.
    let mut remotes: Vec<(i64, String)> = (1..=20).map(|n| (-(n % 7 + (n + NAMES) % 7), format!("remote {n}"))).collect();
    remotes.sort_unstable();
    let got: Vec<_> = report.top_sources.iter().map(|a| (-a.events, a.remote.clone())).collect();
    assert_eq!(got, remotes[..10]);
    let mut accounts: Vec<String> = (1..=20).map(|n| format!("account {n}")).collect();
    accounts.sort_unstable();
    assert_eq!(report.top_accounts.iter().map(|a| a.name.clone()).collect::<Vec<_>>(), accounts[..10]);
    assert!(report.top_sources.iter().all(|a| a.incidents == 2) && report.top_accounts.iter().all(|a| a.count == 2));
}

#[tokio::test]
async fn what_a_database_holds_already_is_counted_and_a_daemon_that_does_not_count_is_stopped() {
    let database = Database::new().await;
    insert_logs(&database).await;
    database
        .pool
        .execute(
            "INSERT INTO logs (id, event_time, received_at, source, host, event_type, severity, message) \
             SELECT 10000 + n, timestamptz '2026-11-20 11:30:00Z', now(), 'crowd', 'host ' || n, 'other', 'low', '' FROM generate_series(1, 1100) n",
        )
        .await
        .unwrap();
    database
        .pool
        .execute(
            "INSERT INTO logs (id, event_time, received_at, source, host, event_type, severity, message) \
        VALUES (20000, '2026-11-20 11:30:00Z', now(), 'long', repeat('ü', 1000), 'other', 'low', '')",
        )
        .await
        .unwrap();
    let store = Store::connect(database.options.clone()).await.unwrap();
    let old = store.take_over().await.unwrap();
    set_up_again(&database).await;
    let crowd = "SELECT count(*) || ' ' || sum(count) || ' ' || sum(count) FILTER (WHERE host = '*') FROM log_rollups WHERE source = 'crowd'";
    assert_eq!(database.column(crowd).await, ["1001 1100 100"]);
    assert_eq!(database.column("SELECT octet_length(host) FROM log_rollups WHERE source = 'long'").await, ["126"]);
    database
        .pool
        .execute("DELETE FROM logs WHERE id >= 10000; DELETE FROM log_rollups WHERE source IN ('crowd', 'long')")
        .await
        .unwrap();
    assert_eq!(database.number(MISCOUNTED).await, 0);
    assert_eq!(database.number("SELECT sum(count) FROM log_rollups").await, 1500);
    let epoch = database.number("SELECT epoch FROM positions WHERE input = 'pipeline'").await;
    assert_eq!(epoch, old.epoch + 1, "whoever has the old one can store nothing more");
}

/// Kills, a crash of the server and refused rows in between: `tests/it/recovery.rs` and `tests/chaos` do it at random.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roll_ups_are_what_somebody_would_count_who_counts_the_records() {
    let (database, state) = (Database::new().await, state_dir());
    Store::connect(database.options.clone()).await.unwrap().close().await;
    database.pool.execute("ALTER TABLE logs ADD CHECK (message NOT LIKE '%poison%')").await.unwrap();
    let configuration = format!("[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n", database.url());
    let mut sent = 0;
    for run in 0..3 {
        let daemon = Daemon::start(state.path(), &configuration).await;
        let mut lines = String::new();
        for n in 0..300 {
            let (host, hour) = (["fw", "-", "mail"][n % 3], n / 60);
            let said = [
                "Failed password for root from 192.0.2.7 port 22 ssh2",
                "poison",
                "Accepted password for ada from 192.0.2.8 port 22 ssh2",
            ];
            lines += &format!("<38>1 2026-11-20T0{hour}:59:59.999999Z {host} sshd {run} - - {}\n", said[n % 7 % 3]);
            sent += 1;
        }
        send_tcp(daemon.tcp(), lines.as_bytes()).await.unwrap();
        // In the middle of it, or not.
        daemon.kill();
    }
    let daemon = Daemon::start(state.path(), &configuration).await;
    database.wait_for("SELECT (SELECT count(*) FROM logs) + (SELECT count(*) FROM quarantine)", sent).await;
    assert!(database.number("SELECT count(*) FROM quarantine").await > 100);
    assert_eq!(database.number(MISCOUNTED).await, 0);
    assert_eq!(daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn a_weekly_summary_counts_each_once_wherever_the_week_begins() {
    let database = Database::new().await;
    insert_logs(&database).await;
    set_up_again(&database).await;
    database
        .pool
        .execute("INSERT INTO incidents (number, title, severity, priority, reporter, created_at) \
                  SELECT 'N' || n, '', 'low', 'P4', 'x', timestamptz '2026-11-20 12:00:00Z' - n * interval '1 hour' FROM generate_series(0, 300) n")
        .await
        .unwrap();
    for until in [
        "2026-11-20 12:00:00Z",
        "2026-11-20 11:59:59.999999Z",
        "2026-11-20 12:00:00.000001Z",
        "2026-11-14 03:20:00Z",
        "2026-11-20 11:41:00Z",
        "2020-01-01 00:00:00Z",
    ] {
        let counted = format!(
            "SELECT concat_ws(' ', total_logs, failed_logins, incidents, period_end - period_start) FROM weekly_summary('{until}')"
        );
        let plain = format!(
            "SELECT concat_ws(' ', (SELECT count(*) FROM logs WHERE event_time >= '{until}'::timestamptz - interval '7 days' AND event_time < '{until}'), \
             (SELECT count(*) FROM logs WHERE event_time >= '{until}'::timestamptz - interval '7 days' AND event_time < '{until}' AND event_type = 'login_failed'), \
             (SELECT count(*) FROM incidents WHERE created_at >= '{until}'::timestamptz - interval '7 days' AND created_at < '{until}'), interval '7 days')"
        );
        assert_eq!(database.column(&counted).await, database.column(&plain).await, "{until}");
    }
}

/// An incident, as a test knows it.
struct Known {
    number: String,
    severity: &'static str,
    category: &'static str,
    status: &'static str,
    detector: Option<&'static str>,
    vector: Option<&'static str>,
    remote: Option<String>,
    events: i64,
    usernames: Vec<String>,
    /// All in seconds: since 1970, then since it was opened.
    created: i64,
    seen_before: Option<i64>,
    acknowledged: Option<i64>,
    resolved: Option<i64>,
    lesson: Option<String>,
}

const END: &str = "2026-11-20T12:00:00Z";

fn incidents() -> Vec<Known> {
    let end = at(END).as_micros() / 1_000_000;
    let mut chance = crate::story::Chance::new(7);
    let mut below = |n: usize| chance.below(n);
    (0..400)
        .map(|n| {
            let ended = below(2) == 0;
            Known {
                number: format!("INC-2026-{n:06}"),
                severity: ["low", "medium", "high", "critical"][below(4)],
                category: ["intrusions", "intrusion-attempts", "fraud"][below(3)],
                status: if ended { ["resolved", "false_positive"][below(2)] } else { ["open", "investigating"][below(2)] },
                detector: [Some("brute_force"), Some("login_spike"), None][below(3)],
                vector: [Some("network"), Some("email"), None][below(3)],
                remote: [Some(format!("192.0.2.{}", below(20))), None][below(4) / 3].clone(),
                events: below(100) as i64,
                usernames: (0..below(4)).map(|k| format!("user {}", (n + k) % 15)).collect(),
                // Some before the period, and some after it.
                created: end + 3_600 - below(12 * 86_400) as i64,
                seen_before: [Some(below(7_200) as i64 - 60), None][below(5) / 4],
                acknowledged: [Some(below(4_000) as i64), None][below(2)],
                resolved: ended.then(|| below(500_000) as i64),
                lesson: (ended && below(3) == 0).then(|| format!("lesson {n}")),
            }
        })
        .collect()
}

async fn insert_incidents(database: &Database, incidents: &[Known]) {
    let time = |secs: i64| format!("to_timestamp({secs})");
    let optional = |text: Option<String>| text.unwrap_or_else(|| "NULL".into());
    let quoted = |text: &str| format!("'{text}'");
    for i in incidents {
        let group = i.remote.as_ref().map(|remote| format!("jsonb_build_object('src_ip', '{remote}')"));
        let usernames: Vec<String> = i.usernames.iter().map(|u| quoted(u)).collect();
        let sql = format!(
            "INSERT INTO incidents (number, title, severity, category, status, priority, reporter, detector, group_key, attack_vector, group_values, \
                 event_count, usernames, created_at, first_seen, acknowledged_at, resolved_at, lessons_learned) \
             VALUES ('{}', 'title', '{}', '{}', '{}', 'P4', 'x', {}, {}, {}, {}, {}, ARRAY[{}]::text[], {}, {}, {}, {}, {})",
            i.number,
            i.severity,
            i.category,
            i.status,
            optional(i.detector.map(quoted)),
            optional(i.detector.map(|_| quoted(&i.number))),
            optional(i.vector.map(quoted)),
            optional(group),
            i.events,
            usernames.join(","),
            time(i.created),
            optional(i.seen_before.map(|secs| time(i.created - secs))),
            optional(i.acknowledged.map(|secs| time(i.created + secs))),
            optional(i.resolved.map(|secs| time(i.created + secs))),
            optional(i.lesson.as_deref().map(quoted)),
        );
        database.pool.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }
}

/// Between the two values next to it, as the definition has it.
fn percentile(values: &[i64], p: f64) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_unstable();
    let at = p * (values.len().checked_sub(1)? as f64);
    let (low, high) = (values[at.floor() as usize] as f64, values[at.ceil() as usize] as f64);
    Some(low + (high - low) * at.fract())
}

fn counted(counts: &[Count]) -> BTreeMap<&str, i64> {
    let by_name: BTreeMap<&str, i64> = counts.iter().map(|c| (c.name.as_str(), c.count)).collect();
    assert_eq!(by_name.len(), counts.len(), "no name twice");
    by_name
}

fn count_by<'k>(incidents: &[&'k Known], key: impl Fn(&'k Known) -> &'k str) -> BTreeMap<&'k str, i64> {
    let mut counts = BTreeMap::new();
    incidents.iter().for_each(|i| *counts.entry(key(i)).or_default() += 1);
    counts
}

#[tokio::test]
async fn each_figure_of_a_report_is_what_a_plain_computation_comes_to() {
    let database = Database::new().await;
    insert_logs(&database).await;
    set_up_again(&database).await;
    let all = incidents();
    insert_incidents(&database, &all).await;
    let casework = casework(&database).await;
    let (from, to) = (at("2026-11-13T09:30:00Z"), at(END));
    let report = casework.report(&with_role(Role::Viewer), Period::new(from, to).unwrap()).await.unwrap();
    assert_eq!((report.from, report.to), (at("2026-11-13T09:00:00Z"), to), "whole hours");

    let secs = |time: Timestamp| time.as_micros() / 1_000_000;
    let within = |time: i64, from: Timestamp, to: Timestamp| (secs(from)..secs(to)).contains(&time);
    let opened: Vec<&Known> = all.iter().filter(|i| within(i.created, report.from, report.to)).collect();
    assert!(opened.len() > 100 && opened.len() < 350, "{}", opened.len());
    let severities = count_by(&opened, |i| i.severity);
    assert_eq!(counted(&report.incidents_by_severity), severities);
    assert_eq!(report.incidents_by_severity[0].name, "critical");
    assert_eq!(counted(&report.incidents_by_category), count_by(&opened, |i| i.category));
    assert_eq!(counted(&report.incidents_by_status), count_by(&opened, |i| i.status));
    assert_eq!(counted(&report.incidents_by_detector), count_by(&opened, |i| i.detector.unwrap_or("reported by people")));
    assert_eq!(counted(&report.incidents_by_attack_vector), count_by(&opened, |i| i.vector.unwrap_or("unknown")));
    let day = |secs: i64| tocsin::store::ledger::day_name(secs / 86_400);
    let days: Vec<String> = opened.iter().map(|i| day(i.created)).collect();
    let listed: Vec<(String, i64)> = (0..8)
        .map(|n| day(secs(from) + n * 86_400))
        .map(|name| (name.clone(), days.iter().filter(|day| **day == name).count() as i64))
        .collect();
    assert_eq!(report.incidents_by_day.iter().map(|c| (c.name.clone(), c.count)).collect::<Vec<_>>(), listed);

    for (spread, get) in [
        (report.time_to_detect, (|i| i.seen_before.map(|secs| secs.max(0))) as fn(&Known) -> Option<i64>),
        (report.time_to_acknowledge, |i| i.acknowledged),
        (report.time_to_resolve, |i| i.resolved),
    ] {
        let values: Vec<i64> = opened.iter().filter_map(|i| get(i)).collect();
        assert_eq!(spread.incidents, values.len() as i64);
        for (got, p) in [(spread.median_secs, 0.5), (spread.p90_secs, 0.9)] {
            let (got, want) = (got.unwrap(), percentile(&values, p).unwrap());
            assert!((got - want).abs() < 1e-3, "{got} {want}");
        }
    }

    let mut remotes: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for (i, remote) in opened.iter().filter_map(|i| Some((i, i.remote.as_deref()?))) {
        let at = remotes.entry(remote).or_default();
        *at = (at.0 + 1, at.1 + i.events);
    }
    let mut remotes: Vec<_> = remotes.into_iter().map(|(remote, (n, events))| (-n, -events, remote)).collect();
    remotes.sort_unstable();
    let got: Vec<_> = report.top_sources.iter().map(|a| (-a.incidents, -a.events, a.remote.as_str())).collect();
    assert_eq!(got, remotes[..10]);
    let mut accounts: BTreeMap<&str, i64> = BTreeMap::new();
    opened.iter().flat_map(|i| &i.usernames).for_each(|name| *accounts.entry(name).or_default() += 1);
    let mut accounts: Vec<_> = accounts.into_iter().map(|(name, n)| (-n, name)).collect();
    accounts.sort_unstable();
    assert_eq!(report.top_accounts.iter().map(|a| (-a.count, a.name.as_str())).collect::<Vec<_>>(), accounts[..10]);
    let mut lessons: Vec<&Known> = all.iter().filter(|i| i.lesson.is_some()).collect();
    lessons.retain(|i| i.resolved.is_some_and(|secs| within(i.created + secs, report.from, report.to)));
    assert_eq!(report.lessons_learned_total, lessons.len() as i64);
    assert_eq!(report.lessons_learned.len(), lessons.len().min(50));
    assert!(
        report
            .lessons_learned
            .iter()
            .all(|l| lessons.iter().any(|i| i.number == l.incident && i.lesson.as_ref() == Some(&l.lessons_learned)))
    );

    let plain = async |what: &str, from: Timestamp, to: Timestamp| {
        let sql = format!("SELECT {what}, count(*) FROM logs WHERE event_time >= '{from}' AND event_time < '{to}' GROUP BY 1");
        let rows: Vec<(String, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(&database.pool).await.unwrap();
        rows.into_iter().collect::<BTreeMap<String, i64>>()
    };
    let owned =
        |counts: &[Count]| -> BTreeMap<String, i64> { counted(counts).into_iter().map(|(n, c)| (n.to_owned(), c)).collect() };
    let types = plain("event_type::text", report.from, report.to).await;
    assert_eq!(owned(&report.logs_by_event_type), types);
    assert!(report.logs_by_event_type.is_sorted_by_key(|c| -c.count));
    assert_eq!(owned(&report.logs_by_severity), plain("severity::text", report.from, report.to).await);
    let days = plain("to_char(event_time AT TIME ZONE 'UTC', 'YYYY-MM-DD')", report.from, report.to).await;
    assert_eq!(owned(&report.logs_by_day), days);
    let senders = plain("source || '|' || coalesce(host, '')", report.from, report.to).await;
    let got: BTreeMap<String, i64> =
        report.top_senders.iter().map(|s| (format!("{}|{}", s.source, s.host), s.log_records)).collect();
    assert_eq!(got, senders, "all ten of them");
    assert!(report.top_senders.is_sorted_by_key(|s| -s.log_records));
    let before = (report.from.plus_micros(report.from.micros_since(report.to)), report.from);
    for (totals, (from, to)) in [(report.totals, (report.from, report.to)), (report.totals_before, before)] {
        let types = plain("event_type::text", from, to).await;
        assert_eq!(totals.log_records, types.values().sum::<i64>());
        assert_eq!(totals.failed_logins, types["login_failed"]);
        assert_eq!(totals.incidents, all.iter().filter(|i| within(i.created, from, to)).count() as i64);
    }

    database.pool.execute("INSERT INTO incident_tasks (incident_id, title, status, due_at, created_by, created_at) \
        SELECT id, 'task ' || id, (ARRAY['open', 'in_progress', 'done', 'cancelled'])[1 + id % 4], now() + (id - 200) * interval '1 minute', 'x', now() \
        FROM incidents").await.unwrap();
    let report = casework.report(&os(), Period::new(from, to).unwrap()).await.unwrap();
    let overdue = database
        .column(
            "SELECT i.number FROM incident_tasks t JOIN incidents i ON i.id = incident_id \
        WHERE t.status IN ('open', 'in_progress') AND due_at < now() ORDER BY due_at",
        )
        .await;
    assert_eq!(report.overdue_tasks_total, overdue.len() as i64);
    assert_eq!(report.overdue_tasks.iter().map(|t| t.incident.as_str()).collect::<Vec<_>>(), overdue[..50]);
}

#[tokio::test]
async fn a_report_of_nothing_is_one_too() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let report = casework.report(&os(), Period::days_until(7, at(END))).await.unwrap();
    assert_eq!((report.totals.log_records, report.incidents_by_day.len()), (0, 8));
    assert_eq!(report.time_to_resolve.median_secs, None);
    assert!(page("T", &report).contains("</html>") && !page("T", &report).contains("NaN"));
    assert!(sections(&report).iter().all(|s| s.rows.iter().all(|row| row.len() == s.head.len())));
}

/// Text that attacks whoever shows it. PostgreSQL takes no NUL; on its way in it becomes U+2400.
const HOSTILE: &[&str] = &[
    "=cmd|' /C calc'!A0",
    "+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " \u{a0}\"=1",
    "''@x",
    "\u{ff1d}1",
    "a,\"b\"\r\nc",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "</svg></table>&amp;",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "\u{9b}31m",
    "\u{202e}gnp.exe",
    "\u{feff}\u{200b}\u{2066}",
    "nul \u{2400}",
    "",
    "'",
    "gr\u{fc}n \u{1f600}",
];

/// A record for each hostile text, with it in every column that takes text.
async fn insert_hostile(database: &Database) {
    let store = Store::connect(database.options.clone()).await.unwrap();
    store.ensure_partition(at("2026-11-20T00:00:00Z").day()).await.unwrap();
    store.close().await;
    for (n, text) in HOSTILE.iter().enumerate() {
        let n = n as i64 + 1;
        for sql in [
            "INSERT INTO logs (id, event_time, received_at, source, host, app, event_type, severity, username, protocol, action, message, raw, fields) \
             VALUES ($1, timestamptz '2026-11-20 10:00:00Z' + $1 * interval '1 second', now(), $2, $2, $2, 'other', 'low', $2, $2, $2, $2, \
                     convert_to($2, 'UTF8') || '\\xff00'::bytea, jsonb_build_object('field', $2))",
            "INSERT INTO log_rollups VALUES ('2026-11-20 10:00:00Z', $2, $2, 'other', 'low', $1)",
            "INSERT INTO incidents (id, number, title, description, severity, priority, priority_reason, category, kind, attack_vector, technique, reporter, \
                 assignee, detector, group_key, group_values, usernames, affected, created_at, resolved_at, resolution, root_cause, lessons_learned) \
             VALUES ($1, $2, $2, $2, 'low', 'P4', $2, $2, $2, $2, $2, $2, $2, $2, $2, jsonb_build_object('src_host', $2), ARRAY[$2], ARRAY[$2], \
                     timestamptz '2026-11-20 10:00:00Z' + $1 * interval '1 second', '2026-11-20 11:00:00Z', $2, $2, $2)",
            "INSERT INTO incident_tasks (id, incident_id, title, assignee, due_at, created_by, created_at) OVERRIDING SYSTEM VALUE \
             VALUES ($1, $1, $2, $2, '2026-11-20 10:00:00Z', $2, timestamptz '2026-11-20 10:00:00Z' + $1 * interval '1 second')",
            // None has no value.
            "WITH o AS (INSERT INTO observables (kind, value) VALUES ('user', CASE WHEN $2 = '' THEN 'x' ELSE $2 END) RETURNING id) \
             INSERT INTO incident_observables (incident_id, observable_id, tlp, comment, added_by, added_at) \
             SELECT $1, id, 'red', $2, $2, timestamptz '2026-11-20 10:00:00Z' + $1 * interval '1 second' FROM o",
        ] {
            sqlx::query(sql).bind(n).bind(*text).execute(&database.pool).await.unwrap();
        }
    }
}

/// Reads CSV as RFC 4180 has it, and strictly: a quoted cell, or one without anything that would have to be quoted.
fn read_csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut rest = text.chars().peekable();
    while rest.peek().is_some() {
        cell.clear();
        if rest.next_if_eq(&'"').is_some() {
            loop {
                match rest.next().expect("a quote that ends the cell") {
                    '"' if rest.next_if_eq(&'"').is_some() => cell.push('"'),
                    '"' => break,
                    c => cell.push(c),
                }
            }
        } else {
            while let Some(c) = rest.next_if(|c| !matches!(c, ',' | '\r' | '"')) {
                cell.push(c);
            }
        }
        row.push(cell.clone());
        match rest.next().expect("a line that ends") {
            ',' => {}
            '\r' => {
                assert_eq!(rest.next(), Some('\n'));
                rows.push(std::mem::take(&mut row));
            }
            other => panic!("{other:?} after a cell of {text:?}"),
        }
    }
    rows
}

/// What a spreadsheet must not be given, and a terminal neither.
fn assert_harmless(cell: &str) {
    assert!(!cell.chars().any(is_treacherous), "{cell:?}");
    let inner = cell.trim_start_matches(|c: char| c.is_whitespace() || c == '"');
    assert!(!inner.starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']), "{cell:?}");
}

/// The cell that a hostile text becomes.
fn as_cell(text: &str) -> String {
    let visible = tocsin::record::text::visible(text);
    let first = text.chars().find(|c| !c.is_whitespace() && !matches!(c, '\'' | '"'));
    if first.is_some_and(|c| "=+-@\u{ff1d}".contains(c)) { format!("'{visible}") } else { visible }
}

async fn export(casework: &Casework, actor: &Actor, table: Table) -> Result<Vec<Vec<String>>, CaseworkError> {
    let mut out = Vec::new();
    let rows = casework.export(actor, table, EVERYTHING, &mut out, &mut |_| {}).await?;
    let read = read_csv(&String::from_utf8(out).unwrap());
    assert_eq!(read.len() as u64, rows + 1);
    Ok(read)
}

#[tokio::test]
async fn hostile_text_harms_nobody_in_whatever_column_it_is() {
    let database = Database::new().await;
    insert_hostile(&database).await;
    let casework = casework(&database).await;
    for (table, text_columns) in [(Table::Logs, 7), (Table::Incidents, 17), (Table::Tasks, 4), (Table::Observables, 5)] {
        let rows = export(&casework, &os(), table).await.unwrap();
        for (row, hostile) in rows[1..].iter().zip(HOSTILE) {
            assert_eq!(row.len(), rows[0].len());
            row.iter().for_each(|cell| assert_harmless(cell));
            let cell = as_cell(hostile);
            let mut same = row.iter().filter(|c| **c == cell).count();
            if hostile.is_empty() {
                // As those that are NULL.
                assert!(same >= text_columns);
                same = text_columns;
            }
            assert_eq!(same, text_columns, "{hostile:?} in {row:?}");
        }
        if table == Table::Logs {
            let raw = rows[0].iter().position(|name| name == "raw").unwrap();
            assert_eq!(rows[1][raw], "'=cmd|' /C calc'!A0\\xFF\u{2400}");
            let fields = rows[0].iter().position(|name| name == "fields").unwrap();
            assert_eq!(rows[11][fields], "{\"field\": \"<script>alert(1)</script>\"}");
        }
    }
    let report = casework.report(&os(), Period::new(at("2026-11-20T09:00:00Z"), at(END)).unwrap()).await.unwrap();
    assert_eq!((report.lessons_learned.len(), report.overdue_tasks.len()), (HOSTILE.len() - 1, HOSTILE.len()));
    for row in read_csv(&String::from_utf8(csv(&report)).unwrap()) {
        assert_eq!(row.len(), 4);
        row.iter().for_each(|cell| assert_harmless(cell));
    }
    let page = page("=T<script>", &report);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("\\u{202e}gnp.exe"));
    assert!(!page.chars().any(|c| is_treacherous(c) && c != '\n'));
    // Every tag is one of ours, with attributes of ours.
    let ours = [
        "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "section", "svg", "desc", "text",
        "rect", "line", "details", "summary", "table", "caption", "thead", "tbody", "tr", "th", "td",
    ];
    let mut open = Vec::new();
    for tag in page.split('<').skip(1).map(|piece| piece.split('>').next().unwrap()) {
        let name = tag.trim_start_matches('/').trim_end_matches('/').split([' ', '\n']).next().unwrap();
        assert!(ours.contains(&name), "<{tag}>");
        assert!(!tag.contains("onerror") && !tag.contains("src=") && !tag.contains("href"), "<{tag}>");
        match tag {
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name), "<{tag}>"),
            _ if tag.ends_with('/') || matches!(name, "!DOCTYPE" | "meta") => {}
            _ => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    // Behind each chart there is a table of the same.
    assert_eq!(page.matches("<svg role=\"img\"").count(), page.matches("<details>").count());
    assert!(page.matches("<svg").count() >= 10 && !page.contains("<script"));
}

#[tokio::test]
async fn who_may_not_gets_nothing_and_whoever_exports_is_in_the_audit_log() {
    let database = Database::new().await;
    insert_hostile(&database).await;
    let casework = casework(&database).await;
    for table in Table::ALL {
        let refused = export(&casework, &with_role(Role::Viewer), table).await;
        assert!(matches!(refused, Err(CaseworkError::Forbidden { .. })));
        assert!(casework.rows_to_export(&with_role(Role::Viewer), table, EVERYTHING).await.is_err());
    }
    let unsettled = Actor { must_change_password: true, ..os() };
    let week = Period::days_until(7, at(END));
    assert!(matches!(casework.report(&unsettled, week).await, Err(CaseworkError::MustChangePassword)));
    assert_eq!(database.number("SELECT count(*) FROM audit_log").await, 0);
    let ada = Actor { name: "ada".into(), ..with_role(Role::Analyst) };
    let (from, to) = (at("2026-11-20T10:00:02Z"), at("2026-11-20T10:00:05Z"));
    assert_eq!(casework.rows_to_export(&ada, Table::Incidents, (from, to)).await.unwrap(), 3);
    let mut out = Vec::new();
    assert_eq!(casework.export(&ada, Table::Incidents, (from, to), &mut out, &mut |_| {}).await.unwrap(), 3);
    let wrong = casework.export(&ada, Table::Logs, (to, from), &mut out, &mut |_| {}).await;
    assert!(matches!(wrong, Err(CaseworkError::Invalid { field: "to", .. })));
    // Nobody reads what comes out.
    let (mut out, reader) = tokio::io::duplex(1);
    drop(reader);
    let broken = casework.export(&ada, Table::Tasks, EVERYTHING, &mut out, &mut |_| {}).await;
    assert!(matches!(broken, Err(CaseworkError::Output(_))), "{broken:?}");
    let audited = "SELECT concat_ws('|', actor, action, subject, new->>'from', new->>'to', new->>'rows', new->>'complete') FROM audit_log ORDER BY id";
    assert_eq!(
        database.column(audited).await[..2],
        [
            "ada|export.begin|export:incidents|2026-11-20T10:00:02Z|2026-11-20T10:00:05Z",
            "ada|export.end|export:incidents|2026-11-20T10:00:02Z|2026-11-20T10:00:05Z|3|true",
        ]
    );
    let broken = database.column(audited).await;
    assert_eq!(broken.len(), 4);
    assert!(broken[3].starts_with("ada|export.end|export:tasks|") && broken[3].ends_with("|false"), "{broken:?}");
    assert_eq!(casework.check_audit(&os(), None, &mut |_| {}).await.unwrap().tampered, None);
}

#[tokio::test]
async fn more_rows_than_are_in_memory_at_a_time_come_out_once_and_in_order() {
    let database = Database::new().await;
    insert_logs(&database).await;
    database
        .pool
        .execute(
            "INSERT INTO logs (id, event_time, received_at, source, event_type, severity, message) \
             SELECT 100000 + n, timestamptz '2026-11-20 00:00:00Z' + (n % 1000) * interval '1 second', now(), 's', 'other', 'low', repeat('x', 200) \
             FROM generate_series(1, 10000) n",
        )
        .await
        .unwrap();
    let casework = casework(&database).await;
    let mut told = Vec::new();
    let mut out = Vec::new();
    casework.export(&os(), Table::Logs, EVERYTHING, &mut out, &mut |rows| told.push(rows)).await.unwrap();
    assert!(told.len() > 5 && told.is_sorted() && *told.last().unwrap() == 11_500, "{told:?}");
    let ids: Vec<String> =
        read_csv(std::str::from_utf8(&out).unwrap()).into_iter().skip(1).map(|mut row| row.remove(0)).collect();
    assert_eq!(ids, database.column("SELECT id FROM logs ORDER BY event_time, id").await);
}

/// The same from the command line.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_reports_and_exports() {
    let (database, dir) = (Database::new().await, tempfile::tempdir().unwrap());
    insert_hostile(&database).await;
    let config = dir.path().join("tocsin.toml");
    std::fs::write(&config, format!("state_dir = {:?}\n[database]\nurl = {:?}\n", dir.path().join("state"), database.url()))
        .unwrap();
    let run_as = |arguments: &str, token: Option<&str>| {
        let mut command = Command::new(crate::support::tocsin());
        command.args(arguments.split(' ')).arg("--config").arg(&config).current_dir(dir.path()).env_remove("TOCSIN_TOKEN");
        token.into_iter().for_each(|token| {
            command.env("TOCSIN_TOKEN", token);
        });
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let run = |arguments: &str| run_as(arguments, None);
    let week = "report weekly --until 2026-11-20T11:30:00Z";
    let (code, text, told) = run(week);
    assert_eq!(code, 0, "{told}");
    assert!(text.contains("Incidents by severity") && !text.chars().any(|c| is_treacherous(c) && c != '\n'), "{text}");
    let report: serde_json::Value = serde_json::from_str(&run(&format!("{week} --json")).1).unwrap();
    assert_eq!((&report["from"], &report["to"]), (&"2026-11-13T12:00:00Z".into(), &"2026-11-20T12:00:00Z".into()));
    assert_eq!(report["totals"]["incidents"], HOSTILE.len());
    let metrics = run("report metrics --from 2026-11-13T12:00:00Z --to 2026-11-20T12:00:00Z --json").1;
    let mut metrics: serde_json::Value = serde_json::from_str(&metrics).unwrap();
    metrics["made_at"] = report["made_at"].clone();
    assert_eq!(metrics, report, "a week is a period like any other");
    assert!(read_csv(&run(&format!("{week} --csv")).1).len() > 50);
    assert_eq!(run(&format!("{week} --html week.html")).0, 0);
    assert!(std::fs::read_to_string(dir.path().join("week.html")).unwrap().starts_with("<!DOCTYPE html>"));
    let (code, _, told) = run(&format!("{week} --html week.html"));
    assert!(code == 1 && told.contains("--force"), "{told}");
    assert_eq!(run("report metrics --from 2026-11-20 --to 2026-11-20").0, 2);
    assert_eq!(run("report metrics --from tomorrow").0, 2);

    let (code, out, told) = run("export logs --json");
    assert_eq!(code, 0, "{told}");
    let done: serde_json::Value = serde_json::from_str(&out).unwrap();
    let name = done["file"].as_str().unwrap();
    assert!(name.starts_with("tocsin-logs-20") && name.len() == "tocsin-logs-2026-11-21.csv".len(), "{name}");
    let written = std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!((read_csv(&written).len(), done["rows"].as_u64()), (HOSTILE.len() + 1, Some(HOSTILE.len() as u64)));
    let (code, _, told) = run(&format!("export incidents --output {name}"));
    assert!(code == 1 && told.contains("is there already"), "{told}");
    assert_eq!(std::fs::read_to_string(dir.path().join(name)).unwrap(), written);
    assert_eq!(run(&format!("export tasks --output {name} --force")).0, 0);
    let (code, out, told) = run("export tasks --output - --from 2026-11-20 --to 2026-11-20T10:00:03Z");
    assert_eq!((code, read_csv(&out).len()), (0, 3), "{told}");
    let (code, out, told) = run("export observables --output -");
    assert_eq!((code, out.lines().next()), (0, Some("incident,title,kind,value,tlp,comment,log_id,added_by,added_at")), "{told}");
    assert_eq!(run("export users").0, 2);
    assert_eq!(run("export logs --from 2026-11-20 --to 2026-11-19").0, 2);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".part")), "{left:?}");

    // A viewer's token.
    assert_eq!(run("user add eve --role viewer").0, 0);
    let token = run("token add t --user eve").1;
    let mut connection = sqlx::PgConnection::connect_with(&database.options).await.unwrap();
    connection.execute("UPDATE users SET must_change = false").await.unwrap();
    let (code, _, told) = run_as("export logs --output viewer.csv", Some(token.trim()));
    assert!(code == 1 && told.contains("eve (viewer) may not export data"), "{told}");
    assert!(!dir.path().join("viewer.csv").exists());
    assert_eq!(run_as(week, Some(token.trim())).0, 0);
}
