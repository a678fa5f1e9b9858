//! What incidents have to do with things and with each other, against a real server: observables, links, merging, splitting, removing.

use std::future::ready;

use tocsin::casework::incidents::{Dossier, IncidentEdit, NewIncident};
use tocsin::casework::split::Split;
use tocsin::casework::tasks::TaskEdit;
use tocsin::casework::{Actor, Casework, CaseworkError, Role};
use tocsin::record::case::{Category, LinkKind, NoteKind, Status, TaskStatus};
use tocsin::record::incident::{Detector, Group, IncidentChange, RaisedBy};
use tocsin::record::observable::{Kind, Tlp};
use tocsin::record::{EventType, LogRecord, Severity, Timestamp};
use tocsin::store::copy::{RowMeta, Rows};
use tocsin::store::rollups::Rollups;
use tocsin::store::{Connection, Store, Transaction, Writer};

use crate::support::{Database, casework};

fn os() -> Actor {
    Actor::operator("tester")
}

fn new(title: &str) -> NewIncident {
    NewIncident {
        title: title.to_owned(),
        description: String::new(),
        severity: Severity::Low,
        category: Category::Other,
        first_seen: None,
    }
}

/// The event time of the record with that id.
fn time(id: i64) -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-20T10:00:00Z").unwrap().plus_micros(id * 1_000_000)
}

/// Log records, and what detectors make of them.
struct Ingestion {
    writer: Writer<Connection>,
    epoch: i64,
    transactions: i64,
    max_evidence: usize,
}

impl Ingestion {
    async fn into(database: &Database) -> Ingestion {
        let store = Store::connect(database.options.clone()).await.unwrap();
        store.ensure_partition(time(0).day()).await.unwrap();
        let epoch = store.take_over().await.unwrap().epoch;
        Ingestion { writer: store.writer().await.unwrap(), epoch, transactions: 0, max_evidence: 1_000 }
    }

    /// Stores records with these ids.
    async fn log(&mut self, records: &[(i64, LogRecord<'_>)]) {
        let mut rows = Rows::default();
        for (id, record) in records {
            let message = record.message.as_bytes();
            rows.push(record, &RowMeta { id: *id, event_time: time(*id), received_at: time(*id), source: "lan", frame: message });
        }
        self.store(&rows, &[]).await;
    }

    async fn found(&mut self, changes: &[IncidentChange]) {
        self.store(&Rows::default(), changes).await;
    }

    async fn store(&mut self, rows: &Rows, changes: &[IncidentChange]) {
        self.transactions += 1;
        let work = Transaction {
            number: self.transactions,
            epoch: self.epoch,
            floor: None,
            rows,
            rollups: &Rollups::default(),
            positions: &[],
            ledger: &[],
            losses: &[],
            deliveries: &[],
            changes,
            max_evidence: self.max_evidence,
            patience: crate::support::PATIENCE,
        };
        self.writer.store(&work, &|_| panic!("no row is refused here"), ready(())).await.unwrap();
    }
}

fn login(address: &str, user: &str) -> LogRecord<'static> {
    let mut record = LogRecord::text(format!("Failed password for {user} from {address} port 22 ssh2"));
    record.event_type = EventType::LoginFailed;
    record.src_ip = Some(address.parse().unwrap());
    record.username = Some(user.to_owned().into());
    record
}

/// What a detector found in records with these ids, each of which stands for so many events.
fn found(detector: Detector, address: &str, ids: impl IntoIterator<Item = i64>, each: u32) -> IncidentChange {
    let evidence: Vec<(Timestamp, i64, u32)> = ids.into_iter().map(|id| (time(id), id, each)).collect();
    IncidentChange {
        raised_by: RaisedBy::Detector(detector),
        group: Group(vec![("src_ip".into(), address.to_owned())]),
        events: evidence.len() as u64 * u64::from(each),
        first_seen: evidence[0].0,
        last_seen: evidence.last().unwrap().0,
        values: Vec::new(),
        usernames: vec!["root".into()],
        evidence,
        severity: Severity::Medium,
        escalation: None,
        window_micros: 3_600_000_000,
        threshold: 3,
    }
}

/// The number of the unresolved incident of a detector.
async fn number_of(database: &Database, detector: Detector, address: &str) -> String {
    let sql = format!(
        "SELECT number FROM incidents WHERE detector = '{}' AND group_key = 'src_ip={address}' AND status = 'open'",
        detector.as_str()
    );
    let mut found = database.column(&sql).await;
    assert_eq!(found.len(), 1, "{detector:?} {address}: {found:?}");
    found.remove(0)
}

/// Looks through all evidence that waits for it.
async fn look_through(casework: &Casework) {
    while casework.find_observables().await.unwrap() > 0 {}
}

fn values(dossier: &Dossier) -> Vec<String> {
    dossier.observables.iter().map(|o| format!("{} {} {} {}", o.kind, o.value, o.tlp, o.source)).collect()
}

async fn events(casework: &Casework, number: &str) -> (i64, usize) {
    let dossier = casework.incident(&os(), number).await.unwrap();
    (dossier.incident.event_count, dossier.evidence.len())
}

fn told(dossier: &Dossier) -> String {
    dossier.timeline.iter().map(|what| &*what.event).collect::<Vec<_>>().join(" ")
}

fn conflict<T: std::fmt::Debug>(done: Result<T, CaseworkError>) -> String {
    match done {
        Err(CaseworkError::Conflict(why)) => why,
        other => panic!("no conflict: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_in_evidence_is_found_once_and_what_people_say_of_it_stays() {
    let (database, office) = (Database::new().await, os());
    let casework = casework(&database).await;
    let mut ingestion = Ingestion::into(&database).await;
    let mut alert = login("192.0.2.1", "root");
    alert.message = "GET http://evil.example.com/x.sh in main.rs, mail to ada@example.com".into();
    alert.set("file.hash.md5", "D41D8CD98F00B204E9800998ECF8427E");
    alert.dst_ip = Some("2001:db8::1".parse().unwrap());
    ingestion.log(&[(1, login("192.0.2.1", "root")), (2, alert), (3, login("192.0.2.1", "\u{1b}[2J"))]).await;
    ingestion.found(&[found(Detector::BruteForce, "192.0.2.1", 1..=3, 1)]).await;
    let number = number_of(&database, Detector::BruteForce, "192.0.2.1").await;
    look_through(&casework).await;
    let all = [
        "address 192.0.2.1 amber evidence",
        "address 2001:db8::1 amber evidence",
        "domain evil.example.com amber evidence",
        "url http://evil.example.com/x.sh amber evidence",
        "hash d41d8cd98f00b204e9800998ecf8427e amber evidence",
        "user root amber evidence",
        "email ada@example.com amber evidence",
    ];
    let dossier = casework.incident(&office, &number).await.unwrap();
    assert_eq!(values(&dossier), all);
    assert_eq!(dossier.observables[0].log_id, Some(1), "the first record that has it");
    assert_eq!(casework.find_observables().await.unwrap(), 0, "nothing waits any more");

    // By hand: added, marked, taken away.
    let [address, user] = [dossier.observables[0].id, dossier.observables[5].id];
    let typed = (Kind::Url, "hxxps://C2[.]example[.]net/A");
    let id = casework.add_observable(&office, &number, typed, Tlp::Red, Some("from a colleague")).await.unwrap();
    assert!(conflict(casework.add_observable(&office, &number, typed, Tlp::Red, None).await).contains("has that url"));
    let wrong = casework.add_observable(&office, &number, (Kind::Address, "192.0.2.0/24"), Tlp::Red, None).await;
    assert!(matches!(wrong, Err(CaseworkError::Invalid { field: "value", .. })), "{wrong:?}");
    let marked = casework.edit_observable(&office, &number, address, Some(Tlp::AmberStrict), Some("the VPN")).await.unwrap();
    assert_eq!((&*marked.tlp, marked.comment.as_deref()), ("amber+strict", Some("the VPN")));
    casework.remove_observable(&office, &number, user).await.unwrap();
    let gone = casework.remove_observable(&office, &number, user).await;
    assert!(matches!(gone, Err(CaseworkError::NotFound(_))), "{gone:?}");
    // More evidence of the same neither changes what was said nor brings back what was taken away.
    ingestion.log(&[(4, login("192.0.2.1", "root")), (5, login("192.0.2.1", "eve"))]).await;
    ingestion.found(&[found(Detector::BruteForce, "192.0.2.1", 4..=5, 1)]).await;
    look_through(&casework).await;
    let dossier = casework.incident(&office, &number).await.unwrap();
    let now = values(&dossier);
    for (line, is_there) in [
        ("address 192.0.2.1 amber+strict evidence", true),
        ("url https://c2.example.net/A red hand", true),
        ("user eve amber evidence", true),
        ("user root amber evidence", false),
    ] {
        assert_eq!(now.iter().any(|l| l == line), is_there, "{line}: {now:?}");
    }
    assert_eq!(told(&dossier), "opened observable observable observable");
    casework.add_observable(&office, &number, (Kind::User, "root"), Tlp::Green, None).await.unwrap();
    let seen = casework.sightings(&office, "hxxps://C2[.]example[.]net/A", None, 10).await.unwrap();
    assert_eq!(seen.iter().map(|s| (&*s.incident, s.observable_id)).collect::<Vec<_>>(), [(&*number, id)]);
    assert_eq!(casework.sightings(&office, "192.0.2.99", None, 10).await.unwrap(), []);
    let eve = Actor { role: Role::Viewer, ..os() };
    let refused = casework.add_observable(&eve, &number, (Kind::User, "x"), Tlp::Red, None).await;
    assert!(matches!(refused, Err(CaseworkError::Forbidden { .. })), "{refused:?}");
    assert_eq!(casework.check_audit(&office, None, &mut |_| {}).await.unwrap().tampered, None);
}

/// Two daemons, or one that died and one that follows: whoever looks through evidence, each piece is looked through, and nothing is
/// there twice.
#[tokio::test(flavor = "multi_thread")]
async fn several_look_through_the_same_evidence_and_an_incident_has_a_thousand_observables_at_most() {
    let database = Database::new().await;
    let offices = [casework(&database).await, casework(&database).await, casework(&database).await];
    let mut ingestion = Ingestion::into(&database).await;
    let records: Vec<(i64, LogRecord<'_>)> = (1..=900)
        .map(|id| {
            let mut record = login(&format!("198.51.{}.{}", id % 3, id % 250), &format!("user{}", id % 7));
            record.message = format!("mail from a{id}@example.com and b{id}@example.com").into();
            (id, record)
        })
        .collect();
    ingestion.log(&records).await;
    for address in 0..9 {
        let ids: Vec<i64> = (1..=900).filter(|id| id % 9 == address).collect();
        ingestion.found(&[found(Detector::BruteForce, &format!("192.0.2.{address}"), ids, 1)]).await;
    }
    ingestion.found(&[found(Detector::LoginFailures, "192.0.2.77", 1..=900, 1)]).await;
    let workers: Vec<_> =
        offices.iter().cloned().map(|office| tokio::spawn(async move { look_through(&office).await })).collect();
    for worker in workers {
        worker.await.unwrap();
    }
    // One may have passed over what another one was at.
    look_through(&offices[0]).await;
    assert_eq!(database.number("SELECT count(*) FROM incident_evidence WHERE NOT extracted").await, 0);
    let per_incident = "SELECT count(*) || ' ' || count(DISTINCT observable_id) FROM incident_observables GROUP BY incident_id ORDER BY incident_id";
    let counts = database.column(per_incident).await;
    assert_eq!(counts.last().map(String::as_str), Some("1000 1000"), "the limit");
    for count in &counts[..9] {
        let (all, distinct) = count.split_once(' ').unwrap();
        assert_eq!(all, distinct);
        assert!(all.parse::<i64>().unwrap() > 200, "two addresses of each record, and more: {all}");
    }
    let last = offices[0]
        .add_observable(
            &os(),
            &number_of(&database, Detector::LoginFailures, "192.0.2.77").await,
            (Kind::User, "x"),
            Tlp::Red,
            None,
        )
        .await;
    assert!(conflict(last).contains("can have no more"));
    let missing = "SELECT count(*) FROM incident_evidence e JOIN incidents i ON i.id = e.incident_id WHERE i.detector = 'brute_force' AND NOT EXISTS ( \
                   SELECT FROM incident_observables x JOIN observables o ON o.id = x.observable_id WHERE x.incident_id = e.incident_id AND o.value = e.record->>'src_ip')";
    assert_eq!(database.number(missing).await, 0);
}

#[tokio::test]
async fn incidents_that_share_what_few_have_are_related_before_those_that_share_what_many_have() {
    let (database, office) = (Database::new().await, os());
    let casework = casework(&database).await;
    let mut numbers = Vec::new();
    for n in 0..106 {
        let number = casework.open_incident(&office, &new(&format!("n {n}"))).await.unwrap();
        casework.add_observable(&office, &number, (Kind::User, "root"), Tlp::Clear, None).await.unwrap();
        numbers.push(number);
    }
    let add = async |n: usize, value: &str| {
        casework.add_observable(&office, &numbers[n], (Kind::Domain, value), Tlp::Clear, None).await.unwrap()
    };
    for n in 0..40 {
        add(n, "common.example.com").await;
    }
    add(0, "rare.example.com").await;
    add(50, "rare.example.com").await;
    let less_rare = add(0, "some.example.com").await;
    for n in 51..55 {
        add(n, "some.example.com").await;
    }
    let related = casework.incident(&office, &numbers[0]).await.unwrap().related;
    assert_eq!(related.len(), 20, "no more");
    assert_eq!(related[0].number, numbers[50]);
    let shared: Vec<_> = related[0].shared.iter().map(|s| (&*s.value, s.incidents)).collect();
    assert_eq!(shared, [("rare.example.com", 2)], "what all have says nothing");
    let next: Vec<&str> = related[1..5].iter().map(|r| &*r.number).collect();
    assert_eq!(next, [&*numbers[54], &*numbers[53], &*numbers[52], &*numbers[51]]);
    assert!(related[5..].iter().all(|r| r.shared[0].value == "common.example.com" && r.shared_count == 1));
    casework.remove_observable(&office, &numbers[0], less_rare).await.unwrap();
    let related = casework.incident(&office, &numbers[0]).await.unwrap().related;
    assert!(related.iter().all(|r| r.number != numbers[54]), "what was taken away relates nothing");
    let page = casework.sightings(&office, "root", None, 100).await.unwrap();
    let behind = page.last().map(|last| (last.incident_id, last.observable_id));
    let rest = casework.sightings(&office, "root", behind, 100).await.unwrap();
    assert_eq!((page.len(), rest.len()), (100, 6), "page by page, each once");
}

#[tokio::test]
async fn a_link_is_seen_from_both_sides() {
    let (database, office) = (Database::new().await, os());
    let casework = casework(&database).await;
    let a = casework.open_incident(&office, &new("a")).await.unwrap();
    let b = casework.open_incident(&office, &new("b")).await.unwrap();
    casework.link(&office, &b, LinkKind::DuplicateOf, &a).await.unwrap();
    casework.link(&office, &b, LinkKind::Related, &a).await.unwrap();
    let seen = async |number: &str| {
        let links = casework.incident(&office, number).await.unwrap().links;
        links.into_iter().map(|link| format!("{} {}", link.kind, link.incident)).collect::<Vec<_>>()
    };
    assert_eq!(seen(&a).await, [format!("has_duplicate {b}"), format!("related {b}")]);
    assert_eq!(seen(&b).await, [format!("duplicate_of {a}"), format!("related {a}")]);
    assert!(conflict(casework.link(&office, &a, LinkKind::HasDuplicate, &b).await).contains("already"));
    assert!(conflict(casework.link(&office, &a, LinkKind::Related, &b).await).contains("already"));
    assert!(conflict(casework.link(&office, &a, LinkKind::DuplicateOf, &b).await).contains("cannot be both"));
    let itself = casework.link(&office, &a, LinkKind::CausedBy, &a).await;
    assert!(matches!(itself, Err(CaseworkError::Invalid { field: "incident", .. })), "{itself:?}");
    let nothing = casework.link(&office, &a, LinkKind::CausedBy, "INC-1999-000001").await;
    assert!(matches!(nothing, Err(CaseworkError::NotFound(_))), "{nothing:?}");
    casework.unlink(&office, &a, LinkKind::HasDuplicate, &b).await.unwrap();
    casework.unlink(&office, &a, LinkKind::Related, &b).await.unwrap();
    let gone = casework.unlink(&office, &a, LinkKind::Related, &b).await;
    assert!(matches!(gone, Err(CaseworkError::NotFound(_))), "{gone:?}");
    for number in [&a, &b] {
        assert_eq!(seen(number).await, [""; 0]);
        assert_eq!(told(&casework.incident(&office, number).await.unwrap()), "opened link link link link");
    }
}

/// Two detectors tell of the same attack; people merge what they opened.
#[tokio::test]
async fn a_merged_incident_goes_on_in_the_other_and_each_event_counts_once() {
    let (database, office) = (Database::new().await, os());
    let casework = casework(&database).await;
    let mut ingestion = Ingestion::into(&database).await;
    let records: Vec<_> = (1..=60).map(|id| (id, login("192.0.2.1", "root"))).collect();
    ingestion.log(&records).await;
    let brute = |ids: std::ops::RangeInclusive<i64>| found(Detector::BruteForce, "192.0.2.1", ids, 2);
    let failures = |ids: std::ops::RangeInclusive<i64>| IncidentChange {
        severity: Severity::High,
        usernames: vec!["eve".into()],
        ..found(Detector::LoginFailures, "192.0.2.1", ids, 2)
    };
    // Each record stands for two events; five records are in both.
    ingestion.found(&[brute(6..=15), failures(1..=10)]).await;
    let a = number_of(&database, Detector::LoginFailures, "192.0.2.1").await;
    let b = number_of(&database, Detector::BruteForce, "192.0.2.1").await;
    look_through(&casework).await;
    let note = casework.add_note(&office, &a, NoteKind::Finding, "a VPN").await.unwrap();
    let task = casework.add_task(&office, &a, &TaskEdit { title: Some("ask".into()), ..TaskEdit::default() }).await.unwrap();
    let observables = casework.observables(&office, &a).await.unwrap();
    casework.edit_observable(&office, &a, observables[0].id, Some(Tlp::Red), Some("theirs")).await.unwrap();
    casework.add_observable(&office, &a, (Kind::Domain, "evil.com"), Tlp::Green, None).await.unwrap();

    assert!(conflict(casework.merge_incidents(&office, &a, &b, Some(7)).await).contains("version 1"));
    let merged = casework.merge_incidents(&office, &a, &b, Some(1)).await.unwrap();
    assert_eq!((merged.event_count, &*merged.severity, &*merged.priority, merged.version), (30, "high", "P2", 2));
    assert_eq!((merged.first_seen, merged.last_seen), (Some(time(1)), Some(time(15))));
    assert_eq!(merged.usernames, ["eve", "root"]);
    let (of_a, of_b) = (casework.incident(&office, &a).await.unwrap(), casework.incident(&office, &b).await.unwrap());
    assert_eq!(of_b.incident, merged);
    assert_eq!((of_b.evidence.len(), of_b.notes[0].id, of_b.tasks[0].id), (15, note, task));
    assert_eq!((of_b.parts.clone(), told(&of_b)), (vec![a.clone()], "opened merged".to_owned()));
    assert!(of_b.incident.description.contains(&a), "{}", of_b.incident.description);
    let expected = ["address 192.0.2.1 red evidence", "domain evil.com green hand", "user root amber evidence"];
    assert_eq!(values(&of_b), expected);
    assert_eq!(of_b.observables[0].comment.as_deref(), Some("theirs"));
    let ended = &of_a.incident;
    assert_eq!((&*ended.status, ended.merged_into.as_deref(), ended.event_count), ("resolved", Some(&*b), 0));
    assert_eq!(ended.resolution.as_deref(), Some(&*format!("merged into {b}")));
    assert!(of_a.evidence.is_empty() && of_a.notes.is_empty() && of_a.tasks.is_empty() && of_a.observables.is_empty());
    assert!(told(&of_a).ends_with("merged"), "{}", told(&of_a));
    // It is over for good.
    assert!(conflict(casework.merge_incidents(&office, &a, &b, None).await).contains("already"));
    let c = casework.open_incident(&office, &new("c")).await.unwrap();
    assert!(conflict(casework.merge_incidents(&office, &c, &a, None).await).contains("merge into that one"));
    let reopen = IncidentEdit { status: Some(Status::Investigating), ..IncidentEdit::default() };
    assert!(conflict(casework.edit_incident(&office, &a, &reopen, None).await).contains("work on that one"));

    // Both detectors go on, and tell of the same events in the same transaction, and in another.
    ingestion.found(&[brute(16..=20), failures(11..=18)]).await;
    assert_eq!(events(&casework, &b).await, (40, 20), "records 1 to 20");
    ingestion.found(&[failures(19..=30)]).await;
    assert_eq!(events(&casework, &b).await, (60, 30));
    let alone = found(Detector::AccountCompromise, "192.0.2.1", 30..=33, 2);
    ingestion.found(&[brute(21..=31), alone]).await;
    assert_eq!(events(&casework, &b).await, (62, 31), "another detector still has an incident of its own");
    assert_eq!(events(&casework, &number_of(&database, Detector::AccountCompromise, "192.0.2.1").await).await, (8, 4));
    // Over a chain, too.
    casework.add_note(&office, &c, NoteKind::Note, "n").await.unwrap();
    casework.merge_incidents(&office, &b, &c, None).await.unwrap();
    ingestion.found(&[brute(32..=34), failures(31..=35)]).await;
    assert_eq!(events(&casework, &c).await, (70, 35));
    let of_c = casework.incident(&office, &c).await.unwrap();
    assert_eq!((of_c.parts, &*of_c.incident.title), (vec![b.clone(), a.clone()], "c"));
    assert_eq!(casework.incident(&office, &a).await.unwrap().incident.merged_into, Some(c.clone()));
    // Until that is resolved: then an attack that goes on opens another, as any does.
    for edit in [
        IncidentEdit {
            resolution: Some("r".into()),
            root_cause: Some("c".into()),
            lessons_learned: Some("l".into()),
            ..IncidentEdit::default()
        },
        IncidentEdit { status: Some(Status::Resolved), ..IncidentEdit::default() },
    ] {
        casework.edit_incident(&office, &c, &edit, None).await.unwrap();
    }
    ingestion.found(&[brute(36..=40), failures(36..=40)]).await;
    assert_eq!(events(&casework, &c).await, (70, 35));
    let open = "SELECT detector || ' ' || event_count FROM incidents WHERE status = 'open' AND detector <> 'account_compromise' ORDER BY 1";
    assert_eq!(database.column(open).await, ["brute_force 10", "login_failures 10"]);
    let once = "SELECT count(*) - count(DISTINCT log_id) FROM incident_evidence WHERE incident_id IN (SELECT id FROM incidents WHERE detector IS NULL)";
    assert_eq!(database.number(once).await, 0);
    let times = database.column("SELECT count(*) FROM incidents WHERE merged_into IS NOT NULL AND resolved_at IS NULL").await;
    assert_eq!(times, ["0"]);
    assert_eq!(casework.check_audit(&office, None, &mut |_| {}).await.unwrap().tampered, None);
}

/// Somebody may be faster than the detector.
#[tokio::test]
async fn what_somebody_attached_counts_once_when_the_detector_tells_of_it() {
    let (database, office) = (Database::new().await, os());
    let casework = casework(&database).await;
    let mut ingestion = Ingestion::into(&database).await;
    let records: Vec<_> = (1..=10).map(|id| (id, login("192.0.2.1", "root"))).collect();
    ingestion.log(&records).await;
    ingestion.found(&[found(Detector::BruteForce, "192.0.2.1", 1..=5, 1)]).await;
    let number = number_of(&database, Detector::BruteForce, "192.0.2.1").await;
    casework.attach_logs(&office, &number, &[5, 6, 7]).await.unwrap();
    assert_eq!(events(&casework, &number).await, (7, 7));
    ingestion.found(&[found(Detector::BruteForce, "192.0.2.1", 6..=8, 1)]).await;
    assert_eq!(events(&casework, &number).await, (8, 8));
}

#[tokio::test]
async fn beyond_the_limit_of_evidence_what_is_held_is_still_counted_once() {
    let (database, office) = (Database::new().await, os());
    let casework = casework(&database).await;
    let mut ingestion = Ingestion { max_evidence: 10, ..Ingestion::into(&database).await };
    let records: Vec<_> = (1..=60).map(|id| (id, login("192.0.2.1", "root"))).collect();
    ingestion.log(&records).await;
    ingestion
        .found(&[found(Detector::BruteForce, "192.0.2.1", 1..=20, 1), found(Detector::LoginFailures, "192.0.2.1", 1..=5, 1)])
        .await;
    let (a, b) = (
        number_of(&database, Detector::LoginFailures, "192.0.2.1").await,
        number_of(&database, Detector::BruteForce, "192.0.2.1").await,
    );
    casework.merge_incidents(&office, &a, &b, None).await.unwrap();
    assert_eq!(events(&casework, &b).await, (20, 10));
    // Of one transaction: 21 to 30, though none of them is attached any more.
    ingestion
        .found(&[found(Detector::BruteForce, "192.0.2.1", 21..=30, 1), found(Detector::LoginFailures, "192.0.2.1", 21..=30, 1)])
        .await;
    assert_eq!(events(&casework, &b).await, (30, 10));
}

#[tokio::test]
async fn what_is_split_off_goes_with_its_counts_and_its_observables() {
    let (database, office) = (Database::new().await, os());
    let casework = casework(&database).await;
    let mut ingestion = Ingestion::into(&database).await;
    let records: Vec<_> = (1..=10).map(|id| (id, login("192.0.2.1", if id <= 4 { "ada" } else { "bob" }))).collect();
    ingestion.log(&records).await;
    ingestion.found(&[found(Detector::BruteForce, "192.0.2.1", 1..=10, 3)]).await;
    let number = number_of(&database, Detector::BruteForce, "192.0.2.1").await;
    look_through(&casework).await;
    let note = casework.add_note(&office, &number, NoteKind::Note, "n").await.unwrap();
    let task = casework.add_task(&office, &number, &TaskEdit { title: Some("t".into()), ..TaskEdit::default() }).await.unwrap();
    let wanted = |evidence: &[i64], notes: &[i64], tasks: &[i64]| Split {
        title: "Ada alone".into(),
        severity: Severity::Critical,
        evidence: evidence.to_vec(),
        notes: notes.to_vec(),
        tasks: tasks.to_vec(),
    };
    for (refused, want) in
        [(wanted(&[], &[], &[]), "evidence"), (wanted(&[1, 99], &[], &[]), "evidence"), (wanted(&[1], &[note + 9], &[]), "notes")]
    {
        let refused = casework.split_incident(&office, &number, &refused, None).await;
        assert!(matches!(&refused, Err(CaseworkError::Invalid { field, .. }) if *field == want), "{refused:?}");
    }
    assert_eq!(events(&casework, &number).await, (30, 10), "nothing went");
    let split = wanted(&[1, 2, 3, 4, 4], &[note], &[task]);
    assert!(conflict(casework.split_incident(&office, &number, &split, Some(9)).await).contains("version 1"));
    let other = casework.split_incident(&office, &number, &split, Some(1)).await.unwrap();
    look_through(&casework).await;
    let (left, went) = (casework.incident(&office, &number).await.unwrap(), casework.incident(&office, &other).await.unwrap());
    assert_eq!((left.incident.event_count, left.evidence.len(), left.incident.version), (18, 6, 2));
    assert_eq!((went.incident.event_count, went.evidence.len(), &*went.incident.priority), (12, 4, "P1"));
    assert_eq!((left.incident.first_seen, left.incident.last_seen), (Some(time(5)), Some(time(10))));
    assert_eq!((went.incident.first_seen, went.incident.last_seen), (Some(time(1)), Some(time(4))));
    assert_eq!((went.notes[0].id, went.tasks[0].id, left.notes.len(), left.tasks.len()), (note, task, 0, 0));
    assert_eq!(values(&went), ["address 192.0.2.1 amber evidence", "user ada amber evidence"]);
    assert_eq!(values(&left), ["address 192.0.2.1 amber evidence", "user bob amber evidence"]);
    assert_eq!((&*left.links[0].kind, &left.links[0].incident, &went.links[0].incident), ("related", &other, &number));
    assert_eq!((told(&left), told(&went)), ("opened note task split link".to_owned(), "opened link".to_owned()));
    // The detector's events go on to its own.
    ingestion.log(&[(11, login("192.0.2.1", "bob"))]).await;
    ingestion.found(&[found(Detector::BruteForce, "192.0.2.1", 11..=11, 3)]).await;
    assert_eq!((events(&casework, &number).await, events(&casework, &other).await), ((21, 7), (12, 4)));
}

#[tokio::test]
async fn what_is_purged_is_gone_but_for_the_audit_log() {
    let (database, office) = (Database::new().await, os());
    let casework = casework(&database).await;
    let mut ingestion = Ingestion::into(&database).await;
    ingestion.log(&[(1, login("192.0.2.1", "ada")), (2, login("192.0.2.2", "ada"))]).await;
    ingestion
        .found(&[found(Detector::BruteForce, "192.0.2.1", 1..=1, 1), found(Detector::BruteForce, "192.0.2.2", 2..=2, 1)])
        .await;
    look_through(&casework).await;
    let (number, other) = (
        number_of(&database, Detector::BruteForce, "192.0.2.1").await,
        number_of(&database, Detector::BruteForce, "192.0.2.2").await,
    );
    let part = casework.open_incident(&office, &new("part")).await.unwrap();
    casework.merge_incidents(&office, &part, &number, None).await.unwrap();
    casework.add_note(&office, &number, NoteKind::Note, "secret").await.unwrap();
    casework.add_task(&office, &number, &TaskEdit { title: Some("t".into()), ..TaskEdit::default() }).await.unwrap();
    casework.link(&office, &number, LinkKind::CauseOf, &other).await.unwrap();
    let purge = async |actor: &Actor, number: &str| casework.purge_incident(actor, number, "as the law says").await;
    assert!(conflict(purge(&office, &number).await).contains("not archived"));
    let end = IncidentEdit {
        status: Some(Status::FalsePositive),
        resolution: Some("none".into()),
        archived: Some(true),
        ..IncidentEdit::default()
    };
    casework.edit_incident(&office, &number, &end, None).await.unwrap();
    let ada = Actor { role: Role::Analyst, ..os() };
    assert!(matches!(purge(&ada, &number).await, Err(CaseworkError::Forbidden { .. })));
    assert!(conflict(purge(&office, &number).await).contains(&part));
    let archive = IncidentEdit { archived: Some(true), ..IncidentEdit::default() };
    casework.edit_incident(&office, &part, &archive, None).await.unwrap();
    purge(&office, &part).await.unwrap();
    purge(&office, &number).await.unwrap();
    assert!(matches!(casework.incident(&office, &number).await, Err(CaseworkError::NotFound(_))));
    assert!(matches!(purge(&office, &number).await, Err(CaseworkError::NotFound(_))));
    for table in ["incident_evidence", "incident_timeline", "incident_observables", "incidents"] {
        let column = if table == "incidents" { "id" } else { "incident_id" };
        let others =
            format!("SELECT count(*) FROM {table} WHERE {column} <> (SELECT id FROM incidents WHERE number = '{other}')");
        assert_eq!(database.number(&others).await, 0, "{table}");
    }
    assert_eq!(database.number("SELECT count(*) FROM incident_note_versions").await, 0);
    assert_eq!(
        database.column("SELECT value FROM observables ORDER BY id").await,
        ["192.0.2.2", "ada"],
        "what no other has is gone"
    );
    let left = casework.incident(&office, &other).await.unwrap();
    assert_eq!((left.links.len(), told(&left)), (0, "opened link link".to_owned()));
    let audited = format!(
        "SELECT action || ' ' || reason || ' ' || (old::text LIKE '%ada%') FROM audit_log WHERE subject = 'incident:{number}' ORDER BY id DESC LIMIT 1"
    );
    assert_eq!(database.column(&audited).await, ["incident.purge as the law says false"]);
    assert!(casework.open_incident(&office, &new("next")).await.unwrap() > part, "no number is given again");
    assert_eq!(casework.check_audit(&office, None, &mut |_| {}).await.unwrap().tampered, None);
}

/// Fifty people who merge, split and change the same few incidents, while detectors feed them and evidence is looked through.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_merge_split_and_change_the_same_few_and_no_event_is_lost() {
    const GROUPS: i64 = 6;
    const ROUNDS: i64 = 30;
    let database = Database::new().await;
    // Twelve connections.
    let offices = [casework(&database).await, casework(&database).await, casework(&database).await];
    let office = offices[0].clone();
    let address = |group: i64| format!("192.0.2.{group}");
    let mut ingestion = Ingestion::into(&database).await;
    let records: Vec<_> = (1..=GROUPS * ROUNDS * 2).map(|id| (id, login(&address(id % GROUPS), "root"))).collect();
    ingestion.log(&records).await;
    let changes = |round: i64| {
        let of = move |group: i64| {
            found(Detector::BruteForce, &address(group), [round * 2, round * 2 + 1].map(|n| n * GROUPS + group + 1), 1)
        };
        (0..GROUPS).map(of).collect::<Vec<_>>()
    };
    ingestion.found(&changes(0)).await;
    let numbers = database.column("SELECT number FROM incidents ORDER BY id").await;
    let mut tasks = Vec::new();
    for number in &numbers {
        let task = TaskEdit { title: Some("t".into()), ..TaskEdit::default() };
        tasks.push(office.add_task(&os(), number, &task).await.unwrap());
    }
    let people: Vec<_> = (0..50usize)
        .map(|n| {
            let (office, numbers, task) = (offices[n % 3].clone(), numbers.clone(), tasks[n % tasks.len()]);
            tokio::spawn(async move {
                let actor = Actor { name: format!("user{n}"), ..os() };
                let (this, that) = (&numbers[n % numbers.len()], &numbers[(n * 7 + 1) % numbers.len()]);
                let done = match n % 5 {
                    0 => office.merge_incidents(&actor, this, that, None).await.map(|_| ()),
                    1 => {
                        let evidence = office.incident(&actor, this).await.unwrap().evidence;
                        let evidence = evidence.iter().take(1).map(|e| e.log_id).collect();
                        let split = Split {
                            title: format!("split {n}"),
                            severity: Severity::Low,
                            evidence,
                            notes: vec![],
                            tasks: vec![],
                        };
                        office.split_incident(&actor, this, &split, None).await.map(|_| ())
                    }
                    2 => {
                        let edit = IncidentEdit { title: Some(format!("title {n}")), ..IncidentEdit::default() };
                        office.edit_incident(&actor, this, &edit, None).await.map(|_| ())
                    }
                    3 => {
                        let status = if n % 2 == 0 { TaskStatus::Done } else { TaskStatus::InProgress };
                        let edit = TaskEdit { status: Some(status), ..TaskEdit::default() };
                        office.edit_task(&actor, task, &edit, None).await.map(|_| ())
                    }
                    _ => office.link(&actor, this, LinkKind::Related, that).await,
                };
                match done {
                    Ok(()) => true,
                    Err(CaseworkError::Store(error)) => panic!("{n}: {}", error.in_one_line()),
                    Err(_) => false,
                }
            })
        })
        .collect();
    let finder = {
        let office = office.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                look_through(&office).await;
                tokio::task::yield_now().await;
            }
        })
    };
    for round in 1..ROUNDS {
        ingestion.found(&changes(round)).await;
    }
    let mut done = 0;
    for person in people {
        done += u32::from(person.await.unwrap());
    }
    finder.await.unwrap();
    look_through(&office).await;
    assert!(done > 20, "most of it could be done: {done}");
    let all = GROUPS * ROUNDS * 2;
    assert_eq!(database.number("SELECT count(*) FROM incident_evidence").await, all, "each record once");
    assert_eq!(database.number("SELECT count(DISTINCT log_id) FROM incident_evidence").await, all);
    assert_eq!(database.number("SELECT sum(event_count)::bigint FROM incidents").await, all, "each event once");
    let wrong = "SELECT count(*) FROM incidents i WHERE event_count <> (SELECT count(*) FROM incident_evidence e WHERE e.incident_id = i.id)";
    assert_eq!(database.number(wrong).await, 0, "each incident counts what it has");
    let astray = "SELECT count(*) FROM incidents p JOIN incidents w ON w.id = p.merged_into WHERE w.merged_into IS NOT NULL";
    assert_eq!(database.number(astray).await, 0, "what was merged is part of one that stands for itself");
    assert_eq!(
        database.number("SELECT count(*) FROM incidents WHERE detector IS NOT NULL").await,
        GROUPS,
        "none was opened beside another"
    );
    // Whatever was done is told: a row of the audit log for each of these, and one or two of timelines.
    for (action, event, each) in [
        ("incident.merge", "merged", 1),
        ("incident.split", "split", 1),
        ("incident.change", "title", 1),
        ("task.change", "task", 1),
        ("incident.link", "link", 2),
    ] {
        let acts = database.number(&format!("SELECT count(*) FROM audit_log WHERE action = '{action}'")).await;
        let of_split = if event == "link" {
            2 * database.number("SELECT count(*) FROM audit_log WHERE action = 'incident.split'").await
        } else {
            0
        };
        let handed_on = "AND NOT (old ? 'into' AND new ? 'into')";
        let opened = if event == "task" { GROUPS } else { 0 };
        let told = database.number(&format!("SELECT count(*) FROM incident_timeline WHERE event = '{event}' {handed_on}")).await;
        assert!(told == acts * each + opened + of_split, "{action}: {acts}, {event}: {told}");
    }
    assert_eq!(office.check_audit(&os(), None, &mut |_| {}).await.unwrap().tampered, None);
}
