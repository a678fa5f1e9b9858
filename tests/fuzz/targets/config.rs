//! Any text as a configuration file: what is wrong with it, each in a line that it has, or a configuration that the daemon can start with.
#![no_main]

use std::io::{Seek, SeekFrom, Write};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tocsin::config;

static FILE: LazyLock<tempfile::NamedTempFile> = LazyLock::new(|| tempfile::NamedTempFile::new().expect("a temporary file"));

fuzz_target!(|data: &[u8]| {
    let mut file = FILE.as_file();
    file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| file.write_all(data)).expect("written");
    match config::load(Some(FILE.path())) {
        Ok(config) => assert_eq!(config.detect_options().validate(), Ok(()), "what the configuration lets through, the detectors take"),
        Err(problems) => {
            let lines = 1 + data.iter().filter(|b| **b == b'\n').count();
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(problem.line <= lines, "{problem}");
            }
        }
    }
});
