//! Any text to every format, whichever app wrote it. The first byte picks the format, the rest is the frame.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tocsin::parse::{self, Context, Named, formats};
use tocsin::record::{Timestamp, Value, Zone};

static FORMATS: LazyLock<Vec<Named>> = LazyLock::new(|| formats().iter().filter_map(|format| Named::find(format.name, &[]).ok()).collect());

fuzz_target!(|data: &[u8]| {
    let Some((&pick, frame)) = data.split_first() else { return };
    let text = parse::text(frame);
    let context = Context { now: Timestamp::from_secs(1_781_524_800), zone: &Zone::UTC, own: &[] };
    let record = parse::parse_as(&text, &context, FORMATS[usize::from(pick) % FORMATS.len()]);
    assert!(!record.format.to_string().is_empty());
    assert!(record.count >= 1);
    for (i, (name, value)) in record.fields.iter().enumerate() {
        assert!(record.fields[..i].iter().all(|(other, _)| other != name), "{name} twice");
        if let Value::Json(text) = value {
            serde_json::from_str::<&RawValue>(text).expect("valid JSON");
        }
    }
});
