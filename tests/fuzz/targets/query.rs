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
            // What is written in full may be longer than what may be typed.
            if written.len() <= 8_192 {
                assert_eq!(Query::parse(&written, now).as_ref(), Ok(&query), "{written}");
            }
        }
        Err(error) => assert!(text.is_char_boundary(error.offset), "{error:?}"),
    }
});
