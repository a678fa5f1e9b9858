//! What anybody expects of a store of logs and incidents, one function after the other, through the whole program.

use tocsin::casework::incidents::{IncidentEdit, NewIncident};
use tocsin::casework::logs::NewLine;
use tocsin::casework::{Actor, Casework, CaseworkError};
use tocsin::record::case::{Category, Status};
use tocsin::record::{Severity, Timestamp};
use tocsin::store::cases::CaseFilter;
use tocsin::store::logs::LogRow;
use tocsin::store::query::Query;

use crate::support::{Daemon, Database, casework, state_dir};

fn os() -> Actor {
    Actor::operator("tester")
}

/// A running daemon that has stored three records.
struct Site {
    daemon: Daemon,
    database: Database,
    casework: Casework,
    _dir: tempfile::TempDir,
}

impl Site {
    async fn open() -> Site {
        let (database, dir) = (Database::new().await, state_dir());
        let configuration =
            format!("[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n", database.url());
        let daemon = Daemon::start(dir.path(), &configuration).await;
        let lines = "<38>sshd[1]: Failed password for root from 192.0.2.1 port 22 ssh2\n\
                     <38>sshd[2]: Accepted password for ada from 192.0.2.2 port 22 ssh2\n<13>app: all is well\n";
        crate::support::send_tcp(daemon.tcp(), lines.as_bytes()).await.unwrap();
        database.wait_for("SELECT count(*) FROM logs", 3).await;
        let casework = casework(&database).await;
        Site { daemon, database, casework, _dir: dir }
    }

    async fn logs(&self, query: &str) -> Vec<LogRow> {
        let query = Query::parse(query, Timestamp::now()).unwrap();
        self.casework.search_logs(&os(), &query, None, 100).await.unwrap().logs
    }

    async fn open_incident(&self, title: &str, severity: Severity) -> String {
        let new = NewIncident {
            title: title.to_owned(),
            description: format!("About {title}."),
            severity,
            category: Category::Intrusions,
            first_seen: None,
        };
        self.casework.open_incident(&os(), &new).await.unwrap()
    }

    async fn incidents(&self, filter: CaseFilter) -> Vec<String> {
        let found = self.casework.incidents(&os(), &filter, None, 100).await.unwrap();
        found.into_iter().map(|case| case.title).collect()
    }

    async fn edit(&self, number: &str, edit: IncidentEdit) -> Result<(), CaseworkError> {
        self.casework.edit_incident(&os(), number, &edit, None).await.map(|_| ())
    }

    async fn close(self) {
        assert_eq!(self.daemon.stop().await.0, Some(0));
    }
}

#[tokio::test]
async fn logs_insert() {
    let site = Site::open().await;
    let line = NewLine {
        message: "Failed password for eve from 192.0.2.9 port 22 ssh2".into(),
        app: Some("sshd".into()),
        ..NewLine::default()
    };
    site.casework.add_log(&os(), &line).await.unwrap();
    site.database
        .wait_for("SELECT count(*) FROM logs WHERE source = 'manual' AND username = 'eve' AND event_type = 'login_failed'", 1)
        .await;
    site.close().await;
}

#[tokio::test]
async fn logs_all() {
    let site = Site::open().await;
    let all = site.logs("").await;
    assert_eq!(all.len(), 3);
    assert!(all.windows(2).all(|pair| pair[0].key() > pair[1].key()), "the newest first");
    site.close().await;
}

#[tokio::test]
async fn logs_by_id() {
    let site = Site::open().await;
    for log in site.logs("").await {
        let found = site.casework.log(&os(), log.id).await.unwrap();
        assert_eq!((found.log.id, &found.log.message), (log.id, &log.message));
        assert!(found.original.ends_with(log.message.as_bytes()));
    }
    assert!(matches!(site.casework.log(&os(), i64::MAX).await, Err(CaseworkError::NotFound(_))));
    site.close().await;
}

#[tokio::test]
async fn logs_search() {
    let site = Site::open().await;
    let found = async |query: &str| site.logs(query).await.into_iter().map(|log| log.message).collect::<Vec<_>>();
    assert_eq!(found("src_ip:192.0.2.0/24 user:root").await.len(), 1);
    assert_eq!(found("event_type:login_success").await.len(), 1);
    assert_eq!(found("\"all is well\"").await, ["all is well"]);
    assert_eq!(found("-app:sshd").await, ["all is well"]);
    assert_eq!(found("nothing of the kind").await.len(), 0);
    site.close().await;
}

/// A record never changes; what people have to say about it stands beside it.
#[tokio::test]
async fn logs_update() {
    let site = Site::open().await;
    let before = site.logs("user:root").await.remove(0);
    site.casework.annotate_log(&os(), before.id, "our own scanner").await.unwrap();
    let after = site.casework.log(&os(), before.id).await.unwrap();
    assert_eq!((after.log.message, after.notes.len(), &*after.notes[0].body), (before.message, 1, "our own scanner"));
    site.close().await;
}

/// Nothing is deleted: it is put out of sight, and can be brought back.
#[tokio::test]
async fn logs_delete() {
    let site = Site::open().await;
    let id = site.logs("user:root").await[0].id;
    site.casework.archive_log(&os(), id, Some("noise")).await.unwrap();
    assert_eq!(site.logs("").await.len(), 2);
    assert_eq!(site.database.number("SELECT count(*) FROM logs").await, 3);
    assert!(site.casework.log(&os(), id).await.unwrap().archived.is_some());
    site.casework.unarchive_log(&os(), id).await.unwrap();
    assert_eq!(site.logs("").await.len(), 3);
    site.close().await;
}

#[tokio::test]
async fn incidents_create() {
    let site = Site::open().await;
    let number = site.open_incident("Stolen laptop", Severity::High).await;
    assert!(number.starts_with("INC-20") && number.len() == "INC-2026-000001".len(), "{number}");
    let incident = site.casework.incident(&os(), &number).await.unwrap().incident;
    assert_eq!(
        (&*incident.title, incident.severity.to_string(), incident.status.to_string()),
        ("Stolen laptop", "high".into(), "open".into())
    );
    site.close().await;
}

#[tokio::test]
async fn incidents_all() {
    let site = Site::open().await;
    for title in ["a", "b", "c"] {
        site.open_incident(title, Severity::Low).await;
    }
    assert_eq!(site.incidents(CaseFilter::default()).await, ["c", "b", "a"], "the newest first");
    site.close().await;
}

#[tokio::test]
async fn incidents_by_id() {
    let site = Site::open().await;
    let number = site.open_incident("a", Severity::Low).await;
    assert_eq!(site.casework.incident(&os(), &number).await.unwrap().incident.number, number);
    assert!(matches!(site.casework.incident(&os(), "INC-1999-000001").await, Err(CaseworkError::NotFound(_))));
    site.close().await;
}

#[tokio::test]
async fn incidents_search_by_status_severity_title_and_dates() {
    let site = Site::open().await;
    let before = Timestamp::now();
    let first = site.open_incident("Phishing mail", Severity::Low).await;
    site.open_incident("Worm in the cellar", Severity::Critical).await;
    let edit = IncidentEdit { status: Some(Status::Investigating), ..IncidentEdit::default() };
    site.edit(&first, edit).await.unwrap();
    for (filter, found) in [
        (CaseFilter { statuses: vec!["investigating".into()], ..CaseFilter::default() }, &["Phishing mail"][..]),
        (CaseFilter { severities: vec!["critical".into()], ..CaseFilter::default() }, &["Worm in the cellar"]),
        (CaseFilter { title: Some("CELLAR".into()), ..CaseFilter::default() }, &["Worm in the cellar"]),
        (CaseFilter { text: Some("about phishing".into()), ..CaseFilter::default() }, &["Phishing mail"]),
        (CaseFilter { from: Some(before), ..CaseFilter::default() }, &["Worm in the cellar", "Phishing mail"]),
        (CaseFilter { to: Some(before), ..CaseFilter::default() }, &[]),
    ] {
        assert_eq!(site.incidents(filter.clone()).await, found, "{filter:?}");
    }
    site.close().await;
}

#[tokio::test]
async fn incidents_update_status() {
    let site = Site::open().await;
    let number = site.open_incident("a", Severity::Low).await;
    let to = |status| IncidentEdit { status: Some(status), ..IncidentEdit::default() };
    for status in [Status::Investigating, Status::Contained] {
        site.edit(&number, to(status)).await.unwrap();
    }
    let refused = site.edit(&number, to(Status::Resolved)).await;
    assert!(matches!(refused, Err(CaseworkError::Invalid { field: "resolution", .. })), "{refused:?}");
    site.edit(&number, IncidentEdit { resolution: Some("Cleaned.".into()), ..to(Status::Resolved) }).await.unwrap();
    let dossier = site.casework.incident(&os(), &number).await.unwrap();
    assert_eq!(dossier.timeline.iter().filter(|what| what.event == "status").count(), 3);
    assert!(dossier.incident.resolved_at.is_some());
    site.close().await;
}

#[tokio::test]
async fn incidents_update_severity() {
    let site = Site::open().await;
    let number = site.open_incident("a", Severity::Low).await;
    site.edit(&number, IncidentEdit { severity: Some(Severity::Critical), ..IncidentEdit::default() }).await.unwrap();
    let incident = site.casework.incident(&os(), &number).await.unwrap().incident;
    assert_eq!((incident.severity.to_string(), incident.priority.to_string()), ("critical".into(), "P1".into()));
    site.close().await;
}

/// Out of sight first, and for good only by an admin with a reason.
#[tokio::test]
async fn incidents_delete() {
    let site = Site::open().await;
    let number = site.open_incident("a", Severity::Low).await;
    assert!(matches!(site.casework.purge_incident(&os(), &number, "test").await, Err(CaseworkError::Conflict(_))));
    let end = IncidentEdit { status: Some(Status::FalsePositive), resolution: Some("None.".into()), ..IncidentEdit::default() };
    site.edit(&number, end).await.unwrap();
    site.edit(&number, IncidentEdit { archived: Some(true), ..IncidentEdit::default() }).await.unwrap();
    assert!(site.incidents(CaseFilter::default()).await.is_empty());
    assert_eq!(site.incidents(CaseFilter { archived: true, ..CaseFilter::default() }).await, ["a"]);
    site.casework.purge_incident(&os(), &number, "test").await.unwrap();
    assert!(site.incidents(CaseFilter { archived: true, ..CaseFilter::default() }).await.is_empty());
    site.database.wait_for("SELECT count(*) FROM audit_log WHERE action = 'incident.purge' AND reason = 'test'", 1).await;
    site.close().await;
}

#[tokio::test]
async fn active_incidents_view() {
    let site = Site::open().await;
    site.open_incident("low", Severity::Low).await;
    site.open_incident("critical", Severity::Critical).await;
    let over = site.open_incident("over", Severity::Low).await;
    let end = IncidentEdit { status: Some(Status::FalsePositive), resolution: Some("None.".into()), ..IncidentEdit::default() };
    site.edit(&over, end).await.unwrap();
    assert_eq!(site.database.column("SELECT title FROM active_incidents").await, ["critical", "low"], "the worst first");
    site.close().await;
}

#[tokio::test]
async fn weekly_summary() {
    let site = Site::open().await;
    site.open_incident("a", Severity::Low).await;
    let summary =
        "SELECT total_logs || ' ' || failed_logins || ' ' || incidents FROM weekly_summary(now() + interval '1 minute')";
    assert_eq!(site.database.column(summary).await, ["3 1 1"]);
    site.close().await;
}
