//! Speed and memory of the detectors: `cargo bench --bench detect`.
//!
//! A stream of failed logins as servers on the internet see it, all five detectors on, changes taken every 5,000 events. Two of
//! three background events come from an address that was never seen before, the third from one that was seen lately, so most
//! addresses fail once to three times. The stream's clock runs so that about a million addresses are live at any time: as many are
//! forgotten as come. After the million is reached, streams are timed:
//!
//! - `mixed`: half of the events are the background, half come from a hundred attackers who never stop;
//! - `mixed, sessions`: the same, told by lines of sshd processes, so that attempts are followed too;
//! - `background`: no attackers, so that nearly every event is of an address that is in none of the processor's caches;
//! - `spread`: a million events, each of an address drawn evenly from the last million;
//! - `attackers`: only the hundred, with all they do in the caches.
//!
//! Memory is what the process grew by (resident, `/proc/self/statm`), so the allocator's overhead is in it.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use tocsin::detect::{Engine, Options};
use tocsin::record::{EventType, LogRecord, Severity, Timestamp, ToldBy};

const KEYS: u32 = 1_000_000;
const ATTACKERS: u32 = 100;
/// Microseconds from one event of `mixed` to the next. An address stays for 66 minutes and until the sweep gets to it.
const STEP_MICROS: i64 = 1440;

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
    /// Addresses that the background has used.
    seen: u32,
    changes: u64,
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
        record.pid = told_by.map(|_| self.id as u32 % 4_194_304);
        self.engine.observe(&record, self.id, Timestamp::from_micros(self.time));
        self.id += 1;
        if self.id % 5000 == 0 {
            self.changes += std::hint::black_box(self.engine.take_changes()).len() as u64;
        }
    }

    fn background(&mut self) -> u32 {
        if self.random.below(3) < 2 {
            self.seen += 1;
            ATTACKERS + self.seen
        } else {
            ATTACKERS + self.seen - self.random.below(100_000.min(self.seen + 1))
        }
    }

    /// `events` events, of which `hot` in ten are of the attackers.
    fn stream(&mut self, events: u32, hot: u32, told_by: Option<ToldBy>) {
        for _ in 0..events {
            let key = if self.random.below(10) < hot { self.random.below(ATTACKERS) } else { self.background() };
            self.fail(key, told_by);
            // Without attackers the background is twice as dense.
            self.time += if hot > 0 { STEP_MICROS } else { STEP_MICROS * 2 };
        }
    }

    fn timed(&mut self, name: &str, events: u32, run: impl FnOnce(&mut Bench)) {
        let (start, cpu, changes) = (Instant::now(), cpu_seconds(), self.changes);
        run(self);
        let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        let (live, changes) = (self.engine.stats().keys, self.changes - changes);
        println!(
            "detect/{name}: {:.0} login events per CPU second, {:.0} by the wall clock, {live} live keys, {changes} changes",
            f64::from(events) / cpu,
            f64::from(events) / wall
        );
    }
}

/// Processor time of this process, user and system: what a busy machine takes from the wall clock is not in it.
fn cpu_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process may ask for its own usage");
    let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this bench runs on Linux");
    let pages: u64 = statm.split_ascii_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("statm has a second number");
    pages * 4096
}

fn main() {
    let before = resident_bytes();
    let engine = Engine::new(Options { max_keys: 2 * KEYS as usize, ..Options::default() });
    let (random, time) = (Random(0x9E37_79B9_7F4A_7C15), 1_767_000_000_000_000);
    let mut bench = Bench { engine, random, time, id: 1, seen: 0, changes: 0 };
    bench.stream(4_000_000, 5, None);
    let grown = resident_bytes().saturating_sub(before);
    let stats = bench.engine.stats();
    println!(
        "detect/memory: {:.0} bytes a key resident, {:.0} by the engine's own count, {} live keys",
        grown as f64 / stats.keys as f64,
        stats.bytes as f64 / stats.keys as f64,
        stats.keys
    );
    let events = 2_000_000;
    bench.timed("mixed", events, |b| b.stream(events, 5, None));
    bench.timed("mixed, sessions", events, |b| b.stream(events, 5, Some(ToldBy::Service)));
    bench.timed("background", events, |b| b.stream(events, 0, None));
    bench.timed("spread", KEYS, |b| {
        for _ in 0..KEYS {
            let key = ATTACKERS + b.seen - b.random.below(KEYS);
            b.fail(key, None);
            b.time += STEP_MICROS;
        }
    });
    bench.timed("attackers", events, |b| b.stream(events, 10, None));
    let grown = resident_bytes().saturating_sub(before);
    println!("detect/memory at the end: {:.0} bytes a key resident", grown as f64 / bench.engine.stats().keys as f64);
    println!("detect/stats: {:?}", bench.engine.stats());
}
