//! Lives of a journal, made up from a seed: senders append, a pipeline reads, commits and releases, the disk fails, processes die, the
//! power is cut. There is one thread and no clock, so that a seed that fails does so again.
//!
//! `TOCSIN_SIM_SEED` plays one seed and tells what happens in it, `TOCSIN_SIM_SEEDS` says how many there are to be.

mod disk;
mod rig;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

pub(crate) use disk::{Death, Faults, ModelDisk, Moment};
pub(crate) use rig::Rig;

use super::format::{self, RECORD_HEADER, RecordHeader, SEGMENT_HEADER, SegmentHeader};
use super::handle::Message;
use super::reader::Cursor;
use super::writer::Writer;
use super::{Group, GroupView, Health, Journal, JournalError, Options, Sources};
use crate::frame::{Batch, FrameSpan};
use crate::record::{Timestamp, Zone};
use crate::stats::Stats;

/// Random numbers from a seed: SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn per_mille(&mut self, share: u32) -> bool {
        share > 0 && self.below(1000) < u64::from(share)
    }
}

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// A sender appends a group of so many frames of about so many bytes.
    Send(usize, How, usize, usize),
    /// Somebody wants to know when everything is synced.
    Flush,
    /// A sender goes away without waiting for its answer.
    Forget(usize),
    /// The writer takes so many messages.
    Take(usize),
    Step,
    Pass(Duration),
    /// The pipeline takes a batch.
    Read,
    /// It commits the oldest that it has.
    Commit(Answer),
    Weather(Faults),
    Flip,
    Close,
    Crash(Death),
    /// The process is to die in the operation after so many others.
    CrashAfter(u64, Moment, Death),
}

#[derive(Debug, Clone, Copy)]
enum How {
    Append,
    AppendAndWait,
    TryAppend,
}

/// What becomes of a commit.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Committed,
    RolledBack,
    /// It went through, and the connection died.
    LostCommitted,
    /// It did not, and the connection died.
    LostRolledBack,
}

/// What is known of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Its call has not returned.
    Calling,
    /// Taken, and not known to be synced.
    Taken,
    /// Acknowledged: it must come out.
    Acknowledged,
    /// Refused: it must not.
    Refused,
    /// It may come out.
    Open,
}

#[derive(Debug)]
struct Sent {
    sender: usize,
    frames: Vec<String>,
    fate: Fate,
    committed: bool,
    /// Its record was hit by a flipped bit; that many bytes are lost with it.
    flipped: Option<u64>,
}

/// A call of a sender that has not returned.
struct Call {
    what: Calling,
    future: Pin<Box<dyn Future<Output = Result<(), JournalError>>>>,
    woken: Arc<Woken>,
}

#[derive(Debug, Clone)]
enum Calling {
    Append(usize),
    AppendAndWait(usize),
    /// What had been taken before.
    Flush(Vec<usize>),
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A process that has the journal open.
struct Life {
    // The calls come before what they use.
    calls: Vec<Call>,
    cursor: Cursor,
    /// Read and not committed.
    batches: VecDeque<Batch>,
    /// The connection died in the commit of the first of them.
    unsure: bool,
    writer: Writer,
    messages: Receiver<Message>,
    journal: Journal,
    stats: Stats,
    /// Groups that were refused since the disk fails. They may stand in the segment until it is cut back.
    uncut: Vec<usize>,
}

struct Simulation {
    chance: Chance,
    disk: ModelDisk,
    /// What the next crash in an operation of the disk is.
    death: Death,
    now: Instant,
    options: Options,
    lives: u64,
    life: Option<Life>,
    /// The database: positions by the identity of the journal.
    positions: BTreeMap<Arc<str>, u64>,
    sent: Vec<Sent>,
    /// By sender: the last of its groups that is committed.
    latest: HashMap<usize, usize>,
    /// Bytes that past processes counted as damaged or torn.
    counted_bytes: u64,
    /// A process died before it had the journal, and took its figures with it.
    failed_to_open: bool,
    tells: bool,
}

const SENDERS: u64 = 4;

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let mut chance = Chance::new(seed);
        let disk = ModelDisk::new(Chance::new(chance.number()));
        let segment_bytes = 400 + chance.below(2500);
        let options = Options {
            segment_bytes,
            limit_bytes: segment_bytes * (4 + chance.below(8)),
            sync_interval: Duration::from_millis(10),
            queue_bytes: 1000 + chance.below(3000) as usize,
            queue_groups: 4 + chance.below(12) as usize,
            retry_pause: Duration::from_millis(100),
        };
        Simulation {
            chance,
            disk,
            death: Death::Kill,
            now: Instant::now(),
            options,
            lives: 0,
            life: None,
            positions: BTreeMap::new(),
            sent: Vec::new(),
            latest: HashMap::new(),
            counted_bytes: 0,
            failed_to_open: false,
            tells: false,
        }
    }

    /// A life of chance.
    fn live(&mut self) {
        let kinds = self.chance.number();
        for _ in 0..60 + self.chance.below(100) {
            let act = self.any_act(kinds);
            self.play(act);
        }
    }

    /// Something that may happen; bits of `kinds` say which disasters may.
    fn any_act(&mut self, kinds: u64) -> Act {
        let chance = &mut self.chance;
        let sender = chance.below(SENDERS) as usize;
        match chance.below(120) {
            0..30 => {
                let how = [How::Append, How::AppendAndWait, How::AppendAndWait, How::TryAppend][chance.below(4) as usize];
                let bytes = if chance.one_in(30) { 3000 } else { 1 + chance.below(200) as usize };
                Act::Send(sender, how, 1 + chance.below(3) as usize, bytes)
            }
            30..50 => Act::Take(1 + chance.below(6) as usize),
            50..72 => Act::Step,
            72..80 => Act::Pass(Duration::from_micros(100 << chance.below(12))),
            80..92 => Act::Read,
            92..103 => Act::Commit(match chance.below(8) {
                0 => Answer::RolledBack,
                1 => Answer::LostCommitted,
                2 => Answer::LostRolledBack,
                _ => Answer::Committed,
            }),
            103..106 => Act::Flush,
            106..108 => Act::Forget(sender),
            108..112 if kinds & 1 != 0 => Act::Weather(weather(chance)),
            112..114 if kinds & 2 != 0 => Act::Flip,
            114..115 if kinds & 4 != 0 => Act::Close,
            115..117 if kinds & 8 != 0 => Act::Crash(death(chance, kinds)),
            117..120 if kinds & 16 != 0 => {
                let moment = [Moment::Before, Moment::Midway, Moment::After][chance.below(3) as usize];
                Act::CrashAfter(chance.below(12), moment, death(chance, kinds))
            }
            _ => Act::Step,
        }
    }

    /// Lets something happen, and looks at what follows from it.
    fn play(&mut self, act: Act) {
        self.tell(|| format!("{act:?}"));
        if self.life.is_none() {
            self.open();
        }
        match act {
            Act::Send(sender, how, frames, bytes) => self.send(sender, how, frames, bytes),
            Act::Flush => self.flush(),
            Act::Forget(sender) => self.forget(sender),
            Act::Take(messages) => self.take(messages),
            Act::Step => self.step(),
            Act::Pass(time) => self.now += time,
            Act::Read => self.read(),
            Act::Commit(answer) => self.commit(answer),
            Act::Weather(faults) => self.disk.set_faults(faults),
            Act::Flip => self.flip(),
            Act::Close => self.close(),
            Act::Crash(death) => self.end(Some(death)),
            Act::CrashAfter(operations, moment, death) => {
                self.death = death;
                self.disk.crash_after(operations, moment);
            }
        }
        self.look();
    }

    /// Starts a process, as the daemon does.
    fn open(&mut self) {
        self.lives += 1;
        let stats = Stats::default();
        // A journal without segments begins behind whatever an earlier one may have had. The others need no telling.
        let at_least = match self.disk.segments().is_empty() {
            true => self.lives << 32,
            false if self.chance.one_in(2) => 0,
            false => self.positions.values().copied().max().unwrap_or(0),
        };
        let secret = self.chance.number();
        match Journal::on(Arc::new(self.disk.clone()), self.options.clone(), at_least, secret, self.now, &stats) {
            Ok((journal, writer, messages)) => {
                let from = self.positions.get(journal.identity()).copied().unwrap_or(0);
                let next = journal.opened().next_offset;
                assert!(from <= next, "offset {from} is committed, and the next one is {next}");
                self.tell(|| format!("opened at {from}: {:?}", journal.opened()));
                journal.release(from);
                let cursor = Cursor::new(&journal, from, Sources { known: HashMap::new(), default_zone: Zone::UTC });
                self.life = Some(Life {
                    calls: Vec::new(),
                    cursor,
                    batches: VecDeque::new(),
                    unsure: false,
                    writer,
                    messages,
                    journal,
                    stats,
                    uncut: Vec::new(),
                });
            }
            Err(e) => {
                self.tell(|| format!("cannot open: {e}"));
                self.failed_to_open = true;
                if !self.disk.is_dead() {
                    // The daemon gives up, and is started again.
                    self.end(None);
                }
                if self.chance.one_in(3) {
                    self.disk.set_faults(Faults::default());
                }
            }
        }
        self.look();
    }

    fn send(&mut self, sender: usize, how: How, frames: usize, bytes: usize) {
        let Some(life) = &mut self.life else { return };
        let id = self.sent.len();
        let waits = |call: &Call| match call.what {
            Calling::Append(id) | Calling::AppendAndWait(id) => self.sent[id].sender == sender,
            Calling::Flush(_) => false,
        };
        if life.calls.iter().any(waits) {
            return;
        }
        let frames: Vec<String> = (0..frames).map(|n| format!("{id} {n} {}", "x".repeat(bytes / (n + 1)))).collect();
        let mut group = Group::new(&format!("sender {sender}"), Timestamp::from_secs(id as i64));
        frames.iter().for_each(|frame| group.push(None, frame.as_bytes(), 0));
        self.sent.push(Sent { sender, frames, fate: Fate::Calling, committed: false, flipped: None });
        let handle = life.journal.handle();
        match how {
            How::Append => life.call(Calling::Append(id), async move { handle.append(&group).await }),
            How::AppendAndWait => life.call(Calling::AppendAndWait(id), async move { handle.append_and_wait(&group).await }),
            How::TryAppend => self.sent[id].fate = if handle.try_append(group).is_ok() { Fate::Taken } else { Fate::Refused },
        }
    }

    fn flush(&mut self) {
        let Some(life) = &mut self.life else { return };
        let taken = (0..self.sent.len()).filter(|&id| self.sent[id].fate == Fate::Taken).collect();
        let handle = life.journal.handle();
        life.call(Calling::Flush(taken), async move { handle.flush().await });
    }

    fn forget(&mut self, sender: usize) {
        let Some(life) = &mut self.life else { return };
        let call = life.calls.iter().position(
            |call| matches!(call.what, Calling::Append(id) | Calling::AppendAndWait(id) if self.sent[id].sender == sender),
        );
        match call.map(|i| life.calls.remove(i).what) {
            // "Dropping the future before it is done appends nothing."
            Some(Calling::Append(id)) => self.sent[id].fate = Fate::Refused,
            Some(Calling::AppendAndWait(id)) => self.leave_open(id),
            _ => {}
        }
    }

    /// Nobody learns what has become of a group, unless it was read.
    fn leave_open(&mut self, id: usize) {
        if self.sent[id].fate == Fate::Calling {
            self.sent[id].fate = Fate::Open;
        }
    }

    fn take(&mut self, messages: usize) {
        let Some(life) = &mut self.life else { return };
        for _ in 0..messages {
            let Ok(message) = life.messages.try_recv() else { return };
            life.writer.take(message, self.now);
        }
    }

    fn step(&mut self) {
        if let Some(life) = &mut self.life {
            life.writer.step(self.now);
        }
    }

    fn read(&mut self) {
        let Some(life) = &mut self.life else { return };
        if life.batches.len() < 3 && life.cursor.has_more() {
            match life.cursor.read() {
                Ok(batch) => {
                    let deceived = self.disk.has_dropped();
                    batch.iter().flat_map(groups).for_each(|id| match &mut self.sent[id].fate {
                        Fate::Refused => panic!("group {id} was refused and is read"),
                        // Left by a dead process; the kernel took it for written when the next one synced it, see the room's page.
                        Fate::Open if deceived => {}
                        // What a reader sees is on disk, whoever waited for it.
                        fate => *fate = Fate::Acknowledged,
                    });
                    life.batches.extend(batch);
                }
                Err(JournalError::Read { .. }) => {}
                Err(other) => panic!("reading failed otherwise: {other}"),
            }
        }
    }

    fn commit(&mut self, answer: Answer) {
        let Some(life) = &mut self.life else { return };
        let identity = Arc::clone(life.journal.identity());
        let Some(batch) = life.batches.front() else { return };
        let position = batch.positions[0].to;
        let committed = |positions: &BTreeMap<Arc<str>, u64>| positions.get(&identity) == Some(&position);
        if !(life.unsure && committed(&self.positions)) {
            life.unsure = matches!(answer, Answer::LostCommitted | Answer::LostRolledBack);
            // What the ledger of the database relies on: no byte between two batches.
            let before = self.positions.get(&identity).copied().unwrap_or(0);
            assert_eq!(batch.positions[0].from, before, "the batch does not begin where the one before it ended");
            if matches!(answer, Answer::Committed | Answer::LostCommitted) {
                record(batch, &mut self.sent, &mut self.latest);
                self.positions.insert(identity, position);
            }
            if !matches!(answer, Answer::Committed) {
                return;
            }
        }
        life.unsure = false;
        life.journal.release(position);
        life.batches.pop_front();
    }

    /// Flips a bit of some record that was synced, or of the first copy of a segment's header, which costs nothing.
    fn flip(&mut self) {
        let Some(life) = &self.life else { return };
        let mut places = Vec::new();
        for (base, bytes) in self.disk.segments() {
            let end = life.journal.shared.segments().get(&base).map_or(0, |end| end - base).min(bytes.len() as u64) as usize;
            let Some(header) = SegmentHeader::decode(&bytes) else { continue };
            places.push((base, 0..32, None));
            let mut at = SEGMENT_HEADER as usize;
            while let Some(record) = RecordHeader::decode(&bytes[at.min(end)..end], header.salt, base + at as u64) {
                let whole = at..at + RECORD_HEADER + record.length as usize;
                let body = &bytes[at + RECORD_HEADER..whole.end];
                at = whole.end;
                if crc32fast::hash(body) == record.body_crc {
                    let group = GroupView::decode(body).expect("what a checksum vouches for");
                    places.push((base, whole, Some(group.received_at.as_micros() as usize / 1_000_000)));
                }
            }
        }
        if places.is_empty() {
            return;
        }
        let (base, place, id) = places.swap_remove(self.chance.below(places.len() as u64) as usize);
        if let Some(id) = id {
            self.sent[id].flipped = Some(place.len() as u64);
        }
        let at = place.start + self.chance.below(place.len() as u64) as usize;
        self.tell(|| format!("flips a bit of byte {at} in segment {base}, of group {id:?}"));
        self.disk.flip(&format::segment_name(base), at, self.chance.below(8) as u8);
    }

    /// Ends the process in order.
    fn close(&mut self) {
        let Some(life) = &mut self.life else { return };
        life.journal.handle.close();
        for _ in 0..1000 {
            self.take(usize::MAX);
            self.step();
            self.look();
            let Some(life) = &mut self.life else { return };
            if life.writer.is_done(self.now) {
                return self.end(None);
            }
            self.now += life.writer.patience(self.now).unwrap_or_default();
        }
        panic!("a journal that was asked to close does not");
    }

    /// The process is no more: it was asked to end and did, or it died.
    fn end(&mut self, death: Option<Death>) {
        let crashed = death.is_some();
        if let Some(life) = self.life.take() {
            let failing = matches!(*life.journal.shared.health.borrow(), Health::Failing(_));
            let Life { mut calls, writer, stats, uncut, .. } = life;
            drop(writer);
            if !crashed {
                self.answer(&mut calls, failing);
            }
            for call in calls {
                let id = match call.what {
                    Calling::Append(id) | Calling::AppendAndWait(id) => id,
                    Calling::Flush(_) => continue,
                };
                assert!(crashed, "a call hangs although the journal is closed: {:?}", call.what);
                self.leave_open(id);
            }
            if failing || crashed {
                uncut.into_iter().for_each(|id| self.sent[id].fate = Fate::Open);
            }
            let known = if crashed || stats.total("dropped_total") > 0 { Fate::Open } else { Fate::Acknowledged };
            self.sent.iter_mut().filter(|sent| sent.fate == Fate::Taken).for_each(|sent| sent.fate = known);
            self.counted_bytes += stats.total("journal_damaged_bytes_total") + stats.total("journal_torn_bytes_total");
        }
        self.disk = self.disk.reborn(death.unwrap_or(Death::Kill));
    }

    /// Sees to it that the dead are buried, and that whoever was woken looks at its answer.
    fn look(&mut self) {
        if self.disk.is_dead() {
            self.tell(|| format!("dies in {:?}: {:?}", self.disk.operations().last(), self.death));
            return self.end(Some(self.death));
        }
        let Some(mut life) = self.life.take() else { return };
        let health = life.journal.shared.health.borrow().clone();
        life.uncut.extend(self.answer(&mut life.calls, health != Health::Good));
        if health == Health::Good {
            life.uncut.clear();
        }
        self.life = Some(life);
    }

    /// Polls the calls that were woken. Returns which groups were refused while the disk failed.
    fn answer(&mut self, calls: &mut Vec<Call>, failing: bool) -> Vec<usize> {
        let mut uncut = Vec::new();
        calls.retain_mut(|call| {
            if !call.woken.0.swap(false, Ordering::Relaxed) {
                return true;
            }
            let waker = Waker::from(Arc::clone(&call.woken));
            let Poll::Ready(result) = call.future.as_mut().poll(&mut Context::from_waker(&waker)) else { return true };
            if self.tells {
                println!("    {:?}: {result:?}", call.what);
            }
            match (&call.what, result) {
                (Calling::Append(id), Ok(())) => self.sent[*id].fate = Fate::Taken,
                (Calling::AppendAndWait(id), Ok(())) => self.sent[*id].fate = Fate::Acknowledged,
                (Calling::Append(id) | Calling::AppendAndWait(id), Err(_)) => {
                    self.sent[*id].fate = Fate::Refused;
                    uncut.extend(failing.then_some(*id));
                }
                (Calling::Flush(taken), Ok(())) => taken.iter().for_each(|id| self.sent[*id].fate = Fate::Acknowledged),
                (Calling::Flush(_), Err(_)) => {}
            }
            false
        });
        uncut
    }

    /// Lets the disk be good, everything be synced, read, committed and released, and checks the books.
    fn finish(&mut self) {
        self.tell(|| "the end".to_owned());
        self.disk.set_faults(Faults::default());
        self.disk.forget_crash();
        if self.life.is_none() {
            self.open();
            assert!(self.life.is_some(), "a journal does not open on a good disk");
        }
        self.run_dry();
        self.flush();
        self.run_dry();
        let life = self.life.as_ref().expect("nothing kills it any more");
        assert_eq!(*life.journal.shared.health.borrow(), Health::Good);
        let files: u64 = self.disk.segments().iter().map(|(_, bytes)| bytes.len() as u64).sum();
        assert_eq!(life.journal.used_bytes(), files, "used bytes, and what the files have");
        assert!(self.sent.iter().all(|s| !matches!(s.fate, Fate::Calling | Fate::Taken)), "everything is answered by now");
        self.end(None);

        for (id, sent) in self.sent.iter().enumerate() {
            match (sent.fate, sent.committed) {
                (Fate::Acknowledged, false) => assert!(sent.flipped.is_some(), "group {id} was acknowledged and is lost"),
                (Fate::Refused, true) => panic!("group {id} was refused and came out"),
                _ => {}
            }
        }
        let hit = |fate: Option<Fate>| -> u64 {
            let lost = self.sent.iter().filter(|s| !s.committed && fate.is_none_or(|fate| s.fate == fate));
            lost.filter_map(|s| s.flipped).sum()
        };
        let counted = self.counted_bytes;
        let lost = hit(Some(Fate::Acknowledged));
        assert!(counted >= lost || self.failed_to_open, "{lost} bytes were hit and lost, {counted} counted");
        if self.lives == 1 {
            // Nothing was torn, and nothing was read twice.
            assert_eq!(counted, hit(None), "bytes that were hit");
        }
    }

    /// Goes on as the writer's thread and the pipeline would, moving the clock only as far as the writer asks for it, until nothing is
    /// left to be done.
    fn run_dry(&mut self) {
        for _ in 0..10_000 {
            self.step();
            self.look();
            self.read();
            self.commit(Answer::Committed);
            let life = self.life.as_mut().expect("nothing kills it any more");
            if let Ok(message) = life.messages.try_recv() {
                life.writer.take(message, self.now);
                while life.writer.has_room()
                    && let Ok(message) = life.messages.try_recv()
                {
                    life.writer.take(message, self.now);
                }
            } else if let Some(patience) = life.writer.patience(self.now) {
                self.now += patience;
            } else if !life.is_busy() {
                let waiting: Vec<_> = life.calls.iter().map(|c| &c.what).collect();
                assert!(waiting.is_empty(), "the writer has nothing to do, and these wait: {waiting:?}");
                return;
            }
        }
        panic!("it never ends");
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            println!("{}", what());
        }
    }
}

impl Life {
    fn call(&mut self, what: Calling, future: impl Future<Output = Result<(), JournalError>> + 'static) {
        self.calls.push(Call { what, future: Box::pin(future), woken: Arc::new(Woken(AtomicBool::new(true))) });
    }

    /// Somebody is woken and has not looked, or something can be read or committed.
    fn is_busy(&self) -> bool {
        self.calls.iter().any(|c| c.woken.0.load(Ordering::Relaxed)) || !self.batches.is_empty() || self.cursor.has_more()
    }
}

/// The groups of a batch; each frame names its own.
fn groups(batch: &Batch) -> impl Iterator<Item = usize> {
    let mut last = None;
    let ids = batch.frames.iter().map(|frame| text(batch, frame).split(' ').next().and_then(|id| id.parse().ok()));
    ids.map(|id| id.expect("what was sent")).filter(move |id| last.replace(*id) != Some(*id))
}

fn text<'b>(batch: &'b Batch, frame: &FrameSpan) -> &'b str {
    std::str::from_utf8(batch.bytes_of(frame)).expect("what was sent")
}

/// Stores a batch: every group in it is whole, is what was sent, comes once and behind those that its sender sent before.
fn record(batch: &Batch, sent: &mut [Sent], latest: &mut HashMap<usize, usize>) {
    let mut frames = batch.frames.iter().map(|frame| text(batch, frame));
    for id in groups(batch) {
        let group = &mut sent[id];
        for frame in &group.frames {
            assert_eq!(frames.next(), Some(frame.as_str()), "group {id}");
        }
        assert!(!std::mem::replace(&mut group.committed, true), "group {id} is committed twice");
        let before = latest.insert(group.sender, id);
        assert!(before < Some(id), "group {id} of sender {} comes behind group {before:?}", group.sender);
    }
}

pub(crate) fn weather(chance: &mut Chance) -> Faults {
    let mut some = || if chance.one_in(3) { [20, 100, 500, 1000][chance.below(4) as usize] } else { 0 };
    match some() {
        0 => Faults::default(),
        _ => Faults {
            write: some(),
            short: some(),
            sync: some(),
            read: some(),
            names: some(),
            full: some() > 100,
            read_only: some() > 100,
        },
    }
}

fn death(chance: &mut Chance, kinds: u64) -> Death {
    if kinds & 32 != 0 && chance.one_in(2) { Death::PowerCut } else { Death::Kill }
}

/// Says what it was when a test dies of it.
pub(crate) struct Blame(pub(crate) String);

impl Drop for Blame {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the simulation failed with {}", self.0);
        }
    }
}

pub(crate) fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

#[test]
fn lives_from_seeds_lose_nothing_acknowledged_and_double_nothing() {
    let alone = number_from("TOCSIN_SIM_SEED");
    let seeds = match alone {
        Some(seed) => seed..seed + 1,
        None => 0..number_from("TOCSIN_SIM_SEEDS").unwrap_or(5_000),
    };
    for seed in seeds {
        let alone_again = format!("TOCSIN_SIM_SEED={seed} cargo test --lib journal::simulation::lives -- --nocapture");
        let _blame = Blame(format!("seed {seed}; this shows what happens in it:\n    {alone_again}"));
        let mut simulation = Simulation::new(seed);
        simulation.tells = alone.is_some();
        simulation.live();
        simulation.finish();
    }
}

#[test]
fn a_seed_plays_the_same_life_again() {
    let live = |seed| {
        let mut simulation = Simulation::new(seed);
        simulation.live();
        simulation.finish();
        let fates: Vec<_> = simulation.sent.iter().map(|sent| (sent.fate, sent.committed)).collect();
        (simulation.disk.operations(), fates)
    };
    for seed in 0..50 {
        let _blame = Blame(format!("seed {seed}, played twice"));
        assert_eq!(live(seed), live(seed));
    }
}

/// What the simulation is worth: it finds out about a disk whose syncs do nothing.
#[test]
fn a_disk_that_lies_is_found_out() {
    let dies = |seed: &u64| {
        let mut simulation = Simulation::new(*seed);
        simulation.disk.lie();
        let lived = std::panic::catch_unwind(AssertUnwindSafe(|| {
            simulation.live();
            simulation.finish();
        }));
        lived.is_err()
    };
    let found = (0..200).filter(dies).count();
    assert!(found > 0, "in none of 200 lives");
}

/// The operations of the disk that the journal's steps consist of. The process may die in each of them; the points in the database are
/// those of the pipeline's simulation.
const STEPS: [&str; 22] = [
    // The identity, at the first start.
    "open id",
    "remove id",
    "create id",
    "write id",
    "sync id",
    "rename id",
    // Finding the segments, reading the last one; also reading what was synced.
    "list",
    "open segment",
    "read",
    // A segment begins; also after the one before is full.
    "create segment",
    "write segment header",
    "sync segment header",
    // Behind each creation, renaming and removal.
    "sync directory",
    "write records",
    "sync records",
    // A torn tail at the start, or what was not synced after a failure.
    "cut segment",
    "sync segment",
    // Released, or without a record after a failure.
    "remove segment",
    // Space that is kept, and given up for the header of a segment.
    "create reserve",
    "write reserve",
    "sync reserve",
    "remove reserve",
];

/// A life that comes by all of them.
fn eventful_life(simulation: &mut Simulation) {
    let mut play = |acts: &[Act]| acts.iter().for_each(|act| simulation.play(*act));
    let weather = |sync, write| Act::Weather(Faults { sync, write, ..Faults::default() });
    let append = [Act::Send(0, How::Append, 2, 60), Act::Send(1, How::AppendAndWait, 1, 150), Act::Take(2), Act::Step];
    let store = [Act::Read, Act::Commit(Answer::Committed), Act::Take(1), Act::Step];
    // Several segments, and the first of them released.
    (0..10).for_each(|_| play(&append));
    play(&store);
    // A segment that is cut back, and one without a record that is removed.
    for _ in 0..2 {
        play(&[weather(1000, 0)]);
        play(&append);
        play(&[weather(0, 0), Act::Pass(Duration::from_secs(1)), Act::Step]);
    }
    play(&append);
    play(&store);
    // A disk that is full, and one that no longer is.
    play(&[Act::Weather(Faults { full: true, ..Faults::default() })]);
    play(&append);
    play(&[Act::Step, weather(0, 0), Act::Pass(Duration::from_secs(1)), Act::Step]);
    // A record that is torn when the process dies.
    play(&[weather(0, 1000)]);
    play(&append);
    play(&[weather(0, 0), Act::Crash(Death::Kill)]);
    play(&append);
    play(&store);
}

/// Dies in a step each time that an eventful life comes by it: before it, in it and after it.
fn die_in(step: &str) {
    let step = step.replace('_', " ");
    let mut deaths = 0;
    for seed in 0..4 {
        let mut simulation = Simulation::new(seed);
        eventful_life(&mut simulation);
        let operations = simulation.disk.operations();
        simulation.finish();
        for n in (0..operations.len()).filter(|&n| operations[n] == step) {
            for moment in [Moment::Before, Moment::Midway, Moment::After] {
                for death in [Death::Kill, Death::PowerCut] {
                    let _blame = Blame(format!("{death:?} {moment:?} operation {n}, {step:?}, seed {seed}"));
                    let mut simulation = Simulation::new(seed);
                    simulation.death = death;
                    simulation.disk.crash_after(n as u64, moment);
                    eventful_life(&mut simulation);
                    assert_eq!(simulation.disk.operations().get(n), Some(&operations[n]), "the life up to the crash is the same");
                    simulation.finish();
                    deaths += 1;
                }
            }
        }
    }
    assert!(deaths > 0, "no life comes by {step:?}");
}

macro_rules! a_crash_in {
    ($($step:ident)*) => {
        mod a_crash_in {
            $(#[test]
            fn $step() {
                super::die_in(stringify!($step));
            })*
        }

        #[test]
        fn each_step_has_its_crash() {
            let tested: BTreeSet<String> = [$(stringify!($step).replace('_', " ")),*].into();
            assert_eq!(tested, STEPS.map(str::to_owned).into());
        }
    };
}

a_crash_in! {
    open_id remove_id create_id write_id sync_id rename_id
    list open_segment read
    create_segment write_segment_header sync_segment_header sync_directory
    write_records sync_records
    cut_segment sync_segment remove_segment
    create_reserve write_reserve sync_reserve remove_reserve
}
