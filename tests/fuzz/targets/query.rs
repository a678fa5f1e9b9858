//! Any text as a search of logs: a query that reads as the same when it is written, or an error whose place is inside the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tocsin::record::Timestamp;
use tocsin::store::query::Query;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let now = Timestamp::from_secs(1_795_176_000);
    match Query::parse(&text, now) {
        Ok(query) => {
            assert!(!query.range.is_empty());
            let written = query.to_string();
            match Query::parse(&written, now) {
                Ok(again) => assert_eq!(again, query, "{written}"),
                // What is written in full, `event_type:*` as all of them, may be more than what may be typed.
                Err(error) => assert!(error.problem.contains("at most"), "{error:?}: {written}"),
            }
        }
        Err(error) => assert!(text.is_char_boundary(error.offset), "{error:?}"),
    }
});
