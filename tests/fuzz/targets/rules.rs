//! Any text as a file of Sigma rules, and any line held against what works of it: problems in lines that the file has, no panic, changes
//! that name their rule. The first line of the input is the log line, the rest the rules.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tocsin::detect::{Engine, Options, Rules};
use tocsin::parse::{self, Context};
use tocsin::record::{Timestamp, Zone};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (line, rules) = text.split_once('\n').unwrap_or(("", &text));
    let (read, problems) = Rules::read([(Path::new("rules.yml"), rules)]);
    // YAML takes a carriage return for the end of a line, too.
    let lines = 1 + rules.bytes().filter(|b| matches!(b, b'\n' | b'\r')).count();
    for problem in problems {
        assert!(problem.line <= lines, "{problem}");
    }
    let names: Vec<String> = read.about().map(|about| about.name.clone()).collect();
    let mut engine = Engine::with_rules(Options::default(), Arc::new(read));
    let now = Timestamp::from_secs(1_767_323_045);
    let frame = parse::text(line.as_bytes());
    let record = parse::parse(&frame, &Context { now, zone: &Zone::UTC, own: &[] });
    for id in 1..=3 {
        engine.observe(&record, id, now);
    }
    for change in engine.take_changes() {
        assert!(change.raised_by.detector().is_some() || names.iter().any(|name| name == change.raised_by.name()));
        assert!(change.events > 0);
    }
});
