//! What the daemon may hold in memory, and that it adds up: `limits.memory`.
//!
//! Queues and buffers get parts of the limit ([`Memory`]). What else there is, is counted as it would be in the worst case: every
//! connection open, every queue and buffer full, every table at its limit, all at once ([`Part`]). A configuration in which the sum
//! is over the limit is refused. What is in it:
//!
//! | part | bounded by |
//! | --- | --- |
//! | the program, its threads, the database's connections, what the allocator keeps | measured, [`PROGRAM`] |
//! | the journal's queue, and what its writer hands to the kernel | `journal::Options::queue_bytes`, the largest group |
//! | the journal's reader: one record and one batch | the largest group |
//! | each UDP listener | `udp::Options::worst_bytes` |
//! | each TCP listener: connections, unfinished frames, what is being appended | `tcp::Options::worst_bytes` |
//! | HTTP: connections | `http::server::Options::worst_bytes` |
//! | the API: what casework holds, who asks how often, answers that take long | `Casework::WORST_BYTES`, `Limits::WORST_BYTES`, `Places::WORST_BYTES` |
//! | webhooks: bodies and what is made of them | `webhook::Options::max_memory_bytes` |
//! | from the inputs to the commit: frames, rows, what is known of them | the daemon's gate, which counts them |
//! | ids of deliveries that were stored | `pipeline::Deliveries::WORST_BYTES` |
//! | hosts that the roll-ups name | `pipeline::Hosts::WORST_BYTES` |
//! | each set of files: a batch that is being read, lines that are not finished, what is known of each file | `tail::Options` |
//! | detectors: remote ends, sessions, names, long windows | `detect::Options`, all of which have a limit |
//! | rules, where there are some: groups, windows, values | `detect::Options::max_rule_bytes` |
//!
//! Not in it: the compiled rules, some 50 KiB each; while a backup is tried, what the ledger in it says, some 2 KiB for each ten minutes that
//! something came in; the PostgreSQL of our own, which is a program of its own; and the kernel's socket buffers.

use super::{Bytes, Config};
use crate::casework::Casework;
use crate::http::api::Places;
use crate::http::api::limits::Limits;
use crate::http::server;
use crate::listen::{tcp, udp, webhook};
use crate::pipeline::{Deliveries, Hosts};
use crate::{detect, journal, tail};

/// The program itself, with its threads, the buffers of its connections to the database, and what the allocator keeps, in bytes.
const PROGRAM: usize = 40 << 20;
/// What is known of a followed file: its paths, its fingerprint and its place among the others, in bytes.
const FOLLOWED_FILE: usize = 1536;
/// Fewer remote ends than this are too few to notice who attacks.
const LEAST_KEYS: usize = 50_000;

/// What follows from `limits.memory`, each in bytes but for the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The journal's queue.
    pub journal_queue: usize,
    /// Long unfinished frames of one TCP listener.
    pub unfinished_frames: usize,
    /// Bodies of webhooks.
    pub bodies: usize,
    /// What the pipeline has taken and not committed.
    pub under_way: usize,
    /// Unfinished lines of one set of files.
    pub unfinished_lines: u64,
    /// Files followed by one set: a number.
    pub files: usize,
    /// Windows and names of the detectors.
    pub detect_heap: usize,
    /// Groups of rules, with all that belongs to them.
    pub rules: usize,
    /// Account names that detectors know: a number.
    pub detect_names: usize,
    /// Sessions that detectors follow: a number.
    pub detect_sessions: usize,
    /// Remote ends that detectors watch: a number.
    pub detect_keys: usize,
}

/// One line of the sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub what: &'static str,
    /// The option that it depends on most, such as `syslog[0].max_connections`; empty where there is none.
    pub key: String,
    /// How much it is in the worst case, in bytes.
    pub bytes: usize,
}

impl Config {
    /// The parts of the limit.
    pub fn memory(&self) -> Memory {
        let mut memory = self.pools();
        memory.detect_keys = self.detect.max_keys.unwrap_or_else(|| {
            let taken: usize = self.parts_beside_keys(&memory).iter().map(|p| p.bytes).sum();
            let left = self.limits.memory.as_usize().saturating_sub(taken);
            (left / detect::Options::KEY_BYTES).clamp(LEAST_KEYS, 1_000_000)
        });
        memory
    }

    /// Everything that the daemon may hold, in the worst case.
    pub fn memory_parts(&self) -> Vec<Part> {
        let memory = self.memory();
        let mut parts = self.parts_beside_keys(&memory);
        let bytes = memory.detect_keys.saturating_mul(detect::Options::KEY_BYTES);
        parts.push(Part { what: "detectors: remote ends", key: "detect.max_keys".into(), bytes });
        parts
    }

    /// The detectors' options.
    pub fn detect_options(&self) -> detect::Options {
        let memory = self.memory();
        detect::Options { max_keys: memory.detect_keys, ..self.detectors(&memory) }
    }

    fn detectors(&self, memory: &Memory) -> detect::Options {
        let (max_names, max_sessions) = (memory.detect_names, memory.detect_sessions);
        let (max_heap_bytes, max_rule_bytes) = (memory.detect_heap, memory.rules);
        detect::Options { max_heap_bytes, max_rule_bytes, max_names, max_sessions, ..self.detect.options() }
    }

    fn pools(&self) -> Memory {
        let limit = self.limits.memory.as_usize();
        let (sets, tcp) = (self.files.len().max(1), self.syslog.iter().filter(|s| s.tcp.is_some()).count().max(1));
        Memory {
            journal_queue: limit / 32,
            unfinished_frames: limit / 32 / tcp,
            bodies: limit / 64 * 7,
            under_way: limit / 16 * 3,
            unfinished_lines: (limit / 64 / sets) as u64,
            files: limit / 32 / sets / FOLLOWED_FILE,
            detect_heap: limit / 16,
            rules: limit / 16,
            detect_names: (limit >> 14).min(262_144),
            detect_sessions: (limit >> 14).min(65_536),
            detect_keys: 0,
        }
    }

    /// The longest that can come into the journal at once, in bytes, and the option that says so.
    fn largest_group(&self) -> (usize, String) {
        let mut largest = (udp::Options::worst_bytes() / 4, String::new());
        for (i, syslog) in self.syslog.iter().enumerate().filter(|(_, s)| s.tcp.is_some()) {
            largest = largest.max((syslog.max_frame_bytes.as_usize() + (64 << 10), format!("syslog[{i}].max_frame_bytes")));
        }
        if self.takes_webhooks() {
            largest = largest.max((self.http.max_body_bytes.as_usize(), "http.max_body_bytes".into()));
        }
        largest
    }

    fn takes_webhooks(&self) -> bool {
        // Without any input there is a webhook, and syslog.
        self.http.listen != "off" && (!self.webhook.is_empty() || (self.syslog.is_empty() && self.files.is_empty()))
    }

    fn parts_beside_keys(&self, memory: &Memory) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut part = |what, key: String, bytes| parts.push(Part { what, key, bytes });
        let (group, group_key) = self.largest_group();
        part("the program", String::new(), PROGRAM);
        part("the journal's queue and writer", group_key.clone(), memory.journal_queue + (2 << 20) + group);
        part("the journal's reader", group_key, 2 * group + (4 << 20));
        let default = [super::Syslog { udp: Some(String::new()), tcp: Some(String::new()), ..Default::default() }];
        let nothing = self.syslog.is_empty() && self.files.is_empty() && self.webhook.is_empty();
        for (i, syslog) in (if nothing { &default[..] } else { &self.syslog }).iter().enumerate() {
            if syslog.udp.is_some() {
                part("syslog over UDP", format!("syslog[{i}].udp"), udp::Options::worst_bytes());
            }
            if syslog.tcp.is_some() {
                let bytes = self.tcp_options(syslog, ([0; 4], 0).into()).worst_bytes();
                part("syslog over TCP", format!("syslog[{i}].max_connections"), bytes);
            }
        }
        if self.http.listen != "off" {
            part("HTTP", "http.max_connections".into(), self.http_options(([0; 4], 0).into()).worst_bytes());
        }
        if self.http.listen != "off" {
            part("the API", String::new(), Casework::WORST_BYTES + Limits::WORST_BYTES + Places::WORST_BYTES);
        }
        if self.takes_webhooks() {
            part("bodies of webhooks", String::new(), memory.bodies);
            part("deliveries", String::new(), Deliveries::WORST_BYTES);
        }
        part("from the inputs to the commit", String::new(), memory.under_way);
        part("hosts", String::new(), Hosts::WORST_BYTES);
        for (i, files) in self.files.iter().enumerate() {
            let line = files.max_line_bytes.as_usize();
            // A batch, and the line behind its last chunk, in vectors that may have twice the room.
            let bytes = memory.unfinished_lines as usize + memory.files * FOLLOWED_FILE + 2 * ((1 << 20) + (64 << 10) + 2 * line);
            part("files", format!("files[{i}].max_line_bytes"), bytes);
        }
        if self.detect.rules.is_some() {
            part("rules", String::new(), memory.rules);
        }
        part("detectors: all but remote ends", String::new(), self.detectors(memory).fixed_bytes());
        parts
    }

    /// A TCP listener's options.
    pub fn tcp_options(&self, syslog: &super::Syslog, listen: std::net::SocketAddr) -> tcp::Options {
        tcp::Options {
            connections: syslog.connections(),
            max_frame_bytes: syslog.max_frame_bytes.as_usize(),
            max_pending_bytes: self.pools().unfinished_frames,
            idle_timeout: syslog.idle_timeout.0,
            frame_timeout: syslog.frame_timeout.0,
            ..tcp::Options::new(&syslog.name, listen)
        }
    }

    /// The HTTP server's options.
    pub fn http_options(&self, listen: std::net::SocketAddr) -> server::Options {
        server::Options {
            listen,
            connections: self.http.connections(),
            max_head_bytes: self.http.max_head_bytes.as_usize(),
            head_timeout: self.http.head_timeout.0,
        }
    }

    /// What webhooks have in common.
    pub fn webhook_options(&self) -> webhook::Options {
        let limit = self.http.max_body_bytes.as_usize();
        webhook::Options {
            max_body_bytes: limit,
            max_decompressed_bytes: limit,
            max_memory_bytes: self.pools().bodies,
            read_timeout: self.http.body_timeout.0,
            ..webhook::Options::default()
        }
    }

    /// The journal's options.
    pub fn journal_options(&self) -> journal::Options {
        journal::Options {
            segment_bytes: self.journal.segment_bytes.0,
            limit_bytes: self.journal.max_bytes.0,
            sync_interval: self.journal.sync_interval.0,
            queue_bytes: self.pools().journal_queue,
            ..journal::Options::default()
        }
    }

    /// Limits a set of files to its part.
    pub fn limit_tail(&self, options: &mut tail::Options) {
        let memory = self.pools();
        options.held_bytes = memory.unfinished_lines;
        options.max_files = memory.files;
    }
}

/// What the pipeline holds of frames of that many bytes, in bytes, `odd` of which are not printable ASCII: the frame; its message, its
/// fields, the original beside them; and an odd byte as up to four characters in the one and five in the other.
pub const fn under_way_bytes(frames: usize, bytes: usize, odd: usize) -> usize {
    /// A row without its text, the places of its frame, and a count of its own in the roll-ups.
    const FRAME: usize = 320;
    4 * bytes + 7 * odd + FRAME * frames
}

/// What does not fit, by key.
pub(super) fn problems(config: &Config) -> Vec<(String, String)> {
    let (memory, limit) = (config.pools(), config.limits.memory);
    let mut problems = Vec::new();
    let mut must_fit = |key: String, needed: usize, room: usize, what: &str| {
        if needed > room {
            let (needed, room) = (mebibytes(needed), mebibytes(room));
            let what = format!("is too large: {what} needs {needed}, and has {room} of limits.memory = {limit}");
            problems.push((key, what));
        }
    };
    for (i, syslog) in config.syslog.iter().enumerate().filter(|(_, s)| s.tcp.is_some()) {
        let frame = syslog.max_frame_bytes.as_usize();
        must_fit(format!("syslog[{i}].max_frame_bytes"), 2 * frame, memory.unfinished_frames, "an unfinished frame");
        must_fit(format!("syslog[{i}].max_frame_bytes"), under_way_bytes(1, frame, frame), memory.under_way, "its row");
    }
    if config.takes_webhooks() {
        let options = config.webhook_options();
        must_fit("http.max_body_bytes".into(), options.worst_request_bytes(), memory.bodies, "a body");
        let rows = under_way_bytes(options.max_events, options.max_decompressed_bytes, 0);
        must_fit("http.max_body_bytes".into(), rows, memory.under_way, "the rows of a body");
    }
    for (i, files) in config.files.iter().enumerate() {
        let bytes = files.max_line_bytes.as_usize();
        must_fit(format!("files[{i}].max_line_bytes"), under_way_bytes(1, bytes, bytes), memory.under_way, "its row");
    }
    if !problems.is_empty() {
        return problems;
    }
    let mut parts = config.memory_parts();
    let sum: usize = parts.iter().map(|p| p.bytes).fold(0, usize::saturating_add);
    if sum > limit.as_usize() {
        parts.sort_by_key(|p| std::cmp::Reverse(p.bytes));
        let most = parts.iter().find(|p| !p.key.is_empty()).map_or("limits.memory", |p| &p.key);
        let list: Vec<String> = parts.iter().take(6).map(|p| format!("{} {}", p.what, mebibytes(p.bytes))).collect();
        let what = format!(
            "is too large: in the worst case {} are needed, and limits.memory is {limit}. Most of it: {}",
            mebibytes(sum),
            list.join(", ")
        );
        problems.push((most.to_owned(), what));
    }
    problems
}

fn mebibytes(bytes: usize) -> Bytes {
    Bytes((bytes as u64).div_ceil(1 << 20) << 20)
}

#[cfg(test)]
mod tests {
    use super::super::{Files, Syslog, Webhook};
    use super::*;

    fn with_inputs(n: usize) -> Config {
        let address = || Some("127.0.0.1:0".to_owned());
        Config {
            syslog: (0..n).map(|_| Syslog { udp: address(), tcp: address(), ..Syslog::default() }).collect(),
            files: (0..n).map(|_| Files::default()).collect(),
            webhook: (0..n).map(|i| Webhook::with_token_file(&i.to_string(), "t".into())).collect(),
            ..Config::default()
        }
    }

    fn sum(config: &Config) -> usize {
        config.memory_parts().iter().map(|p| p.bytes).sum()
    }

    #[test]
    fn the_defaults_fit_and_use_what_there_is() {
        for config in [Config::default(), with_inputs(1)] {
            assert_eq!(problems(&config), []);
            assert!(sum(&config) <= 512 << 20, "{:#?}", config.memory_parts());
            let options = config.detect_options();
            assert!(
                options.validate().is_ok() && options.max_keys >= 200_000,
                "{} {:#?}",
                options.max_keys,
                config.memory_parts()
            );
        }
        let roomy = Config { limits: super::super::Limits { memory: Bytes(1 << 30) }, ..with_inputs(4) };
        assert_eq!(problems(&roomy), []);
        assert_eq!(roomy.detect_options().max_keys, 1_000_000);
    }

    #[test]
    fn what_is_too_large_is_named() {
        let named = |change: fn(&mut Config)| -> Vec<String> {
            let mut config = with_inputs(1);
            change(&mut config);
            problems(&config).into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(named(|_| {}), Vec::<String>::new());
        assert_eq!(named(|c| c.detect.max_keys = Some(3_000_000)), ["detect.max_keys"]);
        assert_eq!(named(|c| c.syslog[0].max_connections = 100_000), ["syslog[0].max_connections"]);
        assert_eq!(named(|c| c.http.max_connections = 50_000), ["http.max_connections"]);
        assert_eq!(named(|c| c.http.max_body_bytes = Bytes(64 << 20)), ["http.max_body_bytes"; 2]);
        assert_eq!(named(|c| c.syslog[0].max_frame_bytes = Bytes(16 << 20)), ["syslog[0].max_frame_bytes"; 2]);
        assert_eq!(named(|c| c.files[0].max_line_bytes = Bytes(64 << 20)), ["files[0].max_line_bytes"]);
        let (_, what) =
            problems(&Config { limits: super::super::Limits { memory: Bytes(300 << 20) }, ..with_inputs(1) }).remove(0);
        assert!(what.contains("300 MiB"), "{what}");
    }
}
