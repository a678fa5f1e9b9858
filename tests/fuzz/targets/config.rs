//! Any text as a configuration file: what is wrong with it, each in a line that it has, or a configuration that the daemon can start with.
#![no_main]

use std::io::{Seek, SeekFrom, Write};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tocsin::config::{self, Config};
use tocsin::detect::Options;

static FILE: LazyLock<tempfile::NamedTempFile> = LazyLock::new(|| tempfile::NamedTempFile::new().expect("a temporary file"));

fuzz_target!(|data: &[u8]| {
    let mut file = FILE.as_file();
    file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| file.write_all(data)).expect("written");
    match config::load(Some(FILE.path())) {
        Ok(config) => numbers(&config),
        Err(problems) => {
            let lines = 1 + data.iter().filter(|b| **b == b'\n').count();
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(problem.line <= lines, "{problem}");
            }
        }
    }
});

/// What the configuration lets through, the detectors take.
fn numbers(config: &Config) {
    let mut options = Options {
        lateness_micros: config.detect.lateness.as_micros(),
        max_keys: config.detect.max_keys,
        evidence_per_change: config.detect.max_evidence,
        ..Options::default()
    };
    for (rule, changed) in [
        (&mut options.login_failures, config.detect.login_failures),
        (&mut options.brute_force, config.detect.brute_force),
        (&mut options.account_compromise, config.detect.account_compromise),
        (&mut options.login_spike, config.detect.login_spike),
        (&mut options.high_severity_cluster, config.detect.high_severity_cluster),
    ] {
        rule.threshold = changed.threshold.unwrap_or(rule.threshold);
        rule.window_micros = changed.window.map_or(rule.window_micros, config::Span::as_micros);
    }
    assert_eq!(options.validate(), Ok(()));
}
