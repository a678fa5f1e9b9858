//! `tocsin journal inspect`: what is in the journal. Reads only, so it may run beside the daemon.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;

use super::table::{self, Width};
use crate::config::default_state_dir;
use crate::journal::disk::{Directory, Disk};
use crate::journal::format::{self, KIND_GROUP, KIND_LOSS, SEGMENT_HEADER};
use crate::journal::recovery::{self, Found};
use crate::journal::{DoorLoss, GroupView};
use crate::record::Timestamp;
use crate::record::text::is_treacherous;

#[derive(Args)]
#[command(after_help = "Examples:\n  \
tocsin journal inspect\n  \
tocsin journal inspect /var/lib/tocsin/journal --frames --limit 20")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the journal's segments and records; exit code 3 when some of it is damaged
    Inspect(Inspect),
}

#[derive(Args)]
struct Inspect {
    /// The journal's directory [default: `journal` in the state directory]
    dir: Option<PathBuf>,
    /// The daemon's state directory [default: /var/lib/tocsin for root, otherwise tocsin in $XDG_STATE_HOME]
    #[arg(long, value_name = "DIR", conflicts_with = "dir")]
    state_dir: Option<PathBuf>,
    /// Write an object per line
    #[arg(long)]
    json: bool,
    /// Begin at this offset
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    from: u64,
    /// Show at most this many frames, or segments without --frames
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Show the frames, control characters escaped
    #[arg(long)]
    frames: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Command::Inspect(inspect) = arguments.command;
    let state_dir = inspect.state_dir.clone();
    let dir = inspect.dir.clone().unwrap_or_else(|| state_dir.unwrap_or_else(default_state_dir).join("journal"));
    let mut out = BufWriter::new(io::stdout().lock());
    match show(&dir, &inspect, &mut out).and_then(|damaged| out.flush().map(|()| damaged).map_err(Into::into)) {
        Ok(damaged) => Ok(ExitCode::from(if damaged { 3 } else { 0 })),
        Err(e) if e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) => Ok(ExitCode::SUCCESS),
        Err(e) => Err(e),
    }
}

/// What is behind a position: what the daemon has received and not committed yet.
pub fn behind(dir: &Path, from: u64) -> anyhow::Result<Summary> {
    let disk = Directory::new(dir);
    let segments = format::segments(&disk).with_context(|| format!("cannot read the journal in {}", dir.display()))?;
    let last = segments.last().map(|(base, _)| *base);
    let mut sum = Summary::default();
    for (base, length) in segments.into_iter().filter(|(base, length)| base + length > from) {
        let mut frame_bytes = 0;
        let summary = summarize(&disk, base, length, from, Some(base) == last, &mut |_, group| {
            frame_bytes += group.bytes.len() as u64;
            Ok(())
        });
        match summary {
            Ok(summary) => {
                sum.frames += summary.frames;
                sum.damaged_bytes += summary.damaged_bytes;
                sum.frame_bytes += frame_bytes;
            }
            // Released by the daemon meanwhile.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).with_context(|| format!("cannot read the segment at {base}")),
        }
    }
    Ok(sum)
}

/// What a segment holds.
#[derive(Default)]
pub struct Summary {
    records: u64,
    pub frames: u64,
    /// Bytes of the frames, where they were added up.
    pub frame_bytes: u64,
    /// Damaged places and the bytes that they cost.
    places: u64,
    pub damaged_bytes: u64,
    /// Bytes at the end of the last segment that are no whole record: being written, or torn, to be cut at the next start.
    unfinished_bytes: u64,
    times: Option<(Timestamp, Timestamp)>,
}

/// Writes what was asked for; true when damage was found.
fn show(dir: &Path, inspect: &Inspect, out: &mut impl Write) -> anyhow::Result<bool> {
    let disk = Directory::new(dir);
    let segments = format::segments(&disk).with_context(|| format!("cannot read the journal in {}", dir.display()))?;
    let mut left = inspect.limit.unwrap_or(usize::MAX);
    let mut damaged = false;
    let columns = [
        ("offset", 0),
        ("bytes", 60),
        ("records", 100),
        ("frames", 0),
        ("first received", 80),
        ("last received", 120),
        ("damage", 0),
    ];
    let mut table = table::listing(columns, None, Width::of_terminal()).right(&["offset", "bytes", "records", "frames"]);
    let last = segments.last().map(|(base, _)| *base);
    for (base, length) in segments {
        if base + length <= inspect.from {
            continue;
        }
        if left == 0 {
            break;
        }
        let mut frames = |at: u64, group: &GroupView<'_>| -> io::Result<()> {
            for (frame, bytes) in group.frames().take(if inspect.frames { left } else { 0 }) {
                left -= 1;
                let peer = group.peer_of(frame).map(|ip| ip.to_string());
                if inspect.json {
                    let text = String::from_utf8_lossy(bytes);
                    let line = json!({ "offset": at, "source": group.source, "peer": peer, "received_at": group.received_at.to_string(),
                        "delivery": group.delivery, "cut_bytes": frame.cut, "frame": text });
                    writeln!(out, "{line}")?;
                } else {
                    let cut = if frame.cut > 0 { format!(" [{} bytes cut]", frame.cut) } else { String::new() };
                    let (source, peer) = (escaped(group.source.as_bytes()), peer.as_deref().unwrap_or("-"));
                    writeln!(out, "{at} {} {source} {peer} {}{cut}", group.received_at, escaped(bytes))?;
                }
            }
            Ok(())
        };
        let summary = match summarize(&disk, base, length, inspect.from, Some(base) == last, &mut frames) {
            Ok(summary) => summary,
            // Released by the daemon meanwhile.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e).with_context(|| format!("cannot read the segment at {base}")),
        };
        damaged |= summary.damaged_bytes > 0;
        if inspect.frames {
            continue;
        }
        left -= 1;
        let times = summary.times.map(|(first, last)| (first.to_string(), last.to_string()));
        let (first, latest) = times.clone().unwrap_or_default();
        if inspect.json {
            let line = json!({ "offset": base, "bytes": length, "records": summary.records, "frames": summary.frames,
                "first_received": times.as_ref().map(|t| &t.0), "last_received": times.as_ref().map(|t| &t.1),
                "damaged_places": summary.places, "damaged_bytes": summary.damaged_bytes, "unfinished_bytes": summary.unfinished_bytes });
            writeln!(out, "{line}")?;
        } else {
            let damage = match (summary.damaged_bytes, summary.unfinished_bytes) {
                (0, 0) => "none".to_owned(),
                (0, unfinished) => format!("none ({unfinished} bytes unfinished)"),
                (bytes, _) => format!("{bytes} bytes in {} places", summary.places),
            };
            let [offset, size, records, frames] = [base, length, summary.records, summary.frames].map(|n| n.to_string());
            table.add([offset, size, records, frames, first, latest, damage]);
        }
    }
    if !inspect.json && !inspect.frames {
        writeln!(out, "{table}")?;
    }
    Ok(damaged)
}

/// Reads through a segment from the offset `from` on; every group goes to `each` with its record's offset.
fn summarize(
    disk: &dyn Disk,
    base: u64,
    length: u64,
    from: u64,
    is_last: bool,
    each: &mut impl FnMut(u64, &GroupView<'_>) -> io::Result<()>,
) -> io::Result<Summary> {
    let mut summary = Summary::default();
    let Some(mut scanner) = recovery::open(disk, base, base)? else {
        if is_last && length < SEGMENT_HEADER {
            summary.unfinished_bytes = length;
        } else {
            (summary.places, summary.damaged_bytes) = (1, length);
        }
        return Ok(summary);
    };
    loop {
        let at = scanner.position();
        let damage = match scanner.next(base + length)? {
            Found::Record { kind: KIND_GROUP, body } => match GroupView::decode(body) {
                Ok(_) if at < from => 0,
                Ok(group) => {
                    summary.records += 1;
                    summary.frames += group.frame_count as u64;
                    let time = group.received_at;
                    let (first, last) = summary.times.unwrap_or((time, time));
                    summary.times = Some((first.min(time), last.max(time)));
                    each(at, &group)?;
                    0
                }
                Err(_) => body.len() as u64,
            },
            Found::Record { kind: KIND_LOSS, body } if DoorLoss::decode(body).is_some() => {
                summary.records += u64::from(at >= from);
                0
            }
            // Of a later version; a reader skips it.
            Found::Record { body, .. } => body.len() as u64,
            Found::Damaged(bytes) => bytes,
            Found::End(left) if is_last => {
                summary.unfinished_bytes = left;
                return Ok(summary);
            }
            Found::End(left) => {
                summary.places += u64::from(left > 0);
                summary.damaged_bytes += left;
                return Ok(summary);
            }
        };
        if at >= from {
            summary.places += u64::from(damage > 0);
            summary.damaged_bytes += damage;
        }
    }
}

/// Bytes for a terminal: nothing in them moves the cursor, changes colours or turns the direction of text.
fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // Writing to a String cannot fail.
            let _ = match c {
                '\\' => write!(out, "\\\\"),
                c if is_treacherous(c) => write!(out, "{}", c.escape_default()),
                c => write!(out, "{c}"),
            };
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Group, Journal, Options};
    use crate::stats::Stats;

    fn inspect(dir: &Path, json: bool, frames: bool) -> (bool, String) {
        let inspect = Inspect { dir: None, state_dir: None, json, from: 0, limit: None, frames };
        let mut out = Vec::new();
        let damaged = show(dir, &inspect, &mut out).unwrap();
        (damaged, String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn shows_segments_frames_and_damage_while_the_journal_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), Options::default(), 0, &Stats::default()).unwrap();
        for text in ["<13>one", "\x1b[31mtwo\u{202e}\r"] {
            let mut group = Group::new("lan", Timestamp::from_secs(1_700_000_000));
            group.push(Some([192, 0, 2, 7].into()), text.as_bytes(), 3);
            journal.handle().append_and_wait(&group).await.unwrap();
        }
        let (damaged, text) = inspect(dir.path(), false, true);
        assert!(!damaged);
        let want = "64 2023-11-14T22:13:20Z lan 192.0.2.7 <13>one [3 bytes cut]\n";
        assert!(text.starts_with(want), "{text}");
        assert!(text.contains("\\u{1b}[31mtwo\\u{202e}") && text.contains("\\r") && !text.contains('\x1b'), "{text}");
        let (_, line) = inspect(dir.path(), true, false);
        let segment: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (segment["offset"].as_u64(), segment["records"].as_u64(), segment["damaged_bytes"].as_u64()),
            (Some(0), Some(2), Some(0))
        );

        let path = dir.path().join(format::segment_name(0));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[SEGMENT_HEADER as usize + 30] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let (damaged, text) = inspect(dir.path(), false, false);
        assert!(damaged && text.contains("in 1 places"), "{text}");
        assert!(inspect(dir.path(), false, true).1.contains("two"));
    }
}
