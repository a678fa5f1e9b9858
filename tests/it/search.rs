//! Searching logs, against a real server and beside a plain filter over the same records.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use sqlx::{Connection as _, Executor as _};
use tocsin::casework::logs::{Cursor, MAX_PAGE, NewLine, NewLogs};
use tocsin::casework::{Actor, Casework, CaseworkError, Permission, Role, Via};
use tocsin::record::{EventType, LogRecord, Severity, Timestamp, Value};
use tocsin::store::Store;
use tocsin::store::copy::{COPY_LOGS, HEADER, RowMeta, Rows, TRAILER};
use tocsin::store::logs::Key;
use tocsin::store::query::{AddressField, Comparison, NamedValue, NumberField, Pattern, Query, Test, TextField};

use crate::support::{Daemon, Database, Server, casework, state_dir, wait_until};

/// 2026-11-20T12:00:00Z.
const NOON: Timestamp = Timestamp::from_secs(1_795_176_000);
const DAY: i64 = 86_400_000_000;

/// What attackers write, and what means something to PostgreSQL.
const HOSTILE: [&str; 24] = [
    "'; DROP TABLE logs; --",
    "' OR '1'='1",
    "%",
    "_",
    "\\",
    "\\\\%",
    "a%b",
    "a_b",
    "axb",
    "\\_",
    "\u{1b}[31mred\u{1b}[0m",
    "nul\0inside",
    "$.a ? (@ > 1)",
    "$1",
    "{}",
    "[\"x\"]",
    "\"quoted\"",
    "*",
    "web*",
    "É clair",
    "é CLAIR",
    "\u{202e}gnp.exe",
    "root",
    "Root",
];

struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn perhaps<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let n = self.below(of.len() + 2);
        of.get(n).copied()
    }
}

const ADDRESSES: [&str; 8] =
    ["10.0.0.1", "10.255.255.255", "11.0.0.0", "192.0.2.1", "192.0.2.129", "2001:db8::1", "2001:db9::1", "::"];
const PORTS: [u16; 6] = [0, 22, 80, 1023, 1024, 65_535];
const APPS: [&str; 4] = ["sshd", "sudo", "nginx", "s%d"];

struct Row {
    id: i64,
    event_time: Timestamp,
    record: LogRecord<'static>,
}

fn rows(first_id: i64, count: usize, chance: &mut Chance) -> Vec<Row> {
    let rows = (0..count).map(|i| {
        let words =
            [chance.one(&HOSTILE), chance.one(&["Failed Password for", "accepted", "invalid user"]), chance.one(&HOSTILE)];
        let mut record = LogRecord::text(words.join(" "));
        record.host = chance.perhaps(&["web1", "web2", "WEB1", "db", "w%b"]).map(Into::into);
        record.app = chance.perhaps(&APPS).map(Into::into);
        record.pid = chance.perhaps(&[1, 4242, 70_000]);
        record.event_type = chance.one(EventType::ALL);
        record.severity = chance.one(Severity::ALL);
        record.username = chance.perhaps(&HOSTILE).map(Into::into);
        record.src_ip = chance.perhaps(&ADDRESSES).map(|a| a.parse().unwrap());
        record.dst_ip = chance.perhaps(&ADDRESSES).map(|a| a.parse().unwrap());
        record.src_port = chance.perhaps(&PORTS);
        record.dst_port = chance.perhaps(&PORTS);
        record.protocol = chance.perhaps(&["tcp", "udp"]).map(Into::into);
        record.action = chance.perhaps(&["blocked", "pass"]).map(Into::into);
        if let Some(text) = chance.perhaps(&HOSTILE) {
            record.set("url.path", text);
        }
        if let Some(status) = chance.perhaps(&[200i64, 404, 500, -1]) {
            record.set("http.response.status_code", status);
        }
        if let Some(json) = chance.perhaps(&["[1, 2.5, \"two\", null]", "[]", "null", "true", "{\"a\": 1}", "\"500\"", "499.5"]) {
            record.set("any.thing", Value::Json(json.into()));
        }
        // Several at one time.
        let event_time = NOON.plus_micros(-(chance.below(60) as i64) * DAY / 20);
        Row { id: first_id + i as i64, event_time, record }
    });
    rows.collect()
}

fn os() -> Actor {
    Actor::operator("tester")
}

async fn insert(database: &Database, rows: &[Row]) {
    let store = Store::connect(database.options.clone()).await.unwrap();
    let mut encoded = Rows::default();
    for day in rows.iter().map(|row| row.event_time.day()).collect::<BTreeSet<_>>() {
        store.ensure_partition(day).await.unwrap();
    }
    for Row { id, event_time, record } in rows {
        let meta =
            RowMeta { id: *id, event_time: *event_time, received_at: NOON, source: "lan", frame: record.message.as_bytes() };
        encoded.push(record, &meta);
    }
    let mut connection = sqlx::PgConnection::connect_with(&database.options).await.unwrap();
    let mut copy = connection.copy_in_raw(COPY_LOGS).await.unwrap();
    for part in [HEADER, encoded.slice(0..rows.len()), TRAILER] {
        copy.send(part).await.unwrap();
    }
    copy.finish().await.unwrap();
}

/// As it is stored.
fn stored(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

/// Whether text has the pieces of a pattern in order, from its beginning to its end unless they may be `anywhere`.
fn fits(pattern: &Pattern, text: &str, anywhere: bool) -> bool {
    fn from(pieces: &[String], text: &str, is_free: bool, end_is_free: bool) -> bool {
        match pieces {
            [] => text.is_empty() || end_is_free,
            [piece, rest @ ..] => (0..=text.len()).filter(|at| text.is_char_boundary(*at) && (is_free || *at == 0)).any(|at| {
                let next = text[at..].strip_prefix(piece.as_str());
                next.is_some_and(|next| from(rest, next, !rest.is_empty(), end_is_free))
            }),
        }
    }
    from(pattern.pieces(), text, anywhere, anywhere)
}

fn compares<T: PartialOrd>(have: T, comparison: Comparison, want: T) -> bool {
    match comparison {
        Comparison::Equal => have == want,
        Comparison::Less => have < want,
        Comparison::AtMost => have <= want,
        Comparison::More => have > want,
        Comparison::AtLeast => have >= want,
    }
}

fn is_in(address: IpAddr, network: &str) -> bool {
    let (base, bits) = network.split_once('/').unwrap_or((network, "128"));
    let bits: u32 = bits.parse().unwrap();
    let starts_as = |have: &[u8], want: &[u8]| {
        (0..bits.min(have.len() as u32 * 8)).all(|bit| {
            let at = |bytes: &[u8]| bytes[bit as usize / 8] >> (7 - bit % 8) & 1;
            at(have) == at(want)
        })
    };
    match (address, base.parse::<IpAddr>().unwrap()) {
        (IpAddr::V4(have), IpAddr::V4(want)) => starts_as(&have.octets(), &want.octets()),
        (IpAddr::V6(have), IpAddr::V6(want)) => starts_as(&have.octets(), &want.octets()),
        _ => false,
    }
}

/// What a query means, said once more.
fn holds(test: &Test, row: &Row) -> bool {
    let record = &row.record;
    let of = |src: Option<u16>, dst: Option<u16>| [src, dst].into_iter().flatten().map(i64::from).collect::<Vec<_>>();
    let numbers = |field: &NumberField| match field {
        NumberField::Id => vec![row.id],
        NumberField::Pid => record.pid.map(i64::from).into_iter().collect(),
        NumberField::SrcPort => of(record.src_port, None),
        NumberField::DstPort => of(None, record.dst_port),
        NumberField::Port => of(record.src_port, record.dst_port),
    };
    let addresses = |field: &AddressField| match field {
        AddressField::SrcIp => vec![record.src_ip],
        AddressField::DstIp => vec![record.dst_ip],
        AddressField::Ip => vec![record.src_ip, record.dst_ip],
    };
    match test {
        Test::Message(patterns) => patterns.iter().any(|pattern| {
            let message = stored(&record.message);
            let is_ascii = pattern.pieces().iter().all(|piece| piece.is_ascii());
            let lower = |text: &str| if is_ascii { text.to_ascii_lowercase() } else { text.to_lowercase() };
            let mut rest = lower(&message);
            pattern.pieces().iter().all(|piece| {
                let Some(at) = rest.find(&lower(piece)) else { return false };
                rest = rest[at + lower(piece).len()..].to_owned();
                true
            })
        }),
        Test::Text(field, patterns) => {
            let value = match field {
                TextField::Source => Some("lan"),
                TextField::Host => record.host.as_deref(),
                TextField::App => record.app.as_deref(),
                TextField::Username => record.username.as_deref(),
                TextField::Protocol => record.protocol.as_deref(),
                TextField::Action => record.action.as_deref(),
            };
            value.is_some_and(|value| patterns.iter().any(|pattern| fits(pattern, &stored(value), false)))
        }
        Test::Number(field, wanted) => numbers(field).iter().any(|have| wanted.iter().any(|(c, n)| compares(*have, *c, *n))),
        Test::HasNumber(field) => !numbers(field).is_empty(),
        Test::Address(field, networks) => {
            addresses(field).into_iter().flatten().any(|have| networks.iter().any(|n| is_in(have, &n.to_string())))
        }
        Test::HasAddress(field) => addresses(field).into_iter().any(|have| have.is_some()),
        Test::Severity(wanted) => wanted.iter().any(|(c, severity)| compares(record.severity, *c, *severity)),
        Test::EventType(types) => types.contains(&record.event_type),
        Test::Named(name, wanted) => {
            let value = match record.field(name) {
                None => return false,
                Some(Value::Str(text)) => serde_json::Value::from(stored(text)),
                Some(Value::Int(number)) => serde_json::Value::from(*number),
                Some(Value::Json(text)) => serde_json::from_str(text).unwrap(),
                Some(other) => panic!("{other:?}"),
            };
            let entries = match value {
                serde_json::Value::Array(entries) => entries,
                single => vec![single],
            };
            entries.iter().any(|entry| {
                wanted.iter().any(|wanted| match (wanted, entry) {
                    (NamedValue::Text(_), serde_json::Value::Null) => false,
                    (NamedValue::Text(pattern), serde_json::Value::String(text)) => fits(pattern, text, false),
                    (NamedValue::Text(pattern), other) => fits(pattern, &other.to_string().replace(':', ": "), false),
                    (NamedValue::Number(c, number), serde_json::Value::Number(have)) => {
                        compares(have.as_f64().unwrap(), *c, number.as_str().parse::<f64>().unwrap())
                    }
                    (NamedValue::Number(..), _) => false,
                })
            })
        }
        Test::Is(_) => panic!("the records here are new"),
    }
}

fn found(query: &Query, rows: &[Row]) -> Vec<i64> {
    let is_in_range = |row: &Row| {
        query.range.from.is_none_or(|from| row.event_time >= from) && query.range.to.is_none_or(|to| row.event_time < to)
    };
    let all = |row: &&Row| is_in_range(row) && query.terms.iter().all(|term| holds(&term.test, row) != term.negated);
    let mut found: Vec<&Row> = rows.iter().filter(all).collect();
    found.sort_by_key(|row| std::cmp::Reverse(Key { event_time: row.event_time, id: row.id }));
    found.iter().map(|row| row.id).collect()
}

fn read(text: &str) -> Query {
    Query::parse(text, NOON).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// All pages of a query.
async fn pages(casework: &Casework, query: &Query, limit: u32) -> Vec<i64> {
    let (mut ids, mut cursor) = (Vec::new(), None::<Cursor>);
    loop {
        let page = casework.search_logs(&os(), query, cursor, limit).await.unwrap_or_else(|e| panic!("{query}: {e:?}"));
        ids.extend(page.logs.iter().map(|row| row.id));
        match page.next {
            Some(next) => cursor = Some(next.to_string().parse().unwrap()),
            None => return ids,
        }
    }
}

/// Quoted, as a value.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[tokio::test]
async fn every_field_and_operator_finds_what_a_plain_filter_finds() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let mut chance = Chance(7);
    let rows = rows(1, 700, &mut chance);
    insert(&database, &rows).await;
    let since = "from:2026-11-01";
    let mut queries: Vec<String> = [
        "",
        "failed password",
        "\"FAILED password\"",
        "-accepted",
        "fail*root",
        "message:*",
        "source:lan",
        "source:l*n,wan",
        "host:web1",
        "host:web*",
        "host:*b*,db",
        "-host:*",
        "user:root",
        "user:Root,root",
        "-user:root",
        "user:\"\"",
        "protocol:tcp -action:blocked",
        "pid:4242",
        "pid:>1",
        "-pid:<=4242",
        "src_port:22 dst_port:*",
        "port:>=1024",
        "port:22,80",
        "-port:<1024",
        "dst_port:0",
        "-src_port:*",
        "id:>=100 id:<200",
        "id:7,8,9,>650",
        "ip:192.0.2.1",
        "src_ip:10.0.0.0/8",
        "src_ip:192.0.2.0/25,2001:db8::/32",
        "-dst_ip:0.0.0.0/0",
        "ip:::/0",
        "ip:*",
        "-src_ip:*",
        "dst_ip:::,11.0.0.0",
        "severity:>=high",
        "severity:<high",
        "-severity:low,critical",
        "severity:>low severity:<=high",
        "event_type:login_failed,access_denied",
        "event_type:login_*",
        "-type:other",
        "http.response.status_code:404",
        "http.response.status_code:>=404",
        "http.response.status_code:<0",
        "-http.response.status_code:*",
        "any.thing:2.5",
        "any.thing:two,true",
        "any.thing:>1",
        "any.thing:<=499.5",
        "any.thing:500",
        "any.thing:*",
        "any.thing:\"{\\\"a\\\": 1}\"",
        "-any.thing:null",
        "fields.nowhere:x",
        "-no.where:x",
        "time:2026-11-19",
        "time:>2026-11-18 time:<=2026-11-19T12:00",
        "last:6h",
        "last:2d to:2026-11-20",
    ]
    .map(str::to_owned)
    .to_vec();
    for text in HOSTILE {
        let value = quoted(text);
        queries.extend([value.clone(), format!("-{value}"), format!("user:{value}"), format!("-user:{value}*,*{value}")]);
        queries.extend([format!("url.path:{value}"), format!("fields.{}:x,{value}*", "a.b"), format!("host:{value}")]);
    }
    // Terms of all of these, two and three at a time.
    let simple = queries.len();
    for _ in 0..300 {
        let terms: Vec<String> = (0..2 + chance.below(2)).map(|_| queries[chance.below(simple)].clone()).collect();
        queries.push(terms.join(" "));
    }
    let mut with_results = 0;
    for text in &queries {
        let text = if text.contains("last:") || text.contains("time:") { text.clone() } else { format!("{since} {text}") };
        // Two ranges of time may have nothing in common, which is an error.
        let Ok(query) = Query::parse(&text, NOON) else { continue };
        let want = found(&query, &rows);
        with_results += usize::from(!want.is_empty());
        assert_eq!(pages(&casework, &query, MAX_PAGE).await, want, "{query}");
    }
    assert!(with_results > queries.len() / 3, "{with_results} of {} find anything", queries.len());
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 700);
}

#[tokio::test]
async fn pages_hold_every_record_once_while_others_are_stored() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let mut chance = Chance(3);
    let first = rows(1, 100, &mut chance);
    insert(&database, &first).await;
    let query = read("from:2026-11-01 -user:nobody");
    let mut seen = Vec::new();
    let (mut cursor, mut next_id) = (None, 101);
    loop {
        let page = casework.search_logs(&os(), &query, cursor, 7).await.unwrap();
        assert!(page.logs.len() == 7 || page.next.is_none());
        seen.extend(page.logs.iter().map(|row| (row.event_time, row.id)));
        // Some of them before the place where the page ended, some after it.
        let more = rows(next_id, 5, &mut chance);
        insert(&database, &more).await;
        next_id += 5;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "in order, and none twice");
    let seen: BTreeSet<i64> = seen.into_iter().map(|(_, id)| id).collect();
    assert!((1..=100).all(|id| seen.contains(&id)), "none is left out");
    assert!(seen.len() > 100, "those that came after the place are found, too");
}

#[tokio::test]
async fn what_was_stored_since_is_found_once_and_in_order() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let mut chance = Chance(11);
    let old = rows(1, 20, &mut chance);
    insert(&database, &old).await;
    let query = read("from:2026-11-01 -app:sudo");
    let mut after = casework.newest_log(&os(), &query, NOON).await.unwrap();
    assert_eq!(after, 20);
    let (mut seen, mut want) = (Vec::new(), Vec::new());
    let mut next_id = 1_000;
    // The last lot is more than a page.
    for count in [0, 1, 30, 0, MAX_PAGE as usize * 2] {
        let more = rows(next_id, count, &mut chance);
        insert(&database, &more).await;
        let mut fitting = found(&query, &more);
        fitting.sort_unstable();
        want.extend(fitting);
        next_id += count as i64 + 10;
        loop {
            let NewLogs { logs, next, more } = casework.new_logs(&os(), &query, NOON, after).await.unwrap();
            assert!(logs.len() <= MAX_PAGE as usize);
            seen.extend(logs.iter().map(|row| row.id));
            after = next;
            if !more {
                break;
            }
        }
        assert_eq!(seen, want);
    }
    assert!(want.len() > 1_500);
}

#[tokio::test]
async fn a_search_that_takes_too_long_is_ended_and_says_what_to_do() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    insert(&database, &rows(1, 10, &mut Chance(1))).await;
    let query = read("from:2026-11-01 x");
    // Whoever locks the table makes it wait until its time is over, which is cut short from outside here.
    let mut transaction = database.pool.begin().await.unwrap();
    transaction.execute("LOCK TABLE logs IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let waiting = tokio::spawn({
        let casework = casework.clone();
        async move { casework.search_logs(&os(), &query, None, 10).await }
    });
    let mine =
        "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'SELECT l.id%'";
    database.wait_for(&format!("SELECT count(*) {mine}"), 1).await;
    let cancelled = database.column(&format!("SELECT pg_cancel_backend(pid) {mine}")).await;
    assert_eq!(cancelled, ["true"]);
    let error = waiting.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, CaseworkError::Invalid { field: "query", problem } if problem.contains("narrow the range")),
        "{error:?}"
    );
    transaction.rollback().await.unwrap();
    // It would have been: 30 s for each statement of a search.
    let mut reading = sqlx::PgConnection::connect_with(&database.options).await.unwrap();
    tocsin::store::logs::begin_search(&mut reading).await.unwrap();
    let limit: String = sqlx::query_scalar("SHOW statement_timeout").fetch_one(&mut reading).await.unwrap();
    assert_eq!(limit, "30s");
}

#[tokio::test]
async fn only_the_partitions_of_the_range_are_read() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    insert(&database, &rows(1, 300, &mut Chance(5))).await;
    let query = read("from:2026-11-19T01:00 to:2026-11-19T20:00 root");
    // Whoever holds another day's partition would stop a search that reads it.
    let mut transaction = database.pool.begin().await.unwrap();
    transaction.execute("LOCK TABLE ONLY logs_2026_11_18, logs_2026_11_20 IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let page = tokio::time::timeout(crate::support::PATIENCE, casework.search_logs(&os(), &query, None, 10)).await;
    assert!(page.expect("it waits for nobody").is_ok());
}

#[tokio::test]
async fn notes_and_archiving_leave_the_record_alone_and_are_audited() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let some = rows(1, 5, &mut Chance(9));
    insert(&database, &some).await;
    let before = database.column("SELECT to_jsonb(l) FROM logs l ORDER BY id").await;
    let all = read("from:2026-11-01");
    casework.annotate_log(&os(), 2, "  seen before\n\"'; DROP TABLE logs").await.unwrap();
    casework.annotate_log(&os(), 2, "again").await.unwrap();
    casework.archive_log(&os(), 3, Some("noise")).await.unwrap();
    assert_eq!(casework.search_logs(&os(), &all, None, 10).await.unwrap().logs.len(), 4);
    for (text, want) in
        [("is:archived", &[3][..]), ("is:annotated", &[2]), ("-is:archived", &[1, 2, 4, 5]), ("-is:annotated", &[1, 4, 5])]
    {
        let mut ids = pages(&casework, &read(&format!("from:2026-11-01 {text}")), 2).await;
        ids.sort_unstable();
        assert_eq!(ids, want, "{text}");
    }
    let details = casework.log(&os(), 2).await.unwrap();
    assert_eq!(details.notes.iter().map(|n| n.body.as_str()).collect::<Vec<_>>(), ["seen before\n\"'; DROP TABLE logs", "again"]);
    assert_eq!(casework.log(&os(), 3).await.unwrap().archived.unwrap().reason.as_deref(), Some("noise"));
    assert!(matches!(casework.archive_log(&os(), 3, None).await, Err(CaseworkError::Conflict(_))));
    casework.unarchive_log(&os(), 3).await.unwrap();
    assert!(matches!(casework.unarchive_log(&os(), 3).await, Err(CaseworkError::Conflict(_))));
    for missing in [
        casework.annotate_log(&os(), 99, "x").await.err(),
        casework.archive_log(&os(), 99, None).await.err(),
        casework.log(&os(), 99).await.err(),
    ] {
        assert!(matches!(missing, Some(CaseworkError::NotFound(_))), "{missing:?}");
    }
    assert!(matches!(casework.annotate_log(&os(), 2, "\u{1b}[2J").await, Err(CaseworkError::Invalid { field: "note", .. })));
    assert_eq!(
        database.column("SELECT action || ' ' || subject || ' ' || coalesce(reason, '') FROM audit_log ORDER BY id").await,
        ["log.annotate log:2 ", "log.annotate log:2 ", "log.archive log:3 noise", "log.unarchive log:3 "]
    );
    assert_eq!(casework.check_audit(&os(), None, &mut |_| {}).await.unwrap().tampered, None);
    assert_eq!(database.column("SELECT to_jsonb(l) FROM logs l ORDER BY id").await, before);
}

#[tokio::test]
async fn whoever_may_not_is_refused() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    insert(&database, &rows(1, 5, &mut Chance(9))).await;
    let of_role =
        |role| Actor { name: "ada".into(), role, via: Via::Api, address: None, user_id: None, must_change_password: false };
    let new = Actor { must_change_password: true, ..of_role(Role::Admin) };
    let all = read("from:2026-11-01");
    assert!(matches!(casework.search_logs(&new, &all, None, 10).await, Err(CaseworkError::MustChangePassword)));
    for role in Role::ALL {
        let actor = of_role(role);
        assert!(casework.search_logs(&actor, &all, None, 10).await.is_ok());
        assert!(casework.log(&actor, 1).await.is_ok());
        assert!(casework.new_logs(&actor, &all, NOON, 0).await.is_ok());
        let done = [
            casework.annotate_log(&actor, 1, "x").await,
            casework.archive_log(&actor, 1, None).await,
            casework.unarchive_log(&actor, 1).await,
        ];
        for done in done {
            assert_eq!(done.is_ok(), role.may(Permission::WriteLogs), "{role}: {done:?}");
            assert!(done.is_ok() || matches!(done, Err(CaseworkError::Forbidden { .. })));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_searches_shows_and_marks() {
    let database = Database::new().await;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("tocsin.toml");
    std::fs::write(&config, format!("state_dir = {:?}\n[database]\nurl = {:?}\n", dir.path().join("state"), database.url()))
        .unwrap();
    let command = |arguments: &[&str]| {
        let mut command = Command::new(crate::support::tocsin());
        command.args(["logs", "--config"]).arg(&config).args(arguments).env_remove("TOCSIN_TOKEN");
        command
    };
    let run = |arguments: &[&str]| {
        let output = command(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let mut some = rows(1, 60, &mut Chance(2));
    for row in &mut some {
        row.record.message = "\u{1b}[31mred".into();
    }
    insert(&database, &some).await;
    let (code, out, told) = run(&["red", "--from", "2026-11-01", "--json", "--limit", "10"]);
    assert_eq!((code, out.lines().count()), (0, 10), "{told}");
    let first: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(first["message"], "\u{1b}[31mred");
    let cursor = told.split_whitespace().last().unwrap();
    let (_, rest, told) = run(&["red", "--from", "2026-11-01", "--json", "--limit", "100", "--cursor", cursor]);
    assert_eq!((rest.lines().count(), told.as_str()), (50, ""), "the other ones, and no more");
    let (code, table, _) = run(&["--from", "2026-11-01", "--", "-host:nowhere"]);
    assert!(code == 0 && table.contains("\\u{1b}[31mred") && !table.contains('\u{1b}'), "{table}");
    let (code, _, told) = run(&["app:sshd", "usr:root"]);
    assert_eq!(code, 2);
    assert!(told.contains("did you mean \"user\"?") && told.ends_with("  app:sshd usr:root\n           ^\n"), "{told}");
    assert_eq!(run(&["--last", "soon"]).0, 2);
    assert_eq!(run(&["red", "--limmit", "5"]).0, 2);
    assert_eq!(run(&["--cursor", "x"]).0, 2);
    let id = first["id"].to_string();
    assert_eq!(run(&["annotate", &id, "looked at"]).0, 0);
    assert_eq!(run(&["archive", &id, "--reason", "noise"]).0, 0);
    let (code, shown, _) = run(&["show", &id]);
    assert!(code == 0 && shown.contains("looked at") && shown.contains("noise") && !shown.contains('\u{1b}'), "{shown}");
    let (_, shown, _) = run(&["show", &id, "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["log"], &shown["original"]), (&first, &first["message"]));
    assert_eq!(run(&["unarchive", &id]).0, 0);
    let (code, _, told) = run(&["show", "99999"]);
    assert!(code == 1 && told.contains("there is no log record 99999"), "{told}");
}

/// `tocsin logs --follow`, with the lines that it has written so far.
struct Follower {
    child: std::process::Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Follower {
    fn start(config: &Path, query: &[&str]) -> Follower {
        let mut command = Command::new(crate::support::tocsin());
        command.args(["logs", "--follow", "--json", "--from", "2026-11-01", "--config"]).arg(config).args(query);
        let mut child = command.env_remove("TOCSIN_TOKEN").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (lines, out) = (Arc::new(Mutex::new(Vec::new())), BufReader::new(child.stdout.take().unwrap()));
        let written = Arc::clone(&lines);
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| written.lock().unwrap().push(line)));
        Follower { child, lines }
    }

    fn ids(&self) -> Vec<i64> {
        let id = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_i64().unwrap();
        self.lines.lock().unwrap().iter().map(id).collect()
    }

    async fn has(&self, want: &[i64]) {
        wait_until(&format!("it shows {want:?}"), async || self.ids().len() >= want.len()).await;
        assert_eq!(self.ids(), want);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_follows_sees_each_record_once_though_the_database_restarts() {
    let server = Arc::new(tokio::task::spawn_blocking(Server::start).await.unwrap());
    let database = Database::on(Arc::clone(&server)).await;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("tocsin.toml");
    std::fs::write(&config, format!("state_dir = {:?}\n[database]\nurl = {:?}\n", dir.path().join("state"), database.url()))
        .unwrap();
    let at_noon = |id: i64| Row { id, event_time: NOON, record: LogRecord::text(if id % 2 == 0 { "even" } else { "odd" }) };
    insert(&database, &(1..=30).map(at_noon).collect::<Vec<_>>()).await;
    let follower = Follower::start(&config, &["even"]);
    let mut want: Vec<i64> = (12..=30).filter(|id| id % 2 == 0).collect();
    follower.has(&want).await;
    insert(&database, &(31..=40).map(at_noon).collect::<Vec<_>>()).await;
    want.extend([32, 34, 36, 38, 40]);
    follower.has(&want).await;
    server.embedded.crash().unwrap();
    let starting = Arc::clone(&server);
    wait_until("the server starts", async || starting.embedded.start_again().is_ok()).await;
    // One with a time of its own, before the others.
    let mut late = at_noon(42);
    late.event_time = NOON.plus_micros(-3 * DAY);
    insert(&database, &[late, at_noon(43), at_noon(44)]).await;
    want.extend([42, 44]);
    follower.has(&want).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_added_by_hand_passes_the_detectors_once() {
    let (database, state) = (Database::new().await, state_dir());
    let configuration = format!("[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n", database.url());
    let casework = casework(&database).await;
    let failed = |n: u32| NewLine {
        message: format!("Failed password for root from 192.0.2.1 port {n} ssh2"),
        time: None,
        host: Some("web1".into()),
        app: Some("sshd".into()),
    };
    // Before the daemon runs, and while it does.
    casework.add_log(&os(), &failed(1)).await.unwrap();
    let daemon = Daemon::start(state.path(), &configuration).await;
    for n in [2, 3] {
        casework.add_log(&os(), &failed(n)).await.unwrap();
    }
    database
        .wait_for("SELECT count(*) FROM logs WHERE source = 'manual' AND event_type = 'login_failed' AND username = 'root'", 3)
        .await;
    database.wait_for("SELECT count(*) FROM incidents WHERE detector = 'login_failures' AND event_count = 3", 1).await;
    // As after a crash between the journal and the note that it is there.
    database.wait_for("SELECT count(*) FROM added_logs WHERE taken_at IS NULL", 0).await;
    database.pool.execute("UPDATE added_logs SET taken_at = NULL").await.unwrap();
    casework.add_log(&os(), &NewLine { message: "after them".into(), ..NewLine::default() }).await.unwrap();
    database.wait_for("SELECT count(*) FROM logs WHERE message = 'after them'", 1).await;
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 4);
    let viewer = Actor { role: Role::Viewer, ..os() };
    assert!(matches!(casework.add_log(&viewer, &failed(9)).await, Err(CaseworkError::Forbidden { .. })));
    assert_eq!(database.number("SELECT count(*) FROM audit_log WHERE action = 'log.add'").await, 4);
    assert_eq!(daemon.stop().await.0, Some(0));
}
