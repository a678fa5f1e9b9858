//! Random sequences of writing, rotating, killing and starting, compared with what was written.

use proptest::prelude::*;

use super::harness::World;

#[derive(Debug, Clone)]
enum Step {
    Append { lines: usize, unfinished: bool },
    Rename,
    CopyTruncate,
    Gzip,
    Kill,
    Stop,
    Start,
    Commit,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1usize..12, any::<bool>()).prop_map(|(lines, unfinished)| Step::Append { lines, unfinished }),
        2 => Just(Step::Rename),
        2 => Just(Step::CopyTruncate),
        1 => Just(Step::Gzip),
        1 => Just(Step::Kill),
        1 => Just(Step::Stop),
        3 => Just(Step::Start),
        3 => Just(Step::Commit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, max_shrink_time: 60_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_each_line_comes_once(steps in prop::collection::vec(step(), 1..40), wide in any::<bool>()) {
        let mut world = World::new(if wide { &["app.log*"] } else { &["app.log"] });
        // A file that was rotated before it was ever seen is none of ours.
        world.append("app.log", "first\n");
        world.start();
        world.commit_lines(1);
        let (mut expected, mut unfinished, mut generations) = (vec!["first".to_owned()], false, 0);
        for step in steps {
            match step {
                Step::Append { lines, unfinished: half } => {
                    let mut text = String::new();
                    if std::mem::take(&mut unfinished) {
                        text.push_str(" and the rest\n");
                        let last: &mut String = expected.last_mut().unwrap();
                        last.push_str(" and the rest");
                    }
                    for _ in 0..lines {
                        let line = format!("a line that is number {}", expected.len());
                        text.push_str(&format!("{line}\n"));
                        expected.push(line);
                    }
                    if half {
                        text.pop();
                        unfinished = true;
                    }
                    world.append("app.log", text);
                }
                // Writers end their line before the file is rotated.
                _ if unfinished && matches!(step, Step::Rename | Step::CopyTruncate) => {}
                Step::Rename | Step::CopyTruncate if world.path("app.log").exists() => {
                    for n in (1..=generations).rev() {
                        for end in ["", ".gz"] {
                            if world.path(&format!("app.log.{n}{end}")).exists() {
                                world.rename(&format!("app.log.{n}{end}"), &format!("app.log.{}{end}", n + 1));
                            }
                        }
                    }
                    generations += 1;
                    if matches!(step, Step::Rename) {
                        world.rename("app.log", "app.log.1");
                        world.append("app.log", "");
                    } else {
                        world.copy("app.log", "app.log.1");
                        world.truncate("app.log");
                    }
                }
                Step::Gzip if world.path("app.log.1").exists() => world.gzip("app.log.1"),
                Step::Kill if world.is_running() => world.kill(),
                Step::Stop if world.is_running() => world.stop(),
                Step::Start if !world.is_running() => world.start(),
                Step::Commit if world.is_running() && world.lines.len() + usize::from(unfinished) < expected.len() => {
                    world.commit_one();
                }
                _ => {}
            }
        }
        if unfinished {
            world.append("app.log", "\n");
        }
        world.expect_exactly("random steps", "app.log", &expected);
    }
}
