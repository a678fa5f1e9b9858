//! Rotations step by step, where the steps matter more than their product (see [`super::matrix`]).

use super::harness::{World, numbered};
use crate::frame::LossReason;

const PATTERNS: [&[&str]; 2] = [&["app.log"], &["app.log*", "app-*.log"]];

/// Logs that are rotated more than once while nobody looks, with their generations renamed out of order.
#[test]
fn generations_that_change_places() {
    for state in ["running", "stopped", "killed"] {
        for patterns in PATTERNS {
            let context = format!("two rotations while {state}, {patterns:?}");
            let mut world = World::new(patterns);
            let (text, mut expected) = numbered("first", 0..40);
            world.append("app.log", text);
            world.start();
            world.commit_lines(if state == "killed" { 10 } else { 40 });
            match state {
                "killed" => world.kill(),
                "stopped" => world.stop(),
                _ => {}
            }
            for (i, generation) in ["second", "third", "fourth"].into_iter().enumerate() {
                if i == 2 {
                    world.gzip("app.log.1");
                    world.rename("app.log.1.gz", "app.log.2.gz");
                } else if i == 1 {
                    world.rename("app.log.1", "app.log.3");
                }
                world.rename("app.log", "app.log.1");
                let (text, lines) = numbered(generation, 0..20);
                world.append("app.log", text);
                expected.extend(lines);
            }
            world.expect_exactly(&context, "app.log", &expected);
        }
    }
}

#[test]
fn a_copy_that_is_still_being_made_is_not_read() {
    let mut world = World::new(&["app.log*"]);
    let (text, mut expected) = numbered("first", 0..40);
    world.append("app.log", &text);
    world.start();
    world.commit_lines(40);
    // Half a copy, then all of it; the original goes on in between.
    world.append("app.log.1", &text[..text.len() / 2]);
    let (more, lines) = numbered("more", 0..3);
    world.append("app.log", &more);
    expected.extend(lines);
    world.commit_lines(43);
    world.append("app.log.1", &text[text.len() / 2..]);
    world.append("app.log.1", &more);
    world.truncate("app.log");
    world.expect_exactly("copy in two steps", "app.log", &expected);
}

#[test]
fn gzipped_later_and_deleted_in_the_end() {
    for patterns in PATTERNS {
        let mut world = World::new(patterns);
        world.options.forget_after = std::time::Duration::ZERO;
        let (text, mut expected) = numbered("first", 0..40);
        world.append("app.log", text);
        world.start();
        world.commit_lines(40);
        world.rename("app.log", "app.log.1");
        let (text, lines) = numbered("second", 0..5);
        world.append("app.log", text);
        expected.extend(lines);
        world.commit_lines(45);
        assert_eq!(world.positions.len(), 2);
        world.gzip("app.log.1");
        world.expect_exactly("gzipped later", "app.log", &expected);
        world.remove("app.log.1.gz");
        world.start();
        world.commit_until("the forgetting", |w| w.positions.len() == 1);
        world.stop();
    }
}

#[test]
fn a_writer_that_keeps_the_renamed_file_open() {
    let mut world = World::new(&["app.log"]);
    let (text, mut expected) = numbered("first", 0..3);
    world.append("app.log", text);
    world.start();
    world.commit_lines(3);
    world.rename("app.log", "app.log.1");
    world.append("app.log", "");
    for n in 3..6 {
        let (text, lines) = numbered("late", n..n + 1);
        world.append("app.log.1", text);
        expected.extend(lines);
        world.commit_lines(n + 1);
    }
    world.expect_exactly("late writer", "app.log", &expected);
}

#[test]
fn unread_bytes_of_truncated_content_are_counted() {
    let mut world = World::new(&["app.log"]);
    let (text, _) = numbered("first", 0..40);
    world.append("app.log", &text);
    world.start();
    world.commit_lines(10);
    world.kill();
    let committed: u64 = world.lines.iter().map(|l| l.len() as u64 + 1).sum();
    std::fs::write(world.path("app.log"), "new\n").unwrap();
    world.start();
    world.commit_until("the new line and the count", |w| {
        w.texts().contains(&"new".to_owned()) && w.stats.total("truncated_unread_bytes_total") > 0
    });
    world.stop();
    assert_eq!(world.stats.total("truncated_unread_bytes_total"), text.len() as u64 - committed);
}

/// A line that is written when the copy is made already: it is lost, unless it was read before the truncation. Whoever saw that it
/// was there says so.
#[test]
fn what_is_written_between_copy_and_truncation_is_told_with_its_bytes() {
    for compressed in [false, true] {
        for seen in ["read", "known", "never"] {
            let context = format!("{seen}, compressed: {compressed}");
            let mut world = World::new(&["app.log"]);
            let (text, mut expected) = numbered("first", 0..40);
            world.append("app.log", &text);
            world.copy("app.log", "copy");
            let (gap, line) = numbered("gap", 0..1);
            let (copied, all) = (text.len() as u64, (text.len() + gap.len()) as u64);
            if seen == "known" {
                world.append("app.log", &gap);
            }
            world.start();
            world.commit_lines(if seen == "known" { 10 } else { 40 });
            match seen {
                "known" => world.kill(),
                "read" => {
                    world.append("app.log", &gap);
                    expected.extend(line);
                    world.commit_lines(41);
                    world.stop();
                }
                _ => {
                    world.stop();
                    world.append("app.log", &gap);
                }
            }
            world.rename("copy", "app.log.1");
            world.truncate("app.log");
            if compressed {
                world.gzip("app.log.1");
            }
            world.expect_exactly(&context, "app.log", &expected);
            let told: Vec<_> = world.losses.iter().map(|(_, range, reason)| (*range, *reason)).collect();
            let lost = if seen == "never" { vec![] } else { vec![((copied, all), LossReason::CopyTruncate)] };
            assert_eq!(told, lost, "{context}");
        }
    }
}
