//! The journal against a plain model: a list of what was appended.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::simulation::{Chance, Death, Faults, ModelDisk, Moment};
use super::*;
use crate::frame::Batch;
use crate::record::{Timestamp, Zone};

const DEADLINE: Duration = Duration::from_secs(20);

fn small() -> Options {
    Options { segment_bytes: 4096, limit_bytes: 1 << 20, sync_interval: Duration::from_millis(1), ..Options::default() }
}

fn sources() -> Sources {
    Sources { known: Default::default(), default_zone: Zone::UTC }
}

fn group(source: &str, frames: &[&str]) -> Group {
    let mut group = Group::new(source, Timestamp::from_secs(1));
    for frame in frames {
        group.push(Some([192, 0, 2, 1].into()), frame.as_bytes(), 0);
    }
    group
}

fn texts(batch: &Batch) -> Vec<String> {
    batch.frames.iter().map(|f| String::from_utf8_lossy(batch.bytes_of(f)).into_owned()).collect()
}

fn position(batch: &Batch) -> u64 {
    batch.positions[0].to
}

/// Everything readable from `from` on, and the position behind it. The journal must be closed.
async fn read_all(journal: &Journal, from: u64) -> (Vec<String>, u64) {
    let mut reader = Reader::new(journal, from, sources());
    let (mut out, mut at) = (Vec::new(), from);
    while let Some(batch) = timeout(DEADLINE, reader.next()).await.expect("in time").unwrap() {
        out.extend(texts(&batch));
        at = position(&batch);
    }
    (out, at)
}

async fn next(reader: &mut Reader) -> Batch {
    timeout(DEADLINE, reader.next()).await.expect("in time").unwrap().expect("a journal that is open")
}

async fn reopened(dir: &Path, stats: &Stats) -> Vec<String> {
    let journal = Journal::open(dir, small(), 0, stats).unwrap();
    journal.close().await;
    read_all(&journal, 0).await.0
}

/// A closed journal with a record for each text; returns its only segment's bytes.
async fn with_records(dir: &Path, texts: &[&str]) -> (PathBuf, Vec<u8>) {
    let journal = Journal::open(dir, small(), 0, &Stats::default()).unwrap();
    for text in texts {
        journal.handle().append_and_wait(&group("lan", &[text])).await.unwrap();
    }
    journal.close().await;
    let path = dir.join(format::segment_name(0));
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

fn place(dir: &Path, bytes: &[u8]) {
    std::fs::write(dir.join(format::segment_name(0)), bytes).unwrap();
}

#[tokio::test]
async fn what_is_acknowledged_is_read_with_its_origin_and_position() {
    let dir = tempfile::tempdir().unwrap();
    let stats = Stats::default();
    let journal = Journal::open(dir.path(), small(), 0, &stats).unwrap();
    let named = Arc::new(crate::frame::Source { name: "lan".into(), zone: Zone::UTC, format: None });
    let known = [("lan".to_owned(), Arc::clone(&named))].into();
    let mut reader = Reader::new(&journal, 0, Sources { known, default_zone: Zone::UTC });
    let handle = journal.handle();
    handle.append_and_wait(&group("lan", &["one", "", "three"]).with_delivery(Some("d1"))).await.unwrap();
    let batch = timeout(DEADLINE, reader.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(texts(&batch), ["one", "", "three"]);
    assert!(Arc::ptr_eq(&batch.origins[0].source, &named));
    assert_eq!(batch.origins[0].peer, Some([192, 0, 2, 1].into()));
    assert_eq!(batch.deliveries, [crate::frame::Delivery { source: "lan".into(), id: "d1".into(), frames: 0..3 }]);
    assert_eq!(position(&batch), journal.synced());
    handle.append_and_wait(&group("gone", &["x"])).await.unwrap();
    handle.append_and_wait(&group("gone", &["y"])).await.unwrap();
    let batch = timeout(DEADLINE, reader.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((texts(&batch), batch.origins[0].source.name.as_str()), (vec!["x".into(), "y".into()], "gone"));
    journal.close().await;
    assert!(timeout(DEADLINE, reader.next()).await.unwrap().unwrap().is_none());
    assert!(matches!(handle.append(&group("lan", &["late"])).await, Err(JournalError::Closed)));
    assert_eq!(stats.total("journal_records_total"), 3);
}

#[tokio::test]
async fn a_dropped_read_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), small(), 0, &Stats::default()).unwrap();
    let mut reader = Reader::new(&journal, 0, sources());
    let mut seen = Vec::new();
    for i in 0..50 {
        journal.handle().append_and_wait(&group("lan", &[&format!("{i}")])).await.unwrap();
        // Polled once and dropped, wherever it is by then.
        tokio::select! { biased; batch = reader.next() => seen.extend(texts(&batch.unwrap().unwrap())), () = std::future::ready(()) => {} }
    }
    journal.close().await;
    while let Some(batch) = timeout(DEADLINE, reader.next()).await.unwrap().unwrap() {
        seen.extend(texts(&batch));
    }
    assert_eq!(seen, (0..50).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_journal_cut_at_any_byte_keeps_its_whole_records_and_goes_on_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (_, bytes) = with_records(dir.path(), &["alpha", "beta", "gamma"]).await;
    let mut counts = Vec::new();
    for cut in 0..=bytes.len() {
        let dir = tempfile::tempdir().unwrap();
        place(dir.path(), &bytes[..cut]);
        let journal = Journal::open(dir.path(), small(), 0, &Stats::default()).unwrap();
        assert!(journal.opened().next_offset >= cut as u64);
        journal.handle().append_and_wait(&group("lan", &["after"])).await.unwrap();
        journal.close().await;
        let mut got = read_all(&journal, 0).await.0;
        assert_eq!(got.pop().as_deref(), Some("after"));
        assert_eq!(got, ["alpha", "beta", "gamma"][..got.len()], "cut at {cut}");
        counts.push(got.len());
    }
    assert!(counts.is_sorted());
    assert_eq!((counts[bytes.len() - 1], counts[bytes.len()]), (2, 3));
}

#[tokio::test]
async fn a_flipped_bit_anywhere_costs_at_most_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let all = ["alpha", "beta", "gamma", "delta"];
    let (_, bytes) = with_records(dir.path(), &all).await;
    for at in 0..bytes.len() {
        let dir = tempfile::tempdir().unwrap();
        let mut broken = bytes.clone();
        broken[at] ^= 1 << (at % 8);
        place(dir.path(), &broken);
        let stats = Stats::default();
        let got = reopened(dir.path(), &stats).await;
        let lost = stats.total("journal_damaged_bytes_total") + stats.total("journal_torn_bytes_total");
        let in_header = at < format::SEGMENT_HEADER as usize;
        assert_eq!((got.len(), lost > 0), if in_header { (4, false) } else { (3, true) }, "byte {at}");
        assert!(got.iter().all(|text| all.contains(&text.as_str())));
    }
}

#[tokio::test]
async fn a_record_inside_of_a_log_line_is_not_taken_for_one() {
    let dir = tempfile::tempdir().unwrap();
    // The attacker knows the format, and even the offset, but not the salt.
    let forged_body = group("lan", &["forged"]).encode();
    let mut line = Vec::new();
    for at in 0..400 {
        line.extend_from_slice(&format::RecordHeader::of(format::KIND_GROUP, &forged_body).encode(0, at));
        line.extend_from_slice(&forged_body);
    }
    let journal = Journal::open(dir.path(), Options { segment_bytes: 1 << 20, ..small() }, 0, &Stats::default()).unwrap();
    let mut hostile = Group::new("lan", Timestamp::from_secs(1));
    hostile.push(None, &line, 0);
    journal.handle().append_and_wait(&hostile).await.unwrap();
    journal.handle().append_and_wait(&group("lan", &["next"])).await.unwrap();
    journal.close().await;
    drop(journal);
    let path = dir.path().join(format::segment_name(0));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[format::SEGMENT_HEADER as usize + 5] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(reopened(dir.path(), &Stats::default()).await, ["next"]);
}

#[tokio::test]
async fn new_offsets_begin_behind_what_postgresql_has_even_if_the_directory_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), small(), 123_456, &Stats::default()).unwrap();
    journal.handle().append_and_wait(&group("lan", &["new"])).await.unwrap();
    journal.close().await;
    let (texts, at) = read_all(&journal, 123_456).await;
    assert_eq!(texts, ["new"]);
    assert!(at > 123_456);
    let too_far = Journal::open(&dir.path().join("other"), small(), u64::MAX, &Stats::default());
    assert!(matches!(too_far, Err(JournalError::Position(_))));
}

#[tokio::test]
async fn a_start_that_dies_does_not_forget_which_offsets_were_used() {
    for operations in 0.. {
        let disk = ModelDisk::new(Chance::new(operations));
        let open = |disk: &ModelDisk| Journal::start(Arc::new(disk.clone()), small(), 0, 7, &Stats::default());
        let journal = open(&disk).unwrap();
        let last = group("lan", &["two"]);
        journal.handle().append_and_wait(&group("lan", &["one"])).await.unwrap();
        journal.handle().append_and_wait(&last).await.unwrap();
        let stored = journal.synced();
        journal.close().await;
        // The header of the last record is damaged, so that the next start takes it for torn and cuts it off.
        let (base, bytes) = disk.segments().remove(0);
        let record = bytes.len() - last.encode().len() - format::RECORD_HEADER;
        disk.flip(&format::segment_name(base), record, 0);
        let disk = disk.reborn(Death::Kill);
        disk.crash_after(operations, Moment::After);
        if let Ok(journal) = open(&disk) {
            assert!(operations > 5, "a start is more than that");
            disk.forget_crash();
            return journal.close().await;
        }
        let journal = open(&disk.reborn(Death::Kill)).unwrap();
        assert!(journal.opened().next_offset >= stored, "after {operations} operations");
        journal.close().await;
    }
}

#[tokio::test]
async fn a_disk_that_refuses_never_leaves_the_journal_without_a_segment() {
    for seed in 0..20 {
        let disk = ModelDisk::new(Chance::new(seed));
        let options = Options { retry_pause: Duration::from_millis(1), ..small() };
        let open = |disk: &ModelDisk| Journal::start(Arc::new(disk.clone()), options.clone(), 0, 7, &Stats::default()).unwrap();
        let journal = open(&disk);
        journal.handle().append_and_wait(&group("lan", &["one"])).await.unwrap();
        let stored = journal.synced();
        journal.close().await;
        // Everything is stored, so that all there is is a segment without a record; and that cannot be written.
        let journal = open(&disk);
        journal.release(stored);
        journal.handle().flush().await.unwrap();
        assert_eq!(disk.segments().len(), 1);
        disk.set_faults(Faults { write: 1000, ..Faults::default() });
        let mut health = journal.health();
        assert!(journal.handle().append_and_wait(&group("lan", &["two"])).await.is_err());
        for _ in 0..3 {
            timeout(DEADLINE, health.changed()).await.unwrap().unwrap();
        }
        let disk = disk.reborn(Death::Kill);
        journal.close().await;
        disk.set_faults(Faults::default());
        let journal = open(&disk);
        assert!(journal.opened().next_offset >= stored, "seed {seed}: no offset is used twice");
        journal.close().await;
    }
}

/// The journal's own segment takes the whole disk, and cannot be deleted before there is another one.
#[tokio::test]
async fn a_disk_that_the_journal_filled_is_drained_and_written_again() {
    for seed in 0..20 {
        let disk = ModelDisk::new(Chance::new(seed));
        let options = Options { retry_pause: Duration::from_millis(1), ..small() };
        let journal = Journal::start(Arc::new(disk.clone()), options, 0, 7, &Stats::default()).unwrap();
        journal.handle().append_and_wait(&group("lan", &["first"])).await.unwrap();
        disk.set_faults(Faults { full: true, ..Faults::default() });
        assert!(journal.handle().append_and_wait(&group("lan", &["refused"])).await.is_err());
        let mut reader = Reader::new(&journal, 0, sources());
        let batch = next(&mut reader).await;
        assert_eq!(texts(&batch), ["first"]);
        journal.release(position(&batch));
        let mut health = journal.health();
        timeout(DEADLINE, health.wait_for(|health| *health == Health::Good)).await.unwrap().unwrap();
        journal.handle().append_and_wait(&group("lan", &["second"])).await.unwrap();
        assert_eq!(texts(&next(&mut reader).await), ["second"], "seed {seed}");
        journal.close().await;
    }
}

#[tokio::test]
async fn a_start_on_a_full_disk_reads_what_is_there_and_writes_when_that_is_released() {
    let long = "x".repeat(3000);
    for seed in 0..20 {
        let disk = ModelDisk::new(Chance::new(seed));
        let options = Options { retry_pause: Duration::from_millis(1), ..small() };
        let open = |disk: &ModelDisk| Journal::start(Arc::new(disk.clone()), options.clone(), 0, 7, &Stats::default()).unwrap();
        let journal = open(&disk);
        for n in 0..3 {
            journal.handle().append_and_wait(&group("lan", &[&format!("{n} {long}")])).await.unwrap();
        }
        let disk = disk.reborn(Death::Kill);
        journal.close().await;
        // Somebody else took the space of the reserve, too.
        disk.remove("reserve").unwrap();
        disk.set_faults(Faults { full: true, ..Faults::default() });
        let journal = open(&disk);
        assert!(matches!(*journal.health().borrow(), Health::Failing(_)), "nothing can be written");
        let mut reader = Reader::new(&journal, 0, sources());
        let (mut read, mut stored) = (Vec::new(), 0);
        while read.len() < 3 {
            let batch = next(&mut reader).await;
            read.extend(texts(&batch).iter().map(|text| text[..1].to_owned()));
            stored = position(&batch);
        }
        assert_eq!(read, ["0", "1", "2"], "seed {seed}");
        journal.release(stored);
        let mut health = journal.health();
        timeout(DEADLINE, health.wait_for(|health| *health == Health::Good)).await.unwrap().unwrap();
        journal.handle().append_and_wait(&group("lan", &["more"])).await.unwrap();
        assert_eq!(texts(&next(&mut reader).await), ["more"], "seed {seed}");
        journal.close().await;
    }
}

#[tokio::test]
async fn only_one_process_writes() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), small(), 0, &Stats::default()).unwrap();
    assert!(matches!(Journal::open(dir.path(), small(), 0, &Stats::default()), Err(JournalError::InUse { .. })));
    journal.close().await;
    drop(journal);
    Journal::open(dir.path(), small(), 0, &Stats::default()).unwrap();
}

#[tokio::test]
async fn a_damaged_identity_is_refused_and_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, stats) = (Journal::open(dir.path(), small(), 0, &Stats::default()).unwrap(), Stats::default());
    let identity = Arc::clone(journal.identity());
    journal.close().await;
    drop(journal);
    std::fs::write(dir.path().join("id"), "short").unwrap();
    assert!(matches!(Journal::open(dir.path(), small(), 0, &stats), Err(JournalError::Open { .. })));
    std::fs::write(dir.path().join("id"), format!("{identity}\n")).unwrap();
    assert_eq!(*Journal::open(dir.path(), small(), 0, &stats).unwrap().identity(), identity);
}

#[tokio::test]
async fn a_full_journal_refuses_waits_and_goes_on_when_space_is_released() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { limit_bytes: 64 << 10, segment_bytes: 8 << 10, ..small() };
    let stats = Stats::default();
    let journal = Journal::open(dir.path(), options, 0, &stats).unwrap();
    let handle = journal.handle();
    let text = "x".repeat(2000);
    let mut accepted = 0;
    loop {
        match handle.append_and_wait(&group("lan", &[&text])).await {
            Ok(()) => accepted += 1,
            Err(JournalError::Full) => break,
            Err(other) => panic!("{other}"),
        }
    }
    assert!((24..33).contains(&accepted), "{accepted}");
    assert!(matches!(handle.try_append(group("lan", &[&text])).unwrap_err().reason, JournalError::Full));
    let waiting = tokio::spawn({
        let (handle, text) = (handle.clone(), text.clone());
        async move { handle.append(&group("lan", &[&text])).await }
    });
    let mut reader = Reader::new(&journal, 0, sources());
    let batch = timeout(DEADLINE, reader.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(batch.frames.len(), accepted);
    assert!(!waiting.is_finished());
    journal.release(position(&batch));
    timeout(DEADLINE, waiting).await.unwrap().unwrap().unwrap();
    handle.flush().await.unwrap();
    let left = format::segments(&Directory::new(dir.path())).unwrap();
    assert_eq!(left.iter().map(|(_, length)| length).sum::<u64>(), journal.used_bytes());
    assert!(left.len() <= 2, "{left:?}");
    let batch = timeout(DEADLINE, reader.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(texts(&batch), [text]);
    let giant = "y".repeat(20 << 10);
    assert!(matches!(handle.append(&group("lan", &[&giant])).await, Err(JournalError::TooLarge { .. })));
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_assumed_and_nothing_is_doubled() {
    let disk = ModelDisk::new(Chance::new(1));
    let options = Options { retry_pause: Duration::from_millis(5), ..small() };
    let stats = Stats::default();
    let journal = Journal::start(Arc::new(disk.clone()), options, 0, 7, &stats).unwrap();
    let handle = journal.handle();
    handle.append_and_wait(&group("lan", &["before"])).await.unwrap();
    let mut health = journal.health();
    disk.set_faults(Faults { sync: 1000, ..Faults::default() });
    let refused = handle.append_and_wait(&group("lan", &["refused"])).await;
    assert!(matches!(refused, Err(JournalError::Unavailable(_))), "{refused:?}");
    handle.append(&group("lan", &["kept"])).await.unwrap();
    disk.set_faults(Faults::default());
    timeout(DEADLINE, handle.flush()).await.unwrap().unwrap();
    timeout(DEADLINE, health.wait_for(|h| *h == Health::Good)).await.unwrap().unwrap();
    handle.append_and_wait(&group("lan", &["after"])).await.unwrap();
    journal.close().await;
    assert_eq!(read_all(&journal, 0).await.0, ["before", "kept", "after"]);
    assert!(stats.total("journal_errors_total") >= 1);
    let on_disk: usize = disk.segments().iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(on_disk as u64, journal.used_bytes());
}

#[tokio::test]
async fn a_directory_that_vanishes_and_a_disk_that_refuses_are_survived() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("journal");
    let options = Options { retry_pause: Duration::from_millis(5), ..small() };
    let journal = Journal::open(&place, options, 0, &Stats::default()).unwrap();
    let (handle, mut health) = (journal.handle(), journal.health());
    handle.append_and_wait(&group("lan", &["before"])).await.unwrap();
    // A file stands where the directory was: no segment can be made, whoever we are.
    std::fs::remove_dir_all(&place).unwrap();
    std::fs::write(&place, b"").unwrap();
    let long = "x".repeat(5000);
    handle.append(&group("lan", &[&long])).await.unwrap();
    timeout(DEADLINE, health.wait_for(|h| matches!(h, Health::Failing(_)))).await.unwrap().unwrap();
    assert!(matches!(handle.append_and_wait(&group("lan", &["no"])).await, Err(JournalError::Unavailable(_))));
    handle.append(&group("lan", &["waits"])).await.unwrap();
    std::fs::remove_file(&place).unwrap();
    timeout(DEADLINE, health.wait_for(|h| *h == Health::Good)).await.unwrap().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&place).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700, "log lines are nobody else's business");
    timeout(DEADLINE, handle.flush()).await.unwrap().unwrap();
    journal.close().await;
    assert_eq!(read_all(&journal, 0).await.0, [long.as_str(), "waits"]);
}

#[tokio::test]
async fn many_who_wait_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let stats = Stats::default();
    let journal = Journal::open(dir.path(), Options::default(), 0, &stats).unwrap();
    let waiting: Vec<_> = (0..200)
        .map(|i| {
            let handle = journal.handle();
            tokio::spawn(async move { handle.append_and_wait(&group("lan", &[&i.to_string()])).await })
        })
        .collect();
    for waiter in waiting {
        timeout(DEADLINE, waiter).await.unwrap().unwrap().unwrap();
    }
    journal.close().await;
    assert!(stats.total("journal_syncs_total") < 200, "{}", stats.total("journal_syncs_total"));
    let mut all: Vec<u32> = read_all(&journal, 0).await.0.iter().map(|t| t.parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn batches_are_bounded_and_a_large_group_comes_alone() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), Options::default(), 0, &Stats::default()).unwrap();
    let lines: Vec<String> = (0..3000).map(|i| format!("line {i}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let long = "z".repeat(6 << 20);
    for frames in [&lines[..], &lines[..], &[long.as_str()][..], &["last"][..]] {
        journal.handle().append_and_wait(&group("lan", frames)).await.unwrap();
    }
    journal.close().await;
    let mut reader = Reader::new(&journal, 0, sources());
    let mut sizes = Vec::new();
    while let Some(batch) = timeout(DEADLINE, reader.next()).await.unwrap().unwrap() {
        sizes.push(batch.frames.len());
    }
    assert_eq!(sizes, [3000, 3000, 1, 1]);
}
