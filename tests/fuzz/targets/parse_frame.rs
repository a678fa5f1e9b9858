//! Any bytes as a frame: always a record, one that can be stored, and of which the stored columns tell the same again.
//! The first byte picks zone and time of receipt, the rest is the frame.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tocsin::parse::{self, Context, message};
use tocsin::record::{EventType, LogRecord, Timestamp, Value, Zone};
use tocsin::store::copy::{RowMeta, Rows};

static ZONES: LazyLock<Vec<Zone>> = LazyLock::new(|| {
    ["UTC", "Europe/Paris", "America/St_Johns", "Asia/Kathmandu", "+14:00", "Pacific/Apia"]
        .map(|name| Zone::named(name).expect("a known zone"))
        .into()
});

/// The ends of the range, the epoch, New Year, a leap day, an hour that summer time skips, and ordinary days.
const TIMES: [Timestamp; 8] = [
    Timestamp::MIN,
    Timestamp::MAX,
    Timestamp::from_secs(0),
    Timestamp::from_secs(1_767_225_599),
    Timestamp::from_secs(1_709_164_800),
    Timestamp::from_secs(1_774_747_800),
    Timestamp::from_secs(1_781_524_800),
    Timestamp::from_secs(-1),
];

/// Columns in a row, `COPY_LOGS`; the one that holds the frame's own bytes; and the one that holds JSON.
const COLUMNS: usize = 19;
const RAW: usize = 17;
const FIELDS: usize = 18;

fuzz_target!(|data: &[u8]| {
    let Some((&pick, frame)) = data.split_first() else { return };
    let (zone, now) = (&ZONES[usize::from(pick >> 3) % ZONES.len()], TIMES[usize::from(pick & 7)]);
    let text = parse::text(frame);
    assert!(!text.contains('\0'));
    let record = parse::parse(&text, &Context { now, zone, own: &[] });
    assert!(!record.format.to_string().is_empty());
    assert!(record.count >= 1);
    if let Some(time) = record.event_time {
        assert!((Timestamp::MIN..=Timestamp::MAX).contains(&time), "{time:?}");
    }
    for (i, (name, value)) in record.fields.iter().enumerate() {
        assert!(record.fields[..i].iter().all(|(other, _)| other != name), "{name} twice");
        if let Value::Json(text) = value {
            serde_json::from_str::<&RawValue>(text).expect("valid JSON");
        }
    }
    // After a restart the detectors learn of failed logins from the stored columns.
    if record.event_type == EventType::LoginFailed {
        assert_eq!(message::told(record.app.as_deref(), &record.message, &[]), (record.told_by, record.count));
    }
    row(&record, frame, now);
});

/// The row is whole, its text is text without NUL, and its `fields` are JSON.
fn row(record: &LogRecord<'_>, frame: &[u8], now: Timestamp) {
    let mut rows = Rows::default();
    let event_time = record.event_time.unwrap_or(now);
    rows.push(record, &RowMeta { id: 1, event_time, received_at: now, source: "fuzz", frame });
    let (count, mut rest) = rows.slice(0..1).split_at(2);
    assert_eq!(count, [0, COLUMNS as u8]);
    for column in 0..COLUMNS {
        let (length, tail) = rest.split_first_chunk::<4>().expect("a length");
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            rest = tail;
            continue;
        };
        let (value, tail) = tail.split_at(length);
        rest = tail;
        match column {
            3..=5 | 7..=9 | 14..=16 => assert!(!std::str::from_utf8(value).expect("UTF-8").contains('\0')),
            RAW => assert_eq!(value, frame),
            FIELDS => {
                serde_json::from_slice::<&RawValue>(&value[1..]).expect("JSON");
            }
            _ => {}
        }
    }
    assert!(rest.is_empty());
}
