//! What may happen while a story is told.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use sqlx::{ConnectOptions, Connection};
use tocsin::journal::GroupView;
use tocsin::journal::disk::Directory;
use tocsin::journal::format::{self, RECORD_HEADER};
use tocsin::journal::recovery::{self, Found};

use crate::stage::{JOURNAL_BYTES, Stage};
use crate::story::{Chance, is_attack, number_in};

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// SIGKILL for the daemon, some of them in the middle of its start
    Kill,
    /// SIGTERM for the daemon
    End,
    /// SIGSTOP for the daemon, and SIGCONT
    Pause,
    /// PostgreSQL stopped as by a power cut, by SIGKILL, or in order, and started again
    Database,
    /// PostgreSQL away for a while, in which the daemon is killed, ended or paused
    Away,
    /// PostgreSQL away until the journal is at its limit
    Full,
    /// The daemon's connections to PostgreSQL closed, in mid-transaction where possible
    Cut,
    /// No space on the journal's file system
    NoSpace,
    /// A bit flipped in a record of the journal that is not committed
    Flip,
    /// Another daemon with a journal of its own takes over
    Takeover,
}

/// Each kind as often as it should come up.
pub fn all() -> Vec<Fault> {
    let weights = [
        (Fault::Kill, 7),
        (Fault::End, 2),
        (Fault::Pause, 2),
        (Fault::Database, 3),
        (Fault::Away, 2),
        (Fault::Full, 1),
        (Fault::Cut, 3),
        (Fault::NoSpace, 1),
        (Fault::Flip, 1),
        (Fault::Takeover, 1),
    ];
    weights.into_iter().flat_map(|(fault, weight)| std::iter::repeat_n(fault, weight)).collect()
}

/// Lets one of `kinds` happen, some time from now. Before and after it a daemon and a database run.
pub async fn inject(stage: &mut Stage, kinds: &[Fault], chance: &mut Chance) {
    tokio::time::sleep(chance.millis_below(250)).await;
    match kinds[chance.below(kinds.len())] {
        Fault::Kill => kill(stage, chance).await,
        Fault::End => {
            stage.terminate().await;
            tokio::time::sleep(chance.millis_below(50)).await;
            stage.start().await;
        }
        Fault::Pause => stage.pause(chance.millis_below(800)).await,
        Fault::Database => {
            stop_database(stage, chance).await;
            stage.start_database().await;
        }
        Fault::Away => away(stage, chance).await,
        Fault::Full => full(stage, chance).await,
        Fault::Cut => cut(stage, chance).await,
        Fault::NoSpace => no_space(stage, chance).await,
        Fault::Flip => flip(stage, chance).await,
        Fault::Takeover => stage.take_over(chance).await,
    }
}

async fn kill(stage: &mut Stage, chance: &mut Chance) {
    stage.kill();
    tokio::time::sleep(chance.millis_below(50)).await;
    while chance.once_in(4) {
        stage.kill_at_start(chance.millis_below(120)).await;
    }
    stage.start().await;
}

async fn stop_database(stage: &mut Stage, chance: &mut Chance) {
    match chance.below(3) {
        0 => stage.crash_database().await,
        1 => stage.kill_postmaster().await,
        _ => stage.stop_database().await,
    }
}

async fn away(stage: &mut Stage, chance: &mut Chance) {
    stop_database(stage, chance).await;
    for _ in 0..chance.below(4) {
        tokio::time::sleep(chance.millis_below(300)).await;
        // An end takes three seconds when nothing can be stored.
        match chance.below(8) {
            0 => {
                stage.terminate().await;
                stage.start().await;
            }
            1 | 2 => stage.pause(chance.millis_below(300)).await,
            _ => kill(stage, chance).await,
        }
    }
    tokio::time::sleep(chance.millis_below(800)).await;
    stage.start_database().await;
}

/// More than the journal may hold is sent while the database is away; what it does not take waits at the senders.
async fn full(stage: &mut Stage, chance: &mut Chance) {
    const LINES: usize = 400;
    const PAD: usize = 8_000;
    stage.count("journal filled");
    stop_database(stage, chance).await;
    let (told, to) = (std::sync::Arc::clone(&stage.told), stage.daemon().tcp());
    let flood = tokio::spawn(async move { told.send(to, LINES, PAD, &mut None).await });
    let dir = stage.journal();
    crate::support::wait_until("the journal is full", async || {
        let used: u64 = format::segments(&Directory::new(&dir)).unwrap().iter().map(|(_, length)| length).sum();
        // A record is what was read from a connection at a time, 64 KiB at most.
        used + (96 << 10) > JOURNAL_BYTES
    })
    .await;
    tokio::time::sleep(chance.millis_below(300)).await;
    if chance.once_in(3) {
        kill(stage, chance).await;
    }
    stage.start_database().await;
    flood.await.unwrap();
}

/// Closes the daemon's connections, preferably in mid-transaction.
async fn cut(stage: &mut Stage, chance: &mut Chance) {
    stage.count("connections cut");
    let mut connection = stage.database.options.connect().await.unwrap();
    let in_transaction = if chance.once_in(4) { "" } else { "AND xact_start IS NOT NULL" };
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name <> 'tests' AND pid <> pg_backend_pid() {in_transaction}"
    );
    let deadline = Instant::now() + Duration::from_millis(300);
    while Instant::now() < deadline {
        let cut: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.clone())).fetch_one(&mut connection).await.unwrap();
        if cut > 0 {
            break;
        }
    }
    let _ = connection.close().await;
}

async fn no_space(stage: &mut Stage, chance: &mut Chance) {
    let Some(state) = stage.small_state() else {
        stage.count("no space skipped (no tmpfs can be mounted here)");
        return;
    };
    stage.count("no space");
    let path = state.join("ballast");
    tokio::task::spawn_blocking({
        let path = path.clone();
        move || {
            let mut ballast = File::create(path).unwrap();
            while ballast.write_all(&[0; 4096]).is_ok() {}
        }
    })
    .await
    .unwrap();
    tokio::time::sleep(chance.millis_below(1_200)).await;
    if chance.once_in(3) {
        stage.kill();
        stage.start().await;
        tokio::time::sleep(chance.millis_below(300)).await;
    }
    std::fs::remove_file(&path).unwrap();
}

/// While the daemon is down, flips a bit of a record that is on disk and not in the database, and on which no incident rests.
async fn flip(stage: &mut Stage, chance: &mut Chance) {
    stop_database(stage, chance).await;
    tokio::time::sleep(Duration::from_millis(100) + chance.millis_below(400)).await;
    stage.kill();
    stage.start_database().await;
    let dir = stage.journal();
    let identity = std::fs::read_to_string(dir.join("id")).unwrap();
    let committed = stage
        .database
        .number(&format!("coalesce((SELECT position FROM positions WHERE input = 'journal' AND part = '{identity}'), 0)"))
        .await;
    let candidates = uncommitted(&dir, u64::try_from(committed).unwrap());
    if !candidates.is_empty() {
        stage.count("flipped bits");
        let record = &candidates[chance.below(candidates.len())];
        // A last record with a broken header would be taken for one that was never finished, as it may be.
        let spared = if record.is_last { RECORD_HEADER } else { 0 };
        let bit = spared * 8 + chance.below((record.size as usize - spared) * 8);
        let file = File::options().read(true).write(true).open(dir.join(format::segment_name(record.segment))).unwrap();
        let (at, mut byte) = (record.at - record.segment + bit as u64 / 8, [0]);
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1 << (bit % 8)], at).unwrap();
        stage.excused.extend(record.lines.iter().cloned());
        stage.damaged.push((identity.trim().to_owned(), record.at, record.at + record.size));
    }
    stage.start().await;
}

/// A record that may be damaged.
struct Record {
    segment: u64,
    at: u64,
    size: u64,
    /// Of its segment.
    is_last: bool,
    /// By source and number.
    lines: Vec<(String, usize)>,
}

/// The records from `committed` on, without those that incidents rest on.
fn uncommitted(dir: &Path, committed: u64) -> Vec<Record> {
    let mut records = Vec::new();
    let disk = Directory::new(dir);
    for (base, length) in format::segments(&disk).unwrap() {
        let Some(mut scanner) = recovery::open(&disk, base, base).unwrap() else { continue };
        let mut of_segment = Vec::new();
        loop {
            let at = scanner.position();
            match scanner.next(base + length).unwrap() {
                Found::Record { body, .. } => {
                    let size = (RECORD_HEADER + body.len()) as u64;
                    let group = GroupView::decode(body).unwrap();
                    let lines = group.frames().filter_map(|(_, f)| number_in(f)).map(|n| (group.source.to_owned(), n)).collect();
                    let is_spared = at < committed || group.frames().any(|(_, frame)| is_attack(frame));
                    of_segment.push((is_spared, Record { segment: base, at, size, is_last: false, lines }));
                }
                Found::Damaged(_) => {}
                Found::End(_) => break,
            }
        }
        if let Some((_, last)) = of_segment.last_mut() {
            last.is_last = true;
        }
        records.extend(of_segment.into_iter().filter(|(is_spared, _)| !is_spared).map(|(_, record)| record));
    }
    records
}
