//! Lives of a daemon's inside, made up from a seed: the journal on a modelled disk, a file that grows, the pipeline's own stages, and a
//! modelled database. Senders send and repeat what was not answered, the disk and the database fail, processes die at any point, the power
//! is cut, others take over. In the end every line that was acknowledged is stored once, the ledger says so, and the incidents are those
//! of the stored rows.
//!
//! There is one thread, and the clock moves only when the simulation says so: a seed that fails does so again. `TOCSIN_SIM_SEED` plays one
//! seed and tells what happens in it, `TOCSIN_SIM_SEEDS` says how many there are to be.

mod database;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet, yield_now};
use tokio_util::sync::CancellationToken;

use self::database::{ModelDatabase, POINTS, POISON, Tables};
use super::{Committed, Options, Pauses, Pipeline, PipelineError, Waits, take_over};
use crate::detect::{self, Engine};
use crate::frame::{Batch, FrameSpan, Origin, PositionChange, Source};
use crate::journal::simulation::{self as disk, Blame, Chance, Death, ModelDisk, Moment, Rig, number_from};
use crate::journal::{self, Group};
use crate::record::{Timestamp, Zone};
use crate::store::ledger::Range;
use crate::store::rollups::Kind;
use crate::store::{Observed, SavedPosition, StoreError};

const FILE: &str = "files:auth";
const PART: &str = "the only one";
/// From the signal to the end, as in the daemon.
const DRAIN: Duration = Duration::from_secs(3);
const LAST_MOMENT: Duration = Duration::from_millis(200);

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// A sender appends a group of so many lines, as a delivery with an id of its own or not, and waits for the answer.
    Send {
        lines: usize,
        delivery: bool,
        poison: bool,
    },
    /// It sends a delivery again, as after an answer that got lost.
    Repeat,
    /// Somebody writes so many lines to the file.
    Log(usize),
    /// The journal's writer takes what waits.
    Write,
    /// The pipeline gets a batch: of the journal, or of the file.
    ReadJournal,
    ReadFile,
    /// Whoever can go on does so, so many times.
    Go(usize),
    Pass(Duration),
    DiskWeather(disk::Faults),
    DatabaseWeather(database::Faults),
    /// The server finds out about connections that are no more.
    Settle,
    DatabaseCrash,
    /// Another daemon takes over.
    Rival,
    Stop,
    Crash(Death),
    /// The process is to die after so many more statements.
    CrashAfter(u64, Moment, Death),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Calling,
    Acknowledged,
    /// It may be stored.
    Open,
}

struct Sent {
    lines: Vec<String>,
    delivery: Option<String>,
    fate: Fate,
}

/// A process.
struct Life {
    rig: Rig,
    /// The database half.
    task: JoinHandle<Result<(), PipelineError>>,
    hard_stop: CancellationToken,
    /// Where inputs go; `None` when they have ended.
    out: Option<mpsc::Sender<Batch>>,
    saved: watch::Receiver<Option<Vec<SavedPosition>>>,
    /// How far the file was read; `None` before the database has said.
    file_at: Option<u64>,
    /// How much of the journal is committed.
    released: Arc<AtomicU64>,
    /// Senders that wait, and what they sent.
    calls: Vec<(usize, JoinHandle<bool>)>,
    began_at: usize,
}

struct Simulation {
    chance: Chance,
    disk: ModelDisk,
    database: ModelDatabase,
    death: Death,
    now: Instant,
    began: Instant,
    journal_options: journal::Options,
    lives: u64,
    life: Option<Life>,
    sent: Vec<Sent>,
    file: Vec<String>,
    /// Number of lines so far, which each of them carries.
    lines: u64,
    /// How often somebody else took over.
    rivals: usize,
    tells: bool,
}

fn options() -> Options {
    Options {
        max_rows: 20,
        max_evidence: 1_000,
        max_past_micros: i64::MAX,
        max_future_micros: i64::MAX,
        detect: detect::Options::default(),
        rules: Arc::default(),
        formats: Arc::default(),
    }
}

/// 2026-03-01T00:00:00Z, when every simulation begins.
const BEGINNING: Timestamp = Timestamp::from_secs(1_772_323_200);

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let mut chance = Chance::new(seed);
        let disk = ModelDisk::new(Chance::new(chance.number()));
        let database = ModelDatabase::new(Chance::new(chance.number()));
        let segment_bytes = 800 + chance.below(4_000);
        let journal_options = journal::Options {
            segment_bytes,
            limit_bytes: segment_bytes * (8 + chance.below(16)),
            sync_interval: Duration::from_millis(10),
            queue_bytes: 4_000,
            queue_groups: 16,
            retry_pause: Duration::from_millis(100),
        };
        let now = Instant::now();
        Simulation {
            chance,
            disk,
            database,
            death: Death::Kill,
            now,
            began: now,
            journal_options,
            lives: 0,
            life: None,
            sent: Vec::new(),
            file: Vec::new(),
            lines: 0,
            rivals: 0,
            tells: false,
        }
    }

    async fn live(&mut self) {
        let kinds = self.chance.number();
        for _ in 0..40 + self.chance.below(80) {
            let act = self.any_act(kinds);
            self.play(act).await;
        }
    }

    /// Something that may happen; bits of `kinds` say which disasters may.
    fn any_act(&mut self, kinds: u64) -> Act {
        let chance = &mut self.chance;
        let death = |chance: &mut Chance| if kinds & 64 != 0 && chance.one_in(2) { Death::PowerCut } else { Death::Kill };
        match chance.below(100) {
            0..16 => Act::Send { lines: 1 + chance.below(4) as usize, delivery: chance.one_in(3), poison: chance.one_in(12) },
            16..19 => Act::Repeat,
            19..24 => Act::Log(1 + chance.below(4) as usize),
            24..42 => Act::Write,
            42..52 => Act::ReadJournal,
            52..58 => Act::ReadFile,
            58..76 => Act::Go(1 + chance.below(20) as usize),
            76..84 => Act::Pass(Duration::from_millis(1 << chance.below(16))),
            84..86 if kinds & 1 != 0 => Act::DiskWeather(disk::weather(chance)),
            86..89 if kinds & 2 != 0 => Act::DatabaseWeather(weather(chance)),
            89..91 => Act::Settle,
            91..92 if kinds & 4 != 0 => Act::DatabaseCrash,
            92..93 if kinds & 8 != 0 => Act::Rival,
            93..94 if kinds & 16 != 0 => Act::Stop,
            94..96 if kinds & 32 != 0 => Act::Crash(death(chance)),
            96..100 if kinds & 32 != 0 => {
                let moment = [Moment::Before, Moment::Midway, Moment::After][chance.below(3) as usize];
                Act::CrashAfter(chance.below(20), moment, death(chance))
            }
            _ => Act::Go(10),
        }
    }

    /// Lets something happen, and looks at what follows from it.
    async fn play(&mut self, act: Act) {
        self.tell(|| format!("{act:?}"));
        if self.life.is_none() {
            self.open().await;
        }
        match act {
            Act::Send { lines, delivery, poison } => self.send(lines, delivery, poison),
            Act::Repeat => self.repeat(),
            Act::Log(lines) => {
                let lines: Vec<String> = (0..lines).map(|_| self.line("file")).collect();
                self.file.extend(lines);
            }
            Act::Write => self.write(),
            Act::ReadJournal => self.read_journal(),
            Act::ReadFile => self.read_file(),
            Act::Go(times) => {
                for _ in 0..times {
                    yield_now().await;
                }
            }
            Act::Pass(time) => {
                tokio::time::advance(time).await;
                self.now += time;
            }
            Act::DiskWeather(faults) => self.disk.set_faults(faults),
            Act::DatabaseWeather(faults) => self.database.set_faults(faults),
            Act::Settle => self.database.settle(),
            Act::DatabaseCrash => self.database.crash(),
            Act::Rival => self.rivals += usize::from(self.database.rival()),
            Act::Stop => self.stop().await,
            Act::Crash(death) => self.end(death).await,
            Act::CrashAfter(points, moment, death) => {
                self.death = death;
                self.database.crash_after(points, moment);
            }
        }
        self.look().await;
    }

    /// Starts a process, as the daemon does: doors and journal first, then the database half for as long as it takes.
    async fn open(&mut self) {
        self.lives += 1;
        let at_least = if self.disk.segments().is_empty() { self.lives << 32 } else { 0 };
        let secret = self.chance.number();
        let rig = match Rig::open(&self.disk, self.journal_options.clone(), at_least, secret, self.now) {
            Ok(rig) => rig,
            Err(e) => {
                self.tell(|| format!("the journal does not open: {e}"));
                if self.chance.one_in(3) {
                    self.disk.set_faults(disk::Faults::default());
                }
                return self.end(Death::Kill).await;
            }
        };
        let (out, batches) = mpsc::channel(2);
        let (saved_out, saved) = watch::channel(None);
        let hard_stop = CancellationToken::new();
        let released = Arc::new(AtomicU64::new(0));
        let committed: Committed = {
            let released = Arc::clone(&released);
            Arc::new(move |positions: &[PositionChange]| {
                for change in positions.iter().filter(|change| &*change.input == "journal") {
                    released.fetch_max(change.to, Ordering::Relaxed);
                }
            })
        };
        let half = DatabaseHalf {
            database: self.database.clone(),
            waits: Arc::new(Waits::with_seed(self.chance.number())),
            batches,
            committed,
            hard_stop: hard_stop.clone(),
        };
        let stop = hard_stop.clone();
        let task = tokio::spawn(async move {
            // As the daemon does: what is under way a moment after the hard stop is dropped where it stands.
            tokio::select! {
                biased;
                () = async { stop.cancelled().await; tokio::time::sleep(LAST_MOMENT).await } => Ok(()),
                done = half.run(saved_out) => done,
            }
        });
        self.life = Some(Life {
            rig,
            task,
            hard_stop,
            out: Some(out),
            saved,
            file_at: None,
            released,
            calls: Vec::new(),
            began_at: self.rivals,
        });
    }

    fn time(&self) -> Timestamp {
        BEGINNING.plus_micros((self.now - self.began).as_micros() as i64)
    }

    /// A line that nobody has written yet: mostly failed logins, from few addresses.
    fn line(&mut self, host: &str) -> String {
        self.lines += 1;
        let (n, time) = (self.lines, self.time());
        let address = 1 + self.chance.below(3);
        let said = match self.chance.below(8) {
            0 => "Server listening on 0.0.0.0 port 22.".to_owned(),
            1 => format!("Accepted password for ada from 192.0.2.{address} port 4000 ssh2"),
            _ => format!("Failed password for root from 192.0.2.{address} port 4000 ssh2"),
        };
        format!("<38>1 {time} {host} sshd {n} - - {said}")
    }

    fn send(&mut self, lines: usize, delivery: bool, poison: bool) {
        let mut lines: Vec<String> = (0..lines).map(|_| self.line("net")).collect();
        if poison {
            lines[0] = format!("{POISON} {}", self.lines);
        }
        let delivery = delivery.then(|| format!("delivery {}", self.sent.len()));
        self.sent.push(Sent { lines, delivery, fate: Fate::Calling });
        self.call(self.sent.len() - 1);
    }

    fn repeat(&mut self) {
        let again = |sent: &Sent| sent.delivery.is_some() && sent.fate != Fate::Calling;
        let choice: Vec<usize> = (0..self.sent.len()).filter(|&id| again(&self.sent[id])).collect();
        if !choice.is_empty() {
            let id = choice[self.chance.below(choice.len() as u64) as usize];
            self.call(id);
        }
    }

    fn call(&mut self, id: usize) {
        let time = self.time();
        let Some(life) = &mut self.life else {
            self.sent[id].fate = Fate::Open;
            return;
        };
        let sent = &self.sent[id];
        let mut group = Group::new("net", time).with_delivery(sent.delivery.as_deref());
        sent.lines.iter().for_each(|line| group.push(None, line.as_bytes(), 0));
        let handle = life.rig.journal.handle();
        life.calls.push((id, tokio::spawn(async move { handle.append_and_wait(&group).await.is_ok() })));
    }

    fn write(&mut self) {
        if let Some(life) = &mut self.life {
            life.rig.write(100, self.now);
        }
    }

    fn read_journal(&mut self) {
        let Some(life) = &mut self.life else { return };
        let Some(place) = life.place() else { return };
        if life.rig.has_more() {
            match life.rig.read() {
                Ok(Some(batch)) => drop(place.send(batch)),
                Ok(None) | Err(journal::JournalError::Read { .. }) => {}
                Err(other) => panic!("reading failed otherwise: {other}"),
            }
        }
    }

    fn read_file(&mut self) {
        let (time, lines) = (self.time(), 1 + self.chance.below(6) as usize);
        let Some(life) = &mut self.life else { return };
        let Some(place) = life.place() else { return };
        let from = life.file_at.expect("the database has said where");
        let lines = &self.file[from as usize..self.file.len().min(from as usize + lines)];
        if lines.is_empty() {
            return;
        }
        let source = Arc::new(Source { name: "auth".into(), zone: Zone::UTC, format: None });
        let mut batch = Batch { origins: vec![Arc::new(Origin { source, peer: None, path: None })], ..Batch::default() };
        for line in lines {
            let start = batch.bytes.len() as u32;
            batch.bytes.extend_from_slice(line.as_bytes());
            batch.frames.push(FrameSpan { start, end: batch.bytes.len() as u32, origin: 0, cut: 0, received_at: time });
        }
        let to = from + lines.len() as u64;
        batch.positions.push(PositionChange {
            input: FILE.into(),
            part: PART.into(),
            from,
            to,
            detail: Some(serde_json::Value::Null),
        });
        place.send(batch);
        life.file_at = Some(to);
    }

    /// Ends the process in order: what has arrived is stored, unless that takes too long.
    async fn stop(&mut self) {
        let Some(life) = &mut self.life else { return };
        life.rig.close();
        let deadline = self.now + DRAIN;
        loop {
            self.write();
            self.read_journal();
            self.look().await;
            let Some(life) = &mut self.life else { return };
            let all_read = life.file_at.is_some() && !life.rig.has_more();
            if life.rig.is_done(self.now) && all_read {
                life.out = None;
            }
            if life.task.is_finished() {
                life.is_fenced(self.rivals).await;
                break;
            }
            if self.now >= deadline {
                life.hard_stop.cancel();
            }
            assert!(self.now < deadline + DRAIN, "it does not stop");
            let moment = Duration::from_millis(20);
            tokio::time::advance(moment).await;
            self.now += moment;
            for _ in 0..10 {
                yield_now().await;
            }
        }
        self.end(Death::Kill).await;
    }

    /// The process is no more.
    async fn end(&mut self, death: Death) {
        if let Some(Life { rig, task, calls, hard_stop, .. }) = self.life.take() {
            drop(hard_stop);
            if !task.is_finished() {
                task.abort();
                let _ = task.await;
            }
            drop(rig);
            for (id, call) in calls {
                call.abort();
                self.answered(id, call.await.unwrap_or(false));
            }
        }
        self.disk = self.disk.reborn(death);
        self.database = self.database.reborn();
    }

    fn answered(&mut self, id: usize, acknowledged: bool) {
        let fate = &mut self.sent[id].fate;
        *fate = if acknowledged || *fate == Fate::Acknowledged { Fate::Acknowledged } else { Fate::Open };
    }

    /// Sees to it that the dead are buried, that what is committed is released, and that senders look at their answers.
    async fn look(&mut self) {
        if self.disk.is_dead() || self.database.is_dead() {
            self.tell(|| format!("dies at {:?}: {:?}", self.database.points().last(), self.death));
            return self.end(self.death).await;
        }
        let Some(life) = &mut self.life else { return };
        life.rig.journal.release(life.released.load(Ordering::Relaxed));
        life.find_positions();
        for (id, call) in std::mem::take(&mut life.calls) {
            if call.is_finished() {
                let acknowledged = call.await.expect("a call that does not panic");
                self.answered(id, acknowledged);
            } else {
                self.life.as_mut().expect("it lives").calls.push((id, call));
            }
        }
        let Some(life) = &mut self.life else { return };
        if life.task.is_finished() && life.out.is_some() && !life.hard_stop.is_cancelled() {
            assert!(life.is_fenced(self.rivals).await, "the pipeline ended by itself");
            self.tell(|| "somebody else has taken over".to_owned());
            self.end(Death::Kill).await;
        }
    }

    /// Lets everything be good, everything be stored, and checks the books.
    async fn finish(&mut self) {
        self.tell(|| "the end".to_owned());
        self.disk.set_faults(disk::Faults::default());
        self.disk.forget_crash();
        self.database.set_faults(database::Faults::default());
        self.database.forget_crash();
        for _ in 0..20_000 {
            if self.life.is_none() {
                self.open().await;
            }
            self.database.settle();
            self.write();
            self.read_journal();
            self.read_file();
            self.look().await;
            for _ in 0..10 {
                yield_now().await;
            }
            if self.is_all_stored() {
                self.stop().await;
                return self.check();
            }
            let moment = Duration::from_millis(10);
            tokio::time::advance(moment).await;
            self.now += moment;
        }
        panic!("it never ends");
    }

    fn is_all_stored(&self) -> bool {
        let Some(life) = &self.life else { return false };
        if !life.calls.is_empty() || life.file_at != Some(self.file.len() as u64) || life.rig.has_more() {
            return false;
        }
        let tables = self.database.tables();
        let position = |input: &str, part: &str| tables.positions.get(&(input.into(), part.into())).map_or(0, |(at, _)| *at);
        let journal = position("journal", life.rig.journal.identity());
        position(FILE, PART) == self.file.len() as u64 && life.rig.journal.bytes_behind(journal) == 0
    }

    fn check(&self) {
        let tables = self.database.tables();
        let mut stored: BTreeMap<&str, u32> = BTreeMap::new();
        let texts = tables.rows.values().map(|row| &row.text).chain(tables.quarantine.values());
        texts.for_each(|text| *stored.entry(text).or_default() += 1);
        let mut expected = BTreeSet::new();
        let mut must = |line: &String, acknowledged: bool| {
            let times = stored.get(line.as_str()).copied().unwrap_or(0);
            assert!(times <= 1, "{line:?} is stored {times} times");
            assert!(times == 1 || !acknowledged, "{line:?} was acknowledged and is lost");
            expected.insert(line.clone());
        };
        self.file.iter().for_each(|line| must(line, true));
        for sent in &self.sent {
            assert_ne!(sent.fate, Fate::Calling, "everything is answered by now");
            sent.lines.iter().for_each(|line| must(line, sent.fate == Fate::Acknowledged));
        }
        let unknown = stored.keys().find(|text| !expected.contains(**text));
        assert_eq!(unknown, None, "nobody sent this");
        let poisoned = |text: &str| text.contains(POISON);
        assert!(tables.rows.values().all(|row| !poisoned(&row.text)) && tables.quarantine.values().all(|text| poisoned(text)));
        check_ledger(&tables);
        check_incidents(&tables);
        check_rollups(&tables);
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            println!("{}", what());
        }
    }
}

impl Life {
    /// Whether the pipeline, which has ended, did so because somebody took over; otherwise it was to end.
    async fn is_fenced(&mut self, rivals: usize) -> bool {
        match (&mut self.task).await {
            Ok(Ok(())) => false,
            Ok(Err(PipelineError::Store(StoreError::Fenced { .. }))) if rivals > self.began_at => true,
            Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
            other => panic!("the pipeline ended: {other:?}"),
        }
    }

    /// Learns from the database where the inputs are.
    fn find_positions(&mut self) {
        if self.file_at.is_some() {
            return;
        }
        let saved = self.saved.borrow().clone();
        let Some(saved) = saved else { return };
        let at = |input: &str, part: &str| saved.iter().find(|s| s.input == input && s.part == part).map_or(0, |s| s.position);
        let from = at("journal", self.rig.journal.identity());
        let next = self.rig.journal.opened().next_offset;
        assert!(from <= next, "offset {from} is committed, and the next one is {next}");
        self.rig.journal.release(from);
        self.rig.read_from(from);
        self.file_at = Some(at(FILE, PART));
    }

    /// Room for a batch, once the inputs know where they are.
    fn place(&self) -> Option<mpsc::OwnedPermit<Batch>> {
        self.file_at?;
        self.out.clone()?.try_reserve_owned().ok()
    }
}

/// What the daemon does once it has a journal.
struct DatabaseHalf {
    database: ModelDatabase,
    waits: Arc<Waits>,
    batches: mpsc::Receiver<Batch>,
    committed: Committed,
    hard_stop: CancellationToken,
}

impl DatabaseHalf {
    async fn run(self, saved_out: watch::Sender<Option<Vec<SavedPosition>>>) -> Result<(), PipelineError> {
        let DatabaseHalf { database, waits, batches, committed, hard_stop } = self;
        let mut pauses = Pauses::new(&waits);
        let (saved, engine) = loop {
            match take_over(&database, &options()).await {
                Ok(taken) => break taken,
                Err(e) if e.is_transient() => tokio::select! {
                    biased;
                    () = hard_stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(pauses.next_pause()) => {}
                },
                Err(e) => return Err(PipelineError::Store(e)),
            }
        };
        saved_out.send_replace(Some(saved.positions.clone()));
        let pipeline = Pipeline {
            store: database,
            saved,
            engine,
            options: options(),
            batches,
            committed,
            stats: Arc::default(),
            waits,
            hard_stop,
        };
        let Some((work, commit)) = pipeline.stages().await? else { return Ok(()) };
        let mut worker = JoinSet::new();
        worker.spawn(work);
        commit.await
    }
}

/// The ledger tells of every id, and of every byte of every input once.
fn check_ledger(tables: &Tables) {
    let mut told: Vec<(i64, i64)> = tables.ledger.values().flat_map(|entry| entry.ids.clone()).collect();
    told.sort_unstable();
    assert!(told.windows(2).all(|pair| pair[0].1 <= pair[1].0), "the ledger tells of an id twice");
    let told: Vec<i64> = told.into_iter().flat_map(|(from, to)| from..to).collect();
    let ids: BTreeSet<i64> = tables.rows.keys().chain(tables.quarantine.keys()).copied().collect();
    assert!(told.iter().eq(&ids), "the ledger's ids and those of rows and quarantine");
    let mut parts: BTreeMap<_, Vec<Range>> = BTreeMap::new();
    for entry in tables.ledger.values() {
        entry.ranges.iter().for_each(|(part, range)| parts.entry(part.clone()).or_default().push(*range));
    }
    let mut frames = 0;
    for (part, ranges) in parts {
        assert!(ranges.windows(2).all(|pair| pair[0].to == pair[1].from), "{part:?} has gaps or repetitions");
        assert_eq!(ranges.last().map(|range| range.to), tables.positions.get(&part).map(|(at, _)| *at), "the end of {part:?}");
        frames += ranges.iter().map(|range| range.frames).sum::<u64>();
    }
    assert_eq!(frames, ids.len() as u64, "frames of all ranges, and rows");
}

/// The incidents are those that the stored rows make, each event counted once.
fn check_incidents(tables: &Tables) {
    let count = |changes: &[crate::record::incident::IncidentChange]| {
        let mut counted: BTreeMap<(String, String), u64> = BTreeMap::new();
        for change in changes {
            *counted.entry((change.raised_by.name().to_owned(), change.group.to_string())).or_default() += change.events;
        }
        counted
    };
    let mut engine = Engine::with_rules(options().detect, Arc::default());
    let mut wanted = Vec::new();
    for (id, row) in &tables.rows {
        let observed = row.observed(*id);
        engine.observe(&observed.record, *id, observed.event_time);
        wanted.extend(engine.take_changes());
    }
    assert_eq!(count(&tables.incidents), count(&wanted), "incidents, and those that the rows make");
    let mut evidence: Vec<_> = Vec::new();
    for change in &tables.incidents {
        evidence.extend(change.evidence.iter().map(|(_, id, _)| (change.raised_by.name(), change.group.to_string(), *id)));
    }
    let distinct: BTreeSet<_> = evidence.iter().collect();
    assert_eq!(distinct.len(), evidence.len(), "an event is counted twice");
    assert!(evidence.iter().all(|(_, _, id)| tables.rows.contains_key(id)), "an incident rests on a row that is not there");
}

/// The roll-ups count every stored row once, and nothing that is in quarantine.
fn check_rollups(tables: &Tables) {
    let mut wanted: BTreeMap<Kind, i64> = BTreeMap::new();
    for (id, row) in &tables.rows {
        let Observed { event_time, record, .. } = row.observed(*id);
        let kind = Kind {
            hour: event_time.as_micros() / 3_600_000_000,
            source: row.source.as_str().into(),
            host: row.host.as_deref().unwrap_or_default().into(),
            event_type: record.event_type,
            severity: record.severity,
        };
        *wanted.entry(kind).or_default() += 1;
    }
    assert_eq!(tables.rollups, wanted, "roll-ups, and those that the rows make");
}

fn weather(chance: &mut Chance) -> database::Faults {
    let mut some = || if chance.one_in(3) { [10, 50, 200, 600][chance.below(4) as usize] } else { 0 };
    let faults = database::Faults { lost: some(), refused: some(), slow: some() / 10, down: false };
    if chance.one_in(3) { database::Faults::default() } else { database::Faults { down: chance.one_in(6), ..faults } }
}

/// Plays a life in a runtime of its own, whose clock stands still.
fn play<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(life)
}

#[test]
fn lives_from_seeds_store_everything_once() {
    let alone = number_from("TOCSIN_SIM_SEED");
    let seeds = match alone {
        Some(seed) => seed..seed + 1,
        None => 0..number_from("TOCSIN_SIM_SEEDS").unwrap_or(2_000),
    };
    for seed in seeds {
        let alone_again = format!("TOCSIN_SIM_SEED={seed} cargo test --lib pipeline::simulation::lives -- --nocapture");
        let _blame = Blame(format!("seed {seed}; this shows what happens in it:\n    {alone_again}"));
        play(async {
            let mut simulation = Simulation::new(seed);
            simulation.tells = alone.is_some();
            simulation.live().await;
            simulation.finish().await;
        });
    }
}

#[test]
fn a_seed_plays_the_same_life_again() {
    let live = |seed| {
        play(async move {
            let mut simulation = Simulation::new(seed);
            simulation.live().await;
            simulation.finish().await;
            let fates: Vec<Fate> = simulation.sent.iter().map(|sent| sent.fate).collect();
            let tables = simulation.database.tables();
            (simulation.database.points(), simulation.disk.operations(), fates, tables.rows, tables.transaction)
        })
    };
    for seed in 0..30 {
        let _blame = Blame(format!("seed {seed}, played twice"));
        assert_eq!(live(seed), live(seed));
    }
}

/// What the simulation is worth: it finds out about a database that forgets what it has committed, and about a disk whose syncs do nothing.
#[test]
fn a_database_that_forgets_and_a_disk_that_lies_are_found_out() {
    for (what, break_it) in [("database", (|s| s.database.forget_commits()) as fn(&mut Simulation)), ("disk", |s| s.disk.lie())] {
        let dies = |seed: &u64| {
            std::panic::catch_unwind(|| {
                play(async {
                    let mut simulation = Simulation::new(*seed);
                    break_it(&mut simulation);
                    simulation.live().await;
                    simulation.finish().await;
                });
            })
            .is_err()
        };
        assert!((0..200).any(|seed| dies(&seed)), "{what}: in none of 200 lives");
    }
}

/// A life that comes by all points.
async fn eventful_life(simulation: &mut Simulation) {
    let send = |delivery, poison| Act::Send { lines: 3, delivery, poison };
    let store = [
        Act::Go(5),
        Act::Write,
        Act::Go(5),
        Act::ReadJournal,
        Act::ReadFile,
        Act::Go(200),
        Act::Pass(Duration::from_secs(6)),
        Act::Go(200),
    ];
    let one_connection_lost = database::Faults { lost: 300, ..database::Faults::default() };
    let acts = [
        &[Act::Go(50), send(true, false), Act::Log(8)][..],
        &store,
        &[send(false, true), Act::Repeat],
        &store,
        &[Act::DatabaseWeather(one_connection_lost), send(false, false), Act::Log(8)],
        &store,
        &[Act::DatabaseWeather(database::Faults::default()), Act::Pass(Duration::from_secs(20)), Act::Go(300)],
        &store,
        &[Act::Stop, send(true, false), Act::Go(300)],
        &store,
    ];
    for act in acts.concat() {
        simulation.play(act).await;
    }
}

/// Dies at a point each time that an eventful life comes by it: before it, in it and after it.
fn die_at(point: &str) {
    let point = point.replace('_', " ");
    let mut deaths = 0;
    for seed in 0..3 {
        let points = play(async {
            let mut simulation = Simulation::new(seed);
            eventful_life(&mut simulation).await;
            let points = simulation.database.points();
            simulation.finish().await;
            points
        });
        for n in (0..points.len()).filter(|&n| points[n] == point) {
            for moment in [Moment::Before, Moment::Midway, Moment::After] {
                for death in [Death::Kill, Death::PowerCut] {
                    let _blame = Blame(format!("{death:?} {moment:?} statement {n}, {point:?}, seed {seed}"));
                    play(async {
                        let mut simulation = Simulation::new(seed);
                        simulation.death = death;
                        simulation.database.crash_after(n as u64, moment);
                        eventful_life(&mut simulation).await;
                        assert_eq!(simulation.database.points().get(n), Some(&points[n]), "the life up to the crash is the same");
                        simulation.finish().await;
                    });
                    deaths += 1;
                }
            }
        }
    }
    assert!(deaths > 0, "no life comes by {point:?}");
}

macro_rules! a_crash_at {
    ($($point:ident)*) => {
        mod a_crash_at {
            $(#[test]
            fn $point() {
                super::die_at(stringify!($point));
            })*
        }

        #[test]
        fn each_point_has_its_crash() {
            let tested: BTreeSet<String> = [$(stringify!($point).replace('_', " ")),*].into();
            assert_eq!(tested, POINTS.map(str::to_owned).into());
        }
    };
}

a_crash_at! {
    take_over read_back read_deliveries take_ids connect make_partition
    begin copy_start copy_end follow_on write_positions write_ledger write_losses write_deliveries write_rollups write_incidents
    commit_sent commit_answered
    roll_back savepoint release_savepoint roll_back_to_savepoint quarantine
    end_session ask_for_the_last_transaction
}
