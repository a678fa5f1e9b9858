//! The engine against the naive definition, over random streams; and what only whole records show.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::{Engine, Options, Rule};
use crate::record::incident::{Detector, Group, IncidentChange};
use crate::record::{EventType, LogRecord, Severity, Timestamp, ToldBy, Value};

const SECOND: i64 = 1_000_000;

/// A failed login as the tests make them up.
#[derive(Clone, Copy, Debug)]
struct Event {
    time: i64,
    /// Arrives that much later than it should.
    delay: i64,
    key: u8,
    user: Option<u8>,
    weight: u32,
}

fn address(key: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, key))
}

fn failed(key: u8, user: Option<&str>) -> LogRecord<'static> {
    let mut record = LogRecord::text("");
    record.event_type = EventType::LoginFailed;
    record.severity = Severity::Medium;
    record.src_ip = Some(address(key));
    record.username = user.map(|u| Cow::Owned(u.to_owned()));
    record
}

fn record_of(event: &Event) -> LogRecord<'static> {
    let mut record = failed(event.key, event.user.map(|u| format!("user{u}")).as_deref());
    record.count = event.weight;
    record
}

/// What has been counted for one incident.
#[derive(Debug, Default, PartialEq)]
struct Sum {
    events: u64,
    span: Option<(Timestamp, Timestamp)>,
    ids: Vec<i64>,
    users: BTreeSet<String>,
}

fn names_of(change: &IncidentChange) -> Vec<String> {
    change.usernames.iter().map(|u| u.to_string()).collect()
}

type Sums = BTreeMap<(Detector, Group), Sum>;

fn add(sums: &mut Sums, changes: Vec<IncidentChange>) {
    for c in changes {
        assert!(c.events >= 1 && c.first_seen <= c.last_seen && c.evidence.is_sorted() && c.usernames.is_sorted());
        let users = names_of(&c);
        let sum = sums.entry((c.raised_by.detector().unwrap(), c.group)).or_default();
        sum.events += c.events;
        let (first, last) = sum.span.unwrap_or((c.first_seen, c.last_seen));
        sum.span = Some((first.min(c.first_seen), last.max(c.last_seen)));
        sum.ids.extend(c.evidence.iter().map(|e| e.1));
        sum.ids.sort_unstable();
        sum.users.extend(users);
    }
}

/// The definition, word for word: an event belongs iff a window that starts at some event holds it and enough of its group.
/// Ids are positions in `events`.
fn naive(events: &[Event], options: &Options) -> Sums {
    let mut sums = Sums::new();
    for detector in [Detector::LoginFailures, Detector::BruteForce, Detector::AccountCompromise, Detector::LoginSpike] {
        let rule = options.rule(detector);
        let keyed = detector != Detector::LoginSpike;
        let distinct = detector == Detector::AccountCompromise;
        let takes = |e: &Event| !distinct || e.user.is_some();
        for (id, event) in events.iter().enumerate().filter(|(_, e)| takes(e)) {
            let group: Vec<&Event> = events.iter().filter(|e| takes(e) && (!keyed || e.key == event.key)).collect();
            let belongs = group.iter().any(|start| {
                let inside = |e: &Event| e.time >= start.time && e.time - start.time < rule.window_micros;
                let held: Vec<&&Event> = group.iter().filter(|e| inside(e)).collect();
                let size = if distinct {
                    held.iter().map(|e| e.user).collect::<BTreeSet<_>>().len() as u64
                } else {
                    held.iter().map(|e| u64::from(e.weight)).sum()
                };
                inside(event) && size >= u64::from(rule.threshold)
            });
            if belongs {
                let key = if keyed { vec![("src_ip".into(), address(event.key).to_string())] } else { Vec::new() };
                let sum = sums.entry((detector, Group(key))).or_default();
                let at = Timestamp::from_micros(event.time);
                sum.events += u64::from(event.weight);
                let (first, last) = sum.span.unwrap_or((at, at));
                sum.span = Some((first.min(at), last.max(at)));
                sum.ids.push(id as i64);
                sum.users.extend(event.user.map(|u| format!("user{u}")));
            }
        }
    }
    sums
}

/// Small windows, so that edges matter.
fn options() -> impl Strategy<Value = Options> {
    let rule = |k: std::ops::Range<u32>, w: std::ops::Range<i64>| {
        (k, w).prop_map(|(threshold, w)| Rule { enabled: true, threshold, window_micros: w * SECOND })
    };
    (rule(2..5, 1..20), rule(2..8, 1..60), rule(2..5, 1..40), rule(2..12, 1..20), 0i64..40).prop_map(
        |(login_failures, brute_force, account_compromise, login_spike, lateness)| Options {
            login_failures,
            brute_force,
            account_compromise,
            login_spike,
            lateness_micros: lateness * SECOND,
            max_points: 100_000,
            merge_points_above: 100_000,
            ..Options::default()
        },
    )
}

/// Events in the order in which they happen; steps of zero, of less than a window, and now and then of much more.
fn events(len: usize) -> impl Strategy<Value = Vec<Event>> {
    let step = prop_oneof![3 => Just(0), 8 => 1i64..4, 4 => 4i64..15, 1 => 15i64..400];
    let weight = prop_oneof![6 => Just(1u32), 1 => 2u32..4, 1 => 4u32..20];
    let user = prop_oneof![1 => Just(None), 6 => (0u8..6).prop_map(Some)];
    prop::collection::vec((step, 0i64..=1000, 0u8..3, user, weight), 0..len).prop_map(|steps| {
        let mut time = 1_700_000_000 * SECOND;
        let mut events = Vec::new();
        for (step, delay, key, user, weight) in steps {
            time += step * SECOND;
            events.push(Event { time, delay, key, user, weight });
        }
        events
    })
}

/// Puts them into an order of arrival in which none is more than `lateness` behind (`delay` is a share of it).
fn arrive(mut events: Vec<Event>, lateness: i64) -> Vec<Event> {
    events.sort_by_key(|e| e.time + lateness / 1000 * e.delay);
    events
}

fn run(engine: &mut Engine, events: &[Event], from: usize, sums: &mut Sums, take_every: usize) {
    for (n, event) in events.iter().enumerate().skip(from) {
        engine.observe(&record_of(event), n as i64, Timestamp::from_micros(event.time));
        if n % take_every == 0 {
            add(sums, engine.take_changes());
        }
    }
    add(sums, engine.take_changes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_is_counted_is_what_the_definition_counts(options in options(), events in events(120), take_every in 1usize..30) {
        let events = arrive(events, options.lateness_micros);
        let mut engine = Engine::new(options.clone());
        let mut sums = Sums::new();
        run(&mut engine, &events, 0, &mut sums, take_every);
        prop_assert_eq!(engine.stats().late_total, 0);
        prop_assert_eq!(sums, naive(&events, &options));
    }

    #[test]
    fn without_a_floor_any_order_is_exact(options in options(), mut events in events(60), seed in any::<u64>()) {
        events.sort_by_key(|e| (e.time as u64 ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(e.key) << 60);
        let mut engine = Engine::new(options.clone());
        engine.set_floor(None);
        let mut sums = Sums::new();
        run(&mut engine, &events, 0, &mut sums, 7);
        prop_assert_eq!(sums, naive(&events, &options));
    }

    #[test]
    fn a_restart_changes_nothing(options in options(), events in events(200), share in 0usize..=100) {
        let events = arrive(events, options.lateness_micros);
        let split = events.len() * share / 100;
        let mut through = Engine::new(options.clone());
        run(&mut through, &events[..split], 0, &mut Sums::new(), 1);
        let mut unbroken = Sums::new();
        run(&mut through, &events, split, &mut unbroken, 3);

        let mut again = Engine::new(options.clone());
        let newest = events[..split].iter().map(|e| e.time).max().unwrap_or(0);
        let reach = options.warmup_micros();
        for (n, event) in events[..split].iter().enumerate().filter(|(_, e)| newest - e.time <= reach) {
            again.observe(&record_of(event), n as i64, Timestamp::from_micros(event.time));
        }
        again.take_changes();
        let mut restarted = Sums::new();
        run(&mut again, &events, split, &mut restarted, 3);
        prop_assert_eq!(restarted, unbroken);
    }

    /// The trigger of the system that this one replaces: after each insert, count the address' failures of the last ten minutes.
    #[test]
    fn the_reference_trigger_names_the_same_addresses(events in events(150)) {
        let window = Options::default().login_failures.window_micros;
        let mut rows: Vec<&Event> = Vec::new();
        let mut raised = BTreeSet::new();
        for event in &events {
            for _ in 0..event.weight {
                rows.push(event);
            }
            if rows.iter().filter(|r| r.key == event.key && r.time > event.time - window).count() >= 3 {
                raised.insert(address(event.key).to_string());
            }
        }
        let mut sums = Sums::new();
        run(&mut Engine::new(Options::default()), &events, 0, &mut sums, 10);
        let found: BTreeSet<String> =
            sums.into_keys().filter(|(d, _)| *d == Detector::LoginFailures).map(|(_, g)| g.0[0].1.clone()).collect();
        prop_assert_eq!(found, raised);
    }

    /// Merging keeps what is found, and how much, but for events on the edge of a window.
    #[test]
    fn merged_points_find_the_same_attacks(options in options(), events in events(90)) {
        let events: Vec<Event> = events.into_iter().map(|e| Event { user: e.user.map(|u| u / 3), ..e }).collect();
        let mut merging = Engine::new(Options { merge_points_above: 1, max_points: 512, ..options.clone() });
        let (mut sums, exact) = (Sums::new(), naive(&events, &options));
        run(&mut merging, &events, 0, &mut sums, 5);
        let groups = |sums: &Sums| sums.keys().cloned().collect::<Vec<_>>();
        prop_assert_eq!(merging.stats().points_dropped_total, 0);
        prop_assert_eq!(groups(&sums), groups(&exact));
        for ((detector, group), sum) in &sums {
            let exact = &exact[&(*detector, group.clone())];
            match detector {
                Detector::AccountCompromise => prop_assert!(sum.events >= exact.events && sum.users == exact.users),
                _ => prop_assert_eq!(sum, exact),
            }
        }
    }
}

/// A line of sshd process `pid` about an attempt, `at` seconds after the start.
struct Line(i64, u32, ToldBy, Option<&'static str>, Option<&'static str>, u32);

const START: i64 = 1_767_323_045;

fn observe_lines(engine: &mut Engine, lines: &[Line]) {
    for (id, Line(at, pid, by, ip, user, count)) in lines.iter().enumerate() {
        let mut record = failed(0, *user);
        record.src_ip = ip.map(|ip| ip.parse().unwrap());
        (record.host, record.app, record.pid) = (Some("web1".into()), Some("sshd".into()), Some(*pid));
        (record.told_by, record.count) = (Some(*by), *count);
        engine.observe(&record, id as i64, Timestamp::from_secs(START + at));
    }
}

/// Detector, group, events, accounts.
fn found(engine: &mut Engine) -> Vec<(&'static str, String, u64, Vec<String>)> {
    engine
        .take_changes()
        .into_iter()
        .map(|c| (c.raised_by.detector().unwrap().as_str(), c.group.to_string(), c.events, names_of(&c)))
        .collect()
}

use ToldBy::{Announcement, Closing, Pam, Service};
const IP: Option<&str> = Some("198.51.100.4");

#[test]
fn an_attempt_is_one_event_however_many_lines_tell_of_it() {
    // OpenSSH 8 on Debian, an account that does not exist: four lines for one attempt, of which PAM writes two.
    let attempt = |at, pid, user| {
        [
            Line(at, pid, Announcement, IP, Some(user), 1),
            Line(at + 1, pid, Pam, None, None, 1),
            Line(at + 1, pid, Pam, IP, None, 1),
            Line(at + 3, pid, Service, IP, Some(user), 1),
        ]
    };
    let mut engine = Engine::new(Options::default());
    observe_lines(&mut engine, &attempt(0, 100, "oracle"));
    observe_lines(&mut engine, &attempt(10, 101, "oracle"));
    assert_eq!(found(&mut engine), []);
    observe_lines(&mut engine, &attempt(20, 102, "git"));
    let names = |n: &[&str]| n.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    assert_eq!(found(&mut engine), [("login_failures", "src_ip=198.51.100.4".to_owned(), 3, names(&["git", "oracle"]))]);
    // The third account makes it an attack on several; its own lines come in another order.
    let mut last = attempt(30, 103, "pi");
    last.reverse();
    observe_lines(&mut engine, &last);
    assert_eq!(
        found(&mut engine),
        [
            ("login_failures", "src_ip=198.51.100.4".to_owned(), 1, names(&["pi"])),
            ("account_compromise", "src_ip=198.51.100.4".to_owned(), 4, names(&["git", "oracle", "pi"])),
        ]
    );
}

#[test]
fn a_session_of_several_attempts_counts_what_its_best_teller_knows() {
    // Three attempts in one connection: PAM speaks of the first at once and of the others at the end, the service of each.
    let session = |pid| {
        [
            Line(0, pid, Pam, IP, Some("root"), 1),
            Line(2, pid, Service, IP, Some("root"), 1),
            Line(5, pid, Service, IP, Some("root"), 2),
            Line(9, pid, Closing, None, None, 1),
            Line(9, pid, Pam, IP, Some("root"), 2),
        ]
    };
    let mut engine = Engine::new(Options::default());
    observe_lines(&mut engine, &session(7));
    let total: u64 = found(&mut engine).iter().map(|f| f.2).sum();
    assert_eq!(total, 3);
    observe_lines(&mut engine, &session(8));
    let brute = found(&mut engine).into_iter().find(|f| f.0 == "brute_force");
    assert_eq!(brute.map(|f| f.2), Some(6));
}

#[test]
fn an_account_that_is_named_late_counts_for_who_counts_accounts() {
    let mut engine = Engine::new(Options::default());
    for (pid, user) in [(1, "ann"), (2, "bob"), (3, "cid")] {
        let at = i64::from(pid) * 60;
        observe_lines(&mut engine, &[Line(at, pid, Pam, IP, None, 1), Line(at + 2, pid, Service, IP, Some(user), 1)]);
    }
    let found = found(&mut engine);
    assert_eq!(found.iter().map(|f| (f.0, f.2)).collect::<Vec<_>>(), [("login_failures", 3), ("account_compromise", 3)]);
    assert_eq!(found[1].3, ["ann", "bob", "cid"]);
}

#[test]
fn lines_without_a_remote_end_count_once_it_is_told() {
    let mut engine = Engine::new(Options::default());
    for pid in 1..=3 {
        observe_lines(&mut engine, &[Line(0, pid, Pam, None, None, 1)]);
    }
    assert_eq!(found(&mut engine), []);
    for pid in 1..=3 {
        observe_lines(&mut engine, &[Line(1, pid, Service, IP, Some("root"), 1), Line(2, pid, Closing, None, None, 1)]);
    }
    assert_eq!(found(&mut engine).iter().map(|f| (f.0, f.2)).collect::<Vec<_>>(), [("login_failures", 3)]);
    // A local program's failures have no remote end at all.
    for pid in 11..=20 {
        observe_lines(&mut engine, &[Line(0, pid, Pam, None, Some("root"), 1)]);
    }
    assert_eq!(found(&mut engine), []);
}

#[test]
fn a_process_id_that_comes_back_is_another_session() {
    let mut engine = Engine::new(Options {
        login_failures: Rule { window_micros: 3600 * SECOND, ..Options::default().login_failures },
        ..Options::default()
    });
    for at in [0, 600, 1200] {
        observe_lines(&mut engine, &[Line(at, 55, Pam, IP, None, 1), Line(at, 55, Service, IP, None, 1)]);
    }
    assert_eq!(found(&mut engine).iter().map(|f| f.2).collect::<Vec<_>>(), [3]);
}

#[test]
fn host_names_are_a_group_of_their_own() {
    let mut engine = Engine::new(Options::default());
    for n in 0..3 {
        let mut record = failed(0, Some("root"));
        record.src_ip = None;
        record.set("source.domain", Value::from("bot.example.net"));
        engine.observe(&record, n, Timestamp::from_secs(START + n));
    }
    assert_eq!(engine.take_changes()[0].group.to_string(), "src_host=bot.example.net");
}

#[test]
fn a_window_ends_before_its_last_instant() {
    let window = Options::default().login_failures.window_micros;
    let count = |last: i64| {
        let mut engine = Engine::new(Options::default());
        for (n, at) in [0, 1, last].into_iter().enumerate() {
            engine.observe(&failed(1, None), n as i64, Timestamp::from_micros(START * SECOND + at));
        }
        engine.take_changes().len()
    };
    assert_eq!((count(window - 1), count(window)), (1, 0));
}

#[test]
fn severity_rises_and_every_rule_can_be_off() {
    let mut engine = Engine::new(Options::default());
    for n in 0..20 {
        let mut record = failed(1, Some("root"));
        record.severity = Severity::Critical;
        engine.observe(&record, n, Timestamp::from_secs(START + n));
    }
    let changes = engine.take_changes();
    let detectors: Vec<_> = changes.iter().map(|c| c.raised_by.detector().unwrap()).collect();
    use Detector::{BruteForce, HighSeverityCluster, LoginFailures, LoginSpike};
    assert_eq!(detectors, [LoginFailures, HighSeverityCluster, BruteForce, LoginSpike]);
    assert_eq!(changes.iter().map(|c| c.events).collect::<Vec<_>>(), [20; 4]);
    assert_eq!(changes[2].severity_at(9), Severity::Medium);
    assert_eq!(changes[2].severity_at(10), Severity::High);
    assert_eq!(changes[1].group.to_string(), "event_type=login_failed");
    assert_eq!((changes[3].group.to_string().as_str(), changes[3].severity), ("all", Severity::Medium));

    let mut options = Options::default();
    for rule in [
        &mut options.login_failures,
        &mut options.brute_force,
        &mut options.account_compromise,
        &mut options.login_spike,
        &mut options.high_severity_cluster,
    ] {
        rule.enabled = false;
    }
    let mut off = Engine::new(options);
    for n in 0..50 {
        off.observe(&failed(1, Some("root")), n, Timestamp::from_secs(START + n));
    }
    assert_eq!(off.take_changes(), []);
}

#[test]
fn an_endless_attack_takes_no_more_memory_than_a_short_one() {
    let mut engine = Engine::new(Options::default());
    let mut events = 0;
    let mut after_an_hour = 0;
    for n in 0..100_000i64 {
        engine.observe(&failed(1, Some("root")), n, Timestamp::from_secs(START + n * 2));
        if n % 1000 == 0 {
            events += engine
                .take_changes()
                .iter()
                .filter(|c| c.raised_by.detector() == Some(Detector::LoginFailures))
                .map(|c| c.events)
                .sum::<u64>();
        }
        if n == 2000 {
            after_an_hour = engine.stats().bytes;
        }
    }
    events += engine
        .take_changes()
        .iter()
        .filter(|c| c.raised_by.detector() == Some(Detector::LoginFailures))
        .map(|c| c.events)
        .sum::<u64>();
    assert_eq!(events, 100_000);
    assert_eq!((engine.stats().bytes, engine.stats().points_dropped_total), (after_an_hour, 0));
}

#[test]
fn what_is_over_is_forgotten_and_too_much_is_counted() {
    let mut engine = Engine::new(Options { max_keys: 100, ..Options::default() });
    let fail_from = |engine: &mut Engine, n: u32, secs: i64| {
        let mut record = failed(0, Some(&format!("user{n}")));
        record.src_ip = Some(IpAddr::V4(Ipv4Addr::from(0x0A00_0000 + n)));
        engine.observe(&record, i64::from(n), Timestamp::from_secs(secs));
    };
    for n in 0..1000 {
        fail_from(&mut engine, n, START);
    }
    let stats = engine.stats();
    assert_eq!((stats.keys, stats.evicted_full_total), (100, 900));
    // Nothing is forgotten for its age while a floor forbids it.
    engine.set_floor(Some(Timestamp::from_secs(START)));
    for n in 0..200 {
        fail_from(&mut engine, 5000, START + 100_000 + n);
    }
    assert_eq!((engine.stats().keys, engine.stats().evicted_idle_total), (100, 0));
    engine.set_floor(Some(Timestamp::MAX));
    for n in 0..200 {
        fail_from(&mut engine, 5000, START + 200_000 + n);
    }
    assert_eq!((engine.stats().keys, engine.stats().evicted_idle_total), (1, 99));
    engine.take_changes();
    assert!(engine.stats().names <= 30, "names of what is forgotten go too: {:?}", engine.stats());
}

#[test]
fn what_does_not_fit_into_the_table_is_bounded_too() {
    let limit = 1 << 20;
    let mut engine = Engine::new(Options { max_heap_bytes: limit, ..Options::default() });
    let empty = engine.stats().bytes;
    // Names as long as they may be, and windows that grow, of remote ends that all come back once more.
    for round in 0..8 {
        for n in 0..5_000i64 {
            let mut record = failed(0, None);
            record.src_ip = None;
            record.fields.push(("source.domain".into(), Value::from(format!("{n:0>255}"))));
            engine.observe(&record, n, Timestamp::from_secs(START + round));
        }
        engine.take_changes();
    }
    let stats = engine.stats();
    assert!(stats.evicted_full_total > 0 && stats.keys > 1_000, "{stats:?}");
    // A table entry takes less than 256 bytes.
    assert!(stats.bytes - empty <= limit as u64 + 5_000 * 256 + (64 << 10), "{stats:?}");
}

#[test]
fn a_remote_end_takes_what_the_budget_says() {
    let mut engine = Engine::new(Options::default());
    let mut record = failed(0, None);
    for n in 0..300_000u32 {
        record.src_ip = Some(Ipv4Addr::from(0x0A00_0000 + n).into());
        engine.observe(&record, i64::from(n), Timestamp::from_secs(START));
    }
    let stats = engine.stats();
    assert!(stats.keys == 300_000 && stats.bytes <= 300_000 * Options::KEY_BYTES as u64, "{stats:?}");
}

proptest! {
    #[test]
    fn nothing_that_comes_from_outside_makes_it_fall(
        lines in prop::collection::vec((
            prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -5i64..5],
            prop_oneof![any::<u32>(), Just(0), Just(1), Just(u32::MAX)],
            prop_oneof![Just(String::new()), "\\PC{0,300}", Just("\u{0}\u{1b}[2J".to_owned())],
            prop::option::of(prop::sample::select(vec![Announcement, Pam, Service, Closing])),
            prop::option::of(0u32..3),
            0u8..4,
        ), 0..80),
        floor in prop::option::of(any::<i64>()),
        limit in 1usize..4,
    ) {
        let options = Options { max_keys: limit, max_sessions: limit, max_names: limit, max_points: 16, merge_points_above: 1, ..Options::default() };
        let mut engine = Engine::new(options);
        engine.set_floor(floor.map(Timestamp::from_micros));
        for (id, (time, count, user, told_by, pid, key)) in lines.into_iter().enumerate() {
            let mut record = failed(key, Some(&user));
            if key == 3 {
                record.src_ip = None;
                record.set("source.domain", Value::from(user));
            }
            (record.count, record.told_by, record.pid, record.severity) = (count, told_by, pid, Severity::High);
            engine.observe(&record, id as i64, Timestamp::from_micros(time));
        }
        let stats = engine.stats();
        prop_assert!(stats.keys <= limit as u64 && stats.sessions <= limit as u64 && stats.names <= limit as u64);
        for change in engine.take_changes() {
            prop_assert!(change.events >= 1 && change.first_seen <= change.last_seen);
        }
    }
}
