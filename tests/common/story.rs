//! A story that three kinds of senders tell in numbered lines, and what they know of it afterwards: which lines must be in `logs` once,
//! and which may be there once.
//!
//! Its attacks rest on the log file and on the posts; what comes over TCP, where not every line is acknowledged, is routine. Event times
//! span less than the detectors' lateness, so that incidents do not depend on which input was held up by a fault.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tocsin::record::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Database, bsd_time, request};

pub const FILE_LINES: usize = 4_000;
pub const LINKED_LINES: usize = 1_000;
pub const TCP_LINES: usize = 2_500;
pub const POSTED_LINES: usize = 1_500;
/// Lines of a delivery.
const POSTED: usize = 25;
/// Seconds of event time that the story spans.
const SPAN_SECS: i64 = 200;
/// Where an answer takes longer, the sender goes on as if there was none.
const ANSWER: Duration = Duration::from_secs(30);

/// The detectors' windows are short, so that attacks end and begin within the story.
pub const DETECT: &str = "[detect.login_failures]\nwindow = \"12 s\"\n[detect.brute_force]\nwindow = \"40 s\"\n[detect.account_compromise]\nwindow = \"20 s\"\n\
     [detect.login_spike]\nwindow = \"30 s\"\n[detect.high_severity_cluster]\nwindow = \"60 s\"\n";

/// Chance with a seed.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        let mut chance = Chance(seed ^ 0x9e37_79b9_7f4a_7c15);
        chance.below(2);
        chance
    }

    /// Another one, that depends on this one and on `salt`.
    pub fn branch(&self, salt: u64) -> Chance {
        Chance::new(self.0.wrapping_add(salt.wrapping_mul(0xd134_2543_de82_ef95)))
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as usize
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn millis_below(&mut self, n: usize) -> Duration {
        Duration::from_micros(self.below(n * 1_000) as u64)
    }
}

/// Lines by their number: mostly routine, now and then failed logins, in bursts that reach a threshold or just do not.
fn file_line(i: usize, base: Timestamp) -> String {
    let head = base.plus_micros(i as i64 * SPAN_SECS / FILE_LINES as i64 * 1_000_000);
    let (burst, within) = (i / 50, i % 50);
    match within {
        _ if within < burst * 31 % 6 => {
            format!("{head} srv sshd[{i}]: Failed password for root from 192.0.2.{} port 22 ssh2: #{i}#", burst % 7)
        }
        40 => format!("{head} srv sshd[{i}]: Failed password for invalid user u{burst} from 198.51.100.9 port 22 ssh2: #{i}#"),
        _ => format!("{head} srv app[{i}]: routine #{i}#"),
    }
}

fn posted_line(i: usize, base: Timestamp) -> String {
    let time = base.plus_micros(i as i64 * SPAN_SECS * 1_000_000 / POSTED_LINES as i64);
    let severity = if i % 100 == 3 { 1 } else { 3 };
    format!(
        "{{\"timestamp\":\"{time}\",\"event_type\":\"alert\",\"src_ip\":\"203.0.113.5\",\"dest_ip\":\"192.0.2.1\",\"proto\":\"TCP\",\"alert\":{{\"severity\":{severity},\"signature\":\"#{i}#\",\"category\":\"x\",\"action\":\"allowed\"}}}}"
    )
}

/// The number in a line.
pub fn number_in(line: &[u8]) -> Option<usize> {
    let from = line.iter().position(|b| *b == b'#')? + 1;
    let end = from + line[from..].iter().position(|b| *b == b'#')?;
    std::str::from_utf8(&line[from..end]).ok()?.parse().ok()
}

/// Whether the incidents rest on a line.
pub fn is_attack(line: &[u8]) -> bool {
    line.windows(b"\"severity\":1".len()).any(|w| w == b"\"severity\":1")
}

/// What the senders share, and what they know.
#[derive(Debug)]
pub struct Told {
    base: Timestamp,
    /// TCP and HTTP of the daemon of the moment.
    pub addresses: Mutex<Option<(SocketAddr, SocketAddr)>>,
    /// How much of the story may be told by now, in thousandths.
    share: AtomicUsize,
    is_over: AtomicBool,
    next_tcp: AtomicUsize,
    acknowledged: Mutex<HashSet<usize>>,
    abandoned: Mutex<HashSet<usize>>,
    /// Connections that did not end in order: each may leave a part of a line behind.
    cut: AtomicUsize,
    /// Times that a post was answered with 503.
    pub refused: AtomicUsize,
    /// Rotations, copies, compressions and deletions of files.
    pub rotations: AtomicUsize,
}

/// What `logs` holds, against what the senders know.
#[derive(Debug, Default)]
pub struct Reckoning {
    /// Different lines that are stored.
    pub lines: usize,
    pub lost: Vec<String>,
    pub repeated: Vec<String>,
    pub complaints: Vec<String>,
}

/// How a TCP sender ends its connection.
#[derive(Debug, Clone, Copy)]
enum End {
    InOrder,
    /// In pieces, with pauses; then in order.
    Slowly,
    /// Reset in the middle of a frame.
    Reset,
}

impl Told {
    pub fn new() -> Told {
        // The story's last second is about now.
        let now = Timestamp::now().as_micros() / 1_000_000;
        Told {
            base: Timestamp::from_secs(now - SPAN_SECS),
            addresses: Mutex::default(),
            share: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            next_tcp: AtomicUsize::new(0),
            acknowledged: Mutex::default(),
            abandoned: Mutex::default(),
            cut: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            rotations: AtomicUsize::new(0),
        }
    }

    /// Seconds since 1970 at which the story begins.
    pub fn base_secs(&self) -> i64 {
        self.base.as_micros() / 1_000_000
    }

    /// Lets the senders go on until they have told that much of the story, in thousandths.
    pub fn allow(&self, share: usize) {
        self.share.store(share, Ordering::Relaxed);
    }

    /// Ends the senders where they stand.
    pub fn give_up(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn may_go_on(&self, done: usize, of: usize) -> bool {
        self.is_over() || done * 1_000 < self.share.load(Ordering::Relaxed) * of
    }

    async fn turn(&self, done: usize, of: usize) {
        while !self.may_go_on(done, of) {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    fn blocking_turn(&self, done: usize, of: usize) {
        while !self.may_go_on(done, of) {
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    async fn address(&self) -> (SocketAddr, SocketAddr) {
        loop {
            let now = *self.addresses.lock().unwrap();
            if let Some(addresses) = now {
                return addresses;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// Starts all senders. `manners`: in which ways they vary; without, they do one thing after the other.
    pub fn tell(self: &Arc<Told>, dir: &Path, database: &Database, manners: Option<&Chance>) -> tokio::task::JoinSet<()> {
        let mut senders = tokio::task::JoinSet::new();
        let chance = |salt| manners.map(|m| m.branch(salt));
        let reads = Reads { pool: database.pool.clone(), handle: tokio::runtime::Handle::current() };
        let log = LogFile::new(dir.join("logs/auth.log"), chance(1));
        let told = Arc::clone(self);
        senders.spawn_blocking(move || log.write(&told, &reads));
        let (told, linked, with) = (Arc::clone(self), dir.join("linked"), chance(2));
        senders.spawn_blocking(move || write_linked(&told, &linked, with));
        senders.spawn(send_lines(Arc::clone(self), chance(3)));
        senders.spawn(post_events(Arc::clone(self), chance(4)));
        senders
    }

    /// Sends that many lines of that length over one connection, which ends in order.
    pub async fn send(&self, to: SocketAddr, count: usize, pad: usize, chance: &mut Option<Chance>) {
        self.send_and_end(to, count, pad, End::InOrder, chance).await;
    }

    async fn send_and_end(&self, to: SocketAddr, count: usize, pad: usize, end: End, chance: &mut Option<Chance>) {
        let first = self.next_tcp.fetch_add(count, Ordering::Relaxed);
        let mut text = String::new();
        for i in first..first + count {
            let frame = format!("<13>Nov 20 10:00:00 fw app: {:x<pad$} #{i}#", "");
            // Framing is told frame by frame (RFC 6587), so the two may be mixed.
            let _ = if chance.as_mut().is_some_and(|c| c.once_in(3)) {
                write!(text, "{} {frame}", frame.len())
            } else {
                writeln!(text, "{frame}")
            };
        }
        let sent = tokio::time::timeout(ANSWER, transmit(to, text.as_bytes(), end, chance)).await;
        if matches!(sent, Ok(Ok(()))) && !matches!(end, End::Reset) {
            self.acknowledged.lock().unwrap().extend(first..first + count);
        } else {
            self.cut.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Holds `logs` against what the senders know; `excused` are lines, by source and number, that a fault destroyed.
    pub async fn reckon(&self, database: &Database, excused: &HashSet<(String, usize)>) -> Reckoning {
        let rows = database
            .column(
                "SELECT source || ' ' || coalesce(n, '-') || ' ' || count(*) FROM \
                 (SELECT source, substring(coalesce(convert_from(raw, 'UTF8'), message) FROM '#([0-9]+)#') AS n FROM logs) AS l GROUP BY source, n",
            )
            .await;
        let (acknowledged, abandoned) = (self.acknowledged.lock().unwrap(), self.abandoned.lock().unwrap());
        let mut stored: HashSet<(String, usize)> = HashSet::new();
        let mut reckoning = Reckoning::default();
        for row in rows {
            let [source, number, times] = row.split(' ').collect::<Vec<_>>()[..] else { panic!("{row:?}") };
            let (Ok(times), number) = (times.parse::<usize>(), number.parse::<usize>().ok()) else { panic!("{row:?}") };
            match number {
                Some(number) => {
                    if times > 1 {
                        reckoning.repeated.push(format!("{source} #{number} ({times} times)"));
                    }
                    stored.insert((source.to_owned(), number));
                }
                None if source == "lan" && times <= self.cut.load(Ordering::Relaxed) => {}
                None => reckoning.complaints.push(format!("{times} parts of lines in {source}")),
            }
        }
        let must = |source: &str, number: usize| match source {
            "lan" => acknowledged.contains(&number),
            "ids" => !abandoned.contains(&number),
            _ => true,
        };
        let sent = [
            ("auth", FILE_LINES),
            ("linked", LINKED_LINES),
            ("ids", POSTED_LINES),
            ("lan", self.next_tcp.load(Ordering::Relaxed)),
        ];
        for (source, count) in sent {
            let lost = (0..count).filter(|n| {
                let line = (source.to_owned(), *n);
                must(source, *n) && !stored.contains(&line) && !excused.contains(&line)
            });
            reckoning.lost.extend(lost.map(|n| format!("{source} #{n}")));
        }
        reckoning.lines = stored.len();
        reckoning
    }
}

async fn transmit(to: SocketAddr, bytes: &[u8], end: End, chance: &mut Option<Chance>) -> io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    match (end, chance) {
        (End::Reset, Some(chance)) => {
            stream.write_all(&bytes[..chance.below(bytes.len())]).await?;
            tokio::time::sleep(chance.millis_below(10)).await;
            return stream.set_zero_linger();
        }
        (End::Slowly, Some(chance)) => {
            for piece in bytes.chunks(1 + bytes.len() / 4) {
                stream.write_all(piece).await?;
                tokio::time::sleep(chance.millis_below(60)).await;
            }
        }
        _ => stream.write_all(bytes).await?,
    }
    stream.shutdown().await?;
    // The end of the other side acknowledges.
    stream.read_to_end(&mut Vec::new()).await.map(|_| ())
}

async fn send_lines(told: Arc<Told>, mut chance: Option<Chance>) {
    let mut sent = 0;
    while sent < TCP_LINES && !told.is_over() {
        told.turn(sent, TCP_LINES).await;
        let (count, end) = match &mut chance {
            None => (50, End::InOrder),
            Some(chance) => {
                let end = match chance.below(6) {
                    0 => End::Reset,
                    1 => End::Slowly,
                    _ => End::InOrder,
                };
                (1 + chance.below(80), end)
            }
        };
        let to = told.address().await.0;
        told.send_and_end(to, count, 100, end, &mut chance).await;
        sent += count;
    }
}

/// Posts events until each request was answered with 200, with the same delivery id each time; now and then once more after that.
async fn post_events(told: Arc<Told>, mut chance: Option<Chance>) {
    let once_in = |chance: &mut Option<Chance>, n| chance.as_mut().is_some_and(|c| c.once_in(n));
    for first in (0..POSTED_LINES).step_by(POSTED) {
        let lines = first..first + POSTED;
        let body: Vec<String> = lines.clone().map(|i| posted_line(i, told.base)).collect();
        let (body, id) = (body.join("\n"), format!("delivery-{first}"));
        // No incident rests on what is abandoned.
        let abandons = !is_attack(body.as_bytes()) && once_in(&mut chance, 8);
        told.turn(first, POSTED_LINES).await;
        while !told.is_over() {
            let to = told.address().await.1;
            let headers = [("X-Delivery-Id", id.as_str())];
            let post = request(to, "POST", "/ingest/ids", &headers, body.as_bytes());
            // Whoever does not wait for the answer does not know, and asks again.
            let patience = if abandons || once_in(&mut chance, 6) { Duration::from_millis(2) } else { ANSWER };
            let answer = tokio::time::timeout(patience, post).await;
            match answer {
                Ok(Ok(answer)) if answer.code == 200 => {
                    if !once_in(&mut chance, 6) {
                        break;
                    }
                }
                Ok(Ok(answer)) => {
                    assert_eq!(answer.code, 503, "{answer:?}");
                    told.refused.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                _ if abandons => {
                    told.abandoned.lock().unwrap().extend(lines);
                    break;
                }
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

/// Asks from a thread what is stored.
struct Reads {
    pool: sqlx::PgPool,
    handle: tokio::runtime::Handle,
}

impl Reads {
    /// Whether these lines of the log file are committed; no where nobody answers.
    fn are_stored(&self, lines: &std::ops::Range<usize>) -> bool {
        let count = sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM logs WHERE source = 'auth' AND substring(message FROM '#([0-9]+)#')::bigint BETWEEN $1 AND $2",
        )
        .bind(lines.start as i64)
        .bind(lines.end as i64 - 1);
        let answer = async { tokio::time::timeout(Duration::from_millis(500), count.fetch_one(&self.pool)).await };
        matches!(self.handle.block_on(answer), Ok(Ok(n)) if n >= lines.len() as i64)
    }
}

/// What was written under the log's name once, and where it is now.
struct Generation {
    path: PathBuf,
    lines: std::ops::Range<usize>,
}

/// A log file with a rotation of its own.
struct LogFile {
    path: PathBuf,
    /// Newest first.
    generations: Vec<Generation>,
    /// `auth.log-20261120…` instead of `auth.log.1`.
    dated: bool,
    chance: Option<Chance>,
    rotated: usize,
}

impl LogFile {
    fn new(path: PathBuf, mut chance: Option<Chance>) -> LogFile {
        let dated = chance.as_mut().is_some_and(|c| c.once_in(3));
        LogFile { path, generations: Vec::new(), dated, chance, rotated: 0 }
    }

    fn write(mut self, told: &Told, reads: &Reads) {
        let mut file = appending(&self.path);
        let (mut from, mut next) = (0, 0);
        while next < FILE_LINES && !told.is_over() {
            told.blocking_turn(next, FILE_LINES);
            self.append(&mut file, &mut next, told.base);
            let Some(chance) = &mut self.chance else { continue };
            std::thread::sleep(chance.millis_below(6));
            match chance.below(36) {
                0 | 1 => {
                    self.rename_away(from);
                    if self.chance.as_mut().is_some_and(|c| c.once_in(3)) {
                        // Whoever writes learns later.
                        self.append(&mut file, &mut next, told.base);
                    }
                    self.generations[0].lines.end = next;
                    (file, from) = (appending(&self.path), next);
                }
                2 => {
                    let to = self.make_room();
                    std::fs::copy(&self.path, &to).unwrap();
                    file.set_len(0).unwrap();
                    self.generations.insert(0, Generation { path: to, lines: from..next });
                    from = next;
                }
                3 | 4 => self.compress_one(),
                5 | 6 => self.delete_one(reads),
                _ => continue,
            }
            told.rotations.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Some lines, now and then the last of them in two parts.
    fn append(&mut self, file: &mut std::fs::File, next: &mut usize, base: Timestamp) {
        let count = self.chance.as_mut().map_or(50, |c| 1 + c.below(60)).min(FILE_LINES - *next);
        let text: String = (*next..*next + count).map(|i| file_line(i, base) + "\n").collect();
        let held_back = self.chance.as_mut().map_or(0, |c| if c.once_in(4) { c.below(40) } else { 0 });
        let (one, other) = text.split_at(text.len() - held_back.min(text.len()));
        file.write_all(one.as_bytes()).unwrap();
        if let Some(chance) = self.chance.as_mut().filter(|_| !other.is_empty()) {
            std::thread::sleep(chance.millis_below(30));
            file.write_all(other.as_bytes()).unwrap();
        }
        *next += count;
    }

    /// A name for the next generation; numbered ones move up.
    fn make_room(&mut self) -> PathBuf {
        self.rotated += 1;
        if self.dated {
            return self.path.with_file_name(format!("auth.log-20261120{:02}", self.rotated));
        }
        for generation in self.generations.iter_mut().rev() {
            let name = generation.path.file_name().unwrap().to_str().unwrap();
            let (number, packed) = match name["auth.log.".len()..].split_once('.') {
                Some((number, _)) => (number, ".gz"),
                None => (&name["auth.log.".len()..], ""),
            };
            let to = self.path.with_file_name(format!("auth.log.{}{packed}", number.parse::<usize>().unwrap() + 1));
            std::fs::rename(&generation.path, &to).unwrap();
            generation.path = to;
        }
        self.path.with_file_name("auth.log.1")
    }

    fn rename_away(&mut self, from: usize) {
        let to = self.make_room();
        std::fs::rename(&self.path, &to).unwrap();
        self.generations.insert(0, Generation { path: to, lines: from..from });
    }

    /// As gzip does it: beside the original, which goes when the copy is complete.
    fn compress_one(&mut self) {
        let Some(chance) = &mut self.chance else { return };
        let plain: Vec<&mut Generation> =
            self.generations.iter_mut().filter(|g| g.path.extension().is_none_or(|e| e != "gz")).collect();
        let count = plain.len();
        let Some(generation) = plain.into_iter().nth(chance.below(count.max(1))) else { return };
        let mut name = generation.path.clone().into_os_string();
        name.push(".gz");
        let packed = PathBuf::from(name);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&std::fs::read(&generation.path).unwrap()).unwrap();
        let bytes = encoder.finish().unwrap();
        let (one, other) = bytes.split_at(chance.below(bytes.len()));
        let mut file = appending(&packed);
        file.write_all(one).unwrap();
        std::thread::sleep(chance.millis_below(20));
        file.write_all(other).unwrap();
        std::fs::remove_file(&generation.path).unwrap();
        generation.path = packed;
    }

    /// Deletes the oldest, if it was read to its end.
    fn delete_one(&mut self, reads: &Reads) {
        if self.generations.last().is_some_and(|g| reads.are_stored(&g.lines)) {
            let oldest = self.generations.pop().unwrap();
            std::fs::remove_file(oldest.path).unwrap();
        }
    }
}

/// Writes to `current.log`, a link to `app-1.log`, `app-2.log` and so on, which match the pattern themselves, too.
fn write_linked(told: &Told, dir: &Path, mut chance: Option<Chance>) {
    let link = dir.join("current.log");
    let mut files = 0;
    let mut begin = || {
        files += 1;
        let name = format!("app-{files}.log");
        let file = appending(&dir.join(&name));
        std::os::unix::fs::symlink(&name, dir.join("new")).unwrap();
        std::fs::rename(dir.join("new"), &link).unwrap();
        file
    };
    let (mut file, mut next) = (begin(), 0);
    while next < LINKED_LINES && !told.is_over() {
        told.blocking_turn(next, LINKED_LINES);
        let count = chance.as_mut().map_or(50, |c| 1 + c.below(25)).min(LINKED_LINES - next);
        for i in next..next + count {
            let time = bsd_time(told.base, i as i64 * SPAN_SECS / LINKED_LINES as i64);
            writeln!(file, "{time} srv app[{i}]: linked #{i}#").unwrap();
        }
        next += count;
        if let Some(chance) = &mut chance {
            std::thread::sleep(chance.millis_below(6));
            if chance.once_in(12) {
                file = begin();
                told.rotations.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn appending(path: &Path) -> std::fs::File {
    std::fs::File::options().create(true).append(true).open(path).unwrap()
}
