//! `tocsin verify`: was everything that was received stored, and stored once?

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::database::with_servers;
use super::progress;
use super::table::{self, Listing, Width};
use super::{check, journal};
use crate::config::Config;
use crate::record::Timestamp;
use crate::record::text::visible;
use crate::store::verify::{Facts, Finding, Verdict, judge, read};

/// Prove that every frame was stored, once
///
/// Holds the ledger, which each transaction writes along with its rows, against the logs, the quarantine, the positions of all inputs and the
/// journal. Says either that every frame is stored once, or names every gap and every repetition. Reads only, as of one moment, so it
/// may run beside the daemon.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 every frame is stored once, 1 failed, 2 wrong usage or configuration, 3 something is missing or repeated\n\n\
Examples:\n  \
tocsin verify\n  \
tocsin verify --config /etc/tocsin/tocsin.toml --since 2026-11-20T00:00:00Z\n  \
tocsin verify --json | jq .findings"
)]
pub struct Arguments {
    /// Configuration file of the daemon
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only from the first transactions on that were committed at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    since: Option<Timestamp>,
    /// Write one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// What waits in the journal, and what is damaged there.
#[derive(Default)]
struct Waiting {
    frames: u64,
    bytes: u64,
    damaged_bytes: u64,
    /// The journal cannot be looked into.
    unreadable: Option<String>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Some(config) = check::load(arguments.config.as_deref()) else { return Ok(ExitCode::from(2)) };
    let spinner = progress::spinner().with_message("counting what is stored");
    spinner.enable_steady_tick(Duration::from_millis(120));
    let facts = with_servers(&config, async |servers| Ok(read(&servers, arguments.since).await?))?;
    spinner.finish_and_clear();
    let waiting = waiting(&config, &facts);
    let verdict = judge(&facts);
    let mut out = io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", as_json(&facts, &verdict, &waiting))?;
    } else {
        out.write_all(as_text(&facts, &verdict, &waiting).as_bytes())?;
    }
    let is_good = verdict.findings.is_empty() && waiting.damaged_bytes == 0;
    Ok(ExitCode::from(if is_good { 0 } else { 3 }))
}

/// What the journal holds behind what is committed.
fn waiting(config: &Config, facts: &Facts) -> Waiting {
    let dir = config.state_dir.join("journal");
    let Ok(identity) = std::fs::read_to_string(dir.join("id")) else {
        return Waiting { unreadable: Some(format!("there is no journal in {}", dir.display())), ..Waiting::default() };
    };
    let part = facts.parts.get(&("journal".to_owned(), identity.trim().to_owned()));
    let from = part.and_then(|p| p.position).unwrap_or(0);
    match journal::behind(&dir, from) {
        Ok(summary) => {
            Waiting { frames: summary.frames, bytes: summary.frame_bytes, damaged_bytes: summary.damaged_bytes, unreadable: None }
        }
        Err(e) => Waiting { unreadable: Some(format!("{e:#}")), ..Waiting::default() },
    }
}

/// From the first to the last time of receipt.
fn span(facts: &Facts) -> Option<(Timestamp, Timestamp)> {
    let received = || facts.entries.iter().filter_map(|e| e.received);
    Some((received().map(|(first, _)| first).min()?, received().map(|(_, last)| last).max()?))
}

fn as_text(facts: &Facts, verdict: &Verdict, waiting: &Waiting) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}", inputs(facts));
    let _ = writeln!(
        text,
        "stored once: {}   in quarantine: {}   dropped, since they were due: {}   waiting in the journal: {}",
        verdict.stored,
        verdict.quarantined,
        verdict.expired,
        waiting.unreadable.clone().unwrap_or_else(|| waiting.frames.to_string()),
    );
    for finding in &verdict.findings {
        let _ = writeln!(text, "{}", tell(facts, finding));
    }
    if waiting.damaged_bytes > 0 {
        let _ = writeln!(text, "DAMAGED  {} bytes of the journal that are not stored yet cannot be read", waiting.damaged_bytes);
    }
    let what = match span(facts) {
        None => return text + "Nothing was received yet.\n",
        Some((first, last)) => format!("frame from {first} to {last}"),
    };
    if verdict.findings.is_empty() && waiting.damaged_bytes == 0 {
        let _ = writeln!(text, "Every {what} is stored once.");
    } else {
        let _ = writeln!(text, "Not every {what} is stored once: {} findings.", verdict.findings.len());
    }
    text
}

fn inputs(facts: &Facts) -> Listing<7> {
    #[derive(Default)]
    struct Sum {
        parts: u64,
        bytes: u64,
        frames: u64,
        repeated: u64,
        cut: u64,
        lost: u64,
    }
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    for ((input, _), part) in &facts.parts {
        let sum = sums.entry(input).or_default();
        sum.parts += 1;
        for range in part.ranges.iter().map(|r| &r.range) {
            // A journal does not begin at 0, and its beginning is in no range: what was read first is not counted.
            sum.bytes += if range.from == 0 && input == "journal" { 0 } else { range.to.saturating_sub(range.from) };
            sum.frames += range.frames;
            sum.repeated += range.repeated;
            sum.cut += range.cut;
        }
    }
    for loss in &facts.losses {
        sums.entry(&loss.input.0).or_default().lost += 1;
    }
    let columns =
        [("input", 0), ("parts", 90), ("bytes read", 0), ("frames", 0), ("delivered again", 80), ("cut", 80), ("losses", 0)];
    let numbers = ["parts", "bytes read", "frames", "delivered again", "cut", "losses"];
    let mut table = table::listing(columns, None, Width::of_terminal()).right(&numbers);
    for (input, sum) in sums {
        let [parts, bytes, frames, repeated, cut, lost] =
            [sum.parts, sum.bytes, sum.frames, sum.repeated, sum.cut, sum.lost].map(|n| n.to_string());
        table.add([input.to_owned(), parts, bytes, frames, repeated, cut, lost]);
    }
    table
}

/// A finding in one line.
fn tell(facts: &Facts, finding: &Finding) -> String {
    let between =
        |(first, last): (i64, i64)| if first == last { format!("id {first}") } else { format!("ids {first} to {last}") };
    match finding {
        Finding::Missing { ids, frames, entry } => {
            let frames = count(*frames, "frame");
            format!("MISSING  {frames} ({}), {}", between(*ids), provenance(facts, *entry))
        }
        Finding::RepeatedId { id, rows } => format!("REPEATED id {id} is in {rows} rows of logs"),
        Finding::Unknown { ids, rows } => {
            format!("UNKNOWN  {} of logs ({}) of which the ledger knows nothing", count(*rows, "row"), between(*ids))
        }
        Finding::Gap { input, bytes: (from, to) } => {
            format!("GAP      bytes {from} to {to} of {} were never read, and nothing says why", part_name(facts, input))
        }
        Finding::Overlap { input, bytes: (from, to) } => {
            format!("REPEATED bytes {from} to {to} of {} were read twice", part_name(facts, input))
        }
        Finding::Lost(n) => {
            let loss = &facts.losses[*n];
            let what = match (loss.frames, loss.range) {
                (Some(frames), _) => count(frames, "frame"),
                (None, Some((from, to))) => format!("bytes {from} to {to}"),
                (None, None) => "something".to_owned(),
            };
            format!(
                "LOST     {what} of {}: {}, noticed at {}",
                part_name(facts, &loss.input),
                loss.reason.as_str(),
                loss.noticed_at
            )
        }
    }
}

fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// What the transactions of an entry took from which inputs, and when.
fn provenance(facts: &Facts, entry: (i64, i16)) -> String {
    const NAMED: usize = 5;
    let mut from: Vec<String> = Vec::new();
    for (input, part) in &facts.parts {
        for range in part.ranges.iter().filter(|r| r.entry == entry && r.range.frames > 0) {
            from.push(format!("bytes {} to {} of {}", range.range.from, range.range.to, part_name(facts, input)));
        }
    }
    let more = from.len().saturating_sub(NAMED);
    from.truncate(NAMED);
    let mut text = format!("among {}", from.join(", "));
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    if let Some((first, last)) = facts.entries.iter().find(|e| e.key == entry).and_then(|e| e.received) {
        let _ = write!(text, ", received from {first} to {last}");
    }
    text
}

fn part_name(facts: &Facts, input: &(String, String)) -> String {
    let path = facts.parts.get(input).and_then(|p| p.path.as_deref());
    match (path, input.1.as_str()) {
        (Some(path), _) => format!("{} {}", visible(&input.0), visible(path)),
        (None, "") => visible(&input.0),
        (None, part) => format!("{} {}", visible(&input.0), visible(part)),
    }
}

fn as_json(facts: &Facts, verdict: &Verdict, waiting: &Waiting) -> serde_json::Value {
    let findings = verdict.findings.iter().map(|finding| {
        let mut object = match finding {
            Finding::Missing { ids, frames, .. } => json!({"kind": "missing", "ids": [ids.0, ids.1], "frames": frames}),
            Finding::RepeatedId { id, rows } => json!({"kind": "repeated_id", "id": id, "rows": rows}),
            Finding::Unknown { ids, rows } => json!({"kind": "unknown", "ids": [ids.0, ids.1], "rows": rows}),
            Finding::Gap { input, bytes } => {
                json!({"kind": "gap", "input": input.0, "part": input.1, "bytes": [bytes.0, bytes.1]})
            }
            Finding::Overlap { input, bytes } => {
                json!({"kind": "overlap", "input": input.0, "part": input.1, "bytes": [bytes.0, bytes.1]})
            }
            Finding::Lost(n) => {
                let loss = &facts.losses[*n];
                json!({"kind": "lost", "input": loss.input.0, "part": loss.input.1, "bytes": loss.range.map(|r| [r.0, r.1]),
                    "frames": loss.frames, "reason": loss.reason.as_str(), "noticed_at": loss.noticed_at.to_string()})
            }
        };
        object["text"] = tell(facts, finding).into();
        object
    });
    let span = span(facts).map(|(first, last)| [first.to_string(), last.to_string()]);
    json!({
        "stored_once": verdict.stored,
        "quarantined": verdict.quarantined,
        "expired": verdict.expired,
        "waiting_in_journal": waiting.unreadable.is_none().then_some(waiting.frames),
        "waiting_bytes": waiting.unreadable.is_none().then_some(waiting.bytes),
        "damaged_journal_bytes": waiting.damaged_bytes,
        "received": span,
        "findings": findings.collect::<Vec<_>>(),
    })
}
