//! Service levels over incidents in the database: what is due, who is late, what was kept.

use sqlx::Executor;
use tocsin::casework::incidents::{IncidentEdit, NewIncident};
use tocsin::casework::levels::DueFilter;
use tocsin::casework::reports::Period;
use tocsin::casework::users::NewUser;
use tocsin::casework::{Actor, Casework, Role, Settings};
use tocsin::record::case::{Category, Status};
use tocsin::record::levels::{Counts, Levels};
use tocsin::record::{Severity, Timestamp};
use tocsin::store::Store;

use crate::support::Database;

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
