//! Speed and memory of the detectors: `cargo bench --bench detect`; `-- background` runs one stream only.
//!
//! **What is timed**: [`Engine::observe`] for each of 5,000 records and [`Engine::take_changes`] after them, the changes' end
//! included, as the pipeline does it; in processor time, since a busy machine takes from the wall clock what it likes. The records
//! are made before, outside of the timed part, 500 at a time: in the pipeline, too, a record has just been made when it is observed.
//! All five detectors are on, with their defaults.
//!
//! **What the streams are made of**: failed logins as servers on the internet see them, from two kinds of remote ends.
//!
//! - *Attackers*: 300 addresses that never stop, each about once a second, each time with one of 16 account names. All that they do
//!   belongs to incidents of three detectors.
//! - *Background*: two of three events come from an address that was never seen before, the third from one of the last 100,000
//!   (those of the last six minutes or so in `mixed`). So three of five addresses fail once, 98 of 100 at most three times, and then
//!   they are never heard of again. The stream's clock runs so that more than a million of them are live: as many are forgotten as
//!   come. One in eleven of them fails three times within ten minutes and is an incident.
//!
//! After four million events, the streams are timed one after the other:
//!
//! - `mixed`: half of the events are of attackers, half are background;
//! - `sessions`: the same, told by lines of sshd processes, so that attempts are followed too;
//! - `background`: no attackers, so that nearly every event is of an address that is in none of the processor's near caches;
//! - `spread`: a million events, each of an address drawn evenly from the last million;
//! - `attackers`: only they, all of it in the caches.
//!
//! Memory is what the process grew by (resident, `/proc/self/statm`), so the allocator's overhead and the bench's own records are
//! in it; and what the engine counts itself.

use std::borrow::Cow;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tocsin::detect::{Engine, Options};
use tocsin::record::{EventType, LogRecord, Severity, Timestamp, ToldBy};

const KEYS: u32 = 1_000_000;
const ATTACKERS: u32 = 300;
/// Records made at a time.
const LOT: u32 = 500;
/// Lots from one look at the changes to the next.
const LOTS: u32 = 10;
/// Microseconds from one event of `mixed` to the next. An address stays for 66 minutes and until the sweep gets to it.
const STEP_MICROS: i64 = 1300;

/// What brute-force tools try most.
const ACCOUNTS: [&str; 16] = [
    "root", "admin", "test", "user", "ubuntu", "oracle", "postgres", "git", "guest", "ftpuser", "mysql", "pi", "support",
    "www-data", "nagios", "deploy",
];

/// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled").
struct Random(u64);

impl Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) * u64::from(n)) >> 32) as u32
    }
}

/// Whose events a stream is made of.
#[derive(Clone, Copy)]
enum Source {
    Mixed,
    Background,
    Spread,
    Attackers,
}

struct Bench {
    engine: Engine,
    random: Random,
    time: i64,
    id: i64,
    /// Addresses that the background has used.
    seen: u32,
}

impl Bench {
    fn background(&mut self) -> u32 {
        if self.random.below(3) < 2 {
            self.seen += 1;
            ATTACKERS + self.seen
        } else {
            ATTACKERS + self.seen - self.random.below(100_000.min(self.seen + 1))
        }
    }

    fn record(&mut self, source: Source, told_by: Option<ToldBy>) -> LogRecord<'static> {
        let key = match source {
            Source::Mixed if self.random.below(2) == 0 => self.background(),
            Source::Mixed | Source::Attackers => self.random.below(ATTACKERS),
            Source::Background => self.background(),
            Source::Spread => ATTACKERS + self.seen - self.random.below(KEYS),
        };
        let mut record = LogRecord::text("");
        record.host = Some(Cow::Borrowed("gateway"));
        record.event_type = EventType::LoginFailed;
        record.severity = Severity::Medium;
        record.src_ip = Some(IpAddr::V4(Ipv4Addr::from(0x0B00_0000 + key)));
        record.username = Some(Cow::Borrowed(ACCOUNTS[self.random.below(16) as usize]));
        record.told_by = told_by;
        record.pid = told_by.map(|_| self.random.below(4_194_304));
        record
    }

    /// Runs `events` events; returns processor time, time by the wall clock, and the number of changes.
    fn run(&mut self, events: u32, source: Source, told_by: Option<ToldBy>) -> (Duration, Duration, usize) {
        // Without attackers the background is twice as dense.
        let step = if matches!(source, Source::Background) { STEP_MICROS * 2 } else { STEP_MICROS };
        let (mut cpu, mut wall, mut changes) = (Duration::ZERO, Duration::ZERO, 0);
        for lot in 1..=events / LOT {
            let records: Vec<_> = (0..LOT).map(|_| self.record(source, told_by)).collect();
            let (cpu_before, wall_before) = (processor_time(), Instant::now());
            for record in &records {
                self.engine.observe(record, self.id, Timestamp::from_micros(self.time));
                self.id += 1;
                self.time += step;
            }
            if lot % LOTS == 0 {
                changes += black_box(self.engine.take_changes()).len();
            }
            wall += wall_before.elapsed();
            cpu += processor_time() - cpu_before;
        }
        (cpu, wall, changes)
    }

    fn report(&mut self, name: &str, events: u32, source: Source, told_by: Option<ToldBy>) {
        let (cpu, wall, changes) = self.run(events, source, told_by);
        let stats = self.engine.stats();
        println!(
            "detect/{name}: {:.0} login events per processor second ({:.0} by the wall clock), {:.3} processor seconds per \
             million; {} live keys, {:.0} bytes a key by the engine's count, {changes} changes",
            f64::from(events) / cpu.as_secs_f64(),
            f64::from(events) / wall.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / f64::from(events),
            stats.keys,
            stats.bytes as f64 / stats.keys as f64,
        );
    }
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a process may ask for its own processor time").into()
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this bench runs on Linux");
    let pages: u64 = statm.split_ascii_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("statm has a second number");
    pages * 4096
}

fn main() {
    let only = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let before = resident_bytes();
    let engine = Engine::new(Options { max_keys: 2 * KEYS as usize, ..Options::default() });
    let (random, time) = (Random(0x9E37_79B9_7F4A_7C15), 1_767_000_000_000_000);
    let mut bench = Bench { engine, random, time, id: 1, seen: 0 };
    bench.run(4_000_000, Source::Mixed, None);
    let memory = |bench: &Bench| {
        let (grown, stats) = (resident_bytes().saturating_sub(before), bench.engine.stats());
        println!(
            "detect/memory: {} live keys, {:.0} bytes a key resident, {:.0} by the engine's count",
            stats.keys,
            grown as f64 / stats.keys as f64,
            stats.bytes as f64 / stats.keys as f64
        );
    };
    memory(&bench);
    let sshd = Some(ToldBy::Service);
    for (name, events, source, told_by) in [
        ("mixed", 2_000_000, Source::Mixed, None),
        ("sessions", 2_000_000, Source::Mixed, sshd),
        ("background", 2_000_000, Source::Background, None),
        ("spread", KEYS, Source::Spread, None),
        ("attackers", 2_000_000, Source::Attackers, None),
        ("mixed again", 4_000_000, Source::Mixed, None),
    ] {
        if only.as_ref().is_none_or(|only| only == name) {
            bench.report(name, events, source, told_by);
        }
    }
    memory(&bench);
    println!("detect/stats: {:?}", bench.engine.stats());
}
