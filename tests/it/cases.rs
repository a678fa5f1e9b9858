//! Incidents, notes and tasks as people work on them, against a real server.

use serde_json::json;
use tocsin::casework::incidents::{IncidentEdit, NewIncident};
use tocsin::casework::tasks::{TaskEdit, TaskFilter};
use tocsin::casework::users::NewUser;
use tocsin::casework::{Actor, Casework, CaseworkError, Role, Via};
use tocsin::record::case::{Category, NoteKind, Priority, Status, TaskStatus};
use tocsin::record::{Severity, Timestamp};
use tocsin::store::cases::{CaseFilter, CaseRow};

use crate::support::{Database, casework};

fn os() -> Actor {
    Actor::operator("tester")
}

/// Somebody of that role, who needs no password for this.
async fn user(casework: &Casework, name: &str, role: Role) -> Actor {
    casework.create_user(&os(), &NewUser { name: name.to_owned(), display_name: None, email: None, role }).await.unwrap();
    Actor { name: name.to_owned(), role, via: Via::Api, address: None, user_id: Some(0), must_change_password: false }
}

fn new(title: &str, severity: Severity) -> NewIncident {
    let description = format!("about {title}");
    NewIncident { title: title.to_owned(), description, severity, category: Category::Intrusions, first_seen: None }
}

fn status(status: Status) -> IncidentEdit {
    IncidentEdit { status: Some(status), ..IncidentEdit::default() }
}

#[tokio::test]
async fn an_incident_goes_from_its_opening_to_its_lessons() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let ada = user(&casework, "ada", Role::Analyst).await;
    let number = casework.open_incident(&ada, &new("Stolen laptop", Severity::Medium)).await.unwrap();
    assert!(number.starts_with(&format!("INC-{}-", &Timestamp::now().to_string()[..4])), "{number}");
    let edit = async |edit: IncidentEdit| casework.edit_incident(&ada, &number, &edit, None).await;

    let opened = casework.incident(&ada, &number).await.unwrap().incident;
    assert_eq!((&*opened.status, &*opened.priority, &*opened.reporter, opened.version), ("open", "P3", "ada", 1));
    let assigned = edit(IncidentEdit { assignee: Some(Some("ada".into())), ..IncidentEdit::default() }).await.unwrap();
    assert!(assigned.acknowledged_at.is_some(), "somebody has taken notice");
    let graver = edit(IncidentEdit { severity: Some(Severity::High), ..IncidentEdit::default() }).await.unwrap();
    assert_eq!(&*graver.priority, "P2", "follows from the severity");
    let sooner =
        edit(IncidentEdit { priority: Some((Priority::P1, "the CFO's".into())), ..IncidentEdit::default() }).await.unwrap();
    assert_eq!((&*sooner.priority, sooner.priority_reason.as_deref()), ("P1", Some("the CFO's")));
    let still = edit(IncidentEdit { severity: Some(Severity::Critical), ..IncidentEdit::default() }).await.unwrap();
    assert_eq!(&*still.priority, "P1", "what somebody set by hand stays");

    edit(status(Status::Contained)).await.unwrap();
    let illegal = edit(status(Status::Open)).await.unwrap_err().to_string();
    assert_eq!(
        illegal,
        "status: cannot become open while it is contained; it can become investigating, resolved, false_positive"
    );
    for (missing, next) in
        [("resolution", Some("Wiped")), ("root_cause", Some("Left in a train")), ("lessons_learned", Some("Encrypt disks"))]
    {
        let refused = edit(status(Status::Resolved)).await;
        assert!(matches!(&refused, Err(CaseworkError::Invalid { field, .. }) if *field == missing), "{missing}: {refused:?}");
        let text = next.map(str::to_owned);
        edit(match missing {
            "resolution" => IncidentEdit { resolution: text, ..IncidentEdit::default() },
            "root_cause" => IncidentEdit { root_cause: text, ..IncidentEdit::default() },
            _ => IncidentEdit { lessons_learned: text, ..IncidentEdit::default() },
        })
        .await
        .unwrap();
    }
    let resolved = edit(status(Status::Resolved)).await.unwrap();
    assert!(resolved.resolved_at.is_some());
    edit(IncidentEdit { archived: Some(true), ..IncidentEdit::default() }).await.unwrap();
    let filter = CaseFilter::default();
    assert!(casework.incidents(&ada, &filter, None, 10).await.unwrap().is_empty(), "out of sight");
    assert_eq!(casework.incidents(&ada, &CaseFilter { archived: true, ..filter }, None, 10).await.unwrap().len(), 1);
    let reopen = edit(status(Status::Investigating)).await;
    assert!(matches!(reopen, Err(CaseworkError::Invalid { field: "archived", .. })), "first back into sight");
    let back = edit(IncidentEdit { archived: Some(false), status: Some(Status::Investigating), ..IncidentEdit::default() })
        .await
        .unwrap();
    assert_eq!(back.resolved_at, None);

    let dossier = casework.incident(&ada, &number).await.unwrap();
    let told: Vec<&str> = dossier.timeline.iter().map(|what| &*what.event).collect();
    let expected = "opened assignee severity priority priority severity status resolution root_cause lessons_learned status archived status archived";
    assert_eq!(told.join(" "), expected);
    assert_eq!((&dossier.timeline[2].old, &dossier.timeline[2].new), (&Some(json!("medium")), &Some(json!("high"))));
    let audited = casework.check_audit(&os(), None, &mut |_| {}).await.unwrap();
    assert_eq!((audited.rows, audited.tampered), (2 + 11, None), "a row for each change, and no row for what was refused");
}

#[tokio::test]
async fn what_is_left_as_it_was_is_no_change_and_a_viewer_changes_nothing() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let (ada, eve) = (user(&casework, "ada", Role::Analyst).await, user(&casework, "eve", Role::Viewer).await);
    let number = casework.open_incident(&ada, &new("x", Severity::Low)).await.unwrap();
    let same = IncidentEdit { title: Some(" x ".into()), severity: Some(Severity::Low), ..IncidentEdit::default() };
    assert_eq!(casework.edit_incident(&ada, &number, &same, Some(1)).await.unwrap().version, 1);
    let forbidden = |e: CaseworkError| assert!(matches!(e, CaseworkError::Forbidden { .. }), "{e}");
    forbidden(casework.edit_incident(&eve, &number, &same, None).await.unwrap_err());
    forbidden(casework.open_incident(&eve, &new("y", Severity::Low)).await.unwrap_err());
    forbidden(casework.add_note(&eve, &number, NoteKind::Note, "n").await.unwrap_err());
    forbidden(casework.add_task(&eve, &number, &TaskEdit { title: Some("t".into()), ..TaskEdit::default() }).await.unwrap_err());
    assert_eq!(casework.incident(&eve, &number).await.unwrap().incident.title, "x");
    let to_eve = IncidentEdit { assignee: Some(Some("eve".into())), ..IncidentEdit::default() };
    let refused = casework.edit_incident(&ada, &number, &to_eve, None).await;
    assert!(matches!(refused, Err(CaseworkError::Invalid { field: "assignee", .. })), "she may not work on it");
    let nothing = casework.incident(&ada, "INC-1999-000001").await;
    assert!(matches!(nothing, Err(CaseworkError::NotFound(_))));
}

/// Fifty people, all at once: those who say what they have seen are told, and of the others no change is lost.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_change_one_incident_and_every_change_is_in_the_timeline() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let number = casework.open_incident(&os(), &new("busy", Severity::Low)).await.unwrap();
    let seen = casework.incident(&os(), &number).await.unwrap().incident.version;
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let (casework, number) = (casework.clone(), number.clone());
            tokio::spawn(async move {
                let actor = Actor { name: format!("user{n}"), ..os() };
                let edit = IncidentEdit { title: Some(format!("title {n}")), ..IncidentEdit::default() };
                casework.edit_incident(&actor, &number, &edit, (n % 2 == 0).then_some(seen)).await
            })
        })
        .collect();
    let (mut changed, mut told) = (Vec::new(), 0);
    for (n, task) in tasks.into_iter().enumerate() {
        match task.await.unwrap() {
            Ok(_) => changed.push(format!("title {n}")),
            Err(CaseworkError::Conflict(why)) => {
                assert!(n % 2 == 0 && why.contains("look at it and try again"), "{n}: {why}");
                told += 1;
            }
            Err(e) => panic!("{n}: {e}"),
        }
    }
    assert!(told >= 24, "one at most has seen what is in force: {told}");
    let dossier = casework.incident(&os(), &number).await.unwrap();
    let titles = || dossier.timeline.iter().filter(|what| what.event == "title");
    let mut new: Vec<String> = titles().map(|what| what.new.as_ref().unwrap().as_str().unwrap().to_owned()).collect();
    // Each follows on the one before it.
    let old: Vec<&str> = titles().map(|what| what.old.as_ref().unwrap().as_str().unwrap()).collect();
    assert!(old[1..].iter().zip(&new).all(|(old, before)| old == before));
    assert_eq!(new.last(), Some(&dossier.incident.title));
    new.sort_unstable();
    changed.sort_unstable();
    assert_eq!(new, changed);
    assert_eq!(dossier.incident.version, seen + changed.len() as i64);
    assert_eq!(casework.check_audit(&os(), None, &mut |_| {}).await.unwrap().tampered, None);
}

#[tokio::test]
async fn incidents_are_found_by_what_people_know_and_come_page_by_page() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    user(&casework, "ada", Role::Analyst).await;
    let mut numbers = Vec::new();
    for n in 0..30 {
        let severity = [Severity::Low, Severity::Medium, Severity::High][n % 3];
        numbers.push(casework.open_incident(&os(), &new(&format!("Case {n} 100% _%\\'\""), severity)).await.unwrap());
    }
    let assign =
        IncidentEdit { assignee: Some(Some("ada".into())), status: Some(Status::Investigating), ..IncidentEdit::default() };
    casework.edit_incident(&os(), &numbers[4], &assign, None).await.unwrap();
    let find = async |filter: CaseFilter| {
        let found = casework.incidents(&os(), &filter, None, 100).await.unwrap();
        found.into_iter().map(|case| case.number).collect::<Vec<_>>()
    };
    let all = CaseFilter::default();
    assert_eq!(find(CaseFilter { statuses: vec!["investigating".into()], ..all.clone() }).await, numbers[4..5]);
    assert_eq!(find(CaseFilter { assignee: Some("ada".into()), ..all.clone() }).await, numbers[4..5]);
    assert_eq!(find(CaseFilter { least_severity: Some("high".into()), ..all.clone() }).await.len(), 10);
    assert_eq!(find(CaseFilter { severities: vec!["medium".into()], ..all.clone() }).await.len(), 10);
    assert_eq!(find(CaseFilter { severities: vec!["medium".into(), "low".into()], ..all.clone() }).await.len(), 20);
    assert_eq!(find(CaseFilter { priorities: vec!["P2".into()], ..all.clone() }).await.len(), 10);
    assert_eq!(find(CaseFilter { categories: vec!["intrusions".into()], ..all.clone() }).await.len(), 30);
    assert_eq!(find(CaseFilter { categories: vec!["fraud".into()], ..all.clone() }).await.len(), 0);
    assert_eq!(find(CaseFilter { title: Some("CASE 17 ".into()), ..all.clone() }).await, numbers[17..18]);
    assert_eq!(find(CaseFilter { title: Some("INC-".into()), ..all.clone() }).await.len(), 0, "only in the title");
    assert_eq!(find(CaseFilter { text: Some("case 17 ".into()), ..all.clone() }).await, numbers[17..18]);
    assert_eq!(find(CaseFilter { text: Some("_%\\'\"".into()), ..all.clone() }).await.len(), 30, "no wildcards");
    assert_eq!(find(CaseFilter { text: Some("__".into()), ..all.clone() }).await.len(), 0, "no wildcards");
    assert_eq!(find(CaseFilter { to: Some(Timestamp::MIN), ..all.clone() }).await.len(), 0);
    let (mut pages, mut behind) = (Vec::new(), None);
    loop {
        let page = casework.incidents(&os(), &all, behind, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        behind = Some((last.created_at, last.id));
        pages.extend(page.into_iter().map(|case: CaseRow| case.number));
    }
    numbers.reverse();
    assert_eq!(pages, numbers, "the newest first, each once");
}

/// What means something in a pattern of SQL is text like any other.
#[tokio::test]
async fn text_is_found_as_it_was_typed() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let titles = ["100% sure", "1000 sure", "a_b", "aXb", "back\\slash", "Straße ÄRGER"];
    for title in titles {
        let (description, severity, category) = (String::new(), Severity::Low, Category::Other);
        let new = NewIncident { title: title.to_owned(), description, severity, category, first_seen: None };
        casework.open_incident(&os(), &new).await.unwrap();
    }
    for (text, found) in [
        ("100%", &["100% sure"][..]),
        ("%", &["100% sure"]),
        ("A_B", &["a_b"]),
        ("\\", &["back\\slash"]),
        ("sure", &["1000 sure", "100% sure"]),
        ("straße ärger", &["Straße ÄRGER"]),
        ("' OR true --", &[]),
    ] {
        let filter = CaseFilter { text: Some(text.to_owned()), ..CaseFilter::default() };
        let page = casework.incidents(&os(), &filter, None, 50).await.unwrap();
        assert_eq!(page.iter().map(|case| &*case.title).collect::<Vec<_>>(), found, "{text}");
    }
}

#[tokio::test]
async fn notes_keep_every_version_and_tasks_are_due() {
    let database = Database::new().await;
    let casework = casework(&database).await;
    let ada = user(&casework, "ada", Role::Analyst).await;
    let number = casework.open_incident(&ada, &new("x", Severity::Low)).await.unwrap();
    let hostile = "**bold** <script>alert(1)</script>\n=cmd|' /C calc'!A0 \u{202e}'; DROP TABLE users; --";
    let id = casework.add_note(&ada, &number, NoteKind::Finding, hostile).await.unwrap();
    assert_eq!(casework.edit_note(&os(), &number, id, "second", Some(1)).await.unwrap(), 2);
    let late = casework.edit_note(&ada, &number, id, "late", Some(1)).await;
    assert!(matches!(late, Err(CaseworkError::Conflict(_))), "{late:?}");
    assert_eq!(casework.edit_note(&ada, &number, id, "second", None).await.unwrap(), 2, "no change");
    assert!(matches!(casework.edit_note(&ada, &number, id + 1, "x", None).await, Err(CaseworkError::NotFound(_))));
    for refused in ["", " \n ", "a\u{0}b", "a\u{1b}[2Jb"] {
        assert!(
            matches!(casework.add_note(&ada, &number, NoteKind::Note, refused).await, Err(CaseworkError::Invalid { .. })),
            "{refused:?}"
        );
    }
    let kept =
        database.column("SELECT version || ' ' || author || ' ' || body FROM incident_note_versions ORDER BY version").await;
    assert_eq!(kept, [format!("1 ada {hostile}"), "2 os:tester second".to_owned()]);
    let note = casework.incident(&ada, &number).await.unwrap().notes.remove(0);
    assert_eq!((&*note.body, &*note.author, &*note.edited_by, note.version), ("second", "ada", "os:tester", 2));

    let due = |seconds: i64| Some(Some(Timestamp::now().plus_micros(seconds * 1_000_000)));
    let task = |title: &str, due_at| TaskEdit { title: Some(title.to_owned()), due_at, ..TaskEdit::default() };
    let late = casework.add_task(&ada, &number, &task("late", due(-60))).await.unwrap();
    let soon = casework.add_task(&ada, &number, &task("soon", due(3600))).await.unwrap();
    casework.add_task(&ada, &number, &task("some time", None)).await.unwrap();
    assert!(matches!(
        casework.add_task(&ada, &number, &TaskEdit::default()).await,
        Err(CaseworkError::Invalid { field: "title", .. })
    ));
    let titles = async |filter: TaskFilter| {
        let tasks = casework.tasks(&ada, &filter, 10).await.unwrap();
        tasks.into_iter().map(|task| task.title).collect::<Vec<_>>()
    };
    assert_eq!(titles(TaskFilter::default()).await, ["late", "soon", "some time"]);
    assert_eq!(titles(TaskFilter { overdue: true, ..TaskFilter::default() }).await, ["late"]);
    let done = TaskEdit { status: Some(TaskStatus::Done), assignee: Some(Some("ada".into())), ..TaskEdit::default() };
    let after = casework.edit_task(&ada, late, &done, Some(1)).await.unwrap();
    assert!(after.done_at.is_some() && after.version == 2);
    assert!(matches!(casework.edit_task(&ada, late, &done, Some(1)).await, Err(CaseworkError::Conflict(_))));
    assert_eq!(titles(TaskFilter { overdue: true, ..TaskFilter::default() }).await, [""; 0]);
    assert_eq!(titles(TaskFilter { assignee: Some("ada".into()), all: true, ..TaskFilter::default() }).await, ["late"]);
    let reopened = casework.edit_task(&ada, soon, &TaskEdit { due_at: Some(None), ..TaskEdit::default() }, None).await.unwrap();
    assert_eq!(reopened.due_at, None);
}
