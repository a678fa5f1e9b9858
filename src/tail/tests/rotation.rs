//! Every way of rotating × what the daemon was doing meanwhile × what the patterns match.

use super::harness::{World, numbered};

/// How a file is rotated. `unread` says whether lines that were not read before are still to be found afterwards.
struct Way {
    name: &'static str,
    unread: bool,
    rotate: fn(&World, &str),
}

/// Second generations are given as text, and written by the rotation since some replace the first in one go.
const WAYS: &[Way] = &[
    Way {
        name: "rename and create",
        unread: true,
        rotate: |w, new| {
            w.rename("app.log", "app.log.1");
            w.append("app.log", new);
        },
    },
    Way {
        name: "rename, shifting an older generation",
        unread: true,
        rotate: |w, new| {
            w.append("app.log.1", "");
            w.rename("app.log.1", "app.log.2");
            w.rename("app.log", "app.log.1");
            w.append("app.log", new);
        },
    },
    Way {
        name: "copytruncate",
        unread: true,
        rotate: |w, new| {
            w.copy("app.log", "app.log.1");
            w.truncate("app.log");
            w.append("app.log", new);
        },
    },
    Way {
        name: "dateext",
        unread: true,
        rotate: |w, new| {
            w.rename("app.log", "app.log-20260102");
            w.append("app.log", new);
        },
    },
    Way {
        name: "dateext before the extension",
        unread: true,
        rotate: |w, new| {
            w.rename("app.log", "app-20260102.log");
            w.append("app.log", new);
        },
    },
    Way {
        name: "gzip at once",
        unread: true,
        rotate: |w, new| {
            w.rename("app.log", "app.log.1");
            w.append("app.log", new);
            w.gzip("app.log.1");
        },
    },
    Way {
        name: "copytruncate and gzip",
        unread: true,
        rotate: |w, new| {
            w.copy("app.log", "app.log.1");
            w.truncate("app.log");
            w.gzip("app.log.1");
            w.append("app.log", new);
        },
    },
    Way {
        name: "gzip under the next number",
        unread: true,
        rotate: |w, new| {
            w.rename("app.log", "app.log.1");
            w.rename("app.log.1", "app.log.2");
            w.gzip("app.log.2");
            w.append("app.log", new);
        },
    },
    Way {
        name: "delete and create",
        unread: false,
        rotate: |w, new| {
            w.remove("app.log");
            w.append("app.log", new);
        },
    },
    Way {
        name: "another file renamed over it",
        unread: false,
        rotate: |w, new| {
            w.append("new", new);
            w.rename("new", "app.log");
        },
    },
    Way { name: "rewritten in place, shorter", unread: false, rotate: |w, new| std::fs::write(w.path("app.log"), new).unwrap() },
];

const STATES: [&str; 3] = ["running", "stopped", "killed"];
const PATTERNS: [&[&str]; 2] = [&["app.log"], &["app.log*", "app-*.log"]];

#[test]
fn every_line_comes_once_however_the_file_is_rotated() {
    for way in WAYS {
        for state in STATES {
            for patterns in PATTERNS {
                rotate(way, state, patterns);
            }
        }
    }
}

fn rotate(way: &Way, state: &str, patterns: &[&str]) {
    let context = format!("{} while {state}, {patterns:?}", way.name);
    let mut world = World::new(patterns);
    let (text, mut expected) = numbered("first", 0..40);
    world.append("app.log", text);
    world.start();
    match state {
        "killed" => {
            world.commit_lines(10);
            world.kill();
        }
        _ => world.commit_lines(40),
    }
    if state == "stopped" {
        world.stop();
    }
    if way.unread {
        let (text, lines) = numbered("unread", 0..5);
        world.append("app.log", text);
        expected.extend(lines);
    } else if state == "killed" {
        // What was not committed when the file went away is lost to everybody.
        expected = world.texts();
    }
    let (text, lines) = numbered("second", 0..20);
    (way.rotate)(&world, &text);
    expected.extend(lines);
    world.expect_exactly(&context, "app.log", &expected);
}

#[test]
fn two_rotations_at_once() {
    for state in STATES {
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
fn replaced_in_place_by_equally_long_or_longer_content() {
    for state in STATES {
        for lines in [40, 60] {
            let context = format!("replaced by {lines} lines while {state}");
            let mut world = World::new(&["app.log"]);
            let (text, mut expected) = numbered("first", 0..40);
            world.append("app.log", text);
            world.start();
            world.commit_lines(if state == "killed" { 10 } else { 40 });
            match state {
                "killed" => {
                    world.kill();
                    expected = world.texts();
                }
                "stopped" => world.stop(),
                _ => {}
            }
            let (text, second) = numbered("other", 0..lines);
            std::fs::write(world.path("app.log"), text).unwrap();
            expected.extend(second);
            world.expect_exactly(&context, "app.log", &expected);
        }
    }
}

#[test]
fn a_link_that_is_pointed_to_the_next_file() {
    for state in STATES {
        for patterns in [&["app.log"][..], &["app.log", "logs/*"]] {
            let context = format!("link swapped while {state}, {patterns:?}");
            let mut world = World::new(patterns);
            std::fs::create_dir(world.path("logs")).unwrap();
            let (text, mut expected) = numbered("first", 0..40);
            world.append("logs/app-1.log", text);
            std::os::unix::fs::symlink("logs/app-1.log", world.path("app.log")).unwrap();
            world.start();
            world.commit_lines(if state == "killed" { 10 } else { 40 });
            match state {
                "killed" => world.kill(),
                "stopped" => world.stop(),
                _ => {}
            }
            let (text, lines) = numbered("unread", 0..5);
            world.append("logs/app-1.log", text);
            expected.extend(lines);
            let (text, lines) = numbered("second", 0..20);
            world.append("logs/app-2.log", text);
            expected.extend(lines);
            std::os::unix::fs::symlink("logs/app-2.log", world.path("link")).unwrap();
            world.rename("link", "app.log");
            world.expect_exactly(&context, "logs/app-2.log", &expected);
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
