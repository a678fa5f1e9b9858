//! Service levels over incidents in the database: what is due, who is late, what was kept.

use std::future::ready;

use sqlx::Executor;
use tocsin::casework::assets::{AssetEdit, NewAsset};
use tocsin::casework::incidents::{IncidentEdit, NewIncident};
use tocsin::casework::levels::DueFilter;
use tocsin::casework::reports::Period;
use tocsin::casework::users::NewUser;
use tocsin::casework::{Actor, Casework, CaseworkError, Role, Settings};
use tocsin::record::case::{Category, Criticality, Priority, Status};
use tocsin::record::incident::IncidentChange;
use tocsin::record::levels::{Counts, Levels};
use tocsin::record::{Severity, Timestamp};
use tocsin::store::copy::Rows;
use tocsin::store::{Connection, Store, Transaction, Writer};

use crate::store::{at, change, never_refused, rows, transaction};
use crate::support::{Daemon, Database, casework, send_tcp, state_dir, wait_until};

const HOUR: i64 = 3_600_000_000;

fn os() -> Actor {
    Actor::operator("tester")
}

/// Casework in which all time counts, so that it does not matter when a test runs.
async fn around_the_clock(database: &Database) -> Casework {
    let mut levels = Levels::default();
    levels.levels.iter_mut().for_each(|level| level.counts = Counts::Always);
    let settings = Settings { levels, ..Settings::default() };
    Casework::new(Store::connect(database.options.clone()).await.unwrap(), settings)
}

async fn open(casework: &Casework, title: &str, severity: Severity) -> String {
    let (title, description) = (title.to_owned(), String::new());
    let new = NewIncident { title, description, severity, category: Category::Other, first_seen: None };
    casework.open_incident(&os(), &new).await.unwrap()
}

/// As if it had been opened some hours earlier.
async fn opened_before(database: &Database, title: &str, hours: i64) {
    let change = "UPDATE incidents SET created_at = created_at - $2 * interval '1 hour' WHERE title = $1";
    sqlx::query(change).bind(title).bind(hours as f64).execute(&database.pool).await.unwrap();
}

#[tokio::test]
async fn what_is_due_first_comes_first_and_who_is_late_is_named() {
    let database = Database::new().await;
    let casework = around_the_clock(&database).await;
    let ada = NewUser { name: "ada".into(), display_name: None, email: None, role: Role::Analyst };
    casework.create_user(&os(), &ada).await.unwrap();
    let mut numbers = Vec::new();
    for (title, severity) in [
        ("critical", Severity::Critical),
        ("high", Severity::High),
        ("low", Severity::Low),
        ("over", Severity::Medium),
        ("false", Severity::Low),
    ] {
        numbers.push(open(&casework, title, severity).await);
    }
    let assign = IncidentEdit { assignee: Some(Some("ada".into())), ..IncidentEdit::default() };
    let end = |status| IncidentEdit { status: Some(status), resolution: Some("done".into()), ..IncidentEdit::default() };
    casework.edit_incident(&os(), &numbers[1], &assign, None).await.unwrap();
    let over = casework.edit_incident(&os(), &numbers[3], &end(Status::Resolved), None).await.unwrap();
    assert_eq!((over.standing.overdue, over.standing.resolve_by, over.standing.service_level_met), (None, None, Some(true)));
    casework.edit_incident(&os(), &numbers[4], &end(Status::FalsePositive), None).await.unwrap();
    opened_before(&database, "high", 9).await;
    opened_before(&database, "low", 7).await;
    opened_before(&database, "over", 25).await;
    opened_before(&database, "false", 900).await;

    let all = DueFilter::default();
    let list = casework.due(&os(), &all, 10).await.unwrap();
    let told: Vec<(&str, &str, bool)> = list.due.iter().map(|due| (&*due.title, due.what, due.overdue)).collect();
    assert_eq!(told, [("high", "resolve", true), ("critical", "acknowledge", false), ("low", "acknowledge", false)]);
    let loads: Vec<_> = list.by_assignee.iter().map(|load| (load.assignee.as_deref(), load.unresolved, load.overdue)).collect();
    assert_eq!((loads, list.unresolved, list.overdue), (vec![(Some("ada"), 1, 1), (None, 2, 0)], 3, 1));
    let titles = async |filter: DueFilter, limit| {
        let list = casework.due(&os(), &filter, limit).await.unwrap();
        list.due.into_iter().map(|due| due.title).collect::<Vec<_>>()
    };
    assert_eq!(titles(DueFilter { overdue: true, ..all.clone() }, 10).await, ["high"]);
    assert_eq!(titles(DueFilter { assignee: Some("ada".into()), ..all.clone() }, 10).await, ["high"]);
    assert_eq!(titles(all, 2).await, ["high", "critical"]);

    let high = casework.incident(&os(), &numbers[1]).await.unwrap().incident;
    let by = high.standing.resolve_by.unwrap();
    assert_eq!((by.micros_since(high.created_at), high.standing.overdue), (8 * HOUR, Some(true)));
    let over =
        casework.incidents(&os(), &Default::default(), None, 10).await.unwrap().into_iter().find(|case| case.title == "over");
    assert_eq!(over.unwrap().standing.service_level_met, Some(false), "it took 25 hours, of 24");
    // Nothing is stored: who is configured otherwise sees it otherwise, at once.
    let mut levels = Levels::default();
    levels.levels[1].resolve = 100 * HOUR;
    levels.levels[1].counts = Counts::Always;
    let patient =
        Casework::new(Store::connect(database.options.clone()).await.unwrap(), Settings { levels, ..Settings::default() });
    assert_eq!(patient.incident(&os(), &numbers[1]).await.unwrap().incident.standing.overdue, Some(false));

    let report = casework.report(&os(), Period::days_until(7, Timestamp::now())).await.unwrap();
    let kept: Vec<_> = (report.service_levels.iter())
        .map(|kept| (&*kept.priority, kept.acknowledged_in_time, kept.to_acknowledge, kept.resolved_in_time, kept.to_resolve))
        .collect();
    assert_eq!(
        kept,
        [("P1", 0, 0, 0, 0), ("P2", 0, 1, 0, 1), ("P3", 0, 1, 0, 1), ("P4", 0, 0, 0, 0)],
        "what may still be kept is not counted"
    );
    assert_eq!((report.overdue_incidents.len(), report.overdue_incidents_total), (1, 1));
    assert_eq!(report.overdue_incidents[0].incident, numbers[1]);
}

/// A hundred thousand, most of which are over: a list reads those that are not.
#[tokio::test]
async fn a_list_of_what_is_due_does_not_read_what_is_over() {
    let database = Database::new().await;
    let casework = around_the_clock(&database).await;
    database
        .pool
        .execute(
            "INSERT INTO incidents (number, title, severity, priority, reporter, status, created_at, resolved_at) \
             SELECT 'T-' || n, 'n', 'low', 'P4', 'x', CASE WHEN n % 500 = 0 THEN 'open' ELSE 'resolved' END::incident_status, \
                 now() - n * interval '1 minute', now() FROM generate_series(1, 100000) n",
        )
        .await
        .unwrap();
    database.pool.execute("ANALYZE incidents").await.unwrap();
    let list = casework.due(&os(), &DueFilter::default(), 20).await.unwrap();
    assert_eq!((list.unresolved, list.due.len()), (200, 20));
    assert_eq!(list.due[0].incident, "T-100000", "the oldest");
    let explain = "EXPLAIN SELECT priority, status::text, created_at, acknowledged_at, resolved_at, id, assignee FROM incidents \
                   WHERE status IN ('open', 'investigating', 'contained') AND archived_at IS NULL";
    let explained: Vec<String> = sqlx::query_scalar(explain).fetch_all(&database.pool).await.unwrap();
    assert!(explained.iter().any(|line| line.contains("incidents_unresolved")), "{explained:#?}");
}

/// Ingestion, a transaction after the other.
struct Ingestion {
    writer: Writer<Connection>,
    epoch: i64,
    number: i64,
}

impl Ingestion {
    /// With twenty records in `logs`, with the ids 1 to 20.
    async fn begin(database: &Database) -> Ingestion {
        let store = crate::store::store(database).await;
        let epoch = store.take_over().await.unwrap().epoch;
        let mut ingestion = Ingestion { writer: store.writer().await.unwrap(), epoch, number: 0 };
        let texts: Vec<String> = (1..=20).map(|i| format!("line {i}")).collect();
        ingestion.store(&rows(&texts.iter().map(String::as_str).collect::<Vec<_>>()), &[]).await;
        ingestion
    }

    async fn store(&mut self, rows: &Rows, changes: &[IncidentChange]) {
        self.number += 1;
        let work = Transaction { changes, ..transaction(self.number, self.epoch, rows, &[]) };
        self.writer.store(&work, &never_refused, ready(())).await.unwrap();
    }

    async fn find(&mut self, changes: &[IncidentChange]) {
        self.store(&Rows::default(), changes).await;
    }
}

fn asset(name: &str, matches: &[&str], criticality: Criticality) -> NewAsset {
    let matches = matches.iter().map(|by| (*by).to_owned()).collect();
    NewAsset { name: name.to_owned(), matches, criticality, owner: None, comment: None }
}

#[tokio::test]
async fn priorities_follow_assets_and_neither_detectors_nor_the_list_undo_what_people_say() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let mut ingestion = Ingestion::begin(&database).await;
    ingestion.find(&[change(5, 1..=5, "root")]).await;
    let number = database.column("SELECT number FROM incidents").await.remove(0);
    let look = async || {
        let case = casework.incident(&os(), &number).await.unwrap().incident;
        (case.severity, case.priority, case.affected.join(" "))
    };
    let is = |severity: &str, priority: &str, affected: &str| (severity.to_owned(), priority.to_owned(), affected.to_owned());
    let host = async |id: i64, host: &str| {
        let name = "UPDATE incident_evidence SET record = record || jsonb_build_object('host', $2) WHERE log_id = $1";
        sqlx::query(name).bind(id).bind(host).execute(&database.pool).await.unwrap();
    };
    let assess = async || casework.assess(&Actor::daemon()).await.unwrap();
    host(1, "Web1").await;
    host(2, "web2").await;
    assert_eq!(assess().await, 1);
    assert_eq!(look().await, is("medium", "P3", "web1 web2"), "no known asset");
    assert_eq!(assess().await, 0, "it was looked at");

    casework.add_asset(&os(), &asset("web", &["WEB1", "web2"], Criticality::Low)).await.unwrap();
    assert_eq!(assess().await, 1);
    assert_eq!(look().await, is("medium", "P4", "web1 web2"));
    ingestion.find(&[change(1, 6..=6, "root")]).await;
    assert_eq!(look().await.1, "P4", "what was lowered stays so");
    ingestion.find(&[change(5, 7..=11, "root")]).await;
    assert_eq!(look().await, is("high", "P2", "web1 web2"), "it became worse, and nobody has looked yet");
    assess().await;
    assert_eq!(look().await.1, "P3");
    let critical = AssetEdit { criticality: Some(Criticality::Critical), ..AssetEdit::default() };
    assert_eq!(casework.change_asset(&os(), "Web", &critical, Some(1)).await.unwrap().version, 2);
    assert!(matches!(casework.change_asset(&os(), "web", &critical, Some(1)).await, Err(CaseworkError::Conflict(_))));
    assess().await;
    assert_eq!(look().await.1, "P1");

    // People: what they take away does not come back with evidence that they have seen, and the priority follows what is left.
    let none = IncidentEdit { affected: Some(vec![]), ..IncidentEdit::default() };
    assert_eq!(casework.edit_incident(&os(), &number, &none, None).await.unwrap().priority, "P2");
    ingestion.find(&[change(2, 12..=13, "root")]).await;
    host(12, "elsewhere").await;
    host(13, "").await;
    assess().await;
    assert_eq!(look().await, is("high", "P2", "elsewhere"));
    let by_hand = IncidentEdit { priority: Some((Priority::P4, "a test".into())), ..IncidentEdit::default() };
    casework.edit_incident(&os(), &number, &by_hand, None).await.unwrap();
    let web = IncidentEdit { affected: Some(vec!["web1".into()]), ..IncidentEdit::default() };
    casework.edit_incident(&os(), &number, &web, None).await.unwrap();
    ingestion.find(&[change(1, 14..=14, "root")]).await;
    assess().await;
    assert_eq!(look().await.1, "P4", "somebody said so");

    let timeline = casework.incident(&os(), &number).await.unwrap().timeline;
    let told: Vec<String> = (timeline.iter().filter(|what| what.event == "priority"))
        .map(|what| format!("{} {}", what.actor, what.new.as_ref().unwrap().as_str().unwrap()))
        .collect();
    assert_eq!(told, ["tocsin P4", "tocsin P3", "tocsin P1", "os:tester P2", "os:tester P4"]);
    casework.remove_asset(&os(), "WEB").await.unwrap();
    assert!(matches!(casework.remove_asset(&os(), "web").await, Err(CaseworkError::NotFound(_))));
    assert_eq!(casework.check_audit(&os(), None, &mut |_| {}).await.unwrap().tampered, None);
}

#[tokio::test]
async fn a_list_of_assets_is_entered_as_a_whole_or_not_at_all() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let list = [asset("a", &["10.0.0.0/8"], Criticality::Low), asset("b", &["*.example.org", "b"], Criticality::High)];
    assert_eq!(casework.import_assets(&os(), &list).await.unwrap(), (2, 0));
    assert_eq!(casework.import_assets(&os(), &list).await.unwrap(), (0, 0), "there is nothing to change");
    let next = [asset("A", &["10.0.0.1/8"], Criticality::Critical), asset("c", &["c"], Criticality::Low), list[1].clone()];
    assert_eq!(casework.import_assets(&os(), &next).await.unwrap(), (1, 1));
    let wrong = [asset("d", &["d"], Criticality::Low), asset("e", &["10.0.0.0/33"], Criticality::Low)];
    match casework.import_assets(&os(), &wrong).await {
        Err(CaseworkError::Invalid { field: "assets", problem }) => {
            assert!(problem.starts_with("asset 2: matches: "), "{problem}")
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(casework.add_asset(&os(), &list[1]).await, Err(CaseworkError::Conflict(_))));
    let viewer = Actor { role: Role::Viewer, ..os() };
    assert!(matches!(casework.import_assets(&viewer, &list).await, Err(CaseworkError::Forbidden { .. })));
    for hostile in [vec![], vec!["a;DROP TABLE assets".to_owned()], vec!["x".to_owned(); 51], vec!["a\u{1b}[31m".to_owned()]] {
        let new = NewAsset { matches: hostile, ..asset("f", &[], Criticality::Low) };
        assert!(matches!(casework.add_asset(&os(), &new).await, Err(CaseworkError::Invalid { field: "matches", .. })));
    }
    let told =
        "SELECT name || ' ' || criticality || ' ' || array_to_string(matches, ',') || ' ' || version FROM assets ORDER BY name";
    assert_eq!(database.column(told).await, ["a critical 10.0.0.0/8 2", "b high *.example.org,b 1", "c low c 1"]);
}

#[tokio::test]
async fn what_is_suppressed_opens_no_incident_and_is_counted() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let mut ingestion = Ingestion::begin(&database).await;
    ingestion.find(&[change(5, 1..=5, "root")]).await;
    let number = database.column("SELECT number FROM incidents").await.remove(0);
    let tomorrow = Timestamp::now().plus_micros(24 * HOUR);
    let by_hand = open(&casework, "by hand", Severity::Low).await;
    let mark = async |number: &str, until| casework.false_positive(&os(), number, "our scanner", Some(until), None).await;
    for (number, until) in [(&number, Timestamp::now()), (&number, tomorrow.plus_micros(366 * 24 * HOUR)), (&by_hand, tomorrow)] {
        assert!(matches!(mark(number, until).await, Err(CaseworkError::Invalid { field: "suppress_until", .. })));
    }
    assert_eq!(casework.incident(&os(), &number).await.unwrap().incident.status, "open", "all or nothing");
    let marked = mark(&number, tomorrow).await.unwrap();
    assert_eq!((&*marked.status, marked.resolution.as_deref()), ("false_positive", Some("our scanner")));

    // Others are not concerned, and their numbers follow on each other.
    let mut other = change(5, 6..=8, "eve");
    other.group.0[0].1 = "192.0.2.2".into();
    ingestion.find(&[change(3, 6..=8, "root"), other]).await;
    ingestion.find(&[change(4, 9..=12, "root")]).await;
    let incidents = "SELECT concat_ws(' ', id, coalesce(group_key, '-'), status, event_count) FROM incidents ORDER BY id";
    let expected = ["1 src_ip=192.0.2.1 false_positive 5", "2 - open 0", "3 src_ip=192.0.2.2 open 5"];
    assert_eq!(database.column(incidents).await, expected);
    let row = casework.suppressions(&os(), false, None, 10).await.unwrap().remove(0);
    assert_eq!((row.events, row.incident.as_str(), row.until), (7, &*number, tomorrow));
    let seen = (row.first_seen, row.last_seen);
    assert_eq!(seen, (Some(at("2026-11-20T10:00:00.000005Z")), Some(at("2026-11-20T10:00:00.000011Z"))));
    assert_eq!(database.number("SELECT count(*) FROM incident_evidence WHERE incident_id = 1").await, 5);

    // One that is not over goes on being fed.
    let reopen = IncidentEdit { status: Some(Status::Investigating), ..IncidentEdit::default() };
    casework.edit_incident(&os(), &number, &reopen, None).await.unwrap();
    ingestion.find(&[change(1, 13..=13, "root")]).await;
    assert_eq!(database.column(incidents).await[0], "1 src_ip=192.0.2.1 investigating 6");
    // Another one takes the place of the first; marking it again changes nothing else.
    mark(&number, tomorrow.plus_micros(HOUR)).await.unwrap();
    let all = casework.suppressions(&os(), true, None, 10).await.unwrap();
    assert_eq!(all.iter().map(|row| (row.events, row.ended_at.is_some())).collect::<Vec<_>>(), [(0, false), (7, true)]);
    assert_eq!(casework.suppressions(&os(), true, Some(all[0].id), 10).await.unwrap(), all[1..]);

    // Events of after its time open an incident, whenever they come.
    database.pool.execute("UPDATE suppressions SET until = '2026-11-20T10:00:00.000015Z' WHERE ended_at IS NULL").await.unwrap();
    ingestion.find(&[change(1, 15..=15, "root")]).await;
    assert_eq!(database.number("SELECT count(*) FROM incidents").await, 3);
    ingestion.find(&[change(2, 15..=16, "root")]).await;
    assert_eq!(database.column(incidents).await[3], "4 src_ip=192.0.2.1 open 2");
    assert!(matches!(casework.end_suppression(&os(), all[0].id).await, Err(CaseworkError::Conflict(_))), "its time is over");
    assert!(casework.suppressions(&os(), false, None, 10).await.unwrap().is_empty());

    let again = database.column("SELECT number FROM incidents WHERE id = 4").await.remove(0);
    mark(&again, tomorrow).await.unwrap();
    ingestion.find(&[change(1, 17..=17, "root")]).await;
    let last = casework.suppressions(&os(), false, None, 10).await.unwrap().remove(0);
    assert_eq!(last.events, 1);
    casework.end_suppression(&os(), last.id).await.unwrap();
    ingestion.find(&[change(1, 18..=18, "root")]).await;
    assert_eq!(database.column(incidents).await[4], "5 src_ip=192.0.2.1 open 1");
    let told = casework.incident(&os(), &again).await.unwrap().timeline;
    assert_eq!(told.iter().filter(|what| what.event == "suppressed").count(), 2);
    assert_eq!(casework.check_audit(&os(), None, &mut |_| {}).await.unwrap().tampered, None);
}

/// The daemon itself, over its doors.
#[tokio::test]
async fn a_daemon_finds_out_which_systems_are_affected() {
    let (database, state) = (Database::new().await, state_dir());
    let configuration = format!("[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n", database.url());
    let daemon = Daemon::start(state.path(), &configuration).await;
    let lines = (0..3).map(|n| {
        let now = Timestamp::now().plus_micros(n * 1_000_000);
        format!("<38>1 {now} DB1 sshd 7 - - Failed password for root from 192.0.2.7 port {} ssh2\n", 4000 + n)
    });
    let office = casework(&database).await;
    office.add_asset(&os(), &asset("database", &["db1"], Criticality::Critical)).await.unwrap();
    send_tcp(daemon.tcp(), lines.collect::<String>().as_bytes()).await.unwrap();
    let found = "SELECT count(*) FROM incidents WHERE detector = 'login_failures' AND priority = 'P1' AND affected = '{db1}'";
    wait_until("it is looked at", async || database.try_number(found).await.is_ok_and(|n| n == 1)).await;
    assert_eq!(daemon.stop().await.0, Some(0));
}
