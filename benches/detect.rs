//! Speed and memory of the detectors: `cargo bench --bench detect`.
//!
//! First a million remote ends fail to log in once, some twice, some thrice (six in ten, three in ten, one in ten). Then, with all of
//! them live, two streams of failed logins are timed, each over all five detectors, changes taken every 5,000 events:
//!
//! - `spread`: every event is of a remote end drawn evenly from the million, the worst case for the processor's caches;
//! - `mixed`: half of the events are of a hundred attackers who never stop, the others as above.
//!
//! Each stream runs twice: as events of their own, and as one of several lines of a session, so that attempts are followed too.
//! Memory is what the process grew by (resident, `/proc/self/statm`), so the allocator's overhead is in it.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use tocsin::detect::{Engine, Options};
use tocsin::record::{EventType, LogRecord, Severity, Timestamp, ToldBy};

const KEYS: u32 = 1_000_000;
const EVENTS: u32 = 4_000_000;
const ATTACKERS: u32 = 100;
/// Microseconds from one event to the next: two million in a little more than half an hour, so that windows move.
const STEP_MICROS: i64 = 1000;

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

struct Bench {
    engine: Engine,
    random: Random,
    time: i64,
    id: i64,
}

impl Bench {
    fn fail(&mut self, key: u32, told_by: Option<ToldBy>) {
        let mut record = LogRecord::text("");
        record.host = Some(Cow::Borrowed("gateway"));
        record.event_type = EventType::LoginFailed;
        record.severity = Severity::Medium;
        record.src_ip = Some(IpAddr::V4(Ipv4Addr::from(0x0B00_0000 + key)));
        record.username = Some(Cow::Borrowed(ACCOUNTS[self.random.below(16) as usize]));
        record.told_by = told_by;
        // A few attempts in each process, as sshd makes them.
        record.pid = told_by.map(|_| (self.id / 3) as u32 % 4_194_304);
        self.engine.observe(&record, self.id, Timestamp::from_micros(self.time));
        self.id += 1;
        self.time += STEP_MICROS;
        if self.id % 5000 == 0 {
            std::hint::black_box(self.engine.take_changes());
        }
    }

    /// Times `EVENTS` events of which `hot` in ten are of the attackers.
    fn stream(&mut self, name: &str, hot: u32, told_by: Option<ToldBy>) {
        let start = Instant::now();
        for _ in 0..EVENTS {
            let keys = if self.random.below(10) < hot { ATTACKERS } else { KEYS };
            let key = self.random.below(keys);
            self.fail(key, told_by);
        }
        let rate = f64::from(EVENTS) / start.elapsed().as_secs_f64();
        println!("detect/{name}: {rate:.0} login events/s, {} live keys", self.engine.stats().keys);
    }
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this bench runs on Linux");
    let pages: u64 = statm.split_ascii_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("statm has a second number");
    pages * 4096
}

fn main() {
    let before = resident_bytes();
    let engine = Engine::new(Options::default());
    let mut bench = Bench { engine, random: Random(0x9E37_79B9_7F4A_7C15), time: 1_767_000_000_000_000, id: 1 };
    for round in 0..3 {
        for key in 0..KEYS {
            let failures = match key % 10 {
                0..6 => 1,
                6..9 => 2,
                _ => 3,
            };
            if round < failures {
                bench.fail(key, None);
            }
        }
    }
    bench.engine.take_changes();
    let grown = resident_bytes().saturating_sub(before);
    let stats = bench.engine.stats();
    println!(
        "detect/memory: {:.0} bytes a key resident, {:.0} by the engine's own count, {} live keys",
        grown as f64 / stats.keys as f64,
        stats.bytes as f64 / stats.keys as f64,
        stats.keys
    );
    bench.stream("spread", 0, None);
    bench.stream("mixed", 5, None);
    bench.stream("spread, sessions", 0, Some(ToldBy::Service));
    bench.stream("mixed, sessions", 5, Some(ToldBy::Service));
    let stats = bench.engine.stats();
    println!(
        "detect/memory at the end: {:.0} bytes a key resident; {stats:?}",
        resident_bytes().saturating_sub(before) as f64 / stats.keys as f64
    );
}
