//! Lines, limits, starts and files that are none.

use std::io::Write;
use std::time::Duration;

use super::harness::{World, numbered};
use crate::tail::ReadFrom;

#[test]
fn equal_first_lines_stay_apart() {
    for patterns in [&["*.log"][..], &["*.log*"]] {
        let mut world = World::new(patterns);
        let same = "started\n".repeat(300);
        let mut expected = vec!["started".to_owned(); 900];
        for name in ["a.log", "b.log", "b.log.1"] {
            world.append(name, &same);
        }
        world.append("b.log.1", "older\n");
        world.append("b.log.2", format!("{same}oldest\n"));
        world.gzip("b.log.2");
        if patterns == ["*.log"] {
            expected.truncate(600);
        } else {
            expected.extend(vec!["started".to_owned(); 300]);
            expected.extend(["older".into(), "oldest".into()]);
        }
        world.append("a.log", "a\n");
        world.append("b.log", "b\n");
        expected.extend(["a".into(), "b".into()]);
        world.start();
        world.expect_exactly("equal first lines", "a.log", &expected);
    }
}

#[test]
fn a_last_line_waits_for_its_rest() {
    let mut world = World::new(&["app.log"]);
    world.append("app.log", "one\r\ntw");
    world.start();
    world.commit_lines(1);
    world.kill();
    world.start();
    world.append("app.log", "o\n\nthree\n");
    world.commit_lines(4);
    assert_eq!(world.texts(), ["one", "two", "", "three"]);
    world.stop();
}

#[test]
fn a_last_line_that_can_get_no_rest_is_handed_out_once() {
    let ways: [fn(&World); 4] = [
        |w| w.rename("app.log", "app.log.1"),
        |w| w.remove("app.log"),
        |w| {
            w.rename("app.log", "app.log.1");
            w.gzip("app.log.1");
        },
        |w| w.truncate("app.log"),
    ];
    for (i, way) in ways.into_iter().enumerate() {
        let mut world = World::new(&["app.log"]);
        world.append("app.log", "one\ntwo");
        world.start();
        world.commit_lines(1);
        way(&world);
        world.commit_until(&format!("last line {i}"), |w| w.lines.len() == 2);
        world.expect_exactly(&format!("last line {i}"), "app.log", &["one".into(), "two".into()]);
    }
}

#[test]
fn long_lines_are_cut_marked_and_counted() {
    let mut world = World::new(&["app.log"]);
    world.options.max_line_bytes = 50;
    let (long, rest) = ("x".repeat(5_000), "y".repeat(51));
    world.append("app.log", format!("a\n{long}\nb\n{rest}\nc\n"));
    world.start();
    world.commit_lines(5);
    assert_eq!(world.texts(), ["a", &long[..50], "b", &rest[..50], "c"]);
    assert_eq!(world.cut, [0, 4_950, 0, 1, 0]);
    assert_eq!(world.stats.total("lines_cut_total"), 2);
    let size = world.path("app.log").metadata().unwrap().len();
    assert_eq!(world.positions.values().next().unwrap().position, size);
    world.stop();
}

#[test]
fn a_hole_of_nul_bytes_is_skipped() {
    let mut world = World::new(&["app.log"]);
    world.append("app.log", "one\ntwo\n");
    world.start();
    world.commit_lines(2);
    // A writer without O_APPEND goes on at its old offset after the file was truncated.
    let mut writer = std::fs::OpenOptions::new().write(true).open(world.path("app.log")).unwrap();
    std::io::Seek::seek(&mut writer, std::io::SeekFrom::Start(4_000)).unwrap();
    world.truncate("app.log");
    writer.write_all(b"three\nfo\0ur\n").unwrap();
    world.commit_lines(4);
    assert_eq!(world.texts(), ["one", "two", "three", "fo\0ur"]);
    world.stop();
}

#[test]
fn a_set_that_is_read_from_its_end() {
    let mut world = World::new(&["*.log*"]);
    world.options.read_from = ReadFrom::End;
    let (old, _) = numbered("old", 0..40);
    world.append("app.log", format!("{old}unfin"));
    world.append("zip.log.1", &old);
    world.gzip("zip.log.1");
    world.start();
    // Nothing but where the set begins; a restart does not begin at another end.
    assert!(world.commit_one().frames.is_empty());
    world.kill();
    world.append("app.log", "ished\nnew\n");
    world.append("later.log", "later\n");
    world.start();
    world.commit_lines(3);
    let mut got = world.texts();
    got.sort();
    assert_eq!(got, ["later", "new", "unfinished"]);
    world.expect_exactly("from the end", "app.log", &got);
}

#[test]
fn a_gz_file_is_read_on_from_its_position() {
    let mut world = World::new(&["app.log*"]);
    let (text, expected) = numbered("old", 0..400);
    world.append("app.log.1", &text);
    world.gzip("app.log.1");
    let compressed = world.path("app.log.1.gz").metadata().unwrap().len();
    // Killed again and again in the middle of it, and renamed meanwhile.
    for (number, lines) in [(1, 100), (2, 150), (3, 390)] {
        world.start();
        world.commit_lines(lines);
        world.kill();
        let row = world.positions.values().next().unwrap();
        let read: usize = world.lines.iter().map(|l| l.len() + 1).sum();
        assert_eq!(row.position, read as u64);
        assert!(row.position > compressed && read < text.len(), "in the middle of the decompressed content");
        world.rename(&format!("app.log.{number}.gz"), &format!("app.log.{}.gz", number + 1));
    }
    world.expect_exactly("gz", "app.log", &expected);
    assert!(world.losses.is_empty());
}

#[test]
fn a_gz_file_that_is_still_being_written() {
    let mut world = World::new(&["app.log*"]);
    let (text, expected) = numbered("old", 0..400);
    world.append("whole", text);
    world.gzip("whole");
    let bytes = std::fs::read(world.path("whole.gz")).unwrap();
    let half = bytes.len() / 2;
    world.append("app.log.1.gz", &bytes[..half]);
    world.start();
    world.commit_lines(1);
    world.append("app.log.1.gz", &bytes[half..]);
    world.expect_exactly("gz in two steps", "app.log", &expected);
}

#[test]
fn oldest_first_at_the_start_and_the_generations_of_a_log_in_order() {
    let mut world = World::new(&["app.log*"]);
    let mut all = Vec::new();
    for (age, name) in [(1_000, "app.log.2"), (2_000, "app.log.1"), (3_000, "app.log")] {
        let (text, lines) = numbered(name, 0..30);
        world.append(name, text);
        let time = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + age);
        std::fs::File::options().append(true).open(world.path(name)).unwrap().set_modified(time).unwrap();
        all.extend(lines);
    }
    world.start();
    let first = world.commit_one();
    assert_eq!(first.unread_files, 2);
    world.commit_lines(90);
    assert_eq!(world.texts(), all);
    world.stop();
}

#[test]
fn what_is_no_log_file_is_skipped() {
    let mut world = World::new(&["*"]);
    std::fs::create_dir(world.path("dir.log")).unwrap();
    nix::unistd::mkfifo(&world.path("fifo.log"), nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR).unwrap();
    std::os::unix::fs::symlink("nowhere", world.path("broken.log")).unwrap();
    world.append("old.log.xz", "\u{fd}7zXZ\n");
    world.append("broken.log.gz", "this is not what gzip writes\n");
    world.append("app.log", "one\n");
    world.start();
    world.commit_lines(1);
    world.append("app.log", "two\n");
    world.commit_lines(2);
    assert_eq!(world.texts(), ["one", "two"]);
    assert!(world.stats.total("read_errors_total") > 0);
    world.stop();
}

#[test]
fn many_files_with_few_open() {
    let mut world = World::new(&["*.log"]);
    world.options.max_open_files = 10;
    let mut expected = Vec::new();
    for n in 0..300 {
        let (text, lines) = numbered(&format!("file {n}"), 0..2);
        world.append(&format!("app-{n}.log"), text);
        expected.extend(lines);
    }
    world.start();
    world.commit_lines(600);
    for n in 0..300 {
        if n % 3 == 0 {
            world.rename(&format!("app-{n}.log"), &format!("app-{n}.log.1"));
        }
        let (text, lines) = numbered(&format!("file {n}"), 2..4);
        world.append(&format!("app-{n}.log"), text);
        expected.extend(lines);
    }
    world.expect_exactly("many files", "app-0.log", &expected);
    assert_eq!(world.stats.total("truncated_unread_bytes_total"), 0);
}

#[test]
fn three_thousand_files() {
    let mut world = World::new(&["*.log"]);
    let mut expected: Vec<String> = Vec::new();
    for round in 0..3 {
        for n in 0..3_000 {
            let line = format!("file {n} line {round}");
            world.append(&format!("app-{n}.log"), format!("{line}\n"));
            expected.push(line);
        }
        // The third lines are written while nobody looks.
        if round == 0 {
            world.start();
        }
        if round < 2 {
            world.commit_lines(expected.len());
        }
        if round == 1 {
            world.stop();
        }
    }
    world.expect_exactly("three thousand files", "app-0.log", &expected);
    assert_eq!(world.positions.len(), 3_000);
    assert_eq!(world.stats.total("truncated_unread_bytes_total"), 0);
}

#[test]
fn a_full_channel_does_not_keep_it_from_stopping() {
    let mut world = World::new(&["app.log"]);
    let (text, expected) = numbered("line", 0..100);
    world.append("app.log", text);
    world.start();
    world.commit_one();
    // `stop` asserts that it takes less than a second although nobody takes batches.
    world.stop();
    world.expect_exactly("stopped while full", "app.log", &expected);
}

#[test]
fn a_saved_position_that_makes_no_sense_is_refused() {
    use crate::tail::{SavedPosition, Tail, TailError};
    let world = World::new(&["app.log"]);
    let saved = |part: &str| SavedPosition { part: part.into(), position: 1, detail: serde_json::json!({"path": 1}) };
    for part in ["x", "0", "00000000000000ff"] {
        let made = Tail::new(world.options.clone(), vec![saved(part)], world.stats.clone());
        assert!(matches!(made, Err(TailError::Position { .. })), "{part}");
    }
    let mut options = world.options.clone();
    options.paths = vec!["/var/log/[a".into()];
    assert!(matches!(Tail::new(options, vec![], world.stats.clone()), Err(TailError::Pattern { .. })));
}

/// Records of the audit system: of the kernel's events several belong together.
fn record(kind: &str, serial: u32) -> String {
    format!("type={kind} msg=audit(1795155902.250:{serial}): a=1")
}

#[test]
fn records_of_one_event_come_together() {
    let [call, path, title, login] = [record("SYSCALL", 1), record("PATH", 1), record("PROCTITLE", 1), record("USER_LOGIN", 2)];
    let event = format!("{call}\n{path}\n{title}");
    let expected = [event, login.clone(), record("AVC", 3), "plain".into(), record("SYSCALL", 4)];
    // Wherever the daemon dies.
    let all = format!("{call}\n{path}\n{title}\n{login}\n{}\nplain\n{}\n", expected[2], expected[4]);
    for cut in (0..all.len()).step_by(7) {
        let mut world = World::new(&["audit.log"]);
        world.options.settle = Duration::from_secs(3600);
        world.append("audit.log", &all[..cut]);
        let complete = all[..cut].lines().count().saturating_sub(3);
        world.start();
        world.commit_lines(complete.saturating_sub(1).min(2));
        world.kill();
        world.start();
        world.append("audit.log", &all[cut..]);
        world.commit_lines(4);
        world.stop();
        assert_eq!(world.texts(), expected[..4], "cut at {cut}");
    }
}

#[test]
fn an_event_that_no_more_comes_of_is_handed_out() {
    let ways: [fn(&World); 3] =
        [|_| (), |w| w.rename("audit.log", "audit.log.1"), |w| w.append("audit.log", "an unfinished line")];
    for (i, way) in ways.into_iter().enumerate() {
        let mut world = World::new(&["audit.log"]);
        world.append("audit.log", format!("plain\n{}\n{}\n", record("SYSCALL", 1), record("PATH", 1)));
        world.start();
        world.commit_lines(1);
        way(&world);
        world.commit_lines(2);
        world.append(if i == 1 { "audit.log.1" } else { "audit.log" }, "\nlast\n");
        world.commit_until(&format!("way {i}"), |w| w.texts().last().is_some_and(|text| text == "last"));
        assert_eq!(
            world.texts()[..2],
            ["plain".to_owned(), format!("{}\n{}", record("SYSCALL", 1), record("PATH", 1))],
            "way {i}"
        );
        world.stop();
    }
}
