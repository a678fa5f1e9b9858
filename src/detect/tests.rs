//! The engine against the naive definition, over random streams; and what only whole records show.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::{Engine, Options, Rule};
use crate::record::incident::{Detector, Group, IncidentChange};
use crate::record::{EventType, LogRecord, Severity, Timestamp};

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

type Sums = BTreeMap<(Detector, Group), Sum>;

fn add(sums: &mut Sums, changes: Vec<IncidentChange>) {
    for c in changes {
        assert!(c.events >= 1 && c.first_seen <= c.last_seen && c.evidence.is_sorted() && c.usernames.is_sorted());
        let sum = sums.entry((c.detector, c.group)).or_default();
        sum.events += c.events;
        let (first, last) = sum.span.unwrap_or((c.first_seen, c.last_seen));
        sum.span = Some((first.min(c.first_seen), last.max(c.last_seen)));
        sum.ids.extend(c.evidence.iter().map(|e| e.1));
        sum.ids.sort_unstable();
        sum.users.extend(c.usernames);
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
                let key = if keyed { vec![("src_ip", address(event.key).to_string())] } else { Vec::new() };
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
        let reach = Detector::ALL.iter().map(|d| options.warmup_micros(*d)).max().unwrap();
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
