//! Any stream of events, at any times and in any order: the engine does not fall, and holds no more than its options allow.
//! The first four bytes are limits, then each event takes eight.
#![no_main]

use std::borrow::Cow;
use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use tocsin::detect::{Engine, Options};
use tocsin::record::incident::IncidentChange;
use tocsin::record::{EventType, LogRecord, Severity, Timestamp, ToldBy};

/// Far above what these limits can need: 17 + 1 + 16 windows of at most 128 points, 16 sessions, 32 names.
const MAX_BYTES: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let [keys, points, sessions, names, events @ ..] = data else { return };
    let options = Options {
        max_keys: usize::from(keys % 16) + 1,
        max_points: usize::from(points % 113) + 16,
        merge_points_above: usize::from(points % 8) + 1,
        max_sessions: usize::from(sessions % 16) + 1,
        max_names: usize::from(names % 33),
        evidence_per_change: 8,
        ..Options::default()
    };
    assert_eq!(options.validate(), Ok(()));
    let mut engine = Engine::new(options.clone());
    let mut time = Timestamp::from_secs(1_781_524_800);
    for (id, event) in events.as_chunks::<8>().0.iter().enumerate() {
        time = moved(time, event[0], i64::from(i16::from_le_bytes([event[1], event[2]])));
        engine.observe(&record(event), id as i64, time);
        match event[7] {
            0 => engine.set_floor(None),
            1 => engine.set_floor(Some(time)),
            2..64 => engine.take_changes().iter().for_each(|change| check(change, &options)),
            _ => {}
        }
        let stats = engine.stats();
        assert!(stats.keys <= options.max_keys as u64 && stats.sessions <= options.max_sessions as u64, "{stats:?}");
        assert!(stats.names <= options.max_names as u64 && stats.bytes <= MAX_BYTES, "{stats:?}");
    }
    engine.take_changes().iter().for_each(|change| check(change, &options));
    assert!(engine.take_changes().is_empty());
});

/// Seconds, hours, or to an end of the range.
fn moved(time: Timestamp, how: u8, by: i64) -> Timestamp {
    match how {
        0 => Timestamp::MIN,
        1 => Timestamp::MAX,
        2 => Timestamp::from_secs(by),
        3..32 => time.plus_micros(by * 3_600_000_000),
        _ => time.plus_micros(by * 50_000),
    }
}

fn record(event: &[u8; 8]) -> LogRecord<'static> {
    let [_, _, _, what, who, account, count, _] = *event;
    let mut record = LogRecord::text("an event");
    record.event_type = match what & 15 {
        0..=8 => EventType::LoginFailed,
        9..=11 => EventType::LoginSuccess,
        n => EventType::ALL[(usize::from(n) + usize::from(who)) % EventType::ALL.len()],
    };
    record.severity = if what & 16 == 0 { Severity::Medium } else { Severity::Critical };
    record.told_by = [None, Some(ToldBy::Announcement), Some(ToldBy::Pam), Some(ToldBy::Service), Some(ToldBy::Closing), None]
        [usize::from(what >> 5) % 6];
    match who {
        0..=15 => {}
        16..=63 => record.set("source.domain", format!("host-{who}.example")),
        _ => record.src_ip = Some(IpAddr::from([192, 0, 2, who])),
    }
    record.host = (who & 1 == 0).then_some(Cow::Borrowed("gate"));
    record.app = Some(Cow::Borrowed("sshd"));
    record.pid = (account & 1 == 0).then_some(u32::from(who % 32));
    record.username = (account >= 16).then(|| Cow::Owned("a".repeat(usize::from(account))));
    record.count = if count == 255 { u32::MAX } else { u32::from(count) };
    record
}

fn check(change: &IncidentChange, options: &Options) {
    assert!(change.events >= 1 && change.first_seen <= change.last_seen, "{change:?}");
    assert!(change.evidence.len() <= options.evidence_per_change, "{change:?}");
    assert!(change.usernames.len() <= IncidentChange::MAX_USERNAMES, "{change:?}");
    assert!(change.usernames.is_sorted_by(|a, b| a < b), "{change:?}");
}
