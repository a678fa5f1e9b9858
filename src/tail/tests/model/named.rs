//! Sequences that once lost or repeated lines, or told a loss that was none; each has its name.

use super::*;
use crate::tail::ReadFrom;
use crate::tail::file::Place;
use crate::tail::fingerprint::Stat;

/// Generations that came while nobody looked: the first is unread, the second compressed.
#[test]
fn generations_that_came_and_went_between_two_looks() {
    let append = |lines| Step::Append { lines, unfinished: false, gap: 0 };
    let gzip = Step::Gzip { generation: 1, gap: 0 };
    let steps = [Step::Rename { gap: 0 }, append(2), gzip, append(2), Step::Rename { gap: 0 }, append(1)];
    for wide in [false, true] {
        for before in 0..steps.len() {
            let mut steps = steps.to_vec();
            steps.insert(before, Step::Look);
            run(&steps, wide, true).unwrap();
        }
    }
}

/// A generation is found, and packed before the same look finds what it was packed into: they are one, whichever is met first.
#[test]
fn a_generation_that_is_packed_in_the_look_that_finds_it() {
    for (wide, gap) in [false, true].into_iter().flat_map(|wide| (0..40).map(move |gap| (wide, gap))) {
        let mut model = Model::new(if wide { &["app.log*"] } else { &["app.log"] });
        model.append(1, false, 0);
        meanwhile::finish();
        model.read_everything();
        for _ in 0..2 {
            model.take(&Step::Rename { gap: 0 });
            model.append(1, false, 0);
        }
        meanwhile::finish();
        // Both halves of the packed one at once: the plain one goes after the look.
        meanwhile::later(gap, || {});
        model.take(&Step::Gzip { generation: 1, gap: 0 });
        meanwhile::hold_back_last();
        model.follower().scan();
        meanwhile::finish();
        model.read_everything();
        model.check().unwrap_or_else(|error| panic!("wide {wide}, gap {gap}: {error}"));
    }
}

/// Unpacked beside what it was packed into, before or after that was read, and at the first look or later, a generation is no new file.
/// Nor is what keeps whole seconds only, and so seems to be older than what it was packed from.
#[test]
fn a_generation_that_is_there_twice() {
    let packed = |model: &mut Model| {
        model.take(&Step::Rename { gap: 0 });
        model.append(4, false, 0);
        meanwhile::finish();
        let (plain, packed) = (model.path("app.log.1"), model.path("app.log.1.gz"));
        let mut out = flate2::write::GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::fast());
        out.write_all(&fs::read(&plain).unwrap()).unwrap();
        let modified = plain.metadata().unwrap().modified().unwrap();
        let into_second = modified.duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
        out.finish().unwrap().set_modified(modified - Duration::from_nanos(into_second.into())).unwrap();
        (plain, packed)
    };
    for wide in [false, true] {
        for (hidden, turns) in [(false, 0), (true, 0), (true, 1), (true, 8)] {
            let mut model = Model::new(if wide { &["app.log*"] } else { &["app.log"] });
            model.append(1, false, 0);
            meanwhile::finish();
            model.read_everything();
            // This one is known; the next is met for the first time.
            model.take(&Step::Rename { gap: 0 });
            model.append(20, false, 0);
            let (plain, _) = packed(&mut model);
            let content = fs::read(&plain).unwrap();
            if hidden {
                fs::remove_file(&plain).unwrap();
            }
            model.follower().scan();
            (0..turns).for_each(|_| model.turns());
            // In two parts, as gunzip writes it.
            for half in [1, 2] {
                if hidden {
                    append_half(&plain, &content, half);
                }
                model.follower().scan();
            }
            model.read_everything();
            model.check().unwrap_or_else(|error| panic!("wide {wide}, hidden {hidden}, {turns} turns: {error}"));
            assert!(model.told_losses.is_empty(), "{:?}", model.told_losses);
            fs::remove_file(&plain).unwrap();
            model.read_everything();
            model.check().unwrap();
        }
    }
}

/// A generation that begins like an older one, and is as short as an early copy of that would be.
#[test]
fn a_short_generation_is_no_copy_of_one_that_begins_alike() {
    let append = |lines| Step::Append { lines, unfinished: false, gap: 0 };
    let copy_truncate = |race, gap| Step::CopyTruncate { race, gap };
    let mut steps = vec![Step::Rename { gap: 0 }, append(2), Step::Look, Step::Turns, Step::Turns, copy_truncate(false, 0)];
    steps.extend([append(1), Step::Commit, copy_truncate(false, 0), copy_truncate(true, 2), Step::Kill, Step::Look]);
    for wide in [false, true] {
        run(&steps, wide, false).unwrap();
    }
}

/// A new log is seen, and is rotated and packed before its first line is read.
#[test]
fn a_file_that_is_packed_before_it_is_read_is_not_lost() {
    let unread = [Step::Rename { gap: 0 }, Step::Append { lines: 3, unfinished: false, gap: 0 }, Step::Look];
    for seen_again in [false, true] {
        let mut steps = unread.to_vec();
        steps.push(Step::Rename { gap: 0 });
        steps.extend(seen_again.then_some(Step::Look));
        steps.push(Step::Gzip { generation: 1, gap: 0 });
        steps.extend(std::iter::repeat_n(Step::Look, 8));
        for wide in [false, true] {
            assert_eq!(run(&steps, wide, false).unwrap(), 0, "said to be lost");
        }
    }
}

/// A line is read that was written between the copy and the truncation; the copy ends before it, and is no new file.
#[test]
fn a_copy_that_is_shorter_than_what_was_read() {
    for accesses in 0..60 {
        let mut steps = vec![Step::CopyTruncate { race: true, gap: accesses }];
        steps.extend([Step::Look, Step::Turns, Step::Commit].into_iter().cycle().take(60));
        for wide in [false, true] {
            run(&steps, wide, false).unwrap();
        }
    }
}

/// The same of a copy that is shorter than the fingerprint, with as many lines as there is room for.
#[test]
fn a_short_copy_of_many_lines() {
    for lines in [10, 31, 32, 33, 39] {
        let mut model = Model::new(&["app.log"]);
        model.append(lines, false, 0);
        meanwhile::finish();
        model.read_everything();
        let (log, copy) = (model.path("app.log"), model.path("app.log.1"));
        fs::copy(&log, &copy).unwrap();
        append(&log, b"a line in the gap\n");
        model.in_the_gap.push("a line in the gap".into());
        model.read_everything();
        assert_eq!(model.committed.len(), lines + 1);
        File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
        model.append(1, false, 0);
        meanwhile::finish();
        model.read_everything();
        model.check().unwrap_or_else(|error| panic!("{lines} lines: {error}"));
    }
}

/// With no descriptor left, at any moment of the first looks and of what follows, nothing is taken to be gone, new or empty.
#[test]
fn without_descriptors_nothing_is_gone_or_new() {
    for (wide, left) in [false, true].into_iter().flat_map(|wide| (0..40).map(move |left| (wide, left))) {
        for refusals in [1, 2, 30] {
            let mut model = Model::new(if wide { &["app.log*"] } else { &["app.log"] });
            elder(&mut model, wide);
            model.append(9, false, 0);
            meanwhile::finish();
            meanwhile::run_out(left, refusals);
            model.read_everything();
            meanwhile::finish();
            model.read_everything();
            for step in [Step::Rename { gap: 0 }, Step::Kill, Step::CopyTruncate { race: false, gap: 0 }] {
                model.take(&step);
                model.append(9, false, 0);
                let gzip = Step::Gzip { generation: 1, gap: 0 };
                model.take(&gzip);
                (0..2).for_each(|_| model.follower().scan());
                meanwhile::run_out(left, refusals);
                model.read_everything();
                meanwhile::finish();
            }
            model.read_everything();
            model.check().unwrap_or_else(|error| panic!("wide {wide}, {left} left, {refusals} refused: {error}"));
            assert!(model.told_losses.is_empty(), "{left} left, {refusals} refused: {:?}", model.told_losses);
            assert_eq!(model.stats.total("truncated_unread_bytes_total"), 0);
        }
    }
}

/// A file that waits to be read and is not found for a while is read when it comes back, though it looks as it did before.
#[test]
fn a_file_that_comes_back_as_it_was_is_read() {
    let mut model = Model::new(&["*.log"]);
    let log = model.path("one.log");
    append(&log, b"one\n");
    model.read_everything();
    append(&log, b"two\n");
    model.follower().scan();
    // As if time had passed since, and others had needed the room.
    let file = &mut model.follower().files[0];
    (file.tried, file.content) = (Stat::of(&log.metadata().unwrap()), None);
    meanwhile::run_out(0, 1_000);
    model.follower().scan();
    meanwhile::finish();
    model.read_everything();
    assert_eq!(model.committed, ["one", "two"]);
}

/// A set that is read from its end has none before all of it could be looked at.
#[test]
fn without_descriptors_a_set_has_no_end() {
    for (left, refusals) in (0..12).flat_map(|left| [(left, 1), (left, 40)]) {
        let mut model = Model::new(&["*/*.log"]);
        model.options.read_from = ReadFrom::End;
        for name in ["a/1.log", "a/2.log", "b/3.log"] {
            let path = model.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            append(&path, b"before\n");
        }
        meanwhile::run_out(left, refusals);
        let mut looks = 0;
        let starts = loop {
            if let Some(batch) = model.follower().look() {
                break batch.positions.len();
            }
            assert!(model.follower().turns().is_empty());
            looks += 1;
            assert!(looks <= refusals);
        };
        assert_eq!(starts, 1 + 3, "{left} left, {refusals} refused");
        meanwhile::finish();
        for name in ["a/2.log", "b/3.log"] {
            append(&model.path(name), b"after\n");
        }
        model.read_everything();
        assert_eq!(model.committed, ["after", "after"], "{left} left, {refusals} refused");
    }
}

/// A directory that cannot be looked into is told, and what was in it is not gone.
#[test]
fn a_directory_that_is_refused_is_told() {
    let mut model = Model::new(&["*.log"]);
    append(&model.path("one.log"), b"one\n");
    model.read_everything();
    meanwhile::run_out(0, 1_000);
    for _ in 0..20 {
        model.follower().scan();
    }
    let follower = model.follower();
    assert!(!follower.look_again, "it is polled");
    assert!(follower.files.iter().all(|f| f.place == Place::Home && f.searches == 0), "{:?}", follower.files);
    assert_eq!(model.stats.total("read_errors_total"), 1);
    meanwhile::finish();
    append(&model.path("one.log"), b"two\n");
    model.read_everything();
    assert_eq!(model.committed, ["one", "two"]);
}

/// Overwritten at any moment of a turn, what was not read of a file is told with the bytes that it had.
#[test]
fn overwritten_content_is_told_with_the_size_that_it_had() {
    for gap in 0..12 {
        let mut model = Model::new(&["app.log"]);
        let log = model.path("app.log");
        model.append(40, false, 0);
        meanwhile::finish();
        model.follower().scan();
        model.turns();
        model.commit();
        let size = log.metadata().unwrap().len();
        let new = log.clone();
        meanwhile::later(gap, move || File::options().write(true).open(log).unwrap().set_len(0).unwrap());
        meanwhile::later(0, move || append(&new, b"other content\n"));
        model.turns();
        meanwhile::finish();
        model.read_everything();
        let (new, old): (Vec<String>, _) = model.committed.iter().cloned().partition(|line| line == "other content");
        assert_eq!(new.len(), 1, "{gap}");
        let whole = old.iter().filter(|line| model.written.contains(line)).count();
        assert!(old.len() <= whole + 1 && whole < 40, "{gap}: {old:?}");
        let read = old.iter().map(String::len).sum::<usize>() + whole;
        assert_eq!(model.told_losses, HashSet::from([(read as u64, size)]), "{gap}");
    }
}

/// A file that was found, and was compressed before its turn came, is read from the compressed one and not told to be lost.
#[test]
fn compressed_before_its_first_turn() {
    let mut model = Model::new(&["app.log"]);
    model.append(1, false, 0);
    meanwhile::finish();
    model.read_everything();
    model.take(&Step::Rename { gap: 0 });
    model.append(20, false, 0);
    meanwhile::finish();
    model.follower().scan();
    model.take(&Step::Rename { gap: 0 });
    model.take(&Step::Gzip { generation: 1, gap: 0 });
    model.append(1, false, 0);
    meanwhile::finish();
    model.read_everything();
    model.check().unwrap();
    let untold = &model.follower().losses;
    assert!(untold.is_empty(), "{untold:?}");
    assert!(model.told_losses.is_empty(), "{:?}", model.told_losses);
}

/// Overwritten at any moment between the look that finds it and the end of its first turn, a file is told to be lost with the bytes that it
/// had and that were not read.
#[test]
fn overwritten_before_its_first_turn() {
    for lines in [1, 40, 60] {
        for gap in 0..12 {
            let mut model = Model::new(&["app.log"]);
            let log = model.path("app.log");
            model.append(40, false, 0);
            meanwhile::finish();
            let size = log.metadata().unwrap().len();
            model.follower().scan();
            let new: Vec<String> = (0..lines).map(|n| format!("other content, number {n:02}")).collect();
            let text: String = new.iter().map(|line| format!("{line}\n")).collect();
            meanwhile::later(gap, move || fs::write(log, text).unwrap());
            model.turns();
            meanwhile::finish();
            model.read_everything();
            let (got, old): (Vec<String>, Vec<String>) =
                model.committed.iter().cloned().partition(|line| line.starts_with("other"));
            assert_eq!(got, new, "{gap}");
            // The last of the old lines may be the beginning of one.
            let whole = old.iter().zip(&model.written).take_while(|(line, written)| line == written).count();
            assert!(old.len() <= whole + 1, "{gap}: {old:?}");
            let read = (old.iter().map(String::len).sum::<usize>() + whole) as u64;
            let lost = if read < size { HashSet::from([(read, size)]) } else { HashSet::new() };
            assert_eq!(model.told_losses, lost, "{lines} lines, {gap}");
        }
    }
}

/// Of more files than may be open, those that have something to read are held open, and what the others had is told when they are deleted.
#[test]
fn deleted_before_they_are_read() {
    let mut model = Model::new(&["*.log"]);
    model.options.max_open_files = 4;
    let paths: Vec<PathBuf> = (0..10).map(|n| model.path(&format!("{n}.log"))).collect();
    paths.iter().for_each(|path| append(path, b"one\n"));
    model.read_everything();
    // Others are open, and have nothing more to read.
    for path in &paths[4..] {
        append(path, b"two\n");
    }
    model.follower().scan();
    paths[4..].iter().for_each(|path| fs::remove_file(path).unwrap());
    model.read_everything();
    let count = |text: &str| model.committed.iter().filter(|line| *line == text).count();
    assert_eq!((count("one"), count("two")), (10, 4));
    let losses = model.stats.total("truncated_unread_bytes_total");
    assert_eq!((losses, &model.told_losses), (2 * 4, &HashSet::from([(4, 8)])));
}

/// Of more files than are followed, the newest are; the others are counted, and read when there is room.
#[test]
fn more_files_than_are_followed() {
    let mut model = Model::new(&["*.log"]);
    model.options.max_files = 3;
    model.options.forget_after = std::time::Duration::ZERO;
    let now = std::time::SystemTime::now();
    for n in 0..5 {
        append(&model.path(&format!("{n}.log")), format!("{n}\n").as_bytes());
        let file = File::options().append(true).open(model.path(&format!("{n}.log"))).unwrap();
        file.set_modified(now - Duration::from_secs(100 - n)).unwrap();
    }
    model.read_everything();
    assert_eq!(model.committed, ["2", "3", "4"]);
    assert_eq!(model.stats.total("files_left_out"), 2);
    fs::remove_file(model.path("3.log")).unwrap();
    fs::remove_file(model.path("4.log")).unwrap();
    model.read_everything();
    assert_eq!(model.committed, ["2", "3", "4", "0", "1"]);
    assert_eq!(model.stats.total("files_left_out"), 0);
}

/// The clock is set back by a year while the daemon is down, and the log is rotated twice: what is rotated then is modified before what was
/// there when the log was first found, and that alone is not read.
#[test]
fn generations_of_a_year_before_the_elder() {
    let mut model = Model::new(&["app.log"]);
    let year = Duration::from_secs(365 * 86_400);
    elder(&mut model, false);
    model.append(2, false, 0);
    meanwhile::finish();
    model.read_everything();
    model.take(&Step::Kill);
    for _ in 0..2 {
        model.take(&Step::Rename { gap: 0 });
        model.append(2, false, 0);
        meanwhile::finish();
        let file = File::options().append(true).open(model.path("app.log")).unwrap();
        file.set_modified(std::time::SystemTime::now() - year).unwrap();
    }
    model.take(&Step::Gzip { generation: 3, gap: 0 });
    meanwhile::finish();
    model.read_everything();
    model.check().unwrap();
}
